"""Traffic: exact weights per track, header and cookie routes, a mirror share, and how long users
stay on a version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from operator import attrgetter
from typing import Any, Final, Literal, Self, TypeVar

import attrs

from progressive.errors import StrategyError

from . import fields
from .release import Release, Track
from .units import MILLION, Percent, format_duration

__all__ = ["ALL_STABLE", "Match", "Track", "Traffic", "exact_shares"]

_NONE = Percent(0)


Name = TypeVar("Name")


def exact_shares(weights: Mapping[Name, int]) -> dict[Name, int]:
    """Relative weights as parts per million that add up to exactly 1,000,000; all 0 where the total
    is 0.

    Each share is rounded down, but a weight above 0 never becomes 0, and the largest share takes
    the difference. Raises `StrategyError` for a weight below 0.
    """
    total = 0
    for name, weight in weights.items():
        if weight < 0:
            raise StrategyError(
                f"weights[{name!r}]: {weight} is below 0; a weight is a whole number from 0"
            )
        total += weight
    if not total:
        return dict.fromkeys(weights, 0)
    ppm = {name: max(1, each * MILLION // total) if each else 0 for name, each in weights.items()}
    largest, left = max(ppm, key=lambda name: ppm[name]), MILLION
    for share in ppm.values():
        left -= share
    ppm[largest] += left
    return ppm


def _is_source(_: object, __: object, value: object) -> None:
    if value not in ("header", "cookie"):
        raise StrategyError(f"Match.source: {value!r} is not one of 'header', 'cookie'")


@attrs.frozen(kw_only=True)
class Match:
    """A route: requests with this exact header or cookie go to the candidate, at any weight.

    The name of a header is kept in lower case, as HTTP/2 sends it and as routers report it; a
    cookie's stays as it is.
    """

    name: str = attrs.field(validator=fields.is_name)
    value: str = attrs.field(validator=fields.is_a(str, "its value, such as 'true'"))
    source: Literal["header", "cookie"] = attrs.field(default="header", validator=_is_source)

    def __attrs_post_init__(self) -> None:
        if self.source == "header":
            object.__setattr__(self, "name", self.name.lower())


def matches_of(value: Iterable[Match]) -> tuple[Match, ...]:
    """A converter: several matches."""
    matches: tuple[Match, ...] = fields.listed(value)
    return matches


is_matches = fields.is_list_of(("name", "source"), "a Match(name=..., value=...)")
is_percent = fields.is_a(Percent, "percent({})")


def _is_whole_seconds(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    fields.is_duration(instance, attribute, value)
    assert isinstance(value, timedelta)
    if value % SECOND or value > LONGEST_STAY:
        raise StrategyError(
            f"{fields.where(instance, attribute)}: {format_duration(value)} is no whole number of "
            f"seconds, in which cookies live, up to {format_duration(LONGEST_STAY)}"
        )


SECOND: Final = timedelta(seconds=1)
LONGEST_STAY: Final = timedelta(days=400)
"""Browsers keep no cookie longer."""

is_stay = fields.optional(_is_whole_seconds)
"""A validator: None, or how long a user stays on a version, in whole seconds from one."""


@attrs.frozen(kw_only=True, eq=False, unsafe_hash=True)
class Traffic:  # noqa: PLW1641 - attrs makes it
    """The share of the requests that each track gets. Stable gets the rest, up to exactly 100 %.

    * ``candidate``, ``baseline``: the weights of these tracks, 100 % together at most.
    * ``matches``: routes to the candidate on top of its weight.
    * ``mirror``: the share of the requests that is copied to the candidate.
    * ``sticky``: how long a user stays on the version that answered first; None: every request is
      drawn by itself. The weights are then shares of the users.
    """

    candidate: Percent = attrs.field(default=_NONE, validator=is_percent)
    baseline: Percent = attrs.field(default=_NONE, validator=is_percent)
    matches: tuple[Match, ...] = attrs.field(default=(), converter=matches_of, validator=is_matches)
    mirror: Percent = attrs.field(default=_NONE, validator=is_percent)
    sticky: timedelta | None = attrs.field(default=None, validator=is_stay)

    def __attrs_post_init__(self) -> None:
        if self.candidate.ppm + self.baseline.ppm > MILLION:
            raise StrategyError(
                f"traffic: candidate {self.candidate} and baseline {self.baseline} are more "
                "than 100 %"
            )

    @classmethod
    def from_weights(cls, release: Release, weights: Mapping[str, int]) -> Self:
        """Relative ``weights`` by backend as traffic: ``{"v1": 3, "v2": 1}`` gives the candidate 25
        %.

        Exact to a millionth (see `exact_shares`). A backend that is missing gets 0. One that
        belongs to no version takes its part of the total, which no track has then
        (`Served.unattributed`); with a total of 0 nobody gets anything. Raises `StrategyError` for
        a weight below 0.
        """
        ppm = exact_shares(weights)
        of = {track: ppm.get(version.backend, 0) for track, version in release.versions.items()}
        return cls(
            candidate=Percent(of[Track.CANDIDATE]), baseline=Percent(of.get(Track.BASELINE, 0))
        )

    @property
    def stable(self) -> Percent:
        """The weight of stable: the rest."""
        return Percent(MILLION - self.candidate.ppm - self.baseline.ppm)

    def share(self, track: Track) -> Percent:
        """Return the weight of one track."""
        return _SHARES[track](self)

    def reaches(self, track: Track) -> bool:
        """Return whether any production request reaches this track; mirrored ones do not count."""
        if track is Track.CANDIDATE:
            return self.candidate.ppm > 0 or bool(self.matches)
        return self.share(track).ppm > 0

    def exceeds(self, other: Traffic) -> bool:
        """Return whether the candidate or the baseline get more than in ``other``, in any way."""
        return (
            self.candidate.ppm > other.candidate.ppm
            or self.baseline.ppm > other.baseline.ppm
            or self.mirror.ppm > other.mirror.ppm
            or any(match not in other.matches for match in self.matches)
        )

    def unroutable(self, release: Release) -> str:
        """Return which share would go to a track without a version, in a line; empty if none."""
        if release.stable is None and self.stable.ppm:
            return (
                f"{release.service} has no stable version, so {self.stable} of the requests "
                "have nowhere to go"
            )
        if release.baseline is None and self.baseline.ppm:
            return (
                f"{release.service} has no baseline version to give {self.baseline} to; name it "
                "in Release(baseline=...)"
            )
        return ""

    def __eq__(self, other: object) -> bool:
        # Written out, as a decision compares several times.
        if self is other:
            return True
        if other.__class__ is not self.__class__:
            return NotImplemented
        assert isinstance(other, Traffic)
        return (
            self.candidate.ppm == other.candidate.ppm
            and self.baseline.ppm == other.baseline.ppm
            and self.mirror.ppm == other.mirror.ppm
            and self.matches == other.matches
            and self.sticky == other.sticky
        )

    def __str__(self) -> str:
        parts = [f"{self.candidate} candidate"]
        if self.baseline.ppm:
            parts.append(f"{self.baseline} baseline")
        parts.extend(f"{match.source} {match.name}={match.value}" for match in self.matches)
        if self.mirror.ppm:
            parts.append(f"{self.mirror} mirrored")
        if self.sticky is not None:
            parts.append(f"users stay for {format_duration(self.sticky)}")
        return ", ".join(parts)


ALL_STABLE: Final = Traffic()
"""Every request to stable: no weight, route or mirror for the candidate."""

_SHARES: Final[dict[Track, Callable[[Traffic], Percent]]] = {
    track: attrgetter(track.value) for track in Track
}
