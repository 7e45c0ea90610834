"""What a strategy can and can't see: the figures agree with whole simulations, and the warnings
name a mend that works.
"""

from __future__ import annotations

import re
import textwrap
from datetime import timedelta
from itertools import pairwise
from typing import ClassVar

import attrs
import pytest

import progressive
from progressive import (
    Action,
    Analysis,
    Approve,
    BlueGreen,
    Canary,
    Limit,
    Metric,
    NoWorse,
    Revert,
    StrategyError,
    Tolerance,
    Track,
    Traffic,
    hours,
    minutes,
    ms,
    percent,
    percents,
    seconds,
    times,
)
from progressive.model.measurement import Bad
from progressive.model.traffic import Match
from progressive.plan.plan import Strategy
from progressive.plan.step import Advance, Deadline, Failed, Halt, Situation, Step
from progressive.steps import Analyze, Approval, Bake, Hook, Pause, SetWeight
from progressive.testing import (
    Behaviour,
    Bursts,
    Daily,
    Explanation,
    Latency,
    Load,
    PersonAction,
    Proportion,
    Users,
    World,
    explain,
    simulate,
)

ERRORS = Metric("error-rate", kind="ratio")
BASKET = Metric("basket", kind="mean", unit="EUR", bad="down")
LATENCY = Metric("latency", kind="latency")
QUEUE = Metric("queue", kind="value")
POLICY = Canary(
    weights=percents(5, 50, 100),
    bake=minutes(4),
    checks=[NoWorse(ERRORS), Limit(ERRORS, at_most=percent(2))],
)


def overlap(one: Proportion, other: Proportion) -> bool:
    return one.low <= other.high and other.low <= one.high


# ----------------------------------------------------------------- agreement with whole simulations


@pytest.fixture(scope="module")
def explained() -> Explanation:
    return explain(POLICY, Load(40), runs=150)


@pytest.mark.parametrize("worse", [1.0, 5.0, 20.0])
def test_the_figures_agree_with_simulated_rollouts(explained: Explanation, worse: float) -> None:
    """Within both intervals: how often it is caught by the end of each step, and how often it gets
    through.
    """
    world = Load(40).world([ERRORS], times=worse)
    stories = [simulate(POLICY, world, seed=f"whole/{seed}") for seed in range(80)]

    for step in explained.steps:
        if step.usual:
            caught_by_one = max(
                (sight.chance(worse) for sight in step.sights), key=lambda often: often.share
            )
            stopped = Proportion(
                sum(story.rolled_back and story.highest <= step.share for story in stories),
                len(stories),
            )
            assert overlap(caught_by_one, stopped), (step.step, str(caught_by_one), str(stopped))
    if worse == 1.0:
        promoted = Proportion(sum(story.promoted for story in stories), len(stories))
        assert overlap(explained.promoted, promoted)
        took = sorted(story.duration for story in stories)[40]
        assert abs(took - explained.usual) <= seconds(60)
        requests = sorted(story.exposed.requests for story in stories)[40]
        users = sorted(story.exposed.users for story in stories)[40]
        assert sum(step.requests for step in explained.steps) == pytest.approx(requests, rel=0.05)
        assert explained.steps[-1].users == pytest.approx(users, rel=0.05)


BESIDE = Canary(
    weights=percents(10, 100),
    bake=minutes(5),
    checks=[
        NoWorse(ERRORS),
        Limit(LATENCY, quantile=0.99, at_most=ms(400)),
        Limit(ERRORS, at_most=percent(1)),
    ],
)


@pytest.fixture(scope="module")
def beside() -> Explanation:
    return explain(BESIDE, Load(50), runs=120, regressions=[5.0])


@pytest.mark.parametrize("worse", [[ERRORS], [LATENCY], [ERRORS, LATENCY]], ids=["e", "l", "both"])
def test_each_check_is_told_by_its_own_metric_alone(
    beside: Explanation, worse: list[Metric]
) -> None:
    """A version of which one metric is worse is stopped as often as that metric's column says, and
    one of which all are as often as the row of any check says.
    """
    step = beside.step("bake-10")
    told = {
        1: lambda: step.sight("latency-p99" if LATENCY in worse else "error-rate-no-worse"),
        2: lambda: step.together,
    }[len(worse)]()
    stories = [
        simulate(BESIDE, Load(50).world(worse, times=5.0), seed=f"whole/{seed}")
        for seed in range(60)
    ]
    stopped = sum(story.rolled_back and story.highest == percent(10) for story in stories)

    assert told is not None
    assert overlap(told.chance(5.0), Proportion(stopped, len(stories)))


def test_a_check_beside_it_on_another_metric_takes_nothing_from_a_check() -> None:
    """One that asks for no part of alpha."""
    alone = attrs.evolve(BESIDE, checks=[BESIDE.checks[0], BESIDE.checks[2]])
    fast = Limit(LATENCY, quantile=0.99, plain=True, at_most=ms(400), min_sample=30)
    both = attrs.evolve(BESIDE, checks=[*alone.checks, fast])
    found = [explain(each, Load(50), runs=120, regressions=[5.0, 10.0]) for each in (alone, both)]

    for worse in (5.0, 10.0):
        one, other = (
            each.step("bake-10").sight("error-rate-no-worse").chance(worse) for each in found
        )
        assert overlap(one, other), (worse, str(one), str(other))


