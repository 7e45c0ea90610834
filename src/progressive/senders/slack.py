"""Send messages to Slack: one of each rollout that is kept up to date, or each by itself.

Facts: docs.slack.dev, ``chat.postMessage``, ``chat.update`` and "Sending messages using incoming
webhooks". Slack answers 200 and ``ok: false`` for what it did not do. An update notifies nobody, so
what is at least a warning is also said in the message's thread, and shown in the channel.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, ClassVar, Final

import attrs

from progressive.adapters.flow import Client
from progressive.adapters.http import (
    Http,
    HttpFlow,
    Malformed,
    Request,
    Response,
    Secret,
    get_path,
    to_http,
)
from progressive.adapters.sender import HttpSender, client, link_of, post, shortened
from progressive.errors import Failure, NotificationError, StrategyError
from progressive.model import fields
from progressive.model.message import Message, Severity

__all__ = ["Slack", "SlackWebhook"]

HEADER: Final = 150
SECTION: Final = 3_000
"""Characters of a header and a section at most, by Slack's reference of blocks."""

LINE: Final = 250
"""Characters of one of several lines."""

PASSING: Final = frozenset(
    {
        "fatal_error",
        "internal_error",
        "ratelimited",
        "rate_limited",
        "request_timeout",
        "service_unavailable",
        "team_added_to_org",
    }
)
"""Errors of Slack that may pass by themselves."""

GONE: Final = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
"""Errors after which the message can't be kept up to date, so another one begins."""

SIGNS: Final = {
    Severity.DEBUG: ":white_circle:",
    Severity.INFO: ":large_blue_circle:",
    Severity.WARNING: ":large_yellow_circle:",
    Severity.ERROR: ":red_circle:",
}


def _is_channel(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not value.strip() or any(c.isspace() for c in value):
        raise StrategyError(
            f"{fields.where(instance, attribute)}: {fields.brief(value)} is no channel; write "
            "'#deploys', or its id"
        )


def _signed(token: Secret) -> Secret:
    wrong = "Slack.token: expected a bot token (xoxb-...), or what returns one (not shown)"

    def bearer(given: object) -> str:
        if not isinstance(given, str) or not given.strip():
            raise StrategyError(wrong)
        return f"Bearer {given.strip()}"

    return (lambda: bearer(token())) if callable(token) else bearer(token)


@attrs.frozen
class Slack(HttpSender):
    """Keeps one message of each rollout up to date in a channel, through Slack's Web API.

    * ``channel``: ``"#deploys"`` or an id; the app must have been invited to it.
    * ``token``: of a bot with ``chat:write``; or a callable that returns it, so that it rotates.
    * ``http``: how to reach Slack, if not directly.
    """

    updates: ClassVar[bool] = True

    channel: str = attrs.field(validator=_is_channel)
    token: Secret = attrs.field(kw_only=True, repr=False, converter=_signed)
    http: Http = attrs.field(
        kw_only=True, default=Http("https://slack.com/api"), converter=to_http, repr=False
    )
    _client: Client[Request, Response] = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(
            lambda self: client(attrs.evolve(self.http, credentials=self.token), "Slack"),
            takes_self=True,
        ),
    )

    def _send(self, message: Message, handle: str) -> HttpFlow[str]:
        content = {
            "text": _plain(message),
            "blocks": _blocks(message),
            "metadata": {"event_type": "rollout", "event_payload": {"id": message.id}},
        }
        if handle:
            there = _there(handle)
            found = yield from self._call("chat.update", there | content, GONE)
            if found["ok"]:
                if message.severity >= Severity.WARNING:
                    yield from self._call("chat.postMessage", _reply(message, there))
                return handle
        found = yield from self._call("chat.postMessage", {"channel": self.channel} | content)
        return json.dumps(
            {"channel": get_path(found, "channel", str), "ts": get_path(found, "ts", str)}
        )

    def _call(
        self, method: str, body: dict[str, Any], accept: frozenset[str] = frozenset()
    ) -> HttpFlow[dict[str, Any]]:
        """Call a method; its answer, which is ``ok`` or has one of the errors in ``accept``."""
        answer = yield post(
            f"/{method}",
            content=json.dumps(body).encode(),
            headers={"content-type": "application/json; charset=utf-8"},
            wants_body=True,
        )
        found = answer.json()
        if not isinstance(found, dict) or not isinstance(found.get("ok"), bool):
            raise Malformed("no 'ok' in it")
        error = str(found.get("error", "no reason"))
        if not found["ok"] and error not in accept:
            failure = Failure.TRANSIENT if error in PASSING else Failure.PERMANENT
            hint = "" if failure is Failure.TRANSIENT else _hint(error)
            raise NotificationError(
                f"Slack: {method}: {shortened(error, 80)}{hint}", failure=failure
            )
        return found


