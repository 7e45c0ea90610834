"""What a strategy says it will do."""

from __future__ import annotations

from tests.support.paths import DATA
from tests.support.world import ERRORS, canary

from progressive import (
    Action,
    Analysis,
    BlueGreen,
    Canary,
    Deadline,
    Limit,
    Metric,
    NoWorse,
    hours,
    minutes,
    ms,
    percent,
)
from progressive.steps import Analyze, Approval, Bake, Hook, Pause, SetWeight


def test_a_plan_says_what_it_will_do() -> None:
    analyses = [
        Analysis(
            "slow",
            checks=[Limit(Metric("latency", kind="latency"), quantile=0.99, at_most=ms(400))],
        )
    ]
    steps = [
        Hook("smoke"),
        SetWeight(percent(5)),
        Analyze("slow", count=3),
        Bake(minutes(10)),
        Approval("go", within=hours(4), otherwise=Action.HOLD),
        Pause(minutes(1), deadline=Deadline(within=minutes(2), then=Action.WAIT)),
        SetWeight(percent(100)),
        Bake(minutes(30)),
    ]
    strategy = Canary(
        steps=steps,
        analyses=analyses,
        checks=[Limit(ERRORS, at_most=percent(2)), NoWorse(ERRORS)],
        gates=["freeze"],
        retire_after=hours(1),
    )

    assert str(strategy.describe()) == DESCRIPTION
    assert repr(strategy.describe()) == DESCRIPTION


DESCRIPTION = (DATA / "description.txt").read_text("utf-8").rstrip("\n")


def test_a_plan_without_gates_and_retirement_says_so() -> None:
    said = str(BlueGreen(preview_hook="smoke", bake=minutes(1), unguarded="its hook").describe())

    assert said.splitlines()[0].endswith("; the old version stays")
    assert "before every raise" not in said


def test_the_latest_is_cut_at_the_whole_s_deadline() -> None:
    described = canary(bake=hours(5), deadline=Deadline(within=hours(11))).describe()

    assert described.latest == hours(11) + minutes(5)
    assert all(step.latest <= described.latest for step in described.steps)


def test_what_becomes_of_the_version_without_traffic_is_described() -> None:
    both = canary(retire_after=hours(2), remove_candidate_after=minutes(30)).describe()
    bad = canary(remove_candidate_after=minutes(30)).describe()
    neither = canary().describe()

    back = "; after a way back the candidate is removed after 30 min"
    assert both.then == f"the old version is removed after 2 h{back}"
    assert bad.then == f"the old version stays{back}"
    assert neither.then == "the old version stays"


def test_many_checks_are_called_by_numbers_so_that_lines_stay_short() -> None:
    metrics = [Metric(f"error-rate-of-page-{n}", kind="ratio") for n in range(6)]
    limits = [Limit(metric, at_most=percent(1)) for metric in metrics]
    few, many = canary(checks=limits[:2]), canary(checks=[*limits, NoWorse(metrics[0])])
    lines = str(many.describe()).splitlines()

    assert "1: " not in str(few.describe())
    assert max(map(len, lines)) < 120
    assert lines[2].rstrip().endswith("1, 2, 3, 4, 5, 6, 7  -")
    assert " ".join(lines[-8].split()).endswith("1, 3, 4, 5, 6, 7 2")
    assert lines[-7:] == [
        "  1: checks/error-rate-of-page-0",
        "  2: checks/error-rate-of-page-0-no-worse",
        *(f"  {n + 2}: checks/error-rate-of-page-{n}" for n in range(1, 6)),
    ]
