"""`check_router` finds a HAProxy router that is wrong in one line, and says by name which law that
line broke.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest
from tests.support.broken_routers import FAULTS, THREE
from tests.support.fake_haproxy import FakeHAProxy

from progressive import Release, Served, Traffic, Version, seconds
from progressive.model import Capabilities, Marker, Percent
from progressive.testing import LawBroken, MemoryRouter, acheck_router, check_router
from progressive.testing.contract.laws import in_words
from progressive.testing.contract.router_laws import LAWS

ROUTER = "tests.support.haproxy_router"
"""The module of the router that is broken here: it has a class ``HAProxy(path=, map=, timeout=)``.
"""

SOURCE = Path(str(import_module(ROUTER).__file__)).read_text()
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
"""As much of socat as the line of undo needs."""


@pytest.fixture
def system(tmp_path: Path) -> Iterator[FakeHAProxy]:
    entries = {"shop": "v1:0:v2", "cart": "blue:0:green"}
    with FakeHAProxy(tmp_path / "haproxy.sock", MAP, entries) as found:
        yield found


@pytest.fixture
def kit(system: FakeHAProxy, tmp_path: Path) -> dict[str, Any]:
    """Every argument that the kit can be given."""
    socat = tmp_path / "bin" / "socat"
    socat.parent.mkdir()
    socat.write_text(SOCAT.format(python=sys.executable))
    socat.chmod(0o755)

    def type_it(line: str) -> None:
        path = f"{socat.parent}:/usr/bin:/bin"
        subprocess.run(line, shell=True, check=True, env={"PATH": path}, timeout=20)

    def third_version(share: Percent) -> None:
        system.entries["shop"] = f"v1:{share.ppm}:v9"

    return {
        "edit": lambda traffic: system.entries.update(shop=f"v1:{traffic.candidate.ppm}:v2"),
        "beside": CART,
        "third_version": third_version,
        "bad_names": ["v2:0", "v 2", "v2;show"],
        "broken": system.breakages,
        "within": seconds(2),
        "writes": lambda: len(system.writes),
        "undo": type_it,
    }


def router(system: FakeHAProxy, source: str = SOURCE) -> Any:
    module = ModuleType("broken_haproxy")
    sys.modules[module.__name__] = module  # attrs looks a class's module up
    exec(compile(source, "broken_haproxy.py", "exec"), module.__dict__)
    return module.HAProxy(path=system.path, map=MAP, timeout=0.3)


def test_the_correct_router_keeps_every_law_and_none_is_left_out(
    system: FakeHAProxy, kit: dict[str, Any]
) -> None:
    report = check_router(router(system), SHOP, **kit)

    assert report.missing == ()
    assert [each.needs for each in report.untried] == []
    assert system.entries["shop"].startswith("v1:0:v2:")
    assert system.entries["cart"].startswith("blue:0:green:")


# ------------------------------------------------------------------------------------ the mutants

OVERTAKEN = "    if there.supersedes(ours):\n"
CLOSED = "    if there.generation == ours.generation and there.closed and not ours.closed:\n"
EXPECTED = "if expect is not None and expect != before.version:"
NAMES = 'if ":" in stable + candidate:'
READ_BACK = "        return (yield from self.reading(release))\n"
SEND = 'yield Line(f"set map {self.map} {release.service} {entry}", write=True)\n'
ROW = "if len(words) == 3 and words[1] == release.service:"
LOST = "failure = Failure.UNKNOWN if line.write and connected else Failure.TRANSIENT"
AWAITED = "return await self.lines.arun(self.writing(release, traffic, marker, expect))"
MARKER = "Marker(generation=generation, serial=serial, closed=bool(closed))"
CAUGHT = "except (OSError, UnicodeError) as why:\n"
RAISED = "                    raise self.failed(why, line, connected) from why\n"
REFUSE = "        self.capabilities.refuse(release, traffic)\n"


def mutant(name: str, law: str, *edits: tuple[str, str]) -> Any:
    """A router with each first text replaced by the second, and the law that it breaks."""
    return pytest.param(edits, law, id=name)


MUTANTS = [
    mutant(
        "ignores release.service",
        "a neighbour is left alone",
        (ROW, "if len(words) == 3:"),
        ("{release.service} {entry}", "shop {entry}"),
    ),
    mutant(
        "reads the first entry of the map",
        "a neighbour is left alone",
        (ROW, "if len(words) == 3:"),
    ),
    mutant(
        "writes the first entry of the map",
        "a neighbour is left alone",
        ("{release.service} {entry}", "shop {entry}"),
    ),
    mutant(
        "the version is that of the whole map",
        "a neighbour is left alone",
        ("served(release, words[2])", "attrs.evolve(served(release, words[2]), version=said)"),
    ),
    mutant(
        "echoes what was asked for",
        "a write without effect is not echoed",
        (READ_BACK, "        return served(release, entry)\n"),
    ),
    mutant("ignores expect", "a write on what has moved is refused", (EXPECTED, "if False:")),
    mutant(
        "ignores the marker",
        "an older marker is refused",
        ("if before.marker is not None:", "if False:"),
    ),
    mutant(
        "compares generations only",
        "an older marker is refused",
        (OVERTAKEN, "    if there.generation > ours.generation:\n"),
    ),
    mutant("overwrites a closed marker", "a closed marker stands", (CLOSED, "    if False:\n")),
    mutant(
        "loses the serial",
        "a write that changes nothing is taken",
        (MARKER, MARKER.replace("serial=serial", "serial=0")),
    ),
    mutant(
        "loses closed", "a closed marker stands", (MARKER, MARKER.replace("bool(closed)", "False"))
    ),
    mutant(
        "elsewhere is always 0",
        "the share of a third version is reported",
        ("Percent(sum(ppm[name] for name in ppm if name not in ours))", "Percent(0)"),
    ),
    mutant(
        "takes the second place for the candidate",
        "the next release starts where this one ended",
        ("ppm.get(release.candidate.backend, 0)", "int(cut) if candidate in ours else 0"),
    ),
    mutant(
        "rounds to whole per cents",
        "every weight is read back",
        ("{traffic.candidate.ppm}", "{traffic.candidate.ppm // 10_000 * 10_000}"),
    ),
    mutant(
        "swaps the versions at 0",
        "a write that changes nothing is taken",
        (
            '        entry = f"',
            (
                "        if not traffic.candidate.ppm:\n"
                "            stable, candidate = candidate, stable\n"
                '        entry = f"'
            ),
        ),
    ),
    mutant(
        "a lost reply is TRANSIENT",
        "a write whose reply was lost is unknown",
        (LOST, "failure = Failure.TRANSIENT"),
    ),
    mutant(
        "only a time-out is UNKNOWN",
        "a write whose reply was lost is unknown",
        ("line.write and connected", "line.write and isinstance(why, TimeoutError)"),
    ),
    mutant(
        "only a reset is UNKNOWN",
        "a write that is never answered is unknown",
        ("line.write and connected", "line.write and isinstance(why, ConnectionResetError)"),
    ),
    mutant(
        "everything is PERMANENT",
        "a system that is down is a router error",
        (LOST, "failure = Failure.PERMANENT"),
    ),
    mutant(
        "raises OSError",
        "a system that is down is a router error",
        (RAISED, "                    raise\n"),
    ),
    mutant(
        "raises UnicodeDecodeError",
        "an answer without sense is a router error",
        (CAUGHT, "except OSError as why:\n"),
    ),
    mutant(
        "takes a refusal for an empty map",
        "a failure of the system is a router error",
        ('if any(not words[0].startswith("0x") for words in rows):', "if False:"),
        (
            '        raise permanent(f"{self.map} has no {release.service!r}")\n',
            "        return Served(traffic=Traffic())\n",
        ),
    ),
    mutant(
        "waits for ever",
        "a system that hangs is left in time",
        ("wire.settimeout(self.timeout)", "wire.settimeout(None)"),
    ),
    mutant(
        "waits for ever in asyncio",
        "a system that hangs is left in time",
        ("asyncio.timeout(self.timeout)", "asyncio.timeout(None)"),
    ),
    mutant(
        "blocks the event loop",
        "a system that hangs is left in time",
        (AWAITED, "return self.apply(release, traffic, marker=marker, expect=expect)"),
    ),
    mutant(
        "loses writes in asyncio",
        "a neighbour is left alone",
        (AWAITED, f"{REFUSE.strip()}\n        return await self.aread(release)"),
    ),
    mutant(
        "does not compare in asyncio",
        "a write on what has moved is refused",
        (AWAITED, AWAITED.replace("expect)", "None)")),
    ),
    mutant(
        "fails otherwise in asyncio",
        "sync and async agree",
        (
            "async with asyncio.timeout(self.timeout):\n",
            (
                "async with asyncio.timeout(self.timeout):\n"
                "                        line = attrs.evolve(line, write=True)\n"
            ),
        ),
    ),
    mutant(
        "writes again after a lost reply",
        "a write is sent once",
        (
            f"        said = {SEND}",
            (
                "        try:\n"
                f"            said = {SEND}"
                "        except RouterError:\n"
                f"            said = {SEND}"
            ),
        ),
        (
            RAISED,
            (
                "                    line = flow.throw(self.failed(why, line, connected))\n"
                "                    continue\n"
            ),
        ),
    ),
    mutant(
        "writes, then refuses",
        "a share without a version is refused",
        (REFUSE, ""),
        (READ_BACK, REFUSE + READ_BACK),
    ),
    mutant(
        "does not write a claim",
        "a write that changes nothing is taken",
        (
            "        entry = f",
            "        if before.traffic == traffic:\n            return before\n        entry = f",
        ),
    ),
    mutant(
        "undo does nothing",
        "undo takes everything back",
        ('return f"echo show map', 'return "true"\n        return f"echo show map'),
    ),
    mutant(
        "undo does not close the marker",
        "undo takes everything back",
        ('":1" }}', '":0" }}'),
    ),
    mutant(
        "undo forgets the generation",
        "undo takes everything back",
        ('print "{back}" e[4]+0', 'print "{back}" 1'),
    ),
    mutant(
        "undo remembers the marker of the time when it was asked",
        "undo takes everything back",
        ('e[4]+0 ":" e[5]+0 ":1" }}', '{there}" }}'),
        (
            "        close = ",
            (
                "        marker = self.read(release).marker or Marker(generation=0)\n"
                '        there = f"{marker.generation}:{marker.serial}:1"\n'
                "        close = "
            ),
        ),
        ('print "{back}" {there}', 'print "{back}{there}'),
    ),
    mutant(
        "undo takes back another service",
        "undo takes everything back",
        ('$2 == "{release.service}"', '$2 == "cart"'),
        ("{self.map} {release.service} {release.stable}", "{self.map} cart {release.stable}"),
    ),
    mutant(
        "a : in a name is accepted",
        "names that the system can not carry are refused",
        (NAMES, "if False:"),
    ),
    mutant(
        "a : in a name is dropped",
        "names that the system can not carry are refused",
        (
            NAMES,
            (
                'stable, candidate = stable.replace(":", ""), candidate.replace(":", "")\n'
                "        if False:"
            ),
        ),
    ),
    mutant(
        "a : in a name is a KeyError",
        "names that the system can not carry are refused",
        (NAMES, f"{NAMES}\n            raise KeyError(candidate)\n        if False:"),
    ),
]


def mutated(edits: Sequence[tuple[str, str]]) -> str:
    source = SOURCE
    for old, new in edits:
        assert old in source, f"{ROUTER}.py has no {old!r} any more"
        source = source.replace(old, new)
    return source


@pytest.mark.parametrize(("edits", "law"), MUTANTS)
def test_a_mutant_is_named_by_the_law_that_it_breaks(
    edits: Sequence[tuple[str, str]], law: str, system: FakeHAProxy, kit: dict[str, Any]
) -> None:
    with pytest.raises(LawBroken) as caught:
        check_router(router(system, mutated(edits)), SHOP, **kit)

    assert caught.value.law == law


def test_a_mutant_that_takes_separators_in_names_is_found_without_bad_names_too(
    system: FakeHAProxy, kit: dict[str, Any]
) -> None:
    with pytest.raises(LawBroken) as caught:
        check_router(
            router(system, mutated([(NAMES, "if False:")])), SHOP, **{**kit, "bad_names": None}
        )

    assert caught.value.law == "hostile names stay names"


def test_a_router_that_remembers_is_found_by_an_edit(
    system: FakeHAProxy, kit: dict[str, Any]
) -> None:
    memory: dict[str, Served] = {}
    correct = router(system)

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


def test_on_the_loop_of_the_test_it_passes_too(system: FakeHAProxy, kit: dict[str, Any]) -> None:
    report = asyncio.run(acheck_router(router(system), SHOP, **kit))

    assert report.missing == ()


def test_on_the_loop_of_the_test_a_blocked_loop_is_seen(
    system: FakeHAProxy, kit: dict[str, Any]
) -> None:
    source = mutated(
        [(AWAITED, "return self.apply(release, traffic, marker=marker, expect=expect)")]
    )
    with pytest.raises(LawBroken, match="aapply blocked the event loop while it waited") as caught:
        asyncio.run(acheck_router(router(system, source), SHOP, **kit))

    assert caught.value.law == "a system that hangs is left in time"


def test_what_was_not_tried_is_named_with_the_argument_that_is_missing(system: FakeHAProxy) -> None:
    report = check_router(
        router(system), SHOP, broken={"refuse": lambda: system.breaking("refuse")}
    )

    assert report.port == "HAProxy"
    assert "a system that is down is a router error" in report.held
    assert {each.law: each.needs for each in report.untried} == {
        "a neighbour is left alone": "beside=",
        "what a stranger does is seen": "edit=",
        "the share of a third version is reported": "third_version=",
        "the next release starts where this one ended": "third_version=",
        "undo takes everything back": "undo=",
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

    assert named - {""} == {*map(in_words, LAWS), "sync and async agree"}
