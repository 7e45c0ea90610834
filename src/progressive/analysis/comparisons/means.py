"""Means of values: basket size, bytes an answer has."""

from __future__ import annotations

from math import isfinite
from typing import cast

import attrs

from progressive.model.actions import Memory
from progressive.model.measurement import Measurement, Moments
from progressive.stats import means

from .base import Accepted, Numbers, Question, evidence_of, look_at, towards

__all__ = ["Means", "MeansAccepted"]


@attrs.frozen
class Means:
    """A mean that rises or falls past the margin is harm."""

    question: Question

    def fits(self, candidate: Measurement, control: Measurement) -> str | None:
        return (
            None
            if isinstance(candidate, Moments) and isinstance(control, Moments)
            else "means are compared by moments"
        )

    def learn(
        self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float
    ) -> Memory:
        return _added(memory, candidate, control)

    def evidence(self, memory: Memory, alpha: float) -> float:
        state = cast(means.State, memory)
        rise, fall = (
            means.evidence(
                state, up=up, margin=self._tolerated(state, up), dispersion=self.question.dispersion
            )
            for up in (True, False)
        )
        return evidence_of(self.question, rise=rise, fall=fall)

    def lacks(self, memory: Memory) -> str:
        state = cast(means.State, memory)
        if state[0] < means.BURN_IN:
            return f"{state[0]} of the {means.BURN_IN} values that a comparison needs"
        low, _ = means.bounds(state)
        return (
            ""
            if isfinite(low)
            else f"{self.question.than}'s values don't differ, or are 0 in the mean: nothing to "
            "measure a change by"
        )

    def summarize(
        self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float
    ) -> tuple[str, Numbers]:
        state = cast(means.State, memory)
        margin = self._tolerated(state, up=self.question.up)
        base, apart = means.base(state), means.difference(state, margin=margin)
        low, high = means.bounds(state, margin=margin, dispersion=self.question.dispersion)
        unit = f" {self.question.unit}" if self.question.unit else ""
        tolerated = "" if margin == 1 else f" {margin:.3g} times"
        range_ = f" ({low:+.3g} to {high:+.3g})" if isfinite(low) else ""
        said = f"{apart:+.3g}{unit}{range_} from{tolerated} {self.question.than}'s {base:.4g}{unit}"
        return said, (
            *look_at(candidate, control),
            ("difference", apart),
            ("difference_low", low),
            ("difference_high", high),
        )

    def _tolerated(self, state: means.State, up: bool) -> float:
        return towards(self.question.margin, means.base(state), up=up)


@attrs.frozen
class MeansAccepted(Accepted):
    """The mean is not ``limit`` times the control's (or a part of it, where down is bad): the
    comparison with that margin, upside down.
    """

    def learn(self, memory: Memory, candidate: Measurement, control: Measurement) -> Memory:
        return _added(memory, candidate, control)

    def evidence(self, memory: Memory) -> float:
        state = cast(means.State, memory)
        return means.evidence(
            state, up=not self.up, margin=self._excluded(state), dispersion=self.question.dispersion
        )

    def needed(
        self, memory: Memory, nats: float, candidate: Measurement, control: Measurement
    ) -> float:
        state = cast(means.State, memory)
        return means.needed(
            state,
            nats - self.evidence(memory),
            n=candidate.sample,
            control_n=control.sample,
            margin=self._excluded(state),
            dispersion=self.question.dispersion,
        )

    def _excluded(self, state: means.State) -> float:
        return towards(self.limit, means.base(state), up=self.up)


def _added(memory: Memory, candidate: Measurement, control: Measurement) -> means.State:
    one, other = cast(Moments, candidate), cast(Moments, control)
    return means.update(
        cast(means.State, memory or means.INITIAL),
        n=one.n,
        mean=one.mean,
        m2=one.m2,
        control_n=other.n,
        control_mean=other.mean,
        control_m2=other.m2,
    )
