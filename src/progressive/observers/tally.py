"""Figures added up: a value for each figure and its attributes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from operator import add

from .figures import Figure, Form, Sample

__all__ = ["Tally"]

_Key = tuple[Figure, tuple[str, ...]]


class Tally:
    """Values by figure and attributes. A gauge and a counter have one number; a histogram has how
    many values are in each bucket, above all of them, and their sum.
    """

    def __init__(self, samples: Iterable[Sample] = ()) -> None:
        self._values: dict[_Key, tuple[float, ...]] = {}
        self.add(samples)

    def add(self, samples: Iterable[Sample]) -> None:
        """Add samples: to what there is, or in place of it where they are gauges."""
        for sample in samples:
            self._put((sample.figure, sample.values), _numbers(sample))

    def add_all(self, other: Tally) -> None:
        """Add all of another one, in the same way."""
        for key, numbers in other._values.items():
            self._put(key, numbers)

    def rise_to(self, other: Tally) -> None:
        """Take the numbers of another one where they are higher: it knows more of the same."""
        for key, numbers in other._values.items():
            known = self._values.get(key, numbers)
            self._values[key] = tuple(map(max, known, numbers))

    def of(self, figure: Figure) -> Iterator[tuple[tuple[str, ...], tuple[float, ...]]]:
        """Yield the numbers of one figure with the values of its attributes, in their order."""
        found = ((key[1], numbers) for key, numbers in self._values.items() if key[0] == figure)
        yield from sorted(found)

    def _put(self, key: _Key, numbers: tuple[float, ...]) -> None:
        known = self._values.get(key)
        if known is not None and key[0].form is not Form.GAUGE:
            numbers = tuple(map(add, known, numbers))
        self._values[key] = numbers


def _numbers(sample: Sample) -> tuple[float, ...]:
    bounds = sample.figure.bounds
    if sample.figure.form is not Form.HISTOGRAM:
        return (sample.value,)
    place = bisect_left(bounds, sample.value)
    return (*(int(n == place) for n in range(len(bounds) + 1)), sample.value)
