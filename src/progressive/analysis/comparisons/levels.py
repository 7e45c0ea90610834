"""Levels that are sampled: queue depth, memory in use."""

from __future__ import annotations

from math import fsum
from typing import cast

import attrs

from progressive.model.actions import Memory
from progressive.model.measurement import Gauge, Measurement
from progressive.stats import sign_test as signs

from .base import Accepted, Numbers, Question, evidence_of, towards

__all__ = ["Levels", "LevelsAccepted"]


@attrs.frozen
class Levels:
    """A level that stands above, or below, its control's more often than not is harm. A look is one
    observation: its mean level.
    """

    question: Question

    def fits(self, candidate: Measurement, control: Measurement) -> str | None:
        return (
            None
            if isinstance(candidate, Gauge) and isinstance(control, Gauge)
            else "levels are compared by samples"
        )

    def learn(
        self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float
    ) -> Memory:
        up, down = cast("tuple[signs.State, signs.State]", memory or (signs.INITIAL, signs.INITIAL))
        one, other, margin = _level(candidate), _level(control), self.question.margin
        return tuple(
            signs.update(state, level=one, control=_past(margin, other, up=rise))
            for state, rise in ((up, True), (down, False))
        )

    def evidence(self, memory: Memory, alpha: float) -> float:
        up, down = cast("tuple[signs.State, signs.State]", memory)
        return evidence_of(
            self.question, rise=signs.evidence(up), fall=signs.evidence(down, up=False)
        )

    def lacks(self, memory: Memory) -> str:
        return ""

    def summarize(
        self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float
    ) -> tuple[str, Numbers]:
        up, down = cast("tuple[signs.State, signs.State]", memory)
        fallen = self.question.down and (
            not self.question.up or signs.evidence(down, up=False) > signs.evidence(up)
        )
        word, times, state = ("below", down[1], down) if fallen else ("above", up[0], up)
        numbers: Numbers = (
            ("candidate_level", _level(candidate)),
            ("control_level", _level(control)),
            ("above", float(up[0])),
            ("below", float(down[1])),
        )
        tolerated = (
            ""
            if self.question.margin == 1
            else f"{towards(self.question.margin, _level(control), up=not fallen):.3g} times "
        )
        return (
            f"{word} {tolerated}{self.question.than}'s in {times} of {state[0] + state[1]} looks",
            numbers,
        )


@attrs.frozen
class LevelsAccepted(Accepted):
    """In most looks the level is not ``limit`` times the control's. One that is no worse than the
    control is not, also where both are 0.
    """

    def learn(self, memory: Memory, candidate: Measurement, control: Measurement) -> Memory:
        bad, good = cast(signs.State, memory or signs.INITIAL)
        side = 1 if self.up else -1
        one, other = side * _level(candidate), side * _level(control)
        is_good = one <= other or one < side * _past(self.limit, _level(control), up=self.up)
        return bad + (not is_good), good + is_good

    def evidence(self, memory: Memory) -> float:
        return signs.evidence(cast(signs.State, memory), up=False)

    def needed(
        self, memory: Memory, nats: float, candidate: Measurement, control: Measurement
    ) -> float:
        return signs.needed(nats - self.evidence(memory))


def _level(measured: Measurement) -> float:
    samples = cast(Gauge, measured).samples
    return fsum(samples) / len(samples)


def _past(times: float, control: float, *, up: bool) -> float:
    """``times`` the control or that part of it: towards harm, also where the control is below 0."""
    return control * towards(times, control, up=up)
