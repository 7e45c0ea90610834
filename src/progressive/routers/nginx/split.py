"""The file of a split, as nginx reads it."""

from __future__ import annotations

from collections.abc import Iterator
from string import ascii_letters, digits
from typing import Final

from progressive.adapters.split import Split
from progressive.model.traffic import Match
from progressive.model.units import MILLION

__all__ = ["EACH_REQUEST", "text_of", "words_of"]

EACH_REQUEST: Final = "$request_id"

_PLAIN: Final = frozenset(f"{ascii_letters}{digits}_-")


def text_of(split: Split, name: str, key: str, *, mirror: bool) -> str:
    """The file: ``name`` is the variable that it gives, ``key`` that by which a request is decided,
    ``mirror`` whether requests can be copied.
    """
    return "".join(f"{line}\n" for line in _lines(split, name, key, mirror=mirror))


def words_of(text: str) -> tuple[str, str]:
    """`Split.plain` and `Split.word` as they stand in a file. Raises `ValueError` for another
    one.
    """
    _, plain, *_, last = text.splitlines()
    return plain.removeprefix("# "), last.split('"')[3]


def _lines(split: Split, name: str, key: str, *, mirror: bool) -> Iterator[str]:
    yield f"# Written by progressive: ${name} is the upstream of a request. Not to be edited."
    yield f"# {split.plain}"
    if key != EACH_REQUEST:
        yield f'map {key} ${name}__key {{ "" {EACH_REQUEST}; default {key}; }}'
        key = f"${name}__key"
    first = f"${name}__0" if split.matches else f"${name}"
    yield f'split_clients "{name} {key}" {first} {{'
    for backend, ppm in split.weights[:-1]:
        yield f"    {_percent(ppm)} {backend};"
    yield f"    * {split.weights[-1][0]};"
    yield "}"
    for n, match in enumerate(split.matches, 1):
        source, pattern = _pattern(match)
        given = f"${name}" if n == len(split.matches) else f"${name}__{n}"
        yield f'map {source} {given} {{ "{pattern}" {split.to}; default ${name}__{n - 1}; }}'
    if mirror:
        yield f'split_clients "{name} mirror {EACH_REQUEST}" ${name}_mirror {{'
        if split.mirror and split.mirror < MILLION:
            yield f"    {_percent(split.mirror)} {split.to};"
        others = split.to if split.mirror == MILLION else '""'
        yield f"    * {others};"
        yield "}"
    yield f'map "" ${name}_split {{ default "{split.word}"; }}'


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
