"""Events that come in clumps, and values of any law: each look is one observation."""

from __future__ import annotations

from typing import Final, TypeAlias, cast

import attrs

from progressive.model.actions import Memory
from progressive.model.measurement import Counts, Measurement, Moments
from progressive.stats import betting as clumps
from progressive.stats import ratios
from progressive.stats.evidence import kept

from .base import NO_EVENTS, Numbers, Question, amount, counted, evidence_of, look_at

__all__ = ["Blocks"]

_Seen: TypeAlias = tuple[tuple[float, ...], tuple[float, ...], float, float, float, int]
"""The evidence of a rise and of a fall; the candidate's events, how many were expected, the same of
its own (as for `progressive.stats.ratios.estimate`); and the looks that had an event. Of values,
their sums are the events.
"""

_NOTHING: Final[_Seen] = (clumps.INITIAL, clumps.INITIAL, 0, 0.0, 0.0, 0)


@attrs.frozen
class Blocks:
    """More is harm, or less, or both: half of the weight for each."""

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
        self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float
    ) -> Memory:
        rise, fall, events, expected, own, looks = cast(_Seen, memory or _NOTHING)
        (one, n), (other, m) = _sum(candidate), _sum(control)
        share = n / (n + m)
        return (
            clumps.update(rise, events=one, trials=n, control_events=other, control_trials=m)
            if self.question.up
            else rise,
            clumps.update(fall, events=other, trials=m, control_events=one, control_trials=n)
            if self.question.down
            else fall,
            kept(events + one),
            kept(expected + (one + other) * share),
            kept(own + one * share),
            looks + (one + other > 0),
        )

    def evidence(self, memory: Memory, alpha: float) -> float:
        up, down, *_ = cast(_Seen, memory)
        return evidence_of(self.question, rise=clumps.evidence(up), fall=clumps.evidence(down))

    def lacks(self, memory: Memory) -> str:
        return ""

    def summarize(
        self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float
    ) -> tuple[str, Numbers]:
        _, _, events, expected, own, looks = cast(_Seen, memory)
        numbers = look_at(candidate, control)
        if not expected:
            return NO_EVENTS, numbers
        unit = f" {self.question.unit}" if self.question.unit else ""
        seen = (
            counted(events, "event")
            if isinstance(candidate, Counts)
            else f"{amount(events)}{unit} in all"
        )
        said = f"{seen} where {amount(expected)} were expected, in {counted(looks, 'look')}"
        estimate = ratios.estimate(events, expected, own)
        return said, (
            *numbers,
            ("events", float(events)),
            ("expected_events", expected),
            ("ratio", estimate),
            ("looks", float(looks)),
        )


def _sum(measured: Measurement) -> tuple[float, int]:
    """The events and the trials; or the sum of the values, and their number."""
    if isinstance(measured, Counts):
        return measured.events, measured.trials
    values = cast(Moments, measured)
    return values.n * values.mean, values.n
