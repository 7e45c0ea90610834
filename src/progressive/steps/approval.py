"""Ask a person."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

import attrs

from .. import _validators as check
from ..errors import StrategyError
from ..messages import Action
from ..step import Advance, Deadline, Done, Situation, Step, Wait


def _otherwise(value: Action | str) -> Action:
    action = Action(value)
    if action is Action.WAIT:
        raise StrategyError("Approval: otherwise=wait would wait for ever; use Action.ROLL_BACK or Action.HOLD")
    return action


@attrs.frozen
class Approval(Step):
    """Wait until somebody approves ``name`` (an `Approve` event, early ones count). Guards go on meanwhile.

    There is no default for what happens when nobody answers: ``within`` how long, and ``otherwise`` what.
    """

    kind: ClassVar[str] = "approval"

    name: str = attrs.field(validator=check.is_name)
    within: timedelta = attrs.field(kw_only=True, converter=check.whole_ms, validator=check.is_duration)
    otherwise: Action = attrs.field(kw_only=True, converter=_otherwise)
    id: str = attrs.field(kw_only=True, default="", validator=attrs.validators.instance_of(str))

    @property
    def approval(self) -> str:
        return self.name

    @property
    def deadline(self) -> Deadline:
        return Deadline(within=self.within, then=self.otherwise)

    def advance(self, situation: Situation) -> Advance:
        return Done() if situation.approved else Wait(f"somebody to approve {self.name!r}")
