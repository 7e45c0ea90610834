"""Take looks, absorb measurements, judge them, and decide whether the evidence allows a raise.

For each analysis and metric there is one series of windows for all tracks: ordered, never
overlapping. A window lies inside one stable period: an unbroken time in which every read showed the
same verified traffic. Before any raise each active series takes a closing look up to the last
verified read, so that no exposure goes unjudged. While it is not known what is served (the router
can't be read, a write fails for long, a part was lost), looks go on all the same: a failure counts,
a pass does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from progressive.analysis.check_state import CheckState, action_for, is_outstanding, update
from progressive.analysis.contract import Check, Judgement, Verdict
from progressive.analysis.split import Split
from progressive.model.actions import Action, Memory
from progressive.model.measurement import Look, Metric, NoAnswer, Window
from progressive.model.replace import evolve, made
from progressive.model.traffic import Track, Traffic
from progressive.plan.plan import PlannedCheck, Series
from progressive.plan.step import Step
from progressive.rollout.commands import Measure
from progressive.rollout.events import Measured
from progressive.rollout.notes import EventRecorded, Judged, Unjudged
from progressive.rollout.phases import Phase

from .capacity import lacks_preview
from .draft import Draft
from .transitions import hold, roll_back
from .windows import active, leave_out, replace_series

RETRY: Final = timedelta(seconds=10)
"""The time until a look that was not answered is taken again: soon enough to judge on time, seldom
enough not to hammer a provider that is down.
"""

REFUSALS: Final = 3
"""After so many looks in a row that the system answered, but not with numbers that can be judged,
what they covered is left out: one bad sample stays in every window that begins before it.
"""

PIECE: Final = timedelta(hours=1)
"""The longest window of a look, or twelve intervals if that is more: a system may refuse to answer
for all that has passed while nobody came.
"""

OVERSHOOT: Final = timedelta(seconds=30)
"""How far past its answer a look may reach. A system without history measures up to the moment at
which it is asked, which is after the read that verified the traffic; a look that reaches further
than a call may take is refused.
"""


# ------------------------------------------------------------------------------------------- asking

Question: TypeAlias = tuple[datetime, datetime, str | None, tuple[Track, ...]]
"""The look that a series has to take: start, end, the reading to measure since, and the tracks."""


def due(draft: Draft) -> tuple[Measure, ...]:
    """Return the looks to take now; equal questions of several analyses are asked once.

    For series whose look is not due yet, when to tick next is set.
    """
    asked: dict[tuple[str, Question], tuple[Metric, list[str]]] = {}
    for series in active(draft):
        question = _question(draft, series)
        if question is None:
            continue
        _, names = asked.setdefault((series.metric.name, question), (series.metric, []))
        names.append(series.analysis.name)
    return tuple(
        [
            Measure(
                metric=metric,
                tracks=tracks,
                window=made(Window, start=start, end=end),
                since=since,
                analyses=tuple(names),
            )
            for (_, (start, end, since, tracks)), (metric, names) in asked.items()
        ]
    )


def _question(draft: Draft, series: Series) -> Question | None:
    """Return the look that a series has to take now; None if none is due."""
    state, metric, now = draft.evidence.series_state(series), series.metric, draft.now
    if state.retry_at is not None and now < state.retry_at:
        draft.look_again(state.retry_at)
        return None
    if state.tail is not None:
        if now - metric.lag >= state.tail.end:
            return state.tail.start, state.tail.end, None, state.tail.tracks
        draft.look_again(state.tail.end + metric.lag)
    start, verified_at = state.start, draft.routing.verified_at
    sure = draft.verified and not draft.unread
    if (
        start is None
        or verified_at is None
        or not state.tracks
        or not (draft.verified or draft.unsure)
    ):
        return None
    if now < start:
        draft.look_again(start)
        return None
    if series.analysis.synthetic and lacks_preview(draft) is not None:
        return None
    if metric.counter and state.reading is None:
        return start, start, None, state.tracks
    horizon, closing = now - metric.lag, draft.progress.closing
    if sure:  # else what was asked for may still be served, and does harm
        horizon = min(verified_at, horizon)
    interval = _interval(draft, series, start)
    if not metric.counter and draft.clocks.readings:
        horizon = min(horizon, start + max(PIECE, 12 * series.analysis.interval))
    if start < horizon and (
        horizon - start >= interval or (closing is not None and start < closing <= horizon)
    ):
        return start, horizon, state.reading, state.tracks
    draft.look_again(start + interval + metric.lag)
    if closing is not None and start < closing:
        draft.look_again(closing + metric.lag)
    return None


def _interval(draft: Draft, series: Series, start: datetime) -> timedelta:
    """Return how long the window from ``start`` on is at least."""
    since = draft.routing.verified_since
    if since is None:
        return series.analysis.interval
    age = max(start - since - series.analysis.warmup, timedelta())
    return series.look_after(age, draft.evidence.series_state(series).resolution)


# ---------------------------------------------------------------------------------------- absorbing


def measured(draft: Draft, event: Measured) -> None:
    """Absorb a look.

    Each series that it was taken for accepts it if it begins where the last window ended; it is
    refused if none does.
    """
    if draft.progress.phase not in (Phase.PROGRESSING, Phase.HELD):
        draft.refuse(event, f"nothing is judged while {draft.progress.phase.value}")
        return
    accepted = [_accept(draft, series, event) for series in _asked_for(draft, event)]
    if not any(accepted):
        draft.refuse(
            event,
            f"{event.look.metric}: its window does not begin where the last one ended, or "
            "is not asked for",
        )


def _asked_for(draft: Draft, event: Measured) -> Iterator[Series]:
    for series in draft.plan.series:
        if series.metric.name == event.look.metric and series.analysis.name in event.analyses:
            yield series


def _accept(draft: Draft, series: Series, event: Measured) -> bool:
    """Judge a look for one series. False if it is neither its next window nor its tail."""
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
    broken = _why_no_answer(look, tracks, counter=series.metric.counter)
    if broken is not None:
        state = evolve(state, retry_at=event.at + RETRY)
        if look.query and not series.metric.counter and draft.clocks.readings:
            state = evolve(state, refused=state.refused + 1)
            if state.refused >= REFUSALS:
                state = leave_out(draft, series, state, look, broken)
    elif tail is not None:
        state = evolve(state, tail=None, retry_at=None, refused=0)
    else:
        nothing_covered = look.covered.end == look.window.start and look.window.length
        state = evolve(
            state,
            start=look.covered.end,
            reading=look.reading,
            retry_at=event.at + RETRY if nothing_covered else None,
            refused=0,
        )
    opening = not look.window.length and broken is None
    sure = draft.verified and not draft.unread
    if look.fingerprint and look.fingerprint != state.fingerprint and broken is None:
        if state.fingerprint:
            _restart_evidence(draft, series)
        state = evolve(state, fingerprint=look.fingerprint)
    here, missing = tail is None and sure, None
    stay = draft.routing.sticky or draft.routing.last_verified.sticky is not None
    splits = here and broken is None and not opening and not stay
    if splits and any(map(_looks_for_missing, series.checks)):
        split, missing = (state.split or Split()).after(look, draft.routing.last_verified)
        state = evolve(state, split=split)
    check_states = (
        draft.evidence.check_states
        if opening
        else _judged(draft, series, look, tracks, broken, missing, here=here)
    )
    replace_series(draft, series, state, check_states=check_states)
    return True


def _looks_for_missing(planned: PlannedCheck) -> bool:
    """Return whether a check has something to do when requests of the candidate are missing.

    Copies and a load test are not split by the weight, but nor are they less than it asks for.
    """
    return planned.check.tolerance.missing.then is not Action.WAIT


def _why_no_answer(look: Look, tracks: tuple[Track, ...], *, counter: bool) -> str | None:
    """Return why a look can't be judged; None if it can."""
    for track in tracks:
        if isinstance(answer := look.of(track), NoAnswer):
            return answer.why
    return "a counter was asked and gave no reading" if counter and look.reading is None else None


