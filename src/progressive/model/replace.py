"""Copy frozen values with changes that are known to be valid."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import repeat
from operator import attrgetter, call
from typing import Any, Final, TypeVar, cast

import attrs

__all__ = ["evolve"]

Value = TypeVar("Value")
Setter = Callable[[Any, Any], None]
Values = Callable[[Any], tuple[Any, ...]]


def evolve(value: Value, **changes: Any) -> Value:
    """Copy ``value`` with ``changes``, without converters and validators.

    ``value`` was checked when it was made; the caller is responsible for ``changes``. This is for
    frozen, slotted attrs classes without any state beside their fields. It is quicker than
    `attrs.evolve` (``nox -s bench -- engine``), which a decision calls dozens of times.
    """
    kind = type(value)
    values_of, setters = _FIELDS.get(kind) or _fields_of(kind)
    new = object.__new__(kind)
    deque(map(_SET, setters.values(), repeat(new), values_of(value)), maxlen=0)
    for name, changed in changes.items():
        setters[name](new, changed)
    return new


_SET: Final = cast("Callable[[Setter, Any, Any], None]", call)
"""Calls a setter: mapped over the fields of a value, a loop of C's."""

_FIELDS: Final[dict[type[Any], tuple[Values, dict[str, Setter]]]] = {}


def _fields_of(kind: type[Any]) -> tuple[Values, dict[str, Setter]]:
    """Return a function that reads every field of a class, and the setters of its slots."""
    names = [field.name for field in attrs.fields(kind)]
    setters = {name: getattr(kind, name).__set__ for name in names}
    values_of: Values = attrgetter(*names) if len(names) > 1 else _each_of(names)
    _FIELDS[kind] = values_of, setters
    return _FIELDS[kind]


def _each_of(names: list[str]) -> Values:
    """Return what `attrgetter` gives only for two names or more: a reader of a tuple."""
    return lambda value: tuple(getattr(value, name) for name in names)
