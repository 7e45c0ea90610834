"""What always holds of a recorded rollout that is judged again, whatever was recorded and whatever
is asked.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any, Final

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support import wild
from tests.support.recordings import Driver, Ill, counted, same, transcript, world_of
from tests.support.world import ERRORS, RELEASE

from progressive import (
    Action,
    Budget,
    Canary,
    Hold,
    Limit,
    Metric,
    NoWorse,
    Phase,
    Resume,
    Tolerance,
    Track,
    minutes,
    ms,
    percent,
    percents,
    seconds,
)
from progressive.rollout.events import Measured
from progressive.rollout.notes import EventRecorded, PhaseEntered
from progressive.testing import Behaviour, PersonAction, Replay, World, replay, simulate
from progressive.testing.simulation.troubles import (
    AnswersTwice,
    HalfObeys,
    Lags,
    LosesReplies,
    MetricsDown,
    NotANumber,
    RouterDown,
    RouterForgets,
    SeriesMissing,
    WritesFail,
)

# --------------------------------------------------------------------------------------- strategies

rates = st.sampled_from([0.0, 0.002, 0.02, 0.1, 0.5])
spans = st.integers(1, 12).map(lambda n: seconds(45 * n))
tracks = st.sampled_from([Track.CANDIDATE, Track.STABLE])
ills = st.lists(
    st.one_of(
        st.builds(Ill, track=tracks, since=spans, lasting=spans, rate=rates),
        st.builds(Ill, track=tracks, since=spans, lasting=spans, silent=st.booleans()),
    ),
    max_size=3,
)
LONG = Budget(within=minutes(15), then=Action.ROLL_BACK)
tolerances = st.builds(
    Tolerance,
    in_a_row=st.integers(1, 3),
    failures=st.sampled_from([None, None, 2]),
    then=st.sampled_from([Action.ROLL_BACK, Action.HOLD]),
    inconclusive=st.sampled_from([Budget(looks=0), Budget(looks=2), Budget(then=Action.WAIT)]),
    no_data=st.sampled_from(
        [Budget(within=minutes(15), then=Action.ROLL_BACK), Budget(looks=1, then=Action.ROLL_BACK)]
    ),
    # Longer than anything lasts: where a metric lags, it is not known when exactly a closing look
    # was taken, so a run of looks may be one shorter than it was.
    no_answer=st.just(LONG),
)
bounds = st.sampled_from(percents(0.1, 1, 5, 30))
limits = st.builds(
    Limit,
    st.just(ERRORS),
    # A tested one goes by all requests in its traffic, so where a closing look ended, which a
    # recording does not always know, can make a difference of one look.
    plain=st.just(True),
    at_most=bounds,
    min_sample=st.sampled_from([1, 300, 1500]),
    tolerance=tolerances,
)
tested = st.builds(Limit, st.just(ERRORS), at_most=bounds, tolerance=tolerances)
sequential = st.builds(
    NoWorse,
    st.just(ERRORS),
    margin=st.sampled_from([1.0, 1.5]),
    observe=st.booleans(),
    tolerance=st.just(Tolerance(in_a_row=1, no_answer=LONG)),
)
checks = st.one_of(limits.map(lambda one: [one]), st.tuples(limits, sequential).map(list))
weights = st.sampled_from(
    [percents(100), percents(10, 100), percents(5, 50, 100), percents(1, 10, 40, 100)]
)
COUNTER, LAGGING = attrs.evolve(ERRORS, counter=True), attrs.evolve(ERRORS, lag=seconds(25))
times_of = st.fixed_dictionaries(
    {
        "interval": st.sampled_from([seconds(20), seconds(30), minutes(1)]),
        "warmup": st.sampled_from([seconds(0), seconds(20)]),
    }
)
lags = st.sampled_from([seconds(0), seconds(0), seconds(3), seconds(20)])


def measured_as(metric: Metric, plan: dict[str, Any]) -> dict[str, Any]:
    """A plan whose checks are about another sort of metric."""
    return {**plan, "checks": [attrs.evolve(each, metric=metric) for each in plan["checks"]]}


plans = st.fixed_dictionaries(
    {
        "weights": weights,
        "bake": st.sampled_from([minutes(1), minutes(2), seconds(150)]),
        "checks": checks,
        "alpha": st.sampled_from([0.01, 0.2]),
    }
)


# --------------------------------------------------------------------------------------------- laws

SOME = settings(max_examples=30)
"""Each drives one or two rollouts in virtual time, and as many again in a replay."""


@SOME
@given(
    plan=plans | st.builds(lambda plan, one: {**plan, "checks": [one]}, plans, tested),
    cadence=times_of,
    ills=ills,
    metric=st.sampled_from([ERRORS, COUNTER, LAGGING]),
)
def test_under_the_same_strategy_it_comes_to_the_same_end_at_the_same_time(
    plan: dict[str, Any], cadence: dict[str, Any], ills: list[Ill], metric: Metric
) -> None:
    strategy = Canary(**measured_as(metric, plan), **cadence)
    found = replay(Driver(strategy, world_of(ills)).record(), strategy, release=RELEASE)

    assert same(found)


@SOME
@given(
    plan=plans,
    cadence=times_of,
    ills=ills,
    metric=st.sampled_from([ERRORS, COUNTER]),
    seed=st.integers(0, 2**20),
    lag=lags,
)
def test_calls_that_take_time_and_a_loop_that_wakes_late_change_nothing(
    plan: dict[str, Any],
    cadence: dict[str, Any],
    ills: list[Ill],
    metric: Metric,
    seed: int,
    lag: timedelta,
) -> None:
    """But for an end that comes by time alone: the recorded driver found out about it when it
    woke.
    """
    strategy = Canary(**measured_as(metric, plan), **cadence)
    found = replay(
        Driver(strategy, world_of(ills), random.Random(seed), lag=lag).record(),
        strategy,
        release=RELEASE,
    )

    assert (found.replayed.phase, found.replayed.why) == (found.recorded.phase, found.recorded.why)
    assert (
        timedelta()
        <= found.recorded.at - found.replayed.at
        <= seconds("took longer" in found.why or "nobody" in found.why)
    )
    assert (found.unknown_from, found.differences) == (None, ())


WAITS_FOR_ITS_SAMPLE: Final = {
    "plan": {
        "weights": percents(5, 50, 100),
        "bake": minutes(1),
        "checks": [
            Limit(
                ERRORS,
                plain=True,
                at_most=percent(1),
                min_sample=1500,
                tolerance=Tolerance(in_a_row=1, no_answer=LONG),
            )
        ],
        "alpha": 0.01,
    },
    "cadence": {"interval": minutes(1), "warmup": seconds(20)},
    "ills": [Ill(track=Track.CANDIDATE, since=seconds(45), lasting=seconds(90), silent=True)],
    "seed": 0,
}
"""The look up to the end of its bake brings no turn, so nothing but its length shows the read."""


@SOME
@given(plan=plans, cadence=times_of, ills=ills, seed=st.integers(0, 2**20), lag=lags)
@example(**WAITS_FOR_ITS_SAMPLE, lag=seconds(0))
@example(**WAITS_FOR_ITS_SAMPLE, lag=seconds(3))
def test_where_a_metric_lags_the_end_is_the_same_to_the_second(
    plan: dict[str, Any], cadence: dict[str, Any], ills: list[Ill], seed: int, lag: timedelta
) -> None:
    """A read leaves no note, and the look up to it is asked for later: so it is not known when
    exactly it was.
    """
    strategy = Canary(**measured_as(LAGGING, plan), **cadence)
    found = replay(
        Driver(strategy, world_of(ills), random.Random(seed), lag=lag).record(),
        strategy,
        release=RELEASE,
    )

    assert (found.replayed.phase, found.unknown_from) == (found.recorded.phase, None)
    assert abs(found.recorded.at - found.replayed.at) <= seconds(1)


@SOME
@given(
    plan=plans,
    ills=ills,
    seed=st.integers(0, 2**20),
    every=st.sampled_from([minutes(1), seconds(80), minutes(2)]),
)
def test_a_job_that_comes_by_every_minute_or_two_is_replayed_as_it_came(
    plan: dict[str, Any], ills: list[Ill], seed: int, every: timedelta
) -> None:
    """Much later than the engine would have liked to be woken; so what was due in between was done
    at its next visit.
    """
    strategy = Canary(**plan, watch_every=minutes(3))
    found = replay(
        Driver(strategy, world_of(ills), random.Random(seed), every=every).record(),
        strategy,
        release=RELEASE,
    )

    assert (found.replayed.phase, found.replayed.why, found.unknown_from, found.differences) == (
        found.recorded.phase,
        found.recorded.why,
        None,
        (),
    )
    assert (
        timedelta()
        <= found.recorded.at - found.replayed.at
        <= (every if "took longer" in found.why or "nobody" in found.why else ms(0))
    )


CUT_BY_A_RAISE: Final[dict[str, Any]] = {
    "one": {
        "weights": percents(100),
        "bake": seconds(150),
        "checks": [
            Limit(
                ERRORS,
                plain=True,
                at_most=percent(1),
                min_sample=1,
                tolerance=Tolerance(in_a_row=1, no_answer=LONG),
            )
        ],
        "alpha": 0.01,
    },
    "other": {
        "weights": percents(100),
        "bake": minutes(1),
        "checks": [
            Limit(
                ERRORS,
                plain=True,
                at_most=percent(0.1),
                min_sample=1,
                tolerance=Tolerance(in_a_row=2, then=Action.HOLD, no_answer=LONG),
            )
        ],
        "alpha": 0.01,
    },
    "cadence": {"interval": minutes(1), "warmup": seconds(0)},
    "ills": [
        Ill(track=Track.CANDIDATE, since=seconds(45), lasting=seconds(45), rate=0.002),
        Ill(track=Track.CANDIDATE, since=seconds(90), lasting=seconds(180), silent=True),
    ],
}
"""The closing look at the end of the recorded bake ends half a minute after a whole interval, and
so do all looks after it. The other strategy's second failing look would have come at the next whole
one.
"""


@SOME
@given(one=plans, other=plans, cadence=times_of, ills=ills)
@example(**CUT_BY_A_RAISE)
def test_what_it_says_would_have_happened_happens(
    one: dict[str, Any], other: dict[str, Any], cadence: dict[str, Any], ills: list[Ill]
) -> None:
    """The world is the same whatever the traffic, so the other strategy can really be tried in
    it. Where its looks would fall between the recorded ones, it is known at the next of those: up
    to one interval later; and before only where a recorded look was cut, as by the end of a bake,
    so that those after it end between the other's.
    """
    recording = Driver(Canary(**one, **cadence), world_of(ills)).record()
    found = replay(recording, Canary(**other, **cadence), release=RELEASE)
    tried = Driver(Canary(**other, **cadence), world_of(ills)).record()
    truth = replay(tried, Canary(**other, **cadence), release=RELEASE).recorded
    held = [note for _, note in tried if isinstance(note, PhaseEntered) and note.phase == "held"]

    every = cadence["interval"]
    cut = any(
        note.event.look.window.length % every
        for _, note in recording
        if isinstance(note, EventRecorded) and isinstance(note.event, Measured)
    )

    def late(at: datetime, than: datetime) -> bool:
        return (-every if cut else timedelta()) < at - than <= every

    if found.unknown_from is None:
        assert found.replayed == truth or (
            found.replayed.phase is truth.phase and late(found.replayed.at, truth.at)
        )
    elif found.stops_at is not None:
        assert (held[0].at, held[0].why) == (found.stops_at, found.why) or late(
            found.stops_at, held[0].at
        )
    else:
        assert truth.at >= found.unknown_from


@SOME
@given(plan=plans, cadence=times_of, ills=ills, bound=st.sampled_from([0.05, 0.5, 2.0, 20.0]))
def test_a_stricter_limit_never_stops_later(
    plan: dict[str, Any], cadence: dict[str, Any], ills: list[Ill], bound: float
) -> None:
    """It may ask for more evidence before a raise, and then nothing is known from that raise on."""
    recording = Driver(Canary(**plan, **cadence), world_of(ills)).record()

    def under(at_most: float) -> Replay:
        checks = [Limit(ERRORS, plain=True, at_most=percent(at_most), min_sample=600)]
        return replay(recording, Canary(**{**plan, **cadence, "checks": checks}), release=RELEASE)

    lax, strict = under(bound * 2), under(bound)

    if lax.stops_at is not None:
        assert (strict.stops_at is not None and strict.stops_at <= lax.stops_at) or (
            strict.unknown_from is not None and strict.unknown_from <= lax.stops_at
        )


@SOME
@given(one=plans, other=plans, cadence=times_of, ills=ills, rng=st.randoms(use_true_random=False))
def test_the_order_of_the_notes_does_not_matter(
    one: dict[str, Any],
    other: dict[str, Any],
    cadence: dict[str, Any],
    ills: list[Ill],
    rng: random.Random,
) -> None:
    recording, strategy = (
        Driver(Canary(**one, **cadence), world_of(ills)).record(),
        Canary(**other, **cadence),
    )
    found = replay(recording, strategy, release=RELEASE)
    shuffled = recording + rng.sample(recording, k=len(recording) // 2)
    rng.shuffle(shuffled)

    assert replay(recording, strategy, release=RELEASE) == found
    assert replay(shuffled, strategy, release=RELEASE) == found
    assert replay([note for _, note in shuffled], strategy, release=RELEASE) == found


@SOME
@given(one=plans, other=plans, cadence=times_of, ills=ills)
def test_what_was_exposed_spared_and_is_undecided_is_what_was_recorded(
    one: dict[str, Any], other: dict[str, Any], cadence: dict[str, Any], ills: list[Ill]
) -> None:
    recording = Driver(Canary(**one, **cadence), world_of(ills)).record()
    found = replay(recording, Canary(**other, **cadence), release=RELEASE)
    whole = found.exposed + found.spared + found.undecided
    again = replay(recording, Canary(**one, **cadence), release=RELEASE)

    assert whole == again.exposed + again.spared + again.undecided
    assert any(ill.silent for ill in ills) or whole.of("error-rate") == counted(
        note for _, note in recording
    )
    assert found.spared.requests == 0 or (found.replayed.phase, found.unknown_from) == (
        Phase.ROLLED_BACK,
        None,
    )
    assert found.undecided.requests == 0 or found.unknown_from is not None


simulated = st.sampled_from([0.001, 0.005, 0.02, 0.1])
"""How often the candidate of a simulated world fails; stable fails once in a thousand requests."""


@SOME
@given(one=plans, other=plans, errors=simulated, seed=st.integers(0, 2**20))
def test_a_simulated_world_does_what_the_replay_of_another_simulation_said(
    one: dict[str, Any], other: dict[str, Any], errors: float, seed: int
) -> None:
    """The same seed gives the same requests as long as the traffic is the same; so what is known of
    the other strategy comes true.
    """
    world = World(load=50, candidate=Behaviour(errors=errors))
    found = replay(simulate(Canary(**one), world, seed=seed), Canary(**other))
    truth = simulate(Canary(**other), world, seed=seed)
    stops = [
        note
        for note in truth.notes
        if isinstance(note, PhaseEntered) and note.phase in ("rolling_back", "held")
    ]

    if found.stops_at is not None:
        assert (found.stops_at, found.why) in [(note.at, note.why) for note in stops]
    elif found.unknown_from is None:
        assert (truth.phase, truth.began + truth.duration) == (
            found.replayed.phase,
            found.replayed.at,
        )
    else:
        assert all(note.at >= found.unknown_from for note in stops if note.phase == "rolling_back")


@SOME
@given(plan=plans, errors=simulated, seed=st.integers(0, 2**20))
def test_a_story_under_its_own_strategy_ends_as_it_ended(
    plan: dict[str, Any], errors: float, seed: int
) -> None:
    story = simulate(Canary(**plan), World(load=50, candidate=Behaviour(errors=errors)), seed=seed)

    assert same(replay(story, Canary(**plan)))


wrong = st.sampled_from(
    [
        AnswersTwice,
        HalfObeys,
        Lags,
        LosesReplies,
        MetricsDown,
        NotANumber,
        RouterDown,
        RouterForgets,
        SeriesMissing,
        WritesFail,
    ]
)
troubles = st.lists(
    st.builds(lambda kind, after, lasting: kind(after, lasting=lasting), wrong, spans, spans),
    max_size=2,
)
words = st.sampled_from(
    [
        (),
        (
            PersonAction(minutes(1), Hold, by="eve", why="lunch"),
            PersonAction(minutes(20), Resume, by="eve", why="back"),
        ),
    ]
)


NOT_KNOWN_WHAT_IS_SERVED: Final[dict[str, Any]] = {
    "plan": {
        "weights": percents(10, 100),
        "bake": minutes(1),
        "checks": [
            Limit(
                ERRORS,
                plain=True,
                at_most=percent(0.1),
                min_sample=1,
                tolerance=Tolerance(in_a_row=1, no_answer=LONG),
            )
        ],
        "alpha": 0.01,
    },
    "errors": 0.005,
    "metric": ERRORS,
    "troubles": [HalfObeys(seconds(45), lasting=seconds(90))],
    "words": (),
    "seed": 6,
}
"""Its last look begins at a visit that left no note, half a minute after a raise that only one part
of the router obeyed.
"""
FORGOTTEN_BEFORE_IT_SERVED: Final[dict[str, Any]] = {
    **NOT_KNOWN_WHAT_IS_SERVED,
    "errors": 0.001,
    "troubles": [
        HalfObeys(seconds(45), lasting=seconds(45)),
        RouterForgets(seconds(90), lasting=seconds(45)),
    ],
    "seed": 0,
}
"""Nothing but the reason of its hold says what the router serves without its marker."""


@SOME
@example(**NOT_KNOWN_WHAT_IS_SERVED)
@example(**FORGOTTEN_BEFORE_IT_SERVED)
@given(
    plan=plans,
    errors=simulated,
    metric=st.sampled_from([ERRORS, COUNTER]),
    troubles=troubles,
    words=words,
    seed=st.integers(0, 2**20),
)
def test_what_went_wrong_goes_wrong_again(
    plan: dict[str, Any],
    errors: float,
    metric: Metric,
    troubles: list[Any],
    words: tuple[PersonAction, ...],
    seed: int,
) -> None:
    strategy = Canary(**measured_as(metric, plan))
    story = simulate(
        strategy,
        World(load=50, candidate=Behaviour(errors=errors), troubles=troubles, people=words),
        seed=seed,
    )
    found = replay(story, strategy)

    assert found.replayed == found.recorded or found.replayed.phase is Phase.PENDING


@pytest.mark.parametrize(
    "name",
    [
        "blue_green",
        "blue_green_stopped",
        "canary_promoted",
        "canary_rolled_back",
        "canary_with_a_fleet",
        "reverted",
    ],
)
def test_a_golden_transcript_comes_to_the_same_end(name: str) -> None:
    """With hooks, approvals, gates, lags, counters, every kind of measurement, writes that failed
    and instances that were not ready.
    """
    rollout, notes = transcript(name)

    assert same(replay(notes, rollout, release=rollout.release))


@pytest.mark.parametrize("seed", [*range(20), 36, 66, 70])
def test_a_world_of_faults_is_replayed_up_to_where_nobody_can_know(seed: int) -> None:
    """Lost replies, drift, holds, silence, killed drivers: the end is the same, or the recording
    says why it is not known.
    """
    world, strategy = wild.run(seed), wild.STRATEGIES[seed % len(wild.STRATEGIES)]
    notes = [(f"soak/{i}/0", note) for i, note in enumerate(world.notes)]
    found = replay(notes, strategy, release=world.release)

    assert found == replay(reversed(notes), strategy, release=world.release)
    assert found.unknown_from is not None or found.replayed.phase is found.recorded.phase
    assert str(found)
