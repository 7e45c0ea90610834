"""A system in memory that can be broken, for ports that ask one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import attrs

from progressive.testing import Breakage, Breakages

PATIENCE = 0.3
"""Seconds after which a client gives up waiting."""


class Nonsense(ValueError):
    """The client of the system can't read what came."""


@attrs.define
class Breakable:
    """Ask before you answer: `asked` raises, or waits and raises, while the system is broken."""

    mode: str = ""

    @contextmanager
    def breaking(self, how: str) -> Iterator[None]:
        self.mode = how
        try:
            yield
        finally:
            self.mode = ""

    @property
    def breakages(self) -> Breakages:
        ways: tuple[Breakage, ...] = ("refuse", "fail", "garble", "hang")
        made: dict[Breakage, Callable[[], AbstractContextManager[None]]] = {
            way: partial(self.breaking, way) for way in ways
        }
        return made

    def asked(self) -> None:
        if self.mode == "hang":
            time.sleep(PATIENCE)
            raise TimeoutError("no answer")
        self._raise()

    async def aasked(self) -> None:
        if self.mode == "hang":
            await asyncio.sleep(PATIENCE)
            raise TimeoutError("no answer")
        self._raise()

    def _raise(self) -> None:
        if self.mode == "refuse":
            raise ConnectionRefusedError("connection refused")
        if self.mode == "fail":
            raise LookupError("503 service unavailable")
        if self.mode == "garble":
            raise Nonsense("<html>")
