"""Record the calls of a port, with their arguments and outcomes, for the asserts of a test."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs

from progressive.model.measurement import Metric
from progressive.model.router_state import Capabilities, Served
from progressive.ports import Fleet, ListingStore, MetricsProvider, Store, TrafficRouter

__all__ = ["Call", "Recording"]

Port = TypeVar("Port")

VERBS: Final = frozenset(
    {"read", "apply", "measure", "survey", "retire", "save", "load", "due", "last", "notes"}
)
"""The methods of ports that may have an asynchronous twin, with an ``a`` in front."""

ROOM: Final = 60
"""The most characters of one value in the ``repr`` of a call."""


@attrs.frozen(kw_only=True, repr=False)
class Call:
    """One call of one method: ``call.verb == "apply"``, ``call["traffic"]``.

    * ``verb``: the name of the method, the same for its sync and its async form.
    * ``arguments``: by the names of the method's parameters, or by their positions where these are
      unknown.
    * ``over``: False until it has returned; then there is an ``answer`` or an ``error``.
    """

    verb: str
    asynchronous: bool = False
    arguments: Mapping[str, object]
    over: bool = False
    answer: object = None
    error: BaseException | None = None

    def __getitem__(self, name: str) -> Any:
        """Return the argument of one parameter."""
        return self.arguments[name]

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={_shown(value)}" for name, value in self.arguments.items())
        if not self.over:
            came = "..."
        elif self.error is None:
            came = f"-> {_shown(self.answer)}"
        else:
            came = f"raised {type(self.error).__name__}: {self.error}"
        return f"{'a' if self.asynchronous else ''}{self.verb}({given}) {came}"


class Recording(Generic[Port]):
    """A router, provider, fleet or store that passes every call on to ``port``, and keeps it in
    ``calls``, in the order in which they began.

    It has the methods of ``port``, sync or async as they are, and no others, with the port's own
    answers and errors. Safe for threads, as drivers call ports from several. ::

        router = Recording(MemoryRouter())
        play(strategy, release, router=router, metrics=metrics)

        assert [call["traffic"].candidate for call in router.of("apply")] == percents(0, 10, 100)
    """

    def __init__(self, port: Port) -> None:
        self.port = port
        self.calls: list[Call] = []
        self._lock = Lock()

    def of(self, *verbs: str) -> list[Call]:
        """Return the calls of these methods, sync and async: ``recording.of("read", "apply")``."""
        return [call for call in self.calls if call.verb in verbs]

    def __repr__(self) -> str:
        failed = sum(1 for call in self.calls if call.error is not None)
        return (
            f"<Recording of {self.port!r}: {len(self.calls)} "
            f"calls{f', {failed} failed' if failed else ''}>"
        )

    if TYPE_CHECKING:  # whichever of these the port has, type checkers and editors shall know
        capabilities: Capabilities
        read = TrafficRouter.read
        apply = TrafficRouter.apply
        metrics: Sequence[Metric]
        measure = MetricsProvider.measure
        survey = Fleet.survey
        retire = Fleet.retire
        save = Store.save
        load = Store.load
        due = Store.due
        last = Store.last
        notes = Store.notes
        rollouts = ListingStore.rollouts

    def __getattr__(self, name: str) -> Any:
        if name == "port":  # a copy that is not made yet
            raise AttributeError(name)
        found = getattr(self.port, name)
        return self._watched(name, found) if callable(found) and not name.startswith("_") else found

    def _watched(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            place = self._begun(name, _by_name(method, given, named))
            try:
                answer = method(*given, **named)
            except BaseException as error:
                self._over(place, error=error)
                raise
            if inspect.isawaitable(answer):
                return self._awaited(place, answer)
            self._over(place, answer=answer)
            return answer

        return call

    async def _awaited(self, place: int, coming: Awaitable[Any]) -> Any:
        try:
            answer = await coming
        except BaseException as error:
            self._over(place, error=error)
            raise
        self._over(place, answer=answer)
        return answer

    def _begun(self, name: str, arguments: dict[str, Any]) -> int:
        twin = name.startswith("a") and name[1:] in VERBS
        with self._lock:
            self.calls.append(
                Call(verb=name[1:] if twin else name, asynchronous=twin, arguments=arguments)
            )
            return len(self.calls) - 1

    def _over(self, place: int, **came: Any) -> None:
        with self._lock:
            self.calls[place] = attrs.evolve(self.calls[place], over=True, **came)


def _by_name(
    method: Callable[..., Any], given: tuple[Any, ...], named: dict[str, Any]
) -> dict[str, Any]:
    try:
        return dict(inspect.signature(method).bind(*given, **named).arguments)
    except (TypeError, ValueError):  # its names are unknown, or it will refuse these arguments
        return {**{str(place): value for place, value in enumerate(given)}, **named}


def _shown(value: object) -> str:
    """Format a value in at most `ROOM` characters: its ``repr``, its ``str``, or its class."""
    if isinstance(value, Served):
        return f"Served({value.traffic}, ...)"
    return next(
        (text for text in (repr(value), str(value)) if len(text) <= ROOM),
        f"{type(value).__name__}(...)",
    )
