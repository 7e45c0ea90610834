"""What was stored by any version is read for ever, and decided on as it was: golden states and
transcripts, committed and never remade.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from tests.support.paths import GOLDEN, TESTS
from tests.support.rules import rule

from progressive import Phase, Rollout, Tick, decide, dumps, loads
from progressive.codec import dumps_event, dumps_note, loads_event, loads_note
from progressive.codec.schema import Codec
from progressive.model.units import Percent
from progressive.plan.step import Kinds
from progressive.rollout.events import EVENTS
from progressive.rollout.notes import NOTES
from progressive.rollout.state import FORMAT
from progressive.steps import KINDS

STATES = sorted(GOLDEN.glob("format-*/states/*.json"))
TRANSCRIPTS = sorted(GOLDEN.glob("format-*/transcripts/*.jsonl"))


def named(path: Path) -> str:
    return f"{path.parent.parent.name}/{path.stem}"


def compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_there_are_golden_files_of_the_current_format() -> None:
    assert (GOLDEN / f"format-{FORMAT}" / "states").is_dir()
    assert len(STATES) >= 30
    assert len(TRANSCRIPTS) >= 5


@rule("R32", "R35")
@pytest.mark.parametrize("path", STATES, ids=named)
def test_a_golden_state_is_read_and_written_back_byte_by_byte(path: Path) -> None:
    text = path.read_text(encoding="utf-8").removesuffix("\n")

    assert dumps(loads(text)) == text
    assert dumps(loads(text.encode())) == text


@rule("R35")
@pytest.mark.parametrize("path", STATES, ids=named)
def test_a_golden_state_can_be_driven_on(path: Path) -> None:
    rollout = loads(path.read_text(encoding="utf-8"))
    decision = decide(rollout, Tick(at=rollout.clocks.now + timedelta(seconds=30)))

    assert (decision.wake_at is None) == rollout.over
    assert loads(dumps(decision.rollout)) == decision.rollout


@rule("R32", "R35", "R36")
@pytest.mark.parametrize("path", TRANSCRIPTS, ids=named)
def test_deciding_over_a_golden_transcript_gives_its_bytes(path: Path) -> None:
    first, *decisions = lines(path)
    rollout = loads(compact(first["begin"]))
    assert dumps(rollout) == compact(first["begin"])
    for n, stored in enumerate(decisions, start=2):
        events = [loads_event(compact(event)) for event in stored["events"]]
        assert [dumps_event(event) for event in events] == [
            compact(event) for event in stored["events"]
        ]
        before = json.loads(dumps(rollout))
        decision = decide(rollout, *events)
        after = json.loads(dumps(decision.rollout))
        keys = [*after, *(key for key in before if key not in after)]
        changed = {
            key: after.get(key)
            for key in keys
            if compact(after.get(key)) != compact(before.get(key))
        }

        assert compact(changed) == compact(stored["state"]), f"line {n}: the state"
        assert [dumps_note(note) for note in decision.notes] == [
            compact(note) for note in stored["notes"]
        ], f"line {n}: the notes"
        rollout = decision.rollout


@rule("R35")
@pytest.mark.parametrize("path", TRANSCRIPTS, ids=named)
def test_golden_notes_are_read_and_written_back_byte_by_byte(path: Path) -> None:
    texts = [compact(note) for stored in lines(path)[1:] for note in stored["notes"]]

    assert texts
    assert [dumps_note(loads_note(text)) for text in texts] == texts


# ------------------------------------------------------------------------ is everything among them?


def rollouts() -> Iterator[Rollout]:
    for path in STATES:
        yield loads(path.read_text(encoding="utf-8"))


def values(value: object) -> Iterator[Any]:
    """Every attrs value inside a value, itself included."""
    if isinstance(value, tuple):
        for each in value:
            yield from values(each)
    elif attrs.has(type(value)) and not isinstance(value, Percent):
        yield value
        for field in attrs.fields(type(value)):
            yield from values(getattr(value, field.name))


def stored_fields(kind: type[Any]) -> list[str]:
    return [field.name for field in attrs.fields(kind) if field.init]


def test_every_field_of_the_state_has_a_golden_value_other_than_its_default() -> None:
    seen: dict[type[Any], set[str]] = {}
    for rollout in rollouts():
        for value in values(rollout):
            there = seen.setdefault(type(value), set())
            for field in attrs.fields(type(value)):
                if field.init and getattr(value, field.name) != field.default:
                    there.add(field.name)
    missing = {
        f"{kind.__name__}.{name}"
        for kind, there in seen.items()
        for name in stored_fields(kind)
        if name not in there
    }

    assert missing == set()
    assert {kind.kind for kind in KINDS} <= {getattr(kind, "kind", "") for kind in seen}


def test_every_phase_has_a_golden_state() -> None:
    assert {rollout.phase for rollout in rollouts()} == set(Phase)


def test_every_kind_of_event_note_measurement_and_answer_is_in_a_golden_transcript() -> None:
    kinds: set[str] = set()

    def collect(data: object) -> None:
        if isinstance(data, dict):
            kinds.add(str(data.get("kind")))
            for each in data.values():
                collect(each)
        elif isinstance(data, list):
            for each in data:
                collect(each)

    for path in TRANSCRIPTS:
        collect(lines(path))
    wanted = {kind.kind for kind in (*EVENTS, *NOTES)}
    wanted |= {
        "counts",
        "histogram",
        "moments",
        "gauge",
        "no_data",
        "no_answer",
        "go",
        "not_yet",
        "stop",
        "open",
        "closed",
    }

    assert wanted - kinds == set()


def test_stored_kinds_are_never_renamed() -> None:
    """Names in stored state are for ever; a changed behaviour is a new kind."""
    codec = Codec.of(Kinds())

    assert sorted(codec.steps) == ["analyze", "approval", "bake", "hook", "pause", "set_weight"]
    assert sorted(codec.checks) == ["kayenta", "limit", "mann_whitney", "no_worse", "sample_ratio"]
    assert sorted(event.kind for event in EVENTS) == [
        "abort",
        "approve",
        "command_failed",
        "gate_answered",
        "hold",
        "hook_answered",
        "inspected",
        "measured",
        "promote_now",
        "reject",
        "resume",
        "retired",
        "seen",
        "skip",
        "superseded",
        "surveyed",
        "tick",
        "wrote",
    ]
    assert sorted(note.kind for note in NOTES) == [
        "asked",
        "drifted",
        "entered",
        "escalated",
        "happened",
        "judged",
        "late",
        "refused",
        "released",
        "unjudged",
        "verified",
    ]


def test_the_script_that_makes_them_never_overwrites(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.read_bytes() for path in (*STATES, *TRANSCRIPTS)}
    spec = importlib.util.spec_from_file_location(
        "golden_make", TESTS / "support" / "make_golden.py"
    )
    assert spec is not None and spec.loader is not None
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    make.main()
    monkeypatch.setattr(make, "line", lambda *decision: "another")
    with pytest.raises(SystemExit, match="never overwritten"):
        make.main()

    assert {path: path.read_bytes() for path in before} == before
