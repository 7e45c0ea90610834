"""Actions, the answers of hooks and gates, and the memory of steps and checks."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import ClassVar, TypeAlias, Union

import attrs

from . import fields

__all__ = [
    "Action",
    "ClosedUntil",
    "GateAnswer",
    "Go",
    "HookAnswer",
    "Memory",
    "NotYet",
    "Open",
    "Stop",
    "action_of",
]


class Action(enum.StrEnum):
    """The action when a wait or a check ends badly.

    There is no "continue": a check that shall not decide is ``observe=True``.
    """

    ROLL_BACK = "roll_back"
    HOLD = "hold"
    WAIT = "wait"


def action_of(value: Action | str) -> Action:
    """A converter: an action, or its name as stored state has it."""
    return fields.chosen(Action, value)


@attrs.frozen
class Go:
    """A hook's answer: go on."""

    kind: ClassVar[str] = "go"


@attrs.frozen
class NotYet:
    """A hook's answer: ask again at ``until``; ``why`` is shown to whoever looks."""

    kind: ClassVar[str] = "not_yet"
    until: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    why: str = ""


@attrs.frozen
class Stop:
    """A hook's answer: the release must go back, because of ``why``."""

    kind: ClassVar[str] = "stop"
    why: str


@attrs.frozen
class Open:
    """A gate's answer: traffic may be raised now."""

    kind: ClassVar[str] = "open"


@attrs.frozen
class ClosedUntil:
    """A gate's answer: not now; ask again at ``at``."""

    kind: ClassVar[str] = "closed"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    why: str = ""


HookAnswer: TypeAlias = Go | NotYet | Stop


GateAnswer: TypeAlias = Open | ClosedUntil


Memory: TypeAlias = Union[None, bool, int, float, str, "tuple[Memory, ...]"]
"""The private state that a step or a check keeps between decisions: plain JSON values, immutable,
and bounded in size for any number of decisions.
"""
