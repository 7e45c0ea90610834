"""Troubles around a rollout, as values, for `World` (``troubles=``).

``after`` counts from the start of the simulation; a trouble lasts from ``after`` to
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
    """The base of troubles: when one begins and how long it lasts. Not a trouble by itself."""

    after: timedelta = attrs.field(default=timedelta(), validator=fields.is_span)
    lasting: timedelta = attrs.field(default=ALWAYS, validator=fields.is_span, kw_only=True)

    def now(self, since_start: timedelta) -> bool:
        """Return whether it is going on, by the time since the start."""
        return self.after <= since_start < self.after + self.lasting


class RouterDown(Trouble):
    """The router can be neither read nor written."""


class WritesFail(Trouble):
    """The router can be read; every write is refused with a transient error."""


class LosesReplies(Trouble):
    """Writes are done, and their answers are lost: they fail as UNKNOWN."""


@attrs.frozen
class Lags(Trouble):
    """Writes are acknowledged, and the traffic follows ``by`` later."""

    by: timedelta = attrs.field(
        default=timedelta(seconds=2), validator=fields.is_span, kw_only=True
    )


class HalfObeys(Trouble):
    """One of two parts of the router obeys: half of the traffic moves, and a read shows that the
    parts have not converged.
    """


@attrs.frozen
class Skewed(Trouble):
    """The router reports the weights that it was asked for, and the candidate gets ``by`` times its
    weight (at most all that stable has).
    """

    by: float = attrs.field(validator=_is_factor, kw_only=True)


class RouterForgets(Trouble):
    """Once: the router restarts from an old file, all traffic on stable, its marker gone; so a
    rollout that had claimed it holds.
    """


@attrs.frozen
class RouterEdited(Trouble):
    """Once: somebody else sets the candidate's weight to ``to``."""

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
    """Once: the processes restart, and their counts since the last scrape are lost."""


@attrs.frozen
class SlowAnswers(Trouble):
    """Each look is answered ``by`` later."""

    by: timedelta = attrs.field(
        default=timedelta(seconds=20), validator=fields.is_span, kw_only=True
    )


@attrs.frozen
class NotReady(Trouble):
    """Some instances of a track are not ready: the fleet reports that the others can carry ``able``
    of all of the service's traffic.

    It changes no requests: that is the version's `Behaviour`, such as
    ``errors=Above(percent(30), 0.001, 0.2)`` for one that breaks under more.
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
    """Return the first trouble of this kind that is going on; None if there is none."""
    return next(
        (trouble for trouble in troubles if isinstance(trouble, kind) and trouble.now(since_start)),
        None,
    )
