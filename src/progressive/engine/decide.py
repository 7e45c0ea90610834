"""The engine: ``decide(rollout, *events) -> Decision``, a pure function without clock, chance or
I/O.

One decision has four parts:

1. **Absorb** the events. All events of one round are absorbed in a fixed order, measurements first,
   whatever order they came in.
2. **Settle** the phase: let it change as far as it can (`PHASES`, one small function each). In
   PROGRESSING that is a loop over the steps: advance the current one; when it is done, and the
   evidence and the gates allow the traffic of the next, enter the next.
3. **Issue commands**. They are absolute and depend on the state alone, so issuing one again is
   harmless, and a tick on the stored rollout issues it again. The router is read first; whatever
   depends on the read comes after it.
4. **Set** ``wake_at``: when to tick next.

The rules stand beside this file. Events: `routing` absorbs those of the router, `capacity` those of
the fleet, `measuring` measurements (`windows` holds their windows), `operator` persons' events,
`results` the answers of hooks and gates. `writing` issues the writes to the router. `preflight`
checks what must be there before the first write, `clocks` advances the accumulators, `retirement`
removes the old version. `transitions` has the changes that several rules make, `rollout.phases` the
table of phases.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import Any, Final, assert_never

import attrs

from progressive.model.actions import Action, Go, NotYet
from progressive.model.replace import evolve
from progressive.model.traffic import ALL_STABLE, Traffic
from progressive.model.units import format_duration
from progressive.plan.step import Advance, Deadline, Done, Failed, Halt, Situation, Step, Wait
from progressive.rollout.commands import AskGate, Command, Inspect, Read, Retire, RunHook, Survey
from progressive.rollout.events import (
    EVENTS,
    PEOPLE,
    Abort,
    CommandFailed,
    Event,
    GateAnswered,
    HookAnswered,
    Inspected,
    Measured,
    Retired,
    RouterApplied,
    RouterRead,
    Superseded,
    Surveyed,
    Tick,
)
from progressive.rollout.notes import Escalated, EventRecorded, Note
from progressive.rollout.phases import Phase, Retirement
from progressive.rollout.state import Rollout

from . import capacity, measuring, operator, preflight, results, retirement, routing, writing
from .clocks import pass_time
from .draft import ZERO, Draft
from .transitions import enter_phase, finish, hold, request_traffic, roll_back
from .windows import drop_inactive, open_windows

__all__ = ["Decision", "decide"]


@attrs.frozen(kw_only=True)
class Decision:
    """The result of a decision.

    * ``rollout``: the new state.
    * ``commands``: may be executed in any order, at the same time, more than once, or not at all;
      but one that raises traffic only after ``rollout`` was stored.
    * ``wake_at``: when to tick next at the latest; None only when the rollout is over.
    * ``notes``: the audit trail of this decision, in order.
    """

    rollout: Rollout
    commands: tuple[Command, ...]
    wake_at: datetime | None
    notes: tuple[Note, ...]


def decide(rollout: Rollout, *events: Event) -> Decision:
    """Decide what ``events`` change, and what is to be done now.

    The same rollout and the same events give the same bytes, on every machine and in any order of
    the events.
    """
    stale = _stale(rollout, events)
    # A person's clock is not ours: a person's event advances no clock of the rollout.
    moments = [event.at for event in events if not isinstance(event, PEOPLE) and event not in stale]
    now = max(moments, default=rollout.clocks.now)
    draft = Draft(rollout, now)
    pass_time(draft)
    for event in _in_order(events):
        if event in stale:
            draft.refuse(event, f"it is of {event.at.isoformat()}, before the last answer")
        else:
            _absorb(draft, event)
    _settle(draft)
    _begin_at_the_event(draft, events)
    commands = _commands_of(draft)
    if not commands and draft.clocks.gap:  # all that is waited for was asked once more
        draft.clocks = evolve(draft.clocks, gap=False)
        _settle(draft)
        commands = _commands_of(draft)
    return _conclude(draft, commands)


def _stale(rollout: Rollout, events: tuple[Event, ...]) -> tuple[Event, ...]:
    """Return the reads from before the router's last answer, which prove nothing any more.

    After a clock that stepped back, a tick with an earlier time comes first, or with them.
    """
    last = rollout.routing.read_at
    if last is None or not rollout.routing.owner:
        return ()
    for event in events:
        if isinstance(event, RouterRead) and event.at < last:
            break
    else:  # as mostly
        return ()
    if any(isinstance(event, Tick) for event in events):
        return ()
    return tuple(e for e in events if isinstance(e, RouterRead) and e.at < last)


def _begin_at_the_event(draft: Draft, events: tuple[Event, ...]) -> None:
    """If only persons' events came and began a step or phase, its time begins with the last of
    them, which may be long after the last tick.
    """
    before, after = draft.given.progress, draft.progress
    if (before.phase, before.step) == (after.phase, after.step):
        return
    said = max((event.at for event in events), default=draft.now)
    if said > draft.now and after.phase is not Phase.HELD and not draft.of_older_rules:
        draft.clocks = evolve(draft.clocks, since=said)


# ---------------------------------------------------------------------------------------- 1. absorb

_HEARD_WHEN_FINAL: Final = (Tick, RouterRead, RouterApplied, Surveyed, CommandFailed, Retired)
"""The events that a final rollout still absorbs."""

_RANK: Final = {kind: rank for rank, kind in enumerate(EVENTS)}


def _in_order(events: tuple[Event, ...]) -> tuple[Event, ...]:
    """Return the events in an order that does not depend on the order in which they came.

    They are sorted by the cheapest key that is different for each.
    """
    if len(events) < 2:
        return events
    ordered: list[Event] = []
    for key in (_by_kind_and_time, _by_metric, _by_repr):
        ordered = sorted(events, key=key)
        if not any(key(one) == key(other) for one, other in pairwise(ordered)):
            break
    return tuple(ordered)


def _by_kind_and_time(event: Event) -> tuple[int, datetime]:
    return _RANK[type(event)], event.at


def _by_metric(event: Event) -> tuple[object, ...]:
    """Tell apart looks at several metrics, without the cost of a whole ``repr``.

    The ``repr`` of a `Measured` begins with these fields, so both keys sort alike.
    """
    metric = (repr(event.analyses), repr(event.look.metric)) if isinstance(event, Measured) else ()
    return (*_by_kind_and_time(event), *metric)


def _by_repr(event: Event) -> tuple[object, ...]:
    return (*_by_kind_and_time(event), repr(event))


def _absorb(draft: Draft, event: Event) -> None:
    if isinstance(event, Abort) and draft.progress.retirement is Retirement.DUE:
        draft.progress = evolve(draft.progress, retirement=Retirement.NONE, waiting=None)
        draft.note(EventRecorded(at=draft.now, event=event))
        return
    if isinstance(event, Superseded):
        retirement.superseded(draft, event)
        return
    if draft.final and type(event) not in _HEARD_WHEN_FINAL:
        draft.refuse(event, operator.too_late(draft))
        return
    _ABSORB.get(type(event), operator.absorb)(draft, event)


def _ticked(draft: Draft, event: Tick) -> None:
    draft.clocks = evolve(draft.clocks, ticked=event.at)


def _measured(draft: Draft, event: Measured) -> None:
    if draft.progress.phase is Phase.PENDING:
        preflight.answered(draft, event)
    else:
        measuring.measured(draft, event)


_ABSORB: Final[dict[type, Callable[[Draft, Any], None]]] = {
    Tick: _ticked,
    RouterRead: routing.router_read,
    RouterApplied: routing.router_applied,
    Surveyed: capacity.surveyed,
    CommandFailed: results.command_failed,
    Measured: _measured,
    Inspected: preflight.inspected,
    HookAnswered: results.hook_answered,
    GateAnswered: results.gate_answered,
    Retired: results.retired,
}


# ---------------------------------------------------------------------------------------- 2. settle


def _settle(draft: Draft) -> None:
    """Let the phase and the step change until they are stable.

    It ends, because every change goes towards the end of the rollout.
    """
    open_windows(draft)
    asked = draft.routing
    while PHASES[draft.progress.phase](draft):
        open_windows(draft)
        asked = draft.routing
    if draft.routing is not asked:  # a step that waits has asked for other traffic
        open_windows(draft)


def _progressing(draft: Draft) -> bool:
    """Go one step forward, or hold or roll back. True if the phase or the step changed."""
    if (
        measuring.act_on_evidence(draft)
        or routing.unreachable(draft)
        or routing.astray(draft)
        or _out_of_time(draft)
    ):
        return True
    position = draft.progress.step
    step, target = draft.plan.steps[position], draft.plan.traffics[position]
    if target != draft.routing.desired:
        if (
            target.exceeds(draft.routing.desired)
            and (blocked := _may_raise(draft, target)) is not None
        ):
            return _wait(draft, step, blocked)
        request_traffic(draft, target, f"step {step.id}")
    done_already = draft.progress.skipped or measuring.all_checks_waived(draft, step)
    outcome = Done() if done_already else _advance(draft, step)
    match outcome:
        case Wait(why=why, until=until, memory=memory):
            why = capacity.lacks_preview(draft) or why
            if memory != draft.progress.memory:
                draft.progress = evolve(draft.progress, memory=memory)
            if until is not None:
                draft.look_again_after(until - draft.now)
            return _wait(draft, step, why)
        case Failed(why=why):
            roll_back(draft, f"step {step.id}: {why}")
        case Halt(why=why):
            hold(draft, f"step:{step.id}", why)
        case Done():
            return _leave(draft, step)
        case _:
            assert_never(outcome)
    return True


def _advance(draft: Draft, step: Step) -> Advance:
    """Ask the current step to advance.

    A step that raises holds the rollout: its error must not undo what the guards have just found.
    """
    try:
        return step.advance(_situation(draft, step))
    except Exception as error:
        return Halt(f"it failed: {type(error).__name__}: {error}")


def _leave(draft: Draft, step: Step) -> bool:
    """Leave a step that is done: promote after the last, else enter the next.

    Waits, and returns False, while the traffic is not verified or may not be raised yet.
    """
    if not draft.verified:
        return _wait(draft, step, f"the router to serve {draft.routing.desired}")
    following = draft.progress.step + 1
    if following == len(draft.plan.steps):
        blocked = measuring.ready(draft) or capacity.lacks_candidate(draft)
        if blocked is not None:
            return _wait(draft, step, blocked)
        finish(draft, Phase.PROMOTED, f"every step is done, {step.id} was the last")
        return True
    target = draft.plan.traffics[following]
    raises = target.exceeds(draft.routing.desired)
    if raises and (blocked := _may_raise(draft, target)) is not None:
        return _wait(draft, step, blocked)
    enter_phase(
        draft,
        Phase.PROGRESSING,
        f"{step.id} is {'skipped' if draft.progress.skipped else 'done'}",
        step=following,
    )
    draft.routing = evolve(draft.routing, reasserted=False)
    drop_inactive(draft)
    if raises:
        request_traffic(draft, target, f"step {draft.plan.steps[following].id}")
    return True


def _may_raise(draft: Draft, target: Traffic) -> str | None:
    """Ask the evidence, the fleet, then the gates whether traffic may be raised to ``target``.

    None if it may, else what to wait for.
    """
    if not draft.verified:
        return f"the router to serve {draft.routing.desired}"
    closed = draft.closed_gate
    if (
        closed is None
        and not draft.progress.forced
        and (outstanding := measuring.ready(draft)) is not None
    ):
        return outstanding
    if (short := capacity.short_of(draft, target)) is not None:
        return short
    if writing.gates_open(draft):
        return None
    if closed is not None:
        return f"gate {closed.gate} to open: {closed.why}"
    return f"gate {', '.join(draft.to_ask)} to answer"


def _situation(draft: Draft, step: Step) -> Situation:
    given = draft.progress.approvals
    return Situation(
        now=draft.now,
        stepped=draft.clocks.stepped,
        watched=draft.clocks.watched,
        verified=draft.verified,
        memory=draft.progress.memory,
        answer=draft.progress.answer,
        approved=next((each for each in given if each.approval == step.approval), None)
        if given
        else None,
        passes=partial(measuring.passes, draft),
    )


_IN_WORDS: Final = {action: action.value.replace("_", " ") for action in Action}


def _wait(draft: Draft, step: Step, why: str) -> bool:
    """Wait in the current step; every wait has a reason, a deadline and an action.

    True if the deadline has passed and its action changed the phase.
    """
    deadline = step.deadline or Deadline.an_hour_after(step.span)
    spent = draft.counted if step.approval is None else draft.clocks.stepped
    left = deadline.within - spent
    if left <= ZERO and not draft.clocks.gap:
        return _miss_deadline(draft, deadline, f"step {step.id}", why)
    closed = draft.closed_gate
    if closed is not None and draft.verified:
        draft.wait(why, until=closed.until, then="ask the gate again")
    else:
        draft.wait(why, left=left, then=_IN_WORDS[deadline.then])
    return False


def _miss_deadline(draft: Draft, deadline: Deadline, what: str, why: str) -> bool:
    """Do what a deadline asks for after its time. True if the phase changed.

    ``what`` took too long: ``the rollout`` or ``step <id>``; ``why`` is what it waited for.
    """
    missed = f"{what} took longer than {format_duration(deadline.within)}: waited for {why}"
    if deadline.then is Action.ROLL_BACK:
        roll_back(draft, missed)
        return True
    if deadline.then is Action.HOLD:
        hold(draft, f"deadline:{what.rpartition(' ')[2]}", missed)
        return True
    if not draft.progress.overdue:
        draft.progress = evolve(draft.progress, overdue=True)
        draft.note(Escalated(at=draft.now, why=missed, undo=draft.routing.undo))
    draft.wait(why, then="the deadline of the whole")
    return False


def _out_of_time(draft: Draft) -> bool:
    """Act on the deadline of the whole rollout. True if it has passed and the phase changed."""
    deadline = draft.plan.deadline
    left = deadline.within - draft.clocks.ran
    if left > ZERO or draft.clocks.gap:
        draft.look_again_after(left)
        return False
    waiting = draft.progress.waiting
    return _miss_deadline(draft, deadline, "the rollout", waiting.why if waiting else "its steps")


def _held(draft: Draft) -> bool:
    """Wait for a person to resume. Guards go on, and each cause has its own longest time."""
    if measuring.act_on_evidence(draft) or routing.unreachable(draft) or routing.astray(draft):
        return True
    first = min(draft.progress.causes, key=lambda cause: cause.within - cause.held)
    left = first.within - first.held
    if left <= ZERO:
        roll_back(
            draft,
            f"held for {first.name} for {format_duration(first.within)} and nobody resumed: "
            f"{first.why}",
        )
        return True
    names = ", ".join(cause.name for cause in draft.progress.causes)
    draft.wait(f"somebody to resume {names} ({first.why})", left=left, then="roll back")
    return False


def _rolling_back(draft: Draft) -> bool:
    """Wait until a write of this phase was read back; until then it is issued again, for ever."""
    capacity.retreat(draft)
    if (
        draft.verified
        and draft.routing.acked_epoch >= draft.progress.epoch
        and draft.routing.desired == ALL_STABLE
    ):
        finish(draft, Phase.ROLLED_BACK, draft.progress.reason)
        return True
    routing.escalate(draft, "the way back is not verified", draft.clocks.stepped)
    draft.wait(
        capacity.in_steps(draft) or f"the router to serve {ALL_STABLE}, written and read back"
    )
    return False


PHASES: Final[dict[Phase, Callable[[Draft], bool]]] = {
    Phase.PENDING: preflight.pending,
    Phase.PROGRESSING: _progressing,
    Phase.HELD: _held,
    Phase.ROLLING_BACK: _rolling_back,
    Phase.PROMOTED: retirement.ended,
    Phase.ROLLED_BACK: retirement.ended,
}


# ------------------------------------------------------------------------------ 3. command, 4. wake


def _is_over(draft: Draft) -> bool:
    return draft.final and draft.progress.retirement in (Retirement.NONE, Retirement.DONE)


def _commands_of(draft: Draft) -> tuple[Command, ...]:
    return () if _is_over(draft) else tuple(_commands(draft))


def _conclude(draft: Draft, commands: tuple[Command, ...]) -> Decision:
    """Make the decision from the draft; the rollout keeps its serial if nothing changed."""
    given = draft.given
    wake = None if _is_over(draft) else _wake(draft, commands)
    changed = (
        bool(draft.notes)
        or draft.progress is not given.progress
        or draft.routing is not given.routing
        or draft.evidence is not given.evidence
        or draft.clocks is not given.clocks
        or draft.instances is not given.instances
        or wake != given.wake_at
    )
    if not changed:
        return Decision(rollout=given, commands=commands, wake_at=wake, notes=())
    rollout = evolve(
        given,
        serial=given.serial + 1,
        progress=draft.progress,
        routing=draft.routing,
        evidence=draft.evidence,
        clocks=draft.clocks,
        instances=draft.instances,
        wake_at=wake,
    )
    return Decision(rollout=rollout, commands=commands, wake_at=wake, notes=tuple(draft.notes))


def _commands(draft: Draft) -> list[Any]:
    """Return the commands to execute now: a read first; the next round has what depends on it."""
    progress, ticked = draft.progress, draft.clocks.ticked
    last_attempt_at, retry_at = draft.routing.last_attempt_at, draft.routing.retry_at
    commands: list[Any] = []
    if progress.phase is Phase.PENDING and not draft.routing.inspected:
        commands.append(Inspect())
    if capacity.due(draft):
        commands.append(Survey())
    if last_attempt_at is None or (ticked is not None and last_attempt_at < ticked):
        return [*commands, Read()]
    if progress.phase is Phase.PENDING:
        commands += preflight.looks(draft)
        if not preflight.cleared(draft):
            return commands
    elif progress.phase in (Phase.PROGRESSING, Phase.HELD):
        commands += measuring.due(draft)
    if progress.phase is Phase.PROGRESSING and (hook := _hook_due(draft)) is not None:
        commands.append(hook)
    if progress.retirement is Retirement.ASKED and (retry_at is None or draft.now >= retry_at):
        commands.append(Retire())
    write = writing.apply_due(draft, draft.given.serial + 1)
    commands += [AskGate(epoch=progress.epoch, gate=gate) for gate in draft.to_ask]
    return commands if write is None else [*commands, write]


def _hook_due(draft: Draft) -> RunHook | None:
    """Return the command that runs the current step's hook; None if it is not due."""
    step, answer = draft.plan.steps[draft.progress.step], draft.progress.answer
    if step.hook is None or isinstance(answer, Go) or draft.progress.skipped:
        return None
    if capacity.lacks_preview(draft) is not None:
        return None
    if isinstance(answer, NotYet) and draft.now < answer.until:
        draft.look_again(answer.until)
        return None
    key = f"{draft.given.id}/{step.id}"
    return RunHook(epoch=draft.progress.epoch, hook=step.hook, step=step.id, key=key)


def _wake(draft: Draft, commands: tuple[Command, ...]) -> datetime:
    """Return when to tick next at the latest.

    Now while there are commands, soon while the router does not serve the desired traffic, else in
    time to count as watched.
    """
    if commands:
        return draft.now
    unsettled = (
        not draft.final
        and draft.routing.ownership_confirmed
        and not draft.verified
        and draft.closed_gate is None
    )
    usual = draft.plan.read_every
    draft.look_again(draft.now + (min(routing.poll(draft), usual) if unsettled else usual))
    assert draft.wake is not None
    return draft.wake
