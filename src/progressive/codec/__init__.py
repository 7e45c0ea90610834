"""Strict JSON for rollouts, events, notes and strategies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from progressive.lazy import lazily

if TYPE_CHECKING:
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
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            ".documents": (
                "dumps dumps_event dumps_note dumps_strategy loads loads_event loads_note "
                "loads_strategy"
            ),
        },
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
