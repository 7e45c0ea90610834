"""Envoy's adapters without Envoy: the flows are driven by hand with answers as the real one gave
them (1.40).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from tests.support.rules import rule

from progressive.adapters.flow import feed
from progressive.adapters.http import Malformed, Request, Response
from progressive.errors import ConflictError, Failure, MetricsError, RouterError, StrategyError
from progressive.metrics.envoy import CLIENT_ERRORS, ERRORS, LATENCY, EnvoyStats
from progressive.model.measurement import (
    READING_LIMIT,
    Counts,
    Histogram,
    Look,
    Metric,
    NoData,
    Window,
)
from progressive.model.release import Release, Version
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import Match, Track, Traffic
from progressive.model.units import MILLION, ms, percent, seconds
from progressive.routers.envoy import Envoy, Http

RELEASE = Release(
    service="app", stable=Version("1", backend="v1"), candidate=Version("2", backend="v2")
)
THREE = Release(
    service="app",
    stable=Version("1", backend="v1"),
    candidate=Version("2", backend="v2"),
    baseline=Version("1b", backend="v3"),
)
PREFIX = "routing.traffic_split"
ROUTER = Envoy(prefix=PREFIX)
MARKER = Marker(generation=3, serial=17)
T = TypeVar("T")


def route(prefix: str = PREFIX, **weights: int | None) -> dict[str, Any]:
    clusters = [
        {"name": name} if weight is None else {"name": name, "weight": weight}
        for name, weight in weights.items()
    ]
    split = {"clusters": clusters, "runtime_key_prefix": prefix}
    return {"match": {"prefix": "/"}, "route": {"weighted_clusters": split}}


class FakeEnvoy:
    """What the admin interface does with these requests, as seen on the real one: 200 to any
    nonsense, all keys at once.
    """

    def __init__(
        self, *routes: dict[str, Any], runtime: dict[str, str] | None = None, dynamic: bool = False
    ) -> None:
        self.routes = routes or (route(v1=100, v2=0),)
        self.dynamic = dynamic
        self.layers = ["admin"]
        self.runtime = {f"{PREFIX}.{name}": value for name, value in (runtime or {}).items()}
        self.later: dict[str, str] = {}
        self.writes: list[Request] = []
        self.beside: dict[str, str] = {}

    def __call__(self, request: Request) -> Response:
        params = dict(request.params)
        if request.path == "/config_dump":
            wanted = "dynamic_route_configs" if self.dynamic else "static_route_configs"
            host = {"name": "app", "domains": ["*"], "routes": list(self.routes)}
            dump = {"configs": [{"route_config": {"name": "r", "virtual_hosts": [host]}}]}
            return Response(body=json.dumps(dump if params["resource"] == wanted else {}).encode())
        if request.path == "/runtime_modify":
            assert request.method == "POST" and request.write
            self.writes.append(request)
            if not self.layers:
                return Response(status=503, body=b"No admin layer specified\n")
            self.runtime.update({**params, **self.beside})
            return Response(body=b"OK\n")
        final = {**self.runtime, **self.later}
        entries = {
            key: {"layer_values": [value], "final_value": value} for key, value in final.items()
        }
        return Response(body=json.dumps({"layers": self.layers, "entries": entries}).encode())


def read(envoy: FakeEnvoy, release: Release = RELEASE) -> Served:
    return feed(ROUTER.reading(release), envoy)


def apply(
    envoy: FakeEnvoy,
    traffic: Traffic,
    *,
    release: Release = RELEASE,
    marker: Marker = MARKER,
    expect: str | None = None,
) -> Served:
    return feed(ROUTER.applying(release, traffic, marker, expect), envoy)


# ------------------------------------------------------------------------------------------ reading


@pytest.mark.parametrize(
    ("runtime", "candidate"),
    [
        ({}, 10),  # the admin layer was lost: the route's own weights rule
        ({"v1": "80", "v2": "20"}, 20),
        ({"v2": "90"}, 50),  # beside the route's 90 of v1
        ({"v1": "30", "v2": "abc"}, 25),  # not a number: the route's own 10
        ({"v1": "30", "v2": "90%"}, 25),
        ({"v1": "30", "v2": "-1"}, 25),
        ({"v1": "300", "v2": "1e2"}, 25),
        ({"v1": "1", "v2": "0.5"}, 0),
        ({"v1": "0", "v2": "7"}, 100),
    ],
)
def test_the_runtime_rules_where_it_has_a_number_else_the_route(
    runtime: dict[str, str], candidate: float
) -> None:
    served = read(FakeEnvoy(route(v1=90, v2=10), runtime=runtime))

    assert served.traffic == Traffic(candidate=percent(candidate))
    assert served.unattributed == percent(0)


def test_a_weight_that_is_left_out_of_the_dump_is_zero() -> None:
    assert read(FakeEnvoy(route(v1=1, v2=None), dynamic=True)).traffic == Traffic()


def test_shares_add_up_and_a_trickle_is_never_shown_as_nothing() -> None:
    served = read(FakeEnvoy(route(v1=4_000_000_000, v2=1, other=1)))

    assert served.traffic.candidate.ppm == 1
    assert served.unattributed.ppm == 1
    assert served.traffic.stable.ppm == MILLION - 1


@pytest.mark.parametrize("weights", [{"v1": "0", "v2": "0"}, {"v1": "4294967296", "v2": "1"}])
def test_weights_that_envoy_can_not_choose_from_reach_neither_version(
    weights: dict[str, str],
) -> None:
    served = read(FakeEnvoy(runtime=weights))

    assert served.unattributed == percent(100)
    assert served.traffic.candidate == percent(0)


def test_a_cluster_of_neither_version_counts_as_elsewhere() -> None:
    served = read(FakeEnvoy(route(v1=50, v2=25, old=25)))

    assert (served.traffic.candidate, served.unattributed) == (percent(25), percent(25))


def test_a_baseline_stands_beside_the_two_others() -> None:
    served = read(FakeEnvoy(route(v1=80, v2=10, v3=10)), THREE)

    assert served.traffic == Traffic(candidate=percent(10), baseline=percent(10))


def test_routes_of_one_prefix_that_do_not_agree_are_not_settled() -> None:
    served = read(FakeEnvoy(route(v1=100, v2=0), route(v1=60, v2=40), route(v1=100, v2=0)))

    assert (served.traffic.candidate, served.converged) == (percent(40), False)
    assert read(FakeEnvoy(route(v1=1, v2=0), route(v1=100, v2=0))).converged, (
        "the same shares in other numbers"
    )


def test_a_route_within_a_matcher_is_found() -> None:
    nested = {
        "matcher": {
            "matcher_tree": {
                "exact_match_map": {"map": {"/": {"action": {"typed_config": route(v1=3, v2=1)}}}}
            }
        }
    }

    assert read(FakeEnvoy(nested)).traffic.candidate == percent(25)


def test_a_backend_that_is_not_in_the_split_is_named_with_those_that_are() -> None:
    envoy = FakeEnvoy(route(v1=1, v9=0))

    for share in (0, 5):
        with pytest.raises(
            RouterError, match=r"candidate \(2\) is cluster 'v2'.* has only v1, v9;"
        ) as caught:
            apply(envoy, Traffic(candidate=percent(share)))
        assert caught.value.failure is Failure.PERMANENT
    assert envoy.writes == []


TWO_ROUTES = {
    "one without the candidate": [route(v1=50, v2=50), route(v1=50, v9=50)],
    "one with the candidate alone": [route(v1=50, v2=50), route(v1=50, v2=50, v9=1)],
    "one without any version": [route(v1=50, v2=50), route(v8=50, v9=50)],
    "none with the candidate": [route(v1=50, v9=50)],
}


@pytest.mark.parametrize("routes", TWO_ROUTES.values(), ids=TWO_ROUTES)
@pytest.mark.parametrize("closed", [False, True], ids=["lowering", "closed"])
@rule("R11")
def test_a_route_that_lacks_a_version_never_stops_the_way_back_of_the_others(
    routes: list[dict[str, Any]], closed: bool
) -> None:
    """The brothers of this fault are in test_istio_way_back.py."""
    envoy = FakeEnvoy(*routes, runtime={"progressive.generation": "3", "progressive.serial": "16"})

    marker = Marker(generation=3, serial=17, closed=closed)
    for _ in range(2):
        after = apply(envoy, Traffic(), marker=marker)
        assert after.traffic == Traffic()
    assert len(envoy.writes) == 2
    assert envoy.runtime.get(f"{PREFIX}.v2", "0") == "0"
    assert after.converged is ("v8" not in str(routes))
    assert f"{PREFIX}.v8" not in envoy.runtime


def test_a_route_that_lacks_a_version_is_not_settled_while_the_candidate_has_anything() -> None:
    seen = read(FakeEnvoy(route(v1=50, v2=50), route(v1=1, v9=0)))

    assert (seen.traffic.candidate, seen.converged) == (percent(50), False)


@rule("R11")
def test_what_a_later_layer_overrides_is_seen_on_the_way_back_and_no_error() -> None:
    envoy = FakeEnvoy(route(v1=50, v2=50))
    envoy.later = {f"{PREFIX}.v2": "10"}

    after = apply(envoy, Traffic(), marker=Marker(generation=0, closed=True))

    assert 0 < after.traffic.candidate.ppm < 100
    assert envoy.runtime[f"{PREFIX}.v1"] == "1000000"


def test_where_no_route_has_stable_there_is_nothing_to_go_back_to() -> None:
    envoy = FakeEnvoy(route(v2=50, v9=50))

    with pytest.raises(RouterError, match="nothing to go back to; add it"):
        apply(envoy, Traffic(), marker=Marker(generation=0, closed=True))
    assert envoy.writes == []


def test_a_prefix_that_no_route_has_is_named() -> None:
    with pytest.raises(RouterError, match=PREFIX) as caught:
        read(FakeEnvoy(route("another.prefix", v1=1, v2=0)))

    assert caught.value.failure is Failure.PERMANENT


def test_a_marker_that_was_edited_into_nonsense_says_how_to_remove_it() -> None:
    envoy = FakeEnvoy(runtime={"progressive.serial": "abc"})

    with pytest.raises(
        RouterError, match=r"POST /runtime_modify\?routing.traffic_split.progressive.serial="
    ):
        read(envoy)


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"entries": []}', b'{"entries": {"routing.traffic_split.v1": 5}}']
)
def test_an_answer_of_another_shape_is_malformed(body: bytes) -> None:
    envoy = FakeEnvoy()

    with pytest.raises(Malformed):
        feed(
            ROUTER.reading(RELEASE),
            lambda request: Response(body=body) if request.path == "/runtime" else envoy(request),
        )


# ------------------------------------------------------------------------------------------ writing


def test_all_weights_and_the_marker_go_into_one_write() -> None:
    envoy = FakeEnvoy(route(v1=50, v2=25, old=25))
    served = apply(envoy, Traffic(candidate=percent(12.3456)))

    assert served == read(envoy)
    assert (served.traffic.candidate, served.unattributed, served.marker) == (
        percent(12.3456),
        percent(0),
        MARKER,
    )
    assert [request.params for request in envoy.writes] == [
        (
            (f"{PREFIX}.v1", "876544"),
            (f"{PREFIX}.v2", "123456"),
            (f"{PREFIX}.old", "0"),
            (f"{PREFIX}.progressive.generation", "3"),
            (f"{PREFIX}.progressive.serial", "17"),
            (f"{PREFIX}.progressive.closed", "0"),
        )
    ]


def test_applying_twice_is_the_same_as_once() -> None:
    envoy = FakeEnvoy()

    assert apply(envoy, Traffic(candidate=percent(5))) == apply(
        envoy, Traffic(candidate=percent(5))
    )


@pytest.mark.parametrize(
    ("there", "ours", "refused"),
    [
        (Marker(generation=4), Marker(generation=3, serial=9), True),
        (Marker(generation=3, serial=18), Marker(generation=3, serial=17), True),
        (Marker(generation=3, serial=17), Marker(generation=3, serial=17), False),
        (Marker(generation=3, serial=17, closed=True), Marker(generation=3, serial=18), True),
        (
            Marker(generation=3, serial=17, closed=True),
            Marker(generation=3, serial=18, closed=True),
            False,
        ),
        (Marker(generation=3, serial=17, closed=True), Marker(generation=4), False),
        (Marker(generation=3, serial=17), Marker(generation=3, serial=17, closed=True), False),
    ],
)
def test_a_newer_or_closed_marker_refuses_the_write(
    there: Marker, ours: Marker, refused: bool
) -> None:
    envoy = FakeEnvoy()
    apply(envoy, Traffic(), marker=there)
    envoy.writes.clear()
    if refused:
        with pytest.raises(ConflictError, match="nothing was written"):
            apply(envoy, Traffic(candidate=percent(1)), marker=ours)
    else:
        apply(envoy, Traffic(candidate=percent(1)), marker=ours)

    assert len(envoy.writes) == (not refused)


def test_a_split_that_moved_since_it_was_read_is_not_written() -> None:
    envoy = FakeEnvoy()
    seen = read(envoy).version
    envoy.runtime[f"{PREFIX}.v2"] = "7"

    with pytest.raises(ConflictError, match="read again"):
        apply(envoy, Traffic(candidate=percent(1)), expect=seen)
    assert envoy.writes == []
    assert apply(
        envoy, Traffic(candidate=percent(1)), expect=read(envoy).version
    ).traffic.candidate == percent(1)


def test_somebody_who_wrote_at_the_same_moment_is_seen() -> None:
    envoy = FakeEnvoy()
    envoy.beside = {f"{PREFIX}.progressive.generation": "9"}

    with pytest.raises(ConflictError, match="generation=9"):
        apply(envoy, Traffic(candidate=percent(1)))


def test_a_runtime_without_an_admin_layer_refuses_in_envoys_words() -> None:
    envoy = FakeEnvoy()
    envoy.layers = []

    with pytest.raises(
        RouterError,
        match=r"No admin layer specified; end layered_runtime.layers with an admin_layer",
    ) as caught:
        apply(envoy, Traffic(candidate=percent(1)))
    assert caught.value.failure is Failure.PERMANENT


def test_a_later_layer_that_overrides_the_weights_is_named() -> None:
    envoy = FakeEnvoy()
    envoy.later = {f"{PREFIX}.v2": "0"}

    with pytest.raises(RouterError, match=r"without effect on routing.traffic_split.v2") as caught:
        apply(envoy, Traffic(candidate=percent(1)))
    assert caught.value.failure is Failure.PERMANENT


@pytest.mark.parametrize(
    "traffic",
    [
        Traffic(mirror=percent(10)),
        Traffic(matches=(Match(name="x-canary", value="1"),)),
        Traffic(baseline=percent(1)),
    ],
)
def test_what_the_runtime_can_not_do_is_refused_before_anything_is_sent(traffic: Traffic) -> None:
    envoy = FakeEnvoy()

    with pytest.raises(RouterError) as caught:
        apply(envoy, traffic)
    assert caught.value.failure is Failure.PERMANENT
    assert envoy.writes == []


def test_a_release_without_stable_can_only_have_everything() -> None:
    first = Release(service="app", stable=None, candidate=Version("1", backend="v1"))

    assert apply(
        FakeEnvoy(), Traffic(candidate=percent(100)), release=first
    ).traffic.candidate == percent(100)
    with pytest.raises(RouterError, match="nowhere to go"):
        apply(FakeEnvoy(), Traffic(candidate=percent(10)), release=first)


def test_the_line_to_type_by_hand_closes_the_marker() -> None:
    envoy = FakeEnvoy()
    apply(envoy, Traffic(candidate=percent(50)))
    line = ROUTER.undo(RELEASE)
    command, query = line.rstrip("'").split("?")
    envoy.runtime.update(pair.split("=") for pair in query.split("&"))  # type: ignore[misc]
    served = read(envoy)

    assert command == "curl -fsS -X POST 'http://127.0.0.1:9901/runtime_modify"
    assert served.traffic == Traffic()
    assert served.marker == Marker(generation=3, serial=17, closed=True)


def test_the_line_reaches_the_same_envoy_and_says_what_is_not_in_it() -> None:
    admin = Http("https://gateway:9901/envoy-a", credentials="s3cr3t")
    line = Envoy(admin=admin, prefix="app").undo(RELEASE)

    assert line.startswith("curl -fsS -X POST 'https://gateway:9901/envoy-a/runtime_modify?")
    assert line.endswith("'  # with your credentials")
    assert "s3cr3t" not in line


# ------------------------------------------------------------------------------------------ metrics

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
BOTH = (Track.STABLE, Track.CANDIDATE)


class Stats:
    """Answers for one provider, with a clock of its own."""

    def __init__(self, **settings: Any) -> None:
        self.now = START
        self.provider = EnvoyStats(clock=lambda: self.now, **settings)
        self.values: dict[str, int] = {"server.uptime": 60}
        self.bins: dict[str, dict[float, int]] = {}
        for cluster in ("v1", "v2"):
            self.values[f"cluster.{cluster}.upstream_rq_total"] = 0

    def add(self, cluster: str, **classes: int) -> None:
        for name, count in classes.items():
            for key in (
                f"cluster.{cluster}.external.upstream_rq_{name.lstrip('_')}",
                f"cluster.{cluster}.upstream_rq_total",
            ):
                self.values[key] = self.values.get(key, 0) + count

    def took(self, cluster: str, **bins: int) -> None:
        """``took("v1", _250=3)``: three requests in the bin that begins at 250 ms."""
        found = self.bins.setdefault(f"cluster.{cluster}.external.upstream_rq_time", {})
        for name, count in bins.items():
            found[float(name[1:])] = found.get(float(name[1:]), 0) + count

    def look(self, metric: Metric, since: Look | None = None, **more: Any) -> Look:
        start = self.now if since is None else since.covered.end
        window = more.pop("window", Window(start, max(start, self.now)))
        reading = None if since is None else since.reading
        return feed(
            self.provider._measure(
                more.pop("release", RELEASE), metric, more.pop("tracks", BOTH), window, reading
            ),
            self._answer,
        )

    def later(self, **duration: float) -> None:
        self.now += timedelta(**duration)

    def _answer(self, request: Request) -> Response:
        assert request.path == "/stats" and not request.write
        stats: list[Any] = [{"name": name, "value": value} for name, value in self.values.items()]
        if dict(request.params).get("histogram_buckets") == "detailed":
            details = [
                {
                    "name": name,
                    "totals": [
                        {"lower_bound": low, "width": 1, "count": n} for low, n in bins.items()
                    ],
                }
                for name, bins in self.bins.items()
            ]
            stats.append({"histograms": {"supported_percentiles": [], "details": details}})
        return Response(body=json.dumps({"stats": stats}).encode())


def test_the_first_look_is_only_a_reading() -> None:
    stats = Stats()
    stats.add("v1", _2xx=1000, _5xx=3)
    look = stats.look(ERRORS)

    assert look.of(Track.STABLE) == NoData("opening reading")
    assert look.covered == Window(START, START)
    assert look.reading is not None


def test_looks_count_what_came_between_readings() -> None:
    stats = Stats()
    stats.add("v1", _2xx=1000, _5xx=3)
    first = stats.look(ERRORS)
    stats.later(seconds=30)
    stats.add("v1", _2xx=90, _4xx=6, _5xx=4)
    stats.add("v2", _2xx=10)
    second = stats.look(ERRORS, first)

    assert second.of(Track.STABLE) == Counts(events=4, trials=100)
    assert second.of(Track.CANDIDATE) == Counts(events=0, trials=10)
    assert second.covered == Window(START, START + seconds(30))
    assert second.fingerprint == first.fingerprint
    assert stats.look(ERRORS, second).of(Track.STABLE) == NoData("no requests")


def test_client_errors_are_a_metric_of_their_own() -> None:
    stats = Stats()
    first = stats.look(CLIENT_ERRORS)
    stats.add("v2", _2xx=10, _4xx=5, _5xx=1)

    assert stats.look(CLIENT_ERRORS, first).of(Track.CANDIDATE) == Counts(events=5, trials=16)


def test_a_counter_that_is_born_counts_from_its_first_event() -> None:
    stats = Stats()
    del stats.values["cluster.v2.upstream_rq_total"]
    first = stats.look(ERRORS)
    assert "no such cluster" in stats.look(ERRORS, first).of(Track.CANDIDATE).why
    stats.add("v2", _5xx=1)

    assert stats.look(ERRORS, first).of(Track.CANDIDATE) == Counts(events=1, trials=1)


@pytest.mark.parametrize(
    "change",
    [
        lambda stats: stats.values.update({"server.uptime": 0}),
        lambda stats: stats.values.update({"cluster.v1.external.upstream_rq_2xx": 99}),
        lambda stats: stats.values.pop("cluster.v1.external.upstream_rq_2xx"),
    ],
)
def test_a_restart_is_no_data_and_the_next_look_counts_again(
    change: Callable[[Stats], object],
) -> None:
    stats = Stats()
    stats.add("v1", _2xx=100)
    first = stats.look(ERRORS)
    change(stats)
    fell = stats.look(ERRORS, first)
    stats.add("v1", _2xx=1)

    assert "restarted" in fell.of(Track.STABLE).why  # type: ignore[union-attr]
    assert stats.look(ERRORS, fell).of(Track.STABLE) == Counts(events=0, trials=1)


def test_internal_requests_count_only_when_asked_for() -> None:
    def look(**settings: bool) -> Look:
        stats = Stats(**settings)
        first = stats.look(ERRORS)
        stats.values |= {
            "cluster.v2.upstream_rq_total": 7,
            "cluster.v2.internal.upstream_rq_5xx": 7,
        }
        return stats.look(ERRORS, first)

    assert look().of(Track.CANDIDATE).why.startswith("no requests; 7 that are internal")
    assert look(internal=True).of(Track.CANDIDATE) == Counts(events=7, trials=7)
    assert look().fingerprint != look(internal=True).fingerprint


def test_a_track_that_joins_later_opens_without_forgetting_the_others() -> None:
    stats = Stats()
    first = stats.look(ERRORS)
    stats.add("v1", _2xx=5)
    stats.values["cluster.v3.upstream_rq_total"] = 0
    second = stats.look(ERRORS, first, release=THREE, tracks=tuple(Track))
    stats.add("v3", _2xx=2)

    assert second.of(Track.STABLE) == Counts(events=0, trials=5)
    assert second.of(Track.BASELINE) == NoData("opening reading")
    assert second.fingerprint == first.fingerprint
    assert stats.look(ERRORS, second, release=THREE, tracks=tuple(Track)).of(
        Track.BASELINE
    ) == Counts(events=0, trials=2)
    assert stats.look(ERRORS, second, tracks=tuple(Track)).of(Track.BASELINE) == NoData(
        "the release has no version for this track"
    )


@pytest.mark.parametrize(
    "reading", ["", "{}", "nonsense", '{"mark":"another","at":"x","up":1,"of":{}}', "[1]"]
)
def test_a_reading_that_is_not_understood_opens_anew(reading: str) -> None:
    stats = Stats()
    request = stats.provider._measure(RELEASE, ERRORS, BOTH, Window(START, START), reading)
    look = feed(request, stats._answer)

    assert "read anew" in look.of(Track.STABLE).why  # type: ignore[union-attr]
    assert look.reading


def test_a_clock_that_steps_back_keeps_the_numbers_and_goes_on_from_there() -> None:
    stats = Stats()
    first = stats.look(ERRORS)
    stats.later(hours=-1)
    stats.add("v1", _2xx=5)
    second = stats.look(ERRORS, first, window=Window(stats.now, stats.now))

    assert second.of(Track.STABLE) == Counts(events=0, trials=5)
    assert second.covered == Window(START - timedelta(hours=1), START - timedelta(hours=1))


def test_latency_is_counted_below_edges_that_are_exact() -> None:
    stats = Stats(edges=(ms(1), ms(2), ms(250), ms(1000)))
    first = stats.look(LATENCY)
    stats.later(seconds=30)
    stats.took("v1", _0=5, _1=2, _57=1, _240=1, _250=4, _1200=1)
    second = stats.look(LATENCY, first)

    assert second.of(Track.STABLE) == Histogram(
        edges=(0.001, 0.002, 0.25, 1.0), cumulative=(5, 7, 9, 13, 14)
    )
    assert second.of(Track.CANDIDATE) == NoData("no requests")
    assert second.covered.end == stats.now - LATENCY.lag, "what was not flushed yet is not claimed"
    stats.took("v1", _250=1)
    assert stats.look(LATENCY, second).of(Track.STABLE).sample == 1


def test_other_edges_are_another_question() -> None:
    assert Stats(edges=(ms(1),)).look(LATENCY).fingerprint != Stats().look(LATENCY).fingerprint
    for wrong in ((), (ms(2), ms(1)), (ms(1.5),), (ms(255),), (0.25,)):
        with pytest.raises(StrategyError):
            EnvoyStats(edges=wrong)  # type: ignore[arg-type]


def test_the_largest_reading_fits_into_a_rollout() -> None:
    stats = Stats()
    for cluster in ("v1", "v2", "v3"):
        stats.values[f"cluster.{cluster}.upstream_rq_total"] = 1
        stats.took(cluster, **{f"_{edge / ms(1):.0f}": 10**9 for edge in stats.provider.edges})
    look = stats.look(LATENCY, release=THREE, tracks=tuple(Track))

    assert look.reading is not None
    assert len(look.reading) < READING_LIMIT


def test_the_flush_is_the_lag() -> None:
    provider = EnvoyStats(flush=seconds(1))

    assert [metric.name for metric in provider.metrics] == [
        "error-rate",
        "client-error-rate",
        "latency",
    ]
    assert provider.metrics[2].lag == seconds(1)


def test_names_stand_in_the_filter_as_envoy_writes_them_and_match_nothing_else() -> None:
    odd = Release(
        service="app", stable=Version("1", backend="a.b:c"), candidate=Version("2", backend="x-y/z")
    )
    request = next(EnvoyStats()._measure(odd, ERRORS, BOTH, Window(START, START), None))

    assert dict(request.params)["filter"].startswith(r"^((cluster\.a\.b_c|cluster\.x\-y/z)\.(")


def test_a_metric_of_somebody_else_is_refused_by_name() -> None:
    with pytest.raises(
        MetricsError, match="answers for error-rate, client-error-rate, latency; not for revenue"
    ):
        Stats().look(Metric("revenue", kind=ERRORS.kind))


@pytest.mark.parametrize(
    "body", [b"{}", b'{"stats": [1]}', b'{"stats": [{"name": "x"}]}', b'{"stats": []}']
)
def test_statistics_of_another_shape_are_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        feed(
            EnvoyStats()._measure(RELEASE, ERRORS, BOTH, Window(START, START), None),
            lambda _: Response(body=body),
        )
