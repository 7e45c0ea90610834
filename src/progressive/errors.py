"""The tree of errors, by whose fault it is; each says what to do next.

::

    ProgressiveError
    ├── StrategyError     yours: a description is wrong; every problem is named at once
    ├── StateError        the stored bytes: this version can't understand them
    ├── ConflictError     somebody else's: it was changed since you read it; read and decide again
    └── WorldError        the world's: a system did not do what it was asked for
        ├── RouterError
        ├── MetricsError
        ├── FleetError
        ├── StoreError
        └── NotificationError

``exit_code`` on every class is what a deployment script should exit with (see
`progressive.Outcome`).
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import ClassVar

__all__ = [
    "ConflictError",
    "Failure",
    "FleetError",
    "MetricsError",
    "NotificationError",
    "ProgressiveError",
    "RouterError",
    "StateError",
    "StoreError",
    "StrategyError",
    "WorldError",
]


class Failure(enum.Enum):
    """How a command failed, and so what may be done next."""

    TRANSIENT = "transient"
    """It was not done; the same request may succeed later."""
    PERMANENT = "permanent"
    """It was not done, and the same request will fail again (refused, not found, not allowed)."""
    UNKNOWN = "unknown"
    """It was sent and no answer came; it may have been done. Read before writing again."""
    CONFLICT = "conflict"
    """It was not done, because somebody else changed the object since it was read."""


class ProgressiveError(Exception):
    """The root of every error that this library raises on purpose."""

    exit_code: ClassVar[int] = 2


class StrategyError(ProgressiveError, ValueError):
    """A description (strategy, plan, check, binding) is wrong.

    ``problems`` has one line for each mistake.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (
            (problems,) if isinstance(problems, str) else tuple(problems)
        )
        super().__init__("\n".join(self.problems))


class StateError(ProgressiveError, ValueError):
    """Stored state can't be understood; the stored bytes are left as they are.

    ``path`` is the place of the mistake (``$.plan.steps[2].weight``), ``why`` the reason.
    """

    def __init__(self, why: str, *, path: str = "$") -> None:
        self.why = why
        self.path = path
        super().__init__(f"{path}: {why}")


class ConflictError(ProgressiveError):
    """Somebody else changed it since you read it. Nothing was done; read it and decide again."""

    exit_code = 5


class WorldError(ProgressiveError):
    """A system outside did not do what it was asked for.

    ``failure`` tells whether the same request can succeed later.
    """

    exit_code = 5

    def __init__(self, why: str, *, failure: Failure = Failure.TRANSIENT) -> None:
        self.failure = failure
        super().__init__(why)


class RouterError(WorldError):
    """The router failed.

    Raise it from an adapter's ``read`` or ``apply`` with the system's own message, without
    credentials.
    """


class MetricsError(WorldError):
    """The metrics system failed.

    It is judged as `Verdict.ERROR`: neither a pass nor a failure of the candidate.
    """


class FleetError(WorldError):
    """The fleet failed. Traffic is not raised until it answers again; lowering does not wait."""


class StoreError(WorldError):
    """The store failed. Traffic is not raised until it answers again; a rollback does not wait."""


class NotificationError(WorldError):
    """A message could not be sent. It stays in the outbox; traffic does not wait for it."""
