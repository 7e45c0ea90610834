"""Who gets how much: shares, weights, and the names of the tracks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.releases import THREE, TWO
from tests.support.world import World

from progressive import Match, Track, decide, hours, percent, seconds
from progressive.errors import StrategyError
from progressive.model.router_state import Capabilities
from progressive.model.traffic import Traffic, exact_shares
from progressive.model.units import MILLION, Percent


def test_tracks_are_named_as_the_messages_name_them() -> None:
    assert Track.STABLE.label(World().rollout.release) == "stable (v1)"
    assert decide(World().rollout).commands


WEIGHTS = st.dictionaries(
    st.sampled_from(["v1", "v2", "v3", "stranger"]), st.integers(min_value=0, max_value=2**32)
)


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


@given(candidate=st.integers(0, MILLION), baseline=st.integers(0, MILLION))
def test_shares_add_up_to_all_or_are_refused(candidate: int, baseline: int) -> None:
    if candidate + baseline > MILLION:
        with pytest.raises(StrategyError, match="more than 100 %"):
            Traffic(candidate=Percent(candidate), baseline=Percent(baseline))
        return
    traffic = Traffic(candidate=Percent(candidate), baseline=Percent(baseline))

    assert sum(traffic.share(track).ppm for track in Track) == MILLION


BETA = Match(name="x-beta", value="1")


@pytest.mark.parametrize(
    ("one", "other", "exceeds"),
    [
        (Traffic(), Traffic(), False),
        (Traffic(candidate=percent(5)), Traffic(), True),
        (Traffic(), Traffic(candidate=percent(5)), False),
        (Traffic(candidate=percent(5)), Traffic(candidate=percent(5)), False),
        (Traffic(baseline=percent(1)), Traffic(candidate=percent(90)), True),
        (Traffic(mirror=percent(1)), Traffic(candidate=percent(90)), True),
        (Traffic(matches=[BETA]), Traffic(candidate=percent(90)), True),
        (Traffic(matches=[BETA]), Traffic(matches=[BETA]), False),
    ],
)
def test_what_exceeds_what(one: Traffic, other: Traffic, exceeds: bool) -> None:
    assert one.exceeds(other) is exceeds


def test_traffic_reaches_and_reads() -> None:
    full = Traffic(candidate=percent(5), baseline=percent(2.5), matches=[BETA], mirror=percent(1))

    assert str(full) == "5 % candidate, 2.5 % baseline, header x-beta=1, 1 % mirrored"
    assert [Traffic(matches=[BETA]).reaches(track) for track in Track] == [True, True, False]
    assert [Traffic(candidate=percent(100)).reaches(track) for track in Track] == [
        False,
        True,
        False,
    ]


def test_users_who_stay_are_a_part_of_the_traffic_and_no_more_of_it() -> None:
    drawn, stay = (Traffic(candidate=percent(5), sticky=each) for each in (None, hours(2)))

    assert str(stay) == "5 % candidate, users stay for 2 h"
    assert stay != drawn != Traffic(candidate=percent(5), sticky=hours(1))
    assert not stay.exceeds(drawn) and not drawn.exceeds(stay)


@pytest.mark.parametrize(
    ("sticky", "said"),
    [
        (3600, "has no unit"),
        (seconds(0), "sticky"),
        (seconds(1.5), "1.5 s is no whole number of seconds, in which cookies live"),
    ],
)
def test_a_stay_is_whole_seconds(sticky: Any, said: str) -> None:
    with pytest.raises(StrategyError, match=said):
        Traffic(sticky=sticky)


def test_a_router_that_can_keep_nobody_refuses_it() -> None:
    asked = Traffic(candidate=percent(5), sticky=hours(1))

    assert [*Capabilities().problems_with(asked)] == ["the router can't do session affinity"]
    assert [*Capabilities(affinity=True).problems_with(asked)] == []
