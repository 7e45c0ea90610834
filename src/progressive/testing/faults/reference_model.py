"""The reference model of a world of faults: it remembers what the engine does not, and checks every
write and every save against the promises.
"""

from __future__ import annotations

import attrs

from progressive.engine.decide import decide
from progressive.model.capacity import Capacity
from progressive.model.replace import evolve
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import Track
from progressive.model.units import MILLION
from progressive.rollout.commands import Apply, Survey
from progressive.rollout.events import Tick
from progressive.rollout.phases import FINAL, Phase
from progressive.rollout.state import Rollout

__all__ = ["PromiseBroken", "ReferenceModel"]


class PromiseBroken(AssertionError):
    """Something happened that must never happen, whatever goes wrong around a rollout.

    The message begins with the number of the rule.
    """


@attrs.define
class ReferenceModel:
    """The facts about one rollout by which the promises are checked.

    * ``ceiling``: the most, in parts per million, that any saved step asked for.
    * ``aborted``: whether a rollback has been decided, or was done by hand.
    * ``decided``: the serial of that decision. A raise that an earlier one had saved may be on its
      way, and arrives as long as nothing was written since; the next tick takes it back.
    * ``stored``: the serial that was saved last. What was stored may be written although nothing
      can be stored any more: a driver may sleep between the two.
    * ``phases``: every phase that was saved, in order.
    * ``judged_at_full``: the number of measurements of the candidate at 100 %.
    * ``said_able``: what the fleet said in the tick that goes on, where there is one.
    * ``zeros``: how often 0 % was written.
    * ``lost``: whether the router has forgotten the rollout's marker, and no person has resumed.
    * ``superseded``: whether another rollout has claimed the router since this one had.
    * ``covered_by``: the serial up to which a write covers a rollback by hand (see
      `FaultWorld.rollback_now`).
    """

    ceiling: int = 0
    aborted: bool = False
    decided: int | None = None
    stored: int = -1
    phases: list[Phase] = attrs.field(factory=lambda: [Phase.PENDING])
    judged_at_full: int = 0
    said_able: dict[Track, Capacity] = attrs.field(factory=dict)
    zeros: int = 0
    lost: bool = False
    superseded: bool = False
    covered_by: int | None = None

    def writing(
        self, command: Apply, served: Served, *, store_down: bool, fleet: bool, way_back: bool
    ) -> None:
        """Check a write that is about to be done on a router that serves ``served``.

        ``way_back``: whether the plan needs a stable that can take all traffic.
        """
        asked, serves = command.traffic.candidate.ppm, served.traffic.candidate.ppm
        if asked > self.ceiling:
            raise PromiseBroken(
                f"R1: asked for {asked} ppm, no saved step allows more than {self.ceiling}"
            )
        if self.covered_by is not None and command.marker.serial <= self.covered_by:
            self.covered_by = None
            self.aborted = self.phases[-1] in (Phase.ROLLING_BACK, Phase.ROLLED_BACK)
        on_its_way = self.decided is not None and command.marker.serial < self.decided
        if asked > serves and self.aborted and not on_its_way:
            raise PromiseBroken(f"R2: raised from {serves} to {asked} ppm after an abort")
        if asked > serves and self.lost:
            raise PromiseBroken(
                f"R2: raised from {serves} to {asked} ppm on a router that had lost its marker"
            )
        if self.superseded and (asked > serves or command.expect is not None):
            raise PromiseBroken(f"R2: wrote {asked} ppm over the marker of another rollout")
        if asked > serves and store_down and command.marker.serial > self.stored:
            raise PromiseBroken("R4: raised while nothing could be stored")
        able = self.said_able.get(Track.CANDIDATE)
        if fleet and asked > serves and (able is None or asked > able.able.ppm):
            raise PromiseBroken(
                f"R6: raised to {asked} ppm, the candidate can carry "
                f"{'nobody asked what' if able is None else able}"
            )
        stable = self.said_able.get(Track.STABLE)
        if way_back and stable is not None and asked > serves and stable.able.ppm < MILLION:
            raise PromiseBroken(
                f"R6: raised to {asked} ppm, and stable could not take it back: it can "
                f"carry {stable}"
            )
        self.zeros += not asked
        if self.aborted:
            self.decided = None  # what arrives now, arrives after something else

    def saved(self, rollout: Rollout, marker: Marker | None) -> None:
        """Check a rollout that was saved while the router had this marker."""
        phase, last = rollout.phase, self.phases[-1]
        self.stored = rollout.serial
        self.phases.append(phase)
        if last in FINAL and phase is not last:
            raise PromiseBroken(f"R24: left the final phase {last.value} for {phase.value}")
        _settled(rollout)
        if phase is Phase.PROGRESSING:
            self.ceiling = max(self.ceiling, rollout.routing.desired.candidate.ppm)
            _nothing_failed(rollout)
        if phase in (Phase.ROLLING_BACK, Phase.ROLLED_BACK):
            self.decided = self.decided if self.aborted else rollout.serial
            self.aborted = True
        if all(
            rollout.routing.desired.exceeds(traffic)
            for traffic in rollout.plan.traffics[: rollout.progress.step + 1]
        ):
            raise PromiseBroken(
                f"R1: wants {rollout.routing.desired} in step {rollout.progress.step}"
            )
        if phase is not last:
            self._ended(rollout, marker)

    def _ended(self, rollout: Rollout, marker: Marker | None) -> None:
        wrote_zero = self.zeros or (marker is not None and marker.closed)
        owes_a_write = (
            rollout.routing.any_write_sent and "superseded" not in rollout.progress.reason
        )
        if rollout.phase is Phase.ROLLED_BACK and owes_a_write and not wrote_zero:
            raise PromiseBroken("R23: rolled back without ever writing 0 %")
        guarded = rollout.plan.unguarded is None and any(
            not planned.check.observe for planned in rollout.plan.checks
        )
        if rollout.phase is Phase.PROMOTED and guarded and not self.judged_at_full:
            raise PromiseBroken("R15: promoted without one measurement at full traffic")


def _settled(rollout: Rollout) -> None:
    ticked = rollout.clocks.ticked
    if ticked is not None and ticked > rollout.clocks.now:
        return  # the answer to a driver whose clock is behind: its own next tick is a later one
    again = decide(rollout, Tick(at=rollout.clocks.now))
    progress = again.rollout.progress
    if any(isinstance(command, Survey) for command in again.commands):
        # A later tick asks the fleet once more, and says that it waits for that.
        progress = evolve(progress, waiting=rollout.progress.waiting)
    if progress != rollout.progress or again.notes:
        raise PromiseBroken(
            "a decision stopped half way: at the same instant it goes on from "
            f"{rollout.progress} to {again.rollout.progress}"
        )


def _nothing_failed(rollout: Rollout) -> None:
    waived = rollout.progress.waived
    for planned in rollout.plan.checks:
        failed = rollout.evidence.check_state(planned).failed and not planned.check.observe
        if failed and planned.key not in waived and planned.check.id not in waived:
            raise PromiseBroken(f"R17: {planned.key} has failed, and it goes on")
