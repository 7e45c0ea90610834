"""A real Prometheus or VictoriaMetrics, and small services for it to scrape, which know the truth
of what they count.
"""

from __future__ import annotations

import http.server
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import httpx
from tests.support.envoy_process import wait_until
from tests.support.metrics_servers import Server, ServerProcess

INTERVAL = 0.3
"""Seconds from scrape to scrape."""

EDGES = (0.1, 0.5)

Series: TypeAlias = tuple[str, str, str]
"""Instance, name of the metric, and the code or the edge of a bucket (or nothing)."""

_QUOTED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


class Shop:
    """One instance of one version of an application: counts requests, and how long they took; it
    can be killed and started again.

    ``codes``: with which it has already answered, a thousand times each. ``edges``: how the edges
    of its buckets are written.
    """

    def __init__(self, app: str, version: str, *codes: str) -> None:
        self.labels = {"app": app, "version": version}
        self.codes: dict[str, int] = {}
        self.buckets = [0, 0, 0]
        self.edges = tuple(map(str, EDGES))
        self.depth = "2.5"
        self.scrapes = 0
        self.port = 0
        self._lock = threading.Lock()
        self._server: http.server.ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self.start()
        for code in codes:
            self.serve(1000, code)

    def serve(self, count: int, code: str = "200", took: float = 0.01) -> None:
        """So many requests with this answer."""
        with self._lock:
            self.codes[code] = self.codes.get(code, 0) + count
            for i, edge in enumerate((*EDGES, float("inf"))):
                self.buckets[i] += count if took <= edge else 0

    def show_for_one_scrape(self, less: int, code: str = "200") -> None:
        """Show so many requests less, until it has been scraped."""
        with self._lock:
            self.codes[code] -= less
            scrapes = self.scrapes
        wait_until("one scrape", lambda: self.scrapes > scrapes)
        with self._lock:
            self.codes[code] += less

    def start(self) -> None:
        """Begin to answer, with nothing counted; the second time on the same port."""
        shop, self.codes, self.buckets = self, {}, [0, 0, 0]

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = shop._text().encode()
                self.send_response(200)
                self.send_header("content-type", "text/plain; version=0.0.4")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                shop.scrapes += 1

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: Any, client_address: Any) -> None:
                """The other side is gone."""

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )
        self._thread.start()

    def kill(self) -> None:
        """Nobody answers any more."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None

    @property
    def alive(self) -> bool:
        return self._server is not None

    @property
    def instance(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def series(self) -> set[Series]:
        """Every series that a scrape of it finds."""
        with self._lock:
            codes = [*self.codes]
        return {
            (self.instance, "depth", ""),
            *((self.instance, "requests_total", code) for code in codes),
            *((self.instance, "seconds_bucket", edge_of(le)) for le in (*self.edges, "+Inf")),
        }

    def _text(self) -> str:
        with self._lock:
            lines = [f"depth{self._labels()} {self.depth}", "# TYPE requests_total counter"]
            lines += [
                f"requests_total{self._labels(code=code)} {count}"
                for code, count in self.codes.items()
            ]
            lines.append("# TYPE seconds histogram")
            for edge, count in zip((*self.edges, "+Inf"), self.buckets, strict=True):
                lines.append(f"seconds_bucket{self._labels(le=edge)} {count}")
            lines += [
                f"seconds_sum{self._labels()} 0",
                f"seconds_count{self._labels()} {self.buckets[-1]}",
            ]
        return "\n".join(lines) + "\n"

    def _labels(self, **more: str) -> str:
        pairs = ",".join(
            f'{name}="{value.translate(_QUOTED)}"'
            for name, value in {**self.labels, **more}.items()
        )
        return f"{{{pairs}}}"


class MetricsServer(ServerProcess):
    """A server that scrapes these services."""

    def __init__(self, server: Server, shops: Sequence[Shop], folder: Path) -> None:
        every = f"{INTERVAL * 1000:.0f}ms"
        targets = [{"targets": [shop.instance for shop in shops]}]
        super().__init__(
            server,
            folder,
            config={
                "global": {"scrape_interval": every, "scrape_timeout": every},
                "scrape_configs": [{"job_name": "shop", "static_configs": targets}],
            },
        )

    def complete(self, *shops: Shop) -> datetime:
        """A moment, now, up to which the server shows every sample of these services; more may be
        served meanwhile.

        VictoriaMetrics lists a new series seconds after its first sample (10.5 s were seen), so it
        waits until every series that such a sample may have shows one from later on. A scrape that
        is slow to begin brings what was served after the time that its samples bear.
        """
        moment, alive = datetime.now(UTC), [shop for shop in shops if shop.alive]
        self._scraped_since_now(alive)
        needed = {series for shop in alive for series in shop.series}
        # A sample bears the time at which its scrape was due, or began, and at VictoriaMetrics at
        # most a tenth of an interval before that.
        after = datetime.now(UTC).timestamp() + 0.1 * INTERVAL
        wait_until("what was served is stored", lambda: needed <= self._stored_since(after))
        return moment

    def settled(self, *shops: Shop) -> datetime:
        """A moment before which the server has scraped, and shows, all that these services have
        served so far; nothing that is served after it is in a sample from before it.
        """
        alive = [shop for shop in shops if shop.alive]
        self.complete(*alive)
        moment = datetime.now(UTC)
        self._scraped_since_now(alive)
        return moment

    @staticmethod
    def _scraped_since_now(shops: Sequence[Shop]) -> None:
        """Wait until the scrapes that are under way are over."""
        scrapes = {shop.instance: shop.scrapes for shop in shops}
        wait_until(
            "two scrapes more",
            lambda: all(shop.scrapes >= scrapes[shop.instance] + 2 for shop in shops),
        )

    def _stored_since(self, moment: float) -> set[Series]:
        """The series that have a sample from a scrape that began after a moment."""
        form = {"query": '{__name__=~"requests_total|seconds_bucket|depth"}[5s]', "nocache": "1"}
        found = httpx.post(f"{self.url}/api/v1/query", data=form, trust_env=False).json()["data"][
            "result"
        ]
        return {series_of(each["metric"]) for each in found if each["values"][-1][0] > moment}


def series_of(labels: dict[str, str]) -> Series:
    """A series by what tells it apart here: instance, name, and its code or its edge, however that
    is written: Prometheus 3 writes 0.10 as 0.1.
    """
    code_or_edge = labels.get("code") or edge_of(labels.get("le", ""))
    return labels["instance"], labels["__name__"], code_or_edge


def edge_of(text: str) -> str:
    """One text for all ways to write an edge."""
    return text and f"{float(text):g}"
