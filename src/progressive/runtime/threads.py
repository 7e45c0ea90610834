"""Calls that may hang, each in a thread of its own and for a limited time.

No pool: hung calls would fill it, and then the call that lowers traffic would wait behind them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from progressive.adapters.waiting import Apart

__all__ = ["acall_within", "begin", "call_in_thread", "call_within"]

P = ParamSpec("P")
T = TypeVar("T")


def _begun(function: Callable[[], T]) -> Apart[T]:
    from progressive.adapters.waiting import Apart  # `import progressive` loads no adapter

    return Apart(function)


def begin(function: Callable[[], object], *, name: str) -> None:
    """Have a function called in a thread of this name, and return at once."""
    from progressive.adapters import apart_threads

    apart_threads.begin(function, name=name)


def call_within(function: Callable[[], T], seconds: float) -> T:
    """Call a function, and return its value or raise its error.

    Raises `TimeoutError` after ``seconds``; the call then goes on in its thread, and its outcome is
    dropped.
    """
    call = _begun(function)
    try:
        return call.wait(time.monotonic() + seconds)
    except TimeoutError:
        if call.is_over:  # its own error
            raise
        raise TimeoutError(f"no answer within {seconds:g} s") from None


async def acall_within(function: Callable[[], T], seconds: float) -> T:
    """`call_within` for asyncio."""
    call = _begun(function)
    try:
        return await call.await_(time.monotonic() + seconds)
    except TimeoutError:
        if call.is_over:
            raise
        raise TimeoutError(f"no answer within {seconds:g} s") from None


async def call_in_thread(function: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """Await a function that runs in a thread of its own.

    If this is cancelled, the call goes on in its thread, and its outcome is dropped.
    """
    return await _begun(partial(function, *args, **named)).await_()
