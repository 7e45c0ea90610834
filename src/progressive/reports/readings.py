"""What a judgement measured, between which bounds, and what it was held against: read from its
numbers, with the limits that the plan's check has.

Checks name their numbers; what is shown of one is a row of a table, so a check of your own that has
numbers with these names is shown like the library's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

import attrs

from progressive.analysis.contract import Check
from progressive.analysis.kayenta import Kayenta
from progressive.analysis.limit import Limit
from progressive.model.measurement import Bad, Kind
from progressive.model.units import Percent, Times

__all__ = ["Quantity", "Reading", "proof", "reading"]

Numbers = Mapping[str, float]

Limits = Callable[[Numbers, Check | None], tuple[float, ...]]


@attrs.frozen(kw_only=True)
class Quantity:
    """What is shown of a check.

    * ``what``: what it is, for a title.
    * ``write``: writes one value with its unit.
    * ``multiple``: whether it is a multiple, which is drawn on a scale where twice and half are
      equally far from 1.
    """

    what: str
    write: Callable[[float], str]
    multiple: bool = False


@attrs.frozen(kw_only=True)
class Reading:
    """What one judgement says in numbers.

    * ``low``, ``high``: the bounds of ``value``, where it has some.
    * ``limits``: what it is held against; none if that is not known.
    * ``beside``: the control's value, where it is one of the same kind.
    """

    quantity: Quantity
    value: float
    low: float | None = None
    high: float | None = None
    limits: tuple[float, ...] = ()
    beside: float | None = None

    def __str__(self) -> str:
        write = self.quantity.write
        said = write(self.value)
        if self.low is not None or self.high is not None:
            low = "" if self.low is None else write(self.low)
            high = "" if self.high is None else write(self.high)
            said += f" ({low} to {high})" if low and high else f" ({low or high})"
        return said


# -------------------------------------------------------------------------------- how it is written


def digits(value: float) -> str:
    """Write three significant digits of a number, or all before the point: ``0.0123``, ``12,345``.

    Smaller ones than a billionth are 0; exponents are for numbers that nobody can read otherwise.
    """
    if abs(value) >= 1e15:
        return f"{value:.3g}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    said = f"{float(f'{value:.3g}'):.9f}".rstrip("0").rstrip(".")
    return "0" if said == "-0" else said


def percentage(value: float) -> str:
    """Write a share: ``0.25 %``."""
    return f"{digits(value * 100)} %"


def manifold(value: float) -> str:
    """Write a multiple, such as 1.5 with the sign of times."""
    return f"{digits(value)} \u00d7"


def duration(value: float) -> str:
    """Write seconds: ``250 ms``, ``1.2 s``."""
    return f"{digits(value * 1000)} ms" if abs(value) < 1 else f"{digits(value)} s"


def number_of(bound: object) -> float | None:
    """Return a bound of a `Limit` as the numbers of its judgements are: a fraction, seconds, or
    itself.
    """
    if isinstance(bound, Percent):
        return bound.fraction
    if isinstance(bound, timedelta):
        return bound.total_seconds()
    return float(bound) if isinstance(bound, int | float) else None


# -------------------------------------------------------------------------- what it is held against


def no_limit(numbers: Numbers, check: Check | None) -> tuple[float, ...]:
    """Nothing is known to hold it against."""
    return ()


def of_zero(numbers: Numbers, check: Check | None) -> tuple[float, ...]:
    """A difference is held against none."""
    return (0.0,)


def of_margin(numbers: Numbers, check: Check | None) -> tuple[float, ...]:
    """A ratio of rates is held against the margin, on the side that is harm.

    Of a latency the margin is one of time, and the rates are those of requests that slow: it is in
    the ratio already.
    """
    metric = None if check is None else check.metric
    if metric is None or metric.kind is Kind.LATENCY:
        return (1.0,)
    margin = float(getattr(check, "margin", 1.0))
    sides = {Bad.UP: (margin,), Bad.DOWN: (1 / margin,), Bad.BOTH: (1 / margin, margin)}
    return tuple(dict.fromkeys(sides[metric.bad]))


def of_limit(numbers: Numbers, check: Check | None) -> tuple[float, ...]:
    """A value is held against the bounds of its `Limit`; of a tested latency, the part of the
    requests that may be slower.
    """
    if not isinstance(check, Limit):
        return ()
    if check.quantile is not None and check.excluded:
        return (1 - check.quantile if check.at_most is not None else check.quantile,)
    limits = []
    for bound, outer in ((check.at_most, max), (check.at_least, min)):
        limit = number_of(bound)
        if isinstance(bound, Times) and "stable" in numbers:
            limit = bound.factor * numbers["stable"]
            floor = number_of(bound.floor)
            limit = limit if floor is None else outer(limit, floor)
        if limit is not None and math.isfinite(limit):
            limits.append(limit)
    return tuple(limits)


def of_scores(numbers: Numbers, check: Check | None) -> tuple[float, ...]:
    """A score is held against those of the canary config."""
    if not isinstance(check, Kayenta):
        return ()
    return (check.config.marginal_score, check.config.pass_score)


def of_share(numbers: Numbers, check: Check | None) -> tuple[float, ...]:
    """A share of the requests is held against the one that was asked for."""
    return (numbers["share_asked"],) if "share_asked" in numbers else ()


# ---------------------------------------------------------------------------------------- the table


@attrs.frozen
class _Row:
    """Where a reading is in the numbers of a judgement."""

    value: str
    quantity: Callable[[Check | None], Quantity]
    limits: Limits
    low: str = ""
    high: str = ""
    beside: str = ""


def _always(
    what: str, write: Callable[[float], str], *, multiple: bool = False
) -> Callable[[Check | None], Quantity]:
    quantity = Quantity(what=what, write=write, multiple=multiple)
    return lambda check: quantity


_SHARE = Quantity(what="share of the requests", write=percentage)


def _own(check: Check | None) -> Quantity:
    """Return what the value of a `Limit` is: by its metric, and by how it is judged."""
    if check is None:
        return Quantity(what="value", write=digits)
    metric = check.metric
    if metric.kind is Kind.LATENCY:
        if isinstance(check, Limit) and check.excluded:
            bound = check.at_most if check.at_most is not None else check.at_least
            way, at = ("above" if check.at_most is not None else "below"), number_of(bound)
            time = "the bound" if at is None else duration(at)
            return attrs.evolve(_SHARE, what=f"share of the requests {way} {time}")
        return Quantity(what=f"{metric.name}", write=duration)
    if metric.kind is Kind.RATIO:
        return attrs.evolve(_SHARE, what=metric.name)
    unit = f" {metric.unit}" if metric.unit else ""
    return Quantity(what=metric.name, write=lambda value: f"{digits(value)}{unit}")


_ROWS: Final = (
    _Row(
        "ratio",
        _always("times the control's rate", manifold, multiple=True),
        of_margin,
        low="ratio_low",
        high="ratio_high",
    ),
    _Row(
        "difference",
        _always("difference from what is tolerated", digits),
        of_zero,
        low="difference_low",
        high="difference_high",
    ),
    _Row(
        "shift",
        _always("shift against the control", digits),
        of_zero,
        low="shift_low",
        high="shift_high",
    ),
    _Row("share", _always("share of the requests", percentage), of_share),
    _Row("score", _always("score", digits), of_scores),
    _Row("candidate_level", _own, no_limit, beside="control_level"),
    _Row("candidate", _own, of_limit, beside="stable"),
)


def reading(numbers: Numbers, check: Check | None) -> Reading | None:
    """Return what is shown of a judgement; None if none of its numbers is known.

    ``check``: the plan's; None if that is not known, and limits that stand in it are not either.
    """
    for row in _ROWS:
        if row.value in numbers:
            return Reading(
                quantity=row.quantity(check),
                value=numbers[row.value],
                low=numbers.get(row.low),
                high=numbers.get(row.high),
                limits=row.limits(numbers, check),
                beside=numbers.get(row.beside),
            )
    return None


def proof(numbers: Numbers) -> str:
    """Say how much of what is needed for a verdict there is; empty if the check has none of it."""
    needed = (("log_evidence", "alpha", "harm"), ("log_acceptance", "beta", "health"))
    said = [
        f"{_part(numbers[evidence], numbers[chance])} of a proof of {what}"
        for evidence, chance, what in (*needed, ("log_exclusion", "beta", "health"))
        if evidence in numbers and 0 < numbers.get(chance, 0.0) < 1
    ]
    return ", ".join(said)


def _part(nats: float, chance: float) -> str:
    part = min(1.0, max(0.0, nats) / -math.log(chance))
    return f"{math.floor(part * 100)} %"
