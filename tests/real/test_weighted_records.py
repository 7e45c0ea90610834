"""`WeightedRecords` on moto, a double of Route 53's interface; no name is resolved by it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import attrs
import httpx
import pytest
from tests.support.aws_double import Double, aws_double
from tests.support.whole_rollout import roll_out, to_the_end_or_back

from progressive import rollback_now
from progressive.adapters.aws import Call, _refused
from progressive.errors import ConflictError, Failure, RouterError, StrategyError
from progressive.model.release import Release, Version
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import ALL_STABLE, Traffic
from progressive.model.units import Percent, percent, seconds
from progressive.routers.aws import Aws, WeightedRecords
from progressive.testing import BreakableProxy, check_router

pytestmark = [
    pytest.mark.real,
    pytest.mark.external,
    pytest.mark.skipif(
        importlib.util.find_spec("moto") is None,
        reason="moto is not installed: pip install 'moto[server]' awscli",
    ),
]

NAME = "shop.example.com."
MARKED = f"_progressive-a.{NAME}"
FIRST = Marker(generation=1, owner="rours")
THREE = Release(
    service="shop",
    stable=Version("1", backend="v1"),
    candidate=Version("2", backend="v2"),
    baseline=Version("1b", backend="v1-fresh"),
)


@attrs.frozen
class Zone:
    """A hosted zone with weighted records of ``shop``, all on v1, and a neighbour's."""

    double: Double
    id: str

    @property
    def client(self) -> Any:
        return self.double.client("route53")

    def change(self, action: str, *records: dict[str, Any]) -> None:
        changes = [{"Action": action, "ResourceRecordSet": each} for each in records]
        self.client.change_resource_record_sets(
            HostedZoneId=self.id, ChangeBatch={"Changes": changes}
        )

    def edit(self, **weights: int) -> None:
        """Change the weights as anybody may, by hand."""
        self.change("UPSERT", *(record(name, weight) for name, weight in weights.items()))

    def records(self, name: str = NAME) -> list[dict[str, Any]]:
        found = self.client.list_resource_record_sets(HostedZoneId=self.id)["ResourceRecordSets"]
        return [each for each in found if each["Name"] == name]

    def weights(self) -> dict[str, int]:
        return {each["SetIdentifier"]: each["Weight"] for each in self.records()}

    def router(self, **more: Any) -> WeightedRecords:
        aws = Aws(region="eu-west-1", endpoint=self.double.endpoint)
        return WeightedRecords(
            **{"zone": self.id, "name": "shop.example.com", "lag": seconds(0), "aws": aws, **more}
        )


def record(name: str, weight: int, of: str = NAME, ttl: int = 0) -> dict[str, Any]:
    """A record as anybody writes it; ``_`` in its name is a ``-``."""
    return {
        "Name": of,
        "Type": "A",
        "SetIdentifier": name.replace("_", "-"),
        "Weight": weight,
        "TTL": ttl,
        "ResourceRecords": [{"Value": "10.0.0.1"}],
    }


@pytest.fixture(scope="module")
def double() -> Iterator[Double]:
    """moto, but for its refusal to create what was created once before and is gone."""
    from moto.route53.models import ChangeList

    with aws_double() as running, mock.patch.object(ChangeList, "__contains__", return_value=False):
        yield running


@pytest.fixture
def zone(double: Double) -> Iterator[Zone]:
    made = double.client("route53").create_hosted_zone(Name="example.com", CallerReference="x")
    found = Zone(double, made["HostedZone"]["Id"].rpartition("/")[2])
    names = ("v1", "v2", "v1-fresh")
    found.change("CREATE", *(record(name, 200 if name == "v1" else 0) for name in names))
    found.change("CREATE", record("a", 7, of="shop2.example.com."))
    yield found
    httpx.post(f"{double.endpoint}/moto-api/reset", trust_env=False).raise_for_status()


@pytest.fixture
def router(zone: Zone) -> Iterator[WeightedRecords]:
    with zone.router() as made:
        yield made


def give(router: WeightedRecords, share: float, serial: int = 0) -> Served:
    marker = attrs.evolve(FIRST, serial=serial)
    return router.apply(THREE, Traffic(candidate=percent(share)), marker=marker, expect=None)


def typed(line: str) -> None:
    subprocess.run(line, shell=True, check=True, capture_output=True, env=dict(os.environ))


