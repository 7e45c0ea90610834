"""The state of one release under one plan, with its events, commands and notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from progressive.lazy import lazily

if TYPE_CHECKING:
    from .commands import Apply, AskGate, Command, Inspect, Measure, Read, Retire, RunHook, Survey
    from .events import (
        Abort,
        Approve,
        CommandFailed,
        Event,
        GateAnswered,
        Hold,
        HookAnswered,
        Inspected,
        Measured,
        PersonEvent,
        PromoteNow,
        Reject,
        Resume,
        Retired,
        RouterApplied,
        RouterRead,
        Skip,
        Superseded,
        Surveyed,
        Tick,
    )
    from .notes import (
        Asked,
        Drifted,
        Escalated,
        EventRecorded,
        Judged,
        Late,
        Note,
        PhaseEntered,
        Refused,
        Released,
        Unjudged,
        Verified,
    )
    from .phases import Phase, Retirement
    from .state import Rollout, begin
    from .status import ExitCode, Outcome, Status, Waiting
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            ".commands": "Apply AskGate Command Inspect Measure Read Retire RunHook Survey",
            ".events": (
                "Abort Approve CommandFailed Event GateAnswered Hold HookAnswered Inspected "
                "Measured PersonEvent PromoteNow Reject Resume Retired RouterApplied RouterRead "
                "Skip Superseded Surveyed Tick"
            ),
            ".notes": (
                "Asked Drifted Escalated EventRecorded Judged Late Note PhaseEntered Refused "
                "Released Unjudged Verified"
            ),
            ".phases": "Phase Retirement",
            ".state": "Rollout begin",
            ".status": "ExitCode Outcome Status Waiting",
        },
    )

__all__ = [
    "Abort",
    "Apply",
    "Approve",
    "AskGate",
    "Asked",
    "Command",
    "CommandFailed",
    "Drifted",
    "Escalated",
    "Event",
    "EventRecorded",
    "ExitCode",
    "GateAnswered",
    "Hold",
    "HookAnswered",
    "Inspect",
    "Inspected",
    "Judged",
    "Late",
    "Measure",
    "Measured",
    "Note",
    "Outcome",
    "PersonEvent",
    "Phase",
    "PhaseEntered",
    "PromoteNow",
    "Read",
    "Refused",
    "Reject",
    "Released",
    "Resume",
    "Retire",
    "Retired",
    "Retirement",
    "Rollout",
    "RouterApplied",
    "RouterRead",
    "RunHook",
    "Skip",
    "Status",
    "Superseded",
    "Survey",
    "Surveyed",
    "Tick",
    "Unjudged",
    "Verified",
    "Waiting",
    "begin",
]
