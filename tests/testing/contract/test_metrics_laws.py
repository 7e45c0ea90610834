"""`check_metrics` lets good providers through and bites every bad one with a sentence that names
the fault.
"""

from __future__ import annotations

import asyncio
import math
import re
import sqlite3
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
from tests.support.breakable import Breakable
from tests.support.rules import rule

from progressive import Metric, Release, StrategyError, Track, Version, ms, seconds
from progressive.errors import MetricsError
from progressive.metrics.function import Function
from progressive.metrics.sql import Query, Sql
from progressive.model import Counts, Gauge, Look, Measurement, Moments, NoAnswer, NoData, Window
from progressive.model.measurement import Histogram
from progressive.testing import (
    LawBroken,
    ScriptedMetrics,
    VirtualClock,
    acheck_metrics,
    check_metrics,
    steady,
)
from progressive.testing.contract.laws import in_words
from progressive.testing.contract.metrics_laws import OF_COUNTERS, OF_EVERY_KIND, OF_WINDOWS

RELEASE = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))
START = datetime(2026, 11, 23, 12, tzinfo=UTC)
WINDOW = Window(START, START + seconds(60))
ERRORS = Metric("errors", kind="ratio")
SLOW = Metric("duration", kind="latency")
BASKET = Metric("basket", kind="mean")
QUEUE = Metric("queue", kind="value")

TIMES = tuple(START + seconds(n) for n in range(0, 90, 3))
"""When something happened: every three seconds from the start on, and still after the end. Each
fifth fails.
"""

CUT = TIMES[7]
"""A moment at which something happened."""


def within(window: Window) -> list[int]:
    """Which of them are in a half-open window."""
    return list(range(bisect_left(TIMES, window.start), bisect_left(TIMES, window.end)))


def counted(found: Sequence[int]) -> Measurement:
    return (
        Counts(events=sum(1 for n in found if n % 5 == 0), trials=len(found))
        if found
        else NoData("nothing happened")
    )


def timed(found: Sequence[int]) -> Measurement:
    took = sorted(n / 10 for n in found)
    return (
        Histogram(
            edges=(0.5, 1.5),
            cumulative=[*(bisect_right(took, edge) for edge in (0.5, 1.5)), len(took)],
        )
        if took
        else NoData("none")
    )


def averaged(found: Sequence[int]) -> Measurement:
    if not found:
        return NoData("nothing happened")
    mean = math.fsum(found) / len(found)
    return Moments(n=len(found), mean=mean, m2=math.fsum((each - mean) ** 2 for each in found))


SHAPES: dict[Metric, Callable[[Sequence[int]], Measurement]] = {
    ERRORS: counted,
    SLOW: timed,
    BASKET: averaged,
}


class Plain:
    """A provider with history, in one colour."""

    metrics: Any = (ERRORS, SLOW, BASKET)

    def answer(self, metric: Metric, track: Track, window: Window) -> Measurement:
        return SHAPES[metric](within(window))

    def measure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> Look:
        return Look(
            metric=metric.name,
            window=window,
            tracks=[(track, self.answer(metric, track, window)) for track in tracks],
            fingerprint="plain",
        )


class Both(Plain):
    """In both."""

    async def ameasure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> Look:
        return self.measure(release, metric, tracks, window, since)


class Levels(Plain):
    """What the queue is now, whatever the window."""

    metrics = (QUEUE,)
    now = 0.0

    def answer(self, metric: Metric, track: Track, window: Window) -> Measurement:
        self.now += 1
        return Gauge(samples=(self.now,))


class Counter:
    """A system that has counted since ever, and keeps no history."""

    metrics = (Metric("hits", kind="ratio", counter=True),)

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.hits = 1_000

    def happen(self) -> None:
        self.clock.advance(seconds(10))
        self.hits += 7

    def reading(self) -> str | None:
        return str(self.hits)

    def rose(self, since: str) -> int:
        return self.hits - int(since)

    def measure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> Look:
        found: Measurement = NoData("opening reading")
        if since is not None:
            trials = self.rose(since)
            found = Counts(events=0, trials=trials) if trials else NoData("nothing happened")
        return Look(
            metric=metric.name,
            window=window,
            tracks=[(track, found) for track in tracks],
            reading=self.reading(),
        )


