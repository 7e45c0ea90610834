"""What is asked of the router and what is believed of it."""

from __future__ import annotations

import attrs
import pytest
from tests.support.moments import in_the_first_bake, over
from tests.support.rules import rule
from tests.support.world import RELEASE, START, World, canary

from progressive import (
    Abort,
    Canary,
    Hold,
    Match,
    Phase,
    Release,
    Resume,
    StrategyError,
    Traffic,
    Version,
    begin,
    decide,
    hours,
    minutes,
    percent,
    percents,
    seconds,
)
from progressive.errors import ConflictError
from progressive.model import Capabilities, Percent
from progressive.model.replace import evolve
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import Track
from progressive.plan.validation import capability_problems
from progressive.rollout.events import RouterApplied, RouterRead, Tick
from progressive.rollout.notes import Drifted
from progressive.steps import Bake, Pause, SetWeight


@rule("R1")
def test_the_candidate_never_gets_more_than_its_step() -> None:
    world = World().until_phase(Phase.PROMOTED)

    assert [traffic.candidate for _, traffic in world.writes] == list(percents(0, 5, 50, 100))


@rule("R2")
def test_two_drivers_and_an_abort_at_every_moment_of_a_raise() -> None:
    for pause_at in range(8):
        world = World().until_next_tick_raises()
        slow = world.moves()
        for _ in range(pause_at):
            next(slow, None)
        if world.phase is Phase.PROGRESSING:
            world.say(Abort(at=world.now, by="eve", why="now"))
        world.until_phase(Phase.ROLLED_BACK)
        try:
            for _ in slow:
                pass
        except ConflictError:
            pass

        assert world.candidate == percent(0), f"paused before move {pause_at}"


@rule("R3")
def test_a_repeated_tick_changes_nothing_in_the_world() -> None:
    world = World().until_weight(50)
    before = (world.traffic, world.revision, len(world.writes))
    for _ in range(5):
        world.tick()

    assert (world.traffic, world.revision, len(world.writes)) == before


@rule("R3")
def test_every_command_done_twice_and_every_reply_delivered_twice() -> None:
    world = World(duplicate=True).until_phase(Phase.PROMOTED)

    assert world.candidate == percent(100)


@rule("R7")
def test_a_router_whose_parts_disagree_is_never_done() -> None:
    world = World().until_weight(5)
    wanted = world.served()
    partly = attrs.evolve(wanted, converged=False)
    decision = decide(
        world.rollout,
        Tick(at=world.now + seconds(1)),
        RouterRead(at=world.now + seconds(1), served=partly),
    )

    assert decision.rollout.routing.verified_since is None


@rule("R8")
@pytest.mark.parametrize("weight", [0, 1, 4])
def test_drift_below_is_put_right_once_and_held_the_second_time(weight: int) -> None:
    world = World().until_weight(5)
    world.edit(weight)
    world.until_weight(5)
    world.edit(weight)
    world.until_phase(Phase.HELD)

    assert [cause.name for cause in world.rollout.progress.causes] == ["drift"]
    assert world.candidate == percent(weight)


@rule("R8")
def test_drift_above_is_written_down_at_once_and_the_third_time_goes_back() -> None:
    world = World().until_weight(5)
    for _ in range(2):
        world.edit(80)
        world.tick()
        assert world.candidate == percent(5)
        world.advance(seconds(30))
    world.edit(80)
    world.tick()

    assert world.phase is Phase.ROLLED_BACK
    assert "3 times" in world.rollout.progress.reason


@rule("R8")
def test_edited_and_put_back_between_two_ticks_starts_the_bake_anew() -> None:
    world = World().until_weight(5)
    world.advance(seconds(50))
    world.tick()
    world.advance(seconds(50))
    world.tick()
    world.edit(100)
    world.edit(5)
    world.advance(seconds(30))
    world.tick()

    assert world.rollout.clocks.watched == seconds(0)
    assert "edited and put back" in str(world.said("drifted")[-1])


@rule("R9")
def test_a_track_that_runs_something_else_is_held() -> None:
    world = World().until_weight(5)
    other = attrs.evolve(world.served(), identities=((Track.CANDIDATE, "v3"),))
    decision = decide(world.rollout, Tick(at=world.now), RouterRead(at=world.now, served=other))

    assert decision.rollout.phase is Phase.HELD
    assert "candidate (v2) really runs v3" in decision.rollout.progress.reason


@rule("R10")
def test_the_release_is_captured_before_the_first_write_and_never_changes() -> None:
    world = World()
    seen = set()
    for _ in range(60):
        seen.add(world.rollout.release)
        if world.tick() is None or world.rollout.wake_at is None:
            break
        world.now = max(world.now + seconds(1), world.rollout.wake_at or world.now)

    assert seen == {RELEASE}
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        world.rollout.release = RELEASE.reversed()  # type: ignore[misc]


