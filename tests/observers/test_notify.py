"""`Notify` tells what is to be told, late for nobody, and again after a crash."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import attrs
import pytest
from tests.notify.test_sending import STATES, STORE, STRATEGY, WANTED, Desk
from tests.support.rules import rule
from tests.support.world import ERRORS, RELEASE, START

from progressive import (
    Hold,
    Phase,
    Ports,
    StrategyError,
    iterate,
    seconds,
    start,
    submit,
    tick,
)
from progressive.errors import ConflictError, StoreError
from progressive.model.delivery import Delivery
from progressive.model.message import Message
from progressive.notify.sending import BACKOFF, CLAIM
from progressive.observers import notify as module
from progressive.observers.notify import Notify, Subscription
from progressive.stores.sqlite import SqliteStore
from progressive.stores.sqlite_outbox import SqliteOutbox
from progressive.testing import (
    MemoryOutbox,
    MemoryRouter,
    MemoryStore,
    ScriptedMetrics,
    VirtualClock,
    steady,
)


def ids(desk: Desk) -> list[str]:
    return [message.id for message in desk.sent]


def to(desk: Any, name: str = "desk", **more: Any) -> Subscription:
    return Subscription(desk, name=name, **more)


def ports(store: Any, *observers: Any, clock: Any = None) -> Ports:
    numbers = steady(50, stable=0.001, candidate=0.2)
    return Ports(
        router=MemoryRouter(),
        metrics=[ScriptedMetrics({ERRORS: numbers})],
        store=store,
        clock=clock or VirtualClock(START),
        observers=observers,
    )


def driven(bound: Ports) -> Phase:
    clock: Any = bound.clock
    first = start(STRATEGY, RELEASE, id="shop-2", ports=bound)
    for decision in iterate(first, bound, sleep=lambda nap: clock.advance(seconds(nap))):
        last = decision.rollout
    return last.phase


def test_a_drive_has_told_everything_at_its_end() -> None:
    store, outbox, clock = MemoryStore(), MemoryOutbox(), VirtualClock(START)
    desk, live = Desk(), Desk(updates=True)
    driven(
        ports(store, Notify(store, outbox, to(desk), to(live, "live"), clock=clock), clock=clock)
    )

    assert ids(desk) == WANTED
    assert ids(live)[-1] == WANTED[-1] and len(ids(live)) < len(WANTED)
    assert outbox.open() == []


class Hanging(Desk):
    """A sender that hangs until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def send(self, message: Message, handle: str) -> str:
        self.let_go.wait(60)
        return super().send(message, handle)


@rule("R11")
def test_who_hangs_keeps_neither_a_rollout_nor_another_destination_waiting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "TICK", seconds(0.1))
    monkeypatch.setattr(module, "FLUSH", seconds(0.2))
    store, outbox, clock = MemoryStore(), MemoryOutbox(), VirtualClock(START)
    desk, hanging = Desk(), Hanging()
    notify = Notify(store, outbox, to(hanging, "hanging"), to(desk), clock=clock)

    assert driven(ports(store, notify, clock=clock)) is Phase.ROLLED_BACK
    assert ids(desk) == WANTED
    assert hanging.sent == []
    assert "not told yet: hanging; it is in the outbox" in caplog.text
    hanging.let_go.set()
    assert notify.flush(seconds(30)) == ()
    assert ids(hanging) == WANTED


def test_a_single_tick_tells_what_it_decided() -> None:
    store, outbox, clock = MemoryStore(), MemoryOutbox(), VirtualClock(START)
    desk, pager = Desk(), Desk()
    told = to(desk), to(pager, "pager", at_least="error")
    bound = ports(store, Notify(store, outbox, *told, clock=clock), clock=clock)
    start(STRATEGY, RELEASE, id="shop-2", ports=bound)
    while True:
        decision = tick("shop-2", bound)
        known = [id for id in WANTED if int(id.split("/")[1]) <= decision.rollout.serial]
        assert ids(desk) == known
        if decision.rollout.over:
            break
        clock.until(decision.wake_at)

    assert (ids(desk), ids(pager)) == (WANTED, [])
    assert outbox.open() == []


def test_nobody_is_asked_to_send_what_is_not_for_him(monkeypatch: pytest.MonkeyPatch) -> None:
    """A good version bakes: its looks are for who wants all, and not for the pager."""
    store, outbox, clock = MemoryStore(), MemoryOutbox(), VirtualClock(START)
    desk, pager = Desk(), Desk()
    told = to(desk, at_least="debug"), to(pager, "pager", at_least="error")
    notify = Notify(store, outbox, *told, clock=clock)
    numbers = steady(50, stable=0.001, candidate=0.001)
    bound = attrs.evolve(
        ports(store, notify, clock=clock), metrics=[ScriptedMetrics({ERRORS: numbers})]
    )
    start(STRATEGY, RELEASE, id="shop-2", ports=bound)
    for _ in range(4):
        clock.until(tick("shop-2", bound).wake_at)
    asked: list[str] = []
    honest = module._Line.tell
    monkeypatch.setattr(
        module._Line, "tell", lambda self, id: (asked.append(self.name), honest(self, id))
    )
    tick("shop-2", bound)

    assert asked == ["desk"]
    assert pager.sent == []


