"""The laws of a router whose system is broken: the right error, in time, no pretence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from progressive.errors import ConflictError, Failure, RouterError
from progressive.model.router_state import Served

from .laws import NotTried, Outcome, must
from .outages import Breakage, of_kind
from .router_trial import STABLE_ONLY, Trial, differing, shown, state

UNKNOWN: Final = (
    "once a write was sent, any failure before its answer is Failure.UNKNOWN: "
    "the driver then reads before it writes"
)
CAN_HELP: Final = (
    "Failure.TRANSIENT if nothing was sent, Failure.UNKNOWN if a write was; "
    "asking again later can help"
)


def a_system_that_is_down_is_a_router_error(trial: Trial) -> None:
    """A refused connection is a RouterError that may be asked again, in reads and in writes."""
    _broken(trial, "refuse", can_help=True)


def a_failure_of_the_system_is_a_router_error(trial: Trial) -> None:
    """An answer that says "no" is a RouterError, in reads and in writes."""
    _broken(trial, "fail")


def an_answer_without_sense_is_a_router_error(trial: Trial) -> None:
    """Bytes of another protocol, such as a proxy's error page, are no KeyError or ValueError."""
    _broken(trial, "garble")


def a_system_that_hangs_is_left_in_time(trial: Trial) -> None:
    """A call on a system that never answers ends in time, and blocks no event loop."""
    _broken(trial, "hang", can_help=True)


def a_write_whose_reply_was_lost_is_unknown(trial: Trial) -> None:
    """The connection broke after the write was done: nobody can know, so the failure is UNKNOWN."""
    _unanswered(trial, "lose_reply")


def a_write_that_is_never_answered_is_unknown(trial: Trial) -> None:
    """The write was done and no reply ever comes: UNKNOWN, within the time-out."""
    _unanswered(trial, "hang_reply")


def a_write_is_sent_once(trial: Trial) -> None:
    """After a lost reply the router does not write again: others may have written since."""
    if trial.setup.writes is None:
        raise NotTried("writes=", "a function that says how many writes the system was sent so far")
    with trial.setup.outages.during("lose_reply"):
        before = trial.setup.writes()
        trial.marker = trial.newer
        _apply(trial)
        sent = trial.setup.writes() - before
    must(
        sent == 1,
        f"{trial.router.named('apply')} went on to send writes after the reply to one was lost",
        expected="1 write sent",
        seen=f"{sent} writes sent",
        hint="retry reads only; after a write that was not answered raise RouterError(..., "
        "failure=Failure.UNKNOWN)",
    )
    trial.write(STABLE_ONLY)


def a_write_without_effect_is_not_echoed(trial: Trial) -> None:
    """Where the system only says that it wrote, apply says what is served, or raises."""
    with trial.setup.outages.during("ignore"):
        before = trial.read()
        outcome = _apply(trial)
        after = trial.read()
    apply = trial.router.named("apply")
    must(
        state(after) == state(before),
        "the system was to ignore writes, and took one",
        expected=differing(before, after),
        seen=differing(after, before),
        hint='let broken["ignore"] answer writes as if they were done, without doing them; '
        "reads tell the truth",
    )
    _sound(trial, "apply", "ignore", outcome)
    if outcome.error is None:
        answered = trial.served(
            "apply", outcome.answer, hint="end apply with `return self.read(release)`"
        )
        must(
            state(answered) == state(after),
            f"{apply} answered with what was asked for, and the system serves something else",
            expected=differing(after, answered),
            seen=differing(answered, after),
            hint="read the system again after the write and answer with that: end apply with "
            "`return self.read(release)`",
        )


FAULTS: Final[tuple[Callable[[Trial], None], ...]] = (
    a_system_that_is_down_is_a_router_error,
    a_failure_of_the_system_is_a_router_error,
    an_answer_without_sense_is_a_router_error,
    a_system_that_hangs_is_left_in_time,
    a_write_whose_reply_was_lost_is_unknown,
    a_write_that_is_never_answered_is_unknown,
    a_write_is_sent_once,
    a_write_without_effect_is_not_echoed,
)


# ------------------------------------------------------------------------------------------ helpers


def _broken(trial: Trial, how: Breakage, *, can_help: bool = False) -> None:
    """A read and a write on a system that is broken for both."""
    with trial.setup.outages.during(how):
        read = trial.attempt("read")
    _failed(trial, "read", how, read, can_help=can_help)
    before = trial.read()
    with trial.setup.outages.during(how):
        write = _apply(trial)
    _failed(trial, "apply", how, write, can_help=can_help)
    _told_truly(trial, how, write, before)
    trial.write(STABLE_ONLY)


