"""Copy frozen values with changes that are known to be valid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import attrs

__all__ = ["evolve", "made"]

Value = TypeVar("Value")
Copy = Callable[[Any, dict[str, Any]], Any]


def evolve(value: Value, **changes: Any) -> Value:
    """Copy ``value`` with ``changes``, without converters and validators.

    ``value`` was checked when it was made; the caller is responsible for ``changes``. This is for
    frozen, slotted attrs classes without any state beside their fields. It is quicker than
    `attrs.evolve` (``nox -s bench -- engine``), which a decision calls dozens of times.
    """
    kind = type(value)
    copied: Value = (_COPIES.get(kind) or _copy_of(kind))(value, changes)
    return copied


def made(kind: type[Value], **given: Any) -> Value:
    """Make a value of fields that are known to be valid, without converters and validators.

    For the classes that `evolve` is for, if no field's default is a factory and no
    ``__attrs_post_init__`` makes one. What is not given has its default.
    """
    value: Value = (_COPIES.get(kind) or _copy_of(kind))(
        _BLANKS.get(kind) or _blank_of(kind), given
    )
    return value


_COPIES: Final[dict[type[Any], Copy]] = {}
_BLANKS: Final[dict[type[Any], Any]] = {}
"""A value of each class that has the defaults, and None where there is none."""

_SOURCE: Final = """
def copy(value, changes):
    new = make(thawed)
    {fields}
    for name, changed in changes.items():
        assign[name](new, changed)
    new.__class__ = kind
    return new
"""


def _copy_of(kind: type[Any]) -> Copy:
    """Make the function that copies values of one class, as attrs makes their methods: as source.

    It fills an instance of a subclass that may be assigned to, which plain assignments do several
    times as fast as the setters of a frozen class, and makes that one of the class at the end.
    """
    names = [field.name for field in attrs.fields(kind)]
    unlocked = {"__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    known: dict[str, Any] = {
        "make": object.__new__,
        "thawed": type(kind.__name__, (kind,), {"__slots__": (), **unlocked}),
        "kind": kind,
        "assign": {name: getattr(kind, name).__set__ for name in names},
    }
    fields = "\n    ".join(f"new.{name} = value.{name}" for name in names)
    exec(_SOURCE.format(fields=fields), known)  # noqa: S102 - the names are those of fields
    _COPIES[kind] = known["copy"]
    return _COPIES[kind]


def _blank_of(kind: type[Any]) -> Any:
    """Make the value that `made` copies: fields without a default are None."""
    blank = _BLANKS[kind] = object.__new__(kind)
    for field in attrs.fields(kind):
        default = None if field.default is attrs.NOTHING else field.default
        getattr(kind, field.name).__set__(blank, default)
    return blank
