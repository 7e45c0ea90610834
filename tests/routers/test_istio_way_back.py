"""A way back of `Istio` is whole: whatever became of one part of the object, every other part that
leads to the candidate is set to stable, by `apply`, by `rollback_now` and by the line of `undo`.

The same fault has brothers, which are tried here too: parts that are missing, renamed, redirected
or lead elsewhere; routes of ours that stand before nothing; mirrors in each form, and in routes
that are not managed any more. Those of other routers are in their own tests (`test_envoy.py`, two
routes with one prefix; `test_haproxy.py`, servers that are not there).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from typing import Any, TypeAlias

import pytest
from tests.support.fake_istio import (
    BETA,
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
from progressive.errors import Failure, RouterError
from progressive.model.router_state import Marker
from progressive.model.traffic import ALL_STABLE, Traffic
from progressive.model.units import percent
from progressive.routers.istio import Istio
from progressive.testing import check_router

NAMED = Istio(
    api=ROUTER.api,
    virtual_service="shop",
    host="shop",
    namespace="sales",
    routes=["api", "main"],
)
V2 = {"host": "shop", "subset": "v2"}
Spoil: TypeAlias = Callable[[list[dict[str, Any]]], object]


def place(routes: list[dict[str, Any]], name: str) -> int:
    return next(i for i, route in enumerate(routes) if route.get("name") == name)


def delete(routes: list[dict[str, Any]]) -> None:
    del routes[place(routes, "api")]


def rename(routes: list[dict[str, Any]]) -> None:
    routes[place(routes, "api")]["name"] = "api-v1"


def unname(routes: list[dict[str, Any]]) -> None:
    del routes[place(routes, "api")]["name"]


def redirect(routes: list[dict[str, Any]]) -> None:
    routes[place(routes, "api")] = {"name": "api", "redirect": {"uri": "/"}}


def maintenance(routes: list[dict[str, Any]]) -> None:
    routes[place(routes, "api")]["route"] = [to(None, host="maintenance")]


def maintenance_beside(routes: list[dict[str, Any]]) -> None:
    routes[place(routes, "api")]["route"].append(to(None, 70, host="maintenance"))


def answer(routes: list[dict[str, Any]]) -> None:
    routes[place(routes, "api")] = {"name": "api", "directResponse": {"status": 503}}


def delegate(routes: list[dict[str, Any]]) -> None:
    routes[place(routes, "api")] = {"name": "api", "delegate": {"name": "other"}}


def without_candidate(routes: list[dict[str, Any]]) -> None:
    routes[place(routes, "api")]["route"] = [to("v1", 100)]


def without_stable(routes: list[dict[str, Any]]) -> None:
    routes[place(routes, "api")]["route"] = [to("v2")]


def add(routes: list[dict[str, Any]]) -> None:
    routes.insert(0, http(to("v1", 10), to("v2", 90), name="new", match=[{"uri": {"exact": "/"}}]))


def below_zero(routes: list[dict[str, Any]]) -> None:
    routes[place(routes, "api")]["route"][0]["weight"] = -5


def mirror(routes: list[dict[str, Any]]) -> None:
    routes[place(routes, "api")]["mirror"] = V2


def old_mirror(routes: list[dict[str, Any]]) -> None:
    routes[place(routes, "api")].update({"mirror": V2, "mirrorPercent": 10})


def mirrors(routes: list[dict[str, Any]]) -> None:
    listed = [{"destination": V2, "percentage": {"value": 30.0}}, {"destination": V2}]
    routes[place(routes, "api")]["mirrors"] = listed


def mirrors_with_theirs(routes: list[dict[str, Any]]) -> None:
    routes[place(routes, "api")]["mirrors"] = [
        {"destination": V2},
        {"destination": {"host": "audit"}},
    ]


def mirrored_maintenance(routes: list[dict[str, Any]]) -> None:
    maintenance(routes)
    mirrors_with_theirs(routes)


SPOILED = [
    delete,
    rename,
    unname,
    redirect,
    maintenance,
    maintenance_beside,
    answer,
    delegate,
    without_candidate,
    without_stable,
    below_zero,
    mirror,
    old_mirror,
    mirrors,
    mirrors_with_theirs,
    mirrored_maintenance,
]


def spoiled(spoil: Spoil, router: Istio = NAMED, *, share: float = 50) -> FakeApi:
    """A rollout at a half, with a header route and a mirror; then somebody edits one part."""
    api = FakeApi(
        http(to("v1", 100), to("v2", 0), name="api", match=[{"uri": {"prefix": "/api"}}]),
        http(to("v1", 100), to("v2", 0), name="main"),
    )
    apply(api, Traffic(candidate=percent(share), matches=(BETA,)), router=router)
    routes = deepcopy(api.routes)
    spoil(routes)
    api.edit({"spec": {"http": routes}})
    api.requests.clear()
    return api


def leading_to_candidate(spec: dict[str, Any]) -> list[object]:
    """Every place of the object that leads somebody to the candidate."""
    found: list[object] = []
    for route in spec["http"]:
        listed = route.get("route", [])
        found += [
            each
            for each in listed
            if each["destination"].get("subset") == "v2"
            and (len(listed) == 1 or each.get("weight", 0))
        ]
        found += [route["mirror"]] if route.get("mirror", {}).get("subset") == "v2" else []
        found += [
            each for each in route.get("mirrors", ()) if each["destination"].get("subset") == "v2"
        ]
    return found


@rule("R11")
@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("closed", [False, True], ids=["lowering", "closed"])
def test_every_part_that_leads_to_the_candidate_is_set_to_stable_in_one_write(
    spoil: Spoil, closed: bool
) -> None:
    api = spoiled(spoil)
    seen = read(api, router=NAMED)
    marker = Marker(generation=3, serial=18, closed=closed)

    after = apply(api, Traffic(), router=NAMED, marker=marker, expect=seen.version)

    assert leading_to_candidate(api.object["spec"]) == []
    assert [request.method for request in api.requests] == ["GET", "PATCH"]
    assert after.shows(ALL_STABLE)
    assert after == read(api, router=NAMED)


@rule("R11")
@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: spoil.__name__)
def test_rollback_now_takes_everything_back(spoil: Spoil) -> None:
    api = spoiled(spoil)

    assert rollback_now(Router(NAMED, api), RELEASE).marker == Marker(
        generation=3, serial=17, closed=True
    )
    assert leading_to_candidate(api.object["spec"]) == []
    rollback_now(Router(NAMED, api), RELEASE)


@rule("R11")
@pytest.mark.parametrize("spoil", [*SPOILED, add], ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("router", [ROUTER, NAMED], ids=["all routes", "named"])
def test_a_router_of_all_routes_takes_back_all(spoil: Spoil, router: Istio) -> None:
    api = spoiled(spoil, router)
    left = 1 if spoil is add and router is NAMED else 0

    rollback_now(Router(router, api), RELEASE)

    assert len(leading_to_candidate(api.object["spec"])) == left


@rule("R11")
@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("router", [ROUTER, NAMED], ids=["all routes", "named"])
def test_the_line_to_undo_by_hand_does_the_same(spoil: Spoil, router: Istio) -> None:
    api = spoiled(spoil, router)
    made = undone(api, router)

    assert leading_to_candidate(made["spec"]) == []
    api.object = {**made, "metadata": {**made["metadata"], "generation": 9}}
    assert read(api, router=router).shows(ALL_STABLE)
    assert read(api, router=router).marker == Marker(generation=3, serial=17, closed=True)


@rule("R7")
@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: spoil.__name__)
def test_until_then_it_counts_as_not_done_with_the_most_that_the_candidate_has(
    spoil: Spoil,
) -> None:
    seen = read(spoiled(spoil), router=NAMED)

    assert not seen.shows(Traffic(candidate=percent(50), matches=(BETA,)))
    assert seen.traffic.candidate >= percent(50)


@rule("R11")
def test_it_keeps_the_law_of_a_whole_way_back() -> None:
    """That of the contract kit, which any router may be held to."""
    api = FakeApi(
        http(to("v1", 100), to("v2", 0), name="api", match=[{"uri": {"prefix": "/api"}}]),
        http(to("v1", 100), to("v2", 0), name="main"),
    )
    healthy = deepcopy(api.routes)

    @contextmanager
    def open_while(spoil: Spoil) -> Iterator[None]:
        routes = deepcopy(api.routes)
        spoil(routes)
        api.edit({"spec": {"http": routes}})
        try:
            yield
        finally:
            api.edit({"spec": {"http": deepcopy(healthy)}})

    def type_it(line: str) -> None:
        api.replace(undone(api, NAMED))

    report = check_router(
        Router(NAMED, api),
        THREE,
        parts={spoil.__name__: partial(open_while, spoil) for spoil in SPOILED},
        undo=None if shutil.which("jq") is None else type_it,
    )

    assert "a way back is whole" in report.held
    assert api.routes == healthy


LOST: list[tuple[Spoil, str]] = [
    (delete, "has no http route named api; it has main"),
    (rename, "has no http route named api; it has api-v1, main"),
    (redirect, "the http route 'api' leads to none of the versions of shop"),
    (maintenance, "there is host maintenance"),
    (answer, "there is no destination"),
    (delegate, "the http route 'api' leads to none of the versions of shop"),
]


@rule("R2")
@pytest.mark.parametrize(("spoil", "why"), LOST, ids=[spoil.__name__ for spoil, _ in LOST])
@pytest.mark.parametrize("share", [50, 60])
def test_a_raise_and_what_stays_are_refused_by_name(spoil: Spoil, why: str, share: float) -> None:
    api = spoiled(spoil)

    with pytest.raises(RouterError) as caught:
        apply(api, Traffic(candidate=percent(share), matches=(BETA,)), router=NAMED)

    assert why in str(caught.value)
    assert caught.value.failure is Failure.PERMANENT
    assert [request.method for request in api.requests] == ["GET"]


@rule("R12")
@pytest.mark.parametrize(("spoil", "why"), LOST, ids=[spoil.__name__ for spoil, _ in LOST])
def test_a_plan_that_begins_there_is_refused_by_name_before_anything_is_written(
    spoil: Spoil, why: str
) -> None:
    api = spoiled(spoil)
    rollback_now(Router(NAMED, api), RELEASE)
    api.requests.clear()
    seen = read(api, router=NAMED)

    with pytest.raises(RouterError) as caught:
        apply(api, Traffic(), router=NAMED, marker=Marker(generation=4), expect=seen.version)

    assert why in str(caught.value)
    assert [request.method for request in api.requests] == ["GET"]


@rule("R3")
def test_a_way_back_may_be_written_again_where_it_stands() -> None:
    api = spoiled(delete)

    for serial in (18, 19):
        after = apply(api, Traffic(), router=NAMED, marker=Marker(generation=3, serial=serial))
        assert after.shows(ALL_STABLE)


def test_without_any_route_of_the_release_nothing_is_done_and_nothing_fails() -> None:
    api = spoiled(delete)
    api.edit({"spec": {"http": [{"redirect": {"uri": "/"}}]}})

    after = apply(api, Traffic(), marker=Marker(generation=3, serial=18, closed=True))

    assert (after.traffic, after.converged) == (ALL_STABLE, False)


def test_a_header_route_of_ours_that_was_left_alone_is_seen_and_leads_to_stable() -> None:
    """Istio takes no object without a route, so it can't be removed."""
    api = FakeApi()
    apply(api, Traffic(matches=(BETA,)))
    api.edit({"spec": {"http": api.routes[:1]}})
    seen = read(api)

    apply(api, Traffic(), marker=Marker(generation=3, serial=18))

    assert (seen.traffic.matches, seen.converged) == ((BETA,), False)
    assert [route["route"] for route in api.routes] == [[to("v1")]]
    assert "name" not in api.routes[0]


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_the_line_leads_it_to_stable_too() -> None:
    api = FakeApi()
    apply(api, Traffic(matches=(BETA,)))
    api.edit({"spec": {"http": api.routes[:1]}})

    assert leading_to_candidate(undone(api)["spec"]) == []


