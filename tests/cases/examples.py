"""Cases by hand, in the form of the data: for the rules that no case of the data falls under, from
what the systems' documentation says.
"""

from __future__ import annotations

from typing import Any

from tests.cases.classes import Case

UPDATE = {"update": "v2"}
METRICS_FAIL = {"metrics": "fail"}


def _flagger(
    id: str,
    analysis: dict[str, Any],
    *rows: tuple[dict[str, Any], str, int, int],
    strategy: str = "canary",
) -> Case:
    """Rows: what goes in, the phase, the canary's weight, the failed checks. The primary has the
    new version from Promoting on.
    """
    trace = []
    for number, (given, phase, weight, failed) in enumerate(rows):
        done = phase in ("Promoting", "Finalising", "Succeeded")
        said = {
            "phase": phase,
            "canaryWeight": weight,
            "mirrored": False,
            "failedChecks": failed,
            "primaryRevision": "v2" if done else "v1",
        }
        trace.append({"tick": number, "input": given, "expect": said})
    return {
        "id": id,
        "provider": "mesh (weights)",
        "strategy": strategy,
        "spec": {"analysis": analysis},
        "trace": trace,
    }


def _hooks(**kinds: str) -> list[dict[str, str]]:
    return [{"name": name, "type": kind.replace("_", "-")} for name, kind in kinds.items()]


BEGUN = (UPDATE, "Progressing", 0, 0)
PROMOTED = (({}, "Promoting", 100, 0), ({}, "Finalising", 0, 0), ({}, "Succeeded", 0, 0))

FLAGGER: tuple[Case, ...] = (
    _flagger(
        "canary not ready, twice",
        {"threshold": 5, "stepWeight": 50},
        BEGUN,
        ({"canary": "notready"}, "Progressing", 0, 0),
        ({}, "Progressing", 50, 0),
        ({"canary": "notready"}, "Progressing", 50, 0),
        ({}, "Progressing", 100, 0),
        *PROMOTED,
    ),
    _flagger(
        "canary never ready", {"stepWeight": 50}, BEGUN, ({"canary": "deadline"}, "Failed", 0, 0)
    ),
    _flagger(
        "canary not ready any more",
        {"stepWeight": 50},
        BEGUN,
        ({}, "Progressing", 50, 0),
        ({"canary": "deadline"}, "Failed", 0, 0),
    ),
    _flagger(
        "primary not ready at the start",
        {"stepWeight": 50},
        BEGUN,
        ({"primary": "notready"}, "Progressing", 0, 0),
        ({}, "Progressing", 50, 0),
    ),
    _flagger(
        "primary not ready in the middle",
        {"stepWeight": 50},
        BEGUN,
        ({}, "Progressing", 50, 0),
        ({"primary": "deadline"}, "Failed", 0, 0),
    ),
    _flagger(
        "prefix of a header",
        {"iterations": 1, "match": [{"headers": {"x-beta": {"prefix": "y"}}}]},
        BEGUN,
        ({}, "Progressing", 100, 0),
        strategy="ab",
    ),
    _flagger(
        "two headers at once",
        {
            "iterations": 1,
            "match": [{"headers": {"x-beta": {"exact": "y"}, "x-user": {"exact": "z"}}}],
        },
        BEGUN,
        ({}, "Progressing", 100, 0),
        strategy="ab",
    ),
    _flagger(
        "back to v1 in the middle",
        {"stepWeight": 50},
        BEGUN,
        ({}, "Progressing", 50, 0),
        ({"update": "v1"}, "Progressing", 100, 0),
    ),
    _flagger(
        "a load test and metrics fail once each",
        {"threshold": 2, "stepWeight": 10, "webhooks": _hooks(load="rollout")},
        BEGUN,
        ({}, "Progressing", 10, 0),
        ({"webhooks": {"load": False}}, "Progressing", 10, 1),
        (METRICS_FAIL, "Progressing", 10, 2),
        ({}, "Failed", 0, 0),
    ),
    _flagger(
        "a load test fails twice",
        {"threshold": 2, "stepWeight": 10, "webhooks": _hooks(load="rollout")},
        BEGUN,
        ({}, "Progressing", 10, 0),
        ({"webhooks": {"load": False}}, "Progressing", 10, 1),
        ({}, "Progressing", 20, 1),
        ({"webhooks": {"load": False}}, "Progressing", 20, 2),
        ({}, "Failed", 0, 0),
    ),
    _flagger(
        "the beginning is confirmed late",
        {"stepWeight": 50, "webhooks": _hooks(go="confirm_rollout")},
        ({**UPDATE, "webhooks": {"go": False}}, "Waiting", 0, 0),
        ({"webhooks": {"go": False}}, "Waiting", 0, 0),
        ({}, "Progressing", 0, 0),
        ({}, "Progressing", 50, 0),
        ({}, "Progressing", 100, 0),
        *PROMOTED,
    ),
    _flagger(
        "a smoke test passes at the second time",
        {"threshold": 2, "stepWeight": 50, "webhooks": _hooks(smoke="pre_rollout")},
        BEGUN,
        ({"webhooks": {"smoke": False}}, "Progressing", 0, 1),
        ({}, "Progressing", 50, 1),
        ({}, "Progressing", 100, 1),
        *PROMOTED,
    ),
    _flagger(
        "blue-green fails after the switch",
        {"threshold": 1, "iterations": 1},
        BEGUN,
        ({}, "Progressing", 0, 0),
        ({}, "Progressing", 100, 0),
        (METRICS_FAIL, "Progressing", 100, 1),
        ({}, "Failed", 0, 0),
        strategy="bluegreen",
    ),
    _flagger(
        "blue-green waits for its promotion",
        {"threshold": 5, "iterations": 2, "webhooks": _hooks(promote="confirm_promotion")},
        BEGUN,
        ({}, "Progressing", 0, 0),
        ({}, "Progressing", 0, 0),
        ({"webhooks": {"promote": False}}, "WaitingPromotion", 0, 0),
        ({}, "WaitingPromotion", 0, 0),
        ({}, "WaitingPromotion", 100, 0),
        *PROMOTED,
        strategy="bluegreen",
    ),
    _flagger(
        "another version in the middle",
        {"threshold": 5, "stepWeight": 10},
        BEGUN,
        ({}, "Progressing", 10, 0),
        ({}, "Progressing", 20, 0),
        ({"update": "v3"}, "Progressing", 0, 0),
        ({}, "Progressing", 10, 0),
    ),
)


