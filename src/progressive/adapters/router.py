"""The base of a router: both verbs, sync and async, over a flow that reads and one that writes.

What every router has to get right is done here once, in this order: refuse what the router can't
do, before anything is sent; read; refuse a write that was overtaken; write; read back; see that our
marker stands there.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import Generic, TypeVar

import attrs

from progressive.errors import ConflictError
from progressive.model import fields
from progressive.model.release import Release
from progressive.model.router_state import AfterRestart, Capabilities, Marker, Served
from progressive.model.traffic import ALL_STABLE, Traffic

from .flow import Adapter, Flow, Question, after_write

__all__ = ["Router", "after_restart", "forgetful", "goes_back"]

Q = TypeVar("Q", bound=Question)
A = TypeVar("A")
S = TypeVar("S")


def after_restart() -> AfterRestart:
    """A field of a router whose system forgets its marker when it restarts; the default is HOLD."""
    field: AfterRestart = attrs.field(
        default=AfterRestart.HOLD,
        converter=partial(fields.chosen, AfterRestart),
        validator=fields.is_one_of(AfterRestart),
    )
    return field


def forgetful(able: Capabilities) -> Capabilities:
    """The field ``capabilities`` of such a router: ``able``, with what the instance was told in
    `after_restart`.
    """
    field: Capabilities = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(
            lambda self: attrs.evolve(able, after_restart=self.after_restart), takes_self=True
        ),
    )
    return field


def goes_back(traffic: Traffic, before: Served, marker: Marker) -> bool:
    """Does this write only take traffic away from the candidate?

    Strictness belongs to preflight and to raises: a way back is not refused because a version, an
    algorithm or another part is not as it should be. It writes what it can, and what it can't is
    seen in what is read afterwards.

    A way back may be written again where it stands already: nothing for the candidate, over nothing
    for the candidate, in the generation that has claimed the object. What claims it has a new one.
    To let users go at the same weights is one too; to let them stay is none at any.
    """
    if marker.closed:
        return True
    stay = before.traffic.sticky
    if traffic == attrs.evolve(before.traffic, sticky=traffic.sticky):
        there = before.marker
        if traffic == ALL_STABLE:
            return there is not None and there.generation == marker.generation
        return traffic.sticky is None and stay is not None
    return traffic.sticky in (None, stay) and not traffic.exceeds(before.traffic)


class Router(Adapter[Q, A], Generic[Q, A, S]):
    """A router of questions ``Q``, answers ``A`` and what was read of the system, ``S``:
    ``Router[Line, str, Entry]``.

    It gives `capabilities`, a ``_client``, and three things: ``_read`` asks for what the system
    serves, ``_served`` says it in our words, ``_write`` changes it. A release is known by its
    service and by the backends of its versions.
    """

    __slots__ = ()

    capabilities: Capabilities
    """What this router can do; a plan that asks for more is refused before it starts."""

    @abstractmethod
    def _read(self, release: Release) -> Flow[Q, A, S]:
        """Ask what the system serves."""

    @abstractmethod
    def _served(self, release: Release, found: S) -> Served:
        """What was read, as shares of a release."""

    @abstractmethod
    def _write(
        self, release: Release, traffic: Traffic, marker: Marker, before: S
    ) -> Flow[Q, A, S | None]:
        """Change it. The result is what stands there now, if the system's answer says that; None is
        read back.
        """

    def _where(self) -> str:
        """What messages call the object that is written: ``VirtualService shop/checkout``."""
        return f"{self._client.system} at {self._client.address}"

    def _refuse(self, release: Release, traffic: Traffic) -> None:
        """Raise `RouterError`, PERMANENT, for what this router can't do. By default what its
        capabilities say.
        """
        self.capabilities.refuse(release, traffic)

    def _refuse_found(self, release: Release, found: S) -> None:
        """Raise `RouterError`, PERMANENT, for what is not there as a preflight or a raise needs it:
        a missing route, a part that leads to neither version. A way back does not ask.

        `_served` tells of it without raising: what can't be read can't be taken back.
        """
        return

    def _goes_back(self, release: Release, traffic: Traffic, before: S, marker: Marker) -> bool:
        """Whether a write is a way back, as `goes_back` says it of what was read."""
        return goes_back(traffic, self._served(release, before), marker)

    def _before(self, release: Release, expect: str | None) -> Flow[Q, A, S]:
        """What a write builds on. By default it is read; a system that compares itself may take
        what was read last.
        """
        return self._read(release)

    def read(self, release: Release) -> Served:
        """What the system serves now, as it says itself. Changes nothing.

        Raises `RouterError`: TRANSIENT if it can't be asked, PERMANENT if what is there can't be
        this release's.
        """
        return self._client.run(self.reading(release))

    async def aread(self, release: Release) -> Served:
        """`read`, asynchronously."""
        return await self._client.arun(self.reading(release))

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        """Make it serve ``traffic`` and return what the system says afterwards. The same again is
        harmless.

        Raises `RouterError`, PERMANENT, having written nothing, for what the router can't do;
        UNKNOWN for whatever fails once the write was sent. Raises `ConflictError`, having written
        nothing, if there is a newer or a closed marker, or another version than ``expect`` (None:
        any); and after the write, if another marker stands there then.
        """
        return self._client.run(self.applying(release, traffic, marker, expect))

    async def aapply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        """`apply`, asynchronously."""
        return await self._client.arun(self.applying(release, traffic, marker, expect))

    def reading(self, release: Release) -> Flow[Q, A, Served]:
        """`read` as a flow: for tests that answer by hand (`flow.feed`), and for a router made of
        several.
        """
        found = yield from self._read(release)
        return self._served(release, found)

    def applying(
        self, release: Release, traffic: Traffic, marker: Marker, expect: str | None
    ) -> Flow[Q, A, Served]:
        """`apply` as a flow."""
        self._refuse(release, traffic)
        before = yield from self._before(release, expect)
        self._served(release, before).refuse_overtaken(marker, expect, where=self._where())
        if not self._goes_back(release, traffic, before, marker):
            self._refuse_found(release, before)
        found = yield from self._write(release, traffic, marker, before)
        with after_write():
            after = self._served(
                release, (yield from self._read(release)) if found is None else found
            )
        if self.capabilities.marker and after.marker != marker:
            raise ConflictError(
                f"{self._where()}: written, but {after.marker} stands there now: somebody else "
                "wrote beside us; read again"
            )
        return after
