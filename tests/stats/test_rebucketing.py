"""Counts that are carried over to other edges."""

from __future__ import annotations

from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progressive.stats import histogram_tails, latency_acceptance
from progressive.stats.rebucketing import carried

EDGES = st.lists(st.integers(1, 60), min_size=1, max_size=8, unique=True).map(sorted)
MARGINS = st.sampled_from([1.0, 1.5, 3.0])


@st.composite
def layouts(draw: st.DrawFn) -> tuple[list[float], list[float], list[int]]:
    """Edges, other edges, and cumulative counts at the first ones."""
    one, other = draw(EDGES), draw(EDGES)
    size = len(one) + 1
    counts = list(accumulate(draw(st.lists(st.integers(0, 99), min_size=size, max_size=size))))
    return [float(edge) for edge in one], [float(edge) for edge in other], counts


@given(layouts(), MARGINS)
def test_counts_at_places_that_stay_are_exact_and_all_of_them_rise(
    case: tuple[list[float], list[float], list[int]], margin: float
) -> None:
    one, other, counts = case
    places, to = (
        [(edges[i], edges[j]) for i, j in histogram_tails.paired(edges, margin)]
        for edges in (one, other)
    )
    known = dict(zip(places, counts, strict=False))
    found = carried([*known.values(), counts[-1]], places, to)

    assert found[-1] == counts[-1]
    assert len(found) == len(to) + 1
    assert all(low <= high for low, high in pairwise((0, *found)))
    assert all(
        count == known[place] for place, count in zip(to, found, strict=False) if place in known
    )


def test_what_is_not_known_lies_in_the_middle_of_its_neighbours() -> None:
    assert carried([10, 30, 40], [(1, 1), (3, 3)], [(0.5, 0.5), (2, 2), (3, 3), (4, 4)]) == (
        5,
        20,
        30,
        35,
        40,
    )


@given(layouts())
def test_a_test_without_looks_has_nothing_to_move(
    case: tuple[list[float], list[float], list[int]],
) -> None:
    one, other, _ = case
    counts = (0,) * (len(other) + 1)
    state, gone = histogram_tails.moved(
        (*histogram_tails.INITIAL[:3], (0,) * (len(one) + 1)), edges=one, to=other
    )

    assert (state, gone) == ((*histogram_tails.INITIAL[:3], counts), 0.0)


def test_what_is_followed_keeps_its_place_where_it_is_still_there() -> None:
    edges, to = (0.1, 0.2, 0.4), (0.1, 0.15, 0.2, 0.4, 0.9)
    state = histogram_tails.INITIAL
    for _ in range(3):
        state = histogram_tails.update(
            state, edges=edges, candidate=(10, 40, 90, 100), control=(90, 500, 860, 900)
        )
    (chosen, above, tilts, _), gone = histogram_tails.moved(state, edges=edges, to=to)

    assert [to[i] for i in chosen] == [edges[i] for i in state[0]]
    assert (above, tilts, gone) == (state[1], state[2], 0.0)


@pytest.mark.parametrize("to", [(0.1, 0.2), (0.1, 0.4, 0.8), (5.0, 6.0)])
def test_moved_evidence_is_never_more_than_it_was(to: tuple[float, ...]) -> None:
    edges = (0.1, 0.2, 0.4)
    state, proof = histogram_tails.INITIAL, latency_acceptance.INITIAL
    for _ in range(30):
        counts = {"candidate": (10, 80, 97, 100), "control": (90, 720, 873, 900)}
        state = histogram_tails.update(state, edges=edges, **counts)
        proof = latency_acceptance.update(proof, edges=edges, limit=4.0, **counts)
    moved, gone = histogram_tails.moved(state, edges=edges, to=to)
    proven = latency_acceptance.moved(proof, edges=edges, to=to, limit=4.0)

    assert histogram_tails.evidence(moved) + gone == pytest.approx(histogram_tails.evidence(state))
    assert latency_acceptance.evidence(proven) <= latency_acceptance.evidence(proof)
