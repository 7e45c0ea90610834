"""The page of many rollouts: what became of them, and by what."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.parsed import Page, local, words, xml
from tests.support.reported import RELEASE, STORIES, canned

from progressive import StrategyError, Version, hours
from progressive.reports import OverviewReport, RolloutReport, overview, report
from progressive.reports.many import MARKS, ROWS
from progressive.rollout.notes import PhaseEntered


def told(name: str, days: float = 0, **changes: Any) -> RolloutReport:
    """The report of a story, some days later and under its own name."""
    story, later = STORIES[name](), timedelta(days=days)
    clocks = attrs.evolve(story.rollout.clocks, created=story.rollout.clocks.created + later)
    rollout = attrs.evolve(story.rollout, id=f"{name}-{days:g}", clocks=clocks, **changes)
    notes = [attrs.evolve(note, at=note.at + later) for note in story.notes]
    return report(notes, rollout=rollout)


@cache
def some() -> list[RolloutReport]:
    """Five rollouts of every ending, a day apart."""
    return [
        told("promoted", 0),
        told("rolled_back", 1),
        told("slow", 2),
        told("unfinished", 3),
        told("promoted", 4),
    ]


def test_it_says_what_was_promoted_and_what_was_rolled_back_by_which_check_and_how_fast() -> None:
    made = overview(some())
    page = Page(made.html())

    assert page.shown.startswith("5 rollouts of checkout\npromoted | 2\nrolled back | 2\n")
    assert "not over | 1\n" in page.shown
    assert "a promotion took, in the median | 40 min 5 s" in page.shown
    median = "from the first traffic to the decision to go back, in the median"
    assert f"{median} | 9 min\n" in page.shown  # the lower of the two
    assert "checks/error-rate-no-worse | 1 | 11 min 52 s | 1,745" in page.shown
    assert "checks/latency-p99 | 1 | 9 min" in page.shown
    rows = page.shown.partition("The rollouts\n")[2].splitlines()[1:6]
    assert [row.split(" | ")[0] for row in rows] == [
        "promoted-4",
        "unfinished-3",
        "slow-2",
        "rolled_back-1",
        "promoted-0",
    ]
    assert str(made).startswith("5 rollouts of checkout: promoted 2, rolled back 2, not over 1")
    assert repr(made) == f"<OverviewReport {made}>"


@given(st.permutations(range(5)))
def test_the_order_in_which_they_come_changes_nothing(order: list[int]) -> None:
    assert overview(some()[i] for i in order).html() == overview(some()).html()


def test_page_and_picture_are_well_formed_and_have_a_mark_for_each() -> None:
    made = overview(some())
    picture = xml(made.svg())

    assert local(xml(made.html().removeprefix("<!DOCTYPE html>\n"))) == "html"
    assert made._repr_svg_() == made.svg()
    marks = [each for each in picture.iter() if (each.get("class") or "") in ("pass", "fail")]
    assert len(marks) == 4
    assert "5 rollouts of checkout" in words(picture)


def test_a_person_who_took_it_back_is_named() -> None:
    notes = [
        attrs.evolve(note, why="enough of it", by="eve")
        if isinstance(note, PhaseEntered) and note.epoch >= 4
        else note
        for _, note in canned()
    ]
    aborted = report(notes)
    engine = report(
        [attrs.evolve(n, by="engine") if isinstance(n, PhaseEntered) else n for n in notes]
    )
    page = Page(overview([aborted, engine]).html())

    assert "eve | 1 | 14 min | 400" in page.shown
    assert "no check | 1 | 14 min | 400" in page.shown
    assert "not known | ↩ rolled back by eve" in page.shown


def test_one_that_never_met_anybody_has_no_time_to_tell() -> None:
    [back] = [note for _, note in canned() if isinstance(note, PhaseEntered) and note.epoch == 5]
    page = Page(overview([report([back])]).html())

    assert page.shown.startswith("1 rollout of a rollout\n")
    assert "no check | 1 | not known | not counted" in page.shown


def test_several_services_are_told_apart() -> None:
    release = attrs.evolve(RELEASE, service="cart", candidate=Version("3"), stable=None)
    made = overview([some()[0], told("promoted", 9, release=release)])
    page = Page(made.html())

    assert page.shown.startswith("2 rollouts of 2 services\n")
    assert "cart: promoted-9 | nothing → 3" in page.shown


def test_each_may_link_to_its_page() -> None:
    made = overview(some(), link=lambda each: f"{each.id}.html?a&b")

    assert Page(made.html()).links()[0] == "promoted-4.html?a&b"
    assert Page(overview(some()).html()).links() == []


def test_the_oldest_of_very_many_are_counted() -> None:
    record = some()[0].record
    rollout = record.rollout
    assert rollout is not None
    many = []
    for n in range(ROWS + 3):
        began = rollout.clocks.created + hours(n)
        clocks = attrs.evolve(rollout.clocks, created=began)
        many.append(report([], rollout=attrs.evolve(rollout, id=f"n-{n}", clocks=clocks)))
    made = overview(many)
    marks = [each for each in xml(made.svg()).iter() if each.get("class") == "pass"]

    assert "3 older ones are left out here." in Page(made.html()).shown
    assert len(marks) <= MARKS
    assert "(a mark for up to 8 rollouts)" in words(xml(made.svg()))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "overview(reports): there are none"),
        ([5], "overview(reports)[0]: 5 is no report"),
        ([report(canned()), canned()[0][1]], "overview(reports)[1]: "),
    ],
    ids=["none", "a number", "a note"],
)
def test_what_is_no_report_is_refused(given: Any, said: str) -> None:
    with pytest.raises(StrategyError) as caught:
        overview(given)

    assert said in str(caught.value)
    assert isinstance(overview(some()), OverviewReport)
