"""What the loops promise of any transport, with one that answers from a list: retries of reads,
writes once, UNKNOWN.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeAlias

import attrs
import pytest
from tests.support.rules import rule

from progressive.adapters.flow import (
    Adapter,
    Client,
    Exchange,
    Fault,
    Flow,
    Malformed,
    after_write,
    excerpt,
    feed,
)
from progressive.errors import ConflictError, Failure, FleetError, ProgressiveError, RouterError


@attrs.frozen
class Ask:
    """A question of a system that there is not."""

    label: str
    write: bool = False


READ, WRITE = Ask("look"), Ask("change", write=True)
Answers: TypeAlias = list[str | Fault]


@attrs.define(eq=False)
class Scripted(Client[Ask, str]):
    """Answers from a list, the last one for ever. ``asked`` has what was asked."""

    answers: Answers
    error: type[RouterError] = RouterError
    system: str = "Toy"
    deadline: timedelta = timedelta(seconds=0.4)
    address: str = "nowhere"
    asked: list[str] = attrs.field(factory=list)
    closed: int = 0

    def exchange(self, question: Ask, ends: float) -> str | Fault:
        self.asked.append(question.label)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Exchange[Ask, str]]:
        async def exchange(question: Ask, ends: float) -> str | Fault:
            return self.exchange(question, ends)

        yield exchange

    def close(self) -> None:
        self.closed += 1


def gone(failure: Failure) -> Fault:
    return Fault(failure, "the line is dead")


Run: TypeAlias = Callable[[Client[Ask, str], Flow[Ask, str, Any]], Any]


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest) -> Run:
    if request.param == "sync":
        return lambda client, flow: client.run(flow)
    return lambda client, flow: asyncio.run(client.arun(flow))


def asking(*questions: Ask) -> Flow[Ask, str, list[str]]:
    found: list[str] = []
    for question in questions:
        answer = yield question
        found.append(answer)
    return found


def failing(run: Run, client: Client[Ask, str], flow: Flow[Ask, str, Any]) -> ProgressiveError:
    with pytest.raises(ProgressiveError) as caught:
        run(client, flow)
    return caught.value


def test_a_flow_gets_the_answers_and_its_result_comes_back(run: Run) -> None:
    client = Scripted(["one", "two"])

    assert run(client, asking(READ, WRITE)) == ["one", "two"]
    assert client.asked == ["look", "change"]


def test_a_read_is_asked_again_until_it_is_answered(run: Run) -> None:
    client = Scripted([gone(Failure.TRANSIENT), gone(Failure.TRANSIENT), "there"])

    assert run(client, asking(READ)) == ["there"]
    assert len(client.asked) == 3


def test_what_is_asked_again_is_logged_as_a_warning_once_a_call(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="progressive.adapters")
    run(Scripted([gone(Failure.TRANSIENT), gone(Failure.TRANSIENT), "there"]), asking(READ))

    assert [each.levelno for each in caplog.records] == [logging.WARNING, logging.DEBUG]
    assert caplog.records[0].getMessage() == (
        "Toy at nowhere: look: the line is dead; tried again for up to 0 s"
    )


def test_a_read_that_is_never_answered_ends_at_the_deadline_and_says_who_was_asked_what(
    run: Run,
) -> None:
    error = failing(run, Scripted([gone(Failure.TRANSIENT)]), asking(READ))

    assert isinstance(error, RouterError) and error.failure is Failure.TRANSIENT
    assert str(error) == "Toy at nowhere: look: the line is dead"


def test_a_last_try_that_is_cut_short_does_not_hide_what_the_system_had_said(run: Run) -> None:
    said = Fault(Failure.TRANSIENT, "answered 500: the disk is full", answered=True)
    error = failing(run, Scripted([said, gone(Failure.TRANSIENT)]), asking(READ))

    assert str(error) == "Toy at nowhere: look: answered 500: the disk is full"
    again = Fault(Failure.TRANSIENT, "answered 503: busy", answered=True)
    error = failing(run, Scripted([said, gone(Failure.TRANSIENT), again]), asking(READ))
    assert str(error) == "Toy at nowhere: look: answered 503: busy"


def test_a_last_try_that_was_too_late_to_learn_anything_does_not_hide_what_was_learnt(
    run: Run,
) -> None:
    late = Fault(Failure.TRANSIENT, "not sent: no time left", late=True)
    said = Fault(Failure.TRANSIENT, "answered 503: busy", answered=True)
    error = failing(run, Scripted([gone(Failure.TRANSIENT), late]), asking(READ))

    assert str(error) == "Toy at nowhere: look: the line is dead"
    error = failing(run, Scripted([said, gone(Failure.TRANSIENT), late]), asking(READ))
    assert str(error) == "Toy at nowhere: look: answered 503: busy"
    assert str(failing(run, Scripted([late]), asking(READ))).endswith("not sent: no time left")


@pytest.mark.parametrize("failure", [Failure.PERMANENT, Failure.CONFLICT, Failure.UNKNOWN])
def test_only_what_may_succeed_later_is_asked_again(run: Run, failure: Failure) -> None:
    client = Scripted([gone(failure)])
    failing(run, client, asking(READ))

    assert client.asked == ["look"]


@pytest.mark.parametrize("failure", [Failure.TRANSIENT, Failure.PERMANENT, Failure.UNKNOWN])
@rule("R5")
def test_a_write_is_sent_once_and_says_what_is_known(run: Run, failure: Failure) -> None:
    client = Scripted([gone(failure), "never asked"])
    error = failing(run, client, asking(WRITE))

    assert isinstance(error, RouterError) and error.failure is failure
    assert client.asked == ["change"]
    assert ("may have been done" in str(error)) is (failure is Failure.UNKNOWN)


def test_a_conflict_is_a_conflict(run: Run) -> None:
    error = failing(run, Scripted([gone(Failure.CONFLICT)]), asking(WRITE))

    assert isinstance(error, ConflictError)


@pytest.mark.parametrize("failure", list(Failure))
@rule("R5")
def test_after_a_write_every_failure_is_unknown(run: Run, failure: Failure) -> None:
    error = failing(run, Scripted(["done", gone(failure)]), asking(WRITE, READ))

    assert isinstance(error, RouterError) and error.failure is Failure.UNKNOWN
    assert "a write was sent before, so read again before writing" in str(error)


def test_also_after_a_write_of_which_nobody_knows_and_that_the_flow_has_caught(run: Run) -> None:
    def stubborn() -> Flow[Ask, str, str]:
        with pytest.raises(RouterError):
            yield WRITE
        return (yield READ)

    error = failing(run, Scripted([gone(Failure.UNKNOWN), gone(Failure.PERMANENT)]), stubborn())

    assert isinstance(error, RouterError) and error.failure is Failure.UNKNOWN


def test_but_not_after_one_that_was_refused(run: Run) -> None:
    def tolerant() -> Flow[Ask, str, str]:
        with pytest.raises(RouterError):
            yield WRITE
        return (yield READ)

    error = failing(run, Scripted([gone(Failure.PERMANENT), gone(Failure.PERMANENT)]), tolerant())

    assert isinstance(error, RouterError) and error.failure is Failure.PERMANENT


@pytest.mark.parametrize(
    ("first", "failure"), [(READ, Failure.PERMANENT), (WRITE, Failure.UNKNOWN)]
)
def test_an_answer_that_makes_no_sense_is_the_adapters_error(
    run: Run, first: Ask, failure: Failure
) -> None:
    def reading() -> Flow[Ask, str, None]:
        yield first
        raise Malformed("a cat walked over it")

    error = failing(run, Scripted(["x"]), reading())

    assert isinstance(error, RouterError) and error.failure is failure
    assert "makes no sense: a cat walked over it" in str(error)
    assert error.__context__ is None


def test_what_the_adapter_finds_wrong_after_its_write_is_unknown_too(run: Run) -> None:
    def writing() -> Flow[Ask, str, None]:
        yield WRITE
        with after_write():
            raise FleetError("it was edited", failure=Failure.PERMANENT)

    error = failing(run, Scripted(["done"]), writing())

    assert isinstance(error, FleetError) and error.failure is Failure.UNKNOWN
    assert str(error).startswith("it was edited; a write was sent before")


def test_what_says_unknown_already_and_what_is_a_conflict_stay_as_they_are() -> None:
    unknown = FleetError("nobody knows", failure=Failure.UNKNOWN)

    for error in (unknown, ConflictError("moved")):
        with pytest.raises(type(error)) as caught, after_write():
            raise error
        assert caught.value is error


def test_a_flow_can_be_fed_by_hand() -> None:
    assert feed(asking(READ, WRITE), lambda question: question.label.upper()) == ["LOOK", "CHANGE"]


def test_an_adapter_closes_its_client_in_four_ways() -> None:
    class Toy(Adapter[Ask, str]):
        def __init__(self, client: Scripted) -> None:
            self._client = client

    async def asynchronously(toy: Toy) -> None:
        async with toy as same:
            assert same is toy
        await toy.aclose()

    client = Scripted(["x"])
    with Toy(client) as toy:
        assert client.closed == 0
    toy.close()
    asyncio.run(asynchronously(toy))

    assert client.closed == 4


def test_a_transport_that_keeps_nothing_has_nothing_to_close() -> None:
    class Kept(Scripted):
        close = Client.close

    Kept(["x"]).close()


def test_a_systems_own_words_are_short_on_one_line_and_without_secrets() -> None:
    said = excerpt("it said\n\n s3cr3t " + "x" * 1000, ("s3cr3t",))

    assert said.startswith("it said *** xxx") and len(said) == 300
