"""Write and read values of each type. The field types of the classes are the schema; there is no
second copy of it.
"""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import cache
from itertools import repeat
from typing import Any

import attrs
from attrs.exceptions import FrozenInstanceError

from progressive.analysis.contract import Check
from progressive.analysis.plain_bounds import Bound
from progressive.errors import StateError, StrategyError
from progressive.model.fields import MISSING, STORED_AS
from progressive.model.units import Percent
from progressive.plan.plan import NamedGuard, Plan
from progressive.plan.step import Kinds, Step
from progressive.rollout.state import ClosedGate
from progressive.steps.standard import KINDS

from . import leaves
from .leaves import Dump, Load, Mistake, as_it_is, load_each
from .strict_json import short

__all__ = ["Codec"]


class Codec:
    """The functions that write and read each type, made once for each set of ``kinds``.

    ``today``: whether a missing key means today's default, as in a strategy that a person writes,
    and not the one that it had when states without it were first stored.
    ``frozen``: whether nothing that it has read or written so far can be changed.

    Raises `StrategyError` if one of your kinds has the name of one of the library's.
    """

    def __init__(self, kinds: Kinds, *, today: bool = False) -> None:
        from progressive.analysis.checks import CHECKS  # every check there is, for stored state

        known: tuple[type[Any], ...] = CHECKS
        self._today = today
        self.frozen = True
        own: dict[str, Any] = {str(getattr(each, "kind", "")): each for each in kinds.classes}
        if taken := sorted(own.keys() & {each.kind for each in (*KINDS, *known)}):
            raise StrategyError(
                [
                    f"Kinds: {own[kind]!r}: {kind!r} is a kind of the library; name yours "
                    "differently"
                    for kind in taken
                ]
            )
        self.steps = {each.kind: each for each in KINDS} | {
            k: c for k, c in own.items() if hasattr(c, "advance")
        }
        self.checks = {each.kind: each for each in known} | {
            k: c for k, c in own.items() if hasattr(c, "judge")
        }
        self._made: dict[Any, tuple[Dump, Load]] = {
            str: (as_it_is, leaves.plain(str, "a string")),
            bool: (as_it_is, leaves.plain(bool, "true or false")),
            int: (as_it_is, leaves.plain(int, "a whole number")),
            float: (as_it_is, leaves.load_float),
            datetime: (leaves.dump_datetime, leaves.load_datetime),
            timedelta: (leaves.dump_timedelta, leaves.load_timedelta),
            Percent: (leaves.dump_percent, leaves.load_percent),
            Bound: (leaves.dump_bound, leaves.load_bound),
            NamedGuard: (leaves.dump_guard, leaves.load_guard),
            Step: self._one_of(self.steps, "step"),
            Check: self._one_of(self.checks, "check"),
            MemoryType: (leaves.dump_memory, leaves.load_memory),
        }
        self._made[ClosedGate] = self._closed_gate()
        self._made[Plan] = self._plan()

    @staticmethod
    @cache
    def of(kinds: Kinds, *, today: bool = False) -> Codec:
        """Return the codec of these kinds; it is made once."""
        return Codec(kinds, today=today)

    def dump(self, kind: Any, value: Any) -> Any:
        """Make JSON data of a value of a type."""
        return self._pair(kind)[0](value)

    def load(self, kind: Any, data: Any) -> Any:
        """Make a value of a type of JSON data. Raises `StateError` with the path of the mistake."""
        try:
            return self._pair(kind)[1](data)
        except Mistake as mistake:
            raise StateError(mistake.why, path=f"${mistake.path}") from None

    def mistakes(self, kind: Any, data: Any) -> list[tuple[str, str]]:
        """Return what is wrong with JSON data of a type, at the first place: path and reason."""
        try:
            self._pair(kind)[1](data)
        except Mistake as mistake:
            return [(mistake.path, why) for why in mistake.whys]
        return []

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
            return as_it_is, leaves.choice(arguments)
        if origin in (typing.Union, types.UnionType):
            return self._union(arguments)
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return (lambda value: value.value), leaves.member(kind)
        if isinstance(kind, type) and attrs.has(kind):
            return self._object(kind)
        raise TypeError(
            f"{kind!r} has no stored form; use strings, numbers, percent, timedelta, "
            "datetime, tuples and attrs classes"
        )

    def _tuple(self, arguments: tuple[Any, ...]) -> tuple[Dump, Load]:
        if arguments[-1] is Ellipsis:
            dump, load = self._pair(arguments[0])

            def load_list(data: Any) -> Any:
                if not isinstance(data, list):
                    raise Mistake(f"expected a list, got {short(data)}")
                return load_each(repeat(load), data)

            return (lambda value: [dump(each) for each in value]), load_list
        dumps, loads = zip(*map(self._pair, arguments), strict=True)

        def load_fixed(data: Any) -> Any:
            if not isinstance(data, list) or len(data) != len(loads):
                raise Mistake(f"expected a list of {len(loads)}, got {short(data)}")
            return load_each(loads, data)

        return (
            lambda value: [dump(each) for dump, each in zip(dumps, value, strict=True)]
        ), load_fixed

    def _closed_gate(self) -> tuple[Dump, Load]:
        """Store it as a list of its three fields, as its first version was."""
        dump, load = self._tuple((str, str, datetime))
        return (
            lambda value: dump((value.gate, value.why, value.until)),
            lambda data: ClosedGate(*load(data)),
        )

    def _plan(self) -> tuple[Dump, Load]:
        """A plan that was read before may stand in the place of its data; one that was written
        before is not written again, as every state of its rollouts has it.
        """
        dump, load = self._object(Plan)

        def dump_plan(plan: Plan) -> Any:
            data = plan.kept.get(self)
            if data is None:
                data = dump(plan)
                if self.frozen:  # known now, as its types were looked at
                    plan.kept[self] = data
            return data

        return dump_plan, lambda data: data if isinstance(data, Plan) else load(data)

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
                lambda data: None if data is None else load(data)
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
            dump_fields, _ = self._pair(type(value))
            return {"kind": value.kind, **dump_fields(value)}

        def load(data: Any) -> Any:
            if not isinstance(data, dict) or "kind" not in data:
                raise Mistake(f"expected an object with a kind, got {short(data)}")
            others = data.copy()
            name = others.pop("kind")
            if not isinstance(name, str) or name not in classes:
                hint = "; your own class goes into Kinds(...)" if what in ("step", "check") else ""
                raise Mistake(
                    f"unknown kind {short(name)}; there are {', '.join(sorted(classes))}{hint}",
                    ".kind",
                )
            _, load_fields = self._pair(classes[name])
            return load_fields(others)

        return dump, load

    def _object(self, kind: type[Any]) -> tuple[Dump, Load]:
        """Write an attrs class as an object of those fields that are not at their default, or not
        what a missing key has meant from the beginning.
        """
        self.frozen = self.frozen and _is_frozen(kind)
        own = [field for field in attrs.fields(kind) if field.init]
        own.sort(key=lambda field: field.inherited)  # a class's own fields come first
        keys = {field.name: field.metadata.get(STORED_AS, field.name) for field in own}
        required = {keys[field.name]: None for field in own if field.default is attrs.NOTHING}
        missing = {
            field.name: field.metadata[MISSING]
            for field in own
            if MISSING in field.metadata and not self._today
        }

        @cache  # and not now, because a class may contain itself
        def pairs() -> dict[str, tuple[Dump, Load]]:
            hints = types_of(kind)
            return {name: self._pair(hints[name]) for name in keys}

        @cache
        def dumps() -> list[tuple[str, str, Dump, type[Any], Any, Callable[[Any], Any] | None]]:
            """For each field: name, key, what writes it, and what is not written, with its type:
            0 is not False, and 1 is not 1.0. Of a strategy that a person writes, also what makes
            the default from the other fields.
            """
            defaults = {field.name: missing.get(field.name, field.default) for field in own}
            return [
                (
                    name,
                    keys[name],
                    dump_field,
                    type(defaults[name]),
                    defaults[name],
                    _made_of_others(defaults[name]) if self._today else None,
                )
                for name, (dump_field, _) in pairs().items()
            ]

        @cache
        def loads() -> dict[str, tuple[str, Load]]:
            return {keys[name]: (name, load_field) for name, (_, load_field) in pairs().items()}

        def dump(value: Any) -> Any:
            data = {}
            for name, key, dump_field, default_type, default, made in dumps():
                given = getattr(value, name)
                if given is default or (type(given) is default_type and given == default):
                    continue
                if made is not None and given == made(value):
                    continue
                data[key] = dump_field(given)
            return data

        def load(data: Any) -> Any:
            if not isinstance(data, dict):
                raise Mistake(f"expected an object, got {short(data)}")
            known = loads()
            if not required.keys() <= data.keys() <= known.keys():
                raise _wrong_keys(kind, data, known, required)
            given = missing.copy()
            for key, value in data.items():
                name, load_field = known[key]
                try:
                    given[name] = load_field(value)
                except Mistake as mistake:
                    mistake.path = f".{key}{mistake.path}"
                    raise
            try:
                return kind(**given)
            except StrategyError as error:
                raise Mistake("; ".join(error.problems), whys=error.problems) from None

        return dump, load


