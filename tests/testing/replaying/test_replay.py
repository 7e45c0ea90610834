"""What if: what people ask, what recordings lack, what was said in them, and what is refused. The
laws are in `test_replay_laws`.
"""

from __future__ import annotations

import importlib
import random
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import pytest
from tests.support.paths import ROOT
from tests.support.recordings import (
    BASKET,
    LATENCY,
    QUEUE,
    Driver,
    Pairs,
    recorded,
    same,
    transcript,
)
from tests.support.world import ERRORS, RELEASE, START

from progressive import (
    Abort,
    Action,
    Analysis,
    Approve,
    BlueGreen,
    Budget,
    Canary,
    ClosedUntil,
    Go,
    Hold,
    Limit,
    Metric,
    NotYet,
    NoWorse,
    Open,
    Phase,
    Ports,
    PromoteNow,
    Release,
    Resume,
    RouterError,
    Skip,
    StateError,
    Stop,
    StrategyError,
    Tolerance,
    Track,
    Traffic,
    Version,
    hours,
    minutes,
    ms,
    percent,
    percents,
    seconds,
    start,
    submit,
    tick,
)
from progressive.codec import dumps_note
from progressive.errors import Failure
from progressive.model import (
    Capacity,
    Counts,
    Gauge,
    Histogram,
    Measurement,
    Moments,
    NoAnswer,
    NoData,
    Window,
)
from progressive.rollout.events import Measured
from progressive.rollout.notes import Asked, EventRecorded, Late, PhaseEntered
from progressive.steps import Approval, Pause, SetWeight
from progressive.steps.standard import Bake
from progressive.stores.file import FileStore
from progressive.stores.sqlite import SqliteStore
from progressive.testing import (
    Behaviour,
    Counted,
    MemoryFleet,
    MemoryRouter,
    MemoryStore,
    ScriptedMetrics,
    VirtualClock,
    World,
    notes_from,
    play,
    replay,
    simulate,
    steady,
)

# ---------------------------------------------------------------------------------- what people ask


def plain(metric: Metric, **more: Any) -> Limit:
    """A limit that judges each window alone, so that what it says is easy to count."""
    return Limit(metric, plain=True, **more)


def limit(at_most: float = 30, **more: Any) -> Limit:
    """A limit that is not there to stop anything."""
    return plain(ERRORS, at_most=percent(at_most), **more)


def usual(**changes: Any) -> Canary:
    """The strategy of most recordings: three weights, five minutes each, a look every half
    minute.
    """
    return Canary(
        **{"weights": percents(5, 50, 100), "bake": minutes(5), "checks": [limit()], **changes}
    )


def at(minute: float) -> datetime:
    return START + minutes(minute)


BAD = steady(50, stable=0.001, candidate=0.02)


@cache
def let_pass() -> Pairs:
    """The recording of a bad version that the usual strategy promoted."""
    return recorded(usual(), BAD)


def test_a_bad_version_that_a_lax_limit_promoted_would_have_been_stopped_by_a_comparison() -> None:
    recording = let_pass()
    found = replay(recording, usual(checks=[limit(), NoWorse(ERRORS)]), release=RELEASE)

    assert found.recorded.phase is Phase.PROMOTED
    assert (found.replayed.phase, found.stops_at, found.unknown_from) == (
        Phase.ROLLED_BACK,
        at(0.5),
        None,
    )
    assert found.why.startswith(
        "checks/error-rate-no-worse: worse: 30 events where 15.5 were expected: 30 times "
        "stable's rate (at least 2.9);"
    )
    assert found.exposed.of("error-rate") == Counts(events=30, trials=1_500)
    assert found.spared.of("error-rate") == Counts(events=870, trials=43_500)
    assert found.undecided.requests == 0
    assert [(note.at, note.check, note.verdict) for note in found.judgements] == [
        (at(0.5), "error-rate", "pass"),
        (at(0.5), "error-rate-no-worse", "fail"),
    ]


def test_a_false_alarm_would_not_have_stopped_a_version_that_asks_for_more_requests() -> None:
    """Three of the first hundred requests fail, and none after that."""

    def unlucky(track: Track, window: Window) -> Measurement:
        trials = round(5 * max(window.length.total_seconds(), 1))
        return Counts(
            events=3 if track is Track.CANDIDATE and window.start == at(0) and window.length else 0,
            trials=trials,
        )

    def policy(min_sample: int) -> Canary:
        return usual(
            checks=[
                plain(
                    ERRORS,
                    at_most=percent(1),
                    min_sample=min_sample,
                    tolerance=Tolerance(in_a_row=1),
                )
            ]
        )

    recording = recorded(policy(100), unlucky)
    found = replay(recording, policy(1_000), release=RELEASE)

    assert (found.recorded.phase, found.recorded.at) == (Phase.ROLLED_BACK, at(0.5))
    assert (found.stops_at, found.unknown_from) == (None, at(0.5))
    assert "went back (checks/error-rate: 2 % is above 1 %" in found.unknown_why
    assert [(each.check, each.recorded, each.replayed) for each in found.differences] == [
        ("checks/error-rate", "fail", "no_data")
    ]


def test_a_strategy_is_stopped_as_early_as_its_own_tolerance_says() -> None:
    recording = let_pass()
    strict = {
        row: plain(ERRORS, at_most=percent(1), tolerance=Tolerance(in_a_row=row))
        for row in (1, 2, 5)
    }
    found = {
        row: replay(recording, usual(checks=[check]), release=RELEASE).stops_at
        for row, check in strict.items()
    }

    assert found == {1: at(0.5), 2: at(1), 5: at(2.5)}


def test_a_tolerance_that_holds_stops_too_and_what_comes_after_it_is_up_to_a_person() -> None:
    check = plain(ERRORS, at_most=percent(1), tolerance=Tolerance(then=Action.HOLD))
    found = replay(let_pass(), usual(checks=[check]), release=RELEASE)

    assert (found.replayed.phase, found.stops_at, found.unknown_from) == (Phase.HELD, at(1), at(1))
    assert (
        found.unknown_why
        == "it would have been held, and whether somebody would have resumed it nobody knows"
    )
    assert (found.exposed.requests, found.spared.requests, found.undecided.requests) == (
        3_000,
        0,
        42_000,
    )


