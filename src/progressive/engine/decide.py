"""The engine: ``decide(rollout, *events) -> Decision``. A function: no clock, no chance, no I/O.

How to read it. One decision has four parts:

1. **Absorb** what happened. All events of one round are taken in a fixed order, measurements first,
   whatever order they came in.
2. **Settle**: let the phase move as far as it can (`PHASES`, one small function each). Going
   forward is a loop over small steps: ask the current one where it stands; when it is done, and the
   evidence and the gates allow what comes next, go on to the next.
3. **Command**: say what is wanted from the world *now*. Commands are absolute and depend on the
   state alone, so asking again is harmless, and a tick on the stored rollout asks again. First the
   router is read; whatever depends on the read comes after it.
4. **Wake**: say when to come back.

The rules live beside this file: `routing` absorbs what the router serves, `capacity` what the
fleet reports, `measuring` what the metrics show (and `windows` decides when to measure),
`operator` what people command, `results` what hooks and gates answer. `preflight` says what must be
there before the first write, `clocks` what passing time does, `retirement` what becomes of the old
version. `transitions` has the few changes that they all make; `rollout.phases` the table of phases.
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
    Surveyed,
    Tick,
)
from progressive.rollout.notes import Escalated, EventRecorded, Note
from progressive.rollout.phases import Phase, Retirement
from progressive.rollout.state import Rollout

from . import capacity, measuring, operator, preflight, results, retirement, routing
from .clocks import pass_time
from .draft import ZERO, Draft
from .transitions import enter_phase, finish, hold, request_traffic, roll_back
from .windows import drop_inactive, open_windows

__all__ = ["Decision", "decide"]


@attrs.frozen(kw_only=True)
class Decision:
    """What was decided: the rollout as it is now, what is wanted from the world, when to come back,
    and the audit trail.

    ``wake_at`` is None only when the rollout is over. ``commands`` may be done in any order, at the
    same time, more than once, or not at all; but one that raises traffic only after ``rollout`` was
    stored.
    """

    rollout: Rollout
    commands: tuple[Command, ...]
    wake_at: datetime | None
    notes: tuple[Note, ...]


def decide(rollout: Rollout, *events: Event) -> Decision:
    """What ``events`` mean for ``rollout``. The same rollout and events give the same bytes, on
    every machine.
    """
    # A person's clock is not ours: what somebody says moves no clock of the rollout.
    now = max(
        (event.at for event in events if not isinstance(event, PEOPLE)), default=rollout.clocks.now
    )
    draft = Draft(rollout, now)
    pass_time(draft)
    for event in _in_order(events):
        _absorb(draft, event)
    _settle(draft)
    return _conclude(draft)


# ---------------------------------------------------------------------------------------- 1. absorb

_HEARD_WHEN_FINAL: Final = (Tick, RouterRead, RouterApplied, Surveyed, CommandFailed, Retired)
_RANK: Final = {kind: rank for rank, kind in enumerate(EVENTS)}


def _in_order(events: tuple[Event, ...]) -> tuple[Event, ...]:
    """The same order for the same events, however they came: by the shortest key that tells them
    all apart.
    """
    if len(events) < 2:
        return events
    found: list[Event] = []
    for key in (_when, _about, _whole):
        found = sorted(events, key=key)
        if not any(key(one) == key(other) for one, other in pairwise(found)):
            break
    return tuple(found)


def _when(event: Event) -> tuple[int, datetime]:
    return _RANK[type(event)], event.at


def _about(event: Event) -> tuple[object, ...]:
    """Looks mostly come several at a time, each about something else. It is what the whole of one
    begins with, so it orders them alike.
    """
    about = (repr(event.analyses), repr(event.look.metric)) if isinstance(event, Measured) else ()
    return (*_when(event), *about)


def _whole(event: Event) -> tuple[object, ...]:
    return (*_when(event), repr(event))


def _absorb(draft: Draft, event: Event) -> None:
    if isinstance(event, Abort) and draft.progress.retirement is Retirement.DUE:
        draft.progress = evolve(draft.progress, retirement=Retirement.NONE, waiting=None)
        draft.note(EventRecorded(at=draft.now, event=event))
        return
    if draft.final and type(event) not in _HEARD_WHEN_FINAL:
        draft.refuse(event, operator.too_late(draft))
        return
    _ABSORB.get(type(event), operator.absorb)(draft, event)


def _ticked(draft: Draft, event: Tick) -> None:
    draft.clocks = evolve(draft.clocks, ticked=event.at)


def _measured(draft: Draft, event: Measured) -> None:
    (preflight.answered if draft.progress.phase is Phase.PENDING else measuring.measured)(
        draft, event
    )


_ABSORB: Final[dict[type, Callable[[Draft, Any], None]]] = {
    Tick: _ticked,
    RouterRead: routing.seen,
    RouterApplied: routing.wrote,
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
    """Let the phase move as far as it can: every move is towards the end, so this ends."""
    open_windows(draft)
    while PHASES[draft.progress.phase](draft):
        open_windows(draft)


def _progressing(draft: Draft) -> bool:
    """One move forward, if the evidence, the deadlines and the current step allow one."""
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
    outcome = (
        Done()
        if draft.progress.skipped or measuring.waived_whole(draft, step)
        else _advance(draft, step)
    )
    match outcome:
        case Wait(why=why, until=until, memory=memory):
            if memory != draft.progress.memory:
                draft.progress = evolve(draft.progress, memory=memory)
            draft.look_again(until)
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
    """Where the step stands. One that raises stops here: its error must not undo what the guards
    have just said.
    """
    try:
        return step.advance(_situation(draft, step))
    except Exception as error:
        return Halt(f"it failed: {type(error).__name__}: {error}")


def _leave(draft: Draft, step: Step) -> bool:
    """The step is done: promote after the last one, else enter the next, once more traffic is
    allowed.
    """
    if not draft.verified:
        return _wait(draft, step, f"the router to serve {draft.routing.desired}")
    following = draft.progress.step + 1
    if following == len(draft.plan.steps):
        if (blocked := measuring.ready(draft)) is not None:
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
    """Asked before every raise: the evidence, the fleet, then the gates. None if it may, else what
    is waited for.
    """
    if not draft.verified:
        return f"the router to serve {draft.routing.desired}"
    closed = draft.closed_gate
    if (
        closed is None
        and not draft.progress.forced
        and (owed := measuring.ready(draft)) is not None
    ):
        return owed
    if (short := capacity.short_of(draft, target)) is not None:
        return short
    if routing.gates_open(draft):
        return None
    if closed is not None:
        return f"gate {closed.gate} to open: {closed.why}"
    return f"gate {', '.join(draft.to_ask)} to answer"


def _situation(draft: Draft, step: Step) -> Situation:
    asked = step.approval
    return Situation(
        now=draft.now,
        stepped=draft.clocks.stepped,
        watched=draft.clocks.watched,
        verified=draft.verified,
        memory=draft.progress.memory,
        answer=draft.progress.answer,
        approved=None
        if asked is None
        else next((given for given in draft.progress.approvals if given.approval == asked), None),
        passes=partial(measuring.passes, draft),
    )


def _wait(draft: Draft, step: Step, why: str) -> bool:
    """Not yet. Every wait has a reason, a deadline and an action; True if the deadline has come and
    something was done.
    """
    deadline = step.deadline or Deadline.an_hour_after(step.span)
    left = deadline.within - draft.clocks.stepped
    if left <= ZERO:
        return _missed(draft, deadline, f"step {step.id}", why)
    closed = draft.closed_gate
    if closed is not None and draft.verified:
        draft.wait(why, until=closed.until, then="ask the gate again")
    else:
        draft.wait(why, until=draft.now + left, then=deadline.then.value.replace("_", " "))
    return False


def _missed(draft: Draft, deadline: Deadline, what: str, why: str) -> bool:
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
    """Has the whole rollout's time run out?"""
    deadline = draft.plan.deadline
    left = deadline.within - draft.clocks.ran
    if left > ZERO:
        draft.look_again(draft.now + left)
        return False
    return _missed(
        draft,
        deadline,
        "the rollout",
        draft.progress.waiting.why if draft.progress.waiting else "its steps",
    )


