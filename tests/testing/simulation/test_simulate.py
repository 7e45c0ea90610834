"""Worlds that do not exist: what a strategy meets in them, and that the same seed is the same
story.
"""

from __future__ import annotations

import pickle
from datetime import datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from progressive import (
    Action,
    Analysis,
    Approve,
    BlueGreen,
    Canary,
    ClosedUntil,
    Limit,
    Metric,
    NotYet,
    NoWorse,
    Open,
    Phase,
    Reject,
    Release,
    Stop,
    StrategyError,
    Track,
    Version,
    hours,
    minutes,
    ms,
    percent,
    percents,
    seconds,
)
from progressive.model import Capacity
from progressive.model.measurement import Counts
from progressive.model.traffic import Match
from progressive.plan import Guard
from progressive.steps import Analyze, Approval, Bake, SetWeight
from progressive.testing import (
    Above,
    After,
    Behaviour,
    Bursts,
    Daily,
    Exposure,
    Latency,
    MemoryFleet,
    PersonAction,
    Ramp,
    SimTime,
    Story,
    Users,
    World,
    replay,
    simulate,
)
from progressive.testing.simulation import troubles
from progressive.testing.simulation.curves import at, scaled

ERRORS = Metric("error-rate", kind="ratio")
LATENCY = Metric("latency", kind="latency")
BASKET = Metric("basket", kind="mean", bad="down")
QUEUE = Metric("queue", kind="value")
SIGN_UPS = Metric("failed-sign-ups", kind="ratio")
NOON = datetime(2026, 3, 2, 12).astimezone()


def policy(**changes: Any) -> Canary:
    given: dict[str, Any] = {
        "weights": percents(1, 10, 50, 100),
        "bake": minutes(5),
        "checks": [NoWorse(ERRORS), Limit(ERRORS, at_most=percent(2))],
    }
    return Canary(**(given | changes))


# -------------------------------------------------------------------- what a user would write first


def test_a_good_version_gets_everybody() -> None:
    story = simulate(policy(), World(load=50))

    assert story.promoted
    assert story.highest == percent(100)


def test_a_version_that_fails_one_request_in_ten_meets_few_users() -> None:
    story = simulate(policy(), World(load=50, candidate=Behaviour(errors=0.1)))

    assert story.rolled_back
    assert story.highest == percent(1)
    assert story.exposed.harmed < 20


def test_a_leak_that_shows_after_ten_minutes_is_caught_before_everybody_meets_it() -> None:
    story = simulate(
        policy(), World(load=50, candidate=Behaviour(errors=After(minutes(10), 0.001, 0.2)))
    )

    assert story.rolled_back
    assert story.highest < percent(100)
    assert "error-rate" in story.why


@pytest.mark.parametrize(
    ("guard", "highest"),
    [("strict", 1), (Guard("strict"), 1), (Guard("strict", since="bake-50"), 50)],
)
def test_a_guard_may_begin_with_a_later_step(guard: Any, highest: float) -> None:
    """A version with more errors at every weight than the stricter of two limits allows."""
    checks = [Limit(ERRORS, at_most=percent(20))]
    strict = Analysis("strict", checks=[Limit(ERRORS, at_most=percent(2))])
    strategy = policy(checks=checks, analyses=[strict], guards=[guard])

    story = simulate(strategy, World(load=50, candidate=Behaviour(errors=0.1)))

    assert story.rolled_back
    assert story.highest == percent(highest)


@pytest.mark.parametrize(("slower", "promoted"), [(1.0, True), (3.0, False)])
def test_a_version_that_is_measured_in_other_buckets_is_judged_by_what_it_does(
    slower: float, promoted: bool
) -> None:
    """And so is the recording of it, when it is judged again."""
    edges = (0.02, 0.05, 0.1, 0.3, 0.5, 2.0)
    candidate = Behaviour(latency=Latency(ms(40), ms(300), edges=edges, slower=slower))
    checks = [NoWorse(LATENCY), Limit(ERRORS, at_most=percent(5))]
    story = simulate(policy(checks=checks), World(load=50, candidate=candidate))
    again = replay(story, policy(checks=checks, interval=minutes(2)))

    assert story.promoted is promoted
    assert (again.replayed.phase is Phase.PROMOTED) is promoted


# --------------------------------------------------------------------------------- the same, always


@settings(max_examples=10)
@given(st.integers(0, 1_000))
def test_the_same_seed_is_the_same_story(seed: int) -> None:
    world = World(load=30, candidate=Behaviour(errors=0.03), users=Users(500, sticky=True))

    assert simulate(policy(), world, seed=seed) == simulate(
        policy(), pickle.loads(pickle.dumps(world)), seed=seed
    )


def test_another_seed_is_another_story() -> None:
    world = World(load=30)

    assert simulate(policy(), world, seed=1) != simulate(policy(), world, seed=2)


