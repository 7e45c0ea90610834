"""Several routers as one: a row of proxies, the regions of a load balancer."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from json import dumps, loads
from math import lcm
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

import attrs

from progressive.adapters.parts import Part, served
from progressive.adapters.router import goes_back
from progressive.adapters.waiting import Apart
from progressive.errors import ConflictError, Failure, RouterError, StrategyError, WorldError
from progressive.model import fields
from progressive.model.release import Release
from progressive.model.router_state import AfterRestart, Capabilities, Marker, Served
from progressive.model.traffic import ALL_STABLE, Traffic
from progressive.model.units import MILLION, Percent, seconds

if TYPE_CHECKING:
    from progressive.ports import AnyRouter

__all__ = ["Together"]

PATIENCE: Final = seconds(20)
"""How long a call takes at most by default: less than `Ports.timeout`, so that it is said which of
them was late, and nothing is begun that nobody waits for any more.
"""

PROMPT: Final = 2.0
"""Seconds after which a way back begins that knows of something to take back: one that hangs keeps
the others waiting no longer.
"""


@attrs.frozen
class _Call:
    """A call of one of the routers, by its place in the row."""

    place: int
    verb: str
    args: tuple[Any, ...]
    more: dict[str, Any] = attrs.field(factory=dict)


_Outcome: TypeAlias = Served | Exception
_Flow: TypeAlias = Generator[list[_Call], list[_Outcome], Served]
"""Calls that are made at the same time, and what each has returned or raised."""

_GRAVEST: Final = (Failure.UNKNOWN, Failure.PERMANENT, Failure.TRANSIENT, Failure.CONFLICT)


class Together:
    """Several routers that serve one service, as one: ``Together(Envoy(eu), Envoy(us))``.

    The calls of a read are made at the same time, and so are those of a way back; a raise goes from
    one to the next and stops at the first that fails. One that is only synchronous runs in a thread
    for asyncio.

    * The highest share that the candidate has on any of them counts against its ceiling, and
      nothing is verified before all of them serve the same.
    * What one of them can't do is refused, and so is a raise while one of them can't be read.
    * A way back goes on past those that fail, and then raises: the next tick tries them again.
    * The newest marker of them all counts, and one that is closed on any of them is closed. One
      that has lost its marker (a restart) is not verified until it was written again.

    ``timeout``: how long a call takes at most, half of that for reading; one that is late has
    failed. Raises `StrategyError` for fewer than two, and for one that is there twice.
    """

    def __init__(self, *routers: AnyRouter, timeout: timedelta = PATIENCE) -> None:
        if len(routers) < 2:
            raise StrategyError(f"Together: give two routers or more, got {len(routers)}")
        for n, each in enumerate(routers):
            if not isinstance(getattr(each, "capabilities", None), Capabilities):
                raise StrategyError(f"Together: {fields.brief(each)} is no router")
            if any(each is other for other in routers[:n]):
                raise StrategyError(f"Together: {fields.brief(each)} is there twice")
            if isinstance(each, Together):
                raise StrategyError("Together: a row in a row; give the routers of both to one")
        self._routers = routers
        self._timeout = fields.whole_ms(timeout).total_seconds()
        self.capabilities = _common([each.capabilities for each in routers])

    def __repr__(self) -> str:
        return f"Together({', '.join(map(repr, self._routers))})"

    def read(self, release: Release) -> Served:
        """Return what they serve together; see `TrafficRouter.read`.

        Raises `RouterError` if one of them can't be read: nobody knows then what it serves.
        """
        return self._run(self._reading(release))

    async def aread(self, release: Release) -> Served:
        """`read`, asynchronously."""
        return await self._arun(self._reading(release))

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        """Make all of them serve ``traffic``; see `TrafficRouter.apply`.

        Raises `RouterError`, UNKNOWN, that names who has failed, if another one was written.
        """
        return self._run(
            self._applying(release, traffic, marker, expect), hurry=traffic == ALL_STABLE
        )

    async def aapply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        """`apply`, asynchronously."""
        return await self._arun(
            self._applying(release, traffic, marker, expect), hurry=traffic == ALL_STABLE
        )

    def undo(self, release: Release) -> str:
        """Return the lines of all of them as one; each is tried, whatever became of the others."""
        lines = []
        for place, each in enumerate(self._routers):
            undo: Callable[[Release], str] | None = getattr(each, "undo", None)
            by_hand = f"echo 'take {self._name(place)} back by hand' >&2"
            lines.append(by_hand if undo is None else undo(release))
        return " ; ".join(lines)

    def close(self) -> None:
        """Close the connections that the routers keep; all stay usable."""
        for each in self._routers:
            close: Callable[[], object] | None = getattr(each, "close", None)
            if close is not None:
                close()

    async def aclose(self) -> None:
        """`close`; of one that has both, its asynchronous form."""
        for each in self._routers:
            aclose: Callable[[], Awaitable[object]] | None = getattr(each, "aclose", None)
            close: Callable[[], object] | None = getattr(each, "close", None)
            if aclose is not None:
                await aclose()
            elif close is not None:
                close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _name(self, place: int) -> str:
        kind = type(self._routers[place]).__name__
        return f"router {place + 1} of {len(self._routers)} ({kind})"

    # ------------------------------------------------------------------------------------- the flow

    def _reading(self, release: Release) -> _Flow:
        return self._all_of((yield self._reads(release)))

    def _applying(
        self, release: Release, traffic: Traffic, marker: Marker, expect: str | None
    ) -> _Flow:
        self.capabilities.refuse(release, traffic)
        versions = self._versions(expect)
        found = yield self._reads(release)
        there = {n: each for n, each in enumerate(found) if isinstance(each, Served)}
        back = self._goes_back(traffic, there, marker)
        if not (back and traffic == ALL_STABLE):
            for n, each in there.items():
                each.refuse_overtaken(marker, versions[n], where=self._name(n))
        if back:
            # To stable nobody is asked for the others' leave: who was overtaken refuses himself.
            # What is only lowered stays as it is where there is less, as that would be a raise.
            whole = traffic == ALL_STABLE or marker.closed
            stays = {
                n: each
                for n, each in there.items()
                if not whole and not each.traffic.exceeds(traffic)
            }
            written = yield [
                self._write(n, release, traffic, _closing(marker, there.get(n)), version)
                for n, version in enumerate(versions)
                if n not in stays
            ]
            rest = iter(written)
            return self._all_of(
                [stays[n] if n in stays else next(rest) for n in range(len(versions))],
                written=True,
            )
        self._all_of(found)
        self._refuse_lost(traffic, marker, there)
        outcomes: list[_Outcome] = []
        for n, version in enumerate(versions):
            outcomes += yield [self._write(n, release, traffic, marker, version)]
            if isinstance(outcomes[-1], Exception):
                break
        return self._all_of(outcomes, written=True)

    def _goes_back(self, traffic: Traffic, there: Mapping[int, Served], marker: Marker) -> bool:
        """Does this write only take traffic away, as far as anybody can say?"""
        return bool(there) and goes_back(traffic, self._combined(there), marker)

    def _refuse_lost(self, traffic: Traffic, marker: Marker, there: Mapping[int, Served]) -> None:
        """Refuse a raise over one of them that has lost its marker: somebody may have taken traffic
        back there before it was restarted. Only a claim, which moves nothing, gives it a new one.
        """
        ours = [
            each.marker is not None and each.marker.generation == marker.generation
            for each in there.values()
        ]
        if traffic == ALL_STABLE or not any(ours):
            return
        for n, each in there.items():
            able = self._routers[n].capabilities
            if each.marker is None and able.marker and able.after_restart is AfterRestart.HOLD:
                raise RouterError(
                    f"{self._name(n)} has lost its marker, as by a restart, and perhaps its "
                    "traffic was taken back before; nothing is raised",
                    failure=Failure.PERMANENT,
                )

    def _write(
        self, place: int, release: Release, traffic: Traffic, marker: Marker, expect: str | None
    ) -> _Call:
        return _Call(place, "apply", (release, traffic), {"marker": marker, "expect": expect})

    def _reads(self, release: Release) -> list[_Call]:
        return [_Call(n, "read", (release,)) for n in range(len(self._routers))]

    def _versions(self, expect: str | None) -> Sequence[str | None]:
        """Return which version each of them has to have; None for any."""
        try:
            versions = [None] * len(self._routers) if expect is None else loads(expect)
        except ValueError:
            versions = None
        if not isinstance(versions, list) or len(versions) != len(self._routers):
            raise ConflictError(
                f"{fields.brief(expect)} is no version of this row of {len(self._routers)} "
                "routers; nothing was written, read again"
            )
        return versions

    def _all_of(self, outcomes: Sequence[_Outcome], *, written: bool = False) -> Served:
        """Return what all of them serve. What some of them have raised is raised as one error."""
        failed = {n: each for n, each in enumerate(outcomes) if isinstance(each, Exception)}
        if not failed:
            return self._combined(
                {n: each for n, each in enumerate(outcomes) if isinstance(each, Served)}
            )
        said = "; ".join(f"{self._name(n)}: {each}" for n, each in failed.items())
        kinds = {_failure(each) for each in failed.values()}
        if written and len(failed) < len(outcomes):
            went_well = len(outcomes) - len(failed)
            raise RouterError(
                f"{said}; {went_well} of {len(self._routers)} were written", failure=Failure.UNKNOWN
            )
        if all(isinstance(each, ConflictError) for each in failed.values()):
            raise ConflictError(said)
        raise RouterError(said, failure=next(each for each in _GRAVEST if each in kinds))

    def _combined(self, found: Mapping[int, Served]) -> Served:
        """Return what those serve that were read, by their places."""
        marked = [
            each.marker is not None
            for n, each in found.items()
            if self._routers[n].capabilities.marker
        ]
        versions = [found[n].version if n in found else None for n in range(len(self._routers))]
        whole = len(set(marked)) < 2
        one = served(
            [Part(each.traffic, each.unattributed) for each in found.values()],
            version=None if set(versions) == {None} else dumps(versions),
            marker=_marker([*found.values()]),
            converged=whole and all(each.converged for each in found.values()),
        )
        pairs = [pair for each in found.values() for pair in each.identities]
        return attrs.evolve(one, identities=tuple(dict.fromkeys(pairs)))

    # -------------------------------------------------------------------------------------- calling

    def _run(self, flow: _Flow, *, hurry: bool = False) -> Served:
        began = time.monotonic()
        calls, ends = next(flow), began + self._timeout / 2
        while True:
            if time.monotonic() >= ends:
                outcomes: list[_Outcome] = [_TOO_LATE for _ in calls]
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

    async def _arun(self, flow: _Flow, *, hurry: bool = False) -> Served:
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

    def _begun(self, call: _Call) -> Apart[_Outcome] | _Outcome:
        try:
            return Apart(partial(self._outcome, call))
        except RuntimeError as error:  # no thread can be started
            return error

    def _outcome(self, call: _Call) -> _Outcome:
        verb = getattr(self._routers[call.place], call.verb, None)
        if verb is None:
            return RouterError(
                f"it has a{call.verb} and no {call.verb}: drive it with asyncio",
                failure=Failure.PERMANENT,
            )
        try:
            return _answer(call, verb(*call.args, **call.more))
        except Exception as error:
            return error

    async def _aoutcome(self, call: _Call) -> _Outcome:
        verb = getattr(self._routers[call.place], f"a{call.verb}", None)
        try:
            if verb is None:
                return await Apart(partial(self._outcome, call)).await_()
            return _answer(call, await verb(*call.args, **call.more))
        except Exception as error:
            return error


def _waited(call: _Call, begun: Apart[_Outcome] | _Outcome, ends: float) -> _Outcome:
    if not isinstance(begun, Apart):
        return begun
    try:
        return begun.wait(ends)
    except TimeoutError:
        return _late(call)


def _has_traffic(outcome: _Outcome) -> bool:
    """Is there something to take back?"""
    return isinstance(outcome, Served) and outcome.traffic != ALL_STABLE


def _failure(error: Exception) -> Failure:
    if isinstance(error, ConflictError):
        return Failure.CONFLICT
    return error.failure if isinstance(error, WorldError) else Failure.UNKNOWN


_TOO_LATE: Final = RouterError("not asked: the others took all the time", failure=Failure.TRANSIENT)


def _late(call: _Call) -> RouterError:
    failure = Failure.UNKNOWN if call.verb == "apply" else Failure.TRANSIENT
    return RouterError("no answer in time", failure=failure)


def _common(able: Sequence[Capabilities]) -> Capabilities:
    """Return what all of them can do."""
    return Capabilities(
        smallest_weight=Percent(min(MILLION, lcm(*(each.smallest_weight.ppm for each in able)))),
        baseline=all(each.baseline for each in able),
        matches=all(each.matches for each in able),
        mirror=all(each.mirror for each in able),
        sticky=any(each.sticky for each in able),
        compare_and_set=all(each.compare_and_set for each in able),
        marker=all(each.marker for each in able),
        after_restart=(
            AfterRestart.REASSERT
            if all(each.after_restart is AfterRestart.REASSERT for each in able)
            else AfterRestart.HOLD
        ),
    )


def _marker(found: Sequence[Served]) -> Marker | None:
    """Return the newest marker.

    It is closed if one of its generation is, or one that names nobody, as a line leaves that was
    typed where no marker stood. Where two rollouts have one each, both have to go back: it is that
    of the most exposed part, closed.
    """
    there = [(each, each.marker) for each in found if each.marker is not None]
    if not there:
        return None
    exposed, most = max(there, key=lambda each: each[0].traffic.candidate)
    if exposed.traffic != ALL_STABLE and any(most.is_other_owners(each) for _, each in there):
        return attrs.evolve(most, closed=True)
    markers = [each for _, each in there]
    newest = max(markers, key=lambda each: (each.generation, each.serial, each.closed, each.owner))
    closed = any(
        each.closed and (each.generation == newest.generation or not each.owner) for each in markers
    )
    return attrs.evolve(newest, closed=closed)


def _closing(marker: Marker, there: Served | None) -> Marker:
    """Return the marker of a way back by hand: where another's stands, that one is closed."""
    stands = None if there is None else there.marker
    if marker.closed and stands is not None and stands.forbids(marker):
        return attrs.evolve(stands, closed=True)
    return marker


def _answer(call: _Call, found: object) -> _Outcome:
    if isinstance(found, Served):
        return found
    return RouterError(
        f"{call.verb} answered {type(found).__name__}, and no Served",
        failure=Failure.UNKNOWN if call.verb == "apply" else Failure.PERMANENT,
    )
