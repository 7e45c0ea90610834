"""Threads for calls that may hang: one at once for each, and who is done takes the next."""

from __future__ import annotations

import contextvars
import os
import threading
import time
from queue import SimpleQueue

import pytest

from progressive.adapters import apart_threads
from progressive.adapters.apart_threads import IDLE, begin

LONG = 20.0
USER: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")


@pytest.fixture(autouse=True)
def _none_waits_from_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is busy with a call of a test before, after which it would wait."""
    within(lambda: not any(t.name.startswith("progressive") for t in threading.enumerate()))
    monkeypatch.setattr(apart_threads, "_idle", [])


def within(condition: object) -> bool:
    assert callable(condition)
    ends = time.monotonic() + LONG
    while not condition() and time.monotonic() < ends:
        time.sleep(0.001)
    return bool(condition())


def made_by() -> threading.Thread:
    """The thread that makes a call now, as soon as it waits for the next."""
    made: SimpleQueue[threading.Thread] = SimpleQueue()
    begin(lambda: made.put(threading.current_thread()), name="progressive-test")
    thread = made.get(timeout=LONG)
    assert within(lambda: thread.name == IDLE and apart_threads._idle)
    return thread


def test_a_thread_that_is_done_makes_the_next_call() -> None:
    assert made_by() is made_by()


def test_a_call_that_hangs_has_its_thread_for_itself() -> None:
    hang, waiting = threading.Event(), made_by()
    begin(lambda: hang.wait(LONG), name="progressive-hung")
    other = made_by()

    assert other is not waiting
    assert waiting.name == "progressive-hung"
    hang.set()


def test_a_thread_ends_when_no_call_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart_threads, "LINGER", 0.01)
    thread = made_by_one_that_may_be_gone()
    thread.join(LONG)

    assert not thread.is_alive()
    assert apart_threads._idle == []


def made_by_one_that_may_be_gone() -> threading.Thread:
    made: SimpleQueue[threading.Thread] = SimpleQueue()
    begin(lambda: made.put(threading.current_thread()), name="progressive-test")
    return made.get(timeout=LONG)


def test_a_thread_that_was_taken_when_it_wanted_to_end_makes_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(apart_threads, "LINGER", 0.01)
    inbox: SimpleQueue[apart_threads._Call] = SimpleQueue()
    thread = threading.Thread(target=apart_threads._make_calls, args=(inbox,), daemon=True)
    thread.start()  # as if its inbox had been taken: it is not in the list
    time.sleep(0.05)
    made = threading.Event()
    inbox.put((made.set, contextvars.Context(), "progressive-test"))

    assert made.wait(LONG)
    thread.join(LONG)
    assert not thread.is_alive()


def test_what_one_call_leaves_in_its_context_no_other_sees() -> None:
    seen: SimpleQueue[str] = SimpleQueue()
    begin(lambda: USER.set("eve"), name="progressive-test")
    made_by()
    begin(lambda: seen.put(USER.get()), name="progressive-test")

    assert seen.get(timeout=LONG) == "nobody"


def test_a_call_that_ends_its_thread_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: SimpleQueue[object] = SimpleQueue()
    monkeypatch.setattr(threading, "excepthook", lambda args: raised.put(args.exc_value))
    thread = made_by()

    def leaves() -> None:
        raise SystemExit("bye")

    begin(leaves, name="progressive-test")

    assert str(raised.get(timeout=LONG)) == "bye"
    thread.join(LONG)
    assert apart_threads._idle == []


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_starts_threads_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # what is emptied is the list itself
    made_by()
    child = os.fork()
    if not child:
        made = threading.Event()
        begin(made.set, name="progressive-test")
        os._exit(0 if made.wait(LONG) else 1)
    _, status = os.waitpid(child, 0)

    assert status == 0
