"""Write and read the values without fields of their own: numbers, words, times, durations,
bounds, guards and what a step or a check remembers.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from itertools import repeat
from typing import Any, Final, cast

from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.actions import Memory
from progressive.model.units import Percent, Times, percent, times
from progressive.plan.plan import Guard

from .strict_json import short

__all__ = [
    "Dump",
    "Load",
    "Mistake",
    "as_it_is",
    "choice",
    "dump_bound",
    "dump_datetime",
    "dump_guard",
    "dump_memory",
    "dump_percent",
    "dump_timedelta",
    "load_bound",
    "load_datetime",
    "load_each",
    "load_float",
    "load_guard",
    "load_memory",
    "load_percent",
    "load_timedelta",
    "member",
    "plain",
]

MILLISECOND: Final = timedelta(milliseconds=1)

Load = Callable[[Any], Any]
"""Makes a value of JSON data. Raises `Mistake`."""

Dump = Callable[[Any], Any]
"""Makes JSON data of a value."""


class Mistake(Exception):
    """Data that can't be read. Its ``path`` is empty where it is found; everything around puts its
    own part in front of it, so that no path is made for data without a mistake. ``whys``: each by
    itself, where there are several.
    """

    def __init__(self, why: str, path: str = "", *, whys: tuple[str, ...] = ()) -> None:
        self.why = why
        self.path = path
        self.whys = whys or (why,)


def as_it_is(value: Any) -> Any:
    """Write a value that is JSON data itself."""
    return value


def load_each(loads: Iterable[Load], data: Iterable[Any]) -> tuple[Any, ...]:
    """Read each item of a list with its own function."""
    read: list[Any] = []
    try:
        for load, each in zip(loads, data, strict=False):
            read.append(load(each))
    except Mistake as mistake:
        mistake.path = f"[{len(read)}]{mistake.path}"
        raise
    return tuple(read)


def plain(kind: type[Any], what: str) -> Load:
    """Return the function that reads one type of JSON; ``what`` is its name, for the error."""

    def load(data: Any) -> Any:
        if type(data) is not kind:
            raise Mistake(f"expected {what}, got {short(data)}")
        return data

    return load


def choice(choices: tuple[Any, ...]) -> Load:
    """Return the function that reads one of a few words."""

    def load(data: Any) -> Any:
        if data not in choices:
            raise Mistake(f"{short(data)} is not one of {', '.join(map(str, choices))}")
        return data

    return load


def member(kind: type[enum.Enum]) -> Load:
    """Return the function that reads a member of an enumeration."""
    members = {member.value: member for member in kind}

    def load(data: Any) -> Any:
        if not isinstance(data, str) or data not in members:
            raise Mistake(f"{short(data)} is not one of {', '.join(members)}")
        return members[data]

    return load


def load_float(data: Any) -> float:
    """Read a number that a float can hold; a whole one stays whole."""
    if fields.is_finite(data):
        return data
    if isinstance(data, bool) or not isinstance(data, int | float):
        raise Mistake(f"expected a number, got {short(data)}")
    raise Mistake(f"{short(data)} is too large for a number")


def dump_datetime(value: datetime) -> str:
    """Write a time in UTC, in ISO 8601 with milliseconds."""
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def load_datetime(data: Any) -> datetime:
    """Read a time in ISO 8601 that has a zone."""
    try:
        value = datetime.fromisoformat(data)
    except (TypeError, ValueError):
        raise Mistake(
            f"expected a time such as 2026-01-31T09:30:00.000Z, got {short(data)}"
        ) from None
    if value.tzinfo is None:
        raise Mistake(f"{short(data)} has no time zone; end it with Z")
    try:
        return fields.utc(value)
    except OverflowError:
        raise Mistake(f"{short(data)} is before the first year or after the last") from None


def dump_timedelta(value: timedelta) -> int | float:
    """Write a duration in seconds, to the millisecond."""
    ms = value // MILLISECOND
    return ms // 1000 if not ms % 1000 else ms / 1000


def load_timedelta(data: Any) -> timedelta:
    """Read a duration in seconds, to the millisecond."""
    value = load_float(data)
    try:
        return timedelta(milliseconds=round(value * 1000))
    except (OverflowError, ValueError):
        raise Mistake(f"{short(data)} seconds is not a duration") from None


def dump_percent(value: Percent) -> int | float:
    """Write a share as the number before its percent sign."""
    return value.number


def load_percent(data: Any) -> Percent:
    """Read a share from the number before its percent sign."""
    try:
        return percent(data)
    except StrategyError as error:
        raise Mistake(str(error)) from None


def dump_bound(value: Any) -> Any:
    """Write a `Bound` as an object with its unit; a number has none."""
    match value:
        case Percent():
            return {"percent": value.number}
        case timedelta():
            return {"seconds": dump_timedelta(value)}
        case Times(factor=factor, floor=floor):
            if floor is None:
                return {"times": factor}
            return {"times": factor, "floor": dump_bound(floor)}
        case _:
            return value


def load_bound(data: Any) -> Any:
    """Read a `Bound`."""
    match data:
        case {"percent": value, **rest} if not rest:
            return _inside(".percent", load_percent, value)
        case {"seconds": value, **rest} if not rest:
            return _inside(".seconds", load_timedelta, value)
        case {"times": factor, **rest} if set(rest) <= {"floor"}:
            floor = _inside(".floor", load_bound, rest["floor"]) if "floor" in rest else None
            try:
                return times(_inside(".times", load_float, factor), floor=floor)
            except StrategyError as error:
                raise Mistake(str(error)) from None
        case int() | float():
            return load_float(data)
        case _:
            raise Mistake(
                f'expected {{"percent": ..}}, {{"seconds": ..}}, {{"times": ..}} or a '
                f"number, got {short(data)}"
            )


def dump_guard(value: Any) -> Any:
    """Write a guard, as the name of its analysis if it begins at once."""
    if isinstance(value, str):
        return value
    return {"analysis": value.analysis} | ({} if value.since is None else {"since": value.since})


def load_guard(data: Any) -> Any:
    """Read a guard or the name of its analysis."""
    match data:
        case str():
            return data
        case {"analysis": str(analysis), **rest} if set(rest) <= {"since"}:
            since = rest.get("since")
            if since is not None and not isinstance(since, str):
                raise Mistake(f"expected the id of a step, got {short(since)}", ".since")
            try:
                return Guard(analysis, since=since)
            except StrategyError as error:
                raise Mistake(str(error), ".analysis") from None
        case _:
            raise Mistake(
                'expected the name of an analysis, or an object with "analysis" and "since", got '
                f"{short(data)}"
            )


def _inside(place: str, load: Load, data: Any) -> Any:
    try:
        return load(data)
    except Mistake as mistake:
        mistake.path = place + mistake.path
        raise


def dump_memory(value: Memory) -> Any:
    """Write what a step or a check remembers."""
    return [dump_memory(each) for each in value] if isinstance(value, tuple) else value


def load_memory(data: Any) -> Memory:
    """Read what a step or a check remembers."""
    if isinstance(data, list):
        return load_each(repeat(load_memory), data)
    if isinstance(data, dict):
        raise Mistake(f"expected numbers, strings or lists, got {short(data)}")
    return cast(Memory, data)
