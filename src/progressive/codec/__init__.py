"""Strict JSON for rollouts, events, notes and strategies."""

from __future__ import annotations

from .documents import (
    dumps,
    dumps_event,
    dumps_note,
    dumps_strategy,
    loads,
    loads_event,
    loads_note,
    loads_strategy,
)

__all__ = [
    "dumps",
    "dumps_event",
    "dumps_note",
    "dumps_strategy",
    "loads",
    "loads_event",
    "loads_note",
    "loads_strategy",
]
