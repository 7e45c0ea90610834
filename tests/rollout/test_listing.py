"""What a list may be asked for, and the pages that it is cut into."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.store_contract import AT, a_rollout, ended

from progressive import Phase, Rollout, StateError, StrategyError
from progressive.rollout.listing import MANY, Page, Wanted, place_of
from progressive.testing.contract.listing_laws import a_cause, in_phase, waiting_for_approval

WAITS = {
    "an approval": waiting_for_approval("w", service="w"),
    "a person's hold": in_phase(a_rollout("h"), Phase.HELD, a_cause(person=True)),
    "the engine's hold": in_phase(a_rollout("e"), Phase.HELD, a_cause(person=False)),
}
WAITS_NOT = {
    "pending": a_rollout("p"),
    "a bake": in_phase(a_rollout("b"), Phase.PROGRESSING),
    "its way back": in_phase(a_rollout("r"), Phase.ROLLING_BACK),
    "over": ended(a_rollout("o")),
}


@pytest.mark.parametrize("waits", [True, False])
def test_who_waits_for_a_person_is_told_as_the_rollout_tells_it(waits: bool) -> None:
    met = {
        name
        for name, rollout in (WAITS | WAITS_NOT).items()
        if Wanted(waiting_for_person=waits).is_met_by(rollout)
    }

    assert met == set(WAITS if waits else WAITS_NOT)


@pytest.mark.parametrize(
    ("asked", "met"),
    [
        ({}, True),
        ({"phase": Phase.PENDING}, True),
        ({"phase": "pending"}, True),
        ({"phase": {"held", Phase.PENDING}}, True),
        ({"phase": Phase.HELD}, False),
        ({"phase": ()}, False),
        ({"service": "checkout"}, True),
        ({"service": "check"}, False),
        ({"since": AT}, True),
        ({"since": AT + timedelta(microseconds=999)}, True),
        ({"since": AT + timedelta(milliseconds=1)}, False),
        ({"service": "checkout", "phase": Phase.HELD}, False),
    ],
)
def test_all_conditions_are_met_together(asked: dict[str, Any], met: bool) -> None:
    assert Wanted(**asked).is_met_by(a_rollout()) is met


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            {"phase": "helt"},
            "rollouts(phase=): 'helt' is no phase, nor several; there are pending,",
        ),
        ({"phase": 3}, "rollouts(phase=): 3 is no phase"),
        ({"phase": ["held", 3]}, "rollouts(phase=): ['held', 3] is no phase"),
        ({"since": AT.replace(tzinfo=None)}, "rollouts(since=): 2026-11-23T09:00:00 has no time"),
        (
            {"since": datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))},
            "rollouts(since=): 0001-01-01T00:00:00+14:00 is no time in UTC",
        ),
        ({"service": ["shop"]}, "rollouts(service=): ['shop'] is not a name"),
        ({"service": "\ud800"}, "rollouts(service=): '\\ud800' is not a name"),
        ({"limit": -1}, "limit: -1 must be a whole number, 0 or more"),
        ({"limit": 1.5}, "limit: 1.5 must be a whole number"),
        ({"after": "no name"}, "rollouts(after=): 'no name' is not a name"),
        ({"waiting_for_person": 1}, "rollouts(waiting_for_person=): 1 must be True, False or None"),
    ],
)
def test_what_makes_no_sense_is_refused_by_the_name_of_its_argument(
    asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(StrategyError) as caught:
        Wanted(**asked)

    assert said in str(caught.value)


def test_nobody_is_looked_at_who_waits_for_nobody() -> None:
    active = {Phase.PENDING, Phase.PROGRESSING, Phase.HELD, Phase.ROLLING_BACK}

    assert Wanted(waiting_for_person=True).possible == active
    assert Wanted(waiting_for_person=True, phase=("held", "promoted")).possible == {Phase.HELD}
    assert Wanted(waiting_for_person=False).possible is None
    assert Wanted(phase="held").possible == {Phase.HELD}


def test_a_limit_of_any_size_will_do() -> None:
    assert Wanted(limit=10**30).limit == MANY


# ------------------------------------------------------------------------------------------- pages

Stored = Rollout | tuple[str, StateError]


def broken(id: str) -> tuple[str, StateError]:
    return id, StateError("not JSON", path=id)


def behind(stored: list[Stored], after: Rollout | None) -> Iterable[Stored]:
    """A store: what is stored, newest first."""
    at = 0 if after is None else stored.index(after) + 1
    return stored[at:]


@given(
    st.lists(st.sampled_from(["wanted", "other", "broken"]), max_size=12),
    st.integers(min_value=1, max_value=5),
)
def test_pages_have_each_rollout_and_each_that_can_not_be_read_once_and_in_order(
    kinds: list[str], limit: int
) -> None:
    made = {
        "wanted": lambda n: a_rollout(f"r{n}"),
        "other": lambda n: ended(a_rollout(f"r{n}")),
        "broken": lambda n: broken(f"r{n}"),
    }
    stored = [made[kind](n) for n, kind in enumerate(kinds)]
    wanted = Wanted(phase=Phase.PENDING, limit=limit)

    pages = [wanted.page(behind(stored, None))]
    while pages[-1].more:
        pages.append(wanted.page(behind(stored, pages[-1][-1])))

    assert [rollout for page in pages for rollout in page] == [
        each for each in stored if isinstance(each, Rollout) and each.phase is Phase.PENDING
    ]
    assert [each for page in pages for each in page.unreadable] == [
        each for each in stored if not isinstance(each, Rollout)
    ]
    assert all(len(page) == limit for page in pages[:-1])


def test_no_more_is_read_than_a_page_needs() -> None:
    taken = iter([a_rollout(f"r{n}") for n in range(9)])

    Wanted(limit=3).page(taken)

    assert len(list(taken)) == 5


def test_a_page_is_a_sequence_of_its_rollouts() -> None:
    one, two = a_rollout("one"), a_rollout("two")
    page = Page(entries=(two, one))

    assert (list(page), len(page), page[0], page[-1], page[:1]) == ([two, one], 2, two, one, (two,))
    assert page
    assert not Page()


def test_a_place_never_changes_and_tells_rollouts_of_one_moment_apart() -> None:
    first = a_rollout("a")
    later = attrs.evolve(ended(first), serial=7)

    assert place_of(first) == place_of(later)
    assert place_of(first) < place_of(a_rollout("b"))
    assert place_of(a_rollout("z")) < place_of(a_rollout("a", created=AT + timedelta(hours=1)))
    assert Wanted(after=first).after == place_of(first)
