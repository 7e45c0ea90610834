"""The perturbations of one tick, by the world, the clock or a person, and the abstract router."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import attrs

from progressive.analysis.contract import Verdict
from progressive.errors import Failure
from progressive.model.router_state import Marker
from progressive.model.traffic import ALL_STABLE, Traffic
from progressive.model.units import hours, percent
from progressive.plan.plan import Plan
from progressive.rollout.commands import Apply, AskGate, Command, Measure, Read, RunHook
from progressive.rollout.events import Abort, Approve, Event, Hold, PromoteNow, Reject, Resume, Skip
from progressive.rollout.phases import Phase
from progressive.rollout.state import Rollout

__all__ = ["Perturbation", "Router", "perturbations"]

ZERO: Final = timedelta()
VERDICTS: Final = (
    Verdict.FAIL,
    Verdict.INCONCLUSIVE,
    Verdict.NO_DATA,
    Verdict.ERROR,
    Verdict.MISSING,
)


@attrs.frozen(kw_only=True)
class Router:
    """The state of the router, and the facts about the past that the promises need."""

    traffic: Traffic = ALL_STABLE
    marker: Marker | None = None
    revision: int = 1
    back: bool = False
    """Whether 0 % was written, or the marker closed, since the rollout turned back."""
    judged: bool = False
    """Whether anything was measured at full traffic."""


@attrs.frozen
class Perturbation:
    """One thing that is not as it should be in one tick, or nothing.

    * ``name``: its name in a trace.
    * ``verdict``: that of all checks.
    * ``later``: the time until the tick; None for the usual one.
    * ``reads``, ``writes``, ``lost``: whether the router can be read, how a write fails, and
      whether the answer of a write is lost.
    * ``strangers``: an edit of the router by somebody else.
    * ``hook``, ``open``: the answers of hooks and gates.
    * ``says``: the persons' events.
    * ``applies``: whether it is possible in a state.
    * ``changes``: the only command whose answer it changes; None if it changes more. The engine is
      a function, so a tick that does not issue that command is the same as without perturbation, to
      the byte, and need not be decided again.
    """

    name: str = "all is well"
    verdict: Verdict = Verdict.PASS
    later: Callable[[Rollout], timedelta] | None = None
    reads: bool = True
    writes: Failure | None = None
    lost: bool = False
    strangers: Callable[[Router], Router] | None = None
    hook: str = "go"
    open: bool = True
    says: Callable[[Rollout, datetime], Sequence[Event]] | None = None
    applies: Callable[[Rollout], bool] = lambda rollout: True
    changes: type[Command] | None = None


ANOTHER: Final = "another"
"""The owner of another rollout's markers."""


def _edited(to: float) -> Callable[[Router], Router]:
    def edit(router: Router) -> Router:
        return attrs.evolve(
            router, traffic=Traffic(candidate=percent(to)), revision=router.revision + 1
        )

    return edit


def _forgot(router: Router) -> Router:
    return attrs.evolve(router, traffic=ALL_STABLE, marker=None, revision=router.revision + 1)


def _closed(router: Router) -> Router:
    marker = (
        None
        if router.marker is None
        else attrs.evolve(router.marker, closed=True, serial=router.marker.serial + 1)
    )
    return attrs.evolve(
        router, traffic=ALL_STABLE, marker=marker, revision=router.revision + 1, back=True
    )


def _taken(router: Router) -> Router:
    generation = (router.marker.generation if router.marker else 0) + 1
    marker = Marker(generation=generation, serial=1, owner=ANOTHER)
    return attrs.evolve(router, marker=marker, revision=router.revision + 1)


def _taken_after_a_restart(router: Router) -> Router:
    """Another rollout claims a router that has forgotten ours, and so chooses any generation."""
    generation = router.marker.generation if router.marker else 1
    marker = Marker(generation=generation, serial=1, owner=ANOTHER)
    return attrs.evolve(router, traffic=ALL_STABLE, marker=marker, revision=router.revision + 1)


def _person_event(kind: type[Any], **more: Any) -> Callable[[Rollout, datetime], Sequence[Event]]:
    return lambda rollout, at: [kind(at=at, by="somebody", why="it is walked", **more)]


def _to_the_deadline(rollout: Rollout) -> timedelta:
    waiting = rollout.progress.waiting
    return ZERO if waiting is None or waiting.until is None else waiting.until - rollout.clocks.now


