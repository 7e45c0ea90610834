"""Numbers that change: over time, with load, with the candidate's share. Values, so a world made of
them compares, prints and pickles.

A curve is anything that is called with a `SimTime` and gives a number; a plain number is one that
never changes. Curves add and multiply: ``Ramp(1, 3, over=minutes(20)) * Daily(low=5, high=80)``. A
function of your own will do too; a lambda can't go to another process.
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
    """What a curve may look at. ``age``: since the version first had traffic. ``load``: requests a
    second of the whole service.

    ``share``: of this version, 0 to 1, copies of mirrored requests included. ``clock``: the time of
    the world, in UTC.
    """

    age: timedelta
    clock: datetime
    load: float
    share: float


class Curve:
    """Makes ``+`` and ``*`` of curves. Inherit from it for a curve of your own, or don't."""

    __slots__ = ()

    def __call__(self, moment: SimTime) -> float:
        """The number at this moment."""
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
    """A converter: a plain number as a float, a `Percent` as a fraction of 1, a duration in
    seconds; a curve stays one.
    """
    if isinstance(value, Percent):
        return value.ppm / MILLION
    if isinstance(value, timedelta):
        return value.total_seconds()
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def is_number(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """A validator for what `number` gave."""
    if callable(value) or (isinstance(value, float) and math.isfinite(value)):
        return
    raise StrategyError(
        f"{fields.where(instance, attribute)}: {value!r} is neither a finite number nor a curve"
    )


def at(value: Any, moment: SimTime) -> float:
    """What a number or a curve is at this moment."""
    found: float = value if isinstance(value, float) else value(moment)
    return found


def load_at(curve: Any, moment: SimTime, what: str = "World.load") -> float:
    """Requests a second at this moment; a `StrategyError` where they are none that can be sent."""
    found = at(curve, moment)
    try:
        if found >= 0 and math.isfinite(found):
            return found
    except TypeError:
        pass
    named = getattr(curve, "__qualname__", None) or repr(curve)
    raise StrategyError(
        f"{what}: {named} gives {found!r} at {moment.clock.isoformat()}, which is no load; "
        "it must be a finite number of requests a "
        "second, 0 or more"
    )


def scaled(value: Any, factor: float, *, most: float = math.inf) -> Any:
    """A number or a curve, times a factor; a number that never changes is ``most`` at the most."""
    return min(most, value * factor) if isinstance(value, float) else _Of(value, factor, times=True)


@attrs.frozen
class _Of(Curve):
    one: CurveLike = attrs.field(converter=number, validator=is_number)
    other: CurveLike = attrs.field(converter=number, validator=is_number)
    times: bool = attrs.field(kw_only=True)

    def __call__(self, moment: SimTime) -> float:
        one, other = at(self.one, moment), at(self.other, moment)
        return one * other if self.times else one + other


@attrs.frozen
class After(Curve):
    """One number before, another from then on: ``After(minutes(20), 0.001, 0.2)`` is a leak that
    shows after twenty minutes.

    Counted from the version's first traffic.
    """

    time: timedelta = attrs.field(validator=fields.is_span)
    before: CurveLike = attrs.field(converter=number, validator=is_number)
    then: CurveLike = attrs.field(converter=number, validator=is_number)

    def __call__(self, moment: SimTime) -> float:
        return at(self.then if moment.age >= self.time else self.before, moment)


@attrs.frozen
class Ramp(Curve):
    """From one number to another in a straight line: a cold cache is
    ``Ramp(4, 1, over=minutes(3))``. It stays at the second.
    """

    first: CurveLike = attrs.field(converter=number, validator=is_number)
    last: CurveLike = attrs.field(converter=number, validator=is_number)
    over: timedelta = attrs.field(kw_only=True, validator=fields.is_duration)

    def __call__(self, moment: SimTime) -> float:
        done = min(1.0, max(0.0, moment.age / self.over))
        return at(self.first, moment) * (1.0 - done) + at(self.last, moment) * done


@attrs.frozen
class Above(Curve):
    """One number up to a share of the traffic, another above it: ``Above(percent(30), 0.001, 0.1)``
    breaks under load.
    """

    share: Percent = attrs.field(validator=fields.is_a(Percent, "percent(30)"))
    below: CurveLike = attrs.field(converter=number, validator=is_number)
    then: CurveLike = attrs.field(converter=number, validator=is_number)

    def __call__(self, moment: SimTime) -> float:
        return at(self.then if moment.share * MILLION > self.share.ppm else self.below, moment)


@attrs.frozen(kw_only=True)
class Daily(Curve):
    """A wave with the day: ``high`` at ``peak`` o'clock (UTC), ``low`` twelve hours later.
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
    """``high`` for ``lasting`` at the beginning of ``every`` stretch of the clock, else ``low``."""

    low: CurveLike = attrs.field(converter=number, validator=is_number)
    high: CurveLike = attrs.field(converter=number, validator=is_number)
    every: timedelta = attrs.field(validator=fields.is_duration)
    lasting: timedelta = attrs.field(validator=fields.is_duration)

    def __call__(self, moment: SimTime) -> float:
        into = timedelta(seconds=moment.clock.timestamp() % self.every.total_seconds())
        return at(self.high if into < self.lasting else self.low, moment)
