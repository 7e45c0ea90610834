"""The destinations of a route that `Istio` makes and keeps: the candidate's takes the port of
stable's, and a split within a version keeps its proportions at every weight, and is given back.

Tried for all that makes or keeps one: weights, header routes, mirrors, the way back, `rollback_now`
and the line of `undo`.
"""

from __future__ import annotations

import json
import shutil
from copy import deepcopy
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fake_istio import (
    BETA,
    BY_HOST,
    HOSTS,
    MARKER,
    RELEASE,
    ROUTER,
    THREE,
    FakeApi,
    Router,
    apply,
    http,
    read,
    to,
    undone,
)
from tests.support.rules import rule

from progressive import rollback_now
from progressive.adapters.kubernetes import ANNOTATION
from progressive.errors import Failure, RouterError
from progressive.model.router_state import Marker
from progressive.model.traffic import Traffic
from progressive.model.units import Percent, percent
from progressive.routers.istio import Istio
from progressive.routers.istio.splits import LARGEST_SUM, in_proportion, nearest, proportions

needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
P8080, P9090, P9000 = ({"port": {"number": number}} for number in (8080, 9090, 9000))
MAINTENANCE = to(None, 0, host="maintenance", **P9090)


def ported(destination: dict[str, Any]) -> int | None:
    port: int | None = destination.get("port", {}).get("number")
    return port


# -------------------------------------------------------------------------------------------- ports


def test_the_candidate_takes_the_port_of_stable_not_of_the_first_destination() -> None:
    api = FakeApi(http(MAINTENANCE, to("v1", 100, **P8080)))
    before = deepcopy(api.routes)

    apply(api, Traffic(candidate=percent(5), matches=(BETA,), mirror=percent(10)))
    ours, main = deepcopy(api.routes)
    apply(api, Traffic())

    assert main["route"] == [MAINTENANCE, to("v1", 95, **P8080), to("v2", 5, **P8080)]
    assert ported(main["mirror"]) == 8080
    assert ours["route"] == [to("v2", **P8080)]
    assert api.routes == before


def test_of_several_ports_of_stable_it_is_one_that_gets_requests() -> None:
    api = FakeApi(http(to("v1", 0, **P9090), to("v1", 100, **P8080)))

    for share in (5, 100):
        served = apply(api, Traffic(candidate=percent(share), matches=(BETA,)))
        assert served.converged
        assert api.routes[0]["route"] == [to("v2", **P8080)]
        assert ported(api.routes[1]["route"][-1]["destination"]) == 8080


def test_a_port_of_the_candidates_own_is_kept_in_header_routes_and_mirrors() -> None:
    api = FakeApi(http(to("v1", 100, **P8080), to("v2", 0, **P9000)))

    apply(api, Traffic(candidate=percent(5), matches=(BETA,), mirror=percent(10)))

    assert api.routes[0]["route"] == [to("v2", **P9000)]
    assert ported(api.routes[1]["mirror"]) == 9000


@needs_jq
def test_a_stable_that_is_missing_takes_the_port_of_the_candidate() -> None:
    wanted = [to("v1", 100, **P8080)]
    api = FakeApi(http(MAINTENANCE, to("v2", 100, **P8080)))
    made = undone(api)["spec"]["http"]

    rollback_now(Router(ROUTER, api), RELEASE)

    assert [each for each in api.routes[0]["route"] if each.get("weight")] == wanted
    assert made[0]["route"] == wanted


# -------------------------------------------------------------------------------- a split of stable

SPLITS = {
    "two ports": [to("v1", 70, **P8080), to("v1", 30, **P9090)],
    "headers of their own": [
        {**to("v1", 70), "headers": {"request": {"set": {"zone": "eu"}}}},
        {**to("v1", 30), "headers": {"request": {"set": {"zone": "us"}}}},
    ],
    "odd numbers": [to("v1", 7, **P8080), to("v1", 3, **P9090)],
    "thirds": [to("v1", 1, **P8080), to("v1", 2, **P9090)],
    "three, and one of them at 0": [to("v1", 9), to("v1", 0, **P8080), to("v1", 1, **P9090)],
}
ZONES = [
    to("eu", 70, host="shop-v1"),
    to("us", 30, host="shop-v1"),
]


def stable_of(api: FakeApi, i: int = -1) -> list[int]:
    return [
        each["weight"]
        for each in api.routes[i]["route"]
        if each["destination"].get("subset") in ("v1", "eu", "us")
    ]


