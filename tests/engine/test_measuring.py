"""What the metrics say, and what it leads to."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import ClassVar

import attrs
import pytest
from tests.support.driven import metrics
from tests.support.looks import look
from tests.support.moments import over, refused
from tests.support.rules import rule
from tests.support.world import ERRORS, RELEASE, START, World, canary

from progressive import (
    Abort,
    Action,
    Analysis,
    Budget,
    Canary,
    Deadline,
    Hold,
    Limit,
    Metric,
    NoWorse,
    Phase,
    PromoteNow,
    Resume,
    StrategyError,
    Tolerance,
    decide,
    hours,
    minutes,
    percent,
    percents,
    seconds,
    times,
)
from progressive.analysis import Judgement, Verdict
from progressive.model import Counts, Gauge, Look, NoAnswer, NoData, Window
from progressive.model.actions import Memory
from progressive.model.measurement import Histogram
from progressive.model.traffic import Track
from progressive.plan import Kinds, Situation, Step
from progressive.plan.step import Advance
from progressive.rollout.commands import Measure, Read
from progressive.rollout.events import Measured, Tick
from progressive.steps import Analyze, Bake, SetWeight
from progressive.testing import (
    MemoryRouter,
    MemoryStore,
    ScriptedMetrics,
    VirtualClock,
    play,
    steady,
)

COMPARED = [NoWorse(ERRORS), Limit(ERRORS, at_most=percent(90), id="hardly")]
"""Of these the comparison alone finds a version that fails half of its requests."""


@rule("R13")
@pytest.mark.parametrize(
    ("candidate", "stable", "verdict", "starved"),
    [
        (NoData("empty vector"), Counts(events=0, trials=900), Verdict.NO_DATA, True),
        (NoData("empty vector"), NoData("empty vector"), Verdict.NO_DATA, False),
        (Counts(events=0, trials=10), Counts(events=0, trials=900), Verdict.NO_DATA, False),
        (Counts(events=0, trials=300), Counts(events=0, trials=900), Verdict.PASS, False),
        (Counts(events=30, trials=300), Counts(events=0, trials=900), Verdict.FAIL, False),
        (Counts(events=30, trials=300), Counts(events=90, trials=900), Verdict.INCONCLUSIVE, False),
    ],
)
@pytest.mark.parametrize("plain", [True, False])
def test_missing_is_never_good(
    candidate: object, stable: object, verdict: Verdict, starved: bool, plain: bool
) -> None:
    limit = Limit(ERRORS, plain=plain, at_most=percent(1))
    judgement, _ = limit.judge(look(candidate, stable), None, 0.01)

    assert (judgement.verdict, judgement.starved) == (verdict, starved)


@rule("R13")
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_can_t_even_be_made(value: float) -> None:
    with pytest.raises(StrategyError, match="not a finite number; answer NoData"):
        Gauge(samples=(value,))


@rule("R13")
def test_samples_are_pooled_until_they_are_enough_and_then_forgotten() -> None:
    limit = Limit(ERRORS, plain=True, at_most=percent(1))
    judgement, memory = limit.judge(
        look(Counts(events=2, trials=200), Counts(events=0, trials=500)), None, 0.0
    )
    assert judgement.verdict is Verdict.NO_DATA
    assert "200 of the 300 requests" in judgement.why
    judgement, memory = limit.judge(
        look(Counts(events=2, trials=200), Counts(events=0, trials=500)), memory, 0.0
    )

    assert judgement.verdict is Verdict.PASS
    assert dict(judgement.numbers)["candidate_sample"] == 400
    assert memory is None


@rule("R14")
@pytest.mark.parametrize("interval", [seconds(10), seconds(30), minutes(1)], ids=str)
def test_who_is_blind_goes_back_after_four_looks_and_two_minutes(interval: timedelta) -> None:
    world = World(strategy=canary(interval=interval, bake=minutes(30))).until_weight(5)
    world.until(lambda world: world.rollout.progress.step == 1)
    world.silent, began = True, world.now
    world.until_phase(Phase.ROLLED_BACK)

    assert minutes(2) <= world.now - began <= minutes(3) + interval
    assert "503" in world.rollout.progress.reason


@rule("R14")
def test_a_provider_that_comes_back_in_time_is_forgiven() -> None:
    world = World().until_weight(5)
    world.silent = True
    began = world.now
    world.until(lambda w: w.now - began > seconds(90))
    world.heal()

    world.until_phase(Phase.PROMOTED)


@rule("R14")
def test_at_full_traffic_an_outage_holds_instead() -> None:
    world = World().until_weight(100)
    world.silent = True
    world.until_phase(Phase.HELD)
    assert world.rollout.progress.retirement.value == "none"
    world.heal()
    world.say(
        Resume(
            at=world.now,
            cause=world.rollout.progress.causes[0].name,
            by="eve",
            why="the metrics are back",
        )
    )

    world.until(lambda w: w.phase is Phase.PROMOTED or w.phase is Phase.HELD)


@rule("R15")
def test_zero_measurements_never_promote() -> None:
    world = World(strategy=canary(weights=percents(100), bake=seconds(5), interval=minutes(5)))
    world.until_phase(Phase.PROMOTED)

    assert world.ghost.judged_at_full >= 1


@rule("R13", "R15")
def test_nothing_is_raised_before_the_sample_is_enough() -> None:
    world = World(
        strategy=canary(checks=[Limit(ERRORS, plain=True, at_most=percent(2))]), rps=2.0
    ).until_weight(5)
    world.until(lambda w: w.now - START > minutes(20))

    assert world.candidate == percent(5)
    assert "of the 150 requests" in str(world.rollout.status)


@rule("R15")
def test_a_closing_look_without_enough_data_is_not_asked_for_again() -> None:
    patient = Limit(ERRORS, at_most=percent(2), min_sample=100_000)
    world = World(
        strategy=canary(bake=seconds(30), interval=minutes(1), checks=[patient])
    ).until_weight(5)
    over(world, minutes(5))

    assert world.rollout.progress.closing is None
    assert world.rollout.evidence.check_states[0].looks_at_weight > 1
    assert world.candidate == percent(5)
    assert "of the 100000 requests" in str(world.rollout.status)


@rule("R15")
def test_silence_at_full_traffic_never_promotes() -> None:
    world = World().until_weight(100)
    world.night = True
    world.until(lambda w: w.now - START > minutes(40))

    assert world.phase is Phase.HELD, (
        "fifteen minutes without data at full traffic: held, and the old version is kept"
    )
    world.until_phase(Phase.ROLLED_BACK)


@rule("R17")
def test_a_failing_look_in_the_round_in_which_the_traffic_drifts_still_counts() -> None:
    world = World(strategy=canary(checks=COMPARED)).until_weight(5)
    world.advance(seconds(30))
    at = world.now
    rollout = decide(world.rollout, Tick(at=at), world.do(Read())).rollout
    command = next(
        c
        for c in decide(world.rollout, Tick(at=at), world.do(Read())).commands
        if isinstance(c, Measure)
    )
    world.bad = 0.5
    failing = world.do(command)
    world.edit(0)
    decision = decide(rollout, world.do(Read()), failing)

    assert decision.rollout.phase is Phase.ROLLING_BACK
    assert "no-worse" in decision.rollout.progress.reason
    aborted = decide(rollout, Abort(at=world.now, by="eve", why="now"), failing)
    assert any(note.kind == "judged" and note.verdict == "fail" for note in aborted.notes), (
        "judged, though it was aborted beside it"
    )


def test_a_counter_without_a_reading_is_an_error_and_no_reason_to_ask_without_end() -> None:
    counter = Metric("error-rate", kind="ratio", counter=True)
    world = World(
        strategy=canary(checks=[Limit(counter, at_most=percent(2)), NoWorse(counter)]),
        no_reading=True,
    ).until_weight(5)
    asked = len(world.answers)
    world.tick()

    assert len(world.answers) - asked <= 1
    assert world.rollout.evidence.check_states[0].why == "a counter was asked and gave no reading"
    world.until_phase(Phase.ROLLED_BACK)


@rule("R15")
def test_nothing_is_raised_on_what_passed_at_less_traffic() -> None:
    world = World(strategy=canary(bake=minutes(2), interval=hours(1))).until_weight(50)

    assert all(
        check_state.passes_at_weight == 0 for check_state in world.rollout.evidence.check_states
    )


@rule("R16")
def test_comparisons_with_nan_never_pass() -> None:
    metric = Metric("latency", kind="latency")
    limit = Limit(metric, quantile=0.99, at_most=times(1.5), min_sample=1)
    empty = Histogram(edges=(0.1, 1.0), cumulative=(0, 0, 0))
    some = Histogram(edges=(0.1, 1.0), cumulative=(5, 9, 10))
    judgement, _ = limit.judge(look(some, some, metric), None, 0.0)

    assert math.isinf(some.quantile(0.99))
    assert judgement.verdict is Verdict.FAIL
    assert limit.judge(look(empty, some, metric), None, 0.0)[0].verdict is not Verdict.PASS


@rule("R17")
def test_a_failing_check_reaches_the_router_from_the_raw_answer_on() -> None:
    world = World(strategy=canary(checks=COMPARED)).until_weight(5)
    world.bad = 0.5
    world.until_phase(Phase.ROLLED_BACK)

    assert world.candidate == percent(0)
    assert "no-worse" in world.rollout.progress.reason
    assert world.now - START < minutes(2)


@rule("R17")
@pytest.mark.parametrize("order", ["measured first", "seen first"])
def test_a_failing_look_in_the_round_in_which_its_step_ends_still_counts(order: str) -> None:
    world = World().until_next_tick_raises()
    moves = world.moves()
    commands: tuple[object, ...] = ()
    for move in moves:
        commands = getattr(move, "commands", ())
        if any(isinstance(command, Measure) for command in commands):
            break
    world.bad = 0.5
    answers = [world.do(command) for command in commands]  # type: ignore[arg-type]
    read = decide(world.rollout, Tick(at=world.now), world.do(Read())).rollout
    both = [*answers, Tick(at=world.now), world.do(Read())]
    decision = decide(read, *(both if order == "measured first" else reversed(both)))

    assert decision.rollout.phase is Phase.ROLLING_BACK


@rule("R15")
def test_what_passed_at_less_traffic_and_was_measured_late_is_no_pass_at_full_traffic() -> None:
    """Found by `verify`: promoted at 10 % by hand, the rest of that stretch measured at 100 %, and
    then a night without any data.
    """
    slow = Metric("error-rate", kind="ratio", lag=seconds(40))
    world = World(
        strategy=canary(weights=percents(10, 100), checks=[Limit(slow, at_most=percent(2))])
    ).until_weight(10)
    world.advance(seconds(30))
    world.tick()
    world.say(PromoteNow(at=world.now, by="eve", why="in a hurry"))
    world.until_weight(100)
    raised = world.now
    world.until(
        lambda world: any(
            tail.at > raised and tail.look.window.end <= raised for tail in world.answers
        )
    )
    [check_state] = world.rollout.evidence.check_states
    assert (check_state.verdict, check_state.passes_at_weight, check_state.looks_at_weight) == (
        Verdict.PASS,
        0,
        0,
    )
    world.night = True

    world.until(lambda world: world.phase is not Phase.PROGRESSING)
    assert world.phase is not Phase.PROMOTED


@rule("R20")
def test_silence_on_both_waits_and_silence_on_the_candidate_alone_goes_back() -> None:
    night = World().until_weight(5)
    night.night = True
    night.until(lambda w: w.now - START > minutes(40))
    assert night.phase is Phase.PROGRESSING
    night.night = False
    night.until_phase(Phase.PROMOTED)

    seldom = World(rps=0.1).until_weight(5)
    seldom.idle = True
    seldom.until_phase(Phase.ROLLED_BACK)
    assert "no data on" in seldom.rollout.progress.reason


def test_an_equally_bad_stable_holds() -> None:
    world = World(strategy=canary(checks=[Limit(ERRORS, at_most=percent(2))])).until_weight(5)
    world.bad = world.stable_bad = 0.3
    world.until_phase(Phase.HELD)

    assert "no better" in world.rollout.progress.reason


def test_one_failing_look_alone_is_tolerated_and_blocks_the_raise() -> None:
    plain = Limit(ERRORS, plain=True, at_most=percent(2))
    world = World(strategy=canary(checks=[plain])).until_weight(5)
    world.advance(seconds(30))
    world.bad = 0.2
    world.tick()
    assert world.rollout.evidence.check_states[0].consecutive_failures == 1
    world.bad = 0.001

    world.until_phase(Phase.PROMOTED)


def test_failures_in_all_are_counted_over_the_whole_rollout() -> None:
    tolerance = Tolerance(in_a_row=5, failures=1)
    world = World(
        strategy=canary(checks=[Limit(ERRORS, at_most=percent(2), tolerance=tolerance)])
    ).until_weight(5)
    for bad in (0.2, 0.001, 0.2):
        world.advance(seconds(30))
        world.bad = bad
        world.tick()

    assert world.phase is Phase.ROLLED_BACK


def test_an_observing_check_decides_nothing() -> None:
    checks = [
        Limit(ERRORS, at_most=percent(2), observe=True),
        Limit(ERRORS, at_most=percent(90), id="real"),
    ]
    world = World(strategy=canary(checks=checks), bad=0.5).until_phase(Phase.PROMOTED)

    assert {note.verdict for note in world.said("judged") if note.check == "error-rate"} >= {"fail"}


def test_a_comparison_is_dormant_at_full_traffic_and_says_so() -> None:
    world = World().until_phase(Phase.PROMOTED)

    dormant = [note for note in world.said("unjudged") if "dormant" in note.why]
    assert [(note.what, note.why) for note in dormant] == [
        ("error-rate-no-worse", "dormant: no traffic on stable")
    ]


def test_a_bake_that_nothing_can_judge_is_a_strategy_error() -> None:
    with pytest.raises(
        StrategyError, match=r"weights\[2\]: no deciding check can judge it.*add a Limit"
    ):
        canary(checks=[NoWorse(ERRORS)])


def test_evidence_is_carried_over_steps_and_never_reset() -> None:
    world = World(
        strategy=canary(checks=[NoWorse(ERRORS), Limit(ERRORS, at_most=percent(50))])
    ).until_weight(5)
    before = world.rollout.evidence.check_states[0].memory
    world.until_weight(50)

    memory = world.rollout.evidence.check_states[0].memory
    assert memory != before
    assert isinstance(memory, tuple)
    assert len(memory) == 2  # the evidence, and what the ratio is estimated from


def test_a_changed_query_starts_the_evidence_anew() -> None:
    world = World().until_weight(5)
    rollout = world.rollout
    for fingerprint in ("a", "a", "b"):
        start = rollout.evidence.series[0].start
        assert start is not None
        at = start + seconds(30)
        tracks = (
            (Track.CANDIDATE, Counts(events=0, trials=400)),
            (Track.STABLE, Counts(events=0, trials=400)),
        )
        answer = Look(
            metric="error-rate", window=Window(start, at), tracks=tracks, fingerprint=fingerprint
        )
        decision = decide(rollout, Measured(at=at, analyses=("checks",), look=answer))
        rollout = decision.rollout

    assert rollout.evidence.check_states[0].passes == 1
    assert any("query changed" in str(note) for note in decision.notes)


def test_a_budget_for_looks_that_are_neither() -> None:
    tolerance = Tolerance(inconclusive=Budget(looks=2))
    world = World(
        strategy=canary(checks=[Limit(ERRORS, at_most=percent(2), tolerance=tolerance)])
    ).until_weight(5)
    world.bad = world.stable_bad = 0.3
    held = 0
    while world.phase is not Phase.HELD:
        world.advance(seconds(30))
        world.tick()
        held += 1

    assert held == 3


def test_an_analyze_step_counts_passes_of_its_own_and_shares_a_guard_s_evidence() -> None:
    analysis = Analysis("errors", checks=[Limit(ERRORS, at_most=percent(2))], interval=seconds(30))
    steps = [
        SetWeight(percent(10)),
        Analyze("errors", count=4),
        SetWeight(percent(100)),
        Bake(minutes(2)),
    ]
    world = World(
        strategy=canary(weights=(), checks=(), steps=steps, analyses=[analysis], guards=["errors"])
    ).until_weight(100)

    assert len([note for note in world.said("judged") if note.verdict == "pass"]) >= 4
    world.until_phase(Phase.PROMOTED)


def test_guards_go_on_while_it_is_held() -> None:
    world = World().until_weight(5)
    world.say(Hold(at=world.now, by="eve", why="lunch"))
    world.bad = 0.5
    world.until_phase(Phase.ROLLED_BACK)

    assert world.now - START < minutes(5)


def test_the_same_question_of_two_analyses_is_asked_once() -> None:
    two = [Analysis(name, checks=[Limit(ERRORS, at_most=percent(2))]) for name in ("one", "two")]
    world = World(strategy=canary(checks=(), analyses=two, guards=["one", "two"])).until_weight(5)
    world.advance(seconds(30))
    world.tick()

    assert world.answers[-1].analyses == ("one", "two")
    assert all(check_state.looks == 1 for check_state in world.rollout.evidence.check_states)


def test_no_answer_on_one_track_is_an_error_and_consumes_no_window() -> None:
    world = World().until_weight(5)
    rollout = world.rollout
    start = rollout.evidence.series[0].start
    assert start is not None
    tracks = ((Track.CANDIDATE, Counts(events=0, trials=400)), (Track.STABLE, NoAnswer("timeout")))
    answer = Look(metric="error-rate", window=Window(start, start + seconds(30)), tracks=tracks)
    after = decide(
        rollout, Measured(at=start + seconds(30), analyses=("checks",), look=answer)
    ).rollout

    assert after.evidence.series[0].start == start
    assert after.evidence.check_states[0].verdict is Verdict.ERROR


@attrs.frozen(kw_only=True)
class Breaks:
    """A check of a user's own that raises."""

    kind: ClassVar[str] = "breaks"

    metric: Metric = ERRORS
    id: str = "breaks"
    observe: bool = False
    tolerance: Tolerance = Tolerance()
    share_of_alpha: ClassVar[float] = 0.0
    required_tracks: ClassVar[tuple[Track, ...]] = (Track.CANDIDATE,)
    measured_tracks: ClassVar[tuple[Track, ...]] = (Track.CANDIDATE, Track.STABLE)

    def judge(self, look: Look, memory: Memory, alpha: float) -> tuple[Judgement, Memory]:
        raise ZeroDivisionError("nobody came")


