"""One pass over all that is due: nobody is left out, and who is late is named."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs
import pytest

from progressive import (
    Canary,
    ConflictError,
    Phase,
    Ports,
    Release,
    StrategyError,
    Traffic,
    Version,
    atick_due,
    minutes,
    percents,
    seconds,
    start,
    tick,
    tick_due,
)
from progressive.errors import StoreError
from progressive.model import Capabilities, Marker, Served
from progressive.rollout.notes import Late
from progressive.runtime import passes
from progressive.runtime.passes import Pass
from progressive.testing import MemoryRouter, MemoryStore, VirtualClock

CANARY = Canary(
    weights=percents(100), bake=minutes(1), watch_every=minutes(1), unguarded="an example of time"
)


class Routers:
    """A router for many services, which takes its time for each read."""

    capabilities = Capabilities(marker=True)

    def __init__(self, clock: VirtualClock, takes: timedelta = timedelta()) -> None:
        self.clock, self.takes = clock, takes
        self.of: dict[str, MemoryRouter] = defaultdict(MemoryRouter)

    def read(self, release: Release) -> Served:
        self.clock.advance(self.takes)
        return self.of[release.service].read(release)

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        return self.of[release.service].apply(release, traffic, marker=marker, expect=expect)


class OneByOne(MemoryStore):
    """A store of somebody's own, written before: 100 by default, and never more than ``most``."""

    most = 100

    def due(self, now: datetime, limit: int | None = 100) -> Sequence[str]:
        assert limit is not None
        return super().due(now, min(limit, self.most))


def many(count: int, *, takes: timedelta = timedelta(), store: MemoryStore | None = None) -> Ports:
    """So many rollouts that have begun at one moment."""
    clock = VirtualClock()
    ports = Ports(router=Routers(clock), store=store or MemoryStore(), clock=clock)
    for n in range(count):
        release = Release(service=f"s{n}", stable=Version("v1"), candidate=Version("v2"))
        start(CANARY, release, id=f"r{n}", ports=ports)
    ports.router.takes = takes  # type: ignore[union-attr]
    return ports


def phases(ports: Ports) -> set[Phase]:
    store: Any = ports.store
    return {rollout.phase for rollout in store.rollouts(limit=10_000)}


def every_minute(ports: Ports, passes: int, **given: Any) -> list[Pass]:
    """A job that begins each minute, or once the one before has ended, if that is later."""
    done, clock = [], ports.clock
    assert isinstance(clock, VirtualClock)
    for _ in range(passes):
        began = clock()
        done.append(tick_due(ports, **given))
        clock.until(began + seconds(30))
    return done


def sync(ports: Ports) -> Pass:
    return tick_due(ports)


def one_at_a_time(ports: Ports) -> Pass:
    return tick_due(ports, at_once=1)


def by_tasks(ports: Ports) -> Pass:
    return asyncio.run(atick_due(ports))


every_way = pytest.mark.parametrize("way", [sync, one_at_a_time, by_tasks])


# ----------------------------------------------------------------------------------- nobody is left


@every_way
@pytest.mark.parametrize("kind", [MemoryStore, OneByOne])
def test_all_that_is_due_is_ticked_once_however_many_there_are(
    way: Callable[[Ports], Pass], kind: type[MemoryStore]
) -> None:
    ports = many(230, store=kind())

    done = way(ports)

    assert sorted(done.ticked) == sorted(f"r{n}" for n in range(230))
    assert (done.late, done.left, done.failed) == ((), (), ())
    assert way(ports) == Pass()


def test_a_thousand_rollouts_are_promoted_by_passes_that_keep_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """25 ms for each are 25 s for all, and a bake may go unread for a minute."""
    ports = many(1000, takes=timedelta(milliseconds=10))

    with caplog.at_level(logging.WARNING, "progressive.passes"):
        done = every_minute(ports, 8, at_once=1)

    assert phases(ports) == {Phase.PROMOTED}
    assert not any(each.late or each.failed for each in done)
    assert not caplog.records


