"""Explain a strategy before anything is released: how long it takes, how many users it exposes,
which regressions each check would catch.

`explain` answers for a healthy version and for regressions of several sizes. Its figures are of
simulated looks, taken and judged as by the engine, and come with the confidence interval of the
simulation; `simulate_many` in the same world agrees.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from functools import cached_property
from textwrap import wrap

import attrs

from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.traffic import Track
from progressive.model.units import Percent, format_duration
from progressive.plan.plan import Strategy, plan_of
from progressive.strategies.describe import describe

from .advice import advice
from .load import Load
from .many import Proportion
from .mend import Mend, mend
from .power import Power, power_of
from .service import World, met

__all__ = ["Detectability", "Excluded", "Explained", "Explanation", "explain"]

REGRESSIONS = (2.0, 3.0, 5.0, 10.0, 20.0, 50.0)
"""Times worse than usual: close enough together for linear interpolation between them."""

SHOWN = (2.0, 5.0, 20.0)
"""The regressions that have a column where many were asked for."""

COLUMNS = 3
"""The most regressions that have one without being among those."""

ANY = "any check"
"""The name of all checks that stop something, together."""

WIDTH = 92
"""Characters in a line of a warning: what a page and a log show without scrolling."""


@attrs.frozen(kw_only=True)
class Detectability:
    """The regressions that one check detects by the end of one step, of its own metric and nothing
    else; or any check, of all metrics together. They begin with the candidate's first request.

    * ``check``: its name as in the notes, ``analysis/check``; `ANY` for all of them.
    * ``caught``: pairs of how many times worse, and how often the check has failed by then, which
      holds the rollout or rolls it back.
    * ``here``: the same for failing in this very step, of the runs in which it had not before.
    * ``dormant``: whether it can't judge in this traffic.
    * ``observes``: whether its failures are only noted and stop nothing.
    """

    check: str
    caught: tuple[tuple[float, Proportion], ...]
    here: tuple[tuple[float, Proportion], ...]
    dormant: bool = False
    observes: bool = False

    def chance(self, times: float) -> Proportion:
        """Return how often a version that is ``times`` as bad as usual is caught by the end of this
        step. 1 is a healthy version: a false alarm.

        Raises `StrategyError` for a regression that was not asked for.
        """
        for known, often in self.caught:
            if known == times:
                return often
        raise StrategyError(
            f"chance({times!r}): these were asked: {[known for known, _ in self.caught]}; "
            f"use regressions=[{times!r}, ...]"
        )

    def smallest(self, chance: float = 0.9) -> float | None:
        """Return the smallest regression, in times worse than usual, that is caught with ``chance``
        by the end of this step; None if not even the largest that was asked for is.

        ``chance`` is above 0 and at most 1. Between two regressions that were asked for it is
        interpolated; below the smallest of them it is not known, and the smallest is returned.
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
class Excluded:
    """What a tested bound excludes before a weight is passed, and how long that takes.

    * ``what``: such as "5 %", or "5 % above 400 ms".
    * ``requests``: in the mean for a version at half the bound.
    * ``takes``: for each step with production traffic, its name and the time in which the candidate
      gets so many at its usual traffic.
    """

    check: str
    what: str
    requests: int
    takes: tuple[tuple[str, timedelta], ...]


