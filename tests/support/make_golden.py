"""Writes the golden states and transcripts of the current FORMAT:
``PYTHONPATH=src:tests/engine python tests/support/make_golden.py``.

Run it for a new FORMAT and for what is new in this one, from the library version that writes it
first, and commit what it wrote. It never overwrites: what a library has written is read for ever,
so a difference is a bug of the library and not of these files. The tests only read. (Three times,
before the first release, transcripts were made anew: two that came by a pass in other traffic which
counted in the one that followed, against R15; three when `NoWorse` began to keep, and to say, what
its bounds need, of which states from before are still read; and one, with its state, when it began
to do so for latencies, and to keep means without their margin.)

A transcript is a file of JSON lines. The first holds the state that `begin` made; each further line
one decision: the events, the parts of the state that it changed (the plan and the release never
do), and its notes. A state file holds the canonical bytes of one rollout.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import attrs
from tests.support.paths import GOLDEN
from tests.support.world import ERRORS, START, World

from progressive import (
    Abort,
    Action,
    Analysis,
    Approve,
    BlueGreen,
    Budget,
    Canary,
    ClosedUntil,
    Deadline,
    Go,
    Hold,
    Limit,
    MannWhitney,
    Match,
    Metric,
    NotYet,
    NoWorse,
    Open,
    Phase,
    PromoteNow,
    Reject,
    Release,
    Resume,
    Revert,
    Rollout,
    SampleRatio,
    Served,
    Skip,
    Stop,
    Tick,
    Tolerance,
    Version,
    begin,
    decide,
    dumps,
    hours,
    loads,
    minutes,
    ms,
    percent,
    percents,
    seconds,
    times,
)
from progressive.analysis import Kayenta, KayentaJudge, KayentaMetric
from progressive.codec import dumps_event, dumps_note
from progressive.model import (
    Capacity,
    Counts,
    Gauge,
    Histogram,
    Marker,
    Measurement,
    Moments,
    NoData,
)
from progressive.model.traffic import Track, Traffic
from progressive.plan import Guard, Plan
from progressive.plan.plan import named_steps
from progressive.rollout import Event
from progressive.rollout.commands import Command, Inspect, Measure
from progressive.rollout.events import Measured, RouterRead, Superseded, Surveyed
from progressive.rollout.state import FORMAT
from progressive.runtime.protocol import Persist
from progressive.steps import Analyze, Approval, Bake, Hook, Pause, SetWeight

LATENCY = Metric("latency", kind="latency", lag=seconds(40))
BASKET = Metric("basket", kind="mean", unit="EUR", bad="down")
QUEUE = Metric("queue", kind="value")
CPU = Metric("cpu", kind="value", unit="cores")
CROWD = Metric("crowd", kind="value")
ORDERS = Metric("orders", kind="ratio", bad="both")
CRASHES = Metric("crashes", kind="ratio", counter=True)
CAREFUL = Tolerance(
    inconclusive=Budget(looks=1),
    no_data=Budget(looks=3, within=minutes(20)),
    no_answer=Budget(within=minutes(4), then=Action.ROLL_BACK),
)


def plain(metric: Metric, **more: Any) -> Limit:
    """A limit as all were before bounds were tested."""
    return Limit(metric, plain=True, **more)


EVERYTHING = (
    plain(
        ERRORS, at_most=percent(2), tolerance=Tolerance(in_a_row=3, failures=9, then=Action.HOLD)
    ),
    NoWorse(ERRORS, margin=1.25, share_of_alpha=3.0),
    plain(LATENCY, quantile=0.99, at_most=ms(400), at_least=ms(1), min_sample=4_000),
    plain(LATENCY, quantile=0.5, at_most=times(1.5, floor=ms(50)), id="median", min_sample=100),
    plain(BASKET, at_least=times(0.9, floor=12.5), min_sample=900),
    plain(QUEUE, at_most=40, at_least=-1.5, min_sample=5, observe=True, tolerance=CAREFUL),
    NoWorse(CRASHES, observe=True, tolerance=Tolerance(in_a_row=2)),
    plain(ERRORS, at_most=percent(5), min_sample=2_000, id="patient"),
)


# ---------------------------------------------------------------------------------------- the world


@attrs.define
class Played(World):
    """A world with every kind of metric, that writes down every decision."""

    release: Release = Release(
        service="shop",
        stable=Version("v1", backend="blue"),
        candidate=Version("v2", backend="green"),
    )
    odd: dict[str, Any] = attrs.field(factory=dict)
    query: str = ""
    preview: Measurement | None = None
    owned: bool = False
    readings: bool = False
    small: bool = False
    early: bool = False
    clumps: bool = False
    earlier: tuple[str, ...] = ()
    inspected: dict[str, Any] = attrs.field(factory=dict)
    buckets: dict[Track, tuple[float, ...]] = attrs.field(factory=dict)
    lines: list[str] = attrs.field(factory=list)
    states: list[str] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        rollout = begin(self.strategy.plan, self.release, id="golden", at=self.now)
        if not self.small:  # as it was begun before small rises were looked for
            rollout = loads(compact(_without(json.loads(dumps(rollout)), "small")))
        if not self.early:  # nor were there looks sooner after a raise, nor did tests begin again
            rollout = loads(compact(_without(json.loads(dumps(rollout)), "early")))
            rollout = loads(compact(_without(json.loads(dumps(rollout)), "raises")))
        if not self.clumps:  # nor was it looked for clumps
            rollout = loads(compact(_without(json.loads(dumps(rollout)), "dispersion")))
        if not self.owned:  # nor had markers owners
            rollout = attrs.evolve(rollout, routing=attrs.evolve(rollout.routing, owner=""))
            rollout = loads(compact(_without(json.loads(dumps(rollout)), "no_answer")))
        if not self.readings:  # nor those of several clocks kept, nor requests missed
            rollout = attrs.evolve(rollout, clocks=attrs.evolve(rollout.clocks, readings=()))
            rollout = loads(compact(_without(json.loads(dumps(rollout)), "missing")))
        self.text = dumps(attrs.evolve(rollout, earlier=self.earlier))
        self.lines.append(compact({"begin": json.loads(self.text)}))
        self.states.append(self.text)

    def served(self) -> Served:
        return attrs.evolve(World.served(self), **self.odd)

    def do(self, command: Command) -> Event:
        """As by a driver, which says by whose release it has asked."""
        event, successor = World.do(self, command), self.rollout.successor
        if successor is not None and isinstance(event, RouterRead | Surveyed):
            return attrs.evolve(event, successor=successor.rollout)
        return event

    def _inspect(self, command: Inspect) -> Event:
        return attrs.evolve(World._inspect(self, command), **self.inspected)

    def _requests(self, track: Track) -> float:
        """By the weights alone, as when the transcripts were made."""
        return self.rps * self.traffic.share(track).fraction

    def measurement(self, command: Measure, track: Track) -> Measurement:
        if self.preview is not None and command.metric == QUEUE:
            return self.preview
        found = self.counted(command, track)
        if not isinstance(found, Counts):
            return found
        n, worse = found.trials, track is Track.CANDIDATE
        stalls = self.clumps and (self.now.timestamp() // 30 + worse) % 2 == 0
        match command.metric.name:
            case "latency" if stalls:
                return Histogram(
                    edges=(0.05, 0.1, 0.4, 1.0),
                    cumulative=(n // 4, n // 2, n - n // 20, n - n // 90, n),
                )
            case "error-rate" if stalls:
                return attrs.evolve(found, events=min(n, found.events * 9 + 9))
            case "latency" if track in self.buckets:
                return _in_buckets(self.buckets[track], n)
            case "latency":
                return Histogram(
                    edges=(0.05, 0.1, 0.4, 1.0),
                    cumulative=(n // 2, n - n // 8, n - n // 200, n - n // 900, n),
                )
            case "basket":
                return Moments(n=n, mean=33.3 - worse / 3, m2=n * 7.7)
            case "queue" | "cpu" | "crowd":
                return Gauge(samples=(3.0, 4.25 + worse))
            case _:
                return found

    def _measure(self, command: Measure) -> Event:
        event = World._measure(self, command)
        assert isinstance(event, Measured)
        look = event.look
        if command.metric.counter:
            tracks = (
                look.tracks
                if command.since is not None
                else tuple((track, NoData("opening")) for track in command.tracks)
            )
            look = attrs.evolve(look, reading=f"read at {self.now:%H:%M:%S}", tracks=tracks)
        if self.query:
            look = attrs.evolve(
                look, query=f"{self.query} of {command.metric}", fingerprint=self.query
            )
        return attrs.evolve(event, look=look)

    def decided(self, *events: Event) -> tuple[Any, ...]:
        """One decision, kept and written down; its commands."""
        before = self.rollout
        decision = decide(before, *events)
        self.save(Persist(decision.rollout, decision.notes, before.serial))
        self.lines.append(line(events, self.states[-1], self.text, decision.notes))
        self.states.append(self.text)
        return decision.commands

    def go_on(self, *said: Event) -> Played:
        """One whole tick."""
        commands = self.decided(*said, Tick(at=self.now))
        while commands:
            commands = self.decided(*(self.do(command) for command in commands))
        return self

    def go_on_to_its_wake(self) -> None:
        """One whole tick, and then it is time for the next."""
        self.go_on()
        self.now = max(self.now + timedelta(milliseconds=1), self.rollout.wake_at or self.now)

    def until_that(self, wanted: Callable[[Rollout], bool], most: int = 60) -> Played:
        """Tick at every ``wake_at`` until it is so."""
        for _ in range(most):
            if wanted(self.rollout):
                return self
            self.go_on_to_its_wake()
        raise AssertionError(f"it never came to that: {self.rollout!r}")

    def until_it_serves(self, weight: float) -> Played:
        return self.until_that(
            lambda rollout: rollout.routing.last_verified.candidate == percent(weight)
        )

    def until_over(self) -> Played:
        return self.until_that(lambda rollout: rollout.over)


def _in_buckets(edges: tuple[float, ...], n: int) -> Histogram:
    """So many requests, of which a tenth takes longer than 100 ms, a hundredth than 1 s."""
    counts = [int(n * (1 - min(1.0, 0.01 / edge))) for edge in edges]
    return Histogram(edges=edges, cumulative=(*counts, n))


def _without(data: Any, *names: str) -> Any:
    """A stored state without those flags, budgets and nulls that are today's default."""
    if isinstance(data, list):
        return [_without(each, *names) for each in data]
    if not isinstance(data, dict):
        return data
    return {
        key: _without(value, *names)
        for key, value in data.items()
        if not (key in names and _is_todays(value))
    }


