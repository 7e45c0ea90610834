"""Copy frozen values with changes that are known to be valid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import attrs

__all__ = ["evolve"]

Value = TypeVar("Value")


def evolve(value: Value, **changes: Any) -> Value:
    """Copy ``value`` with ``changes``, without converters and validators.

    ``value`` was checked when it was made; the caller is responsible for ``changes``. This is for
    frozen, slotted attrs classes without any state beside their fields.
    """
    kind = type(value)
    copy, setters = _COPIERS.get(kind) or _copier(kind)
    new: Value = copy(value)
    for name, changed in changes.items():
        setters[name](new, changed)
    return new


_COPIERS: Final[
    dict[type[Any], tuple[Callable[[Any], Any], dict[str, Callable[[Any, Any], None]]]]
] = {}


def _copier(kind: type[Any]) -> tuple[Callable[[Any], Any], dict[str, Callable[[Any, Any], None]]]:
    """Return a function that copies every field of a frozen class, and their setters by name.

    The function is generated, field by field, as attrs generates an ``__init__``: a loop over names
    takes five times as long, and most of the time of a decision went into copying.
    """
    names = [field.name for field in attrs.fields(kind)]
    setters = {name: getattr(kind, name).__set__ for name in names}
    lines = [
        "def copy(value):",
        "    new = make(kind)",
        *(f"    set_{name}(new, value.{name})" for name in names),
        "    return new",
    ]
    scope: dict[str, Any] = {
        "make": object.__new__,
        "kind": kind,
        **{f"set_{name}": setter for name, setter in setters.items()},
    }
    exec("\n".join(lines), scope)  # noqa: S102 - the names of our own fields
    _COPIERS[kind] = scope["copy"], setters
    return _COPIERS[kind]
