"""Check, before the first percent, that everything the plan needs is there and the router obeys.

In this order, and nothing is written before the last: the caller's bindings and the router's
capabilities; live traffic is really on stable; every metric answers; then a write that changes
nothing, which proves that the router can be written and claims its marker.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from progressive.analysis.analysis import PREFLIGHT
from progressive.model.measurement import Gauge, NoAnswer, Window
from progressive.model.replace import evolve
from progressive.model.traffic import ALL_STABLE, Track
from progressive.model.units import format_duration, seconds
from progressive.rollout.commands import Measure
from progressive.rollout.events import Inspected, Measured
from progressive.rollout.notes import EventRecorded, Unjudged
from progressive.rollout.phases import Phase
from progressive.rollout.state import Probe

from .capacity import unready
from .draft import Draft
from .transitions import enter_phase, finish, roll_back

RETRY_PROBE: Final = seconds(5)
"""The time until a metric that did not answer is asked again."""

SOON: Final = seconds(1)
"""The time from a counter's opening reading to the question what has come since."""

LOOK_BACK: Final = seconds(60)
"""The length of the window of a system with history; it ends where numbers are complete."""

ON_ITS_OWN_SIDE: Final = (
    "requests that don't reach the candidate (refused, ejected, answered by a proxy): it counts on "
    "the version's own side, which shows them only as missing"
)

ALL_ZERO: Final = (
    "stable's value is exactly 0; if it can't be that, the query finds nothing, and the system "
    "says 0 for it: ask for the number of things too"
)

TRACKS: Final = (Track.STABLE, Track.CANDIDATE)


def inspected(draft: Draft, event: Inspected) -> None:
    """Absorb what the caller has bound; roll back if anything is missing."""
    if draft.progress.phase is not Phase.PENDING:
        draft.refuse(event, "preflight is over")
        return
    draft.routing = evolve(
        draft.routing,
        inspected=True,
        undo=event.undo,
        reassert=event.reassert,
        sticky=event.sticky,
    )
    if event.resolutions:
        known = dict(event.resolutions)
        states = [
            evolve(state, resolution=known.get(series.metric.name))
            for series, state in zip(draft.plan.series, draft.evidence.series, strict=True)
        ]
        draft.evidence = evolve(draft.evidence, series=tuple(states))
    if event.fleet:
        draft.instances = evolve(draft.instances, bound=True)
    for metric in event.callee:
        draft.note(Unjudged(at=draft.now, analysis=PREFLIGHT, what=metric, why=ON_ITS_OWN_SIDE))
    if event.problems:
        draft.note(EventRecorded(at=draft.now, event=event))
        roll_back(draft, f"the plan can't be driven like this: {'; '.join(event.problems)}")


def answered(draft: Draft, event: Measured) -> None:
    """Absorb the answer of a metric, or that it did not answer."""
    for i, probe in enumerate(draft.evidence.probes):
        if probe.metric != event.look.metric or probe.answered:
            continue
        stable, candidate = event.look.of(Track.STABLE), event.look.of(Track.CANDIDATE)
        broken = next(
            (answer.why for answer in (stable, candidate) if isinstance(answer, NoAnswer)), None
        )
        fine = broken is None and stable.sample > 0
        why = "" if fine else broken or str(getattr(stable, "why", "no data"))
        has_opened = probe.reading is None and event.look.reading is not None
        retry_after = SOON if has_opened else RETRY_PROBE
        updated = Probe(
            metric=probe.metric,
            start=event.look.covered.end if event.look.reading is not None else probe.start,
            reading=event.look.reading,
            retry_at=None if fine else event.at + retry_after,
            answered=fine,
            why=why,
        )
        if fine and isinstance(stable, Gauge) and not any(stable.samples) and draft.clocks.readings:
            draft.note(Unjudged(at=draft.now, analysis=PREFLIGHT, what=probe.metric, why=ALL_ZERO))
        probes = draft.evidence.probes
        draft.evidence = evolve(draft.evidence, probes=(*probes[:i], updated, *probes[i + 1 :]))
        draft.note(EventRecorded(at=draft.now, event=event))
        return
    draft.refuse(event, "it was not asked, or has answered")


def looks(draft: Draft) -> tuple[Measure, ...]:
    """Return the looks of the metrics that have not answered yet and are due now."""
    asked = []
    for probe, metric in zip(draft.evidence.probes, draft.plan.metrics, strict=False):
        if probe.answered:
            continue
        if probe.retry_at is not None and draft.now < probe.retry_at:
            draft.look_again(probe.retry_at)
            continue
        if metric.counter:
            window = Window(
                probe.start, probe.start if probe.reading is None else max(draft.now, probe.start)
            )
        else:
            window = Window(draft.now - metric.lag - LOOK_BACK, draft.now - metric.lag)
        asked.append(
            Measure(
                metric=metric,
                tracks=TRACKS,
                window=window,
                since=probe.reading,
                analyses=(PREFLIGHT,),
            )
        )
    return tuple(asked)


def cleared(draft: Draft) -> bool:
    """Return whether all is checked but the first write."""
    return (
        draft.routing.inspected
        and draft.routing.observed is not None
        and all(probe.answered for probe in draft.evidence.probes)
        and unready(draft) is None
    )


def pending(draft: Draft) -> bool:
    """Begin the rollout if preflight has passed, end it if that can't be. True if it did either."""
    routing, plan = draft.routing, draft.plan
    served = routing.observed
    if routing.ownership_confirmed:
        draft.evidence = evolve(draft.evidence, probes=())
        enter_phase(
            draft, Phase.PROGRESSING, "preflight passed: the router obeys, the metrics answer"
        )
        return True
    if (
        served is not None
        and not (routing.any_write_sent and draft.owns(served.marker))
        and (served.traffic != ALL_STABLE or served.unattributed.ppm)
    ):
        elsewhere = f", {served.unattributed} elsewhere" if served.unattributed.ppm else ""
        # Where another's marker stands, no claim of ours was done that was not undone since.
        draft.routing = evolve(routing, any_write_sent=False)
        finish(
            draft,
            Phase.ROLLED_BACK,
            f"live traffic is not all on {Track.STABLE.label(draft.release)} before the "
            f"start ({served.traffic}{elsewhere}); nothing was written. Take it back first, or "
            "begin with the version that serves now as stable",
        )
        return True
    if served is not None:
        for track, identity in served.identities:
            version = track.version(draft.release)
            if version is not None and identity != version.identity:
                finish(
                    draft,
                    Phase.ROLLED_BACK,
                    f"{track.label(draft.release)} really runs {identity}; nothing was written",
                )
                return True
    left: timedelta = plan.preflight - draft.counted
    missing = _missing(draft)
    if left <= timedelta() and not draft.clocks.gap:
        roll_back(
            draft,
            f"preflight took longer than {format_duration(plan.preflight)}: waited for {missing}",
        )
        return True
    draft.wait(missing, left=left, then="roll back")
    return False


def _missing(draft: Draft) -> str:
    """Name the first thing that preflight waits for."""
    if draft.routing.observed is None:
        return "the router to be read"
    silent = [
        f"{probe.metric}{f' ({probe.why})' if probe.why else ''}"
        for probe in draft.evidence.probes
        if not probe.answered
    ]
    if silent:
        return f"{', '.join(silent)} to answer for {Track.STABLE.label(draft.release)}"
    return unready(draft) or "the router to take a write that changes nothing"