def test_a_header_route_of_ours_that_is_left_beside_others_is_removed() -> None:
    api = FakeApi(http(to("v1", 100), to("v2", 0), name="a"), http(to(None, host="cdn"), name="b"))
    apply(api, Traffic(matches=(BETA,)))
    api.edit({"spec": {"http": [api.routes[0], api.routes[2]]}})

    assert apply(api, Traffic(), marker=Marker(generation=3, serial=18)).traffic == ALL_STABLE
    assert [route.get("name") for route in api.routes] == ["b"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"mirrors": [{"destination": V2}]}, {}),
        (
            {"mirrors": [{"destination": V2}, {"destination": {"host": "audit"}}]},
            {"mirrors": [{"destination": {"host": "audit"}}]},
        ),
        ({"mirror": V2, "mirrors": [{"destination": V2}]}, {}),
        ({"mirror": V2, "mirrorPercent": 5}, {}),
        (
            {"mirror": {"host": "audit"}, "mirrors": [{"destination": V2}]},
            {"mirror": {"host": "audit"}},
        ),
    ],
)
def test_mirrors_to_the_candidate_are_removed_in_every_form_and_others_stay(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    api = FakeApi(http(to("v1", 100), to("v2", 0), **before))

    served = apply(api, Traffic(), marker=Marker(generation=1, closed=True))

    assert served.shows(ALL_STABLE)
    assert api.routes == [http(to("v1", 100), to("v2", 0), **after)]


def test_a_lower_mirror_beside_a_strangers_is_none_and_no_error() -> None:
    theirs = {"mirrors": [{"destination": {"host": "audit"}}, {"destination": V2}]}
    api = FakeApi(http(to("v1", 50), to("v2", 50), **theirs))

    apply(api, Traffic(candidate=percent(10), mirror=percent(10)))

    assert api.weights == [[90, 10]]
    assert api.routes[0]["mirrors"] == theirs["mirrors"][:1]


def test_a_lower_header_route_that_can_not_be_is_none_and_no_error() -> None:
    api = FakeApi()
    apply(api, Traffic(candidate=percent(50), matches=(BETA,)))
    api.routes[1]["match"] = [{"headers": {"x-beta": {"exact": "never"}}}]

    apply(api, Traffic(candidate=percent(10), matches=read(api).traffic.matches))

    assert [route["route"] for route in api.routes] == [[to("v1", 90), to("v2", 10)]]


def test_a_manifest_of_a_way_back_is_rendered_too() -> None:
    api = spoiled(delete)

    made = NAMED.render(RELEASE, ALL_STABLE, api.object)
    with pytest.raises(RouterError, match="has no http route named api"):
        NAMED.render(RELEASE, Traffic(candidate=percent(60)), api.object)

    assert leading_to_candidate(made["spec"]) == []


# ------------------------------------------------------------ header routes that are meant to stay


def test_a_header_route_to_the_candidate_that_is_to_stay_is_named_with_the_mend() -> None:
    stays = http(to("v2"), name="beta", match=[{"headers": {"x-beta": {"exact": "yes"}}}])
    main = http(to("v1", 100), to("v2", 0), name="main")
    api = FakeApi(stays, main)

    seen = read(api)
    with pytest.raises(RouterError) as caught:
        apply(api, Traffic(), expect=seen.version)

    assert not seen.converged
    assert "the http route 'beta' leads every request that matches to the candidate" in str(
        caught.value
    )
    assert "Istio(routes=['main'])" in str(caught.value)
    assert api.routes == [stays, main]


def test_a_weight_below_0_is_named_where_a_plan_begins() -> None:
    """The API stores one, and Envoy then keeps all that it had before."""
    api = FakeApi(http(to("v1", 100), to("v2", -5)))

    assert not read(api).converged
    with pytest.raises(RouterError, match="the http route number 1 has a weight of -5"):
        apply(api, Traffic())


def test_where_the_others_have_no_name_it_says_to_give_them_one() -> None:
    api = FakeApi(http(to("v2"), match=[{"headers": {"x-beta": {"exact": "yes"}}}]), http(to("v1")))

    with pytest.raises(RouterError, match=r"the http route number 1 leads .* give it a name"):
        apply(api, Traffic())


def test_with_the_routes_named_it_stays_on_the_way_back() -> None:
    stays = http(to("v2"), name="beta", match=[{"headers": {"x-beta": {"exact": "yes"}}}])
    api = FakeApi(stays, http(to("v1", 100), to("v2", 0), name="main"))
    router = Istio(
        api=ROUTER.api, virtual_service="shop", host="shop", namespace="sales", routes=["main"]
    )

    apply(api, Traffic(candidate=percent(5)), router=router)
    rollback_now(Router(router, api), RELEASE)

    assert api.routes == [stays, http(to("v1", 100), to("v2", 0), name="main")]


def test_one_that_somebody_adds_meanwhile_is_taken_back_with_the_rest() -> None:
    api = FakeApi()
    apply(api, Traffic(candidate=percent(50)))
    stays = http(to("v2"), name="beta", match=[{"headers": {"x-beta": {"exact": "yes"}}}])
    api.edit({"spec": {"http": [stays, *api.routes]}})

    assert not read(api).converged
    rollback_now(Router(ROUTER, api), RELEASE)
    assert leading_to_candidate(api.object["spec"]) == []


# ------------------------------------------------------ header routes that nothing could match


@pytest.mark.parametrize(
    ("without", "refused"),
    [
        ({"x-beta": {}}, True),
        ({"x-beta": {"exact": "yes"}}, True),
        ({"x-beta": {"prefix": "y"}}, True),
        ({"x-beta": {"regex": ".*"}}, True),
        ({"x-beta": {"exact": "no"}}, False),
        ({"x-beta": {"prefix": "n"}}, False),
        ({"x-other": {}}, False),
    ],
)
def test_a_route_that_excludes_our_header_is_refused_as_one_that_matches_it(
    without: dict[str, Any], refused: bool
) -> None:
    api = FakeApi(http(to("v1", 100), to("v2", 0), match=[{"withoutHeaders": without}]))
    wanted = Traffic(matches=(BETA,))

    if refused:
        with pytest.raises(RouterError, match="matches the header 'x-beta' itself"):
            apply(api, wanted)
        assert all(request.method == "GET" for request in api.requests)
    else:
        assert apply(api, wanted).shows(wanted)
    assert MARKER.generation == 3
