"""What comparisons of counts, and of sums, do alike."""

from __future__ import annotations

from typing import Final, TypedDict, cast

from progressive.model.measurement import Counts, Measurement, Moments

from .base import Numbers

__all__ = ["NO_EVENTS", "beside", "counts_misfit", "look_at"]

NO_EVENTS: Final = "no events on either side"


class Beside(TypedDict):
    """Two tracks' counts, as `progressive.stats` takes them."""

    events: int
    trials: int
    control_events: int
    control_trials: int


def beside(worse: Counts, other: Counts) -> Beside:
    """The counts of the track that would be the worse one, and of the other."""
    return Beside(events=worse.events, trials=worse.trials, control_events=other.events, control_trials=other.trials)


def counts_misfit(candidate: Measurement, control: Measurement) -> str | None:
    """Why these are no counts; None if they are."""
    return None if isinstance(candidate, Counts) and isinstance(control, Counts) else "a ratio is compared by counts"


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
