"""What each sender sends, to servers that check what the real ones check; sync and async."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import jsonschema
import pytest
import standardwebhooks
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.receivers import (
    Asked,
    PagerDutyServer,
    SlackServer,
    answering,
    receiving,
    slack_hook,
    workflow,
)
from tests.support.rules import rule
from tests.support.world import START

from progressive.adapters.http import Http
from progressive.adapters.sender import HttpSender
from progressive.errors import Failure, NotificationError, StrategyError
from progressive.model.message import Message, Severity
from progressive.model.units import ms, seconds
from progressive.senders.cloudevents import CDEvents, CloudEvents
from progressive.senders.pagerduty import PagerDuty
from progressive.senders.slack import Slack, SlackWebhook
from progressive.senders.teams import Teams
from progressive.senders.webhook import Webhook

TOKEN, KEY, SECRET = (
    "xoxb-s3cr3t-token",
    "s3cr3tkey0" * 3 + "ab",
    b"s3cr3t-of-a-web-hook-32-bytes-ok",
)
WORKFLOW = "/workflows/abc/triggers/manual/paths/invoke?api-version=1&sp=%2Fx&sig=s3cr3t-signature"
HOOK = "/services/T0000/B0000/s3cr3tsecretHOOK"
SOON = seconds(5)


def message(n: int = 1, **more: Any) -> Message:
    given = {
        "id": f"shop.2/4/{n}",
        "text": f"entered step {n} <!channel> & more",
        "kind": "entered",
        "severity": Severity.INFO,
        "at": START,
        "rollout": "shop.2",
        "service": "shop",
        "stable": "v1",
        "candidate": "v2",
        "phase": "progressing",
        "step": "bake-10",
        "weight": "10 %",
        "status": "progressing at bake-10",
    }
    made = given | {"recent": (f"entered step {n} <!channel> & more",)} | more
    return Message(**made)


@pytest.fixture(params=["sync", "async"])
def send(request: pytest.FixtureRequest) -> Callable[..., str]:
    """Send in one colour; a second call of an asynchronous one is in another event loop."""
    if request.param == "sync":
        return lambda sender, message, handle="": sender.send(message, handle)
    return lambda sender, message, handle="": asyncio.run(sender.asend(message, handle))


Send = Callable[..., str]


# -------------------------------------------------------------------------------------------- slack


def slack(address: str, token: Any = TOKEN) -> Slack:
    return Slack("#deploys", token=token, http=Http(f"{address}/api", deadline=SOON))


def test_slack_keeps_one_message_up_to_date_and_says_warnings_in_its_thread(send: Send) -> None:
    server = SlackServer(TOKEN)
    with receiving(server) as (address, _):
        handle = ""
        for n, severity in enumerate((Severity.INFO, Severity.INFO, Severity.WARNING), start=1):
            told = message(n, severity=severity, recent=tuple(f"line {i}" for i in range(n)))
            handle = send(slack(address), told, handle)

    [kept] = server.posted.values()
    assert kept["blocks"][1]["text"]["text"] == "line 0\nline 1\n*line 2*"
    assert kept["metadata"]["event_payload"] == {"id": "shop.2/4/3"}
    [reply] = server.replies
    assert reply["reply_broadcast"] and reply["thread_ts"] in server.posted
    assert reply["text"] == "shop: v1 to v2: entered step 3 &lt;!channel&gt; &amp; more"
    assert json.loads(handle) == {"channel": "C024BE91L", "ts": "1405894322.000"}


def test_slack_says_all_alarms_that_one_message_stands_for(send: Send) -> None:
    """Also those before a last note that is none."""
    server = SlackServer(TOKEN)
    alarms = ("checks/errors: FAIL: 20 % is above 1 %", "rolled_back: checks/errors")
    with receiving(server) as (address, _):
        handle = send(slack(address), message())
        told = message(2, severity=Severity.WARNING, alarms=alarms, again=True)
        send(slack(address), told, handle)

    [reply] = server.replies
    assert reply["text"] == (f"shop: v1 to v2: {alarms[0]}\n{alarms[1]}\n(perhaps sent before)")


def test_slack_leaves_out_what_is_oldest_and_cuts_no_escape(send: Send) -> None:
    server = SlackServer(TOKEN)
    lines = tuple(f"{n}: " + "<p>&nbsp;" * 60 for n in range(20))
    with receiving(server) as (address, _):
        send(slack(address), message(recent=(*lines, "rolled_back: the newest")))

    [kept] = server.posted.values()
    text = kept["blocks"][1]["text"]["text"]
    assert text.endswith("\n*rolled_back: the newest*")
    assert "\n0: " not in f"\n{text}"
    assert "19: &lt;p&gt;" in text
    assert not re.search(r"&(?!amp;|lt;|gt;)", text)


def test_slack_begins_another_message_where_the_first_is_gone(send: Send) -> None:
    server = SlackServer(TOKEN)
    with receiving(server) as (address, came):
        gone = json.dumps({"channel": "C024BE91L", "ts": "1.1"})
        handle = send(slack(address), message(), gone)

    assert [asked.path for asked in came] == ["/api/chat.update", "/api/chat.postMessage"]
    assert json.loads(handle)["ts"] in server.posted


@pytest.mark.parametrize(
    ("error", "failure", "said"),
    [
        ("ratelimited", Failure.TRANSIENT, "Slack: chat.postMessage: ratelimited"),
        ("not_in_channel", Failure.PERMANENT, "invite the app to the channel, or mend its name"),
        ("invalid_auth", Failure.PERMANENT, "mend the token: a bot's, with chat:write"),
        ("is_archived", Failure.PERMANENT, "Slack: chat.postMessage: is_archived"),
        ("429", Failure.TRANSIENT, "answered 429"),
    ],
)
def test_what_slack_refuses_is_said_in_its_words(
    send: Send, error: str, failure: Failure, said: str
) -> None:
    with (
        receiving(SlackServer(TOKEN, fails=[error])) as (address, _),
        pytest.raises(NotificationError) as caught,
    ):
        send(slack(address), message())

    assert caught.value.failure is failure
    assert said in str(caught.value)


def test_slack_asks_for_the_token_each_time(send: Send) -> None:
    tokens = iter(["xoxb-old", TOKEN])
    with receiving(SlackServer(TOKEN)) as (address, _):
        sender = slack(address, lambda: next(tokens))
        with pytest.raises(NotificationError, match="invalid_auth"):
            send(sender, message())
        send(sender, message())


@pytest.mark.parametrize("token", [None, b"xoxb-1", ""])
def test_a_token_that_is_none_is_not_sent(send: Send, token: Any) -> None:
    with (
        receiving(SlackServer(TOKEN)) as (address, came),
        pytest.raises(NotificationError, match="credential for Authorization could not be had"),
    ):
        send(Slack("#a", token=lambda: token, http=Http(address, deadline=ms(300))), message())

    assert came == []


def test_an_answer_of_slack_that_makes_no_sense_is_no_success(send: Send) -> None:
    for said in ("<html>", [], {"ok": "yes"}, {"ok": True}, {"ok": True, "channel": "C", "ts": 1}):
        with (
            receiving(lambda asked, said=said: (200, said)) as (address, _),
            pytest.raises(NotificationError, match="answered what makes no sense"),
        ):
            send(slack(address), message())


def test_an_incoming_hook_of_slack_posts_each_message_by_itself(send: Send) -> None:
    with receiving(slack_hook) as (address, came):
        assert send(SlackWebhook(address + HOOK), message(again=True, recent=("a", "b"))) == ""

    [asked] = came
    assert asked.path == HOOK
    section, context = (asked.json()["blocks"][i] for i in (1, 2))
    assert section["text"]["text"] == "entered step 1 &lt;!channel&gt; &amp; more"
    assert "perhaps sent before" in context["elements"][0]["text"]


# -------------------------------------------------------------------------------------------- teams


def test_teams_is_asked_with_all_of_its_address(send: Send) -> None:
    with receiving(workflow) as (address, came):
        sender = Teams(f"{address}{WORKFLOW}&empty=", http=Http("http://127.0.0.1", deadline=SOON))
        send(sender, message())

    assert came[0].query["sig"] == "s3cr3t-signature"
    assert came[0].query["empty"] == ""


def test_teams_gets_a_card(send: Send) -> None:
    with receiving(workflow) as (address, came):
        sender = Teams(address + WORKFLOW, http=Http("http://127.0.0.1", deadline=SOON))
        assert send(sender, message(link="https://deploy.example/shop", again=True)) == ""

    [asked] = came
    assert asked.query == {"api-version": "1", "sp": "/x", "sig": "s3cr3t-signature"}
    card = asked.json()["attachments"][0]["content"]
    assert card["body"][1]["text"] == "entered step 1 <!channel> & more"
    facts = {fact["title"]: fact["value"] for fact in card["body"][2]["facts"]}
    assert facts["id"] == "shop.2/4/1 (perhaps sent before)"
    assert card["actions"][0]["url"] == "https://deploy.example/shop"


# ---------------------------------------------------------------------------------------- pagerduty


def pager(address: str) -> PagerDuty:
    return PagerDuty(KEY, http=Http(address, deadline=SOON))


def test_pagerduty_calls_once_for_a_rollout_and_resolves_at_its_end(send: Send) -> None:
    server = PagerDutyServer(KEY)
    with receiving(server) as (address, _):
        handle = send(pager(address), message(1), "")
        assert (handle, server.open) == ("", {})
        for n, severity in ((2, Severity.WARNING), (3, Severity.ERROR), (4, Severity.INFO)):
            handle = send(pager(address), message(n, severity=severity, link="https://x"), handle)
        assert [len(each) for each in server.open.values()] == [2]
        handle = send(pager(address), message(5, over=True), handle)
        assert (handle, server.open, server.resolved) == ("", {}, ["shop.2"])
        late = message(6, over=True, kind="escalated", severity=Severity.ERROR)
        assert send(pager(address), late, handle) == "open"

    assert len(server.open["shop.2"]) == 1


def test_an_end_of_which_nobody_was_called_calls_nobody(send: Send) -> None:
    with receiving(PagerDutyServer(KEY)) as (address, came):
        assert send(pager(address), message(over=True, severity=Severity.WARNING), "") == ""

    assert came == []


@pytest.mark.parametrize(
    ("status", "failure"),
    [(429, Failure.TRANSIENT), (400, Failure.PERMANENT), (500, Failure.UNKNOWN)],
)
def test_what_pagerduty_refuses_is_tried_again_where_it_may_pass(
    send: Send, status: int, failure: Failure
) -> None:
    with (
        receiving(PagerDutyServer(KEY, fails=[status])) as (address, _),
        pytest.raises(NotificationError) as caught,
    ):
        send(pager(address), message(severity=Severity.ERROR))

    assert caught.value.failure is failure


# ----------------------------------------------------------------------------------------- web hook


@settings(max_examples=25, deadline=None)
@given(text=st.text(), n=st.integers(0, 10**6), key=st.binary(min_size=24, max_size=64))
def test_the_signature_is_what_another_implementation_verifies(
    text: str, n: int, key: bytes
) -> None:
    sender = Webhook("http://127.0.0.1:9/hook", secret=key)
    question = next(sender._send(message(n, text=text), ""))
    headers, verifier = dict(question.headers), standardwebhooks.Webhook(key)
    found = verifier.verify(question.content or b"", headers)

    assert found["data"]["text"] == text
    assert headers["webhook-id"] == f"shop~2/4/{n}"
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        verifier.verify((question.content or b"") + b" ", headers)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        verifier.verify(question.content or b"", headers | {"webhook-id": "other"})


def test_a_web_hook_gets_all_of_a_message_signed(send: Send) -> None:
    text = "whsec_" + base64.b64encode(SECRET).decode()
    verifier = standardwebhooks.Webhook(text)

    def answer(asked: Asked) -> tuple[int, Any]:
        verifier.verify(asked.body, asked.headers)
        return 204, ""

    with receiving(answer) as (address, came):
        assert send(Webhook(f"{address}/hook", secret=text), message(again=True)) == ""

    told = came[0].json()
    assert (told["type"], told["timestamp"]) == ("rollout.entered", START.isoformat())
    assert set(told["data"]) == {field.name for field in attrs.fields(Message)}
    assert (told["data"]["again"], told["data"]["severity"]) == (True, "info")


def test_without_a_secret_nothing_is_signed(send: Send) -> None:
    with receiving(lambda asked: (200, "")) as (address, came):
        send(Webhook(f"{address}/hook"), message())

    assert "webhook-signature" not in came[0].headers
    assert came[0].headers["webhook-id"] == "shop~2/4/1"


# ------------------------------------------------------------------------------------------- events

SCHEMA = json.loads((Path(__file__).parent / "cdevents_service.json").read_text())
"""CDEvents 0.2.0, schemas/servicedeployed.json of github.com/cdevents/spec at 947e7d1a. Those of
``upgraded`` and ``rolledback`` differ in the type alone.
"""


def test_an_event_has_what_cloudevents_require(send: Send) -> None:
    with receiving(lambda asked: (202, "")) as (address, came):
        send(CloudEvents(f"{address}/events", source="/deploys"), message(3))

    [asked] = came
    event = asked.json()
    assert asked.headers["content-type"].startswith("application/cloudevents+json")
    assert {"specversion", "id", "source", "type"} <= set(event)
    assert (event["specversion"], event["id"], event["source"], event["subject"]) == (
        "1.0",
        "shop.2/4/3",
        "/deploys",
        "shop.2",
    )
    assert event["data"]["text"] == "entered step 3 <!channel> & more"


@pytest.mark.parametrize(
    ("phase", "stable", "what", "artifact"),
    [
        ("promoted", "v1", "upgraded", "pkg:generic/shop@v2"),
        ("promoted", "nothing", "deployed", "pkg:generic/shop@v2"),
        ("rolled_back", "v1", "rolledback", "pkg:generic/shop@v1"),
    ],
)
def test_what_became_of_a_service_is_a_cdevent(
    send: Send, phase: str, stable: str, what: str, artifact: str
) -> None:
    with receiving(lambda asked: (202, "")) as (address, came):
        sender = CDEvents(f"{address}/events", environment="production")
        send(sender, message(1))
        send(sender, message(2, kind="verified", over=True))
        send(sender, message(3, phase=phase, stable=stable, over=True))

    [asked] = came
    event = asked.json()
    kind = f"dev.cdevents.service.{what}.0.1.1"
    SCHEMA["properties"]["context"]["properties"]["type"]["enum"] = [kind]
    jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(
        event["data"]
    )
    assert event["type"] == kind
    assert event["data"]["subject"]["content"]["artifactId"] == artifact


# ---------------------------------------------------------------------------------------- all alike


def each_sender(address: str) -> list[HttpSender]:
    return [
        slack(address),
        SlackWebhook(address + HOOK),
        Teams(address + WORKFLOW),
        pager(address),
        Webhook(f"{address}/hook", secret=SECRET),
        CloudEvents(f"{address}/events"),
        CDEvents(f"{address}/events", environment="production"),
    ]


SECRETS = (TOKEN, KEY, "s3cr3t")
LOUD = {"severity": Severity.ERROR, "over": True, "phase": "promoted"}


@rule("R37")
@pytest.mark.parametrize("n", range(7))
@pytest.mark.parametrize("status", [200, 302, 400, 401, 429, 500])
def test_no_secret_shows_whatever_is_answered(n: int, status: int) -> None:
    """Servers echo what they were sent."""

    def echo(asked: Asked) -> tuple[int, Any]:
        back = f"{asked.path} {asked.query} {asked.headers} {asked.body.decode()}"
        return status, {"ok": False, "error": back, "message": back}

    with receiving(echo) as (address, _):
        sender = each_sender(address)[n]
        shown = repr(sender)
        try:
            sender.send(message(**LOUD), "open" if n == 3 else "")
        except NotificationError as error:
            shown += str(error) + "".join(traceback.format_exception(error))
            shown += repr(error.__cause__) + repr(error.__context__)

    assert not [secret for secret in SECRETS if secret in shown]


@rule("R40")
@pytest.mark.parametrize("n", range(7))
def test_nobody_there_may_pass(n: int) -> None:
    sender = each_sender("http://127.0.0.1:9")[n]
    with pytest.raises(NotificationError) as caught:
        sender.send(message(**LOUD), "open" if n == 3 else "")

    assert caught.value.failure is Failure.TRANSIENT


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("body", ["compressed", "large", "dripping"])
def test_what_comes_with_a_success_makes_no_failure_of_it(n: int, body: str) -> None:
    answers = {
        "compressed": b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nxyz",
        "large": b"HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n" + b"x" * 100_000,
        "dripping": b"HTTP/1.1 202 Accepted\r\ncontent-length: 9\r\n\r\nx",
    }
    with answering(answers[body]) as address:
        sender = each_sender(address)[n]
        began = time.monotonic()
        sender.send(message(**LOUD), "open" if n == 3 else "")
        asyncio.run(sender.asend(message(**LOUD), "open" if n == 3 else ""))

    assert time.monotonic() - began < SOON.total_seconds()


@pytest.mark.parametrize("n", range(7))
@pytest.mark.parametrize("status", [409, 412])
def test_a_conflict_is_said_in_the_systems_words(n: int, status: int) -> None:
    with receiving(lambda asked: (status, {"message": "have that id"})) as (address, _):
        sender = each_sender(address)[n]
        for send in (sender.send, lambda *given: asyncio.run(sender.asend(*given))):
            with pytest.raises(NotificationError, match="have that id") as caught:
                send(message(**LOUD), "open" if n == 3 else "")
            assert caught.value.failure is Failure.PERMANENT


@pytest.mark.parametrize("n", range(7))
@pytest.mark.parametrize(
    "piece", ["\x00\u2028<@U1>*_`\n", "\N{PILE OF POO}", "\N{HIRAGANA LETTER A}"]
)
def test_long_texts_and_strange_ones_are_taken(n: int, piece: str) -> None:
    strange = piece * 9_000
    servers: dict[int, Any] = {
        0: SlackServer(TOKEN),
        1: slack_hook,
        2: workflow,
        3: PagerDutyServer(KEY),
    }
    with receiving(servers.get(n, lambda asked: (200, ""))) as (address, came):
        told = message(
            text=strange,
            recent=(strange,) * 10,
            severity=Severity.ERROR,
            step=strange,
            link="https://deploy.example/" + "x" * 40_000,
        )
        if n == 2:
            told = attrs.evolve(told, step="s")
        each_sender(address)[n].send(told, "")

    assert len(came) == (n != 6)


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (lambda: Slack("", token=TOKEN), "'' is no channel; write '#deploys', or its id"),
        (lambda: Slack("#a b", token=TOKEN), "is no channel"),
        (lambda: Slack("#a", token=""), "expected a bot token (xoxb-...)"),
        (lambda: SlackWebhook("hooks.slack.com"), "has no scheme; write"),
        (lambda: Teams("example"), "expected the address of a workflow's web hook, https://"),
        (lambda: Teams("https://[h/x"), "expected the address of a workflow's web hook, https://"),
        (lambda: Webhook("http://x", secret="whsec_\xfc"), "(not shown)"),
        (lambda: Teams(7), "expected the address of a workflow's web hook, https://"),
        (lambda: PagerDuty("short"), "expected the 32 letters and digits of an integration key"),
        (lambda: Webhook("http://x", secret=b"short"), "expected 24 to 64 random bytes, or"),
        (lambda: Webhook("http://x", secret="whsec_!"), "expected 24 to 64 random bytes, or"),
        (lambda: Webhook("http://x", secret="plain"), "(not shown)"),
        (lambda: CDEvents("http://x", environment="a b"), "is not a name"),
        (lambda: CloudEvents("http://x", source=""), "names nobody; write a URI reference"),
        (lambda: CDEvents("http://x", environment="a", source=" "), "names nobody; write a URI"),
    ],
)
def test_what_is_wrong_is_said_with_what_would_be_right(made: Any, problem: str) -> None:
    with pytest.raises(StrategyError) as caught:
        made()

    assert problem in str(caught.value)
