"""The laws of a gate. Each is a function of a `Trial`, which asks it as a driver does."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import attrs

from progressive.model import fields
from progressive.model.actions import ClosedUntil, GateAnswer, Open
from progressive.model.release import Release

from .laws import ContractReport, Laws, NotTried, Outcome, broken, in_time, is_async, must
from .loops import Loop
from .outages import EVERYTHING, Breakage, Outages

ZONE: Final = timezone(timedelta(hours=5, minutes=45))
"""Kathmandu's: an offset that no rounding to whole hours gets right."""

FOLLOWED: Final = 10
"""How many times in a row a closed gate is asked again at the moment that it named."""


@attrs.frozen(kw_only=True)
class Setup:
    """The arguments of `check_gate`, which says what each is for."""

    release: Release
    open_at: Sequence[datetime]
    closed_at: Sequence[datetime]
    closed: Callable[[], AbstractContextManager[object]] | None
    clock: Callable[[], datetime]
    outages: Outages


@attrs.define
class Trial:
    """A gate, and the moments at which it is asked."""

    gate: Callable[..., Any]
    setup: Setup
    loop: Loop

    @property
    def name(self) -> str:
        """The gate as messages print it."""
        return str(getattr(self.gate, "__name__", type(self.gate).__name__))

    @property
    def moments(self) -> tuple[datetime, ...]:
        """Now, and all that were named."""
        given = (*self.setup.open_at, *self.setup.closed_at)
        return (self.setup.clock(), *(fields.moment(each, "open_at, closed_at") for each in given))

    def outcome(self, now: datetime) -> Outcome:
        """Ask, and give up after the time that a driver gives it."""
        asynchronous = is_async(self.gate)

        def ask() -> Any:
            answer = self.gate(self.setup.release, now)
            if not asynchronous and inspect.isawaitable(answer):
                return self.loop.call(lambda: answer)
            return answer

        return in_time(ask, self.setup.outages.within, self.loop if asynchronous else None)

    def ask(self, now: datetime) -> GateAnswer:
        """Ask, and see that it answers with one of the two answers."""
        outcome = self.outcome(now)
        self.setup.outages.in_time(self.name, "", outcome)
        if outcome.error is not None:
            raise broken(
                f"{self.name} failed at {now.isoformat()}",
                expected="Open() or ClosedUntil(at, why)",
                seen=outcome.error,
                hint="an exception counts as a gate that is closed; hand it over with all "
                "that it needs",
            ) from outcome.error
        answer = outcome.answer
        must(
            isinstance(answer, Open | ClosedUntil),
            f"{self.name} gave no answer",
            expected="Open() or ClosedUntil(at, why)",
            seen=repr(answer),
            hint="return Open() and not True: whatever else is returned counts as a failure",
        )
        assert isinstance(answer, Open | ClosedUntil)
        return answer


# ----------------------------------------------------------------------------------------- the laws


def the_answer_is_one_of_two(trial: Trial) -> None:
    """Open or ClosedUntil, within the time that a driver gives it."""
    for now in trial.moments:
        trial.ask(now)


def a_closed_gate_says_until_when_and_why(trial: Trial) -> None:
    """It has a reason, and names a later moment, also when it is asked again then."""
    moments = list(trial.moments)
    if trial.setup.closed is not None:
        with trial.setup.closed():
            _follow(trial, trial.setup.clock())
    for now in moments:
        _follow(trial, now)


def the_same_moment_has_the_same_answer(trial: Trial) -> None:
    """Asked twice at one moment, and at that moment in another time zone, it says the same."""
    for now in trial.moments:
        one = trial.ask(now)
        for other in (now, now.astimezone(UTC), now.astimezone(ZONE)):
            seen = trial.ask(other)
            must(
                type(seen) is type(one),
                f"{trial.name} answered one moment in two ways",
                expected=f"{one!r} at {now.isoformat()}",
                seen=f"{seen!r} at {other.isoformat()}",
                hint="compare aware times with aware times; `now` comes in any zone",
            )


def it_goes_by_the_time_that_it_is_given(trial: Trial) -> None:
    """At the moments that are named it is open, or closed, whatever time it is now."""
    if not trial.setup.open_at and not trial.setup.closed_at:
        raise NotTried(
            "open_at=", "moments at which the gate is open; and closed_at= for the others"
        )
    named = [(now, Open) for now in trial.setup.open_at]
    named += [(now, ClosedUntil) for now in trial.setup.closed_at]  # type: ignore[misc]
    for now, expected in named:
        seen = trial.ask(now)
        must(
            isinstance(seen, expected),
            f"{trial.name} is {'closed' if expected is Open else 'open'} at {now.isoformat()}",
            expected=f"{expected.__name__}(...)",
            seen=repr(seen),
            hint="go by `now`, the second argument, and ask no clock: a driver has its own",
        )


