"""What goes into and comes out of a decision: events in, commands out. The audit trail is in
`notes`.

Events carry their own time and are normalised when they are made. A person's event says who and
why. Every class has a stable ``kind``, which is what stored notes and queues carry; it is never
renamed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeAlias

import attrs

from progressive.errors import Failure, StrategyError
from progressive.model import fields
from progressive.model.actions import GateAnswer, HookAnswer
from progressive.model.capacity import Capacity
from progressive.model.measurement import Look
from progressive.model.router_state import Served
from progressive.model.traffic import Track, Traffic

# ------------------------------------------------------------------------------------------- events


@attrs.frozen(kw_only=True)
class Tick:
    """Time has passed; whatever is wanted from the world is asked for again."""

    kind: ClassVar[str] = "tick"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)


@attrs.frozen(kw_only=True)
class Inspected:
    """What the caller has bound: how to undo by hand, and ``problems``, one line for each name of
    the plan that is bound to nothing and for each thing that the router can't do. ``fleet``: there
    is one that can be surveyed.
    """

    kind: ClassVar[str] = "inspected"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    problems: tuple[str, ...] = attrs.field(
        default=(), converter=fields.strings, validator=fields.is_strings
    )
    undo: str = ""
    fleet: bool = False


@attrs.frozen(kw_only=True)
class RouterRead:
    """What the router served when it was read."""

    kind: ClassVar[str] = "seen"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    served: Served


@attrs.frozen(kw_only=True)
class RouterApplied:
    """A write of ours was answered; ``served`` was read back after it. ``epoch`` and ``marker``
    repeat the command's.
    """

    kind: ClassVar[str] = "wrote"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    epoch: int
    traffic: Traffic
    served: Served


def _capacities(
    value: Iterable[tuple[Track, Capacity]] | Mapping[Track, Capacity],
) -> tuple[tuple[Track, Capacity], ...]:
    pairs = value.items() if isinstance(value, Mapping) else value
    return tuple(
        sorted(
            ((Track(track), capacity) for track, capacity in pairs), key=lambda pair: pair[0].value
        )
    )


@attrs.frozen(kw_only=True)
class Surveyed:
    """What the instances of each track can carry, as the fleet says."""

    kind: ClassVar[str] = "surveyed"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    tracks: tuple[tuple[Track, Capacity], ...] = attrs.field(converter=_capacities)


@attrs.frozen(kw_only=True)
class CommandFailed:
    """A command came back with an error instead of an answer. ``command`` is its kind."""

    kind: ClassVar[str] = "command_failed"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    command: str
    epoch: int
    failure: Failure
    why: str


@attrs.frozen(kw_only=True)
class Measured:
    """A look was answered, for these analyses."""

    kind: ClassVar[str] = "measured"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    analyses: tuple[str, ...] = attrs.field(converter=fields.strings, validator=fields.is_strings)
    look: Look


@attrs.frozen(kw_only=True)
class HookAnswered:
    """A hook answered for the step with this id."""

    kind: ClassVar[str] = "hook_answered"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    epoch: int
    step: str
    answer: HookAnswer


@attrs.frozen(kw_only=True)
class GateAnswered:
    """A gate answered."""

    kind: ClassVar[str] = "gate_answered"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    epoch: int
    gate: str
    answer: GateAnswer


@attrs.frozen(kw_only=True)
class Retired:
    """The fleet has removed the old version."""

    kind: ClassVar[str] = "retired"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)


def _says_something(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise StrategyError(
            f"{fields.where(instance, attribute)}: {value!r} says nothing; the audit trail "
            "needs who and why"
        )


@attrs.frozen(kw_only=True)
class Approve:
    """A person's yes to the approval of this name; remembered if it comes early."""

    kind: ClassVar[str] = "approve"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    approval: str
    by: str = attrs.field(validator=_says_something)
    why: str = attrs.field(validator=_says_something)


@attrs.frozen(kw_only=True)
class Reject:
    """A person's no to the approval of this name; the rollout goes back as soon as it is seen."""

    kind: ClassVar[str] = "reject"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    approval: str
    by: str = attrs.field(validator=_says_something)
    why: str = attrs.field(validator=_says_something)


@attrs.frozen(kw_only=True)
class Hold:
    """Stop where it is: no raise until this cause is resumed. Guards go on. After 24 hours
    (``within``) it rolls back.
    """

    kind: ClassVar[str] = "hold"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    cause: str = attrs.field(default="person", validator=fields.is_name)
    within: timedelta = attrs.field(
        default=timedelta(hours=24), converter=fields.whole_ms, validator=fields.is_duration
    )
    by: str = attrs.field(validator=_says_something)
    why: str = attrs.field(validator=_says_something)


@attrs.frozen(kw_only=True)
class Resume:
    """End one cause of a hold. Counters start anew, sequential evidence stays; a failed one must be
    named in ``waive``.
    """

    kind: ClassVar[str] = "resume"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    cause: str = "person"
    waive: tuple[str, ...] = attrs.field(
        default=(), converter=fields.strings, validator=fields.is_strings
    )
    by: str = attrs.field(validator=_says_something)
    why: str = attrs.field(validator=_says_something)


@attrs.frozen(kw_only=True)
class Skip:
    """Leave the current step undone. ``epoch`` is the rollout's when it was looked at; a later one
    makes this stale.
    """

    kind: ClassVar[str] = "skip"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    epoch: int
    by: str = attrs.field(validator=_says_something)
    why: str = attrs.field(validator=_says_something)


@attrs.frozen(kw_only=True)
class PromoteNow:
    """Go to full traffic at once. What stands against it (failing checks, steps that can't be
    skipped) must be named in ``waive``.
    """

    kind: ClassVar[str] = "promote_now"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    waive: tuple[str, ...] = attrs.field(
        default=(), converter=fields.strings, validator=fields.is_strings
    )
    by: str = attrs.field(validator=_says_something)
    why: str = attrs.field(validator=_says_something)


@attrs.frozen(kw_only=True)
class Abort:
    """Back to stable, now, from any phase that is not final."""

    kind: ClassVar[str] = "abort"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    by: str = attrs.field(validator=_says_something)
    why: str = attrs.field(validator=_says_something)


PersonEvent: TypeAlias = Approve | Reject | Hold | Resume | Skip | PromoteNow | Abort
Event: TypeAlias = (
    Tick
    | Inspected
    | RouterRead
    | RouterApplied
    | Surveyed
    | CommandFailed
    | Measured
    | HookAnswered
    | GateAnswered
    | Retired
    | PersonEvent
)

PEOPLE: tuple[type, ...] = (Approve, Reject, Hold, Resume, Skip, PromoteNow, Abort)

EVENTS: tuple[type, ...] = (
    # The order in which the events of one round are absorbed: measurements first, so that none is
    # lost to a step that ends beside it; what the world did before what people say; an abort before
    # an approval.
    Measured,
    RouterApplied,
    RouterRead,
    Surveyed,
    CommandFailed,
    Inspected,
    HookAnswered,
    GateAnswered,
    Retired,
    Abort,
    Reject,
    Hold,
    Resume,
    Approve,
    Skip,
    PromoteNow,
    Tick,
)
