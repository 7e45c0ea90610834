"""Give the candidate its share of the traffic."""

from __future__ import annotations

from typing import ClassVar

import attrs

from ..errors import StrategyError
from ..step import Advance, Deadline, Done, Situation, Step, Wait
from ..traffic import Match, Traffic
from ..units import Percent, minutes


def _weight(value: object) -> Percent:
    if isinstance(value, Percent):
        return value
    raise StrategyError(f"SetWeight: {value!r} has no unit; write percent({value!r})")


@attrs.frozen
class SetWeight(Step):
    """Send ``weight`` of all requests to the candidate; done when the router, read back, serves exactly that.

    ``matches`` are header and cookie routes to the candidate on top of the weight. Not verified ``within`` ten minutes, it rolls back.
    """

    kind: ClassVar[str] = "set_weight"

    weight: Percent = attrs.field(converter=_weight)
    baseline: Percent = attrs.field(kw_only=True, default=Percent(0))
    matches: tuple[Match, ...] = attrs.field(kw_only=True, default=())
    mirror: Percent = attrs.field(kw_only=True, default=Percent(0))
    deadline: Deadline = attrs.field(kw_only=True, default=Deadline(within=minutes(10)))
    id: str = attrs.field(kw_only=True, default="", validator=attrs.validators.instance_of(str))
    skippable: ClassVar[bool] = False
    traffic: Traffic = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(
            lambda self: Traffic(
                candidate=self.weight, baseline=self.baseline, matches=self.matches, mirror=self.mirror
            ),
            takes_self=True,
        ),
    )

    def advance(self, situation: Situation) -> Advance:
        return Done() if situation.verified else Wait(f"the router to serve {self.traffic}")