def test_a_loop_of_ticks_waits_once_for_who_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TICK", seconds(0.05))
    hanging, waited = Hanging(), list[float]()
    notify = Notify(STORE, MemoryOutbox(), to(hanging, "hanging"))
    [line] = notify._lines
    honest = line.wait
    line.wait = lambda patience: (waited.append(patience), honest(patience))[1]  # type: ignore[func-returns-value, method-assign]
    for state in STATES[:5]:
        notify(state, [])

    assert len(waited) == 1
    hanging.let_go.set()
    assert wait_for(lambda: not line.hangs)
    notify(attrs.evolve(STATES[0], id="another"), [])
    assert len(waited) == 2


def test_a_failure_is_tried_again_while_the_rollout_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("progressive.notify.sending.BACKOFF", (seconds(0.05),))
    outbox, desk = MemoryOutbox(), Desk(plan=["refuses", "lies", "breaks"])
    notify = Notify(STORE, outbox, to(desk))
    with notify.driving(STATES[0]):
        assert wait_for(lambda: not outbox.open() and len(desk.sent) > len(WANTED))

    assert list(dict.fromkeys(ids(desk))) == WANTED


def wait_for(what: Any) -> bool:
    ends = threading.Event()
    for _ in range(600):
        if what():
            return True
        ends.wait(0.05)
    return False


def test_a_store_that_fails_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "AGAIN", seconds(0.05))
    outbox, desk, failures = MemoryOutbox(), Desk(), [StoreError("disk full"), ConflictError("no")]
    honest = outbox.load

    def load(rollout: str, destination: str) -> Delivery | None:
        if failures:
            raise failures.pop()
        return honest(rollout, destination)

    outbox.load = load  # type: ignore[method-assign]
    with Notify(STORE, outbox, to(desk)).driving(STATES[0]):
        assert wait_for(lambda: ids(desk) == WANTED)

    assert "'desk' was not told: disk full" in caplog.text


def test_what_somebody_else_sends_is_looked_at_again_when_their_claim_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, outbox, desk = VirtualClock(START), MemoryOutbox(), Desk()
    outbox.save(
        Delivery(
            rollout="shop-2", destination="desk", revision=1, attempts=1, claimed=START + CLAIM
        )
    )
    monkeypatch.setattr(module, "FLUSH", seconds(0.1))
    with Notify(STORE, outbox, to(desk), clock=clock).driving(STATES[0]):
        pass
    assert desk.sent == []
    clock.advance(CLAIM)
    found = Notify(STORE, outbox, to(desk), clock=clock).deliver()

    assert (found.sent, found.waiting) == (len(WANTED), ())
    assert desk.sent[0].again


def test_deliver_says_what_waits_and_why() -> None:
    clock, outbox = VirtualClock(START), MemoryOutbox()
    good, bad = Desk(), Desk(plan=["refuses"])
    notify = Notify(STORE, outbox, to(good, "good"), to(bad, "bad"), clock=clock)
    first = notify.deliver("shop-2")
    clock.advance(BACKOFF[0])
    second = notify.deliver()

    assert first.sent == len(WANTED)
    assert [(each.destination, each.failed) for each in first.waiting] == [
        ("bad", "answered 400: no")
    ]
    assert (second.sent, second.waiting) == (len(WANTED), ())
    assert notify.deliver() == module.Delivered(sent=0, waiting=())


@pytest.mark.parametrize("id", [STATES[0], "shop v2", "../x", None, ""])
def test_what_is_no_id_is_said_before_anybody_is_told(id: Any) -> None:
    desk = Desk()
    with pytest.raises(StrategyError, match=r"Notify\.deliver\(id\)"):
        Notify(STORE, MemoryOutbox(), to(desk)).deliver("shop-2", id)
    assert desk.sent == []


