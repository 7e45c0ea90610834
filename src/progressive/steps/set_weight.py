"""Give the candidate its share of the traffic."""

from __future__ import annotations

from typing import ClassVar

import attrs

from progressive.model import fields as check
from progressive.model.traffic import Match, Traffic, is_matches, is_percent, matches_of
from progressive.model.units import Percent, minutes
from progressive.plan.step import Advance, Deadline, Done, Situation, Step, Wait, is_deadline


@attrs.frozen
class SetWeight(Step):
    """Send ``weight`` of all requests to the candidate; done when the router, read back, serves exactly that.

    ``matches`` are header and cookie routes to the candidate on top of the weight. Not verified ``within`` ten minutes, it rolls back.
    """

    kind: ClassVar[str] = "set_weight"

    weight: Percent = attrs.field(validator=is_percent)
    baseline: Percent = attrs.field(kw_only=True, default=Percent(0), validator=is_percent)
    matches: tuple[Match, ...] = attrs.field(kw_only=True, default=(), converter=matches_of, validator=is_matches)
    mirror: Percent = attrs.field(kw_only=True, default=Percent(0), validator=is_percent)
    deadline: Deadline = attrs.field(kw_only=True, default=Deadline(within=minutes(10)), validator=is_deadline)
    id: str = attrs.field(kw_only=True, default="", validator=check.is_a(str, "a name"))
    skippable: ClassVar[bool] = False
    traffic: Traffic = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        traffic = Traffic(candidate=self.weight, baseline=self.baseline, matches=self.matches, mirror=self.mirror)
        object.__setattr__(self, "traffic", traffic)

    def advance(self, situation: Situation) -> Advance:
        return Done() if situation.verified else Wait(f"the router to serve {self.traffic}")
