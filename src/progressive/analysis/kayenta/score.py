"""From results to a score: groups, weights, the two overrides, and what several judgements in a row
come to.
"""

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
    """What a score means."""

    PASS = "Pass"
    MARGINAL = "Marginal"
    FAIL = "Fail"


@attrs.frozen(kw_only=True)
class GroupScore:
    """One group: the percentage of its judged metrics that passed, and its percentage of the whole.
    ``no_data``: none could be judged.
    """

    name: str
    score: float
    weight: float
    no_data: bool = False


@attrs.frozen(kw_only=True)
class Score:
    """The sum over the groups, 0 to 100, rounded to two decimals (half up); ``reason`` says why it
    is 0 where it was set to 0.
    """

    value: float
    groups: tuple[GroupScore, ...]
    reason: str = ""


_FAILED: Final = (Classification.HIGH, Classification.LOW, Classification.NODATA_FAIL_METRIC)
"""What counts against a group in any case. Where the judge fails open, Nodata and Error count
nowhere; else like these.
"""


def score(
    results: Sequence[MetricResult], weights: Mapping[str, float], *, fail_open: bool = False
) -> Score:
    """The score of these results (muted metrics are not among them).

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
    called: dict[str, list[Classification]] = {}
    for result in results:
        for group in result.groups:
            called.setdefault(group, []).append(result.classification)
    unweighted = [name for name in called if name not in weights]
    shared = (100 - math.fsum(weights.values())) / len(unweighted) if unweighted else 0.0
    groups = []
    for name, labels in called.items():
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
    """To two decimals, half up in the digits that are printed, as people round and as Kayenta
    does.
    """
    return math.floor(Fraction(repr(value)) * 100 + Fraction(1, 2)) / 100


def verdict_of(value: float, *, pass_score: float, marginal_score: float) -> KayentaVerdict:
    """What a score means; both bounds are inclusive."""
    if value >= pass_score:
        return KayentaVerdict.PASS
    return KayentaVerdict.MARGINAL if value >= marginal_score else KayentaVerdict.FAIL


def stops(value: float, *, marginal_score: float) -> bool:
    """Does this score end a canary that is judged again and again, before its time? At the marginal
    score already, unlike `verdict_of`.
    """
    return value <= marginal_score


def accepts(
    scores: Sequence[float], *, pass_score: float | None = None, marginal_score: float | None = None
) -> bool:
    """What several judgements come to: the last one decides. It must be at least ``pass_score`` and
    above ``marginal_score``; a bound that is None is not asked for. Without any score it is no.
    """
    if not scores:
        return False
    last = scores[-1]
    return (pass_score is None or last >= pass_score) and (
        marginal_score is None or last > marginal_score
    )