def what_closes_it_is_seen(trial: Trial) -> None:
    """It is closed while there is a reason, and open when that is gone."""
    if trial.setup.closed is None:
        raise NotTried("closed=", "a context manager in which the gate has a reason to be closed")
    with trial.setup.closed():
        seen = trial.ask(trial.setup.clock())
    must(
        isinstance(seen, ClosedUntil),
        f"{trial.name} is open although there is a reason to close it",
        expected="ClosedUntil(at, why)",
        seen=repr(seen),
        hint="ask the system each time and remember nothing: a gate is asked before every raise",
    )
    after = trial.ask(trial.setup.clock())
    must(
        isinstance(after, Open),
        f"{trial.name} stays closed although the reason is gone",
        expected="Open()",
        seen=repr(after),
        hint="ask the system each time and remember nothing: a gate is asked before every raise",
    )


def a_system_that_is_down_is_not_open(trial: Trial) -> None:
    """With a refused connection it raises or is closed; never open."""
    _broken(trial, "refuse")


def a_failure_of_the_system_is_not_open(trial: Trial) -> None:
    """An answer that says "no" is never open."""
    _broken(trial, "fail")


def an_answer_without_sense_is_not_open(trial: Trial) -> None:
    """Bytes of another protocol are never open."""
    _broken(trial, "garble")


def a_system_that_hangs_is_left_in_time(trial: Trial) -> None:
    """A gate whose system never answers comes back in time, blocks no loop, and is not open."""
    _broken(trial, "hang")


LAWS: Final[tuple[Callable[[Trial], None], ...]] = (
    the_answer_is_one_of_two,
    the_same_moment_has_the_same_answer,
    a_closed_gate_says_until_when_and_why,
    what_closes_it_is_seen,
    it_goes_by_the_time_that_it_is_given,
    a_system_that_is_down_is_not_open,
    a_failure_of_the_system_is_not_open,
    an_answer_without_sense_is_not_open,
    a_system_that_hangs_is_left_in_time,
)


def check(gate: object, setup: Setup, loop: Loop) -> ContractReport:
    """Try every law."""
    must(
        callable(gate),
        "a gate is a function of a release and a moment",
        expected="(release, now) -> Open() | ClosedUntil(at, why), or the same with async",
        seen=repr(gate),
        hint="pass the function itself, as in Ports(gates={...})",
    )
    assert callable(gate)
    trial = Trial(gate, setup, loop)
    laws = Laws(trial.name)
    laws.run(LAWS, trial)
    return laws.report()


def _follow(trial: Trial, now: datetime) -> None:
    """Ask at ``now``, and while it is closed again at the moment that it named."""
    for _ in range(FOLLOWED):
        answer = trial.ask(now)
        if isinstance(answer, Open):
            return
        must(
            answer.at > now,
            f"{trial.name} is closed until a moment that is over",
            expected=f"ClosedUntil(at=...) after {now.isoformat()}",
            seen=answer.at.isoformat(),
            hint="name the moment at which it makes sense to ask again; a driver sleeps until then",
        )
        must(
            answer.why.strip(),
            f"{trial.name} is closed without a reason",
            expected="ClosedUntil(at, why) with a reason, for whoever looks at a rollout "
            "that waits",
            seen=repr(answer),
            hint="say what keeps it closed, such as the freeze or the budget",
        )
        now = answer.at


def _broken(trial: Trial, how: Breakage) -> None:
    assert how in EVERYTHING
    outages = trial.setup.outages
    with outages.during(how):
        outcome = trial.outcome(trial.setup.clock())
    outages.in_time(trial.name, how, outcome)
    must(
        outcome.error is None or isinstance(outcome.error, Exception),
        f"{trial.name} ended the program (broken[{how!r}])",
        expected="an Exception or ClosedUntil(at, why)",
        seen=repr(outcome.error),
        hint="raise an Exception: SystemExit and KeyboardInterrupt take the driver along",
    )
    must(
        outcome.error is not None or isinstance(outcome.answer, ClosedUntil),
        f"{trial.name} is open without having asked (broken[{how!r}])",
        expected="an exception (it counts as closed), or ClosedUntil(at, why)",
        seen=repr(outcome.answer),
        hint="let the error out, or answer ClosedUntil: what could not be asked has not agreed",
    )
