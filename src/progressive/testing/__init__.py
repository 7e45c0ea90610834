"""For your tests: a router, metrics and a store in memory, a clock that moves only when told, and `play`. And `replay`: what if."""

from __future__ import annotations

from .doubles import MemoryFleet, MemoryRouter, MemoryStore, ScriptedMetrics, VirtualClock, steady
from .play import aplay, play
from .replay import Replay, notes_from, replay

__all__ = [
    "MemoryFleet",
    "MemoryRouter",
    "MemoryStore",
    "Replay",
    "ScriptedMetrics",
    "VirtualClock",
    "aplay",
    "notes_from",
    "play",
    "replay",
    "steady",
]
