"""What goes over HTTP, as values: a request, a response, and what a status means. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

import attrs

from progressive.adapters.decoding import strict_json
from progressive.adapters.flow import Fault, excerpt
from progressive.errors import Failure, StrategyError

__all__ = ["Request", "Response", "judged", "segment"]

_LATER: Final = (408, 425, 429)
"""Statuses below 500 that say "later": timeout, too early, too many requests."""


def _pairs(value: Mapping[str, Any] | tuple[tuple[str, Any], ...]) -> tuple[tuple[str, Any], ...]:
    return tuple(value.items()) if isinstance(value, Mapping) else tuple(value)


def segment(value: str) -> str:
    """``value`` quoted as one segment of a path: it can't become another path or a query."""
    if value in ("", ".", ".."):
        raise StrategyError(f"{value!r} can't be part of an address")
    return quote(value, safe="")


def _path(value: str) -> str:
    plain = value == "" or value.startswith("/")
    if (
        not plain
        or any(part in (".", "..") for part in value.split("/"))
        or any(c in "?#\\" or c <= " " for c in value)
    ):
        raise StrategyError(
            f"request.path: {value!r} must start with / and have its parts quoted with segment()"
        )
    return value


@attrs.frozen
class Request:
    """What an adapter asks. ``params`` become the query, in this order. ``write``: it changes
    something, so it is sent once.

    ``accept``: statuses beside 2xx that the adapter can use (404 where "not there" is an answer);
    others are raised at the ``yield``. ``conflicts``: whether 409 and 412 say that somebody else
    was first. ``wants_body``: whether the body of a success is read; where it says nothing, it can
    make no failure of it.
    """

    method: str
    path: str = attrs.field(converter=_path)
    params: tuple[tuple[str, str], ...] = attrs.field(default=(), kw_only=True, converter=_pairs)
    headers: tuple[tuple[str, str], ...] = attrs.field(default=(), kw_only=True, converter=_pairs)
    json: object = attrs.field(default=None, kw_only=True)
    content: bytes | None = attrs.field(default=None, kw_only=True)
    write: bool = attrs.field(default=False, kw_only=True)
    accept: tuple[int, ...] = attrs.field(default=(), kw_only=True)
    conflicts: bool = attrs.field(default=True, kw_only=True)
    wants_body: bool = attrs.field(default=True, kw_only=True)

    @property
    def label(self) -> str:
        """Method and path, for messages; the query may be long, or a secret."""
        return f"{self.method} {self.path}".strip()

    @property
    def target(self) -> str:
        """Path and query, as they are sent."""
        return self.path + (f"?{urlencode(self.params, quote_via=quote)}" if self.params else "")


@attrs.frozen(kw_only=True)
class Response:
    """What a system answered. Header names are in lower case."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", errors="replace")

    def header(self, name: str) -> str | None:
        """The first header of this name."""
        return next((value for found, value in self.headers if found == name.lower()), None)

    def json(self) -> object:
        """The body as JSON, strictly: no NaN, no name twice. Raises `Malformed`, which never quotes
        the body.
        """
        return strict_json(self.body)


def judged(request: Request, response: Response, secrets: tuple[str, ...]) -> Response | Fault:
    """The response if the adapter can use it, else what its status means for this request."""
    status = response.status
    if 200 <= status < 300 or status in request.accept:
        return response
    words = excerpt(_words(response), secrets)
    why = f"answered {status}" + (f": {words}" if words else "")
    if status in (409, 412) and request.conflicts:
        return Fault(Failure.CONFLICT, why, answered=True)
    if 300 <= status < 400:
        return Fault(
            Failure.PERMANENT,
            f"{why}; redirects are not followed, so give the address that it leads to",
        )
    if status in (401, 403):
        return Fault(
            Failure.PERMANENT, f"{why}; check the credentials and what they allow", answered=True
        )
    if status >= 500 or status == 408:
        return Fault(Failure.UNKNOWN if request.write else Failure.TRANSIENT, why, answered=True)
    return Fault(Failure.TRANSIENT if status in _LATER else Failure.PERMANENT, why, answered=True)


def _words(response: Response) -> str:
    """What the system says in words: most wrap it in JSON as ``message`` (Kubernetes, Envoy) or
    ``error`` (Prometheus).
    """
    try:
        value = json.loads(response.body)
    except (ValueError, RecursionError):
        return response.text
    found = (
        [value[name] for name in ("message", "error") if name in value]
        if isinstance(value, dict)
        else []
    )
    return next((words for words in found if isinstance(words, str)), response.text)
