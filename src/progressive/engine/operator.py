"""What people say: approve, reject, hold, resume, skip, promote now, abort. Each is idempotent,
recorded, and legal or clearly refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from progressive.analysis.check_state import forgive
from progressive.model.replace import evolve
from progressive.model.traffic import Track
from progressive.plan.step import Approved
from progressive.rollout.events import (
    Abort,
    Approve,
    Hold,
    PersonEvent,
    PromoteNow,
    Reject,
    Resume,
    Skip,
)
from progressive.rollout.notes import Happened
from progressive.rollout.phases import Phase, Retirement

from .draft import ZERO, Turn
from .transitions import enter, go_back, hold


def said(turn: Turn, event: PersonEvent) -> None:
    """Somebody said something."""
    why_not = ANSWERS[type(event)](turn, event)
    if why_not is None:
        turn.notes.insert(0, Happened(at=turn.now, event=event))
    else:
        turn.refuse(event, f"{why_not} ({event.by}: {event.why})")


def _abort(turn: Turn, event: Abort) -> str | None:
    if turn.progress.phase is Phase.ROLLING_BACK:
        return "it is on its way back already"
    go_back(turn, f"aborted: {event.why}", by=event.by)
    return None


def _approve(turn: Turn, event: Approve) -> str | None:
    if turn.progress.phase is Phase.ROLLING_BACK:
        return "it is on its way back: an abort beats an approval"
    names = [step.approval for step in turn.plan.steps if step.approval]
    if event.approval not in names:
        return f"there is no approval {event.approval!r} in this plan; there are {names or 'none'}"
    if any(given.approval == event.approval for given in turn.progress.approvals):
        return f"{event.approval!r} is approved already"
    given = Approved(approval=event.approval, by=event.by, why=event.why)
    turn.progress = evolve(turn.progress, approvals=(*turn.progress.approvals, given))
    return None


def _reject(turn: Turn, event: Reject) -> str | None:
    if turn.progress.phase is Phase.ROLLING_BACK:
        return "it is on its way back already"
    positions = [i for i, step in enumerate(turn.plan.steps) if step.approval == event.approval]
    if not positions:
        return f"there is no approval {event.approval!r} in this plan"
    if positions[-1] < turn.progress.step:
        return f"{event.approval!r} is behind it; to go back, abort"
    go_back(turn, f"{event.approval!r} was rejected: {event.why}", by=event.by)
    return None


def _hold(turn: Turn, event: Hold) -> str | None:
    if turn.progress.phase is Phase.ROLLING_BACK:
        return "it is on its way back, which is never held"
    if any(cause.name == event.cause for cause in turn.progress.causes):
        return f"it is held for {event.cause!r} already"
    # It counts from when it was said, which may be long after the last tick.
    hold(
        turn,
        event.cause,
        event.why,
        by=event.by,
        person=True,
        within=event.within,
        held=min(ZERO, turn.now - event.at),
    )
    return None


def _resume(turn: Turn, event: Resume) -> str | None:
    if turn.progress.phase is not Phase.HELD:
        return "it is not held"
    names = [cause.name for cause in turn.progress.causes]
    if event.cause not in names:
        return f"it is not held for {event.cause!r} but for {names}"
    waived = (
        *turn.progress.waived,
        *(name for name in event.waive if name not in turn.progress.waived),
    )
    proven = [
        key
        for key, (_, each), tally in zip(
            turn.plan.keys, turn.plan.checks, turn.evidence.tallies, strict=True
        )
        if tally.failed
        and each.share_of_alpha
        and not each.observe
        and key not in waived
        and key.rpartition("/")[2] not in waived
    ]
    if proven:
        return (
            f"harm is proven by {', '.join(proven)}, which more looks don't undo; abort, or "
            f"resume with waive={tuple(proven)!r}"
        )
    if unknown := _unknown(turn, event.waive):
        return unknown
    causes = tuple(cause for cause in turn.progress.causes if cause.name != event.cause)
    turn.progress = evolve(turn.progress, causes=causes, waived=waived)
    if causes:
        return None
    turn.evidence = evolve(
        turn.evidence, tallies=tuple(forgive(tally) for tally in turn.evidence.tallies)
    )
    turn.routing = evolve(turn.routing, reasserted=False, drifts=(), attempts=0, retry_at=None)
    # Held until it was said, which may be long after the last tick; the next one lets all that time
    # run.
    turn.clocks = evolve(turn.clocks, stepped=min(ZERO, turn.now - event.at))
    if turn.clocks.ran >= turn.plan.deadline.within:
        turn.clocks = evolve(turn.clocks, ran=ZERO)
    phase = Phase.PROGRESSING if turn.routing.claimed else Phase.PENDING
    enter(turn, phase, f"resumed: {event.why}", by=event.by)
    return None


def _unknown(turn: Turn, waive: tuple[str, ...], *others: str) -> str | None:
    """Why a waiver can't be taken: it names nothing that there is."""
    known = {*turn.plan.keys, *(key.rpartition("/")[2] for key in turn.plan.keys), *others}
    wrong = [name for name in waive if name not in known]
    return (
        f"waive: there is no {', '.join(map(repr, wrong))}; there are {', '.join(sorted(known))}"
        if wrong
        else None
    )


