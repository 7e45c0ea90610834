"""Ids as file names, and back: readable, safe everywhere, and another one for each id even where case is not told apart."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from progressive.errors import StrategyError
from progressive.model import fields as check

__all__ = ["id_of", "stem_of"]

SEPARATORS: Final = str.maketrans("/:", "+=")
"""What no file name may have everywhere, and what stands for it; neither of these is in any id."""

BACK: Final = str.maketrans("+=", "/:")


def stem_of(id: str) -> str:
    """The file name of a valid id, without a suffix: ``checkout/42`` is ``checkout+42``. At most 161 characters.

    Which letters are capitals is a number behind ``~``, the first letter in its lowest bit: ``Checkout`` is ``checkout~1``.
    """
    capitals = 0
    for i, letter in enumerate(id):
        capitals |= letter.isupper() << i
    small = id.lower().translate(SEPARATORS)
    return f"{small}~{capitals:x}" if capitals else small


def id_of(stem: str) -> str | None:
    """The id of a file name; None if no id has that name."""
    small, _, capitals = stem.partition("~")
    with suppress(ValueError, StrategyError):
        bits = int(capitals or "0", 16)
        id = "".join(letter.upper() if bits >> i & 1 else letter for i, letter in enumerate(small.translate(BACK)))
        if stem_of(check.name(id, "id")) == stem:
            return id
    return None
