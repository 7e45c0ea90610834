"""Tell that events come in clumps, where a comparison takes them as independent."""

from __future__ import annotations

from typing import Final, TypeAlias

from progressive.model.measurement import Counts, Histogram, Measurement
from progressive.stats import clumps

from .base import Numbers
from .words import format_amount

__all__ = ["State", "learn", "told"]

State: TypeAlias = tuple[float | None, clumps.State]
"""The edge of a latency above which requests are counted (None of a ratio), and what is known."""

TAIL: Final = 0.1
"""The edge is the last one above which so large a share of the control's requests are, in the
first look; the first one if there is none. Rare requests alone say little.
"""


def learn(state: State | None, candidate: Measurement, control: Measurement) -> State:
    """Return the state after one more look; ``state`` is None before the first.

    Both are counts, or histograms that share an edge. Where the edge is gone, all begins anew at
    another one.
    """
    edge, known = state or (None, clumps.INITIAL)
    if isinstance(candidate, Counts) and isinstance(control, Counts):
        own, other = candidate.events, control.events
    else:
        assert isinstance(candidate, Histogram)
        assert isinstance(control, Histogram)
        edges = candidate.shared_edges(control)
        if edge is None or edge not in edges:
            edge, known = _tail(control.at(edges)), clumps.INITIAL
        own, _ = candidate.above(edge)
        other, _ = control.above(edge)
    return edge, clumps.update(
        known,
        events=own,
        trials=candidate.sample,
        control_events=other,
        control_trials=control.sample,
    )


def told(state: State, than: str) -> tuple[str, Numbers]:
    """Return a warning to follow a verdict, short, as what is kept of one is, and its number; both
    empty while there is no proof that events come in clumps.
    """
    _, known = state
    if not clumps.proven(known):
        return "", ()
    found = clumps.dispersion(known)
    warning = (
        f"; {than} alone varies {format_amount(found)} times as much as by chance: see blocks=, "
        "dispersion="
    )
    return warning, (("dispersion_seen", found),)


def _tail(control: Histogram) -> float:
    tail = [e for e in control.edges if control.above(e)[0] >= TAIL * control.sample]
    return (tail or control.edges[:1])[-1]
