"""Harm that begins with a raise: when the candidate is back at 0 %, and how many requests failed by
then; ours as it is, in virtual time, beside the rules of Argo Rollouts and Flagger.

Four weights, fifty requests a second, one in two hundred fails; from one of the raises on one in
five does. The metrics system has a sample each second, which can be asked for two seconds later.
The peers ask it for ``increase()`` over ten seconds, at their interval, and act at once: so they
are a little faster here than where they were run (harm to weight 0 at 10 %, looks each 5 s: 7.6 s
in the median of 25 by Argo Rollouts 1.9.1 on a real Prometheus). A counter that appears shows no
increase with its first sample, as Prometheus has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Final

import numpy as np

from progressive import Canary, Limit, Metric, NoWorse, percent, percents, seconds
from progressive.testing import Above, Behaviour, World, simulate

WEIGHTS: Final = (1, 10, 50, 100)
BAKE: Final = 10.0
RPS, USUAL, BAD = 50.0, 0.005, 0.2
WINDOW, LAG = 10.0, 2.0
BOUND: Final = 0.01


@dataclass(frozen=True)
class Outcome:
    """``seconds`` from the raise with which harm began until the candidate has no traffic, and the
    requests that failed by then; both infinite if it stays.
    """

    seconds: float
    harmed: float


GONE: Final = Outcome(float("inf"), float("inf"))


def _harmed(weights: list[tuple[float, float]], end: float) -> float:
    """The failed requests to be expected until ``end``, of shares that each begin at a time."""
    ends = [*(begin for begin, _ in weights[1:]), end]
    return sum(
        max(0.0, min(until, end) - begin) * share * RPS * BAD
        for (begin, share), until in zip(weights, ends, strict=True)
    )


# --------------------------------------------------------------------------------------------- ours


def strategy(early: bool, resolution: float | None) -> Canary:
    """A comparison and a tested bound, behind the same metrics system."""
    errors = Metric(
        "error-rate",
        kind="ratio",
        lag=seconds(LAG),
        resolution=None if resolution is None else seconds(resolution),
    )
    return Canary(
        weights=percents(*WEIGHTS),
        bake=seconds(BAKE),
        checks=[NoWorse(errors), Limit(errors, at_most=percent(BOUND * 100))],
        early=early,
    )


def ours(canary: Canary, turn: int | None, seed: int) -> Outcome | None:
    """One rollout; ``turn`` is the index of the weight at which harm begins, None for never. None
    if it was over before, or was promoted without harm.
    """
    rate = (
        USUAL if turn is None else Above(percent(WEIGHTS[turn - 1] if turn else 0.0001), USUAL, BAD)
    )
    world = World(load=RPS, stable=Behaviour(errors=USUAL), candidate=Behaviour(errors=rate))
    story = simulate(canary, world, seed=seed)
    if turn is None:
        return GONE if story.rolled_back else None
    since = [at for at, traffic in story.weights if traffic.candidate >= percent(WEIGHTS[turn])]
    if not since:
        return None
    if not story.rolled_back:
        return GONE
    shares = [
        ((at - since[0]) / timedelta(seconds=1), traffic.candidate.fraction)
        for at, traffic in story.weights
        if at >= since[0]
    ]
    end = shares[-1][0]
    return Outcome(end, _harmed(shares, end))


# -------------------------------------------------------------------------------------------- peers


class Counted:
    """The candidate's requests and failures of a rollout, from ``begin`` (before the raise at 0)
    on.
    """

    def __init__(
        self, rng: np.random.Generator, shares: list[tuple[float, float]], end: float, bad: bool
    ) -> None:
        arrivals, failed = [], []
        for (begin, share), (until, _) in pairwise([*shares, (end, 0.0)]):
            n = rng.poisson(max(0.0, until - begin) * share * RPS)
            at = rng.uniform(begin, until, n)
            arrivals.append(at)
            failed.append(rng.random(n) < np.where(at >= 0 if bad else at > end, BAD, USUAL))
        self.at = np.concatenate(arrivals)
        order = self.at.argsort()
        self.at, self.failed = self.at[order], self.at[order][np.concatenate(failed)[order]]
        self.phase = float(rng.uniform(0, 1))

    def _increase(self, times: np.ndarray, now: float) -> float | None:
        """By the samples of the last ten seconds; None for a counter that has fewer than two."""
        newest = np.floor(now - LAG - self.phase) + self.phase
        samples = np.arange(newest - np.floor(WINDOW) + 1, newest + 0.5)
        counts = np.searchsorted(times, samples, side="right")
        there = counts > 0  # it appears with its first event
        return float(counts[there][-1] - counts[there][0]) if there.sum() > 1 else None

    def bad_at(self, now: float) -> bool:
        """Whether the rate of the window is above the bound; no data is no failure."""
        every, failed = self._increase(self.at, now), self._increase(self.failed, now)
        return bool(every) and failed is not None and failed / every > BOUND


def peer(rng: np.random.Generator, interval: float, turn: int | None) -> Outcome | None:
    """Argo Rollouts' background analysis, no failure allowed; it looks at no fixed time after a
    raise. Flagger's, if the interval is that of the steps: it raises when it has looked.
    """
    at = 0 if turn is None else turn
    shares = [((i - at) * BAKE, weight / 100) for i, weight in enumerate(WEIGHTS)]
    begin, end = shares[0][0], shares[-1][0] + BAKE
    counted = Counted(rng, shares, end, bad=turn is not None)
    first = begin + (BAKE if interval >= BAKE else float(rng.uniform(0, interval)))
    for now in np.arange(first, end + 1e-9, interval):
        if counted.bad_at(float(now)):
            if turn is None:
                return GONE
            if now < 0:
                return None
            after = [(start, share) for start, share in shares if start >= 0]
            return Outcome(float(now), _harmed(after, float(now)))
    return None if turn is None else GONE


def table(played: int, seed: int) -> dict[str, tuple[list[list[Outcome]], float]]:
    """For each rule: its outcomes for each of the four raises with which harm begins, and how often
    a healthy version went back.
    """
    rules = {
        "ours, new numbers each second": strategy(True, 1),
        "ours, the default": strategy(True, None),
        "ours, early=False": strategy(False, None),
    }
    found: dict[str, tuple[list[list[Outcome]], float]] = {}
    for name, canary in rules.items():
        outcomes = [
            [
                outcome
                for i in range(played)
                if (outcome := ours(canary, turn, seed + i)) is not None
            ]
            for turn in range(len(WEIGHTS))
        ]
        healthy = [ours(canary, None, seed + i) for i in range(played)]
        found[name] = outcomes, sum(each is not None for each in healthy) / played
    rng = np.random.default_rng(seed)
    for name, interval in (
        ("Argo Rollouts, each second", 1.0),
        ("Argo Rollouts, each 5 s", 5.0),
        ("Flagger, each 10 s", 10.0),
    ):
        outcomes = [
            [
                outcome
                for _ in range(10 * played)
                if (outcome := peer(rng, interval, turn)) is not None
            ]
            for turn in range(len(WEIGHTS))
        ]
        healthy = [peer(rng, interval, None) for _ in range(10 * played)]
        found[name] = outcomes, sum(each is not None for each in healthy) / (10 * played)
    return found