def _held(draft: Draft) -> bool:
    """Wait for a person; guards go on; each cause has its own end."""
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
    draft.wait(
        f"somebody to resume {names} ({first.why})", until=draft.now + left, then="roll back"
    )
    return False


def _rolling_back(draft: Draft) -> bool:
    """It is over when a write of ours since the turn back was read back; until then it is asked for
    again, for ever.
    """
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


def _rolled_back(draft: Draft) -> bool:
    return False


PHASES: Final[dict[Phase, Callable[[Draft], bool]]] = {
    Phase.PENDING: preflight.pending,
    Phase.PROGRESSING: _progressing,
    Phase.HELD: _held,
    Phase.ROLLING_BACK: _rolling_back,
    Phase.PROMOTED: retirement.promoted,
    Phase.ROLLED_BACK: _rolled_back,
}


# ------------------------------------------------------------------------------ 3. command, 4. wake


def _conclude(draft: Draft) -> Decision:
    given = draft.given
    over = draft.final and draft.progress.retirement in (Retirement.NONE, Retirement.DONE)
    commands = () if over else tuple(_commands(draft))
    wake = None if over else _wake(draft, commands)
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
    """What is wanted from the world now: a read first, and after it whatever depends on what was
    read.
    """
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
    write = routing.apply_due(draft, draft.given.serial + 1)
    commands += [AskGate(epoch=progress.epoch, gate=gate) for gate in draft.to_ask]
    return commands if write is None else [*commands, write]


def _hook_due(draft: Draft) -> RunHook | None:
    step, answer = draft.plan.steps[draft.progress.step], draft.progress.answer
    if step.hook is None or isinstance(answer, Go) or draft.progress.skipped:
        return None
    if isinstance(answer, NotYet) and draft.now < answer.until:
        draft.look_again(answer.until)
        return None
    key = f"{draft.given.id}/{step.id}"
    return RunHook(epoch=draft.progress.epoch, hook=step.hook, step=step.id, key=key)


def _wake(draft: Draft, commands: tuple[Command, ...]) -> datetime:
    """When to come back at the latest: at once if something is wanted now, soon if the router lags,
    else in time to count as watching.
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
