"""Istio's router against a real Kubernetes API server with Istio's own definitions."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml
from tests.support.envoy_process import wait_until
from tests.support.kube_process import ADMIN, DEPLOYER, READER, KubeProcess
from tests.support.rules import rule

from progressive import (
    Canary,
    ExitCode,
    Limit,
    Metric,
    NoWorse,
    Outcome,
    Release,
    Version,
    minutes,
    percent,
    percents,
    rollback_now,
)
from progressive.errors import ConflictError, Failure, RouterError, StrategyError
from progressive.model.router_state import Marker
from progressive.model.traffic import Match, Traffic
from progressive.rollout.state import Rollout
from progressive.routers.istio import Http, Istio, Kubernetes
from progressive.testing import ScriptedMetrics, check_router, play, steady

pytestmark = [pytest.mark.real, pytest.mark.external]

RELEASE = Release(
    service="reviews", stable=Version("1.0", backend="v1"), candidate=Version("2.0", backend="v2")
)
ROOT = "/apis/networking.istio.io/v1/namespaces/default/virtualservices"
_names = (f"reviews-{i}" for i in count())


def api(kube: KubeProcess, token: str = ADMIN) -> Kubernetes:
    return Kubernetes(Http(kube.url, ca=str(kube.ca), credentials=lambda: f"Bearer {token}\n"))


@attrs.frozen
class Object:
    """One VirtualService of one test, as the administrator sees it."""

    kube: KubeProcess
    name: str

    @property
    def router(self) -> Istio:
        return Istio(api=api(self.kube), virtual_service=self.name, host="reviews")

    @property
    def now(self) -> dict[str, Any]:
        found: dict[str, Any] = self.kube.admin.get(f"{ROOT}/{self.name}").raise_for_status().json()
        return found

    @property
    def weights(self) -> list[int]:
        return [each["weight"] for each in self.now["spec"]["http"][-1]["route"]]

    def edit(self, **patch: Any) -> None:
        """A stranger's edit."""
        headers = {"content-type": "application/merge-patch+json"}
        self.kube.admin.patch(f"{ROOT}/{self.name}", json=patch, headers=headers).raise_for_status()

    def split(self, stable: int, candidate: int) -> dict[str, Any]:
        """The spec with these weights."""
        http = self.now["spec"]["http"]
        weighted = [
            {"destination": {"host": "reviews", "subset": f"v{i}"}, "weight": w}
            for i, w in ((1, stable), (2, candidate))
        ]
        return {"http": [*http[:-1], {**http[-1], "route": weighted}]}


@pytest.fixture
def reviews(kube: KubeProcess) -> Iterator[Object]:
    """A VirtualService with a foreign route before the split one."""
    found = Object(kube, next(_names))
    static = {
        "match": [{"uri": {"prefix": "/static"}}],
        "route": [{"destination": {"host": "cdn"}}],
        "timeout": "3s",
    }
    route = [
        {"destination": {"host": "reviews", "subset": subset}, "weight": weight}
        for subset, weight in (("v1", 100), ("v2", 0))
    ]
    kube.post(
        ROOT,
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": found.name},
            "spec": {
                "hosts": ["reviews"],
                "http": [static, {"name": "main", "route": route, "retries": {"attempts": 2}}],
            },
        },
    )
    yield found
    kube.admin.delete(f"{ROOT}/{found.name}").raise_for_status()


# --------------------------------------------------------------------------------------- one object


def test_a_weight_is_stored_and_everything_else_stays(reviews: Object) -> None:
    before = reviews.now["spec"]

    served = reviews.router.apply(
        RELEASE, Traffic(candidate=percent(5)), marker=Marker(generation=1), expect=None
    )

    assert (served.traffic.candidate, served.marker, served.converged) == (
        percent(5),
        Marker(generation=1),
        True,
    )
    assert reviews.now["spec"] == {**before, **reviews.split(95, 5)}


@pytest.mark.laws
@rule("R3", "R12", "R22")
def test_the_router_keeps_the_laws_of_all_routers(reviews: Object) -> None:
    before = reviews.now["spec"]
    three = attrs.evolve(RELEASE, baseline=Version("1.0-fresh", backend="v1-fresh"))

    check_router(
        reviews.router,
        three,
        edit=lambda traffic: reviews.edit(
            spec=reviews.split(int(traffic.stable.number), int(traffic.candidate.number))
        ),
    )

    assert reviews.now["spec"] == before


