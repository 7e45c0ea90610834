"""One piece of work, by whichever version of the library is on the path: prints what it took.

``python work.py NAME TIMES``. What later versions decide otherwise is switched off, so that both
decide the same.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from progressive import (
    Canary,
    Limit,
    Metric,
    NoWorse,
    Ports,
    Release,
    Version,
    arun,
    atick,
    decide,
    hours,
    minutes,
    ms,
    percent,
    percents,
    seconds,
    start,
    tick,
)
from progressive.stores.sqlite import SqliteStore
from progressive.testing import (
    Load,
    MemoryRouter,
    MemoryStore,
    ScriptedMetrics,
    VirtualClock,
    World,
    explain,
    play,
    simulate,
    simulate_many,
    steady,
    verify,
)

try:
    from progressive.model import Histogram, Look, Window
    from progressive.model.traffic import Track
    from progressive.runtime import protocol as conversation
except ImportError:  # the rooms of 23 November
    from progressive.measurement import Histogram, Look, Window  # type: ignore[import-not-found,no-redef]
    from progressive.traffic import Track  # type: ignore[import-not-found,no-redef]

    from progressive import conversation  # type: ignore[attr-defined,no-redef]

ERRORS = Metric("error-rate", kind="ratio")
LATENCY = Metric("latency", kind="latency")
OFF = {"early": False, "raises": False, "small": False, "plain": True, "dispersion": 1.0}


def made(kind: Any, *args: Any, **given: Any) -> Any:
    """A strategy or a check without what an older version has not."""
    known = inspect.signature(kind).parameters
    return kind(*args, **given, **{name: off for name, off in OFF.items() if name in known})


def checks() -> list[Any]:
    return [made(NoWorse, ERRORS), made(Limit, ERRORS, at_most=percent(1))]


def release(n: int = 0) -> Release:
    return Release(service=f"shop-{n}", stable=Version("v1"), candidate=Version("v2"))


def scripted() -> ScriptedMetrics:
    return ScriptedMetrics({ERRORS: steady(50, stable=0.001, candidate=0.001)})


def usual(**more: Any) -> Any:
    given = {"weights": percents(1, 10, 50, 100), "bake": minutes(10), "checks": checks()}
    return made(Canary, **(given | more))


# ----------------------------------------------------------------------------------------- the work


def decided(times: int) -> float:
    """`decide`, in the mean of a whole rollout."""
    asked: list[tuple[Any, tuple[Any, ...]]] = []
    honest = conversation.decide

    def recording(rollout: Any, *events: Any) -> Any:
        asked.append((rollout, events))
        return honest(rollout, *events)

    conversation.decide = recording
    try:
        play(usual(), release(), metrics=[scripted()])
    finally:
        conversation.decide = honest
    began = time.process_time()
    for _ in range(times):
        for rollout, events in asked:
            decide(rollout, *events)
    return (time.process_time() - began) / times / len(asked)


def _ticked(store: Any, times: int) -> float:
    clock = VirtualClock()
    ports = Ports(router=MemoryRouter(), metrics=[scripted()], store=store, clock=clock)
    start(usual(bake=hours(10)), release(), id="r", ports=ports)
    for _ in range(20):
        clock.until(tick("r", ports).wake_at)
    began = time.process_time()
    for _ in range(times):
        clock.until(tick("r", ports).wake_at)
    return (time.process_time() - began) / times


def ticked_sqlite(times: int) -> float:
    """A stored tick: load, decide, save, in SQLite."""
    with tempfile.TemporaryDirectory() as folder:
        return _ticked(SqliteStore(Path(folder) / "rollouts.db"), 100 * times)


def ticked_memory(times: int) -> float:
    """The same in memory."""
    return _ticked(MemoryStore(), 100 * times)


HOUR = {
    "weights": percents(1, 2, 5, 10, 25, 50, 75, 100),
    "bake": minutes(7.5),
    "interval": seconds(30),
}


def _hour() -> Any:
    bound = made(Limit, LATENCY, quantile=0.99, at_most=ms(1000))
    return made(Canary, checks=[made(NoWorse, ERRORS), bound], **HOUR)


def simulated(times: int) -> float:
    """`simulate` of an hour."""
    began = time.process_time()
    for seed in range(times):
        simulate(_hour(), World(load=200), seed=seed)
    return (time.process_time() - began) / times


def simulated_many(times: int) -> float:
    """`simulate_many` on two processes, on the wall."""
    began = time.perf_counter()
    simulate_many(_hour(), World(load=200), runs=20 * times, processes=2)
    return (time.perf_counter() - began) / times / 20


def readme() -> Any:
    """README's canary."""
    return usual(checks=[*checks(), made(Limit, LATENCY, quantile=0.99, at_most=ms(400))])


def explained(times: int) -> float:
    """`explain` of README's canary."""
    began = time.process_time()
    for _ in range(times):
        explain(readme(), Load(50))
    return (time.process_time() - began) / times


def verified(times: int) -> float:
    """`verify`, two weights and one check."""
    strategy = made(
        Canary,
        weights=percents(10, 100),
        bake=minutes(5),
        checks=[made(Limit, ERRORS, at_most=percent(1))],
    )
    began = time.process_time()
    for _ in range(times):
        verify(strategy)
    return (time.process_time() - began) / times


