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

The rules live beside this file: what the router says in `_routing`, what the fleet says in
`_fleet`, what the metrics say in `_looks` (and when, in `_windows`), what people say in `_people`,
what hooks and gates answer in `_replies`, what must be there first in `_preflight`, what passing
time does in `_clocks`, what becomes of the old version in `_retirement`. `_moves` has the few
changes that they make; `lifecycle` the phases.
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
from progressive.model.traffic import Traffic
from progressive.model.units import said
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
    Seen,
    Surveyed,
    Tick,
    Wrote,
)
from progressive.rollout.notes import Escalated, Happened, Note
from progressive.rollout.phases import Phase, Retirement
from progressive.rollout.state import Rollout

from . import capacity as _fleet
from . import measuring as _looks
from . import operator as _people
from . import preflight as _preflight
from . import results as _replies
from . import retirement as _retirement
from . import routing as _routing
from .clocks import pass_time
from .draft import NOTHING, ZERO, Turn
from .transitions import end, enter, go_back, hold, want
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
    turn = Turn(rollout, now)
    pass_time(turn)
    for event in _in_order(events):
        _absorb(turn, event)
    _settle(turn)
    return _conclude(turn)


# ---------------------------------------------------------------------------------------- 1. absorb

_HEARD_WHEN_FINAL: Final = (Tick, Seen, Wrote, Surveyed, CommandFailed, Retired)
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


def _absorb(turn: Turn, event: Event) -> None:
    if isinstance(event, Abort) and turn.progress.retirement is Retirement.DUE:
        turn.progress = evolve(turn.progress, retirement=Retirement.NONE, waiting=None)
        turn.note(Happened(at=turn.now, event=event))
        return
    if turn.final and type(event) not in _HEARD_WHEN_FINAL:
        turn.refuse(event, _people.too_late(turn))
        return
    _ABSORB.get(type(event), _people.said)(turn, event)


def _ticked(turn: Turn, event: Tick) -> None:
    turn.clocks = evolve(turn.clocks, ticked=event.at)


def _measured(turn: Turn, event: Measured) -> None:
    (_preflight.answered if turn.progress.phase is Phase.PENDING else _looks.measured)(turn, event)


_ABSORB: Final[dict[type, Callable[[Turn, Any], None]]] = {
    Tick: _ticked,
    Seen: _routing.seen,
    Wrote: _routing.wrote,
    Surveyed: _fleet.surveyed,
    CommandFailed: _replies.command_failed,
    Measured: _measured,
    Inspected: _preflight.inspected,
    HookAnswered: _replies.hook_answered,
    GateAnswered: _replies.gate_answered,
    Retired: _replies.retired,
}


# ---------------------------------------------------------------------------------------- 2. settle


def _settle(turn: Turn) -> None:
    """Let the phase move as far as it can: every move is towards the end, so this ends."""
    open_windows(turn)
    while PHASES[turn.progress.phase](turn):
        open_windows(turn)


def _progressing(turn: Turn) -> bool:
    """One move forward, if the evidence, the deadlines and the current step allow one."""
    if (
        _looks.act_on_evidence(turn)
        or _routing.unreachable(turn)
        or _routing.astray(turn)
        or _out_of_time(turn)
    ):
        return True
    position = turn.progress.step
    step, target = turn.plan.steps[position], turn.plan.traffics[position]
    if target != turn.routing.wanted:
        if (
            target.exceeds(turn.routing.wanted)
            and (blocked := _may_raise(turn, target)) is not None
        ):
            return _wait(turn, step, blocked)
        want(turn, target, f"step {step.id}")
    outcome = (
        Done() if turn.progress.skipped or _looks.waived_whole(turn, step) else _advance(turn, step)
    )
    match outcome:
        case Wait(why=why, until=until, memory=memory):
            if memory != turn.progress.memory:
                turn.progress = evolve(turn.progress, memory=memory)
            turn.look_again(until)
            return _wait(turn, step, why)
        case Failed(why=why):
            go_back(turn, f"step {step.id}: {why}")
        case Halt(why=why):
            hold(turn, f"step:{step.id}", why)
        case Done():
            return _leave(turn, step)
        case _:
            assert_never(outcome)
    return True


def _advance(turn: Turn, step: Step) -> Advance:
    """Where the step stands. One that raises stops here: its error must not undo what the guards
    have just said.
    """
    try:
        return step.advance(_situation(turn, step))
    except Exception as error:
        return Halt(f"it failed: {type(error).__name__}: {error}")


