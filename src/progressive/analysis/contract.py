"""The contract of a check: its verdicts, judgements, tolerance, and the `Check` protocol."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
from datetime import timedelta
from typing import ClassVar, Final, Protocol

import attrs

from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.actions import Action, Memory, action_of
from progressive.model.fields import is_list_of
from progressive.model.measurement import Look, Metric
from progressive.model.traffic import Track

__all__ = ["Budget", "Check", "Judgement", "Tolerance", "Verdict", "metrics_of"]


class Verdict(enum.StrEnum):
    """The result of judging one look. Only PASS can promote; only FAIL counts as a failure."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NO_DATA = "no_data"
    ERROR = "error"
    MISSING = "missing"
    """Requests to the candidate don't arrive, or are not counted: far fewer than were asked for."""


def _finite(numbers: Iterable[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    return tuple([(name, value) for name, value in numbers if math.isfinite(value)])


@attrs.frozen(kw_only=True)
class Judgement:
    """A verdict with its reason in one sentence and the numbers that led to it, by name.

    ``starved`` marks a NO_DATA for which the candidate alone is to blame: it has no data in the
    window, and stable has some, or gets no traffic by design. Numbers that are not finite are left
    out: they could not be stored.
    """

    verdict: Verdict
    why: str
    numbers: tuple[tuple[str, float], ...] = attrs.field(default=(), converter=_finite)
    starved: bool = False


@attrs.frozen(kw_only=True)
class Budget:
    """A limit on looks that neither pass nor fail, and the action beyond it.

    * ``looks``: the most looks of an unbroken run; one more exceeds the budget. None: no limit.
    * ``within``: a run that lasts this long exceeds the budget. None: no limit.
    * ``then``: the action when one is exceeded; WAIT if and only if all are None.
    * ``both``: whether only looks and time together exceed it, counted from when the first look of
      the run was taken and not from where its window begins.
    * ``in_all``: the most looks since the beginning or the last resume, in a row or not; one more
      exceeds the budget. None: no limit.
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
    both: bool = attrs.field(default=False, validator=fields.is_a(bool, "True or False"))
    in_all: int | None = attrs.field(default=None, validator=fields.optional(fields.at_least(0)))

    def __attrs_post_init__(self) -> None:
        if self.both and (self.looks is None or self.within is None):
            raise StrategyError("Budget(both=True): give looks= and within=")
        limits = {"looks": self.looks, "within": self.within, "in_all": self.in_all}
        if (set(limits.values()) == {None}) is not (self.then is Action.WAIT):
            given = ", ".join(f"{name}={value!r}" for name, value in limits.items())
            raise StrategyError(
                f"Budget({given}, then={self.then.value!r}): give one of the limits, or none and "
                "then=Action.WAIT (the step's deadline decides)"
            )


NEVER: Final = Budget(then=Action.WAIT)
"""What missing requests lead to by default in states without a word about them: nothing."""

PATIENT: Final = Budget(within=timedelta(minutes=15), then=Action.ROLL_BACK)
"""What unanswered looks were allowed by default in states without a word about them."""


@attrs.frozen(kw_only=True)
class Tolerance:
    """The number of failing looks that fail a check, and the budgets of the other verdicts.

    * ``in_a_row``: consecutive failing looks after which the check has failed.
    * ``failures``: the most failing looks in all; one more fails the check. None: no limit.
    * ``then``: the action of a failed check.
    * ``inconclusive``, ``no_data``, ``no_answer``, ``missing``: the budgets of INCONCLUSIVE,
      NO_DATA, ERROR and MISSING. Of NO_DATA, only `Judgement.starved` ones count; when stable has
      no data either, the step's deadline decides. MISSING is the verdict on any check of a metric
      that counts requests while the candidate has less than four fifths of those that its weight
      asks for, by more than chance; with ``then=Action.WAIT`` nobody looks for that, as where
      stable is called beside the router, or where sessions are sticky (who came before a raise
      stays on stable) and the router's `Capabilities` do not say so.

    By default who can't see goes back soon: after the fourth unanswered or missing look in a row
    and no sooner than two minutes after the first. From the first one on nothing is raised.

    At full traffic no budget rolls back: it holds, which also keeps the old version from being
    removed.
    """

    in_a_row: int = attrs.field(default=2, validator=fields.at_least(1))
    failures: int | None = attrs.field(default=None, validator=fields.optional(fields.at_least(0)))
    then: Action = attrs.field(
        default=Action.ROLL_BACK, converter=action_of, validator=fields.is_one_of(Action)
    )
    inconclusive: Budget = Budget(looks=0, then=Action.HOLD)
    no_data: Budget = Budget(within=timedelta(minutes=15), then=Action.ROLL_BACK)
    no_answer: Budget = attrs.field(
        default=Budget(looks=3, within=timedelta(minutes=2), then=Action.ROLL_BACK, both=True),
        metadata=fields.missing_means(PATIENT),
    )
    missing: Budget = attrs.field(
        default=Budget(looks=3, within=timedelta(minutes=2), then=Action.ROLL_BACK, both=True),
        metadata=fields.missing_means(NEVER),
    )

    def __attrs_post_init__(self) -> None:
        if self.then is Action.WAIT:
            raise StrategyError(
                "Tolerance.then: 'wait': a failed check can't wait; to watch without "
                "deciding use observe=True on the check"
            )


def stored_before(default: Tolerance) -> dict[str, object]:
    """Return the ``metadata=`` of a check's tolerance: one that was stored without it has the
    patience of then.
    """
    return fields.missing_means(attrs.evolve(default, no_answer=PATIENT, missing=NEVER))


is_flag = fields.is_a(bool, "True or False")
"""A validator for an option that is on or off; a string would always count as on."""


is_tolerance = fields.is_a(Tolerance, "Tolerance(in_a_row=2)")
"""A validator for a check's tolerance."""


class Check(Protocol):
    """Judge the looks of one metric. Your own check is a frozen attrs class with these names and a
    ``kind`` of its own.

    ``judge`` is pure: the same look, memory and alpha give the same answer. It is not called for
    looks that were not answered.

    Three members are optional:

    * ``metrics``, a tuple, for a check that judges several (``metric`` is then one of them).
      ``judge`` gets a look at each of them in turn.
    * ``judge_in(traffic, look, memory, alpha)`` is called in place of ``judge`` for a look that was
      taken in the current traffic, which it is given.
    * ``anytime``: whether more and shorter looks cause no more false alarms, so that the candidate
      may be looked at soon after each raise (`Analysis.early`).
    """

    kind: ClassVar[str]

    @property
    def id(self) -> str:
        """The name of the check, unique within its analysis."""
        ...

    @property
    def metric(self) -> Metric: ...

    @property
    def observe(self) -> bool:
        """Whether the check is measured, judged and noted, but decides nothing."""
        ...

    @property
    def tolerance(self) -> Tolerance: ...

    @property
    def share_of_alpha(self) -> float:
        """The weight by which the plan's alpha is split; 0 for a check without a bounded
        false-alarm rate.
        """
        ...

    @property
    def required_tracks(self) -> tuple[Track, ...]:
        """The tracks that it can't judge without; while one gets no traffic, it is dormant."""
        ...

    @property
    def measured_tracks(self) -> tuple[Track, ...]:
        """The tracks that are measured if they get traffic; includes ``required_tracks``."""
        ...

    def judge(self, look: Look, memory: Memory, alpha: float) -> tuple[Judgement, Memory]:
        """Judge one look. Return the judgement and the memory for the next look.

        ``memory`` is None before the first look. ``alpha`` is this check's part of the plan's
        alpha, 0 if ``share_of_alpha`` is 0.
        """
        ...


def metrics_of(check: Check) -> tuple[Metric, ...]:
    """Return every metric that a check judges."""
    metrics: tuple[Metric, ...] = getattr(check, "metrics", None) or (check.metric,)
    return metrics


def may_look_early(check: Check) -> bool:
    """Return whether a check may be looked at as often as one likes.

    Its test must allow it, and none of its budgets be counted in looks alone.
    """
    given = check.tolerance
    budgets = (given.inconclusive, given.no_data, given.no_answer, given.missing)
    return getattr(check, "anytime", False) and not any(
        (each.looks and not each.both) or each.in_all for each in budgets
    )


is_checks = is_list_of(("metric", "judge"), "a check such as Limit(...) or NoWorse(...)")
