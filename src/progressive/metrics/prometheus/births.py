"""Where series begin that are there already: a zero that nobody scraped, a series under a new
label, and one that is told twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import attrs

from .counting import Misread
from .series import Labels, Series

__all__ = ["early_zeros", "goes_on", "refuse_replicas", "without_zeros"]

_ABOUT: Final = 1.5
"""Scrape intervals that are still about one: a scrape may begin late."""

_MOVES: Final = 3
"""So many times two series must rise together to be one: once or twice is chance."""

_EDGES: Final = frozenset({"le", "quantile"})
"""Labels that tell apart the numbers of one histogram or summary, which do move together."""


# ------------------------------------------------------------------------------------ early zeros


def early_zeros(series: Iterable[Series], scrape: int) -> tuple[Series, ...]:
    """Those that begin with a zero which may be no scrape, as it lies long before the next sample.

    Prometheus can store a zero at the time at which a counter says it was created
    (``created-timestamp-zero-ingestion``, and OTLP's start times), however long before the first
    scrape that was. Where nobody scraped then, it tells neither what came in a window nor that
    anything was scraped.
    """
    return tuple(
        each
        for each in series
        if len(each.samples) > 1
        and not each.samples[0][1]
        and each.samples[1][0] - each.samples[0][0] > _ABOUT * scrape
    )


def without_zeros(
    series: Iterable[Series], suspects: Sequence[Series], up: Iterable[Series]
) -> tuple[Series, ...]:
    """The series without the first samples of suspects whose target was not scraped between that
    zero and the next sample. ``up``: samples of the targets' ``up``.
    """
    scraped = {(each.job, each.instance): each for each in up if each.name == "up"}
    unfounded: set[Labels] = set()
    for each in suspects:
        target = scraped.get((each.job, each.instance))
        zero, after = each.samples[0][0], each.samples[1][0]
        if target is None or not any(zero <= moment < after for moment, _ in target.samples):
            unfounded.add(each.key)
    return tuple(
        attrs.evolve(each, samples=each.samples[1:]) if each.key in unfounded else each
        for each in series
    )


# ---------------------------------------------------------------------------------- other labels


def goes_on(
    series: Iterable[Series], start: int, scrape: int, kind: Callable[[Series], object]
) -> Iterator[tuple[Series, int]]:
    """Series which begin after ``start`` where another one of the same job, instance and name
    ended, not lower, and what that one showed last: the same counter under other labels.

    Only where it is so for all that begin together at a target: one that is lower shows that the
    process started again. ``kind``: equal for those that are counted as the same things.
    """
    targets: dict[tuple[str, str, str], list[Series]] = {}
    for each in series:
        if each.instance and each.samples:
            targets.setdefault((each.name, each.job, each.instance), []).append(each)
    for group in targets.values():
        for first in sorted({each.samples[0][0] for each in group if each.samples[0][0] > start}):
            ended = [each for each in group if 0 < first - each.samples[-1][0] <= _ABOUT * scrape]
            begun = [each for each in group if each.samples[0][0] == first]
            yield from _paired(begun, ended, kind)


def _paired(
    begun: Sequence[Series], ended: Sequence[Series], kind: Callable[[Series], object]
) -> list[tuple[Series, int]]:
    pairs, left = [], list(ended)
    for each in begun:
        alike = [old for old in left if kind(old) == kind(each)]
        if not alike:
            continue  # really new
        before = max(alike, key=lambda old: len(set(old.key) & set(each.key)))
        left.remove(before)
        if each.samples[0][1] < before.samples[-1][1]:
            return []
        pairs.append((each, before.samples[-1][1]))
    return pairs


# -------------------------------------------------------------------------------------- replicas


def refuse_replicas(series: Iterable[Series]) -> None:
    """Raise `Misread` where one counter is told by two servers, as two series that differ in one
    label: their sum would be twice as much as came.

    They are of one job and instance, were scraped at different times, and move together: what one
    shows lies between what the other one showed before and after.
    """
    targets: dict[tuple[str, str, str], list[Series]] = {}
    for each in series:
        if each.instance and len(each.samples) > _MOVES:
            targets.setdefault((each.name, each.job, each.instance), []).append(each)
    for group in targets.values():
        if len({each.samples[-1][0] for each in group}) < 2:
            continue  # all of one page, as most are
        for label in sorted({label for each in group for label in each.labels} - _EDGES):
            alike: dict[Labels, Series] = {}
            for each in group:
                if label in each.labels:
                    rest = tuple(pair for pair in each.key if pair[0] != label)
                    other = alike.setdefault(rest, each)
                    if other is not each and _together(other, each):
                        _refuse(label, other, each)


def _together(one: Series, other: Series) -> bool:
    times = {moment for moment, _ in one.samples}
    if sum(moment in times for moment, _ in other.samples) * 2 > len(other.samples):
        return False
    moves, last = 0, None
    for moment, count in other.samples:
        place = one.until(moment)
        if not 0 < place < len(one.samples):
            continue
        low, high = sorted((one.samples[place - 1][1], one.samples[place][1]))
        if not low <= count <= high:
            return False
        moves += last is not None and count != last
        last = count
    return moves >= _MOVES


def _refuse(label: str, one: Series, other: Series) -> None:
    raise Misread(
        f"{one.name} of {one.job} at {one.instance} is told twice, by series that move together "
        f"and differ only in {label} ({one.labels[label]!r} and {other.labels[label]!r}): two "
        f"servers scrape it, and their sum is twice what came; select one with labels={{{label!r}: "
        f"{one.labels[label]!r}}}, or let the server deduplicate"
    )