def function(release: Release, version: Version, window: Window) -> Any:
    return (0, len(found)) if (found := within(window)) else None


def database(folder: Path) -> Sql:
    path = folder / "shop.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("create table orders (version, at, failed, total)")
        db.executemany(
            "insert into orders values ('v2', ?, ?, ?)",
            [
                (at.isoformat(timespec="milliseconds").replace("+00:00", "Z"), n % 5 == 0, n)
                for n, at in enumerate(TIMES)
            ],
        )
        db.commit()
    inside = "from orders where version = :version and at >= :start and at < :end"
    return Sql(
        lambda: sqlite3.connect(path),
        {
            ERRORS: Query(f"select coalesce(sum(failed), 0), count(*) {inside}", times="iso"),
            BASKET: Query(f"select count(*), sum(total), sum(total * total) {inside}", times="iso"),
            QUEUE: Query(f"select total {inside} order by at", times="iso"),
        },
    )


GOOD: dict[str, Callable[[Path], Any]] = {
    "plain": lambda folder: Plain(),
    "both": lambda folder: Both(),
    "levels": lambda folder: Levels(),
    "function": lambda folder: Function(
        {ERRORS: function, QUEUE: lambda release, version, window: 3}
    ),
    "sql": database,
}


@pytest.mark.parametrize("error", [MetricsError("no such time"), None])
def test_times_that_a_system_does_not_have_may_be_refused_in_our_words(
    error: MetricsError | None,
) -> None:
    def change(metric: Metric, track: Track, window: Window) -> Measurement:
        if window.start.year == START.year:
            return SHAPES[metric](within(window))
        if error is not None:
            raise error
        return NoAnswer("no such time")

    check_metrics(measures(change)(), RELEASE, WINDOW, cuts=[CUT])


@rule("R13", "R18")
@pytest.mark.parametrize("make", GOOD.values(), ids=GOOD)
def test_a_good_provider_passes_in_both_colours(
    make: Callable[[Path], Any], tmp_path: Path
) -> None:
    provider = make(tmp_path)

    check_metrics(provider, RELEASE, WINDOW, cuts=[CUT])
    asyncio.run(acheck_metrics(provider, RELEASE, WINDOW, cuts=[CUT]))


def test_edges_that_some_windows_have_more_are_no_fault() -> None:
    """Windows are compared at the edges that all of them have."""
    check_metrics(measures(edges_that_come)(), RELEASE, WINDOW, cuts=[CUT])


def test_steady_scripts_count_each_request_once_however_the_time_is_cut() -> None:
    script = steady(47.3, stable=0.011, candidate=1.0)
    metrics = ScriptedMetrics(
        {
            ERRORS: lambda track, window: (
                script(track, window)
                if START <= window.start < window.end <= WINDOW.end
                else NoData("not then")
            )
        }
    )

    check_metrics(metrics, RELEASE, WINDOW, cuts=[START + ms(n) for n in (1, 2, 500, 501, 29_999)])


def test_a_counter_passes_and_is_tried_on_what_happens_between_two_looks() -> None:
    counter, scripted = Counter(), VirtualClock()
    check_metrics(counter, RELEASE, WINDOW, between=counter.happen, clock=counter.clock)
    check_metrics(Counter(), RELEASE, WINDOW)
    check_metrics(
        ScriptedMetrics({Counter.metrics[0]: steady(50)}),
        RELEASE,
        WINDOW,
        between=lambda: scripted.advance(seconds(2.5)),
        clock=scripted,
    )

    assert counter.hits == 1_000 + 2 * 7


# --------------------------------------------------------------------------------------- the faults


def answers(change: Callable[[Look, Window], Any], base: type[Any] = Plain) -> Callable[[], Any]:
    """A provider that changes its answer before it gives it."""

    class Answers(base):  # type: ignore[misc]
        def measure(
            self,
            release: Release,
            metric: Metric,
            tracks: Sequence[Track],
            window: Window,
            since: str | None,
        ) -> Look:
            found: Look = change(super().measure(release, metric, tracks, window, since), window)
            return found

    return Answers


