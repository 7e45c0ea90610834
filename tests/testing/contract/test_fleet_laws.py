"""`check_fleet` lets good fleets through, and names the law that each bad one breaks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import attrs
import pytest
from tests.support.breakable import Breakable

from progressive import Release, Track, Version, percent, seconds
from progressive.errors import Failure, FleetError
from progressive.model.capacity import Capacity
from progressive.testing import LawBroken, MemoryFleet, acheck_fleet, check_fleet
from progressive.testing.contract.fleet_laws import LAWS
from progressive.testing.contract.laws import in_words

SHOP = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))
CART = Release(service="cart", stable=Version("v1"), candidate=Version("v2"))
FULL = 4


class Cluster(Breakable):
    """Instances by service and backend: how many there are, and how many of them are ready."""

    def __init__(self) -> None:
        super().__init__()
        services = [(release.service, name) for release in (SHOP, CART) for name in ("v1", "v2")]
        self.there = dict.fromkeys(services, FULL)
        self.ready = dict(self.there)
        self.leaving = 0

    @contextmanager
    def unready(self, version: Version) -> Iterator[None]:
        self.ready["shop", version.backend] = 0
        yield
        self.ready["shop", version.backend] = FULL

    def instances(self, version: Version) -> int:
        return self.there["shop", version.backend]

    def deploy(self, version: Version) -> None:
        self.there["shop", version.backend] = self.ready["shop", version.backend] = FULL


class Good:
    """A fleet of a cluster, with both methods, synchronous and asynchronous."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def survey(self, release: Release) -> Mapping[Track, Capacity]:
        return self.answer(release, self.cluster.asked)

    async def asurvey(self, release: Release) -> Mapping[Track, Capacity]:
        try:
            await self.cluster.aasked()
        except Exception as error:
            raise FleetError(str(error)) from error
        return self.answer(release, lambda: None)

    def retire(self, release: Release, version: Version) -> None:
        self.remove(release, version)

    async def aretire(self, release: Release, version: Version) -> None:
        self.remove(release, version)

    def answer(self, release: Release, ask: Callable[[], None]) -> dict[Track, Capacity]:
        try:
            ask()
        except Exception as error:
            raise FleetError(str(error)) from error
        found = {}
        for track in Track:
            if (version := track.version(release)) is not None:
                found[track] = self.capacity(release, version)
        return found

    def capacity(self, release: Release, version: Version) -> Capacity:
        ready = self.cluster.ready[release.service, version.backend]
        return Capacity(
            percent(100 * ready / FULL), identity=version.identity, why=f"{ready} ready"
        )

    def remove(self, release: Release, version: Version) -> None:
        key = release.service, version.backend
        self.cluster.there[key] = self.cluster.ready[key] = 0


class Draining(Good):
    """Instances take a while to go: it says so until they are gone."""

    def retire(self, release: Release, version: Version) -> None:
        key = release.service, version.backend
        if self.cluster.there[key]:
            self.cluster.there[key] -= 1
            raise FleetError(f"{self.cluster.there[key] + 1} instances are still there; ask again")


class OnlySurvey(Good):
    retire = aretire = None  # type: ignore[assignment]


class OnlyRetire(Good):
    survey = asurvey = None  # type: ignore[assignment]


class Synchronous(Good):
    asurvey = aretire = None  # type: ignore[assignment]


class Asynchronous(Good):
    survey = retire = None  # type: ignore[assignment]


def kit(cluster: Cluster) -> dict[str, Any]:
    return {
        "beside": CART,
        "unready": cluster.unready,
        "instances": cluster.instances,
        "deploy": cluster.deploy,
        "broken": cluster.breakages,
        "within": seconds(2),
    }


@pytest.mark.parametrize("fleet", [Good, Draining, Synchronous])
def test_a_good_fleet_keeps_every_law(fleet: type[Good]) -> None:
    cluster = Cluster()
    report = check_fleet(fleet(cluster), SHOP, **kit(cluster))

    assert report.untried == ()
    assert report.held == tuple(map(in_words, LAWS))
    assert cluster.there == dict.fromkeys(cluster.there, FULL)


@pytest.mark.parametrize("fleet", [Good, Asynchronous])
def test_it_passes_on_the_loop_of_the_test_too(fleet: type[Good]) -> None:
    cluster = Cluster()
    report = asyncio.run(acheck_fleet(fleet(cluster), SHOP, **kit(cluster)))

    assert report.untried == ()


def test_a_fleet_in_memory_passes() -> None:
    fleet = MemoryFleet()

    @contextmanager
    def unready(version: Version) -> Iterator[None]:
        track = Track.STABLE if version == SHOP.stable else Track.CANDIDATE
        fleet.capacities[track] = Capacity(percent(0))
        yield
        fleet.capacities[track] = Capacity(percent(100))

    report = check_fleet(
        fleet,
        SHOP,
        unready=unready,
        instances=lambda version: 0 if version in fleet.retired else 3,
        deploy=fleet.retired.remove,
    )
    assert {each.needs for each in report.untried} == {
        "beside=",
        "broken['refuse']",
        "broken['fail']",
        "broken['garble']",
        "broken['hang']",
    }


