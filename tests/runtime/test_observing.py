"""Observers are told everything in order, and delay nothing."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import attrs
import pytest
from tests.support.rules import rule
from tests.support.world import RELEASE, START, canary

from progressive import Abort, Ports, Tick, begin, decide, submit
from progressive.engine.decide import Decision
from progressive.errors import Failure, StoreError
from progressive.runtime import observing as room
from progressive.runtime.observing import Observing, told_of_driving
from progressive.testing import MemoryRouter, MemoryStore, VirtualClock

LONG = 20.0


def decisions(count: int) -> list[Decision]:
    rollout = begin(canary().plan, RELEASE, id="r", at=START)
    decision = decide(rollout, Tick(at=START))
    note = decide(rollout, Abort(at=START, by="eve", why="enough")).notes
    return [
        attrs.evolve(decision, notes=note, wake_at=START + timedelta(seconds=n))
        for n in range(count)
    ]


def observing(*observers: Callable[[Any, Any], object]) -> Observing:
    return Observing(Ports(router=MemoryRouter(), observers=observers, clock=VirtualClock(START)))


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_they_are_told_in_order_and_waited_for(colour: str) -> None:
    told: list[str] = []
    both = observing(lambda r, n: told.append("first"), lambda r, n: told.append("second"))
    for decision in decisions(3):
        both.tell(decision)
    if colour == "sync":
        both.wait()
    else:
        asyncio.run(both.await_all())

    assert told == ["first", "second"] * 3


def test_without_notes_or_observers_nobody_is_called() -> None:
    told: list[object] = []
    one = observing(lambda r, n: told.append(r))
    one.tell(attrs.evolve(decisions(1)[0], notes=()))
    observing().tell(decisions(1)[0])
    one.wait()
    asyncio.run(one.await_all())

    assert told == []


@rule("R46")
def test_one_that_hangs_is_waited_for_until_the_next_tick_and_told_the_rest_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "KEPT", 2)
    hang, told = threading.Event(), []

    def slow(rollout: Any, notes: Any) -> None:
        hang.wait(LONG)
        told.append(rollout)

    one = observing(slow)
    began = time.monotonic()
    for decision in decisions(5):
        one.tell(decision)
        one.wait(START)
    assert time.monotonic() - began < LONG / 2
    hang.set()
    one.wait()

    assert len(told) == 3, "the one that hung, and the two latest"


@rule("R46")
def test_errors_of_observers_go_to_the_hook_for_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: raised.append(args.exc_value))

    def angry(rollout: Any, notes: Any) -> None:
        raise ValueError("no")

    one = observing(angry)
    one.tell(decisions(1)[0])
    one.wait()

    assert [str(error) for error in raised] == ["no"]


class Shown:
    """An observer that is told when driving begins and ends."""

    def __init__(self, *, fails: str = "") -> None:
        self.said: list[str] = []
        self.fails = fails

    def __call__(self, rollout: Any, notes: Any) -> None:
        self.said.append("told")

    @contextmanager
    def driving(self, rollout: Any) -> Iterator[None]:
        self._say("begins")
        try:
            yield
        finally:
            self._say("ends")

    def _say(self, what: str) -> None:
        self.said.append(what)
        if self.fails == what:
            raise ValueError(what)


class Notes(MemoryStore):
    """A store whose notes can't be read, as long as that is so."""

    down = False

    def notes(self, id: str) -> Any:
        if self.down:
            raise StoreError("the disk is away", failure=Failure.TRANSIENT)
        return super().notes(id)


def test_what_others_save_is_overheard_by_those_who_want_to_and_disturbs_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raised: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: raised.append(str(args.exc_value)))

    class Listening:
        def __init__(self, ill: bool = False) -> None:
            self.ill, self.heard = ill, list[str]()

        def __call__(self, rollout: Any, notes: Any) -> None:
            raise AssertionError("it is for what this driver decides")

        def overheard(self, rollout: Any, notes: Any) -> None:
            if self.ill:
                raise RuntimeError("no ears")
            self.heard += [str(note) for note in notes]

    ill, well, store = Listening(ill=True), Listening(), Notes()
    rollout = begin(canary().plan, RELEASE, id="r", at=START)
    store.save(rollout, (), expected=None)
    decision = submit(store, "r", Abort(at=START, by="eve", why="enough"))
    ports = Ports(
        router=MemoryRouter(),
        observers=[ill, lambda r, n: None, well],
        store=store,
        clock=VirtualClock(START),
    )
    told = Observing(ports)
    told.overhear(decision.rollout, rollout.serial)
    told.wait()
    assert (raised, well.heard[0]) == (["no ears"], "eve: abort (enough)")

    store.down = True
    told.overhear(decision.rollout, rollout.serial)
    told.wait()
    assert raised[1:] == ["the disk is away"]


@pytest.mark.parametrize("fails", ["", "begins", "ends"])
def test_one_that_wants_to_know_when_driving_begins_and_ends_is_told_and_disturbs_nothing(
    fails: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda given: raised.append(str(given.exc_value)))
    first, other = Shown(fails=fails), Shown()
    rollout = begin(canary().plan, RELEASE, id="r", at=START)
    ports = Ports(router=MemoryRouter(), observers=[first, print, other])
    with pytest.raises(KeyError), told_of_driving(ports, rollout):
        raise KeyError

    assert other.said == ["begins", "ends"]
    assert first.said == (["begins"] if fails == "begins" else ["begins", "ends"])
    assert raised == ([fails] if fails else [])
