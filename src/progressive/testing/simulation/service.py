"""The values that describe a simulated service: the behaviour of its versions, its users, and the
troubles around it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from typing import Any, Final, cast

import attrs

from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.measurement import Bad, Histogram, Kind, Metric
from progressive.model.traffic import Track, Traffic
from progressive.model.units import MILLION, Percent, percent
from progressive.rollout.events import PEOPLE, Event, PersonEvent
from progressive.testing.doubles import EPOCH

from .curves import CurveLike, is_number, number
from .dice import power
from .troubles import Trouble

__all__ = ["Behaviour", "Latency", "PersonAction", "Users", "World"]

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The default edges of Prometheus clients, in seconds."""

_Z99: Final = 2.3263478740408408
"""The normal distribution's 99 % quantile."""


def _is_factor(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    is_number(instance, attribute, value)
    if isinstance(value, float) and value <= 0:
        raise StrategyError(
            f"{fields.where(instance, attribute)}: {value!r} must be above 0; 1 is as slow "
            "as the quantiles say, 2 twice as slow"
        )


@attrs.frozen
class Latency:
    """Log-normal durations, given by two of their quantiles.

    * ``median``, ``p99``: the 50 % and the 99 % quantile.
    * ``slower``: a factor on both, a number above 0 or a curve.
    * ``edges``: of the buckets in which they are measured, in seconds; by default those of
      Prometheus clients.
    """

    median: timedelta = attrs.field(validator=fields.is_duration)
    p99: timedelta = attrs.field(validator=fields.is_duration)
    slower: CurveLike = attrs.field(
        default=1.0, kw_only=True, converter=number, validator=_is_factor
    )
    edges: tuple[float, ...] = attrs.field(default=BUCKETS, kw_only=True, converter=fields.numbers)

    def __attrs_post_init__(self) -> None:
        if self.p99 <= self.median:
            raise StrategyError(
                f"latency: p99 {self.p99} must be more than the median {self.median}"
            )

    def below(self, bound: float, slower: float) -> float:
        """Return the fraction of requests that take at most ``bound`` seconds.

        ``slower`` is a factor on all durations. It is rounded to nine digits, in which every
        platform agrees.
        """
        median = self.median.total_seconds() * slower
        sigma = math.log(self.p99 / self.median) / _Z99
        return round(0.5 * math.erfc(-math.log(bound / median) / sigma / math.sqrt(2.0)), 9)

    @cached_property
    def nothing(self) -> Histogram:
        """The histogram of no request, with these buckets."""
        return Histogram(edges=self.edges, cumulative=(0,) * (len(self.edges) + 1))

    def buckets(self, slower: float) -> tuple[float, ...]:
        """Return for each bucket the chance to end in it, of the requests that did not end in an
        earlier one.
        """
        return _buckets(self.median, self.p99, self.edges, slower)


@lru_cache(maxsize=256)
def _buckets(
    median: timedelta, p99: timedelta, edges: tuple[float, ...], slower: float
) -> tuple[float, ...]:
    latency, chances, below = Latency(median, p99, edges=edges), [], 0.0
    for edge in edges:
        upto, left = latency.below(edge, slower), 1.0 - below
        chances.append(min(1.0, (upto - below) / left) if left > 0 else 0.0)
        below = upto
    return tuple(chances)


def _named(value: Any) -> tuple[tuple[str, Any], ...]:
    pairs = value.items() if isinstance(value, Mapping) else value
    return tuple(
        sorted(((name, number(rate)) for name, rate in pairs), key=lambda pair: str(pair[0]))
    )


def _are_numbers(
    instance: object, attribute: attrs.Attribute[Any], value: tuple[tuple[str, Any], ...]
) -> None:
    for name, rate in value:
        fields.name(name, fields.where(instance, attribute))
        is_number(instance, attribute, rate)


def _are_fractions(
    instance: object, attribute: attrs.Attribute[Any], value: tuple[tuple[str, Any], ...]
) -> None:
    _are_numbers(instance, attribute, value)
    for name, rate in value:
        _fraction(rate, f"{fields.where(instance, attribute)}[{name!r}]")


def _is_fraction(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    is_number(instance, attribute, value)
    _fraction(value, fields.where(instance, attribute))


def _fraction(value: object, what: str) -> None:
    """Refuse a plain number outside of 0 to 1; the values of a curve are cut to it later."""
    if isinstance(value, float) and not 0 <= value <= 1:
        hint = (
            f"write percent({value:g})"
            if 1 < value <= 100
            else "write a fraction, such as 0.05, or percent(5)"
        )
        raise StrategyError(f"{what}: {value!r} is no fraction from 0 to 1; {hint}")


@attrs.frozen(kw_only=True)
class Behaviour:
    """The behaviour of a version. Every number may be a curve.

    * ``errors``: the fraction of requests that fail.
    * ``latency``: the durations of requests.
    * ``value``, ``value_spread``: the mean and the standard deviation of the value of a request
      that succeeds (a basket).
    * ``ratios``: the chance per request of further events, by the name of their metric.
    * ``levels``: gauges (queue depth, memory), by the name of their metric.
    * ``affects``: the share of users whom the errors hit.
    * ``retries``: how often a client retries a failed request at once.
    * ``stubborn``: the chance that a retry fails too.
    """

    errors: CurveLike = attrs.field(default=0.001, converter=number, validator=_is_fraction)
    latency: Latency = Latency(timedelta(milliseconds=40), timedelta(milliseconds=300))
    value: CurveLike = attrs.field(default=30.0, converter=number, validator=is_number)
    value_spread: float = attrs.field(default=20.0, converter=number, validator=is_number)
    ratios: tuple[tuple[str, CurveLike], ...] = attrs.field(
        default=(), converter=_named, validator=_are_fractions
    )
    levels: tuple[tuple[str, CurveLike], ...] = attrs.field(
        default=(), converter=_named, validator=_are_numbers
    )
    affects: Percent = attrs.field(
        default=percent(100), validator=fields.is_a(Percent, "percent(5)")
    )
    retries: int = attrs.field(default=0, validator=fields.at_least(0))
    stubborn: float = attrs.field(default=0.9, converter=number, validator=_is_fraction)

    def ratio(self, metric: str) -> CurveLike | None:
        """Return the chance of an event of a metric; None if it has none of its own."""
        return dict(self.ratios).get(metric)


def _is_load(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if hasattr(value, "rps"):
        raise StrategyError(
            f"{fields.where(instance, attribute)}: expected requests a second, got a Load; write "
            "load=50, or the world of that Load: Load(rps=50).world()"
        )
    is_number(instance, attribute, value)
    if isinstance(value, float) and value < 0:
        raise StrategyError(
            f"{fields.where(instance, attribute)}: {value!r} requests a second are none; it "
            "must be 0 or more"
        )


@attrs.frozen
class Users:
    """The users who send the requests, each as likely as any other.

    * ``count``: how many there are.
    * ``sticky``: whether a user stays on the version of the first request, also where the strategy
      does not ask for it (`Traffic.sticky`); otherwise every request is routed anew, and soon most
      users have met the candidate.
    """

    count: int = attrs.field(default=10_000, validator=fields.at_least(1))
    sticky: bool = attrs.field(default=False, kw_only=True)

    def group(self, part: Part, matched: float = 0.0) -> int:
        """Return how many of them a version can meet that has this part of the load by its weight.

        ``matched`` is the fraction of users whom a header or cookie routes, not the weights.
        """
        if self.sticky or part.sticky:
            return max(1, round(self.count * part.weight))
        return max(1, self.count - self.carrying(matched))

    def carrying(self, matched: float) -> int:
        """Return how many of them have a header or cookie that the fraction ``matched`` has."""
        return max(1, round(self.count * matched)) if matched else 0


def met(known: float, requests: int, group: int) -> float:
    """Return how many distinct users of a group a version has met on average after these requests.

    ``known`` is how many it had met before.
    """
    return max(known, group - (group - known) * power(1.0 - 1.0 / group, requests))


@attrs.frozen
class Part:
    """The part of a version in the load of the service, in fractions of it.

    * ``weight``, ``matched``: by its weight, and by a header or cookie.
    * ``copies``: mirrored requests, whose answers no user sees.
    * ``users``: the requests whose answers users see.
    * ``whole``: all that the version has to carry.
    * ``sticky``: whether its users stay with it.
    """

    weight: float
    matched: float = 0.0
    copies: float = 0.0
    sticky: bool = False
    users: float = attrs.field(init=False)
    whole: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "users", self.weight + self.matched)
        object.__setattr__(self, "whole", self.users + self.copies)


@attrs.frozen(init=False)
class PersonAction:
    """A person's event at a time: ``PersonAction(minutes(30), Approve, approval="go", by="eve",
    why="looks good")``.

    * ``after``: counted from the start; the event comes with a tick at that time or soon after it.
    * ``kind``: the class of the event; further keywords are its fields, without ``at``.
    """

    after: timedelta
    event: Event

    def __init__(self, after: timedelta, kind: type[PersonEvent], **event_fields: object) -> None:
        if kind not in PEOPLE:
            raise StrategyError(
                f"PersonAction: {kind!r} is nothing that a person says; there are "
                f"{', '.join(one.__name__ for one in PEOPLE)}"
            )
        if not isinstance(after, timedelta) or after < timedelta():
            raise StrategyError(f"PersonAction: after {after!r} is not a duration; use minutes(30)")
        object.__setattr__(self, "after", after)
        make = cast("Callable[..., PersonEvent]", kind)
        object.__setattr__(self, "event", make(at=EPOCH, **event_fields))


def _in_order(actions: Iterable[PersonAction]) -> tuple[PersonAction, ...]:
    return tuple(sorted(actions, key=lambda action: action.after))


@attrs.frozen(kw_only=True)
class World:
    """Everything that a strategy meets: ``World(load=50, candidate=Behaviour(errors=0.02))``.

    * ``load``: requests a second to the whole service, a number or a curve.
    * ``preview``: requests a second of a load test to a candidate without traffic, for strategies
      that judge it there.
    * ``stable``, ``candidate``, ``baseline``: the behaviour of the versions; baseline is like
      stable by default.
    * ``users``: those who send the requests.
    * ``matched``: the share of the users, and with them of the requests, that have one of the
      headers and cookies of a traffic's ``matches``. While it has some, they go to the candidate,
      and its weights divide the others.
    * ``scrape``: how often the metrics are collected; it is also the grain of the simulation.
    * ``delay``: from a scrape until it can be asked for (give the strategy's metrics a ``lag`` of
      both together).
    * ``answering``: how long each call of a router or provider takes.
    * ``troubles``: what goes wrong and when.
    * ``people``: the persons' events.
    * ``start``: the date and time, for curves that depend on it.

    A ``mirror`` copies that share of stable's requests to the candidate: they are measured there,
    and no user sees their answers.
    """

    load: CurveLike = attrs.field(default=50.0, converter=number, validator=_is_load)
    preview: CurveLike = attrs.field(default=10.0, converter=number, validator=_is_load)
    stable: Behaviour = attrs.field(
        default=Behaviour(), validator=fields.is_a(Behaviour, "Behaviour(...)")
    )
    candidate: Behaviour = attrs.field(
        default=Behaviour(), validator=fields.is_a(Behaviour, "Behaviour(...)")
    )
    baseline: Behaviour | None = attrs.field(
        default=None, validator=fields.optional(fields.is_a(Behaviour, "Behaviour(...)"))
    )
    users: Users = attrs.field(default=Users(), validator=fields.is_a(Users, "Users({})"))
    matched: Percent = attrs.field(
        default=percent(1), validator=fields.is_a(Percent, "percent({})")
    )
    scrape: timedelta = attrs.field(default=timedelta(seconds=15), validator=fields.is_duration)
    delay: timedelta = attrs.field(default=timedelta(), validator=fields.is_span)
    answering: timedelta = attrs.field(default=timedelta(), validator=fields.is_span)
    troubles: tuple[Trouble, ...] = attrs.field(default=(), converter=tuple)
    people: tuple[PersonAction, ...] = attrs.field(default=(), converter=_in_order)
    start: datetime = attrs.field(default=EPOCH, converter=fields.utc, validator=fields.is_moment)

    def __attrs_post_init__(self) -> None:
        wrong = [trouble for trouble in self.troubles if not isinstance(trouble, Trouble)]
        if wrong:
            raise StrategyError(
                f"world.troubles: {wrong[0]!r} is no trouble; see progressive.testing.troubles"
            )

    def behaviour(self, track: Track) -> Behaviour:
        """Return the behaviour of the version of a track."""
        match track:
            case Track.CANDIDATE:
                return self.candidate
            case Track.BASELINE:
                return self.stable if self.baseline is None else self.baseline
            case Track.STABLE:
                return self.stable

    def parts(self, traffic: Traffic) -> dict[Track, Part]:
        """Return the part of each track's version in the load under this traffic."""
        matched = self.matched.ppm / MILLION if traffic.matches else 0.0
        sticky = traffic.sticky is not None
        parts = {
            track: Part((1.0 - matched) * (traffic.share(track).ppm / MILLION), sticky=sticky)
            for track in Track
        }
        if matched or traffic.mirror.ppm:
            copies = parts[Track.STABLE].weight * (traffic.mirror.ppm / MILLION)
            parts[Track.CANDIDATE] = Part(parts[Track.CANDIDATE].weight, matched, copies, sticky)
        return parts

    def measures(self, metrics: Sequence[Metric]) -> None:
        """Raise `StrategyError` if this world has no numbers for a metric of a strategy."""
        behaviours = {"stable": self.stable, "candidate": self.candidate} | (
            {} if self.baseline is None else {"baseline": self.baseline}
        )
        problems = [problem for metric in metrics for problem in _unmeasured(metric, behaviours)]
        if problems:
            raise StrategyError(problems)


def _unmeasured(metric: Metric, there: Mapping[str, Behaviour]) -> Iterator[str]:
    """Yield a problem, with a hint, if a version has no numbers for this metric."""
    name = metric.name
    match metric.kind:
        case Kind.VALUE:
            lack = [
                track for track, behaviour in there.items() if name not in dict(behaviour.levels)
            ]
            if lack:
                yield (
                    f"metric {name!r} is a level: say what it is with "
                    f"Behaviour(levels={{{name!r}: ...}}) in the world; "
                    f"{' and '.join(lack)} {'has' if len(lack) == 1 else 'have'} none"
                )
        case Kind.RATIO:
            lack = [track for track, behaviour in there.items() if behaviour.ratio(name) is None]
            if lack and len(lack) < len(there):
                yield (
                    f"metric {name!r} is a ratio of its own for "
                    f"{' and '.join(track for track in there if track not in lack)}, and "
                    "would be "
                    f"the failed requests for {' and '.join(lack)}; give "
                    f"{'it' if len(lack) == 1 else 'each'} one too, with "
                    f"Behaviour(ratios={{{name!r}: ...}})"
                )
            elif lack and metric.bad is Bad.DOWN:
                yield (
                    f"metric {name!r} falls when something is bad, and a ratio that the "
                    "world does not have is the failed requests, which "
                    f"rise; say how often it happens with Behaviour(ratios={{{name!r}: "
                    f"0.999}}) in the world, for {' and '.join(lack)}"
                )
