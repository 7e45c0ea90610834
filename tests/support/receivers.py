"""Servers that take messages and check what the real ones check, by their documentation."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs

SLACK_BLOCKS = {"header": ("plain_text", 150), "section": ("mrkdwn", 3_000)}
LARGEST_CARD = 28 * 1024


@attrs.frozen
class Asked:
    """One request."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


Answer = tuple[int, Any]


@contextmanager
def receiving(answer: Callable[[Asked], Answer]) -> Iterator[tuple[str, list[Asked]]]:
    """A server on a free port: its address, and what came."""
    came: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            parts = urlsplit(self.path)
            asked = Asked(
                path=parts.path,
                query=dict(parse_qsl(parts.query, keep_blank_values=True)),
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self.rfile.read(int(self.headers["content-length"])),
            )
            came.append(asked)
            status, said = answer(asked)
            body = said.encode() if isinstance(said, str) else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Nothing is printed."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", came
        finally:
            server.shutdown()


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that answers each request with these bytes, and then leaves the connection open."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve(wire: socket.socket) -> None:
            with wire, contextlib.suppress(OSError):
                while b"\r\n\r\n" not in wire.recv(65536, socket.MSG_PEEK):
                    pass
                wire.recv(65536)
                wire.sendall(answer)
                over.wait(60)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    wire, _ = listening.accept()
                    threading.Thread(target=serve, args=(wire,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            over.set()
            listening.shutdown(socket.SHUT_RDWR)


# -------------------------------------------------------------------------------------------- slack


@attrs.define
class SlackServer:
    """``chat.postMessage`` and ``chat.update``: docs.slack.dev/reference/methods, read on
    2026-12-01. ``fails``: the errors of the next calls.
    """

    token: str
    posted: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    replies: list[dict[str, Any]] = attrs.field(factory=list)
    fails: list[str] = attrs.field(factory=list)

    def __call__(self, asked: Asked) -> Answer:
        if self.fails:
            error = self.fails.pop(0)
            return (429, "") if error == "429" else (200, {"ok": False, "error": error})
        if asked.headers.get("authorization") != f"Bearer {self.token}":
            return 200, {"ok": False, "error": "invalid_auth"}
        if not asked.headers.get("content-type", "").startswith("application/json"):
            return 200, {"ok": False, "error": "invalid_post_type"}
        body = asked.json()
        if error := blocks_error(body) or ("" if body.get("channel") else "channel_not_found"):
            return 200, {"ok": False, "error": error}
        if asked.path.endswith("chat.update"):
            if body.get("ts") not in self.posted or body["channel"] != "C024BE91L":
                return 200, {"ok": False, "error": "message_not_found"}
            self.posted[body["ts"]] = body
            return 200, {"ok": True, "channel": body["channel"], "ts": body["ts"]}
        assert asked.path.endswith("/chat.postMessage")
        if "thread_ts" in body:
            if body["thread_ts"] not in self.posted:
                return 200, {"ok": False, "error": "thread_not_found"}
            self.replies.append(body)
            return 200, {"ok": True, "channel": "C024BE91L", "ts": "9.9"}
        ts = f"1405894322.00{len(self.posted)}"
        self.posted[ts] = body
        return 200, {"ok": True, "channel": "C024BE91L", "ts": ts}


def blocks_error(body: dict[str, Any]) -> str:
    """What Slack says of wrong blocks; empty if nothing."""
    if not body.get("text"):
        return "no_text"
    for block in body.get("blocks", ()):
        if block["type"] == "context":
            if not 1 <= len(block["elements"]) <= 10:
                return "invalid_blocks"
            continue
        kind, most = SLACK_BLOCKS[block["type"]]
        text = block["text"]
        if text["type"] != kind or not 1 <= len(text["text"]) <= most:
            return "invalid_blocks"
    return ""


def slack_hook(asked: Asked) -> Answer:
    """An incoming web hook: it answers ``ok``, or 400 in words."""
    body = asked.json()
    error = blocks_error(body)
    return (400, error) if error else (200, "ok")


# -------------------------------------------------------------------------------------------- teams


def workflow(asked: Asked) -> Answer:
    """A workflow with the trigger "When a Teams webhook request is received"."""
    if asked.query.get("sig") != "s3cr3t-signature":
        return 401, {"error": {"code": "DirectApiAuthorizationRequired"}}
    body = asked.json()
    right = body.get("type") == "message" and len(asked.body) <= LARGEST_CARD
    for each in body.get("attachments", ()):
        card = each["content"]
        right &= each["contentType"] == "application/vnd.microsoft.card.adaptive"
        right &= (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
        right &= all(part["type"] in ("TextBlock", "FactSet") for part in card["body"])
    return (202, "") if right and body.get("attachments") else (400, {"error": {"code": "Bad"}})


# ---------------------------------------------------------------------------------------- pagerduty


@attrs.define
class PagerDutyServer:
    """``/v2/enqueue``, by PagerDuty's own description (api-schema, events-v2/openapiv3.json)."""

    key: str
    open: dict[str, list[str]] = attrs.field(factory=dict)
    resolved: list[str] = attrs.field(factory=list)
    fails: list[int] = attrs.field(factory=list)

    def __call__(self, asked: Asked) -> Answer:
        if self.fails:
            return self.fails.pop(0), ""
        body = asked.json()
        problems = []
        if asked.path != "/v2/enqueue":
            return 404, ""
        if len(body.get("routing_key", "")) != 32 or body["routing_key"] != self.key:
            problems.append("Length of 'routing_key' is incorrect (should be 32 characters)")
        action = body.get("event_action")
        if action not in ("trigger", "acknowledge", "resolve") or len(body["dedup_key"]) > 255:
            problems.append("'event_action' is wrong")
        if action == "trigger":
            payload = body.get("payload", {})
            if payload.get("severity") not in ("critical", "warning", "error", "info"):
                problems.append("'payload.severity' is invalid (must be one of the following: ...)")
            if not payload.get("source") or not 1 <= len(payload.get("summary", "")) <= 1024:
                problems.append("'payload.summary' is missing or blank")
        if problems:
            answer = {"status": "invalid event", "message": "Event object is invalid"}
            return 400, answer | {"errors": problems}
        if action == "resolve":
            self.resolved += [body["dedup_key"]] if self.open.pop(body["dedup_key"], None) else []
        else:
            self.open.setdefault(body["dedup_key"], []).append(body["payload"]["summary"])
        answer = {"status": "success", "message": "Event processed"}
        return 202, answer | {"dedup_key": body["dedup_key"]}
