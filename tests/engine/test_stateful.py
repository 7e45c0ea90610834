"""Any order of faults, clocks, drivers, strangers and people's words: what must never happen
doesn't, and once healed it comes to an end.

`World` itself raises where a promise is broken, at each write and each save. Each run enables a
random part of the faults (otherwise aborts end most runs early, and deep states starve). A larger
search: ``PROGRESSIVE_EXAMPLES=3000 pytest tests/engine/test_stateful.py``.
"""

from __future__ import annotations

import os
import random
from collections.abc import Generator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import Phase as Stage
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.support import wild
from tests.support.rules import rule as promise
from tests.support.world import World

from progressive import (
    Abort,
    Approve,
    ClosedUntil,
    Go,
    Hold,
    NotYet,
    Open,
    Phase,
    PromoteNow,
    Reject,
    Resume,
    Skip,
    minutes,
    seconds,
)
from progressive.errors import ConflictError
from progressive.model.traffic import Traffic
from progressive.testing.faults.soaking import ended

pytestmark = pytest.mark.walk

SWITCHES = (
    "unreadable",
    "unwritable",
    "lose_reply",
    "silent",
    "idle",
    "night",
    "store_down",
    "duplicate",
)
CLASSES = (
    *SWITCHES,
    "lag",
    "kill",
    "pause",
    "clock",
    "edit",
    "people",
    "abort",
    "bad",
    "by_hand",
    "late",
    "no_compare",
    "shuffle",
)
SECONDS = st.sampled_from([0.001, 1, 5, 29, 30, 45, 119, 200, 1_000])


