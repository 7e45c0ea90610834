"""Where a rollout stands, as a person reads it."""

from __future__ import annotations

from tests.support.world import World


def test_the_status_says_what_is_waited_for_since_when_until_when_and_then_what() -> None:
    world = World().until_weight(5)
    status = world.rollout.status

    assert str(status).startswith(
        "progressing: step 2 of 6 (bake-5), asked 5 %, router says 5 %; waits for a bake "
        "of 2 min, watched since"
    )
    assert status.waiting is not None
    assert status.waiting.then == "roll back"
