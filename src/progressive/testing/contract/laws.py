"""The parts of every law: a port called from plain code, an error that explains, the report."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import Any, Final, TypeVar

import attrs

from .loops import Loop

T = TypeVar("T")
Law = Callable[[T], None]


class LawBroken(AssertionError):
    """A port broke a law of its contract.

    The message has what was wrong, what was expected, what was seen, a hint, and the law. ``law``
    is the name of the law in words, such as ``"a closed marker stands"``. It is empty when the port
    or the arguments of the check were not usable, so that no law could be tried.
    """

    def __init__(
        self, what: str, expected: str, seen: str, hint: str, law: str = "", meaning: str = ""
    ) -> None:
        super().__init__(what, expected, seen, hint, law, meaning)
        self.what = what
        self.expected = expected
        self.seen = seen
        self.hint = hint
        self.law = law
        self.meaning = meaning

    def __str__(self) -> str:
        lines = [
            self.what,
            f"  expected: {self.expected}",
            f"  seen:     {self.seen}",
            f"  hint:     {self.hint}",
        ]
        if self.law:
            lines.append(
                f"  law:      {self.law}: {self.meaning}"
                if self.meaning
                else f"  law:      {self.law}"
            )
        return "\n".join(lines)


@attrs.frozen
class Untried:
    """A law that was not tried, and why.

    ``needs`` is what was missing: an argument of the check (``"beside="``), or something that the
    port does not declare or have (``"capabilities.marker"``). ``why`` says what the check would do
    with it.
    """

    law: str
    needs: str
    why: str

    def __str__(self) -> str:
        return f"{self.law} (needs {self.needs}: {self.why})"


@attrs.frozen(kw_only=True)
class ContractReport:
    """Which laws a port kept, and which were not tried; print it to read it.

    ``port`` is the name of the port's class. ``held`` are the laws that were tried and kept,
    ``untried`` the others. A test that must leave nothing out asserts ``not report.missing``.
    """

    port: str
    held: tuple[str, ...]
    untried: tuple[Untried, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """The arguments for want of which a law was not tried, each once."""
        return tuple(
            dict.fromkeys(each.needs for each in self.untried if each.needs.endswith(("=", "]")))
        )

    def __str__(self) -> str:
        lines = [f"{self.port} kept {len(self.held)} laws."]
        if self.untried:
            lines.append("Not tried:")
            lines += [f"- {each}" for each in self.untried]
        return "\n".join(lines)


class NotTried(Exception):
    """Raised by a law that can't be tried here."""

    def __init__(self, needs: str, why: str) -> None:
        super().__init__(needs, why)
        self.needs = needs
        self.why = why


def broken(what: str, *, expected: object, seen: object, hint: str, law: str = "") -> LawBroken:
    """The error of a law that was broken. An exception that was seen is shown with its class."""
    shown = f"{type(seen).__name__}: {seen}" if isinstance(seen, BaseException) else str(seen)
    return LawBroken(what, str(expected), shown, hint, law)


def must(
    so: object, what: str, *, expected: object, seen: object, hint: str, law: str = ""
) -> None:
    """Raise `LawBroken` unless ``so``. Not an ``assert``: ``python -O`` leaves those out."""
    if not so:
        raise broken(what, expected=expected, seen=seen, hint=hint, law=law)


@contextmanager
def must_answer(call: str, *ours: type[Exception], hint: str = "") -> Iterator[None]:
    """A call that has to succeed. ``ours`` are the errors that it may raise at other times."""
    try:
        yield
    except LawBroken:
        raise
    except ours as error:
        hint = hint or "there is nothing to refuse here; see the system's own words"
        raise broken(f"{call} failed", expected="an answer", seen=error, hint=hint) from error
    except Exception as error:
        names = " or ".join(each.__name__ for each in ours)
        raise broken(
            f"{call} raised an error of another kind",
            expected="an answer",
            seen=error,
            hint=f"raise only {names}, with the system's own words; say with failure= "
            "whether it was done",
        ) from error


def in_words(law: Callable[..., object]) -> str:
    """The name of a law as reports and errors print it."""
    return law.__name__.replace("_", " ")


@attrs.define
class Laws:
    """Runs laws one after the other, and remembers which held and which could not be tried."""

    port: str
    held: list[str] = attrs.field(factory=list)
    untried: list[Untried] = attrs.field(factory=list)

    def run(self, laws: Iterable[Law[T]], subject: T) -> None:
        """Try every law on ``subject``. The first that is broken is named on its error."""
        for law in laws:
            name = in_words(law)
            try:
                law(subject)
            except LawBroken as error:
                raise _named(error, name, law.__doc__ or "") from error.__cause__
            except NotTried as reason:
                found = Untried(name, reason.needs, reason.why)
                if found not in self.untried:
                    self.untried.append(found)
            else:
                if name not in self.held:
                    self.held.append(name)

    def report(self) -> ContractReport:
        """What was found, if nothing was broken."""
        untried = tuple(each for each in self.untried if each.law not in self.held)
        return ContractReport(port=self.port, held=tuple(self.held), untried=untried)


