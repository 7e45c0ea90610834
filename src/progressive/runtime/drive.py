"""Drive a rollout: tick, iterate, run, submit, and the same with an ``a`` for asyncio.

Two small loops, one sync and one async, execute what `tick_protocol` yields. What they share is in
`tick_protocol`, in `dispatch` and in the small functions here; nothing here decides anything about
traffic.
"""

from __future__ import annotations

import enum
import sys
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from datetime import datetime, timedelta
from functools import partial

from progressive.engine.decide import Decision, decide
from progressive.errors import ConflictError, StateError, StoreError, StrategyError
from progressive.model import fields
from progressive.ports import Ports, Store, utcnow
from progressive.rollout.events import Abort, Event, Tick
from progressive.rollout.notes import Note
from progressive.rollout.state import Rollout
from progressive.rollout.status import Outcome

from .execute import aexecute, execute
from .newer import NAP as SHARED_NAP
from .newer import Newer, newer_in
from .observing import Observing, told_of_driving
from .protocol import Effect, Persist, Persisted, Reply, TickResult, tick_protocol
from .threads import acall_within, call_in_thread, call_within

__all__ = [
    "Interrupted",
    "OnInterrupt",
    "aiterate",
    "arun",
    "asubmit",
    "atick",
    "atry_load",
    "iterate",
    "run",
    "submit",
    "tick",
    "try_load",
]


class OnInterrupt(enum.Enum):
    """The action of `run` on Ctrl-C."""

    LEAVE = "leave"
    """Stop driving. Traffic stays as it is, and the stored rollout can be driven on."""
    ROLL_BACK = "roll_back"
    """Roll back first; a second Ctrl-C leaves."""


# --------------------------------------------------------------------------------------------- tick


def tick(rollout: Rollout | str, ports: Ports, *events: Event) -> Decision:
    """Tick a rollout once: decide by ``events`` and the time, execute the commands, and save.

    The time that it takes is bounded; tick again at the decision's ``wake_at``. Executing a tick
    twice is harmless.

    * ``rollout``: with a store, an id, and the decision is saved. Without one, the `Rollout`
      itself; the caller keeps ``decision.rollout``, and traffic is raised only by the tick *after*
      the one that decided it, from the rollout that was kept.

    Raises `ConflictError` if somebody else saved it meanwhile, and `StoreError` if it could not be
    saved; traffic was lowered all the same. Raises `StrategyError` for an id that is not stored.
    """
    given, observing = _load_in_time(rollout, ports), Observing(ports)
    ticked = _tick(given, ports, events, observing=observing, expected=given.serial)
    observing.wait()
    return _decision_of(ticked)


async def atick(rollout: Rollout | str, ports: Ports, *events: Event) -> Decision:
    """`tick` for asyncio: asynchronous ports are awaited, synchronous ones run in threads."""
    given, observing = await _aload(rollout, ports), Observing(ports)
    ticked = await _atick(given, ports, events, observing=observing, expected=given.serial)
    await observing.await_all()
    return _decision_of(ticked)


def _load(rollout: Rollout | str, ports: Ports) -> Rollout:
    """Return the rollout as it is stored; without a store, the one that was given."""
    if isinstance(rollout, Rollout):
        if ports.store is None:
            return rollout
        rollout = rollout.id
    if ports.store is None:
        raise StrategyError(
            f"tick({rollout!r}): an id needs a store; pass the Rollout itself, or Ports(store=...)"
        )
    stored = ports.store.load(rollout)
    if stored is None:
        raise StrategyError(f"there is no rollout {rollout!r} in {ports.store!r}; start it first")
    return stored


def _load_in_time(rollout: Rollout | str, ports: Ports) -> Rollout:
    """`_load` within `Ports.timeout`; `StoreError` if the store does not answer."""
    if ports.store is None:
        return _load(rollout, ports)
    try:
        return call_within(partial(_load, rollout, ports), ports.timeout.total_seconds())
    except TimeoutError as error:
        raise _silent(ports, error) from None


