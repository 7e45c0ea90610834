"""Tell people and programs of rollouts: `Notify`.

::

    notify = Notify(store, SqliteOutbox("rollouts.db"), Slack("#deploys", token=token))
    ports = Ports(..., store=store, observers=[notify])

Each destination has a thread of its own, so one that hangs keeps neither a rollout nor another
destination waiting. What could not be sent stays in the outbox, also when the process ends: the
next one that drives the rollout sends it, and so does `Notify.deliver`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from queue import SimpleQueue
from typing import Final

import attrs

from progressive.adapters.logs import NOTIFY
from progressive.adapters.sender import Sender
from progressive.errors import ConflictError, ProgressiveError, StrategyError
from progressive.model import fields
from progressive.model.delivery import Delivery
from progressive.model.units import seconds
from progressive.notify.sending import CLAIM, send_pending
from progressive.notify.subscription import Subscription
from progressive.ports import Outbox, Store, utcnow
from progressive.rollout.notes import Note
from progressive.rollout.state import Rollout
from progressive.runtime.threads import begin, call_within

__all__ = ["Delivered", "Notify", "Subscription"]

FLUSH: Final = seconds(5)
"""How long the end of a drive waits for what is being sent."""

TICK: Final = seconds(4)
"""How long a single tick waits for what is being sent: less than drivers wait for observers."""

AGAIN: Final = seconds(5)
"""After how long the outbox or the store is tried again, if it failed."""


@attrs.frozen(kw_only=True)
class Delivered:
    """What `Notify.deliver` did.

    * ``sent``: how many messages were sent.
    * ``waiting``: what was not told yet: deliveries with why, and when they are tried again.
    """

    sent: int
    waiting: tuple[Delivery, ...]


class Notify:
    """An observer that tells each destination what it wants to know, at least once and in order.

    * ``store``: the store of the rollouts; only what it has saved is told.
    * ``outbox``: where it is kept how far each destination was told: `SqliteOutbox`, `FileOutbox`,
      or `progressive.testing.MemoryOutbox`, which forgets with the process.
    * ``to``: subscriptions, or senders for what is at least info.
    * ``clock``: returns the time, aware.

    Raises `StrategyError` if two destinations have one name.
    """

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        *to: Subscription | Sender,
        clock: Callable[[], datetime] = utcnow,
    ) -> None:
        told = [each if isinstance(each, Subscription) else Subscription(each) for each in to]
        if not told:
            raise StrategyError("Notify: nobody is told anything; give a sender such as Slack(...)")
        names = [each.name for each in told]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise StrategyError(
                f"Notify: two destinations are called {twice[0]!r}; give each its own: "
                f"Subscription(..., name={twice[0] + '-2'!r})"
            )
        for what, given, verb in (("store", store, "notes"), ("outbox", outbox, "open")):
            if isinstance(given, type) or not hasattr(given, verb):
                raise StrategyError(
                    f"Notify: {fields.brief(given)} is no {what}; write Notify(store, outbox, ...)"
                )
        self._lines = tuple(_Line(store, outbox, each, clock) for each in told)
        self._outbox = outbox
        self._driven = 0
        self._seen: dict[str, int] = {}
        """The rollouts that this process has told of, with their last epoch."""
        self._lock = threading.Lock()

    def __call__(self, rollout: Rollout, notes: Sequence[Note]) -> None:
        """Have told what a decision noted; see `Observer`."""
        with self._lock:
            driven, known = self._driven > 0, self._seen.get(rollout.id)
            self._seen[rollout.id] = rollout.epoch
        if known is None:
            self._begin(rollout.id)
        # Of one that is new here, a process that was killed may have left something. And what a
        # person has submitted is stored, and told to no observer: a hold, an abort.
        new = known != rollout.epoch
        for line in self._lines:
            if new or line.wants(rollout, notes):
                line.tell(rollout.id)
        if not driven:
            # A single tick: its process may end at once, so this is what it waits for. A loop of
            # ticks waits once for who hangs, and not with every rollout.
            self._wait(TICK, [line for line in self._lines if not line.hangs])

    @contextmanager
    def driving(self, rollout: Rollout) -> Iterator[None]:
        """Send what is still to be told of a rollout, and wait a little at the end."""
        with self._lock:
            self._driven += 1
            self._seen[rollout.id] = rollout.epoch
        self._begin(rollout.id)
        for line in self._lines:
            line.tell(rollout.id)
        try:
            yield
        finally:
            with self._lock:
                self._driven -= 1
            waits = self.flush()
            if waits:
                NOTIFY.warning(
                    "%s: not told yet: %s; it is in the outbox, and the next driver or "
                    "Notify.deliver() tells it",
                    rollout.id,
                    ", ".join(waits),
                )

    def _begin(self, id: str) -> None:
        """Keep that each destination is to be told of a rollout, before anybody is told anything:
        what is not begun could not be found again after the end of the rollout.
        """
        try:
            call_within(partial(_begin_all, self._lines, id), TICK.total_seconds())
        except (ProgressiveError, TimeoutError) as error:
            NOTIFY.warning("%s: the outbox can't be written: %s", id, error)

    def flush(self, within: timedelta = FLUSH) -> tuple[str, ...]:
        """Wait until nothing can be sent now, at most ``within``. Returns the names of destinations
        that still have something to be told.
        """
        self._wait(within, self._lines)
        return tuple(line.name for line in self._lines if line.behind)

    @staticmethod
    def _wait(within: timedelta, lines: Sequence[_Line]) -> None:
        ends = time.monotonic() + within.total_seconds()
        for line in lines:
            line.wait(max(ends - time.monotonic(), 0))

    def deliver(self, *ids: str) -> Delivered:
        """Send what is still to be told of these rollouts; of all in the outbox, if none is given.

        For a job that ticks and ends, or after a crash. Each message is tried once at most, and not
        before its time. What can't be read of one rollout is among ``waiting``, and keeps the
        others from nothing. Raises `StoreError` and `StateError` if the outbox can't be listed, and
        `StrategyError` for what is no id.
        """
        told = SimpleQueue[tuple[int, list[Delivery]]]()
        wanted = [fields.name(id, "Notify.deliver(id)") for id in ids] or self._outbox.open()
        for line in self._lines:
            begin(partial(_deliver_all, line, wanted, told), name=f"progressive-notify-{line.name}")
        sent, waiting = 0, list[Delivery]()
        for _ in self._lines:
            more, behind = told.get()
            sent, waiting = sent + more, waiting + behind
        waiting.sort(key=lambda each: (each.rollout, each.destination))
        return Delivered(sent=sent, waiting=tuple(waiting))


def _begin_all(lines: Iterable[_Line], id: str) -> None:
    for line in lines:
        line.begin(id)


def _deliver_all(
    line: _Line, ids: Sequence[str], told: SimpleQueue[tuple[int, list[Delivery]]]
) -> None:
    """Tell a destination of these rollouts. What fails of one keeps the others from nothing."""
    sent, waiting = 0, list[Delivery]()
    for id in ids:
        try:
            before, after = line.deliver(id)
        except Exception as error:
            NOTIFY.warning("%s: %r was not told: %s", id, line.name, error)
            waiting.append(Delivery(rollout=id, destination=line.name, failed=str(error)))
            continue
        sent += after.sent - before
        if after.failed or after.claimed is not None:
            waiting.append(after)
    told.put((sent, waiting))


class _Line:
    """One destination, with a thread while there is something to be told."""

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        subscription: Subscription,
        clock: Callable[[], datetime],
    ) -> None:
        self._store, self._outbox, self._clock = store, outbox, clock
        self._subscription = subscription
        self._due: dict[str, datetime | None] = {}
        """The rollouts of which something is to be told, and when; None for now."""
        self._changed = threading.Condition()
        self._running = self._busy = self.hangs = False
        """``hangs``: whether somebody waited in vain, and nothing has ended since."""

    @property
    def name(self) -> str:
        return self._subscription.name

    @property
    def behind(self) -> bool:
        """Whether something is to be told that was not."""
        with self._changed:
            return self._busy or bool(self._due)

    def wants(self, rollout: Rollout, notes: Sequence[Note]) -> bool:
        """Return whether there may be anything to be told of a decision."""
        return rollout.over or any(
            self._subscription.wants(note, told_before=True) for note in notes
        )

    def begin(self, id: str) -> None:
        """Keep that there is something to be told of a rollout, if that is not kept yet."""
        if self._outbox.load(id, self.name) is None:
            with suppress(ConflictError):  # somebody else was first
                self._outbox.save(Delivery(rollout=id, destination=self.name, revision=1))

    def tell(self, id: str) -> None:
        """Have a rollout told about in the thread; returns at once."""
        with self._changed:
            self._due[id] = None
            self._changed.notify_all()
            if self._running:
                return
            self._running = True
        begin(self._run, name=f"progressive-notify-{self.name}")

    def wait(self, patience: float) -> None:
        """Wait until nothing can be told now."""
        with self._changed:
            done = self._changed.wait_for(lambda: not self._busy and self._next() is None, patience)
            self.hangs = not done

    def deliver(self, id: str) -> tuple[int, Delivery]:
        """Tell of a rollout now; how much was told before, and how far it is now."""
        stored = self._outbox.load(id, self.name)
        before = 0 if stored is None else stored.sent
        try:
            after = send_pending(
                id, self._store, self._outbox, self._subscription, clock=self._clock
            )
        except ConflictError:  # somebody else is telling it
            found = self._outbox.load(id, self.name)
            after = found or Delivery(rollout=id, destination=self.name)
        return before, after

    def _next(self) -> str | None:
        """Return a rollout of which something can be told now."""
        now = self._clock()
        return next((id for id, at in self._due.items() if at is None or at <= now), None)

    def _run(self) -> None:
        """Tell what is due until nothing is left; a retry is waited for."""
        while True:
            with self._changed:
                while (id := self._next()) is None:
                    self._busy = False
                    self._changed.notify_all()
                    if not self._due:
                        self._running = False
                        return
                    soonest = min(at for at in self._due.values() if at is not None)
                    self._changed.wait(max((soonest - self._clock()).total_seconds(), 0.05))
                self._busy = True
                del self._due[id]
            again = self._tell(id)
            with self._changed:
                self.hangs = False
                if again is not None:
                    self._due.setdefault(id, again)

    def _tell(self, id: str) -> datetime | None:
        """Tell of a rollout; when to try again, if that is needed."""
        try:
            _, after = self.deliver(id)
        except Exception as error:  # of anybody's store or outbox
            NOTIFY.warning("%s: %r was not told: %s", id, self.name, error)
            return self._clock() + AGAIN
        if after.claimed is not None:
            return min(after.claimed, self._clock() + CLAIM)
        return after.retry_at if after.failed else None
