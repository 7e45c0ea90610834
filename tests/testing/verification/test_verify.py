"""Every reachable state: what holds of the engine as it is, and that what does not hold is found,
with the way to it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

import progressive
from progressive import Action, BlueGreen, Canary, Limit, Metric, minutes, percent, percents
from progressive.codec import loads_event
from progressive.engine.decide import decide
from progressive.steps import Approval
from progressive.testing import Transition, verify
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


def test_a_bound_is_said() -> None:
    report = verify(GUARDED, most_states=50)

    assert not report.ok
    assert not report.complete
    assert "STOPPED BY most_states" in repr(report)


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
        'draft.wait(why, left=left, then=deadline.then.value.replace("_", " "))',
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
from progressive import Canary, Limit, Metric, minutes, percent, percents
from progressive.testing import verify
errors = Metric("error-rate", kind="ratio")
watched = [Limit(errors, at_most=percent(1))]
unwatched = Canary(weights=percents(50, 100), bake=minutes(3), unguarded="few states")
print(verify(unwatched, most_broken=1))
checked = Canary(weights=percents(100), bake=minutes(3), checks=watched)
print(verify(checked, most_states=1_500, most_broken=1))
"""


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

    assert re.search(fault.found, walked(tmp_path)), f"{name} was not found"
