"""Levels above and below: what one look is worth, and false alarms by the worst of lookers."""

from __future__ import annotations

import math
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progressive.stats.sign_test import INITIAL, evidence, needed, update


@given(above=st.integers(0, 40), below=st.integers(0, 40))
def test_a_look_at_levels_that_are_as_often_below_expects_nothing(above: int, below: int) -> None:
    now = math.exp(evidence((above, below)))

    assert (
        math.exp(evidence((above + 1, below))) + math.exp(evidence((above, below + 1)))
    ) / 2 == pytest.approx(now, rel=1e-9)
    assert evidence((above + 1, below)) > evidence((above, below))


def test_the_chance_ever_to_alarm_is_below_alpha() -> None:
    """Every course of four hundred looks, by the number of them."""
    needed = math.log(1 / 0.05)

    @cache
    def reached(above: int, below: int) -> bool:
        return evidence((above, below)) >= needed

    chances, alarmed = {0: 1.0}, 0.0
    for look in range(1, 401):
        following: dict[int, float] = {}
        for above, chance in chances.items():
            for more in (0, 1):
                if reached(above + more, look - above - more):
                    alarmed += chance / 2
                else:
                    following[above + more] = following.get(above + more, 0.0) + chance / 2
        chances = following

    assert 0.01 < alarmed <= 0.05


def test_a_level_that_always_stands_above_is_found_in_a_few_looks() -> None:
    state = INITIAL
    for _ in range(9):
        state = update(state, level=12.0, control=10.0)

    assert evidence(state) >= math.log(1 / 0.01)
    assert evidence(state, up=False) < 0
    assert evidence(state[::-1], up=False) == evidence(state)


def test_equal_levels_say_nothing() -> None:
    assert update(INITIAL, level=3.0, control=3.0) == INITIAL
    assert evidence(INITIAL) == pytest.approx(0)


@given(below=st.integers(8, 30))
def test_so_many_looks_more_on_one_side_are_so_much_more_evidence(below: int) -> None:
    target = math.log(1e7)
    more = needed(target - evidence((0, below), up=False))

    assert evidence((0, below + math.ceil(more)), up=False) >= target - 0.02 or more == 0
    assert evidence((0, below + max(0, math.ceil(more) - 1)), up=False) < target or more == 0
