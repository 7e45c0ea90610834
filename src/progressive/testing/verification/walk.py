"""Walk breadth first through every state and every perturbation, and report the promises that do
not hold.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import attrs

from progressive.model.release import Release
from progressive.plan.plan import Strategy
from progressive.rollout.events import Event
from progressive.rollout.state import Rollout, begin
from progressive.testing.doubles import EPOCH

from .abstraction import Abstraction, Past, past
from .graph import NEVER_PROMOTED, State, violations
from .invariants import PROMISES, Invariant, Transition
from .moves import next_tick, transition
from .one_tick import Decisions, OneTick
from .paste import as_test
from .perturbations import Perturbation, Router, perturbations
from .report import Broken, Report, TraceStep, WalkProgress
from .stub_checks import abstract
from .untried import untried

__all__ = ["Walk"]


@attrs.frozen
class _Moved:
    """A tick that was decided, and the index of the state that it led to."""

    tick: OneTick
    move: Transition
    there: int


class Walk:
    """One walk of a strategy. ``invariants`` are the user's own; `PROMISES` are always checked.

    ``stopped``: what stopped it before it had seen every state; empty if nothing did.
    """

    def __init__(
        self,
        strategy: Strategy,
        invariants: Sequence[Invariant],
        release: Release,
        most_states: int,
        most_broken: int,
    ) -> None:
        self.strategy, self.release = strategy, release
        self.plan = abstract(strategy.plan)
        self.invariants = tuple(invariants)
        self.perturbations = perturbations(self.plan)
        self.most_states, self.most_broken = most_states, most_broken
        self.states: list[State] = []
        self.transitions = 0
        self.stopped = ""
        self.broken: list[Broken] = []
        self.steps: set[str] = set()
        self.tried: set[str] = set()
        self._known: dict[object, list[tuple[Past, int]]] = {}
        self._kinds: dict[str, int] = {}
        self._abstraction = Abstraction(self.plan)
        self._waiting: deque[int] = deque()
        self._begin = begin(self.plan, release, id="verified", at=EPOCH)

    def walk(self) -> Iterator[int]:
        """Walk through all states; the order is fixed by that of the perturbations.

        Yields how many states were ticked, after each of them; whoever does not go on to the end
        says in ``stopped`` why.
        """
        self._reach(self._begin, Router(), EPOCH, -1, "", ())
        ticked = 0
        while self._waiting:
            here = self._waiting.popleft()
            if (state := self.states[here]).stand_in >= 0:
                state.good, state.out = state.stand_in, {state.stand_in}
                continue
            self._tick_in_every_way(here)
            ticked += 1
            if len(self.states) >= self.most_states and self._waiting:
                self.stopped = f"most_states={self.most_states:,}"
                return
            yield ticked
        for what, here in violations(self.states):
            self._report(what, here)

    def progress(self, elapsed: timedelta) -> WalkProgress:
        """Return how far it has come."""
        return WalkProgress(
            states=len(self.states),
            transitions=self.transitions,
            open=len(self._waiting),
            depth=self._depth(),
            elapsed=elapsed,
        )

    def _depth(self) -> int:
        """Return of how many ticks every way was tried; when none is open, how many there are."""
        return self.states[self._waiting[0] if self._waiting else -1].depth

    def _tick_in_every_way(self, here: int) -> None:
        """Tick one state under every perturbation.

        A tick that can't differ from the unperturbed one is counted, not decided again.
        """
        state, none, decisions = self.states[here], self.perturbations[0], Decisions()
        plain = self._move(here, none, next_tick(state.rollout, state.now, none), decisions)
        if plain is not None:
            state.good = plain.there
        for perturbation in self.perturbations[1:]:
            if not perturbation.applies(state.rollout):
                continue
            now = next_tick(state.rollout, state.now, perturbation)
            if plain is not None and _is_same_tick(plain.tick, perturbation, now):
                self.transitions += 1
                if self.invariants:
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
        self.tried.add(perturbation.name)
        try:
            moved = transition(tick)
        except Exception as error:
            self._report(
                f"raised: {type(error).__name__}: {error}",
                here,
                TraceStep(perturbation.name, tuple(tick.told), "it raised"),
            )
            return None
        move = moved.transition
        self.transitions += 1
        self.steps.update(tick.steps)
        self._judge(PROMISES, move, here, tick)
        self._judge(self.invariants, move, here, tick)
        there = self._reach(
            move.after, moved.router, now, here, perturbation.name, tuple(tick.told)
        )
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
        new, depth = len(self.states), self.states[parent].depth + 1 if parent >= 0 else 0
        for had, known in alike:
            less = all(its or not mine for its, mine in zip(had, seen, strict=True))
            if less and self.states[known].depth == depth:
                self.states[known].stand_in = new
        alike.append((seen, new))
        self.states.append(State(rollout, router, now, parent, depth, what, told))
        if not rollout.over:
            self._waiting.append(new)
        return new

    def _judge(
        self, invariants: Sequence[Invariant], move: Transition, here: int, tick: OneTick
    ) -> None:
        for invariant in invariants:
            if (what := invariant(move)) is not None:
                last = TraceStep(move.what, tuple(tick.told), str(move.after.status))
                own = invariant if invariants is self.invariants else None
                self._report(what, here, last, own=own)

    def _report(self, what: str, here: int, *last: TraceStep, own: Invariant | None = None) -> None:
        kind = what.partition(":")[0]
        self._kinds[kind] = self._kinds.get(kind, 0) + 1
        if self._kinds[kind] > self.most_broken:
            return
        trace = (*self._trace(here), *last)
        names = None if what == NEVER_PROMOTED else [step.what for step in trace]
        test = as_test(what, self.strategy, self.release, names, own)
        self.broken.append(Broken(what=what, begin=self._begin, trace=trace, test=test))

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
        complete = not self.stopped
        unreached = tuple(name for name in names if name not in self.steps) if complete else ()
        return Report(
            states=len(self.states),
            transitions=self.transitions,
            complete=complete,
            stopped=self.stopped,
            depth=self._depth(),
            open=len(self._waiting),
            steps=names,
            unreached=unreached,
            broken=tuple(self.broken),
            untried=untried(self.strategy.plan, self.perturbations, self.tried),
        )


def _is_same_tick(plain: OneTick, perturbation: Perturbation, now: datetime) -> bool:
    """Return whether a perturbed tick is the same as the unperturbed one.

    It is if the command whose answer it changes is not issued, or if it comes at the same time.
    """
    if perturbation.changes is not None:
        return perturbation.changes not in plain.asked
    return perturbation.later is not None and now == plain.now
