"""Validate and describe the parameters that several checks share: metric, track, margin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeGuard

from progressive.model import fields
from progressive.model.measurement import Gauge, Measurement, Metric, NoAnswer, NoData
from progressive.model.traffic import Track

__all__ = [
    "MOST_MARGIN",
    "Comparing",
    "Unweighted",
    "comparing_problems",
    "is_metric",
    "is_number",
    "margin_problems",
    "no_data_on",
    "samples_of",
    "track_of",
]


MOST_MARGIN: Final = 1000.0
"""A larger margin tolerates everything."""


class Comparing:
    """A check that compares the candidate with one other track, ``than``, and requires both."""

    __slots__ = ()
    than: Track

    @property
    def required_tracks(self) -> tuple[Track, ...]:
        return (Track.CANDIDATE, self.than)

    @property
    def measured_tracks(self) -> tuple[Track, ...]:
        return self.required_tracks


class Unweighted:
    """A check that takes no part of the plan's alpha: its false-alarm rate has no bound, or one of
    its own.
    """

    __slots__ = ()

    @property
    def share_of_alpha(self) -> float:
        return 0.0


def comparing_problems(than: Track) -> Iterator[str]:
    """Yield why the candidate can't be compared with this track, if it can't."""
    if than is Track.CANDIDATE:
        yield "than=candidate: compare it with stable or baseline"


def margin_problems(margin: object) -> Iterator[str]:
    """Yield why this is not a valid margin, if it is not."""
    if not is_number(margin) or not 1 <= margin <= MOST_MARGIN:
        yield (
            f"margin={fields.brief(margin)} is the ratio still tolerated, from 1.0 to "
            f"{MOST_MARGIN:g}"
        )


def no_data_on(track: Track, measured: Measurement, nothing: str) -> str:
    """Return the reason to report for a track without data: the system's own, or ``nothing``."""
    return (
        f"no data on {track.value}: "
        f"{measured.why if isinstance(measured, NoData | NoAnswer) else nothing}"
    )


def is_metric(_: object, __: object, value: Any) -> None:
    """A validator: a `Metric`, not the name of one."""
    fields.a(Metric, value, "check.metric", "Metric({}, kind='ratio')")


def is_number(value: object) -> TypeGuard[float]:
    """Return whether this is a finite number; a bool is not one."""
    return fields.is_finite(value)


def samples_of(measured: Measurement) -> tuple[float, ...]:
    """Return the samples of a gauge; of any other measurement, none."""
    return measured.samples if isinstance(measured, Gauge) else ()


def track_of(value: Track | str) -> Track:
    """A converter: a track, or its name."""
    return fields.chosen(Track, value)