def _is_todays(value: Any) -> bool:
    return value is None or value is True or (isinstance(value, dict) and value.get("both", False))


def compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def line(events: tuple[Event, ...], before: str, after: str, notes: tuple[Any, ...]) -> str:
    """One decision of a transcript."""
    old, new = json.loads(before), json.loads(after)
    changed = {
        key: new.get(key)
        for key in [*new, *(key for key in old if key not in new)]
        if compact(new.get(key)) != compact(old.get(key))
    }
    return compact(
        {
            "events": [json.loads(dumps_event(event)) for event in events],
            "state": changed,
            "notes": [json.loads(dumps_note(note)) for note in notes],
        }
    )


# -------------------------------------------------------------------------------------- transcripts


def canary_promoted() -> Played:
    """A good version: every kind of measurement, evidence and pooled memory; then the old version
    is retired.
    """
    strategy = Canary(
        weights=percents(10, 100),
        bake=minutes(3),
        last_bake=minutes(4),
        checks=EVERYTHING,
        interval=minutes(1),
        warmup=seconds(10),
        retire_after=minutes(30),
        watch_every=minutes(2),
        preflight=minutes(4),
        alpha=0.005,
        deadline=Deadline(within=hours(5)),
    )
    world = Played(strategy=strategy)
    world.go_on().silent = True
    world.now += seconds(3)
    world.go_on().silent = False
    world.until_that(lambda rollout: rollout.phase is Phase.PROMOTED)
    world.edit(60)
    world.now += minutes(31)
    world.go_on()
    world.edit(100)
    return world.until_over()


