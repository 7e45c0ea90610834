"""The laws that every router, provider and store keeps, for those that you write yourself: call one
of these in a test of yours.

::

    def test_my_router():
        check_router(MyRouter(...), Release(service="shop", stable=Version("v1"), candidate=Version("v2")))

Each raises `AssertionError` at the first law that is broken: what was expected, what came, and how
to mend it. A port of both colours is tried in both, and the two have to agree. In an asynchronous
test, await the one with an ``a`` in front: an asynchronous port is then tried on the loop of the
test.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from progressive.model.measurement import Window
from progressive.model.release import Release
from progressive.model.traffic import Traffic
from progressive.ports import Store, utcnow

from . import _metrics_laws, _router_laws, _store_laws
from ._laws import Wait, loop_of_its_own, on

__all__ = ["acheck_metrics", "acheck_router", "check_metrics", "check_router", "check_store"]


def check_router(
    router: Any,
    release: Release,
    *,
    settle: timedelta | Callable[[], object] = timedelta(),
    edit: Callable[[Traffic], object] | None = None,
) -> None:
    """Try a router: that it reads back what it was told, in every way that its ``capabilities``
    declare, refuses what it has to refuse without writing, and is never the second to write.

    It is handed over with all traffic on stable, and given back so, also when a law is broken.
    Meanwhile the candidate gets everything for a moment: let it be a system that nobody uses.

    ``settle``: how long a write may take to show, or a function that makes it show (a clock to
    advance). ``edit``: changes what the system serves behind the router's back, as a stranger
    would; with it, `read` is tried too. A router that declares a baseline needs a release that
    names one.
    """
    with loop_of_its_own() as wait:
        _router_laws.check(router, release, settle, edit, wait)


async def acheck_router(
    router: Any,
    release: Release,
    *,
    settle: timedelta | Callable[[], object] = timedelta(),
    edit: Callable[[Traffic], object] | None = None,
) -> None:
    """`check_router` where ``router`` lives on the loop that this is awaited on. ``settle`` and
    ``edit`` are called in another thread.
    """
    await asyncio.to_thread(_router_laws.check, router, release, settle, edit, _here())


def check_metrics(
    provider: Any,
    release: Release,
    window: Window,
    *,
    cuts: Sequence[datetime] = (),
    between: Callable[[], object] | None = None,
    clock: Callable[[], datetime] = utcnow,
) -> None:
    """Try a provider with every metric that it lists: that it answers what was asked and nothing
    else, twice the same, in the measurement that fits the kind, with nothing where there is
    nothing, and in parts what it answers as a whole.

    ``window`` is one in which every metric has something for at least one track, and is complete
    (older than the metric's lag). ``cuts`` are moments within it at which to divide it: choose
    those at which something happened, because there the half-open end shows.

    A metric with ``counter=True`` is measured now, by ``clock``. ``between`` then makes something
    to count, and waits until it shows (a few requests); without it, only the form of the answers is
    tried. A level (``kind="value"``) may be that of now: of it, too.
    """
    with loop_of_its_own() as wait:
        _metrics_laws.check(provider, release, window, cuts, between, clock, wait)


async def acheck_metrics(
    provider: Any,
    release: Release,
    window: Window,
    *,
    cuts: Sequence[datetime] = (),
    between: Callable[[], object] | None = None,
    clock: Callable[[], datetime] = utcnow,
) -> None:
    """`check_metrics` where ``provider`` lives on the loop that this is awaited on. ``between`` is
    called in another thread.
    """
    await asyncio.to_thread(
        _metrics_laws.check, provider, release, window, cuts, between, clock, _here()
    )


def check_store(open_store: Callable[[str], Store], *, shared: bool = True) -> None:
    """Try a store: compare-and-set, one active rollout of a service, all or nothing, notes in
    order, what is due, and no lost update.

    ``open_store(place)`` gives a store on the place of that name (letters and digits): a new and
    empty one when the name is new, another handle on the same one when it is not, such as
    ``lambda place: FileStore(tmp_path / place)``. ``shared=False`` is for a store that only one
    object can reach; then each name comes once.
    """
    _store_laws.check(open_store, shared)


def _here() -> Wait:
    return on(asyncio.get_running_loop())
