"""What hangs where, and how long traffic stays up for it: ``nox -s hangs``.

One place around a running canary hangs, and then the candidate begins to fail. Prints, for each
place and each kind of driver, the seconds from the first harm until the router serves 0 %; ends
with 1 if one is more than the ports' deadline plus one interval (and half a second for threads to
start in).
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import attrs

sys.path.insert(0, str(Path(__file__).parents[1]))

from progressive import (
    Canary,
    Limit,
    Metric,
    Ports,
    Release,
    Tolerance,
    Traffic,
    Version,
    arun,
    hours,
    ms,
    percent,
    percents,
    run,
    seconds,
    start,
)
from progressive.adapters.http import Http, HttpClient, HttpFlow, Request
from progressive.adapters.kubernetes.kubeconfig import Plugin
from progressive.errors import MetricsError
from progressive.model import ClosedUntil, Counts, Look, Measurement, NotYet, Open
from progressive.model.traffic import Track
from progressive.ports import utcnow
from progressive.steps import Bake, Hook, SetWeight
from progressive.testing import MemoryRouter, MemoryStore

DEADLINE: Final = ms(1000)
INTERVAL: Final = ms(250)
BOUND: Final = (DEADLINE + INTERVAL + ms(500)).total_seconds()
LONG: Final = 30.0
"""Seconds that a call hangs: longer than any cell may take."""

RELEASE: Final = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))
ERRORS, OTHER = Metric("errors", kind="ratio"), Metric("other", kind="ratio")
NEVER = Tolerance(in_a_row=1)
CANARY: Final = Canary(
    weights=percents(10, 100),
    bake=ms(200),
    checks=[
        Limit(ERRORS, at_most=percent(1), min_sample=10, tolerance=NEVER),
        Limit(OTHER, at_most=percent(1), min_sample=10, tolerance=NEVER),
    ],
    interval=INTERVAL,
    watch_every=INTERVAL * 2,
    gates=["calendar"],
)
"""Its gate stays closed at 10 %, so nothing but the fault moves it."""

HOOKED: Final = attrs.evolve(
    CANARY,
    weights=(),
    steps=[SetWeight(percent(10)), Hook("smoke"), SetWeight(percent(100)), Bake(hours(1))],
)
SOON: Final = ms(200)


@attrs.define(kw_only=True)
class World:
    """A service that fails from ``harmed_at`` on, and the place that hangs once it has begun."""

    place: str
    harmed_at: float = 0.0
    begun: bool = False
    raised: bool = False
    ended: threading.Event = attrs.field(factory=threading.Event)
    hung: set[str] = attrs.field(factory=set)

    def hangs(self, place: str) -> bool:
        if self.place != place or not self.begun:
            return False
        self.hung.add(place)
        return True

    def visit(self, place: str) -> None:
        """Whatever a sync port does at a place."""
        if self.hangs(place):
            self.ended.wait(LONG)

    async def avisit(self, place: str) -> None:
        if self.hangs(place):
            await asyncio.sleep(LONG)

    def hook(self, key: str, release: Release) -> NotYet:
        self.visit("hook")
        return NotYet(utcnow() + SOON, "it warms up")

    def gate(self, release: Release, at: datetime) -> Open | ClosedUntil:
        self.visit("gate")
        return ClosedUntil(at + SOON, "not yet") if self.raised else Open()

    def measured(self, metric: Metric, tracks: tuple[Track, ...], window: Any) -> Look:
        bad = self.harmed_at and metric == ERRORS

        def counts(track: Track) -> Measurement:
            failed = 50 if bad and track is Track.CANDIDATE else 0
            return Counts(events=failed, trials=100)

        found = tuple((track, counts(track)) for track in tracks)
        return Look(metric=metric.name, window=window, tracks=found)


class Router:
    """In memory; a write that hangs does so once, as one call that never comes back."""

    def __init__(self, world: World) -> None:
        self.inner, self.capabilities = MemoryRouter(), MemoryRouter().capabilities
        self.world = world
        self.wrote = False

    def read(self, release: Release) -> Any:
        self.world.visit("router read")
        return self.inner.read(release)

    def apply(self, release: Release, traffic: Traffic, **given: Any) -> Any:
        if not self.wrote and self.world.hangs("router write"):
            self.wrote = True
            self.world.ended.wait(LONG)
            raise TimeoutError("it never came back")
        self.world.raised = bool(traffic.candidate.ppm)
        return self.inner.apply(release, traffic, **given)


class AsyncRouter(Router):
    async def aread(self, release: Release) -> Any:
        await self.world.avisit("router read")
        return self.inner.read(release)

    async def aapply(self, release: Release, traffic: Traffic, **given: Any) -> Any:
        if not self.wrote and self.world.hangs("router write"):
            self.wrote = True
            await asyncio.sleep(LONG)
        self.world.raised = bool(traffic.candidate.ppm)
        return self.inner.apply(release, traffic, **given)


class Metrics:
    metrics = (ERRORS, OTHER)

    def __init__(self, world: World) -> None:
        self.world = world

    def measure(
        self, release: Release, metric: Metric, tracks: Any, window: Any, since: Any
    ) -> Look:
        if metric == OTHER:
            self.world.visit("a metric beside")
        return self.world.measured(metric, tracks, window)


class AsyncMetrics(Metrics):
    async def ameasure(
        self, release: Release, metric: Metric, tracks: Any, window: Any, since: Any
    ) -> Look:
        if metric == OTHER:
            await self.world.avisit("a metric beside")
        return self.world.measured(metric, tracks, window)


class Server(BaseHTTPRequestHandler):
    """Answers everything with an empty object."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        pass


