"""How far a destination has been told of a rollout, and where that is kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Protocol, cast

import attrs

from progressive.codec.schema import Codec
from progressive.codec.strict_json import parsed, text_of
from progressive.errors import ConflictError
from progressive.model import fields
from progressive.plan.step import Kinds

__all__ = ["Delivery", "Outbox", "delivery_of", "may_replace", "text_of_delivery"]


@attrs.frozen(kw_only=True)
class Delivery:
    """How far a destination has been told of a rollout.

    * ``destination``: the subscription's name.
    * ``revision``: rises with every save; an outbox compares and sets it.
    * ``told``: the id of the last note that was told or is not wanted; empty for none.
    * ``attempts``: how often the next message was tried.
    * ``claimed``: until when somebody is trying it; None if nobody is.
    * ``retry_at``: when it is tried again; None for at once.
    * ``failed``: why the last try failed.
    * ``handle``: what the sender keeps to update its message.
    * ``recent``: the texts of the last messages.
    * ``sent``: how many messages were sent; ``sent_at``: when the last one was.
    * ``finished``: whether the rollout is over and everything of it was told.
    """

    rollout: str = attrs.field(validator=fields.is_name)
    destination: str = attrs.field(validator=fields.is_name)
    revision: int = 0
    told: str = ""
    attempts: int = 0
    claimed: datetime | None = None
    retry_at: datetime | None = None
    failed: str = ""
    handle: str = ""
    recent: tuple[str, ...] = ()
    sent: int = 0
    sent_at: datetime | None = None
    finished: bool = False


class Outbox(Protocol):
    """A place for deliveries. Each save is one transaction, by compare-and-set."""

    def load(self, rollout: str, destination: str) -> Delivery | None:
        """Return the delivery as it was last saved; None if there is none."""
        ...

    def save(self, delivery: Delivery) -> None:
        """Store a delivery if the stored revision is the one before its own, else change nothing.

        A delivery that is not stored has revision 1. Raises `ConflictError` if somebody else was
        first.
        """
        ...

    def open(self) -> Sequence[str]:
        """Return the ids of the rollouts of which a destination has not been told everything, in
        order, each once.
        """
        ...


_NO_KINDS: Final = Kinds()


def text_of_delivery(delivery: Delivery) -> str:
    """Write a delivery as JSON."""
    return text_of(Codec.of(_NO_KINDS).dump(Delivery, delivery))


def delivery_of(text: str | bytes) -> Delivery:
    """Read a delivery. Raises `StateError` with the path of the first mistake."""
    return cast(Delivery, Codec.of(_NO_KINDS).load(Delivery, parsed(text)))


def may_replace(delivery: Delivery, stored: Delivery | None) -> None:
    """Raise `ConflictError` unless a delivery follows the stored one."""
    found = 0 if stored is None else stored.revision
    if delivery.revision != found + 1:
        raise ConflictError(
            f"what {delivery.destination!r} was told of rollout {delivery.rollout!r} is at "
            f"revision {found}, and revision {delivery.revision} was to follow: somebody else is "
            "telling it"
        )
