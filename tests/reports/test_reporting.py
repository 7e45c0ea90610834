"""The page and the picture of a rollout: nothing is missing, nothing gets out of its text."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reports.test_markup import seen
from tests.support.parsed import Page, local, words, xml
from tests.support.reported import BEGAN, RELEASE, STORIES, canned, stored

from progressive import (
    Abort,
    Canary,
    Limit,
    Metric,
    StrategyError,
    begin,
    minutes,
    percent,
    seconds,
)
from progressive.model.measurement import Counts, Look, Window
from progressive.model.traffic import Track
from progressive.reports import RolloutReport, report
from progressive.reports.drawing import SHAPES
from progressive.reports.judged import GRAVITY
from progressive.reports.lanes import STRIPS
from progressive.reports.listings import NOTES
from progressive.reports.markup import LONGEST
from progressive.reports.picture import LANES
from progressive.reports.sections import CHECKS
from progressive.rollout.events import Measured
from progressive.rollout.notes import (
    Escalated,
    EventRecorded,
    Judged,
    Late,
    Note,
    PhaseEntered,
)
from progressive.testing import MemoryStore
from progressive.testing.generated import notes, rollouts

GOLDEN = Path(__file__).parent / "canned.txt"
HOSTILE = "</td></style><script>alert('x')</script> \" ' & <!-- ]]> \x00\x1b[31m\u202e\ud800"


def rows(page: Page) -> str:
    """The list of all notes, in words."""
    return page.shown.partition("\nAll ")[2]


# ------------------------------------------------------------------------------------ what there is


@settings(max_examples=60)
@given(st.lists(notes(), max_size=8), st.none() | rollouts())
def test_any_notes_give_a_whole_page_and_picture(given: list[Note], rollout: Any) -> None:
    if not given and rollout is None:
        return
    made = report(given, rollout=rollout)
    page, picture = made.html(), made.svg()

    assert local(xml(page.removeprefix("<!DOCTYPE html>\n"))) == "html"
    assert local(xml(picture)) == "svg"
    assert made.html() == page and made.svg() == picture
    found = Page(page)
    assert len(found.ids()) == len(set(found.ids()))
    assert {link.removeprefix("#") for link in found.links()} <= set(found.ids())
    for note in given:
        said = seen(str(note).partition("\n    by hand: ")[0][:LONGEST])
        assert " ".join(said.split()).strip(" |") in " ".join(rows(found).split())


@pytest.mark.parametrize("name", STORIES)
def test_the_page_of_a_story_says_what_happened(name: str) -> None:
    story = STORIES[name]()
    page = Page(report(story).html())

    assert "checkout: 2026.11.4 → 2026.11.5" in page.shown
    assert story.phase.value.replace("_", " ") in page.shown
    assert story.why in page.shown or not (story.promoted or story.rolled_back)
    for planned in story.rollout.plan.checks:
        assert planned.key in page.shown
    for step in story.rollout.plan.steps:
        assert step.id in page.shown
    for action in story.rollout.progress.approvals:
        assert action.by in page.shown


@pytest.mark.parametrize("name", STORIES)
def test_pictures_have_a_title_and_no_place_outside(name: str) -> None:
    picture = xml(report(STORIES[name]()).svg())
    titles = [each for each in picture.iter() if local(each) == "title"]

    assert titles[0].text is not None and titles[0].text.startswith("checkout: ")
    for element in picture.iter():
        for side in ("x", "cx", "x1", "x2"):
            place = element.get(side, "0%")
            assert 0 <= float(place.removesuffix("%")) <= 100


def test_what_a_person_said_and_what_undoes_it_is_shown() -> None:
    page = Page(report(canned()).html())

    assert "eve: hold (odd & <strange>)" in page.shown
    assert "curl -X POST 'http://r/undo'" in page.shown
    assert "A person is needed: stable can't carry it all" in page.shown
    assert "(by bob)" in page.shown
    assert "errors{v='v2'}" in page.shown


def test_a_note_s_id_is_shown_and_linked() -> None:
    page = Page(report(canned()).html())

    assert "shop-v2/0/0" in rows(page) and "shop-v2/7/1" in rows(page)
    assert "#note-1" in page.links() and "#note-23" in page.links()
    plain = Page(report([note for _, note in canned()]).html())
    assert "note 23" in rows(plain)


def test_a_page_is_what_it_was() -> None:
    """``python -m tests.reports.test_reporting`` writes it anew."""
    assert Page(report(canned()).html()).shown == GOLDEN.read_text("utf-8")


def test_a_store_s_notes_are_all_that_is_needed() -> None:
    store = MemoryStore()
    id = stored(store)
    made = report(store.notes(id), rollout=store.load(id))

    assert made.id == id
    assert str(made).startswith("checkout: 2026.11.4 → 2026.11.5: promoted after ")
    assert repr(made) == f"<RolloutReport {made}>"
    assert f"{id}/" in made.html()
    assert made._repr_svg_() == made.svg()


def test_a_rollout_that_has_no_note_yet_has_a_page() -> None:
    canary = Canary(weights=(percent(100),), unguarded="a test")
    page = Page(report([], rollout=begin(canary.plan, RELEASE, id="new", at=BEGAN)).html())

    assert "There are none yet." in page.shown
    assert "The checks" not in page.shown and "Whom the candidate met" not in page.shown


def test_what_a_story_is_may_be_said_again() -> None:
    story = STORIES["promoted"]()
    other = attrs.evolve(story.rollout, id="renamed")

    assert report(story, rollout=other).id == "renamed"
    assert report(story) == report(story.notes, rollout=story.rollout)


def test_neither_notes_nor_rollout_is_an_error() -> None:
    with pytest.raises(StrategyError, match=r"report\(notes\): there are none"):
        report([])


# ------------------------------------------------------------------------------- what can't get out


def hostile() -> RolloutReport:
    """Every text that somebody else writes is hostile; names of a release or a plan can't be."""
    check = Limit(Metric("m", kind="ratio", unit=HOSTILE), at_most=percent(1))
    canary = Canary(weights=(percent(50), percent(100)), checks=[check])
    rollout = begin(canary.plan, RELEASE, id="hostile", at=BEGAN)
    window = Window(BEGAN, BEGAN + seconds(9))
    look = Look(
        metric="m",
        window=window,
        tracks={Track.CANDIDATE: Counts(events=1, trials=2)},
        query=HOSTILE,
    )
    given: list[Note] = [
        PhaseEntered(at=BEGAN, phase="held", step=HOSTILE, epoch=1, why=HOSTILE, by=HOSTILE),
        EventRecorded(at=BEGAN, event=Abort(at=BEGAN, by=HOSTILE, why=HOSTILE)),
        EventRecorded(at=BEGAN, event=Measured(at=BEGAN, analyses=(HOSTILE,), look=look)),
        Judged(
            at=BEGAN,
            analysis="checks",
            check=HOSTILE,
            verdict=HOSTILE,
            why=HOSTILE,
            numbers=(("candidate", 0.5), (HOSTILE, 1.0)),
        ),
        Escalated(at=BEGAN, why=HOSTILE, undo=HOSTILE),
    ]
    return report(given, rollout=rollout)