@pytest.mark.parametrize(
    ("changes", "until", "why"),
    [
        (
            {"weights": percents(10, 50, 100)},
            0,
            (
                "would have asked for 10 % candidate (step weight-10), where the recorded "
                "rollout asked for 5 %"
            ),
        ),
        (
            {"weights": percents(5, 100)},
            5,
            (
                "would have asked for 100 % candidate (step weight-100), where the recorded "
                "rollout asked for 50 %"
            ),
        ),
        (
            {"weights": percents(5, 20, 50, 100)},
            5,
            (
                "would have asked for 20 % candidate (step weight-20), where the recorded "
                "rollout asked for 50 %"
            ),
        ),
        (
            {"bake": minutes(4)},
            4,
            "where the recorded rollout stayed at 5 % candidate until 2026-03-01 12:05:00",
        ),
        (
            {"bake": minutes(6)},
            5,
            (
                "asked for 50 % candidate (step weight-50); this one would have stayed at 5 % "
                "candidate, waiting for a bake"
            ),
        ),
        (
            {"last_bake": minutes(9)},
            15,
            (
                "rollout was promoted; this one would have stayed at 100 % candidate, waiting "
                "for a bake of 9 min"
            ),
        ),
        (
            {"checks": [limit(min_sample=100_000)]},
            5,
            "waiting for checks/error-rate (15000 of the 100000 requests that a verdict needs",
        ),
        (
            {"bake": seconds(285)},
            4.75,
            "before going on it would have looked at error-rate up to here, which was not recorded",
        ),
    ],
)
def test_it_says_from_which_moment_on_the_traffic_would_have_differed(
    changes: dict[str, Any], until: float, why: str
) -> None:
    found = replay(let_pass(), usual(**changes), release=RELEASE)

    assert (found.stops_at, found.unknown_from) == (None, at(until))
    assert why in found.unknown_why
    assert found.spared.requests == 0
    assert found.exposed.requests + found.undecided.requests == 45_000


def test_a_shorter_last_bake_promotes_earlier_and_that_is_known() -> None:
    found = replay(let_pass(), usual(last_bake=minutes(2)), release=RELEASE)

    assert (found.replayed.phase, found.replayed.at, found.unknown_from) == (
        Phase.PROMOTED,
        at(12),
        None,
    )
    assert found.exposed.requests == 45_000  # the candidate is stable then, and nobody was spared


def test_a_version_that_would_go_back_in_other_traffic_than_the_recorded_is_unknown() -> None:
    """The comparison needs ten minutes here, and the other weights are others after five."""
    strategy = usual(weights=percents(5, 25, 100), checks=[limit(), NoWorse(ERRORS)], alpha=1e-9)
    found = replay(
        recorded(usual(), steady(50, stable=0.001, candidate=0.004)), strategy, release=RELEASE
    )

    assert (found.stops_at, found.unknown_from) == (None, at(5))


# ----------------------------------------------------------------------------- what recordings lack


@pytest.mark.parametrize(
    ("interval", "looks"), [(7, 10), (30, 10), (45, 5), (60, 5), (100, 3), (300, 1)]
)
def test_windows_of_another_interval_are_answered_by_those_that_lie_in_them_whole(
    interval: int, looks: int
) -> None:
    """Never cut, never counted twice, never taken more often than they were recorded, and none left
    out before a raise.
    """
    strategy = usual(interval=seconds(interval), checks=[limit(min_sample=1)])
    found = replay(let_pass(), strategy, release=RELEASE)
    judged = [note for note in found.judgements if note.at <= at(5)]

    assert (found.replayed, found.unknown_from, found.gaps) == (found.recorded, None, ())
    assert len(judged) == looks
    assert sum(dict(note.numbers)["candidate_sample"] for note in judged) == 15_000


@pytest.mark.parametrize(
    ("recorded_warmup", "warmup", "missing"), [(0, 60, 0), (60, 60, 0), (60, 0, 180), (60, 30, 90)]
)
def test_a_warmup_that_was_longer_leaves_gaps(
    recorded_warmup: int, warmup: int, missing: int
) -> None:
    recording = recorded(usual(warmup=seconds(recorded_warmup)), BAD)
    found = replay(recording, usual(warmup=seconds(warmup)), release=RELEASE)

    assert found.unknown_from is None
    assert sum(
        (gap.length for name, gap in found.gaps if name == "error-rate"), timedelta()
    ) == seconds(missing)
    assert ("gaps" in str(found)) == bool(missing)


def test_a_metric_that_was_never_recorded_is_named_and_nothing_is_known_past_the_first_raise() -> (
    None
):
    strategy = usual(checks=[limit(), plain(LATENCY, quantile=0.99, at_most=ms(400))])
    found = replay(let_pass(), strategy, release=RELEASE)

    assert found.missing == ("latency",)
    assert (found.stops_at, found.unknown_from) == (None, at(5))
    assert found.unknown_why.endswith(
        "this one would have stayed at 5 % candidate, waiting for the closing look at latency"
    )
    assert "missing    latency: the recorded rollout never looked at it" in str(found)


def test_a_metric_that_was_never_recorded_holds_nothing_against_the_candidate() -> None:
    """At 100 % there is no stable whose silence would excuse it, and a quarter of an hour of no
    data would be acted on.
    """
    switch = BlueGreen(bake=minutes(30), checks=[limit()])
    found = replay(
        recorded(switch, BAD),
        attrs.evolve(switch, checks=[plain(LATENCY, quantile=0.5, at_most=ms(1))]),
        release=RELEASE,
    )

    assert (found.replayed.phase, found.unknown_from) == (Phase.PROGRESSING, at(30))


