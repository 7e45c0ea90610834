"""Flagger's cases as strategies in simulated worlds.

A Flagger canary is a loop: at every interval it looks at the metrics and the webhooks, and raises, waits or goes back. Here the same is a
plan with a step for each weight. What is compared is the share of the *new version* at each of Flagger's ticks: Flagger promotes by copying
the new version over the old one and giving the old one's name all traffic, ours by giving the new one all traffic, and both mean 100 %.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import attrs
import pytest
from cases.classes import Case, Fate, Rule
from cases.scene import Scene

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
    Version,
    hours,
    minutes,
    percent,
    seconds,
)
from progressive.messages import Action, Approve
from progressive.starting import Strategy
from progressive.steps import Analyze, Approval, Bake, Hook, SetWeight
from progressive.testing import Behaviour, Moment, World
from progressive.testing.troubles import RouterEdited
from progressive.traffic import Match, Traffic

FILE = "flagger.json"

ERRORS = Metric("error-rate", kind="ratio")
LOAD_TEST = Metric("failed-load-tests", kind="ratio")
"""What Flagger's ``rollout`` webhooks say, measured like everything else."""

PREFLIGHT = seconds(5)
"""How long before the first weight a rollout with metrics begins: its metrics must have answered once."""

A_DAY = Deadline(within=hours(24))

Share: TypeAlias = float | str
"""Of the new version: per cent of all requests, or which requests it gets while it has no share of them."""


# ------------------------------------------------------------------------------------------------------------------- the case, read


@attrs.frozen(kw_only=True)
class Tick:
    """One of Flagger's ticks: what goes in, and what Flagger makes of it."""

    given: Mapping[str, Any] = attrs.field(factory=dict)
    phase: str
    share: Share
    failed: int

    @property
    def good(self) -> bool:
        return self.given.get("metrics", "pass") == "pass"

    def answers(self, hook: Mapping[str, Any]) -> bool:
        """What a webhook says; a rollback hook says no unless told otherwise."""
        found: bool = self.given.get("webhooks", {}).get(hook["name"], _kind(hook) != "rollback")
        return found


