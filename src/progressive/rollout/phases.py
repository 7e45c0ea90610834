"""The phases of a rollout and every transition between them: one table, from which the docs draw
their diagram.

PENDING is before the first write; HELD is stopped at the traffic that was last verified; a final
phase is never left. ROLLING_BACK has one way out, and no deadline: a rollout is rolled back only
when 0 % was verified. PENDING and HELD reach ROLLED_BACK at once only if this rollout never wrote,
or if another one has taken the router over. A transition that is not in the table is a bug of the
engine, which `moved` reports.
"""

from __future__ import annotations

import enum
from typing import Final

__all__ = ["FINAL", "TRANSITIONS", "Phase", "Retirement", "moved"]


class Phase(enum.StrEnum):
    """The phase of a rollout."""

    PENDING = "pending"
    PROGRESSING = "progressing"
    HELD = "held"
    ROLLING_BACK = "rolling_back"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"


class Retirement(enum.StrEnum):
    """The removal of the version without traffic: all that a final rollout still does."""

    NONE = "none"
    """Not asked for."""
    DUE = "due"
    """Asked for, but not yet time. A new rollout can still go to that version."""
    ASKED = "asked"
    """The fleet was asked to remove it: there is no way back to it any more."""
    DONE = "done"


TRANSITIONS: Final[dict[Phase, frozenset[Phase]]] = {
    Phase.PENDING: frozenset(
        {Phase.PROGRESSING, Phase.HELD, Phase.ROLLING_BACK, Phase.ROLLED_BACK}
    ),
    Phase.PROGRESSING: frozenset(
        {Phase.HELD, Phase.ROLLING_BACK, Phase.PROMOTED, Phase.ROLLED_BACK}
    ),
    Phase.HELD: frozenset(
        {Phase.PENDING, Phase.PROGRESSING, Phase.ROLLING_BACK, Phase.ROLLED_BACK}
    ),
    Phase.ROLLING_BACK: frozenset({Phase.ROLLED_BACK}),
    Phase.PROMOTED: frozenset(),
    Phase.ROLLED_BACK: frozenset(),
}

FINAL: Final = frozenset(phase for phase, following in TRANSITIONS.items() if not following)


def moved(old: Phase, new: Phase) -> Phase:
    """Return ``new`` if the table allows the transition; raise `AssertionError` if it does not."""
    if new not in TRANSITIONS[old]:
        raise AssertionError(f"lifecycle: {old.value} -> {new.value} is not in TRANSITIONS")
    return new
