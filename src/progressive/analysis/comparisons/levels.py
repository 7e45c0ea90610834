"""Levels that are sampled: queue depth, memory in use."""

from __future__ import annotations

from math import fsum
from typing import cast

import attrs

from ...measurement import Gauge, Measurement
from ...stats import signs
from ..verdict import Memory
from ._accepted import Accepted
from ._both import averaged_evidence
from .comparison import Numbers, Question

__all__ = ["Levels", "LevelsAccepted"]


@attrs.frozen
class Levels:
    """A level that stands above, or below, its control's more often than not is harm. A look is one observation: its mean level."""

    question: Question

    def fits(self, candidate: Measurement, control: Measurement) -> str | None:
        return None if isinstance(candidate, Gauge) and isinstance(control, Gauge) else "levels are compared by samples"

    def learn(self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float) -> Memory:
        up, down = cast("tuple[signs.State, signs.State]", memory or (signs.NOTHING, signs.NOTHING))
        one, other, margin = _level(candidate), _level(control), self.question.margin
        return tuple(signs.update(state, level=one, control=_past(margin, other, up=rise)) for state, rise in ((up, True), (down, False)))

    def evidence(self, memory: Memory, alpha: float) -> float:
        up, down = cast("tuple[signs.State, signs.State]", memory)
        rise, fall = signs.evidence(up), signs.evidence(down, up=False)
        if self.question.up and self.question.down:
            return averaged_evidence(rise, fall)
        return rise if self.question.up else fall

    def lacks(self, memory: Memory) -> str:
        return ""

    def say(self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float) -> tuple[str, Numbers]:
        up, down = cast("tuple[signs.State, signs.State]", memory)
        word, times, state = ("above", up[0], up) if self.question.up else ("below", down[1], down)
        numbers: Numbers = (
            ("candidate_level", _level(candidate)),
            ("control_level", _level(control)),
            ("above", float(up[0])),
            ("below", float(down[1])),
        )
        return f"{word} {self.question.than}'s in {times} of {state[0] + state[1]} looks", numbers


@attrs.frozen
class LevelsAccepted(Accepted):
    """In most looks the level is not ``limit`` times the control's."""

    def learn(self, memory: Memory, candidate: Measurement, control: Measurement) -> Memory:
        past = _past(self.limit, _level(control), up=self.up)
        return signs.update(cast(signs.State, memory or signs.NOTHING), level=_level(candidate), control=past)

    def evidence(self, memory: Memory) -> float:
        return signs.evidence(cast(signs.State, memory), up=not self.up)

    def needed(self, memory: Memory, nats: float, candidate: Measurement, control: Measurement) -> float:
        return signs.needed(nats - self.evidence(memory))


def _level(measured: Measurement) -> float:
    samples = cast(Gauge, measured).samples
    return fsum(samples) / len(samples)


def _past(times: float, control: float, *, up: bool) -> float:
    """``times`` as far from 0 as the control, towards harm, and with its sign as it is; its mirror image where that is the other way."""
    return control + (times - 1) * abs(control) * (1 if up else -1)
