"""What routers share as values: relative weights as exact shares, markers as text, what is
verified.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progressive.errors import ConflictError, StateError, StrategyError
from progressive.model.release import Release, Track, Version
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import Traffic, exact_shares
from progressive.model.units import MILLION, Percent, percent

TWO = Release(
    service="shop", stable=Version("1", backend="v1"), candidate=Version("2", backend="v2")
)
THREE = Release(
    service="shop", stable=TWO.stable, candidate=TWO.candidate, baseline=Version("1b", backend="v3")
)
FIRST = Release(service="shop", stable=None, candidate=Version("2", backend="v2"))
SERIALS = st.integers(min_value=0, max_value=10**19 - 1)
MARKERS = st.builds(Marker, generation=SERIALS, serial=SERIALS, closed=st.booleans())
WEIGHTS = st.dictionaries(
    st.sampled_from(["v1", "v2", "v3", "stranger"]), st.integers(min_value=0, max_value=2**32)
)


def test_the_versions_of_a_release_are_those_that_it_names() -> None:
    assert {track: str(each) for track, each in THREE.versions.items()} == {
        Track.STABLE: "1",
        Track.CANDIDATE: "2",
        Track.BASELINE: "1b",
    }
    assert list(FIRST.versions) == [Track.CANDIDATE]


# ------------------------------------------------------------------------------------- weights


@given(WEIGHTS)
def test_shares_add_up_to_a_million_and_nothing_that_gets_anything_is_shown_as_nothing(
    weights: dict[str, int],
) -> None:
    shares = exact_shares(weights)

    assert sum(shares.values()) == (MILLION if any(weights.values()) else 0)
    assert all((shares[name] > 0) == (weight > 0) for name, weight in weights.items())


@given(WEIGHTS, st.integers(min_value=1, max_value=1000))
def test_shares_are_relative(weights: dict[str, int], factor: int) -> None:
    assert exact_shares(
        {name: weight * factor for name, weight in weights.items()}
    ) == exact_shares(weights)


@given(WEIGHTS)
def test_traffic_of_weights_has_each_versions_share(weights: dict[str, int]) -> None:
    shares, traffic = exact_shares(weights), Traffic.from_weights(THREE, weights)

    assert traffic.candidate.ppm == shares.get("v2", 0)
    assert traffic.baseline.ppm == shares.get("v3", 0)
    assert traffic.stable.ppm + traffic.candidate.ppm + traffic.baseline.ppm == MILLION


@given(st.integers(min_value=0, max_value=MILLION))
def test_a_share_that_is_written_as_weights_comes_back(ppm: int) -> None:
    weights = {"v1": MILLION - ppm, "v2": ppm}

    assert Traffic.from_weights(TWO, weights) == Traffic(candidate=Percent(ppm))


def test_a_weight_below_zero_is_refused_by_name() -> None:
    with pytest.raises(StrategyError, match=r"weights\['v2'\]: -1 is below 0"):
        Traffic.from_weights(TWO, {"v1": 3, "v2": -1})


# ------------------------------------------------------------------------------------- markers


@given(MARKERS)
def test_a_marker_comes_back_from_its_text(marker: Marker) -> None:
    text = marker.dumps()

    assert Marker.loads(text) == marker
    assert text.isascii() and not {" ", "\n", ";"} & set(text)


def test_the_text_of_a_marker_is_for_people() -> None:
    assert Marker(generation=3, serial=17).dumps() == "3:17:0"
    assert Marker.loads("3:17:1") == Marker(generation=3, serial=17, closed=True)


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
