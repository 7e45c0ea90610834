"""A Prometheus in memory: raw samples, and the three forms of queries that are sent for counts,
read by a parser of its own.

It answers as the real ones do (2.42 of Prometheus; `tests/real` holds the adapter against them):
samples with their own times, no stale markers, and a 400 with the server's words for what it can't
parse.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import attrs

from progressive.adapters.flow import feed
from progressive.adapters.http import Request, Response
from progressive.metrics.prometheus import Prometheus
from progressive.model.measurement import Look, Metric, Window
from progressive.model.release import Release
from progressive.model.traffic import Track

Labels = tuple[tuple[str, str], ...]
Value = float | str | dict[str, Any]
UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\\": "\\"}


class Unparsable(Exception):
    """What the server would refuse."""


class Reader:
    """Reads a query from left to right."""

    def __init__(self, text: str) -> None:
        self.text, self.place = text, 0

    def take(self, pattern: str) -> str | None:
        found = re.compile(pattern).match(self.text, self.place)
        if found is None:
            return None
        self.place = found.end()
        return found[0]

    def need(self, pattern: str) -> str:
        found = self.take(pattern)
        if found is None:
            raise Unparsable(
                f"parse error at {self.place}: expected {pattern} in "
                f"{self.text[self.place :][:20]!r}"
            )
        return found

    def string(self) -> str:
        """A string literal, by the rules of Go."""
        quote, made = self.need("[\"']"), []
        while (char := self.need(r"(?s:.)")) != quote:
            if char == "\n":
                raise Unparsable("a line break in a string")
            made.append(self._escaped(quote) if char == "\\" else char)
        return "".join(made)

    def _escaped(self, quote: str) -> str:
        char = self.need(r"(?s:.)")
        if char in "xuU":
            return chr(int(self.need("[0-9a-fA-F]" * {"x": 2, "u": 4, "U": 8}[char]), 16))
        if char not in ESCAPES and char != quote:
            raise Unparsable(f"unknown escape sequence \\{char}")
        return ESCAPES.get(char, char)

    def selector(self) -> list[tuple[str, str, str]]:
        """Label, operator and value of every matcher."""
        name = self.take(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
        matchers = [] if name is None else [("__name__", "=", name)]
        if self.take(r"\{"):
            while not self.take(r"\}"):
                quoted = self.text[self.place] == '"'
                label = self.string() if quoted else self.need(r"[a-zA-Z_][a-zA-Z0-9_]*")
                operator = self.take("=~|!~|!=|=")
                if operator is None and not quoted:
                    raise Unparsable(f"parse error at {self.place}: expected an operator")
                matchers.append(
                    ("__name__", "=", label)
                    if operator is None
                    else (label, operator, self.string())
                )
                self.take(",")
        return matchers

    def span(self) -> int:
        number = int(self.need(r"\d+"))
        return number * UNITS[self.need("ms|s|m|h")]

    def done(self) -> None:
        if self.place < len(self.text):
            raise Unparsable(f"unexpected {self.text[self.place :][:20]!r}")


def parsed(query: str) -> list[tuple[str, str, str]]:
    """The matchers of a query that is one selector and nothing else."""
    reader = Reader(query)
    matchers = reader.selector()
    reader.done()
    return matchers


def matching(labels: Mapping[str, str], matchers: Iterable[tuple[str, str, str]]) -> bool:
    for label, operator, value in matchers:
        there = labels.get(label, "")
        same = bool(re.fullmatch(value, there)) if "~" in operator else value == there
        if same is operator.startswith("!"):
            return False
    return True


class FakePrometheus:
    """``series``: samples in milliseconds by labels. ``before``: whether a range begins before its
    first moment (closed, as in 2.x).
    """

    def __init__(self, *, closed: bool = True) -> None:
        self.series: dict[Labels, list[tuple[int, Value]]] = {}
        self.queries: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.closed = closed
        self.also: dict[str, Any] = {}

    def add(self, moment: int, value: Value, **labels: str) -> None:
        """One sample, a number or a native histogram as the API tells it; ``name`` is the name of
        the series.
        """
        labels["__name__"] = labels.pop("name", "requests_total")
        self.series.setdefault(tuple(sorted(labels.items())), []).append((moment, value))

    def __call__(self, request: Request) -> Response:
        assert (request.method, request.path, request.write) == ("POST", "/api/v1/query", False)
        assert dict(request.headers)["content-type"] == "application/x-www-form-urlencoded"
        assert request.content is not None
        form = dict(parse_qsl(request.content.decode(), strict_parsing=True))
        self.queries.append(form["query"])
        self.forms.append(form)
        try:
            kind, result = self._evaluate(form["query"], round(float(form["time"]) * 1000))
        except Unparsable as why:
            body = {
                "status": "error",
                "errorType": "bad_data",
                "error": f'invalid parameter "query": {why}',
            }
            return Response(status=400, body=json.dumps(body).encode())
        return Response(
            body=json.dumps(
                {"status": "success", "data": {"resultType": kind, "result": result}, **self.also}
            ).encode()
        )

    def _evaluate(self, query: str, now: int) -> tuple[str, list[Any]]:
        reader = Reader(query)
        if not query.startswith("last_over_time("):
            matchers, length, offset = self._range(reader)
            reader.done()
            return "matrix", [
                {"metric": dict(labels)}
                | {
                    # A series that was both has both (seen at Prometheus 2.42 and 3.16).
                    key: [[at / 1000, _said(value)] for at, value in samples if kept(value)]
                    for key, kept in (("values", _is_number), ("histograms", _is_histogram))
                    if any(kept(value) for _, value in samples)
                }
                for labels, samples in self._select(matchers, now - offset, length)
            ]
        found: dict[Labels, Any] = {}
        while True:
            reader.need(r"last_over_time\(")
            matchers, length, offset = self._range(reader)
            reader.need(r"\)")
            for labels, samples in self._select(matchers, now - offset, length):
                value = samples[-1][1]
                key = "histogram" if _is_histogram(value) else "value"
                found.setdefault(labels, {"metric": dict(labels), key: [now / 1000, _said(value)]})
            if not reader.take(" or "):
                break
        reader.done()
        return "vector", list(found.values())

    def _range(self, reader: Reader) -> tuple[list[tuple[str, str, str]], int, int]:
        matchers = reader.selector()
        reader.need(r"\[")
        length = reader.span()
        reader.need(r"\]")
        return matchers, length, reader.span() if reader.take(" offset ") else 0

    def _select(
        self, matchers: list[tuple[str, str, str]], end: int, length: int
    ) -> Iterable[tuple[Labels, list[tuple[int, Value]]]]:
        start = end - length - self.closed
        for labels, samples in self.series.items():
            inside = [sample for sample in samples if start < sample[0] <= end]
            if inside and matching(dict(labels), matchers):
                yield labels, inside


@attrs.frozen
class Answered:
    """A provider whose requests this server answers."""

    provider: Prometheus
    server: FakePrometheus

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return self.provider.metrics

    def measure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> Look:
        return feed(self.provider._measure(release, metric, tracks, window, since), self.server)


def _is_histogram(value: Value) -> bool:
    return isinstance(value, dict)


def _is_number(value: Value) -> bool:
    return not isinstance(value, dict)


def _said(value: Value) -> Any:
    if isinstance(value, str | dict):
        return value
    return f"{value:g}" if value < 1e6 else repr(value)
