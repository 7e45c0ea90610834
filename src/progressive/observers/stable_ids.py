"""An id generator for OpenTelemetry's SDK, with which the spans of a rollout that several processes
drove are one tree: ``TracerProvider(id_generator=StableIds())``.
"""

from __future__ import annotations

from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from .trace_ids import WANTED

__all__ = ["StableIds"]


class StableIds(RandomIdGenerator):
    """Derived ids for the spans of rollouts, random ones for all others."""

    stable = True
    """By this `Telemetry` knows it."""

    def generate_trace_id(self) -> int:
        """Return the id of the rollout's trace, or a random one."""
        ids = WANTED.get()
        return super().generate_trace_id() if ids is None else ids.trace

    def generate_span_id(self) -> int:
        """Return the id of the rollout's span, or a random one."""
        ids = WANTED.get()
        return super().generate_span_id() if ids is None else ids.span
