"""What an Argo Rollouts case gives, as a strategy in a simulated world, taken to the step that the
case is about.

A case is one look of a controller at a state: here is a step, so far has it come, these things are
true now. So each is set up the same way: a plan with a step for each of Argo's (`strategy`), driven
until that step is reached (`arrived`), then what the case says happens (`acted`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import attrs
from tests.cases.scene import Scene

from progressive import (
    Abort,
    Action,
    Analysis,
    Approve,
    BlueGreen,
    Canary,
    Hold,
    Limit,
    Metric,
    Phase,
    PromoteNow,
    Resume,
    Rollout,
    Skip,
    Tolerance,
    Track,
    hours,
    minutes,
    percent,
    seconds,
)
from progressive.model.traffic import Match
from progressive.plan import Step
from progressive.steps import Analyze, Approval, Hook, Pause, SetWeight
from progressive.testing import Behaviour, SimTime, World
from progressive.testing.simulation import troubles

Given: TypeAlias = Mapping[str, Any]

NO_CHECK = "the case has no analysis"
INTERVAL = seconds(30)

WHOLE = "whole"
"""The id of the step that Argo need not name: what comes after its last one."""


# ------------------------------------------------------------------------------------- the strategy


def _approval(name: str) -> Approval:
    return Approval(name, within=hours(24), otherwise=Action.HOLD, id=name)


def _set_weight(given: Given, at: int, weight: int) -> Step:
    return SetWeight(percent(weight * 100 / given.get("max_weight", 100)), id=_id(at))


def _pause(given: Given, at: int, length: int | None) -> Step:
    return (
        _approval(_id(at))
        if length is None
        else Pause(max(seconds(length), timedelta(milliseconds=1)), id=_id(at))
    )


def _analysis(given: Given, at: int, _: Any) -> Step:
    return Analyze(_id(at), id=_id(at))


def _header_route(given: Given, at: int, route: Given) -> Step:
    matches = [
        Match(name=one["header_name"], value=one["header_value"]["exact"])
        for one in route.get("match", ())
    ]
    return SetWeight(percent(0), matches=matches, id=_id(at))


def _scale(given: Given, at: int, _: Any) -> Step:
    return Hook(
        "scale", id=_id(at)
    )  # how many instances there are is the business of whoever deploys them


STEPS: dict[str, Callable[[Given, int, Any], Step]] = {
    "set_weight": _set_weight,
    "pause": _pause,
    "analysis": _analysis,
    "experiment": _analysis,
    "set_header_route": _header_route,
    "set_canary_scale": _scale,
}
"""Each of Argo's steps as one of ours. An experiment is an analysis of instances that the caller
has started.
"""


def _id(at: int) -> str:
    return f"argo-{at}"


def steps(given: Given, of: str = "steps") -> list[Step]:
    """Argo's steps as ours, one for one, and all traffic where they stop short of it: past Argo's
    last step is 100 %.
    """
    found = [
        STEPS[kind](given, at, content)
        for at, step in enumerate(given.get(of) or ())
        for kind, content in step.items()
    ]
    given_last = [step.traffic.candidate for step in found if step.traffic is not None]
    return (
        found
        if given_last and given_last[-1] == percent(100)
        else [*found, SetWeight(percent(100), id=WHOLE)]
    )


def metric(analysis: str) -> Metric:
    return Metric(f"bad-{analysis}", kind="ratio")


def _check(analysis: str, state: Any) -> Limit:
    """Argo's verdict on a whole run is one look of ours; a run that is still running is a look that
    has not seen enough.
    """
    enough = (
        10**9
        if state in ("Running", "Pending", "Error") or (analysis, state) == ("post", "Inconclusive")
        else 1
    )
    return Limit(
        metric(analysis),
        plain=True,
        at_most=percent(50),
        min_sample=enough,
        tolerance=Tolerance(in_a_row=1),
    )


def canary(given: Given, of: str = "steps") -> Canary:
    """The strategy of a canary case. Every analysis may be judged before the first weight too, as
    Argo's may.
    """
    found = steps(given, of)
    inline = [step.id for step in found if isinstance(step, Analyze)]
    background = "background_analysis" in given and given["background_analysis"] is not None
    analyses = [
        Analysis(
            name, checks=[_check(name, state_of(given, name))], interval=INTERVAL, synthetic=True
        )
        for name in inline
    ]
    checks = [_check("background", state_of(given, "background"))] if background else []
    return Canary(
        steps=found,
        analyses=analyses,
        checks=checks,
        interval=INTERVAL,
        unguarded=None if checks or analyses else NO_CHECK,
    )


def blue_green(given: Given) -> BlueGreen:
    """The strategy of a blue-green case."""
    before, after = (
        given.get("pre_promotion_analysis") is not None,
        given.get("post_promotion_analysis") is not None,
    )
    by_hand = given.get("auto_promotion") is False
    pause = given.get("auto_promotion_s")
    return BlueGreen(
        preview_checks=[_check("pre", state_of(given, "pre"))] if before else [],
        preview_count=1,
        approval=_approval("switch") if by_hand else None,
        pause=seconds(pause) if pause and not by_hand else None,
        checks=[_check("post", state_of(given, "post"))] if after else [],
        interval=INTERVAL,
        bake=INTERVAL,
        retire_after=seconds(given["scale_down_delay_s"])
        if given.get("scale_down_delay_s")
        else None,
        unguarded=None if after else NO_CHECK,
    )


def strategy(given: Given) -> Canary | BlueGreen:
    return blue_green(given) if given.get("strategy") == "blue_green" else canary(given)


# ---------------------------------------------------------------------------------------- the world


def state_of(given: Given, analysis: str) -> str | None:
    """The phase of a run; none where there is no run yet, and then it is going to pass."""
    found = _configured(given, analysis)
    return found if isinstance(found, str) else None


def _configured(given: Given, analysis: str) -> Any:
    if analysis == "background":
        return given.get("background_analysis")
    if analysis in ("pre", "post"):
        return given.get(
            {"pre": "pre_promotion_analysis", "post": "post_promotion_analysis"}[analysis]
        )
    at = int(analysis.removeprefix("argo-"))
    if at != given.get("step_index"):
        return None
    return given.get("experiment_phase", given.get("step_analysis"))


RATES = {"Failed": (1.0, 0.0), "Inconclusive": (1.0, 1.0)}
"""Candidate and stable. What is as bad on stable is inconclusive here."""


@attrs.define
class Since:
    """From ``at`` on one number, before it 0: what the case says is true only when its step has
    been reached.
    """

    then: float
    at: datetime | None = None

    def __call__(self, moment: SimTime) -> float:
        return 0.0 if self.at is None or moment.clock < self.at else self.then


@attrs.define
class Setting:
    """A case while it is played: the scene, and what changes when the case's moment has come."""

    given: Given
    scene: Scene
    rates: Sequence[Since]
    share: dict[Track, float]

    broken: bool
    capped: bool

    def now(self) -> None:
        """The moment of the case."""
        self.share.clear()
        for rate in self.rates:
            rate.at = self.scene.now
        self.share.update(abilities(self.given))


