"""Kayenta's judge: its own cases, what differs on purpose, and what must hold for any data."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from math import inf, nan
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.paths import DATA

from progressive import StrategyError
from progressive.analysis.kayenta.judge import (
    Classification,
    Direction,
    EffectSize,
    KayentaJudge,
    KayentaMetric,
    KayentaResult,
    KayentaVerdict,
    MetricResult,
    Pair,
    Series,
    back_fill,
    mix,
)
from progressive.analysis.kayenta.metric import Rules, classify
from progressive.analysis.kayenta.score import accepts, score, stops, verdict_of
from progressive.analysis.kayenta.series import mix_one
from progressive.analysis.kayenta.transforms import (
    beyond_fences,
    beyond_sigmas,
    remove_nans,
    remove_outliers,
    replace_nans,
)
from progressive.stats.quantiles import quantile
from progressive.stats.ranks import cohens_d, common_language, mean_ratio, shift, shift_statistic
from progressive.stats.special import normal_quantile

Case = dict[str, Any]
CASES: dict[str, Any] = json.loads((DATA / "kayenta.json").read_text(encoding="utf-8"))
KAYENTAS_OWN = 1e-4
"""Its absolute tolerance in root finding."""

NOT_APPLICABLE = {
    "config_get": "how Kayenta finds a value in nested JSON; here a configuration is made of typed "
    "values, and what is misspelt is refused",
    "config_get_double": "the same, for whole numbers where fractions are expected",
    "add_gaussian_noise": "chance; two constant series are compared as what they are instead",
    "summary": "a table for people (least, mean, ...) which says 0 for no data; here no data is "
    "never "
    "zero",
}
"""Kinds of cases that have no counterpart, and why; they are left out of the data."""


def numbers(given: Any) -> list[float]:
    return [nan if value == "NaN" else float(value) for value in given]


def same(found: Any, wanted: Any) -> bool:
    return len(found) == len(wanted) and all(
        a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(found, wanted, strict=True)
    )


# ---------------------------------------------------------------------------------- Kayenta's cases


def metric_of(given: Case) -> KayentaMetric:
    return KayentaMetric(
        "metric",
        direction=given["direction"],
        nan_strategy=given["nan_strategy"],
        critical=given["critical"],
        must_have_data=given["must_have_data"],
        effect_size=given["effect_size_measure"],
        allowed_increase=given["effect_size_thresholds"]["increase"],
        allowed_decrease=given["effect_size_thresholds"]["decrease"],
        critical_increase=given["critical_thresholds"]["increase"],
        critical_decrease=given["critical_thresholds"]["decrease"],
    )


def classify_case(case: Case) -> None:
    """As Kayenta does it, and as we do: the classifier is handed what the transforms left."""
    given, expect = case["input"], case["expect"]
    pair = Pair(
        name="metric", control=numbers(given["control"]), experiment=numbers(given["experiment"])
    )
    theirs = Rules(
        tolerance=given["tolerance"],
        confidence=given["conf_level"],
        root_tolerance=KAYENTAS_OWN,
        fail_open=True,
    )
    for rules in (theirs, attrs.evolve(theirs, root_tolerance=None)):
        found = classify(metric_of(given), pair, rules)
        assert found.classification.value == expect["classification"], found.reason
        assert found.critical is expect.get("critical", found.critical)
        if "deviation" in expect:
            assert same([found.deviation], numbers([expect["deviation"]]))
        assert found.reason


def score_case(case: Case) -> None:
    given, expect = case["input"], case["expect"]
    results = [
        MetricResult(
            name=each["name"],
            classification=Classification(each["classification"]),
            critical=each["critical"],
            groups=tuple(each["groups"]),
        )
        for each in given["metrics"]
    ]
    found = score(results, given["group_weights"], fail_open=True)

    assert found.value == expect["summary_score"]
    if "group_scores_sorted" in expect:
        assert sorted(each.score for each in found.groups) == expect["group_scores_sorted"]


def series(given: Case) -> Series:
    points = (given["end_ms"] - given["start_ms"]) // given["step_ms"] if "step_ms" in given else 0
    return Series(
        name=given["name"], values=numbers(given["values"]), tags=given["tags"], expected=points
    )


ERRORS = {
    "name mismatch": "the name .* of control does not match the name .* of experiment",
    "tags mismatch": "the tags .* of control does not match the tags .* of experiment",
    "control name": "the control series has no name",
    "experiment name": "the experiment series has no name",
    "no control metrics": "no control metrics found",
    "no experiment metrics": "no experiment metrics found",
    "tag": "tags",
}
"""What our message says where Kayenta's does."""


def refused(expect: Case, call: Callable[[], object]) -> None:
    pattern = next(said for begins, said in ERRORS.items() if begins in expect["error"])
    with pytest.raises(StrategyError, match=pattern):
        call()


