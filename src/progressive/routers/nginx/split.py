"""The file of a split: what it says, as a value; its text, and the value of a text."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from string import ascii_letters, digits
from typing import Final

import attrs

from progressive.adapters import parts
from progressive.errors import ProgressiveError
from progressive.model.release import Release, Track
from progressive.model.router_state import Marker
from progressive.model.traffic import Match, Traffic
from progressive.model.units import MILLION, Percent

__all__ = ["EACH_REQUEST", "Layout", "Split", "is_word", "weights_of"]

EACH_REQUEST: Final = "$request_id"

_PLAIN: Final = frozenset(f"{ascii_letters}{digits}_-")
_WORD: Final = re.compile(r"(?:-|[0-9a-z:]+) \S* [0-9a-f]{16}")


@attrs.frozen(kw_only=True)
class Split:
    """What a file says: parts per million by backend, and where matches and copies go."""

    weights: tuple[tuple[str, int], ...]
    to: str
    matches: tuple[Match, ...]
    mirror: int
    marker: Marker | None

    @classmethod
    def of(cls, release: Release, traffic: Traffic, marker: Marker | None) -> Split:
        tracks = (Track.CANDIDATE, Track.BASELINE, Track.STABLE)  # the last one gets the rest
        shares = [
            (version.backend, traffic.share(track).ppm)
            for track in tracks
            if (version := track.version(release)) is not None
        ]
        return cls(
            weights=tuple((name, ppm) for name, ppm in shares if ppm),
            to=release.candidate.backend,
            matches=traffic.matches,
            mirror=traffic.mirror.ppm,
            marker=marker,
        )

    @property
    def plain(self) -> str:
        """It as one line of JSON, without the marker."""
        value = {
            "weights": dict(self.weights),
            "to": self.to,
            "matches": [[each.source, each.name, each.value] for each in self.matches],
            "mirror": self.mirror,
        }
        return json.dumps(value)

    @property
    def word(self) -> str:
        """What ``$shop_split`` says: marker, weights, and a hash of all but the marker."""
        marker = "-" if self.marker is None else self.marker.dumps()
        weights = ",".join(f"{name}={ppm}" for name, ppm in self.weights)
        return f"{marker} {weights} {hashlib.sha256(self.plain.encode()).hexdigest()[:16]}"

    def part(self, release: Release) -> parts.Part:
        weighted = parts.Part.of(release, dict(self.weights))
        if self.to != release.candidate.backend:
            return weighted
        traffic = attrs.evolve(weighted.traffic, matches=self.matches, mirror=Percent(self.mirror))
        return attrs.evolve(weighted, traffic=traffic)

    @property
    def leads_away(self) -> bool:
        return bool(self.matches or self.mirror)


@attrs.frozen
class Layout:
    """How the file is written: the variable that it gives, by what a request is decided, and
    whether requests can be copied.
    """

    variable: str
    key: str
    mirror: bool

    def text(self, split: Split) -> str:
        return "".join(f"{line}\n" for line in self._lines(split))

    def _lines(self, split: Split) -> Iterator[str]:
        name = self.variable
        yield f"# Written by progressive: ${name} is the upstream of a request. Not to be edited."
        yield f"# {split.plain}"
        key = self.key
        if key != EACH_REQUEST:
            yield f'map {key} ${name}_key {{ "" {EACH_REQUEST}; default {key}; }}'
            key = f"${name}_key"
        first = f"${name}_0" if split.matches else f"${name}"
        yield f'split_clients "{name} {key}" {first} {{'
        for backend, ppm in split.weights[:-1]:
            yield f"    {_percent(ppm)} {backend};"
        yield f"    * {split.weights[-1][0]};"
        yield "}"
        for n, match in enumerate(split.matches, 1):
            source, pattern = _pattern(match)
            given = f"${name}" if n == len(split.matches) else f"${name}_{n}"
            yield f'map {source} {given} {{ "{pattern}" {split.to}; default ${name}_{n - 1}; }}'
        if self.mirror:
            yield f'split_clients "{name} mirror {EACH_REQUEST}" ${name}_mirror {{'
            if split.mirror and split.mirror < MILLION:
                yield f"    {_percent(split.mirror)} {split.to};"
            others = split.to if split.mirror == MILLION else '""'
            yield f"    * {others};"
            yield "}"
        yield f'map "" ${name}_split {{ default "{split.word}"; }}'

    def parsed(self, text: str) -> Split | None:
        """The split of a file; None if it is not as `text` writes it."""
        try:
            _, plain, *_, last = text.splitlines()
            value = json.loads(plain.removeprefix("# "))
            word = re.search(r'default "(\S+) ', last)
            marker = None if word is None or word[1] == "-" else Marker.loads(word[1])
            split = Split(
                weights=tuple(value["weights"].items()),
                to=value["to"],
                matches=tuple(
                    Match(source=source, name=name, value=wanted)
                    for source, name, wanted in value["matches"]
                ),
                mirror=value["mirror"],
                marker=marker,
            )
            return split if self.text(split) == text else None
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, ProgressiveError):
            return None


def is_word(text: str) -> bool:
    """Is it what a ``$..._split`` says?"""
    return _WORD.fullmatch(text) is not None


def weights_of(word: str) -> dict[str, int]:
    """The weights that such a word names."""
    named = (each.rpartition("=") for each in word.split(" ")[1].split(","))
    return {name: int(ppm) for name, _, ppm in named if ppm.isdecimal()}


def _percent(ppm: int) -> str:
    return f"{ppm // 10_000}.{ppm % 10_000 // 100:02d}%"


def _pattern(match: Match) -> tuple[str, str]:
    """The variable and the regular expression of a match. Nothing in it means anything: what is no
    letter, digit or ``_-`` stands there by its number.
    """
    value = _literal(match.value)
    if match.source == "header":
        return f"$http_{match.name.replace('-', '_')}", f"~^{value}\\z"
    return "$http_cookie", f"~(?:^|;\\x20*){_literal(match.name)}={value}(?:;|\\z)"


def _literal(text: str) -> str:
    return "".join(chr(byte) if chr(byte) in _PLAIN else f"\\x{byte:02x}" for byte in text.encode())
