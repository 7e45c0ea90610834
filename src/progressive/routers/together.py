"""Several routers as one: a row of proxies, the regions of a load balancer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from json import dumps, loads
from math import lcm
from typing import TYPE_CHECKING, Final, Self

import attrs

from progressive.adapters.calling import Call, Calling, CallsFlow, Outcome
from progressive.adapters.parts import Part, served
from progressive.adapters.router import goes_back
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
    * The newest marker of them all counts, and one that is closed on any of them is closed. Where
      one has lost its marker (a restart), nothing is verified and nothing is raised.

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
        self._calling = Calling(routers, fields.whole_ms(timeout).total_seconds())
        self.capabilities = _common([each.capabilities for each in routers])

    def __repr__(self) -> str:
        return f"Together({', '.join(map(repr, self._routers))})"

    def read(self, release: Release) -> Served:
        """Return what they serve together; see `TrafficRouter.read`.

        Raises `RouterError` if one of them can't be read: nobody knows then what it serves.
        """
        return self._calling.run(self._reading(release))

    async def aread(self, release: Release) -> Served:
        """`read`, asynchronously."""
        return await self._calling.arun(self._reading(release))

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        """Make all of them serve ``traffic``; see `TrafficRouter.apply`.

        Raises `RouterError`, UNKNOWN, that names who has failed, if another one was written.
        """
        return self._calling.run(
            self._applying(release, traffic, marker, expect), hurry=traffic == ALL_STABLE
        )

    async def aapply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        """`apply`, asynchronously."""
        return await self._calling.arun(
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

    def _reading(self, release: Release) -> CallsFlow:
        return self._all_of((yield self._reads(release)))

    def _applying(
        self, release: Release, traffic: Traffic, marker: Marker, expect: str | None
    ) -> CallsFlow:
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
            less = {
                n: attrs.evolve(each.traffic, sticky=traffic.sticky)
                for n, each in there.items()
                if not whole and not each.traffic.exceeds(traffic)
            }
            stays = {n: there[n] for n, own in less.items() if own == there[n].traffic}
            written = yield [
                self._write(
                    n, release, less.get(n, traffic), _closing(marker, there.get(n)), version
                )
                for n, version in enumerate(versions)
                if n not in stays
            ]
            rest = iter(written)
            outcomes = [stays[n] if n in stays else next(rest) for n in range(len(versions))]
            return self._all_of(outcomes, writes=len(written))
        self._all_of(found)
        self._refuse_lost(traffic, marker, there)
        outcomes = []
        for n, version in enumerate(versions):
            outcomes += yield [self._write(n, release, traffic, marker, version)]
            if isinstance(outcomes[-1], Exception):
                break
        return self._all_of(outcomes, writes=len(outcomes))

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
    ) -> Call:
        return Call(place, "apply", (release, traffic), (("marker", marker), ("expect", expect)))

    def _reads(self, release: Release) -> list[Call]:
        return [Call(n, "read", (release,)) for n in range(len(self._routers))]

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

    def _all_of(self, outcomes: Sequence[Outcome], *, writes: int = 0) -> Served:
        """Return what all of them serve. What some of them have raised is raised as one error.

        ``writes``: how many of the outcomes are of writes; only those can have failed then.
        """
        failed = {n: each for n, each in enumerate(outcomes) if isinstance(each, Exception)}
        if not failed:
            return self._combined(
                {n: each for n, each in enumerate(outcomes) if isinstance(each, Served)}
            )
        said = "; ".join(f"{self._name(n)}: {each}" for n, each in failed.items())
        kinds = {_failure(each) for each in failed.values()}
        if (written := writes - len(failed)) > 0:
            raise RouterError(
                f"{said}; {written} of {len(self._routers)} were written", failure=Failure.UNKNOWN
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


def _failure(error: Exception) -> Failure:
    if isinstance(error, ConflictError):
        return Failure.CONFLICT
    return error.failure if isinstance(error, WorldError) else Failure.UNKNOWN


def _common(able: Sequence[Capabilities]) -> Capabilities:
    """Return what all of them can do."""
    return Capabilities(
        smallest_weight=Percent(min(MILLION, lcm(*(each.smallest_weight.ppm for each in able)))),
        baseline=all(each.baseline for each in able),
        matches=all(each.matches for each in able),
        mirror=all(each.mirror for each in able),
        affinity=all(each.affinity for each in able),
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
