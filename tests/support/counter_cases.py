"""The rows of `tests/cases/counters.py` as stored series, and how they are measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from tests.cases.counters import RISING, WINDOW, Asked, Case, Here, Samples, Series, scraped
from tests.support.fake_prometheus import Answered, FakePrometheus

from progressive import Canary, Limit, Outcome, percent, percents
from progressive.metrics.prometheus import (
    ERRORS,
    LATENCY,
    REQUEST_RATE,
    Buckets,
    Counter,
    Prometheus,
    PromQL,
    Rate,
    Ratio,
    Regex,
)
from progressive.model.measurement import (
    Counts,
    Gauge,
    Histogram,
    Measurement,
    Metric,
    NoAnswer,
    NoData,
    Window,
)
from progressive.model.release import Release, Version
from progressive.model.traffic import Track
from progressive.model.units import minutes, ms, seconds
from progressive.testing import MemoryRouter, VirtualClock, play

RELEASE = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))
BOTH = (Track.STABLE, Track.CANDIDATE)
DEPTH = Metric("depth", kind="value", lag=seconds(30))

Stored: TypeAlias = tuple[Mapping[str, str], Sequence[tuple[int, float]]]
"""The labels of a series, and its samples in milliseconds since 1970."""

EDGES = ("0.1", "0.5", "+Inf")


def window_of(zero: int) -> Window:
    """The minute that begins at this second since 1970."""
    start = datetime.fromtimestamp(zero, UTC)
    return Window(start, start + timedelta(seconds=WINDOW))


def stored(case: Case, zero: int, series: Sequence[Series]) -> Iterator[Stored]:
    """Series of stable as the server has them; a counter also as a histogram of three buckets."""
    shared = {"row": case.name, "job": case.name, "instance": "a:80", "version": "v1"}
    for each in series:
        samples = _at(zero, each.samples)
        if case.asked is not Asked.COUNTERS:
            yield {"__name__": case.asked.value, **shared, **each.labels}, samples
            continue
        yield {"__name__": "requests_total", **shared, "code": "200", **each.labels}, samples
        for le in EDGES:
            yield {"__name__": "seconds_bucket", "le": le, **shared, **each.labels}, samples


def beside(case: Case, zero: int) -> Iterator[Stored]:
    """What is there besides: ``up``, and a candidate of another job, to which nothing happens."""
    other = {"row": case.name, "job": f"{case.name}-v2", "instance": "b:80", "version": "v2"}
    good = _at(zero + 3, scraped(*RISING))
    yield {"__name__": "up", "job": case.name, "instance": "a:80"}, _at(zero, case.up)
    yield {"__name__": "requests_total", "code": "200", **other}, good
    for le in EDGES:
        yield {"__name__": "seconds_bucket", "le": le, **other}, good


def _at(zero: int, samples: Samples) -> list[tuple[int, float]]:
    return [(round((zero + second) * 1000), value) for second, value in samples]


def served(case: Case, zero: int) -> FakePrometheus:
    """A server in memory that has the samples of a row."""
    server = FakePrometheus()
    for labels, samples in (
        *stored(case, zero, [*case.series, *case.later]),
        *beside(case, zero),
    ):
        rest = {label: value for label, value in labels.items() if label != "__name__"}
        for moment, value in samples:
            server.add(moment, value, name=labels["__name__"], **rest)
    for each in server.series.values():
        each.sort(key=lambda sample: sample[0])
    return server


def own_query(case: Case) -> str:
    """What one asks the server itself, at the end of the window."""
    which = f'row="{case.name}",version="v1"'
    if case.asked is Asked.GAUGE:
        return f"max(depth{{{which}}})"
    if case.asked is Asked.COUNTERS:
        return f"sum(increase(requests_total{{{which}}}[1m]))"
    edge = case.edge.replace("+", "[+]").replace(".", "[.]")
    return f'sum(increase(seconds_bucket{{{which},le=~"{edge}"}}[1m]))'


def provider_of(case: Case, url: str) -> Prometheus:
    """What measures the row."""
    labels = {"row": case.name}
    requests = Counter("requests_total", version="version", labels=labels, delta=case.delta)
    queries = {
        ERRORS: Ratio(events=requests.where(code=Regex("5..")), total=requests),
        LATENCY: Buckets("seconds_bucket", version="version", labels=labels, delta=case.delta),
        REQUEST_RATE: Rate(requests),
        DEPTH: PromQL(f'max(depth{{row="{case.name}",version="{{backend}}"}})'),
    }
    return Prometheus(url, metrics={metric: queries[metric] for metric in metrics_of(case)})


def metrics_of(case: Case) -> tuple[Metric, ...]:
    """As what a row is measured."""
    if case.asked is Asked.COUNTERS:
        return ERRORS, LATENCY, REQUEST_RATE
    return (DEPTH,) if case.asked is Asked.GAUGE else (LATENCY,)


def expected_of(case: Case, metric: Metric, version: str = "") -> Here:
    """What the row says that we say, of a server of this version."""
    if metric is REQUEST_RATE and case.rate is not None:
        return case.rate
    return case.elsewhere.get(version, case.here)


def found_as(case: Case, metric: Metric, found: Measurement, expected: Here) -> Here:
    """What was measured, in the words of the row: the expected ones if they are in the reason."""
    if isinstance(found, NoData | NoAnswer):
        return expected if isinstance(expected, str) and expected in found.why else found.why
    if isinstance(found, Counts):
        return found.trials
    if isinstance(found, Histogram):
        edges = [*map(float, found.edges), float("inf")]
        return found.cumulative[edges.index(float(case.edge.split("|")[0]))]
    assert isinstance(found, Gauge)
    return found.samples[0] * (case.over if metric is REQUEST_RATE else 1)


def rolled_out(provider: Answered | Prometheus, zero: int) -> tuple[Outcome, MemoryRouter]:
    """A rollout that begins when the window of the rows is complete, and looks at once."""
    router, clock = MemoryRouter(), VirtualClock(window_of(zero).end + ERRORS.lag)
    strategy = Canary(
        weights=percents(5, 100),
        bake=minutes(5),
        checks=[
            Limit(ERRORS, at_most=percent(1)),
            Limit(LATENCY, quantile=0.99, at_most=ms(500)),
        ],
        preflight=seconds(3),
    )
    return play(strategy, RELEASE, metrics=[provider], router=router, clock=clock), router