def test_either_method_may_be_left_out_and_the_report_says_what_was_not_tried() -> None:
    cluster = Cluster()
    asked = check_fleet(OnlySurvey(cluster), SHOP, **kit(cluster))
    removed = check_fleet(OnlyRetire(cluster), SHOP, **kit(cluster))
    bare = check_fleet(Good(cluster), SHOP)

    assert [(each.law, each.needs) for each in asked.untried] == [
        ("what is retired is gone", "fleet.retire")
    ]
    assert removed.held == ("what is retired is gone",)
    assert {each.needs for each in removed.untried} == {"fleet.survey"}
    assert {each.law: each.needs for each in bare.untried} == {
        "missing instances are seen": "unready=",
        "a neighbour is left alone": "beside=",
        "a system that is down is a fleet error": "broken['refuse']",
        "a failure of the system is a fleet error": "broken['fail']",
        "an answer without sense is a fleet error": "broken['garble']",
        "a system that hangs is left in time": "broken['hang']",
        "what is retired is gone": "instances=",
    }


def test_without_deploy_removal_is_tried_once() -> None:
    cluster = Cluster()
    report = check_fleet(Synchronous(cluster), SHOP, instances=cluster.instances)

    assert "what is retired is gone" in report.held
    assert cluster.there["shop", "v1"] == 0
    with pytest.raises(LawBroken, match="says that stable can't carry what it serves"):
        check_fleet(Synchronous(cluster), SHOP, instances=cluster.instances)


# --------------------------------------------------------------------------------------- the faults


class Optimist(Good):
    def capacity(self, release: Release, version: Version) -> Capacity:
        return Capacity(percent(100))


class Swapped(Good):
    def capacity(self, release: Release, version: Version) -> Capacity:
        other = release.candidate if version == release.stable else release.stable
        assert other is not None
        return attrs.evolve(super().capacity(release, other), identity=version.identity)


class OneNumber(Good):
    """The instances of all versions in one number."""

    def capacity(self, release: Release, version: Version) -> Capacity:
        ready = min(self.cluster.ready["shop", "v1"], self.cluster.ready["shop", "v2"])
        return Capacity(percent(100 * ready / FULL))


class OneService(Good):
    def capacity(self, release: Release, version: Version) -> Capacity:
        return super().capacity(SHOP, version)


class Share(Good):
    """Instances as shares of all of them, and not of what it takes to carry everything."""

    def capacity(self, release: Release, version: Version) -> Capacity:
        return Capacity(percent(super().capacity(release, version).able.number / 2))


class CandidateOnly(Good):
    def answer(self, release: Release, ask: Callable[[], None]) -> dict[Track, Capacity]:
        found = super().answer(release, ask)
        return {track: each for track, each in found.items() if track is not Track.STABLE}


class ReadyOnly(Good):
    def answer(self, release: Release, ask: Callable[[], None]) -> dict[Track, Capacity]:
        found = super().answer(release, ask)
        return {track.value: each for track, each in found.items()}  # type: ignore[misc]


class Numbers(Good):
    def capacity(self, release: Release, version: Version) -> Capacity:
        return super().capacity(release, version).able  # type: ignore[return-value]


class Flickers(Good):
    asked = 0

    def capacity(self, release: Release, version: Version) -> Capacity:
        self.asked += 1
        return attrs.evolve(super().capacity(release, version), why=f"asked {self.asked} times")


class Tagged(Good):
    def capacity(self, release: Release, version: Version) -> Capacity:
        found = super().capacity(release, version)
        return attrs.evolve(found, identity=f"registry/shop:{version.identity}")


class Raw(Good):
    """Errors of the client come out as they are."""

    def answer(self, release: Release, ask: Callable[[], None]) -> dict[Track, Capacity]:
        ask()
        return super().answer(release, lambda: None)


class Remembers(Good):
    """Where it can't ask, it answers with what it heard last."""

    last: dict[Track, Capacity] | None = None

    def answer(self, release: Release, ask: Callable[[], None]) -> dict[Track, Capacity]:
        try:
            self.last = super().answer(release, ask)
        except FleetError:
            if self.last is None:
                raise
        return self.last


class Speechless(Good):
    def answer(self, release: Release, ask: Callable[[], None]) -> dict[Track, Capacity]:
        try:
            return super().answer(release, ask)
        except FleetError:
            raise FleetError("") from None


class Reads(Good):
    """Nonsense is read as far as it goes."""

    def answer(self, release: Release, ask: Callable[[], None]) -> dict[Track, Capacity]:
        try:
            return super().answer(release, ask)
        except FleetError:
            if self.cluster.mode == "garble":
                raise KeyError("items") from None
            raise


class Unavailable(Good):
    """503 is taken for: there are none."""

    def answer(self, release: Release, ask: Callable[[], None]) -> dict[Track, Capacity]:
        if self.cluster.mode == "fail":
            return dict.fromkeys((Track.STABLE, Track.CANDIDATE), Capacity(percent(0)))
        return super().answer(release, ask)


