"""A `World` while time passes in it: the requests of each stretch of time and what became of them.

Time is cut into stretches at every scrape and at every change of traffic. In one stretch everything
is as at its beginning. What is asked of a stretch is drawn when it is first asked for, each kind of
number from dice of its own: what one check asks changes nothing for another.
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
    """What one version got in one stretch of time. ``failed`` counts what its own clients saw,
    retries included.

    ``users``: those of both whose answers users saw, all but copies and load tests; None where no
    user can come by.
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
    """The requests of one stretch that a version got: by its weight (or from a load test), by a
    header or cookie, and as copies.
    """

    weighted: int
    matched: int = 0
    copies: int = 0


@attrs.define
class Met:
    """Whom a version has met: distinct users, and those whom it failed."""

    met: int = 0
    harmed: int = 0


class Service:
    """The versions at work: ``go_on(to, traffic)`` lets time pass."""

    def __init__(self, world: World, seed: object, *, preview: bool) -> None:
        self.world = world
        self.now = world.start
        self.stretches: dict[Track, list[Stretch]] = {track: [] for track in TRACKS}
        self.users = {track: Met() for track in TRACKS}
        self.matched = Met()
        """Whom the candidate met by a header or cookie, as long as those decide; then they are
        users like others.
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
        """Time passes up to ``to`` under this traffic, in stretches that end at scrapes."""
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
            self._tell_apart()
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
        """Who got how many requests: each track its part of what the ones before have left."""
        left, whole = self._arrivals.poisson(expected), 1.0
        matched = self._arrivals.binomial(left, self._parts[Track.CANDIDATE].matched)
        left -= matched
        found: dict[Track, Got] = {}
        for track, share in self._shares.items():
            requests = self._arrivals.binomial(left, share / whole) if share else 0
            left, whole = left - requests, whole - share
            found[track] = Got(requests)
        copies = self._arrivals.binomial(found[Track.STABLE].weighted, traffic.mirror.ppm / MILLION)
        if matched or copies:
            found[Track.CANDIDATE] = Got(found[Track.CANDIDATE].weighted, matched, copies)
        return found

    def _serve(
        self, track: Track, start: datetime, end: datetime, moment: SimTime, part: Part, got: Got
    ) -> None:
        """Clients ask again where a request failed; who copies requests does not."""
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
        """Whom a version has met so far."""
        found = self.users[track]
        if track is not Track.CANDIDATE:
            return found
        everybody = min(self.world.users.count, found.met + self.matched.met)
        return Met(everybody, min(everybody, found.harmed + self.matched.harmed))

    def _tell_apart(self) -> None:
        """Of those whom the candidate has met, the ones with a header or cookie, from when on it
        decides until it does no more.
        """
        known, part = self.users[Track.CANDIDATE], self._parts[Track.CANDIDATE]
        if bool(part.matched) == self._apart:
            return
        self._apart = bool(part.matched)
        met, harmed = known.met + self.matched.met, known.harmed + self.matched.harmed
        self.matched = Met(round(met * part.matched), round(harmed * part.matched))
        self.users[Track.CANDIDATE] = Met(met - self.matched.met, harmed - self.matched.harmed)

    def _meet(self, track: Track, part: Part, got: Got, weighted: int, matched: int) -> None:
        """Whom these requests came from, by chance, and whom those of them that failed."""
        users, dice, affected = (
            self.world.users,
            self._people[track],
            self.world.behaviour(track).affects.ppm / MILLION,
        )
        carrying = self.world.matched.fraction if self._apart else 0.0
        _more(
            dice,
            self.users[track],
            users.group(part.weight, carrying),
            affected,
            got.weighted,
            weighted,
        )
        if part.matched:
            _more(dice, self.matched, users.carrying(part.matched), affected, got.matched, matched)

    # ----------------------------------------------------------------------------- what is measured

    def measured(self, metric: Metric, track: Track, window: Window) -> Measurement:
        """What the scrapes in ``(start, end]`` of a window show of a metric."""
        until = min(window.end, self.now - self.world.delay)
        found: Measurement | None = None
        samples: list[float] = []
        for stretch in self._between(track, window.start, until):
            if self._resets and self._lost(stretch):
                continue
            one = self._draw(metric, track, stretch)
            if isinstance(one, Gauge):
                samples += one.samples
            else:
                found = one if found is None else merge(found, one)
        if samples:
            return Gauge(samples=tuple(samples))
        return NoData("no scrape in this window") if found is None else found

    def _between(self, track: Track, start: datetime, end: datetime) -> list[Stretch]:
        found: list[Stretch] = []
        for stretch in reversed(self.stretches[track]):
            if stretch.end <= start:
                break
            if stretch.end <= end:
                found.append(stretch)
        return found[::-1]

    def _lost(self, stretch: Stretch) -> bool:
        """Did the processes restart in it, before anybody had read their counters?"""
        begin = self.world.start
        return any(stretch.start - begin <= reset < stretch.end - begin for reset in self._resets)

    def _draw(self, metric: Metric, track: Track, stretch: Stretch) -> Measurement:
        found = stretch.drawn.get(metric.name)
        if found is None:
            dice = self._others.get((track, metric.name))
            if dice is None:
                dice = self._others[track, metric.name] = Dice(
                    self._seed, f"{metric.name}/{track.value}"
                )
            found = drawn(
                dice, metric, stretch.behaviour, stretch.moment, stretch.requests, stretch.failed
            )
            stretch.drawn[metric.name] = found
        return found


def failures(dice: Dice, behaviour: Behaviour, moment: SimTime, requests: int) -> int:
    """How many of these requests fail, the first time that they are sent."""
    affected = behaviour.affects.ppm / MILLION
    return dice.binomial(requests, min(1.0, max(0.0, at(behaviour.errors, moment) * affected)))


def drawn(
    dice: Dice, metric: Metric, behaviour: Behaviour, moment: SimTime, requests: int, failed: int
) -> Measurement:
    """What is measured of a version that got so many requests, of which so many failed."""
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


def _more(dice: Dice, met: Met, group: int, affected: float, requests: int, failed: int) -> None:
    """Every user of a group is as likely as another; its part ``affected`` is whom the errors
    hit.
    """
    kind = max(1, round(group * affected))
    met.met += min(group - met.met, _new(dice, requests, group, met.met)) if met.met < group else 0
    met.harmed += (
        min(min(kind, met.met) - met.harmed, _new(dice, failed, kind, met.harmed))
        if met.harmed < kind
        else 0
    )


def _new(dice: Dice, requests: int, group: int, known: int) -> int:
    """How many users of a group a number of requests come from that were not known yet."""
    if not requests:
        return 0
    distinct = group * (1.0 - power(1.0 - 1.0 / group, requests))
    return dice.binomial(
        dice.binomial(requests, distinct / requests), max(0, group - known) / group
    )


def _durations(dice: Dice, behaviour: Behaviour, slower: float, n: int) -> Histogram:
    """How many of ``n`` requests ended in each bucket: one draw a bucket, of what the buckets
    before have left.
    """
    cumulative, done = [], 0
    for chance in behaviour.latency.buckets(slower):
        if done < n:
            done += dice.binomial(n - done, chance)
        cumulative.append(done)
    cumulative.append(n)
    return evolve(behaviour.latency.nothing, cumulative=tuple(cumulative))


def _values(dice: Dice, mean: float, spread: float, n: int) -> Moments:
    """``n`` values of a normal distribution, by their mean and their spread (its chi-squared one by
    Wilson and Hilferty 1931).
    """
    found = mean + spread * dice.normal() / n**0.5
    freedom = n - 1
    if not freedom:
        return Moments(n=1, mean=found, m2=0.0)
    part = 2.0 / (9.0 * freedom)
    cube = max(0.0, 1.0 - part + dice.normal() * part**0.5)
    return Moments(n=n, mean=found, m2=spread * spread * freedom * cube * cube * cube)
