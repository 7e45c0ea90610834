"""Both colours of the drivers, what they are bound to, and a canary for the wall clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.support.world import ERRORS, START

from progressive import (
    Canary,
    Decision,
    Limit,
    Outcome,
    Ports,
    Rollout,
    arollback_now,
    arun,
    astart,
    asubmit,
    atick,
    ms,
    percent,
    percents,
    rollback_now,
    run,
    start,
    submit,
    tick,
)
from progressive.model.router_state import Served
from progressive.testing import (
    MemoryRouter,
    MemoryStore,
    ScriptedMetrics,
    VirtualClock,
    aplay,
    play,
    steady,
)

ANSWERS = ScriptedMetrics({ERRORS: steady(50)})


# Stable has no errors: by the wall clock a window of a few milliseconds would hold just its one
# error in twenty seconds now and then, 100 % of one request on both tracks, which is inconclusive
# and holds for an hour.
GOOD = steady(50)
BAD = steady(50, candidate=0.3)


def metrics(script: Any = GOOD) -> ScriptedMetrics:
    return ScriptedMetrics({ERRORS: script})


def ports(**changes: Any) -> Ports:
    given: dict[str, Any] = {
        "router": MemoryRouter(),
        "metrics": [metrics()],
        "store": MemoryStore(),
        "clock": VirtualClock(START),
    }
    return Ports(**(given | changes))


class Colour:
    """The same tests through both colours."""

    def __init__(self, name: str) -> None:
        self.name = name

    def _run(
        self,
        sync: Callable[..., Any],
        acoro: Callable[..., Awaitable[Any]],
        *given: Any,
        **named: Any,
    ) -> Any:
        if self.name == "sync":
            return sync(*given, **named)

        async def main() -> Any:
            return await acoro(*given, **named)

        return asyncio.run(main())

    def start(self, *given: Any, **named: Any) -> Rollout:
        return self._run(start, astart, *given, **named)  # type: ignore[no-any-return]

    def tick(self, *given: Any, **named: Any) -> Decision:
        return self._run(tick, atick, *given, **named)  # type: ignore[no-any-return]

    def play(self, *given: Any, **named: Any) -> Outcome:
        return self._run(play, aplay, *given, **named)  # type: ignore[no-any-return]

    def submit(self, *given: Any, **named: Any) -> Decision:
        return self._run(submit, asubmit, *given, **named)  # type: ignore[no-any-return]

    def run(self, *given: Any, **named: Any) -> Outcome:
        return self._run(run, arun, *given, **named)  # type: ignore[no-any-return]

    def rollback_now(self, *given: Any, **named: Any) -> Served:
        return self._run(rollback_now, arollback_now, *given, **named)  # type: ignore[no-any-return]


def fast(**changes: Any) -> Canary:
    """A canary for the wall clock: over in a fraction of a second."""
    given: dict[str, Any] = {
        "weights": percents(10, 100),
        "bake": ms(60),
        "checks": [Limit(ERRORS, at_most=percent(5), min_sample=1)],
        "interval": ms(20),
        "watch_every": ms(500),
    }
    return Canary(**(given | changes))
