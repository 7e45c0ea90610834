"""Strategies side by side: laws that their figures keep, whatever the strategies."""

from __future__ import annotations

import attrs
import pytest

from progressive import (
    BlueGreen,
    Canary,
    Go,
    Limit,
    Metric,
    NoWorse,
    Stop,
    StrategyError,
    minutes,
    percent,
    percents,
)
from progressive.plan.plan import Strategy
from progressive.ports import Hook
from progressive.testing import Comparison, Load, Proportion, World, compare, explain

ERRORS = Metric("error-rate", kind="ratio")
BOUND = Limit(ERRORS, at_most=percent(1))
CANARY = Canary(weights=percents(5, 50, 100), bake=minutes(4), checks=[NoWorse(ERRORS), BOUND])
SWITCH = BlueGreen(bake=minutes(4), checks=[BOUND])
LOAD = Load(40)


@pytest.fixture(scope="module")
def found() -> Comparison:
    return compare(CANARY, SWITCH, load=LOAD, regressions=[5, 30], runs=40)


def test_each_strategy_has_a_row_for_each_version_and_a_healthy_one(found: Comparison) -> None:
    assert [(row.strategy, row.times) for row in found.rows] == [
        (name, worse) for worse in (1.0, 5.0, 30.0) for name in ("canary", "blue_green")
    ]
    lines = str(found).splitlines()
    assert len(lines) == 7
    assert lines[0].split()[:4] == ["version", "strategy", "promoted", "caught"]


def test_what_is_not_caught_is_promoted(found: Comparison) -> None:
    for row in found.rows:
        assert row.caught.count + row.promoted.count == 40


def test_a_canary_exposes_no_more_than_a_switch_and_takes_no_less(found: Comparison) -> None:
    """A bad version meets fewer; a good one takes as long as all bakes, and not only one."""
    for worse in (5.0, 30.0):
        canary, switch = (found.row(name, worse) for name in ("canary", "blue_green"))
        if canary.caught.share > 0.95 and switch.caught.share > 0.95:
            assert canary.requests.median < switch.requests.median
            assert canary.failed.median < switch.failed.median
    canary, switch = found.row("canary"), found.row("blue_green")
    assert canary.took.median >= 3 * 240
    assert 240 <= switch.took.median < 2 * 240


def test_requests_are_the_share_of_the_load_for_the_time(found: Comparison) -> None:
    assert found.row("canary").requests.median == pytest.approx(40 * 240 * 1.55, rel=0.05)
    assert found.row("blue_green").requests.median == pytest.approx(40 * 240, rel=0.05)


@pytest.mark.parametrize("instances", [1, 7, 20])
def test_instances_are_those_of_the_share_and_of_all_for_a_switch(instances: int) -> None:
    once = compare(CANARY, SWITCH, load=LOAD, regressions=[], instances=instances, runs=2)
    canary, switch = once.row("canary"), once.row("blue_green")
    whole = instances * switch.took.median / 3600
    upwards = [-(-instances * share // 100) for share in (5, 50, 100)]

    assert switch.instance_hours == pytest.approx(whole, rel=0.02)
    assert canary.instance_hours == pytest.approx(sum(upwards) * 240 / 3600, rel=0.05)


def test_instances_that_wait_for_the_switch_are_counted() -> None:
    waits = attrs.evolve(SWITCH, pause=minutes(30))
    rows = compare(SWITCH, waits, load=LOAD, regressions=[], runs=2, names=["now", "later"])

    more = rows.row("later").instance_hours - rows.row("now").instance_hours
    assert more == pytest.approx(10 * 0.5, rel=0.02)


def test_it_catches_as_often_as_explain_says() -> None:
    for strategy in (CANARY, SWITCH):
        row = compare(strategy, load=LOAD, regressions=[5], runs=60).rows[1]
        together = explain(strategy, LOAD, regressions=[5], runs=60).steps[-1].together

        assert together is not None
        told = together.chance(5.0)
        assert told.low <= row.caught.high and row.caught.low <= told.high


def test_nothing_depends_on_what_stands_beside_it() -> None:
    def rows(*strategies: Strategy) -> Comparison:
        return compare(*strategies, load=LOAD, regressions=[10], runs=3)

    one, other = rows(CANARY, SWITCH), rows(SWITCH, CANARY)
    assert {repr(row) for row in one.rows} == {repr(row) for row in other.rows}
    twice = rows(CANARY, CANARY)
    assert attrs.evolve(twice.row("canary 2", 10), strategy="canary") == twice.row("canary", 10)


def test_hooks_are_made_for_each_world() -> None:
    smoke = attrs.evolve(SWITCH, preview_hook="smoke")

    def hooks(world: World) -> dict[str, Hook]:
        bad = world.candidate.errors > 0.01  # type: ignore[operator]
        return {"smoke": lambda key, release: Stop("no") if bad else Go()}

    found = compare(
        SWITCH, smoke, load=LOAD, names=["a", "b"], regressions=[50], hooks=hooks, runs=3
    )  # type: ignore[arg-type]

    assert found.row("b").promoted == Proportion(3, 3)
    assert found.row("b", 50).caught == Proportion(3, 3)
    assert found.row("b", 50).requests.median == 0
    assert found.row("b", 50).exposed is None
    assert found.row("a", 50).requests.median > 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: compare(load=LOAD), "compare: no strategy"),
        (lambda: compare(CANARY, load=LOAD, names=["a", "b"]), "must be 1 different names"),
        (lambda: compare(CANARY, SWITCH, load=LOAD, names=["a", "a"]), "must be 2 different names"),
        (lambda: compare(CANARY, load=LOAD, regressions=[1]), "1 is not worse than usual"),
        (lambda: compare(CANARY, load=LOAD, runs=0), "1 or more"),
        (lambda: compare(CANARY, load=LOAD, instances=0), "1 or more"),
    ],
)
def test_what_makes_no_sense_is_named(wrong: object, message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        wrong()  # type: ignore[operator]


def test_what_was_not_compared_is_named(found: Comparison) -> None:
    with pytest.raises(StrategyError, match=r"row\('green', 1.0\): there are \[\('canary', 1.0\)"):
        found.row("green")
