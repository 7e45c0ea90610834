"""Looked at after every event: how many errors of the candidate it takes, computed and not
simulated.

At a constant share each event is the candidate's with one chance, whatever the error rate is. A
rule that alarms from a certain number of them on, after each number of events in all, is then a
walk that is stopped at a boundary, and its distribution can be followed exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

from progressive.stats import acceptance, capping, exact, increase, sequential
from progressive.stats import planning as limits
from progressive.stats.evidence import reserved

from .rules import ALPHA

Boundary = NDArray[np.int64]
Rule = Callable[[float, int], Boundary]
"""For a share and a largest number of events: from how many of the candidate's on it alarms, after
0, 1, 2, … events in all.
"""

WEIGHTS: Final = (0.01, 0.05, 0.10, 0.50)
RATIOS: Final = (1.5, 2.0, 5.0, 20.0)
SMALL: Final = ((1.02, 0.5), (1.05, 0.5), (1.05, 0.1), (1.1, 0.5), (1.1, 0.1), (1.2, 0.1))
"""Rises that only the default finds, each with a weight."""
HORIZON: Final = 300
"""Expected errors of the candidate until which false alarms are counted."""


def _least(alarms: Callable[[int, int], bool], most: int) -> Boundary:
    """The boundary of a rule that alarms at more events of the candidate rather than at fewer, and
    at more events in all no sooner.
    """
    found, own = [], 0
    for every in range(most + 1):
        while not alarms(own, every):
            own += 1
        found.append(own)
    return np.array(found)


def without_small(share: float, most: int, alpha: float = ALPHA) -> Boundary:
    """``small=False``: by the library, whose evidence adds up over looks of one share."""
    needed = math.log(1 / alpha)
    return _least(
        lambda own, every: (
            sequential.evidence(
                sequential.update_by_share(
                    sequential.INITIAL, events=own, every=max(own, every), share=share
                )
            )
            >= needed
        ),
        most,
    )


def ours_exact(share: float, most: int) -> Boundary:
    """``exact=True``: the exact test up to 300 expected errors with the larger part of alpha, the
    mixture for the rest.
    """
    behind = without_small(share, most, 0.05 * ALPHA)
    state, found, chances = exact.INITIAL, [most + 1], exact.binomial(1, share)
    for _ in range(most):
        if state[0] < HORIZON:
            state, _ = exact.update(
                state,
                events=0,
                expected=share,
                chances=chances,
                allowed=lambda u: 0.95 * ALPHA * exact.log_time(u, HORIZON),
            )
            found.append(exact.boundary(state))
        else:
            found.append(most + 1)
    return np.minimum(np.array(found), behind)


def wald(ratio: float) -> Rule:
    """Told the true ratio."""

    def boundary(share: float, most: int) -> Boundary:
        each = math.log(ratio * share + 1 - share)
        return np.array(
            [
                math.ceil((math.log(1 / ALPHA) + every * each) / math.log(ratio) - 1e-12)
                for every in range(most + 1)
            ]
        )

    return boundary


def multinomial(concentration: float) -> Rule:
    """Lindon and Malek (2022)."""

    def boundary(share: float, most: int) -> Boundary:
        k, needed = concentration, math.log(1 / ALPHA)
        start = betaln(k * share, k * (1 - share))

        def alarms(own: int, every: int) -> bool:
            others = max(0, every - own)
            factor = betaln(k * share + own, k * (1 - share) + others) - start
            factor -= own * math.log(share) + others * math.log(1 - share)
            return bool(factor >= needed and own > share * every)

        return _least(alarms, most)

    return boundary


def normal_mixture(base: float, ratio: float) -> Rule:
    """The mixture SPRT on the normal approximation (Johari et al., 2017), two-sided, alarming on
    the harmful side, its prior as wide as the base rate, which it is told. The number of requests
    is what it is in the mean after so many events.
    """

    def boundary(share: float, most: int) -> Boundary:
        rate, needed = base * (ratio * share + 1 - share), math.log(1 / ALPHA)

        def alarms(own: int, every: int) -> bool:
            n = max(every, own, 1) / rate
            pooled = max(every, own, 1) / n
            error = math.sqrt(pooled * (1 - pooled) / (n * share * (1 - share)))
            z = (own / (n * share) - max(0, every - own) / (n * (1 - share))) / error
            g = base**2 / (base**2 + error**2)
            return bool(z > 0 and 0.5 * math.log1p(-g) + 0.5 * g * z * z >= needed)

        return _least(alarms, most)

    return boundary


def peeked(share: float, most: int) -> Boundary:
    """A z-test at 5 %, peeked at after every event."""
    found = [
        math.floor(every * share + 1.6448536 * math.sqrt(every * share * (1 - share))) + 1
        for every in range(most + 1)
    ]
    found[0] = 1
    return np.array(found)


def walk(boundary: Boundary, chance: float) -> tuple[float, float]:
    """The mean number of the candidate's errors when the rule alarms (or the events end), and the
    chance that it does.
    """
    alive = np.zeros(int(boundary[boundary < len(boundary)].max(initial=1)) + 2)
    alive[0], mean, alarmed = 1.0, 0.0, 0.0
    for every in range(1, len(boundary)):
        alive[1:] = alive[1:] * (1 - chance) + alive[:-1] * chance
        alive[0] *= 1 - chance
        stop = min(int(boundary[every]), len(alive))
        out = alive[stop:]
        if (gone := float(out.sum())) > 0:
            mean += float((out * np.arange(stop, len(alive))).sum())
            alarmed += gone
            out[:] = 0
        if alarmed > 1 - 1e-9:
            break
    return mean + (1 - alarmed) * chance * (len(boundary) - 1), alarmed


def capped(
    rng: np.random.Generator,
    share: float,
    ratio: float,
    *,
    rollouts: int,
    most: int,
    alpha: float = ALPHA,
) -> tuple[float, float]:
    """The default, whose way to a number of events matters, and which is therefore played: mean
    errors of the candidate until it alarms (or the events end), and how often it does. An event is
    a look; rises of less than a fiftieth are left out.
    """
    ratios = np.array((*sequential.RISES.ratios, 1.0))  # the last is what is held back
    down = 1 / (ratios * share + 1 - share)
    up, cap = ratios * down, 1 / (alpha * (1 - capping.SMALL))
    own_chance = own_part(share, ratio)
    capital = np.tile(np.exp(reserved(sequential.RISES.log_prior)), (rollouts, 1))
    errors, running = np.zeros(rollouts), np.arange(rollouts)
    for _ in range(most):
        now, more = capital.sum(axis=1), share * (capital @ up)
        factor = np.where(
            more >= share * cap, np.maximum(1, (now - share * cap) / (now - more)), 1.0
        )
        own = rng.random(len(running)) < own_chance
        capital *= np.where(own[:, None], up, down) * factor[:, None]
        errors[running] += own
        going_on = capital.sum(axis=1) < cap * (1 - 1e-12)
        capital, running = capital[going_on], running[going_on]
        if not len(running):
            break
    return float(errors.mean()), 1 - len(running) / rollouts


def capped_by_the_library(
    rng: np.random.Generator, share: float, ratio: float, *, most: int, alpha: float = ALPHA
) -> int:
    """The same for one rollout, by the library itself; `capped` is held against it in every run."""
    state, errors, requests = increase.RESERVED, 0, 10**9
    trials = round(requests * share)
    own_chance = own_part(share, ratio)
    for _ in range(most):
        own = int(rng.random(1)[0] < own_chance)
        errors += own
        state = increase.update(
            state,
            events=own,
            trials=trials,
            control_events=1 - own,
            control_trials=requests - trials,
            alpha=alpha,
        )
        if increase.evidence(state, alpha=alpha) >= math.log(1 / alpha):
            break
    return errors


def own_part(share: float, ratio: float) -> float:
    """The part of all events that the candidate has."""
    return ratio * share / (ratio * share + 1 - share)


def enough(share: float, ratio: float) -> int:
    """Events in all by which every rule worth comparing has found this ratio."""
    errors = {1.5: 700, 2.0: 300, 5.0: 120, 20.0: 80}[ratio]
    return int(errors * (ratio * share + 1 - share) / (ratio * share)) + 100


def errors_needed(rule: Rule, share: float, ratio: float) -> float:
    """Mean errors of the candidate until the rule alarms."""
    return walk(rule(share, enough(share, ratio)), own_part(share, ratio))[0]


def false_alarms(rule: Rule, share: float) -> float:
    """The chance of an alarm within the horizon where there is no difference."""
    return walk(rule(share, int(HORIZON / share)), share)[1]


def limit(share: float, ratio: float, base: float = 1e-3, alpha: float = ALPHA) -> float:
    """The fewest errors of the candidate that any test needs in the mean."""
    return (
        limits.requests_needed(math.log(1 / alpha), ratio * base, base, share)
        * share
        * ratio
        * base
    )


# --------------------------------------------------------------------------------------- acceptance


def accepting(share: float, bad: float, most: int, beta: float = 0.05) -> Boundary:
    """From how many of the candidate's events on it is *not* accepted, after so many in all."""
    needed = math.log(1 / beta)

    def accepted(own: int, every: int) -> bool:
        # One event of the candidate and one of stable per look would need no more than their sums.
        logs = acceptance.update(
            acceptance.INITIAL,
            events=own,
            trials=round(share * 10_000),
            control_events=every - own,
            control_trials=round((1 - share) * 10_000),
            limit=bad,
        )
        return acceptance.evidence(logs) >= needed

    found, own = [], 0
    for every in range(most + 1):
        while own <= every and accepted(own, every):
            own += 1
        found.append(own)
    return np.array(found)


def events_to_accept(share: float, truth: float, bad: float) -> tuple[float, float]:
    """Mean number of events in all until the candidate is accepted, and the fewest that any test
    needs.
    """
    own = truth * share / (truth * share + 1 - share)
    least = (
        limits.requests_needed(math.log(20), truth * 1e-4, 1e-4, share, null=bad)
        * 1e-4
        * (truth * share + 1 - share)
    )
    most = int(8 * least) + 300
    boundary = accepting(share, bad, most)
    alive, mean, accepted = np.zeros(most + 2), 0.0, 0.0
    alive[0] = 1.0
    for every in range(1, most + 1):
        alive[1:] = alive[1:] * (1 - own) + alive[:-1] * own
        alive[0] *= 1 - own
        gone = float(alive[: boundary[every]].sum())
        mean, accepted = mean + every * gone, accepted + gone
        alive[: boundary[every]] = 0
        if accepted > 1 - 1e-9:
            break
    return mean + (1 - accepted) * most, least
