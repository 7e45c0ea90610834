"""A small server that answers as the documentation of Cloud Run's Admin API v2 says (services.get,
services.patch, revisions.get; read in December 2026). No request is served by it.
"""

from __future__ import annotations

import copy
import http.server
import json
import threading
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

NAME = "projects/p/locations/europe-west1/services/shop"
BY_REVISION = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
LATEST = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"


def target(revision: str, percent: int = 0, tag: str = "") -> dict[str, Any]:
    """A target of a revision; what is nothing is left out, as in every answer."""
    found: dict[str, Any] = {"type": BY_REVISION, "revision": revision}
    return found | ({"percent": percent} if percent else {}) | ({"tag": tag} if tag else {})


class FakeCloudRun:
    """One service with the revisions ``v1``, ``v2``, ``v1-fresh`` and ``v0``, all on ``v1``.

    A change is carried out by the ``slow``-th read after it. ``fails``: Cloud Run takes a change
    and can't carry it out.
    """

    def __init__(self, slow: int = 0) -> None:
        self.slow, self.fails = slow, ""
        self.unready: set[str] = set()
        self.sticky: set[str] = set()
        self.revisions = {"v1", "v2", "v1-fresh", "v0"}
        self.patched: list[dict[str, Any]] = []
        self._left = 0
        self._lock = threading.Lock()
        self.service: dict[str, Any] = {
            "name": NAME,
            "uid": "u1",
            "generation": "1",
            "annotations": {"team": "shop"},
            "template": {"containers": [{"image": "shop:1"}]},
            "traffic": [target("v1", 100)],
            "trafficStatuses": [target("v1", 100)],
            "latestReadyRevision": f"{NAME}/revisions/v1",
            "observedGeneration": "1",
            "conditions": [{"type": "RoutesReady", "state": "CONDITION_SUCCEEDED"}],
            "terminalCondition": {"type": "Ready", "state": "CONDITION_SUCCEEDED"},
            "etag": "e1",
        }
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._say(*owner.read(urlsplit(self.path).path))

            def do_PATCH(self) -> None:
                given = json.loads(self.rfile.read(int(self.headers["content-length"])))
                mask = parse_qs(urlsplit(self.path).query).get("updateMask", [""])[0]
                self._say(*owner.patch(given, mask.split(",")))

            def _say(self, status: int, said: object) -> None:
                body = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json; charset=UTF-8")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def read(self, path: str) -> tuple[int, object]:
        with self._lock:
            if path == f"/v2/{NAME}":
                self._go_on()
                return 200, self.service
            revision = path.removeprefix(f"/v2/{NAME}/revisions/")
            if revision not in self.revisions:
                return _error(404, "NOT_FOUND", f"Resource '{revision}' was not found")
            state = "CONDITION_FAILED" if revision in self.unready else "CONDITION_SUCCEEDED"
            ready = {"type": "Ready", "state": state, "message": "it does not start"}
            sticky = {"sessionAffinity": True} if revision in self.sticky else {}
            return 200, {"name": path[4:], "conditions": [{"type": "Active"}, ready], **sticky}

    def patch(self, given: dict[str, Any], mask: list[str]) -> tuple[int, object]:
        with self._lock:
            if given.get("etag") not in (None, self.service["etag"]):
                return _error(409, "ABORTED", "Conflict: etag does not match")
            if unknown := set(mask) - {"traffic", "annotations"}:
                return _error(400, "INVALID_ARGUMENT", f"no such field: {sorted(unknown)}")
            total = 0
            for each in given["traffic"]:
                total += each.get("percent", 0)
            if total != 100:
                return _error(400, "INVALID_ARGUMENT", "traffic percents must sum to 100")
            self.patched.append(given)
            self._change({name: given[name] for name in mask})
            return 200, {"name": "projects/p/locations/europe-west1/operations/1", "done": False}

    def edit(self, *targets: dict[str, Any]) -> None:
        """Change the traffic as anybody may, by hand."""
        with self._lock:
            self._change({"traffic": list(targets)})

    def percents(self) -> dict[str, int]:
        return {each["revision"]: each["percent"] for each in self.service["trafficStatuses"]}

    def _change(self, fields: dict[str, Any]) -> None:
        generation = int(self.service["generation"]) + 1
        self.service |= copy.deepcopy(fields)
        self.service |= {
            "generation": str(generation),
            "etag": f"e{generation}",
            "reconciling": True,
        }
        self._left = self.slow
        self._go_on()

    def _go_on(self) -> None:
        """Carry a change out, if it is time."""
        if self._left:
            self._left -= 1
            return
        self.service.pop("reconciling", None)
        self.service["observedGeneration"] = self.service["generation"]
        state = "CONDITION_FAILED" if self.fails else "CONDITION_SUCCEEDED"
        said = {"message": self.fails} if self.fails else {}
        self.service["terminalCondition"] = {"type": "Ready", "state": state, **said}
        self.service["conditions"] = [{"type": "RoutesReady", "state": state, **said}]
        if not self.fails:
            served = [each for each in self.service["traffic"] if each.get("percent")]
            self.service["trafficStatuses"] = copy.deepcopy(served)


def _error(code: int, status: str, message: str) -> tuple[int, object]:
    return code, {"error": {"code": code, "message": message, "status": status}}
