"""A metric on trial: it is measured as a driver does it, and every single answer is looked at."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import reduce
from typing import Final

import attrs

from progressive.errors import MetricsError, StrategyError
from progressive.model.measurement import (
    Counts,
    Gauge,
    Histogram,
    Kind,
    Look,
    Measurement,
    Metric,
    Moments,
    NoAnswer,
    NoData,
    Window,
    merge,
)
from progressive.model.release import Release
from progressive.model.traffic import Track

from .laws import BoundPort, broken, must, must_answer
from .outages import Outages

FITS: Final[dict[Kind, type[Counts | Histogram | Moments | Gauge]]] = {
    Kind.RATIO: Counts,
    Kind.LATENCY: Histogram,
    Kind.MEAN: Moments,
    Kind.VALUE: Gauge,
}

CLOSE: Final = 1e-9
"""How near two means are that were added up in another order."""


@attrs.frozen(kw_only=True)
class Trial:
    """One metric of a provider, asked through one kind of its methods."""

    provider: BoundPort
    metric: Metric
    release: Release
    window: Window
    cuts: tuple[datetime, ...]
    between: Callable[[], object] | None
    clock: Callable[[], datetime]
    outages: Outages

    @property
    def measure(self) -> str:
        """How messages name the call."""
        return f"{self.provider.named('measure')}({self.metric})"

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Those that the release has a version for."""
        return tuple(track for track in Track if track.version(self.release) is not None)

    def look(
        self,
        window: Window | None = None,
        tracks: Sequence[Track] | None = None,
        since: str | None = None,
    ) -> Look:
        """An answer that has to come, if it is one to what was asked."""
        window, tracks = window or self.window, tracks or self.tracks
        with must_answer(self.measure, MetricsError):
            found = self.provider("measure", self.release, self.metric, tracks, window, since)
        return self._fits(found, window, tracks)

    def search(self, window: Window) -> Look | None:
        """An answer that need not come: None if the system can't be asked for such a window."""
        with must_answer(self.measure, MetricsError):
            try:
                found = self.provider(
                    "measure", self.release, self.metric, self.tracks, window, None
                )
            except MetricsError:
                return None
        return self._fits(found, window, self.tracks)

    def opened(self) -> Look:
        """The first look at a counter: a reading to go on from."""
        now = self.clock()
        return self.look(Window(now, now))

    def since(self, before: Look) -> Look:
        """The next look at a counter, after there was something to count."""
        start = before.covered.end
        return self.look(Window(start, max(start, self.clock())), since=before.reading)

    def _fits(self, found: object, window: Window, tracks: Sequence[Track]) -> Look:
        must(
            isinstance(found, Look),
            f"{self.measure} gave no Look",
            expected="Look(metric=metric.name, window=window, tracks=...)",
            seen=repr(found),
            hint="where there is nothing, say so for each track with NoData(why); where it "
            "makes no sense, with NoAnswer(why)",
        )
        assert isinstance(found, Look)
        must(
            found.metric == self.metric.name and found.window == window,
            f"{self.measure} answered another question",
            expected=f"{self.metric} in {in_words(window)}",
            seen=f"{found.metric} in {in_words(found.window)}",
            hint="repeat what was asked: Look(metric=metric.name, window=window, ...); what "
            "the numbers really cover goes into covered=",
        )
        must(
            [track for track, _ in found.tracks] == sorted(tracks),
            f"{self.measure} answered for other tracks than were asked",
            expected=", ".join(sorted(tracks)),
            seen=", ".join(track for track, _ in found.tracks) or "none",
            hint="answer for every track in tracks and no other; NoData(why) for one that "
            "has nothing",
        )
        for track, measurement in found.tracks:
            must(
                isinstance(measurement, (FITS[self.metric.kind], NoData, NoAnswer)),
                f"{self.measure} answered for {track} in another shape",
                expected=f"{FITS[self.metric.kind].__name__}, because it is a "
                f"{self.metric.kind.value}; or NoData or NoAnswer",
                seen=repr(measurement),
                hint="answer in the shape of the metric's kind, or declare the metric with "
                "another kind=",
            )
        must(
            found.covered.end >= window.start
            and (self.metric.counter or found.covered.end <= window.end),
            f"{self.measure} covers what was not asked for",
            expected=in_words(window),
            seen=in_words(found.covered),
            hint="leave covered= out if the system has history; the next window begins where "
            "this one ended",
        )
        return found


def listed(provider: object) -> tuple[Metric, ...]:
    """What a provider answers for, if it can be told."""
    found = getattr(provider, "metrics", None)
    what = f"{type(provider).__name__}.metrics"
    must(
        isinstance(found, Sequence) and found and all(isinstance(each, Metric) for each in found),
        f"{what} does not say what it answers for",
        expected="(Metric('error-rate', kind='ratio'), ...)",
        seen=repr(found),
        hint="make it a tuple of every Metric that it answers for; plans are bound to them by name",
    )
    assert isinstance(found, Sequence)
    names = [each.name for each in found]
    must(
        len(set(names)) == len(names),
        f"{what} has two metrics of one name",
        expected="every name once",
        seen=", ".join(names),
        hint="give each its own name: it is what binds the plan to the provider",
    )
    return tuple(found)


# ----------------------------------------------------------------------------------------- in words


def same(one: Measurement, other: Measurement) -> bool:
    """Do they say the same?

    Why there is nothing may be told in other words; means may differ in their last bit; histograms
    may have other edges as long as they agree at those that both have.
    """
    if not one.sample and not other.sample:
        return isinstance(one, NoAnswer) == isinstance(other, NoAnswer)
    if isinstance(one, Moments) and isinstance(other, Moments):
        spread = math.sqrt(one.m2 / one.n) + abs(one.mean)
        close = math.isclose(one.mean, other.mean, rel_tol=CLOSE, abs_tol=CLOSE * spread)
        return (
            one.n == other.n
            and close
            and math.isclose(
                one.m2, other.m2, rel_tol=1e-6, abs_tol=CLOSE * one.n * spread * spread
            )
        )
    if isinstance(one, Histogram) and isinstance(other, Histogram):
        edges = one.shared_edges(other)
        return bool(edges) and one.at(edges) == other.at(edges)
    return one == other


def merged(trial: Trial, parts: Sequence[Measurement]) -> Measurement:
    """Windows that follow each other as one."""
    try:
        return reduce(_merge, parts)
    except StrategyError as error:
        raise broken(
            f"{trial.measure} gave windows that can't be merged",
            expected="one shape in all of them",
            seen=error,
            hint="give a histogram the same edges in every window, or some of them",
        ) from error


def _merge(one: Measurement, other: Measurement) -> Measurement:
    """Merge histograms at the edges that both have."""
    if isinstance(one, Histogram) and isinstance(other, Histogram):
        edges = one.shared_edges(other)
        if edges:
            return merge(one.at(edges), other.at(edges))
    return merge(one, other)


def told(look: Look) -> str:
    """What was measured, track by track."""
    return ", ".join(f"{track}: {measurement}" for track, measurement in look.tracks)


def in_words(window: Window) -> str:
    """A window as messages show it."""
    return f"[{window.start.isoformat()}, {window.end.isoformat()})"
