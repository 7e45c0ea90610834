"""Rates of events that come in clumps: each look is one observation."""

from __future__ import annotations

from typing import Final, TypeAlias, cast

import attrs

from ...measurement import Counts, Measurement
from ...stats import clumps, ratios
from ...stats._evidence import kept
from ..verdict import Memory
from ._both import averaged_evidence
from ._counts import NO_EVENTS, beside, counts_misfit, look_at
from ._said import counted
from .comparison import Numbers, Question

__all__ = ["Blocks"]

_Seen: TypeAlias = tuple[tuple[float, ...], tuple[float, ...], int, float, float, int]
"""The evidence of a rise and of a fall; the candidate's events, how many were expected, the same of its own (as for
`progressive.stats.ratios.estimate`); and the looks that had an event."""

_NOTHING: Final[_Seen] = (clumps.NOTHING, clumps.NOTHING, 0, 0.0, 0.0, 0)


@attrs.frozen
class Blocks:
    """More events are harm, or fewer, or both: half of the weight for each."""

    question: Question

    def fits(self, candidate: Measurement, control: Measurement) -> str | None:
        return counts_misfit(candidate, control)

    def learn(self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float) -> Memory:
        rise, fall, events, expected, own, looks = cast(_Seen, memory or _NOTHING)
        one, other = cast(Counts, candidate), cast(Counts, control)
        every, share = one.events + other.events, one.trials / (one.trials + other.trials)
        return (
            clumps.update(rise, **beside(one, other)) if self.question.up else rise,
            clumps.update(fall, **beside(other, one)) if self.question.down else fall,
            events + one.events,
            kept(expected + every * share),
            kept(own + one.events * share),
            looks + (every > 0),
        )

    def evidence(self, memory: Memory, alpha: float) -> float:
        up, down, *_ = cast(_Seen, memory)
        rise, fall = clumps.evidence(up), clumps.evidence(down)
        if self.question.up and self.question.down:
            return averaged_evidence(rise, fall)
        return rise if self.question.up else fall

    def lacks(self, memory: Memory) -> str:
        return ""

    def say(self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float) -> tuple[str, Numbers]:
        _, _, events, expected, own, looks = cast(_Seen, memory)
        numbers = look_at(cast(Counts, candidate), cast(Counts, control))
        if not expected:
            return NO_EVENTS, numbers
        estimate = ratios.estimate(events, expected, own)
        said = f"{counted(events, 'event')} where {expected:,.3g} were expected, in {counted(looks, 'look')}"
        return said, (*numbers, ("events", float(events)), ("expected_events", expected), ("ratio", estimate), ("looks", float(looks)))
