"""Routers with one fault each, for the tests of the contract kit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import attrs

from progressive import ConflictError, Release, RouterError, Served, Traffic, Version, percent
from progressive.errors import Failure
from progressive.model import Capabilities, Marker, Percent
from progressive.testing import MemoryRouter
from progressive.testing.doubles import ALL

TWO = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))


THREE = attrs.evolve(TWO, baseline=Version("v1-fresh"))


ONLY_WEIGHTS = Capabilities(smallest_weight=percent(1))


class Plain:
    """A router of one colour, with nothing optional: what it serves and what it was told are two
    things.
    """

    capabilities = ONLY_WEIGHTS

    def __init__(self) -> None:
        self.system = Traffic()

    def read(self, release: Release) -> Served:
        return Served(traffic=self.system)

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        self.capabilities.refuse(release, traffic)
        self.system = traffic
        return self.read(release)


class Asynchronous:
    """The same for asyncio."""

    capabilities = ONLY_WEIGHTS

    def __init__(self) -> None:
        self.plain = Plain()
        self.loops: set[int] = set()

    async def aread(self, release: Release) -> Served:
        self.loops.add(id(asyncio.get_running_loop()))
        return self.plain.read(release)

    async def aapply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        return self.plain.apply(release, traffic, marker=marker, expect=expect)


def keeps(name: str, change: Callable[[Any], Any]) -> Callable[[], MemoryRouter]:
    """A router that keeps one field of the traffic otherwise than it was asked to."""

    class Keeps(MemoryRouter):
        def apply(
            self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
        ) -> Served:
            self.capabilities.refuse(release, traffic)
            changed = attrs.evolve(traffic, **{name: change(getattr(traffic, name))})
            return MemoryRouter.apply(self, release, changed, marker=marker, expect=expect)

    return Keeps


class Relative(MemoryRouter):
    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        self.capabilities.refuse(release, traffic)
        more = (
            min(self.traffic.candidate.ppm + traffic.candidate.ppm, 1_000_000)
            if traffic.candidate.ppm
            else 0
        )
        changed = attrs.evolve(traffic, candidate=Percent(more), baseline=percent(0))
        return MemoryRouter.apply(self, release, changed, marker=marker, expect=expect)


class Echo(Plain):
    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        super().apply(release, traffic, marker=marker, expect=expect)
        return Served(traffic=traffic, marker=marker)


class Piles(MemoryRouter):
    """Header routes are only ever added."""

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        piled = attrs.evolve(
            traffic, matches=dict.fromkeys([*self.traffic.matches, *traffic.matches])
        )
        return MemoryRouter.apply(self, release, piled, marker=marker, expect=expect)


class Silent(Plain):
    """Does what it can and leaves out the rest."""

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        if why := traffic.unroutable(release):
            raise RouterError(why, failure=Failure.PERMANENT)
        self.system = Traffic(candidate=Percent(traffic.candidate.ppm // 10_000 * 10_000))
        return self.read(release)


class Homeless(Plain):
    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        ONLY_WEIGHTS.refuse(THREE, traffic)
        self.system = traffic
        return self.read(release)


class KeyErrors(Plain):
    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        ONLY_WEIGHTS.refuse(attrs.evolve(release, stable=Version("v1")), traffic)
        self.system = {release.stable and release.stable.identity: traffic}["v1"]
        return self.read(release)


class Hopeful(Plain):
    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        try:
            return super().apply(release, traffic, marker=marker, expect=expect)
        except RouterError as error:
            raise RouterError(str(error)) from None


class Late(MemoryRouter):
    """Writes, then looks whether it may."""

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        try:
            return MemoryRouter.apply(self, release, traffic, marker=marker, expect=expect)
        except ConflictError:
            self.traffic = traffic
            raise


class Unconditional(MemoryRouter):
    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        return MemoryRouter.apply(self, release, traffic, marker=marker, expect=None)


class Versionless(MemoryRouter):
    def read(self, release: Release) -> Served:
        return attrs.evolve(MemoryRouter.read(self, release), version=None)


class Timeless(MemoryRouter):
    capabilities = attrs.evolve(ALL, compare_and_set=False)

    def __init__(self) -> None:
        super().__init__(capabilities=attrs.evolve(ALL, compare_and_set=False))

    def read(self, release: Release) -> Served:
        return attrs.evolve(MemoryRouter.read(self, release), version="1")

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        return MemoryRouter.apply(self, release, traffic, marker=marker, expect=None)


class Touches(MemoryRouter):
    """Reading writes: a time of the last read, say."""

    def read(self, release: Release) -> Served:
        self.revision += 1
        return MemoryRouter.read(self, release)


def marked(newer: Callable[[Marker, Marker], bool]) -> Callable[[], Any]:
    """A router that refuses a marker if the one there is ``newer``, as it understands that."""

    class Marked(Plain):
        capabilities = Capabilities(marker=True)  # type: ignore[assignment]
        marker: Marker | None = None

        def read(self, release: Release) -> Served:
            return Served(traffic=self.system, marker=self.marker)

        def apply(
            self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
        ) -> Served:
            self.capabilities.refuse(release, traffic)
            if self.marker is not None and newer(self.marker, marker):
                raise ConflictError(f"{self.marker} stands there")
            self.system, self.marker = traffic, marker
            return self.read(release)

    return Marked


def another(there: Marker, ours: Marker) -> bool:
    """Is it another rollout's marker of our generation?"""
    return there.generation == ours.generation and there.is_other_owners(ours)


