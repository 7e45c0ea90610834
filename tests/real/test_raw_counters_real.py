"""What the page "What a raw counter's samples mean" says of three versions each of Prometheus and
VictoriaMetrics, and of us, on these servers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import attrs
import httpx
import pytest
from tests.cases.counters import CASES, PROMETHEUS, WINDOW, Asked, Case
from tests.support.counter_cases import (
    BOTH,
    RELEASE,
    Stored,
    beside,
    expected_of,
    found_as,
    metrics_of,
    own_query,
    provider_of,
    rolled_out,
    stored,
    window_of,
)
from tests.support.envoy_process import wait_until
from tests.support.metrics_servers import SERVERS, Server, ServerProcess
from tests.support.remote_write import exponential, number, write
from tests.support.rules import rule

from progressive import percent
from progressive.model.measurement import NoAnswer
from progressive.model.traffic import Track

pytestmark = [pytest.mark.real, pytest.mark.external]

KEPT_SO = [case for case in CASES if case.for_all]

FLAGS = ("--web.enable-remote-write-receiver",)
LATE = {"storage": {"tsdb": {"out_of_order_time_window": "1h"}}}
"""What lets a Prometheus take samples that are older than others of their series."""


@attrs.frozen
class Written:
    """A server that has the samples of all rows, whose windows begin at this second since 1970."""

    server: Server
    url: str
    zero: int

    def asked(self, query: str) -> float | None:
        """What the server itself says at the end of the window; None for nothing."""
        form = {"query": query, "time": str(self.zero + WINDOW), "nocache": "1"}
        answer = httpx.post(f"{self.url}/api/v1/query", data=form, trust_env=False).json()
        found = answer["data"]["result"]
        return float(found[0]["value"][1]) if found else None

    def shown(self) -> float:
        """How many samples it shows, without those of rows that can't be counted."""
        native = "|".join(case.name for case in CASES if case.asked is Asked.NATIVE)
        which = f'{{job!~"({native})(-v2)?"}}'
        return self.asked(f"sum(count_over_time({which}[1h]))") or 0

    def write(self, case: Case) -> int:
        """Write a row; how many samples that were, if they can be counted there."""
        native = case.asked is Asked.NATIVE
        ways: list[list[Stored]] = [
            [*stored(case, self.zero, case.series)],
            [*stored(case, self.zero, case.later), *beside(case, self.zero)],
        ]
        for way, sample in zip(ways, (one_bucket if native else number, number), strict=True):
            write(
                self.url,
                [
                    (labels, b"".join(sample(at, value) for at, value in samples))
                    for labels, samples in way
                ],
            )
        return 0 if native else sum(len(samples) for way in ways for _, samples in way)


def one_bucket(at_ms: int, value: float) -> bytes:
    """A native histogram with so much in one bucket, that of (0.5, 1]."""
    return exponential(at_ms, [0.75] * int(value), schema=0)


def fits(case: Case, server: Server) -> bool:
    """Can this server store such samples?"""
    return case.only in ("", server.family)


@pytest.fixture(scope="module", params=[*SERVERS])
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Written]:
    server = SERVERS[str(request.param)]
    flags: tuple[str, ...] = FLAGS if server.family == PROMETHEUS else ()
    if server.version.startswith("2."):
        flags += ("--enable-feature=native-histograms",)  # 3.16 needs no word for it
    config = LATE if server.family == PROMETHEUS else None
    folder = tmp_path_factory.mktemp("server")
    with ServerProcess(server, folder, *flags, config=config) as process:
        made = Written(server, process.url, int(time.time()) // 15 * 15 - 600)
        # Native ones first, which can't be counted: what was written before is shown before.
        rows = sorted(CASES, key=lambda case: case.asked is not Asked.NATIVE)
        count = sum(made.write(case) for case in rows if fits(case, server))
        if server.family != PROMETHEUS:  # that shows at once what it has taken
            wait_until("all that was written is shown", lambda: made.shown() >= count)
        yield made


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_row_is_what_the_server_says_and_what_we_say(written: Written, case: Case) -> None:
    """What we say is what came, or no answer; in both colours."""
    server = written.server
    if not fits(case, server):
        pytest.skip(f"{server} does not store such samples")
    usual = case.prometheus if server.family == PROMETHEUS else case.victoria_metrics
    own, window = written.asked(own_query(case)), window_of(written.zero)

    assert (None if own is None else round(own, 1)) in (
        usual if isinstance(usual, tuple) else (usual,)
    )

    with provider_of(case, written.url) as provider:
        for metric in metrics_of(case):
            look = provider.measure(RELEASE, metric, BOTH, window, None)
            expected = expected_of(case, metric, server.version)
            found = found_as(case, metric, look.of(Track.STABLE), expected)

            assert found == pytest.approx(expected), (metric.name, look.query)
            assert isinstance(look.of(Track.CANDIDATE), NoAnswer) is case.for_all
            assert asyncio.run(provider.ameasure(RELEASE, metric, BOTH, window, None)) == look


@rule("R45")
@pytest.mark.parametrize("case", KEPT_SO, ids=lambda case: case.name)
def test_a_stable_whose_counters_are_kept_so_starts_no_rollout(
    written: Written, case: Case
) -> None:
    with provider_of(case, written.url) as provider:
        outcome, router = rolled_out(provider, written.zero)

    assert router.history == []
    assert str(case.here) in str(outcome)


@rule("R45")
def test_a_stable_whose_counters_rise_starts_one(written: Written) -> None:
    [rise] = [case for case in CASES if case.name == "rise"]
    with provider_of(rise, written.url) as provider:
        _, router = rolled_out(provider, written.zero)

    assert router.highest > percent(0)
