"""A split as a file says it: weights by backend, matches, copies and the marker, as a value."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import timedelta
from typing import Final

import attrs

from progressive.errors import StateError
from progressive.model.release import Release, Track
from progressive.model.router_state import Marker
from progressive.model.traffic import ALL_STABLE, SECOND, Match, Traffic
from progressive.model.units import Percent, percent

from . import parts

__all__ = ["Split", "home", "is_word", "weights_of"]

_WORD: Final = re.compile(r"(?:-|[0-9a-z:]+) \S* [0-9a-f]{16}")

_LAST_IS_THE_REST: Final = (Track.CANDIDATE, Track.BASELINE, Track.STABLE)

_FROM_BOTH_ENDS: Final = (Track.CANDIDATE, Track.STABLE, Track.BASELINE)
"""While users stay: what rises takes from stable, and from no other."""


@attrs.frozen(kw_only=True)
class Split:
    """What such a file says: parts per million by backend, where matches and copies go, and for how
    many seconds users stay (0: they do not).

    A file has it in two texts: all but the marker (`plain`), and the `word` that a system shows of
    what it has loaded.
    """

    weights: tuple[tuple[str, int], ...]
    to: str
    matches: tuple[Match, ...] = ()
    mirror: int = 0
    sticky: int = 0
    marker: Marker | None = None

    @classmethod
    def of(cls, release: Release, traffic: Traffic, marker: Marker | None) -> Split:
        """The split of some traffic. Backends without a share are not in it; the last one is
        stable's, if it has one, unless users stay beside a baseline.
        """
        shares = [
            (version.backend, traffic.share(track).ppm)
            for track in (_LAST_IS_THE_REST if traffic.sticky is None else _FROM_BOTH_ENDS)
            if (version := track.version(release)) is not None
        ]
        return cls(
            weights=tuple((name, ppm) for name, ppm in shares if ppm),
            to=release.candidate.backend,
            matches=traffic.matches,
            mirror=traffic.mirror.ppm,
            sticky=0 if traffic.sticky is None else traffic.sticky // SECOND,
            marker=marker,
        )

    @classmethod
    def loads(cls, plain: str, word: str) -> Split:
        """The split of what `plain` and `word` have given. Raises `ValueError`, `TypeError`,
        `LookupError` or a `ProgressiveError` for what is none.
        """
        value = json.loads(plain)
        if not is_word(word):
            raise StateError(f"{word!r} is no word of a split")
        marker = word.split(" ")[0]
        return cls(
            weights=tuple(value["weights"].items()),
            to=value["to"],
            matches=tuple(
                Match(source=source, name=name, value=wanted)
                for source, name, wanted in value["matches"]
            ),
            mirror=value["mirror"],
            sticky=value.get("sticky", 0),
            marker=None if marker == "-" else Marker.loads(marker),
        )

    @property
    def plain(self) -> str:
        """It as one line of JSON in ASCII, without the marker."""
        value = {
            "weights": dict(self.weights),
            "to": self.to,
            "matches": [[each.source, each.name, each.value] for each in self.matches],
            "mirror": self.mirror,
        }
        return json.dumps({**value, "sticky": self.sticky} if self.sticky else value)

    @property
    def cookie(self) -> str:
        """The name of the cookie by which users stay: another one for each rollout."""
        return f"progressive-{self.marker.owner or self.marker.generation}" if self.marker else ""

    @property
    def word(self) -> str:
        """Marker, weights, and a hash of all but the marker: ``1:0:0 v2=10000,v1=990000 7e5…``."""
        marker = "-" if self.marker is None else self.marker.dumps()
        weights = ",".join(f"{name}={ppm}" for name, ppm in self.weights)
        return f"{marker} {weights} {hashlib.sha256(self.plain.encode()).hexdigest()[:16]}"

    def part(self, release: Release) -> parts.Part:
        """What it gives the versions of a release."""
        weighted = parts.Part.of(release, dict(self.weights))
        if self.sticky:
            stay = attrs.evolve(weighted.traffic, sticky=timedelta(seconds=self.sticky))
            weighted = attrs.evolve(weighted, traffic=stay)
        if self.to != release.candidate.backend:
            return weighted
        traffic = attrs.evolve(weighted.traffic, matches=self.matches, mirror=Percent(self.mirror))
        return attrs.evolve(weighted, traffic=traffic)

    def leads_away(self, release: Release) -> bool:
        """Whether it has matches or copies that lead to no version of a release."""
        return bool(self.matches or self.mirror) and self.to != release.candidate.backend


def home(release: Release) -> Traffic:
    """All that there is to stable; to the candidate, if it is the first version."""
    return ALL_STABLE if release.stable is not None else Traffic(candidate=percent(100))


def is_word(text: str) -> bool:
    """Is it the `Split.word` of some split?"""
    return _WORD.fullmatch(text) is not None


def weights_of(word: str) -> dict[str, int]:
    """The weights that such a word names."""
    named = (each.rpartition("=") for each in word.split(" ")[1].split(","))
    return {name: int(ppm) for name, _, ppm in named if ppm.isdecimal()}
