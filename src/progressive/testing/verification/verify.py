"""Verify a strategy: walk every state that its plan can reach, under everything that the world, the
clock or a person can do to it.

The walk is exhaustive over an abstraction; the engine in it is the real one. Time is abstracted to
the next `wake_at`, the deadline that is waited for, a time past every deadline, and a clock that
steps back. Checks are abstracted to their verdicts: in each tick all of them pass, fail, are
inconclusive, have no data or no answer. Counters, causes, approvals and the state of the router are
kept; states are merged if they differ in nothing that the engine will read. In each tick at most
one thing goes wrong; every sequence of such ticks is walked.

The promises are checked on every transition (rules such as R2, by their numbers) and on the whole:
an abort leads to 0 % from everywhere, there is a way to an end from everywhere, and every step is
reached. A promise that does not hold comes with the shortest trace to it, and as a test to paste.
The report says what was not tried.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from progressive.model.release import Release
from progressive.model.units import format_duration
from progressive.plan.plan import Strategy, plan_of
from progressive.ports import utcnow
from progressive.testing.simulation.simulate import RELEASE

from .invariants import Invariant, Transition
from .report import Broken, Report, TraceStep, WalkProgress
from .retrace import retrace
from .walk import Walk

__all__ = [
    "Broken",
    "Invariant",
    "Report",
    "TraceStep",
    "Transition",
    "WalkProgress",
    "retrace",
    "verify",
]

MOST_STATES: Final = 50_000

OBSERVED_EVERY: Final = 200
"""So many states are ticked between two calls of the observer: about a second."""


def verify(
    strategy: Strategy,
    *,
    invariants: Sequence[Invariant] = (),
    release: Release = RELEASE,
    most_states: int = MOST_STATES,
    most_broken: int = 3,
    budget: timedelta | None = None,
    observer: Callable[[WalkProgress], object] | None = None,
    clock: Callable[[], datetime] = utcnow,
) -> Report:
    """Walk every reachable state of ``strategy``; the module describes the abstraction.

    It goes breadth first, so each trace in the report is a shortest one. The same strategy gives
    the same report, unless the ``budget`` stops it.

    * ``invariants``: your own; each returns a sentence for a `Transition` that breaks it, else
      None. Of states that are merged they see the first.
    * ``release``: the one that is rolled out.
    * ``most_states``: the walk stops after so many states.
    * ``most_broken``: the most reports of each kind.
    * ``budget``: the walk stops after this time; the report then says how far it came.
    * ``observer``: is told now and then how far it has come; ``observer=print`` prints it.
    * ``clock``: the time, for ``budget`` and ``observer`` alone.
    """
    plan_of(strategy, "verify(strategy)")
    walk = Walk(strategy, invariants, release, most_states, most_broken)
    began = clock()
    for ticked in walk.walk():
        progress = walk.progress(clock() - began)
        if observer is not None and ticked % OBSERVED_EVERY == 0:
            observer(progress)
        if budget is not None and progress.elapsed >= budget and progress.open:
            walk.stopped = f"budget={format_duration(budget)}"
            break
    return walk.report()
