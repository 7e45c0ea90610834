"""A rollout of Flagger's as a strategy of ours in a simulated world.

A Flagger canary is a loop: at every interval it looks at the metrics and the webhooks, and raises,
waits or goes back. Here the same is a plan with a step for each weight (`strategy`), played in a
world in which the requests of just those intervals fail (`play`).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs
from tests.cases.classes import Case
from tests.cases.flagger_case import ERRORS, UNSAID, Attempt, Share, Tick, kind_of
from tests.cases.scene import Scene

from progressive import (
    Abort,
    Analysis,
    BlueGreen,
    Canary,
    ClosedUntil,
    Deadline,
    Go,
    Limit,
    Metric,
    NotYet,
    Open,
    Phase,
    Release,
    Stop,
    StrategyError,
    Tolerance,
    Track,
    hours,
    percent,
    seconds,
)
from progressive.model.actions import Action
from progressive.model.traffic import Match, Traffic
from progressive.plan.plan import Strategy
from progressive.rollout.events import Approve
from progressive.steps import Analyze, Approval, Bake, Hook, SetWeight
from progressive.testing import Behaviour, SimTime, World
from progressive.testing.simulation.troubles import RouterEdited

LOAD_TEST = Metric("failed-load-tests", kind="ratio")
"""What Flagger's ``rollout`` webhooks say, measured like everything else."""


PREFLIGHT = seconds(5)
"""How long before the first weight a rollout with metrics begins: its metrics must have answered
once.
"""


A_DAY = Deadline(within=hours(24))


@attrs.define
class Ticking:
    """Where in a case a moment is. The first tick of an attempt detects the change; the second is
    the first that may give traffic.
    """

    attempt: Attempt
    world: datetime
    clock: Callable[[], datetime] = NotImplemented
    """The scene's, for the hooks, which are told no time."""

    @property
    def first(self) -> datetime:
        return self.world + PREFLIGHT

    def time(self, tick: int) -> datetime:
        return self.first + (tick - 1) * self.attempt.interval

    def tick(self, now: datetime) -> int:
        """The tick at or before this moment."""
        return 1 + (now - self.first + timedelta(milliseconds=1)) // self.attempt.interval

    def at(self, number: int) -> Tick:
        return self.attempt.ticks[min(max(number, 0), len(self.attempt.ticks) - 1)]

    def failing(self, good: Callable[[Tick], bool]) -> Callable[[SimTime], float]:
        """A rate of 1 in the intervals that end at a tick that finds it bad, else 0. The future is
        fine.
        """
        ticks = self.attempt.ticks

        def rate(moment: SimTime) -> float:
            following = self.tick(moment.clock) + 1
            return 0.0 if following >= len(ticks) or good(ticks[following]) else 1.0

        return rate

    def able(self, track: Track, now: datetime) -> float:
        """What the instances of a track can carry. One that will never be ready is not ready from
        then on.
        """
        name = {Track.STABLE: "primary", Track.CANDIDATE: "canary"}.get(track, "")
        number = self.tick(now)
        states = [tick.given.get(name, "ready") for tick in self.attempt.ticks[: number + 1]]
        return (
            0
            if "deadline" in states
            or (states and number < len(self.attempt.ticks) and states[-1] == "notready")
            else 100
        )

    # ------------------------------------------------------------------------------ hooks and gates

    def until_open(self, hook: Mapping[str, Any], *, late: int = 0) -> Callable[..., Go | NotYet]:
        """A webhook that confirms: asked at every tick until it says yes. ``late``: it is asked
        that many ticks after Flagger does.
        """

        def ask(key: str, release: Release) -> Go | NotYet:
            now = self.tick(self.clock())
            return (
                Go()
                if self.at(now - late).answers(hook)
                else NotYet(self.time(now + 1), f"{hook['name']} is closed")
            )

        return ask

    def tolerant(self, hook: Mapping[str, Any]) -> Callable[..., Go | NotYet | Stop]:
        """A webhook that tests: it may fail as often as a check may."""
        failed: set[int] = set()

        def ask(key: str, release: Release) -> Go | NotYet | Stop:
            now = self.tick(self.clock())
            if self.at(now).answers(hook):
                return Go()
            failed.add(now)
            if len(failed) >= self.attempt.threshold:
                return Stop(f"{hook['name']} failed {len(failed)} times")
            return NotYet(self.time(now + 1), f"{hook['name']} failed")

        return ask

    def gate(self, hook: Mapping[str, Any]) -> Callable[..., Open | ClosedUntil]:
        """A webhook that confirms every increase of traffic."""

        def ask(release: Release, now: datetime) -> Open | ClosedUntil:
            number = self.tick(now)
            return (
                Open()
                if self.at(number).answers(hook)
                else ClosedUntil(self.time(number + 1), f"{hook['name']} is closed")
            )

        return ask

    def hook(self, hook: Mapping[str, Any]) -> Callable[..., Any]:
        """A webhook as a hook of ours."""
        if kind_of(hook) == "pre-rollout":
            return self.tolerant(hook)
        return self.until_open(hook, late=1 if kind_of(hook) == "confirm-rollout" else 0)


