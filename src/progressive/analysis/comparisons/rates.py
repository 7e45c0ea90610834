"""Rates of events: failed requests, conversions."""

from __future__ import annotations

import math
from typing import Any, Final, TypeAlias

import attrs

from progressive.model.measurement import Counts, Measurement
from progressive.stats import acceptance, decrease, exact, increase, ratios, sequential
from progressive.stats.evidence import reserved

from .base import (
    NO_EVENTS,
    SINCE,
    Accepted,
    Comparison,
    Numbers,
    Question,
    averaged_evidence,
    counts_misfit,
    look_numbers,
    ratio_numbers,
    two_samples,
)
from .words import format_amount, format_count

__all__ = ["RatesAccepted", "rates"]


def rates(question: Question) -> Comparison[Counts, Any]:
    """Return the comparison of rates for ``question``; its state depends on what is asked."""
    if question.exact:
        return _Exact(question)
    plain = question.margin == 1 and question.dispersion == 1
    rise = _EveryRise(question) if question.small and plain else _Rise(question)
    if question.up and question.down:
        return _Either(question, rise, _Fall(question))
    return rise if question.up else _Fall(question)


class _Rates:
    """A comparison of counts that can judge from the first look on."""

    def fits(self, candidate: Measurement, control: Measurement) -> str | None:
        return counts_misfit(candidate, control)

    def lacks(self, state: object) -> str:
        return ""


RESERVED: Final = reserved(sequential.RISES.log_prior)
"""What is bet, and held back, by a test that may begin again."""

_Risen: TypeAlias = ratios.State | tuple[ratios.State, ratios.Bets]
"""The evidence and what an estimate needs; and, of a test that may begin again, what is bet."""


@attrs.frozen
class _Rise(_Rates):
    """Test for more events."""

    question: Question

    def learn(
        self, state: _Risen | None, candidate: Counts, control: Counts, alpha: float
    ) -> _Risen:
        known, bets = (None, self._reserved) if state is None else _with_bets(state)
        known = _updated(known, candidate, control, self.question)
        return known if bets is None else (known, bets)

    @property
    def _reserved(self) -> ratios.Bets | None:
        return RESERVED if self.question.reserve else None

    def again(self, state: _Risen) -> _Risen:
        return ratios.again(*_with_bets(state))

    def evidence(self, state: _Risen, alpha: float) -> float:
        return _evidence(*_with_bets(state))

    def summarize(
        self, state: _Risen, candidate: Counts, control: Counts, alpha: float
    ) -> tuple[str, Numbers]:
        known, bets = _with_bets(state)
        since = "" if bets in (None, RESERVED) else SINCE
        return _summarize(known, candidate, control, self.question, since=since)


@attrs.frozen
class _EveryRise(_Rates):
    """Test for more events, however few more."""

    question: Question

    def learn(
        self,
        state: increase.State | None,
        candidate: Counts,
        control: Counts,
        alpha: float,
    ) -> increase.State:
        initial = increase.RESERVED if self.question.reserve else increase.INITIAL
        return increase.update(state or initial, **two_samples(candidate, control), alpha=alpha)

    def again(self, state: increase.State) -> increase.State:
        return increase.again(state)

    def evidence(self, state: increase.State, alpha: float) -> float:
        return increase.evidence(state, alpha=alpha)

    def summarize(
        self, state: increase.State, candidate: Counts, control: Counts, alpha: float
    ) -> tuple[str, Numbers]:
        return _summarize(
            increase.estimated(state),
            candidate,
            control,
            self.question,
            since=SINCE if increase.begun_again(state) else "",
        )


_Fallen: TypeAlias = tuple[decrease.State, ratios.State]
"""The evidence of a decrease, and what an estimate of the ratio needs."""


