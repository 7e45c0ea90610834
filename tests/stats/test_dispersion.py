"""How clumped events are."""

from __future__ import annotations

import random

import pytest

from progressive.stats.dispersion import dispersion


def minutes(rng: random.Random, *, clump: int, lean: float = 1.0, n: int = 400) -> list[tuple[int, int, int, int]]:
    found = []
    for _ in range(n):
        own = clump * sum(rng.random() < 0.01 * lean for _ in range(100))
        other = clump * sum(rng.random() < 0.01 for _ in range(900))
        found.append((own, 600, other, 5_400))
    return found


@pytest.mark.parametrize("clump", [1, 3, 10])
def test_events_that_come_in_clumps_are_as_dispersed_as_the_clumps_are_large(clump: int) -> None:
    assert dispersion(minutes(random.Random(29), clump=clump)) == pytest.approx(clump, rel=0.25)


def test_a_track_that_has_more_of_them_is_not_taken_for_clumps() -> None:
    assert dispersion(minutes(random.Random(31), clump=1, lean=3.0)) < 1.3


def test_it_is_never_below_one() -> None:
    assert dispersion([(1, 10, 9, 90)] * 30) == 1


def test_a_track_without_any_event_is_not_dispersed() -> None:
    assert dispersion([(0, 10, 9, 90)] * 30) == 1


def test_too_few_looks_are_refused() -> None:
    with pytest.raises(ValueError, match="1 looks have events and requests on both tracks; some dozens are needed"):
        dispersion([(1, 10, 9, 90), (0, 10, 0, 90), (1, 10, 3, 0)])