@rule("R12")
@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
@pytest.mark.parametrize("declared", [[], [to("v2", 0)]], ids=["candidate added", "declared"])
def test_a_split_within_stable_keeps_its_proportions_at_every_weight_and_is_given_back(
    split: list[dict[str, Any]], declared: list[dict[str, Any]]
) -> None:
    api = FakeApi(http(*split, *declared, name="main"))
    before = deepcopy(api.object["spec"])
    original = [each["weight"] for each in split]

    for serial, share in enumerate((1, 5, 33, 99, 100, 50, 100, 10, 0)):
        wanted = Traffic(candidate=percent(share), matches=(BETA,) if share % 2 else ())
        served = apply(api, wanted, marker=Marker(generation=3, serial=serial))
        now = stable_of(api)

        assert served.shows(wanted)
        assert all(
            one * sum(original) == other * sum(now)
            for one, other in zip(now, original, strict=True)
        )
    assert api.object["spec"] == before
    assert "split" not in api.object["metadata"]["annotations"][ANNOTATION]


@rule("R12")
def test_zones_of_a_version_that_is_a_host_are_a_split_too() -> None:
    api = FakeApi(http(*deepcopy(ZONES)))

    apply(api, Traffic(candidate=percent(10)), release=HOSTS, router=BY_HOST)
    assert api.weights == [[63, 27, 10]]
    apply(api, Traffic(candidate=percent(5)), release=HOSTS, router=BY_HOST)
    assert api.weights == [[133, 57, 10]]
    rollback_now(Router(BY_HOST, api), HOSTS)

    assert api.routes == [http(*ZONES)]


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
@pytest.mark.parametrize("share", [10, 99, 100])
@pytest.mark.parametrize("name", [{"name": "main"}, {}], ids=["named", "without a name"])
@needs_jq
@rule("R11")
def test_the_line_to_undo_by_hand_keeps_them(
    split: list[dict[str, Any]], share: float, name: dict[str, str]
) -> None:
    api = FakeApi(http(to(None, host="cdn")), http(*deepcopy(split), **name))
    apply(api, Traffic(candidate=percent(share)))

    made = undone(api)["spec"]["http"][1]["route"]
    now, original = [each["weight"] for each in made], [each["weight"] for each in split]

    assert [each["destination"] for each in made] == [each["destination"] for each in split]
    assert all(
        one * sum(original) == other * sum(now) for one, other in zip(now, original, strict=True)
    )


@pytest.mark.parametrize("share", [10, 100])
@needs_jq
def test_the_line_keeps_zones_of_a_version_that_is_a_host(share: float) -> None:
    api = FakeApi(http(*deepcopy(ZONES), name="main"))
    apply(api, Traffic(candidate=percent(share)), release=HOSTS, router=BY_HOST)

    made = undone(api, BY_HOST, HOSTS)["spec"]["http"][0]["route"]

    assert [each["weight"] for each in made] == ([63, 27] if share == 10 else [70, 30])


@rule("R11")
def test_a_way_back_after_a_promotion_knows_them_still() -> None:
    api = FakeApi(http(*deepcopy(SPLITS["two ports"])))
    apply(api, Traffic(candidate=percent(100)))
    other = Istio(api=ROUTER.api, virtual_service="shop", host="shop", namespace="sales")

    apply(api, Traffic(), router=other, marker=Marker(generation=4))

    assert api.routes == [http(*SPLITS["two ports"])]


def test_a_release_that_goes_back_to_it_knows_them_still() -> None:
    api = FakeApi(http(*deepcopy(SPLITS["two ports"]), to("v2", 0)))
    apply(api, Traffic(candidate=percent(100)))

    for share in (0, 50):
        served = apply(
            api,
            Traffic(candidate=percent(share)),
            release=RELEASE.reversed(),
            marker=Marker(generation=4, serial=share),
        )
        assert served.traffic.candidate == percent(share)

    assert api.weights == [[35, 15, 50]]


def test_what_somebody_has_divided_anew_meanwhile_counts() -> None:
    api = FakeApi(http(*deepcopy(SPLITS["two ports"])))
    apply(api, Traffic(candidate=percent(50)))
    theirs = [to("v1", 25, **P8080), to("v1", 25, **P9090), to("v2", 50, **P8080)]
    api.edit({"spec": {"http": [http(*theirs)]}})

    apply(api, Traffic(), marker=Marker(generation=3, serial=18))

    assert stable_of(api) == [25, 25]


