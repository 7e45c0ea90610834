"""What a walk found: how much it saw, what does not hold, and the way there, to be read, decided
again and kept with a test.
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
    """One tick on the way: what went wrong in it, what each decision was told, and where it stood
    afterwards.
    """

    what: str
    told: tuple[tuple[Event, ...], ...]
    status: str

    def __str__(self) -> str:
        return f"{self.what}: {self.status}"


@attrs.frozen(kw_only=True)
class Broken:
    """What does not hold, and the shortest way to it from the start."""

    what: str
    begin: Rollout
    trace: tuple[TraceStep, ...]

    def replay(self) -> Rollout:
        """Decide over the trace again; the rollout as it is then. For a test that this never comes
        back.
        """
        rollout = self.begin
        for step in self.trace:
            for events in step.told:
                rollout = decide(rollout, *events).rollout
        return rollout

    def events(self) -> tuple[tuple[str, ...], ...]:
        """The trace as JSON, one tuple for each decision, to keep with a test
        (`progressive.codec.loads_event` reads it).
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
    """What the walk found. ``assert report.ok, report`` is a whole test.

    ``complete``: every reachable state was seen; False if ``most_states`` stopped it, and then what
    was not seen is not promised.
    """

    states: int
    transitions: int
    complete: bool
    steps: tuple[str, ...]
    unreached: tuple[str, ...]
    broken: tuple[Broken, ...]

    @property
    def ok(self) -> bool:
        """Everything holds in all that was seen, and all was seen."""
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
