"""Driving a rollout: tick, iterate, run, submit, and the same with an ``a`` for asyncio. Two small
loops do what `tick_protocol` asks.

Everything that both colours share is in `tick_protocol`, `_calls` and the small functions here;
nothing here decides anything about traffic.
"""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta

from progressive.engine.decide import Decision, decide
from progressive.errors import ConflictError, StateError, StoreError, StrategyError
from progressive.ports import Ports, Store
from progressive.rollout.events import Abort, Event, Tick
from progressive.rollout.notes import Note
from progressive.rollout.state import Rollout
from progressive.rollout.status import Outcome

from .execute import aexecute, execute, observe
from .protocol import Effect, Persist, Persisted, Reply, TickResult, tick_protocol

__all__ = [
    "OnInterrupt",
    "aiterate",
    "arun",
    "asubmit",
    "atick",
    "iterate",
    "run",
    "submit",
    "tick",
]


class OnInterrupt(enum.Enum):
    """What `run` does on Ctrl-C."""

    LEAVE = "leave"
    """Stop driving. Traffic stays as it is, the stored state can be resumed."""
    ROLL_BACK = "roll_back"
    """Take everything back first; a second Ctrl-C leaves."""


# --------------------------------------------------------------------------------------------- tick


def tick(rollout: Rollout | str, ports: Ports, *events: Event) -> Decision:
    """One bounded round: tell it ``events``, ask the world what is wanted now, save, act, and say
    when to come back (``wake_at``).

    With a store, ``rollout`` is an id and the decision is saved. Without one it is the `Rollout`
    itself, and the caller keeps ``decision.rollout``: traffic is then raised only by the tick
    *after* the one that decided it, from the rollout that was kept. Raises `ConflictError` if
    somebody else drives it, `StoreError` if it could not be saved (lowering was done all the same).
    """
    given = _given(rollout, ports)
    return _saved(_tick(given, ports, events, expected=given.serial))


async def atick(rollout: Rollout | str, ports: Ports, *events: Event) -> Decision:
    """`tick` for asyncio: asynchronous ports are awaited, synchronous ones run in threads."""
    given = await asyncio.to_thread(_given, rollout, ports)
    return _saved(await _atick(given, ports, events, expected=given.serial))


def _given(rollout: Rollout | str, ports: Ports) -> Rollout:
    if isinstance(rollout, Rollout):
        if ports.store is None:
            return rollout
        rollout = rollout.id
    if ports.store is None:
        raise StrategyError(
            f"tick({rollout!r}): an id needs a store; pass the Rollout itself, or Ports(store=...)"
        )
    found = ports.store.load(rollout)
    if found is None:
        raise StrategyError(f"there is no rollout {rollout!r} in {ports.store!r}; start it first")
    return found


def _saved(ticked: TickResult) -> Decision:
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
    expected: int | None,
    owed: tuple[Note, ...] = (),
) -> TickResult:
    talk = _talk(rollout, ports, events, expected, owed)
    reply: Reply | None = None
    while True:
        try:
            move = talk.send(reply)  # type: ignore[arg-type]
        except StopIteration as stop:
            ticked: TickResult = stop.value
            observe(ports, ticked.decision)
            return ticked
        if isinstance(move, Persist):
            reply = _save(ports, move)
        else:
            reply = execute(move.commands, rollout, ports)


async def _atick(
    rollout: Rollout,
    ports: Ports,
    events: Sequence[Event],
    *,
    expected: int | None,
    owed: tuple[Note, ...] = (),
) -> TickResult:
    talk = _talk(rollout, ports, events, expected, owed)
    reply: Reply | None = None
    while True:
        try:
            move = talk.send(reply)  # type: ignore[arg-type]
        except StopIteration as stop:
            ticked: TickResult = stop.value
            await asyncio.to_thread(observe, ports, ticked.decision)
            return ticked
        if isinstance(move, Persist):
            reply = await _asave(ports, move)
        else:
            reply = await asyncio.gather(
                *(aexecute(command, rollout, ports) for command in move.commands)
            )


def _talk(
    rollout: Rollout,
    ports: Ports,
    events: Sequence[Event],
    expected: int | None,
    owed: tuple[Note, ...],
) -> Generator[Effect, Reply, TickResult]:
    return tick_protocol(
        rollout,
        events,
        tick=Tick(at=ports.clock()),
        stored=ports.store is not None,
        expected=expected,
        owed=owed,
    )


