"""The base of a metrics provider, and what all providers share: declared metrics, named versions, a
window's ends, one look.
"""

from __future__ import annotations

import enum
import hashlib
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias, TypeVar

import attrs

from progressive.errors import Failure, MetricsError, StrategyError
from progressive.model import fields
from progressive.model.measurement import (
    Kind,
    Look,
    Measurement,
    Metric,
    NoAnswer,
    NoData,
    Window,
)
from progressive.model.release import Release, Track, Version

from .flow import Adapter, Flow, Question

__all__ = [
    "NO_VERSION",
    "Declared",
    "Provider",
    "TimeForm",
    "check_declared",
    "declaration",
    "declared",
    "is_time_form",
    "look_of",
    "parameter_problems",
    "parameters",
    "time_form",
    "versions_of",
]

Q = TypeVar("Q", bound=Question)
A = TypeVar("A")
T = TypeVar("T")

Declared: TypeAlias = tuple[tuple[Metric, T], ...]
"""Metrics, and what each of them is for a provider: a query, an endpoint, a function."""

PARAMETERS: Final = ("service", "version", "backend", "track", "start", "end")
"""What a query can be filled in with. ``version`` is its identity."""

NO_VERSION: Final = NoData("the release has no version for this track")
"""What a track without a version measures."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Provider(Adapter[Q, A]):
    """A provider of questions ``Q`` and answers ``A``. It gives `metrics`, a ``_client``, and
    ``_measure``.
    """

    __slots__ = ()

    @abstractmethod
    def _measure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> Flow[Q, A, Look]:
        """One look, as a flow that only reads."""

    def measure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> Look:
        """One look at the half-open window. Nothing found is `NoData`, never 0.

        ``since``: the ``reading`` of the look before, for systems without history. Raises
        `MetricsError` if the system can't be asked or refuses the query.
        """
        look = self._client.run(self._measure(release, metric, tracks, window, since))
        return _veiled(look, self._client.veil)

    async def ameasure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> Look:
        """`measure`, asynchronously."""
        look = await self._client.arun(self._measure(release, metric, tracks, window, since))
        return _veiled(look, self._client.veil)


def _veiled(look: Look, veil: Callable[[str], str]) -> Look:
    """A look is stored and shown: what a system echoes in its words must not be a credential."""
    tracks = [
        (track, type(found)(veil(found.why)) if isinstance(found, NoData | NoAnswer) else found)
        for track, found in look.tracks
    ]
    query = veil(look.query)
    if query == look.query and tuple(tracks) == look.tracks:
        return look
    return attrs.evolve(look, tracks=tracks, query=query)


# ------------------------------------------------------------------- what a query is filled in with


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

Parameter: TypeAlias = str | datetime | int | float


def _unix(moment: datetime) -> int | float:
    ms = (moment - _EPOCH) // timedelta(milliseconds=1)
    return ms / 1000 if ms % 1000 else ms // 1000


_FORMS: Final[dict[TimeForm, Callable[[datetime], Parameter]]] = {
    TimeForm.DATETIME: lambda moment: moment,
    TimeForm.ISO: lambda moment: moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    TimeForm.UNIX: _unix,
    TimeForm.UNIX_MS: lambda moment: (moment - _EPOCH) // timedelta(milliseconds=1),
}


def parameters(
    release: Release, track: Track, version: Version, window: Window, times: TimeForm
) -> dict[str, Parameter]:
    """What a query about one version is filled in with, by name."""
    form = _FORMS[times]
    return {
        "service": release.service,
        "version": version.identity,
        "backend": version.backend,
        "track": track.value,
        "start": form(window.start),
        "end": form(window.end),
    }


def parameter_problems(
    used: Collection[str], kind: Kind, shown: Callable[[str], str]
) -> Iterator[str]:
    """What is wrong with a query that uses these names. ``shown``: how one stands in it
    (``:start``, ``{start}``).
    """
    for name in sorted(set(used).difference(PARAMETERS)):
        yield f"{shown(name)} is not known; there are {', '.join(map(shown, PARAMETERS))}"
    if not {"version", "backend", "track"}.intersection(used):
        named = f"{shown('version')} or {shown('backend')}"
        yield f"it is the same for every version; name the version, with {named}"
    if kind is not Kind.VALUE and not {"start", "end"} <= set(used):
        bounds = f"{shown('start')} (included) and {shown('end')} (not included)"
        yield f"it counts what is outside of the window too; bound it by {bounds}"


# -------------------------------------------------------------------------------- what was declared


def declared(value: Mapping[Metric, T] | Declared[T]) -> Declared[T]:
    """A converter: what each metric is. What is no mapping is left for `check_declared` to name."""
    return tuple(value.items()) if isinstance(value, Mapping) else value


def check_declared(
    where: str, value: object, such: str, problems: Callable[[Metric, object], Iterable[str]]
) -> None:
    """Raise `StrategyError` for metrics that can't be measured like this.

    ``such``: what to write; ``problems``: those of one metric and what it is.
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
            why = "has counter=True, which is for systems without history; leave it out"
            found.append(f"{where}[{metric.name}]: {why}")
    names = [metric.name for metric, _ in value]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    found += [f"{where}: {name!r} stands for two metrics" for name in twice]
    if found:
        raise StrategyError(found)


def declaration(provider: str, known: Declared[T], metric: Metric) -> tuple[Metric, T]:
    """A metric as the provider declares it, and what it is. Raises `MetricsError` for one that it
    does not declare.
    """
    for own, what in known:
        if own.name == metric.name:
            return own, what
    names = ", ".join(own.name for own, _ in known)
    raise MetricsError(
        f"{provider} answers for {names}; not for {metric.name}", failure=Failure.PERMANENT
    )


# ----------------------------------------------------------------------------------------- one look


def versions_of(release: Release, tracks: Iterable[Track]) -> dict[Track, Version]:
    """Those of the tracks that the release has a version for, in the order of ``tracks``."""
    versions = release.versions
    return {track: versions[track] for track in tracks if track in versions}


def look_of(
    metric: Metric,
    window: Window,
    tracks: Sequence[Track],
    found: Mapping[Track, Measurement],
    *,
    query: str,
    meaning: tuple[object, ...],
) -> Look:
    """One look. ``meaning``: what the numbers mean, without versions and times; if that changes,
    evidence starts anew.
    """
    shape = repr((metric.name, metric.kind.value, *meaning))
    return Look(
        metric=metric.name,
        window=window,
        tracks=[(track, found.get(track, NO_VERSION)) for track in tracks],
        query=query,
        fingerprint=hashlib.sha256(shape.encode()).hexdigest()[:16],
    )