def test_any_check_stops_what_one_of_them_stops(beside: Explanation) -> None:
    for step in beside.steps:
        assert step.together is not None
        for worse, often in step.together.caught:
            best = max((sight.chance(worse) for sight in step.sights), key=lambda each: each.share)
            assert often.high >= best.share
    first = next(step for step in beside.steps if step.sights)
    assert first.together is not None
    assert first.together.here == first.together.caught
    assert str(beside).count(" any check ") == 2


def test_any_check_has_no_row_where_there_is_one_check_and_no_value_where_none_stops() -> None:
    check = Limit(ERRORS, at_most=percent(1))
    one = Canary(weights=percents(50, 100), bake=minutes(2), checks=[check])
    none = attrs.evolve(one, checks=[attrs.evolve(check, observe=True)], unguarded="an example")

    assert "any check" not in str(explain(one, Load(50), runs=4, regressions=[10]))
    assert explain(none, Load(50), runs=4, regressions=[10]).steps[1].together is None


def test_each_regression_that_is_asked_for_has_a_column_if_they_are_few() -> None:
    def columns(*asked: float) -> str:
        return str(explain(POLICY, Load(50), runs=1, regressions=asked)).splitlines()[3]

    assert columns(10).split()[-1] == "x10"
    assert columns(1.5, 4, 10).split()[-3:] == ["x1.5", "x4", "x10"]
    assert columns(2, 3, 4, 5, 20).split()[-3:] == ["x2", "x5", "x20"]
    assert columns(30, 40, 50, 60).split()[-3:] == ["x30", "x40", "x50"]


def test_latency_and_baskets_agree_too() -> None:
    checks = [Limit(LATENCY, quantile=0.95, at_most=ms(250)), Limit(BASKET, at_least=times(0.8))]
    policy = Canary(weights=percents(20, 100), bake=minutes(3), checks=checks)
    found = explain(policy, Load(40), runs=100, regressions=[1.25])
    world = Load(40).world([LATENCY, BASKET], times=1.25)
    stories = [simulate(policy, world, seed=seed) for seed in range(60)]

    first = found.step("bake-20")
    stopped = Proportion(
        sum(story.rolled_back and story.highest <= percent(20) for story in stories), 60
    )
    either = 1 - (1 - first.sight("latency-p95").chance(1.25).share) * (
        1 - first.sight("basket").chance(1.25).share
    )
    assert stopped.low <= either <= stopped.high


TESTERS = Match(name="x-tester", value="1")
BY_HEADER = Canary(
    steps=[
        SetWeight(percent(0), matches=[TESTERS]),
        Bake(minutes(8)),
        SetWeight(percent(10), matches=[TESTERS]),
        Bake(minutes(4)),
        SetWeight(percent(100)),
        Bake(minutes(4)),
    ],
    checks=[NoWorse(ERRORS), Limit(ERRORS, at_most=percent(2))],
)
BY_COPIES = Canary(
    steps=[
        SetWeight(percent(0), mirror=percent(5)),
        Analyze("copies", count=2),
        SetWeight(percent(5), mirror=percent(5)),
        Bake(minutes(4)),
        SetWeight(percent(100)),
        Bake(minutes(4)),
    ],
    analyses=[
        Analysis(
            "copies",
            checks=[NoWorse(ERRORS), Limit(ERRORS, at_most=percent(2))],
            synthetic=True,
            interval=minutes(2),
        )
    ],
    checks=[Limit(ERRORS, at_most=percent(2))],
)


@pytest.mark.parametrize(
    ("policy", "first"), [(BY_HEADER, "bake-0"), (BY_COPIES, "analyze-0")], ids=["header", "copies"]
)
@pytest.mark.parametrize("worse", [1.0, 20.0])
def test_they_agree_on_headers_and_copies(policy: Canary, first: str, worse: float) -> None:
    """What is seen, how many requests users sent, and how many users those were."""
    load = Load(40, matched=percent(3), users=Users(2_000))
    found = explain(policy, load, runs=60, regressions=[20.0])
    stories = [
        simulate(policy, load.world([ERRORS], times=worse), seed=f"whole/{seed}")
        for seed in range(60)
    ]

    step = found.step(first)
    caught = max((sight.chance(worse) for sight in step.sights), key=lambda often: often.share)
    stopped = Proportion(
        sum(story.rolled_back and story.highest <= percent(0) for story in stories), len(stories)
    )
    assert overlap(caught, stopped), (str(caught), str(stopped))
    if worse == 1.0:
        assert overlap(
            found.promoted, Proportion(sum(story.promoted for story in stories), len(stories))
        )
        requests, users = (
            sorted(of)[30]
            for of in zip(*((s.exposed.requests, s.exposed.users) for s in stories), strict=True)
        )
        assert sum(each.requests for each in found.steps) == pytest.approx(requests, rel=0.05)
        assert found.steps[-1].users == pytest.approx(users, rel=0.05)
        assert step.requests == pytest.approx(
            0.03 * 40 * 480 if policy is BY_HEADER else 0, rel=0.1
        )
        assert step.users <= 60


def test_it_says_whom_a_header_exposes_and_what_would_see_more() -> None:
    policy = attrs.evolve(BY_HEADER, checks=[Limit(ERRORS, at_most=percent(2), min_sample=10)])
    [blind] = [
        each
        for each in explain(policy, Load(10), runs=10, regressions=[10.0]).warnings
        if each.startswith("bake-0:")
    ]

    assert blind.startswith("bake-0: 0 % and header x-tester of 10 rps for ")


def test_nobody_with_the_header_is_told_as_a_step_that_never_ends() -> None:
    found = explain(BY_HEADER, Load(40, matched=percent(0)), runs=4, regressions=[10.0])

    assert found.promoted.count == 0
    assert found.step("bake-0").requests == 0


