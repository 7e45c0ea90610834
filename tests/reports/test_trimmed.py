"""Nothing is left out without being counted."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from progressive.reports.trimmed import Gap, trimmed

ITEMS = st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from("abc")), max_size=60)


@given(ITEMS, st.integers(1, 20), st.sampled_from(["", "a", "ab"]))
def test_each_item_is_shown_in_its_order_or_counted_in_its_place(
    items: list[tuple[int, str]], most: int, important: str
) -> None:
    shown = trimmed(
        items, most, matters=lambda item: item[1] in important, sort=lambda item: item[1]
    )
    kept = [each for each in shown if not isinstance(each, Gap)]
    at = 0
    for each in shown:
        if isinstance(each, Gap):
            skipped = items[at : at + each.count]
            assert Counter(dict(each.left_out)) == Counter(sort for _, sort in skipped)
            at += each.count
        else:
            assert each == items[at]
            at += 1

    assert at == len(items)
    assert len(kept) == min(most, len(items))
    assert not any(isinstance(a, Gap) and isinstance(b, Gap) for a, b in pairwise(shown))


@given(ITEMS, st.integers(1, 60))
def test_what_matters_is_kept_first(items: list[tuple[int, str]], most: int) -> None:
    shown = trimmed(items, most, matters=lambda item: item[1] == "a", sort=lambda item: item[1])
    kept = [each for each in shown if not isinstance(each, Gap)]
    important = sum(sort == "a" for _, sort in items)

    assert sum(sort == "a" for _, sort in kept) == min(important, len(kept)) or important > most


def test_the_first_and_the_last_are_kept() -> None:
    shown = trimmed([*range(10)], 3, matters=lambda _: False, sort=lambda n: f"n{n % 2}")

    assert shown == [0, Gap(left_out=(("n0", 3), ("n1", 4))), 8, 9]
    assert str(shown[1]) == "7 left out here: 3 n0, 4 n1"
