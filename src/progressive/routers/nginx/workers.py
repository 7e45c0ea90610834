"""The processes of nginx on this machine: which of them answer, by which configuration."""

from __future__ import annotations

import sys
from pathlib import Path

import attrs

from progressive.adapters.flow import Fault
from progressive.adapters.local import Job
from progressive.errors import Failure

__all__ = ["LookAtWorkers", "Workers"]


@attrs.frozen
class Workers:
    """The worker processes by number: all of them, and those that are shutting down. These answer
    what they had begun.
    """

    all: frozenset[int] = frozenset()
    leaving: frozenset[int] = frozenset()


@attrs.frozen
class LookAtWorkers(Job[Workers]):
    """Look for the workers of the nginx whose process is named in ``pid_file``. Linux only."""

    pid_file: str

    @property
    def label(self) -> str:
        return f"workers of {self.pid_file}"

    def do(self, ends: float) -> Workers | Fault:
        if not sys.platform.startswith("linux"):
            return _unseen("workers are seen on Linux only")
        try:
            master = int(Path(self.pid_file).read_text())
        except (OSError, ValueError) as error:
            return _unseen(f"no process is named there ({type(error).__name__}); is nginx running?")
        try:
            children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        except OSError:
            return _unseen(f"no process {master} is seen from here")
        if b"master process" not in _title(str(master)):
            return _unseen(f"process {master} is no master of nginx")
        titles = {int(child): _title(child) for child in children}
        workers = {child: title for child, title in titles.items() if b"worker process" in title}
        if not workers:
            return _unseen(f"process {master} has no worker that is seen from here")
        leaving = (child for child, title in workers.items() if b"is shutting down" in title)
        return Workers(frozenset(workers), frozenset(leaving))


def _title(process: str) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:  # it has ended just now
        return b""


def _unseen(why: str) -> Fault:
    return Fault(Failure.PERMANENT, f"{why}; name the pid file that nginx writes, or pid_file=None")