def test_what_one_check_asks_changes_nothing_for_another() -> None:
    """Every kind of number has dice of its own: a further check must not make another rollout of
    it.
    """
    world = World(load=40)
    few = simulate(policy(checks=[Limit(ERRORS, at_most=percent(3))]), world)
    more = simulate(
        policy(
            checks=[
                Limit(ERRORS, at_most=percent(3)),
                Limit(LATENCY, quantile=0.99, at_most=ms(2500), observe=True),
            ]
        ),
        world,
    )

    assert few.exposed == more.exposed
    assert [look.tracks for look in few.looks] == [
        look.tracks for look in more.looks if look.metric == ERRORS.name
    ]


# -------------------------------------------------------------------------------------- who was met


@settings(max_examples=25)
@given(
    errors=st.floats(0, 0.3),
    users=st.integers(1, 3_000),
    sticky=st.booleans(),
    retries=st.integers(0, 3),
    affects=st.integers(1, 100),
    seed=st.integers(0, 9),
)
def test_nobody_is_counted_twice(
    errors: float, users: int, sticky: bool, retries: int, affects: int, seed: int
) -> None:
    candidate = Behaviour(errors=errors, retries=retries, affects=percent(affects))
    story = simulate(
        policy(bake=minutes(2)),
        World(load=20, candidate=candidate, users=Users(users, sticky=sticky)),
        seed=seed,
    )
    exposed = story.exposed

    assert 0 <= exposed.failed <= exposed.requests
    assert 0 <= exposed.harmed <= exposed.users <= min(users, exposed.requests)
    assert exposed.harmed <= exposed.failed
    assert (
        sum(one.requests for one in story.slices if one.track is Track.CANDIDATE)
        == exposed.requests
    )


def test_users_who_stick_are_as_many_as_the_weight_says_and_others_all_come_by() -> None:
    strategy = Canary(
        weights=percents(10, 100), bake=hours(2), unguarded="to count", last_bake=minutes(1)
    )
    some = World(load=50, users=Users(1_000, sticky=True))
    until = {"until": hours(1)}

    assert simulate(strategy, some, **until).exposed.users == 100
    assert (
        simulate(strategy, attrs.evolve(some, users=Users(1_000)), **until).exposed.users == 1_000
    )


def test_a_fault_for_one_kind_of_user_harms_only_them() -> None:
    strategy = Canary(weights=percents(50, 100), bake=hours(1), unguarded="to count")
    story = simulate(
        strategy,
        World(load=50, candidate=Behaviour(errors=1.0, affects=percent(5)), users=Users(1_000)),
    )

    assert story.exposed.harmed == 50


def test_retries_multiply_the_errors_of_the_same_users() -> None:
    strategy = Canary(weights=percents(50, 100), bake=minutes(30), unguarded="to count")
    once = simulate(strategy, World(load=50, candidate=Behaviour(errors=0.05))).exposed
    again = simulate(
        strategy, World(load=50, candidate=Behaviour(errors=0.05, retries=3, stubborn=1.0))
    ).exposed

    assert again.failed == 4 * once.failed
    assert again.harmed == once.harmed
    assert again.requests == once.requests + 3 * once.failed


def test_a_night_without_traffic_is_waited_for() -> None:
    night = Daily(low=0, high=80, peak=14)
    strategy = policy(weights=percents(10, 100), bake=hours(1))
    story = simulate(
        strategy, World(load=night, start=datetime.fromisoformat("2026-03-02T01:30:00+00:00"))
    )

    assert story.phase in (Phase.PROMOTED, Phase.ROLLED_BACK)
    assert any(one.requests == 0 for one in story.slices)


# ----------------------------------------------------------------- headers and cookies, and mirrors

TESTERS = Match(name="x-tester", value="1")


def by_header(*more: Any, **changes: Any) -> Canary:
    """Those with a header alone for an hour, then what else is said."""
    steps = [
        SetWeight(percent(0), matches=[TESTERS]),
        Bake(hours(1)),
        *more,
        SetWeight(percent(100)),
        Bake(minutes(5)),
    ]
    return Canary(**({"steps": steps, "checks": [Limit(ERRORS, at_most=percent(2))]} | changes))


def mirrored(**changes: Any) -> Canary:
    """A candidate that is judged by copies before any user meets it."""
    copies = Analysis(
        "copies", checks=[Limit(ERRORS, at_most=percent(2))], synthetic=True, interval=minutes(1)
    )
    steps = [
        SetWeight(percent(0), mirror=percent(100)),
        Analyze("copies", count=3),
        SetWeight(percent(100)),
        Bake(minutes(5)),
    ]
    return Canary(
        **(
            {"steps": steps, "analyses": [copies], "checks": [Limit(ERRORS, at_most=percent(2))]}
            | changes
        )
    )


