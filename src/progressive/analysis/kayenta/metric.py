"""Classify the two series of one metric by Kayenta's rules."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

import attrs

from progressive.analysis.parameters import is_number
from progressive.errors import StrategyError
from progressive.model import fields
from progressive.stats.ranks import Shift, common_language, mean_ratio, shift, shift_statistic
from progressive.stats.special import normal_quantile

from .series import Pair, Tags
from .transforms import (
    NanStrategy,
    OutlierStrategy,
    beyond_fences,
    remove_nans,
    remove_outliers,
    replace_nans,
)

__all__ = [
    "Classification",
    "Direction",
    "EffectSize",
    "KayentaMetric",
    "MetricResult",
    "Rules",
    "classify",
]


class Direction(enum.StrEnum):
    """The direction in which a difference is bad."""

    INCREASE = "increase"
    DECREASE = "decrease"
    EITHER = "either"


class EffectSize(enum.StrEnum):
    """The measure of the size of a difference."""

    MEAN_RATIO = "meanRatio"
    """The experiment's mean over the control's; unknown, and then taken as large, where one of the
    two is 0.
    """
    CLES = "cles"
    """The chance that a value of the experiment is above one of the control
    (`progressive.stats.ranks.common_language`).
    """


class Classification(enum.StrEnum):
    """The result of one metric, in the words of Kayenta's reports."""

    PASS = "Pass"
    HIGH = "High"
    LOW = "Low"
    NODATA = "Nodata"
    NODATA_FAIL_METRIC = "NodataFailMetric"
    """No data on a metric that must have some."""
    ERROR = "Error"
    """There is data, and it can't be compared."""


THRESHOLDS: Final = (
    "allowed_increase",
    "allowed_decrease",
    "critical_increase",
    "critical_decrease",
)


def _direction(value: Direction | str) -> Direction:
    return fields.chosen(Direction, value)


def _nan_strategy(value: NanStrategy | str) -> NanStrategy:
    return fields.chosen(NanStrategy, value)


def _outliers(value: OutlierStrategy | str) -> OutlierStrategy:
    return fields.chosen(OutlierStrategy, value)


def _effect_size(value: EffectSize | str) -> EffectSize:
    return fields.chosen(EffectSize, value)


def _no_effect(metric: KayentaMetric) -> float:
    return 0.5 if metric.effect_size is EffectSize.CLES else 1.0


def _threshold() -> Any:
    return attrs.field(default=attrs.Factory(_no_effect, takes_self=True))


