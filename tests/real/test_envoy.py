"""`Envoy` and `EnvoyStats` against the real Envoy: what moves, what reads back, and that every
request is counted.
"""

from __future__ import annotations

import asyncio
import math
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from tests.support.envoy_process import Backend, EnvoyProcess, wait_until

from progressive import rollback_now
from progressive.errors import ConflictError, Failure, RouterError
from progressive.metrics.envoy import CLIENT_ERRORS, ERRORS, LATENCY, EnvoyStats
from progressive.model.measurement import Counts, Look, Metric, NoData, Window
from progressive.model.release import Release, Version
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import Track, Traffic
from progressive.model.units import Percent, percent, seconds
from progressive.routers.envoy import Envoy, Http
from progressive.testing import BreakableProxy, check_metrics, check_router

pytestmark = pytest.mark.real

RELEASE = Release(
    service="app", stable=Version("1", backend="v1"), candidate=Version("2", backend="v2")
)
FIRST = Marker(generation=1)
THREE = Release(
    service="app",
    stable=Version("1", backend="v1"),
    candidate=Version("2", backend="v2"),
    baseline=Version("1b", backend="v1-fresh"),
)
BOTH = (Track.STABLE, Track.CANDIDATE)


class Driver:
    """Both adapters, in one colour."""

    def __init__(self, envoy: EnvoyProcess, colour: str) -> None:
        self.router = Envoy(admin=envoy.admin, prefix="app")
        self.stats = EnvoyStats(admin=envoy.admin, flush=seconds(0.2))
        self._sync = colour == "sync"

    def read(self) -> Served:
        return self.router.read(RELEASE) if self._sync else asyncio.run(self.router.aread(RELEASE))

    def apply(
        self, candidate: Percent, marker: Marker = FIRST, expect: str | None = None
    ) -> Served:
        traffic = Traffic(candidate=candidate)
        if self._sync:
            return self.router.apply(RELEASE, traffic, marker=marker, expect=expect)
        return asyncio.run(self.router.aapply(RELEASE, traffic, marker=marker, expect=expect))

    def look(self, metric: Metric, since: Look | None = None) -> Look:
        now = datetime.now(UTC) if since is None else since.covered.end
        reading = None if since is None else since.reading
        if self._sync:
            return self.stats.measure(RELEASE, metric, BOTH, Window(now, now), reading)
        return asyncio.run(self.stats.ameasure(RELEASE, metric, BOTH, Window(now, now), reading))


@pytest.fixture(params=["sync", "async"])
def driver(envoy: EnvoyProcess, request: pytest.FixtureRequest) -> Iterator[Driver]:
    made = Driver(envoy, str(request.param))
    with made.router, made.stats:
        yield made


@pytest.fixture
def plain(envoy: EnvoyProcess) -> Iterator[Driver]:
    made = Driver(envoy, "sync")
    with made.router, made.stats:
        yield made


# ------------------------------------------------------------------------------------------- router


def test_weights_move_are_read_back_and_are_what_users_get(
    driver: Driver, envoy: EnvoyProcess
) -> None:
    before = driver.read()
    after = driver.apply(percent(30), expect=before.version)
    sent = envoy.get(400)

    assert (before.traffic, before.marker, before.unattributed) == (Traffic(), None, percent(0))
    assert (after.traffic, after.unattributed) == (Traffic(candidate=percent(30)), percent(0))
    assert driver.read() == after
    assert abs(sent["v2"] - 120) < 6 * math.sqrt(400 * 0.3 * 0.7)
    assert driver.apply(percent(100)).traffic == Traffic(candidate=percent(100))
    assert envoy.get(50) == {"v2": 50}
    assert driver.apply(percent(0)).traffic == Traffic()
    assert envoy.get(50) == {"v1": 50}


@pytest.mark.parametrize("ppm", [1, 333_333, 999_999])
def test_every_part_per_million_reads_back_exactly(plain: Driver, ppm: int) -> None:
    assert plain.apply(Percent(ppm)).traffic.candidate == Percent(ppm)


