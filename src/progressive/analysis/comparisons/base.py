"""The contracts of sequential comparisons (find harm, exclude harm) and what they share.

Both contracts are generic: ``Measured`` is the kind of measurement that is compared, ``State`` what
is kept between looks: immutable, JSON-sized, and not growing with the number of looks.
"""

from __future__ import annotations

from math import log
from typing import Final, Generic, Protocol, TypeAlias, TypedDict, TypeVar

import attrs

from progressive.model.actions import Memory
from progressive.model.measurement import Counts, Measurement, Moments
from progressive.stats.evidence import averaged

from .words import format_proof, format_proof_of_before, format_ratio, format_ratio_of_before

__all__ = [
    "NO_EVENTS",
    "SINCE",
    "Acceptance",
    "Accepted",
    "BothAccepted",
    "Comparison",
    "Numbers",
    "Question",
    "averaged_evidence",
    "counts_misfit",
    "evidence_of_harm",
    "factor_towards_harm",
    "look_numbers",
    "ratio_numbers",
    "two_samples",
]

Numbers: TypeAlias = tuple[tuple[str, float], ...]
"""Named numbers of a judgement."""

Measured = TypeVar("Measured", bound=Measurement, contravariant=True)
State = TypeVar("State", bound=Memory)


@attrs.frozen(kw_only=True)
class Question:
    """The parameters of a `NoWorse` that a comparison needs, as documented there.

    ``than`` is the control's track, for messages. ``up`` and ``down``: whether more, or less, is
    harm; at least one is True. ``reserve``: whether something is held back for raises.
    """

    than: str
    up: bool
    down: bool
    margin: float = 1.0
    dispersion: float = 1.0
    exact: bool = False
    blocks: bool = False
    small: bool = False
    reserve: bool = False
    unit: str = ""

    def ratio_in_words(self, estimate: float, low: float, high: float) -> str:
        """Return an estimated ratio of rates and its bounds, as `format_ratio` writes them; what
        was begun before small rises were looked for goes on in the words of then.
        """
        write = format_ratio if self.small else format_ratio_of_before
        return write(estimate, low, high, self.than)

    def proof_in_words(self, evidence: float, alpha: float) -> str:
        """Return how much is proven, as `format_proof` writes it, or in the words of then."""
        write = format_proof if self.small else format_proof_of_before
        return write(evidence, alpha)


class Comparison(Protocol[Measured, State]):
    """A sequential test for harm. Its methods are pure.

    ``state`` is what `learn` returned last. ``candidate`` and ``control`` are measurements of one
    look that `fits` has accepted.

    Optional: ``again(state)``, the state before the first look after a raise, with which the
    candidate may have become worse.
    """

    def fits(self, candidate: Measurement, control: Measurement) -> str | None:
        """Return why these two samples can't be compared; None if they can."""
        ...

    def learn(
        self, state: State | None, candidate: Measured, control: Measured, alpha: float
    ) -> State:
        """Return the state after one more look; ``state`` is None before the first."""
        ...

    def evidence(self, state: State, alpha: float) -> float:
        """Return the evidence of harm, in nats.

        Without harm it ever reaches ``log(1 / alpha)`` with a probability of at most ``alpha``.
        """
        ...

    def lacks(self, state: State) -> str:
        """Return why nothing can be judged yet; empty if something can."""
        ...

    def summarize(
        self, state: State, candidate: Measured, control: Measured, alpha: float
    ) -> tuple[str, Numbers]:
        """Summarize all looks as a sentence and numbers; the measurements are the last look's."""
        ...


class Acceptance(Protocol[Measured, State]):
    """A sequential test that excludes a candidate ``limit`` times as bad. Its methods are pure.

    ``state`` is what `learn` returned last. ``candidate`` and ``control`` are measurements of one
    look that the `Comparison` beside it accepts.
    """

    def fits(self, candidate: Measured, control: Measured) -> str | None:
        """Return why these two can't exclude it, though they can be compared; None if they can."""
        ...

    def learn(self, state: State | None, candidate: Measured, control: Measured) -> State:
        """Return the state after one more look; ``state`` is None before the first."""
        ...

    def evidence(self, state: State) -> float:
        """Return the evidence that the candidate is not as bad, in nats.

        If it is, this ever reaches ``log(1 / beta)`` with a probability of at most ``beta``.
        """
        ...

    def needed(self, state: State, nats: float, candidate: Measured, control: Measured) -> float:
        """Return how many more requests, values or looks are needed to reach ``nats``.

        This is a mean for a candidate as good as its control, at the split of the last look;
        infinite or NaN if no number is known to do.
        """
        ...


