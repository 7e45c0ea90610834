"""Times: how they are written, and the scale of time that everything in a picture shares."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Final

import attrs

from progressive.model.units import format_duration

from .markup import Html, tag, text

__all__ = ["LEFT", "WIDE", "Span", "clock", "lasting", "moment"]

LEFT: Final = 13.0
"""Where the scale begins, in percent of the width of a picture: the numbers of the other scale
stand before it.
"""

WIDE: Final = 85.0
"""How wide the scale is, in percent of the width."""

MOST_TICKS: Final = 5

STEPS: Final = tuple(
    timedelta(seconds=seconds)
    for seconds in (
        *(1, 2, 5, 10, 15, 30),
        *(60 * minutes for minutes in (1, 2, 5, 10, 15, 30)),
        *(3600 * hours for hours in (1, 2, 3, 6, 12)),
        *(86_400 * days for days in (1, 2, 7, 14, 28, 91, 365, 3650)),
    )
)
"""What may lie between two times that are written below a scale."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def clock(at: datetime, *, day: bool = True) -> str:
    """Write a time in UTC, with its day if ``day``: ``03-01 12:00:05``."""
    return f"{at.astimezone(UTC):{'%m-%d ' if day else ''}%H:%M:%S}"


def moment(at: datetime, *, day: bool = True) -> Html:
    """Write a time as an element that says it in full to machines."""
    full = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return tag("time", text(clock(at, day=day)), datetime=full, title=full)


def lasting(duration: timedelta) -> str:
    """Write how long something took, cut to whole seconds if it was longer than ten."""
    whole = timedelta(seconds=duration // timedelta(seconds=1))
    return format_duration(duration if duration < timedelta(seconds=10) else whole)


@attrs.frozen(kw_only=True)
class Span:
    """The time that a picture shows, from ``start`` to ``end``."""

    start: datetime
    end: datetime

    @cached_property
    def length(self) -> timedelta:
        return max(self.end - self.start, timedelta(seconds=1))

    def part(self, at: datetime) -> float:
        """Return where a time lies, from 0 at the start to 1 at the end; no time lies outside."""
        return min(1.0, max(0.0, (at - self.start) / self.length))

    def x(self, at: datetime) -> float:
        """Return where a time lies, in percent of the width of the picture."""
        return LEFT + WIDE * self.part(at)

    def ticks(self) -> Iterator[tuple[datetime, str]]:
        """Yield at most five round times of the span, each with what is written there."""
        fitting = (step for step in STEPS if self.length / step < MOST_TICKS)
        step = next(fitting, self.length)
        first, last = -((EPOCH - self.start) // step), (self.end - EPOCH) // step
        for n in range(first, last + 1):
            at = EPOCH + n * step
            yield at, _label(at, step, self.start.date() != self.end.date())


def _label(at: datetime, step: timedelta, days: bool) -> str:
    """Write a time of a scale; midnight by its day, if there are ``days``."""
    if step >= timedelta(days=365):
        return f"{at:%Y-%m}"
    if step >= timedelta(days=1) or (days and (at.hour, at.minute, at.second) == (0, 0, 0)):
        return f"{at:%m-%d}"
    return f"{at:%H:%M}" if step >= timedelta(minutes=1) else f"{at:%H:%M:%S}"
