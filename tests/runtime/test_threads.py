"""Calls in threads of their own: in time, in this context, and no pool that hung ones fill."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time

import pytest
from tests.support.rules import rule

from progressive.runtime.threads import acall_within, call_in_thread, call_within

USER: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")
SHORT, LONG = 0.05, 20.0


@rule("R19")
def test_a_call_gives_its_value_or_its_error_and_is_left_behind_after_its_time() -> None:
    hang = threading.Event()

    def raises() -> None:
        raise KeyError("no such thing")

    assert call_within(lambda: 3, LONG) == 3
    with pytest.raises(KeyError, match="no such thing"):
        call_within(raises, LONG)
    with pytest.raises(TimeoutError, match=r"no answer within 0\.05 s"):
        call_within(lambda: hang.wait(LONG), SHORT)
    hang.set()


@rule("R19")
def test_the_same_for_asyncio() -> None:
    hang = threading.Event()

    def raises() -> None:
        raise KeyError("no such thing")

    async def main() -> None:
        assert await acall_within(lambda: 3, LONG) == 3
        with pytest.raises(KeyError, match="no such thing"):
            await acall_within(raises, LONG)
        with pytest.raises(TimeoutError, match=r"no answer within 0\.05 s"):
            await acall_within(lambda: hang.wait(LONG), SHORT)
        hang.set()

    asyncio.run(main())


def test_a_timeout_of_the_function_itself_is_its_own_error() -> None:
    def ends() -> None:
        raise TimeoutError("the server took too long")

    with pytest.raises(TimeoutError, match="the server took too long"):
        call_within(ends, LONG)
    with pytest.raises(TimeoutError, match="the server took too long"):
        asyncio.run(acall_within(ends, LONG))


@rule("R19")
def test_a_hundred_hung_calls_delay_no_other() -> None:
    hang = threading.Event()

    async def main() -> None:
        hung = [asyncio.create_task(call_in_thread(hang.wait, LONG)) for _ in range(100)]
        began = time.monotonic()
        assert await call_in_thread(lambda: "here") == "here"
        assert time.monotonic() - began < LONG / 2
        hang.set()
        assert await asyncio.gather(*hung) == [True] * 100

    asyncio.run(main())


def test_a_call_sees_the_context_that_it_was_made_in() -> None:
    USER.set("eve")

    assert call_within(USER.get, LONG) == "eve"
    assert asyncio.run(call_in_thread(USER.get)) == "eve"


def test_an_error_that_no_future_can_carry_comes_as_another() -> None:
    def ends() -> None:
        raise StopIteration("over")

    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(call_in_thread(ends))


def test_an_outcome_that_nobody_waits_for_troubles_nobody() -> None:
    going_on, ended = threading.Event(), threading.Event()

    def slow() -> None:
        going_on.wait(LONG)
        ended.set()

    async def cancelled(*, closed: bool) -> None:
        going_on.clear()
        ended.clear()
        call = asyncio.create_task(call_in_thread(slow))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        if not closed:
            going_on.set()
            await asyncio.to_thread(ended.wait, LONG)
            await asyncio.sleep(SHORT)

    asyncio.run(cancelled(closed=False))
    asyncio.run(cancelled(closed=True))
    going_on.set()  # and its loop is closed by now
    assert ended.wait(LONG)
    for thread in threading.enumerate():
        if thread.name.startswith("progressive-apart"):
            thread.join(LONG)