@attrs.frozen
class _Fall(_Rates):
    """Test for fewer events.

    The estimate and its bounds are the inverse of those of the control's rate over the candidate's.
    """

    question: Question

    def learn(
        self, state: _Fallen | None, candidate: Counts, control: Counts, alpha: float
    ) -> _Fallen:
        initial: decrease.State = decrease.SMALL if self.question.small else decrease.INITIAL
        if self.question.reserve:
            initial = decrease.RESERVED
        fallen, inverse = state or (initial, ratios.INITIAL)
        fallen = decrease.update(
            fallen,
            **two_samples(candidate, control),
            margin=self.question.margin,
            dispersion=self.question.dispersion,
        )
        return fallen, _updated(inverse, control, candidate, self.question)

    def again(self, state: _Fallen) -> _Fallen:
        fallen, inverse = state
        *logs, _, _, _ = inverse
        return decrease.again(fallen), ratios.initial(sequential.alternatives_of(logs))

    def evidence(self, state: _Fallen, alpha: float) -> float:
        fallen, _ = state
        return decrease.evidence(fallen)

    def summarize(
        self, state: _Fallen, candidate: Counts, control: Counts, alpha: float
    ) -> tuple[str, Numbers]:
        fallen, inverse = state
        look = look_numbers(candidate, control)
        since = SINCE if decrease.begun_again(fallen) else ""
        *_, expected, _ = inverse
        if not expected:
            return NO_EVENTS + since, look
        estimate, high, low = (
            1 / value if value else math.inf for value in _ratio(inverse, self.question)
        )
        return self.question.ratio_in_words(estimate, low, high) + since, (
            *look,
            *ratio_numbers(estimate, low, high),
        )


_RisenOrFallen: TypeAlias = tuple[Any, _Fallen]


@attrs.frozen
class _Either(_Rates):
    """Test for more events and for fewer, each with half of the weight, and so of ``alpha``."""

    question: Question
    rise: _Rise | _EveryRise
    fall: _Fall

    def learn(
        self, state: _RisenOrFallen | None, candidate: Counts, control: Counts, alpha: float
    ) -> _RisenOrFallen:
        risen, fallen = state or (None, None)
        return (
            self.rise.learn(risen, candidate, control, alpha / 2),
            self.fall.learn(fallen, candidate, control, alpha),
        )

    def again(self, state: _RisenOrFallen) -> _RisenOrFallen:
        risen, fallen = state
        # Of what was stored before falls and margins began again, a plain rise does, as it did.
        if isinstance(self.rise, _EveryRise) or _with_bets(risen)[1] is not None:
            risen = self.rise.again(risen)
        return risen, self.fall.again(fallen) if len(fallen[0]) == len(
            decrease.RESERVED
        ) else fallen

    def evidence(self, state: _RisenOrFallen, alpha: float) -> float:
        risen, fallen = state
        return averaged_evidence(
            self.rise.evidence(risen, alpha / 2), self.fall.evidence(fallen, alpha)
        )

    def summarize(
        self, state: _RisenOrFallen, candidate: Counts, control: Counts, alpha: float
    ) -> tuple[str, Numbers]:
        risen, _ = state
        return self.rise.summarize(risen, candidate, control, alpha)


PLANNED: Final = 300.0
"""Expected events of the candidate at which the exact test has spent its alpha. A plan that is
wrong by a factor of ten costs about a twelfth more events.
"""

EXACT_PART: Final = 0.95
"""The part of alpha that the exact test spends. The mixture has the rest, and goes on for ever."""

_Planned: TypeAlias = tuple[ratios.State, exact.State, bool]
"""The mixture's state, the exact test's, and whether the exact test has found harm."""


@attrs.frozen
class _Exact(_Rates):
    """Test for more events on a fixed schedule: by the exact test, then by the mixture."""

    question: Question

    def learn(
        self, state: _Planned | None, candidate: Counts, control: Counts, alpha: float
    ) -> _Planned:
        mixture, planned, proven = state or (ratios.INITIAL, exact.INITIAL, False)
        mixture = _updated(mixture, candidate, control, self.question)
        if _expected(planned) < PLANNED:
            share = _share(candidate, control, self.question.margin)
            events = candidate.events + control.events
            planned, alarm = exact.update(
                planned,
                events=candidate.events,
                expected=events * share,
                chances=exact.hypergeometric(events, candidate.trials, control.trials)
                if self.question.margin == 1
                else exact.binomial(events, share),
                allowed=lambda expected: EXACT_PART * alpha * exact.log_time(expected, PLANNED),
            )
            proven = proven or alarm
        if _expected(planned) >= PLANNED:  # it is over, and its distribution is not needed any more
            planned = (*planned[:4], (1.0,))
        return mixture, planned, proven

    def evidence(self, state: _Planned, alpha: float) -> float:
        mixture, _, proven = state
        if proven:
            return math.log(1 / alpha)
        return _evidence(mixture) + math.log(1 - EXACT_PART)

    def summarize(
        self, state: _Planned, candidate: Counts, control: Counts, alpha: float
    ) -> tuple[str, Numbers]:
        mixture, planned, _ = state
        summary, numbers = _summarize(mixture, candidate, control, self.question)
        if _expected(planned) >= PLANNED:
            return summary, numbers
        boundary = exact.boundary(planned)
        return f"{summary}; {boundary} would be proof", (*numbers, ("boundary", float(boundary)))