def test_the_other_checks_stop_it_all_the_same() -> None:
    strategy = usual(checks=[plain(LATENCY, quantile=0.99, at_most=ms(400)), NoWorse(ERRORS)])
    found = replay(let_pass(), usual(checks=strategy.checks), release=RELEASE)

    assert (found.missing, found.stops_at, found.unknown_from) == (("latency",), at(0.5), None)


def spread(n: int, slow: int) -> Histogram:
    return Histogram(edges=(0.1, 0.4), cumulative=(n - slow - 1, n - slow, n))


@pytest.mark.parametrize(
    ("check", "bad", "good"),
    [
        (plain(LATENCY, quantile=0.9, at_most=ms(400)), spread(600, 200), spread(600, 1)),
        (
            Limit(BASKET, at_least=30.0),
            Moments(n=50, mean=29.5, m2=4.0),
            Moments(n=50, mean=40.0, m2=4.0),
        ),
        (Limit(QUEUE, at_most=40), Gauge(samples=(50.0, 60.0)), Gauge(samples=(3.0,))),
    ],
    ids=["histograms", "moments", "gauges"],
)
def test_every_kind_of_measurement_is_merged_and_judged(
    check: Limit, bad: Measurement, good: Measurement
) -> None:
    """Recorded under a check that only observes, every half minute; replayed with looks of a minute
    that decide.
    """

    def script(track: Track, window: Window) -> Measurement:
        return bad if track is Track.CANDIDATE else good

    watching = [limit(), attrs.evolve(check, observe=True)]
    recording = recorded(usual(checks=watching), {ERRORS: steady(50), check.metric: script})
    found = replay(recording, usual(checks=[limit(), check], interval=minutes(1)), release=RELEASE)

    assert found.recorded.phase is Phase.PROMOTED
    assert (found.replayed.phase, found.stops_at, found.unknown_from) == (
        Phase.ROLLED_BACK,
        at(2),
        None,
    )
    assert found.why.startswith(f"checks/{check.id}: ")


def remeasured(notes: Pairs, change: Callable[[Measured], Measured]) -> Pairs:
    """The same recording, if its looks had been answered otherwise."""
    return [
        (
            id,
            attrs.evolve(note, event=change(note.event))
            if isinstance(note, EventRecorded) and isinstance(note.event, Measured)
            else note,
        )
        for id, note in notes
    ]


def test_a_query_that_changed_is_not_merged_with_the_one_before() -> None:
    def asked_anew(event: Measured) -> Measured:
        return attrs.evolve(
            event,
            look=attrs.evolve(
                event.look, query="q", fingerprint="q2" if event.at > at(1.5) else "q1"
            ),
        )

    changed = remeasured(let_pass(), asked_anew)
    found = replay(
        changed, usual(interval=minutes(1), checks=[limit(min_sample=1)]), release=RELEASE
    )
    anew = [note for note in found.notes if note.kind == "unjudged"]

    assert found.unknown_from is None
    assert [(note.at, note.why) for note in anew] == [
        (at(2.5), "the query changed; its evidence starts anew")
    ]
    assert [
        dict(note.numbers)["candidate_sample"] for note in found.judgements if note.at <= at(2)
    ] == [3_000, 1_500]


def test_buckets_that_changed_are_not_merged_either() -> None:
    def rebuilt(track: Track, window: Window) -> Measurement:
        return (
            spread(600, 1)
            if window.end <= at(1.5)
            else Histogram(edges=(0.2,), cumulative=(599, 600))
        )

    check = plain(LATENCY, quantile=0.9, at_most=ms(400), min_sample=1)
    recording = recorded(usual(checks=[check, limit()]), {ERRORS: steady(50), LATENCY: rebuilt})
    found = replay(recording, usual(checks=[check, limit()], interval=minutes(1)), release=RELEASE)
    samples = [
        dict(note.numbers)["candidate_sample"]
        for note in found.judgements
        if note.check == "latency-p90" and note.at <= at(3)
    ]

    assert found.unknown_from is None
    assert samples == [1_200, 600, 1_200]


def test_looks_of_two_analyses_are_counted_once_and_each_answers_its_own() -> None:
    """The same requests, looked at every half minute and every two minutes."""
    slow = Analysis("slow", checks=[limit(min_sample=1)], interval=minutes(2))
    strategy = usual(analyses=[slow], guards=["slow"])
    recording = recorded(strategy, BAD)
    found = replay(recording, strategy, release=RELEASE)
    alone = replay(
        recording,
        Canary(weights=percents(5, 50, 100), bake=minutes(5), analyses=[slow], guards=["slow"]),
        release=RELEASE,
    )

    assert same(found) and found.exposed.requests == 45_000
    assert [note.at for note in alone.judgements][:3] == [at(2), at(4), at(5)]
    assert alone.unknown_from is None


def test_an_analysis_of_another_name_is_answered_by_whatever_was_recorded() -> None:
    other = Canary(
        weights=percents(5, 50, 100),
        bake=minutes(5),
        analyses=[Analysis("other", checks=[NoWorse(ERRORS), limit()])],
        guards=["other"],
    )
    found = replay(let_pass(), other, release=RELEASE)

    assert (found.stops_at, found.unknown_from, found.differences) == (at(0.5), None, ())


def test_a_provider_that_was_down_is_down_in_the_replay_too() -> None:
    """For four minutes; a strategy that tolerates three of them would have gone back."""

    def down(track: Track, window: Window) -> Measurement:
        return NoAnswer("503") if at(1) < window.end < at(5) else Counts(events=0, trials=1_000)

    def policy(within: float) -> Canary:
        return usual(
            checks=[
                limit(
                    tolerance=Tolerance(
                        no_answer=Budget(within=minutes(within), then=Action.ROLL_BACK)
                    )
                )
            ]
        )

    recording = recorded(policy(15), down)

    assert same(replay(recording, policy(15), release=RELEASE))
    assert replay(recording, policy(3), release=RELEASE).replayed.at == at(4)
    assert replay(recording, policy(3), release=RELEASE).why == "checks/error-rate: 503"


