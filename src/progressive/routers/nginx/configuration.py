"""What the rest of nginx's configuration says, as ``nginx -T`` prints it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from progressive.adapters.flow import excerpt

__all__ = ["given_again", "is_used", "upstreams_of"]

_COMMENT: Final = re.compile(r"(?:^|(?<=[\s;{}]))#.*$", re.MULTILINE)
_UPSTREAM: Final = re.compile(r"(?:^|[;{}\s])upstream\s+[\"']?([^\s\"'{;]+)[\"']?\s*\{")
_STREAM: Final = re.compile(r"(?:^|[;{}\s])stream\s*\{")
_TELLS_ONLY: Final = frozenset(
    {"access_log", "add_header", "add_trailer", "log_format", "proxy_set_header", "return"}
)
"""Directives that a variable may stand in without any request going by it."""


def upstreams_of(config: str) -> list[str]:
    """The names of the upstreams of HTTP. Those of ``stream`` are none."""
    return _UPSTREAM.findall(_without_streams(_COMMENT.sub("", config)))


def given_again(config: str, variable: str) -> str:
    """Who else gives a variable, or one that it is made of (``$shop__0``); empty if nobody."""
    names = rf"\$\{{?{variable}(?:__\w+|_split|_mirror)?\b"
    gives = rf"(?:map|split_clients|geo)\s[^;{{}}]*?{names}\}}?\s*\{{|set\s+{names}"
    found = re.search(rf"(?:^|(?<=[;{{}}\s]))(?:{gives})", _COMMENT.sub("", config))
    return "" if found is None else excerpt(found[0])


def is_used(config: str, variable: str) -> bool:
    """Whether a directive has the variable that does more than tell of it."""
    asked = re.compile(rf"\$(?:{variable}\b|\{{{variable}\}})")
    return any(
        asked.search(line) is not None and line.split()[0] not in _TELLS_ONLY
        for line in _directives(config)
    )


def _directives(config: str) -> Iterator[str]:
    for line in re.split(r"[;{}]\s", _COMMENT.sub("", config) + " "):
        if line.strip():
            yield line.strip()


def _without_streams(config: str) -> str:
    """All but the blocks ``stream { }``."""
    kept = ""
    while (found := _STREAM.search(config)) is not None:
        kept, rest, depth = kept + config[: found.start()], config[found.end() :], 1
        end = len(rest)
        for brace in re.finditer(r"[{}]", rest):
            depth += 1 if brace[0] == "{" else -1
            if not depth:
                end = brace.end()
                break
        config = rest[end:]
    return kept + config
