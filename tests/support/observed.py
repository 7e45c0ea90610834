"""Rollouts as observers see them: every decision with its notes, and the store that has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import attrs
from tests.support.world import ERRORS, RELEASE, START

from progressive import (
    Abort,
    Canary,
    Hold,
    Limit,
    Metric,
    NoWorse,
    Ports,
    Resume,
    Rollout,
    Traffic,
    minutes,
    ms,
    percent,
    percents,
    start,
    submit,
    tick,
)
from progressive.errors import Failure, RouterError
from progressive.model.measurement import Histogram, Measurement, Window
from progressive.model.release import Release
from progressive.model.router_state import Served
from progressive.model.traffic import Track
from progressive.rollout.notes import Note
from progressive.testing import (
    MemoryFleet,
    MemoryRouter,
    MemoryStore,
    ScriptedMetrics,
    VirtualClock,
    steady,
)

LATENCY: Final = Metric("latency", kind="latency")
STRATEGY: Final = Canary(
    weights=percents(10, 100),
    bake=minutes(2),
    checks=[
        NoWorse(ERRORS),
        Limit(ERRORS, at_most=percent(1)),
        Limit(LATENCY, quantile=0.99, at_most=ms(800)),
    ],
)


@attrs.frozen(kw_only=True)
class Observed:
    """What an observer was told of one rollout, in order, and the store at the end."""

    decisions: tuple[tuple[Rollout, Sequence[Note]], ...]
    store: MemoryStore

    @property
    def rollout(self) -> Rollout:
        """The rollout at its end."""
        return self.decisions[-1][0]

    @property
    def notes(self) -> list[Note]:
        return [note for _, notes in self.decisions for note in notes]

    def tell(self, *observers: Any) -> None:
        """Tell the ticks to observers in turn, as processes that take turns would."""
        for n, (rollout, notes) in enumerate(self.decisions):
            observers[n % len(observers)](rollout, notes)

    @property
    def saved(self) -> list[Note]:
        """All notes in the store: those of ticks, and what people submitted."""
        return [note for _, note in self.store.notes("shop-2")]


class Router(MemoryRouter):
    """A router that can be made to fail."""

    down = False

    def read(self, release: Release) -> Served:
        if self.down:
            raise RouterError("no answer", failure=Failure.TRANSIENT)
        return super().read(release)


def latencies(track: Track, window: Window) -> Measurement:
    """Fifty requests a second, all of them quick."""
    count = int(window.length / ms(20))
    return Histogram(edges=(0.1, 0.8, 2.0), cumulative=(count // 2, count, count, count))


def observed(
    *,
    candidate: float = 0.001,
    at: dict[int, Callable[[Ports, Router], object]] | None = None,
    strategy: Canary = STRATEGY,
    most: int = 500,
    **more: Any,
) -> Observed:
    """Drive a rollout; before the ticks ``at`` these numbers something is done to it."""
    seen: list[tuple[Rollout, Sequence[Note]]] = []
    clock, store, router = VirtualClock(START), MemoryStore(), Router()
    ports = Ports(
        router=router,
        metrics=[
            ScriptedMetrics(
                {ERRORS: steady(50, stable=0.001, candidate=candidate), LATENCY: latencies}
            )
        ],
        store=store,
        clock=clock,
        observers=[lambda rollout, notes: seen.append((rollout, notes))],
        **more,
    )
    start(strategy, RELEASE, id="shop-2", ports=ports)
    for n in range(most):
        if at is not None and n in at:
            at[n](ports, router)
        wake_at = tick("shop-2", ports).wake_at
        if wake_at is None:
            break
        clock.until(wake_at)
    return Observed(decisions=tuple(seen), store=store)


def the(ports: Ports) -> MemoryStore:
    assert isinstance(ports.store, MemoryStore)
    return ports.store


def _hold(ports: Ports, router: Router) -> None:
    submit(the(ports), "shop-2", Hold(at=ports.clock(), by="eve", why="odd"))


def _resume(ports: Ports, router: Router) -> None:
    submit(the(ports), "shop-2", Resume(at=ports.clock(), by="eve", why="it was another"))


def _abort(ports: Ports, router: Router) -> None:
    submit(the(ports), "shop-2", Abort(at=ports.clock(), by="eve", why="not today"))


def _sleep(ports: Ports, router: Router) -> None:
    ports.clock.advance(minutes(7))  # type: ignore[attr-defined]


def _fail(ports: Ports, router: Router) -> None:
    router.down = True


def _mend(ports: Ports, router: Router) -> None:
    router.down = False


def _edit(ports: Ports, router: Router) -> None:
    router.edit(Traffic(candidate=percent(30)))


HISTORIES: Final[dict[str, Callable[[], Observed]]] = {
    "promoted": cache(observed),
    "rolled_back": cache(lambda: observed(candidate=0.2)),
    "held_and_resumed": cache(lambda: observed(at={3: _hold, 8: _resume})),
    "aborted": cache(lambda: observed(at={5: _abort})),
    "troubled": cache(lambda: observed(at={4: _sleep, 6: _fail, 9: _mend, 11: _edit})),
    "retired": cache(
        lambda: observed(
            strategy=attrs.evolve(STRATEGY, retire_after=minutes(5)), fleet=MemoryFleet()
        )
    ),
    "unfinished": cache(lambda: observed(most=6)),
}