@pytest.mark.laws
def test_none_of_the_laws_is_left_out(zone: Zone) -> None:
    """A name belongs to one service, so there is no neighbour in it."""

    def edited(traffic: Traffic) -> None:
        shares = {"v1": traffic.stable, "v2": traffic.candidate, "v1_fresh": traffic.baseline}
        zone.edit(**{name: share.ppm * 200 // 1_000_000 for name, share in shares.items()})

    def third_version(share: Percent) -> None:
        part = share.ppm * 200 // 1_000_000
        zone.edit(v1=200 - part, v2=0, v1_fresh=0, v0=part)

    @contextmanager
    def lacks() -> Iterator[None]:
        [gone] = [each for each in zone.records() if each["SetIdentifier"] == "v2"]
        zone.change("DELETE", gone)
        zone.edit(v0=100)
        yield
        zone.change("UPSERT", {**gone, "Weight": 0})

    with BreakableProxy(
        zone.double.endpoint.removeprefix("http://"),
        is_write=lambda sent: sent.startswith(b"POST"),
    ) as proxy:
        aws = Aws(region="eu-west-1", endpoint=f"http://{proxy.address}", deadline=seconds(2))
        with zone.router(aws=aws) as router:
            report = check_router(
                router,
                THREE,
                edit=edited,
                third_version=third_version,
                bad_names=["nobody"],
                broken=proxy.breakages,
                within=seconds(20),
                writes=lambda: proxy.writes,
                undo=lambda line: typed(
                    line.replace(f"http://{proxy.address}", zone.double.endpoint)
                ),
                parts={"another record": lacks},
            )

    assert set(report.missing) == {"beside=", "broken['ignore']"}
    assert zone.weights()["v2"] == 0
    assert [each["Weight"] for each in zone.records("shop2.example.com.")] == [7]


@pytest.mark.parametrize(
    ("share", "weights"), [(0.5, (199, 1)), (1, (198, 2)), (12.5, (175, 25)), (100, (0, 200))]
)
def test_weights_are_half_percents_and_everything_else_of_a_record_stays(
    zone: Zone, router: WeightedRecords, share: float, weights: tuple[int, int]
) -> None:
    zone.change("UPSERT", {**record("v2", 0, ttl=3), "HealthCheckId": "abc"})
    give(router, share)

    assert (zone.weights()["v1"], zone.weights()["v2"]) == weights
    [candidate] = [each for each in zone.records() if each["SetIdentifier"] == "v2"]
    assert (candidate["TTL"], candidate["HealthCheckId"]) == (3, "abc")


def test_nothing_is_verified_before_every_resolver_has_had_to_ask_again(zone: Zone) -> None:
    zone.change("UPSERT", record("v2", 0, ttl=300))
    with zone.router(lag=seconds(60)) as slow:
        ten = Traffic(candidate=percent(10))
        served = slow.apply(THREE, ten, marker=FIRST, expect=None)
        assert (served.traffic, served.converged) == (ten, False)
        [said] = zone.records(MARKED)
        marker, written, of = said["ResourceRecords"][0]["Value"].strip('"').split()
        for at, seen in ((int(written) - 350, False), (1, True)):
            value = f'"{marker} {at} {of}"'
            zone.change("UPSERT", {**said, "ResourceRecords": [{"Value": value}]})
            assert slow.read(THREE).shows(ten) is seen

        again = attrs.evolve(FIRST, serial=1)
        assert slow.apply(THREE, ten, marker=again, expect=None).shows(ten)  # nothing moved


def test_nobody_knows_since_when_somebody_else_s_weights_stand(zone: Zone) -> None:
    with zone.router(lag=seconds(60)) as slow:
        slow.apply(THREE, ALL_STABLE, marker=FIRST, expect=None)
        [said] = zone.records(MARKED)
        marker, _, of = said["ResourceRecords"][0]["Value"].strip('"').split()
        long_ago = {**said, "ResourceRecords": [{"Value": f'"{marker} 1 {of}"'}]}
        zone.change("UPSERT", long_ago)
        assert slow.read(THREE).converged
        zone.edit(v1=100, v2=100)

        assert not slow.read(THREE).converged


def test_where_all_weights_are_0_all_records_are_alike(zone: Zone, router: WeightedRecords) -> None:
    zone.edit(v1=0, v2=0, v1_fresh=0)

    assert router.read(THREE).traffic.candidate.ppm == 333_333


def test_the_line_to_type_needs_stable(zone: Zone, router: WeightedRecords) -> None:
    give(router, 50)
    gone = attrs.evolve(THREE, stable=Version("0", backend="v0"))
    with pytest.raises(subprocess.CalledProcessError):
        typed(router.undo(gone))
    assert zone.weights()["v2"] == 100

    zone.change(
        "UPSERT",
        {"Name": MARKED, "Type": "TXT", "TTL": 60, "ResourceRecords": [{"Value": '"hello"'}]},
    )
    typed(router.undo(THREE))
    assert (zone.weights()["v2"], router.read(THREE).marker) == (
        0,
        Marker(generation=0, closed=True),
    )


def test_a_change_is_one_batch_that_route_53_compares(zone: Zone, router: WeightedRecords) -> None:
    give(router, 1)
    flow = router.applying(
        THREE, Traffic(candidate=percent(2)), attrs.evolve(FIRST, serial=1), None
    )
    asked: Any = next(flow)
    while not asked.write:
        asked = flow.send(zone.client.list_resource_record_sets(**asked.params))
    batch = asked.params["ChangeBatch"]["Changes"]

    assert [each["Action"] for each in batch] == ["DELETE", "CREATE"] * 3
    assert [each["ResourceRecordSet"]["Type"] for each in batch] == ["A"] * 4 + ["TXT"] * 2
    assert batch[-2]["ResourceRecordSet"] == zone.records(MARKED)[0]


@pytest.mark.parametrize(
    ("said", "failure"),
    [
        (
            "Tried to delete it, but the values provided do not match the current values",
            Failure.CONFLICT,
        ),
        ("Tried to create resource record set but it already exists", Failure.CONFLICT),
        ("Tried to delete resource record set but it was not found", Failure.CONFLICT),
        ("RRSet of type CNAME is not permitted at apex", Failure.PERMANENT),
    ],
)
def test_what_was_changed_since_the_read_is_a_conflict(said: str, failure: Failure) -> None:
    """In Route 53's words, as its users quote them; moto compares nothing."""
    response = {
        "Error": {"Code": "InvalidChangeBatch", "Message": f"[{said}]"},
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }

    found = _refused(Call("route53", "ChangeResourceRecordSets", write=True), response)

    assert found.failure is failure


def test_what_is_not_as_it_should_be_is_said(zone: Zone, router: WeightedRecords) -> None:
    unknown = attrs.evolve(THREE, candidate=Version("9", backend="v9"))
    with pytest.raises(RouterError, match=r"candidate \(9\) is the record 'v9', but"):
        router.apply(unknown, ALL_STABLE, marker=FIRST, expect=None)
    gone = attrs.evolve(THREE, stable=Version("0", backend="v0"))
    with pytest.raises(RouterError, match="there is none called v0, so there is nothing to go"):
        rollback_now(router, gone)
    mine = {"Name": MARKED, "Type": "TXT", "TTL": 60}
    zone.change("CREATE", {**mine, "ResourceRecords": [{"Value": '"hello"'}]})
    with pytest.raises(RouterError, match="no marker with a time"):
        give(router, 1)
    simple = zone.router(name="plain.example.com")
    zone.change(
        "CREATE",
        {
            "Name": "plain.example.com.",
            "Type": "A",
            "TTL": 1,
            "ResourceRecords": [{"Value": "10.0.0.1"}],
        },
    )
    with simple, pytest.raises(RouterError, match="they are not weighted"):
        simple.apply(THREE, ALL_STABLE, marker=FIRST, expect=None)


def test_a_change_by_hand_is_seen(zone: Zone, router: WeightedRecords) -> None:
    version = give(router, 10).version
    zone.edit(v1=100, v2=100)

    assert router.read(THREE).traffic == Traffic(candidate=percent(50))
    with pytest.raises(ConflictError, match="were changed since they were read"):
        router.apply(THREE, Traffic(candidate=percent(20)), marker=FIRST, expect=version)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "shop example"}, "no name of a record"),
        ({"name": 7}, "no name of a record"),
        ({"type": "MX"}, "is not one of A, AAAA, CNAME"),
        ({"zone": ""}, "zone"),
    ],
)
def test_what_is_misconfigured_is_said_at_once(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(StrategyError, match=said):
        WeightedRecords(**{"zone": "Z1", "name": "shop.example.com", **wrong})


@to_the_end_or_back
def test_a_whole_rollout(zone: Zone, router: WeightedRecords, failing: float) -> None:
    roll_out(router, THREE, failing)

    weights = zone.weights()
    assert (weights["v1"], weights["v2"]) == ((200, 0) if failing else (0, 200))
