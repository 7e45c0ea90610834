"""A look at whatever is given, as the tests of stored documents take it."""

from __future__ import annotations

from typing import Any

from tests.support.world import START

from progressive import Track, ms
from progressive.model import Look, Measurement, Window

WINDOW = Window(START, START + ms(1))


def look(*measured: Measurement, **more: Any) -> Look:
    return Look(
        metric="error-rate", window=WINDOW, tracks=tuple(zip(Track, measured, strict=False)), **more
    )
