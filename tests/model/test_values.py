"""Units, traffic, measurements, and what a person reads of a plan and a rollout."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, ClassVar

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.paths import DATA
from tests.support.rules import rule
from tests.support.world import ERRORS, RELEASE, START, World, canary

from progressive import (
    Abort,
    Action,
    Analysis,
    BlueGreen,
    Canary,
    Deadline,
    ExitCode,
    Hold,
    Limit,
    Match,
    Metric,
    NoWorse,
    Outcome,
    Phase,
    Release,
    RouterError,
    StrategyError,
    Tick,
    Track,
    Traffic,
    Version,
    begin,
    hours,
    minutes,
    ms,
    percent,
    percents,
    seconds,
    times,
)
from progressive.errors import Failure
from progressive.model import (
    Capabilities,
    Counts,
    Gauge,
    Kind,
    Look,
    Marker,
    Measurement,
    Moments,
    NoAnswer,
    NoData,
    Percent,
    Window,
)
from progressive.model.measurement import Histogram, merge
from progressive.model.replace import evolve
from progressive.model.units import MILLION
from progressive.plan.plan import named_steps
from progressive.plan.step import Step
from progressive.rollout.phases import FINAL, TRANSITIONS, moved
from progressive.steps import Analyze, Approval, Bake, Hook, Pause, SetWeight
from progressive.strategies.common import Watched

# ------------------------------------------------------------------------------------------- copies


@attrs.frozen
class Loud(Counts):
    """A class of somebody else's, with one field more."""

    loud: bool = attrs.field(kw_only=True, default=True)


