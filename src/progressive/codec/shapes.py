"""The form of a description as a tree, made of the field types of the classes: what a person may
write where, for reading it and for the JSON Schema.
"""

from __future__ import annotations

import enum
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cached_property, reduce
from operator import or_
from typing import Any, Final, TypeAlias

import attrs

from progressive.analysis.contract import Check
from progressive.analysis.plain_bounds import Bound
from progressive.model.fields import STORED_AS
from progressive.model.units import Percent
from progressive.plan.plan import NamedGuard
from progressive.plan.step import Step
from progressive.strategies.kinds import STRATEGIES

from .schema import Codec, MemoryType, types_of

__all__ = ["Choice", "Either", "Fields", "Items", "Leaf", "Nullable", "Shape", "Shapes"]


@attrs.frozen
class Leaf:
    """A value without parts. ``name``: which, such as ``duration``."""

    name: str


@attrs.frozen
class Choice:
    """One of a few words or numbers."""

    choices: tuple[Any, ...]


@attrs.frozen
class Items:
    """A list. ``each``: of its items; if there are several, it has exactly as many."""

    each: tuple[Callable[[], Shape], ...]
    fixed: bool


@attrs.frozen
class Nullable:
    """What may be null too."""

    other: Callable[[], Shape]


@attrs.frozen(eq=False)
class Fields:
    """An object of a class. ``made``: which; ``kind``: what its ``kind`` is, None if it has none.

    * ``shapes``: of each key.
    * ``required``: the keys that it can't do without.
    * ``told``: what its class says of each key.
    """

    made: type[Any]
    kind: str | None
    required: tuple[str, ...]
    told: Mapping[str, str]
    lazily: Callable[[], Mapping[str, Shape]]

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        return self.lazily()


@attrs.frozen
class Either:
    """An object of one of several classes, told apart by ``kind``. ``what``: what they are."""

    what: str
    kinds: Mapping[str, Callable[[], Fields]]


Shape: TypeAlias = Leaf | Choice | Items | Nullable | Fields | Either

LEAVES: Final[Mapping[Any, str]] = {
    str: "text",
    bool: "boolean",
    int: "integer",
    float: "number",
    datetime: "time",
    timedelta: "duration",
    Percent: "percent",
    Bound: "bound",
    NamedGuard: "guard",
    MemoryType: "memory",
}

TOLD: Final = re.compile(r"^\* ((?:``\w+``(?:, )?)+)(?: \([^)]*\))?: (.*)$")
"""A line of a docstring that says what a field is."""


class Shapes:
    """The shapes of everything that ``codec`` reads, each made once."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._made: dict[Any, Shape] = {}

    @property
    def strategy(self) -> Either:
        """The shape of a strategy."""
        return self._either("strategy", {each.kind: each for each in STRATEGIES})

    def of(self, kind: Any) -> Shape:
        """Return the shape of a type."""
        try:
            return self._made[kind]
        except KeyError:
            made = self._made[kind] = self._make(kind)
            return made

    def _make(self, kind: Any) -> Shape:
        if kind in LEAVES:
            return Leaf(LEAVES[kind])
        if kind is Step or kind is Check:
            steps = kind is Step
            known = self._codec.steps if steps else self._codec.checks
            return self._either("step" if steps else "check", known)
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin is tuple:
            fixed = arguments[-1] is not Ellipsis
            each = arguments if fixed else arguments[:1]
            return Items(tuple(self._later(one) for one in each), fixed)
        if origin is typing.Literal:
            return Choice(arguments)
        if origin in (typing.Union, types.UnionType):
            return self._union(arguments)
        if issubclass(kind, enum.Enum):
            return Choice(tuple(member.value for member in kind))
        return self._fields(kind, None)

    def _later(self, kind: Any) -> Callable[[], Shape]:
        return lambda: self.of(kind)

    def _union(self, arguments: tuple[Any, ...]) -> Shape:
        others = tuple(each for each in arguments if each is not type(None))
        if len(others) == len(arguments):
            return self._either("kind", {each.kind: each for each in others})
        union = Bound if set(others) == set(typing.get_args(Bound)) else reduce(or_, others)
        return Nullable(self._later(union))

    def _either(self, what: str, classes: Mapping[str, type[Any]]) -> Either:
        def later(name: str, made: type[Any]) -> Callable[[], Fields]:
            key = (made, name)
            if key not in self._made:
                self._made[key] = self._fields(made, name)
            found = self._made[key]
            assert isinstance(found, Fields)
            return lambda: found

        return Either(what, {name: later(name, made) for name, made in sorted(classes.items())})

    def _fields(self, made: type[Any], kind: str | None) -> Fields:
        own = [field for field in attrs.fields(made) if field.init]
        keys = {field.name: field.metadata.get(STORED_AS, field.name) for field in own}

        def lazily() -> Mapping[str, Shape]:
            hints = types_of(made)
            return {keys[name]: self.of(hints[name]) for name in keys}

        told = _told(made)
        return Fields(
            made=made,
            kind=kind,
            required=tuple(keys[each.name] for each in own if each.default is attrs.NOTHING),
            told={keys[name]: told[name] for name in keys if name in told},
            lazily=lazily,
        )


def _told(made: type[Any]) -> dict[str, str]:
    """Return what the docstrings of a class and its bases say of each field."""
    told: dict[str, str] = {}
    for each in made.__mro__:
        names: list[str] = []
        for line in inspect.cleandoc(each.__dict__.get("__doc__") or "").splitlines():
            if found := TOLD.match(line):
                names = [name for name in re.findall(r"``(\w+)``", found[1]) if name not in told]
                told |= dict.fromkeys(names, found[2])
            elif line.startswith("  "):
                told |= {name: f"{told[name]} {line.strip()}" for name in names}
            else:
                names = []
    return told
