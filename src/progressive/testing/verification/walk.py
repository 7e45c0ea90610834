"""Walk breadth first through every state and every perturbation, and report the promises that do
not hold.
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

from .abstraction import Abstraction, Past, past
from .graph import State, violations
from .invariants import BACK, PROMISES, Invariant, Transition
from .one_tick import Decisions, OneTick
from .perturbations import Perturbation, Router, perturbations
from .report import Broken, Report, TraceStep
from .stub_checks import abstract

__all__ = ["Walk"]

SOON: Final = timedelta(seconds=1)
AT_ONCE: Final = timedelta(milliseconds=1)


@attrs.frozen
class _Moved:
    """A tick that was decided, and the index of the state that it led to."""

    tick: OneTick
    move: Transition
    there: int


class Walk:
    """One walk of a strategy. ``invariants`` are the user's own; `PROMISES` are always checked."""

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
        self.perturbations = perturbations(self.plan)
        self.most_states, self.most_broken = most_states, most_broken
        self.states: list[State] = []
        self.transitions = 0
        self.complete = True
        self.broken: list[Broken] = []
        self.steps: set[str] = set()
        self._known: dict[object, list[tuple[Past, int]]] = {}
        self._kinds: dict[str, int] = {}
        self._abstraction = Abstraction(self.plan)
        self._waiting: deque[int] = deque()
        self._begin = begin(self.plan, release, id="verified", at=EPOCH)

    def walk(self) -> None:
        """Walk through all states; the order is fixed by that of the perturbations."""
        self._reach(self._begin, Router(), EPOCH, -1, "", ())
        while self._waiting:
            self._tick_in_every_way(self._waiting.popleft())
            if len(self.states) >= self.most_states and self._waiting:
                self.complete = False
                return
        for what, here in violations(self.states):
            self._report(what, here)

    def _tick_in_every_way(self, here: int) -> None:
        """Tick one state under every perturbation.

        A tick that can't differ from the unperturbed one is counted, not decided again.
        """
        state, none, decisions = self.states[here], self.perturbations[0], Decisions()
        plain = self._move(here, none, _next_tick(state, none), decisions)
        if plain is not None:
            state.good = plain.there
        for perturbation in self.perturbations[1:]:
            if not perturbation.applies(state.rollout):
                continue
            now = _next_tick(state, perturbation)
            if plain is not None and _is_same_tick(plain.tick, perturbation, now):
                self.transitions += 1
                move = attrs.evolve(plain.move, what=perturbation.name)
                self._judge(self.invariants, move, here, plain.tick)
                continue
            moved = self._move(here, perturbation, now, decisions)
            if moved is not None and perturbation.name == "abort":
                state.aborted = moved.there

    def _move(
        self, here: int, perturbation: Perturbation, now: datetime, decisions: Decisions
    ) -> _Moved | None:
        """Tick one state under a perturbation, and judge the transition; None if it raised."""
        state = self.states[here]
        tick = OneTick(state.rollout, state.router, perturbation, now, decisions)
        try:
            after = tick.tick()
        except Exception as error:
            self._report(
                f"raised: {type(error).__name__}: {error}",
                here,
                TraceStep(perturbation.name, tuple(tick.told), "it raised"),
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
        found = state.router
        if perturbation.strangers is not None:
            found = perturbation.strangers(found)
        move = Transition(
            what=perturbation.name,
            before=state.rollout,
            after=after,
            served=found.traffic,
            marker=found.marker,
            written=tuple(tick.written),
            on_router=router.traffic,
            judged_at_full=router.judged,
            took_back=took_back,
        )
        self.transitions += 1
        self.steps.update(tick.steps)
        self._judge(PROMISES, move, here, tick)
        self._judge(self.invariants, move, here, tick)
        there = self._reach(after, router, now, here, perturbation.name, tuple(tick.told))
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
        """Return the index of a state, new or known; a new one waits to be walked.

        A known one stands for all states with its key and at least as much of a past.
        """
        alike = self._known.setdefault(self._abstraction.key(rollout, router), [])
        seen = past(rollout, router)
        for had, known in alike:
            if all(mine or not its for its, mine in zip(had, seen, strict=True)):
                return known
        new = len(self.states)
        alike.append((seen, new))
        self.states.append(State(rollout, router, now, parent, what, told))
        if not rollout.over:
            self._waiting.append(new)
        return new

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
        """Return the ticks from the start to a state."""
        last_first: list[TraceStep] = []
        while (state := self.states[here]).parent >= 0:
            last_first.append(TraceStep(state.what, state.told, str(state.rollout.status)))
            here = state.parent
        return last_first[::-1]

    def report(self) -> Report:
        """Return the report of the walk."""
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


def _next_tick(state: State, perturbation: Perturbation) -> datetime:
    """Return the time of the next tick."""
    if perturbation.later is not None:
        return state.now + perturbation.later(state.rollout)
    if perturbation.says is None and perturbation.strangers is None:
        return max(state.now + AT_ONCE, state.rollout.wake_at or state.now)
    return state.now + SOON  # events and edits by others do not wait for ``wake_at``


def _is_same_tick(plain: OneTick, perturbation: Perturbation, now: datetime) -> bool:
    """Return whether a perturbed tick is the same as the unperturbed one.

    It is if the command whose answer it changes is not issued, or if it comes at the same time.
    """
    if perturbation.changes is not None:
        return perturbation.changes not in plain.asked
    return perturbation.later is not None and now == plain.now