@pytest.mark.parametrize(
    ("value", "changes"),
    [
        (Counts(events=1, trials=2), {"events": 2}),
        (Histogram(edges=[0.1], cumulative=[1, 2]), {"cumulative": (3, 4)}),
        (Loud(events=1, trials=2), {"trials": 7, "loud": False}),
        (World().rollout, {"serial": 3, "wake_at": None}),
        (World().rollout.routing, {}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_changed_copy_is_the_one_that_attrs_makes(value: Any, changes: dict[str, Any]) -> None:
    before = repr(value)
    copy = evolve(value, **changes)

    assert copy == attrs.evolve(value, **changes)
    assert type(copy) is type(value)
    assert copy is not value
    assert repr(value) == before


# -------------------------------------------------------------------------------------------- units


@rule("R12")
@given(ppm=st.integers(0, MILLION))
def test_percent_is_exact_to_a_ten_thousandth(ppm: int) -> None:
    weight = Percent(ppm)

    assert percent(ppm / 10_000) == weight == percent(weight.number)
    assert weight.fraction == ppm / MILLION
    assert eval(repr(weight)) == weight


@pytest.mark.parametrize("value", [-0.0001, 100.0001, math.nan, math.inf, True, "5", None, 1e-5])
def test_what_is_no_percent_is_refused(value: Any) -> None:
    with pytest.raises(StrategyError, match=r"percent\("):
        percent(value)
    with pytest.raises(StrategyError, match="parts per million"):
        Percent(value)


def test_percents_read_as_people_write_them() -> None:
    assert [str(weight) for weight in percents(0, 0.5, 5, 33.3333, 100)] == [
        "0 %",
        "0.5 %",
        "5 %",
        "33.3333 %",
        "100 %",
    ]
    assert percent(1) == percent(1.0)
    assert hash(percent(1)) == hash(percent(1.0))
    assert percent(2) < percent(10)


def test_durations_and_multiples() -> None:
    assert (ms(1500), seconds(1.5)) == (timedelta(seconds=1.5),) * 2
    assert (minutes(60), hours(1)) == (timedelta(hours=1),) * 2
    assert repr(times(1.5)) == "times(1.5)"
    assert repr(times(2, floor=percent(1))) == "times(2.0, floor=percent(1))"


@pytest.mark.parametrize("factor", [0, -1, math.nan, math.inf, True, "2"])
def test_what_is_no_multiple_is_refused(factor: Any) -> None:
    with pytest.raises(StrategyError, match="expected a finite number above 0"):
        times(factor)


@rule("R31")
def test_any_zone_is_the_same_moment_and_finer_than_a_millisecond_is_cut() -> None:
    east = datetime(2026, 3, 1, 21, 0, 0, 123_999, tzinfo=timezone(timedelta(hours=9)))

    assert Tick(at=east).at == datetime(2026, 3, 1, 12, 0, 0, 123_000, tzinfo=UTC)
    assert Bake(timedelta(microseconds=2_999)).duration == ms(2)


# ------------------------------------------------------------------------------------------ traffic


@given(candidate=st.integers(0, MILLION), baseline=st.integers(0, MILLION))
def test_shares_add_up_to_all_or_are_refused(candidate: int, baseline: int) -> None:
    if candidate + baseline > MILLION:
        with pytest.raises(StrategyError, match="more than 100 %"):
            Traffic(candidate=Percent(candidate), baseline=Percent(baseline))
        return
    traffic = Traffic(candidate=Percent(candidate), baseline=Percent(baseline))

    assert sum(traffic.share(track).ppm for track in Track) == MILLION


BETA = Match(name="x-beta", value="1")


@pytest.mark.parametrize(
    ("one", "other", "exceeds"),
    [
        (Traffic(), Traffic(), False),
        (Traffic(candidate=percent(5)), Traffic(), True),
        (Traffic(), Traffic(candidate=percent(5)), False),
        (Traffic(candidate=percent(5)), Traffic(candidate=percent(5)), False),
        (Traffic(baseline=percent(1)), Traffic(candidate=percent(90)), True),
        (Traffic(mirror=percent(1)), Traffic(candidate=percent(90)), True),
        (Traffic(matches=[BETA]), Traffic(candidate=percent(90)), True),
        (Traffic(matches=[BETA]), Traffic(matches=[BETA]), False),
    ],
)
def test_what_exceeds_what(one: Traffic, other: Traffic, exceeds: bool) -> None:
    assert one.exceeds(other) is exceeds


def test_traffic_reaches_and_reads() -> None:
    full = Traffic(candidate=percent(5), baseline=percent(2.5), matches=[BETA], mirror=percent(1))

    assert str(full) == "5 % candidate, 2.5 % baseline, header x-beta=1, 1 % mirrored"
    assert [Traffic(matches=[BETA]).reaches(track) for track in Track] == [True, True, False]
    assert [Traffic(candidate=percent(100)).reaches(track) for track in Track] == [
        False,
        True,
        False,
    ]


def test_markers_supersede_by_generation_then_serial() -> None:
    marks = [Marker(generation=1, serial=9), Marker(generation=2), Marker(generation=2, serial=1)]

    assert [[one.supersedes(other) for other in marks] for one in marks] == [
        [False] * 3,
        [True, False, False],
        [True, True, False],
    ]


def test_a_release_names_what_follows_and_what_comes_back() -> None:
    following = RELEASE.next(Version("v3"))

    assert (following.stable, following.candidate) == (Version("v2"), Version("v3"))
    assert following.reversed() == Release(
        service="shop", stable=Version("v3"), candidate=Version("v2")
    )
    assert str(Version("v2", backend="blue")) == "v2"
    assert (
        Track.STABLE.label(Release(service="shop", stable=None, candidate=Version("v1")))
        == "stable (none)"
    )


# ------------------------------------------------------------------------------------- measurements

COUNTS = st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)).map(
    lambda two: Counts(events=min(two), trials=max(two))
)
HISTOGRAMS = st.lists(st.integers(0, 10**6), min_size=3, max_size=3).map(
    lambda counts: Histogram(edges=(0.1, 1), cumulative=sorted(counts))
)
VALUES = st.lists(st.integers(-1_000, 1_000), min_size=1, max_size=12)
SILENT = st.sampled_from([NoData("none"), NoAnswer("503")])


def moments(values: list[int]) -> Moments:
    mean = math.fsum(values) / len(values)
    return Moments(n=len(values), mean=mean, m2=math.fsum((value - mean) ** 2 for value in values))


def test_numbers_of_another_library_are_numbers() -> None:
    """Such as NumPy's, which are floats of a class of their own."""

    class Float64(float):
        pass

    assert Gauge(samples=(Float64(1.5), 2)).samples == (1.5, 2)


@pytest.mark.parametrize("kind", [COUNTS, HISTOGRAMS], ids=["counts", "histograms"])
def test_merging_is_associative_and_commutative_and_counts_everything(
    kind: st.SearchStrategy[Any],
) -> None:
    @given(kind | SILENT, kind | SILENT, kind)
    def law(a: Measurement, b: Measurement, c: Measurement) -> None:
        assert merge(merge(a, b), c) == merge(a, merge(b, c))
        assert merge(a, c) == merge(c, a)
        assert merge(a, merge(b, c)).sample == a.sample + b.sample + c.sample

    law()


@given(VALUES, VALUES, VALUES)
def test_moments_merge_into_the_moments_of_all(a: list[int], b: list[int], c: list[int]) -> None:
    left = merge(merge(moments(a), moments(b)), moments(c))
    right = merge(moments(a), merge(moments(b), moments(c)))
    assert isinstance(left, Moments)
    assert isinstance(right, Moments)
    for found in (left, right):
        truth = moments([*a, *b, *c])
        assert found.n == truth.n
        assert found.mean == pytest.approx(truth.mean, abs=1e-9)
        assert found.m2 == pytest.approx(truth.m2, rel=1e-9, abs=1e-6)


def test_moments_at_a_large_mean_don_t_cancel() -> None:
    far = [Moments(n=2, mean=1e9 + 0.5, m2=0.5), Moments(n=2, mean=1e9 + 2.5, m2=0.5)]
    merged = merge(*far)

    assert isinstance(merged, Moments)
    assert merged.m2 == pytest.approx(5.0)


def test_gauges_keep_the_newer_and_silence_adds_nothing() -> None:
    old, new = Gauge(samples=(1,)), Gauge(samples=(2, 3))

    assert merge(old, new) == new
    assert merge(old, NoAnswer("503")) == old
    assert merge(NoData("none"), new) == new
    assert merge(NoData("a"), NoData("b")) == NoData("a")


def test_what_does_not_fit_together_is_refused() -> None:
    one, other = Histogram(edges=(1,), cumulative=(0, 1)), Histogram(edges=(2,), cumulative=(0, 1))
    for a, b in (
        (one, other),
        (one, Counts(events=0, trials=1)),
        (Gauge(samples=(1,)), Moments(n=1, mean=1, m2=0)),
    ):
        with pytest.raises(StrategyError, match="measurements do not fit together"):
            merge(a, b)


BUCKETS = Histogram(edges=(0.1, 0.5, 1.0), cumulative=(90, 98, 99, 100))


@pytest.mark.parametrize(
    ("bound", "above", "edge"),
    [(0.05, 10, 0.1), (0.1, 10, 0.1), (0.2, 2, 0.5), (1.0, 1, 1.0), (1.1, 0, math.inf)],
)
def test_values_above_a_bound_are_counted_at_the_edge_past_it(
    bound: float, above: int, edge: float
) -> None:
    assert BUCKETS.above(bound) == (above, edge)


@pytest.mark.parametrize(
    ("q", "upper"), [(0.5, 0.1), (0.9, 0.1), (0.91, 0.5), (0.99, 1.0), (0.999, math.inf)]
)
def test_a_quantile_is_the_upper_edge_of_its_bucket(q: float, upper: float) -> None:
    assert BUCKETS.quantile(q) == upper
    assert math.isnan(Histogram(edges=(1,), cumulative=(0, 0)).quantile(q))


def test_a_look_says_what_it_was_asked() -> None:
    window = Window(START, START + minutes(1))
    look = Look(metric="error-rate", window=window, tracks={Track.STABLE: NoData("none")})

    assert look.of(Track.STABLE) == NoData("none")
    assert look.of(Track.CANDIDATE) == NoData("not asked")
    assert look.covered == window
    assert window.length == minutes(1)
    assert str(Metric("error-rate", kind=Kind.RATIO)) == "error-rate"


# ---------------------------------------------------------------------------------------- lifecycle


def test_no_final_phase_is_left_and_every_other_one_can_be() -> None:
    assert (
        {phase for phase, following in TRANSITIONS.items() if not following}
        == FINAL
        == {Phase.PROMOTED, Phase.ROLLED_BACK}
    )
    for old in Phase:
        for new in Phase:
            if new in TRANSITIONS[old]:
                assert moved(old, new) is new
            else:
                with pytest.raises(
                    AssertionError, match=f"{old.value} -> {new.value} is not in TRANSITIONS"
                ):
                    moved(old, new)


# ------------------------------------------------------------------------------ what a person reads


def test_a_plan_says_what_it_will_do() -> None:
    analyses = [
        Analysis(
            "slow",
            checks=[Limit(Metric("latency", kind="latency"), quantile=0.99, at_most=ms(400))],
        )
    ]
    steps = [
        Hook("smoke"),
        SetWeight(percent(5)),
        Analyze("slow", count=3),
        Bake(minutes(10)),
        Approval("go", within=hours(4), otherwise=Action.HOLD),
        Pause(minutes(1), deadline=Deadline(within=minutes(2), then=Action.WAIT)),
        SetWeight(percent(100)),
        Bake(minutes(30)),
    ]
    strategy = Canary(
        steps=steps,
        analyses=analyses,
        checks=[Limit(ERRORS, at_most=percent(2)), NoWorse(ERRORS)],
        gates=["freeze"],
        retire_after=hours(1),
    )

    assert str(strategy.describe()) == DESCRIPTION
    assert repr(strategy.describe()) == DESCRIPTION


DESCRIPTION = (DATA / "description.txt").read_text("utf-8").rstrip("\n")


def test_a_strategy_of_one_s_own_is_its_steps() -> None:
    @attrs.frozen(kw_only=True)
    class Straight(Watched):
        kind: ClassVar[str] = "straight"

        def _steps(self) -> tuple[Step, ...]:
            return (SetWeight(percent(100)), Bake(minutes(1)))

    assert [step.id for step in Straight(unguarded="a law").plan.steps] == [
        "weight-100",
        "bake-100",
    ]


def test_a_strategy_without_steps_is_not_finished() -> None:
    class Nothing(Watched):
        kind: ClassVar[str] = "nothing"

    with pytest.raises(NotImplementedError):
        _ = Nothing(unguarded="a law").plan


def test_a_plan_without_gates_and_retirement_says_so() -> None:
    said = str(BlueGreen(preview_hook="smoke", bake=minutes(1), unguarded="its hook").describe())

    assert said.splitlines()[0].endswith("; the old version stays")
    assert "before every raise" not in said


def test_the_latest_is_cut_at_the_whole_s_deadline() -> None:
    described = canary(bake=hours(5), deadline=Deadline(within=hours(11))).describe()

    assert described.latest == hours(11) + minutes(5)
    assert all(step.latest <= described.latest for step in described.steps)


def test_steps_are_named_by_kind_and_weight_and_never_twice() -> None:
    steps = [
        Bake(minutes(1)),
        SetWeight(percent(2.5)),
        Bake(minutes(1)),
        Bake(minutes(1)),
        Hook("smoke"),
        Bake(minutes(1), id="bake-2.5-2"),
        SetWeight(percent(100)),
    ]

    assert [step.id for step in named_steps(tuple(steps))] == [
        "bake-0",
        "weight-2.5",
        "bake-2.5",
        "bake-2.5-3",
        "hook-smoke",
        "bake-2.5-2",
        "weight-100",
    ]


def test_a_rollout_reads_as_one_line() -> None:
    world = World()
    assert (
        repr(world.rollout)
        == "<Rollout 'r' serial 0: pending: step 1 of 6 (weight-5), asked 0 %, router says unknown>"
    )
    world.until_weight(50)
    assert str(world.rollout.status) == (
        "progressing: step 4 of 6 (bake-50), asked 50 %, router says 50 %; "
        "waits for a bake of 2 min, watched since 12:02:00, until 13:04:00, then roll back"
    )
    world.say(Hold(at=world.now, by="eve", why="lunch"))
    assert str(world.rollout.status).endswith(
        "somebody to resume person (lunch) since 12:02:00, until 2026-03-02 12:02:30, then "
        "roll back (person: lunch)"
    )
    world.say(Abort(at=world.now, by="eve", why="bad"))
    world.until_phase(Phase.ROLLED_BACK)
    assert (
        str(world.rollout.status)
        == "rolled_back: step 4 of 6 (bake-50), asked 0 %, router says 0 % (aborted: bad)"
    )


@pytest.mark.parametrize(
    ("phase", "person", "code"),
    [
        (Phase.PENDING, False, ExitCode.BUDGET_SPENT),
        (Phase.PROGRESSING, False, ExitCode.BUDGET_SPENT),
        (Phase.HELD, True, ExitCode.WAITS_FOR_PERSON),
        (Phase.ROLLING_BACK, False, ExitCode.NOT_VERIFIED),
        (Phase.PROMOTED, False, ExitCode.PROMOTED),
        (Phase.ROLLED_BACK, False, ExitCode.ROLLED_BACK),
    ],
)
def test_an_outcome_has_an_exit_code(phase: Phase, person: bool, code: ExitCode) -> None:
    rollout = World().until_weight(5).rollout
    there = attrs.evolve(rollout, progress=attrs.evolve(rollout.progress, phase=phase))
    outcome = Outcome.of(there)

    assert (outcome.exit_code, there.waits_for_person, outcome.promoted) == (
        code,
        person,
        phase is Phase.PROMOTED,
    )
    assert str(outcome) == f"r: {there.status}"


def test_what_never_wrote_was_wrong_input_and_an_approval_waits_for_a_person() -> None:
    refused = World(permanent=True, unreadable=True)
    refused.say(Abort(at=START, by="eve", why="the wrong service"))
    assert Outcome.of(refused.rollout).exit_code is ExitCode.WRONG_INPUT
    asks = BlueGreen(approval=Approval("go", within=hours(1), otherwise=Action.HOLD))
    world = World(strategy=asks).until(lambda w: w.phase is Phase.PROGRESSING)

    assert Outcome.of(world.rollout).exit_code is ExitCode.WAITS_FOR_PERSON


def test_a_baseline_that_is_named_may_be_given_traffic() -> None:
    steps = [SetWeight(percent(5), baseline=percent(5)), SetWeight(percent(100)), Bake(minutes(1))]
    release = attrs.evolve(RELEASE, baseline=Version("v1-fresh"))

    assert begin(
        canary(weights=(), steps=steps).plan, release, id="r", at=START
    ).release.baseline == Version("v1-fresh")


NOBODY = Release(service="shop", stable=None, candidate=Version("v2"))


@rule("R12")
@pytest.mark.parametrize(
    ("able", "release", "traffic", "said"),
    [
        (
            Capabilities(),
            RELEASE,
            Traffic(candidate=percent(0.5)),
            "0.5 % is not a multiple of the router's smallest weight, 1 %",
        ),
        (
            Capabilities(matches=True),
            RELEASE,
            Traffic(mirror=percent(5)),
            "the router can't do mirroring",
        ),
        (
            Capabilities(mirror=True),
            RELEASE,
            Traffic(matches=[Match(name="beta", value="1")]),
            "the router can't do header and cookie routes",
        ),
        (
            Capabilities(),
            NOBODY,
            Traffic(candidate=percent(40)),
            "shop has no stable version, so 60 % of the requests have nowhere to go",
        ),
        (
            Capabilities(baseline=True),
            RELEASE,
            Traffic(baseline=percent(7)),
            "shop has no baseline version to give 7 % to; name it in Release(baseline=...)",
        ),
        (
            Capabilities(),
            RELEASE,
            Traffic(candidate=percent(2.5), baseline=percent(1)),
            (
                "2.5 % is not a multiple of the router's smallest weight, 1 %; the router "
                "can't do a baseline track; "
                "shop has no baseline version to give 1 % to; name it in Release(baseline=...)"
            ),
        ),
    ],
)
def test_a_router_refuses_what_it_can_not_do_and_what_has_nowhere_to_go(
    able: Capabilities, release: Release, traffic: Traffic, said: str
) -> None:
    with pytest.raises(RouterError) as caught:
        able.refuse(release, traffic)

    assert str(caught.value) == said
    assert caught.value.failure is Failure.PERMANENT


@rule("R12")
def test_a_router_takes_all_that_it_declares() -> None:
    able = Capabilities(smallest_weight=percent(2.5), baseline=True, matches=True, mirror=True)
    wanted = Traffic(
        candidate=percent(97.5),
        baseline=percent(2.5),
        mirror=percent(5),
        matches=[Match(name="beta", value="1")],
    )

    able.refuse(attrs.evolve(RELEASE, baseline=Version("v1-fresh")), wanted)
    Capabilities().refuse(NOBODY, Traffic(candidate=percent(100)))