def canary_rolled_back() -> Played:
    """A bad version: a lost reply, a proven harm, a router that can't be read or written on the way
    back, a call for a person.
    """
    world = Played(
        strategy=Canary(
            weights=percents(10, 100),
            bake=minutes(3),
            checks=EVERYTHING[:2],
            interval=minutes(1),
            watch_every=minutes(2),
        )
    )
    world.lose_reply = True
    world.until_it_serves(10).lose_reply = False
    world.bad, world.query = 0.3, "q1"
    world.now += minutes(1)
    world.unwritable = world.unreadable = True
    world.go_on()
    world.unreadable = False
    world.now += minutes(1)
    world.go_on()
    world.now += minutes(2)
    world.unreadable = True
    world.go_on()
    world.now += seconds(30)
    world.go_on()
    world.heal()
    world.now += minutes(3)
    return world.until_over()


COMPARED = (
    NoWorse(ERRORS, accept=2.5, beta=0.1, dispersion=1.5),
    NoWorse(CRASHES, exact=True, share_of_alpha=0.5),
    NoWorse(CRASHES, blocks=True, observe=True, id="crashes-in-blocks"),
    NoWorse(ORDERS),
    NoWorse(LATENCY, margin=1.5),
    NoWorse(BASKET, margin=1.1),
    NoWorse(QUEUE, margin=1.0, observe=True, id="queue-signs"),
    NoWorse(LATENCY, accept=4.0, dispersion=1.25, observe=True, id="latency-accepted"),
    NoWorse(BASKET, accept=1.25, observe=True, id="basket-accepted"),
    NoWorse(QUEUE, margin=1.0, accept=3.0, observe=True, id="queue-accepted"),
    MannWhitney(QUEUE, margin=1.25, confidence=0.95, samples=4, observe=True, tolerance=CAREFUL),
    MannWhitney(QUEUE, than="baseline", observe=True, id="never"),
    SampleRatio(
        ERRORS, alpha=0.01, observe=True, tolerance=Tolerance(in_a_row=2, then=Action.HOLD)
    ),
    Kayenta(
        KayentaJudge(
            metrics=[
                KayentaMetric(
                    "cpu",
                    groups=["system"],
                    direction="increase",
                    critical=True,
                    critical_increase=1.5,
                    allowed_increase=1.25,
                ),
                KayentaMetric(
                    "queue",
                    groups=["work"],
                    effect_size="cles",
                    nan_strategy="replace",
                    must_have_data=True,
                    outliers="remove",
                    outlier_factor=2.5,
                    allowed_decrease=0.75,
                    critical_decrease=0.25,
                ),
                KayentaMetric("crowd", groups=["work"], muted=True),
            ],
            group_weights={"system": 40, "work": 60},
            pass_score=90,
            marginal_score=30,
            fail_open=True,
            root_tolerance=1e-4,
            tolerance=0.3,
            confidence=0.97,
        ),
        metrics=[CPU, QUEUE, CROWD],
        than="stable",
        points=3,
        lookback=6,
        observe=True,
        tolerance=CAREFUL,
        id="spinnaker",
    ),
    plain(ERRORS, at_most=percent(50)),
)


def canary_compared() -> Played:
    """Every way to compare, with every setting: a good version that is accepted early, and a fall
    in a business metric at the end.
    """
    strategy = Canary(
        weights=percents(5, 100),
        bake=minutes(6),
        checks=COMPARED,
        interval=minutes(1),
        watch_every=minutes(2),
        retire_after=None,
    )
    world = Played(strategy=strategy, rps=400)
    world.until_it_serves(5)
    world.until_that(lambda rollout: rollout.evidence.check_states[0].passes > 0)
    world.bad = 0.5
    return world.until_over()


STEPS = (
    SetWeight(
        percent(2.5),
        baseline=percent(2.5),
        mirror=percent(1),
        matches=[Match(name="x-canary", value="yes", source="cookie")],
    ),
    Hook("smoke", deadline=Deadline(within=minutes(20), then=Action.HOLD), skippable=False),
    Approval("go", within=hours(2), otherwise=Action.HOLD),
    Analyze("errors", count=2, deadline=Deadline(within=minutes(9), then=Action.WAIT)),
    SetWeight(percent(50), matches=[Match(name="x-canary", value="yes")]),
    Pause(minutes(1)),
    Bake(minutes(4)),
    SetWeight(percent(100), deadline=Deadline(within=minutes(5))),
    Bake(minutes(2), id="the-last"),
)


@attrs.frozen
class Bare:
    """A plan as a strategy."""

    plan: Plan
    unguarded: str | None = None


