"""Absorb the answers of hooks, gates and retirements, and commands that failed."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from progressive.model.actions import ClosedUntil, NotYet
from progressive.model.replace import evolve
from progressive.rollout.events import CommandFailed, GateAnswered, HookAnswered, Retired
from progressive.rollout.notes import EventRecorded
from progressive.rollout.phases import Phase, Retirement
from progressive.rollout.state import ClosedGate

from . import capacity, routing
from .draft import Draft

__all__ = ["command_failed", "gate_answered", "hook_answered", "retired"]

RETRY_ANSWER: Final = timedelta(seconds=10)
"""The time until a hook, a gate or a fleet that failed to answer is asked again; a gate is never
asked sooner than this after it was closed.
"""

SOON: Final = timedelta(seconds=1)
"""The least time between two calls of a hook, whatever it asks for."""


def command_failed(draft: Draft, event: CommandFailed) -> None:
    """Absorb a command that failed, and set when to try it again.

    A gate that failed counts as closed until then, a hook as not done yet.
    """
    if event.command in ("read", "apply"):
        routing.failed(draft, event)
        return
    if event.command == "survey" and draft.final:
        capacity.failed(draft, event)
        return
    draft.note(EventRecorded(at=draft.now, event=event))
    if event.command == "survey":
        capacity.failed(draft, event)
    elif event.command == "run_hook" and event.epoch == draft.progress.epoch:
        draft.progress = evolve(
            draft.progress, answer=NotYet(event.at + RETRY_ANSWER, f"it failed: {event.why}")
        )
    elif event.command == "ask_gate" and event.epoch == draft.progress.epoch:
        draft.progress = evolve(
            draft.progress,
            closed_gate=ClosedGate("gate", f"it failed: {event.why}", event.at + RETRY_ANSWER),
            closing=None,
        )
    elif event.command == "retire":
        draft.routing = evolve(draft.routing, retry_at=event.at + RETRY_ANSWER)


def hook_answered(draft: Draft, event: HookAnswered) -> None:
    """Absorb the answer of the current step's hook; of another step's it is refused."""
    step = draft.plan.steps[draft.progress.step]
    if draft.progress.phase is not Phase.PROGRESSING or event.step != step.id or step.hook is None:
        draft.refuse(event, f"it is for step {event.step!r}, which is not the current one")
        return
    answer = event.answer
    if isinstance(answer, NotYet) and answer.until < event.at + SOON:
        answer = NotYet(event.at + SOON, answer.why)
    if answer != draft.progress.answer:
        draft.note(EventRecorded(at=draft.now, event=event))
        draft.progress = evolve(draft.progress, answer=answer)


def gate_answered(draft: Draft, event: GateAnswered) -> None:
    """Absorb the answer of a gate. Of several that are closed, the one that opens last is kept."""
    if event.epoch != draft.progress.epoch or event.gate not in draft.plan.gates:
        draft.refuse(event, f"it is of epoch {event.epoch}, this is {draft.progress.epoch}")
        return
    draft.gates[event.gate] = event.answer
    last = draft.progress.closed_gate
    if isinstance(event.answer, ClosedUntil):
        until = max(event.answer.at, event.at + RETRY_ANSWER)
        closed = ClosedGate(event.gate, event.answer.why, until)
        if closed != last:
            draft.note(EventRecorded(at=draft.now, event=event))
        if last is not None and last.gate != event.gate and last.until > until:
            closed = last
        draft.progress = evolve(draft.progress, closed_gate=closed, closing=None)
    elif last is not None and last.gate == event.gate:
        draft.note(EventRecorded(at=draft.now, event=event))
        draft.progress = evolve(draft.progress, closed_gate=None)


def retired(draft: Draft, event: Retired) -> None:
    """Absorb that the fleet has removed the old version."""
    if draft.progress.retirement is Retirement.ASKED:
        draft.progress = evolve(draft.progress, retirement=Retirement.DONE)
        draft.note(EventRecorded(at=draft.now, event=event))
