"""Write and read values of each type. The field types of the classes are the schema; there is no
second copy of it.
"""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, cast

import attrs

from progressive.analysis import CHECKS, Bound
from progressive.analysis.contract import Check
from progressive.errors import StateError, StrategyError
from progressive.model import fields
from progressive.model.actions import Memory
from progressive.model.fields import MISSING, STORED_AS
from progressive.model.units import Percent, Times, percent, times
from progressive.plan.step import Kinds, Step
from progressive.rollout.state import ClosedGate
from progressive.steps import KINDS

from .strict_json import short

__all__ = ["Codec"]

Load = Callable[[Any, str], Any]
"""Makes a value of JSON data; the path is for the `StateError`."""

Dump = Callable[[Any], Any]
"""Makes JSON data of a value."""

_CHECKS: Final[tuple[type[Any], ...]] = CHECKS


class Codec:
    """The functions that write and read each type, made once for each set of ``kinds``.

    ``today``: whether a missing key means today's default, as in a strategy that a person writes,
    and not the one that it had when states without it were first stored.

    Raises `StrategyError` if one of your kinds has the name of one of the library's.
    """

    def __init__(self, kinds: Kinds, *, today: bool = False) -> None:
        self._today = today
        own: dict[str, Any] = {str(getattr(each, "kind", "")): each for each in kinds.classes}
        if taken := sorted(own.keys() & {each.kind for each in (*KINDS, *_CHECKS)}):
            raise StrategyError(
                [
                    f"Kinds: {own[kind]!r}: {kind!r} is a kind of the library; name yours "
                    "differently"
                    for kind in taken
                ]
            )
        self._steps = {each.kind: each for each in KINDS} | {
            k: c for k, c in own.items() if hasattr(c, "advance")
        }
        self._checks = {each.kind: each for each in _CHECKS} | {
            k: c for k, c in own.items() if hasattr(c, "judge")
        }
        self._made: dict[Any, tuple[Dump, Load]] = {
            str: _plain(str, "a string"),
            bool: _plain(bool, "true or false"),
            int: _plain(int, "a whole number"),
            float: (lambda value: value, _load_float),
            datetime: (_dump_datetime, _load_datetime),
            timedelta: (_dump_timedelta, _load_timedelta),
            Percent: (lambda value: value.number, _load_percent),
            Bound: (_dump_bound, _load_bound),
            Step: self._one_of(self._steps, "step"),
            Check: self._one_of(self._checks, "check"),
            MemoryType: (_dump_memory, _load_memory),
        }
        self._made[ClosedGate] = self._closed_gate()

    @staticmethod
    @cache
    def of(kinds: Kinds, *, today: bool = False) -> Codec:
        """Return the codec of these kinds; it is made once."""
        return Codec(kinds, today=today)

    def dump(self, kind: Any) -> Dump:
        """Return the function that writes values of a type."""
        return self._pair(kind)[0]

    def load(self, kind: Any) -> Load:
        """Return the function that reads values of a type."""
        return self._pair(kind)[1]

    def _pair(self, kind: Any) -> tuple[Dump, Load]:
        """Return both functions of a type; they are made when they are first needed."""
        try:
            return self._made[kind]
        except KeyError:
            self._made[kind] = made = self._make(kind)
            return made

    def _make(self, kind: Any) -> tuple[Dump, Load]:
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin is tuple:
            return self._tuple(arguments)
        if origin is typing.Literal:
            return (lambda value: value), _load_choice(arguments)
        if origin in (typing.Union, types.UnionType):
            return self._union(arguments)
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return (lambda value: value.value), _load_enum(kind)
        if isinstance(kind, type) and attrs.has(kind):
            return self._object(kind)
        raise TypeError(
            f"{kind!r} has no stored form; use strings, numbers, percent, timedelta, "
            "datetime, tuples and attrs classes"
        )

    def _tuple(self, arguments: tuple[Any, ...]) -> tuple[Dump, Load]:
        if arguments[-1] is Ellipsis:
            dump, load = self._pair(arguments[0])

            def load_list(data: Any, path: str) -> Any:
                if not isinstance(data, list):
                    raise StateError(f"expected a list, got {short(data)}", path=path)
                return tuple(load(each, f"{path}[{i}]") for i, each in enumerate(data))

            return (lambda value: [dump(each) for each in value]), load_list
        pairs = [self._pair(each) for each in arguments]

        def load_fixed(data: Any, path: str) -> Any:
            if not isinstance(data, list) or len(data) != len(pairs):
                raise StateError(f"expected a list of {len(pairs)}, got {short(data)}", path=path)
            return tuple(
                load(each, f"{path}[{i}]")
                for i, (each, (_, load)) in enumerate(zip(data, pairs, strict=True))
            )

        return (
            lambda value: [dump(each) for each, (dump, _) in zip(value, pairs, strict=True)]
        ), load_fixed

    def _closed_gate(self) -> tuple[Dump, Load]:
        """Store it as a list of its three fields, as its first version was."""
        dump, load = self._tuple((str, str, datetime))
        return (
            lambda value: dump((value.gate, value.why, value.until)),
            lambda data, path: ClosedGate(*load(data, path)),
        )

    def _union(self, arguments: tuple[Any, ...]) -> tuple[Dump, Load]:
        others = tuple(each for each in arguments if each is not type(None))
        if len(others) < len(arguments):
            union: Any = others[0]
            for each in others[1:]:
                union = union | each
            if set(others) == set(typing.get_args(Bound)):
                union = Bound
            dump, load = self._pair(union)
            return (lambda value: None if value is None else dump(value)), (
                lambda data, path: None if data is None else load(data, path)
            )
        return self._one_of({each.kind: each for each in others}, "kind")

    def _one_of(self, classes: dict[str, Any], what: str) -> tuple[Dump, Load]:
        """Tell classes apart by their ``kind``. ``what`` is their common name, for messages."""

        def dump(value: Any) -> Any:
            if classes.get(value.kind) is not type(value):
                raise StrategyError(
                    f"{value!r} is of an unknown {what} kind {value.kind!r}; pass its class "
                    "in Kinds(...)"
                )
            return {"kind": value.kind, **self.dump(type(value))(value)}

        def load(data: Any, path: str) -> Any:
            if not isinstance(data, dict) or "kind" not in data:
                raise StateError(f"expected an object with a kind, got {short(data)}", path=path)
            name = data["kind"]
            if not isinstance(name, str) or name not in classes:
                hint = "; your own class goes into Kinds(...)" if what in ("step", "check") else ""
                raise StateError(
                    f"unknown kind {short(name)}; there are {', '.join(sorted(classes))}{hint}",
                    path=f"{path}.kind",
                )
            return self.load(classes[name])(
                {key: value for key, value in data.items() if key != "kind"}, path
            )

        return dump, load

    def _object(self, kind: type[Any]) -> tuple[Dump, Load]:
        """Write an attrs class as an object of those fields that are not at their default, or not
        what a missing key has meant from the beginning.
        """
        own = [field for field in attrs.fields(kind) if field.init]
        own.sort(key=lambda field: field.inherited)  # a class's own fields come first
        hints = types_of(kind)
        keys = {field.name: field.metadata.get(STORED_AS, field.name) for field in own}
        names = {key: name for name, key in keys.items()}
        pairs: dict[str, tuple[Dump, Load]] = {}

        def pairs_by_key() -> dict[str, tuple[Dump, Load]]:
            if not pairs:  # made late, because a class may contain itself
                pairs.update({keys[name]: self._pair(hints[name]) for name in keys})
            return pairs

        missing = {
            field.name: field.metadata[MISSING]
            for field in own
            if MISSING in field.metadata and not self._today
        }
        plain_defaults = {
            keys[field.name]: missing.get(field.name, field.default)
            for field in own
            if not isinstance(field.default, attrs.Factory)  # type: ignore[arg-type]
        }

        def dump(value: Any) -> Any:
            return {
                key: dump_field(field_value)
                for key, (dump_field, _) in pairs_by_key().items()
                if not _same(
                    (field_value := getattr(value, names[key])),
                    plain_defaults.get(key, attrs.NOTHING),
                )
            }

        def load(data: Any, path: str) -> Any:
            if not isinstance(data, dict):
                raise StateError(f"expected an object, got {short(data)}", path=path)
            known = pairs_by_key()
            for key in data:
                if key not in known:
                    raise StateError(
                        f"unknown key; {kind.__name__} has {', '.join(known)}", path=f"{path}.{key}"
                    )
            for field in own:
                if keys[field.name] not in data and field.default is attrs.NOTHING:
                    raise StateError("missing", path=f"{path}.{keys[field.name]}")
            given = missing | {
                names[key]: known[key][1](value, f"{path}.{key}") for key, value in data.items()
            }
            try:
                return kind(**given)
            except StrategyError as error:
                raise StateError("; ".join(error.problems), path=path) from None

        return dump, load


