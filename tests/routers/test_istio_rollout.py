"""Whole rollouts through `Istio` while somebody edits the object: held by name, and taken back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.fake_istio import RELEASE, ROUTER, FakeApi, Router, apply, http, to
from tests.support.rules import rule

from progressive import Canary, Limit, Metric, Phase, Rollout, minutes, percents
from progressive.model.traffic import Traffic
from progressive.model.units import percent
from progressive.routers.istio import Istio
from progressive.testing import ScriptedMetrics, play, steady

ERRORS = Metric("error-rate", kind="ratio")
NAMED = Istio(
    api=ROUTER.api, virtual_service="shop", host="shop", namespace="sales", routes=["api", "main"]
)
CANARY = Canary(
    weights=percents(10, 50, 100), bake=minutes(10), checks=[Limit(ERRORS, at_most=percent(1))]
)


def object_of_two() -> FakeApi:
    return FakeApi(
        http(to("v1", 100), to("v2", 0), name="api", match=[{"uri": {"prefix": "/api"}}]),
        http(to("v1", 100), to("v2", 0), name="main"),
    )


def drop(api: FakeApi) -> None:
    api.edit({"spec": {"http": [route for route in api.routes if route.get("name") != "api"]}})


def redirect(api: FakeApi) -> None:
    api.edit({"spec": {"http": [{"name": "api", "redirect": {"uri": "/"}}, api.routes[-1]]}})


def mirror(api: FakeApi) -> None:
    listed = [{"destination": {"host": "shop", "subset": "v2"}}]
    api.edit({"spec": {"http": [{**each, "mirrors": listed} for each in api.routes]}})


@rule("R7", "R11")
@pytest.mark.parametrize(
    ("spoil", "rate"),
    [(drop, 0.001), (redirect, 0.001), (mirror, 0.001), (mirror, 0.3)],
    ids=["deleted", "redirected", "mirrored", "mirrored, a bad version"],
)
def test_a_part_that_is_lost_at_a_half_holds_the_rollout_and_never_its_way_back(
    spoil: Callable[[FakeApi], None], rate: float
) -> None:
    api, spoiled = object_of_two(), []
    failing = {"now": 0.001}

    def stranger(rollout: Rollout) -> None:
        if not spoiled and api.weights[-1] == [50, 50]:
            spoil(api)
            spoiled.append(api.weights)
            failing["now"] = rate

    def candidate(track: Any, window: Any) -> Any:
        return steady(50, stable=0.001, candidate=failing["now"])(track, window)

    outcome = play(
        CANARY,
        RELEASE,
        router=Router(NAMED, api),
        metrics=[ScriptedMetrics({ERRORS: candidate})],
        before_tick=stranger,
    )

    assert spoiled
    if spoil is mirror and rate < 0.01:  # a drift that can be put right
        assert outcome.rollout.phase is Phase.PROMOTED
    else:
        assert outcome.rollout.phase is Phase.ROLLED_BACK
        assert api.weights[-1] == [100, 0]
        assert "named api" in str(outcome) or "'api'" in str(outcome) or spoil is mirror
    assert not any("mirrors" in route for route in api.routes)


@rule("R12")
@pytest.mark.parametrize("spoil", [drop, redirect], ids=lambda spoil: spoil.__name__)
def test_a_plan_that_begins_on_such_an_object_ends_by_name_and_writes_nothing(
    spoil: Callable[[FakeApi], None],
) -> None:
    api = object_of_two()
    spoil(api)
    before = json.dumps(api.object)

    outcome = play(
        CANARY,
        RELEASE,
        router=Router(NAMED, api),
        metrics=[ScriptedMetrics({ERRORS: steady(50, stable=0.001, candidate=0.001)})],
    )

    assert outcome.rollout.phase is Phase.ROLLED_BACK
    assert "'api'" in str(outcome) or "named api" in str(outcome)
    assert json.dumps(api.object) == before


@rule("R12")
def test_so_does_one_that_begins_beside_a_header_route_that_is_to_stay() -> None:
    match = [{"headers": {"x-beta": {"exact": "yes"}}}]
    api = FakeApi(http(to("v2"), name="beta", match=match), http(to("v1", 100), name="main"))
    before = json.dumps(api.object)

    outcome = play(
        CANARY,
        RELEASE,
        router=Router(ROUTER, api),
        metrics=[ScriptedMetrics({ERRORS: steady(50, stable=0.001, candidate=0.001)})],
    )

    assert outcome.rollout.phase is Phase.ROLLED_BACK
    assert "Istio(routes=['main'])" in str(outcome)
    assert json.dumps(api.object) == before
    main = Istio(
        api=ROUTER.api, virtual_service="shop", host="shop", namespace="sales", routes=["main"]
    )
    assert apply(api, Traffic(candidate=percent(5)), router=main).shows(
        Traffic(candidate=percent(5))
    )
