"""What is decided is logged, by the conventions of the standard library."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest
from tests.support.world import ERRORS, RELEASE, START

from progressive import (
    Abort,
    Canary,
    Hold,
    Limit,
    NoWorse,
    Phase,
    Ports,
    Resume,
    decide,
    minutes,
    percent,
    percents,
    seconds,
    start,
    submit,
)
from progressive.adapters.logs import ADAPTERS, ROLLOUT
from progressive.errors import Failure, StoreError
from progressive.model import Traffic
from progressive.model.actions import Go
from progressive.model.router_state import Served
from progressive.rollout.events import CommandFailed, HookAnswered
from progressive.rollout.notes import (
    Asked,
    Drifted,
    Escalated,
    EventRecorded,
    Judged,
    Late,
    PhaseEntered,
    Refused,
    Released,
    Unjudged,
    Verified,
)
from progressive.rollout.severity import severity_of
from progressive.runtime.drive import iterate, tick
from progressive.testing import MemoryRouter, MemoryStore, ScriptedMetrics, VirtualClock, steady

DEBUG, INFO, WARNING, ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR


def failed() -> CommandFailed:
    return CommandFailed(
        at=START, command="read", epoch=0, failure=Failure.TRANSIENT, why="no answer"
    )


def answered() -> HookAnswered:
    return HookAnswered(at=START, epoch=0, step="bake-1", answer=Go())


def judged(verdict: str) -> Judged:
    return Judged(at=START, analysis="a", check="c", verdict=verdict, why="because")


def entered(phase: str) -> PhaseEntered:
    return PhaseEntered(at=START, phase=phase, step="bake-1", epoch=1, why="because")


@pytest.mark.parametrize(
    ("note", "level"),
    [
        (judged("pass"), DEBUG),
        (judged("no_data"), DEBUG),
        (judged("fail"), WARNING),
        (judged("error"), WARNING),
        (Unjudged(at=START, analysis="a", what="c", why="warm-up"), DEBUG),
        (
            EventRecorded(at=START, event=HookAnswered(at=START, epoch=0, step="s", answer=Go())),
            DEBUG,
        ),
        (EventRecorded(at=START, event=Abort(at=START, by="eve", why="enough")), INFO),
        (EventRecorded(at=START, event=failed()), WARNING),
        (entered("progressing"), INFO),
        (entered("promoted"), INFO),
        (entered("held"), WARNING),
        (entered("rolling_back"), WARNING),
        (entered("rolled_back"), WARNING),
        (Asked(at=START, traffic=Traffic(), why="a step"), INFO),
        (Verified(at=START, traffic=Traffic(), version=None), INFO),
        (Released(at=START, version="v1"), INFO),
        (
            Drifted(at=START, asked=Traffic(), served=Served(traffic=Traffic()), why="by hand"),
            WARNING,
        ),
        (Late(at=START, by=minutes(1), why="came late"), WARNING),
        (Refused(at=START, event="resume", why="not held"), WARNING),
        (Escalated(at=START, why="the way back is not verified"), ERROR),
    ],
    ids=lambda value: getattr(value, "kind", None) or logging.getLevelName(value),
)
def test_levels_mean_something(note: Any, level: int) -> None:
    assert severity_of(note) == level


def ports(store: Any) -> Ports:
    numbers = steady(50, stable=0.001, candidate=0.2)
    return Ports(
        router=MemoryRouter(),
        metrics=[ScriptedMetrics({ERRORS: numbers})],
        store=store,
        clock=VirtualClock(START),
    )


CANARY = Canary(
    weights=percents(10, 100),
    bake=minutes(2),
    checks=[NoWorse(ERRORS), Limit(ERRORS, at_most=percent(1))],
)


def driven(bound: Ports) -> None:
    clock: Any = bound.clock
    start(CANARY, RELEASE, id="r", ports=bound)
    for _ in iterate("r", bound, sleep=lambda nap: clock.advance(minutes(nap / 60))):
        pass


def test_a_rollout_is_in_the_log_with_what_it_is_about(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="progressive")
    driven(ports(MemoryStore()))
    [turned] = [each for each in caplog.records if "rolling_back: " in each.getMessage()]

    assert turned.name == "progressive.rollout"
    assert turned.levelno == logging.WARNING
    assert turned.getMessage().startswith("r: rolling_back: checks/error-rate")
    about: Any = turned
    assert (about.rollout, about.service, about.step, about.note) == (
        "r",
        "shop",
        "bake-10",
        "entered",
    )
    assert about.serial > 0
    assert {each.levelno for each in caplog.records} >= {DEBUG, INFO, WARNING}


def test_no_more_is_logged_than_is_wanted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, logger="progressive")
    driven(ports(MemoryStore()))

    assert caplog.records == []


def test_a_word_of_a_person_is_logged_once_by_who_submits_and_by_who_drives(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A process that does both has it once."""
    caplog.set_level(logging.INFO, logger="progressive")
    store = MemoryStore()
    bound = ports(store)
    clock: Any = bound.clock
    start(CANARY, RELEASE, id="r", ports=bound)
    submitted = False

    def sleep(nap: float) -> None:
        nonlocal submitted
        if not submitted:
            submitted = True
            submit(store, "r", Hold(at=clock(), by="eve", why="db slow"))
            other.save(*elsewhere())
        elif store.load("r").phase is Phase.HELD:  # type: ignore[union-attr]
            submit(store, "r", Abort(at=clock(), by="eve", why="enough"))
        clock.advance(seconds(max(nap, 1)))

    class Other:
        """Another process, whose log is another one."""

        def save(self, rollout: Any, notes: Any, expected: int) -> None:
            store.save(rollout, notes, expected=expected)

    def elsewhere() -> tuple[Any, Any, int]:
        before = store.load("r")
        assert before is not None
        decision = decide(before, Resume(at=clock(), by="bob", why="it is not"))
        return decision.rollout, decision.notes, before.serial

    other = Other()
    for _ in iterate("r", bound, sleep=sleep):
        pass

    said = [each.getMessage() for each in caplog.records]
    assert said.count("r: eve: hold (db slow)") == 1
    assert said.count("r: bob: resume (it is not)") == 1


def test_no_reason_looks_like_another_record(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="progressive")
    store = MemoryStore()
    start(CANARY, RELEASE, id="r", ports=ports(store))
    submit(store, "r", Abort(at=START, by="eve", why="n\nERROR x: \x1b[8m"))

    assert r"r: eve: abort (n\nERROR x: \x1b[8m)" in caplog.messages


class Down(MemoryStore):
    """Can't be written."""

    down = False

    def save(self, *given: Any, **named: Any) -> None:
        if self.down:
            raise StoreError("the disk is full", failure=Failure.TRANSIENT)
        super().save(*given, **named)


def test_a_save_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    store = Down()
    bound = ports(store)
    start(CANARY, RELEASE, id="r", ports=bound)
    store.down = True
    with pytest.raises(StoreError):
        tick("r", bound)
    [record] = caplog.records

    assert record.getMessage() == ("r: not saved, nothing is raised meanwhile: the disk is full")
    assert record.levelno == logging.WARNING


def test_a_program_that_sets_up_no_logging_hears_nothing() -> None:
    program = (
        "from progressive.adapters.logs import ROLLOUT, ADAPTERS; "
        "ROLLOUT.error('a'); ADAPTERS.error('b')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert (done.stdout, done.stderr) == ("", "")
    assert (ROLLOUT.name, ADAPTERS.name) == ("progressive.rollout", "progressive.adapters")
