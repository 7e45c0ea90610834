"""Istio's adapter without a cluster: the flows are driven by hand; the object is changed as an API
server changes it (RFC 7396).
"""

from __future__ import annotations

import json
import shutil
import subprocess
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fake_istio import (
    BETA,
    BY_HOST,
    COOKIE,
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
)
from tests.support.rules import rule

from progressive import Canary, Limit, Metric, minutes, percents
from progressive.adapters.kubernetes import ANNOTATION
from progressive.errors import ConflictError, Failure, RouterError, StrategyError
from progressive.model.release import Release, Version
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import Match, Track, Traffic
from progressive.model.units import Percent, percent
from progressive.routers.istio import Istio, Kubernetes
from progressive.routers.istio.matches import EDITED
from progressive.testing import ScriptedMetrics, check_router, play, steady


@rule("R3", "R12", "R22")
@pytest.mark.parametrize("total", [100, 1000])
@pytest.mark.parametrize(
    "routes",
    [
        [],
        [
            http(to("v1", 100)),
            http(to("cdn", host="cdn")),
            http(to("v1", 7), to("v2", 0), name="second"),
        ],
    ],
)
def test_it_keeps_the_laws_of_all_routers(total: int, routes: list[dict[str, Any]]) -> None:
    istio, api = (
        Istio(api=ROUTER.api, virtual_service="shop", host="shop", namespace="sales", total=total),
        FakeApi(*routes),
    )

    def stranger(traffic: Traffic) -> None:
        shares = [(track.version(THREE), traffic.share(track).ppm // 10_000) for track in Track]
        split = [to(version.backend, weight) for version, weight in shares if version is not None]
        managed = [
            i
            for i, route in enumerate(api.routes)
            if route["route"][0]["destination"]["host"] == "shop"
        ]
        api.edit(
            {
                "spec": {
                    "http": [
                        {**route, "route": split} if i in managed else route
                        for i, route in enumerate(api.routes)
                    ]
                }
            }
        )

    check_router(Router(istio, api), THREE, edit=stranger)


# ------------------------------------------------------------------------------------------ reading


@pytest.mark.parametrize(
    ("weights", "candidate"),
    [
        ((95, 5), 5),
        ((100, 50), 33.3333),  # a sum of 150 is legal, and means shares
        ((1, 1), 50),
        ((0, 7), 100),
        ((None, None), 0),  # nobody gets anything: no share is the candidate's
        ((100, None), 0),
        ((10_000_000, 1), 0.0001),  # next to nothing is not nothing
    ],
)
@rule("R12")
def test_weights_are_relative(weights: tuple[int | None, int | None], candidate: float) -> None:
    served = read(FakeApi(http(to("v1", weights[0]), to("v2", weights[1]))))

    assert served.traffic.candidate == percent(candidate)


def test_a_split_whose_weights_are_all_0_leads_nowhere() -> None:
    assert read(FakeApi(http(to("v1", 0), to("v2", 0)))).unattributed == percent(100)


@pytest.mark.parametrize(("subset", "candidate"), [("v1", 0), ("v2", 100)])
def test_a_single_destination_gets_everything_without_a_weight(
    subset: str, candidate: float
) -> None:
    assert read(FakeApi(http(to(subset)))).traffic.candidate == percent(candidate)


@pytest.mark.parametrize("host", ["shop", "shop.sales.svc.cluster.local"])
def test_a_short_host_means_the_namespace_of_the_virtual_service(host: str) -> None:
    served = read(FakeApi(http(to("v1", 90, host=host), to("v2", 10, host=host))))

    assert served.traffic.candidate == percent(10)


def test_a_host_of_another_namespace_is_another_host() -> None:
    served = read(FakeApi(http(to("v1", 90), to("v2", 10, host="shop.test.svc.cluster.local"))))

    assert (served.traffic.candidate, served.unattributed) == (percent(0), percent(10))


def test_versions_may_be_hosts() -> None:
    api = FakeApi(http(to(None, 80, host="shop-v1"), to(None, 20, host="shop-v2")))

    assert read(api, HOSTS, BY_HOST).traffic.candidate == percent(20)


@rule("R7")
def test_routes_that_differ_count_with_the_highest_share_and_as_not_done() -> None:
    served = read(FakeApi(http(to("v1", 95), to("v2", 5)), http(to("v1", 60), to("v2", 40))))

    assert (served.traffic.candidate, served.converged) == (percent(40), False)


def test_other_routes_do_not_count() -> None:
    api = FakeApi(
        {"redirect": {"uri": "/"}},
        http(to(None, host="cdn")),
        {"delegate": {"name": "x"}},
        http(to("v1", 90), to("v2", 10)),
    )

    served = read(api)

    assert (served.traffic.candidate, served.converged) == (percent(10), True)


@rule("R8")
def test_the_version_rises_with_an_edit_that_was_put_back_and_not_with_a_status() -> None:
    api = FakeApi()
    before = read(api).version

    api.edit({"status": {"observed": 1}, "metadata": {"labels": {"team": "a"}}})
    unmoved = read(api).version
    api.edit({"spec": {"http": [http(to("v1", 50), to("v2", 50))]}})
    api.edit({"spec": {"http": [http(to("v1", 100), to("v2", 0))]}})

    assert unmoved == before
    assert read(api).version != before


@pytest.mark.parametrize(
    ("routes", "router", "why"),
    [
        (
            [http(to(None, host="cdn"))],
            ROUTER,
            "no http route leads to any of the versions of shop",
        ),
        ([http(to("v1", host="other"))], ROUTER, "there is host other subset v1"),
        ([], BY_HOST, "there is no destination"),
        (
            [http(to("v1"), name="a")],
            Istio(
                api=Kubernetes("http://127.0.0.1:1"),
                virtual_service="shop",
                host="shop",
                routes=["b"],
            ),
            "no http route named b; it has a",
        ),
        (
            [http(to(None, host="cdn"), name="a")],
            Istio(
                api=Kubernetes("http://127.0.0.1:1"),
                virtual_service="shop",
                host="shop",
                routes=["a"],
            ),
            "'a' leads to none of the versions",
        ),
    ],
)
def test_what_is_not_there_is_named_with_what_is(
    routes: list[dict[str, Any]], router: Istio, why: str
) -> None:
    api = FakeApi()
    api.object["spec"]["http"] = routes
    mine = Istio(
        api=router.api,
        virtual_service="shop",
        host=router.host,
        namespace="sales",
        routes=router.routes,
    )

    assert not read(api, RELEASE, mine).converged
    with pytest.raises(RouterError) as caught:
        apply(api, Traffic(), router=mine)

    assert why in str(caught.value)
    assert caught.value.failure is Failure.PERMANENT
    assert all(request.method == "GET" for request in api.requests)


# ------------------------------------------------------------------------------------------ writing


def test_a_weight_is_written_and_read_back() -> None:
    api = FakeApi()

    served = apply(api, Traffic(candidate=percent(5)))

    assert (served.traffic.candidate, served.marker, served.converged) == (percent(5), MARKER, True)
    assert api.weights == [[95, 5]]


def test_a_tick_and_a_change_of_weight_are_two_requests() -> None:
    api = FakeApi()
    seen = read(api)

    apply(api, Traffic(candidate=percent(5)), expect=seen.version)

    assert [request.method for request in api.requests] == ["GET", "PATCH"]


def test_a_write_of_another_process_reads_first() -> None:
    api = FakeApi()
    version = read(api).version
    other = Istio(api=ROUTER.api, virtual_service="shop", host="shop", namespace="sales")

    apply(api, Traffic(candidate=percent(5)), expect=version, router=other)

    assert [request.method for request in api.requests] == ["GET", "GET", "PATCH"]


class Driven:
    """The adapter as a router of a whole rollout, on one object."""

    capabilities = ROUTER.capabilities

    def __init__(self, api: FakeApi) -> None:
        self.api = api

    def read(self, release: Release) -> Served:
        return read(self.api)

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        return apply(self.api, traffic, marker=marker, expect=expect)


@pytest.mark.parametrize(
    ("rate", "writes"), [(0.001, 1 + 4), (0.3, 1 + 1 + 1)], ids=["promoted", "rolled back"]
)
def test_a_whole_rollout_reads_once_in_a_tick_and_writes_once_for_each_weight_and_the_claim(
    rate: float, writes: int
) -> None:
    api, ticks = FakeApi(), []
    errors = Metric("error-rate", kind="ratio")
    canary = Canary(
        weights=percents(1, 10, 50, 100),
        bake=minutes(5),
        checks=[Limit(errors, at_most=percent(1))],
    )
    metrics = ScriptedMetrics({errors: steady(50, stable=0.001, candidate=rate)})

    play(canary, RELEASE, router=Driven(api), metrics=[metrics], before_tick=ticks.append)

    methods = [request.method for request in api.requests]
    assert (methods.count("PATCH"), methods.count("GET")) == (writes, len(ticks))


@rule("R3")
def test_the_same_twice_is_the_same_as_once() -> None:
    api = FakeApi()

    once = apply(api, Traffic(candidate=percent(5)))
    twice = apply(api, Traffic(candidate=percent(5)))

    assert once == twice


def test_a_write_that_changes_nothing_leaves_the_spec_alone() -> None:
    api = FakeApi(http(to("v1", 150), to("v2", 0)), http(to("v1")))
    before = deepcopy(api.object["spec"])

    served = apply(api, Traffic())

    assert api.object["spec"] == before
    assert (served.marker, api.object["metadata"]["generation"]) == (MARKER, 1)


def test_foreign_fields_and_routes_and_their_order_stay() -> None:
    static = http(to(None, host="cdn"), match=[{"uri": {"prefix": "/static"}}], name="static")
    main = http(
        to("v1", 100, port={"number": 80}),
        to("v2", 0),
        timeout="3s",
        retries={"attempts": 3},
        name="main",
    )
    last = {"redirect": {"uri": "/"}, "name": "last"}
    api = FakeApi(static, main, last)

    apply(api, Traffic(candidate=percent(30)))

    assert api.routes == [
        static,
        {**main, "route": [to("v1", 70, port={"number": 80}), to("v2", 30)]},
        last,
    ]


def test_only_named_routes_are_written() -> None:
    api = FakeApi(
        http(to("v1", 100), to("v2", 0), name="a"), http(to("v1", 100), to("v2", 0), name="b")
    )
    router = Istio(
        api=ROUTER.api, virtual_service="shop", host="shop", namespace="sales", routes=["b"]
    )

    served = apply(api, Traffic(candidate=percent(30)), router=router)

    assert (api.weights, served.converged) == ([[100, 0], [70, 30]], True)


def test_a_missing_destination_is_added_and_is_gone_when_it_gets_nothing() -> None:
    api = FakeApi(http(to("v1", port={"number": 8080})), http(to("v1", 100), to("v2", 0)))
    before = deepcopy(api.routes)

    apply(api, Traffic(candidate=percent(5)))
    during = deepcopy(api.routes)
    apply(api, Traffic())

    assert during[0]["route"] == [
        to("v1", 95, port={"number": 8080}),
        to("v2", 5, port={"number": 8080}),
    ]
    assert api.routes == [{"route": [{**before[0]["route"][0], "weight": 100}]}, before[1]]


def test_what_was_added_for_a_release_is_gone_once_nothing_leads_back_to_it() -> None:
    api = FakeApi(http(to("v1")))
    second = RELEASE.next(Version("3", backend="v3"))

    apply(api, Traffic(candidate=percent(100)))
    apply(api, Traffic(candidate=percent(100)), release=second, marker=Marker(generation=4))
    after_the_second = deepcopy(api.routes)
    apply(
        api, Traffic(), release=second.next(Version("4", backend="v4")), marker=Marker(generation=5)
    )
    claimed = deepcopy(api.routes)
    apply(
        api,
        Traffic(candidate=percent(1)),
        release=second.next(Version("4", backend="v4")),
        marker=Marker(generation=5, serial=1),
    )

    assert after_the_second == [
        http(to("v1", 0), to("v2", 0), to("v3", 100))
    ]  # v2 is where a way back leads
    assert claimed == after_the_second
    assert api.routes == [http(to("v1", 0), to("v3", 99), to("v4", 1))]


def test_a_destination_of_somebody_else_in_a_route_of_the_same_name_stays() -> None:
    theirs = {**to("v2", 0), "headers": {"request": {"set": {"x": "y"}}}}
    api = FakeApi(http(to("v1"), name="a"), http(to("v1", 100), theirs, name="a"), http(to("v1")))

    apply(api, Traffic(candidate=percent(5), matches=(BETA,)))
    apply(api, Traffic())

    assert api.routes == [
        http(to("v1", 100), name="a"),
        http(to("v1", 100), theirs, name="a"),
        http(to("v1", 100)),
    ]


def test_a_service_whose_name_begins_like_ours_keeps_its_header_route() -> None:
    api = FakeApi()
    other = Release(
        service="shop-api", stable=Version("1", backend="v1"), candidate=Version("2", backend="v2")
    )
    apply(api, Traffic(matches=(BETA,)), release=other)
    names = [route.get("name") for route in api.routes]

    served = apply(api, Traffic())

    assert [route.get("name") for route in api.routes] == names
    assert EDITED not in served.traffic.matches


@rule("R11")
def test_a_route_that_was_edited_to_match_our_header_is_no_error_and_can_be_taken_back() -> None:
    api = FakeApi()
    apply(api, Traffic(candidate=percent(5), matches=(BETA,)))
    api.routes[1]["match"] = [{"headers": {"x-beta": {"exact": "never"}}}]

    seen = read(api)
    back = apply(api, Traffic(), marker=Marker(generation=3, serial=18))

    assert not seen.converged
    assert (back.traffic, back.converged) == (Traffic(), True)


def test_a_third_destination_gets_nothing_while_it_is_ours() -> None:
    api = FakeApi(http(to("v1", 90), to("v9", 10)))

    assert apply(api, Traffic(candidate=percent(10))).unattributed == percent(0)
    assert api.weights == [[90, 0, 10]]


def test_a_baseline_has_a_weight_of_its_own() -> None:
    api = FakeApi()

    served = apply(api, Traffic(candidate=percent(5), baseline=percent(5)), release=THREE)

    assert (served.traffic.baseline, api.weights) == (percent(5), [[90, 5, 5]])


@pytest.mark.parametrize(
    ("total", "share", "weights"), [(1000, 0.1, [999, 1]), (10_000, 0.25, [9975, 25])]
)
def test_a_larger_total_has_smaller_weights(total: int, share: float, weights: list[int]) -> None:
    api = FakeApi()
    router = Istio(
        api=ROUTER.api, virtual_service="shop", host="shop", namespace="sales", total=total
    )

    served = apply(api, Traffic(candidate=percent(share)), router=router)

    assert (api.weights, served.traffic.candidate) == ([weights], percent(share))
    assert router.capabilities.smallest_weight == Percent(1_000_000 // total)


@rule("R12")
def test_a_share_that_the_total_can_not_say_is_refused_before_anything_is_written() -> None:
    api = FakeApi()

    with pytest.raises(RouterError, match="is not a whole number of 100 parts"):
        apply(api, Traffic(candidate=percent(0.5)))

    assert api.requests == []


# ------------------------------------------------------------------------ header routes and mirrors


@pytest.mark.parametrize(
    "matches", [(BETA,), (COOKIE,), (BETA, COOKIE), (Match(name="x_beta.2", value=""),)], ids=str
)
def test_header_and_cookie_routes_stand_before_the_route_that_they_are_of(
    matches: tuple[Match, ...],
) -> None:
    main = http(
        to("v1", 100),
        to("v2", 0),
        match=[{"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/b"}}],
        timeout="3s",
        name="main",
    )
    api = FakeApi(http(to(None, host="cdn")), main)
    wanted = Traffic(matches=matches)

    served = apply(api, wanted)

    assert (served.traffic, served.converged) == (wanted, True)
    assert api.routes[2] == main
    ours = api.routes[1]
    assert (ours["name"], ours["timeout"], ours["route"]) == (
        "progressive-shop#0",
        "3s",
        [to("v2")],
    )
    assert [condition["uri"]["prefix"] for condition in ours["match"]] == ["/a", "/b"] * len(
        matches
    )


def test_they_are_gone_at_every_end() -> None:
    api = FakeApi()
    before = deepcopy(api.routes)

    apply(api, Traffic(candidate=percent(5), matches=(BETA, COOKIE), mirror=percent(10)))
    apply(api, Traffic())

    assert api.routes == before


def test_the_routes_of_another_service_are_not_ours() -> None:
    other = http(
        to(None, host="cart"),
        name="progressive-cart#0",
        match=[{"headers": {"x-beta": {"exact": "yes"}}}],
    )
    api = FakeApi(other, http(to("v1", 100), to("v2", 0)))

    apply(api, Traffic(candidate=percent(5)))

    assert api.routes[0] == other


@pytest.mark.parametrize(
    "edit",
    [
        lambda ours: ours.pop("match"),
        lambda ours: ours["match"][0]["headers"].update({"x-beta": {"prefix": ""}}),
        lambda ours: ours["match"][0].pop("headers"),
        lambda ours: ours["match"][0].update({"headers": {"": {"exact": "yes"}}}),
    ],
    ids=["all requests", "any value", "no header", "no name"],
)
def test_a_route_of_ours_that_was_widened_by_hand_is_more_traffic_for_the_candidate(
    edit: Any,
) -> None:
    api = FakeApi()
    wanted = Traffic(matches=(BETA,))
    apply(api, wanted)

    edit(api.routes[0])
    served = read(api)

    assert EDITED in served.traffic.matches
    assert served.traffic.exceeds(wanted)


def test_a_route_of_ours_that_leads_elsewhere_is_not_settled() -> None:
    api = FakeApi()
    apply(api, Traffic(matches=(BETA,)))

    api.routes[0]["route"] = [to("v1")]

    assert not read(api).converged


def test_a_header_that_the_route_matches_itself_is_refused() -> None:
    api = FakeApi(
        http(to("v1", 100), to("v2", 0), match=[{"headers": {"x-beta": {"exact": "no"}}}])
    )

    with pytest.raises(RouterError, match="matches the header 'x-beta' itself"):
        apply(api, Traffic(matches=(BETA,)))


def test_a_mirror_is_written_read_and_removed() -> None:
    api = FakeApi(http(to("v1", 100, port={"number": 80})))
    before = deepcopy(api.routes)

    served = apply(api, Traffic(mirror=percent(12.5)))
    during = deepcopy(api.routes[0])
    apply(api, Traffic())

    assert served.traffic.mirror == percent(12.5)
    assert during["mirror"] == {"host": "shop", "subset": "v2", "port": {"number": 80}}
    assert during["mirrorPercentage"] == {"value": 12.5}
    assert api.routes == before


@pytest.mark.parametrize(
    ("more", "share"),
    [
        ({"mirror": {"host": "shop", "subset": "v2"}}, 100),
        ({"mirror": {"host": "shop", "subset": "v2"}, "mirrorPercentage": {}}, 0),
        ({"mirror": {"host": "shop", "subset": "v2"}, "mirrorPercentage": {"value": None}}, 0),
        ({"mirror": {"host": "shop", "subset": "v2"}, "mirrorPercent": 5}, 5),
        (
            {
                "mirrors": [
                    {"destination": {"host": "shop", "subset": "v2"}, "percentage": {"value": 30.0}}
                ]
            },
            30,
        ),
        ({"mirror": {"host": "audit"}, "mirrorPercentage": {"value": 50.0}}, 0),
    ],
)
def test_mirrors_that_lead_to_the_candidate_are_seen(more: dict[str, Any], share: float) -> None:
    assert read(FakeApi(http(to("v1", 100), to("v2", 0), **more))).traffic.mirror == percent(share)


def test_a_mirror_of_somebody_else_stays_and_keeps_ours_out() -> None:
    api = FakeApi(
        http(to("v1", 100), to("v2", 0), mirror={"host": "audit"}, mirrorPercentage={"value": 50.0})
    )

    apply(api, Traffic(candidate=percent(5)))
    with pytest.raises(RouterError, match="a mirror of its own"):
        apply(api, Traffic(mirror=percent(5)))

    assert api.routes[0]["mirror"] == {"host": "audit"}


# ---------------------------------------------------------------------------- markers and conflicts


@pytest.mark.parametrize(
    ("there", "why"),
    [
        ('{"shop":{"generation":4,"serial":0}}', "newer than ours"),
        ('{"shop":{"generation":3,"serial":18}}', "newer than ours"),
        ('{"shop":{"generation":3,"serial":1,"closed":true}}', "was closed"),
    ],
)
@rule("R22")
def test_a_newer_or_a_closed_marker_refuses_the_write(there: str, why: str) -> None:
    api = FakeApi(annotation=there)

    with pytest.raises(ConflictError, match=why):
        apply(api, Traffic(candidate=percent(5)))

    assert api.weights == [[100, 0]]


def test_the_marker_of_another_service_stays() -> None:
    api = FakeApi(annotation='{"cart":{"generation":9,"serial":9,"closed":true}}')

    served = apply(api, Traffic(candidate=percent(5)))

    assert served.marker == MARKER
    assert json.loads(api.object["metadata"]["annotations"][ANNOTATION])["cart"] == {
        "generation": 9,
        "serial": 9,
        "closed": True,
    }


@rule("R22")
def test_an_object_that_moved_since_it_was_read_is_not_written() -> None:
    api = FakeApi()
    seen = read(api)
    api.edit({"spec": {"http": [http(to("v1", 50), to("v2", 50))]}})

    with pytest.raises(ConflictError):
        apply(api, Traffic(candidate=percent(5)), expect=seen.version)

    assert api.weights == [[50, 50]]


def test_an_edit_between_the_read_and_the_write_of_one_call_is_refused_by_the_system() -> None:
    api = FakeApi()
    flow = ROUTER.applying(RELEASE, Traffic(candidate=percent(5)), MARKER, None)
    request = flow.send(api(next(flow)))
    api.edit({"metadata": {"labels": {"team": "a"}}})

    with pytest.raises(ConflictError, match="modified"):
        flow.send(api(request))


@pytest.mark.parametrize(
    "text", ["nonsense", "[]", '{"shop":{"generation":-1}}', '{"shop":{"generation":"3"}}']
)
def test_a_marker_edited_by_hand_is_named_with_the_mend(text: str) -> None:
    with pytest.raises(RouterError, match="remove it") as caught:
        read(FakeApi(annotation=text))

    assert ANNOTATION in str(caught.value)


@pytest.mark.parametrize("text", ['{"shop":7}', "{}"])
def test_an_annotation_without_a_marker_of_this_service_is_none(text: str) -> None:
    assert read(FakeApi(annotation=text)).marker is None


# ---------------------------------------------------------------------------- rendering and undoing


def test_a_manifest_is_rendered_without_a_request_and_without_a_marker() -> None:
    manifest = {
        "kind": "VirtualService",
        "metadata": {"name": "shop"},
        "spec": {"hosts": ["shop"], "http": [http(to("v1"))]},
    }
    before = deepcopy(manifest)

    made = ROUTER.render(RELEASE, Traffic(candidate=percent(5)), manifest)

    assert manifest == before
    assert made == {
        **before,
        "spec": {"hosts": ["shop"], "http": [http(to("v1", 95), to("v2", 5))]},
    }


def test_the_line_to_undo_by_hand_names_the_object_and_the_versions() -> None:
    line = ROUTER.undo(RELEASE)

    assert line.startswith("kubectl get -n sales virtualservice shop -o json | jq '")
    assert line.endswith("| kubectl replace -f -")


UNDONE = [
    (
        "two destinations",
        [http(to("v1", 50), to("v2", 50), timeout="3s")],
        [http(to("v1", 100), timeout="3s")],
    ),
    (
        "none of stable",
        [http(to("v2", 100, port={"number": 80}))],
        [http(to("v1", 100, port={"number": 80}))],
    ),
    ("a third one", [http(to("v1", 0), to("v9", 90), to("v2", 10))], [http(to("v1", 100))]),
    (
        "a mirror of ours",
        [
            http(
                to("v1", 100),
                to("v2", 0),
                mirror={"host": "shop", "subset": "v2"},
                mirrorPercentage={"value": 5.0},
            )
        ],
        [http(to("v1", 100))],
    ),
    (
        "a mirror of theirs",
        [http(to("v2", 100), mirror={"host": "audit"})],
        [http(to("v1", 100), mirror={"host": "audit"})],
    ),
    (
        "other routes",
        [http(to(None, host="cdn")), {"redirect": {"uri": "/"}}, http(to("v2", 100))],
        [http(to(None, host="cdn")), {"redirect": {"uri": "/"}}, http(to("v1", 100))],
    ),
]


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
@pytest.mark.parametrize(
    ("routes", "after"), [case[1:] for case in UNDONE], ids=[case[0] for case in UNDONE]
)
@rule("R11")
def test_the_line_to_undo_by_hand_gives_everything_to_stable_and_leaves_the_rest(
    routes: list[Any], after: list[Any]
) -> None:
    api = FakeApi(*routes)
    program = ROUTER.undo(RELEASE).split("| jq '", 1)[1].rsplit("' | kubectl", 1)[0]

    made = json.loads(
        subprocess.run(
            ["jq", program],
            input=json.dumps(api.object),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )

    assert made["spec"]["http"] == after
    assert json.loads(made["metadata"]["annotations"][ANNOTATION]) == {"shop": {"closed": True}}


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_the_line_leaves_routes_that_are_not_managed() -> None:
    api = FakeApi(http(to("v2", 100), name="a"), http(to("v2", 100), name="b"))
    named = Istio(
        api=ROUTER.api, virtual_service="shop", host="shop", namespace="sales", routes=["b"]
    )
    program = named.undo(RELEASE).split("| jq '", 1)[1].rsplit("' | kubectl", 1)[0]

    made = json.loads(
        subprocess.run(
            ["jq", program],
            input=json.dumps(api.object),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )

    assert made["spec"]["http"] == [http(to("v2", 100), name="a"), http(to("v1", 100), name="b")]


# ------------------------------------------------------------------------------------- descriptions


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (
            {"virtual_service": "Shop"},
            "Istio.virtual_service: 'Shop' is no name of a Kubernetes object",
        ),
        ({"virtual_service": "../secrets"}, "is no name of a Kubernetes object"),
        ({"namespace": "a/b"}, "Istio.namespace: 'a/b'"),
        ({"routes": "main"}, "write ['main']"),
        ({"total": 300}, "300 parts are no exact shares; use 100, 1000 or 10000"),
        ({"total": 0}, "Istio.total: 0 must be a whole number"),
        ({"host": "a b"}, "Istio.host"),
    ],
)
@rule("R42")
def test_a_wrong_description_is_named_at_once(given: dict[str, Any], why: str) -> None:
    with pytest.raises(StrategyError) as caught:
        Istio(**{"api": "http://127.0.0.1:8001", "virtual_service": "shop", **given})

    assert why in str(caught.value)


@given(
    weights=st.lists(st.integers(0, 10_000), min_size=2, max_size=2),
    steps=st.lists(st.integers(0, 100), min_size=1, max_size=5),
    matches=st.lists(st.sampled_from([BETA, COOKIE]), unique=True, max_size=2),
    mirror=st.integers(0, 100),
)
def test_whatever_is_written_is_what_is_read_and_rolling_back_restores_the_shares(
    weights: list[int], steps: list[int], matches: list[Match], mirror: int
) -> None:
    api = FakeApi(
        http(to("v1", weights[0]), to("v2", weights[1]), name="main"), http(to(None, host="cdn"))
    )

    for step in steps:
        wanted = Traffic(candidate=percent(step), matches=tuple(matches), mirror=percent(mirror))
        served = apply(api, wanted)
        assert (served.traffic, served.unattributed, served.converged) == (wanted, percent(0), True)
    apply(api, Traffic())

    assert read(api).traffic == Traffic()
    assert [route.get("name") for route in api.routes] == ["main", None]
