"""What is looked at, and what is left unjudged."""

from __future__ import annotations

import itertools

from tests.support.moments import over
from tests.support.rules import rule
from tests.support.world import START, World, canary

from progressive import Limit, Metric, NoWorse, Phase, decide, minutes, percent, seconds


@rule("R18")
def test_what_a_clock_that_steps_back_leaves_unjudged_is_noted() -> None:
    world = World().until_weight(5)
    over(world, seconds(45))
    world.now -= minutes(20)
    over(world, minutes(4))

    assert any("stepped back" in note.why for note in world.said("unjudged"))


@rule("R18")
def test_windows_lie_inside_verified_traffic_and_never_overlap() -> None:
    world = World(strategy=canary(warmup=seconds(20)), lag=seconds(3)).until_phase(Phase.PROMOTED)
    verified = [note.at for note in world.said("verified")]
    windows = sorted(
        {
            (e.look.window.start, e.look.window.end)
            for e in world.answers
            if "preflight" not in e.analyses
        }
    )

    assert windows
    for (_, end), (start, _) in itertools.pairwise(windows):
        assert end <= start
    for start, _ in windows:
        since = max(at for at in verified if at <= start)
        assert start - since >= seconds(20) or any(end == start for _, end in windows)


@rule("R18")
def test_a_lagging_metric_is_asked_when_its_numbers_are_complete() -> None:
    slow = Metric("error-rate", kind="ratio", lag=seconds(40))
    world = World(
        strategy=canary(checks=[Limit(slow, at_most=percent(2)), NoWorse(slow)])
    ).until_phase(Phase.PROMOTED)

    asked = [e for e in world.answers if "preflight" not in e.analyses]
    assert all(e.at - e.look.window.end >= seconds(40) for e in asked)
    judged = sum((e.look.window.length for e in asked), seconds(0))
    assert judged >= world.now - START - seconds(60), "the tails of each step are judged too"


def test_a_look_that_does_not_begin_where_the_last_one_ended_is_refused() -> None:
    world = World().until_weight(5)
    world.advance(seconds(30))
    world.tick()
    rollout = world.rollout
    again = decide(rollout, world.answers[-1])

    assert again.rollout.evidence == rollout.evidence
    assert again.notes[0].kind == "refused"
