"""Progress on a terminal, or in the log of a job: `Progress`.

::

    ports = Ports(..., observers=[Progress()])

In a terminal, with `rich <https://rich.readthedocs.io>`_ (``pip install
progressive-delivery[rich]``), the last lines are one block that is always up to date: step, weight
asked for and served, how far a bake is, each check with its last words, what is waited for. Above
it, and everywhere else, there is a line for whatever changes.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import RLock
from typing import TYPE_CHECKING, TextIO

from progressive.adapters.logs import ADAPTERS
from progressive.errors import StrategyError
from progressive.model.message import one_line
from progressive.rollout.notes import Note
from progressive.rollout.state import Rollout

from .lines import Lines, clock

if TYPE_CHECKING:
    from .live import Block

__all__ = ["Progress"]


class Progress:
    """An observer that says on a terminal what rollouts do, as it happens.

    Also what an adapter tries again, such as a proxy that does not answer, from the first failure
    on. One may observe several rollouts; then each line begins with the rollout's id.

    * ``file``: where to; by default the standard error, whatever that is when something is said.
    * ``live``: whether with a block that is redrawn. By default in a terminal where rich is
      installed; True raises `StrategyError` where it is not.
    """

    def __init__(self, *, file: TextIO | None = None, live: bool | None = None) -> None:
        self._file, self._live = file, live
        if live:
            self._block_of([])
        self._lines: dict[str, Lines] = {}
        self._driven: list[str] = []
        self._block: Block | None = None
        self._lock = RLock()
        self._ear = _Ear(self)

    def __call__(self, rollout: Rollout, notes: Sequence[Note]) -> None:
        """Say what a decision changed."""
        with self._lock:
            if self._block is not None:
                self._block.show(rollout)
            self._say_all(rollout, self._lines_of(rollout).of(rollout, notes))
            if rollout.over:
                self._lines.pop(rollout.id)

    def overheard(self, rollout: Rollout, notes: Sequence[Note]) -> None:
        """Say what others have saved meanwhile: a person's hold, an abort."""
        self(rollout, notes)

    @contextmanager
    def driving(self, rollout: Rollout) -> Iterator[None]:
        """Show the block and listen to adapters while a rollout is driven.

        `progressive.run` and the others do so by themselves.
        """
        with self._lock:
            if not self._driven:
                ADAPTERS.addHandler(self._ear)
                self._block = self._block_of([rollout]) if self._is_live else None
            self._driven.append(rollout.id)
            self._say_all(rollout, self._lines_of(rollout).begin(rollout))
        try:
            yield
        finally:
            with self._lock:
                self._driven.remove(rollout.id)
                if not self._driven:
                    ADAPTERS.removeHandler(self._ear)
                    block, self._block = self._block, None
                    if block is not None:
                        block.end()

    @property
    def _stream(self) -> TextIO:
        return sys.stderr if self._file is None else self._file

    @property
    def _is_live(self) -> bool:
        return self._stream.isatty() if self._live is None else self._live

    def _block_of(self, rollouts: list[Rollout]) -> Block | None:
        try:
            from .live import Block
        except ImportError as error:
            if self._live:
                raise StrategyError(
                    "Progress(live=True) needs rich: pip install 'progressive-delivery[rich]', or "
                    "leave live= out"
                ) from error
            return None
        return Block(rollouts, self._stream) if rollouts else None

    def _lines_of(self, rollout: Rollout) -> Lines:
        return self._lines.setdefault(rollout.id, Lines())

    def _say_all(self, rollout: Rollout, lines: Iterable[str]) -> None:
        several = f"{rollout.id}  " if len(self._lines) > 1 else ""
        for line in lines:
            self._say(f"{several}{line}")

    def _say(self, line: str) -> None:
        line = one_line(line)
        with self._lock:
            if self._block is not None:
                self._block.say(line)
            else:
                print(line, file=self._stream, flush=True)


class _Ear(logging.Handler):
    """Hears what adapters try again, and has it said once until something else is."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(logging.WARNING)
        self._progress = progress
        self._last = ""

    def emit(self, record: logging.LogRecord) -> None:
        said = str(record.args[0]) if isinstance(record.args, tuple) and record.args else ""
        if said != self._last or not said:
            self._last = said
            at = datetime.fromtimestamp(record.created, UTC)
            self._progress._say(f"{clock(at)}  {record.getMessage()}")
