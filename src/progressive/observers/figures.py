"""The figures of rollouts for metrics systems: their names, and what each decision adds to them.

Pure: `Telemetry` and `MetricsPage` both take their figures from here, so they say the same.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from progressive.analysis.contract import Verdict
from progressive.model.measurement import Bad, Counts, Histogram, Kind
from progressive.model.traffic import Track
from progressive.plan.plan import Series
from progressive.rollout.events import CommandFailed, Measured
from progressive.rollout.notes import NOTES as KINDS
from progressive.rollout.notes import (
    Drifted,
    Escalated,
    EventRecorded,
    Judged,
    Late,
    Note,
    PhaseEntered,
)
from progressive.rollout.phases import Phase
from progressive.rollout.state import Rollout

__all__ = ["FIGURES", "Figure", "Form", "Sample", "counted", "levels", "zeros"]

EXACT: Final = 2**53
"""Whole numbers from here on are floats: more than 64 bits would break an exporter."""


class Form(enum.StrEnum):
    """How the values of a figure become one."""

    COUNTER = "counter"
    """They add up."""
    GAUGE = "gauge"
    """The last one stands."""
    HISTOGRAM = "histogram"
    """They are counted by size."""


@attrs.frozen(kw_only=True)
class Figure:
    """One figure.

    * ``name``: in OpenTelemetry's form; ``unit`` is seconds, or a word in braces. Never 1, of which
      some translators make another name in Prometheus and some do not.
    * ``attributes``: whose values are few: names out of the plan and of closed lists. The first is
      always the service; a rollout's id is never among them.
    * ``bounds``: of a histogram's buckets, upper and inclusive, in ``unit``.
    """

    name: str
    form: Form
    unit: str
    says: str
    attributes: tuple[str, ...] = ("progressive.service",)
    bounds: tuple[float, ...] = ()

    @property
    def prometheus(self) -> str:
        """Its name in Prometheus: what OpenTelemetry's own translation makes of it."""
        suffix = "_total" if self.form is Form.COUNTER else ""
        unit = "_seconds" if self.unit == "s" else ""
        return f"{self.name.replace('.', '_')}{unit}{suffix}"

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its attributes in Prometheus."""
        return tuple(name.replace(".", "_") for name in self.attributes)

    def of(self, rollout: Rollout, value: float, *values: str) -> Sample:
        """Return one value; ``values`` are those of the attributes after the service."""
        return Sample(figure=self, value=value, values=(rollout.release.service, *values))


@attrs.frozen(kw_only=True)
class Sample:
    """One value of a figure, with the values of its attributes in their order: an addition to a
    counter, the state of a gauge, or one more value of a histogram.
    """

    figure: Figure
    value: float
    values: tuple[str, ...]


def _figure(name: str, form: Form, unit: str, says: str, *attributes: str) -> Figure:
    names = tuple(f"progressive.{each}" for each in ("service", *attributes))
    return Figure(
        name=f"progressive.rollout.{name}", form=form, unit=unit, says=says, attributes=names
    )


ASKED: Final = _figure(
    "weight.asked",
    Form.GAUGE,
    "{share}",
    "Share of the requests that the router shall send.",
    "track",
)
SERVED: Final = _figure(
    "weight.served",
    Form.GAUGE,
    "{share}",
    "Share that the router had when it was last read.",
    "track",
)
PHASE: Final = _figure("phase", Form.GAUGE, "", "1 for the phase it is in, 0 for others.", "phase")
STEP: Final = _figure("step", Form.GAUGE, "{step}", "Position of the current step, from 1.")
STEPS: Final = _figure("steps", Form.GAUGE, "{step}", "How many steps the plan has.")
DUE: Final = _figure(
    "due", Form.GAUGE, "s", "When it is to be driven next, in Unix time; 0 once it is final."
)
NOTES: Final = _figure("notes", Form.COUNTER, "{note}", "What was noted, by the kind.", "kind")
TRANSITIONS: Final = _figure(
    "transitions", Form.COUNTER, "{transition}", "Steps and phases that were entered.", "phase"
)
VERDICTS: Final = _figure(
    "verdicts",
    Form.COUNTER,
    "{verdict}",
    "Verdicts of checks on looks.",
    "analysis",
    "check",
    "verdict",
)
REQUESTS: Final = _figure(
    "requests",
    Form.COUNTER,
    "{request}",
    "Requests the candidate met, as one analysis counted them by one metric.",
    "analysis",
    "metric",
)
HARMED: Final = _figure(
    "requests.harmed",
    Form.COUNTER,
    "{request}",
    "Those of them that the metric, of which more is worse, counted as events.",
    "analysis",
    "metric",
)
FAILURES: Final = _figure(
    "failures",
    Form.COUNTER,
    "{failure}",
    "Commands to routers, metrics, hooks and others that failed.",
    "command",
    "failure",
)
DRIFTS: Final = _figure(
    "drifts", Form.COUNTER, "{drift}", "Times that the router served what nobody asked for."
)
ESCALATIONS: Final = _figure(
    "escalations", Form.COUNTER, "{escalation}", "Times that a person was needed at once."
)
LATENESS: Final = attrs.evolve(
    _figure("lateness", Form.HISTOGRAM, "s", "How long nobody watched, beyond what the plan has."),
    bounds=(1, 5, 15, 60, 300, 900, 3600, 14400, 86400),
)

FIGURES: Final = (
    ASKED,
    SERVED,
    PHASE,
    STEP,
    STEPS,
    DUE,
    NOTES,
    TRANSITIONS,
    VERDICTS,
    REQUESTS,
    HARMED,
    FAILURES,
    DRIFTS,
    ESCALATIONS,
    LATENESS,
)
"""Every figure there is, in the order of the page."""


def levels(rollout: Rollout, notes: Sequence[Note]) -> Iterator[Sample]:
    """Yield the gauges after a tick that noted this.

    None for what a final rollout still does: the service may have another rollout by then.
    """
    if rollout.final and not any(isinstance(note, PhaseEntered) for note in notes):
        return
    routing, status = rollout.routing, rollout.status
    for track in rollout.release.versions:
        yield ASKED.of(rollout, routing.desired.share(track).ppm / 1e6, track.value)
        if routing.observed is not None:
            share = routing.observed.traffic.share(track).ppm / 1e6
            yield SERVED.of(rollout, share, track.value)
    for phase in Phase:
        yield PHASE.of(rollout, int(phase is rollout.phase), phase.value)
    yield STEP.of(rollout, status.position)
    yield STEPS.of(rollout, status.steps)
    due = None if rollout.final else rollout.wake_at
    yield DUE.of(rollout, 0 if due is None else due.timestamp())


def counted(rollout: Rollout, notes: Sequence[Note]) -> Iterator[Sample]:
    """Yield what these notes add to the counters and histograms."""
    for note in notes:
        yield NOTES.of(rollout, 1, note.kind)
        match note:
            case PhaseEntered(phase=phase):
                yield TRANSITIONS.of(rollout, 1, phase)
            case Judged(analysis=analysis, check=check, verdict=verdict):
                yield VERDICTS.of(rollout, 1, analysis, check, verdict)
            case Late(by=by):
                yield LATENESS.of(rollout, by.total_seconds())
            case Drifted():
                yield DRIFTS.of(rollout, 1)
            case Escalated():
                yield ESCALATIONS.of(rollout, 1)
            case EventRecorded(event=CommandFailed(command=command, failure=failure)):
                yield FAILURES.of(rollout, 1, command, failure.value)
            case EventRecorded(event=Measured() as event):
                yield from _met(rollout, event)
            case _:
                pass


def zeros(rollout: Rollout) -> Iterator[Sample]:
    """Yield a 0 for each counter that a rollout may raise, before it does: a system that has never
    seen one can't tell how far it rose. Failures have none, of which there are too many kinds.
    """
    for figure in (DRIFTS, ESCALATIONS):
        yield figure.of(rollout, 0)
    for kind in KINDS:
        yield NOTES.of(rollout, 0, kind.kind)  # type: ignore[attr-defined]
    for phase in Phase:
        yield TRANSITIONS.of(rollout, 0, phase.value)
    for planned in rollout.plan.checks:
        for verdict in Verdict:
            yield VERDICTS.of(rollout, 0, planned.analysis.name, planned.check.id, verdict.value)
    for series in _of_users(rollout):
        if series.metric.kind in (Kind.RATIO, Kind.LATENCY):
            yield REQUESTS.of(rollout, 0, series.analysis.name, series.metric.name)
        if series.metric.kind is Kind.RATIO and series.metric.bad is Bad.UP:
            yield HARMED.of(rollout, 0, series.analysis.name, series.metric.name)


def _of_users(rollout: Rollout) -> Iterator[Series]:
    """Yield the series of requests that users have sent: those of load tests are not."""
    return (each for each in rollout.plan.series if not each.analysis.synthetic)


def _met(rollout: Rollout, event: Measured) -> Iterator[Sample]:
    """Yield the requests in a look; those of the preflight are of no series."""
    measured = event.look.of(Track.CANDIDATE)
    for series in _of_users(rollout):
        names = series.analysis.name, series.metric.name
        if names[0] not in event.analyses or names[1] != event.look.metric:
            continue
        if isinstance(measured, Counts | Histogram):
            yield REQUESTS.of(rollout, _number(measured.sample), *names)
        if isinstance(measured, Counts) and series.metric.bad is Bad.UP:
            yield HARMED.of(rollout, _number(measured.events), *names)


def _number(count: int) -> float:
    return count if count < EXACT else float(count)