def abilities(given: Given) -> dict[Track, float]:
    """What share of everything the instances of each version can serve, as a fleet would say it."""
    replicas = given.get("replicas", 1)
    found = {}
    for track, name in ((Track.CANDIDATE, "canary"), (Track.STABLE, "stable")):
        group = given.get(name)
        if isinstance(group, Mapping) and "available" in group:
            found[track] = min(100.0, group["available"] * 100 / replicas) if replicas else 100.0
    if "new_available" in given:
        found[Track.CANDIDATE] = min(100.0, given["new_available"] * 100 / given["replicas"])
    return found


def weight_now(given: Given) -> int | None:
    """The candidate's weight at the case's moment, where it says it."""
    weights = given.get("current_weights")
    found: int | None = weights["canary"] if weights else None
    return found


def before(given: Given) -> float:
    """The weight that the steps before the case's have given."""
    set_before = [
        step["set_weight"]
        for step in given["steps"][: given.get("step_index") or 0]
        if "set_weight" in step
    ]
    return float(set_before[-1]) if set_before else 0.0


def _stands_at(given: Given, stay: bool) -> float | None:
    """What keeps the candidate where the case begins: its current weight, its step's if it is to
    ``stay`` there, what its instances can carry.
    """
    at = given.get("step_index") or 0
    able = abilities(given).get(Track.CANDIDATE)
    if (weight := weight_now(given)) is not None:
        return weight
    if stay and "steps" in given and at < len(given["steps"]):
        return min(before({**given, "step_index": at + 1}), 100.0 if able is None else able)
    return able


