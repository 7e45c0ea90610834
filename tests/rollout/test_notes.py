"""The audit trail as a person reads it: each note is a sentence, word for word."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from progressive import (
    Abort,
    Approve,
    ClosedUntil,
    Go,
    NotYet,
    Open,
    PromoteNow,
    Stop,
    Track,
    Traffic,
    percent,
)
from progressive.errors import Failure
from progressive.model import Capacity, Counts, Gauge, Histogram, Look, NoAnswer, NoData, Window
from progressive.model.router_state import Served
from progressive.rollout.events import (
    CommandFailed,
    GateAnswered,
    HookAnswered,
    Measured,
    Retired,
    Surveyed,
)
from progressive.rollout.notes import (
    NOTES,
    Asked,
    Drifted,
    Escalated,
    EventRecorded,
    Judged,
    Late,
    Note,
    PhaseEntered,
    Refused,
    Released,
    Unjudged,
    Verified,
)

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def happened(kind: type[Any], **said: Any) -> EventRecorded:
    return EventRecorded(at=AT, event=kind(at=AT, **said))


def look(*measured: Any) -> EventRecorded:
    tracks = tuple(zip((Track.CANDIDATE, Track.STABLE), measured, strict=False))
    return happened(
        Measured,
        analyses=("checks",),
        look=Look(metric="error-rate", window=Window(AT, AT), tracks=tracks),
    )


SENTENCES: list[tuple[Note, str]] = [
    (
        look(Counts(events=3, trials=70), Counts(events=1, trials=900)),
        "error-rate: candidate 3 of 70, stable 1 of 900",
    ),
    (
        look(NoData("no series"), NoAnswer("503")),
        "error-rate: candidate no data: no series, stable no answer: 503",
    ),
    (
        look(Histogram(edges=(1.0,), cumulative=(3, 4)), Gauge(samples=(1.0,))),
        "error-rate: candidate 4 values, stable gauge",
    ),
    (happened(Abort, by="eve", why="enough"), "eve: abort (enough)"),
    (happened(PromoteNow, by="eve", why="in a hurry"), "eve: promote now (in a hurry)"),
    (happened(Approve, by="eve", why="good", approval="go"), "eve: approve (good)"),
    (happened(HookAnswered, epoch=1, step="hook-smoke", answer=Go()), "hook of hook-smoke: go"),
    (
        happened(HookAnswered, epoch=1, step="hook-smoke", answer=NotYet(AT, "warm")),
        "hook of hook-smoke: not before 2026-03-01T12:00:00+00:00: warm",
    ),
    (
        happened(HookAnswered, epoch=1, step="hook-smoke", answer=Stop("it is red")),
        "hook of hook-smoke: stop: it is red",
    ),
    (happened(GateAnswered, epoch=1, gate="freeze", answer=Open()), "gate freeze: open"),
    (
        happened(GateAnswered, epoch=1, gate="freeze", answer=ClosedUntil(AT, "night")),
        "gate freeze: closed until 2026-03-01T12:00:00+00:00: night",
    ),
    (
        happened(Surveyed, tracks={Track.STABLE: Capacity(percent(60), why="3 of 5")}),
        "fleet: stable can carry 60 % (3 of 5)",
    ),
    (happened(Surveyed, tracks={}), "fleet: nothing"),
    (
        happened(
            CommandFailed, command="read", epoch=1, failure=Failure.TRANSIENT, why="timed out"
        ),
        "read failed (transient): timed out",
    ),
    (happened(Retired), "retired"),
    (
        Judged(at=AT, analysis="checks", check="error-rate", verdict="no_data", why="nothing"),
        "checks/error-rate: NO_DATA: nothing",
    ),
    (
        PhaseEntered(at=AT, phase="progressing", step="bake-5", epoch=3, why="weight-5 is done"),
        "progressing bake-5: weight-5 is done",
    ),
    (PhaseEntered(at=AT, phase="held", step="", epoch=3, why="lunch"), "held: lunch"),
    (
        Asked(at=AT, traffic=Traffic(candidate=percent(5)), why="step weight-5"),
        "asks for 5 % candidate (step weight-5)",
    ),
    (
        Verified(at=AT, traffic=Traffic(candidate=percent(5)), version="7"),
        "serves 5 % candidate, read back",
    ),
    (
        Drifted(at=AT, asked=Traffic(), served=Served(traffic=Traffic()), why="somebody did"),
        "drift: somebody did",
    ),
    (Late(at=AT, by=timedelta(seconds=9), why="came 9 s late"), "came 9 s late"),
    (
        Unjudged(at=AT, analysis="checks", what="error-rate", why="dormant"),
        "checks/error-rate: not judged: dormant",
    ),
    (Refused(at=AT, event="promote_now", why="it is over"), "promote now refused: it is over"),
    (Escalated(at=AT, why="look here"), "NEEDS A PERSON: look here"),
    (
        Escalated(at=AT, why="look here", undo="kubectl undo"),
        "NEEDS A PERSON: look here\n    by hand: kubectl undo",
    ),
    (Released(at=AT, version="stable (v1)"), "stable (v1) may be decommissioned"),
]


@pytest.mark.parametrize(
    ("note", "sentence"), SENTENCES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_note_is_a_sentence(note: Note, sentence: str) -> None:
    assert str(note) == sentence


def test_every_kind_of_note_has_a_sentence_here() -> None:
    assert {type(note) for note, _ in SENTENCES} == set(NOTES)
