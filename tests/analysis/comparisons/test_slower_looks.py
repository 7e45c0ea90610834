"""Latencies in blocks: stalls that each version has for itself are no harm, slowness is."""

from __future__ import annotations

import math
import random
from itertools import accumulate

import pytest
from tests.support.checks import ERROR, FAIL, LATENCY, NO_DATA, PASS, look, times

from progressive import Metric, NoWorse, StrategyError
from progressive.analysis import Verdict
from progressive.model import Counts, Histogram
from progressive.model.actions import Memory

EDGES = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The default ones of Prometheus' client libraries."""

SECONDS = 30
"""Of a look."""


POOL = 20_000


def below(slower: float, stalled: float) -> list[list[int]]:
    """For each edge, how many of the first so many of many lognormal latencies are below it."""
    rng = random.Random(2)
    values = [stalled + slower * 0.1 * math.exp(0.8 * rng.gauss(0, 1)) for _ in range(POOL)]
    return [list(accumulate((v <= edge for v in values), initial=0)) for edge in (*EDGES, math.inf)]


POOLS = {
    (slower, stalled): below(slower, stalled) for slower in (1.0, 1.25) for stalled in (0.0, 1.0)
}


def served(rng: random.Random, a_second: int, slower: float = 1.0) -> Histogram:
    """Half a minute of a version: lognormal latencies, and twice a minute four seconds in which all
    of its requests take a second longer.
    """
    cumulative, left = [0] * (len(EDGES) + 1), 0
    for _ in range(SECONDS):
        left = 4 if not left and rng.random() < 1 / 30 else max(0, left - 1)
        pool = POOLS[slower, 1.0 if left else 0.0]
        begin = rng.randrange(POOL - a_second)
        for edge, counts in enumerate(pool):
            cumulative[edge] += counts[begin + a_second] - counts[begin]
    return Histogram(edges=EDGES, cumulative=tuple(cumulative))


def judged(
    check: NoWorse, rng: random.Random, *, looks: int, own: int, other: int, slower: float = 1.0
) -> tuple[int, Verdict, str]:
    """The look with which it failed, 0 if none did, and the last verdict with its words."""
    memory: Memory = None
    for i in range(looks):
        seen = look(served(rng, own, slower), served(rng, other))
        judgement, memory = check.judge(seen, memory, 0.01)
        if judgement.verdict is FAIL:
            return i + 1, judgement.verdict, judgement.why
    return 0, judgement.verdict, judgement.why


@pytest.mark.parametrize(("own", "other"), [(10, 90), (50, 50), (80, 20)])
def test_stalls_of_its_own_send_no_version_back(own: int, other: int) -> None:
    """Nine in ten go back where every request counts as one of its own."""
    rng, rollouts = random.Random(3), 30
    found = {
        blocks: sum(
            judged(NoWorse(LATENCY, blocks=blocks), rng, looks=40, own=own, other=other)[0] > 0
            for _ in range(rollouts)
        )
        for blocks in (True, False)
    }

    assert found[True] <= 1
    assert found[False] >= rollouts / 4


def test_the_dispersion_that_is_said_is_the_one_to_give() -> None:
    """Each of ten rollouts says it, and none of ten with it goes back."""
    rng = random.Random(5)
    said = []
    for _ in range(10):
        memory: Memory = None
        for _ in range(30):
            seen = look(served(rng, 50), served(rng, 50))
            judgement, memory = NoWorse(LATENCY).judge(seen, memory, 0.01)
        said.append(dict(judgement.numbers)["dispersion_seen"])
    known = NoWorse(LATENCY, dispersion=sorted(said)[5])

    assert not any(judged(known, rng, looks=40, own=50, other=50)[0] for _ in said)


@pytest.mark.parametrize(("own", "other"), [(10, 90), (50, 50)])
def test_a_quarter_slower_is_seen_through_the_stalls(own: int, other: int) -> None:
    rng = random.Random(4)
    found = [
        judged(NoWorse(LATENCY, blocks=True), rng, looks=80, own=own, other=other, slower=1.25)
        for _ in range(21)
    ]

    looks = sorted(at for at, _, _ in found)
    assert 0 < looks[0] < 20
    assert looks[len(looks) // 2] <= 30
    assert looks[-1] <= 60
    _, _, why = found[0]
    assert why.startswith("worse: slower at p50 in ")
    assert " against " in why


def test_a_margin_is_tolerated() -> None:
    check = NoWorse(LATENCY, blocks=True, margin=1.5)
    at, verdict, _ = judged(check, random.Random(5), looks=40, own=50, other=50, slower=1.25)

    assert (at, verdict) == (0, PASS)


def test_a_tail_alone_is_seen() -> None:
    """One in six takes ten times as long; the middle hardly moves."""
    check, memory = NoWorse(LATENCY, blocks=True), None
    fast, tail = times(0, 800, 990, 1_000, 1_000), times(0, 750, 820, 990, 1_000)
    for _ in range(30):
        judgement, memory = check.judge(look(tail, fast), memory, 0.01)

    assert judgement.verdict is FAIL
    assert dict(judgement.numbers)["slower_p90"] == 30


def test_looks_with_few_requests_say_nothing() -> None:
    check, memory = NoWorse(LATENCY, blocks=True), None
    for sample, expected in ((19, NO_DATA), (20, PASS), (19, PASS)):
        seen = look(times(0, sample, sample, sample, sample), times(sample, *(sample,) * 4))
        judgement, memory = check.judge(seen, memory, 0.01)
        assert judgement.verdict is expected
        assert ("too few requests in a look: 20" in judgement.why) is (expected is NO_DATA)

    numbers = dict(judgement.numbers)
    assert (numbers["slower_p50"], numbers["slower_p90"]) == (1, 0)
    assert "in this one" not in judgement.why


def test_beyond_the_last_edge_nobody_knows_who_is_slower() -> None:
    check = NoWorse(LATENCY, blocks=True)
    judgement, _ = check.judge(look(times(0, 0, 0, 0, 100), times(0, 0, 0, 0, 300)), None, 0.01)

    assert judgement.verdict is NO_DATA


def test_it_goes_by_the_edges_that_both_have() -> None:
    check = NoWorse(LATENCY, blocks=True)
    own = Histogram(edges=(0.1, 0.4), cumulative=(0, 200, 200))
    other = Histogram(edges=(0.1, 0.2, 0.4), cumulative=(0, 200, 200, 200))
    judgement, _ = check.judge(look(own, other), None, 0.01)
    numbers = dict(judgement.numbers)

    assert numbers["candidate_p50"] == numbers["control_p50"] == pytest.approx(0.25)
    judgement, _ = check.judge(look(own, Histogram(edges=(0.3,), cumulative=(1, 2))), None, 0.01)
    assert judgement.verdict is ERROR
    assert "no edge of a bucket in common" in judgement.why
    judgement, _ = check.judge(look(own, Counts(events=0, trials=9)), None, 0.01)
    assert judgement.why == "latencies are compared by histograms"


@pytest.mark.parametrize("more", [{"dispersion": 2.0}, {"accept": 2.5}])
def test_what_does_not_go_with_it_is_refused(more: dict[str, float]) -> None:
    with pytest.raises(StrategyError, match="blocks=True is for ratios, means and latencies"):
        NoWorse(LATENCY, blocks=True, **more)  # type: ignore[arg-type]


def test_levels_are_blocks_already() -> None:
    with pytest.raises(StrategyError, match="blocks=True is for"):
        NoWorse(Metric("queue", kind="value"), blocks=True, margin=1.0)
