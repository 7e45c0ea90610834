"""What one look costs, beside one test of SciPy in the same run."""

from __future__ import annotations

import random
from collections.abc import Callable

from figures import best
from scipy.stats import fisher_exact

from progressive import Metric, NoWorse, seconds
from progressive.model import Window
from progressive.model.measurement import Counts, Histogram, Look, Measurement, Moments
from progressive.model.traffic import Track
from progressive.testing import VirtualClock

NOW = VirtualClock().now
WINDOW = Window(NOW, NOW + seconds(10))


def look(metric: str, candidate: Measurement, stable: Measurement) -> Look:
    return Look(
        metric=metric, window=WINDOW, tracks={Track.CANDIDATE: candidate, Track.STABLE: stable}
    )


def table() -> list[tuple[str, float, float]]:
    """What is looked at, and seconds for a look after ten looks and after a thousand."""
    fine = tuple(0.005 * 1.2**k for k in range(40))
    cells = [random.Random(1).randint(0, 30) for _ in range(41)]
    cumulative = tuple(sum(cells[: i + 1]) for i in range(41))
    kinds: list[tuple[str, NoWorse, Look]] = [
        (
            "a ratio",
            NoWorse(Metric("errors", kind="ratio")),
            look("errors", Counts(events=1, trials=100), Counts(events=9, trials=900)),
        ),
        (
            "a ratio, accepting",
            NoWorse(Metric("errors", kind="ratio"), accept=2.0),
            look("errors", Counts(events=1, trials=100), Counts(events=9, trials=900)),
        ),
        (
            "a ratio, exact",
            NoWorse(Metric("errors", kind="ratio"), exact=True),
            look("errors", Counts(events=1, trials=100), Counts(events=9, trials=900)),
        ),
        (
            "a histogram of 40 buckets",
            NoWorse(Metric("latency", kind="latency")),
            look(
                "latency",
                Histogram(edges=fine, cumulative=cumulative),
                Histogram(edges=fine, cumulative=cumulative),
            ),
        ),
        (
            "a mean",
            NoWorse(Metric("basket", kind="mean")),
            look("basket", Moments(n=50, mean=9.0, m2=40.0), Moments(n=450, mean=9.1, m2=400.0)),
        ),
    ]
    return [(name, _after(check, one, 10), _after(check, one, 1_000)) for name, check, one in kinds]


def _after(check: NoWorse, one: Look, looks: int) -> float:
    memory = None
    for _ in range(looks):
        _, memory = check.judge(one, memory, 0.01)
    return _each(lambda: check.judge(one, memory, 0.01))


def scipy_test() -> float:
    """Seconds of one exact test of Fisher's by SciPy."""
    return _each(lambda: fisher_exact([[3, 97], [9, 891]], alternative="greater"))


def _each(work: Callable[[], object], times: int = 100) -> float:
    return best(lambda: [work() for _ in range(times)]) / times