@rule("R19", "R14")
def test_a_check_that_raises_is_an_error_of_its_own_and_the_others_are_heard() -> None:
    router, store = MemoryRouter(), MemoryStore(Kinds(Breaks))
    metrics = ScriptedMetrics({ERRORS: steady(50, stable=0.001, candidate=0.001)})

    outcome = play(
        canary(checks=[Breaks(), Limit(ERRORS, at_most=percent(1))]),
        RELEASE,
        router=router,
        store=store,
        metrics=[metrics],
    )

    assert outcome.exit_code == 1
    assert (
        outcome.rollout.progress.reason
        == "checks/breaks: the check itself failed: ZeroDivisionError: nobody came"
    )


@rule("R19", "R17")
def test_a_bad_version_is_taken_back_at_once_beside_a_check_that_raises() -> None:
    metrics = ScriptedMetrics({ERRORS: steady(50, stable=0.001, candidate=0.2)})
    clock = VirtualClock()
    began = clock()

    outcome = play(
        canary(checks=[Breaks(), Limit(ERRORS, at_most=percent(1))]),
        RELEASE,
        metrics=[metrics],
        clock=clock,
        store=MemoryStore(Kinds(Breaks)),
    )

    assert outcome.rollout.progress.reason.startswith("checks/error-rate: 20 % is above 1 %")
    assert clock() - began < minutes(10)


