"""The report of a walk: how much it saw, which promises do not hold, and the traces to them, to
read, to decide again and to keep with a test.
"""

from __future__ import annotations

import attrs

from progressive.codec.documents import dumps_event
from progressive.engine.decide import decide
from progressive.rollout.events import Event
from progressive.rollout.state import Rollout

__all__ = ["Broken", "Report", "TraceStep"]


@attrs.frozen
class TraceStep:
    """One tick of a trace.

    * ``what``: what went wrong in it.
    * ``told``: the events of each of its decisions.
    * ``status``: the rollout's status after it.
    """

    what: str
    told: tuple[tuple[Event, ...], ...]
    status: str

    def __str__(self) -> str:
        return f"{self.what}: {self.status}"


@attrs.frozen(kw_only=True)
class Broken:
    """A promise that does not hold, and the shortest trace to it from the start."""

    what: str
    begin: Rollout
    trace: tuple[TraceStep, ...]

    def replay(self) -> Rollout:
        """Decide over the trace again, and return the rollout after it: for a regression test."""
        rollout = self.begin
        for step in self.trace:
            for events in step.told:
                rollout = decide(rollout, *events).rollout
        return rollout

    def events(self) -> tuple[tuple[str, ...], ...]:
        """Return the trace as JSON, one tuple for each decision, to keep with a test.

        `progressive.codec.loads_event` reads it.
        """
        return tuple(
            tuple(dumps_event(event) for event in events)
            for step in self.trace
            for events in step.told
        )

    def __str__(self) -> str:
        return "\n".join([self.what, *(f"  {n}. {step}" for n, step in enumerate(self.trace, 1))])


@attrs.frozen(kw_only=True, repr=False)
class Report:
    """The result of a walk. ``assert report.ok, report`` is a whole test.

    * ``states``, ``transitions``: how many were seen.
    * ``complete``: whether every reachable state was seen; False if ``most_states`` stopped it, and
      then nothing is promised of the others.
    * ``steps``: the ids of all steps; ``unreached``: of those that no state is in.
    * ``broken``: the promises that do not hold.
    """

    states: int
    transitions: int
    complete: bool
    steps: tuple[str, ...]
    unreached: tuple[str, ...]
    broken: tuple[Broken, ...]

    @property
    def ok(self) -> bool:
        """Whether every state was seen, every step reached, and every promise holds."""
        return self.complete and not self.broken and not self.unreached

    def __str__(self) -> str:
        lines = [
            (
                f"{self.states:,} states, {self.transitions:,} transitions, "
                f"{'all that there are' if self.complete else 'STOPPED BY most_states'}"
            )
        ]
        lines += [f"step {step} is never reached" for step in self.unreached]
        lines += [str(each) for each in self.broken]
        return "\n".join([*lines, "every promise holds" if self.ok else "NOT OK"])

    __repr__ = __str__
