"""Open and close the windows of measurement.

Each lies inside one stable period: an unbroken time in which every read showed the same verified
traffic.
"""

from __future__ import annotations

from typing import Any

from progressive.analysis.check_state import reset_for_new_traffic
from progressive.model.measurement import Look
from progressive.model.replace import evolve
from progressive.model.traffic import Track
from progressive.model.units import format_duration
from progressive.plan.plan import Series
from progressive.rollout.notes import Unjudged
from progressive.rollout.phases import Phase
from progressive.rollout.state import SeriesState, Tail

from .draft import Draft


def active(draft: Draft) -> tuple[Series, ...]:
    """Return the series that are measured now."""
    served = draft.routing.last_verified
    reached = served.candidate.ppm > 0 or bool(served.matches)
    return draft.plan.active(draft.progress.step, reached)


def replace_series(draft: Draft, series: Series, state: SeriesState, **beside: Any) -> None:
    """Replace the state of one series, and the fields of the evidence in ``beside`` with it."""
    i, states = series.index, draft.evidence.series
    draft.evidence = evolve(draft.evidence, series=(*states[:i], state, *states[i + 1 :]), **beside)


def open_windows(draft: Draft) -> None:
    """Open a window, after the warm-up, for every active series that has none.

    It has no effect outside a stable period, unless it is not known for long already what is
    served. A check that needs a track without traffic is noted as dormant.
    """
    since, served = draft.routing.verified_since, draft.routing.last_verified
    if since is None:
        if not draft.unsure or draft.progress.phase not in (Phase.PROGRESSING, Phase.HELD):
            return
        since = draft.latest
        if draft.routing.observed is not None and draft.routing.observed.traffic.exceeds(served):
            served = draft.routing.observed.traffic
    for series in active(draft):
        state, analysis = draft.evidence.series_state(series), series.analysis
        if state.start is not None:
            continue
        tracks = tuple(
            track
            for track in series.measured_tracks
            if served.reaches(track) or (analysis.synthetic and track is Track.CANDIDATE)
        )
        of_this_step = analysis.name in draft.plan.steps[draft.progress.step].analyses
        begun = max(since, draft.clocks.entered) if of_this_step else since
        start = begun + analysis.warmup
        opened = evolve(state, start=start, tracks=tracks, reading=None, retry_at=None)
        replace_series(draft, series, opened)
        if analysis.warmup:
            _note_gap(draft, series, f"warm-up of {format_duration(analysis.warmup)}")
        for planned in series.checks:
            missing = [track.value for track in planned.required_tracks if track not in tracks]
            if missing:
                draft.note(
                    Unjudged(
                        at=draft.now,
                        analysis=analysis.name,
                        what=planned.check.id,
                        why=f"dormant: no traffic on {', '.join(missing)}",
                    )
                )


def close_windows(draft: Draft) -> None:
    """Close all windows at the end of a stable period.

    The time that is not judged yet becomes a `Tail`, to be measured when its numbers are complete,
    or is noted as a gap.
    """
    end = draft.routing.verified_at
    running = active(draft)
    for series, state in zip(draft.plan.series, draft.evidence.series, strict=True):
        if state.start is None:
            continue
        tail = state.tail
        if series in running and end is not None and state.start < end:
            if series.metric.counter or tail is not None:
                late = format_duration(end - state.start)
                _note_gap(draft, series, f"the traffic changed {late} after its last look")
            else:
                tail = Tail(start=state.start, end=end, tracks=state.tracks)
        closed = evolve(
            state, start=None, reading=None, retry_at=None, tail=tail, split=None, refused=0
        )
        replace_series(draft, series, closed)
    draft.evidence = evolve(
        draft.evidence,
        check_states=tuple(
            reset_for_new_traffic(check_state) for check_state in draft.evidence.check_states
        ),
    )


def drop_inactive(draft: Draft) -> None:
    """Close the windows of series that were measured for the step before alone."""
    running = active(draft)
    for series, state in zip(draft.plan.series, draft.evidence.series, strict=True):
        if state.start is not None and series not in running:
            check_states = list(draft.evidence.check_states)
            for planned in series.checks:
                check_states[planned.index] = reset_for_new_traffic(check_states[planned.index])
            closed = evolve(state, start=None, reading=None, retry_at=None, split=None)
            replace_series(draft, series, closed, check_states=tuple(check_states))


def restart_windows(draft: Draft) -> None:
    """Restart all windows after the clock stepped back.

    The evidence is kept; what is measured twice is at most the size of the step.
    """
    for series, state in zip(draft.plan.series, draft.evidence.series, strict=True):
        if state.start is None and state.tail is None:
            continue
        replace_series(
            draft, series, SeriesState(fingerprint=state.fingerprint, resolution=state.resolution)
        )
        _note_gap(draft, series, "the clock stepped back; its windows begin anew")
    unstuck = (
        evolve(
            check_state,
            stuck_verdict=None,
            stuck_looks=0,
            stuck_since=None,
            stuck_until=None,
            unanswered_since=None,
        )
        for check_state in draft.evidence.check_states
    )
    draft.evidence = evolve(draft.evidence, check_states=tuple(unstuck))


def leave_out(
    draft: Draft, series: Series, state: SeriesState, look: Look, why: str
) -> SeriesState:
    """Return the state of a series that goes on after a look that can't be judged, and note the
    gap.

    What makes it so lies somewhere in its window, and would for ever.
    """
    window = look.window
    span = f"{window.start.isoformat()} to {window.end.isoformat()}"
    _note_gap(draft, series, f"{span} is left out: {why}")
    if state.tail is not None and window.start == state.tail.start:
        return evolve(state, tail=None, retry_at=None, refused=0)
    return evolve(state, start=window.end, retry_at=None, refused=0)


def _note_gap(draft: Draft, series: Series, why: str) -> None:
    draft.note(
        Unjudged(at=draft.now, analysis=series.analysis.name, what=series.metric.name, why=why)
    )