def strategy(attempt: Attempt) -> Strategy:
    """What a Flagger canary is here. Each kind of its analysis is a way through the same steps."""
    return (
        _skipped if attempt.case["spec"].get("skipAnalysis") else KINDS[attempt.case["strategy"]]
    )(attempt)


def weights(analysis: Mapping[str, Any]) -> list[int]:
    """The weights that Flagger goes through: ``maxWeight`` ends them and does not cap them."""
    if "stepWeight" in analysis:
        most, step = analysis.get("maxWeight") or 100, analysis["stepWeight"]
        return [
            min(100, weight)
            for weight in itertools.takewhile(
                lambda weight: weight < most + step, itertools.count(step, step)
            )
        ]
    return [min(100, weight) for weight in analysis.get("stepWeights", ())]


def _limits(attempt: Attempt) -> list[Limit]:
    tolerance = Tolerance(in_a_row=attempt.threshold, failures=attempt.threshold - 1)
    measured = [ERRORS, LOAD_TEST] if attempt.hooks("rollout") else [ERRORS]
    return [
        Limit(metric, plain=True, at_most=percent(1), min_sample=1, tolerance=tolerance)
        for metric in measured
    ]


def _canary(attempt: Attempt) -> Canary:
    analysis = attempt.analysis
    mirrored = (
        [SetWeight(percent(0), mirror=percent(analysis.get("mirrorWeight", 100))), _preview(1)]
        if analysis.get("mirror")
        else []
    )
    ways = [
        (SetWeight(percent(weight)), Analyze("checks", deadline=A_DAY))
        for weight in weights(analysis)
    ]
    steps = [*_before_traffic(attempt), *mirrored, *itertools.chain(*ways), *_asking(attempt)]
    given = [step.weight.number for step in steps if isinstance(step, SetWeight)]
    return _watched(
        attempt,
        steps
        if not given or given[-1] == 100
        else [*steps, SetWeight(percent(100)), Bake(attempt.interval)],
    )


def _ab(attempt: Attempt) -> Canary:
    routed = SetWeight(percent(0), matches=[_match(each) for each in attempt.analysis["match"]])
    steps = [
        *_before_traffic(attempt),
        routed,
        _preview(attempt.iterations),
        *_asking(attempt),
        SetWeight(percent(100)),
        Bake(attempt.interval),
    ]
    return _watched(attempt, steps)


def _blue_green(attempt: Attempt) -> Canary | BlueGreen:
    if (
        attempt.analysis.get("mirror")
        or attempt.hooks("confirm-rollout")
        or len(attempt.hooks("pre-rollout")) > 1
    ):
        mirrored = (
            [SetWeight(percent(0), mirror=percent(100))] if attempt.analysis.get("mirror") else []
        )
        steps = [
            *_before_traffic(attempt),
            *mirrored,
            _preview(attempt.iterations),
            *_asking(attempt),
        ]
        return _watched(attempt, [*steps, SetWeight(percent(100)), Bake(attempt.interval)])
    smoke = [hook["name"] for hook in attempt.hooks("pre-rollout")]
    asks = [
        Approval(hook["name"], within=hours(24), otherwise=Action.ROLL_BACK)
        for hook in attempt.hooks("confirm-promotion")
    ]
    return BlueGreen(
        preview_hook=smoke[0] if smoke else None,
        preview_checks=_limits(attempt),
        preview_count=attempt.iterations,
        approval=asks[0] if asks else None,
        checks=_limits(attempt),
        bake=attempt.interval,
        interval=attempt.interval,
        gates=[hook["name"] for hook in attempt.hooks("confirm-traffic-increase")],
    )


def _skipped(attempt: Attempt) -> Canary:
    return Canary(
        steps=[
            *_before_traffic(attempt, tests=False),
            SetWeight(percent(100)),
            Bake(attempt.interval),
        ],
        interval=attempt.interval,
        unguarded="skipAnalysis: true",
    )


KINDS: dict[str, Callable[[Attempt], Strategy]] = {
    "canary": _canary,
    "ab": _ab,
    "bluegreen": _blue_green,
}


def _watched(attempt: Attempt, steps: Sequence[Any]) -> Canary:
    previewed = any(isinstance(step, Analyze) and step.analysis == "preview" for step in steps)
    return Canary(
        steps=steps,
        checks=_limits(attempt),
        interval=attempt.interval,
        analyses=[
            Analysis("preview", checks=_limits(attempt), interval=attempt.interval, synthetic=True)
        ]
        if previewed
        else [],
        gates=[hook["name"] for hook in attempt.hooks("confirm-traffic-increase")],
    )


def _before_traffic(attempt: Attempt, *, tests: bool = True) -> list[Hook]:
    kinds = ("confirm-rollout", "pre-rollout") if tests else ("confirm-rollout",)
    return [Hook(hook["name"], deadline=A_DAY) for kind in kinds for hook in attempt.hooks(kind)]


def _asking(attempt: Attempt) -> list[Hook]:
    return [Hook(hook["name"], deadline=A_DAY) for hook in attempt.hooks("confirm-promotion")]


