"""Argo Rollouts' cases: what becomes of each here, by its kind and by what it is about, and the replay of those that can be run.

Most of Argo's tests are of functions of a controller that owns ReplicaSets: how many instances each version shall have. This library owns
none, so those make no sense here. What is left is what a person sees of a rollout: which step, which weight, paused, aborted, promoted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from cases.argo_scene import RUNS, Given, Setting, abilities, acted, arrived, blue_green, canary, index, set_the_scene, steps, weight_now
from cases.classes import Case, Fate, Replay, Rule
from cases.scene import Scene

from progressive import (
    Abort,
    Approve,
    Canary,
    Deadline,
    Hold,
    Phase,
    Plan,
    Ports,
    PromoteNow,
    Release,
    Retirement,
    Revert,
    Skip,
    StrategyError,
    Track,
    Version,
    first_deployment,
    hours,
    minutes,
    percent,
    seconds,
    start,
    tick,
)
from progressive.starting import IfRunning
from progressive.steps import Bake, Pause, SetWeight
from progressive.testing import MemoryFleet, MemoryRouter, MemoryStore, Recording, VirtualClock, World, troubles

FILE = "argo_canary.json"

V1, V2, V3 = (Version(name) for name in ("v1", "v2", "v3"))
RELEASE = Release(service="shop", stable=V1, candidate=V2)

# ---------------------------------------------------------------------------------------------------- Argo's words for what is seen

PHASES: Mapping[str, Callable[[Scene], bool]] = {
    "Healthy": lambda scene: scene.phase is Phase.PROMOTED,
    "Degraded": lambda scene: scene.phase in (Phase.ROLLING_BACK, Phase.ROLLED_BACK),
    "Paused": lambda scene: _paused(scene),
    "Progressing": lambda scene: scene.phase in (Phase.PENDING, Phase.PROGRESSING) and not _paused(scene),
}

def _paused(scene: Scene) -> bool:
    """Held, or in a step that does nothing but wait: for a person or for the clock."""
    rollout = scene.rollout
    return rollout.waits_for_person or (rollout.phase is Phase.PROGRESSING and rollout.plan.steps[rollout.progress.step].kind == "pause")


ENDS: Mapping[str, Phase] = {
    "Promoted": Phase.PROMOTED,
    "FastPromoted": Phase.PROMOTED,
    "Aborted": Phase.ROLLED_BACK,
    "RolledBack": Phase.ROLLED_BACK,
    "FastRolledBack": Phase.ROLLED_BACK,
}


def _step_index(given: Given, scene: Scene, expected: int) -> bool:
    """Argo goes one step at a look; here as many as are done. So: at that step, or at least come as far, if it was to move."""
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
    "aborted": lambda given, scene, expected: (scene.phase in (Phase.ROLLED_BACK, Phase.ROLLING_BACK)) is expected,
    "controller_pause": lambda given, scene, expected: _paused(scene) is expected,
    "pause_reasons_added": lambda given, scene, expected: _paused(scene) is bool(expected),
    "pause_reasons": lambda given, scene, expected: _paused(scene) is bool(expected),
    "active": _active,
    "stable": _stable,
    "next_due_in_s": _due,
    "analysis_runs_created": _measured,
    "set_weight": lambda given, scene, expected: scene.traffic.candidate == percent(expected),
    "requeue": lambda given, scene, expected: scene.wake_at is not None,  # here it always comes back, to see what is served
    "error": lambda given, scene, expected: not expected,
    "scaled_to_zero": lambda given, scene, expected: not expected and scene.rollout.progress.retirement is not Retirement.ASKED,
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


def agrees(given: Given, scene: Scene, expected: Mapping[str, Any], *, but: Sequence[str] = ()) -> None:
    """Everything that is expected shows here."""
    for name, value in expected.items():
        if name not in UNSEEN and name not in but:
            assert COMPARED[name](given, scene, value), f"Argo: {name} is {value}; ours: {scene.rollout}\n{scene}"


# --------------------------------------------------------------------------------------------------------------------- the replays


def one_look(case: Case) -> None:
    """The step of a canary, what happens there, and what is seen afterwards."""
    given = case["given"]
    agrees(given, acted(arrived(given, stay=case["kind"] == "traffic")).scene, case["expected"])


def way_back(case: Case) -> None:
    """Back to stable from the middle: no steps, no analysis. There is no step that it is at, so none is compared."""
    given = case["given"]
    agrees(given, acted(arrived(given)).scene, case["expected"], but=["step_index"])


def _to_the_weight(given: Given) -> Setting:
    """The candidate has its current weight (the highest of the steps, if the case does not say it); then the case's moment."""
    weights = [step["set_weight"] for step in given["steps"] if "set_weight" in step]
    weight = weight_now(given)
    weight = (weights[-1] if weights else 0) if weight is None else weight
    first = [SetWeight(percent(weight))] if weight else []
    plan = Canary(steps=[*first, Bake(hours(1)) if weight else Pause(hours(1)), *([SetWeight(percent(100))] if weight < 100 else [])], unguarded="x")
    setting = set_the_scene({**given, "current_weights": None, "router": None}, plan)
    setting.share[Track.CANDIDATE] = weight
    setting.scene.on(lambda rollout: rollout.phase is Phase.PENDING, at_most=minutes(5))
    assert setting.scene.traffic.candidate == percent(weight)

    setting.now()
    setting.scene.until(setting.scene.now + minutes(1)).tick()  # and the fleet has said so
    return setting


