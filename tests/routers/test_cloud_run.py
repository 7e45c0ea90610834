"""`CloudRun` on a server that answers as Google's documentation says."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from tests.support.fake_cloud_run import LATEST, NAME, FakeCloudRun, target
from tests.support.whole_rollout import roll_out, to_the_end_or_back

from progressive import rollback_now
from progressive.errors import ConflictError, Failure, RouterError, StrategyError
from progressive.model.release import Release, Version
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import ALL_STABLE, Traffic
from progressive.model.units import Percent, percent, seconds
from progressive.routers.cloud_run import CloudRun, Http
from progressive.testing import BreakableProxy, acheck_router, check_router

FIRST = Marker(generation=1, owner="rours")
THREE = Release(
    service="shop",
    stable=Version("1", backend="v1"),
    candidate=Version("2", backend="v2"),
    baseline=Version("1b", backend="v1-fresh"),
)


@pytest.fixture
def cloud() -> Iterator[FakeCloudRun]:
    with FakeCloudRun() as running:
        yield running


@pytest.fixture
def router(cloud: FakeCloudRun) -> Iterator[CloudRun]:
    with CloudRun(service=NAME, api=Http(cloud.url)) as made:
        yield made


def give(router: CloudRun, share: float, serial: int = 0) -> Served:
    marker = attrs.evolve(FIRST, serial=serial)
    return router.apply(THREE, Traffic(candidate=percent(share)), marker=marker, expect=None)


def edited(cloud: FakeCloudRun, traffic: Traffic) -> None:
    shares = (("v1", traffic.stable), ("v2", traffic.candidate), ("v1-fresh", traffic.baseline))
    cloud.edit(*(target(name, share.ppm // 10_000) for name, share in shares if share.ppm))


def third_version(cloud: FakeCloudRun, share: Percent) -> None:
    part = share.ppm // 10_000
    cloud.edit(target("v1", 100 - part), target("v0", part))


def typed(line: str, folder: Path) -> None:
    """As a person who has gcloud, curl and jq."""
    gcloud = folder / "gcloud"
    gcloud.write_text("#!/bin/sh\necho token\n")
    gcloud.chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "no_proxy": "*"}
    subprocess.run(line, shell=True, check=True, capture_output=True, env=env)


can_type = shutil.which("jq") is not None and shutil.which("curl") is not None


@pytest.mark.slow
def test_none_of_the_laws_is_left_out(cloud: FakeCloudRun, tmp_path: Path) -> None:
    """A Cloud Run service belongs to one service, so there is no neighbour in it."""

    @contextmanager
    def latest() -> Iterator[None]:
        cloud.edit({"type": LATEST, "percent": 40}, target("v2", 60))
        yield
        cloud.edit(target("v1", 100))

    at = cloud.url.removeprefix("http://")
    with BreakableProxy(at, is_write=lambda sent: sent.startswith(b"PATCH")) as proxy:
        api = Http(f"http://{proxy.address}", deadline=seconds(1), timeout=seconds(0.5))
        with CloudRun(service=NAME, api=api) as router:
            report = check_router(
                router,
                THREE,
                edit=lambda traffic: edited(cloud, traffic),
                third_version=lambda share: third_version(cloud, share),
                bad_names=["nobody"],
                broken=proxy.breakages,
                within=seconds(20),
                writes=lambda: proxy.writes,
                undo=(lambda line: typed(line, tmp_path)) if can_type else None,
                parts={"the latest": latest},
            )

    assert set(report.missing) <= {"beside=", "broken['ignore']", "undo="}
    assert cloud.percents() == {"v1": 100}


def test_it_keeps_them_on_an_event_loop(cloud: FakeCloudRun, router: CloudRun) -> None:
    asyncio.run(acheck_router(router, THREE, edit=lambda traffic: edited(cloud, traffic)))


def test_a_change_is_served_when_cloud_run_has_observed_it() -> None:
    ten = Traffic(candidate=percent(10))
    with FakeCloudRun(slow=3) as cloud, CloudRun(service=NAME, api=Http(cloud.url)) as router:
        served = give(router, 10)
        assert (served.traffic, served.converged) == (ten, False)
        while not (served := router.read(THREE)).converged:
            assert not served.shows(ten)
        assert served.shows(ten)
        assert served.version == "u1/2"


def test_a_change_that_can_not_be_carried_out_is_never_verified(
    cloud: FakeCloudRun, router: CloudRun
) -> None:
    give(router, 10)
    cloud.fails = "Revision 'v2' is not ready"
    served = give(router, 50, serial=1)

    assert served.traffic == Traffic(candidate=percent(50))  # the most that it may have
    assert not served.converged
    assert not router.read(THREE).converged


def test_what_else_the_service_has_stays(cloud: FakeCloudRun, router: CloudRun) -> None:
    cloud.edit(target("v1", 100, "old"), target("v2", tag="try"), target("v0", tag="museum"))
    give(router, 10)

    [sent] = cloud.patched
    assert sent["etag"] == "e2"
    assert sent["annotations"] == {"team": "shop", "progressive/marker": "1:0:0:rours"}
    assert sent["traffic"] == [
        target("v1", 90),
        target("v2", 10),
        target("v1", tag="old"),
        target("v2", tag="try"),
        target("v0", tag="museum"),
    ]
    assert "template" not in sent


@pytest.mark.parametrize(
    "traffic", [[], [{"type": LATEST, "percent": 100}], [{"percent": 10}, target("v1", 90)]]
)
def test_traffic_that_follows_the_latest_revision_is_refused(
    cloud: FakeCloudRun, router: CloudRun, traffic: list[dict[str, Any]]
) -> None:
    cloud.edit(*traffic)
    with pytest.raises(RouterError, match=r"pin it: gcloud run .* --to-revisions=v1=100") as caught:
        give(router, 10)
    assert caught.value.failure is Failure.PERMANENT
    assert rollback_now(router, THREE).shows(ALL_STABLE)


def test_a_revision_that_is_missing_or_not_ready_gets_nothing(
    cloud: FakeCloudRun, router: CloudRun
) -> None:
    unknown = attrs.evolve(THREE, candidate=Version("9", backend="v9"))
    with pytest.raises(RouterError, match=r"candidate \(9\) is the revision 'v9', and there is no"):
        router.apply(unknown, ALL_STABLE, marker=FIRST, expect=None)
    give(router, 1)
    cloud.unready.add("v2")
    with pytest.raises(RouterError, match=r"candidate \(2\) is not ready \(it does not") as caught:
        give(router, 10, serial=1)
    assert caught.value.failure is Failure.TRANSIENT
    assert give(router, 0, serial=2).shows(ALL_STABLE)  # a way back asks nobody
    assert cloud.percents() == {"v1": 100}


def test_a_change_since_the_read_is_refused_by_cloud_run(
    cloud: FakeCloudRun, router: CloudRun
) -> None:
    flow = router.applying(THREE, Traffic(candidate=percent(10)), FIRST, None)
    question: Any = next(flow)
    while question.method == "GET":
        question = flow.send(router._client.exchange(question, 1e12))
    cloud.edit(target("v1", 50), target("v2", 50))
    refused: Any = router._client.exchange(question, 1e12)

    assert refused.failure is Failure.CONFLICT
    assert cloud.percents() == {"v1": 50, "v2": 50}
    version = router.read(THREE).version
    edited(cloud, Traffic(candidate=percent(30)))
    with pytest.raises(ConflictError, match="were changed since they were read"):
        router.apply(THREE, Traffic(candidate=percent(20)), marker=FIRST, expect=version)


def test_a_marker_that_somebody_edited_is_said(cloud: FakeCloudRun, router: CloudRun) -> None:
    give(router, 10)
    cloud.service["annotations"]["progressive/marker"] = "mine"
    assert not router.read(THREE).converged
    with pytest.raises(RouterError, match="its annotation progressive/marker"):
        give(router, 20, serial=1)
    assert rollback_now(router, THREE).shows(ALL_STABLE)


@pytest.mark.skipif(not can_type, reason="curl and jq are not installed")
@pytest.mark.parametrize("text", ["mine", "1:2:0:rours", None])
def test_the_line_to_type_works_whatever_the_marker_is(
    cloud: FakeCloudRun, router: CloudRun, tmp_path: Path, text: str | None
) -> None:
    give(router, 50)
    cloud.service["annotations"] = {} if text is None else {"progressive/marker": text}
    typed(router.undo(THREE), tmp_path)

    assert router.read(THREE).shows(ALL_STABLE)
    closed = "1:2:1:rours" if text == "1:2:0:rours" else "0:0:1"
    assert cloud.service["annotations"]["progressive/marker"] == closed


@pytest.mark.skipif(not can_type, reason="curl and jq are not installed")
def test_the_line_to_type_sends_nothing_where_it_can_t_read(tmp_path: Path) -> None:
    with FakeCloudRun() as cloud:
        wrong = CloudRun(service=f"{NAME}x", api=Http(cloud.url))
        with pytest.raises(subprocess.CalledProcessError):
            typed(wrong.undo(THREE), tmp_path)
        assert cloud.patched == []


def test_a_revision_that_keeps_its_users_is_refused(cloud: FakeCloudRun, router: CloudRun) -> None:
    cloud.sticky.add("v2")
    with pytest.raises(RouterError, match=r"candidate \(2\) was deployed with session affinity"):
        give(router, 1)


def test_a_third_revision_that_does_not_start_is_no_matter_of_the_traffic(
    cloud: FakeCloudRun, router: CloudRun
) -> None:
    give(router, 10)
    cloud.service["terminalCondition"] = {"type": "Ready", "state": "CONDITION_FAILED"}

    assert router.read(THREE).shows(Traffic(candidate=percent(10)))


@pytest.mark.parametrize("service", ["shop", "projects/p/services/shop", None])
def test_a_service_has_its_full_name(service: Any) -> None:
    with pytest.raises(StrategyError, match="no full name of a service"):
        CloudRun(service=service)


@to_the_end_or_back
def test_a_whole_rollout(cloud: FakeCloudRun, router: CloudRun, failing: float) -> None:
    roll_out(router, THREE, failing)

    assert cloud.percents() == ({"v1": 100} if failing else {"v2": 100})
