"""What has a line, and what has none."""

from __future__ import annotations

import attrs
from tests.support.world import RELEASE, START, canary

from progressive import Rollout, begin, hours, minutes
from progressive.model.actions import ClosedUntil, Go, NotYet
from progressive.observers.lines import Lines, in_words
from progressive.rollout.events import GateAnswered, HookAnswered
from progressive.rollout.notes import EventRecorded, Note
from progressive.rollout.status import Waiting


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
