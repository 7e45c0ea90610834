"""The spans of a rollout: laws of the whole trace, and one of each kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import attrs
import pytest
from tests.support.observed import HISTORIES, Observed
from tests.support.world import START

from progressive import seconds
from progressive.model.measurement import Counts, Look, NoAnswer, Window
from progressive.model.traffic import Track
from progressive.observers.spans import MOST_EVENTS, Span, Trail
from progressive.observers.trace_ids import ROOT
from progressive.rollout.events import Measured
from progressive.rollout.notes import (
    Asked,
    Escalated,
    EventRecorded,
    Judged,
    Note,
    PhaseEntered,
    Verified,
)
from progressive.rollout.phases import FINAL

EVERY = pytest.mark.parametrize("name", HISTORIES)


def spans(history: Observed, notes: Sequence[Note] | None = None) -> list[Span]:
    return Trail(history.rollout).of(history.saved if notes is None else notes)


def named(found: Sequence[Span], name: str) -> list[Span]:
    return [span for span in found if span.name == name]


@EVERY
def test_how_notes_are_cut_into_ticks_changes_nothing(name: str) -> None:
    history = HISTORIES[name]()
    trail, told = Trail(history.rollout), []
    cuts = [n for n, note in enumerate(history.saved) if isinstance(note, EventRecorded)]
    for begin, end in zip([0, *cuts], [*cuts, None], strict=True):
        told += trail.of(history.saved[begin:end])

    assert sorted(told, key=lambda span: span.key) == sorted(
        spans(history), key=lambda span: span.key
    )


@EVERY
def test_keys_are_unique_and_every_parent_is_a_step_or_the_root(name: str) -> None:
    history = HISTORIES[name]()
    found = spans(history)
    keys = [span.key for span in found]
    steps = {span.key for span in found if span.parent == ROOT}

    assert len(set(keys)) == len(keys)
    assert all(span.end >= span.start for span in found)
    if history.rollout.final:
        assert {span.parent for span in found} <= steps | {ROOT, ""}
        assert keys.count(ROOT) == 1
    else:
        assert keys.count(ROOT) == 0


@EVERY
def test_nothing_that_was_noted_is_missing(name: str) -> None:
    """As many steps, looks, writes and verdicts as there are notes of them."""
    history = HISTORIES[name]()
    found, notes = spans(history), history.saved
    kinds = Counter(span.key.split()[0].split("/")[0] for span in found)
    looks = [
        note
        for note in notes
        if isinstance(note, EventRecorded) and isinstance(note.event, Measured)
    ]
    verdicts = [event for span in found for event in span.events if event.name == "verdict"]

    assert kinds["look"] == len(looks)
    assert len(verdicts) == sum(isinstance(note, Judged) for note in notes)
    assert kinds["write"] == sum(isinstance(note, Asked) for note in notes)
    assert kinds["step"] == sum(isinstance(note, PhaseEntered) for note in notes)


@EVERY
def test_the_steps_follow_each_other_without_a_gap(name: str) -> None:
    history = HISTORIES[name]()
    steps = [span for span in spans(history) if span.key.startswith("step/")]

    assert steps[0].start == history.rollout.clocks.created
    assert all(one.end == other.start for one, other in pairwise(steps))


@EVERY
def test_the_root_is_as_long_as_the_rollout_and_counts_what_ended_before_it(name: str) -> None:
    history = HISTORIES[name]()
    found = spans(history)
    for n, span in enumerate(found):
        if span.key == ROOT:
            [end] = [
                note
                for note in history.saved
                if isinstance(note, PhaseEntered) and note.phase in FINAL
            ]
            assert (span.start, span.end) == (history.rollout.clocks.created, end.at)
            assert span.attributes["progressive.spans"] == n
            assert span.attributes["progressive.phase"] == end.phase


def test_a_step_that_fails_and_the_rollout_say_why_and_the_way_back_did_not_fail() -> None:
    found = spans(HISTORIES["rolled_back"]())
    errors = {span.name: span.error for span in found if span.error}
    [root] = named(found, "rollout")

    assert set(errors) == {"step bake-10", "look error-rate", "rollout"}
    assert errors["step bake-10"] == errors["rollout"] == root.attributes["progressive.why"]
    assert errors["look error-rate"].startswith("checks/error-rate-no-worse: worse: 50 events")


def test_a_promoted_one_has_no_error() -> None:
    assert not [span for span in spans(HISTORIES["promoted"]()) if span.error]


def test_a_hold_is_a_span_with_who_and_why() -> None:
    [held] = named(spans(HISTORIES["held_and_resumed"]()), "held")

    assert held.attributes["progressive.by"] == "eve"
    assert "odd" in str(held.attributes["progressive.why"])
    assert [event.name for event in held.events] == ["resume"]
    assert held.events[0].attributes["progressive.why"] == "eve: resume (it was another)"


def test_a_write_lasts_until_it_is_read_back_and_says_if_it_never_was() -> None:
    history = HISTORIES["promoted"]()
    writes = named(spans(history), "write")
    ends = [note.at for note in history.saved if isinstance(note, Verified)]
    unread = [note for note in history.saved if not isinstance(note, Verified)]
    lost = named(spans(history, unread), "write")

    assert [write.attributes["progressive.weight"] for write in writes] == [0.1, 1.0]
    assert [write.end for write in writes] == ends[1:]
    assert all(write.attributes["progressive.verified"] for write in writes)
    assert [write.attributes["progressive.verified"] for write in lost] == [False, False]


def test_what_comes_after_the_end_is_a_span_of_its_own() -> None:
    after = [span for span in spans(HISTORIES["retired"]()) if span.key.startswith("after")]

    assert [span.name for span in after] == ["verified", "released"]
    assert all(span.parent == ROOT and span.start == span.end for span in after)


def test_troubles_are_events_of_the_step() -> None:
    events = {
        event.name: event.attributes["progressive.severity"]
        for span in spans(HISTORIES["troubled"]())
        if span.key.startswith("step/")
        for event in span.events
    }

    assert {"late", "drifted", "command_failed"} <= events.keys()
    assert events["drifted"] == "warning"


# ------------------------------------------------------------------------------- notes made by hand


def made(*notes: Note) -> list[Span]:
    """The spans of these notes after the first tick, ended by a step that follows."""
    history = HISTORIES["promoted"]()
    rollout, first = history.decisions[0]
    trail = Trail(rollout)
    trail.of(first)
    at = START + seconds(100)
    step = PhaseEntered(at=at, phase="progressing", step="next", epoch=99, why="")
    return trail.of([*notes, step])


def look(*tracks: tuple[Track, Counts | NoAnswer], metric: str = "error-rate") -> EventRecorded:
    window = Window(START + seconds(60), START + seconds(70))
    taken = Look(metric=metric, window=window, tracks=tracks)
    return EventRecorded(
        at=window.end, event=Measured(at=window.end, analyses=("checks",), look=taken)
    )


def judged(check: str = "error-rate", verdict: str = "fail", analysis: str = "checks") -> Judged:
    return Judged(
        at=START + seconds(71),
        analysis=analysis,
        check=check,
        verdict=verdict,
        why="4 % is above",
        numbers=(("candidate", 0.04),),
    )


def test_a_look_has_its_window_what_it_counted_and_its_verdicts() -> None:
    counts = look(
        (Track.CANDIDATE, Counts(events=1, trials=2**70)), (Track.STABLE, NoAnswer("it is down"))
    )
    found = made(counts, judged(), judged("error-rate-no-worse"))
    [span] = named(found, "look error-rate")

    assert (span.start, span.end) == (START + seconds(60), START + seconds(70))
    assert span.attributes == {
        "progressive.metric": "error-rate",
        "progressive.candidate.sample": 2.0**70,
        "progressive.candidate.events": 1,
        "progressive.stable.sample": 0,
        "progressive.stable.missing": "no_answer: it is down",
    }
    assert [event.name for event in span.events] == ["verdict", "verdict"]
    assert span.events[0].attributes == {
        "progressive.check": "checks/error-rate",
        "progressive.verdict": "fail",
        "progressive.why": "4 % is above",
        "progressive.numbers.candidate": 0.04,
    }
    assert span.error == "checks/error-rate: 4 % is above"


def test_a_verdict_is_on_the_look_of_its_metric_and_else_on_the_step() -> None:
    found = made(look(), look(metric="latency"), judged(), judged(analysis="other"))
    events = {span.name: len(span.events) for span in found}

    assert events == {"look error-rate": 1, "look latency": 0, "step bake-10": 1}
    assert not named(found, "step bake-10")[0].error


def test_a_verdict_that_passes_is_no_error() -> None:
    assert not [span for span in made(look(), judged(verdict="pass")) if span.error]


def test_a_write_that_is_overtaken_was_not_verified() -> None:
    asked = [note for note in HISTORIES["promoted"]().saved if isinstance(note, Asked)]
    found = made(*(attrs.evolve(note, at=START + seconds(70)) for note in asked))

    assert [span.attributes["progressive.verified"] for span in named(found, "write")] == [False]


def test_of_too_many_events_the_latest_are_kept_and_the_others_counted() -> None:
    many = [Escalated(at=START + seconds(60 + n / 1000), why=f"no {n}") for n in range(150)]
    [step] = named(made(*many), "step bake-10")

    assert len(step.events) == MOST_EVENTS
    assert "no 149" in str(step.events[-1].attributes["progressive.why"])
    assert step.attributes["progressive.events.missing"] == 50


def test_a_clock_that_goes_back_makes_no_span_that_ends_before_its_start() -> None:
    early = PhaseEntered(at=START - seconds(9), phase="held", step="", epoch=98, why="")
    found = made(early)

    assert all(span.end >= span.start for span in found)


# ----------------------------------------------------------------------------------- in the middle


@EVERY
def test_who_comes_in_the_middle_says_so_and_goes_on_as_the_others(name: str) -> None:
    history = HISTORIES[name]()
    for n, (rollout, _) in enumerate(history.decisions):
        trail = Trail(rollout, whole=False)
        found = [span for _, notes in history.decisions[n:] for span in trail.of(notes)]
        partial = [span for span in found if span.attributes.get("progressive.partial")]
        keys = {span.key for span in spans(history)}

        assert len(partial) <= 1
        assert {span.name for span in partial} <= {"step"}
        assert {span.key for span in found if span not in partial} <= keys | {"step/0"}


def test_who_comes_after_the_end_has_no_step() -> None:
    history = HISTORIES["retired"]()
    rollout, notes = history.decisions[-1]
    found = Trail(rollout, whole=False).of(notes)

    assert [span.name for span in found] == ["released"]
    assert Trail(rollout, whole=False).of(()) == []
