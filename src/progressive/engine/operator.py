"""Absorb persons' events: approve, reject, hold, resume, skip, promote now, abort.

Each is idempotent, and is either recorded or refused with a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from progressive.analysis.check_state import reset_failures
from progressive.model.replace import evolve
from progressive.model.traffic import Track
from progressive.plan.step import Approved, Step
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
from progressive.rollout.notes import EventRecorded
from progressive.rollout.phases import Phase, Retirement

from .draft import ZERO, Draft
from .ownership import accept_loss
from .transitions import enter_phase, hold, roll_back


def absorb(draft: Draft, event: PersonEvent) -> None:
    """Act on a person's event and record it, or refuse it with a reason."""
    refusal = _ABSORB[type(event)](draft, event)
    if refusal is None:
        draft.notes.insert(0, EventRecorded(at=draft.now, event=event))
    else:
        draft.refuse(event, f"{refusal} ({event.by}: {event.why})")


def _abort(draft: Draft, event: Abort) -> str | None:
    if draft.progress.phase is Phase.ROLLING_BACK:
        return "it is on its way back already"
    roll_back(draft, f"aborted: {event.why}", by=event.by)
    return None


def _approve(draft: Draft, event: Approve) -> str | None:
    if draft.progress.phase is Phase.ROLLING_BACK:
        return "it is on its way back: an abort beats an approval"
    names = [step.approval for step in draft.plan.steps if step.approval]
    if event.approval not in names:
        return f"there is no approval {event.approval!r} in this plan; there are {names or 'none'}"
    if any(given.approval == event.approval for given in draft.progress.approvals):
        return f"{event.approval!r} is approved already"
    given = Approved(approval=event.approval, by=event.by, why=event.why)
    draft.progress = evolve(draft.progress, approvals=(*draft.progress.approvals, given))
    return None


def _reject(draft: Draft, event: Reject) -> str | None:
    if draft.progress.phase is Phase.ROLLING_BACK:
        return "it is on its way back already"
    positions = [i for i, step in enumerate(draft.plan.steps) if step.approval == event.approval]
    if not positions:
        return f"there is no approval {event.approval!r} in this plan"
    if positions[-1] < draft.progress.step:
        return f"{event.approval!r} is behind it; to go back, abort"
    roll_back(draft, f"{event.approval!r} was rejected: {event.why}", by=event.by)
    return None


def _hold(draft: Draft, event: Hold) -> str | None:
    if draft.progress.phase is Phase.ROLLING_BACK:
        return "it is on its way back, which is never held"
    if any(cause.name == event.cause for cause in draft.progress.causes):
        return f"it is held for {event.cause!r} already"
    # The hold counts from the event's own time, which may be long after the last tick.
    hold(
        draft,
        event.cause,
        event.why,
        by=event.by,
        person=True,
        within=event.within,
        held=min(ZERO, draft.now - event.at),
    )
    return None


def _resume(draft: Draft, event: Resume) -> str | None:
    if draft.progress.phase is not Phase.HELD:
        return "it is not held"
    names = [cause.name for cause in draft.progress.causes]
    if event.cause not in names:
        return f"it is not held for {event.cause!r} but for {names}"
    waived = (
        *draft.progress.waived,
        *(name for name in event.waive if name not in draft.progress.waived),
    )
    proven = [
        planned.key
        for planned in draft.plan.checks
        if draft.evidence.check_state(planned).failed
        and planned.check.share_of_alpha
        and not planned.check.observe
        and planned.key not in waived
        and planned.key.rpartition("/")[2] not in waived
    ]
    if proven:
        return (
            f"harm is proven by {', '.join(proven)}, which more looks don't undo; abort, or "
            f"resume with waive={tuple(proven)!r}"
        )
    if unknown := _unknown_waivers(draft, event.waive):
        return unknown
    causes = tuple(cause for cause in draft.progress.causes if cause.name != event.cause)
    accept_loss(draft, event.cause)
    draft.progress = evolve(draft.progress, causes=causes, waived=waived)
    if causes:
        return None
    _reset_failures(draft)
    draft.routing = evolve(draft.routing, reasserted=False, drifts=(), attempts=0, retry_at=None)
    before = min(ZERO, draft.now - event.at) if draft.of_older_rules else ZERO
    draft.clocks = evolve(draft.clocks, stepped=before, unwatched=ZERO)
    if draft.clocks.ran >= draft.plan.deadline.within:
        draft.clocks = evolve(draft.clocks, ran=ZERO)
    phase = Phase.PROGRESSING if draft.routing.ownership_confirmed else Phase.PENDING
    enter_phase(draft, phase, f"resumed: {event.why}", by=event.by)
    return None


