"""What `nox -s mutation` needs: the quick tests first when a mutant is tried, and the score by room
when it is over.

A mutant is the library with one small change. A test that fails *kills* it; one that survives shows
a line that no test would miss.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

SLOW = 2.0
"""Seconds. Slower tests are left out: a mutant that survives waits for all that are left, and there
are thousands.
"""

DURATIONS = Path("mutmut-stats.json")
STAGES = ("", "fail", "list_all_tests", "mutant_generation", "stats")
"""What mutmut calls a run that is about no mutant."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where a mutant is tried, the tests that are over soonest come first."""
    if os.environ.get("MUTANT_UNDER_TEST", "") in STAGES or not DURATIONS.exists():
        return
    took: dict[str, float] = json.loads(DURATIONS.read_text())["duration_by_test"]
    items[:] = sorted(
        (item for item in items if took.get(item.nodeid, 0.0) <= SLOW),
        key=lambda item: took.get(item.nodeid, 0.0),
    )


def scores(mutants: Path) -> Iterator[tuple[str, int, list[str]]]:
    """Each room that was tried: its name, how many of its mutants were, and those that survived."""
    for meta in sorted(mutants.glob("src/progressive/**/*.py.meta")):
        exits: dict[str, int | None] = json.loads(meta.read_text())["exit_code_by_key"]
        tried = {name: code for name, code in exits.items() if code is not None}
        if tried:
            yield (
                str(meta.relative_to(mutants / "src" / "progressive"))[: -len(".meta")],
                len(tried),
                [name for name in tried if tried[name] == 0],
            )


def main() -> None:
    """Print the table."""
    tried = survived = 0
    for room, of, alive in scores(Path("mutants")):
        print(
            f"{room:32} {of - len(alive):5} of {of:5} killed  {100 * (of - len(alive)) / of:6.1f} %"
        )
        tried, survived = tried + of, survived + len(alive)
    print(
        f"{'all that were tried':32} {tried - survived:5} of {tried:5} killed  "
        f"{100 * (tried - survived) / max(tried, 1):6.1f} %"
    )


if __name__ == "__main__":
    main()
