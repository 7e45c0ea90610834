"""Stretches: unbroken times in which every read showed the same verified traffic, and the windows
that lie in them.
"""

from __future__ import annotations

from typing import Any

from progressive.analysis.check_state import cooled
from progressive.model.replace import evolve
from progressive.model.traffic import Track
from progressive.model.units import said
from progressive.rollout.notes import Unjudged
from progressive.rollout.state import SeriesState, Tail

from .draft import Turn


def active(turn: Turn) -> tuple[int, ...]:
    """The series that are measured now."""
    return turn.plan.active(turn.progress.step, turn.routing.standing.reaches(Track.CANDIDATE))


def replace_series(turn: Turn, i: int, state: SeriesState, **beside: Any) -> None:
    """One series has another state now; ``beside`` is what of the evidence changes with it."""
    series = turn.evidence.series
    turn.evidence = evolve(turn.evidence, series=(*series[:i], state, *series[i + 1 :]), **beside)


def open_windows(turn: Turn) -> None:
    """A stretch is open: every active series that has no window yet begins one, after its
    warm-up.
    """
    since = turn.routing.verified_since
    if since is None:
        return
    for i in active(turn):
        if turn.evidence.series[i].start is not None:
            continue
        series, analysis = turn.plan.series[i], turn.plan.analyses[turn.plan.series[i].analysis]
        tracks = tuple(
            track
            for track in series.wants
            if turn.routing.standing.reaches(track)
            or (analysis.synthetic and track is Track.CANDIDATE)
        )
        begun = (
            max(since, turn.clocks.entered)
            if analysis.name in turn.plan.steps[turn.progress.step].analyses
            else since
        )
        state = evolve(
            turn.evidence.series[i],
            start=begun + analysis.warmup,
            tracks=tracks,
            reading=None,
            retry_at=None,
        )
        replace_series(turn, i, state)
        if analysis.warmup:
            turn.note(
                Unjudged(
                    at=turn.now,
                    analysis=analysis.name,
                    what=series.metric.name,
                    why=f"warm-up of {said(analysis.warmup)}",
                )
            )
        for c in series.checks:
            each = turn.plan.checks[c][1]
            missing = [track.value for track in each.needs if track not in tracks]
            if missing:
                turn.note(
                    Unjudged(
                        at=turn.now,
                        analysis=analysis.name,
                        what=each.id,
                        why=f"dormant: no traffic on {', '.join(missing)}",
                    )
                )


def close_windows(turn: Turn) -> None:
    """The stretch is over: what is not judged yet becomes a tail, to be measured when its numbers
    are complete, or is noted as a gap.
    """
    end = turn.routing.verified_at
    running = active(turn)
    for i, state in enumerate(turn.evidence.series):
        if state.start is None:
            continue
        series, tail = turn.plan.series[i], state.tail
        if i in running and end is not None and state.start < end:
            if series.metric.counter or tail is not None:
                name = turn.plan.analyses[series.analysis].name
                why = f"the traffic changed {said(end - state.start)} after its last look"
                turn.note(Unjudged(at=turn.now, analysis=name, what=series.metric.name, why=why))
            else:
                tail = Tail(start=state.start, end=end, tracks=state.tracks)
        replace_series(turn, i, evolve(state, start=None, reading=None, retry_at=None, tail=tail))
    turn.evidence = evolve(
        turn.evidence, tallies=tuple(cooled(tally) for tally in turn.evidence.tallies)
    )


def drop_inactive(turn: Turn) -> None:
    """A step ended: what is measured for it alone stops."""
    running = active(turn)
    for i, state in enumerate(turn.evidence.series):
        if state.start is not None and i not in running:
            replace_series(turn, i, evolve(state, start=None, reading=None, retry_at=None))
            over = turn.plan.series[i].checks
            tallies = tuple(
                cooled(tally) if c in over else tally
                for c, tally in enumerate(turn.evidence.tallies)
            )
            turn.evidence = evolve(turn.evidence, tallies=tallies)


def restart_windows(turn: Turn) -> None:
    """The clock stepped back: windows begin anew at the new reading; the evidence is kept, and the
    overlap is at most the jump.
    """
    for i, state in enumerate(turn.evidence.series):
        if state.start is None and state.tail is None:
            continue
        replace_series(turn, i, SeriesState(fingerprint=state.fingerprint))
        series = turn.plan.series[i]
        name = turn.plan.analyses[series.analysis].name
        why = "the clock stepped back; its windows begin anew"
        turn.note(Unjudged(at=turn.now, analysis=name, what=series.metric.name, why=why))
    stretches = (
        evolve(tally, bad=None, bad_looks=0, bad_since=None, bad_until=None)
        for tally in turn.evidence.tallies
    )
    turn.evidence = evolve(turn.evidence, tallies=tuple(stretches))