def test_a_baseline_stands_beside_a_split() -> None:
    api = FakeApi(http(*deepcopy(SPLITS["two ports"])))

    served = apply(api, Traffic(candidate=percent(10), baseline=percent(10)), release=THREE)

    assert served.shows(Traffic(candidate=percent(10), baseline=percent(10)))
    assert api.weights == [[56, 24, 10, 10]]


def test_a_candidate_with_several_destinations_and_no_weights_gets_all_at_the_first() -> None:
    api = FakeApi(http(to("v1", 100), to("v2", 0, **P8080), to("v2", 0, **P9090)))

    apply(api, Traffic(candidate=percent(10)))
    apply(api, Traffic(candidate=percent(20)))

    assert api.weights == [[80, 20, 0]]


def test_proportions_that_no_weights_can_keep_are_refused_but_never_on_the_way_back() -> None:
    api = FakeApi(http(to("v1", 1_000_000_007, **P8080), to("v1", 1_000_000_009, **P9090)))
    before = deepcopy(api.routes)

    with pytest.raises(RouterError, match="the http route number 1 divides a version") as caught:
        apply(api, Traffic(candidate=percent(5)))
    assert caught.value.failure is Failure.PERMANENT
    assert api.routes == before

    api.edit({"spec": {"http": [http(*before[0]["route"], to("v2", 2_000_000_016))]}})
    apply(api, Traffic(candidate=percent(5)))
    assert api.weights == [[47, 48, 5]]
    rollback_now(Router(ROUTER, api), RELEASE)
    assert read(api).shows(Traffic())


def test_an_object_without_such_a_split_is_noted_as_ever() -> None:
    api = FakeApi(http(to("v1", 100), to("v2", 0)))

    apply(api, Traffic(candidate=percent(5)))

    assert api.object["metadata"]["annotations"][ANNOTATION] == (
        '{"shop":{"closed":false,"generation":3,"serial":17}}'
    )
    assert Marker(generation=3, serial=17) == MARKER


@pytest.mark.parametrize(
    "noted", ["x", [], [1], [0, 0, 0], [1, 2, 3, 4], [1, -1, 3], [1.5, 2, 3], {"a": 1}]
)
def test_notes_that_were_edited_are_not_believed(noted: object) -> None:
    split = [to("v1", 0), to("v1", 0, **P8080), to("v1", 0, **P9090)]
    annotation = json.dumps({"shop": {"generation": 3, "split": {"main v1": noted}}})
    api = FakeApi(http(*split, to("v2", 100), name="main"), annotation=annotation)

    apply(api, Traffic(), marker=Marker(generation=3, serial=1))

    assert stable_of(api) == [100, 0, 0]


# ----------------------------------------------------------------------------------- the arithmetic


@given(
    total=st.sampled_from([100, 1000, 10_000]),
    share=st.integers(0, 100),
    base=st.lists(st.integers(0, 1000), min_size=1, max_size=4).filter(any),
)
def test_shares_and_proportions_are_exact(total: int, share: int, base: list[int]) -> None:
    candidate = total * share // 100
    wanted = {"stable": total - candidate, "candidate": candidate}
    found = in_proportion(wanted, {"stable": base, "candidate": [1]})

    assert found is not None
    whole = sum(map(sum, found.values()))
    assert 0 < whole <= LARGEST_SUM
    assert Fraction(sum(found["candidate"]), whole) == Fraction(share, 100)
    assert all(
        Fraction(each, 1) * sum(base) == part * sum(found["stable"])
        for each, part in zip(found["stable"], base, strict=True)
    )


@given(
    share=st.integers(0, 100),
    base=st.lists(st.integers(0, 10**9), min_size=1, max_size=4).filter(any),
)
def test_the_nearest_whole_parts_lose_nothing(share: int, base: list[int]) -> None:
    found = nearest({"stable": 100 - share, "candidate": share}, {"stable": base, "candidate": [1]})

    assert (sum(found["stable"]), found["candidate"]) == (100 - share, [share])
    assert all(
        abs(Fraction((100 - share) * part, sum(base)) - each) < 1
        for each, part in zip(found["stable"], base, strict=True)
    )


@pytest.mark.parametrize(
    ("now", "noted", "found"),
    [
        ([63, 27], [70, 30], [70, 30]),
        ([0, 0], [70, 30], [70, 30]),
        ([50, 40], [70, 30], [50, 40]),
        ([0, 0], None, None),
        ([7, 3], None, [7, 3]),
    ],
)
def test_what_was_noted_counts_until_somebody_changes_it(
    now: list[int], noted: object, found: list[int] | None
) -> None:
    assert proportions(now, noted) == found
    assert Percent(1).ppm == 1