def _leave(turn: Turn, step: Step) -> bool:
    """The step is done: promote after the last one, else enter the next, once more traffic is
    allowed.
    """
    if not turn.verified:
        return _wait(turn, step, f"the router to serve {turn.routing.wanted}")
    following = turn.progress.step + 1
    if following == len(turn.plan.steps):
        if (blocked := _looks.ready(turn)) is not None:
            return _wait(turn, step, blocked)
        end(turn, Phase.PROMOTED, f"every step is done, {step.id} was the last")
        return True
    target = turn.plan.traffics[following]
    raises = target.exceeds(turn.routing.wanted)
    if raises and (blocked := _may_raise(turn, target)) is not None:
        return _wait(turn, step, blocked)
    enter(
        turn,
        Phase.PROGRESSING,
        f"{step.id} is {'skipped' if turn.progress.skipped else 'done'}",
        step=following,
    )
    turn.routing = evolve(turn.routing, reasserted=False)
    drop_inactive(turn)
    if raises:
        want(turn, target, f"step {turn.plan.steps[following].id}")
    return True


def _may_raise(turn: Turn, target: Traffic) -> str | None:
    """Asked before every raise: the evidence, the fleet, then the gates. None if it may, else what
    is waited for.
    """
    if not turn.verified:
        return f"the router to serve {turn.routing.wanted}"
    frozen = turn.progress.frozen
    shut = frozen is not None and turn.now < frozen[2]
    if not shut and not turn.progress.forced and (owed := _looks.ready(turn)) is not None:
        return owed
    if (short := _fleet.short_of(turn, target)) is not None:
        return short
    if _routing.gates_open(turn):
        return None
    if frozen is not None and shut:
        return f"gate {frozen[0]} to open: {frozen[1]}"
    return f"gate {', '.join(turn.to_ask)} to answer"


def _situation(turn: Turn, step: Step) -> Situation:
    asked = step.approval
    return Situation(
        now=turn.now,
        stepped=turn.clocks.stepped,
        watched=turn.clocks.watched,
        verified=turn.verified,
        memory=turn.progress.memory,
        answer=turn.progress.answer,
        approved=None
        if asked is None
        else next((given for given in turn.progress.approvals if given.approval == asked), None),
        passes=partial(_looks.passes, turn),
    )


def _wait(turn: Turn, step: Step, why: str) -> bool:
    """Not yet. Every wait has a reason, a deadline and an action; True if the deadline has come and
    something was done.
    """
    deadline = step.deadline or Deadline.an_hour_after(step.span)
    left = deadline.within - turn.clocks.stepped
    if left <= ZERO:
        return _missed(turn, deadline, f"step {step.id}", why)
    frozen = turn.progress.frozen
    if frozen is not None and turn.now < frozen[2] and turn.verified:
        turn.wait(why, until=frozen[2], then="ask the gate again")
    else:
        turn.wait(why, until=turn.now + left, then=deadline.then.value.replace("_", " "))
    return False


def _missed(turn: Turn, deadline: Deadline, what: str, why: str) -> bool:
    missed = f"{what} took longer than {said(deadline.within)}: waited for {why}"
    if deadline.then is Action.ROLL_BACK:
        go_back(turn, missed)
        return True
    if deadline.then is Action.HOLD:
        hold(turn, f"deadline:{what.rpartition(' ')[2]}", missed)
        return True
    if not turn.progress.overdue:
        turn.progress = evolve(turn.progress, overdue=True)
        turn.note(Escalated(at=turn.now, why=missed, undo=turn.routing.undo))
    turn.wait(why, then="the deadline of the whole")
    return False


def _out_of_time(turn: Turn) -> bool:
    """Has the whole rollout's time run out?"""
    deadline = turn.plan.deadline
    left = deadline.within - turn.clocks.ran
    if left > ZERO:
        turn.look_again(turn.now + left)
        return False
    return _missed(
        turn,
        deadline,
        "the rollout",
        turn.progress.waiting.why if turn.progress.waiting else "its steps",
    )


def _held(turn: Turn) -> bool:
    """Wait for a person; guards go on; each cause has its own end."""
    if _looks.act_on_evidence(turn) or _routing.unreachable(turn) or _routing.astray(turn):
        return True
    first = min(turn.progress.causes, key=lambda cause: cause.within - cause.held)
    left = first.within - first.held
    if left <= ZERO:
        go_back(
            turn, f"held for {first.name} for {said(first.within)} and nobody resumed: {first.why}"
        )
        return True
    names = ", ".join(cause.name for cause in turn.progress.causes)
    turn.wait(f"somebody to resume {names} ({first.why})", until=turn.now + left, then="roll back")
    return False


