"""A comparison in PromQL is a filter: ``x > 0.01`` answers nothing where all is well, which is no
data and not a 0. This finds those that decide whether a query answers at all.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

__all__ = ["bare_comparison"]

_TOKENS: Final = re.compile(
    r"(?P<word>[A-Za-z_:][\w:]*) | (?P<matchers>\{[^{}]*\}) | (?P<range>\[[^\]]*\])"
    r" | (?P<comparison>[<>]=? | == | !=) | (?P<open>\() | (?P<close>\)) | (?P<other>\S)",
    re.VERBOSE,
)

_GROUPS: Final = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
"""Words before a list of labels."""

_LABELS: Final = " by "
"""What such words make of the word before them."""

_SETS: Final = frozenset({"and", "or", "unless"})

_DIVISIONS: Final = frozenset("/%")

_EMPTY: Final = frozenset({"", "count"})
"""What is empty if the comparison within is: brackets, and a count of what is left."""


@attrs.define
class _Frame:
    """Within one pair of brackets. ``of``: what they are the arguments of; empty for none.

    ``after``: what the next brackets are the arguments of, if they follow at once. ``told``: from
    here on, something else decides whether there is an answer.
    """

    of: str
    after: str = ""
    found: list[str] = attrs.field(factory=list)
    told: bool = False


def bare_comparison(query: str) -> str | None:
    """The first comparison without ``bool`` that leaves a query without an answer; None if there is
    none. ``query``: without comments, and nothing within its quotes.

    Not meant are those which other words make good: in a divisor (``a / (b > 0)``), behind ``and``
    or ``unless`` (only where there is traffic), before ``or`` (else this), or as the argument of a
    function (``avg(x > 0)``).
    """
    frames = [_Frame("")]
    tokens = list(_TOKENS.finditer(query))
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        kind, text, here = token.lastgroup, token[0], frames[-1]
        if kind == "open":
            frames.append(_Frame(here.after))
        elif kind == "close" and len(frames) > 1:
            closed = frames.pop()
            here = frames[-1]
            if closed.of in _EMPTY and not here.told:
                here.found += closed.found
            # An aggregation may have its labels before its brackets: sum by (a) (x).
            here.after = here.after.partition(_LABELS)[0] if closed.of.endswith(_LABELS) else ""
        elif kind == "word" and text in _SETS:
            here.told, here.after = True, ""
            here.found = [] if text == "or" else here.found
        elif kind == "word":
            here.after = here.after + _LABELS if text in _GROUPS else "" if text == "bool" else text
        else:
            here.after = text if text in _DIVISIONS else ""
            if kind == "comparison" and not (here.told or (following and following[0] == "bool")):
                here.found.append(text)
    return next(iter(frames[0].found), None)
