"""Before the first per cent: is everything that the plan needs there, and does the router obey?

In this order, and nothing is touched before the last: the caller's bindings and the router's
capabilities; live traffic really on stable; every metric answers; then a write that changes
nothing, which proves that the router can be written and claims its marker.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from progressive.analysis.analysis import PREFLIGHT
from progressive.model.measurement import NoAnswer, Window
from progressive.model.replace import evolve
from progressive.model.traffic import ALL_STABLE, Track
from progressive.model.units import format_duration, seconds
from progressive.rollout.commands import Measure
from progressive.rollout.events import Inspected, Measured
from progressive.rollout.notes import EventRecorded
from progressive.rollout.phases import Phase
from progressive.rollout.state import Probe

from .capacity import unready
from .draft import Draft
from .transitions import enter_phase, finish, roll_back

RETRY_PROBE: Final = seconds(5)
"""Until a metric that gave nothing is asked again."""

SOON: Final = seconds(1)
"""Until a counter that gave its opening reading is asked what has come since."""

LOOK_BACK: Final = seconds(60)
"""A system with history is asked about the last minute whose numbers are complete."""

TRACKS: Final = (Track.STABLE, Track.CANDIDATE)


def inspected(draft: Draft, event: Inspected) -> None:
    """What the caller has bound."""
    if draft.progress.phase is not Phase.PENDING:
        draft.refuse(event, "preflight is over")
        return
    draft.routing = evolve(draft.routing, inspected=True, undo=event.undo)
    if event.fleet:
        draft.instances = evolve(draft.instances, bound=True)
    if event.problems:
        draft.note(EventRecorded(at=draft.now, event=event))
        roll_back(draft, f"the plan can't be driven like this: {'; '.join(event.problems)}")


def answered(draft: Draft, event: Measured) -> None:
    """A metric answered, or did not."""
    for i, probe in enumerate(draft.evidence.probes):
        if probe.metric != event.look.metric or probe.answered:
            continue
        stable, candidate = event.look.of(Track.STABLE), event.look.of(Track.CANDIDATE)
        broken = next(
            (found.why for found in (stable, candidate) if isinstance(found, NoAnswer)), None
        )
        fine = broken is None and stable.sample > 0
        why = "" if fine else broken or str(getattr(stable, "why", "no data"))
        again = Probe(
            metric=probe.metric,
            start=event.look.covered.end if event.look.reading is not None else probe.start,
            reading=event.look.reading,
            retry_at=None
            if fine
            else event.at
            + (SOON if probe.reading is None and event.look.reading is not None else RETRY_PROBE),
            answered=fine,
            why=why,
        )
        probes = draft.evidence.probes
        draft.evidence = evolve(draft.evidence, probes=(*probes[:i], again, *probes[i + 1 :]))
        draft.note(EventRecorded(at=draft.now, event=event))
        return
    draft.refuse(event, "it was not asked, or has answered")


def looks(draft: Draft) -> tuple[Measure, ...]:
    """The metrics to ask now."""
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
    """Is there nothing left but the claim?"""
    return (
        draft.routing.inspected
        and draft.routing.observed is not None
        and all(probe.answered for probe in draft.evidence.probes)
        and unready(draft) is None
    )


def pending(draft: Draft) -> bool:
    """Take a rollout that has not begun as far as it can go. True if its phase changed."""
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
        and not routing.any_write_sent
        and (served.traffic != ALL_STABLE or served.unattributed.ppm)
    ):
        lost = served.unattributed
        found = f"{served.traffic}{f', {lost} elsewhere' if lost.ppm else ''}"
        finish(
            draft,
            Phase.ROLLED_BACK,
            f"live traffic is not all on {Track.STABLE.label(draft.release)} before the "
            f"start ({found}); nothing was written",
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
    left: timedelta = plan.preflight - draft.clocks.stepped
    what = _missing(draft)
    if left <= timedelta():
        roll_back(
            draft,
            f"preflight took longer than {format_duration(plan.preflight)}: waited for {what}",
        )
        return True
    draft.wait(what, until=draft.now + left, then="roll back")
    return False


def _missing(draft: Draft) -> str:
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
