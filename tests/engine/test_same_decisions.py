"""A rollout decides what the bare statistics decide, look for look: nothing of the evidence is
lost, counted twice or mixed up.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest

from progressive import (
    Analysis,
    Canary,
    Limit,
    Metric,
    NoWorse,
    Track,
    minutes,
    ms,
    percent,
    percents,
    seconds,
)
from progressive.analysis.no_worse import ROUNDING
from progressive.model import Counts, Histogram, Moments, Window
from progressive.model.measurement import Measurement
from progressive.stats import betting as clumps
from progressive.stats import decrease as falls
from progressive.stats import histogram_tails as tails
from progressive.stats import increase, means
from progressive.steps import Analyze, Bake, SetWeight
from progressive.testing import Behaviour, Latency, Story, World, simulate
from progressive.testing.simulation import troubles

ERRORS = Metric("error-rate", kind="ratio")
ORDERS = Metric("orders", kind="ratio", bad="down")
LATENCY = Metric("latency", kind="latency")
BASKET = Metric("basket", kind="mean", bad="down")


def _ratio(state: Any, one: Measurement, other: Measurement) -> Any:
    assert isinstance(one, Counts)
    assert isinstance(other, Counts)
    return increase.update(
        state or increase.RESERVED,
        events=one.events,
        trials=one.trials,
        control_events=other.events,
        control_trials=other.trials,
        alpha=0.01,
    )


def _fall(state: Any, one: Measurement, other: Measurement) -> Any:
    assert isinstance(one, Counts)
    assert isinstance(other, Counts)
    return falls.update(
        state or falls.RESERVED,
        events=one.events,
        trials=one.trials,
        control_events=other.events,
        control_trials=other.trials,
    )


def _tail(state: Any, one: Measurement, other: Measurement) -> Any:
    assert isinstance(one, Histogram)
    assert isinstance(other, Histogram)
    return tails.update(
        state or tails.RESERVED, edges=one.edges, candidate=one.cumulative, control=other.cumulative
    )


def _mean(state: Any, one: Measurement, other: Measurement) -> Any:
    assert isinstance(one, Moments)
    assert isinstance(other, Moments)
    return means.update(
        state or means.INITIAL,
        n=one.n,
        mean=one.mean,
        m2=one.m2,
        control_n=other.n,
        control_mean=other.mean,
        control_m2=other.m2,
    )


BARE: dict[Metric, tuple[Any, Any]] = {
    ERRORS: (_ratio, lambda state: increase.evidence(state, alpha=0.01)),
    ORDERS: (_fall, falls.evidence),
    LATENCY: (_tail, tails.evidence),
    BASKET: (_mean, lambda state: means.evidence(state, up=False)),
}
AGAIN: dict[Metric, Any] = {
    ERRORS: increase.again,
    ORDERS: falls.again,
    LATENCY: tails.again,
    BASKET: lambda state: state,
}
USUAL: dict[str, Any] = {
    "errors": 0.01,
    "latency": Latency(ms(100), ms(600)),
    "ratios": {"orders": 0.1},
    "value": 30.0,
}
STABLE = Behaviour(**USUAL)
WORSE: dict[Metric, Behaviour] = {
    ERRORS: Behaviour(**USUAL | {"errors": 0.025}),
    ORDERS: Behaviour(**USUAL | {"ratios": {"orders": 0.07}}),
    LATENCY: Behaviour(**USUAL | {"latency": Latency(ms(130), ms(800))}),
    BASKET: Behaviour(**USUAL | {"value": 24.0}),
}


def told(metric: Metric, world: World, seed: int) -> Story:
    strategy = Canary(
        weights=percents(5, 20, 50, 100),
        bake=minutes(8),
        checks=[NoWorse(metric), Limit(ERRORS, plain=True, at_most=percent(50), id="always")],
        interval=seconds(30),
        alpha=0.01,
    )
    return simulate(strategy, world, seed=seed)


def bare(metric: Metric, story: Story) -> list[float]:
    """The evidence after each look that the rollout took of both tracks, by the statistics
    alone; but that of a mean begins again with each raise.
    """
    update, evidence = BARE[metric]
    state, found, weight = None, [], 0
    for look in story.looks:
        one, other = look.of(Track.CANDIDATE), look.of(Track.STABLE)
        if look.metric == metric.name and one.sample and other.sample:
            before, weight = weight, weight_in(story, look.window)
            if state is not None and weight > before:
                state = AGAIN[metric](state)
            state = update(state, one, other)
            worth = evidence(state)
            found.append(worth if abs(worth) >= ROUNDING else 0.0)
    return found


def weight_in(story: Story, window: Window) -> int:
    """The candidate's weight in a window, in millionths."""
    end = window.end - World().start
    return [traffic.candidate.ppm for at, traffic in story.weights if at < end][-1]