def mix_one_case(case: Case) -> None:
    control, experiment = series(case["input"]["control"]), series(case["input"]["experiment"])
    if "error" in case["expect"]:
        return refused(case["expect"], lambda: mix_one(control, experiment))
    found = mix_one(control, experiment)

    assert same(found.control, numbers(case["expect"]["control"]))
    assert same(found.experiment, numbers(case["expect"]["experiment"]))
    return None


def mix_all_case(case: Case) -> None:
    given = case["input"]
    control, experiment = (
        [series(each) for each in given[side]] for side in ("control", "experiment")
    )
    if "error" in case["expect"]:
        return refused(case["expect"], lambda: mix(given["metric_names"], control, experiment))
    found = mix(given["metric_names"], control, experiment)
    wanted = case["expect"]["pairs"]

    assert sorted((each.name, each.tags) for each in found) == sorted(
        (each["name"], tuple(sorted(each["tags"].items()))) for each in wanted
    )
    for each in wanted:
        [pair] = [
            pair for pair in found if (pair.name, dict(pair.tags)) == (each["name"], each["tags"])
        ]
        assert same(pair.control, numbers(each["control"])) and same(
            pair.experiment, numbers(each["experiment"])
        )
    return None


def outliers(given: Case) -> list[bool]:
    if given["detector"] == "ksigma":
        return beyond_sigmas(given["data"], given["parameter"])
    return beyond_fences(
        given["data"], given["parameter"], reduce_sensitivity=given["reduce_sensitivity"]
    )


def detect_case(case: Case) -> None:
    assert outliers(case["input"]) == case["expect"]["outlier"]


def remove_outliers_case(case: Case) -> None:
    assert (
        remove_outliers(case["input"]["data"], lambda _: outliers(case["input"]))
        == case["expect"]["data"]
    )


def remove_nans_case(case: Case) -> None:
    assert remove_nans(numbers(case["input"]["data"])) == numbers(case["expect"]["data"])


def replace_nans_case(case: Case) -> None:
    assert replace_nans(numbers(case["input"]["data"]), case["input"]["value"]) == numbers(
        case["expect"]["data"]
    )


def size_case(measure: Callable[[list[float], list[float]], float]) -> Callable[[Case], None]:
    def replay(case: Case) -> None:
        found, wanted = (
            measure(numbers(case["input"]["experiment"]), numbers(case["input"]["control"])),
            numbers([case["expect"]["value"]])[0],
        )
        assert same([found], [wanted]) or abs(found - wanted) <= case["expect"]["abs_tol"]

    return replay


def percentile_case(case: Case) -> None:
    found = quantile(case["input"]["data"], case["input"]["p"] / 100)

    assert abs(found - case["expect"]["value"]) <= case["expect"]["abs_tol"]


def interval_case(case: Case) -> None:
    """By Kayenta's own tolerance, to its last digits; x is the experiment."""
    given, expect = case["input"], case["expect"]
    found = shift(given["x"], given["y"], confidence=given["conf_level"], tolerance=KAYENTAS_OWN)

    assert found.low == pytest.approx(expect["ci_low"], rel=0, abs=expect["ci_abs_tol"])
    assert found.high == pytest.approx(expect["ci_high"], rel=0, abs=expect["ci_abs_tol"])
    assert found.estimate == pytest.approx(
        expect["estimate"], rel=0, abs=expect["estimate_abs_tol"]
    )


def intermediate_case(case: Case) -> None:
    given, expect = case["input"], case["expect"]
    near = expect["abs_tol"]
    z = -normal_quantile((1 - given["conf_level"]) / 2)
    ends = [min(given["x"]) - max(given["y"]), max(given["x"]) - min(given["y"])]
    at_ends = [
        shift_statistic(given["x"], given["y"], end, quantile)
        for quantile in (z, -z)
        for end in ends
    ]
    names = (
        "f_at_mu_min_zq_lower",
        "f_at_mu_max_zq_lower",
        "f_at_mu_min_zq_upper",
        "f_at_mu_max_zq_upper",
    )

    assert [*ends, z, -z] == pytest.approx(
        [expect[name] for name in ("mu_min", "mu_max", "zq_lower", "zq_upper")], rel=0, abs=near
    )
    assert at_ends == pytest.approx([expect[name] for name in names], rel=0, abs=near)
    interval_case(
        {"input": given, "expect": {**expect, "ci_abs_tol": near, "estimate_abs_tol": near}}
    )


def statistic_case(case: Case) -> None:
    given = case["input"]

    assert (
        abs(
            shift_statistic(given["x"], given["y"], given["mu"], given["quantile"])
            - case["expect"]["value"]
        )
        <= case["expect"]["abs_tol"]
    )


def quantile_case(case: Case) -> None:
    assert (
        abs(normal_quantile(case["input"]["p"]) - case["expect"]["value"])
        <= case["expect"]["abs_tol"]
    )


def aggregate_case(case: Case) -> None:
    given = case["input"]
    scores = [] if given["final_score"] is None else [given["final_score"]]

    assert (
        accepts(scores, pass_score=given["pass"], marginal_score=given["marginal"])
        is case["expect"]["passed"]
    )


