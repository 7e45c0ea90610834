"""`check_hook` lets good hooks through, and names the law that each bad one breaks."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.breakable import Breakable

from progressive import Go, NotYet, Release, Stop, Version, seconds
from progressive.model.actions import HookAnswer
from progressive.testing import LawBroken, VirtualClock, acheck_hook, check_hook
from progressive.testing.contract.hook_laws import LAWS
from progressive.testing.contract.laws import in_words

SHOP = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))


class Lab(Breakable):
    """Runs smoke tests, each as long as ``ticks`` calls of `work`; ``bad`` candidates fail."""

    def __init__(self, ticks: int = 2) -> None:
        super().__init__()
        self.ticks, self.bad = ticks, False
        self.clock = VirtualClock()
        self.left: dict[str, int] = {}
        self.ends: dict[str, bool] = {}
        self.begun = 0

    def begin(self, key: str) -> None:
        self.begun += 1
        self.left[key] = self.ticks
        self.ends[key] = not self.bad

    def work(self) -> None:
        self.clock.advance(seconds(10))
        self.left = {key: max(0, left - 1) for key, left in self.left.items()}

    @contextmanager
    def failing(self) -> Iterator[None]:
        self.bad = True
        yield
        self.bad = False


class Good:
    """A hook that begins a run for each key, once, and looks at it when it is asked again."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def __call__(self, key: str, release: Release) -> HookAnswer:
        self.lab.asked()
        return self.look(key)

    def look(self, key: str) -> HookAnswer:
        if key not in self.lab.left:
            self.lab.begin(key)
        if self.lab.left[key]:
            return self.wait(key)
        return Go() if self.lab.ends[key] else Stop("2 of 9 requests failed")

    def wait(self, key: str) -> HookAnswer:
        return NotYet(self.lab.clock() + seconds(10), "the smoke test runs")


class Asynchronous(Good):
    async def __call__(self, key: str, release: Release) -> HookAnswer:  # type: ignore[override]
        await self.lab.aasked()
        return self.look(key)


def kit(lab: Lab) -> dict[str, Any]:
    return {
        "settle": lab.work,
        "failing": lab.failing,
        "runs": lambda: lab.begun,
        "broken": lab.breakages,
        "within": seconds(2),
        "clock": lab.clock,
    }


@pytest.mark.parametrize("hook", [Good, Asynchronous])
@pytest.mark.parametrize("ticks", [0, 2])
def test_a_good_hook_keeps_every_law(hook: type[Good], ticks: int) -> None:
    lab = Lab(ticks)
    report = check_hook(hook(lab), SHOP, **kit(lab))

    assert report.untried == ()
    assert report.held == tuple(map(in_words, LAWS))


@pytest.mark.parametrize("hook", [Good, Asynchronous])
def test_it_passes_on_the_loop_of_the_test_too(hook: type[Good]) -> None:
    lab = Lab()
    report = asyncio.run(acheck_hook(hook(lab), SHOP, **kit(lab)))

    assert report.untried == ()


def test_a_function_is_tried_with_what_the_test_has_and_the_report_names_the_rest() -> None:
    report = check_hook(lambda key, release: Go(), SHOP)

    assert report.port == "<lambda>"
    assert {each.law: each.needs for each in report.untried} == {
        "the same key runs once": "runs=",
        "what is bad is stopped": "failing=",
        "a system that is down is no go": "broken['refuse']",
        "a failure of the system is no go": "broken['fail']",
        "an answer without sense is no go": "broken['garble']",
        "a system that hangs is left in time": "broken['hang']",
    }


def test_a_hook_that_takes_real_time_is_waited_for() -> None:
    def takes(length: float) -> Callable[[str, Release], HookAnswer]:
        done = time.monotonic() + length

        def hook(key: str, release: Release) -> HookAnswer:
            if time.monotonic() < done:
                return NotYet(datetime.now(UTC) + seconds(60), "it runs")
            return Go()

        return hook

    check_hook(takes(0.2), SHOP, settle=seconds(60))
    with pytest.raises(LawBroken, match=r"if it takes a while, say how long: settle=seconds\(10\)"):
        check_hook(takes(60), SHOP)


# --------------------------------------------------------------------------------------- the faults


def answers(answer: Callable[[Good, str], Any]) -> type[Good]:
    class Answers(Good):
        def __call__(self, key: str, release: Release) -> Any:
            return answer(self, key)

    return Answers


class Past(Good):
    def wait(self, key: str) -> HookAnswer:
        return NotYet(self.lab.clock(), "the smoke test runs")


class Silent(Good):
    def wait(self, key: str) -> HookAnswer:
        return NotYet(self.lab.clock() + seconds(10))


class Forgets(Good):
    """Begins anew for a key that has come to its end."""

    def look(self, key: str) -> HookAnswer:
        answer = super().look(key)
        if not isinstance(answer, NotYet):
            del self.lab.left[key]
        return answer


