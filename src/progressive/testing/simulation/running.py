"""Run a `World`: draw the requests of each stretch of time and their outcomes.

Time is cut into stretches at every scrape and at every change of traffic; within one, nothing
changes. The numbers of a metric are drawn when they are first asked for, each metric's from a
stream of its own: the questions of one check change nothing for another.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import attrs

from progressive.model.measurement import (
    Counts,
    Gauge,
    Histogram,
    Kind,
    Measurement,
    Metric,
    Moments,
    NoData,
    Window,
    merge,
)
from progressive.model.replace import evolve
from progressive.model.traffic import Track, Traffic
from progressive.model.units import MILLION

from .curves import SimTime, at, load_at
from .dice import Dice, power
from .service import Behaviour, Part, World
from .troubles import CountersReset

ZERO: Final = timedelta()
TRACKS: Final = tuple(Track)


class Stretch:
    """The requests of one version in one stretch of time.

    * ``requests``, ``failed``: all of them, retries and copies included.
    * ``users``: both numbers without copies and load tests; None where no user can come.
    * ``drawn``: the measurements that were asked for, by the name of their metric.
    """

    __slots__ = ("behaviour", "drawn", "end", "failed", "moment", "requests", "start", "users")

    def __init__(
        self,
        start: datetime,
        end: datetime,
        behaviour: Behaviour,
        moment: SimTime,
        requests: int,
        failed: int,
    ) -> None:
        self.start, self.end = start, end
        self.behaviour, self.moment = behaviour, moment
        self.requests, self.failed = requests, failed
        self.users: tuple[int, int] | None = None
        self.drawn: dict[str, Measurement] = {}


@attrs.frozen
class Got:
    """The requests that a version got in one stretch.

    They came by its weight (or from a load test), by a header or cookie, and as mirrored copies.
    """

    weighted: int
    matched: int = 0
    copies: int = 0


@attrs.define
class Met:
    """The distinct users that a version has met, and those of them who saw it fail."""

    met: int = 0
    harmed: int = 0


class Service:
    """The versions that serve requests: ``go_on(to, traffic)`` lets time pass."""

    def __init__(self, world: World, seed: object, *, preview: bool) -> None:
        self.world = world
        self.now = world.start
        self.stretches: dict[Track, list[Stretch]] = {track: [] for track in TRACKS}
        self.users = {track: Met() for track in TRACKS}
        self.matched = Met()
        """The users whom the candidate met by a header or cookie, while those route requests;
        afterwards they are counted with the others.
        """
        self._first: dict[Track, datetime] = {}
        self._seed = seed
        self._arrivals = Dice(seed, "arrivals")
        self._dice = {track: Dice(seed, f"errors/{track.value}") for track in TRACKS}
        self._people = {track: Dice(seed, f"users/{track.value}") for track in TRACKS}
        self._others: dict[tuple[Track, str], Dice] = {}
        self._preview = preview
        self._apart = False
        self._traffic: Traffic | None = None
        self._parts: dict[Track, Part] = {}
        self._shares: dict[Track, float] = {}
        self._resets = [
            trouble.after for trouble in world.troubles if isinstance(trouble, CountersReset)
        ]

    def go_on(self, to: datetime, traffic: Traffic) -> None:
        """Let time pass up to ``to`` under this traffic, in stretches that end at scrapes."""
        scrape = self.world.scrape
        while self.now < to:
            into = (self.now - self.world.start) % scrape
            self._stretch(min(to, self.now + scrape - into), traffic)

    def _stretch(self, end: datetime, traffic: Traffic) -> None:
        start, seconds = self.now, (end - self.now).total_seconds()
        load = load_at(self.world.load, SimTime(age=ZERO, clock=start, load=0.0, share=1.0))
        if traffic is not self._traffic:
            self._traffic, self._parts = traffic, self.world.parts(traffic)
            self._shares = {track: traffic.share(track).ppm / MILLION for track in TRACKS}
            self._separate_matched()
        arrived = self._arrived(load * seconds, traffic)
        for track in TRACKS:
            part = self._parts[track]
            synthetic = not part.whole and track is Track.CANDIDATE and self._preview
            if part.whole:
                self._first.setdefault(track, start)
            age = start - self._first.get(track, start)
            moment = SimTime(age=age, clock=start, load=load, share=part.whole)
            if synthetic:
                arrived[track] = Got(
                    self._arrivals.poisson(
                        load_at(self.world.preview, moment, "World.preview") * seconds
                    )
                )
            if part.whole or synthetic:
                self._serve(track, start, end, moment, part, arrived[track])
        self.now = end

    def _arrived(self, expected: float, traffic: Traffic) -> dict[Track, Got]:
        """Draw the requests that each track gets, one after the other from those that are left."""
        left, whole = self._arrivals.poisson(expected), 1.0
        matched = self._arrivals.binomial(left, self._parts[Track.CANDIDATE].matched)
        left -= matched
        got: dict[Track, Got] = {}
        for track, share in self._shares.items():
            requests = self._arrivals.binomial(left, share / whole) if share else 0
            left, whole = left - requests, whole - share
            got[track] = Got(requests)
        copies = self._arrivals.binomial(got[Track.STABLE].weighted, traffic.mirror.ppm / MILLION)
        if matched or copies:
            got[Track.CANDIDATE] = Got(got[Track.CANDIDATE].weighted, matched, copies)
        return got

    def _serve(
        self, track: Track, start: datetime, end: datetime, moment: SimTime, part: Part, got: Got
    ) -> None:
        """Draw the failures of a stretch. Clients retry failed requests; copies are not retried."""
        behaviour, dice = self.world.behaviour(track), self._dice[track]
        weighted = failures(dice, behaviour, moment, got.weighted)
        matched = failures(dice, behaviour, moment, got.matched) if got.matched else 0
        copies = failures(dice, behaviour, moment, got.copies) if got.copies else 0
        failed = weighted + matched
        again = failed * behaviour.retries
        if part.users:
            self._meet(track, part, got, weighted, matched)
        failed += dice.binomial(again, behaviour.stubborn)
        requests = got.weighted + got.matched + again
        stretch = Stretch(start, end, behaviour, moment, requests + got.copies, failed + copies)
        if part.users:
            stretch.users = requests, failed
        self.stretches[track].append(stretch)

    # ---------------------------------------------------------------------------------- who was met

    def whom(self, track: Track) -> Met:
        """Return the users whom a version has met so far."""
        users = self.users[track]
        if track is not Track.CANDIDATE:
            return users
        everybody = min(self.world.users.count, users.met + self.matched.met)
        return Met(everybody, min(everybody, users.harmed + self.matched.harmed))

    def _separate_matched(self) -> None:
        """Divide the users whom the candidate has met when a header or cookie begins to route
        requests, and put them together when it ends.
        """
        known, part = self.users[Track.CANDIDATE], self._parts[Track.CANDIDATE]
        if bool(part.matched) == self._apart:
            return
        self._apart = bool(part.matched)
        met, harmed = known.met + self.matched.met, known.harmed + self.matched.harmed
        self.matched = Met(round(met * part.matched), round(harmed * part.matched))
        self.users[Track.CANDIDATE] = Met(met - self.matched.met, harmed - self.matched.harmed)

    def _meet(self, track: Track, part: Part, got: Got, weighted: int, matched: int) -> None:
        """Draw the distinct users of these requests, and of those that failed."""
        users, dice = self.world.users, self._people[track]
        affected = self.world.behaviour(track).affects.ppm / MILLION
        carrying = self.world.matched.fraction if self._apart else 0.0
        group = users.group(part, carrying)
        _add_users(dice, self.users[track], group, affected, got.weighted, weighted)
        if part.matched:
            group = users.carrying(part.matched)
            _add_users(dice, self.matched, group, affected, got.matched, matched)

    # ----------------------------------------------------------------------------- what is measured

    def measured(self, metric: Metric, track: Track, window: Window) -> Measurement:
        """Return what the scrapes in ``(start, end]`` of a window show of a metric."""
        until = min(window.end, self.now - self.world.delay)
        total: Measurement | None = None
        samples: list[float] = []
        for stretch in self._between(track, window.start, until):
            if self._resets and self._lost(stretch):
                continue
            measurement = self._draw(metric, track, stretch)
            if isinstance(measurement, Gauge):
                samples += measurement.samples
            else:
                total = measurement if total is None else merge(total, measurement)
        if samples:
            return Gauge(samples=tuple(samples))
        return NoData("no scrape in this window") if total is None else total

    def _between(self, track: Track, start: datetime, end: datetime) -> list[Stretch]:
        """Return the stretches that end in ``(start, end]``, in order."""
        latest_first: list[Stretch] = []
        for stretch in reversed(self.stretches[track]):
            if stretch.end <= start:
                break
            if stretch.end <= end:
                latest_first.append(stretch)
        return latest_first[::-1]

    def _lost(self, stretch: Stretch) -> bool:
        """Return whether the processes restarted in a stretch, before their counters were read."""
        begin = self.world.start
        return any(stretch.start - begin <= reset < stretch.end - begin for reset in self._resets)

    def _draw(self, metric: Metric, track: Track, stretch: Stretch) -> Measurement:
        """Return the measurement of a metric in a stretch; it is drawn only once."""
        measurement = stretch.drawn.get(metric.name)
        if measurement is None:
            dice = self._others.get((track, metric.name))
            if dice is None:
                dice = self._others[track, metric.name] = Dice(
                    self._seed, f"{metric.name}/{track.value}"
                )
            measurement = drawn(
                dice, metric, stretch.behaviour, stretch.moment, stretch.requests, stretch.failed
            )
            stretch.drawn[metric.name] = measurement
        return measurement


def failures(dice: Dice, behaviour: Behaviour, moment: SimTime, requests: int) -> int:
    """Draw how many of these requests fail, the first time that they are sent."""
    affected = behaviour.affects.ppm / MILLION
    return dice.binomial(requests, min(1.0, max(0.0, at(behaviour.errors, moment) * affected)))


def drawn(
    dice: Dice, metric: Metric, behaviour: Behaviour, moment: SimTime, requests: int, failed: int
) -> Measurement:
    """Draw the measurement of a version that got so many requests, of which so many failed."""
    match metric.kind:
        case Kind.RATIO:
            rate = behaviour.ratio(metric.name)
            if rate is None:
                return Counts(events=failed, trials=requests)
            return Counts(events=dice.binomial(requests, at(rate, moment)), trials=requests)
        case Kind.LATENCY:
            return _durations(dice, behaviour, at(behaviour.latency.slower, moment), requests)
        case Kind.MEAN:
            good = requests - failed
            if good < 1:
                return NoData("no request succeeded")
            return _values(dice, at(behaviour.value, moment), behaviour.value_spread, good)
        case Kind.VALUE:
            return Gauge(samples=(at(dict(behaviour.levels)[metric.name], moment),))


def _add_users(
    dice: Dice, met: Met, group: int, affected: float, requests: int, failed: int
) -> None:
    """Add the new users of these requests to ``met``.

    Every user of a group is as likely as another; the errors hit the fraction ``affected`` of it.
    """
    kind = max(1, round(group * affected))
    if met.met < group:
        met.met += min(group - met.met, _new_users(dice, requests, group, met.met))
    if met.harmed < kind:
        new = _new_users(dice, failed, kind, met.harmed)
        met.harmed += min(min(kind, met.met) - met.harmed, new)


def _new_users(dice: Dice, requests: int, group: int, known: int) -> int:
    """Draw from how many users of a group, beside the ``known`` ones, these requests come."""
    if not requests:
        return 0
    distinct = group * (1.0 - power(1.0 - 1.0 / group, requests))
    return dice.binomial(
        dice.binomial(requests, distinct / requests), max(0, group - known) / group
    )


def _durations(dice: Dice, behaviour: Behaviour, slower: float, n: int) -> Histogram:
    """Draw how many of ``n`` requests end in each bucket, one after the other from those that are
    left.
    """
    cumulative, done = [], 0
    for chance in behaviour.latency.buckets(slower):
        if done < n:
            done += dice.binomial(n - done, chance)
        cumulative.append(done)
    cumulative.append(n)
    return evolve(behaviour.latency.nothing, cumulative=tuple(cumulative))


def _values(dice: Dice, mean: float, spread: float, n: int) -> Moments:
    """Draw the moments of ``n`` normally distributed values.

    The chi-squared distribution of their variance is that of Wilson and Hilferty 1931.
    """
    drawn_mean = mean + spread * dice.normal() / n**0.5
    freedom = n - 1
    if not freedom:
        return Moments(n=1, mean=drawn_mean, m2=0.0)
    part = 2.0 / (9.0 * freedom)
    cube = max(0.0, 1.0 - part + dice.normal() * part**0.5)
    return Moments(n=n, mean=drawn_mean, m2=spread * spread * freedom * cube * cube * cube)
