"""The rules that are compared: each tells at which look of each rollout it alarms (-1: never)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

from progressive.stats import betting as clumps
from progressive.stats import exact, increase, sequential

from . import peers
from .traffic import LOOK_SECONDS, Traffic

ALPHA: Final = 0.05
PER_MINUTE: Final = 60 // LOOK_SECONDS

Looks = NDArray[np.int64]
Rule = Callable[[Traffic], Looks]


def first(alarms: NDArray[np.bool_], looks: int = 1) -> Looks:
    """The look (of ten seconds) with which the first true column ends; -1 where none is true."""
    found = alarms.argmax(axis=1)
    return np.where(alarms.any(axis=1), (found + 1) * looks - 1, -1)


# --------------------------------------------------------------------------------------------- ours

_PRIOR = np.exp(np.array(sequential.LOG_PRIOR))


def increments(traffic: Traffic, ratio: float) -> NDArray[np.float64]:
    """What each look says for ``ratio`` times the rate, by the shares as they were measured."""
    every = traffic.candidate_errors + traffic.stable_errors
    with np.errstate(invalid="ignore"):
        share = traffic.candidate / (traffic.candidate + traffic.stable)
    judged = (traffic.candidate > 0) & (traffic.stable > 0)
    found = traffic.candidate_errors * math.log(ratio) - every * np.log1p(
        (ratio - 1) * np.where(judged, share, 0.0)
    )
    return np.where(judged, found, 0.0)


def mixture(traffic: Traffic, alpha: float = ALPHA, dispersion: float = 1.0) -> Looks:
    """``NoWorse(small=False)``: the evidence of `progressive.stats.sequential`, all rollouts at
    once.
    """
    evidence = np.logaddexp.reduce(
        [
            increments(traffic, ratio).cumsum(axis=1) / dispersion + math.log(v)
            for ratio, v in zip(sequential.RATIOS, _PRIOR, strict=True)
        ]
    )
    return first(evidence >= math.log(1 / alpha))


def mixture_by_the_library(traffic: Traffic, row: int, alpha: float = ALPHA) -> int:
    """The same for one rollout, by the library itself; `mixture` is held against it in every
    run.
    """
    logs = sequential.INITIAL
    for look in range(traffic.candidate.shape[1]):
        trials, control_trials = int(traffic.candidate[row, look]), int(traffic.stable[row, look])
        if not (trials and control_trials):
            continue
        logs = sequential.update(
            logs,
            events=int(traffic.candidate_errors[row, look]),
            trials=trials,
            control_events=int(traffic.stable_errors[row, look]),
            control_trials=control_trials,
        )
        if sequential.evidence(logs) >= math.log(1 / alpha):
            return look
    return -1


def every_rise(traffic: Traffic, alpha: float = ALPHA) -> Looks:
    """`NoWorse` as it comes, by the library itself, one rollout after the other."""
    return np.array([_rise(traffic, row, alpha) for row in range(len(traffic.candidate))])


def _rise(traffic: Traffic, row: int, alpha: float) -> int:
    state = increase.RESERVED
    counts = (
        traffic.candidate_errors,
        traffic.candidate,
        traffic.stable_errors,
        traffic.stable,
    )
    for look, (events, trials, control_events, control_trials) in enumerate(
        zip(*(each[row].tolist() for each in counts), strict=True)
    ):
        if not (trials and control_trials):
            continue
        state = increase.update(
            state,
            events=events,
            trials=trials,
            control_events=control_events,
            control_trials=control_trials,
            alpha=alpha,
        )
        if increase.evidence(state, alpha=alpha) >= math.log(1 / alpha):
            return look
    return -1


def blocks(traffic: Traffic, alpha: float = ALPHA) -> Looks:
    """`NoWorse(blocks=True)`, a look a minute."""
    minutes = traffic.every(PER_MINUTE)
    every = minutes.candidate_errors + minutes.stable_errors
    with np.errstate(invalid="ignore"):
        fair = np.where(
            every > 0, every * minutes.candidate / (minutes.candidate + minutes.stable), 0.0
        )
    judged = (minutes.candidate > 0) & (minutes.stable > 0) & (every > 0)
    share = np.where(judged, fair / np.maximum(every, 1), 0.5)
    more = np.where(judged, minutes.candidate_errors / np.maximum(fair, 1e-300), 1.0) - 1
    odds = [
        *(eager * fair for eager in clumps.BY_EVENTS),
        *(eager * share for eager in clumps.BY_LOOK),
    ]
    logs = [
        np.where(judged, np.log1p(each / (1 + each) * more), 0.0).cumsum(axis=1) for each in odds
    ]
    return first(np.logaddexp.reduce(logs) - math.log(len(logs)) >= math.log(1 / alpha), PER_MINUTE)


def blocks_by_the_library(traffic: Traffic, row: int, alpha: float = ALPHA) -> int:
    """The same for one rollout, by the library itself; `blocks` is held against it in every run."""
    minutes, logs = traffic.every(PER_MINUTE), clumps.INITIAL
    for minute in range(minutes.candidate.shape[1]):
        counts = (
            minutes.candidate_errors,
            minutes.candidate,
            minutes.stable_errors,
            minutes.stable,
        )
        events, trials, control_events, control_trials = (int(each[row, minute]) for each in counts)
        if trials and control_trials:
            logs = clumps.update(
                logs,
                events=events,
                trials=trials,
                control_events=control_events,
                control_trials=control_trials,
            )
        if clumps.evidence(logs) >= math.log(1 / alpha):
            return (minute + 1) * PER_MINUTE - 1
    return -1


EXACT_PART: Final = 0.95
PLANNED: Final = 300.0


def _exact_look(
    state: exact.State, traffic: Traffic, row: int, look: int, alpha: float
) -> tuple[exact.State, bool]:
    """One look of one rollout by the exact test of the library."""
    trials, control_trials = int(traffic.candidate[row, look]), int(traffic.stable[row, look])
    if not (trials and control_trials):
        return state, False
    events = int(traffic.candidate_errors[row, look])
    every = events + int(traffic.stable_errors[row, look])
    return exact.update(
        state,
        events=events,
        expected=every * trials / (trials + control_trials),
        chances=exact.hypergeometric(every, trials, control_trials),
        allowed=lambda expected: EXACT_PART * alpha * exact.log_time(expected, PLANNED),
    )


def exactly(traffic: Traffic, alpha: float = ALPHA) -> Looks:
    """`NoWorse(exact=True)`: the exact test for the larger part of alpha, by the library itself,
    and the mixture for the rest.
    """
    behind = mixture(traffic, (1 - EXACT_PART) * alpha)
    found = []
    for row in range(traffic.candidate.shape[0]):
        state, alarmed = exact.INITIAL, -1
        end = behind[row] if behind[row] >= 0 else traffic.candidate.shape[1]
        for look in range(end):
            state, alarm = _exact_look(state, traffic, row, look, alpha)
            if alarm:
                alarmed = look
            if alarm or state[0] >= PLANNED:
                break
        found.append(alarmed if alarmed >= 0 else int(behind[row]))
    return np.array(found)


def exact_false_alarms(traffic: Traffic, alpha: float = ALPHA) -> float:
    """Its chance of a false alarm given how many events each look has in all, which is computed and
    not counted: the mean over rollouts.
    """
    found = []
    for row in range(traffic.candidate.shape[0]):
        state = exact.INITIAL
        for look in range(traffic.candidate.shape[1]):
            if state[0] < PLANNED:
                state, _ = _exact_look(state, traffic, row, look, alpha)
        found.append(state[1] + (1 - EXACT_PART) * alpha)
    return math.fsum(found) / len(found)


# ------------------------------------------------------------------------------------------ oracles


def wald(ratio: float) -> Rule:
    """Wald's sequential test, told the true ratio: what cannot be beaten, and cannot be had."""

    def alarms(traffic: Traffic) -> Looks:
        return first(increments(traffic, ratio).cumsum(axis=1) >= math.log(1 / ALPHA))

    return alarms


