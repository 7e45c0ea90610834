"""Score the results of a canary: groups, weights, the two overrides, and repeated judgements."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Final

import attrs

from .metric import Classification, MetricResult

__all__ = ["GroupScore", "KayentaVerdict", "Score", "accepts", "score", "stops", "verdict_of"]


class KayentaVerdict(enum.StrEnum):
    """The verdict on a score, in the words of Kayenta's reports."""

    PASS = "Pass"
    MARGINAL = "Marginal"
    FAIL = "Fail"


@attrs.frozen(kw_only=True)
class GroupScore:
    """The score of one group: the percentage of its judged metrics that passed.

    ``weight`` is its percentage of the whole; ``no_data``: none of its metrics could be judged.
    """

    name: str
    score: float
    weight: float
    no_data: bool = False


@attrs.frozen(kw_only=True)
class Score:
    """The weighted sum over the groups, 0 to 100, rounded to two decimals (half up).

    ``reason`` says why ``value`` is 0 where an override made it 0.
    """

    value: float
    groups: tuple[GroupScore, ...]
    reason: str = ""


_FAILED: Final = (Classification.HIGH, Classification.LOW, Classification.NODATA_FAIL_METRIC)
"""Results that always count against a group. Nodata and Error do too, unless the judge fails
open: then they do not count at all.
"""


def score(
    results: Sequence[MetricResult], weights: Mapping[str, float], *, fail_open: bool = False
) -> Score:
    """Return the score of these results, among which there are no muted metrics.

    A group's score is the share of passes. Groups without a weight share what is left of 100
    equally; a weight of a group that has no metric is lost. Where the judge fails open, a group in
    which nothing could be judged counts as 100.

    Whatever the groups say, the score is 0 if a critical result is no pass, or if half of the
    results or more have no data.
    """
    groups = _groups(results, weights, fail_open)
    value = _rounded(
        math.fsum(
            (100.0 if each.no_data and fail_open else each.score) * (each.weight / 100)
            for each in groups
        )
    )
    reason = _override(results)
    return Score(value=0.0 if reason else value, groups=groups, reason=reason)


def _groups(
    results: Sequence[MetricResult], weights: Mapping[str, float], fail_open: bool
) -> tuple[GroupScore, ...]:
    by_group: dict[str, list[Classification]] = {}
    for result in results:
        for group in result.groups:
            by_group.setdefault(group, []).append(result.classification)
    unweighted = [name for name in by_group if name not in weights]
    shared = (100 - math.fsum(weights.values())) / len(unweighted) if unweighted else 0.0
    groups = []
    for name, labels in by_group.items():
        passed = labels.count(Classification.PASS)
        judged = passed + len([label for label in labels if label in _FAILED])
        counted = judged if fail_open else len(labels)
        part = 100 * passed / counted if counted else 0.0
        groups.append(
            GroupScore(name=name, score=part, weight=weights.get(name, shared), no_data=not judged)
        )
    return tuple(groups)


def _override(results: Sequence[MetricResult]) -> str:
    for result in results:
        if result.critical and result.classification is not Classification.PASS:
            return f"Canary Failed: {result.name} is {result.classification.value}: {result.reason}"
    silent = len([result for result in results if result.classification is Classification.NODATA])
    return (
        f"Canary Failed: {silent} of {len(results)} metrics have no data"
        if results and 2 * silent >= len(results)
        else ""
    )


def _rounded(value: float) -> float:
    """Round to two decimals, half up in the digits that are printed, as Kayenta does."""
    return math.floor(Fraction(repr(value)) * 100 + Fraction(1, 2)) / 100


def verdict_of(value: float, *, pass_score: float, marginal_score: float) -> KayentaVerdict:
    """Return the verdict on a score; both bounds are inclusive."""
    if value >= pass_score:
        return KayentaVerdict.PASS
    return KayentaVerdict.MARGINAL if value >= marginal_score else KayentaVerdict.FAIL


def stops(value: float, *, marginal_score: float) -> bool:
    """Return whether this score ends a canary early that is judged again and again.

    It does at the marginal score already, unlike in `verdict_of`.
    """
    return value <= marginal_score


def accepts(
    scores: Sequence[float], *, pass_score: float | None = None, marginal_score: float | None = None
) -> bool:
    """Return whether several judgements, in order, accept a canary: the last one decides.

    It must be at least ``pass_score`` and above ``marginal_score``; None sets no bound. Without any
    score the answer is no.
    """
    if not scores:
        return False
    last = scores[-1]
    return (pass_score is None or last >= pass_score) and (
        marginal_score is None or last > marginal_score
    )
