"""Where a rollout stands, as a person reads it."""

from __future__ import annotations

import attrs
import pytest
from tests.support.world import START, World

from progressive import Abort, Action, BlueGreen, ExitCode, Hold, Outcome, Phase, hours
from progressive.steps import Approval


def test_the_status_says_what_is_waited_for_since_when_until_when_and_then_what() -> None:
    world = World().until_weight(5)
    status = world.rollout.status

    assert str(status).startswith(
        "progressing: step 2 of 6 (bake-5), asked 5 %, router says 5 %; waits for a bake "
        "of 2 min, watched since"
    )
    assert status.waiting is not None
    assert status.waiting.then == "roll back"


def test_a_rollout_reads_as_one_line() -> None:
    world = World()
    assert (
        repr(world.rollout)
        == "<Rollout 'r' serial 0: pending: step 1 of 6 (weight-5), asked 0 %, router says unknown>"
    )
    world.until_weight(50)
    assert str(world.rollout.status) == (
        "progressing: step 4 of 6 (bake-50), asked 50 %, router says 50 %; "
        "waits for a bake of 2 min, watched since 12:02:00, until 13:04:00, then roll back"
    )
    world.say(Hold(at=world.now, by="eve", why="lunch"))
    assert str(world.rollout.status).endswith(
        "somebody to resume person (lunch) since 12:02:00, until 2026-03-02 12:02:05, then "
        "roll back (person: lunch)"
    )
    world.say(Abort(at=world.now, by="eve", why="bad"))
    world.until_phase(Phase.ROLLED_BACK)
    assert (
        str(world.rollout.status)
        == "rolled_back: step 4 of 6 (bake-50), asked 0 %, router says 0 % (aborted: bad)"
    )


@pytest.mark.parametrize(
    ("phase", "person", "code"),
    [
        (Phase.PENDING, False, ExitCode.BUDGET_SPENT),
        (Phase.PROGRESSING, False, ExitCode.BUDGET_SPENT),
        (Phase.HELD, True, ExitCode.WAITS_FOR_PERSON),
        (Phase.ROLLING_BACK, False, ExitCode.NOT_VERIFIED),
        (Phase.PROMOTED, False, ExitCode.PROMOTED),
        (Phase.ROLLED_BACK, False, ExitCode.ROLLED_BACK),
    ],
)
def test_an_outcome_has_an_exit_code(phase: Phase, person: bool, code: ExitCode) -> None:
    rollout = World().until_weight(5).rollout
    there = attrs.evolve(rollout, progress=attrs.evolve(rollout.progress, phase=phase))
    outcome = Outcome.of(there)

    assert (outcome.exit_code, there.waits_for_person, outcome.promoted) == (
        code,
        person,
        phase is Phase.PROMOTED,
    )
    assert str(outcome) == f"r: {there.status}"


def test_what_never_wrote_was_wrong_input_and_an_approval_waits_for_a_person() -> None:
    refused = World(permanent=True, unreadable=True)
    refused.say(Abort(at=START, by="eve", why="the wrong service"))
    assert Outcome.of(refused.rollout).exit_code is ExitCode.WRONG_INPUT
    asks = BlueGreen(approval=Approval("go", within=hours(1), otherwise=Action.HOLD))
    world = World(strategy=asks).until(lambda w: w.phase is Phase.PROGRESSING)

    assert Outcome.of(world.rollout).exit_code is ExitCode.WAITS_FOR_PERSON
