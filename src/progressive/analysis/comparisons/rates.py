"""Rates of events: failed requests, conversions."""

from __future__ import annotations

import math
from typing import Final, TypeAlias, cast

import attrs

from progressive.model.actions import Memory
from progressive.model.measurement import Counts, Measurement
from progressive.stats import acceptance, exact, ratios, sequential
from progressive.stats import decrease as falls

from .base import (
    NO_EVENTS,
    Accepted,
    Comparison,
    Numbers,
    Question,
    amount,
    averaged_evidence,
    beside,
    bounded,
    counted,
    counts_misfit,
    look_at,
    times,
)

__all__ = ["RatesAccepted", "rates"]


def rates(question: Question) -> Comparison:
    """The comparison of rates that answers ``question``."""
    if question.exact:
        return _Exact(question)
    if question.up and question.down:
        return _Either(question, _Rise(question), _Fall(question))
    return _Rise(question) if question.up else _Fall(question)


class _Rates:
    """What all of them share: they need counts on both sides."""

    def fits(self, candidate: Measurement, control: Measurement) -> str | None:
        return counts_misfit(candidate, control)

    def lacks(self, memory: Memory) -> str:
        return ""


@attrs.frozen
class _Rise(_Rates):
    """More events are harm."""

    question: Question

    def learn(
        self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float
    ) -> Memory:
        return _added(_seen(memory), cast(Counts, candidate), cast(Counts, control), self.question)

    def evidence(self, memory: Memory, alpha: float) -> float:
        return ratios.evidence(_seen(memory))

    def summarize(
        self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float
    ) -> tuple[str, Numbers]:
        return _summarize(
            _seen(memory), cast(Counts, candidate), cast(Counts, control), self.question
        )


@attrs.frozen
class _Fall(_Rates):
    """Fewer events are harm. Its estimate and bounds are those of the control's rate over the
    candidate's, the other way round.
    """

    question: Question

    def learn(
        self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float
    ) -> Memory:
        one, other = cast(Counts, candidate), cast(Counts, control)
        state, seen = cast(
            "tuple[falls.State, ratios.State]", memory or (falls.INITIAL, ratios.INITIAL)
        )
        state = falls.update(
            state,
            **beside(one, other),
            margin=self.question.margin,
            dispersion=self.question.dispersion,
        )
        return state, _added(seen, other, one, self.question)

    def evidence(self, memory: Memory, alpha: float) -> float:
        return falls.evidence(cast("tuple[falls.State, ratios.State]", memory)[0])

    def summarize(
        self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float
    ) -> tuple[str, Numbers]:
        _, seen = cast("tuple[falls.State, ratios.State]", memory)
        if not seen[-2]:
            return NO_EVENTS, look_at(cast(Counts, candidate), cast(Counts, control))
        estimate, high, low = (
            1 / value if value else math.inf for value in _ratio(seen, self.question)
        )
        look = look_at(cast(Counts, candidate), cast(Counts, control))
        return times(estimate, low, high, self.question.than), (
            *look,
            *bounded(estimate, low, high),
        )


@attrs.frozen
class _Either(_Rates):
    """More events are harm, and so are fewer: half of the weight for each."""

    question: Question
    rise: _Rise
    fall: _Fall

    def learn(
        self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float
    ) -> Memory:
        up, down = cast("tuple[Memory, Memory]", memory or (None, None))
        return self.rise.learn(up, candidate, control, alpha), self.fall.learn(
            down, candidate, control, alpha
        )

    def evidence(self, memory: Memory, alpha: float) -> float:
        up, down = cast("tuple[Memory, Memory]", memory)
        return averaged_evidence(self.rise.evidence(up, alpha), self.fall.evidence(down, alpha))

    def summarize(
        self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float
    ) -> tuple[str, Numbers]:
        return self.rise.summarize(
            cast("tuple[Memory, Memory]", memory)[0], candidate, control, alpha
        )


PLANNED: Final = 300.0
"""Events of the candidate by which the exact test has spent its alpha. To be wrong by a factor of
ten costs about a twelfth more of them.
"""

EXACT_PART: Final = 0.95
"""Of alpha, for the exact test; with the rest, the mixture goes on for ever."""


