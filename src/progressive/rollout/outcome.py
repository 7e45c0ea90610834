"""How a run ended, as a deployment script wants to know it."""

from __future__ import annotations

import enum

import attrs

from .phases import Phase
from .state import Rollout

__all__ = ["ExitCode", "Outcome"]


class ExitCode(enum.IntEnum):
    """What a script should exit with."""

    PROMOTED = 0
    ROLLED_BACK = 1
    WRONG_INPUT = 2
    WAITS_FOR_PERSON = 3
    BUDGET_SPENT = 4
    NOT_VERIFIED = 5
    """It is on its way back, and the router has not yet been seen to serve stable alone. Tick it again, or take it back by hand."""


@attrs.frozen(kw_only=True)
class Outcome:
    """``outcome.exit_code`` for ``sys.exit``; ``str(outcome)`` for the log. A rollout that is not final goes on where it stands."""

    rollout: Rollout
    exit_code: ExitCode

    @classmethod
    def of(cls, rollout: Rollout) -> Outcome:
        """What ``rollout`` amounts to if nobody goes on with it now."""
        if rollout.phase is Phase.PROMOTED:
            code = ExitCode.PROMOTED
        elif rollout.phase is Phase.ROLLED_BACK:
            code = ExitCode.ROLLED_BACK if rollout.routing.touched else ExitCode.WRONG_INPUT
        elif rollout.phase is Phase.ROLLING_BACK:
            code = ExitCode.NOT_VERIFIED
        else:
            code = ExitCode.WAITS_FOR_PERSON if rollout.waits_for_person else ExitCode.BUDGET_SPENT
        return cls(rollout=rollout, exit_code=code)

    @property
    def promoted(self) -> bool:
        """Is the candidate the stable version now?"""
        return self.exit_code is ExitCode.PROMOTED

    def __str__(self) -> str:
        return f"{self.rollout.id}: {self.rollout.status}"