REPLAYS: dict[str, Callable[[Case], None]] = {
    "classify": classify_case,
    "score": score_case,
    "mix_one": mix_one_case,
    "mix_all": mix_all_case,
    "detect_outliers": detect_case,
    "remove_outliers": remove_outliers_case,
    "remove_nans": remove_nans_case,
    "replace_nans": replace_nans_case,
    "mean_ratio": size_case(mean_ratio),
    "cles": size_case(common_language),
    "cohen_d": size_case(lambda one, other: abs(cohens_d(one, other))),  # Kayenta's has no sign
    "percentile": percentile_case,
    "mann_whitney_ci": interval_case,
    "mann_whitney_intermediate": intermediate_case,
    "wilcoxon_diff": statistic_case,
    "normal_quantile": quantile_case,
    "aggregate_judgement": aggregate_case,
}


@pytest.mark.parametrize("case", CASES["cases"], ids=lambda case: case["id"])
def test_a_case_of_kayenta(case: Case) -> None:
    REPLAYS[case["kind"]](case)


def test_every_kind_of_case_is_replayed_or_has_a_reason_why_not() -> None:
    assert {case["kind"] for case in CASES["cases"]} == set(REPLAYS)
    assert set(REPLAYS) & set(NOT_APPLICABLE) == set()


# --------------------------------------------------------------------------- one metric, end to end

STEADY = [10.0 + (i * 7 % 11) / 10 for i in range(60)]
TWICE = [2 * value for value in STEADY]
HALF = [value / 2 for value in STEADY]
FEW = [(2.0, 3.0), (2.5, 9.0)]

CPU = KayentaMetric("cpu", groups=["system"])


def judged(
    metric: KayentaMetric, experiment: Any, control: Any = STEADY, **settings: Any
) -> tuple[MetricResult, KayentaResult]:
    result = KayentaJudge(metrics=[metric], **settings).judge(
        control={metric.name: control}, experiment={metric.name: experiment}
    )
    return result.metrics[0], result


P, H, L, N, F, E = Classification

CALLED: tuple[tuple[str, dict[str, Any], Any, Any, Classification, bool], ...] = (
    ("the same", {}, STEADY, STEADY, P, False),
    ("the same in another order", {}, STEADY[::-1], STEADY, P, False),
    ("twice as much", {}, TWICE, STEADY, H, False),
    ("half as much", {}, HALF, STEADY, L, False),
    ("twice as much where only less is bad", {"direction": "decrease"}, TWICE, STEADY, P, False),
    ("half as much where only more is bad", {"direction": "increase"}, HALF, STEADY, P, False),
    ("twice as much is allowed", {"allowed_increase": 2.5}, TWICE, STEADY, P, False),
    ("half as much is allowed", {"allowed_decrease": 0.4}, HALF, STEADY, P, False),
    ("the bound is inclusive", {"allowed_increase": 2.0}, TWICE, STEADY, H, False),
    ("twice as much of a critical one", {"critical": True}, TWICE, STEADY, H, True),
    (
        "but not critically much",
        {"critical": True, "critical_increase": 3.0},
        TWICE,
        STEADY,
        H,
        False,
    ),
    ("half as much of a critical one", {"critical": True}, HALF, STEADY, L, True),
    (
        "but not critically little",
        {"critical": True, "critical_decrease": 0.4},
        HALF,
        STEADY,
        L,
        False,
    ),
    ("by chances", {"effect_size": "cles", "allowed_increase": 0.9}, TWICE, STEADY, H, False),
    ("nothing without bounds by chances", {"effect_size": "cles"}, HALF, STEADY, L, False),
    ("no mean, no ratio, taken as large", {"allowed_increase": 99.0}, TWICE, [0.0] * 60, H, False),
    ("missing points are left out", {}, [*TWICE, nan], [nan, *STEADY], H, False),
    ("or zeros", {"nan_strategy": "replace"}, [nan] * 60, STEADY, L, False),
    ("all points equal, of different number", {}, [3.0] * 9, [3.0] * 5, P, False),
    ("one outlier is nothing", {"outliers": "remove"}, [*STEADY, 1e9], STEADY, P, False),
    ("two constants", {}, [2.0] * 9, [1.0] * 9, H, False),
    ("two constants the other way", {}, [1.0] * 9, [2.0] * 9, L, False),
    ("a constant beside zeros", {}, [1.0] * 9, [0.0] * 9, H, False),
    ("one point beside a constant", {}, [2.0], [1.0] * 9, H, False),
    ("one point beside zeros", {}, [2.0], [0.0] * 9, E, False),
    ("one point beside one point", {}, [2.0], [1.0], E, False),
    ("one point beside one point of a critical one", {"critical": True}, [2.0], [1.0], E, True),
    ("few points far apart", {}, [20.0, 21.0], [1.0, 2.0], H, False),
    ("infinity", {}, [*STEADY, inf], STEADY, E, False),
    ("infinity on both sides", {}, [inf, inf], [inf, inf], E, False),
    ("differences too large for a number", {}, [1e308, 1.0], [-1e308, 2.0], E, False),
    ("sums too large for a number", {}, [1e308, 1.7e308], [1e308, 1.1e308], E, False),
    ("no data on one side", {}, [], STEADY, N, False),
    ("no data on one side of a critical one", {"critical": True}, STEADY, [], N, True),
    ("only missing points", {}, [nan, nan], STEADY, N, False),
    ("no data where there must be", {"must_have_data": True}, [], STEADY, F, False),
    (
        "no data where there must be, critically",
        {"must_have_data": True, "critical": True},
        [],
        STEADY,
        N,
        True,
    ),
    ("no point at all is no zero", {"nan_strategy": "replace"}, [], [], N, False),
    (
        "no point, said to be there",
        {"nan_strategy": "replace"},
        back_fill([], 60),
        back_fill([0.0], 60),
        P,
        False,
    ),
)