def test_it_tells_what_is_known_so_far() -> None:
    """Ever more rollouts, and in the end what it returns."""
    told: list[Explanation] = []
    whole = explain(POLICY, Load(40), runs=23, regressions=[10.0], progress=told.append)

    assert [each.promoted.runs for each in [*told, whole]] == [5, 10, 20, 23]
    assert all(str(each).startswith("canary at 40 rps: ") for each in told)
    assert whole == explain(POLICY, Load(40), runs=23, regressions=[10.0])
    assert told[-1] == attrs.evolve(
        explain(POLICY, Load(40), runs=20, regressions=[10.0]), warnings=told[-1].warnings
    )


def test_the_same_seed_gives_the_same_answer() -> None:
    assert explain(POLICY, Load(40), runs=10) == explain(POLICY, Load(40), runs=10)
    assert explain(POLICY, Load(40), runs=10) != explain(POLICY, Load(40), runs=10, seed=1)


# ------------------------------------------------------------------------------------- what is told


@pytest.mark.slow
def test_it_warns_in_plain_words_and_the_mend_works() -> None:
    policy = Canary(
        weights=percents(1, 100),
        bake=minutes(5),
        checks=[NoWorse(ERRORS), Limit(ERRORS, at_most=percent(5), min_sample=60)],
    )
    found = explain(policy, Load(50), runs=60)
    [blind] = [warning for warning in found.warnings if warning.startswith("bake-1:")]

    assert blind.startswith(
        "bake-1: 1 % of 50 rps for 5 min is 150 requests: error-rate rising from 0.1 % to "
        "1 % is seen with "
    )
    bake, start = blind.rpartition("; ")[2].split(" or ")
    longer = minutes(float(bake.removeprefix("bake ").removesuffix(" min")))
    larger = percent(float(start.removeprefix("start at ").removesuffix(" %")))
    for mended in (
        attrs.evolve(policy, bake=longer),
        attrs.evolve(policy, weights=(larger, percent(100))),
    ):
        step = explain(mended, Load(50), runs=150, regressions=[10.0]).steps[1]
        assert max(sight.chance(10.0).share for sight in step.sights) > 0.8, step


def test_what_is_seen_grows_with_the_regression_and_with_the_steps(explained: Explanation) -> None:
    judged = [step for step in explained.steps if step.usual]
    for step in judged:
        sight = step.sight("checks/error-rate")
        shares = [often.share for _, often in sight.caught]
        assert all(a <= b + 0.05 for a, b in pairwise(shares))
    for name in ("error-rate", "error-rate-no-worse"):
        for worse, _ in judged[0].sight(name).caught:
            by_step = [step.sight(name).chance(worse).count for step in judged]
            assert by_step == sorted(by_step)
    assert (
        judged[0].sight("error-rate-no-worse").here == judged[0].sight("error-rate-no-worse").caught
    )


def test_the_smallest_regression_is_read_off_between_those_that_were_asked_for(
    explained: Explanation,
) -> None:
    sight = explained.step("bake-50").sight("error-rate-no-worse")
    smallest = sight.smallest()

    assert smallest is not None
    below = max(known for known, often in sight.caught if often.share < 0.9)
    above = min(known for known, often in sight.caught if often.share >= 0.9)
    assert below < smallest <= above
    assert sight.smallest(1.0) is None or sight.smallest(1.0) >= smallest


def test_a_small_regression_is_seen_by_nobody(explained: Explanation) -> None:
    short = Canary(
        weights=percents(5, 100),
        bake=seconds(30),
        checks=[Limit(ERRORS, at_most=percent(2), min_sample=5)],
    )

    assert (
        explain(short, Load(5), runs=5, regressions=[1.1])
        .step("bake-5")
        .sight("error-rate")
        .smallest()
        is None
    )


def test_the_text_is_a_table_of_the_steps_that_take_time(explained: Explanation) -> None:
    text = str(explained)

    assert text == repr(explained)
    assert text.startswith("canary at 40 rps: a healthy version is promoted ")
    assert [line.split()[0] for line in text.splitlines()[4:] if line.startswith("bake")] == [
        "bake-5",
        "bake-50",
        "bake-100",
    ]
    assert "dormant" in text and " error-rate-no-worse " in text and "checks/" not in text
    assert "x2 " in text.splitlines()[3] and "x20" in text.splitlines()[3]


def test_checks_of_one_name_are_told_with_their_analyses() -> None:
    groups = [Analysis(name, checks=[Limit(ERRORS, at_most=percent(5))]) for name in ("one", "two")]
    policy = Canary(
        weights=percents(50, 100), bake=minutes(1), analyses=groups, guards=["one", "two"]
    )
    text = str(explain(policy, Load(50), runs=2, regressions=[50.0]))

    assert " one/error-rate " in text and " two/error-rate " in text
    with pytest.raises(
        StrategyError, match=r"has \['one/error-rate', 'two/error-rate'\]; say which"
    ):
        explain(policy, Load(50), runs=2, regressions=[50.0]).step("bake-50").sight("error-rate")


def test_a_check_that_compares_is_dormant_where_stable_has_nothing(explained: Explanation) -> None:
    last = explained.step("bake-100").sight("error-rate-no-worse")

    assert last.dormant
    assert not explained.step("bake-100").sight("error-rate").dormant


def test_times_are_those_of_describe(explained: Explanation) -> None:
    described = POLICY.describe().steps

    assert [(step.earliest, step.latest) for step in explained.steps] == [
        (step.earliest, step.latest) for step in described
    ]


