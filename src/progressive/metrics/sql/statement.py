"""A query with ``:name`` parameters, and the same in the paramstyle of a driver (PEP 249). Only the
text is touched, never a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import attrs

from progressive.adapters.provider import TimeForm, is_time_form, parameter_problems, time_form
from progressive.model import fields
from progressive.model.measurement import Kind

__all__ = ["STYLES", "Query", "Statement"]

_TOKENS: Final = re.compile(
    r"""(?P<text>'(?:[^']|'')*')
      | (?P<quoted>"(?:[^"]|"")*" | `[^`]*` | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
      | (?P<comment>--[^\n]* | /\*.*?\*/) | (?P<open>['"`] | /\*)
      | (?P<cast>::) | (?<!\w):(?P<name>[A-Za-z_]\w*)
      | (?P<plain>[^'"`$:/-]+ | .)""",
    re.VERBOSE | re.DOTALL,
)
"""What is in quotes or a comment is left alone; ``::`` is a cast, and a colon behind a word a slice
(PostgreSQL).
"""

_FIRST: Final = re.compile(r"[\s(]*(\w+)")

_READS: Final = frozenset({"select", "with", "values", "table"})
"""How a statement that only reads begins."""

_WRITES: Final = re.compile(
    r"\b(?:insert|update|delete|merge|truncate|drop|alter|create|grant)\b", re.IGNORECASE
)
"""What may stand behind a ``with`` and writes. A rollback does not help everywhere: some drivers
see no transaction in it.
"""

STYLES: Final[dict[str, Callable[[str, int], str]]] = {
    "named": lambda name, _: f":{name}",
    "pyformat": lambda name, _: f"%({name})s",
    "qmark": lambda _, __: "?",
    "format": lambda _, __: "%s",
    "numeric": lambda _, place: f":{place}",
}
"""A parameter by its name and its place (from 1), in every paramstyle."""

_BY_NAME: Final = frozenset({"named", "pyformat"})
_BY_PERCENT: Final = frozenset({"pyformat", "format"})


@attrs.frozen(kw_only=True)
class Statement:
    """What a driver is given: a text, and the order of its parameters (None: it takes them by
    name).
    """

    text: str
    order: tuple[str, ...] | None

    def bound(self, values: Mapping[str, object]) -> dict[str, object] | tuple[object, ...]:
        """The parameters as the driver takes them."""
        return dict(values) if self.order is None else tuple(values[name] for name in self.order)


@attrs.frozen
class Query:
    """A query for one metric of one version in one window, as you would type it, with ``:name``
    wherever a value belongs.

    ``:version`` (its identity), ``:backend``, ``:track`` and ``:service`` are texts; ``:start``
    (included) and ``:end`` (not included) bound the window, in the form that ``times`` says: an
    aware ``datetime`` (for ``timestamptz``; others are compared in the session's time zone),
    ``iso`` (``2026-11-23T12:00:00.000Z``), ``unix`` (seconds) or ``unix_ms``. It answers, by the
    kind of the metric:

    * a ratio: one row, events and trials: ``select count(*) filter (where state = 'failed'),
      count(*) from orders ...``
    * a mean: one row, n, sum and sum of squares: ``select count(x), sum(x), sum(x * x) from ...``;
      of large integers in doubles, as some databases wrap: ``sum(toFloat64(x) * x)``
    * a value: one number, or a row for each sample in the order of time; at most 256. Where the
      database answers 0 for the largest of nothing (ClickHouse: ``max``, ``min``, ``any``,
      ``quantileExact``), n before it: ``select count(*), max(d) from ...``; n = 0 is no data.

    NULL, NaN and no row are no data. NULL events among trials are an error, since nobody knows
    whether that is none: write ``coalesce(sum(...), 0)``.
    """

    text: str = attrs.field(validator=fields.is_a(str, "'select ...'"))
    times: TimeForm = attrs.field(
        default=TimeForm.DATETIME, kw_only=True, converter=time_form, validator=is_time_form
    )

    @property
    def used(self) -> frozenset[str]:
        """The names of its parameters."""
        return frozenset(found["name"] for found in self._tokens() if found["name"])

    def problems(self, kind: Kind) -> Iterator[str]:
        """What is wrong with it, as far as one can know without the database."""
        begins = _FIRST.match(
            "".join(" " if found["comment"] else found[0] for found in self._tokens())
        )
        if begins is None or begins[1].lower() not in _READS:
            yield "it does not begin with select (or with, values, table); a metric is only read"
        for found in self._tokens():
            if written := _WRITES.search(found["plain"] or ""):
                yield (
                    f"there is the word {written[0]!r} in it; a metric is only read (quote it "
                    "where it is a column's name)"
                )
            if found["open"]:
                yield f"{found['open']} is not closed"
                return
            if "\\'" in (found["text"] or ""):
                yield (
                    "a backslash before a quote is read in two ways by databases; write the text "
                    "without it"
                )
        yield from parameter_problems(self.used, kind, ":{}".format)

    def statement(self, style: str) -> Statement:
        """The query in one of `STYLES`."""
        order: list[str] = []
        parts = []
        for found in self._tokens():
            if name := found["name"]:
                if style != "numeric" or name not in order:
                    order.append(name)
                parts.append(STYLES[style](name, order.index(name) + 1))
            else:
                parts.append(found[0].replace("%", "%%") if style in _BY_PERCENT else found[0])
        return Statement(text="".join(parts), order=None if style in _BY_NAME else tuple(order))

    def _tokens(self) -> Iterator[re.Match[str]]:
        return _TOKENS.finditer(self.text)
