"""Turn a command into a call on a port, and its answer or error into an event.

Shared by the sync and the async drivers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs

from progressive.errors import ConflictError, Failure, StrategyError, WorldError
from progressive.model.actions import ClosedUntil, Go, NotYet, Open, Stop
from progressive.model.capacity import Capacity
from progressive.model.measurement import Kind, Look, Metric, NoAnswer, Side
from progressive.model.router_state import AfterRestart, Capabilities, Served
from progressive.model.traffic import Track
from progressive.plan.plan import Plan
from progressive.plan.validation import capability_problems
from progressive.ports import (
    AsyncFleetRetirement,
    AsyncFleetSurvey,
    FleetRetirement,
    FleetSurvey,
    Ports,
)
from progressive.rollout.commands import (
    Apply,
    AskGate,
    Command,
    Inspect,
    Measure,
    Read,
    Retire,
    RunHook,
    Survey,
)
from progressive.rollout.events import (
    CommandFailed,
    Event,
    GateAnswered,
    HookAnswered,
    Inspected,
    Measured,
    Retired,
    RouterApplied,
    RouterRead,
    Surveyed,
)
from progressive.rollout.state import Rollout

__all__ = ["Call", "call_for", "problems"]

OnAnswer = Callable[[Any, datetime], Event]
OnError = Callable[[BaseException, datetime], Event]


@attrs.frozen(kw_only=True)
class Call:
    """A call on a port, and how its outcome becomes an event.

    * ``sync``, ``acoro``: the sync and the async method; at least one is there.
    * ``answer``: makes the event of a value and the time at which it came.
    * ``trouble``: makes the event of an error.
    """

    sync: Callable[[], object] | None
    acoro: Callable[[], Awaitable[object]] | None
    answer: OnAnswer
    trouble: OnError


def call_for(command: Command, rollout: Rollout, ports: Ports) -> Call | Event:
    """Return the call that executes a command, or its event where nothing has to be called."""
    return _MAKERS[type(command)](command, rollout, ports)


def problems(plan: Plan, ports: Ports) -> tuple[str, ...]:
    """Return a line for each name of the plan that is bound to nothing, and for each thing that the
    plan needs and a port can't do.
    """
    found = []
    for metric in plan.metrics:
        provider = ports.provider(metric)
        if provider is None:
            found.append(f"metric {metric.name!r}: no provider in metrics=[...] answers for it")
        elif provider[1].kind is not metric.kind:
            found.append(
                f"metric {metric.name!r}: the plan means a {metric.kind.value}, the "
                f"provider measures a {provider[1].kind.value}"
            )
        elif provider[1].lag > metric.lag or provider[1].counter is not metric.counter:
            found.append(
                f"metric {metric.name!r}: the provider describes it as {provider[1]!r}, the "
                f"plan as {metric!r}; use the provider's in the checks"
            )
    hooks = [step.hook for step in plan.steps if step.hook is not None]
    for what, names, bound in (
        ("hook", hooks, ports.hooks),
        ("gate", list(plan.gates), ports.gates),
    ):
        found += [
            f"{what} {name!r}: nothing is bound to it; pass {what}s={{{name!r}: ...}}"
            for name in dict.fromkeys(names)
            if name not in bound
        ]
    if ports.fleet is None:
        found += [
            f"{name}: the plan removes {what}, which needs fleet="
            for name, what, after in (
                ("retire_after", "the old version", plan.retire_after),
                ("remove_candidate_after", "a bad candidate", plan.remove_candidate_after),
            )
            if after is not None
        ]
    return (*found, *capability_problems(plan, _capabilities(ports)))


def _capabilities(ports: Ports) -> Capabilities:
    declared = ports.router.capabilities
    if not isinstance(declared, Capabilities):
        raise StrategyError(f"router.capabilities: {declared!r} is not a Capabilities(...)")
    return declared


def _call_method(
    port: Any,
    name: str,
    arguments: tuple[Any, ...],
    named: Mapping[str, Any],
    answer: OnAnswer,
    trouble: OnError,
) -> Call:
    sync, acoro = getattr(port, name, None), getattr(port, f"a{name}", None)
    return Call(
        sync=None if sync is None else lambda: sync(*arguments, **named),
        acoro=None if acoro is None else lambda: acoro(*arguments, **named),
        answer=answer,
        trouble=trouble,
    )


def _call_function(
    function: Callable[..., Any], arguments: tuple[Any, ...], answer: OnAnswer, trouble: OnError
) -> Call:
    """Make the call of a hook or a gate.

    A function that returns an awaitable works with the async drivers only.
    """
    return Call(sync=lambda: function(*arguments), acoro=None, answer=answer, trouble=trouble)


def _why(error: BaseException) -> str:
    """Return the text of an error, after its class's name unless the error is one of ours."""
    text = str(error).strip() or type(error).__name__
    if isinstance(error, WorldError | ConflictError | StrategyError):
        return text
    return f"{type(error).__name__}: {text}"


