"""The graph of the states that were seen, and the promises that it must keep as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

import attrs

from progressive.engine.decide import decide
from progressive.model.traffic import ALL_STABLE
from progressive.rollout.events import Abort, Event, Hold, PromoteNow
from progressive.rollout.phases import Phase
from progressive.rollout.state import Rollout

from .perturbations import Router

__all__ = [
    "NEVER_PROMOTED",
    "NO_ABORT",
    "NO_END",
    "State",
    "heard_when_over",
    "is_back",
    "violations",
]

NEVER_PROMOTED: Final = "whatever happens, it is never promoted"
NO_ABORT: Final = "an abort does not lead to 0 % here"
NO_END: Final = "there is no way to an end from here"


@attrs.define
class State:
    """One state, as it was first reached. Other states are given by their index.

    * ``parent``, ``what``, ``told``: the state from which it was reached; the perturbation and the
      events of that tick.
    * ``depth``: how many ticks it is from the start.
    * ``good``, ``aborted``: the states that a tick without perturbation, and an abort, lead to.
    * ``out``: all states that a tick leads to.
    * ``stand_in``: one with the same key, less of a past and the same depth, found after this one,
      which need not be ticked then.
    """

    rollout: Rollout
    router: Router
    now: datetime
    parent: int
    depth: int
    what: str
    told: tuple[tuple[Event, ...], ...]
    good: int = -1
    aborted: int = -1
    stand_in: int = -1
    out: set[int] = attrs.field(factory=set)


def violations(states: Sequence[State]) -> Iterator[tuple[str, int]]:
    """Yield each violation of a promise of the whole, and the index of its state.

    An abort leads to 0 %, events are refused when it is over, and there is a way to an end.
    """
    for here, state in enumerate(states):
        if state.aborted >= 0 and not _ends_at_zero(states, state.aborted):
            yield NO_ABORT, here
        if state.rollout.over and (heard := heard_when_over(state.rollout)):
            yield heard, here
    if not any(state.rollout.phase is Phase.PROMOTED for state in states):
        yield NEVER_PROMOTED, 0
    ending = _can_end(states)
    for here in range(len(states)):
        if here not in ending:
            yield NO_END, here


def is_back(rollout: Rollout, router: Router) -> bool:
    """Return whether a rollout that is rolled back left 0 %, or another rollout in its place."""
    return router.traffic == ALL_STABLE or rollout.progress.reason.startswith("superseded")


def _ends_at_zero(states: Sequence[State], here: int) -> bool:
    seen: set[int] = set()
    while here >= 0 and here not in seen:
        state = states[here]
        if state.rollout.phase is Phase.ROLLED_BACK:
            return is_back(state.rollout, state.router)
        seen.add(here)
        here = state.good
    return False


def _can_end(states: Sequence[State]) -> set[int]:
    """Return all states from which some way leads to a final phase."""
    into: dict[int, list[int]] = {}
    for here, state in enumerate(states):
        for there in state.out:
            into.setdefault(there, []).append(here)
    waiting = [here for here, state in enumerate(states) if state.rollout.final]
    can_end = set(waiting)
    while waiting:
        for before in into.get(waiting.pop(), ()):
            if before not in can_end:
                can_end.add(before)
                waiting.append(before)
    return can_end


def heard_when_over(rollout: Rollout) -> str | None:
    """Check R24 for persons' events when it is over; None if all are refused."""
    at = rollout.clocks.now
    for kind in (Abort, Hold, PromoteNow):
        try:
            decision = decide(rollout, kind(at=at, by="somebody", why="it is walked"))
        except Exception as error:
            return f"R24: {kind.__name__} was heard when it was over: {error}"
        if decision.rollout.phase is not rollout.phase or decision.commands:
            return f"R24: {kind.__name__} was heard when it was over"
    return None