def measures(change: Callable[[Metric, Track, Window], Measurement]) -> Callable[[], Any]:
    """A provider with another answer for a track."""

    class Measures(Plain):
        def answer(self, metric: Metric, track: Track, window: Window) -> Measurement:
            return change(metric, track, window)

    return Measures


def lists(metrics: object) -> Callable[[], Any]:
    class Lists(Plain):
        pass

    Lists.metrics = metrics
    return Lists


def fails(error: Exception) -> Callable[[], Any]:
    def change(metric: Metric, track: Track, window: Window) -> Measurement:
        raise error

    return measures(change)


def closed(metric: Metric, track: Track, window: Window) -> Measurement:
    return SHAPES[metric](range(bisect_left(TIMES, window.start), bisect_right(TIMES, window.end)))


def extrapolated(metric: Metric, track: Track, window: Window) -> Measurement:
    """As a rate times the length of the window does it."""
    found = (
        len(within(window)) if window.start < START + seconds(90) and window.start >= START else 0
    )
    trials = round(found / max(found * 3, 1) * window.length.total_seconds() * 1.1)
    return Counts(events=0, trials=trials) if metric is ERRORS else SHAPES[metric](within(window))


def edges_that_move(metric: Metric, track: Track, window: Window) -> Measurement:
    found = SHAPES[metric](within(window))
    return (
        attrs.evolve(found, edges=(window.length.total_seconds() / 60, window.length / seconds(1)))
        if isinstance(found, Histogram)
        else found
    )


def edges_that_come(metric: Metric, track: Track, window: Window) -> Measurement:
    """Another edge in some windows, as of a histogram that shows only what it has seen."""
    happened = within(window)
    found = SHAPES[metric](happened)
    if not isinstance(found, Histogram) or len(happened) % 2:
        return found
    below = sum(n / 10 <= 1.0 for n in happened)
    low, high, every = found.cumulative
    return Histogram(edges=(0.5, 1.0, 1.5), cumulative=(low, below, high, every))


def only_long_ones(metric: Metric, track: Track, window: Window) -> Measurement:
    return SHAPES[metric](within(window)) if window.length > seconds(9) else NoAnswer("too short")


def this_century(metric: Metric, track: Track, window: Window) -> Measurement:
    """As a system whose clock ends in 2038."""
    int(window.end.timestamp()).to_bytes(4, signed=True)
    return SHAPES[metric](within(window))


def zero(metric: Metric, track: Track, window: Window) -> Measurement:
    """Nothing found is a value of 0."""
    found = averaged(within(window))
    return (
        found
        if metric is BASKET and found.sample
        else Moments(n=1, mean=0.0, m2=0.0)
        if metric is BASKET
        else SHAPES[metric](within(window))
    )