class MemoryType:
    """A stand-in for `Memory`, which is a recursive alias, where field types are looked up."""


def types_of(kind: type[Any]) -> dict[str, Any]:
    """Return the types of a class's fields by name, resolved; `Memory` is `MemoryType`."""
    hints = typing.get_type_hints(kind, localns={"Memory": MemoryType})
    return {field.name: hints.get(field.name, field.type) for field in attrs.fields(kind)}


def _same(one: object, other: object) -> bool:
    """Return whether two values are equal and of one type: 0 is not False, and 1 is not 1.0."""
    return type(one) is type(other) and one == other


def _plain(kind: type[Any], what: str) -> tuple[Dump, Load]:
    def load(data: Any, path: str) -> Any:
        if type(data) is not kind:
            raise StateError(f"expected {what}, got {short(data)}", path=path)
        return data

    return (lambda value: value), load


def _load_float(data: Any, path: str) -> float:
    if isinstance(data, bool) or not isinstance(data, int | float):
        raise StateError(f"expected a number, got {short(data)}", path=path)
    if not fields.is_finite(data):
        raise StateError(f"{short(data)} is too large for a number", path=path)
    return data


def _load_choice(choices: tuple[Any, ...]) -> Load:
    def load(data: Any, path: str) -> Any:
        if data not in choices:
            raise StateError(
                f"{short(data)} is not one of {', '.join(map(str, choices))}", path=path
            )
        return data

    return load


