"""Canary against blue-green: who meets a bad version, for how long, and what the way costs. In
virtual time, by `progressive.testing`.

A service with 100 requests a second; the old version fails 1 in 1,000.
``python docs/examples/compare.py`` prints the table of the page "Canary or blue-green?".
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from progressive import (
    BlueGreen,
    Canary,
    Go,
    Limit,
    Metric,
    NoWorse,
    Outcome,
    Release,
    Stop,
    Version,
    minutes,
    percent,
    percents,
    seconds,
)
from progressive.model import Window
from progressive.model.measurement import Counts, Measurement, NoData
from progressive.model.traffic import Track
from progressive.testing import MemoryRouter, ScriptedMetrics, VirtualClock, play

RPS = 100
ERRORS = Metric("error-rate", kind="ratio")
RELEASE = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))
CHECKS = [NoWorse(ERRORS), Limit(ERRORS, at_most=percent(1))]

STRATEGIES = {
    "canary 1, 10, 50, 100": Canary(
        weights=percents(1, 10, 50, 100), bake=minutes(10), interval=seconds(30), checks=CHECKS
    ),
    "blue-green, no preview": BlueGreen(bake=minutes(10), interval=seconds(30), checks=[CHECKS[1]]),
    "blue-green, smoke test": BlueGreen(
        preview_hook="smoke", bake=minutes(10), interval=seconds(30), checks=[CHECKS[1]]
    ),
}

VERSIONS = {"good (0.1 %)": 0.001, "bad (2 %)": 0.02, "broken (50 %)": 0.5}
"""What the candidate fails of its requests. A smoke test of a few requests finds a broken one, and
not a bad one.
"""


class Story:
    """One rollout of one version, counted request by request."""

    def __init__(self, strategy: Any, rate: float) -> None:
        self.rate, self.router, self.clock = rate, MemoryRouter(), VirtualClock()
        self.exposed = 0.0
        self.began, self.last = self.clock(), self.clock()
        self.raised_at: datetime | None = None
        hooks = {"smoke": self._smoke}
        metrics = [ScriptedMetrics({ERRORS: self._measured})]
        self.outcome: Outcome = play(
            strategy,
            RELEASE,
            router=self.router,
            metrics=metrics,
            clock=self.clock,
            hooks=hooks,
            before_tick=self._count,
        )
        self._count(None)

    def _smoke(self, key: str, release: Release) -> Any:
        return Stop("1 of 2 requests failed") if self.rate >= 0.3 else Go()

    def _share(self) -> float:
        return self.router.traffic.candidate.fraction

    def _count(self, _: object) -> None:
        since, self.last = self.last, self.clock()
        self.exposed += RPS * (self.last - since).total_seconds() * self._share()
        if self._share() and self.raised_at is None:
            self.raised_at = since

    def _measured(self, track: Track, window: Window) -> Measurement:
        share = self._share() if track is Track.CANDIDATE else 1 - self._share()
        trials = round(RPS * window.length.total_seconds() * share)
        rate = self.rate if track is Track.CANDIDATE else 0.001
        return (
            Counts(events=round(trials * rate), trials=trials) if trials else NoData("no requests")
        )

    @property
    def harmed(self) -> float:
        """Requests that failed and would not have with the old version."""
        return self.exposed * max(0.0, self.rate - 0.001)

    def row(self) -> tuple[str, ...]:
        met = self.raised_at is not None and not self.outcome.promoted
        back = self.clock() - self.raised_at if met and self.raised_at is not None else None
        took = self.clock() - self.began
        end = "promoted" if self.outcome.promoted else "back"
        return (end, f"{self.exposed:,.0f}", f"{self.harmed:,.0f}", _said(back), _said(took))


def _said(duration: timedelta | None) -> str:
    if duration is None:
        return "-"
    minutes, seconds = divmod(round(duration.total_seconds()), 60)
    return f"{minutes}:{seconds:02}"


HEAD = ("strategy", "new version", "ends", "requests", "harmed", "exposed", "took")


def rows() -> list[tuple[str, ...]]:
    """The table."""
    return [
        (name, version, *Story(strategy, rate).row())
        for version, rate in VERSIONS.items()
        for name, strategy in STRATEGIES.items()
    ]


def main() -> None:
    """Print it."""
    table = [HEAD, *rows()]
    widths = [max(len(row[i]) for row in table) for i in range(len(HEAD))]
    for row in table:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


if __name__ == "__main__":
    main()
