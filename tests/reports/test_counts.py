"""Whom the candidate met, by what was counted."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from tests.support.reported import BEGAN, ERRORS, LATENCY, RELEASE, STORIES, canned

from progressive import (
    BlueGreen,
    Canary,
    Limit,
    Metric,
    Rollout,
    Track,
    Traffic,
    begin,
    minutes,
    ms,
    percent,
)
from progressive.model.measurement import (
    Counts,
    Gauge,
    Histogram,
    Look,
    Measurement,
    Moments,
    NoAnswer,
    NoData,
    Window,
)
from progressive.reports import report
from progressive.reports.counts import Counted, counted, exposure
from progressive.reports.record import Record
from progressive.rollout import Asked, EventRecorded, Measured, Note


def look(
    metric: str, measured: Measurement, *, analyses: tuple[str, ...] = ("checks",), at: int = 0
) -> EventRecorded:
    window = Window(BEGAN + minutes(at), BEGAN + minutes(at + 1))
    taken = Look(metric=metric, window=window, tracks={Track.CANDIDATE: measured})
    event = Measured(at=window.end, analyses=analyses, look=taken)
    return EventRecorded(at=window.end, event=event)


def rollout(**changes: Any) -> Rollout:
    given: dict[str, Any] = {
        "weights": (percent(100),),
        "checks": [
            Limit(ERRORS, at_most=percent(1)),
            Limit(LATENCY, quantile=0.9, at_most=ms(400)),
            Limit(Metric("orders", kind="ratio", bad="down"), at_least=percent(1)),
        ],
    }
    return begin(Canary(**(given | changes)).plan, RELEASE, id="counted", at=BEGAN)


@pytest.mark.parametrize(
    ("measured", "found"),
    [
        (
            Counts(events=2, trials=10),
            Counted(looks=1, sample=10, unit="requests", events=2),
        ),
        (
            Histogram(edges=(0.1,), cumulative=(3, 7)),
            Counted(looks=1, sample=7, unit="requests"),
        ),
        (Moments(n=4, mean=1.0, m2=0.0), Counted(looks=1, sample=4, unit="values")),
        (Gauge(samples=(1.0, 2.0)), Counted(looks=1, sample=2, unit="samples")),
        (NoData("night"), Counted(looks=1, empty=1)),
        (NoAnswer("down"), Counted(looks=1, empty=1)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_kind_of_measurement_is_counted(measured: Measurement, found: Counted) -> None:
    assert counted(Record.of([look("m", measured)], None)) == {"m": {Track.CANDIDATE: found}}


def test_looks_add_up_and_those_of_the_preflight_are_none() -> None:
    notes = [
        look("m", Counts(events=9, trials=9), analyses=("preflight",)),
        look("m", Counts(events=1, trials=10), at=1),
        look("m", NoData("a gap"), at=2),
        look("m", Counts(events=2, trials=20), at=3),
    ]

    assert counted(Record.of(notes, None))["m"][Track.CANDIDATE] == Counted(
        looks=3, empty=1, sample=30, unit="requests", events=3
    )


def test_what_two_analyses_look_at_is_not_counted_twice() -> None:
    notes = [
        look("m", Counts(events=1, trials=10), analyses=("a",)),
        look("m", Counts(events=1, trials=15), analyses=("b",)),
        look("m", Counts(events=1, trials=10), analyses=("a",), at=1),
    ]

    assert counted(Record.of(notes, None))["m"][Track.CANDIDATE].sample == 20


@pytest.mark.parametrize("name", STORIES)
def test_no_more_is_said_than_the_candidate_of_a_story_met(name: str) -> None:
    story = STORIES[name]()
    record = Record.of(story.notes, story.rollout)
    found = exposure(record, counted(record))

    assert found.requests is not None and found.failed is not None
    if name != "switched":  # there a load test is counted with them
        assert 0.8 * story.exposed.requests <= found.requests <= story.exposed.requests
        assert found.failed <= story.exposed.failed


def told(*notes: Note, of: Rollout | None = None) -> str:
    record = Record.of(notes, of or rollout())
    return str(exposure(record, counted(record)))


def test_the_metric_with_most_is_the_one_that_counts() -> None:
    slow = look("latency", Histogram(edges=(0.1,), cumulative=(0, 50)))
    errors = look("error-rate", Counts(events=3, trials=40))
    orders = look("orders", Counts(events=30, trials=60))

    assert told(slow, errors) == "50 requests, 3 of them bad (error-rate)"
    assert told(slow) == "50 requests"
    assert told(orders) == "60 requests"  # an order is no harm
    assert told(look("temperature", Gauge(samples=(1.0,)))) == "not counted"


def test_without_the_plan_nobody_knows_what_is_bad() -> None:
    record = Record.of(canned(), None)

    assert str(exposure(record, counted(record))) == "400 requests"


def test_copies_are_said_to_be_among_them() -> None:
    mirrored = Asked(at=BEGAN, traffic=Traffic(mirror=percent(5)), why="a test")

    assert told(mirrored, look("error-rate", Counts(events=0, trials=9))) == (
        "9 requests, 0 of them bad (error-rate), mirrored copies included"
    )


def test_requests_of_a_load_test_are_met_by_nobody() -> None:
    preview = BlueGreen(
        preview_hook="load",
        preview_checks=[Limit(ERRORS, at_most=percent(1))],
        pause=minutes(1),
        checks=[Limit(LATENCY, quantile=0.9, at_most=ms(400))],
    )
    of = begin(preview.plan, RELEASE, id="counted", at=BEGAN)
    errors = look("error-rate", Counts(events=3, trials=40), analyses=("preview",))

    assert told(errors, of=of) == "not counted"
    assert any(each.synthetic for each in of.plan.analyses)


def test_only_the_candidate_counts() -> None:
    note = look("error-rate", Counts(events=3, trials=40))
    assert isinstance(note.event, Measured)
    event = attrs.evolve(
        note.event,
        look=attrs.evolve(note.event.look, tracks={Track.STABLE: Counts(events=3, trials=40)}),
    )

    stable = attrs.evolve(note, event=event)

    assert told(stable) == "not counted"
    shown = report([stable, look("orders", NoData("night"))]).html()
    assert "not asked" in shown and "0 of anything in 0 looks; 1 looks without data" in shown
