"""Several parts of one router as one `Served`, and versions that are not there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.rules import rule

from progressive.adapters.parts import Part, refuse_missing, served
from progressive.adapters.split import Split
from progressive.errors import Failure, RouterError
from progressive.model.release import Release, Version
from progressive.model.router_state import Marker
from progressive.model.traffic import Match, Traffic
from progressive.model.units import MILLION, Percent, hours, percent

RELEASE = Release(
    service="shop", stable=Version("1", backend="v1"), candidate=Version("2", backend="v2")
)
WEIGHTS = st.dictionaries(st.sampled_from(["v1", "v2", "old"]), st.integers(0, 2**32))
BETA = Match(name="x-beta", value="yes")


@given(WEIGHTS)
def test_a_part_says_where_every_millionth_goes(weights: dict[str, int]) -> None:
    part = Part.of(RELEASE, weights)
    stable = MILLION - part.traffic.candidate.ppm - part.unattributed.ppm

    assert (part.unattributed.ppm > 0) == (weights.get("old", 0) > 0 or not any(weights.values()))
    assert (stable > 0) == (weights.get("v1", 0) > 0)
    assert (part.traffic.candidate.ppm > 0) == (weights.get("v2", 0) > 0)


@given(st.lists(WEIGHTS, min_size=1, max_size=4))
@rule("R7")
def test_of_several_parts_the_highest_share_counts_and_only_equal_ones_are_settled(
    several: list[dict[str, int]],
) -> None:
    found = [Part.of(RELEASE, weights) for weights in several]
    whole = served(found)

    assert whole.traffic.candidate == max(part.traffic.candidate for part in found)
    assert whole.converged is (len(set(found)) == 1)


def test_matches_of_any_part_and_the_largest_mirror_count() -> None:
    marker = Marker(generation=3)
    one = Part(Traffic(candidate=percent(5), mirror=percent(1)))
    other = Part(Traffic(candidate=percent(1), matches=[BETA], mirror=percent(2)))

    whole = served([one, other], version="7", marker=marker)

    assert whole.traffic == Traffic(candidate=percent(5), matches=[BETA], mirror=percent(2))
    assert (whole.version, whole.marker, whole.converged) == ("7", marker, False)


def test_the_longest_stay_of_any_part_counts_and_another_is_not_settled() -> None:
    drawn, short, long = (
        Part(Traffic(candidate=percent(5), sticky=each)) for each in (None, hours(1), hours(2))
    )

    assert served([short, long]).traffic.sticky == hours(2)
    assert served([drawn, short]).traffic.sticky == hours(1)
    assert not served([drawn, short]).converged
    assert served([short, short]).converged
    assert served([drawn]).traffic.sticky is None


def test_what_the_adapter_says_is_not_settled_is_not() -> None:
    part = Part(Traffic(), Percent(3))

    assert served([part]).converged
    assert served([part]).unattributed == Percent(3)
    assert not served([part], converged=False).converged


@rule("R7")
def test_a_part_that_is_missing_counts_as_not_settled_until_the_candidate_has_nothing() -> None:
    on_stable, beta = Part(Traffic()), Part(Traffic(matches=[BETA]))

    assert served([on_stable, on_stable], whole=False).converged
    assert not served([beta], whole=False).converged
    assert not served([Part(Traffic(candidate=percent(5)))], whole=False).converged
    assert not served([Part(Traffic(mirror=percent(5)))], whole=False).converged


def test_without_any_part_nothing_is_settled() -> None:
    whole = served([], version="7", marker=Marker(generation=3))

    assert (whole.traffic, whole.version, whole.marker) == (Traffic(), "7", Marker(generation=3))
    assert not whole.converged


def test_a_version_that_is_not_there_is_named_with_what_is() -> None:
    with pytest.raises(RouterError) as caught:
        refuse_missing(RELEASE, ["v1", "old"], what="server", where="backend app", hint="add it")

    assert caught.value.failure is Failure.PERMANENT
    assert str(caught.value) == (
        "candidate (2) is server 'v2', but backend app has only v1, old; add it, or name the right "
        "backend="
    )
    refuse_missing(RELEASE, ["v2", "v1"], what="server", where="backend app", hint="add it")


def test_while_users_stay_what_rises_takes_from_stable_and_from_no_other() -> None:
    fresh = Release(
        service="shop",
        stable=RELEASE.stable,
        candidate=RELEASE.candidate,
        baseline=Version("1b", backend="v1-fresh"),
    )

    def order(**more: Any) -> list[str]:
        traffic = Traffic(candidate=percent(10), baseline=percent(10), **more)
        return [name for name, _ in Split.of(fresh, traffic, None).weights]

    assert order() == ["v2", "v1-fresh", "v1"]
    assert order(sticky=hours(1)) == ["v2", "v1", "v1-fresh"]