def test_an_answer_about_another_time_than_was_asked_is_none_in_the_replay_either() -> None:
    def elsewhere(event: Measured) -> Measured:
        early = Window(event.look.window.start - hours(2), event.look.window.start - hours(1))
        return (
            attrs.evolve(event, look=attrs.evolve(event.look, covered=early))
            if at(1) < event.at <= at(2)
            else event
        )

    impatient = limit(tolerance=Tolerance(no_answer=Budget(looks=1, then=Action.ROLL_BACK)))
    found = replay(remeasured(let_pass(), elsewhere), usual(checks=[impatient]), release=RELEASE)

    assert (found.replayed.phase, found.stops_at) == (Phase.ROLLED_BACK, at(2))
    assert found.why == "checks/error-rate: it covered another time than was asked"


def test_a_counter_that_could_not_be_opened_is_opened_when_it_was() -> None:
    """Its first reading after each raise fails for a minute; what is counted begins when it is
    there.
    """
    counter = attrs.evolve(ERRORS, counter=True)

    def closed(track: Track, window: Window) -> Measurement:
        silent = not window.length and (window.end - START) % minutes(5) < minutes(1)
        return NoAnswer("not yet") if silent else Counts(events=0, trials=1_000)

    strategy = usual(checks=[plain(counter, at_most=percent(1))])
    for rng in (None, random.Random(1)):
        recording = Driver(strategy, closed, rng).record()

        assert any(
            isinstance(note, EventRecorded) and "not yet" in str(note) for _, note in recording
        )
        assert same(replay(recording, strategy, release=RELEASE))


def test_a_recording_that_ends_in_the_middle_says_so() -> None:
    recording = [(id, note) for id, note in let_pass() if note.at <= at(7)]
    found = replay(recording, usual(), release=RELEASE)

    assert (found.recorded.phase, found.recorded.at, found.recorded.why) == (
        Phase.PROGRESSING,
        at(7),
        "the recording ends here",
    )
    assert (found.replayed.phase, found.stops_at, found.unknown_from) == (
        Phase.PROGRESSING,
        None,
        at(7),
    )
    assert found.unknown_why.startswith(
        "the recording ends here; this one would have stayed at 50 % candidate, waiting for a bake"
    )
    assert (
        replay(recording, usual(checks=[NoWorse(ERRORS), limit()]), release=RELEASE).unknown_from
        is None
    )


def test_a_recording_that_ends_before_the_other_strategy_goes_on_says_so() -> None:
    recording = [(id, note) for id, note in let_pass() if note.at <= at(4.5)]
    found = replay(recording, usual(bake=minutes(4)), release=RELEASE)

    assert (found.stops_at, found.unknown_from) == (None, at(4))
    assert (
        found.unknown_why
        == "it would have asked for 50 % candidate (step weight-50), where the recorded "
        "rollout stayed at 5 % candidate"
    )


def test_what_was_not_recorded_as_a_counter_is_one_from_where_it_is_asked_for() -> None:
    counter = attrs.evolve(ERRORS, counter=True)

    assert same(
        replay(let_pass(), usual(checks=[plain(counter, at_most=percent(30))]), release=RELEASE)
    )


def test_a_visit_that_is_cut_short_goes_on_at_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    rerun = importlib.import_module("progressive.testing.replaying.rerun")
    monkeypatch.setattr(rerun, "ROUNDS", 3)
    found = replay(let_pass(), usual(), release=RELEASE)

    assert (found.stops_at, found.unknown_from is None or found.unknown_from > at(0)) == (
        None,
        True,
    )


def test_a_recording_that_ends_in_a_hold_waits_for_a_person_too() -> None:
    check = plain(ERRORS, at_most=percent(1), tolerance=Tolerance(then=Action.HOLD))
    whole = recorded(usual(checks=[check]), BAD)
    held = next(
        i
        for i, (_, note) in enumerate(whole)
        if isinstance(note, PhaseEntered) and note.phase == "held"
    )
    found = replay(whole[: held + 1], usual(checks=[check]), release=RELEASE)

    assert found.recorded == found.replayed
    assert (found.recorded.phase, found.unknown_from) == (Phase.HELD, at(1))
    assert found.unknown_why.startswith("the recording ends here; this one would have stayed at")


def test_a_rollout_that_never_began_tells_nothing() -> None:
    recording = recorded(usual(), lambda track, window: NoData("nobody is there"))
    found = replay(recording, usual(), release=RELEASE)

    assert (found.recorded.phase, found.replayed.phase, found.unknown_from) == (
        Phase.ROLLED_BACK,
        Phase.PENDING,
        at(5),
    )
    assert "never began (preflight took longer than 5 min" in found.unknown_why
    assert found.exposed == Counted() and "exposed    nothing that was counted" in str(found)


def test_requests_of_a_load_test_are_judged_and_are_nobodys() -> None:
    """Preview checks on traffic that no router sent: a stricter one would have stopped it, and no
    user was ever exposed.
    """
    green = BlueGreen(preview_checks=[limit()], preview_count=2, bake=minutes(5), checks=[limit()])
    recording = recorded(green, BAD)
    found = replay(recording, attrs.evolve(green, preview_checks=[limit(1)]), release=RELEASE)

    assert (found.replayed.phase, found.stops_at) == (Phase.ROLLED_BACK, at(1))
    assert (found.exposed.requests, found.spared.requests) == (0, 15_000)


# ---------------------------------------------------------------------- people, hooks and strangers


def said_at(minute: float, *events: Any, store: Any, clock: VirtualClock) -> Callable[[Any], None]:
    """Submits each event once, when its time has come."""
    waiting = list(events)

    def say(rollout: Any) -> None:
        while waiting and clock() >= at(minute):
            submit(store, "played", attrs.evolve(waiting.pop(0), at=clock()))

    return say


def told(strategy: Any, *words: tuple[float, Any], script: Any = BAD, **more: Any) -> Pairs:
    """A recording in which people say something."""
    store, clock = MemoryStore(), VirtualClock(START)
    sayings = [said_at(minute, event, store=store, clock=clock) for minute, event in words]

    def before(rollout: Any) -> None:
        for say in sayings:
            say(rollout)

    play(
        strategy,
        RELEASE,
        store=store,
        clock=clock,
        before_tick=before,
        metrics=[ScriptedMetrics({ERRORS: script})],
        **more,
    )
    return list(store.notes("played"))