class Patient(Good):
    def answer(self, release: Release, ask: Callable[[], None]) -> dict[Track, Capacity]:
        if self.cluster.mode == "hang":
            time.sleep(5)
        return super().answer(release, ask)


class Blocks(Good):
    async def asurvey(self, release: Release) -> Mapping[Track, Capacity]:
        return self.survey(release)


class Disagrees(Good):
    async def asurvey(self, release: Release) -> Mapping[Track, Capacity]:
        found = await super().asurvey(release)
        return {track: attrs.evolve(each, why="") for track, each in found.items()}


class Denies(Good):
    """Returns before anything is gone."""

    def remove(self, release: Release, version: Version) -> None:
        return None


class Everything(Good):
    def remove(self, release: Release, version: Version) -> None:
        for key in self.cluster.there:
            if key[0] == release.service:
                self.cluster.there[key] = 0


class Neighbour(Good):
    def remove(self, release: Release, version: Version) -> None:
        super().remove(release, version)
        super().remove(CART, version)


class Once(Good):
    """What is gone can't be removed again."""

    def remove(self, release: Release, version: Version) -> None:
        if not self.cluster.there[release.service, version.backend]:
            raise FleetError("404 not found", failure=Failure.PERMANENT)
        super().remove(release, version)


class NeverDone(Good):
    def remove(self, release: Release, version: Version) -> None:
        super().remove(release, version)
        raise FleetError("still there; ask again")


class Says(Good):
    def retire(self, release: Release, version: Version) -> None:
        super().retire(release, version)
        return True  # type: ignore[return-value]


FAULTS: list[tuple[type[Good], str, str]] = [
    (CandidateOnly, "every version is answered for", "leaves versions out"),
    (ReadyOnly, "every version is answered for", "gave no capacities"),
    (Numbers, "every version is answered for", "gave no capacities"),
    (Share, "what is ready can carry everything", "says that stable can't carry what it serves"),
    (Flickers, "asking changes nothing", "says two things"),
    (Tagged, "identities are those of the release", "seen:     identity='registry/shop:v1'"),
    (Optimist, "missing instances are seen", "does not see that stable (v1) has no instance"),
    (Swapped, "missing instances are seen", "does not see that stable (v1) has no instance"),
    (OneNumber, "missing instances are seen", "takes the instances of one version for those"),
    (OneService, "a neighbour is left alone", "answers for cart with another service's instances"),
    (Raw, "a system that is down is a fleet error", "ConnectionRefusedError: connection refused"),
    (Remembers, "a system that is down is a fleet error", "answered while the system was broken"),
    (Speechless, "a system that is down is a fleet error", "failed without a word"),
    (Unavailable, "a failure of the system is a fleet error", "answered while the system was"),
    (Reads, "an answer without sense is a fleet error", "KeyError: 'items'"),
    (Patient, "a system that hangs is left in time", "survey did not come back within 2 s"),
    (Blocks, "a system that hangs is left in time", "Blocks.asurvey blocked the event loop"),
    (Disagrees, "sync and async agree", "Disagrees.survey and Disagrees.asurvey do not agree"),
    (Denies, "what is retired is gone", "Denies.retire(v1) returned, and instances are left"),
    (Everything, "what is retired is gone", "removed instances of another version"),
    (Neighbour, "what is retired is gone", "changed the instances of another service"),
    (Once, "what is retired is gone", "Once.retire(v1) failed"),
    (NeverDone, "what is retired is gone", "NeverDone.retire(v1) failed"),
    (Says, "what is retired is gone", "Says.retire(v1) returned something"),
]


@pytest.mark.parametrize(
    ("fleet", "law", "said"), FAULTS, ids=[each[0].__name__ for each in FAULTS]
)
def test_a_bad_fleet_is_named_by_the_law_that_it_breaks(
    fleet: type[Good], law: str, said: str
) -> None:
    cluster = Cluster()
    with pytest.raises(LawBroken) as caught:
        check_fleet(fleet(cluster), SHOP, **kit(cluster))

    assert caught.value.law == law
    assert said in str(caught.value)


def test_every_law_is_broken_by_some_fleet() -> None:
    assert {law for _, law, _ in FAULTS} == {*map(in_words, LAWS), "sync and async agree"}


@pytest.mark.parametrize(
    ("fleet", "more", "said"),
    [
        (object(), {}, "object has none of the methods of its contract"),
        (
            MemoryFleet(),
            {"release": attrs.evolve(SHOP, stable=None)},
            "a fleet is tried with two versions",
        ),
        (MemoryFleet(), {"beside": SHOP}, "beside= has the service of the release on trial"),
        (MemoryFleet(), {"instances": lambda version: 0, "deploy": print}, "finds none to retire"),
    ],
)
def test_what_can_not_be_tried_is_said(fleet: object, more: dict[str, Any], said: str) -> None:
    with pytest.raises(LawBroken, match=said):
        check_fleet(fleet, **{"release": SHOP, **more})
