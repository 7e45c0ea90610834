"""Before the first per cent, and what people may say when."""

from __future__ import annotations

import attrs
import pytest
from tests.support.rules import rule
from tests.support.world import START, World, canary

from progressive import (
    Abort,
    Approve,
    Hold,
    Phase,
    PromoteNow,
    Reject,
    Resume,
    Skip,
    Tick,
    decide,
    minutes,
    percent,
    seconds,
)
from progressive.model.router_state import Marker
from progressive.model.traffic import Track
from progressive.rollout.events import Inspected, RouterRead
from progressive.rollout.notes import EventRecorded, Refused


@rule("R45")
def test_nothing_is_written_before_the_metrics_answer() -> None:
    world = World(silent=True)
    world.until(lambda w: w.now - START > minutes(2))
    assert world.writes == []
    world.until_phase(Phase.ROLLED_BACK)

    assert world.writes == []
    assert "error-rate (503 from the metrics system)" in world.rollout.progress.reason
    assert minutes(5) <= world.now - START <= minutes(6)


@rule("R45")
def test_a_stable_without_data_is_not_watched_by_anybody() -> None:
    world = World(night=True).until_phase(Phase.ROLLED_BACK)

    assert "to answer for stable (v1)" in world.rollout.progress.reason


@rule("R45")
def test_the_router_must_take_a_write_that_changes_nothing() -> None:
    world = World(unwritable=True).until_phase(Phase.ROLLING_BACK, Phase.ROLLED_BACK)

    assert "took longer than" in world.rollout.progress.reason
    refused = World(permanent=True).until_phase(Phase.ROLLED_BACK)
    assert "can't be written: 403" in refused.rollout.progress.reason


@rule("R45")
def test_live_traffic_must_really_be_on_stable() -> None:
    world = World()
    world.edit(30)
    world.until_phase(Phase.ROLLED_BACK)

    assert world.writes == []
    assert "live traffic is not all on stable (v1)" in world.rollout.progress.reason
    assert world.candidate == percent(30), "nothing was touched"


@rule("R45")
def test_what_is_not_bound_ends_it_before_anything_is_touched() -> None:
    world = World()
    unbound = Inspected(at=world.now, problems=("hook 'smoke': nothing is bound to it",))
    decision = decide(world.rollout, Tick(at=world.now), unbound)

    assert decision.rollout.phase is Phase.ROLLED_BACK
    assert "hook 'smoke'" in decision.rollout.progress.reason
    assert decision.commands == ()


@rule("R9", "R45")
def test_stable_must_run_what_the_release_says() -> None:
    world = World()
    served = attrs.evolve(world.served(), identities=((Track.STABLE, "v0"),))
    decision = decide(world.rollout, Tick(at=world.now), RouterRead(at=world.now, served=served))

    assert "stable (v1) really runs v0" in decision.rollout.progress.reason


@rule("R45")
def test_the_claim_is_one_generation_above_what_is_there() -> None:
    world = World(marker=Marker(generation=41, serial=7, closed=True)).until_weight(5)

    assert world.marker is not None
    assert (world.marker.generation, world.marker.closed) == (42, False)


@rule("R46")
def test_every_decision_explains_itself() -> None:
    world = World(bad=0.3).until_phase(Phase.ROLLED_BACK)
    reasons = [note for note in world.notes if note.kind in ("entered", "asked", "judged")]

    assert reasons
    assert all(note.why for note in reasons)
    failing = next(
        note
        for note in world.said("judged")
        if note.verdict == "fail" and note.check == "error-rate-no-worse"
    )
    assert {
        "candidate_events",
        "candidate_trials",
        "control_events",
        "control_trials",
        "log_evidence",
        "alpha",
    } <= dict(failing.numbers).keys()


@rule("R46")
def test_every_look_and_every_word_from_outside_is_in_the_trail_word_for_word() -> None:
    world = World().until_weight(5)
    hold = Hold(at=world.now, by="eve", why="lunch")
    world.say(hold)
    told = [note.event for note in world.said("happened") if isinstance(note, EventRecorded)]

    assert hold in told
    assert [event for event in told if event.kind == "measured"] == world.answers


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


def test_the_status_says_what_is_waited_for_since_when_until_when_and_then_what() -> None:
    world = World().until_weight(5)
    status = world.rollout.status

    assert str(status).startswith(
        "progressing: step 2 of 6 (bake-5), asked 5 %, router says 5 %; waits for a bake "
        "of 2 min, watched since"
    )
    assert status.waiting is not None
    assert status.waiting.then == "roll back"


@pytest.mark.parametrize("by", ["", " "])
def test_a_person_has_a_name_and_a_reason(by: str) -> None:
    from progressive import StrategyError

    with pytest.raises(StrategyError, match="says nothing; the audit trail needs who and why"):
        Abort(at=START, by=by, why="why")


def test_watched_time_survives_a_resume() -> None:
    world = World().until_weight(5)
    world.advance(seconds(30))
    world.tick()
    world.advance(seconds(30))
    world.tick()
    watched = world.rollout.clocks.watched
    assert watched >= seconds(30)
    world.say(Hold(at=world.now, by="eve", why="lunch"))
    world.until(lambda w: w.now - START > minutes(30))
    assert world.rollout.clocks.watched == watched, "held time is not bake time"
    world.say(Resume(at=world.now, by="eve", why="back"))
    resumed = world.now
    world.until_weight(50)

    assert world.now - resumed <= minutes(2) - watched + seconds(60)


def test_strategies_of_the_tests_are_what_they_seem() -> None:
    assert [step.id for step in canary().plan.steps] == [
        "weight-5",
        "bake-5",
        "weight-50",
        "bake-50",
        "weight-100",
        "bake-100",
    ]
