"""For your tests: the laws that your own ports must keep, doubles of the world in memory, a clock that moves only when told, and `play`."""

from __future__ import annotations

from .contract import acheck_metrics, acheck_router, check_metrics, check_router, check_store
from .doubles import MemoryFleet, MemoryRouter, MemoryStore, ScriptedMetrics, VirtualClock, steady
from .play import aplay, play
from .recording import Call, Recording

__all__ = [
    "Call",
    "MemoryFleet",
    "MemoryRouter",
    "MemoryStore",
    "Recording",
    "ScriptedMetrics",
    "VirtualClock",
    "acheck_metrics",
    "acheck_router",
    "aplay",
    "check_metrics",
    "check_router",
    "check_store",
    "play",
    "steady",
]
