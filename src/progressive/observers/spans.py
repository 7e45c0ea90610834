"""The spans of a rollout's trace, made of its notes: `Trail`. Pure; `Telemetry` emits them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeAlias

import attrs

from progressive.analysis.contract import Verdict, metrics_of
from progressive.model.measurement import Counts, NoAnswer, NoData
from progressive.model.message import Severity
from progressive.rollout.events import Measured
from progressive.rollout.notes import (
    Asked,
    EventRecorded,
    Judged,
    Note,
    PhaseEntered,
    Verified,
)
from progressive.rollout.phases import FINAL, Phase
from progressive.rollout.severity import severity_of
from progressive.rollout.state import Rollout

from .trace_ids import ROOT

__all__ = ["Happening", "Span", "Trail"]

MOST_EVENTS: Final = 100
"""So many events a span keeps, the latest; SDKs keep 128. An attribute counts the others."""

BACK: Final = (Phase.ROLLING_BACK.value, Phase.ROLLED_BACK.value)
"""A step that is left for one of these has failed; the way back itself has not."""

LARGEST: Final = 2**63 - 1
"""The largest whole number of an attribute."""

Value: TypeAlias = str | int | float | bool


@attrs.frozen(kw_only=True)
class Happening:
    """An event of a span."""

    name: str
    at: datetime
    attributes: Mapping[str, Value]


@attrs.frozen(kw_only=True)
class Span:
    """A span that is over.

    * ``key``, ``parent``: by which it and its parent are known in the trace; `ROOT` has none.
    * ``error``: why it failed; empty if it did not.
    """

    key: str
    parent: str
    name: str
    start: datetime
    end: datetime
    attributes: Mapping[str, Value]
    events: tuple[Happening, ...] = ()
    error: str = ""


@attrs.define(kw_only=True)
class _Open:
    """A span that is not over yet."""

    key: str
    parent: str
    name: str
    start: datetime
    attributes: dict[str, Value] = attrs.field(factory=dict)
    events: deque[Happening] = attrs.field(factory=lambda: deque(maxlen=MOST_EVENTS))
    missed: int = 0
    error: str = ""
    phase: str = ""

    def add(self, name: str, at: datetime, **attributes: Value) -> None:
        """Add an event; of too many the oldest goes."""
        self.missed += len(self.events) == MOST_EVENTS
        named = {f"progressive.{key}": value for key, value in attributes.items()}
        self.events.append(Happening(name=name, at=at, attributes=named))

    def ended(self, at: datetime, **attributes: Value) -> Span:
        """Return it as over, never before its start: several clocks may differ."""
        named = {f"progressive.{key}": value for key, value in attributes.items()}
        if self.missed:
            named["progressive.events.missing"] = self.missed
        return Span(
            key=self.key,
            parent=self.parent,
            name=self.name,
            start=self.start,
            end=max(self.start, at),
            attributes={**self.attributes, **named},
            events=tuple(self.events),
            error=self.error,
        )


class Trail:
    """The spans of one rollout, in the order of its notes.

    How the notes are cut into calls of `of` changes nothing, but a look is not cut from its
    verdicts.

    * ``whole``: whether it is given every note since the first. If not, ``rollout`` is as the first
      tick that it is given left it, and the step that was open before begins there, and says
      ``progressive.partial``.
    """

    def __init__(self, rollout: Rollout, *, whole: bool = True) -> None:
        self._rollout, self._partial = rollout, not whole
        self._count = 0
        """How many spans are over."""
        self._root = _Open(
            key=ROOT,
            parent="",
            name="rollout",
            start=rollout.clocks.created,
            attributes=_release(rollout),
        )
        self._step: _Open | None = self._opened(rollout.clocks.created, Phase.PENDING.value)
        self._write: _Open | None = None
        self._looks: list[tuple[Measured, _Open]] = []

    def of(self, notes: Sequence[Note]) -> list[Span]:
        """Return the spans that these notes ended."""
        if self._partial and notes:
            self._begin_within(notes)
        ended = [span for note in notes for span in self._ended(note)]
        return [*ended, *self._looked()]

    def _ended(self, note: Note) -> Iterator[Span]:
        match note:
            case EventRecorded(event=Measured() as event):
                self._looks.append((event, self._look(note.at, event)))
            case Judged():
                self._judged(note)
            case PhaseEntered():
                yield from self._looked()
                yield from self._entered(note)
            case Asked():
                yield from self._looked()
                yield from self._written(note.at, verified=False)
                self._write = self._asked(note)
            case Verified() if self._write is not None:
                yield from self._written(note.at, verified=True)
            case _ if severity_of(note) < Severity.INFO:
                pass
            case _ if self._step is None:
                yield self._afterwards(note)
            case _:
                _tell(self._step, note)

    def _entered(self, note: PhaseEntered) -> Iterator[Span]:
        """End the step before; and in a final phase, everything."""
        assert self._step is not None  # a final phase is never left
        if note.phase in BACK and self._step.phase not in BACK:
            self._step.error = note.why
        yield self._over(self._step, note.at)
        if note.phase not in FINAL:
            self._step = self._opened(note.at, note.phase, note)
            return
        self._step = None
        yield from self._written(note.at, verified=False)
        if note.phase == Phase.ROLLED_BACK:
            self._root.error = note.why
        yield self._root.ended(note.at, phase=note.phase, why=note.why, spans=self._count)

    def _looked(self) -> Iterator[Span]:
        """End the looks: what follows is not about them any more."""
        for event, look in self._looks:
            yield self._over(look, event.look.window.end)
        self._looks = []

    def _written(self, at: datetime, *, verified: bool) -> Iterator[Span]:
        if self._write is not None:
            yield self._over(self._write, at, verified=verified)
            self._write = None

    def _over(self, span: _Open, at: datetime, **attributes: Value) -> Span:
        self._count += 1
        return span.ended(at, **attributes)

    def _begin_within(self, notes: Sequence[Note]) -> None:
        """Begin in the middle: what went before this decision is not known."""
        self._partial = False
        if self._rollout.final and not any(isinstance(note, PhaseEntered) for note in notes):
            self._step = None
            return
        self._step = self._opened(notes[0].at, "")
        self._step.name, self._step.attributes = "step", {"progressive.partial": True}

    def _opened(self, at: datetime, phase: str, note: PhaseEntered | None = None) -> _Open:
        named = phase.replace("_", " ")
        key = f"step/{0 if note is None else note.epoch}"
        opened = _Open(key=key, parent=ROOT, name=named, start=at, phase=phase)
        opened.attributes["progressive.phase"] = phase
        if note is not None:
            if phase == Phase.PROGRESSING:
                opened.name = f"step {note.step}"
            opened.attributes["progressive.step"] = note.step
            opened.attributes["progressive.why"] = note.why
            opened.attributes["progressive.by"] = note.by
        return opened

    def _asked(self, note: Asked) -> _Open:
        attributes: dict[str, Value] = {
            "progressive.traffic": str(note.traffic),
            "progressive.weight": note.traffic.candidate.ppm / 1e6,
            "progressive.why": note.why,
        }
        key = f"write {note.at.isoformat()} {note.traffic}"
        return self._child(key, "write", note.at, attributes)

    def _look(self, at: datetime, event: Measured) -> _Open:
        look = event.look
        start = look.window.start
        attributes: dict[str, Value] = {"progressive.metric": look.metric}
        for track, measured in look.tracks:
            name = f"progressive.{track.value}"
            attributes[f"{name}.sample"] = _whole(measured.sample)
            if isinstance(measured, Counts):
                attributes[f"{name}.events"] = _whole(measured.events)
            if isinstance(measured, NoData | NoAnswer):
                attributes[f"{name}.missing"] = f"{measured.kind}: {measured.why}"
        key = f"look {','.join(event.analyses)} {look.metric} {start.isoformat()} {at.isoformat()}"
        return self._child(key, f"look {look.metric}", start, attributes)

    def _child(self, key: str, name: str, start: datetime, attributes: dict[str, Value]) -> _Open:
        parent = ROOT if self._step is None else self._step.key
        return _Open(key=key, parent=parent, name=name, start=start, attributes=attributes)

    def _judged(self, note: Judged) -> None:
        """Put a verdict on the look that it is about; on the step if nobody looked."""
        key = f"{note.analysis}/{note.check}"
        metrics = [
            metric.name
            for planned in self._rollout.plan.checks
            if planned.key == key
            for metric in metrics_of(planned.check)
        ]
        found = [
            look
            for event, look in self._looks
            if note.analysis in event.analyses and event.look.metric in metrics
        ]
        span = found[-1] if found else self._step or self._root
        numbers: dict[str, Value] = {f"numbers.{name}": value for name, value in note.numbers}
        span.add("verdict", note.at, check=key, verdict=note.verdict, why=note.why, **numbers)
        if found and note.verdict == Verdict.FAIL:
            span.error = span.error or f"{key}: {note.why}"

    def _afterwards(self, note: Note) -> Span:
        """A span without length for what comes after the end, when the root is over."""
        why: dict[str, Value] = {"progressive.why": str(note)}
        key = f"after {note.at.isoformat()} {note}"
        return self._child(key, note.kind, note.at, why).ended(note.at)


def _tell(span: _Open, note: Note) -> None:
    name = note.event.kind if isinstance(note, EventRecorded) else note.kind
    span.add(name, note.at, severity=severity_of(note).word, why=str(note))


def _release(rollout: Rollout) -> dict[str, Value]:
    release = rollout.release
    return {
        "progressive.rollout.id": rollout.id,
        "progressive.service": release.service,
        "progressive.strategy": rollout.plan.strategy,
        **{f"progressive.{track.value}": str(v) for track, v in release.versions.items()},
    }


def _whole(count: int) -> Value:
    return count if count <= LARGEST else float(count)