def _failed(command: str, epoch: int, *, otherwise: Failure) -> OnError:
    """Return a function that makes the `CommandFailed` of an error.

    ``otherwise`` is the failure of an unknown error, and of a call that did not come back.
    """

    def trouble(error: BaseException, at: datetime) -> Event:
        if isinstance(error, WorldError):
            failure = error.failure
        elif isinstance(error, ConflictError):
            failure = Failure.CONFLICT
        else:
            failure = otherwise
        return CommandFailed(at=at, command=command, epoch=epoch, failure=failure, why=_why(error))

    return trouble


def _served(value: object) -> Served:
    if not isinstance(value, Served):
        raise StrategyError(f"the router answered {value!r}; it must be a Served(...)")
    return value


def _inspect(command: Inspect, rollout: Rollout, ports: Ports) -> Call | Event:
    undo = getattr(ports.router, "undo", None)
    can = _capabilities(ports)
    return Inspected(
        at=ports.clock(),
        problems=problems(rollout.plan, ports),
        undo=undo(rollout.release) if undo is not None else "",
        fleet=isinstance(ports.fleet, FleetSurvey | AsyncFleetSurvey),
        reassert=can.after_restart is AfterRestart.REASSERT,
        sticky=can.sticky,
        callee=_on_its_own_side(rollout.plan, ports),
        resolutions=_resolutions(rollout.plan, ports),
    )


def _resolutions(plan: Plan, ports: Ports) -> tuple[tuple[str, timedelta], ...]:
    """Return how often there are new numbers of each metric, where the plan or the provider says
    so.
    """
    found = []
    for metric in plan.metrics:
        provider = ports.provider(metric)
        resolution = metric.resolution or (None if provider is None else provider[1].resolution)
        if resolution is not None:
            found.append((metric.name, resolution))
    return tuple(found)


def _on_its_own_side(plan: Plan, ports: Ports) -> tuple[str, ...]:
    """Return the metrics that count on the version's own side; none if failures are counted on the
    caller's side too. What the provider says of a metric counts as well as what the plan says.
    """
    sides: list[tuple[Metric, Side | None]] = []
    for metric in plan.metrics:
        provider = ports.provider(metric)
        sides.append((metric, metric.side or (None if provider is None else provider[1].side)))
    if any(metric.kind is Kind.RATIO and side is Side.CALLER for metric, side in sides):
        return ()
    return tuple(metric.name for metric, side in sides if side is Side.CALLEE)


def _read(command: Read, rollout: Rollout, ports: Ports) -> Call | Event:
    successor = "" if rollout.successor is None else rollout.successor.rollout
    return _call_method(
        ports.router,
        "read",
        (rollout.read_by,),
        {},
        lambda value, at: RouterRead(at=at, served=_served(value), successor=successor),
        _failed("read", rollout.epoch, otherwise=Failure.TRANSIENT),
    )


def _apply(command: Apply, rollout: Rollout, ports: Ports) -> Call | Event:
    return _call_method(
        ports.router,
        "apply",
        (rollout.release, command.traffic),
        {"marker": command.marker, "expect": command.expect},
        lambda value, at: RouterApplied(
            at=at, epoch=command.epoch, traffic=command.traffic, served=_served(value)
        ),
        _failed("apply", command.epoch, otherwise=Failure.UNKNOWN),
    )