def test_what_hangs_at_the_end_of_a_rollout_is_found_again_by_the_next_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also of a rollout that its thread had not come to."""
    monkeypatch.setattr(module, "FLUSH", seconds(0.05))
    outbox, hanging = MemoryOutbox(), Hanging()
    first = Notify(STORE, outbox, to(hanging, "hanging"))
    for id in ("another", "shop-2"):
        with first.driving(attrs.evolve(STATES[0], id=id)):
            pass
    desk = Desk()
    clock = VirtualClock(START)
    clock.now = module.utcnow() + CLAIM
    found = Notify(STORE, outbox, to(desk, "hanging"), clock=clock).deliver()
    hanging.let_go.set()

    assert found.sent == len(WANTED)
    assert ids(desk) == WANTED


def test_one_rollout_or_destination_that_fails_keeps_the_others_from_nothing() -> None:
    outbox, hanging, desk = MemoryOutbox(), Hanging(), Desk()
    honest = outbox.load

    def load(rollout: str, destination: str) -> Delivery | None:
        if rollout == "broken":
            raise StoreError("disk full")
        return honest(rollout, destination)

    outbox.load = load  # type: ignore[method-assign]
    notify = Notify(STORE, outbox, to(hanging, "a"), to(desk, "b"))
    threading.Timer(0.5, hanging.let_go.set).start()
    found = notify.deliver("broken", "shop-2")

    assert (ids(desk), ids(hanging)) == (WANTED, WANTED)
    assert [(each.destination, each.failed) for each in found.waiting] == [
        ("a", "disk full"),
        ("b", "disk full"),
    ]


def test_an_outbox_that_can_not_be_written_keeps_no_rollout_from_beginning(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN", seconds(0.05))
    outbox, failures = MemoryOutbox(), [StoreError("read-only")]
    honest = outbox.load

    def load(rollout: str, destination: str) -> Delivery | None:
        if failures:
            raise failures.pop()
        return honest(rollout, destination)

    outbox.load = load  # type: ignore[method-assign]
    desk = Desk()
    with Notify(STORE, outbox, to(desk)).driving(STATES[0]):
        assert wait_for(lambda: ids(desk) == WANTED)

    assert "the outbox can't be written: read-only" in caplog.text


def test_what_a_person_has_submitted_is_told_with_the_next_tick() -> None:
    """A hold is stored by who submits it, and no observer hears of that."""
    store, clock, desk = MemoryStore(), VirtualClock(START), Desk()
    numbers = steady(50, stable=0.001, candidate=0.001)
    notify = Notify(store, MemoryOutbox(), to(desk, kinds=["entered"]), clock=clock)
    bound = Ports(
        router=MemoryRouter(),
        metrics=[ScriptedMetrics({ERRORS: numbers})],
        store=store,
        clock=clock,
        observers=[notify],
    )
    start(STRATEGY, RELEASE, id="shop-2", ports=bound)
    clock.until(tick("shop-2", bound).wake_at or START)
    submit(store, "shop-2", Hold(at=clock(), by="eve", why="lunch"))
    notify(store.load("shop-2"), [])  # type: ignore[arg-type]

    assert [message.phase for message in desk.sent][-1] == "held"


def test_a_delivery_that_was_overtaken_is_read_again() -> None:
    outbox, desk = MemoryOutbox(), Desk()
    honest, ours = outbox.save, iter([True])

    def save(delivery: Delivery) -> None:
        if next(ours, False):
            raise ConflictError("somebody else is telling it")
        honest(delivery)

    outbox.save = save  # type: ignore[method-assign]
    notify = Notify(STORE, outbox, to(desk))

    assert notify.deliver("shop-2") == module.Delivered(sent=0, waiting=())
    assert notify.deliver("shop-2").sent == len(WANTED)


CHILD = """
import os, signal, sys
from tests.observers.test_notify import *

class Killing(Desk):
    def send(self, message, handle):
        os.kill(os.getpid(), signal.SIGKILL)

def kill(rollout, notes):
    if rollout.routing.desired.candidate.ppm:
        os.kill(os.getpid(), signal.SIGKILL)

folder, when = sys.argv[1:]
store, outbox = SqliteStore(f"{folder}/r.db"), SqliteOutbox(f"{folder}/r.db")
clock = VirtualClock(START)
sender = Killing() if when == "while it is sent" else Desk()
notify = Notify(store, outbox, to(sender), clock=clock)
observers = [notify] if when == "while it is sent" else [kill, notify]
driven(ports(store, *observers, clock=clock))
"""


@rule("R4")
@pytest.mark.parametrize("when", ["while it is sent", "before it is sent"])
def test_what_a_killed_process_had_saved_is_told_by_the_next(when: str, tmp_path: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), when],
        cwd=Path(__file__).parents[2],
        check=False,
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -9, killed.stderr
    store, outbox = SqliteStore(tmp_path / "r.db"), SqliteOutbox(tmp_path / "r.db")
    desk, clock = Desk(), VirtualClock(START + 10 * CLAIM)
    notify = Notify(store, outbox, to(desk), clock=clock)
    tick("shop-2", ports(store, notify, clock=clock))
    notify.deliver()  # where it was killed at its very end, nothing is left to tick

    saved = [id for id in WANTED if id in dict(store.notes("shop-2"))]
    assert ids(desk)[: len(saved)] == saved
    assert desk.sent[0].again is (when == "while it is sent")


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (lambda: Notify(STORE, MemoryOutbox()), "nobody is told anything; give a sender such as"),
        (
            lambda: Notify(STORE, MemoryOutbox(), Desk(), Desk()),
            (
                "two destinations are called 'desk'; give each its own: Subscription(..., "
                "name='desk-2')"
            ),
        ),
        (lambda: Notify(MemoryOutbox(), MemoryOutbox(), Desk()), "is no store; write Notify(store"),
        (lambda: Notify(STORE, STORE, Desk()), "is no outbox; write Notify(store, outbox, ...)"),
        (lambda: Notify(STORE, MemoryOutbox, Desk()), "is no outbox"),
        (lambda: Notify(STORE, MemoryOutbox(), print), "has no send(message, handle)"),
    ],
)
def test_what_is_wrong_is_said_with_what_would_be_right(made: Any, problem: str) -> None:
    with pytest.raises(StrategyError) as caught:
        made()

    assert problem in str(caught.value)