def _restart_evidence(draft: Draft, series: Series) -> None:
    """Forget the evidence of one series: its query has changed, so the old answers do not apply."""
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
    missing: Judgement | None,
    *,
    here: bool,
) -> tuple[CheckState, ...]:
    """Return the states of all checks after those of one series have judged a look.

    ``broken`` is why the look can't be judged; ``missing``, that requests of the candidate do not
    arrive, which stands above all verdicts but a failure; ``here``, whether it lies in the current
    traffic.
    """
    check_states = list(draft.evidence.check_states)
    for planned in series.checks:
        check = planned.check
        if not _reach(tracks, planned):
            continue
        check_state = check_states[planned.index]
        if broken is not None:
            judgement, memory = Judgement(verdict=Verdict.ERROR, why=broken), check_state.memory
        else:
            traffic = draft.routing.last_verified if here else None
            judgement, memory = judgement_of(
                check, look, check_state.memory, planned.alpha, traffic
            )
            if missing is not None and _looks_for_missing(planned):
                failed = judgement.verdict in (Verdict.FAIL, Verdict.ERROR)
                judgement = judgement if failed else missing
        window = look.window
        check_states[planned.index] = update(
            check_state,
            judgement,
            memory,
            check.tolerance,
            start=window.start,
            end=window.end,
            taken=None if draft.of_older_rules else draft.latest,
            here=here,
        )
        draft.note(
            Judged(
                at=draft.now,
                analysis=planned.analysis.name,
                check=check.id,
                verdict=judgement.verdict.value,
                why=judgement.why,
                numbers=judgement.numbers,
            )
        )
    return tuple(check_states)


