"""A rollout is not started where stable's own counters say nothing, and says what is wrong with
them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest
from tests.cases.counters import CASES, Case
from tests.support.counter_cases import provider_of, rolled_out, served
from tests.support.fake_prometheus import Answered, FakePrometheus
from tests.support.rules import rule

from progressive import Canary, Limit, Release, Version, minutes, percent, percents
from progressive.metrics.prometheus import ERRORS, Counter, Prometheus, Ratio, Regex
from progressive.testing import MemoryRouter, play

RELEASE = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))
ZERO = 1_767_225_600
"""The first moment of virtual time, in seconds."""
REQUESTS = Counter("requests_total", version="version")
PROVIDER = Prometheus(
    "http://127.0.0.1:9090",
    metrics={ERRORS: Ratio(events=REQUESTS.where(code=Regex("5..")), total=REQUESTS)},
)
CANARY = Canary(
    weights=percents(5, 100), bake=minutes(5), checks=[Limit(ERRORS, at_most=percent(1))]
)

Scrape: TypeAlias = tuple[float, int, dict[str, str]]
"""Seconds after the scrape was due, the requests that it shows, and further labels."""


def as_it_should_be(second: int) -> Iterator[Scrape]:
    yield 0, 10 * second, {}


def doubled(second: int) -> Iterator[Scrape]:
    yield 0, 10 * second, {"replica": "a"}
    yield 7, 10 * second + 70, {"replica": "b"}


def deltas(second: int) -> Iterator[Scrape]:
    yield 0, 145 + second // 15 * 7 % 11, {}


def several_processes(second: int) -> Iterator[Scrape]:
    yield 0, 5 * second + random.Random(second).choice((0, 90_000)), {}


def two_writers(second: int) -> Iterator[Scrape]:
    yield 0, 10 * second, {}
    yield 2, 10 * second - 1, {}


def started(stable: Callable[[int], Iterator[Scrape]]) -> tuple[str, MemoryRouter]:
    """How a rollout ends whose stable version shows these, and the candidate what it should."""
    server, router = FakePrometheus(), MemoryRouter()
    for second in range(-600, 3600, 15):
        for version, shown in (("v1", stable), ("v2", as_it_should_be)):
            labels = {"job": f"job-{version}", "instance": version}
            at = ZERO + second + (3 if version == "v2" else 0)
            server.add(at * 1000, 1, name="up", **labels)
            for after, count, more in shown(second + 1000):
                moment = round((at + after) * 1000)
                server.add(moment, count, version=version, code="200", **labels, **more)
    outcome = play(CANARY, RELEASE, metrics=[Answered(PROVIDER, server)], router=router)
    return str(outcome), router


@rule("R45")
@pytest.mark.parametrize(
    ("stable", "said"),
    [
        (doubled, "differ only in replica ('a' and 'b'): two servers scrape it"),
        (deltas, "delta temporality"),
        (several_processes, "several processes behind one target"),
        (two_writers, "two servers write this series"),
    ],
)
def test_what_is_wrong_with_stables_series_is_named_before_anything_is_written(
    stable: Callable[[int], Iterator[Scrape]], said: str
) -> None:
    """In five minutes of looks, of which one that seems to be in order would do."""
    outcome, router = started(stable)

    assert router.history == []
    assert "preflight" in outcome and said in outcome


def test_a_stable_whose_counters_rise_is_compared_with() -> None:
    outcome, router = started(as_it_should_be)

    assert router.highest == percent(100), outcome


@rule("R45")
@pytest.mark.parametrize(
    "case", [case for case in CASES if case.for_all], ids=lambda case: case.name
)
def test_each_row_of_the_page_that_holds_for_all_starts_no_rollout(case: Case) -> None:
    answered = Answered(provider_of(case, "http://127.0.0.1:9090"), served(case, ZERO))
    outcome, router = rolled_out(answered, ZERO)

    assert router.history == []
    assert str(case.here) in str(outcome)
