"""Events that come in clumps, and values of any distribution: each look is one observation."""

from __future__ import annotations

from typing import Final, TypeAlias

import attrs

from progressive.model.measurement import Counts, Measurement, Moments
from progressive.stats import betting, ratios
from progressive.stats.evidence import kept

from .base import (
    NO_EVENTS,
    Numbers,
    Question,
    evidence_of_harm,
    look_numbers,
)
from .words import format_amount, format_count

__all__ = ["Blocks"]

_State: TypeAlias = tuple[tuple[float, ...], tuple[float, ...], float, float, float, int]
"""The evidence of a rise and of a fall; the candidate's events, how many were expected, and those
expected of its own (as for `progressive.stats.ratios.estimate`); the looks that had an event. Of
values, their sums are the events.
"""

_INITIAL: Final[_State] = (betting.INITIAL, betting.INITIAL, 0, 0.0, 0.0, 0)


@attrs.frozen
class Blocks:
    """Test for a rise, a fall, or either with half of the weight for each."""

    question: Question

    def fits(self, candidate: Measurement, control: Measurement) -> str | None:
        if isinstance(candidate, Counts) and isinstance(control, Counts):
            return None
        if not (isinstance(candidate, Moments) and isinstance(control, Moments)):
            return "blocks are compared by counts or by moments"
        low = min(candidate.mean, control.mean)
        return (
            None
            if low >= 0
            else f"a mean of {low:g}: blocks are for values that are never below 0; leave "
            "blocks= out"
        )

    def learn(
        self,
        state: _State | None,
        candidate: Counts | Moments,
        control: Counts | Moments,
        alpha: float,
    ) -> _State:
        rise, fall, events, expected, own, looks = state or _INITIAL
        total, trials = _total(candidate)
        control_total, control_trials = _total(control)
        share = trials / (trials + control_trials)
        if self.question.up:
            rise = betting.update(
                rise,
                events=total,
                trials=trials,
                control_events=control_total,
                control_trials=control_trials,
            )
        if self.question.down:
            fall = betting.update(
                fall,
                events=control_total,
                trials=control_trials,
                control_events=total,
                control_trials=trials,
            )
        return (
            rise,
            fall,
            kept(events + total),
            kept(expected + (total + control_total) * share),
            kept(own + total * share),
            looks + 1 if total + control_total > 0 else looks,
        )

    def evidence(self, state: _State, alpha: float) -> float:
        rise, fall, *_ = state
        return evidence_of_harm(
            self.question, rise=betting.evidence(rise), fall=betting.evidence(fall)
        )

    def lacks(self, state: _State) -> str:
        return ""

    def summarize(
        self, state: _State, candidate: Counts | Moments, control: Counts | Moments, alpha: float
    ) -> tuple[str, Numbers]:
        _, _, events, expected, own, looks = state
        numbers = look_numbers(candidate, control)
        if not expected:
            return NO_EVENTS, numbers
        unit = f" {self.question.unit}" if self.question.unit else ""
        total = (
            format_count(events, "event")
            if isinstance(candidate, Counts)
            else f"{format_amount(events)}{unit} in all"
        )
        summary = (
            f"{total} where {format_amount(expected)} were expected, "
            f"in {format_count(looks, 'look')}"
        )
        return summary, (
            *numbers,
            ("events", float(events)),
            ("expected_events", expected),
            ("ratio", ratios.estimate(events, expected, own)),
            ("looks", float(looks)),
        )


def _total(measured: Counts | Moments) -> tuple[float, int]:
    """Return the events and the trials; of values, their sum and how many there are."""
    if isinstance(measured, Counts):
        return measured.events, measured.trials
    return measured.n * measured.mean, measured.n