# -------------------------------------------------------------------------------------------- peers


def threshold(limit: float, failures: int) -> Rule:
    """A limit on the error rate of each minute, as Argo Rollouts and Flagger have it: more than
    ``failures`` minutes above it alarm.
    """

    def alarms(traffic: Traffic) -> Looks:
        minutes = traffic.every(PER_MINUTE)
        with np.errstate(invalid="ignore", divide="ignore"):
            above = minutes.candidate_errors / minutes.candidate > limit
        return first(above.cumsum(axis=1) > failures, PER_MINUTE)

    return alarms


def _sums(traffic: Traffic) -> tuple[NDArray[np.int64], ...]:
    return tuple(
        counts.cumsum(axis=1)
        for counts in (
            traffic.candidate,
            traffic.candidate_errors,
            traffic.stable,
            traffic.stable_errors,
        )
    )


def _pooled_z(traffic: Traffic) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The standardised difference of the rates over all looks so far, and its standard error; minus
    infinity while there is none.
    """
    n, events, m, control = _sums(traffic)
    with np.errstate(invalid="ignore", divide="ignore"):
        pooled = (events + control) / (n + m)
        error = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
        z = (events / n - control / m) / error
    return np.where(np.isfinite(z), z, -np.inf), error


def peeked(traffic: Traffic) -> Looks:
    """A z-test at 5 %, looked at each minute as if it were looked at once."""
    z, _ = _pooled_z(traffic.every(PER_MINUTE))
    return first(z > 1.6448536269514722, PER_MINUTE)


def normal_mixture(base: float) -> Rule:
    """The mixture SPRT on the normal approximation (Johari et al., 2017), two-sided, alarming on
    the harmful side; it is told the base rate.
    """

    def alarms(traffic: Traffic) -> Looks:
        z, error = _pooled_z(traffic)
        g = base**2 / (base**2 + np.where(np.isfinite(error), error, np.inf) ** 2)
        z = np.where(np.isfinite(z), z, 0.0)
        evidence = 0.5 * np.log1p(-np.minimum(g, 1 - 1e-12)) + 0.5 * g * z**2
        return first((evidence >= math.log(1 / ALPHA)) & (z > 0))

    return alarms


def multinomial(concentration: float) -> Rule:
    """Lindon and Malek (2022): a Dirichlet prior around the weight that was asked for; two-sided,
    alarming on the harmful side.
    """

    def alarms(traffic: Traffic) -> Looks:
        _, events, _, control = _sums(traffic)
        w, k = traffic.asked[0], concentration
        factor = betaln(k * w + events, k * (1 - w) + control) - betaln(k * w, k * (1 - w))
        factor -= events * math.log(w) + control * math.log(1 - w)
        return first((factor >= math.log(1 / ALPHA)) & (events > w * (events + control)))

    return alarms


def asymptotic(n_star: float = 5_000, *, relative: bool = True) -> Rule:
    """GrowthBook's sequential interval of the relative lift, over all looks so far; two-sided,
    alarming on the harmful side.
    """
    rho = peers.asymptotic_rho_squared(ALPHA, n_star)

    def alarms(traffic: Traffic) -> Looks:
        n, events, m, control = _sums(traffic)
        with np.errstate(invalid="ignore", divide="ignore"):
            difference, variance = peers.lift(events, n, control, m, relative=relative)
            grown = (n + m) * rho + 1
            reach = np.sqrt(variance * 2 * grown / (grown - 1) * np.log(np.sqrt(grown) / ALPHA))
        return first(difference - reach > 0)

    return alarms


def group_sequential(looks: int = 12) -> Rule:
    """A z-test at so many looks that were planned beforehand, with bounds by Lan and DeMets and
    Spotify's spending; one-sided.
    """
    bounds = np.array(peers.group_sequential([(k + 1) / looks for k in range(looks)], ALPHA))

    def alarms(traffic: Traffic) -> Looks:
        each = traffic.candidate.shape[1] // looks
        z, _ = _pooled_z(traffic.every(each))
        return first(z > bounds, each)

    return alarms