def _load_enum(kind: type[enum.Enum]) -> Load:
    members = {member.value: member for member in kind}

    def load(data: Any, path: str) -> Any:
        if not isinstance(data, str) or data not in members:
            raise StateError(f"{short(data)} is not one of {', '.join(members)}", path=path)
        return members[data]

    return load


def _dump_datetime(value: datetime) -> str:
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _load_datetime(data: Any, path: str) -> datetime:
    try:
        value = datetime.fromisoformat(data)
    except (TypeError, ValueError):
        raise StateError(
            f"expected a time such as 2026-01-31T09:30:00.000Z, got {short(data)}", path=path
        ) from None
    if value.utcoffset() is None:
        raise StateError(f"{short(data)} has no time zone; end it with Z", path=path)
    try:
        return fields.utc(value)
    except OverflowError:
        raise StateError(
            f"{short(data)} is before the first year or after the last", path=path
        ) from None


def _dump_timedelta(value: timedelta) -> int | float:
    ms = value // timedelta(milliseconds=1)
    return ms // 1000 if not ms % 1000 else ms / 1000


def _load_timedelta(data: Any, path: str) -> timedelta:
    value = _load_float(data, path)
    try:
        return timedelta(milliseconds=round(value * 1000))
    except (OverflowError, ValueError):
        raise StateError(f"{short(data)} seconds is not a duration", path=path) from None


def _load_percent(data: Any, path: str) -> Percent:
    try:
        return percent(data)
    except StrategyError as error:
        raise StateError(str(error), path=path) from None


def _dump_bound(value: Any) -> Any:
    match value:
        case Percent():
            return {"percent": value.number}
        case timedelta():
            return {"seconds": _dump_timedelta(value)}
        case Times(factor=factor, floor=floor):
            if floor is None:
                return {"times": factor}
            return {"times": factor, "floor": _dump_bound(floor)}
        case _:
            return value


def _load_bound(data: Any, path: str) -> Any:
    match data:
        case {"percent": value, **rest} if not rest:
            return _load_percent(value, f"{path}.percent")
        case {"seconds": value, **rest} if not rest:
            return _load_timedelta(value, f"{path}.seconds")
        case {"times": factor, **rest} if set(rest) <= {"floor"}:
            floor = _load_bound(rest["floor"], f"{path}.floor") if "floor" in rest else None
            try:
                return times(_load_float(factor, f"{path}.times"), floor=floor)
            except StrategyError as error:
                raise StateError(str(error), path=path) from None
        case int() | float():
            return _load_float(data, path)
        case _:
            raise StateError(
                f'expected {{"percent": ..}}, {{"seconds": ..}}, {{"times": ..}} or a '
                f"number, got {short(data)}",
                path=path,
            )


def _dump_memory(value: Memory) -> Any:
    return [_dump_memory(each) for each in value] if isinstance(value, tuple) else value


def _load_memory(data: Any, path: str) -> Memory:
    if isinstance(data, list):
        return tuple(_load_memory(each, f"{path}[{i}]") for i, each in enumerate(data))
    if isinstance(data, dict):
        raise StateError(f"expected numbers, strings or lists, got {short(data)}", path=path)
    return cast(Memory, data)
