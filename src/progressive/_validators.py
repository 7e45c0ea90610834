"""Checks and normal forms for the values that people hand in; each error shows the mend."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from .errors import StrategyError

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._:/-]{0,126}[A-Za-z0-9])?")


def utc(value: datetime) -> datetime:
    """``value`` in UTC, cut to whole milliseconds. Naive times are refused: nobody knows which moment they mean."""
    if not isinstance(value, datetime):
        raise StrategyError(f"expected an aware datetime, got {value!r}")
    if value.tzinfo is UTC and not value.microsecond % 1000:
        return value
    if value.utcoffset() is None:
        raise StrategyError(f"{value!r} has no time zone; use datetime.now(timezone.utc)")
    value = value.astimezone(UTC)
    return value.replace(microsecond=value.microsecond // 1000 * 1000)


def whole_ms(value: timedelta) -> timedelta:
    """``value`` cut to whole milliseconds; what is not a duration is left for the validator to name."""
    if not isinstance(value, timedelta) or not value.microseconds % 1000:
        return value
    return timedelta(milliseconds=value // timedelta(milliseconds=1))


def where(instance: object, attribute: attrs.Attribute[Any]) -> str:
    """How messages name a field: ``Bake.duration``."""
    return f"{type(instance).__name__}.{attribute.name}"


def is_duration(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """A validator: a duration of at least one millisecond."""
    _duration(where(instance, attribute), value, timedelta(milliseconds=1))


def is_span(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """A validator: a duration that may be zero."""
    _duration(where(instance, attribute), value, timedelta())


def _duration(what: str, value: object, least: timedelta) -> None:
    if not isinstance(value, timedelta):
        raise StrategyError(f"{what}: {value!r} has no unit; write seconds({value!r}), minutes(...) or a timedelta")
    if value < least:
        raise StrategyError(f"{what}: {value!r} must be {'at least 1 ms' if least else 'zero or more'}")


def is_name(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """A validator: it can stand in states, notes, file names and URLs."""
    name(value, where(instance, attribute))


def name(value: object, what: str) -> str:
    """``value`` if it is a name: letters, digits and ``. _ : / -``, 128 at most."""
    if isinstance(value, str) and _NAME.fullmatch(value):
        return value
    raise StrategyError(f"{what}: {value!r} is not a name; use 1 to 128 letters, digits and . _ : / - (none of them at an end)")


def at_least(least: int) -> Callable[[object, attrs.Attribute[Any], object], None]:
    """A validator: a whole number, ``least`` or more (a bool is not one)."""

    def check(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        whole(value, where(instance, attribute), least=least)

    return check


def whole(value: object, what: str, *, least: int = 0) -> int:
    """``value`` if it is a whole number of at least ``least``."""
    if type(value) is int and value >= least:
        return value
    raise StrategyError(f"{what}: {value!r} must be a whole number, {least} or more")


optional = attrs.validators.optional
instance_of = attrs.validators.instance_of


def strings(value: Iterable[str]) -> tuple[str, ...]:
    """A converter: several strings. One string alone is a mistake that would become its letters."""
    if isinstance(value, str):
        raise StrategyError(f"expected a list of strings, got {value!r}; write [{value!r}]")
    return tuple(value)


def numbers(value: Iterable[float]) -> tuple[float, ...]:
    """A converter: several numbers."""
    return tuple(value)


def wholes(value: Iterable[int]) -> tuple[int, ...]:
    """A converter: several whole numbers."""
    return tuple(value)