@attrs.frozen
class SlackWebhook(HttpSender):
    """Posts each message through an incoming web hook of Slack, which can't change one later.

    ``http``: the hook's address (``https://hooks.slack.com/services/...``); it is a secret, and
    never shown.
    """

    http: Http = attrs.field(converter=to_http)
    _client: Client[Request, Response] = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(lambda self: client(self.http, "Slack's web hook"), takes_self=True),
    )

    def _send(self, message: Message, handle: str) -> HttpFlow[str]:
        alone = attrs.evolve(message, recent=(message.text,))
        content = {"text": _plain(message), "blocks": _blocks(alone)}
        yield post(json=content)
        return handle


def _hint(error: str) -> str:
    if error in ("not_in_channel", "channel_not_found"):
        return "; invite the app to the channel, or mend its name"
    if error in (
        "invalid_auth",
        "not_authed",
        "account_inactive",
        "token_revoked",
        "missing_scope",
    ):
        return "; mend the token: a bot's, with chat:write"
    return ""


def _there(handle: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(handle)
    return found


def _reply(message: Message, there: dict[str, Any]) -> dict[str, Any]:
    """Return what is said of all that is at least a warning."""
    alarms = message.alarms or (message.text,)
    lines = [f"{message.title}: {alarms[0]}", *alarms[1:], *_again(message)]
    return {
        "channel": there["channel"],
        "thread_ts": there["ts"],
        "reply_broadcast": True,
        "text": _lines(lines),
    }


def _plain(message: Message) -> str:
    """Return what shows in a notification, and to who can't see blocks."""
    return _lines([" ".join([f"{message.title}: {message.text}", *_again(message)])])


def _again(message: Message) -> list[str]:
    return ["(perhaps sent before)"] if message.again else []


def _lines(lines: Sequence[str]) -> str:
    """Return lines of text, escaped; of too many the first are left out, as the last are news."""
    told, room = list[str](), SECTION
    for line in reversed(lines):
        escaped = _escaped_within(line, SECTION if len(lines) == 1 else LINE)
        room -= len(escaped) + 1
        if room < -1:
            break
        told.insert(0, escaped)
    return "\n".join(told)


def _blocks(message: Message) -> list[dict[str, Any]]:
    *before, last = message.recent or (message.text,)
    text = _lines([*before, f"*{shortened(last, LINE - 2)}*"] if before else [last])
    told = f"{message.rollout} · {message.phase} · {message.weight} on the candidate"
    if link := link_of(message):
        told += f" · <{_escaped(link)}|more>"
    if message.again:
        told += " · perhaps sent before"
    sign = SIGNS[message.severity]
    return [
        {
            "type": "header",
            "text": {"type": "plain_text", "text": shortened(f"{sign} {message.title}", HEADER)},
        },
        {
            "type": "section",
            "text": {"type": "mrkdwn", "text": text},
        },
        {"type": "context", "elements": [{"type": "mrkdwn", "text": told}]},
    ]


def _escaped_within(text: str, most: int) -> str:
    """Return a text, escaped, in at most so many characters."""
    if len(escaped := _escaped(text)) <= most:
        return escaped
    room = list(accumulate(len(_escaped(each)) for each in text))
    return _escaped(text[: bisect_right(room, most - 1)]) + "…"


def _escaped(text: str) -> str:
    """Return a text in which nothing is a link or a mention, by Slack's rules."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
