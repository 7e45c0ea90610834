"""Whole rollouts, in virtual time, that see nothing but what a Prometheus has scraped."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
from tests.support.fake_prometheus import FakePrometheus
from tests.support.rules import rule

from progressive import Canary, Limit, NoWorse, Outcome, Release, Version, percent, percents
from progressive.adapters.flow import feed
from progressive.metrics.prometheus import (
    ERRORS,
    LATENCY,
    Buckets,
    Counter,
    Prometheus,
    Ratio,
    Regex,
)
from progressive.model.measurement import Look, Metric, Window
from progressive.model.traffic import Track
from progressive.model.units import minutes, ms
from progressive.testing import MemoryRouter, play

RELEASE = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))
ZERO = 1_767_225_600
"""The first moment of virtual time, in seconds."""
REQUESTS = Counter("requests_total", version="version")
CANARY = Canary(
    weights=percents(5, 50, 100),
    bake=minutes(5),
    checks=[
        NoWorse(ERRORS),
        Limit(ERRORS, at_most=percent(1)),
        Limit(LATENCY, quantile=0.99, at_most=ms(500), min_sample=1500),
    ],
)


@attrs.frozen
class Scraped:
    """The provider with a server in memory behind it."""

    server: FakePrometheus
    provider: Prometheus = Prometheus(
        "http://127.0.0.1:9090",
        metrics={
            ERRORS: Ratio(events=REQUESTS.where(code=Regex("5..")), total=REQUESTS),
            LATENCY: Buckets("seconds_bucket", version="version"),
        },
    )

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return self.provider.metrics

    def measure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> Look:
        return feed(self.provider._measure(release, metric, tracks, window, since), self.server)


def rolled_out(
    candidate: Callable[[int], tuple[int, int, str] | None],
) -> tuple[Outcome, MemoryRouter]:
    """Two versions that serve ten requests a second for an hour and a half, scraped every 15 s.

    ``candidate``: its requests and errors until a second, and its second bucket edge; None if it
    can't be scraped.
    """
    server = FakePrometheus()
    for second in range(-600, 5400, 15):
        for version, shown in (("v1", (10 * (second + 600), 0, "0.5")), ("v2", candidate(second))):
            at, labels = (
                (ZERO + second) * 1000 + (700 if version == "v2" else 0),
                {"job": "shop", "instance": version},
            )
            server.add(at, int(shown is not None), name="up", **labels)
            if shown is None:
                continue
            requests, failed, edge = shown
            server.add(at, requests - failed, version=version, code="200", **labels)
            if failed:
                server.add(at, failed, version=version, code="500", **labels)
            for le in ("0.1", edge, "1", "+Inf"):
                server.add(at, requests, name="seconds_bucket", version=version, le=le, **labels)
    router = MemoryRouter()
    return play(CANARY, RELEASE, metrics=[Scraped(server)], router=router), router


def test_a_good_version_is_promoted() -> None:
    outcome, _ = rolled_out(lambda second: (10 * (second + 600), 0, "0.5"))

    assert outcome.exit_code == 0


@rule("R17")
def test_a_version_whose_first_errors_come_under_way_is_taken_back() -> None:
    outcome, router = rolled_out(lambda second: (10 * (second + 600), max(second - 60, 0), "0.5"))

    assert (outcome.exit_code, router.highest) == (1, percent(5))
    assert "error-rate" in str(outcome)


@rule("R13", "R14")
def test_a_version_that_dies_is_never_promoted() -> None:
    outcome, router = rolled_out(
        lambda second: (10 * (second + 600), 0, "0.5") if second < 400 else None
    )

    assert (outcome.exit_code, router.highest) == (1, percent(50))
    assert "the target is down" in str(outcome) or "no sample of" in str(outcome)


def test_buckets_that_change_under_way_begin_the_evidence_anew_and_stop_nothing() -> None:
    outcome, _ = rolled_out(
        lambda second: (
            (10 * (second + 600), 0, "0.5") if second < 400 else (10 * (second - 390), 0, "0.4")
        )
    )

    assert outcome.exit_code == 0
