"""What all proofs that the candidate is good enough do alike."""

from __future__ import annotations

from typing import cast

import attrs

from progressive.model.actions import Memory
from progressive.model.measurement import Measurement

from .base import Acceptance, Question

__all__ = ["Accepted", "BothAccepted"]


@attrs.frozen
class Accepted:
    """Not ``limit`` times as bad towards one side: ``up`` or down."""

    question: Question
    limit: float
    up: bool

    def fits(self, candidate: Measurement, control: Measurement) -> str | None:
        return None


@attrs.frozen
class BothAccepted:
    """Harm is to be excluded on both sides, so the evidence is the lesser of the two."""

    up: Acceptance
    down: Acceptance

    def fits(self, candidate: Measurement, control: Measurement) -> str | None:
        return self.up.fits(candidate, control) or self.down.fits(candidate, control)

    def learn(self, memory: Memory, candidate: Measurement, control: Measurement) -> Memory:
        up, down = cast("tuple[Memory, Memory]", memory or (None, None))
        return self.up.learn(up, candidate, control), self.down.learn(down, candidate, control)

    def evidence(self, memory: Memory) -> float:
        up, down = cast("tuple[Memory, Memory]", memory)
        return min(self.up.evidence(up), self.down.evidence(down))

    def needed(self, memory: Memory, nats: float, candidate: Measurement, control: Measurement) -> float:
        up, down = cast("tuple[Memory, Memory]", memory)
        return max(self.up.needed(up, nats, candidate, control), self.down.needed(down, nats, candidate, control))