def _expected(planned: exact.State) -> float:
    """Return how many events of the candidate the exact test has expected so far."""
    return planned[0]


_Counted: TypeAlias = tuple[tuple[float, ...], int, int]
"""The evidence that the candidate is good enough, and all events and all trials."""


@attrs.frozen
class RatesAccepted(Accepted[Counts]):
    """Exclude that the candidate has ``limit`` times the control's rate of events.

    Where fewer events are harm, it excludes that the control has ``limit`` times the candidate's.
    """

    def learn(self, state: _Counted | None, candidate: Counts, control: Counts) -> _Counted:
        logs, events, trials = state or (acceptance.INITIAL, 0, 0)
        worse, other = self._sides(candidate, control)
        logs = acceptance.update(
            logs,
            **two_samples(worse, other),
            limit=self.limit,
            dispersion=self.question.dispersion,
        )
        return logs, events + worse.events + other.events, trials + worse.trials + other.trials

    def evidence(self, state: _Counted) -> float:
        logs, _, _ = state
        return acceptance.evidence(logs)

    def needed(self, state: _Counted, nats: float, candidate: Counts, control: Counts) -> float:
        _, events, trials = state
        worse, other = self._sides(candidate, control)
        rate = min(max(events, 0.5) / trials, 1 - 0.5 / trials)
        share = worse.trials / (worse.trials + other.trials)
        return self.question.dispersion * acceptance.needed(
            nats - self.evidence(state), rate, share, limit=self.limit
        )

    def _sides(self, candidate: Counts, control: Counts) -> tuple[Counts, Counts]:
        """Return the track with the higher rate if there is harm, then the other."""
        return (candidate, control) if self.up else (control, candidate)


def _share(worse: Counts, other: Counts, margin: float) -> float:
    """Return the part of all events that ``worse`` has at ``margin`` times the other's rate."""
    return margin * worse.trials / (margin * worse.trials + other.trials)


def _updated(
    state: ratios.State | None, worse: Counts, other: Counts, question: Question
) -> ratios.State:
    """Return the state after one more look; ``worse`` is the track to be proven worse.

    A state stored before estimates were kept has only the evidence, and goes on without estimates.
    """
    state = state or (ratios.initial(sequential.RISES) if question.small else ratios.INITIAL)
    update = ratios.update if _has_estimate(state) else sequential.update
    return update(
        state,
        **two_samples(worse, other),
        margin=question.margin,
        dispersion=question.dispersion,
    )


def _evidence(state: ratios.State, bets: ratios.Bets | None = None) -> float:
    return ratios.evidence(state, bets) if _has_estimate(state) else sequential.evidence(state)


def _with_bets(state: _Risen) -> tuple[ratios.State, ratios.Bets | None]:
    """Return the state, and what was bet when it was begun again; None if it was not."""
    kept: Any = state
    pair: tuple[ratios.State, ratios.Bets | None]
    pair = kept if isinstance(kept[0], tuple) else (kept, None)
    return pair


def _has_estimate(state: ratios.State) -> bool:
    return len(state) != len(sequential.INITIAL)


def _ratio(state: ratios.State, question: Question) -> tuple[float, float, float]:
    """Return the estimate of the ratio of rates and its lower and upper bound."""
    return ratios.ratio(state, margin=question.margin, dispersion=question.dispersion)


def _summarize(
    state: ratios.State, candidate: Counts, control: Counts, question: Question, since: str = ""
) -> tuple[str, Numbers]:
    look = look_numbers(candidate, control)
    if not _has_estimate(state):
        summary = (
            f"{candidate.events} of {candidate.trials} against {control.events} of "
            f"{control.trials} on {question.than} in this look"
        )
        return summary, look
    *_, events, expected, _ = state
    if not expected:
        return NO_EVENTS + since, look
    estimate, low, high = _ratio(state, question)
    summary = (
        f"{format_count(events, 'event')} where {format_amount(expected)} were expected{since}: "
        f"{question.ratio_in_words(estimate, low, high)}"
    )
    return summary, (
        *look,
        ("events", events),
        ("expected_events", expected),
        *ratio_numbers(estimate, low, high),
    )
