"""A row of routers is as one: the most exposed counts, the last one verifies, and a way back goes
on past those that fail.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.releases import THREE, TWO
from tests.support.rules import rule
from tests.support.world import ERRORS

from progressive import (
    Abort,
    Canary,
    ClosedUntil,
    Limit,
    Open,
    Phase,
    Ports,
    StrategyError,
    Traffic,
    minutes,
    percent,
    percents,
    rollback_now,
    start,
    submit,
    tick,
)
from progressive.adapters import calling, waiting
from progressive.errors import ConflictError, Failure, RouterError
from progressive.model import Capabilities, Marker, Served
from progressive.model.router_state import AfterRestart
from progressive.model.traffic import ALL_STABLE, Match, Track
from progressive.model.units import Percent, hours, seconds
from progressive.routers.together import Together
from progressive.testing import (
    MemoryRouter,
    MemoryStore,
    ScriptedMetrics,
    VirtualClock,
    acheck_router,
    check_router,
    play,
    steady,
)

MARKER = Marker(generation=1, serial=1, owner="rours")


@attrs.define
class One(MemoryRouter):
    """A router of the row, which can fail."""

    down: Exception | None = None
    deaf: Exception | None = None
    """What it raises when it is written, and not when it is read."""

    def read(self, release: Any) -> Served:
        if self.down is not None:
            raise self.down
        return MemoryRouter.read(self, release)

    def apply(
        self, release: Any, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        for error in (self.down, self.deaf):
            if error is not None:
                raise error
        return MemoryRouter.apply(self, release, traffic, marker=marker, expect=expect)

    async def aread(self, release: Any) -> Served:
        return self.read(release)

    async def aapply(
        self, release: Any, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        return self.apply(release, traffic, marker=marker, expect=expect)

    def undo(self, release: Any) -> str:
        return f"undo {release.service}"


def down(failure: Failure = Failure.TRANSIENT) -> RouterError:
    return RouterError("no connection", failure=failure)


def at(weight: float) -> Traffic:
    return Traffic(candidate=percent(weight))


def sync(row: Together, verb: str, *args: Any, **more: Any) -> Served:
    found: Served = getattr(row, verb)(*args, **more)
    return found


def by_asyncio(row: Together, verb: str, *args: Any, **more: Any) -> Served:
    found: Served = asyncio.run(getattr(row, f"a{verb}")(*args, **more))
    return found


either = pytest.mark.parametrize("call", [sync, by_asyncio])
Call = Callable[..., Served]


def write(
    call: Call, row: Together, traffic: Traffic, marker: Marker = MARKER, expect: str | None = None
) -> Served:
    return call(row, "apply", TWO, traffic, marker=marker, expect=expect)


# ------------------------------------------------------------------------------------- the contract


def a_row() -> tuple[Together, tuple[One, One, One]]:
    routers = (One(), One(), One())
    return Together(*routers), routers


def kit(routers: Sequence[One]) -> dict[str, Any]:
    def stranger(traffic: Traffic) -> None:
        for each in routers:
            each.traffic, each.revision = traffic, each.revision + 1

    return {"edit": stranger, "writes": lambda: sum(len(each.history) for each in routers)}


def test_it_keeps_every_law_of_a_router() -> None:
    row, routers = a_row()
    check_router(row, THREE, **kit(routers))


def test_it_keeps_them_for_asyncio() -> None:
    row, routers = a_row()
    asyncio.run(acheck_router(row, THREE, **kit(routers)))


class OnlySync:
    """A router of somebody's own."""

    def __init__(self) -> None:
        self._router = MemoryRouter()
        self.capabilities = self._router.capabilities
        self.read, self.apply = self._router.read, self._router.apply


class OnlyAsync:
    def __init__(self) -> None:
        self._router = MemoryRouter()
        self.capabilities = self._router.capabilities
        self.aread, self.aapply = self._router.aread, self._router.aapply


