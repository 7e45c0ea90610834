"""What a provider was told to measure, and what it asks with: the names of one version, and one
window in the form that a system keeps.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias, TypeVar

from progressive.errors import Failure, MetricsError, StrategyError
from progressive.model import fields
from progressive.model.measurement import Kind, Look, Measurement, Metric, NoData, Window
from progressive.model.release import Release, Version
from progressive.model.traffic import Track

__all__ = [
    "Declared",
    "TimeForm",
    "check_declared",
    "declared",
    "is_time_form",
    "look_of",
    "parameters",
    "shortcomings",
    "time_form",
    "told",
    "versions",
]

T = TypeVar("T")
Declared: TypeAlias = tuple[tuple[Metric, T], ...]
"""Metrics, and what each of them is for a provider."""

PARAMETERS: Final = ("service", "version", "backend", "track", "start", "end")
"""What a question can be filled in with. ``version`` is its identity."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class TimeForm(enum.StrEnum):
    """How the two ends of a window are given to a system. All are exact to the millisecond, and
    UTC.
    """

    DATETIME = "datetime"
    """An aware `datetime`."""
    ISO = "iso"
    """``2026-11-23T12:00:00.000Z``: always so long, so that texts like it sort by time."""
    UNIX = "unix"
    """Seconds since 1970; with a fraction, because windows are cut at milliseconds."""
    UNIX_MS = "unix_ms"
    """Whole milliseconds since 1970."""


def time_form(value: TimeForm | str) -> TimeForm:
    """A converter; what is no form of time is left for `is_time_form` to name."""
    return fields.chosen(TimeForm, value)


is_time_form = fields.is_one_of(TimeForm)


def _unix(at: datetime) -> int | float:
    ms = (at - _EPOCH) // timedelta(milliseconds=1)
    return ms / 1000 if ms % 1000 else ms // 1000


_FORMS: Final[dict[TimeForm, Callable[[datetime], datetime | str | int | float]]] = {
    TimeForm.DATETIME: lambda at: at,
    TimeForm.ISO: lambda at: at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    TimeForm.UNIX: _unix,
    TimeForm.UNIX_MS: lambda at: (at - _EPOCH) // timedelta(milliseconds=1),
}


def parameters(
    release: Release, track: Track, version: Version, window: Window, times: TimeForm
) -> dict[str, Any]:
    """What a question about one version is filled in with, by name."""
    form = _FORMS[times]
    names = {
        "service": release.service,
        "version": version.identity,
        "backend": version.backend,
        "track": track.value,
    }
    return {**names, "start": form(window.start), "end": form(window.end)}


def shortcomings(used: Collection[str], kind: Kind, shown: Callable[[str], str]) -> Iterator[str]:
    """What is wrong with a question that is filled in with these. ``shown``: how a name stands in
    it (``:start``, ``{start}``).
    """
    for name in sorted(set(used).difference(PARAMETERS)):
        yield f"{shown(name)} is not known; there are {', '.join(map(shown, PARAMETERS))}"
    if not {"version", "backend", "track"}.intersection(used):
        yield (
            f"it is the same for every version; name the version, with {shown('version')} or "
            f"{shown('backend')}"
        )
    if kind is not Kind.VALUE and not {"start", "end"} <= set(used):
        yield (
            f"it counts what is outside of the window too; bound it by {shown('start')} "
            f"(included) and {shown('end')} (not included)"
        )


# -------------------------------------------------------------------------------- what was declared


def declared(value: Mapping[Metric, T] | Declared[T]) -> Declared[T]:
    """A converter: what each metric is. What is no mapping is left for `check_declared` to name."""
    return tuple(value.items()) if isinstance(value, Mapping) else value


def check_declared(
    where: str, value: Any, such: str, problems: Callable[[Metric, Any], Iterable[str]]
) -> None:
    """Raise `StrategyError` for metrics that can't be measured like this. ``such``: what to write;
    ``problems``: of one of them.
    """
    if not isinstance(value, tuple) or not value:
        raise StrategyError(
            f"{where}: give a mapping of metrics to what they are, such as {{ORDERS: {such}}}"
        )
    found = []
    for metric, what in value:
        fields.a(Metric, metric, where, "Metric({}, kind='ratio')")
        found += [f"{where}[{metric.name}]: {problem}" for problem in problems(metric, what)]
        if metric.counter:
            found.append(
                f"{where}[{metric.name}]: has counter=True, which is for systems without "
                "history; leave it out"
            )
    names = [metric.name for metric, _ in value]
    found += [
        f"{where}: {name!r} stands for two metrics"
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    if found:
        raise StrategyError(found)


def told(provider: str, known: Declared[T], metric: Metric) -> tuple[Metric, T]:
    """A metric as it was declared, and what it is. Raises `MetricsError` for one that was not."""
    for own, what in known:
        if own.name == metric.name:
            return own, what
    names = ", ".join(own.name for own, _ in known)
    raise MetricsError(
        f"{provider} answers for {names}; not for {metric.name}", failure=Failure.PERMANENT
    )


# ----------------------------------------------------------------------------------------- one look


def versions(release: Release, tracks: Iterable[Track]) -> Iterator[tuple[Track, Version]]:
    """The tracks for which the release has a version."""
    for track in tracks:
        if (version := track.version(release)) is not None:
            yield track, version


def look_of(
    metric: Metric,
    window: Window,
    tracks: Sequence[Track],
    found: Mapping[Track, Measurement],
    *,
    query: str,
    meaning: tuple[object, ...],
) -> Look:
    """The look. ``meaning``: what the numbers mean, without versions and times; if that changes,
    evidence starts anew.
    """
    absent = NoData("the release has no version for this track")
    return Look(
        metric=metric.name,
        window=window,
        tracks=[(track, found.get(track, absent)) for track in tracks],
        query=query,
        fingerprint=hashlib.sha256(
            repr((metric.name, metric.kind.value, *meaning)).encode()
        ).hexdigest()[:16],
    )
