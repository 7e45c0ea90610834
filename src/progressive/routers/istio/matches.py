"""Header and cookie routes as the conditions of an Istio http route, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from progressive.errors import StrategyError
from progressive.model.traffic import Match

__all__ = ["EDITED", "condition_for", "excludes", "match_of"]

COOKIE: Final = r"(.*;\s*)?{}={}(\s*;.*)?"
"""A regular expression for the whole Cookie header (RFC 6265, 4.2.1). Istio's header matches have
no other way to ask for a cookie.
"""

_COOKIE_BACK: Final = re.compile(
    re.escape(COOKIE).replace(r"\{\}=\{\}", r"((?:[^=\\]|\\.)+)=((?:[^\\]|\\.)*)")
)

EDITED: Final = Match(name="edited-by-hand", value="?")
"""What stands for a condition in a route of ours that we have not written. Whatever it is, it leads
to the candidate.
"""


def condition_for(match: Match) -> tuple[str, dict[str, object]]:
    """The header that a match is about, and what it must be."""
    if match.source == "header":
        return match.name, {"exact": match.value}
    return "cookie", {"regex": COOKIE.format(re.escape(match.name), re.escape(match.value))}


def excludes(condition: Mapping[str, object], header: str, wanted: Mapping[str, object]) -> bool:
    """Does a condition of a route refuse what we would ask for, by its ``withoutHeaders``?

    Nothing would match then. Of a regular expression, and of cookies, it is not tried whether they
    contradict: it counts as if they do.
    """
    without = condition.get("withoutHeaders")
    if not isinstance(without, dict) or header not in without:
        return False
    asked = wanted.get("exact")
    match without[header]:
        case {"exact": str(value)} if isinstance(asked, str):
            return asked == value
        case {"prefix": str(value)} if isinstance(asked, str):
            return asked.startswith(value)
    return True


def match_of(header: str, wanted: object) -> Match:
    """The match that a condition on a header was made from."""
    match wanted:
        case {"regex": str(regex)} if header == "cookie" and (
            found := _COOKIE_BACK.fullmatch(regex)
        ):
            name, value = (re.sub(r"\\(.)", r"\1", part) for part in found.groups())
            return Match(name=name, value=value, source="cookie")
        case {"exact": str(value)}:
            with suppress(StrategyError):  # a name that no match has was not written by us
                return Match(name=header, value=value)
    return EDITED
