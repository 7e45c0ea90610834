"""Answers of hooks, gates and failed commands: what they lead to, and when they are too late."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import attrs
import pytest
from tests.support.moments import over, refused, steps
from tests.support.rules import rule
from tests.support.world import ERRORS, START, World, canary

from progressive import (
    Abort,
    ClosedUntil,
    Go,
    Limit,
    NotYet,
    Open,
    Phase,
    Stop,
    Tick,
    decide,
    hours,
    minutes,
    percent,
    percents,
    seconds,
)
from progressive.errors import Failure
from progressive.model.replace import evolve
from progressive.model.router_state import Served
from progressive.model.traffic import Traffic
from progressive.rollout.commands import Apply, RunHook
from progressive.rollout.events import (
    CommandFailed,
    GateAnswered,
    HookAnswered,
    Inspected,
    RouterApplied,
    RouterRead,
)
from progressive.steps import Bake, Hook
from progressive.strategies.blue_green import BlueGreen


def test_a_gate_that_is_closed_until_now_is_closed() -> None:
    world = World(strategy=canary(gates=["freeze"]), gate=lambda now: ClosedUntil(now, "freeze"))
    over(world, minutes(3))

    assert world.candidate == percent(0)


def test_of_two_closed_gates_the_later_counts() -> None:
    world = World(strategy=canary(gates=["one", "two"]))
    answers = iter(
        [ClosedUntil(START + hours(5), "night"), ClosedUntil(START - seconds(1), "just over")]
    )
    world.gate = lambda now: next(answers, Open())
    over(world, minutes(30))

    assert world.candidate == percent(0)


def test_a_hook_that_wants_to_be_asked_at_once_is_asked_once_a_second() -> None:
    asked = []
    world = World(strategy=BlueGreen(preview_hook="smoke", unguarded="its hook"))
    world.hook = lambda key: (
        asked.append(world.now) or (NotYet(world.now, "again") if len(asked) < 20 else Go())
    )
    world.until_phase(Phase.PROMOTED)

    assert world.now - START >= seconds(19)


def test_every_gate_that_is_asked_is_named() -> None:
    world = (
        World(strategy=canary(gates=["freeze", "budget"])).until_weight(5).until_next_tick_raises()
    )
    rollout, why = world.rollout, []
    events: list[Any] = [Tick(at=world.now)]
    while not any(isinstance(event, RouterApplied) for event in events):
        decision = decide(rollout, *events)
        world.ghost.ceiling = percent(50).ppm
        rollout = decision.rollout
        why += [rollout.progress.waiting.why] if rollout.progress.waiting is not None else []
        events = [world.do(command) for command in decision.commands]

    assert "gate freeze, budget to answer" in why


# -------------------------------------------------------------------------------------------- hooks


def at_the_hook(hook: Callable[[str], Any]) -> World:
    """At 5 %, and the hook has answered for the first time."""
    world = World(
        strategy=canary(weights=(), steps=steps(Hook("smoke"), Bake(minutes(2))), early=False)
    )
    world.hook = hook
    return world.until_weight(5).until(
        lambda world: world.rollout.progress.answer is not None or world.rollout.progress.step > 1
    )


def hooks(world: World, rollout: Any) -> list[RunHook]:
    return [
        command
        for command in decide(
            rollout, RouterRead(at=rollout.clocks.now, served=world.served())
        ).commands
        if isinstance(command, RunHook)
    ]


def test_a_hook_is_run_under_the_key_of_its_rollout_and_step() -> None:
    keys: list[str] = []

    def smoke(key: str) -> Go:
        keys.append(key)
        return Go()

    world = at_the_hook(smoke)

    assert keys == [f"{world.rollout.id}/hook-smoke"]


def test_a_hook_that_wants_to_be_asked_later_is_the_next_thing_to_come_back_for() -> None:
    later = START + seconds(7)
    world = at_the_hook(lambda key: NotYet(later, "warming up"))

    assert world.rollout.wake_at == later
    assert hooks(world, world.rollout) == []


@pytest.mark.parametrize("what", ["went", "skipped"])
def test_a_hook_that_has_answered_or_is_skipped_is_not_run_again_while_the_router_is_waited_for(
    what: str,
) -> None:
    world = at_the_hook(lambda key: NotYet(START + seconds(37), "warming up"))
    rollout = world.rollout
    changed = {"answer": Go()} if what == "went" else {"skipped": True, "answer": None}
    rollout = evolve(rollout, progress=evolve(rollout.progress, **changed))
    lower = Served(
        traffic=Traffic(candidate=percent(1)), version="7", marker=rollout.routing.observed.marker
    )  # type: ignore[union-attr]
    at = rollout.clocks.now + seconds(5)

    decision = decide(rollout, Tick(at=at), RouterRead(at=at, served=lower))

    assert decision.rollout.progress.step == rollout.progress.step, (
        "it may not go on: the router serves something else"
    )
    assert [command.kind for command in decision.commands if isinstance(command, RunHook)] == []
    assert any(isinstance(command, Apply) for command in decision.commands)


@rule("R27")
def test_answers_to_what_was_asked_in_another_step_are_refused_with_a_reason() -> None:
    world = World(strategy=canary(gates=["freeze"])).until_weight(5)
    at, epoch = world.now, world.rollout.epoch

    assert "preflight is over" in refused(world, Inspected(at=at))
    assert "not the current one" in refused(
        world, HookAnswered(at=at, epoch=epoch, step="hook-smoke", answer=Go())
    )
    assert f"this is {epoch}" in refused(
        world, GateAnswered(at=at, epoch=epoch - 1, gate="freeze", answer=Open())
    )
    assert "this is" in refused(
        world, GateAnswered(at=at, epoch=epoch, gate="nobody", answer=Open())
    )


# ------------------------------------------------------------------------------------------- rounds


def test_an_answer_that_failed_delays_the_next_call_and_says_why() -> None:
    world = World(
        strategy=BlueGreen(
            preview_hook="smoke", gates=["freeze"], bake=minutes(1), unguarded="its hook"
        )
    )
    world.until(lambda w: w.phase is Phase.PROGRESSING)
    at, epoch = world.now, world.rollout.epoch
    hook = CommandFailed(
        at=at, command="run_hook", epoch=epoch, failure=Failure.TRANSIENT, why="503"
    )
    after = decide(world.rollout, hook).rollout
    assert after.progress.answer == NotYet(at + seconds(10), "it failed: 503")
    gate = CommandFailed(
        at=at, command="ask_gate", epoch=epoch, failure=Failure.TRANSIENT, why="504"
    )
    frozen = decide(world.rollout, gate).rollout.progress.closed_gate
    assert frozen is not None
    assert (frozen.why, frozen.until) == ("it failed: 504", at + seconds(10))
    stale = decide(
        world.rollout, attrs.evolve(hook, epoch=epoch - 1), attrs.evolve(gate, epoch=epoch - 1)
    ).rollout

    assert (stale.progress.answer, stale.progress.closed_gate) == (
        world.rollout.progress.answer,
        None,
    )


def test_a_gate_that_says_the_same_twice_is_noted_once() -> None:
    world = World(strategy=canary(gates=["freeze"])).until_weight(5)
    closed = GateAnswered(
        at=world.now,
        epoch=world.rollout.epoch,
        gate="freeze",
        answer=ClosedUntil(world.now + hours(1), "night"),
    )
    once = decide(world.rollout, closed)

    assert [note.kind for note in once.notes] == ["happened"]
    assert decide(once.rollout, closed).notes == ()


def test_two_gates_are_both_waited_for() -> None:
    world = World(strategy=canary(gates=["freeze", "budget"])).until_weight(5)
    shut = {"freeze": minutes(9), "budget": minutes(3)}
    world.until(lambda w: w.rollout.clocks.watched >= seconds(90))
    opened = world.do

    def do(command: Any) -> Any:
        if command.kind != "ask_gate" or world.now >= START + shut[command.gate]:
            return opened(command)
        until = START + shut[command.gate]
        return GateAnswered(
            at=world.now,
            epoch=command.epoch,
            gate=command.gate,
            answer=ClosedUntil(until, command.gate),
        )

    rollout = world.rollout
    at = world.now + seconds(30)
    world.now = at
    events: list[Any] = [Tick(at=at)]
    for _ in range(6):
        decision = decide(rollout, *events)
        rollout = decision.rollout
        if not decision.commands:
            break
        events = [do(command) for command in decision.commands]

    assert rollout.progress.closed_gate is not None
    assert rollout.progress.closed_gate.gate == "freeze", "the one that is shut longest"
    assert rollout.routing.desired.candidate == percent(5)


def test_an_answer_said_twice_is_noted_once_and_a_failed_inspection_is_asked_again() -> None:
    world = World(strategy=BlueGreen(preview_hook="smoke", bake=minutes(1), unguarded="its hook"))
    failed = CommandFailed(
        at=world.now, command="inspect", epoch=0, failure=Failure.TRANSIENT, why="?"
    )
    assert "inspect" in [
        command.kind for command in decide(world.rollout, Tick(at=world.now), failed).commands
    ]
    world.hook = lambda key: NotYet(START + minutes(2), "warm")
    world.until(lambda w: w.rollout.progress.answer is not None)
    again = HookAnswered(
        at=world.now,
        epoch=world.rollout.epoch,
        step="hook-smoke",
        answer=NotYet(START + minutes(2), "warm"),
    )

    assert decide(world.rollout, again).notes == ()


def test_a_hook_is_asked_again_when_it_said_and_not_before() -> None:
    asked: list[datetime] = []
    world = World(
        strategy=BlueGreen(preview_hook="smoke", checks=[Limit(ERRORS, at_most=percent(2))])
    )

    def smoke(key: str) -> object:
        asked.append(world.now)
        return (
            NotYet(world.now + minutes(4), "warming up")
            if len(asked) < 3
            else __import__("progressive").Go()
        )

    world.hook = smoke
    world.until_phase(Phase.PROMOTED)

    assert [at - asked[0] for at in asked] == [minutes(0), minutes(4), minutes(8)]


def test_a_gate_is_asked_before_every_raise_and_never_before_lowering() -> None:
    asked: list[tuple[datetime, object]] = []
    world = World(strategy=canary(gates=["freeze"]))

    def gate(now: datetime) -> object:
        asked.append((now, world.traffic.candidate))
        return Open()

    world.gate = gate
    world.until_weight(100)
    assert [weight for _, weight in asked] == list(percents(0, 5, 50))
    world.gate = lambda now: ClosedUntil(now + hours(9), "night")
    world.say(Abort(at=world.now, by="eve", why="now"))
    world.until_phase(Phase.ROLLED_BACK)


def test_a_hook_that_says_stop_goes_back() -> None:
    from progressive import BlueGreen

    plan = BlueGreen(preview_hook="smoke", checks=[Limit(ERRORS, at_most=percent(2))])
    world = World(strategy=plan, hook=lambda key: Stop("checkout is broken"))
    world.until_phase(Phase.ROLLED_BACK)

    assert "checkout is broken" in world.rollout.progress.reason
    assert world.candidate == percent(0)
