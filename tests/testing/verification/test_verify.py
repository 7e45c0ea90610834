"""Every reachable state: what holds of the engine as it is, and that what does not hold is found,
with the way to it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
from tests.support.finer_abstraction import FinerAbstraction

import progressive
from progressive import (
    Action,
    BlueGreen,
    Canary,
    Limit,
    Metric,
    Release,
    Version,
    minutes,
    percent,
    percents,
    seconds,
)
from progressive.codec import loads_event
from progressive.engine.decide import decide
from progressive.rollout.phases import Phase
from progressive.steps import Approval
from progressive.testing import (
    PromiseBroken,
    Transition,
    VirtualClock,
    WalkProgress,
    retrace,
    verify,
)
from progressive.testing.verification import walk as _walk

ERRORS = Metric("error-rate", kind="ratio")
GUARDED = Canary(weights=percents(100), bake=minutes(3), checks=[Limit(ERRORS, at_most=percent(1))])
BARE = Canary(weights=percents(50, 100), bake=minutes(3), unguarded="its states are few")


def test_every_promise_holds_in_every_state_of_a_canary() -> None:
    report = verify(BARE)

    assert report.ok, report
    assert report.states > 200
    assert report.transitions > 5 * report.states
    assert report.steps == ("weight-50", "bake-50", "weight-100", "bake-100")
    assert "every promise holds" in str(report)


@pytest.mark.slow
def test_and_of_one_that_is_watched() -> None:
    report = verify(GUARDED)

    assert report.ok, report


def test_and_of_a_switch_with_a_hook_and_an_approval() -> None:
    approval = Approval("go", within=minutes(30), otherwise=Action.ROLL_BACK)
    report = verify(
        BlueGreen(
            preview_hook="smoke",
            approval=approval,
            bake=minutes(3),
            gates=["freeze"],
            retire_after=minutes(1),
        )
    )

    assert report.ok, report


def test_the_walk_is_the_same_every_time() -> None:
    assert verify(BARE) == verify(BARE)


def test_a_tick_that_is_not_decided_again_would_have_been_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = set[str]()
    sparing = verify(GUARDED, most_states=150, invariants=[lambda move: told.add(move.what)])
    monkeypatch.setattr(_walk, "_is_same_tick", lambda plain, perturbation, now: False)
    every = set[str]()
    thorough = verify(GUARDED, most_states=150, invariants=[lambda move: every.add(move.what)])

    assert sparing == thorough
    assert told == every


SWITCH = BlueGreen(preview_hook="smoke", bake=minutes(3), gates=["freeze"])


@pytest.mark.parametrize(
    "strategy",
    [BARE, SWITCH, pytest.param(GUARDED, marks=pytest.mark.slow)],
    ids=["canary", "switch", "watched"],
)
def test_a_finer_abstraction_sees_nothing_happen_that_this_one_does_not(
    strategy: Canary | BlueGreen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def happened() -> tuple[set[object], int]:
        seen: set[object] = set()

        def see(move: Transition) -> None:
            before, after = move.before.progress, move.after.progress
            left = before.phase is Phase.PROGRESSING and after.phase is not before.phase
            why = re.sub(r"\d+", "", after.reason).partition(":")[0] if left else ""
            on = move.after.routing.desired, move.on_router
            seen.add((before.phase, after.phase, after.step, why, move.written, *on))

        report = verify(strategy, invariants=[see])
        assert report.ok, report
        return seen, report.states

    here, few = happened()
    monkeypatch.setattr(_walk, "Abstraction", FinerAbstraction)
    finer, many = happened()

    assert many > 1.2 * few
    assert finer == here


def test_a_bound_is_said() -> None:
    report = verify(GUARDED, most_states=50)

    assert not report.ok
    assert not report.complete
    assert "STOPPED BY most_states" in repr(report)


class SecondByASecond(VirtualClock):
    """A clock that goes on by a second whenever it is read."""

    def __call__(self) -> datetime:
        self.advance(seconds(1))
        return super().__call__()


def test_a_budget_of_time_stops_it_and_the_report_says_how_far_it_came() -> None:
    report = verify(BARE, budget=seconds(60), clock=SecondByASecond())
    whole = verify(BARE)

    assert not report.complete
    assert report.stopped == "budget=1 min"
    assert 0 < report.depth < whole.depth
    assert 0 < report.open < report.states < whole.states
    assert f"every way of {report.depth} ticks was tried" in str(report)
    assert "what holds of the whole was not judged" in str(report)
    assert str(report).endswith("NOT OK")


def test_every_way_of_as_many_ticks_as_it_says_was_tried() -> None:
    walks = [(_walk.Walk(BARE, (), RELEASE, 50_000, 3), most_ticked) for most_ticked in (1_000, 40)]
    for walk, most_ticked in walks:
        any(ticked == most_ticked for ticked in walk.walk())
    (whole, _), (part, _) = walks
    depth = part.report().depth

    assert [state for state in whole.states if state.depth <= depth] == [
        attrs.evolve(state, good=full.good, aborted=full.aborted, out=full.out)
        for state, full in zip(part.states, whole.states, strict=False)
        if state.depth <= depth
    ]


def test_an_observer_is_told_now_and_then_how_far_it_has_come() -> None:
    told: list[WalkProgress] = []
    report = verify(GUARDED, most_states=700, observer=told.append, clock=SecondByASecond())

    assert len(told) >= 1
    assert all(0 < each.open < each.states <= report.states for each in told)
    assert [each.elapsed for each in told] == [seconds(200 * (n + 1)) for n in range(len(told))]
    assert re.fullmatch(
        r"\d+ states, \d+ of them open, \d+ ticks deep, after 3 min 20 s", str(told[0])
    )


def test_neither_the_observer_nor_the_clock_changes_the_report() -> None:
    assert verify(BARE, observer=str, budget=minutes(60), clock=SecondByASecond()) == verify(BARE)


def test_the_report_says_what_was_not_tried() -> None:
    bare, guarded = verify(BARE), verify(GUARDED, most_states=20)

    assert "what the plan does not have: checks, hooks, approvals, gates" in str(bare)
    assert "what the plan does not have: hooks, approvals, gates" in str(guarded)
    assert "what no state that was ticked allows: " in str(guarded)
    assert "the numbers of checks/error-rate: a stub in their place" in str(guarded)
    assert "two things that go wrong in the same tick" in str(bare)


def test_an_invariant_of_one_s_own_comes_with_the_shortest_way_to_where_it_breaks() -> None:
    def never_everything(move: Transition) -> str | None:
        return (
            "everybody has it"
            if move.on_router.candidate == percent(100) and "stranger" not in move.what
            else None
        )

    report = verify(BARE, invariants=[never_everything], most_broken=1)
    [broken] = report.broken

    assert not report.ok
    assert broken.what == "everybody has it"
    assert str(broken).startswith("everybody has it\n  1. ")
    assert broken.replay().routing.desired.candidate == percent(100)

    rollout = broken.begin
    for events in broken.events():
        rollout = decide(rollout, *(loads_event(event) for event in events)).rollout
    assert rollout == broken.replay()


# ----------------------------------------------------------------------------------- tests to paste

RELEASE = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))


def pasted(test: str, **imported: object) -> Callable[[], None]:
    """Run the source of a test file, with what it says one has to import, and return the test."""
    space: dict[str, Any] = dict(imported)
    exec(test, space)
    [found] = [value for name, value in space.items() if name.startswith("test_")]
    return found  # type: ignore[no-any-return]


def test_the_way_to_what_is_broken_is_a_test_to_paste() -> None:
    def never_everything(move: Transition) -> str | None:
        return "everybody has it" if move.on_router.candidate == percent(100) else None

    other = attrs.evolve(RELEASE, candidate=Version("v3"))
    report = verify(BARE, invariants=[never_everything], release=other, most_broken=1)
    [broken] = report.broken

    assert broken.test in str(report)
    with pytest.raises(PromiseBroken, match=r"^everybody has it$"):
        pasted(broken.test, never_everything=never_everything)()
    pasted(broken.test, never_everything=lambda move: None)()


def test_a_strategy_that_can_t_be_written_down_is_left_to_who_pastes() -> None:
    class Own:
        plan = BARE.plan

    report = verify(Own(), invariants=[lambda move: "it moved"], most_broken=1)
    [broken] = report.broken

    assert "STRATEGY = ...  # the strategy that was verified" in broken.test
    assert "# invariant is an invariant of yours: import it" in broken.test


def test_a_way_is_gone_again_by_its_names() -> None:
    reached = retrace(BARE, ["all is well", "hold"])

    assert reached.status.phase.value == "held"
    assert retrace(BARE, ["resume", "all is well", "hold", "resume"]).progress.causes == ()


def test_a_name_that_the_plan_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no 'every gate is closed' in this plan"):
        retrace(BARE, ["every gate is closed"])


# ----------------------------------------------------------------------------------- faulty engines


@attrs.frozen
class Fault:
    """``old`` becomes ``new`` in ``file``; the walk says ``found``."""

    file: str
    old: str
    new: str
    found: str


FAULTS = {
    "an abort that is satisfied by seeing 0 %": Fault(
        "engine/decide.py",
        "        and draft.routing.acked_epoch >= draft.progress.epoch\n",
        "",
        "R23",
    ),
    "a promotion without evidence": Fault(
        "engine/decide.py",
        "if blocked is not None:\n            return _wait(draft, step, blocked)\n        fin",
        "if False:\n            return _wait(draft, step, blocked)\n        fin",
        "R15",
    ),
    "a final phase that listens": Fault(
        "engine/decide.py",
        "if draft.final and type(event) not in _HEARD_WHEN_FINAL:",
        "if False:",
        "R24",
    ),
    "a failed check that is forgotten": Fault(
        "engine/decide.py",
        "        measuring.act_on_evidence(draft)\n        or routing",
        "        routing",
        "R17",
    ),
    "a step without a deadline": Fault(
        "engine/decide.py",
        "draft.wait(why, left=left, then=_IN_WORDS[deadline.then])",
        "draft.wait(why)",
        "R30",
    ),
    "a wait that is not said": Fault(
        "engine/decide.py",
        "    draft.wait(\n        capacity.in_steps(draft) or",
        "    print(\n        capacity.in_steps(draft) or",
        "R30",
    ),
    "an abort that nobody hears": Fault(
        "engine/operator.py",
        "    Abort: _abort,\n",
        "    Abort: lambda draft, event: None,\n",
        "an abort does not lead",
    ),
    "two steps in one": Fault(
        "engine/decide.py",
        "following = draft.progress.step + 1",
        "following = draft.progress.step + 2",
        "never reached|Error",
    ),
    "a hold without a way back": Fault(
        "rollout/phases.py",
        "{Phase.PENDING, Phase.PROGRESSING, Phase.ROLLING_BACK, Phase.ROLLED_BACK}",
        "{Phase.PENDING, Phase.PROGRESSING}",
        "raised: AssertionError: lifecycle: held -> rolled_back is not",
    ),
    "a raise above the step": Fault(
        "engine/decide.py",
        "step, target = draft.plan.steps[position], draft.plan.traffics[position]",
        "step, target = draft.plan.steps[position], draft.plan.traffics[-1]",
        "R1",
    ),
}

WALK = """
import json
from progressive import Canary, Limit, Metric, minutes, percent, percents
from progressive.testing import verify
errors = Metric("error-rate", kind="ratio")
watched = [Limit(errors, at_most=percent(1))]
unwatched = Canary(weights=percents(50, 100), bake=minutes(3), unguarded="few states")
checked = Canary(weights=percents(100), bake=minutes(3), checks=watched)
reports = [verify(unwatched, most_broken=1), verify(checked, most_states=1_500, most_broken=1)]
print(*reports, sep="\\n")
for broken in [broken for report in reports for broken in report.broken]:
    space = {}
    exec(broken.test, space)
    try:
        [value for name, value in space.items() if name.startswith("test_")][0]()
    except AssertionError as error:
        said = str(error)
    else:
        said = ""
    print("TEST " + json.dumps([broken.what, broken.test, said]))
"""
"""Walks with the engine that it finds, and runs the tests that come out of it."""


def walked(package: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", WALK],
        env={**os.environ, "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=package,
    )
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_engine_is_found_with_the_way_to_its_fault(name: str, tmp_path: Path) -> None:
    fault = FAULTS[name]
    source = Path(progressive.__file__).parent
    shutil.copytree(source, tmp_path / "progressive", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "progressive" / fault.file
    text = file.read_text(encoding="utf-8")
    assert text.count(fault.old) == 1, (
        f"{fault.old!r} stands {text.count(fault.old)} times in {fault.file}"
    )
    file.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
    said = walked(tmp_path)

    assert re.search(fault.found, said), f"{name} was not found"

    tests = [json.loads(test) for test in re.findall(r"(?m)^TEST (.*)$", said)]
    assert tests or "never reached" in said
    for what, test, failed_with in tests:
        assert what in failed_with, f"the test does not fail where the engine is at fault:\n{test}"
        pasted(test)()
