"""The same three acts in virtual time: the same strategy, played with a router and metrics in
memory, in no time at all.

So does a deployment script's own test: `progressive.testing.play` and a line about how the new
version behaves.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import attrs

from progressive import Outcome, Phase, Release, Rollout, Track, Version, seconds
from progressive.metrics.envoy import ERRORS, latency
from progressive.model import Counts, Histogram, Measurement, Percent, Window
from progressive.rollout import Note
from progressive.testing import MemoryRouter, MemoryStore, ScriptedMetrics, VirtualClock, play
from shop.deploy import CANARY, FLUSH
from shop.story import (
    KILL_AT,
    Killed,
    Result,
    Story,
    asked_since,
    back_at_zero,
    half_baked,
    highest,
)
from shop.users import RATE
from shop.world import FAILING

ALONE = seconds(3)
"""How long nobody drives after the driver was killed."""


class DriverKilled(Exception):
    """Stands for SIGKILL: the driver ends between two lines, and nothing of it is left but the
    store.
    """


@attrs.define
class Users:
    """Simulated users: `RATE` requests a second, spread over the versions as the router says."""

    release: Release
    clock: VirtualClock
    router: MemoryRouter = attrs.Factory(MemoryRouter)
    served: float = 0
    by_candidate: float = 0
    harmed: float = 0
    first_harm: datetime | None = None
    _until: datetime = attrs.Factory(lambda self: self.clock.now, takes_self=True)

    def come(self) -> None:
        """The users who came since the last time, by the weights that were there meanwhile."""
        passed = self.clock.now - self._until
        requests = RATE * passed.total_seconds()
        by_candidate = requests * self.router.traffic.candidate.fraction
        harmed = by_candidate * FAILING[self.release.candidate.identity]
        if harmed and self.first_harm is None:
            self.first_harm = self._until + min(passed, passed / harmed)
        self.served += requests
        self.by_candidate += by_candidate
        self.harmed += harmed
        self._until = self.clock.now

    def errors(self, track: Track, window: Window) -> Measurement:
        """What `ERRORS` shows of them."""
        version = track.version(self.release)
        trials = self._requests(track, window)
        return Counts(
            events=round(trials * FAILING[version.identity]) if version else 0, trials=trials
        )

    def latency(self, track: Track, window: Window) -> Measurement:
        """What `LATENCY` shows of them: all are served within 10 ms."""
        requests = self._requests(track, window)
        return Histogram(edges=(0.01, 0.25), cumulative=(requests, requests, requests))

    def _requests(self, track: Track, window: Window) -> int:
        return round(
            RATE * self.router.traffic.share(track).fraction * window.length.total_seconds()
        )


def play_virtually() -> list[Result]:
    """The three acts; one clock for all of them."""
    print(
        "Four versions of a shop, a router, metrics and users in memory, and a clock that "
        "moves only when told."
    )
    clock = VirtualClock()
    return [
        Act("1: v2 is good", "v1", "v2", clock).played(Phase.PROMOTED),
        Act("2: v3 is bad", "v2", "v3", clock).played(Phase.ROLLED_BACK),
        Act("3: driver killed", "v2", "v4", clock).played(Phase.PROMOTED, kill_at=KILL_AT),
    ]


class Act:
    """One rollout of the shop in virtual time."""

    def __init__(self, title: str, old: str, new: str, clock: VirtualClock) -> None:
        print(f"\nAct {title} ({old} -> {new})")
        self.title = title
        self.release = Release(service="shop", stable=Version(old), candidate=Version(new))
        self.users = Users(self.release, clock)
        self.clock = clock
        self.store = MemoryStore()
        self.story = Story(new, since=VirtualClock().now)

    def played(self, promise: Phase, kill_at: Percent | None = None) -> Result:
        """Play it to its end, killing the driver on the way if there is a weight to do that at."""
        killed_at = self.clock.now if kill_at is None else self._drive_until_killed(kill_at)
        outcome = self._drive(lambda _: self.users.come())
        notes = self._tell()
        killed = (
            None
            if kill_at is None
            else Killed(weight=kill_at, alone=ALONE, asked=asked_since(notes, killed_at))
        )
        return Result(
            title=self.title,
            promise=promise,
            phase=outcome.rollout.phase,
            served=round(self.users.served),
            by_candidate=round(self.users.by_candidate),
            harmed=round(self.users.harmed),
            highest=highest(notes),
            first_harm=self.users.first_harm,
            back_at_zero=back_at_zero(notes),
            killed=killed,
        )

    def _drive(self, before_tick: Callable[[Rollout], None]) -> Outcome:
        """Drive it as `deploy` does, from where the store says that it stands."""
        metrics = ScriptedMetrics({ERRORS: self.users.errors, latency(FLUSH): self.users.latency})
        return play(
            CANARY,
            self.release,
            router=self.users.router,
            metrics=[metrics],
            store=self.store,
            clock=self.clock,
            before_tick=before_tick,
        )

    def _drive_until_killed(self, weight: Percent) -> datetime:
        """Drive it until ``weight`` has been watched for a while, then let nobody drive; when that
        began.
        """

        def kill_there(rollout: Rollout) -> None:
            self.users.come()
            if half_baked(rollout, weight):
                raise DriverKilled

        try:
            self._drive(kill_there)
        except DriverKilled:
            self._tell()
            self.story.say(
                self.clock.now,
                f"the driver is dropped in mid-canary, at {weight}; what is left is in the store",
            )
        killed_at = self.clock.now
        self.clock.advance(ALONE)
        self.story.say(self.clock.now, f"a new driver goes on after {ALONE.total_seconds():g} s")
        return killed_at

    def _tell(self) -> list[tuple[str, Note]]:
        notes = list(self.store.notes("played"))
        self.story.tell(notes)
        return notes
