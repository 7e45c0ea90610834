"""What every check does with the metric and the track that it was given."""

from __future__ import annotations

import math
from typing import Any

from .. import _validators as check
from ..measurement import Gauge, Measurement, Metric
from ..traffic import Track

__all__ = ["is_metric", "is_number", "samples_of", "track_of"]


def is_metric(_: object, __: object, value: Any) -> None:
    """A validator: a `Metric`, not its name."""
    check.a(Metric, value, "check.metric", "Metric({}, kind='ratio')")


def is_number(value: object) -> bool:
    """A finite number, and no bool."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def samples_of(measured: Measurement) -> tuple[float, ...]:
    """The samples of a level; none of anything else."""
    return measured.samples if isinstance(measured, Gauge) else ()


def track_of(value: Track | str) -> Track:
    """A converter: a track, or its name."""
    return check.chosen(Track, value)
