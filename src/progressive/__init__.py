"""Progressive delivery as a library: a new version to 100 % of production traffic, or safely back
to 0 %.

Describe it (`Canary`, `BlueGreen`, `Revert`), `start` it, and drive it: `run` in a script, `tick`
one step per invocation, `submit` a person's word. Adapters are imported by name:
``from progressive.routers.envoy import Envoy``. For tests see `progressive.testing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .lazy import lazily

if TYPE_CHECKING:
    from .analysis.analysis import Analysis
    from .analysis.contract import Budget, Tolerance
    from .analysis.limit import Limit
    from .analysis.mann_whitney import MannWhitney
    from .analysis.no_worse import NoWorse
    from .analysis.sample_ratio import SampleRatio
    from .codec.documents import dumps, loads
    from .engine.decide import Decision, decide
    from .errors import ConflictError, ProgressiveError, RouterError, StateError, StrategyError
    from .model.actions import Action, ClosedUntil, Go, NotYet, Open, Stop
    from .model.measurement import Metric
    from .model.release import Release, Version
    from .model.router_state import Served
    from .model.traffic import Match, Track, Traffic
    from .model.units import (
        geometric,
        hours,
        linear,
        minutes,
        ms,
        percent,
        percents,
        seconds,
        times,
    )
    from .plan.step import Deadline
    from .ports import Ports
    from .rollout.events import Abort, Approve, Hold, PromoteNow, Reject, Resume, Skip, Tick
    from .rollout.phases import Phase
    from .rollout.state import Rollout, begin
    from .rollout.status import ExitCode, Outcome
    from .runtime.by_hand import afirst_deployment, arollback_now, first_deployment, rollback_now
    from .runtime.drive import (
        OnInterrupt,
        aiterate,
        arun,
        asubmit,
        atick,
        iterate,
        run,
        submit,
        tick,
    )
    from .runtime.history import history
    from .runtime.passes import atick_due, tick_due
    from .runtime.start import IfRunning, astart, start
    from .strategies.blue_green import BlueGreen
    from .strategies.canary import Canary
    from .strategies.revert import Revert
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            ".analysis.analysis": "Analysis",
            ".analysis.contract": "Budget Tolerance",
            ".analysis.limit": "Limit",
            ".analysis.mann_whitney": "MannWhitney",
            ".analysis.no_worse": "NoWorse",
            ".analysis.sample_ratio": "SampleRatio",
            ".codec.documents": "dumps loads",
            ".engine.decide": "Decision decide",
            ".errors": "ConflictError ProgressiveError RouterError StateError StrategyError",
            ".model.actions": "Action ClosedUntil Go NotYet Open Stop",
            ".model.measurement": "Metric",
            ".model.release": "Release Version",
            ".model.router_state": "Served",
            ".model.traffic": "Match Track Traffic",
            ".model.units": "geometric hours linear minutes ms percent percents seconds times",
            ".plan.step": "Deadline",
            ".ports": "Ports",
            ".rollout.events": "Abort Approve Hold PromoteNow Reject Resume Skip Tick",
            ".rollout.phases": "Phase",
            ".rollout.state": "Rollout begin",
            ".rollout.status": "ExitCode Outcome",
            ".runtime.by_hand": "afirst_deployment arollback_now first_deployment rollback_now",
            ".runtime.drive": "OnInterrupt aiterate arun asubmit atick iterate run submit tick",
            ".runtime.history": "history",
            ".runtime.passes": "atick_due tick_due",
            ".runtime.start": "IfRunning astart start",
            ".strategies.blue_green": "BlueGreen",
            ".strategies.canary": "Canary",
            ".strategies.revert": "Revert",
        },
    )

__all__ = [
    "Abort",
    "Action",
    "Analysis",
    "Approve",
    "BlueGreen",
    "Budget",
    "Canary",
    "ClosedUntil",
    "ConflictError",
    "Deadline",
    "Decision",
    "ExitCode",
    "Go",
    "Hold",
    "IfRunning",
    "Limit",
    "MannWhitney",
    "Match",
    "Metric",
    "NoWorse",
    "NotYet",
    "OnInterrupt",
    "Open",
    "Outcome",
    "Phase",
    "Ports",
    "ProgressiveError",
    "PromoteNow",
    "Reject",
    "Release",
    "Resume",
    "Revert",
    "Rollout",
    "RouterError",
    "SampleRatio",
    "Served",
    "Skip",
    "StateError",
    "Stop",
    "StrategyError",
    "Tick",
    "Tolerance",
    "Track",
    "Traffic",
    "Version",
    "afirst_deployment",
    "aiterate",
    "arollback_now",
    "arun",
    "astart",
    "asubmit",
    "atick",
    "atick_due",
    "begin",
    "decide",
    "dumps",
    "first_deployment",
    "geometric",
    "history",
    "hours",
    "iterate",
    "linear",
    "loads",
    "minutes",
    "ms",
    "percent",
    "percents",
    "rollback_now",
    "run",
    "seconds",
    "start",
    "submit",
    "tick",
    "tick_due",
    "times",
]