def canary_with_other_buckets() -> Played:
    """A new version with other buckets than the old one's, which change twice under way: to fewer
    that both have, and to none of those from before.
    """
    old, new = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5), (0.025, 0.1, 0.25, 0.5, 2.0)
    checks = [
        NoWorse(LATENCY),
        NoWorse(LATENCY, accept=2.5, observe=True, id="accepted"),
        plain(LATENCY, quantile=0.9, at_most=times(2), min_sample=30_000),
        plain(LATENCY, quantile=0.99, at_most=ms(2_500), min_sample=30_000, id="p99"),
    ]
    strategy = Canary(
        weights=percents(20, 100),
        bake=minutes(9),
        checks=checks,
        interval=minutes(1),
        watch_every=minutes(2),
        retire_after=None,
    )
    world = Played(strategy=strategy, rps=400)
    world.buckets = {Track.STABLE: old, Track.CANDIDATE: new}
    world.until_it_serves(20)
    for layout in (new, (0.1, 0.3, 0.5), old, (0.07, 0.3, 0.7)):
        world.buckets[Track.CANDIDATE] = layout
        looks = world.rollout.evidence.check_states[0].looks
        world.until_that(lambda rollout, k=looks: rollout.evidence.check_states[0].looks > k)
        if layout == old:
            world.buckets[Track.STABLE] = (0.07, 0.3, 0.7)
    world.buckets = dict.fromkeys(world.buckets, new)
    return world.until_over()


def canary_whose_users_stay() -> Played:
    """Users stay for two hours, and are drawn by request where a person has taken that away."""
    strategy = Canary(
        weights=percents(20, 50, 100),
        sticky=hours(2),
        checks=EVERYTHING[:1],
        watch_every=minutes(2),
    )
    world = Played(strategy=strategy, owned=True, readings=True)
    world.until_it_serves(20)
    world.go_on(Hold(at=world.now, by="eve", why="lunch"))
    world.traffic = Traffic(candidate=percent(20))
    world.now += seconds(40)
    world.go_on()
    world.go_on(Resume(at=world.now, by="eve", why="it was nice"))
    world.until_it_serves(50)
    return world.until_over()


def canary_with_everything() -> Played:
    """Holds, resumes, drift, a hook, an approval, a gate, silence, a clock that steps back, a
    changed query, a skip, a promotion.
    """
    plan = Plan(
        strategy="canary",
        steps=named_steps(STEPS),
        analyses=(
            Analysis(
                "errors",
                checks=[plain(ERRORS, at_most=percent(2)), NoWorse(ERRORS, than=Track.BASELINE)],
                interval=seconds(45),
            ),
            Analysis(
                "slow",
                checks=[plain(LATENCY, quantile=0.99, at_most=ms(400), min_sample=200)],
                interval=minutes(2),
            ),
        ),
        guards=(Guard("errors"), Guard("slow", since="hook-smoke")),
        gates=("freeze",),
        watch_every=minutes(2),
    )
    release = Release(
        service="shop",
        stable=Version("v1"),
        candidate=Version("v2"),
        baseline=Version("v1", backend="v1-fresh"),
    )
    world = Played(strategy=Bare(plan), release=release, query="q1")

    def said(kind: type[Any], **more: Any) -> Any:
        return kind(at=world.now, by="eve", why="she knows", **more)

    def later(by: timedelta, *events: Event) -> None:
        world.now += by
        world.go_on(*events)

    world.decided(said(Hold, cause="lunch", within=hours(1)))
    later(seconds(5))
    world.decided(said(Resume, cause="lunch"))
    world.gate = lambda now: ClosedUntil(START + minutes(3), "before nine")
    later(seconds(1))
    later(seconds(1))
    world.gate = lambda now: Open()
    world.hook = lambda key: NotYet(world.now + seconds(50), "still warm")
    later(minutes(3))
    later(seconds(20))
    later(seconds(31))
    world.hook = lambda key: Go()
    world.decided(said(Approve, approval="nothing"))
    later(seconds(60), said(Approve, approval="go"))
    world.silent = True
    later(seconds(50))
    world.silent, world.idle = False, True
    later(seconds(50))
    world.idle = False
    world.decided(said(Skip, epoch=1))
    world.traffic, world.revision = (
        attrs.evolve(world.traffic, candidate=percent(30)),
        world.revision + 1,
    )
    later(seconds(50))
    world.traffic, world.revision = (
        attrs.evolve(world.traffic, candidate=percent(40)),
        world.revision + 1,
    )
    later(seconds(50))
    world.query = "q2"
    world.now -= seconds(20)
    world.go_on()
    world.night = True
    later(minutes(10))
    later(minutes(1))
    world.night = False
    world.until_that(lambda rollout: rollout.routing.last_verified.candidate == percent(50))
    world.lag = seconds(30)
    world.traffic, world.revision = (
        attrs.evolve(world.traffic, candidate=percent(1)),
        world.revision + 1,
    )
    later(seconds(50))
    later(seconds(5))
    later(seconds(31))
    world.lag = seconds(0)
    later(minutes(1), said(Hold), said(Reject, approval="go"))
    world.odd = {"unattributed": percent(3), "converged": False}
    later(minutes(5))
    world.odd = {}
    later(minutes(5), said(Resume))
    world.bad = world.stable_bad = 0.05
    later(minutes(1), said(Skip, epoch=world.rollout.epoch))
    world.until_that(lambda rollout: rollout.phase is Phase.HELD)
    world.bad = world.stable_bad = 0.001
    world.gate = lambda now: ClosedUntil(now + minutes(2), "a freeze")
    waive = tuple(f"hold:{cause.name}" for cause in world.rollout.progress.causes)
    later(seconds(10), said(PromoteNow, waive=(*waive, "slow/latency-p99")))
    world.gate = lambda now: Open()
    later(minutes(2))
    world.odd = {"identities": ((Track.CANDIDATE, "v2"),)}
    return world.until_over()