@pytest.mark.parametrize(("errors", "phase"), [(0.001, Phase.PROMOTED), (0.2, Phase.ROLLED_BACK)])
def test_a_candidate_is_judged_by_those_with_a_header(errors: float, phase: Phase) -> None:
    story = simulate(by_header(), World(load=100, candidate=Behaviour(errors=errors)))

    assert story.phase is phase, story.timeline()
    assert story.highest == percent(100 if story.promoted else 0)
    assert story.detected is None or timedelta() < story.detected < minutes(20)


def test_nobody_with_the_header_is_no_data() -> None:
    story = simulate(by_header(), World(load=100, matched=percent(0)))

    assert story.rolled_back
    assert not story.exposed.requests


@pytest.mark.parametrize("sticky", [False, True])
@pytest.mark.parametrize("matched", [1, 10, 100])
def test_only_those_who_carry_the_header_are_exposed(matched: int, sticky: bool) -> None:
    world = World(
        load=100,
        matched=percent(matched),
        users=Users(1_000, sticky=sticky),
        candidate=Behaviour(errors=1.0),
    )
    story = simulate(by_header(checks=(), unguarded="to count"), world, until=minutes(59))

    assert story.exposed.requests == pytest.approx(354_000 * matched / 100, rel=0.1)
    assert story.exposed.users == story.exposed.harmed == 10 * matched
    assert story.spared.requests + story.exposed.requests == pytest.approx(354_000, rel=0.05)


@pytest.mark.parametrize(("sticky", "users"), [(True, 100 + 180), (False, 1_000)])
def test_the_weights_divide_those_without_it(sticky: bool, users: int) -> None:
    more = [SetWeight(percent(20), matches=[TESTERS]), Bake(hours(1))]
    world = World(load=100, matched=percent(10), users=Users(1_000, sticky=sticky))
    began = simulate(
        by_header(*more, checks=(), unguarded="to count"), world, until=minutes(59)
    ).exposed
    story = simulate(by_header(*more, checks=(), unguarded="to count"), world, until=minutes(119))

    assert began.users == 100
    assert story.exposed.users == users
    assert story.exposed.requests - began.requests == pytest.approx(
        360_000 * (0.1 + 0.9 * 0.2), rel=0.05
    )


def test_who_was_met_by_weight_is_not_met_anew_by_a_header() -> None:
    steps = [
        SetWeight(percent(50)),
        Bake(hours(1)),
        SetWeight(percent(60), matches=[TESTERS]),
        Bake(hours(1)),
        SetWeight(percent(100)),
    ]
    world = World(
        load=100, matched=percent(10), users=Users(1_000), candidate=Behaviour(errors=0.9)
    )
    met = [
        simulate(Canary(steps=steps, unguarded="to count"), world, until=hours(span)).exposed
        for span in (0.9, 1.9)
    ]

    assert (
        [exposed.users for exposed in met] == [exposed.harmed for exposed in met] == [1_000, 1_000]
    )


@pytest.mark.parametrize(("errors", "phase"), [(0.001, Phase.PROMOTED), (0.2, Phase.ROLLED_BACK)])
def test_copies_are_judged_and_harm_nobody(errors: float, phase: Phase) -> None:
    story = simulate(
        mirrored(), World(load=100, preview=0, candidate=Behaviour(errors=errors, retries=2))
    )
    copied = [
        m.sample
        for look in story.looks[:4]
        for track, m in look.tracks
        if track is Track.CANDIDATE and m.sample
    ]

    assert story.phase is phase, story.timeline()
    assert copied and all(sample == pytest.approx(6_000, rel=0.1) for sample in copied), (
        "as many as stable had, and none of them twice"
    )
    if story.rolled_back:
        assert story.exposed == Exposure()
        assert not [one for one in story.slices if one.track is Track.CANDIDATE]


def test_copies_beside_users_are_measured_beside_them() -> None:
    """10 % of the requests and copies of half of stable's: the checks see 55 % of the load, and
    users 10 %.
    """
    steps = [
        SetWeight(percent(10), mirror=percent(50)),
        Bake(minutes(30)),
        SetWeight(percent(100)),
        Bake(minutes(1)),
    ]
    limit = Limit(ERRORS, at_most=percent(5))
    strategy = Canary(steps=steps, checks=[limit], interval=minutes(1), early=False)
    story = simulate(strategy, World(load=100, candidate=Behaviour(errors=0.01)), until=minutes(20))
    seen = [
        m
        for look in story.looks
        for track, m in look.tracks
        if track is Track.CANDIDATE and isinstance(m, Counts) and m.trials
    ]

    assert sum(m.trials for m in seen) / len(seen) == pytest.approx(6_000 * 0.55, rel=0.05)
    assert story.exposed.requests == pytest.approx(120_000 * 0.1, rel=0.05)
    assert story.exposed.failed == pytest.approx(story.exposed.requests * 0.01, rel=0.3)