def test_no_text_becomes_an_element() -> None:
    made = hostile()
    page, picture = Page(made.html()), xml(made.svg())

    assert not {tag for tag, _ in page.elements} & {"script", "img", "iframe", "object", "form"}
    assert "script" not in {local(each) for each in picture.iter()}
    assert not [name for _, given in page.elements for name in given if name.startswith("on")]
    assert "<script>alert('x')</script>" in page.shown
    assert "\\x00\\x1b[31m\\u202e\\ud800" in page.shown
    assert made.html().encode() and made.svg().encode()  # no lone surrogate is left


def test_nothing_comes_from_elsewhere() -> None:
    for made in (hostile(), report(canned())):
        page = made.html()
        found = Page(page)
        assert all(link.startswith("#") for link in found.links())
        assert not re.findall(r"url\(|@import|src=", page)
        assert "default-src &#39;none&#39;" in page


# --------------------------------------------------------------------------- how long it may become


def long(looks: int, checks: int = 1) -> list[Note]:
    """A rollout of many looks, with a failure, a person and a decision among them."""
    given: list[Note] = []
    for n in range(looks):
        at = BEGAN + seconds(5 * n)
        window = Window(at - seconds(5), at)
        look = Look(
            metric="error-rate",
            window=window,
            tracks={Track.CANDIDATE: Counts(events=n % 3, trials=100 + n % 7)},
        )
        given.append(EventRecorded(at=at, event=Measured(at=at, analyses=("checks",), look=look)))
        given += [
            Judged(
                at=at,
                analysis="checks",
                check=f"check-{i}",
                verdict="fail" if n == looks // 2 else "pass",
                why=f"look number {n}",
                numbers=(("ratio", 1.0 + n % 5), ("ratio_low", 0.5), ("ratio_high", 9.0)),
            )
            for i in range(checks)
        ]
    middle = len(given) // 2
    abort = Abort(at=given[middle].at, by="eve", why="enough of it")
    given.insert(middle, EventRecorded(at=given[middle].at, event=abort))
    return given


