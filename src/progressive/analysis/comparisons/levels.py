"""Levels that are sampled: queue depth, memory in use."""

from __future__ import annotations

from math import fsum
from typing import TypeAlias

import attrs

from progressive.model.measurement import Gauge, Measurement
from progressive.stats import sign_test

from .base import Accepted, Numbers, Question, evidence_of_harm, factor_towards_harm

__all__ = ["Levels", "LevelsAccepted"]

_State: TypeAlias = tuple[sign_test.State, sign_test.State]
"""Looks above and below the control's level, moved up by the margin; and moved down by it."""


@attrs.frozen
class Levels:
    """Test whether the level is above, or below, the control's in more than half of the looks.

    One look is one observation: its mean level.
    """

    question: Question

    def fits(self, candidate: Measurement, control: Measurement) -> str | None:
        return (
            None
            if isinstance(candidate, Gauge) and isinstance(control, Gauge)
            else "levels are compared by samples"
        )

    def learn(self, state: _State | None, candidate: Gauge, control: Gauge, alpha: float) -> _State:
        up, down = state or (sign_test.INITIAL, sign_test.INITIAL)
        level, control_level, margin = _mean(candidate), _mean(control), self.question.margin
        return (
            sign_test.update(up, level=level, control=_moved(control_level, margin, up=True)),
            sign_test.update(down, level=level, control=_moved(control_level, margin, up=False)),
        )

    def evidence(self, state: _State, alpha: float) -> float:
        up, down = state
        return evidence_of_harm(
            self.question, rise=sign_test.evidence(up), fall=sign_test.evidence(down, up=False)
        )

    def lacks(self, state: _State) -> str:
        return ""

    def summarize(
        self, state: _State, candidate: Gauge, control: Gauge, alpha: float
    ) -> tuple[str, Numbers]:
        up, down = state
        (above, not_above), (not_below, below) = up, down
        fallen = self.question.down and (
            not self.question.up or sign_test.evidence(down, up=False) > sign_test.evidence(up)
        )
        if fallen:
            side, bad_looks, looks = "below", below, not_below + below
        else:
            side, bad_looks, looks = "above", above, above + not_above
        level, control_level = _mean(candidate), _mean(control)
        numbers: Numbers = (
            ("candidate_level", level),
            ("control_level", control_level),
            ("above", float(above)),
            ("below", float(below)),
        )
        factor = factor_towards_harm(self.question.margin, control_level, up=not fallen)
        tolerated = "" if self.question.margin == 1 else f"{factor:.3g} times "
        return f"{side} {tolerated}{self.question.than}'s in {bad_looks} of {looks} looks", numbers


@attrs.frozen
class LevelsAccepted(Accepted[Gauge]):
    """Exclude that the level is ``limit`` times the control's in more than half of the looks.

    A look in which it is no worse than the control counts as good, also where both are 0.
    """

    def learn(
        self, state: sign_test.State | None, candidate: Gauge, control: Gauge
    ) -> sign_test.State:
        bad, good = state or sign_test.INITIAL
        level, control_level = _mean(candidate), _mean(control)
        excluded = _moved(control_level, self.limit, up=self.up)
        if self.up:
            is_good = level <= control_level or level < excluded
        else:
            is_good = level >= control_level or level > excluded
        return (bad, good + 1) if is_good else (bad + 1, good)

    def evidence(self, state: sign_test.State) -> float:
        return sign_test.evidence(state, up=False)

    def needed(
        self, state: sign_test.State, nats: float, candidate: Gauge, control: Gauge
    ) -> float:
        return sign_test.needed(nats - self.evidence(state))


def _mean(measured: Gauge) -> float:
    return fsum(measured.samples) / len(measured.samples)


def _moved(control: float, multiple: float, *, up: bool) -> float:
    """Return the control's level moved by ``multiple`` towards harm, also where it is below 0."""
    return control * factor_towards_harm(multiple, control, up=up)
