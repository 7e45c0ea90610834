"""Calls of ports: side by side, bounded in time, and nobody who is told can disturb them."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from tests.support.driven import GOOD, Colour, fast, metrics
from tests.support.rules import rule
from tests.support.world import ERRORS, RELEASE, START, canary

from progressive import Canary, Limit, Phase, Ports, Rollout, ms, percent, percents, start, tick
from progressive.testing import MemoryRouter, MemoryStore, ScriptedMetrics, VirtualClock


@rule("R19")
def test_a_port_that_ends_its_thread_is_a_failed_call(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: ends.append(args.exc_value))

    class Leaves(MemoryRouter):
        def read(self, release: Any) -> Any:
            raise SystemExit("bye")

    bound = Ports(router=Leaves(), clock=VirtualClock(START))
    rollout = start(Canary(weights=percents(100), unguarded="a law"), RELEASE, id="r", ports=bound)
    decision = tick(rollout, bound)
    for thread in threading.enumerate():
        if thread.name == "progressive-read":
            thread.join()

    assert str(*ends) == "bye"
    assert any("bye" in str(note) for note in decision.notes)
    assert decision.rollout.phase is Phase.PENDING


def test_a_call_that_does_not_come_back_counts_as_failed_and_the_rest_goes_on(
    colour: Colour,
) -> None:
    stuck = threading.Event()

    class Slow(ScriptedMetrics):
        ameasure = None  # type: ignore[assignment]

        def measure(self, *given: Any) -> Any:
            if len(self.asked) == 3:
                stuck.wait(1.0)
            return super().measure(*given)

    slow = Slow({ERRORS: GOOD})
    outcome = colour.play(canary(), RELEASE, metrics=[slow], timeout=ms(100))
    stuck.set()

    assert outcome.rollout.phase in (Phase.PROMOTED, Phase.ROLLED_BACK)


@rule("R46")
def test_observers_can_t_disturb_the_rollout(
    colour: Colour, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[Any] = []
    told: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)

    def angry(rollout: Rollout, notes: Any) -> None:
        raise RuntimeError("chat is down")

    outcome = colour.play(
        canary(),
        RELEASE,
        metrics=[metrics()],
        observers=[angry, lambda rollout, notes: told.extend(notes)],
    )

    assert outcome.promoted
    assert {note.kind for note in told} >= {"entered", "asked", "verified", "judged"}
    assert raised


@rule("R46")
def test_an_observer_that_hangs_is_left_behind(
    colour: Colour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("progressive.runtime.observing.OBSERVER_TIME", 0.01)
    hang = threading.Event()
    outcome = colour.play(
        fast(),
        RELEASE,
        metrics=[metrics()],
        observers=[lambda rollout, notes: hang.wait(5) and None],
    )
    hang.set()

    assert outcome.promoted


@rule("R46")
def test_the_stored_trail_is_the_trail_that_observers_saw(colour: Colour) -> None:
    told: list[Any] = []
    store = MemoryStore()
    colour.play(
        canary(),
        RELEASE,
        metrics=[metrics()],
        store=store,
        observers=[lambda rollout, notes: told.extend(notes)],
    )
    kept = list(store.notes("played"))

    assert [note for _, note in kept] == told
    assert len({id for id, _ in kept}) == len(kept)


def test_many_metrics_are_measured_at_the_same_time(colour: Colour) -> None:
    from progressive import Metric

    meeting = threading.Barrier(5)
    many = [Metric(f"m{i}", kind="ratio") for i in range(5)]

    class Together(ScriptedMetrics):
        ameasure = None  # type: ignore[assignment]

        def measure(self, *given: Any) -> Any:
            meeting.wait(20)
            return super().measure(*given)

    strategy = canary(checks=[Limit(metric, at_most=percent(5)) for metric in many])
    outcome = colour.play(strategy, RELEASE, metrics=[Together(dict.fromkeys(many, GOOD))])

    assert outcome.promoted
