"""Simulate only the checks of a rollout: looks are drawn and judged as by the engine; the router
always obeys and persons answer at once.

It is a small part of `simulate` and many times as fast. Where both can be asked they agree (a test
compares them), so figures that need thousands of rollouts come from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

import attrs

from progressive.analysis.check_state import CheckState, action_for, is_outstanding, update
from progressive.engine.measuring import judgement_of
from progressive.model.actions import Action, Go
from progressive.model.measurement import Look, Metric
from progressive.model.traffic import Track, Traffic
from progressive.model.units import MILLION
from progressive.plan.plan import Plan, PlannedCheck, Series
from progressive.plan.step import Approved, Done, Situation, Wait
from progressive.steps.standard import Bake, Pause

from .looks import Asked, Looks, Place, Scene, State, moment_of, scenes
from .service import World
from .watched import Ending, Passage, Stay, Until, Watched

__all__ = ["Lookout", "Parted", "watch"]

ZERO = timedelta()
MANY = 1 << 30
"""The passes of an analysis all of whose checks have ended: more than any step waits for."""


def watch(
    plan: Plan,
    world: World,
    seed: object,
    *,
    traffics: Sequence[Traffic] | None = None,
    stay: Stay | None = None,
) -> Watched:
    """Watch one rollout to its end.

    A check that ends it is left out from there on, and the others go on: so each is known by
    itself. ``traffics`` replaces the plan's, step by step.
    """
    [scene] = scenes(plan, [world])
    return Lookout(scene, Looks(plan, seed), traffics=traffics, stay=stay).run()


@attrs.frozen
class Turn:
    """How a series is looked at in a step: how late, on which tracks, and by which checks."""

    lag: timedelta
    tracks: tuple[Track, ...]
    checks: tuple[PlannedCheck, ...]


class Parted(Exception):
    """A rollout was looked at otherwise than the one from which the states of a check are known."""


class Lookout:
    """One rollout in one scene, whose looks may be shared with those in others.

    * ``until``: when no more has to be known of it.
    * ``known``: by the index of a check, its states after each look, where they need no judging.
    """

    def __init__(
        self,
        scene: Scene,
        looks: Looks,
        *,
        until: Until | None = None,
        traffics: Sequence[Traffic] | None = None,
        stay: Stay | None = None,
        known: Mapping[int, Mapping[Place, State]] = MappingProxyType({}),
    ) -> None:
        plan, world = scene.plan, scene.world
        self.scene, self.looks, self.until, self.stay = scene, looks, until, stay
        self.plan, self.world, self.known = plan, world, known
        self.trails: list[dict[Place, State]] = [{} for _ in plan.checks]
        self.asked_about = _asked_about(plan, until)
        self.watched: Watched | None = None
        self.traffics = plan.traffics if traffics is None else tuple(traffics)
        self.now = world.start
        self.end = world.start + plan.deadline.within
        self.states = list(looks.initial)
        self.endings: dict[int, Ending] = {}
        self.starts: dict[Series, datetime] = {}
        self.turns: dict[Series, Turn] = {}
        self.first: dict[Track, datetime] = {}
        self.step, self.entered, self.traffic = 0, self.now, Traffic()
        self.changed = self.now
        self.parts = world.parts(self.traffic)
        self.closing: datetime | None = None
        self.waited_for: set[int] = set()
        self.judging = frozenset(range(len(plan.checks))) if stay is None else stay.checks

    def run(self) -> Watched:
        """Watch it to its end. Raises `Parted` if the states of a check are not known after all."""
        self.watched = self._run()
        return self.watched

    def undisturbed(self, check: int) -> bool:
        """Return whether it went all the way, and a check neither ended it nor was waited for."""
        watched = self.watched
        return (
            watched is not None
            and watched.stuck is None
            and len(watched.passages) == len(self.plan.steps)
            and check not in self.endings
            and not any(check in passage.waited_for for passage in watched.passages)
        )

    def _run(self) -> Watched:
        passages: list[Passage] = []
        for step in range(len(self.plan.steps)):
            self._enter(step)
            if self.stay is not None and self.stay.step == step:
                self._stay()
                break
            passed = self._pass()
            requests = self._expected(self.entered, self.now, Track.CANDIDATE)
            waited_for = {c: self.states[c].of.why for c in sorted(self.waited_for)}
            passages.append(Passage(self.now - self.entered, requests, waited_for))
            if not passed:
                return Watched(self.endings, tuple(passages), step)
            if self._over() or (self.until is not None and self.until.last == step):
                break
        return Watched(self.endings, tuple(passages), None)

    def _over(self) -> bool:
        """Return whether nothing more is to be known: the rest is what it would be without checks,
        or is not asked for.
        """
        if self.until is not None:
            return self.until.over(self.endings)
        return len(self.endings) == len(self.states) and any(
            not self.plan.checks[c].check.observe for c in self.endings
        )

    # ---------------------------------------------------------------------------------------- steps

    def _enter(self, step: int) -> None:
        self.step, self.entered, self.closing = step, self.now, None
        self.waited_for = set()
        traffic = self.traffics[step]
        if traffic != self.traffic:
            self.traffic, self.parts = traffic, self.world.parts(traffic)
            self.changed = self.now
            self.starts.clear()
            self.states = [state.in_new_traffic() for state in self.states]
            for track in Track:
                if self.parts[track].whole:
                    self.first.setdefault(track, self.now)
        running = self._active()
        for series in [series for series in self.starts if series not in running]:
            del self.starts[series]
            for planned in series.checks:
                self.states[planned.index] = self.states[planned.index].in_new_traffic()
        for series in running:
            self.starts.setdefault(series, self.now + series.analysis.warmup)
        self.turns = {series: self._turn(series) for series in self.starts}

    def _turn(self, series: Series) -> Turn:
        tracks = tuple(
            track
            for track in series.measured_tracks
            if self.traffic.reaches(track)
            or (series.analysis.synthetic and track is Track.CANDIDATE)
        )
        checks = tuple(
            planned
            for planned in series.checks
            if planned.index in self.judging
            and all(track in tracks for track in planned.check.required_tracks)
        )
        return Turn(series.metric.lag, tracks, checks)

    def _active(self) -> tuple[Series, ...]:
        return self.plan.active(self.step, self.traffic.reaches(Track.CANDIDATE))

    def _pass(self) -> bool:
        """Let time pass until the step is done. False if it is not done by its deadline."""
        step, memory = self.plan.steps[self.step], None
        within = (
            step.deadline.within if step.deadline is not None else step.span + timedelta(hours=1)
        )
        last = min(self.entered + within, self.end)
        while True:
            advance = step.advance(self._situation(memory))
            wakes = [last]
            if isinstance(advance, Done):
                waiting = self._not_ready()
                if waiting is None:
                    return True
                self.waited_for |= waiting
            elif isinstance(advance, Wait):
                memory = advance.memory
                wakes += [] if advance.until is None else [advance.until]
            else:
                return False
            if self.now >= last:
                return False
            until = min(wakes)
            self._go_on(min([until, *self._due()]))
            timed = isinstance(advance, Wait) and isinstance(step, Bake | Pause)
            while timed and self.now < until and not self._enough():
                self._go_on(min([until, *self._due()]))  # nothing but time ends such a step
            if self._enough():
                return True

    def _enough(self) -> bool:
        return self.until is not None and self.until.over(self.endings)

    def _stay(self) -> None:
        assert self.stay is not None
        end = self.entered + self.stay.within
        while self.now < end and not self.stay.checks & self.endings.keys():
            self._go_on(min([end, *self._due()]))

    def _situation(self, memory: object) -> Situation:
        elapsed, approval = self.now - self.entered, self.plan.steps[self.step].approval
        return Situation(
            now=self.now,
            stepped=elapsed,
            watched=elapsed,
            verified=True,
            memory=memory,  # type: ignore[arg-type]
            answer=Go(),
            approved=None
            if approval is None
            else Approved(approval=approval, by="simulated", why="simulated"),
            passes=self._passes,
        )

    def _passes(self, analysis: str) -> int:
        deciding = [
            self.states[planned.index].of.passes
            for planned in self.plan.checks
            if planned.analysis.name == analysis
            and not planned.check.observe
            and planned.index not in self.endings
        ]
        return min(deciding, default=MANY)

    def _not_ready(self) -> set[int] | None:
        """Return the checks to wait for before the next raise; None if nothing is waited for.

        An empty set stands for a closing look.
        """
        following = self.step + 1
        if following < len(self.plan.steps) and not self.traffics[following].exceeds(self.traffic):
            return None
        outstanding = self._outstanding()
        if outstanding and all(self.states[c].of.looks_at_weight for c in outstanding):
            self.closing = None
            return outstanding
        if self.closing is None:
            self.closing = self.now
            self._look()
            outstanding = self._outstanding()
        if any(start < self.closing for start in self.starts.values()):
            return set()
        return outstanding or None

    def _outstanding(self) -> set[int]:
        return {c for c in self._deciding() if is_outstanding(self.states[c].of)}

    def _deciding(self) -> Iterator[int]:
        for turn in self.turns.values():
            for planned in turn.checks:
                if planned.index not in self.endings and not planned.check.observe:
                    yield planned.index

    # ---------------------------------------------------------------------------------------- looks

    def _due(self) -> Iterator[datetime]:
        for series, start in self.starts.items():
            turn = self.turns[series]
            yield start + self._look_after(series, start) + turn.lag
            if self.closing is not None and start < self.closing:
                yield self.closing + turn.lag

    def _go_on(self, to: datetime) -> None:
        self.now = max(self.now, to)
        self._look()

    def _look(self) -> None:
        for series, turn in self.turns.items():
            start, horizon = self.starts[series], self.now - turn.lag
            closes = self.closing is not None and start < self.closing <= horizon
            due = horizon - start >= self._look_after(series, start)
            if start < horizon and (closes or due):
                self.starts[series] = horizon
                self._judge(series.metric, turn, start, horizon)

    def _look_after(self, series: Series, start: datetime) -> timedelta:
        age = max(start - self.changed - series.analysis.warmup, timedelta())
        return series.look_after(age, series.metric.resolution)

    def _judge(self, metric: Metric, turn: Turn, start: datetime, end: datetime) -> None:
        judging = [planned for planned in turn.checks if self._matters(planned)]
        if not judging:
            return
        place = (start, end, self.step)
        to_judge = []
        for planned in judging:
            if (known := self.known.get(planned.index)) is None:
                to_judge.append(planned)
            elif (state := known.get(place)) is None:
                raise Parted
            else:
                self.states[planned.index] = state
        if not to_judge:
            return
        window = self.looks.window(start, end)
        asked = Asked(metric, window, self.step, turn.tracks, self.parts, self.first)
        measured, look = self.looks.measured(self.scene, asked), None
        key = (metric.name, *place, *measured)
        for planned in to_judge:
            before = self.states[planned.index]
            state = before.after(key)
            if state is None:
                if look is None:
                    tracks = list(zip(turn.tracks, measured, strict=True))
                    look = Look(metric=metric.name, window=window, tracks=tracks)
                state = before.judged(key, self._judged(planned, before.of, look))
            self.states[planned.index] = self.trails[planned.index][place] = state
            if state.of.failed or state.of.stuck_verdict is not None:
                self._act(planned, state.of)

    def _matters(self, planned: PlannedCheck) -> bool:
        """Return whether a check is to be judged: it has not ended, and is either asked about or
        still waited for at this weight.
        """
        c = planned.index
        if c in self.endings:
            return False
        return c in self.asked_about or not self.states[c].of.passes_at_weight

    def _judged(self, planned: PlannedCheck, state: CheckState, look: Look) -> CheckState:
        check, window = planned.check, look.window
        judgement, memory = judgement_of(check, look, state.memory, planned.alpha, self.traffic)
        return update(state, judgement, memory, check.tolerance, start=window.start, end=window.end)

    def _act(self, planned: PlannedCheck, state: CheckState) -> None:
        """End the rollout, for a check whose state requires that."""
        full = self.traffic.candidate.ppm == MILLION
        required = action_for(state, planned.check.tolerance, full=full)
        if required is not None and required[0] is not Action.WAIT:
            self.endings[planned.index] = Ending(
                self.step, self.now - self.entered, state.failed, state.why
            )

    def _expected(self, start: datetime, end: datetime, track: Track) -> int:
        """Return the expected requests whose answers users see, from the load at every scrape.

        At most 500 points of time are used, evenly spread.
        """
        share = self.parts[track].users
        if not share or start == end:
            return 0
        pieces = max(4, min(500, (end - start) // self.world.scrape))
        if self.scene.steady:
            pieces = 1
        part = (end - start) / pieces
        began = self.first.get(track)
        expected = 0.0
        for i in range(pieces):
            moment = moment_of(self.world, self.parts[track], start + part * i, began)
            expected += moment.load * share * part.total_seconds()
        return round(expected)


def _asked_about(plan: Plan, until: Until | None) -> frozenset[int]:
    """Return the checks of which all looks matter: those that are asked about, and those whose
    passes a step counts.

    Of the others, in a world in which their own metrics are as usual, nothing matters but when the
    next step need not wait for them any more.
    """
    every = frozenset(planned.index for planned in plan.checks)
    if until is None or until.any or not until.checks:
        return every
    named = {name for step in plan.steps for name in step.analyses}
    counted = {c for c in every if plan.checks[c].analysis.name in named}
    return until.checks | counted