@pytest.mark.parametrize(
    ("settings", "experiment", "control", "called", "critical"),
    [row[1:] for row in CALLED],
    ids=[row[0] for row in CALLED],
)
def test_what_a_metric_is_called(
    settings: dict[str, Any], experiment: Any, control: Any, called: Classification, critical: bool
) -> None:
    found, _ = judged(attrs.evolve(CPU, **settings), experiment, control)

    assert (found.classification, found.critical) == (called, critical)
    assert found.reason


OPEN: tuple[tuple[str, dict[str, Any], Any, Any, Classification, bool, float], ...] = (
    (
        "no data where a missing point is zero",
        {"nan_strategy": "replace"},
        [],
        STEADY,
        P,
        False,
        100.0,
    ),
    (
        "no data where there must be, and a missing point is zero",
        {"nan_strategy": "replace", "must_have_data": True},
        [],
        [],
        P,
        False,
        100.0,
    ),
    ("an error of a critical metric", {"critical": True}, [2.0], [1.0], E, False, 100.0),
    ("no data", {}, [], STEADY, N, False, 0.0),
    ("no data where there must be", {"must_have_data": True}, [], STEADY, F, False, 0.0),
)


@pytest.mark.parametrize(
    ("settings", "experiment", "control", "called", "critical", "points"),
    [row[1:] for row in OPEN],
    ids=[row[0] for row in OPEN],
)
def test_failing_open_is_kayentas_own_behaviour(
    settings: dict[str, Any],
    experiment: Any,
    control: Any,
    called: Classification,
    critical: bool,
    points: float,
) -> None:
    metric = attrs.evolve(CPU, **settings)
    found, result = judged(metric, experiment, control, fail_open=True)

    assert (found.classification, found.critical, result.score) == (called, critical, points)
    assert judged(metric, experiment, control)[1].verdict is KayentaVerdict.FAIL, (
        "and ours never lets that pass"
    )


def test_the_numbers_that_led_there() -> None:
    found, result = judged(CPU, [*TWICE, nan])

    assert (found.control_samples, found.experiment_samples) == (60, 60)
    assert found.estimate is not None and found.low is not None and found.high is not None
    assert found.low < found.estimate < found.high
    assert found.effect_size == found.deviation == pytest.approx(2.0)
    assert found.reason.startswith("shift 10.")
    assert result.warnings == ()


def test_what_was_not_compared_has_no_numbers() -> None:
    found, result = judged(CPU, [], STEADY[:49])

    assert (found.estimate, found.low, found.high, found.effect_size, found.deviation) == (
        None,
        None,
        None,
        None,
        1.0,
    )
    assert found.reason == "no data on experiment"
    assert result.warnings == ("cpu: 49 points on control; below 50 the comparison sees little",)


# -------------------------------------------------------------------------- what differs on purpose


@pytest.mark.parametrize("unit", [1.0, 1e-4, 1e-9, 1e9])
def test_the_unit_of_a_metric_does_not_decide(unit: float) -> None:
    """Error fractions five times as high: in Kayenta they alarm in percent, and not as fractions of
    1e-5.
    """
    control = [unit * (1 + (i * 7 % 13)) for i in range(60)]
    experiment = [unit * (5 + 5 * (i * 5 % 13)) for i in range(60)]

    assert judged(CPU, experiment, control)[0].classification is H


def test_kayentas_own_tolerance_sees_nothing_in_small_numbers() -> None:
    """The interval is as wide as the search for it was rough."""
    control = [1e-5 * (1 + (i * 7 % 13) / 4) for i in range(60)]
    experiment = [value + 6e-6 for value in control]
    rough, exact = (
        judged(CPU, experiment, control, root_tolerance=how)[0] for how in (KAYENTAS_OWN, None)
    )

    assert (
        exact.low is not None
        and exact.high is not None
        and rough.low is not None
        and rough.high is not None
    )
    assert exact.low < 6e-6 < exact.high
    assert max(abs(rough.low - exact.low), abs(rough.high - exact.high)) > 1e-6