def _save(ports: Ports, move: Persist) -> Persisted:
    store = ports.store
    assert store is not None  # nothing is saved without one
    try:
        store.save(move.rollout, move.notes, expected=move.expected)
    except (StoreError, StateError) as error:
        return Persisted(str(error))
    except OSError as error:
        return Persisted(f"{type(error).__name__}: {error}")
    return Persisted()


async def _asave(ports: Ports, move: Persist) -> Persisted:
    """A save that has begun is let end when its driver is cancelled: half a save helps nobody.
    Nobody hears then how it ended.
    """
    saving = asyncio.ensure_future(asyncio.to_thread(_save, ports, move))
    try:
        return await asyncio.shield(saving)
    except asyncio.CancelledError:
        saving.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        raise


# ------------------------------------------------------------------------------------- iterate, run


class _Drive:
    """What a loop of ticks carries from one to the next: the rollout, what the store has, what it
    is owed.
    """

    def __init__(self, rollout: Rollout, ports: Ports) -> None:
        self.rollout = rollout
        self.expected: int | None = rollout.serial
        self.owed: tuple[Note, ...] = ()
        self.ports = ports
        self.failed: str | None = None
        self.conflicts = 0

    def after(self, ticked: TickResult) -> Decision:
        """Go on from what a tick decided."""
        self.rollout, self.expected, self.owed = (
            ticked.decision.rollout,
            ticked.saved,
            ticked.unsaved,
        )
        self.failed, self.conflicts = ticked.failed, 0
        return ticked.decision

    def lost(self, found: Rollout, error: ConflictError) -> None:
        """Somebody saved during the tick (an event was submitted): go on from what the store has,
        unless it happens without end.
        """
        self.conflicts += 1
        if self.ports.store is None or self.conflicts > SUBMIT_TRIES:
            raise error
        self.rollout, self.expected, self.owed, self.failed = found, found.serial, (), None

    @property
    def wants_news(self) -> bool:
        """Is there a store that may know more than this driver?"""
        return self.ports.store is not None and self.failed is None

    def heard(self, found: Rollout | None) -> bool:
        """Did somebody submit an event since? Then go on from what the store has."""
        if found is None or found.serial == self.expected:
            return False
        self.rollout, self.expected, self.owed = found, found.serial, ()
        return True

    def naps(self, decision: Decision) -> Iterator[float]:
        """The time until the next tick is due, in short pieces; at least one, so that a loop always
        lets others run.
        """
        wake_at = decision.wake_at
        left = NAP if wake_at is None else (wake_at - self.ports.clock()).total_seconds()
        yield max(0.0, min(left, NAP))
        while (left := left - NAP) > 0:
            yield min(left, NAP)


@contextmanager
def _driving(ports: Ports, id: str) -> Iterator[None]:
    """Keep a second driver out, where the store can. One that is too broken to lock must not keep a
    rollback from being driven.
    """
    with ExitStack() as stack:
        driving = getattr(ports.store, "driving", None)
        if driving is not None:
            # Every save compares and sets, so two drivers that a broken store lets in only lose to
            # each other.
            with suppress(StoreError, OSError):
                stack.enter_context(driving(id))
        yield


NAP = 0.5
"""Seconds between two looks into the store while sleeping, so that a submitted abort does not wait
for the next tick.
"""


def iterate(
    rollout: Rollout | str, ports: Ports, *, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Decision]:
    """Tick until the rollout is over, sleeping in between, and yield each decision. A second driver
    of it is kept out meanwhile.

    Events that others `submit` are taken up within half a second. A store that is down is waited
    for; nothing is raised meanwhile.
    """
    given = _given(rollout, ports)
    with _driving(ports, given.id):
        drive = _Drive(_given(rollout, ports), ports)
        while True:
            try:
                decision = drive.after(
                    _tick(drive.rollout, ports, (), expected=drive.expected, owed=drive.owed)
                )
            except ConflictError as error:
                drive.lost(_given(rollout, ports), error)
                continue
            yield decision
            if drive.rollout.over and drive.failed is None:
                return
            for nap in drive.naps(decision):
                sleep(nap)
                if drive.wants_news and drive.heard(_loaded(ports, drive.rollout.id)):
                    break


