"""Replays of what Argo's controller does at one look: ticks, calls of the router, blue-green."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest
from tests.cases.argo_scene import (
    Given,
    Setting,
    abilities,
    acted,
    arrived,
    blue_green,
    canary,
    index,
    set_the_scene,
    weight_now,
)
from tests.cases.argo_seen import agrees
from tests.cases.classes import Case
from tests.cases.scene import Scene

from progressive import (
    Abort,
    Canary,
    Phase,
    Ports,
    PromoteNow,
    Release,
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
from progressive.rollout import Retirement
from progressive.runtime.start import IfRunning
from progressive.steps import Bake, Pause, SetWeight
from progressive.testing import (
    MemoryFleet,
    MemoryRouter,
    MemoryStore,
    Recording,
    VirtualClock,
    World,
)
from progressive.testing.simulation import troubles

V1, V2, V3 = (Version(name) for name in ("v1", "v2", "v3"))


RELEASE = Release(service="shop", stable=V1, candidate=V2)


def one_look(case: Case) -> None:
    """The step of a canary, what happens there, and what is seen afterwards."""
    given = case["given"]
    agrees(given, acted(arrived(given, stay=case["kind"] == "traffic")).scene, case["expected"])


def way_back(case: Case) -> None:
    """Back to stable from the middle: no steps, no analysis. There is no step that it is at, so
    none is compared.
    """
    given = case["given"]
    agrees(given, acted(arrived(given)).scene, case["expected"], but=["step_index"])


def _to_the_weight(given: Given) -> Setting:
    """The candidate has its current weight (the highest of the steps, if the case does not say it);
    then the case's moment.
    """
    weights = [step["set_weight"] for step in given["steps"] if "set_weight" in step]
    weight = weight_now(given)
    weight = (weights[-1] if weights else 0) if weight is None else weight
    first = [SetWeight(percent(weight))] if weight else []
    plan = Canary(
        steps=[
            *first,
            Bake(hours(1)) if weight else Pause(hours(1)),
            *([SetWeight(percent(100))] if weight < 100 else []),
        ],
        unguarded="x",
    )
    setting = set_the_scene({**given, "current_weights": None, "router": None}, plan)
    setting.share[Track.CANDIDATE] = weight
    setting.scene.on(lambda rollout: rollout.phase is Phase.PENDING, at_most=minutes(5))
    assert setting.scene.traffic.candidate == percent(weight)

    setting.now()
    setting.scene.until(setting.scene.now + minutes(1)).tick()  # and the fleet has said so
    return setting


def _given_back(given: Given) -> float:
    """The candidate's weight right after an abort. Ten minutes later it is 0, whatever stable can
    carry.
    """
    setting = _to_the_weight(given)
    setting.scene.say(Abort)
    at_once = setting.scene.traffic.candidate.number
    setting.scene.until(setting.scene.now + minutes(11)).tick()
    assert setting.scene.traffic.candidate == percent(0)

    return at_once


def back_as_far_as_stable_can_carry(case: Case) -> None:
    """An abort gives stable at once what it can carry, and the rest when it can, at the latest
    after ten minutes.
    """
    assert _given_back(case["given"]) == carried(case["given"])


def back_as_far_as_there(case: Case) -> None:
    """An abort gives stable at once as much as Argo does."""
    assert _given_back(case["given"]) == expected_back(case)


def expected_back(case: Case) -> float | None:
    """The candidate's weight after Argo's look: the one before, where the router is not to be
    called.
    """
    expected = case["expected"]
    if not isinstance(expected, Mapping):
        return float(expected)
    return (
        weight_now(case["given"])
        if "router_calls_not_made" in expected
        else expected.get("set_weight")
    )


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
    """A way back that the router refuses is noted, tried again for ever, and never called rolled
    back.
    """
    world = World(troubles=[troubles.WritesFail(minutes(1), lasting=minutes(5))])
    scene = Scene(
        Canary(
            steps=[SetWeight(percent(5)), Bake(hours(1)), SetWeight(percent(100))], unguarded="x"
        ),
        world,
    )
    scene.until(world.start + minutes(2)).say(Abort)

    assert scene.phase is Phase.ROLLING_BACK
    assert scene.wake_at is not None

    scene.until(world.start + minutes(10)).tick()

    assert scene.phase is Phase.ROLLED_BACK


def superseded(case: Case) -> None:
    """The one before goes to a verified 0 % before the new one gets anything."""
    router, clock, store = Recording(MemoryRouter()), VirtualClock(), MemoryStore()
    ports = Ports(router=router, store=store, clock=clock)
    plan = Canary(
        steps=[
            SetWeight(percent(weight_now(case["given"]))),
            Bake(hours(1)),
            SetWeight(percent(100)),
        ],
        unguarded="x",
    )
    start(plan, RELEASE, id="older", ports=ports)
    tick("older", ports)
    start(
        plan,
        Release(service="shop", stable=V1, candidate=V3),
        id="new",
        ports=ports,
        if_running=IfRunning.SUPERSEDE,
    )
    tick("new", ports)

    wrote = [
        (call["release"].candidate, call["traffic"].candidate.number) for call in router.of("apply")
    ]
    assert wrote[-3:] == [(V2, 0), (V3, 0), (V3, wrote[1][1])]


def the_plan_travels(case: Case) -> None:
    """Edited steps are the next rollout's: the one under way keeps its own."""
    given = case["given"]
    mine, edited = (
        canary({"steps": given.get("steps_before", given.get("a"))}),
        canary({"steps": given.get("steps", given.get("b"))}),
    )
    ports = Ports(router=MemoryRouter(), store=MemoryStore(), clock=VirtualClock())
    start(mine, RELEASE, id="one", ports=ports)
    again = start(edited, RELEASE, id="one", ports=ports)

    assert again.plan == mine.plan
    assert (
        (mine == edited) is case["expected"]
        if isinstance(case["expected"], bool)
        else mine != edited
    )