@pytest.mark.parametrize(
    "marker",
    [
        Marker(generation=0),
        Marker(generation=7, serial=2**62),
        Marker(generation=2**53 + 1, serial=1, closed=True),
    ],
)
def test_the_marker_survives_exactly_and_stands_in_nobodys_way(
    plain: Driver, envoy: EnvoyProcess, marker: Marker
) -> None:
    served = plain.apply(percent(50), marker)

    assert served.marker == plain.read().marker == marker
    assert set(envoy.get(60)) == {"v1", "v2"}


def test_an_older_driver_changes_nothing(plain: Driver) -> None:
    served = plain.apply(percent(5), Marker(generation=3, serial=8))

    with pytest.raises(ConflictError, match="newer than ours"):
        plain.apply(percent(50), Marker(generation=3, serial=7))
    with pytest.raises(ConflictError, match="read again"):
        plain.apply(percent(50), Marker(generation=3, serial=9), expect="another")
    assert plain.read() == served


def test_the_line_typed_by_hand_works_as_it_stands(plain: Driver, envoy: EnvoyProcess) -> None:
    plain.apply(percent(50), Marker(generation=3, serial=8))
    subprocess.run(shlex.split(plain.router.undo(RELEASE)), check=True, capture_output=True)
    served = plain.read()

    assert (served.traffic, served.marker) == (
        Traffic(),
        Marker(generation=3, serial=8, closed=True),
    )
    assert envoy.get(50) == {"v1": 50}
    with pytest.raises(ConflictError, match="roll back"):
        plain.apply(percent(50), Marker(generation=3, serial=9))


def test_weights_that_are_all_zero_are_seen_and_mended(driver: Driver, envoy: EnvoyProcess) -> None:
    envoy.post(v1="0", v2="0")
    served = driver.read()

    assert envoy.get(5) == {"404": 5}
    assert served.unattributed == percent(100)
    assert driver.apply(percent(0)).unattributed == percent(0)
    assert envoy.get(5) == {"v1": 5}


@pytest.mark.parametrize(
    ("edited", "candidate"),
    [({"v2": "300"}, 75), ({"v2": "1e2"}, 50), ({"v1": "0", "v2": "5"}, 100), ({"v2": "90%"}, 0)],
)
def test_what_somebody_else_writes_is_read_as_envoy_takes_it(
    plain: Driver, envoy: EnvoyProcess, edited: dict[str, str], candidate: float
) -> None:
    envoy.post(**edited)
    served = plain.read()
    share = envoy.get(200)["v2"] / 200

    assert served.traffic.candidate == percent(candidate)
    assert abs(share - candidate / 100) < 6 * math.sqrt(0.25 / 200)


def test_a_restart_loses_the_runtime_and_reading_says_so(
    driver: Driver, envoy: EnvoyProcess
) -> None:
    driver.apply(percent(40))
    envoy.stop()
    envoy.start()
    served = driver.read()

    assert (served.traffic, served.marker) == (Traffic(), None)
    assert envoy.get(20) == {"v1": 20}
    assert driver.apply(percent(40)).traffic.candidate == percent(40)


def test_a_later_layer_makes_the_write_fail_instead_of_silently_not_working(
    envoy: EnvoyProcess,
) -> None:
    with (
        Envoy(admin=envoy.admin, prefix="frozen") as router,
        pytest.raises(RouterError, match="without effect") as caught,
    ):
        router.apply(
            RELEASE, Traffic(candidate=percent(10)), marker=Marker(generation=1), expect=None
        )

    assert caught.value.failure is Failure.PERMANENT


def test_without_an_admin_layer_envoys_own_words_come_back(
    envoy: EnvoyProcess, plain: Driver
) -> None:
    envoy.stop()
    envoy.admin_layer = False
    envoy.start()

    with pytest.raises(RouterError, match="No admin layer specified") as caught:
        plain.apply(percent(10))
    assert caught.value.failure is Failure.PERMANENT