async def _aload(rollout: Rollout | str, ports: Ports) -> Rollout:
    if ports.store is None:
        return _load(rollout, ports)
    try:
        return await acall_within(partial(_load, rollout, ports), ports.timeout.total_seconds())
    except TimeoutError as error:
        raise _silent(ports, error) from None


def _silent(ports: Ports, error: TimeoutError) -> StoreError:
    return StoreError(f"{type(ports.store).__name__}: {error}")


def _decision_of(ticked: TickResult) -> Decision:
    """Return the decision of a tick; raise `StoreError` if it was not saved."""
    if ticked.failed is not None:
        raise StoreError(
            f"not saved: {ticked.failed}; what lowers traffic was done, and its marker on "
            "the router was closed"
        )
    return ticked.decision


def _tick(
    rollout: Rollout,
    ports: Ports,
    events: Sequence[Event],
    *,
    observing: Observing,
    expected: int | None,
    backlog: tuple[Note, ...] = (),
) -> TickResult:
    protocol = _protocol(rollout, ports, events, expected, backlog)
    reply: Reply | None = None
    while True:
        try:
            effect = protocol.send(reply)  # type: ignore[arg-type]
        except StopIteration as stop:
            ticked: TickResult = stop.value
            observing.tell(ticked.decision, ticked.failed)
            return ticked
        if isinstance(effect, Persist):
            reply = _save(ports, effect)
        else:
            reply = execute(effect.commands, effect.rollout, ports)


async def _atick(
    rollout: Rollout,
    ports: Ports,
    events: Sequence[Event],
    *,
    observing: Observing,
    expected: int | None,
    backlog: tuple[Note, ...] = (),
) -> TickResult:
    import asyncio

    protocol = _protocol(rollout, ports, events, expected, backlog)
    reply: Reply | None = None
    while True:
        try:
            effect = protocol.send(reply)  # type: ignore[arg-type]
        except StopIteration as stop:
            ticked: TickResult = stop.value
            observing.tell(ticked.decision, ticked.failed)
            return ticked
        if isinstance(effect, Persist):
            reply = await _asave(ports, effect)
        else:
            reply = await asyncio.gather(
                *(aexecute(command, effect.rollout, ports) for command in effect.commands)
            )


def _protocol(
    rollout: Rollout,
    ports: Ports,
    events: Sequence[Event],
    expected: int | None,
    backlog: tuple[Note, ...],
) -> Generator[Effect, Reply, TickResult]:
    return tick_protocol(
        rollout,
        events,
        tick=Tick(at=ports.clock()),
        stored=ports.store is not None,
        expected=expected,
        backlog=backlog,
    )


LOWER_AFTER = 1.0
"""Seconds that a write which lowers waits for the store."""


def _patience(ports: Ports, effect: Persist) -> float:
    """Return how many seconds the save may take: a store that hangs keeps no traffic up."""
    timeout = ports.timeout.total_seconds()
    return min(timeout, LOWER_AFTER) if effect.urgent else timeout


def _save(ports: Ports, effect: Persist) -> Persisted:
    """Save to the store in time. A `ConflictError` is raised, any other failure returned."""
    try:
        return call_within(partial(_saved, ports, effect), _patience(ports, effect))
    except TimeoutError as error:
        return Persisted(f"{type(ports.store).__name__}: {error}")


async def _asave(ports: Ports, effect: Persist) -> Persisted:
    """`_save` for asyncio. If the driver is cancelled, a save that has begun goes on to its end."""
    try:
        return await acall_within(partial(_saved, ports, effect), _patience(ports, effect))
    except TimeoutError as error:
        return Persisted(f"{type(ports.store).__name__}: {error}")


def _saved(ports: Ports, effect: Persist) -> Persisted:
    store = ports.store
    assert store is not None  # nothing is saved without one
    try:
        store.save(effect.rollout, effect.notes, expected=effect.expected)
    except (StoreError, StateError) as error:
        return Persisted(str(error))
    except OSError as error:
        return Persisted(f"{type(error).__name__}: {error}")
    return Persisted()


