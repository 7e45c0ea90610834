"""Answer the looks of another strategy from recorded ones.

The other strategy may ask for other windows. The counts of a window can't be divided, so a question
is answered by the recorded windows that lie whole in it, merged. One that would cut a recorded
window in two waits until the window is whole; so looks are never taken more often than they were
recorded, nor more often than the strategy asks for them. One about a time in which nothing was
recorded waits too. Its answer is not "no data": that would be a statement about the candidate, and
after a pass it would not keep traffic from being raised.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

import attrs

from progressive.analysis.analysis import PREFLIGHT
from progressive.engine.measuring import OVERSHOOT
from progressive.errors import StrategyError
from progressive.model.measurement import (
    Counts,
    Histogram,
    Look,
    Measurement,
    Moments,
    NoAnswer,
    NoData,
    Window,
    merge,
)
from progressive.model.traffic import Track
from progressive.model.units import seconds
from progressive.rollout.commands import Measure
from progressive.rollout.events import Measured

__all__ = ["PROMPT", "Series", "Taken", "counted", "taken"]

PROMPT: Final = seconds(5)
"""A note within this time of a visit counts as part of it: calls take time, and a loop of ticks
wakes a little late. A shorter time without a look is no gap.
"""


@attrs.frozen(kw_only=True)
class Taken:
    """One recorded look.

    * ``at``: when it was answered.
    * ``analyses``: those for which it was taken.
    * ``broken``: why the engine could not judge it; None if it could.
    """

    at: datetime
    analyses: tuple[str, ...]
    look: Look
    broken: str | None

    @property
    def start(self) -> datetime:
        return self.look.window.start

    @property
    def end(self) -> datetime:
        """The end of what its numbers cover, which may be a little before or after the end of its
        window.
        """
        return self.look.covered.end

    @property
    def horizon(self) -> datetime:
        """The end of its window: for a metric without lag, the read of the router in the same
        visit.
        """
        return self.look.window.end


def taken(answers: Iterable[Measured]) -> tuple[Taken, ...]:
    """Return the looks of one metric by time, each once, without those of the preflight."""
    looks = [event for event in dict.fromkeys(answers) if event.analyses != (PREFLIGHT,)]
    counted = any(event.look.reading is not None for event in looks)
    unsorted = [
        Taken(at=event.at, analyses=event.analyses, look=event.look, broken=_broken(event, counted))
        for event in looks
    ]
    return tuple(sorted(unsorted, key=lambda each: (each.start, each.end, each.at, each.analyses)))


def _broken(event: Measured, counted: bool) -> str | None:
    """Return why the engine could not judge this look; None if it could."""
    look = event.look
    for _, measurement in look.tracks:
        if isinstance(measurement, NoAnswer):
            return measurement.why
    if look.covered.end < look.window.start or look.covered.end > event.at + OVERSHOOT:
        return "it covered another time than was asked"
    return "a counter gave no reading" if counted and look.reading is None else None


def apart(looks: Iterable[Taken]) -> Iterator[Taken]:
    """Yield the looks that could be judged, without any that overlaps an earlier one."""
    end: datetime | None = None
    for each in looks:
        if each.broken is None and each.look.window.length and (end is None or each.start >= end):
            yield each
            end = each.end


@attrs.frozen(kw_only=True)
class Series:
    """The recorded looks that answer one analysis for one metric: its own where it has any,
    otherwise those of other analyses.

    * ``good``: those that could be judged; they do not overlap.
    * ``broken``: those that could not.
    * ``openings``: the opening readings of a counter.
    * ``lag``: the metric's.
    """

    good: tuple[Taken, ...]
    broken: tuple[Taken, ...]
    openings: tuple[Taken, ...]
    lag: timedelta

    @classmethod
    def of(cls, looks: Sequence[Taken], analyses: tuple[str, ...], lag: timedelta) -> Series:
        """Select from all ``looks`` of a metric those for ``analyses``. ``lag`` is the metric's."""
        own = [each for each in looks if any(name in analyses for name in each.analyses)]
        mine = list(apart(own))
        starts = [each.start for each in mine]

        def free(each: Taken) -> bool:
            i = bisect_left(starts, each.end)
            return i == 0 or mine[i - 1].end <= each.start

        good = (
            [*mine, *(each for each in apart(looks) if free(each))] if mine else list(apart(looks))
        )
        asked = own or looks
        return cls(
            good=tuple(sorted(dict.fromkeys(good), key=lambda each: (each.start, each.end))),
            broken=tuple(
                each for each in asked if each.broken is not None and each.look.window.length
            ),
            openings=tuple(each for each in asked if not each.look.window.length),
            lag=lag,
        )

    def answer(
        self, command: Measure, *, now: datetime, until: datetime, growing: bool
    ) -> Measured | None:
        """Return the recorded answer to a look; None if there is none yet, and it is to be asked
        again later.

        * ``now``: the time of the question.
        * ``until``: an answer up to then is to a question of ``now``, if its window was complete.
        * ``growing``: whether the window ends at the last read, so that a later question reaches
          further.
        """
        window = command.window
        if not window.length:
            return self._opening(command, now, until)
        inside, coming = self._inside(window, now, until, growing)
        silent = [
            each for each in self.broken if each.start < window.end and each.horizon > window.start
        ]
        failed = [
            each
            for each in silent
            if each.horizon <= window.end
            and each.at >= now
            and self._reached(each, now, until, growing)
        ]
        if failed and (not inside or failed[0].at < inside[-1].at):
            return _unanswered(command, failed[0].at, failed[0])
        whole = bool(inside) and inside[-1].horizon == window.end
        if inside and (whole or not coming):
            return self._merged(command, inside, now, growing)
        if coming or any(each.at > now for each in silent):
            return None
        if silent:
            return _unanswered(command, now, silent[-1])
        if growing:
            return None
        why = (
            f"the recording has no look at {command.metric} from {window.start:%H:%M:%S} to "
            f"{window.end:%H:%M:%S}"
        )
        # It is the last of its stable period, and nothing waits for it. Stable has no data either,
        # so that this does not count against the candidate.
        return _measured(
            command,
            now,
            [(track, NoData(why)) for track in dict.fromkeys((*command.tracks, Track.STABLE))],
            window,
        )

    def gaps(self, window: Window) -> Iterator[Window]:
        """Yield the times in ``window`` that no look covers which lies whole in it."""
        end = window.start
        for each in self.good[bisect_left(self.good, window.start, key=lambda look: look.start) :]:
            if each.start >= window.end or each.end > window.end + PROMPT:
                break
            if each.start > end + PROMPT:
                yield Window(end, each.start)
            end = each.end
        if window.end > end + PROMPT:
            yield Window(end, window.end)

    def _inside(
        self, window: Window, now: datetime, until: datetime, growing: bool
    ) -> tuple[list[Taken], bool]:
        """Return the looks that lie in the window and were answered by now, and whether more will
        come.
        """
        inside: list[Taken] = []
        coming = False
        for each in self.good[bisect_left(self.good, window.start, key=lambda look: look.start) :]:
            if each.start >= window.end:
                break
            if min(each.end, each.horizon) > window.end:
                coming = coming or (growing and window.end - each.start > PROMPT)
            elif self._reached(each, now, until, growing):
                inside.append(each)
            else:
                coming = True
        return inside, coming

    def _reached(self, each: Taken, now: datetime, until: datetime, growing: bool) -> bool:
        """Return whether a look was answered by now, or in the present visit."""
        return each.at <= now or (growing and each.horizon + self.lag <= now and each.at <= until)

    def _opening(self, command: Measure, now: datetime, until: datetime) -> Measured | None:
        """Return a counter's opening reading.

        Where none was recorded, its windows begin where they were asked for.
        """
        tried = [each for each in self.openings if each.start == command.window.start]
        for each in tried:
            if now <= each.at <= until or (each.broken is None and each.at <= now):
                if each.broken is not None:
                    return _unanswered(command, each.at, each)
                return _measured(command, max(now, each.at), _opened(command), each.look.covered)
        if any(each.at > now for each in tried):
            return None
        return _measured(command, now, _opened(command), command.window)

    def _merged(
        self, command: Measure, inside: list[Taken], now: datetime, growing: bool
    ) -> Measured:
        """Merge looks into one, up to a change of the query or of the buckets; the rest is for the
        next question.
        """
        merged: dict[Track, Measurement] = {}
        used: list[Taken] = []
        for each in inside:
            if each.look.fingerprint != inside[0].look.fingerprint:
                break
            try:
                merged = {
                    track: merge(merged[track], each.look.of(track))
                    if used
                    else each.look.of(track)
                    for track in command.tracks
                }
            except StrategyError:
                break
            used.append(each)
        last, window = used[-1], command.window
        short = window.end - last.end
        closed = (
            not growing
            and len(used) == len(inside)
            and last.horizon != window.end
            and timedelta() < short <= PROMPT
        )
        end = window.end if closed else last.end
        at = max(now, *(each.at for each in used))
        return _measured(command, at, list(merged.items()), Window(window.start, end), last.look)


