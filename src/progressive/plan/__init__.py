"""A plan as data: its steps, guards, gates and deadlines, and its validation."""

from __future__ import annotations

from .plan import Guard, Plan, Strategy
from .step import Advance, Approved, Deadline, Done, Failed, Halt, Kinds, Situation, Step, Wait

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