def _preview(count: int) -> Analyze:
    """Judged on requests that no weight sends: those of a load test, of mirroring, or of the users
    with the header.
    """
    return Analyze("preview", count=count, deadline=A_DAY)


COOKIE = re.compile(r"\^\(\.\*\?;\)\?\((?P<name>[\w-]+)=(?P<value>[\w-]+)\)\(;\.\*\)\?\$")
"""How people write "this cookie with this value" as a regular expression for a whole Cookie
header.
"""


def _match(condition: Mapping[str, Any]) -> Match:
    headers = condition.get("headers", {})
    if len(condition) == len(headers) == 1:
        ((name, test),) = headers.items()
        if "exact" in test:
            return Match(name=name, value=test["exact"])
        found = COOKIE.fullmatch(test.get("regex", ""))
        if found is not None and name.lower() == "cookie":
            return Match(name=found["name"], value=found["value"], source="cookie")
    raise StrategyError(f"match {condition} is not one exact header or cookie")


def is_exact(case: Case) -> bool:
    try:
        for condition in case["spec"].get("analysis", {}).get("match", ()):
            _match(condition)
    except StrategyError:
        return False
    return True


@attrs.frozen(kw_only=True)
class Played:
    """What came of one attempt here: the share of the new version at each of Flagger's ticks, and
    where it stood after the last.
    """

    scene: Scene
    attempt: Attempt
    shares: Sequence[Share]

    def __str__(self) -> str:
        return (
            f"Flagger {self.attempt.shares} {self.attempt.phase}, ours {self.shares} "
            f"{self.phase}\n{self.scene}"
        )

    @property
    def phase(self) -> Phase:
        return self.scene.phase

    def said(self, theirs: Sequence[Share]) -> list[Share]:
        """What is expected, where the case says anything."""
        return [
            mine if share == UNSAID else share
            for mine, share in zip(self.shares, theirs, strict=True)
        ]

    @property
    def distinct(self) -> list[Share]:
        return distinct([_share(traffic) for traffic in self.scene.changes])


def play(attempt: Attempt) -> Played:
    """Take one attempt through its world, tick by tick of Flagger's."""
    world = World()
    ticking = Ticking(attempt, world.start)
    edits = [
        (n, tick.given["setRoutes"][1])
        for n, tick in enumerate(attempt.ticks)
        if "setRoutes" in tick.given
    ]
    world = attrs.evolve(
        world,
        load=500.0,
        preview=500.0,
        scrape=seconds(5),
        stable=Behaviour(errors=0, ratios={LOAD_TEST.name: 0}),
        candidate=Behaviour(
            errors=ticking.failing(lambda tick: tick.good),
            ratios={
                LOAD_TEST.name: ticking.failing(
                    lambda tick: all(tick.answers(hook) for hook in attempt.hooks("rollout"))
                )
            },
        ),
        troubles=[
            RouterEdited(
                max(ticking.time(n) - world.start - seconds(1), timedelta()), to=percent(weight)
            )
            for n, weight in edits
        ],
    )
    scene = Scene(
        strategy(attempt),
        world,
        able=ticking.able,
        hooks={hook["name"]: ticking.hook(hook) for hook in attempt.analysis.get("webhooks", ())},
        gates={
            hook["name"]: ticking.gate(hook) for hook in attempt.hooks("confirm-traffic-increase")
        },
    )
    ticking.clock = lambda: scene.now
    for number in range(1, len(attempt.ticks)):
        scene.until(ticking.time(number))
        scene.tick(*_said(attempt, number, scene))
    if attempt.superseded:
        scene.until(ticking.time(len(attempt.ticks))).say(Abort)
    elif attempt.phase in ("Succeeded", "Failed"):
        scene.on(lambda rollout: not rollout.final, at_most=hours(48))
    after = attempt.interval / 4
    return Played(
        scene=scene,
        attempt=attempt,
        shares=[
            _share(scene.at(ticking.time(number) + after)) for number in range(len(attempt.ticks))
        ],
    )


def _said(attempt: Attempt, number: int, scene: Scene) -> list[Any]:
    """What people, or the caller's code for them, say at a tick. An approval is asked for only at
    the end, so the last word counts.
    """
    tick, later = attempt.ticks[number], attempt.ticks[number:]
    if any(tick.answers(hook) for hook in attempt.hooks("rollback")) and not scene.rollout.final:
        return [Abort(at=scene.now, by="a rollback webhook", why="it said yes")]
    asked = {step.approval for step in scene.rollout.plan.steps} - {None}
    return [
        Approve(at=scene.now, approval=hook["name"], by="a webhook", why="it is open")
        for hook in attempt.hooks("confirm-promotion")
        if hook["name"] in asked and all(tick.answers(hook) for tick in later)
    ]


def _share(traffic: Traffic) -> Share:
    if traffic.mirror.ppm:
        return "mirrored"
    return "matched" if traffic.matches else traffic.candidate.number


def distinct(shares: Sequence[Share]) -> list[Share]:
    """Without repetitions in a row."""
    return [share for share, _ in itertools.groupby(shares)]
