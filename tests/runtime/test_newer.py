"""Drivers that sleep hear of what others submit, and ask the store for it together."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from tests.support.rules import rule
from tests.support.world import ERRORS, RELEASE

from progressive import (
    Abort,
    Canary,
    Limit,
    Phase,
    Ports,
    hours,
    percent,
    percents,
    submit,
)
from progressive.errors import StoreError
from progressive.runtime.drive import arun, atry_load, iterate, run, try_load
from progressive.runtime.newer import Newer, _Sleeper, newer_in
from progressive.runtime.start import start
from progressive.testing import MemoryRouter, MemoryStore, ScriptedMetrics, steady

LONG = Canary(
    weights=percents(10, 100),
    bake=hours(1),
    checks=[Limit(ERRORS, at_most=percent(5))],
    interval=hours(1),
    early=False,
    watch_every=hours(2),
)


class Counting(MemoryStore):
    """Counts the looks of drivers that sleep, and can be down."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Sequence[str]] = []
        self.loads = 0
        self.down = False

    def serials(self, ids: Sequence[str]) -> Mapping[str, int]:
        self.asked.append(ids)
        if self.down:
            raise StoreError("away")
        return super().serials(ids)

    def load(self, id: str) -> Any:
        self.loads += 1
        return super().load(id)


def ports(store: Any) -> Ports:
    return Ports(
        router=MemoryRouter(),
        metrics=[ScriptedMetrics({ERRORS: steady(50, stable=0.0, candidate=0.0)})],
        store=store,
    )


def abort(store: Any, id: str, bound: Ports) -> None:
    submit(store, id, Abort(at=bound.clock(), by="eve", why="enough"))


@rule("R27")
def test_many_drivers_look_together_and_each_hears_its_own_word() -> None:
    store, many = Counting(), 20

    async def drive() -> tuple[list[Phase], int, int]:
        bound = [ports(store) for _ in range(many)]
        for i, each in enumerate(bound):
            release = (
                RELEASE
                if i == 0
                else type(RELEASE)(
                    service=f"s{i}", stable=RELEASE.stable, candidate=RELEASE.candidate
                )
            )
            start(LONG, release, id=f"r{i}", ports=each)
        running = [asyncio.create_task(arun(f"r{i}", each)) for i, each in enumerate(bound)]
        for _ in range(200):
            if len(store.asked) > 3:
                break
            await asyncio.sleep(0.05)
        loads, looks = store.loads, len(store.asked)
        await asyncio.sleep(1.5)
        quiet, asked = store.loads - loads, len(store.asked) - looks
        for i, each in enumerate(bound):
            abort(store, f"r{i}", each)
        outcomes = await asyncio.gather(*running)
        return [each.rollout.phase for each in outcomes], quiet, asked

    phases, quiet, asked = asyncio.run(drive())

    assert phases == [Phase.ROLLED_BACK] * many
    assert quiet == 0, "nobody loads a rollout that nobody has changed"
    assert 1 <= asked <= 2 * many, "each look is for all of them"
    assert all(len(ids) == many for ids in store.asked[3:5])


@rule("R25", "R27")
def test_a_store_that_is_down_meanwhile_is_asked_again() -> None:
    store = Counting()
    bound = ports(store)
    start(LONG, RELEASE, id="r", ports=bound)
    naps: list[int] = []

    def sleep(_: float) -> None:
        naps.append(1)
        store.down = len(naps) < 4
        if len(naps) == 5:
            abort(store, "r", bound)

    last = list(iterate("r", bound, sleep=sleep))[-1]

    assert last.rollout.phase is Phase.ROLLED_BACK
    assert 5 <= len(naps) < 12


def test_one_that_can_not_tell_is_loaded() -> None:
    class Plain:
        def __init__(self) -> None:
            self.store = MemoryStore()

        def __getattr__(self, name: str) -> Any:
            if name == "serials":
                raise AttributeError(name)
            return getattr(self.store, name)

    store = Plain()
    bound = ports(store)
    start(LONG, RELEASE, id="r", ports=bound)
    threading.Timer(0.8, abort, (store, "r", bound)).start()

    assert newer_in(store) is None  # type: ignore[arg-type]
    assert run("r", bound).rollout.phase is Phase.ROLLED_BACK


