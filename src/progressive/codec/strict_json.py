"""JSON without leniency: canonical to write, and to read nothing but what was written like that."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, Final

from progressive.errors import StateError

__all__ = ["parsed", "short", "text_of"]

DEEPEST: Final = 64
"""No value of ours nests deeper than a dozen levels; anything past this is not ours, and would only
exhaust the stack.
"""


def text_of(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if not text.isascii():
        try:
            text.encode()
        # half of a pair, from a text that was decoded badly; escaped, it can be stored like any
        # other
        except UnicodeEncodeError:
            return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text


def parsed(text: str | bytes) -> Any:
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        data = json.loads(
            text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_no_duplicates
        )
    except StateError:
        raise
    except RecursionError:
        raise StateError(f"nested deeper than {DEEPEST} levels") from None
    except ValueError as error:
        raise StateError(f"not JSON: {error}") from None
    _shallow(data, 0)
    return data


def _no_constant(name: str) -> Any:
    raise StateError(f"{name} is not a number that can be stored")


def _finite(digits: str) -> float:
    value = float(digits)
    return value if math.isfinite(value) else _no_constant(digits)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise StateError(f"the key {key!r} stands twice in one object")
        found[key] = value
    return found


def _shallow(data: Any, depth: int) -> None:
    if depth > DEEPEST:
        raise StateError(f"nested deeper than {DEEPEST} levels")
    inside: Iterable[Any] = (
        data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    )
    for value in inside:
        _shallow(value, depth + 1)


def short(value: object) -> str:
    said = repr(value)
    return said if len(said) <= 60 else f"{said[:57]}..."