def _made_of_others(default: Any) -> Callable[[Any], Any] | None:
    """Return what makes a field's default from the other fields; None if nothing does."""
    if isinstance(default, attrs.Factory) and default.takes_self:  # type: ignore[arg-type]
        made: Callable[[Any], Any] = default.factory
        return made
    return None


def _wrong_keys(
    kind: type[Any], data: Iterable[str], known: Iterable[str], required: Iterable[str]
) -> Mistake:
    """Return the mistake of an object with a key too many or too few."""
    for key in data:
        if key not in known:
            return Mistake(f"unknown key; {kind.__name__} has {', '.join(known)}", f".{key}")
    return Mistake("missing", f".{next(key for key in required if key not in data)}")


def _is_frozen(kind: type[Any]) -> bool:
    """Return whether attrs refuses every change of a value of this class."""
    try:
        blank: Any = kind.__new__(kind)  # type: ignore[call-overload]
        blank.anything = None
    except FrozenInstanceError:
        return True
    except (AttributeError, TypeError):  # slotted, or made in a way of its own
        return False
    return False


class MemoryType:
    """A stand-in for `Memory`, which is a recursive alias, where field types are looked up."""


def types_of(kind: type[Any]) -> dict[str, Any]:
    """Return the types of a class's fields by name, resolved; `Memory` is `MemoryType`."""
    hints = typing.get_type_hints(kind, localns={"Memory": MemoryType})
    return {field.name: hints.get(field.name, field.type) for field in attrs.fields(kind)}
