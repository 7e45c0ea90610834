"""The contract of a step: what it declares, what it is told, and the four things it can answer.

A step is a small frozen attrs class: a ``kind`` that is never renamed, an ``id`` that is unique in
the plan, and configuration. It issues no commands: the engine reads what it declares. Your own step
subclasses `Step` for its defaults (or has the same names), lives in your code, and is passed to
`progressive.loads` in a `Kinds`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol, TypeAlias

import attrs

from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.actions import Action, HookAnswer, Memory, action_of
from progressive.model.fields import is_list_of
from progressive.model.traffic import Traffic

__all__ = [
    "Advance",
    "Approved",
    "Deadline",
    "Done",
    "Failed",
    "Halt",
    "Kinds",
    "Memory",
    "Situation",
    "Step",
    "Wait",
]


@attrs.frozen(kw_only=True)
class Deadline:
    """How long something may take and what happens then. ``within`` is inclusive; its clock stops
    in holds and freezes.
    """

    within: timedelta = attrs.field(converter=fields.whole_ms, validator=fields.is_duration)
    then: Action = attrs.field(
        default=Action.ROLL_BACK, converter=action_of, validator=fields.is_one_of(Action)
    )

    @classmethod
    def an_hour_after(cls, duration: timedelta) -> Deadline:
        """The usual one of a step that takes ``duration`` by itself."""
        return cls(
            within=max(duration, timedelta()) + timedelta(hours=1)
            if isinstance(duration, timedelta)
            else timedelta(hours=1)
        )


is_deadline = fields.is_a(Deadline, "Deadline(within={})")


@attrs.frozen(kw_only=True)
class Approved:
    """A person's yes, by name of the approval."""

    approval: str
    by: str
    why: str


@attrs.frozen(kw_only=True)
class Situation:
    """What a step may know. Read-only; times are the events' own.

    ``stepped``: time in this step, holds and freezes left out. ``watched``: the part of it in which
    the traffic was verified and somebody looked. ``verified``: the router serves what is asked for.
    ``memory``: what this step answered to keep last time. ``answer``: the last answer of its hook.
    ``passes(analysis)``: looks that passed since the rollout began, of the check that has the
    fewest.
    """

    now: datetime
    stepped: timedelta
    watched: timedelta
    verified: bool
    memory: Memory
    answer: HookAnswer | None
    approved: Approved | None
    passes: Callable[[str], int]


@attrs.frozen(kw_only=True)
class Wait:
    """Not yet: ``why``, and when to look again (None: when something happens; an aware time).
    ``memory`` is kept for the next time.
    """

    why: str = attrs.field(kw_only=False)
    until: datetime | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(fields.utc),
        validator=fields.optional(fields.is_moment),
    )
    memory: Memory = None


@attrs.frozen
class Done:
    """This step is over."""


@attrs.frozen
class Failed:
    """The release must go back, because of ``why``."""

    why: str


@attrs.frozen
class Halt:
    """Stop here and hold, because of ``why``."""

    why: str


Advance: TypeAlias = Wait | Done | Failed | Halt


class Step(Protocol):
    """What the engine reads of a step. Everything but ``kind``, ``id`` and ``advance`` has a
    default.
    """

    kind: ClassVar[str]

    @property
    def id(self) -> str: ...

    @property
    def traffic(self) -> Traffic | None:
        """What the router shall serve from here on; None leaves it as it is."""
        return None

    @property
    def analyses(self) -> tuple[str, ...]:
        """Analyses that run while this is the current step."""
        return ()

    @property
    def hook(self) -> str | None:
        """A hook to call while this is the current step."""
        return None

    @property
    def approval(self) -> str | None:
        """The approval that this step waits for; the rollout's own clock stops meanwhile."""
        return None

    @property
    def deadline(self) -> Deadline | None:
        """How long it may take; None only for a step that ends by itself."""
        return None

    @property
    def skippable(self) -> bool:
        """May a person skip it?"""
        return True

    @property
    def span(self) -> timedelta:
        """The shortest time that it takes, for `describe`."""
        return timedelta()

    def advance(self, situation: Situation) -> Advance:
        """Where it stands. Pure; asked again at every decision. One that raises stops the rollout
        in a hold.
        """
        raise NotImplementedError(f"{type(self).__name__} has no advance(situation)")


@attrs.frozen(init=False)
class Kinds:
    """Step and check classes of your own, for `progressive.loads`: ``Kinds(Warm, MyCheck)``.
    Nothing is registered globally.
    """

    classes: tuple[type[Any], ...]

    def __init__(self, *classes: type[Any]) -> None:
        for each in classes:
            if not isinstance(getattr(each, "kind", None), str) or not attrs.has(each):
                raise StrategyError(
                    f"Kinds: {each!r} must be an attrs class with a kind, such as kind: "
                    "ClassVar[str] = 'warm-up'"
                )
            if not (hasattr(each, "advance") or hasattr(each, "judge")):
                raise StrategyError(
                    f"Kinds: {each!r} is neither a step (it has no advance) nor a check (it "
                    "has no judge)"
                )
        names = [each.kind for each in classes]
        for twice in sorted({name for name in names if names.count(name) > 1}):
            raise StrategyError(
                f"Kinds: two classes have the kind {twice!r}; a kind names one of them for ever"
            )
        object.__setattr__(self, "classes", classes)


is_steps = is_list_of(("kind", "advance"), "a step such as SetWeight(...) or Bake(...)")
