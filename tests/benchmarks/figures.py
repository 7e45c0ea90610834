"""Measuring: CPU time of the best of several runs, and a table."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

SMOKE = "--smoke" in sys.argv


def best(work: Callable[[], object], *, runs: int = 5) -> float:
    """Seconds of CPU time that ``work`` takes, the least of ``runs``."""
    times = []
    for _ in range(1 if SMOKE else runs):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def elapsed(work: Callable[[], object], *, runs: int = 5) -> float:
    """Seconds on the wall that ``work`` takes, the least of ``runs``."""
    times = []
    for _ in range(1 if SMOKE else runs):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def table(title: str, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print a table."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    print(f"\n{title}")
    for row in (head, *rows):
        print(
            "  "
            + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
