"""What a decision costs, how large the state gets, what reading it and an import cost.

A 10-step canary (five weights, five bakes) with three guards of two checks each, replayed from the
events of a whole rollout; one pass of arithmetic in plain Python is measured in the same run, so
that figures of different machines can be compared.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict

import attrs
from figures import SMOKE, best, table

from progressive import (
    Analysis,
    Canary,
    Limit,
    Metric,
    NoWorse,
    Release,
    Version,
    begin,
    decide,
    dumps,
    loads,
    minutes,
    percent,
    percents,
    seconds,
)
from progressive.model.replace import evolve
from progressive.rollout.events import Event
from progressive.rollout.state import Rollout
from progressive.runtime import protocol
from progressive.testing import MemoryStore, ScriptedMetrics, VirtualClock, play, steady

ERRORS = Metric("error-rate", kind="ratio")
RELEASE = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))


def canary(bake_minutes: float) -> Canary:
    """Five weights, three guards, two checks in each."""
    guards = [
        Analysis(
            name, checks=[Limit(ERRORS, at_most=percent(1)), NoWorse(ERRORS)], interval=seconds(30)
        )
        for name in ("errors", "checkout", "search")
    ]
    return Canary(
        weights=percents(1, 5, 10, 50, 100),
        bake=minutes(bake_minutes),
        analyses=guards,
        guards=[guard.name for guard in guards],
    )


def recorded(strategy: Canary) -> list[tuple[Rollout, tuple[Event, ...]]]:
    """Every decision of one rollout, as it was asked for."""
    asked: list[tuple[Rollout, tuple[Event, ...]]] = []
    honest = protocol.decide

    def recording(rollout: Rollout, *events: Event) -> object:
        asked.append((rollout, events))
        return honest(rollout, *events)

    protocol.decide = recording  # type: ignore[assignment]
    try:
        outcome = play(
            strategy,
            RELEASE,
            metrics=[ScriptedMetrics({ERRORS: steady(50, stable=0.001, candidate=0.001)})],
        )
    finally:
        protocol.decide = honest
    assert outcome.promoted, outcome
    return asked


def unit_of_work() -> None:
    """A thousand times what no Python program can avoid: a dictionary, a comparison, an
    addition.
    """
    found: dict[int, float] = {}
    for i in range(1_000):
        found[i] = found.get(i - 1, 0.0) + 1.0


def decisions() -> None:
    """Decisions per second, in all and by what is decided about."""
    asked = recorded(canary(5))
    unit = best(lambda: [unit_of_work() for _ in range(20)]) / 20_000
    groups: dict[str, list[tuple[Rollout, tuple[Event, ...]]]] = defaultdict(list)
    for rollout, events in asked:
        groups["the whole rollout"].append((rollout, events))
        groups["+".join(sorted({type(event).__name__ for event in events}))].append(
            (rollout, events)
        )
    rows = []
    for name, calls in groups.items():
        took = best(
            lambda calls=calls: [decide(rollout, *events) for rollout, events in calls]
        ) / len(calls)  # type: ignore[misc]
        rows.append(
            (
                name,
                str(len(calls)),
                f"{took * 1e6:.0f} us",
                f"{1 / took:,.0f}",
                f"{took / unit:.0f}",
            )
        )
    table(
        "decide(): a 10-step canary with 3 guards of 2 checks",
        ("what", "calls", "each", "per second", "x one dictionary step"),
        rows,
    )


def bytes_of_state() -> None:
    """The stored state after ever more measurements."""
    rows = []
    for looks, bake in ((10, 1.0), (100, 10.0), (1_000, 100.0)):
        kept = MemoryStore()
        sizes: list[tuple[int, int]] = []

        def weigh(
            rollout: Rollout, kept: MemoryStore = kept, sizes: list[tuple[int, int]] = sizes
        ) -> None:
            sizes.append(
                (
                    sum(check_state.looks for check_state in rollout.evidence.check_states),
                    len(dumps(rollout).encode()),
                )
            )

        scripted = ScriptedMetrics({ERRORS: steady(50, stable=0.001, candidate=0.001)})
        play(
            canary(bake),
            RELEASE,
            metrics=[scripted],
            store=kept,
            before_tick=weigh,
            clock=VirtualClock(),
        )
        nearest = min(sizes, key=lambda pair: abs(pair[0] - looks))
        rows.append((str(nearest[0]), f"{nearest[1]:,}", f"{max(size for _, size in sizes):,}"))
        if SMOKE:
            break
    table(
        "dumps(rollout): the same canary",
        ("judgements so far", "bytes", "most in its whole run"),
        rows,
    )


def codec() -> None:
    """Reading and writing a state from the middle of the rollout, beside what `json` alone needs.

    The plan of a rollout is read with its first state. Here each "first" is of another plan.
    """
    asked = recorded(canary(5))
    rollout, _ = asked[len(asked) // 2]
    text, times = dumps(rollout), 10 if SMOKE else 500
    name = rollout.plan.steps[-1].id
    plans = iter([text.replace(f'"{name}"', f'"{name}-{n}"') for n in range(5 * times)])
    took = {
        "json.loads": best(lambda: [json.loads(text) for _ in range(times)]),
        "loads": best(lambda: [loads(text) for _ in range(times)]),
        "loads, the first": best(lambda: [loads(next(plans)) for _ in range(times)]),
        "dumps": best(lambda: [dumps(rollout) for _ in range(times)]),
    }
    table(
        f"a state of {len(text):,} characters: the same canary",
        ("what", "CPU time", "x json.loads"),
        [
            (what, f"{each / times * 1e6:.0f} us", f"{each / took['json.loads']:.1f}")
            for what, each in took.items()
        ],
    )


def imports() -> None:
    """What ``import progressive`` costs beside ``import attrs``."""

    def cost(module: str) -> float:
        script = (
            f"import time; t = time.process_time(); import {module}; print(time.process_time() - t)"
        )
        times = [
            float(
                subprocess.run(
                    [sys.executable, "-c", script], capture_output=True, text=True, check=True
                ).stdout
            )
            for _ in range(1 if SMOKE else 7)
        ]
        return min(times)

    attrs, ours = cost("attrs"), cost("progressive")
    table(
        "import",
        ("module", "CPU time", "ratio"),
        [
            ("attrs", f"{attrs * 1e3:.0f} ms", "1.0"),
            ("progressive", f"{ours * 1e3:.0f} ms", f"{ours / attrs:.1f}"),
        ],
    )


def copies() -> None:
    """A changed copy of a rollout's routing, by `evolve` and by attrs."""
    value = begin(canary(1).plan, RELEASE, id="r", at=VirtualClock()()).routing
    times = 100 if SMOKE else 20_000

    def ours() -> None:
        for _ in range(times):
            evolve(value, attempts=1)

    def by_attrs() -> None:
        for _ in range(times):
            attrs.evolve(value, attempts=1)

    quick, usual = best(ours), best(by_attrs)
    table(
        "a changed copy of 18 fields",
        ("by", "CPU time", "ratio"),
        [
            ("evolve", f"{quick / times * 1e6:.2f} us", "1.0"),
            ("attrs.evolve", f"{usual / times * 1e6:.2f} us", f"{usual / quick:.1f}"),
        ],
    )


if __name__ == "__main__":
    decisions()
    bytes_of_state()
    codec()
    copies()
    imports()