@attrs.frozen(kw_only=True)
class Explained:
    """The figures of one step.

    * ``earliest``, ``latest``: its end, counted from the start, as in `describe`.
    * ``usual``: how long it takes a healthy version.
    * ``requests``: those of a healthy candidate in this step.
    * ``users``: distinct ones who have met a healthy candidate by its end.
    * ``stuck``: how often a healthy version does not get past it.
    * ``sights``: what each check detects in it, of its own metric alone.
    * ``together``: how often any check stops a version of which all metrics are worse at once; None
      if no check of the plan stops anything.
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
    together: Detectability | None = None

    def sight(self, check: str) -> Detectability:
        """Return what one check detects in this step.

        ``check`` is its name as in the notes, ``analysis/check``, or the part after the ``/``.
        Raises `StrategyError` if the step has no such check, or several.
        """
        matching = [
            sight for sight in self.sights if check in (sight.check, sight.check.rpartition("/")[2])
        ]
        if len(matching) == 1:
            return matching[0]
        if matching:
            raise StrategyError(
                f"sight({check!r}): step {self.step!r} has "
                f"{[sight.check for sight in matching]}; say which"
            )
        raise StrategyError(
            f"sight({check!r}): step {self.step!r} has "
            f"{[sight.check for sight in self.sights] or 'no check'}"
        )


@attrs.frozen(kw_only=True, repr=False)
class Explanation:
    """The figures of a strategy at a load. ``str()`` is a table with its warnings.

    * ``false_alarm``: how often a check rolls back or holds a healthy version, over the whole
      rollout.
    * ``promoted``: how often a healthy version is promoted.
    * ``usual``: how long that takes, without the preflight; None if it never is.
    * ``excluded``: what its tested bounds exclude, and how long that takes.
    * ``mend``: the change with which it sees what ``find=`` asked for; None if nothing was asked
      for, or nothing that was tried sees it.
    """

    strategy: str
    load: Load
    steps: tuple[Explained, ...]
    false_alarm: Proportion
    promoted: Proportion
    usual: timedelta | None
    warnings: tuple[str, ...]
    excluded: tuple[Excluded, ...] = ()
    mend: Mend | None = None

    def step(self, name: str) -> Explained:
        """Return one step by its name. Raises `StrategyError` if there is none of that name."""
        for each in self.steps:
            if each.step == name:
                return each
        raise StrategyError(f"step({name!r}): there are {[each.step for each in self.steps]}")

    @cached_property
    def _names(self) -> dict[str, str]:
        """The shortest names of the checks that are different."""
        keys = {sight.check for each in self.steps for sight in each.sights}
        short = [key.rpartition("/")[2] for key in sorted(keys)]
        return {
            key: key if short.count(key.rpartition("/")[2]) > 1 else key.rpartition("/")[2]
            for key in sorted(keys)
        }

    def _named(self, sight: Detectability) -> str:
        name = self._names.get(sight.check, sight.check)
        return f"{name}{' (observes)' if sight.observes else ''}"

    @cached_property
    def _times(self) -> tuple[float, ...]:
        """The regressions that have a column: all that were asked for, if they are few."""
        known = [
            times for each in self.steps for sight in each.sights[:1] for times, _ in sight.caught
        ]
        asked = tuple(times for times in dict.fromkeys(known) if times != 1.0)
        if len(asked) <= COLUMNS:
            return asked
        return tuple(times for times in SHOWN if times in asked) or asked[:COLUMNS]

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
        lines = aligned(rows)
        if self.excluded:
            lines += ["", *aligned(self._excluded_rows())]
        warnings = [
            line
            for warning in self.warnings
            for line in wrap(warning, WIDTH, initial_indent="! ", subsequent_indent="  ")
        ]
        mended = ["", str(self.mend)] if self.mend is not None else []
        warned = ["", *warnings] if warnings else []
        return "\n".join([head, alarm, "", *lines, *warned, *mended])

    def _excluded_rows(self) -> list[tuple[str, ...]]:
        """The table of what is excluded; a row for each bound, a column for each step."""
        steps = [step for step, _ in self.excluded[0].takes]
        return [
            ("to pass", "it excludes", "requests", *steps),
            *(
                (
                    self._names.get(each.check, each.check),
                    each.what,
                    f"{each.requests:,}",
                    *(format_duration(took) for _, took in each.takes),
                )
                for each in self.excluded
            ),
        ]

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
        sights = [*each.sights]
        if each.together is not None and len(self._names) > 1:
            sights.append(each.together)
        for sight in sights or (None,):
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


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows of cells as lines with columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _require_load(load: object) -> None:
    if not isinstance(load, Load):
        rps = load.load if isinstance(load, World) else load
        raise StrategyError(
            f"explain(load): {fields.brief(load)} is no Load; write Load({fields.brief(rps)}), in "
            "requests a second"
        )


def explain(
    strategy: Strategy,
    load: Load,
    *,
    regressions: Sequence[float] = REGRESSIONS,
    find: float | None = None,
    runs: int = 200,
    seed: object = 0,
    progress: Callable[[Explanation], None] | None = None,
) -> Explanation:
    """Explain which regressions ``strategy`` detects at ``load``, and what it costs.

    It takes some ten seconds for a plan of an hour. The router obeys, persons answer at once, hooks
    answer `Go`.

    * ``regressions``: times worse than usual, each above 1. Each makes one metric that much worse
      (errors more often, requests slower, baskets smaller) from the candidate's first request: for
      each check its own, and nothing else. All metrics at once are told apart, as what any check
      stops.
    * ``find``: a regression that shall be seen with 90 % before the candidate has all traffic, in
      times worse than usual. Longer bakes, other weights and stricter checks are tried, each and
      together, and if need be more load; the cheapest that sees it, in time and in requests
      exposed, is `Explanation.mend`: code to paste, with its chance as measured. It takes about a
      minute.
    * ``runs``: simulated for each of them; 200 give a chance of 90 % to within 4 points, four times
      as many to within 2.
    * ``seed``: the same one gives the same figures.
    * ``progress``: called with what is known so far, after about a second and whenever twice as
      many rollouts have been watched; the intervals say how much that is. No hints were tried yet.

    Raises `StrategyError` if the load lacks a metric of the strategy.
    """
    if not isinstance(regressions, Iterable) or not (regressions := tuple(regressions)):
        raise StrategyError(
            f"explain(regressions=): {regressions!r} names none; use a list of numbers "
            "above 1, such as [2, 5, 20]"
        )
    for times in regressions:
        require_worse("explain(regressions=)", times)
    if find is not None:
        require_worse("explain(find=)", find)
    fields.whole(runs, "explain(runs=)", least=1)
    plan = plan_of(strategy, "explain(strategy)")
    _require_load(load)
    load.world().measures(plan.metrics)
    worse = tuple(sorted({float(times) for times in regressions}))
    powers = power_of(plan, load, worse, runs, seed)
    power = next(powers)
    for of_more in powers:
        if progress is not None:
            progress(_explanation(power, advice(power, hints=False)))
        power = of_more
    mended = None if find is None else mend(strategy, load, float(find), runs, seed)
    nothing = [_nothing_finds(find)] if find is not None and mended is None else []
    return attrs.evolve(_explanation(power, [*advice(power), *nothing]), mend=mended)


def _explanation(power: Power, warnings: Iterable[str]) -> Explanation:
    return Explanation(
        strategy=power.plan.strategy,
        load=power.load,
        steps=tuple(_explained(power)),
        false_alarm=power.alarms,
        promoted=power.through,
        usual=power.whole,
        warnings=tuple(warnings),
        excluded=tuple(_excluded(power)),
    )


def require_worse(where: str, times: object) -> None:
    """Raise `StrategyError` unless a regression is worse than usual."""
    number = isinstance(times, int | float) and not isinstance(times, bool)
    if not number or not 1 < times < float("inf"):  # type: ignore[operator]
        raise StrategyError(
            f"{where}: {times!r} is not worse than usual; use numbers above 1, such as 2"
        )


def _nothing_finds(times: float) -> str:
    return (
        f"find={times:g}: no other weights, longer bakes, stricter checks or ten times the load, "
        "each or together, find it with 90 % before the candidate has all traffic; it takes "
        "another metric, or a check on one"
    )


def _excluded(power: Power) -> Iterator[Excluded]:
    rates = [
        (step.id, power.requests(i) / power.usual(i).total_seconds())
        for i, (step, traffic) in enumerate(zip(power.plan.steps, power.plan.traffics, strict=True))
        if traffic.reaches(Track.CANDIDATE) and power.usual(i) and power.requests(i)
    ]
    for planned in power.plan.checks:
        for what, requests in getattr(planned.check, "excluded", ()):
            yield Excluded(
                check=planned.key,
                what=what,
                requests=requests,
                takes=tuple(
                    (step, timedelta(seconds=math.ceil(requests / rate))) for step, rate in rates
                ),
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
            together=_together(power, i) if power.deciding() else None,
        )


def _users(power: Power) -> Iterator[int]:
    """Yield the users who have met the candidate by the end of each step.

    Those with a header or cookie, while it routes them, are counted apart from the others.
    """
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
        others = met(others, requests - matched, users.group(part, part.matched))
        yield min(users.count, round(carrying + others))


def _together(power: Power, step: int) -> Detectability:
    return Detectability(
        check=ANY,
        caught=tuple((times, power.together(step, times)) for times in power.times),
        here=tuple((times, power.together_here(step, times)) for times in power.times),
    )


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
