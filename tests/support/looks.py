"""One look at a ratio on both tracks."""

from __future__ import annotations

from tests.support.world import ERRORS, START

from progressive import Metric, seconds
from progressive.model import Look, Window
from progressive.model.traffic import Track

WINDOW = Window(START, START + seconds(30))


def look(candidate: object, stable: object, metric: Metric = ERRORS) -> Look:
    return Look(
        metric=metric.name,
        window=WINDOW,
        tracks=((Track.CANDIDATE, candidate), (Track.STABLE, stable)),
    )  # type: ignore[arg-type]
