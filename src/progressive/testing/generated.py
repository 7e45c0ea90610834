"""Values for property tests, by `Hypothesis <https://hypothesis.readthedocs.io>`_:
``pip install progressive-delivery[hypothesis]``.

::

    from hypothesis import given
    from progressive.testing.generated import rollouts

    @given(rollout=rollouts())
    def test_our_dashboard_shows_every_rollout(rollout):
        assert rollout.id in dashboard(rollout)

Each function gives a strategy of valid values only: whatever the classes themselves refuse is not
generated. Times are UTC in whole milliseconds, weights parts per million, as everywhere. No other
file of the library imports Hypothesis.
"""

from __future__ import annotations

import enum
import types
import typing
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

import attrs
from hypothesis import reject
from hypothesis import strategies as st

from progressive.analysis.analysis import Analysis
from progressive.analysis.contract import Budget, Tolerance
from progressive.analysis.kayenta import Kayenta, KayentaJudge, KayentaMetric
from progressive.analysis.limit import Bound, Limit
from progressive.analysis.mann_whitney import MannWhitney
from progressive.analysis.no_worse import NoWorse
from progressive.analysis.sample_ratio import SampleRatio
from progressive.codec.schema import MemoryType, types_of
from progressive.errors import StrategyError
from progressive.model.actions import Action
from progressive.model.measurement import (
    Counts,
    Gauge,
    Histogram,
    Kind,
    Look,
    Measurement,
    Metric,
    Moments,
    NoAnswer,
    NoData,
    Window,
)
from progressive.model.release import Release, Version
from progressive.model.router_state import Capabilities, Marker
from progressive.model.traffic import Match, Track, Traffic
from progressive.model.units import MILLION, Percent, hours, minutes, seconds, times
from progressive.plan.plan import Guard, Plan
from progressive.plan.step import Deadline, Step
from progressive.rollout.events import EVENTS, Event
from progressive.rollout.notes import NOTES, Note
from progressive.rollout.state import Rollout
from progressive.steps.standard import Approval, Bake, Hook, Pause, SetWeight

from .doubles import ALL
from .reached import LAST, WAYS, reached

__all__ = [
    "events",
    "measurements",
    "notes",
    "plans",
    "releases",
    "rollouts",
    "traffics",
    "values",
    "versions",
]

T = typing.TypeVar("T")

MOMENTS: Final = st.integers(-(10**12), 10**13).map(
    lambda n: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=n)
)
DURATIONS: Final = st.integers(0, 10**12).map(lambda n: timedelta(milliseconds=n))
SPANS: Final = st.sampled_from(
    [minutes(5), minutes(1), hours(1), hours(30), seconds(1.5)]
) | DURATIONS.filter(bool)
"""Usual durations above 0, and any other."""
PERCENTS: Final = st.integers(0, MILLION).map(Percent)
NUMBERS: Final = st.floats(allow_nan=False, allow_infinity=False)
TEXTS: Final = st.text(max_size=20)
NAMES: Final = st.from_regex(r"[A-Za-z0-9](?:[A-Za-z0-9._:/-]{0,9}[A-Za-z0-9])?", fullmatch=True)
MEMORIES: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4).map(tuple),
    max_leaves=8,
)


# ---------------------------------------------------------------------------------------- the world


def versions() -> st.SearchStrategy[Version]:
    """Generate versions, with a backend of the same name or of another."""
    return st.builds(Version, NAMES) | st.builds(Version, NAMES, backend=NAMES)


def releases(*, stable: bool = True, baseline: bool | None = None) -> st.SearchStrategy[Release]:
    """Generate releases.

    ``stable=False`` gives first deployments. ``baseline``: with one, without one, or (None) either.
    """
    three = st.lists(versions(), min_size=3, max_size=3, unique_by=lambda version: version.backend)
    return st.builds(
        lambda service, three, fresh: Release(
            service=service,
            candidate=three[0],
            stable=three[1] if stable else None,
            baseline=three[2] if fresh else None,
        ),
        NAMES,
        three,
        st.booleans() if baseline is None else st.just(baseline),
    )