def back_as_far_as_stable_can_carry(case: Case) -> None:
    """An abort gives stable at once what it can carry, and the rest when it can, at the latest after ten minutes."""
    setting = _to_the_weight(case["given"])
    before = setting.scene.traffic.candidate
    setting.scene.say(Abort)

    assert setting.scene.traffic.candidate == percent(min(before.number, 100 - abilities(case["given"]).get(Track.STABLE, 100)))

    setting.scene.until(setting.scene.now + minutes(11)).tick()

    assert setting.scene.traffic.candidate == percent(0)


def carried(given: Given) -> float:
    """What stays on the candidate after an abort here."""
    weights = [step["set_weight"] for step in given["steps"] if "set_weight" in step]
    weight = weight_now(given)
    at = (weights[-1] if weights else 0) if weight is None else weight
    return min(at, 100 - abilities(given).get(Track.STABLE, 100))


def no_error_but_a_note(case: Case) -> None:
    """What a router refuses is noted and tried again; nothing goes on meanwhile."""
    setting = arrived(case["given"])
    before = setting.scene.traffic
    setting.scene.tick()
    setting.scene.on(lambda rollout: not rollout.final, at_most=minutes(1))

    assert setting.scene.traffic == before
    assert setting.scene.wake_at is not None
    assert "failed" in str(setting.scene)


def not_promoted_unverified(case: Case) -> None:
    """Without having been read back, nothing is called done."""
    scene = acted(arrived(case["given"])).scene

    assert scene.phase is Phase.PROGRESSING
    assert scene.wake_at is not None


def routes_stay_until_they_go(case: Case) -> None:
    """A way back that the router refuses is noted, tried again for ever, and never called rolled back."""
    world = World(troubles=[troubles.WritesFail(minutes(1), lasting=minutes(5))])
    scene = Scene(Canary(steps=[SetWeight(percent(5)), Bake(hours(1)), SetWeight(percent(100))], unguarded="x"), world)
    scene.until(world.start + minutes(2)).say(Abort)

    assert scene.phase is Phase.ROLLING_BACK
    assert scene.wake_at is not None

    scene.until(world.start + minutes(10)).tick()

    assert scene.phase is Phase.ROLLED_BACK


def superseded(case: Case) -> None:
    """The one before goes to a verified 0 % before the new one gets anything."""
    router, clock, store = Recording(MemoryRouter()), VirtualClock(), MemoryStore()
    ports = Ports(router=router, store=store, clock=clock)
    plan = Canary(steps=[SetWeight(percent(weight_now(case["given"]))), Bake(hours(1)), SetWeight(percent(100))], unguarded="x")
    start(plan, RELEASE, id="older", ports=ports)
    tick("older", ports)
    start(plan, Release(service="shop", stable=V1, candidate=V3), id="new", ports=ports, if_running=IfRunning.SUPERSEDE)
    tick("new", ports)

    wrote = [(call["release"].candidate, call["traffic"].candidate.number) for call in router.of("apply")]
    assert wrote[-3:] == [(V2, 0), (V3, 0), (V3, wrote[1][1])]


def the_plan_travels(case: Case) -> None:
    """Edited steps are the next rollout's: the one under way keeps its own."""
    given = case["given"]
    mine, edited = canary({"steps": given.get("steps_before", given.get("a"))}), canary({"steps": given.get("steps", given.get("b"))})
    ports = Ports(router=MemoryRouter(), store=MemoryStore(), clock=VirtualClock())
    start(mine, RELEASE, id="one", ports=ports)
    again = start(edited, RELEASE, id="one", ports=ports)

    assert again.plan == mine.plan
    assert (mine == edited) is case["expected"] if isinstance(case["expected"], bool) else mine != edited


def a_retry_is_another_rollout(case: Case) -> None:
    """What was aborted is over. Trying again is a rollout with an id of its own, from the first step."""
    given = case["given"]
    over = arrived(given).scene.say(Abort)
    again = arrived(given).scene

    assert over.rollout.final
    agrees(given, again, {"phase": "Progressing"} if not again.rollout.waits_for_person else {"phase": "Paused"})
    assert index(again.rollout, given) == 0


def against_itself(case: Case) -> None:
    """A version can't be released against itself."""
    with pytest.raises(StrategyError, match="two versions"):
        Release(service="shop", stable=V1, candidate=V1)


def an_earlier_version_is_reverted_to(case: Case) -> None:
    """Fast because somebody said that it is a way back, and not because of the version's age."""
    scene = Scene(Revert(), World())
    scene.tick()

    assert scene.traffic.candidate == percent(100)


def all_at_once_and_still_watched(case: Case) -> None:
    """Everything before the switch is passed by; what comes after it is not."""
    given = case["given"]
    scene = arrived(given).scene
    plan = scene.rollout.plan
    scene.say(PromoteNow, waive=[*plan.keys, *(step.id for step in plan.steps if not step.skippable and step.traffic is None)])

    assert scene.traffic.candidate == percent(100)
    assert scene.phase is Phase.PROGRESSING

    scene.on(lambda rollout: not rollout.final, at_most=minutes(10))

    assert scene.phase is Phase.PROMOTED


def skips_to_the_next_analysis(case: Case) -> None:
    """A person skips: the analysis before is not asked any more, the next one is."""
    given = case["given"]
    scene = arrived({**given, "step_index": given["step_analysis"]["of_step"], "step_analysis": given["step_analysis"]["phase"]}).scene
    scene.say(Skip, epoch=scene.rollout.epoch)
    rollout = scene.rollout
    names = {rollout.plan.analyses[rollout.plan.series[i].analysis].name for i in rollout.plan.active(rollout.progress.step, False)}

    assert names == {f"argo-{given['step_index']}"}


