"""What every check does with the metric and the track that it was given."""

from __future__ import annotations

from typing import Any

from .. import _validators as check
from ..measurement import Metric
from ..traffic import Track

__all__ = ["is_metric", "track_of"]


def is_metric(_: object, __: object, value: Any) -> None:
    """A validator: a `Metric`, not its name."""
    check.a(Metric, value, "check.metric", "Metric({}, kind='ratio')")


def track_of(value: Track | str) -> Track:
    """A converter: a track, or its name."""
    return check.chosen(Track, value)