# ----------------------------------------------------------------------------------------- warnings


def test_it_says_when_a_step_takes_longer_than_it_says() -> None:
    policy = Canary(
        weights=percents(1, 100),
        bake=minutes(5),
        checks=[Limit(ERRORS, at_most=percent(2), min_sample=590)],
    )
    found = explain(policy, Load(50), runs=40, regressions=[50.0])

    assert any(
        w.startswith(
            "bake-1: takes 20 min, not 5 min, for the samples that checks/error-rate needs"
        )
        for w in found.warnings
    )
    assert found.step("bake-1").usual == minutes(20)


def test_it_says_when_a_step_would_never_end() -> None:
    policy = Canary(
        weights=percents(1, 100), bake=minutes(5), checks=[Limit(ERRORS, at_most=percent(2))]
    )
    found = explain(policy, Load(0.5), runs=4, regressions=[50.0])

    assert found.promoted.count == 0
    assert found.step("bake-1").stuck.share > 0.5
    assert any(
        "bake-1: after 1 h 5 min, its deadline, " in w and "still wait for checks/error-rate" in w
        for w in found.warnings
    )
    assert any(
        "neither a longer bake nor a larger share helps" in w or "start at" in w
        for w in found.warnings
    )
    assert found.step("bake-100").usual == timedelta()
    assert "bake-100" not in str(found)


@pytest.mark.parametrize(
    ("checks", "rps", "first"),
    [
        pytest.param(
            [Limit(ERRORS, at_most=percent(2), min_sample=590)],
            50,
            r"bake-1: takes (19 min 30 s|20 min), .*; it needs 590 requests \(min_sample\), "
            r"which take \S+ min.*, and has 1[45]\d in 5 min; give it more",
            id="min_sample",
        ),
        pytest.param(
            [Limit(ERRORS, at_most=percent(2))],
            0.5,
            r"bake-1: after 1 h 5 min, its deadline, .*; it needs 43 requests to exclude 10 %, "
            r"which take 2 h .*, and has 2\d in 1 h 5 min; give it more",
            id="excludes",
        ),
        pytest.param(
            [NoWorse(ERRORS, accept=2.0), Limit(ERRORS, at_most=percent(5))],
            20,
            r"bake-1: after 1 h 5 min, its deadline, 100 % .*; it has 7\d\d requests: "
            r"not yet proven that it is not 2 times as bad; about .* more requests would",
            id="accept",
        ),
        pytest.param(
            [Limit(ERRORS, at_most=percent(2), plain=True)],
            0.1,
            r"bake-1: after 1 h 5 min, its deadline, .* and has [2-5] in 1 h 5 min; give it more",
            id="starved",
        ),
    ],
)
def test_what_holds_a_healthy_version_up_is_said_first_with_what_it_needs_and_has(
    checks: list[Limit | NoWorse], rps: float, first: str
) -> None:
    policy = Canary(weights=percents(1, 100), bake=minutes(5), checks=checks)
    found = explain(policy, Load(rps), runs=30, regressions=[10.0])

    assert re.match(first, found.warnings[0]), found.warnings[0]


def test_what_gives_up_without_a_verdict_is_said_with_the_step_and_what_it_needs_and_has() -> None:
    found = explain(
        Canary(
            weights=percents(1, 100),
            bake=minutes(5),
            checks=[Limit(ERRORS, at_most=percent(2), plain=True)],
        ),
        Load(0.1),
        runs=30,
        regressions=[10.0],
    )

    assert re.match(
        r"checks/error-rate: stops \d+ % of healthy versions without a verdict: at bake-1, which "
        r"has \d requests, and needs 150 requests \(min_sample\): no data on the candidate",
        found.warnings[1],
    )


def test_it_says_when_even_a_large_regression_gets_through() -> None:
    policy = Canary(
        weights=percents(10, 100), bake=minutes(2), checks=[Limit(BASKET, at_least=1.0)]
    )
    found = explain(policy, Load(20), runs=10, regressions=[5.0])

    assert "basket falling from 30 EUR to 6 EUR gets to 100 % with 100 %" in found.warnings
    assert any("it takes another check" in warning for warning in found.warnings)


def test_it_says_when_healthy_versions_are_taken_back() -> None:
    tight = Limit(
        ERRORS,
        plain=True,
        at_most=percent(0.1),
        min_sample=100,
        tolerance=Tolerance(in_a_row=1),
    )
    found = explain(
        Canary(weights=percents(10, 100), bake=minutes(5), checks=[tight]),
        Load(50),
        runs=40,
        regressions=[20.0],
    )

    assert found.false_alarm.share > 0.5
    assert any(
        "of healthy versions are stopped, most of them by checks/error-rate; raise its bound" in w
        for w in found.warnings
    )


def test_a_sound_policy_is_not_warned_of() -> None:
    policy = Canary(
        weights=percents(20, 100),
        bake=minutes(10),
        checks=[NoWorse(ERRORS), Limit(ERRORS, at_most=percent(3))],
    )

    assert explain(policy, Load(200), runs=30).warnings == ()


