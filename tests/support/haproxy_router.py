"""A router for HAProxy by one map entry, correct and in one file, so that tests can break it line
by line.

The entry of a service is ``stable:ppm:candidate:generation:serial:closed``. One command changes all
of it.
"""

from __future__ import annotations

import asyncio
import shlex
import socket
from collections.abc import Generator
from typing import TypeVar

import attrs

from progressive import ConflictError, Release, RouterError, Served, Track, Traffic
from progressive.errors import Failure
from progressive.model import Capabilities, Marker, Percent

T = TypeVar("T")
MILLION = 1_000_000


@attrs.frozen
class Line:
    """A command; ``write`` says that it changes something, so a failure after it was sent is
    UNKNOWN.
    """

    text: str
    write: bool = False


@attrs.frozen
class Lines:
    """Runs a flow of commands over a unix socket, one connection for each, in sync and in async."""

    path: str
    timeout: float

    def run(self, flow: Generator[Line, str, T]) -> T:
        answer = ""
        try:
            line = next(flow)
            while True:
                connected = False
                try:
                    with socket.socket(socket.AF_UNIX) as wire:
                        wire.settimeout(self.timeout)
                        wire.connect(self.path)
                        connected = True
                        wire.sendall(f"{line.text}\n".encode())
                        answer = b"".join(iter(lambda: wire.recv(65536), b"")).decode()
                except (OSError, UnicodeError) as why:
                    raise self.failed(why, line, connected) from why
                line = flow.send(answer)
        except StopIteration as done:
            return done.value

    async def arun(self, flow: Generator[Line, str, T]) -> T:
        answer = ""
        try:
            line = next(flow)
            while True:
                connected = False
                try:
                    async with asyncio.timeout(self.timeout):
                        reader, writer = await asyncio.open_unix_connection(self.path)
                        try:
                            connected = True
                            writer.write(f"{line.text}\n".encode())
                            answer = (await reader.read()).decode()
                        finally:
                            writer.close()
                except (OSError, UnicodeError) as why:
                    raise self.failed(why, line, connected) from why
                line = flow.send(answer)
        except StopIteration as done:
            return done.value

    def failed(self, why: Exception, line: Line, connected: bool) -> RouterError:
        failure = Failure.UNKNOWN if line.write and connected else Failure.TRANSIENT
        return RouterError(f"HAProxy at {self.path}: {line.text[:8]}: {why!r}", failure=failure)


def permanent(why: str) -> RouterError:
    return RouterError(f"HAProxy: {why}", failure=Failure.PERMANENT)


@attrs.frozen(kw_only=True)
class HAProxy:
    """One split of one HAProxy: the ``path`` of its runtime socket, and the ``map`` file."""

    path: str
    map: str
    timeout: float = 5.0

    capabilities = Capabilities(smallest_weight=Percent(1), marker=True)

    @property
    def lines(self) -> Lines:
        return Lines(self.path, self.timeout)

    def read(self, release: Release) -> Served:
        return self.lines.run(self.reading(release))

    async def aread(self, release: Release) -> Served:
        return await self.lines.arun(self.reading(release))

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        return self.lines.run(self.writing(release, traffic, marker, expect))

    async def aapply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        return await self.lines.arun(self.writing(release, traffic, marker, expect))

    def undo(self, release: Release) -> str:
        talk = f"socat - UNIX-CONNECT:{shlex.quote(self.path)}"
        back = f"set map {self.map} {release.service} {release.stable}:0:{release.candidate}:"
        close = f'{{ split($3, e, ":"); print "{back}" e[4]+0 ":" e[5]+0 ":1" }}'
        rule = f'$2 == "{release.service}" {close}'
        return f"echo show map {shlex.quote(self.map)} | {talk} | awk {shlex.quote(rule)} | {talk}"

    def reading(self, release: Release) -> Generator[Line, str, Served]:
        said = yield Line(f"show map {self.map}")
        rows = [row.split() for row in said.splitlines() if row]
        if any(not words[0].startswith("0x") for words in rows):
            raise permanent(said.strip())
        for words in rows:
            if len(words) == 3 and words[1] == release.service:
                return served(release, words[2])
        raise permanent(f"{self.map} has no {release.service!r}")

    def writing(
        self, release: Release, traffic: Traffic, marker: Marker, expect: str | None
    ) -> Generator[Line, str, Served]:
        self.capabilities.refuse(release, traffic)
        stable, candidate = (release.stable or release.candidate).backend, release.candidate.backend
        if ":" in stable + candidate:
            raise permanent(f"a : separates the parts of an entry: {stable!r}, {candidate!r}")
        before = yield from self.reading(release)
        if before.marker is not None:
            refuse_overtaken(before.marker, marker)
        if expect is not None and expect != before.version:
            raise ConflictError(f"the entry is {before.version}, {expect} was expected")
        left = f"{marker.generation}:{marker.serial}:{marker.closed:d}"
        entry = f"{stable}:{traffic.candidate.ppm}:{candidate}:{left}"
        said = yield Line(f"set map {self.map} {release.service} {entry}", write=True)
        if said.strip():
            raise permanent(said.strip())
        return (yield from self.reading(release))


def refuse_overtaken(there: Marker, ours: Marker) -> None:
    if there.supersedes(ours):
        raise ConflictError(f"{there} stands there, newer than {ours}")
    if there.generation == ours.generation and there.closed and not ours.closed:
        raise ConflictError(f"{there} was closed")


def served(release: Release, entry: str) -> Served:
    try:
        stable, cut, candidate, *marked = entry.split(":")
        ppm = {stable: MILLION - int(cut)}
        ppm[candidate] = ppm.get(candidate, 0) + int(cut)
        marker = None
        if marked:
            generation, serial, closed = map(int, marked)
            marker = Marker(generation=generation, serial=serial, closed=bool(closed))
        versions = [track.version(release) for track in Track]
        ours = {version.backend for version in versions if version is not None}
        return Served(
            traffic=Traffic(candidate=Percent(ppm.get(release.candidate.backend, 0))),
            version=entry,
            marker=marker,
            unattributed=Percent(sum(ppm[name] for name in ppm if name not in ours)),
        )
    except ValueError as why:
        raise permanent(f"the entry {entry!r} was edited: {why}") from why
