"""The working copy of a rollout while one decision is made."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from progressive.model.actions import GateAnswer
from progressive.model.replace import evolve
from progressive.model.router_state import Marker
from progressive.model.traffic import Track
from progressive.rollout.events import Event
from progressive.rollout.notes import Note, Refused
from progressive.rollout.phases import FINAL, Phase
from progressive.rollout.state import ClosedGate, Rollout
from progressive.rollout.status import Waiting

from .readings import furthest, silent

ZERO: Final = timedelta()

UNSURE_AFTER: Final = timedelta(seconds=20)
"""How long traffic may be unverified before it is judged all the same."""


class Draft:
    """The working copy of a rollout in one decision.

    Rules replace its parts; the rollout ``given`` never changes.

    * ``now``: the time of the decision.
    * ``notes``: the notes so far, in order.
    * ``wake``: when to tick next at the latest; None while no rule has asked for a time.
    * ``gates``: the gates' answers of this tick, by name.
    * ``to_ask``: the gates that still have to be asked in this tick.
    * ``of_older_rules``: whether it was begun by a version whose markers had no owner: it goes on
      by the rules of then, so that what was stored is decided on as it was.
    """

    __slots__ = (
        "clocks",
        "evidence",
        "gates",
        "given",
        "instances",
        "notes",
        "now",
        "of_older_rules",
        "plan",
        "progress",
        "release",
        "routing",
        "to_ask",
        "wake",
    )

    def __init__(self, given: Rollout, now: datetime) -> None:
        self.given = given
        self.now = now
        self.plan = given.plan
        self.release = given.release
        self.progress = given.progress
        self.routing = given.routing
        self.evidence = given.evidence
        self.clocks = given.clocks
        self.instances = given.instances
        self.of_older_rules = not given.routing.owner
        self.notes: list[Note] = []
        self.wake: datetime | None = None
        self.gates: dict[str, GateAnswer] = {}
        self.to_ask: list[str] = []

    # -------------------------------------------------------------------------------------- reading

    @property
    def final(self) -> bool:
        return self.progress.phase in FINAL

    @property
    def full(self) -> bool:
        """Whether the candidate is asked to have all the traffic that the plan ever gives it."""
        return not self.plan.traffics[-1].exceeds(self.routing.desired)

    @property
    def verified(self) -> bool:
        """Whether the last read showed exactly the desired traffic."""
        return self.routing.verified_since is not None

    @property
    def unread(self) -> bool:
        """Whether the last read failed, so that what is served now is not known."""
        routing = self.routing
        return (
            routing.last_attempt_at is not None
            and routing.last_attempt_at != routing.read_at
            and not self.of_older_rules
        )

    @property
    def unsure(self) -> bool:
        """Whether it is not known for some time already what is served, or whether it is what was
        asked for: a write that fails, a part that was lost, a router that can't be read.
        """
        seen = self.routing.verified_at
        lost = not self.verified and seen is not None and self.now - seen > UNSURE_AFTER
        return not self.of_older_rules and self.routing.ownership_confirmed and lost

    @property
    def closed_gate(self) -> ClosedGate | None:
        """The gate that is known to be closed now, if any."""
        closed = self.progress.closed_gate
        return closed if closed is not None and self.now < closed.until else None

    @property
    def counted(self) -> timedelta:
        """The time in this step or phase that counts against a deadline of the engine's: not that
        in which nobody came.
        """
        return self.clocks.stepped - self.clocks.unwatched

    @property
    def leaving(self) -> Track:
        """`Rollout.leaving`."""
        return Track.STABLE if self.progress.phase is Phase.PROMOTED else Track.CANDIDATE

    @property
    def removed_after(self) -> timedelta | None:
        """How long after the end the version without traffic is removed; None for never."""
        promoted = self.progress.phase is Phase.PROMOTED
        return self.plan.retire_after if promoted else self.plan.remove_candidate_after

    @property
    def latest(self) -> datetime:
        """The furthest time that any driver's clock has shown, as long as that one may come again;
        where a stable period or a step begins.
        """
        return furthest(self.clocks.readings, self.now, self.plan.watch_every)

    def owns(self, marker: Marker | None) -> bool:
        """Return whether a marker may be ours: of our generation and not another owner's, or none
        at all.
        """
        return marker is None or (
            marker.generation == self.routing.generation
            and (self.of_older_rules or marker.owner in ("", self.routing.owner))
        )

    def waived(self, key: str) -> bool:
        """Return whether a person has waived a check, step, gate or cause.

        ``key`` is its name; the part after the last ``/`` counts too.
        """
        return key in self.progress.waived or key.rpartition("/")[2] in self.progress.waived

    # -------------------------------------------------------------------------------------- writing

    def note(self, note: Note) -> None:
        self.notes.append(note)

    def refuse(self, event: Event, why: str) -> None:
        """Add a note that an event was refused, and why; it changes nothing else."""
        self.notes.append(Refused(at=self.now, event=event.kind, why=why))

    def look_again(self, at: datetime | None) -> None:
        """Make the next tick no later than ``at``.

        None and times that have come are ignored: what is due now is a command of this decision,
        or waits for something else.
        """
        if at is not None and at > self.now and (self.wake is None or at < self.wake):
            self.wake = at

    def look_again_after(self, left: timedelta) -> None:
        """Make the next tick no later than when so much more time can have passed: by a clock that
        is behind another, later than by that alone. A tick before would be in vain.
        """
        if left > ZERO:
            readings, at = self.clocks.readings, self.now + left
            if readings and readings[0].at > self.now:  # they fall; else none is ahead
                at += silent(readings, self.now, self.plan.watch_every)
            self.look_again(at)

    def wait(
        self,
        why: str,
        *,
        until: datetime | None = None,
        left: timedelta | None = None,
        then: str = "",
    ) -> None:
        """Set the reason for waiting, until when, and what happens then.

        ``left`` is given in place of ``until`` where so much time has to pass. The time since when
        it waits is kept while the reason stays the same.
        """
        if left is None:
            self.look_again(until)
        else:
            self.look_again_after(left)
            until = self.now + left
        last = self.progress.waiting
        since = last.since if last is not None and last.why == why else self.now
        if last is None or (last.why, last.until, last.then) != (why, until, then):
            self.progress = evolve(
                self.progress, waiting=Waiting(why=why, since=since, until=until, then=then)
            )