@attrs.frozen
class Accepted(Generic[Measured]):
    """The parameters of an `Acceptance` towards one side: ``up`` or down."""

    question: Question
    limit: float
    up: bool

    def fits(self, candidate: Measured, control: Measured) -> str | None:
        return None


@attrs.frozen
class BothAccepted(Generic[Measured, State]):
    """Exclude harm on both sides. The evidence is the lesser of the two."""

    up: Acceptance[Measured, State]
    down: Acceptance[Measured, State]

    def fits(self, candidate: Measured, control: Measured) -> str | None:
        return self.up.fits(candidate, control) or self.down.fits(candidate, control)

    def learn(
        self, state: tuple[State, State] | None, candidate: Measured, control: Measured
    ) -> tuple[State, State]:
        up, down = state or (None, None)
        return self.up.learn(up, candidate, control), self.down.learn(down, candidate, control)

    def evidence(self, state: tuple[State, State]) -> float:
        up, down = state
        return min(self.up.evidence(up), self.down.evidence(down))

    def needed(
        self, state: tuple[State, State], nats: float, candidate: Measured, control: Measured
    ) -> float:
        up, down = state
        return max(
            self.up.needed(up, nats, candidate, control),
            self.down.needed(down, nats, candidate, control),
        )


NO_EVENTS: Final = "no events on either side"

SINCE: Final = " since the raise"
"""Follows what is estimated since a test began again."""


class TwoSamples(TypedDict):
    """The counts of two tracks as keyword arguments of `progressive.stats`."""

    events: int
    trials: int
    control_events: int
    control_trials: int


def two_samples(worse: Counts, other: Counts) -> TwoSamples:
    """Return two tracks' counts as keyword arguments; ``worse`` is the one to be proven worse."""
    return TwoSamples(
        events=worse.events,
        trials=worse.trials,
        control_events=other.events,
        control_trials=other.trials,
    )


def counts_misfit(candidate: Measurement, control: Measurement) -> str | None:
    """Return why these two can't be compared as rates; None if both are counts."""
    return (
        None
        if isinstance(candidate, Counts) and isinstance(control, Counts)
        else "a ratio is compared by counts"
    )


def look_numbers(candidate: Counts | Moments, control: Counts | Moments) -> Numbers:
    """Return the numbers of the last look: events and trials, or means and sample sizes."""
    return (*_track_numbers("candidate", candidate), *_track_numbers("control", control))


def _track_numbers(track: str, measured: Counts | Moments) -> Numbers:
    if isinstance(measured, Counts):
        return (
            (f"{track}_events", float(measured.events)),
            (f"{track}_trials", float(measured.trials)),
        )
    return (f"{track}_mean", measured.mean), (f"{track}_sample", float(measured.n))


def ratio_numbers(estimate: float, low: float, high: float) -> Numbers:
    """Return a ratio of rates and its confidence bounds as numbers of a judgement."""
    return (("ratio", estimate), ("ratio_low", low), ("ratio_high", high))


_HALVES: Final = (log(0.5), log(0.5))


def averaged_evidence(rise: float, fall: float) -> float:
    """Combine the evidence of a rise and of a fall, in nats, with half of the weight for each.

    An average of two e-processes is one, whatever the dependence between them.
    """
    return averaged((rise, fall), _HALVES)


def evidence_of_harm(question: Question, *, rise: float, fall: float) -> float:
    """Return the evidence of harm, in nats, from the evidence of a rise and of a fall."""
    if question.up and question.down:
        return averaged_evidence(rise, fall)
    return rise if question.up else fall


def factor_towards_harm(multiple: float, control: float, *, up: bool) -> float:
    """Return by what to multiply ``control`` so that it moves by ``multiple`` towards harm.

    This is ``multiple`` or its inverse: the bad direction is ``up`` or down, and a control below 0
    is moved up by a smaller factor.
    """
    return multiple if up is (control >= 0) else 1 / multiple