@settings(max_examples=25)
@given(
    weights=st.lists(st.integers(0, 99), min_size=3, max_size=3, unique=True).map(sorted),
    matches=st.lists(st.booleans(), min_size=3, max_size=3),
    mirror=st.integers(0, 100),
    matched=st.integers(0, 100),
    users=st.integers(1, 300),
    sticky=st.booleans(),
    affects=st.integers(1, 100),
    seed=st.integers(0, 9),
)
def test_nobody_is_counted_twice_by_any_way_to_the_candidate(
    weights: list[int],
    matches: list[bool],
    mirror: int,
    matched: int,
    users: int,
    sticky: bool,
    affects: int,
    seed: int,
) -> None:
    steps: list[Any] = []
    for weight, match in zip(weights, matches, strict=True):
        steps += [
            SetWeight(percent(weight), matches=[TESTERS] if match else [], mirror=percent(mirror)),
            Bake(minutes(1)),
        ]
    candidate = Behaviour(errors=0.2, retries=1, affects=percent(affects))
    world = World(
        load=20, candidate=candidate, users=Users(users, sticky=sticky), matched=percent(matched)
    )
    story = simulate(
        Canary(steps=[*steps, SetWeight(percent(100))], unguarded="to count"), world, seed=seed
    )

    for exposure in (story.exposed, story.spared):
        assert 0 <= exposure.failed <= exposure.requests
        assert 0 <= exposure.harmed <= exposure.users <= min(users, exposure.requests)
        assert exposure.harmed <= exposure.failed
    assert (
        sum(one.requests for one in story.slices) == story.exposed.requests + story.spared.requests
    )


@pytest.mark.parametrize("strategy", [by_header(), mirrored()], ids=["header", "mirror"])
def test_headers_and_copies_are_the_same_always(strategy: Canary) -> None:
    assert simulate(strategy, World(load=30), seed=7) == simulate(strategy, World(load=30), seed=7)


# --------------------------------------------------------------------------------- what is measured


@pytest.mark.parametrize(
    ("check", "bad"),
    [
        (
            Limit(LATENCY, quantile=0.99, at_most=ms(500)),
            Behaviour(latency=Latency(ms(40), ms(300), slower=4)),
        ),
        (Limit(BASKET, at_least=27.5), Behaviour(value=20)),
        (Limit(QUEUE, at_most=40), Behaviour(levels={"queue": 90})),
        (Limit(SIGN_UPS, at_most=percent(5)), Behaviour(ratios={"failed-sign-ups": 0.2})),
        (Limit(ERRORS, at_most=percent(2)), Behaviour(errors=Above(percent(30), 0.001, 0.1))),
        (Limit(ERRORS, at_most=percent(2)), Behaviour(errors=Ramp(0.001, 0.3, over=minutes(8)))),
    ],
    ids=lambda value: value.id if isinstance(value, Limit) else "",
)
def test_each_kind_of_harm_is_seen_and_without_it_nothing_is(check: Limit, bad: Behaviour) -> None:
    good = {"levels": {"queue": 5}, "ratios": {"failed-sign-ups": 0.01}}
    stable, fine = Behaviour(**good), Behaviour(**good)
    bad = attrs.evolve(bad, levels=bad.levels or stable.levels, ratios=bad.ratios or stable.ratios)
    strategy = policy(checks=[check])

    assert simulate(strategy, World(load=200, stable=stable, candidate=fine)).promoted
    assert simulate(strategy, World(load=200, stable=stable, candidate=bad)).rolled_back


def test_a_level_that_the_world_does_not_have_is_named_with_the_mend() -> None:
    with pytest.raises(
        StrategyError,
        match=r"metric 'queue' is a level: say what it is with Behaviour\(levels=\{'queue': "
        r"\.\.\.\}\)",
    ):
        simulate(policy(checks=[Limit(QUEUE, at_most=40)]), World())


SUCCESS = Metric("success-rate", kind="ratio", bad="down")
HALF = {
    "stable": Behaviour(),
    "candidate": Behaviour(
        levels={"queue": 5}, ratios={"failed-sign-ups": 0.01, "success-rate": 0.999}
    ),
}
LEVEL = Behaviour(levels={"queue": 5})
SIGN_UP_LIMIT = Limit(SIGN_UPS, at_most=percent(5))
SIGNED = Behaviour(ratios={"failed-sign-ups": 0.01})


@pytest.mark.parametrize(
    ("check", "world", "said"),
    [
        (
            Limit(SUCCESS, at_least=percent(99)),
            World(),
            (
                r"'success-rate' falls .*with Behaviour\(ratios=\{'success-rate': 0\.999\}\) in "
                r"the world"
            ),
        ),
        (
            Limit(SUCCESS, at_least=percent(99)),
            World(**HALF),
            r"'success-rate' is a ratio of its own for candidate, and .* for stable",
        ),
        (
            Limit(QUEUE, at_most=40),
            World(**HALF),
            (
                r"'queue' is a level: .*Behaviour\(levels=\{'queue': \.\.\.\}\) in the world; "
                r"stable has none"
            ),
        ),
        (
            SIGN_UP_LIMIT,
            World(**HALF),
            (
                r"failed requests for stable; give it one too, with "
                r"Behaviour\(ratios=\{'failed-sign-ups': \.\.\.\}\)"
            ),
        ),
        (Limit(QUEUE, at_most=40), World(), "stable and candidate have none"),
        (
            Limit(QUEUE, at_most=40),
            World(stable=LEVEL, candidate=LEVEL, baseline=Behaviour()),
            "baseline has none",
        ),
        (
            SIGN_UP_LIMIT,
            World(stable=SIGNED, candidate=SIGNED, baseline=Behaviour()),
            "stable and candidate, and .* for baseline; give it",
        ),
    ],
)
def test_a_metric_that_a_version_does_not_have_is_named_with_the_version(
    check: Any, world: World, said: str
) -> None:
    with pytest.raises(StrategyError, match=said):
        simulate(policy(checks=[check]), world)


