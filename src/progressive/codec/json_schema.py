"""A JSON Schema of the strategies that people write, made from the classes, for their editors.

Draft 2020-12. It says what stands where, and not what fits together: that weights rise, or that a
check can judge, is said when the description is read.
"""

from __future__ import annotations

from typing import Any, Final

from progressive.plan.step import Kinds

from .schema import Codec
from .shapes import Choice, Either, Fields, Items, Leaf, Nullable, Shape, Shapes
from .written import PATTERNS

__all__ = ["strategy_schema"]

NO_KINDS: Final = Kinds()

_BOUND_TEXT: Final = {
    "type": "string",
    "anyOf": [{"pattern": PATTERNS[name]} for name in ("percent", "duration", "times")],
}

LEAVES: Final[dict[str, dict[str, Any]]] = {
    "text": {"type": "string"},
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "time": {"type": "string", "format": "date-time"},
    "duration": {"type": "string", "pattern": PATTERNS["duration"], "examples": ["5m", "1h30m"]},
    "percent": {"type": "string", "pattern": PATTERNS["percent"], "examples": ["1%"]},
    "bound": {
        "anyOf": [
            _BOUND_TEXT,
            {"type": "number"},
            {
                "type": "object",
                "properties": {
                    "times": {"type": "string", "pattern": PATTERNS["times"]},
                    "floor": {"anyOf": [_BOUND_TEXT, {"type": "number"}]},
                },
                "required": ["times", "floor"],
                "additionalProperties": False,
            },
        ],
        "examples": ["1%", "400ms", "2x"],
    },
    "guard": {
        "anyOf": [
            {"type": "string"},
            {
                "type": "object",
                "properties": {
                    "analysis": {"type": "string"},
                    "since": {"type": ["string", "null"]},
                },
                "required": ["analysis"],
                "additionalProperties": False,
            },
        ]
    },
    "memory": {},
}


def strategy_schema(kinds: Kinds = NO_KINDS) -> dict[str, object]:
    """Return the JSON Schema of a strategy in YAML or TOML, with your own ``kinds``.

    Write it to a file beside your strategies, and name it in their first line::

        # yaml-language-server: $schema=strategy.schema.json
    """
    made = _Schemas()
    whole = made.of(Shapes(Codec.of(kinds, today=True)).strategy)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A strategy of progressive delivery",
        **whole,
        "$defs": dict(sorted(made.definitions.items())),
    }


class _Schemas:
    """Schemas of shapes; those of classes are ``definitions``, and referred to."""

    def __init__(self) -> None:
        self.definitions: dict[str, dict[str, Any]] = {}

    def of(self, shape: Shape) -> dict[str, Any]:
        match shape:
            case Leaf(name):
                return LEAVES[name]
            case Choice(choices):
                return {"enum": list(choices)}
            case Items(each, fixed=True):
                schemas = [self.of(one()) for one in each]
                count = len(schemas)
                return {
                    "type": "array",
                    "prefixItems": schemas,
                    "minItems": count,
                    "maxItems": count,
                }
            case Items(each):
                return {"type": "array", "items": self.of(each[0]())}
            case Nullable(other):
                return {"anyOf": [self.of(other()), {"type": "null"}]}
            case Either():
                return self._told_apart(shape)
        return self._reference(shape)

    def _told_apart(self, shape: Either) -> dict[str, Any]:
        """One of several classes by its kind, so that an editor says what is wrong with that one,
        and not that none fits.
        """
        classes = [(kind, self.of(fields())) for kind, fields in shape.kinds.items()]
        return {
            "type": "object",
            "properties": {"kind": {"enum": [kind for kind, _ in classes]}},
            "required": ["kind"],
            "allOf": [
                {
                    "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
                    "then": schema,
                }
                for kind, schema in classes
            ],
        }

    def _reference(self, fields: Fields) -> dict[str, Any]:
        name = fields.made.__name__
        if fields.kind is None and isinstance(getattr(fields.made, "kind", None), str):
            name += "WithoutKind"  # where only this class can stand
        if name not in self.definitions:
            self.definitions[name] = {}  # known now, because a class may contain itself
            self.definitions[name] = self._object(fields)
        return {"$ref": f"#/$defs/{name}"}

    def _object(self, fields: Fields) -> dict[str, Any]:
        properties: dict[str, Any] = {}
        required = list(fields.required)
        if fields.kind is not None:
            properties["kind"] = {"const": fields.kind}
            required.insert(0, "kind")
        for key, shape in fields.shapes.items():
            told = fields.told.get(key)
            properties[key] = self.of(shape) | ({"description": told} if told else {})
        summary = (fields.made.__doc__ or "").strip().split("\n\n")[0]
        return {
            "type": "object",
            "description": " ".join(summary.split()),
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }
