"""The search: breadth first through every state and every weather, and then what holds of all states together."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import attrs

from ..engine import decide
from ..lifecycle import Phase
from ..messages import (
    Abort,
    Hold,
    PromoteNow,
)
from ..release import Release
from ..rollout import Rollout, begin
from ..starting import Strategy
from ._abstraction import state_key
from ._one_tick import OneTick
from ._oracle import abstract
from ._promises import BACK, Invariant, Transition
from ._report import Broken, Report, TraceStep
from ._weather import NOTHING, Router, Weather, weathers
from .doubles import EPOCH

__all__ = ["Walk"]

SOON: Final = timedelta(seconds=1)


@attrs.define
class Node:
    rollout: Rollout
    router: Router
    now: datetime
    parent: int
    step: TraceStep | None
    good: int = -1
    aborted: int = -1
    out: set[int] = attrs.field(factory=set)


class Walk:
    def __init__(self, strategy: Strategy, invariants: Sequence[Invariant], release: Release, most_states: int, most_broken: int) -> None:
        self.plan = abstract(strategy.plan)
        self.invariants = tuple(invariants)
        self.weathers = weathers(self.plan)
        self.most_states, self.most_broken = most_states, most_broken
        self.nodes: list[Node] = []
        self.known: dict[object, int] = {}
        self.transitions = 0
        self.complete = True
        self.broken: list[Broken] = []
        self.steps: set[str] = set()
        self._kinds: dict[str, int] = {}
        self.begin = begin(self.plan, release, id="verified", at=EPOCH)

    def walk(self) -> None:
        """Breadth first; the order of the weathers is fixed, so the walk is."""
        self._reach(self.begin, Router(), EPOCH, -1, None)
        waiting = deque([0])
        while waiting:
            here = waiting.popleft()
            for weather in self.weathers:
                if self.nodes[here].rollout.over:
                    break
                if weather.applies(self.nodes[here].rollout):
                    there, new = self._move(here, weather)
                    if new:
                        waiting.append(there)
            if len(self.nodes) >= self.most_states and waiting:
                self.complete = False
                return
        self._whole()

    def _reach(self, rollout: Rollout, router: Router, now: datetime, parent: int, step: TraceStep | None) -> tuple[int, bool]:
        key = state_key(rollout, router)
        known = self.known.get(key)
        if known is not None:
            return known, False
        self.known[key] = len(self.nodes)
        self.nodes.append(Node(rollout, router, now, parent, step))
        return len(self.nodes) - 1, True

    def _move(self, here: int, weather: Weather) -> tuple[int, bool]:
        node = self.nodes[here]
        now = node.now + SOON
        if weather.later is not None:
            now = node.now + weather.later(node.rollout)
        elif weather.says is None and weather.strangers is None:  # people and strangers do not wait until somebody looks
            now = max(node.now + timedelta(milliseconds=1), node.rollout.wake_at or node.now)
        driver = OneTick(node.rollout, node.router, weather, now)
        try:
            after = driver.tick()
        except Exception as error:
            self._report(f"raised: {type(error).__name__}: {error}", here, TraceStep(weather.name, tuple(driver.told), "it raised"))
            return here, False
        step = TraceStep(weather.name, tuple(driver.told), str(after.status))
        router = driver.router
        took_back = router.back
        if after.phase in BACK and node.rollout.phase not in BACK:
            took_back = any(not one.candidate.ppm for one in driver.written) or (router.marker is not None and router.marker.closed)
        router = attrs.evolve(router, back=took_back and after.phase in BACK)
        move = Transition(
            what=weather.name,
            before=node.rollout,
            after=after,
            served=node.router.traffic if weather.strangers is None else weather.strangers(node.router).traffic,
            written=tuple(driver.written),
            on_router=router.traffic,
            judged_at_full=router.judged,
            took_back=took_back,
        )
        self.transitions += 1
        self.steps.update(driver.steps)
        for invariant in self.invariants:
            if (what := invariant(move)) is not None:
                self._report(what, here, step)
        there, new = self._reach(after, router, now, here, step)
        node.out.add(there)
        if weather is self.weathers[0]:
            node.good = there
        if weather.name == "abort":
            node.aborted = there
        return there, new

    def _report(self, what: str, here: int, step: TraceStep | None) -> None:
        kind = what.partition(":")[0]
        self._kinds[kind] = self._kinds.get(kind, 0) + 1
        if self._kinds[kind] <= self.most_broken:
            trace = [*self._trace(here), *([step] if step is not None else [])]
            self.broken.append(Broken(what=what, begin=self.begin, trace=tuple(trace)))

    def _trace(self, here: int) -> list[TraceStep]:
        found: list[TraceStep] = []
        while (step := self.nodes[here].step) is not None:
            found.append(step)
            here = self.nodes[here].parent
        return found[::-1]

    # ------------------------------------------------------------------------------------------------------------ on the whole

    def _whole(self) -> None:
        """What holds of all states together: an abort leads to 0 %, and there is a way to an end."""
        for here, node in enumerate(self.nodes):
            if node.aborted >= 0 and not self._ends_at_zero(node.aborted):
                self._report("an abort does not lead to 0 % here", here, None)
            if node.rollout.over and (heard := _heard_when_over(node.rollout)):
                self._report(heard, here, None)
        if not any(node.rollout.phase is Phase.PROMOTED for node in self.nodes):
            self._report("whatever happens, it is never promoted", 0, None)
        dead = set(range(len(self.nodes))) - self._can_end()
        for here in sorted(dead):
            self._report("there is no way to an end from here", here, None)

    def _ends_at_zero(self, here: int) -> bool:
        seen: set[int] = set()
        while here >= 0 and here not in seen:
            node = self.nodes[here]
            if node.rollout.phase is Phase.ROLLED_BACK:
                return node.router.traffic == NOTHING or node.rollout.progress.reason.startswith("superseded")
            seen.add(here)
            here = node.good
        return False

    def _can_end(self) -> set[int]:
        """Every state from which some way leads to a final phase."""
        into: dict[int, list[int]] = {}
        for here, node in enumerate(self.nodes):
            for there in node.out:
                into.setdefault(there, []).append(here)
        waiting = [here for here, node in enumerate(self.nodes) if node.rollout.final]
        found = set(waiting)
        while waiting:
            for before in into.get(waiting.pop(), ()):
                if before not in found:
                    found.add(before)
                    waiting.append(before)
        return found

    def report(self) -> Report:
        """What was found."""
        names = tuple(step.id for step in self.plan.steps)
        unreached = tuple(name for name in names if name not in self.steps) if self.complete else ()
        return Report(
            states=len(self.nodes),
            transitions=self.transitions,
            complete=self.complete,
            steps=names,
            unreached=unreached,
            broken=tuple(self.broken),
        )


def _heard_when_over(rollout: Rollout) -> str | None:
    """R24 again, for what people say when it is over."""
    at = rollout.clocks.now
    for kind in (Abort, Hold, PromoteNow):
        try:
            decision = decide(rollout, kind(at=at, by="somebody", why="it is walked"))
        except Exception as error:
            return f"R24: {kind.__name__} was heard when it was over: {error}"
        if decision.rollout.phase is not rollout.phase or decision.commands:
            return f"R24: {kind.__name__} was heard when it was over"
    return None