def shut(there: Marker, ours: Marker) -> bool:
    return there.generation == ours.generation and there.closed and not ours.closed


class Forgets(MemoryRouter):
    """The marker's third field is not kept."""

    def read(self, release: Release) -> Served:
        found = MemoryRouter.read(self, release)
        return attrs.evolve(found, marker=found.marker and attrs.evolve(found.marker, closed=False))


class Elsewhere(Plain):
    def read(self, release: Release) -> Served:
        return Served(
            traffic=self.system, unattributed=percent(1 if self.system.candidate.ppm else 0)
        )


class Apart(Plain):
    """One of its two regions is behind for ever."""

    def read(self, release: Release) -> Served:
        return Served(traffic=self.system, converged=not self.system.candidate.ppm)


class Bare(Plain):
    def read(self, release: Release) -> Served:
        return self.system  # type: ignore[return-value]


class Fractions(Plain):
    """The share as the system has it, in more digits than a percent takes."""

    def read(self, release: Release) -> Served:
        return Served(
            traffic=Traffic(candidate=percent(self.system.candidate.number * 1.000_000_1))
        )


class Quiet(Plain):
    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        super().apply(release, traffic, marker=marker, expect=expect)
        return None  # type: ignore[return-value]


class Careful(Plain):
    """Thinks that nobody can want everything."""

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        if traffic.candidate == percent(100):
            raise RouterError("the last pool can't be empty", failure=Failure.PERMANENT)
        return super().apply(release, traffic, marker=marker, expect=expect)


class Wordy(Plain):
    def undo(self, release: Release) -> str:
        return "first this\nand then that"


class Declares(Plain):
    def __init__(self, capabilities: object) -> None:
        super().__init__()
        self.capabilities = capabilities  # type: ignore[assignment]


class Half(Asynchronous):
    aapply = None  # type: ignore[assignment]


class Disagrees(MemoryRouter):
    """The asynchronous colour looks at another place."""

    async def aread(self, release: Release) -> Served:
        return Served(traffic=Traffic(), version="1")


class Unsaid(MemoryRouter):
    """The asynchronous colour was written a second time, without the marker."""

    async def aapply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        before = self.marker
        self.apply(release, traffic, marker=marker, expect=expect)
        self.marker = before
        return self.read(release)


class Regions(MemoryRouter):
    """A router of several regions, any of which may be out of order: gone, or lost to a stranger.

    What it reads is the most that the candidate has in any region.
    """

    def __init__(self) -> None:
        super().__init__()
        self.regions: dict[str, Traffic | None] = {"eu": Traffic(), "us": Traffic()}

    def read(self, release: Release) -> Served:
        found = [each for each in self.regions.values() if each is not None]
        most = max(found, key=lambda each: each.candidate)
        return attrs.evolve(
            super().read(release),
            traffic=attrs.evolve(most, mirror=max(each.mirror for each in found)),
            converged=all(each == most for each in found)
            and (len(found) == len(self.regions) or most == Traffic()),
        )

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        super().apply(release, traffic, marker=marker, expect=expect)
        for name in self.regions:
            self.write(name, traffic)
        return self.read(release)

    def write(self, name: str, traffic: Traffic) -> None:
        if self.regions[name] is not None:
            self.regions[name] = traffic

    @contextmanager
    def lost(self, name: str) -> Iterator[None]:
        """While it is open this region is not there; then it is new, with all on stable."""
        self.regions[name] = None
        try:
            yield
        finally:
            self.regions[name] = Traffic()

    @property
    def parts(self) -> dict[str, Callable[[], AbstractContextManager[None]]]:
        return {f"{name} is lost": partial(self.lost, name) for name in self.regions}

    def type_it(self, line: str) -> None:
        """What the line of `undo` does."""
        for name in self.regions:
            self.write(name, Traffic())
        assert self.marker is not None
        self.marker = attrs.evolve(self.marker, closed=True)
        self.revision += 1


