"""Drive another plan through a recording.

The engine of production drives the plan in the time of the recording: at every moment at which the
recorded rollout was driven, and at the engine's ``wake_at`` in between. The world answers from the
recording (see `recorded_world`), and persons' events come as they were recorded. So tolerances,
budgets, deadlines, bakes and closing looks are the engine's own; the same plan comes to the same
end at the same time.

A measurement tells something about the traffic in which it was taken, and about no other. So the
drive ends at the first moment at which the plan asks for other traffic than was asked for then, or
keeps traffic that was changed then; and at a hold that was not recorded, because a person decides
what comes after it. An end before that is known. The alternative, to keep the recorded traffic and
judge it with the other checks to the last, would claim more and know less: a plan that waits for
its evidence would have had other traffic from there on.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import datetime, timedelta
from typing import Any, Final

import attrs

from progressive.engine.decide import Decision, decide
from progressive.model.traffic import Traffic
from progressive.rollout.commands import Command, Measure
from progressive.rollout.events import Approve, Event, PromoteNow, Resume, Skip, Tick
from progressive.rollout.notes import Asked, EventRecorded, Note, PhaseEntered
from progressive.rollout.phases import FINAL, Phase
from progressive.rollout.state import Rollout

from .recorded_looks import PROMPT
from .recorded_rollout import RecordedRollout
from .recorded_world import RecordedWorld
from .replayed import Ending, moment

__all__ = ["Rerun"]

ROUNDS: Final = 30
"""The most rounds of a visit (see `progressive.runtime.protocol`). The first visit has the most:
preflight, claim, first weight, first looks.
"""


@attrs.define(kw_only=True)
class Rerun:
    """One drive of ``rollout``, which has not begun, from ``now`` on.

    Call `go`, then read ``ending``, ``unknown_from`` and ``unknown_why``.
    """

    recording: RecordedRollout
    rollout: Rollout
    now: datetime
    notes: list[Note] = attrs.field(factory=list)
    ending: Ending | None = None
    unknown_from: datetime | None = None
    unknown_why: str = ""
    world: RecordedWorld = attrs.field(
        init=False,
        default=attrs.Factory(
            lambda self: RecordedWorld(recording=self.recording), takes_self=True
        ),
    )
    _commands: tuple[Command, ...] = ()
    _asked: int = 0
    _held: PhaseEntered | None = None
    _visits: tuple[datetime, ...] = ()
    _away: tuple[tuple[datetime, datetime], ...] = ()
    _late: timedelta = timedelta()
    _at_ticks: list[EventRecorded] = attrs.field(factory=list)
    _between: list[EventRecorded] = attrs.field(factory=list)

    def go(self) -> Rerun:
        """Drive the rollout to its end, or to where nothing more is known. Returns itself."""
        plan = self.rollout.plan
        self._visits = self.recording.visits(plan)
        self._away = self.recording.away(plan.watch_every)
        self._late = self.recording.lateness(plan)
        for note, after in self.recording.person_events:
            early = note.at < self.now
            if not early or isinstance(note.event, Approve):
                (self._between if after and not early else self._at_ticks).append(note)
        at = self.now
        while self.ending is None:
            self._check_missing(at)
            if self.unknown_from is None:
                self._visit(at)
            self._compare()
            at = self._next_visit()
        return self

    # ------------------------------------------------------------------------------------ one visit

    def _visit(self, at: datetime) -> None:
        """Tick once, as a driver would; the answers let time pass. Then decide the events that were
        submitted before the next tick.
        """
        events = [self._adapted(note.event) for note in _take_until(self._at_ticks, at)]
        self._follow(decide(self.rollout, *events, Tick(at=at)))
        for _ in range(ROUNDS):
            commands = () if self._over else self._commands
            answers = [
                answer
                for command in commands
                if (answer := self.world.answer(command, self.rollout, self.now)) is not None
            ]
            if not answers:
                break
            self._follow(decide(self.rollout, *answers))
        for note in _take_until(self._between, self.now):
            if not self._over:
                self._follow(decide(self.rollout, self._adapted(note.event)))

    @property
    def _over(self) -> bool:
        return self.ending is not None or self.unknown_from is not None

    def _follow(self, decision: Decision) -> None:
        """Go on from a decision, up to its end or to traffic that was not recorded."""
        self.rollout, self._commands = decision.rollout, decision.commands
        self.now = max(self.now, decision.rollout.clocks.now)
        self.notes += decision.notes
        for note in decision.notes:
            if self._over:
                return
            if isinstance(note, PhaseEntered):
                self._held = note if note.phase == Phase.HELD else None
                if note.phase == Phase.ROLLING_BACK or note.phase in FINAL:
                    self.ending = Ending.of(note)
            elif isinstance(note, Asked):
                self._compare_traffic(note)

    def _compare_traffic(self, note: Asked) -> None:
        """End the drive if the traffic that is asked for is not the recorded one."""
        recorded, until = self.recording.asked, self._promptly(note.at)
        following = recorded[self._asked] if self._asked < len(recorded) else None
        if following is not None and following.at <= until and following.traffic == note.traffic:
            self._asked += 1
            return
        had = recorded[self._asked - 1].traffic if self._asked else Traffic()
        if following is None:
            was = f"stayed at {had}"
        elif following.at <= until:
            was = f"asked for {following.traffic}"
        else:
            was = f"stayed at {had} until {moment(following.at)}"
        self._end_known(
            note.at,
            f"it would have asked for {note.traffic} ({note.why}), where the recorded "
            f"rollout {was}",
        )

    def _adapted(self, event: Any) -> Event:
        """Adapt a recorded person's event to this rollout.

        Names that the plan has not are not waived, and a skip of the same step gets its epoch.
        """
        plan, progress = self.rollout.plan, self.rollout.progress
        adapted: Event = event
        if isinstance(event, Resume | PromoteNow):
            known = {*plan.keys, *(key.rpartition("/")[2] for key in plan.keys)}
            if isinstance(event, PromoteNow):
                known |= {
                    *(f"hold:{cause.name}" for cause in progress.causes),
                    *(step.id for step in plan.steps),
                    *plan.gates,
                }
            waive = tuple(name for name in event.waive if name in known)
            adapted = attrs.evolve(event, waive=waive)
        elif (
            isinstance(event, Skip)
            and self.recording.step_of(event) == plan.steps[progress.step].id
        ):
            adapted = attrs.evolve(event, epoch=progress.epoch)
        return adapted

    # --------------------------------------------------------------------------------- two rollouts

    def _compare(self) -> None:
        """End the drive if the recording tells nothing more about this rollout; called once
        everything of a moment has happened.
        """
        if self.ending is not None:
            return
        if self._held is not None and self._held_alone():
            self._end_known(
                self._held.at,
                "it would have been held, and whether somebody would have resumed it nobody knows",
            )
        elif not self._over:
            self._compare_course()
        if self.unknown_from is not None:
            waiting = self.rollout.progress.waiting
            why = "" if waiting is None else f"it waits for {waiting.why}"
            state = Ending(phase=self.rollout.phase, at=self.unknown_from, why=why)
            self.ending = state if self._held is None else Ending.of(self._held)

    def _check_missing(self, at: datetime) -> None:
        """End the drive if something is missing before this visit: the order of the notes, or a
        closing look that was not recorded.
        """
        torn, closing = self.recording.torn, self.rollout.progress.closing
        if torn is not None and torn <= at:
            self._end_known(
                torn,
                "the clock of the recorded rollout stepped back, so what came first after "
                "that is not known",
            )
            return
        metrics = dict.fromkeys(
            command.metric.name for command in self._commands if isinstance(command, Measure)
        )
        if closing is not None and metrics and self._promptly(closing) < at:
            self._end_known(
                closing,
                f"before going on it would have looked at {', '.join(metrics)} up to here, "
                "which was not recorded",
            )

    def _compare_course(self) -> None:
        """End the drive if the recorded rollout has ended or changed its traffic, and this one has
        not.
        """
        recorded, end = self.recording, self.recording.ending
        waiting = self.rollout.progress.waiting
        still = f"this one would have stayed at {self.rollout.routing.desired}"
        if waiting is not None:
            still += f", waiting for {waiting.why}"
        following = recorded.asked[self._asked] if self._asked < len(recorded.asked) else None
        if end.phase in FINAL and end.at <= self.now:
            if end.phase is Phase.PROMOTED:
                self._end_known(end.at, f"the recorded rollout was promoted; {still}")
            else:
                self._end_known(
                    end.at,
                    f"the recorded rollout went back ({end.why}); nothing recorded takes "
                    "this one back then",
                )
        elif following is not None and following.at <= self.now:
            self._end_known(
                following.at,
                f"the recorded rollout asked for {following.traffic} ({following.why}); {still}",
            )
        elif recorded.last <= self.now:
            self._end_known(recorded.last, f"the recording ends here; {still}")

    def _end_known(self, at: datetime, why: str) -> None:
        self.unknown_from, self.unknown_why = at, why

    def _held_alone(self) -> bool:
        """Return whether the recorded rollout goes on while this one is held.

        It does not if it is held too at the next visit of its driver.
        """
        until = self._promptly(self.now)
        held = any(
            note.phase == Phase.HELD and self.now <= note.at <= until
            for note in self.recording.entered
        )
        return not held and self.recording.phase(self.now) in (Phase.PENDING, Phase.PROGRESSING)

    # ----------------------------------------------------------------------------------------- time

    def _promptly(self, at: datetime) -> datetime:
        """Return until when the recorded driver counts as prompt in what was due at this moment.

        That is `PROMPT` after its next visit, or after the moment if that visit was later than
        usual.
        """
        i = bisect_left(self._visits, at)
        came = self._visits[i] if i < len(self._visits) else at
        return (came if came - at <= self._late else at) + PROMPT

    def _next_visit(self) -> datetime:
        """Return the next visit: the recorded driver's, or in between the engine's ``wake_at``, or
        a read without a note.
        """
        i = bisect_right(self._visits, self.now)
        came = self._visits[i] if i < len(self._visits) else None
        plan, wake, read = self.rollout.plan, self.rollout.wake_at, self.rollout.routing.read_at
        if wake is None or wake <= self.now:
            wake = self.now + max(plan.watch_every / 2, timedelta(milliseconds=1))
        if came is None:
            return wake
        if came <= wake or self._was_away(wake):
            return came
        if came <= wake + max(self._late, PROMPT):
            watched = came if read is None else read + plan.watch_every
            # The driver was not late, or there would be a note of it; so it read in between.
            return watched if self.now < watched < came else came
        return wake

    def _was_away(self, at: datetime) -> bool:
        """Return whether the recorded driver was away at this moment, or could not read the router.

        There are notes of long absences and of every read that failed.
        """
        return (
            any(start < at < end for start, end in self._away) or self.world.unread(at) is not None
        )


def _take_until(waiting: list[EventRecorded], at: datetime) -> list[EventRecorded]:
    """Take the notes up to ``at`` (inclusive) out of ``waiting``, and return them."""
    due = [note for note in waiting if note.at <= at]
    waiting[:] = [note for note in waiting if note.at > at]
    return due
