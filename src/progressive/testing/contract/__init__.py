"""The laws of the ports, to try your own with: call one of these functions in a test.

::

    def test_my_router():
        two = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))
        report = check_router(MyRouter(...), two)
        print(report)

Each function raises `LawBroken` (an `AssertionError`) at the first law that is broken, with the
name of the law, what was expected, what was seen and a hint. Otherwise it returns a
`ContractReport`: the laws that held, and by name those that were not tried because an argument was
not given or the port does not have what they need.

A port that has both synchronous and asynchronous methods is tried with both, and the two have to
agree. In an asynchronous test, await the function with an ``a`` in front: the port is then tried on
the loop of the test.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from progressive.model.measurement import Window
from progressive.model.release import Release, Version
from progressive.model.traffic import Traffic
from progressive.model.units import Percent
from progressive.ports import (
    AnyFleet,
    AnyProvider,
    AnyRouter,
    AsyncGate,
    AsyncHook,
    Gate,
    Hook,
    Store,
    utcnow,
)

from . import fleet_laws, gate_laws, hook_laws, metrics_laws, router_laws, store_laws
from .laws import ContractReport, LawBroken, Untried
from .loops import Loop, own_loop
from .outages import Breakage, Breakages, Outages
from .proxy import BreakableProxy
from .router_trial import Setup as RouterSetup

__all__ = [
    "BreakableProxy",
    "Breakage",
    "Breakages",
    "ContractReport",
    "LawBroken",
    "Untried",
    "acheck_fleet",
    "acheck_gate",
    "acheck_hook",
    "acheck_metrics",
    "acheck_router",
    "check_fleet",
    "check_gate",
    "check_hook",
    "check_metrics",
    "check_router",
    "check_store",
]


def check_router(
    router: AnyRouter,
    release: Release,
    *,
    settle: timedelta | Callable[[], object] = timedelta(),
    edit: Callable[[Traffic], object] | None = None,
    beside: Release | None = None,
    third_version: Callable[[Percent], object] | None = None,
    bad_names: Sequence[str] | None = None,
    broken: Breakages | None = None,
    within: timedelta = timedelta(seconds=30),
    writes: Callable[[], int] | None = None,
    undo: Callable[[str], object] | None = None,
    parts: Mapping[str, Callable[[], AbstractContextManager[object]]] | None = None,
) -> ContractReport:
    """Try a router of your own against every law of its contract.

    It reads back what it was told, in every way that its ``capabilities`` declare, refuses what it
    has to refuse without writing, is never the second to write, and says with the right error what
    it does not know.

    It is handed over with all traffic on stable, and given back so, also when a law is broken.
    Meanwhile the candidate gets everything for a moment: let it be a system that nobody uses. A
    router that declares a baseline needs a release that names one. Everything else is optional; the
    report names the laws that were not tried without it.

    ``settle``: how long a write may take to show, or a function that makes it show (a clock to
    advance).

    ``edit``: called with a `Traffic`; changes what the system serves behind the router's back, as a
    stranger would.

    ``beside``: the release of another service that the same system serves, all of it on stable. Its
    candidate is given a share through the router, and no call for ``release`` may move that share,
    its marker or its version.

    ``third_version``: called with a share; gives it to a version that is in neither track, and the
    rest to stable. For a system that knows versions by name.

    ``bad_names``: backends that the system can't carry (a separator of its format, say). They must
    be refused before anything is sent. Without it a few valid names with ``:`` and ``/`` in them
    are tried, which the router may take if it serves them under just that name.

    ``broken``: for each `Breakage` that the test can make, a function that returns a context
    manager. While it is open,

    - ``"refuse"``: nothing listens where the router connects;
    - ``"fail"``: every request is answered with an error of the system's own;
    - ``"garble"``: every request is answered with bytes that make no sense;
    - ``"hang"``: every request is taken and never answered;
    - ``"lose_reply"``: reads are answered; a write is done, and its connection closed without an
      answer;
    - ``"hang_reply"``: reads are answered; a write is done and never answered;
    - ``"ignore"``: reads are answered; a write is answered as if it were done, and is not.

    A `BreakableProxy` does all of them for a system that listens on a socket.

    ``within``: how long a call on a broken system may take; 30 s is the default of `Ports.timeout`.
    Give the router in the test a shorter time-out of its own, or each call on a system that hangs
    takes as long as that.

    ``writes``: how many writes the system was sent so far. With it a write that is sent twice, and
    a refusal that comes only after a write was sent, are found.

    ``undo``: called with the line that ``router.undo`` gave; runs it as a person would:
    ``lambda line: subprocess.run(line, shell=True, check=True)``.

    ``parts``: for a router whose object has several parts (routes, regions), functions by name,
    each of which returns a context manager that spoils one part behind the router's back while it
    is open: ``{"a route is deleted": ..., "a route is redirected": ...}``. A way back must then
    leave nothing on the candidate. The system should still be able to serve stable. Afterwards the
    part is as it was before, or as a new one would be, with all of it on stable.
    """
    setup = RouterSetup(
        release=release,
        settle=settle,
        edit=edit,
        beside=beside,
        third_version=third_version,
        bad_names=bad_names,
        writes=writes,
        undo=undo,
        parts=parts or {},
        outages=Outages(ways=broken or {}, within=within),
    )
    with own_loop() as loop:
        return router_laws.check(router, setup, loop)


async def acheck_router(
    router: AnyRouter,
    release: Release,
    *,
    settle: timedelta | Callable[[], object] = timedelta(),
    edit: Callable[[Traffic], object] | None = None,
    beside: Release | None = None,
    third_version: Callable[[Percent], object] | None = None,
    bad_names: Sequence[str] | None = None,
    broken: Breakages | None = None,
    within: timedelta = timedelta(seconds=30),
    writes: Callable[[], int] | None = None,
    undo: Callable[[str], object] | None = None,
    parts: Mapping[str, Callable[[], AbstractContextManager[object]]] | None = None,
) -> ContractReport:
    """`check_router` where ``router`` lives on the loop that this is awaited on.

    The functions and context managers that it is given are called in another thread.
    """
    setup = RouterSetup(
        release=release,
        settle=settle,
        edit=edit,
        beside=beside,
        third_version=third_version,
        bad_names=bad_names,
        writes=writes,
        undo=undo,
        parts=parts or {},
        outages=Outages(ways=broken or {}, within=within),
    )
    return await asyncio.to_thread(router_laws.check, router, setup, _here())


def check_metrics(
    provider: AnyProvider,
    release: Release,
    window: Window,
    *,
    cuts: Sequence[datetime] = (),
    between: Callable[[], object] | None = None,
    broken: Breakages | None = None,
    within: timedelta = timedelta(seconds=30),
    clock: Callable[[], datetime] = utcnow,
) -> ContractReport:
    """Try a provider with every metric that it lists.

    It answers what was asked and nothing else, twice the same, in the measurement that fits the
    kind, with nothing where there is nothing, and in parts what it answers as a whole.

    ``window`` is one in which every metric has something for at least one track, and is complete
    (older than the metric's lag). ``cuts`` are moments within it at which to divide it: choose
    those at which something happened, because there the half-open end shows.

    A metric with ``counter=True`` is measured now, by ``clock``. ``between`` then makes something
    to count, and waits until it shows (a few requests); without it, only the form of the answers is
    tried. A level (``kind="value"``) may be that of now, and then only its form is tried too.

    ``broken``: ``"refuse"``, ``"fail"``, ``"garble"`` and ``"hang"`` of `check_router`; ``within``
    is how long a call may take then.
    """
    outages = Outages(ways=broken or {}, within=within)
    with own_loop() as loop:
        return metrics_laws.check(provider, release, window, cuts, between, clock, outages, loop)


async def acheck_metrics(
    provider: AnyProvider,
    release: Release,
    window: Window,
    *,
    cuts: Sequence[datetime] = (),
    between: Callable[[], object] | None = None,
    broken: Breakages | None = None,
    within: timedelta = timedelta(seconds=30),
    clock: Callable[[], datetime] = utcnow,
) -> ContractReport:
    """`check_metrics` where ``provider`` lives on the loop that this is awaited on.

    ``between`` is called in another thread.
    """
    check, outages = metrics_laws.check, Outages(ways=broken or {}, within=within)
    given = (provider, release, window, cuts, between, clock, outages)
    return await asyncio.to_thread(check, *given, _here())


def check_fleet(
    fleet: AnyFleet,
    release: Release,
    *,
    settle: timedelta | Callable[[], object] = timedelta(),
    unready: Callable[[Version], AbstractContextManager[object]] | None = None,
    beside: Release | None = None,
    instances: Callable[[Version], int] | None = None,
    deploy: Callable[[Version], object] | None = None,
    broken: Breakages | None = None,
    within: timedelta = timedelta(seconds=30),
) -> ContractReport:
    """Try a fleet of your own against every law of its contract.

    It tells what the instances of each version can carry now, never answers without having asked,
    and removes the version that it is told to and nothing else.

    It is handed over with all instances of every version of ``release`` ready. Either method may be
    missing, and is then not tried. Everything else is optional; the report names the laws that were
    not tried without it.

    ``settle``: how long a change of instances may take to show, or a function that makes it show.

    ``unready``: called with a version, returns a context manager; while it is open none of its
    instances is ready.

    ``beside``: the release of another service that the same fleet has. Nothing that happens to the
    instances of ``release`` may change what is said of it.

    ``instances``: called with a version, counts its instances as the system has them. With it
    `retire` is tried on the stable version of the release, **which removes its instances**: let it
    be a system that nobody uses.

    ``deploy``: called with a version, brings its instances back after they were removed, ready.

    ``broken``: ``"refuse"``, ``"fail"``, ``"garble"`` and ``"hang"`` of `check_router`; ``within``
    is how long a call may take then.
    """
    setup = fleet_laws.Setup(
        release=release,
        settle=settle,
        unready=unready,
        beside=beside,
        instances=instances,
        deploy=deploy,
        outages=Outages(ways=broken or {}, within=within),
    )
    with own_loop() as loop:
        return fleet_laws.check(fleet, setup, loop)


async def acheck_fleet(
    fleet: AnyFleet,
    release: Release,
    *,
    settle: timedelta | Callable[[], object] = timedelta(),
    unready: Callable[[Version], AbstractContextManager[object]] | None = None,
    beside: Release | None = None,
    instances: Callable[[Version], int] | None = None,
    deploy: Callable[[Version], object] | None = None,
    broken: Breakages | None = None,
    within: timedelta = timedelta(seconds=30),
) -> ContractReport:
    """`check_fleet` where ``fleet`` lives on the loop that this is awaited on.

    The functions and context managers that it is given are called in another thread.
    """
    setup = fleet_laws.Setup(
        release=release,
        settle=settle,
        unready=unready,
        beside=beside,
        instances=instances,
        deploy=deploy,
        outages=Outages(ways=broken or {}, within=within),
    )
    return await asyncio.to_thread(fleet_laws.check, fleet, setup, _here())


def check_hook(
    hook: Hook | AsyncHook,
    release: Release,
    *,
    settle: timedelta | Callable[[], object] = timedelta(),
    failing: Callable[[], AbstractContextManager[object]] | None = None,
    runs: Callable[[], int] | None = None,
    broken: Breakages | None = None,
    within: timedelta = timedelta(seconds=30),
    clock: Callable[[], datetime] = utcnow,
) -> ContractReport:
    """Try a hook, a function of a key and a release, plain or ``async``.

    It answers `Go`, `NotYet` or `Stop`, the same for the same key, and never `Go` without having
    asked.

    It is handed over with a candidate that passes, and run with keys of the kit's own. Everything
    else is optional; the report names the laws that were not tried without it.

    ``settle``: how long it may answer `NotYet` before it comes to an end, or a function that lets
    its work go on (called after each `NotYet`).

    ``failing``: returns a context manager; while it is open the candidate fails what the hook looks
    at.

    ``runs``: how many runs (jobs, tests) the hook has begun so far. With it a hook that begins one
    each time that it is asked is found: it is asked at least once for a key, so it must know the
    key again.

    ``broken``: ``"refuse"``, ``"fail"``, ``"garble"`` and ``"hang"`` of `check_router`. ``within``
    is how long each call may take, as `Ports.timeout`: what takes longer is begun by one call and
    looked at by the next.
    """
    setup = hook_laws.Setup(
        release=release,
        settle=settle,
        failing=failing,
        runs=runs,
        clock=clock,
        outages=Outages(ways=broken or {}, within=within),
    )
    with own_loop() as loop:
        return hook_laws.check(hook, setup, loop)


async def acheck_hook(
    hook: Hook | AsyncHook,
    release: Release,
    *,
    settle: timedelta | Callable[[], object] = timedelta(),
    failing: Callable[[], AbstractContextManager[object]] | None = None,
    runs: Callable[[], int] | None = None,
    broken: Breakages | None = None,
    within: timedelta = timedelta(seconds=30),
    clock: Callable[[], datetime] = utcnow,
) -> ContractReport:
    """`check_hook` where ``hook`` lives on the loop that this is awaited on.

    The functions and context managers that it is given are called in another thread; so is a hook
    that is not ``async``.
    """
    setup = hook_laws.Setup(
        release=release,
        settle=settle,
        failing=failing,
        runs=runs,
        clock=clock,
        outages=Outages(ways=broken or {}, within=within),
    )
    return await asyncio.to_thread(hook_laws.check, hook, setup, _here())


def check_gate(
    gate: Gate | AsyncGate,
    release: Release,
    *,
    open_at: Sequence[datetime] = (),
    closed_at: Sequence[datetime] = (),
    closed: Callable[[], AbstractContextManager[object]] | None = None,
    broken: Breakages | None = None,
    within: timedelta = timedelta(seconds=30),
    clock: Callable[[], datetime] = utcnow,
) -> ContractReport:
    """Try a gate, a function of a release and a moment, plain or ``async``.

    It answers `Open` or `ClosedUntil`, goes by the moment that it is given, and is never open
    without having asked.

    Everything else is optional; the report names the laws that were not tried without it.

    ``open_at``, ``closed_at``: moments (with a time zone) at which it is open, and at which it is
    closed.

    ``closed``: returns a context manager; while it is open the gate has a reason to be closed now
    (an incident, a budget that is spent), and none afterwards.

    ``broken``: ``"refuse"``, ``"fail"``, ``"garble"`` and ``"hang"`` of `check_router`; ``within``
    is how long a call may take. ``clock`` says what time it is now.
    """
    setup = gate_laws.Setup(
        release=release,
        open_at=open_at,
        closed_at=closed_at,
        closed=closed,
        clock=clock,
        outages=Outages(ways=broken or {}, within=within),
    )
    with own_loop() as loop:
        return gate_laws.check(gate, setup, loop)


async def acheck_gate(
    gate: Gate | AsyncGate,
    release: Release,
    *,
    open_at: Sequence[datetime] = (),
    closed_at: Sequence[datetime] = (),
    closed: Callable[[], AbstractContextManager[object]] | None = None,
    broken: Breakages | None = None,
    within: timedelta = timedelta(seconds=30),
    clock: Callable[[], datetime] = utcnow,
) -> ContractReport:
    """`check_gate` where ``gate`` lives on the loop that this is awaited on.

    The functions and context managers that it is given are called in another thread; so is a gate
    that is not ``async``.
    """
    setup = gate_laws.Setup(
        release=release,
        open_at=open_at,
        closed_at=closed_at,
        closed=closed,
        clock=clock,
        outages=Outages(ways=broken or {}, within=within),
    )
    return await asyncio.to_thread(gate_laws.check, gate, setup, _here())


def check_store(open_store: Callable[[str], Store], *, shared: bool = True) -> ContractReport:
    """Try a store of your own against every law of its contract.

    Compare-and-set, one active rollout of a service, all or nothing, notes in order, what is due,
    and no lost update.

    ``open_store(place)`` gives a store on the place of that name (letters and digits): a new and
    empty one when the name is new, another handle on the same one when it is not, such as ``lambda
    place: FileStore(tmp_path / place)``. ``shared=False`` is for a store that only one object can
    reach; then each name comes once.
    """
    return store_laws.check(open_store, shared)


def _here() -> Loop:
    return Loop(asyncio.get_running_loop())
