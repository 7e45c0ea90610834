"""`check_router` finds a HAProxy router that is wrong in one line, and says by name which law that
line broke.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import attrs
import pytest
from tests.support.broken_routers import FAULTS, HALF_WAYS, THREE
from tests.support.fake_haproxy import FakeHAProxy

from progressive import Release, Served, Traffic, Version, seconds
from progressive.model import Capabilities, Marker, Percent
from progressive.routers.haproxy import HAProxy
from progressive.testing import LawBroken, MemoryRouter, acheck_router, check_router
from progressive.testing.contract.laws import in_words
from progressive.testing.contract.router_faults import FAULTS as FAULTS_OF_SYSTEMS
from progressive.testing.contract.router_laws import LAWS

MODULES = (
    "progressive.adapters.flow",
    "progressive.adapters.lines",
    "progressive.adapters.parts",
    "progressive.adapters.router",
    "progressive.routers.haproxy.runtime",
    "progressive.routers.haproxy.by_map",
)
"""The modules that the router is made of, each after those that it imports."""

SOURCES = {name: Path(str(import_module(name).__file__)).read_text() for name in MODULES}
MAP = "/etc/haproxy/split.map"
SHOP = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))
CART = Release(service="cart", stable=Version("blue"), candidate=Version("green"))

SOCAT = """#!{python}
import socket, sys
with socket.socket(socket.AF_UNIX) as wire:
    wire.connect(sys.argv[2].partition(":")[2])
    wire.sendall(sys.stdin.buffer.read())
    wire.shutdown(socket.SHUT_WR)
    for part in iter(lambda: wire.recv(65536), b""):
        sys.stdout.buffer.write(part)
"""
"""As much of socat as the line of undo needs, where it is not installed."""


@pytest.fixture
def system() -> Iterator[FakeHAProxy]:
    entries = {"shop": "v1:0:v2", "cart": "blue:0:green"}
    with FakeHAProxy(MAP, entries) as found:
        yield found


@pytest.fixture
def kit(system: FakeHAProxy, tmp_path: Path) -> dict[str, Any]:
    """Every argument that the kit can be given."""
    path = os.environ["PATH"]
    if shutil.which("socat") is None:
        stand_in = tmp_path / "bin" / "socat"
        stand_in.parent.mkdir()
        stand_in.write_text(SOCAT.format(python=sys.executable))
        stand_in.chmod(0o755)
        path = f"{stand_in.parent}:{path}"

    def type_it(line: str) -> None:
        subprocess.run(line, shell=True, check=True, env={"PATH": path}, timeout=20)

    def third_version(share: Percent) -> None:
        system.entries["shop"] = f"v1:{share.ppm}:v9"

    @contextmanager
    def another() -> Iterator[None]:
        system.entries["shop"] = "v8:500000:v2"
        yield

    return {
        "parts": {"another version is stable": another},
        "edit": lambda traffic: system.entries.update(shop=f"v1:{traffic.candidate.ppm}:v2"),
        "beside": CART,
        "third_version": third_version,
        "bad_names": ["v2:0", "v 2", "v2;show"],
        "broken": system.breakages,
        "within": seconds(3),
        "writes": lambda: len(system.writes),
        "undo": type_it,
    }


class Make(Protocol):
    def __call__(self, *edits: tuple[str, str]) -> HAProxy: ...


@pytest.fixture
def router(system: FakeHAProxy, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes the router, with each first text in its modules replaced by the second."""

    def make(*edits: tuple[str, str]) -> HAProxy:
        for name, source in mutated(edits).items():
            package, _, short = name.rpartition(".")
            module = ModuleType(name)
            module.__package__ = package
            monkeypatch.setitem(sys.modules, name, module)
            monkeypatch.setattr(sys.modules[package], short, module)
            exec(compile(source, f"{short}.py", "exec"), vars(module))
        by_map = sys.modules[MODULES[-1]]
        socket = by_map.LineSocket(system.path, deadline=seconds(0.6))
        found: HAProxy = by_map.HAProxy(socket=socket, map=MAP)
        return found

    return make