@rule("R11", "R12")
def test_a_way_back_is_whole_and_passes_istios_schema(reviews: Object) -> None:
    """With a split within stable, a list of mirrors, and a route that is gone."""
    route = [
        {"destination": {"host": "reviews", "subset": "v1", "port": {"number": port}}, "weight": w}
        for port, w in ((8080, 70), (9090, 30))
    ]
    v2 = {"destination": {"host": "reviews", "subset": "v2"}, "percentage": {"value": 10.0}}
    both = [{"name": "api", "route": route}, {"name": "main", "route": route}]
    reviews.edit(spec={"http": both})
    router = Istio(
        api=reviews.router.api,
        virtual_service=reviews.name,
        host="reviews",
        routes=["api", "main"],
    )

    router.apply(RELEASE, Traffic(candidate=percent(5)), marker=Marker(generation=1), expect=None)
    during = reviews.now["spec"]["http"][1]
    reviews.edit(spec={"http": [{**during, "mirrors": [v2]}]})
    seen = router.read(RELEASE)
    after = rollback_now(router, RELEASE)

    assert [each["weight"] for each in during["route"]] == [133, 57, 10]
    assert (seen.traffic.mirror, seen.converged) == (percent(10), False)
    assert after.shows(Traffic())
    assert reviews.now["spec"]["http"] == both[1:]


def test_a_sum_of_150_is_stored_by_the_api_server_and_read_as_shares(reviews: Object) -> None:
    reviews.edit(spec=reviews.split(100, 50))

    assert reviews.router.read(RELEASE).traffic.candidate == percent(33.3333)


@rule("R3")
def test_header_routes_and_mirrors_pass_istios_schema_and_are_read_back(reviews: Object) -> None:
    before = reviews.now["spec"]
    wanted = Traffic(
        candidate=percent(5),
        mirror=percent(12.5),
        matches=(
            Match(name="X-Beta", value="yes"),
            Match(name="beta", value="a.b", source="cookie"),
        ),
    )

    served = reviews.router.apply(RELEASE, wanted, marker=Marker(generation=1), expect=None)
    again = reviews.router.apply(
        RELEASE, Traffic(), marker=Marker(generation=1, serial=1), expect=None
    )

    assert (served.traffic, served.converged, again.traffic) == (wanted, True, Traffic())
    assert reviews.now["spec"] == before


@rule("R22")
def test_a_write_on_what_moved_since_the_read_is_refused(reviews: Object) -> None:
    router = reviews.router
    seen = router.read(RELEASE)
    reviews.edit(spec=reviews.split(60, 40))

    with pytest.raises(ConflictError, match="has been modified"):
        router.apply(
            RELEASE, Traffic(candidate=percent(5)), marker=Marker(generation=1), expect=seen.version
        )

    assert reviews.weights == [60, 40]


@rule("R22")
@pytest.mark.parametrize("ours", [Marker(generation=2), Marker(generation=3, serial=4)])
def test_a_stale_marker_is_refused(reviews: Object, ours: Marker) -> None:
    reviews.router.apply(RELEASE, Traffic(), marker=Marker(generation=3, serial=5), expect=None)

    with pytest.raises(ConflictError, match="newer than ours"):
        reviews.router.apply(RELEASE, Traffic(candidate=percent(5)), marker=ours, expect=None)

    assert reviews.weights == [100, 0]


@rule("R8")
def test_an_edit_that_was_put_back_is_another_version(reviews: Object) -> None:
    seen = reviews.router.read(RELEASE)
    reviews.edit(spec=reviews.split(50, 50))
    reviews.edit(spec=reviews.split(100, 0))

    again = reviews.router.read(RELEASE)

    assert (again.traffic, again.version == seen.version) == (seen.traffic, False)


@rule("R22")
def test_eight_writers_at_once_lose_no_update(reviews: Object) -> None:
    """Each adds one per cent, five times, by reading and writing on what it read."""
    refused = []

    def add() -> None:
        router = reviews.router
        for _ in range(5):
            while True:
                seen = router.read(RELEASE)
                serial = -1 if seen.marker is None else seen.marker.serial
                wanted = Traffic(candidate=percent(seen.traffic.candidate.number + 1))
                try:
                    router.apply(
                        RELEASE,
                        wanted,
                        marker=Marker(generation=1, serial=serial + 1),
                        expect=seen.version,
                    )
                except ConflictError as error:
                    refused.append(error)
                    continue
                break
        router.close()

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert reviews.weights == [60, 40]
    assert (
        json.loads(reviews.now["metadata"]["annotations"]["progressive-delivery/marker"])[
            "reviews"
        ]["serial"]
        == 39
    )
    assert refused