@attrs.frozen
class Raises(Step):
    """A step of a user's own that raises."""

    kind: ClassVar[str] = "raises"

    id: str = "raises"
    deadline: Deadline = Deadline(within=hours(1))

    def advance(self, situation: Situation) -> Advance:
        raise KeyError("cache")


@rule("R19", "R30")
def test_a_step_that_raises_holds_and_keeps_neither_guards_nor_deadlines_from_acting() -> None:
    steps = [SetWeight(percent(10)), Raises(), SetWeight(percent(100)), Bake(minutes(5))]
    strategy = Canary(steps=steps, checks=[Limit(ERRORS, at_most=percent(1))])
    good, bad = (
        ScriptedMetrics({ERRORS: steady(50, stable=0.001, candidate=rate)}) for rate in (0.001, 0.2)
    )

    waited = play(strategy, RELEASE, metrics=[good], store=MemoryStore(Kinds(Raises)))
    broken = play(strategy, RELEASE, metrics=[bad], store=MemoryStore(Kinds(Raises)))

    assert (
        "held for step:raises for 1 h and nobody resumed: it failed: KeyError: 'cache'"
        in waited.rollout.progress.reason
    )
    assert broken.rollout.progress.reason.startswith("checks/error-rate: 20 % is above 1 %")


@rule("R15")
def test_data_that_vanish_at_full_traffic_hold_and_keep_the_old_version() -> None:
    world = World(strategy=canary(retire_after=minutes(1), last_bake=minutes(60))).until_weight(100)
    over(world, minutes(1))
    world.idle = True
    world.until_phase(Phase.HELD)

    assert world.retired == 0