def test_a_thousand_rollouts_that_can_not_be_kept_up_with_are_said_to_be_late_by_name(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Half a second for each: the next one comes more than eight minutes later."""
    ports = many(1000, takes=seconds(0.5))

    with caplog.at_level(logging.WARNING, "progressive.passes"):
        done = every_minute(ports, 4, at_once=1)

    assert Phase.PROMOTED not in phases(ports)
    assert len(done[-1].late) == 1000
    assert done[-1].latest > minutes(5)
    store: Any = ports.store
    for id, by in done[-1].late:
        *_, note = [note for _, note in store.notes(id) if isinstance(note, Late)]
        assert note.by == by
    first, *others = [record.getMessage() for record in caplog.records]
    assert first.startswith("this pass has gone on for 60 s, with ")
    assert "longer than the 60 s that may lie between two reads of r" in first
    worst, by = done[-1].late[0]
    assert others[-1].startswith(
        f"1000 of 1000 were late ({worst} by {by.total_seconds():.0f} s, r"
    )
    assert "tick more at once (at_once=1), or give strategies a longer watch_every" in others[-1]


def test_more_at_once_keep_up_where_one_after_the_other_does_not() -> None:
    """Ten in threads of their own, that meet at the router."""
    meet = threading.Barrier(10, timeout=60)

    class Met(Routers):
        def read(self, release: Release) -> Served:
            meet.wait()
            return super().read(release)

    ports = many(20)
    ports = attrs.evolve(ports, router=Met(VirtualClock()))

    assert len(tick_due(ports, at_once=10).ticked) == 20


def test_the_longest_overdue_comes_first() -> None:
    ports = many(5)
    clock, order = ports.clock, []
    assert isinstance(clock, VirtualClock)
    for n in (3, 1, 4, 0, 2):
        tick(f"r{n}", ports)
        clock.advance(seconds(1))
    clock.advance(minutes(1))
    watching = attrs.evolve(ports, observers=[lambda rollout, notes: order.append(rollout.id)])

    tick_due(watching, at_once=1)

    assert order == ["r3", "r1", "r4", "r0", "r2"]


# ------------------------------------------------------------------------------- one stops no other


class Trouble(MemoryStore):
    """Fails for some of its rollouts, and these stay the longest overdue."""

    def __init__(self, error: Exception, bad: int) -> None:
        super().__init__()
        self.error, self.bad = error, {f"r{n}" for n in range(bad)}
        self.begun = False

    def save(self, rollout: Any, notes: Any, *, expected: int | None) -> None:
        if self.begun and rollout.id in self.bad:
            raise self.error
        super().save(rollout, notes, expected=expected)


@every_way
def test_those_that_fail_hide_no_other_however_many_they_are(
    way: Callable[[Ports], Pass], caplog: pytest.LogCaptureFixture
) -> None:
    """Those that stay due fill the first page of every question."""
    ids = sorted(f"r{n}" for n in range(passes.PIECE + 20))
    store = Trouble(StoreError("the disk is full"), bad=0)
    ports = many(len(ids), store=store)
    store.begun, store.bad = True, set(ids[: passes.PIECE])

    with caplog.at_level(logging.ERROR, "progressive.passes"):
        done = way(ports)

    assert sorted(done.ticked) == ids[passes.PIECE :]
    assert {id for id, _ in done.failed} == store.bad
    assert {record.rollout for record in caplog.records} == store.bad  # type: ignore[attr-defined]
    assert "not ticked: not saved: the disk is full" in caplog.records[0].getMessage()


@every_way
def test_what_others_move_is_left_to_them(way: Callable[[Ports], Pass]) -> None:
    store = Trouble(ConflictError("somebody else moved it"), bad=1)
    ports = many(3, store=store)
    store.begun = True

    done = way(ports)

    assert (sorted(done.ticked), done.left, done.failed) == (["r1", "r2"], ("r0",), ())


def test_a_mistake_of_anybodys_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    store = Trouble(ZeroDivisionError("division by zero"), bad=1)
    ports = many(3, store=store)
    store.begun = True

    done = tick_due(ports)

    assert sorted(done.ticked) == ["r1", "r2"]
    [(id, error)] = done.failed
    assert (id, type(error)) == ("r0", ZeroDivisionError)


@every_way
def test_a_store_that_can_not_say_what_is_due_is_an_error(way: Callable[[Ports], Pass]) -> None:
    class Down(MemoryStore):
        def due(self, now: datetime, limit: int | None = None) -> Sequence[str]:
            raise StoreError("the disk has gone")

    with pytest.raises(StoreError, match="the disk has gone"):
        way(many(3, store=Down()))


@every_way
def test_a_store_that_does_not_answer_is_an_error_in_time(way: Callable[[Ports], Pass]) -> None:
    release = threading.Event()

    class Hanging(MemoryStore):
        def due(self, now: datetime, limit: int | None = None) -> Sequence[str]:
            release.wait(60)
            return []

    ports = attrs.evolve(many(1, store=Hanging()), timeout=timedelta(milliseconds=50))
    try:
        with pytest.raises(StoreError, match=r"what is due: Hanging: no answer within 0\.05 s"):
            way(ports)
    finally:
        release.set()


def test_a_pass_of_tasks_that_is_cancelled_leaves_none_behind() -> None:
    ports = many(20)

    async def cancelled() -> set[Any]:
        begun = asyncio.Event()

        class Waits(MemoryRouter):
            async def aread(self, release: Release) -> Served:
                begun.set()
                await asyncio.Event().wait()
                raise AssertionError("nobody sets it")

        running = asyncio.ensure_future(atick_due(attrs.evolve(ports, router=Waits())))
        await begun.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(cancelled()) == set()


def test_a_pass_that_is_interrupted_ends_what_has_begun_and_begins_nothing_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C comes to the main thread, which waits for the others."""
    ports, begun, ended, made = many(50), list[str](), list[str](), list[Any]()

    class Shown(passes._Running):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            made.append(self)

    def ticked(id: str, ports: Ports) -> Any:
        begun.append(id)
        if len(begun) == 5:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        while len(begun) >= 5 and not made[0].stopped:
            time.sleep(0.001)
        ended.append(id)
        raise ConflictError("this is not about ticks")

    monkeypatch.setattr(passes, "_Running", Shown)
    monkeypatch.setattr(passes, "tick", ticked)

    with pytest.raises(KeyboardInterrupt):
        tick_due(ports, at_once=2)

    assert 5 <= len(begun) <= 6
    assert sorted(ended) == sorted(begun)


# ------------------------------------------------------------------------------------- what it says


def test_a_pass_is_a_line_for_a_person() -> None:
    ports = many(3)

    assert str(tick_due(ports)) == "3 ticked in 0 s"
    assert (
        str(
            Pass(
                ticked=("a", "b"),
                late=(("a", seconds(400)),),
                left=("c",),
                failed=(("d", StoreError("full")),),
                took=seconds(12.4),
            )
        )
        == "2 ticked in 12 s, 1 of them late by up to 400 s, 1 moved by others, 1 failed"
    )


@pytest.mark.parametrize("wrong", [0, -1, 1.5, None])
def test_one_at_a_time_is_the_least(wrong: Any) -> None:
    with pytest.raises(StrategyError, match=r"tick_due\(at_once=\): .* whole number, 1 or more"):
        tick_due(many(0), at_once=wrong)


def test_what_is_due_needs_a_store() -> None:
    with pytest.raises(StrategyError, match=r"tick_due: .* write Ports\(store=...\)"):
        tick_due(Ports(router=MemoryRouter()))
