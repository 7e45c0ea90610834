"""A soak finds what is wrong, says which seed, and that seed does it again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

import attrs
import pytest

from progressive import (
    BlueGreen,
    Canary,
    Go,
    Limit,
    Match,
    Metric,
    NotYet,
    NoWorse,
    Phase,
    Resume,
    Stop,
    StrategyError,
    Traffic,
    hours,
    minutes,
    ms,
    percent,
    percents,
    seconds,
)
from progressive.model import Capacity
from progressive.model.router_state import Marker
from progressive.model.traffic import Track
from progressive.plan.step import Advance, Done, Kinds, Situation, Step
from progressive.rollout.commands import Apply
from progressive.steps import Bake, SetWeight
from progressive.testing import FaultWorld, PromiseBroken, Soaked, soak, soak_one
from progressive.testing.doubles import EPOCH
from progressive.testing.faults import soaking as room

ERRORS = Metric("error-rate", kind="ratio")
POLICY = Canary(
    weights=percents(10, 100), bake=minutes(1), checks=[Limit(ERRORS, at_most=percent(2))]
)


def test_a_sound_engine_breaks_no_promise_and_every_rollout_ends() -> None:
    found = soak(POLICY, seeds=range(24))

    assert found.ok
    assert sum(count for _, count in found.ended) == 24
    assert {phase for phase, _ in found.ended} == {Phase.PROMOTED, Phase.ROLLED_BACK}
    assert found.events > 1_000
    assert repr(found).startswith("<Soaked: canary: 24 seeds, ")


@pytest.mark.parametrize(
    "strategy",
    [
        POLICY,
        Canary(
            steps=[
                SetWeight(percent(0), matches=[Match(name="beta", value="1")]),
                Bake(minutes(1)),
                SetWeight(percent(100)),
                Bake(minutes(1)),
            ],
            checks=[Limit(ERRORS, at_most=percent(2))],
        ),
        Canary(
            steps=[
                SetWeight(percent(0), mirror=percent(10)),
                Bake(minutes(1)),
                SetWeight(percent(100)),
                Bake(minutes(1)),
            ],
            checks=[Limit(ERRORS, at_most=percent(2))],
        ),
        BlueGreen(
            preview_checks=[Limit(ERRORS, at_most=percent(2))],
            bake=minutes(1),
            checks=[Limit(ERRORS, at_most=percent(2))],
        ),
    ],
    ids=["weights", "headers", "mirror", "preview"],
)
def test_without_a_fault_every_seed_is_promoted(strategy: Canary | BlueGreen) -> None:
    """Whatever it is judged by: a weight, a header route, copies of requests or a load test."""
    found = soak(strategy, seeds=range(8), faults=())

    assert (found.ok, found.ended) == (True, ((Phase.PROMOTED, 8),))


def test_who_edits_after_a_way_back_breaks_no_promise_of_ours() -> None:
    """The candidate is to be removed, so it is ticked for a while yet, and writes nothing."""
    strategy = Canary(
        weights=percents(5, 50, 100),
        bake=minutes(2),
        checks=[Limit(ERRORS, at_most=percent(2)), NoWorse(ERRORS)],
        interval=seconds(30),
        remove_candidate_after=minutes(7),
    )
    soaked = soak(strategy, seeds=[7026, 7038, 7042, 7051])

    assert soaked.ok, soaked


def test_the_same_seed_is_the_same_run() -> None:
    one, two = soak_one(POLICY, 5), soak_one(POLICY, 5)

    assert (one.text, one.notes, one.events) == (two.text, two.notes, two.events)
    assert one.text != soak_one(POLICY, 6).text


def test_progress_is_told_after_each_seed() -> None:
    told: list[tuple[int, int]] = []
    found = soak(
        POLICY,
        seeds=[3, 4],
        steps=10,
        faults=["bad"],
        progress=lambda seeds, events: told.append((seeds, events)),
    )

    assert [seeds for seeds, _ in told] == [1, 2]
    assert told[-1] == (2, found.events)


@attrs.frozen
class Greedy(Step):
    """A step of one's own, kept by kind."""

    kind: ClassVar[str] = "greedy"
    id: str = "greedy"
    span: timedelta = seconds(1)

    def advance(self, situation: Situation) -> Advance:
        return Done()