def _named(error: LawBroken, law: str, meaning: str) -> LawBroken:
    first = " ".join(meaning.split("\n\n")[0].split())
    law, meaning = (error.law, "") if error.law else (law, first)
    named = LawBroken(error.what, error.expected, error.seen, error.hint, law, meaning)
    for note in getattr(error, "__notes__", ()):
        named.add_note(note)
    return named.with_traceback(error.__traceback__)


# ----------------------------------------------------------------------------------- calling a port

BEAT: Final = 0.01
"""Seconds between two signs of life of an event loop while it is watched."""

STALLED: Final = 20
"""Beats of a thread beside the loop, without one of the loop itself, after which the loop counts as
blocked (0.2 s).

Counted in beats and not in seconds, so that a machine on which nothing runs for a while blames
nobody.
"""


@attrs.frozen(kw_only=True)
class Outcome:
    """The end of a call that was watched: an ``answer``, an ``error``, or no return in time."""

    answer: object = None
    error: BaseException | None = None
    returned: bool = True
    stalled: bool = False


@attrs.frozen
class BoundPort:
    """A port, called from plain code; through its asynchronous methods if it has a ``loop``."""

    port: Any
    loop: Loop | None = None

    def __call__(self, verb: str, *arguments: object, **named: object) -> Any:
        """Call ``read``, or ``aread`` and wait for it."""
        call = partial(getattr(self.port, self.method(verb)), *arguments, **named)
        return call() if self.loop is None else self.loop.call(call)

    def watched(
        self, timeout: timedelta, verb: str, *arguments: object, **named: object
    ) -> Outcome:
        """Make the same call, give up after ``timeout``, and see whether it blocks the loop."""
        call = partial(getattr(self.port, self.method(verb)), *arguments, **named)
        return in_time(call, timeout, self.loop)

    def method(self, verb: str) -> str:
        """The name of the method: ``read`` or ``aread``."""
        return verb if self.loop is None else f"a{verb}"

    def named(self, verb: str) -> str:
        """The method as messages print it: ``Envoy.aread``."""
        return f"{type(self.port).__name__}.{self.method(verb)}"


def in_time(call: Callable[[], Any], timeout: timedelta, loop: Loop | None) -> Outcome:
    """Call it in a thread of its own, or on ``loop``, and say how it ended.

    A call that does not return is left behind.
    """
    ended: list[Outcome] = []
    over = threading.Event()

    def run() -> None:
        try:
            answer = call() if loop is None else loop.call(call)
        except BaseException as error:
            ended.append(Outcome(error=error))
        else:
            ended.append(Outcome(answer=answer))
        over.set()

    deadline = monotonic() + timeout.total_seconds()
    beats = None if loop is None else loop.beats(BEAT)
    worst = without = 0
    threading.Thread(target=run, daemon=True, name="progressive-contract-call").start()
    last = -1
    while not over.wait(BEAT) and monotonic() < deadline:
        if beats is not None:
            without = without + 1 if beats.count == last else 0
            last = beats.count
            worst = max(worst, without)
    if beats is not None:
        beats.stop()
    found = ended[0] if ended else Outcome(returned=False)
    return attrs.evolve(found, stalled=worst >= STALLED)


def is_async(function: object) -> bool:
    """Is it ``async def``, or an object whose ``__call__`` is?"""
    call = getattr(type(function), "__call__", None)  # noqa: B004 - not whether, but how
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def variants(port: object, loop: Loop, *verbs: str) -> tuple[BoundPort, ...]:
    """The port with its synchronous methods, and with its asynchronous ones, if it has them."""
    found = []
    name = type(port).__name__
    for bound in (BoundPort(port), BoundPort(port, loop)):
        missing = [
            bound.method(verb)
            for verb in verbs
            if not callable(getattr(port, bound.method(verb), None))
        ]
        if len(missing) < len(verbs):
            must(
                not missing,
                f"{name} has only some of the "
                f"{'synchronous' if bound.loop is None else 'asynchronous'} methods",
                expected=" and ".join(map(bound.method, verbs)),
                seen=f"no {' and no '.join(missing)}",
                hint="a driver uses either the synchronous methods or the asynchronous ones; "
                "add those that are missing",
            )
            found.append(bound)
    must(
        found,
        f"{name} has none of the methods of its contract",
        expected=f"{' and '.join(verbs)}, or the same with an a in front for asyncio",
        seen=repr(port),
        hint="see the contract in progressive.ports; nothing has to be inherited",
    )
    return tuple(found)


def listed(values: Sequence[object]) -> str:
    """Values in a line, or ``none``."""
    return ", ".join(map(str, values)) or "none"
