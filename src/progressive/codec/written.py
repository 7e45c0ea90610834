"""What a person writes for a duration, a share or a bound: ``5m``, ``1 h 30 min``, ``1%``, ``2x``.

Read into what stored JSON has, which are bare numbers; and written from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from progressive.model import fields
from progressive.model.units import format_duration

from .leaves import (
    Load,
    Mistake,
    dump_timedelta,
    load_datetime,
    load_float,
    load_guard,
    load_percent,
    plain,
)
from .strict_json import short

__all__ = ["PATTERNS", "READERS", "WRITERS"]

UNITS: Final = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}

_NUMBER: Final = r"\d+(?:\.\d+)?"
_PART: Final = rf"({_NUMBER}) ?(ms|s|min|m|h|d)"
_DURATION: Final = re.compile(rf"{_PART}(?: ?{_PART})*")
_EACH: Final = re.compile(_PART)
_PERCENT: Final = re.compile(rf"({_NUMBER}) ?%")
_TIMES: Final = re.compile(rf"({_NUMBER}) ?(?:x|times)")

PATTERNS: Final[Mapping[str, str]] = {
    "duration": rf"^{_DURATION.pattern}$",
    "percent": rf"^{_PERCENT.pattern}$",
    "times": rf"^{_TIMES.pattern}$",
}
"""The regular expressions of what is written as text."""


def _number(text: str) -> int | float:
    value = float(text)
    return int(value) if value.is_integer() else value


def _duration(data: Any) -> Any:
    if isinstance(data, str) and _DURATION.fullmatch(data):
        length = timedelta()
        try:
            for number, unit in _EACH.findall(data):
                length += _number(number) * UNITS[unit]
        except OverflowError:
            raise Mistake(f"{short(data)} is too long for a duration") from None
        return dump_timedelta(length)
    if fields.is_finite(data):
        raise Mistake(f"{short(data)} has no unit; write '{short(data)}s' or '{short(data)}m'")
    raise Mistake(f"expected a duration such as 5m, 90s or 1h30m, got {short(data)}")


def _percent(data: Any) -> Any:
    if isinstance(data, str) and (found := _PERCENT.fullmatch(data)):
        load_percent(share := _number(found[1]))
        return share
    if fields.is_finite(data):
        raise Mistake(f"{short(data)} has no unit; write '{short(data)}%'")
    raise Mistake(f"expected a share such as 1% or 0.5%, got {short(data)}")


def _bound(data: Any) -> Any:
    match data:
        case str() if found := _PERCENT.fullmatch(data):
            return {"percent": _number(found[1])}
        case str() if _DURATION.fullmatch(data):
            return {"seconds": _duration(data)}
        case str() if found := _TIMES.fullmatch(data):
            return {"times": _number(found[1])}
        case {"times": factor, "floor": floor, **rest} if not rest:
            read = _bound(factor)
            if not (isinstance(read, dict) and "times" in read):
                raise Mistake(f"expected 2x, got {short(factor)}", ".times")
            return read | {"floor": _bound(floor)}
        case _ if fields.is_finite(data):
            return data
        case _:
            raise Mistake(
                "expected 1%, 400ms, 2x, {times: 2x, floor: 1%} or a bare number for a value, got "
                f"{short(data)}"
            )


def _same(load: Load) -> Load:
    """Read what is written as it is stored; ``load`` refuses what is wrong."""

    def read(data: Any) -> Any:
        load(data)
        return data

    return read


def _text(data: Any) -> Any:
    if not isinstance(data, str):
        raise Mistake(f"expected a text, got {short(data)}; put it into quotes")
    return data


READERS: Final[Mapping[str, Load]] = {
    "text": _text,
    "boolean": _same(plain(bool, "true or false")),
    "integer": _same(plain(int, "a whole number")),
    "number": _same(load_float),
    "duration": _duration,
    "percent": _percent,
    "bound": _bound,
    "time": _same(load_datetime),
    "guard": _same(load_guard),
}
"""What reads each leaf, and makes what is stored of it. They raise `Mistake`."""


def _written_duration(value: Any) -> str:
    length = timedelta(milliseconds=round(value * 1000))
    if length % timedelta(seconds=1):
        return f"{length // timedelta(milliseconds=1)}ms"
    return format_duration(length).replace(" ", "").replace("min", "m")


def _written_bound(value: Any) -> Any:
    match value:
        case {"percent": share}:
            return f"{share}%"
        case {"seconds": length}:
            return _written_duration(length)
        case {"times": factor, "floor": floor}:
            return {"times": f"{factor}x", "floor": _written_bound(floor)}
        case {"times": factor}:
            return f"{factor}x"
        case _:
            return value


WRITERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "duration": _written_duration,
    "percent": lambda value: f"{value}%",
    "bound": _written_bound,
}
"""The way back of `READERS`."""
