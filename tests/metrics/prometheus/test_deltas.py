"""Counters whose samples are what came since the one before, where somebody says so."""

from __future__ import annotations

import attrs
import pytest
from tests.support.scraped import World

from progressive.errors import StrategyError
from progressive.metrics.prometheus import Counter, Ratio, Regex
from progressive.model.measurement import Counts, NoData
from progressive.model.traffic import Track

DELTAS = Counter("requests_total", version="version", labels={"job": "shop"}, delta=True)
IN_DELTAS = Ratio(events=DELTAS.where(code=Regex("5..")), total=DELTAS)


def test_deltas_are_added_up_and_begin_with_nothing(world: World) -> None:
    """Also those of a version whose first sample lies in the window, whatever was there before."""
    for second in range(-20, 9):
        world.scrape(second, _200=10 + second % 3, _500=30)
        if second > 3:
            world.scrape(second, "b:80", "v2", _200=7)
    look = world.look(0, 8, IN_DELTAS)

    stable = sum(10 + second % 3 for second in range(1, 9))
    assert look.of(Track.STABLE) == Counts(events=240, trials=stable + 240)
    assert look.of(Track.CANDIDATE) == Counts(events=0, trials=35)
    assert world.look(0, 8, Ratio(events=DELTAS, total=DELTAS)).fingerprint != look.fingerprint


def test_windows_of_deltas_that_follow_each_other_share_nothing(world: World) -> None:
    for second in range(-20, 30):
        world.scrape(second, _200=second % 7)
    parts = [world.stable(begin, begin + 5, IN_DELTAS) for begin in range(0, 25, 5)]

    assert sum(each.trials for each in parts) == world.stable(0, 25, IN_DELTAS).trials


@pytest.mark.parametrize("odd", [-21, 2.5])
def test_a_delta_that_is_none_is_not_left_out(world: World, odd: float) -> None:
    """No later sample tells what it would have told (an observable total that fell: -21)."""
    for second in range(-5, 9):
        world.scrape(second, _200=odd if second == 3 else 10)

    assert "which is no count" in world.stable(0, 8, IN_DELTAS).why


def test_an_idle_counter_of_deltas_has_no_requests(world: World) -> None:
    for second in range(-5, 9):
        world.scrape(second, _200=0)

    assert world.stable(0, 8, IN_DELTAS) == NoData("no requests")


def test_a_part_and_its_whole_are_both_deltas_or_neither() -> None:
    whole = attrs.evolve(DELTAS, delta=False)
    with pytest.raises(StrategyError, match="must both have delta=True, or neither"):
        Ratio(events=DELTAS, total=whole)


def test_a_version_that_only_target_info_knows_is_told_where_it_has_to_be(world: World) -> None:
    for label, told in (("service_version", True), ("service.version", True), ("version", False)):
        requests = Counter("orders_total", version=label)
        found = world.stable(0, 8, Ratio(events=requests, total=requests))
        assert ("otlp.promote_resource_attributes" in found.why) is told