def _reset_failures(draft: Draft) -> None:
    """Clear the failures of all checks, and what is known of requests that were missing."""
    evidence = draft.evidence
    draft.evidence = evolve(
        evidence,
        check_states=tuple(map(reset_failures, evidence.check_states)),
        series=tuple(evolve(state, split=None) for state in evidence.series),
    )


def _unknown_waivers(draft: Draft, waive: tuple[str, ...], *others: str) -> str | None:
    """Return why a waiver is refused: it has names that are neither checks nor ``others``.

    None if it has not.
    """
    known = {*draft.plan.keys, *(key.rpartition("/")[2] for key in draft.plan.keys), *others}
    wrong = [name for name in waive if name not in known]
    if not wrong:
        return None
    return f"waive: there is no {', '.join(map(repr, wrong))}; there are {', '.join(sorted(known))}"


def _skip(draft: Draft, event: Skip) -> str | None:
    if draft.progress.phase is not Phase.PROGRESSING:
        return f"there is no step to skip while {draft.progress.phase.value}"
    if event.epoch != draft.progress.epoch:
        return f"it was said of epoch {event.epoch}, this is {draft.progress.epoch}; look again"
    step = draft.plan.steps[draft.progress.step]
    if not step.skippable:
        return f"step {step.id!r} can't be skipped"
    if draft.progress.skipped:
        return f"step {step.id!r} is skipped already"
    draft.progress = evolve(draft.progress, skipped=True)
    return None


def _failing(draft: Draft) -> list[str]:
    """The checks that failed, or did at their last look, and count."""
    found = []
    for planned in draft.plan.checks:
        state = draft.evidence.check_state(planned)
        if not planned.check.observe and (state.failed or state.consecutive_failures):
            found.append(planned.key)
    return found


def _not_skippable(steps: Sequence[Step]) -> list[str]:
    return [step.id for step in steps if not step.skippable and step.traffic is None]


def _promote_now(draft: Draft, event: PromoteNow) -> str | None:
    if draft.progress.phase not in (Phase.PROGRESSING, Phase.HELD):
        return f"it is {draft.progress.phase.value}"
    if not draft.routing.ownership_confirmed:
        return (
            "preflight is not over: nobody knows yet whether the router obeys and the metrics "
            "answer"
        )
    target = next(
        i for i, traffic in enumerate(draft.plan.traffics) if traffic == draft.plan.traffics[-1]
    )
    if draft.progress.step >= target:
        return "it is on its way to full traffic already"
    waived = tuple(dict.fromkeys([*draft.progress.waived, *event.waive]))
    held = [f"hold:{cause.name}" for cause in draft.progress.causes]
    if unknown := _unknown_waivers(
        draft, event.waive, *held, *(step.id for step in draft.plan.steps), *draft.plan.gates
    ):
        return unknown
    between = draft.plan.steps[draft.progress.step : target]
    against = [name for name in held if name not in waived]
    against += [
        name
        for name in [*_failing(draft), *_not_skippable(between)]
        if name not in waived and name.rpartition("/")[2] not in waived
    ]
    if against:
        return (
            f"{', '.join(dict.fromkeys(against))} stand against it; name them in waive= if you "
            "mean it"
        )
    accept_loss(draft, *(cause.name for cause in draft.progress.causes))
    draft.progress = evolve(
        draft.progress, waived=tuple(name for name in waived if name not in held), causes=()
    )
    _reset_failures(draft)
    skipped = ", ".join(step.id for step in between) or "nothing"
    enter_phase(
        draft,
        Phase.PROGRESSING,
        f"promoted now, skipping {skipped}: {event.why}",
        by=event.by,
        step=target,
    )
    draft.progress = evolve(draft.progress, forced=True)
    return None


_ABSORB: Final[dict[type, Callable[[Draft, Any], str | None]]] = {
    Abort: _abort,
    Approve: _approve,
    Hold: _hold,
    PromoteNow: _promote_now,
    Reject: _reject,
    Resume: _resume,
    Skip: _skip,
}
"""Each acts on one kind of event, and returns why it is refused; None if it is not."""


def too_late(draft: Draft) -> str:
    """Return why a final rollout refuses every person's event."""
    if draft.progress.phase is Phase.ROLLED_BACK:
        kept = (
            "; an Abort keeps the candidate" if draft.progress.retirement is Retirement.DUE else ""
        )
        return f"it was rolled back; start a new rollout{kept}"
    old = Track.STABLE.label(draft.release)
    if draft.progress.retirement in (Retirement.ASKED, Retirement.DONE):
        return f"it was promoted, and {old} is being removed: there is nothing to go back to"
    if draft.progress.retirement is Retirement.DUE:
        return (
            f"it was promoted; an Abort keeps {old} from being removed, and release.reversed() "
            "goes back to it"
        )
    return f"it was promoted; to go back to {old}, start a rollout of release.reversed()"