@attrs.frozen(kw_only=True)
class Attempt:
    """One rollout of a case: from a change of the target to its end, or to the next change (``superseded``)."""

    case: Case
    ticks: Sequence[Tick]
    superseded: bool

    @property
    def analysis(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.case["spec"].get("analysis", {})
        return found

    @property
    def threshold(self) -> int:
        return max(1, self.analysis.get("threshold", 1))

    @property
    def interval(self) -> timedelta:
        count, unit = re.fullmatch(r"(\d+)([sm])", self.analysis.get("interval", "60s")).groups()  # type: ignore[union-attr]
        return max(seconds(10), (seconds if unit == "s" else minutes)(int(count)))

    @property
    def iterations(self) -> int:
        given: int = self.analysis.get("iterations", 0)
        return 10 if given < 1 and self.case["provider"].startswith("kubernetes") else given

    def hooks(self, kind: str) -> list[Mapping[str, Any]]:
        return [hook for hook in self.analysis.get("webhooks", ()) if _kind(hook) == kind]

    @property
    def shares(self) -> list[Share]:
        """Of the new version at each tick."""
        return [tick.share for tick in self.ticks]

    @property
    def sooner(self) -> list[Share]:
        """The same if it goes back at the tick that sees the failure too many, and not at the next one."""
        following = [tick.phase == "Failed" for tick in self.ticks[1:]] + [False]
        full = [tick.failed >= self.threshold for tick in self.ticks]
        return [0 if late and many else tick.share for tick, late, many in zip(self.ticks, following, full, strict=True)]

    @property
    def phase(self) -> str:
        return self.ticks[-1].phase

    @property
    def full(self) -> bool:
        """Did a failed check too many take it back?"""
        return any(tick.failed >= self.threshold for tick in self.ticks)


def _kind(hook: Mapping[str, Any]) -> str:
    found: str = hook.get("type") or "rollout"
    return found


NEUTRAL = Tick(phase="Progressing", share=0, failed=0)
UNSAID = "unsaid"
"""The share at a tick that the case leaves out."""


def attempts(case: Case) -> list[Attempt]:
    """The rollouts of a case. Going back to what was promoted last starts none."""
    began: list[tuple[str, list[Tick]]] = []
    promoted = "v1"
    for row in case["trace"]:
        update = row["input"].get("update")
        if (update not in (None, promoted)) or not began:
            began.append((update or "v2", []))
        revision, ticks = began[-1]
        tick = _tick(row, case["strategy"] == "ab", revision)
        ticks += [*_before(row["input"].get("setStatus", {}), ticks, tick), tick]
        promoted = row["expect"]["primaryRevision"]
    last = len(began) - 1
    return [
        Attempt(case=case, ticks=ticks, superseded=i < last and ticks[-1].phase not in ("Failed", "Succeeded"))
        for i, (_, ticks) in enumerate(began)
    ]


def _tick(row: Mapping[str, Any], matched: bool, revision: str) -> Tick:
    said = row["expect"]
    share: Share = said["canaryWeight"]
    if said["primaryRevision"] == revision:
        share = 100
    elif said["mirrored"]:
        share = "mirrored"
    elif matched and share == 100:
        share = "matched"
    return Tick(given=row["input"], phase=said["phase"], share=share, failed=said["failedChecks"])


def _before(preset: Mapping[str, Any], ticks: Sequence[Tick], tick: Tick) -> Iterator[Tick]:
    """What must have happened for a status that Flagger's test writes by hand: the iterations that passed, the checks that failed."""
    past = attrs.evolve(ticks[-1] if ticks else NEUTRAL, given={}, share=UNSAID)
    if preset and not ticks:
        yield from (NEUTRAL, past)
    for failed in range(preset.get("failedChecks", 0)):
        yield attrs.evolve(past, given={"metrics": "fail"}, failed=failed + 1)
    for _ in range(preset.get("iterations", 0) - max(1, len(ticks) - 1)):
        yield past


# ------------------------------------------------------------------------------------------------------------------ the case, as ours


@attrs.define
class Ticking:
    """Where in a case a moment is. The first tick of an attempt detects the change; the second is the first that may give traffic."""

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

    def failing(self, good: Callable[[Tick], bool]) -> Callable[[Moment], float]:
        """A rate of 1 in the intervals that end at a tick that finds it bad, else 0. The future is fine."""
        ticks = self.attempt.ticks

        def rate(moment: Moment) -> float:
            following = self.tick(moment.clock) + 1
            return 0.0 if following >= len(ticks) or good(ticks[following]) else 1.0

        return rate

    def able(self, track: Track, now: datetime) -> float:
        """What the instances of a track can carry. One that will never be ready is not ready from then on."""
        name = {Track.STABLE: "primary", Track.CANDIDATE: "canary"}.get(track, "")
        number = self.tick(now)
        states = [tick.given.get(name, "ready") for tick in self.attempt.ticks[: number + 1]]
        return 0 if "deadline" in states or (states and number < len(self.attempt.ticks) and states[-1] == "notready") else 100

    # ------------------------------------------------------------------------------------------------------------ hooks and gates

    def until_open(self, hook: Mapping[str, Any], *, late: int = 0) -> Callable[..., Go | NotYet]:
        """A webhook that confirms: asked at every tick until it says yes. ``late``: it is asked that many ticks after Flagger does."""

        def ask(key: str, release: Release) -> Go | NotYet:
            now = self.tick(self.clock())
            return Go() if self.at(now - late).answers(hook) else NotYet(self.time(now + 1), f"{hook['name']} is closed")

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
            return Open() if self.at(number).answers(hook) else ClosedUntil(self.time(number + 1), f"{hook['name']} is closed")

        return ask

    def hook(self, hook: Mapping[str, Any]) -> Callable[..., Any]:
        """A webhook as a hook of ours."""
        if _kind(hook) == "pre-rollout":
            return self.tolerant(hook)
        return self.until_open(hook, late=1 if _kind(hook) == "confirm-rollout" else 0)


def strategy(attempt: Attempt) -> Strategy:
    """What a Flagger canary is here. Each kind of its analysis is a way through the same steps."""
    return (_skipped if attempt.case["spec"].get("skipAnalysis") else KINDS[attempt.case["strategy"]])(attempt)


def weights(analysis: Mapping[str, Any]) -> list[int]:
    """The weights that Flagger goes through: ``maxWeight`` ends them and does not cap them."""
    if "stepWeight" in analysis:
        most, step = analysis.get("maxWeight") or 100, analysis["stepWeight"]
        return [min(100, weight) for weight in itertools.takewhile(lambda weight: weight < most + step, itertools.count(step, step))]
    return [min(100, weight) for weight in analysis.get("stepWeights", ())]


def _limits(attempt: Attempt) -> list[Limit]:
    tolerance = Tolerance(in_a_row=attempt.threshold, failures=attempt.threshold - 1)
    measured = [ERRORS, LOAD_TEST] if attempt.hooks("rollout") else [ERRORS]
    return [Limit(metric, at_most=percent(1), min_sample=1, tolerance=tolerance) for metric in measured]


def _canary(attempt: Attempt) -> Canary:
    analysis = attempt.analysis
    mirrored = [SetWeight(percent(0), mirror=percent(analysis.get("mirrorWeight", 100))), _preview(1)] if analysis.get("mirror") else []
    ways = [(SetWeight(percent(weight)), Analyze("checks", deadline=A_DAY)) for weight in weights(analysis)]
    steps = [*_before_traffic(attempt), *mirrored, *itertools.chain(*ways), *_asking(attempt)]
    given = [step.weight.number for step in steps if isinstance(step, SetWeight)]
    return _watched(attempt, steps if not given or given[-1] == 100 else [*steps, SetWeight(percent(100)), Bake(attempt.interval)])


def _ab(attempt: Attempt) -> Canary:
    routed = SetWeight(percent(0), matches=[_match(each) for each in attempt.analysis["match"]])
    steps = [*_before_traffic(attempt), routed, _preview(attempt.iterations), *_asking(attempt), SetWeight(percent(100)), Bake(attempt.interval)]
    return _watched(attempt, steps)


def _blue_green(attempt: Attempt) -> Canary | BlueGreen:
    if attempt.analysis.get("mirror") or attempt.hooks("confirm-rollout") or len(attempt.hooks("pre-rollout")) > 1:
        mirrored = [SetWeight(percent(0), mirror=percent(100))] if attempt.analysis.get("mirror") else []
        steps = [*_before_traffic(attempt), *mirrored, _preview(attempt.iterations), *_asking(attempt)]
        return _watched(attempt, [*steps, SetWeight(percent(100)), Bake(attempt.interval)])
    smoke = [hook["name"] for hook in attempt.hooks("pre-rollout")]
    asks = [Approval(hook["name"], within=hours(24), otherwise=Action.ROLL_BACK) for hook in attempt.hooks("confirm-promotion")]
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
        steps=[*_before_traffic(attempt, tests=False), SetWeight(percent(100)), Bake(attempt.interval)],
        interval=attempt.interval,
        unguarded="skipAnalysis: true",
    )


