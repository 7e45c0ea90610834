"""What goes over HTTP, as values: how a system is reached, a request, a response. Pure; the client
is in `_http`.
"""

from __future__ import annotations

import ipaddress
import json
import ssl
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final, TypeAlias, TypeVar
from urllib.parse import quote, unquote, urlencode, urlsplit

import attrs

from progressive.errors import Failure, StrategyError
from progressive.model import fields

T = TypeVar("T")
Secret: TypeAlias = str | Callable[[], str]
"""A credential, or what answers with the one that is valid now (called for every request, so that
it can rotate).
"""

_SECRET_HEADERS: Final = frozenset({"authorization", "proxy-authorization", "cookie"})
_EXCERPT: Final = 300
"""Characters of a system's own words in an error: enough for a reason, too few for a page of
HTML.
"""
_LATER: Final = (408, 425, 429)
"""Statuses below 500 that say "later": timeout, too early, too many requests."""
_SHORTEST_SECRET: Final = 4
"""Credentials shorter than this are not blotted out of a system's words: that would blot out half
of the words too.
"""


class Malformed(ValueError):
    """An answer that does not make sense: not JSON, or of another shape. `_http` turns it into the
    adapter's error.
    """


class Unsigned(Exception):
    """The credentials could not be had or can't be sent; says why without them."""


def _veiled(value: object) -> str:
    return "***" if value else repr(value)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _address(value: object) -> str:
    wrong = (
        "http.base_url: expected http(s)://host:port/path without user, query and fragment "
        "(not shown: it may be secret)"
    )
    if not isinstance(value, str) or any(c.isspace() or not c.isprintable() for c in value):
        raise StrategyError(wrong)
    try:
        parts = urlsplit(value)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        known = False
    if not known or "@" in value or "?" in value or "#" in value:
        raise StrategyError(f"{wrong}; put user and password into Http(credentials=...)")
    return value.rstrip("/")


def _pairs(value: Mapping[str, Any] | tuple[tuple[str, Any], ...]) -> tuple[tuple[str, Any], ...]:
    return tuple(value.items()) if isinstance(value, Mapping) else tuple(value)


def _credentials(
    value: Secret | Mapping[str, Secret] | tuple[tuple[str, Secret], ...] | None,
) -> tuple[tuple[str, Secret], ...]:
    if value is None:
        return ()
    return (
        (("Authorization", value),) if isinstance(value, str) or callable(value) else _pairs(value)
    )


@attrs.frozen
class Http:
    """How to reach one system over HTTP. It never shows a credential.

    ``base_url``: scheme, host, port and the path that everything starts with. ``credentials``: the
    value of the ``Authorization`` header (``f"Bearer {token}"``), or a mapping of header names to
    values; each may be a callable that is asked for every request. They are refused over plain
    http, except to this machine. ``headers``: what else every request carries, nothing secret.

    ``ca``: a file with the authorities to trust, or an `ssl.SSLContext` of yours; None is the
    public ones. ``client_certificate``: the files ``(certificate, key)``. ``proxy``: the URL of a
    proxy; the environment is never looked at. ``timeout``: the longest silence on the wire;
    ``deadline``: the longest time for one write, or for reads in a row with their retries.
    ``body_limit``: bytes.
    """

    base_url: str = attrs.field(converter=_address, repr=lambda url: repr(_origin(url)))
    credentials: tuple[tuple[str, Secret], ...] = attrs.field(
        default=None, kw_only=True, converter=_credentials, repr=_veiled
    )
    headers: tuple[tuple[str, str], ...] = attrs.field(
        default=(), kw_only=True, converter=_pairs, repr=_veiled
    )
    ca: str | ssl.SSLContext | None = attrs.field(default=None, kw_only=True)
    client_certificate: tuple[str, str] | None = attrs.field(default=None, kw_only=True)
    proxy: str | None = attrs.field(default=None, kw_only=True, repr=_veiled)
    timeout: timedelta = attrs.field(
        default=timedelta(seconds=5),
        kw_only=True,
        converter=fields.whole_ms,
        validator=fields.is_duration,
    )
    deadline: timedelta = attrs.field(
        default=timedelta(seconds=10),
        kw_only=True,
        converter=fields.whole_ms,
        validator=fields.is_duration,
    )
    body_limit: int = attrs.field(
        default=8 * 1024 * 1024, kw_only=True, validator=fields.at_least(1)
    )

    def __attrs_post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if self.credentials and parts.scheme != "https" and not _loopback(parts.hostname or ""):
            raise StrategyError(
                f"http.credentials: {self.origin} is plain http, which anybody on the way "
                "can read; use https"
            )
        for name, _ in self.headers:
            if name.lower() in _SECRET_HEADERS:
                raise StrategyError(
                    f"http.headers: {name} is a credential; give it as "
                    f"credentials={{{name!r}: ...}}"
                )
        if isinstance(self.ca, ssl.SSLContext) and self.client_certificate is not None:
            raise StrategyError(
                "http.client_certificate: load it into the SSLContext that you give as ca="
            )
        if self.proxy is not None and urlsplit(self.proxy).scheme not in ("http", "https"):
            raise StrategyError(
                "http.proxy: expected the URL of an http:// or https:// proxy (not shown: "
                "it may be secret)"
            )

    @property
    def origin(self) -> str:
        """Scheme, host and port: what messages show. The path may be a secret (a webhook's is)."""
        return _origin(self.base_url)

    @property
    def passwords(self) -> tuple[str, ...]:
        """What of the addresses must never show."""
        parts = urlsplit(self.proxy or "")
        return tuple(
            unquote(part)
            for part in (parts.password, parts.username)
            if part and len(part) >= _SHORTEST_SECRET
        )

    def signed(self) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
        """The headers with the credentials of this moment, and what must never show. Raises
        `Unsigned`.
        """
        headers, secrets = list(self.headers), list(self.passwords)
        for name, secret in self.credentials:
            value = secret if isinstance(secret, str) else _asked(name, secret)
            value = value.strip()
            if not value or not value.isascii() or not value.isprintable():
                raise Unsigned(
                    f"the credential for {name} is empty or has characters that no header "
                    "can carry (a line break?)"
                )
            headers.append((name, value))
            secrets.extend(
                part for part in (value, value.rpartition(" ")[2]) if len(part) >= _SHORTEST_SECRET
            )
        return headers, tuple(secrets)