def the_first_version(case: Case) -> None:
    """One write, read back: no steps, no analysis, nobody to ask."""
    router = MemoryRouter()
    first_deployment(router, Release(service="shop", stable=None, candidate=V1))

    assert router.traffic.candidate == percent(100)


def a_hold_is_watched(case: Case) -> None:
    """Guards go on in a hold, so that what gets worse meanwhile goes back."""
    setting = arrived({**case["given"], "background_analysis": "Inconclusive"})
    setting.scene.on(lambda rollout: rollout.phase is not Phase.HELD, at_most=minutes(2))
    looks = str(setting.scene).count("background")
    setting.scene.until(setting.scene.now + minutes(2)).tick()

    assert setting.scene.phase is Phase.HELD
    assert str(setting.scene).count("background") > looks


# ------------------------------------------------------------------------------------------------------------------- functions


def _answers(ours: Callable[[Given], Any]) -> Replay:
    """A replay of a case that asks a function: ``ours`` says the same."""

    def replay(case: Case) -> None:
        found = ours(case["given"])

        assert found == case["expected"], f"Argo: {case['expected']}; ours: {found}"

    return replay


def _weight(given: Given) -> float:
    plan = canary(given).plan
    return plan.traffics[min(given["step_index"] or 0, len(plan.steps) - 1)].candidate.number


def _step(given: Given) -> int | None:
    given = {**given, "steps": given.get("steps") or []}
    setting = arrived({**given, "step_index": given.get("step_index") or 0})
    now = index(setting.scene.rollout, given)
    return None if now == len(given["steps"]) else now


def _pause_over(given: Given) -> bool:
    """Is the pause over at this time?"""
    ago = seconds(given["pause_started_s_ago"])
    if given.get("strategy") == "blue_green":
        plan: Any = blue_green({**given, "auto_promotion_s": given.get("auto_promotion_s") or given.get("duration_s")})
    else:
        plan = canary({"steps": [{"pause": given.get("duration_s")}]})
    scene = Scene(plan, World())
    scene.tick().on(lambda rollout: rollout.phase is Phase.PENDING, at_most=minutes(5))
    scene.until(World().start + ago).tick()
    return scene.traffic.candidate == percent(100)


WAITING: Mapping[str, Callable[[Given], Given]] = {
    "InconclusiveAnalysisRun": lambda given: {"steps": [{"analysis": "t"}], "step_index": 0, "step_analysis": "Inconclusive"},
    "InconclusiveExperiment": lambda given: {"steps": [{"experiment": "e"}], "step_index": 0, "experiment_phase": "Inconclusive"},
    "CanaryPauseStep": lambda given: {"steps": [{"pause": given.get("duration_s")}], "step_index": 0, **given},
    "BlueGreenPause": lambda given: {"strategy": "blue_green", "new": "V2", "auto_promotion_s": 10 * 3600, **given},
}
"""Why Argo pauses, as a case in which it does."""


def _waits_for_a_person(given: Given) -> bool:
    return acted(arrived(WAITING[given["reason"]](given))).scene.rollout.waits_for_person


LAST: Mapping[str, Callable[[Scene], Any]] = {
    "ProgressDeadlineExceeded": lambda scene: scene.until(scene.now + minutes(11)).tick(),
    "RolloutAborted": lambda scene: scene.say(Abort),
    "RolloutPaused": lambda scene: scene.say(Hold),
}
"""What happened before, by Argo's last condition. With any other one the rollout was waiting for its instances."""

COMPLETE = ("NewReplicaSetAvailable", "RolloutCompleted", "RolloutHealthy")


def _timed_out(given: Given) -> bool:
    """Has a wait for instances ended by its deadline?"""
    last = given["last_condition"]
    plan = Canary(steps=[SetWeight(percent(100), deadline=Deadline(within=seconds(given.get("deadline_s") or 600)))], unguarded="x")
    missing = last not in COMPLETE
    scene = Scene(plan, World(), able=lambda track, now: 0 if missing and track is Track.CANDIDATE else 100).tick()
    LAST.get(last, lambda scene: None)(scene)
    aborted = last == "RolloutAborted" and scene.rollout.final
    scene.until(scene.now + seconds(given.get("last_progress_s_ago") or 0)).tick()
    return scene.phase is Phase.ROLLED_BACK and not aborted


def _carries(weight: float, able: float) -> bool:
    """Is this weight given to instances that can carry so much?"""
    plan = Canary(steps=[SetWeight(percent(weight)), *([] if weight == 100 else [Bake(hours(1)), SetWeight(percent(100))])], unguarded="x")
    scene = Scene(plan, World(), able=lambda track, now: able if track is Track.CANDIDATE else 100)
    scene.tick()
    return scene.traffic.candidate == percent(weight)


def _enough_for_the_weight(given: Given) -> bool:
    able = min(100.0, given["group"]["available"] * 100 / given["replicas"])
    return _carries(given["weight"] * 100 / given.get("max_weight", 100), able)


def _enough(given: Given) -> bool:
    desired = given["desired"] or given.get("group_spec") or 1
    return _carries(100, min(100.0, given["available"] * 100 / desired) if given["desired"] else 100)


