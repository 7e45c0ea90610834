"""Versions that stall by themselves, which makes requests depend on each other: what is said, and
who sends good versions back.

Each version has a stall of four seconds in each half a minute, at a time of its own, in which all
of its requests take a second longer. Looks are of ten seconds.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from progressive import Metric, NoWorse
from progressive.model import Histogram, Look, Track, Window

from .latency import EDGES, MEDIAN, SIGMA

LATENCY: Final = Metric("latency", kind="latency")
LOOKS: Final = 120
SECONDS: Final = 10
STALL, EACH = 4.0, 30.0
REQUESTS: Final = 600
"""Requests of both versions in a look."""
ALPHA: Final = 0.01

START: Final = datetime(2026, 1, 1, tzinfo=UTC)


def stalled(rng: np.random.Generator) -> np.ndarray:
    """The part of each look in which a version stalls."""
    begins = np.arange(LOOKS * SECONDS / EACH) * EACH
    begins = begins + rng.random(len(begins)) * (EACH - STALL)
    starts = np.arange(LOOKS)[:, None] * SECONDS
    inside = np.minimum(starts + SECONDS, begins + STALL) - np.maximum(starts, begins)
    return np.maximum(inside, 0).sum(axis=1) / SECONDS


def histogram(rng: np.random.Generator, requests: int, slower: float, part: float) -> Histogram:
    """The requests of a version in one look."""
    times = MEDIAN * slower * np.exp(SIGMA * rng.standard_normal(requests))
    times[: rng.binomial(requests, part)] += 1.0
    counts = np.searchsorted(np.sort(times), EDGES, side="right").tolist()
    return Histogram(edges=EDGES, cumulative=(*counts, requests))


def looks(rng: np.random.Generator, share: float, slower: float) -> list[Look]:
    mine, theirs = stalled(rng), stalled(rng)
    own = round(REQUESTS * share)
    found = []
    for i in range(LOOKS):
        begins = START + timedelta(seconds=SECONDS * i)
        tracks = (
            (Track.CANDIDATE, histogram(rng, own, slower, mine[i])),
            (Track.STABLE, histogram(rng, REQUESTS - own, 1.0, theirs[i])),
        )
        window = Window(begins, begins + timedelta(seconds=SECONDS))
        found.append(Look(metric="latency", window=window, tracks=tracks))
    return found


def judged(check: NoWorse, some: list[Look]) -> tuple[bool, float]:
    """Whether it fails, and the dispersion that its last verdict names; NaN if it names none."""
    memory, failed, seen = None, False, math.nan
    for look in some:
        judgement, memory = check.judge(look, memory, ALPHA)
        failed = failed or judgement.verdict.value == "fail"
        seen = dict(judgement.numbers).get("dispersion_seen", math.nan)
    return failed, seen


def table(
    rng: np.random.Generator, rollouts: int
) -> list[tuple[str, float, float, dict[str, tuple[float, float]]]]:
    """For each share: how often the dispersion is said, its median, and for each check how often a
    good version fails, and one that is a quarter slower as well.
    """
    rows = []
    for name, share in (("50 %", 0.5), ("10 %", 0.1)):
        good = [looks(rng, share, 1.0) for _ in range(rollouts)]
        slow = [looks(rng, share, 1.25) for _ in range(rollouts)]
        said = [judged(NoWorse(LATENCY), some)[1] for some in good]
        median = float(np.nanmedian(said)) if not np.all(np.isnan(said)) else 1.0
        checks = {
            "as it is": NoWorse(LATENCY),
            "with that dispersion": NoWorse(LATENCY, dispersion=max(1.0, round(median))),
            "in blocks": NoWorse(LATENCY, blocks=True),
        }
        rows.append(
            (
                name,
                float(np.mean(~np.isnan(said))),
                median,
                {
                    rule: tuple(
                        float(np.mean([judged(check, some)[0] for some in those]))
                        for those in (good, slow)
                    )
                    for rule, check in checks.items()
                },
            )
        )
    return rows  # type: ignore[return-value]
