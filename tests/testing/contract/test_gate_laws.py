"""`check_gate` lets good gates through, and names the law that each bad one breaks."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.breakable import Breakable

from progressive import ClosedUntil, Open, Release, Version, hours, minutes, seconds
from progressive.calendar import Freeze, OpenHours
from progressive.model.actions import GateAnswer
from progressive.testing import LawBroken, VirtualClock, acheck_gate, check_gate
from progressive.testing.contract.gate_laws import LAWS
from progressive.testing.contract.laws import in_words

SHOP = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
NIGHT = datetime(2026, 11, 23, 23, tzinfo=UTC)


class Budget(Breakable):
    """An error budget, which may be spent."""

    spent = False

    @contextmanager
    def spending(self) -> Iterator[None]:
        self.spent = True
        yield
        self.spent = False


class Good:
    """Open by day (UTC) while there is a budget."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget

    def __call__(self, release: Release, now: datetime) -> GateAnswer:
        self.budget.asked()
        return self.answer(now)

    def answer(self, now: datetime) -> GateAnswer:
        hour = self.hour(now)
        if not 8 <= hour < 18:
            return ClosedUntil(now + hours((8 - hour) % 24), "open from 8 to 18")
        return self.spent(now) if self.budget.spent else Open()

    def hour(self, now: datetime) -> int:
        return now.astimezone(UTC).hour

    def spent(self, now: datetime) -> GateAnswer:
        return ClosedUntil(now + minutes(10), "the error budget is spent")


class Asynchronous(Good):
    async def __call__(  # type: ignore[override]
        self, release: Release, now: datetime
    ) -> GateAnswer:
        await self.budget.aasked()
        return self.answer(now)


def kit(budget: Budget) -> dict[str, Any]:
    return {
        "open_at": [NOON - hours(4), NOON + hours(2)],
        "closed_at": [NIGHT],
        "closed": budget.spending,
        "broken": budget.breakages,
        "within": seconds(2),
        "clock": VirtualClock(NOON),
    }


@pytest.mark.parametrize("gate", [Good, Asynchronous])
def test_a_good_gate_keeps_every_law(gate: type[Good]) -> None:
    budget = Budget()
    report = check_gate(gate(budget), SHOP, **kit(budget))

    assert report.untried == ()
    assert report.held == tuple(map(in_words, LAWS))


@pytest.mark.parametrize("gate", [Good, Asynchronous])
def test_it_passes_on_the_loop_of_the_test_too(gate: type[Good]) -> None:
    budget = Budget()
    report = asyncio.run(acheck_gate(gate(budget), SHOP, **kit(budget)))

    assert report.untried == ()


def test_the_gates_of_the_calendar_keep_the_laws() -> None:
    monday = datetime(2026, 11, 23, 10, tzinfo=UTC)
    office = OpenHours(zone="Europe/Vienna")
    check_gate(office, SHOP, open_at=[monday], closed_at=[NIGHT, monday + timedelta(days=5)])
    freeze = Freeze(begins=monday, ends=monday + hours(2))
    check_gate(freeze, SHOP, open_at=[monday + hours(2)], closed_at=[monday, monday + hours(1)])


def test_a_function_is_tried_with_what_the_test_has_and_the_report_names_the_rest() -> None:
    report = check_gate(lambda release, now: Open(), SHOP)

    assert {each.law: each.needs for each in report.untried} == {
        "it goes by the time that it is given": "open_at=",
        "what closes it is seen": "closed=",
        "a system that is down is not open": "broken['refuse']",
        "a failure of the system is not open": "broken['fail']",
        "an answer without sense is not open": "broken['garble']",
        "a system that hangs is left in time": "broken['hang']",
    }


# --------------------------------------------------------------------------------------- the faults


def answers(answer: Callable[[Good, datetime], Any]) -> type[Good]:
    class Answers(Good):
        def answer(self, now: datetime) -> Any:
            return answer(self, now)

    return Answers


class Local(Good):
    """By the hour that the moment happens to be written in."""

    def hour(self, now: datetime) -> int:
        return now.hour


class Clock(Good):
    """By its own clock, which says that it is day."""

    def hour(self, now: datetime) -> int:
        return 12


class Lunch(Good):
    """Closed for an hour that nobody named."""

    def hour(self, now: datetime) -> int:
        return 20 if super().hour(now) == 14 else super().hour(now)


