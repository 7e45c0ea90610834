"""Rates of events: failed requests, conversions."""

from __future__ import annotations

import math
from typing import Final, TypeAlias, cast

import attrs

from ...measurement import Counts, Measurement
from ...stats import exact, falls, ratios, sequential
from ...stats._evidence import kept
from ..verdict import Memory
from ._both import averaged_evidence
from .comparison import Comparison, Numbers, Question

__all__ = ["rates"]

_Seen: TypeAlias = tuple[float, ...]
"""The five numbers of `progressive.stats.sequential`, then the three that `progressive.stats.ratios` needs: events, expected, own.
States of before these three were kept are five numbers long and stay so."""

_NOTHING: Final[_Seen] = (*sequential.NOTHING, 0, 0.0, 0.0)


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
        return None if isinstance(candidate, Counts) and isinstance(control, Counts) else "a ratio is compared by counts"

    def lacks(self, memory: Memory) -> str:
        return ""


@attrs.frozen
class _Rise(_Rates):
    """More events are harm."""

    question: Question

    def learn(self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float) -> Memory:
        return _added(_seen(memory), cast(Counts, candidate), cast(Counts, control), self.question)

    def evidence(self, memory: Memory, alpha: float) -> float:
        return sequential.evidence(_logs(_seen(memory)))

    def say(self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float) -> tuple[str, Numbers]:
        return _say(_seen(memory), cast(Counts, candidate), cast(Counts, control), self.question)


@attrs.frozen
class _Fall(_Rates):
    """Fewer events are harm. Its estimate and bounds are those of the control's rate over the candidate's, the other way round."""

    question: Question

    def learn(self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float) -> Memory:
        one, other = cast(Counts, candidate), cast(Counts, control)
        state, seen = cast("tuple[falls.State, _Seen]", memory or (falls.NOTHING, _NOTHING))
        state = falls.update(
            state,
            events=one.events,
            trials=one.trials,
            control_events=other.events,
            control_trials=other.trials,
            margin=self.question.margin,
            dispersion=self.question.dispersion,
        )
        return state, _added(seen, other, one, self.question)

    def evidence(self, memory: Memory, alpha: float) -> float:
        return falls.evidence(cast("tuple[falls.State, _Seen]", memory)[0])

    def say(self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float) -> tuple[str, Numbers]:
        _, seen = cast("tuple[falls.State, _Seen]", memory)
        if not seen[-2]:
            return NO_EVENTS, _look(cast(Counts, candidate), cast(Counts, control))
        estimate, high, low = (1 / value if value else math.inf for value in _ratio(seen, self.question))
        look = _look(cast(Counts, candidate), cast(Counts, control))
        return _times(estimate, low, high, self.question), (*look, *_bounded(estimate, low, high))


@attrs.frozen
class _Either(_Rates):
    """More events are harm, and so are fewer: half of the weight for each."""

    question: Question
    rise: _Rise
    fall: _Fall

    def learn(self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float) -> Memory:
        up, down = cast("tuple[Memory, Memory]", memory or (None, None))
        return self.rise.learn(up, candidate, control, alpha), self.fall.learn(down, candidate, control, alpha)

    def evidence(self, memory: Memory, alpha: float) -> float:
        up, down = cast("tuple[Memory, Memory]", memory)
        return averaged_evidence(self.rise.evidence(up, alpha), self.fall.evidence(down, alpha))

    def say(self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float) -> tuple[str, Numbers]:
        return self.rise.say(cast("tuple[Memory, Memory]", memory)[0], candidate, control, alpha)


NO_EVENTS: Final = "no events on either side"

PLANNED: Final = 300.0
"""Events of the candidate by which the exact test has spent its alpha. To be wrong by a factor of ten costs about a twelfth more of them."""

EXACT_PART: Final = 0.95
"""Of alpha, for the exact test; with the rest, the mixture goes on for ever."""