EVE: dict[str, Any] = {"at": START, "by": "eve", "why": "she knows"}


@pytest.mark.parametrize(
    "words",
    [
        [(2, Hold(**EVE)), (20, Resume(**EVE))],
        [
            (2, Hold(**EVE)),
            (3, Hold(cause="lunch", **EVE)),
            (9, Resume(**EVE)),
            (12, Resume(cause="lunch", **EVE)),
        ],
        [(7, Abort(**EVE))],
        [(2, PromoteNow(**EVE))],
        [(2, Hold(**EVE)), (4, PromoteNow(waive=("hold:person",), **EVE))],
        [(2, Hold(within=minutes(10), **EVE))],
        [(2, Approve(approval="nothing", **EVE))],
    ],
    ids=lambda words: "-".join(event.kind for _, event in words),
)
def test_people_say_what_they_said(words: list[tuple[float, Any]]) -> None:
    recording = told(usual(), *words)
    notes = [note for _, note in recording]
    random.Random(1).shuffle(notes)

    assert same(replay(recording, usual(), release=RELEASE))
    assert same(replay(notes, usual(), release=RELEASE))


def test_what_is_said_after_nothing_is_known_any_more_changes_nothing() -> None:
    """Between two ticks somebody skips a step, and somebody else holds it there. The other strategy
    goes on to another weight.
    """
    store, clock = MemoryStore(), VirtualClock(START)
    ports = Ports(
        router=MemoryRouter(), metrics=[ScriptedMetrics({ERRORS: BAD})], store=store, clock=clock
    )
    rollout = start(usual(), RELEASE, id="played", ports=ports)
    while clock() < at(2):
        rollout = tick("played", ports).rollout
        clock.until(rollout.wake_at or at(2))
    submit(store, "played", Skip(epoch=rollout.epoch, **{**EVE, "at": clock() - seconds(2)}))
    submit(store, "played", Hold(**{**EVE, "at": clock() - seconds(1)}))
    found = replay(store.notes("played"), usual(weights=percents(5, 20, 100)), release=RELEASE)

    assert found.unknown_why.startswith("it would have asked for 20 % candidate")


def test_a_step_that_was_skipped_is_skipped_whatever_its_epoch_would_have_been() -> None:
    """The other strategy has one more step before it, so everything has a higher epoch."""
    first, *bakes = (
        SetWeight(percent(5)),
        Bake(minutes(30), id="long"),
        SetWeight(percent(100)),
        Bake(minutes(2), id="last"),
    )
    store, clock = MemoryStore(), VirtualClock(START)

    def skip(rollout: Any) -> None:
        if clock() >= at(4) and rollout.plan.steps[rollout.progress.step].id == "long":
            submit(store, "played", Skip(epoch=rollout.epoch, **{**EVE, "at": clock()}))

    strategy = Canary(steps=[first, *bakes], checks=[limit()])
    play(
        strategy,
        RELEASE,
        store=store,
        clock=clock,
        before_tick=skip,
        metrics=[ScriptedMetrics({ERRORS: BAD})],
    )
    found = replay(
        store.notes("played"),
        Canary(steps=[first, Pause(minutes(1)), *bakes], checks=[limit()]),
        release=RELEASE,
    )

    assert (found.replayed.phase, found.unknown_from) == (Phase.PROMOTED, None)


def test_what_a_person_waived_is_waived_as_far_as_the_other_strategy_has_it() -> None:
    strict = plain(ERRORS, at_most=percent(1), tolerance=Tolerance(then=Action.HOLD), id="strict")
    recording = told(
        usual(checks=[strict, limit()]),
        (3, Resume(cause="checks/strict", waive=("strict",), **EVE)),
    )

    assert same(replay(recording, usual(checks=[strict, limit()]), release=RELEASE))
    assert replay(recording, usual(), release=RELEASE).unknown_from == at(
        5
    )  # it was not held, and is two minutes ahead


def test_an_approval_that_was_given_counts_and_one_that_was_not_is_waited_for() -> None:
    def asks(name: str) -> Canary:
        steps = [
            SetWeight(percent(10)),
            Approval(name, within=hours(2), otherwise=Action.HOLD),
            SetWeight(percent(100)),
            Bake(minutes(3)),
        ]
        return Canary(steps=steps, checks=[limit()])

    recording = told(asks("go"), (4, Approve(approval="go", **EVE)))

    assert same(replay(recording, asks("go"), release=RELEASE))
    assert (
        "waiting for somebody to approve 'other'"
        in replay(recording, asks("other"), release=RELEASE).unknown_why
    )


def test_hooks_answer_as_they_did_and_one_that_was_never_called_is_waited_for() -> None:
    def smoke(name: str) -> BlueGreen:
        return BlueGreen(preview_hook=name, bake=minutes(3), checks=[limit()])

    asked: list[str] = []

    def hook(key: str, release: Release) -> Any:
        asked.append(key)
        return Go() if len(asked) > 2 else NotYet(at(len(asked)), "still warm")

    recording = recorded(smoke("smoke"), BAD, hooks={"smoke": hook})

    assert same(replay(recording, smoke("smoke"), release=RELEASE))
    assert (
        "waiting for hook 'load' to answer"
        in replay(recording, smoke("load"), release=RELEASE).unknown_why
    )


def test_a_hook_that_said_stop_says_stop() -> None:
    smoke = BlueGreen(preview_hook="smoke", bake=minutes(3), checks=[limit()])
    found = replay(
        recorded(smoke, BAD, hooks={"smoke": lambda key, release: Stop("the shop is shut")}),
        smoke,
        release=RELEASE,
    )

    assert same(found) and "the shop is shut" in found.why


