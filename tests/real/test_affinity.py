"""Users who stay on a version, on every real proxy that can let them: what each promises."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import attrs
import httpx
import pytest
from tests.support.envoy_process import Backend, EnvoyOfFiles
from tests.support.proxies import (
    HAVE_ENVOY,
    PROXIES,
    RELEASE,
    Proxy,
    envoy_routes,
    haproxy,
    nginx,
    traefik,
)

from progressive import hours
from progressive.errors import RouterError
from progressive.model.router_state import Marker
from progressive.model.traffic import Traffic
from progressive.model.units import percent
from progressive.routers.envoy import EnvoyRoutes
from progressive.routers.haproxy import HAProxy

pytestmark = pytest.mark.real

USERS = 200


@attrs.frozen
class Visited:
    """A proxy, and users who come to it."""

    proxy: Proxy

    def give(
        self, share: float, *, serial: int, rollout: str = "rfirst", stay: bool = True
    ) -> None:
        traffic = Traffic(candidate=percent(share), sticky=hours(1) if stay and share else None)
        generation = 1 if rollout == "rfirst" else 2
        marker = Marker(generation=generation, serial=serial, owner=rollout)
        assert self.proxy.router.apply(RELEASE, traffic, marker=marker, expect=None).shows(traffic)

    def visitors(self) -> list[tuple[str, str]]:
        """New users, as the cookies that they carry and the version that they met; each meets one,
        however often it asks.
        """
        found = []
        with httpx.Client(base_url=self.proxy.url, trust_env=False) as client:
            for n in range(USERS):
                given = f"user=user-{n}" if self.proxy.user else ""
                first = _asked(client, given)
                carried = given or "; ".join(
                    f"{name}={value}" for name, value in first.cookies.items()
                )
                assert {_asked(client, carried).text for _ in range(3)} == {first.text}
                found.append((carried, first.text))
        return found

    def moved(self, visitors: list[tuple[str, str]]) -> Counter[tuple[str, str]]:
        """How many met which version, and meet which now."""
        found: Counter[tuple[str, str]] = Counter()
        with httpx.Client(base_url=self.proxy.url, trust_env=False) as client:
            # In another order: a proxy that gives in turns would give them the same again.
            for carried, before in random.Random(7).sample(visitors, len(visitors)):
                found[before, _asked(client, carried).text] += 1
        return found


def _asked(client: httpx.Client, carried: str) -> httpx.Response:
    """One request with these cookies and no others."""
    client.cookies.clear()
    return client.get("/", headers={"cookie": carried} if carried else {})


KEEP = [envoy_routes, haproxy, nginx, traefik]
"""Those that can keep users."""


@pytest.fixture(params=KEEP, ids=lambda made: made.__name__)
def visited(
    request: pytest.FixtureRequest, backends: tuple[Backend, Backend], tmp_path: Path
) -> Iterator[Visited]:
    if not PROXIES[request.param]:
        pytest.skip(f"{request.param.__name__} is not installed")
    with Backend("v1-fresh") as fresh, request.param((*backends, fresh), tmp_path) as found:
        yield Visited(found)


def test_users_stay_while_the_weight_moves_and_a_way_back_takes_all_of_them(
    visited: Visited,
) -> None:
    visited.give(30, serial=1)
    visitors = visited.visitors()
    met = Counter(version for _, version in visitors)
    assert 30 <= met["v2"] <= 90  # of 200 at 30 %: five deviations

    visited.give(60, serial=2)
    raised = visited.moved(visitors)
    assert raised["v2", "v2"] == met["v2"]
    if visited.proxy.own:
        assert raised["v1", "v1"] == met["v1"]
    else:
        assert 85 <= raised["v1", "v2"] + raised["v2", "v2"] <= 155

    visited.give(1, serial=3)
    lowered = visited.moved(visitors)
    if visited.proxy.own:
        assert lowered == Counter({("v2", "v2"): met["v2"], ("v1", "v1"): met["v1"]})
    else:
        assert lowered["v1", "v2"] + lowered["v2", "v2"] <= 12

    visited.give(0, serial=4)
    assert {now for _, now in visited.moved(visitors)} == {"v1"}


def test_a_step_that_lets_them_go_draws_every_request(visited: Visited) -> None:
    visited.give(50, serial=1)
    visitors = visited.visitors()
    if visited.proxy.user:
        return  # their key is there as before

    visited.give(50, serial=2, stay=False)

    moved = visited.moved(visitors)
    assert moved["v1", "v2"] >= 20 and moved["v2", "v1"] >= 20


def test_the_next_rollout_draws_its_users_anew(visited: Visited) -> None:
    visited.give(50, serial=1)
    visitors = visited.visitors()
    visited.give(0, serial=2)

    visited.give(50, serial=1, rollout="rsecond")

    moved = visited.moved(visitors)
    if visited.proxy.anew:
        assert moved["v1", "v2"] >= 20 and moved["v2", "v1"] >= 20
    else:
        assert moved["v1", "v2"] == moved["v2", "v1"] == 0


def test_a_request_without_an_id_is_drawn_by_itself(
    backends: tuple[Backend, Backend], tmp_path: Path
) -> None:
    """A listener of Envoy that gives no ids: one cookie for all would put them on one version."""
    if not HAVE_ENVOY:
        pytest.skip("envoy is not installed")
    running = EnvoyOfFiles(backends, tmp_path)
    running.no_ids = True
    running.file.parent.mkdir()
    running.file.write_text(EnvoyRoutes(file=str(running.file), name="app").initial(RELEASE))
    with running, EnvoyRoutes(file=str(running.file), admin=running.admin, name="app") as router:
        Visited(Proxy(router, running.url)).give(50, serial=1)
        with httpx.Client(base_url=running.url, trust_env=False) as client:
            answers = [client.get("/") for _ in range(100)]

        assert not any("set-cookie" in answer.headers for answer in answers)
        assert len({answer.text for answer in answers}) == 2


def test_routes_that_hash_already_and_proxies_without_keys_refuse_it(tmp_path: Path) -> None:
    hashed = {
        "match": {"prefix": "/"},
        "route": {"hash_policy": [{"header": {"header_name": "x"}}]},
    }
    asked = Traffic(candidate=percent(5), sticky=hours(1))
    marker = Marker(generation=1)
    for router, why in (
        (EnvoyRoutes(file=str(tmp_path / "a"), name="app", route=hashed), "hash_policy of its own"),
        (HAProxy(socket="/nowhere", map="/a.map"), "the router can't do session affinity"),
    ):
        with router, pytest.raises(RouterError, match=why):
            router.apply(RELEASE, asked, marker=marker, expect=None)