def blue_green() -> Played:
    """A hook, preview checks on its own traffic, an approval, one switch, retirement that the fleet
    carries out.
    """
    strategy = BlueGreen(
        preview_hook="smoke",
        preview_checks=[plain(QUEUE, at_most=99)],
        preview_count=2,
        approval=Approval("switch", within=hours(1), otherwise=Action.HOLD),
        bake=minutes(2),
        checks=[plain(ERRORS, at_most=percent(1))],
        interval=minutes(1),
        gates=["freeze"],
        retire_after=timedelta(),
        watch_every=minutes(2),
    )
    world = Played(strategy=strategy, preview=Gauge(samples=(1.0, 2.0)))
    world.until_that(lambda rollout: rollout.plan.steps[rollout.progress.step].approval is not None)
    world.decided(Approve(at=world.now, approval="switch", by="bob", why="looks right"))
    return world.until_over()


def blue_green_stopped() -> Played:
    """A hook that says stop, before the candidate had any traffic."""
    strategy = BlueGreen(
        preview_hook="smoke", pause=minutes(1), bake=minutes(2), unguarded="its hook is its guard"
    )
    world = Played(strategy=strategy, hook=lambda key: Stop("the shop is shut"))
    return world.until_over()


def taken_over() -> Played:
    """Nothing answers before the start; then another rollout claims the router."""
    world = Played(
        strategy=Canary(weights=percents(20, 100), checks=EVERYTHING[:1], watch_every=minutes(2))
    )
    world.until_it_serves(20)
    world.permanent = True
    for weight in (80, 80, 0):
        world.edit(weight)
        world.now += seconds(40)
        world.go_on()
    assert world.marker is not None
    world.marker = attrs.evolve(world.marker, generation=7)
    world.now += seconds(40)
    return world.until_over()


def owned() -> Played:
    """The router loses the marker, a person resumes, and then another rollout has it."""
    world = Played(
        strategy=Canary(weights=percents(20, 100), checks=EVERYTHING[:1], watch_every=minutes(2)),
        marker=Marker(generation=4, serial=7, owner="before"),
        owned=True,
    )
    world.until_it_serves(20)
    world.silent = True
    world.now += seconds(40)
    world.go_on()
    world.silent = False
    world.forget()
    world.now += seconds(40)
    world.go_on()
    world.go_on(Resume(at=world.now, cause="marker", by="eve", why="it was restarted"))
    world.until_it_serves(20)
    world.marker = Marker(generation=1, owner="after")
    world.now += seconds(40)
    return world.until_over()


def promoted_and_superseded() -> Played:
    """Begun while an earlier one had a version to remove; and the next one, which does not need
    what this one removes, is half way when its time has come, with too few instances at first.
    """
    world = Played(
        strategy=Canary(
            weights=percents(20, 100),
            checks=EVERYTHING[:1],
            retire_after=minutes(30),
            watch_every=minutes(2),
        ),
        owned=True,
        readings=True,
        earlier=("golden-before",),
        able=dict.fromkeys((Track.STABLE, Track.CANDIDATE), Capacity(percent(100))),
    )
    world.until_that(lambda rollout: rollout.phase is Phase.PROMOTED)
    later = world.release.next(Version("v3", backend="violet"))
    because = {"by": "start", "why": "v1 is not needed"}
    world.go_on(Superseded(at=world.now, rollout="golden-next", release=later, **because))
    world.marker = Marker(generation=2, serial=4, owner=Marker.owner_of("golden-next"))
    world.traffic = Traffic(candidate=percent(5))
    world.able = {Track.STABLE: Capacity(percent(50)), Track.CANDIDATE: Capacity(percent(5))}
    world.now += minutes(31)
    world.go_on()
    world.go_on()
    world.able = dict.fromkeys((Track.STABLE, Track.CANDIDATE), Capacity(percent(100)))
    return world.until_over()


def owned_and_reasserted() -> Played:
    """The router loses the marker, which it was said to do when it restarts; nobody comes for a
    while, and somebody skips a bake.
    """
    world = Played(
        strategy=Canary(weights=percents(20, 100), checks=EVERYTHING[:1], watch_every=minutes(2)),
        owned=True,
        inspected={"reassert": True},
    )
    world.until_it_serves(20)
    world.forget()
    world.now += seconds(40)
    world.go_on()
    world.now += minutes(50)
    world.go_on()
    world.until_that(lambda rollout: rollout.progress.step == 1)
    world.now += minutes(8)
    world.decided(Skip(at=world.now, epoch=world.rollout.epoch, by="eve", why="seen enough"))
    return world.until_over()


def owned_by_two_clocks() -> Played:
    """Two drivers in turn, of which one is 5 min ahead and stays away in the end; then somebody
    aborts, and the candidate is removed.
    """
    world = Played(
        strategy=Canary(
            weights=percents(20, 100),
            checks=[
                plain(
                    Metric("error-rate", kind="ratio", side="callee"),
                    at_most=percent(2),
                    tolerance=Tolerance(in_a_row=3),
                )
            ],
            watch_every=minutes(2),
            remove_candidate_after=minutes(3),
        ),
        owned=True,
        readings=True,
    )
    world.able = dict.fromkeys(Track, Capacity(percent(100)))
    for ahead in (minutes(5), -minutes(5), minutes(5), -minutes(5)):
        world.now += ahead + seconds(30)
        world.go_on()
    for _ in range(6):
        world.now += seconds(30)
        world.go_on()
    world.rps = 0.5  # too few to know whether the candidate's requests arrive
    for _ in range(2):
        world.now += seconds(30)
        world.go_on()
    world.rps, world.idle = 200.0, True  # and now they do not
    for _ in range(2):
        world.now += seconds(30)
        world.go_on()
    world.idle, world.silent, world.query = False, True, "q"  # answered, and no numbers
    for _ in range(4):
        world.now += seconds(10)
        world.go_on()
    world.decided(Abort(at=world.now, by="eve", why="too slow"))
    return world.until_over()


