"""Threads for calls that may hang.

No pool that hung calls could fill, so that others wait for them: a call gets a thread at once. But
a thread that is done waits a moment for the next call, as to start one takes longer than most calls
do.
"""

from __future__ import annotations

import contextvars
import os
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final, TypeAlias

__all__ = ["LINGER", "begin"]

LINGER: Final = 1.0
"""Seconds that a thread waits for its next call before it ends."""

IDLE: Final = "idle, of progressive"
"""The name of a thread that waits for its next call."""

_Call: TypeAlias = tuple[Callable[[], object], contextvars.Context, str]

_idle: Final[list[SimpleQueue[_Call]]] = []
"""The inboxes of the threads that wait. A thread is taken by taking its inbox out, which is atomic,
the last one first: those that are not needed any more end.
"""

if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_idle.clear)  # a child has the list, and not the threads


def begin(
    call: Callable[[], object], *, name: str, context: contextvars.Context | None = None
) -> None:
    """Have a call made in a thread that makes no other one meanwhile, and return at once.

    ``name``: of the thread while it makes the call. ``context``: to call it in, by default an empty
    one.
    """
    asked = call, context or contextvars.Context(), name
    try:
        inbox = _idle.pop()
    except IndexError:
        inbox = SimpleQueue()
        threading.Thread(target=_make_calls, args=(inbox,), daemon=True, name=name).start()
    inbox.put(asked)


def _make_calls(inbox: SimpleQueue[_Call]) -> None:
    """Make the calls that come in, until none has come for `LINGER`."""
    this = threading.current_thread()
    while True:
        try:
            call, context, this.name = inbox.get(timeout=LINGER)
        except Empty:
            try:
                _idle.remove(inbox)
            except ValueError:  # it was taken just now: a call is on its way
                continue
            return
        context.run(call)
        del call, context  # nothing of a call is kept while there is no next one
        this.name = IDLE
        _idle.append(inbox)
