"""Send messages to a web hook of your own, signed as Standard Webhooks has it.

https://github.com/standard-webhooks/standard-webhooks, 1.0.0: the id, the time of the try and the
body are signed with HMAC-SHA256, so a receiver verifies with any of its libraries::

    from standardwebhooks import Webhook
    Webhook(secret).verify(body, headers)

``webhook-id`` is the same for every copy of a message; ``again`` in the body says that it may be
one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any, Final

import attrs

from progressive.adapters.flow import Client
from progressive.adapters.http import Http, HttpFlow, Request, Response, to_http
from progressive.adapters.sender import HttpSender, client, post
from progressive.errors import StrategyError
from progressive.model.message import Message

__all__ = ["Webhook"]

LEAST: Final = 24
MOST: Final = 64
"""Bytes of a secret, by the specification."""

_PREFIX: Final = "whsec_"


def _secret(value: object) -> bytes:
    """Return the bytes of a secret: ``whsec_`` and base64, or bytes. It is never quoted."""
    key = b""
    if isinstance(value, bytes):
        key = value
    elif isinstance(value, str) and value.startswith(_PREFIX):
        try:
            key = base64.b64decode(value.removeprefix(_PREFIX), validate=True)
        except ValueError:  # also what is no ASCII
            key = b""
    if not LEAST <= len(key) <= MOST:
        raise StrategyError(
            f"Webhook.secret: expected {LEAST} to {MOST} random bytes, or '{_PREFIX}' and such "
            "bytes in base64 (not shown)"
        )
    return key


@attrs.frozen
class Webhook(HttpSender):
    """Sends each message as JSON with a POST to an address of yours.

    * ``http``: the address, or an `Http` with more, such as credentials.
    * ``secret``: with which it is signed; the receiver has the same. None for no signature.
    * ``clock``: returns the time in seconds since 1970.

    The body has ``type`` (``rollout.entered``), ``timestamp`` (of the note) and ``data``: every
    field of `Message`. Any 2xx is an answer.
    """

    http: Http = attrs.field(converter=to_http)
    secret: bytes | None = attrs.field(
        default=None,
        kw_only=True,
        repr=False,
        converter=attrs.converters.optional(_secret),
    )
    clock: Callable[[], float] = attrs.field(default=time.time, kw_only=True, repr=False)
    _client: Client[Request, Response] = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(lambda self: client(self.http, "the web hook"), takes_self=True),
    )

    def _send(self, message: Message, handle: str) -> HttpFlow[str]:
        body = json.dumps(_body(message), ensure_ascii=False, separators=(",", ":")).encode()
        yield post(headers=self._headers(message, body), content=body)
        return handle

    def _headers(self, message: Message, body: bytes) -> dict[str, str]:
        # No id of a rollout has a tilde; a full stop within it would make what is signed ambiguous.
        id, at = message.id.replace(".", "~"), str(int(self.clock()))
        headers = {
            "content-type": "application/json",
            "webhook-id": id,
            "webhook-timestamp": at,
        }
        if self.secret is not None:
            signed = hmac.digest(self.secret, f"{id}.{at}.".encode() + body, hashlib.sha256)
            headers["webhook-signature"] = f"v1,{base64.b64encode(signed).decode()}"
        return headers


def _body(message: Message) -> dict[str, Any]:
    data = attrs.asdict(message)
    at = message.at.isoformat()
    data |= {"severity": message.severity.word, "at": at}
    return {"type": f"rollout.{message.kind}", "timestamp": at, "data": data}