@pytest.mark.laws
def test_the_router_keeps_the_laws_of_all_routers(envoy: EnvoyProcess) -> None:
    def stranger(traffic: Traffic) -> None:
        envoy.post("three", v1=str(traffic.stable.ppm), v2=str(traffic.candidate.ppm))

    with Envoy(admin=envoy.admin, prefix="three") as router:
        check_router(router, THREE, edit=stranger)

    assert envoy.get(20, "/three") == {"v1": 20}


@pytest.mark.laws
def test_the_router_says_what_it_knows_in_every_way_that_envoy_can_be_out_of_reach(
    envoy: EnvoyProcess,
) -> None:
    with BreakableProxy(
        envoy.admin.removeprefix("http://"),
        is_write=lambda sent: sent.startswith(b"POST"),
        success=b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nOK\n",
    ) as proxy:
        admin = Http(f"http://{proxy.address}", deadline=seconds(1))
        with Envoy(admin=admin, prefix="three") as router:
            report = check_router(
                router,
                THREE,
                broken=proxy.breakages,
                within=seconds(5),
                writes=lambda: proxy.writes,
                undo=lambda line: subprocess.run(
                    shlex.split(line), check=True, capture_output=True
                ),
            )

    assert not {"broken=", "writes=", "undo="} & set(report.missing)


def test_a_backend_that_the_route_does_not_have_is_named(envoy: EnvoyProcess) -> None:
    other = Release(
        service="app", stable=Version("1", backend="v1"), candidate=Version("3", backend="v3")
    )

    with (
        Envoy(admin=envoy.admin, prefix="app") as router,
        pytest.raises(RouterError, match="has only v1, v2"),
    ):
        router.apply(other, Traffic(), marker=FIRST, expect=router.read(other).version)


def test_a_route_that_lacks_the_candidate_never_stops_the_way_back_of_another(
    envoy: EnvoyProcess,
) -> None:
    envoy.post("pair", v1="50", v2="50")
    before = envoy.get(100, "/pair/whole")

    with Envoy(admin=envoy.admin, prefix="pair") as router:
        with pytest.raises(RouterError, match="has only v1, v1-fresh"):
            router.apply(RELEASE, Traffic(candidate=percent(50)), marker=FIRST, expect=None)
        served = rollback_now(router, RELEASE)

    assert before["v2"]
    assert served.shows(Traffic())
    assert envoy.get(20, "/pair/whole") == envoy.get(20, "/pair/lacks") == {"v1": 20}


@pytest.mark.laws
def test_a_way_back_is_whole_whatever_stands_in_the_runtime(envoy: EnvoyProcess) -> None:
    @contextmanager
    def edited(**values: str) -> Iterator[None]:
        envoy.post("three", **values)
        yield

    with Envoy(admin=envoy.admin, prefix="three") as router:
        report = check_router(
            router,
            THREE,
            undo=lambda line: subprocess.run(shlex.split(line), check=True, capture_output=True),
            parts={
                "the candidate's weight is no number": lambda: edited(v2="many"),
                "the candidate's weight is too large": lambda: edited(v2="4294967295"),
                "stable has nothing": lambda: edited(v1="0"),
            },
        )

    assert "a way back is whole" in report.held
    assert envoy.get(20, "/three") == {"v1": 20}


# ------------------------------------------------------------------------------------------ metrics


def test_every_request_is_counted_once(driver: Driver, envoy: EnvoyProcess) -> None:
    driver.apply(percent(40))
    envoy.get(30)
    errors, client_errors = driver.look(ERRORS), driver.look(CLIENT_ERRORS)
    sent = envoy.get(60)
    failed = envoy.get(25, x_status="500")
    envoy.get(15, x_status="404")
    stable, candidate = (driver.look(ERRORS, errors).of(track) for track in BOTH)
    misses = [driver.look(CLIENT_ERRORS, client_errors).of(track) for track in BOTH]

    assert failed == {"500": 25}
    assert isinstance(stable, Counts) and isinstance(candidate, Counts)
    assert (stable.events + candidate.events, stable.trials + candidate.trials) == (25, 100)
    assert stable.trials >= sent["v1"] and candidate.trials >= sent["v2"]
    assert sum(each.events for each in misses if isinstance(each, Counts)) == 15


