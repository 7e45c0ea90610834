"""Argo Rollouts' cases: which are about what, and what becomes of them here.

Most of Argo's tests are of functions of a controller that owns ReplicaSets: how many instances each
version shall have. This library owns none, so those make no sense here. What is left is what a
person sees of a rollout: which step, which weight, paused, aborted, promoted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from tests.cases.argo_functions import (
    all_of_them,
    always_verified,
    answers,
    begins_in_time,
    content_with_less,
    enough,
    enough_for_the_weight,
    fully_promoted,
    pause_over,
    phase,
    since_an_unknown_step,
    skips_post,
    skips_pre,
    step_of,
    timed_out,
    waits_for_a_person,
    weight_of,
)
from tests.cases.argo_looks import (
    a_hold_is_watched,
    a_retry_is_another_rollout,
    against_itself,
    all_at_once_and_still_watched,
    an_earlier_version_is_reverted_to,
    back_as_far_as_stable_can_carry,
    back_as_far_as_there,
    back_before_it_is_removed,
    carried,
    expected_back,
    no_error_but_a_note,
    not_promoted_unverified,
    nothing_happens,
    one_look,
    removed_in_its_time,
    routes_stay_until_they_go,
    skips_to_the_next_analysis,
    superseded,
    switch,
    the_deadline_acts,
    the_first_version,
    the_plan_travels,
    waits_at_its_weight,
    waits_for_an_answer,
    way_back,
)
from tests.cases.argo_scene import (
    RUNS,
    Given,
    abilities,
    canary,
)
from tests.cases.argo_seen import INSTANCES
from tests.cases.classes import Case, Fate, Rule

from progressive import StrategyError, Track

FILE = "argo_canary.json"


def _kind(
    *kinds: str, given: Callable[[Given], bool] = lambda given: True
) -> Callable[[Case], bool]:
    return lambda case: case["kind"] in kinds and given(case["given"])


STEPS_OF = ("steps", "steps_before", "a", "b")
"""Where a case may have steps."""


def _said_here(given: Given) -> None:
    """`StrategyError` (or `KeyError`, for a kind that there is not) if one of its steps can't be
    said.
    """
    for name in STEPS_OF:
        canary({"steps": given.get(name) or [], "max_weight": given.get("max_weight", 100)})


def _sayable(case: Case) -> bool:
    try:
        _said_here(case["given"])
    except (StrategyError, KeyError):
        return False
    return True


def not_said_here(case: Case) -> None:
    """Steps that do not raise the weight, or that ours have no word for, are refused."""
    with pytest.raises((StrategyError, KeyError)):
        _said_here(case["given"])


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
    said = not isinstance(case["expected"], Mapping) or bool(
        {"set_weight", "router_calls_not_made"} & set(case["expected"])
    )
    return said and (
        BACK(case) or (case["kind"] == "traffic" and given.get("new_version") == "stable")
    )


RULES: tuple[Rule, ...] = (
    Rule(
        feature="experiments: starting them, which one is current, their share of the traffic",
        when=lambda case: (
            case["kind"] == "current_experiment"
            or (LOOKS(case) and bool({"additional", "experiments_created"} & set(case["expected"])))
        ),
        fate=Fate.CLUSTER,
        why="An experiment starts instances of its own. Here a fresh copy of stable is a "
        "`baseline` that your deployment starts.",
    ),
    Rule(
        feature="how many instances each version shall have",
        when=lambda case: (
            _kind(
                "approximate_counts",
                "basic_counts",
                "routed_counts",
                "at_desired_counts",
                "pods_for_weight",
                "replicas_for_scale_down",
                "scale",
            )(case)
            or (LOOKS(case) and bool(set(case["expected"]) & INSTANCES))
        ),
        fate=Fate.CLUSTER,
        why="Argo's controller owns ReplicaSets, and without a router their sizes *are* the "
        "weight. Here instances are the "
        "business of whoever deploys them, and the weight is the router's; a fleet is only "
        "asked what it can carry.",
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
        why="A flag between two looks of a controller that resizes stable. Here the size of "
        "stable is asked for on the way back.",
    ),
    Rule(
        feature="phase by the number of instances",
        when=_kind(
            "phase",
            given=lambda given: (
                "total" in given or (given.get("strategy") != "blue_green" and "updated" in given)
            ),
        ),
        fate=Fate.CLUSTER,
        why="Argo says how its ReplicaSets are doing. Here the phase is that of the traffic.",
    ),
    Rule(
        feature="preview with fewer instances, and analyses that wait for instances",
        when=lambda case: (
            _kind(
                "blue_green",
                "skip_pre_promotion_analysis",
                "skip_post_promotion_analysis",
                given=lambda given: "preview_replica_count" in given,
            )(case)
            or _kind(
                "skip_pre_promotion_analysis",
                "skip_post_promotion_analysis",
                given=lambda given: given.get("saturated") is False,
            )(case)
        ),
        fate=Fate.CLUSTER,
        why="How large a preview is, and whether it is complete, is known to whoever deploys "
        "it: that is the place of the "
        "preview hook.",
    ),
    Rule(
        feature="old instances: unreadable deadlines, limits by revision, after an abort",
        when=_kind(
            "blue_green",
            given=lambda given: (
                any("scale_down_at" in old for old in given.get("old", ()))
                or "scale_down_delay_revision_limit" in given
                or "abort_scale_down_delay_s" in given
            ),
        ),
        fate=Fate.CLUSTER,
        why="Argo keeps any number of versions alive and writes their deadlines on the "
        "ReplicaSets. A release here has one old "
        "version, and its deadline stands in the rollout.",
    ),
    Rule(
        feature="steps that lower the weight, or leave it as it is",
        when=lambda case: not _sayable(case),
        fate=Fate.DIFFERS,
        why="Weights rise; the way down is the way back, and needs no step. A header route "
        "goes with the weight "
        "(`SetWeight(..., matches=...)`). Another plan is a `StrategyError`.",
        replay=not_said_here,
    ),
    # --------------------------------------------------------------------------------- the way back
    Rule(
        feature="the way back when stable can carry all of it, or as much as it can",
        when=lambda case: _goes_back(case) and expected_back(case) == carried(case["given"]),
        fate=Fate.SAME,
        why="An abort gives stable at once what its fleet can carry: everything, if nothing is "
        "known against it.",
        replay=back_as_far_as_there,
    ),
    Rule(
        feature="the way back to a stable that is too small: how far at once",
        when=_goes_back,
        fate=Fate.DIFFERS,
        why="With `dynamicStableScale` Argo goes back by the weights of the steps, or all the "
        "way when stable is nearly "
        "complete. Here stable gets exactly what it can carry, and everything after ten "
        "minutes at the latest.",
        replay=back_as_far_as_stable_can_carry,
    ),
    Rule(
        feature="superseded by another version",
        when=lambda case: case["kind"] == "traffic" and "router_calls_order" in case["expected"],
        fate=Fate.SAME,
        why="`start(if_running=IfRunning.SUPERSEDE)`: a verified 0 % for the one before, then "
        "the new one.",
        replay=superseded,
    ),
    Rule(
        feature="superseded while stable is too small",
        when=lambda case: case["kind"] == "traffic" and "router_calls_not_made" in case["expected"],
        fate=Fate.SAME,
        why="The way back of the one before waits for stable, and the new one waits for the "
        "way back.",
        replay=back_as_far_as_there,
    ),
    Rule(
        feature="an abort of a rollout whose new version is the stable one",
        when=_kind(
            "tick",
            given=lambda given: given.get("new_version") == "stable" and bool(given.get("aborted")),
        ),
        fate=Fate.DIFFERS,
        why="Argo clears the abort. Here a release of a version against itself is refused, so "
        "there is none to abort.",
        replay=against_itself,
    ),
    Rule(
        feature="an abort, and going back to the stable version in the middle",
        when=_kind(
            "tick",
            given=lambda given: given.get("new_version") == "stable" or bool(given.get("aborted")),
        ),
        fate=Fate.SAME,
        why="An `Abort`: one write, no steps, no analysis.",
        replay=way_back,
    ),
    Rule(
        feature="rollback window: older versions go fast",
        when=lambda case: case["kind"] == "rollback_window" or "rollback_window" in case["given"],
        fate=Fate.DIFFERS,
        why="There is no history of versions to count in. Going back after a success is a "
        "`Revert`: fast because somebody says "
        "that it is a way back, and not because of a version's age.",
        replay=an_earlier_version_is_reverted_to,
    ),
    # ----------------------------------------------------------------------------------- the router
    Rule(
        feature="the router refuses to remove routes",
        when=_kind("traffic", given=lambda given: _router_fails(given, "remove_routes")),
        fate=Fate.DIFFERS,
        why="An error of the router does not fail the tick: it is noted, and the way back is "
        "tried again for ever.",
        replay=routes_stay_until_they_go,
    ),
    Rule(
        feature="the router fails",
        when=_kind(
            "traffic",
            given=lambda given: _router_fails(given, "set_weight", "set_target", "verify_weight"),
        ),
        fate=Fate.DIFFERS,
        why="An error of the router does not fail the tick: it is noted, tried again with "
        "growing pauses, and the deadline of "
        "the step decides. Argo goes on where a weight could not be *verified*; here "
        "nothing counts before it was read back.",
        replay=no_error_but_a_note,
    ),
    Rule(
        feature="the last weight is not verified",
        when=lambda case: (
            case["kind"] == "traffic"
            and _unverified(case["given"])
            and case["expected"].get("error") is True
        ),
        fate=Fate.DIFFERS,
        why="Argo's tick fails. Here it waits, for ten minutes, and is not promoted.",
        replay=not_promoted_unverified,
    ),
    Rule(
        feature="the weight is not verified",
        when=_kind("traffic", given=_unverified),
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
        why="All of them, always: also the 0 % before the first and the one after the last "
        "step, which Argo passes by. Argo "
        "verifies with one router of eight.",
        replay=always_verified,
    ),
    Rule(
        feature="promote full while not all instances are there, dynamic stable scale",
        when=_kind(
            "traffic",
            given=lambda given: (
                bool(given.get("promote_full") and given.get("dynamic_stable_scale"))
                and not _complete(given)
            ),
        ),
        fate=Fate.DIFFERS,
        why="Argo's weight follows the instances as they come. Here the weights are those of "
        "the plan: 100 % is given when 100 % "
        "can be carried.",
        replay=waits_at_its_weight,
    ),
    Rule(
        feature="a weight is given to what can carry it",
        when=_kind("traffic", given=lambda given: "canary" in given or "steps" in given),
        fate=Fate.SAME,
        why="The fleet says what share the instances can carry, and until it is enough the "
        "weight stays what it is.",
        replay=one_look,
    ),
    # --------------------------------------------------------------------------------- availability
    Rule(
        feature="enough instances, by a threshold below all of them",
        when=content_with_less,
        fate=Fate.DIFFERS,
        why="There is no threshold: a weight is given to instances that can carry this weight, "
        "and to no fewer.",
        replay=all_of_them,
    ),
    Rule(
        feature="enough instances for the weight",
        when=_kind("replicas_available_for_weight"),
        fate=Fate.SAME,
        why="`Capacity(able=...)` of a fleet.",
        replay=answers(enough_for_the_weight),
    ),
    Rule(
        feature="enough instances for the weight",
        when=_kind("progress_threshold"),
        fate=Fate.SAME,
        why="`Capacity(able=...)` of a fleet.",
        replay=answers(enough),
    ),
    Rule(
        feature="fully promoted",
        when=_kind("full_promote"),
        fate=Fate.SAME,
        why="After the last step, with all instances there.",
        replay=answers(fully_promoted),
    ),
    # ---------------------------------------------------------------------------------------- steps
    Rule(
        feature="the weight of a step",
        when=_kind("current_weight"),
        fate=Fate.SAME,
        why="That of the last `SetWeight`; 0 before the first, 100 past the end.",
        replay=answers(weight_of),
    ),
    Rule(
        feature="the current step",
        when=_kind("current_step"),
        fate=Fate.SAME,
        why="Its id, never a position.",
        replay=answers(step_of),
    ),
    Rule(
        feature="the steps are edited in the middle",
        when=lambda case: case["kind"] == "same_steps" or "steps_before" in case["given"],
        fate=Fate.DIFFERS,
        why="Argo begins again at its first step. Here the plan travels in the rollout: an "
        "edited strategy is the next rollout's.",
        replay=the_plan_travels,
    ),
    Rule(
        feature="background analysis from a later step on, without steps",
        when=_kind(
            "before_starting_step",
            given=lambda given: (
                bool(given["background_analysis"].get("starting_step")) and not given["steps"]
            ),
        ),
        fate=Fate.DIFFERS,
        why="A guard since a step that there is not is refused (`Guard(..., since=...)`).",
        replay=since_an_unknown_step,
    ),
    Rule(
        feature="background analysis from a later step on",
        when=_kind("before_starting_step"),
        fate=Fate.SAME,
        why="`Guard(..., since=...)` in a `Plan`.",
        replay=begins_in_time,
    ),
    Rule(
        feature="pauses",
        when=_kind("pause_completed"),
        fate=Fate.SAME,
        why="`Pause` and `Approval`.",
        replay=answers(pause_over),
    ),
    Rule(
        feature="what waits for a person",
        when=_kind("needs_manual_action"),
        fate=Fate.SAME,
        why="`rollout.waits_for_person`: a hold or an approval.",
        replay=answers(waits_for_a_person),
    ),
    Rule(
        feature="deadlines",
        when=_kind("progress_deadline"),
        fate=Fate.SAME,
        why="Every step has one, with what happens then. Holds stop its clock, and a way back "
        "has none.",
        replay=answers(timed_out),
    ),
    Rule(
        feature="phase",
        when=_kind("phase"),
        fate=Fate.SAME,
        why="Healthy is `promoted`, Degraded `rolled_back`.",
        replay=phase,
    ),
    Rule(
        feature="when the analyses around a switch run",
        when=_kind("skip_pre_promotion_analysis"),
        fate=Fate.SAME,
        why="`preview_checks` before it, `checks` after it.",
        replay=answers(skips_pre),
    ),
    Rule(
        feature="when the analyses around a switch run",
        when=_kind("skip_post_promotion_analysis"),
        fate=Fate.SAME,
        why="`preview_checks` before it, `checks` after it.",
        replay=answers(skips_post),
    ),
    # ------------------------------------------------------------------------------------- one look
    Rule(
        feature="the first deployment",
        when=lambda case: "stable" in case["given"] and case["given"]["stable"] is None,
        fate=Fate.SAME,
        why="`first_deployment`: one write, read back. There is nothing to compare with and "
        "nobody to ask.",
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
        why="What was aborted is over. A retry is another rollout with an id of its own, so "
        "that each has one story.",
        replay=a_retry_is_another_rollout,
    ),
    Rule(
        feature="metrics that can't be asked",
        when=lambda case: LOOKS(case) and "Error" in [case["given"].get(run) for run in RUNS],
        fate=Fate.DIFFERS,
        why="Argo aborts after five errors. Here no answer is no verdict: nothing is raised, and "
        "after the fourth, no sooner than two minutes after the first, it goes back (at 100 % it "
        "holds).",
        replay=waits_for_an_answer,
    ),
    Rule(
        feature="a person skips an analysis",
        when=_kind(
            "tick",
            given=lambda given: (
                isinstance(given.get("step_analysis"), Mapping)
                and "of_step" in given["step_analysis"]
            ),
        ),
        fate=Fate.SAME,
        why="`Skip`, with the epoch that the person saw.",
        replay=skips_to_the_next_analysis,
    ),
    Rule(
        feature="analysis while paused",
        when=lambda case: (
            case["kind"] == "tick"
            and case["expected"] == {"analysis_runs_created": []}
            and bool(case["given"].get("pause_reasons"))
        ),
        fate=Fate.DIFFERS,
        why="Argo begins no run in a pause for an inconclusive one. Here a hold is guarded: "
        "what gets worse meanwhile goes back.",
        replay=a_hold_is_watched,
    ),
    Rule(
        feature="steps, pauses and analyses, look by look",
        when=_kind("tick"),
        fate=Fate.SAME,
        why="A failed analysis goes back, an inconclusive one holds, a pause ends by the clock "
        "or by a person.",
        replay=one_look,
    ),
    Rule(
        feature="blue-green: promote full",
        when=_kind(
            "blue_green", given=lambda given: bool(given.get("promote_full")) and _complete(given)
        ),
        fate=Fate.DIFFERS,
        why="The switch is at once. But what comes after it is still watched: `PromoteNow` "
        "passes by what stands before 100 %, "
        "never the last bake.",
        replay=all_at_once_and_still_watched,
    ),
    Rule(
        feature="blue-green: the old version after the switch",
        when=_kind(
            "blue_green",
            given=lambda given: bool(given.get("old")) and "new_scale_down_in_s" not in given,
        ),
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
        when=_kind(
            "blue_green",
            given=lambda given: (
                "progress_deadline_s" in given and not given.get("progress_deadline_abort")
            ),
        ),
        fate=Fate.DIFFERS,
        why="A deadline always does something. One that only says so does not exist.",
        replay=the_deadline_acts,
    ),
    Rule(
        feature="blue-green: preview, switch, after the switch",
        when=_kind("blue_green"),
        fate=Fate.SAME,
        why="`BlueGreen(preview_checks=..., approval=... or pause=..., checks=...)`.",
        replay=switch,
    ),
)
