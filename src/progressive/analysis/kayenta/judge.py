"""Kayenta's canary judge, for teams that come from Spinnaker: the same configuration, the same
words, the same scores.

    judge = KayentaJudge(
        metrics=[
            KayentaMetric("latency", groups=["system"], direction="increase"),
            KayentaMetric("errors", groups=["system"], nan_strategy="replace", critical=True),
        ],
        group_weights={"system": 100},
    )
    result = judge.judge(
        control={"latency": [...], "errors": [...]},
        experiment={"latency": [...], "errors": [...]},
    )
    result.verdict, result.score, result.metrics

The samples are points of a time series, one each minute, say. It compares gauges (CPU, memory, the
depth of a queue) by rank. For rates of errors and for latencies take `progressive.NoWorse`, which
counts requests. Here a point of six requests weighs as much as one of six thousand, and each
judgement is made afresh, so ten of them raise up to ten times as many false alarms.

On purpose, it differs from Kayenta:

* **A metric that could not be judged fails.** In Kayenta, Error and Nodata count nowhere, a group
  without data counts as 100, an error is never critical, and with ``nan_strategy="replace"`` two
  empty series pass. Here each of them counts like High, and an error of a critical metric makes the
  score 0. Points that are NaN are still zeros under "replace", as the metric asks; a series without
  any point is not. ``fail_open=True`` is Kayenta's own behaviour.
* **The result does not depend on the unit.** Kayenta finds the interval to within 1e-4 in any unit,
  so fractions of 1e-5 never alarm. Here it is exact; ``root_tolerance=1e-4`` is Kayenta's own
  behaviour.
* **Two constant series give the same answer each time**; Kayenta adds noise to them.
* **A configuration that does not say what it seems to is refused**: unknown words, weights that
  can't reach 100, names that match nothing.

Source: github.com/spinnaker/kayenta at a69573be9d8f.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from progressive.analysis.parameters import is_number
from progressive.errors import StrategyError
from progressive.model import fields

from .metric import (
    Classification,
    Direction,
    EffectSize,
    KayentaMetric,
    MetricResult,
    Rules,
    classify,
)
from .score import GroupScore, KayentaVerdict, Score, accepts, score, stops, verdict_of
from .series import Pair, Series, back_fill, mix
from .transforms import NanStrategy, OutlierStrategy

__all__ = [
    "Classification",
    "Direction",
    "EffectSize",
    "GroupScore",
    "KayentaJudge",
    "KayentaMetric",
    "KayentaResult",
    "KayentaVerdict",
    "MetricResult",
    "NanStrategy",
    "OutlierStrategy",
    "Pair",
    "Score",
    "Series",
    "back_fill",
    "mix",
]

FEW_POINTS: Final = 50
"""Points of a control series below which Kayenta warns: fewer ranks decide little at 98 %."""

_ROUNDING: Final = 1e-6
"""The tolerance of the sum of weights, so that three times 33.3333333 add up to 100."""


@attrs.frozen(kw_only=True)
class KayentaResult:
    """One judgement: a verdict, the score behind it, and every metric with its numbers.

    ``reason`` says why the score is 0 where an override made it 0. ``warnings`` change nothing.
    """

    verdict: KayentaVerdict
    score: float
    reason: str
    groups: tuple[GroupScore, ...]
    metrics: tuple[MetricResult, ...]
    warnings: tuple[str, ...] = ()


def _weights(value: Any) -> Any:
    return tuple(value.items()) if isinstance(value, Mapping) else value


@attrs.frozen(kw_only=True)
class KayentaJudge:
    """A canary config of Kayenta's.

    * ``group_weights``: percent by group. Groups without a weight share what is left of 100
      equally.
    * ``pass_score``, ``marginal_score``: the least score that passes, or is marginal (inclusive).
    * ``tolerance``, ``confidence``: fixed in Kayenta. A difference counts if the interval at this
      confidence leaves a band around 0 of this part of the estimate.
    * ``fail_open``, ``root_tolerance`` (in the metrics' unit): restore Kayenta's own behaviour
      where this module differs.

    Raises `StrategyError` with one line for each mistake.
    """

    metrics: tuple[KayentaMetric, ...] = attrs.field(converter=fields.listed)
    group_weights: tuple[tuple[str, float], ...] = attrs.field(default=(), converter=_weights)
    pass_score: float = 95.0
    marginal_score: float = 75.0
    tolerance: float = 0.25
    confidence: float = 0.98
    fail_open: bool = False
    root_tolerance: float | None = None

    def __attrs_post_init__(self) -> None:
        problems = [f"KayentaJudge: {problem}" for problem in self._problems()]
        if problems:
            raise StrategyError(problems)

    def _problems(self) -> Iterator[str]:
        metrics: Any = self.metrics
        if not (
            isinstance(metrics, tuple)
            and metrics
            and all(isinstance(each, KayentaMetric) for each in metrics)
        ):
            yield (
                f"metrics={fields.brief(metrics)}: write a list of KayentaMetric(...), one at least"
            )
        else:
            yield from self._problems_of_metrics()
        if (
            not (is_number(self.marginal_score) and is_number(self.pass_score))
            or self.marginal_score < 0
            or self.pass_score > 100
        ):
            yield (
                f"marginal_score={self.marginal_score!r}, pass_score={self.pass_score!r}: use "
                "numbers from 0 to 100, such as 75 and 95"
            )
        elif self.marginal_score > self.pass_score:
            yield (
                f"marginal_score={self.marginal_score!r} is above "
                f"pass_score={self.pass_score!r}: exchange them"
            )
        if not is_number(self.tolerance) or self.tolerance < 0:
            yield (
                f"tolerance={self.tolerance!r}: use a part of the estimate, 0 or more, such as 0.25"
            )
        if not is_number(self.confidence) or self.confidence <= 0 or self.confidence >= 1:
            yield f"confidence={self.confidence!r}: use a part of 1, such as 0.98"
        fail_open: Any = self.fail_open
        if not isinstance(fail_open, bool):
            yield f"fail_open={fail_open!r}: use True or False"
        if self.root_tolerance is not None and (
            not is_number(self.root_tolerance) or self.root_tolerance <= 0
        ):
            yield (
                f"root_tolerance={self.root_tolerance!r}: use None for exact intervals, or "
                "Kayenta's 1e-4"
            )

    def _problems_of_metrics(self) -> Iterator[str]:
        names = [each.name for each in self.metrics]
        for name in dict.fromkeys(names):
            if names.count(name) > 1:
                yield (
                    f"metrics: {name!r} is there {names.count(name)} times; give each a name of "
                    "its own"
                )
        judged = [each for each in self.metrics if not each.muted]
        groups = list(dict.fromkeys(group for each in judged for group in each.groups))
        if not judged:
            yield "metrics: all are muted, so nothing would be judged; take muted= from one"
        elif not groups:
            yield "metrics: none is in a group, so the score would always be 0; write groups=[...]"
        else:
            yield from self._problems_of_weights(groups)

    def _problems_of_weights(self, groups: list[str]) -> Iterator[str]:
        given: Any = self.group_weights
        if not isinstance(given, tuple):
            yield (
                f"group_weights={given!r}: write percents by group, such as {{{groups[0]!r}: 100}}"
            )
            return
        wrong = [
            (name, weight)
            for name, weight in given
            if not is_number(weight) or weight < 0 or weight > 100
        ]
        for name, weight in wrong:
            yield f"group_weights[{name!r}]={weight!r}: use percent, 0 to 100"
        for name, _ in given:
            if name not in groups:
                yield (
                    f"group_weights[{name!r}]: no metric that is judged is in this group, so "
                    "its weight would be lost; leave it out"
                )
        if wrong:
            return
        total, whole = math.fsum(weight for _, weight in given), len(given) >= len(groups)
        if total > 100 + _ROUNDING:
            yield f"group_weights add up to {total:g}; make that 100"
        elif whole and total < 100 - _ROUNDING:
            yield (
                f"group_weights add up to {total:g} with a weight for every group, so no score "
                "could reach 100; make that 100"
            )

    def judge(
        self, control: Mapping[str, Sequence[float]], experiment: Mapping[str, Sequence[float]]
    ) -> KayentaResult:
        """Judge the points of both sides, given by the metrics' names.

        NaN is a missing point; a metric that is not given has no data.

        Raises `StrategyError` for names that no metric has.
        """
        names = [each.name for each in self.metrics]
        unknown = [
            f"{side}[{name!r}]: no metric has this name; there are {', '.join(map(repr, names))}"
            for side, given in (("control", control), ("experiment", experiment))
            for name in given
            if name not in names
        ]
        if unknown:
            raise StrategyError(unknown)
        return self.judge_pairs(
            Pair(name=name, control=control.get(name, ()), experiment=experiment.get(name, ()))
            for name in names
        )

    def judge_pairs(self, pairs: Iterable[Pair]) -> KayentaResult:
        """Judge pairs of series, which may be several of one metric, distinguished by tags.

        `mix` makes the pairs. Each counts as a metric of its own; a metric without a pair has no
        data. Raises `StrategyError` for names that no metric has.
        """
        metrics = {each.name: each for each in self.metrics}
        given = list(pairs)
        unknown = [
            f"pairs: no metric is called {name!r}"
            for name in dict.fromkeys(pair.name for pair in given)
            if name not in metrics
        ]
        if unknown:
            raise StrategyError(unknown)
        with_data = {pair.name for pair in given}
        given += [
            Pair(name=name, control=(), experiment=()) for name in metrics if name not in with_data
        ]
        rules = Rules(
            tolerance=self.tolerance,
            confidence=self.confidence,
            root_tolerance=self.root_tolerance,
            fail_open=self.fail_open,
        )
        judged = [pair for pair in given if not metrics[pair.name].muted]
        results = tuple(classify(metrics[pair.name], pair, rules) for pair in judged)
        total = score(results, dict(self.group_weights), fail_open=self.fail_open)
        return KayentaResult(
            verdict=verdict_of(
                total.value, pass_score=self.pass_score, marginal_score=self.marginal_score
            ),
            score=total.value,
            reason=total.reason,
            groups=total.groups,
            metrics=results,
            warnings=tuple(
                f"{pair.name}: {len(pair.control)} points on control; below {FEW_POINTS} "
                "the comparison sees little"
                for pair in judged
                if len(pair.control) < FEW_POINTS
            ),
        )

    def stops(self, result: KayentaResult) -> bool:
        """Return whether a canary that is judged every few minutes should end here.

        It should at the marginal score already, as in Spinnaker's monitor.
        """
        return stops(result.score, marginal_score=self.marginal_score)

    def accepts(self, results: Sequence[KayentaResult]) -> bool:
        """Return whether the judgements of one canary, in order, accept it.

        The last decides: it must pass and be above the marginal score.
        """
        scores = [each.score for each in results]
        return accepts(scores, pass_score=self.pass_score, marginal_score=self.marginal_score)
