"""JSON from a system, strictly, and one value of it by its path. Errors name the place and never
quote the answer.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

from .flow import Malformed

__all__ = ["get_path", "strict_json"]

T = TypeVar("T")


def strict_json(body: bytes) -> object:
    """``body`` as JSON: no NaN, no name twice in an object, no nesting without end. Raises
    `Malformed`.
    """
    try:
        return json.loads(body, parse_constant=_no_constant, object_pairs_hook=_once_each)
    except Malformed as bad:
        why = str(bad)
    except (ValueError, RecursionError) as error:
        why = type(error).__name__
    raise Malformed(f"{len(body)} bytes that are not strict JSON ({why})")


def get_path(value: object, path: str, kind: type[T]) -> T:
    """The ``kind`` at a dotted ``path`` of decoded JSON: ``items.0.name``; "" is the value itself.

    True is no int here. Raises `Malformed`, with the path.
    """
    done = "$"
    for part in path.split(".") if path else ():
        done += f".{part}"
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            raise Malformed(f"there is no {done}")
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise Malformed(f"{done} is not a {kind.__name__}")
    return value


def _no_constant(name: str) -> Any:
    raise Malformed(f"{name} is not a number")


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Malformed("a name stands twice in one object")
    return found