class Changes(Good):
    """Answers with how the candidate is now, not with how its run ended."""

    asked = 0

    def look(self, key: str) -> HookAnswer:
        answer = super().look(key)
        if not isinstance(answer, Go):
            return answer
        self.asked += 1
        return answer if self.asked % 3 else Stop("not this time")


class OneRun(Good):
    """One run for everybody."""

    def look(self, key: str) -> HookAnswer:
        return super().look("run")


class Never(Good):
    def look(self, key: str) -> HookAnswer:
        return self.wait(key)


class Always(Good):
    def look(self, key: str) -> HookAnswer:
        answer = super().look(key)
        return Go() if isinstance(answer, Stop) else answer


class Waits(Good):
    """A failed test is begun again and again."""

    def look(self, key: str) -> HookAnswer:
        answer = super().look(key)
        return self.wait(key) if isinstance(answer, Stop) else answer


class Wordless(Good):
    def look(self, key: str) -> HookAnswer:
        answer = super().look(key)
        return Stop("") if isinstance(answer, Stop) else answer


def lenient(*modes: str) -> type[Good]:
    class Lenient(Good):
        """Lets go on what it could not ask."""

        def __call__(self, key: str, release: Release) -> HookAnswer:
            return Go() if self.lab.mode in modes else super().__call__(key, release)

    return Lenient


class Exits(Good):
    def __call__(self, key: str, release: Release) -> HookAnswer:
        try:
            return super().__call__(key, release)
        except ConnectionRefusedError:
            sys.exit("the lab is down")


class Hangs(Good):
    def __call__(self, key: str, release: Release) -> HookAnswer:
        if self.lab.mode == "hang":
            time.sleep(5)
        return super().__call__(key, release)


class Blocks(Good):
    async def __call__(self, key: str, release: Release) -> HookAnswer:  # type: ignore[override]
        return super().__call__(key, release)


class Slow(Good):
    def __call__(self, key: str, release: Release) -> HookAnswer:
        time.sleep(5)
        return Go()


def broken_hook(self: Good, key: str) -> Any:
    return {}[key]


FAULTS: list[tuple[str, type[Good], str, str]] = [
    (
        "answers True",
        answers(lambda hook, key: True),
        "the answer is one of three",
        "seen:     True",
    ),
    ("answers nothing", answers(lambda hook, key: None), "the answer is one of three", "None"),
    (
        "answers a class",
        answers(lambda hook, key: Go),
        "the answer is one of three",
        "gave no answer",
    ),
    (
        "fails",
        answers(broken_hook),
        "the answer is one of three",
        "KeyError: 'progressive-check/1'",
    ),
    ("takes its time", Slow, "the answer is one of three", "Slow did not come back within 2 s"),
    ("asks again in the past", Past, "a wait has a reason and an end", "at a time that is over"),
    ("waits without a reason", Silent, "a wait has a reason and an end", "Silent gives no reason"),
    ("never ends", Never, "what is good goes on", "does not let a good release go on"),
    (
        "stops everything",
        answers(lambda hook, key: Stop("no")),
        "what is good goes on",
        "Stop(why='no')",
    ),
    ("changes its mind", Changes, "the same key has the same end", "the same key with two ends"),
    ("forgets a key", Forgets, "the same key runs once", "and began 3 runs"),
    ("one run for all keys", OneRun, "the same key runs once", "and began 0 runs"),
    ("never stops", Always, "what is bad is stopped", "does not stop a bad release"),
    ("tries for ever", Waits, "what is bad is stopped", "does not stop a bad release"),
    ("stops without a reason", Wordless, "what is bad is stopped", "Wordless gives no reason"),
    (
        "goes on unasked",
        lenient("refuse"),
        "a system that is down is no go",
        "without having asked",
    ),
    ("exits", Exits, "a system that is down is no go", "Exits ended the program"),
    ("takes 503 for good", lenient("fail"), "a failure of the system is no go", "without having"),
    (
        "takes noise for good",
        lenient("garble"),
        "an answer without sense is no go",
        "seen:     Go()",
    ),
    (
        "waits for ever",
        Hangs,
        "a system that hangs is left in time",
        "did not come back within 2 s",
    ),
    ("takes silence for good", lenient("hang"), "a system that hangs is left in time", "Go()"),
    ("blocks", Blocks, "a system that hangs is left in time", "Blocks blocked the event loop"),
]


@pytest.mark.parametrize(
    ("hook", "law", "said"), [each[1:] for each in FAULTS], ids=[each[0] for each in FAULTS]
)
def test_a_bad_hook_is_named_by_the_law_that_it_breaks(
    hook: type[Good], law: str, said: str
) -> None:
    lab = Lab()
    with pytest.raises(LawBroken) as caught:
        check_hook(hook(lab), SHOP, **kit(lab))

    assert caught.value.law == law
    assert said in str(caught.value)


def test_every_law_is_broken_by_some_hook() -> None:
    assert {law for _, _, law, _ in FAULTS} == set(map(in_words, LAWS))


def test_what_is_no_function_is_said() -> None:
    with pytest.raises(LawBroken, match="a hook is a function of a key and a release"):
        check_hook("smoke", SHOP)
