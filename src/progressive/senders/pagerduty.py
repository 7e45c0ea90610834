"""Call people through PagerDuty, by its Events API v2.

Facts: developer.pagerduty.com, "Send an Alert Event": one ``dedup_key`` is one alert, however often
it is triggered, until it is resolved; 202 is accepted, 400 refused for good, 429 later.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import attrs

from progressive.adapters.flow import Client
from progressive.adapters.http import Http, HttpFlow, Request, Response, to_http
from progressive.adapters.sender import HttpSender, client, link_of, post, shortened
from progressive.errors import StrategyError
from progressive.model.message import Message, Severity

__all__ = ["PagerDuty"]

SUMMARY: Final = 1_024
"""Characters of a summary at most."""

KEY: Final = 32
"""Characters of an integration key."""

OPEN: Final = "open"
"""The handle of a rollout for which somebody was called."""


def _is_key(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or len(value) != KEY or not value.isalnum():
        raise StrategyError(
            f"PagerDuty.routing_key: expected the {KEY} letters and digits of an integration key "
            "for Events API v2 (not shown)"
        )


@attrs.frozen
class PagerDuty(HttpSender):
    """Opens an alert for a rollout that is in trouble, and resolves it when that is over.

    Whatever is at least a warning triggers it; the end of the rollout resolves it, promoted or
    rolled back. What goes wrong after that (a version that can't be removed) triggers it again, and
    a person resolves it. A rollout has one alert: its id is the ``dedup_key``.

    * ``routing_key``: of an integration "Events API v2".
    * ``http``: how to reach PagerDuty; in the EU ``"https://events.eu.pagerduty.com"``.
    """

    closes: ClassVar[bool] = True

    routing_key: str = attrs.field(validator=_is_key, repr=False)
    http: Http = attrs.field(
        kw_only=True, default=Http("https://events.pagerduty.com"), converter=to_http, repr=False
    )
    _client: Client[Request, Response] = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(
            lambda self: client(self.http, "PagerDuty", (self.routing_key,)), takes_self=True
        ),
    )

    def _send(self, message: Message, handle: str) -> HttpFlow[str]:
        if message.over and message.kind == "entered":
            if handle != OPEN:
                return ""
            yield self._event(message, "resolve")
            return ""
        if message.severity < Severity.WARNING:
            return handle
        yield self._event(message, "trigger")
        return OPEN

    def _event(self, message: Message, action: str) -> Request:
        event: dict[str, Any] = {
            "routing_key": self.routing_key,
            "event_action": action,
            "dedup_key": message.rollout,
        }
        if action == "trigger":
            event["client"] = "progressive"
            event["payload"] = {
                "summary": shortened(f"{message.title}: {message.text}", SUMMARY),
                "source": message.service,
                "severity": message.severity.word,
                "timestamp": message.at.isoformat(),
                "component": message.candidate,
                "class": message.kind,
                "custom_details": {
                    "id": message.id,
                    "phase": message.phase,
                    "step": message.step,
                    "weight": message.weight,
                    "status": message.status,
                    "again": message.again,
                },
            }
            if link := link_of(message):
                event["links"] = [{"href": link, "text": message.rollout}]
        return post("/v2/enqueue", json=event)