@attrs.frozen
class _Exact(_Rates):
    """More events are harm, and the schedule is fixed: the exact test, and behind it the
    mixture.
    """

    question: Question

    def learn(
        self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float
    ) -> Memory:
        one, other = cast(Counts, candidate), cast(Counts, control)
        seen, state, proven = cast(
            "tuple[ratios.State, exact.State, bool]",
            memory or (ratios.INITIAL, exact.INITIAL, False),
        )
        seen = _added(seen, one, other, self.question)
        if state[0] < PLANNED:
            share = _share(one, other, self.question.margin)
            every = one.events + other.events
            state, alarm = exact.update(
                state,
                events=one.events,
                expected=every * share,
                chances=exact.hypergeometric(every, one.trials, other.trials)
                if self.question.margin == 1
                else exact.binomial(every, share),
                allowed=lambda expected: EXACT_PART * alpha * exact.log_time(expected, PLANNED),
            )
            proven = proven or alarm
        return seen, state if state[0] < PLANNED else (*state[:4], (1.0,)), proven

    def evidence(self, memory: Memory, alpha: float) -> float:
        seen, _, proven = cast("tuple[ratios.State, exact.State, bool]", memory)
        return math.log(1 / alpha) if proven else ratios.evidence(seen) + math.log(1 - EXACT_PART)

    def summarize(
        self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float
    ) -> tuple[str, Numbers]:
        seen, state, _ = cast("tuple[ratios.State, exact.State, bool]", memory)
        said, numbers = _summarize(
            seen, cast(Counts, candidate), cast(Counts, control), self.question
        )
        if state[0] >= PLANNED:
            return said, numbers
        return f"{said}; {exact.boundary(state)} would be proof", (
            *numbers,
            ("boundary", float(exact.boundary(state))),
        )


_Counted: TypeAlias = tuple[tuple[float, ...], int, int]
"""The evidence that the candidate is good enough, and all events and all trials."""


@attrs.frozen
class RatesAccepted(Accepted):
    """Not ``limit`` times the events; where fewer are harm, the control has not ``limit`` times as
    many.
    """

    def learn(self, memory: Memory, candidate: Measurement, control: Measurement) -> Memory:
        logs, events, trials = cast(_Counted, memory or (acceptance.INITIAL, 0, 0))
        worse, other = self._sides(candidate, control)
        logs = acceptance.update(
            logs,
            **beside(worse, other),
            limit=self.limit,
            dispersion=self.question.dispersion,
        )
        return logs, events + worse.events + other.events, trials + worse.trials + other.trials

    def evidence(self, memory: Memory) -> float:
        return acceptance.evidence(cast(_Counted, memory)[0])

    def needed(
        self, memory: Memory, nats: float, candidate: Measurement, control: Measurement
    ) -> float:
        _, events, trials = cast(_Counted, memory)
        worse, other = self._sides(candidate, control)
        rate = min(max(events, 0.5) / trials, 1 - 0.5 / trials)
        share = worse.trials / (worse.trials + other.trials)
        return self.question.dispersion * acceptance.needed(
            nats - self.evidence(memory), rate, share, limit=self.limit
        )

    def _sides(self, candidate: Measurement, control: Measurement) -> tuple[Counts, Counts]:
        one, other = cast(Counts, candidate), cast(Counts, control)
        return (one, other) if self.up else (other, one)


def _seen(memory: Memory) -> ratios.State:
    return cast(ratios.State, memory or ratios.INITIAL)


def _share(worse: Counts, other: Counts, margin: float) -> float:
    """The part of all events that would be those of ``worse`` at ``margin`` times the rate of
    ``other``.
    """
    return margin * worse.trials / (margin * worse.trials + other.trials)


def _added(seen: ratios.State, worse: Counts, other: Counts, question: Question) -> ratios.State:
    """``seen`` after one more look at the track that would be the worse one, and the other.

    States of before the sums were kept have only the evidence, and go on so.
    """
    update = ratios.update if len(seen) == len(ratios.INITIAL) else sequential.update
    return update(
        seen,
        **beside(worse, other),
        margin=question.margin,
        dispersion=question.dispersion,
    )


def _ratio(seen: ratios.State, question: Question) -> tuple[float, float, float]:
    return ratios.ratio(seen, margin=question.margin, dispersion=question.dispersion)


def _summarize(
    seen: ratios.State, candidate: Counts, control: Counts, question: Question
) -> tuple[str, Numbers]:
    look = look_at(candidate, control)
    if len(seen) < len(ratios.INITIAL):
        said = (
            f"{candidate.events} of {candidate.trials} against {control.events} of "
            f"{control.trials} on {question.than} in this look"
        )
        return said, look
    *_, events, expected, _ = seen
    if not expected:
        return NO_EVENTS, look
    estimate, low, high = _ratio(seen, question)
    said = (
        f"{counted(events, 'event')} where {amount(expected)} were expected: "
        f"{times(estimate, low, high, question.than)}"
    )
    return said, (
        *look,
        ("events", events),
        ("expected_events", expected),
        *bounded(estimate, low, high),
    )
