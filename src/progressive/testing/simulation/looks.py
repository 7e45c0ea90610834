"""The looks of watched rollouts: what is measured in them, drawn as by `running`, and what each
check makes of it.

Rollouts of one seed in several worlds are as alike as they can be: in one window they have the same
requests, and a request that fails at one rate of errors fails at every higher one. What is the same
in several of them is drawn and judged once.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

import attrs

from progressive.analysis.check_state import CheckState, reset_for_new_traffic
from progressive.model.measurement import Counts, Gauge, Kind, Measurement, Metric, Window
from progressive.model.traffic import Track
from progressive.model.units import MILLION
from progressive.plan.plan import Plan

from .curves import SimTime, at, load_at
from .dice import Dice
from .running import drawn, failures
from .service import Behaviour, Part, World

__all__ = ["Asked", "Looks", "Place", "Scene", "State", "moment_of", "scenes"]

ZERO: Final = timedelta()
FIRST: Final = "first"
"""The key of the state in which the traffic has just changed."""


@attrs.frozen
class Scene:
    """A world, and for each metric and track a number that stands for all that is measured of it:
    worlds with equal numbers show the same.

    * ``steady``: whether nothing in it changes with time.
    * ``chances``: how likely a request to the candidate is an event, by the names of the ratios of
      which that is all that decides.
    """

    plan: Plan
    world: World
    shown: dict[tuple[str, Track], int]
    steady: bool
    chances: dict[str, float]


def scenes(plan: Plan, worlds: Sequence[World]) -> tuple[Scene, ...]:
    """Return a scene for each of several worlds that differ in their versions alone."""
    known: list[tuple[Any, ...]] = []
    made = []
    for world in worlds:
        shown = {}
        for metric in plan.metrics:
            for track in Track:
                what = _shown(world.behaviour(track), metric)
                if what not in known:
                    known.append(what)
                shown[metric.name, track] = known.index(what)
        steady = not any(callable(part) for part in (world.load, world.preview)) and not any(
            callable(value) for what in known for value in what
        )
        chances = {
            metric.name: _chance(world.candidate, metric, None)
            for metric in plan.metrics
            if metric.kind is Kind.RATIO and steady and not world.candidate.retries
        }
        made.append(Scene(plan, world, shown, steady, chances))
    return tuple(made)


def _chance(behaviour: Behaviour, metric: Metric, moment: SimTime | None) -> float:
    """Return how likely a request is an event of a ratio, where nobody tries again.

    ``moment`` may be None where nothing changes with time.
    """
    own: Any = behaviour.ratio(metric.name)
    if own is not None:
        return at(own, moment)
    errors = at(behaviour.errors, moment)
    return errors * (behaviour.affects.ppm / MILLION)


def _shown(behaviour: Behaviour, metric: Metric) -> tuple[Any, ...]:
    """Return all of a behaviour that a metric's measurements depend on."""
    failing = (behaviour.errors, behaviour.affects, behaviour.retries, behaviour.stubborn)
    match metric.kind:
        case Kind.VALUE:
            return (metric.name, dict(behaviour.levels).get(metric.name))
        case Kind.MEAN:
            return (metric.name, behaviour.value, behaviour.value_spread, *failing)
        case Kind.LATENCY:
            latency = behaviour.latency
            own: tuple[Any, ...] = (latency.median, latency.p99, latency.edges, latency.slower)
        case Kind.RATIO:
            ratio = behaviour.ratio(metric.name)
            own = () if ratio is None else (ratio,)
    return (metric.name, *own, *(failing if behaviour.retries or not own else ()))


@attrs.frozen
class Asked:
    """What a look is asked for: its metric, window and tracks, and the traffic in it.

    * ``step``: the index of the step whose traffic it is.
    * ``began``: since when each track has had traffic.
    """

    metric: Metric
    window: Window
    step: int
    tracks: tuple[Track, ...]
    parts: dict[Track, Part]
    began: dict[Track, datetime]


Key: TypeAlias = tuple[Any, ...]

Place: TypeAlias = tuple[datetime, datetime, int]
"""A look of one series: its start and end, and the index of the step."""


class State:
    """The state of a check after some looks, and those that came of it: what is measured alike in
    two worlds is judged once.
    """

    __slots__ = ("_next", "of")

    def __init__(self, of: CheckState) -> None:
        self.of = of
        self._next: dict[Key | str, State] = {}

    def after(self, key: Key) -> State | None:
        """Return the state after this look; None if it was not judged yet."""
        return self._next.get(key)

    def judged(self, key: Key, state: CheckState) -> State:
        """Keep the state after this look, and return it."""
        self._next[key] = found = State(state)
        return found

    def in_new_traffic(self) -> State:
        """Return the state after a change of traffic."""
        if (found := self._next.get(FIRST)) is None:
            self._next[FIRST] = found = State(reset_for_new_traffic(self.of))
        return found