# ------------------------------------------------------------------------------------- iterate, run


class _Drive:
    """The state that a loop of ticks carries from one tick to the next.

    * ``expected``: the serial that the store has.
    * ``backlog``: the notes that could not be saved yet.
    * ``failed``: why the last save failed; None if it did not.
    * ``conflicts``: how many ticks in a row lost the compare-and-set.
    * ``stood_still``: the seconds that it has slept since the clock last moved.
    """

    def __init__(self, rollout: Rollout, ports: Ports, newer: Newer | None = None) -> None:
        self.rollout = rollout
        self.newer = newer
        self.expected: int | None = rollout.serial
        self.backlog: tuple[Note, ...] = ()
        self.ports = ports
        self.observing = Observing(ports)
        self.failed: str | None = None
        self.conflicts = 0
        self.stood_still = 0.0

    def take_result(self, ticked: TickResult) -> Decision:
        """Go on from the result of a tick, and return its decision."""
        self.rollout = ticked.decision.rollout
        self.expected, self.backlog = ticked.saved, ticked.unsaved
        self.failed, self.conflicts = ticked.failed, 0
        return ticked.decision

    def take_conflict(self, stored: Rollout, error: ConflictError) -> None:
        """Go on from the stored rollout, which somebody saved during the tick (an event was
        submitted).

        Raises ``error`` without a store, and after `SUBMIT_TRIES` conflicts in a row.
        """
        self.conflicts += 1
        if self.ports.store is None or self.conflicts > SUBMIT_TRIES:
            raise error
        self.observing.overhear(stored, self.expected)
        self.rollout, self.expected, self.backlog, self.failed = stored, stored.serial, (), None

    @property
    def id(self) -> str:
        return self.rollout.id

    @property
    def looks(self) -> int:
        """How many looks for newer rollouts have begun; 0 where the store can't tell."""
        return 0 if self.newer is None else self.newer.looks

    def should_reload(self, since: int) -> bool:
        """Return whether the store may have a newer rollout than this driver.

        ``since``: `looks` before the nap.
        """
        if self.newer is None or self.failed is not None:
            return self.ports.store is not None and self.failed is None
        return self.newer.is_newer(self.ports, self.id, self.expected, since)

    async def ashould_reload(self, since: int) -> bool:
        """`should_reload` for asyncio."""
        if self.newer is None or self.failed is not None:
            return self.ports.store is not None and self.failed is None
        return await self.newer.ais_newer(self.ports, self.id, self.expected, since)

    async def asleep(self, seconds: float) -> bool:
        """Sleep for so many seconds. True, perhaps before, if the store may have a newer rollout
        than this driver.
        """
        import asyncio

        if self.is_woken and self.newer is not None and self.failed is None:
            assert self.ports.store is not None
            return await self.newer.becomes_newer(self.ports.store, self.id, self.expected, seconds)
        since, before = self.looks, self.ports.clock()
        await asyncio.sleep(seconds)
        self.require_a_moving_clock(before, seconds)
        return await self.ashould_reload(since)

    @property
    def is_woken(self) -> bool:
        """Whether an asynchronous driver may sleep on until its rollout is newer. A clock of
        another kind than the system's goes as it likes, and is asked again soon.
        """
        return self.newer is not None and self.ports.clock is utcnow

    def require_a_moving_clock(self, before: datetime, slept: float) -> None:
        """Raise `StrategyError` if the clock has stood still for long while this driver slept:
        nothing that takes time would ever end.
        """
        self.stood_still = self.stood_still + slept if self.ports.clock() == before else 0.0
        if self.stood_still > STANDS_STILL:
            raise StrategyError(
                f"{self.id}: the ports' clock has stood still for {self.stood_still:.0f} s; to go "
                "through a rollout in virtual time use progressive.testing.play or simulate, or "
                "iterate(..., sleep=lambda s: clock.advance(seconds(s)))"
            )

    def take_newer(self, stored: Rollout | None) -> bool:
        """Go on from the stored rollout if somebody has submitted an event. True if so."""
        if stored is None or stored.serial == self.expected:
            return False
        self.observing.overhear(stored, self.expected)
        self.rollout, self.expected, self.backlog = stored, stored.serial, ()
        return True

    def naps(self, decision: Decision, *, woken: bool = False) -> Iterator[float]:
        """Yield the seconds until the next tick is due, in pieces of half a second at most, or long
        ones for a driver that is ``woken``.

        At least one, which may be 0, so that a loop always lets others run. What is left is asked
        of the clock each time, because a look into the store takes time too; a clock that stands
        still ends it all the same.
        """
        wake_at, clock = decision.wake_at, self.ports.clock
        longest = LONG_NAP if woken else NAP if self.newer is None else SHARED_NAP
        if wake_at is None:  # over, and not saved yet
            yield NAP
            return
        left = (wake_at - clock()).total_seconds()
        nap = max(0.0, min(left, longest))
        yield nap
        while (left := min(left - nap, (wake_at - clock()).total_seconds())) > 0:
            nap = min(left, longest)
            yield nap


