"""Describe a plan before it runs: its steps, their times, and the checks that can judge them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import attrs

from progressive.model.traffic import Track, Traffic
from progressive.model.units import format_duration
from progressive.plan.plan import Plan
from progressive.plan.step import Deadline

__all__ = ["Described", "Description", "describe"]

WIDEST: Final = 160
"""Characters of a line of a description; where it would be longer, checks are called by numbers."""


@attrs.frozen(kw_only=True)
class Described:
    """One step of a description.

    * ``earliest``, ``latest``: when it can end, counted from the start.
    * ``otherwise``: the action if it is late.
    * ``judged``, ``dormant``: the checks that can and can't judge in it.
    """

    step: str
    traffic: Traffic
    earliest: timedelta
    latest: timedelta
    otherwise: str
    judged: tuple[str, ...]
    dormant: tuple[str, ...]


@attrs.frozen(kw_only=True, repr=False)
class Description:
    """The description of a plan; ``str()`` is a table.

    ``latest`` does not include the time in which the clock stops: freezes and a person's holds.
    ``stay``: the longest time for which users stay on a version.
    """

    strategy: str
    preflight: timedelta
    steps: tuple[Described, ...]
    gates: tuple[str, ...]
    earliest: timedelta
    latest: timedelta
    then: str
    stay: timedelta | None = None

    def __str__(self) -> str:
        checks = dict.fromkeys(key for each in self.steps for key in (*each.judged, *each.dormant))
        lines = self._table({key: key for key in checks})
        if max(map(len, lines)) > WIDEST:
            numbers = {key: str(n) for n, key in enumerate(checks, start=1)}
            lines = self._table(numbers)
            lines += [f"  {number}: {key}" for key, number in numbers.items()]
        gates = f"; before every raise: {', '.join(self.gates)}" if self.gates else ""
        when = f"promoted after {format_duration(self.earliest)} to {format_duration(self.latest)}"
        head = (
            f"{self.strategy}: preflight within {format_duration(self.preflight)}, "
            f"{when}{gates}; {self.then}"
        )
        if self.stay is not None:
            lines.append(
                f"  users stay on the version that answered first, for {format_duration(self.stay)}"
                "; where they do by a cookie of the router's own, a lower weight moves only those "
                "who are new: a way back ends it"
            )
        return "\n".join([head, *lines])

    __repr__ = __str__

    def _table(self, names: Mapping[str, str]) -> list[str]:
        """Return a line for each step; ``names``: what checks are called in it."""
        rows = [("step", "candidate", "earliest", "latest", "if late", "judged by", "dormant")]
        rows += [
            (
                each.step,
                str(each.traffic.candidate),
                format_duration(each.earliest),
                format_duration(each.latest),
                each.otherwise,
                ", ".join(names[key] for key in each.judged) or "-",
                ", ".join(names[key] for key in each.dormant) or "-",
            )
            for each in self.steps
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        return [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]


def describe(plan: Plan) -> Description:
    """Describe every step of ``plan``.

    The latest times are sums of the steps' deadlines, cut at the deadline of the whole.
    """
    earliest, latest, described = timedelta(), plan.preflight, []
    for i, (step, traffic) in enumerate(zip(plan.steps, plan.traffics, strict=True)):
        deadline = step.deadline or Deadline(within=step.span + timedelta(hours=1))
        earliest += step.span
        latest += deadline.within
        judged: list[str] = []
        dormant: list[str] = []
        for series in plan.active(i, traffic.reaches(Track.CANDIDATE)):
            synthetic = series.analysis.synthetic
            for planned in series.checks:
                if planned.key in (*judged, *dormant):
                    continue  # it has several metrics
                able = all(
                    traffic.reaches(track) or (synthetic and track is Track.CANDIDATE)
                    for track in planned.check.required_tracks
                )
                (judged if able else dormant).append(planned.key)
        described.append(
            Described(
                step=step.id,
                traffic=traffic,
                earliest=earliest,
                latest=min(latest, plan.preflight + plan.deadline.within),
                otherwise=deadline.then.value.replace("_", " "),
                judged=tuple(judged),
                dormant=tuple(dormant),
            )
        )
    return Description(
        strategy=plan.strategy,
        preflight=plan.preflight,
        steps=tuple(described),
        gates=plan.gates,
        earliest=earliest,
        latest=min(latest, plan.preflight + plan.deadline.within),
        then=_then(plan),
        stay=max(filter(None, (traffic.sticky for traffic in plan.traffics)), default=None),
    )


def _then(plan: Plan) -> str:
    """Return what becomes of the version without traffic, after either end."""
    old, bad = plan.retire_after, plan.remove_candidate_after
    then = (
        "the old version stays"
        if old is None
        else f"the old version is removed after {format_duration(old)}"
    )
    if bad is None:
        return then
    return f"{then}; after a way back the candidate is removed after {format_duration(bad)}"
