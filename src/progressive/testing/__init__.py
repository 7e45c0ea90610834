"""For your tests: simulated worlds in virtual time, every reachable state, faults on purpose; a router, metrics and a store in memory.

`simulate` is where to begin: it drives a strategy through a `World` and tells the `Story`.
"""

from __future__ import annotations

from . import troubles
from .crashes import Crashes, crash_everywhere
from .curves import Above, After, Bursts, Curve, Daily, Moment, Number, Ramp
from .doubles import MemoryFleet, MemoryRouter, MemoryStore, ScriptedMetrics, VirtualClock, steady
from .injector import Fault, Faulty, Injected
from .many import Many, Often, Spread, simulate_many
from .play import aplay, play
from .service import Behaviour, Latency, Say, Users, World
from .simulation import simulate
from .story import Exposure, Slice, Story
from .verification import Broken, Report, Transition, verify

__all__ = [
    "Above",
    "After",
    "Behaviour",
    "Broken",
    "Bursts",
    "Crashes",
    "Curve",
    "Daily",
    "Exposure",
    "Fault",
    "Faulty",
    "Injected",
    "Latency",
    "Many",
    "MemoryFleet",
    "MemoryRouter",
    "MemoryStore",
    "Moment",
    "Number",
    "Often",
    "Ramp",
    "Report",
    "Say",
    "ScriptedMetrics",
    "Slice",
    "Spread",
    "Story",
    "Transition",
    "Users",
    "VirtualClock",
    "World",
    "aplay",
    "crash_everywhere",
    "play",
    "simulate",
    "simulate_many",
    "steady",
    "troubles",
    "verify",
]
