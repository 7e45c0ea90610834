"""Corners that reading the engine found: each was wrong once."""

from __future__ import annotations

import pytest
from tests.support.rules import rule
from tests.support.world import ERRORS, START, World, canary

from progressive import (
    Abort,
    Action,
    Analysis,
    Approve,
    ClosedUntil,
    Deadline,
    Go,
    Hold,
    Limit,
    Metric,
    NotYet,
    NoWorse,
    Open,
    Phase,
    PromoteNow,
    Resume,
    StrategyError,
    Tolerance,
    Track,
    decide,
    hours,
    minutes,
    percent,
    percents,
    seconds,
)
from progressive.model import Counts
from progressive.model.router_state import Marker
from progressive.rollout.commands import Apply
from progressive.rollout.events import Tick
from progressive.steps import Analyze, Bake, Hook, SetWeight
from progressive.strategies.blue_green import BlueGreen


def over(world: World, long: object) -> World:
    began = world.now
    return world.until(lambda w: w.now - began > long, ticks=20_000)  # type: ignore[operator]


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


@rule("R30")
def test_a_freeze_that_is_over_stops_no_clock() -> None:
    world = World(strategy=canary(gates=["freeze"])).until_weight(5)
    world.gate = lambda now: ClosedUntil(now + minutes(5), "lunch")
    over(world, minutes(4))
    world.unwritable = True
    world.edit(100)
    world.gate = lambda now: Open()
    over(world, minutes(30))

    assert world.phase is Phase.ROLLING_BACK
    assert any("the router serves 100 %" in note.why for note in world.said("escalated"))


@rule("R15")
def test_data_that_vanish_at_full_traffic_hold_and_keep_the_old_version() -> None:
    world = World(strategy=canary(retire_after=minutes(1), last_bake=minutes(60))).until_weight(100)
    over(world, minutes(1))
    world.idle = True
    world.until_phase(Phase.HELD)

    assert world.retired == 0


@rule("R13")
def test_no_trials_are_no_data_however_they_are_said() -> None:
    from tests.support.looks import look

    judgement, _ = Limit(ERRORS, at_most=percent(1)).judge(
        look(Counts(events=0, trials=0), Counts(events=0, trials=900)), None, 0.0
    )

    assert judgement.starved


@rule("R45")
def test_nobody_promotes_past_preflight() -> None:
    world = World(silent=True)
    world.tick()
    world.say(Hold(at=world.now, by="eve", why="wait"))
    refused = world.say(PromoteNow(at=world.now, waive=("hold:person",), by="eve", why="now"))

    assert "preflight is not over" in str(refused.notes[0])


@rule("R30")
@pytest.mark.parametrize("held", [False, True])
def test_too_much_traffic_that_can_t_be_brought_down_calls_a_person_and_goes_back(
    held: bool,
) -> None:
    world = World().until_weight(5)
    if held:
        world.say(Hold(at=world.now, by="eve", why="lunch"))
    world.edit(100)
    world.permanent = True
    over(world, minutes(20))

    assert world.phase is Phase.ROLLING_BACK
    assert world.said("escalated")


def test_what_only_lowers_is_not_refused_by_our_own_marker() -> None:
    world = World().until_weight(5)
    assert world.marker is not None
    world.marker = Marker(generation=world.marker.generation, serial=5_000)
    world.edit(100)
    world.until(lambda w: w.candidate <= percent(5), ticks=20)


@rule("R11")
def test_a_take_back_by_hand_before_the_start_is_heard() -> None:
    world = World(silent=True)
    world.tick()
    world.rollback_now()
    world.heal()
    world.advance(seconds(30))
    world.until_phase(Phase.ROLLED_BACK)

    assert world.writes == []


