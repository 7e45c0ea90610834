"""What a simulated rollout costs, and what dominates: an hour in eight steps, two guards measured
every thirty seconds.

Beside it what `explain` does with the same plan: looks and judgements alone. One pass of arithmetic
in plain Python is measured in the same run, so that figures of different machines can be compared.
"""

from __future__ import annotations

from time import process_time

from bench_engine import unit_of_work
from figures import SMOKE, best, elapsed, table

from progressive import (
    Canary,
    Decision,
    Limit,
    Metric,
    NoWorse,
    Rollout,
    decide,
    minutes,
    ms,
    percents,
    seconds,
)
from progressive.model.measurement import Window
from progressive.model.traffic import Track
from progressive.rollout.events import Event
from progressive.runtime import protocol as conversation
from progressive.testing import Load, World, explain, simulate, simulate_many
from progressive.testing.simulation.lookout import watch
from progressive.testing.simulation.ports import Simulated
from progressive.testing.simulation.simulate import RELEASE

ERRORS = Metric("error-rate", kind="ratio")
LATENCY = Metric("latency", kind="latency")
CANARY = Canary(
    weights=percents(1, 2, 5, 10, 25, 50, 75, 100),
    bake=minutes(7.5),
    checks=[NoWorse(ERRORS), Limit(LATENCY, quantile=0.99, at_most=ms(1000))],
    interval=seconds(30),
)
WORLD = World(load=200)


def decided() -> list[tuple[Rollout, tuple[Event, ...]]]:
    """Every decision of one simulated rollout, as it was asked for."""
    asked: list[tuple[Rollout, tuple[Event, ...]]] = []
    honest = conversation.decide

    def recording(rollout: Rollout, *events: Event) -> Decision:
        asked.append((rollout, events))
        return honest(rollout, *events)

    conversation.decide = recording
    try:
        assert simulate(CANARY, WORLD).promoted
    finally:
        conversation.decide = honest
    return asked


def served() -> None:
    """The same hour of requests, users and measurements, and nobody who decides."""
    simulated = Simulated(WORLD, CANARY.plan.metrics, 0, preview=False)
    for tick in range(120):
        traffic = CANARY.plan.traffics[min(tick // 8, len(CANARY.plan.traffics) - 1)]
        simulated.traffic = traffic
        end = WORLD.start + seconds(30) * (tick + 1)
        simulated.pass_time(end)
        for metric in CANARY.plan.metrics:
            simulated.measure(
                RELEASE,
                metric,
                (Track.STABLE, Track.CANDIDATE),
                Window(end - seconds(30), end),
                None,
            )


def rollouts() -> None:
    """One rollout, and what of it is deciding."""
    unit = best(lambda: [unit_of_work() for _ in range(20)]) / 20_000
    whole = best(lambda: simulate(CANARY, WORLD))
    asked = decided()
    deciding = best(lambda: [decide(rollout, *events) for rollout, events in asked])
    world = best(served)
    watching = best(lambda: watch(CANARY.plan, WORLD, 0))
    rows = [
        (
            name,
            f"{took * 1e3:.1f} ms",
            f"{1 / took:,.0f}",
            f"{took / whole:.0%}",
            f"{took / unit:,.0f}",
        )
        for name, took in (
            ("simulate", whole),
            (f"  its {len(asked)} decisions", deciding),
            ("  its requests, users and measurements", world),
            ("a rollout as explain watches it", watching),
        )
    ]
    table(
        "a canary of an hour, 8 weights, 2 checks, looks every 30 s",
        ("what", "each", "per second", "of it", "x one dictionary step"),
        rows,
    )


def many() -> None:
    """Several processes, and a whole explanation."""
    runs = 4 if SMOKE else 60
    rows = []
    for processes in (1, 2):
        took = elapsed(
            lambda processes=processes: simulate_many(
                CANARY, WORLD, runs=runs, processes=processes
            ),
            runs=1,
        )  # type: ignore[misc]
        rows.append(
            (
                f"simulate_many(runs={runs}, processes={processes})",
                f"{took:.1f} s",
                f"{runs / took:.1f} rollouts per second",
            )
        )
    watched = 5 if SMOKE else 100
    firsts: list[float] = []
    began = process_time()
    took = elapsed(
        lambda: explain(
            CANARY,
            Load(200),
            runs=watched,
            progress=lambda found: firsts.append(process_time() - began),
        ),
        runs=1,
    )
    worlds = 1 + 6 * (len(CANARY.plan.metrics) + 1)  # healthy; each metric worse, and all
    rows.append(
        (
            f"explain(runs={watched}), {worlds} worlds and its advice",
            f"{took:.1f} s",
            f"{worlds * watched / took:.1f} watched rollouts per second",
        )
    )
    rows += [("  its first table", f"{first:.1f} s", "of CPU time") for first in firsts[:1]]
    table("on the wall", ("what", "took", "so"), rows)


if __name__ == "__main__":
    rollouts()
    many()
