"""What routers share as values: what they are able to, markers as text, what is verified."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.rules import rule
from tests.support.world import RELEASE

from progressive import Match, Release, RouterError, Version
from progressive.errors import ConflictError, Failure, StateError, StrategyError
from progressive.model import Capabilities
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import Traffic
from progressive.model.units import Percent, percent

SERIALS = st.integers(min_value=0, max_value=10**19 - 1)


MARKERS = st.builds(Marker, generation=SERIALS, serial=SERIALS, closed=st.booleans())


# ------------------------------------------------------------------------------------- markers


@given(MARKERS)
def test_a_marker_comes_back_from_its_text(marker: Marker) -> None:
    text = marker.dumps()

    assert Marker.loads(text) == marker
    assert text.isascii() and not {" ", "\n", ";"} & set(text)


@pytest.mark.parametrize("owner", ["1st", "A", "a b", "a:b", "x" * 33, 7, None])
def test_an_owner_is_a_word_that_every_router_can_carry(owner: Any) -> None:
    with pytest.raises(StrategyError, match=r"Marker\.owner: .* is no owner"):
        Marker(generation=1, owner=owner)


def test_an_owner_is_made_of_the_rollouts_id() -> None:
    assert Marker.owner_of("shop-v2") == Marker.owner_of("shop-v2") != Marker.owner_of("shop-v3")
    assert Marker(generation=1, owner=Marker.owner_of("anything:at/all")).owner


@rule("R2")
def test_of_one_generation_the_first_owner_is_never_written_over() -> None:
    there = Marker(generation=3, serial=1, owner="a")
    served = Served(traffic=Traffic(), marker=there)
    for serial in (0, 1, 9):
        with pytest.raises(ConflictError, match="generation 3 is another rollout's"):
            served.refuse_overtaken(Marker(generation=3, serial=serial, owner="b"), None)
    served.refuse_overtaken(Marker(generation=3, serial=1), None)
    served.refuse_overtaken(Marker(generation=4, owner="b"), None)


def test_the_text_of_a_marker_is_for_people() -> None:
    assert Marker(generation=3, serial=17).dumps() == "3:17:0"
    assert Marker.loads("3:17:1") == Marker(generation=3, serial=17, closed=True)
    assert Marker.loads("3:17:0:r0f3c") == Marker(generation=3, serial=17, owner="r0f3c")
    assert Marker(generation=3, serial=17, owner="r0f3c").dumps() == "3:17:0:r0f3c"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "3:17",
        "3:17:2",
        "03:17:0",
        "3:17:0 ",
        " 3:17:0",
        "3:17:0\n",
        "-3:17:0",
        "3:17:true",
        "٣:17:0",
        "3:17:0:0",
        "3_0:1:0",
        f"{10**19}:0:0",
        "x" * 5000,
    ],
)
def test_any_other_text_is_no_marker(text: str) -> None:
    with pytest.raises(
        StateError, match=r"is no marker; expected generation:serial:closed"
    ) as caught:
        Marker.loads(text)

    assert len(str(caught.value)) < 200


@given(MARKERS, MARKERS)
def test_a_marker_forbids_what_is_older_and_a_closed_one_whatever_reopens_its_generation(
    one: Marker, other: Marker
) -> None:
    reopens = one.closed and not other.closed and one.generation == other.generation

    assert one.forbids(other) is (one.supersedes(other) or reopens)
    assert not one.forbids(one)
    assert not one.forbids(Marker(generation=one.generation + 1))


# -------------------------------------------------------------------------------------- served


@pytest.mark.parametrize(
    ("served", "shows"),
    [
        (Served(traffic=Traffic(candidate=percent(5))), True),
        (Served(traffic=Traffic(candidate=percent(4))), False),
        (Served(traffic=Traffic(candidate=percent(5)), converged=False), False),
        (Served(traffic=Traffic(candidate=percent(5)), unattributed=Percent(1)), False),
    ],
)
def test_traffic_is_verified_where_all_of_it_is_served_everywhere(
    served: Served, shows: bool
) -> None:
    assert served.shows(Traffic(candidate=percent(5))) is shows


@pytest.mark.parametrize(
    ("there", "expect", "said"),
    [
        (Marker(generation=4), None, "generation 4, serial 0 stands there, newer than ours"),
        (Marker(generation=3, serial=18), None, "generation 3, serial 18 stands there"),
        (Marker(generation=3, serial=2, closed=True), None, "generation 3 was closed"),
        (None, "another", "were changed since they were read"),
    ],
)
def test_a_write_that_was_overtaken_is_a_conflict(
    there: Marker | None, expect: str | None, said: str
) -> None:
    served = Served(traffic=Traffic(), version="7", marker=there)

    with pytest.raises(ConflictError, match=f"map shop: .*{said}"):
        served.refuse_overtaken(Marker(generation=3, serial=17), expect, where="map shop")


@pytest.mark.parametrize(
    "there", [None, Marker(generation=3, serial=17), Marker(generation=2, closed=True)]
)
@pytest.mark.parametrize("expect", [None, "7"])
def test_a_write_that_nothing_has_overtaken_is_not(
    there: Marker | None, expect: str | None
) -> None:
    served = Served(traffic=Traffic(), version="7", marker=there)

    assert served.refuse_overtaken(Marker(generation=3, serial=17), expect) is None


def test_markers_supersede_by_generation_then_serial() -> None:
    marks = [Marker(generation=1, serial=9), Marker(generation=2), Marker(generation=2, serial=1)]

    assert [[one.supersedes(other) for other in marks] for one in marks] == [
        [False] * 3,
        [True, False, False],
        [True, True, False],
    ]


# ------------------------------------------------------------------------------ what a person reads


NOBODY = Release(service="shop", stable=None, candidate=Version("v2"))


@rule("R12")
@pytest.mark.parametrize(
    ("able", "release", "traffic", "said"),
    [
        (
            Capabilities(),
            RELEASE,
            Traffic(candidate=percent(0.5)),
            "0.5 % is not a multiple of the router's smallest weight, 1 %",
        ),
        (
            Capabilities(matches=True),
            RELEASE,
            Traffic(mirror=percent(5)),
            "the router can't do mirroring",
        ),
        (
            Capabilities(mirror=True),
            RELEASE,
            Traffic(matches=[Match(name="beta", value="1")]),
            "the router can't do header and cookie routes",
        ),
        (
            Capabilities(),
            NOBODY,
            Traffic(candidate=percent(40)),
            "shop has no stable version, so 60 % of the requests have nowhere to go",
        ),
        (
            Capabilities(baseline=True),
            RELEASE,
            Traffic(baseline=percent(7)),
            "shop has no baseline version to give 7 % to; name it in Release(baseline=...)",
        ),
        (
            Capabilities(),
            RELEASE,
            Traffic(candidate=percent(2.5), baseline=percent(1)),
            (
                "2.5 % is not a multiple of the router's smallest weight, 1 %; the router "
                "can't do a baseline track; "
                "shop has no baseline version to give 1 % to; name it in Release(baseline=...)"
            ),
        ),
    ],
)
def test_a_router_refuses_what_it_can_not_do_and_what_has_nowhere_to_go(
    able: Capabilities, release: Release, traffic: Traffic, said: str
) -> None:
    with pytest.raises(RouterError) as caught:
        able.refuse(release, traffic)

    assert str(caught.value) == said
    assert caught.value.failure is Failure.PERMANENT


@rule("R12")
def test_a_router_takes_all_that_it_declares() -> None:
    able = Capabilities(smallest_weight=percent(2.5), baseline=True, matches=True, mirror=True)
    wanted = Traffic(
        candidate=percent(97.5),
        baseline=percent(2.5),
        mirror=percent(5),
        matches=[Match(name="beta", value="1")],
    )

    able.refuse(attrs.evolve(RELEASE, baseline=Version("v1-fresh")), wanted)
    Capabilities().refuse(NOBODY, Traffic(candidate=percent(100)))