def test_a_raise_that_a_crash_left_over_asks_the_gate_again() -> None:
    world = World(strategy=canary(gates=["freeze"])).until_next_tick_raises()
    for move in world.moves():
        if any(isinstance(command, Apply) for command in getattr(move, "commands", ())):
            break
    assert world.rollout.routing.desired.candidate == percent(50)
    shut = world.now + minutes(1) + seconds(20)
    world.gate = lambda now: ClosedUntil(shut, "night")
    world.advance(minutes(1))
    world.tick()

    assert world.candidate == percent(5)
    assert world.rollout.wake_at == shut, "nobody polls the router behind a closed gate"
    assert decide(world.rollout, Tick(at=shut)).wake_at == shut, (
        "at its instant the gate is asked again, at once"
    )


@rule("R27", "R28")
def test_a_person_s_clock_moves_no_clock_of_ours() -> None:
    world = World().until_weight(5)
    before = world.rollout.clocks
    world.say(
        Approve(at=world.now + hours(2), approval="nonsense", by="eve", why="my laptop is ahead")
    )
    world.say(Hold(at=world.now + hours(30), by="eve", why="mine too"))

    assert world.rollout.clocks.now == before.now
    world.tick()
    assert world.phase is Phase.HELD


@rule("R27")
def test_a_waiver_of_a_hold_waives_no_check_and_a_misspelt_one_is_refused() -> None:
    world = World(
        strategy=canary(checks=[Limit(ERRORS, at_most=percent(2))]), bad=0.3, stable_bad=0.3
    ).until_phase(Phase.HELD)
    cause = world.rollout.progress.causes[0].name
    assert "there is no 'error-rat'" in str(
        world.say(Resume(at=world.now, cause=cause, waive=("error-rat",), by="eve", why="x")).notes[
            0
        ]
    )
    world.say(PromoteNow(at=world.now, waive=(f"hold:{cause}",), by="eve", why="now"))

    assert world.phase is Phase.PROGRESSING
    assert world.rollout.progress.waived == ()


def test_an_abort_keeps_an_old_version_that_is_due_to_be_removed() -> None:
    world = World(strategy=canary(retire_after=hours(24))).until_phase(Phase.PROMOTED)
    world.say(Abort(at=world.now, by="eve", why="we may go back"))

    assert world.rollout.over
    assert world.retired == 0


@rule("R30")
def test_a_fleet_that_never_removes_calls_a_person_and_is_given_up() -> None:
    world = World(strategy=canary(retire_after=minutes(1), watch_every=minutes(10)))
    world.until_phase(Phase.PROMOTED)
    world.retire_fails = True
    world.until(lambda w: w.rollout.over, ticks=20_000)

    assert "the fleet did not say that it was done" in world.said("escalated")[-1].why


def test_a_dormant_check_s_old_silence_leads_to_nothing() -> None:
    world = World(strategy=canary(last_bake=hours(2))).until_weight(50)
    world.until(lambda w: w.rollout.clocks.watched >= seconds(60))
    world.idle = True
    world.tick()
    world.idle = False

    world.until_phase(Phase.PROMOTED, ticks=2_000)


def test_a_router_that_converges_in_steps_has_not_drifted() -> None:
    world = World().until_next_tick_raises()
    world.lag = hours(9)
    world.tick()
    for weight in (20, 35, 50):
        world.advance(seconds(1))
        world.edit(weight)
        world.tick()

    assert world.said("drifted") == []
    assert world.phase is Phase.PROGRESSING


def test_a_hook_that_wants_to_be_asked_at_once_is_asked_once_a_second() -> None:
    asked = []
    world = World(strategy=BlueGreen(preview_hook="smoke", unguarded="its hook"))
    world.hook = lambda key: (
        asked.append(world.now) or (NotYet(world.now, "again") if len(asked) < 20 else Go())
    )
    world.until_phase(Phase.PROMOTED)

    assert world.now - START >= seconds(19)


def test_a_metric_that_lags_longer_than_preflight_still_answers() -> None:
    slow = Metric("error-rate", kind="ratio", lag=minutes(10))
    World(strategy=canary(checks=[Limit(slow, at_most=percent(2)), NoWorse(slow)])).until_weight(5)


