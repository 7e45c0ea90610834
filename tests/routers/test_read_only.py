"""A router that is only read: a rehearsal is real up to its first write, and writes nothing."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import attrs
import pytest
from tests.support.releases import THREE, TWO
from tests.support.world import ERRORS

from progressive import Canary, Limit, Phase, StrategyError, Traffic, minutes, percent, percents
from progressive.errors import Failure, MetricsError, RouterError
from progressive.model import Capabilities, Marker
from progressive.routers.read_only import ReadOnly
from progressive.testing import MemoryRouter, ScriptedMetrics, play, steady

MARKER = Marker(generation=2, serial=7)
TEN = Traffic(candidate=percent(10))


@attrs.define
class Down(MemoryRouter):
    """It can't be read any more after so many reads."""

    after: int = 0
    reads: int = 0

    def read(self, release: Any) -> Any:
        self.reads += 1
        if self.reads > self.after:
            raise RouterError("no connection", failure=Failure.TRANSIENT)
        return MemoryRouter.read(self, release)


class OnlySync:
    def __init__(self, router: MemoryRouter) -> None:
        self.capabilities, self.read, self.apply = router.capabilities, router.read, router.apply


class OnlyAsync:
    def __init__(self, router: MemoryRouter) -> None:
        self.capabilities, self.aread, self.aapply = (
            router.capabilities,
            router.aread,
            router.aapply,
        )


def sync(router: ReadOnly, traffic: Traffic, marker: Marker, expect: str | None) -> Any:
    return router.apply(TWO, traffic, marker=marker, expect=expect)


def by_asyncio(router: ReadOnly, traffic: Traffic, marker: Marker, expect: str | None) -> Any:
    return asyncio.run(router.aapply(TWO, traffic, marker=marker, expect=expect))


either = pytest.mark.parametrize("write", [sync, by_asyncio])


@either
def test_a_write_is_refused_with_what_it_would_have_been(
    write: Any, caplog: pytest.LogCaptureFixture
) -> None:
    real = MemoryRouter(traffic=Traffic(candidate=percent(5)))
    router = ReadOnly(real)
    said = (
        "read-only: shop would be told to serve 10 % candidate (marker 2:7); it serves 5 % "
        "candidate, and nothing was written"
    )

    with (
        caplog.at_level(logging.INFO, "progressive.adapters"),
        pytest.raises(RouterError) as caught,
    ):
        write(router, TEN, MARKER, router.read(TWO).version)

    assert (str(caught.value), caught.value.failure) == (said, Failure.PERMANENT)
    assert caplog.messages == [said]
    assert (real.history, real.marker) == ([], None)
    assert router.read(TWO) == asyncio.run(router.aread(TWO)) == real.read(TWO)


@either
def test_what_the_router_would_refuse_is_said_and_not_tried_again(write: Any) -> None:
    coarse = MemoryRouter(capabilities=Capabilities(smallest_weight=percent(25)))
    for real, expect, said in (
        (MemoryRouter(marker=Marker(generation=3)), None, "newer than ours"),
        (MemoryRouter(), "an older one", "were changed since they were read"),
        (coarse, None, "is not a multiple of the router's smallest weight"),
        (Down(), None, "no connection"),
    ):
        with pytest.raises(
            RouterError, match=f"read-only, nothing was written: .*{said}"
        ) as caught:
            write(ReadOnly(real), TEN, MARKER, expect)
        assert caught.value.failure is Failure.PERMANENT


def test_a_rehearsal_that_meets_a_failure_ends() -> None:
    """One that is tried again would be under way for ever."""
    real = Down(after=3)
    canary = Canary(
        weights=percents(10, 100), bake=minutes(1), checks=[Limit(ERRORS, at_most=percent(1))]
    )
    numbers = ScriptedMetrics({ERRORS: steady(50, stable=0.001, candidate=0.001)})

    outcome = play(canary, TWO, router=ReadOnly(real), metrics=[numbers])

    assert outcome.rollout.phase is Phase.ROLLED_BACK
    assert real.history == []


def test_either_kind_of_router_can_be_read() -> None:
    only_sync, only_async = ReadOnly(OnlySync(MemoryRouter())), ReadOnly(OnlyAsync(MemoryRouter()))

    assert asyncio.run(only_sync.aread(THREE)) == only_sync.read(THREE)
    assert asyncio.run(only_async.aread(THREE)) == MemoryRouter().read(THREE)
    with pytest.raises(RouterError, match="it has aread and no read: drive it with asyncio"):
        only_async.read(THREE)


def test_what_is_no_router_is_said() -> None:
    with pytest.raises(StrategyError, match="ReadOnly: 'http://envoy:9901' is no router"):
        ReadOnly("http://envoy:9901")  # type: ignore[arg-type]
    assert repr(ReadOnly(MemoryRouter())).startswith("ReadOnly(MemoryRouter(")


class Silent:
    """A metrics system that is not there."""

    metrics = (ERRORS,)

    def measure(self, *_: Any) -> Any:
        raise MetricsError("no connection", failure=Failure.TRANSIENT)


@pytest.mark.parametrize("answered", [True, False])
def test_a_rehearsal_runs_the_preflight_and_ends_untouched(answered: bool) -> None:
    real = MemoryRouter()
    canary = Canary(
        weights=percents(10, 100), bake=minutes(1), checks=[Limit(ERRORS, at_most=percent(1))]
    )
    numbers = ScriptedMetrics({ERRORS: steady(50, stable=0.001, candidate=0.001)})

    outcome = play(canary, TWO, router=ReadOnly(real), metrics=[numbers if answered else Silent()])

    assert outcome.rollout.phase is Phase.ROLLED_BACK
    assert ("read-only: shop would be told to serve 0 % candidate" in str(outcome)) is answered
    assert ("no connection" in str(outcome)) is not answered
    assert (real.history, real.marker) == ([], None)
