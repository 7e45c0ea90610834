"""Kayenta's judge as a check: several metrics, one score."""

from __future__ import annotations

from typing import Any, ClassVar, Final, cast

import attrs

from progressive.analysis.contract import Judgement, Tolerance, Verdict, is_flag, is_tolerance
from progressive.analysis.parameters import (
    Comparing,
    Unweighted,
    comparing_problems,
    samples_of,
    track_of,
)
from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.actions import Memory
from progressive.model.measurement import Kind, Look, Metric
from progressive.model.traffic import Track

from .judge import KayentaJudge, KayentaResult, KayentaVerdict

__all__ = ["Kayenta"]

MOST: Final = 1_440
"""Points of a series that a check may keep: they travel in the rollout. A point a minute for a
day.
"""

_VERDICTS: Final = {
    KayentaVerdict.PASS: Verdict.PASS,
    KayentaVerdict.MARGINAL: Verdict.INCONCLUSIVE,
    KayentaVerdict.FAIL: Verdict.FAIL,
}

FRESH: Final = "fresh"
WAITING: Final = "waiting"
SILENT: Final = "silent"
"""What there is of a metric since the last judgement: points on both sides, not yet, or none of the
candidate alone. A metric that falls silent must not go on passing by its old points.
"""

_Points = tuple[tuple[float, ...], tuple[float, ...]]
"""The candidate's points of one metric, and its control's."""


@attrs.frozen(kw_only=True)
class Kayenta(Comparing, Unweighted):
    """A canary config of Kayenta's, judged in a rollout:
    ``Kayenta(config, metrics=[CPU, MEMORY])``.

    ``config`` is a `progressive.analysis.kayenta.KayentaJudge`; ``metrics`` are levels with the
    names that its metrics have. What they show is added up, and from ``points`` of each on (Kayenta
    warns below 50) they are judged together whenever each has brought new ones: Pass is a pass,
    Marginal is inconclusive, Fail fails. The newest ``lookback`` points are kept, 1,440 at most;
    they travel in the rollout, some ten bytes each. As in Kayenta each judgement is made afresh
    over points that were judged before, so there is no bound on false alarms.
    """

    kind: ClassVar[str] = "kayenta"

    config: KayentaJudge = attrs.field(
        kw_only=False, validator=fields.is_a(KayentaJudge, "KayentaJudge(metrics=[...])")
    )
    metrics: tuple[Metric, ...] = attrs.field(converter=fields.listed)
    than: Track = attrs.field(
        default=Track.BASELINE, converter=track_of, validator=fields.is_one_of(Track)
    )
    points: int = attrs.field(default=50, validator=fields.at_least(1))
    lookback: int = attrs.field(default=240, validator=fields.at_least(1))
    observe: bool = attrs.field(default=False, validator=is_flag)
    tolerance: Tolerance = attrs.field(default=Tolerance(in_a_row=1), validator=is_tolerance)
    id: str = attrs.field(default="kayenta", validator=fields.is_name)

    def __attrs_post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise StrategyError([f"Kayenta: {problem}" for problem in problems])

    def _problems(self) -> list[str]:
        metrics: Any = self.metrics
        if (
            not isinstance(metrics, tuple)
            or not metrics
            or not all(isinstance(each, Metric) for each in metrics)
        ):
            return [f"metrics={fields.brief(metrics)}: give a list of Metric(..., kind='value')"]
        wanted, given = (
            [each.name for each in self.config.metrics],
            [each.name for each in self.metrics],
        )
        problems = [
            f"metrics: none is named {name!r}, which the config judges; there are "
            f"{', '.join(given)}"
            for name in dict.fromkeys(wanted)
            if name not in given
        ]
        for each in dict.fromkeys(self.metrics):
            if each.kind is not Kind.VALUE:
                problems.append(
                    f"metrics: {each.name!r} is a {each.kind.value}; Kayenta compares "
                    "points, so make it a value"
                )
            if each.name not in wanted:
                problems.append(f"metrics: {each.name!r} is not judged by the config; leave it out")
        twice = [name for name in dict.fromkeys(given) if given.count(name) > 1]
        problems += [
            f"metrics: {name!r} is there {given.count(name)} times; once is enough"
            for name in twice
        ]
        problems += comparing_problems(self.than)
        if not self.points <= self.lookback <= MOST:
            problems.append(
                f"lookback={self.lookback} is how many points are kept: from "
                f"points={self.points} to {MOST}"
            )
        return problems

    @property
    def metric(self) -> Metric:
        return self.metrics[0]

    def judge(self, look: Look, memory: Memory, alpha: float) -> tuple[Judgement, Memory]:
        names = [each.name for each in self.metrics]
        kept, news = cast(
            "tuple[tuple[_Points, ...], tuple[str, ...]]",
            memory or ((((), ()),) * len(names), (WAITING,) * len(names)),
        )
        i = names.index(look.metric)
        candidate, control = look.of(Track.CANDIDATE), look.of(self.than)
        points = (
            (kept[i][0] + samples_of(candidate))[-self.lookback :],
            (kept[i][1] + samples_of(control))[-self.lookback :],
        )
        kept = (*kept[:i], points, *kept[i + 1 :])
        new = (
            FRESH if candidate.sample and control.sample else SILENT if control.sample else WAITING
        )
        news = (*news[:i], new, *news[i + 1 :])
        if SILENT in news:
            why = f"no data on candidate: no points of {names[news.index(SILENT)]}"
            return Judgement(verdict=Verdict.NO_DATA, why=why, starved=True), (kept, news)
        fewest = min(len(side) for pair in kept for side in pair)
        if fewest < self.points:
            why = f"{fewest} of the {self.points} points that a judgement needs of each series"
            return Judgement(verdict=Verdict.NO_DATA, why=why), (kept, news)
        if WAITING in news:
            why = f"waits for new points of {names[news.index(WAITING)]}"
            return Judgement(verdict=Verdict.NO_DATA, why=why), (kept, news)
        result = self.config.judge(
            experiment={name: own for name, (own, _) in zip(names, kept, strict=True)},
            control={name: other for name, (_, other) in zip(names, kept, strict=True)},
        )
        return self._judgement(result, fewest), (kept, (WAITING,) * len(names))

    def _judgement(self, result: KayentaResult, points: int) -> Judgement:
        odd = ", ".join(
            f"{each.name} {each.classification.value}"
            for each in result.metrics
            if each.classification.value != "Pass"
        )
        why = (
            f"score {result.score:g}, "
            f"{result.reason or result.verdict.value}{f' ({odd})' if odd else ''}"
        )
        numbers = (("score", result.score), ("points", float(points)))
        return Judgement(verdict=_VERDICTS[result.verdict], why=why, numbers=numbers)
