"""How a system is reached over HTTP: address, credentials, trust, time-outs. It never shows a
credential.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final, TypeAlias
from urllib.parse import unquote, urlsplit

import attrs

from progressive.adapters.veil import SHORTEST
from progressive.errors import StrategyError
from progressive.model import fields

__all__ = ["Http", "Secret", "Signed", "Unsigned", "to_http"]

Secret: TypeAlias = str | Callable[[], str]
"""A credential, or what answers with the one that is valid now (called for every request, so that
it can rotate; in a thread of its own, never on an event loop, and not waited for longer than the
call's deadline).
"""

Signed: TypeAlias = tuple[list[tuple[str, str]], tuple[str, ...]]
"""Headers, and what must not show of them."""

_SECRET_HEADERS: Final = frozenset({"authorization", "proxy-authorization", "cookie"})
_LONG_SEGMENT: Final = 8
"""From this length on a part of a path that is no plain word may be a secret by itself."""


class Unsigned(Exception):
    """The credentials could not be had or can't be sent; says why without them."""


def _veiled(value: object) -> str:
    return "***" if value else repr(value)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


_HOST_AND_PORT: Final = re.compile(r"[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?")


def _address(value: object) -> str:
    wrong = (
        "http.base_url: expected http(s)://host:port/path without user, query and fragment (not "
        "shown: it may be secret)"
    )
    if isinstance(value, str) and _HOST_AND_PORT.fullmatch(value):
        raise StrategyError(f"http.base_url: {value!r} has no scheme; write 'http://{value}'")
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
                f"http.credentials: {self.origin} is plain http, which anybody on the way can "
                "read; use https"
            )
        for name, _ in self.headers:
            if name.lower() in _SECRET_HEADERS:
                raise StrategyError(
                    f"http.headers: {name} is a credential; give it as credentials={{{name!r}: "
                    "...}"
                )
        if isinstance(self.ca, ssl.SSLContext) and self.client_certificate is not None:
            raise StrategyError(
                "http.client_certificate: load it into the SSLContext that you give as ca="
            )
        if isinstance(self.ca, ssl.SSLContext) and self.credentials:
            unchecked = (
                "does not verify certificates"
                if self.ca.verify_mode is ssl.CERT_NONE
                else ""
                if self.ca.check_hostname
                else "does not check the name of the host"
            )
            if unchecked:
                raise StrategyError(
                    f"http.ca: the SSLContext {unchecked}, so anybody on the way could take the "
                    "credentials; give one that does (ssl.create_default_context(cafile=...))"
                )
        if self.proxy is not None and urlsplit(self.proxy).scheme not in ("http", "https"):
            raise StrategyError(
                "http.proxy: expected the URL of an http:// or https:// proxy (not shown: it may "
                "be secret)"
            )

    @property
    def origin(self) -> str:
        """Scheme, host and port: what messages show. The path may be a secret (a webhook's is)."""
        return _origin(self.base_url)

    @property
    def passwords(self) -> tuple[str, ...]:
        """What of the addresses must never show: a proxy's user and password, and the path of the
        base address, which is the secret of a webhook.
        """
        proxy, path = urlsplit(self.proxy or ""), urlsplit(self.base_url).path
        segments = [
            part
            for part in path.split("/")
            if len(part) >= _LONG_SEGMENT and not (part.islower() and part.isalpha())
        ]
        parts = (proxy.password, proxy.username, path.strip("/") and path, *segments)
        return tuple(
            dict.fromkeys(unquote(part) for part in parts if part and len(part) >= SHORTEST)
        )

    @property
    def asks(self) -> bool:
        """Is any credential a callable, which may take its time?"""
        return any(callable(secret) for _, secret in self.credentials)

    def signed(self) -> Signed:
        """The headers with the credentials of this moment, and what must never show. Raises
        `Unsigned`.
        """
        headers, secrets = list(self.headers), list(self.passwords)
        for name, secret in self.credentials:
            value = secret if isinstance(secret, str) else _asked(name, secret)
            value = value.strip()
            if not value or not value.isascii() or not value.isprintable():
                raise Unsigned(
                    f"the credential for {name} is empty or has characters that no header can "
                    "carry (a line break?)"
                )
            headers.append((name, value))
            secrets.extend(part for part in _parts(value) if len(part) >= SHORTEST)
        return headers, tuple(secrets)


def to_http(value: str | Http) -> Http:
    """A converter: an address alone is enough where nothing else is needed."""
    return value if isinstance(value, Http) else Http(value)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _parts(value: str) -> Iterator[str]:
    """What of a header's value must not show: all of it, what stands after the scheme, and the user
    and password in that (RFC 7617).
    """
    scheme, _, rest = value.rpartition(" ")
    yield from (value, rest)
    if scheme.lower() == "basic":
        try:
            pair = base64.b64decode(rest, validate=True).decode()
        except ValueError:
            return
        yield from (pair, pair.partition(":")[2])


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
