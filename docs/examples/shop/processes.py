"""Processes that are gone when they are not needed any more, whatever happens."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

GRACE = 5.0
"""Seconds that a process has to end by itself once it was asked to."""

NAP = 0.1


class Trouble(Exception):
    """The quickstart can't go on; the message says why."""


class Processes:
    """Starts processes, waits for what they do, and ends them all when it is left.

    While it is open, Ctrl-C (and a request to terminate or hang up) is noticed in `wait_until`
    alone, so that nothing is ever half started or half ended. Every process has a group of its own:
    a Ctrl-C in the terminal reaches this one only.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[subprocess.Popen[bytes]] = []
        self._interrupted = False

    def __enter__(self) -> Self:
        heard = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        self._handlers = {number: signal.signal(number, self._interrupt) for number in heard}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._running:
            process.terminate()
        deadline = time.monotonic() + GRACE
        while time.monotonic() < deadline and any(
            process.poll() is None for process in self._running
        ):
            time.sleep(NAP)
        for process in self._running:
            self.kill(process)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self._interrupted = True

    def start(self, name: str, *command: str | Path) -> subprocess.Popen[bytes]:
        """Start a command; what it prints goes to ``name``.log in the folder."""
        with (self._folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._running.append(process)
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End a process with SIGKILL, and wait until it is gone."""
        process.kill()
        process.wait()

    def log(self, name: str) -> str:
        """What a process has printed."""
        return (self._folder / f"{name}.log").read_text(errors="replace").strip()

    def wait_until(self, what: str, condition: Callable[[], bool], within: float) -> None:
        """Wait until it is so. `Trouble` after ``within`` seconds in which it was not,
        `KeyboardInterrupt` after a Ctrl-C.
        """
        deadline = time.monotonic() + within
        while not condition():
            if self._interrupted:
                raise KeyboardInterrupt
            if time.monotonic() > deadline:
                raise Trouble(f"waited {within:g} s for {what}")
            time.sleep(NAP)