def test_one_that_is_only_synchronous_takes_part_in_asyncio() -> None:
    asyncio.run(acheck_router(Together(OnlySync(), One()), THREE))
    row = Together(OnlySync(), OnlyAsync(), One())
    assert write(by_asyncio, row, at(10)).shows(at(10))


def test_one_that_is_only_asynchronous_is_refused_without() -> None:
    row = Together(OnlyAsync(), One())

    with pytest.raises(RouterError, match=r"router 1 of 2 \(OnlyAsync\): it has aread and no read"):
        row.read(TWO)


# ------------------------------------------------------------------------------------------ reading


@given(weights=st.lists(st.integers(0, 100), min_size=2, max_size=5))
def test_the_most_exposed_counts_and_nothing_is_verified_before_all_agree(
    weights: list[int],
) -> None:
    row = Together(*(One(traffic=at(weight), marker=MARKER) for weight in weights))

    served = row.read(TWO)

    assert served.traffic == at(max(weights))
    assert served.converged is (len(set(weights)) == 1)


def test_routes_and_mirrors_of_any_of_them_count() -> None:
    match = Match(name="x-canary", value="1")
    row = Together(
        One(traffic=Traffic(matches=[match])), One(traffic=Traffic(mirror=percent(5))), One()
    )

    served = row.read(TWO)

    assert served.traffic == Traffic(matches=[match], mirror=percent(5))
    assert not served.converged


@rule("R7")
@either
@pytest.mark.parametrize("failure", [Failure.TRANSIENT, Failure.PERMANENT])
def test_what_one_does_not_say_nobody_knows(call: Call, failure: Failure) -> None:
    row = Together(One(), One(down=down(failure)), One())

    with pytest.raises(RouterError, match=r"router 2 of 3 \(One\): no connection") as caught:
        call(row, "read", TWO)
    assert caught.value.failure is failure


MARKERS: dict[str, tuple[list[Marker | None], Marker | None]] = {
    "none": ([None, None], None),
    "the newer serial": (
        [Marker(generation=3, serial=1), Marker(generation=3, serial=4)],
        Marker(generation=3, serial=4),
    ),
    "the newer generation": (
        [
            Marker(generation=4, serial=1, owner="rb"),
            Marker(generation=3, serial=9, closed=True, owner="ra"),
        ],
        Marker(generation=4, serial=1, owner="rb"),
    ),
    "a line that was typed where no marker stood": (
        [Marker(generation=4, serial=1, owner="rb"), Marker(generation=0, closed=True)],
        Marker(generation=4, serial=1, owner="rb", closed=True),
    ),
    "one that was closed by hand": (
        [Marker(generation=3, serial=9), Marker(generation=3, serial=2, closed=True)],
        Marker(generation=3, serial=9, closed=True),
    ),
    "one that was lost": ([None, Marker(generation=3, serial=9)], Marker(generation=3, serial=9)),
}


@pytest.mark.parametrize(("there", "told"), MARKERS.values(), ids=MARKERS)
def test_the_newest_marker_counts(there: list[Marker | None], told: Marker | None) -> None:
    assert Together(*(One(marker=each) for each in there)).read(TWO).marker == told


@pytest.mark.parametrize("weight", [0, 10])
def test_one_that_has_no_marker_where_others_have_is_not_verified(weight: float) -> None:
    row = Together(One(traffic=at(weight), marker=MARKER), One(traffic=at(weight)))
    assert not row.read(TWO).converged
    none = Capabilities(smallest_weight=percent(1))
    row = Together(One(marker=MARKER), One(capabilities=none))
    assert row.read(TWO).converged, "one that can carry none has lost none"


def test_two_rollouts_that_share_a_row_both_have_to_go_back() -> None:
    ours, theirs = MARKER, Marker(generation=7, serial=1, owner="rtheirs")
    row = Together(One(traffic=at(50), marker=ours), One(marker=theirs))
    assert row.read(TWO).marker == attrs.evolve(ours, closed=True)
    row = Together(One(marker=ours), One(traffic=at(50), marker=theirs))
    assert row.read(TWO).marker == attrs.evolve(theirs, closed=True)