def test_a_success_rate_of_its_own_is_judged_downwards() -> None:
    good, strategy = (
        Behaviour(ratios={"success-rate": 0.999}),
        policy(checks=[Limit(SUCCESS, at_least=percent(99))]),
    )

    assert simulate(strategy, World(load=200, stable=good, candidate=good)).promoted
    assert simulate(
        strategy, World(load=200, stable=good, candidate=Behaviour(ratios={"success-rate": 0.9}))
    ).rolled_back


def test_metrics_that_lag_longer_than_their_metric_says_are_seen_late() -> None:
    lag = Metric("error-rate", kind="ratio", lag=seconds(45))
    strategy = policy(checks=[Limit(lag, at_most=percent(2))])

    assert simulate(strategy, World(load=100, delay=seconds(30))).promoted
    assert simulate(
        strategy, World(load=100, delay=seconds(30), candidate=Behaviour(errors=0.2))
    ).rolled_back


# ---------------------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    ("trouble", "phase", "said"),
    [
        (troubles.RouterDown(minutes(7), lasting=minutes(2)), Phase.PROMOTED, "read failed"),
        (troubles.RouterDown(minutes(7)), Phase.ROLLING_BACK, "NEEDS A PERSON"),
        (troubles.WritesFail(minutes(4), lasting=minutes(4)), Phase.PROMOTED, "apply failed"),
        (troubles.LosesReplies(), Phase.PROMOTED, "the answer was lost"),
        (troubles.Lags(by=seconds(5)), Phase.PROMOTED, ""),
        (troubles.HalfObeys(minutes(5), lasting=minutes(2)), Phase.PROMOTED, ""),
        (troubles.RouterForgets(minutes(7)), Phase.ROLLED_BACK, "has lost this rollout's marker"),
        (troubles.RouterEdited(minutes(7), to=percent(80)), Phase.PROMOTED, "drift"),
        (
            troubles.MetricsDown(minutes(7), lasting=seconds(90)),
            Phase.PROMOTED,
            "the metrics can't be asked",
        ),
        (troubles.MetricsDown(minutes(7)), Phase.ROLLED_BACK, "the metrics can't be asked"),
        (troubles.NotANumber(minutes(7)), Phase.ROLLED_BACK, "NaN"),
        (troubles.SeriesMissing(minutes(7)), Phase.ROLLED_BACK, "no series"),
        (troubles.CountersReset(minutes(7)), Phase.PROMOTED, ""),
        (troubles.SlowAnswers(), Phase.PROMOTED, ""),
        (troubles.AnswersTwice(), Phase.PROMOTED, "refused"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, troubles.Trouble) else "",
)
def test_each_trouble_is_met_and_noted(trouble: troubles.Trouble, phase: Phase, said: str) -> None:
    story = simulate(policy(), World(load=100, troubles=[trouble]), until=hours(3))

    assert story.phase is phase, story.timeline()
    assert said in story.timeline(all=True)


# ---------------------------------------------------------------------------------------- the fleet


def test_a_candidate_whose_instances_are_not_ready_is_not_raised_until_they_are() -> None:
    late = troubles.NotReady(lasting=minutes(30), able=percent(10))
    story = simulate(policy(), World(load=100, troubles=[late]))
    raised = {traffic.candidate: at for at, traffic in story.weights}

    assert story.promoted
    assert raised[percent(10)] < minutes(15)
    assert raised[percent(50)] >= minutes(30)


def test_a_candidate_that_never_gets_ready_goes_back() -> None:
    story = simulate(policy(), World(load=100, troubles=[troubles.NotReady(able=percent(10))]))

    assert story.rolled_back
    assert story.highest == percent(10)
    assert (
        "candidate (v2) to be ready for 50 %: it can carry 10 % (not all of its instances "
        "are ready)" in story.why
    )