@attrs.frozen(kw_only=True)
class KayentaMetric:
    """One metric of a canary config: ``KayentaMetric("latency", groups=["system"],
    direction="increase", critical=True)``.

    * ``groups``: the groups it is scored in; a metric in several counts in each, one in none counts
      only if it is critical.
    * ``direction``: the direction in which a difference is bad.
    * ``nan_strategy``: a missing point is left out ("remove") or zero ("replace").
    * ``outliers``: "remove" takes out what is beyond ``outlier_factor`` distances of the quartiles,
      but nothing between the first and the 99th percentile.
    * ``effect_size``: the measure of `allowed_increase` and its sisters, inclusive bounds:
      "meanRatio" (0 or more, no effect is 1) or "cles" (0 to 1, no effect is 0.5). A difference is
      High only from ``allowed_increase`` on and Low only from ``allowed_decrease`` down; by default
      any is.
    * ``critical``: High from ``critical_increase`` on, Low from ``critical_decrease`` down, or no
      data makes the whole score 0.
    * ``must_have_data``: no data is a failure of this metric, also where the judge fails open.
    * ``muted``: neither judged nor counted.

    Raises `StrategyError` with one line for each mistake; nothing falls back to a default in
    silence.
    """

    name: str = attrs.field(kw_only=False)
    groups: tuple[str, ...] = attrs.field(default=(), converter=fields.listed)
    direction: Direction = attrs.field(default=Direction.EITHER, converter=_direction)
    nan_strategy: NanStrategy = attrs.field(default=NanStrategy.REMOVE, converter=_nan_strategy)
    outliers: OutlierStrategy = attrs.field(default=OutlierStrategy.KEEP, converter=_outliers)
    outlier_factor: float = 3.0
    critical: bool = False
    must_have_data: bool = False
    muted: bool = False
    effect_size: EffectSize = attrs.field(default=EffectSize.MEAN_RATIO, converter=_effect_size)
    allowed_increase: float = _threshold()
    allowed_decrease: float = _threshold()
    critical_increase: float = _threshold()
    critical_decrease: float = _threshold()

    def __attrs_post_init__(self) -> None:
        problems = [
            f"KayentaMetric({fields.brief(self.name)}): {problem}" for problem in self._problems()
        ]
        if problems:
            raise StrategyError(problems)

    def _problems(self) -> Iterator[str]:
        if not (isinstance(self.name, str) and self.name):
            yield f"name={self.name!r}: write the metric's name"
        groups: Any = self.groups
        if not isinstance(groups, tuple):
            yield f"groups={groups!r}: expected a list; write [{groups!r}]"
        elif not all(isinstance(group, str) and group for group in groups) or len(
            dict.fromkeys(groups)
        ) < len(groups):
            yield f"groups={list(groups)!r}: write the name of each group once"
        for name, kind in (
            ("direction", Direction),
            ("nan_strategy", NanStrategy),
            ("outliers", OutlierStrategy),
            ("effect_size", EffectSize),
        ):
            if not isinstance(getattr(self, name), kind):
                yield (
                    f"{name}={getattr(self, name)!r}: use one of "
                    f"{', '.join(repr(member.value) for member in kind)}"
                )
        for name in ("critical", "must_have_data", "muted"):
            if not isinstance(getattr(self, name), bool):
                yield f"{name}={getattr(self, name)!r}: use True or False"
        if not is_number(self.outlier_factor) or self.outlier_factor < 0:
            yield (
                f"outlier_factor={self.outlier_factor!r}: use a number of quartile distances, 0 "
                "or more, such as 3.0"
            )
        most, such = (
            (1.0, "a chance from 0 to 1, such as 0.7")
            if self.effect_size is EffectSize.CLES
            else (math.inf, "a ratio, such as 1.2")
        )
        for name in THRESHOLDS:
            value = getattr(self, name)
            if not is_number(value) or value < 0 or value > most:
                yield f"{name}={value!r}: use {such}"


@attrs.frozen(kw_only=True)
class Rules:
    """The parameters of a judge that hold for all its metrics; see `KayentaJudge`."""

    tolerance: float = 0.25
    confidence: float = 0.98
    root_tolerance: float | None = None
    fail_open: bool = False


@attrs.frozen(kw_only=True)
class MetricResult:
    """The classification of one metric, why, and the numbers.

    ``estimate``, ``low`` and ``high`` are the shift of the experiment above the control and its
    interval, in the metric's unit. ``effect_size`` is in the metric's own measure. ``deviation`` is
    always the ratio of the means (NaN where one of them is 0; 1 where nothing was compared). The
    samples are counted after missing points and outliers were dealt with. What was not
    computed is None. ``critical``: this result alone makes the score 0, unless it is a pass.
    """

    name: str
    tags: Tags = ()
    groups: tuple[str, ...] = ()
    classification: Classification
    critical: bool = False
    reason: str = ""
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    effect_size: float | None = None
    deviation: float = 1.0
    control_samples: int = 0
    experiment_samples: int = 0


def classify(metric: KayentaMetric, pair: Pair, rules: Rules) -> MetricResult:
    """Classify a pair of series."""
    experiment, control = _prepared(metric, pair.experiment), _prepared(metric, pair.control)
    result = MetricResult(
        name=metric.name,
        tags=pair.tags,
        groups=metric.groups,
        classification=Classification.PASS,
        control_samples=len(control),
        experiment_samples=len(experiment),
    )
    if not experiment or not control:
        return _without_data(metric, result, rules)
    if any(map(math.isinf, (*experiment, *control))):
        return _without_answer(metric, result, rules, "a value is infinite")
    if sorted(experiment) == sorted(control):
        return attrs.evolve(result, reason="the two sides are identical")
    if min(*experiment, *control) == max(*experiment, *control):
        return attrs.evolve(result, reason="all values of both sides are equal")
    try:
        return _compared(metric, result, experiment, control, rules)
    except (ValueError, OverflowError) as error:
        return _without_answer(metric, result, rules, str(error))


