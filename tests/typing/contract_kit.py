"""The contract kit as a user calls it: type-checked, not run."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import assert_type

from progressive import Go, Open, Release, Version, seconds
from progressive.calendar import OpenHours
from progressive.testing import (
    BreakableProxy,
    Breakages,
    ContractReport,
    LawBroken,
    MemoryFleet,
    MemoryRouter,
    acheck_fleet,
    acheck_gate,
    acheck_hook,
    acheck_router,
    check_fleet,
    check_gate,
    check_hook,
    check_router,
)

SHOP = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))
CART = Release(service="cart", stable=Version("v1"), candidate=Version("v2"))


def unready(version: Version) -> AbstractContextManager[None]:
    """No instance of this version is ready."""
    return nullcontext()


def the_kit() -> None:
    """Every argument."""
    with BreakableProxy("127.0.0.1:9901", is_write=lambda sent: sent.startswith(b"POST")) as proxy:
        assert_type(proxy.breakages, Breakages)
        report = check_router(
            MemoryRouter(),
            SHOP,
            settle=seconds(1),
            edit=lambda traffic: print(traffic.candidate),
            beside=CART,
            third_version=lambda share: print(share.ppm),
            bad_names=["a:b"],
            broken=proxy.breakages,
            within=seconds(5),
            writes=lambda: proxy.writes,
            undo=lambda line: print(line.strip()),
            parts={"a route is deleted": nullcontext},
        )
    assert_type(report, ContractReport)
    assert_type(report.missing, tuple[str, ...])
    check_router(MemoryRouter(), SHOP, broken={"refuse": nullcontext})
    check_fleet(
        MemoryFleet(), SHOP, unready=unready, instances=lambda version: len(version.backend)
    )
    check_hook(lambda key, release: Go(), SHOP, failing=nullcontext, runs=lambda: 1)
    check_gate(OpenHours(zone="UTC"), SHOP, open_at=[datetime.now(UTC)], closed=nullcontext)


async def the_kit_in_asyncio() -> None:
    """The same on the loop of the test."""
    assert_type(await acheck_router(MemoryRouter(), SHOP, beside=CART), ContractReport)
    assert_type(await acheck_fleet(MemoryFleet(), SHOP), ContractReport)
    assert_type(await acheck_hook(lambda key, release: Go(), SHOP), ContractReport)
    assert_type(await acheck_gate(lambda release, now: Open(), SHOP), ContractReport)


def the_error(error: LawBroken) -> None:
    """Its parts."""
    assert_type((error.law, error.expected, error.seen, error.hint), tuple[str, str, str, str])