@rule("R12")
@pytest.mark.parametrize("smallest", [percent(1), percent(5), percent(0.1), percent(100)])
def test_a_weight_that_the_router_can_t_hold_is_named_and_never_rounded(smallest: Percent) -> None:
    plan = canary(weights=percents(0.5, 7.5, 50, 100)).plan
    named = list(capability_problems(plan, Capabilities(smallest_weight=smallest)))

    wrong = [w for w in percents(0.5, 7.5, 50, 100) if w.ppm % smallest.ppm]
    assert len(named) == len(wrong)
    assert all(str(weight) in line for weight, line in zip(wrong, named, strict=True))


@rule("R12")
def test_shares_always_add_up_to_all() -> None:
    traffic = Traffic(candidate=percent(33.3333), baseline=percent(33.3333))

    assert traffic.stable.ppm + traffic.candidate.ppm + traffic.baseline.ppm == 1_000_000
    with pytest.raises(StrategyError, match="more than 100 %"):
        Traffic(candidate=percent(60), baseline=percent(60))


@rule("R11")
def test_an_abort_needs_nothing_but_the_router() -> None:
    world = World().until_weight(50)
    world.silent = True
    world.tick(Abort(at=world.now, by="eve", why="now"))

    assert world.phase is Phase.ROLLED_BACK


def test_a_hold_during_a_raise_goes_back_to_what_was_verified() -> None:
    world = World().until_weight(5)
    world.unwritable = True
    world.until(lambda world: world.rollout.routing.desired.candidate == percent(50))
    world.say(Hold(at=world.now, by="eve", why="wait"))
    world.heal()
    world.tick()

    assert world.rollout.routing.desired.candidate == percent(5) == world.candidate
    world.say(Resume(at=world.now, by="eve", why="go on"))
    world.until_phase(Phase.PROMOTED)


def test_a_raise_that_shows_late_is_written_down_while_held() -> None:
    world = World().until_weight(5)
    world.lag = minutes(3)
    world.until(lambda world: bool(world.coming))
    world.lag = seconds(0)
    world.say(Hold(at=world.now, by="eve", why="wait"))
    world.now = world.coming[0][0]
    world.tick()

    assert world.candidate == percent(5)


def test_rollback_now_beside_a_sleeping_driver_stays_rolled_back() -> None:
    for pause_at in range(8):
        world = World().until_next_tick_raises()
        slow = world.moves()
        for _ in range(pause_at):
            next(slow, None)
        world.rollback_now()
        try:
            for _ in slow:
                pass
        except ConflictError:
            pass
        world.until_phase(Phase.ROLLED_BACK, Phase.PROMOTED)

        assert world.phase is Phase.ROLLED_BACK, f"paused before move {pause_at}"
        assert world.candidate == percent(0)
        assert "closed" in world.rollout.progress.reason


def test_the_store_down_during_an_abort_stays_aborted() -> None:
    world = World().until_weight(50)
    world.store_down = True
    world.tick(Abort(at=world.now, by="eve", why="now"))
    assert world.candidate == percent(0)
    assert world.phase is Phase.PROGRESSING, "nothing could be stored"
    world.ghost.aborted = True
    world.heal()
    world.until_phase(Phase.ROLLED_BACK)

    assert "closed" in world.rollout.progress.reason
    assert world.writes[-1][1] == Traffic()
    assert world.candidate == percent(0)


def test_another_rollout_that_claimed_the_router_is_left_alone() -> None:
    world = World().until_weight(5)
    world.marker = Marker(generation=9)
    world.edit(30)
    writes = len(world.writes)
    world.advance(seconds(30))
    world.tick()

    assert world.phase is Phase.ROLLED_BACK
    assert "superseded" in world.rollout.progress.reason
    assert len(world.writes) == writes


def test_a_router_that_refuses_is_held_and_then_taken_back() -> None:
    world = World().until_weight(5)
    world.permanent = True
    world.until_phase(Phase.HELD)
    assert "403" in world.rollout.progress.reason
    world.until_phase(Phase.ROLLING_BACK)
    world.heal()
    world.until_phase(Phase.ROLLED_BACK)

    assert world.now - world.writes[0][0] > minutes(60)


def test_a_router_that_can_t_be_read_for_fifteen_minutes_goes_back() -> None:
    world = World().until_weight(5)
    world.unreadable = True
    world.until_phase(Phase.ROLLED_BACK, Phase.ROLLING_BACK)

    assert "could not be read" in world.rollout.progress.reason


def test_a_first_deployment_is_refused_with_a_reason() -> None:
    from progressive import begin

    with pytest.raises(StrategyError, match="nothing to return to"):
        begin(
            canary().plan,
            Release(service="shop", stable=None, candidate=Version("v1")),
            id="x",
            at=World().now,
        )


