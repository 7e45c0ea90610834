"""A small mesh: obeys the VirtualService that stands in the API server, and counts as Istio's
proxies count.

There is no Istio here. What stands in for its data plane reads the weights of the stored object,
splits a steady stream of requests by them, and serves Istio's standard metrics for a real
Prometheus to scrape.
"""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

EDGES = (5, 10, 25, 50, 100, 250, 500, 1000)
"""Istio's buckets, in milliseconds, as far as they matter here."""

PERIOD = 0.05


class Behaviour:
    """What one version does with a request: the share that fails, milliseconds, and orders per
    request. May be changed at any time.
    """

    def __init__(self, errors: float = 0.0, slow: float = 0.0, orders: float = 0.5) -> None:
        self.errors, self.slow, self.orders = errors, slow, orders


class Mesh:
    """Splits ``rps`` requests a second between the versions, by the weights that ``weights()``
    gives.
    """

    def __init__(
        self,
        weights: Callable[[], dict[str, int]],
        behaviours: dict[str, Behaviour],
        *,
        rps: float = 2_000.0,
    ) -> None:
        self._weights, self.behaviours, self.rps = weights, behaviours, rps
        self.counts: dict[tuple[str, str], int] = {
            (version, code): 0 for version in behaviours for code in ("200", "503")
        }
        self.orders: dict[str, float] = dict.fromkeys(behaviours, 0.0)
        self.buckets: dict[str, list[int]] = {
            version: [0] * (len(EDGES) + 1) for version in behaviours
        }
        self.first_on_candidate: float | None = None
        self.back_at_zero: float | None = None
        self._owed: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()
        self._done = threading.Event()
        mesh = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = mesh.text().encode()
                self.send_response(200)
                self.send_header("content-type", "text/plain; version=0.0.4")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._threads = [
            threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}),
            threading.Thread(target=self._run),
        ]

    @property
    def instance(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._server.shutdown()
        for thread in self._threads:
            thread.join()
        self._server.server_close()

    def _run(self) -> None:
        last = time.monotonic()
        while not self._done.wait(PERIOD):
            now = time.monotonic()
            self._serve(now - last, self._weights())
            last = now

    def _serve(self, seconds: float, weights: dict[str, int]) -> None:
        total = sum(weights.values())
        with self._lock:
            for version, weight in weights.items():
                count = self._whole(version, "requests", self.rps * seconds * weight / total)
                behaviour = self.behaviours[version]
                failed = self._whole(version, "failed", count * behaviour.errors)
                slow = self._whole(version, "slow", count * behaviour.slow)
                self.counts[version, "503"] += failed
                self.counts[version, "200"] += count - failed
                self.orders[version] += (count - failed) * behaviour.orders
                for i, edge in enumerate((*EDGES, float("inf"))):
                    self.buckets[version][i] += (count - slow) * (edge >= 10) + slow * (
                        edge >= 1000
                    )
        self._note(weights)

    def _note(self, weights: dict[str, int]) -> None:
        if weights.get("v2") and self.first_on_candidate is None:
            self.first_on_candidate = time.monotonic()
        if (
            not weights.get("v2")
            and self.first_on_candidate is not None
            and self.back_at_zero is None
        ):
            self.back_at_zero = time.monotonic()

    def _whole(self, version: str, what: str, amount: float) -> int:
        """Whole requests; the rest is kept for the next time."""
        owed = self._owed.get((version, what), 0.0) + amount
        self._owed[version, what] = owed - int(owed)
        return int(owed)

    def text(self) -> str:
        """What Prometheus scrapes."""
        with self._lock:
            lines = ["# TYPE istio_requests_total counter"]
            for (version, code), count in self.counts.items():
                if (
                    count or code == "200"
                ):  # a proxy has no counter of a code before it was answered
                    lines.append(
                        f'istio_requests_total{{{self._labels(version)},response_code="{code}"}} '
                        f"{count}"
                    )
            lines.append("# TYPE istio_request_duration_milliseconds histogram")
            for version, buckets in self.buckets.items():
                for edge, count in zip((*map(str, EDGES), "+Inf"), buckets, strict=True):
                    labels = f'{self._labels(version)},le="{edge}"'
                    lines.append(f"istio_request_duration_milliseconds_bucket{{{labels}}} {count}")
            lines.append("# TYPE orders_total counter")
            lines += [
                f'orders_total{{version="{version}"}} {int(count)}'
                for version, count in self.orders.items()
            ]
        return "\n".join(lines) + "\n"

    @staticmethod
    def _labels(version: str) -> str:
        return (
            f'reporter="destination",destination_workload_namespace="default",destination_service_name="reviews",'
            f'destination_version="{version}"'
        )
