"""What hooks, gates and the fleet answered, and commands that came back with an error."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from progressive.model.actions import ClosedUntil, NotYet
from progressive.model.replace import evolve
from progressive.rollout.events import CommandFailed, GateAnswered, HookAnswered, Retired
from progressive.rollout.notes import Happened
from progressive.rollout.phases import Phase, Retirement

from . import capacity as _fleet
from . import routing as _routing
from .draft import Turn

__all__ = ["command_failed", "gate_answered", "hook_answered", "retired"]

AGAIN: Final = timedelta(seconds=10)
"""Until a hook, a gate or a fleet that failed to answer is asked again; a gate is never asked
sooner than this after it was closed.
"""

SOON: Final = timedelta(seconds=1)
"""The least time between two calls of a hook, whatever it asks for."""


def command_failed(turn: Turn, event: CommandFailed) -> None:
    if event.command in ("read", "apply"):
        _routing.failed(turn, event)
        return
    if event.command == "survey" and turn.final:
        return
    turn.note(Happened(at=turn.now, event=event))
    if event.command == "survey":
        _fleet.failed(turn, event)
    elif event.command == "run_hook" and event.epoch == turn.progress.epoch:
        turn.progress = evolve(
            turn.progress, answer=NotYet(event.at + AGAIN, f"it failed: {event.why}")
        )
    elif event.command == "ask_gate" and event.epoch == turn.progress.epoch:
        turn.progress = evolve(
            turn.progress,
            frozen=("gate", f"it failed: {event.why}", event.at + AGAIN),
            closing=None,
        )
    elif event.command == "retire":
        turn.routing = evolve(turn.routing, retry_at=event.at + AGAIN)


def hook_answered(turn: Turn, event: HookAnswered) -> None:
    step = turn.plan.steps[turn.progress.step]
    if turn.progress.phase is not Phase.PROGRESSING or event.step != step.id or step.hook is None:
        turn.refuse(event, f"it is for step {event.step!r}, which is not the current one")
        return
    answer = event.answer
    if isinstance(answer, NotYet) and answer.until < event.at + SOON:
        answer = NotYet(event.at + SOON, answer.why)
    if answer != turn.progress.answer:
        turn.note(Happened(at=turn.now, event=event))
        turn.progress = evolve(turn.progress, answer=answer)


def gate_answered(turn: Turn, event: GateAnswered) -> None:
    if event.epoch != turn.progress.epoch or event.gate not in turn.plan.gates:
        turn.refuse(event, f"it is of epoch {event.epoch}, this is {turn.progress.epoch}")
        return
    turn.gates[event.gate] = event.answer
    last = turn.progress.frozen
    if isinstance(event.answer, ClosedUntil):
        frozen = (event.gate, event.answer.why, max(event.answer.at, event.at + AGAIN))
        if frozen != last:
            turn.note(Happened(at=turn.now, event=event))
        later = frozen if last is None or last[0] == event.gate or frozen[2] >= last[2] else last
        turn.progress = evolve(turn.progress, frozen=later, closing=None)
    elif last is not None and last[0] == event.gate:
        turn.note(Happened(at=turn.now, event=event))
        turn.progress = evolve(turn.progress, frozen=None)


def retired(turn: Turn, event: Retired) -> None:
    if turn.progress.retirement is Retirement.ASKED:
        turn.progress = evolve(turn.progress, retirement=Retirement.DONE)
        turn.note(Happened(at=turn.now, event=event))
