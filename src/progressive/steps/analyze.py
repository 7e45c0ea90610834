"""Judge before going on."""

from __future__ import annotations

from typing import ClassVar

import attrs

from progressive.model import fields as check
from progressive.model.units import hours
from progressive.plan.step import Advance, Deadline, Done, Situation, Step, Wait, is_deadline


@attrs.frozen
class Analyze(Step):
    """Wait until every deciding check of the named analysis has passed ``count`` looks in this step.

    A guard of the same name shares its evidence. Failing checks act by their own tolerance.
    """

    kind: ClassVar[str] = "analyze"

    analysis: str = attrs.field(validator=check.is_name)
    count: int = attrs.field(kw_only=True, default=1, validator=check.at_least(1))
    deadline: Deadline = attrs.field(kw_only=True, default=Deadline(within=hours(1)), validator=is_deadline)
    id: str = attrs.field(kw_only=True, default="", validator=check.is_a(str, "a name"))

    @property
    def analyses(self) -> tuple[str, ...]:
        return (self.analysis,)

    def advance(self, situation: Situation) -> Advance:
        passes = situation.passes(self.analysis)
        # A query that changes starts the count anew.
        before = min(situation.memory, passes) if isinstance(situation.memory, int) else passes
        if passes - before >= self.count:
            return Done()
        return Wait(f"{self.analysis}: {passes - before} of {self.count} looks passed", memory=before)