async def aiterate(rollout: Rollout | str, ports: Ports) -> AsyncIterator[Decision]:
    """`iterate` for asyncio."""
    given = await asyncio.to_thread(_given, rollout, ports)
    with _driving(ports, given.id):
        drive = _Drive(await asyncio.to_thread(_given, rollout, ports), ports)
        while True:
            try:
                decision = drive.after(
                    await _atick(drive.rollout, ports, (), expected=drive.expected, owed=drive.owed)
                )
            except ConflictError as error:
                drive.lost(await asyncio.to_thread(_given, rollout, ports), error)
                continue
            yield decision
            if drive.rollout.over and drive.failed is None:
                return
            for nap in drive.naps(decision):
                await asyncio.sleep(nap)
                if drive.wants_news and drive.heard(
                    await asyncio.to_thread(_loaded, ports, drive.rollout.id)
                ):
                    break


def _loaded(ports: Ports, id: str) -> Rollout | None:
    store = ports.store
    assert store is not None  # asked for only where there is one
    try:
        found = store.load(id)
    except (StoreError, StateError, OSError):
        return None
    return found


def run(
    rollout: Rollout | str,
    ports: Ports,
    *,
    budget: timedelta | None = None,
    on_interrupt: OnInterrupt = OnInterrupt.LEAVE,
    wait_for_people: bool = True,
) -> Outcome:
    """Drive to the end, and say how it ended (``sys.exit(run(...).exit_code)``).

    ``budget``: give up driving after that time; traffic stays, and whoever ticks next goes on.
    ``wait_for_people=False`` returns as soon as only a person can move it. On Ctrl-C see
    `OnInterrupt`; the stored state can be resumed at every moment.
    """
    end = None if budget is None else ports.clock() + budget
    last = _given(rollout, ports)
    try:
        for decision in iterate(last, ports):
            last = decision.rollout
            if _enough(last, ports, end, wait_for_people):
                break
    except KeyboardInterrupt:
        if on_interrupt is OnInterrupt.LEAVE:
            raise
        last = _interrupted(last, ports)
    return Outcome.of(last)


async def arun(
    rollout: Rollout | str,
    ports: Ports,
    *,
    budget: timedelta | None = None,
    wait_for_people: bool = True,
) -> Outcome:
    """`run` for asyncio. Cancelling it leaves a state that can be resumed."""
    end = None if budget is None else ports.clock() + budget
    last = await asyncio.to_thread(_given, rollout, ports)
    steps = aiterate(last, ports)
    try:
        async for decision in steps:
            last = decision.rollout
            if _enough(last, ports, end, wait_for_people):
                break
    finally:
        await steps.aclose()  # type: ignore[attr-defined]
    return Outcome.of(last)


def _enough(rollout: Rollout, ports: Ports, end: datetime | None, wait_for_people: bool) -> bool:
    return (end is not None and ports.clock() >= end) or (
        not wait_for_people and rollout.waits_for_person
    )


def _interrupted(rollout: Rollout, ports: Ports) -> Rollout:
    """Take everything back after Ctrl-C, from the rollout in hand if the store can't give a newer
    one; a second Ctrl-C leaves.
    """
    stored = _loaded(ports, rollout.id) if ports.store is not None else None
    drive = _Drive(stored or rollout, ports)
    events: tuple[Event, ...] = (
        Abort(at=ports.clock(), by="interrupt", why="the driver was interrupted"),
    )
    while True:
        try:
            decision = drive.after(
                _tick(drive.rollout, ports, events, expected=drive.expected, owed=drive.owed)
            )
        except ConflictError as error:
            drive.lost(_given(rollout, ports), error)
            continue
        events = ()
        if drive.rollout.final:
            return drive.rollout
        for nap in drive.naps(decision):
            time.sleep(nap)


# ------------------------------------------------------------------------------------------- submit


def submit(store: Store, id: str, event: Event) -> Decision:
    """Tell a stored rollout something (an approval, an abort) without any router at hand; whoever
    ticks it next acts on it.

    Retried when somebody else saves at the same moment. A refused event is a `Refused` note in
    ``decision.notes``.
    """
    for _ in range(SUBMIT_TRIES):
        found = store.load(id)
        if found is None:
            raise StrategyError(f"there is no rollout {id!r} in {store!r}")
        decision = decide(found, event)
        try:
            store.save(decision.rollout, decision.notes, expected=found.serial)
        except ConflictError:
            continue
        return decision
    raise ConflictError(
        f"rollout {id!r} moved {SUBMIT_TRIES} times while {event.kind} was submitted; try again"
    )


SUBMIT_TRIES = 20


async def asubmit(store: Store, id: str, event: Event) -> Decision:
    """`submit` for asyncio."""
    return await asyncio.to_thread(submit, store, id, event)
