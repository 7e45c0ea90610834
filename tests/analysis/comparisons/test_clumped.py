"""A comparison says where its requests are not independent, and judges as before."""

from __future__ import annotations

import pytest
from tests.support.checks import ERRORS, FAIL, LATENCY, PASS, counts, look, times

from progressive import Metric, NoWorse, StrategyError
from progressive.analysis import Judgement
from progressive.model import Look
from progressive.model.actions import Memory

LOW = (0.1, 0.2, 0.4)
"""Edges, in seconds."""

CALM, STALLED = times(800, 900, 990, 1_000, edges=LOW), times(400, 500, 700, 1_000, edges=LOW)


def alternating(*, stalls: bool) -> list[Look]:
    """Looks at two versions of which now one and now the other has a bad time, or neither."""
    return [
        look(STALLED if stalls and i % 4 == 1 else CALM, STALLED if stalls and i % 4 == 3 else CALM)
        for i in range(16)
    ]


def judged(check: NoWorse, looks: list[Look]) -> tuple[Judgement, Memory]:
    memory: Memory = None
    for each in looks:
        judgement, memory = check.judge(each, memory, 0.01)
    return judgement, memory


def numbers(judgement: Judgement) -> dict[str, float]:
    return dict(judgement.numbers)


def test_stalls_of_each_version_are_said() -> None:
    judgement, _ = judged(NoWorse(LATENCY), alternating(stalls=True))

    found = numbers(judgement)["dispersion_seen"]
    assert found > 100
    assert judgement.why.endswith(
        f"; stable alone varies {found:,.0f} times as much as by chance: see blocks=, dispersion="
    )


def test_nothing_is_said_of_versions_that_are_alike() -> None:
    judgement, _ = judged(NoWorse(LATENCY), alternating(stalls=False))

    assert "dispersion_seen" not in numbers(judgement)
    assert "by chance" not in judgement.why


def test_errors_in_clumps_are_said_and_the_number_is_the_mend() -> None:
    looks = [
        look(counts(9 + 40 * (i % 3 == 1), 900), counts(9 + 40 * (i % 3 == 2), 900))
        for i in range(20)
    ]
    judgement, _ = judged(NoWorse(ERRORS), looks)
    mended, _ = judged(NoWorse(ERRORS, dispersion=numbers(judgement)["dispersion_seen"]), looks)

    assert numbers(judgement)["dispersion_seen"] > 10
    assert "dispersion_seen" not in numbers(mended), "this is known, then"


@pytest.mark.parametrize("metric", [ERRORS, LATENCY])
@pytest.mark.parametrize("accept", [None, 4.0])
def test_what_is_said_changes_no_verdict(metric: Metric, accept: float | None) -> None:
    looks = alternating(stalls=True)
    if metric == ERRORS:
        looks = [look(counts(9 + i % 5 * 20, 900), counts(9 + i % 3 * 20, 900)) for i in range(16)]
    silent: Memory = None
    said: Memory = None
    known = NoWorse(metric, accept=accept, raises=False, dispersion=1.0)
    unknown = NoWorse(metric, accept=accept, raises=False)
    for each in looks:
        one, silent = known.judge(each, silent, 0.01)
        other, said = unknown.judge(each, said, 0.01)

        assert other.verdict is one.verdict
        assert other.why.startswith(one.why)
        assert tuple(n for n in other.numbers if n[0] != "dispersion_seen") == one.numbers
    assert "dispersion_seen" in numbers(other)


def test_a_bad_time_that_both_have_is_not_said() -> None:
    looks = [look(each, each) for each in (CALM, STALLED) * 10]
    judgement, _ = judged(NoWorse(LATENCY), looks)

    assert judgement.verdict is PASS
    assert "by chance" not in judgement.why


def test_bad_times_of_the_candidate_alone_are_not_said() -> None:
    """Else a version that is worse now and then would excuse itself."""
    looks = [look(each, CALM) for each in (CALM, STALLED) * 10]
    judgement, _ = judged(NoWorse(LATENCY), looks)

    assert judgement.verdict is FAIL
    assert "by chance" not in judgement.why


def test_another_edge_begins_anew() -> None:
    """The one of before is gone."""
    other = (0.15, 0.3)
    check = NoWorse(LATENCY)
    judgement, memory = judged(check, alternating(stalls=True))
    assert "by chance" in judgement.why

    calm = times(800, 950, 1_000, edges=other)
    judgement, _ = check.judge(look(calm, calm), memory, 0.01)
    assert "by chance" not in judgement.why


@pytest.mark.parametrize(
    "check",
    [
        NoWorse(LATENCY, blocks=True),
        NoWorse(LATENCY, dispersion=1.0),
        NoWorse(Metric("basket", kind="mean", bad="down")),
        NoWorse(Metric("queue", kind="value")),
    ],
)
def test_others_do_not_look_for_clumps(check: NoWorse) -> None:
    assert not check._looks_for_clumps


@pytest.mark.parametrize("wrong", [0.5, float("nan"), "3", True])
def test_a_dispersion_is_a_number_of_one_or_more(wrong: object) -> None:
    with pytest.raises(StrategyError, match="is how many events come at a time"):
        NoWorse(ERRORS, dispersion=wrong)  # type: ignore[arg-type]
