"""One owner: a marker names its rollout, and what was lost is never taken for nobody's.

Brothers of each fault, tried here: an object whose marker is gone, restored from before, or that
another rollout has claimed since; at every weight, held or not, on the way back, before the first
write; by router that compares and sets, and by one that does not; with rollouts of two stores.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.rules import rule
from tests.support.world import ERRORS, RELEASE, START, World, canary

from progressive import (
    Abort,
    Action,
    BlueGreen,
    ConflictError,
    Hold,
    Phase,
    Ports,
    PromoteNow,
    Release,
    Resume,
    Rollout,
    Tick,
    Traffic,
    Version,
    dumps,
    hours,
    loads,
    minutes,
    percent,
    rollback_now,
    seconds,
    start,
    submit,
    tick,
)
from progressive.engine.decide import decide
from progressive.errors import Failure
from progressive.model import AfterRestart, Capabilities, Marker
from progressive.rollout import Event
from progressive.rollout.commands import Apply
from progressive.rollout.events import CommandFailed
from progressive.runtime.protocol import Execute
from progressive.steps import Approval
from progressive.testing import MemoryRouter, MemoryStore, ScriptedMetrics, VirtualClock, steady

WAITS = BlueGreen(
    approval=Approval("switch", within=hours(4), otherwise=Action.ROLL_BACK), bake=minutes(2)
)
"""It claims the router, and leaves the traffic where it is."""

THIRD = Release(service="shop", stable=Version("v1"), candidate=Version("v3"))
BLUE_GREEN = BlueGreen(bake=minutes(2), unguarded="the router is what is tried")


@attrs.define(kw_only=True)
class Driver:
    """A rollout of its own store on a router that others use too, in virtual time."""

    router: MemoryRouter
    clock: VirtualClock
    release: Release = RELEASE
    strategy: Any = attrs.field(factory=canary)
    id: str = "a"
    store: MemoryStore = attrs.field(factory=MemoryStore)

    def __attrs_post_init__(self) -> None:
        start(self.strategy, self.release, id=self.id, ports=self.ports)

    @property
    def ports(self) -> Ports:
        return Ports(
            router=self.router,
            metrics=[ScriptedMetrics({ERRORS: steady(200)})],
            store=self.store,
            clock=self.clock,
        )

    @property
    def rollout(self) -> Rollout:
        found = self.store.load(self.id)
        assert found is not None
        return found

    @property
    def owner(self) -> str:
        return Marker.owner_of(self.id)

    def tick(self) -> Driver:
        tick(self.id, self.ports)
        return self

    def until(self, wanted: Callable[[], bool]) -> Driver:
        end = self.clock() + hours(4)
        while not wanted() and self.clock() < end and not self.rollout.over:
            self.tick()
            wake: datetime | None = self.rollout.wake_at
            self.clock.until(max(wake or self.clock(), self.clock() + seconds(1)))
        assert wanted(), self.rollout
        return self

    def until_it_serves(self, weight: float) -> Driver:
        share = Traffic(candidate=percent(weight))
        return self.until(lambda: self.rollout.routing.last_verified == share)

    def until_it_claims(self) -> Driver:
        return self.until(lambda: self.rollout.routing.ownership_confirmed)

    def until_over(self) -> Driver:
        return self.until(lambda: self.rollout.over)

    def resume(self, cause: str) -> None:
        said = Resume(at=self.clock(), cause=cause, by="eve", why="I have looked")
        submit(self.store, self.id, said)


def driver(**changes: Any) -> Driver:
    return Driver(**({"router": MemoryRouter(), "clock": VirtualClock(START)} | changes))


def forget(router: MemoryRouter, *, weight: float = 0) -> None:
    """Restart it, or make its object anew, without a marker."""
    router.edit(Traffic(candidate=percent(weight)))
    router.marker = None


# ---------------------------------------------------------------------------- a marker that is gone


@rule("R2", "R11")
@pytest.mark.parametrize("weight", [5, 50, 100])
@pytest.mark.parametrize("by_hand", [False, True], ids=["restarted", "taken back by hand before"])
def test_who_finds_its_marker_gone_raises_nothing_until_a_person_resumes(
    weight: float, by_hand: bool
) -> None:
    ours = driver().until_it_serves(weight)
    if by_hand:
        rollback_now(ours.router, RELEASE)
    forget(ours.router)
    written = len(ours.router.history)

    ours.until(lambda: ours.rollout.phase is Phase.HELD)
    ours.until(lambda: ours.clock() > START + hours(1) or ours.rollout.over)

    assert "has lost this rollout's marker" in str(ours.store.notes("a"))
    assert all(traffic == Traffic() for traffic in ours.router.history[written:])


@rule("R2", "R30")
def test_who_finds_its_marker_gone_goes_back_after_an_hour_without_a_person() -> None:
    ours = driver().until_it_serves(50)
    forget(ours.router)

    ours.until_over()

    assert ours.rollout.phase is Phase.ROLLED_BACK
    assert "held for marker for 1 h and nobody resumed" in ours.rollout.progress.reason
    assert ours.router.marker is not None and ours.router.marker.owner == ours.owner


@rule("R2")
def test_a_marker_dropped_beside_unchanged_weights_holds_at_them() -> None:
    ours = driver().until_it_serves(50)
    forget(ours.router, weight=50)
    ours.tick()

    assert ours.rollout.phase is Phase.HELD
    assert ours.rollout.routing.desired == Traffic(candidate=percent(50))
    ours.resume("marker")
    ours.until_over()
    assert ours.rollout.phase is Phase.PROMOTED


@pytest.mark.parametrize("says", ["resume", "promote now"])
def test_a_person_resumes_and_it_claims_the_router_anew(says: str) -> None:
    ours = driver().until_it_serves(5)
    forget(ours.router)
    ours.until(lambda: ours.rollout.phase is Phase.HELD)
    if says == "resume":
        ours.resume("marker")
    else:
        waive = ("hold:marker",)
        now = PromoteNow(at=ours.clock(), by="eve", why="it is fine", waive=waive)
        submit(ours.store, "a", now)

    ours.until_over()

    assert ours.rollout.phase is Phase.PROMOTED
    assert ours.router.marker is not None and ours.router.marker.owner == ours.owner


@rule("R2")
def test_a_marker_that_is_lost_a_second_time_holds_a_second_time() -> None:
    ours = driver().until_it_serves(5)
    for _ in range(2):
        forget(ours.router)
        ours.until(lambda: ours.rollout.phase is Phase.HELD)
        ours.resume("marker")
        ours.until(lambda: ours.router.marker is not None)

    assert ours.rollout.phase is Phase.PROGRESSING


@rule("R2")
def test_what_is_held_already_is_held_for_the_lost_marker_too() -> None:
    world = World().until_weight(50)
    world.edit(10)
    world.advance(seconds(20))
    world.tick()
    world.edit(10)
    world.advance(seconds(20))
    world.tick()
    assert [cause.name for cause in world.rollout.progress.causes] == ["drift"]

    world.forget()
    world.advance(seconds(20))
    world.tick()

    assert [cause.name for cause in world.rollout.progress.causes] == ["drift", "marker"]


def test_the_way_back_needs_no_marker() -> None:
    ours = driver().until_it_serves(50)
    submit(ours.store, "a", Abort(at=ours.clock(), by="eve", why="enough"))
    forget(ours.router, weight=50)

    ours.until_over()

    assert ours.rollout.phase is Phase.ROLLED_BACK
    assert ours.router.traffic == Traffic()


def test_a_router_that_was_told_so_writes_again_what_was_verified() -> None:
    able = attrs.evolve(MemoryRouter().capabilities, after_restart=AfterRestart.REASSERT)
    ours = driver(router=MemoryRouter(capabilities=able)).until_it_serves(50)
    forget(ours.router)

    ours.until_over()

    assert ours.rollout.phase is Phase.PROMOTED
    assert Traffic(candidate=percent(50)) in ours.router.history[-3:]


def test_a_router_without_markers_is_driven_as_ever() -> None:
    @attrs.define
    class Plain(MemoryRouter):
        capabilities: Capabilities = Capabilities(baseline=True)

        def read(self, release: Release) -> Any:
            return attrs.evolve(super().read(release), marker=None)

    ours = driver(router=Plain()).until_it_serves(50)
    ours.router.edit(Traffic())

    assert ours.until_over().rollout.phase is Phase.PROMOTED


@rule("R2")
@pytest.mark.parametrize("closed", [False, True])
def test_an_object_restored_from_before_holds_and_a_closed_one_goes_back(closed: bool) -> None:
    old = Marker(generation=4, serial=9, owner=Marker.owner_of("the one before"))
    ours = driver(router=MemoryRouter(marker=old)).until_it_serves(50)
    forget(ours.router)
    ours.router.marker = attrs.evolve(old, closed=closed)
    ours.tick()

    assert ours.rollout.phase is (Phase.ROLLED_BACK if closed else Phase.HELD)
    assert ours.until_over().router.traffic == Traffic()


@rule("R2")
@pytest.mark.parametrize("weight", [0, 5, 50], ids=["lower", "as before", "as asked"])
def test_an_object_restored_from_an_earlier_moment_of_this_rollout_holds(weight: float) -> None:
    ours = driver().until_it_serves(5)
    old = ours.router.marker
    ours.until_it_serves(50)
    forget(ours.router, weight=weight)
    ours.router.marker = old
    ours.tick()

    assert ours.rollout.phase is Phase.HELD
    assert "an older one of its own is back" in str(ours.store.notes("a"))
    assert ours.router.traffic == Traffic(candidate=percent(weight))
    ours.resume("marker")
    assert ours.until_over().rollout.phase is Phase.PROMOTED


@rule("R2")
@pytest.mark.parametrize("reassert", [False, True])
def test_a_claim_that_slept_through_a_rollback_by_hand_does_not_undo_it(reassert: bool) -> None:
    """The router compares nothing, and was made anew before the rollback."""
    world = World(compare_and_set=False)
    sleeping = world.moves()
    while not isinstance(claim := next(sleeping), Execute) or not any(
        isinstance(command, Apply) for command in claim.commands
    ):
        pass
    world.until_weight(5)
    world.forget()
    world.rollback_now()
    with contextlib.suppress(ConflictError):
        for _ in sleeping:
            pass
    assert world.marker is not None and not world.marker.closed, "the claim has arrived"
    if reassert:
        rollout = world.rollout
        told = attrs.evolve(rollout, routing=attrs.evolve(rollout.routing, reassert=True))
        world.text, world.ghost.aborted = dumps(told), False
    world.now += seconds(30)
    world.tick()

    assert world.phase is (Phase.PROGRESSING if reassert else Phase.HELD)
    assert world.candidate == percent(5 if reassert else 0)


def held_with_a_claim_that_nobody_heard_of() -> World:
    """Its driver was killed after the write, and a person held it; the marker was read since."""
    world = World()
    killed = world.moves()
    while not isinstance(claim := next(killed), Execute) or not any(
        isinstance(command, Apply) for command in claim.commands
    ):
        pass
    next(killed)  # the write is done
    world.say(Hold(at=world.now, by="eve", why="wait a little"))
    world.now += seconds(30)
    world.tick()
    routing = world.rollout.routing
    assert world.phase is Phase.HELD and routing.marked and not routing.ownership_confirmed
    return world


@rule("R2")
@pytest.mark.parametrize("resumes", [False, True], ids=["lost while held", "lost in preflight"])
def test_a_claim_that_was_only_read_and_then_lost_holds_too(resumes: bool) -> None:
    """A person who resumes for one thing has not looked at the other."""
    world = held_with_a_claim_that_nobody_heard_of()
    person = Resume(at=world.now, cause="person", by="eve", why="go on")
    if resumes:
        world.say(person)
    world.forget()
    world.now += seconds(30)
    world.tick()
    if not resumes:
        world.say(person)
    world.now += seconds(30)
    world.tick()
    lost = world.rollout.progress.causes

    assert world.phase is Phase.HELD and [cause.name for cause in lost] == ["marker"]
    world.say(Resume(at=world.now, cause="marker", by="eve", why="it was only restarted"))
    assert world.until_weight(5).until_phase(Phase.PROMOTED)


# ------------------------------------------------------------------------------------ two rollouts


@rule("R2")
@pytest.mark.parametrize("later", [canary(), BLUE_GREEN], ids=["canary", "blue-green"])
def test_of_two_that_chose_one_generation_the_first_is_ended_by_the_second_claim(
    later: Any,
) -> None:
    """`a` claims between `b`'s read and `b`'s claim."""
    router, clock = MemoryRouter(), VirtualClock(START)
    first = Driver(router=router, clock=clock, strategy=WAITS)

    @attrs.define
    class Beside(MemoryRouter):
        def apply(self, release: Release, traffic: Traffic, **given: Any) -> Any:
            if router.marker is None:
                first.until_it_claims()
            return router.apply(release, traffic, **given)

        def read(self, release: Release) -> Any:
            return router.read(release)

    second = Driver(router=Beside(), clock=clock, id="b", release=THIRD, strategy=later)
    second.until_it_claims()
    assert router.marker is not None
    assert (router.marker.generation, router.marker.owner) == (2, second.owner)

    assert first.tick().rollout.phase is Phase.ROLLED_BACK
    assert "superseded" in first.rollout.progress.reason
    assert second.until_over().rollout.phase is Phase.PROMOTED


@rule("R2")
def test_a_claim_that_lost_to_one_that_has_raised_since_is_given_up() -> None:
    router, clock = MemoryRouter(), VirtualClock(START)
    first = Driver(router=router, clock=clock)

    @attrs.define
    class Beside(MemoryRouter):
        def apply(self, release: Release, traffic: Traffic, **given: Any) -> Any:
            if router.marker is None:
                first.until_it_serves(5)
            return router.apply(release, traffic, **given)

        def read(self, release: Release) -> Any:
            return router.read(release)

    second = Driver(router=Beside(), clock=clock, id="b", release=THIRD)
    second.until_over()

    assert second.rollout.phase is Phase.ROLLED_BACK
    assert "live traffic is not all on stable" in second.rollout.progress.reason
    assert first.until_over().rollout.phase is Phase.PROMOTED


@rule("R2", "R11")
def test_an_abort_of_a_claim_that_lost_leaves_the_other_alone() -> None:
    router, clock = MemoryRouter(), VirtualClock(START)
    first = Driver(router=router, clock=clock, strategy=WAITS)

    @attrs.define
    class Beside(MemoryRouter):
        def apply(self, release: Release, traffic: Traffic, **given: Any) -> Any:
            first.until_it_claims()
            raise ConflictError("somebody else has claimed it")

        def read(self, release: Release) -> Any:
            return router.read(release)

    second = Driver(router=Beside(), clock=clock, id="b", release=THIRD)
    second.tick()
    written = len(router.history)
    submit(second.store, "b", Abort(at=clock(), by="eve", why="the other one is first"))
    second.until_over()

    assert second.rollout.phase is Phase.ROLLED_BACK
    assert "nothing was ever written" in second.rollout.progress.reason
    assert len(router.history) == written


@rule("R2", "R11")
@pytest.mark.parametrize("generation", [0, 3], ids=["none before", "others before"])
@pytest.mark.parametrize("weight", [5, 50, 100])
@pytest.mark.parametrize("sleeps", [timedelta(), hours(1), hours(30)], ids=str)
def test_who_slept_through_a_restart_and_a_new_owner_touches_nothing(
    generation: int, weight: float, sleeps: timedelta
) -> None:
    """The router restarts while `a` is under way; `b` claims, with a lower or an equal generation,
    and promotes.
    """
    marker = Marker(generation=generation, owner="before") if generation else None
    stale = driver(router=MemoryRouter(marker=marker)).until_it_serves(weight)
    forget(stale.router)
    other = Driver(router=stale.router, clock=stale.clock, id="b", release=THIRD).until_over()
    assert other.rollout.phase is Phase.PROMOTED
    written = len(stale.router.history)

    stale.clock.advance(sleeps)
    stale.until_over()

    assert stale.rollout.phase is Phase.ROLLED_BACK
    assert "superseded" in stale.rollout.progress.reason
    assert len(stale.router.history) == written


@rule("R2")
def test_who_holds_for_its_lost_marker_ends_when_another_claims() -> None:
    ours = driver().until_it_serves(50)
    forget(ours.router)
    ours.tick()
    ours.resume("marker")  # and before it is ticked, somebody else claims
    other = Driver(router=ours.router, clock=ours.clock, id="b", release=THIRD)
    other.until_it_claims()

    ours.tick()

    assert ours.rollout.phase is Phase.ROLLED_BACK
    assert ours.router.marker is not None and ours.router.marker.owner == other.owner


def test_the_old_version_is_kept_for_another_owner_of_an_equal_generation() -> None:
    world = World(strategy=canary(retire_after=minutes(30)))
    world.able = None
    world.until_phase(Phase.PROMOTED)
    assert world.marker is not None
    world.marker = attrs.evolve(world.marker, owner="somebody")
    world.advance(hours(1))
    world.tick()

    assert world.retired == 0
    assert "may need it" in str(world.notes[-1])


@rule("R2", "R11")
@given(events=st.lists(st.sampled_from(["a", "b", "forget", "back"]), min_size=1, max_size=40))
def test_whatever_happens_no_candidate_rises_without_its_own_marker_there(
    events: list[str],
) -> None:
    """Two rollouts of two stores, restarts and rollbacks by hand, in any order: who raises finds
    its own marker on the router, or has claimed it a moment ago; a version taken back by hand does
    not come again.
    """
    router, clock = MemoryRouter(), VirtualClock(START)
    drivers = {
        name: Driver(router=router, clock=clock, id=name, release=release, strategy=strategy)
        for name, release, strategy in (
            ("a", RELEASE, canary()),
            ("b", THIRD, BLUE_GREEN),
        )
    }
    raised_back: set[str] = set()
    for event in events:
        clock.advance(seconds(20))
        if event == "forget":
            forget(router)
        elif event == "back":
            rollback_now(router, RELEASE)
            raised_back |= {
                name
                for name, each in drivers.items()
                if router.marker is not None and router.marker.owner == each.owner
            }
        else:
            each = drivers[event]
            if each.rollout.over:
                continue
            owner = router.marker.owner if router.marker is not None else ""
            before, written = router.traffic, len(router.history)
            each.tick()
            for traffic in router.history[written:]:
                if traffic.exceeds(before):
                    assert owner == each.owner or before == Traffic()
                    assert event not in raised_back
                before = traffic
            if len(router.history) > written and owner not in ("", each.owner):
                assert router.history[written] == Traffic(), "only a claim writes over a marker"


# ------------------------------------------------------------------------------------- what is old


def test_a_rollout_from_before_markers_had_owners_goes_on_as_it_did() -> None:
    world = World()
    rollout = loads(world.text)
    world.text = dumps(attrs.evolve(rollout, routing=attrs.evolve(rollout.routing, owner="")))
    world.until_weight(50)
    assert world.marker is not None and world.marker.owner == ""
    world.forget()
    world.until_weight(50)

    assert world.phase is Phase.PROGRESSING
    assert "owner" not in world.text and "marked" not in world.text


def test_a_marker_without_an_owner_of_our_generation_is_ours() -> None:
    world = World().until_weight(50)
    assert world.marker is not None
    world.marker = attrs.evolve(world.marker, owner="")
    world.advance(seconds(20))
    rollout = world.rollout

    ticked = decide(rollout, Tick(at=world.now)).rollout
    assert ticked.phase is Phase.PROGRESSING
    assert world.until_phase(Phase.PROMOTED).marker == attrs.evolve(
        world.marker, owner=rollout.routing.owner
    )


@rule("R2", "R23")
@pytest.mark.parametrize("failure", [Failure.TRANSIENT, Failure.UNKNOWN])
def test_a_claim_that_failed_on_a_router_that_is_anothers_is_given_up(failure: Failure) -> None:
    """It was not done: the marker there says so. So there is nothing to take back either."""

    class Fails(World):
        def _apply(self, command: Apply) -> Event:
            return CommandFailed(
                at=self.now, command="apply", epoch=command.epoch, failure=failure, why="away"
            )

    world = Fails()
    world.claim_by_another()
    world.tick()
    assert world.rollout.routing.any_write_sent
    world.traffic = Traffic(candidate=percent(50))
    world.revision += 1
    world.advance(seconds(30))
    world.tick()

    assert world.phase is Phase.ROLLED_BACK
    assert "live traffic is not all on stable" in world.rollout.progress.reason
    assert not world.rollout.routing.any_write_sent
    assert world.traffic == Traffic(candidate=percent(50))