def test_a_healthy_version_has_no_errors_and_an_idle_one_no_data(
    driver: Driver, envoy: EnvoyProcess
) -> None:
    first = driver.look(ERRORS)
    envoy.get(20)
    second = driver.look(ERRORS, first)

    assert first.of(Track.STABLE) == NoData("opening reading")
    assert second.of(Track.STABLE) == Counts(events=0, trials=20)
    assert second.of(Track.CANDIDATE) == NoData("no requests")
    assert second.covered.start == first.covered.end < second.covered.end
    assert driver.look(ERRORS, second).of(Track.STABLE) == NoData("no requests")


def test_requests_that_never_reach_a_dead_version_are_its_errors(
    driver: Driver, envoy: EnvoyProcess, backends: tuple[Backend, Backend]
) -> None:
    driver.apply(percent(50))
    envoy.get(20)
    first = driver.look(ERRORS)
    backends[1].stop()
    sent = envoy.get(60)
    look = driver.look(ERRORS, first)

    assert sent["503"] > 0
    assert look.of(Track.CANDIDATE) == Counts(events=sent["503"], trials=sent["503"])
    assert look.of(Track.STABLE) == Counts(events=0, trials=sent["v1"])


def test_a_retried_request_is_one_request(plain: Driver, envoy: EnvoyProcess) -> None:
    first = plain.look(ERRORS)
    envoy.get(5, "/retried", x_status="500")

    assert plain.look(ERRORS, first).of(Track.CANDIDATE) == Counts(events=5, trials=5)


def test_a_request_that_timed_out_is_an_error(plain: Driver, envoy: EnvoyProcess) -> None:
    first = plain.look(ERRORS)
    sent = envoy.get(2, "/hurried", x_seconds="2")

    assert sent == {"504": 2}
    assert plain.look(ERRORS, first).of(Track.CANDIDATE) == Counts(events=2, trials=2)


def test_mirrored_copies_are_not_traffic(plain: Driver, envoy: EnvoyProcess) -> None:
    first = plain.look(ERRORS)
    envoy.get(10, "/mirrored", x_status="500")
    wait_until(
        "the copies arrived",
        lambda: "10 that are internal" in str(plain.look(ERRORS, first).of(Track.CANDIDATE)),
    )

    assert plain.look(ERRORS, first).of(Track.STABLE) == Counts(events=10, trials=10)


def test_every_answer_is_in_the_histogram_once_it_is_flushed(
    driver: Driver, envoy: EnvoyProcess
) -> None:
    driver.apply(percent(100))
    first = driver.look(LATENCY)
    envoy.get(40)
    envoy.get(3, x_seconds="0.3")
    wait_until(
        "all are flushed", lambda: driver.look(LATENCY, first).of(Track.CANDIDATE).sample == 43
    )
    found = driver.look(LATENCY, first).of(Track.CANDIDATE)

    assert found.above(0.25) == (3, 0.25)  # type: ignore[union-attr]
    assert driver.look(LATENCY, first).of(Track.STABLE) == NoData("no requests")


def test_a_restart_is_no_data_and_not_a_negative_number(
    driver: Driver, envoy: EnvoyProcess
) -> None:
    envoy.get(20)
    first = driver.look(ERRORS)
    envoy.stop()
    envoy.start()
    second = driver.look(ERRORS, first)
    envoy.get(7)

    assert "restarted" in str(second.of(Track.STABLE))
    assert driver.look(ERRORS, second).of(Track.STABLE) == Counts(events=0, trials=7)


def test_its_statistics_keep_the_laws_of_all_providers(plain: Driver, envoy: EnvoyProcess) -> None:
    """Counters: what three looks say of the requests between them is what one look over all of them
    says.
    """
    plain.apply(percent(50))

    def some_requests() -> None:
        before = plain.look(LATENCY)
        envoy.get(30, x_fails_on="v2")
        wait_until(
            "all are flushed",
            lambda: sum(plain.look(LATENCY, before).of(track).sample for track in BOTH) == 30,
        )

    now = datetime.now(UTC)
    check_metrics(plain.stats, RELEASE, Window(now, now), between=some_requests)
