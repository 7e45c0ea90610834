"""`verify(strategy)`: every state that a plan can get into, under everything that the world, the
clock or a person can do to it.

The walk is exhaustive over an abstraction, and the engine in it is the real one. Time is abstracted
to what somebody could wait for: the next `wake_at`, the deadline that is waited for, past every
deadline, and a clock that steps back. Checks are abstracted to their verdicts: in each tick all of
them pass, fail, can't tell, find no data or get no answer. Counters, causes, approvals and what is
on the router are kept; two states that differ in nothing that the engine will read are one. In each
tick one thing goes wrong, or nothing; what goes wrong in one tick after another is walked.

What must hold is checked on every move (rules like R2, with their numbers), and on the whole: an
abort leads to 0 % from everywhere, there is a way to an end from everywhere, and every step is
reached. A plan that breaks one comes with the shortest way to it.
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
    """Walk every reachable state of ``strategy``; see the module for what is abstracted.

    ``invariants``: functions of a `Transition` that return a sentence where something of yours does
    not hold. ``most_states`` bounds the walk, ``most_broken`` the reports of each kind. Breadth
    first, so each way that is reported is a shortest one. The same strategy gives the same report.
    """
    walk = Walk(strategy, invariants, release, most_states, most_broken)
    walk.walk()
    return walk.report()
