"""What the raw samples of one counter mean: how much it rose, or why nobody can say.

A counter rises, and falls only when its process starts again. Samples come in other forms too:

* **A restart**: it falls by an eighth or more. It counts from zero again, so all that it shows then
  came since. A fall to 0 is one as well (Prometheus stores such a zero on request). Where it falls
  to half or more, and so many can't have come in the time (twice what came at the fastest
  elsewhere), it is none, and there is no answer.
* **A small fall**, by less than an eighth: an older value, of a second server, of an exporter that
  lags, or written over an old sample. It counts on from its maximum, and exactly so if it is back
  there soon. VictoriaMetrics draws the line at the same place. A young counter can really restart
  from 1000 to 876 and be told as this: where so many may have come in the time (twice what came at
  the fastest elsewhere), or where it is not back at its maximum after three samples, there is no
  answer.
* **Falls in more than a tenth of the samples**, or one to a height that no restart reaches in the
  time, and back at once: several processes or servers write it in turn; or its samples are what
  came since the last one (delta temporality). No answer, for no version of the look. Looked for
  further back than in the window, since a few samples of two processes may look like one's.
* **Two samples of one time**: the larger one holds, whatever their order.
* **A fall within half a scrape interval of another sample**: two servers write it. No answer.
* **A sample that is no count** (a fraction, less than 0, infinite): left out if at most one in five
  is so and the newest is not, as the next one tells all that it would have told.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Final, TypeAlias

import attrs

__all__ = [
    "MISSED",
    "SIGHT",
    "Line",
    "Misread",
    "Unusable",
    "counts_of",
    "refuse_several_writers",
]

Row: TypeAlias = tuple[int, tuple[int, ...]]
"""A time in milliseconds, and what each counter showed; the last one counts all."""

MISSED: Final = 3
"""Scrapes in a row that must be missing until a target counts as down: one is lost now and then,
two on a bad day. As many samples a counter has to get back to its maximum after a small fall.
"""

SIGHT: Final = 40
"""Scrapes up to the end of a window that are looked at for several writers, ten minutes at 15 s.
"""

_EIGHTH: Final = 8
"""A fall by less than this part is no restart: the line that VictoriaMetrics draws."""

_TENTH: Final = 10
"""Falls in more than this part of the samples are no restarts: a pod that crashes every other
minute falls in an eighth of its samples at 15 s, and nobody promotes that one.
"""

_SEVERAL: Final = 3
"""So many falls are needed for that, or two of which one is large and has a way back: in the few
samples of a short window, one or two restarts or older values are a tenth.
"""

_ODD: Final = 5
"""One sample in so many may be no count; the shortest window has six around it. What shows more of
them is a gauge, or counts in fractions.
"""

FEW: Final = 10
"""Counts up to here decide no verdict, so they are read the usual way where there are two."""

_FASTER: Final = 2
"""So many times the fastest rise elsewhere may come while a process starts again."""


class Unusable(Exception):
    """The server answered, but not with numbers that can be judged; says why."""


class Misread(Unusable):
    """Nor can they be judged for any other version: it is how the counters are kept."""


def counts_of(
    name: str, samples: Sequence[tuple[int, float]], *, deltas: bool = False
) -> tuple[tuple[int, int], ...]:
    """The samples of a counter in the order of time, one of each time. Raises `Unusable` if they
    are no counts. ``deltas``: the next sample does not tell what one that is left out would have.

    NaN is no sample: it is how VictoriaMetrics shows where a series ended.
    """
    counts: dict[int, int] = {}
    odd: dict[int, float] = {}
    for moment, number in samples:
        if math.isfinite(number) and number >= 0 and number.is_integer():
            counts[moment] = max(int(number), counts.get(moment, 0))
        elif not math.isnan(number):
            odd[moment] = number
    newest = max(counts, default=0)
    if odd and (deltas or len(odd) * _ODD > len(counts) + len(odd) or max(odd) >= newest):
        raise Unusable(
            f"{name} shows {next(iter(odd.values())):g}, which is no count; a counter of events "
            "rises in whole numbers"
        )
    return tuple(sorted((at, count) for at, count in counts.items() if at not in odd))


@attrs.frozen(kw_only=True)
class Line:
    """Counters that one scrape reads together and one restart resets together: a counter, or all
    buckets of a histogram.

    ``base``: what they showed at the start of the window, if there is no sample from before it;
    None if nobody knows. ``edges``: of the buckets but the last, which has none. ``spread``:
    whether these are what a native histogram has in each bucket and in all, and not below each
    edge: there a restart shows in any bucket that falls, even where all of them together rose.
    ``name``: for messages. ``scrape``: the scrape interval in milliseconds, if it is known.
    """

    samples: tuple[Row, ...]
    base: tuple[int, ...] | None
    edges: tuple[float, ...] = ()
    spread: bool = False
    name: str = "a counter"
    scrape: int | None = None

    def rise(self, start: int, end: int) -> tuple[int, ...] | None:
        """What came in the window, for each counter; None if it has nothing to tell, because there
        is no sample to compare with. Raises `Unusable` where the samples can be read in two ways
        that differ, `Misread` where they are those of no single counter.

        A restart of any of its counters is one of all: they count from zero again.
        """
        rows = tuple(row for row in self.samples if row[0] <= end)
        last = None if rows and rows[0][0] <= start else self.base
        refuse_several_writers(self.name, rows, self.scrape, start=start)
        _refuse_doubtful_falls(self.name, last, rows, start)
        rose = None if last is None else tuple(0 for _ in last)
        for moment, counts in rows:
            if last is not None and _dips(last, counts):
                continue
            if moment <= start or last is None or rose is None:
                last, rose = counts, tuple(0 for _ in counts) if rose is None else rose
                continue
            since = tuple(0 for _ in last) if _fell(last, counts) else last
            rose = tuple(
                sofar + new - old for sofar, new, old in zip(rose, counts, since, strict=True)
            )
            last = counts
        return (*accumulate(rose[:-1]), rose[-1]) if rose and self.spread else rose


# -------------------------------------------------------------------------------------------- falls


def _fell(old: Sequence[int], new: Sequence[int]) -> bool:
    return any(after < before for before, after in zip(old, new, strict=True))


def _dips(old: Sequence[int], new: Sequence[int]) -> bool:
    """Is this an older value, as far as one can see? None of them rose, and what counts all fell by
    less than an eighth.
    """
    return (
        _fell(old, new)
        and all(after <= before for before, after in zip(old, new, strict=True))
        and (old[-1] - new[-1]) * _EIGHTH < old[-1]
    )


def refuse_several_writers(
    name: str, rows: Sequence[Row], scrape: int | None, since: int = 0, *, start: int = 0
) -> None:
    """Raise `Misread` for samples that are not those of one counter, in a window from ``start`` on.

    Which of several processes answers is chance: of two, one look in seven at ten samples has no
    more falls than a restart makes, one in thousands at `SIGHT` of them. So what is older is looked
    at as well; but that two servers wrote something before ``since`` is over, and so is one sample
    of another process where the counter was back by ``start``.
    """
    falls = [i for i in range(1, len(rows)) if _fell(rows[i - 1][1], rows[i][1])]
    if not falls:
        return
    gaps = sorted(after[0] - before[0] for before, after in pairwise(rows))
    # Where two write, every other gap is short, so the upper third begins with the scrape interval.
    # It may be less than what was declared, and more where scrapes were missed.
    usual = gaps[len(gaps) * 2 // 3]
    half = min(usual, scrape or usual) / 2
    for i in (i for i in falls if rows[i][0] >= since):
        # A zero is stored where a process began, wherever that is between two scrapes.
        near = [rows[i][0] - rows[i - 1][0]]
        near += [rows[i + 1][0] - rows[i][0]] if i + 1 < len(rows) else []
        if any(rows[i][1]) and min(near) < half:
            raise Misread(
                f"{name} falls from {rows[i - 1][1][-1]} to {rows[i][1][-1]} within half a scrape "
                "interval of another sample: two servers write this series; let one of them "
                "write, or give each a label of its own and select one with labels="
            )
    many = len(falls) * _TENTH > len(rows) and (
        len(falls) >= _SEVERAL or (len(falls) > 1 and any(_comes_back(rows, i) for i in falls))
    )
    backs = {i: back for i in falls if (back := _back(rows, i)) is not None}
    jumps = [rows[backs[i]][0] for i in backs if _jumps(rows, i, set(backs.values()))]
    if many or len(jumps) > 1 or any(at > start for at in jumps):
        raise Misread(
            f"{name} falls in {len(falls)} of its {len(rows)} samples, which no restart explains: "
            "several processes behind one target, or several servers, write it in turn (give each "
            "a label of its own, or let the client add them up); or it shows what came since the "
            "last sample (delta temporality: write delta=True, or let the sender or the collector "
            "export cumulative counters, such as with deltatocumulative)"
        )


def _back(rows: Sequence[Row], fall: int) -> int | None:
    """The first sample after a fall at which it is where it was before, if that was a large one."""
    height = rows[fall - 1][1][-1]
    if _dips(rows[fall - 1][1], rows[fall][1]):
        return None
    return next((i for i in range(fall + 1, len(rows)) if rows[i][1][-1] >= height), None)


def _comes_back(rows: Sequence[Row], fall: int) -> bool:
    """Did it fall from more than a few by an eighth or more, and come back?"""
    return rows[fall - 1][1][-1] > FEW and _back(rows, fall) is not None


def _jumps(rows: Sequence[Row], fall: int, backs: set[int]) -> bool:
    """Did it fall to a height that no restart reaches in the time, and in one step come back? The
    steps in which it came back from any fall show no speed.
    """
    back, height, without = _back(rows, fall), rows[fall][1][-1], {fall, *backs}
    return (
        back is not None
        and height > FEW
        and _too_many(rows, fall, without, height)
        and _too_many(rows, back, without, rows[back][1][-1] - rows[back - 1][1][-1])
    )


def _too_many(rows: Sequence[Row], at: int, without: set[int], count: int) -> bool:
    """Are so many more than may have come since the sample before, by what came between other
    samples? Not if there are none.
    """
    speeds = [speed for i, speed in _speeds(rows) if i not in without]
    time = rows[at][0] - rows[at - 1][0]
    return bool(speeds) and count > _FASTER * max(speeds) * time


def _speeds(rows: Sequence[Row]) -> Iterator[tuple[int, float]]:
    """How much of all came in each millisecond before a sample, for those that did not fall."""
    highest = 0
    for i, (before, after) in enumerate(pairwise(rows), start=1):
        highest = max(highest, before[1][-1]) if _dips(before[1], after[1]) else highest
        if not _fell(before[1], after[1]):
            # After a small fall, only what is above the maximum is new.
            since = max(before[1][-1], min(highest, after[1][-1]))
            yield i, (after[1][-1] - since) / max(after[0] - before[0], 1)
            highest = 0 if after[1][-1] >= highest else highest


def _refuse_doubtful_falls(
    name: str, base: Sequence[int] | None, rows: Sequence[Row], start: int
) -> None:
    """Raise `Unusable` for a small fall that may be a restart, or that lasts; and for one to half
    or more that no restart reaches in the time, unless it counted on from there by ``start``.
    """
    last, since = base, None
    for i, (_, counts) in enumerate(rows):
        if last is None or not _fell(last, counts):
            last, since = counts, None
            continue
        # From a base to the first sample is a gap of unknown length, in which anything may come.
        high = i > 0 and counts[-1] > FEW and _too_many(rows, i, {i}, counts[-1])
        if not _dips(last, counts):
            over = rows[min(i + 1, len(rows) - 1)][0] <= start
            if high and counts[-1] * 2 >= last[-1] and not over:
                raise Unusable(
                    f"{name} fell from {last[-1]} to {counts[-1]}, but so many did not come since "
                    "the sample before: it did not start again, another process or server wrote "
                    "this; looks count again once this sample is out of their sight"
                )
            last, since = counts, None
            continue
        first, since = since is None, i if since is None else since
        lasts = i - since >= MISSED
        doubtful = first and counts[-1] > FEW and not high
        if lasts or doubtful:
            raise Unusable(
                f"{name} fell from {last[-1]} to {counts[-1]}, by less than an eighth"
                + (", and stayed below" if lasts else "")
                + ": nobody can say whether it started again or an older value was written over "
                "a newer one; looks count again once this sample is out of their sight"
            )