def behind_a_sticky_router() -> Played:
    """Users stay on their version, so that the candidate's requests come late."""
    world = Played(
        strategy=Canary(weights=percents(20, 100), checks=EVERYTHING[:1]),
        owned=True,
        readings=True,
        inspected={"sticky": True},
    )
    world.until_it_serves(20)
    world.idle = True
    for _ in range(5):
        world.now += seconds(30)
        world.go_on()
    world.idle = False
    return world.until_over()


def canary_that_rises_a_little() -> Played:
    """Small rises are looked for, and one is found; with a margin beside it, and a fall."""
    world = Played(
        strategy=Canary(
            weights=percents(20, 100),
            bake=minutes(5),
            checks=[
                NoWorse(ERRORS),
                NoWorse(ERRORS, margin=1.1, id="with-a-margin", observe=True),
                NoWorse(ORDERS, observe=True),
                plain(ERRORS, at_most=percent(50)),
            ],
        ),
        owned=True,
        readings=True,
        small=True,
        rps=200_000.0,
    )
    world.until_it_serves(20)
    world.bad = 0.0011
    return world.until_over()


def canary_with_tested_bounds() -> Played:
    """Bounds are tested: what they exclude is waited for at each weight, and a breach that comes
    late is found; stable breaks one of them too.
    """
    world = Played(
        strategy=Canary(
            weights=percents(5, 20, 100),
            bake=minutes(2),
            checks=[
                Limit(ERRORS, at_most=percent(1), accept=8.0, beta=0.1),
                Limit(ERRORS, at_most=percent(2), at_least=percent(0.01), id="between"),
                Limit(LATENCY, quantile=0.9, at_most=ms(400), observe=True),
                Limit(ERRORS, at_most=percent(0.05), plain=False, id="strict", observe=True),
            ],
        ),
        owned=True,
        readings=True,
        small=True,
        rps=400.0,
    )
    world.until_it_serves(20)
    world.bad = 0.04
    return world.until_over()


def canary_looked_at_early() -> Played:
    """Looks soon after each raise, of two systems of which one says how often it has new numbers; a
    breach that begins with a raise, and a clock that steps back before it.
    """
    world = Played(
        strategy=Canary(
            weights=percents(5, 20, 100),
            bake=minutes(2),
            checks=[
                NoWorse(Metric("error-rate", kind="ratio", resolution=seconds(2))),
                Limit(LATENCY, quantile=0.9, at_most=ms(400), accept=8.0),
                plain(QUEUE, at_most=40, observe=True),
            ],
        ),
        owned=True,
        readings=True,
        small=True,
        early=True,
        rps=400.0,
        inspected={"resolutions": (("error-rate", seconds(2)),)},
    )
    world.until_it_serves(5)
    world.now -= seconds(20)
    world.until_it_serves(20)
    world.bad = 0.04
    return world.until_over()


def canary_with_stalls() -> Played:
    """Each version has bad half minutes of its own, so that neither errors nor slow requests are
    independent, which is said; one check knows how many come at a time, one expects none.
    """
    world = Played(
        strategy=Canary(
            weights=percents(50, 100),
            bake=minutes(5),
            checks=[
                NoWorse(ERRORS, accept=9.0, observe=True),
                NoWorse(LATENCY, observe=True),
                NoWorse(ERRORS, dispersion=40.0, id="known"),
                NoWorse(ERRORS, dispersion=1.0, id="independent", observe=True),
                NoWorse(LATENCY, blocks=True, id="blocks"),
                plain(ERRORS, at_most=percent(50)),
            ],
        ),
        owned=True,
        readings=True,
        small=True,
        early=True,
        clumps=True,
        rps=400.0,
    )
    return world.until_over()


def canary_blind_now_and_then() -> Played:
    """Every other minute is not answered, and more than three of them are too many in all."""
    too_many = Budget(in_all=3, then=Action.ROLL_BACK)
    world = Played(
        strategy=Canary(
            weights=percents(20, 100),
            bake=minutes(30),
            checks=[plain(ERRORS, at_most=percent(50), tolerance=Tolerance(no_answer=too_many))],
            interval=minutes(1),
        ),
        owned=True,
        readings=True,
        small=True,
        early=True,
        clumps=True,
    )
    world.until_it_serves(20)
    while not world.rollout.over:
        world.silent = world.now.minute % 2 == 1
        world.go_on_to_its_wake()
    return world


def taken_back_by_hand() -> Played:
    """Somebody took all traffic back with nothing but the router, and left a closed marker."""
    world = Played(
        strategy=Canary(weights=percents(20, 100), checks=EVERYTHING[:1], watch_every=minutes(2))
    )
    world.until_it_serves(20)
    world.rollback_now()
    world.now += seconds(30)
    return world.until_over()


def aborted_before_the_start() -> Played:
    """An abort of a rollout that never wrote."""
    world = Played(strategy=Canary(weights=percents(20, 100), checks=EVERYTHING[:1]), night=True)
    world.go_on()
    world.decided(Abort(at=world.now, by="eve", why="wrong service"))
    return world