def a_retry_is_another_rollout(case: Case) -> None:
    """What was aborted is over. Trying again is a rollout with an id of its own, from the first
    step.
    """
    given = case["given"]
    over = arrived(given).scene.say(Abort)
    again = arrived(given).scene

    assert over.rollout.final
    agrees(
        given,
        again,
        {"phase": "Progressing"} if not again.rollout.waits_for_person else {"phase": "Paused"},
    )
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
    scene.say(
        PromoteNow,
        waive=[
            *plan.keys,
            *(step.id for step in plan.steps if not step.skippable and step.traffic is None),
        ],
    )

    assert scene.traffic.candidate == percent(100)
    assert scene.phase is Phase.PROGRESSING

    scene.on(lambda rollout: not rollout.final, at_most=minutes(10))

    assert scene.phase is Phase.PROMOTED


def skips_to_the_next_analysis(case: Case) -> None:
    """A person skips: the analysis before is not asked any more, the next one is."""
    given = case["given"]
    scene = arrived(
        {
            **given,
            "step_index": given["step_analysis"]["of_step"],
            "step_analysis": given["step_analysis"]["phase"],
        }
    ).scene
    scene.say(Skip, epoch=scene.rollout.epoch)
    rollout = scene.rollout
    names = {series.analysis.name for series in rollout.plan.active(rollout.progress.step, False)}

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


def _at_the_switch(given: Given) -> Setting:
    """A blue-green case at its moment: before the switch, in the wait for it, or after it."""
    setting = set_the_scene(given, blue_green(given))
    scene = setting.scene
    setting.now()
    if given.get("active") == given.get("new"):
        scene.on(
            lambda rollout: (
                rollout.routing.verified_since is None or not rollout.routing.desired.candidate.ppm
            ),
            at_most=minutes(20),
        )
    else:
        scene.tick().on(lambda rollout: rollout.phase is Phase.PENDING, at_most=minutes(5))
    if given.get("controller_pause") or given.get("pause_started_s_ago"):
        scene.on(
            lambda rollout: (
                rollout.plan.steps[rollout.progress.step].kind not in ("approval", "pause")
            ),
            at_most=minutes(5),
        )
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
    agrees(given, setting.scene, case["expected"])


def _promoted(retire_after: timedelta) -> tuple[Ports, str]:
    ports = Ports(
        router=MemoryRouter(), store=MemoryStore(), clock=VirtualClock(), fleet=MemoryFleet()
    )
    start(
        Canary(steps=[SetWeight(percent(100))], unguarded="x", retire_after=retire_after),
        RELEASE,
        id="one",
        ports=ports,
    )
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


def waits_for_an_answer(case: Case) -> None:
    """Metrics that can't be asked are waited for, then it goes back; at 100 % it holds."""
    given = case["given"]
    scene = (
        _at_the_switch(given) if given.get("strategy") == "blue_green" else arrived(given)
    ).scene
    scene.on(
        lambda rollout: not rollout.final and rollout.phase is not Phase.HELD, at_most=seconds(90)
    )

    assert scene.phase is Phase.PROGRESSING

    scene.on(
        lambda rollout: not rollout.final and rollout.phase is not Phase.HELD, at_most=minutes(10)
    )

    assert scene.phase is (
        Phase.HELD if scene.traffic.candidate == percent(100) else Phase.ROLLED_BACK
    )


def waits_at_its_weight(case: Case) -> None:
    """The weight stays until everything can be carried, then it is everything."""
    given = case["given"]
    setting = arrived(given)
    before = setting.scene.traffic.candidate
    acted(setting)

    assert setting.scene.traffic.candidate == before

    setting.share.clear()
    setting.scene.on(lambda rollout: not rollout.final, at_most=minutes(5))

    assert setting.scene.traffic.candidate == percent(100)


def the_deadline_acts(case: Case) -> None:
    given = case["given"]
    setting = set_the_scene(given, blue_green(given))
    setting.now()
    setting.scene.tick().on(lambda rollout: not rollout.final, at_most=minutes(20))

    assert setting.scene.phase is Phase.ROLLED_BACK