class Flickers(Plain):
    asked = 0

    def answer(self, metric: Metric, track: Track, window: Window) -> Measurement:
        self.asked += 1
        return (
            counted(within(window)[self.asked // 2 % 2 :])
            if metric is ERRORS
            else SHAPES[metric](within(window))
        )


class Shares(Plain):
    """Gives each track its part of a number that knows no versions."""

    def measure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> Look:
        each = [(track, counted(within(window)[:: len(tracks)])) for track in tracks]
        return Look(metric=metric.name, window=window, tracks=each)


class Disagrees(Both):
    async def ameasure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> Look:
        return attrs.evolve(
            self.measure(release, metric, tracks, window, since), fingerprint="another"
        )


class Since(Plain):
    """Counts from the beginning of the day."""

    def answer(self, metric: Metric, track: Track, window: Window) -> Measurement:
        return (
            SHAPES[metric](within(Window(START, window.end)))
            if START <= window.start < WINDOW.end
            else NoData("another day")
        )


class Raw(Counter):
    """Shows the counter itself."""

    def rose(self, since: str) -> int:
        return self.hits

    def measure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> Look:
        return super().measure(release, metric, tracks, window, since or "0")


class Total(Counter):
    def rose(self, since: str) -> int:
        return self.hits


class Readingless(Counter):
    def reading(self) -> str | None:
        return None if self.hits > 1_000 else "1000"


class Opened(Counter):
    """Goes on from its own memory instead of the reading."""

    def __init__(self) -> None:
        super().__init__()
        self.last = 0

    def rose(self, since: str) -> int:
        rose, self.last = self.hits - max(self.last, 1_000), self.hits
        return rose


class Deaf(Counter):
    def rose(self, since: str) -> int:
        return 0


FAULTS: list[tuple[str, Callable[[], Any], str]] = [
    (
        "no metrics",
        lists(()),
        (
            "Lists.metrics does not say what it answers for\n  expected: (Metric('error-rate', "
            "kind='ratio'), ...)\n  seen:     ()"
        ),
    ),
    ("names of metrics", lists(["errors"]), "Lists.metrics does not say what it answers for"),
    (
        "a generator of metrics",
        lists(each for each in (ERRORS,)),
        "Lists.metrics does not say what it answers for",
    ),
    (
        "two of one name",
        lists((ERRORS, Metric("errors", kind="mean"))),
        "Lists.metrics has two metrics of one name",
    ),
    (
        "no method",
        attrs.make_class("Mute", {"metrics": attrs.field(default=(ERRORS,))}),
        "Mute has none of the methods of its contract",
    ),
    (
        "no look",
        answers(lambda look, window: look.of(Track.CANDIDATE)),
        "Answers.measure(errors) gave no Look",
    ),
    (
        "another metric",
        answers(lambda look, window: attrs.evolve(look, metric="other")),
        (
            "answered another question\n  expected: errors in [2026-11-23T12:00:00+00:00, "
            "2026-11-23T12:01:00+00:00)\n  seen:     other in"
        ),
    ),
    (
        "its own window",
        answers(
            lambda look, window: attrs.evolve(
                look, window=Window(window.start - seconds(15), window.end)
            )
        ),
        "Answers.measure(errors) answered another question",
    ),
    (
        "a track too few",
        answers(lambda look, window: attrs.evolve(look, tracks=look.tracks[:1])),
        (
            "answered for other tracks than were asked\n  expected: candidate, stable\n  seen:   "
            "  candidate"
        ),
    ),
    (
        "a track too many",
        answers(
            lambda look, window: attrs.evolve(
                look, tracks=[*look.tracks, (Track.BASELINE, NoData(""))]
            )
        ),
        "answered for other tracks than were asked",
    ),
    (
        "another shape",
        measures(lambda metric, track, window: Gauge(samples=(0.01,))),
        (
            "Measures.measure(errors) answered for candidate in another shape\n  expected: "
            "Counts, because it is a ratio"
        ),
    ),
    (
        "covers more",
        answers(
            lambda look, window: attrs.evolve(
                look, covered=Window(window.start, window.end + seconds(15))
            )
        ),
        "Answers.measure(errors) covers what was not asked for",
    ),
    (
        "finds nothing",
        measures(lambda metric, track, window: NoData("empty")),
        "Measures.measure(errors) found nothing\n  expected: something for one of the tracks in",
    ),
    (
        "a foreign error",
        fails(KeyError("v1")),
        (
            "Measures.measure(errors) raised an error of another kind\n  expected: an answer\n  "
            "seen:     KeyError: 'v1'"
        ),
    ),
    (
        "a clock that ends",
        measures(this_century),
        (
            "Measures.measure(errors) raised an error of another kind\n  expected: an answer\n  "
            "seen:     OverflowError"
        ),
    ),
    (
        "a wrong measurement",
        fails(StrategyError("counts: 3 events among 2 trials")),
        "seen:     StrategyError: counts: 3 events among 2 trials",
    ),
    (
        "down",
        fails(MetricsError("503")),
        "Measures.measure(errors) failed\n  expected: an answer\n  seen:     MetricsError: 503",
    ),
    (
        "flickers",
        Flickers,
        "Flickers.measure(errors) twice, in a window that is over, gave two answers for stable",
    ),
    (
        "one number for all",
        Shares,
        "Shares.measure(errors) gave stable another answer when it was asked alone",
    ),
    (
        "zero for nothing",
        measures(zero),
        "Measures.measure(basket) made up a number for candidate in 2001",
    ),
    (
        "the same for ever",
        measures(lambda metric, track, window: SHAPES[metric](within(WINDOW))),
        (
            "(errors) made up a number for candidate in 2001\n  expected: NoData(why), "
            "NoAnswer(why), a MetricsError, or counts of 0 trials"
        ),
    ),
    (
        "the end counts twice",
        measures(closed),
        (
            "Measures.measure(errors) does not count the parts of a window for stable as it "
            "counts the whole"
        ),
    ),
    (
        "extrapolates",
        measures(extrapolated),
        (
            "Measures.measure(errors) does not count the parts of a window for stable as it "
            "counts the whole"
        ),
    ),
    (
        "from the beginning of the day",
        Since,
        (
            "Since.measure(errors) does not count the parts of a window for stable as it counts "
            "the whole"
        ),
    ),
    (
        "a part makes no sense",
        measures(only_long_ones),
        "does not count the parts of a window for stable as it counts the whole",
    ),
    (
        "edges that move",
        measures(edges_that_move),
        (
            "(duration) gave windows that can't be merged\n  expected: one shape in all of "
            "them\n  seen:     StrategyError: measurements do not"
        ),
    ),
    (
        "a fingerprint with times",
        answers(lambda look, window: attrs.evolve(look, fingerprint=str(window.end))),
        "Answers.measure(errors) has another fingerprint in another window, or for other tracks",
    ),
    (
        "a reading without end",
        answers(lambda look, window: attrs.evolve(look, reading="x" * 5000)),
        (
            "raised an error of another kind\n  expected: an answer\n  seen:     StrategyError: "
            "look.reading: 5000 characters; 4096 are the most"
        ),
    ),
    (
        "colours that do not agree",
        Disagrees,
        "Disagrees.measure and Disagrees.ameasure do not agree on errors",
    ),
    (
        "a counter as it stands",
        Raw,
        (
            "Raw.measure(hits) without a reading to go on from must only give one\n  expected: "
            "NoData('opening reading')"
        ),
    ),
    (
        "a counter since ever",
        Total,
        (
            "Total.measure(hits) does not count from reading to reading for stable as it counts "
            "the whole"
        ),
    ),
    (
        "a counter without readings",
        Readingless,
        "Readingless.measure(hits) gave no reading to go on from",
    ),
    ("a counter with a memory", Opened, "seen:     Counts(events=0, trials=14) out of"),
    (
        "a counter that hears nothing",
        Deaf,
        "Deaf.measure(hits) found nothing of what between() has done",
    ),
]


@rule("R13")
@pytest.mark.parametrize(
    ("make", "said"), [case[1:] for case in FAULTS], ids=[case[0] for case in FAULTS]
)
def test_a_fault_is_named_with_what_was_expected_what_came_and_how_to_mend_it(
    make: Callable[[], Any], said: str
) -> None:
    provider = make()
    more = (
        {"between": provider.happen, "clock": provider.clock}
        if isinstance(provider, Counter)
        else {}
    )
    with pytest.raises(AssertionError, match=re.escape(said)) as caught:
        check_metrics(provider, RELEASE, WINDOW, cuts=[CUT], **more)

    assert re.fullmatch(
        r"\S[^\n]+\n  expected: [^\n]*\n  seen:     [^\n]*\n  hint:     [^\n]+(\n  law:     "
        r" [^\n]+)?",
        str(caught.value),
    )


def test_a_broken_law_is_named() -> None:
    with pytest.raises(LawBroken) as caught:
        check_metrics(measures(closed)(), RELEASE, WINDOW, cuts=[CUT])

    assert caught.value.law == "the parts make the whole"
    assert str(caught.value).endswith(
        "law:      the parts make the whole: Half-open windows that follow each other "
        "count everything once."
    )


def test_cuts_lie_within_the_window() -> None:
    with pytest.raises(
        AssertionError, match="check_metrics was given cuts that do not divide its window"
    ):
        check_metrics(Plain(), RELEASE, WINDOW, cuts=[WINDOW.end])


# -------------------------------------------------------------------------- systems that are broken


class Asked(Both):
    """A provider that asks a system, in both."""

    metrics = (ERRORS,)

    def __init__(self, system: Breakable) -> None:
        self.system = system

    def measure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> Look:
        try:
            self.system.asked()
        except Exception as error:
            return self.failed(error, metric, tracks, window)
        return super().measure(release, metric, tracks, window, since)

    async def ameasure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> Look:
        try:
            await self.system.aasked()
        except Exception as error:
            return self.failed(error, metric, tracks, window)
        return Plain.measure(self, release, metric, tracks, window, since)

    def failed(
        self, error: Exception, metric: Metric, tracks: Sequence[Track], window: Window
    ) -> Look:
        raise MetricsError(str(error)) from error


class NoAnswers(Asked):
    """It says so track by track."""

    def failed(
        self, error: Exception, metric: Metric, tracks: Sequence[Track], window: Window
    ) -> Look:
        why = NoAnswer(str(error))
        return Look(metric=metric.name, window=window, tracks=[(track, why) for track in tracks])


def failing(*modes: str, how: Callable[[Exception], Measurement]) -> type[Asked]:
    class Fails(Asked):
        def failed(
            self, error: Exception, metric: Metric, tracks: Sequence[Track], window: Window
        ) -> Look:
            if self.system.mode not in modes:
                return super().failed(error, metric, tracks, window)
            found = how(error)
            return Look(
                metric=metric.name, window=window, tracks=[(track, found) for track in tracks]
            )

    return Fails


def raised(error: Exception) -> Measurement:
    raise error


class Hangs(Asked):
    def measure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> Look:
        if self.system.mode == "hang":
            time.sleep(5)
        return super().measure(release, metric, tracks, window, since)


class Blocks(Asked):
    async def ameasure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> Look:
        return self.measure(release, metric, tracks, window, since)


@pytest.mark.parametrize("make", [Asked, NoAnswers])
def test_a_provider_whose_system_breaks_says_so(make: type[Asked]) -> None:
    system = Breakable()
    broken = system.breakages
    report = check_metrics(make(system), RELEASE, WINDOW, cuts=[CUT], broken=broken, within=SOON)
    there = asyncio.run(
        acheck_metrics(make(system), RELEASE, WINDOW, cuts=[CUT], broken=broken, within=SOON)
    )

    assert report.untried == there.untried == ()
    assert check_metrics(make(system), RELEASE, WINDOW).missing == tuple(
        f"broken[{way!r}]" for way in broken
    )


BROKEN = [
    (failing("refuse", how=raised), "a system that is down is not measured", "ConnectionRefused"),
    (
        failing("refuse", how=lambda error: NoData("nothing happened")),
        "a system that is down is not measured",
        "seen:     candidate: NoData",
    ),
    (
        failing("fail", how=lambda error: Counts(events=0, trials=0)),
        "a failure of the system is not measured",
        "measured something while the system was broken",
    ),
    (failing("garble", how=raised), "an answer without sense is not measured", "Nonsense: <html>"),
    (Hangs, "a system that hangs is left in time", "did not come back within 2 s"),
    (Blocks, "a system that hangs is left in time", "blocked the event loop while it waited"),
]
SOON = seconds(2)


@pytest.mark.parametrize(("make", "law", "said"), BROKEN)
def test_a_provider_that_hides_a_broken_system_is_found(
    make: type[Asked], law: str, said: str
) -> None:
    system = Breakable()
    with pytest.raises(LawBroken, match=re.escape(said)) as caught:
        check_metrics(
            make(system), RELEASE, WINDOW, cuts=[CUT], broken=system.breakages, within=SOON
        )

    assert caught.value.law == law


def test_every_law_is_broken_by_some_provider() -> None:
    named = {law for _, law, _ in BROKEN}
    for _, make, _ in FAULTS:
        provider = make()
        counting = isinstance(provider, Counter)
        more = {"between": provider.happen, "clock": provider.clock} if counting else {}
        with pytest.raises(LawBroken) as caught:
            check_metrics(provider, RELEASE, WINDOW, cuts=[CUT], **more)
        named.add(caught.value.law)

    laws = map(in_words, (*OF_WINDOWS, *OF_COUNTERS, *OF_EVERY_KIND))
    assert named - {""} == {*laws, "sync and async agree"}