def test_mostly_zeros_are_told_apart_by_the_test_itself() -> None:
    """The median of all differences is 0 here, and so are both ends; the ranks are not equal at
    all.
    """
    few, more = [0.0] * 195 + [1.0] * 5, [0.0] * 160 + [1.0] * 40
    found = [judged(CPU, *sides)[0] for sides in ((more, few), (few, more), (few, [*few[1:], 2.0]))]

    assert [(each.estimate, each.low, each.high) for each in found] == [(0.0, 0.0, 0.0)] * 3
    assert [each.classification for each in found] == [H, L, P]


points = st.one_of(
    st.floats(-1e3, 1e3).map(lambda value: round(value, 3)), st.integers(-2, 2).map(float)
)
values = st.lists(points, min_size=1, max_size=20)


@given(experiment=values, control=values)
def test_exchanging_the_sides_exchanges_high_and_low(
    experiment: list[float], control: list[float]
) -> None:
    turned = {H: L, L: H, P: P, E: E}
    any_size = attrs.evolve(CPU, effect_size="cles", allowed_increase=0.0, allowed_decrease=1.0)
    one, other = judged(any_size, experiment, control)[0], judged(any_size, control, experiment)[0]

    assert other.classification is turned[one.classification]


@given(experiment=values, control=values, order=st.randoms())
def test_the_order_of_points_does_not_matter_and_the_answer_is_the_same_each_time(
    experiment: list[float], control: list[float], order: Any
) -> None:
    shuffled = order.sample(experiment, len(experiment))
    first, again, other = (
        judged(CPU, each, control)[1] for each in (experiment, experiment, shuffled)
    )

    assert repr(first) == repr(again) == repr(other)


@given(experiment=values, control=values, exponent=st.integers(-40, 40))
def test_scaling_both_sides_changes_nothing_but_the_shift(
    experiment: list[float], control: list[float], exponent: int
) -> None:
    unit = 2.0**exponent
    found, scaled = (
        judged(CPU, [v * u for v in experiment], [v * u for v in control])[0] for u in (1.0, unit)
    )

    assert scaled.classification is found.classification
    assert scaled.estimate == (None if found.estimate is None else found.estimate * unit)


