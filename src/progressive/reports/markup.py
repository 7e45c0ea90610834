"""Write elements of HTML and SVG: every text is escaped, and the whole is well-formed XML too.

Only what was escaped is `Html`, so a type checker finds a text that was not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NewType

__all__ = ["DOCTYPE", "Html", "joined", "shortened", "tag", "text"]

Html = NewType("Html", str)
"""Markup: whole elements, or text that was escaped."""

DOCTYPE: Final = "<!DOCTYPE html>\n"

LONGEST: Final = 600
"""Characters of a text that are shown; a reason that was written by a program can be of any
length.
"""

_NAMED: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}

_SPECIAL: Final = re.compile(
    "["
    "&<>\"'"
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but the tab and the end of a line
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # those that change the direction of a text
    "\ud800-\udfff\ufffe\uffff"  # what no XML may have
    "]"
)

_EMPTY: Final = frozenset({"br", "circle", "line", "meta", "path", "rect", "use"})
"""Elements that never have anything inside."""


def text(value: str, most: int = LONGEST) -> Html:
    """Escape a text of any origin, cut to ``most`` characters.

    Characters that can't be seen, or that change the direction of what follows, are written as in
    Python: a backslash, an x and two digits.
    """
    return Html(_SPECIAL.sub(_escaped, shortened(value, most)))


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if character in _NAMED:
        return _NAMED[character]
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def shortened(value: str, most: int = LONGEST) -> str:
    """Cut a text to ``most`` characters, and say how many were left out."""
    if len(value) <= most:
        return value
    return f"{value[:most]} … ({len(value) - most:,} more characters)"


def tag(name: str, *inside: Html, **attributes: str | float | None) -> Html:
    """Write one element.

    Attributes that are None are left out. In their names an underscore stands for a hyphen, and one
    at the end is dropped: ``class_``.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(_number(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _EMPTY and not inside:
        return Html(f"<{name}{given}/>")
    return Html(f"<{name}{given}>{''.join(inside)}</{name}>")


def _number(value: str | float) -> str:
    """Write a number with two digits behind the point at most."""
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


def joined(parts: Iterable[Html]) -> Html:
    """Write elements one after the other."""
    return Html("".join(parts))
