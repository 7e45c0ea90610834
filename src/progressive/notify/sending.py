"""Send what is to be told of a rollout to one destination.

A message is claimed in the outbox before it is sent, and taken off after. Who dies in between has
told it or not: when the claim is over, it is told again, marked as perhaps a duplicate. Who comes
meanwhile leaves it alone. A message that fails is tried again after `BACKOFF`; those behind it
wait, so that a destination is told everything in order.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import attrs

from progressive.adapters.logs import NOTIFY
from progressive.errors import Failure, NotificationError, WorldError
from progressive.model.delivery import Delivery
from progressive.model.message import Message
from progressive.model.units import format_duration, minutes, seconds
from progressive.ports import Outbox, Store
from progressive.rollout.notes import Note
from progressive.rollout.state import Rollout
from progressive.runtime.threads import call_within

from .subscription import RECENT, Subscription

__all__ = ["BACKOFF", "CLAIM", "PATIENCE", "send_pending"]

PATIENCE: Final = seconds(30)
"""The longest time of one call of a sender; those of this library take a third of it at most."""

CLAIM: Final = minutes(1)
"""How long a message that is being sent is left to who does; longer than `PATIENCE`."""

BACKOFF: Final = tuple(map(seconds, (5, 10, 30, 60, 120, 300, 600, 900)))
"""How long a message waits after so many failures; the last one stands for all later ones."""


def send_pending(
    id: str,
    store: Store,
    outbox: Outbox,
    subscription: Subscription,
    *,
    clock: Callable[[], datetime],
) -> Delivery:
    """Send a destination everything of a rollout that it was not told yet, until one fails.

    Returns how far it was told. Idempotent. Raises `StoreError`, `StateError`, and `ConflictError`
    if somebody else is telling it; what a sender raises is kept in the delivery and logged.
    """
    delivery = outbox.load(id, subscription.name)
    if delivery is None:
        delivery = Delivery(rollout=id, destination=subscription.name)
    if delivery.finished or _waits(delivery, clock()):
        return delivery
    rollout = store.load(id)
    if rollout is None:
        NOTIFY.warning(
            "%s: %r is told nothing of it: it is not in the store of Notify(store, ...)",
            id,
            subscription.name,
        )
        return delivery
    untold = deque(_untold(store, rollout, delivery, subscription))
    while untold:
        together = list(untold) if subscription.sender.updates else [untold[0]]
        claimed = _next(delivery, claimed=clock() + CLAIM, attempts=delivery.attempts + 1)
        outbox.save(claimed)
        delivery = _sent(rollout, together, claimed, subscription, clock)
        outbox.save(delivery)
        if delivery.failed:
            return delivery
        for _ in together:
            untold.popleft()
    if rollout.over or not delivery.revision:
        # Kept also where nothing was to be told, so that what is open can be found by its id.
        delivery = _next(delivery, finished=rollout.over)
        outbox.save(delivery)
    return delivery


def _waits(delivery: Delivery, now: datetime) -> bool:
    """Return whether the next message is not to be sent now."""
    return any(at is not None and now < at for at in (delivery.claimed, delivery.retry_at))


def _next(delivery: Delivery, **changed: Any) -> Delivery:
    return attrs.evolve(delivery, revision=delivery.revision + 1, **changed)


def _place(id: str) -> tuple[int, int]:
    """Return the place of a note by its id; before all others if there is none."""
    if not id:
        return -1, -1
    _, serial, n = id.rsplit("/", 2)
    return int(serial), int(n)


def _untold(
    store: Store, rollout: Rollout, delivery: Delivery, subscription: Subscription
) -> Iterator[tuple[str, Note]]:
    """Yield the notes that a destination is to be told, with their ids, oldest first."""
    told, told_before = _place(delivery.told), delivery.sent > 0
    for id, note in store.notes(rollout.id):
        serial, n = _place(id)
        # What was saved since the rollout was read belongs to a later state of it.
        wanted = told < (serial, n) and serial <= rollout.serial
        if wanted and subscription.wants(note, told_before=told_before):
            told_before = True
            yield id, note


def _sent(
    rollout: Rollout,
    together: list[tuple[str, Note]],
    claimed: Delivery,
    subscription: Subscription,
    clock: Callable[[], datetime],
) -> Delivery:
    """Send one message, and return what is to be kept of it."""
    message = subscription.message(rollout, together, recent=claimed.recent)
    message = attrs.evolve(message, again=claimed.attempts > 1)
    handle = _told(subscription, message, claimed.handle)
    if not isinstance(handle, str):
        wait = BACKOFF[min(claimed.attempts, len(BACKOFF)) - 1]
        _log_failure(claimed, handle, wait)
        return _next(claimed, claimed=None, retry_at=clock() + wait, failed=str(handle))
    return _next(
        claimed,
        told=message.id,
        attempts=0,
        claimed=None,
        retry_at=None,
        failed="",
        handle=handle,
        recent=message.recent[-RECENT:],
        sent=claimed.sent + 1,
        sent_at=clock(),
    )


def _told(subscription: Subscription, message: Message, handle: str) -> str | NotificationError:
    """Have a sender send a message, for `PATIENCE`: its handle, or why there is none.

    Whatever it raises is a failure of this one message, an exit too. What is not an error of this
    library may quote a secret, so only its name is kept.
    """

    def call() -> object:
        try:
            return subscription.sender.send(message, handle)
        except WorldError as error:
            return NotificationError(str(error), failure=error.failure)
        except BaseException as error:
            return NotificationError(f"the sender raised {type(error).__name__}")

    try:
        found = call_within(call, PATIENCE.total_seconds())
    except TimeoutError as late:
        return NotificationError(f"the sender gave {late}", failure=Failure.UNKNOWN)
    if isinstance(found, str | NotificationError):
        return found
    return NotificationError(
        f"send() answered {type(found).__name__}, and not a handle; let it return ''",
        failure=Failure.UNKNOWN,
    )


def _log_failure(claimed: Delivery, error: NotificationError, wait: timedelta) -> None:
    """Log a failure: the first as a warning, one that needs a person as an error."""
    needs_person = error.failure is Failure.PERMANENT
    level = logging.ERROR if needs_person else logging.WARNING
    NOTIFY.log(
        level if claimed.attempts == 1 or needs_person else logging.DEBUG,
        "%s: %r was not told: %s; tried again in %s, and nothing of it is lost",
        claimed.rollout,
        claimed.destination,
        error,
        format_duration(wait),
    )
