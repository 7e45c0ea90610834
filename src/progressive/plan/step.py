"""The contract of a step: what it declares, the situation it is given, and its four answers.

A step is a small frozen attrs class: a ``kind`` that is never renamed, an ``id`` that is unique in
the plan, and configuration. It issues no commands: the engine reads what it declares. Your own step
subclasses `Step` for its defaults (or has the same names), lives in your code, and is passed to
`progressive.loads` in a `Kinds`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import ClassVar, Protocol, TypeAlias

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
    """The longest time that something may take, and the action after it.

    ``within`` is inclusive; its clock stops in holds and freezes.
    """

    within: timedelta = attrs.field(converter=fields.whole_ms, validator=fields.is_duration)
    then: Action = attrs.field(
        default=Action.ROLL_BACK, converter=action_of, validator=fields.is_one_of(Action)
    )

    @classmethod
    def an_hour_after(cls, duration: timedelta) -> Deadline:
        """Make the default deadline of a step that takes ``duration`` by itself."""
        return cls(
            within=max(duration, timedelta()) + timedelta(hours=1)
            if isinstance(duration, timedelta)
            else timedelta(hours=1)
        )


is_deadline = fields.is_a(Deadline, "Deadline(within={})")


@attrs.frozen(kw_only=True)
class Approved:
    """An approval that a person has given: its name, by whom, and why."""

    approval: str
    by: str
    why: str


@attrs.frozen(kw_only=True)
class Situation:
    """The facts that a step decides by. Read-only; times are the events' own.

    * ``now``: the time of the decision.
    * ``stepped``: time in this step, without holds and freezes.
    * ``watched``: the part of it in which the traffic was verified and watched.
    * ``verified``: whether the router serves the traffic that is asked for.
    * ``memory``: the memory of this step's last `Wait`; None before the first.
    * ``answer``: the last answer of its hook.
    * ``approved``: the approval that it waits for, once it is given.
    * ``passes``: takes the name of an analysis. Returns how many looks have passed since the
      rollout began, of the check with the fewest.
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
    """The answer "not yet".

    * ``why``: what the step waits for.
    * ``until``: when to ask again, an aware time; None: when something happens.
    * ``memory``: passed back to the step the next time.
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
    """The answer "this step is over"."""


@attrs.frozen
class Failed:
    """The answer "roll back", because of ``why``."""

    why: str


@attrs.frozen
class Halt:
    """The answer "hold", because of ``why``."""

    why: str


Advance: TypeAlias = Wait | Done | Failed | Halt


class Step(Protocol):
    """One step of a plan. All but ``kind``, ``id`` and ``advance`` has a default."""

    kind: ClassVar[str]

    @property
    def id(self) -> str: ...

    @property
    def traffic(self) -> Traffic | None:
        """The traffic that is asked for from this step on; None leaves it as it is."""
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
        """The longest time it may take; None only for a step that ends by itself."""
        return None

    @property
    def skippable(self) -> bool:
        """Whether a person may skip it."""
        return True

    @property
    def span(self) -> timedelta:
        """The shortest time that it takes, for `describe`."""
        return timedelta()

    def advance(self, situation: Situation) -> Advance:
        """Answer where the step stands. Pure; called again at every decision.

        If it raises, the rollout is held.
        """
        raise NotImplementedError(f"{type(self).__name__} has no advance(situation)")


@attrs.frozen(init=False)
class Kinds:
    """Step and check classes of your own, for `progressive.loads`: ``Kinds(Warm, MyCheck)``.

    Nothing is registered globally. Raises `StrategyError` for a class that is no attrs class with a
    ``kind`` and an ``advance`` or ``judge``, and for a kind that two classes have.
    """

    classes: tuple[type, ...]

    def __init__(self, *classes: type) -> None:
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
        names: list[str] = [str(getattr(each, "kind", "")) for each in classes]
        for twice in sorted({name for name in names if names.count(name) > 1}):
            raise StrategyError(
                f"Kinds: two classes have the kind {twice!r}; a kind names one of them for ever"
            )
        object.__setattr__(self, "classes", classes)


is_steps = is_list_of(("kind", "advance"), "a step such as SetWeight(...) or Bake(...)")
