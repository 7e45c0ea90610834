"""The report of a walk: how much it saw, what it did not try, which promises do not hold, and the
traces to them, to read, to decide again and to keep as a test.
"""

from __future__ import annotations

from datetime import timedelta
from textwrap import fill
from typing import Final

import attrs

from progressive.codec.documents import dumps_event
from progressive.engine.decide import decide
from progressive.model.units import format_duration
from progressive.rollout.events import Event
from progressive.rollout.state import Rollout

__all__ = ["Broken", "Report", "TraceStep", "WalkProgress"]

OF_THE_WHOLE: Final = (
    "what holds of the whole was not judged: that from everywhere an abort leads to 0 % and some "
    "way to an end, that it can be promoted, and that every step is reached"
)


def _wrapped(line: str, indent: str = "") -> str:
    return fill(line, 100, subsequent_indent=indent, break_on_hyphens=False)


@attrs.frozen(kw_only=True)
class WalkProgress:
    """How far a walk has come, for an observer; ``print`` is one.

    * ``states``, ``transitions``: how many were seen.
    * ``open``: of the states, how many are still to be ticked.
    * ``depth``: of so many ticks every way was tried.
    * ``elapsed``: how long it has taken, by the caller's clock.
    """

    states: int
    transitions: int
    open: int
    depth: int
    elapsed: timedelta

    def __str__(self) -> str:
        return (
            f"{self.states:,} states, {self.open:,} of them open, {self.depth} ticks deep, "
            f"after {format_duration(self.elapsed)}"
        )


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
    """A promise that does not hold, and the shortest trace to it from the start.

    ``test`` is the source of a test to paste, which fails as long as the promise is broken: it
    takes the same way again by `retrace`.
    """

    what: str
    begin: Rollout
    trace: tuple[TraceStep, ...]
    test: str

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
    * ``complete``: whether every reachable state was seen. If not, nothing is promised of the
      others, and what holds only of the whole was not judged.
    * ``stopped``: what stopped it: the ``most_states`` or the ``budget`` that was given.
    * ``depth``: of so many ticks every way was tried; the most that there are if it is complete.
    * ``open``: the states that were seen and not ticked.
    * ``steps``: the ids of all steps; ``unreached``: of those that no state is in.
    * ``broken``: the promises that do not hold.
    * ``untried``: what was not tried, for this plan or ever, in sentences.
    """

    states: int
    transitions: int
    complete: bool
    stopped: str
    depth: int
    open: int
    steps: tuple[str, ...]
    unreached: tuple[str, ...]
    broken: tuple[Broken, ...]
    untried: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every state was seen, every step reached, and every promise holds."""
        return self.complete and not self.broken and not self.unreached

    def __str__(self) -> str:
        lines = [*self._extent()]
        lines += [f"step {step} is never reached" for step in self.unreached]
        lines += [str(each) for each in self.broken]
        if self.broken:
            shortest = min(self.broken, key=lambda broken: len(broken.trace))
            lines += ["", "the shortest of them, as a test:", "", shortest.test]
        lines += ["not tried:", *(_wrapped(f"- {each}", "  ") for each in self.untried)]
        return "\n".join([*lines, "every promise holds" if self.ok else "NOT OK"])

    def _extent(self) -> list[str]:
        seen = f"{self.states:,} states, {self.transitions:,} transitions"
        if self.complete:
            return [f"{seen}, all that there are, at most {self.depth} ticks from the start"]
        tried = (
            f"every way of {self.depth} ticks was tried; {self.open:,} states seen are not ticked"
        )
        return [f"{seen}, STOPPED BY {self.stopped}", tried, _wrapped(OF_THE_WHOLE)]

    __repr__ = __str__
