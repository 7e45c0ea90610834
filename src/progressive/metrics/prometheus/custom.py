"""A query of a team's own, which answers one number for one version."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import attrs

from progressive.adapters.http import HttpFlow
from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.measurement import Gauge, Kind, Measurement, NoAnswer, NoData
from progressive.model.traffic import Track

from . import promql as promql
from .answers import number_of
from .asking import Asking
from .counting import Unusable
from .watching import Found

__all__ = ["PromQL"]


def _is_template(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    where = fields.where(instance, attribute)
    text = fields.a(
        str, value, where, "a query, such as 'sum(queue_depth{{version=\"{{backend}}\"}})'"
    )
    if problems := list(promql.Template(text).problems()):
        raise StrategyError([f"{where}: {problem}" for problem in problems])


@attrs.frozen
class PromQL:
    """A query of your own, which answers one number for one version:
    ``PromQL('max(queue_depth{version="{backend}"})')``.

    For metrics of kind value. ``{backend}``, ``{version}`` and ``{service}`` stand within quotes
    and are escaped there; ``{window}`` is the length of the window as a duration, such as in
    ``rate(...[{window}])``. It is evaluated at the window's end. Errors and latencies are better
    counted, with `Ratio` and `Buckets`: what ``rate()`` extrapolates is no count, and no test can
    be made of it.

    A comparison is a filter in PromQL, so write ``> bool 0.01`` and not ``> 0.01``. What was not
    scraped for three intervals is not there: a series that ends without a mark would go on to
    answer its last value for five minutes.
    """

    kind: ClassVar[Kind] = Kind.VALUE

    query: str = attrs.field(validator=_is_template)

    @property
    def text(self) -> str:
        """The query, with placeholders."""
        return self.query

    def look(self, asking: Asking) -> HttpFlow[Found]:
        """Ask for every version."""
        template, measured = promql.Template(self.query), dict[Track, Measurement]()
        for track, version in asking.versions.items():
            query = template.fill(asking.names(version), max(asking.end - asking.start, 1))
            try:
                measured[track] = _gauge(
                    number_of((yield from asking.ask(query, asking.end, fresh=True)))
                )
            except Unusable as why:
                measured[track] = NoAnswer(str(why))
        return Found(measured=measured, end=asking.end)


def _gauge(number: float | None) -> Measurement:
    if number is None:
        return NoData("the query found nothing (an empty result)")
    if math.isnan(number):
        return NoData("the query answers NaN, which is no number (nothing divided by nothing?)")
    if math.isinf(number):
        return NoData(
            f"the query answers {number:+}, which is no number (something divided by nothing?)"
        )
    return Gauge(samples=(number,))
