"""The Kayenta check: several metrics judged together by one score, as Spinnaker does."""

from __future__ import annotations

from typing import Any, ClassVar, Final, cast

import attrs

from progressive.analysis.contract import (
    Judgement,
    Tolerance,
    Verdict,
    is_flag,
    is_tolerance,
    stored_before,
)
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
from progressive.model.measurement import Kind, Look, Measurement, Metric
from progressive.model.traffic import Track

from .judge import KayentaJudge, KayentaVerdict

__all__ = ["Kayenta"]

MOST: Final = 1_440
"""The most points of a series that a check may keep, a point a minute for a day: they are stored
with the rollout.
"""

_VERDICTS: Final = {
    KayentaVerdict.PASS: Verdict.PASS,
    KayentaVerdict.MARGINAL: Verdict.INCONCLUSIVE,
    KayentaVerdict.FAIL: Verdict.FAIL,
}

TOLERANCE: Final = Tolerance(in_a_row=1)

FRESH: Final = "fresh"
WAITING: Final = "waiting"
SILENT: Final = "silent"
"""The data of a metric since the last judgement: points on both sides, none on the control yet, or
none on the candidate alone. A metric that falls silent must not go on passing by its old points.
"""

_Points = tuple[tuple[float, ...], tuple[float, ...]]
"""The candidate's points of one metric, and its control's."""


@attrs.frozen(kw_only=True)
class Kayenta(Comparing, Unweighted):
    """Judge several levels together by a canary config of Kayenta's:
    ``Kayenta(config, metrics=[CPU, MEMORY])``.

    Once each series has enough points, all are judged whenever each metric has new ones: Pass is a
    PASS, Marginal INCONCLUSIVE, Fail a FAIL. As in Kayenta, each judgement includes points that
    were judged before, so there is no bound on false alarms.

    * ``config``: a `progressive.analysis.kayenta.KayentaJudge`.
    * ``metrics``: levels, named as the metrics of ``config``.
    * ``than``: the control's track.
    * ``points``: how many a judgement needs of each series (Kayenta warns below 50).
    * ``lookback``: how many points of a series are kept, the newest, from ``points`` to 1,440. They
      are stored with the rollout, some ten bytes each.
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
    tolerance: Tolerance = attrs.field(
        default=Tolerance(in_a_row=1),
        validator=is_tolerance,
        metadata=stored_before(Tolerance(in_a_row=1)),
    )
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
        judged = [each.name for each in self.config.metrics]
        given = [each.name for each in self.metrics]
        problems = [
            f"metrics: none is named {name!r}, which the config judges; there are "
            f"{', '.join(given)}"
            for name in dict.fromkeys(judged)
            if name not in given
        ]
        for each in dict.fromkeys(self.metrics):
            if each.kind is not Kind.VALUE:
                problems.append(
                    f"metrics: {each.name!r} is a {each.kind.value}; Kayenta compares "
                    "points, so make it a value"
                )
            if each.name not in judged:
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
        points, news = self._unpack(memory)
        candidate, control = look.of(Track.CANDIDATE), look.of(self.than)
        candidate_points, control_points = points[look.metric]
        points[look.metric] = (
            (candidate_points + samples_of(candidate))[-self.lookback :],
            (control_points + samples_of(control))[-self.lookback :],
        )
        news[look.metric] = _news(candidate, control)
        judgement = self._no_data(points, news)
        if judgement is None:
            judgement = self._score(points)
            news = dict.fromkeys(news, WAITING)
        return judgement, (tuple(points.values()), tuple(news.values()))

    def _unpack(self, memory: Memory) -> tuple[dict[str, _Points], dict[str, str]]:
        """Return the points kept of each metric, and what is new of it since the last judgement."""
        names = [each.name for each in self.metrics]
        if memory is None:
            return dict.fromkeys(names, ((), ())), dict.fromkeys(names, WAITING)
        points, news = cast("tuple[tuple[_Points, ...], tuple[str, ...]]", memory)
        return dict(zip(names, points, strict=True)), dict(zip(names, news, strict=True))

    def _no_data(self, points: dict[str, _Points], news: dict[str, str]) -> Judgement | None:
        """Return why nothing can be judged in this look; None if it can."""
        for name, new in news.items():
            if new == SILENT:
                why = f"no data on candidate: no points of {name}"
                return Judgement(verdict=Verdict.NO_DATA, why=why, starved=True)
        fewest = _fewest(points)
        if fewest < self.points:
            why = f"{fewest} of the {self.points} points that a judgement needs of each series"
            return Judgement(verdict=Verdict.NO_DATA, why=why)
        for name, new in news.items():
            if new == WAITING:
                return Judgement(verdict=Verdict.NO_DATA, why=f"waits for new points of {name}")
        return None

    def _score(self, points: dict[str, _Points]) -> Judgement:
        """Judge all points that are kept, of all metrics together."""
        result = self.config.judge(
            experiment={name: candidate for name, (candidate, _) in points.items()},
            control={name: control for name, (_, control) in points.items()},
        )
        not_passed = ", ".join(
            f"{each.name} {each.classification.value}"
            for each in result.metrics
            if each.classification.value != "Pass"
        )
        why = (
            f"score {result.score:g}, "
            f"{result.reason or result.verdict.value}{f' ({not_passed})' if not_passed else ''}"
        )
        numbers = (("score", result.score), ("points", float(_fewest(points))))
        return Judgement(verdict=_VERDICTS[result.verdict], why=why, numbers=numbers)


def _fewest(points: dict[str, _Points]) -> int:
    """Return the length of the shortest series."""
    return min(len(series) for both in points.values() for series in both)


def _news(candidate: Measurement, control: Measurement) -> str:
    if not control.sample:
        return WAITING
    return FRESH if candidate.sample else SILENT