@pytest.mark.parametrize(
    ("metric", "usual", "said"),
    [
        (
            Metric("checkout", kind="ratio", bad="down"),
            Behaviour(ratios={"checkout": 0.2}),
            "checkout falling from 20 % to 2 %",
        ),
        (
            Metric("queue", kind="value", unit="jobs"),
            Behaviour(levels={"queue": 4.0}),
            "queue rising from 4 jobs to 40 jobs",
        ),
        (Metric("spent", kind="mean"), Behaviour(value=3), "spent rising from 3 to 30"),
        (LATENCY, Behaviour(latency=Latency(ms(10), ms(40))), "latency 10 times as slow"),
        (
            Metric("odd", kind="ratio", bad="both"),
            Behaviour(ratios={"odd": 0.3}),
            "odd rising from 30 % to 100 %",
        ),
    ],
)
def test_a_regression_is_told_in_the_metrics_own_words(
    metric: Metric, usual: Behaviour, said: str
) -> None:
    never = {"ratio": percent(100), "latency": hours(1), "mean": 1e9, "value": 1e9}[
        metric.kind.value
    ]
    bound = (
        {"at_least": percent(0) if metric.kind.value == "ratio" else 0.0}
        if metric.bad is Bad.DOWN
        else {"at_most": never}
    )
    check = Limit(metric, quantile=0.5 if metric is LATENCY else None, min_sample=1, **bound)
    found = explain(
        Canary(weights=percents(10, 100), bake=minutes(1), checks=[check]),
        Load(20, usual=usual),
        runs=3,
        regressions=[10.0],
    )

    assert any(f"{said} is seen with 0 %" in warning for warning in found.warnings)


# --------------------------------------------------------------------------------- steps and worlds


def test_hooks_people_pauses_and_analyses_are_passed_as_the_engine_passes_them() -> None:
    guard = Analysis(
        "errors",
        checks=[Limit(ERRORS, at_most=percent(5), min_sample=10)],
        interval=seconds(20),
        warmup=seconds(30),
    )
    steps = [
        Hook("smoke"),
        SetWeight(percent(10)),
        Pause(minutes(2)),
        Analyze("errors", count=3),
        Approval("go", within=hours(1), otherwise=Action.HOLD),
        SetWeight(percent(100)),
        Bake(minutes(3)),
    ]
    policy = Canary(steps=steps, analyses=[guard], guards=["errors"])
    found = explain(policy, Load(50), runs=20, regressions=[50.0])
    took = {step.step: step.usual for step in found.steps}
    yes = PersonAction(minutes(1), Approve, approval="go", by="eve", why="good")
    story = simulate(policy, World(load=50, people=[yes]))

    assert found.promoted.share == 1.0
    assert took["pause-10"] == minutes(2)
    assert took["analyze-10"] == seconds(
        50
    )  # the guard looked last ten seconds before the pause ended
    assert abs(found.usual - story.duration) <= seconds(45)


def test_a_preview_is_judged_without_production_traffic() -> None:
    policy = BlueGreen(
        preview_checks=[Limit(ERRORS, at_most=percent(1), min_sample=50)],
        preview_count=2,
        bake=minutes(2),
        unguarded="an example",
    )
    found = explain(policy, Load(50), runs=10, regressions=[50.0])

    step = found.steps[0]
    assert step.requests == 0
    assert step.sight("preview/error-rate").chance(50.0).share == 1.0


def test_a_metric_without_history_in_the_plan_is_judged_with_its_lag() -> None:
    late = Metric("error-rate", kind="ratio", lag=seconds(45))
    policy = Canary(
        weights=percents(10, 100), bake=minutes(2), checks=[Limit(late, at_most=percent(5))]
    )
    found = explain(policy, Load(50), runs=5, regressions=[50.0])
    story = simulate(policy, World(load=50))

    assert found.step("bake-10").usual == minutes(2) + seconds(45)
    assert abs(found.usual - story.duration) <= minutes(1)


def test_a_daily_load_and_sticky_users_are_followed() -> None:
    load = Load(Daily(low=0, high=100, peak=0), users=Users(1000, sticky=True))
    found = explain(POLICY, load, runs=10, regressions=[20.0])

    assert load.at_start == 100
    assert found.step("bake-5").users <= 50
    assert found.step("bake-100").users <= 1000
    assert found.steps[-1].requests < 100 * 240


def test_retries_multiply_what_is_seen_and_a_stable_that_is_no_better_is_told() -> None:
    policy = Canary(
        weights=percents(10, 100),
        bake=minutes(3),
        checks=[Limit(ERRORS, plain=True, at_most=percent(2))],
    )
    once, again = (
        explain(
            policy,
            Load(50, usual=Behaviour(errors=0.01, retries=retries)),
            runs=10,
            regressions=[5.0],
        )
        for retries in (0, 3)
    )

    assert (once.promoted.share, again.promoted.share) == (1.0, 0.0)
    [told] = [warning for warning in again.warnings if "without a verdict" in warning]
    assert told.startswith("checks/error-rate: stops 100 % of healthy versions without a verdict: ")
    assert told.endswith("is no better")


@attrs.frozen
class Gives(Step):
    """A step of one's own that gives one answer."""

    kind: ClassVar[str] = "gives"
    answer: Advance
    id: str = "own"
    deadline: Deadline = Deadline(within=minutes(1))

    def advance(self, situation: Situation) -> Advance:
        return self.answer


@pytest.mark.parametrize("answer", [Failed("no"), Halt("no")])
def test_a_step_that_stops_everything_is_where_it_sticks(answer: Advance) -> None:
    policy = Canary(
        steps=[Gives(answer), SetWeight(percent(100)), Bake(minutes(1))], unguarded="an example"
    )
    found = explain(policy, Load(5), runs=2)

    assert found.step("own").stuck.share == 1.0
    assert found.promoted.count == 0


