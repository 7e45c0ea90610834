"""The contracts of whatever compares the candidate with its control over all looks: to find harm, and to exclude it."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import attrs

from progressive.model.actions import Memory
from progressive.model.measurement import Measurement

__all__ = ["Acceptance", "Comparison", "Numbers", "Question"]

Numbers: TypeAlias = tuple[tuple[str, float], ...]


@attrs.frozen(kw_only=True)
class Question:
    """What a `NoWorse` asks, as far as a comparison needs it; see there. ``up`` and ``down`` say which direction is harm; both may be."""

    than: str
    up: bool
    down: bool
    margin: float = 1.0
    dispersion: float = 1.0
    exact: bool = False
    blocks: bool = False
    unit: str = ""


class Comparison(Protocol):
    """One way to compare. It is pure, and its memory does not grow with the number of looks."""

    def fits(self, candidate: Measurement, control: Measurement) -> str | None:
        """Why it can't compare these two, of which both have a sample; None if it can."""
        ...

    def learn(self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float) -> Memory:
        """The memory after one more look that fits; ``memory`` is None before the first."""
        ...

    def evidence(self, memory: Memory, alpha: float) -> float:
        """The evidence of harm in nats: it ever reaches ``log(1 / alpha)`` with a probability of at most ``alpha`` if there is none."""
        ...

    def lacks(self, memory: Memory) -> str:
        """Why nothing can be judged yet; empty if something can."""
        ...

    def say(self, memory: Memory, candidate: Measurement, control: Measurement, alpha: float) -> tuple[str, Numbers]:
        """What all looks show, for a person and for programs; the measurements are the last look's."""
        ...


class Acceptance(Protocol):
    """One way to exclude a candidate that is ``limit`` times as bad. It is pure, and its memory does not grow with the number of looks."""

    def fits(self, candidate: Measurement, control: Measurement) -> str | None:
        """Why these two, which can be compared, can't prove it; None if they can."""
        ...

    def learn(self, memory: Memory, candidate: Measurement, control: Measurement) -> Memory:
        """The memory after one more look that fits; ``memory`` is None before the first."""
        ...

    def evidence(self, memory: Memory) -> float:
        """The evidence in nats: it ever reaches ``log(1 / beta)`` with a probability of at most ``beta`` if the candidate is so bad."""
        ...

    def needed(self, memory: Memory, nats: float, candidate: Measurement, control: Measurement) -> float:
        """How many more, in the mean and split as those of the last look, bring the evidence to ``nats`` if the candidate is as good."""
        ...