class WontRead(Regions):
    def read(self, release: Release) -> Served:
        if None in self.regions.values():
            raise RouterError("a region is lost", failure=Failure.PERMANENT)
        return super().read(release)


class WontWrite(Regions):
    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        if None in self.regions.values():
            raise RouterError("a region is lost", failure=Failure.PERMANENT)
        return super().apply(release, traffic, marker=marker, expect=expect)


class StopsHalfWay(Regions):
    """Ends at the first region that is not there, in silence."""

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        MemoryRouter.apply(self, release, traffic, marker=marker, expect=expect)
        for name in self.regions:
            if self.regions[name] is None:
                break
            self.write(name, traffic)
        return self.read(release)


class WontRepeat(Regions):
    """Takes a way back for a preflight once it stands there already."""

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        if None in self.regions.values() and self.read(release).traffic == traffic:
            raise RouterError("a region is lost", failure=Failure.PERMANENT)
        return super().apply(release, traffic, marker=marker, expect=expect)


class LeavesMirrors(Regions):
    """Sets weights in what is there, and leaves its mirror, if anything is not there."""

    def write(self, name: str, traffic: Traffic) -> None:
        there = self.regions[name]
        if there is not None and None in self.regions.values():
            traffic = attrs.evolve(traffic, mirror=there.mirror)
        super().write(name, traffic)


class WontBeUndone(Regions):
    def type_it(self, line: str) -> None:
        if None in self.regions.values():
            raise RuntimeError("jq: error")
        super().type_it(line)


class UndoneHalfWay(Regions):
    def type_it(self, line: str) -> None:
        before = dict(self.regions)
        super().type_it(line)
        if None in before.values():
            self.regions = before


HALF_WAYS = [
    (WontRead, "WontRead.read while a part is spoiled (eu is lost) failed"),
    (WontWrite, "with an open marker, while a part is spoiled (eu is lost), failed"),
    (StopsHalfWay, "spoiled (eu is lost), and the candidate still has something"),
    (WontRepeat, "with an open marker, while a part is spoiled (eu is lost), failed"),
    (LeavesMirrors, "spoiled (eu is lost), and the candidate still has something"),
    (WontBeUndone, "the line of WontBeUndone.undo failed while a part was spoiled (eu is lost)"),
    (UndoneHalfWay, "the line of UndoneHalfWay.undo was run while a part was spoiled"),
]


