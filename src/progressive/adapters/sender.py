"""The base of a sender of messages over HTTP: one verb, sync and async, over a flow of requests."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final, Protocol, runtime_checkable

from progressive.errors import NotificationError
from progressive.model.message import Message

from .flow import Adapter
from .http import Http, HttpClient, HttpFlow, Request, Response

__all__ = ["HttpSender", "Sender", "client", "link_of", "post", "shortened"]


@runtime_checkable
class Sender(Protocol):
    """What tells people or programs of a rollout. A sender of your own has these.

    A message may come more than once: then ``message.again`` is true, and its ``id`` is the same.
    """

    updates: bool
    """Whether it keeps one message of a rollout up to date, instead of sending each."""
    closes: bool
    """Whether it must be told the end of a rollout of which it was told anything."""

    def send(self, message: Message, handle: str) -> str:
        """Send a message. Returns what it wants to be given as ``handle`` with the next one of the
        same rollout; that is empty at the first.

        Raises `NotificationError`; the message is then sent again later.
        """
        ...


NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class HttpSender(Adapter[Request, Response]):
    """A sender over HTTP: it gives `_send`, what it sends as a flow."""

    __slots__ = ()
    updates: ClassVar[bool] = False
    closes: ClassVar[bool] = False

    @abstractmethod
    def _send(self, message: Message, handle: str) -> HttpFlow[str]:
        """Send a message, and return the handle for the next one."""

    def send(self, message: Message, handle: str = "") -> str:
        """Send a message; see `Sender`. Raises `NotificationError`: TRANSIENT or UNKNOWN may pass,
        PERMANENT needs a person, such as for a credential.
        """
        return self._client.run(self._send(message, handle))

    async def asend(self, message: Message, handle: str = "") -> str:
        """`send`, asynchronously."""
        return await self._client.arun(self._send(message, handle))


def client(http: Http, system: str, secrets: tuple[str, ...] = ()) -> HttpClient:
    """The client of a sender. ``system``: its name in messages. ``secrets``: what never shows of
    what it sends, beside credentials.
    """
    return HttpClient(http, NotificationError, system, secrets)


def post(
    path: str = "",
    *,
    json: object = None,
    content: bytes | None = None,
    headers: Mapping[str, str] = NO_HEADERS,
    params: tuple[tuple[str, str], ...] = (),
    wants_body: bool = False,
) -> Request:
    """A request that sends a message. Any status of success is one, whatever comes with it; nobody
    else can have been first.
    """
    return Request(
        "POST",
        path,
        params=params,
        headers=headers,
        json=json,
        content=content,
        write=True,
        conflicts=False,
        wants_body=wants_body,
    )


LONGEST_LINK: Final = 1_000
"""Characters of a link that is sent; half a link leads nowhere, so a longer one is left out."""


def link_of(message: Message) -> str:
    """The link of a message; empty where there is none, or one that no system takes."""
    return message.link if len(message.link) <= LONGEST_LINK else ""


def shortened(text: str, most: int) -> str:
    """The text in at most so many characters; what is left out shows as an ellipsis."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
