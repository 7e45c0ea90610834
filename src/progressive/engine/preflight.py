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
from progressive.model.traffic import Track
from progressive.model.units import said, seconds
from progressive.rollout.commands import Measure
from progressive.rollout.events import Inspected, Measured
from progressive.rollout.notes import Happened
from progressive.rollout.phases import Phase
from progressive.rollout.state import Probe

from .capacity import unready
from .draft import NOTHING, Turn
from .transitions import end, enter, go_back

AGAIN: Final = seconds(5)
"""Until a metric that gave nothing is asked again."""

SOON: Final = seconds(1)
"""Until a counter that gave its opening reading is asked what has come since."""

LOOK_BACK: Final = seconds(60)
"""A system with history is asked about the last minute whose numbers are complete."""

TRACKS: Final = (Track.STABLE, Track.CANDIDATE)


def inspected(turn: Turn, event: Inspected) -> None:
    """What the caller has bound."""
    if turn.progress.phase is not Phase.PENDING:
        turn.refuse(event, "preflight is over")
        return
    turn.routing = evolve(turn.routing, inspected=True, undo=event.undo)
    if event.fleet:
        turn.instances = evolve(turn.instances, bound=True)
    if event.problems:
        turn.note(Happened(at=turn.now, event=event))
        go_back(turn, f"the plan can't be driven like this: {'; '.join(event.problems)}")


def answered(turn: Turn, event: Measured) -> None:
    """A metric answered, or did not."""
    for i, probe in enumerate(turn.evidence.probes):
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
            + (SOON if probe.reading is None and event.look.reading is not None else AGAIN),
            answered=fine,
            why=why,
        )
        probes = turn.evidence.probes
        turn.evidence = evolve(turn.evidence, probes=(*probes[:i], again, *probes[i + 1 :]))
        turn.note(Happened(at=turn.now, event=event))
        return
    turn.refuse(event, "it was not asked, or has answered")


def looks(turn: Turn) -> tuple[Measure, ...]:
    """The metrics to ask now."""
    asked = []
    for probe, metric in zip(turn.evidence.probes, turn.plan.metrics, strict=False):
        if probe.answered:
            continue
        if probe.retry_at is not None and turn.now < probe.retry_at:
            turn.look_again(probe.retry_at)
            continue
        if metric.counter:
            window = Window(
                probe.start, probe.start if probe.reading is None else max(turn.now, probe.start)
            )
        else:
            window = Window(turn.now - metric.lag - LOOK_BACK, turn.now - metric.lag)
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


def cleared(turn: Turn) -> bool:
    """Is there nothing left but the claim?"""
    return (
        turn.routing.inspected
        and turn.routing.served is not None
        and all(probe.answered for probe in turn.evidence.probes)
        and unready(turn) is None
    )


def pending(turn: Turn) -> bool:
    """Take a rollout that has not begun as far as it can go. True if its phase changed."""
    routing, plan = turn.routing, turn.plan
    served = routing.served
    if routing.claimed:
        turn.evidence = evolve(turn.evidence, probes=())
        enter(turn, Phase.PROGRESSING, "preflight passed: the router obeys, the metrics answer")
        return True
    if (
        served is not None
        and not routing.touched
        and (served.traffic != NOTHING or served.elsewhere.ppm)
    ):
        found = (
            f"{served.traffic}{f', {served.elsewhere} elsewhere' if served.elsewhere.ppm else ''}"
        )
        end(
            turn,
            Phase.ROLLED_BACK,
            f"live traffic is not all on {Track.STABLE.label(turn.release)} before the "
            f"start ({found}); nothing was written",
        )
        return True
    if served is not None:
        for track, identity in served.identities:
            version = track.version(turn.release)
            if version is not None and identity != version.identity:
                end(
                    turn,
                    Phase.ROLLED_BACK,
                    f"{track.label(turn.release)} really runs {identity}; nothing was written",
                )
                return True
    left: timedelta = plan.preflight - turn.clocks.stepped
    what = _missing(turn)
    if left <= timedelta():
        go_back(turn, f"preflight took longer than {said(plan.preflight)}: waited for {what}")
        return True
    turn.wait(what, until=turn.now + left, then="roll back")
    return False


def _missing(turn: Turn) -> str:
    if turn.routing.served is None:
        return "the router to be read"
    silent = [
        f"{probe.metric}{f' ({probe.why})' if probe.why else ''}"
        for probe in turn.evidence.probes
        if not probe.answered
    ]
    if silent:
        return f"{', '.join(silent)} to answer for {Track.STABLE.label(turn.release)}"
    return unready(turn) or "the router to take a write that changes nothing"
