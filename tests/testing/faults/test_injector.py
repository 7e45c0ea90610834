"""Crashes at every point, and ports that fail, lose, halve, double and delay what they are asked
for.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from progressive import (
    Canary,
    Limit,
    Metric,
    Phase,
    Release,
    RouterError,
    StrategyError,
    Traffic,
    Version,
    minutes,
    percent,
    percents,
    seconds,
)
from progressive.errors import Failure, StoreError
from progressive.model.router_state import Marker
from progressive.testing import (
    Behaviour,
    Fault,
    Faulty,
    Injected,
    MemoryRouter,
    MemoryStore,
    ScriptedMetrics,
    VirtualClock,
    World,
    crash_everywhere,
    play,
    simulate,
    steady,
)
from progressive.testing.simulation import troubles
from progressive.testing.simulation.simulate import Run

ERRORS = Metric("error-rate", kind="ratio")
RELEASE = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))
POLICY = Canary(
    weights=percents(10, 100), bake=minutes(1), checks=[Limit(ERRORS, at_most=percent(5))]
)


@pytest.mark.parametrize(
    "world",
    [
        World(load=100),
        World(load=100, candidate=Behaviour(errors=0.3)),
        World(load=100, troubles=[troubles.LosesReplies()]),
    ],
    ids=["good", "bad", "lost replies"],
)
def test_a_driver_that_stops_anywhere_gets_to_the_same_end(world: World) -> None:
    crashes = crash_everywhere(POLICY, world)

    assert crashes.points > 20
    assert crashes.story == simulate(POLICY, world)


def test_an_end_that_a_crash_changes_is_named_with_its_point(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A driver that forgets what was stored: each crash starts the rollout again, and it is said
    where.
    """
    from progressive.testing.faults import crashes

    real = Run.story

    def other(self: Run) -> Any:
        story = real(self)
        stopped = getattr(self, "stopped", "")
        return (
            story
            if not stopped
            else simulate(POLICY, World(load=100, candidate=Behaviour(errors=0.3)))
        )

    monkeypatch.setattr(crashes._Crashing, "story", other)
    with pytest.raises(
        AssertionError,
        match=r"stopped at 0:00:00 before \w+ \(point 0\): it ended rolled_back, and promoted "
        r"without a crash",
    ):
        crash_everywhere(POLICY, World(load=100))


# -------------------------------------------------------------------------------------------- ports


def marker(serial: int = 1) -> Marker:
    return Marker(generation=1, serial=serial)


def half() -> Traffic:
    return Traffic(candidate=percent(50))


@pytest.mark.parametrize(
    ("what", "failure", "left"),
    [
        (Injected.FAIL, Failure.TRANSIENT, percent(0)),
        (Injected.LOSE_REPLY, Failure.UNKNOWN, percent(50)),
        (Injected.HALF, Failure.UNKNOWN, percent(25)),
        (Injected.LATE, Failure.UNKNOWN, percent(0)),
        (Injected.TWICE, None, percent(50)),
        (Injected.DELAY, None, percent(50)),
    ],
)
def test_what_goes_wrong_with_a_write_and_what_is_left_of_it(
    what: Injected, failure: Failure | None, left: object
) -> None:
    clock, router = VirtualClock(), MemoryRouter()
    faulty = Faulty(router, [Fault("apply", what, nth=1)], sleep=clock.advance)
    began = clock()
    if failure is None:
        assert faulty.apply(RELEASE, half(), marker=marker(), expect="1").traffic == half()
    else:
        with pytest.raises(RouterError, match="injected: apply") as raised:
            faulty.apply(RELEASE, half(), marker=marker(), expect="1")
        assert raised.value.failure is failure

    assert router.traffic.candidate == left
    assert clock() - began == (seconds(1) if what is Injected.DELAY else timedelta())
    assert faulty.calls == {"apply": 1}


def test_what_came_late_is_done_before_the_next_write_and_nobody_hears_of_it() -> None:
    router = MemoryRouter()
    faulty = Faulty(router, [Fault("apply", Injected.LATE, nth=1)])
    with pytest.raises(RouterError):
        faulty.apply(RELEASE, half(), marker=marker(), expect="1")
    faulty.apply(RELEASE, Traffic(), marker=marker(2), expect=None)

    assert [traffic.candidate for traffic in router.history] == [percent(50), percent(0)]


def test_both_colours_are_counted_together() -> None:
    faulty = Faulty(MemoryRouter(), [Fault("read", Injected.FAIL, nth=2)])

    async def reads() -> None:
        await faulty.aread(RELEASE)
        with pytest.raises(RouterError, match="it was not done"):
            await faulty.aread(RELEASE)
        await faulty.aread(RELEASE)

    asyncio.run(reads())
    faulty.read(RELEASE)

    assert faulty.calls == {"read": 4}


def test_chance_is_seeded() -> None:
    def outcomes(seed: int) -> list[bool]:
        faulty = Faulty(MemoryRouter(), [Fault("read", Injected.FAIL, chance=0.5)], seed=seed)
        found = []
        for _ in range(40):
            try:
                faulty.read(RELEASE)
            except RouterError:
                found.append(False)
            else:
                found.append(True)
        return found

    assert outcomes(1) == outcomes(1) != outcomes(2)
    assert {True, False} == set(outcomes(1))


def test_a_store_and_metrics_can_fail_too() -> None:
    store = Faulty(MemoryStore(), [Fault("load", Injected.FAIL)])
    with pytest.raises(StoreError):
        store.load("shop")
    assert "Fault" in repr(store)
    assert store.last("shop") is None


def test_a_method_that_is_not_there_is_named() -> None:
    with pytest.raises(StrategyError, match="MemoryRouter has no method 'aply'"):
        Faulty(MemoryRouter(), [Fault("aply", Injected.FAIL)])


@pytest.mark.parametrize("what", list(Injected))
def test_a_rollout_gets_through_a_router_that_does_this_to_every_third_write(
    what: Injected,
) -> None:
    clock = VirtualClock()
    router = Faulty(MemoryRouter(), [Fault("apply", what, chance=0.3)], seed=5, sleep=clock.advance)
    metrics = ScriptedMetrics({ERRORS: steady(50, stable=0.001, candidate=0.001)})

    assert (
        play(POLICY, RELEASE, router=router, metrics=[metrics], clock=clock).rollout.phase
        is Phase.PROMOTED
    )