def set_the_scene(given: Given, plan: Canary | BlueGreen, *, stay: bool = False) -> Setting:
    """The strategy in its world, before anything has happened. Everything is well until
    `Setting.now`.
    """
    names = [analysis.name for analysis in plan.plan.analyses]
    known = {"checks": "background" if isinstance(plan, Canary) else "post", "preview": "pre"}
    runs = [known.get(name, name) for name in names]
    rates = {
        run: tuple(Since(rate) for rate in RATES.get(state_of(given, run) or "", (0.0, 0.0)))
        for run in runs
    }
    broken = _troubles(given)
    at_most = before(given) if "router" in given and broken else _stands_at(given, stay)
    share = {} if at_most is None else {Track.CANDIDATE: at_most}
    world = World(
        load=200.0,
        preview=200.0,
        scrape=seconds(5),
        candidate=Behaviour(errors=0, ratios={metric(run).name: rates[run][0] for run in runs}),
        stable=Behaviour(errors=0, ratios={metric(run).name: rates[run][1] for run in runs}),
        troubles=broken,
    )
    scene = Scene(plan, world, able=lambda track, now: share.get(track, 100.0))
    return Setting(
        given=given,
        scene=scene,
        rates=[each for pair in rates.values() for each in pair],
        share=share,
        broken=bool(broken),
        capped=at_most is not None,
    )


BROKEN = minutes(1)
"""When what is broken in a case breaks: the start is over, and no step has a weight yet that takes
as long.
"""


RUNS = (
    "step_analysis",
    "background_analysis",
    "experiment_phase",
    "pre_promotion_analysis",
    "post_promotion_analysis",
)
"""Where a case says what an analysis has come to."""


def _troubles(given: Given) -> list[troubles.Trouble]:
    router = given.get("router") or {}
    found: list[troubles.Trouble] = []
    if "error" in (router.get("set_weight"), router.get("remove_routes"), router.get("set_target")):
        found.append(troubles.WritesFail(BROKEN))
    if router.get("verify_weight") == "error":
        found.append(troubles.RouterDown(BROKEN))
    if router.get("verify_weight") is False:
        found.append(troubles.HalfObeys(BROKEN, lasting=hours(1)))
    if "Error" in [given.get(run) for run in RUNS]:
        found.append(troubles.MetricsDown(BROKEN))
    if given.get("post_promotion_analysis") == "Inconclusive":
        found.append(
            troubles.SeriesMissing(BROKEN)
        )  # stable is not there to be as bad, so what is left is not to know
    return found


# --------------------------------------------------------------------------------- what takes place


def index(rollout: Rollout, given: Given) -> int:
    """Which of Argo's steps a rollout is in; their number when it is past the last. Here a weight
    that is served is left when the next may begin.
    """
    last = len(given.get("steps") or ())
    step = rollout.plan.steps[rollout.progress.step]
    if rollout.final or not step.id.startswith("argo-"):
        return last
    done = (
        step.traffic is not None
        and step.traffic == rollout.routing.last_verified
        and rollout.routing.verified_since is not None
    )
    return int(step.id.removeprefix("argo-")) + done


