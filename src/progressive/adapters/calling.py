"""Verbs of several routers that are called at the same time, within one deadline; sync and async
over the same flow.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from functools import partial
from typing import Final, TypeAlias

import attrs

from progressive.errors import Failure, RouterError
from progressive.model.router_state import Served
from progressive.model.traffic import ALL_STABLE

from .waiting import Apart

__all__ = ["Call", "Calling", "CallsFlow", "Outcome"]

PROMPT: Final = 2.0
"""Seconds after which a way back begins that knows of something to take back: one that hangs keeps
the others waiting no longer.
"""


@attrs.frozen
class Call:
    """A verb of one of several routers, by its place among them: ``read`` or ``apply``."""

    place: int
    verb: str
    args: tuple[object, ...]
    more: tuple[tuple[str, object], ...] = ()


Outcome: TypeAlias = Served | Exception
CallsFlow: TypeAlias = Generator[list[Call], list[Outcome], Served]
"""Yields calls that are made at the same time, and is sent what each has returned or raised, in
their order.
"""


class Calling:
    """Runs flows over ``routers``, each within ``timeout`` seconds, of which half is for the calls
    that come first. One that is late has failed, and what comes too late is not begun.
    """

    def __init__(self, routers: Sequence[object], timeout: float) -> None:
        self._routers = routers
        self._timeout = timeout

    def run(self, flow: CallsFlow, *, hurry: bool = False) -> Served:
        """Run a flow to its end; raises what it raises.

        ``hurry``: whether the first calls are waited for no longer than `PROMPT` where one of them
        has found traffic to take back.
        """
        began = time.monotonic()
        calls, ends = next(flow), began + self._timeout / 2
        while True:
            if time.monotonic() >= ends:
                outcomes: list[Outcome] = [_TOO_LATE for _ in calls]
            else:
                begun = [(each, self._begun(each)) for each in calls]
                outcomes = []
                if hurry:
                    outcomes = [_waited(*each, min(began + PROMPT, ends)) for each in begun]
                if not any(map(_has_traffic, outcomes)):
                    outcomes = [_waited(*each, ends) for each in begun]
            ends, hurry = began + self._timeout, False
            try:
                calls = flow.send(outcomes)
            except StopIteration as done:
                found: Served = done.value
                return found

    async def arun(self, flow: CallsFlow, *, hurry: bool = False) -> Served:
        """`run`, asynchronously (asyncio). What is synchronous alone is called in a thread."""
        import asyncio

        began = time.monotonic()
        calls, ends = next(flow), began + self._timeout / 2
        while True:
            left = ends - time.monotonic()
            begun = calls if left > 0 else []
            tasks = [asyncio.ensure_future(self._aoutcome(each)) for each in begun]
            try:
                if tasks and hurry:
                    await asyncio.wait(tasks, timeout=min(PROMPT, left))
                if tasks and not any(_has_traffic(each.result()) for each in tasks if each.done()):
                    await asyncio.wait(tasks, timeout=max(ends - time.monotonic(), 0.0))
                outcomes = [
                    task.result() if task.done() else _late(call)
                    for call, task in zip(begun, tasks, strict=True)
                ]
            finally:
                for task in tasks:
                    task.cancel()
            outcomes += [_TOO_LATE for _ in calls[len(begun) :]]
            ends, hurry = began + self._timeout, False
            try:
                calls = flow.send(outcomes)
            except StopIteration as done:
                found: Served = done.value
                return found

    def _begun(self, call: Call) -> Apart[Outcome] | Outcome:
        try:
            return Apart(partial(self._outcome, call))
        except RuntimeError as error:  # no thread can be started
            return error

    def _outcome(self, call: Call) -> Outcome:
        verb = getattr(self._routers[call.place], call.verb, None)
        if verb is None:
            return RouterError(
                f"it has a{call.verb} and no {call.verb}: drive it with asyncio",
                failure=Failure.PERMANENT,
            )
        try:
            return _answer(call, verb(*call.args, **dict(call.more)))
        except Exception as error:
            return error

    async def _aoutcome(self, call: Call) -> Outcome:
        verb = getattr(self._routers[call.place], f"a{call.verb}", None)
        try:
            if verb is None:
                return await Apart(partial(self._outcome, call)).await_()
            return _answer(call, await verb(*call.args, **dict(call.more)))
        except Exception as error:
            return error


def _waited(call: Call, begun: Apart[Outcome] | Outcome, ends: float) -> Outcome:
    if not isinstance(begun, Apart):
        return begun
    try:
        return begun.wait(ends)
    except TimeoutError:
        return _late(call)


def _has_traffic(outcome: Outcome) -> bool:
    """Is there something to take back?"""
    return isinstance(outcome, Served) and outcome.traffic != ALL_STABLE


_TOO_LATE: Final = RouterError("not asked: the others took all the time", failure=Failure.TRANSIENT)


def _late(call: Call) -> RouterError:
    failure = Failure.UNKNOWN if call.verb == "apply" else Failure.TRANSIENT
    return RouterError("no answer in time", failure=failure)


def _answer(call: Call, found: object) -> Outcome:
    if isinstance(found, Served):
        return found
    return RouterError(
        f"{call.verb} answered {type(found).__name__}, and no Served",
        failure=Failure.UNKNOWN if call.verb == "apply" else Failure.PERMANENT,
    )
