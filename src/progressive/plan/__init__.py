"""A plan as data: its steps, guards, gates and deadlines, and its validation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from progressive.lazy import lazily

if TYPE_CHECKING:
    from .plan import Guard, Plan, Strategy
    from .step import Advance, Approved, Deadline, Done, Failed, Halt, Kinds, Situation, Step, Wait
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            ".plan": "Guard Plan Strategy",
            ".step": "Advance Approved Deadline Done Failed Halt Kinds Situation Step Wait",
        },
    )

__all__ = [
    "Advance",
    "Approved",
    "Deadline",
    "Done",
    "Failed",
    "Guard",
    "Halt",
    "Kinds",
    "Plan",
    "Situation",
    "Step",
    "Strategy",
    "Wait",
]