def _rolling_back(turn: Turn) -> bool:
    """It is over when a write of ours since the turn back was read back; until then it is asked for
    again, for ever.
    """
    _fleet.retreat(turn)
    if (
        turn.verified
        and turn.routing.written >= turn.progress.epoch
        and turn.routing.wanted == NOTHING
    ):
        end(turn, Phase.ROLLED_BACK, turn.progress.reason)
        return True
    _routing.escalate(turn, "the way back is not verified", turn.clocks.stepped)
    turn.wait(_fleet.in_steps(turn) or f"the router to serve {NOTHING}, written and read back")
    return False


def _rolled_back(turn: Turn) -> bool:
    return False


PHASES: Final[dict[Phase, Callable[[Turn], bool]]] = {
    Phase.PENDING: _preflight.pending,
    Phase.PROGRESSING: _progressing,
    Phase.HELD: _held,
    Phase.ROLLING_BACK: _rolling_back,
    Phase.PROMOTED: _retirement.promoted,
    Phase.ROLLED_BACK: _rolled_back,
}


# ------------------------------------------------------------------------------ 3. command, 4. wake


def _conclude(turn: Turn) -> Decision:
    given = turn.given
    over = turn.final and turn.progress.retirement in (Retirement.NONE, Retirement.DONE)
    commands = () if over else tuple(_commands(turn))
    wake = None if over else _wake(turn, commands)
    changed = (
        bool(turn.notes)
        or turn.progress is not given.progress
        or turn.routing is not given.routing
        or turn.evidence is not given.evidence
        or turn.clocks is not given.clocks
        or turn.instances is not given.instances
        or wake != given.wake_at
    )
    if not changed:
        return Decision(rollout=given, commands=commands, wake_at=wake, notes=())
    rollout = evolve(
        given,
        serial=given.serial + 1,
        progress=turn.progress,
        routing=turn.routing,
        evidence=turn.evidence,
        clocks=turn.clocks,
        instances=turn.instances,
        wake_at=wake,
    )
    return Decision(rollout=rollout, commands=commands, wake_at=wake, notes=tuple(turn.notes))


def _commands(turn: Turn) -> list[Any]:
    """What is wanted from the world now: a read first, and after it whatever depends on what was
    read.
    """
    progress, routing, ticked = turn.progress, turn.routing, turn.clocks.ticked
    commands: list[Any] = []
    if progress.phase is Phase.PENDING and not routing.inspected:
        commands.append(Inspect())
    if _fleet.due(turn):
        commands.append(Survey())
    if routing.tried_at is None or (ticked is not None and routing.tried_at < ticked):
        return [*commands, Read()]
    if progress.phase is Phase.PENDING:
        commands += _preflight.looks(turn)
        if not _preflight.cleared(turn):
            return commands
    elif progress.phase in (Phase.PROGRESSING, Phase.HELD):
        commands += _looks.due(turn)
    if progress.phase is Phase.PROGRESSING and (hook := _hook_due(turn)) is not None:
        commands.append(hook)
    if progress.retirement is Retirement.ASKED and (
        routing.retry_at is None or turn.now >= routing.retry_at
    ):
        commands.append(Retire())
    write = _routing.apply_due(turn, turn.given.serial + 1)
    commands += [AskGate(epoch=progress.epoch, gate=gate) for gate in turn.to_ask]
    return commands if write is None else [*commands, write]


def _hook_due(turn: Turn) -> RunHook | None:
    step, answer = turn.plan.steps[turn.progress.step], turn.progress.answer
    if step.hook is None or isinstance(answer, Go) or turn.progress.skipped:
        return None
    if isinstance(answer, NotYet) and turn.now < answer.until:
        turn.look_again(answer.until)
        return None
    key = f"{turn.given.id}/{step.id}"
    return RunHook(epoch=turn.progress.epoch, hook=step.hook, step=step.id, key=key)


def _wake(turn: Turn, commands: tuple[Command, ...]) -> datetime:
    """When to come back at the latest: at once if something is wanted now, soon if the router lags,
    else in time to count as watching.
    """
    if commands:
        return turn.now
    routing = turn.routing
    shut = turn.progress.frozen is not None and turn.now < turn.progress.frozen[2]
    unsettled = not turn.final and routing.claimed and routing.verified_since is None and not shut
    usual = turn.plan.read_every
    turn.look_again(turn.now + (min(_routing.poll(turn), usual) if unsettled else usual))
    assert turn.wake is not None
    return turn.wake