def traffics(able: Capabilities = ALL) -> st.SearchStrategy[Traffic]:
    """Generate traffic that a router with these capabilities can be asked for."""
    smallest = able.smallest_weight.ppm
    weights = st.integers(0, MILLION // smallest).map(lambda n: Percent(n * smallest))
    nothing = st.just(Percent(0))
    return _valid(
        Traffic,
        candidate=weights,
        baseline=weights if able.baseline else nothing,
        matches=st.lists(values(Match), max_size=3) if able.matches else st.just(()),
        mirror=weights if able.mirror else nothing,
        sticky=st.none() | st.integers(1, 604_800).map(seconds) if able.affinity else st.none(),
    )


# --------------------------------------------------------------------------------- what is measured


@st.composite
def _histograms(draw: st.DrawFn) -> Histogram:
    edges = sorted(draw(st.sets(st.floats(0.001, 1000), min_size=1, max_size=5)))
    counts = sorted(
        draw(st.lists(st.integers(0, 10**9), min_size=len(edges) + 1, max_size=len(edges) + 1))
    )
    return Histogram(edges=edges, cumulative=counts)


_MEASURED: Final[dict[Kind, st.SearchStrategy[Measurement]]] = {
    Kind.RATIO: st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)).map(
        lambda two: Counts(events=min(two), trials=max(two))
    ),
    Kind.LATENCY: _histograms(),
    Kind.MEAN: st.builds(Moments, n=st.integers(1, 10**9), mean=NUMBERS, m2=st.floats(0, 1e300)),
    Kind.VALUE: st.builds(Gauge, samples=st.lists(NUMBERS, min_size=1, max_size=4)),
}
_MISSING: Final[st.SearchStrategy[Measurement]] = st.builds(NoData, TEXTS) | st.builds(
    NoAnswer, TEXTS
)


def measurements(kind: Kind | None = None) -> st.SearchStrategy[Measurement]:
    """Generate the answers of a provider for a metric of this kind, or of any; also `NoData` and
    `NoAnswer`.
    """
    measured = (strategy for each, strategy in _MEASURED.items() if kind in (None, each))
    return st.one_of(*measured, _MISSING)


# --------------------------------------------------------------------------------- what was decided


def events() -> st.SearchStrategy[Event]:
    """Generate events of every kind: answers of the world, and persons' events."""
    return st.one_of(*(values(kind) for kind in EVENTS))


