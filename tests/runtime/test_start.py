"""Whose turn it is: another rollout of the service is running. And the very first version of a
service.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import attrs
import pytest
from tests.support.driven import ANSWERS, Colour, ports
from tests.support.rules import rule
from tests.support.world import ERRORS, START, canary

from progressive import (
    Abort,
    Canary,
    ConflictError,
    IfRunning,
    Limit,
    Metric,
    Phase,
    Ports,
    Release,
    Rollout,
    RouterError,
    StrategyError,
    Track,
    Version,
    afirst_deployment,
    arun,
    astart,
    first_deployment,
    hours,
    iterate,
    minutes,
    percent,
    percents,
    seconds,
    start,
    submit,
    tick,
)
from progressive.errors import FleetError
from progressive.model import Capacity
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import Traffic
from progressive.testing import (
    MemoryFleet,
    MemoryRouter,
    MemoryStore,
    ScriptedMetrics,
    VirtualClock,
    steady,
)

RELEASE = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))
OTHER = Release(service="shop", stable=Version("v1"), candidate=Version("v3"))
CANARY = Canary(weights=percents(10, 100), bake=minutes(5), unguarded="about turns only")
FIRST = Release(service="shop", stable=None, candidate=Version("v1"))


def world(**more: Any) -> tuple[Ports, VirtualClock]:
    clock = VirtualClock()
    return Ports(router=MemoryRouter(), store=MemoryStore(), clock=clock, **more), clock


def running(ports: Ports) -> Rollout:
    """v2, at ten per cent."""
    rollout = start(CANARY, RELEASE, id="shop-v2", ports=ports)
    for _ in range(10):
        rollout = tick("shop-v2", ports).rollout
    assert ports.router.traffic == Traffic(candidate=percent(10))
    return rollout


def stored(ports: Ports, id: str) -> Rollout:
    found: Rollout | None = ports.store.load(id)
    assert found is not None
    return found


def test_another_active_rollout_refuses_by_name_and_stays_untouched() -> None:
    ports, _ = world()
    before = running(ports)

    with pytest.raises(
        ConflictError,
        match=r"'shop' has an active rollout, <Rollout 'shop-v2'.* let it end, or abort it, "
        r"before starting 'shop-v3'",
    ):
        start(CANARY, OTHER, id="shop-v3", ports=ports)

    assert stored(ports, "shop-v2") == before


@rule("R2", "R23")
def test_to_supersede_goes_through_a_verified_0_percent_first() -> None:
    ports, clock = world()
    running(ports)

    rollout = start(
        CANARY,
        OTHER,
        id="shop-v3",
        ports=ports,
        if_running=IfRunning.SUPERSEDE,
        sleep=lambda s: clock.advance(seconds(s)),
    )

    assert (rollout.id, rollout.phase) == ("shop-v3", Phase.PENDING)
    assert (stored(ports, "shop-v2").phase, ports.router.traffic) == (Phase.ROLLED_BACK, Traffic())
    assert stored(ports, "shop-v2").progress.reason == "aborted: superseded by shop-v3"


@pytest.mark.parametrize("after", [seconds(1), minutes(5), hours(24)], ids=str)
@pytest.mark.parametrize("candidate", ["v2", "v3"])
def test_one_whose_candidate_is_to_be_removed_is_superseded_as_soon(
    after: timedelta, candidate: str
) -> None:
    ports, clock = world()
    fleet = MemoryFleet()
    ports = attrs.evolve(ports, fleet=fleet)
    removing = attrs.evolve(CANARY, remove_candidate_after=after)
    start(removing, RELEASE, id="shop-v2", ports=ports)
    while ports.router.traffic == Traffic():
        clock.until(tick("shop-v2", ports).wake_at or clock())
    began = clock()
    following = attrs.evolve(RELEASE, candidate=Version(candidate))
    rollout = start(
        CANARY,
        following,
        id="next",
        ports=ports,
        if_running=IfRunning.SUPERSEDE,
        sleep=lambda s: clock.advance(seconds(s)),
    )

    assert clock() - began <= seconds(30)
    assert (rollout.phase, fleet.retired) == (Phase.PENDING, [])


def test_one_that_is_over_is_superseded_though_the_store_could_not_say_so_at_once(
    colour: Colour, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_: object) -> None:
        return None

    monkeypatch.setattr("progressive.runtime.start.try_load", lambda *_: None)
    monkeypatch.setattr("progressive.runtime.start.atry_load", silent)
    ports, _ = world()
    running(ports)
    rollout = colour.start(CANARY, OTHER, id="shop-v3", ports=ports, if_running=IfRunning.SUPERSEDE)

    assert rollout.phase is Phase.PENDING
    assert stored(ports, "shop-v2").phase is Phase.ROLLED_BACK


def test_one_that_somebody_drives_is_superseded_by_telling_that_one() -> None:
    ports, clock = world()
    running(ports)
    driver = iterate("shop-v2", ports, sleep=lambda s: clock.advance(seconds(s)))
    next(driver)

    class Locked(MemoryStore):
        def driving(self, id: str) -> Any:
            raise ConflictError(f"rollout {id!r} is driven by another process")

    locked = Locked()
    vars(locked).update(vars(ports.store))

    def the_driver_goes_on(_: float) -> None:
        clock.advance(seconds(1))
        next(driver, None)

    rollout = start(
        CANARY,
        OTHER,
        id="shop-v3",
        if_running=IfRunning.SUPERSEDE,
        sleep=the_driver_goes_on,
        ports=Ports(router=ports.router, store=locked, clock=clock),
    )

    assert (rollout.id, ports.router.traffic) == ("shop-v3", Traffic())


def test_to_queue_waits_until_the_other_has_ended_by_itself() -> None:
    ports, clock = world()
    running(ports)

    def the_driver_goes_on(_: float) -> None:
        clock.until(stored(ports, "shop-v2").wake_at or clock())
        tick("shop-v2", ports)

    following = RELEASE.next(Version("v3"))
    rollout = start(
        CANARY,
        following,
        id="shop-v3",
        ports=ports,
        if_running=IfRunning.QUEUE,
        wait=minutes(60),
        sleep=the_driver_goes_on,
    )

    assert (stored(ports, "shop-v2").phase, rollout.phase) == (Phase.PROMOTED, Phase.PENDING)


@pytest.mark.parametrize(
    ("ends", "stable", "serves"), [("promoted", "v1", "v2"), ("rolled back", "v2", "v1")]
)
def test_who_queued_with_the_wrong_version_as_stable_is_told_which_serves(
    ends: str, stable: str, serves: str
) -> None:
    ports, clock = world()
    running(ports)

    def the_driver_goes_on(_: float) -> None:
        clock.until(stored(ports, "shop-v2").wake_at or clock())
        if ends == "rolled back":
            assert ports.store is not None
            submit(ports.store, "shop-v2", Abort(at=clock(), by="eve", why="enough"))
        tick("shop-v2", ports)

    with pytest.raises(ConflictError) as caught:
        start(
            CANARY,
            Release(service="shop", stable=Version(stable), candidate=Version("v3")),
            id="shop-v3",
            ports=ports,
            if_running=IfRunning.QUEUE,
            wait=minutes(60),
            sleep=the_driver_goes_on,
        )

    assert str(caught.value) == (
        f"'shop-v2' was {ends}, so {serves} serves now and not {stable}; nothing was started: "
        f"start again with {serves} as stable, or with IfRunning.FOLLOW"
    )
    assert ports.store is not None and ports.store.load("shop-v3") is None


@pytest.mark.parametrize("if_running", [IfRunning.QUEUE, IfRunning.SUPERSEDE])
@rule("R30")
def test_a_turn_that_does_not_come_ends_in_an_error_and_nothing_was_started(
    if_running: IfRunning,
) -> None:
    class Stuck(MemoryRouter):
        def apply(
            self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
        ) -> Served:
            if traffic == Traffic() and self.traffic != Traffic():
                raise RouterError("the API is away")
            return MemoryRouter.apply(self, release, traffic, marker=marker, expect=expect)

    clock = VirtualClock()
    ports = Ports(router=Stuck(), store=MemoryStore(), clock=clock)
    running(ports)

    with pytest.raises(
        ConflictError,
        match=r"has not ended in time; nothing was started \((queue|supersede)\); try again",
    ):
        start(
            CANARY,
            OTHER,
            id="shop-v3",
            ports=ports,
            if_running=if_running,
            sleep=lambda s: clock.advance(seconds(s)),
        )

    assert ports.store.load("shop-v3") is None


def test_what_is_wrong_with_the_new_one_is_said_before_the_other_is_aborted() -> None:
    ports, _ = world()
    before = running(ports)
    unbound = Canary(
        weights=percents(10, 100),
        checks=[Limit(Metric("errors", kind="ratio"), at_most=percent(1))],
    )

    for strategy, release in ((unbound, OTHER), (CANARY, FIRST)):
        with pytest.raises(StrategyError):
            start(strategy, release, id="shop-v3", ports=ports, if_running=IfRunning.SUPERSEDE)

    assert stored(ports, "shop-v2") == before


def test_without_another_one_nothing_is_waited_for() -> None:
    ports, _ = world()

    assert (
        start(CANARY, RELEASE, id="shop-v2", ports=ports, if_running=IfRunning.QUEUE).phase
        is Phase.PENDING
    )
    assert (
        start(CANARY, RELEASE, id="shop-v2", ports=ports, if_running=IfRunning.SUPERSEDE).phase
        is Phase.PENDING
    )


@pytest.mark.parametrize("if_running", [IfRunning.QUEUE, IfRunning.SUPERSEDE])
def test_the_asynchronous_colour_takes_turns_too(if_running: IfRunning) -> None:
    ports = Ports(router=MemoryRouter(), store=MemoryStore())
    quick = Canary(
        weights=percents(100),
        bake=seconds(0.3),
        unguarded="about turns only",
        watch_every=seconds(1),
    )
    start(quick, RELEASE, id="shop-v2", ports=ports)

    queues = if_running is IfRunning.QUEUE
    following = RELEASE.next(Version("v3")) if queues else OTHER

    async def both() -> Rollout:
        waits = asyncio.create_task(
            astart(
                CANARY,
                following,
                id="shop-v3",
                ports=ports,
                if_running=if_running,
                wait=minutes(1),
            )
        )
        if queues:
            await arun("shop-v2", ports)
        return await waits

    rollout = asyncio.run(both())

    assert (rollout.id, stored(ports, "shop-v2").final) == ("shop-v3", True)


def test_an_asynchronous_turn_that_does_not_come_ends_in_an_error() -> None:
    ports = Ports(router=MemoryRouter(), store=MemoryStore())
    start(CANARY, RELEASE, id="shop-v2", ports=ports)

    with pytest.raises(ConflictError, match="has not ended in time"):
        asyncio.run(
            astart(
                CANARY,
                OTHER,
                id="shop-v3",
                ports=ports,
                if_running=IfRunning.QUEUE,
                wait=seconds(0.01),
            )
        )


def test_an_asynchronous_way_back_that_takes_too_long_ends_in_an_error() -> None:
    class Stuck(MemoryRouter):
        async def aapply(
            self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
        ) -> Served:
            raise RouterError("the API is away")

    ports = Ports(router=Stuck(), store=MemoryStore())
    running(ports)

    with pytest.raises(ConflictError, match="has not ended in time"):
        asyncio.run(
            astart(
                CANARY,
                OTHER,
                id="shop-v3",
                ports=ports,
                if_running=IfRunning.SUPERSEDE,
                wait=seconds(0.01),
            )
        )


# -------------------------------------------------------------------------------- the first version


class Only(MemoryFleet):
    """A fleet that knows the candidate only, in both colours."""

    async def asurvey(self, release: Release) -> Mapping[Track, Capacity]:
        return self.survey(release)


def deploy(colour: str, router: MemoryRouter, release: Release = FIRST, **more: Any) -> Served:
    if colour == "sync":
        return first_deployment(router, release, **more)
    return asyncio.run(afirst_deployment(router, release, **more))


colours = pytest.mark.parametrize("colour", ["sync", "async"])


@colours
def test_the_first_version_gets_everything_in_one_write_and_claims_the_router(colour: str) -> None:
    router = MemoryRouter()

    served = deploy(colour, router, fleet=Only())

    assert (served.traffic, served.marker, len(router.history)) == (
        Traffic(candidate=percent(100)),
        Marker(generation=1),
        1,
    )


@colours
def test_it_claims_the_generation_after_the_one_that_is_there(colour: str) -> None:
    router = MemoryRouter(marker=Marker(generation=7, serial=3))

    with pytest.raises(
        ConflictError,
        match=r"a rollout has claimed the router of 'shop' \(generation 7\); .* say take_over=True",
    ):
        deploy(colour, router)
    assert router.history == []
    assert deploy(colour, router, take_over=True).marker == Marker(generation=8)


@colours
def test_a_router_that_serves_somebody_else_is_not_taken_by_a_slip_of_the_pen(colour: str) -> None:
    class Busy(MemoryRouter):
        def read(self, release: Release) -> Served:
            return Served(
                traffic=self.traffic, unattributed=percent(95) if not self.history else percent(0)
            )

    router = Busy()

    with pytest.raises(
        ConflictError,
        match=r"95 % of the requests of 'shop' go elsewhere now; start a rollout with "
        r"Release\(stable=\.\.\.\)",
    ):
        deploy(colour, router)
    assert router.history == []
    assert deploy(colour, router, take_over=True).traffic == Traffic(candidate=percent(100))


@colours
@pytest.mark.parametrize(
    ("capacities", "why"),
    [
        ({Track.CANDIDATE: Capacity(percent(50), why="1 of 2")}, r"it can carry 50 % \(1 of 2\)"),
        ({}, "the fleet knows none of its instances"),
    ],
)
@rule("R6")
def test_instances_that_are_not_ready_get_nothing(
    colour: str, capacities: dict[Track, Capacity], why: str
) -> None:
    router = MemoryRouter()

    with pytest.raises(
        FleetError, match=rf"candidate \(v1\) is not ready: {why}; nothing was written, try again"
    ):
        deploy(colour, router, fleet=Only(capacities=capacities))

    assert router.history == []


@colours
def test_a_service_with_a_stable_version_takes_a_rollout(colour: str) -> None:
    with pytest.raises(
        StrategyError, match=r"'shop' has a stable version \(v1\); start a rollout instead"
    ):
        deploy(colour, MemoryRouter(), RELEASE)


@rule("R5")
def test_a_router_that_says_something_else_afterwards_is_an_error() -> None:
    class Forgets(MemoryRouter):
        def read(self, release: Release) -> Served:
            return Served(traffic=Traffic(), version="1")

    with pytest.raises(
        RouterError,
        match="written, but the router serves 0 % candidate of 'shop' to v1; read it again",
    ):
        first_deployment(Forgets(), FIRST)


def test_what_follows_is_an_ordinary_release() -> None:
    assert FIRST.next(Version("v2")) == RELEASE


def test_going_back_keeps_the_version_that_was_to_be_removed() -> None:
    from tests.support.world import RELEASE

    script = ScriptedMetrics({ERRORS: steady(50, stable=0.001, candidate=0.001)})
    ports = Ports(
        router=MemoryRouter(),
        metrics=[script],
        store=MemoryStore(),
        clock=VirtualClock(START),
        fleet=MemoryFleet(),
    )
    start(canary(retire_after=hours(24), weights=percents(100)), RELEASE, id="there", ports=ports)
    while (decision := tick("there", ports)).rollout.phase is not Phase.PROMOTED:
        ports.clock.until(decision.wake_at)  # type: ignore[attr-defined]
    start(canary(), RELEASE.reversed(), id="back", ports=ports)

    assert ports.store.load("there").over
    with pytest.raises(ConflictError, match="active rollout"):
        start(canary(), RELEASE.next(RELEASE.candidate.__class__("v3")), id="third", ports=ports)


def test_an_old_version_that_is_being_removed_can_t_be_had_back() -> None:
    bound = Ports(
        router=MemoryRouter(),
        metrics=[ANSWERS],
        store=MemoryStore(),
        clock=VirtualClock(START),
        fleet=MemoryFleet(),
    )
    rollout = start(canary(retire_after=seconds(0)), RELEASE, id="r", ports=bound)
    stuck = attrs.evolve(bound, fleet=Stuck())
    while rollout.progress.retirement.value != "asked":
        decision = tick("r", stuck)
        rollout = decision.rollout
        bound.clock.until(decision.wake_at)  # type: ignore[attr-defined]
    with pytest.raises(ConflictError, match="v1 is being removed since 'r' was promoted"):
        start(canary(), RELEASE.reversed(), id="back", ports=bound)


def test_a_candidate_that_is_to_be_removed_is_kept_for_the_next_rollout_that_has_it() -> None:
    fleet, bad = MemoryFleet(), ScriptedMetrics({ERRORS: steady(50, stable=0.001, candidate=0.3)})
    ports = Ports(
        router=MemoryRouter(),
        metrics=[bad],
        store=MemoryStore(),
        clock=VirtualClock(START),
        fleet=fleet,
    )
    taken_back = canary(remove_candidate_after=hours(24))
    start(taken_back, RELEASE, id="first", ports=ports)
    while (decision := tick("first", ports)).rollout.phase is not Phase.ROLLED_BACK:
        ports.clock.until(decision.wake_at)  # type: ignore[attr-defined]
    start(canary(remove_candidate_after=seconds(0)), RELEASE, id="again", ports=ports)

    assert ports.store.load("first").over
    assert fleet.retired == []
    while not (decision := tick("again", ports)).rollout.over:
        ports.clock.until(decision.wake_at)  # type: ignore[attr-defined]
    assert fleet.retired == [RELEASE.candidate]


@pytest.mark.parametrize("bad", [False, True], ids=["promoted", "rolled back"])
def test_the_next_version_in_the_place_of_one_that_is_to_be_removed_keeps_the_place(
    bad: bool,
) -> None:
    """Blue and green: a fleet removes what runs in a place, whatever was released to it since."""
    blue, green = Version("v1", backend="blue"), Version("v2", backend="green")
    first = Release(service="shop", stable=blue, candidate=green)
    place = "green" if bad else "blue"
    later = Release(
        service="shop",
        stable=blue if bad else green,
        candidate=Version("v3", backend=place),
    )
    bound = Ports(
        router=MemoryRouter(),
        metrics=[ScriptedMetrics({ERRORS: steady(50, candidate=0.3 if bad else 0.0)})],
        store=MemoryStore(),
        clock=VirtualClock(START),
        fleet=MemoryFleet(),
    )
    for id, after, fleet in (("due", hours(24), bound.fleet), ("asked", seconds(0), Stuck())):
        bound = attrs.evolve(bound, router=MemoryRouter(), store=MemoryStore())
        plan = canary(retire_after=after, remove_candidate_after=after)
        rollout = start(plan, first, id=id, ports=bound)
        while not rollout.final or rollout.progress.retirement.value != id:
            decision = tick(id, attrs.evolve(bound, fleet=fleet))
            rollout = decision.rollout
            bound.clock.until(decision.wake_at)  # type: ignore[attr-defined]
        if id == "due":
            start(canary(), later, id="next", ports=bound)
            assert bound.store.load(id).over
        else:
            with pytest.raises(ConflictError, match="is being removed since"):
                start(canary(), later, id="next", ports=bound)


class Stuck(MemoryFleet):
    """A fleet that never gets it done."""

    def retire(self, *given: Any) -> None:
        raise TimeoutError("still draining")


def test_a_start_again_is_the_same_rollout_and_another_one_is_refused(colour: Colour) -> None:
    bound = ports()
    first = colour.start(canary(), RELEASE, id="r", ports=bound)
    colour.tick("r", bound)
    assert colour.start(canary(), RELEASE, id="r", ports=bound).id == first.id
    with pytest.raises(ConflictError, match="of another release"):
        colour.start(canary(), RELEASE.next(Version("v3")), id="r", ports=bound)
    with pytest.raises(ConflictError, match="'shop' has an active rollout, <Rollout 'r'"):
        colour.start(canary(), RELEASE, id="r2", ports=bound)