def test_kinds_of_ones_own_are_stored_and_read() -> None:
    own = Canary(
        steps=[SetWeight(percent(100)), Greedy(), Bake(minutes(1))],
        checks=[],
        unguarded="an example",
    )

    assert soak(own, seeds=range(3), kinds=Kinds(Greedy)).ok
    with pytest.raises(StrategyError, match=r"unknown step kind 'greedy'; pass its class in Kinds"):
        soak(own, seeds=range(1))


def test_a_broken_promise_is_told_with_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def ends_where_it_is(world: FaultWorld) -> None:
        raise PromiseBroken("R24: nothing ended")

    monkeypatch.setattr(room, "ended", ends_where_it_is)
    found = soak(POLICY, seeds=[7, 9], steps=2)

    assert not found.ok
    assert [failing.seed for failing in found.failing] == [7, 9]
    assert "seed 7: R24: nothing ended\n  once more: soak(strategy, seeds=[7], steps=2)\n" in repr(
        found
    )
    assert found.ended == ()


def test_the_reproducer_says_every_argument_that_is_not_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ends_where_it_is(world: FaultWorld) -> None:
        raise PromiseBroken("R24: nothing ended")

    monkeypatch.setattr(room, "ended", ends_where_it_is)

    assert "once more: soak(strategy, seeds=[1])\n" in repr(soak(POLICY, seeds=[1]))
    assert (
        "once more: soak(strategy, seeds=[1], steps=2, faults=['bad', 'late'], kinds=kinds)\n"
        in repr(soak(POLICY, seeds=[1], steps=2, faults=("late", "bad"), kinds=Kinds(Greedy)))
    )


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (KeyError("progress"), "KeyError: 'progress'"),
        (ZeroDivisionError(), "ZeroDivisionError"),
        (AssertionError(), "AssertionError"),
        (
            AssertionError("it never came to that: a rollout\nand its notes"),
            "it never came to that: a rollout",
        ),
    ],
    ids=str,
)
def test_whatever_is_raised_is_told_with_its_seed(
    error: Exception, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raises(world: FaultWorld) -> None:
        raise error

    monkeypatch.setattr(room, "ended", raises)
    found = soak(POLICY, seeds=[3, 4], faults=())

    assert [(failing.seed, failing.why) for failing in found.failing] == [(3, why), (4, why)]
    assert found.failing[0].notes
    with pytest.raises(type(error)):
        soak_one(POLICY, 3, faults=())


@pytest.mark.parametrize(
    ("seeds", "why"),
    [
        (2, r"soak\(seeds\): 2 is no list of seeds; use seeds=range\(2\)"),
        (None, r"soak\(seeds\): None is no list of seeds; use seeds=range\(100\)"),
        ("12", r"soak\(seeds\): '12' is no list of seeds; use seeds=range\(100\)"),
        (
            [1, 2.5],
            (
                r"soak\(seeds\)\[1\]: 2.5 is not a whole number; use seeds=range\(100\), or "
                r"seeds=\[7\] for one"
            ),
        ),
        ([True], r"soak\(seeds\)\[0\]: True is not a whole number"),
    ],
)
def test_what_is_no_seed_is_refused_with_its_mend(seeds: Any, why: str) -> None:
    with pytest.raises(StrategyError, match=why):
        soak(POLICY, seeds=seeds)


def test_the_order_in_which_faults_are_named_is_nothing() -> None:
    one, other = (
        soak_one(POLICY, 5, faults=faults)
        for faults in (["late", "hold", "lag"], {"lag", "late", "hold"})
    )
    all_named = soak_one(POLICY, 5, faults=reversed(room.FAULTS))

    assert (one.text, one.notes) == (other.text, other.notes)
    assert all_named.text == soak_one(POLICY, 5).text


def test_a_fault_that_is_named_is_in_every_seed() -> None:
    worlds = [soak_one(POLICY, seed, faults=["no_compare", "shuffle"]) for seed in range(6)]

    assert not any(world.compare_and_set or world.shuffle is None for world in worlds)
    assert {soak_one(POLICY, seed).compare_and_set for seed in range(6)} == {True, False}


@pytest.mark.parametrize(
    ("faults", "why"),
    [
        (["bad", "bat"], r"soak\(faults\): 'bat' is no fault; there are unreadable, .*, shuffle"),
        ([["bad"]], r"soak\(faults\): \['bad'\] is no fault; there are unreadable"),
        (
            "bad",
            (
                r"soak\(faults\): 'bad' is no list of names; use faults=\['bad'\]; there are "
                r"unreadable"
            ),
        ),
        (
            "bat",
            (
                r"soak\(faults\): 'bat' is no list of names; use faults=\[\"bad\", \"late\"\]; "
                r"there are unreadable"
            ),
        ),
        (None, r"soak\(faults\): None is no list of names; use "),
    ],
)
def test_what_is_no_fault_is_refused_by_name(faults: Any, why: str) -> None:
    with pytest.raises(StrategyError, match=why):
        soak(POLICY, seeds=range(1), faults=faults)
    with pytest.raises(StrategyError, match=why.replace("soak", "soak_one", 1)):
        soak_one(POLICY, 1, faults=faults)


def test_nothing_run_has_no_ends() -> None:
    assert (
        repr(Soaked(strategy="canary", seeds=0, events=0, ended=(), failing=()))
        == "<Soaked: canary: 0 seeds, 0 events; none to its end>"
    )


# ---------------------------------------------------------------------------------------- the ghost


def written(world: FaultWorld, weight: float) -> Any:
    marker = Marker(generation=1, serial=1)
    return world.do(
        Apply(
            traffic=Traffic(candidate=percent(weight)),
            marker=marker,
            expect=None,
            epoch=0,
            raises=True,
        )
    )


def test_a_write_above_every_saved_step_is_r1() -> None:
    with pytest.raises(
        PromiseBroken, match="R1: asked for 500000 ppm, no saved step allows more than 0"
    ):
        written(FaultWorld(POLICY), 50)


def test_a_raise_after_an_abort_is_r2() -> None:
    world = FaultWorld(POLICY)
    world.ghost.ceiling, world.ghost.aborted = 1_000_000, True

    with pytest.raises(PromiseBroken, match="R2: raised from 0 to 100000 ppm after an abort"):
        written(world, 10)


def test_a_raise_while_nothing_can_be_stored_is_r4() -> None:
    world = FaultWorld(POLICY, store_down=True)
    world.ghost.ceiling = 1_000_000

    with pytest.raises(PromiseBroken, match="R4"):
        written(world, 10)
    world.ghost.stored = 1_000  # it was saved before the store went away
    written(world, 10)


def test_a_raise_past_what_the_fleet_can_carry_is_r6() -> None:
    world = FaultWorld(POLICY, able=dict.fromkeys(Track, Capacity(percent(5))))
    world.ghost.ceiling = 1_000_000
    with pytest.raises(PromiseBroken, match=r"R6: .* the candidate can carry nobody asked what"):
        written(world, 10)
    world.ghost.said_able = dict.fromkeys(Track, Capacity(percent(5)))

    with pytest.raises(PromiseBroken, match="R6: raised to 100000 ppm"):
        written(world, 10)


def test_a_raise_from_which_stable_could_not_take_it_back_is_r6() -> None:
    world = FaultWorld(POLICY, able=dict.fromkeys(Track, Capacity(percent(100))))
    world.ghost.ceiling = 1_000_000
    world.ghost.said_able = {
        Track.CANDIDATE: Capacity(percent(100)),
        Track.STABLE: Capacity(percent(99)),
    }

    with pytest.raises(
        PromiseBroken,
        match="R6: raised to 100000 ppm, and stable could not take it back: it can carry 99 %",
    ):
        written(world, 10)


def test_an_end_that_is_left_is_r24_and_one_without_a_write_is_r23() -> None:
    world = FaultWorld(POLICY).until(lambda world: world.phase is Phase.PROGRESSING)
    progressing = world.rollout
    gone_back = attrs.evolve(
        progressing,
        progress=attrs.evolve(
            progressing.progress, phase=Phase.ROLLED_BACK, causes=(), waiting=None
        ),
    )
    world.ghost.zeros = 0
    with pytest.raises(PromiseBroken, match="R23"):
        world.ghost.saved(gone_back, None)
    world.ghost.phases.append(Phase.PROMOTED)

    with pytest.raises(PromiseBroken, match="R24: left the final phase promoted for progressing"):
        world.ghost.saved(progressing, None)


def test_a_promotion_that_nobody_judged_at_full_traffic_is_r15() -> None:
    world = FaultWorld(POLICY).until(lambda world: world.rollout.over)
    world.ghost.phases.append(Phase.PROGRESSING)
    world.ghost.judged_at_full = 0

    with pytest.raises(PromiseBroken, match="R15"):
        world.ghost.saved(world.rollout, None)


# --------------------------------------------------------------------------------- the world itself


@pytest.mark.parametrize(
    "metric",
    [
        Metric("latency", kind="latency"),
        Metric("basket", kind="mean", bad="down"),
        Metric("queue", kind="value"),
        Metric("counter", kind="ratio", counter=True),
    ],
    ids=str,
)
def test_every_kind_of_metric_is_good_or_bad_beyond_doubt(metric: Metric) -> None:
    bound: dict[str, Any] = {
        "ratio": {"at_most": percent(2)},
        "latency": {"at_most": ms(400), "quantile": 0.99},
        "value": {"at_most": 10.0},
    }.get(metric.kind.value, {"at_least": 10.0})
    policy = Canary(
        weights=percents(10, 100), bake=minutes(1), checks=[Limit(metric, min_sample=1, **bound)]
    )

    good = FaultWorld(policy).until(lambda world: world.rollout.over)
    bad = FaultWorld(policy, bad=0.3).until(lambda world: world.rollout.over)

    assert (good.phase, bad.phase) == (Phase.PROMOTED, Phase.ROLLED_BACK)


def test_a_world_that_comes_to_nothing_tells_its_last_notes() -> None:
    with pytest.raises(AssertionError, match="it never came to that: <Rollout"):
        FaultWorld(POLICY).until(lambda world: False, ticks=3)


def test_what_a_person_did_by_hand_and_what_a_router_forgot() -> None:
    world = FaultWorld(POLICY).until(lambda world: world.candidate == percent(10))
    world.rollback_now()
    assert (world.candidate, world.ghost.aborted) == (percent(0), True)
    world.forget()

    assert world.marker is None
    assert (world.ghost.aborted, world.ghost.lost) == (True, True)

    world.until(lambda world: world.phase is Phase.HELD)
    world.say(Resume(at=world.now, cause="marker", by="eve", why="I have looked"))
    assert (world.ghost.aborted, world.ghost.lost) == (False, False)


def test_where_nothing_can_tell_what_a_router_forgot_is_forgotten() -> None:
    for able in ({"carries_marker": False}, {"compare_and_set": False}):
        world = FaultWorld(POLICY, **able).until(lambda world: world.candidate == percent(10))
        world.rollback_now()
        world.forget()

        assert (world.ghost.aborted, world.ghost.lost) == (False, False)


@pytest.mark.parametrize("lost", [False, True])
def test_a_write_over_another_owner_is_found(lost: bool) -> None:
    world = FaultWorld(POLICY).until(lambda world: world.rollout.routing.ownership_confirmed)
    world.edit(0)
    world.claim_by_another()
    world.marker = None  # as a router would have it that does not refuse
    if lost:
        world.forget()
    raised = Apply(
        epoch=world.rollout.epoch,
        traffic=Traffic(candidate=percent(10)),
        marker=Marker(generation=1),
        expect=None,
        raises=True,
    )
    world.ghost.ceiling = 1_000_000
    why = "had lost its marker" if lost else "over the marker of another rollout"
    with pytest.raises(PromiseBroken, match=why):
        world.do(raised)


def test_hooks_and_gates_are_the_testers_own() -> None:
    asks = BlueGreen(preview_hook="smoke", bake=minutes(1), unguarded="its hook")
    later = FaultWorld(asks, hook=lambda key: NotYet(EPOCH + hours(1), "warming up"))
    later.tick()
    stopped = FaultWorld(asks, hook=lambda key: Stop("no")).until(lambda world: world.rollout.over)
    goes = FaultWorld(asks, hook=lambda key: Go()).until(lambda world: world.rollout.over)

    assert (stopped.phase, goes.phase) == (Phase.ROLLED_BACK, Phase.PROMOTED)
    assert later.said("entered")
