"""Several routers as one: a row of proxies, the regions of a load balancer."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from datetime import timedelta
from functools import partial
from json import dumps, loads
from math import lcm
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

import attrs

from progressive.adapters.parts import Part, served
from progressive.adapters.router import goes_back
from progressive.adapters.waiting import Apart
from progressive.errors import ConflictError, Failure, RouterError, StrategyError
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
"""Seconds that a write of all traffic to stable waits for the reads before it: one that hangs keeps
the others from going back no longer.
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
        self._routers = routers
        self._timeout = fields.whole_ms(timeout).total_seconds()
        self.capabilities = _common([each.capabilities for each in routers])

    def __repr__(self) -> str:
        return f"Together({', '.join(map(repr, self._routers))})"

    def read(self, release: Release) -> Served:
        """Return what they serve together; see `TrafficRouter.read`.

        Raises `RouterError` if one of them can't be read: nobody knows then what it serves.
        """
        return self._run(self._reading(release), self._timeout / 2)

    async def aread(self, release: Release) -> Served:
        """`read`, asynchronously."""
        return await self._arun(self._reading(release), self._timeout / 2)

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        """Make all of them serve ``traffic``; see `TrafficRouter.apply`.

        Raises `RouterError`, UNKNOWN, that names who has failed, if another one was written.
        """
        return self._run(
            self._applying(release, traffic, marker, expect), self._time_to_read(traffic)
        )

    async def aapply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        """`apply`, asynchronously."""
        return await self._arun(
            self._applying(release, traffic, marker, expect), self._time_to_read(traffic)
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
        for n, each in there.items():
            each.refuse_overtaken(marker, versions[n], where=self._name(n))
        back = bool(there) and goes_back(traffic, _combined([*there.values()]), marker)
        if not back:
            self._all_of(found)
        writes = [
            _Call(n, "apply", (release, traffic), {"marker": marker, "expect": version})
            for n, version in enumerate(versions)
        ]
        if back:
            return self._all_of((yield writes), written=True)
        outcomes: list[_Outcome] = []
        for write in writes:
            outcomes += yield [write]
            if isinstance(outcomes[-1], Exception):
                break
        return self._all_of(outcomes, written=True)

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
            return _combined([each for each in outcomes if isinstance(each, Served)])
        said = "; ".join(f"{self._name(n)}: {each}" for n, each in failed.items())
        kinds = {getattr(each, "failure", Failure.UNKNOWN) for each in failed.values()}
        if written and len(failed) < len(outcomes):
            went_well = len(outcomes) - len(failed)
            raise RouterError(
                f"{said}; {went_well} of {len(self._routers)} were written", failure=Failure.UNKNOWN
            )
        if all(isinstance(each, ConflictError) for each in failed.values()):
            raise ConflictError(said)
        raise RouterError(said, failure=next(each for each in _GRAVEST if each in kinds))

    # -------------------------------------------------------------------------------------- calling

    def _time_to_read(self, traffic: Traffic) -> float:
        half = self._timeout / 2
        return min(half, PROMPT) if traffic == ALL_STABLE else half

    def _run(self, flow: _Flow, reading: float) -> Served:
        began = time.monotonic()
        calls, ends = next(flow), began + reading
        while True:
            begun = [
                (each, Apart(partial(self._outcome, each)) if time.monotonic() < ends else None)
                for each in calls
            ]
            outcomes = [self._waited(each, apart, ends) for each, apart in begun]
            ends = began + self._timeout
            try:
                calls = flow.send(outcomes)
            except StopIteration as done:
                found: Served = done.value
                return found

    async def _arun(self, flow: _Flow, reading: float) -> Served:
        import asyncio

        began = time.monotonic()
        calls, ends = next(flow), began + reading
        while True:
            outcomes = await asyncio.gather(*(self._aoutcome(each, ends) for each in calls))
            ends = began + self._timeout
            try:
                calls = flow.send(outcomes)
            except StopIteration as done:
                found: Served = done.value
                return found

    def _outcome(self, call: _Call) -> _Outcome:
        verb = getattr(self._routers[call.place], call.verb, None)
        if verb is None:
            return RouterError(
                f"it has a{call.verb} and no {call.verb}: drive it with asyncio",
                failure=Failure.PERMANENT,
            )
        try:
            found: Served = verb(*call.args, **call.more)
        except Exception as error:
            return error
        return found

    def _waited(self, call: _Call, apart: Apart[_Outcome] | None, ends: float) -> _Outcome:
        if apart is None:
            return _TOO_LATE
        try:
            return apart.wait(ends)
        except TimeoutError:
            return _late(call)

    async def _aoutcome(self, call: _Call, ends: float) -> _Outcome:
        import asyncio

        if (left := ends - time.monotonic()) <= 0:
            return _TOO_LATE

        verb = getattr(self._routers[call.place], f"a{call.verb}", None)
        asked = (
            Apart(partial(self._outcome, call)).await_()
            if verb is None
            else verb(*call.args, **call.more)
        )
        try:
            found: _Outcome = await asyncio.wait_for(asked, left)
        except TimeoutError:
            return _late(call)
        except Exception as error:
            return error
        return found


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


def _combined(found: Sequence[Served]) -> Served:
    versions = [each.version for each in found]
    identities = dict.fromkeys(each.identities for each in found)
    one = served(
        [Part(each.traffic, each.unattributed) for each in found],
        version=None if set(versions) == {None} else dumps(versions),
        marker=_marker([each.marker for each in found]),
        converged=all(each.converged for each in found),
        whole=len({each.marker is None for each in found}) == 1,
    )
    return attrs.evolve(one, identities=next(iter(identities)) if len(identities) == 1 else ())


def _marker(found: Sequence[Marker | None]) -> Marker | None:
    """Return the newest marker; closed, if one of its generation is."""
    there = [each for each in found if each is not None]
    if not there:
        return None
    newest = max(there, key=lambda each: (each.generation, each.serial, each.closed, each.owner))
    closed = any(each.closed for each in there if each.generation == newest.generation)
    return attrs.evolve(newest, closed=closed)
