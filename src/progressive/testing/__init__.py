"""For your tests: simulated worlds, a walk through every reachable state, injected faults, the laws
that ports of your own must keep, and doubles of all ports.

Begin with `simulate`: it drives a strategy through a `World` in virtual time and returns the
`Story`. `explain` estimates which regressions a strategy detects, `compare` puts several side by
side, `verify` walks every state that a
plan can reach, `replay` judges a recorded rollout again under another strategy. `check_router` and
its sisters check the laws of the ports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from progressive.lazy import lazily

if TYPE_CHECKING:
    from .contract import (
        BreakableProxy,
        Breakage,
        Breakages,
        ContractReport,
        LawBroken,
        Untried,
        acheck_fleet,
        acheck_gate,
        acheck_hook,
        acheck_metrics,
        acheck_router,
        check_fleet,
        check_gate,
        check_hook,
        check_metrics,
        check_router,
        check_store,
    )
    from .doubles import (
        MemoryFleet,
        MemoryOutbox,
        MemoryRouter,
        MemoryStore,
        ScriptedMetrics,
        VirtualClock,
        steady,
    )
    from .faults.crashes import Crashes, crash_everywhere
    from .faults.fault_world import FaultWorld
    from .faults.injector import Fault, Faulty, Injected
    from .faults.reference_model import PromiseBroken
    from .faults.soaking import Failing, Soaked, soak, soak_one
    from .playing import aplay, play
    from .recording import Call, Recording
    from .replaying.replay import notes_from, replay
    from .replaying.replayed import Counted, Difference, Ending, Replay
    from .simulation import troubles
    from .simulation.comparing import Compared, Comparison, compare
    from .simulation.curves import Above, After, Bursts, Curve, CurveLike, Daily, Ramp, SimTime
    from .simulation.explain import Detectability, Excluded, Explained, Explanation, explain
    from .simulation.load import Load
    from .simulation.many import Many, Proportion, Quantiles, simulate_many
    from .simulation.mend import Mend
    from .simulation.service import Behaviour, Latency, PersonAction, Users, World
    from .simulation.simulate import simulate
    from .simulation.story import Exposure, Slice, Story
    from .verification.verify import Broken, Report, Transition, WalkProgress, retrace, verify
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            ".contract": (
                "BreakableProxy Breakage Breakages ContractReport LawBroken Untried acheck_fleet "
                "acheck_gate acheck_hook acheck_metrics acheck_router check_fleet check_gate "
                "check_hook check_metrics check_router check_store"
            ),
            ".doubles": (
                "MemoryFleet MemoryOutbox MemoryRouter MemoryStore ScriptedMetrics "
                "VirtualClock steady"
            ),
            ".faults.crashes": "Crashes crash_everywhere",
            ".faults.fault_world": "FaultWorld",
            ".faults.injector": "Fault Faulty Injected",
            ".faults.reference_model": "PromiseBroken",
            ".faults.soaking": "Failing Soaked soak soak_one",
            ".playing": "aplay play",
            ".recording": "Call Recording",
            ".replaying.replay": "notes_from replay",
            ".replaying.replayed": "Counted Difference Ending Replay",
            ".simulation": "troubles",
            ".simulation.comparing": "Compared Comparison compare",
            ".simulation.curves": "Above After Bursts Curve CurveLike Daily Ramp SimTime",
            ".simulation.explain": "Detectability Excluded Explained Explanation explain",
            ".simulation.load": "Load",
            ".simulation.many": "Many Proportion Quantiles simulate_many",
            ".simulation.mend": "Mend",
            ".simulation.service": "Behaviour Latency PersonAction Users World",
            ".simulation.simulate": "simulate",
            ".simulation.story": "Exposure Slice Story",
            ".verification.verify": "Broken Report Transition WalkProgress retrace verify",
        },
    )

__all__ = [
    "Above",
    "After",
    "Behaviour",
    "BreakableProxy",
    "Breakage",
    "Breakages",
    "Broken",
    "Bursts",
    "Call",
    "Compared",
    "Comparison",
    "ContractReport",
    "Counted",
    "Crashes",
    "Curve",
    "CurveLike",
    "Daily",
    "Detectability",
    "Difference",
    "Ending",
    "Excluded",
    "Explained",
    "Explanation",
    "Exposure",
    "Failing",
    "Fault",
    "FaultWorld",
    "Faulty",
    "Injected",
    "Latency",
    "LawBroken",
    "Load",
    "Many",
    "MemoryFleet",
    "MemoryOutbox",
    "MemoryRouter",
    "MemoryStore",
    "Mend",
    "PersonAction",
    "PromiseBroken",
    "Proportion",
    "Quantiles",
    "Ramp",
    "Recording",
    "Replay",
    "Report",
    "ScriptedMetrics",
    "SimTime",
    "Slice",
    "Soaked",
    "Story",
    "Transition",
    "Untried",
    "Users",
    "VirtualClock",
    "WalkProgress",
    "World",
    "acheck_fleet",
    "acheck_gate",
    "acheck_hook",
    "acheck_metrics",
    "acheck_router",
    "aplay",
    "check_fleet",
    "check_gate",
    "check_hook",
    "check_metrics",
    "check_router",
    "check_store",
    "compare",
    "crash_everywhere",
    "explain",
    "notes_from",
    "play",
    "replay",
    "retrace",
    "simulate",
    "simulate_many",
    "soak",
    "soak_one",
    "steady",
    "troubles",
    "verify",
]
