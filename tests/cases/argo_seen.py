"""How what Argo expects shows in a rollout of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.cases.argo_scene import (
    Given,
    index,
)
from tests.cases.scene import Scene

from progressive import Phase, percent, seconds
from progressive.rollout import Retirement


def _paused(scene: Scene) -> bool:
    """Held, or in a step that does nothing but wait: for a person or for the clock."""
    rollout = scene.rollout
    return rollout.waits_for_person or (
        rollout.phase is Phase.PROGRESSING
        and rollout.plan.steps[rollout.progress.step].kind == "pause"
    )


PHASES: Mapping[str, Callable[[Scene], bool]] = {
    "Healthy": lambda scene: scene.phase is Phase.PROMOTED,
    "Degraded": lambda scene: scene.phase in (Phase.ROLLING_BACK, Phase.ROLLED_BACK),
    "Paused": _paused,
    "Progressing": lambda scene: (
        scene.phase in (Phase.PENDING, Phase.PROGRESSING) and not _paused(scene)
    ),
}


ENDS: Mapping[str, Phase] = {
    "Promoted": Phase.PROMOTED,
    "FastPromoted": Phase.PROMOTED,
    "Aborted": Phase.ROLLED_BACK,
    "RolledBack": Phase.ROLLED_BACK,
    "FastRolledBack": Phase.ROLLED_BACK,
}


def _step_index(given: Given, scene: Scene, expected: int) -> bool:
    """Argo goes one step at a look; here as many as are done. So: at that step, or at least come as
    far, if it was to move.
    """
    now = index(scene.rollout, given)
    return now == expected if expected == given.get("step_index", 0) else now >= expected


def _active(given: Given, scene: Scene, expected: str) -> bool:
    """Who gets what users send."""
    full = scene.traffic.candidate == percent(100)
    return full if expected == given["new"] else scene.traffic.candidate == percent(0)


def _stable(given: Given, scene: Scene, expected: str) -> bool:
    return (scene.phase is Phase.PROMOTED) is (expected in ("new", given.get("new")))


def _due(given: Given, scene: Scene, expected: int) -> bool:
    return scene.wake_at is not None and scene.wake_at - scene.now <= seconds(expected)


def _measured(given: Given, scene: Scene, expected: Sequence[str]) -> bool:
    """Was anything judged where Argo begins a run?"""
    return not expected or any(note.kind == "judged" for note in scene.notes)


COMPARED: Mapping[str, Callable[[Given, Scene, Any], bool]] = {
    "step_index": _step_index,
    "phase": lambda given, scene, expected: PHASES[expected](scene),
    "completion": lambda given, scene, expected: scene.phase is ENDS[expected],
    "aborted": lambda given, scene, expected: (
        (scene.phase in (Phase.ROLLED_BACK, Phase.ROLLING_BACK)) is expected
    ),
    "controller_pause": lambda given, scene, expected: _paused(scene) is expected,
    "pause_reasons_added": lambda given, scene, expected: _paused(scene) is bool(expected),
    "pause_reasons": lambda given, scene, expected: _paused(scene) is bool(expected),
    "active": _active,
    "stable": _stable,
    "next_due_in_s": _due,
    "analysis_runs_created": _measured,
    "set_weight": lambda given, scene, expected: scene.traffic.candidate == percent(expected),
    "requeue": lambda given, scene, expected: (
        scene.wake_at is not None
    ),  # here it always comes back, to see what is served
    "error": lambda given, scene, expected: not expected,
    "scaled_to_zero": lambda given, scene, expected: (
        not expected and scene.rollout.progress.retirement is not Retirement.ASKED
    ),
}
"""What of an expectation is compared, and how it shows here."""


UNSEEN = {
    "changes",  # the replay that uses it compares the whole traffic
    "condition",
    "manual_pause_started",
    "manual_pause_total_s",
    "message",
    "message_contains",
    "promote_full",
    "started_at_reset",
    "step_analysis",
    "analysis_runs_terminated",
}
"""Argo's words and its book-keeping between two looks: nobody sees them of a rollout here."""


INSTANCES = {
    "canary_desired",
    "new_desired",
    "older_desired",
    "scale_up_checkpoint",
    "scaled",
    "stable_desired",
}
"""How many instances there shall be."""


def agrees(
    given: Given, scene: Scene, expected: Mapping[str, Any], *, but: Sequence[str] = ()
) -> None:
    """Everything that is expected shows here."""
    for name, value in expected.items():
        if name not in UNSEEN and name not in but:
            assert COMPARED[name](given, scene, value), (
                f"Argo: {name} is {value}; ours: {scene.rollout}\n{scene}"
            )
