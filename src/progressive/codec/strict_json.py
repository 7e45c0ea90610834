"""Strict JSON: canonical when written; duplicate keys, NaN and deep nesting are refused."""

from __future__ import annotations

import json
import math
from typing import Any, Final

from progressive.errors import StateError

__all__ = ["parsed", "short", "text_of"]

DEEPEST: Final = 64
"""The most levels of nesting. No value of ours has more than a dozen; a deeper one is not ours, and
would only exhaust the stack.
"""


def text_of(value: object) -> str:
    """Write a value as JSON without spaces. It can always be encoded as UTF-8."""
    text = _WRITER.encode(value)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:  # a lone surrogate; escaped, it can be encoded
            return _ESCAPING_WRITER.encode(value)
    return text


def parsed(text: str | bytes) -> Any:
    """Read JSON. Raises `StateError` if it is not strict."""
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        data = _READER.decode(text)
    except StateError:
        raise
    except RecursionError:
        raise StateError(f"nested deeper than {DEEPEST} levels") from None
    except ValueError as error:
        raise StateError(f"not JSON: {error}") from None
    if text.count("[") + text.count("{") > DEEPEST:
        _refuse_deep(data)
    return data


def _refuse_constant(name: str) -> Any:
    raise StateError(f"{name} is not a number that can be stored")


def _finite(digits: str) -> float:
    value = float(digits)
    return value if math.isfinite(value) else _refuse_constant(digits)


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        first = {key: n for n, (key, _) in reversed([*enumerate(pairs)])}
        twice = next(key for n, (key, _) in enumerate(pairs) if first[key] < n)
        raise StateError(f"the key {twice!r} stands twice in one object")
    return data


_WRITER, _ESCAPING_WRITER = (
    json.JSONEncoder(
        ensure_ascii=escaping, allow_nan=False, check_circular=False, separators=(",", ":")
    )
    for escaping in (False, True)
)
_READER: Final = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_refuse_duplicates
)


def _refuse_deep(data: Any) -> None:
    level = [data]
    for _ in range(DEEPEST + 1):
        level = [
            each
            for outer in level
            if isinstance(outer, (dict, list))
            for each in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise StateError(f"nested deeper than {DEEPEST} levels")


def short(value: object) -> str:
    """Return the ``repr`` of a value for a message, cut to 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