def _measured(
    command: Measure,
    at: datetime,
    tracks: list[tuple[Track, Measurement]],
    covered: Window,
    look: Look | None = None,
) -> Measured:
    return Measured(
        at=at,
        analyses=command.analyses,
        look=Look(
            metric=command.metric.name,
            window=command.window,
            tracks=tracks,
            covered=covered,
            reading="recorded" if command.metric.counter else None,
            query="" if look is None else look.query,
            fingerprint="" if look is None else look.fingerprint,
        ),
    )


def _opened(command: Measure) -> list[tuple[Track, Measurement]]:
    return [(track, NoData("opening reading")) for track in command.tracks]


def _unanswered(command: Measure, at: datetime, each: Taken) -> Measured:
    """Return a look that was answered, with at least one track as `NoAnswer`."""
    tracks: list[tuple[Track, Measurement]] = [
        (track, each.look.of(track)) for track in command.tracks
    ]
    if not any(isinstance(measured, NoAnswer) for _, measured in tracks):
        tracks = [(track, NoAnswer(each.broken or "")) for track in command.tracks]
    return _measured(command, at, tracks, command.window)


def counted(looks: Sequence[Taken]) -> Iterator[tuple[Taken, Counts | Histogram | Moments]]:
    """Yield what was counted on the candidate, each request once.

    Looks that could be judged come first; the longest of the others fill the gaps.
    """
    kept = list(apart(looks))
    silent = [each for each in looks if each.broken is not None and each.end > each.start]
    for each in sorted(silent, key=lambda look: look.start - look.end):
        i = bisect_left(kept, each.end, key=lambda look: look.start)
        if i == 0 or kept[i - 1].end <= each.start:
            kept.insert(i, each)
    for each in kept:
        measured = each.look.of(Track.CANDIDATE)
        if isinstance(measured, Counts | Histogram | Moments):
            yield each, measured