def canary_with_a_fleet() -> Played:
    """Instances that get ready late, a fleet that does not answer, and a way back in steps to a
    stable that was scaled down.
    """
    everything = Capacity(percent(100), identity="v1", why="5 of 5 instances are ready")
    world = Played(
        strategy=Canary(
            weights=percents(10, 50, 100),
            bake=minutes(2),
            checks=EVERYTHING[:1],
            interval=minutes(1),
        )
    )
    world.able = {
        Track.STABLE: everything,
        Track.CANDIDATE: Capacity(percent(20), identity="v2", why="1 of 5 instances is ready"),
    }
    world.until_it_serves(10)
    world.now += minutes(4)
    world.go_on()
    world.fleet_down = True
    world.now += seconds(30)
    world.go_on()
    world.fleet_down = False
    world.able[Track.CANDIDATE] = Capacity(percent(100), identity="v2")
    world.until_it_serves(50)
    world.able[Track.STABLE] = Capacity(
        percent(60), identity="v1", why="3 of 5 instances are ready"
    )
    world.now += seconds(30)
    world.go_on()
    world.decided(Abort(at=world.now, by="eve", why="enough"))
    world.now += seconds(30)
    world.go_on()
    world.now += seconds(30)
    world.go_on()
    world.able[Track.STABLE] = everything
    return world.until_over()


def reverted() -> Played:
    """Back to the version before, which may not wait for the one that it leaves."""
    world = Played(strategy=Revert(bake=minutes(2)))
    world.able = {
        Track.STABLE: Capacity(percent(70), why="7 of 10"),
        Track.CANDIDATE: Capacity(percent(100)),
    }
    return world.until_over()


TRANSCRIPTS = (
    canary_promoted,
    canary_rolled_back,
    canary_compared,
    canary_with_everything,
    canary_whose_users_stay,
    blue_green,
    blue_green_stopped,
    taken_over,
    taken_back_by_hand,
    aborted_before_the_start,
    canary_with_a_fleet,
    reverted,
    owned,
    promoted_and_superseded,
    owned_and_reasserted,
    owned_by_two_clocks,
    behind_a_sticky_router,
    canary_that_rises_a_little,
    canary_with_tested_bounds,
    canary_looked_at_early,
    canary_with_stalls,
    canary_with_other_buckets,
    canary_blind_now_and_then,
)


# ------------------------------------------------------------------------------------------- states


def _tallies(state: Any) -> list[Any]:
    found: list[Any] = state["evidence"].get("tallies", [])
    return found


def _series(state: Any) -> list[Any]:
    found: list[Any] = state["evidence"].get("series", [])
    return found


def _pooled(state: Any, shape: Callable[[Any], bool]) -> bool:
    """Does a `Limit` remember a measurement of this shape?"""
    memories = [check_state.get("memory") for check_state in _tallies(state)]
    return any(
        isinstance(memory, list) and len(memory) == 2 and memory[0] and shape(memory[0])
        for memory in memories
    )


def _phase(state: Any) -> str:
    found: str = state["progress"].get("phase", "pending")
    return found


