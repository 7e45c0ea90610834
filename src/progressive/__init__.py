"""Progressive delivery as a library: a new version to 100 % of production traffic, or safely back to 0 %.

Describe it (`Canary`, `BlueGreen`, `Revert`), `start` it, and drive it: `run` in a script, `tick` one step per invocation, `submit` a person's
word. Adapters are imported by name: ``from progressive.routers.envoy import Envoy``. For tests see `progressive.testing`.
"""

from __future__ import annotations

from .analysis import Kayenta, Limit, MannWhitney, NoWorse, SampleRatio
from .analysis.analysis import Analysis
from .analysis.contract import Budget, Check, Judgement, Tolerance, Verdict
from .analysis.kayenta.judge import KayentaJudge, KayentaMetric
from .codec.documents import (
    dumps,
    dumps_event,
    dumps_note,
    dumps_strategy,
    loads,
    loads_event,
    loads_note,
    loads_strategy,
)
from .engine.decide import Decision, decide
from .errors import (
    ConflictError,
    Failure,
    FleetError,
    MetricsError,
    ProgressiveError,
    RouterError,
    StateError,
    StoreError,
    StrategyError,
    WorldError,
)
from .model.actions import Action, ClosedUntil, Go, NotYet, Open, Stop
from .model.capacity import Capacity
from .model.measurement import (
    Bad,
    Counts,
    Gauge,
    Histogram,
    Kind,
    Look,
    Measurement,
    Metric,
    Moments,
    NoAnswer,
    NoData,
    Window,
)
from .model.release import Release, Version
from .model.router_state import Capabilities, Marker, Served
from .model.traffic import Match, Track, Traffic
from .model.units import (
    Percent,
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
from .plan.plan import Guard, Plan
from .plan.step import Deadline, Kinds, Situation, Step
from .ports import Fleet, Gate, Hook, MetricsProvider, Observer, Ports, Store, TrafficRouter
from .rollout.events import Abort, Approve, Event, Hold, PromoteNow, Reject, Resume, Skip, Tick
from .rollout.notes import Note
from .rollout.phases import Phase, Retirement
from .rollout.state import Rollout, begin
from .rollout.status import ExitCode, Outcome, Status
from .runtime.by_hand import afirst_deployment, arollback_now, first_deployment, rollback_now
from .runtime.drive import OnInterrupt, aiterate, arun, asubmit, atick, iterate, run, submit, tick
from .runtime.start import IfRunning, astart, start
from .strategies.blue_green import BlueGreen
from .strategies.canary import Canary
from .strategies.revert import Revert

__all__ = [
    "Abort",
    "Action",
    "Analysis",
    "Approve",
    "Bad",
    "BlueGreen",
    "Budget",
    "Canary",
    "Capabilities",
    "Capacity",
    "Check",
    "ClosedUntil",
    "ConflictError",
    "Counts",
    "Deadline",
    "Decision",
    "Event",
    "ExitCode",
    "Failure",
    "Fleet",
    "FleetError",
    "Gate",
    "Gauge",
    "Go",
    "Guard",
    "Histogram",
    "Hold",
    "Hook",
    "IfRunning",
    "Judgement",
    "Kayenta",
    "KayentaJudge",
    "KayentaMetric",
    "Kind",
    "Kinds",
    "Limit",
    "Look",
    "MannWhitney",
    "Marker",
    "Match",
    "Measurement",
    "Metric",
    "MetricsError",
    "MetricsProvider",
    "Moments",
    "NoAnswer",
    "NoData",
    "NoWorse",
    "NotYet",
    "Note",
    "Observer",
    "OnInterrupt",
    "Open",
    "Outcome",
    "Percent",
    "Phase",
    "Plan",
    "Ports",
    "ProgressiveError",
    "PromoteNow",
    "Reject",
    "Release",
    "Resume",
    "Retirement",
    "Revert",
    "Rollout",
    "RouterError",
    "SampleRatio",
    "Served",
    "Situation",
    "Skip",
    "StateError",
    "Status",
    "Step",
    "Stop",
    "Store",
    "StoreError",
    "StrategyError",
    "Tick",
    "Tolerance",
    "Track",
    "Traffic",
    "TrafficRouter",
    "Verdict",
    "Version",
    "Window",
    "WorldError",
    "afirst_deployment",
    "aiterate",
    "arollback_now",
    "arun",
    "astart",
    "asubmit",
    "atick",
    "begin",
    "decide",
    "dumps",
    "dumps_event",
    "dumps_note",
    "dumps_strategy",
    "first_deployment",
    "geometric",
    "hours",
    "iterate",
    "linear",
    "loads",
    "loads_event",
    "loads_note",
    "loads_strategy",
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
    "times",
]
