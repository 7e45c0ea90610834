"""Recorded looks, and what the question of another strategy finds among them.

The other strategy may ask in other windows. What was counted in one window can't be divided, so a
question is answered by the recorded windows that lie in it whole, merged. One that would cut a
recorded window in two waits until the window is whole; so looks are never taken more often than
they were recorded, nor more often than the strategy asks for them. One about a time in which
nothing was recorded waits too. It is not told that there was no data: that would be a word about
the candidate, and after a pass it would not keep traffic from being raised.
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
"""What was noted within this time of a visit is taken to be of that visit: calls take time, and a
loop of ticks wakes a little late. Later than this it was something else. A shorter time without a
look is no gap.
"""


@attrs.frozen(kw_only=True)
class Taken:
    """One recorded look: when it was answered, for which analyses, and why it says nothing (None:
    it says something).
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
        """Up to where its numbers reach, which may be a little past what was asked, or short of
        it.
        """
        return self.look.covered.end

    @property
    def horizon(self) -> datetime:
        """Up to where it was asked: for a metric without lag, the read of the router in the same
        visit.
        """
        return self.look.window.end


def taken(answers: Iterable[Measured]) -> tuple[Taken, ...]:
    """The looks of one metric, by time, each once; those of the preflight left out, which were
    before any traffic.
    """
    looks = [event for event in dict.fromkeys(answers) if event.analyses != (PREFLIGHT,)]
    counted = any(event.look.reading is not None for event in looks)
    found = [
        Taken(at=event.at, analyses=event.analyses, look=event.look, broken=_broken(event, counted))
        for event in looks
    ]
    return tuple(sorted(found, key=lambda each: (each.start, each.end, each.at, each.analyses)))


def _broken(event: Measured, counted: bool) -> str | None:
    """Why the engine took nothing from this answer; None if it did."""
    look = event.look
    for _, found in look.tracks:
        if isinstance(found, NoAnswer):
            return found.why
    if look.covered.end < look.window.start or look.covered.end > event.at + OVERSHOOT:
        return "it covered another time than was asked"
    return "a counter gave no reading" if counted and look.reading is None else None


def apart(looks: Iterable[Taken]) -> Iterator[Taken]:
    """Those that said something, without any that overlaps one before it."""
    end: datetime | None = None
    for each in looks:
        if each.broken is None and each.look.window.length and (end is None or each.start >= end):
            yield each
            end = each.end


@attrs.frozen(kw_only=True)
class Series:
    """The looks that answer one analysis' questions for one metric: its own where it has any,
    otherwise those of the others.
    """

    good: tuple[Taken, ...]
    broken: tuple[Taken, ...]
    openings: tuple[Taken, ...]
    lag: timedelta

    @classmethod
    def of(cls, looks: Sequence[Taken], analyses: tuple[str, ...], lag: timedelta) -> Series:
        """Out of all ``looks`` of the metric, for whichever of the ``analyses`` was recorded.
        ``lag`` is the metric's.
        """
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
        """What this question was answered with, and when; None: not yet, ask again later.

        An answer up to ``until`` is to a question of ``now``, if what it covers was there to be
        asked for by then. ``growing``: the window ends at the last read, so a later question will
        reach further.
        """
        window = command.window
        if not window.length:
            return self._opening(command, now, until)
        inside, coming = self._inside(window, now, until, growing)
        silent = [
            each for each in self.broken if each.start < window.end and each.horizon > window.start
        ]
        told = [
            each
            for each in silent
            if each.horizon <= window.end
            and each.at >= now
            and self._reached(each, now, until, growing)
        ]
        if told and (not inside or told[0].at < inside[-1].at):
            return _unanswered(command, told[0].at, told[0])
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
        # It is the last of its stretch, and nothing waits for it. Stable is silent too, so that
        # this is not held against the candidate.
        return _measured(
            command,
            now,
            [(track, NoData(why)) for track in dict.fromkeys((*command.tracks, Track.STABLE))],
            window,
        )

    def gaps(self, window: Window) -> Iterator[Window]:
        """The times in which no look lies that lies whole in ``window``."""
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
        """The looks that lie in the window and were answered by now; and whether waiting brings
        more.
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
        """Was it answered by now, or in the visit that is now?"""
        return each.at <= now or (growing and each.horizon + self.lag <= now and each.at <= until)

    def _opening(self, command: Measure, now: datetime, until: datetime) -> Measured | None:
        """A counter's first reading. Where none was recorded, its windows begin where they were
        asked for.
        """
        tried = [each for each in self.openings if each.start == command.window.start]
        for each in tried:
            if now <= each.at <= until or (each.broken is None and each.at <= now):
                if each.broken is not None:
                    return _unanswered(command, each.at, each)
                return _measured(command, max(now, each.at), _opened(command), each.look.covered)
        return (
            None
            if any(each.at > now for each in tried)
            else _measured(command, now, _opened(command), command.window)
        )

    def _merged(
        self, command: Measure, inside: list[Taken], now: datetime, growing: bool
    ) -> Measured:
        """Those that fit together as one look; what comes after a change of query or of buckets is
        for the next question.
        """
        found: dict[Track, Measurement] = {}
        used: list[Taken] = []
        for each in inside:
            if each.look.fingerprint != inside[0].look.fingerprint:
                break
            try:
                found = {
                    track: merge(found[track], each.look.of(track)) if used else each.look.of(track)
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
        return _measured(command, at, list(found.items()), Window(window.start, end), last.look)


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
    """What was answered, of which one part at least was no answer."""
    found: list[tuple[Track, Measurement]] = [
        (track, each.look.of(track)) for track in command.tracks
    ]
    if not any(isinstance(measured, NoAnswer) for _, measured in found):
        found = [(track, NoAnswer(each.broken or "")) for track in command.tracks]
    return _measured(command, at, found, command.window)


def counted(looks: Sequence[Taken]) -> Iterator[tuple[Taken, Counts | Histogram | Moments]]:
    """What was counted on the candidate, each request once: by looks that said something, else by
    the longest of those that did not.
    """
    kept = list(apart(looks))
    silent = [each for each in looks if each.broken is not None and each.end > each.start]
    for each in sorted(silent, key=lambda look: look.start - look.end):
        i = bisect_left(kept, each.end, key=lambda look: look.start)
        if i == 0 or kept[i - 1].end <= each.start:
            kept.insert(i, each)
    for each in kept:
        if isinstance(found := each.look.of(Track.CANDIDATE), Counts | Histogram | Moments):
            yield each, found
