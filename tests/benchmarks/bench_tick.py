"""One tick with 1, 10 and 50 metrics over HTTP, beside the same raw requests made at the same time.

A local server answers each request after a fixed delay. The raw side makes the same requests with
the same client, all at once; the tick also reads the router first, saves, and decides: that is the
constant, and it is named.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from figures import SMOKE, table

from progressive import (
    Canary,
    Limit,
    Metric,
    Ports,
    Release,
    Version,
    astart,
    atick,
    minutes,
    ms,
    percent,
    percents,
)
from progressive.model import Counts, Look, Window
from progressive.model.traffic import Track
from progressive.testing import MemoryRouter, MemoryStore

DELAY = 0.05
RELEASE = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))


@asynccontextmanager
async def slow_server() -> AsyncIterator[str]:
    """A server that answers everything after `DELAY`; gives its address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(DELAY)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()


class Provider:
    """A provider whose every answer is one request."""

    def __init__(self, url: str, client: httpx.AsyncClient, count: int) -> None:
        self.url, self.client = url, client
        self.metrics = tuple(Metric(f"m{i}", kind="ratio") for i in range(count))

    async def ameasure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> Look:
        await self.client.get(self.url)
        return Look(
            metric=metric.name,
            window=window,
            tracks=tuple((track, Counts(events=0, trials=900)) for track in tracks),
        )


class Clock:
    """The wall clock, moved on between ticks so that every look is due."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


async def measured(count: int) -> tuple[float, float]:
    """Seconds of a tick with ``count`` looks, and of the same requests alone."""
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    async with slow_server() as url, httpx.AsyncClient(limits=limits) as client:
        provider, clock = Provider(url, client, count), Clock()
        strategy = Canary(
            weights=percents(1, 100),
            bake=minutes(600),
            checks=[Limit(metric, at_most=percent(5)) for metric in provider.metrics],
            interval=minutes(1),
            watch_every=minutes(5),
        )
        ports = Ports(router=MemoryRouter(), metrics=[provider], store=MemoryStore(), clock=clock)
        await astart(strategy, RELEASE, id="bench", ports=ports)
        for _ in range(3):
            await atick("bench", ports)
        loop, ticks, raws = asyncio.get_running_loop(), [], []
        for _ in range(1 if SMOKE else 9):
            clock.ahead += minutes(1) + ms(1)
            began = loop.time()
            decision = await atick("bench", ports)
            ticks.append(loop.time() - began)
            assert sum(note.kind == "judged" for note in decision.notes) == count, decision.notes
            began = loop.time()
            await asyncio.gather(*(client.get(url) for _ in range(count)))
            raws.append(loop.time() - began)
        return min(ticks), min(raws)


def main() -> None:
    rows: list[tuple[Any, ...]] = []
    for count in (1, 10, 50):
        tick, raw = asyncio.run(measured(count))
        rows.append(
            (
                str(count),
                f"{raw * 1e3:.1f} ms",
                f"{tick * 1e3:.1f} ms",
                f"{tick / raw:.2f}",
                f"{(tick - raw) * 1e3:.1f} ms",
            )
        )
    table(
        "one tick beside the same requests made at the same time (each answered after "
        f"{DELAY * 1e3:.0f} ms)",
        ("metrics", "requests alone", "tick", "ratio", "constant: load, decide, save"),
        rows,
    )


if __name__ == "__main__":
    main()
