"""The figures say what the notes say, with few attributes, and never fall."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import attrs
import pytest
from tests.support.observed import HISTORIES, LATENCY, observed
from tests.support.world import ERRORS

from progressive import Analysis, Canary, Limit, Metric, Phase, minutes, percent, percents
from progressive.model.measurement import Counts, Look, Moments, Window
from progressive.model.traffic import Track
from progressive.observers.figures import (
    FIGURES,
    Form,
    Sample,
    counted,
    levels,
    zeros,
)
from progressive.observers.tally import Tally
from progressive.rollout.events import Measured
from progressive.rollout.notes import Escalated, EventRecorded, Judged, Late, PhaseEntered
from progressive.rollout.state import Rollout

EVERY = pytest.mark.parametrize("name", HISTORIES)


def by_name(samples: Iterable[Sample]) -> dict[tuple[str, ...], float]:
    """What samples say, by the short name and the values after the service."""
    said: dict[tuple[str, ...], float] = {}
    for sample in samples:
        key = (sample.figure.name.removeprefix("progressive.rollout."), *sample.values[1:])
        before = 0 if sample.figure.form is Form.GAUGE else said.get(key, 0)
        said[key] = before + sample.value
    return said


def all_samples(name: str) -> list[Sample]:
    return [
        sample
        for rollout, notes in HISTORIES[name]().decisions
        for sample in (*zeros(rollout), *counted(rollout, notes), *levels(rollout, notes))
    ]


@EVERY
def test_each_sample_has_a_value_for_every_attribute_and_none_is_a_rollout(name: str) -> None:
    samples = all_samples(name)

    assert {sample.figure for sample in samples} <= set(FIGURES)
    assert all(len(sample.values) == len(sample.figure.attributes) for sample in samples)
    assert all("shop-2" not in value for sample in samples for value in sample.values)
    assert all(sample.values[0] == "shop" for sample in samples)


@EVERY
def test_only_gauges_fall(name: str) -> None:
    assert all(
        sample.value >= 0 for sample in all_samples(name) if sample.figure.form is not Form.GAUGE
    )


@EVERY
def test_there_are_as_many_as_there_are_notes(name: str) -> None:
    history = HISTORIES[name]()
    said = by_name(counted(history.rollout, history.notes))
    kinds = Counter(note.kind for note in history.notes)
    verdicts = Counter(
        (note.analysis, note.check, note.verdict)
        for note in history.notes
        if isinstance(note, Judged)
    )
    phases = Counter(note.phase for note in history.notes if isinstance(note, PhaseEntered))

    assert {key[1]: value for key, value in said.items() if key[0] == "notes"} == kinds
    assert {key[1:]: value for key, value in said.items() if key[0] == "verdicts"} == verdicts
    assert {key[1]: value for key, value in said.items() if key[0] == "transitions"} == phases


@EVERY
def test_the_gauges_say_where_the_rollout_stands(name: str) -> None:
    for rollout, notes in HISTORIES[name]().decisions:
        said = by_name(levels(rollout, notes))
        if not said:
            assert rollout.final
            continue
        phases = {key[1]: value for key, value in said.items() if key[0] == "phase"}
        asked = rollout.status.asked.ppm / 1e6

        assert phases == {each.value: float(each is rollout.phase) for each in Phase}
        assert said["weight.asked", "candidate"] == asked
        assert said["weight.asked", "stable"] == pytest.approx(1 - asked)
        assert (said["step",], said["steps",]) == (rollout.status.position, 4)
        assert said["due",] == (
            0 if rollout.final or rollout.wake_at is None else rollout.wake_at.timestamp()
        )


def test_what_a_final_rollout_still_does_says_nothing_of_the_service() -> None:
    history = HISTORIES["retired"]()
    ended = next(n for n, (rollout, _) in enumerate(history.decisions) if rollout.final)
    rollout, notes = history.decisions[-1]

    assert ended < len(history.decisions) - 1
    assert list(levels(rollout, notes)) == []
    assert list(levels(*history.decisions[ended])) != []


def test_nothing_is_said_to_be_served_before_the_router_was_read() -> None:
    rollout, notes = HISTORIES["promoted"]().decisions[0]
    unread = attrs.evolve(rollout, routing=attrs.evolve(rollout.routing, observed=None))

    assert "weight.served" in {key[0] for key in by_name(levels(rollout, notes))}
    assert "weight.served" not in {key[0] for key in by_name(levels(unread, notes))}


def test_the_candidate_met_and_was_harmed_as_the_looks_say_without_the_preflight() -> None:
    history = HISTORIES["rolled_back"]()
    said = by_name(counted(history.rollout, history.notes))

    assert said["requests", "checks", "error-rate"] == 250
    assert said["requests.harmed", "checks", "error-rate"] == 50
    assert said["requests", "checks", "latency"] == 250
    assert ("requests.harmed", "checks", "latency") not in said


def look(rollout: Rollout, metric: Metric, measured: Counts | Moments) -> EventRecorded:
    at = rollout.clocks.now
    taken = Look(
        metric=metric.name, window=Window(at, at), tracks={Track.CANDIDATE: measured}.items()
    )
    names = tuple(analysis.name for analysis in rollout.plan.analyses)
    return EventRecorded(at=at, event=Measured(at=at, analyses=names, look=taken))


def of_plan(*analyses: Analysis, **changes: object) -> Rollout:
    canary = Canary(
        weights=percents(10, 100),
        bake=minutes(2),
        checks=[Limit(LATENCY, quantile=0.5, at_most=minutes(1))],
        analyses=analyses,
        guards=[analysis.name for analysis in analyses],
        **changes,  # type: ignore[arg-type]
    )
    return attrs.evolve(HISTORIES["promoted"]().decisions[0][0], plan=canary.plan)


def test_a_load_test_meets_no_users_and_a_metric_of_two_analyses_is_counted_by_each() -> None:
    once, twice = (
        Analysis(name, checks=[Limit(ERRORS, at_most=percent(1))]) for name in ("one", "two")
    )
    load = attrs.evolve(once, name="load", synthetic=True)
    rollout = of_plan(once, twice, load)
    said = by_name(counted(rollout, [look(rollout, ERRORS, Counts(events=2, trials=9))]))

    assert {key: value for key, value in said.items() if key[0] != "notes"} == {
        ("requests", "one", "error-rate"): 9,
        ("requests", "two", "error-rate"): 9,
        ("requests.harmed", "one", "error-rate"): 2,
        ("requests.harmed", "two", "error-rate"): 2,
    }
    assert ("requests", "load", "error-rate") not in by_name(zeros(rollout))


def test_events_of_which_more_is_better_harm_nobody_and_values_are_no_requests() -> None:
    sold = Metric("sold", kind="ratio", bad="down")
    basket = Metric("basket", kind="mean")
    of = [Limit(sold, at_least=percent(1)), Limit(basket, at_most=100.0)]
    rollout = of_plan(Analysis("shop", checks=of))
    notes = [
        look(rollout, sold, Counts(events=2, trials=9)),
        look(rollout, basket, Moments(n=3, mean=1.0, m2=0.0)),
    ]

    for said in (by_name(counted(rollout, notes)), by_name(zeros(rollout))):
        assert ("requests", "shop", "sold") in said
        assert not {key for key in said if key[0] == "requests.harmed"} & {
            ("requests.harmed", "shop", "sold"),
            ("requests.harmed", "shop", "basket"),
        }
        assert ("requests", "shop", "basket") not in said


def test_more_requests_than_64_bits_hold_are_a_float() -> None:
    rollout = of_plan(Analysis("one", checks=[Limit(ERRORS, at_most=percent(1))]))
    huge = look(rollout, ERRORS, Counts(events=2**53 - 1, trials=10**300))
    values = [type(sample.value) for sample in counted(rollout, [huge])]

    assert values == [int, float, int]


def test_troubles_are_counted() -> None:
    history = HISTORIES["troubled"]()
    at = history.rollout.clocks.now
    said = by_name(counted(history.rollout, [*history.notes, Escalated(at=at, why="look")]))
    late = [note.by.total_seconds() for note in history.notes if isinstance(note, Late)]

    assert said["drifts",] >= 1
    assert said["escalations",] == 1
    assert said["failures", "read", "transient"] >= 1
    assert said["lateness",] == sum(late) > 300


def test_what_may_be_counted_is_0_before_it_is_except_failures() -> None:
    rollout = HISTORIES["troubled"]().decisions[0][0]
    before = by_name(zeros(rollout))
    after = by_name(counted(rollout, HISTORIES["troubled"]().notes))

    assert set(before.values()) == {0}
    assert {key[0] for key in after.keys() - before.keys()} == {"failures", "lateness"}


def test_names_are_those_that_opentelemetry_makes_for_prometheus() -> None:
    names = {figure.name: figure.prometheus for figure in FIGURES}

    assert len(set(names.values())) == len(FIGURES)
    assert names["progressive.rollout.weight.asked"] == "progressive_rollout_weight_asked"
    assert names["progressive.rollout.due"] == "progressive_rollout_due_seconds"
    assert names["progressive.rollout.verdicts"] == "progressive_rollout_verdicts_total"
    assert names["progressive.rollout.lateness"] == "progressive_rollout_lateness_seconds"
    assert names["progressive.rollout.step"] == "progressive_rollout_step"


@EVERY
def test_a_tally_of_the_whole_is_the_sum_of_its_parts(name: str) -> None:
    history = HISTORIES[name]()
    whole, parts, risen = Tally(counted(history.rollout, history.notes)), Tally(), Tally()
    for rollout, notes in history.decisions:
        one = Tally(counted(rollout, notes))
        parts.add_all(one)
        risen.rise_to(parts)
    risen.rise_to(Tally())

    for figure in FIGURES:
        assert list(parts.of(figure)) == list(whole.of(figure)) == list(risen.of(figure))


def test_a_tally_keeps_the_last_of_a_gauge_and_never_lets_a_counter_fall() -> None:
    rollout = observed(most=1).rollout
    step, notes = FIGURES[3], FIGURES[6]
    tally = Tally([step.of(rollout, 3), step.of(rollout, 1), notes.of(rollout, 5, "late")])
    tally.rise_to(Tally([notes.of(rollout, 2, "late")]))

    assert list(tally.of(step)) == [(("shop",), (1,))]
    assert list(tally.of(notes)) == [(("shop", "late"), (5,))]
