"""What goes wrong around a rollout, as values: who, from when on, for how long. `World`
(``troubles=``) makes them happen.

``after`` counts from the start of the simulation; a trouble that begins at ``after`` is over at
``after + lasting`` (exclusive).
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import attrs

from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.traffic import Track
from progressive.model.units import Percent, percent

__all__ = [
    "AnswersTwice",
    "CountersReset",
    "HalfObeys",
    "Lags",
    "LosesReplies",
    "MetricsDown",
    "NotANumber",
    "NotReady",
    "RouterDown",
    "RouterEdited",
    "RouterForgets",
    "SeriesMissing",
    "Skewed",
    "SlowAnswers",
    "Trouble",
    "WritesFail",
]

ALWAYS = timedelta(days=10_000)


def _is_factor(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise StrategyError(
            f"{fields.where(instance, attribute)}: {value!r} is a multiple of the weight, "
            "such as 0.5"
        )


@attrs.frozen
class Trouble:
    """The beginning and the end of what goes wrong. Not a trouble by itself."""

    after: timedelta = attrs.field(default=timedelta(), validator=fields.is_span)
    lasting: timedelta = attrs.field(default=ALWAYS, validator=fields.is_span, kw_only=True)

    def now(self, since_start: timedelta) -> bool:
        """Is it going on?"""
        return self.after <= since_start < self.after + self.lasting


class RouterDown(Trouble):
    """The router can be neither read nor written."""


class WritesFail(Trouble):
    """The router can be read; every write is refused with a transient error."""


class LosesReplies(Trouble):
    """The router does what it is told, and the answer is lost: nobody knows whether it was done."""


@attrs.frozen
class Lags(Trouble):
    """The router says yes, and the traffic follows ``by`` later."""

    by: timedelta = attrs.field(
        default=timedelta(seconds=2), validator=fields.is_span, kw_only=True
    )


class HalfObeys(Trouble):
    """One of two parts of the router obeys: half of the traffic moves, and it says that its parts
    do not agree.
    """


@attrs.frozen
class Skewed(Trouble):
    """The router says that it splits as it was told, and the candidate gets ``by`` times its weight
    (at most all that stable has).
    """

    by: float = attrs.field(validator=_is_factor, kw_only=True)


class RouterForgets(Trouble):
    """Once: the router restarts from an old file, all traffic on stable, its marker gone."""


@attrs.frozen
class RouterEdited(Trouble):
    """Once: a stranger sets the candidate's weight."""

    to: Percent = attrs.field(validator=fields.is_a(Percent, "percent(40)"), kw_only=True)


class MetricsDown(Trouble):
    """The metrics can't be asked."""


class NotANumber(Trouble):
    """The metrics answer NaN."""


@attrs.frozen
class SeriesMissing(Trouble):
    """The metrics have no series for a track."""

    track: Track = attrs.field(default=Track.CANDIDATE, kw_only=True)


class CountersReset(Trouble):
    """Once: the processes restart, and what they counted since the last scrape is lost."""


@attrs.frozen
class SlowAnswers(Trouble):
    """Each look takes this long to come back, and the time that it was asked for is over by
    then.
    """

    by: timedelta = attrs.field(
        default=timedelta(seconds=20), validator=fields.is_span, kw_only=True
    )


@attrs.frozen
class NotReady(Trouble):
    """Some instances of a track are not ready: the fleet says that those which are can carry
    ``able`` of all of the service's traffic.

    How requests fare on them is the version's `Behaviour`;
    ``errors=Above(percent(30), 0.001, 0.2)`` is one that breaks under more.
    """

    track: Track = attrs.field(
        default=Track.CANDIDATE, kw_only=True, validator=fields.is_one_of(Track)
    )
    able: Percent = attrs.field(
        default=percent(30), validator=fields.is_a(Percent, "percent({})"), kw_only=True
    )


class AnswersTwice(Trouble):
    """Every answer of every port comes twice."""


def going_on(troubles: tuple[Trouble, ...], kind: type[Any], since_start: timedelta) -> Any:
    """The first trouble of this kind that is going on, or None."""
    return next(
        (trouble for trouble in troubles if isinstance(trouble, kind) and trouble.now(since_start)),
        None,
    )