def perturbations(plan: Plan) -> tuple[Perturbation, ...]:
    """Return every perturbation of a tick, the one without any first."""
    far = max(
        [
            plan.deadline.within,
            *(step.deadline.within for step in plan.steps if step.deadline is not None),
        ]
    ) + hours(25)

    def forward(rollout: Rollout) -> bool:
        return not rollout.final and rollout.phase is not Phase.ROLLING_BACK

    def awaited(rollout: Rollout) -> str | None:
        return plan.steps[rollout.progress.step].approval if forward(rollout) else None

    def asked(rollout: Rollout) -> bool:
        progressing = rollout.phase is Phase.PROGRESSING
        return progressing and plan.steps[rollout.progress.step].hook is not None

    found = [
        Perturbation(),
        *(
            Perturbation(f"every check says {verdict.value}", verdict=verdict, changes=Measure)
            for verdict in VERDICTS
            if plan.checks
        ),
        Perturbation("the deadline that is waited for comes", later=_to_the_deadline),
        Perturbation("nobody comes until every deadline is over", later=lambda rollout: far),
        Perturbation("the clock steps back an hour", later=lambda rollout: -hours(1)),
        Perturbation("the router can't be read", reads=False, changes=Read),
        Perturbation("a write fails", writes=Failure.TRANSIENT, changes=Apply),
        Perturbation("a write is refused", writes=Failure.PERMANENT, changes=Apply),
        Perturbation("the answer to a write is lost", lost=True, changes=Apply),
        Perturbation(
            "a stranger sets 100 %",
            strangers=_edited(100),
            applies=lambda rollout: rollout.routing.ownership_confirmed,
        ),
        Perturbation(
            "a stranger sets 0 %",
            strangers=_edited(0),
            applies=lambda rollout: rollout.routing.ownership_confirmed,
        ),
        Perturbation(
            "the router forgets everything",
            strangers=_forgot,
            applies=lambda rollout: rollout.routing.ownership_confirmed,
        ),
        Perturbation(
            "somebody takes it back by hand",
            strangers=_closed,
            applies=lambda rollout: rollout.routing.ownership_confirmed and forward(rollout),
        ),
        Perturbation(
            "another rollout claims the router",
            strangers=_taken,
            applies=lambda rollout: rollout.routing.ownership_confirmed,
        ),
        Perturbation(
            "another rollout claims the router after a restart",
            strangers=_taken_after_a_restart,
            applies=lambda rollout: rollout.routing.ownership_confirmed,
        ),
        Perturbation("abort", says=_person_event(Abort), applies=forward),
        Perturbation(
            "hold",
            says=_person_event(Hold),
            applies=lambda rollout: forward(rollout) and not rollout.progress.causes,
        ),
        Perturbation(
            "resume",
            says=lambda rollout, at: [
                Resume(at=at, cause=cause.name, by="somebody", why="it is walked")
                for cause in rollout.progress.causes
            ],
            applies=lambda rollout: rollout.phase is Phase.HELD,
        ),
        Perturbation(
            "skip",
            says=lambda rollout, at: [
                Skip(at=at, epoch=rollout.epoch, by="somebody", why="it is walked")
            ],
            applies=lambda rollout: (
                rollout.phase is Phase.PROGRESSING and not rollout.progress.skipped
            ),
        ),
        Perturbation("promote now", says=_person_event(PromoteNow), applies=forward),
    ]
    if any(step.approval is not None for step in plan.steps):
        found += [
            Perturbation(
                "approve",
                says=lambda rollout, at: [
                    Approve(
                        at=at, approval=awaited(rollout) or "", by="somebody", why="it is walked"
                    )
                ],
                applies=lambda rollout: awaited(rollout) is not None,
            ),
            Perturbation(
                "reject",
                says=lambda rollout, at: [
                    Reject(
                        at=at, approval=awaited(rollout) or "", by="somebody", why="it is walked"
                    )
                ],
                applies=lambda rollout: awaited(rollout) is not None,
            ),
        ]
    if any(step.hook is not None for step in plan.steps):
        found += [
            Perturbation(f"the hook says {answer}", hook=answer, applies=asked, changes=RunHook)
            for answer in ("not yet", "stop")
        ]
    if plan.gates:
        found.append(
            Perturbation(
                "every gate is closed",
                open=False,
                applies=lambda rollout: rollout.phase is Phase.PROGRESSING,
                changes=AskGate,
            )
        )
    return tuple(found)
