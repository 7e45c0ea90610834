"""The same work by an older version and by this one, side by side.

``nox -s bench -- against 974b845 [NAME ...]``: takes that revision out of the repository, and lets
both work in turns, each time in a process of its own on one core. Printed are medians, the ratio,
and beside them a loop that no version changes. Before that, both decide in the same generated
rollouts, and what they decide is compared. ``--smoke`` measures this version against itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from against.work import WORK
from figures import table

import progressive

HERE = Path(__file__).parent
SMOKE = "--smoke" in sys.argv
TURNS = 1 if SMOKE else 5
DECISIONS = 2_000 if SMOKE else 100_000
LONG = {"explain": 1, "verify": 1, "arun": 1, "simulate-many": 3}
"""Fewer turns, where one takes a minute."""


def source_of(revision: str, folder: Path) -> Path:
    """The library as it was at ``revision``."""
    archive = subprocess.run(
        ["git", "-C", str(HERE.parents[1]), "archive", revision, "src"],
        capture_output=True,
        check=False,
    )
    if archive.returncode:
        sys.exit(f"{revision} can't be taken out: {archive.stderr.decode().strip()}")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder / "src"


def done(name: str, source: Path) -> dict[str, float]:
    """One turn: what the work and the yardstick took."""
    pinned = None if name == "simulate-many" else lambda: os.sched_setaffinity(0, {0})
    ran = subprocess.run(
        [sys.executable, str(HERE / "against" / "work.py"), name],
        env={**os.environ, "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=pinned,
    )
    if ran.returncode:
        sys.exit(f"{name} by {source}:\n{ran.stderr}")
    found: dict[str, float] = json.loads(ran.stdout)
    return found


def compared(there: Path, here: Path) -> None:
    """Say whether both versions decide the same; end with the first rollout where they do not."""
    both = [
        subprocess.Popen(
            [sys.executable, str(HERE / "against" / "digest.py"), str(DECISIONS)],
            env={**os.environ, "PYTHONPATH": str(source)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for source in (there, here)
    ]
    old, new = (each.communicate()[0].splitlines() for each in both)
    if any(each.returncode for each in both):
        sys.exit("a version failed to decide")
    for before, now in zip(old, new, strict=False):
        if before != now:
            sys.exit(f"they do not decide the same:\n  before: {before}\n  now:    {now}")
    count = sum(int(line.split()[0]) for line in new)
    print(f"{count:,} decisions of {len(new):,} generated rollouts are the same", flush=True)


def duration(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e3)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def main(revision: str, names: list[str]) -> None:
    if unknown := [name for name in names if name not in WORK]:
        sys.exit(f"there is no work {unknown[0]!r}; there are {', '.join(WORK)}")
    rows = []
    here = Path(progressive.__file__).parents[1]
    with tempfile.TemporaryDirectory() as folder:
        there = here if SMOKE else source_of(revision, Path(folder))
        compared(there, here)
        for name in names or (("decide", "look") if SMOKE else WORK):
            turns = [
                (done(name, there), done(name, here))
                for _ in range(min(TURNS, LONG.get(name, TURNS)))
            ]
            before, now = (median(turn[i]["took"] for turn in turns) for i in (0, 1))
            yard = [median(turn[i]["yardstick"] for turn in turns) for i in (0, 1)]
            work, _, goal = WORK[name]
            rows.append(
                (
                    " ".join(str(work.__doc__).split()).rstrip("."),
                    duration(before),
                    duration(now),
                    f"{before / now:.2f}",
                    f"{goal:g}",
                    f"{yard[0] / yard[1]:.2f}",
                )
            )
            print(f"  {name}: {before / now:.2f}", file=sys.stderr, flush=True)
    table(
        f"this version beside {revision}, the same decisions",
        ("work", revision, "now", "times less", "goal", "a loop beside it"),
        rows,
    )


if __name__ == "__main__":
    given = [each for each in sys.argv[1:] if not each.startswith("-")]
    main(given[0] if given else "974b845", given[1:])