def test_the_asynchronous_colour_does_the_same(reviews: Object) -> None:
    async def both() -> tuple[Any, Any]:
        router = reviews.router
        seen = await router.aread(RELEASE)
        return seen, await router.aapply(
            RELEASE, Traffic(candidate=percent(5)), marker=Marker(generation=1), expect=seen.version
        )

    seen, served = asyncio.run(both())

    assert (seen.traffic, served.traffic.candidate) == (Traffic(), percent(5))


# ---------------------------------------------------------------------------------- rights and keys


def test_get_and_patch_on_one_object_are_enough(kube: KubeProcess, reviews: Object) -> None:
    rule_of_the_docs = {
        "apiGroups": ["networking.istio.io"],
        "resources": ["virtualservices"],
        "resourceNames": [reviews.name],
        "verbs": ["get", "patch"],
    }
    kube.allow("deployers", namespace="default", rules=[rule_of_the_docs], name="for-istio")
    router = Istio(api=api(kube, DEPLOYER), virtual_service=reviews.name, host="reviews")
    allowed = {"authorization": f"Bearer {DEPLOYER}"}
    wait_until(
        "the role is in force",
        lambda: kube.admin.get(f"{ROOT}/{reviews.name}", headers=allowed).status_code == 200,
    )

    served = router.apply(
        RELEASE, Traffic(candidate=percent(5)), marker=Marker(generation=1), expect=None
    )

    assert served.traffic.candidate == percent(5)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"api": READER}, 'User "reader" cannot get resource "virtualservices"'),
        ({"api": "nobody"}, "answered 401: Unauthorized; check the credentials"),
        ({"virtual_service": "no-such"}, 'virtualservices.networking.istio.io "no-such" not found'),
        (
            {"host": "ratings"},
            (
                "there is host cdn, host reviews subset v1, host reviews subset v2; name the "
                "right host= or backend="
            ),
        ),
        ({"api_version": "v9"}, "answered 404"),
    ],
)
def test_what_is_wrong_is_said_in_the_systems_words(
    kube: KubeProcess, reviews: Object, change: dict[str, str], why: str
) -> None:
    given: dict[str, Any] = {"virtual_service": reviews.name, "host": "reviews", **change}
    router = Istio(**{**given, "api": api(kube, given.get("api", ADMIN))})

    with pytest.raises(RouterError) as caught:
        router.apply(RELEASE, Traffic(), marker=Marker(generation=1), expect=None)

    assert why in str(caught.value)
    assert caught.value.failure is Failure.PERMANENT


def test_a_pods_token_is_read_again_for_every_request(
    kube: KubeProcess, reviews: Object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, port = kube.url.removeprefix("https://").split(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    (tmp_path / "namespace").write_text("default\n")
    (tmp_path / "token").write_text("the one that ran out\n")
    shutil.copy(kube.ca, tmp_path / "ca.crt")
    router = Istio(
        api=Kubernetes.in_cluster(account=tmp_path), virtual_service=reviews.name, host="reviews"
    )

    with pytest.raises(RouterError, match="401"):
        router.read(RELEASE)
    (tmp_path / "token").write_text(f"{ADMIN}\n")

    assert router.read(RELEASE).traffic == Traffic()
    assert ADMIN not in repr(router)


def test_outside_of_a_cluster_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    with pytest.raises(
        StrategyError, match=r"no pod with a service account .*; use Kubernetes.kubeconfig\(\)"
    ):
        Kubernetes.in_cluster(account=tmp_path)


def kubeconfig(kube: KubeProcess, folder: Path, **user: Any) -> Path:
    """A kubeconfig as a cloud's tool writes it."""
    authority = base64.b64encode(kube.ca.read_bytes()).decode()
    path = folder / "config"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "prod",
        "clusters": [
            {"name": "c", "cluster": {"server": kube.url, "certificate-authority-data": authority}}
        ],
        "users": [{"name": "u", "user": user}],
        "contexts": [
            {"name": "prod", "context": {"cluster": "c", "user": "u", "namespace": "default"}}
        ],
    }
    path.write_text(yaml.safe_dump(content))
    return path


PLUGIN = """\
import json, os, pathlib
told = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
runs = pathlib.Path(os.environ["RUNS"])
runs.write_text(runs.read_text() + "." if runs.exists() else ".")
status = {"token": os.environ["GIVES"]}
print(json.dumps({"apiVersion": told["apiVersion"], "kind": "ExecCredential", "status": status}))
"""


@pytest.mark.parametrize(
    "version", ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"]
)
def test_a_kubeconfig_with_an_exec_plugin_runs_it_once(
    kube: KubeProcess, reviews: Object, tmp_path: Path, version: str
) -> None:
    (tmp_path / "plugin.py").write_text(PLUGIN)
    gives = [{"name": "GIVES", "value": ADMIN}, {"name": "RUNS", "value": str(tmp_path / "runs")}]
    plugin = {
        "apiVersion": version,
        "command": sys.executable,
        "args": [str(tmp_path / "plugin.py")],
        "env": gives,
    }
    path = kubeconfig(kube, tmp_path, exec=plugin)

    with pytest.raises(
        StrategyError, match="if you trust this file to run programs, say run_plugins=True"
    ):
        Kubernetes.kubeconfig(path)
    router = Istio(
        api=Kubernetes.kubeconfig(path, run_plugins=True),
        virtual_service=reviews.name,
        host="reviews",
    )

    assert [router.read(RELEASE).traffic for _ in range(3)] == [Traffic()] * 3
    assert (tmp_path / "runs").read_text() == "."
    assert ADMIN not in repr(router)


def test_a_kubeconfig_with_a_token_is_found_by_the_environment(
    kube: KubeProcess, reviews: Object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(kube, tmp_path, token=ADMIN)))

    connection = Kubernetes.kubeconfig(context="prod")

    assert connection.namespace == "default"
    assert (
        Istio(api=connection, virtual_service=reviews.name, host="reviews").read(RELEASE).traffic
        == Traffic()
    )


