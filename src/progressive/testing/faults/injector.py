"""Inject faults into any port: fail, delay, lose the answer, do half, do it twice, do it late."""

from __future__ import annotations

import contextlib
import enum
import inspect
import random
import time
from collections.abc import Callable, Generator, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, TypeAlias

import attrs

from progressive.errors import (
    ConflictError,
    Failure,
    FleetError,
    MetricsError,
    RouterError,
    StoreError,
    StrategyError,
    WorldError,
)
from progressive.model import fields
from progressive.model.traffic import Traffic
from progressive.model.units import Percent

__all__ = ["Fault", "Faulty", "Injected"]


class Injected(enum.Enum):
    """The ways in which a call can go wrong."""

    FAIL = "fail"
    """It is not done; the port's own transient error is raised."""
    DELAY = "delay"
    """It is done after `Fault.by`."""
    LOSE_REPLY = "lose_reply"
    """It is done, and its answer is lost: an error whose failure is UNKNOWN is raised."""
    HALF = "half"
    """A write of traffic moves the candidate only half of the way, and its answer is lost. For any
    other call it is `LOSE_REPLY`.
    """
    TWICE = "twice"
    """It is done twice, as if the first had been lost in between; the second answer counts."""
    LATE = "late"
    """It is not done now, and an error whose failure is UNKNOWN is raised; it is done right before
    the next call of this port.
    """


@attrs.frozen
class Fault:
    """A fault of a method's calls: ``Fault("apply", Injected.LOSE_REPLY, nth=2)``.

    * ``nth``: only the n-th call of the method, counted from 1; None for every call.
    * ``chance``: of such a call to go wrong, 0 to 1.
    * ``by``: the length of a delay.
    """

    method: str = attrs.field(validator=fields.is_name)
    what: Injected = attrs.field(validator=fields.is_one_of(Injected))
    nth: int | None = attrs.field(
        default=None, kw_only=True, validator=fields.optional(fields.at_least(1))
    )
    chance: float = attrs.field(default=1.0, kw_only=True)
    by: timedelta = attrs.field(
        default=timedelta(seconds=1), kw_only=True, validator=fields.is_span
    )


class Faulty:
    """A port with faults: ``Faulty(router, [Fault("apply", Injected.LOSE_REPLY, nth=2)])`` is a
    router, and so on.

    The asynchronous twin of a method has the same faults under the same name (``apply`` is
    ``aapply`` too), and both are counted together. ``calls`` counts the calls of each method.

    * ``seed``: the same one gives the same faults.
    * ``sleep``: called with the length of a delay, such as a virtual clock's ``advance``.

    Raises `StrategyError` for a fault of a method that the port has not.
    """

    def __init__(
        self,
        port: object,
        faults: Sequence[Fault],
        *,
        seed: object = 0,
        sleep: Callable[[timedelta], object] | None = None,
    ) -> None:
        unknown = [
            fault.method
            for fault in faults
            if not (hasattr(port, fault.method) or hasattr(port, f"a{fault.method}"))
        ]
        if unknown:
            raise StrategyError(f"Faulty: {type(port).__name__} has no method {unknown[0]!r}")
        self._port: Any = port
        self._faults = tuple(faults)
        self._random = random.Random(f"{seed}").random  # noqa: S311 - nothing is secret here
        self._sleep = sleep if sleep is not None else (lambda by: time.sleep(by.total_seconds()))
        self._late: list[Callable[[], Any]] = []
        self.calls: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"Faulty({self._port!r}, {list(self._faults)!r})"

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        method = (
            name[1:]
            if name.startswith("a") and hasattr(self._port, name) and name[1:] in self._methods
            else name
        )
        if method not in self._methods or not callable(found):
            return found
        if inspect.iscoroutinefunction(found):

            async def awaited(*arguments: Any, **named: Any) -> Any:
                return await _arun(self._flow(method, found, arguments, named))

            return awaited
        return lambda *arguments, **named: _run(self._flow(method, found, arguments, named))

    @property
    def _methods(self) -> set[str]:
        return {fault.method for fault in self._faults}

    def _next_fault(self, method: str) -> Fault | None:
        """Count a call, and return its fault; None if it has none."""
        self.calls[method] = n = self.calls.get(method, 0) + 1
        for fault in self._faults:
            if (
                fault.method == method
                and fault.nth in (None, n)
                and (fault.chance >= 1 or self._random() < fault.chance)
            ):
                return fault
        return None

    def _flow(
        self,
        method: str,
        call: Callable[..., Any],
        arguments: tuple[Any, ...],
        named: dict[str, Any],
    ) -> Flow:
        """Yield the calls that are really made; return or raise the outcome for the caller."""
        late, self._late = self._late, []
        for forgotten in late:
            with contextlib.suppress(ConflictError, WorldError):  # its caller has given up
                yield forgotten
        fault = self._next_fault(method)
        if fault is None:
            return (yield partial(call, *arguments, **named))
        if fault.what is Injected.FAIL:
            raise _error(method, "it was not done", Failure.TRANSIENT)
        if fault.what is Injected.LATE:
            self._late.append(partial(call, *arguments, **named))
            raise _error(method, "nobody knows whether it was done", Failure.UNKNOWN)
        if fault.what is Injected.DELAY:
            self._sleep(fault.by)
        if fault.what is Injected.HALF and method == "apply":
            release, traffic = arguments
            served = yield partial(self._port.read, release)
            arguments = (release, _halfway(served.traffic, traffic))
        answer = yield partial(call, *arguments, **named)
        if fault.what is Injected.TWICE:
            answer = yield partial(
                call, *arguments, **({**named, "expect": None} if "expect" in named else named)
            )
        if fault.what in (Injected.LOSE_REPLY, Injected.HALF):
            raise _error(method, "its answer was lost", Failure.UNKNOWN)
        return answer


Flow: TypeAlias = Generator[Callable[[], Any], Any, Any]


def _run(flow: Flow) -> Any:
    try:
        call = next(flow)
        while True:
            try:
                answer = call()
            except Exception as error:
                call = flow.throw(error)
            else:
                call = flow.send(answer)
    except StopIteration as stop:
        return stop.value


async def _arun(flow: Flow) -> Any:
    try:
        call = next(flow)
        while True:
            try:
                answer = call()
                answer = await answer if inspect.isawaitable(answer) else answer
            except Exception as error:
                call = flow.throw(error)
            else:
                call = flow.send(answer)
    except StopIteration as stop:
        return stop.value


def _halfway(served: Traffic, target: Traffic) -> Traffic:
    return attrs.evolve(
        target, candidate=Percent((served.candidate.ppm + target.candidate.ppm) // 2)
    )


def _error(method: str, why: str, failure: Failure) -> WorldError:
    kind = {
        "read": RouterError,
        "apply": RouterError,
        "measure": MetricsError,
        "survey": FleetError,
        "retire": FleetError,
    }.get(method, StoreError)
    return kind(f"injected: {method}: {why}", failure=failure)