def _argo(id: str, kind: str, expected: Any, **given: Any) -> Case:
    return {"id": id, "kind": kind, "given": given, "expected": expected}


PAUSE = {"pause": None}
DEGRADED = {"aborted": True, "phase": "Degraded"}
BLUE_GREEN = {
    "strategy": "blue_green",
    "stable": "V1",
    "active": "V1",
    "new": "V2",
    "replicas": 1,
    "new_available": 1,
}
SWITCHED = {**BLUE_GREEN, "active": "V2"}

ARGO: tuple[Case, ...] = (
    _argo(
        "weights fall",
        "tick",
        {"step_index": 1},
        steps=[{"set_weight": 50}, {"set_weight": 20}],
        step_index=0,
    ),
    _argo(
        "abort of stable",
        "tick",
        {"aborted": False},
        steps=[{"set_weight": 10}, PAUSE],
        step_index=1,
        aborted=True,
        new_version="stable",
    ),
    _argo(
        "abort",
        "tick",
        {**DEGRADED, "step_index": 0},
        steps=[{"set_weight": 10}, PAUSE],
        step_index=1,
        aborted=True,
    ),
    _argo(
        "a pause begins",
        "tick",
        {"controller_pause": True, "phase": "Paused"},
        steps=[PAUSE],
        step_index=0,
    ),
    _argo(
        "a timed pause begins",
        "tick",
        {"pause_reasons_added": ["CanaryPauseStep"]},
        steps=[{"set_weight": 10}, {"pause": 10}],
        step_index=1,
    ),
    _argo(
        "a step's analysis passes",
        "tick",
        {"step_index": 1},
        steps=[{"analysis": "t"}, PAUSE],
        step_index=0,
        step_analysis="Successful",
    ),
    _argo(
        "a step's analysis fails",
        "tick",
        DEGRADED,
        steps=[{"analysis": "t"}],
        step_index=0,
        step_analysis="Failed",
    ),
    _argo(
        "a step's analysis can't ask",
        "tick",
        DEGRADED,
        steps=[{"analysis": "t"}],
        step_index=0,
        step_analysis="Error",
    ),
    _argo(
        "a background analysis fails",
        "tick",
        DEGRADED,
        steps=[{"set_weight": 10}, PAUSE],
        step_index=1,
        background_analysis="Failed",
    ),
    _argo(
        "a background analysis can't ask",
        "tick",
        DEGRADED,
        steps=[{"set_weight": 10}, PAUSE],
        step_index=1,
        background_analysis="Error",
    ),
    _argo(
        "on after an inconclusive analysis",
        "tick",
        {"step_index": 1, "controller_pause": False},
        steps=[{"analysis": "t"}, {"set_weight": 20}, {"analysis": "t"}],
        step_index=0,
        step_analysis="Inconclusive",
        controller_pause=True,
        pause_reasons=[],
    ),
    _argo(
        "an experiment is to be started",
        "tick",
        {"experiments_created": ["e"]},
        steps=[{"experiment": "e"}],
        step_index=0,
    ),
    _argo(
        "a weight",
        "traffic",
        {"set_weight": 10},
        replicas=10,
        steps=[{"set_weight": 10}],
        step_index=0,
    ),
    _argo(
        "past the last step",
        "traffic",
        {"set_weight": 100},
        replicas=10,
        steps=[{"set_weight": 10}],
        step_index=1,
    ),
    _argo(
        "the last weight",
        "traffic",
        {"error": True},
        replicas=10,
        steps=[{"set_weight": 10}],
        step_index=1,
        router={"verify_weight": False},
    ),
    _argo(
        "nobody can say",
        "traffic",
        {"error": False},
        replicas=10,
        steps=[{"set_weight": 10}],
        step_index=0,
        router={"verify_weight": "error"},
    ),
    _argo(
        "aborted, a whole stable",
        "traffic",
        {"set_weight": 0},
        replicas=5,
        steps=[{"set_weight": 50}, PAUSE],
        step_index=1,
        aborted=True,
        stable={"desired": 5, "available": 5},
    ),
    _argo(
        "never ready",
        "blue_green",
        {"aborted": False},
        **{**BLUE_GREEN, "new_available": 0},
        progress_deadline_s=1,
        condition="x",
    ),
    _argo(
        "5 of 10 s",
        "blue_green",
        {"active": "V1", "changes": {}},
        **BLUE_GREEN,
        auto_promotion_s=10,
        controller_pause=True,
        pause_started_s_ago=5,
    ),
    _argo(
        "fails before the switch",
        "blue_green",
        {**DEGRADED, "active": "V1"},
        **BLUE_GREEN,
        pre_promotion_analysis="Failed",
    ),
    _argo(
        "can't ask before the switch",
        "blue_green",
        DEGRADED,
        **BLUE_GREEN,
        pre_promotion_analysis="Error",
    ),
    _argo(
        "fails after the switch",
        "blue_green",
        {**DEGRADED, "active": "V1"},
        **SWITCHED,
        post_promotion_analysis="Failed",
    ),
    _argo(
        "can't ask after the switch",
        "blue_green",
        DEGRADED,
        **SWITCHED,
        post_promotion_analysis="Error",
    ),
    _argo(
        "passes after the switch",
        "blue_green",
        {"stable": "V2", "phase": "Healthy"},
        **SWITCHED,
        post_promotion_analysis="Successful",
    ),
    _argo(
        "removed when due",
        "blue_green",
        {"scaled_to_zero": ["V1"]},
        **SWITCHED,
        old=[{"version": "V1", "scale_down_in_s": -5}],
    ),
    _argo(
        "no auto promotion",
        "pause_completed",
        False,
        strategy="blue_green",
        auto_promotion=False,
        pause_started_s_ago=0,
    ),
    _argo(
        "before the first weight",
        "current_weight",
        0,
        steps=[PAUSE, {"set_weight": 10}],
        step_index=0,
    ),
    _argo(
        "too early",
        "before_starting_step",
        True,
        steps=[PAUSE, PAUSE],
        step_index=0,
        background_analysis={"starting_step": 1},
    ),
    _argo(
        "3 of 5 s",
        "progress_deadline",
        False,
        deadline_s=5,
        last_condition="ReplicaSetUpdated",
        last_progress_s_ago=3,
    ),
    _argo(
        "held",
        "progress_deadline",
        False,
        deadline_s=5,
        last_condition="RolloutPaused",
        last_progress_s_ago=10,
    ),
    _argo("aborted", "phase", ["Degraded", ""], aborted=True),
    _argo(
        "after the switch",
        "skip_post_promotion_analysis",
        False,
        stable="other",
        active="new",
        saturated=True,
    ),
)
