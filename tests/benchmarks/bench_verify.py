"""What a walk through every reachable state costs, and how large a plan may be.

A growing series of plans, each walked whole or until the bound; the last one that is done within a
minute is the largest that a test should ask for. A tick that can't differ from the one in good
weather counts as a transition and is not decided again. One pass of arithmetic in plain Python is
measured in the same run, so that figures of different machines and of different versions can be
compared.
"""

from __future__ import annotations

import time

from figures import SMOKE, best, table

from progressive import Canary, Limit, Metric, NoWorse, minutes, percent, percents
from progressive.testing import Report, verify

ERRORS = Metric("error-rate", kind="ratio")
LATENCY = Metric("latency", kind="ratio")
LIMIT = Limit(ERRORS, at_most=percent(2))

MINUTE = 60.0

UNWATCHED: tuple[tuple[str, Canary], ...] = tuple(
    (
        f"{len(weights)} weights, no check",
        Canary(weights=percents(*weights), unguarded="its states are few"),
    )
    for weights in ((50, 100), (10, 50, 100), (5, 10, 50, 100))
)
WATCHED: tuple[tuple[str, Canary], ...] = (
    ("1 weight, 1 check", Canary(weights=percents(100), checks=[LIMIT])),
    ("1 weight, 2 checks", Canary(weights=percents(100), checks=[LIMIT, NoWorse(LATENCY)])),
    ("2 weights, 1 check", Canary(weights=percents(10, 100), checks=[LIMIT])),
    ("3 weights, 1 check", Canary(weights=percents(10, 50, 100), checks=[LIMIT])),
    (
        "3 weights, 2 checks",
        Canary(weights=percents(10, 50, 100), checks=[LIMIT, NoWorse(LATENCY)]),
    ),
)
"""Each series grows, and ends with the first plan that takes longer than a minute."""

NAMED: tuple[tuple[str, Canary, float | None], ...] = (
    (
        "2 weights, 1 check",
        Canary(weights=percents(10, 100), checks=[Limit(ERRORS, at_most=percent(1))]),
        600.0,
    ),
    (
        "the README's: 4 weights, 2 checks",
        Canary(
            weights=percents(1, 10, 50, 100),
            checks=[NoWorse(ERRORS), Limit(ERRORS, at_most=percent(1))],
        ),
        None,
    ),
)
"""Plans that a reader meets, each with the million dictionary steps that it took at commit 974b845
(17,523 states); None where it had not ended by then.
"""


def unit_of_work() -> None:
    """A thousand times what no Python program can avoid: a dictionary, a comparison, an
    addition.
    """
    found: dict[int, float] = {}
    for i in range(1_000):
        found[i] = found.get(i - 1, 0.0) + 1.0


def found(report: Report) -> str:
    """What a walk says of the promises."""
    if report.broken:
        return f"{len(report.broken)} broken"
    return "every promise holds" if report.ok else "not whole"


def speed() -> None:
    """States and transitions per second, of the smallest plan."""
    unit = best(lambda: [unit_of_work() for _ in range(20)]) / 20_000
    plan = (
        Canary(weights=percents(100), bake=minutes(3), unguarded="its states are few")
        if SMOKE
        else UNWATCHED[0][1]
    )
    report = verify(plan)
    assert report.ok, report
    took = best(lambda: verify(plan), runs=3)
    rows = [
        (
            name,
            f"{count:,}",
            f"{took / count * 1e6:,.0f} us",
            f"{count / took:,.0f}",
            f"{took / count / unit:,.0f}",
        )
        for name, count in (("states", report.states), ("transitions", report.transitions))
    ]
    table(
        f"verify(): {len(report.steps)} steps, no check",
        ("what", "found", "each", "per second", "x one dictionary step"),
        rows,
    )


def named() -> None:
    """What the plans of `NAMED` take, beside what they took."""
    unit = best(lambda: [unit_of_work() for _ in range(20)]) / 20_000
    rows = []
    for name, strategy, before in NAMED:
        began = time.process_time()
        report = verify(strategy, most_states=100 if SMOKE else 50_000)
        took = time.process_time() - began
        steps = took / unit / 1e6
        rows.append(
            (
                name,
                f"{report.states:,}",
                f"{report.depth}",
                f"{took:.1f} s",
                f"{steps:,.0f} million",
                "did not end" if before is None else f"{before:,.0f} million",
                f"{before / steps:.1f}" if before is not None and report.complete else "-",
                found(report),
            )
        )
    table(
        "verify(): plans with a name",
        ("plan", "states", "ticks deep", "CPU time", "dictionary steps", "before", "x", "found"),
        rows,
    )


def growth() -> None:
    """States and seconds of ever larger plans."""
    unit = best(lambda: [unit_of_work() for _ in range(20)]) / 20_000
    rows, whole = [], {}
    for series in (UNWATCHED[:1],) if SMOKE else (UNWATCHED, WATCHED):
        for name, strategy in series:
            began = time.process_time()
            report = verify(strategy)
            took = time.process_time() - began
            seen = "all" if report.complete else "stopped by the bound"
            rows.append(
                (
                    name,
                    f"{report.states:,}",
                    f"{report.transitions:,}",
                    seen,
                    f"{took:.1f} s",
                    f"{took / unit / 1e6:,.0f} million",
                    found(report),
                )
            )
            if took > MINUTE:
                break
            if report.complete:
                whole[report.states] = f"{name}: {report.states:,} states in {took:.1f} s"
    table(
        "verify(): growing plans",
        ("plan", "states", "transitions", "seen", "CPU time", "dictionary steps", "found"),
        rows,
    )
    print(f"\n  largest within a minute: {whole[max(whole)]}")


if __name__ == "__main__":
    speed()
    named()
    growth()