@attrs.frozen
class _Exact(_Rates):
    """More events are harm, and the schedule is fixed: the exact test, and behind it the mixture."""

    question: Question

    def learn(self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float) -> Memory:
        one, other = cast(Counts, candidate), cast(Counts, control)
        seen, state, proven = cast("tuple[_Seen, exact.State, bool]", memory or (_NOTHING, exact.NOTHING, False))
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
        seen, _, proven = cast("tuple[_Seen, exact.State, bool]", memory)
        return math.log(1 / alpha) if proven else sequential.evidence(_logs(seen)) + math.log(1 - EXACT_PART)

    def say(self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float) -> tuple[str, Numbers]:
        seen, state, _ = cast("tuple[_Seen, exact.State, bool]", memory)
        said, numbers = _say(seen, cast(Counts, candidate), cast(Counts, control), self.question)
        if state[0] >= PLANNED:
            return said, numbers
        return f"{said}; {exact.boundary(state)} would be proof", (*numbers, ("boundary", float(exact.boundary(state))))


def _seen(memory: Memory) -> _Seen:
    return cast(_Seen, memory or _NOTHING)


def _logs(seen: _Seen) -> tuple[float, ...]:
    return seen[: len(sequential.NOTHING)]


def _share(worse: Counts, other: Counts, margin: float) -> float:
    """The part of all events that would be those of ``worse`` at ``margin`` times the rate of ``other``."""
    return margin * worse.trials / (margin * worse.trials + other.trials)


def _added(seen: _Seen, worse: Counts, other: Counts, question: Question) -> _Seen:
    """``seen`` after one more look at the track that would be the worse one, and the other."""
    logs = sequential.update(
        _logs(seen),
        events=worse.events,
        trials=worse.trials,
        control_events=other.events,
        control_trials=other.trials,
        margin=question.margin,
        dispersion=question.dispersion,
    )
    if len(seen) < len(_NOTHING):
        return logs
    events, expected, own = seen[len(logs) :]
    share = _share(worse, other, question.margin)
    every = worse.events + other.events
    return (*logs, events + worse.events, kept(expected + every * share), kept(own + worse.events * share))


def _ratio(seen: _Seen, question: Question) -> tuple[float, float, float]:
    """The ratio of the rates that was seen, and its bounds."""
    events, expected, own = seen[len(sequential.NOTHING) :]
    n = question.dispersion
    low, high = ratios.bounds(_logs(seen), events=events / n, expected=expected / n, margin=question.margin)
    return ratios.estimate(events, expected, own, question.margin), low, high


def _look(candidate: Counts, control: Counts) -> Numbers:
    return (
        ("candidate_events", float(candidate.events)),
        ("candidate_trials", float(candidate.trials)),
        ("control_events", float(control.events)),
        ("control_trials", float(control.trials)),
    )


def _say(seen: _Seen, candidate: Counts, control: Counts, question: Question) -> tuple[str, Numbers]:
    look = _look(candidate, control)
    if len(seen) < len(_NOTHING):
        said = f"{candidate.events} of {candidate.trials} against {control.events} of {control.trials} on {question.than} in this look"
        return said, look
    events, expected = seen[-3], seen[-2]
    if not expected:
        return NO_EVENTS, look
    estimate, low, high = _ratio(seen, question)
    counted = f"{events:,.0f} {'event' if events == 1 else 'events'}"
    said = f"{counted} where {expected:,.3g} were expected: {_times(estimate, low, high, question)}"
    return said, (*look, ("events", events), ("expected_events", expected), *_bounded(estimate, low, high))


def _bounded(estimate: float, low: float, high: float) -> Numbers:
    return (("ratio", estimate), ("ratio_low", low), ("ratio_high", high))


def _times(estimate: float, low: float, high: float, question: Question) -> str:
    """A ratio as people say it: "1.3 times stable's rate (0.5 to 2.1)"."""
    bounds = f"{low:.2g} to {high:.2g}" if math.isfinite(high) else f"{low:.2g} or more"
    if math.isinf(estimate):
        return f"none on {question.than} ({bounds} times its rate)"
    return f"{estimate:.2g} times {question.than}'s rate ({bounds})"
