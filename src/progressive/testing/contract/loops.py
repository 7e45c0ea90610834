"""An event loop called from another thread, so that one set of laws tries sync and async."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Final

import attrs

CLOSING: Final = 5.0
"""Seconds that a loop of our own is given to end; one that a port has blocked for ever is left to
its daemon thread.
"""


@attrs.define
class Beats:
    """Signs of life of an event loop: ``count`` rises as long as the loop runs other tasks."""

    loop: asyncio.AbstractEventLoop
    every: float
    count: int = 0
    stopped: bool = False

    def stop(self) -> None:
        """End them at the next beat."""
        self.stopped = True

    async def run(self) -> None:
        """Beat until it is stopped."""
        while not self.stopped:
            self.count += 1
            await asyncio.sleep(self.every)


@attrs.frozen
class Loop:
    """An event loop, seen from a thread that is not its own."""

    loop: asyncio.AbstractEventLoop

    def call(self, function: Callable[[], Awaitable[Any]]) -> Any:
        """Call an asynchronous function on the loop, wait for its end, and return its result."""

        async def awaited() -> Any:
            return await function()

        return asyncio.run_coroutine_threadsafe(awaited(), self.loop).result()

    def beats(self, every: float) -> Beats:
        """Begin to watch whether the loop is blocked; ``every`` is in seconds."""
        beats = Beats(self.loop, every)
        asyncio.run_coroutine_threadsafe(beats.run(), self.loop)
        return beats


@contextmanager
def own_loop() -> Iterator[Loop]:
    """An event loop in a thread of its own."""
    begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        over = asyncio.Event()
        begun.set_result((asyncio.get_running_loop(), over))
        await over.wait()

    thread = threading.Thread(
        target=lambda: asyncio.run(serve()), daemon=True, name="progressive-contract"
    )
    thread.start()
    loop, over = begun.result()
    try:
        yield Loop(loop)
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(CLOSING)
