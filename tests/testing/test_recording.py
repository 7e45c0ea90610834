"""`Recording` keeps every call of a port, and is otherwise the port."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from progressive import (
    Canary,
    ConflictError,
    Limit,
    Metric,
    Release,
    Served,
    Traffic,
    Version,
    minutes,
    percent,
    percents,
)
from progressive.model import Marker, Window
from progressive.testing import (
    Call,
    MemoryFleet,
    MemoryRouter,
    MemoryStore,
    Recording,
    ScriptedMetrics,
    VirtualClock,
    aplay,
    check_metrics,
    check_router,
    check_store,
    play,
    steady,
)

RELEASE = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))
ERRORS = Metric("errors", kind="ratio")
CANARY = Canary(
    weights=percents(10, 100),
    bake=minutes(5),
    checks=[Limit(ERRORS, at_most=percent(1))],
    retire_after=minutes(1),
)
FIRST = Marker(generation=1)


def driven(*given: Any, **ports: Any) -> Any:
    return asyncio.run(aplay(*given, **ports))


@pytest.mark.parametrize("drive", [play, driven], ids=["play", "aplay"])
def test_a_whole_rollout_is_driven_through_recordings_in_both_colours(
    drive: Callable[..., Any],
) -> None:
    router, metrics = Recording(MemoryRouter()), Recording(ScriptedMetrics({ERRORS: steady(50)}))
    store, fleet = Recording(MemoryStore()), Recording(MemoryFleet())
    outcome = drive(CANARY, RELEASE, router=router, metrics=[metrics], store=store, fleet=fleet)

    assert outcome.promoted
    assert [call["traffic"].candidate for call in router.of("apply")] == list(percents(0, 10, 100))
    assert router.port.history == [call["traffic"] for call in router.of("apply")]
    assert {call["metric"] for call in metrics.of("measure")} == {ERRORS}
    assert [call["version"] for call in fleet.of("retire")] == [Version("v1")]
    assert [call["expected"] for call in store.of("save")] == [
        None,
        *(call["rollout"].serial for call in store.of("save")[:-1]),
    ]
    assert {call.asynchronous for call in router.of("read", "apply")} == {drive is driven}
    assert all(
        call.over and call.error is None
        for call in (*router.calls, *metrics.calls, *store.calls, *fleet.calls)
    )


def test_what_was_raised_is_kept_and_raised() -> None:
    router = Recording(MemoryRouter())
    with pytest.raises(ConflictError, match="revision 7 was expected") as caught:
        router.apply(RELEASE, Traffic(), marker=FIRST, expect="7")

    assert router.calls == [
        Call(
            verb="apply",
            arguments={"release": RELEASE, "traffic": Traffic(), "marker": FIRST, "expect": "7"},
            over=True,
            error=caught.value,
        )
    ]


def test_an_asynchronous_call_that_is_cancelled_is_kept_too() -> None:
    class Hangs:
        async def aread(self, release: Release) -> Served:
            await asyncio.sleep(60)
            raise AssertionError("nobody waits so long")

    router = Recording(Hangs())

    async def test() -> None:
        reading = asyncio.ensure_future(router.aread(RELEASE))
        await asyncio.sleep(0)
        assert repr(router.calls[0]).endswith(" ...")
        reading.cancel()
        await asyncio.wait([reading])

    asyncio.run(test())
    [call] = router.of("read")
    assert (call.asynchronous, call.over, type(call.error)) == (True, True, asyncio.CancelledError)


def test_calls_stand_in_the_order_in_which_they_began() -> None:
    entered, leave = threading.Event(), threading.Event()

    class Slow:
        def read(self, release: Release) -> str:
            entered.set()
            assert leave.wait(60)
            return "first"

        def undo(self, release: Release) -> str:
            return "second"

    recording = Recording(Slow())
    thread = threading.Thread(target=recording.read, args=(RELEASE,))
    thread.start()
    assert entered.wait(60)
    recording.undo(RELEASE)
    begun = [(call.verb, call.over) for call in recording.calls]
    leave.set()
    thread.join()

    assert begun == [("read", False), ("undo", True)]
    assert [call.answer for call in recording.calls] == ["first", "second"]


def test_it_has_what_the_port_has_and_nothing_else() -> None:
    router = Recording(MemoryRouter())

    assert router.capabilities is router.port.capabilities
    assert router.history is router.port.history
    assert not hasattr(router, "save")
    assert not hasattr(Recording(MemoryFleet()), "asurvey")
    with pytest.raises(AttributeError, match="'MemoryRouter' object has no attribute 'steer'"):
        _ = router.steer
    assert router.calls == []


def test_it_can_be_copied() -> None:
    router = Recording(MemoryRouter())
    router.read(RELEASE)
    other = copy.copy(router)

    assert (other.port, other.calls) == (router.port, router.calls)


def test_arguments_are_told_by_name_or_by_place() -> None:
    fleet, plain = Recording(MemoryFleet()), Recording({"shop": 1})
    fleet.retire(RELEASE, version=Version("v1"))
    plain.get("shop", 0)
    with pytest.raises(TypeError, match="retire"):
        fleet.retire(RELEASE)  # type: ignore[call-arg]

    assert [dict(call.arguments) for call in fleet.calls] == [
        {"release": RELEASE, "version": Version("v1")},
        {"0": RELEASE},
    ]
    assert set(plain.calls[0].arguments.values()) == {"shop", 0}


def test_a_failing_assertion_shows_what_was_called() -> None:
    router = Recording(MemoryRouter())
    router.apply(RELEASE, Traffic(candidate=percent(5)), marker=FIRST, expect=None)
    asyncio.run(router.aread(RELEASE))
    with pytest.raises(ConflictError):
        router.apply(RELEASE, Traffic(), marker=FIRST, expect="1")

    marker = "marker=Marker(generation=1, serial=0, closed=False, owner='')"
    assert [repr(call) for call in router.calls] == [
        (
            f"apply(release=Release(...), traffic=5 % candidate, {marker}, expect=None) -> "
            "Served(5 % candidate, ...)"
        ),
        "aread(release=Release(...)) -> Served(5 % candidate, ...)",
        (
            f"apply(release=Release(...), traffic=0 % candidate, {marker}, expect='1') raised "
            "ConflictError: revision 1 was expected, it is 2"
        ),
    ]
    assert repr(router).startswith("<Recording of MemoryRouter(capabilities=")
    assert repr(router).endswith(": 3 calls, 1 failed>")


def test_what_is_recorded_keeps_the_laws_that_the_port_keeps() -> None:
    clock = VirtualClock()
    begun = clock()
    clock.advance(timedelta(minutes=2))
    script = steady(50)
    metrics = ScriptedMetrics(
        {
            ERRORS: lambda track, window: script(
                track,
                Window(
                    max(window.start, begun), max(min(window.end, clock()), window.start, begun)
                ),
            )
        }
    )
    router = Recording(MemoryRouter())

    check_router(
        router,
        Release(
            service="shop",
            stable=Version("v1"),
            candidate=Version("v2"),
            baseline=Version("v1-fresh"),
        ),
    )
    check_metrics(Recording(metrics), RELEASE, Window(begun, clock()))
    check_store(lambda place: Recording(MemoryStore()), shared=False)
    assert len(router.of("apply")) > 100