FAULTS: list[tuple[str, Callable[[], Any], str]] = [
    (
        "weights are added",
        Relative,
        "expected: 33.3333 % candidate\n  seen:     33.3334 % candidate",
    ),
    (
        "rounds to whole per cents",
        keeps("candidate", lambda share: Percent(share.ppm // 10_000 * 10_000)),
        (
            "after Keeps.apply(0.0001 % candidate), Keeps.read says something else\n  expected: "
            "0.0001 % candidate\n  seen:     0 % candidate"
        ),
    ),
    (
        "never gives everything",
        keeps("candidate", lambda share: min(share, percent(99))),
        "expected: 99.9999 % candidate\n  seen:     99 % candidate",
    ),
    (
        "refuses everything",
        Careful,
        "failed\n  expected: an answer\n  seen:     RouterError: the last pool can't be empty",
    ),
    (
        "takes a cookie for a header",
        keeps("matches", lambda found: [attrs.evolve(each, source="header") for each in found]),
        "expected: 0 % candidate, cookie progressive-check=a.b",
    ),
    (
        "header routes stay behind",
        Piles,
        "seen:     0 % candidate, header x-progressive-check=a.b*",
    ),
    (
        "the mirror is left out",
        keeps("mirror", lambda share: percent(0)),
        "expected: 0 % candidate, 0.0001 % mirrored",
    ),
    (
        "the baseline is left out",
        keeps("baseline", lambda share: percent(0)),
        "expected: 0 % candidate, 0.0001 % baseline",
    ),
    (
        "leaves out what it has not declared",
        Silent,
        "took 1.5 % candidate, which its capabilities do not have\n",
    ),
    (
        "gives shares to nobody",
        Homeless,
        (
            "took a share for stable in a release that has none\n  expected: RouterError, and "
            "nothing written"
        ),
    ),
    (
        "an error that is not ours",
        KeyErrors,
        (
            "that has none with another error\n  expected: RouterError, and nothing written\n  "
            "seen:     KeyError"
        ),
    ),
    (
        "says that it may be asked again",
        Hopeful,
        "hint:     nothing was sent, and it will be refused again",
    ),
    (
        "echoes what was asked for",
        Echo,
        "hint:     the answer is what the system says after the write, not what was asked for",
    ),
    ("answers nothing", Quiet, "Quiet.apply gave no Served"),
    ("does not read in our words", Bare, "Bare.read gave no Served"),
    (
        "raises where a share has many digits",
        Fractions,
        (
            "expect=None) raised an error of another kind\n  expected: an answer\n  seen:     "
            "StrategyError: percent(1.0000001)"
        ),
    ),
    (
        "reading writes",
        Touches,
        (
            "Touches.read twice, with nothing between, says two things\n  expected: version=3\n  "
            "seen:     version=4"
        ),
    ),
    ("some requests go elsewhere", Elsewhere, "seen:     1 % candidate, 1 % elsewhere"),
    ("never settles", Apart, "seen:     1 % candidate, not settled"),
    (
        "one version for ever",
        Timeless,
        "Timeless.read gives one version for two states of the router",
    ),
    (
        "does not compare",
        Unconditional,
        "Unconditional.apply took a write on a version that is not there any more",
    ),
    ("compares nothing", Versionless, "Versionless.read gives no version"),
    (
        "compares too late",
        Late,
        (
            "Late.apply refused a write on a version that is not there any more, but wrote all "
            "the same"
        ),
    ),
    (
        "half of a marker",
        Forgets,
        "does not give the marker back\n  expected: Marker(generation=10, serial=",
    ),
    ("takes any marker", marked(lambda there, ours: False), "Marked.apply took an older serial"),
    (
        "takes an older serial",
        marked(lambda there, ours: there.generation > ours.generation or shut(there, ours)),
        "took an older serial",
    ),
    (
        "compares serials as text",
        marked(lambda there, ours: str(there) > str(ours)),
        "ConflictError: Marker(generation=9, serial=9",
    ),
    (
        "takes an older generation",
        marked(
            lambda there, ours: there.generation == ours.generation and there.serial > ours.serial
        ),
        "took an older generation",
    ),
    (
        "takes what was closed",
        marked(lambda there, ours: there.supersedes(ours) or another(there, ours)),
        "took a write of a generation that was closed",
    ),
    (
        "takes another owner's",
        marked(lambda there, ours: there.supersedes(ours) or shut(there, ours)),
        "took a write of another rollout's in one generation",
    ),
    (
        "refuses the same again",
        marked(lambda there, ours: there.supersedes(ours) or there == ours or shut(there, ours)),
        "failed\n  expected: an answer\n  seen:     ConflictError: Marker(",
    ),
    (
        "never opens again",
        marked(
            lambda there, ours: (
                there.supersedes(ours) or another(there, ours) or (there.closed and not ours.closed)
            )
        ),
        "failed\n  expected: an answer\n  seen:     ConflictError: Marker(",
    ),
    ("many lines to type", Wordy, "Wordy.undo is not a line that somebody can type"),
    (
        "capabilities in other words",
        lambda: Declares({"weights": True}),
        "Declares.capabilities does not say what the router can do",
    ),
    (
        "no smallest weight",
        lambda: Declares(Capabilities(smallest_weight=percent(0))),
        "smallest_weight does not divide 100 %",
    ),
    (
        "a third",
        lambda: Declares(Capabilities(smallest_weight=percent(30))),
        "smallest_weight does not divide 100 %",
    ),
    (
        "a bare number",
        lambda: Declares(Capabilities(smallest_weight=1)),  # type: ignore[arg-type]
        "seen:     1\n",
    ),
    (
        "half a colour",
        Half,
        (
            "Half has only some of the asynchronous methods\n  expected: aread and aapply\n  "
            "seen:     no aapply"
        ),
    ),
    ("no colour", object, "object has none of the methods of its contract"),
    ("colours that do not agree", Disagrees, "Disagrees.read and Disagrees.aread do not agree"),
    (
        "the other colour leaves no marker",
        Unsaid,
        "after Unsaid.aapply(0 % candidate), Unsaid.aread does not give the marker back",
    ),
]
