"""Calls that may hang, each in a thread of its own and for a limited time.

No pool: hung calls would fill it, and then the call that lowers traffic would wait behind them.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import ParamSpec, TypeAlias, TypeVar

__all__ = ["acall_within", "call_in_thread", "call_within"]

P = ParamSpec("P")
T = TypeVar("T")
Done: TypeAlias = Callable[[T | None, BaseException | None], None]


def _start(function: Callable[[], T], done: Done[T]) -> None:
    """Run a function in a new daemon thread, in this context; ``done`` is called there with its
    value, or with what it raised.
    """

    def run() -> None:
        try:
            value = function()
        except BaseException as error:
            done(None, error)
        else:
            done(value, None)

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(run,), daemon=True)
    thread.name = f"progressive-{thread.name}"
    thread.start()


def call_within(function: Callable[[], T], seconds: float) -> T:
    """Call a function, and return its value or raise its error.

    Raises `TimeoutError` after ``seconds``; the call then goes on in its thread, and its outcome is
    dropped.
    """
    outcomes: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()
    _start(function, lambda value, error: outcomes.put((value, error)))
    try:
        value, error = outcomes.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    if error is not None:
        raise error
    return value  # type: ignore[return-value]  # there is no error


async def call_in_thread(function: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """Await a function that runs in a thread of its own.

    If this is cancelled, the call goes on in its thread, and its outcome is dropped.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if future.done():  # cancelled
            return
        if error is None:
            future.set_result(value)  # type: ignore[arg-type]
        elif isinstance(error, StopIteration):  # which no future can carry
            future.set_exception(RuntimeError(f"{error!r}"))
        else:
            future.set_exception(error)

    def done(value: T | None, error: BaseException | None) -> None:
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(settle, value, error)

    _start(partial(function, *args, **named), done)
    return await future


async def acall_within(function: Callable[[], T], seconds: float) -> T:
    """`call_within` for asyncio."""
    try:
        async with asyncio.timeout(seconds):
            return await call_in_thread(function)
    except TimeoutError:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
