"""Send messages as events: CloudEvents of each, or CDEvents of what became of a service.

Facts: CloudEvents 1.0.2, HTTP protocol binding, structured mode; CDEvents 0.2.0, "Continuous
Deployment", with its binding to CloudEvents (the event as ``data``, its type as the CloudEvent's).
"""

from __future__ import annotations

import json
from typing import Any, ClassVar, Final

import attrs

from progressive.adapters.flow import Client
from progressive.adapters.http import Http, HttpClient, HttpFlow, Request, Response, to_http
from progressive.adapters.sender import HttpSender, client, post
from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.message import Message

__all__ = ["CDEvents", "CloudEvents"]

STRUCTURED: Final = "application/cloudevents+json; charset=utf-8"
CDEVENTS: Final = "0.2.0"
TYPE: Final = "dev.cdevents.service.{}.0.1.1"

FIRST: Final = "nothing"
"""What a message calls the stable version of a first deployment."""


def _client_of(self: Any) -> HttpClient:
    return client(self.http, "the receiver of events")


def _is_source(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise StrategyError(
            f"{fields.where(instance, attribute)}: {fields.brief(value)} names nobody; write a URI "
            "reference such as '/deploys'"
        )


@attrs.frozen
class CloudEvents(HttpSender):
    """Sends each message as a CloudEvent, in structured mode.

    * ``http``: the address that takes them.
    * ``source``: a URI reference of who sends them.

    ``type`` is ``progressive.rollout.<kind of note>``, ``subject`` the rollout, ``id`` the note's:
    with ``source`` the same for every copy.
    """

    http: Http = attrs.field(converter=to_http)
    source: str = attrs.field(kw_only=True, default="/progressive", validator=_is_source)
    _client: Client[Request, Response] = attrs.field(
        init=False, repr=False, eq=False, default=attrs.Factory(_client_of, takes_self=True)
    )

    def _send(self, message: Message, handle: str) -> HttpFlow[str]:
        data = attrs.asdict(message)
        data |= {"severity": message.severity.word, "at": message.at.isoformat()}
        yield _event(self.source, message, f"progressive.rollout.{message.kind}", data)
        return handle


@attrs.frozen
class CDEvents(HttpSender):
    """Sends what became of a service: deployed (the first time), upgraded, or rolled back.

    Nothing is sent of the way there; subscribe it with ``kinds=["entered"]``.

    * ``http``: the address that takes them.
    * ``environment``: where the service runs: ``"production"``.
    * ``source``: a URI reference of who sends them.
    """

    closes: ClassVar[bool] = True

    http: Http = attrs.field(converter=to_http)
    environment: str = attrs.field(kw_only=True, validator=fields.is_name)
    source: str = attrs.field(kw_only=True, default="/progressive", validator=_is_source)
    _client: Client[Request, Response] = attrs.field(
        init=False, repr=False, eq=False, default=attrs.Factory(_client_of, takes_self=True)
    )

    def _send(self, message: Message, handle: str) -> HttpFlow[str]:
        if message.kind == "entered" and message.over:
            back = message.phase == "rolled_back"
            upgraded = "deployed" if message.stable == FIRST else "upgraded"
            type_ = TYPE.format("rolledback" if back else upgraded)
            runs = message.stable if back else message.candidate
            yield _event(self.source, message, type_, self._of(message, type_, runs))
        return handle

    def _of(self, message: Message, type_: str, runs: str) -> dict[str, Any]:
        return {
            "context": {
                "version": CDEVENTS,
                "id": message.id,
                "source": self.source,
                "type": type_,
                "timestamp": message.at.isoformat(),
            },
            "subject": {
                "id": message.service,
                "source": self.source,
                "type": "service",
                "content": {
                    "environment": {"id": self.environment},
                    "artifactId": f"pkg:generic/{message.service}@{runs}",
                },
            },
            "customData": {"rollout": message.rollout, "text": message.text},
            "customDataContentType": "application/json",
        }


def _event(source: str, message: Message, type_: str, data: dict[str, Any]) -> Request:
    event = {
        "specversion": "1.0",
        "id": message.id,
        "source": source,
        "type": type_,
        "subject": message.rollout,
        "time": message.at.isoformat(),
        "datacontenttype": "application/json",
        "data": data,
    }
    return post(content=json.dumps(event).encode(), headers={"content-type": STRUCTURED})