def test_what_drivers_share_ends_with_the_store() -> None:
    store = MemoryStore()
    assert newer_in(store) is newer_in(store)
    shared = weakref.ref(newer_in(store))  # type: ignore[arg-type]
    del store
    gc.collect()

    assert shared() is None
    assert newer_in(None) is None


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_looks_for_itself() -> None:
    store = MemoryStore()
    before = shared(store)
    before._watched = True  # by a thread that a child has not
    child = os.fork()
    if not child:
        os._exit(0 if shared(store) is not before and not shared(store)._watched else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert shared(store) is before


def test_a_store_that_can_not_be_a_key_is_shared_by_nobody() -> None:
    class Unhashable(MemoryStore):
        __hash__ = None  # type: ignore[assignment]

    store = Unhashable()

    assert isinstance(newer_in(store), Newer)
    assert newer_in(store) is not newer_in(store)


class Hung(MemoryStore):
    """Does not answer for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = threading.Event()

    def serials(self, ids: Sequence[str]) -> Mapping[str, int]:
        self.answers.wait(30)
        return super().serials(ids)


@pytest.mark.parametrize("colour", ["is_newer", "ais_newer"])
def test_a_look_that_hangs_is_left_behind_and_no_second_one_begins(colour: str) -> None:
    store = Hung()
    bound = Ports(router=MemoryRouter(), store=store, timeout=hours(1) / 36_000)
    newer = newer_in(store)
    assert newer is not None

    def asked() -> bool:
        if colour == "is_newer":
            return newer.is_newer(bound, "r", 0, newer.looks)
        return asyncio.run(newer.ais_newer(bound, "r", 0, newer.looks))

    try:
        with newer.driving("r"):
            assert [asked(), asked(), asked()] == [False] * 3
            assert newer.looks == 1
    finally:
        store.answers.set()


def test_what_another_began_during_the_nap_is_not_asked_again() -> None:
    store = Counting()
    bound, newer = ports(store), newer_in(store)
    assert newer is not None
    start(LONG, RELEASE, id="r", ports=bound)
    with newer.driving("r"), newer.driving("r"):
        since = newer.looks
        assert newer.is_newer(bound, "r", -1, since)
        assert newer.is_newer(bound, "r", -1, since)
        assert not newer.is_newer(bound, "r", 0, since)
        assert newer.is_newer(bound, "r", None, since)

    assert store.asked == [("r",)]
    assert not newer._driven


async def sleeping(newer: Newer, store: Any, seconds: float = 30.0) -> bool:
    with newer.driving("r"):
        return await newer.becomes_newer(store, "r", 0, seconds)


def shared(store: Any) -> Newer:
    newer = newer_in(store)
    assert newer is not None
    return newer


def test_one_that_sleeps_is_woken_by_what_is_saved_and_else_sleeps_on() -> None:
    store = Counting()
    bound, newer = ports(store), shared(store)
    start(LONG, RELEASE, id="r", ports=bound)

    async def main() -> tuple[bool, bool, bool]:
        slept = await sleeping(newer, store, 0.01)
        nothing = await sleeping(newer, store, 0.0)
        waiting = asyncio.create_task(sleeping(newer, store))
        await asyncio.sleep(0.1)
        abort(store, "r", bound)
        return slept, nothing, await waiting

    assert asyncio.run(main()) == (False, False, True)
    assert asyncio.run(sleeping(newer, store, 0.01)), "what is known already need not be looked for"
    assert not newer._sleepers


def test_one_that_is_awake_already_is_not_woken_again() -> None:
    async def main() -> bool:
        loop = asyncio.get_running_loop()
        sleeper = _Sleeper("r", 0, loop, loop.create_future())
        sleeper.wake()
        sleeper.wake()
        return sleeper.asleep.done()

    assert asyncio.run(main())


def test_a_loop_that_is_gone_is_not_woken_and_the_others_are() -> None:
    store = Counting()
    bound, newer = ports(store), shared(store)
    start(LONG, RELEASE, id="r", ports=bound)
    loop = asyncio.new_event_loop()
    gone = _Sleeper("r", 0, loop, loop.create_future())
    loop.close()
    newer._sleepers.add(gone)
    abort(store, "r", bound)

    assert asyncio.run(sleeping(newer, store))
    newer._sleepers.discard(gone)


class Broken(MemoryStore):
    """Raises what no store should."""

    broken = True

    def serials(self, ids: Sequence[str]) -> Mapping[str, int]:
        if self.broken:
            raise ZeroDivisionError
        return super().serials(ids)


def test_a_look_that_fails_as_none_should_is_reported_and_begun_anew_by_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[Any] = []
    reported = threading.Event()

    def hook(given: Any) -> None:
        said.append(given.exc_type)
        reported.set()

    monkeypatch.setattr(threading, "excepthook", hook)
    store = Broken()
    bound, newer = ports(store), shared(store)
    start(LONG, RELEASE, id="r", ports=bound)

    async def main() -> bool:
        waiting = asyncio.create_task(sleeping(newer, store, 1.5))
        await asyncio.to_thread(reported.wait, 30)
        assert not await waiting
        store.broken = False
        abort(store, "r", bound)
        return await sleeping(newer, store)

    assert asyncio.run(main())
    assert said == [ZeroDivisionError]


class Unread(MemoryStore):
    """Can't be read: it raises, or does not come back in time."""

    def __init__(self, error: Exception | None) -> None:
        super().__init__()
        self.error = error
        self.answers = threading.Event()

    def load(self, id: str) -> Any:
        if self.error is not None:
            raise self.error
        self.answers.wait(30)
        return super().load(id)


@rule("R25")
@pytest.mark.parametrize("error", [StoreError("away"), OSError("disk"), None], ids=str)
def test_a_rollout_that_can_not_be_read_now_is_no_newer_one(error: Exception | None) -> None:
    store = Unread(error)
    bound = Ports(router=MemoryRouter(), store=store, timeout=hours(1) / 36_000)
    try:
        assert try_load(bound, "r") is None
        assert asyncio.run(atry_load(bound, "r")) is None
    finally:
        store.answers.set()
