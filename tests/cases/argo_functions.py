"""Replays of what Argo's functions answer, where a rollout of ours can be asked the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from tests.cases.argo_looks import the_first_version
from tests.cases.argo_scene import (
    Given,
    acted,
    arrived,
    blue_green,
    canary,
    index,
)
from tests.cases.argo_seen import PHASES
from tests.cases.classes import Case, Replay
from tests.cases.scene import Scene

from progressive import (
    Abort,
    Approve,
    Canary,
    Deadline,
    Hold,
    Phase,
    StrategyError,
    Track,
    hours,
    minutes,
    percent,
    seconds,
)
from progressive.plan import Guard, Plan
from progressive.steps import Bake, SetWeight
from progressive.testing import World


def answers(ours: Callable[[Given], Any]) -> Replay:
    """A replay of a case that asks a function: ``ours`` says the same."""

    def replay(case: Case) -> None:
        found = ours(case["given"])

        assert found == case["expected"], f"Argo: {case['expected']}; ours: {found}"

    return replay


def weight_of(given: Given) -> float:
    plan = canary(given).plan
    return plan.traffics[min(given["step_index"] or 0, len(plan.steps) - 1)].candidate.number


def step_of(given: Given) -> int | None:
    given = {**given, "steps": given.get("steps") or []}
    setting = arrived({**given, "step_index": given.get("step_index") or 0})
    now = index(setting.scene.rollout, given)
    return None if now == len(given["steps"]) else now


def pause_over(given: Given) -> bool:
    """Is the pause over at this time?"""
    ago = seconds(given["pause_started_s_ago"])
    if given.get("strategy") == "blue_green":
        plan: Any = blue_green(
            {**given, "auto_promotion_s": given.get("auto_promotion_s") or given.get("duration_s")}
        )
    else:
        plan = canary({"steps": [{"pause": given.get("duration_s")}]})
    scene = Scene(plan, World())
    scene.tick().on(lambda rollout: rollout.phase is Phase.PENDING, at_most=minutes(5))
    scene.until(World().start + ago).tick()
    return scene.traffic.candidate == percent(100)


WAITING: Mapping[str, Callable[[Given], Given]] = {
    "InconclusiveAnalysisRun": lambda given: {
        "steps": [{"analysis": "t"}],
        "step_index": 0,
        "step_analysis": "Inconclusive",
    },
    "InconclusiveExperiment": lambda given: {
        "steps": [{"experiment": "e"}],
        "step_index": 0,
        "experiment_phase": "Inconclusive",
    },
    "CanaryPauseStep": lambda given: {
        "steps": [{"pause": given.get("duration_s")}],
        "step_index": 0,
        **given,
    },
    "BlueGreenPause": lambda given: {
        "strategy": "blue_green",
        "new": "V2",
        "auto_promotion_s": 10 * 3600,
        **given,
    },
}
"""Why Argo pauses, as a case in which it does."""


def waits_for_a_person(given: Given) -> bool:
    return acted(arrived(WAITING[given["reason"]](given))).scene.rollout.waits_for_person


LAST: Mapping[str, Callable[[Scene], Any]] = {
    "ProgressDeadlineExceeded": lambda scene: scene.until(scene.now + minutes(11)).tick(),
    "RolloutAborted": lambda scene: scene.say(Abort),
    "RolloutPaused": lambda scene: scene.say(Hold),
}
"""What happened before, by Argo's last condition. With any other one the rollout was waiting for
its instances.
"""


COMPLETE = ("NewReplicaSetAvailable", "RolloutCompleted", "RolloutHealthy")


def timed_out(given: Given) -> bool:
    """Has a wait for instances ended by its deadline?"""
    last = given["last_condition"]
    plan = Canary(
        steps=[
            SetWeight(
                percent(100), deadline=Deadline(within=seconds(given.get("deadline_s") or 600))
            )
        ],
        unguarded="x",
    )
    missing = last not in COMPLETE
    scene = Scene(
        plan, World(), able=lambda track, now: 0 if missing and track is Track.CANDIDATE else 100
    ).tick()
    LAST.get(last, lambda scene: None)(scene)
    aborted = last == "RolloutAborted" and scene.rollout.final
    scene.until(scene.now + seconds(given.get("last_progress_s_ago") or 0)).tick()
    return scene.phase is Phase.ROLLED_BACK and not aborted


def _carries(weight: float, able: float) -> bool:
    """Is this weight given to instances that can carry so much?"""
    plan = Canary(
        steps=[
            SetWeight(percent(weight)),
            *([] if weight == 100 else [Bake(hours(1)), SetWeight(percent(100))]),
        ],
        unguarded="x",
    )
    scene = Scene(plan, World(), able=lambda track, now: able if track is Track.CANDIDATE else 100)
    scene.tick()
    return scene.traffic.candidate == percent(weight)


def enough_for_the_weight(given: Given) -> bool:
    able = min(100.0, given["group"]["available"] * 100 / given["replicas"])
    return _carries(given["weight"] * 100 / given.get("max_weight", 100), able)


def enough(given: Given) -> bool:
    desired = given["desired"] or given.get("group_spec") or 1
    return _carries(
        100, min(100.0, given["available"] * 100 / desired) if given["desired"] else 100
    )


def fully_promoted(given: Given) -> bool:
    able = min(100.0, given["canary"]["available"] * 100 / given["replicas"])
    scene = Scene(
        canary(given), World(), able=lambda track, now: able if track is Track.CANDIDATE else 100
    )
    scene.tick().on(lambda rollout: not rollout.final, at_most=minutes(2))
    return scene.phase is Phase.PROMOTED


ENOUGH: Mapping[str, Callable[[Given], bool]] = {
    "progress_threshold": enough,
    "replicas_available_for_weight": enough_for_the_weight,
    "full_promote": fully_promoted,
}


def content_with_less(case: Case) -> bool:
    """Is it enough for Argo, by a threshold below all of them, that some are still missing?"""
    given = case["given"]
    if case["kind"] not in ENOUGH or not given.get("threshold") or case["expected"] is not True:
        return False
    group = given.get("group") or given.get("canary") or given
    needed = (
        given["replicas"] * given["weight"] / given.get("max_weight", 100)
        if "weight" in given
        else given.get("replicas", group["desired"])
    )
    return bool(group["available"] < needed)


def all_of_them(case: Case) -> None:
    """What a weight needs is what it needs: where Argo is content with less, here it is waited
    for.
    """
    assert ENOUGH[case["kind"]](case["given"]) is False


def since_an_unknown_step(case: Case) -> None:
    """A guard since a step that there is not is refused."""
    plan = canary({"steps": [], "background_analysis": True}).plan
    with pytest.raises(StrategyError, match="there is no step 'argo-1'"):
        Plan(
            strategy="canary",
            steps=plan.steps,
            analyses=plan.analyses,
            guards=[Guard("checks", since="argo-1")],
        )


def _verified(given: Given) -> None:
    plan = canary({"steps": given["steps"] or [{"set_weight": 100}]})
    scene = Scene(plan, World())
    scene.tick().on(lambda rollout: not rollout.final, at_most=minutes(2))
    served = [note.traffic.candidate for note in scene.notes if note.kind == "verified"]
    asked = [note.traffic.candidate for note in scene.notes if note.kind == "asked"]

    assert asked == [weight for weight in served if weight.ppm]
    assert percent(0) in served


def always_verified(case: Case) -> None:
    """Every weight is read back, the 0 % before the first one and the 100 % after the last one
    too.
    """
    if case["given"].get("has_stable", True):
        _verified(case["given"])
    else:
        the_first_version(case)


def _judged_in(given: Given, name: str, at: str) -> bool:
    """Is this analysis asked in the step of this kind?"""
    plan = blue_green(
        {"new": "V2", "pre_promotion_analysis": True, "post_promotion_analysis": True}
    ).plan
    step = next(i for i, step in enumerate(plan.steps) if step.kind == at)
    active = plan.active(step, plan.traffics[step].reaches(Track.CANDIDATE))
    return name in {series.analysis.name for series in active}


def skips_pre(given: Given) -> bool:
    """Is the analysis before the switch passed by? It is over once the new version is switched
    to.
    """
    switched = "new" in (given["active"], given["stable"])
    return not _judged_in(given, "preview", "bake" if switched else "analyze")


def skips_post(given: Given) -> bool:
    """Is the analysis after the switch passed by? It begins with the switch, and is over with the
    promotion.
    """
    if given["stable"] == "new":
        scene = Scene(blue_green({"new": "V2"}), World())
        return (
            scene.tick().on(lambda rollout: not rollout.final, at_most=minutes(20)).phase
            is Phase.PROMOTED
        )
    return not _judged_in(given, "checks", "bake" if given["active"] == "new" else "analyze")


def phase(case: Case) -> None:
    """One word for where it stands; Argo's message is its own."""
    given = case["given"]
    if given.get("strategy") == "blue_green":
        scene = Scene(
            blue_green(
                {
                    "new": "V2",
                    "post_promotion_analysis": {},
                    "auto_promotion": given.get("auto_promotion"),
                }
            ),
            World(),
        )
        scene.tick().on(
            lambda rollout: (
                not rollout.routing.last_verified.candidate.ppm and not rollout.waits_for_person
            ),
            at_most=minutes(5),
        )
        if given.get("new_is_stable"):
            scene.on(lambda rollout: not rollout.final, at_most=minutes(20))
    else:
        scene = Scene(
            canary(
                {
                    "steps": [
                        {"set_weight": 10},
                        {"pause": None},
                        {"set_weight": 20},
                        {"analysis": "t"},
                    ]
                }
            ),
            World(),
        )
        scene.on(lambda rollout: not rollout.waits_for_person, at_most=minutes(5))
        if not given.get("pause_reasons") and not given.get("user_paused"):
            scene.say(Approve, approval="argo-1") if given.get("controller_pause") else None
    for name, happens in HAPPENED.items():
        if given.get(name):
            happens(scene)

    assert PHASES[case["expected"][0]](scene), scene


HAPPENED: Mapping[str, Callable[[Scene], Any]] = {
    "user_paused": lambda scene: scene.say(Hold),
    "aborted": lambda scene: scene.say(Abort),
}


def begins_in_time(case: Case) -> None:
    """A guard since a step begins with that step, and any other at once."""
    given = case["given"]
    since = given["background_analysis"].get("starting_step")
    plan = canary({**given, "background_analysis": True}).plan
    guarded = Plan(
        strategy="canary",
        steps=plan.steps,
        analyses=plan.analyses,
        guards=[Guard("checks", since=None if since is None else f"argo-{since}")],
    )

    assert (not guarded.active(given["step_index"] or 0, True)) is case["expected"]
