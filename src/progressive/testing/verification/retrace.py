"""Go one way of a walk again, tick by tick: a test of one broken promise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from progressive.model.release import Release
from progressive.plan.plan import Strategy
from progressive.rollout.phases import Phase
from progressive.rollout.state import Rollout, begin
from progressive.testing.doubles import EPOCH
from progressive.testing.faults.reference_model import PromiseBroken
from progressive.testing.simulation.simulate import RELEASE

from .graph import NO_ABORT, NO_END, heard_when_over, is_back
from .invariants import PROMISES, Invariant
from .moves import next_tick, transition
from .one_tick import Decisions, OneTick
from .perturbations import Perturbation, Router, perturbations
from .stub_checks import abstract

__all__ = ["retrace"]

ENOUGH: Final = 50
"""So many ticks in good weather bring a way back to its end; the longest right one has few."""


def retrace(
    strategy: Strategy,
    what: Sequence[str],
    *,
    invariants: Sequence[Invariant] = (),
    release: Release = RELEASE,
) -> Rollout:
    """Tick a rollout of ``strategy`` under one perturbation after the other, as `verify` does, and
    return it.

    Raises `PromiseBroken` where a tick breaks a promise or raises, and where, from the last state,
    an abort does not lead to 0 % or nothing leads to an end. This is what `Broken.test` calls.

    * ``what``: the names of the perturbations, as the traces of a report have them. One that is not
      possible in its state is passed over, so that the test goes on to hold once the fault is gone.
    * ``invariants``: your own promises, beside those of the library.
    * ``release``: the one that is rolled out.
    """
    return _Retraced(strategy, invariants, release).along(what)


class _Retraced:
    """A rollout on its way. ``perturbations`` are those of its plan, by name."""

    def __init__(
        self, strategy: Strategy, invariants: Sequence[Invariant], release: Release
    ) -> None:
        plan = abstract(strategy.plan)
        self.perturbations = {each.name: each for each in perturbations(plan)}
        self.invariants = (*PROMISES, *invariants)
        self.rollout = begin(plan, release, id="verified", at=EPOCH)
        self.router, self.now = Router(), EPOCH

    def along(self, what: Sequence[str]) -> Rollout:
        for name in what:
            if name not in self.perturbations:
                raise ValueError(
                    f"what: there is no {name!r} in this plan; there are "
                    f"{', '.join(map(repr, self.perturbations))}"
                )
            if not self.rollout.over and self.perturbations[name].applies(self.rollout):
                self._tick(self.perturbations[name])
        reached = self.rollout
        self._end()
        return reached

    def _tick(self, perturbation: Perturbation) -> None:
        self.now = next_tick(self.rollout, self.now, perturbation)
        tick = OneTick(self.rollout, self.router, perturbation, self.now, Decisions())
        try:
            moved = transition(tick)
        except Exception as error:
            raise PromiseBroken(f"raised: {type(error).__name__}: {error}") from error
        for invariant in self.invariants:
            if (broken := invariant(moved.transition)) is not None:
                raise PromiseBroken(broken)
        self.rollout, self.router = moved.transition.after, moved.router

    def _end(self) -> None:
        """Judge what holds from a state on: it is over and hears nothing, or an abort ends it."""
        aborted = self.perturbations["abort"].applies(self.rollout)
        if aborted:
            self._tick(self.perturbations["abort"])
        good = next(iter(self.perturbations.values()))
        for _ in range(ENOUGH):
            if self.rollout.final:
                break
            self._tick(good)
        if aborted and not (
            self.rollout.phase is Phase.ROLLED_BACK and is_back(self.rollout, self.router)
        ):
            raise PromiseBroken(NO_ABORT)
        if not self.rollout.final:
            raise PromiseBroken(NO_END)
        if self.rollout.over and (heard := heard_when_over(self.rollout)):
            raise PromiseBroken(heard)
