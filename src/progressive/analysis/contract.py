"""One judgement: five verdicts, the numbers that led to them, and the contract of whatever
judges.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
from datetime import timedelta
from typing import ClassVar, Protocol

import attrs

from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.actions import Action, Memory, action_of
from progressive.model.fields import is_list_of
from progressive.model.measurement import Look, Metric
from progressive.model.traffic import Track

__all__ = ["Budget", "Check", "Judgement", "Tolerance", "Verdict", "metrics_of"]


class Verdict(enum.StrEnum):
    """What one look says. Five, not two: the last three never promote anything."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NO_DATA = "no_data"
    ERROR = "error"


def _finite(numbers: Iterable[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    return tuple([(name, value) for name, value in numbers if math.isfinite(value)])


@attrs.frozen(kw_only=True)
class Judgement:
    """A verdict with its reason in one sentence and its numbers by name.

    ``starved`` marks a NO_DATA that is the candidate's alone: stable has traffic in the same
    window, or gets none by design, and the candidate has none. Numbers that are not finite are left
    out: they could not be stored.
    """

    verdict: Verdict
    why: str
    numbers: tuple[tuple[str, float], ...] = attrs.field(default=(), converter=_finite)
    starved: bool = False


@attrs.frozen(kw_only=True)
class Budget:
    """How much of something that is neither pass nor fail is tolerated in one stretch, and what
    happens after that.

    More than ``looks`` of them in a row, or a stretch of at least ``within``, whichever comes
    first; None is no limit of that sort.
    """

    looks: int | None = attrs.field(default=None, validator=fields.optional(fields.at_least(0)))
    within: timedelta | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(fields.whole_ms),
        validator=fields.optional(fields.is_span),
    )
    then: Action = attrs.field(
        default=Action.HOLD, converter=action_of, validator=fields.is_one_of(Action)
    )

    def __attrs_post_init__(self) -> None:
        if (self.looks is None and self.within is None) is not (self.then is Action.WAIT):
            given = f"looks={self.looks!r}, within={self.within!r}, then={self.then.value!r}"
            raise StrategyError(
                f"Budget({given}): give looks= or within=, or neither and then=Action.WAIT "
                "(the step's deadline decides)"
            )


@attrs.frozen(kw_only=True)
class Tolerance:
    """When failing looks become a failed check, and what the other verdicts lead to.

    A check has failed after ``in_a_row`` failing looks one after another, or after more than
    ``failures`` in all (None: no limit of that sort). ``no_data`` counts what the candidate alone
    lacks; when stable is silent too, the step's deadline decides. At full traffic no budget rolls
    back: it holds, which also keeps the old version from being removed.
    """

    in_a_row: int = attrs.field(default=2, validator=fields.at_least(1))
    failures: int | None = attrs.field(default=None, validator=fields.optional(fields.at_least(0)))
    then: Action = attrs.field(
        default=Action.ROLL_BACK, converter=action_of, validator=fields.is_one_of(Action)
    )
    inconclusive: Budget = Budget(looks=0, then=Action.HOLD)
    no_data: Budget = Budget(within=timedelta(minutes=15), then=Action.ROLL_BACK)
    no_answer: Budget = Budget(within=timedelta(minutes=15), then=Action.ROLL_BACK)

    def __attrs_post_init__(self) -> None:
        if self.then is Action.WAIT:
            raise StrategyError(
                "Tolerance.then: 'wait': a failed check can't wait; to watch without "
                "deciding use observe=True on the check"
            )


is_flag = fields.is_a(bool, "True or False")
"""A validator for what is on or off; a word would always be on."""


is_tolerance = fields.is_a(Tolerance, "Tolerance(in_a_row=2)")
"""A validator for a check's tolerance."""


class Check(Protocol):
    """What judges the looks of one metric. Your own is a frozen attrs class with these names and a
    ``kind`` of its own.

    ``judge`` is pure: the same look, memory and alpha give the same answer. It is not asked about
    looks that were not answered.

    Two things may be there besides. ``metrics``, a tuple, for a check that judges several
    (``metric`` is then one of them): ``judge`` gets a look at each of them in turn. And
    ``judge_in(traffic, look, memory, alpha)``, which is called in place of ``judge`` with the
    traffic in which the look was taken, while that is the traffic that there is.
    """

    kind: ClassVar[str]

    @property
    def id(self) -> str:
        """Its name, unique within the analysis."""
        ...

    @property
    def metric(self) -> Metric: ...

    @property
    def observe(self) -> bool:
        """True: it is measured, judged and noted, and decides nothing."""
        ...

    @property
    def tolerance(self) -> Tolerance: ...

    @property
    def share_of_alpha(self) -> float:
        """Its weight when the plan's alpha is split; 0 for a check without a bounded false-alarm
        rate.
        """
        ...

    @property
    def required_tracks(self) -> tuple[Track, ...]:
        """The tracks without which it can't judge: it is dormant while one of them gets no
        traffic.
        """
        ...

    @property
    def measured_tracks(self) -> tuple[Track, ...]:
        """The tracks that it looks at if they get traffic (``required_tracks`` among them)."""
        ...

    def judge(self, look: Look, memory: Memory, alpha: float) -> tuple[Judgement, Memory]:
        """The verdict on one look and what to remember. ``alpha`` is its part of the plan's (0
        where it has none).
        """
        ...


def metrics_of(check: Check) -> tuple[Metric, ...]:
    """Every metric that a check judges."""
    found: tuple[Metric, ...] = getattr(check, "metrics", None) or (check.metric,)
    return found


is_checks = is_list_of(("metric", "judge"), "a check such as Limit(...) or NoWorse(...)")
