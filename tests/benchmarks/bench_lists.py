"""Lists of 10,000 stored rollouts and what is due of them, beside loading one: the first of a
process, one once warm, and one while somebody else saves.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
from figures import SMOKE, best, table

from progressive import (
    Canary,
    Hold,
    Phase,
    Ports,
    Release,
    Rollout,
    Version,
    dumps,
    minutes,
    percents,
    seconds,
    start,
    submit,
    tick,
)
from progressive.stores import database
from progressive.stores.file import FileStore
from progressive.stores.filesystem import stem_of
from progressive.stores.sqlite import SqliteStore
from progressive.testing import MemoryRouter, MemoryStore, VirtualClock

COUNT = 200 if SMOKE else 10_000
RUNNING = COUNT // 20
"""So many of them, the newest, have not ended; every fiftieth of these is held."""

NOW = datetime(2000, 1, 1, tzinfo=UTC)
"""Before any of them is due: what is due is another's work."""

LISTS: dict[str, Callable[[Any], object]] = {
    "a page of the newest 100": lambda store: store.rollouts(),
    "held": lambda store: store.rollouts(phase=Phase.HELD),
    "rolled back": lambda store: store.rollouts(phase=Phase.ROLLED_BACK),
    "waiting for a person": lambda store: store.rollouts(waiting_for_person=True),
    "of one service": lambda store: store.rollouts(service="s3"),
    "what is due": lambda store: store.due(NOW),
}


def samples() -> tuple[Rollout, Rollout, Rollout]:
    """One that bakes, one that is held, one that has gone back."""
    clock, store = VirtualClock(), MemoryStore()
    canary = Canary(weights=percents(1, 10, 50, 100), bake=minutes(10), unguarded="a benchmark")
    release = Release(service="s", stable=Version("v1"), candidate=Version("v2"))
    ports = Ports(router=MemoryRouter(), store=store, clock=clock)
    start(canary, release, id="sample", ports=ports)
    for _ in range(3):
        baking = tick("sample", ports).rollout
        clock.advance(seconds(10))
    hold = Hold(at=clock(), by="eve", why="the database is slow")
    held = submit(store, "sample", hold).rollout
    over = attrs.evolve(
        baking, progress=attrs.evolve(baking.progress, phase=Phase.ROLLED_BACK), wake_at=None
    )
    return baking, held, over


def stored(samples: tuple[Rollout, Rollout, Rollout]) -> list[Rollout]:
    """`COUNT` rollouts of a twentieth as many services, oldest first."""
    baking, held, over = samples
    made = []
    for n in range(COUNT):
        running = n >= COUNT - RUNNING
        sample = (held if n % 50 == 0 else baking) if running else over
        created = sample.clocks.created + timedelta(minutes=n)
        made.append(
            attrs.evolve(
                sample,
                id=f"r{n}",
                release=attrs.evolve(sample.release, service=f"s{n % RUNNING}"),
                clocks=attrs.evolve(sample.clocks, created=created, now=created, entered=created),
            )
        )
    return made


def save_all(store: FileStore | SqliteStore, place: Path, rollouts: list[Rollout]) -> None:
    """Save them; in files as a store would have left them, with the files beside each."""
    for rollout in rollouts:
        if isinstance(store, SqliteStore):
            store.save(rollout, (), expected=None)
            continue
        for suffix in ("notes", "lock", "driver"):
            (place / f"{stem_of(rollout.id)}.{suffix}").touch()
        (place / f"{stem_of(rollout.id)}.json").write_text(dumps(rollout))
    if isinstance(store, FileStore):
        for path in place.iterdir():
            os.utime(path, ns=(1, 1))


def others_saving(
    make: Callable[[], Any], last: Rollout, work: Callable[[], object]
) -> Callable[[], object]:
    """The same work, each time after somebody else has saved."""
    other, serials = make(), iter(range(last.serial + 1, 10**6))

    def save_first() -> None:
        serial = next(serials)
        other.save(attrs.evolve(last, serial=serial), (), expected=serial - 1)

    def worked() -> float:
        save_first()
        began = time.process_time()
        work()
        return time.process_time() - began

    return worked


def main() -> None:
    # What is measured is the reading; to make the disk wait for ten thousand saves takes minutes.
    database.SETTINGS = ("PRAGMA synchronous = OFF",)  # type: ignore[misc]
    rollouts = stored(samples())
    for kind in (SqliteStore, FileStore):
        with tempfile.TemporaryDirectory() as directory:
            place = Path(directory, "rollouts")

            def make(kind: Any = kind, place: Path = place) -> Any:
                return kind(place)

            save_all(make(), place, rollouts)
            rows = []
            for name, ask in LISTS.items():
                store = make()

                def page(store: Any = store, ask: Any = ask) -> object:
                    return ask(store)

                first = best(page, runs=1)
                time.sleep(0 if SMOKE or kind is SqliteStore else 2.1)  # just saved is read again
                page()
                warm = best(page)
                worked = others_saving(make, rollouts[-1], page)
                saving = min(worked() for _ in range(1 if SMOKE else 5))
                rollouts[-1] = store.load(rollouts[-1].id)
                store.load("r7")
                load = best(lambda store=store: store.load("r7"))  # type: ignore[misc]
                rows.append(
                    (
                        name,
                        f"{first * 1e3:.1f} ms",
                        f"{warm * 1e3:.1f} ms",
                        f"{warm / load:.0f}",
                        f"{saving * 1e3:.1f} ms",
                    )
                )
            table(
                f"{kind.__name__}, {COUNT:,} rollouts, {RUNNING:,} of them running (CPU time)",
                ("asked for", "first", "once warm", "in loads of one", "while another saves"),
                rows,
            )


if __name__ == "__main__":
    main()
