"""Means of values: basket size, bytes of an answer."""

from __future__ import annotations

from math import isfinite

import attrs

from progressive.model.measurement import Measurement, Moments
from progressive.stats import means

from .base import Accepted, Numbers, Question, evidence_of_harm, factor_towards_harm, look_numbers

__all__ = ["Means", "MeansAccepted"]


@attrs.frozen
class Means:
    """Test whether the mean has risen or fallen past the margin."""

    question: Question

    def fits(self, candidate: Measurement, control: Measurement) -> str | None:
        return (
            None
            if isinstance(candidate, Moments) and isinstance(control, Moments)
            else "means are compared by moments"
        )

    def learn(
        self, state: means.State | None, candidate: Moments, control: Moments, alpha: float
    ) -> means.State:
        return _updated(state, candidate, control)

    def evidence(self, state: means.State, alpha: float) -> float:
        rise, fall = (
            means.evidence(
                state, up=up, margin=self._factor(state, up), dispersion=self.question.dispersion
            )
            for up in (True, False)
        )
        return evidence_of_harm(self.question, rise=rise, fall=fall)

    def lacks(self, state: means.State) -> str:
        n = state[0]
        if n < means.BURN_IN:
            return f"{n} of the {means.BURN_IN} values that a comparison needs"
        low, _ = means.bounds(state)
        return (
            ""
            if isfinite(low)
            else f"{self.question.than}'s values don't differ, or are 0 in the mean: nothing to "
            "measure a change by"
        )

    def summarize(
        self, state: means.State, candidate: Moments, control: Moments, alpha: float
    ) -> tuple[str, Numbers]:
        factor = self._factor(state, up=self.question.up)
        base, difference = means.base(state), means.difference(state, margin=factor)
        low, high = means.bounds(state, margin=factor, dispersion=self.question.dispersion)
        unit = f" {self.question.unit}" if self.question.unit else ""
        bounds = f" ({low:+.3g} to {high:+.3g})" if isfinite(low) else ""
        tolerated = "" if factor == 1 else f" {factor:.3g} times"
        summary = (
            f"{difference:+.3g}{unit}{bounds} from{tolerated} {self.question.than}'s "
            f"{base:.4g}{unit}"
        )
        return summary, (
            *look_numbers(candidate, control),
            ("difference", difference),
            ("difference_low", low),
            ("difference_high", high),
        )

    def _factor(self, state: means.State, up: bool) -> float:
        """Return the margin as a factor of the control's mean, towards harm."""
        return factor_towards_harm(self.question.margin, means.base(state), up=up)


@attrs.frozen
class MeansAccepted(Accepted[Moments]):
    """Exclude a mean ``limit`` times the control's (where down is bad: that part of it).

    This is the comparison with that margin in the opposite direction.
    """

    def learn(self, state: means.State | None, candidate: Moments, control: Moments) -> means.State:
        return _updated(state, candidate, control)

    def evidence(self, state: means.State) -> float:
        return means.evidence(
            state, up=not self.up, margin=self._factor(state), dispersion=self.question.dispersion
        )

    def needed(
        self, state: means.State, nats: float, candidate: Moments, control: Moments
    ) -> float:
        return means.needed(
            state,
            nats - self.evidence(state),
            n=candidate.sample,
            control_n=control.sample,
            margin=self._factor(state),
            dispersion=self.question.dispersion,
        )

    def _factor(self, state: means.State) -> float:
        """Return the limit as a factor of the control's mean, towards harm."""
        return factor_towards_harm(self.limit, means.base(state), up=self.up)


def _updated(state: means.State | None, candidate: Moments, control: Moments) -> means.State:
    return means.update(
        state or means.INITIAL,
        n=candidate.n,
        mean=candidate.mean,
        m2=candidate.m2,
        control_n=control.n,
        control_mean=control.mean,
        control_m2=control.m2,
    )
