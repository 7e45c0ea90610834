"""Simulate only the checks of a rollout: looks are drawn and judged as by the engine; the router
always obeys and persons answer at once.

It is a small part of `simulate` and many times as fast. Where both can be asked they agree (a test
compares them), so figures that need thousands of rollouts come from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import attrs

from progressive.analysis.check_state import (
    CheckState,
    action_for,
    is_outstanding,
    reset_for_new_traffic,
    update,
)
from progressive.engine.measuring import judgement_of
from progressive.model.actions import Action, Go
from progressive.model.measurement import Gauge, Kind, Look, Measurement, Window
from progressive.model.traffic import Track, Traffic
from progressive.model.units import MILLION
from progressive.plan.plan import Plan, PlannedCheck, Series
from progressive.plan.step import Approved, Done, Situation, Wait

from .curves import SimTime, at, load_at
from .dice import Dice
from .running import drawn, failures
from .service import World

__all__ = ["Ending", "Passage", "Stay", "Watched", "watch"]

ZERO = timedelta()
MANY = 1 << 30
"""The passes of an analysis all of whose checks have ended: more than any step waits for."""


@attrs.frozen
class Ending:
    """How one check ended a rollout, or would have.

    * ``step``: the index of the step.
    * ``after``: counted from the beginning of that step.
    * ``failed``: False if it exhausted its budget without a verdict (no data, inconclusive).
    """

    step: int
    after: timedelta
    failed: bool
    why: str


@attrs.frozen
class Passage:
    """One step that was passed.

    * ``took``: its length.
    * ``requests``: those of the candidate in it.
    * ``waited_for``: the indices of the checks that were waited for after the step's own time.
    """

    took: timedelta
    requests: int
    waited_for: frozenset[int]


@attrs.frozen
class Watched:
    """One rollout that was watched.

    * ``endings``: by the index of the check in the plan; checks that ended nothing have none.
    * ``passages``: of the steps, in order.
    * ``stuck``: the index of the step that was not passed in its time; None if all were.
    """

    endings: dict[int, Ending]
    passages: tuple[Passage, ...]
    stuck: int | None


@attrs.frozen
class Stay:
    """The order to stay in one step until one of ``checks`` has ended the rollout, and end there.

    It stays for ``within`` at most; no other check judges.
    """

    step: int
    within: timedelta
    checks: frozenset[int]


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
    return _Lookout(
        plan, world, seed, plan.traffics if traffics is None else tuple(traffics), stay
    ).run()


class _Lookout:
    def __init__(
        self,
        plan: Plan,
        world: World,
        seed: object,
        traffics: tuple[Traffic, ...],
        stay: Stay | None,
    ) -> None:
        self.plan, self.world, self.traffics, self.stay = plan, world, traffics, stay
        self.dice = Dice(seed, "looks")
        self.preview = any(each.synthetic for each in plan.analyses)
        self.now = world.start
        self.end = world.start + plan.deadline.within
        self.check_states = [CheckState() for _ in plan.checks]
        self.endings: dict[int, Ending] = {}
        self.starts: dict[Series, datetime] = {}
        self.first: dict[Track, datetime] = {}
        self.step, self.entered, self.traffic = 0, self.now, Traffic()
        self.changed = self.now
        self.parts = world.parts(self.traffic)
        self.closing: datetime | None = None
        self.waited_for: set[int] = set()
        self.judging = frozenset(range(len(plan.checks))) if stay is None else stay.checks

    def run(self) -> Watched:
        passages: list[Passage] = []
        for step in range(len(self.plan.steps)):
            self._enter(step)
            if self.stay is not None and self.stay.step == step:
                self._stay()
                break
            passed = self._pass()
            requests = self._expected(self.entered, self.now, Track.CANDIDATE)
            passages.append(Passage(self.now - self.entered, requests, frozenset(self.waited_for)))
            if not passed:
                return Watched(self.endings, tuple(passages), step)
            if len(self.endings) == len(self.check_states) and any(
                not self.plan.checks[c].check.observe for c in self.endings
            ):
                break
        return Watched(self.endings, tuple(passages), None)

    # ---------------------------------------------------------------------------------------- steps

    def _enter(self, step: int) -> None:
        self.step, self.entered, self.closing = step, self.now, None
        self.waited_for = set()
        traffic = self.traffics[step]
        if traffic != self.traffic:
            self.traffic, self.parts = traffic, self.world.parts(traffic)
            self.changed = self.now
            self.starts.clear()
            self.check_states = [
                reset_for_new_traffic(check_state) for check_state in self.check_states
            ]
            for track in Track:
                if self.parts[track].whole:
                    self.first.setdefault(track, self.now)
        running = self._active()
        for series in [series for series in self.starts if series not in running]:
            del self.starts[series]
            for planned in series.checks:
                c = planned.index
                self.check_states[c] = reset_for_new_traffic(self.check_states[c])
        for series in running:
            self.starts.setdefault(series, self.now + series.analysis.warmup)

    def _active(self) -> tuple[Series, ...]:
        return self.plan.active(self.step, self.traffic.reaches(Track.CANDIDATE))

    def _pass(self) -> bool:
        """Let time pass until the step is done. False if it is not done by its deadline."""
        step, memory = self.plan.steps[self.step], None
        within = (
            step.deadline.within if step.deadline is not None else step.span + timedelta(hours=1)
        )
        while True:
            advance = step.advance(self._situation(memory))
            wakes = [self.entered + within, self.end]
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
            if self.now >= min(self.entered + within, self.end):
                return False
            self._go_on(min([*wakes, *self._due()]))

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
            self.check_states[planned.index].passes
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
        if outstanding and all(self.check_states[c].looks_at_weight for c in outstanding):
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
        return {c for c in self._deciding() if is_outstanding(self.check_states[c])}

    def _deciding(self) -> Iterator[int]:
        for series in self.starts:
            tracks = self._tracks(series)
            for planned in series.checks:
                if self._judges(planned, tracks) and not planned.check.observe:
                    yield planned.index

    # ---------------------------------------------------------------------------------------- looks

    def _due(self) -> Iterator[datetime]:
        for series, start in self.starts.items():
            yield start + self._look_after(series, start) + series.metric.lag
            if self.closing is not None and start < self.closing:
                yield self.closing + series.metric.lag

    def _go_on(self, to: datetime) -> None:
        self.now = max(self.now, to)
        self._look()

    def _look(self) -> None:
        for series, start in list(self.starts.items()):
            horizon = self.now - series.metric.lag
            closes = self.closing is not None and start < self.closing <= horizon
            due = horizon - start >= self._look_after(series, start)
            if start < horizon and (closes or due):
                self.starts[series] = horizon
                self._judge(series, Window(start, horizon))

    def _look_after(self, series: Series, start: datetime) -> timedelta:
        age = max(start - self.changed - series.analysis.warmup, timedelta())
        return series.look_after(age, series.metric.resolution)

    def _tracks(self, series: Series) -> tuple[Track, ...]:
        synthetic = series.analysis.synthetic
        return tuple(
            t
            for t in series.measured_tracks
            if self.traffic.reaches(t) or (synthetic and t is Track.CANDIDATE)
        )

    def _judges(self, planned: PlannedCheck, tracks: tuple[Track, ...]) -> bool:
        return (
            planned.index in self.judging
            and planned.index not in self.endings
            and all(track in tracks for track in planned.check.required_tracks)
        )

    def _judge(self, series: Series, window: Window) -> None:
        tracks = self._tracks(series)
        judging = [planned for planned in series.checks if self._judges(planned, tracks)]
        if not judging:
            return
        measured = [(track, self._measured(series, track, window)) for track in tracks]
        look = Look(metric=series.metric.name, window=window, tracks=measured)
        for planned in judging:
            c, check = planned.index, planned.check
            check_state = self.check_states[c]
            judgement, memory = judgement_of(
                check, look, check_state.memory, planned.alpha, self.traffic
            )
            check_state = self.check_states[c] = update(
                check_state, judgement, memory, check.tolerance, start=window.start, end=window.end
            )
            if check_state.failed or check_state.stuck_verdict is not None:
                required = action_for(
                    check_state, check.tolerance, full=self.traffic.candidate.ppm == MILLION
                )
                if required is not None and required[0] is not Action.WAIT:
                    self.endings[c] = Ending(
                        self.step, self.now - self.entered, check_state.failed, check_state.why
                    )

    def _measured(self, series: Series, track: Track, window: Window) -> Measurement:
        if series.metric.kind is Kind.VALUE:
            return self._sampled(series, track, window)
        behaviour, moment, part = (
            self.world.behaviour(track),
            self._moment(track, window.start),
            self.parts[track],
        )
        tested = self.preview and not part.whole
        rate = at(self.world.preview, moment) if tested else moment.load * part.users
        requests = self.dice.poisson(rate * window.length.total_seconds())
        failed = failures(self.dice, behaviour, moment, requests)
        again = failed * behaviour.retries
        failed += self.dice.binomial(again, behaviour.stubborn)
        if part.copies:  # copies are never retried
            copies = self.dice.poisson(moment.load * part.copies * window.length.total_seconds())
            failed += failures(self.dice, behaviour, moment, copies)
            requests += copies
        return drawn(self.dice, series.metric, behaviour, moment, requests + again, failed)

    def _sampled(self, series: Series, track: Track, window: Window) -> Measurement:
        """Sample a level at every scrape of the window."""
        times = max(1, window.length // self.world.scrape)
        level = dict(self.world.behaviour(track).levels)[series.metric.name]
        return Gauge(
            samples=tuple(
                at(level, self._moment(track, window.start + self.world.scrape * i))
                for i in range(times)
            )
        )

    def _moment(self, track: Track, start: datetime) -> SimTime:
        load = load_at(self.world.load, SimTime(age=ZERO, clock=start, load=0.0, share=1.0))
        share = self.parts[track].whole
        return SimTime(
            age=start - self.first.get(track, start), clock=start, load=load, share=share
        )

    def _expected(self, start: datetime, end: datetime, track: Track) -> int:
        """Return the expected requests whose answers users see, from the load at every scrape.

        At most 500 points of time are used, evenly spread.
        """
        share = self.parts[track].users
        if not share or start == end:
            return 0
        pieces = max(4, min(500, (end - start) // self.world.scrape))
        part = (end - start) / pieces
        moments = [self._moment(track, start + part * i) for i in range(pieces)]
        expected = 0.0
        for moment in moments:
            expected += moment.load * share * part.total_seconds()
        return round(expected)
