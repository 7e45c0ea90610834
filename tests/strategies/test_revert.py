"""The way back after a success."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.world import ERRORS, RELEASE

from progressive import (
    Abort,
    Canary,
    ConflictError,
    Limit,
    Phase,
    Ports,
    Release,
    Revert,
    StrategyError,
    Version,
    minutes,
    percent,
    percents,
    start,
    submit,
    tick,
)
from progressive.model.traffic import Traffic
from progressive.rollout.phases import Retirement
from progressive.testing import (
    MemoryFleet,
    MemoryRouter,
    MemoryStore,
    ScriptedMetrics,
    VirtualClock,
    play,
    steady,
)


def promoted(
    store: MemoryStore, router: MemoryRouter, clock: VirtualClock, fleet: MemoryFleet
) -> None:
    """v2, promoted, its old version still there for an hour."""
    canary = Canary(
        weights=percents(100), bake=minutes(5), retire_after=minutes(60), unguarded="a test"
    )
    ports: Any = {"store": store, "router": router, "clock": clock, "fleet": fleet}
    bound = Ports(**ports)
    rollout = start(canary, RELEASE, id="shop-v2", ports=bound)
    while rollout.progress.retirement is not Retirement.DUE:
        decision = tick("shop-v2", bound)
        rollout = decision.rollout
        assert decision.wake_at is not None
        if rollout.phase is not Phase.PROMOTED:
            clock.until(decision.wake_at)


def test_a_revert_gives_everything_back_in_one_switch_and_keeps_the_old_version() -> None:
    store, router, clock, fleet = MemoryStore(), MemoryRouter(), VirtualClock(), MemoryFleet()
    promoted(store, router, clock, fleet)
    # The same router seen by the release that goes back: what was the candidate is stable now.
    back = MemoryRouter(marker=router.marker)
    began = clock()

    outcome = play(Revert(), RELEASE.reversed(), router=back, store=store, clock=clock, fleet=fleet)

    assert outcome.promoted
    assert back.history[-1] == Traffic(candidate=percent(100))
    assert clock() - began < minutes(2)
    assert store.load("shop-v2").progress.retirement is Retirement.NONE  # type: ignore[union-attr]
    assert fleet.retired == []


def test_a_revert_whose_version_is_worse_still_goes_back_to_where_it_came_from() -> None:
    router = MemoryRouter()
    metrics = ScriptedMetrics({ERRORS: steady(50, stable=0.001, candidate=0.3)})

    outcome = play(
        Revert(bake=minutes(3), checks=[Limit(ERRORS, at_most=percent(1))]),
        RELEASE.reversed(),
        router=router,
        metrics=[metrics],
    )

    assert outcome.exit_code == 1
    assert router.traffic == Traffic()


def test_a_revert_needs_a_version_to_go_back_to() -> None:
    with pytest.raises(StrategyError, match="had no stable version to return to"):
        Release(service="shop", stable=None, candidate=Version("v1")).reversed()


def test_an_active_rollout_is_aborted_and_not_reverted() -> None:
    store, clock = MemoryStore(), VirtualClock()
    ports = Ports(store=store, router=MemoryRouter(), clock=clock)
    start(Canary(weights=percents(100), unguarded="a test"), RELEASE, id="shop-v2", ports=ports)

    with pytest.raises(ConflictError, match="let it end, or abort it"):
        start(Revert(), RELEASE.reversed(), id="shop-v1", ports=ports)
    submit(store, "shop-v2", Abort(at=clock(), by="eve", why="the quicker way"))

    assert (
        store.load("shop-v2").progress.reason
        == "aborted: the quicker way (nothing was ever written)"
    )  # type: ignore[union-attr]


def test_a_version_whose_removal_was_asked_for_meanwhile_is_not_gone_back_to() -> None:
    """The driver of the old rollout asks for the removal between the look at it and the word that
    would keep the version.
    """

    class Quick(MemoryStore):
        armed = False

        def load(self, id: str) -> Any:
            if self.armed and id == "shop-v2":
                self.armed = False
                clock.advance(minutes(61))
                tick("shop-v2", Ports(store=self, router=router, clock=clock, fleet=fleet))
            return MemoryStore.load(self, id)

    store, router, clock, fleet = Quick(), MemoryRouter(), VirtualClock(), MemoryFleet()
    promoted(store, router, clock, fleet)
    store.armed = True

    with pytest.raises(
        ConflictError,
        match="v1 is being removed since 'shop-v2' was promoted; wait until it is gone",
    ):
        start(
            Revert(),
            RELEASE.reversed(),
            id="back",
            ports=Ports(store=store, router=MemoryRouter(), clock=clock, fleet=fleet),
        )

    assert store.load("back") is None
