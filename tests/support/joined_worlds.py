"""One world of counters, stored in two ways: with the version on each series, and with it in an
info metric alone.
"""

from __future__ import annotations

from collections import Counter as Values
from typing import Any

import attrs
from tests.support.fake_prometheus import FakePrometheus
from tests.support.native_histograms import exponential

from progressive.metrics.prometheus import (
    ERRORS,
    LATENCY,
    REQUEST_RATE,
    Buckets,
    Counter,
    Joined,
    Rate,
    Ratio,
    Regex,
)
from progressive.model.measurement import Metric

JOINED = Joined("service_version")
JOB = {"job": "shop"}


def brothers(version: Any) -> dict[str, tuple[Metric, Any]]:
    """Everything that takes ``version=``, by what it is."""
    requests = Counter("requests_total", version=version, labels=JOB)
    return {
        "ratio": (ERRORS, Ratio(events=requests.where(code=Regex("5..")), total=requests)),
        "rate": (REQUEST_RATE, Rate(requests)),
        "buckets": (LATENCY, Buckets("seconds_bucket", version=version, labels=JOB)),
        "native": (LATENCY, Buckets("spread", version=version, labels=JOB)),
        "native by the name of buckets": (
            LATENCY,
            Buckets("spread_bucket", version=version, labels=JOB),
        ),
    }


@attrs.define
class TwoWays:
    """``labelled`` has the version on the series; ``joined`` has it in ``target_info``."""

    labelled: FakePrometheus = attrs.field(factory=FakePrometheus)
    joined: FakePrometheus = attrs.field(factory=FakePrometheus)

    def up(self, moment: int, instance: str) -> None:
        for server in (self.labelled, self.joined):
            server.add(moment, 1, name="up", instance=instance, **JOB)

    def scrape(
        self,
        moment: int,
        instance: str,
        version: str,
        codes: dict[str, int],
        *,
        info: int | None = 0,
    ) -> None:
        """One scrape or export of a target: requests by code, each in every form. ``info``: how
        much later it says its version, in milliseconds; None for not at all.
        """
        target = {"instance": instance, **JOB}
        told: list[tuple[dict[str, str], Any]] = []
        for code, count in codes.items():
            told.append(({"name": "requests_total", "code": code}, count))
            told += [
                ({"name": "seconds_bucket", "code": code, "le": le}, count)
                for le in ("0.1", "0.5", "+Inf")
            ]
            # Another scale in each version: read together, the finer edges would be lost.
            values = Values({0.3: count, 0.07: count // 2})
            shown = exponential(values, schema=3 if version == "v1" else 1)
            told.append(({"name": "spread", "code": code}, shown))
        for labels, shown in told:
            self.joined.add(moment, shown, **labels, **target)
            self.labelled.add(moment, shown, **labels, **target, service_version=version)
        if info is not None:
            self.joined.add(moment + info, 1, name="target_info", service_version=version, **target)

    def sort(self) -> None:
        """The order of time, whatever the order in which it was told."""
        for server in (self.labelled, self.joined):
            server.series = {
                labels: sorted(samples, key=lambda sample: sample[0])
                for labels, samples in server.series.items()
            }