@pytest.mark.long
def test_a_hundred_thousand_notes_give_a_page_that_a_phone_opens() -> None:
    given = long(33_334, checks=2)
    made = report(given)
    page = made.html()
    found = Page(page)

    assert len(given) > 100_000
    assert len(page.encode()) < 3_000_000
    assert len(made.svg().encode()) < 300_000
    assert f"All {len(given):,} notes" in found.shown
    left = [int(n.replace(",", "")) for n in re.findall(r"… ([\d,]+) left out here", rows(found))]
    assert sum(left) + NOTES == len(given)
    assert "eve: abort (enough of it)" in rows(found)
    assert "checks/check-1: FAIL: look number 16667" in rows(found)
    assert "the gravest of up to" in page
    assert "33,332" not in found.shown or "pass" in found.shown


def test_what_is_not_among_all_notes_is_not_linked() -> None:
    late = [Late(at=BEGAN + seconds(n), by=seconds(1), why=f"late {n}") for n in range(NOTES + 500)]
    page = Page(report(late).html())
    links = page.links()

    assert "500 left out here: 500 late" in rows(page)
    assert "#note-1" in links and f"#note-{NOTES + 500}" in links
    assert f"{NOTES + 100} left out here: {NOTES + 100} late" in page.shown.replace(",", "")
    assert {link.removeprefix("#") for link in links} <= set(page.ids())


def test_what_matters_may_be_listed_and_not_be_among_all_notes() -> None:
    """The list of all notes then has its first and last; the list of a check has others."""
    failing = [
        Judged(at=BEGAN + seconds(n), analysis="a", check=f"c{n // 3000}", verdict="fail", why="x")
        for n in range(6_000)
    ]
    page = Page(report(failing).html())
    links = [link for link in page.links() if link.startswith("#note")]

    assert len(links) < 300 and {link.removeprefix("#") for link in links} <= set(page.ids())


def test_many_checks_are_counted_where_they_are_not_drawn() -> None:
    made = report(long(2, checks=CHECKS + 3))
    page = Page(made.html())
    picture = words(xml(made.svg()))

    assert "3 more checks have no part of their own here." in page.shown
    assert "checks/check-42" in page.shown
    assert f"{CHECKS + 3 - STRIPS} more checks are not drawn here" in picture
    assert f"{CHECKS + 3 - LANES} more checks have no lane here" in picture


def test_a_check_that_decides_nothing_says_so() -> None:
    check = Limit(Metric("e", kind="ratio"), at_most=percent(1), observe=True)
    canary = Canary(weights=(percent(100),), checks=[check], unguarded="a test")
    rollout = begin(canary.plan, RELEASE, id="x", at=BEGAN)
    page = Page(report([], rollout=rollout).html())

    assert "checks/e (observed only: it decides nothing)" in page.shown
    assert "not judged" in page.shown


def test_every_verdict_has_a_shape_of_its_own() -> None:
    given = [
        Judged(
            at=BEGAN + minutes(n),
            analysis="a",
            check="b",
            verdict=verdict,
            why="a test",
            numbers=(("candidate", 1.0),),
        )
        for n, verdict in enumerate([*GRAVITY, "vetoed"])
    ]
    picture = xml(report(given).svg())
    used = {each.get("href") for each in picture.iter() if local(each) == "use"}

    assert used == {f"#pr-{name}" for name in SHAPES}
    assert SHAPES.keys() == (GRAVITY.keys() - {"pass", "no_data"}) | {"other"}
    page = report(given).html()
    assert "■ vetoed" in page and "✕ fail" in page


def test_a_weight_that_changed_too_often_is_said_to_be_coarser() -> None:
    from progressive import Traffic
    from progressive.rollout.notes import Asked

    given = [
        Asked(at=BEGAN + seconds(n), traffic=Traffic(candidate=percent(n % 2)), why="a test")
        for n in range(1_000)
    ]

    assert "the highest of up to 5 changes each" in words(xml(report(given).svg()))


def test_times_have_their_day_if_there_are_several() -> None:
    story = STORIES["eventful"]()

    assert "03-03 08:00:00" in Page(report(story).html()).shown
    assert datetime.fromisoformat("2026-03-02T15:10:00+00:00") == story.began


if __name__ == "__main__":
    GOLDEN.write_text(Page(report(canned()).html()).shown, encoding="utf-8")
