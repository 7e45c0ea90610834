"""Whole rollouts, in virtual time, that see nothing but what a Prometheus has scraped."""

from __future__ import annotations

import math
import random
from collections import Counter as Tally
from collections.abc import Callable

import attrs
import pytest
from tests.support.fake_prometheus import Answered, FakePrometheus
from tests.support.native_histograms import exponential
from tests.support.rules import rule

from progressive import Canary, Limit, NoWorse, Outcome, Release, Version, percent, percents
from progressive.metrics.prometheus import (
    ERRORS,
    LATENCY,
    Buckets,
    Counter,
    Prometheus,
    Ratio,
    Regex,
)
from progressive.model.units import minutes, ms
from progressive.testing import MemoryRouter, play

RELEASE = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))
ZERO = 1_767_225_600
"""The first moment of virtual time, in seconds."""
REQUESTS = Counter("requests_total", version="version")
CANARY = Canary(
    weights=percents(5, 50, 100),
    bake=minutes(5),
    checks=[
        NoWorse(ERRORS),
        Limit(ERRORS, at_most=percent(1)),
        Limit(LATENCY, quantile=0.99, at_most=ms(500), min_sample=1500),
    ],
)


PROVIDER = Prometheus(
    "http://127.0.0.1:9090",
    metrics={
        ERRORS: Ratio(events=REQUESTS.where(code=Regex("5..")), total=REQUESTS),
        LATENCY: Buckets("seconds_bucket", version="version"),
    },
)


def told(
    shown: Callable[[str, int], dict[str, int]], up: Callable[[str, int], bool] = lambda _, __: True
) -> Outcome:
    """A rollout whose two versions show these answers by code, every 15 s, all of them quick."""
    server = FakePrometheus()
    for second in range(-600, 5400, 15):
        for version in ("v1", "v2"):
            labels = {"job": f"job-{version}", "instance": version}
            at = (ZERO + second) * 1000 + (700 if version == "v2" else 0)
            if codes := shown(version, second):
                if up(version, second):
                    server.add(at, 1, name="up", **labels)
                for code, count in codes.items():
                    server.add(at, count, version=version, code=code, **labels)
                every = sum(codes.values())
                for le in ("0.1", "0.5", "1", "+Inf"):
                    server.add(at, every, name="seconds_bucket", version=version, le=le, **labels)
    return play(CANARY, RELEASE, metrics=[Answered(PROVIDER, server)], router=MemoryRouter())


def rolled_out(
    candidate: Callable[[int], tuple[int, int, str] | None],
) -> tuple[Outcome, MemoryRouter]:
    """Two versions that serve ten requests a second for an hour and a half, scraped every 15 s.

    ``candidate``: its requests and errors until a second, and its second bucket edge; None if it
    can't be scraped.
    """
    server = FakePrometheus()
    for second in range(-600, 5400, 15):
        for version, shown in (("v1", (10 * (second + 600), 0, "0.5")), ("v2", candidate(second))):
            at, labels = (
                (ZERO + second) * 1000 + (700 if version == "v2" else 0),
                {"job": "shop", "instance": version},
            )
            server.add(at, int(shown is not None), name="up", **labels)
            if shown is None:
                continue
            requests, failed, edge = shown
            server.add(at, requests - failed, version=version, code="200", **labels)
            if failed:
                server.add(at, failed, version=version, code="500", **labels)
            for le in ("0.1", edge, "1", "+Inf"):
                server.add(at, requests, name="seconds_bucket", version=version, le=le, **labels)
    router = MemoryRouter()
    return play(CANARY, RELEASE, metrics=[Answered(PROVIDER, server)], router=router), router


def test_a_good_version_is_promoted() -> None:
    outcome, _ = rolled_out(lambda second: (10 * (second + 600), 0, "0.5"))

    assert outcome.exit_code == 0


@rule("R17")
def test_a_version_whose_first_errors_come_under_way_is_taken_back() -> None:
    outcome, router = rolled_out(lambda second: (10 * (second + 600), max(second - 60, 0), "0.5"))

    assert (outcome.exit_code, router.highest) == (1, percent(5))
    assert "error-rate" in str(outcome)


@rule("R13", "R14")
def test_a_version_that_dies_is_never_promoted() -> None:
    outcome, router = rolled_out(
        lambda second: (10 * (second + 600), 0, "0.5") if second < 400 else None
    )

    assert (outcome.exit_code, router.highest) == (1, percent(50))
    assert "the target is down" in str(outcome) or "no sample of" in str(outcome)


def test_buckets_that_change_under_way_stop_nothing() -> None:
    outcome, _ = rolled_out(
        lambda second: (
            (10 * (second + 600), 0, "0.5") if second < 400 else (10 * (second - 390), 0, "0.4")
        )
    )

    assert outcome.exit_code == 0


@rule("R13")
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_an_older_value_of_a_counter_of_errors_costs_nobody_a_rollout(version: str) -> None:
    """Of either version, and of its good answers as well as of its errors."""

    def shown(of: str, second: int) -> dict[str, int]:
        late = of == version and second in (135, 915)
        return {
            "200": 10 * (second + 600) - 200 * late,
            "500": 2000 + (second + 600) // 60 - late,
        }

    assert told(shown).exit_code == 0


