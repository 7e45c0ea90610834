"""Means of values: basket size, bytes an answer has."""

from __future__ import annotations

from math import isfinite
from typing import cast

import attrs

from ...measurement import Measurement, Moments
from ...stats import means
from ..verdict import Memory
from ._accepted import Accepted
from ._both import averaged_evidence
from ._counts import look_at
from .comparison import Numbers, Question

__all__ = ["Means", "MeansAccepted"]


@attrs.frozen
class Means:
    """A mean that rises or falls past the margin is harm. The candidate's is compared with ``factor`` times the control's."""

    question: Question

    def fits(self, candidate: Measurement, control: Measurement) -> str | None:
        return None if isinstance(candidate, Moments) and isinstance(control, Moments) else "means are compared by moments"

    def learn(self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float) -> Memory:
        states = cast("tuple[means.State, ...]", memory or (means.NOTHING,) * len(self._directions))
        one, other = cast(Moments, candidate), cast(Moments, control)
        return tuple(
            means.update(
                state,
                n=one.n,
                mean=one.mean,
                m2=one.m2,
                control_n=other.n,
                control_mean=other.mean,
                control_m2=other.m2,
                margin=_factor(self.question.margin, other.mean, up=up),
            )
            for state, up in zip(states, self._directions, strict=True)
        )

    @property
    def _directions(self) -> tuple[bool, ...]:
        return tuple(up for up, harm in ((True, self.question.up), (False, self.question.down)) if harm)

    def evidence(self, memory: Memory, alpha: float) -> float:
        states = cast("tuple[means.State, ...]", memory)
        found = [means.evidence(state, up=up, dispersion=self.question.dispersion) for state, up in zip(states, self._directions, strict=True)]
        return found[0] if len(found) == 1 else averaged_evidence(*found)

    def lacks(self, memory: Memory) -> str:
        state = cast("tuple[means.State, ...]", memory)[0]
        if state[0] < means.BURN_IN:
            return f"{state[0]} of the {means.BURN_IN} values that a comparison needs"
        low, _ = means.bounds(state)
        return "" if isfinite(low) else f"{self.question.than}'s values don't differ, or are 0 in the mean: nothing to measure a change by"

    def say(self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float) -> tuple[str, Numbers]:
        state = cast("tuple[means.State, ...]", memory)[0]
        base, apart = means.base(state), means.difference(state)
        low, high = means.bounds(state, dispersion=self.question.dispersion)
        unit = f" {self.question.unit}" if self.question.unit else ""
        tolerated = "" if self.question.margin == 1 else f" {_factor(self.question.margin, base, up=self._directions[0]):.3g} times"
        range_ = f" ({low:+.3g} to {high:+.3g})" if isfinite(low) else ""
        said = f"{apart:+.3g}{unit}{range_} from{tolerated} {self.question.than}'s {base:.4g}{unit}"
        return said, (*look_at(candidate, control), ("difference", apart), ("difference_low", low), ("difference_high", high))


@attrs.frozen
class MeansAccepted(Accepted):
    """The mean is not ``limit`` times the control's (or a part of it, where down is bad): the comparison with that margin, upside down."""

    def learn(self, memory: Memory, candidate: Measurement, control: Measurement) -> Memory:
        one, other = cast(Moments, candidate), cast(Moments, control)
        state = cast(means.State, memory or means.NOTHING)
        return means.update(
            state,
            n=one.n,
            mean=one.mean,
            m2=one.m2,
            control_n=other.n,
            control_mean=other.mean,
            control_m2=other.m2,
            margin=_factor(self.limit, other.mean, up=self.up),
        )

    def evidence(self, memory: Memory) -> float:
        return means.evidence(cast(means.State, memory), up=not self.up, dispersion=self.question.dispersion)

    def needed(self, memory: Memory, nats: float, candidate: Measurement, control: Measurement) -> float:
        state, tolerated = cast(means.State, memory), _factor(self.limit, means.base(cast(means.State, memory)), up=self.up)
        return means.needed(
            state,
            nats - self.evidence(memory),
            n=candidate.sample,
            control_n=control.sample,
            margin=tolerated,
            dispersion=self.question.dispersion,
        )


def _factor(tolerated: float, control: float, *, up: bool) -> float:
    """What is tolerated, as a multiple of the control's mean: towards harm, also where that is below 0."""
    return tolerated if up is (control >= 0) else 1 / tolerated
