"""The Mann-Whitney check: a rank test for levels."""

from __future__ import annotations

from typing import ClassVar, Final

import attrs

from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.actions import Memory
from progressive.model.measurement import Bad, Kind, Look, Metric
from progressive.model.traffic import Track
from progressive.stats.ranks import common_language, mann_whitney, shift

from .contract import Judgement, Tolerance, Verdict, is_flag, is_tolerance, stored_before
from .memory import kept_numbers, kept_pair
from .parameters import (
    Comparing,
    Unweighted,
    comparing_problems,
    is_metric,
    is_number,
    margin_problems,
    no_data_on,
    samples_of,
    track_of,
)

__all__ = ["MannWhitney"]

MOST: Final = 500
"""The most samples of a track that a check may pool: they are stored with the rollout."""


@attrs.frozen(kw_only=True)
class MannWhitney(Comparing, Unweighted):
    """Compare the candidate's samples of a level with its control's by rank:
    ``MannWhitney(MEMORY, margin=1.1)``.

    For levels without a count of events: processor time, memory, queue depth. It fails if the
    candidate's samples are on the bad side of ``margin`` times the control's.

    * ``than``: the control's track.
    * ``margin``: the multiple that is still tolerated, 1 to 1000.
    * ``confidence``: of a failure, above 0.5 and below 1; one-sided where one direction is bad.
    * ``samples``: how many a verdict needs on each side, 2 to 500. Windows are pooled until they
      have so many, then judged and forgotten, so no sample is used twice. Samples a few seconds
      apart are nearly the same; take them as far apart as the level takes to change.

    Each judgement is made afresh, so there is no bound on false alarms over a rollout: with ten
    judgements at 0.98, up to one in five good versions fails once. Two in a row are needed by
    default; put a `NoWorse` beside it for the bound.
    """

    kind: ClassVar[str] = "mann_whitney"

    metric: Metric = attrs.field(kw_only=False, validator=is_metric)
    than: Track = attrs.field(
        default=Track.STABLE, converter=track_of, validator=fields.is_one_of(Track)
    )
    margin: float = 1.0
    confidence: float = 0.98
    samples: int = attrs.field(default=30, validator=fields.at_least(2))
    observe: bool = attrs.field(default=False, validator=is_flag)
    tolerance: Tolerance = attrs.field(
        default=Tolerance(), validator=is_tolerance, metadata=stored_before(Tolerance())
    )
    id: str = attrs.field(
        validator=fields.is_name,
        default=attrs.Factory(lambda self: self._default_id(), takes_self=True),
    )

    def __attrs_post_init__(self) -> None:
        problems = []
        if self.metric.kind is not Kind.VALUE:
            problems.append(
                f"it ranks the samples of a level; for a {self.metric.kind.value} use NoWorse(...)"
            )
        problems += margin_problems(self.margin)
        if not is_number(self.confidence) or not 0.5 < self.confidence < 1:
            problems.append(f"confidence={self.confidence!r} is between 0.5 and 1, such as 0.98")
        if self.samples > MOST:
            problems.append(f"samples={self.samples}: at most {MOST}, they are kept in the rollout")
        problems += comparing_problems(self.than)
        if problems:
            raise StrategyError(
                [f"MannWhitney({self.metric.name}): {problem}" for problem in problems]
            )

    def _default_id(self) -> str:
        is_metric(self, None, self.metric)  # defaults are made before the fields are checked
        return f"{self.metric.name}-ranks"

    def judge(self, look: Look, memory: Memory, alpha: float) -> tuple[Judgement, Memory]:
        candidate, control = look.of(Track.CANDIDATE), look.of(self.than)
        pooled, control_pooled = map(kept_numbers, kept_pair(memory))
        pooled = (pooled + samples_of(candidate))[-MOST:]
        control_pooled = (control_pooled + samples_of(control))[-MOST:]
        if not candidate.sample:
            why = no_data_on(Track.CANDIDATE, candidate, "no samples")
            judgement = Judgement(verdict=Verdict.NO_DATA, why=why, starved=control.sample > 0)
            return judgement, (pooled, control_pooled)
        if min(len(pooled), len(control_pooled)) < self.samples:
            why = (
                f"{len(pooled)} and {len(control_pooled)} of the {self.samples} samples that a "
                "verdict needs on each side"
            )
            return Judgement(verdict=Verdict.NO_DATA, why=why), (pooled, control_pooled)
        return self._compare(pooled, control_pooled), None

    def _tolerated(self, control: tuple[float, ...], up: bool) -> list[float]:
        """Move each level by the margin towards harm, also where it is below 0."""
        return [
            level * self.margin if up is (level >= 0) else level / self.margin for level in control
        ]

    def _compare(self, candidate: tuple[float, ...], control: tuple[float, ...]) -> Judgement:
        bad = self.metric.bad
        bad_sides = (True, False) if bad is Bad.BOTH else (bad is Bad.UP,)
        one_sided, up = min(
            (
                mann_whitney(
                    candidate,
                    self._tolerated(control, up),
                    alternative="greater" if up else "less",
                ).p,
                up,
            )
            for up in bad_sides
        )
        p = min(1.0, one_sided * len(bad_sides))
        tolerated = self._tolerated(control, up)
        above = common_language(candidate, tolerated)
        worse = p < 1 - self.confidence
        numbers = [
            ("p", p),
            ("above", above),
            ("candidate_samples", float(len(candidate))),
            ("control_samples", float(len(control))),
        ]
        try:
            moved = shift(candidate, tolerated, confidence=self.confidence)
        except ValueError:
            summary = "all samples are equal"
        else:
            numbers += [
                ("shift", moved.estimate),
                ("shift_low", moved.low),
                ("shift_high", moved.high),
            ]
            unit = f" {self.metric.unit}" if self.metric.unit else ""
            margin = "" if self.margin == 1 else f"what a margin of {self.margin:g} makes of "
            summary = (
                f"{moved.estimate:+.4g}{unit} ({moved.low:+.3g} to {moved.high:+.3g}) from "
                f"{margin}{self.than.value}'s"
            )
        why = (
            f"{'worse' if worse else 'no worse'}: {summary}, above it in {above * 100:.0f} % of "
            f"the pairs; p = {p:.3g}"
        )
        return Judgement(
            verdict=Verdict.FAIL if worse else Verdict.PASS, why=why, numbers=tuple(numbers)
        )
