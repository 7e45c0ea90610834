"""Blue-green: two complete environments, one switch, an instant switch back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import ClassVar, Final

import attrs

from progressive.analysis.analysis import Analysis, checks_of
from progressive.analysis.contract import Check, is_checks
from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.units import minutes, percent
from progressive.plan.step import Step
from progressive.plan.validation import NO_ANALYSIS, UNJUDGED
from progressive.steps.standard import Analyze, Approval, Bake, Hook, Pause, SetWeight

from .common import Watched

PREVIEW = "preview"
"""The name of the analysis of ``preview_checks``."""

_NOTHING_JUDGES: Final = (
    "nothing judges it after the switch; add checks=[...] (they guard the bake) or say "
    "unguarded='why'"
)
"""The hint of a strategy that has no ``guards=``."""


@attrs.frozen(kw_only=True)
class BlueGreen(Watched):
    """Verify the candidate without production traffic, then switch all traffic to it at once.

    Before the switch, in this order, each only if given:

    * ``preview_hook``: the name of a hook to call: a smoke test, a load test.
    * ``preview_checks``, ``preview_count``: checks, and how often each must pass on the requests
      that the hook sends.
    * ``approval``: wait for a person (see `Approval`); or ``pause``: switch after that time.

    After the switch, ``checks`` guard the ``bake``; one write takes everything back.
    ``retire_after`` asks the fleet to remove the old version that long after the promotion,
    ``remove_candidate_after`` the candidate that long after the end of a way back. A strategy
    without hook, analysis or approval is refused, unless ``unguarded`` says why.
    """

    kind: ClassVar[str] = "blue_green"

    preview_hook: str | None = None
    preview_checks: tuple[Check, ...] = attrs.field(
        default=(), converter=checks_of, validator=is_checks
    )
    preview_count: int = attrs.field(default=3, validator=fields.at_least(1))
    approval: Approval | None = attrs.field(
        default=None,
        validator=fields.optional(fields.is_a(Approval, "Approval({}, within=..., otherwise=...)")),
    )
    pause: timedelta | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(fields.whole_ms),
        validator=fields.optional(fields.is_duration),
    )
    bake: timedelta = attrs.field(
        default=minutes(10), converter=fields.whole_ms, validator=fields.is_duration
    )

    def __attrs_post_init__(self) -> None:
        if self.approval is not None and self.pause is not None:
            raise StrategyError(
                "blue_green: give approval= (a person switches) or pause= (it switches by "
                "itself), not both"
            )
        _ = self.plan

    def _steps(self) -> tuple[Step, ...]:
        return tuple(step for _, step in self._fields_and_steps())

    def _fields_and_steps(self) -> Iterator[tuple[str, Step]]:
        """Yield each step with the field that it comes from."""
        if self.preview_hook is not None:
            yield "preview_hook", Hook(self.preview_hook)
        if self.preview_checks:
            yield "preview_checks", Analyze(PREVIEW, count=self.preview_count)
        if self.approval is not None:
            yield "approval", self.approval
        if self.pause is not None:
            yield "pause", Pause(self.pause)
        yield "switch", SetWeight(percent(100))
        yield "bake", Bake(self.bake)

    def _analyses(self) -> tuple[Analysis, ...]:
        if not self.preview_checks:
            return ()
        return (
            Analysis(PREVIEW, checks=self.preview_checks, interval=self.interval, synthetic=True),
        )

    def _rephrased(self, problem: str) -> str:
        return super()._rephrased(problem).replace(f"{UNJUDGED}: {NO_ANALYSIS}", _NOTHING_JUDGES)

    def _place(self, step: int, where: str) -> str:
        return [field for field, _ in self._fields_and_steps()][step]
