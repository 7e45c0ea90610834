"""Metrics of every kind, and looks at them that are good, bad or steady."""

from __future__ import annotations

from tests.support.checks import BASKET, ERRORS, LATENCY, QUEUE, counts, level, look, times

from progressive import Metric, NoWorse
from progressive.analysis import Judgement
from progressive.model import Look, Moments
from progressive.model.actions import Memory

ORDERS = Metric("orders", kind="ratio", bad="down")
VISITS = Metric("visits", kind="ratio", bad="both")
HEIGHT = Metric("height", kind="value", bad="both")
WEIGHT = Metric("weight", kind="mean", bad="both")
FREE = Metric("free", kind="value", bad="down")


def moments(n: int, mean: float, spread: float = 4.0) -> Moments:
    return Moments(n=n, mean=mean, m2=n * spread**2)


def judged(check: NoWorse, one: Look, looks: int, alpha: float = 0.01) -> tuple[Judgement, Memory]:
    """The last judgement and what is kept after so many looks of one sort."""
    memory: Memory = None
    for _ in range(looks):
        judgement, memory = check.judge(one, memory, alpha)
    return judgement, memory


GOOD: dict[Metric, Look] = {
    ERRORS: look(counts(3, 300), counts(27, 2700)),
    ORDERS: look(counts(9, 300), counts(81, 2700)),
    VISITS: look(counts(9, 300), counts(81, 2700)),
    LATENCY: look(times(10, 40, 90, 99, 100), times(90, 360, 810, 891, 900)),
    BASKET: look(moments(20, 30.0), moments(180, 30.0)),
    QUEUE: look(level(4.0, 4.2), level(4.1, 4.1)),
}
BAD: dict[Metric, tuple[Look, int]] = {
    ERRORS: (look(counts(9, 300), counts(27, 2700)), 5),
    ORDERS: (look(counts(2, 300), counts(81, 2700)), 5),
    VISITS: (look(counts(2, 300), counts(81, 2700)), 6),
    LATENCY: (look(times(5, 20, 60, 90, 100), times(90, 360, 810, 891, 900)), 5),
    BASKET: (look(moments(20, 25.0), moments(180, 30.0)), 8),
    QUEUE: (look(level(9.0), level(4.0)), 10),
}


STEADY: dict[Metric, tuple[Look, str, int]] = {
    ERRORS: (GOOD[ERRORS], "requests", 3_000),
    ORDERS: (GOOD[ORDERS], "requests", 3_000),
    VISITS: (GOOD[VISITS], "requests", 3_000),
    LATENCY: (
        look(times(100, 400, 970, 995, 1000), times(900, 3600, 8730, 8955, 9000)),
        "requests",
        10_000,
    ),
    BASKET: (look(moments(20, 30.0), moments(180, 30.0)), "values", 200),
    QUEUE: (GOOD[QUEUE], "looks", 1),
    HEIGHT: (GOOD[QUEUE], "looks", 1),
    WEIGHT: (look(moments(20, 30.0), moments(180, 30.0)), "values", 200),
}
"""A look at a candidate that is as good, what more of is proof, and how many of that it has."""
