"""Harm in both directions."""

from __future__ import annotations

from math import log
from typing import Final, cast

import attrs

from ...measurement import Measurement
from ...stats._evidence import averaged
from ..verdict import Memory
from .comparison import Acceptance

__all__ = ["BothAccepted", "averaged_evidence"]

_HALVES: Final = (log(0.5), log(0.5))


def averaged_evidence(one: float, other: float) -> float:
    """The average of two pieces of evidence, in nats; it is evidence, whatever the dependence between the two."""
    return averaged((one, other), _HALVES)


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