def test_whoever_runs_another_build_is_seen() -> None:
    @attrs.define
    class Runs(One):
        build: str = ""

        def read(self, release: Any) -> Served:
            identities = ((Track.CANDIDATE, self.build),)
            return attrs.evolve(One.read(self, release), identities=identities)

    row = Together(Runs(build="good"), Runs(build="wrong"), Runs(build="good"))

    assert row.read(TWO).identities == ((Track.CANDIDATE, "good"), (Track.CANDIDATE, "wrong"))


@either
@pytest.mark.parametrize("answer", [None, 1, "10 %"])
def test_what_is_no_answer_speaks_for_nobody(call: Call, answer: Any) -> None:
    class Odd(One):
        def read(self, release: Any) -> Any:
            return answer

        async def aread(self, release: Any) -> Any:
            return answer

    class OddWrite(One):
        def apply(self, *_: Any, **__: Any) -> Any:
            return answer

        async def aapply(self, *_: Any, **__: Any) -> Any:
            return answer

    with pytest.raises(RouterError, match=r"router 2 of 2 \(Odd\): read answered") as caught:
        call(Together(One(), Odd()), "read", TWO)
    assert caught.value.failure is Failure.PERMANENT
    routers = One(traffic=at(50), marker=MARKER), OddWrite(traffic=at(50), marker=MARKER)
    with pytest.raises(RouterError, match=r"router 2 of 2 \(OddWrite\): apply answered") as caught:
        write(call, Together(*routers), ALL_STABLE, attrs.evolve(MARKER, serial=2))
    assert caught.value.failure is Failure.UNKNOWN
    assert routers[0].traffic == ALL_STABLE


# ------------------------------------------------------------------------------------------ writing


@rule("R7")
@either
def test_a_raise_is_not_begun_while_one_can_not_be_read(call: Call) -> None:
    routers = One(), One(down=down())
    with pytest.raises(RouterError) as caught:
        write(call, Together(*routers), at(10))

    assert caught.value.failure is Failure.TRANSIENT
    assert [each.history for each in routers] == [[], []]


@either
def test_a_raise_stops_at_the_first_that_fails_and_says_who(call: Call) -> None:
    routers = One(), One(deaf=down()), One()
    row = Together(*routers)
    with pytest.raises(
        RouterError, match=r"router 2 of 3 \(One\): no connection; 1 of 3 were written"
    ) as caught:
        write(call, row, at(10))

    assert caught.value.failure is Failure.UNKNOWN
    assert [each.history for each in routers] == [[at(10)], [], []]
    served = call(row, "read", TWO)
    assert (served.traffic, served.converged) == (at(10), False)


@either
@pytest.mark.parametrize("failure", Failure)
def test_a_raise_that_fails_at_once_has_failed_as_the_first_did(
    call: Call, failure: Failure
) -> None:
    routers = One(deaf=down(failure)), One()
    with pytest.raises(RouterError) as caught:
        write(call, Together(*routers), at(10))

    assert caught.value.failure is failure
    assert routers[1].history == []


ILLS: dict[str, Callable[[], dict[str, Any]]] = {
    "well": dict,
    "down": lambda: {"down": down()},
    "deaf": lambda: {"deaf": down(Failure.UNKNOWN)},
    "overtaken": lambda: {"deaf": ConflictError("somebody else wrote")},
    "broken": lambda: {"deaf": RuntimeError("a bug of its own")},
}


STRANGERS = {
    "another owner's": attrs.evolve(MARKER, owner="rtheirs"),
    "a newer one": Marker(generation=7, serial=1, owner="rtheirs"),
}


@rule("R7", "R11")
@either
@pytest.mark.parametrize("stands", STRANGERS.values(), ids=STRANGERS)
def test_who_was_overtaken_keeps_no_other_from_going_back(call: Call, stands: Marker) -> None:
    routers = One(traffic=at(50), marker=stands), One(traffic=at(50), marker=MARKER)
    row = Together(*routers)
    with pytest.raises(RouterError, match=r"router 1 of 2 .*1 of 2 were written"):
        write(call, row, ALL_STABLE, attrs.evolve(MARKER, serial=2))
    assert [each.traffic for each in routers] == [at(50), ALL_STABLE]

    assert rollback_now(row, TWO).shows(ALL_STABLE)
    assert all(each.marker is not None and each.marker.closed for each in routers)