def notes() -> st.SearchStrategy[Note]:
    """Generate notes of every kind."""
    return st.one_of(*(values(kind) for kind in NOTES))


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Generate plans: rising weights to 100 %, steps of all kinds between them, and analyses, some
    of them guards.
    """
    deadline = st.builds(Deadline, within=SPANS, then=st.sampled_from(Action))
    between = st.one_of(
        st.builds(Bake, SPANS),
        st.builds(Pause, SPANS),
        st.builds(Hook, NAMES, skippable=st.booleans()),
        st.builds(
            Approval,
            NAMES,
            within=SPANS,
            otherwise=st.sampled_from([Action.HOLD, Action.ROLL_BACK]),
        ),
    )
    steps: list[Step] = []
    for n, ppm in enumerate(
        [*sorted(draw(st.sets(st.integers(1, MILLION - 1), max_size=4))), MILLION]
    ):
        steps.append(SetWeight(Percent(ppm), deadline=draw(deadline), id=f"weight-{n}"))
        steps += [
            attrs.evolve(step, id=f"step-{n}-{i}")
            for i, step in enumerate(draw(st.lists(between, max_size=2)))
        ]
    analyses = tuple(draw(st.lists(values(Analysis), max_size=2, unique_by=lambda each: each.name)))
    try:
        return Plan(
            strategy=draw(NAMES),
            steps=tuple(steps),
            analyses=analyses,
            guards=tuple(Guard(each.name) for each in analyses if draw(st.booleans())),
            gates=tuple(draw(st.lists(TEXTS, max_size=2, unique=True))),
            deadline=draw(deadline),
            watch_every=draw(SPANS),
            preflight=draw(SPANS),
            alpha=draw(st.floats(1e-9, 0.5)),
            retire_after=draw(st.none() | DURATIONS),
            remove_candidate_after=draw(st.none() | DURATIONS),
            unguarded=draw(st.just("a law") | NAMES),
        )
    except StrategyError:
        return typing.cast(Plan, reject())


@st.composite
def rollouts(draw: st.DrawFn, plan: st.SearchStrategy[Plan] | None = None) -> Rollout:
    """Generate rollouts as a store may have them: begun under ``plan`` (by default any of `plans`),
    and driven for a while.

    Each was decided tick by tick in a world that is drawn too: good and bad versions, metrics that
    are silent, hooks that answer `Stop`, persons who abort, and drivers that come late. So every
    phase occurs, and no state that a driver could not have stored.
    """
    ways = [
        *draw(st.lists(st.sampled_from(WAYS), max_size=16)),
        *draw(st.lists(st.sampled_from(LAST), max_size=1)),
    ]
    release = draw(releases(baseline=True))
    return reached(
        draw(plans() if plan is None else plan),
        release,
        id=draw(NAMES),
        at=draw(MOMENTS),
        ways=ways,
    )


# ----------------------------------------------------------------------------- any value of a class


def values(kind: type[T]) -> st.SearchStrategy[T]:
    """Generate values of one of the library's classes, or of an annotation made of them.

    They are made by the fields that the class declares: a field that it gains is generated too.
    """
    strategy: st.SearchStrategy[T] = _made(kind)  # type: ignore[arg-type]
    return strategy


def _valid(kind: type[T], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[T]:
    """Generate values of a class, without those that it refuses."""

    def build(chosen: dict[str, Any]) -> T:
        try:
            return kind(**{name: value for name, value in chosen.items() if value is not _ABSENT})
        except StrategyError:
            return typing.cast(T, reject())

    return st.fixed_dictionaries(fields).map(build)


_ABSENT: Final = object()


@cache
def _made(kind: Any) -> st.SearchStrategy[Any]:
    if kind in _KNOWN:
        return _KNOWN[kind]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(_made(arguments[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*(_made(each) for each in arguments))
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*(_made(each) for each in arguments))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return st.sampled_from(kind)
    hints = types_of(kind)
    given = {field.name: _made(hints[field.name]) for field in attrs.fields(kind) if field.init}
    optional = {field.name for field in attrs.fields(kind) if field.default is not attrs.NOTHING}
    return _valid(
        kind,
        **{
            name: st.just(_ABSENT) | each if name in optional else each
            for name, each in given.items()
        },
    )


_LOOKS_TOLERATED: Final = st.none() | st.integers(0, 99)
_ENDINGS: Final = st.sampled_from([Action.ROLL_BACK, Action.HOLD])
_BUDGETS: Final = st.builds(
    lambda looks, within, then, both, in_all: Budget(
        looks=looks,
        within=within,
        then=Action.WAIT if looks is within is in_all is None else then,
        both=both and None not in (looks, within),
        in_all=in_all,
    ),
    _LOOKS_TOLERATED,
    st.none() | DURATIONS,
    _ENDINGS,
    st.booleans(),
    _LOOKS_TOLERATED,
)
_TOLERANCES: Final = st.builds(
    Tolerance,
    in_a_row=st.integers(1, 9),
    failures=_LOOKS_TOLERATED,
    then=_ENDINGS,
    inconclusive=_BUDGETS,
    no_data=_BUDGETS,
    no_answer=_BUDGETS,
)
_WINDOWS: Final = st.tuples(MOMENTS, DURATIONS).map(lambda two: Window(two[0], two[0] + two[1]))
_FLOORS: Final = st.none() | PERCENTS | DURATIONS | NUMBERS
_RATIOS: Final = st.builds(Metric, NAMES, kind=st.just("ratio"))
_LIMITS: Final = st.builds(
    Limit,
    _RATIOS,
    at_most=PERCENTS | st.builds(times, st.floats(0.1, 9), floor=st.none() | PERCENTS),
    plain=st.none() | st.just(True),
    min_sample=st.integers(1, 10**6),
    observe=st.booleans(),
    id=NAMES,
    tolerance=_TOLERANCES,
) | st.builds(
    Limit,
    st.builds(Metric, NAMES, kind=st.just("latency")),
    quantile=st.floats(0.01, 0.9999),
    at_most=DURATIONS,
    plain=st.none() | st.just(False),
    accept=st.floats(1.5, 20),
    beta=st.floats(0.001, 0.5),
    id=NAMES,
)
_COMPARISONS: Final = st.builds(
    NoWorse,
    st.builds(Metric, NAMES, kind=st.sampled_from(["ratio", "latency", "mean"])),
    than=st.sampled_from([Track.STABLE, Track.BASELINE]),
    margin=st.floats(1, 9),
    share_of_alpha=st.floats(0.001, 9),
    accept=st.none() | st.floats(9.5, 20),
    beta=st.floats(0.001, 0.5),
    dispersion=st.none() | st.floats(1, 9),
    id=NAMES,
)
_LEVELS: Final = st.builds(Metric, NAMES, kind=st.just("value"))
_RANKS: Final = st.builds(
    MannWhitney,
    _LEVELS,
    margin=st.floats(1, 9),
    confidence=st.floats(0.6, 0.999),
    samples=st.integers(2, 500),
    id=NAMES,
)
_SPLITS: Final = st.builds(
    SampleRatio, _RATIOS, alpha=st.floats(0.0001, 0.5), observe=st.booleans(), id=NAMES
)
_SPINNAKER: Final = st.builds(
    lambda metric, direction, critical, name, points: Kayenta(
        KayentaJudge(
            metrics=[
                KayentaMetric(metric.name, groups=["all"], direction=direction, critical=critical)
            ]
        ),
        metrics=[metric],
        points=points,
        id=name,
    ),
    _LEVELS,
    st.sampled_from(["increase", "decrease", "either"]),
    st.booleans(),
    NAMES,
    st.integers(1, 240),
)
_CHECKS: Final = _LIMITS | _COMPARISONS | _RANKS | _SPLITS | _SPINNAKER

_KNOWN: Final[dict[Any, st.SearchStrategy[Any]]] = {
    str: TEXTS,
    bool: st.booleans(),
    int: st.integers(-(10**15), 10**15),
    float: NUMBERS,
    type(None): st.none(),
    datetime: MOMENTS,
    timedelta: DURATIONS,
    Percent: PERCENTS,
    MemoryType: MEMORIES,
    Bound: PERCENTS
    | DURATIONS
    | NUMBERS
    | st.builds(lambda factor, floor: times(factor, floor=floor), st.floats(0.001, 1000), _FLOORS),
    Budget: _BUDGETS,
    Tolerance: _TOLERANCES,
    Metric: st.builds(
        Metric,
        NAMES,
        kind=st.sampled_from(list(Kind)),
        unit=TEXTS,
        lag=DURATIONS,
        bad=st.sampled_from(["up", "down", "both"]),
    ),
    Counts: _MEASURED[Kind.RATIO],
    Histogram: _MEASURED[Kind.LATENCY],
    Moments: _MEASURED[Kind.MEAN],
    Gauge: _MEASURED[Kind.VALUE],
    Window: _WINDOWS,
    Look: st.builds(
        Look,
        metric=NAMES,
        window=_WINDOWS,
        covered=_WINDOWS,
        tracks=st.dictionaries(st.sampled_from(Track), measurements()),
        reading=st.none() | TEXTS,
        query=TEXTS,
        fingerprint=TEXTS,
    ),
    Marker: st.builds(
        Marker, generation=st.integers(0, 99), serial=st.integers(0, 99), closed=st.booleans()
    ),
    Match: st.builds(Match, name=NAMES, value=TEXTS, source=st.sampled_from(["header", "cookie"])),
    Version: versions(),
    Release: releases(),
    Limit: _LIMITS,
    NoWorse: _COMPARISONS,
    MannWhitney: _RANKS,
    SampleRatio: _SPLITS,
    Kayenta: _SPINNAKER,
    Analysis: st.builds(
        Analysis,
        NAMES,
        checks=st.lists(_CHECKS, min_size=1, max_size=3, unique_by=lambda each: each.id),
        interval=DURATIONS.filter(bool),
        warmup=DURATIONS,
        synthetic=st.booleans(),
    ),
}
"""The types that are not made by their fields alone: leaves, and classes whose fields depend on
each other.
"""