KINDS: dict[str, Callable[[Attempt], Strategy]] = {"canary": _canary, "ab": _ab, "bluegreen": _blue_green}


def _watched(attempt: Attempt, steps: Sequence[Any]) -> Canary:
    previewed = any(isinstance(step, Analyze) and step.analysis == "preview" for step in steps)
    return Canary(
        steps=steps,
        checks=_limits(attempt),
        interval=attempt.interval,
        analyses=[Analysis("preview", checks=_limits(attempt), interval=attempt.interval, synthetic=True)] if previewed else [],
        gates=[hook["name"] for hook in attempt.hooks("confirm-traffic-increase")],
    )


def _before_traffic(attempt: Attempt, *, tests: bool = True) -> list[Hook]:
    kinds = ("confirm-rollout", "pre-rollout") if tests else ("confirm-rollout",)
    return [Hook(hook["name"], deadline=A_DAY) for kind in kinds for hook in attempt.hooks(kind)]


def _asking(attempt: Attempt) -> list[Hook]:
    return [Hook(hook["name"], deadline=A_DAY) for hook in attempt.hooks("confirm-promotion")]


def _preview(count: int) -> Analyze:
    """Judged on requests that no weight sends: those of a load test, of mirroring, or of the users with the header."""
    return Analyze("preview", count=count, deadline=A_DAY)


