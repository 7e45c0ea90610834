"""Commands: what a decision asks of the world, in absolute terms and safe to repeat.

Every class has a stable ``kind``, which is never renamed.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias

import attrs

from progressive.model.measurement import Metric, Window
from progressive.model.router_state import Marker
from progressive.model.traffic import Track, Traffic


@attrs.frozen(kw_only=True)
class Inspect:
    """Report what the caller has bound; answered by `Inspected`. No I/O."""

    kind: ClassVar[str] = "inspect"


@attrs.frozen(kw_only=True)
class Read:
    """Read the router; answered by `RouterRead`."""

    kind: ClassVar[str] = "read"


@attrs.frozen(kw_only=True)
class Survey:
    """Ask the fleet what the instances of each track can carry; answered by `Surveyed`."""

    kind: ClassVar[str] = "survey"


@attrs.frozen(kw_only=True)
class Apply:
    """Make the router serve ``traffic``; answered by `RouterApplied`.

    * ``epoch``: authorises the write: do it only from a stored rollout of that epoch, unless it
      only lowers.
    * ``marker``: the marker to leave on the router's object.
    * ``expect``: the version read in this tick, for routers that compare and set.
    * ``raises``: whether it raises the candidate; False if it only lowers.
    """

    kind: ClassVar[str] = "apply"
    epoch: int
    traffic: Traffic
    marker: Marker
    expect: str | None
    raises: bool


@attrs.frozen(kw_only=True)
class Measure:
    """Take one look; answered by `Measured`.

    Several analyses that need the same look share one command.
    """

    kind: ClassVar[str] = "measure"
    metric: Metric
    tracks: tuple[Track, ...]
    window: Window
    since: str | None
    analyses: tuple[str, ...]


@attrs.frozen(kw_only=True)
class RunHook:
    """Call the hook of the current step; answered by `HookAnswered`.

    It may run more than once, each time with the same ``key`` (``rollout/step``).
    """

    kind: ClassVar[str] = "run_hook"
    epoch: int
    hook: str
    step: str
    key: str


@attrs.frozen(kw_only=True)
class AskGate:
    """Ask a gate whether traffic may be raised; answered by `GateAnswered`."""

    kind: ClassVar[str] = "ask_gate"
    epoch: int
    gate: str


@attrs.frozen(kw_only=True)
class Retire:
    """Remove the version that has no traffic any more, `Rollout.leaving`; answered by `Retired`."""

    kind: ClassVar[str] = "retire"


Command: TypeAlias = Inspect | Read | Survey | Apply | Measure | RunHook | AskGate | Retire
