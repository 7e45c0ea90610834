"""Laws of counting by raw samples: whatever happens to instances, scrapes and
names.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.fake_prometheus import FakePrometheus
from tests.support.rules import rule
from tests.support.scraped import INJECTION

from progressive.adapters.flow import feed
from progressive.metrics.prometheus import (
    ERRORS,
    LATENCY,
    Buckets,
    Counter,
    Prometheus,
    Ratio,
    Regex,
)
from progressive.model.measurement import Counts, Histogram, Look, NoAnswer, NoData, Window
from progressive.model.release import Release, Version
from progressive.model.traffic import Track
from progressive.model.units import ms, seconds

RELEASE = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))
BOTH = (Track.STABLE, Track.CANDIDATE)
REQUESTS = Counter("requests_total", version="version", labels={"job": "shop"})
PROMETHEUS = Prometheus(
    "http://127.0.0.1:9090",
    metrics={
        ERRORS: Ratio(events=REQUESTS.where(code=Regex("5..")), total=REQUESTS),
        LATENCY: Buckets("seconds_bucket", version="version", labels={"job": "shop"}),
    },
    scrape=seconds(1),
)
START = datetime(2026, 11, 23, 12, tzinfo=UTC)
ZERO = 1_795_435_200_000
SCRAPES = 24


@attrs.define
class Instance:
    """One process with two counters, by code, and what was scraped of them.

    A restart is only to be seen if a counter falls by an eighth or more: so after one it stays
    below that part of what was seen last until it has been seen again.
    """

    name: str
    version: str
    eager: bool
    counts: dict[str, int] = attrs.field(factory=dict)
    seen: dict[str, int] = attrs.field(factory=dict)
    ceiling: dict[str, int] = attrs.field(factory=dict)
    told: dict[str, int] = attrs.field(factory=lambda: {"200": 0, "500": 0})

    def serve(self, code: str, count: int) -> None:
        now = self.counts.get(code, 0)
        self.counts[code] = min(now + count, max(self.ceiling.get(code, now + count), now))

    def restart(self) -> None:
        self.ceiling = {
            code: min(self.seen[code] * 7 // 8, self.ceiling.get(code, self.seen[code]))
            for code in self.seen
            if self.seen[code]
        }
        self.counts = dict.fromkeys(self.ceiling, 0)

    def scrape(self, server: FakePrometheus, moment: int) -> None:
        server.add(moment, 1, name="up", job="shop", instance=self.name)
        for code in ("200", "500"):
            if self.eager or code in self.counts:
                value, before = self.counts.get(code, 0), self.seen.get(code, 0)
                self.told[code] += value - before if value >= before else value
                self.seen[code] = value
                server.add(
                    moment, value, job="shop", instance=self.name, version=self.version, code=code
                )
        self.ceiling.clear()


EVENTS = st.sampled_from(
    ["ok", "ok", "ok", "ok", "fail", "fail", "fails", "restart", "missed", "outage"]
)


@st.composite
def instances(draw: st.DrawFn, name: str) -> tuple[str, str, bool, int, int, int, list[str]]:
    """Name, version, whether its counters are there from the start, its place within a scrape
    interval, first and last scrape, events.
    """
    begins = draw(st.integers(-8, SCRAPES - 2))
    ends = draw(st.integers(begins + 1, SCRAPES + 8))
    drawn = draw(st.lists(EVENTS, min_size=ends - begins, max_size=ends - begins))
    # What falls in more than a tenth of its samples is no counter (see `test_counting`).
    events = [
        "ok" if event == "restart" and "restart" in drawn[:i] else event
        for i, event in enumerate(drawn)
    ]
    return (
        name,
        draw(st.sampled_from(["v1", "v2"])),
        draw(st.booleans()),
        draw(st.integers(0, 999)),
        begins,
        ends,
        events,
    )


HISTORIES = st.integers(1, 4).flatmap(
    lambda count: st.tuples(*(instances(f"{i}:80") for i in range(count)))
)
EDGES = st.lists(st.integers(1, SCRAPES * 1000 - 1), max_size=6, unique=True).map(
    lambda inner: [*sorted(inner), SCRAPES * 1000]
)


def happened(
    history: Any, known: bool, past: int = 0
) -> tuple[FakePrometheus, dict[str, dict[str, int]]]:
    """The server after all this, and what it was told of after `START`, by version and code.

    ``known``: the job has been scraped for long. ``past``: requests before the first scrape, which
    the truth leaves out.
    """
    server = FakePrometheus()
    if known:
        server.add(ZERO - 60_000, 1, name="up", job="shop", instance="of old")
    truth = {version: {"200": 0, "500": 0} for version in ("v1", "v2")}
    for name, version, eager, place, begins, ends, events in history:
        instance, away, before = (
            Instance(name, version, eager, dict.fromkeys(["200"], past) if past else {}),
            0,
            {"200": 0, "500": 0},
        )
        first = True
        for at, event in zip(range(begins, ends), events, strict=True):
            if event == "restart":
                instance.restart()
            instance.serve(
                "500" if event.startswith("fail") else "200", 3 if event == "fails" else 2
            )
            away = max(away - 1, {"missed": 1, "outage": 9}.get(event, 0))
            if at * 1000 + place > SCRAPES * 1000:
                continue
            if away:
                server.add(ZERO + at * 1000 + place, 0, name="up", job="shop", instance=name)
            else:
                instance.scrape(server, ZERO + at * 1000 + place)
            if at * 1000 + place <= 0 or (past and first):
                before = dict(instance.told)
            first = False
        for code, told in instance.told.items():
            truth[version][code] += told - before[code]
    return server, truth


def chain(server: FakePrometheus, edges: list[int], metric: Any = ERRORS) -> list[Look]:
    """Looks as the engine takes them: each begins where the one before ended."""
    looks, start = [], START
    for edge in edges:
        end = START + ms(edge)
        while start < end:
            look = feed(
                PROMETHEUS._measure(RELEASE, metric, BOTH, Window(start, end), None), server
            )
            assert look.covered.start == start < look.covered.end <= end
            assert not any(isinstance(measured, NoAnswer) for _, measured in look.tracks), str(
                look.tracks
            )
            looks.append(look)
            start = look.covered.end
    return looks


def counted(looks: list[Look]) -> dict[str, dict[str, int]]:
    """All that these looks found, by version and code."""
    sums = {}
    for track, version in zip(BOTH, ("v1", "v2"), strict=True):
        found = [measured for look in looks if isinstance(measured := look.of(track), Counts)]
        failed = sum(each.events for each in found)
        sums[version] = {"200": sum(each.trials for each in found) - failed, "500": failed}
    return sums


# ------------------------------------------------------------------------------------------- counts


@rule("R13", "R18")
@settings(max_examples=200, deadline=None)
@given(HISTORIES, EDGES)
def test_every_event_that_was_scraped_is_counted_once_and_no_other(
    history: Any, edges: list[int]
) -> None:
    """Through restarts, births, deaths, missed scrapes and outages, and however the time is cut
    into windows.
    """
    server, truth = happened(history, known=True)

    assert counted(chain(server, edges)) == truth


@rule("R13")
@settings(max_examples=150, deadline=None)
@given(HISTORIES, EDGES, st.integers(-8, SCRAPES - 2))
def test_a_server_that_is_just_started_puts_nobodys_past_into_a_window(
    history: Any, edges: list[int], begins: int
) -> None:
    """All instances are scraped first within one interval, and have served for long."""
    fresh = [(*each[:4], begins, begins + len(each[6]), ["ok", *each[6][1:]]) for each in history]
    server, truth = happened(fresh, known=False, past=1000)

    assert counted(chain(server, edges)) == truth


@rule("R18")
@settings(max_examples=100, deadline=None)
@given(HISTORIES, EDGES, EDGES)
def test_windows_that_follow_each_other_share_out_the_events(
    history: Any, some: list[int], others: list[int]
) -> None:
    """However the time is cut, also within the time between two scrapes: in the end the same was
    counted.
    """
    server, _ = happened(history, known=True)

    assert (
        counted(chain(server, some))
        == counted(chain(server, others))
        == counted(chain(server, some[-1:]))
    )


@rule("R13")
@settings(max_examples=100, deadline=None)
@given(HISTORIES, EDGES)
def test_no_look_says_zero_of_zero_and_no_silence_is_without_a_reason(
    history: Any, edges: list[int]
) -> None:
    server, _ = happened(history, known=True)
    for look in chain(server, edges):
        for _, measured in look.tracks:
            assert (
                measured.sample > 0
                if isinstance(measured, Counts)
                else isinstance(measured, NoData) and measured.why
            )


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 3), min_size=3, max_size=3), st.booleans()),
        min_size=2,
        max_size=12,
    ),
    EDGES,
)
def test_every_value_in_a_bucket_is_counted_once(
    steps: list[tuple[list[int], bool]], edges: list[int]
) -> None:
    """A restart included, as long as what counts all falls with it by an eighth or more."""
    server, now, told, last = FakePrometheus(), [0, 0, 0], [0, 0, 0], [0, 0, 0]
    restarts = 0
    server.add(ZERO - 60_000, 1, name="up", job="shop", instance="a:80")
    for second, (fresh, restarted) in enumerate(steps, start=1):
        if restarted and not restarts and last[2] and sum(fresh) * 8 <= last[2] * 7:
            now = last = [0, 0, 0]
            restarts += 1
        now = [count + sum(fresh[: i + 1]) for i, count in enumerate(now)]
        told = [sum_ + new - old for sum_, new, old in zip(told, now, last, strict=True)]
        last = now
        for edge, count in zip(("0.1", "0.5", "+Inf"), now, strict=True):
            server.add(
                ZERO + second * 1000,
                count,
                name="seconds_bucket",
                job="shop",
                instance="a:80",
                version="v1",
                le=edge,
            )
    found = [look.of(Track.STABLE) for look in chain(server, edges, LATENCY)]
    sums = [
        sum(each.cumulative[i] for each in found if isinstance(each, Histogram)) for i in range(3)
    ]

    assert sums == told


@rule("R42")
def test_a_hostile_name_finds_only_the_series_that_is_really_called_so() -> None:
    server = FakePrometheus()
    for second in range(2):
        for version in ("v1", INJECTION):
            server.add(
                ZERO + second * 1000,
                second,
                job="shop",
                instance="a:80",
                version=version,
                code="200",
            )
    hostile = attrs.evolve(RELEASE.candidate)
    object.__setattr__(
        hostile, "backend", INJECTION
    )  # a release refuses such a name; the query does not depend on that
    release = attrs.evolve(RELEASE)
    object.__setattr__(release, "candidate", hostile)
    look = feed(
        PROMETHEUS._measure(
            release, ERRORS, BOTH, Window(START, START + timedelta(seconds=1)), None
        ),
        server,
    )

    assert look.of(Track.CANDIDATE) == look.of(Track.STABLE) == Counts(events=0, trials=1)
    assert len(server.queries) == 1
