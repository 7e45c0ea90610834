"""What every law is made of: a port in one of its colours, called from plain code, and a failure
that says how to mend it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias, TypeVar

import attrs

T = TypeVar("T")
Wait: TypeAlias = Callable[[Callable[[], Awaitable[Any]]], Any]
"""Calls an asynchronous method on some event loop, waits for its end, and gives what came of it."""


def because(what: str, expected: object, came: object, mend: str) -> AssertionError:
    """A law that was broken, in four lines."""
    said = f"{type(came).__name__}: {came}" if isinstance(came, Exception) else came
    return AssertionError(f"{what}\n  expected: {expected}\n  came:     {said}\n  mend:     {mend}")


def must(so: object, what: str, *, expected: object, came: object, mend: str) -> None:
    """Raise unless ``so``. Not an ``assert``: those are left out under ``python -O``."""
    if not so:
        raise because(what, expected, came, mend)


@contextmanager
def must_answer(call: str, *ours: type[Exception]) -> Iterator[None]:
    """A call that has to succeed. ``ours`` are the errors that it may raise at other times."""
    try:
        yield
    except ours as error:
        raise because(
            f"{call} failed",
            "an answer",
            error,
            "there is nothing to refuse here; see the system's own words",
        ) from error
    except Exception as error:
        mend = (
            f"raise only {' or '.join(each.__name__ for each in ours)}, with the system's own "
            "words; say with failure= if it was done"
        )
        raise because(
            f"{call} raised an error of another kind", "an answer", error, mend
        ) from error


def tried(laws: Sequence[Callable[[T], None]], subject: T) -> None:
    """Every law in its turn. The first that is broken is named on the error."""
    for law in laws:
        try:
            law(subject)
        except AssertionError as error:
            error.add_note(
                f"The law: {law.__name__.replace('_', ' ')}. {law.__doc__ or ''}".rstrip()
            )
            raise


@attrs.frozen
class Spoken:
    """One colour of a port. ``wait`` is for the asynchronous one; without it the methods are
    plain.
    """

    port: Any
    wait: Wait | None = None

    def __call__(self, verb: str, *arguments: object, **named: object) -> Any:
        """Call ``read``, or ``aread`` and wait for it."""
        call = partial(getattr(self.port, self.method(verb)), *arguments, **named)
        return call() if self.wait is None else self.wait(call)

    def method(self, verb: str) -> str:
        """What the method is called in this colour."""
        return verb if self.wait is None else f"a{verb}"

    def named(self, verb: str) -> str:
        """How messages name it: ``Envoy.aread``."""
        return f"{type(self.port).__name__}.{self.method(verb)}"


def colours(port: Any, wait: Wait, *verbs: str) -> tuple[Spoken, ...]:
    """The colours that a port has, the plain one first."""
    found = []
    for spoken in (Spoken(port), Spoken(port, wait)):
        missing = [
            spoken.method(verb)
            for verb in verbs
            if not callable(getattr(port, spoken.method(verb), None))
        ]
        if len(missing) < len(verbs):
            must(
                not missing,
                f"{type(port).__name__} has half a colour",
                expected=" and ".join(map(spoken.method, verbs)),
                came=f"no {' and no '.join(missing)}",
                mend="a driver uses all methods of one colour; give it the others too",
            )
            found.append(spoken)
    must(
        found,
        f"{type(port).__name__} has no colour",
        expected=f"{' and '.join(verbs)}, or the same with an a in front for asyncio",
        came=repr(port),
        mend="see the contract in progressive.ports; nothing has to be inherited",
    )
    return tuple(found)


def on(loop: asyncio.AbstractEventLoop) -> Wait:
    """Waiting, in any other thread, for what is called on ``loop``."""

    async def awaited(call: Callable[[], Awaitable[Any]]) -> Any:
        return await call()

    return lambda call: asyncio.run_coroutine_threadsafe(awaited(call), loop).result()


@contextmanager
def loop_of_its_own() -> Iterator[Wait]:
    """An event loop in a thread, so that a plain test can try an asynchronous port."""
    begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        over = asyncio.Event()
        begun.set_result((asyncio.get_running_loop(), over))
        await over.wait()

    thread = threading.Thread(
        target=lambda: asyncio.run(serve()), daemon=True, name="progressive-contract"
    )
    thread.start()
    loop, over = begun.result()
    try:
        yield on(loop)
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