def arrived(given: Given, *, stay: bool = False) -> Setting:
    """A canary case at its step: earlier pauses are approved or over, earlier analyses passed.
    ``stay``: it is not to go on by itself.
    """
    spoken = (
        given.get("promote_full") or given.get("aborted") or given.get("new_version") == "stable"
    )
    stay = stay or bool(spoken)
    setting = set_the_scene(given, strategy(given), stay=stay)
    scene, at = setting.scene, given.get("step_index") or 0
    for name in (step.id for step in scene.rollout.plan.steps[:at] if isinstance(step, Approval)):
        scene.say(Approve, approval=name)
    scene.on(lambda rollout: rollout.phase is Phase.PENDING, at_most=minutes(5))
    scene.on(
        lambda rollout: not rollout.final and index(rollout, given) < at,
        at_most=minutes(2) if setting.capped else hours(4),
    )
    if setting.broken:
        scene.until(max(scene.now, World().start + BROKEN + seconds(1)))
    if setting.broken or spoken or not stay:
        setting.now()
    return setting


def acted(setting: Setting) -> Setting:
    """What the case says happens then."""
    given, scene = setting.given, setting.scene
    for when, act in ACTS:
        if when(given):
            act(given, scene)
            return setting
    step = scene.rollout.plan.steps[scene.rollout.progress.step]
    if step.kind == "pause":
        scene.tick()
        return setting
    patience = minutes(20) if given.get("strategy") == "blue_green" else minutes(2)
    scene.on(
        lambda rollout: not rollout.final and rollout.phase is not Phase.HELD, at_most=patience
    )
    return setting


def _promoted_by_hand(given: Given) -> bool:
    return bool(given.get("controller_pause")) and given.get("pause_reasons") == []


def _goes_on(given: Given, scene: Scene) -> None:
    """A person says go on: an approval where one is asked for; out of a hold with what stands
    against it waived; else a skip.
    """
    scene.on(lambda rollout: not rollout.final and not rollout.waits_for_person, at_most=minutes(2))
    step = scene.rollout.plan.steps[scene.rollout.progress.step]
    if scene.phase is Phase.HELD:
        for cause in scene.rollout.progress.causes:
            scene.say(Resume, cause=cause.name, waive=scene.rollout.plan.keys)
    if step.approval is not None:
        scene.say(Approve, approval=step.approval)
    elif step.skippable:
        scene.say(Skip, epoch=scene.rollout.epoch)
    scene.on(lambda rollout: not rollout.final, at_most=minutes(2))


def _time_passes(given: Given, scene: Scene) -> None:
    scene.until(scene.rollout.clocks.entered + seconds(given["pause_started_s_ago"])).tick()
    if given.get("strategy") == "blue_green":
        scene.on(
            lambda rollout: not rollout.final and rollout.routing.desired.candidate.ppm > 0,
            at_most=minutes(2),
        )


def _user_pauses(given: Given, scene: Scene) -> None:
    scene.say(Hold)
    scene.until(scene.now + seconds(given.get("pause_started_s_ago", 60))).tick()


def promote_now(given: Given, scene: Scene) -> None:
    """Argo's ``promote --full``: whatever stands against it is meant to be passed by."""
    plan = scene.rollout.plan
    scene.say(
        PromoteNow,
        waive=[
            *plan.keys,
            *(step.id for step in plan.steps if not step.skippable and step.traffic is None),
        ],
    )
    scene.on(lambda rollout: not rollout.final, at_most=minutes(2))


ACTS: Sequence[tuple[Callable[[Given], bool], Callable[[Given, Scene], None]]] = (
    (lambda given: bool(given.get("user_paused")), _user_pauses),
    (lambda given: bool(given.get("promote_full")), promote_now),
    (
        lambda given: bool(given.get("aborted")) or given.get("new_version") == "stable",
        lambda given, scene: scene.say(Abort) and None,
    ),
    (_promoted_by_hand, _goes_on),
    (lambda given: "pause_started_s_ago" in given, _time_passes),
)
