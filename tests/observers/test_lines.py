"""What has a line, and what has none."""

from __future__ import annotations

import attrs
from tests.support.world import ERRORS, RELEASE, START, canary

from progressive import Limit, Rollout, begin, hours, minutes, percent
from progressive.model.actions import ClosedUntil, Go, NotYet
from progressive.observers.lines import Lines, in_words
from progressive.rollout.events import GateAnswered, HookAnswered
from progressive.rollout.notes import EventRecorded, Judged, Note
from progressive.rollout.status import Waiting
from progressive.testing import Behaviour, World, simulate


def rollout(waiting: Waiting | None = None) -> Rollout:
    begun = begin(canary().plan, RELEASE, id="r", at=START)
    return attrs.evolve(begun, progress=attrs.evolve(begun.progress, waiting=waiting))


def hook(*, go: bool) -> Note:
    answer = Go() if go else NotYet(START + minutes(1), "not yet")
    event = HookAnswered(at=START, epoch=0, step="warm", answer=answer)
    return EventRecorded(at=START, event=event)


def gate() -> Note:
    answer = ClosedUntil(START + minutes(5), "a freeze")
    return EventRecorded(
        at=START, event=GateAnswered(at=START, epoch=0, gate="freeze", answer=answer)
    )


def test_the_same_answer_of_a_hook_or_a_gate_has_one_line() -> None:
    lines = Lines()
    list(lines.begin(rollout()))

    assert list(lines.of(rollout(), [hook(go=False), hook(go=False), hook(go=True)])) == [
        "12:00:00  hook of warm: not before 2026-03-01T12:01:00+00:00: not yet",
        "12:00:00  hook of warm: go",
    ]
    assert len(list(lines.of(rollout(), [gate(), gate()]))) == 1


def test_a_wait_says_until_when_and_what_then_where_there_is_such_a_thing() -> None:
    waiting = Waiting(why="somebody", since=START)

    assert in_words(waiting) == "waits for somebody"
    waiting = attrs.evolve(waiting, until=START + minutes(5))
    assert in_words(waiting) == "waits for somebody, until 12:05:00"
    waiting = attrs.evolve(waiting, then="hold")
    assert in_words(waiting) == "waits for somebody, until 12:05:00, then hold"
    waiting = attrs.evolve(waiting, until=START + hours(12))
    assert in_words(waiting) == "waits for somebody, until 2026-03-02 00:00:00, then hold"


def test_a_wait_has_a_line_when_it_begins() -> None:
    lines = Lines()
    list(lines.begin(rollout()))
    waits = rollout(Waiting(why="somebody", since=START))

    assert list(lines.of(waits, [])) == ["12:00:00  waits for somebody"]
    assert list(lines.of(waits, [])) == []


def test_a_failure_that_does_not_decide_says_how_many_in_a_row_do() -> None:
    checks = [
        Limit(ERRORS, plain=True, at_most=percent(1), min_sample=1),
        Limit(ERRORS, plain=True, at_most=percent(5), min_sample=1, id="far"),
    ]
    story = simulate(
        canary(checks=checks), World(load=100, candidate=Behaviour(errors=0.03)), seed=1
    )
    states = story.rollout.evidence.check_states
    once = attrs.evolve(states[0], consecutive_failures=1, failed=False)
    rollout = attrs.evolve(
        story.rollout,
        evidence=attrs.evolve(story.rollout.evidence, check_states=(once, *states[1:])),
    )
    failed = next(
        note for note in story.notes if isinstance(note, Judged) and note.verdict == "fail"
    )

    assert list(Lines().of(rollout, [failed]))[-1].endswith(f"  {failed} (1 of 2 in a row)")
    assert list(Lines().of(story.rollout, [failed]))[-1].endswith(f"  {failed}")
