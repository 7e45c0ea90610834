"""Observers that many threads tell at once say what they would say if one told them."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from typing import Any

import attrs
import pytest
from tests.notify.test_sending import STRATEGY, Desk
from tests.observers.test_metrics_page import counters, read
from tests.observers.test_telemetry import Seen, brief
from tests.runtime.test_passes import Routers
from tests.support.world import ERRORS, RELEASE, START

from progressive import Phase, Ports, start, tick_due
from progressive.observers.metrics_page import MetricsPage
from progressive.observers.notify import Notify, Subscription
from progressive.observers.progress import Progress
from progressive.testing import MemoryOutbox, MemoryStore, ScriptedMetrics, VirtualClock, steady

COUNT = 24


class _Reader:
    """Reads a page again and again meanwhile, as Prometheus does: no counter falls."""

    def __init__(self, page: MetricsPage) -> None:
        self._page, self._over = page, threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._pages = self._pool.submit(self._read)

    def _read(self) -> int:
        pages, before = 0, read("")
        while not self._over.is_set():
            now = counters(read(self._page.text()))
            assert all(now.get(key, -1.0) >= value for key, value in before.items())
            pages, before = pages + 1, now
        return pages

    def ended(self) -> int:
        """How many pages it has read; raises what reading them has raised."""
        self._over.set()
        self._pool.shutdown()
        return self._pages.result()


@pytest.fixture
def often() -> Iterator[None]:
    """Threads take turns a thousand times as often, so that what is not guarded shows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


def told(at_once: int) -> dict[str, Any]:
    """What all observers have said of rollouts that are ticked together, until all are over."""
    clock, store, outbox, desk, lines = (
        VirtualClock(START),
        MemoryStore(),
        MemoryOutbox(),
        Desk(),
        StringIO(),
    )
    seen, page = Seen(store), MetricsPage(store)
    notify = Notify(store, outbox, Subscription(desk, name="desk"), clock=clock)
    bad = ScriptedMetrics({ERRORS: steady(50, stable=0.001, candidate=0.2)})
    progress = Progress(file=lines)
    bound = Ports(
        router=Routers(clock),
        metrics=[bad],
        store=store,
        clock=clock,
        observers=[seen, page, notify, progress],
    )
    for n in range(COUNT):
        start(STRATEGY, attrs.evolve(RELEASE, service=f"s{n}"), id=f"r{n}", ports=bound)
    read_all_along = _Reader(page)
    for _ in range(60):
        tick_due(bound, at_once=at_once)
        nexts = [rollout.wake_at for rollout in store.rollouts(limit=COUNT)]
        if not (waits := [each for each in nexts if each is not None]):
            break
        clock.until(min(waits))
    assert {rollout.phase for rollout in store.rollouts(limit=COUNT)} == {Phase.ROLLED_BACK}
    assert notify.flush() == ()
    assert read_all_along.ended() > 0
    return {
        "spans": brief(seen.spans),
        "metrics": seen.values(),
        "page": read(page.text()),
        "messages": sorted(message.id for message in desk.sent),
        # A line has the rollout's name as soon as there is a second rollout.
        "lines": sorted(re.sub(r"^r\d+  ", "", each) for each in lines.getvalue().splitlines()),
        "open": outbox.open(),
    }


@pytest.mark.usefixtures("often")
def test_many_threads_tell_what_one_tells() -> None:
    together, alone = told(8), told(1)

    assert len(together["messages"]) == len(set(together["messages"])) >= 4 * COUNT
    for what, said in alone.items():
        assert together[what] == said, what
