"""How far a destination of notifications has been told of a rollout."""

from __future__ import annotations

from datetime import datetime

import attrs

from progressive.errors import ConflictError

from . import fields

__all__ = ["Delivery"]


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

    def refuse_unless_it_follows(self, stored: Delivery | None) -> None:
        """Raise `ConflictError` unless this is the next one after what is stored."""
        found = 0 if stored is None else stored.revision
        if self.revision != found + 1:
            raise ConflictError(
                f"what {self.destination!r} was told of rollout {self.rollout!r} is at revision "
                f"{found}, and revision {self.revision} was to follow: somebody else is telling it"
            )
