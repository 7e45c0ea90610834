"""The search: breadth first through every state and every weather, and what does not hold comes
with the shortest way to it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import attrs

from progressive.model.release import Release
from progressive.plan.plan import Strategy
from progressive.rollout.events import Event
from progressive.rollout.state import Rollout, begin
from progressive.testing.doubles import EPOCH

from .abstraction import Abstraction
from .graph import State, violations
from .invariants import BACK, PROMISES, Invariant, Transition
from .one_tick import OneTick
from .perturbations import Perturbation, Router, weathers
from .report import Broken, Report, TraceStep
from .stub_checks import abstract

__all__ = ["Walk"]

SOON: Final = timedelta(seconds=1)
AT_ONCE: Final = timedelta(milliseconds=1)


@attrs.frozen
class _Moved:
    """A tick that was decided, and where it led."""

    tick: OneTick
    move: Transition
    there: int


class Walk:
    """``invariants`` are the user's own; `PROMISES` are always checked."""

    def __init__(
        self,
        strategy: Strategy,
        invariants: Sequence[Invariant],
        release: Release,
        most_states: int,
        most_broken: int,
    ) -> None:
        self.plan = abstract(strategy.plan)
        self.invariants = tuple(invariants)
        self.weathers = weathers(self.plan)
        self.most_states, self.most_broken = most_states, most_broken
        self.states: list[State] = []
        self.transitions = 0
        self.complete = True
        self.broken: list[Broken] = []
        self.steps: set[str] = set()
        self._known: dict[object, int] = {}
        self._kinds: dict[str, int] = {}
        self._abstraction = Abstraction(self.plan)
        self._waiting: deque[int] = deque()
        self._begin = begin(self.plan, release, id="verified", at=EPOCH)

    def walk(self) -> None:
        """Breadth first; the order of the weathers is fixed, so the walk is."""
        self._reach(self._begin, Router(), EPOCH, -1, "", ())
        while self._waiting:
            self._every_weather(self._waiting.popleft())
            if len(self.states) >= self.most_states and self._waiting:
                self.complete = False
                return
        for what, here in violations(self.states):
            self._report(what, here)

    def _every_weather(self, here: int) -> None:
        """Every tick there is from one state. One that can't differ from the tick in good weather
        is counted, not decided again.
        """
        state, good = self.states[here], self.weathers[0]
        fair = self._move(here, good, _come_back(state, good))
        if fair is not None:
            state.good = fair.there
        for weather in self.weathers[1:]:
            if not weather.applies(state.rollout):
                continue
            now = _come_back(state, weather)
            if fair is not None and _same(fair.tick, weather, now):
                self.transitions += 1
                self._judge(
                    self.invariants, attrs.evolve(fair.move, what=weather.name), here, fair.tick
                )
                continue
            moved = self._move(here, weather, now)
            if moved is not None and weather.name == "abort":
                state.aborted = moved.there

    def _move(self, here: int, weather: Perturbation, now: datetime) -> _Moved | None:
        """One tick, judged; None if it raised."""
        state = self.states[here]
        tick = OneTick(state.rollout, state.router, weather, now)
        try:
            after = tick.tick()
        except Exception as error:
            self._report(
                f"raised: {type(error).__name__}: {error}",
                here,
                TraceStep(weather.name, tuple(tick.told), "it raised"),
            )
            return None
        router = tick.router
        took_back = router.back
        if after.phase in BACK and state.rollout.phase not in BACK:
            took_back = any(not one.candidate.ppm for one in tick.written) or (
                router.marker is not None and router.marker.closed
            )
        back = took_back and after.phase in BACK
        if back is not router.back:
            router = attrs.evolve(router, back=back)
        move = Transition(
            what=weather.name,
            before=state.rollout,
            after=after,
            served=state.router.traffic
            if weather.strangers is None
            else weather.strangers(state.router).traffic,
            written=tuple(tick.written),
            on_router=router.traffic,
            judged_at_full=router.judged,
            took_back=took_back,
        )
        self.transitions += 1
        self.steps.update(tick.steps)
        self._judge(PROMISES, move, here, tick)
        self._judge(self.invariants, move, here, tick)
        there = self._reach(after, router, now, here, weather.name, tuple(tick.told))
        state.out.add(there)
        return _Moved(tick, move, there)

    def _reach(
        self,
        rollout: Rollout,
        router: Router,
        now: datetime,
        parent: int,
        what: str,
        told: tuple[tuple[Event, ...], ...],
    ) -> int:
        """The state that this is, new or known."""
        new = len(self.states)
        here = self._known.setdefault(self._abstraction.key(rollout, router), new)
        if here == new:
            self.states.append(State(rollout, router, now, parent, what, told))
            if not rollout.over:
                self._waiting.append(new)
        return here

    def _judge(
        self, invariants: Sequence[Invariant], move: Transition, here: int, tick: OneTick
    ) -> None:
        for invariant in invariants:
            if (what := invariant(move)) is not None:
                self._report(
                    what, here, TraceStep(move.what, tuple(tick.told), str(move.after.status))
                )

    def _report(self, what: str, here: int, *last: TraceStep) -> None:
        kind = what.partition(":")[0]
        self._kinds[kind] = self._kinds.get(kind, 0) + 1
        if self._kinds[kind] <= self.most_broken:
            self.broken.append(
                Broken(what=what, begin=self._begin, trace=(*self._trace(here), *last))
            )

    def _trace(self, here: int) -> list[TraceStep]:
        found: list[TraceStep] = []
        while (state := self.states[here]).parent >= 0:
            found.append(TraceStep(state.what, state.told, str(state.rollout.status)))
            here = state.parent
        return found[::-1]

    def report(self) -> Report:
        """What was found."""
        names = tuple(step.id for step in self.plan.steps)
        unreached = tuple(name for name in names if name not in self.steps) if self.complete else ()
        return Report(
            states=len(self.states),
            transitions=self.transitions,
            complete=self.complete,
            steps=names,
            unreached=unreached,
            broken=tuple(self.broken),
        )


def _come_back(state: State, weather: Perturbation) -> datetime:
    """When the next tick is."""
    if weather.later is not None:
        return state.now + weather.later(state.rollout)
    if weather.says is None and weather.strangers is None:
        return max(state.now + AT_ONCE, state.rollout.wake_at or state.now)
    return state.now + SOON  # people and strangers do not wait until somebody looks


def _same(fair: OneTick, weather: Perturbation, now: datetime) -> bool:
    """Is it the tick in good weather again? It comes when that does, and what this weather changes
    is not asked for.
    """
    if weather.changes is not None:
        return weather.changes not in fair.asked
    return weather.later is not None and now == fair.now
