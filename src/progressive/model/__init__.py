"""Values that every layer shares: units, releases, traffic, router state, measurements, actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from progressive.lazy import lazily

if TYPE_CHECKING:
    from .actions import Action, ClosedUntil, GateAnswer, Go, HookAnswer, Memory, NotYet, Open, Stop
    from .capacity import Capacity
    from .measurement import (
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
        Side,
        Window,
    )
    from .release import Release, Version
    from .router_state import AfterRestart, Capabilities, Marker, Served
    from .traffic import Match, Track, Traffic
    from .units import (
        Percent,
        Times,
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
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            ".actions": "Action ClosedUntil GateAnswer Go HookAnswer Memory NotYet Open Stop",
            ".capacity": "Capacity",
            ".measurement": (
                "Bad Counts Gauge Histogram Kind Look Measurement Metric Moments NoAnswer "
                "NoData Side Window"
            ),
            ".release": "Release Version",
            ".router_state": "AfterRestart Capabilities Marker Served",
            ".traffic": "Match Track Traffic",
            ".units": (
                "Percent Times geometric hours linear minutes ms percent percents seconds times"
            ),
        },
    )

__all__ = [
    "Action",
    "AfterRestart",
    "Bad",
    "Capabilities",
    "Capacity",
    "ClosedUntil",
    "Counts",
    "GateAnswer",
    "Gauge",
    "Go",
    "Histogram",
    "HookAnswer",
    "Kind",
    "Look",
    "Marker",
    "Match",
    "Measurement",
    "Memory",
    "Metric",
    "Moments",
    "NoAnswer",
    "NoData",
    "NotYet",
    "Open",
    "Percent",
    "Release",
    "Served",
    "Side",
    "Stop",
    "Times",
    "Track",
    "Traffic",
    "Version",
    "Window",
    "geometric",
    "hours",
    "linear",
    "minutes",
    "ms",
    "percent",
    "percents",
    "seconds",
    "times",
]