@contextmanager
def _driving(ports: Ports, rollout: Rollout) -> Iterator[None]:
    """Keep a second driver out, where the store can do so, and let the observers know.

    A store that fails to lock is ignored: it must not keep a rollback from being driven.
    """
    with ExitStack() as stack:
        driving = getattr(ports.store, "driving", None)
        if driving is not None:
            # Every save compares and sets, so two drivers that a broken store lets in only lose to
            # each other.
            with suppress(StoreError, OSError):
                stack.enter_context(driving(rollout.id))
        stack.enter_context(told_of_driving(ports, rollout))
        yield


def _looked_for(ports: Ports, id: str) -> AbstractContextManager[Newer | None]:
    """Look for newer rollouts together with the other drivers of the store, if it can tell."""
    newer = newer_in(ports.store)
    return nullcontext() if newer is None else newer.driving(id)


NAP = 0.5
"""Seconds between two reads of a store that can't tell serials, while sleeping: a submitted abort
does not wait for the next tick.
"""

STANDS_STILL = 10.0
"""Seconds of sleep in which a clock that is not the system's must have moved."""

LONG_NAP = 10.0
"""Seconds between two looks at the system's clock, which may be set while an asynchronous driver
sleeps.
"""


def iterate(
    rollout: Rollout | str, ports: Ports, *, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Decision]:
    """Tick until the rollout is over, sleep in between, and yield each decision.

    A second driver is kept out meanwhile. Events that others `submit` are taken up within half a
    second. A store that is down is waited for; nothing is raised meanwhile. Raises `ConflictError`
    if somebody else drives it.
    """
    given = _load_in_time(rollout, ports)
    with _driving(ports, given), _looked_for(ports, given.id) as newer:
        drive = _Drive(_load_in_time(rollout, ports), ports, newer)
        while True:
            try:
                decision = drive.take_result(
                    _tick(
                        drive.rollout,
                        ports,
                        (),
                        observing=drive.observing,
                        expected=drive.expected,
                        backlog=drive.backlog,
                    )
                )
            except ConflictError as error:
                drive.take_conflict(_load_in_time(rollout, ports), error)
                continue
            drive.observing.wait(decision.wake_at)
            yield decision
            if drive.rollout.over and drive.failed is None:
                return
            for nap in drive.naps(decision):
                since, before = drive.looks, ports.clock()
                sleep(nap)
                if sleep is time.sleep:
                    drive.require_a_moving_clock(before, nap)
                if drive.should_reload(since) and drive.take_newer(try_load(ports, drive.id)):
                    break