def test_checks_that_only_observe_are_told_and_stop_nothing() -> None:
    only = Canary(
        weights=percents(50, 100),
        bake=minutes(2),
        checks=[Limit(ERRORS, at_most=percent(1), min_sample=10, observe=True)],
        unguarded="an example",
    )
    found = explain(only, Load(50), runs=10, regressions=[50.0])

    assert found.promoted.share == 1.0
    assert found.false_alarm.count == 0
    assert found.step("bake-50").sight("error-rate").chance(50.0).share == 1.0


def test_a_plan_without_checks_has_times_and_exposure_only() -> None:
    found = explain(
        Canary(weights=percents(50, 100), bake=minutes(2), unguarded="an example"), Load(50), runs=2
    )

    assert found.step("bake-50").sights == ()
    assert found.warnings == ()
    assert str(found).splitlines()[4].split() == [
        "bake-50",
        "50",
        "%",
        "2",
        "min",
        "+2",
        "min",
        "1",
        "h",
        "17",
        "min",
        "3,000",
        "2,592",
        "-",
    ]


# ------------------------------------------------------------------------------------- odd policies


def test_what_two_metrics_show_is_made_worse_once() -> None:
    other, slowest = Metric("http-5xx", kind="ratio"), Metric("slowest", kind="latency")
    world = Load(50).world([ERRORS, other, LATENCY, slowest], times=3)

    assert world.candidate.errors == pytest.approx(0.003)
    assert world.candidate.latency.slower == 3.0


def test_what_can_not_rise_and_fall_at_once_is_refused() -> None:
    with pytest.raises(
        StrategyError, match="metrics 'spent' and 'basket' show the same of a version"
    ):
        Load(50).world([Metric("spent", kind="mean"), BASKET], times=3)


def test_the_deadline_of_the_whole_ends_it() -> None:
    policy = Canary(
        weights=percents(10, 50, 100),
        bake=minutes(5),
        checks=[Limit(ERRORS, at_most=percent(5))],
        deadline=Deadline(within=minutes(12)),
    )
    found = explain(policy, Load(50), runs=4, regressions=[50.0])

    assert found.promoted.count == 0 == simulate(policy, World(load=50)).promoted
    assert found.usual is None
    assert any(
        w.startswith("bake-100: when the whole's deadline of 12 min has come, 100 % of healthy")
        for w in found.warnings
    )


@pytest.mark.parametrize(
    "strategy",
    [
        BlueGreen(bake=minutes(3), checks=[Limit(ERRORS, at_most=percent(2))]),
        Revert(bake=minutes(3), checks=[Limit(ERRORS, at_most=percent(2))]),
        Canary(weights=percents(100), checks=[Limit(ERRORS, at_most=percent(2))]),
    ],
    ids=lambda strategy: type(strategy).__name__,
)
def test_what_goes_to_all_at_once_can_t_be_given_a_larger_share(strategy: Strategy) -> None:
    warning, *_ = explain(strategy, Load(rps=50), regressions=[10], runs=20).warnings

    assert "neither a longer bake nor a larger share helps" in warning


def test_a_level_is_sampled_at_every_scrape() -> None:
    policy = Canary(
        weights=percents(10, 100), bake=minutes(2), checks=[Limit(QUEUE, at_most=50, min_sample=2)]
    )
    found = explain(
        policy, Load(50, usual=Behaviour(levels={"queue": 10})), runs=3, regressions=[2.0, 10.0]
    )

    assert found.promoted.share == 1.0
    assert [often.share for _, often in found.step("bake-10").sight("queue").caught] == [
        0.0,
        0.0,
        1.0,
    ]


def test_what_only_observes_says_so_and_lets_it_go_on() -> None:
    watches = Limit(ERRORS, at_most=percent(0.01), min_sample=10, observe=True, id="watched")
    alone = explain(
        Canary(
            weights=percents(50, 100), bake=minutes(1), checks=[watches], unguarded="an example"
        ),
        Load(50),
        runs=4,
    )

    assert alone.step("bake-100").usual == minutes(1)
    assert "watched (observes)" in str(alone)


def test_a_check_that_only_holds_stops_it_and_takes_nothing_back() -> None:
    holds = Limit(
        ERRORS,
        at_most=percent(0.02),
        min_sample=10,
        tolerance=Tolerance(in_a_row=1, then=Action.HOLD),
    )
    found = explain(
        Canary(weights=percents(10, 100), bake=minutes(5), checks=[holds]),
        Load(50),
        runs=20,
        regressions=[50.0],
    )

    assert "a check stops it" in str(found)
    assert any("of healthy versions are stopped" in warning for warning in found.warnings)


def test_a_lag_alone_is_no_reason_to_ask_for_more_traffic() -> None:
    late = Metric("error-rate", kind="ratio", lag=minutes(2))
    found = explain(
        Canary(
            weights=percents(50, 100), bake=minutes(5), checks=[Limit(late, at_most=percent(5))]
        ),
        Load(50),
        runs=4,
    )

    assert not any(": takes " in warning for warning in found.warnings)


@pytest.mark.long
def test_a_start_in_the_night_is_told() -> None:
    night = Load(Daily(low=0, high=80, peak=12))
    found = explain(POLICY, night, runs=2, regressions=[2.0])

    assert found.warnings[0].startswith("preflight: there are no requests at the start")
    assert simulate(POLICY, night.world()).weights == ((timedelta(), Traffic()),)


def test_bursts_are_counted_where_they_are() -> None:
    load = Load(Bursts(low=0, high=100, every=hours(1), lasting=minutes(5)))
    found = explain(
        Canary(weights=percents(50, 100), bake=minutes(10), unguarded="an example"), load, runs=2
    )

    assert found.step("bake-50").requests == 100 * 300 // 2