def _measure(command: Measure, rollout: Rollout, ports: Ports) -> Call | Event:
    bound = ports.provider(command.metric)

    def silent(why: str, at: datetime) -> Event:
        tracks: Sequence[tuple[Track, NoAnswer]] = [
            (track, NoAnswer(why)) for track in command.tracks
        ]
        look = Look(metric=command.metric.name, window=command.window, tracks=tuple(tracks))
        return Measured(at=at, analyses=command.analyses, look=look)

    if bound is None:
        return silent(f"no provider answers for {command.metric.name!r}", ports.clock())

    def answer(value: Any, at: datetime) -> Event:
        if (
            not isinstance(value, Look)
            or value.metric != command.metric.name
            or value.window != command.window
        ):
            return silent(f"the provider answered {value!r:.200}, not a Look at what was asked", at)
        return Measured(at=at, analyses=command.analyses, look=value)

    return _call_method(
        bound[0],
        "measure",
        (rollout.release, command.metric, command.tracks, command.window, command.since),
        {},
        answer,
        lambda error, at: silent(_why(error), at),
    )


def _run_hook(command: RunHook, rollout: Rollout, ports: Ports) -> Call | Event:
    trouble = _failed("run_hook", command.epoch, otherwise=Failure.TRANSIENT)
    hook = ports.hooks.get(command.hook)
    if hook is None:
        return trouble(StrategyError(f"nothing is bound to hook {command.hook!r}"), ports.clock())

    def answer(value: Any, at: datetime) -> Event:
        if not isinstance(value, Go | NotYet | Stop):
            return trouble(
                StrategyError(
                    f"hook {command.hook!r} answered {value!r}; it must be Go(), "
                    "NotYet(...) or Stop(...)"
                ),
                at,
            )
        return HookAnswered(at=at, epoch=command.epoch, step=command.step, answer=value)

    return _call_function(hook, (command.key, rollout.release), answer, trouble)


def _ask_gate(command: AskGate, rollout: Rollout, ports: Ports) -> Call | Event:
    trouble = _failed("ask_gate", command.epoch, otherwise=Failure.TRANSIENT)
    gate = ports.gates.get(command.gate)
    if gate is None:
        return trouble(StrategyError(f"nothing is bound to gate {command.gate!r}"), ports.clock())

    def answer(value: Any, at: datetime) -> Event:
        if not isinstance(value, Open | ClosedUntil):
            return trouble(
                StrategyError(
                    f"gate {command.gate!r} answered {value!r}; it must be Open() or "
                    "ClosedUntil(...)"
                ),
                at,
            )
        return GateAnswered(at=at, epoch=command.epoch, gate=command.gate, answer=value)

    return _call_function(gate, (rollout.release, ports.clock()), answer, trouble)


def _survey(command: Survey, rollout: Rollout, ports: Ports) -> Call | Event:
    trouble = _failed("survey", rollout.epoch, otherwise=Failure.TRANSIENT)
    if not (isinstance(ports.fleet, FleetSurvey | AsyncFleetSurvey)):
        return trouble(
            StrategyError("this rollout began with a fleet= that can be surveyed; pass it again"),
            ports.clock(),
        )

    def answer(value: Any, at: datetime) -> Event:
        if not isinstance(value, Mapping) or not all(
            isinstance(capacity, Capacity) for capacity in value.values()
        ):
            return trouble(
                StrategyError(
                    f"the fleet answered {value!r:.200}; it must be a mapping of tracks to "
                    "Capacity(...)"
                ),
                at,
            )
        return Surveyed(at=at, tracks=tuple(value.items()), successor=by)

    successor = rollout.successor
    by = "" if successor is None else successor.rollout
    release = rollout.release if successor is None else successor.release
    return _call_method(ports.fleet, "survey", (release,), {}, answer, trouble)


def _retire(command: Retire, rollout: Rollout, ports: Ports) -> Call | Event:
    trouble = _failed("retire", rollout.epoch, otherwise=Failure.UNKNOWN)
    if not isinstance(ports.fleet, FleetRetirement | AsyncFleetRetirement):
        return trouble(
            StrategyError("the plan removes a version, which needs fleet="), ports.clock()
        )
    return _call_method(
        ports.fleet,
        "retire",
        (rollout.release, rollout.leaving.version(rollout.release)),
        {},
        lambda value, at: Retired(at=at),
        trouble,
    )


_MAKERS: dict[type, Callable[[Any, Rollout, Ports], Call | Event]] = {
    Apply: _apply,
    AskGate: _ask_gate,
    Inspect: _inspect,
    Measure: _measure,
    Read: _read,
    Retire: _retire,
    RunHook: _run_hook,
    Survey: _survey,
}
