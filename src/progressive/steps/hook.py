"""Let the caller's code have its say."""

from __future__ import annotations

from typing import ClassVar

import attrs

from progressive.model import fields as check
from progressive.model.actions import Go, NotYet, Stop
from progressive.model.units import hours
from progressive.plan.step import (
    Advance,
    Deadline,
    Done,
    Failed,
    Situation,
    Step,
    Wait,
    is_deadline,
)


@attrs.frozen
class Hook(Step):
    """Call the hook bound to ``name`` until it answers `Go` or `Stop`. It runs at least once, beside the guards."""

    kind: ClassVar[str] = "hook"

    name: str = attrs.field(validator=check.is_name)
    deadline: Deadline = attrs.field(kw_only=True, default=Deadline(within=hours(1)), validator=is_deadline)
    skippable: bool = attrs.field(kw_only=True, default=True)
    id: str = attrs.field(kw_only=True, default="", validator=check.is_a(str, "a name"))

    @property
    def hook(self) -> str:
        return self.name

    def advance(self, situation: Situation) -> Advance:
        match situation.answer:
            case Go():
                return Done()
            case Stop(why=why):
                return Failed(f"hook {self.name!r} says stop: {why}")
            case NotYet(until=until, why=why):
                return Wait(f"hook {self.name!r}: {why or 'not yet'}", until=until)
            case _:
                return Wait(f"hook {self.name!r} to answer")
