"""Curves: numbers that change over time, with load, or with the candidate's share. They are values,
so a world made of them can be compared, printed and pickled.

A curve is anything that is called with a `SimTime` and returns a number; a plain number never
changes. Curves add and multiply: ``Ramp(1, 3, over=minutes(20)) * Daily(low=5, high=80)``. A
function of your own is a curve too; a lambda can't go to another process.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import attrs

from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.units import MILLION, Percent

__all__ = ["Above", "After", "Bursts", "Curve", "CurveLike", "Daily", "Ramp", "SimTime"]


@attrs.frozen(kw_only=True)
class SimTime:
    """The moment for which a curve is asked.

    * ``age``: time since the version first had traffic.
    * ``clock``: the time of the world, in UTC.
    * ``load``: requests a second of the whole service.
    * ``share``: that of this version, 0 to 1, copies of mirrored requests included.
    """

    age: timedelta
    clock: datetime
    load: float
    share: float


class Curve:
    """A base of curves, with ``+`` and ``*``. A curve of your own may inherit from it."""

    __slots__ = ()

    def __call__(self, moment: SimTime) -> float:
        """Return the number at this moment."""
        raise NotImplementedError(
            f"{type(self).__name__} gives no number: write __call__(self, moment)"
        )

    def __add__(self, other: CurveLike) -> Curve:
        return _Of(self, other, times=False)

    def __mul__(self, other: CurveLike) -> Curve:
        return _Of(self, other, times=True)

    __radd__ = __add__
    __rmul__ = __mul__


CurveLike: TypeAlias = float | Percent | timedelta | Curve | Callable[[SimTime], float]
"""A number that never changes (a `Percent` is a fraction of 1, a duration is seconds), or a
curve.
"""


def number(value: Any) -> Any:
    """Convert a plain number to a float, a `Percent` to a fraction of 1, a duration to seconds; a
    curve stays as it is.
    """
    if isinstance(value, Percent):
        return value.ppm / MILLION
    if isinstance(value, timedelta):
        return value.total_seconds()
    return float(value) if isinstance(value, int) and fields.is_finite(value) else value


def is_number(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Validate the result of `number`: a finite float or a curve."""
    if callable(value) or (isinstance(value, float) and math.isfinite(value)):
        return
    raise StrategyError(
        f"{fields.where(instance, attribute)}: {value!r} is neither a finite number nor a curve"
    )


def at(value: Any, moment: SimTime | None) -> float:
    """Return the value of a number or a curve at this moment, which a number does not need."""
    result: float = value if isinstance(value, float) else value(moment)
    return result


def load_at(curve: Any, moment: SimTime, what: str = "World.load") -> float:
    """Return the requests a second at this moment.

    Raises `StrategyError` unless they are finite and 0 or more.
    """
    load = at(curve, moment)
    try:
        if load >= 0 and math.isfinite(load):
            return load
    except TypeError:
        pass
    named = getattr(curve, "__qualname__", None) or repr(curve)
    raise StrategyError(
        f"{what}: {named} gives {load!r} at {moment.clock.isoformat()}, which is no load; "
        "it must be a finite number of requests a "
        "second, 0 or more"
    )


def scaled(value: Any, factor: float, *, most: float = math.inf) -> Any:
    """Return a number or a curve, times a factor. A plain number is cut to ``most``."""
    if isinstance(value, float):
        return min(most, value * factor)
    return _Of(value, factor, times=True)


@attrs.frozen
class _Of(Curve):
    """The sum of two curves, or with ``times`` their product."""

    one: CurveLike = attrs.field(converter=number, validator=is_number)
    other: CurveLike = attrs.field(converter=number, validator=is_number)
    times: bool = attrs.field(kw_only=True)

    def __call__(self, moment: SimTime) -> float:
        one, other = at(self.one, moment), at(self.other, moment)
        return one * other if self.times else one + other


@attrs.frozen
class After(Curve):
    """One number before a time, another from then on (inclusive).

    ``time`` counts from the version's first traffic: ``After(minutes(20), 0.001, 0.2)`` is a leak
    that shows after twenty minutes.
    """

    time: timedelta = attrs.field(validator=fields.is_span)
    before: CurveLike = attrs.field(converter=number, validator=is_number)
    then: CurveLike = attrs.field(converter=number, validator=is_number)

    def __call__(self, moment: SimTime) -> float:
        return at(self.then if moment.age >= self.time else self.before, moment)


@attrs.frozen
class Ramp(Curve):
    """A straight line from ``first`` to ``last`` over a time, and then ``last``.

    It begins with the version's first traffic: a cold cache is ``Ramp(4, 1, over=minutes(3))``.
    """

    first: CurveLike = attrs.field(converter=number, validator=is_number)
    last: CurveLike = attrs.field(converter=number, validator=is_number)
    over: timedelta = attrs.field(kw_only=True, validator=fields.is_duration)

    def __call__(self, moment: SimTime) -> float:
        done = min(1.0, max(0.0, moment.age / self.over))
        return at(self.first, moment) * (1.0 - done) + at(self.last, moment) * done


@attrs.frozen
class Above(Curve):
    """One number up to a share of the traffic (inclusive), another above it.

    ``Above(percent(30), 0.001, 0.1)`` is a version that breaks under load.
    """

    share: Percent = attrs.field(validator=fields.is_a(Percent, "percent(30)"))
    below: CurveLike = attrs.field(converter=number, validator=is_number)
    then: CurveLike = attrs.field(converter=number, validator=is_number)

    def __call__(self, moment: SimTime) -> float:
        return at(self.then if moment.share * MILLION > self.share.ppm else self.below, moment)


@attrs.frozen(kw_only=True)
class Daily(Curve):
    """A wave with a period of a day: ``high`` at ``peak`` o'clock (UTC), ``low`` 12 hours later.

    ``low=0`` is a night without traffic.
    """

    low: float = attrs.field(converter=number, validator=is_number)
    high: float = attrs.field(converter=number, validator=is_number)
    peak: float = attrs.field(default=15.0, converter=number, validator=is_number)

    def __call__(self, moment: SimTime) -> float:
        clock = moment.clock
        hour = clock.hour + clock.minute / 60 + clock.second / 3600
        away = abs((hour - self.peak + 12.0) % 24.0 - 12.0) / 12.0  # 0 at the peak, 1 in the night
        return self.low + (self.high - self.low) * (1.0 - away * away * (3.0 - 2.0 * away))


@attrs.frozen(kw_only=True)
class Bursts(Curve):
    """``high`` for ``lasting`` at the beginning of each period of ``every``, else ``low``.

    Periods count from 1970 in UTC: those of an hour begin at the full hour.
    """

    low: CurveLike = attrs.field(converter=number, validator=is_number)
    high: CurveLike = attrs.field(converter=number, validator=is_number)
    every: timedelta = attrs.field(validator=fields.is_duration)
    lasting: timedelta = attrs.field(validator=fields.is_duration)

    def __call__(self, moment: SimTime) -> float:
        into = timedelta(seconds=moment.clock.timestamp() % self.every.total_seconds())
        return at(self.high if into < self.lasting else self.low, moment)