def test_a_stable_that_is_not_ready_is_given_back_what_it_can_carry_and_a_person_is_told() -> None:
    """Half of its instances are gone when the candidate, at 100 %, turns out to be bad; then they
    come back.
    """
    bad = Behaviour(errors=After(minutes(18), 0.001, 0.3))
    gone = [
        troubles.NotReady(
            minutes(17), lasting=minutes(span), track=Track.STABLE, able=percent(able)
        )
        for span, able in ((8, 50), (10, 60))
    ]
    story = simulate(policy(), World(load=100, candidate=bad, troubles=gone))
    back = [traffic.candidate for _, traffic in story.weights]

    assert story.rolled_back
    assert back[back.index(percent(100)) :] == list(percents(100, 50, 40, 0))
    assert [note.why for note in story.escalations if "can carry only 50 %" in note.why]


def test_a_fleet_is_the_caller_s() -> None:
    fleet = MemoryFleet()

    assert simulate(policy(retire_after=minutes(1)), World(load=100), fleet=fleet).promoted
    assert fleet.retired == [Version("v1")]


def test_a_fleet_of_two_lines_will_do() -> None:
    class Small:
        def survey(self, release: Release) -> dict[Track, Capacity]:
            return {
                Track.STABLE: Capacity(percent(100)),
                Track.CANDIDATE: Capacity(percent(20), why="2 of 10"),
            }

    story = simulate(policy(), World(load=100), fleet=Small())

    assert story.rolled_back
    assert "it can carry 20 % (2 of 10)" in story.why


def test_a_fleet_that_can_only_be_awaited_is_refused() -> None:
    class Later:
        async def asurvey(self, release: Release) -> dict[Track, Capacity]:
            return {}

    with pytest.raises(
        StrategyError,
        match=r"simulate\(fleet=\): .* has only asurvey, and nothing is awaited here; give it "
        r"survey too",
    ):
        simulate(policy(), World(), fleet=Later())


def test_a_reset_loses_counts_and_makes_none_up() -> None:
    reset = World(load=100, troubles=[troubles.CountersReset(minutes(7))])
    one, other = simulate(policy(), World(load=100)), simulate(policy(), reset)

    def counted(story: Story) -> int:
        return sum(measurement.sample for look in story.looks for _, measurement in look.tracks)

    assert counted(other) < counted(one)


def test_a_world_with_what_is_no_trouble_says_so() -> None:
    with pytest.raises(StrategyError, match=r"world.troubles: 'rain' is no trouble"):
        World(troubles=["rain"])  # type: ignore[list-item]


# ----------------------------------------------------------------------------- people, hooks, gates


def blue_green(**changes: Any) -> BlueGreen:
    given: dict[str, Any] = {
        "preview_hook": "smoke",
        "preview_checks": [Limit(ERRORS, at_most=percent(2))],
        "approval": Approval("go", within=hours(1), otherwise=Action.ROLL_BACK),
        "bake": minutes(5),
        "checks": [Limit(ERRORS, at_most=percent(2))],
        "retire_after": minutes(1),
    }
    return BlueGreen(**(given | changes))


def test_a_person_approves_in_time_or_does_not() -> None:
    yes = PersonAction(minutes(30), Approve, approval="go", by="eve", why="looks good")
    approved, silent = simulate(blue_green(), World(people=[yes])), simulate(blue_green(), World())

    assert approved.promoted
    assert [at for at, traffic in approved.weights if traffic.candidate.ppm] == [minutes(30)]
    assert silent.rolled_back
    assert not silent.exposed.requests, (
        "what the load test of the preview sent is no user's request"
    )


def test_a_preview_that_fails_its_load_test_gets_no_traffic() -> None:
    yes = PersonAction(timedelta(), Approve, approval="go", by="eve", why="looks good")
    story = simulate(blue_green(), World(people=[yes], candidate=Behaviour(errors=0.3)))

    assert story.rolled_back
    assert story.highest == percent(0)


@pytest.mark.parametrize(
    ("answer", "phase"),
    [
        (Stop("smoke test failed"), Phase.ROLLED_BACK),
        (NotYet(NOON, "warming up"), Phase.ROLLED_BACK),
    ],
)
def test_hooks_are_the_caller_s(answer: Any, phase: Phase) -> None:
    yes = PersonAction(timedelta(), Approve, approval="go", by="eve", why="looks good")

    assert (
        simulate(
            blue_green(), World(people=[yes]), hooks={"smoke": lambda key, release: answer}
        ).phase
        is phase
    )


ZZZ = PersonAction(minutes(1), Approve, approval="zzz", by="eve", why="looks good")
NO = PersonAction(minutes(1), Reject, approval="og", by="eve", why="looks bad")