def test_a_gate_is_closed_as_long_as_it_was() -> None:
    def night(release: Release, now: datetime) -> Any:
        return ClosedUntil(at(20), "night") if at(3) < now < at(20) else Open()

    recording = recorded(usual(gates=["day"]), BAD, gates={"day": night})

    assert same(replay(recording, usual(gates=["day"]), release=RELEASE))
    assert replay(recording, usual(), release=RELEASE).unknown_from == at(
        5
    )  # without the gate it is up and away


def test_instances_are_as_ready_as_they_were() -> None:
    fleet, clock = MemoryFleet(), VirtualClock(START)
    fleet.capacities[Track.CANDIDATE] = Capacity(percent(20))
    store = MemoryStore()

    def scale(rollout: Any) -> None:
        if clock() >= at(9):
            fleet.capacities[Track.CANDIDATE] = Capacity(percent(100))

    play(
        usual(),
        RELEASE,
        fleet=fleet,
        clock=clock,
        store=store,
        before_tick=scale,
        metrics=[ScriptedMetrics({ERRORS: BAD})],
    )
    recording = list(store.notes("played"))

    assert next(
        note
        for _, note in recording
        if isinstance(note, Asked) and note.traffic.candidate == percent(50)
    ).at > at(8)
    assert same(replay(recording, usual(), release=RELEASE))


@pytest.mark.parametrize("weights", [(80,), (80, 80), (80, 80, 80), (1,), (1, 1)])
def test_strangers_edit_what_they_edited(weights: tuple[int, ...]) -> None:
    router, clock, store, left = MemoryRouter(), VirtualClock(START), MemoryStore(), list(weights)

    def stranger(rollout: Any) -> None:
        if left and clock() >= at(2) and rollout.routing.verified_since is not None:
            router.edit(Traffic(candidate=percent(left.pop())))

    play(
        usual(),
        RELEASE,
        router=router,
        clock=clock,
        store=store,
        before_tick=stranger,
        metrics=[ScriptedMetrics({ERRORS: BAD})],
    )

    notes = [note for _, note in store.notes("played")]
    random.Random(1).shuffle(notes)

    assert same(replay(store.notes("played"), usual(), release=RELEASE))
    assert same(replay(notes, usual(), release=RELEASE))


@attrs.define
class Broken(MemoryRouter):
    """A router that can't be read or written at some times."""

    clock: Any = None
    unread: tuple[datetime, datetime] = (START, START)
    unwritten: tuple[datetime, datetime] = (START, START)
    failure: Failure = Failure.TRANSIENT

    def read(self, release: Release) -> Any:
        if self.unread[0] < self.clock() < self.unread[1]:
            raise RouterError("connection refused")
        return MemoryRouter.read(self, release)

    def apply(self, release: Release, traffic: Traffic, **more: Any) -> Any:
        if self.unwritten[0] < self.clock() < self.unwritten[1]:
            raise RouterError("no", failure=self.failure)
        return MemoryRouter.apply(self, release, traffic, **more)


@pytest.mark.parametrize(
    "broken",
    [
        {"unread": (at(2), at(4))},
        {"unread": (at(2), at(30))},
        {"unwritten": (at(4), at(7))},
        {"unwritten": (at(4), at(7)), "failure": Failure.UNKNOWN},
        {"unwritten": (at(4), at(30))},
    ],
    ids=str,
)
def test_a_router_fails_as_it_failed(broken: dict[str, Any]) -> None:
    clock, store = VirtualClock(START), MemoryStore()
    play(
        usual(),
        RELEASE,
        router=Broken(clock=clock, **broken),
        clock=clock,
        store=store,
        metrics=[ScriptedMetrics({ERRORS: BAD})],
    )

    assert same(replay(store.notes("played"), usual(), release=RELEASE))


def test_a_driver_that_was_away_is_not_said_to_have_watched() -> None:
    """For ten minutes nobody came by; that was no bake time, and is none in the replay."""
    store, clock = MemoryStore(), VirtualClock(START)

    def sleeps(rollout: Any) -> None:
        if at(2) <= clock() < at(3):
            clock.advance(minutes(10))

    play(
        usual(),
        RELEASE,
        clock=clock,
        store=store,
        before_tick=sleeps,
        metrics=[ScriptedMetrics({ERRORS: BAD})],
    )
    notes = [note for _, note in store.notes("played")]

    assert [note for note in notes if isinstance(note, Late)]
    assert same(replay(notes, usual(), release=RELEASE))


def test_what_was_taken_back_by_hand_is_not_laid_to_the_other_strategy() -> None:
    """The trail has no event for it; so nobody knows, and the reason that was recorded is told."""
    rollout, notes = transcript("taken_back_by_hand")
    found = replay(notes, rollout, release=rollout.release)

    assert (found.stops_at, found.unknown_from) == (None, found.recorded.at)
    assert "its marker on the router was closed: taken back by hand" in found.unknown_why


def test_from_where_the_clock_stepped_back_nothing_is_known() -> None:
    rollout, notes = transcript("canary_with_everything")
    found = replay(notes, rollout, release=rollout.release)

    assert "the clock of the recorded rollout stepped back" in found.unknown_why
    assert found.unknown_from == datetime.fromisoformat("2026-03-01T12:07:58Z")


# --------------------------------------------------------------------------------- stores and files


def test_any_store_gives_what_is_needed(tmp_path: Path) -> None:
    expected = replay(let_pass(), usual(checks=[limit(), NoWorse(ERRORS)]), release=RELEASE)
    for store in (SqliteStore(tmp_path / "rollouts.db"), FileStore(tmp_path / "rollouts")):
        recorded(usual(), BAD, store=store)

        assert (
            replay(store.notes("played"), usual(checks=[limit(), NoWorse(ERRORS)]), release=RELEASE)
            == expected
        )
        assert same(replay(store.notes("played"), store.load("played"), release=RELEASE))


def test_a_file_of_notes_is_read(tmp_path: Path) -> None:
    notes = [note for _, note in let_pass()]
    path = tmp_path / "notes.jsonl"
    path.write_text("\n".join(["", *map(dumps_note, notes), "", ""]), encoding="utf-8")

    assert notes_from(path) == tuple(notes)
    assert same(replay(notes_from(str(path)), usual(), release=RELEASE))


