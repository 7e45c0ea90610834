"""What is asked of each port, and what its answer counts as."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from tests.support.driven import ANSWERS
from tests.support.rules import rule
from tests.support.world import RELEASE, START, canary

from progressive import (
    BlueGreen,
    Canary,
    NotYet,
    Open,
    Phase,
    Ports,
    minutes,
    percent,
    percents,
    seconds,
    start,
    tick,
)
from progressive.analysis import Verdict
from progressive.testing import MemoryFleet, MemoryRouter, MemoryStore, VirtualClock

# ---------------------------------------------------------- ports that are others than at the start


def driven_without(strategy: Any, wanted: Any, **missing: Any) -> Any:
    """Drive with everything until ``wanted``, then once with ports that lack something; the rollout
    after that, and its notes.
    """
    router, store, clock = MemoryRouter(), MemoryStore(), VirtualClock(START)
    given: dict[str, Any] = {
        "metrics": [ANSWERS],
        "hooks": {"smoke": lambda key, release: NotYet(clock.now + seconds(1))},
        "gates": {"freeze": lambda release, now: Open()},
        "fleet": MemoryFleet(),
    }
    full = Ports(router=router, store=store, clock=clock, **given)
    rollout = start(strategy, RELEASE, id="r", ports=full)
    while not wanted(rollout):
        decision = tick("r", full)
        rollout = decision.rollout
        assert decision.wake_at is not None
        clock.until(decision.wake_at)
    return tick("r", Ports(router=router, store=store, clock=clock, **(given | missing)))


def test_a_metric_that_nobody_answers_for_any_more_is_an_error_and_no_pass() -> None:
    decision = driven_without(canary(), lambda r: r.clocks.watched >= seconds(30), metrics=[])

    assert {check_state.verdict for check_state in decision.rollout.evidence.check_states} == {
        Verdict.ERROR
    }
    assert "no provider answers for 'error-rate'" in decision.rollout.evidence.check_states[0].why


def test_a_hook_that_is_not_bound_any_more_is_asked_again_later() -> None:
    strategy = BlueGreen(preview_hook="smoke", unguarded="its hook")
    decision = driven_without(strategy, lambda r: r.progress.answer is not None, hooks={})

    assert isinstance(decision.rollout.progress.answer, NotYet)
    assert "nothing is bound to hook 'smoke'" in decision.rollout.progress.answer.why


def test_a_gate_that_is_not_bound_any_more_stays_closed() -> None:
    decision = driven_without(
        canary(gates=["freeze"]), lambda r: r.clocks.watched >= seconds(90), gates={}
    )

    assert decision.rollout.routing.desired.candidate == percent(5)
    assert decision.rollout.progress.closed_gate is not None
    assert "nothing is bound to gate 'freeze'" in decision.rollout.progress.closed_gate.why


def test_a_fleet_that_is_not_there_any_more_is_asked_again_later() -> None:
    decision = driven_without(
        canary(retire_after=minutes(5)),
        lambda r: r.phase is Phase.PROMOTED and r.clocks.stepped >= minutes(4.5),
        fleet=None,
    )

    assert decision.rollout.progress.retirement.value == "asked"
    assert any("needs fleet=" in str(note) for note in decision.notes)
    assert decision.wake_at is not None


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


def test_a_gate_that_answers_nonsense_stays_closed() -> None:
    decision = driven_without(
        canary(gates=["freeze"]),
        lambda r: r.clocks.watched >= seconds(90),
        gates={"freeze": lambda release, now: True},
    )

    assert decision.rollout.routing.desired.candidate == percent(5)
    assert "answered True; it must be Open() or ClosedUntil(...)" in str(
        decision.rollout.progress.closed_gate
    )
