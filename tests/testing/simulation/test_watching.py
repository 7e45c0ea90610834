"""Rollouts that are watched together: what is taken from a worse version is what would have been
judged, and versions differ in nothing but what is worse.
"""

from __future__ import annotations

import pytest

from progressive import (
    Canary,
    Limit,
    Metric,
    NoWorse,
    minutes,
    ms,
    percent,
    percents,
    seconds,
    times,
)
from progressive.analysis.contract import Check
from progressive.model.measurement import Counts, Window
from progressive.model.traffic import Track, Traffic
from progressive.testing import Behaviour, Load
from progressive.testing.simulation import watching
from progressive.testing.simulation.calm import predictable
from progressive.testing.simulation.lookout import Lookout, Parted
from progressive.testing.simulation.looks import Asked, Events, Looks, scenes
from progressive.testing.simulation.watching import Watching

ERRORS = Metric("error-rate", kind="ratio")
ORDERS = Metric("orders", kind="ratio", bad="down")
LATENCY = Metric("latency", kind="latency")

LAWFUL: dict[str, Check] = {
    "tested": Limit(ERRORS, at_most=percent(1)),
    "plain": Limit(ERRORS, at_most=percent(1), plain=True, min_sample=100),
    "multiple": Limit(ERRORS, at_most=times(4, floor=percent(0.1)), min_sample=50),
    "no worse": NoWorse(ERRORS),
    "margin": NoWorse(ERRORS, margin=1.5),
    "dispersed": NoWorse(ERRORS, dispersion=2.0),
    "large": NoWorse(ERRORS, small=False),
    "orders": NoWorse(ORDERS),
    "orders above": Limit(ORDERS, at_least=percent(10)),
}


@pytest.mark.parametrize("name", LAWFUL)
@pytest.mark.parametrize("most", [1.5, 3.0])
def test_a_check_that_was_calm_with_a_worse_version_is_calm_with_a_better_one(
    name: str, most: float
) -> None:
    """Judged in the same looks it says the same. ``most``: the worst that mostly is not caught."""
    check, down = LAWFUL[name], LAWFUL[name].metric is ORDERS
    any_at_all = {"at_least": percent(0)} if down else {"at_most": percent(100)}
    guard = Limit(check.metric, plain=True, min_sample=1, id="guard", **any_at_all)
    beside = Limit(LATENCY, quantile=0.99, at_most=ms(500), min_sample=30)
    plan = Canary(weights=percents(2, 20, 100), bake=minutes(3), checks=[check, guard, beside]).plan
    load = Load(60, usual=Behaviour(ratios={"orders": 0.2}))
    worst = most ** (0.1 if down else 1.0)
    worlds = [load.world([check.metric], times=worst**part) for part in (1.0, 0.7, 0.3, 0.0)]
    told = 0
    for seed in range(12):
        looks, calm = Looks(plan, seed), None
        for scene in scenes(plan, worlds):
            lookout = Lookout(scene, looks)
            judged = lookout.run()
            if calm is None and lookout.undisturbed(0):
                calm = lookout.trails[0]
            elif calm is not None:
                try:
                    known = Lookout(scene, looks, known={0: calm}).run()
                except Parted:
                    continue
                told += 1
                assert (known.endings, known.stuck) == (judged.endings, judged.stuck)
                assert [(each.took, each.requests) for each in known.passages] == [
                    (each.took, each.requests) for each in judged.passages
                ]

    assert predictable(plan) >= {0}
    assert told > 6


def test_the_figures_are_those_of_judging_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Canary(
        weights=percents(5, 50, 100),
        bake=minutes(4),
        checks=[NoWorse(ERRORS), Limit(ERRORS, at_most=percent(2))],
    ).plan

    def endings() -> dict[object, object]:
        """Of the two checks: in which step each failed, in each world, summed over runs."""
        watched = Watching(plan, Load(40), (2.0, 5.0, 20.0), 0)
        for number in range(60):
            watched.watch(number)
        return {
            (worse, c): sum(c in run.endings for run in runs)
            for worse, runs in watched.worse[("error-rate",)].items()
            for c in (0, 1)
        }

    taken = endings()
    monkeypatch.setattr(watching, "predictable", lambda plan: frozenset())
    judged = endings()

    assert taken.keys() == judged.keys()
    for key in taken:
        assert abs(taken[key] - judged[key]) <= 15, (key, taken, judged)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("check", "why"),
    [
        (NoWorse(ERRORS, accept=2.0), "it may pass later"),
        (NoWorse(ERRORS, blocks=True), "a block is one observation"),
        (NoWorse(Metric("odd", kind="ratio", bad="both")), "both ways are bad"),
        (Limit(ERRORS, at_most=percent(5), at_least=percent(0.01)), "fewer may be bad"),
        (Limit(LATENCY, quantile=0.99, at_most=ms(400)), "its buckets are drawn anew"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_known_to_be_calm_is_judged(check: Check, why: str) -> None:
    guard = Limit(ERRORS, at_most=percent(50), id="guard")
    plan = Canary(weights=percents(10, 100), checks=[guard, check]).plan

    assert predictable(plan) == {0}, why


def test_a_request_that_fails_at_one_rate_fails_at_every_higher_one() -> None:
    load = Load(200)
    plan = Canary(weights=percents(10, 100), checks=[Limit(ERRORS, at_most=percent(5))]).plan
    worse = [load.world([ERRORS], times=each) for each in (5.0, 1.0, 20.0, 2.0, 50.0)]
    looks, traffic = Looks(plan, 0), Traffic(candidate=percent(10))
    start = worse[0].start
    for look in range(30):
        window = Window(start + seconds(30) * look, start + seconds(30) * (look + 1))
        found = {}
        for scene in scenes(plan, worse):
            asked = Asked(ERRORS, window, 0, (Track.CANDIDATE,), scene.world.parts(traffic), {})
            [counts] = looks.measured(scene, asked)
            assert isinstance(counts, Counts)
            found[scene.chances["error-rate"]] = counts
        in_order = [found[chance] for chance in sorted(found)]

        assert len({counts.trials for counts in in_order}) == 1
        assert [counts.events for counts in in_order] == sorted(c.events for c in in_order)


def test_events_at_a_chance_are_as_many_as_that_says_in_any_order() -> None:
    dice = Looks(Canary(weights=percents(100), unguarded="an example").plan, 0)._dice_for("events")
    sums = dict.fromkeys((0.1, 0.02, 0.5, 0.3), 0)
    for _ in range(400):
        events = Events(1000)
        for chance in sums:
            sums[chance] += events.at(chance, dice)
        assert [events.at(chance, dice) for chance in (0.0, 1.0)] == [0, 1000]

    for chance, found in sums.items():
        mean, spread = 400_000 * chance, (400_000 * chance * (1 - chance)) ** 0.5
        assert abs(found - mean) < 4 * spread