def test_the_journal_of_a_file_store_is_such_a_file_up_to_its_last_whole_save(
    tmp_path: Path,
) -> None:
    store = FileStore(tmp_path)
    recorded(usual(), BAD, store=store)
    path = tmp_path / "played.notes"
    with path.open("ab") as file:
        file.write(path.read_bytes().splitlines()[0] + b'\n{"kind":"asked","at":"2026-')

    assert notes_from(path) == tuple(note for _, note in store.notes("played"))
    assert same(replay(notes_from(path), usual(), release=RELEASE))


def test_a_story_tells_its_own_release() -> None:
    story = simulate(usual(), World(load=50, candidate=Behaviour(errors=0.02)))
    found = replay(story, usual(checks=[limit(), NoWorse(ERRORS)]))

    assert (story.promoted, found.replayed.phase, found.release) == (
        True,
        Phase.ROLLED_BACK,
        story.rollout.release,
    )
    assert (
        replay(story.notes, usual(checks=[limit(), NoWorse(ERRORS)]), release=story.rollout.release)
        == found
    )


def test_a_release_is_for_the_texts_only() -> None:
    """A stored rollout has its own; otherwise somebody's."""
    store = MemoryStore()
    notes = recorded(usual(), BAD, store=store)
    stored = store.load("played")

    assert stored is not None
    assert same(replay(notes, stored)) and replay(notes, stored).release == RELEASE
    assert same(replay(notes, usual()))
    assert str(replay(notes, usual())).startswith(
        "What if: candidate (new) of recorded, times in UTC"
    )