class Looks:
    """The looks of all rollouts of one seed."""

    def __init__(self, plan: Plan, seed: object) -> None:
        self.initial = tuple(State(CheckState()) for _ in plan.checks)
        self.preview = any(each.synthetic for each in plan.analyses)
        self._seed = seed
        self._dice: dict[str, Dice] = {}
        self._windows: dict[tuple[datetime, datetime], Window] = {}
        self._requests: dict[Key, int] = {}
        self._events: dict[Key, Events] = {}
        self._measured: dict[Key, Measurement] = {}

    def window(self, start: datetime, end: datetime) -> Window:
        """Return a window, the same one each time."""
        if (found := self._windows.get((start, end))) is None:
            found = self._windows[start, end] = Window(start, end)
        return found

    def measured(self, scene: Scene, asked: Asked) -> tuple[Measurement, ...]:
        """Return what is measured of each track, the same wherever the same is asked."""
        found = []
        for track in asked.tracks:
            shown = scene.shown[asked.metric.name, track]
            where = (track, asked.window.start, asked.window.end, asked.step)
            key = (shown, where, None if scene.steady else asked.began.get(track))
            measured = self._measured.get(key)
            if measured is None:
                measured = self._measured[key] = self._measure(scene, asked, track, where)
            found.append(measured)
        return tuple(found)

    def _dice_for(self, name: str) -> Dice:
        if (dice := self._dice.get(name)) is None:
            dice = self._dice[name] = Dice(self._seed, name)
        return dice

    def _measure(self, scene: Scene, asked: Asked, track: Track, where: Key) -> Measurement:
        world, window, part, metric = scene.world, asked.window, asked.parts[track], asked.metric
        if metric.kind is Kind.VALUE:
            return _sampled(world, asked, track)
        behaviour = world.behaviour(track)
        moment = moment_of(world, part, window.start, asked.began.get(track))
        if (requests := self._requests.get(where)) is None:
            tested = self.preview and not part.whole
            rate = at(world.preview, moment) if tested else moment.load * part.users
            dice = self._dice_for(f"requests/{track.value}")
            requests = dice.poisson(rate * window.length.total_seconds())
            self._requests[where] = requests
        dice = self._dice_for(f"{metric.name}/{track.value}")
        if not behaviour.retries and not part.copies and metric.kind is not Kind.MEAN:
            if metric.kind is Kind.LATENCY:
                return drawn(dice, metric, behaviour, moment, requests, 0)
            chance = _chance(behaviour, metric, moment)
            if (events := self._events.get((metric.name, where))) is None:
                events = self._events[metric.name, where] = Events(requests)
            return Counts(events=events.at(chance, dice), trials=requests)
        failed = failures(dice, behaviour, moment, requests)
        again = failed * behaviour.retries
        failed += dice.binomial(again, behaviour.stubborn)
        if part.copies:  # copies are never retried
            copies = dice.poisson(moment.load * part.copies * window.length.total_seconds())
            failed += failures(dice, behaviour, moment, copies)
            requests += copies
        return drawn(dice, metric, behaviour, moment, requests + again, failed)


class Events:
    """How many of some requests are events, at every chance: the more likely an event is, the more
    of them are, and those that are at a lower chance are among them.
    """

    __slots__ = ("_known",)

    def __init__(self, requests: int) -> None:
        self._known = [(0.0, 0), (1.0, requests)]

    def at(self, chance: float, dice: Dice) -> int:
        """Return how many are events at this chance: of those that are at the next known chance
        above it, and are not at the next below, each as likely as another.
        """
        chance = min(1.0, max(0.0, chance))
        place = bisect_left(self._known, (chance, 0))
        above, most = self._known[place]
        if above == chance:
            return most
        below, least = self._known[place - 1]
        events = least + dice.binomial(most - least, (chance - below) / (above - below))
        insort(self._known, (chance, events))
        return events


def _sampled(world: World, asked: Asked, track: Track) -> Measurement:
    """Sample a level at every scrape of the window."""
    window, part, began = asked.window, asked.parts[track], asked.began.get(track)
    level = dict(world.behaviour(track).levels)[asked.metric.name]
    return Gauge(
        samples=tuple(
            at(level, moment_of(world, part, window.start + world.scrape * i, began))
            for i in range(max(1, window.length // world.scrape))
        )
    )


def moment_of(world: World, part: Part, clock: datetime, began: datetime | None) -> SimTime:
    """Return the moment for which the curves of a version are asked."""
    load = world.load
    if not isinstance(load, float):
        load = load_at(load, SimTime(age=ZERO, clock=clock, load=0.0, share=1.0))
    return SimTime(
        age=ZERO if began is None else clock - began, clock=clock, load=load, share=part.whole
    )