class OverHttp(Metrics):
    """A metric beside that is asked for over HTTP, with a hang on the way there."""

    ameasure: Any = None

    def __init__(self, world: World, *, waits: bool) -> None:
        super().__init__(world)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        name = NAME if world.place == "DNS" else "127.0.0.1"
        credentials: Any = None
        if world.place == "credentials":
            credentials = self.credential
        if world.place == "exec plugin":
            self.flag = Path(tempfile.mkdtemp()) / "hangs"
            command = ("sh", "-c", f"test -e {self.flag} && sleep {LONG}; echo '{TOKEN}'")
            credentials = Plugin(command=command, environment={}, version=EXEC)
        http = Http(
            f"http://{name}:{self.server.server_port}", credentials=credentials, deadline=DEADLINE
        )
        self.client = HttpClient(http, MetricsError, "it")
        if waits:
            self.ameasure = self.ameasured

    def credential(self) -> str:
        self.world.visit("credentials")
        return "Bearer of-nothing"

    def before(self, metric: Metric) -> bool:
        if metric == OTHER and self.world.hangs("exec plugin"):
            self.flag.touch()
        return metric == OTHER

    def asked(self) -> HttpFlow[None]:
        yield Request("GET", "/")

    def measure(
        self, release: Release, metric: Metric, tracks: Any, window: Any, since: Any
    ) -> Look:
        if self.before(metric):
            self.client.run(self.asked())
        return self.world.measured(metric, tracks, window)

    async def ameasured(
        self, release: Release, metric: Metric, tracks: Any, window: Any, since: Any
    ) -> Look:
        if self.before(metric):
            await self.client.arun(self.asked())
        return self.world.measured(metric, tracks, window)


NAME: Final = "metrics.example"
EXEC: Final = "client.authentication.k8s.io/v1"
TOKEN: Final = json.dumps(
    {
        "apiVersion": EXEC,
        "kind": "ExecCredential",
        "status": {"token": "of-nothing", "expirationTimestamp": "2020-01-01T00:00:00Z"},
    }
)
"""It is over at once, so the plugin is run for every request."""
OVER_HTTP: Final = ("credentials", "exec plugin", "DNS")


def resolve(world: World, monkey: Any = socket.getaddrinfo) -> None:
    """Let the name of the metrics be this machine, after a while."""

    def found(host: Any, *given: Any, **named: Any) -> Any:
        if host not in (NAME, NAME.encode()):
            return monkey(host, *given, **named)
        world.visit("DNS")
        return monkey("127.0.0.1", *given, **named)

    socket.getaddrinfo = found


class Store(MemoryStore):
    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    def load(self, id: str) -> Any:
        self.world.visit("store read")
        return super().load(id)

    def serials(self, ids: Any) -> Any:
        self.world.visit("store read")
        return super().serials(ids)

    def save(self, rollout: Any, notes: Any, *, expected: int | None) -> None:
        self.world.visit("store save")
        super().save(rollout, notes, expected=expected)


PLACES: Final = (
    "nothing",
    "router read",
    "router write",
    "a metric beside",
    "store read",
    "store save",
    "hook",
    "gate",
    "observer",
    *OVER_HTTP,
)
DRIVERS: Final = ("sync", "asyncio, sync ports", "asyncio, async ports")


def cell(place: str, driver: str) -> float:
    """The seconds from the first harm to 0 %; infinity if it never came to that."""
    world = World(place=place)
    waits = driver.endswith("async ports")
    router = AsyncRouter(world) if waits else Router(world)
    metrics: Metrics = AsyncMetrics(world) if waits else Metrics(world)
    if place in OVER_HTTP:
        metrics = OverHttp(world, waits=waits)
        resolve(world)
    ports = Ports(
        router=router,
        metrics=[metrics],
        store=Store(world),
        hooks={"smoke": world.hook},
        gates={"calendar": world.gate},
        observers=[lambda rollout, notes: world.visit("observer")],
        timeout=DEADLINE,
    )
    start(HOOKED if place == "hook" else CANARY, RELEASE, id="shop-v2", ports=ports)

    def drive() -> None:
        if driver == "sync":
            run("shop-v2", ports, budget=seconds(LONG))
        else:
            asyncio.run(arun("shop-v2", ports, budget=seconds(LONG)))

    driving = threading.Thread(target=drive, daemon=True)
    driving.start()
    _until(lambda: router.inner.traffic == Traffic(candidate=percent(10)), 20)
    world.begun = True
    _until(lambda: bool(world.hung), 1)  # a write comes only with the harm
    world.harmed_at = time.monotonic()
    zero = _until(lambda: router.inner.traffic == Traffic(), LONG / 2)
    took = time.monotonic() - world.harmed_at if zero else float("inf")
    world.ended.set()
    assert place == "nothing" or world.hung, f"nothing hung at {place}: the cell says nothing"
    return took


def _until(wanted: Callable[[], bool], most: float) -> bool:
    end = time.monotonic() + most
    while time.monotonic() < end:
        if wanted():
            return True
        time.sleep(0.01)
    return False


def main() -> int:
    print(f"seconds from the first harm to 0 %; at most {BOUND:g} (deadline, interval, 0.5)")
    print(f"{'hangs':18}" + "".join(f"{driver:>24}" for driver in DRIVERS))
    worst = 0.0
    for place in PLACES:
        found = [cell(place, driver) for driver in DRIVERS]
        print(f"{place:18}" + "".join(f"{took:24.2f}" for took in found), flush=True)
        worst = max(worst, *found)
    print(f"the longest: {worst:.2f}")
    return worst > BOUND


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.exit(code)