def test_nothing_is_a_multiple_of_nothing() -> None:
    found = explain(POLICY, Load(50, usual=Behaviour(errors=0.0)), runs=4)

    assert found.warnings == (
        (
            "error-rate: is 0 as usual, of which no multiple is worse; say what is usual, "
            "Load(..., usual=Behaviour(...))"
        ),
    )


def test_a_check_of_one_s_own_that_raises_is_an_error_here_too() -> None:
    class Raises:
        kind: ClassVar[str] = "raises"
        id, metric, observe, tolerance, share_of_alpha = "raises", ERRORS, False, Tolerance(), 0.0
        required_tracks = measured_tracks = (Track.CANDIDATE,)

        def judge(self, look: object, memory: object, alpha: float) -> object:
            raise RuntimeError("no")

    found = explain(
        Canary(weights=percents(50, 100), bake=minutes(1), checks=[Raises()]),
        Load(50),
        runs=2,
        regressions=[2.0],
    )

    assert found.promoted.count == 0


# ------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda: explain(POLICY, Load(5), regressions=[1.0]),
            r"explain\(regressions=\): 1.0 is not worse than usual",
        ),
        (lambda: explain(POLICY, Load(5), regressions=[True]), "True is not worse"),
        (lambda: explain(POLICY, Load(5), regressions=["2"]), "'2' is not worse"),  # type: ignore[list-item]
        (
            lambda: explain(POLICY, Load(5), regressions=[]),
            r"explain\(regressions=\): \(\) names none",
        ),
        (lambda: explain(POLICY, Load(5), regressions=2), r"explain\(regressions=\): 2 names none"),  # type: ignore[arg-type]
        (
            lambda: explain(POLICY, Load(5), find=0.5),
            r"explain\(find=\): 0.5 is not worse than usual",
        ),
        (
            lambda: explain(POLICY, Load(5), runs=0),
            r"explain\(runs=\): 0 must be a whole number, 1 or more",
        ),
        (lambda: Load("many"), "Load.rps: 'many' is neither"),  # type: ignore[arg-type]
        (
            lambda: explain(
                Canary(weights=percents(100), bake=minutes(1), checks=[Limit(QUEUE, at_most=3.0)]),
                Load(5),
            ),
            "'queue' is a level",
        ),
    ],
)
def test_what_makes_no_sense_is_named(wrong: object, message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        wrong()  # type: ignore[operator]


def test_what_was_not_asked_is_named(explained: Explanation) -> None:
    with pytest.raises(StrategyError, match=r"step\('bake-7'\): there are \['weight-5', 'bake-5'"):
        explained.step("bake-7")
    with pytest.raises(
        StrategyError,
        match=r"sight\('latency'\): step 'bake-5' has \['checks/error-rate-no-worse', "
        r"'checks/error-rate'\]",
    ):
        explained.step("bake-5").sight("latency")
    with pytest.raises(StrategyError, match=r"smallest\(90\): a chance is above 0 and at most 1"):
        explained.step("bake-5").sight("error-rate").smallest(90)
    with pytest.raises(
        StrategyError,
        match=r"chance\(7.0\): these were asked: \[1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0\]",
    ):
        explained.step("bake-5").sight("error-rate").chance(7.0)


def test_what_the_candidates_own_numbers_can_t_show_is_named_with_how_long_it_takes() -> None:
    def warned(*sides: str | None) -> list[str]:
        checks = [
            Limit(Metric(f"errors{i}", kind="ratio", side=side), at_most=percent(5))
            for i, side in enumerate(sides)
        ]
        strategy = Canary(weights=percents(10, 100), bake=minutes(10), checks=checks)
        usual = Behaviour(ratios={f"errors{i}": 0.01 for i in range(len(sides))})
        told = explain(strategy, Load(50, usual=usual), runs=20, regressions=[5]).warnings
        return [each for each in told if "never reach it" in each]

    [callee] = warned("callee")
    assert "errors0: counts on the candidate's own side" in callee
    assert "known after 820 requests to the service, 17 s at bake-10" in callee
    assert warned("callee", "caller") == []
    assert warned(None) == []


README = Canary(
    weights=percents(1, 10, 50, 100),
    bake=minutes(10),
    checks=[
        NoWorse(ERRORS),
        Limit(ERRORS, at_most=percent(1)),
        Limit(LATENCY, quantile=0.99, at_most=ms(400)),
    ],
)


def test_the_readme_s_canary_passes_one_percent_of_50_requests_a_second_within_its_bake() -> None:
    found = explain(README, Load(50), runs=20, regressions=[20])

    assert found.promoted.share == 1.0
    assert [found.step(f"bake-{weight}").usual for weight in (1, 10, 50, 100)] == [minutes(10)] * 4


def test_it_says_what_a_bound_excludes_and_how_long_that_takes() -> None:
    found = explain(README, Load(50), runs=5, regressions=[20])
    errors, latency = found.excluded

    assert (errors.check, errors.what, errors.requests) == ("checks/error-rate", "5 %", 87)
    assert (latency.check, latency.what) == ("checks/latency-p99", "5 % above 400 ms")
    assert errors.takes == latency.takes
    assert dict(errors.takes)["bake-1"] == seconds(174)
    assert dict(errors.takes)["bake-100"] == seconds(2)
    assert "latency-p99  5 % above 400 ms  87        2 min 54 s" in str(found)


def test_a_plain_bound_excludes_nothing_and_says_nothing() -> None:
    plain = Canary(
        weights=percents(10, 100),
        bake=minutes(2),
        checks=[Limit(ERRORS, plain=True, at_most=percent(5))],
    )
    found = explain(plain, Load(50), runs=5, regressions=[20])

    assert found.excluded == ()
    assert "it excludes" not in str(found)


# --------------------------------------------------------------------------------- a mend, as asked


def pasted(strategy: Strategy, code: str) -> object:
    """What the code of a mend makes of a strategy."""
    return eval(code, {**vars(progressive), "attrs": attrs, "strategy": strategy})


SELDOM = Canary(
    weights=percents(1, 10, 100),
    bake=minutes(5),
    checks=[NoWorse(ERRORS), Limit(ERRORS, plain=True, at_most=percent(5), min_sample=5)],
)
"""At 2 requests a second neither a longer bake nor a larger share helps alone."""


@pytest.fixture(scope="module")
def mended() -> Explanation:
    return explain(SELDOM, Load(2), regressions=[10.0], find=10, runs=60)


def test_a_mend_is_code_to_paste_with_its_chance(mended: Explanation) -> None:
    mend = mended.mend

    assert mend is not None
    assert mend.before.share < 0.3
    assert mend.chance.share >= 0.9
    assert mend.promoted.share >= 0.9
    assert mend.load == Load(2)
    assert pasted(SELDOM, mend.code) == mend.strategy
    assert set(re.findall(r"^    (\w+)=", mend.code, re.MULTILINE)) > {"weights"}  # and more
    assert textwrap.indent(mend.code, "    ") in str(mended)
    assert f"finds it {mend.chance}" in str(mended)


def test_a_mend_holds_in_whole_rollouts(mended: Explanation) -> None:
    """With other seeds, in the engine."""
    mend = mended.mend
    assert mend is not None
    bad, good = (Load(2).world([ERRORS], times=worse) for worse in (10.0, 1.0))
    stories = [simulate(mend.strategy, bad, seed=f"whole/{seed}") for seed in range(60)]
    caught = sum(story.rolled_back and story.highest < percent(100) for story in stories)
    took = [simulate(mend.strategy, good, seed=seed).duration for seed in range(9)]

    assert overlap(Proportion(caught, 60), mend.chance)
    assert mend.usual is not None
    assert abs(sorted(took)[4] - mend.usual) < mend.usual / 4


def test_where_neither_helps_alone_both_are_tried_together(mended: Explanation) -> None:
    [blind] = [warning for warning in mended.warnings if "is seen with" in warning]
    [longer, larger] = re.findall(
        r"; bake (.*) min and start at (.*) %, both together$", blind.replace("1 h ", "60 + ")
    )[0]
    bake = minutes(sum(float(part) for part in longer.split(" + ")))
    both = attrs.evolve(SELDOM, bake=bake, weights=percents(float(larger), 100))

    step = explain(both, Load(2), regressions=[10.0], runs=150).steps[1]
    assert step.sight("error-rate-no-worse").chance(10.0).high > 0.85


@pytest.mark.parametrize(
    "strategy",
    [
        BlueGreen(bake=minutes(3), checks=[Limit(ERRORS, at_most=percent(2))]),
        Revert(bake=minutes(3), checks=[Limit(ERRORS, at_most=percent(2))]),
        Canary(weights=percents(100), checks=[Limit(ERRORS, at_most=percent(2))]),
        Canary(
            steps=[
                SetWeight(percent(20)),
                Bake(minutes(9)),
                SetWeight(percent(100)),
                Bake(minutes(3)),
            ],
            checks=[Limit(ERRORS, at_most=percent(2))],
        ),
    ],
    ids=["blue-green", "revert", "one step", "steps"],
)
def test_what_is_given_at_once_or_step_by_step_is_mended_by_its_checks(strategy: Strategy) -> None:
    mend = explain(strategy, Load(50), regressions=[10], find=10, runs=40).mend

    assert mend is not None
    assert "checks=" in mend.code and "weights=" not in mend.code
    assert mend.chance.share >= 0.9
    assert pasted(strategy, mend.code) == mend.strategy


def test_what_is_found_as_it_is_needs_no_mend() -> None:
    found = explain(BESIDE, Load(200), regressions=[20], find=20, runs=20)

    assert found.mend is not None
    assert (found.mend.code, found.mend.strategy) == ("strategy", BESIDE)
    assert str(found).endswith("20 times as bad is found as it is: 100.0 % (83.9 % to 100.0 %)")


def test_a_mend_that_takes_more_load_says_so() -> None:
    policy = Canary(
        steps=[SetWeight(percent(10)), Bake(minutes(3)), SetWeight(percent(100)), Bake(minutes(3))],
        checks=[NoWorse(ERRORS, exact=True), Limit(LATENCY, quantile=0.99, at_most=ms(400))],
    )
    mend = explain(policy, Load(10), regressions=[10], find=10, runs=20).mend

    assert mend is not None
    assert mend.busier > 1
    assert mend.load == Load(10 * mend.busier)
    assert f"with {mend.busier:g} times the load" in str(mend)


def test_what_no_check_can_find_is_told() -> None:
    lax = Limit(LATENCY, quantile=0.5, at_most=seconds(10))
    policy = Canary(weights=percents(10, 100), bake=minutes(2), checks=[lax])
    found = explain(policy, Load(50), regressions=[2], find=2, runs=4)

    assert found.mend is None
    assert found.warnings[-1].startswith("find=2: no other weights, longer bakes, stricter checks")
