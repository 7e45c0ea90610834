"""Keeping credentials out of what is shown: messages, notes, looks.

A system may echo a credential in its own words, as it was sent or as it wrote it down: quoted for a
URL, escaped for JSON, in base64, in lower case.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final
from urllib.parse import quote, quote_plus

__all__ = ["SHORTEST", "veiled"]

SHORTEST: Final = 4
"""Credentials shorter than this are not blotted out of a system's words: that would blot out half
of the words too.
"""

_SHORTEST_INNER: Final = 8
"""Of a piece in the middle of base64, which could be a word of somebody else's."""


def veiled(text: str, secrets: Iterable[str]) -> str:
    """The text with ``***`` for each of the ``secrets``, in every form in which it may stand."""
    pattern = _pattern(tuple(secrets))
    return text if pattern is None else pattern.sub("***", text)


@lru_cache(maxsize=128)
def _pattern(secrets: tuple[str, ...]) -> re.Pattern[str] | None:
    found = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
    if not found:
        return None
    longest_first = sorted(found, key=lambda form: (-len(form), form))
    return re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)


def _forms(secret: str) -> Iterator[str]:
    import html  # it brings a table of all entities

    yield secret
    yield from (quote(secret), quote(secret, safe=""), quote_plus(secret))
    for escaped in (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        yield from (escaped, escaped.replace("/", "\\/"))
    yield html.escape(secret)
    yield from _in_base64(secret.encode())


def _in_base64(secret: bytes) -> Iterator[str]:
    """The whole, and what stays the same of it at each of the three places that it can have in a
    longer text.
    """
    whole = base64.b64encode(secret).decode()
    pieces = [whole, whole.rstrip("=")]
    for before in range(3):
        text = base64.b64encode(b"\0" * before + secret).decode()
        piece = text[-(-before * 8 // 6) : (before + len(secret)) * 8 // 6]
        pieces += [piece] if len(piece) >= _SHORTEST_INNER else []
    for piece in pieces:
        yield from (piece, piece.replace("+", "-").replace("/", "_"))
