"""A system that is broken in every call, and how each kind of port has to take that."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any, Final, Literal, TypeAlias

import attrs

from .laws import NotTried, Outcome, broken, must

Breakage: TypeAlias = Literal[
    "refuse", "fail", "garble", "hang", "lose_reply", "hang_reply", "ignore"
]
"""A way in which a system fails, for ``broken=``; `check_router` says what each means."""

Breakages: TypeAlias = Mapping[Breakage, Callable[[], AbstractContextManager[object]]]
"""For each breakage a function that returns a context manager: the system is broken in that way
while it is open.
"""

Settle: TypeAlias = timedelta | Callable[[], object]
"""How long a change may take to show, or a function that makes it show."""

POLL: Final = 0.05
"""Seconds between two looks while a change is awaited: systems that lag do so for a second or two.
"""

NEEDS: Final[dict[Breakage, str]] = {
    "refuse": "a context manager in which nothing listens where the port connects",
    "fail": "a context manager in which every request is answered with an error of the system's",
    "garble": "a context manager in which every request is answered with bytes that make no sense",
    "hang": "a context manager in which every request is taken and never answered",
    "lose_reply": "a context manager in which a write is done and its connection closed unanswered",
    "hang_reply": "a context manager in which a write is done and never answered",
    "ignore": "a context manager in which a write is answered as if it were done, and is not",
}

LEFT_IN_TIME: Final = "a system that hangs is left in time"
"""The law of every port about waiting, also where a call waits for something else than an answer.
"""

EVERYTHING: Final[tuple[Breakage, ...]] = ("refuse", "fail", "garble", "hang")
"""Those that break reads too; the others are about the answers to writes."""

KINDS: Final = (
    "catch the errors of the client (OSError, TimeoutError, ValueError ...) and raise {} from them"
)


@attrs.frozen(kw_only=True)
class Outages:
    """The ``broken=`` and ``within=`` of a check."""

    ways: Breakages
    within: timedelta

    @contextmanager
    def during(self, how: Breakage) -> Iterator[None]:
        """The system, broken in this way. Raises `NotTried` if the test can't break it so."""
        make = self.ways.get(how)
        if make is None:
            raise NotTried(f"broken[{how!r}]", NEEDS[how])
        with make():
            yield

    def in_time(self, call: str, how: str, outcome: Outcome) -> None:
        """See that a call came back within the time-out, and blocked no event loop."""
        limit = self.within.total_seconds()
        where = f" (broken[{how!r}])" if how else ""
        must(
            outcome.returned,
            f"{call} did not come back within {limit:g} s{where}",
            expected=f"an answer or an error within {limit:g} s",
            seen="it still waits",
            hint="give the whole call a time-out that is shorter, not only its connection",
            law=LEFT_IN_TIME if how else "",
        )
        must(
            not outcome.stalled,
            f"{call} blocked the event loop while it waited{where}",
            expected="other tasks run while it waits",
            seen="none of them ran",
            hint="await an asynchronous client; a blocking one belongs into asyncio.to_thread",
            law=LEFT_IN_TIME if how else "",
        )


def of_kind(call: str, how: str, outcome: Outcome, *ours: type[Exception]) -> None:
    """See that a call failed, if it did, with an error of ours, and with a message."""
    error = outcome.error
    if error is None:
        return
    names = " or ".join(each.__name__ for each in ours)
    if not isinstance(error, ours):
        raise broken(
            f"{call} raised an error of another kind (broken[{how!r}])",
            expected=names,
            seen=error,
            hint=KINDS.format(names),
        ) from error
    must(
        str(error).strip(),
        f"{call} failed without a word (broken[{how!r}])",
        expected="a message with the system's own words, without credentials",
        seen=repr(error),
        hint="say which system it was, what it was asked for, and what it answered",
    )


def first(look: Callable[[], Any], right: Callable[[Any], bool], settle: Settle) -> Any:
    """The first look that is ``right``, or the last one when the time to settle is over."""
    if not isinstance(settle, timedelta):
        settle()
        return look()
    end = time.monotonic() + settle.total_seconds()
    while True:
        seen = look()
        if right(seen) or time.monotonic() >= end:
            return seen
        time.sleep(POLL)