def _without_answer(
    metric: KayentaMetric, result: MetricResult, rules: Rules, why: str
) -> MetricResult:
    critical = metric.critical and not rules.fail_open
    return attrs.evolve(
        result,
        classification=Classification.ERROR,
        critical=critical,
        reason=f"no comparison: {why}",
    )


def _prepared(metric: KayentaMetric, values: Sequence[float]) -> list[float]:
    kept = (
        remove_nans(values) if metric.nan_strategy is NanStrategy.REMOVE else replace_nans(values)
    )
    if metric.outliers is OutlierStrategy.REMOVE:
        kept = remove_outliers(kept, lambda each: beyond_fences(each, metric.outlier_factor))
    return kept


def _without_data(metric: KayentaMetric, result: MetricResult, rules: Rules) -> MetricResult:
    silent = " and ".join(
        side
        for side, n in (
            ("control", result.control_samples),
            ("experiment", result.experiment_samples),
        )
        if not n
    )
    if rules.fail_open and metric.nan_strategy is NanStrategy.REPLACE:
        return attrs.evolve(
            result, reason=f"no data on {silent}, which this metric takes for zeros"
        )
    missing, reason = Classification.NODATA, f"no data on {silent}"
    if metric.must_have_data and not metric.critical:
        missing, reason = (
            Classification.NODATA_FAIL_METRIC,
            f"{reason}, and this metric must have some",
        )
    return attrs.evolve(result, classification=missing, critical=metric.critical, reason=reason)


MEASURES: Final = {EffectSize.MEAN_RATIO: mean_ratio, EffectSize.CLES: common_language}


def _compared(
    metric: KayentaMetric,
    result: MetricResult,
    experiment: list[float],
    control: list[float],
    rules: Rules,
) -> MetricResult:
    moved = _shift(experiment, control, rules)
    above, below = _beyond(moved, experiment, control, rules)
    effect = MEASURES[metric.effect_size](experiment, control)
    unknown = math.isnan(effect)
    classification, critical = Classification.PASS, False
    if (
        above
        and metric.direction is not Direction.DECREASE
        and (unknown or effect >= metric.allowed_increase)
    ):
        classification = Classification.HIGH
        critical = metric.critical and (unknown or effect >= metric.critical_increase)
    elif (
        below
        and metric.direction is not Direction.INCREASE
        and (unknown or effect <= metric.allowed_decrease)
    ):
        classification = Classification.LOW
        critical = metric.critical and (unknown or effect <= metric.critical_decrease)
    reason = (
        f"shift {moved.estimate:.6g}, {rules.confidence * 100:g} % between {moved.low:.6g} and "
        f"{moved.high:.6g}, {metric.effect_size.value} {effect:.4g}"
    )
    return attrs.evolve(
        result,
        classification=classification,
        critical=critical,
        reason=reason,
        estimate=moved.estimate,
        low=moved.low,
        high=moved.high,
        effect_size=effect,
        deviation=mean_ratio(experiment, control),
    )


def _shift(experiment: list[float], control: list[float], rules: Rules) -> Shift:
    """Return the shift and its interval; of two constant series, their difference, with certainty.

    Kayenta adds noise there, which it takes from a generator without a seed; as the noise goes to
    0, so do the ends of its interval to the difference. A side of one value, or of zeros, stays
    without a spread then; if both do, there is no interval.
    """
    if min(experiment) == max(experiment) and min(control) == max(control):
        if not any(len(side) > 1 and side[0] != 0 for side in (experiment, control)):
            raise ValueError("a single value is not enough to compare with a constant")
        difference = experiment[0] - control[0]
        return Shift(estimate=difference, low=difference, high=difference)
    return shift(experiment, control, confidence=rules.confidence, tolerance=rules.root_tolerance)


def _beyond(
    moved: Shift, experiment: list[float], control: list[float], rules: Rules
) -> tuple[bool, bool]:
    """Return whether the interval is above, and below, the band of tolerance around 0.

    Where so many values are equal that the estimate and an end are exactly 0, the interval can't
    tell; the test that it was made from can.
    """
    band = rules.tolerance * abs(moved.estimate)
    above, below = moved.low > band, moved.high < -band
    if rules.root_tolerance is None and moved.estimate == 0:
        z = -normal_quantile((1 - rules.confidence) / 2)
        at_zero = shift_statistic(experiment, control, 0.0)
        above, below = moved.low == 0 and at_zero > z, moved.high == 0 and at_zero < -z
    return above, below