# ----------------------------------------------------------------------------------- whole rollouts

ERRORS = Metric("error-rate", kind="ratio")


def canary() -> Canary:
    return Canary(
        weights=percents(1, 10, 50, 100),
        bake=minutes(5),
        checks=[NoWorse(ERRORS), Limit(ERRORS, at_most=percent(1))],
    )


def rolled_out(reviews: Object, *, candidate: float) -> Outcome:
    """A whole rollout in virtual time, on the real API server."""
    metrics = ScriptedMetrics({ERRORS: steady(50, stable=0.001, candidate=candidate)})
    return play(canary(), RELEASE, router=reviews.router, metrics=[metrics])


def test_a_good_version_gets_everything(reviews: Object) -> None:
    outcome = rolled_out(reviews, candidate=0.001)

    assert outcome.promoted
    assert reviews.weights == [0, 100]


def test_a_bad_version_is_taken_back(reviews: Object) -> None:
    before = reviews.now["spec"]

    outcome = rolled_out(reviews, candidate=0.2)

    assert outcome.exit_code is ExitCode.ROLLED_BACK
    assert reviews.now["spec"] == before


@rule("R8")
def test_a_stranger_who_raises_the_candidate_is_put_right_twice_and_then_it_goes_back(
    reviews: Object,
) -> None:
    raised = []

    def stranger(rollout: Rollout) -> None:
        if (
            rollout.routing.desired.candidate == percent(1)
            and rollout.routing.verified_since is not None
        ):
            reviews.edit(spec=reviews.split(20, 80))
            raised.append(reviews.weights)

    metrics = ScriptedMetrics({ERRORS: steady(50, stable=0.001, candidate=0.001)})
    outcome = play(
        canary(), RELEASE, router=reviews.router, metrics=[metrics], before_tick=stranger
    )

    assert (outcome.exit_code, reviews.weights, len(raised)) == (ExitCode.ROLLED_BACK, [100, 0], 3)
    assert "raised above its step 3 times" in outcome.rollout.progress.reason


@rule("R11")
def test_everything_is_taken_back_with_nothing_but_the_router(reviews: Object) -> None:
    reviews.router.apply(
        RELEASE, Traffic(candidate=percent(50)), marker=Marker(generation=4, serial=9), expect=None
    )

    served = rollback_now(reviews.router, RELEASE)

    assert (served.marker, reviews.weights) == (
        Marker(generation=4, serial=9, closed=True),
        [100, 0],
    )


@rule("R11")
def test_the_line_that_a_person_types_takes_everything_back(reviews: Object) -> None:
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    wanted = Traffic(candidate=percent(50), matches=(Match(name="x-beta", value="yes"),))
    reviews.router.apply(RELEASE, wanted, marker=Marker(generation=4, serial=9), expect=None)
    program = reviews.router.undo(RELEASE).split("| jq '", 1)[1].rsplit("' | kubectl", 1)[0]

    made = subprocess.run(
        ["jq", program], input=json.dumps(reviews.now), capture_output=True, text=True, check=True
    ).stdout
    reviews.kube.admin.put(f"{ROOT}/{reviews.name}", json=json.loads(made)).raise_for_status()
    served = reviews.router.read(RELEASE)

    assert (served.traffic, served.marker) == (
        Traffic(),
        Marker(generation=4, serial=9, closed=True),
    )
