"""Tick whatever is due, of all services: one pass, for jobs and workers that hold no rollout."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from threading import Condition, Thread
from typing import TYPE_CHECKING, Final

import attrs

from progressive.engine.decide import Decision
from progressive.errors import ConflictError, StoreError, StrategyError
from progressive.model import fields
from progressive.ports import Ports, Store
from progressive.rollout.notes import Late

from .drive import atick, tick
from .threads import acall_within, call_within

if TYPE_CHECKING:
    import asyncio
    import logging

__all__ = ["Pass", "atick_due", "tick_due"]

PIECE: Final = 500
"""Ids that are asked for at a time. What other jobs have ticked meanwhile is then not in the next
ones, and what has become late meanwhile is.
"""

NAMED: Final = 3
"""Rollouts that are named in one line of the log."""


@attrs.frozen(kw_only=True)
class Pass:
    """What one pass has done; ``str(result)`` is a line for a person.

    * ``ticked``: the ids that were ticked and saved.
    * ``late``: those of them that nobody had read for longer than their ``watch_every``, and by how
      much: this time does not count for their bakes. Each has a `Late` note too.
    * ``left``: those that somebody else has moved meanwhile.
    * ``failed``: those that could not be ticked or saved, and why.
    * ``took``: how long the pass took, by the ports' clock.
    """

    ticked: tuple[str, ...] = ()
    late: tuple[tuple[str, timedelta], ...] = ()
    left: tuple[str, ...] = ()
    failed: tuple[tuple[str, Exception], ...] = ()
    took: timedelta = timedelta()

    def __str__(self) -> str:
        line = f"{len(self.ticked)} ticked in {_seconds(self.took)}"
        if self.late:
            line += f", {len(self.late)} of them late by up to {_seconds(self.latest)}"
        if self.left:
            line += f", {len(self.left)} moved by others"
        if self.failed:
            line += f", {len(self.failed)} failed"
        return line

    @property
    def latest(self) -> timedelta:
        """How late the latest of them was."""
        return max((by for _, by in self.late), default=timedelta())


def tick_due(ports: Ports, *, at_once: int = 8) -> Pass:
    """Tick every rollout that is due, of all services, the longest overdue first, each once.

    It ends when none is left that was not ticked, however many there are. One that fails, and one
    that somebody else moves meanwhile, stop no other.

    A bake counts only time between reads that are at most ``watch_every`` apart: so a pass, and the
    time until the next one, must be shorter than that. Where it is not, ``progressive.passes`` says
    so at WARNING while the pass goes on, and at its end which rollouts were late and by how much;
    `Pass.late` and their notes have it too.

    * ``at_once``: how many are ticked at the same time, each in a thread; the ports are called for
      several rollouts at once then.

    Raises `StoreError` if the store can't say what is due, and `StrategyError` if there is none.
    """
    running = _Running(ports, at_once)
    if at_once == 1:
        _work(running)
        return running.result()
    _in_threads(running, at_once)
    return running.result()


async def atick_due(ports: Ports, *, at_once: int = 64) -> Pass:
    """`tick_due` for asyncio; ``at_once`` are tasks, not threads."""
    import asyncio

    running, lock = _Running(ports, at_once), asyncio.Lock()
    workers = [asyncio.ensure_future(_awork(running, lock)) for _ in range(at_once)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return running.result()


def _work(running: _Running) -> None:
    """Tick one after the other until none is left."""
    while (id := running.next()) is not None:
        try:
            running.take(id, tick(id, running.ports))
        except Exception as error:
            running.take_error(id, error)
        finally:
            running.end()


def _in_threads(running: _Running, many: int) -> None:
    """`_work` in so many threads, until all of them have ended. Raises the first error of one.

    After Ctrl-C what has begun is ended, and nothing more begun.
    """
    # Not a pool and not `join`: an interrupt in either may leave a thread behind that still ticks.
    errors: list[BaseException] = []

    def work() -> None:
        try:
            _work(running)
        except BaseException as error:
            errors.append(error)
            running.stop()

    try:
        for n in range(many):
            Thread(target=work, name=f"progressive-tick-due-{n}").start()
        running.wait()
    finally:
        running.stop()
        running.wait()
    if errors:
        raise errors[0]


async def _awork(running: _Running, lock: asyncio.Lock) -> None:
    while True:
        async with lock:
            id = await running.anext()
        if id is None:
            return
        try:
            running.take(id, await atick(id, running.ports))
        except Exception as error:
            running.take_error(id, error)


class _Running:
    """A pass that goes on: what is to be ticked next, and what has become of the others."""

    def __init__(self, ports: Ports, at_once: int) -> None:
        fields.whole(at_once, "tick_due(at_once=)", least=1)
        if ports.store is None:
            raise StrategyError("tick_due: what is due is found in a store; write Ports(store=...)")
        self.ports, self.stopped = ports, False
        self._store: Store = ports.store
        self._at_once = at_once
        self._began = ports.clock()
        self._lock = Condition()
        self._busy = 0
        self._next: deque[str] = deque()
        self._taken: set[str] = set()
        self._ticked: list[str] = []
        self._late: list[tuple[str, timedelta]] = []
        self._left: list[str] = []
        self._failed: list[tuple[str, Exception]] = []
        self._warned = False

    # ---------------------------------------------------------------------------- what is next

    def next(self) -> str | None:
        """Return the next id to tick; None if none is left. For threads."""
        with self._lock:
            limit = PIECE
            while not self._next and not self.stopped:
                try:
                    found = call_within(self._due(limit), self.ports.timeout.total_seconds())
                except TimeoutError as error:
                    raise self._silent(error) from None
                if self._is_end(found, limit):
                    self.stopped = True
                limit *= 2
                if self.stopped:
                    self._lock.notify_all()
            if self.stopped:
                return None
            self._busy += 1
            return self._next.popleft()

    def end(self) -> None:
        """The tick of one that `next` has given is over."""
        with self._lock:
            self._busy -= 1
            self._lock.notify_all()

    def stop(self) -> None:
        """Give no more to tick."""
        with self._lock:
            self.stopped = True
            self._lock.notify_all()

    def wait(self) -> None:
        """Wait until nothing is left to tick, and all that was begun is over."""
        with self._lock:
            self._lock.wait_for(lambda: self.stopped and not self._busy)

    async def anext(self) -> str | None:
        """`next` for asyncio, for one task at a time."""
        limit = PIECE
        while not self._next and not self.stopped:
            try:
                found = await acall_within(self._due(limit), self.ports.timeout.total_seconds())
            except TimeoutError as error:
                raise self._silent(error) from None
            if self._is_end(found, limit):
                self.stopped = True
            limit *= 2
        return None if self.stopped else self._next.popleft()

    def _due(self, limit: int) -> Callable[[], Sequence[str]]:
        return partial(self._store.due, self.ports.clock(), limit)

    def _is_end(self, found: Sequence[str], limit: int) -> bool:
        """Take up what was not ticked yet. True if there is nothing, and the limit has cut nothing
        off behind those that failed and are due still.
        """
        new = [id for id in found if id not in self._taken]
        self._taken.update(new)
        self._next.extend(new)
        return not new and len(found) < limit

    def _silent(self, error: TimeoutError) -> StoreError:
        return StoreError(f"what is due: {type(self._store).__name__}: {error}")

    # ------------------------------------------------------------------------- what became of it

    def take(self, id: str, decision: Decision) -> None:
        """Take the decision of a tick."""
        rollout = decision.rollout
        with self._lock:
            self._ticked.append(id)
            late = max((note.by for note in decision.notes if isinstance(note, Late)), default=None)
            if late is not None:
                self._late.append((id, late))
            so_far = self.ports.clock() - self._began
            warns = not (self._warned or rollout.final) and so_far > rollout.plan.watch_every
            self._warned |= warns
        if warns:
            _log().warning(
                "this pass has gone on for %s, with %d ticked: longer than the %s that may lie "
                "between two reads of %s (watch_every); what is later does not count for bakes; %s",
                _seconds(so_far),
                len(self._ticked),
                _seconds(rollout.plan.watch_every),
                id,
                self._mend,
                extra={"rollout": id},
            )

    def take_error(self, id: str, error: Exception) -> None:
        """Take the error of a tick; another job's word is none."""
        with self._lock:
            if isinstance(error, ConflictError):
                self._left.append(id)
                return
            self._failed.append((id, error))
        _log().error("%s: not ticked: %s", id, error, extra={"rollout": id})

    def result(self) -> Pass:
        """Return what the pass has done, and log who was late."""
        done = Pass(
            ticked=tuple(self._ticked),
            late=tuple(sorted(self._late, key=lambda each: each[1], reverse=True)),
            left=tuple(self._left),
            failed=tuple(self._failed),
            took=self.ports.clock() - self._began,
        )
        if done.late:
            named = ", ".join(f"{id} by {_seconds(by)}" for id, by in done.late[:NAMED])
            _log().warning(
                "%d of %d were late (%s%s), which does not count for their bakes; this pass took "
                "%s; %s",
                len(done.late),
                len(done.ticked),
                named,
                ", ..." if len(done.late) > NAMED else "",
                _seconds(done.took),
                self._mend,
                extra={"late": len(done.late)},
            )
        return done

    @property
    def _mend(self) -> str:
        return (
            f"come more often, tick more at once (at_once={self._at_once}), or give strategies a "
            "longer watch_every"
        )


def _log() -> logging.Logger:
    from progressive.adapters.logs import PASSES  # `import progressive` loads no adapter

    return PASSES


def _seconds(time: timedelta) -> str:
    return f"{time.total_seconds():.0f} s"