def test_an_analysis_that_could_never_end_is_refused_and_a_waived_one_ends() -> None:
    watching = Analysis("watching", checks=[Limit(ERRORS, at_most=percent(2), observe=True)])
    guard = Analysis("guard", checks=[Limit(ERRORS, at_most=percent(90), id="guarding")])
    steps = [SetWeight(percent(10)), Analyze("watching"), SetWeight(percent(100)), Bake(minutes(1))]
    with pytest.raises(
        StrategyError,
        match="no deciding check of 'watching' can judge there, so it could never end",
    ):
        canary(weights=(), checks=(), steps=steps, analyses=[watching, guard], guards=["guard"])
    deciding = Analysis(
        "errors", checks=[Limit(ERRORS, at_most=percent(2), tolerance=Tolerance(then=Action.HOLD))]
    )
    steps = [SetWeight(percent(10)), Analyze("errors"), SetWeight(percent(100)), Bake(minutes(1))]
    world = World(
        strategy=canary(
            weights=(), checks=(), steps=steps, analyses=[deciding, guard], guards=["guard"]
        ),
        bad=0.05,
    )
    world.until_phase(Phase.HELD)
    world.say(
        Resume(
            at=world.now,
            cause="errors/error-rate",
            waive=("errors/error-rate",),
            by="eve",
            why="known",
        )
    )

    world.until_phase(Phase.PROMOTED)


@rule("R30")
def test_the_whole_s_deadline_can_t_wait() -> None:
    with pytest.raises(StrategyError, match="it is the last one"):
        canary(deadline=Deadline(within=hours(1), then=Action.WAIT))


@rule("R28")
def test_a_clock_that_steps_back_asks_a_hook_again() -> None:
    steps = [Hook("smoke"), SetWeight(percent(100)), Bake(minutes(1))]
    world = World(strategy=canary(weights=(), steps=steps))
    world.hook = lambda key: NotYet(world.now + minutes(5), "warming up")
    over(world, minutes(2))
    world.now -= hours(3)
    world.hook = lambda key: Go()
    began = world.now
    world.until_phase(Phase.PROMOTED)

    assert world.now - began < minutes(5)


def test_after_a_resume_everything_has_to_pass_anew() -> None:
    world = World(strategy=canary(checks=[Limit(ERRORS, at_most=percent(2))])).until_weight(5)
    over(world, minutes(1))
    world.say(Hold(at=world.now, by="eve", why="lunch"))
    world.say(Resume(at=world.now, by="eve", why="back"))

    assert [
        check_state.passes_at_weight for check_state in world.rollout.evidence.check_states
    ] == [0]


@rule("R18")
def test_what_a_clock_that_steps_back_leaves_unjudged_is_noted() -> None:
    world = World().until_weight(5)
    over(world, seconds(45))
    world.now -= minutes(2)
    world.tick()

    assert any("stepped back" in note.why for note in world.said("unjudged"))


def test_going_back_keeps_the_version_that_was_to_be_removed() -> None:
    from tests.support.world import RELEASE

    from progressive import ConflictError, Ports, start, tick
    from progressive.testing import (
        MemoryFleet,
        MemoryRouter,
        MemoryStore,
        ScriptedMetrics,
        VirtualClock,
        steady,
    )

    script = ScriptedMetrics({ERRORS: steady(50, stable=0.001, candidate=0.001)})
    ports = Ports(
        router=MemoryRouter(),
        metrics=[script],
        store=MemoryStore(),
        clock=VirtualClock(START),
        fleet=MemoryFleet(),
    )
    start(canary(retire_after=hours(24), weights=percents(100)), RELEASE, id="there", ports=ports)
    while (decision := tick("there", ports)).rollout.phase is not Phase.PROMOTED:
        ports.clock.until(decision.wake_at)  # type: ignore[attr-defined]
    start(canary(), RELEASE.reversed(), id="back", ports=ports)

    assert ports.store.load("there").over
    with pytest.raises(ConflictError, match="active rollout"):
        start(canary(), RELEASE.next(RELEASE.candidate.__class__("v3")), id="third", ports=ports)


def test_tracks_are_named_as_the_messages_name_them() -> None:
    assert Track.STABLE.label(World().rollout.release) == "stable (v1)"
    assert decide(World().rollout).commands