def _fully_promoted(given: Given) -> bool:
    able = min(100.0, given["canary"]["available"] * 100 / given["replicas"])
    scene = Scene(canary(given), World(), able=lambda track, now: able if track is Track.CANDIDATE else 100)
    scene.tick().on(lambda rollout: not rollout.final, at_most=minutes(2))
    return scene.phase is Phase.PROMOTED


ENOUGH: Mapping[str, Callable[[Given], bool]] = {
    "progress_threshold": _enough,
    "replicas_available_for_weight": _enough_for_the_weight,
    "full_promote": _fully_promoted,
}


def _content_with_less(case: Case) -> bool:
    """Is it enough for Argo, by a threshold below all of them, that some are still missing?"""
    given = case["given"]
    if case["kind"] not in ENOUGH or not given.get("threshold") or case["expected"] is not True:
        return False
    group = given.get("group") or given.get("canary") or given
    needed = given["replicas"] * given["weight"] / given.get("max_weight", 100) if "weight" in given else given.get("replicas", group["desired"])
    return bool(group["available"] < needed)


def all_of_them(case: Case) -> None:
    """What a weight needs is what it needs: where Argo is content with less, here it is waited for."""
    assert ENOUGH[case["kind"]](case["given"]) is False


def since_an_unknown_step(case: Case) -> None:
    """A guard since a step that there is not is refused."""
    from progressive import Guard

    plan = canary({"steps": [], "background_analysis": True}).plan
    with pytest.raises(StrategyError, match="there is no step 'argo-1'"):
        Plan(strategy="canary", steps=plan.steps, analyses=plan.analyses, guards=[Guard("checks", since="argo-1")])


def _verified(given: Given) -> None:
    plan = canary({"steps": given["steps"] or [{"set_weight": 100}]})
    scene = Scene(plan, World())
    scene.tick().on(lambda rollout: not rollout.final, at_most=minutes(2))
    served = [note.traffic.candidate for note in scene.notes if note.kind == "verified"]
    asked = [note.traffic.candidate for note in scene.notes if note.kind == "asked"]

    assert asked == [weight for weight in served if weight.ppm]
    assert percent(0) in served


def always_verified(case: Case) -> None:
    """Every weight is read back, the 0 % before the first one and the 100 % after the last one too."""
    if case["given"].get("has_stable", True):
        _verified(case["given"])
    else:
        the_first_version(case)


# -- blue-green


def _at_the_switch(given: Given) -> Setting:
    """A blue-green case at its moment: before the switch, in the wait for it, or after it."""
    setting = set_the_scene(given, blue_green(given))
    scene = setting.scene
    setting.now()
    if given.get("active") == given.get("new"):
        scene.on(lambda rollout: rollout.routing.verified_since is None or not rollout.routing.wanted.candidate.ppm, at_most=minutes(20))
    else:
        scene.tick().on(lambda rollout: rollout.phase is Phase.PENDING, at_most=minutes(5))
    if given.get("controller_pause") or given.get("pause_started_s_ago"):
        scene.on(lambda rollout: rollout.plan.steps[rollout.progress.step].kind not in ("approval", "pause"), at_most=minutes(5))
    return setting


def switch(case: Case) -> None:
    """A blue-green case: what happens at its moment, and who is served then."""
    given = case["given"]
    setting = acted(_at_the_switch(given))
    if "progress_deadline_s" in given:
        setting.scene.on(lambda rollout: not rollout.final, at_most=minutes(20))
    agrees(given, setting.scene, case["expected"])


def nothing_happens(case: Case) -> None:
    """The traffic stays as it is, and it is not over."""
    given = case["given"]
    setting = _at_the_switch(given) if given.get("strategy") == "blue_green" else arrived(given)
    before = setting.scene.traffic
    if not given.get("steps"):
        acted(setting)
    setting.scene.tick()

    assert setting.scene.traffic == before
    assert not setting.scene.rollout.final


def _promoted(retire_after: timedelta) -> tuple[Ports, str]:
    ports = Ports(router=MemoryRouter(), store=MemoryStore(), clock=VirtualClock(), fleet=MemoryFleet())
    start(Canary(steps=[SetWeight(percent(100))], unguarded="x", retire_after=retire_after), RELEASE, id="one", ports=ports)
    tick("one", ports)
    return ports, "one"


def removed_in_its_time(case: Case) -> None:
    """The old version is removed when its time is over, not before."""
    ((left,),) = [[old["scale_down_in_s"] for old in case["given"]["old"]]]
    ports, one = _promoted(seconds(10))
    ports.clock.advance(seconds(10 - left))  # type: ignore[attr-defined]
    tick(one, ports)

    assert bool(ports.fleet.retired) is bool(case["expected"]["scaled_to_zero"])


def back_before_it_is_removed(case: Case) -> None:
    """Going back to the old version keeps it, and asks nobody."""
    ports, one = _promoted(hours(1))
    start(Revert(), RELEASE.reversed(), id="back", ports=ports)
    tick("back", ports)

    assert ports.store.load(one).progress.retirement is Retirement.NONE
    assert ports.router.traffic.candidate == percent(100)


def _judged_in(given: Given, name: str, at: str) -> bool:
    """Is this analysis asked in the step of this kind?"""
    plan = blue_green({"new": "V2", "pre_promotion_analysis": True, "post_promotion_analysis": True}).plan
    step = next(i for i, step in enumerate(plan.steps) if step.kind == at)
    active = plan.active(step, plan.traffics[step].reaches(Track.CANDIDATE))
    return name in {plan.analyses[plan.series[i].analysis].name for i in active}