def test_a_dormant_check_s_old_silence_leads_to_nothing() -> None:
    world = World(strategy=canary(last_bake=minutes(30))).until_weight(50)
    world.until(lambda w: w.rollout.clocks.watched >= seconds(60))
    world.idle = True
    world.tick()
    world.idle = False

    world.until_phase(Phase.PROMOTED, ticks=2_000)


def test_an_analysis_that_could_never_end_is_refused_and_a_waived_one_ends() -> None:
    watching = Analysis("watching", checks=[Limit(ERRORS, at_most=percent(2), observe=True)])
    guard = Analysis("guard", checks=[Limit(ERRORS, at_most=percent(90), id="guarding")])
    steps = [SetWeight(percent(10)), Analyze("watching"), SetWeight(percent(100)), Bake(minutes(1))]
    with pytest.raises(
        StrategyError,
        match="no deciding check of 'watching' can judge there, so it could never end",
    ):
        canary(weights=(), checks=(), steps=steps, analyses=[watching, guard], guards=["guard"])
    deciding = Analysis(
        "errors", checks=[Limit(ERRORS, at_most=percent(2), tolerance=Tolerance(then=Action.HOLD))]
    )
    steps = [SetWeight(percent(10)), Analyze("errors"), SetWeight(percent(100)), Bake(minutes(1))]
    world = World(
        strategy=canary(
            weights=(), checks=(), steps=steps, analyses=[deciding, guard], guards=["guard"]
        ),
        bad=0.05,
    )
    world.until_phase(Phase.HELD)
    world.say(
        Resume(
            at=world.now,
            cause="errors/error-rate",
            waive=("errors/error-rate",),
            by="eve",
            why="known",
        )
    )

    world.until_phase(Phase.PROMOTED)


