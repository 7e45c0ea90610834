"""For your tests: a router, metrics and a store in memory, a clock that moves only when told, and `play`."""

from __future__ import annotations

from .doubles import MemoryFleet, MemoryRouter, MemoryStore, ScriptedMetrics, VirtualClock, steady
from .play import aplay, play

__all__ = ["MemoryFleet", "MemoryRouter", "MemoryStore", "ScriptedMetrics", "VirtualClock", "aplay", "play", "steady"]
