"""The page and the dashboard, against the real Prometheus and the real VictoriaMetrics: they read
every value of the page, and answer every expression of a panel.
"""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.observers.test_dashboard import expressions
from tests.observers.test_metrics_page import read
from tests.support.envoy_process import wait_until
from tests.support.metrics_servers import PROMETHEUS, SERVERS, ServerProcess
from tests.support.observed import HISTORIES

from progressive.observers.metrics_page import MetricsPage

pytestmark = [pytest.mark.real, pytest.mark.external]


@pytest.fixture
def served() -> Iterator[tuple[str, MetricsPage]]:
    """A page at an address."""
    page = MetricsPage(None)
    for history in HISTORIES.values():
        history().tell(page)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = page.text().encode()
            self.send_response(200)
            self.send_header("content-type", MetricsPage.CONTENT_TYPE)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}", page
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("version", SERVERS)
def test_every_value_is_read_and_every_panel_answers(
    version: str, served: tuple[str, MetricsPage], tmp_path: Path
) -> None:
    address, page = served
    scrape = {"job_name": "rollouts", "static_configs": [{"targets": [address]}]}
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]}
    with ServerProcess(SERVERS[version], tmp_path, config=config) as server:

        def asked(query: str) -> list[dict[str, Any]]:
            answer = httpx.get(
                f"{server.url}/api/v1/query", params={"query": query}, trust_env=False
            ).json()
            assert answer["status"] == "success", answer
            found: list[dict[str, Any]] = answer["data"]["result"]
            return found

        def stored() -> dict[Any, float]:
            return {
                (each["metric"].pop("__name__"), labels_of(each["metric"])): float(each["value"][1])
                for each in asked('{__name__=~"progressive_.*"}')
            }

        def labels_of(metric: dict[str, str]) -> Any:
            # Some write the bounds of buckets as they read them, some as floats.
            return frozenset(
                (name, str(float(value)) if name == "le" else value)
                for name, value in metric.items()
                if name not in ("instance", "job")
            )

        wanted = {
            (name, labels_of(dict(labels))): v for (name, labels), v in read(page.text()).items()
        }
        wait_until("the page was scraped", lambda: stored() == wanted)
        for expression in expressions():
            query = (
                expression.replace("$__rate_interval", "10s")
                .replace("$__range", "10s")
                .replace("$service", "shop")
            )
            # VictoriaMetrics leaves out what is 0 of 0: nothing rises here.
            empty = SERVERS[version].family != PROMETHEUS and " / rate(" in query
            wait_until(query, lambda query=query, empty=empty: asked(query) != [] or empty)  # type: ignore[misc]
