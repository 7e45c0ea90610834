"""Business metrics out of any JSON over HTTP: numbers by their paths in the answer of a reporting
API.

::

    ORDERS = Metric("failed-orders", kind="ratio", lag=seconds(10))
    stats = JsonHttp(
        Http("https://stats.example", credentials=f"Bearer {token}"),
        {
            ORDERS: Endpoint(
                "/api/orders/{service}",
                params={"version": "{version}", "from": "{start}", "to": "{end}"},
                events="data.failed",
                trials="data.total",
            ),
        },
    )
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import attrs

from progressive.adapters.flow import Client
from progressive.adapters.http import (
    Http,
    HttpClient,
    HttpFlow,
    Malformed,
    Request,
    Response,
    get_path,
    segment,
    to_http,
)
from progressive.adapters.provider import (
    Declared,
    Provider,
    TimeForm,
    check_declared,
    declaration,
    declared,
    is_time_form,
    look_of,
    parameter_problems,
    parameters,
    time_form,
    versions_of,
)
from progressive.adapters.rows import COLUMNS, measurement
from progressive.errors import MetricsError, StrategyError
from progressive.model import fields
from progressive.model.measurement import Kind, Look, Measurement, Metric, NoAnswer, NoData, Window
from progressive.model.release import Release
from progressive.model.traffic import Track

__all__ = ["Endpoint", "Http", "JsonHttp"]

_PLACE: Final = re.compile(r"\{(\w+)\}")
"""What stands for a name or a time."""

_QUOTES: Final = frozenset("\"'`")

_NOTHING_THERE: Final = (204, 404)
"""Statuses that say that there is nothing: no content, and nobody of this name."""

_SECRET: Final = re.compile(
    r"^key$"
    r"|(?<![a-z])(?:api|app|access|secret|private|auth|subscription|license|client)-?key$"
    r"|(?<![a-z])(?:(?:client|app|api)-?)?secret$"
    r"|(?<![a-z])(?:(?:access|auth|api|id|refresh|bearer)-?)?token$"
    r"|(?<![a-z])(?:passw(?:or)?d|pwd|passphrase|jwt|bearer|sig|signature|auth|authorization"
    r"|credentials?)$"
)
"""What a parameter's name ends with that is a credential: an address is written down with every
look, and in the logs of every proxy. Its words are parted by ``-`` here.
"""

_HARMLESS: Final = re.compile(r"(?:page|next|continuation|cursor|sync)-?token$")


def _is_secret(name: str) -> bool:
    words = re.sub(r"[^a-z0-9]+", "-", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower())
    plain = words.strip("-")
    return bool(_SECRET.search(plain)) and not _HARMLESS.search(plain)


def _pairs(value: Mapping[str, str] | tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple(value.items()) if isinstance(value, Mapping) else value


def _are_params(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    where = fields.where(instance, attribute)
    if not isinstance(value, tuple):
        raise StrategyError(
            f"{where}: {fields.brief(value)} is no mapping; write params={{'version': "
            "'{version}'}"
        )
    for name, text in value:
        if _is_secret(str(name)):
            raise StrategyError(
                f"{where}: {name!r} is a credential, and addresses are logged; give it as "
                "Http(credentials={'X-Name': ...})"
            )
        fields.a(str, text, f"{where}[{name!r}]", "'{{version}}' or another text")


def _path(name: Kind) -> Any:
    return attrs.field(
        default=None,
        kw_only=True,
        metadata={"kind": name},
        validator=fields.optional(fields.is_a(str, "'data.total'")),
    )


def _is_complete(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    pair = isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str)
    if not pair or not isinstance(value[1], str | int | float | bool):
        raise StrategyError(
            f"{fields.where(instance, attribute)}: {fields.brief(value)} is no path with what "
            "stands there in a whole answer; write complete=('status', 'Complete')"
        )


@attrs.frozen
class Endpoint:
    """What to GET for one metric of one version in one window, and where the numbers are in the
    answer.

    ``path`` and the values of ``params`` may have ``{service}``, ``{version}`` (its identity),
    ``{backend}``, ``{track}``, ``{start}`` (included) and ``{end}`` (not included) in them; each is
    quoted for its place. ``times`` is the form of the two: ``iso`` (``2026-11-23T12:00:00.000Z``),
    ``unix`` (seconds, with a fraction) or ``unix_ms``. Put nothing secret there: the address is
    kept with every look. Credentials belong to the `Http`.

    Paths of numbers are names and places (from 0) with dots between: ``data.rows.0.total``. By the
    kind of the metric: a ratio has ``events`` and ``trials``; a mean ``n``, ``sum`` and ``squares``
    (the sum of squares); a value ``value``, a number or a list of samples, and ``n``, the number of
    things that it is made of, where the system answers 0 for nothing: with n = 0 it is no data.

    ``texts``: its numbers are texts, as those of VictoriaLogs and Loki are; an empty text and "NaN"
    are no data then.

    ``complete``: where the answer says that it is whole, and what it says then, as
    ``("MetricDataResults.0.StatusCode", "Complete")`` or ``("hits.total.relation", "eq")``. Any
    other answer is none.

    No data are: the status 404 or 204, null at a path or on the way there, and an empty list on the
    way. A name that is not there at all, a text or true where a number should be, is an error.
    ``absent_means_none``: a name that is not there is no data, unless ``error`` or ``errors``
    stands in its place.
    """

    path: str = attrs.field(validator=fields.is_a(str, "'/api/orders'"))
    params: tuple[tuple[str, str], ...] = attrs.field(
        default=(), kw_only=True, converter=_pairs, validator=_are_params
    )
    times: TimeForm = attrs.field(
        default=TimeForm.ISO, kw_only=True, converter=time_form, validator=is_time_form
    )
    texts: bool = attrs.field(default=False, kw_only=True, validator=fields.is_a(bool, "True"))
    complete: tuple[str, object] | None = attrs.field(
        default=None, kw_only=True, validator=fields.optional(_is_complete)
    )
    absent_means_none: bool = attrs.field(
        default=False, kw_only=True, validator=fields.is_a(bool, "True")
    )
    events: str | None = _path(Kind.RATIO)
    trials: str | None = _path(Kind.RATIO)
    n: str | None = _path(Kind.MEAN)
    sum: str | None = _path(Kind.MEAN)
    squares: str | None = _path(Kind.MEAN)
    value: str | None = _path(Kind.VALUE)

    def problems(self, kind: Kind) -> Iterator[str]:
        """What is wrong with it, as far as one can know without the system."""
        needed = COLUMNS[kind]
        given = [
            name for names in COLUMNS.values() for name in names if getattr(self, name) is not None
        ]
        if kind is Kind.VALUE and "n" in given:
            needed = ("n", *needed)
        if sorted(given) != sorted(needed):
            said = ", ".join(f"{name}=" for name in given) or "none of them"
            yield (
                f"a {kind.value} has the paths {', '.join(f'{name}=' for name in needed)}; {said} "
                "was given"
            )
        texts = [self.path, *(text for _, text in self.params)]
        for text in texts:
            if not {"{", "}"}.isdisjoint(_PLACE.sub("", text)):
                yield f"{text!r} has a brace that belongs to no name"
            if _PLACE.search(text) and not _QUOTES.isdisjoint(text):
                yield (
                    f"{text!r} is a query in a language of its own, in which names would not be "
                    "quoted; use its provider, or Function"
                )
        yield from parameter_problems(
            {name for text in texts for name in _PLACE.findall(text)}, kind, "{{{}}}".format
        )
        if self.times is TimeForm.DATETIME:
            yield "an address has no datetimes; use times='iso', 'unix' or 'unix_ms'"
        try:
            Request("GET", _PLACE.sub("x", self.path))
        except StrategyError as error:
            yield str(error)

    def request(self, names: Mapping[str, object]) -> Request:
        """The request, with its names filled in and quoted."""
        path = _filled(self.path, names, segment)
        return Request(
            "GET",
            path,
            params=tuple((name, _filled(text, names, str)) for name, text in self.params),
            accept=_NOTHING_THERE,
        )

    def read(self, kind: Kind, response: Response) -> Measurement:
        """What the answer says. Raises `Malformed` for what is no JSON."""
        if response.status in _NOTHING_THERE:
            return NoData(
                f"answered {response.status}: it knows nothing of this version, or not under this "
                "address"
            )
        body = response.json()
        names = (*(("n",) if kind is Kind.VALUE and self.n is not None else ()), *COLUMNS[kind])
        paths = [getattr(self, name) or "" for name in names]
        if (lacks := self._lacks(body)) is not None:
            return NoAnswer(lacks)
        try:
            row = [_found(body, path) for path in paths]
        except Malformed as missing:
            error = _error_beside(body, paths)
            if error is not None:
                return NoAnswer(f"{missing} in the answer, but an error: {error}")
            if self.absent_means_none:
                return NoData(f"{missing} in the answer")
            return NoAnswer(
                f"{missing} in the answer; correct the path, or let the system answer null where "
                "it has nothing"
            )
        if self.texts:
            row = [
                [_number_of(part) for part in each] if isinstance(each, list) else _number_of(each)
                for each in row
            ]
        *counted, last = row
        rows = (
            [(*counted, each) for each in last]
            if kind is Kind.VALUE and isinstance(last, list)
            else [row]
        )
        found = any(isinstance(each, str) for values in rows for each in values)
        places = [f"$.{path}" if path else "$" for path in paths]
        measured = measurement(
            kind,
            rows,
            [f"{name} (at {place})" for name, place in zip(names, places, strict=True)],
            wraps=True,
        )
        if found and not self.texts and isinstance(measured, NoAnswer):
            return NoAnswer(f"{measured.why}, or write texts=True if all of its numbers are texts")
        return measured

    def _lacks(self, body: object) -> str | None:
        """Why the answer is not whole; None if it is, or does not say."""
        if self.complete is None:
            return None
        path, whole = self.complete
        try:
            said = _found(body, path)
        except Malformed as missing:
            return f"{missing} in the answer, where it says whether it is whole"
        if said == whole and isinstance(said, bool) is isinstance(whole, bool):
            return None
        return f"the answer is not whole: $.{path} is {fields.brief(said)}, not {whole!r}"


_INTEGER: Final = re.compile(r"[+-]?\d{1,400}")
_DECIMAL: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,5})?")
_LATER: Final = ("texts", "complete", "absent_means_none")
"""What an endpoint could not say in the beginning."""

_LONGEST: Final = 400
"""Characters of a number: more than the largest float has digits."""

_NO_NUMBERS: Final = {"nan": math.nan, "inf": math.inf, "+inf": math.inf, "-inf": -math.inf}


def _number_of(value: object) -> object:
    """A text as the number that it is, and None if it is empty; anything else as it is."""
    if not isinstance(value, str) or len(value) > _LONGEST:
        return value
    text = value.strip()
    if not text:
        return None
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return Decimal(text)
    return _NO_NUMBERS.get(text.lower(), value)


def _filled(template: str, names: Mapping[str, object], quoted: Callable[[str], str]) -> str:
    return _PLACE.sub(lambda found: quoted(str(names[found[1]])), template)


def _found(body: Any, path: str) -> object:
    """What is at a path; None if the way there ends in null or in an empty list. Raises `Malformed`
    if there is no such path.
    """
    here: object = body
    parts = path.split(".")
    for i in range(len(parts)):
        if here is None or here == []:
            return None
        try:
            here = get_path(body, ".".join(parts[: i + 1]), object)
        except Malformed:
            here = get_path(
                body, ".".join(parts[: i + 1]), bool
            )  # which is no object for `get_path`; what is not there raises again
    return here


def _error_beside(body: object, paths: Sequence[str]) -> str | None:
    """What the system says of an error in the last object that is there on the way to a path."""
    for path in paths:
        here: object = body
        for part in path.split("."):
            if isinstance(here, dict):
                for name in ("error", "errors"):
                    if part not in here and here.get(name):
                        return fields.brief(here[name])
                here = here.get(part)
            elif isinstance(here, list) and part.isdigit() and int(part) < len(here):
                here = here[int(part)]
            else:
                break
    return None


def _problems(metric: Metric, endpoint: Any) -> list[str]:
    if not isinstance(endpoint, Endpoint):
        return [f"{fields.brief(endpoint)} is no Endpoint('/api/orders', ...)"]
    if metric.kind not in COLUMNS:
        return [
            (
                "a latency is a histogram, which has no path; measure its mean, or give a "
                "Histogram(...) with Function"
            )
        ]
    return list(endpoint.problems(metric.kind))


def _declared(value: Mapping[Metric, Endpoint] | Declared[Endpoint]) -> Declared[Endpoint]:
    # Of its own type: type checkers do not see through a generic converter.
    return declared(value)


def _are_endpoints(_: object, __: object, value: Any) -> None:
    check_declared(
        "JsonHttp.metrics",
        value,
        "Endpoint('/api/orders', events='failed', trials='total')",
        _problems,
    )


@attrs.frozen
class JsonHttp(Provider[Request, Response]):
    """A system that answers with JSON. ``server``: its address, or an `Http` with credentials. One
    request for each track of a look.
    """

    server: Http = attrs.field(converter=to_http)
    _endpoints: Declared[Endpoint] = attrs.field(
        alias="metrics", converter=_declared, validator=_are_endpoints
    )
    _client: Client[Request, Response] = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(
            lambda self: HttpClient(self.server, MetricsError, "JsonHttp"), takes_self=True
        ),
    )

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Those that were declared."""
        return tuple(metric for metric, _ in self._endpoints)

    def _measure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> HttpFlow[Look]:
        own, endpoint = declaration("JsonHttp", self._endpoints, metric)
        found: dict[Track, Measurement] = {}
        sent = []
        for track, version in versions_of(release, tracks).items():
            request = endpoint.request(parameters(release, track, version, window, endpoint.times))
            sent.append(f"GET {request.target}")
            found[track] = endpoint.read(own.kind, (yield request))
        return look_of(
            own,
            window,
            tracks,
            found,
            query="\n".join(sent),
            # What is left as it was before there was a word for it means the same.
            meaning=(
                "json_http/1",
                *attrs.astuple(
                    endpoint,
                    filter=lambda field, value: field.name not in _LATER or bool(value),
                ),
            ),
        )