def _skip(turn: Turn, event: Skip) -> str | None:
    if turn.progress.phase is not Phase.PROGRESSING:
        return f"there is no step to skip while {turn.progress.phase.value}"
    if event.epoch != turn.progress.epoch:
        return f"it was said of epoch {event.epoch}, this is {turn.progress.epoch}; look again"
    step = turn.plan.steps[turn.progress.step]
    if not step.skippable:
        return f"step {step.id!r} can't be skipped"
    if turn.progress.skipped:
        return f"step {step.id!r} is skipped already"
    turn.progress = evolve(turn.progress, skipped=True)
    return None


def _promote_now(turn: Turn, event: PromoteNow) -> str | None:
    if turn.progress.phase not in (Phase.PROGRESSING, Phase.HELD):
        return f"it is {turn.progress.phase.value}"
    if not turn.routing.claimed:
        return (
            "preflight is not over: nobody knows yet whether the router obeys and the metrics "
            "answer"
        )
    target = next(
        i for i, traffic in enumerate(turn.plan.traffics) if traffic == turn.plan.traffics[-1]
    )
    if turn.progress.step >= target:
        return "it is on its way to full traffic already"
    waived = (
        *turn.progress.waived,
        *(name for name in event.waive if name not in turn.progress.waived),
    )

    def stands(name: str) -> bool:
        return name not in waived and name.rpartition("/")[2] not in waived

    held = [f"hold:{cause.name}" for cause in turn.progress.causes]
    if unknown := _unknown(
        turn, event.waive, *held, *(step.id for step in turn.plan.steps), *turn.plan.gates
    ):
        return unknown
    against = [name for name in held if name not in waived]
    against += [
        key
        for key, (_, each), tally in zip(
            turn.plan.keys, turn.plan.checks, turn.evidence.tallies, strict=True
        )
        if (tally.failed or tally.in_a_row) and not each.observe and stands(key)
    ]
    between = turn.plan.steps[turn.progress.step : target]
    against += [
        step.id
        for step in between
        if not step.skippable and step.traffic is None and stands(step.id)
    ]
    if against:
        return (
            f"{', '.join(dict.fromkeys(against))} stand against it; name them in waive= if you "
            "mean it"
        )
    turn.progress = evolve(
        turn.progress, waived=tuple(name for name in waived if name not in held), causes=()
    )
    turn.evidence = evolve(
        turn.evidence, tallies=tuple(forgive(tally) for tally in turn.evidence.tallies)
    )
    skipped = ", ".join(step.id for step in between) or "nothing"
    enter(
        turn,
        Phase.PROGRESSING,
        f"promoted now, skipping {skipped}: {event.why}",
        by=event.by,
        step=target,
    )
    turn.progress = evolve(turn.progress, forced=True)
    return None


ANSWERS: Final[dict[type, Callable[[Turn, Any], str | None]]] = {
    Abort: _abort,
    Approve: _approve,
    Hold: _hold,
    PromoteNow: _promote_now,
    Reject: _reject,
    Resume: _resume,
    Skip: _skip,
}


def too_late(turn: Turn) -> str:
    """Why nothing can be said to a rollout that is final."""
    if turn.progress.phase is Phase.ROLLED_BACK:
        return "it was rolled back; start a new rollout"
    old = Track.STABLE.label(turn.release)
    if turn.progress.retirement in (Retirement.ASKED, Retirement.DONE):
        return f"it was promoted, and {old} is being removed: there is nothing to go back to"
    if turn.progress.retirement is Retirement.DUE:
        return (
            f"it was promoted; an Abort keeps {old} from being removed, and release.reversed() "
            "goes back to it"
        )
    return f"it was promoted; to go back to {old}, start a rollout of release.reversed()"