def to_http(value: str | Http) -> Http:
    """A converter: an address alone is enough where nothing else is needed."""
    return value if isinstance(value, Http) else Http(value)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _asked(name: str, secret: Callable[[], str]) -> str:
    why = "it did not answer with a str"
    try:
        value = secret()
    except Exception as error:
        why = f"it raised {type(error).__name__}"
    else:
        if isinstance(value, str):
            return value
    raise Unsigned(f"the credential for {name} could not be had: {why}")


def segment(value: str) -> str:
    """``value`` as one segment of a path: quoted, so that it can't become another path or a
    query.
    """
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
    others are raised at the ``yield``.
    """

    method: str
    path: str = attrs.field(converter=_path)
    params: tuple[tuple[str, str], ...] = attrs.field(default=(), kw_only=True, converter=_pairs)
    headers: tuple[tuple[str, str], ...] = attrs.field(default=(), kw_only=True, converter=_pairs)
    json: Any = attrs.field(default=None, kw_only=True)
    content: bytes | None = attrs.field(default=None, kw_only=True)
    write: bool = attrs.field(default=False, kw_only=True)
    accept: tuple[int, ...] = attrs.field(default=(), kw_only=True)

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

    def json(self) -> Any:
        """The body as JSON, strictly: no NaN, no name twice. Raises `Malformed`, which never quotes
        the body.
        """
        try:
            return json.loads(self.body, parse_constant=_no_constant, object_pairs_hook=_once_each)
        except Malformed as bad:
            why = str(bad)
        except (ValueError, RecursionError) as error:
            why = type(error).__name__
        raise Malformed(f"{len(self.body)} bytes that are not strict JSON ({why})")


@attrs.frozen
class Fault:
    """Why there is no usable answer. A value and not an exception, so that it carries nothing of
    the client with it.
    """

    failure: Failure
    why: str


def judged(request: Request, response: Response, secrets: tuple[str, ...]) -> Response | Fault:
    """The response if the adapter can use it, else what its status means for this request."""
    status = response.status
    if 200 <= status < 300 or status in request.accept:
        return response
    words = excerpt(_words(response), secrets)
    why = f"answered {status}" + (f": {words}" if words else "")
    if status in (409, 412):
        return Fault(Failure.CONFLICT, why)
    if 300 <= status < 400:
        return Fault(
            Failure.PERMANENT,
            f"{why}; redirects are not followed, so give the address that it leads to",
        )
    if status in (401, 403):
        return Fault(Failure.PERMANENT, f"{why}; check the credentials and what they allow")
    if status >= 500 or status == 408:
        return Fault(Failure.UNKNOWN if request.write else Failure.TRANSIENT, why)
    return Fault(Failure.TRANSIENT if status in _LATER else Failure.PERMANENT, why)


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


def excerpt(text: str, secrets: tuple[str, ...]) -> str:
    """A system's own words on one line, short and without credentials."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return " ".join(text.split())[:_EXCERPT]


def _no_constant(name: str) -> Any:
    raise Malformed(f"{name} is not a number")


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Malformed("a name stands twice in one object")
    return found


def at(value: Any, path: str, kind: type[T]) -> T:
    """The ``kind`` at a dotted ``path`` of decoded JSON (``items.0.name``; "" is the value itself);
    `Malformed` names the path.
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
