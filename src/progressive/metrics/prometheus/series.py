"""What raw samples say about one window: counts, exact to the last scrape.

A sample tells what happened before it, so a window ``[start, end)`` is what came between the last
sample at or before its start and the last one at or before its end. Windows that follow each other
so share their samples, and no event is counted twice or lost. (It bears the time at which its
scrape began, so what came until the target answered, some milliseconds later, is in it too.)
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Final, TypeAlias

import attrs

from .counting import FEW, MISSED, Line, Unusable

__all__ = ["MISSED", "Labels", "Line", "Series", "Unusable", "Watch"]

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""The labels of a series, in order."""


@attrs.frozen(kw_only=True)
class Series:
    """One counter: its labels with its name, and its samples in the order of time, without those
    that are not a number. ``spread``: whether it is what a native histogram shows below one edge.
    ``delta``: whether its samples were deltas, which are added up: it began with nothing.
    """

    labels: Mapping[str, str]
    samples: tuple[tuple[int, int], ...]
    spread: bool = False
    delta: bool = False

    @property
    def key(self) -> Labels:
        return tuple(sorted(self.labels.items()))

    @property
    def name(self) -> str:
        return self.labels["__name__"]

    @property
    def job(self) -> str:
        """Of which job it was scraped; empty if it came another way."""
        return self.labels.get("job", "")

    @property
    def instance(self) -> str:
        """From which target of the job; empty if it came another way."""
        return self.labels.get("instance", "")

    def until(self, moment: int) -> int:
        """How many of its samples are at or before a moment."""
        return bisect_right(self.samples, moment, key=lambda sample: sample[0])

    def since(self, moment: int) -> Series:
        """The same with the samples from a moment on."""
        return attrs.evolve(self, samples=self.samples[self.until(moment - 1) :])

    def added_up(self) -> Series:
        """The same, where each sample is what came since the one before."""
        counts = accumulate(count for _, count in self.samples)
        times = (moment for moment, _ in self.samples)
        return attrs.evolve(self, samples=tuple(zip(times, counts, strict=True)), delta=True)

    @property
    def rows(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """Its samples as those of a `Line` of one counter."""
        return tuple((moment, (count,)) for moment, count in self.samples)


LONG_AGO: Final = 0
"""Before every window: the first moment of 1970."""


@attrs.frozen(kw_only=True)
class Watch:
    """All series that were asked for, around one window. Times and durations are whole
    milliseconds, times since 1970.

    ``earlier``: what series without a sample shortly before the window showed last, long before it.
    ``renamed``: those of which it is known because they went on under other labels. ``since``: when
    the first sample of a job is (a key of one) or of a target of it (job and
    instance), as far back as one has looked.
    """

    series: tuple[Series, ...]
    start: int
    end: int
    scrape: int
    earlier: Mapping[Labels, int] = attrs.field(factory=dict)
    since: Mapping[tuple[str, ...], int] = attrs.field(factory=dict)
    renamed: frozenset[Labels] = frozenset()

    @property
    def missing(self) -> int:
        """How long a target must be silent to count as down."""
        return MISSED * self.scrape

    def unfounded(self) -> tuple[Series, ...]:
        """Those which begin within the window, as far as one can see."""
        return tuple(
            each
            for each in self.series
            if each.samples and not each.delta and not each.until(self.start)
        )

    def founded(self, before: Iterable[Series]) -> Watch:
        """The same with what is known of the time before: series with their last sample then, which
        may be others of the jobs.

        A zero is known only of a target that was scraped: others may be stored where a counter says
        that it was created, which nobody has seen.
        """
        found = [each for each in before if each.samples]
        up = {(each.job, each.instance) for each in found if each.name == "up"}
        known = {
            each.key: each
            for each in found
            if each.samples[-1][1] or each.name == "up" or (each.job, each.instance) in up
        }
        here = {each.key for each in self.series if each.until(self.start)}
        since: dict[tuple[str, ...], int] = {
            (each.job,): LONG_AGO for key, each in known.items() if key not in here
        }
        for each in self.series:
            for key in ((each.job,), (each.job, each.instance)) if each.samples else ():
                since[key] = min(since.get(key, each.samples[0][0]), each.samples[0][0])
        return attrs.evolve(
            self, earlier={key: each.samples[-1][1] for key, each in known.items()}, since=since
        )

    def _born(self, series: Series) -> bool:
        """Did a series that nobody saw before begin with its first sample? Then what it shows there
        are events, all of them.

        It did if that target was scraped before without showing it, or if its job was scraped long
        before, so that the target itself is new. Otherwise the server may have just been started,
        or just been told of the job: then the first sample holds the whole past, and the targets of
        the job come one after the other within one scrape interval.
        """
        first = series.samples[0][0]
        target = self.since.get((series.job, series.instance), first) if series.instance else first
        return target < first or self.since.get((series.job,), first) <= first - self.missing

    def whole(self, begun: Iterable[Series]) -> tuple[Series, ...]:
        """Those whose first sample would count as a whole, and is more than a few."""
        return tuple(
            each
            for each in begun
            if not each.spread
            and each.key not in self.earlier
            and each.samples[0][1] > FEW
            and self._born(each)
        )

    def base(self, series: Series) -> int | None:
        """What it showed at the start of the window; None if nobody knows."""
        place = series.until(self.start)
        if place:
            return series.samples[place - 1][1]
        if series.delta:
            return 0
        return self.earlier.get(series.key, 0 if series.samples and self._born(series) else None)

    def going_on(self, pairs: Iterable[tuple[Series, int]]) -> Watch:
        """The same, with what some of the series showed under other labels before they began."""
        more = {each.key: count for each, count in pairs if each.key not in self.earlier}
        return attrs.evolve(
            self, earlier={**self.earlier, **more}, renamed=self.renamed | more.keys()
        )

    def newest(self, series: Iterable[Series]) -> int | None:
        """When any of these was scraped last; None if never."""
        return max((each.samples[-1][0] for each in series if each.samples), default=None)

    def stale(self, newest: int) -> bool:
        """Is this too long before the window's end?"""
        return newest <= self.end - self.missing

    def counter(self, series: Series) -> Line:
        """A series as a line of its own."""
        base = self.base(series)
        return Line(
            samples=series.rows,
            base=None if base is None else (base,),
            name=series.name,
            scrape=self.scrape,
        )

    def per_second(self, counters: Iterable[Series], until: int) -> float | None:
        """How much they rose together, by the time between their first and their last sample; None
        without two samples.

        A counter that was born or renamed is taken to have begun one scrape before; one that was
        not seen for long, with its first sample.
        """
        rose, begins, ends = 0, self.end, self.start
        for each in counters:
            line, place, inside = self.counter(each), each.until(self.start), each.until(until)
            if place == inside:
                continue
            begin = each.samples[place - 1][0] if place else each.samples[0][0]
            known = each.key not in self.earlier or each.key in self.renamed
            if not place and known and line.base is not None:
                begin -= self.scrape
            elif not place:
                line = attrs.evolve(line, base=None)
            rise = line.rise(self.start, until)
            rose += 0 if rise is None else rise[0]
            begins, ends = min(begins, begin), max(ends, each.samples[inside - 1][0])
        return rose * 1000 / (ends - begins) if ends > begins else None
