"""What is generated is valid, and everything comes up."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.rules import rule

from progressive import (
    BlueGreen,
    Phase,
    Release,
    Rollout,
    Traffic,
    Version,
    begin,
    decide,
    dumps,
    loads,
    minutes,
    percent,
)
from progressive.model import (
    Capabilities,
    Counts,
    Gauge,
    Histogram,
    Kind,
    Measurement,
    Moments,
    NoAnswer,
    NoData,
)
from progressive.plan import Plan
from progressive.rollout.events import EVENTS, Event
from progressive.rollout.notes import NOTES
from progressive.testing.doubles import ALL, EPOCH
from progressive.testing.generated import (
    events,
    measurements,
    notes,
    plans,
    releases,
    rollouts,
    traffics,
    values,
    versions,
)

QUICK = settings(max_examples=60, deadline=None)
PLAN = BlueGreen(preview_hook="smoke", bake=minutes(1), unguarded="its hook").plan


def drawn(strategy: st.SearchStrategy[Any], times: int = 1_500) -> list[Any]:
    """Values as they come, always the same ones."""
    found = []

    @settings(
        max_examples=times,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[hypothesis.Phase.generate],
    )
    @given(value=strategy)
    def draw(value: object) -> None:
        found.append(value)

    draw()
    return found


@pytest.mark.slow
def test_rollouts_of_every_phase_are_generated() -> None:
    assert {rollout.phase for rollout in drawn(rollouts(st.just(PLAN)))} == set(Phase)


@pytest.mark.slow
def test_every_kind_is_generated() -> None:
    assert {type(event) for event in drawn(events())} == set(EVENTS)
    assert {type(note) for note in drawn(notes())} == set(NOTES)


@QUICK
@given(rollout=rollouts(), event=events())
@rule("R32", "R33")
def test_whatever_happens_to_a_generated_rollout_can_be_stored(
    rollout: Rollout, event: Event
) -> None:
    decided = decide(rollout, event).rollout

    assert loads(dumps(decided)) == decided


@QUICK
@given(plan=plans(), release=releases(baseline=True))
def test_a_generated_plan_can_be_begun_and_described(plan: Plan, release: Release) -> None:
    assert begin(plan, release, id="r", at=EPOCH).status.steps == len(plan.steps)


ABLE = (
    Capabilities(),
    Capabilities(smallest_weight=percent(100), mirror=True),
    Capabilities(smallest_weight=percent(12.5), baseline=True),
    Capabilities(smallest_weight=percent(0.1), matches=True),
    ALL,
)


@pytest.mark.parametrize("able", ABLE, ids=str)
def test_traffic_is_what_a_router_with_these_capabilities_can_give(able: Capabilities) -> None:
    @QUICK
    @given(traffic=traffics(able))
    def law(traffic: Traffic) -> None:
        assert list(able.problems_with(traffic)) == []

    law()


@pytest.mark.parametrize(
    ("kind", "fits"),
    [
        ("ratio", Counts),
        ("latency", Histogram),
        ("mean", Moments),
        ("value", Gauge),
        (None, Counts | Histogram | Moments | Gauge),
    ],
)
def test_measurements_fit_their_kind_or_are_missing(kind: str | None, fits: Any) -> None:
    strategy = measurements(None if kind is None else Kind(kind))

    @QUICK
    @given(measurement=strategy)
    def law(measurement: Measurement) -> None:
        assert isinstance(measurement, fits | NoData | NoAnswer)

    law()
    assert any(isinstance(measurement, fits) for measurement in drawn(strategy, 30))


@pytest.mark.parametrize("baseline", [True, False])
@pytest.mark.parametrize("stable", [True, False])
def test_releases_have_the_versions_that_are_asked_for(stable: bool, baseline: bool) -> None:
    @QUICK
    @given(release=releases(stable=stable, baseline=baseline))
    def law(release: Release) -> None:
        assert (release.stable is not None, release.baseline is not None) == (stable, baseline)

    law()


@QUICK
@given(version=versions(), release=values(Release))
def test_values_of_any_class_are_made_of_its_fields(version: Version, release: Release) -> None:
    assert isinstance(version, Version)
    assert isinstance(release, Release)
