"""What people may say, and when."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from tests.support.moments import over, refused
from tests.support.rules import rule
from tests.support.world import ERRORS, START, World, canary

from progressive import (
    Abort,
    Action,
    Approve,
    BlueGreen,
    Deadline,
    Hold,
    Limit,
    NoWorse,
    Phase,
    PromoteNow,
    Reject,
    Resume,
    Skip,
    Tolerance,
    decide,
    hours,
    minutes,
    percent,
    seconds,
)
from progressive.rollout.notes import Refused
from progressive.steps import Approval, Bake, SetWeight


@rule("R27")
@pytest.mark.parametrize(
    "phase", [Phase.PENDING, Phase.PROGRESSING, Phase.HELD, Phase.ROLLING_BACK]
)
def test_every_word_is_taken_or_clearly_refused_in_every_phase_and_twice_is_once(
    phase: Phase,
) -> None:
    world = World()
    if phase is not Phase.PENDING:
        world.until_weight(5)
    if phase is Phase.HELD:
        world.say(Hold(at=world.now, cause="lunch", by="eve", why="lunch"))
    if phase is Phase.ROLLING_BACK:
        world.unwritable = True
        world.say(Abort(at=world.now, by="eve", why="now"))
    rollout, at = world.rollout, world.now
    assert rollout.phase is phase
    said = {
        "abort": Abort(at=at, by="eve", why="why"),
        "approve": Approve(at=at, approval="go", by="eve", why="why"),
        "reject": Reject(at=at, approval="go", by="eve", why="why"),
        "hold": Hold(at=at, cause="dinner", by="eve", why="why"),
        "resume": Resume(at=at, cause="lunch", by="eve", why="why"),
        "skip": Skip(at=at, epoch=rollout.epoch, by="eve", why="why"),
        "promote_now": PromoteNow(
            at=at, by="eve", why="why", waive=("hold:lunch",) if phase is Phase.HELD else ()
        ),
    }
    taken = {
        name
        for name, event in said.items()
        if not isinstance(decide(rollout, event).notes[0], Refused)
    }
    for event in said.values():
        once = decide(rollout, event).rollout
        twice = decide(once, event)
        assert any(isinstance(note, Refused) for note in twice.notes), event
        assert twice.rollout.phase is once.phase

    assert (
        taken
        == {
            Phase.PENDING: {"abort", "hold"},
            Phase.PROGRESSING: {"abort", "hold", "skip", "promote_now"},
            Phase.HELD: {"abort", "hold", "resume", "promote_now"},
            Phase.ROLLING_BACK: set(),
        }[phase]
    )


@rule("R27")
def test_an_approval_that_races_an_abort_loses() -> None:
    from progressive import Action, BlueGreen, hours
    from progressive.steps import Approval

    strategy = BlueGreen(
        approval=Approval("go", within=hours(1), otherwise=Action.ROLL_BACK), unguarded="a race"
    )
    world = World(strategy=strategy).until(lambda w: w.rollout.phase is Phase.PROGRESSING)
    at = world.now
    both = (Approve(at=at, approval="go", by="bob", why="good"), Abort(at=at, by="eve", why="bad"))
    one, other = decide(world.rollout, *both), decide(world.rollout, *reversed(both))

    assert one == other
    assert one.rollout.phase is Phase.ROLLING_BACK


@rule("R27")
def test_a_skip_of_an_older_epoch_is_stale() -> None:
    world = World().until_weight(5)
    stale = Skip(at=world.now, epoch=world.rollout.epoch - 1, by="eve", why="why")
    assert "look again" in str(decide(world.rollout, stale).notes[0])
    world.say(attrs.evolve(stale, epoch=world.rollout.epoch))
    world.until_weight(50)

    assert world.now - START < minutes(2)


def test_a_hold_before_the_start_comes_back_to_preflight() -> None:
    world = World()
    world.say(Hold(at=world.now, by="eve", why="not yet"))
    world.until(lambda w: w.now - START > minutes(10))
    assert world.writes == []
    world.say(Resume(at=world.now, by="eve", why="now"))

    world.until_phase(Phase.PROMOTED)


@rule("R45")
def test_promote_now_does_not_go_round_preflight() -> None:
    """Found by the state machine: held before the start, it went on without one read of the
    router.
    """
    world = World()
    world.say(Hold(at=world.now, by="eve", why="not yet"))
    refused = world.say(PromoteNow(at=world.now, waive=("person",), by="eve", why="now")).notes

    assert "preflight is not over" in str(refused[0])
    assert world.phase is Phase.HELD


def test_several_causes_are_resumed_one_by_one() -> None:
    world = World().until_weight(5)
    for cause in ("lunch", "audit"):
        world.say(Hold(at=world.now, cause=cause, by="eve", why=cause))
    world.say(Resume(at=world.now, cause="lunch", by="eve", why="back"))
    assert world.phase is Phase.HELD
    world.say(Resume(at=world.now, cause="audit", by="eve", why="done"))

    assert world.phase is Phase.PROGRESSING


@rule("R45")
def test_nobody_promotes_past_preflight() -> None:
    world = World(silent=True)
    world.tick()
    world.say(Hold(at=world.now, by="eve", why="wait"))
    refused = world.say(PromoteNow(at=world.now, waive=("hold:person",), by="eve", why="now"))

    assert "preflight is not over" in str(refused.notes[0])


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


def test_after_a_resume_everything_has_to_pass_anew() -> None:
    world = World(strategy=canary(checks=[Limit(ERRORS, at_most=percent(2))])).until_weight(5)
    over(world, minutes(1))
    world.say(Hold(at=world.now, by="eve", why="lunch"))
    world.say(Resume(at=world.now, by="eve", why="back"))

    assert [
        check_state.passes_at_weight for check_state in world.rollout.evidence.check_states
    ] == [0]


def test_an_approval_is_given_once() -> None:
    asks = BlueGreen(approval=Approval("go", within=hours(1), otherwise=Action.HOLD))
    world = World(strategy=asks)
    yes = Approve(at=world.now, approval="go", by="bob", why="seen")
    world.say(yes)

    assert "'go' is approved already" in refused(world, yes)


def test_words_that_can_t_be_taken_say_why() -> None:
    world = World(strategy=canary(retire_after=hours(1))).until_weight(5)
    who: dict[str, Any] = {"at": world.now, "by": "eve", "why": "she knows"}
    assert "waive: there is no 'lunch'" in refused(world, PromoteNow(waive=("lunch",), **who))
    world.lag = minutes(1)
    world.until(lambda w: w.rollout.status.step == "weight-50")
    assert "step 'weight-50' can't be skipped" in refused(
        world, Skip(epoch=world.rollout.epoch, **who | {"at": world.now})
    )
    world.lag = seconds(0)
    world.say(Hold(**who | {"at": world.now}))
    assert "not held for 'lunch' but for ['person']" in refused(
        world, Resume(cause="lunch", **who | {"at": world.now})
    )
    world.say(Resume(**who | {"at": world.now}))
    world.until_phase(Phase.PROMOTED)

    assert "an Abort keeps stable (v1) from being removed" in refused(
        world, Hold(**who | {"at": world.now})
    )


def test_a_resume_after_the_whole_s_time_gives_it_that_time_again() -> None:
    strategy = canary(bake=minutes(4), deadline=Deadline(within=minutes(6), then=Action.HOLD))
    world = World(strategy=strategy).until_phase(Phase.HELD)
    assert [cause.name for cause in world.rollout.progress.causes] == ["deadline:rollout"]
    world.say(Resume(at=world.now, cause="deadline:rollout", by="eve", why="it is nearly there"))
    assert world.rollout.clocks.ran == seconds(0)

    world.until_weight(100)


def test_nobody_approves() -> None:
    steps = [
        SetWeight(percent(10)),
        Approval("go", within=hours(2), otherwise=Action.ROLL_BACK),
        SetWeight(percent(100)),
        Bake(minutes(1)),
    ]
    world = World(
        strategy=canary(weights=(), steps=steps, interval=minutes(5), watch_every=minutes(10))
    ).until_phase(Phase.ROLLED_BACK)

    assert "somebody to approve 'go'" in world.rollout.progress.reason


def test_an_approval_that_comes_early_is_remembered_and_a_rejection_goes_back() -> None:
    steps = [
        SetWeight(percent(10)),
        Approval("go", within=hours(2), otherwise=Action.ROLL_BACK),
        SetWeight(percent(100)),
        Bake(minutes(1)),
    ]
    early = World(strategy=canary(weights=(), steps=steps))
    early.say(Approve(at=early.now, approval="go", by="eve", why="seen in staging"))
    early.until_phase(Phase.PROMOTED)
    assert early.now - START < minutes(5)

    rejected = World(strategy=canary(weights=(), steps=steps)).until_weight(10)
    rejected.say(Reject(at=rejected.now, approval="go", by="eve", why="the texts are wrong"))
    rejected.until_phase(Phase.ROLLED_BACK)
    assert rejected.rollout.progress.reason == "'go' was rejected: the texts are wrong"


def test_a_failed_sequential_check_must_be_waived_by_name_to_resume() -> None:
    from progressive import Action

    strict = NoWorse(ERRORS, tolerance=Tolerance(in_a_row=1, then=Action.HOLD))
    world = World(
        strategy=canary(checks=[strict, Limit(ERRORS, at_most=percent(90))]), bad=0.3
    ).until_phase(Phase.HELD)
    cause = world.rollout.progress.causes[0].name
    refused = world.say(Resume(at=world.now, cause=cause, by="eve", why="it is fine")).notes
    assert "harm is proven by checks/error-rate-no-worse" in str(refused[0])
    world.say(
        Resume(
            at=world.now,
            cause=cause,
            waive=("error-rate-no-worse",),
            by="eve",
            why="known and accepted",
        )
    )

    world.until_phase(Phase.PROMOTED)


def test_promote_now_names_what_stands_against_it() -> None:
    world = World(
        strategy=canary(checks=[Limit(ERRORS, plain=True, at_most=percent(2))]), bad=0.001
    ).until_weight(5)
    world.advance(seconds(30))
    world.bad = 0.2
    world.tick()
    refused = world.say(PromoteNow(at=world.now, by="eve", why="now")).notes
    assert "checks/error-rate stand against it" in str(refused[0])
    world.bad = 0.001
    world.say(PromoteNow(at=world.now, waive=("error-rate",), by="eve", why="now"))
    world.until_weight(100)

    assert world.rollout.progress.waived == ("error-rate",)
