"""The contracts of comparisons over all looks (find harm, exclude harm) and what they share."""

from __future__ import annotations

from math import isfinite, isinf, log
from typing import Final, Protocol, TypeAlias, TypedDict, cast

import attrs

from progressive.model.actions import Memory
from progressive.model.measurement import Counts, Measurement, Moments
from progressive.stats.evidence import averaged

__all__ = [
    "NO_EVENTS",
    "Acceptance",
    "Accepted",
    "BothAccepted",
    "Comparison",
    "Numbers",
    "Question",
    "amount",
    "averaged_evidence",
    "beside",
    "bounded",
    "counted",
    "counts_misfit",
    "evidence_of",
    "look_at",
    "times",
    "towards",
]

Numbers: TypeAlias = tuple[tuple[str, float], ...]


@attrs.frozen(kw_only=True)
class Question:
    """What a `NoWorse` asks, as far as a comparison needs it; see there. ``up`` and ``down`` say
    which direction is harm; both may be.
    """

    than: str
    up: bool
    down: bool
    margin: float = 1.0
    dispersion: float = 1.0
    exact: bool = False
    blocks: bool = False
    unit: str = ""


class Comparison(Protocol):
    """One way to compare. It is pure, and its memory does not grow with the number of looks."""

    def fits(self, candidate: Measurement, control: Measurement) -> str | None:
        """Why it can't compare these two, of which both have a sample; None if it can."""
        ...

    def learn(
        self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float
    ) -> Memory:
        """The memory after one more look that fits; ``memory`` is None before the first."""
        ...

    def evidence(self, memory: Memory, alpha: float) -> float:
        """The evidence of harm in nats: it ever reaches ``log(1 / alpha)`` with a probability of at
        most ``alpha`` if there is none.
        """
        ...

    def lacks(self, memory: Memory) -> str:
        """Why nothing can be judged yet; empty if something can."""
        ...

    def summarize(
        self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float
    ) -> tuple[str, Numbers]:
        """What all looks show, for a person and for programs; the measurements are the last
        look's.
        """
        ...


class Acceptance(Protocol):
    """One way to exclude a candidate that is ``limit`` times as bad. It is pure, and its memory
    does not grow with the number of looks.
    """

    def fits(self, candidate: Measurement, control: Measurement) -> str | None:
        """Why these two, which can be compared, can't prove it; None if they can."""
        ...

    def learn(self, memory: Memory, candidate: Measurement, control: Measurement) -> Memory:
        """The memory after one more look that fits; ``memory`` is None before the first."""
        ...

    def evidence(self, memory: Memory) -> float:
        """The evidence in nats: it ever reaches ``log(1 / beta)`` with a probability of at most
        ``beta`` if the candidate is so bad.
        """
        ...

    def needed(
        self, memory: Memory, nats: float, candidate: Measurement, control: Measurement
    ) -> float:
        """How many more, in the mean and split as those of the last look, bring the evidence to
        ``nats`` if the candidate is as good.
        """
        ...


@attrs.frozen
class Accepted:
    """Not ``limit`` times as bad towards one side: ``up`` or down."""

    question: Question
    limit: float
    up: bool

    def fits(self, candidate: Measurement, control: Measurement) -> str | None:
        return None


@attrs.frozen
class BothAccepted:
    """Harm is to be excluded on both sides, so the evidence is the lesser of the two."""

    up: Acceptance
    down: Acceptance

    def fits(self, candidate: Measurement, control: Measurement) -> str | None:
        return self.up.fits(candidate, control) or self.down.fits(candidate, control)

    def learn(self, memory: Memory, candidate: Measurement, control: Measurement) -> Memory:
        up, down = cast("tuple[Memory, Memory]", memory or (None, None))
        return self.up.learn(up, candidate, control), self.down.learn(down, candidate, control)

    def evidence(self, memory: Memory) -> float:
        up, down = cast("tuple[Memory, Memory]", memory)
        return min(self.up.evidence(up), self.down.evidence(down))

    def needed(
        self, memory: Memory, nats: float, candidate: Measurement, control: Measurement
    ) -> float:
        up, down = cast("tuple[Memory, Memory]", memory)
        return max(
            self.up.needed(up, nats, candidate, control),
            self.down.needed(down, nats, candidate, control),
        )


NO_EVENTS: Final = "no events on either side"


class Beside(TypedDict):
    """Two tracks' counts, as `progressive.stats` takes them."""

    events: int
    trials: int
    control_events: int
    control_trials: int


def beside(worse: Counts, other: Counts) -> Beside:
    """The counts of the track that would be the worse one, and of the other."""
    return Beside(
        events=worse.events,
        trials=worse.trials,
        control_events=other.events,
        control_trials=other.trials,
    )


def counts_misfit(candidate: Measurement, control: Measurement) -> str | None:
    """Why these are no counts; None if they are."""
    return (
        None
        if isinstance(candidate, Counts) and isinstance(control, Counts)
        else "a ratio is compared by counts"
    )


def look_at(candidate: Measurement, control: Measurement) -> Numbers:
    """What the last look has counted, or the means of its values."""
    if isinstance(candidate, Counts) and isinstance(control, Counts):
        return (
            ("candidate_events", float(candidate.events)),
            ("candidate_trials", float(candidate.trials)),
            ("control_events", float(control.events)),
            ("control_trials", float(control.trials)),
        )
    one, other = cast(Moments, candidate), cast(Moments, control)
    return (
        ("candidate_mean", one.mean),
        ("candidate_sample", float(one.n)),
        ("control_mean", other.mean),
        ("control_sample", float(other.n)),
    )


def amount(value: float) -> str:
    """Three digits, or all of them before the point: 0.0123, 14.4, 12,345."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def bounded(estimate: float, low: float, high: float) -> Numbers:
    return (("ratio", estimate), ("ratio_low", low), ("ratio_high", high))


def counted(events: float, what: str) -> str:
    """One event, 36 events."""
    return f"{events:,.0f} {what}{'' if events == 1 else 's'}"


def times(estimate: float, low: float, high: float, than: str) -> str:
    """A ratio of rates as people say it: "1.3 times stable's rate (0.5 to 2.1)"."""
    bounds = f"{low:.2g} to {high:.2g}" if isfinite(high) else f"{low:.2g} or more"
    if isinf(estimate):
        return f"none on {than} ({bounds} times its rate)"
    return f"{estimate:.2g} times {than}'s rate ({bounds})"


_HALVES: Final = (log(0.5), log(0.5))


def averaged_evidence(one: float, other: float) -> float:
    """Half of the weight for each: the average of two pieces of evidence, in nats, is evidence,
    whatever the dependence between the two.
    """
    return averaged((one, other), _HALVES)


def evidence_of(question: Question, *, rise: float, fall: float) -> float:
    """The evidence of harm, of that of a rise and that of a fall."""
    if question.up and question.down:
        return averaged_evidence(rise, fall)
    return rise if question.up else fall


def towards(tolerated: float, control: float, *, up: bool) -> float:
    """What is tolerated, as a multiple of the control's value: towards harm, also where that is
    below 0.
    """
    return tolerated if up is (control >= 0) else 1 / tolerated
