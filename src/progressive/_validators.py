"""Checks and normal forms for the values that people hand in; each error shows the mend."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from .errors import StrategyError

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._:/-]{0,126}[A-Za-z0-9])?")


def utc(value: object, what: str = "at") -> datetime:
    """``value`` in UTC, cut to whole milliseconds. Naive times are refused: nobody knows which moment they mean."""
    if not isinstance(value, datetime):
        raise StrategyError(f"{what}: expected an aware datetime, got {value!r}")
    if value.tzinfo is UTC and not value.microsecond % 1000:
        return value
    if value.utcoffset() is None:
        raise StrategyError(f"{what}: {value!r} has no time zone; use datetime.now(timezone.utc)")
    value = value.astimezone(UTC)
    return value.replace(microsecond=value.microsecond // 1000 * 1000)


def name(value: object, what: str) -> str:
    """``value`` if it can stand in states, notes, file names and URLs: letters, digits and ``. _ : / -``, 128 at most."""
    if isinstance(value, str) and _NAME.fullmatch(value):
        return value
    raise StrategyError(f"{what}: {value!r} is not a name; use 1 to 128 letters, digits and . _ : / - (none of them at an end)")


def duration(value: object, what: str, *, zero: bool = False) -> timedelta:
    """``value`` if it is a positive duration (or zero, where ``zero``), cut to whole milliseconds."""
    if not isinstance(value, timedelta):
        raise StrategyError(f"{what}: {value!r} has no unit; write seconds({value!r}), minutes(...) or a timedelta")
    whole = timedelta(milliseconds=value // timedelta(milliseconds=1))
    if whole < timedelta() or (not zero and not whole):
        raise StrategyError(f"{what}: {value!r} must be {'zero or more' if zero else 'at least 1 ms'}")
    return whole


def at_utc() -> Any:
    """An attrs field for a moment: aware, kept in UTC and whole milliseconds."""
    return attrs.field(converter=utc)


def named(what: str) -> Callable[[object], str]:
    """An attrs converter that refuses what is not a name."""
    return lambda value: name(value, what)


def lasting(what: str, *, zero: bool = False) -> Callable[[object], timedelta]:
    """An attrs converter for a duration."""
    return lambda value: duration(value, what, zero=zero)


def whole(value: object, what: str, *, least: int = 0) -> int:
    """``value`` if it is an int of at least ``least`` (a bool is not)."""
    if type(value) is int and value >= least:
        return value
    raise StrategyError(f"{what}: {value!r} must be a whole number, {least} or more")


def counted(what: str, *, least: int = 0) -> Callable[[object], int]:
    """An attrs converter for a whole number."""
    return lambda value: whole(value, what, least=least)
