"""Texts of YAML and TOML as plain data, with the line and column at which each value stands."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from progressive.errors import StrategyError

from .strict_json import DEEPEST

__all__ = ["Place", "Placed", "is_plain", "placed_toml", "placed_yaml"]

Place: TypeAlias = tuple[int, int]
"""Line and column, both from 1."""

Placed: TypeAlias = tuple[Any, Mapping[str, Place]]
"""Plain data, and the places of its values by their paths (``$.checks[1].at_most``)."""

_WORDS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_WHOLE: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_DECIMAL: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")

MOST: Final = 10_000
"""The most values of one description. A YAML text of some lines can stand for millions of them."""

WIDEST: Final = 1_000_000
"""The most characters of all values and their paths, aliases counted each time."""

DIGITS: Final = 64
"""Of a whole number that is read as one; a longer one is a number with a point."""


def placed_yaml(text: str, name: str) -> Placed:
    """Read one YAML document, by the core schema of YAML 1.2: ``no`` and ``on`` are words.

    Raises `StrategyError` with line and column for what is no YAML, keys given twice, and values
    that are no data. Needs the extra ``yaml``.
    """
    try:
        import yaml
    except ImportError as error:
        raise StrategyError(
            "YAML needs pyyaml: pip install 'progressive-delivery[yaml]', or write TOML"
        ) from error
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = "" if mark is None else f":{mark.line + 1}:{mark.column + 1}"
        raise StrategyError(f"{name}{at}: no YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        raise StrategyError(f"{name}: no YAML: {type(error).__name__}") from None
    if root is None:
        raise StrategyError(f"{name}: it is empty; begin with 'kind: canary'")
    reader = _Yaml(name)
    return reader.of(root, "$", 0), reader.places


class _Yaml:
    """Makes data of YAML's nodes, and keeps where they stand."""

    def __init__(self, name: str) -> None:
        self._name, self._width = name, 0
        self.places: dict[str, Place] = {}

    def of(self, node: Any, path: str, depth: int) -> Any:
        mark = node.start_mark
        self.places[path] = place = mark.line + 1, mark.column + 1
        self._width += len(path) + len(node.value if node.id == "scalar" else "")
        if depth > DEEPEST or len(self.places) > MOST or self._width > WIDEST:
            raise self._problem(place, "more than any strategy has")
        if node.id == "mapping":
            found: dict[str, Any] = {}
            for key, value in node.value:
                if key.id != "scalar":
                    raise self._problem(place, "a key is no word")
                if key.value in found:
                    at = key.start_mark.line + 1, key.start_mark.column + 1
                    raise self._problem(at, f"{key.value!r} is given twice")
                found[key.value] = self.of(value, f"{path}.{key.value}", depth + 1)
            return found
        if node.id == "sequence":
            return [self.of(each, f"{path}[{i}]", depth + 1) for i, each in enumerate(node.value)]
        return _scalar(node.value) if node.style is None else node.value

    def _problem(self, place: Place, why: str) -> StrategyError:
        line, column = place
        return StrategyError(f"{self._name}:{line}:{column}: {why}")


def _scalar(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text) if len(text) <= DIGITS else float(text)
    return float(text) if _DECIMAL.fullmatch(text) else text


def is_plain(text: str) -> bool:
    """Return whether a text that is written without quotes is read as this text."""
    return _scalar(text) == text and isinstance(_scalar(text), str)


# --------------------------------------------------------------------------------------------- toml

_HEADER: Final = re.compile(r"^\s*(\[{1,2})\s*([^\[\]]+?)\s*\]{1,2}\s*(?:#.*)?$")
_DIGITS: Final = re.compile(r"(?<==)\s*(?:0x)?[0-9a-fA-F_]+|(?<=[\[,])\s*(?:0x)?[0-9a-fA-F_]+")
_KEY: Final = re.compile(r"^\s*([A-Za-z0-9_\-\"'.]+)\s*=\s*")
_ERROR: Final = re.compile(r"^(.*) \(at line (\d+), column (\d+)\)$", re.DOTALL)


def placed_toml(text: str, name: str) -> Placed:
    """Read a TOML document. Places are those of keys: what stands within a value that goes on one
    line has that of its key.

    Raises `StrategyError` with line and column for what is no TOML.
    """
    if any(line.partition("=")[0].count(".") > DEEPEST for line in text.splitlines()):
        raise StrategyError(f"{name}: a key is deeper than any of a strategy")
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also Python's own limit of digits
        found = _ERROR.match(str(error))
        why, at = (found[1], f":{found[2]}:{found[3]}") if found else (str(error), "")
        raise StrategyError(f"{name}{at}: no TOML: {why}") from None
    if any(len(digits) > DIGITS for digits in _DIGITS.findall(text)):
        raise StrategyError(f"{name}: no strategy has numbers of more than {DIGITS} digits")
    places: dict[str, Place] = {"$": (1, 1)}
    table, counts = "$", dict[str, int]()
    for line, written in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(written):
            table = _table(header[2], several=header[1] == "[[", counts=counts)
            places.setdefault(table, (line, written.index("[") + 1))
        elif key := _KEY.match(written):
            path = f"{table}.{'.'.join(_parts(key[1]))}"
            places.setdefault(path, (line, key.end() + 1))
    return data, places


def _parts(dotted: str) -> list[str]:
    return [part.strip().strip("\"'") for part in dotted.split(".")]


def _table(dotted: str, *, several: bool, counts: dict[str, int]) -> str:
    """Return the path of a table by its header; ``counts``: how many each array of tables has."""
    path = "$"
    parts = _parts(dotted)
    for i, part in enumerate(parts):
        path += f".{part}"
        if several and i == len(parts) - 1:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path += f"[{counts[path]}]"
    return path