@pytest.mark.parametrize(
    ("strategy", "world", "given", "said"),
    [
        (
            blue_green(),
            World(),
            {"hooks": {"smok": None}},
            r"simulate\(hooks=\): blue_green has no hook 'smok'; it has 'smoke'",
        ),
        (
            policy(),
            World(),
            {"hooks": {"nothere": None}},
            r"simulate\(hooks=\): canary has no hook 'nothere'; it has none",
        ),
        (
            policy(gates=["freeze", "day"]),
            World(),
            {"gates": {"freze": None}},
            r"\(gates=\): canary has no gate 'freze'; it has 'freeze', 'day'",
        ),
        (
            blue_green(),
            World(people=[ZZZ]),
            {},
            "World.people: Approve: blue_green has no approval 'zzz'; it has 'go'",
        ),
        (
            policy(),
            World(people=[NO]),
            {},
            "World.people: Reject: canary has no approval 'og'; it has none",
        ),
        (
            policy(),
            World(people=[NO]),
            {"hooks": {"nothere": None}, "gates": {"x": None}},
            "(?s)hook 'nothere'.*gate 'x'.*approval 'og'",
        ),
    ],
)
def test_a_name_that_the_plan_has_not_is_named_before_anything_is_simulated(
    strategy: Any, world: World, given: Any, said: str
) -> None:
    with pytest.raises(StrategyError, match=said):
        simulate(
            strategy,
            world,
            before_tick=lambda rollout: pytest.fail("something was simulated"),
            **given,
        )


def test_gates_are_the_caller_s() -> None:
    shut = World().start + hours(2)
    closed = {"freeze": lambda release, now: ClosedUntil(shut, "freeze") if now < shut else Open()}
    story = simulate(policy(gates=["freeze"]), World(), gates=closed)

    assert story.promoted
    assert story.duration > hours(2)
    told = [line for line in story.timeline().splitlines() if "gate freeze" in line]
    assert told == [
        "0:00:05  gate freeze: closed until 2026-01-01T02:00:00+00:00: freeze",
        "2:00:00  gate freeze: open",
    ]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: PersonAction(minutes(1), int, by="eve"), "nothing that a person says"),
        (lambda: PersonAction(5, Approve, approval="go", by="eve", why="x"), "use minutes"),  # type: ignore[arg-type]
        (lambda: Behaviour(errors="many"), "errors: 'many' is neither a finite number nor a curve"),
        (lambda: Behaviour(ratios={"x": None}), "neither a finite number nor a curve"),
        (lambda: World(load=float("nan")), "load: nan is neither"),
        (
            lambda: Behaviour(errors=20),
            r"Behaviour.errors: 20.0 is no fraction from 0 to 1; write percent\(20\)",
        ),
        (
            lambda: Behaviour(errors=-1),
            (
                r"Behaviour.errors: -1.0 is no fraction from 0 to 1; write a fraction, such as "
                r"0.05, or percent\(5\)"
            ),
        ),
        (
            lambda: Behaviour(errors=200),
            r"Behaviour.errors: 200.0 is no fraction from 0 to 1; write a fraction",
        ),
        (
            lambda: Behaviour(ratios={"paid": 2.5}),
            r"Behaviour.ratios\['paid'\]: 2.5 is no fraction from 0 to 1; write percent\(2.5\)",
        ),
        (
            lambda: Behaviour(ratios={"paid": -0.5}),
            r"Behaviour.ratios\['paid'\]: -0.5 is no fraction",
        ),
        (
            lambda: Behaviour(stubborn=90),
            r"Behaviour.stubborn: 90.0 is no fraction from 0 to 1; write percent\(90\)",
        ),
        (
            lambda: Latency(ms(40), ms(300), slower=0),
            r"Latency.slower: 0.0 must be above 0; 1 is as slow as the quantiles say",
        ),
        (lambda: Latency(ms(40), ms(300), slower=-2), "Latency.slower: -2.0 must be above 0"),
        (
            lambda: World(baseline=0.1),
            r"World.baseline: 0.1 is no Behaviour; write Behaviour\(\.\.\.\)",
        ),
        (lambda: World(users=100), r"World.users: 100 is no Users; write Users\(100\)"),
        (
            lambda: World(load=-5),
            r"World.load: -5.0 requests a second are none; it must be 0 or more",
        ),
        (
            lambda: World(preview=-0.5),
            r"World.preview: -0.5 requests a second are none; it must be 0 or more",
        ),
        (lambda: Latency(ms(40), ms(30)), "p99 .* must be more than the median"),
        (lambda: Users(0), "count"),
        (lambda: World(matched=0.5), r"World.matched: 0.5 is no Percent; write percent\(0.5\)"),
        (
            lambda: troubles.NotReady(able=30),
            r"NotReady.able: 30 is no Percent; write percent\(30\)",
        ),
        (
            lambda: troubles.NotReady(track="old"),
            "NotReady.track: 'old' is not one of 'stable', 'candidate', 'baseline'",
        ),
    ],
)
def test_a_world_that_makes_no_sense_says_what_does(wrong: Any, said: str) -> None:
    with pytest.raises(StrategyError, match=said):
        wrong()


def below_zero(moment: SimTime) -> float:
    return -1.0


def below_later(moment: SimTime) -> float:
    return -1.0 if moment.clock > World().start + minutes(6) else 50.0


