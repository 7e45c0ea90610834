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
    seconds,
    start,
    submit,
    tick,
)
from progressive.model.router_state import Marker
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
    shop.router = Restored(
        **{field.alias: getattr(shop.router, field.name) for field in attrs.fields(MemoryRouter)}
    )
    shop.go(lambda: shop.of("to-v2").over)

    assert shop.fleet.retired == []
    said = shop.said("to-v2", Escalated)
    alone = "the router does not serve the versions of to-v3 alone"
    assert f"the old version can't be removed: {alone}" in said[0]
    assert "for 1 d the router did not serve the versions of to-v3 alone" in said[-1]


def test_a_person_may_say_so_too_and_only_of_what_is_true() -> None:
    shop = Service()
    shop.promote(V1, V2)

    def say(stable: Version, candidate: Version) -> list[str]:
        before = len(shop.said("to-v2", Refused))
        later = Release(service="shop", stable=stable, candidate=candidate)
        said = Superseded(at=shop.clock(), rollout="by-hand", release=later, by="eve", why="v3 is")
        submit(shop.store, "to-v2", said)
        return shop.said("to-v2", Refused)[before:]

    [needs] = say(V2, V1)
    assert "by-hand needs v1; an Abort keeps it" in needs
    assert say(V2, V3) == []
    superseded = shop.of("to-v2")
    assert superseded.read_by == Release(service="shop", stable=V2, candidate=V3)
    assert loads(dumps(superseded)) == superseded
    shop.router.apply(
        superseded.read_by,
        shop.router.traffic,
        marker=Marker(generation=7, owner=Marker.owner_of("by-hand")),
        expect=None,
    )
    shop.go(lambda: shop.of("to-v2").over)
    assert shop.fleet.retired == [V1]
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
