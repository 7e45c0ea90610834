"""Kubernetes Deployments as a fleet, on a real API server. There is no kubelet: what is ready is
what the test writes into the status.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count
from typing import Any

import attrs
import pytest
from tests.support.envoy_process import wait_until
from tests.support.kube_process import ADMIN, DEPLOYER, READER, KubeProcess
from tests.support.rules import rule

from progressive import Canary, Phase, Release, Track, Version, minutes, percent, percents
from progressive.errors import Failure, FleetError, StrategyError
from progressive.fleets.kubernetes import Deployments, Http, Kubernetes
from progressive.model import Capacity
from progressive.rollout.state import Rollout
from progressive.testing import MemoryRouter, play

pytestmark = [pytest.mark.real, pytest.mark.external]

ROOT = "/apis/apps/v1/namespaces/default/deployments"
_services = (f"shop{i}" for i in count())


@attrs.frozen
class Shop:
    """Two Deployments of one test."""

    kube: KubeProcess
    service: str

    @property
    def release(self) -> Release:
        return Release(
            service=self.service,
            stable=Version("1.0", backend="v1"),
            candidate=Version("2.0", backend="v2"),
        )

    def fleet(self, token: str = ADMIN, **more: Any) -> Deployments:
        return Deployments(
            api=Kubernetes(
                Http(self.kube.url, ca=str(self.kube.ca), credentials=f"Bearer {token}")
            ),
            **more,
        )

    def deploy(self, backend: str, image: str, replicas: int, available: int) -> None:
        """A Deployment whose controller says that so many pods are available."""
        labels = {"app": self.service, "version": backend}
        template = {
            "metadata": {"labels": labels},
            "spec": {
                "containers": [{"name": "side", "image": "mesh"}, {"name": "app", "image": image}]
            },
        }
        metadata = {"name": f"{self.service}-{backend}"}
        spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
        self.kube.post(
            ROOT,
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec},
        )
        self.ready(backend, available)

    def ready(
        self,
        backend: str,
        available: int,
        *,
        updated: int | None = None,
        seen: bool = True,
        replicas: int | None = None,
    ) -> None:
        """What the controller would write."""
        path = f"{ROOT}/{self.service}-{backend}"
        generation = self.kube.admin.get(path).json()["metadata"]["generation"]
        status = {
            "observedGeneration": generation - (not seen),
            "replicas": available if replicas is None else replicas,
            "updatedReplicas": available if updated is None else updated,
            "readyReplicas": available,
            "availableReplicas": available,
        }
        merge = {"content-type": "application/merge-patch+json"}
        self.kube.admin.patch(
            f"{path}/status", json={"status": status}, headers=merge
        ).raise_for_status()


@pytest.fixture
def shop(kube: KubeProcess) -> Iterator[Shop]:
    """v1 with ten pods, v2 with two, all of them available."""
    found = Shop(kube, next(_services))
    found.deploy("v1", "registry/shop:1.0", 10, 10)
    found.deploy("v2", "registry/shop:2.0", 2, 2)
    yield found
    for backend in ("v1", "v2"):
        kube.admin.delete(f"{ROOT}/{found.service}-{backend}").raise_for_status()


def test_what_is_available_is_counted_against_what_it_takes_to_carry_everything(shop: Shop) -> None:
    found = shop.fleet().survey(shop.release)

    assert found == {
        Track.STABLE: Capacity(percent(100), why="10 of 10 pods are available"),
        Track.CANDIDATE: Capacity(percent(20), why="2 of 10 pods are available"),
    }


def test_what_it_takes_may_be_said(shop: Shop) -> None:
    assert shop.fleet(full=4).survey(shop.release)[Track.CANDIDATE].able == percent(50)


@rule("R6")
def test_pods_of_an_older_template_and_pods_that_are_not_ready_do_not_count(shop: Shop) -> None:
    shop.ready("v2", 2, updated=1)
    older = shop.fleet().survey(shop.release)[Track.CANDIDATE].able
    shop.ready("v2", 0, updated=2, replicas=2)
    unready = shop.fleet().survey(shop.release)[Track.CANDIDATE].able

    assert (older, unready) == (percent(10), percent(0))


def test_a_stable_that_is_restarted_is_as_able_as_its_available_pods(shop: Shop) -> None:
    shop.ready("v1", 10, updated=2)

    assert shop.fleet().survey(shop.release)[Track.STABLE].able == percent(100)


def test_a_candidate_that_was_scaled_far_up_does_not_make_stable_look_small(shop: Shop) -> None:
    merge = {"content-type": "application/merge-patch+json"}
    shop.kube.admin.patch(
        f"{ROOT}/{shop.service}-v2/scale", json={"spec": {"replicas": 30}}, headers=merge
    ).raise_for_status()
    shop.ready("v2", 15)

    found = shop.fleet().survey(shop.release)

    assert (found[Track.STABLE].able, found[Track.CANDIDATE].able) == (percent(100), percent(50))


def test_a_status_of_another_generation_counts_for_stable_alone(shop: Shop) -> None:
    shop.ready("v1", 10, seen=False)
    shop.ready("v2", 2, seen=False)

    found = shop.fleet().survey(shop.release)

    assert (found[Track.STABLE].able, found[Track.CANDIDATE].able) == (percent(100), percent(0))
    assert "has not seen generation 1 yet" in found[Track.CANDIDATE].why


def test_a_deployment_that_is_not_there_can_carry_nothing(shop: Shop) -> None:
    release = Release(
        service=shop.service,
        stable=Version("1.0", backend="v1"),
        candidate=Version("3.0", backend="v3"),
    )

    found = shop.fleet().survey(release)[Track.CANDIDATE]

    assert found == Capacity(
        percent(0), why=f"there is no Deployment '{shop.service}-v3' in default"
    )


@rule("R9")
@pytest.mark.parametrize(
    ("image", "identity"),
    [
        ("registry:5000/shop:3.1", "3.1"),
        ("registry:5000/shop", "latest"),
        ("shop:3.1@sha256:abcd", "sha256:abcd"),
    ],
)
def test_the_identity_is_the_digest_or_the_tag_of_the_image(
    shop: Shop, image: str, identity: str
) -> None:
    merge = {"content-type": "application/strategic-merge-patch+json"}
    changed = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}}
    shop.kube.admin.patch(
        f"{ROOT}/{shop.service}-v2", json=changed, headers=merge
    ).raise_for_status()

    assert shop.fleet(container="app").survey(shop.release)[Track.CANDIDATE].identity == identity


def test_what_is_wrong_is_said_in_the_systems_words(shop: Shop) -> None:
    with pytest.raises(
        FleetError, match='User "reader" cannot get resource "deployments"'
    ) as caught:
        shop.fleet(READER).survey(shop.release)
    assert caught.value.failure is Failure.PERMANENT
    with pytest.raises(FleetError, match="has no container 'web'; it has side, app"):
        shop.fleet(container="web").survey(shop.release)


@pytest.mark.parametrize("name", ["shop", "{backend", "{version}", "{}"])
def test_a_name_without_the_version_in_it_is_refused(name: str) -> None:
    with pytest.raises(
        StrategyError, match=r"Deployments.name: .* such as '\{service\}-\{backend\}'"
    ):
        Deployments(api="http://127.0.0.1:8001", name=name)  # type: ignore[arg-type]


def test_an_old_version_is_scaled_to_nothing_and_asked_about_until_it_is(
    kube: KubeProcess, shop: Shop
) -> None:
    rules = [
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]},
        {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["patch"]},
    ]
    if (
        kube.admin.get(
            "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles/for-fleets"
        ).status_code
        == 404
    ):
        kube.allow("deployers", namespace="default", rules=rules, name="for-fleets")
    path = f"{ROOT}/{shop.service}-v1"
    allowed = {"authorization": f"Bearer {DEPLOYER}"}
    wait_until(
        "the role is in force", lambda: kube.admin.get(path, headers=allowed).status_code == 200
    )
    fleet, old = shop.fleet(DEPLOYER), Version("1.0", backend="v1")

    with pytest.raises(FleetError, match=r"10 pods of shop\d+-v1 are still there; ask again"):
        fleet.retire(shop.release, old)
    shop.ready("v1", 0)
    fleet.retire(shop.release, old)
    fleet.retire(shop.release, Version("0.9", backend="v0"))

    assert kube.admin.get(path).json()["spec"]["replicas"] == 0


def test_the_asynchronous_colour_does_the_same(shop: Shop) -> None:
    async def both() -> Any:
        fleet = shop.fleet()
        with pytest.raises(FleetError, match="still there"):
            await fleet.aretire(shop.release, Version("1.0", backend="v1"))
        return await fleet.asurvey(shop.release)

    assert asyncio.run(both())[Track.CANDIDATE].able == percent(100)


@rule("R6")
def test_a_whole_canary_waits_for_pods_and_removes_the_old_ones(shop: Shop) -> None:
    """The candidate is scaled up when the rollout asks for it, as a person or an autoscaler
    would.
    """
    scaled: list[float] = []

    def scale(rollout: Rollout) -> None:
        waiting = rollout.progress.waiting
        if waiting is not None and "to be ready for" in waiting.why:
            scaled.append(rollout.routing.last_verified.candidate.fraction * 100)
            shop.ready("v2", {0: 1, 1: 5, 2: 10}[len(scaled) - 1])
        if rollout.progress.retirement.value == "asked":
            shop.ready("v1", 0)

    shop.ready("v2", 0)
    router = MemoryRouter()
    canary = Canary(
        weights=percents(10, 50, 100),
        bake=minutes(5),
        retire_after=minutes(30),
        unguarded="about pods only",
    )

    outcome = play(
        canary,
        shop.release,
        router=router,
        fleet=shop.fleet(full=10, container="app"),
        before_tick=scale,
    )

    assert (outcome.rollout.phase, outcome.rollout.progress.retirement.value) == (
        Phase.PROMOTED,
        "done",
    )
    assert scaled == [0, 10, 50]
    assert shop.kube.admin.get(f"{ROOT}/{shop.service}-v1").json()["spec"]["replicas"] == 0
