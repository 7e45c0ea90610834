"""The whole story on real parts: Istio's object in a real Kubernetes API server, a real Prometheus,
in real time.

1 → 10 → 50 → 100 % for a good version. Back to stable for one that fails, one that is slow, and one
that sells nothing; each says how long it took from the breach to 0 % read back. What obeys the
object is a small stand-in for Istio's proxies (`mesh`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from tests.support.envoy_process import wait_until
from tests.support.kube_process import ADMIN, KubeProcess
from tests.support.mesh import Behaviour, Mesh
from tests.support.metrics_servers import SERVERS
from tests.support.prometheus_process import MetricsServer
from tests.support.rules import rule

from progressive import (
    Canary,
    ExitCode,
    Limit,
    Metric,
    Outcome,
    Ports,
    Release,
    Version,
    ms,
    percent,
    percents,
    run,
    seconds,
    start,
)
from progressive.metrics.prometheus import (
    Counter,
    Prometheus,
    Rate,
    errors,
    istio,
    latency,
)
from progressive.routers.istio import Http, Istio, Kubernetes
from progressive.stores.sqlite import SqliteStore

pytestmark = [pytest.mark.real, pytest.mark.external, pytest.mark.usefixtures("kube")]

SCRAPE, LAG = seconds(0.5), seconds(1.5)
ERRORS, LATENCY = errors(LAG), latency(LAG)
ORDERS = Metric("orders", kind="value", unit="orders/s", bad="down", lag=LAG)
ROOT = "/apis/networking.istio.io/v1/namespaces/default/virtualservices"
RELEASE = Release(
    service="reviews", stable=Version("1.0", backend="v1"), candidate=Version("2.0", backend="v2")
)

CANARY = Canary(
    weights=percents(1, 10, 50, 100),
    bake=seconds(3),
    interval=seconds(1),
    warmup=seconds(1),
    watch_every=seconds(10),
    checks=[
        Limit(ERRORS, at_most=percent(2), min_sample=60),
        Limit(LATENCY, quantile=0.99, at_most=ms(250), min_sample=100),
    ],
)
SELLING = attrs.evolve(
    CANARY, checks=[*CANARY.checks, Limit(ORDERS, at_least=50.0)], weights=percents(10, 50, 100)
)


@attrs.define
class Story:
    """One release, and how it went."""

    kube: KubeProcess
    mesh: Mesh
    server: MetricsServer
    folder: Path
    weights: list[float] = attrs.field(factory=list)

    def ports(self) -> Ports:
        api = Kubernetes(Http(self.kube.url, ca=str(self.kube.ca), credentials=f"Bearer {ADMIN}"))
        declared = {
            **istio("default", lag=LAG),
            ORDERS: Rate(Counter("orders_total", version={"version": "{backend}"})),
        }
        return Ports(
            router=Istio(api=api, virtual_service="reviews", host="reviews"),
            metrics=[Prometheus(self.server.url, metrics=declared, scrape=SCRAPE, lag=LAG)],
            store=SqliteStore(self.folder / "rollouts.db"),
            observers=[self._told],
        )

    def _told(self, rollout: Any, notes: Any) -> None:
        for note in notes:
            if note.kind == "verified":
                self.weights.append(note.traffic.candidate.number)

    def play(self, strategy: Canary) -> Outcome:
        bound = self.ports()
        return run(
            start(strategy, RELEASE, id="reviews-v2", ports=bound), bound, budget=seconds(240)
        )

    @property
    def stored(self) -> list[int]:
        found = self.kube.admin.get(f"{ROOT}/reviews").json()["spec"]["http"][0]["route"]
        return [each.get("weight", 100) for each in found]

    def took(self) -> float:
        """Seconds from the first request on a version that is bad to the last."""
        wait_until("the mesh has heard of it", lambda: self.mesh.back_at_zero is not None)
        assert self.mesh.first_on_candidate is not None and self.mesh.back_at_zero is not None
        return self.mesh.back_at_zero - self.mesh.first_on_candidate


@pytest.fixture
def story(kube: KubeProcess, tmp_path: Path) -> Iterator[Story]:
    """v1 has everything, and Prometheus has seen some of it."""
    route = [
        {"destination": {"host": "reviews", "subset": "v1"}, "weight": 100},
        {"destination": {"host": "reviews", "subset": "v2"}, "weight": 0},
    ]
    kube.post(
        ROOT,
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": "reviews"},
            "spec": {"hosts": ["reviews"], "http": [{"route": route}]},
        },
    )

    def weights() -> dict[str, int]:
        found = kube.admin.get(f"{ROOT}/reviews").json()["spec"]["http"][0]["route"]
        return {each["destination"]["subset"]: each["weight"] for each in found}

    with (
        Mesh(weights, {"v1": Behaviour(), "v2": Behaviour()}) as mesh,
        MetricsServer(SERVERS["3.16"], [mesh], tmp_path) as server,
    ):  # type: ignore[list-item]
        time.sleep(3)  # some history: a service that is released anew has one
        yield Story(kube, mesh, server, tmp_path)
    kube.admin.delete(f"{ROOT}/reviews").raise_for_status()


def test_a_good_version_goes_from_1_to_10_to_50_to_100_percent(story: Story) -> None:
    outcome = story.play(CANARY)

    assert (outcome.exit_code, story.stored) == (ExitCode.PROMOTED, [0, 100])
    assert [weight for weight in dict.fromkeys(story.weights) if weight] == [1, 10, 50, 100]


@rule("R17")
@pytest.mark.parametrize(
    ("strategy", "behaviour", "reason"),
    [
        (CANARY, Behaviour(errors=0.2), "checks/error-rate: "),
        (CANARY, Behaviour(slow=0.05), r"checks/latency-p99: \S+ % above 250 ms is more than 1 %"),
        (SELLING, Behaviour(orders=0.1), "checks/orders: "),
    ],
    ids=["error rate", "p99", "business metric"],
)
def test_a_breach_takes_everything_back(
    story: Story,
    strategy: Canary,
    behaviour: Behaviour,
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    story.mesh.behaviours["v2"] = behaviour

    outcome = story.play(strategy)

    with capsys.disabled():
        print(
            f"\n{outcome.rollout.progress.reason}: {story.took():.1f} s from the first "
            "request on the bad version to the last"
        )
    assert (outcome.exit_code, story.stored) == (ExitCode.ROLLED_BACK, [100, 0])
    assert re.match(reason, outcome.rollout.progress.reason)
    assert max(story.weights) < 50
