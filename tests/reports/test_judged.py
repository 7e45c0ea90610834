"""Every look of every check, or the gravest of those that can't be drawn apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.support.reported import BEGAN, STORIES, canned

from progressive import minutes, seconds
from progressive.analysis import Verdict
from progressive.reports.judged import GRAVITY, MOST, CheckRecord, check_records, word
from progressive.reports.record import Record
from progressive.reports.times import Span
from progressive.rollout.notes import Judged

VERDICTS = [*GRAVITY, "vetoed"]


def checked(verdicts: list[str]) -> CheckRecord:
    notes = [
        Judged(at=BEGAN + seconds(n), analysis="a", check="b", verdict=verdict, why=f"look {n}")
        for n, verdict in enumerate(verdicts)
    ]
    [check] = check_records(Record.of(notes, None))
    return check


def test_every_verdict_has_its_gravity() -> None:
    assert GRAVITY.keys() == {verdict.value for verdict in Verdict}
    assert next(iter(GRAVITY)) == "pass" and [*GRAVITY][-1] == "fail"


@given(st.lists(st.sampled_from(VERDICTS), min_size=1, max_size=4 * MOST))
def test_each_look_is_drawn_or_stands_behind_one_that_is_as_grave(verdicts: list[str]) -> None:
    check = checked(verdicts)
    marks = check.marks(Span(start=BEGAN, end=BEGAN + seconds(len(verdicts))))

    assert len(marks) <= MOST
    assert sum(each.merged for each in marks) == len(verdicts)
    shown = {each.note.verdict for each in marks}
    gravest = max(verdicts, key=VERDICTS.index)
    assert gravest in shown
    if len(verdicts) <= MOST:
        assert [each.note.verdict for each in marks] == verdicts


def test_of_equally_grave_looks_the_last_is_drawn() -> None:
    check = checked(["pass"] * 200)
    marks = check.marks(Span(start=BEGAN, end=BEGAN + minutes(10_000)))

    assert [(each.note.why, each.merged) for each in marks] == [("look 199", 200)]


def test_verdicts_are_counted_the_gravest_first() -> None:
    check = checked(["pass", "fail", "pass", "no_data", "vetoed"])

    assert check.verdicts == (("vetoed", 1), ("fail", 1), ("no_data", 1), ("pass", 2))
    assert check.last is not None and check.last.why == "look 4"
    assert word("no_data") == "no data"


def test_checks_of_the_plan_come_first_also_those_that_never_judged() -> None:
    story = STORIES["rolled_back"]()
    stray = Judged(at=story.began, analysis="other", check="x", verdict="pass", why="by hand")
    checks = check_records(Record.of([stray, *story.notes[:1]], story.rollout))

    assert [each.key for each in checks] == [
        *(planned.key for planned in story.rollout.plan.checks),
        "other/x",
    ]
    assert [each.planned is None for each in checks] == [False] * 5 + [True]
    assert checks[0].last is None and checks[0].verdicts == ()
    assert not checks[0].observed and not checks[-1].observed


def test_the_reading_of_a_judgement_has_the_limit_of_the_plan() -> None:
    story = STORIES["rolled_back"]()
    check = check_records(Record.of(story.notes, story.rollout))[1]
    readings = [check.reading(note) for note in check.notes]

    assert all(each is not None and each.limits == (0.01,) for each in readings)
    [alone] = check_records(Record.of(canned(), None))
    assert alone.reading(alone.notes[0]) is not None
