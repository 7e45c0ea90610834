"""Long lists, cut to what a page can hold: what is left out is counted where it would stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

import attrs

__all__ = ["Gap", "trimmed"]

Item = TypeVar("Item")


@attrs.frozen(kw_only=True)
class Gap:
    """A place where items were left out: how many of each sort."""

    left_out: tuple[tuple[str, int], ...]

    @property
    def count(self) -> int:
        return Counter(dict(self.left_out)).total()

    def __str__(self) -> str:
        sorts = ", ".join(f"{count:,} {sort}" for sort, count in self.left_out)
        return f"{self.count:,} left out here: {sorts}"


def trimmed(
    items: Sequence[Item],
    most: int,
    *,
    matters: Callable[[Item], bool],
    sort: Callable[[Item], str],
) -> list[Item | Gap]:
    """Return at most ``most`` of the items in their order, with a `Gap` wherever some are missing.

    Those that matter are kept first; then, as of those if they are too many, the first and the last
    ones. ``sort`` names what an item is, for the counts.
    """
    if len(items) <= most:
        return [*items]
    important = [i for i, item in enumerate(items) if matters(item)]
    if len(important) > most:
        kept = _ends(important, most)
    else:
        chosen = frozenset(important)
        others = [i for i in range(len(items)) if i not in chosen]
        kept = sorted([*important, *_ends(others, most - len(important))])
    shown: list[Item | Gap] = []
    at = 0
    for i in [*kept, len(items)]:
        if i > at:
            counts = Counter(sort(item) for item in items[at:i])
            shown.append(Gap(left_out=tuple(sorted(counts.items()))))
        if i < len(items):
            shown.append(items[i])
        at = i + 1
    return shown


def _ends(places: Sequence[int], most: int) -> list[int]:
    """Return the first and the last of them, ``most`` in all."""
    first = most // 2
    return [*places[:first], *places[len(places) - (most - first) :]]
