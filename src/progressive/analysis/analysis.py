"""An analysis: checks that are measured together, again and again."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import attrs

from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.units import seconds

from .contract import Check, is_checks, is_flag

__all__ = ["Analysis"]


PREFLIGHT = "preflight"
"""The reserved name of the looks that preflight takes before the start."""


def checks_of(value: Iterable[Check]) -> tuple[Check, ...]:
    """A converter: several checks."""
    checks: tuple[Check, ...] = fields.listed(value)
    return checks


@attrs.frozen(kw_only=True)
class Analysis:
    """Checks that are measured together.

    * ``interval``: from the end of one window to the end of the next.
    * ``warmup``: verified time after each change of traffic whose measurements are not judged.
    * ``early``: look sooner after each change of traffic, where harm is likeliest: first after the
      metric's `Metric.resolution` (5 s where it says nothing), then each time the traffic has stood
      a quarter as long again, until that is ``interval``. Only at metrics all of whose checks may
      be asked so often without more false alarms (`NoWorse` on ratios and latencies, tested bounds,
      `SampleRatio`), and not where a step counts the looks (`Analyze`).
    * ``synthetic``: the candidate gets requests which no router sends it (a load test of a
      preview), so that it can be judged at 0 %.
    """

    name: str = attrs.field(validator=fields.is_name, kw_only=False)
    checks: tuple[Check, ...] = attrs.field(converter=checks_of, validator=is_checks)
    interval: timedelta = attrs.field(
        default=seconds(30), converter=fields.whole_ms, validator=fields.is_duration
    )
    warmup: timedelta = attrs.field(
        default=timedelta(), converter=fields.whole_ms, validator=fields.is_span
    )
    early: bool = attrs.field(default=True, validator=is_flag, metadata=fields.missing_means(False))
    synthetic: bool = False

    def __attrs_post_init__(self) -> None:
        ids = [each.id for each in self.checks]
        problems = [
            f"two checks have the id {twice!r}; give one of them id="
            for twice in sorted({id for id in ids if ids.count(id) > 1})
        ]
        if not ids:
            problems.append("no checks; give checks=[Limit(...), ...]")
        if self.name == PREFLIGHT:
            problems.append("this is the name of what is asked before the start; use another")
        if problems:
            raise StrategyError([f"analysis {self.name!r}: {problem}" for problem in problems])
