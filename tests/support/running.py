"""A server of a test: started when it is entered, killed when it is left; and requests that are
counted by who answered.
"""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

PATIENCE = 60.0
"""Seconds until a test gives up waiting. Nothing waits that long unless it is broken."""


class Running:
    """A process; a server gives `start`, which calls `launch` and waits until it answers."""

    _process: subprocess.Popen[bytes] | None = None
    _log: Path

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        raise NotImplementedError

    def launch(self, command: Sequence[str | Path], log: Path, **environment: str) -> None:
        """Start the process; what it prints goes to ``log``."""
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=output, env={**os.environ, **environment}
            )

    def require_alive(self) -> None:
        """Fail with what it printed if it has ended."""
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"{type(self).__name__} ended: {self._log.read_text()}")

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Die and come back."""
        self.stop()
        self.start()


def answered(
    url: str, count: int, path: str = "/", headers: Mapping[str, str] | None = None
) -> Counter[str]:
    """Send requests, one after the other; how many were answered by whom (or with which status, if
    not 200).
    """
    with httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE) as client:
        answers = (client.get(path, headers=headers) for _ in range(count))
        return Counter(
            answer.text if answer.status_code == 200 else str(answer.status_code)
            for answer in answers
        )
