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
reached. A promise that does not hold comes with the shortest trace to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from progressive.model.release import Release
from progressive.plan.plan import Strategy
from progressive.testing.simulation.simulate import RELEASE

from .invariants import Invariant, Transition
from .report import Broken, Report, TraceStep
from .walk import Walk

__all__ = ["Broken", "Invariant", "Report", "TraceStep", "Transition", "verify"]

MOST_STATES: Final = 50_000


def verify(
    strategy: Strategy,
    *,
    invariants: Sequence[Invariant] = (),
    release: Release = RELEASE,
    most_states: int = MOST_STATES,
    most_broken: int = 3,
) -> Report:
    """Walk every reachable state of ``strategy``; the module describes the abstraction.

    It goes breadth first, so each trace in the report is a shortest one. The same strategy gives
    the same report.

    * ``invariants``: your own; each returns a sentence for a `Transition` that breaks it, else
      None.
    * ``release``: the one that is rolled out.
    * ``most_states``: the walk stops after so many states.
    * ``most_broken``: the most reports of each kind.
    """
    walk = Walk(strategy, invariants, release, most_states, most_broken)
    walk.walk()
    return walk.report()