def mutated(edits: Sequence[tuple[str, str]]) -> dict[str, str]:
    sources = dict(SOURCES)
    for old, new in edits:
        there = [name for name, source in sources.items() if old in source]
        assert len(there) == 1, f"{old!r} stands in {there or 'none'} of the router's modules"
        sources[there[0]] = sources[there[0]].replace(old, new)
    return sources


def test_the_correct_router_keeps_every_law_and_none_is_left_out(
    system: FakeHAProxy, router: Make, kit: dict[str, Any]
) -> None:
    report = check_router(router(), SHOP, **kit)

    assert report.missing == ()
    assert [each.needs for each in report.untried] == []
    assert system.entries["shop"].startswith("v1:0:v2:")
    assert system.entries["cart"].startswith("blue:0:green:")


# ------------------------------------------------------------------------------------ the mutants

ROW = "for words in lines if words[1] == release.service]"
SEND = 'yield Line(f"set map {self.map} {release.service} {entry}", write=True, silent=True)\n'
NOT_OVERTAKEN = "self._served(release, before).refuse_overtaken(marker, expect, "
READ_MARKER = 'Marker.loads(":".join(words))'
ENTRY = '        entry = f"{stable}:{traffic.candidate.ppm}:{candidate}:'
UNANSWERED = "return Fault(Failure.UNKNOWN if question.write and sent else Failure.TRANSIENT, why)"
CAUGHT = "            return _failed(question, error, sent=sent)\n"
JUDGED = "        return self._judged(question, bytes(answer))\n\n"
AWAITED = "return await self._client.arun(self.applying(release, traffic, marker, expect))"
REFUSE = "        self._refuse(release, traffic)\n"
WRITTEN = "        found = yield from self._write(release, traffic, marker, before)\n"
NAMES = '        refuse_names(release, ":")\n        super()'


OF_OUTAGES = {*map(in_words, FAULTS_OF_SYSTEMS), "sync and async agree"}


def mutant(name: str, law: str, *edits: tuple[str, str]) -> Any:
    """A router with each first text replaced by the second, and the law that it breaks."""
    return pytest.param(edits, law, id=name)


