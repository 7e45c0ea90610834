"""Before the first per cent: what must be true, and how it ends where it is not."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest
from tests.support.rules import rule
from tests.support.world import ERRORS, RELEASE, START, World, canary

from progressive import (
    Limit,
    Metric,
    NoWorse,
    Phase,
    Ports,
    begin,
    decide,
    minutes,
    percent,
    seconds,
    start,
    tick,
)
from progressive.errors import Failure
from progressive.model import Gauge, Measurement, Side
from progressive.model.router_state import Marker
from progressive.model.traffic import Track
from progressive.rollout.commands import Measure
from progressive.rollout.events import CommandFailed, Inspected, RouterRead, Tick
from progressive.testing import (
    MemoryRouter,
    MemoryStore,
    ScriptedMetrics,
    VirtualClock,
    steady,
)
from progressive.testing.doubles import ALL


@rule("R11")
def test_a_take_back_by_hand_before_the_start_is_heard() -> None:
    world = World(silent=True)
    world.tick()
    world.rollback_now()
    world.heal()
    world.advance(seconds(30))
    world.until_phase(Phase.ROLLED_BACK)

    assert world.writes == []


def test_a_metric_that_lags_longer_than_preflight_still_answers() -> None:
    slow = Metric("error-rate", kind="ratio", lag=minutes(10))
    World(strategy=canary(checks=[Limit(slow, at_most=percent(2)), NoWorse(slow)])).until_weight(5)


@rule("R45")
def test_a_router_that_refuses_to_be_read_ends_it_before_the_start() -> None:
    rollout = begin(canary().plan, RELEASE, id="r", at=START)
    decision = decide(
        rollout,
        Tick(at=START),
        CommandFailed(at=START, command="read", epoch=0, failure=Failure.PERMANENT, why="401"),
    )

    assert decision.rollout.phase is Phase.ROLLED_BACK
    assert "the router can't be read: 401" in decision.rollout.progress.reason


@rule("R45")
def test_nothing_is_written_before_the_metrics_answer() -> None:
    world = World(silent=True)
    world.until(lambda w: w.now - START > minutes(2))
    assert world.writes == []
    world.until_phase(Phase.ROLLED_BACK)

    assert world.writes == []
    assert "error-rate (503 from the metrics system)" in world.rollout.progress.reason
    assert minutes(5) <= world.now - START <= minutes(6)


@rule("R45")
def test_a_stable_without_data_is_not_watched_by_anybody() -> None:
    world = World(night=True).until_phase(Phase.ROLLED_BACK)

    assert "to answer for stable (v1)" in world.rollout.progress.reason


@rule("R45")
def test_the_router_must_take_a_write_that_changes_nothing() -> None:
    world = World(unwritable=True).until_phase(Phase.ROLLING_BACK, Phase.ROLLED_BACK)

    assert "took longer than" in world.rollout.progress.reason
    refused = World(permanent=True).until_phase(Phase.ROLLED_BACK)
    assert "can't be written: 403" in refused.rollout.progress.reason


@rule("R45")
def test_live_traffic_must_really_be_on_stable() -> None:
    world = World()
    world.edit(30)
    world.until_phase(Phase.ROLLED_BACK)

    assert world.writes == []
    assert "live traffic is not all on stable (v1)" in world.rollout.progress.reason
    assert world.candidate == percent(30), "nothing was touched"


@rule("R45")
def test_what_is_not_bound_ends_it_before_anything_is_touched() -> None:
    world = World()
    unbound = Inspected(at=world.now, problems=("hook 'smoke': nothing is bound to it",))
    decision = decide(world.rollout, Tick(at=world.now), unbound)

    assert decision.rollout.phase is Phase.ROLLED_BACK
    assert "hook 'smoke'" in decision.rollout.progress.reason
    assert decision.commands == ()


@rule("R9", "R45")
def test_stable_must_run_what_the_release_says() -> None:
    world = World()
    served = attrs.evolve(world.served(), identities=((Track.STABLE, "v0"),))
    decision = decide(world.rollout, Tick(at=world.now), RouterRead(at=world.now, served=served))

    assert "stable (v1) really runs v0" in decision.rollout.progress.reason


@rule("R45")
def test_the_claim_is_one_generation_above_what_is_there() -> None:
    world = World(marker=Marker(generation=41, serial=7, closed=True)).until_weight(5)

    assert world.marker is not None
    assert (world.marker.generation, world.marker.closed) == (42, False)


def test_a_stable_value_of_exactly_0_is_said_before_the_start() -> None:
    depth = Metric("depth", kind="value")

    @attrs.define(kw_only=True)
    class Levels(World):
        level: float = 0.0

        def measurement(self, command: Measure, track: Track) -> Measurement:
            return Gauge(samples=(self.level, 0.0))

    strategy = canary(checks=[Limit(depth, at_most=7)])
    for level, said in ((0.0, True), (1.0, False)):
        world = Levels(strategy=strategy, level=level).until_weight(5)
        assert any("exactly 0" in note.why for note in world.said("unjudged")) is said


@pytest.mark.parametrize("sticky", [False, True])
def test_the_engine_knows_whether_users_stay_on_a_version(sticky: bool) -> None:
    router = MemoryRouter(attrs.evolve(ALL, sticky=sticky))
    script = ScriptedMetrics({ERRORS: steady(50)})
    ports = Ports(router=router, metrics=[script], store=MemoryStore(), clock=VirtualClock())
    start(canary(checks=[Limit(ERRORS, at_most=percent(2))]), RELEASE, id="r", ports=ports)

    assert tick("r", ports).rollout.routing.sticky is sticky


def test_what_does_not_reach_the_candidate_is_named_before_the_start() -> None:
    def notes(*errors: Metric) -> list[str]:
        script = ScriptedMetrics({each: steady(50) for each in errors})
        checks = [Limit(each, at_most=percent(2)) for each in errors]
        ports = Ports(
            router=MemoryRouter(), metrics=[script], store=MemoryStore(), clock=VirtualClock()
        )
        start(canary(checks=checks), RELEASE, id="r", ports=ports)
        tick("r", ports)
        assert ports.store is not None
        return [str(note) for _, note in ports.store.notes("r")]

    own = Metric("own", kind="ratio", side="callee")
    gateway = Metric("gateway", kind="ratio", side=Side.CALLER)
    said = "preflight/own: not judged: requests that don't reach the candidate"

    assert any(said in note for note in notes(own))
    assert not any(said in note for note in notes(own, gateway))
    assert not any("don't reach" in note for note in notes(Metric("unknown", kind="ratio")))


@pytest.mark.parametrize(
    ("planned", "offered", "expected"),
    [
        (None, None, None),
        (None, seconds(2), seconds(2)),
        (seconds(3), None, seconds(3)),
        (seconds(3), seconds(2), seconds(3)),
    ],
    ids=str,
)
def test_how_often_there_are_new_numbers_is_asked_before_the_start_and_kept(
    planned: timedelta | None, offered: timedelta | None, expected: timedelta | None
) -> None:
    """What the plan says counts first."""
    errors = attrs.evolve(ERRORS, resolution=planned)
    script = ScriptedMetrics({attrs.evolve(ERRORS, resolution=offered): steady(50)})
    ports = Ports(
        router=MemoryRouter(), metrics=[script], store=MemoryStore(), clock=VirtualClock()
    )
    start(canary(checks=[Limit(errors, at_most=percent(2))]), RELEASE, id="r", ports=ports)
    [state] = tick("r", ports).rollout.evidence.series

    assert state.resolution == expected
