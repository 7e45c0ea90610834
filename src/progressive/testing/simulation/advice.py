"""Warn about a strategy at a load, in plain words, each warning with a hint that was tried."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import attrs

from progressive.analysis.contract import metrics_of
from progressive.analysis.split import missed_after
from progressive.model.measurement import Bad, Kind, Metric, Side
from progressive.model.traffic import Track, Traffic
from progressive.model.units import MILLION, Percent, format_duration, percent

from .held_up import held_up
from .lookout import watch
from .power import Power
from .variants import level
from .watched import Stay

__all__ = ["advice"]

SEEN: Final = 0.9
"""A regression counts as seen if it is caught with this chance."""

WORTH: Final = 10.0
"""Times worse than usual: a regression that the first step with traffic should detect, because
every later one exposes more users.
"""

TRIES: Final = 60
"""Rollouts to try a hint: enough to tell 90 % from 75 %."""

FALSE_ALARMS: Final = 0.02
"""A plan that certainly stops more healthy versions than this is worth a warning."""

LONGER: Final = 12
"""A bake that would have to be more times as long than this is not advised."""

LONGEST: Final = timedelta(hours=24)
"""Nor is one that would be longer than this."""


def advice(power: Power, *, hints: bool = True) -> Iterator[str]:
    """Yield every warning, by subject, and by step within a subject: first what stops a healthy
    version, then what lets a worse one through. Without ``hints`` nothing is tried.
    """
    yield from _preflight(power)
    yield from held_up(power)
    yield from _alarms(power)
    yield from _blind_spots(power, hints)
    yield from _own_side(power)
    yield from _gets_through(power)


def _preflight(power: Power) -> Iterator[str]:
    if power.plan.metrics and not power.load.at_start:
        yield (
            "preflight: there are no requests at the start, and nothing begins before "
            "stable's metrics answer: it goes back after "
            f"{format_duration(power.plan.preflight)}; start it at another time (Load(start=))"
        )


# -------------------------------------------------------------------- what the first step can't see


def _worth(power: Power) -> float:
    return min((times for times in power.times if times >= WORTH), default=power.times[-1])


def _blind_spots(power: Power, hints: bool) -> Iterator[str]:
    times = _worth(power)
    for metric in power.plan.metrics:
        checks = _deciding_on(power, metric)
        step = _first_judged(power, checks)
        if step is None:
            continue
        if not level(power.load, metric, 1.0):
            yield (
                f"{metric.name}: is 0 as usual, of which no multiple is worse; say what is "
                "usual, Load(..., usual=Behaviour(...))"
            )
            continue
        seen = power.seen(metric, checks, step, times).share
        if seen < SEEN:
            seen_with = f"{_regression(power, metric, times)} is seen with {_percent(seen)}"
            hint = _hints(power, step, metric, times, checks) if hints else ""
            yield f"{_exposure(power, step)}: {seen_with}{hint}"


def _own_side(power: Power) -> Iterator[str]:
    """Name what no check sees: requests that never reach the candidate, where failures are counted
    on its own side alone.
    """
    failures = [metric for metric in power.plan.metrics if metric.kind is Kind.RATIO]
    if any(metric.side is Side.CALLER for metric in failures):
        return
    for metric in failures:
        step = _first_judged(power, _deciding_on(power, metric))
        if metric.side is not Side.CALLEE or step is None:
            continue
        traffic = power.plan.traffics[step]
        share = traffic.candidate.ppm / (traffic.candidate.ppm + traffic.stable.ppm or 1)
        if not 0 < share < 1:
            continue
        needed = missed_after(share)
        known = timedelta(seconds=math.ceil(needed / max(_rate(power, step), 1e-9)))
        yield (
            f"{metric.name}: counts on the candidate's own side, so requests that never reach it "
            "(refused connections, ejected instances, a proxy's own answers) are not in it; that "
            f"none arrive is known after {needed:,} requests to the service, "
            f"{format_duration(known)} at {power.plan.steps[step].id}. A metric of the caller's "
            "side shows each of them"
        )


def _deciding_on(power: Power, metric: Metric) -> list[int]:
    return [c for c in power.deciding() if metric in metrics_of(power.plan.checks[c].check)]


def _first_judged(power: Power, checks: list[int]) -> int | None:
    """Return the first step with production traffic in which one of these checks can judge."""
    for i, traffic in enumerate(power.plan.traffics):
        reached = traffic.reaches(Track.CANDIDATE)
        running = {
            planned.index for series in power.plan.active(i, reached) for planned in series.checks
        }
        if (
            reached
            and power.usual(i)
            and any(c in running and _can_judge(power, c, traffic) for c in checks)
        ):
            return i
    return None


def _can_judge(power: Power, c: int, traffic: Traffic) -> bool:
    return all(traffic.reaches(track) for track in power.plan.checks[c].check.required_tracks)


def _exposure(power: Power, step: int) -> str:
    traffic, span = power.plan.traffics[step], power.usual(step)
    name = power.plan.steps[step].id
    share = " and ".join(
        [str(traffic.candidate), *(f"{match.source} {match.name}" for match in traffic.matches)]
    )
    return (
        f"{name}: {share} of {_rate(power, step):.3g} rps for {format_duration(span)} is "
        f"{power.requests(step):,} requests"
    )


def _rate(power: Power, step: int) -> float:
    """Return the requests a second to the whole service, on average over a step if they vary."""
    whole = (
        power.load.world().parts(power.plan.traffics[step])[Track.CANDIDATE].users
        * power.usual(step).total_seconds()
    )
    return power.load.at_start if power.load.steady or not whole else power.requests(step) / whole


def _regression(power: Power, metric: Metric, times: float) -> str:
    if metric.kind is Kind.LATENCY:
        return f"{metric.name} {times:g} times as slow"
    usual, worse = (level(power.load, metric, by) for by in (1.0, times))
    unit = f" {metric.unit}" if metric.unit else ""
    if metric.kind is Kind.RATIO:
        usual, worse, unit = 100 * usual, 100 * worse, " %"
    way = "falling" if metric.bad is Bad.DOWN else "rising"
    return f"{metric.name} {way} from {usual:.3g}{unit} to {worse:.3g}{unit}"


def _hints(power: Power, step: int, metric: Metric, times: float, checks: list[int]) -> str:
    """Advise a longer bake or a larger share, each as small as possible, where one helps; or both,
    where neither does alone.
    """
    if not power.requests(step):
        return "; it takes requests to see anything"
    longer = _bake(power, step, metric, times, checks)
    larger = _share(power, step, metric, times, checks, longer)
    hints = []
    if longer is not None:
        hints.append(f"bake {format_duration(longer)}")
    if larger is not None:
        hints.append(f"start at {larger}")
    if hints:
        return f"; {' or '.join(hints)}"
    most = _half(power, step)
    if most is not None:
        longer = _bake(power, step, metric, times, checks, most)
        if longer is not None:
            return f"; bake {format_duration(longer)} and start at {most}, both together"
    return (
        "; neither a longer bake nor a larger share helps: it takes another check, or a stricter "
        f"one (try find={times:g})"
    )


def _half(power: Power, step: int) -> Percent | None:
    """Return half of the traffic, beside the baseline's; None where the candidate has more."""
    traffic = power.plan.traffics[step]
    most = Percent(MILLION // 2 - traffic.baseline.ppm)
    return most if not traffic.matches and traffic.candidate < most else None


def _caught_within(
    power: Power,
    step: int,
    metric: Metric,
    times: float,
    checks: list[int],
    within: timedelta,
    share: Percent | None = None,
) -> list[timedelta]:
    """Return how long after the step began each rollout caught the regression, ascending.

    Rollouts that did not catch it are left out. It stops early once too many have not, so that the
    share of the others can't reach `SEEN`. ``share`` replaces the candidate's weight in this step.
    """
    world = power.load.world([metric], times=times)
    traffics = power.plan.traffics
    if share is not None:
        traffics = tuple(
            attrs.evolve(traffic, candidate=share)
            if traffic == power.plan.traffics[step]
            else traffic
            for traffic in traffics
        )
    caught_after: list[timedelta] = []
    for number in range(TRIES):
        run = watch(
            power.plan,
            world,
            f"{power.seed}/mend/{number}",
            traffics=traffics,
            stay=Stay(step, within, frozenset(checks)),
        )
        caught = [
            run.endings[c].after
            for c in checks
            if c in run.endings and run.endings[c].step == step and run.endings[c].failed
        ]
        if caught:
            caught_after.append(min(caught))
        if number + 1 - len(caught_after) > (1 - SEEN) * TRIES:
            break
    return sorted(caught_after)


def _bake(
    power: Power,
    step: int,
    metric: Metric,
    times: float,
    checks: list[int],
    share: Percent | None = None,
) -> timedelta | None:
    """Return the shortest bake in whole minutes that detects the regression; None if none does.

    ``share`` replaces the candidate's weight in this step.
    """
    longest = min(LONGER * power.usual(step), LONGEST)
    caught_after = _caught_within(power, step, metric, times, checks, longest, share)
    needed = math.ceil(SEEN * TRIES)
    if len(caught_after) < needed:
        return None
    minute = timedelta(minutes=1)
    return math.ceil(caught_after[needed - 1] / minute) * minute


def _share(
    power: Power,
    step: int,
    metric: Metric,
    times: float,
    checks: list[int],
    longer: timedelta | None,
) -> Percent | None:
    """Return a share that detects the regression in the usual time; None if none does.

    It is tried from the share that brings the requests of the longer bake in the usual time, up to
    the next weight of the plan.
    """
    traffic, span = power.plan.traffics[step], power.usual(step)
    if traffic.matches:
        return None
    higher = [
        each.candidate.fraction * 100
        for each in power.plan.traffics[step:]
        if each.candidate.ppm > traffic.candidate.ppm
    ]
    most = min([50 - traffic.baseline.fraction * 100, *(weight - 0.1 for weight in higher[:1])])
    share = (
        power.load.world().parts(traffic)[Track.CANDIDATE].users
        * 100
        * (2.0 if longer is None else max(1.2, longer / span))
    )
    while 0 < share <= most:
        rounded = percent(math.ceil(share) if share >= 1 else math.ceil(share * 10) / 10)
        if len(_caught_within(power, step, metric, times, checks, span, rounded)) >= SEEN * TRIES:
            return rounded
        share *= 1.4
    return None


# ----------------------------------------------------------------------------------------- the rest


def _gets_through(power: Power) -> Iterator[str]:
    """Warn about metrics of which not even a large regression is stopped, by a check or a
    deadline.
    """
    times = power.times[-1]
    for metric in power.plan.metrics:
        through = power.unseen(metric, _deciding_on(power, metric), times)
        if through.share > 1 - SEEN and level(power.load, metric, 1.0):
            yield (
                f"{_regression(power, metric, times)} gets to 100 % with {_percent(through.share)}"
            )


def _alarms(power: Power) -> Iterator[str]:
    alarms, last = power.alarms, len(power.plan.steps) - 1
    if alarms.low > FALSE_ALARMS:
        _, worst = max(
            (power.caught(c, last, 1.0).share, power.plan.keys[c]) for c in power.deciding()
        )
        hint = "raise its bound, or let it fail more often in a row (tolerance=)"
        yield (
            f"{_percent(alarms.share)} of healthy versions are stopped, most of them by "
            f"{worst}; {hint}"
        )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
