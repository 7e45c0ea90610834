"""Send messages to Microsoft Teams, through a workflow that posts what a web hook receives.

Facts: learn.microsoft.com, "Create incoming webhooks with Workflows": the address of the trigger
"When a Teams webhook request is received" takes an Adaptive Card and answers 202. What was posted
can't be changed that way, so each message is posted by itself. A message has at most 28 KB.
"""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import attrs

from progressive.adapters.flow import Client
from progressive.adapters.http import Http, HttpClient, HttpFlow, Request, Response
from progressive.adapters.sender import HttpSender, client, link_of, post, shortened
from progressive.errors import StrategyError
from progressive.model.message import Message, Severity

__all__ = ["Teams"]

TEXT: Final = 12_000
"""Bytes of the text at most, so that a card stays below 28 KB."""

COLOURS: Final = {
    Severity.DEBUG: "Default",
    Severity.INFO: "Accent",
    Severity.WARNING: "Warning",
    Severity.ERROR: "Attention",
}
"""The colours of an Adaptive Card's text."""


def _address(value: object) -> str:
    """Return the address of a workflow. Its query has a signature, so it is never quoted."""
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
    except ValueError:
        parts = None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise StrategyError(
            "Teams.url: expected the address of a workflow's web hook, https://... (not shown: it "
            "may be secret)"
        )
    return str(value)


def _client_of(url: str, http: Http | None) -> HttpClient:
    parts = urlsplit(url)
    base = f"{parts.scheme}://{parts.netloc}{parts.path}"
    reached = Http(base) if http is None else attrs.evolve(http, base_url=base)
    secrets = tuple(value for _, value in parse_qsl(parts.query))
    return client(reached, "Teams", secrets)


@attrs.frozen
class Teams(HttpSender):
    """Posts each message as a card in a channel or a chat of Microsoft Teams.

    * ``url``: of the workflow's web hook; it is a secret, and never shown.
    * ``http``: how to reach it, if not directly; its ``base_url`` is not used.
    """

    url: str = attrs.field(converter=_address, repr=False)
    http: Http | None = attrs.field(kw_only=True, default=None, repr=False)
    _client: Client[Request, Response] = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(lambda self: _client_of(self.url, self.http), takes_self=True),
    )

    def _send(self, message: Message, handle: str) -> HttpFlow[str]:
        query = parse_qsl(urlsplit(self.url).query, keep_blank_values=True)
        content = {
            "type": "message",
            "attachments": [
                {
                    "contentType": "application/vnd.microsoft.card.adaptive",
                    "contentUrl": None,
                    "content": _card(message),
                }
            ],
        }
        body = json.dumps(content, ensure_ascii=False).encode()
        headers = {"content-type": "application/json; charset=utf-8"}
        yield post(params=tuple(query), content=body, headers=headers)
        return handle


def _card(message: Message) -> dict[str, Any]:
    facts = {
        "rollout": message.rollout,
        "phase": message.phase,
        "step": message.step,
        "candidate": message.weight,
        "id": f"{message.id}{' (perhaps sent before)' if message.again else ''}",
    }
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            {
                "type": "TextBlock",
                "text": shortened(message.title, 200),
                "weight": "Bolder",
                "size": "Medium",
                "wrap": True,
                "color": COLOURS[message.severity],
            },
            {"type": "TextBlock", "text": _within(message.text, TEXT), "wrap": True},
            {
                "type": "FactSet",
                "facts": [{"title": title, "value": value} for title, value in facts.items()],
            },
        ],
        "msteams": {"width": "Full"},
    }
    if link := link_of(message):
        card["actions"] = [{"type": "Action.OpenUrl", "title": "More", "url": link}]
    return card


def _within(text: str, most: int) -> str:
    """Return as much of a text as is at most so many bytes of JSON."""
    written = 0
    for place, letter in enumerate(text):
        written += len(json.dumps(letter, ensure_ascii=False).encode()) - 2
        if written > most:
            return f"{text[: max(place - 1, 0)]}…"
    return text
