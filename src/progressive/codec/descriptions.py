"""Strategies that people write, in YAML or TOML: with units, and with all that is wrong at once.

::

    kind: canary
    weights: [1%, 10%, 50%, 100%]
    bake: 5m
    checks:
      - kind: limit
        metric: {name: error-rate, kind: ratio}
        at_most: 1%
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final, Literal

from progressive.errors import StrategyError
from progressive.model import fields
from progressive.plan.step import Kinds
from progressive.strategies.kinds import AnyStrategy

from .leaves import Mistake, as_it_is
from .positions import Place, is_plain, placed_toml, placed_yaml
from .schema import Codec
from .shapes import Choice, Either, Fields, Items, Leaf, Nullable, Shape, Shapes
from .strict_json import short
from .written import READERS, WRITERS

__all__ = ["read_strategy", "write_strategy"]

NO_KINDS: Final = Kinds()

READ: Final = {"yaml": placed_yaml, "toml": placed_toml}

LONGEST: Final = 100_000
"""Characters of a description at most."""

WRONG: Final = object()
"""In the place of what can't be read."""


def read_strategy(
    text: str,
    format: Literal["yaml", "toml"] = "yaml",
    *,
    name: str = "strategy",
    kinds: Kinds = NO_KINDS,
) -> AnyStrategy:
    """Read a strategy that a person wrote, with units: ``5m``, ``1%``, ``400ms``, ``2x``.

    * ``name``: what messages call the text, such as the name of its file.
    * ``kinds``: your own kinds of steps and checks.

    A number where a unit is needed is an error. Raises `StrategyError` with a line for each thing
    that is wrong, all at once: where (``canary.yaml:7:14: $.checks[0].at_most``), what, and what to
    write. YAML needs the extra ``yaml``.
    """
    if format not in READ:
        raise StrategyError(
            f"read_strategy(format): {fields.brief(format)} is not one of {', '.join(READ)}"
        )
    given = fields.a(str, text, "read_strategy(text)", "a text")
    if len(given) > LONGEST:
        raise StrategyError(f"{name}: {len(given):,} characters are more than any strategy has")
    data, places = READ[format](given, name)
    reader = _Reader(Codec.of(kinds, today=True))
    read = reader.read(Shapes(reader.codec).strategy, data, "$")
    if reader.problems:
        raise StrategyError([_told(name, places, *problem) for problem in reader.problems])
    strategy: AnyStrategy = reader.codec.load(AnyStrategy, read)
    return strategy


def write_strategy(strategy: AnyStrategy, *, kinds: Kinds = NO_KINDS) -> str:
    """Write a strategy in YAML, as a person would. Needs the extra ``yaml``.

    Raises `StrategyError` for a kind that is not known.
    """
    try:
        import yaml
    except ImportError as error:
        raise StrategyError(
            "YAML needs pyyaml: pip install 'progressive-delivery[yaml]'"
        ) from error
    codec = Codec.of(kinds, today=True)
    data = _written(Shapes(codec).strategy, codec.dump(AnyStrategy, strategy))

    class Dumper(yaml.SafeDumper):
        """Puts into quotes what would be read as something else than a text."""

    Dumper.add_representer(
        str,
        lambda dumper, text: dumper.represent_scalar(
            "tag:yaml.org,2002:str", text, style=None if is_plain(text) else '"'
        ),
    )
    text: str = yaml.dump(
        data,
        Dumper=Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=None,
        width=100,
    )
    return text


