"""A small reporting API over HTTP."""

from __future__ import annotations

import threading
import urllib.parse
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from progressive.metrics.json_http import Endpoint

BOUNDS = {"version": "{version}", "from": "{start}", "to": "{end}"}
FAILED = Endpoint("/stats", params=BOUNDS, events="data.failed", trials="data.total")


class Api:
    """A small reporting API: ``answers`` gets the query of each request and gives a text, or a
    status.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[str] = []
        self.answers: Callable[[dict[str, str]], str | int] = lambda _: "{}"


@pytest.fixture(scope="module")
def running() -> Iterator[Api]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found.asked.append(self.path)
            answered = found.answers(
                dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
            )
            body = answered.encode() if isinstance(answered, str) else b""
            self.send_response(answered if isinstance(answered, int) else 200)
            if answered != 204:
                self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        found = Api(f"http://127.0.0.1:{server.server_address[1]}")
        yield found
        server.shutdown()
        thread.join()


@pytest.fixture
def api(running: Api) -> Api:
    running.asked.clear()
    return running
