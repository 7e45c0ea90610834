"""Watch the traffic as it is for a while."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import ClassVar

import attrs

from progressive.model import fields as check
from progressive.model.units import said
from progressive.plan.step import Advance, Deadline, Done, Situation, Step, Wait, is_deadline


@attrs.frozen
class Bake(Step):
    """Let the traffic run for ``duration`` of *watched* time: verified by reads that were never further apart than the plan allows.

    Time that nobody watched, or in which the router served something else, does not count; so the deadline (by default an hour more
    than the duration) is what ends a bake that gets nowhere.
    """

    kind: ClassVar[str] = "bake"

    duration: timedelta = attrs.field(converter=check.whole_ms, validator=check.is_duration)
    deadline: Deadline = attrs.field(
        kw_only=True, validator=is_deadline, default=attrs.Factory(lambda self: Deadline.an_hour_after(self.duration), takes_self=True)
    )
    id: str = attrs.field(kw_only=True, default="", validator=check.is_a(str, "a name"))

    @property
    def span(self) -> timedelta:
        return self.duration

    @cached_property
    def _why(self) -> str:
        return f"a bake of {said(self.duration)}, watched"

    def advance(self, situation: Situation) -> Advance:
        left = self.duration - situation.watched
        if left <= timedelta():
            return Done()
        return Wait(self._why, until=situation.now + left)