@given(
    called=st.lists(st.sampled_from(list(Classification)), min_size=1, max_size=12),
    critical=st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_failing_closed_never_scores_higher(
    called: list[Classification], critical: list[bool]
) -> None:
    results = [
        MetricResult(
            name=str(i), classification=each, critical=critical[i], groups=(("a", "b", "c")[i % 3],)
        )
        for i, each in enumerate(called)
    ]
    closed, kayentas = score(results, {}), score(results, {}, fail_open=True)

    assert 0 <= closed.value <= kayentas.value <= 100
    assert (closed.value == 100) is all(each is P for each in called)


# -------------------------------------------------------------------------------------------- score


def results(**groups: str) -> list[MetricResult]:
    """A metric for each letter: P, H, L, N(o data), F(ailed for no data), E(rror)."""
    letters = dict(zip("PHLNFE", Classification, strict=True))
    return [
        MetricResult(name=f"{group}-{i}", classification=letters[letter], groups=(group,))
        for group, called in groups.items()
        for i, letter in enumerate(called)
    ]


SCORED: tuple[tuple[str, dict[str, str], dict[str, float], bool, float], ...] = (
    ("all pass", {"a": "PPP"}, {}, False, 100.0),
    ("two of three", {"a": "PPH"}, {}, False, 66.67),
    ("half up", {"a": "PHHHHHHH", "b": "H"}, {"a": 5, "b": 95}, False, 0.63),
    ("two groups equally", {"a": "PP", "b": "PL"}, {}, False, 75.0),
    ("what is left is shared", {"a": "P", "b": "H", "c": "P"}, {"a": 40}, False, 70.0),
    ("no data counts as failed", {"a": "PPN"}, {}, False, 66.67),
    ("or nowhere", {"a": "PPN"}, {}, True, 100.0),
    ("so does an error", {"a": "PPE"}, {}, False, 66.67),
    ("or nowhere too", {"a": "PPE"}, {}, True, 100.0),
    ("data that must be there always counts", {"a": "PPF"}, {}, True, 66.67),
    ("a group without data fails", {"a": "PPP", "b": "N"}, {}, False, 50.0),
    ("or is a hundred", {"a": "PPP", "b": "NE"}, {}, True, 100.0),
    ("a weight without metrics is lost", {"a": "P"}, {"a": 60, "b": 40}, True, 60.0),
    ("half without data is no canary", {"a": "PPNN"}, {}, True, 0.0),
    ("less than half is one", {"a": "PPPNN"}, {}, True, 100.0),
    ("errors are not counted there", {"a": "PEEE"}, {}, True, 100.0),
    ("no metric at all", {}, {}, False, 0.0),
)


@pytest.mark.parametrize(
    ("groups", "weights", "fail_open", "value"),
    [row[1:] for row in SCORED],
    ids=[row[0] for row in SCORED],
)
def test_a_score(
    groups: dict[str, str], weights: dict[str, float], fail_open: bool, value: float
) -> None:
    assert score(results(**groups), weights, fail_open=fail_open).value == value


def test_a_metric_counts_in_each_of_its_groups_and_without_one_nowhere() -> None:
    both = MetricResult(name="both", classification=H, groups=("a", "b"))
    nowhere = MetricResult(name="nowhere", classification=H)
    found = score([*results(a="P", b="PPP"), both, nowhere], {"b": 80})

    assert [(each.name, each.score, each.weight, each.no_data) for each in found.groups] == [
        ("a", 50.0, 20.0, False),
        ("b", 75.0, 80, False),
    ]
    assert (found.value, found.reason) == (70.0, "")


@pytest.mark.parametrize(
    ("called", "why"), [(H, "High: too much"), (N, "Nodata: too much"), (E, "Error: too much")]
)
def test_a_critical_result_makes_the_score_zero_and_says_why(
    called: Classification, why: str
) -> None:
    bad = MetricResult(name="errors", classification=called, critical=True, reason="too much")
    good = MetricResult(name="cpu", classification=P, critical=True, groups=("a",))

    assert score([good, good, bad], {}).reason == f"Canary Failed: errors is {why}"
    assert score([good, good, bad], {}).value == 0
    assert score([good, good, attrs.evolve(bad, critical=False)], {}).value == 100


def test_half_without_data_says_so() -> None:
    assert score(results(a="PN"), {}).reason == "Canary Failed: 1 of 2 metrics have no data"


@pytest.mark.parametrize(
    ("value", "verdict", "ends"),
    [
        (100.0, "Pass", False),
        (95.0, "Pass", False),
        (94.99, "Marginal", False),
        (75.0, "Marginal", True),
        (74.99, "Fail", True),
    ],
)
def test_verdicts_and_where_the_monitor_stops(value: float, verdict: str, ends: bool) -> None:
    assert verdict_of(value, pass_score=95, marginal_score=75).value == verdict
    assert stops(value, marginal_score=75) is ends


def test_the_last_of_several_judgements_decides() -> None:
    judge = KayentaJudge(metrics=[CPU])
    good, bad = judged(CPU, STEADY)[1], judged(CPU, TWICE)[1]

    assert [judge.accepts(each) for each in ([bad, good], [good, bad], [])] == [True, False, False]
    assert [judge.stops(each) for each in (good, bad)] == [False, True]


# -------------------------------------------------------------------------------------------- judge


def test_a_judgement_of_several_metrics() -> None:
    errors = KayentaMetric(
        "errors", groups=["system", "users"], direction="increase", nan_strategy="replace"
    )
    quiet = KayentaMetric("noise", groups=["users"], muted=True)
    judge = KayentaJudge(metrics=[CPU, errors, quiet], group_weights={"system": 60})
    result = judge.judge(
        control={"cpu": STEADY, "errors": [nan] * 60},
        experiment={"cpu": TWICE, "errors": [nan] * 60},
    )

    assert [(each.name, each.classification) for each in result.metrics] == [
        ("cpu", H),
        ("errors", P),
    ]
    assert [(each.name, each.score, each.weight) for each in result.groups] == [
        ("system", 50.0, 60),
        ("users", 100.0, 40.0),
    ]
    assert (result.score, result.verdict, result.reason) == (70.0, KayentaVerdict.FAIL, "")


def test_series_told_apart_by_tags_are_metrics_of_their_own() -> None:
    zones = [Series(name="cpu", values=STEADY, tags={"zone": zone}) for zone in "ab"]
    pairs = mix(["cpu"], zones, [attrs.evolve(zones[0], values=TWICE), zones[1]])
    result = KayentaJudge(metrics=[CPU, KayentaMetric("queue", groups=["system"])]).judge_pairs(
        pairs
    )

    assert [(each.name, dict(each.tags), each.classification) for each in result.metrics] == [
        ("cpu", {"zone": "a"}, H),
        ("cpu", {"zone": "b"}, P),
        ("queue", {}, N),
    ]
    assert result.score == 33.33


def test_what_is_named_wrongly_is_refused() -> None:
    judge = KayentaJudge(metrics=[CPU])
    with pytest.raises(StrategyError) as caught:
        judge.judge(control={"cpus": STEADY}, experiment={"memory": STEADY, "cpu": STEADY})
    assert caught.value.problems == (
        "control['cpus']: no metric has this name; there are 'cpu'",
        "experiment['memory']: no metric has this name; there are 'cpu'",
    )

    with pytest.raises(StrategyError, match=r"^pairs: no metric is called 'cpus'$"):
        judge.judge_pairs([Pair(name="cpus", control=STEADY, experiment=STEADY)])


WRONG_METRICS: tuple[tuple[Callable[[], Any], tuple[str, ...]], ...] = (
    (
        lambda: KayentaMetric(
            "", direction="up", nan_strategy="zero", outliers="drop", effect_size="d"
        ),
        (
            "KayentaMetric(''): name='': write the metric's name",
            "KayentaMetric(''): direction='up': use one of 'increase', 'decrease', 'either'",
            "KayentaMetric(''): nan_strategy='zero': use one of 'remove', 'replace'",
            "KayentaMetric(''): outliers='drop': use one of 'keep', 'remove'",
            "KayentaMetric(''): effect_size='d': use one of 'meanRatio', 'cles'",
        ),
    ),
    (lambda: KayentaMetric(3), ("KayentaMetric(3): name=3: write the metric's name",)),
    (
        lambda: KayentaMetric("cpu", groups="system"),
        ("KayentaMetric('cpu'): groups='system': expected a list; write ['system']",),
    ),
    (
        lambda: KayentaMetric("cpu", groups=["a", ""]),
        ("KayentaMetric('cpu'): groups=['a', '']: write the name of each group once",),
    ),
    (
        lambda: KayentaMetric("cpu", groups=["a", "a"]),
        ("KayentaMetric('cpu'): groups=['a', 'a']: write the name of each group once",),
    ),
    (
        lambda: KayentaMetric("cpu", critical="yes", muted=1, must_have_data=None),
        (
            "KayentaMetric('cpu'): critical='yes': use True or False",
            "KayentaMetric('cpu'): must_have_data=None: use True or False",
            "KayentaMetric('cpu'): muted=1: use True or False",
        ),
    ),
    (
        lambda: KayentaMetric(
            "cpu", outlier_factor=-1, allowed_increase=nan, critical_decrease=True
        ),
        (
            (
                "KayentaMetric('cpu'): outlier_factor=-1: use a number of quartile distances, "
                "0 or more, such as 3.0"
            ),
            "KayentaMetric('cpu'): allowed_increase=nan: use a ratio, such as 1.2",
            "KayentaMetric('cpu'): critical_decrease=True: use a ratio, such as 1.2",
        ),
    ),
    (
        lambda: KayentaMetric(
            "cpu", effect_size="cles", allowed_increase=1.2, allowed_decrease=-0.1
        ),
        (
            "KayentaMetric('cpu'): allowed_increase=1.2: use a chance from 0 to 1, such as 0.7",
            "KayentaMetric('cpu'): allowed_decrease=-0.1: use a chance from 0 to 1, such as 0.7",
        ),
    ),
    (
        lambda: KayentaJudge(metrics=[]),
        ("KayentaJudge: metrics=(): write a list of KayentaMetric(...), one at least",),
    ),
    (
        lambda: KayentaJudge(metrics=[CPU, "errors"]),
        ("KayentaJudge: metrics=tuple(...): write a list of KayentaMetric(...), one at least",),
    ),
    (
        lambda: KayentaJudge(
            metrics=[CPU, CPU],
            pass_score=101,
            tolerance=-1,
            confidence=98,
            fail_open="no",
            root_tolerance=0,
        ),
        (
            "KayentaJudge: metrics: 'cpu' is there 2 times; give each a name of its own",
            (
                "KayentaJudge: marginal_score=75.0, pass_score=101: use numbers from 0 to 100, "
                "such as 75 and 95"
            ),
            "KayentaJudge: tolerance=-1: use a part of the estimate, 0 or more, such as 0.25",
            "KayentaJudge: confidence=98: use a part of 1, such as 0.98",
            "KayentaJudge: fail_open='no': use True or False",
            "KayentaJudge: root_tolerance=0: use None for exact intervals, or Kayenta's 1e-4",
        ),
    ),
    (
        lambda: KayentaJudge(metrics=[CPU], pass_score=50),
        ("KayentaJudge: marginal_score=75.0 is above pass_score=50: exchange them",),
    ),
    (
        lambda: KayentaJudge(metrics=[CPU], marginal_score="75"),
        (
            (
                "KayentaJudge: marginal_score='75', pass_score=95.0: use numbers from 0 to "
                "100, such as 75 and 95"
            ),
        ),
    ),
    (
        lambda: KayentaJudge(metrics=[attrs.evolve(CPU, muted=True)]),
        ("KayentaJudge: metrics: all are muted, so nothing would be judged; take muted= from one",),
    ),
    (
        lambda: KayentaJudge(metrics=[KayentaMetric("cpu")]),
        (
            (
                "KayentaJudge: metrics: none is in a group, so the score would always be 0; "
                "write groups=[...]"
            ),
        ),
    ),
    (
        lambda: KayentaJudge(metrics=[CPU], group_weights=100),
        ("KayentaJudge: group_weights=100: write percents by group, such as {'system': 100}",),
    ),
    (
        lambda: KayentaJudge(metrics=[CPU], group_weights={"system": 120, "users": "9"}),
        (
            "KayentaJudge: group_weights['system']=120: use percent, 0 to 100",
            "KayentaJudge: group_weights['users']='9': use percent, 0 to 100",
            (
                "KayentaJudge: group_weights['users']: no metric that is judged is in this "
                "group, so its weight would be lost; leave it out"
            ),
        ),
    ),
    (
        lambda: KayentaJudge(metrics=[CPU], group_weights={"system": 90}),
        (
            (
                "KayentaJudge: group_weights add up to 90 with a weight for every group, so no "
                "score could reach 100; make that 100"
            ),
        ),
    ),
    (
        lambda: KayentaJudge(
            metrics=[CPU, KayentaMetric("queue", groups=["users"])],
            group_weights={"system": 70, "users": 70},
        ),
        ("KayentaJudge: group_weights add up to 140; make that 100",),
    ),
)


@pytest.mark.parametrize(("call", "problems"), WRONG_METRICS)
def test_a_configuration_that_can_not_be_meant_is_refused_with_all_that_is_wrong(
    call: Callable[[], Any], problems: tuple[str, ...]
) -> None:
    with pytest.raises(StrategyError) as caught:
        call()

    assert caught.value.problems == problems


def test_weights_that_add_up_but_for_rounding_are_fine() -> None:
    metrics = [KayentaMetric(name, groups=[name]) for name in "abc"]
    judge = KayentaJudge(metrics=metrics, group_weights=dict.fromkeys("abc", 33.3333333333))
    same_data = dict.fromkeys("abc", STEADY)

    assert judge.judge(same_data, same_data).score == 100


def test_words_may_be_strings_or_members() -> None:
    assert KayentaMetric(
        "cpu", direction=Direction.INCREASE, effect_size=EffectSize.CLES
    ) == KayentaMetric("cpu", direction="increase", effect_size="cles")
    assert KayentaMetric("cpu", effect_size="cles").allowed_increase == 0.5
    assert KayentaMetric("cpu").critical_decrease == 1.0


# ---------------------------------------------------------------------------- series and transforms


def test_a_tag_set_of_one_side_gets_an_empty_twin_as_long_as_it_should_be() -> None:
    a, b = (Series(name="cpu", values=[1.0, 2.0], tags={"zone": zone}, expected=3) for zone in "ab")
    found = mix(["cpu"], [a], [b, a])

    assert [dict(each.tags) for each in found] == [{"zone": "a"}, {"zone": "b"}]
    assert same(found[0].control, [1.0, 2.0, nan]) and same(found[1].control, [nan] * 3)


def test_untagged_series_on_both_sides_are_series_like_others() -> None:
    plain, tagged = (
        Series(name="cpu", values=[1.0]),
        Series(name="cpu", values=[2.0], tags={"zone": "a"}),
    )
    found = mix(["cpu"], [plain, tagged], [plain])

    assert [(dict(each.tags), each.control, each.experiment) for each in found] == [
        ({}, (1.0,), (1.0,)),
        ({"zone": "a"}, (2.0,), ()),
    ]


def test_pairs_come_in_the_order_of_the_names() -> None:
    both = [Series(name=name, values=[1.0]) for name in ("cpu", "queue", "spare")]

    assert [each.name for each in mix(["queue", "cpu"], both, both)] == ["queue", "cpu"]


def test_all_that_is_wrong_with_series_is_said_at_once() -> None:
    zone, host = Series(name="cpu", tags={"zone": "a"}), Series(name="cpu", tags={"host": "h"})
    with pytest.raises(StrategyError) as caught:
        mix(["cpu", "queue", "disk"], [zone, zone, Series(name="disk")], [host, Series(name="")])

    assert caught.value.problems == (
        "cpu: control has the tags {'zone': 'a'} twice",
        "cpu: the tags of control are called ['zone'] and those of experiment ['host']",
        "queue: no control metrics found; add Series(name='queue') where there are none",
        "queue: no experiment metrics found; add Series(name='queue') where there are none",
        "disk: no experiment metrics found; add Series(name='disk') where there are none",
        "a series has no name: Series(name='', values=(), tags=(), expected=0)",
    )


def test_two_series_that_do_not_belong_together_are_no_pair() -> None:
    with pytest.raises(StrategyError) as caught:
        mix_one(Series(name="", tags={"zone": "a"}), Series(name="cpu"))

    assert caught.value.problems == (
        "the control series has no name",
        "the name '' of control does not match the name 'cpu' of experiment",
        "the tags (('zone', 'a'),) of control does not match the tags () of experiment",
    )


def test_nothing_is_taken_away_where_there_is_enough() -> None:
    assert back_fill([1.0, 2.0], 1) == (1.0, 2.0)


def test_a_mostly_constant_series_keeps_what_is_between_its_percentiles() -> None:
    """Its quartiles are equal, so every other value is beyond the fences; but what 5 of 100 show is
    no outlier.
    """
    mostly = [1.0] * 95 + [5.0] * 5

    assert remove_outliers(mostly) == mostly
    assert (
        remove_outliers(mostly, lambda each: beyond_fences(each, reduce_sensitivity=False))
        == [1.0] * 95
    )
    assert beyond_sigmas([], 3.0) == beyond_fences([]) == []
