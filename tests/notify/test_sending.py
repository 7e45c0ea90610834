"""Every wanted note is told at least once and in order, whatever fails and whoever dies."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.rules import rule
from tests.support.world import ERRORS, RELEASE, START

from progressive import Canary, Limit, Ports, Rollout, iterate, minutes, percent, percents, start
from progressive.errors import ConflictError, Failure, NotificationError
from progressive.model.delivery import Delivery
from progressive.model.message import Message, Severity
from progressive.model.units import seconds
from progressive.notify.sending import BACKOFF, CLAIM, send_pending
from progressive.notify.subscription import Subscription
from progressive.rollout.severity import severity_of
from progressive.testing import (
    MemoryOutbox,
    MemoryRouter,
    MemoryStore,
    ScriptedMetrics,
    VirtualClock,
    steady,
)

STRATEGY = Canary(
    weights=percents(10, 100), bake=minutes(2), checks=[Limit(ERRORS, at_most=percent(1))]
)


class Died(BaseException):
    """The process was killed: nothing after it runs."""


@attrs.define
class Desk:
    """A sender that does what ``plan`` says at each call, and keeps what it was sent."""

    plan: list[str] = attrs.field(factory=list)
    updates: bool = False
    closes: bool = False
    sent: list[Message] = attrs.field(factory=list)
    handles: list[str] = attrs.field(factory=list)

    def send(self, message: Message, handle: str) -> str:
        does = self.plan.pop(0) if self.plan else "well"
        self.handles.append(handle)
        if does == "refuses":
            raise NotificationError("answered 400: no", failure=Failure.PERMANENT)
        if does == "breaks":
            raise RuntimeError("token=s3cr3t")
        if does == "exits":
            raise SystemExit("token=s3cr3t")
        if does == "is late":
            raise TimeoutError("token=s3cr3t")
        self.sent.append(message)
        if does == "lies":
            raise NotificationError("no answer", failure=Failure.UNKNOWN)
        if does == "nonsense":
            return None  # type: ignore[return-value]
        return f"handle {len(self.sent)}"


def rolled_out(candidate: float = 0.2) -> tuple[MemoryStore, list[Rollout]]:
    """A store with a whole rollout, and every state that it had there."""
    store, clock = MemoryStore(), VirtualClock(START)
    numbers = steady(50, stable=0.001, candidate=candidate)
    ports = Ports(
        router=MemoryRouter(),
        metrics=[ScriptedMetrics({ERRORS: numbers})],
        store=store,
        clock=clock,
    )
    states = [start(STRATEGY, RELEASE, id="shop-2", ports=ports)]
    decisions = iterate(states[0], ports, sleep=lambda nap: clock.advance(seconds(nap)))
    states += [decision.rollout for decision in decisions]
    return store, states


STORE, STATES = rolled_out()
WANTED = [id for id, note in STORE.notes("shop-2") if severity_of(note) >= Severity.INFO]


def told(
    desk: Desk,
    outbox: MemoryOutbox | None = None,
    clock: Callable[[], datetime] | None = None,
    **more: Any,
) -> Delivery:
    return send_pending(
        "shop-2",
        STORE,
        outbox or MemoryOutbox(),
        Subscription(desk, name="desk", **more),
        clock=clock or VirtualClock(START),
    )


def test_each_wanted_note_is_told_once_in_order_when_all_goes_well() -> None:
    desk, outbox = Desk(), MemoryOutbox()
    done = told(desk, outbox)

    assert [message.id for message in desk.sent] == WANTED
    assert not any(message.again for message in desk.sent)
    assert (done.finished, done.sent, done.told) == (True, len(WANTED), WANTED[-1])
    assert told(desk, outbox) == done
    assert outbox.open() == []


WHAT_HAPPENS = st.sampled_from(["well", "well", "refuses", "breaks", "lies", "nonsense"])


@rule("R4")
@settings(max_examples=60, deadline=None)
@given(
    plan=st.lists(WHAT_HAPPENS, max_size=20),
    kills=st.sets(st.integers(1, 60), max_size=12),
    updates=st.booleans(),
)
def test_nothing_is_lost_and_what_was_perhaps_told_is_marked(
    plan: list[str], kills: set[int], updates: bool
) -> None:
    """``kills``: the saves of the outbox at which the process dies, before or after by turns."""
    desk, outbox, clock = (
        Desk(plan=list(plan), updates=updates),
        MemoryOutbox(),
        VirtualClock(START),
    )
    saves, honest = 0, outbox.save

    def mortal(delivery: Delivery) -> None:
        nonlocal saves
        saves += 1
        if saves in kills and saves % 2:
            raise Died
        honest(delivery)
        if saves in kills:
            raise Died

    outbox.save = mortal  # type: ignore[method-assign]
    for _ in range(200):
        try:
            if told(desk, outbox, clock).finished:
                break
        except Died:
            pass
        clock.advance(BACKOFF[-1])

    ids = [message.id for message in desk.sent]
    seen: set[str] = set()
    for message in desk.sent:
        assert message.again or message.id not in seen
        seen.add(message.id)
    if updates:
        assert ids[-1] == WANTED[-1]
        lines = [line for message in desk.sent for line in message.recent]
        assert all(any(line in str(each) for each in lines) for line in desk.sent[-1].recent)
    else:
        assert list(dict.fromkeys(ids)) == WANTED
    assert sorted(ids, key=WANTED.index) == ids
    stored = outbox.load("shop-2", "desk")
    assert stored is not None and stored.finished


def test_who_keeps_one_message_up_to_date_is_told_all_at_once_and_given_its_handle() -> None:
    desk = Desk(updates=True)
    told(desk)

    assert [message.id for message in desk.sent] == [WANTED[-1]]
    assert desk.sent[0].severity is Severity.WARNING
    assert len(desk.sent[0].recent) == 10
    assert desk.sent[0].over


def test_the_handle_of_one_message_comes_with_the_next() -> None:
    desk = Desk()
    told(desk)

    assert desk.handles == ["", *(f"handle {n}" for n in range(1, len(WANTED)))]


def test_what_fails_is_tried_again_later_and_later_and_those_behind_it_wait() -> None:
    desk, outbox, clock = Desk(plan=["refuses"] * 10), MemoryOutbox(), VirtualClock(START)
    waits: list[timedelta] = []
    for _ in range(10):
        failed = told(desk, outbox, clock)
        assert failed.retry_at is not None and failed.failed == "answered 400: no"
        waits.append(failed.retry_at - clock())
        assert told(desk, outbox, clock) == failed  # not before its time
        clock.advance(waits[-1])

    assert tuple(waits[: len(BACKOFF)]) == BACKOFF
    assert waits[-1] == BACKOFF[-1]
    assert desk.sent == []
    assert told(desk, outbox, clock).finished


@pytest.mark.parametrize(
    ("does", "name"),
    [("breaks", "RuntimeError"), ("exits", "SystemExit"), ("is late", "TimeoutError")],
)
def test_whatever_a_sender_raises_is_a_failure_and_may_be_secret(
    does: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    failed = told(Desk(plan=[does]))

    assert failed.failed == f"the sender raised {name}"
    assert "s3cr3t" not in caplog.text and name in caplog.text


def test_a_sender_that_gives_no_answer_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("progressive.notify.sending.PATIENCE", seconds(0.05))
    let_go = threading.Event()

    class Hangs(Desk):
        def send(self, message: Message, handle: str) -> str:
            let_go.wait(30)
            return ""

    failed = told(Hangs())
    let_go.set()

    assert failed.failed == "the sender gave no answer within 0.05 s"


def test_an_answer_that_is_no_handle_is_said_and_the_message_counts_as_perhaps_told() -> None:
    desk, outbox, clock = Desk(plan=["nonsense"]), MemoryOutbox(), VirtualClock(START)
    failed = told(desk, outbox, clock)
    clock.advance(BACKOFF[0])
    told(desk, outbox, clock)

    assert "answered NoneType, and not a handle" in failed.failed
    assert [message.again for message in desk.sent[:3]] == [False, True, False]


def test_who_needs_a_person_is_logged_as_an_error_each_time_others_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", logger="progressive.notify")
    for does in ("refuses", "lies"):
        desk, outbox, clock = Desk(plan=[does] * 2), MemoryOutbox(), VirtualClock(START)
        for _ in range(2):
            told(desk, outbox, clock)
            clock.advance(BACKOFF[-1])

    levels = [record.levelname for record in caplog.records]
    assert levels == ["ERROR", "ERROR", "WARNING", "DEBUG"]
    assert caplog.records[0].getMessage() == (
        "shop-2: 'desk' was not told: answered 400: no; tried again in 5 s, and nothing of it is "
        "lost"
    )


def test_what_somebody_else_is_sending_is_left_to_them_until_their_claim_is_over() -> None:
    desk, outbox, clock = Desk(), MemoryOutbox(), VirtualClock(START)
    outbox.save(
        Delivery(
            rollout="shop-2", destination="desk", revision=1, attempts=1, claimed=START + CLAIM
        )
    )
    waiting = told(desk, outbox, clock)
    clock.advance(CLAIM)
    told(desk, outbox, clock)

    assert waiting.claimed == START + CLAIM
    assert [message.again for message in desk.sent] == [True] + [False] * (len(WANTED) - 1)


def test_two_who_send_at_one_moment_do_not_both_send() -> None:
    desk, outbox = Desk(), MemoryOutbox()
    honest = outbox.load

    def late(rollout: str, destination: str) -> Delivery | None:
        """Somebody else claims it just after it was read."""
        outbox.load = honest  # type: ignore[method-assign]
        outbox.save(Delivery(rollout=rollout, destination=destination, revision=1))
        return None

    outbox.load = late  # type: ignore[method-assign]
    with pytest.raises(ConflictError, match="somebody else is telling it"):
        told(desk, outbox)
    assert desk.sent == []


def test_a_rollout_that_goes_on_is_told_from_where_it_was() -> None:
    """And what was saved after its state was read is of a later one."""
    store, states = rolled_out()
    desk, outbox = Desk(), MemoryOutbox()
    subscription, far = Subscription(desk, name="desk"), []
    for state in states:
        store.load = lambda id, state=state: state  # type: ignore[misc, method-assign]
        done = send_pending("shop-2", store, outbox, subscription, clock=VirtualClock(START))
        far.append(done.sent)

    assert [message.id for message in desk.sent] == WANTED
    assert far == sorted(far) and len(set(far)) > 2


def test_of_a_rollout_that_is_not_stored_nothing_is_told_and_nothing_kept() -> None:
    desk, outbox = Desk(), MemoryOutbox()
    found = send_pending(
        "nobody", STORE, outbox, Subscription(desk, name="desk"), clock=VirtualClock(START)
    )

    assert (found, outbox.open(), desk.sent) == (
        Delivery(rollout="nobody", destination="desk"),
        [],
        [],
    )


def test_where_nothing_is_wanted_it_is_kept_that_nothing_was_to_be_told() -> None:
    desk, outbox = Desk(), MemoryOutbox()
    done = told(desk, outbox, at_least="error")

    assert (desk.sent, done.finished, done.sent) == ([], True, 0)


def test_who_closes_is_told_the_end_if_it_was_told_anything() -> None:
    desk = Desk(closes=True)
    told(desk, kinds=["judged"])

    assert [message.kind for message in desk.sent][-1] == "entered"
    assert (desk.sent[-1].phase, desk.sent[-1].over) == ("rolled_back", True)
    unconcerned = Desk(closes=True)
    told(unconcerned, at_least="error")
    assert unconcerned.sent == []
