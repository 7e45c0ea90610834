"""A shop whose orders are counted: its metrics, its database, and how a provider is asked."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from progressive.errors import MetricsError
from progressive.model.measurement import Look, Measurement, Metric, Window
from progressive.model.release import Release, Version
from progressive.model.traffic import Track

RATIO = Metric("failed-orders", kind="ratio")
MEAN = Metric("basket", kind="mean", unit="EUR")
VALUE = Metric("queue", kind="value")
SPREAD = Metric("delivery", kind="latency")


RELEASE = Release(
    service="shop",
    stable=Version("v1", backend="shop-1"),
    candidate=Version("v2", backend="shop-2"),
)
BOTH = (Track.STABLE, Track.CANDIDATE)
START = datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(seconds=60))
CANARY = "s3cr3t-canary"
COLOURS = ("measure", "ameasure")


INSIDE = "version = :version and at >= :start and at < :end"


def look(
    provider: Any,
    metric: Metric,
    *,
    colour: str = "measure",
    release: Release = RELEASE,
    tracks: Sequence[Track] = BOTH,
) -> Look:
    if colour == "measure":
        found: Look = provider.measure(release, metric, tracks, WINDOW, None)
    else:
        found = asyncio.run(provider.ameasure(release, metric, tracks, WINDOW, None))
    return found


def failing(provider: Any, metric: Metric, colour: str = "measure") -> MetricsError:
    with pytest.raises(MetricsError) as caught:
        look(provider, metric, colour=colour)
    assert caught.value.__cause__ is None and caught.value.__context__ is None
    return caught.value


def candidate(provider: Any, metric: Metric, colour: str = "measure") -> Measurement:
    return look(provider, metric, colour=colour).of(Track.CANDIDATE)


def says(found: Measurement, expected: Measurement | tuple[type, str]) -> bool:
    """Is it that measurement, or one that says why there is none in these words?"""
    if not isinstance(expected, tuple):
        return found == expected

    return (
        isinstance(found, expected[0])
        and re.search(expected[1], str(getattr(found, "why", ""))) is not None
    )


def database(folder: Path, *statements: str) -> Callable[[], sqlite3.Connection]:
    """A new SQLite database, as a function that opens connections to it."""
    path = folder / "shop.db"
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()

    def opened() -> sqlite3.Connection:
        connection = sqlite3.connect(path, factory=Closing)
        connection.execute("pragma synchronous = off")
        return connection

    return opened


class Closing(sqlite3.Connection):
    """A connection that counts how many of its kind are open; ``with`` closes it."""

    open = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        Closing.open += 1

    def close(self) -> None:
        Closing.open -= 1
        super().close()

    def __exit__(self, *_: object) -> Any:
        self.close()


COUNT = "select count(*) filter (where state = 'failed'), count(*) from orders where "


async def slowly(release: Release, version: Version, window: Window) -> tuple[int, int]:
    await asyncio.sleep(0)
    return {"v1": (1, 10), "v2": (2, 20)}[version.identity]
