"""Gates for business hours and freezes. They keep traffic from being raised, never from being
lowered.

A plan names its gates, the caller binds them: ``Canary(gates=["office-hours"], ...)`` and
``Ports(gates={"office-hours": OpenHours(zone="Europe/Vienna")}, ...)``. Several gates must all be
open.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import attrs

from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.actions import ClosedUntil, GateAnswer, Open
from progressive.model.release import Release

__all__ = ["Freeze", "OpenHours"]

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WORKDAYS: Final = DAYS[:5]

HORIZON: Final = 366
"""Days to search for the next opening: hours that do not open within a year never do."""


def _zone(value: str) -> tzinfo:
    try:
        return ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        pass
    raise StrategyError(
        f"OpenHours.zone: {value!r} is no time zone known here; use a name such as "
        "'Europe/Vienna' (pip install tzdata where there are none)"
    )


def _is_zone(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
    _zone(value)


def _is_days(instance: object, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    wrong = [day for day in value if day not in DAYS]
    if wrong or not value:
        raise StrategyError(f"OpenHours.days: {list(value)!r}; use some of {', '.join(DAYS)}")


def _is_time(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, time) or value.tzinfo is not None:
        raise StrategyError(
            f"{fields.where(instance, attribute)}: {value!r} is no time of day; write "
            "time(9, 30), without a zone"
        )


def _is_dates(instance: object, attribute: attrs.Attribute[Any], value: tuple[date, ...]) -> None:
    for i, day in enumerate(value):
        if not isinstance(day, date) or isinstance(day, datetime):
            raise StrategyError(
                f"{fields.where(instance, attribute)}[{i}]: {day!r} is no day; write "
                "date(2026, 12, 24)"
            )


def _dates(value: Iterable[date]) -> tuple[date, ...]:
    return tuple(value)


@attrs.frozen(kw_only=True)
class OpenHours:
    """A gate that is open at certain hours of certain days.

    * ``zone``: the name of the time zone, such as ``Europe/Vienna``.
    * ``days``: the days on which it opens, such as ``["mon", "tue"]``.
    * ``opens``, ``closes``: times of day, ``opens`` included, ``closes`` not. ``closes`` at or
      before ``opens`` is on the next day.
    * ``closed_on``: dates on which it does not open.

    When the clocks change it follows the time that they show; of an hour that comes twice, it opens
    in the first and closes in the second.
    """

    zone: str = attrs.field(validator=_is_zone)
    days: tuple[str, ...] = attrs.field(
        default=WORKDAYS, converter=fields.strings, validator=[fields.is_strings, _is_days]
    )
    opens: time = attrs.field(default=time(9), validator=_is_time)
    closes: time = attrs.field(default=time(17), validator=_is_time)
    closed_on: tuple[date, ...] = attrs.field(default=(), converter=_dates, validator=_is_dates)

    def __call__(self, release: Release, now: datetime) -> GateAnswer:
        """Return `Open`, or `ClosedUntil` the next opening. ``now`` is an aware time."""
        now = fields.moment(now, "OpenHours(now)")
        today = now.astimezone(_zone(self.zone)).date()
        for ahead in range(-1, HORIZON + 1):
            window = self._window(today + timedelta(days=ahead))
            if window is None or window[1] <= now:
                continue
            begins, _ = window
            return Open() if begins <= now else ClosedUntil(at=begins, why=f"open {self}")
        return ClosedUntil(
            at=now + timedelta(days=HORIZON),
            why=f"open {self}, and closed for the next {HORIZON} days",
        )

    def __str__(self) -> str:
        return f"{', '.join(self.days)} {self.opens:%H:%M} to {self.closes:%H:%M} {self.zone}"

    def _window(self, day: date) -> tuple[datetime, datetime] | None:
        """Return when it opens on a day and when it closes after that, in UTC.

        None if it does not open on that day.
        """
        if DAYS[day.weekday()] not in self.days or day in self.closed_on:
            return None
        last = day if self.opens < self.closes else day + timedelta(days=1)
        opens, closes = (
            datetime.combine(day, self.opens, tzinfo=_zone(self.zone)),
            datetime.combine(last, self.closes, tzinfo=_zone(self.zone)),
        )
        # PEP 495: fold=0 is the first of an hour that comes twice; in an hour that is left out, it
        # is the time moved on by that hour.
        begins, ends = (
            opens.astimezone(UTC),
            max(closes.replace(fold=fold).astimezone(UTC) for fold in (0, 1)),
        )
        return (begins, ends) if begins < ends else None


@attrs.frozen(kw_only=True)
class Freeze:
    """A gate that is closed for one period: ``Freeze(begins=..., ends=..., why="year's end")``.

    ``begins`` is included, ``ends`` is not; both are aware times. Raises `StrategyError` unless it
    ends after it begins.
    """

    begins: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    ends: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    why: str = attrs.field(default="a freeze", validator=fields.is_a(str, "a reason"))

    def __attrs_post_init__(self) -> None:
        if self.ends <= self.begins:
            raise StrategyError(
                f"Freeze: it ends at {self.ends.isoformat()}, not after its beginning at "
                f"{self.begins.isoformat()}"
            )

    def __call__(self, release: Release, now: datetime) -> GateAnswer:
        """Return `ClosedUntil` its end while it lasts, else `Open`. ``now`` is an aware time."""
        now = fields.moment(now, "Freeze(now)")
        return ClosedUntil(at=self.ends, why=self.why) if self.begins <= now < self.ends else Open()