STATES: dict[str, Callable[[Any], Any]] = {
    "pending": lambda s: (
        _phase(s) == "pending" and any("why" in probe for probe in s["evidence"]["probes"])
    ),
    "probe-with-a-reading": lambda s: any(
        "reading" in probe for probe in s["evidence"].get("probes", [])
    ),
    "progressing": lambda s: _phase(s) == "progressing" and "closing" in s["progress"],
    "held": lambda s: _phase(s) == "held" and s["progress"]["causes"][0].get("held"),
    "held-by-the-engine": lambda s: any(
        not cause["person"] for cause in s["progress"].get("causes", ())
    ),
    "rolling-back": lambda s: _phase(s) == "rolling_back" and s["clocks"].get("escalated"),
    "unreadable": lambda s: s["clocks"].get("unreadable"),
    "rolled-back": lambda s: _phase(s) == "rolled_back" and s["routing"].get("touched"),
    "rolled-back-untouched": lambda s: (
        _phase(s) == "rolled_back" and not s["routing"].get("touched")
    ),
    "promoted": lambda s: _phase(s) == "promoted" and "retirement" not in s["progress"],
    "promoted-and-due": lambda s: (
        s["progress"].get("retirement") == "due" and "waiting" in s["progress"]
    ),
    "promoted-and-asked": lambda s: s["progress"].get("retirement") == "asked",
    "users-stay": lambda s: "sticky" in s["routing"].get("wanted", {}),
    "superseded": lambda s: (
        "earlier" in s and "read_as" in s["routing"] and "surveyed_as" in s.get("instances", {})
    ),
    "promoted-and-done": lambda s: s["progress"].get("retirement") == "done",
    "pooled-counts": lambda s: _pooled(s, lambda one: len(one) == 2 and isinstance(one[0], int)),
    "pooled-histogram": lambda s: _pooled(
        s, lambda one: len(one) == 2 and isinstance(one[0], list)
    ),
    "pooled-moments": lambda s: _pooled(s, lambda one: len(one) == 3),
    "pooled-gauge": lambda s: _pooled(s, lambda one: len(one) == 1),
    "sequential-evidence": lambda s: any(
        isinstance(t["memory"], list) and len(t["memory"]) in (5, 8)
        for t in _tallies(s)
        if "memory" in t
    ),
    "early-looks": lambda s: (
        any(each.get("early") for each in s["plan"].get("analyses", ()))
        and any("resolution" in each for each in _series(s))
        and any(not each.get("looks_here") for each in _tallies(s))
        and _phase(s) == "progressing"
    ),
    "tested-bounds": lambda s: (
        any(
            each["kind"] == "limit" and "accept" in each
            for analysis in s["plan"].get("analyses", ())
            for each in analysis["checks"]
        )
        and _phase(s) == "progressing"
        and all("memory" in t for t in _tallies(s))
    ),
    "compared": lambda s: (
        len(_tallies(s)) == len(COMPARED) and all("memory" in t for t in _tallies(s)[:6])
    ),
    "edges-that-changed": lambda s: any(
        isinstance(memory := t.get("memory"), list)
        and len(memory) == 3
        and isinstance(memory[0], list)
        and memory[2]
        for t in _tallies(s)
    ),
    "clumps": lambda s: (
        any(
            each["kind"] == "no_worse" and each.get("dispersion", 1.0) is None
            for analysis in s["plan"].get("analyses", ())
            for each in analysis["checks"]
        )
        and all(t.get("looks", 0) > 9 for t in _tallies(s))
        and _phase(s) == "progressing"
    ),
    "unclear-in-all": lambda s: (
        _phase(s) == "progressing" and any(sum(t.get("unclear", ())) > 1 for t in _tallies(s))
    ),
    "tail": lambda s: any("tail" in each for each in _series(s)),
    "reading": lambda s: any("reading" in each for each in _series(s)),
    "fingerprint": lambda s: any("fingerprint" in each for each in _series(s)),
    "no-answer": lambda s: any(
        t.get("verdict") == "error" and "bad_since" in t for t in _tallies(s)
    ),
    "no-data": lambda s: any(
        t.get("verdict") == "no_data" and "bad_since" in t for t in _tallies(s)
    ),
    "failing": lambda s: any(t.get("failed") for t in _tallies(s)),
    "drifts": lambda s: len(s["routing"].get("drifts", ())) > 1,
    "reasserted": lambda s: s["routing"].get("reasserted"),
    "lagging": lambda s: s["routing"].get("attempts") and s["routing"].get("retry_at"),
    "approval": lambda s: s["progress"].get("approvals"),
    "hook-not-yet": lambda s: s["progress"].get("answer", {}).get("kind") == "not_yet",
    "hook-stop": lambda s: (
        s["progress"].get("answer", {}).get("kind") == "stop" and "unguarded" in s["plan"]
    ),
    "preview": lambda s: any(
        analysis.get("synthetic") for analysis in s["plan"].get("analyses", ())
    ),
    "closed-by-hand": lambda s: s["routing"].get("served", {}).get("marker", {}).get("closed"),
    "step-memory": lambda s: "memory" in s["progress"],
    "frozen-gate": lambda s: "frozen" in s["progress"],
    "skipped": lambda s: s["progress"].get("skipped"),
    "forced": lambda s: s["progress"].get("forced"),
    "waived": lambda s: s["progress"].get("waived"),
    "overdue": lambda s: s["progress"].get("overdue"),
    "astray": lambda s: s["clocks"].get("astray"),
    "served-elsewhere": lambda s: {"elsewhere", "settled"} <= s["routing"].get("served", {}).keys(),
    "identities": lambda s: "identities" in s["routing"].get("served", {}),
    "instances": lambda s: (
        _phase(s) == "progressing" and len(s.get("instances", {}).get("capacities", ())) == 2
    ),
    "needs-no-stable": lambda s: s["plan"].get("needs_stable") is False,
    "owned": lambda s: s["routing"].get("marked") and s["routing"].get("found"),
    "marker-lost": lambda s: any(
        cause["name"] == "marker" for cause in s["progress"].get("causes", ())
    ),
    "blind": lambda s: any(t.get("unanswered_since") for t in _tallies(s)),
    "a-gap": lambda s: s["clocks"].get("gap") and s["clocks"].get("unwatched"),
    "began-with-a-word": lambda s: s["clocks"].get("since"),
    "reassert": lambda s: _phase(s) == "progressing" and s["routing"].get("reassert"),
    "sticky": lambda s: s["routing"].get("sticky"),
    "split": lambda s: any(each.get("split", {}).get("stable") for each in _series(s)),
    "missing": lambda s: any(each.get("split", {}).get("missing") for each in _series(s)),
    "refused": lambda s: any(each.get("refused") for each in _series(s)),
    "far-ahead": lambda s: any(each.get("before") for each in s["clocks"].get("readings", ())),
    "two-clocks": lambda s: (
        _phase(s) == "progressing"
        and any(each.get("credited") for each in s["clocks"].get("readings", ()))
    ),
    "candidate-to-remove": lambda s: (
        _phase(s) == "rolled_back" and s["progress"].get("retirement") == "due"
    ),
    "way-back-in-steps": lambda s: (
        _phase(s) == "rolling_back" and s["routing"].get("wanted", {}).get("candidate")
    ),
}
"""What must be among the states: the first one of the transcripts of which it holds."""


def chosen(states: list[str]) -> dict[str, str]:
    parsed = [(json.loads(text), text) for text in states]
    found = {
        name: next((text for state, text in parsed if holds(state)), "")
        for name, holds in STATES.items()
    }
    missing = [name for name, text in found.items() if not text]
    if missing:
        raise SystemExit(f"no transcript comes by a state for {', '.join(missing)}")
    return found


def main() -> None:
    target = GOLDEN / f"format-{FORMAT}"
    played = {make.__name__: make() for make in TRANSCRIPTS}
    files = {
        f"states/{name}.json": f"{text}\n"
        for name, text in chosen(
            [text for world in played.values() for text in world.states]
        ).items()
    }
    files |= {
        f"transcripts/{name}.jsonl": "".join(f"{each}\n" for each in world.lines)
        for name, world in played.items()
    }
    for name, text in files.items():
        path = target / name
        if path.exists():
            if path.suffix == ".jsonl" and path.read_text(encoding="utf-8") != text:
                raise SystemExit(
                    f"{path.relative_to(GOLDEN)} would be another one now: golden files are "
                    "never overwritten"
                )
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
        print(f"{len(text):>8} {path.relative_to(GOLDEN)}")


if __name__ == "__main__":
    main()
