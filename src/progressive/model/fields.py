"""Validators and converters for the fields of values; each error has a hint.

A converter leaves a wrong value as it is, for the validator of the same field to report.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeGuard, TypeVar

import attrs

from progressive.errors import StrategyError

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._:/-]{0,126}[A-Za-z0-9])?")

Choice = TypeVar("Choice", bound=enum.Enum)


STORED_AS: Final = "stored_as"
"""The metadata of a field whose key in stored state is not its name: that key."""


def stored_as(key: str) -> dict[str, str]:
    """Return the ``metadata=`` of a renamed field, whose stored key stays ``key`` for ever."""
    return {STORED_AS: key}


MISSING: Final = "missing"
"""The metadata of a field whose default has changed: what a stored value without its key means."""


def missing_means(value: object) -> dict[str, object]:
    """Return the ``metadata=`` of a field whose default has changed: what was stored without its
    key, when that was the default, means ``value`` for ever.
    """
    return {MISSING: value}


def utc(value: datetime) -> datetime:
    """A converter: an aware time in UTC, cut to whole milliseconds."""
    if (
        not isinstance(value, datetime)
        or (value.tzinfo is UTC and not value.microsecond % 1000)
        or value.utcoffset() is None
    ):
        return value
    value = value.astimezone(UTC)
    return value.replace(microsecond=value.microsecond // 1000 * 1000)


def is_moment(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """A validator: an aware time. Naive ones are refused, as their time zone is not known."""
    if getattr(value, "tzinfo", None) is not UTC:
        raise StrategyError(_no_moment(where(instance, attribute), value))


def moment(value: datetime, what: str) -> datetime:
    """Return an aware time in UTC, cut to whole milliseconds; ``what`` names it in the error."""
    try:
        value = utc(value)
    except OverflowError:
        raise StrategyError(f"{what}: {value.isoformat()} is no time in UTC") from None
    if getattr(value, "tzinfo", None) is not UTC:
        raise StrategyError(_no_moment(what, value))
    return value


def _no_moment(what: str, value: object) -> str:
    if isinstance(value, datetime):
        return f"{what}: {value.isoformat()} has no time zone; use datetime.now(timezone.utc)"
    return f"{what}: {value!r} is not an aware datetime; use datetime.now(timezone.utc)"


def whole_ms(value: timedelta) -> timedelta:
    """A converter: a duration, cut to whole milliseconds."""
    if not isinstance(value, timedelta) or not value.microseconds % 1000:
        return value
    return timedelta(milliseconds=value // timedelta(milliseconds=1))


def where(instance: object, attribute: attrs.Attribute[Any]) -> str:
    """Return the name of a field as messages have it: ``Bake.duration``."""
    return f"{type(instance).__name__}.{attribute.name}"


def is_duration(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """A validator: a duration of at least one millisecond."""
    _duration(where(instance, attribute), value, timedelta(milliseconds=1))


def is_span(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """A validator: a duration that may be zero."""
    _duration(where(instance, attribute), value, timedelta())


def _duration(what: str, value: object, least: timedelta) -> None:
    if not isinstance(value, timedelta):
        raise StrategyError(
            f"{what}: {value!r} has no unit; write seconds({value!r}), minutes(...) or a timedelta"
        )
    if value < least:
        raise StrategyError(
            f"{what}: {value!r} must be {'at least 1 ms' if least else 'zero or more'}"
        )


def is_name(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """A validator: a name that is safe in states, notes, file names and URLs; see `name`."""
    if not (isinstance(value, str) and _NAME.fullmatch(value)):
        name(value, where(instance, attribute))


def name(value: object, what: str) -> str:
    """Return ``value`` if it is a name; ``what`` is for the error.

    A name has 1 to 128 letters, digits and ``. _ : / -``, none of these at an end.
    """
    if isinstance(value, str) and _NAME.fullmatch(value):
        return value
    raise StrategyError(
        f"{what}: {value!r} is not a name; use 1 to 128 letters, digits and . _ : / - (none "
        "of them at an end)"
    )


LARGEST: Final = 10**308
"""The largest whole number that is taken: all that is counted becomes a float somewhere."""


def is_finite(value: object) -> TypeGuard[float]:
    """Is this a number (a bool is none) that a float can hold? Whole numbers of 309 digits are too
    large for one.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def at_least(least: int) -> Callable[[object, attrs.Attribute[Any], object], None]:
    """A validator: a whole number, ``least`` or more (a bool is not one).

    Like the others here it formats the field's name only for an error, as thousands of values are
    made in every look.
    """

    def check(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if type(value) is not int or not least <= value <= LARGEST:
            whole(value, where(instance, attribute), least=least)

    return check


def whole(value: object, what: str, *, least: int = 0) -> int:
    """Return ``value`` if it is a whole number of at least ``least``; ``what`` is for the error."""
    if type(value) is int and least <= value <= LARGEST:
        return value
    if type(value) is int and value > LARGEST:
        raise StrategyError(f"{what}: {brief(value)} is too large; 10^308 is the largest")
    raise StrategyError(f"{what}: {brief(value)} must be a whole number, {least} or more")


optional = attrs.validators.optional


def is_a(kind: type[Any], such: str) -> Callable[[object, attrs.Attribute[Any], object], None]:
    """A validator: an instance of ``kind``.

    ``such`` is the hint in the error: what to write, with ``{}`` for the given value.
    """

    def check(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, kind):
            a(kind, value, where(instance, attribute), such)

    return check


def a(kind: type[Any], value: Any, what: str, such: str) -> Any:
    """Return ``value`` if it is an instance of ``kind``; the rest is for the error."""
    if isinstance(value, kind):
        return value
    raise StrategyError(
        f"{what}: {brief(value)} is no {kind.__name__}; write {such.format(brief(value))}"
    )


def brief(value: object) -> str:
    """Return the ``repr`` of a value for a message, or only its type if that is long."""
    if isinstance(value, int) and abs(value) > LARGEST:
        return f"a whole number of {value.bit_length()} bits"
    try:
        text = repr(value)
    except ValueError:  # Python writes no whole number of more than 4300 digits, in anything
        return f"{type(value).__name__}(...)"
    return text if len(text) <= 60 else f"{type(value).__name__}(...)"


def chosen(kind: type[Choice], value: Choice | str) -> Choice:
    """Convert to a member of an enumeration; a wrong value is left for `is_one_of` to report."""
    try:
        return kind(value)
    except ValueError:
        return value  # type: ignore[return-value]


def is_one_of(kind: type[enum.Enum]) -> Callable[[object, attrs.Attribute[Any], object], None]:
    """A validator: a member of an enumeration."""

    def check(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, kind):
            members = ", ".join(repr(member.value) for member in kind)
            raise StrategyError(f"{where(instance, attribute)}: {value!r} is not one of {members}")

    return check


def listed(value: Any) -> Any:
    """A converter: a tuple. A string stays as it is, as it would become its letters."""
    return value if isinstance(value, str) or not isinstance(value, Iterable) else tuple(value)


def is_list_of(
    names: tuple[str, ...], such: str
) -> Callable[[object, attrs.Attribute[Any], object], None]:
    """A validator: a tuple of objects with all these attributes; ``such`` says what they are."""

    def check(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        what = where(instance, attribute)
        if not isinstance(value, tuple):
            raise StrategyError(
                f"{what}: expected a list, got {brief(value)}; write [{brief(value)}]"
            )
        wrong = [
            i
            for i, each in enumerate(value)
            if isinstance(each, type) or not all(hasattr(each, name) for name in names)
        ]
        if wrong:
            raise StrategyError([f"{what}[{i}]: {brief(value[i])} is not {such}" for i in wrong])

    return check


def strings(value: Iterable[str]) -> tuple[str, ...]:
    """A converter: several strings. One string stays as it is, as it would become its letters."""
    return value if isinstance(value, str) else tuple(value)  # type: ignore[return-value]


def is_strings(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """A validator: several strings."""
    if isinstance(value, str):
        raise StrategyError(
            f"{where(instance, attribute)}: expected a list of strings, got {value!r}; "
            f"write [{value!r}]"
        )
    for i, each in enumerate(value):
        if not isinstance(each, str):
            raise StrategyError(f"{where(instance, attribute)}[{i}]: {each!r} is not a string")


def numbers(value: Iterable[float]) -> tuple[float, ...]:
    """A converter: several numbers."""
    return tuple(value)


def wholes(value: Iterable[int]) -> tuple[int, ...]:
    """A converter: several whole numbers."""
    return tuple(value)
