"""A call of an adapter as a generator of requests, and the two small loops that run it: one
synchronous, one asynchronous.

::

    def _read(self, release: Release) -> Flow[Line, str, Served]:
        answer = yield Line(f"show map {self.map}")
        return self._served(release, answer)

The adapter does no input or output itself, so it is written once for both, and its tests send it
answers by hand. What carries a request to the system is a `Client`: HTTP and lines over a socket
are here; a file or a command are others.

What comes back at a ``yield`` is an answer that the adapter can use. Everything else is raised
there as the adapter's own error, by these rules:

* A read is asked again, with random growing pauses, for as long as the client's ``deadline``; reads
  in a row share one.
* A write is sent once.
* A write that was sent and not answered is `Failure.UNKNOWN`: nobody knows whether it was done.
* Once a write was sent, every later failure of the call is UNKNOWN too: "not done" would be untrue.

Errors are made outside of ``except`` blocks, so that no exception of a library, which may quote a
credential, is attached to them as ``__context__``.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, Self, TypeAlias, TypeVar

import attrs

from progressive.errors import ConflictError, Failure, ProgressiveError, WorldError

from .logs import ADAPTERS
from .veil import veiled

if TYPE_CHECKING:
    import tenacity

__all__ = [
    "Adapter",
    "Client",
    "Exchange",
    "Fault",
    "Flow",
    "Malformed",
    "Question",
    "after_write",
    "feed",
]

EXCERPT: Final = 300
"""Characters of a system's own words in an error: enough for a reason, too few for a page of HTML.
"""


class Question(Protocol):
    """What a flow yields: any value that says whether it changes something, and what messages call
    it.
    """

    @property
    def write(self) -> bool:
        """Does it change something? Then it is sent once."""
        ...

    @property
    def label(self) -> str:
        """It in a few words, without credentials: ``GET /runtime``."""
        ...


Q = TypeVar("Q", bound=Question)
A = TypeVar("A")
T = TypeVar("T")

Flow: TypeAlias = Generator[Q, A, T]
"""One call of an adapter: yields questions, is sent answers, returns the result. It is never kept
beyond that call.
"""


@attrs.frozen
class Fault:
    """Why there is no answer that an adapter could use.

    A value and not an exception, so that it carries nothing of a library with it. ``failure``: of a
    write, TRANSIENT and PERMANENT say that it was *not* done, UNKNOWN that it was sent.
    ``answered``: whether ``why`` has the system's own words. ``late``: whether it says only that
    the time was over before there was anything to send.
    """

    failure: Failure
    why: str
    answered: bool = False
    late: bool = False


Exchange: TypeAlias = Callable[[Q, float], Awaitable[A | Fault]]
"""An asynchronous exchange: a question and when it must be over, in seconds of `time.monotonic`."""


class Malformed(ValueError):
    """Raise it in a flow for an answer that makes no sense; what leaves the call is the adapter's
    own error.
    """


def excerpt(text: str, secrets: tuple[str, ...] = ()) -> str:
    """A system's own words on one line of at most 300 characters, with ``***`` for each of the
    ``secrets``.
    """
    return " ".join(veiled(text, secrets).split())[:EXCERPT]


@contextmanager
def after_write() -> Iterator[None]:
    """Around what a flow does after its write was answered: what fails there says UNKNOWN, and why.

    The loops do the same with what a system answers; this is for what the adapter itself finds
    wrong, such as an object that was edited meanwhile. What a write's own answer refuses belongs
    outside: it says that nothing was done.
    """
    try:
        yield
    except WorldError as failed:
        if failed.failure is Failure.UNKNOWN:
            raise
        raise type(failed)(f"{failed}{_WRITTEN}", failure=Failure.UNKNOWN) from failed


_WRITTEN: Final = "; a write was sent before, so read again before writing"


def feed(flow: Flow[Q, A, T], answer: Callable[[Q], A]) -> T:
    """Run a call with answers given by hand: for an adapter's tests, without a system and without
    retries.
    """
    try:
        question = next(flow)
        while True:
            question = flow.send(answer(question))
    except StopIteration as done:
        result: T = done.value
        return result


class Client(ABC, Generic[Q, A]):
    """Runs the flows of one adapter over one transport.

    A transport of your own gives ``exchange``, ``connect`` and ``address``. ``error``: what is
    raised; ``system``: its name in messages; ``deadline``: the longest time for a write, or for
    reads in a row with their retries.
    """

    __slots__ = ()

    error: type[WorldError]
    system: str

    @property
    @abstractmethod
    def address(self) -> str:
        """Where the system is, as messages show it: without credentials."""

    @property
    @abstractmethod
    def deadline(self) -> timedelta:
        """The longest time for one write, or for reads in a row with their retries."""

    @abstractmethod
    def exchange(self, question: Q, ends: float) -> A | Fault:
        """Ask once, until ``ends`` (seconds of `time.monotonic`) at the latest. Never raises for
        what the system does.
        """

    @abstractmethod
    def connect(self) -> AbstractAsyncContextManager[Exchange[Q, A]]:
        """What exchanges asynchronously within one call. Entered and left in the same task."""

    def close(self) -> None:
        """Close what is kept open between calls; by default nothing is. The client stays usable."""
        return

    def veil(self, text: str) -> str:
        """The text without what must not show: a system may echo a credential in an answer that is
        no failure, and an adapter may quote it. By default all of it may show.
        """
        return text

    def run(self, flow: Flow[Q, A, T]) -> T:
        """Run one call to its end. Raises ``error``, `ConflictError`, and what the flow raises
        itself.
        """
        import tenacity  # before the deadline of the call runs

        call = _Call(self, flow)
        while (question := call.question) is not None:
            call.answered(tenacity.Retrying(**call.retries())(self.exchange, question, call.ends))
        return call.result()

    async def arun(self, flow: Flow[Q, A, T]) -> T:
        """`run`, asynchronously (asyncio)."""
        import tenacity

        call = _Call(self, flow)
        async with self.connect() as exchange:
            while (question := call.question) is not None:
                retrying = tenacity.AsyncRetrying(**call.retries())
                call.answered(await retrying(exchange, question, call.ends))
        return call.result()


class _Call(Generic[Q, A, T]):
    """The state of one call, the same for both loops: what to ask next, and until when."""

    def __init__(self, client: Client[Q, A], flow: Flow[Q, A, T]) -> None:
        self._client, self._flow = client, flow
        self._wrote = False
        self._result: list[T] = []
        self.question: Q | None = None
        self.ends = 0.0
        self._advance(lambda: next(self._flow))

    def retries(self) -> dict[str, Any]:
        """How tenacity shall treat this question; an outcome is a value, and the last one is handed
        on as it is. But where the last try was cut short, what the system said before tells more.
        """
        import tenacity

        said: list[Fault] = []
        learnt: list[Fault] = []

        def may_succeed_later(outcome: object) -> bool:
            if isinstance(outcome, Fault) and outcome.answered:
                said[:] = [outcome]
            if isinstance(outcome, Fault) and not outcome.late:
                learnt[:] = [outcome]
            return isinstance(outcome, Fault) and outcome.failure is Failure.TRANSIENT

        def last_word(state: tenacity.RetryCallState) -> object:
            assert state.outcome is not None  # it is asked for after a try
            outcome = state.outcome.result()
            if outcome.answered:
                return outcome
            return next(iter(said or (learnt if outcome.late else ())), outcome)

        once = self.question is not None and self.question.write
        left = self.ends - time.monotonic()
        return {
            "retry": tenacity.retry_if_result(may_succeed_later),
            "stop": tenacity.stop_after_attempt(1) if once else tenacity.stop_before_delay(left),
            "wait": tenacity.wait_random_exponential(multiplier=0.1, max=2.0),
            "retry_error_callback": last_word,
            "before_sleep": self._say_again,
        }

    def _say_again(self, state: tenacity.RetryCallState) -> None:
        """Log that a question is asked again: the first time as a warning."""
        assert state.outcome is not None  # a try is over
        level = logging.WARNING if state.attempt_number == 1 else logging.DEBUG
        if ADAPTERS.isEnabledFor(level):
            why, left = self._error(state.outcome.result()), self.ends - time.monotonic()
            ADAPTERS.log(level, "%s; tried again for up to %.0f s", why, max(left, 0.0))

    def answered(self, outcome: A | Fault) -> None:
        """Hand the outcome to the adapter."""
        write = self.question is not None and self.question.write
        if isinstance(outcome, Fault):
            error = self._error(outcome)
            self._wrote = self._wrote or (write and outcome.failure is Failure.UNKNOWN)
            self._advance(lambda: self._flow.throw(error))
            return
        self._wrote = self._wrote or write
        self._advance(lambda: self._flow.send(outcome))

    def result(self) -> T:
        """What the flow returned."""
        return self._result[0]

    def _advance(self, go_on: Callable[[], Q]) -> None:
        error: WorldError | None = None
        why = ""
        try:
            upcoming = go_on()
        except StopIteration as done:
            self.question = None
            self._result.append(done.value)
            return
        except Malformed as bad:
            why = str(bad)
        except WorldError as raised:
            shown = self._client.veil(str(raised))
            if shown == str(raised):
                raise
            error = type(raised)(shown, failure=raised.failure)
        else:
            # Reads in a row share one deadline; a write has its own, and so has the reading back
            # after it.
            if self.question is None or self.question.write or upcoming.write:
                self.ends = time.monotonic() + self._client.deadline.total_seconds()
            self.question = upcoming
            return
        if error is not None:
            raise error
        raise self._error(Fault(Failure.PERMANENT, f"answered what makes no sense: {why}"))

    def _error(self, fault: Fault) -> ProgressiveError:
        what = "" if self.question is None else f"{self.question.label}: "
        said = self._client.veil(fault.why)
        why = f"{self._client.system} at {self._client.address}: {what}{said}"
        if self._wrote:
            return self._client.error(f"{why}{_WRITTEN}", failure=Failure.UNKNOWN)
        if fault.failure is Failure.CONFLICT:
            return ConflictError(f"{why}; somebody else moved it, so read again and decide again")
        if fault.failure is Failure.UNKNOWN:
            unknown = f"{why}; it may have been done, so read before writing again"
            return self._client.error(unknown, failure=Failure.UNKNOWN)
        return self._client.error(why, failure=fault.failure)


class Adapter(ABC, Generic[Q, A]):
    """What has a ``_client``, and the four ways to close it. The base of routers, providers and
    fleets.
    """

    __slots__ = ()
    _client: Client[Q, A]

    def close(self) -> None:
        """Close the connections that are kept between calls; the adapter stays usable."""
        self._client.close()

    async def aclose(self) -> None:
        """`close`; asynchronous calls keep no connections, so this never waits."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
