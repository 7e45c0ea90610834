"""Levels, compared look by look."""

from __future__ import annotations

import pytest
from tests.support.checks import FAIL, PASS, QUEUE, level, look
from tests.support.comparisons import FREE, HEIGHT, judged

from progressive import Metric, NoWorse
from progressive.analysis import Verdict


@pytest.mark.parametrize(
    ("metric", "own", "other", "passes"),
    [
        (FREE, 0.0, 4.0, False),
        (FREE, 1.9, 4.0, False),
        (FREE, 2.2, 4.0, True),
        (FREE, 9.0, 4.0, True),
        (QUEUE, 8.0, 4.0, False),
        (QUEUE, 0.0, 0.0, True),
        (QUEUE, 0.1, 0.0, False),
        (QUEUE, -4.0, -4.0, True),
        (QUEUE, -1.9, -4.0, False),
        (HEIGHT, 1.9, 4.0, False),
        (HEIGHT, 8.1, 4.0, False),
        (HEIGHT, 5.0, 4.0, True),
    ],
)
def test_a_level_is_accepted_if_it_is_not_so_many_times_as_high_or_as_low(
    metric: Metric, own: float, other: float, passes: bool
) -> None:
    judgement, _ = judged(
        NoWorse(metric, margin=1.9, accept=2.0), look(level(own), level(other)), 10
    )

    assert (judgement.verdict is PASS) is passes


@pytest.mark.parametrize(
    ("metric", "margin", "own", "said"),
    [
        (HEIGHT, 1.0, 3.0, "below stable's in 12 of 12 looks"),
        (HEIGHT, 1.0, 5.0, "above stable's in 12 of 12 looks"),
        (QUEUE, 2.0, 9.0, "above 2 times stable's in 12 of 12 looks"),
        (FREE, 2.0, 1.0, "below 0.5 times stable's in 12 of 12 looks"),
    ],
)
def test_a_level_says_on_which_side_of_what_it_stands(
    metric: Metric, margin: float, own: float, said: str
) -> None:
    judgement, _ = judged(NoWorse(metric, margin=margin), look(level(own), level(4.0)), 12)

    assert judgement.verdict is FAIL
    assert said in judgement.why


@pytest.mark.parametrize(
    ("bad", "one", "other", "verdict"),
    [
        ("up", 200.1, 200.0, PASS),
        ("up", 209.0, 200.0, PASS),
        ("up", 211.0, 200.0, FAIL),
        ("down", 199.9, 200.0, PASS),
        ("down", 185.0, 200.0, FAIL),
        ("both", 195.0, 200.0, PASS),
        ("both", 160.0, 200.0, FAIL),
        ("up", 0.0, 0.0, PASS),
    ],
)
def test_two_instances_of_one_version_may_differ_a_little(
    bad: str, one: float, other: float, verdict: Verdict
) -> None:
    """By a twentieth, where no margin is given; an older rollout goes on without one."""
    metric = Metric("memory", kind="value", bad=bad, unit="MB")
    judgement, _ = judged(NoWorse(metric), look(level(one), level(other)), 40)
    strict, _ = judged(NoWorse(metric, margin=1.0), look(level(one), level(other)), 40)

    assert judgement.verdict is verdict
    assert strict.verdict is (PASS if one == other else FAIL)
    assert NoWorse(Metric("errors", kind="ratio")).margin == 1.0
