"""Samples of a level, ranked: what the check pools, what it says, on which side harm is."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.checks import FAIL, HIGH, LOW, NO_DATA, NOTHING, PASS, QUEUE, counts, level, look

from progressive import MannWhitney, Metric
from progressive.analysis import Verdict
from progressive.model.actions import Memory


def ranked(check: MannWhitney, own: list[float], other: list[float]) -> tuple[Any, Memory]:
    memory: Memory = None
    for a, b in zip(own, other, strict=True):
        judgement, memory = check.judge(look(level(a), level(b)), memory, 0.0)
    return judgement, memory


def test_samples_are_pooled_judged_and_forgotten() -> None:
    early, kept = ranked(MannWhitney(QUEUE), LOW[:29], LOW[:29])
    judgement, after = ranked(MannWhitney(QUEUE), LOW, LOW)

    assert (early.verdict, early.why) == (
        NO_DATA,
        "29 and 29 of the 30 samples that a verdict needs on each side",
    )
    assert len(kept[0]) == 29  # type: ignore[index,arg-type]
    assert (judgement.verdict, after) == (PASS, None)
    assert "no worse: +0 (" in judgement.why


@pytest.mark.parametrize(
    ("bad", "higher", "lower"), [("up", FAIL, PASS), ("down", PASS, FAIL), ("both", FAIL, FAIL)]
)
def test_the_bad_side_is_where_the_metric_says(bad: Any, higher: Verdict, lower: Verdict) -> None:
    check = MannWhitney(Metric("memory", kind="value", bad=bad, unit="MB"))
    worse, _ = ranked(check, HIGH, LOW)

    assert worse.verdict is higher
    assert ranked(check, LOW, HIGH)[0].verdict is lower
    assert "+6 MB (" in worse.why
    assert dict(worse.numbers)["above"] > 0.9


def test_the_margin_is_tolerated() -> None:
    check = MannWhitney(QUEUE, margin=1.5)
    base = [100 + value for value in LOW]

    assert ranked(check, [1.3 * value for value in base], base)[0].verdict is PASS
    worse, _ = ranked(check, [1.7 * value for value in base], base)
    assert worse.verdict is FAIL
    assert "from what a margin of 1.5 makes of stable's" in worse.why


@pytest.mark.parametrize("bad", ["up", "down", "both"])
@pytest.mark.parametrize("base", [-100.0, 100.0])
def test_equal_samples_never_fail_whatever_their_sign(bad: Any, base: float) -> None:
    samples = [base + value for value in LOW]

    assert (
        ranked(MannWhitney(Metric("height", kind="value", bad=bad), margin=1.1), samples, samples)[
            0
        ].verdict
        is PASS
    )


def test_samples_that_are_all_equal_are_no_worse() -> None:
    judgement, _ = ranked(MannWhitney(QUEUE), [3.0] * 30, [3.0] * 30)

    assert judgement.why == "no worse: all samples are equal, above it in 50 % of the pairs; p = 1"


def test_silence_is_no_verdict_and_loses_nothing() -> None:
    check = MannWhitney(QUEUE)
    _, kept = ranked(check, LOW[:5], LOW[:5])
    for candidate, why in (
        (NOTHING, "no data on candidate: no requests"),
        (counts(0, 0), "no data on candidate: no samples"),
    ):
        judgement, after = check.judge(look(candidate, level(1.0)), kept, 0.0)
        assert (judgement.verdict, judgement.why, judgement.starved) == (NO_DATA, why, True)
        assert after == (kept[0], (*kept[1], 1.0))  # type: ignore[index,misc]