async def aiterate(rollout: Rollout | str, ports: Ports) -> AsyncIterator[Decision]:
    """`iterate` for asyncio."""
    given = await _aload(rollout, ports)
    with _driving(ports, given), _looked_for(ports, given.id) as newer:
        drive = _Drive(await _aload(rollout, ports), ports, newer)
        while True:
            try:
                decision = drive.take_result(
                    await _atick(
                        drive.rollout,
                        ports,
                        (),
                        observing=drive.observing,
                        expected=drive.expected,
                        backlog=drive.backlog,
                    )
                )
            except ConflictError as error:
                drive.take_conflict(await _aload(rollout, ports), error)
                continue
            await drive.observing.await_all(decision.wake_at)
            yield decision
            if drive.rollout.over and drive.failed is None:
                return
            for nap in drive.naps(decision, woken=drive.is_woken):
                if await drive.asleep(nap) and drive.take_newer(await atry_load(ports, drive.id)):
                    break


def try_load(ports: Ports, id: str, *, within: float | None = None) -> Rollout | None:
    """Return the stored rollout; None if there is none, or it can't be read in time: ``within`` so
    many seconds, by default the ports'.
    """
    within = ports.timeout.total_seconds() if within is None else within
    try:
        return call_within(partial(_stored, ports, id), within)
    except TimeoutError:
        return None


async def atry_load(ports: Ports, id: str) -> Rollout | None:
    """`try_load` for asyncio."""
    try:
        return await acall_within(partial(_stored, ports, id), ports.timeout.total_seconds())
    except TimeoutError:
        return None


def _stored(ports: Ports, id: str) -> Rollout | None:
    store = ports.store
    assert store is not None  # called only where there is one
    try:
        return store.load(id)
    except (StoreError, StateError, OSError):
        return None


def run(
    rollout: Rollout | str,
    ports: Ports,
    *,
    budget: timedelta | None = None,
    on_interrupt: OnInterrupt = OnInterrupt.LEAVE,
    wait_for_people: bool = True,
) -> Outcome:
    """Drive to the end, and return the outcome (``sys.exit(run(...).exit_code)``).

    The stored rollout can be driven on from every moment.

    * ``budget``: the longest time to drive, by the ports' clock; then traffic stays as it is, and
      whoever ticks next goes on. None for no limit.
    * ``on_interrupt``: the action on Ctrl-C. To leave says on the standard error where traffic
      stands, and how to go on or take it back, and raises `Interrupted`: a `KeyboardInterrupt` that
      ends a script without a traceback, with exit code 130.
    * ``wait_for_people``: False returns as soon as only a person's event can change anything.
    """
    end = None if budget is None else ports.clock() + budget
    last = _load_in_time(rollout, ports)
    try:
        for decision in iterate(last, ports):
            last = decision.rollout
            if _stop_driving(last, ports, end, wait_for_people):
                break
    except KeyboardInterrupt:
        if on_interrupt is OnInterrupt.LEAVE:
            print(_left(_latest(last, ports), ports), file=sys.stderr, flush=True)
            raise Interrupted from None
        last = _roll_back_after_interrupt(last, ports)
    return Outcome.of(last)


async def arun(
    rollout: Rollout | str,
    ports: Ports,
    *,
    budget: timedelta | None = None,
    wait_for_people: bool = True,
) -> Outcome:
    """`run` for asyncio. Cancelling it leaves a stored rollout that can be driven on.

    The `asyncio.CancelledError` then has a note that says where traffic stands, and how to go on or
    take it back; so Ctrl-C under `asyncio.run` shows it at the head of its traceback.
    """
    from asyncio import CancelledError  # `import progressive` loads no asyncio

    end = None if budget is None else ports.clock() + budget
    last = await _aload(rollout, ports)
    decisions = aiterate(last, ports)
    try:
        async for decision in decisions:
            last = decision.rollout
            if _stop_driving(last, ports, end, wait_for_people):
                break
    except CancelledError as cancelled:
        cancelled.add_note(_left(await call_in_thread(_latest, last, ports), ports))
        raise
    finally:
        await decisions.aclose()  # type: ignore[attr-defined]
    return Outcome.of(last)


def _stop_driving(
    rollout: Rollout, ports: Ports, end: datetime | None, wait_for_people: bool
) -> bool:
    """Return whether `run` returns early: at ``end``, or because only a person can go on."""
    if end is not None and ports.clock() >= end:
        return True
    return not wait_for_people and rollout.waits_for_person


