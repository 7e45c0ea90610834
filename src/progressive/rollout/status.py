"""The status, outcome and exit code of a rollout, for people and scripts."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import TYPE_CHECKING

import attrs

from progressive.model.units import Percent

from .phases import Phase

if TYPE_CHECKING:
    from .state import Rollout

__all__ = ["ExitCode", "Outcome", "Status", "Waiting"]


@attrs.frozen(kw_only=True)
class Waiting:
    """A wait: for what, since when, until when at the latest, and what happens then."""

    why: str
    since: datetime
    until: datetime | None = None
    then: str = ""


@attrs.frozen(kw_only=True)
class Status:
    """The status of a rollout; ``str(status)`` is one line for a person."""

    phase: Phase
    step: str
    position: int
    steps: int
    asked: Percent
    declared: Percent | None
    waiting: Waiting | None
    reason: str

    def __str__(self) -> str:
        declared = "unknown" if self.declared is None else str(self.declared)
        line = (
            f"{self.phase.value}: step {self.position} of {self.steps} ({self.step}), asked "
            f"{self.asked}, router says {declared}"
        )
        if self.waiting is not None:
            since, until = self.waiting.since, self.waiting.until
            line += f"; waits for {self.waiting.why} since {_clock(since)}"
            if until is not None:
                day = "" if until.date() == since.date() else f"{until:%Y-%m-%d} "
                line += f", until {day}{_clock(until)}, then {self.waiting.then}"
        return f"{line} ({self.reason})" if self.reason else line


def _clock(at: datetime) -> str:
    return at.strftime("%H:%M:%S")


class ExitCode(enum.IntEnum):
    """The exit code for a script."""

    PROMOTED = 0
    ROLLED_BACK = 1
    WRONG_INPUT = 2
    WAITS_FOR_PERSON = 3
    BUDGET_SPENT = 4
    NOT_VERIFIED = 5
    """It is on its way back, and the router has not yet been seen to serve stable alone. Tick it
    again, or take it back by hand.
    """


@attrs.frozen(kw_only=True)
class Outcome:
    """The outcome of a run: ``exit_code`` is for ``sys.exit``, ``str(outcome)`` for the log.

    A rollout that is not final can be continued from where it stands.
    """

    rollout: Rollout
    exit_code: ExitCode

    @classmethod
    def of(cls, rollout: Rollout) -> Outcome:
        """Return the outcome of a rollout that is not continued now."""
        if rollout.phase is Phase.PROMOTED:
            code = ExitCode.PROMOTED
        elif rollout.phase is Phase.ROLLED_BACK:
            code = ExitCode.ROLLED_BACK if rollout.routing.any_write_sent else ExitCode.WRONG_INPUT
        elif rollout.phase is Phase.ROLLING_BACK:
            code = ExitCode.NOT_VERIFIED
        else:
            code = ExitCode.WAITS_FOR_PERSON if rollout.waits_for_person else ExitCode.BUDGET_SPENT
        return cls(rollout=rollout, exit_code=code)

    @property
    def promoted(self) -> bool:
        """Whether the candidate is the stable version now."""
        return self.exit_code is ExitCode.PROMOTED

    def __str__(self) -> str:
        return f"{self.rollout.id}: {self.rollout.status}"
