"""Execute the commands of one round at the same time, with a deadline.

Sync and async stand side by side.
"""

from __future__ import annotations

import inspect
import time
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from progressive.errors import StrategyError
from progressive.ports import Ports
from progressive.rollout.commands import Command
from progressive.rollout.events import Event
from progressive.rollout.state import Rollout

from .dispatch import Call, call_for
from .threads import begin, call_in_thread

__all__ = ["aexecute", "execute"]

UNKNOWN_AFTER_TIMEOUT = "no answer within {:g} s"


def execute(commands: tuple[Command, ...], rollout: Rollout, ports: Ports) -> list[Event]:
    """Execute commands, each in a thread of its own, until all are done or `Ports.timeout` is over.

    Returns one event for each, in their order. A call that has not come back by then goes on in its
    thread; the next read shows its effect.
    """
    calls = [call_for(command, rollout, ports) for command in commands]
    outcomes: SimpleQueue[tuple[int, Event]] = SimpleQueue()
    events: dict[int, Event] = {}
    for i, call in enumerate(calls):
        if isinstance(call, Call):
            begin(
                partial(_run_call, i, call, ports, outcomes),
                name=f"progressive-{commands[i].kind}",
            )
        else:
            events[i] = call
    end = time.monotonic() + ports.timeout.total_seconds()
    while len(events) < len(calls):
        try:
            i, event = outcomes.get(timeout=max(0.0, end - time.monotonic()))
        except Empty:
            break
        events[i] = event
    for i, call in enumerate(calls):
        if i not in events and isinstance(call, Call):
            events[i] = call.trouble(_timed_out(ports), ports.clock())
    return [events[i] for i in range(len(calls))]


def _timed_out(ports: Ports) -> TimeoutError:
    return TimeoutError(UNKNOWN_AFTER_TIMEOUT.format(ports.timeout.total_seconds()))


def _run_call(i: int, call: Call, ports: Ports, outcomes: SimpleQueue[tuple[int, Event]]) -> None:
    """Make a call, and put ``i`` and its event into ``outcomes``, whatever is raised."""
    try:
        if call.sync is None:
            event = call.trouble(
                StrategyError("this port is asynchronous only; use atick, aiterate or arun"),
                ports.clock(),
            )
        else:
            value = call.sync()
            if inspect.isawaitable(value):
                getattr(value, "close", lambda: None)()
                raise StrategyError(
                    "this hook or gate is asynchronous; use atick, aiterate or arun"
                )
            event = call.answer(value, ports.clock())
    except Exception as error:
        event = call.trouble(error, ports.clock())
    except BaseException as error:
        event = call.trouble(error, ports.clock())
        outcomes.put((i, event))
        raise
    outcomes.put((i, event))


async def _await_call(call: Call) -> Any:
    """Await the async method of a call, or run the sync one in a thread."""
    if call.acoro is not None:
        return await call.acoro()
    assert call.sync is not None
    value = await call_in_thread(call.sync)
    return await value if inspect.isawaitable(value) else value


async def aexecute(command: Command, rollout: Rollout, ports: Ports) -> Event:
    """Execute one command for asyncio, within `Ports.timeout`."""
    import asyncio

    call = call_for(command, rollout, ports)
    if not isinstance(call, Call):
        return call
    try:
        async with asyncio.timeout(ports.timeout.total_seconds()):
            value = await _await_call(call)
    except TimeoutError:
        return call.trouble(_timed_out(ports), ports.clock())
    except Exception as error:
        return call.trouble(error, ports.clock())
    try:
        return call.answer(value, ports.clock())
    except StrategyError as error:
        return call.trouble(error, ports.clock())