def _skips_pre(given: Given) -> bool:
    """Is the analysis before the switch passed by? It is over once the new version is switched to."""
    switched = "new" in (given["active"], given["stable"])
    return not _judged_in(given, "preview", "bake" if switched else "analyze")


def _skips_post(given: Given) -> bool:
    """Is the analysis after the switch passed by? It begins with the switch, and is over with the promotion."""
    if given["stable"] == "new":
        scene = Scene(blue_green({"new": "V2"}), World())
        return scene.tick().on(lambda rollout: not rollout.final, at_most=minutes(20)).phase is Phase.PROMOTED
    return not _judged_in(given, "checks", "bake" if given["active"] == "new" else "analyze")


def phase(case: Case) -> None:
    """One word for where it stands; Argo's message is its own."""
    given = case["given"]
    if given.get("strategy") == "blue_green":
        scene = Scene(blue_green({"new": "V2", "post_promotion_analysis": {}, "auto_promotion": given.get("auto_promotion")}), World())
        scene.tick().on(lambda rollout: not rollout.routing.standing.candidate.ppm and not rollout.waits_for_person, at_most=minutes(5))
        if given.get("new_is_stable"):
            scene.on(lambda rollout: not rollout.final, at_most=minutes(20))
    else:
        scene = Scene(canary({"steps": [{"set_weight": 10}, {"pause": None}, {"set_weight": 20}, {"analysis": "t"}]}), World())
        scene.on(lambda rollout: not rollout.waits_for_person, at_most=minutes(5))
        if not given.get("pause_reasons") and not given.get("user_paused"):
            scene.say(Approve, approval="argo-1") if given.get("controller_pause") else None
    for name, happens in HAPPENED.items():
        if given.get(name):
            happens(scene)

    assert PHASES[case["expected"][0]](scene), scene


HAPPENED: Mapping[str, Callable[[Scene], Any]] = {"user_paused": lambda scene: scene.say(Hold), "aborted": lambda scene: scene.say(Abort)}


# --------------------------------------------------------------------------------------------------------------------------- rules


def _kind(*kinds: str, given: Callable[[Given], bool] = lambda given: True) -> Callable[[Case], bool]:
    return lambda case: case["kind"] in kinds and given(case["given"])


def _expects(*names: str) -> Callable[[Case], bool]:
    """Does a case expect nothing but these?"""
    return lambda case: isinstance(case["expected"], Mapping) and bool(case["expected"]) and set(case["expected"]) <= set(names)


def _rises(given: Given) -> bool:
    """Can its steps be said here?"""
    for name in ("steps", "steps_before", "a", "b"):
        try:
            steps_given = given.get(name) or []
            Canary(steps=steps({"steps": steps_given, "max_weight": given.get("max_weight", 100)}), unguarded="x") if not any(
                "analysis" in one or "experiment" in one for one in steps_given
            ) else canary({"steps": steps_given})
        except (StrategyError, KeyError):
            return False
    return True


def falling_weights(case: Case) -> None:
    """Steps that lower the weight, or that a step of ours does not have, are refused."""
    with pytest.raises((StrategyError, KeyError)):
        canary(case["given"])


def _complete(given: Given) -> bool:
    """Are all the new instances there?"""
    return abilities(given).get(Track.CANDIDATE, 100.0) == 100.0


ROUTER_ERROR = "error"


def _router_fails(given: Given, *calls: str) -> bool:
    return any((given.get("router") or {}).get(call) == ROUTER_ERROR for call in calls)


def _unverified(given: Given) -> bool:
    return (given.get("router") or {}).get("verify_weight") is False


LOOKS = _kind("tick", "traffic", "blue_green")
BACK = _kind("traffic", "abort_weight", given=lambda given: bool(given.get("aborted")))


def _goes_back(case: Case) -> bool:
    """Is it about how far an abort gives back at once?"""
    given = case["given"]
    said = not isinstance(case["expected"], Mapping) or bool({"set_weight", "router_calls_not_made"} & set(case["expected"]))
    return said and (BACK(case) or (case["kind"] == "traffic" and given.get("new_version") == "stable"))


def _expected_back(case: Case) -> float | None:
    expected = case["expected"]
    if not isinstance(expected, Mapping):
        return float(expected)
    return weight_now(case["given"]) if "router_calls_not_made" in expected else expected.get("set_weight")


def waits_for_an_answer(case: Case) -> None:
    """Metrics that can't be asked are waited for, then it goes back; at 100 % it holds."""
    given = case["given"]
    scene = (_at_the_switch(given) if given.get("strategy") == "blue_green" else arrived(given)).scene
    scene.on(lambda rollout: not rollout.final and rollout.phase is not Phase.HELD, at_most=minutes(5))

    assert scene.phase is Phase.PROGRESSING

    scene.on(lambda rollout: not rollout.final and rollout.phase is not Phase.HELD, at_most=minutes(40))

    assert scene.phase is (Phase.HELD if scene.traffic.candidate == percent(100) else Phase.ROLLED_BACK)