@pytest.mark.parametrize(
    ("line", "place", "why"),
    [
        (
            b"nonsense",
            "line 3: $",
            "not JSON: .*; each line must be one whole note as dumps_note writes it; mend this one",
        ),
        (b'{"kind":"judged"}', "line 3: $", "each line must be one whole note"),
        (
            b'{"kind":"asked","at":"2026-03-01T12:00:00Z","traffic":{"candidate":"5"},"why":"x"}',
            r"line 3: \$.traffic.candidate",
            "each line",
        ),
        (b'{"kind":"verified","at":"2026-03-01T12:0', "line 3: $", "not JSON"),
        (b"\xff\xfe", "line 3: $", "each line must be"),
    ],
)
def test_a_line_that_is_no_note_is_named_with_its_mend(
    line: bytes, place: str, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "notes.jsonl"
    good = dumps_note(let_pass()[0][1]).encode()
    path.write_bytes(b"\n".join([good, b"", line, good]))

    with pytest.raises(StateError, match=why) as caught:
        notes_from(path)
    assert caught.value.path.startswith(f"{path}, {place.replace(chr(92), '')}")


def test_a_file_that_is_not_there_is_the_systems_own_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        notes_from(tmp_path / "nothing.jsonl")


# ---------------------------------------------------------------------------------- what is refused

SHORT = recorded(usual(weights=percents(100), bake=minutes(1)), BAD)
OTHER = [
    (id.replace("played", "other"), note) for id, note in recorded(usual(bake=minutes(2)), BAD)
]
FIRST = next(i for i, (_, note) in enumerate(SHORT) if isinstance(note, PhaseEntered))


@pytest.mark.parametrize(
    ("notes", "why"),
    [
        (
            [],
            (
                r"there are none; pass store.notes\(id\) of a rollout that was driven, or "
                r"notes_from\(path\)"
            ),
        ),
        (["a"], r"replay\(notes\)\[0\]: 'a' is no note; pass store.notes\(id\)"),
        (
            [SHORT[0], ("played/0/0", "a")],
            r"replay\(notes\)\[1\]: \('played/0/0', 'a'\) is no note",
        ),
        (
            [("played", SHORT[0][1])],
            (
                r"replay\(notes\)\[0\]: 'played' is no id of a note; a store gives pairs such "
                r"as \('shop-v2/7/0', note\)"
            ),
        ),
        (
            [*SHORT, *OTHER],
            "they are of more than one rollout: 'other' and 'played'; pass those of one",
        ),
        (
            [note for _, note in (*SHORT, *OTHER)],
            "they are of more than one rollout: one that says 'progressing .*' and one that says '",
        ),
        ([*SHORT, (SHORT[0][0], SHORT[1][1])], "more than one rollout: .*, under the same id"),
        (
            SHORT[FIRST + 1 :],
            (
                r"the beginning is missing, .* has epoch \d \(progressing bake-100: weight-100 "
                r"is done\); pass all notes"
            ),
        ),
    ],
)
def test_notes_that_are_not_those_of_one_rollout_are_refused(notes: list[Any], why: str) -> None:
    with pytest.raises(StrategyError, match=why):
        replay(notes, usual(), release=RELEASE)


def test_a_metric_that_was_recorded_as_another_kind_is_refused() -> None:
    strategy = usual(
        checks=[
            plain(Metric("error-rate", kind="latency"), quantile=0.9, at_most=ms(4)),
            Limit(QUEUE, at_most=4),
        ]
    )

    with pytest.raises(
        StrategyError,
        match="metric 'error-rate': it was recorded as a ratio, the strategy means a latency; "
        "give it another name",
    ):
        replay(SHORT, strategy, release=RELEASE)


def test_a_rollout_has_no_notes_in_it() -> None:
    store = MemoryStore()
    recorded(usual(), BAD, store=store)

    with pytest.raises(
        StrategyError,
        match=r"replay\(notes\): Rollout\(...\) has no notes; pass store.notes\(id\), "
        r"notes_from\(path\) or a Story",
    ):
        replay(store.load("played"), usual())  # type: ignore[arg-type]


def test_the_path_of_a_file_is_not_its_notes() -> None:
    for path in ("notes.jsonl", Path("notes.jsonl"), b"notes.jsonl"):
        with pytest.raises(
            StrategyError,
            match=r"^replay\(notes\): .*notes.jsonl'.* is no note; to read them from a file, use "
            r"notes_from\(path\)$",
        ):
            replay(path, usual(), release=RELEASE)  # type: ignore[arg-type]


def test_what_has_no_plan_and_a_release_without_a_way_back_are_refused() -> None:
    with pytest.raises(
        StrategyError,
        match=r"'canary' has no plan; pass a Canary\(...\), a BlueGreen\(...\) or a stored Rollout",
    ):
        replay(SHORT, "canary", release=RELEASE)  # type: ignore[arg-type]
    with pytest.raises(StrategyError, match="no stable version"):
        replay(
            SHORT, usual(), release=Release(service="shop", stable=None, candidate=Version("v2"))
        )


# ------------------------------------------------------------------------------------- what is said


def test_it_is_said_so_that_a_person_on_call_understands_it() -> None:
    found = replay(let_pass(), usual(checks=[limit(), NoWorse(ERRORS)]), release=RELEASE)

    stop = (
        "rolled back at 2026-03-01 12:00:30: checks/error-rate-no-worse: worse: 30 events "
        "where 15.5 were expected: "
    )
    stop += "30 times stable's rate (at least 2.9); p is one in 5,700,000, alarm at 0.01"
    end = "promoted at 2026-03-01 12:15:00: every step is done, bake-100 was the last"

    assert str(found).splitlines() == [
        "What if: candidate (v2) of shop, times in UTC",
        f"  recorded   {end}",
        f"  replayed   {stop} (14 min 30 s before the recorded end)",
        "  known      to the end",
        "  exposed    1,500 requests: error-rate 30 of 1,500",
        "  spared     43,500 requests: error-rate 870 of 43,500",
    ]
    assert repr(found) == f"<Replay of shop: {stop}; recorded: {end}; known to the end>"
    assert repr(found.spared) == "<Counted: 43,500 requests: error-rate 870 of 43,500>"


@pytest.mark.parametrize(
    ("lax", "strict", "bad", "good", "values"),
    [
        (
            plain(LATENCY, quantile=0.5, at_most=ms(400)),
            plain(LATENCY, quantile=0.9, at_most=ms(400)),
            spread(600, 200),
            spread(600, 1),
            600,
        ),
        (
            Limit(BASKET, at_least=20.0),
            Limit(BASKET, at_least=30.0),
            Moments(n=50, mean=29.5, m2=4.0),
            Moments(n=50, mean=40.0, m2=4.0),
            50,
        ),
    ],
    ids=["latency", "mean"],
)
def test_without_a_ratio_the_values_are_the_requests(
    lax: Limit, strict: Limit, bad: Measurement, good: Measurement, values: int
) -> None:
    """Ten looks in each of three weights: the second stops it, the others would have been
    spared.
    """
    recording = recorded(
        usual(checks=[lax]),
        {lax.metric: lambda track, window: bad if track is Track.CANDIDATE else good},
    )
    found = replay(recording, usual(checks=[strict]), release=RELEASE)
    name = lax.metric.name

    assert (found.stops_at, found.exposed.requests) == (at(1), 2 * values)
    assert found.spared == Counted(values=((name, 28 * values),))
    assert str(found).splitlines()[4:6] == [
        f"  exposed    {2 * values:,} requests: {name} {2 * values:,} values",
        f"  spared     {28 * values:,} requests: {name} {28 * values:,} values",
    ]


def test_with_a_ratio_its_trials_are_the_requests_and_a_level_counts_none() -> None:
    checks = [limit(), plain(LATENCY, quantile=0.9, at_most=ms(400)), Limit(QUEUE, at_most=40)]
    scripts = {
        ERRORS: BAD,
        LATENCY: lambda track, window: spread(9_000, 1),
        QUEUE: lambda track, window: Gauge(samples=(3.0,)),
    }
    found = replay(recorded(usual(checks=checks), scripts), usual(checks=checks), release=RELEASE)
    level = usual(checks=[Limit(QUEUE, at_most=40)])

    assert str(found.exposed) == "45,000 requests: error-rate 900 of 45,000"
    assert found.exposed.values == (("latency", 30 * 9_000),)
    assert (
        str(replay(recorded(level, scripts), level, release=RELEASE).exposed)
        == "nothing that was counted"
    )


def test_what_is_not_known_is_said_too() -> None:
    found = replay(let_pass(), usual(bake=minutes(6)), release=RELEASE)

    why = "the recorded rollout asked for 50 % candidate (step weight-50); "
    why += "this one would have stayed at 5 % candidate, waiting for a bake of 6 min, watched"

    assert str(found).splitlines()[3:] == [
        f"  known      until 2026-03-01 12:05:00: {why}",
        "  exposed    15,000 requests: error-rate 300 of 15,000",
        "  spared     nothing that was counted",
        "  undecided  30,000 requests: error-rate 600 of 30,000",
    ]
    assert repr(found).endswith("; known until 2026-03-01 12:05:00>")


def test_the_page_shows_what_is_printed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "how-to" / "what-if.md").read_text(encoding="utf-8")
    first, second, *_ = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    [shown] = re.findall(r"^```text\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    exec(first + second, {})

    assert capsys.readouterr().out == shown


def test_the_first_difference_of_each_check_is_shown() -> None:
    found = replay(
        let_pass(), usual(checks=[limit(1, tolerance=Tolerance(in_a_row=3))]), release=RELEASE
    )

    assert len(found.differences) == 3
    assert [line for line in str(found).splitlines() if "otherwise" in line] == [
        (
            "  otherwise  checks/error-rate: fail instead of pass at 2026-03-01 12:00:30: 2 % "
            "is above 1 % (1500 requests)"
        )
    ]


def test_a_replay_is_a_value() -> None:
    one, other, third = (
        replay(SHORT, usual(weights=percents(100), checks=[limit(most)]), release=RELEASE)
        for most in (30, 30, 1)
    )

    assert one == other and hash(one) == hash(other)
    assert one != third
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        one.unknown_why = "x"  # type: ignore[misc]