class _Reader:
    """Makes stored JSON of what a person wrote, and keeps everything that is wrong.

    What is read of an object is tried at once, so that what does not fit together in one is said
    beside what is wrong in another.
    """

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self.problems: list[tuple[str, str]] = []

    def read(self, shape: Shape, data: Any, path: str) -> Any:
        """Return the JSON data of a value; `WRONG` if it has none."""
        match shape:
            case Leaf(name):
                return self._leaf(name, data, path)
            case Choice(choices):
                if data in choices and not isinstance(data, bool):
                    return data
                return self._wrong(path, _no_choice(data, choices))
            case Nullable(other):
                return None if data is None else self.read(other(), data, path)
            case Items(each, fixed):
                if not isinstance(data, list) or (fixed and len(data) != len(each)):
                    what = f"a list of {len(each)}" if fixed else "a list"
                    return self._wrong(path, f"expected {what}, got {short(data)}")
                shapes = each if fixed else each * len(data)
                return self._all(
                    [
                        self.read(one(), value, f"{path}[{i}]")
                        for i, (one, value) in enumerate(zip(shapes, data, strict=True))
                    ]
                )
            case Either():
                return self._either(shape, data, path)
        return self._object(shape, data, path)

    def _leaf(self, name: str, data: Any, path: str) -> Any:
        try:
            return READERS.get(name, as_it_is)(data)
        except Mistake as mistake:
            return self._wrong(path + mistake.path, mistake.why)

    def _either(self, shape: Either, data: Any, path: str) -> Any:
        if not isinstance(data, dict):
            return self._wrong(path, f"expected a {shape.what} with its kind, got {short(data)}")
        kind = data.get("kind")
        if not isinstance(kind, str) or kind not in shape.kinds:
            where = f"{path}.kind" if "kind" in data else path
            given = _no_choice(kind, tuple(shape.kinds)) if "kind" in data else "it has no kind"
            also = "" if "kind" in data else f"; there are {', '.join(shape.kinds)}"
            own = "; your own class goes into Kinds(...)" if shape.what in ("step", "check") else ""
            return self._wrong(where, f"{given}{also}{own}")
        others = {key: value for key, value in data.items() if key != "kind"}
        read = self._object(shape.kinds[kind](), others, path)
        return read if read is WRONG else {"kind": kind, **read}

    def _object(self, shape: Fields, data: Any, path: str) -> Any:
        if not isinstance(data, dict):
            return self._wrong(path, f"expected keys and values, got {short(data)}")
        known, read, right = shape.shapes, dict[str, Any](), True
        for key, value in data.items():
            if key not in known:
                right = self._wrong(f"{path}.{key}", _unknown(key, shape)) is not WRONG
            else:
                read[key] = self.read(known[key], value, f"{path}.{key}")
        for key in shape.required:
            if key not in data:
                right = self._wrong(path, f"{key} is missing") is not WRONG
        if not right or self._all(list(read.values())) is WRONG:
            return WRONG
        mistakes = self.codec.mistakes(shape.made, read)
        for place, why in mistakes:
            self._wrong(path + place, why)
        return WRONG if mistakes else read

    def _all(self, read: list[Any]) -> Any:
        return WRONG if any(each is WRONG for each in read) else read

    def _wrong(self, path: str, why: str) -> object:
        self.problems.append((path, why))
        return WRONG


def _unknown(key: str, shape: Fields) -> str:
    near = get_close_matches(key, shape.shapes, n=1)
    if near:
        return f"unknown key; do you mean {near[0]}?"
    return f"unknown key; {shape.made.__name__} has {', '.join(shape.shapes)}"


def _no_choice(given: Any, choices: Iterable[Any]) -> str:
    words = [str(each) for each in choices]
    near = get_close_matches(given, words, n=1) if isinstance(given, str) else []
    hint = f"; do you mean {near[0]}?" if near else ""
    return f"{short(given)} is not one of {', '.join(words)}{hint}"


_SAID: Final = re.compile(r"(?:\w+(?:: |\.))?([a-z_]+)((?:\[\d+\]|\.[a-z_]+)*)(?: \([^)]*\))?: ")
"""How an object says what is wrong: ``canary: guards[1].since: ...``, ``Canary.bake: ...``."""

_LAST: Final = re.compile(r"(\.[^.\[\]]+|\[\d+\])$")


def _told(name: str, places: Mapping[str, Place], path: str, why: str) -> str:
    """Return a problem with the place of its value, or of the nearest thing around it."""
    around = path
    if (said := _SAID.match(why)) and f"{path}.{said[1]}" in places:
        around = f"{path}.{said[1]}{said[2]}"
    while around not in places:
        shorter = _LAST.sub("", around)
        around = shorter if shorter != around else "$"  # a key with a bracket in it
    line, column = places[around]
    return f"{name}:{line}:{column}: {path}: {why}"


def _written(shape: Shape, data: Any) -> Any:
    """Return stored JSON as a person writes it."""
    match shape:
        case Leaf(name):
            return WRITERS[name](data) if name in WRITERS else data
        case Nullable(other):
            return None if data is None else _written(other(), data)
        case Items(each, fixed):
            items = each if fixed else each * len(data)
            return [_written(one(), value) for one, value in zip(items, data, strict=True)]
        case Either(_, kinds):
            others = {key: value for key, value in data.items() if key != "kind"}
            return {"kind": data["kind"], **_written(kinds[data["kind"]](), others)}
        case Fields(shapes=of):
            return {key: _written(of[key], value) for key, value in data.items()}
    return data