def looked(times: int) -> float:
    """One look of a 40-bucket histogram."""
    edges = tuple(0.005 * 1.2**i for i in range(39))
    check, memory = made(NoWorse, LATENCY), None
    at = VirtualClock()()
    window = Window(at - seconds(30), at)
    took = 0.0
    for look in range(200 * times):
        tracks = tuple(
            (
                track,
                Histogram(
                    edges=edges,
                    cumulative=tuple(n * (i + 1) // 40 + look % 3 for i in range(40)),
                ),
            )
            for track, n in ((Track.CANDIDATE, 400), (Track.STABLE, 3_600))
        )
        seen = Look(metric="latency", window=window, tracks=tracks)
        start_of = time.process_time()
        _, memory = check.judge(seen, memory, 0.008)
        took += time.process_time() - start_of
    return took / 200 / times


def driven(times: int) -> float:
    """CPU of a rollout-hour by `arun`: a look each 10 s, 50 at once, SQLite; router and metrics in
    memory.
    """
    many, span = 50, 6 * times

    async def all_of_them(store: Any) -> float:
        ports = [
            Ports(router=MemoryRouter(), metrics=[scripted()], store=store) for _ in range(many)
        ]
        for n, each in enumerate(ports):
            strategy = usual(bake=hours(1), interval=seconds(10))
            start(strategy, release(n), id=f"r{n}", ports=each)
        running = [asyncio.create_task(arun(f"r{n}", each)) for n, each in enumerate(ports)]
        await asyncio.sleep(8)  # the first weight is there
        began, wall = time.process_time(), time.perf_counter()
        await asyncio.sleep(span)
        took, wall = time.process_time() - began, time.perf_counter() - wall
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        return took / wall * 3600 / many

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(all_of_them(SqliteStore(Path(folder) / "rollouts.db")))


def ticked_in_one_loop(times: int) -> float:
    """A thousand rollouts ticked in one asyncio process, without a store."""
    many = 1_000

    async def all_of_them() -> float:
        clock = VirtualClock()
        ports = Ports(router=MemoryRouter(), metrics=[scripted()], clock=clock)
        rollouts = [
            start(usual(), release(n), id=f"r{n}", ports=attrs_evolved(ports)) for n in range(many)
        ]
        bound = [attrs_evolved(ports) for _ in range(many)]
        took = 0.0
        for _ in range(3 * times):
            began = time.process_time()
            decisions = await asyncio.gather(
                *(atick(rollout, each) for rollout, each in zip(rollouts, bound, strict=True))
            )
            took += time.process_time() - began
            rollouts = [each.rollout for each in decisions]
            clock.advance(seconds(10))
        return took / 3 / times / many

    def attrs_evolved(ports: Ports) -> Ports:
        return Ports(router=MemoryRouter(), metrics=ports.metrics, clock=ports.clock)

    return asyncio.run(all_of_them())


def _fresh(code: str) -> float:
    """CPU of a new interpreter that runs this, with its start. Bytecode is kept."""
    kept = {name: value for name, value in os.environ.items() if "BYTECODE" not in name}
    began = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, env=kept)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime


def _imported(code: str, times: int) -> float:
    _fresh(code)
    return median(_fresh(code) - _fresh("pass") for _ in range(5 * times))


def imported(times: int) -> float:
    """`import progressive`, in a new process."""
    return _imported("import progressive", times)


SCRIPT = """
from progressive import (
    Canary, Limit, NoWorse, Ports, Release, Version, minutes, ms, percent, percents, run, start,
)
from progressive.metrics.envoy import ERRORS, LATENCY, EnvoyStats
from progressive.routers.envoy import Envoy
from progressive.stores.file import FileStore
"""


def imported_by_a_script(times: int) -> float:
    """What README's script imports, in a new process."""
    return _imported(SCRIPT, times)


def imported_by_a_test(times: int) -> float:
    """What README's test imports, in a new process."""
    names = "import Canary, Limit, Metric, NoWorse, percent, percents"
    kit = "import Behaviour, World, simulate"
    return _imported(f"from progressive {names}\nfrom progressive.testing {kit}", times)


WORK: dict[str, tuple[Callable[[int], float], int, float]] = {
    "decide": (decided, 3, 2),
    "tick-sqlite": (ticked_sqlite, 2, 3),
    "tick-memory": (ticked_memory, 3, 3),
    "simulate": (simulated, 3, 2),
    "simulate-many": (simulated_many, 1, 3),
    "explain": (explained, 1, 5),
    "verify": (verified, 1, 4),
    "look": (looked, 2, 2),
    "arun": (driven, 2, 10),
    "asyncio": (ticked_in_one_loop, 1, 2),
    "import": (imported, 1, 5),
    "import-script": (imported_by_a_script, 1, 2.5),
    "import-test": (imported_by_a_test, 1, 2),
}
"""Each with how often it is done at a time, and the goal: so many times less than before."""


def yardstick() -> float:
    """What no Python program can avoid, a hundred thousand times."""
    began, found = time.process_time(), {}
    for i in range(100_000):
        found[i % 1_000] = found.get((i - 1) % 1_000, 0.0) + 1.0
    return time.process_time() - began


if __name__ == "__main__":
    work, times, _ = WORK[sys.argv[1]]
    print(json.dumps({"took": work(times), "yardstick": yardstick()}))
