"""Strict JSON for rollouts, events, notes and strategies; approvals by link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from progressive.lazy import lazily

if TYPE_CHECKING:
    from .approval_links import approval_link, read_approval
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
    from .json_schema import strategy_schema
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            ".approval_links": "approval_link read_approval",
            ".documents": (
                "dumps dumps_event dumps_note dumps_strategy loads loads_event loads_note "
                "loads_strategy"
            ),
            ".json_schema": "strategy_schema",
        },
    )

__all__ = [
    "approval_link",
    "dumps",
    "dumps_event",
    "dumps_note",
    "dumps_strategy",
    "loads",
    "loads_event",
    "loads_note",
    "loads_strategy",
    "read_approval",
    "strategy_schema",
]
