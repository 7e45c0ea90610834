"""The lane of one check: what each look measured, between its bounds, against the limit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import attrs

from .drawing import Block, across, label, line, mark, marked, percent, upright
from .judged import CheckRecord, Mark
from .lanes import gravest_of, told
from .markup import Html, joined, tag, text
from .readings import Quantity, Reading
from .times import LEFT, WIDE, Span

__all__ = ["Scale", "scale_of", "values"]

HIGH: Final = 110
ABOVE: Final = 24

FURTHEST: Final = 64.0
"""The largest multiple that is drawn."""

SMALLEST: Final = 1 / 16
"""The smallest one; less, and nothing at all, is drawn there."""

NEAREST: Final = 4.0
"""The smallest range of multiples: from a quarter to four times."""

NOTHING: Final = 1e-300
"""Numbers below it are drawn as 0: a scale of less can not be divided."""

ROUND: Final = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 8.0, 10.0)
"""The first digits of where a scale may end."""


@attrs.frozen(kw_only=True)
class Scale:
    """The scale of a lane, from ``low`` at its bottom to ``high`` at its top."""

    low: float
    high: float
    multiple: bool

    def y(self, value: float) -> float:
        """Return where a value lies, in pixels from the top; none lies outside."""
        part = (self._at(value) - self._at(self.low)) / (self._at(self.high) - self._at(self.low))
        return ABOVE + HIGH * (1 - min(1.0, max(0.0, part)))

    def _at(self, value: float) -> float:
        return math.log2(max(SMALLEST, value)) if self.multiple else value

    @property
    def ticks(self) -> tuple[float, ...]:
        """The values that are written beside it, from the bottom up."""
        middle = 1.0 if self.multiple else 0.0 if self.low < 0 < self.high else None
        if middle is None:
            middle = (self.low + self.high) / 2
        return (self.low, middle, self.high)


def scale_of(readings: Sequence[Reading]) -> Scale:
    """Return a scale that holds every value and every limit of some readings, one or more.

    Bounds may go past it: those of the first looks are far away. So may multiples above the largest
    and below the smallest one that is drawn.
    """
    numbers = [
        number
        for each in readings
        for number in (each.value, *each.limits, *([] if each.beside is None else [each.beside]))
    ]
    low, high = min(numbers), max(numbers)
    if readings[0].quantity.multiple:
        return Scale(
            low=1 / _power(1 / max(low, SMALLEST), most=1 / SMALLEST),
            high=_power(high, most=FURTHEST),
            multiple=True,
        )
    low, high = 0.0 - _rounded(max(0.0, -low)), _rounded(max(0.0, high))
    if high == low:
        return Scale(low=0.0, high=1.0, multiple=False)
    return Scale(low=low, high=high, multiple=False)


def _power(value: float, most: float) -> float:
    """Return the power of two at or above a multiple, within what is drawn."""
    value = min(most, max(NEAREST, value))
    return 2.0 ** math.ceil(math.log2(value))


def _rounded(value: float) -> float:
    """Return a round number somewhat above a number of at least 0; 0 for nothing."""
    if value < NOTHING:
        return 0.0
    value = min(value * 1.05, 1e300)
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in ROUND if step * power >= value), 10 * power)


def values(check: CheckRecord, span: Span, *, named: bool) -> Block | None:
    """Draw a check's lane, with the check's name if ``named``; None if none of its judgements
    measured what can be drawn.
    """
    marks = [(each, each.reading) for each in check.marks(span)]
    drawn = [(each, found) for each, found in marks if found is not None]
    if not drawn:
        return None
    readings = [found for _, found in drawn]
    quantity, scale = readings[-1].quantity, scale_of(readings)
    merged = gravest_of(max(each.merged for each, _ in drawn))  # said beside the name, if it is
    name = f"{check.key}: {quantity.what}" if named else f"{quantity.what}{merged}"
    inside = [
        label(0.5, 12, name, "name"),
        *_edges(quantity, scale),
        *_limits(drawn, scale, span),
        *(each for one, found in drawn for each in _look(one, found, scale, span)),
    ]
    return Block(ABOVE + HIGH + 10, joined(inside))


def _edges(quantity: Quantity, scale: Scale) -> list[Html]:
    lines: list[Html] = []
    for n, value in enumerate(scale.ticks):
        y = scale.y(value)
        least = n == 0 and scale.multiple and value <= SMALLEST
        lines.append(across("grid" if n else "edge", y))
        lines.append(
            label(LEFT - 1, y + 4, "≤ 1/16 \u00d7" if least else quantity.write(value), "end")
        )
    return lines


def _limits(drawn: Sequence[tuple[Mark, Reading]], scale: Scale, span: Span) -> list[Html]:
    """Draw a limit that is the same in all looks over the whole span, else a piece at each look."""
    found = dict.fromkeys(reading.limits for _, reading in drawn)
    lines = []
    if len(found) > 1:
        for each, reading in drawn:
            x = span.x(each.note.at)
            lines += [
                line("limitline", x - 0.8, scale.y(limit), x + 0.8, scale.y(limit))
                for limit in reading.limits
            ]
        said = "limit of each look"
    else:
        [limits] = found
        lines = [across("limitline", scale.y(limit)) for limit in limits]
        write = drawn[0][1].quantity.write
        said = " and ".join(f"limit {write(limit)}" for limit in limits)
    return [*lines, *([label(LEFT + WIDE, 12, said, "limit end")] if said else [])]


def _look(one: Mark, found: Reading, scale: Scale, span: Span) -> list[Html]:
    """Draw one look: the range between its bounds, the control's value, and its own by verdict."""
    x = span.x(one.note.at)
    parts: list[Html] = []
    if found.low is not None or found.high is not None:
        low = scale.low if found.low is None else found.low
        high = scale.high if found.high is None else found.high
        parts.append(upright(f"range {marked(one.note.verdict)}", x, scale.y(high), scale.y(low)))
    if found.beside is not None:
        y = scale.y(found.beside)
        parts.append(
            tag(
                "circle",
                tag("title", text(f"control: {found.quantity.write(found.beside)}")),
                class_="beside",
                cx=percent(x),
                cy=y,
                r=2.5,
            )
        )
    parts.append(mark(one.note.verdict, x, scale.y(found.value), f"{found}; {told(one)}"))
    return parts
