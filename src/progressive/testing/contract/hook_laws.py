"""The laws of a hook. Each is a function of a `Trial`, which runs it as a driver does."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, Final

import attrs

from progressive.model.actions import Go, HookAnswer, NotYet, Stop
from progressive.model.release import Release

from .laws import ContractReport, Laws, NotTried, Outcome, broken, in_time, is_async, must
from .loops import Loop
from .outages import EVERYTHING, Breakage, Outages, Settle, first

KEY: Final = "progressive-check/{}"
"""The keys that a hook is run with: one for each law, as a driver has one for each step."""

PATIENCE: Final = 100
"""How often a hook is asked while it answers NotYet; with settle= of seconds, for as long as that.
"""


@attrs.frozen(kw_only=True)
class Setup:
    """The arguments of `check_hook`, which says what each is for."""

    release: Release
    settle: Settle
    failing: Callable[[], AbstractContextManager[object]] | None
    runs: Callable[[], int] | None
    clock: Callable[[], datetime]
    outages: Outages


@attrs.define
class Trial:
    """A hook, and the number of keys that were used up."""

    hook: Callable[..., Any]
    setup: Setup
    loop: Loop
    keys: int = 0

    @property
    def name(self) -> str:
        """The hook as messages print it."""
        return str(getattr(self.hook, "__name__", type(self.hook).__name__))

    def new_key(self) -> str:
        """The key of another step of another rollout."""
        self.keys += 1
        return KEY.format(self.keys)

    def outcome(self, key: str) -> Outcome:
        """Run it, and give up after the time that a driver gives it."""
        asynchronous = is_async(self.hook)

        def run() -> Any:
            answer = self.hook(key, self.setup.release)
            if not asynchronous and inspect.isawaitable(answer):
                return self.loop.call(lambda: answer)
            return answer

        return in_time(run, self.setup.outages.within, self.loop if asynchronous else None)

    def run(self, key: str) -> HookAnswer:
        """Run it, and see that it answers with one of the three answers."""
        outcome = self.outcome(key)
        self.setup.outages.in_time(self.name, "", outcome)
        if outcome.error is not None:
            raise broken(
                f"{self.name} failed",
                expected="Go(), NotYet(until, why) or Stop(why)",
                seen=outcome.error,
                hint="an exception counts as a hook that could not be asked, and is asked again; "
                "hand it over with everything that it needs",
            ) from outcome.error
        answer = outcome.answer
        must(
            isinstance(answer, Go | NotYet | Stop),
            f"{self.name} gave no answer",
            expected="Go(), NotYet(until, why) or Stop(why)",
            seen=repr(answer),
            hint="return Go() and not True: whatever else is returned counts as a failure",
        )
        assert isinstance(answer, Go | NotYet | Stop)
        return answer

    def finished(self, key: str) -> HookAnswer:
        """Run it until it answers something else than NotYet, as a driver does."""
        settle = self.setup.settle
        if isinstance(settle, timedelta):
            found: HookAnswer = first(
                lambda: self.run(key), lambda seen: not isinstance(seen, NotYet), settle
            )
            return found
        answer = self.run(key)
        for _ in range(PATIENCE):
            if not isinstance(answer, NotYet):
                break
            settle()
            answer = self.run(key)
        return answer


# ----------------------------------------------------------------------------------------- the laws


def the_answer_is_one_of_three(trial: Trial) -> None:
    """Go, NotYet or Stop, within the time that a driver gives it."""
    trial.run(trial.new_key())


def a_wait_has_a_reason_and_an_end(trial: Trial) -> None:
    """NotYet says why, and when to ask again: later than now. Stop says why."""
    key = trial.new_key()
    now = trial.setup.clock()
    answer = trial.run(key)
    if isinstance(answer, NotYet):
        must(
            answer.until > now,
            f"{trial.name} is to be asked again at a time that is over",
            expected=f"NotYet(until=...) after {now.isoformat()}",
            seen=answer.until.isoformat(),
            hint="say when it makes sense to ask again, such as in ten seconds; a driver "
            "sleeps until then",
        )
    must(
        isinstance(answer, Go) or answer.why.strip(),
        f"{trial.name} gives no reason",
        expected="why=, for whoever looks at a rollout that waits",
        seen=repr(answer),
        hint="say what is waited for, or what is wrong",
    )


def what_is_good_goes_on(trial: Trial) -> None:
    """Where everything that it looks at is good, it comes to an end and answers Go."""
    answer = trial.finished(trial.new_key())
    late = (
        "; if it takes a while, say how long: settle=seconds(10)" if not trial.setup.settle else ""
    )
    must(
        isinstance(answer, Go),
        f"{trial.name} does not let a good release go on",
        expected="Go(), at the latest when the time to settle is over",
        seen=repr(answer),
        hint=f"hand it over with a candidate that passes{late}",
    )


def the_same_key_has_the_same_end(trial: Trial) -> None:
    """A driver that died before it saved asks again with the same key, and hears the same."""
    key = trial.new_key()
    one = trial.finished(key)
    other = trial.finished(key)
    must(
        type(one) is type(other),
        f"{trial.name} answered the same key with two ends",
        expected=repr(one),
        seen=repr(other),
        hint="keep the result under the key, and answer with it until the key changes",
    )


def the_same_key_runs_once(trial: Trial) -> None:
    """One key begins one run, however often it is asked; another key begins another."""
    runs = trial.setup.runs
    if runs is None:
        raise NotTried("runs=", "a function that says how many runs the hook has begun so far")
    before = runs()
    key = trial.new_key()
    for _ in range(3):
        trial.finished(key)
    begun = runs() - before
    must(
        begun == 1,
        f"{trial.name} was asked several times with one key, and began {begun} runs",
        expected="1 run for one key",
        seen=f"{begun} runs",
        hint="look for the run of this key first, and begin one only if there is none: a "
        "hook runs at least once",
    )
    trial.finished(trial.new_key())
    begun = runs() - before
    must(
        begun == 2,
        f"{trial.name} answered a new key with the run of another",
        expected="2 runs for two keys",
        seen=f"{begun} runs",
        hint="find runs by the whole key: it has the rollout and the step in it",
    )


def what_is_bad_is_stopped(trial: Trial) -> None:
    """Where the candidate is bad in what the hook looks at, it comes to an end and answers Stop."""
    if trial.setup.failing is None:
        raise NotTried("failing=", "a context manager in which the hook's own test fails")
    key = trial.new_key()
    with trial.setup.failing():
        answer = trial.finished(key)
    must(
        isinstance(answer, Stop),
        f"{trial.name} does not stop a bad release",
        expected="Stop(why)",
        seen=repr(answer),
        hint="answer Stop(why) where the test fails; NotYet waits for the step's deadline",
    )
    must(
        isinstance(answer, Stop) and answer.why.strip(),
        f"{trial.name} gives no reason",
        expected="Stop(why) with the reason, which is kept in the notes",
        seen=repr(answer),
        hint="say what failed, in the test's own words",
    )


def a_system_that_is_down_is_no_go(trial: Trial) -> None:
    """With a refused connection it raises, or answers NotYet or Stop; never Go."""
    _broken(trial, "refuse")


def a_failure_of_the_system_is_no_go(trial: Trial) -> None:
    """An answer that says "no" is never Go."""
    _broken(trial, "fail")


def an_answer_without_sense_is_no_go(trial: Trial) -> None:
    """Bytes of another protocol are never Go."""
    _broken(trial, "garble")


def a_system_that_hangs_is_left_in_time(trial: Trial) -> None:
    """It comes back in time, blocks no event loop, and does not say Go."""
    _broken(trial, "hang")


LAWS: Final[tuple[Callable[[Trial], None], ...]] = (
    the_answer_is_one_of_three,
    a_wait_has_a_reason_and_an_end,
    what_is_good_goes_on,
    the_same_key_has_the_same_end,
    the_same_key_runs_once,
    what_is_bad_is_stopped,
    a_system_that_is_down_is_no_go,
    a_failure_of_the_system_is_no_go,
    an_answer_without_sense_is_no_go,
    a_system_that_hangs_is_left_in_time,
)


def check(hook: object, setup: Setup, loop: Loop) -> ContractReport:
    """Try every law."""
    must(
        callable(hook),
        "a hook is a function of a key and a release",
        expected="(key, release) -> Go() | NotYet(until, why) | Stop(why), or the same with async",
        seen=repr(hook),
        hint="pass the function itself, as in Ports(hooks={...})",
    )
    assert callable(hook)
    trial = Trial(hook, setup, loop)
    laws = Laws(trial.name)
    laws.run(LAWS, trial)
    return laws.report()


def _broken(trial: Trial, how: Breakage) -> None:
    assert how in EVERYTHING
    outages = trial.setup.outages
    key = trial.new_key()
    with outages.during(how):
        outcome = trial.outcome(key)
    outages.in_time(trial.name, how, outcome)
    must(
        outcome.error is None or isinstance(outcome.error, Exception),
        f"{trial.name} ended the program (broken[{how!r}])",
        expected="an Exception, NotYet(until, why) or Stop(why)",
        seen=repr(outcome.error),
        hint="raise an Exception: SystemExit and KeyboardInterrupt take the driver along",
    )
    must(
        outcome.error is not None or isinstance(outcome.answer, NotYet | Stop),
        f"{trial.name} let a release go on without having asked (broken[{how!r}])",
        expected="an exception (it is asked again), NotYet(until, why) or Stop(why)",
        seen=repr(outcome.answer),
        hint="let the error out, or answer NotYet: what could not be asked has not passed",
    )
