"""Plans that could not work are refused, each with the whole message that a person sees: the place,
what was given, the mend.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest
from tests.support.descriptions import (
    AT,
    LIMIT,
    NAME,
    V1,
    V2,
    Case,
    a_canary,
    refuses,
    stepped,
)
from tests.support.rules import rule
from tests.support.world import ERRORS, canary

from progressive import (
    Abort,
    Action,
    Analysis,
    BlueGreen,
    Canary,
    Deadline,
    Limit,
    Match,
    Metric,
    NoWorse,
    Release,
    Resume,
    Revert,
    StrategyError,
    Traffic,
    begin,
    hours,
    minutes,
    percent,
    percents,
)
from progressive.model import Capabilities
from progressive.plan import Guard, Kinds, Plan
from progressive.plan.validation import capability_problems
from progressive.steps import Analyze, Approval, Bake, Hook, SetWeight


@rule("R30")
def test_the_whole_s_deadline_can_t_wait() -> None:
    with pytest.raises(StrategyError, match="it is the last one"):
        canary(deadline=Deadline(within=hours(1), then=Action.WAIT))


@rule("R12")
def test_what_a_router_can_t_do_is_named_step_by_step() -> None:
    steps = [
        SetWeight(
            percent(1),
            baseline=percent(1),
            mirror=percent(2),
            matches=[Match(name="beta", value="1")],
        ),
        Bake(minutes(1)),
        SetWeight(percent(100)),
        Bake(minutes(1)),
    ]
    plan = canary(weights=(), steps=steps).plan

    assert list(capability_problems(plan, Capabilities())) == [
        "weight-1: the router can't do a baseline track",
        "weight-1: the router can't do header and cookie routes",
        "weight-1: the router can't do mirroring",
    ]
    assert (
        list(capability_problems(plan, Capabilities(baseline=True, matches=True, mirror=True)))
        == []
    )


DESCRIPTIONS: tuple[Case, ...] = (
    # -- weights and steps
    (
        "weights that fall",
        lambda: a_canary(weights=percents(10, 5, 100)),
        (
            "canary: weights[1]: 5 % is not above the 10 % before it; weights must rise (the "
            "way back is the rollback)"
        ),
    ),
    (
        "weights of steps that stand still",
        lambda: stepped(SetWeight(percent(50)), SetWeight(percent(50)), SetWeight(percent(100))),
        (
            "canary: steps[1].weight: 50 % is not above the 50 % before it; weights must rise "
            "(the way back is the rollback)"
        ),
    ),
    (
        "not all in the end",
        lambda: a_canary(weights=percents(5, 50)),
        "canary: weights: they end at 50 %; the last weight must be percent(100)",
    ),
    (
        "steps that don't end at all",
        lambda: stepped(SetWeight(percent(50)), Bake(minutes(1))),
        "canary: steps: they end at 50 %; the last weight must be percent(100)",
    ),
    ("nothing to do", lambda: a_canary(weights=()), "canary: steps: none; give weights= or steps="),
    (
        "weights and steps",
        lambda: a_canary(steps=[SetWeight(percent(100))]),
        "canary: give weights= (with bake=) or steps=, not both",
    ),
    (
        "two steps of one id",
        lambda: stepped(
            SetWeight(percent(10), id="a"), Bake(minutes(1), id="a"), SetWeight(percent(100))
        ),
        "canary: steps[1].id: 'a' is the id of steps[0] too",
    ),
    (
        "a step of no id",
        lambda: stepped(SetWeight(percent(100), id="my step")),
        f"canary: steps[0].id: 'my step' {NAME}",
    ),
    (
        "one step without a list",
        lambda: a_canary(weights=(), steps=Bake(minutes(1))),
        "Canary.steps: expected a list, got Bake(...); write [Bake(...)]",
    ),
    (
        "what is no step",
        lambda: stepped(percent(5)),
        "Canary.steps[0]: percent(5) is not a step such as SetWeight(...) or Bake(...)",
    ),
    (
        "more than all of the traffic",
        lambda: Traffic(candidate=percent(60), baseline=percent(50)),
        "traffic: candidate 60 % and baseline 50 % are more than 100 %",
    ),
    (
        "what is no match",
        lambda: SetWeight(percent(1), matches=["x-canary"]),
        "SetWeight.matches[0]: 'x-canary' is not a Match(name=..., value=...)",
    ),
    (
        "a match of something else",
        lambda: Match(name="x", value="1", source="query"),
        "Match.source: 'query' is not one of 'header', 'cookie'",
    ),
    # -- analyses and guards
    (
        "an unknown analysis in a step",
        lambda: stepped(SetWeight(percent(100)), Analyze("smoke"), Bake(minutes(1))),
        "canary: steps[1].analysis: there is no analysis 'smoke'; there are ['checks']",
    ),
    (
        "an unknown guard",
        lambda: a_canary(guards=["latency"]),
        "canary: guards[0]: there is no analysis 'latency'; there are ['checks']",
    ),
    (
        "a guard since a step that is not there",
        lambda: Plan(
            strategy="mine",
            steps=(SetWeight(percent(100), id="all"),),
            analyses=(Analysis("x", checks=[LIMIT]),),
            guards=(Guard("x", since="b"),),
        ),
        "guards[0].since: there is no step 'b'; there are ['all']",
    ),
    (
        "a canary's guard since a step that is not there",
        lambda: a_canary(
            analyses=[Analysis("x", checks=[LIMIT])], guards=[Guard("x", since="weight-7")]
        ),
        (
            "canary: guards[0].since: there is no step 'weight-7'; there are "
            f"{[step.id for step in a_canary().plan.steps]}"
        ),
    ),
    (
        "a guard that is none",
        lambda: a_canary(guards=[7]),
        "Canary.guards[0]: 7 is neither the name of an analysis nor a Guard(...)",
    ),
    (
        "one guard without its list",
        lambda: a_canary(guards="x"),
        "Canary.guards: expected a list, got 'x'; write ['x']",
    ),
    (
        "two analyses of one name",
        lambda: a_canary(analyses=[Analysis("checks", checks=[LIMIT])]),
        "canary: analyses: two are named 'checks'",
    ),
    (
        "what is no analysis",
        lambda: a_canary(analyses=["x"]),
        "Canary.analyses[0]: 'x' is not an Analysis(...)",
    ),
    (
        "the name of preflight",
        lambda: Analysis("preflight", checks=[LIMIT]),
        "analysis 'preflight': this is the name of what is asked before the start; use another",
    ),
    (
        "an analysis of nothing",
        lambda: Analysis("x", checks=[]),
        "analysis 'x': no checks; give checks=[Limit(...), ...]",
    ),
    (
        "one check without a list",
        lambda: Analysis("x", checks=LIMIT),
        "Analysis.checks: expected a list, got Limit(...); write [Limit(...)]",
    ),
    (
        "a metric for a check",
        lambda: a_canary(checks=[ERRORS]),
        "Canary.checks[0]: Metric(...) is not a check such as Limit(...) or NoWorse(...)",
    ),
    (
        "the class of a check",
        lambda: a_canary(checks=[NoWorse]),
        (
            "Canary.checks[0]: <class 'progressive.analysis.no_worse.NoWorse'> is not a check "
            "such as Limit(...) or NoWorse(...)"
        ),
    ),
    (
        "checks by name",
        lambda: a_canary(checks="errors"),
        "Canary.checks: expected a list, got 'errors'; write ['errors']",
    ),
    (
        "two checks of one id",
        lambda: a_canary(checks=[LIMIT, LIMIT]),
        "analysis 'checks': two checks have the id 'error-rate'; give one of them id=",
    ),
    (
        "an analysis without traffic",
        lambda: stepped(
            Analyze("pre"),
            SetWeight(percent(100)),
            Bake(minutes(1)),
            analyses=[Analysis("pre", checks=[LIMIT])],
        ),
        (
            "canary: steps[0]: 'pre' is to be judged while the candidate has no traffic; "
            "Analysis(synthetic=True) says that your hook sends it requests"
        ),
    ),
    (
        "one metric in two ways",
        lambda: a_canary(
            checks=[
                LIMIT,
                Limit(Metric("error-rate", kind="ratio", unit="%"), at_most=percent(2), id="b"),
            ]
        ),
        (
            "canary: checks/b: metric 'error-rate' is described in two ways: "
            f"{Metric('error-rate', kind='ratio', unit='%')!r} and {ERRORS!r}"
        ),
    ),
    # -- what would stop it
    (
        "a canary without checks",
        lambda: Canary(weights=percents(10, 100)),
        (
            "canary: nothing would ever stop it: no check decides; add checks=[...] or say "
            "unguarded='why'"
        ),
    ),
    (
        "a canary whose checks only observe",
        lambda: a_canary(checks=[Limit(ERRORS, at_most=percent(1), observe=True)]),
        (
            "canary: nothing would ever stop it: no check decides; add checks=[...] or say "
            "unguarded='why'"
        ),
    ),
    (
        "a blue-green without anything",
        BlueGreen,
        (
            "blue_green: nothing would ever stop it: no check decides, no hook, no approval; "
            "add checks=[...] or say unguarded='why'"
        ),
    ),
    (
        "unguarded for no reason",
        lambda: Canary(weights=percents(100), unguarded=" "),
        "canary: unguarded: ' ' says nothing; say why nothing guards it",
    ),
    (
        "only a comparison at full traffic",
        lambda: a_canary(checks=[NoWorse(ERRORS)]),
        (
            "canary: weights[1]: no deciding check can judge it: "
            "at 100 % a comparison has nothing to compare with; add a Limit"
        ),
    ),
    (
        "a bake that is only observed",
        lambda: stepped(
            SetWeight(percent(100)),
            Analyze("other"),
            Bake(minutes(1)),
            checks=[Limit(ERRORS, at_most=percent(1), observe=True)],
            analyses=[Analysis("other", checks=[LIMIT])],
        ),
        (
            "canary: steps[2] (bake-100): no deciding check can judge it: those that run here "
            "only observe; add one that decides"
        ),
    ),
    (
        "a bake without a guard",
        lambda: stepped(
            SetWeight(percent(100)),
            Analyze("other"),
            Bake(minutes(1)),
            checks=(),
            analyses=[Analysis("other", checks=[LIMIT])],
        ),
        (
            "canary: steps[2] (bake-100): no deciding check can judge it: no analysis runs "
            "here; name it in guards="
        ),
    ),
    (
        "weights without a guard",
        lambda: a_canary(checks=(), analyses=[Analysis("other", checks=[LIMIT])]),
        [
            f"canary: weights[{i}]: no deciding check can judge it: no analysis runs here; "
            "name it in guards="
            for i in (0, 1)
        ],
    ),
    (
        "a blue-green that judges only its preview",
        lambda: BlueGreen(preview_checks=[LIMIT], preview_hook="smoke"),
        (
            "blue_green: bake: nothing judges it after the switch; add checks=[...] (they "
            "guard the bake) or say unguarded='why'"
        ),
    ),
    (
        "a blue-green whose bake is only observed",
        lambda: BlueGreen(
            preview_checks=[LIMIT], checks=[Limit(ERRORS, at_most=percent(1), observe=True)]
        ),
        (
            "blue_green: bake: no deciding check can judge it: those that run here only "
            "observe; add one that decides"
        ),
    ),
    (
        "a blue-green that compares after the switch",
        lambda: BlueGreen(pause=minutes(1), checks=[NoWorse(ERRORS)]),
        (
            "blue_green: bake: no deciding check can judge it: at 100 % a comparison has "
            "nothing to compare with; add a Limit"
        ),
    ),
    (
        "an approval of a bad id",
        lambda: BlueGreen(
            approval=Approval("go", within=hours(1), otherwise="hold", id="go on"), checks=[LIMIT]
        ),
        f"blue_green: approval.id: 'go on' {NAME}",
    ),
    (
        "a preview that is only observed",
        lambda: BlueGreen(
            preview_checks=[Limit(ERRORS, at_most=percent(1), observe=True)], checks=[LIMIT]
        ),
        (
            "blue_green: preview_checks: no deciding check of 'preview' can judge there, so it "
            "could never end; add one that decides"
        ),
    ),
    (
        "a revert that compares after the switch",
        lambda: Revert(checks=[NoWorse(ERRORS)], unguarded=None),
        (
            "revert: bake: no deciding check can judge it: at 100 % a comparison has nothing "
            "to compare with; add a Limit"
        ),
    ),
    (
        "an alpha of five",
        lambda: a_canary(alpha=5),
        (
            "canary: alpha: 5 is a probability between 0 and 1; 0.01 is one false alarm in a "
            "hundred rollouts"
        ),
    ),
    (
        "an alpha in words",
        lambda: a_canary(alpha="1 %"),
        (
            "canary: alpha: '1 %' is a probability between 0 and 1; 0.01 is one false alarm in "
            "a hundred rollouts"
        ),
    ),
    # -- people
    (
        "an approval that waits for ever",
        lambda: Approval("go", within=hours(1), otherwise=Action.WAIT),
        "Approval.otherwise: 'wait' would wait for ever; use Action.ROLL_BACK or Action.HOLD",
    ),
    (
        "an approval that carries on",
        lambda: Approval("go", within=hours(1), otherwise="carry_on"),
        "Approval.otherwise: 'carry_on' is not one of 'roll_back', 'hold', 'wait'",
    ),
    (
        "an approval by its name",
        lambda: BlueGreen(approval="go", checks=[LIMIT]),
        "BlueGreen.approval: 'go' is no Approval; write Approval('go', within=..., otherwise=...)",
    ),
    (
        "an approval and a pause",
        lambda: BlueGreen(
            approval=Approval("go", within=hours(1), otherwise="hold"),
            pause=minutes(1),
            checks=[LIMIT],
        ),
        (
            "blue_green: give approval= (a person switches) or pause= (it switches by itself), "
            "not both"
        ),
    ),
    (
        "one gate as a string",
        lambda: a_canary(gates="freeze"),
        "Canary.gates: expected a list of strings, got 'freeze'; write ['freeze']",
    ),
    (
        "a gate that is no string",
        lambda: a_canary(gates=[len]),
        "Canary.gates[0]: <built-in function len> is not a string",
    ),
    (
        "one waiver as a string",
        lambda: Resume(at=AT, waive="x", by="eve", why="known"),
        "Resume.waive: expected a list of strings, got 'x'; write ['x']",
    ),
    (
        "nobody says so",
        lambda: Abort(at=AT, by=" ", why="bad"),
        "Abort.by: ' ' says nothing; the audit trail needs who and why",
    ),
    (
        "a naive time",
        lambda: Abort(at=datetime.fromisoformat("2026-03-01"), by="eve", why="bad"),
        "Abort.at: 2026-03-01T00:00:00 has no time zone; use datetime.now(timezone.utc)",
    ),
    (
        "a time in words",
        lambda: Abort(at="now", by="eve", why="bad"),
        "Abort.at: 'now' is not an aware datetime; use datetime.now(timezone.utc)",
    ),
    (
        "a naive beginning",
        lambda: begin(
            a_canary().plan,
            Release(service="shop", stable=V1, candidate=V2),
            id="r",
            at=datetime.fromisoformat("2026-03-01"),
        ),
        "begin(at=): 2026-03-01T00:00:00 has no time zone; use datetime.now(timezone.utc)",
    ),
    ("a hook with a title", lambda: Hook("my hook"), f"Hook.name: 'my hook' {NAME}"),
    (
        "a kind of no class",
        lambda: Kinds(int),
        (
            "Kinds: <class 'int'> must be an attrs class with a kind, such as kind: "
            "ClassVar[str] = 'warm-up'"
        ),
    ),
)


@pytest.mark.parametrize(
    ("make", "said"),
    [case[1:] for case in DESCRIPTIONS],
    ids=[case[0] for case in DESCRIPTIONS],
)
def test_a_wrong_description_says_where_what_and_what_instead(
    make: Callable[[], object], said: str | list[str]
) -> None:
    refuses(make, said)


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(StrategyError) as caught:
        stepped(
            SetWeight(percent(50), id="x"),
            Bake(minutes(1), id="x"),
            SetWeight(percent(20)),
            Analyze("nope"),
            Analyze("never"),
            alpha=5,
            guards=["no"],
        )

    assert caught.value.problems == (
        (
            "canary: alpha: 5 is a probability between 0 and 1; 0.01 is one false alarm in a "
            "hundred rollouts"
        ),
        "canary: steps[1].id: 'x' is the id of steps[0] too",
        (
            "canary: steps[2].weight: 20 % is not above the 50 % before it; weights must rise "
            "(the way back is the rollback)"
        ),
        "canary: steps: they end at 20 %; the last weight must be percent(100)",
        "canary: guards[0]: there is no analysis 'no'; there are ['checks']",
        "canary: steps[3].analysis: there is no analysis 'nope'; there are ['checks']",
        "canary: steps[4].analysis: there is no analysis 'never'; there are ['checks']",
    )
