"""Instances: ready before a raise, able to carry the way back, running what the release says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.rules import rule

from progressive import (
    Abort,
    Canary,
    Hold,
    Outcome,
    Phase,
    Ports,
    Release,
    Revert,
    RouterError,
    Track,
    Version,
    atick,
    decide,
    dumps,
    loads,
    minutes,
    percent,
    percents,
    rollback_now,
    seconds,
    start,
    submit,
    tick,
)
from progressive.codec import dumps_event, loads_event
from progressive.errors import Failure, FleetError
from progressive.model import Capacity
from progressive.model.router_state import Capabilities, Marker, Served
from progressive.model.traffic import Match, Traffic
from progressive.model.units import Percent
from progressive.rollout.events import CommandFailed, Surveyed, Tick
from progressive.rollout.notes import Asked, Escalated
from progressive.rollout.state import Rollout
from progressive.steps import Bake, SetWeight
from progressive.testing import MemoryFleet, MemoryRouter, MemoryStore, VirtualClock

RELEASE = Release(
    service="shop", stable=Version("v1"), candidate=Version("v2"), baseline=Version("v1b")
)
CANARY = Canary(weights=percents(10, 50, 100), bake=minutes(5), unguarded="about instances only")


class Drive:
    """A rollout, its world, and time."""

    def __init__(self, strategy: Any = CANARY, *, router: Any = None, fleet: Any = None) -> None:
        self.clock, self.store = VirtualClock(), MemoryStore()
        self.router, self.fleet = router or MemoryRouter(), fleet or MemoryFleet()
        self.ports = Ports(router=self.router, store=self.store, clock=self.clock, fleet=self.fleet)
        self.rollout: Rollout = start(strategy, RELEASE, id="shop", ports=self.ports)

    def say(self, **able: float) -> None:
        """What the fleet says from now on."""
        self.fleet.capacities.update(
            {Track(track): Capacity(percent(share)) for track, share in able.items()}
        )

    def go(
        self, until: Callable[[Rollout], bool], *, within: timedelta = timedelta(days=2)
    ) -> Rollout:
        """Tick when it wants to be ticked, until it is so."""
        end = self.clock() + within
        while not until(self.rollout):
            decision = tick("shop", self.ports)
            self.rollout = decision.rollout
            assert not self.rollout.over or until(self.rollout), repr(self.rollout)
            if decision.wake_at is None or until(self.rollout):
                break
            assert decision.wake_at <= end, f"not within {within}: {self.rollout!r}"
            self.clock.until(decision.wake_at)
        return self.rollout

    def reach(self, weight: float) -> None:
        self.go(
            lambda rollout: (
                rollout.routing.last_verified.candidate == percent(weight)
                and rollout.routing.verified_since is not None
            )
        )

    def look(self) -> None:
        """One tick, a second later."""
        self.clock.advance(seconds(1))
        self.rollout = tick("shop", self.ports).rollout

    def abort(self) -> None:
        submit(self.store, "shop", Abort(at=self.clock(), by="eve", why="enough"))

    def end(self) -> Rollout:
        return self.go(lambda rollout: rollout.over)

    def notes(self, kind: type) -> list[Any]:
        return [note for _, note in self.store.notes("shop") if isinstance(note, kind)]


# --------------------------------------------------------------------------------------- on the way


@rule("R6")
def test_traffic_is_raised_only_to_what_can_carry_it() -> None:
    drive = Drive()
    drive.say(candidate=20)

    drive.reach(10)
    drive.go(lambda rollout: "to be ready" in str(rollout.status))
    waited = str(drive.rollout.status)
    drive.say(candidate=100)

    assert "waits for candidate (v2) to be ready for 50 %: it can carry 20 %" in waited
    assert drive.router.highest == percent(10)
    assert drive.end().phase is Phase.PROMOTED


@rule("R6")
def test_traffic_is_raised_only_while_stable_can_take_everything_back() -> None:
    drive = Drive()

    drive.reach(10)
    drive.say(stable=60)
    drive.go(lambda rollout: "to be ready" in str(rollout.status))
    waited = str(drive.rollout.status)
    drive.say(stable=100)

    assert "waits for stable (v1) to be ready for 100 %: it can carry 60 %" in waited
    assert drive.router.highest == percent(10)
    assert drive.end().phase is Phase.PROMOTED


@rule("R6", "R30")
def test_instances_that_never_get_ready_end_in_a_rollback() -> None:
    drive = Drive()
    drive.say(candidate=20)

    ended = drive.end()

    assert (ended.phase, drive.router.highest) == (Phase.ROLLED_BACK, percent(10))
    assert "to be ready for 50 %" in ended.progress.reason


def test_a_track_that_the_fleet_does_not_know_is_not_ready() -> None:
    drive = Drive()
    del drive.fleet.capacities[Track.CANDIDATE]

    ended = drive.end()

    assert "the fleet knows none of its instances" in ended.progress.reason
    assert drive.router.highest == percent(0)


def test_a_baseline_and_a_mirror_need_instances_too() -> None:
    steps = [
        SetWeight(percent(10), baseline=percent(10), mirror=percent(30)),
        Bake(minutes(1)),
        SetWeight(percent(100)),
        Bake(minutes(1)),
    ]
    drive = Drive(Canary(steps=steps, unguarded="about instances only"))
    drive.say(candidate=39.9999)

    drive.go(lambda rollout: "to be ready" in str(rollout.status))
    first = str(drive.rollout.status)
    drive.say(candidate=40, baseline=9)
    drive.go(lambda rollout: "baseline" in str(rollout.status))
    second = str(drive.rollout.status)
    drive.say(baseline=10, candidate=100)

    assert "candidate (v2) to be ready for 10 %: it can carry 39.9999 %" in first
    assert "baseline (v1b) to be ready for 10 %: it can carry 9 %" in second
    assert drive.end().phase is Phase.PROMOTED


@rule("R45")
def test_the_start_waits_for_a_stable_that_could_take_everything_back() -> None:
    drive = Drive()
    drive.say(stable=60)

    drive.go(lambda rollout: "stable" in str(rollout.status))
    waited = str(drive.rollout.status)
    drive.say(stable=100)

    assert "waits for stable (v1) to be ready for 100 %: it can carry 60 %" in waited
    assert drive.router.history == []
    assert drive.end().phase is Phase.PROMOTED


@rule("R45")
def test_a_stable_that_never_could_ends_it_before_anything_was_touched() -> None:
    drive = Drive()
    drive.say(stable=60)

    ended = drive.end()

    assert (ended.phase, drive.router.history) == (Phase.ROLLED_BACK, [])
    assert "stable (v1) to be ready for 100 %" in ended.progress.reason


@attrs.define
class Broken(MemoryFleet):
    """Raises while ``down``."""

    down: bool = True

    def survey(self, release: Release) -> Mapping[Track, Capacity]:
        if self.down:
            raise FleetError("the API is away")
        return MemoryFleet.survey(self, release)


@rule("R19")
def test_a_fleet_that_does_not_answer_keeps_traffic_from_being_raised() -> None:
    drive = Drive(fleet=Broken(down=False))
    drive.reach(10)
    drive.fleet.down = True

    drive.go(lambda rollout: "fleet" in str(rollout.status))
    waited = str(drive.rollout.status)
    drive.fleet.down = False

    assert "waits for the fleet to say what is ready" in waited
    assert drive.router.highest == percent(10)
    assert drive.end().phase is Phase.PROMOTED


@rule("R28")
def test_a_clock_that_steps_back_does_not_keep_the_fleet_from_being_asked() -> None:
    drive = Drive()
    drive.reach(10)
    drive.clock.now -= minutes(60)

    assert drive.end().phase is Phase.PROMOTED


def test_the_fleet_is_asked_once_in_a_tick_beside_the_router() -> None:
    asked: list[object] = []

    class Counting(MemoryFleet):
        def survey(self, release: Release) -> Mapping[Track, Capacity]:
            asked.append(release)
            return MemoryFleet.survey(self, release)

    drive = Drive(fleet=Counting())
    ticks = 0
    while not drive.rollout.final:
        ticks += 1
        decision = tick("shop", drive.ports)
        drive.rollout = decision.rollout
        if decision.wake_at is not None:
            drive.clock.until(decision.wake_at)

    assert len(asked) == ticks


def test_without_a_survey_nothing_is_asked_and_nothing_is_waited_for() -> None:
    class OnlyRetires:
        def retire(self, release: Release, version: Version) -> None:
            raise AssertionError("not due")

    drive = Drive(fleet=OnlyRetires())

    assert drive.end().phase is Phase.PROMOTED
    assert drive.rollout.instances.bound is False


def test_a_driver_without_the_fleet_that_it_began_with_raises_nothing() -> None:
    drive = Drive()
    drive.reach(10)
    drive.ports = attrs.evolve(drive.ports, fleet=None)

    ended = drive.end()

    assert (ended.phase, drive.router.highest) == (Phase.ROLLED_BACK, percent(10))


@pytest.mark.parametrize("answer", [None, [("stable", 1)], {Track.STABLE: percent(100)}])
def test_an_answer_that_is_none_counts_as_no_answer(answer: Any) -> None:
    class Odd(MemoryFleet):
        def survey(self, release: Release) -> Mapping[Track, Capacity]:
            found: Mapping[Track, Capacity] = answer
            return found

    assert Drive(fleet=Odd()).end().phase is Phase.ROLLED_BACK


# --------------------------------------------------------------------------------------- identities


@rule("R9")
def test_an_instance_that_runs_something_else_holds_the_rollout() -> None:
    drive = Drive()
    drive.reach(10)
    drive.fleet.capacities[Track.CANDIDATE] = Capacity(percent(100), identity="v3")

    drive.go(lambda rollout: rollout.phase is Phase.HELD)

    assert "candidate (v2) really runs v3" in drive.rollout.progress.reason
    assert drive.router.highest == percent(10)


@rule("R9")
def test_a_rollout_that_is_held_for_something_else_stays_so() -> None:
    drive = Drive()
    drive.reach(10)
    submit(drive.store, "shop", Hold(at=drive.clock(), by="eve", why="lunch"))
    drive.fleet.capacities[Track.CANDIDATE] = Capacity(percent(100), identity="v3")

    drive.look()

    assert [cause.name for cause in drive.rollout.progress.causes] == ["person"]


@rule("R9")
def test_one_that_does_before_the_start_ends_it_untouched() -> None:
    drive = Drive()
    drive.fleet.capacities[Track.STABLE] = Capacity(percent(100), identity="v0")

    ended = drive.end()

    assert (ended.phase, drive.router.history) == (Phase.ROLLED_BACK, [])
    assert "stable (v1) really runs v0" in ended.progress.reason


def test_the_right_identities_are_fine() -> None:
    drive = Drive()
    drive.fleet.capacities = {
        Track.STABLE: Capacity(percent(100), identity="v1"),
        Track.CANDIDATE: Capacity(percent(100), identity="v2"),
    }

    assert drive.end().phase is Phase.PROMOTED


# ------------------------------------------------------------------------------------- the way back


@rule("R6", "R11")
def test_a_stable_that_can_carry_everything_gets_it_at_once() -> None:
    drive = Drive()
    drive.reach(50)
    drive.abort()

    tick("shop", drive.ports)

    assert drive.router.traffic == Traffic()


@rule("R6")
def test_the_way_back_to_a_small_stable_goes_in_steps_and_a_person_is_told_at_once() -> None:
    drive = Drive()
    drive.reach(50)
    drive.say(stable=60)
    drive.look()
    drive.abort()
    weights = []
    for able in (60, 60, 85.5, 100):
        drive.say(stable=able)
        drive.rollout = tick("shop", drive.ports).rollout
        weights.append(drive.router.traffic.candidate.number)
        drive.clock.advance(seconds(30))

    assert weights == [40, 40, 15, 0]
    assert drive.rollout.phase is Phase.ROLLED_BACK
    [told] = drive.notes(Escalated)
    assert (
        told.why
        == "stable (v1) can carry only 60 %: 40 % stays on the candidate until it can carry "
        "more, for 10 min at most"
    )
    assert told.undo


@rule("R6", "R30")
def test_after_ten_minutes_it_goes_back_all_the_same() -> None:
    drive = Drive()
    drive.reach(50)
    drive.say(stable=0)
    drive.look()
    drive.abort()
    began = drive.clock()

    drive.end()

    assert drive.router.traffic == Traffic()
    assert minutes(10) <= drive.clock() - began <= minutes(12)


@rule("R11")
def test_a_fleet_that_does_not_answer_on_the_way_back_is_not_waited_for() -> None:
    drive = Drive(fleet=Broken(down=False))
    drive.reach(50)
    drive.say(stable=60)
    drive.fleet.down = True
    drive.abort()

    drive.rollout = tick("shop", drive.ports).rollout

    assert (drive.router.traffic, drive.rollout.phase) == (Traffic(), Phase.ROLLED_BACK)


@rule("R2")
def test_what_was_taken_back_by_hand_is_not_raised_again_for_a_small_stable() -> None:
    drive = Drive()
    drive.reach(50)
    drive.say(stable=10)
    drive.look()
    rollback_now(drive.router, RELEASE)
    before = len(drive.router.history)

    drive.end()

    assert all(traffic == Traffic() for traffic in drive.router.history[before:])


class Coarse(MemoryRouter):
    """A router that knows only some weights, and refuses the others."""

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        if traffic.candidate.number not in (0, 10, 50, 100):
            raise RouterError("no such weight", failure=Failure.PERMANENT)
        return MemoryRouter.apply(self, release, traffic, marker=marker, expect=expect)


@rule("R11")
def test_a_router_that_can_not_go_in_steps_goes_back_at_once() -> None:
    drive = Drive(
        router=Coarse(capabilities=Capabilities(smallest_weight=percent(10), marker=True))
    )
    drive.reach(50)
    drive.say(stable=75)
    drive.look()
    drive.abort()

    drive.end()

    assert drive.router.traffic == Traffic()
    assert any("refuses to go in steps" in note.why for note in drive.notes(Asked))


# --------------------------------------------------------------------------------------------- laws


@rule("R1", "R2", "R6")
@given(
    said=st.lists(
        st.tuples(st.integers(0, 100), st.integers(0, 100), st.sampled_from([1, 30, 60, 600])),
        max_size=60,
    ),
    abort_at=st.integers(0, 60),
)
def test_whatever_the_fleet_says_more_is_given_only_to_what_can_carry_it_and_an_abort_only_lowers(
    said: list[tuple[int, int, int]], abort_at: int
) -> None:
    drive = Drive()
    for i, (stable, candidate, wait) in enumerate(said):
        drive.say(stable=stable, candidate=candidate)
        if i == abort_at and not drive.rollout.final:
            drive.abort()
        before = drive.router.traffic.candidate
        if drive.rollout.over:
            break
        drive.rollout = tick("shop", drive.ports).rollout
        after = drive.router.traffic.candidate
        assert after <= max(before, percent(candidate))
        assert i < abort_at or after <= before
        drive.clock.advance(seconds(wait))
    drive.say(stable=100, candidate=100)
    if not drive.rollout.final and abort_at < len(said):
        assert drive.end().phase in (Phase.ROLLED_BACK, Phase.PROMOTED)
        assert drive.router.traffic in (Traffic(), Traffic(candidate=percent(100)))


@rule("R32")
def test_what_the_fleet_said_is_stored_and_read() -> None:
    drive = Drive()
    drive.say(candidate=20)
    drive.reach(10)
    event = Surveyed(
        at=drive.clock(),
        tracks={Track.STABLE: Capacity(Percent(333_333), identity="v1", why="1 of 3")},
    )  # type: ignore[arg-type]

    assert loads(dumps(drive.rollout)) == drive.rollout
    assert loads_event(dumps_event(event)) == event
    assert '"able":33.3333' in dumps_event(event)


def test_a_late_survey_of_a_rollout_that_is_over_changes_nothing() -> None:
    drive = Drive()
    ended = drive.end()
    late = Surveyed(at=drive.clock(), tracks=((Track.STABLE, Capacity(percent(0))),))

    decision = decide(ended, late)

    assert (
        decision.rollout.phase,
        decision.rollout.progress,
        decision.notes,
        decision.commands,
    ) == (ended.phase, ended.progress, (), ())


async def _drive_async() -> Outcome:
    class Later(MemoryFleet):
        async def asurvey(self, release: Release) -> Mapping[Track, Capacity]:
            return MemoryFleet.survey(self, release)

    clock, store = VirtualClock(), MemoryStore()
    ports = Ports(router=MemoryRouter(), store=store, clock=clock, fleet=Later())
    rollout = start(CANARY, RELEASE, id="shop", ports=ports)
    while not rollout.over:
        decision = await atick("shop", ports)
        rollout = decision.rollout
        if decision.wake_at is not None:
            clock.until(decision.wake_at)
    return Outcome.of(rollout)


def test_the_asynchronous_colour_asks_too() -> None:
    assert asyncio.run(_drive_async()).promoted


def test_a_tick_after_the_fleet_failed_in_the_last_round_changes_nothing_when_it_is_over() -> None:
    drive = Drive()
    ended = drive.end()

    failed = CommandFailed(
        at=drive.clock(), command="survey", epoch=0, failure=Failure.TRANSIENT, why="away"
    )

    assert decide(ended, failed, Tick(at=drive.clock())).notes == ()


# -------------------------------------------------------------- what a review with fresh eyes found


@rule("R2")
def test_a_way_back_in_steps_that_can_not_see_the_router_goes_all_the_way() -> None:
    """Somebody set 0 by hand, and then a read fails: a step to 40 % would be a raise after an
    abort.
    """

    class Blind(MemoryRouter):
        down = False

        def read(self, release: Release) -> Served:
            if Blind.down:
                raise RouterError("the API is away")
            return MemoryRouter.read(self, release)

    drive = Drive(router=Blind())
    drive.reach(50)
    drive.say(stable=60)
    drive.look()
    drive.router.edit(Traffic())
    drive.abort()
    Blind.down = True
    before = len(drive.router.history)
    tick("shop", drive.ports)
    Blind.down = False

    assert drive.end().phase is Phase.ROLLED_BACK
    assert all(traffic == Traffic() for traffic in drive.router.history[before:])


@rule("R2", "R7")
def test_nor_does_a_router_whose_parts_disagree_take_steps() -> None:
    class Parts(MemoryRouter):
        def read(self, release: Release) -> Served:
            return attrs.evolve(
                MemoryRouter.read(self, release),
                converged=self.traffic.candidate != percent(50) or not self.split,
            )

        split = False

    drive = Drive(router=Parts())
    drive.reach(50)
    drive.say(stable=60)
    drive.look()
    Parts.split = True
    drive.abort()
    drive.clock.advance(seconds(1))

    drive.end()

    assert percent(40) not in [traffic.candidate for traffic in drive.router.history]


@rule("R30")
def test_the_ten_minutes_end_also_for_a_driver_that_comes_seldom() -> None:
    drive = Drive(attrs.evolve(CANARY, watch_every=minutes(60)))
    drive.reach(50)
    drive.say(stable=0)
    drive.look()
    drive.abort()
    began = drive.clock()

    drive.end()

    assert drive.clock() - began <= minutes(11)


def test_a_stable_that_recovers_is_noticed_within_half_a_minute() -> None:
    drive = Drive(attrs.evolve(CANARY, watch_every=minutes(60)))
    drive.reach(50)
    drive.say(stable=60)
    drive.look()
    drive.abort()
    tick("shop", drive.ports)
    drive.say(stable=100)
    began = drive.clock()

    drive.end()

    assert drive.clock() - began <= minutes(1)


@rule("R11")
def test_the_first_write_of_a_way_back_waits_for_no_fleet() -> None:
    asked: list[Phase] = []

    class Watched(MemoryFleet):
        def survey(self, release: Release) -> Mapping[Track, Capacity]:
            asked.append(drive.store.load("shop").phase)  # type: ignore[union-attr]
            return MemoryFleet.survey(self, release)

    drive = Drive(fleet=Watched())
    drive.reach(50)
    drive.abort()
    before = len(asked)
    drive.clock.advance(seconds(1))

    drive.end()

    assert asked[before:] == []


def test_header_routes_need_an_instance_that_is_ready() -> None:
    steps = [
        SetWeight(percent(0), matches=[Match(name="x-beta", value="yes")]),
        Bake(minutes(1)),
        SetWeight(percent(100)),
        Bake(minutes(1)),
    ]
    drive = Drive(Canary(steps=steps, unguarded="about instances only"))
    drive.say(candidate=0)

    ended = drive.end()

    assert "candidate (v2) to be ready for 0 %: it can carry 0 %" in ended.progress.reason
    assert not any(traffic.matches for traffic in drive.router.history)


def test_a_revert_does_not_wait_for_the_version_that_it_leaves() -> None:
    drive = Drive(Revert())
    drive.say(stable=70)

    assert drive.end().phase is Phase.PROMOTED


def test_an_old_version_that_another_rollout_may_need_is_kept() -> None:
    drive = Drive(
        Canary(
            weights=percents(100),
            bake=minutes(5),
            retire_after=minutes(60),
            unguarded="about instances only",
        )
    )
    drive.go(lambda rollout: rollout.phase is Phase.PROMOTED)
    drive.router.marker = Marker(generation=2, serial=9)  # a following rollout came and went

    drive.end()

    assert drive.fleet.retired == []
    assert any(
        "another rollout (generation 2) has used the router since, and may need it" in note.why
        for note in drive.notes(Escalated)
    )


@rule("R12")
def test_a_hold_at_weights_that_somebody_set_asks_for_whole_per_cents_of_them() -> None:
    drive = Drive()
    drive.reach(50)
    submit(drive.store, "shop", Hold(at=drive.clock(), by="eve", why="lunch"))
    drive.router.edit(Traffic(candidate=Percent(333_333)))

    drive.look()

    assert drive.rollout.routing.desired == Traffic(candidate=percent(33))