RULES: tuple[Rule, ...] = (
    Rule(
        feature="experiments: starting them, which one is current, their share of the traffic",
        when=lambda case: case["kind"] == "current_experiment" or (LOOKS(case) and bool({"additional", "experiments_created"} & set(case["expected"]))),
        fate=Fate.CLUSTER,
        why="An experiment starts instances of its own. Here a fresh copy of stable is a `baseline` that your deployment starts.",
    ),
    Rule(
        feature="how many instances each version shall have",
        when=lambda case: _kind(
            "approximate_counts", "basic_counts", "routed_counts", "at_desired_counts", "pods_for_weight", "replicas_for_scale_down", "scale"
        )(case)
        or (LOOKS(case) and bool(set(case["expected"]) & INSTANCES)),
        fate=Fate.CLUSTER,
        why="Argo's controller owns ReplicaSets, and without a router their sizes *are* the weight. Here instances are the business of whoever "
        "deploys them, and the weight is the router's; a fleet is only asked what it can carry.",
    ),
    Rule(
        feature="restarting instances",
        when=_kind("restart"),
        fate=Fate.CLUSTER,
        why="Evicting pods one after another is a controller's work.",
    ),
    Rule(
        feature="dynamic stable scale: whether a roll-back is one",
        when=_kind("rolling_back_dynamically"),
        fate=Fate.CLUSTER,
        why="A flag between two looks of a controller that resizes stable. Here the size of stable is asked for on the way back.",
    ),
    Rule(
        feature="phase by the number of instances",
        when=_kind("phase", given=lambda given: "total" in given or (given.get("strategy") != "blue_green" and "updated" in given)),
        fate=Fate.CLUSTER,
        why="Argo says how its ReplicaSets are doing. Here the phase is that of the traffic.",
    ),
    Rule(
        feature="preview with fewer instances, and analyses that wait for instances",
        when=lambda case: _kind(
            "blue_green", "skip_pre_promotion_analysis", "skip_post_promotion_analysis", given=lambda given: "preview_replica_count" in given
        )(case)
        or _kind("skip_pre_promotion_analysis", "skip_post_promotion_analysis", given=lambda given: given.get("saturated") is False)(case),
        fate=Fate.CLUSTER,
        why="How large a preview is, and whether it is complete, is known to whoever deploys it: that is the place of the preview hook.",
    ),
    Rule(
        feature="old instances: unreadable deadlines, limits by revision, after an abort",
        when=_kind(
            "blue_green",
            given=lambda given: any("scale_down_at" in old for old in given.get("old", ()))
            or "scale_down_delay_revision_limit" in given
            or "abort_scale_down_delay_s" in given,
        ),
        fate=Fate.CLUSTER,
        why="Argo keeps any number of versions alive and writes their deadlines on the ReplicaSets. A release here has one old version, and "
        "its deadline stands in the rollout.",
    ),
    Rule(
        feature="steps that lower the weight",
        when=lambda case: not _rises(case["given"]),
        fate=Fate.DIFFERS,
        why="Weights rise; the way down is the way back, and needs no step. Such a plan is a `StrategyError`.",
        replay=falling_weights,
    ),
    # ------------------------------------------------------------------------------------------------------------- the way back
    Rule(
        feature="the way back when stable can carry all of it, or as much as it can",
        when=lambda case: _goes_back(case) and _expected_back(case) == carried(case["given"]),
        fate=Fate.SAME,
        why="An abort gives stable at once what its fleet can carry: everything, if nothing is known against it.",
        replay=back_as_far_as_stable_can_carry,
    ),
    Rule(
        feature="the way back to a stable that is too small: how far at once",
        when=_goes_back,
        fate=Fate.DIFFERS,
        why="With `dynamicStableScale` Argo goes back by the weights of the steps, or all the way when stable is nearly complete. Here stable "
        "gets exactly what it can carry, and everything after ten minutes at the latest.",
        replay=back_as_far_as_stable_can_carry,
    ),
    Rule(
        feature="superseded by another version",
        when=lambda case: case["kind"] == "traffic" and "router_calls_order" in case["expected"],
        fate=Fate.SAME,
        why="`start(if_running=IfRunning.SUPERSEDE)`: a verified 0 % for the one before, then the new one.",
        replay=superseded,
    ),
    Rule(
        feature="superseded while stable is too small",
        when=lambda case: case["kind"] == "traffic" and "router_calls_not_made" in case["expected"],
        fate=Fate.SAME,
        why="The way back of the one before waits for stable, and the new one waits for the way back.",
        replay=back_as_far_as_stable_can_carry,
    ),
    Rule(
        feature="an abort of a rollout whose new version is the stable one",
        when=_kind("tick", given=lambda given: given.get("new_version") == "stable" and bool(given.get("aborted"))),
        fate=Fate.DIFFERS,
        why="Argo clears the abort. Here a release of a version against itself is refused, so there is none to abort.",
        replay=against_itself,
    ),
    Rule(
        feature="an abort, and going back to the stable version in the middle",
        when=_kind("tick", given=lambda given: given.get("new_version") == "stable" or bool(given.get("aborted"))),
        fate=Fate.SAME,
        why="An `Abort`: one write, no steps, no analysis.",
        replay=way_back,
    ),
    Rule(
        feature="rollback window: older versions go fast",
        when=lambda case: case["kind"] == "rollback_window" or "rollback_window" in case["given"],
        fate=Fate.DIFFERS,
        why="There is no history of versions to count in. Going back after a success is a `Revert`: fast because somebody says that it is a way "
        "back, and not because of a version's age.",
        replay=an_earlier_version_is_reverted_to,
    ),
    # -------------------------------------------------------------------------------------------------------------- the router
    Rule(
        feature="the router refuses to remove routes",
        when=_kind("traffic", given=lambda given: _router_fails(given, "remove_routes")),
        fate=Fate.DIFFERS,
        why="An error of the router does not fail the tick: it is noted, and the way back is tried again for ever.",
        replay=routes_stay_until_they_go,
    ),
    Rule(
        feature="the router fails",
        when=_kind("traffic", given=lambda given: _router_fails(given, "set_weight", "set_target", "verify_weight")),
        fate=Fate.DIFFERS,
        why="An error of the router does not fail the tick: it is noted, tried again with growing pauses, and the deadline of the step decides. "
        "Argo goes on where a weight could not be *verified*; here nothing counts before it was read back.",
        replay=no_error_but_a_note,
    ),
    Rule(
        feature="the last weight is not verified",
        when=lambda case: case["kind"] == "traffic" and _unverified(case["given"]) and case["expected"].get("error") is True,
        fate=Fate.DIFFERS,
        why="Argo's tick fails. Here it waits, for ten minutes, and is not promoted.",
        replay=not_promoted_unverified,
    ),
    Rule(
        feature="the weight is not verified",
        when=_kind("traffic", given=lambda given: _unverified(given)),
        fate=Fate.SAME,
        why="The step waits. Here for every router, and for ten minutes at most.",
        replay=one_look,
    ),
    Rule(
        feature="which weights are verified: those of the steps",
        when=lambda case: case["kind"] == "should_verify_weight" and case["expected"] is True,
        fate=Fate.SAME,
        why="They are read back.",
        replay=always_verified,
    ),
    Rule(
        feature="which weights are verified: the others",
        when=_kind("should_verify_weight"),
        fate=Fate.DIFFERS,
        why="All of them, always: also the 0 % before the first and the one after the last step, which Argo passes by. Argo verifies with one router of eight.",
        replay=always_verified,
    ),
    Rule(
        feature="promote full while not all instances are there, dynamic stable scale",
        when=_kind("traffic", given=lambda given: bool(given.get("promote_full") and given.get("dynamic_stable_scale")) and not _complete(given)),
        fate=Fate.DIFFERS,
        why="Argo's weight follows the instances as they come. Here the weights are those of the plan: 100 % is given when 100 % can be carried.",
        replay=lambda case: _waits_at(case),
    ),
    Rule(
        feature="a weight is given to what can carry it",
        when=_kind("traffic", given=lambda given: "canary" in given or "steps" in given),
        fate=Fate.SAME,
        why="The fleet says what share the instances can carry, and until it is enough the weight stays what it is.",
        replay=one_look,
    ),
    # ---------------------------------------------------------------------------------------------------------- availability
    Rule(
        feature="enough instances, by a threshold below all of them",
        when=_content_with_less,
        fate=Fate.DIFFERS,
        why="There is no threshold: a weight is given to instances that can carry this weight, and to no fewer.",
        replay=all_of_them,
    ),
    Rule(
        feature="enough instances for the weight",
        when=_kind("replicas_available_for_weight"),
        fate=Fate.SAME,
        why="`Capacity(able=...)` of a fleet.",
        replay=_answers(_enough_for_the_weight),
    ),
    Rule(
        feature="enough instances for the weight",
        when=_kind("progress_threshold"),
        fate=Fate.SAME,
        why="`Capacity(able=...)` of a fleet.",
        replay=_answers(_enough),
    ),
    Rule(
        feature="fully promoted",
        when=_kind("full_promote"),
        fate=Fate.SAME,
        why="After the last step, with all instances there.",
        replay=_answers(_fully_promoted),
    ),
    # ---------------------------------------------------------------------------------------------------------------- steps
    Rule(
        feature="the weight of a step",
        when=_kind("current_weight"),
        fate=Fate.SAME,
        why="That of the last `SetWeight`; 0 before the first, 100 past the end.",
        replay=_answers(_weight),
    ),
    Rule(feature="the current step", when=_kind("current_step"), fate=Fate.SAME, why="Its id, never a position.", replay=_answers(_step)),
    Rule(
        feature="the steps are edited in the middle",
        when=lambda case: case["kind"] == "same_steps" or "steps_before" in case["given"],
        fate=Fate.DIFFERS,
        why="Argo begins again at its first step. Here the plan travels in the rollout: an edited strategy is the next rollout's.",
        replay=the_plan_travels,
    ),
    Rule(
        feature="background analysis from a later step on, without steps",
        when=_kind("before_starting_step", given=lambda given: bool(given["background_analysis"].get("starting_step")) and not given["steps"]),
        fate=Fate.DIFFERS,
        why="A guard since a step that there is not is refused (`Guard(..., since=...)`).",
        replay=since_an_unknown_step,
    ),
    Rule(
        feature="background analysis from a later step on",
        when=_kind("before_starting_step"),
        fate=Fate.SAME,
        why="`Guard(..., since=...)` in a `Plan`.",
        replay=lambda case: _begins_in_time(case),
    ),
    Rule(feature="pauses", when=_kind("pause_completed"), fate=Fate.SAME, why="`Pause` and `Approval`.", replay=_answers(_pause_over)),
    Rule(
        feature="what waits for a person",
        when=_kind("needs_manual_action"),
        fate=Fate.SAME,
        why="`rollout.waits_for_person`: a hold or an approval.",
        replay=_answers(_waits_for_a_person),
    ),
    Rule(
        feature="deadlines",
        when=_kind("progress_deadline"),
        fate=Fate.SAME,
        why="Every step has one, with what happens then. Holds stop its clock, and a way back has none.",
        replay=_answers(_timed_out),
    ),
    Rule(feature="phase", when=_kind("phase"), fate=Fate.SAME, why="Healthy is `promoted`, Degraded `rolled_back`.", replay=phase),
    Rule(
        feature="when the analyses around a switch run",
        when=_kind("skip_pre_promotion_analysis"),
        fate=Fate.SAME,
        why="`preview_checks` before it, `checks` after it.",
        replay=_answers(_skips_pre),
    ),
    Rule(
        feature="when the analyses around a switch run",
        when=_kind("skip_post_promotion_analysis"),
        fate=Fate.SAME,
        why="`preview_checks` before it, `checks` after it.",
        replay=_answers(_skips_post),
    ),
    # ----------------------------------------------------------------------------------------------------------- one look
    Rule(
        feature="the first deployment",
        when=lambda case: "stable" in case["given"] and case["given"]["stable"] is None,
        fate=Fate.SAME,
        why="`first_deployment`: one write, read back. There is nothing to compare with and nobody to ask.",
        replay=the_first_version,
    ),
    Rule(
        feature="nothing happens while it waits",
        when=lambda case: LOOKS(case) and "changes" in case["expected"],
        fate=Fate.SAME,
        why="An approval, or a hold, waits; the traffic stays.",
        replay=nothing_happens,
    ),
    Rule(
        feature="retry after an abort",
        when=_kind("tick", given=lambda given: given.get("last_condition") == "RolloutAborted"),
        fate=Fate.DIFFERS,
        why="What was aborted is over. A retry is another rollout with an id of its own, so that each has one story.",
        replay=a_retry_is_another_rollout,
    ),
    Rule(
        feature="metrics that can't be asked",
        when=lambda case: LOOKS(case) and "Error" in [case["given"].get(run) for run in RUNS],
        fate=Fate.DIFFERS,
        why="Argo aborts after five errors. Here no answer is no verdict: it is waited for, for 15 minutes, then it goes back (at 100 % it holds).",
        replay=waits_for_an_answer,
    ),
    Rule(
        feature="a person skips an analysis",
        when=_kind("tick", given=lambda given: isinstance(given.get("step_analysis"), Mapping) and "of_step" in given["step_analysis"]),
        fate=Fate.SAME,
        why="`Skip`, with the epoch that the person saw.",
        replay=skips_to_the_next_analysis,
    ),
    Rule(
        feature="analysis while paused",
        when=lambda case: case["kind"] == "tick" and case["expected"] == {"analysis_runs_created": []} and bool(case["given"].get("pause_reasons")),
        fate=Fate.DIFFERS,
        why="Argo begins no run in a pause for an inconclusive one. Here a hold is guarded: what gets worse meanwhile goes back.",
        replay=a_hold_is_watched,
    ),
    Rule(
        feature="steps, pauses and analyses, look by look",
        when=_kind("tick"),
        fate=Fate.SAME,
        why="A failed analysis goes back, an inconclusive one holds, a pause ends by the clock or by a person.",
        replay=one_look,
    ),
    Rule(
        feature="blue-green: promote full",
        when=_kind("blue_green", given=lambda given: bool(given.get("promote_full")) and _complete(given)),
        fate=Fate.DIFFERS,
        why="The switch is at once. But what comes after it is still watched: `PromoteNow` passes by what stands before 100 %, never the last bake.",
        replay=all_at_once_and_still_watched,
    ),
    Rule(
        feature="blue-green: the old version after the switch",
        when=_kind("blue_green", given=lambda given: bool(given.get("old")) and "new_scale_down_in_s" not in given),
        fate=Fate.SAME,
        why="`retire_after=`.",
        replay=removed_in_its_time,
    ),
    Rule(
        feature="blue-green: back to a version that still runs",
        when=_kind("blue_green", given=lambda given: "new_scale_down_in_s" in given),
        fate=Fate.SAME,
        why="A `Revert` keeps the version that was due to be removed, and asks nobody.",
        replay=back_before_it_is_removed,
    ),
    Rule(
        feature="blue-green: deadlines that abort nothing",
        when=_kind("blue_green", given=lambda given: "progress_deadline_s" in given and not given.get("progress_deadline_abort")),
        fate=Fate.DIFFERS,
        why="A deadline always does something. One that only says so does not exist.",
        replay=lambda case: _deadline_acts(case),
    ),
    Rule(
        feature="blue-green: preview, switch, after the switch",
        when=_kind("blue_green"),
        fate=Fate.SAME,
        why="`BlueGreen(preview_checks=..., approval=... or pause=..., checks=...)`.",
        replay=switch,
    ),
)


def _waits_at(case: Case) -> None:
    """The weight stays until everything can be carried, then it is everything."""
    given = case["given"]
    setting = arrived(given)
    before = setting.scene.traffic.candidate
    acted(setting)

    assert setting.scene.traffic.candidate == before

    setting.share.clear()
    setting.scene.on(lambda rollout: not rollout.final, at_most=minutes(5))

    assert setting.scene.traffic.candidate == percent(100)


def _begins_in_time(case: Case) -> None:
    """A guard since a step begins with that step, and any other at once."""
    from progressive import Guard

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


def _deadline_acts(case: Case) -> None:
    given = case["given"]
    setting = set_the_scene(given, blue_green(given))
    setting.now()
    setting.scene.tick().on(lambda rollout: not rollout.final, at_most=minutes(20))

    assert setting.scene.phase is Phase.ROLLED_BACK
