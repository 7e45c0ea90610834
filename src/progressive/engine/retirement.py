"""What becomes of the old version after the promotion: removed when its time has come and nobody
can need it, else kept.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from progressive.model.replace import evolve
from progressive.model.traffic import Track
from progressive.model.units import said
from progressive.rollout.notes import Escalated, Released
from progressive.rollout.phases import Retirement

from .draft import ZERO, Turn
from .routing import escalate

__all__ = ["promoted"]

RETIRE_PATIENCE: Final = timedelta(hours=24)
"""How long an old version waits to be removed while the router does not serve the new one alone;
then it is kept, and a person is told.
"""


def promoted(turn: Turn) -> bool:
    """The old version is removed when its time has come and the router, just read, still serves the
    new one alone.
    """
    if turn.progress.retirement is Retirement.ASKED:
        return _asked_to_retire(turn)
    if turn.progress.retirement is not Retirement.DUE or turn.plan.retire_after is None:
        return False
    left = turn.plan.retire_after - turn.clocks.stepped
    if left > ZERO:
        turn.wait("the old version's time to be over", until=turn.now + left, then="remove it")
        return False
    read_now = turn.routing.read_at is not None and turn.routing.read_at >= (
        turn.clocks.ticked or turn.now
    )
    served = turn.routing.served
    generation = None if served is None or served.marker is None else served.marker.generation
    if (
        generation is not None
        and turn.routing.generation is not None
        and generation > turn.routing.generation
    ):
        _keep_the_old(
            turn,
            f"another rollout (generation {generation}) has used the router since, and may need it",
        )
        return False
    if (
        read_now
        and served is not None
        and served.settled
        and served.traffic == turn.routing.wanted
        and not served.elsewhere.ppm
    ):
        turn.progress = evolve(
            turn.progress, retirement=Retirement.ASKED, epoch=turn.progress.epoch + 1, waiting=None
        )
        turn.clocks = evolve(turn.clocks, stepped=ZERO, escalated=ZERO)
        turn.note(Released(at=turn.now, version=Track.STABLE.label(turn.release)))
        return True
    if left <= -RETIRE_PATIENCE:
        _keep_the_old(
            turn, f"for {said(RETIRE_PATIENCE)} the router did not serve the new version alone"
        )
        return False
    until = turn.now + left + RETIRE_PATIENCE
    turn.wait(
        f"the router to serve {turn.routing.wanted} before "
        f"{Track.STABLE.label(turn.release)} is removed",
        until=until,
        then="keep it",
    )
    escalate(
        turn, "the old version can't be removed: the router does not serve the new one alone", -left
    )
    return False


def _asked_to_retire(turn: Turn) -> bool:
    left = RETIRE_PATIENCE - turn.clocks.stepped
    if left <= ZERO:
        _keep_the_old(turn, f"for {said(RETIRE_PATIENCE)} the fleet did not say that it was done")
        return False
    turn.wait(
        f"the fleet to remove {Track.STABLE.label(turn.release)}",
        until=turn.now + left,
        then="give up",
    )
    escalate(
        turn, f"the fleet has not removed {Track.STABLE.label(turn.release)}", turn.clocks.stepped
    )
    return False


def _keep_the_old(turn: Turn, why: str) -> None:
    turn.progress = evolve(turn.progress, retirement=Retirement.NONE, waiting=None)
    turn.note(
        Escalated(at=turn.now, why=f"{Track.STABLE.label(turn.release)} was not removed: {why}")
    )