COOKIE = re.compile(r"\^\(\.\*\?;\)\?\((?P<name>[\w-]+)=(?P<value>[\w-]+)\)\(;\.\*\)\?\$")
"""How people write "this cookie with this value" as a regular expression for a whole Cookie header."""


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


def _exact(case: Case) -> bool:
    try:
        for condition in case["spec"].get("analysis", {}).get("match", ()):
            _match(condition)
    except StrategyError:
        return False
    return True


# ---------------------------------------------------------------------------------------------------------------------- taking place


@attrs.frozen(kw_only=True)
class Played:
    """What came of one attempt here: the share of the new version at each of Flagger's ticks, and where it stood after the last."""

    scene: Scene
    attempt: Attempt
    shares: Sequence[Share]

    def __str__(self) -> str:
        return f"Flagger {self.attempt.shares} {self.attempt.phase}, ours {self.shares} {self.phase}\n{self.scene}"

    @property
    def phase(self) -> Phase:
        return self.scene.phase

    def said(self, theirs: Sequence[Share]) -> list[Share]:
        """What is expected, where the case says anything."""
        return [mine if share == UNSAID else share for mine, share in zip(self.shares, theirs, strict=True)]

    @property
    def distinct(self) -> list[Share]:
        return distinct([_share(traffic) for traffic in self.scene.changes])


