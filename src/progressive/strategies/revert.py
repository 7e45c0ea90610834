"""Revert: return to the version before, after a promotion that turned out to be a mistake."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

import attrs

from progressive.model import fields
from progressive.model.units import minutes, percent
from progressive.plan.step import Step
from progressive.steps.standard import Bake, SetWeight

from .common import Watched


@attrs.frozen(kw_only=True)
class Revert(Watched):
    """Send all traffic to the version before, in one switch: ``start(Revert(), release.reversed(),
    id="checkout-v2-revert", ports=ports)``.

    As that version has served before, nothing has to be proven, and it waits only for the router.
    ``checks``, if given, guard the ``bake`` after the switch and roll it back if they fail. While
    the rollout to be reverted is still active, an `Abort` is the quicker way. If the removal of the
    old version is due but not yet asked for, `start` cancels it.
    """

    kind: ClassVar[str] = "revert"
    needs_stable: ClassVar[bool] = False  # the version that it leaves may be half down

    bake: timedelta = attrs.field(
        default=minutes(1), converter=fields.whole_ms, validator=fields.is_duration
    )
    unguarded: str | None = "it was the stable version before"

    def __attrs_post_init__(self) -> None:
        _ = self.plan

    def _steps(self) -> tuple[Step, ...]:
        return (SetWeight(percent(100)), Bake(self.bake))

    def _place(self, step: int, where: str) -> str:
        return ("switch", "bake")[step]