MUTANTS = [
    mutant(
        "ignores release.service",
        "a neighbour is left alone",
        (ROW, "for words in lines]"),
        ("{release.service} {entry}", "shop {entry}"),
    ),
    mutant(
        "reads the first entry of the map",
        "a neighbour is left alone",
        (ROW, "for words in lines]"),
    ),
    mutant(
        "writes the first entry of the map",
        "a neighbour is left alone",
        ("{release.service} {entry}", "shop {entry}"),
    ),
    mutant(
        "the version is that of the whole map",
        "a neighbour is left alone",
        (
            "return _Entry.loads(found[0])",
            "return attrs.evolve(_Entry.loads(found[0]), text=answer)",
        ),
    ),
    mutant(
        "echoes what was asked for",
        "a write without effect is not echoed",
        (SEND, f"{SEND}        return _Entry.loads(entry)\n"),
    ),
    mutant(
        "ignores expect",
        "a write on what has moved is refused",
        (NOT_OVERTAKEN, NOT_OVERTAKEN.replace("expect", "None")),
    ),
    mutant(
        "ignores the marker",
        "an older marker is refused",
        (
            NOT_OVERTAKEN,
            (
                "known = self._served(release, before).version\n"
                "        Served(traffic=traffic, version=known).refuse_overtaken(marker, expect, "
            ),
        ),
    ),
    mutant(
        "compares generations only",
        "an older marker is refused",
        (
            NOT_OVERTAKEN,
            (
                "newest = Marker(\n"
                "            generation=marker.generation, serial=10**9, closed=marker.closed\n"
                "        )\n"
                f"        {NOT_OVERTAKEN.replace('marker', 'newest')}"
            ),
        ),
    ),
    mutant(
        "overwrites a closed marker",
        "a closed marker stands",
        (
            NOT_OVERTAKEN,
            (
                "closed = attrs.evolve(marker, closed=True)\n"
                f"        {NOT_OVERTAKEN.replace('marker', 'closed')}"
            ),
        ),
    ),
    mutant(
        "loses the serial",
        "a write that changes nothing is taken",
        (READ_MARKER, f"attrs.evolve({READ_MARKER}, serial=0)"),
        ("if self.capabilities.marker and after.marker != marker:", "if False:"),
    ),
    mutant(
        "loses closed",
        "a closed marker stands",
        (READ_MARKER, f"attrs.evolve({READ_MARKER}, closed=False)"),
        ("if self.capabilities.marker and after.marker != marker:", "if False:"),
    ),
    mutant(
        "elsewhere is always 0",
        "the share of a third version is reported",
        ("Percent(MILLION - reached)", "_NONE"),
    ),
    mutant(
        "takes the second place for the candidate",
        "the next release starts where this one ended",
        (
            "        part = parts.Part.of(release, found.weights)\n",
            (
                "        names = found.text.split(':')\n"
                "        here = {each.backend for each in release.versions.values()}\n"
                "        if {names[0], names[2]} == here:\n"
                "            cut = int(names[1])\n"
                "            ours = (self._stable(release), release.candidate.backend)\n"
                "            found = attrs.evolve(found, weights=dict(zip(ours, (MILLION - "
                "cut, cut))))\n"
                "        part = parts.Part.of(release, found.weights)\n"
            ),
        ),
    ),
    mutant(
        "rounds to whole per cents",
        "every weight is read back",
        (ENTRY, ENTRY.replace("ppm", "ppm // 10_000 * 10_000")),
    ),
    mutant(
        "swaps the versions at 0",
        "a write that changes nothing is taken",
        (
            ENTRY,
            (
                "        if not traffic.candidate.ppm:\n"
                "            stable, candidate = candidate, stable\n"
                f"{ENTRY}"
            ),
        ),
    ),
    mutant(
        "a lost reply is TRANSIENT",
        "a write whose reply was lost is unknown",
        (UNANSWERED, "return Fault(Failure.TRANSIENT, why)"),
    ),
    mutant(
        "only a time-out is UNKNOWN",
        "a write whose reply was lost is unknown",
        (UNANSWERED, UNANSWERED.replace("sent", "isinstance(error, TimeoutError)")),
    ),
    mutant(
        "only a reset is UNKNOWN",
        "a write that is never answered is unknown",
        (UNANSWERED, UNANSWERED.replace("sent", "isinstance(error, ConnectionResetError)")),
    ),
    mutant(
        "everything is PERMANENT",
        "a system that is down is a router error",
        (UNANSWERED, "return Fault(Failure.PERMANENT, why)"),
    ),
    mutant(
        "raises OSError",
        "a system that is down is a router error",
        (CAUGHT, "            raise\n"),
    ),
    mutant(
        "raises UnicodeDecodeError",
        "an answer without sense is a router error",
        ('errors="replace"', 'errors="strict"'),
        ('        if self.ending and not f"\\n{text}".endswith(self.ending):', "        if False:"),
    ),
    mutant(
        "takes a refusal for an empty map",
        "a failure of the system is a router error",
        ('raise refused(f"show map {self.map}: {answer.strip()[:200]}")', "lines = []"),
        (
            "        if not found:\n",
            (
                "        if not found:\n"
                '            return _Entry(text="", weights={self._stable(release): 1}, '
                "marker=None)\n"
                "        if not found:\n"
            ),
        ),
    ),
    mutant(
        "waits for ever",
        "a system that hangs is left in time",
        ("    return max(ends - time.monotonic(), 0.001)\n", "    return 60.0\n"),
    ),
    mutant(
        "waits for ever in asyncio",
        "a system that hangs is left in time",
        ("asyncio.timeout(_left(ends))", "asyncio.timeout(None)"),
    ),
    mutant(
        "blocks the event loop",
        "a system that hangs is left in time",
        (AWAITED, AWAITED.replace("await self._client.arun", "self._client.run")),
    ),
    mutant(
        "loses writes in asyncio",
        "a write that changes nothing is taken",
        (AWAITED, "self._refuse(release, traffic)\n        return await self.aread(release)"),
    ),
    mutant(
        "does not compare in asyncio",
        "a write on what has moved is refused",
        (AWAITED, AWAITED.replace("expect", "None")),
    ),
    mutant(
        "fails otherwise in asyncio",
        "sync and async agree",
        (
            f"{CAUGHT}{JUDGED}    def _connected",
            (f"            return Fault(Failure.UNKNOWN, repr(error))\n{JUDGED}    def _connected"),
        ),
    ),
    mutant(
        "writes again after a lost reply",
        "a write is sent once",
        ("once = self.question is not None and self.question.write", "once = False"),
        (
            "outcome.failure is Failure.TRANSIENT",
            "outcome.failure in (Failure.TRANSIENT, Failure.UNKNOWN)",
        ),
    ),
    mutant(
        "writes, then refuses",
        "a share without a version is refused",
        (REFUSE, ""),
        (WRITTEN, WRITTEN + REFUSE),
        (
            "        super()._refuse(release, traffic)\n",
            "        self.capabilities.refuse(release, traffic)\n",
        ),
    ),
    mutant(
        "does not write a claim",
        "a write that changes nothing is taken",
        (
            WRITTEN,
            (
                "        if self._served(release, before).traffic == traffic:\n"
                "            return self._served(release, before)\n"
                f"{WRITTEN}"
            ),
        ),
    ),
    mutant(
        "undo does nothing",
        "undo takes everything back",
        ("return f\"echo 'show map", 'return "true" or f"echo \'show map'),
    ),
    mutant(
        "undo does not close the marker",
        "undo takes everything back",
        ("{entry}:%d:%d:1", "{entry}:%d:%d:0"),
    ),
    mutant(
        "undo forgets the generation",
        "undo takes everything back",
        ("e[4], e[5], {owner}'", "1, e[5], {owner}'"),
    ),
    mutant(
        "undo remembers the marker of the time when it was asked",
        "undo takes everything back",
        ("{entry}:%d:%d:1%s", "{entry}:{there}"),
        ("e[4], e[5], {owner}'", "0, 0, {owner}'"),
        (
            '        entry = f"{self._stable(release)}:0',
            (
                "        marker = self.read(release).marker or Marker(generation=0)\n"
                '        there = f"{marker.generation}:{marker.serial}:1"\n'
                '        entry = f"{self._stable(release)}:0'
            ),
        ),
    ),
    mutant(
        "undo takes back another service",
        "undo takes everything back",
        ('$2 == "{release.service}"', '$2 == "cart"'),
        ('filled = f"{release.service} ', 'filled = f"cart '),
    ),
    mutant(
        "a : in a name is accepted",
        "names that the system can not carry are refused",
        (NAMES, "        super()"),
        (
            "        if not goes_back(traffic, self._served(release, before), marker):\n",
            "        if False:\n",
        ),
    ),
    mutant(
        "a : in a name is dropped",
        "names that the system can not carry are refused",
        (NAMES, "        super()"),
        (
            "        if not goes_back(traffic, self._served(release, before), marker):\n",
            (
                '        stable, candidate = stable.replace(":", ""), candidate.replace(":", "")\n'
                "        if False:\n"
            ),
        ),
    ),
    mutant(
        "a : in a name is a KeyError",
        "names that the system can not carry are refused",
        (
            "        if separator in version.backend:\n            raise refused(",
            "        if separator in version.backend:\n            raise KeyError(",
        ),
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("edits", "law"), MUTANTS)
def test_a_mutant_is_named_by_the_law_that_it_breaks(
    edits: Sequence[tuple[str, str]], law: str, router: Make, kit: dict[str, Any]
) -> None:
    given = kit if law in OF_OUTAGES else {**kit, "broken": {}}  # which take their time
    with pytest.raises(LawBroken) as caught:
        check_router(router(*edits), SHOP, **given)

    assert caught.value.law == law


def test_a_mutant_that_takes_separators_in_names_is_found_without_bad_names_too(
    router: Make, kit: dict[str, Any]
) -> None:
    edits = next(each.values[0] for each in MUTANTS if each.id == "a : in a name is accepted")
    with pytest.raises(LawBroken) as caught:
        check_router(router(*edits), SHOP, **{**kit, "bad_names": None})

    assert caught.value.law == "hostile names stay names"


def test_a_router_that_remembers_is_found_by_an_edit(router: Make, kit: dict[str, Any]) -> None:
    memory: dict[str, Served] = {}
    correct = router()

    class Remembers:
        """Answers reads with what it saw when it wrote last."""

        capabilities = correct.capabilities

        def read(self, release: Release) -> Served:
            return memory[release.service] if release.service in memory else correct.read(release)

        def apply(
            self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
        ) -> Served:
            memory[release.service] = found = correct.apply(
                release, traffic, marker=marker, expect=expect
            )
            return found

    with pytest.raises(LawBroken) as caught:
        check_router(Remembers(), SHOP, **kit)

    assert caught.value.law == "what a stranger does is seen"


# -------------------------------------------------------------------------------- asyncio, reports


def test_on_the_loop_of_the_test_it_passes_too(router: Make, kit: dict[str, Any]) -> None:
    report = asyncio.run(acheck_router(router(), SHOP, **kit))

    assert report.missing == ()


def test_on_the_loop_of_the_test_a_blocked_loop_is_seen(router: Make, kit: dict[str, Any]) -> None:
    edit = (AWAITED, AWAITED.replace("await self._client.arun", "self._client.run"))
    with pytest.raises(LawBroken, match="aapply blocked the event loop while it waited") as caught:
        asyncio.run(acheck_router(router(edit), SHOP, **kit))

    assert caught.value.law == "a system that hangs is left in time"


def test_what_was_not_tried_is_named_with_the_argument_that_is_missing(
    system: FakeHAProxy, router: Make
) -> None:
    report = check_router(router(), SHOP, broken={"refuse": lambda: system.breaking("refuse")})

    assert report.port == "HAProxy"
    assert "a system that is down is a router error" in report.held
    assert {each.law: each.needs for each in report.untried} == {
        "a neighbour is left alone": "beside=",
        "what a stranger does is seen": "edit=",
        "the share of a third version is reported": "third_version=",
        "the next release starts where this one ended": "third_version=",
        "undo takes everything back": "undo=",
        "a way back is whole": "parts=",
        "a failure of the system is a router error": "broken['fail']",
        "an answer without sense is a router error": "broken['garble']",
        "a system that hangs is left in time": "broken['hang']",
        "a write whose reply was lost is unknown": "broken['lose_reply']",
        "a write that is never answered is unknown": "broken['hang_reply']",
        "a write is sent once": "writes=",
        "a write without effect is not echoed": "broken['ignore']",
        "names that the system can not carry are refused": "bad_names=",
    }
    assert set(report.missing) == {each.needs for each in report.untried}
    assert "- a neighbour is left alone (needs beside=: a second release that" in str(report)


def test_a_law_that_needs_what_the_port_does_not_have_is_named_too() -> None:
    class Bare(MemoryRouter):
        undo = None  # type: ignore[assignment]

        def read(self, release: Release) -> Served:
            return attrs.evolve(super().read(release), version=None)

    report = check_router(Bare(capabilities=Capabilities()), SHOP)

    assert {
        each.law: each.needs for each in report.untried if each.needs not in report.missing
    } == {
        "undo is one line": "router.undo",
        "undo takes everything back": "router.undo",
        "a write on what has moved is refused": "Served.version",
        "an older marker is refused": "capabilities.marker",
        "another owner of one generation is refused": "capabilities.marker",
        "a closed marker stands": "capabilities.marker",
    }


def test_every_law_is_broken_by_a_mutant_or_by_a_double() -> None:
    named = {each.values[1] for each in MUTANTS} | {
        "hostile names stay names",
        "what a stranger does is seen",
    }
    for _, make, _ in FAULTS:
        with pytest.raises(LawBroken) as caught:
            check_router(make(), THREE)
        named.add(caught.value.law)
    for half_way, _ in HALF_WAYS:
        whole = half_way()
        with pytest.raises(LawBroken) as caught:
            check_router(whole, THREE, parts=whole.parts, undo=whole.type_it)
        named.add(caught.value.law)

    assert named - {""} == {*map(in_words, LAWS), "sync and async agree"}
