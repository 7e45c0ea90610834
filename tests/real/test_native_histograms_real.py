"""Native histograms of a real Prometheus 3.16, written to it with exact times, and scraped; and
what a real VictoriaMetrics 1.151 makes of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support import remote_write
from tests.support.envoy_process import wait_until
from tests.support.metrics_servers import SERVERS, ServerProcess
from tests.support.prometheus_process import Shop

from progressive import NoWorse, Release, Track, Version, seconds
from progressive.analysis import Verdict
from progressive.metrics.prometheus import Buckets, Prometheus, latency
from progressive.model.measurement import Histogram, Look, NoAnswer, Window

pytestmark = [pytest.mark.real, pytest.mark.external]

RELEASE = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))
LATENCY = latency(seconds(1))
EDGES = (0.005, 0.1, 0.5, 10_000_000.0)
VALUES = [0.003 * 1.3 ** (k % 20) for k in range(40)]

Sample = Callable[[int, Sequence[float]], bytes]
"""A time and values as one sample."""


NEWEST, TAKES_WRITES = SERVERS["3.16"], "--web.enable-remote-write-receiver"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ServerProcess(NEWEST, tmp_path_factory.mktemp("prometheus"), TAKES_WRITES) as running:
        yield running.url


@pytest.fixture(scope="module")
def victoria_metrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ServerProcess(SERVERS["1.151"], tmp_path_factory.mktemp("victoria-metrics")) as running:
        yield running.url


def custom(at: int, values: Sequence[float]) -> bytes:
    return remote_write.custom(at, values, EDGES)


def of_schema(schema: int) -> Sample:
    return lambda at, values: remote_write.exponential(at, values, schema)


class Written:
    """Histograms of one application, a sample each second in the last minute."""

    def __init__(self, url: str, app: str) -> None:
        self.url, self.app = url, app
        self.start = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=60)

    def write(self, second: int, sample: Sample, values: Sequence[float], **labels: str) -> None:
        at = round((self.start + timedelta(seconds=second)).timestamp() * 1000)
        named = {"job": "shop", "instance": "a:80", "version": "v1", **labels, "app": self.app}
        remote_write.write(
            self.url,
            [
                ({**named, "__name__": "up"}, remote_write.number(at, 1)),
                ({**named, "__name__": "seconds"}, sample(at, values)),
            ],
        )

    def look(self, begin: int, end: int, name: str = "seconds_bucket") -> Look:
        window = Window(*(self.start + timedelta(seconds=second) for second in (begin, end)))
        buckets = Buckets(name, version="version", labels={"app": self.app})
        provider = Prometheus(
            self.url, metrics={LATENCY: buckets}, scrape=seconds(1), lag=seconds(1)
        )
        with provider as asked:
            return asked.measure(RELEASE, LATENCY, tuple(Track)[:2], window, None)


def below(found: Any, values: Sequence[float]) -> tuple[int, ...]:
    assert isinstance(found, Histogram), found
    return (*(sum(value <= edge for value in values) for edge in found.edges), len(values))


@pytest.mark.parametrize("name", ["seconds_bucket", "seconds"])
def test_custom_buckets_are_read_at_their_edges(server: str, name: str) -> None:
    written = Written(server, f"custom-{name}")
    for second in range(4):
        written.write(second, custom, VALUES * second)
        written.write(second, custom, [0.05] * second, version="v2", instance="b:80")
    look = written.look(1, 3, name)

    assert look.of(Track.STABLE) == Histogram(
        edges=EDGES[:3], cumulative=below(look.of(Track.STABLE), VALUES * 2)
    )
    assert look.of(Track.CANDIDATE) == Histogram(edges=EDGES[:3], cumulative=(0, 2, 2, 2))


@pytest.mark.parametrize("schema", range(-2, 9))
def test_exponential_buckets_are_read_at_their_edges(server: str, schema: int) -> None:
    written = Written(server, f"schema{schema}")
    for second in range(4):
        written.write(second, of_schema(schema), [*VALUES, 0.0] * second)
    found = written.look(1, 3).of(Track.STABLE)

    assert found.sample == 82
    # What lies on an edge is a matter of the last digit, and none of these does.
    assert found.cumulative == below(found, [*VALUES, 0.0] * 2)  # type: ignore[union-attr]


@pytest.mark.parametrize(("mine", "theirs"), [(8, 3), (3, 1), (5, 0), (2, -1)])
def test_edges_of_two_scales_are_the_same_numbers(server: str, mine: int, theirs: int) -> None:
    """So that the coarser ones are found among the finer ones."""
    written = Written(server, f"scales{mine}{theirs}")
    for second in range(4):
        written.write(second, of_schema(mine), VALUES * second)
        written.write(second, of_schema(theirs), VALUES * second, instance="b:80")
        written.write(second, of_schema(theirs), VALUES * second, version="v2", instance="c:80")
    look = written.look(1, 3)
    stable, candidate = look.of(Track.STABLE), look.of(Track.CANDIDATE)

    assert stable.cumulative == below(stable, VALUES * 4)  # type: ignore[union-attr]
    assert candidate.cumulative == below(candidate, VALUES * 2)  # type: ignore[union-attr]
    assert stable.edges == candidate.edges  # type: ignore[union-attr]
    doublings = math.log2(max(VALUES) / min(VALUES))
    assert len(stable.edges) >= min(2.0**theirs * doublings * 0.7, 40)  # type: ignore[union-attr]


def test_a_bucket_that_falls_restarts_all(server: str) -> None:
    written = Written(server, "restarts")
    after = [0.05] * 2 + [0.3] * 12  # as many as came in the first second
    for second, values in enumerate([[0.05] * 2, [0.05] * 10, [0.05] * 12, after]):
        written.write(second, custom, values)

    assert written.look(1, 3).of(Track.STABLE).sample == 2 + 14


def test_negative_values_are_refused_by_name(server: str) -> None:
    written = Written(server, "negative")
    for second in range(3):
        written.write(
            second,
            lambda at, values: remote_write.custom(at, values, (-2.0, -1.0, 1.0)),
            [-1.5] * second,
        )
    found = written.look(0, 2).of(Track.STABLE)

    assert isinstance(found, NoAnswer)
    assert "durations are never below 0" in found.why


def test_a_slow_candidate_with_another_scale_is_found(server: str) -> None:
    written, memory, judgement = Written(server, "slow"), None, None
    slow = [1.6 * value for value in VALUES]
    for second in range(12):
        written.write(second, of_schema(3), VALUES * second)
        written.write(second, of_schema(0), slow * second, version="v2", instance="b:80")
    for second in range(10):
        look = written.look(second, second + 1)
        judgement, memory = NoWorse(LATENCY).judge(look, memory, 0.001)

    assert judgement is not None
    assert judgement.verdict is Verdict.FAIL, judgement.why


# --------------------------------------------------------------------------------- VictoriaMetrics


@pytest.mark.parametrize("schema", [-1, 2, 3])
def test_what_is_written_to_victoriametrics_is_read_at_its_ranges(
    victoria_metrics: str, schema: int
) -> None:
    written = Written(victoria_metrics, f"ranges{schema}")
    for second in range(4):
        written.write(second, of_schema(schema), [*VALUES, 0.0] * second)
    wait_until("all is stored", lambda: bool(written.look(1, 3).of(Track.STABLE).sample))
    found = written.look(1, 3).of(Track.STABLE)

    assert found.cumulative == below(found, [*VALUES, 0.0] * 2)  # type: ignore[union-attr]


def test_custom_buckets_that_are_written_to_victoriametrics_are_named(
    victoria_metrics: str,
) -> None:
    """It keeps them as ranges that are none."""
    written = Written(victoria_metrics, "custom")
    for second in range(4):
        written.write(second, custom, VALUES * second)
    wait_until(
        "all is stored",
        lambda: "vmrange" in getattr(written.look(1, 3).of(Track.STABLE), "why", ""),
    )

    assert "does not keep custom buckets" in written.look(1, 3).of(Track.STABLE).why  # type: ignore[union-attr]


# ------------------------------------------------------------------------------------------ scraped


@pytest.mark.parametrize("also_classic", [False, True], ids=["converted", "converted and classic"])
def test_a_page_that_is_converted_counts_what_its_service_counted(
    tmp_path: Path, also_classic: bool
) -> None:
    with ExitStack() as stack:
        shops = [Shop("page", version) for version in ("v1", "v2")]
        for shop in shops:
            stack.callback(shop.kill)
        config = {
            "global": {"scrape_interval": "300ms", "scrape_timeout": "300ms"},
            "scrape_configs": [
                {
                    "job_name": "shop",
                    "convert_classic_histograms_to_nhcb": True,
                    "always_scrape_classic_histograms": also_classic,
                    "static_configs": [{"targets": [shop.instance for shop in shops]}],
                }
            ],
        }
        url = stack.enter_context(ServerProcess(NEWEST, tmp_path, config=config)).url
        start = settled(url, shops)
        for shop, slow in zip(shops, (20, 70), strict=True):
            shop.serve(80, took=0.05)
            shop.serve(slow, took=0.3)
            shop.serve(1, took=3.0)
        end = settled(url, shops)
        buckets = Buckets("seconds_bucket", version="version", labels={"app": "page"})
        provider = Prometheus(url, metrics={LATENCY: buckets}, scrape=seconds(1), lag=seconds(1))
        with provider as asked:
            look = asked.measure(RELEASE, LATENCY, tuple(Track)[:2], Window(start, end), None)

        for track, slow in ((Track.STABLE, 20), (Track.CANDIDATE, 70)):
            found = look.of(track)
            assert isinstance(found, Histogram), found
            assert found.edges == (0.1, 0.5)
            assert found.cumulative == (80, 80 + slow, 81 + slow)


def settled(url: str, shops: Sequence[Shop]) -> datetime:
    """A moment before which all that was served so far is stored, and nothing that comes later."""
    scrapes = [shop.scrapes for shop in shops]
    wait_until(
        "three scrapes more",
        lambda: all(shop.scrapes >= n + 3 for shop, n in zip(shops, scrapes, strict=True)),
    )
    moment = datetime.now(UTC)

    def stored() -> bool:
        form = {"query": "timestamp(up)", "time": f"{datetime.now(UTC).timestamp()}"}
        body = httpx.post(f"{url}/api/v1/query", data=form, trust_env=False).json()
        newest = [float(each["value"][1]) for each in body["data"]["result"]]
        return len(newest) == len(shops) and min(newest) > moment.timestamp()

    wait_until("a scrape after that is stored", stored)
    return moment
