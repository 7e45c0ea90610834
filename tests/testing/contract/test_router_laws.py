"""`check_router` lets good routers through, bites every bad one with a sentence that names the
fault, and leaves all traffic on stable.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import Any

import attrs
import pytest
from tests.support.broken_routers import (
    FAULTS,
    HALF_WAYS,
    ONLY_WEIGHTS,
    THREE,
    TWO,
    Asynchronous,
    Plain,
    Regions,
    Unconditional,
)
from tests.support.rules import rule

from progressive import Release, RouterError, Served, Traffic, percent, seconds
from progressive.errors import Failure
from progressive.model import Capabilities, Marker
from progressive.testing import LawBroken, MemoryRouter, acheck_router, check_router
from progressive.testing.doubles import ALL


class Lagging(Plain):
    """What is written shows later, when time has passed."""

    def __init__(self) -> None:
        super().__init__()
        self.coming = Traffic()

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        self.capabilities.refuse(release, traffic)
        self.coming = traffic
        return self.read(release)

    def catch_up(self) -> None:
        self.system = self.coming


GOOD: dict[str, Callable[[], Any]] = {
    "all that there is": MemoryRouter,
    "weights": lambda: MemoryRouter(capabilities=ONLY_WEIGHTS),
    "a switch": lambda: MemoryRouter(
        capabilities=Capabilities(smallest_weight=percent(100), baseline=True)
    ),
    "odd steps": lambda: MemoryRouter(
        capabilities=attrs.evolve(ALL, smallest_weight=percent(12.5))
    ),
    "plain": Plain,
    "asynchronous": Asynchronous,
    "used before": lambda: MemoryRouter(marker=Marker(generation=99, serial=7, closed=True)),
}


@rule("R3", "R12", "R22")
@pytest.mark.parametrize("make", GOOD.values(), ids=GOOD)
def test_a_good_router_passes_and_ends_with_all_traffic_on_stable(make: Callable[[], Any]) -> None:
    router = make()
    check_router(router, THREE)

    assert getattr(router, "traffic", Traffic()) == Traffic()


@pytest.mark.parametrize("make", GOOD.values(), ids=GOOD)
def test_it_passes_on_the_loop_of_the_test_too(make: Callable[[], Any]) -> None:
    router = make()

    async def test() -> int:
        await acheck_router(router, THREE)
        return id(asyncio.get_running_loop())

    loop = asyncio.run(test())
    assert getattr(router, "loops", {loop}) == {loop}


def test_what_is_edited_beside_the_router_is_tried_where_the_test_can() -> None:
    router = MemoryRouter()
    edits: list[Traffic] = []
    check_router(router, THREE, edit=lambda traffic: (edits.append(traffic), router.edit(traffic)))

    assert edits == [Traffic(candidate=percent(50))] * 2


def test_a_router_that_lags_is_waited_for_by_time_and_by_a_function() -> None:
    lagging = Lagging()
    check_router(lagging, TWO, settle=lagging.catch_up)

    class Slow(Lagging):
        reads = 0

        def read(self, release: Release) -> Served:
            self.reads += 1
            if self.reads % 3 == 0:
                self.catch_up()
            return super().read(release)

    check_router(Slow(), TWO, settle=timedelta(seconds=0.2))
    with pytest.raises(
        AssertionError,
        match=r"if it only takes a moment to show, say how long: settle=seconds\(2\)",
    ):
        check_router(Lagging(), TWO)


class Remembers(Plain):
    """Answers with what it was told, whatever the system says."""

    told = Traffic()

    def read(self, release: Release) -> Served:
        return Served(traffic=self.told)

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        self.capabilities.refuse(release, traffic)
        self.told = self.system = traffic
        return self.read(release)


@pytest.mark.parametrize(
    ("make", "said"), [case[1:] for case in FAULTS], ids=[case[0] for case in FAULTS]
)
def test_a_fault_is_named_with_what_was_expected_what_came_and_how_to_mend_it(
    make: Callable[[], Any], said: str
) -> None:
    with pytest.raises(AssertionError, match=re.escape(said)) as caught:
        check_router(make(), THREE)

    assert re.fullmatch(
        r"\S[^\n]+\n  expected: [^\n]*\n  seen:     [^\n]*\n  hint:     [^\n]+(\n  law:     "
        r" [^\n]+)?",
        str(caught.value),
    )


def test_a_router_that_never_looks_at_the_system_is_found_by_an_edit() -> None:
    router = Remembers()
    check_router(router, TWO)

    with pytest.raises(
        AssertionError, match=r"Remembers.read does not see what somebody else has changed"
    ):
        check_router(router, TWO, edit=lambda traffic: setattr(router, "system", traffic))


def test_a_broken_law_is_named_and_all_traffic_goes_back_to_stable() -> None:
    router = Unconditional()
    with pytest.raises(LawBroken) as caught:
        check_router(router, THREE)

    assert caught.value.law == "a write on what has moved is refused"
    assert router.traffic == Traffic()


def test_where_the_way_back_fails_too_the_error_says_so() -> None:
    class Stuck(Plain):
        def apply(
            self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
        ) -> Served:
            self.capabilities.refuse(release, traffic)
            if self.system.candidate.ppm:
                raise RouterError("503")
            self.system = traffic
            return self.read(release)

    with pytest.raises(AssertionError, match="RouterError: 503") as caught:
        check_router(Stuck(), TWO)

    assert (
        caught.value.__notes__[-1]
        == "The way back to stable failed too: RouterError: 503. Look where the traffic goes."
    )


@pytest.mark.parametrize(
    "left",
    [
        Served(traffic=Traffic(candidate=percent(5))),
        Served(traffic=Traffic(), unattributed=percent(2)),
    ],
    ids=str,
)
def test_nothing_is_written_unless_it_is_handed_over_with_all_traffic_on_stable(
    left: Served,
) -> None:
    class Busy(Plain):
        def read(self, release: Release) -> Served:
            return left

        def apply(
            self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
        ) -> Served:
            raise KeyboardInterrupt

    with pytest.raises(AssertionError, match=r"Busy.read says that not all traffic is on stable"):
        check_router(Busy(), TWO)


@pytest.mark.parametrize(
    ("release", "said"),
    [
        (TWO, "MemoryRouter.capabilities.baseline can't be tried"),
        (attrs.evolve(THREE, stable=None), "a router is tried with two versions"),
    ],
)
def test_a_release_that_is_not_enough_is_said(release: Release, said: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(said)):
        check_router(MemoryRouter(), release)


def test_an_asynchronous_router_that_never_shows_is_given_up() -> None:
    class Never(Asynchronous):
        async def aapply(
            self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
        ) -> Served:
            self.capabilities.refuse(release, traffic)
            return await self.aread(release)

    with pytest.raises(
        AssertionError,
        match=r"after Never.aapply\(1 % candidate\), Never.aread says something else",
    ):
        check_router(Never(), TWO, settle=seconds(0.1))


class Weights(MemoryRouter):
    """Needs two writes for a change; the connection may break after the first of them."""

    failure = Failure.UNKNOWN
    losing = False

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        if not self.losing:
            return super().apply(release, traffic, marker=marker, expect=expect)
        self.edit(Traffic(baseline=traffic.candidate))
        raise RouterError("the connection was reset", failure=self.failure)

    @contextmanager
    def lose(self) -> Iterator[None]:
        self.losing = True
        yield
        self.losing = False


def test_a_write_that_was_done_in_part_is_not_denied() -> None:
    router = Weights()
    report = check_router(router, THREE, broken={"lose_reply": router.lose})

    assert "a write whose reply was lost is unknown" in report.held
    router.failure = Failure.TRANSIENT
    with pytest.raises(LawBroken, match="said that a write was not done, and it was") as caught:
        check_router(router, THREE, broken={"lose_reply": router.lose})
    assert caught.value.law == "a write whose reply was lost is unknown"


def test_a_breakage_that_does_not_reach_the_router_is_said() -> None:
    router = MemoryRouter()
    with pytest.raises(LawBroken, match=r"answered while the system was broken \(broken\['refuse'"):
        check_router(router, THREE, broken={"refuse": nullcontext})


def test_a_way_back_of_several_parts_is_whole() -> None:
    router = Regions()
    report = check_router(router, THREE, parts=router.parts, undo=router.type_it)

    assert "a way back is whole" in report.held
    assert router.regions == {"eu": Traffic(), "us": Traffic()}
    assert "parts=" in check_router(Regions(), THREE).missing


def test_it_is_tried_on_the_loop_of_the_test_too() -> None:
    router = Regions()
    report = asyncio.run(acheck_router(router, THREE, parts=router.parts))

    assert "a way back is whole" in report.held


@pytest.mark.parametrize(("make", "said"), HALF_WAYS, ids=[make.__name__ for make, _ in HALF_WAYS])
def test_a_way_back_that_stops_half_way_is_found(make: type[Regions], said: str) -> None:
    router = make()
    with pytest.raises(LawBroken, match=re.escape(said)) as caught:
        check_router(router, THREE, parts=router.parts, undo=router.type_it)

    assert caught.value.law == "a way back is whole"
    assert router.regions == {"eu": Traffic(), "us": Traffic()}


def test_a_neighbour_of_the_same_service_is_refused() -> None:
    with pytest.raises(LawBroken, match="beside= has the service of the release on trial"):
        check_router(MemoryRouter(), THREE, beside=TWO)