def play(attempt: Attempt) -> Played:
    """Take one attempt through its world, tick by tick of Flagger's."""
    world = World()
    ticking = Ticking(attempt, world.start)
    edits = [(n, tick.given["setRoutes"][1]) for n, tick in enumerate(attempt.ticks) if "setRoutes" in tick.given]
    world = attrs.evolve(
        world,
        load=500.0,
        preview=500.0,
        scrape=seconds(5),
        stable=Behaviour(errors=0, ratios={LOAD_TEST.name: 0}),
        candidate=Behaviour(
            errors=ticking.failing(lambda tick: tick.good),
            ratios={LOAD_TEST.name: ticking.failing(lambda tick: all(tick.answers(hook) for hook in attempt.hooks("rollout")))},
        ),
        troubles=[RouterEdited(max(ticking.time(n) - world.start - seconds(1), timedelta()), to=percent(weight)) for n, weight in edits],
    )
    scene = Scene(
        strategy(attempt),
        world,
        able=ticking.able,
        hooks={hook["name"]: ticking.hook(hook) for hook in attempt.analysis.get("webhooks", ())},
        gates={hook["name"]: ticking.gate(hook) for hook in attempt.hooks("confirm-traffic-increase")},
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
    return Played(scene=scene, attempt=attempt, shares=[_share(scene.at(ticking.time(number) + after)) for number in range(len(attempt.ticks))])



def _said(attempt: Attempt, number: int, scene: Scene) -> list[Any]:
    """What people, or the caller's code for them, say at a tick."""
    tick = attempt.ticks[number]
    said: list[Any] = []
    if any(tick.answers(hook) for hook in attempt.hooks("rollback")) and not scene.rollout.final:
        said.append(Abort(at=scene.now, by="a rollback webhook", why="it said yes"))
    for hook in attempt.hooks("confirm-promotion"):
        if all(later.answers(hook) for later in attempt.ticks[number:]):  # asked only at the end, so what counts is the last word
            said.append(Approve(at=scene.now, approval=hook["name"], by="a webhook", why="it is open"))
    return said if isinstance(strategy(attempt), BlueGreen) or not said or isinstance(said[0], Abort) else []


def _share(traffic: Traffic) -> Share:
    if traffic.mirror.ppm:
        return "mirrored"
    return "matched" if traffic.matches else traffic.candidate.number


def distinct(shares: Sequence[Share]) -> list[Share]:
    """Without repetitions in a row."""
    return [share for share, _ in itertools.groupby(shares)]


# ---------------------------------------------------------------------------------------------------------------------- what is claimed

ENDS: dict[str, set[Phase]] = {"Succeeded": {Phase.PROMOTED}, "Failed": {Phase.ROLLED_BACK}}
"""Flagger's last phase and ours. While it runs, there, it runs here, or has just got all the traffic."""

RUNNING = {Phase.PENDING, Phase.PROGRESSING, Phase.PROMOTED}


def same_at_every_tick(case: Case) -> None:
    """The new version has Flagger's share of the traffic at each of its ticks, and the end is the same."""
    for attempt in attempts(case):
        played = play(attempt)

        assert played.shares == played.said(attempt.shares), played
        assert played.phase in _ends(attempt), played


def same_in_order(case: Case) -> None:
    """The same shares in the same order, and the same end; not tick by tick."""
    for attempt in attempts(case):
        played = play(attempt)

        assert played.distinct == _with_the_way_back(distinct([0, *played.said(attempt.shares)]), attempt), played
        assert played.phase in _ends(attempt), played


def sooner(case: Case) -> None:
    """As Flagger does, but back at the tick that sees the failure too many."""
    for attempt in attempts(case):
        played = play(attempt)

        assert played.shares == played.said(attempt.sooner), played
        assert played.phase in _ends(attempt), played


def put_back(case: Case) -> None:
    """Asked for is what the plan says and nothing else; a weight that somebody set is gone with the next look."""
    for attempt in attempts(case):
        edited = [tick.given["setRoutes"][1] for tick in attempt.ticks if "setRoutes" in tick.given]
        played = play(attempt)
        planned, asked = distinct([0, *weights(attempt.analysis), 100]), distinct([0, *_asked(played.scene)])

        assert asked == planned[: len(asked)], played
        for before, edit, after in zip(played.distinct, played.distinct[1:], played.distinct[2:], strict=False):
            assert before == after or edit not in edited, played


def refused(case: Case) -> None:
    """A description that would never end is refused when it is made."""
    with pytest.raises(StrategyError, match="steps: none"):
        strategy(attempts(case)[0])


def no_exact_match(case: Case) -> None:
    """What is not an exact header or cookie can't be said."""
    with pytest.raises(StrategyError, match="not one exact header or cookie"):
        strategy(attempts(case)[0])


def against_itself(case: Case) -> None:
    """A version can't be released against itself."""
    with pytest.raises(StrategyError, match="two versions"):
        Release(service="shop", stable=Version("v1"), candidate=Version("v1"))


def each_its_own(case: Case) -> None:
    """A hook that fails and a check that fails are not added up; nothing alone was too much, so nothing goes back for it."""
    for attempt in attempts(case):
        failing = [not tick.good for tick in attempt.ticks], *([not t.answers(h) for t in attempt.ticks] for h in attempt.hooks("rollout"))
        played = play(attempt)

        assert (played.phase is Phase.ROLLED_BACK) is any(sum(each) >= attempt.threshold for each in failing)


def goes_on_without_the_old(case: Case) -> None:
    """Nothing is given back to instances that can't carry it while nothing is wrong with the new ones."""
    for attempt in attempts(case):
        played = play(attempt)

        assert played.phase in RUNNING, played
        assert played.distinct == sorted(played.distinct, key=float), played


def _asked(scene: Scene) -> list[Share]:
    return [note.traffic.candidate.number for note in scene.notes if note.kind == "asked"]


def _with_the_way_back(shares: list[Share], attempt: Attempt) -> list[Share]:
    """A rollout that is superseded goes back to 0 % first."""
    return distinct([*shares, 0]) if attempt.superseded else shares


def _ends(attempt: Attempt) -> set[Phase]:
    return {Phase.ROLLED_BACK} if attempt.superseded else ENDS.get(attempt.phase, RUNNING)


# --------------------------------------------------------------------------------------------------------------------------- the rules


def _given(case: Case, name: str) -> list[Any]:
    return [row["input"][name] for row in case["trace"] if name in row["input"]]


def _hooked(case: Case, *kinds: str) -> bool:
    return any(_kind(hook) in kinds for hook in case["spec"].get("analysis", {}).get("webhooks", ()))


def _closed(case: Case, *kinds: str) -> bool:
    """Does a webhook of these kinds ever say what it usually does not?"""
    found = [hook for hook in case["spec"].get("analysis", {}).get("webhooks", ()) if _kind(hook) in kinds]
    return any(answers.get(hook["name"], True) is False for answers in _given(case, "webhooks") for hook in found)


def _copying(case: Case) -> bool:
    """Is it about what becomes of the copy of the new version under the old one's name?"""
    preset = any(status.get("phase") in ("Promoting", "Finalising") for status in _given(case, "setStatus"))
    phases = ["", *(row["expect"]["phase"] for row in case["trace"])]
    stuck = any(
        row["input"].get("primary", "ready") != "ready" and before in ("Promoting", "Finalising")
        for row, before in zip(case["trace"], phases, strict=False)
    )
    return preset or stuck


def _shaky(attempt: Attempt) -> bool:
    """Are the old instances not ready at a tick after the first traffic?"""
    begun = next((n for n, share in enumerate(attempt.shares) if share), len(attempt.ticks))
    return any(tick.given.get("primary", "ready") != "ready" for tick in attempt.ticks[begun:])


def _endless(case: Case) -> bool:
    analysis = case["spec"].get("analysis", {})
    none = not any(analysis.get(name) for name in ("stepWeight", "stepWeights", "iterations"))
    return none and not case["spec"].get("skipAnalysis") and not case["provider"].startswith("kubernetes")


def _back_while_running(case: Case) -> bool:
    running = False
    for row in case["trace"]:
        if running and row["input"].get("update") == row["expect"]["primaryRevision"]:
            return True
        running = row["expect"]["phase"] not in ("Failed", "Succeeded")
    return False


def _added_up(case: Case) -> bool:
    """Do hooks and metrics fail in the same attempt, so that it matters that Flagger adds them up?"""
    kinds = [_closed(case, "pre-rollout"), _closed(case, "rollout"), "fail" in _given(case, "metrics")]
    return sum(kinds) > 1


RULES: tuple[Rule, ...] = (
    Rule(
        feature="promotion by copying, and what can fail in it",
        when=_copying,
        fate=Fate.CLUSTER,
        why="Flagger promotes by copying the new version over the old one, and a copy that does not start is a second rollout inside the "
        "first. Here traffic moves and nothing is copied: after 100 % there is nothing left that could fail.",
    ),
    Rule(
        feature="an analysis without steps and iterations",
        when=_endless,
        fate=Fate.DIFFERS,
        why="Flagger takes it and waits for ever. Here it is a `StrategyError` when the strategy is made.",
        replay=refused,
    ),
    Rule(
        feature="header and cookie routes by regular expression or prefix",
        when=lambda case: not _exact(case),
        fate=Fate.DIFFERS,
        why="A `Match` is an exact header or cookie: it means the same on every router. A regular expression that means one cookie with one "
        "value is translated.",
        replay=no_exact_match,
    ),
    Rule(
        feature="somebody edits the weights by hand",
        when=lambda case: bool(_given(case, "setRoutes")),
        fate=Fate.DIFFERS,
        why="Flagger takes the weight that it finds as its own and goes on from there (a weight that is not in its list jumps to 100 %). Here "
        "it is drift: noted, put back, and after the third time the rollout ends or holds. A rollout does not begin while somebody else's "
        "weights stand.",
        replay=put_back,
    ),
    Rule(
        feature="the target goes back to the promoted version in the middle",
        when=_back_while_running,
        fate=Fate.DIFFERS,
        why="Flagger then releases the old version against itself. Here a release of a version against itself is refused; the way back is an "
        "`Abort`.",
        replay=against_itself,
    ),
    Rule(
        feature="failing hooks and failing metrics together",
        when=_added_up,
        fate=Fate.DIFFERS,
        why="Flagger has one counter for all of them. Here every check has its own `Tolerance`, and a hook answers for itself.",
        replay=each_its_own,
    ),
    Rule(
        feature="failed checks up to the threshold",
        when=lambda case: any(attempt.full for attempt in attempts(case)) or "failedChecks" in str(_given(case, "setStatus")),
        fate=Fate.DIFFERS,
        why="The same weights, and as many failed checks are tolerated (`Tolerance(failures=threshold - 1)`: they add up, passes do not "
        "forgive them). But Flagger goes back one interval after the last of them, here it is the same tick.",
        replay=sooner,
    ),
    Rule(
        feature="old instances that are not ready in the middle",
        when=lambda case: any(_shaky(attempt) for attempt in attempts(case)),
        fate=Fate.DIFFERS,
        why="Flagger waits, and after its deadline gives them all the traffic back. Here the start waits for a stable that can carry "
        "everything; later it is asked only on the way back, which then goes in steps, and tells a person at once.",
        replay=goes_on_without_the_old,
    ),
    Rule(
        feature="instances that are not ready",
        when=lambda case: any(state != "ready" for name in ("primary", "canary") for state in _given(case, name)),
        fate=Fate.SAME,
        why="A fleet says what the instances can carry. Traffic is not raised to what can't carry it, nothing is counted against it, and the "
        "deadline of the step takes it back.",
        replay=same_in_order,
    ),
    Rule(
        feature="a rollback webhook",
        when=lambda case: _hooked(case, "rollback"),
        fate=Fate.SAME,
        why="An `Abort` that your code submits.",
        replay=same_at_every_tick,
    ),
    Rule(
        feature="webhooks that confirm: to begin, to raise, to promote",
        when=lambda case: _hooked(case, "confirm-rollout", "confirm-promotion", "confirm-traffic-increase"),
        fate=Fate.SAME,
        why="A `Hook` or an `Approval` at its place among the steps, and a gate before every raise. Checks go on meanwhile. All of them have "
        "a deadline.",
        replay=lambda case: (same_in_order if case["strategy"] != "canary" and _closed(case, "confirm-promotion") else same_at_every_tick)(case),
    ),
    Rule(
        feature="skipAnalysis",
        when=lambda case: bool(case["spec"].get("skipAnalysis")),
        fate=Fate.SAME,
        why="One step to 100 %. A canary without checks must say why (`unguarded=`).",
        replay=same_at_every_tick,
    ),
    Rule(
        feature="A/B by header or cookie",
        when=lambda case: case["strategy"] == "ab",
        fate=Fate.SAME,
        why="`SetWeight(percent(0), matches=[...])` and `Analyze(..., count=iterations)`, then 100 %.",
        replay=same_at_every_tick,
    ),
    Rule(
        feature="blue-green by iterations",
        when=lambda case: case["strategy"] == "bluegreen",
        fate=Fate.SAME,
        why="`BlueGreen(preview_checks=..., preview_count=iterations)`; with mirroring, `SetWeight(percent(0), mirror=...)` before it.",
        replay=same_at_every_tick,
    ),
    Rule(
        feature="mirroring before the first step",
        when=lambda case: bool(case["spec"].get("analysis", {}).get("mirror")),
        fate=Fate.SAME,
        why="`SetWeight(percent(0), mirror=percent(100))` and an `Analyze` as the first steps.",
        replay=same_at_every_tick,
    ),
    Rule(
        feature="canary by stepWeight and maxWeight, or by stepWeights",
        when=lambda case: case["strategy"] == "canary",
        fate=Fate.SAME,
        why="A `SetWeight` and an `Analyze` for each weight. There is no `stepWeightPromotion`, because nothing is moved back.",
        replay=same_at_every_tick,
    ),
)
