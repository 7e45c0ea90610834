"""A Python function as a metric, for whatever has no provider: a queue's client, a vendor's
library, two numbers out of a cache.

::

    def orders(release: Release, version: Version, window: Window) -> tuple[int, int]:
        found = warehouse.orders(version.identity, window.start, window.end)
        return found.failed, found.all

    function = Function({ORDERS: orders})
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import attrs

from progressive.adapters.flow import excerpt
from progressive.adapters.provider import (
    Declared,
    check_declared,
    declaration,
    declared,
    look_of,
    versions_of,
)
from progressive.adapters.rows import COLUMNS, Number, measurement
from progressive.adapters.waiting import Apart
from progressive.errors import Failure, MetricsError
from progressive.model.measurement import (
    Counts,
    Gauge,
    Histogram,
    Kind,
    Look,
    Measurement,
    Metric,
    Moments,
    NoAnswer,
    NoData,
    Window,
)
from progressive.model.release import Release, Version
from progressive.model.traffic import Track

__all__ = ["Answer", "Function"]

Answer: TypeAlias = Measurement | Number | Sequence[Number] | None
"""What a function may answer: ``(events, trials)`` for a ratio; ``(n, sum, sum of squares)`` for a
mean; a number for a value, or a list of them in the order of time; a `Counts`, `Moments`, `Gauge`
or (for a latency only that) `Histogram`; None or `NoData` where there is nothing; `NoAnswer` where
it makes no sense.
"""

Asked: TypeAlias = Callable[[Release, Version, Window], Answer | Awaitable[Answer]]

_FITS: Final[dict[Kind, type[Counts | Histogram | Moments | Gauge]]] = {
    Kind.RATIO: Counts,
    Kind.LATENCY: Histogram,
    Kind.MEAN: Moments,
    Kind.VALUE: Gauge,
}

_SECRET: Final = re.compile(
    r"""(://)\S+(?=@)
      | ((?:password|passwd|pwd|secret|token|api_?key|authorization)["']?\s*[=:]\s*["']?
         (?:bearer\s+|basic\s+)?)[^\s,;&'")]+""",
    re.VERBOSE | re.IGNORECASE,
)
"""What an exception should not have said: user and password of an address, and what stands behind
the name of a credential.
"""


def _problems(_: Metric, function: object) -> list[str]:
    # What was given is not shown: a functools.partial may carry a credential.
    return (
        []
        if callable(function)
        else [f"a {type(function).__name__} is no function of (release, version, window)"]
    )


def _declared(value: Mapping[Metric, Asked] | Declared[Asked]) -> Declared[Asked]:
    # Of its own type: type checkers do not see through a generic converter.
    return declared(value)


def _are_functions(_: object, __: object, value: Any) -> None:
    check_declared(
        "Function.metrics", value, "lambda release, version, window: (failed, all)", _problems
    )


@attrs.frozen(repr=False)
class Function:
    """Functions of yours, each ``(release, version, window) -> Answer``, plain or ``async def``;
    see `Answer` for what they may say.

    One is called for each track of a look, one after the other, and gives the numbers of that
    version within ``[start, end)``; it may be called again for the same window. An asynchronous one
    needs an asynchronous driver (`arun`), which runs a plain one in a thread.

    What it raises becomes a `MetricsError` with its class, words and line. Credentials in an
    address or behind their name are blotted out; keep others out of it. That a function of the same
    name counts otherwise than before can't be seen: its evidence goes on.
    """

    _functions: Declared[Asked] = attrs.field(
        alias="metrics", converter=_declared, validator=_are_functions
    )

    def __repr__(self) -> str:
        return f"Function({', '.join(metric.name for metric in self.metrics)})"

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Those that were declared."""
        return tuple(metric for metric, _ in self._functions)

    def measure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> Look:
        """One look. `MetricsError` for what the function raises, and if it is asynchronous."""
        own, function = declaration("Function", self._functions, metric)
        answers = {
            track: _call(own, function, release, version, window)
            for track, version in versions_of(release, tracks).items()
        }
        return _look(own, function, tracks, window, answers)

    async def ameasure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> Look:
        """`measure`, asynchronously; cancelled, a plain function goes on in its thread until it is
        done.
        """
        own, function = declaration("Function", self._functions, metric)
        answers = {
            track: await _acall(own, function, release, version, window)
            for track, version in versions_of(release, tracks).items()
        }
        return _look(own, function, tracks, window, answers)


# ------------------------------------------------------------------------------------------ calling


def _call(
    metric: Metric, function: Asked, release: Release, version: Version, window: Window
) -> object:
    failed = MetricsError(
        f"Function: {metric} is asynchronous; drive with atick, aiterate or arun",
        failure=Failure.PERMANENT,
    )
    try:
        answered = function(release, version, window)
        if not inspect.isawaitable(answered):
            return answered
        getattr(answered, "close", lambda: None)()
    except Exception as error:
        failed = _failed(metric, function, error)
    raise failed  # out here, so that the function's exception does not hang on ours as its context


async def _acall(
    metric: Metric, function: Asked, release: Release, version: Version, window: Window
) -> object:
    try:
        if inspect.iscoroutinefunction(function):  # calling it takes no time
            return await function(release, version, window)
        answered = await Apart(partial(function, release, version, window)).await_()
        return await answered if inspect.isawaitable(answered) else answered
    except Exception as error:
        failed = _failed(metric, function, error)
    raise failed


def _failed(metric: Metric, function: Asked, error: Exception) -> MetricsError:
    if isinstance(error, MetricsError):
        return error  # the function's own word
    try:
        said = excerpt(_SECRET.sub(lambda found: f"{found[1] or found[2]}***", str(error)), ())
    except Exception:
        said = ""
    return MetricsError(
        f"Function: {metric}: "
        f"{type(error).__name__}{f': {said}' if said else ''}{_line(function, error)}"
    )


def _line(function: Asked, error: Exception) -> str:
    """The line of the function itself in which it happened, not of what it called."""
    code, trace = getattr(function, "__code__", None), error.__traceback__
    while trace is not None and trace.tb_frame.f_code is not code:
        trace = trace.tb_next
    return (
        ""
        if trace is None
        else f" ({Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno})"
    )


# ------------------------------------------------------------------------------------------ answers


def _look(
    metric: Metric,
    function: Asked,
    tracks: Sequence[Track],
    window: Window,
    answers: Mapping[Track, object],
) -> Look:
    name = getattr(function, "__qualname__", type(function).__qualname__)
    found = {track: _measured(metric, answered) for track, answered in answers.items()}
    return look_of(metric, window, tracks, found, query=name, meaning=("function/1", name))


def _measured(metric: Metric, answered: object) -> Measurement:
    kind, fits = metric.kind, _FITS[metric.kind]
    match answered:
        case None:
            return NoData("the function answered None")
        case NoData() | NoAnswer():
            return answered
        case Counts() | Histogram() | Moments() | Gauge() if isinstance(answered, fits):
            return answered
        case tuple() | list() if kind is Kind.VALUE:
            return measurement(kind, [(each,) for each in answered])
        case tuple() | list() if kind in COLUMNS:
            return measurement(kind, [tuple(answered)])
        case _ if kind is Kind.VALUE:
            return measurement(kind, [(answered,)])
    row = f", or ({', '.join(COLUMNS[kind])})" if kind in COLUMNS else ""
    return NoAnswer(
        f"the function answered a {type(answered).__name__}; {metric} is a {kind.value}: answer "
        f"{fits.__name__}(...){row}, or None"
    )