def test_nothing_is_judged_on_the_way_back() -> None:
    world = World().until_weight(5)
    world.unwritable = True
    world.say(Abort(at=world.now, by="eve", why="bad"))

    assert "nothing is judged while rolling_back" in refused(world, world.answers[-1])


@rule("R18")
@pytest.mark.parametrize(
    "end", [-seconds(1), minutes(5)], ids=["before it began", "long after it was asked"]
)
def test_numbers_of_another_time_than_was_asked_are_an_error(end: timedelta) -> None:
    world = World().until_weight(5)
    begun = world.rollout.evidence.series[0].start
    assert begun is not None
    window = Window(begun, begun + seconds(30))
    covered = Window(min(begun, begun + end), begun + end)
    tracks = {track: Counts(events=0, trials=900) for track in (Track.STABLE, Track.CANDIDATE)}
    look = Look(metric="error-rate", window=window, covered=covered, tracks=tracks)
    after = decide(world.rollout, Measured(at=window.end, analyses=("checks",), look=look)).rollout

    assert after.evidence.series[0].start == begun
    assert after.evidence.check_states[0].verdict is Verdict.ERROR
    assert "outside what was asked" in after.evidence.check_states[0].why


def test_a_sequential_check_needs_counts() -> None:
    outcome = play(
        canary(checks=[NoWorse(ERRORS), Limit(ERRORS, at_most=percent(5))]),
        RELEASE,
        metrics=[
            metrics(
                {
                    Track.STABLE: Counts(events=0, trials=500),
                    Track.CANDIDATE: Counts(events=0, trials=500),
                }
            )
        ],
    )

    assert outcome.promoted
