"""Many runs: intervals that hold, and the same answer on any number of processes."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progressive import (
    Canary,
    Limit,
    Metric,
    NoWorse,
    StrategyError,
    Version,
    minutes,
    percent,
    percents,
)
from progressive.testing import Behaviour, MemoryFleet, Proportion, Quantiles, World, simulate_many

ERRORS = Metric("error-rate", kind="ratio")
POLICY = Canary(
    weights=percents(10, 100),
    bake=minutes(3),
    checks=[NoWorse(ERRORS), Limit(ERRORS, at_most=percent(5))],
)


def test_a_bad_version_is_caught_and_a_good_one_is_not() -> None:
    good = simulate_many(POLICY, World(), runs=20)
    bad = simulate_many(POLICY, World(candidate=Behaviour(errors=0.2)), runs=20)

    assert good.promoted.share == 1.0
    assert bad.rolled_back.share == 1.0
    assert bad.users_harmed.p95 < good.users_exposed.median
    assert bad.detected is not None and bad.detected.median < bad.duration.p95
    assert good.detected is None
    assert good.unfinished.count == 0
    assert repr(bad).startswith("<Many: 20 runs: promoted 0.0 %")


def test_the_answer_is_the_same_on_any_number_of_processes() -> None:
    told: list[tuple[int, int]] = []
    one = simulate_many(POLICY, World(), runs=6, seed=3)
    two = simulate_many(
        POLICY,
        World(),
        runs=6,
        seed=3,
        processes=2,
        progress=lambda done, runs: told.append((done, runs)),
    )

    assert one == two
    assert told == [(n, 6) for n in range(1, 7)]
    assert one != simulate_many(POLICY, World(), runs=6, seed=4)


def test_a_lambda_means_one_process_and_it_says_so() -> None:
    world = World(load=lambda moment: 50.0)

    assert simulate_many(POLICY, world, runs=1).promoted.count == 1
    with pytest.raises(StrategyError, match="instead of a lambda, or use processes=1"):
        simulate_many(POLICY, world, runs=2, processes=2)


@pytest.mark.parametrize("runs", [0, -1, 1.5, True])
def test_a_number_of_runs_that_makes_no_sense_is_named(runs: int) -> None:
    with pytest.raises(StrategyError, match=f"runs={runs!r} must be a whole number of at least 1"):
        simulate_many(POLICY, runs=runs)


@pytest.mark.parametrize("processes", [0, -1, 1.5, True, None])
def test_a_number_of_processes_that_makes_no_sense_is_named(processes: Any) -> None:
    with pytest.raises(
        StrategyError, match=f"processes={processes!r} must be a whole number of at least 1"
    ):
        simulate_many(POLICY, runs=1, processes=processes)


class Called(MemoryFleet):
    """A fleet of one's own that can be called is a fleet all the same."""

    def __call__(self) -> Called:
        return self


@pytest.mark.parametrize(
    "fleet", [MemoryFleet(), Called(), 3], ids=["a fleet", "one that is called", "none"]
)
@pytest.mark.parametrize("processes", [1, 2])
def test_one_fleet_for_all_runs_is_refused(fleet: Any, processes: int) -> None:
    with pytest.raises(
        StrategyError,
        match=r"simulate_many\(fleet=\): all runs would share .*; put "
        r"troubles\.NotReady\(\.\.\.\) in the world, or",
    ):
        simulate_many(POLICY, runs=2, processes=processes, fleet=fleet)


def test_each_run_has_a_fleet_of_its_own_on_any_number_of_processes() -> None:
    made: list[MemoryFleet] = []

    def one() -> MemoryFleet:
        made.append(MemoryFleet())
        return made[-1]

    strategy = Canary(
        weights=percents(10, 100), bake=minutes(3), unguarded="to count", retire_after=minutes(1)
    )
    alone = simulate_many(strategy, runs=3, fleet=one)

    assert [fleet.retired for fleet in made] == [[Version("v1")]] * 3
    assert alone == simulate_many(strategy, runs=3, fleet=MemoryFleet, processes=2)


@given(count=st.integers(0, 400), more=st.integers(0, 400))
def test_an_interval_holds_what_it_is_about_and_is_that_of_wilson(count: int, more: int) -> None:
    if not count + more:
        return
    found = Proportion(count, count + more)

    assert 0 <= found.low <= found.share <= found.high <= 1
    for end in (
        found.low,
        found.high,
    ):  # where the score test says 1.96, but for the ends that are certain
        if 0 < end < 1:
            away = abs(found.share - end) / math.sqrt(end * (1 - end) / found.runs)
            assert math.isclose(away, 1.959963984540054, rel_tol=1e-6)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60))
def test_quantiles_are_values_and_lie_in_their_intervals(values: list[float]) -> None:
    found = Quantiles(tuple(sorted(values)))

    for q in (0.5, 0.95):
        low, high = found.interval(q)
        assert low <= found.quantile(q) <= high
        assert sum(value <= found.quantile(q) for value in values) >= q * len(values)
    assert str(found).startswith("median ")
