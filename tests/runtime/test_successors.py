"""A version that is to be removed when the next rollout of its service has begun: it goes at its
time if nobody needs it any more, and stays if somebody does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from tests.support.driven import Colour
from tests.support.world import START, canary

from progressive import (
    Abort,
    Canary,
    ConflictError,
    IfRunning,
    Phase,
    Ports,
    Release,
    Rollout,
    StrategyError,
    Version,
    dumps,
    hours,
    loads,
    minutes,
    percents,
    rollback_now,
    seconds,
    start,
    submit,
    tick,
)
from progressive.model import Capacity
from progressive.model.router_state import Marker
from progressive.model.traffic import Track, Traffic
from progressive.rollout import Escalated, Refused, Superseded
from progressive.testing import MemoryFleet, MemoryRouter, MemoryStore, VirtualClock

V1, V2, V3, V4 = (Version(f"v{n}") for n in range(1, 5))
QUICK = Canary(
    weights=percents(100),
    bake=minutes(5),
    retire_after=hours(2),
    remove_candidate_after=hours(2),
    unguarded="about removals only",
)


@attrs.define
class Service:
    """One service with its store, fleet and router, which knows versions and not only roles."""

    fleet: MemoryFleet = attrs.field(factory=MemoryFleet)
    router: MemoryRouter = attrs.field(factory=MemoryRouter)
    store: MemoryStore = attrs.field(factory=MemoryStore)
    clock: VirtualClock = attrs.field(factory=lambda: VirtualClock(START))

    @property
    def ports(self) -> Ports:
        return Ports(router=self.router, fleet=self.fleet, store=self.store, clock=self.clock)

    def release(self, stable: Version, candidate: Version, **changes: Any) -> Rollout:
        """Start one, called after its candidate."""
        release = Release(service="shop", stable=stable, candidate=candidate)
        return start(
            attrs.evolve(QUICK, **changes), release, id=f"to-{candidate.identity}", ports=self.ports
        )

    def go(self, until: Callable[[], bool]) -> None:
        """Tick whatever is due, as a job that runs for all of them, until something holds."""
        for _ in range(20_000):
            if until():
                return
            due = self.store.due(self.clock())
            for id in due:
                tick(id, self.ports)
            if not due:
                self.clock.advance(seconds(20))
        raise AssertionError("it does not come to that")

    def promote(self, stable: Version, candidate: Version, **changes: Any) -> None:
        id = self.release(stable, candidate, **changes).id
        self.go(lambda: self.of(id).phase is Phase.PROMOTED)

    def of(self, id: str) -> Rollout:
        found = self.store.load(id)
        assert found is not None
        return found

    def wait(self, minutes_: float) -> None:
        end = self.clock() + minutes(minutes_)
        self.go(lambda: self.clock() >= end)

    def said(self, id: str, kind: type) -> list[str]:
        return [str(note) for _, note in self.store.notes(id) if isinstance(note, kind)]


def test_each_old_version_goes_at_its_own_time_and_nobody_is_called() -> None:
    shop = Service()
    promoted = []
    for stable, candidate in ((V1, V2), (V2, V3), (V3, V4)):
        shop.promote(stable, candidate)
        promoted.append(shop.clock())
        shop.wait(20)
    gone = []
    for count in (1, 2, 3):
        shop.go(lambda count=count: len(shop.fleet.retired) == count)
        gone.append(shop.clock())

    assert shop.fleet.retired == [V1, V2, V3]
    for was_promoted, was_removed in zip(promoted, gone, strict=True):
        assert hours(2) <= was_removed - was_promoted <= hours(2) + minutes(2)
    shop.go(lambda: all(shop.of(f"to-v{n}").over for n in (2, 3, 4)))
    assert [shop.said(f"to-v{n}", Escalated) for n in (2, 3, 4)] == [[], [], []]
    assert shop.release(V1, V2) == shop.of("to-v2")  # started again, long after its end


def test_it_goes_while_the_next_one_is_half_way() -> None:
    shop = Service()
    shop.promote(V1, V2)
    shop.release(V2, V3, weights=percents(10, 100), bake=hours(6))
    shop.go(lambda: bool(shop.fleet.retired))

    assert shop.fleet.retired == [V1]
    assert shop.of("to-v3").phase is Phase.PROGRESSING


def test_a_candidate_that_was_taken_back_goes_while_the_next_one_is_tried() -> None:
    shop = Service()
    shop.release(V1, V2, bake=hours(1))
    shop.wait(5)
    submit(shop.store, "to-v2", Abort(at=shop.clock(), by="eve", why="no"))
    shop.go(lambda: shop.of("to-v2").phase is Phase.ROLLED_BACK)
    shop.promote(V1, V3)
    shop.go(lambda: shop.of("to-v2").over)

    assert shop.fleet.retired == [V2]
    assert shop.said("to-v2", Escalated) == []


def test_who_goes_back_two_versions_keeps_what_the_first_of_them_would_have_removed() -> None:
    shop = Service()
    shop.promote(V1, V2)
    shop.promote(V2, V3)
    shop.release(V3, V1)

    assert shop.of("to-v2").over
    shop.go(lambda: shop.of("to-v1").over)
    assert shop.fleet.retired == [V2, V3]


def test_what_an_earlier_one_is_removing_already_can_t_be_had_two_releases_later() -> None:
    class Stuck(MemoryFleet):
        def retire(self, release: Release, version: Version) -> None:
            raise TimeoutError("still draining")

    shop = Service(fleet=Stuck())
    shop.promote(V1, V2, retire_after=seconds(0))
    shop.go(lambda: shop.of("to-v2").progress.retirement.value == "asked")
    shop.promote(V2, V3)

    with pytest.raises(ConflictError, match="v1 is being removed since 'to-v2' was promoted"):
        shop.release(V3, V1)


def test_who_came_by_another_store_may_need_it() -> None:
    shop = Service()
    shop.promote(V1, V2)
    shop.promote(V2, V3)
    elsewhere = attrs.evolve(shop, store=MemoryStore())
    elsewhere.release(V3, V1)
    elsewhere.wait(2)
    shop.go(lambda: shop.of("to-v2").over and shop.of("to-v3").over)

    assert shop.fleet.retired == []
    for id, kept in (("to-v2", "v1"), ("to-v3", "v2")):
        [why] = shop.said(id, Escalated)
        assert f"stable ({kept}) was not removed: another rollout (generation 3) has used" in why


def test_it_is_kept_while_the_router_serves_what_the_next_one_does_not_know() -> None:
    """As after a restored object, or an edit by hand: the old version may have a part of it."""

    class Restored(MemoryRouter):
        def read(self, release: Release) -> Any:
            served = MemoryRouter.read(self, release)
            return attrs.evolve(served, unattributed=percents(30)[0])

    shop = Service()
    shop.promote(V1, V2)
    shop.promote(V2, V3)
    restored = Restored()
    for field in attrs.fields(MemoryRouter):
        setattr(restored, field.name, getattr(shop.router, field.name))
    shop.router = restored
    shop.go(lambda: shop.of("to-v2").over)

    assert shop.fleet.retired == []
    said = shop.said("to-v2", Escalated)
    alone = "the router does not serve the versions of to-v3 alone"
    assert f"the old version can't be removed: {alone}" in said[0]
    assert "for 1 d the router did not serve the versions of to-v3 alone" in said[-1]


def test_it_goes_though_the_next_one_has_removed_its_own_before() -> None:
    """A router that lists its backends does not know the release of the next one then."""

    class Listing(MemoryRouter):
        def read(self, release: Release) -> Any:
            served = MemoryRouter.read(self, release)
            gone = any(each in shop.fleet.retired for each in release.versions.values())
            return attrs.evolve(served, converged=not gone)

    shop = Service(router=Listing())
    shop.promote(V1, V2)
    shop.promote(V2, V3, retire_after=minutes(10))
    shop.go(lambda: shop.of("to-v2").over and shop.of("to-v3").over)

    assert shop.fleet.retired == [V2, V1]
    assert shop.said("to-v2", Escalated) == []


def test_it_is_kept_while_what_serves_instead_can_t_carry_it() -> None:
    """The next one has begun, because this one is sick; the old version is the only one that is
    well.
    """
    shop = Service()
    shop.promote(V1, V2)
    shop.wait(110)
    shop.fleet.capacities[Track.CANDIDATE] = Capacity(percents(0)[0])
    shop.fleet.capacities[Track.STABLE] = Capacity(percents(0)[0])
    shop.release(V2, V3)
    shop.wait(40)
    assert shop.fleet.retired == []
    shop.fleet.capacities = dict.fromkeys(Track, Capacity(percents(100)[0]))
    shop.go(lambda: shop.of("to-v2").over)
    assert shop.fleet.retired == [V1]


def test_it_is_kept_while_the_next_one_s_versions_can_t_carry_it() -> None:
    shop = Service()
    shop.promote(V1, V2)
    shop.promote(V2, V3)
    shop.wait(100)
    shop.fleet.capacities = dict.fromkeys(Track, Capacity(percents(30)[0]))
    shop.wait(30)

    assert shop.fleet.retired == []
    waits = shop.of("to-v2").progress.waiting
    assert waits is not None and "candidate (v3) to be ready for 100 %" in waits.why


@pytest.mark.parametrize("ends", ["before it wrote", "late", "superseded"])
def test_one_that_has_said_so_and_has_not_the_router_yet_spoils_nothing(ends: str) -> None:
    shop = Service()
    shop.promote(V1, V2)
    shop.promote(V2, V3)
    shop.wait(5)
    if ends == "late":
        shop.go(lambda: shop.of("to-v2").wake_at is not None and shop.clock() >= START + hours(2))
    if ends == "superseded":
        shop.release(V3, V4, bake=hours(1))
        shop.wait(5)
        start(
            QUICK,
            Release(service="shop", stable=V3, candidate=Version("v5")),
            id="to-v5",
            ports=shop.ports,
            if_running=IfRunning.SUPERSEDE,
        )
        submit(shop.store, "to-v5", Abort(at=shop.clock(), by="eve", why="wrong build"))
    else:
        shop.release(V3, V4)
    if ends == "before it wrote":
        submit(shop.store, "to-v4", Abort(at=shop.clock(), by="eve", why="wrong build"))
    shop.go(lambda: shop.of("to-v2").over and shop.of("to-v3").over)

    assert [each for each in shop.fleet.retired if each in (V1, V2)] == [V1, V2]
    assert shop.said("to-v2", Escalated) == shop.said("to-v3", Escalated) == []


def test_a_start_that_is_refused_has_told_nobody_anything(colour: Colour) -> None:
    class Stuck(MemoryFleet):
        def retire(self, release: Release, version: Version) -> None:
            if version == V2:
                raise TimeoutError("still draining")
            MemoryFleet.retire(self, release, version)

    shop = Service(fleet=Stuck())
    shop.promote(V1, V2)
    shop.promote(V2, V3, retire_after=seconds(0))
    shop.go(lambda: shop.of("to-v3").progress.retirement.value == "asked")
    before = shop.of("to-v2")
    with pytest.raises(ConflictError, match="v2 is being removed since 'to-v3' was promoted"):
        colour.start(
            QUICK,
            Release(service="shop", stable=V3, candidate=V2),
            id="back",
            ports=shop.ports,
        )

    assert shop.of("to-v2") == before


class Racing(MemoryStore):
    """A store in which somebody else starts a rollout just before the first save of one, and aborts
    it once that one has begun to wait.
    """

    meanwhile: Callable[[], object] | None = None
    ends: Callable[[], object] | None = None

    def save(self, rollout: Rollout, *given: Any, **named: Any) -> None:
        if self.meanwhile is not None and rollout.id == "to-v4":
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        MemoryStore.save(self, rollout, *given, **named)

    def load(self, id: str) -> Rollout | None:
        if self.ends is not None and id == "to-v3":
            ends, self.ends = self.ends, None
            ends()
        return MemoryStore.load(self, id)


@pytest.mark.parametrize("waits", [IfRunning.FOLLOW, IfRunning.QUEUE, IfRunning.REFUSE])
def test_of_two_that_start_at_once_one_waits_or_is_refused(
    waits: IfRunning, colour: Colour
) -> None:
    store = Racing()
    shop = Service(store=store)
    shop.promote(V1, V2)

    def other() -> None:
        shop.release(V2, V3)
        if waits is not IfRunning.REFUSE:
            enough = Abort(at=shop.clock(), by="eve", why="wrong build")
            store.ends = lambda: submit(store, "to-v3", enough)

    store.meanwhile = other
    release = Release(service="shop", stable=V2, candidate=V4)

    def started() -> Any:
        return colour.start(QUICK, release, id="to-v4", ports=shop.ports, if_running=waits)

    if waits is IfRunning.REFUSE:
        with pytest.raises(ConflictError, match="to-v3"):
            started()
        assert store.load("to-v4") is None
        assert [each.rollout for each in shop.of("to-v2").progress.successors] == ["to-v3"]
    else:
        assert started().id == "to-v4"
        assert shop.of("to-v3").final


def test_who_starts_again_tells_those_that_a_crash_has_left_out() -> None:
    class Dies(MemoryStore):
        armed = False

        def load(self, id: str) -> Any:
            if self.armed and MemoryStore.load(self, "to-v3") is not None and id == "to-v2":
                self.armed = False
                raise KeyboardInterrupt
            return MemoryStore.load(self, id)

    store = Dies()
    shop = Service(store=store)
    shop.promote(V1, V2)
    store.armed = True
    with pytest.raises(KeyboardInterrupt):
        shop.release(V2, V3)
    assert shop.of("to-v2").progress.successors == ()

    for _ in range(2):  # said twice is as said once
        shop.release(V2, V3)
        assert [each.rollout for each in shop.of("to-v2").progress.successors] == ["to-v3"]
        serial = shop.of("to-v2").serial
    assert shop.of("to-v2").serial == serial


@pytest.mark.parametrize("removes", ["the old version", "the candidate"])
def test_what_is_removed_at_once_is_the_version_without_traffic(
    removes: str, colour: Colour
) -> None:
    """In the very tick that ends the rollout."""
    shop = Service()
    at_once = {"retire_after": seconds(0), "remove_candidate_after": seconds(0)}
    id = shop.release(V1, V2, **at_once).id
    if removes == "the candidate":
        shop.wait(2)
        submit(shop.store, id, Abort(at=shop.clock(), by="eve", why="no"))
    while not shop.of(id).over:
        colour.tick(id, shop.ports)
        shop.clock.advance(seconds(20))

    assert shop.fleet.retired == [V1 if removes == "the old version" else V2]


def test_a_word_that_comes_with_a_tick_is_proven_by_its_own_release_all_the_same() -> None:
    shop = Service()
    shop.promote(V1, V2)
    shop.wait(10)
    rollback_now(shop.router, Release(service="shop", stable=V1, candidate=V2))
    shop.clock.advance(hours(2))
    for _ in range(3):
        tick("to-v2", shop.ports)
        shop.clock.advance(seconds(20))
    later = Release(service="shop", stable=V2, candidate=V3)
    said = Superseded(at=shop.clock(), rollout="to-v3", release=later, by="eve", why="v3 is")
    for _ in range(4):
        tick("to-v2", shop.ports, said)
        shop.clock.advance(seconds(20))

    assert shop.fleet.retired == []


def test_a_person_may_say_so_too_and_only_of_what_is_true() -> None:
    shop = Service()
    shop.promote(V1, V2)

    def say(stable: Version, candidate: Version, rollout: str = "by-hand", to: str = "shop") -> Any:
        before = len(shop.said("to-v2", Refused))
        later = Release(service=to, stable=stable, candidate=candidate)
        said = Superseded(at=shop.clock(), rollout=rollout, release=later, by="eve", why="v3 is")
        submit(shop.store, "to-v2", said)
        return shop.said("to-v2", Refused)[before:]

    [needs] = say(V2, V1)
    assert "by-hand needs v1; an Abort keeps it" in needs
    [itself] = say(V2, V3, rollout="to-v2")
    assert "to-v2 is no later rollout of shop" in itself
    [elsewhere] = say(V2, V3, to="cart")
    assert "by-hand is no later rollout of shop" in elsewhere
    assert say(V2, V3) == []
    superseded = shop.of("to-v2")
    assert superseded.successor is None  # it has not claimed the router
    assert superseded.read_by == superseded.release
    assert loads(dumps(superseded)) == superseded
    later = Release(service="shop", stable=V2, candidate=V3)
    shop.router.apply(
        later,
        Traffic(),
        marker=Marker(generation=7, owner=Marker.owner_of("by-hand")),
        expect=None,
    )
    shop.wait(2)
    assert shop.of("to-v2").read_by == later
    shop.go(lambda: shop.of("to-v2").over)
    assert shop.fleet.retired == [V1]
    assert "declared" not in repr(shop.of("to-v2"))
    assert shop.of("to-v2").status.declared is None
    [late] = say(V2, V3)
    assert "it has no version to remove (eve: v3 is)" in late


@pytest.mark.parametrize("ends", ["promoted", "rolled back"])
def test_who_follows_takes_what_serves_then_as_stable(ends: str, colour: Colour) -> None:
    shop = Service()
    shop.release(V1, V2, bake=minutes(30))
    if ends == "rolled back":
        submit(shop.store, "to-v2", Abort(at=shop.clock(), by="eve", why="no"))
    shop.go(lambda: shop.of("to-v2").final)
    for _ in range(2):  # and once more: it is the same rollout
        rollout = colour.start(
            QUICK,
            Release(service="shop", stable=V1, candidate=V3),
            id="to-v3",
            ports=shop.ports,
            if_running=IfRunning.FOLLOW,
        )

        assert rollout.release.stable == (V2 if ends == "promoted" else V1)
    with pytest.raises(ConflictError, match="is of another release"):
        colour.start(
            QUICK,
            Release(service="shop", stable=V1, candidate=V4),
            id="to-v3",
            ports=shop.ports,
            if_running=IfRunning.FOLLOW,
        )


def test_who_follows_can_t_release_what_serves_already_nor_in_its_place(colour: Colour) -> None:
    shop = Service()
    shop.promote(V1, V2)
    for candidate, why in (
        (V2, "v2 serves already since 'to-v2' has ended; nothing was started"),
        (Version("v3", backend="v2"), "is where v2 serves since 'to-v2' has ended"),
    ):
        with pytest.raises(ConflictError, match=why):
            colour.start(
                QUICK,
                Release(service="shop", stable=V1, candidate=candidate),
                id="next",
                ports=shop.ports,
                if_running=IfRunning.FOLLOW,
            )
    with pytest.raises(StrategyError, match="a copy of a stable that is not known yet"):
        colour.start(
            QUICK,
            Release(service="shop", stable=V1, candidate=V3, baseline=Version("v1", backend="b")),
            id="next",
            ports=shop.ports,
            if_running=IfRunning.FOLLOW,
        )


def test_who_follows_waits_for_the_end_and_begins_a_service_as_it_is_told() -> None:
    shop = Service()
    release = Release(service="shop", stable=V1, candidate=V2)
    first = start(QUICK, release, id="to-v2", ports=shop.ports, if_running=IfRunning.FOLLOW)
    assert first.release.stable == V1

    def the_driver_goes_on(_: float) -> None:
        shop.clock.until(shop.of("to-v2").wake_at or shop.clock())
        tick("to-v2", shop.ports)

    next_one = start(
        QUICK,
        Release(service="shop", stable=V1, candidate=V3),
        id="to-v3",
        ports=shop.ports,
        if_running=IfRunning.FOLLOW,
        wait=hours(1),
        sleep=the_driver_goes_on,
    )

    assert next_one.release.stable == V2
    with pytest.raises(StrategyError):
        start(
            canary(),
            Release(service="shop", stable=V1, candidate=V3),
            id="again",
            ports=attrs.evolve(shop.ports, metrics=[]),
            if_running=IfRunning.FOLLOW,
        )
