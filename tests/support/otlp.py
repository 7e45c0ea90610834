"""Exports of OpenTelemetry by hand: cumulative counters of one resource, as JSON
(https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

__all__ = ["export"]

_CUMULATIVE = 2
"""The number of that temporality."""


def export(
    url: str, at_ms: int, resource: Mapping[str, str], name: str, codes: Mapping[str, int]
) -> None:
    """Send what a counter shows for each of these codes at one time to a Prometheus."""
    points = [
        {
            "attributes": _attributes({"code": code}),
            "timeUnixNano": str(at_ms * 1_000_000),
            "asInt": str(count),
        }
        for code, count in codes.items()
    ]
    counter = {
        "aggregationTemporality": _CUMULATIVE,
        "isMonotonic": True,
        "dataPoints": points,
    }
    body = {
        "resourceMetrics": [
            {
                "resource": {"attributes": _attributes(resource)},
                "scopeMetrics": [{"metrics": [{"name": name, "sum": counter}]}],
            }
        ]
    }
    response = httpx.post(f"{url}/api/v1/otlp/v1/metrics", json=body, trust_env=False)
    assert response.status_code == 200, response.text


def _attributes(named: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in named.items()]
