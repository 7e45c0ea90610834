"""Numbers with their units: percent, multiples of stable, and durations."""

from __future__ import annotations

import math
from datetime import timedelta
from fractions import Fraction
from typing import Any

import attrs

from progressive.errors import StrategyError

__all__ = [
    "MILLION",
    "Percent",
    "Times",
    "geometric",
    "hours",
    "linear",
    "minutes",
    "ms",
    "percent",
    "percents",
    "seconds",
    "times",
]

MILLION = 1_000_000
"""Weights and ratios are whole parts per million inside: exact sums, no last-bit surprises; finer
than any known router.
"""


def _is_ppm(_: object, __: object, value: Any) -> None:
    if type(value) is not int or not 0 <= value <= MILLION:
        raise StrategyError(f"percent: {value!r} parts per million is not between 0 and {MILLION}")


@attrs.frozen(order=True, repr=False)
class Percent:
    """A share or a ratio from 0 % to 100 %, both included, exact to 0.0001 %. Make one with
    `percent`.
    """

    ppm: int = attrs.field(validator=_is_ppm)

    @property
    def fraction(self) -> float:
        """The same as a number from 0 to 1."""
        return self.ppm / MILLION

    @property
    def number(self) -> int | float:
        """The number in front of the percent sign: ``percent(2.5).number == 2.5``."""
        whole, rest = divmod(self.ppm, 10_000)
        return self.ppm / 10_000 if rest else whole

    def __str__(self) -> str:
        return f"{self.number} %"

    def __repr__(self) -> str:
        return f"percent({self.number})"


def percent(value: float) -> Percent:
    """``value`` per hundred: ``percent(1)`` is one request in a hundred. 0 to 100, both included,
    in steps of 0.0001.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or not 0 <= value <= 100
    ):
        raise StrategyError(f"percent({value!r}): expected a number from 0 to 100")
    ppm = round(value * 10_000)
    if abs(value * 10_000 - ppm) > 1e-6:
        raise StrategyError(
            f"percent({value!r}): finer than 0.0001 %; the nearest is percent({ppm / 10_000})"
        )
    return Percent(ppm)


def percents(*values: float) -> tuple[Percent, ...]:
    """`percent` of each: ``weights=percents(1, 10, 50, 100)``."""
    return tuple(percent(value) for value in values)


def linear(step: float, *, first: float | None = None) -> tuple[Percent, ...]:
    """Weights that rise by ``step`` per cent to 100: ``weights=linear(20)`` is 20, 40, 60, 80, 100;
    ``linear(30, first=1)`` is 1, 31, 61, 91,
    100. ``step`` and ``first`` (default: ``step``) are above 0 and at most 100, in steps of 0.0001.
    """
    by, now = (
        _above_zero(step, "linear"),
        _above_zero(step if first is None else first, "linear(first=)"),
    )
    found = []
    while now < MILLION:
        found.append(Percent(now))
        now += by
    return (*found, Percent(MILLION))


def geometric(
    first: float, *, factor: float = 2.0, multiple_of: float = 1.0
) -> tuple[Percent, ...]:
    """Weights that are multiplied by ``factor`` each time, to 100: ``weights=geometric(1)`` is 1,
    2, 4, 8, 16, 32, 64, 100.

    Each is cut down to a ``multiple_of`` this many per cent (what the router can do), and what does
    not rise by that is left out: ``geometric(1, factor=1.5)`` is 1, 2, 3, 5, 7, 11, 17, 25, 38, 57,
    86, 100. ``factor`` is above 1.
    """
    now, unit = (
        Fraction(_above_zero(first, "geometric")),
        _above_zero(multiple_of, "geometric(multiple_of=)"),
    )
    if (
        isinstance(factor, bool)
        or not isinstance(factor, int | float)
        or not math.isfinite(factor)
        or factor <= 1
    ):
        raise StrategyError(
            f"geometric(factor={factor!r}): expected a finite number above 1, such as 2"
        )
    if now % unit:
        raise StrategyError(
            f"geometric({first!r}): is not a multiple of {Percent(unit)}; the router could "
            "not give it exactly"
        )
    found: list[int] = []
    while now < MILLION:
        weight = int(now) // unit * unit
        if not found or weight > found[-1]:
            found.append(weight)
        now *= Fraction(str(factor))  # as it is written: 2.3 is no binary fraction
    return (*(Percent(weight) for weight in found), Percent(MILLION))


def _above_zero(value: float, what: str) -> int:
    """Parts per million of ``value`` per cent."""
    found = percent(value).ppm
    if not found:
        raise StrategyError(f"{what}: 0 % is no step; expected a number above 0")
    return found


@attrs.frozen(repr=False)
class Times:
    """A bound relative to stable. Make one with `times`."""

    factor: float
    floor: Percent | timedelta | float | None = None

    def __repr__(self) -> str:
        return (
            f"times({self.factor!r})"
            if self.floor is None
            else f"times({self.factor!r}, floor={self.floor!r})"
        )


def times(factor: float, *, floor: Percent | timedelta | float | None = None) -> Times:
    """``factor`` times what stable shows in the same windows: ``at_most=times(1.5)``.

    ``floor`` (in the unit of the metric) is a bound that is always allowed, so that one error
    beside a stable without any is not a breach. ``factor`` must be finite and above 0.
    """
    if (
        isinstance(factor, bool)
        or not isinstance(factor, int | float)
        or not math.isfinite(factor)
        or factor <= 0
    ):
        raise StrategyError(f"times({factor!r}): expected a finite number above 0")
    return Times(float(factor), floor)


def format_duration(duration: timedelta) -> str:
    """A duration as people say it: ``45 s``, ``3.7 s``, ``10 min``, ``1 h 30 min``, ``7 d``."""
    total = round(duration / timedelta(seconds=1), 1)
    if total < 60:
        return f"{total:g} s"
    whole = round(total)
    parts = []
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts)


def ms(value: float) -> timedelta:
    """``value`` milliseconds."""
    return timedelta(milliseconds=value)


def seconds(value: float) -> timedelta:
    """``value`` seconds."""
    return timedelta(seconds=value)


def minutes(value: float) -> timedelta:
    """``value`` minutes."""
    return timedelta(minutes=value)


def hours(value: float) -> timedelta:
    """``value`` hours."""
    return timedelta(hours=value)