@either
def test_who_was_edited_since_the_read_keeps_no_other_from_going_back(call: Call) -> None:
    routers = One(traffic=at(50), marker=MARKER), One(traffic=at(50), marker=MARKER)
    row = Together(*routers)
    version = call(row, "read", TWO).version
    routers[0].revision += 1

    with pytest.raises(RouterError, match=r"router 1 of 2 .*1 of 2 were written"):
        write(call, row, ALL_STABLE, attrs.evolve(MARKER, serial=2), version)
    assert routers[1].traffic == ALL_STABLE


@either
def test_to_lower_the_one_raises_no_other(call: Call) -> None:
    routers = One(traffic=at(50), marker=MARKER), One(traffic=at(5), marker=MARKER), One()
    served = write(call, Together(*routers), at(10), attrs.evolve(MARKER, serial=2))

    assert [each.traffic for each in routers] == [at(10), at(5), ALL_STABLE]
    assert (served.traffic, served.converged) == (at(10), False)
    routers[0].traffic, routers[0].deaf = at(50), ConflictError("somebody else wrote")
    with pytest.raises(ConflictError):  # what stays as it is was not written
        write(call, Together(*routers), at(10), attrs.evolve(MARKER, serial=3))
    routers[0].deaf = None
    closing = attrs.evolve(MARKER, serial=3, closed=True)
    assert write(call, Together(*routers), ALL_STABLE, closing).shows(ALL_STABLE)


@either
def test_nothing_is_raised_where_one_has_lost_its_marker(call: Call) -> None:
    routers = One(), One(traffic=at(50), marker=MARKER)
    with pytest.raises(RouterError, match=r"router 1 of 2 \(One\) has lost its marker") as caught:
        write(call, Together(*routers), at(60), attrs.evolve(MARKER, serial=2))
    assert caught.value.failure is Failure.PERMANENT
    assert [each.history for each in routers] == [[], []]

    forgetful = attrs.evolve(routers[0].capabilities, after_restart=AfterRestart.REASSERT)
    routers = One(capabilities=forgetful), One(traffic=at(50), marker=MARKER)
    assert write(call, Together(*routers), at(60), attrs.evolve(MARKER, serial=2)).shows(at(60))


@rule("R7")
@either
@given(ills=st.lists(st.sampled_from(sorted(ILLS)), min_size=2, max_size=4))
def test_a_way_back_reaches_all_that_can_be_reached_and_says_who_could_not(
    call: Call, ills: list[str]
) -> None:
    routers = [One(traffic=at(50), marker=MARKER, **ILLS[ill]()) for ill in ills]
    row, back = Together(*routers), attrs.evolve(MARKER, serial=2)
    failed: Exception | None = None
    try:
        served = write(call, row, ALL_STABLE, back)
        assert served.shows(ALL_STABLE)
    except (RouterError, ConflictError) as error:
        failed = error

    assert (failed is None) is (set(ills) == {"well"})
    if any(ill != "down" for ill in ills):  # else nobody knows what there is to take back
        for ill, each in zip(ills, routers, strict=True):
            assert (each.traffic == ALL_STABLE) is (ill == "well")
            assert ill == "well" or f"router {routers.index(each) + 1} of" in str(failed)
    if isinstance(failed, ConflictError):
        assert all(each.history == [] for each in routers)
    elif "well" in ills and failed is not None and set(ills) != {"well"}:
        assert isinstance(failed, RouterError)
        assert failed.failure is Failure.UNKNOWN