def test_a_share_elsewhere_is_drift() -> None:
    world = World().until_weight(5)
    odd = attrs.evolve(world.served(), unattributed=percent(10))
    decision = decide(world.rollout, Tick(at=world.now), RouterRead(at=world.now, served=odd))

    assert "10 % elsewhere" in str(decision.notes[-1])
    assert decision.rollout.routing.verified_since is None


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


@rule("R8")
def test_drift_below_is_put_right_once_in_every_step_and_not_once_in_all() -> None:
    world = in_the_first_bake()
    world.edit(1)
    world.until_weight(50).until(lambda world: world.rollout.progress.step == 3)
    assert not world.rollout.routing.reasserted

    world.edit(5)
    world.until_weight(50)

    assert world.phase is Phase.PROGRESSING
    assert world.rollout.routing.reasserted


@rule("R8")
def test_too_much_before_it_was_ever_verified_is_drift_and_what_we_wrote_ourselves_is_not() -> None:
    world = in_the_first_bake()
    rollout = evolve(
        world.rollout,
        routing=evolve(
            world.rollout.routing,
            verified_since=None,
            observed=Served(traffic=Traffic(), version="3"),
        ),
    )
    at, high = rollout.clocks.now, Served(traffic=Traffic(candidate=percent(80)), version="4")

    read = decide(rollout, RouterRead(at=at, served=high))
    wrote = decide(
        rollout,
        RouterApplied(at=at, epoch=rollout.epoch, traffic=rollout.routing.desired, served=high),
    )

    assert [note.why for note in read.notes if isinstance(note, Drifted)] == [
        "asked for 5 % candidate, the router serves 80 % candidate"
    ]
    assert not any(isinstance(note, Drifted) for note in wrote.notes)


@rule("R9")
def test_tracks_that_run_what_the_release_says_are_no_reason_to_stop() -> None:
    world = World().until_weight(5)
    right = attrs.evolve(
        world.served(),
        identities=((Track.STABLE, "v1"), (Track.CANDIDATE, "v2"), (Track.BASELINE, "whatever")),
    )
    assert (
        decide(
            world.rollout, Tick(at=world.now), RouterRead(at=world.now, served=right)
        ).rollout.phase
        is Phase.PROGRESSING
    )
    new = World()
    right = attrs.evolve(new.served(), identities=((Track.STABLE, "v1"), (Track.CANDIDATE, "v2")))

    assert (
        decide(new.rollout, Tick(at=new.now), RouterRead(at=new.now, served=right)).rollout.phase
        is Phase.PENDING
    )


def test_a_read_from_before_the_last_answer_proves_nothing() -> None:
    """A caller's own queue may bring it late: it must not be taken for the read-back."""
    world = World().until_weight(5)
    old = RouterRead(at=world.now, served=Served(traffic=Traffic(), marker=world.marker))
    world.until_weight(50)
    world.lag = minutes(5)
    world.say(Abort(at=world.now, by="eve", why="enough"))
    world.tick()
    assert world.phase is Phase.ROLLING_BACK

    decision = decide(world.rollout, old)

    assert decision.rollout.phase is Phase.ROLLING_BACK
    assert [note.kind for note in decision.notes] == ["refused"]


def test_a_pause_of_nothing_only_parts_two_steps() -> None:
    steps = [SetWeight(percent(5)), Pause(seconds(0)), SetWeight(percent(100)), Pause(seconds(1))]
    world = World(strategy=Canary(steps=steps, unguarded="pauses are tried"))

    assert world.until_phase(Phase.PROMOTED)


@rule("R1")
@pytest.mark.parametrize("served", [5, 20])
def test_a_hold_never_puts_a_removed_part_back(served: float) -> None:
    """Whatever a stranger takes away in a hold stays away, also while he raises something else."""
    header = Match(name="x-beta", value="1")
    steps = [SetWeight(percent(10), matches=[header]), Bake(hours(1)), SetWeight(percent(100))]
    strategy = Canary(steps=[*steps, Bake(hours(1))], unguarded="holds are tried")
    world = World(strategy=strategy)
    world.until(
        lambda world: (
            world.traffic.candidate == percent(10)
            and world.rollout.routing.verified_since is not None
        )
    )
    assert world.traffic.matches
    world.say(Hold(at=world.now, by="eve", why="lunch"))
    world.tick()
    world.edit(served)
    world.advance(seconds(20))
    world.tick()

    assert all(traffic.matches == () for at, traffic in world.writes if at == world.now)
    assert world.traffic == Traffic(candidate=percent(min(served, 10)))


def test_an_answer_to_a_write_that_nobody_made_is_refused() -> None:
    rollout = begin(canary().plan, RELEASE, id="r", at=START)
    answer = RouterApplied(
        at=START, epoch=0, traffic=Traffic(), served=Served(traffic=Traffic(), version="1")
    )
    decision = decide(rollout, answer)

    assert "nothing was written yet" in str(decision.notes[0])
    assert not decision.rollout.routing.ownership_confirmed
