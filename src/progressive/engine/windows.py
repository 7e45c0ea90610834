"""Stretches: unbroken times in which every read showed the same verified traffic, and the windows
that lie in them.
"""

from __future__ import annotations

from typing import Any

from progressive.analysis.check_state import reset_for_new_traffic
from progressive.model.replace import evolve
from progressive.model.traffic import Track
from progressive.model.units import format_duration
from progressive.rollout.notes import Unjudged
from progressive.rollout.state import SeriesState, Tail

from .draft import Draft


def active(draft: Draft) -> tuple[int, ...]:
    """The series that are measured now."""
    return draft.plan.active(
        draft.progress.step, draft.routing.last_verified.reaches(Track.CANDIDATE)
    )


def replace_series(draft: Draft, i: int, state: SeriesState, **beside: Any) -> None:
    """One series has another state now; ``beside`` is what of the evidence changes with it."""
    series = draft.evidence.series
    draft.evidence = evolve(draft.evidence, series=(*series[:i], state, *series[i + 1 :]), **beside)


def open_windows(draft: Draft) -> None:
    """A stretch is open: every active series that has no window yet begins one, after its
    warm-up.
    """
    since = draft.routing.verified_since
    if since is None:
        return
    for i in active(draft):
        if draft.evidence.series[i].start is not None:
            continue
        series, analysis = draft.plan.series[i], draft.plan.analyses[draft.plan.series[i].analysis]
        tracks = tuple(
            track
            for track in series.wants
            if draft.routing.last_verified.reaches(track)
            or (analysis.synthetic and track is Track.CANDIDATE)
        )
        begun = (
            max(since, draft.clocks.entered)
            if analysis.name in draft.plan.steps[draft.progress.step].analyses
            else since
        )
        state = evolve(
            draft.evidence.series[i],
            start=begun + analysis.warmup,
            tracks=tracks,
            reading=None,
            retry_at=None,
        )
        replace_series(draft, i, state)
        if analysis.warmup:
            draft.note(
                Unjudged(
                    at=draft.now,
                    analysis=analysis.name,
                    what=series.metric.name,
                    why=f"warm-up of {format_duration(analysis.warmup)}",
                )
            )
        for c in series.checks:
            each = draft.plan.checks[c][1]
            missing = [track.value for track in each.needs if track not in tracks]
            if missing:
                draft.note(
                    Unjudged(
                        at=draft.now,
                        analysis=analysis.name,
                        what=each.id,
                        why=f"dormant: no traffic on {', '.join(missing)}",
                    )
                )


def close_windows(draft: Draft) -> None:
    """The stretch is over: what is not judged yet becomes a tail, to be measured when its numbers
    are complete, or is noted as a gap.
    """
    end = draft.routing.verified_at
    running = active(draft)
    for i, state in enumerate(draft.evidence.series):
        if state.start is None:
            continue
        series, tail = draft.plan.series[i], state.tail
        if i in running and end is not None and state.start < end:
            if series.metric.counter or tail is not None:
                name = draft.plan.analyses[series.analysis].name
                why = (
                    f"the traffic changed {format_duration(end - state.start)} after its last look"
                )
                draft.note(Unjudged(at=draft.now, analysis=name, what=series.metric.name, why=why))
            else:
                tail = Tail(start=state.start, end=end, tracks=state.tracks)
        replace_series(draft, i, evolve(state, start=None, reading=None, retry_at=None, tail=tail))
    draft.evidence = evolve(
        draft.evidence,
        check_states=tuple(
            reset_for_new_traffic(check_state) for check_state in draft.evidence.check_states
        ),
    )


def drop_inactive(draft: Draft) -> None:
    """A step ended: what is measured for it alone stops."""
    running = active(draft)
    for i, state in enumerate(draft.evidence.series):
        if state.start is not None and i not in running:
            replace_series(draft, i, evolve(state, start=None, reading=None, retry_at=None))
            over = draft.plan.series[i].checks
            check_states = tuple(
                reset_for_new_traffic(check_state) if c in over else check_state
                for c, check_state in enumerate(draft.evidence.check_states)
            )
            draft.evidence = evolve(draft.evidence, check_states=check_states)


def restart_windows(draft: Draft) -> None:
    """The clock stepped back: windows begin anew at the new reading; the evidence is kept, and the
    overlap is at most the jump.
    """
    for i, state in enumerate(draft.evidence.series):
        if state.start is None and state.tail is None:
            continue
        replace_series(draft, i, SeriesState(fingerprint=state.fingerprint))
        series = draft.plan.series[i]
        name = draft.plan.analyses[series.analysis].name
        why = "the clock stepped back; its windows begin anew"
        draft.note(Unjudged(at=draft.now, analysis=name, what=series.metric.name, why=why))
    stretches = (
        evolve(check_state, stuck_verdict=None, stuck_looks=0, stuck_since=None, stuck_until=None)
        for check_state in draft.evidence.check_states
    )
    draft.evidence = evolve(draft.evidence, check_states=tuple(stretches))