class Begun(Good):
    """Closed until the time at which it closed."""

    def spent(self, now: datetime) -> GateAnswer:
        return ClosedUntil(now - minutes(10), "the error budget is spent")


class Wordless(Good):
    def spent(self, now: datetime) -> GateAnswer:
        return ClosedUntil(now + minutes(10))


class Loops(Good):
    """At the moment that it names, it names that moment again."""

    def spent(self, now: datetime) -> GateAnswer:
        return ClosedUntil(max(now, NOON + minutes(30)), "the error budget is spent")


class Careless(Good):
    def spent(self, now: datetime) -> GateAnswer:
        return Open()


class Sticky(Good):
    """Once closed, it stays closed."""

    was = False

    def spent(self, now: datetime) -> GateAnswer:
        self.was = True
        return super().spent(now)

    def answer(self, now: datetime) -> GateAnswer:
        return super().spent(now) if self.was and not self.budget.spent else super().answer(now)


def lenient(*modes: str) -> type[Good]:
    class Lenient(Good):
        """Open where it could not ask."""

        def __call__(self, release: Release, now: datetime) -> GateAnswer:
            return Open() if self.budget.mode in modes else super().__call__(release, now)

    return Lenient


class Exits(Good):
    def __call__(self, release: Release, now: datetime) -> GateAnswer:
        try:
            return super().__call__(release, now)
        except ConnectionRefusedError:
            sys.exit("the budget is not known")


class Hangs(Good):
    def __call__(self, release: Release, now: datetime) -> GateAnswer:
        if self.budget.mode == "hang":
            time.sleep(5)
        return super().__call__(release, now)


class Blocks(Good):
    async def __call__(  # type: ignore[override]
        self, release: Release, now: datetime
    ) -> GateAnswer:
        return super().__call__(release, now)


FAULTS: list[tuple[str, type[Good], str, str]] = [
    ("answers True", answers(lambda gate, now: True), "the answer is one of two", "seen:     True"),
    ("answers a class", answers(lambda gate, now: Open), "the answer is one of two", "no answer"),
    ("fails", answers(lambda gate, now: {}["x"]), "the answer is one of two", "KeyError: 'x'"),
    ("goes by the zone", Local, "the same moment has the same answer", "one moment in two ways"),
    ("names a time that is over", Begun, "a closed gate says until when and why", "that is over"),
    ("names the same time again", Loops, "a closed gate says until when and why", "that is over"),
    ("gives no reason", Wordless, "a closed gate says until when and why", "without a reason"),
    (
        "goes by its own clock",
        Clock,
        "it goes by the time that it is given",
        "Clock is open at 2026",
    ),
    ("is closed by day", Lunch, "it goes by the time that it is given", "is closed at 2026"),
    ("does not look", Careless, "what closes it is seen", "although there is a reason to close it"),
    ("never opens again", Sticky, "what closes it is seen", "although the reason is gone"),
    ("is open unasked", lenient("refuse"), "a system that is down is not open", "without having"),
    ("exits", Exits, "a system that is down is not open", "Exits ended the program"),
    (
        "takes 503 for open",
        lenient("fail"),
        "a failure of the system is not open",
        "without having",
    ),
    ("takes noise for open", lenient("garble"), "an answer without sense is not open", "Open()"),
    (
        "waits for ever",
        Hangs,
        "a system that hangs is left in time",
        "did not come back within 2 s",
    ),
    ("takes silence for open", lenient("hang"), "a system that hangs is left in time", "Open()"),
    ("blocks", Blocks, "a system that hangs is left in time", "Blocks blocked the event loop"),
]


@pytest.mark.parametrize(
    ("gate", "law", "said"), [each[1:] for each in FAULTS], ids=[each[0] for each in FAULTS]
)
def test_a_bad_gate_is_named_by_the_law_that_it_breaks(
    gate: type[Good], law: str, said: str
) -> None:
    budget = Budget()
    with pytest.raises(LawBroken) as caught:
        check_gate(gate(budget), SHOP, **kit(budget))

    assert caught.value.law == law
    assert said in str(caught.value)


def test_every_law_is_broken_by_some_gate() -> None:
    assert {law for _, _, law, _ in FAULTS} == set(map(in_words, LAWS))


def test_what_is_no_function_is_said() -> None:
    with pytest.raises(LawBroken, match="a gate is a function of a release and a moment"):
        check_gate("office-hours", SHOP)
