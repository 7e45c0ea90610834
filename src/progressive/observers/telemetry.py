"""Traces and metrics of rollouts by OpenTelemetry: `Telemetry`.

::

    telemetry = Telemetry(store)
    ports = Ports(..., store=store, observers=[telemetry])

It needs the API alone (``pip install progressive-delivery[opentelemetry]``); your program brings
the SDK and says where the spans and metrics go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import RLock
from typing import Final

try:
    from opentelemetry import metrics, trace
    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import (
        NonRecordingSpan,
        SpanContext,
        Status,
        StatusCode,
        TraceFlags,
        TracerProvider,
    )
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "Telemetry needs OpenTelemetry's API: pip install 'progressive-delivery[opentelemetry]'"
    ) from error

from progressive.errors import StrategyError
from progressive.ports import Store
from progressive.rollout.notes import Note
from progressive.rollout.state import Rollout

from .catching_up import CatchingUp, Told, moves
from .figures import FIGURES, Figure, Form, Sample, counted, levels, zeros
from .spans import Span, Trail
from .trace_ids import ROOT, ids_of, traceparent, wanted

__all__ = ["Telemetry", "traceparent"]

SCOPE: Final = "progressive"
"""The name of the instrumentation."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Telemetry:
    """An observer that emits a trace of each rollout, and metrics of all of them. Safe for threads.

    A span is emitted by the process that sees its end, with the times of the notes: a step, a hold
    and a way back from entered to left, a look from the start of its window to the end, a write
    from asked to read back, and last the whole rollout. All of a rollout are one trace, whoever
    drives it, because its id is derived (`traceparent`).

    * ``store``: that of the rollouts, out of which it knows what began in another process and what
      people submitted. None if you keep rollouts yourself: then a span that began elsewhere begins
      with what this process saw first, and says ``progressive.partial``.
    * ``tracer_provider``, ``meter_provider``: by default the global ones.

    With `StableIds` in the SDK's provider, the spans are a tree: the rollout, its steps, and within
    them looks and writes. The API alone can't choose the id of a span; without `StableIds` all of
    them, that of the rollout included, stand beside each other under a parent that nobody emits.
    """

    def __init__(
        self,
        store: Store | None,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._known, self._tracers = CatchingUp(store, "Telemetry"), tracer_provider
        self._record = _instruments(meter_provider)
        self._trails: dict[str, Trail] = {}
        self._lock = RLock()

    def __call__(self, rollout: Rollout, notes: Sequence[Note]) -> None:
        """Emit what a tick ended, and what it adds to the metrics."""
        with self._lock:
            told = self._known.told(rollout, notes)
            for sample in (
                *(() if rollout.id in self._trails else zeros(rollout)),
                *counted(rollout, told.new),
                *levels(rollout, told.new),
            ):
                self._record[sample.figure](sample)
            for span in self._trail(rollout, told).of(told.new):
                self._emit(rollout, span)
            if rollout.over:
                del self._trails[rollout.id]

    @contextmanager
    def driving(self, rollout: Rollout) -> Iterator[None]:
        """Emit at the end what a person has ended meanwhile, of which no tick tells."""
        with self._known.driving(rollout) as ended:
            yield
        for stored in ended:
            self(stored, ())

    def resend(self, id: str) -> int:
        """Emit every span of a rollout that is over once more, out of the store; how many.

        For what a process that was killed took with it. With `StableIds` the ids are the same as
        the first time. Raises `StrategyError` without a store or such a rollout, and `StoreError`
        and `StateError`.
        """
        found = self._known.load(id)
        if found is None:
            raise StrategyError(
                f"Telemetry.resend: there is no rollout {id!r}; write Telemetry(store) with the "
                "store that has it"
            )
        rollout, notes = found
        spans = Trail(rollout).of(notes)
        for span in spans:
            self._emit(rollout, span)
        return len(spans)

    def _trail(self, rollout: Rollout, told: Told) -> Trail:
        """Return the trail up to what is new: what is kept, or made again of what the store has,
        where others may have added to a span.
        """
        trail = self._trails.get(rollout.id)
        if told.before is not None:
            trail = Trail(rollout)
            trail.of(told.before)
        elif trail is None:
            trail = Trail(rollout, whole=moves(told.new) == rollout.epoch)
        self._trails[rollout.id] = trail
        return trail

    def _emit(self, rollout: Rollout, span: Span) -> None:
        provider = self._tracers or trace.get_tracer_provider()
        stable = getattr(getattr(provider, "id_generator", None), "stable", False) is True
        context = Context()
        if span.key != ROOT or not stable:
            parent = ids_of(rollout, span.parent if stable else ROOT)
            flags = TraceFlags(TraceFlags.SAMPLED)
            remote = SpanContext(parent.trace, parent.span, is_remote=True, trace_flags=flags)
            context = trace.set_span_in_context(NonRecordingSpan(remote), context)
        with wanted(ids_of(rollout, span.key)):
            emitted = provider.get_tracer(SCOPE).start_span(
                span.name, context, attributes=span.attributes, start_time=_ns(span.start)
            )
        for event in span.events:
            emitted.add_event(event.name, event.attributes, timestamp=_ns(event.at))
        if span.error:
            emitted.set_status(Status(StatusCode.ERROR, span.error))
        emitted.end(_ns(span.end))


def _instruments(provider: MeterProvider | None) -> dict[Figure, Callable[[Sample], None]]:
    """Make an instrument for each figure; what is returned records one value."""
    meter = metrics.get_meter(SCOPE, meter_provider=provider)
    made: dict[Figure, Callable[[Sample], None]] = {}
    for figure in FIGURES:
        name, unit, says = figure.name, figure.unit, figure.says
        record: Callable[[float, dict[str, str]], None]
        match figure.form:
            case Form.COUNTER:
                record = meter.create_counter(name, unit, says).add
            case Form.GAUGE:
                record = meter.create_gauge(name, unit, says).set
            case _:
                record = meter.create_histogram(
                    name, unit, says, explicit_bucket_boundaries_advisory=figure.bounds
                ).record
        made[figure] = _recorder(record)
    return made


def _recorder(record: Callable[[float, dict[str, str]], None]) -> Callable[[Sample], None]:
    def of(sample: Sample) -> None:
        record(sample.value, dict(zip(sample.figure.attributes, sample.values, strict=True)))

    return of


def _ns(at: datetime) -> int:
    """The time in nanoseconds since 1970, exactly."""
    return (at - EPOCH) // timedelta(microseconds=1) * 1000
