"""The test that excludes a rate: what it promises, and how soon it is done."""

from __future__ import annotations

import math
import random

import pytest
from tests.stats.test_bound import events

from progressive.stats.exclusion import evidence, needed

ENOUGH = math.log(1 / 0.05)


def until_excluded(rng: random.Random, true: float, rate: float, limit: float, most: int) -> int:
    """After how many requests; ``most`` if not by then."""
    step, seen, requests = max(1, round(0.1 / rate)), 0, 0
    while requests < most:
        seen, requests = seen + events(rng, step, true), requests + step
        if evidence(seen, requests, rate=rate, limit=limit) >= ENOUGH:
            return requests
    return most


@pytest.mark.parametrize("rate", [0.01, 0.0001])
def test_a_version_at_the_limit_passes_with_a_chance_of_at_most_beta(rate: float) -> None:
    rng, rollouts = random.Random(3), 400
    most = round(40 / rate)
    passed = sum(
        until_excluded(rng, 5 * rate, rate, 5 * rate, most) < most for _ in range(rollouts)
    )

    assert 0 < passed / rollouts <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / rollouts)


@pytest.mark.parametrize("rate", [0.1, 0.01, 0.0001])
@pytest.mark.parametrize(("part", "most"), [(1e-9, 0.8), (0.1, 0.9), (0.5, 1.1), (1.0, 1.7)])
def test_a_version_that_keeps_the_bound_passes_soon(rate: float, part: float, most: float) -> None:
    """In requests per event that the bound allows."""
    rng, limit = random.Random(5), min(5 * rate, (1 + rate) / 2)
    spent = [until_excluded(rng, part * rate, rate, limit, 10**9) * rate for _ in range(200)]

    assert sum(spent) / len(spent) < most


@pytest.mark.parametrize(("rate", "limit"), [(0.01, 0.05), (0.0001, 0.0005), (0.3, 0.65)])
def test_what_is_needed_is_what_it_takes_at_half_the_bound(rate: float, limit: float) -> None:
    requests = needed(3.0, rate=rate, limit=limit)
    half = evidence(requests * rate / 2, requests, rate=rate, limit=limit)

    assert 3.0 + math.log(0.4) <= half <= 3.0 + 0.5
    assert needed(-1.0, rate=rate, limit=limit) == 0.0


def test_nothing_seen_is_no_evidence() -> None:
    assert evidence(0, 0, rate=0.01, limit=0.05) == pytest.approx(0.0, abs=1e-12)