def judgement_of(
    check: Check, look: Look, memory: Memory, alpha: float, traffic: Traffic | None
) -> tuple[Judgement, Memory]:
    """Judge a look by one check, and return the judgement and the check's new memory.

    A check that raises gives `Verdict.ERROR`: it tells nothing about the candidate, and must not
    keep the others from being judged. ``traffic`` is that in which the look was taken; None if it
    is over.
    """
    judge_in = getattr(check, "judge_in", None)
    try:
        if traffic is not None and judge_in is not None:
            judged: tuple[Judgement, Memory] = judge_in(traffic, look, memory, alpha)
            return judged
        return check.judge(look, memory, alpha)
    except Exception as error:
        return Judgement(
            verdict=Verdict.ERROR, why=f"the check itself failed: {type(error).__name__}: {error}"
        ), memory


# ----------------------------------------------------------------------------------------- deciding


def act_on_evidence(draft: Draft) -> bool:
    """Hold or roll back if the state of a check requires it. True if the phase changed."""
    before = draft.progress.phase
    for planned, check_state in zip(draft.plan.checks, draft.evidence.check_states, strict=True):
        if not check_state.failed and check_state.stuck_verdict is None:
            continue
        check, key = planned.check, planned.key
        if check.observe or draft.waived(key):
            continue
        required = action_for(check_state, check.tolerance, full=draft.full)
        if required is None or required[0] is Action.WAIT:
            continue
        action, why = required
        if action is Action.ROLL_BACK:
            roll_back(draft, f"{key}: {why}")
            return True
        hold(draft, key, why)
    return draft.progress.phase is not before


def ready(draft: Draft) -> str | None:
    """Ask the evidence whether it allows more traffic, or the promotion.

    None if it does, else what to wait for: a closing look, or checks that have not passed. No
    closing look is taken while every outstanding check has been judged at this weight already.
    """
    evidence = draft.evidence
    outstanding = [
        planned for planned in _deciding(draft) if is_outstanding(evidence.check_state(planned))
    ]
    if outstanding and all(
        evidence.check_state(planned).looks_at_weight for planned in outstanding
    ):
        if draft.progress.closing is not None:
            draft.progress = evolve(draft.progress, closing=None)
        return _to_pass(draft, outstanding)
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
    return _to_pass(draft, outstanding) if outstanding else None


def _deciding(draft: Draft) -> Iterator[PlannedCheck]:
    """Yield the checks that decide in this traffic, each once: a check of several metrics comes
    with the series of its first.
    """
    waived = draft.progress.waived
    for series in active(draft):
        tracks = draft.evidence.series_state(series).tracks
        for planned in series.deciding:
            if _reach(tracks, planned) and not (waived and draft.waived(planned.key)):
                yield planned


def _reach(tracks: tuple[Track, ...], planned: PlannedCheck) -> bool:
    """Return whether ``tracks`` are all that a check requires."""
    return all(map(tracks.__contains__, planned.required_tracks))


def _to_pass(draft: Draft, outstanding: list[PlannedCheck]) -> str:
    """Name the checks that still have to pass, with the reason of each one's last verdict."""
    named = []
    for planned in outstanding:
        why = draft.evidence.check_state(planned).why
        named.append(f"{planned.key} ({why or 'not looked yet'})")
    return f"{', '.join(named)} to pass"


def all_checks_waived(draft: Draft, step: Step) -> bool:
    """Return whether a step names analyses and a person has waived every deciding check of them."""
    if not draft.progress.waived or not (names := step.analyses):
        return False
    return all(
        planned.check.observe or draft.waived(planned.key)
        for planned in draft.plan.checks
        if planned.analysis.name in names
    )


def passes(draft: Draft, analysis: str) -> int:
    """Return how many looks have passed since the rollout began, of the deciding check of an
    analysis that has the fewest.
    """
    counts = [
        draft.evidence.check_state(planned).passes
        for planned in draft.plan.checks
        if planned.analysis.name == analysis
        and not planned.check.observe
        and not draft.waived(planned.key)
    ]
    return min(counts, default=0)
