"""Wrong descriptions and wrong stored states, each with the whole message that a person sees: the
place, what was given, the mend.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.support.rules import rule
from tests.support.world import World

from progressive import (
    Abort,
    Action,
    Analysis,
    BlueGreen,
    Budget,
    Canary,
    Deadline,
    Hold,
    Limit,
    MannWhitney,
    Match,
    Metric,
    NoWorse,
    Phase,
    Release,
    Resume,
    Revert,
    SampleRatio,
    StateError,
    StrategyError,
    Tolerance,
    Traffic,
    Version,
    begin,
    hours,
    loads,
    minutes,
    ms,
    percent,
    percents,
    seconds,
    times,
)
from progressive.analysis import Kayenta, KayentaJudge, KayentaMetric
from progressive.codec import loads_event, loads_note, loads_strategy
from progressive.model import Counts, Gauge, Histogram, Look, Moments, Window
from progressive.plan import Guard, Kinds, Plan
from progressive.steps import Analyze, Approval, Bake, Hook, Pause, SetWeight

AT = datetime.fromisoformat("2026-03-01T12:00:00Z")
ERRORS = Metric("error-rate", kind="ratio")
LATENCY = Metric("latency", kind="latency")
QUEUE = Metric("queue", kind="value")
KAYENTA = KayentaJudge(metrics=[KayentaMetric("cpu", groups=["system"])])
BASKET = Metric("basket", kind="mean", unit="EUR")
LIMIT = Limit(ERRORS, at_most=percent(1))
V1, V2 = Version("v1"), Version("v2")
NAME = "is not a name; use 1 to 128 letters, digits and . _ : / - (none of them at an end)"


def canary(**changes: Any) -> Canary:
    return Canary(**({"weights": percents(10, 100), "checks": [LIMIT]} | changes))


def stepped(*steps: Any, **changes: Any) -> Canary:
    return canary(weights=(), steps=steps, **changes)


Case = tuple[str, Callable[[], object], str | list[str]]

DESCRIPTIONS: tuple[Case, ...] = (
    # -- units
    (
        "a bare number as a weight",
        lambda: canary(weights=[5, 100]),
        [
            "Canary.weights[0]: 5 has no unit; write percents(5, 100)",
            "Canary.weights[1]: 100 has no unit; write percents(5, 100)",
        ],
    ),
    (
        "one weight without a list",
        lambda: canary(weights=percent(5)),
        "Canary.weights: expected a list, got percent(5); write percents(5, 100)",
    ),
    (
        "one bare number without a list",
        lambda: canary(weights=5),
        "Canary.weights: expected a list, got 5; write percents(5, 100)",
    ),
    (
        "a bare number in a step",
        lambda: SetWeight(5),
        "SetWeight.weight: 5 is no Percent; write percent(5)",
    ),
    (
        "a bare number in traffic",
        lambda: Traffic(candidate=60),
        "Traffic.candidate: 60 is no Percent; write percent(60)",
    ),
    (
        "seconds as a number",
        lambda: canary(bake=300),
        "Canary.bake: 300 has no unit; write seconds(300), minutes(...) or a timedelta",
    ),
    (
        "a pause as a number",
        lambda: Pause(60),
        "Pause.duration: 60 has no unit; write seconds(60), minutes(...) or a timedelta",
    ),
    (
        "a bake backwards",
        lambda: Bake(seconds(-3)),
        "Bake.duration: datetime.timedelta(days=-1, seconds=86397) must be at least 1 ms",
    ),
    (
        "a bake of no time",
        lambda: canary(bake=timedelta()),
        "Canary.bake: datetime.timedelta(0) must be at least 1 ms",
    ),
    (
        "a warm-up backwards",
        lambda: canary(warmup=seconds(-1)),
        "Canary.warmup: datetime.timedelta(days=-1, seconds=86399) must be zero or more",
    ),
    (
        "a time for retirement as a number",
        lambda: canary(retire_after=60),
        "Canary.retire_after: 60 has no unit; write seconds(60), minutes(...) or a timedelta",
    ),
    (
        "a duration for a deadline",
        lambda: canary(deadline=hours(1)),
        (
            "Canary.deadline: datetime.timedelta(seconds=3600) is no Deadline; write "
            "Deadline(within=datetime.timedelta(seconds=3600))"
        ),
    ),
    (
        "a deadline as a number",
        lambda: Deadline(within=5),
        "Deadline.within: 5 has no unit; write seconds(5), minutes(...) or a timedelta",
    ),
    (
        "a hold for a number",
        lambda: Hold(at=AT, within=30, by="eve", why="lunch"),
        "Hold.within: 30 has no unit; write seconds(30), minutes(...) or a timedelta",
    ),
    ("more than all", lambda: percent(101), "percent(101): expected a number from 0 to 100"),
    ("percent of a string", lambda: percent("5"), "percent('5'): expected a number from 0 to 100"),
    (
        "too fine a percent",
        lambda: percent(0.00014),
        "percent(0.00014): finer than 0.0001 %; the nearest is percent(0.0001)",
    ),
    ("no times stable", lambda: times(0), "times(0): expected a finite number above 0"),
    # -- weights and steps
    (
        "weights that fall",
        lambda: canary(weights=percents(10, 5, 100)),
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
        lambda: canary(weights=percents(5, 50)),
        "canary: weights: they end at 50 %; the last weight must be percent(100)",
    ),
    (
        "steps that don't end at all",
        lambda: stepped(SetWeight(percent(50)), Bake(minutes(1))),
        "canary: steps: they end at 50 %; the last weight must be percent(100)",
    ),
    ("nothing to do", lambda: canary(weights=()), "canary: steps: none; give weights= or steps="),
    (
        "weights and steps",
        lambda: canary(steps=[SetWeight(percent(100))]),
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
        lambda: canary(weights=(), steps=Bake(minutes(1))),
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
        lambda: canary(guards=["latency"]),
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
        "guards[0].since: there is no step 'b'",
    ),
    (
        "two analyses of one name",
        lambda: canary(analyses=[Analysis("checks", checks=[LIMIT])]),
        "canary: analyses: two are named 'checks'",
    ),
    (
        "what is no analysis",
        lambda: canary(analyses=["x"]),
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
        lambda: canary(checks=[ERRORS]),
        "Canary.checks[0]: Metric(...) is not a check such as Limit(...) or NoWorse(...)",
    ),
    (
        "the class of a check",
        lambda: canary(checks=[NoWorse]),
        (
            "Canary.checks[0]: <class 'progressive.analysis.no_worse.NoWorse'> is not a check "
            "such as Limit(...) or NoWorse(...)"
        ),
    ),
    (
        "checks by name",
        lambda: canary(checks="errors"),
        "Canary.checks: expected a list, got 'errors'; write ['errors']",
    ),
    (
        "two checks of one id",
        lambda: canary(checks=[LIMIT, LIMIT]),
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
        lambda: canary(
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
    # -- checks
    (
        "a comparison of latencies of which more is better",
        lambda: NoWorse(Metric("latency", kind="latency", bad="down")),
        (
            "NoWorse(latency): the metric's bad='down': of latencies, only slower ones can be "
            "told from; use bad='up'"
        ),
    ),
    (
        "a comparison that accepts nothing",
        lambda: NoWorse(ERRORS, margin=1.5, accept=1.5, beta=5),
        [
            (
                "NoWorse(error-rate): accept=1.5 is the ratio to be excluded; it must be above "
                "the margin of 1.5, and at most 1000"
            ),
            (
                "NoWorse(error-rate): beta=5 is a probability between 0 and 1: of accepting a "
                "candidate that is accept= times as bad"
            ),
        ],
    ),
    (
        "a comparison that is to accept what is no worse at all",
        lambda: NoWorse(LATENCY, accept=True),
        (
            "NoWorse(latency): accept=True is the ratio to be excluded; it must be above the "
            "margin of 1.0, and at most 1000"
        ),
    ),
    (
        "an exact comparison that moves its schedule",
        lambda: NoWorse(ERRORS, accept=2.0, exact=True),
        (
            "NoWorse(error-rate): exact=True needs a schedule that does not depend on the "
            "evidence, which accept= makes it do; choose one"
        ),
    ),
    (
        "an exact comparison of clumps",
        lambda: NoWorse(ERRORS, dispersion=3.0, exact=True),
        (
            "NoWorse(error-rate): exact=True is for ratios where up is bad, without a "
            "dispersion; leave it out"
        ),
    ),
    (
        "blocks of what is no count",
        lambda: NoWorse(LATENCY, blocks=True),
        (
            "NoWorse(latency): blocks=True is for ratios and means, without margin=, "
            "dispersion=, accept= or exact=; leave those out"
        ),
    ),
    (
        "a level of which looks are clumps",
        lambda: NoWorse(Metric("queue", kind="value"), dispersion=2.0),
        (
            "NoWorse(queue): dispersion= is for what is counted; a look at a level is one "
            "observation, however it comes about"
        ),
    ),
    (
        "blocks with a margin",
        lambda: NoWorse(ERRORS, blocks=True, margin=1.1),
        (
            "NoWorse(error-rate): blocks=True is for ratios and means, without margin=, "
            "dispersion=, accept= or exact=; leave those out"
        ),
    ),
    (
        "a check that observes by a word",
        lambda: NoWorse(ERRORS, observe="no"),
        "NoWorse.observe: 'no' is no bool; write True or False",
    ),
    (
        "a check with a tolerance by name",
        lambda: SampleRatio(ERRORS, tolerance="two"),
        "SampleRatio.tolerance: 'two' is no Tolerance; write Tolerance(in_a_row=2)",
    ),
    (
        "a check of Kayenta's with no list",
        lambda: Kayenta(KAYENTA, metrics=True),
        "Kayenta: metrics=True: give a list of Metric(..., kind='value')",
    ),
    (
        "a split of a level",
        lambda: SampleRatio(QUEUE, alpha=1),
        [
            "SampleRatio(queue): a value does not count requests; take a ratio or a latency",
            (
                "SampleRatio(queue): alpha=1 is a probability between 0 and 1; 0.001 is one "
                "false alarm in a thousand rollouts"
            ),
        ],
    ),
    (
        "ranks of a ratio",
        lambda: MannWhitney(ERRORS, margin=0, confidence=98, samples=501, than="candidate"),
        [
            (
                "MannWhitney(error-rate): it ranks the samples of a level; for a ratio use "
                "NoWorse(...)"
            ),
            "MannWhitney(error-rate): margin=0 is the ratio still tolerated, from 1.0 to 1000",
            "MannWhitney(error-rate): confidence=98 is between 0.5 and 1, such as 0.98",
            "MannWhitney(error-rate): samples=501: at most 500, they are kept in the rollout",
            "MannWhitney(error-rate): than=candidate: compare it with stable or baseline",
        ],
    ),
    (
        "a check of Kayenta's with other metrics",
        lambda: Kayenta(
            KAYENTA, metrics=[ERRORS, QUEUE, QUEUE], than="candidate", points=9, lookback=3
        ),
        [
            (
                "Kayenta: metrics: none is named 'cpu', which the config judges; there are "
                "error-rate, queue, queue"
            ),
            (
                "Kayenta: metrics: 'error-rate' is a ratio; Kayenta compares points, so make "
                "it a value"
            ),
            "Kayenta: metrics: 'error-rate' is not judged by the config; leave it out",
            "Kayenta: metrics: 'queue' is not judged by the config; leave it out",
            "Kayenta: metrics: 'queue' is there 2 times; once is enough",
            "Kayenta: than=candidate: compare it with stable or baseline",
            "Kayenta: lookback=3 is how many points are kept: from points=9 to 1440",
        ],
    ),
    (
        "a check of Kayenta's without metrics",
        lambda: Kayenta(KAYENTA, metrics=[]),
        "Kayenta: metrics=(): give a list of Metric(..., kind='value')",
    ),
    (
        "a check of Kayenta's with one metric twice",
        lambda: Kayenta(
            KAYENTA, metrics=[Metric("cpu", kind="value"), Metric("cpu", kind="value")]
        ),
        [
            "Kayenta: metrics: 'cpu' is there 2 times; once is enough",
        ],
    ),
    (
        "a dispersion below that of chance",
        lambda: NoWorse(ERRORS, dispersion=0.5),
        "NoWorse(error-rate): dispersion=0.5 is how many events come at a time, 1.0 or more",
    ),
    (
        "a comparison with three mistakes",
        lambda: NoWorse(ERRORS, margin=0.9, share_of_alpha=0, than="candidate"),
        [
            "NoWorse(error-rate): margin=0.9 is the ratio still tolerated, from 1.0 to 1000",
            (
                "NoWorse(error-rate): share_of_alpha=0 must be above 0 (and at most 1000); it "
                "is a weight beside the other checks'"
            ),
            "NoWorse(error-rate): than=candidate: compare it with stable or baseline",
        ],
    ),
    (
        "a comparison with nobody",
        lambda: NoWorse(ERRORS, than="canary"),
        "NoWorse.than: 'canary' is not one of 'stable', 'candidate', 'baseline'",
    ),
    (
        "a limit without a bound",
        lambda: Limit(ERRORS),
        "Limit(error-rate): give at_most= or at_least=, such as at_most=percent(1)",
    ),
    (
        "the 99th quantile",
        lambda: Limit(LATENCY, quantile=99, at_most=ms(400)),
        "Limit(latency): quantile=99 is not between 0 and 1; the 99th percentile is quantile=0.99",
    ),
    (
        "a latency without a quantile",
        lambda: Limit(LATENCY, at_most=ms(400)),
        "Limit(latency): a latency needs quantile=, such as quantile=0.99",
    ),
    (
        "a quantile of a ratio",
        lambda: Limit(ERRORS, quantile=0.5, at_most=percent(1)),
        "Limit(error-rate): quantile= is for a latency, not for a ratio",
    ),
    (
        "a ratio as a float",
        lambda: Limit(ERRORS, at_most=0.01),
        "Limit(error-rate): at_most=0.01: a ratio takes percent(1) or times(1.5)",
    ),
    (
        "a latency as a float",
        lambda: Limit(LATENCY, quantile=0.99, at_most=0.4),
        "Limit(latency): at_most=0.4: a latency takes ms(400) or times(1.5)",
    ),
    (
        "a floor without its unit",
        lambda: Limit(ERRORS, at_most=times(1.5, floor=0.01)),
        "Limit(error-rate): at_most=times(1.5, floor=0.01): a ratio takes percent(1) or times(1.5)",
    ),
    (
        "a bound that is no number",
        lambda: Limit(BASKET, at_least=float("nan")),
        "Limit(basket): at_least=nan: a mean takes 12.5 or times(1.5)",
    ),
    (
        "no sample",
        lambda: Limit(ERRORS, at_most=percent(1), min_sample=0),
        "Limit.min_sample: 0 must be a whole number, 1 or more",
    ),
    (
        "a metric by its name",
        lambda: Limit("error-rate", at_most=percent(1)),
        "check.metric: 'error-rate' is no Metric; write Metric('error-rate', kind='ratio')",
    ),
    (
        "a metric of another system's kind",
        lambda: Metric("x", kind="counter"),
        "Metric.kind: 'counter' is not one of 'ratio', 'latency', 'mean', 'value'",
    ),
    (
        "a metric that is bad sideways",
        lambda: Metric("x", kind="ratio", bad="sideways"),
        "Metric.bad: 'sideways' is not one of 'up', 'down', 'both'",
    ),
    (
        "a metric with a title",
        lambda: Metric("my errors", kind="ratio"),
        f"Metric.name: 'my errors' {NAME}",
    ),
    (
        "a failed check that waits",
        lambda: Tolerance(then=Action.WAIT),
        (
            "Tolerance.then: 'wait': a failed check can't wait; to watch without deciding use "
            "observe=True on the check"
        ),
    ),
    (
        "a budget without an end",
        Budget,
        (
            "Budget(looks=None, within=None, then='hold'): give looks= or within=, or neither "
            "and then=Action.WAIT (the step's deadline decides)"
        ),
    ),
    (
        "an action that does not exist",
        lambda: Deadline(within=hours(1), then="continue"),
        "Deadline.then: 'continue' is not one of 'roll_back', 'hold', 'wait'",
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
        lambda: canary(checks=[Limit(ERRORS, at_most=percent(1), observe=True)]),
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
        lambda: canary(checks=[NoWorse(ERRORS)]),
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
        lambda: canary(checks=(), analyses=[Analysis("other", checks=[LIMIT])]),
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
        lambda: canary(alpha=5),
        (
            "canary: alpha: 5 is a probability between 0 and 1; 0.01 is one false alarm in a "
            "hundred rollouts"
        ),
    ),
    (
        "an alpha in words",
        lambda: canary(alpha="1 %"),
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
        lambda: canary(gates="freeze"),
        "Canary.gates: expected a list of strings, got 'freeze'; write ['freeze']",
    ),
    (
        "a gate that is no string",
        lambda: canary(gates=[len]),
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
            canary().plan,
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
    # -- releases
    (
        "one backend for two versions",
        lambda: Release(
            service="shop",
            stable=Version("v1", backend="web"),
            candidate=Version("v2", backend="web"),
        ),
        (
            "release.candidate.backend: 'web' stands for two versions of 'shop'; "
            "the router could not tell them apart, so give each its own backend"
        ),
    ),
    (
        "a version by its name",
        lambda: Release(service="shop", stable="v1", candidate=V2),
        "Release.stable: 'v1' is no Version; write Version('v1')",
    ),
    (
        "a service with a title",
        lambda: Release(service="my shop", stable=V1, candidate=V2),
        f"Release.service: 'my shop' {NAME}",
    ),
    (
        "a way back from the first",
        lambda: Release(service="shop", stable=None, candidate=V2).reversed(),
        "release.reversed: 'shop' had no stable version to return to",
    ),
    (
        "a first deployment",
        lambda: begin(
            canary().plan, Release(service="shop", stable=None, candidate=V2), id="r", at=AT
        ),
        (
            "release.stable: 'shop' has no stable version; a first deployment has nothing "
            "to return to or to compare with; "
            "use first_deployment(router, release)"
        ),
    ),
    (
        "a baseline that is nobody",
        lambda: begin(
            stepped(SetWeight(percent(5), baseline=percent(5)), SetWeight(percent(100))).plan,
            Release(service="shop", stable=V1, candidate=V2),
            id="r",
            at=AT,
        ),
        "release.baseline: the plan gives a baseline traffic; name it in Release(baseline=...)",
    ),
    # -- what a provider answers
    (
        "more events than trials",
        lambda: Counts(events=5, trials=3),
        "counts: 5 events among 3 trials; events are part of the trials",
    ),
    (
        "half an event",
        lambda: Counts(events=0.5, trials=3),
        "Counts.events: 0.5 must be a whole number, 0 or more",
    ),
    (
        "edges that fall",
        lambda: Histogram(edges=(1, 0.5), cumulative=(1, 2, 3)),
        "histogram.edges: (1, 0.5) must be one or more rising numbers, without infinity",
    ),
    (
        "no count for all",
        lambda: Histogram(edges=(0.5, 1), cumulative=(1, 2)),
        (
            "histogram.cumulative: (1, 2) must have one number more than edges (the last "
            "counts all) and never fall"
        ),
    ),
    (
        "half a count",
        lambda: Histogram(edges=(0.5,), cumulative=(0.5, 2)),
        "histogram.cumulative: 0.5 must be a whole number, 0 or more",
    ),
    (
        "a count below zero",
        lambda: Histogram(edges=(0.5,), cumulative=(3, -1)),
        "histogram.cumulative: -1 must be a whole number, 0 or more",
    ),
    (
        "an edge at infinity",
        lambda: Histogram(edges=(0.5, float("inf")), cumulative=(1, 2, 3)),
        "histogram.edges: inf is not a finite number; answer NoData(...) where there is none",
    ),
    (
        "a sample that is a truth",
        lambda: Gauge(samples=(1.0, True)),
        "gauge.samples: True is not a finite number; answer NoData(...) where there is none",
    ),
    (
        "squares below zero",
        lambda: Moments(n=1, mean=0.0, m2=-1.0),
        "moments.m2: -1.0 is a sum of squares; it can't be negative",
    ),
    (
        "a mean that is no number",
        lambda: Moments(n=1, mean=float("nan"), m2=1.0),
        "moments.mean: nan is not a finite number; answer NoData(...) where there is none",
    ),
    (
        "a gauge of nothing",
        lambda: Gauge(samples=()),
        "gauge.samples: none; answer NoData(...) instead",
    ),
    (
        "a window backwards",
        lambda: Window(AT, AT - hours(1)),
        "window: the end 2026-03-01T11:00:00+00:00 is before the start 2026-03-01T12:00:00+00:00",
    ),
    (
        "too much to remember",
        lambda: Look(metric="x", window=Window(AT, AT), tracks=(), reading="x" * 5000),
        "look.reading: 5000 characters; 4096 are the most that a rollout carries",
    ),
)


@pytest.mark.parametrize(
    ("make", "said"), [case[1:] for case in DESCRIPTIONS], ids=[case[0] for case in DESCRIPTIONS]
)
def test_a_wrong_description_says_where_what_and_what_instead(
    make: Callable[[], object], said: str | list[str]
) -> None:
    with pytest.raises(StrategyError) as caught:
        make()

    assert list(caught.value.problems) == ([said] if isinstance(said, str) else said)
    assert str(caught.value) == "\n".join(caught.value.problems)


@pytest.mark.parametrize(
    "mend", [{"checks": [LIMIT]}, {"unguarded": "the load test says enough"}], ids=str
)
def test_a_blue_green_that_judges_only_its_preview_is_mended_as_its_message_says(
    mend: dict[str, Any],
) -> None:
    assert (
        BlueGreen(preview_hook="smoke", preview_checks=[LIMIT], **mend).plan.analyses[-1].name
        == "preview"
    )


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


# ------------------------------------------------------------------------------------ stored states

Stored = tuple[str, Callable[[Any], object], str]


def drop(where: Any, key: str) -> None:
    del where[key]


STATES: tuple[Stored, ...] = (
    (
        "an unknown key",
        lambda s: s["plan"]["steps"][1].update(durration=5),
        "$.plan.steps[1].durration: unknown key; Bake has duration, deadline, id",
    ),
    (
        "a key of another version",
        lambda s: s.update(mood="fine"),
        (
            "$.mood: unknown key; Rollout has id, release, plan, serial, progress, routing, "
            "evidence, clocks, wake_at, instances"
        ),
    ),
    (
        "a wrong type",
        lambda s: s["plan"]["steps"][1].update(duration="2m"),
        "$.plan.steps[1].duration: expected a number, got '2m'",
    ),
    (
        "a boolean for a number",
        lambda s: s.update(serial=True),
        "$.serial: expected a whole number, got True",
    ),
    (
        "a float for a whole number",
        lambda s: s["progress"].update(step=1.0),
        "$.progress.step: expected a whole number, got 1.0",
    ),
    (
        "a number for a word",
        lambda s: s["release"].update(service=7),
        "$.release.service: expected a string, got 7",
    ),
    (
        "a list for an object",
        lambda s: s.update(routing=[]),
        "$.routing: expected an object, got []",
    ),
    (
        "an object for a list",
        lambda s: s["evidence"].update(series={}),
        "$.evidence.series: expected a list, got {}",
    ),
    (
        "a pair of three",
        lambda s: s["routing"].update(sent=[1, 2, 3]),
        "$.routing.sent: expected a list of 2, got [1, 2, 3]",
    ),
    (
        "nothing where something must be",
        lambda s: drop(s["clocks"], "created"),
        "$.clocks.created: missing",
    ),
    ("no release", lambda s: drop(s, "release"), "$.release: missing"),
    (
        "an unknown step kind",
        lambda s: s["plan"]["steps"][1].update(kind="warm-up"),
        (
            "$.plan.steps[1].kind: unknown kind 'warm-up'; there are analyze, approval, bake, "
            "hook, pause, set_weight; your own class goes into Kinds(...)"
        ),
    ),
    (
        "an unknown check kind",
        lambda s: s["plan"]["analyses"][0]["checks"][0].update(kind="magic"),
        (
            "$.plan.analyses[0].checks[0].kind: unknown kind 'magic'; there are kayenta, "
            "limit, mann_whitney, no_worse, sample_ratio; "
            "your own class goes into Kinds(...)"
        ),
    ),
    (
        "a step of no kind",
        lambda s: drop(s["plan"]["steps"][0], "kind"),
        "$.plan.steps[0]: expected an object with a kind, got {'weight': 5, 'id': 'weight-5'}",
    ),
    (
        "an unknown phase",
        lambda s: s["progress"].update(phase="paused"),
        (
            "$.progress.phase: 'paused' is not one of pending, progressing, held, "
            "rolling_back, promoted, rolled_back"
        ),
    ),
    (
        "a time without a zone",
        lambda s: s["clocks"].update(now="2026-03-01T12:02:00"),
        "$.clocks.now: '2026-03-01T12:02:00' has no time zone; end it with Z",
    ),
    (
        "a time that is none",
        lambda s: s["clocks"].update(now="noon"),
        "$.clocks.now: expected a time such as 2026-01-31T09:30:00.000Z, got 'noon'",
    ),
    (
        "a duration without an end",
        lambda s: s["clocks"].update(ran=1e300),
        "$.clocks.ran: 1e+300 seconds is not a duration",
    ),
    (
        "a weight above all",
        lambda s: s["plan"]["steps"][0].update(weight=500),
        "$.plan.steps[0].weight: percent(500): expected a number from 0 to 100",
    ),
    (
        "weights that fall",
        lambda s: s["plan"]["steps"][2].update(weight=3),
        (
            "$.plan: steps[2].weight: 3 % is not above the 5 % before it; weights must rise "
            "(the way back is the rollback)"
        ),
    ),
    (
        "a bound of no unit",
        lambda s: s["plan"]["analyses"][0]["checks"][0].update(at_most={"ppm": 20}),
        (
            '$.plan.analyses[0].checks[0].at_most: expected {"percent": ..}, {"seconds": ..}, '
            "{\"times\": ..} or a number, got {'ppm': 20}"
        ),
    ),
    (
        "a bound in the wrong unit",
        lambda s: s["plan"]["analyses"][0]["checks"][0].update(at_most=0.02),
        (
            "$.plan.analyses[0].checks[0]: Limit(error-rate): at_most=0.02: a ratio takes "
            "percent(1) or times(1.5)"
        ),
    ),
    (
        "no times stable",
        lambda s: s["plan"]["analyses"][0]["checks"][0].update(at_most={"times": -2}),
        "$.plan.analyses[0].checks[0].at_most: times(-2): expected a finite number above 0",
    ),
    (
        "something to remember that is an object",
        lambda s: s["progress"].update(memory=[1, {"a": 1}]),
        "$.progress.memory[1]: expected numbers, strings or lists, got {'a': 1}",
    ),
    (
        "a match of something else",
        lambda s: s["plan"]["steps"][0].update(
            matches=[{"name": "x", "value": "1", "source": "query"}]
        ),
        "$.plan.steps[0].matches[0].source: 'query' is not one of header, cookie",
    ),
    (
        "a share of nothing",
        lambda s: s["routing"]["wanted"].update(candidate=None),
        "$.routing.wanted.candidate: percent(None): expected a number from 0 to 100",
    ),
    (
        "a newer format",
        lambda s: s.update(format=2),
        "$.format: format 2: written by a newer version of progressive; upgrade this driver",
    ),
    (
        "a format of nobody",
        lambda s: s.update(format="one"),
        "$.format: format 'one': this version reads format 1",
    ),
    (
        "no format",
        lambda s: drop(s, "format"),
        "$.format: format None: this version reads format 1",
    ),
    # -- what no decision can have led to
    (
        "a step past the plan",
        lambda s: s["progress"].update(step=6),
        "$.progress.step: 6 is not a step of a plan with 6",
    ),
    (
        "a step before the plan",
        lambda s: s["progress"].update(step=-1),
        "$.progress.step: -1 is not a step of a plan with 6",
    ),
    (
        "a negative serial",
        lambda s: s.update(serial=-1),
        "$.serial: serial and epoch are never negative",
    ),
    (
        "more traffic than the step's",
        lambda s: s["routing"]["wanted"].update(candidate=60),
        (
            "$.routing.wanted: it asks for 60 % candidate, and progressing in step 'bake-50' "
            "allows 50 % candidate"
        ),
    ),
    (
        "traffic on the way back",
        lambda s: s["progress"].update(phase="rolling_back"),
        (
            "$.routing.wanted: it asks for 50 % candidate, and rolling_back in step 'bake-50' "
            "allows 0 % candidate"
        ),
    ),
    (
        "held without a cause",
        lambda s: s["progress"].update(phase="held"),
        "$.progress.causes: a rollout is held exactly while it has causes; this one is held with 0",
    ),
    (
        "a cause without being held",
        lambda s: s["progress"].update(
            causes=[{"name": "x", "why": "y", "by": "eve", "person": True, "within": 60}]
        ),
        (
            "$.progress.causes: a rollout is held exactly while it has causes; this one is "
            "progressing with 1"
        ),
    ),
    (
        "evidence of another length",
        lambda s: s["evidence"]["tallies"].pop(),
        "$.evidence: it has 1 series and 1 tallies, the plan 1 and 2",
    ),
    (
        "no probe before the start",
        lambda s: (
            s["progress"].update(phase="pending", step=0)
            or s["routing"].update(wanted={}, claimed=False)
        ),
        (
            "$.evidence.probes: it has none, and before the start the plan's metrics "
            "error-rate must answer"
        ),
    ),
    (
        "traffic without a write",
        lambda s: s["routing"].update(touched=False),
        "$.routing.touched: progressing without a write is not possible",
    ),
    (
        "a retirement on the way",
        lambda s: s["progress"].update(retirement="due"),
        (
            "$.progress.retirement: due while progressing: only a promoted rollout retires the "
            "old version"
        ),
    ),
    (
        "nothing to wake up for",
        lambda s: s.update(wake_at=None),
        "$.wake_at: a rollout that is over has none, every other one has one",
    ),
    (
        "over, and awake",
        lambda s: s["progress"].update(phase="promoted", step=5),
        "$.wake_at: a rollout that is over has none, every other one has one",
    ),
)


@pytest.fixture(scope="module")
def stored() -> str:
    """A rollout in its second bake."""
    return World().until_weight(50).text


@rule("R33", "R34")
@pytest.mark.parametrize(
    ("change", "said"), [case[1:] for case in STATES], ids=[case[0] for case in STATES]
)
def test_a_wrong_state_says_where_what_and_what_instead(
    stored: str, change: Callable[[Any], object], said: str
) -> None:
    state = json.loads(stored)
    change(state)
    with pytest.raises(StateError) as caught:
        loads(json.dumps(state))

    assert str(caught.value) == said
    assert f"{caught.value.path}: {caught.value.why}" == said


TEXTS = (
    ("nothing", "", "$: not JSON: Expecting value: line 1 column 1 (char 0)"),
    (
        "cut",
        '{"format":1,"id":"r"',
        "$: not JSON: Expecting ',' delimiter: line 1 column 21 (char 20)",
    ),
    ("two", '{"format":1}{"format":1}', "$: not JSON: Extra data: line 1 column 13 (char 12)"),
    ("no number", '{"format":1,"serial":NaN}', "$: NaN is not a number that can be stored"),
    (
        "endless",
        '{"format":1,"serial":-Infinity}',
        "$: -Infinity is not a number that can be stored",
    ),
    (
        "twice the same key",
        '{"format":1,"id":"a","id":"b"}',
        "$: the key 'id' stands twice in one object",
    ),
    ("a list", "[1]", "$: expected an object, got [1]"),
    (
        "bytes that are no text",
        b'{"format":1,"id":"\xff"}',
        "$: not JSON: 'utf-8' codec can't decode byte 0xff in position 18: invalid start byte",
    ),
    ("very deep", '{"a":' * 70 + "1" + "}" * 70, "$: nested deeper than 64 levels"),
    ("very long", '"' + "x" * 100 + '"', f"$: expected an object, got '{'x' * 56}..."),
)


@rule("R34")
@pytest.mark.parametrize(
    ("text", "said"), [case[1:] for case in TEXTS], ids=[case[0] for case in TEXTS]
)
def test_a_text_that_is_no_state_says_why(text: str | bytes, said: str) -> None:
    with pytest.raises(StateError) as caught:
        loads(text)

    assert str(caught.value) == said


OTHERS = (
    (
        loads_event,
        '{"kind":"abort","at":"2026-03-01T12:00:00Z","by":"","why":"x"}',
        "$: Abort.by: '' says nothing; the audit trail needs who and why",
    ),
    (
        loads_event,
        '{"kind":"go"}',
        (
            "$.kind: unknown kind 'go'; there are abort, approve, command_failed, "
            "gate_answered, hold, hook_answered, "
            "inspected, measured, promote_now, reject, resume, retired, seen, skip, "
            "surveyed, tick, wrote"
        ),
    ),
    (
        loads_event,
        '{"kind":7}',
        (
            "$.kind: unknown kind 7; there are abort, approve, command_failed, "
            "gate_answered, hold, hook_answered, "
            "inspected, measured, promote_now, reject, resume, retired, seen, skip, "
            "surveyed, tick, wrote"
        ),
    ),
    (loads_note, '{"kind":"late","at":"2026-03-01T12:00:00Z","by":5}', "$.why: missing"),
    (
        loads_strategy,
        '{"kind":"canary","weights":[5,100]}',
        (
            "$: canary: nothing would ever stop it: no check decides; add checks=[...] or say "
            "unguarded='why'"
        ),
    ),
    (
        loads_strategy,
        '{"kind":"canary","weights":["5 %"]}',
        "$.weights[0]: percent('5 %'): expected a number from 0 to 100",
    ),
    (
        loads_strategy,
        '{"kind":"rolling"}',
        "$.kind: unknown kind 'rolling'; there are blue_green, canary, revert",
    ),
    (
        loads_strategy,
        '{"kind":"canary","weights":[100],"unguarded":null,"bake":null}',
        "$.bake: expected a number, got None",
    ),
)


@pytest.mark.parametrize(("read", "text", "said"), OTHERS)
def test_an_event_a_note_and_a_strategy_are_read_as_strictly(
    read: Callable[[str], object], text: str, said: str
) -> None:
    with pytest.raises(StateError) as caught:
        read(text)

    assert str(caught.value) == said


def test_the_table_s_state_itself_is_fine(stored: str) -> None:
    assert loads(stored).phase is Phase.PROGRESSING