class Faults(RuleBasedStateMachine):
    """One rollout in a world in which everything may go wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.enabled: frozenset[str] = frozenset()
        self.paused: list[Generator[Any, None, Any]] = []

    # ------------------------------------------------------------------------------------ the swarm

    @initialize(
        strategy=st.sampled_from(wild.STRATEGIES),
        enabled=st.frozensets(st.sampled_from(CLASSES), max_size=9),
        seed=st.integers(0, 999),
    )
    def begin(self, strategy: Any, enabled: frozenset[str], seed: int) -> None:
        self.enabled = enabled
        self.world = World(strategy=strategy)
        self.world.compare_and_set = "no_compare" not in enabled
        self.world.shuffle = random.Random(seed) if "shuffle" in enabled else None
        note(f"{strategy.kind}: {', '.join(sorted(enabled))}")

    def on(self, fault: str) -> bool:
        return fault in self.enabled

    # ---------------------------------------------------------------------------------- the drivers

    @rule(times=st.integers(1, 4))
    def drive(self, times: int) -> None:
        """Tick as a driver does, each time at ``wake_at``."""
        for _ in range(times):
            self.world.tick()
            wake = self.world.rollout.wake_at
            if wake is None:
                break
            self.world.now = max(self.world.now + timedelta(milliseconds=1), wake)

    @rule()
    def tick_now(self) -> None:
        self.world.tick()

    @precondition(lambda self: self.on("kill"))
    @rule(move=st.integers(0, 6))
    def tick_and_die(self, move: int) -> None:
        self.world.tick(kill_before=move)

    @precondition(lambda self: self.on("pause") and len(self.paused) < 3)
    @rule(moves=st.integers(1, 5))
    def another_driver_falls_asleep(self, moves: int) -> None:
        driver = self.world.moves()
        try:
            for _ in range(moves):
                next(driver)
        except (StopIteration, ConflictError):
            return
        self.paused.append(driver)

    @precondition(lambda self: self.paused)
    @rule(which=st.integers(0, 2), moves=st.integers(1, 9))
    def it_wakes_up(self, which: int, moves: int) -> None:
        driver = self.paused.pop(which % len(self.paused))
        try:
            for _ in range(moves):
                next(driver)
        except (StopIteration, ConflictError):
            return
        self.paused.append(driver)

    # ----------------------------------------------------------------------------------- the clocks

    @rule(by=SECONDS)
    def time_passes(self, by: float) -> None:
        if by < 60 or self.on("late"):
            self.world.advance(seconds(by))

    @precondition(lambda self: self.on("clock"))
    @rule(by=st.sampled_from([-3_600, -45, -1, 45, 3_600]))
    def the_clock_jumps(self, by: int) -> None:
        self.world.now += seconds(by)

    # ----------------------------------------------------------------------------------- the faults

    @precondition(lambda self: any(self.on(name) for name in SWITCHES))
    @rule(data=st.data())
    def a_fault_begins_or_ends(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.enabled & set(SWITCHES))))
        setattr(self.world, name, not getattr(self.world, name))

    @rule()
    def everything_is_healed(self) -> None:
        self.world.heal()

    @precondition(lambda self: self.on("lag"))
    @rule(by=st.sampled_from([0, 1, 5, 30]))
    def the_router_lags(self, by: int) -> None:
        self.world.lag = seconds(by)

    @precondition(lambda self: self.on("bad"))
    @rule(bad=st.sampled_from([0.001, 0.02, 0.2]), stable=st.sampled_from([0.001, 0.2]))
    def the_versions_change(self, bad: float, stable: float) -> None:
        self.world.bad, self.world.stable_bad = bad, stable

    @rule(ready=st.booleans())
    def the_hook_changes_its_mind(self, ready: bool) -> None:
        self.world.hook = lambda key: (
            Go() if ready else NotYet(self.world.now + seconds(20), "warming up")
        )

    @rule(opened=st.booleans())
    def the_gate_opens_or_closes(self, opened: bool) -> None:
        self.world.gate = lambda now: Open() if opened else ClosedUntil(now + minutes(7), "lunch")

    # -------------------------------------------------------------------------------- the strangers

    @precondition(lambda self: self.on("edit") and self.world.phase is not Phase.ROLLED_BACK)
    @rule(weight=st.sampled_from([0, 1, 5, 50, 100]))
    def a_stranger_edits(self, weight: int) -> None:
        self.world.edit(weight)

    @precondition(lambda self: self.on("edit") and self.world.phase is not Phase.ROLLED_BACK)
    @rule()
    def edited_and_put_back(self) -> None:
        before = self.world.candidate
        self.world.edit(100)
        self.world.edit(float(before.number))

    @precondition(
        lambda self: self.on("by_hand") and self.world.rollout.routing.ownership_confirmed
    )
    @rule()
    def taken_back_by_hand(self) -> None:
        self.world.rollback_now()

    # ----------------------------------------------------------------------------------- the people

    @precondition(lambda self: self.on("people") and not self.world.store_down)
    @rule(word=st.sampled_from(["hold", "resume", "skip", "approve", "reject", "promote", "waive"]))
    def somebody_says(self, word: str) -> None:
        rollout, who = self.world.rollout, {"at": self.world.now, "by": "eve", "why": "she knows"}
        causes = [cause.name for cause in rollout.progress.causes] or ["person"]
        said = {
            "hold": Hold(**who),
            "resume": Resume(cause=causes[0], **who),
            "waive": Resume(cause=causes[0], waive=tuple(rollout.plan.keys), **who),
            "skip": Skip(epoch=rollout.epoch, **who),
            "approve": Approve(approval="go", **who),
            "reject": Reject(approval="go", **who),
            "promote": PromoteNow(waive=tuple(causes), **who),
        }
        self.world.say(said[word])

    @precondition(lambda self: self.on("abort") and not self.world.store_down)
    @rule()
    def somebody_aborts(self) -> None:
        self.world.say(Abort(at=self.world.now, by="eve", why="enough"))

    @precondition(lambda self: self.on("abort") and self.on("pause") and not self.world.store_down)
    @rule(moves=st.integers(0, 6))
    def somebody_aborts_beside_a_driver(self, moves: int) -> None:
        driver = self.world.moves()
        try:
            for _ in range(moves):
                next(driver)
            self.world.say(Abort(at=self.world.now, by="eve", why="enough"))
            for _ in driver:
                pass
        except (StopIteration, ConflictError):
            pass

    # ------------------------------------------------------------------- what holds at every moment

    @invariant()
    def what_is_stored_makes_sense(self) -> None:
        rollout = self.world.rollout
        allowed = (Traffic(), *rollout.plan.traffics[: rollout.progress.step + 1])

        assert (rollout.wake_at is None) is rollout.over
        assert any(not rollout.routing.desired.exceeds(traffic) for traffic in allowed)
        assert rollout.progress.waiting is None or rollout.progress.waiting.why

    def teardown(self) -> None:
        """The faults end; sleeping drivers wake up, before the end and after it; and there is an
        end, which they don't change.
        """
        before, after = self.paused[::2], self.paused[1::2]
        self.world.heal()
        self.world.hook, self.world.gate = lambda key: Go(), lambda now: Open()
        wake(before)
        ended(self.world)
        candidate, phase = self.world.candidate, self.world.phase
        wake(after)

        assert self.world.phase is phase
        assert self.world.candidate == candidate


def wake(drivers: list[Generator[Any, None, Any]]) -> None:
    for driver in drivers:
        try:
            for _ in driver:
                pass
        except ConflictError:
            pass


@promise("R1", "R2", "R3", "R4", "R8", "R21", "R23", "R24", "R28", "R30")
@pytest.mark.long
def test_no_order_of_faults_breaks_a_promise() -> None:
    examples = os.environ.get("PROGRESSIVE_EXAMPLES")
    budget = settings(
        max_examples=int(examples or 40),
        stateful_step_count=30,
        deadline=None,
        print_blob=True,
        # Making a failing run shorter can take minutes; the blob that is printed is enough to come
        # back to it with more time.
        phases=tuple(Stage) if examples else (Stage.explicit, Stage.reuse, Stage.generate),
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.filter_too_much,
        ],
    )
    run_state_machine_as_test(Faults, settings=budget)  # type: ignore[no-untyped-call]


def test_the_machine_gets_to_every_phase() -> None:
    """The test of the test: the seeded runs that share its world come by every phase, and end in
    both ways.
    """
    worlds = [wild.run(seed, steps=40) for seed in range(12)]

    assert {phase for world in worlds for phase in world.ghost.phases} == set(Phase)
    assert {world.phase for world in worlds} == {Phase.PROMOTED, Phase.ROLLED_BACK}
