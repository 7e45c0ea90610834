"""Let time pass."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

import attrs

from progressive.model import fields as check
from progressive.model.units import said
from progressive.plan.step import Advance, Deadline, Done, Situation, Step, Wait, is_deadline


@attrs.frozen
class Pause(Step):
    """Wait for ``duration`` by the clock, whether somebody watches or not. To gain trust use a bake; to ask a person use an approval."""

    kind: ClassVar[str] = "pause"

    duration: timedelta = attrs.field(converter=check.whole_ms, validator=check.is_duration)
    deadline: Deadline = attrs.field(
        kw_only=True, validator=is_deadline, default=attrs.Factory(lambda self: Deadline.an_hour_after(self.duration), takes_self=True)
    )
    id: str = attrs.field(kw_only=True, default="", validator=check.is_a(str, "a name"))

    @property
    def span(self) -> timedelta:
        return self.duration

    def advance(self, situation: Situation) -> Advance:
        left = self.duration - situation.stepped
        return Done() if left <= timedelta() else Wait(f"a pause of {said(self.duration)}", until=situation.now + left)
