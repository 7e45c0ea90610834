"""Numbers with their units: percent, multiples of stable, and durations."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import Any

import attrs

from progressive.errors import StrategyError

from . import fields

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
"""Parts per million in 100 %. Weights and ratios are whole parts per million inside, which sums are
exact in and which is finer than any known router.
"""


def _is_ppm(_: object, __: object, value: Any) -> None:
    if type(value) is not int or not 0 <= value <= MILLION:
        raise StrategyError(f"percent: {value!r} parts per million is not between 0 and {MILLION}")


@attrs.frozen(order=True, repr=False)
class Percent:
    """A share or a ratio from 0 % to 100 %, both included, exact to 0.0001 %.

    Make one with `percent`.
    """

    ppm: int = attrs.field(validator=_is_ppm)

    @property
    def fraction(self) -> float:
        """The share as a number from 0 to 1."""
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
    """Make a `Percent`: ``percent(1)`` is one request in a hundred.

    ``value`` is from 0 to 100, both included, in steps of 0.0001. Raises `StrategyError` otherwise.
    """
    if not fields.is_finite(value) or not 0 <= value <= 100:
        raise StrategyError(f"percent({fields.brief(value)}): {_no_percent(value)}")
    ppm = round(value * 10_000)
    if abs(value * 10_000 - ppm) > 1e-6:
        raise StrategyError(
            f"percent({value!r}): finer than 0.0001 %; the nearest is percent({ppm / 10_000})"
        )
    return Percent(ppm)


def _no_percent(value: object) -> str:
    if isinstance(value, list | tuple):
        listed = ", ".join(map(fields.brief, value))
        return f"expected one number; for several write percents({listed})"
    return "expected a number from 0 to 100"


def percents(*values: float) -> tuple[Percent, ...]:
    """Make a `Percent` of each value: ``weights=percents(1, 10, 50, 100)``."""
    return tuple(percent(value) for value in values)


def linear(step: float, *, first: float | None = None) -> tuple[Percent, ...]:
    """Make weights that rise by ``step`` per cent to 100.

    ``weights=linear(20)`` is 20, 40, 60, 80, 100; ``linear(30, first=1)`` is 1, 31, 61, 91, 100.
    ``step`` and ``first`` (default: ``step``) are above 0 and at most 100, in steps of 0.0001.
    """
    increment = _ppm_above_zero(step, "linear")
    weight = _ppm_above_zero(step if first is None else first, "linear(first=)")
    weights = []
    while weight < MILLION:
        weights.append(Percent(weight))
        weight += increment
    return (*weights, Percent(MILLION))


def geometric(
    first: float, *, factor: float = 2.0, multiple_of: float = 1.0
) -> tuple[Percent, ...]:
    """Make weights that are multiplied by ``factor`` (above 1) each time, to 100.

    ``weights=geometric(1)`` is 1, 2, 4, 8, 16, 32, 64, 100. Each is rounded down to a multiple of
    ``multiple_of`` per cent, the router's smallest weight; one that then does not rise is left out:
    ``geometric(1, factor=1.5)`` is 1, 2, 3, 5, 7, 11, 17, 25, 38, 57, 86, 100.
    """
    exact = Fraction(_ppm_above_zero(first, "geometric"))
    unit = _ppm_above_zero(multiple_of, "geometric(multiple_of=)")
    if not fields.is_finite(factor) or factor <= 1:
        raise StrategyError(
            f"geometric(factor={fields.brief(factor)}): expected a finite number above 1, such as 2"
        )
    if exact % unit:
        raise StrategyError(
            f"geometric({first!r}): is not a multiple of {Percent(unit)}; the router could "
            "not give it exactly"
        )
    weights: list[int] = []
    while exact < MILLION:
        weight = int(exact) // unit * unit
        if not weights or weight > weights[-1]:
            weights.append(weight)
        exact *= Fraction(str(factor))  # as it is written: 2.3 is no binary fraction
    return (*(Percent(weight) for weight in weights), Percent(MILLION))


def _ppm_above_zero(value: float, what: str) -> int:
    """Return ``value`` per cent in parts per million; ``what`` names it in the error for 0."""
    ppm = percent(value).ppm
    if not ppm:
        raise StrategyError(f"{what}: 0 % is no step; expected a number above 0")
    return ppm


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
    """Make a bound relative to stable's value in the same windows: ``at_most=times(1.5)``.

    * ``factor``: finite and above 0.
    * ``floor`` (in the unit of the metric): a bound that is always allowed, so that one error
      beside a stable without any is not a breach.
    """
    if not fields.is_finite(factor) or factor <= 0:
        raise StrategyError(f"times({fields.brief(factor)}): expected a finite number above 0")
    return Times(float(factor), floor)


def format_duration(duration: timedelta) -> str:
    """Format a duration for people: ``45 s``, ``3.7 s``, ``10 min``, ``1 h 30 min``, ``7 d``."""
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


def _duration(name: str, value: float, unit: str) -> timedelta:
    try:
        return timedelta(**{unit: value})
    except TypeError:
        raise StrategyError(
            f"{name}({fields.brief(value)}): expected a number, such as {name}(5)"
        ) from None
    except (OverflowError, ValueError):  # too large, or not a number
        pass
    raise StrategyError(
        f"{name}({fields.brief(value)}): a duration is a finite number, of at most "
        f"{timedelta.max.days} days"
    )


def ms(value: float) -> timedelta:
    """Make a duration of ``value`` milliseconds."""
    return _duration("ms", value, "milliseconds")


def seconds(value: float) -> timedelta:
    """Make a duration of ``value`` seconds."""
    return _duration("seconds", value, "seconds")


def minutes(value: float) -> timedelta:
    """Make a duration of ``value`` minutes."""
    return _duration("minutes", value, "minutes")


def hours(value: float) -> timedelta:
    """Make a duration of ``value`` hours."""
    return _duration("hours", value, "hours")
