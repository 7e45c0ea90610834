"""Another plan, driven through what was recorded.

The plan is driven by the engine that production runs, in the time of the recording: at every moment
at which somebody drove the recorded rollout, and at those in between at which the engine wants to
be woken. The world answers from the recording (see `_recorded_world`), and people say what they
said. So tolerances, budgets, deadlines, baked time and closing looks are the engine's own, and not
a second opinion of them; the same plan comes to the same end at the same time.

What was measured says something about the traffic in which it was measured, and about no other. So
it ends at the first moment at which the plan asks for other traffic than was asked for then, or
keeps what was changed then; and at a hold that was not recorded, because what comes after one is up
to a person. An end before that is known. The other way, to keep the recorded traffic and judge it
with the other checks to the last, would say more and know less: a plan that waits for its evidence
would have had other traffic from there on.
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
"""More rounds than a visit has (see `progressive.runtime.protocol`). The first has the most:
preflight, claim, first weight, first looks.
"""


@attrs.define(kw_only=True)
class Rerun:
    """One drive of ``rollout``, which has not begun, from ``now`` on: `go`, then read ``ending``,
    ``unknown_from`` and ``unknown_why``.
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
        """Drive it as far as anything is known."""
        plan = self.rollout.plan
        self._visits, self._away = (
            self.recording.visits(plan),
            self.recording.away(plan.watch_every),
        )
        self._late = self.recording.lateness(plan)
        for note, after in self.recording.said:
            early = note.at < self.now
            if not early or isinstance(note.event, Approve):
                (self._between if after and not early else self._at_ticks).append(note)
        at = self.now
        while self.ending is None:
            self._miss(at)
            if self.unknown_from is None:
                self._visit(at)
            self._compare()
            at = self._following()
        return self

    # ------------------------------------------------------------------------------------ one visit

    def _visit(self, at: datetime) -> None:
        """One tick, as a driver would do it; time goes on with the answers. Then what was submitted
        before the next one.
        """
        said = [self._again(note.event) for note in _until(self._at_ticks, at)]
        self._follow(decide(self.rollout, *said, Tick(at=at)))
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
        for note in _until(self._between, self.now):
            if not self._over:
                self._follow(decide(self.rollout, self._again(note.event)))

    @property
    def _over(self) -> bool:
        return self.ending is not None or self.unknown_from is not None

    def _follow(self, decision: Decision) -> None:
        """Go on from a decision: is it an end, and is the traffic that it asks for the recorded
        one?
        """
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
                self._asks(note)

    def _asks(self, note: Asked) -> None:
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
        self._lost(
            note.at,
            f"it would have asked for {note.traffic} ({note.why}), where the recorded "
            f"rollout {was}",
        )

    def _again(self, event: Any) -> Event:
        """What a person said, said to this rollout: what it does not have is not waived, and a skip
        means the step.
        """
        plan, progress = self.rollout.plan, self.rollout.progress
        said: Event = event
        if isinstance(event, Resume | PromoteNow):
            known = {*plan.keys, *(key.rpartition("/")[2] for key in plan.keys)}
            if isinstance(event, PromoteNow):
                known |= {
                    *(f"hold:{cause.name}" for cause in progress.causes),
                    *(step.id for step in plan.steps),
                    *plan.gates,
                }
            said = attrs.evolve(event, waive=tuple(name for name in event.waive if name in known))
        elif (
            isinstance(event, Skip)
            and self.recording.step_of(event) == plan.steps[progress.step].id
        ):
            said = attrs.evolve(event, epoch=progress.epoch)
        return said

    # --------------------------------------------------------------------------------- two rollouts

    def _compare(self) -> None:
        """Once everything of a moment has happened: does the recording still say something about
        this rollout?
        """
        if self.ending is not None:
            return
        if self._held is not None and self._held_alone():
            self._lost(
                self._held.at,
                "it would have been held, and whether somebody would have resumed it nobody knows",
            )
        elif not self._over:
            self._outlive()
        if self.unknown_from is not None:
            waiting = self.rollout.progress.waiting
            why = "" if waiting is None else f"it waits for {waiting.why}"
            stands = Ending(phase=self.rollout.phase, at=self.unknown_from, why=why)
            self.ending = stands if self._held is None else Ending.of(self._held)

    def _miss(self, at: datetime) -> None:
        """Is something missing before this visit: the order of things, or a look that it would have
        taken before going on?
        """
        torn, closing = self.recording.torn, self.rollout.progress.closing
        if torn is not None and torn <= at:
            self._lost(
                torn,
                "the clock of the recorded rollout stepped back, so what came first after "
                "that is not known",
            )
            return
        metrics = dict.fromkeys(
            command.metric.name for command in self._commands if isinstance(command, Measure)
        )
        if closing is not None and metrics and self._promptly(closing) < at:
            self._lost(
                closing,
                f"before going on it would have looked at {', '.join(metrics)} up to here, "
                "which was not recorded",
            )

    def _outlive(self) -> None:
        """Has the recorded rollout gone where this one did not?"""
        recorded, end, waiting = (
            self.recording,
            self.recording.ending,
            self.rollout.progress.waiting,
        )
        still = f"this one would have stayed at {self.rollout.routing.desired}"
        if waiting is not None:
            still += f", waiting for {waiting.why}"
        following = recorded.asked[self._asked] if self._asked < len(recorded.asked) else None
        if end.phase in FINAL and end.at <= self.now:
            if end.phase is Phase.PROMOTED:
                self._lost(end.at, f"the recorded rollout was promoted; {still}")
            else:
                self._lost(
                    end.at,
                    f"the recorded rollout went back ({end.why}); nothing recorded takes "
                    "this one back then",
                )
        elif following is not None and following.at <= self.now:
            self._lost(
                following.at,
                f"the recorded rollout asked for {following.traffic} ({following.why}); {still}",
            )
        elif recorded.last <= self.now:
            self._lost(recorded.last, f"the recording ends here; {still}")

    def _lost(self, at: datetime, why: str) -> None:
        self.unknown_from, self.unknown_why = at, why

    def _held_alone(self) -> bool:
        """Does the recorded rollout go on meanwhile? Not if it is held at the next visit of its
        driver.
        """
        until = self._promptly(self.now)
        held = any(
            note.phase == Phase.HELD and self.now <= note.at <= until
            for note in self.recording.entered
        )
        return not held and self.recording.phase(self.now) in (Phase.PENDING, Phase.PROGRESSING)

    # ----------------------------------------------------------------------------------------- time

    def _promptly(self, at: datetime) -> datetime:
        """Until when the recorded driver has done what was due at this moment: at its next visit,
        if it was as late as usual, and promptly.
        """
        i = bisect_left(self._visits, at)
        came = self._visits[i] if i < len(self._visits) else at
        return (came if came - at <= self._late else at) + PROMPT

    def _following(self) -> datetime:
        """The next visit: the recorded driver's, or one in between at which the engine wants to be
        woken, or at which somebody looked.
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
            # Nobody was late, or there were a note of it; so somebody looked in between.
            return watched if self.now < watched < came else came
        return wake

    def _was_away(self, at: datetime) -> bool:
        """Did nobody come by at this moment? Notes say so of long times, and every read that fails
        leaves one.
        """
        return (
            any(start < at < end for start, end in self._away) or self.world.unread(at) is not None
        )


def _until(waiting: list[EventRecorded], at: datetime) -> list[EventRecorded]:
    """Those of ``waiting`` whose time has come, taken out."""
    come = [note for note in waiting if note.at <= at]
    waiting[:] = [note for note in waiting if note.at > at]
    return come
