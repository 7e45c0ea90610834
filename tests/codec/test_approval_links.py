"""A link answers for one person, one question, once, for a time; nobody can make or change one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.world import RELEASE, START

from progressive import (
    Action,
    Approve,
    BlueGreen,
    ConflictError,
    Hold,
    Phase,
    Ports,
    Reject,
    Rollout,
    StateError,
    StrategyError,
    hours,
    minutes,
    start,
    submit,
    tick,
)
from progressive.codec import approval_link, read_approval
from progressive.steps import Approval
from progressive.testing import MemoryRouter, MemoryStore, VirtualClock

SECRET, OTHER = b"s" * 32, b"o" * 32
LATER = START + hours(1)


def waiting(id: str = "r") -> tuple[MemoryStore, Ports]:
    """A rollout that waits for the approval "switch"."""
    store = MemoryStore()
    ports = Ports(router=MemoryRouter(), store=store, clock=VirtualClock(START))
    approval = Approval("switch", within=hours(4), otherwise=Action.ROLL_BACK)
    strategy = BlueGreen(approval=approval, bake=minutes(10), unguarded="a test")
    start(strategy, RELEASE, id=id, ports=ports)
    for _ in range(6):
        tick(id, ports)
    return store, ports


def stored(store: MemoryStore, id: str = "r") -> Rollout:
    found = store.load(id)
    assert found is not None
    return found


def link(rollout: Rollout, **more: Any) -> str:
    given: dict[str, Any] = {"by": "eve", "expires": LATER}
    return approval_link(SECRET, rollout, **(given | more))


STORE, _ = waiting()
WAITING = stored(STORE)
TOKEN = link(WAITING)


@pytest.mark.parametrize(("reject", "kind"), [(False, Approve), (True, Reject)])
def test_it_is_the_answer_of_the_person_that_it_was_sent_to(reject: bool, kind: type) -> None:
    store, _ = waiting()
    answer = read_approval(
        SECRET, link(stored(store), reject=reject), stored(store), at=START, why="pressed"
    )

    assert answer == kind(at=START, approval="switch", by="eve", why="pressed")
    phase = submit(store, "r", answer).rollout.phase
    assert phase is (Phase.ROLLING_BACK if reject else Phase.PROGRESSING)


@pytest.mark.parametrize("reject", [False, True])
def test_it_is_good_once(reject: bool) -> None:
    store, _ = waiting()
    token = link(stored(store), reject=reject)
    submit(store, "r", read_approval(SECRET, token, stored(store), at=START))

    with pytest.raises(ConflictError, match="does not wait for 'switch' as it did"):
        read_approval(SECRET, token, stored(store), at=START)


def test_it_is_for_what_waits_now() -> None:
    store, _ = waiting()
    token = link(stored(store))
    submit(store, "r", Hold(at=START, by="bob", why="an incident"))

    with pytest.raises(ConflictError, match="something else has happened since"):
        read_approval(SECRET, token, stored(store), at=START)


def test_it_is_for_one_rollout() -> None:
    other, _ = waiting("other")

    with pytest.raises(StateError, match="it is for 'r', not 'other'"):
        read_approval(SECRET, TOKEN, stored(other, "other"), at=START)


def test_it_expires_to_the_millisecond() -> None:
    just_before = LATER - timedelta(milliseconds=1)

    assert read_approval(SECRET, TOKEN, WAITING, at=just_before).by == "eve"
    with pytest.raises(StateError, match=r"it has expired at 2026-03-01T13:00:00\.000"):
        read_approval(SECRET, TOKEN, WAITING, at=LATER)


def test_a_secret_is_replaced_without_a_gap() -> None:
    assert read_approval([OTHER, SECRET], TOKEN, WAITING, at=START)
    with pytest.raises(StateError, match="not signed by us"):
        read_approval(OTHER, TOKEN, WAITING, at=START)
    with pytest.raises(StateError, match="not signed by us"):
        read_approval([], TOKEN, WAITING, at=START)


@given(
    place=st.integers(0, len(TOKEN) - 1),
    character=st.sampled_from("abcXYZ0189-_.=+/ é"),
)
def test_whatever_is_changed_in_it_is_refused(place: int, character: str) -> None:
    changed = TOKEN[:place] + character + TOKEN[place + 1 :]

    if changed != TOKEN:
        with pytest.raises(StateError, match="not signed by us"):
            read_approval(SECRET, changed, WAITING, at=START)


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "a.b",
        TOKEN[:-1],
        TOKEN + "A",
        f"{TOKEN}.{TOKEN}",
        "x" * 100_000,
        None,
        "\ud800." + TOKEN.partition(".")[2],
    ],
)
def test_what_is_no_token_is_refused(token: Any) -> None:
    with pytest.raises(StateError, match="not signed by us"):
        read_approval(SECRET, token, WAITING, at=START)


def test_another_program_can_check_one() -> None:
    """As the module says: HMAC-SHA256 over a line that says what it is for, and the words."""
    words, signature = TOKEN.split(".")
    made = hmac.digest(SECRET, b"progressive approval 1\n" + words.encode(), hashlib.sha256)
    said = json.loads(base64.urlsafe_b64decode(words + "=" * (-len(words) % 4)))

    assert base64.urlsafe_b64encode(made).decode().rstrip("=") == signature
    assert said == {
        "rollout": "r",
        "approval": "switch",
        "epoch": WAITING.epoch,
        "answer": "approve",
        "by": "eve",
        "expires": "2026-03-01T13:00:00.000+00:00",
    }


def test_it_comes_behind_the_address_of_the_page() -> None:
    assert link(WAITING, url="https://d.example/?t=") == f"https://d.example/?t={TOKEN}"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: approval_link(b"short", WAITING, by="eve", expires=LATER), "at least 32 random"),
        (lambda: approval_link("s" * 32, WAITING, by="eve", expires=LATER), "at least 32 random"),  # type: ignore[arg-type]
        (lambda: link(WAITING, by=" "), "names nobody"),
        (lambda: link(WAITING, by="e" * 5000), "is no link"),
        (lambda: link(WAITING, expires=LATER.replace(tzinfo=None)), "has no time zone"),
        (lambda: read_approval(b"short", TOKEN, WAITING, at=START), "at least 32 random"),
    ],
    ids=["short", "text", "nobody", "too long", "no zone", "short to read"],
)
def test_mistakes_are_said(make: Any, said: str) -> None:
    with pytest.raises(StrategyError, match=said) as caught:
        make()
    assert "short'" not in str(caught.value)


def test_a_rollout_that_waits_for_nobody_has_no_link() -> None:
    store, ports = waiting()
    submit(store, "r", read_approval(SECRET, link(stored(store)), stored(store), at=START))
    tick("r", ports)

    with pytest.raises(StrategyError, match="'r' waits for no approval now; it is progressing"):
        link(stored(store))