def _unanswered(trial: Trial, how: Breakage) -> None:
    """A write that is done, and whose reply never arrives.

    A router that needs several writes is stopped at the first: its write may be done in part.
    """
    before = trial.read()
    with trial.setup.outages.during(how):
        outcome = _apply(trial)
    apply = trial.router.named("apply")
    _sound(trial, "apply", how, outcome)
    after = _told_truly(trial, how, outcome, before)
    must(
        outcome.error is not None or after.shows(trial.smallest),
        f"{apply} returned, and the system does not serve what was written",
        expected=trial.smallest,
        seen=shown(after),
        hint=UNKNOWN,
    )
    must(
        state(after) != state(before),
        f"{apply} failed before its write arrived ({outcome.error})",
        expected=f"in broken[{how!r}]: reads are answered, a write is done, and only its "
        "reply does not come",
        seen="the system serves the same as before",
        hint="let the breakage begin with the write; or write in apply even if nothing has changed",
    )
    trial.write(STABLE_ONLY)


def _apply(trial: Trial) -> Outcome:
    trial.marker = trial.newer
    return trial.attempt("apply", trial.smallest, marker=trial.marker, expect=None)


def _told_truly(trial: Trial, how: Breakage, outcome: Outcome, before: Served) -> Served:
    """Read what the healed system serves, and see that the router did not deny a write."""
    after = trial.settled(trial.smallest)
    error = outcome.error
    failure = error.failure if isinstance(error, RouterError) else None
    must(
        state(after) == state(before) or error is None or failure is Failure.UNKNOWN,
        f"{trial.router.named('apply')} said that a write was not done, and it was "
        f"(broken[{how!r}])",
        expected="RouterError(..., failure=Failure.UNKNOWN)",
        seen=_ended(outcome),
        hint=UNKNOWN,
    )
    trial.see_neighbour(f"{trial.router.named('apply')} on a broken system")
    return after


def _failed(trial: Trial, verb: str, how: Breakage, outcome: Outcome, *, can_help: bool) -> None:
    call = trial.router.named(verb)
    _sound(trial, verb, how, outcome)
    must(
        outcome.error is not None,
        f"{call} answered while the system was broken (broken[{how!r}])",
        expected="RouterError",
        seen=outcome.answer,
        hint="ask the system in every call and remember nothing; if the router did ask, see "
        "that the breakage reaches it",
    )
    failure = getattr(outcome.error, "failure", None)
    must(
        not can_help or failure is not Failure.PERMANENT,
        f"{call} said that asking again will not help, of a system that only did not answer "
        f"(broken[{how!r}])",
        expected=CAN_HELP,
        seen=_ended(outcome),
        hint=CAN_HELP,
    )


def _sound(trial: Trial, verb: str, how: Breakage, outcome: Outcome) -> None:
    """See that a call came back in time, with an answer or with an error of ours."""
    call = trial.router.named(verb)
    trial.setup.outages.in_time(call, how, outcome)
    ours = (RouterError,) if verb == "read" else (RouterError, ConflictError)
    of_kind(call, how, outcome, *ours)
    trial.outcomes[f"{verb} with broken[{how!r}]"] = _kind(outcome)


def _kind(outcome: Outcome) -> str:
    """How a call ended, as far as its sync and its async twin must agree."""
    error = outcome.error
    if error is None:
        return "an answer"
    failure = getattr(error, "failure", None)
    return f"{type(error).__name__}({failure})" if failure else type(error).__name__


def _ended(outcome: Outcome) -> str:
    return (
        f"{_kind(outcome)}: {outcome.error}" if outcome.error is not None else str(outcome.answer)
    )


def agree(one: Trial, other: Trial) -> None:
    """See that the sync and the async method end alike on a system that is broken alike."""
    for call in sorted(one.outcomes.keys() & other.outcomes.keys()):
        must(
            one.outcomes[call] == other.outcomes[call],
            f"{one.router.named('apply')} and its twin {other.router.named('apply')} do not "
            f"agree: {call}",
            expected=one.outcomes[call],
            seen=other.outcomes[call],
            hint="write the work once, as a generator of requests, and run that in two small loops",
            law="sync and async agree",
        )