@either
def test_a_marker_that_is_newer_on_one_stops_the_write_on_all(call: Call) -> None:
    routers = One(marker=MARKER), One(marker=attrs.evolve(MARKER, generation=2))
    with pytest.raises(ConflictError, match=r"router 2 of 2 \(One\): .*newer than ours"):
        write(call, Together(*routers), at(10), attrs.evolve(MARKER, serial=5))

    assert [each.history for each in routers] == [[], []]


@either
def test_a_version_that_has_changed_on_one_stops_the_write_on_all(call: Call) -> None:
    routers = One(), One()
    row = Together(*routers)
    version = call(row, "read", TWO).version
    routers[1].revision += 1

    with pytest.raises(ConflictError, match=r"router 2 of 2"):
        write(call, row, at(10), expect=version)
    assert [each.history for each in routers] == [[], []]


@pytest.mark.parametrize("expect", ["7", '["1"]', "nonsense", '{"a": 1}'])
def test_a_version_of_another_row_is_a_conflict(expect: str) -> None:
    with pytest.raises(ConflictError, match="is no version of this row of 2 routers"):
        write(sync, Together(One(), One()), at(10), expect=expect)


@attrs.define
class NoVersion(One):
    """A system without a token for its state."""

    def read(self, release: Any) -> Served:
        return attrs.evolve(One.read(self, release), version=None)

    def apply(
        self, release: Any, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        assert expect is None
        return attrs.evolve(
            One.apply(self, release, traffic, marker=marker, expect=None), version=None
        )


def test_one_without_a_version_expects_none() -> None:
    row = Together(NoVersion(), One())
    version = row.read(TWO).version
    assert version is not None

    assert write(sync, row, at(10), expect=version).traffic == at(10)
    assert Together(NoVersion(), NoVersion()).read(TWO).version is None


# ------------------------------------------------------------------------------------ slow ones


class Hanging(One):
    """It answers when it is let go."""

    let_go = threading.Event()

    def read(self, release: Any) -> Served:
        self.let_go.wait(60)
        return One.read(self, release)

    async def aread(self, release: Any) -> Served:
        await asyncio.sleep(60)
        raise AssertionError


@rule("R11")
@either
def test_who_hangs_keeps_no_way_back_of_the_others(call: Call) -> None:
    Hanging.let_go.clear()
    well = One(traffic=at(50), marker=MARKER)
    row = Together(Hanging(traffic=at(50), marker=MARKER, deaf=down()), well, timeout=seconds(0.4))
    began = time.monotonic()
    try:
        with pytest.raises(RouterError, match=r"router 1 of 2 .*1 of 2 were written"):
            write(call, row, ALL_STABLE, attrs.evolve(MARKER, serial=2))
        with pytest.raises(RouterError, match="no answer in time") as caught:
            call(row, "read", TWO)
    finally:
        Hanging.let_go.set()

    assert caught.value.failure is Failure.TRANSIENT
    assert well.traffic == ALL_STABLE
    assert time.monotonic() - began < 30


@attrs.define
class Slow(One):
    """A write takes longer than it is waited for."""

    def apply(
        self, release: Any, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        time.sleep(0.3)
        return One.apply(self, release, traffic, marker=marker, expect=expect)


@either
def test_who_is_slow_goes_back_all_the_same(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as nobody is known to have traffic, all are waited for."""

    class SlowToRead(One):
        def read(self, release: Any) -> Served:
            time.sleep(0.3)
            return One.read(self, release)

        async def aread(self, release: Any) -> Served:
            await asyncio.sleep(0.3)
            return One.read(self, release)

    monkeypatch.setattr(calling, "PROMPT", 0.05)
    routers = [SlowToRead(traffic=at(50), marker=MARKER) for _ in range(2)]

    served = write(call, Together(*routers), ALL_STABLE, attrs.evolve(MARKER, serial=2))

    assert served.shows(ALL_STABLE)


def test_one_that_raises_before_it_is_awaited_stops_no_other() -> None:
    class Hasty(One):
        def aapply(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError("a bug of its own")

    class Foreign(One):
        async def aapply(self, *_: Any, **__: Any) -> Any:
            error = RuntimeError("of another library")
            error.failure = "soon"  # type: ignore[attr-defined]
            raise error

    routers = [kind(traffic=at(50), marker=MARKER) for kind in (Hasty, Foreign, One)]
    with pytest.raises(RouterError, match=r"router 1 of 3 .*router 2 of 3 .*1 of 3 were written"):
        write(by_asyncio, Together(*routers), ALL_STABLE, attrs.evolve(MARKER, serial=2))
    assert routers[2].traffic == ALL_STABLE


def test_where_no_thread_can_be_started_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any, **__: Any) -> Any:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(waiting, "begin", none)
    with pytest.raises(RouterError, match="can't start new thread"):
        Together(One(), One()).read(TWO)


@either
def test_nothing_is_begun_that_nobody_waits_for_any_more(call: Call) -> None:
    """A raise that outlives its time could come after the way back from it."""
    routers = Slow(), Slow(), One()
    with pytest.raises(RouterError) as caught:
        write(call, Together(*routers, timeout=seconds(0.4)), at(10))

    assert caught.value.failure is Failure.UNKNOWN
    assert routers[2].history == []


def test_a_write_that_is_late_is_unknown() -> None:
    with pytest.raises(RouterError, match="no answer in time") as caught:
        write(sync, Together(Slow(), One(), timeout=seconds(0.2)), at(10))
    assert caught.value.failure is Failure.UNKNOWN


# ----------------------------------------------------------------------------------- what it can do


def test_it_can_do_what_all_of_them_can() -> None:
    able = [
        Capabilities(smallest_weight=percent(2), mirror=True, marker=True, compare_and_set=True),
        Capabilities(smallest_weight=percent(5), matches=True, marker=True, sticky=True),
        Capabilities(smallest_weight=Percent(1), marker=True, after_restart=AfterRestart.REASSERT),
    ]

    row = Together(*(One(capabilities=each) for each in able))

    assert row.capabilities == Capabilities(smallest_weight=percent(10), marker=True, sticky=True)
    with pytest.raises(RouterError, match="5 % is not a multiple of the router's smallest weight"):
        write(sync, row, at(5))
    forgetful = Capabilities(after_restart=AfterRestart.REASSERT)
    both = Together(One(capabilities=forgetful), One(capabilities=forgetful))
    assert both.capabilities.after_restart is AfterRestart.REASSERT


def test_it_is_undone_one_by_one() -> None:
    line = Together(One(), OnlySync()).undo(TWO)

    assert line == "undo shop ; echo 'take router 2 of 2 (OnlySync) back by hand' >&2"


@attrs.define
class Closing(One):
    closed: list[str] = attrs.field(factory=list)

    def close(self) -> None:
        self.closed.append("close")


@attrs.define
class AsyncClosing(Closing):
    async def aclose(self) -> None:
        self.closed.append("aclose")


def test_it_closes_what_can_be_closed() -> None:
    one, other = Closing(), AsyncClosing()
    with Together(one, other, OnlySync()) as row:
        assert row.read(TWO).traffic == ALL_STABLE
    assert (one.closed, other.closed) == (["close"], ["close"])

    async def by_asyncio_too() -> None:
        async with Together(one, other, OnlySync()) as row:
            assert (await row.aread(TWO)).traffic == ALL_STABLE

    asyncio.run(by_asyncio_too())
    assert (one.closed, other.closed) == (["close", "close"], ["close", "aclose"])


TWICE = One()


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: Together(One()), "Together: give two routers or more, got 1"),
        (
            lambda: Together(One(), "http://envoy:9901"),
            "Together: 'http://envoy:9901' is no router",
        ),  # type: ignore[arg-type]
        (lambda: Together(TWICE, One(), TWICE), r"Together: One\(.* is there twice"),
        (lambda: Together(Together(One(), One()), One()), "Together: a row in a row"),
    ],
)
def test_what_is_no_row_is_said(made: Callable[[], object], said: str) -> None:
    with pytest.raises(StrategyError, match=said):
        made()


# -------------------------------------------------------------------------------------- a rollout


def policy() -> Canary:
    return Canary(
        weights=percents(10, 50, 100), bake=minutes(1), checks=[Limit(ERRORS, at_most=percent(1))]
    )


@pytest.mark.parametrize("candidate", [0.001, 0.2])
def test_a_rollout_over_a_row_ends_the_same_on_all(candidate: float) -> None:
    routers = One(), One(), One()
    metrics = ScriptedMetrics({ERRORS: steady(50, stable=0.001, candidate=candidate)})

    outcome = play(policy(), TWO, router=Together(*routers), metrics=[metrics])

    good = candidate < 0.01
    assert outcome.rollout.phase is (Phase.PROMOTED if good else Phase.ROLLED_BACK)
    assert [each.traffic for each in routers] == [at(100 if good else 0)] * 3
    assert len({tuple(map(str, each.history)) for each in routers}) == 1


@rule("R7")
@pytest.mark.parametrize("when", [2, 3, 4])
def test_a_rollout_whose_row_loses_one_is_back_on_the_others_and_then_on_that(when: int) -> None:
    """One of them can't be written from the n-th write on, for a while; nothing is verified there,
    and the way back is over when it has taken it.
    """

    @attrs.define
    class Failing(One):
        calls: int = 0

        def apply(
            self, release: Any, traffic: Traffic, *, marker: Marker, expect: str | None
        ) -> Served:
            self.calls += 1
            self.deaf = down() if when <= self.calls < when + 40 else None
            return One.apply(self, release, traffic, marker=marker, expect=expect)

    routers = One(), Failing(), One()
    metrics = ScriptedMetrics({ERRORS: steady(50, stable=0.001, candidate=0.001)})
    row = Together(*routers)

    outcome = play(policy(), TWO, router=row, metrics=[metrics])

    assert outcome.rollout.over
    served = row.read(TWO)
    assert served.converged
    assert served.traffic == (at(100) if outcome.rollout.phase is Phase.PROMOTED else ALL_STABLE)


@rule("R7", "R11")
def test_an_abort_takes_the_others_back_while_one_is_not_there_and_is_over_when_it_is() -> None:
    """Nobody knows what the lost one serves, so the rollout does not end before it says so."""
    routers = One(), One(), One()
    clock, store = VirtualClock(), MemoryStore()
    metrics = ScriptedMetrics({ERRORS: steady(50, stable=0.001, candidate=0.001)})
    bound = Ports(router=Together(*routers), metrics=[metrics], store=store, clock=clock)
    start(policy(), TWO, id="shop-2", ports=bound)
    for _ in range(6):
        clock.until(tick("shop-2", bound).wake_at or clock())
    assert [each.traffic for each in routers] == [at(10)] * 3

    routers[1].down = down()
    submit(store, "shop-2", Abort(at=clock(), by="eve", why="complaints"))
    for _ in range(6):
        decision = tick("shop-2", bound)
        clock.until(decision.wake_at or clock())
    assert [each.traffic for each in routers] == [ALL_STABLE, at(10), ALL_STABLE]
    assert decision.rollout.phase is Phase.ROLLING_BACK

    routers[1].down = None
    while not (decision := tick("shop-2", bound)).rollout.over:
        clock.until(decision.wake_at or clock())
    assert [each.traffic for each in routers] == [ALL_STABLE] * 3


def driven(
    bound: Ports, *, until: Callable[[], bool], then: Callable[[], object], most: int = 60
) -> Phase:
    """Tick until it is so, do that once, and tick on until it is over, ``most`` ticks in all."""
    clock: Any = bound.clock
    done = False
    for _ in range(most):
        decision = tick("shop-2", bound)
        if decision.rollout.over:
            break
        if not done and until():
            done = True
            then()
        clock.until(decision.wake_at or clock())
    assert done
    return decision.rollout.phase


def a_rollout(*routers: One, **more: Any) -> Ports:
    metrics = ScriptedMetrics({ERRORS: steady(50, stable=0.001, candidate=0.001)})
    bound = Ports(
        router=Together(*routers),
        metrics=[metrics],
        store=MemoryStore(),
        clock=VirtualClock(),
        **more,
    )
    start(policy(), TWO, id="shop-2", ports=bound)
    return bound


def test_a_newer_rollout_on_one_takes_ours_back_on_all() -> None:
    one, other = One(), One()
    stranger = Marker(generation=7, serial=1, owner="rtheirs")

    def overtaken() -> None:
        one.traffic, one.marker, one.revision = ALL_STABLE, stranger, one.revision + 1

    driven(a_rollout(one, other), until=lambda: other.traffic == at(50), then=overtaken)

    assert [one.traffic, other.traffic] == [ALL_STABLE] * 2


def test_a_line_that_was_typed_after_a_restart_of_one_takes_back_all() -> None:
    one, other = One(), One()

    def typed() -> None:
        one.traffic, one.marker = ALL_STABLE, Marker(generation=0, closed=True)
        one.revision += 1

    phase = driven(a_rollout(one, other), until=lambda: other.traffic == at(50), then=typed)

    assert phase is Phase.ROLLED_BACK
    assert [one.traffic, other.traffic] == [ALL_STABLE] * 2
    assert one.history[-1] == ALL_STABLE
    assert one.history.count(at(50)) == 1


def test_one_that_was_restarted_is_not_raised_again() -> None:
    one, other = One(), One()

    def restarted() -> None:
        one.traffic, one.marker, one.revision = ALL_STABLE, None, one.revision + 1
        one.history.clear()

    driven(a_rollout(one, other), until=lambda: other.traffic == at(50), then=restarted)

    assert all(each == ALL_STABLE for each in one.history)


def test_a_part_that_lags_is_not_raised_while_a_gate_is_closed() -> None:
    one, other = One(), One()
    closed = False

    def gate(release: Any, now: Any) -> Any:
        return ClosedUntil(now + minutes(600), why="night") if closed else Open()

    def lowered() -> None:
        nonlocal closed
        closed = True
        one.traffic, one.revision = ALL_STABLE, one.revision + 1
        one.history.clear()

    strategy = attrs.evolve(policy(), gates=["night"])
    metrics = ScriptedMetrics({ERRORS: steady(50, stable=0.001, candidate=0.001)})
    bound = Ports(
        router=Together(one, other),
        metrics=[metrics],
        store=MemoryStore(),
        clock=VirtualClock(),
        gates={"night": gate},
    )
    start(strategy, TWO, id="shop-2", ports=bound)
    driven(bound, until=lambda: other.traffic == at(50), then=lowered, most=30)

    assert all(each == ALL_STABLE for each in one.history)


def test_a_row_of_which_one_can_not_be_written_never_begins() -> None:
    one, other = One(), One(deaf=RouterError("answered 403", failure=Failure.PERMANENT))
    bound = a_rollout(one, other)
    for _ in range(10):
        decision = tick("shop-2", bound)
        if decision.rollout.over:
            break
        bound.clock.until(decision.wake_at or bound.clock())  # type: ignore[union-attr,attr-defined]

    assert decision.rollout.phase is not Phase.PROGRESSING
    assert all(each == ALL_STABLE for each in one.history)


def test_a_proxy_that_is_new_in_the_row_gets_its_marker_with_the_next_rollout() -> None:
    """The others have one of a rollout before."""
    row = Together(One(marker=Marker(generation=3, serial=9, owner="rbefore")), One())
    metrics = ScriptedMetrics({ERRORS: steady(50, stable=0.001, candidate=0.001)})

    outcome = play(policy(), TWO, router=row, metrics=[metrics])

    assert outcome.rollout.phase is Phase.PROMOTED


def test_a_part_that_has_less_lets_its_users_go_and_is_not_raised() -> None:
    parts = [
        One(traffic=Traffic(candidate=percent(share), sticky=hours(8)), marker=MARKER)
        for share in (50, 30)
    ]
    served = write(sync, Together(*parts), at(40))

    assert [each.traffic for each in parts] == [at(40), at(30)]
    assert served.traffic == at(40)
