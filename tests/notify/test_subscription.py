"""Who is told what, in which words; and what is wrong with a description of that."""

from __future__ import annotations

from typing import Any

import pytest
from tests.notify.test_sending import STATES, Desk
from tests.support.world import START

from progressive import StrategyError
from progressive.model.message import Severity
from progressive.notify.subscription import Subscription
from progressive.rollout.notes import Escalated, PhaseEntered, Verified

LAST = STATES[-1]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"sender": Desk}, "has no send(message, handle), updates and closes; write one such"),
        ({"sender": print}, "has no send(message, handle), updates and closes; write one such"),
        ({"name": "a b"}, "'a b' is not a name; use 1 to 128 letters"),
        ({"at_least": "loud"}, "'loud' is no severity; there are 'debug', 'info', 'warning', 'er"),
        ({"at_least": 20}, "20 is no severity"),
        ({"kinds": "entered"}, "'entered' is no kind of note; give a list of some of happened,"),
        ({"kinds": ["entred"]}, "'entred' is no kind of note; give a list"),
        ({"template": "{text"}, "is no format string: expected '}' before end of string; write"),
        ({"template": "{who}"}, "{who} is not known here; there are id, text, kind"),
        ({"template": "{text.upper}"}, "{text.upper} is not known here"),
        ({"template": "{text[0]}"}, "{text[0]} is not known here"),
        ({"template": "{text!r}"}, "{text} is not known here"),
        ({"template": "{text:>9}"}, "{text} is not known here"),
        ({"template": 7}, "expected a text, got 7"),
        ({"link": "https://deploy/{text}"}, "Subscription.link: {text} is not known here; there"),
    ],
)
def test_what_is_wrong_is_said_with_what_would_be_right(given: Any, problem: str) -> None:
    with pytest.raises(StrategyError) as caught:
        Subscription(**{"sender": Desk()} | given)

    assert problem in str(caught.value)


def test_words_come_from_the_note_and_from_where_the_rollout_stands() -> None:
    subscription = Subscription(
        Desk(),
        template=(
            "[{severity}] {service} {stable}>{candidate} at {weight}: {text} ({phase}, {link})"
        ),
        link="https://deploy.example/{rollout}#{id}",
    )
    note = Verified(at=START, traffic=LAST.routing.desired, version=None)
    message = subscription.message(LAST, [("shop-2/3/1", note)], recent=["before"])

    assert message.text == (
        "[info] shop v1>v2 at 0 %: serves 0 % candidate, read back (rolled_back, "
        "https://deploy.example/shop-2#shop-2/3/1)"
    )
    assert message.link == "https://deploy.example/shop-2#shop-2/3/1"
    assert message.recent == ("before", message.text)
    assert message.title == "shop: v1 to v2"


def test_a_template_may_have_braces_of_its_own() -> None:
    note = Verified(at=START, traffic=LAST.routing.desired, version=None)
    message = Subscription(Desk(), template="{{{kind}}}").message(
        LAST, [("shop-2/3/1", note)], recent=[]
    )

    assert message.text == "{verified}"


def test_the_name_is_the_senders_kind_unless_it_is_given() -> None:
    assert Subscription(Desk()).name == "desk"
    assert Subscription(Desk(), name="pager").name == "pager"


ENDED = PhaseEntered(at=START, phase="promoted", step="", epoch=9, why="done")
CALLS = Escalated(at=START, why="look")


@pytest.mark.parametrize(
    ("given", "note", "told_before", "wanted"),
    [
        ({}, ENDED, False, True),
        ({"at_least": "warning"}, ENDED, False, False),
        ({"at_least": "warning"}, CALLS, False, True),
        ({"kinds": ["entered"]}, CALLS, False, False),
        ({"kinds": ("entered", "escalated")}, CALLS, False, True),
        ({"sender": Desk(closes=True), "at_least": "error"}, ENDED, True, True),
        ({"sender": Desk(closes=True), "at_least": "error"}, ENDED, False, False),
        ({"sender": Desk(), "at_least": Severity.ERROR}, ENDED, True, False),
    ],
)
def test_filters_are_by_severity_and_kind_and_an_end_is_told_to_who_closes(
    given: Any, note: Any, told_before: bool, wanted: bool
) -> None:
    subscription = Subscription(**{"sender": Desk()} | given)

    assert subscription.wants(note, told_before=told_before) is wanted


def test_only_what_comes_at_the_end_or_after_it_is_over() -> None:
    ended = LAST.clocks.entered
    early, late = (
        Verified(at=at, traffic=LAST.routing.desired, version=None) for at in (START, ended)
    )
    subscription = Subscription(Desk())

    assert not subscription.message(LAST, [("shop-2/3/1", early)], recent=[]).over
    assert subscription.message(LAST, [("shop-2/3/1", late)], recent=[]).over


def test_the_way_back_is_not_the_end_though_both_are_in_one_moment() -> None:
    ended = LAST.clocks.entered
    back, over = (
        PhaseEntered(at=ended, phase=phase, step="bake-10", epoch=3, why="too many errors")
        for phase in ("rolling_back", "rolled_back")
    )
    subscription = Subscription(Desk())

    for note, is_over in ((back, False), (over, True)):
        message = subscription.message(LAST, [("shop-2/3/1", note)], recent=[])
        assert message.over is is_over


def test_a_message_of_several_notes_has_those_that_are_alarms() -> None:
    calm = Verified(at=START, traffic=LAST.routing.desired, version=None)
    notes = [("shop-2/3/1", CALLS), ("shop-2/3/2", calm)]
    message = Subscription(Desk()).message(LAST, notes, recent=[])

    assert (message.text, message.alarms) == (str(calm), (str(CALLS),))


def test_a_text_that_can_not_be_sent_is_sent_as_far_as_it_can() -> None:
    note = Escalated(at=START, why="caf\udce9 broke")
    message = Subscription(Desk()).message(LAST, [("shop-2/3/1", note)], recent=[])

    assert message.text == "NEEDS A PERSON: caf? broke"


def test_a_template_that_gives_nothing_gives_the_note() -> None:
    message = Subscription(Desk(), template="{link}").message(
        LAST, [("shop-2/3/1", CALLS)], recent=[]
    )

    assert message.text == "NEEDS A PERSON: look"