class Interrupted(KeyboardInterrupt, SystemExit):
    """Somebody has pressed Ctrl-C, and the rollout was left as it was."""

    code = 130
    """The exit code of a script that does not catch it: what shells use for SIGINT."""


def _latest(rollout: Rollout, ports: Ports) -> Rollout:
    """Return the rollout as it is stored; as it is given, if the store does not answer soon."""
    if ports.store is None:
        return rollout
    return try_load(ports, rollout.id, within=LOWER_AFTER) or rollout


def _left(rollout: Rollout, ports: Ports) -> str:
    """Say where an interrupted driver has left traffic, and how to go on or take it back.

    What a tick was about to ask for when it was interrupted is stored.
    """
    status = rollout.status
    served = "the router was not read"
    if status.declared is not None:
        served = f"served {status.declared} when it was last read"
    again = (
        "to go on, run it again with the same id"
        if ports.store is not None
        else "nothing was stored to go on from"
    )
    by_hand = rollout.routing.undo or f"rollback_now({type(ports.router).__name__}(...), release)"
    return (
        f"{rollout.id}: interrupted in {status.step}, traffic to {rollout.release.candidate} stays "
        f"(asked {status.asked}, {served}); {again}; to take it back: {by_hand}"
    )


def _roll_back_after_interrupt(rollout: Rollout, ports: Ports) -> Rollout:
    """Abort and drive to the end after Ctrl-C; a second Ctrl-C leaves.

    It goes on from ``rollout`` if the store can't give a newer one.
    """
    stored = try_load(ports, rollout.id) if ports.store is not None else None
    drive = _Drive(stored or rollout, ports)
    events: tuple[Event, ...] = (
        Abort(at=ports.clock(), by="interrupt", why="the driver was interrupted"),
    )
    while True:
        try:
            decision = drive.take_result(
                _tick(
                    drive.rollout,
                    ports,
                    events,
                    observing=drive.observing,
                    expected=drive.expected,
                    backlog=drive.backlog,
                )
            )
        except ConflictError as error:
            drive.take_conflict(_load_in_time(rollout, ports), error)
            continue
        events = ()
        drive.observing.wait(decision.wake_at)
        if drive.rollout.final:
            return drive.rollout
        for nap in drive.naps(decision):
            time.sleep(nap)


# ------------------------------------------------------------------------------------------- submit


def submit(store: Store, id: str, event: Event) -> Decision:
    """Submit an event (an approval, an abort) to a stored rollout, without its ports.

    The event is decided and saved at once; whoever ticks the rollout next executes the commands. A
    refused event is a `Refused` note in ``decision.notes``. If somebody else saves at the same
    moment it is tried again, `SUBMIT_TRIES` times, before `ConflictError` is raised. Raises
    `StrategyError` for an id that is not stored.
    """
    from .logs import log_submitted, submitting  # `import progressive` loads no logging

    if not hasattr(store, "load"):
        raise StrategyError(
            f"submit(store): {fields.brief(store)} is no store; pass the one of the driver's "
            "Ports(store=...)"
        )
    for _ in range(SUBMIT_TRIES):
        stored = store.load(id)
        if stored is None:
            raise StrategyError(f"there is no rollout {id!r} in {store!r}")
        decision = decide(stored, event)
        submitting(decision.rollout)
        try:
            store.save(decision.rollout, decision.notes, expected=stored.serial)
        except ConflictError:
            continue
        log_submitted(decision.rollout, decision.notes)
        return decision
    raise ConflictError(
        f"rollout {id!r} moved {SUBMIT_TRIES} times while {event.kind} was submitted; try again"
    )


SUBMIT_TRIES = 20
"""How often a compare-and-set may be lost in a row before that is an error."""


async def asubmit(store: Store, id: str, event: Event) -> Decision:
    """`submit` for asyncio."""
    return await call_in_thread(submit, store, id, event)
