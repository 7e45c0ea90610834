"""What `Router` does for every router, in order, with one that keeps its split in a text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import attrs
import pytest

from progressive.adapters.flow import Client, Exchange, Fault, Flow
from progressive.adapters.lines import Line
from progressive.adapters.router import Router, goes_back
from progressive.errors import ConflictError, Failure, RouterError
from progressive.model.release import Release, Version
from progressive.model.router_state import Capabilities, Marker, Served
from progressive.model.traffic import Traffic
from progressive.model.units import Percent, hours, percent
from progressive.testing import acheck_router, check_router

RELEASE = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))
FIRST = Marker(generation=1)


@attrs.define(eq=False)
class Text(Client[Line, str]):
    """A system that is a text: ``ppm generation:serial:closed``. ``asked`` has every line that it
    was sent.
    """

    text: str = "0 0:0:0"
    error: type[RouterError] = RouterError
    system: str = "Text"
    address: str = "memory"
    deadline: timedelta = timedelta(seconds=1)
    asked: list[str] = attrs.field(factory=list)
    beside: str = ""

    def exchange(self, question: Line, ends: float) -> str | Fault:
        self.asked.append(question.text.partition(" ")[0])
        if question.write:
            self.text = self.beside or question.text.partition(" ")[2]
        return self.text

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Exchange[Line, str]]:
        async def exchange(question: Line, ends: float) -> str | Fault:
            return self.exchange(question, ends)

        yield exchange


class Toy(Router[Line, str, str]):
    """The smallest router on the base."""

    capabilities = Capabilities(smallest_weight=Percent(1), marker=True)

    def __init__(self, client: Text) -> None:
        self._client = client

    def _read(self, release: Release) -> Flow[Line, str, str]:
        return (yield Line("read"))

    def _served(self, release: Release, found: str) -> Served:
        ppm, marker = found.split()
        if ppm == "broken":
            raise RouterError("it is broken", failure=Failure.PERMANENT)
        return Served(
            traffic=Traffic(candidate=Percent(int(ppm))), version=found, marker=Marker.loads(marker)
        )

    def _write(
        self, release: Release, traffic: Traffic, marker: Marker, before: str
    ) -> Flow[Line, str, str | None]:
        yield Line(f"write {traffic.candidate.ppm} {marker.dumps()}", write=True)
        return None


def give(toy: Toy, share: float, marker: Marker = FIRST, expect: str | None = None) -> Served:
    return toy.apply(RELEASE, Traffic(candidate=percent(share)), marker=marker, expect=expect)


def test_it_keeps_the_laws_of_all_routers() -> None:
    check_router(Toy(Text()), RELEASE)
    asyncio.run(acheck_router(Toy(Text()), RELEASE))


def test_it_reads_writes_and_reads_back() -> None:
    text = Text()

    assert give(Toy(text), 5).traffic == Traffic(candidate=percent(5))
    assert text.asked == ["read", "write", "read"]


def test_a_router_whose_answer_to_the_write_says_it_all_is_not_read_again() -> None:
    class Answering(Toy):
        def _write(
            self, release: Release, traffic: Traffic, marker: Marker, before: str
        ) -> Flow[Line, str, str | None]:
            return (yield Line(f"write {traffic.candidate.ppm} {marker.dumps()}", write=True))

    text = Text()

    assert give(Answering(text), 5).traffic == Traffic(candidate=percent(5))
    assert text.asked == ["read", "write"]


def test_what_it_can_not_do_is_refused_before_anything_is_sent() -> None:
    text = Text()

    with pytest.raises(RouterError) as caught:
        Toy(text).apply(RELEASE, Traffic(mirror=percent(5)), marker=FIRST, expect=None)
    assert caught.value.failure is Failure.PERMANENT
    assert text.asked == []


@pytest.mark.parametrize(
    ("there", "expect"),
    [("0 2:0:0", None), ("0 1:9:0", None), ("0 1:0:1", None), ("0 1:0:0", "another")],
)
def test_what_was_overtaken_is_a_conflict_before_anything_is_written(
    there: str, expect: str | None
) -> None:
    text = Text(there)

    with pytest.raises(ConflictError, match=r"Text at memory: .* nothing was written"):
        give(Toy(text), 5, expect=expect)
    assert text.asked == ["read"]


def test_who_writes_beside_us_is_a_conflict_after_the_write() -> None:
    with pytest.raises(ConflictError, match="stands there now: somebody else wrote beside us"):
        give(Toy(Text(beside="90 2:0:0")), 5)


def test_a_router_without_markers_does_not_look_for_one() -> None:
    class Plain(Toy):
        capabilities = Capabilities(smallest_weight=Percent(1))

    assert give(Plain(Text(beside="50000 2:0:0")), 5).traffic == Traffic(candidate=percent(5))


def test_what_can_not_be_read_back_is_unknown() -> None:
    with pytest.raises(RouterError, match="it is broken; a write was sent before") as caught:
        give(Toy(Text(beside="broken 1:0:0")), 5)

    assert caught.value.failure is Failure.UNKNOWN


@pytest.mark.parametrize(
    ("before", "after", "closed", "back"),
    [
        (50, 5, False, True),
        (50, 0, False, True),
        (5, 50, False, False),
        (5, 5, False, False),  # what a preflight writes
        (0, 0, True, True),
    ],
)
def test_a_way_back_only_takes_away(before: float, after: float, closed: bool, back: bool) -> None:
    served = Served(traffic=Traffic(candidate=percent(before)))
    marker = Marker(generation=1, closed=closed)

    assert goes_back(Traffic(candidate=percent(after)), served, marker) is back


@pytest.mark.parametrize(
    ("traffic", "there", "back"),
    [
        (Traffic(), Marker(generation=1), True),
        (Traffic(), Marker(generation=0, serial=9), False),  # a rollout that claims it
        (Traffic(), None, False),
        (Traffic(candidate=percent(5)), Marker(generation=1), False),
    ],
)
def test_a_way_back_may_be_written_again_where_it_stands_already(
    traffic: Traffic, there: Marker | None, back: bool
) -> None:
    served = Served(traffic=traffic, marker=there)

    assert goes_back(traffic, served, Marker(generation=1, serial=1)) is back


def test_what_a_raise_needs_is_asked_before_the_write_and_never_on_the_way_back() -> None:
    class Strict(Toy):
        def _refuse_found(self, release: Release, found: str) -> None:
            raise RouterError(f"a part of {found} is missing", failure=Failure.PERMANENT)

    text = Text("50000 1:0:0")

    for share in (5, 50):
        with pytest.raises(RouterError, match="a part of 50000 1:0:0 is missing"):
            give(Strict(text), share)
    assert text.asked == ["read", "read"]
    assert give(Strict(text), 0).traffic == Traffic()
    assert give(Strict(text), 0).traffic == Traffic()


@pytest.mark.parametrize(
    ("before", "after", "back"),
    [
        ((40, 8), (40, None), True),  # they are let go
        ((40, None), (40, 8), False),
        ((40, 8), (40, 8), False),
        ((40, 8), (20, 8), True),
        ((40, 8), (20, None), True),
        ((40, None), (20, 8), False),  # who is drawn now stays
        ((40, 8), (60, None), False),
        ((40, 8), (0, None), True),
    ],
)
def test_to_let_users_go_is_a_way_back_and_to_keep_them_is_none(
    before: tuple[int, int | None], after: tuple[int, int | None], back: bool
) -> None:
    there, asked = (
        Traffic(candidate=percent(share), sticky=None if stay is None else hours(stay))
        for share, stay in (before, after)
    )
    marker = Marker(generation=1)

    assert goes_back(asked, Served(traffic=there, marker=marker), marker) is back
