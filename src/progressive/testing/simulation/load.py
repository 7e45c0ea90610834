"""An ordinary day of a service, from which healthy and worse worlds are made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import attrs

from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.measurement import Bad, Kind, Metric
from progressive.model.units import Percent, percent
from progressive.testing.doubles import EPOCH

from .curves import CurveLike, SimTime, is_number, load_at, number, scaled
from .service import Behaviour, Users, World

__all__ = ["Load"]


@attrs.frozen
class Load:
    """The requests and the behaviour of a service on an ordinary day: ``Load(rps=50)``.

    * ``rps``: requests a second to the whole service, a number or a curve (`Daily`).
    * ``usual``: the behaviour of stable, and of a healthy candidate.
    * ``users``: those who send the requests.
    * ``matched``: the share of them with a header or cookie that a traffic matches (see `World`).
    * ``start``: the time at which the rollout begins, for curves that depend on the clock.
    """

    rps: CurveLike = attrs.field(converter=number, validator=is_number)
    usual: Behaviour = attrs.field(
        default=Behaviour(), kw_only=True, validator=fields.is_a(Behaviour, "Behaviour(...)")
    )
    users: Users = attrs.field(default=Users(), kw_only=True)
    matched: Percent = attrs.field(
        default=percent(1), kw_only=True, validator=fields.is_a(Percent, "percent({})")
    )
    start: datetime = attrs.field(
        default=EPOCH, kw_only=True, converter=fields.utc, validator=fields.is_moment
    )

    def world(self, metrics: Sequence[Metric] = (), *, times: float = 1.0) -> World:
        """Make the world in which each of ``metrics`` is ``times`` as bad on the candidate as on
        stable. It can be given to `simulate_many` too.

        Metrics that show the same thing (two latencies, two rates of failure) make it worse once.
        Raises `StrategyError` if it would have to rise and to fall.
        """
        candidate, known = self.usual, dict[tuple[str, str], Metric]()
        for metric in metrics:
            first = known.setdefault(_shows(self.usual, metric), metric)
            if first is metric:
                candidate = _worse(candidate, metric, times)
            elif (first.bad is Bad.DOWN) is not (metric.bad is Bad.DOWN):
                raise StrategyError(
                    f"metrics {first.name!r} and {metric.name!r} show the same of a "
                    "version, and one is bad when it rises, the other when it "
                    "falls; give one of them numbers of its own: "
                    f"Behaviour(ratios={{{metric.name!r}: ...}}) for a ratio"
                )
        return World(
            load=self.rps,
            stable=self.usual,
            candidate=candidate,
            users=self.users,
            matched=self.matched,
            start=self.start,
        )

    @property
    def steady(self) -> bool:
        """Whether the load is the same at all times."""
        return isinstance(self.rps, float)

    @property
    def at_start(self) -> float:
        """Requests a second when the rollout begins."""
        return load_at(
            self.rps, SimTime(age=timedelta(), clock=self.start, load=0.0, share=1.0), "Load.rps"
        )


def _shows(behaviour: Behaviour, metric: Metric) -> tuple[str, str]:
    """Return what a metric shows of a version; metrics with equal answers show the same thing."""
    own = metric.kind is Kind.VALUE or (
        metric.kind is Kind.RATIO and behaviour.ratio(metric.name) is not None
    )
    return metric.kind.value, metric.name if own else ""


def _worse(behaviour: Behaviour, metric: Metric, times: float) -> Behaviour:
    factor = 1 / times if metric.bad is Bad.DOWN else times
    match metric.kind:
        case Kind.RATIO if behaviour.ratio(metric.name) is None:
            return attrs.evolve(behaviour, errors=scaled(behaviour.errors, factor, most=1.0))
        case Kind.RATIO:
            return attrs.evolve(
                behaviour, ratios=_one_scaled(behaviour.ratios, metric.name, factor, most=1.0)
            )
        case Kind.LATENCY:
            latency = behaviour.latency
            return attrs.evolve(
                behaviour, latency=attrs.evolve(latency, slower=scaled(latency.slower, factor))
            )
        case Kind.MEAN:
            return attrs.evolve(behaviour, value=scaled(behaviour.value, factor))
        case Kind.VALUE:
            return attrs.evolve(
                behaviour, levels=_one_scaled(behaviour.levels, metric.name, factor)
            )


def _one_scaled(
    pairs: tuple[tuple[str, CurveLike], ...], name: str, factor: float, *, most: float = math.inf
) -> Mapping[str, CurveLike]:
    return {
        each: scaled(value, factor, most=most) if each == name else value for each, value in pairs
    }