@pytest.mark.parametrize("metric", BARE, ids=str)
@pytest.mark.parametrize("bad", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_a_rollout_decides_as_the_bare_statistics_do(metric: Metric, bad: bool, seed: int) -> None:
    story = told(
        metric, World(load=60, stable=STABLE, candidate=WORSE[metric] if bad else STABLE), seed
    )
    expected = bare(metric, story)
    judged = [note for note in story.judgements if note.check == f"{metric.name}-no-worse"]
    evidence = [
        dict(note.numbers)["log_evidence"]
        for note in judged
        if "log_evidence" in dict(note.numbers)
    ]

    assert evidence == expected
    assert [note.verdict == "fail" for note in judged if "log_evidence" in dict(note.numbers)] == [
        found >= math.log(1 / 0.01) for found in expected
    ]
    assert story.rolled_back is any(found >= math.log(1 / 0.01) for found in expected)
    assert bad is story.rolled_back


@pytest.mark.parametrize(
    "trouble",
    [
        troubles.CountersReset(minutes(5)),
        troubles.MetricsDown(minutes(4), lasting=minutes(3)),
        troubles.AnswersTwice(),
        troubles.Lags(by=seconds(20)),
        troubles.SeriesMissing(minutes(6), lasting=minutes(2), track=Track.STABLE),
        troubles.RouterForgets(minutes(6)),
    ],
    ids=lambda trouble: type(trouble).__name__,
)
def test_troubles_on_the_way_change_which_looks_there_are_and_not_what_they_say(
    trouble: troubles.Trouble,
) -> None:
    story = told(
        ERRORS, World(load=60, stable=STABLE, candidate=WORSE[ERRORS], troubles=[trouble]), 1
    )
    judged = [
        dict(note.numbers) for note in story.judgements if note.check == "error-rate-no-worse"
    ]
    windows = [look.window for look in story.looks if look.of(Track.CANDIDATE).sample]

    assert [numbers["log_evidence"] for numbers in judged if "log_evidence" in numbers] == bare(
        ERRORS, story
    )
    assert all(one.end <= other.start for one, other in itertools.pairwise(windows)), (
        "no request is judged twice"
    )


@pytest.mark.parametrize(
    ("metric", "accept"), [(ERRORS, 2.0), (ORDERS, 1.5), (LATENCY, 2.0), (BASKET, 1.25)], ids=str
)
def test_a_good_version_is_promoted_early_where_the_evidence_is_in(
    metric: Metric, accept: float
) -> None:
    """A step that waits for proof ends with it, and not by the clock; the rollout is as safe."""
    proof = Analysis("proof", checks=[NoWorse(metric, accept=accept)], interval=seconds(30))
    floor = Analysis(
        "floor", checks=[Limit(ERRORS, plain=True, at_most=percent(50))], interval=seconds(30)
    )
    steps = [SetWeight(percent(10)), Analyze("proof"), SetWeight(percent(100)), Bake(minutes(5))]
    strategy = Canary(steps=steps, analyses=[proof, floor], guards=["proof", "floor"])
    good = simulate(strategy, World(load=100, stable=STABLE, candidate=STABLE))
    bad = simulate(strategy, World(load=100, stable=STABLE, candidate=WORSE[metric]))

    assert good.promoted
    assert seconds(30) < good.duration - minutes(5) < minutes(30)
    assert bad.rolled_back
    assert bad.highest == percent(10)


@pytest.mark.parametrize("bad", [False, True])
def test_in_blocks_a_rollout_decides_as_the_bare_bets_do(bad: bool) -> None:
    strategy = Canary(
        weights=percents(5, 20, 50, 100),
        bake=minutes(8),
        checks=[NoWorse(ERRORS, blocks=True), Limit(ERRORS, plain=True, at_most=percent(50))],
    )
    story = simulate(
        strategy, World(load=60, stable=STABLE, candidate=WORSE[ERRORS] if bad else STABLE), seed=2
    )
    logs, expected = clumps.INITIAL, []
    for look in story.looks:
        one, other = look.of(Track.CANDIDATE), look.of(Track.STABLE)
        if isinstance(one, Counts) and isinstance(other, Counts) and one.trials and other.trials:
            logs = clumps.update(
                logs,
                events=one.events,
                trials=one.trials,
                control_events=other.events,
                control_trials=other.trials,
            )
            expected.append(clumps.evidence(logs))
    judged = [
        dict(note.numbers) for note in story.judgements if note.check == "error-rate-no-worse"
    ]

    assert [numbers["log_evidence"] for numbers in judged if "log_evidence" in numbers] == expected
    assert story.rolled_back is bad
