"""Seeded rollouts through a world of faults, until so many events were decided on: ``nox -s soak``.

Prints the seeds as they go. A seed that breaks a promise is printed with the call that reproduces
it, and ends the run with 1. ``--events`` (default 1,000,000), ``--seed`` (the first one),
``--processes`` (default: one for each core).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.wild import STRATEGIES

from progressive.testing import Soaked, soak

BATCH = 60
"""Seeds that one process takes at a time: some seconds."""


def batch(first: int) -> tuple[int, int, Soaked]:
    """One strategy after the other, each with its own batch of seeds."""
    which = first // BATCH % len(STRATEGIES)
    return which, first, soak(STRATEGIES[which], seeds=range(first, first + BATCH))


def batches(first: int, processes: int) -> Iterator[tuple[int, int, Soaked]]:
    """Without an end; whoever has enough stops asking."""
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        starts = count(first, BATCH)
        waiting = [pool.submit(batch, next(starts)) for _ in range(2 * processes)]
        try:
            while True:
                yield waiting.pop(0).result()
                waiting.append(pool.submit(batch, next(starts)))
        finally:
            for each in waiting:
                each.cancel()


def main() -> int:
    """0 if every promise held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    events, began = 0, time.monotonic()
    ended: Counter[str] = Counter()
    for which, first, found in batches(asked.seed, asked.processes):
        events += found.events
        ended.update({phase.value: number for phase, number in found.ended})
        print(
            f"seeds {first} to {first + BATCH - 1} of STRATEGIES[{which}]: {events:,} "
            "events so far",
            flush=True,
        )
        if not found.ok:
            print(repr(found).replace("soak(strategy,", f"soak(STRATEGIES[{which}],"))
            return 1
        if events >= asked.events:
            break
    ways = ", ".join(f"{number:,} {phase}" for phase, number in sorted(ended.items()))
    print(
        f"{events:,} events in {time.monotonic() - began:.0f} s on {asked.processes} "
        f"processes; {ways}; every promise held"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
