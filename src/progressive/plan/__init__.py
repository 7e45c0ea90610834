"""What shall happen, as data: steps, guards, gates and deadlines, and what makes a plan valid."""

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
