"""Events: the input of a decision.

Each carries its own time ``at`` (aware, cut to whole milliseconds) and is normalised when it is
made. A person's event says who and why. Every class has a stable ``kind``, by which stored notes
and queues identify it; it is never renamed.
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
from progressive.model.release import Release
from progressive.model.router_state import Served
from progressive.model.traffic import Track, Traffic


@attrs.frozen(kw_only=True)
class Tick:
    """Time has passed; every command that is still open is issued again."""

    kind: ClassVar[str] = "tick"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)


@attrs.frozen(kw_only=True)
class Inspected:
    """The answer to `Inspect`: what the caller has bound.

    * ``problems``: a line for each name in the plan that is bound to nothing, and for each thing
      that the router can't do.
    * ``undo``: how to take all traffic back by hand.
    * ``fleet``: whether there is a fleet to survey.
    * ``reassert``: whether the router's `Capabilities.after_restart` is REASSERT.
    * ``sticky``: whether the router's `Capabilities.sticky` is set.
    * ``callee``: the metrics that count on the version's own side, where none counts failures on
      the caller's.
    * ``resolutions``: how often each system has new numbers of a metric, where it says so.
    """

    kind: ClassVar[str] = "inspected"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    problems: tuple[str, ...] = attrs.field(
        default=(), converter=fields.strings, validator=fields.is_strings
    )
    undo: str = ""
    fleet: bool = False
    reassert: bool = False
    sticky: bool = False
    callee: tuple[str, ...] = attrs.field(
        default=(), converter=fields.strings, validator=fields.is_strings
    )
    resolutions: tuple[tuple[str, timedelta], ...] = ()


@attrs.frozen(kw_only=True)
class RouterRead:
    """The router was read, by the release of ``successor`` (see `Superseded`), if it is given."""

    kind: ClassVar[str] = "seen"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    served: Served
    successor: str = ""


@attrs.frozen(kw_only=True)
class RouterApplied:
    """A write of this rollout was answered; ``served`` was read back after it.

    ``epoch`` and ``traffic`` repeat the command's.
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
    """The fleet was surveyed: what the instances of each track can carry, by the release of
    ``successor``, if it is given.
    """

    kind: ClassVar[str] = "surveyed"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    tracks: tuple[tuple[Track, Capacity], ...] = attrs.field(converter=_capacities)
    successor: str = ""


@attrs.frozen(kw_only=True)
class CommandFailed:
    """A command failed. ``command`` is its kind, ``why`` the error."""

    kind: ClassVar[str] = "command_failed"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    command: str
    epoch: int
    failure: Failure
    why: str


@attrs.frozen(kw_only=True)
class Measured:
    """A look was taken, for these analyses."""

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


def _is_not_blank(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise StrategyError(
            f"{fields.where(instance, attribute)}: {value!r} says nothing; the audit trail "
            "needs who and why"
        )


@attrs.frozen(kw_only=True)
class Approve:
    """Grant the approval of this name. An early one is remembered."""

    kind: ClassVar[str] = "approve"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    approval: str
    by: str = attrs.field(validator=_is_not_blank)
    why: str = attrs.field(validator=_is_not_blank)


@attrs.frozen(kw_only=True)
class Reject:
    """Refuse the approval of this name; the rollout then rolls back at once."""

    kind: ClassVar[str] = "reject"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    approval: str
    by: str = attrs.field(validator=_is_not_blank)
    why: str = attrs.field(validator=_is_not_blank)


@attrs.frozen(kw_only=True)
class Hold:
    """Hold: no raise until this cause is resumed. Guards go on.

    ``within`` this time (default: 24 hours) it must be resumed; then the rollout rolls back.
    """

    kind: ClassVar[str] = "hold"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    cause: str = attrs.field(default="person", validator=fields.is_name)
    within: timedelta = attrs.field(
        default=timedelta(hours=24), converter=fields.whole_ms, validator=fields.is_duration
    )
    by: str = attrs.field(validator=_is_not_blank)
    why: str = attrs.field(validator=_is_not_blank)


@attrs.frozen(kw_only=True)
class Resume:
    """End one cause of a hold.

    Failure counters start anew, sequential evidence stays. ``waive`` must name each sequential
    check that has failed.
    """

    kind: ClassVar[str] = "resume"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    cause: str = "person"
    waive: tuple[str, ...] = attrs.field(
        default=(), converter=fields.strings, validator=fields.is_strings
    )
    by: str = attrs.field(validator=_is_not_blank)
    why: str = attrs.field(validator=_is_not_blank)


@attrs.frozen(kw_only=True)
class Skip:
    """Skip the current step.

    ``epoch`` is that of the rollout as the person saw it; if it has changed, the event is refused.
    """

    kind: ClassVar[str] = "skip"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    epoch: int
    by: str = attrs.field(validator=_is_not_blank)
    why: str = attrs.field(validator=_is_not_blank)


@attrs.frozen(kw_only=True)
class PromoteNow:
    """Go to full traffic at once.

    ``waive`` must name everything against it: failing checks, and steps that can't be skipped.
    """

    kind: ClassVar[str] = "promote_now"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    waive: tuple[str, ...] = attrs.field(
        default=(), converter=fields.strings, validator=fields.is_strings
    )
    by: str = attrs.field(validator=_is_not_blank)
    why: str = attrs.field(validator=_is_not_blank)


@attrs.frozen(kw_only=True)
class Abort:
    """Roll back to stable, now, from any phase that is not final."""

    kind: ClassVar[str] = "abort"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    by: str = attrs.field(validator=_is_not_blank)
    why: str = attrs.field(validator=_is_not_blank)


@attrs.frozen(kw_only=True)
class Superseded:
    """Tell a rollout that has ended of a later one of its service, which does not need the version
    that this one removes.

    `start` says so to those of the same store. Once that one has claimed the router, the router is
    read by its release, and the version is removed at its time when all traffic is on the versions
    of that release; without this event it is kept then. Idempotent. Refused while nothing is to be
    removed, and for a release that has a version in its place, or is of another service.

    * ``rollout``, ``release``: the later rollout's id and release.
    """

    kind: ClassVar[str] = "superseded"
    at: datetime = attrs.field(converter=fields.utc, validator=fields.is_moment)
    rollout: str = attrs.field(validator=fields.is_name)
    release: Release
    by: str = attrs.field(validator=_is_not_blank)
    why: str = attrs.field(validator=_is_not_blank)


PersonEvent: TypeAlias = Approve | Reject | Hold | Resume | Skip | PromoteNow | Abort | Superseded
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

PEOPLE: tuple[type, ...] = (Approve, Reject, Hold, Resume, Skip, PromoteNow, Abort, Superseded)

EVENTS: tuple[type, ...] = (
    # The order in which the events of one round are absorbed: measurements first, so that none is
    # lost to a step that ends in the same round; answers of the world before a person's events; an
    # abort before an approval.
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
    Superseded,
    Tick,
)
