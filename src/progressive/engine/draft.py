"""The working copy of one decision: the parts of a rollout while they change."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from progressive.model.actions import GateAnswer
from progressive.model.replace import evolve
from progressive.rollout.events import Event
from progressive.rollout.notes import Note, Refused
from progressive.rollout.phases import FINAL
from progressive.rollout.state import ClosedGate, Rollout
from progressive.rollout.status import Waiting

ZERO: Final = timedelta()


class Draft:
    """One decision in the making. Rules replace its parts; nothing of the rollout that was given
    ever changes.
    """

    __slots__ = (
        "clocks",
        "evidence",
        "gates",
        "given",
        "instances",
        "notes",
        "now",
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
        """Does the candidate have all the traffic that the plan gives it?"""
        return not self.plan.traffics[-1].exceeds(self.routing.desired)

    @property
    def verified(self) -> bool:
        """Did the last read show exactly what is wanted?"""
        return self.routing.verified_since is not None

    @property
    def closed_gate(self) -> ClosedGate | None:
        """The gate that is known to be closed now."""
        closed = self.progress.closed_gate
        return closed if closed is not None and self.now < closed.until else None

    def waived(self, key: str) -> bool:
        """Was this check, step, gate or cause waived, by its full name or by its last part?"""
        return key in self.progress.waived or key.rpartition("/")[2] in self.progress.waived

    # -------------------------------------------------------------------------------------- writing

    def note(self, note: Note) -> None:
        self.notes.append(note)

    def refuse(self, event: Event, why: str) -> None:
        """This event changes nothing, and the trail says why."""
        self.notes.append(Refused(at=self.now, event=event.kind, why=why))

    def look_again(self, at: datetime | None) -> None:
        """Somebody should come back at ``at`` at the latest. What is due already is asked for now,
        or waits for something else.
        """
        if at is not None and at > self.now and (self.wake is None or at < self.wake):
            self.wake = at

    def wait(self, why: str, *, until: datetime | None = None, then: str = "") -> None:
        """Say what is waited for; the same reason keeps the time since when."""
        self.look_again(until)
        last = self.progress.waiting
        since = last.since if last is not None and last.why == why else self.now
        if last is None or (last.why, last.until, last.then) != (why, until, then):
            self.progress = evolve(
                self.progress, waiting=Waiting(why=why, since=since, until=until, then=then)
            )