@pytest.mark.parametrize(
    ("load", "said"),
    [
        (
            below_zero,
            (
                r"World.load: below_zero gives -1.0 at 2026-01-01T00:00:00\+00:00, which is no "
                r"load; it must be .* 0 or more"
            ),
        ),
        (lambda moment: float("nan"), "World.load: .*<lambda> gives nan at "),
        (lambda moment: float("inf"), "World.load: .*<lambda> gives inf at "),
        (lambda moment: None, "World.load: .*<lambda> gives None at "),
        (Ramp(1, 3, over=minutes(2)) * -1, r"World.load: _Of\(one=Ramp\(.* gives -1.0 at "),
        (
            Daily(low=-10, high=10, peak=0) * 1,
            r"World.load: .*Daily\(low=-10.0.* gives -.* at 2026-01-01T06:00:",
        ),
    ],
)
def test_a_load_that_can_t_be_sent_is_named_with_its_moment(load: Any, said: str) -> None:
    with pytest.raises(StrategyError, match=said):
        simulate(policy(bake=hours(3)), World(load=load))


def test_a_load_that_can_t_be_sent_while_a_port_is_called_is_no_failed_call() -> None:
    for answering in (ms(10), seconds(20)):
        with pytest.raises(StrategyError, match=r"World\.load: below_later gives -1\.0 at "):
            simulate(policy(), World(load=below_later, answering=answering))


def test_a_load_test_that_can_t_be_sent_is_named_with_its_moment() -> None:
    with pytest.raises(StrategyError, match=r"World.preview: below_zero gives -1.0 at 2026-01-01"):
        simulate(blue_green(), World(preview=below_zero))


# --------------------------------------------------------------------------------------- the curves


def moment(age: timedelta = timedelta(), hour: int = 0, share: float = 0.5) -> SimTime:
    return SimTime(
        age=age,
        clock=datetime.fromisoformat(f"2026-03-02T{hour:02}:00:00+00:00"),
        load=50.0,
        share=share,
    )


@pytest.mark.parametrize(
    ("value", "found"), [(0.1, 1.0), (0.01, 0.2), (Ramp(1, 3, over=minutes(2)), 20.0)]
)
def test_a_fraction_that_is_made_twenty_times_worse_is_all_at_the_most(
    value: Any, found: float
) -> None:
    worse = scaled(value, 20.0, most=1.0)

    assert at(worse, moment()) == found
    assert Behaviour(errors=worse).errors == worse


@pytest.mark.parametrize(
    ("curve", "when", "value"),
    [
        (After(minutes(20), 1, 5), moment(minutes(19)), 1.0),
        (After(minutes(20), 1, 5), moment(minutes(20)), 5.0),
        (Ramp(4, 1, over=minutes(3)), moment(), 4.0),
        (Ramp(4, 1, over=minutes(3)), moment(minutes(1)), 3.0),
        (Ramp(4, 1, over=minutes(3)), moment(hours(1)), 1.0),
        (Above(percent(30), percent(1), percent(20)), moment(share=0.3), 0.01),
        (Above(percent(30), percent(1), percent(20)), moment(share=0.31), 0.2),
        (Daily(low=2, high=10, peak=15), moment(hour=15), 10.0),
        (Daily(low=2, high=10, peak=15), moment(hour=3), 2.0),
        (Bursts(low=1, high=9, every=hours(1), lasting=minutes(5)), moment(hour=3), 9.0),
        (Ramp(1, 3, over=minutes(2)) * 2, moment(minutes(1)), 4.0),
        (1 + Ramp(1, 3, over=minutes(2)), moment(minutes(1)), 3.0),
        (After(timedelta(), 0, ms(250)), moment(), 0.25),
    ],
)
def test_a_curve_is_what_it_says(curve: Any, when: SimTime, value: float) -> None:
    assert curve(when) == pytest.approx(value)
    assert pickle.loads(pickle.dumps(curve)) == curve


# ------------------------------------------------------------------------------------- what is told


def test_a_story_is_told_in_one_line_and_in_many_and_drawn() -> None:
    story = simulate(policy(), World(load=50, candidate=Behaviour(errors=0.1)))

    assert repr(story).startswith("<Story: rolled back after ")
    assert "seen by" in repr(story)
    assert "0:00:00" in story.timeline(all=True)
    assert len(story.timeline().splitlines()) < len(story.timeline(all=True).splitlines())
    assert story.detected is not None and story.to_zero == timedelta()
    assert story.svg() == story._repr_svg_()
    assert (
        story.svg().startswith("<svg") and story.svg().count("<circle") > len(story.judgements) // 2
    )


def test_a_story_that_was_stopped_is_not_over() -> None:
    story = simulate(policy(), World(), until=minutes(7))

    assert story.phase is Phase.PROGRESSING
    assert not story.promoted and not story.rolled_back
    assert story.duration <= minutes(7)
    assert story.detected is None and story.to_zero is None


def test_what_can_t_be_driven_is_named_before_anything_is_simulated() -> None:
    without = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))

    with pytest.raises(StrategyError, match="gives a baseline traffic"):
        simulate(policy(baseline=percent(5)), World(), release=without)
