"""What a strategy can and can't see, before anything is released: how long it takes, whom it
exposes, what each check would catch.

`explain` answers for a healthy version and for regressions of several sizes. Its figures are of
simulated looks, as the engine would take and judge them, and come with the interval of the
simulation; `simulate_many` in the same world agrees.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from functools import cached_property
from textwrap import wrap

import attrs

from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.traffic import Track
from progressive.model.units import Percent, format_duration
from progressive.plan.plan import Strategy
from progressive.strategies.describe import describe

from .advice import advice
from .load import Load
from .many import Proportion
from .power import Power, power_of
from .service import met

__all__ = ["Detectability", "Explained", "Explanation", "explain"]

REGRESSIONS = (2.0, 3.0, 5.0, 10.0, 20.0, 50.0)
"""Times worse than usual: close enough together that what lies between is read off a line."""

WIDTH = 92
"""Characters in a line of a warning: what a page and a log show without scrolling."""


@attrs.frozen(kw_only=True)
class Detectability:
    """What one check sees up to the end of one step, of a regression that is there from the
    candidate's first request.

    ``caught``: by how many times worse, how often it has failed by then, which takes the rollout
    back or holds it. ``here``: how often in this very step, of the runs in which it had not before.
    ``dormant``: it can't judge in this traffic. ``observes``: that it fails is noted, and stops
    nothing.
    """

    check: str
    caught: tuple[tuple[float, Proportion], ...]
    here: tuple[tuple[float, Proportion], ...]
    dormant: bool = False
    observes: bool = False

    def chance(self, times: float) -> Proportion:
        """How often a version that is ``times`` as bad as usual is caught by the end of this step;
        1 is a healthy one: a false alarm.
        """
        for known, often in self.caught:
            if known == times:
                return often
        raise StrategyError(
            f"chance({times!r}): these were asked: {[known for known, _ in self.caught]}; "
            f"use regressions=[{times!r}, ...]"
        )

    def smallest(self, chance: float = 0.9) -> float | None:
        """The smallest regression, in times worse than usual, that is caught with ``chance`` (above
        0, at most 1) by the end of this step; None if not even the largest that was asked for is.
        What lies between two that were asked for is read off a straight line; below the least of
        them nobody knows, and it is given itself.
        """
        if not 0 < chance <= 1:
            raise StrategyError(f"smallest({chance!r}): a chance is above 0 and at most 1; use 0.9")
        before: tuple[float, Proportion] | None = None
        for times, often in self.caught[1:]:
            if often.share >= chance:
                if before is None or often.share <= before[1].share:
                    return times
                return before[0] + (times - before[0]) * (chance - before[1].share) / (
                    often.share - before[1].share
                )
            before = (times, often)
        return None


@attrs.frozen(kw_only=True)
class Explained:
    """One step: ``earliest`` and ``latest`` end, counted from the start, as `describe` says them;
    ``usual``, how long it takes a healthy version.

    ``requests``: the candidate's in this step. ``users``: distinct ones who have met it by the end.
    Both for a healthy version. ``stuck``: how often a healthy version does not get past it.
    """

    step: str
    share: Percent
    earliest: timedelta
    latest: timedelta
    usual: timedelta
    requests: int
    users: int
    stuck: Proportion
    sights: tuple[Detectability, ...]

    def sight(self, check: str) -> Detectability:
        """What ``check`` (its name as in the notes, ``analysis/check``, or the check's own part of
        it) sees here.
        """
        found = [
            sight for sight in self.sights if check in (sight.check, sight.check.rpartition("/")[2])
        ]
        if len(found) == 1:
            return found[0]
        if found:
            raise StrategyError(
                f"sight({check!r}): step {self.step!r} has "
                f"{[sight.check for sight in found]}; say which"
            )
        raise StrategyError(
            f"sight({check!r}): step {self.step!r} has "
            f"{[sight.check for sight in self.sights] or 'no check'}"
        )


@attrs.frozen(kw_only=True, repr=False)
class Explanation:
    """What a strategy can and can't see. ``str()`` is a table with its warnings.

    ``false_alarm``: how often a check stops a healthy version (takes it back or holds it), over the
    whole rollout. ``promoted``: how often it gets to the end. ``usual``: how long it takes then,
    None if it never does; the preflight comes before it.
    """

    strategy: str
    load: Load
    steps: tuple[Explained, ...]
    false_alarm: Proportion
    promoted: Proportion
    usual: timedelta | None
    warnings: tuple[str, ...]

    def step(self, name: str) -> Explained:
        """One step, by its name."""
        for each in self.steps:
            if each.step == name:
                return each
        raise StrategyError(f"step({name!r}): there are {[each.step for each in self.steps]}")

    @cached_property
    def _names(self) -> dict[str, str]:
        """Checks as short as they can be told apart."""
        keys = {sight.check for each in self.steps for sight in each.sights}
        short = [key.rpartition("/")[2] for key in sorted(keys)]
        return {
            key: key if short.count(key.rpartition("/")[2]) > 1 else key.rpartition("/")[2]
            for key in sorted(keys)
        }

    def _named(self, sight: Detectability) -> str:
        return f"{self._names[sight.check]}{' (observes)' if sight.observes else ''}"

    @cached_property
    def _times(self) -> tuple[float, ...]:
        known = [
            times for each in self.steps for sight in each.sights[:1] for times, _ in sight.caught
        ]
        return tuple(times for times in (2.0, 5.0, 20.0) if times in known)

    def __str__(self) -> str:
        took = "" if self.usual is None else f", in {format_duration(self.usual)}"
        head = (
            f"{self.strategy} at {self.load.at_start:g} "
            f"rps{'' if self.load.steady else ' in the beginning'}: "
        )
        head += f"a healthy version is promoted {self.promoted}{took}"
        alarm = f"a check stops it {self.false_alarm}"
        columns = (
            "step",
            "share",
            "earliest",
            "usual",
            "latest",
            "requests",
            "users",
            "check",
            "90 % at",
            *(f"x{times:g}" for times in self._times),
        )
        rows: list[tuple[str, ...]] = [columns]
        for each in self.steps:
            if each.usual:
                rows += self._rows(each)
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        warnings = [
            line
            for warning in self.warnings
            for line in wrap(warning, WIDTH, initial_indent="! ", subsequent_indent="  ")
        ]
        return "\n".join([head, alarm, "", *lines, *(["", *warnings] if warnings else [])])

    def _rows(self, each: Explained) -> Iterator[tuple[str, ...]]:
        times = (
            format_duration(each.earliest),
            f"+{format_duration(each.usual)}",
            format_duration(each.latest),
        )
        first: tuple[str, ...] = (
            each.step,
            str(each.share),
            *times,
            f"{each.requests:,}",
            f"{each.users:,}",
        )
        for sight in each.sights or (None,):
            if sight is None:
                seen: tuple[str, ...] = ("-", "", *("" for _ in self._times))
            elif sight.dormant:
                seen = (self._named(sight), "dormant", *("" for _ in self._times))
            else:
                smallest = sight.smallest()
                chances = (
                    f"{sight.chance(times).share:.0%}".replace("%", " %") for times in self._times
                )
                seen = (
                    self._named(sight),
                    "none" if smallest is None else f"x{smallest:.2g}",
                    *chances,
                )
            yield (*first, *seen)
            first = ("",) * len(first)

    __repr__ = __str__


def explain(
    strategy: Strategy,
    load: Load,
    *,
    regressions: Sequence[float] = REGRESSIONS,
    runs: int = 200,
    seed: object = 0,
) -> Explanation:
    """What ``strategy`` can and can't see at ``load``; some seconds for a plan of an hour.

    A regression makes the metric of each check as many times worse (errors more often, requests
    slower, baskets smaller) from the candidate's first request. ``regressions``: each above 1.
    ``runs``: simulated for each of them; 200 know a chance of 90 % to 4 points, four times as many
    to 2. The router obeys, people answer at once, hooks say go. Raises `StrategyError` where the
    load lacks what the strategy measures.
    """
    if not isinstance(regressions, Iterable) or not (regressions := tuple(regressions)):
        raise StrategyError(
            f"explain(regressions=): {regressions!r} names none; use a list of numbers "
            "above 1, such as [2, 5, 20]"
        )
    wrong = [
        times
        for times in regressions
        if isinstance(times, bool)
        or not isinstance(times, int | float)
        or not 1 < times < float("inf")
    ]
    if wrong:
        raise StrategyError(
            f"explain(regressions=): {wrong[0]!r} is not worse than usual; use numbers "
            "above 1, such as 2"
        )
    fields.whole(runs, "explain(runs=)", least=1)
    plan = strategy.plan
    load.world().measures(plan.metrics)
    power = power_of(
        plan, load, (1.0, *sorted({float(times) for times in regressions})), runs, seed
    )
    return Explanation(
        strategy=plan.strategy,
        load=load,
        steps=tuple(_explained(power)),
        false_alarm=power.alarms,
        promoted=power.through,
        usual=power.whole,
        warnings=tuple(advice(power)),
    )


def _explained(power: Power) -> Iterator[Explained]:
    for i, (step, users) in enumerate(zip(describe(power.plan).steps, _users(power), strict=True)):
        yield Explained(
            step=step.step,
            share=step.traffic.candidate,
            earliest=step.earliest,
            latest=step.latest,
            usual=power.usual(i),
            requests=power.requests(i),
            users=users,
            stuck=power.stuck(i),
            sights=tuple(_sights(power, i, step.judged, step.dormant)),
        )


def _users(power: Power) -> Iterator[int]:
    """By the end of each step: those with a header or cookie, while it decides, and the others."""
    users, world = power.load.users, power.load.world()
    carrying = others = 0.0
    for i, traffic in enumerate(power.plan.traffics):
        part, requests = world.parts(traffic)[Track.CANDIDATE], power.requests(i)
        known = carrying + others
        carrying = (carrying or known * part.matched) if part.matched else 0.0
        others = known - carrying
        matched = round(requests * part.matched / part.users) if part.matched else 0
        if part.matched:
            carrying = met(carrying, matched, users.carrying(part.matched))
        others = met(others, requests - matched, users.group(part.weight, part.matched))
        yield min(users.count, round(carrying + others))


def _sights(
    power: Power, step: int, judged: Sequence[str], dormant: Sequence[str]
) -> Iterator[Detectability]:
    for key in (*judged, *dormant):
        c = power.plan.keys.index(key)
        yield Detectability(
            check=key,
            caught=tuple((times, power.caught(c, step, times)) for times in power.times),
            here=tuple((times, power.caught_here(c, step, times)) for times in power.times),
            dormant=key in dormant,
            observes=power.plan.checks[c].check.observe,
        )
