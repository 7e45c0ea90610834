"""Ask a person."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

import attrs

from progressive.errors import StrategyError
from progressive.model import fields as check
from progressive.model.actions import Action, action_of
from progressive.plan.step import Advance, Deadline, Done, Situation, Step, Wait


def _ends(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is Action.WAIT:
        raise StrategyError("Approval.otherwise: 'wait' would wait for ever; use Action.ROLL_BACK or Action.HOLD")


@attrs.frozen
class Approval(Step):
    """Wait until somebody approves ``name`` (an `Approve` event, early ones count). Guards go on meanwhile.

    There is no default for what happens when nobody answers: ``within`` how long, and ``otherwise`` what.
    """

    kind: ClassVar[str] = "approval"

    name: str = attrs.field(validator=check.is_name)
    within: timedelta = attrs.field(kw_only=True, converter=check.whole_ms, validator=check.is_duration)
    otherwise: Action = attrs.field(kw_only=True, converter=action_of, validator=[check.is_one_of(Action), _ends])
    id: str = attrs.field(kw_only=True, default="", validator=check.is_a(str, "a name"))

    @property
    def approval(self) -> str:
        return self.name

    @property
    def deadline(self) -> Deadline:
        return Deadline(within=self.within, then=self.otherwise)

    def advance(self, situation: Situation) -> Advance:
        return Done() if situation.approved else Wait(f"somebody to approve {self.name!r}")
