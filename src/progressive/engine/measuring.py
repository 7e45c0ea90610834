"""Windows and looks: what to measure when, whose answer is accepted, and whether the evidence
allows a raise.

For each analysis and metric there is one series of windows for all tracks: ordered, never
overlapping. A window lies inside one *stretch*, an unbroken time in which every read showed the
same verified traffic. Before any raise each active series takes a closing look up to the last
verified read, so that no exposure goes unjudged.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from progressive.analysis.check_state import CheckState, action_for, is_outstanding, update
from progressive.analysis.contract import Check, Judgement, Verdict, metrics_of
from progressive.model.actions import Action, Memory
from progressive.model.measurement import Look, Metric, NoAnswer, Window
from progressive.model.replace import evolve
from progressive.model.traffic import Track, Traffic
from progressive.plan.plan import PlannedCheck, Series
from progressive.plan.step import Step
from progressive.rollout.commands import Measure
from progressive.rollout.events import Measured
from progressive.rollout.notes import EventRecorded, Judged, Unjudged
from progressive.rollout.phases import Phase

from .draft import Draft
from .transitions import hold, roll_back
from .windows import active, replace_series

RETRY: Final = timedelta(seconds=10)
"""After a look that was not answered: soon enough to judge on time, seldom enough not to hammer a
provider that is down.
"""

OVERSHOOT: Final = timedelta(seconds=30)
"""A system without history measures up to the moment at which it is asked, which is after the read
that verified the traffic. More than the time that a call may take is not that moment, and is
refused.
"""


# ------------------------------------------------------------------------------------------- asking

Question: TypeAlias = tuple[datetime, datetime, str | None, tuple[Track, ...]]
"""What one series asks for: from when to when, since which reading, and for which tracks."""


def due(draft: Draft) -> tuple[Measure, ...]:
    """The looks to take now, equal questions once; and when to come back for the others."""
    asked: dict[tuple[str, Question], tuple[Metric, list[str]]] = {}
    for series in active(draft):
        found = _question(draft, series)
        if found is None:
            continue
        _, names = asked.setdefault((series.metric.name, found), (series.metric, []))
        names.append(series.analysis.name)
    return tuple(
        [
            Measure(
                metric=metric,
                tracks=tracks,
                window=Window(start, end),
                since=since,
                analyses=tuple(names),
            )
            for (_, (start, end, since, tracks)), (metric, names) in asked.items()
        ]
    )


def _question(draft: Draft, series: Series) -> Question | None:
    state, metric, now = draft.evidence.series_state(series), series.metric, draft.now
    if state.retry_at is not None and now < state.retry_at:
        draft.look_again(state.retry_at)
        return None
    if state.tail is not None:
        if now - metric.lag >= state.tail.end:
            return state.tail.start, state.tail.end, None, state.tail.tracks
        draft.look_again(state.tail.end + metric.lag)
    start, verified_at = state.start, draft.routing.verified_at
    if (
        start is None
        or verified_at is None
        or draft.routing.verified_since is None
        or not state.tracks
    ):
        return None
    if now < start:
        draft.look_again(start)
        return None
    if metric.counter and state.reading is None:
        return start, start, None, state.tracks
    horizon, closing = min(verified_at, now - metric.lag), draft.progress.closing
    interval = series.analysis.interval
    if start < horizon and (
        horizon - start >= interval or (closing is not None and start < closing <= horizon)
    ):
        return start, horizon, state.reading, state.tracks
    draft.look_again(start + interval + metric.lag)
    if closing is not None and start < closing:
        draft.look_again(closing + metric.lag)
    return None


# ---------------------------------------------------------------------------------------- absorbing


def measured(draft: Draft, event: Measured) -> None:
    """A look was answered: each series that it was asked for takes it, if it begins where that
    series ended.
    """
    if draft.progress.phase not in (Phase.PROGRESSING, Phase.HELD):
        draft.refuse(event, f"nothing is judged while {draft.progress.phase.value}")
        return
    taken = [_take(draft, series, event) for series in _asked_for(draft, event)]
    if not any(taken):
        draft.refuse(
            event,
            f"{event.look.metric}: its window does not begin where the last one ended, or "
            "is not asked for",
        )


def _asked_for(draft: Draft, event: Measured) -> Iterator[Series]:
    for series in draft.plan.series:
        if series.metric.name == event.look.metric and series.analysis.name in event.analyses:
            yield series


def _take(draft: Draft, series: Series, event: Measured) -> bool:
    state, look = draft.evidence.series_state(series), event.look
    tail = state.tail
    if tail is not None and look.window.start == tail.start:
        tracks = tail.tracks
    elif state.start is not None and look.window.start == state.start:
        tail, tracks = None, state.tracks
    else:
        return False
    if look.covered.end < look.window.start or look.covered.end > event.at + OVERSHOOT:
        why = (
            f"it covers {look.covered.start.isoformat()} to {look.covered.end.isoformat()}, "
            "outside what was asked"
        )
        look = Look(
            metric=look.metric,
            window=look.window,
            tracks=[(track, NoAnswer(why)) for track in tracks],
        )
    draft.note(EventRecorded(at=draft.now, event=event))
    broken = _broken(look, tracks, counter=series.metric.counter)
    if broken is not None:
        state = evolve(state, retry_at=event.at + RETRY)
    elif tail is not None:
        state = evolve(state, tail=None, retry_at=None)
    else:
        stuck = look.covered.end == look.window.start and look.window.length
        state = evolve(
            state,
            start=look.covered.end,
            reading=look.reading,
            retry_at=event.at + RETRY if stuck else None,
        )
    opening = not look.window.length and broken is None
    if look.fingerprint and look.fingerprint != state.fingerprint and broken is None:
        if state.fingerprint:
            _forget(draft, series)
        state = evolve(state, fingerprint=look.fingerprint)
    check_states = (
        draft.evidence.check_states
        if opening
        else _judged(draft, series, look, tracks, broken, here=tail is None)
    )
    replace_series(draft, series, state, check_states=check_states)
    return True


def _broken(look: Look, tracks: tuple[Track, ...], *, counter: bool) -> str | None:
    """Why a look says nothing; None if it does."""
    for track in tracks:
        if isinstance(found := look.of(track), NoAnswer):
            return found.why
    return "a counter was asked and gave no reading" if counter and look.reading is None else None


def _forget(draft: Draft, series: Series) -> None:
    """The query is another one now: what was learned from the old one says nothing about it."""
    check_states = list(draft.evidence.check_states)
    for planned in series.checks:
        check_states[planned.index] = CheckState(looks=check_states[planned.index].looks)
    draft.evidence = evolve(draft.evidence, check_states=tuple(check_states))
    draft.note(
        Unjudged(
            at=draft.now,
            analysis=series.analysis.name,
            what=series.metric.name,
            why="the query changed; its evidence starts anew",
        )
    )


def _judged(
    draft: Draft,
    series: Series,
    look: Look,
    tracks: tuple[Track, ...],
    broken: str | None,
    *,
    here: bool,
) -> tuple[CheckState, ...]:
    """The states of all checks after those of one series have judged a look."""
    check_states = list(draft.evidence.check_states)
    for planned in series.checks:
        each = planned.check
        if not all(map(tracks.__contains__, each.required_tracks)):
            continue
        check_state = check_states[planned.index]
        if broken is not None:
            judgement, memory = Judgement(verdict=Verdict.ERROR, why=broken), check_state.memory
        else:
            traffic = draft.routing.last_verified if here else None
            judgement, memory = judgement_of(each, look, check_state.memory, planned.alpha, traffic)
        window = look.window
        check_states[planned.index] = update(
            check_state,
            judgement,
            memory,
            each.tolerance,
            start=window.start,
            end=window.end,
            here=here,
        )
        draft.note(
            Judged(
                at=draft.now,
                analysis=planned.analysis.name,
                check=each.id,
                verdict=judgement.verdict.value,
                why=judgement.why,
                numbers=judgement.numbers,
            )
        )
    return tuple(check_states)


def judgement_of(
    each: Check, look: Look, memory: Memory, alpha: float, traffic: Traffic | None
) -> tuple[Judgement, Memory]:
    """What a check makes of a look. One that raises says nothing about the candidate, and must not
    keep the others from being heard.

    ``traffic`` is that in which the look was taken; None for one that is over.
    """
    judge_in = getattr(each, "judge_in", None)
    try:
        if traffic is not None and judge_in is not None:
            found: tuple[Judgement, Memory] = judge_in(traffic, look, memory, alpha)
            return found
        return each.judge(look, memory, alpha)
    except Exception as error:
        return Judgement(
            verdict=Verdict.ERROR, why=f"the check itself failed: {type(error).__name__}: {error}"
        ), memory


# ----------------------------------------------------------------------------------------- deciding


def act_on_evidence(draft: Draft) -> bool:
    """Do what the checks lead to. True if the phase changed."""
    before = draft.progress.phase
    for planned, check_state in zip(draft.plan.checks, draft.evidence.check_states, strict=True):
        if not check_state.failed and check_state.stuck_verdict is None:
            continue
        each, key = planned.check, planned.key
        if each.observe or draft.waived(key):
            continue
        found = action_for(check_state, each.tolerance, full=draft.full)
        if found is None or found[0] is Action.WAIT:
            continue
        action, why = found
        if action is Action.ROLL_BACK:
            roll_back(draft, f"{key}: {why}")
            return True
        hold(draft, key, why)
    return draft.progress.phase is not before


def ready(draft: Draft) -> str | None:
    """Does the evidence allow more traffic, or the promotion? None if so, else what is still waited
    for.
    """
    deciding = list(_deciding(draft))
    evidence = draft.evidence
    owed = [planned for planned in deciding if is_outstanding(evidence.check_state(planned))]
    if owed and all(evidence.check_state(planned).looks_at_weight for planned in owed):
        draft.progress = (
            evolve(draft.progress, closing=None)
            if draft.progress.closing is not None
            else draft.progress
        )
        return _what_is_owed(draft, owed)
    if draft.progress.closing is None:
        draft.progress = evolve(draft.progress, closing=draft.routing.verified_at)
    closing = draft.progress.closing
    for series in active(draft):
        state = evidence.series_state(series)
        if (
            state.start is not None
            and state.tracks
            and closing is not None
            and state.start < closing
        ):
            return f"the closing look at {series.metric.name}"
    return _what_is_owed(draft, owed) if owed else None


def _deciding(draft: Draft) -> Iterator[PlannedCheck]:
    """The checks that decide in this traffic; one of several metrics comes with the first of
    them.
    """
    for series in active(draft):
        tracks = draft.evidence.series_state(series).tracks
        for planned in series.checks:
            each = planned.check
            first = metrics_of(each)[0] == series.metric
            if (
                first
                and not each.observe
                and not draft.waived(planned.key)
                and all(map(tracks.__contains__, each.required_tracks))
            ):
                yield planned


def _what_is_owed(draft: Draft, owed: list[PlannedCheck]) -> str:
    outstanding = []
    for planned in owed:
        why = draft.evidence.check_state(planned).why
        outstanding.append(f"{planned.key} ({why or 'not looked yet'})")
    return f"{', '.join(outstanding)} to pass"


def waived_whole(draft: Draft, step: Step) -> bool:
    """Is the current step there for analyses only, and is every deciding check of them waived?"""
    names = step.analyses
    if not names or not draft.progress.waived:
        return False
    return all(
        planned.check.observe or draft.waived(planned.key)
        for planned in draft.plan.checks
        if planned.analysis.name in names
    )


def passes(draft: Draft, analysis: str) -> int:
    """Looks that passed since the rollout began, of the deciding check of an analysis that has the
    fewest.
    """
    counts = [
        draft.evidence.check_state(planned).passes
        for planned in draft.plan.checks
        if planned.analysis.name == analysis
        and not planned.check.observe
        and not draft.waived(planned.key)
    ]
    return min(counts, default=0)