@rule("R13", "R14", "R17")
@pytest.mark.parametrize("versions", [("v2",), ("v1", "v2")])
def test_a_version_whose_deltas_are_kept_raw_is_never_promoted(versions: tuple[str, ...]) -> None:
    """It fails 30 of about 100 in each export, and its errors never rise."""

    def shown(of: str, second: int) -> dict[str, int]:
        if of not in versions:
            return {"200": 10 * (second + 600), "500": 1}
        return {"200": 45 + second // 15 * 7 % 11, "500": 30 if of == "v2" else 1}

    outcome = told(shown)

    assert outcome.exit_code != 0
    assert "delta temporality" in str(outcome)


@rule("R13", "R14")
def test_several_processes_behind_one_target_are_named_before_anything_is_raised() -> None:
    """From stable alone: which of its workers answers a scrape is chance."""
    chance = random.Random(7)

    def shown(_: str, second: int) -> dict[str, int]:
        return {"200": 5 * (second + 600) + chance.choice((0, 900)), "500": chance.choice((0, 3))}

    outcome = told(shown)

    assert outcome.exit_code != 0
    assert "several processes behind one target" in str(outcome)


@rule("R13")
@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("stays", [False, True], ids=["one sample", "from then on"])
def test_one_fall_that_is_no_restart_costs_nobody_a_rollout(version: str, stays: bool) -> None:
    """The looks around it have no answer; what begins later is counted by itself."""
    for fell in range(315, 600, 75):

        def shown(of: str, second: int, fell: int = fell) -> dict[str, int]:
            odd = of == version and (second >= fell if stays else second == fell)
            return {"200": 10 * (second + 600) - 4 * (fell + 600) * odd, "500": 1}

        assert told(shown).exit_code == 0


@rule("R13")
def test_a_zero_at_the_creation_of_the_candidates_counters_is_none_of_its_requests() -> None:
    """Its job is first scraped when the rollout begins, with the errors of its first minutes."""

    def shown(of: str, second: int) -> dict[str, int]:
        if of == "v1":
            return {"200": 10 * (second + 600), "500": (second + 600) // 25}
        if second == -180:
            return {"200": 0, "500": 0}
        return {"200": 1680 + 10 * second, "500": 120 + second // 25} if second >= 0 else {}

    assert told(shown, up=lambda of, second: of == "v1" or second >= 0).exit_code == 0


# ------------------------------------------------------------------------------------------ buckets

Layout = Callable[[str, int], str | tuple[float, ...]]
"""The edges of a version's buckets from a second on; a text is the scale of a native histogram."""

OLD, NEW = (0.1, 0.25, 0.5, 1.0), (0.05, 0.1, 0.3, 0.5, 2.0)
COMPARED = attrs.evolve(CANARY, checks=[NoWorse(LATENCY), Limit(ERRORS, at_most=percent(1))])


def spread(requests: int, slower: float) -> Tally[float]:
    """How long so many requests took, and how many of them."""
    turns, rest = divmod(requests, 23)
    return Tally({slower * 0.02 * 1.15**k: turns + (k < rest) for k in range(23)})


def bucketed(layout: Layout, slower: float = 1.0) -> Outcome:
    """A rollout that compares latencies, of which the candidate's are so many times as long."""
    server = FakePrometheus()
    for second in range(-600, 5400, 15):
        for version in ("v1", "v2"):
            at = (ZERO + second) * 1000 + (700 if version == "v2" else 0)
            labels = {"job": "shop", "instance": version}
            requests = 10 * (second + 600)
            took = spread(requests, slower if version == "v2" else 1.0)
            server.add(at, 1, name="up", **labels)
            server.add(at, requests, version=version, code="200", **labels)
            edges = layout(version, second)
            if isinstance(edges, str):
                shown = exponential(took, int(edges))
                server.add(at, shown, name="seconds", version=version, **labels)
                continue
            for edge in (*edges, math.inf):
                below = sum(count for value, count in took.items() if value <= edge)
                named = {
                    "name": "seconds_bucket",
                    "version": version,
                    "le": f"{edge:g}" if edge < math.inf else "+Inf",
                }
                server.add(at, below, **named, **labels)
    return play(COMPARED, RELEASE, metrics=[Answered(PROVIDER, server)], router=MemoryRouter())


LAYOUTS: dict[str, Layout] = {
    "a release that changes its buckets": lambda version, _: NEW if version == "v2" else OLD,
    "buckets that are added under way": lambda version, second: (
        tuple(sorted({*OLD, *NEW})) if second > 200 and version == "v2" else OLD
    ),
    "buckets that change for both under way": lambda version, second: NEW if second > 200 else OLD,
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_a_version_with_other_buckets_is_judged_by_what_it_does(layout: Layout) -> None:
    good, slow = bucketed(layout), bucketed(layout, slower=2.0)

    assert good.exit_code == 0, str(good)
    assert slow.exit_code == 1
    assert "requests above" in str(slow)


def test_versions_without_an_edge_in_common_are_told_so() -> None:
    outcome = bucketed(lambda version, _: (0.07, 0.7) if version == "v2" else OLD)

    assert outcome.exit_code == 1
    assert "no edge of a bucket in common" in str(outcome)


def test_a_version_with_a_native_histogram_is_judged_by_what_it_does() -> None:
    """Of another scale than stable's."""

    def layout(version: str, _: int) -> str:
        return "2" if version == "v2" else "0"

    good, slow = bucketed(layout), bucketed(layout, slower=2.0)

    assert (good.exit_code, slow.exit_code) == (0, 1), f"{good}, {slow}"
    assert "requests above" in str(slow)
