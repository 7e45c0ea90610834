"""Latencies of versions with stalls of their own: each look is one observation."""

from __future__ import annotations

from bisect import bisect_left
from math import log
from typing import Final, TypeAlias

import attrs

from progressive.model.measurement import Histogram, Measurement
from progressive.stats import sign_test
from progressive.stats.evidence import averaged

from .base import Numbers, Question
from .latencies import misfit_of_edges
from .words import format_time

__all__ = ["SlowerLooks"]

QUANTILES: Final = (0.5, 0.9)
"""Where two looks are compared: in the middle, and in the tail."""

_HALVES: Final = (log(0.5), log(0.5))

ABOVE: Final = 10
"""The least number of requests above a quantile without which a look says nothing of it."""

_State: TypeAlias = tuple[sign_test.State, ...]
"""For each quantile the looks in which the candidate's was above the control's, and below."""

_INITIAL: Final[_State] = (sign_test.INITIAL,) * len(QUANTILES)


@attrs.frozen
class SlowerLooks:
    """Test whether the candidate is slower than the control in more than half of the looks.

    A second in which all requests of one version are slow is then no more than one look: no pause
    of its own makes a version look worse than another with as many of them.
    """

    question: Question

    def fits(self, candidate: Measurement, control: Measurement) -> str | None:
        return misfit_of_edges(candidate, control, self.question.than)

    def learn(
        self, state: _State | None, candidate: Histogram, control: Histogram, alpha: float
    ) -> _State:
        found = []
        for known, q in zip(state or _INITIAL, QUANTILES, strict=True):
            own, other = _at_shared_edges(candidate, control, q)
            if own is None or other is None:
                found.append(known)
            else:
                control_level = other * self.question.margin
                found.append(sign_test.update(known, level=own, control=control_level))
        return tuple(found)

    def evidence(self, state: _State, alpha: float) -> float:
        return averaged([sign_test.evidence(each) for each in state], _HALVES)

    def lacks(self, state: _State) -> str:
        seen = any(above or below for above, below in state)
        return "" if seen else f"too few requests in a look: {2 * ABOVE} of each version are needed"

    def summarize(
        self, state: _State, candidate: Histogram, control: Histogram, alpha: float
    ) -> tuple[str, Numbers]:
        numbers: Numbers = (
            ("candidate_sample", float(candidate.sample)),
            ("control_sample", float(control.sample)),
        )
        said = []
        for (above, below), q in zip(state, QUANTILES, strict=True):
            name = f"p{q * 100:.0f}"
            own, other = _at_shared_edges(candidate, control, q)
            in_this = ""
            if own is not None and other is not None:
                in_this = f" ({format_time(own)} against {format_time(other)} in this one)"
                numbers += ((f"candidate_{name}", own), (f"control_{name}", other))
            if above or below:
                said.append(f"slower at {name} in {above} of {above + below} looks{in_this}")
            numbers += ((f"slower_{name}", float(above)), (f"faster_{name}", float(below)))
        return "; ".join(said), numbers


def _at_shared_edges(
    candidate: Histogram, control: Histogram, q: float
) -> tuple[float | None, float | None]:
    """Return a quantile of both, at the edges that both have."""
    edges = candidate.shared_edges(control)
    return _quantile(candidate.at(edges), q), _quantile(control.at(edges), q)


def _quantile(measured: Histogram, q: float) -> float | None:
    """Return the ``q`` quantile, as if values lay evenly in their bucket; the last edge beyond it.
    None if too few values are above.
    """
    if (1 - q) * measured.sample < ABOVE:
        return None
    wanted = q * measured.sample
    i = bisect_left(measured.cumulative, wanted)
    if i == len(measured.edges):
        return measured.edges[-1]
    below = measured.cumulative[i - 1] if i else 0
    low, high = (measured.edges[i - 1] if i else 0.0), measured.edges[i]
    return low + (high - low) * (wanted - below) / (measured.cumulative[i] - below)
