"""Who may import whom, and what the pure part may not touch: read from every module's own text
(R36, and section 4 of the plan).

The levels: words, statistics, analysis, the pure engine, the edge, adapters, what helps users'
tests. A new module gets a line here.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from rules import rule

import progressive

ROOT = Path(progressive.__file__).parent

LEVELS: dict[int, str] = {
    0: "errors _validators _copies units release traffic fleet measurement messages notes",
    1: "stats stats.*",
    2: "analysis analysis.* analysis.comparisons.*",
    3: "step steps steps.* strategies strategies.* plan lifecycle rollout engine codec "
    "_turn _windows _moves _looks _fleet _routing _preflight _people _replies _retirement "
    "_clocks _json _schema",
    4: "ports calendar conversation outcome drivers starting rollback _calls _doing",
    5: "_http _http_values _http_wire _kubernetes _kubeconfig "
    "fleets fleets.* routers routers.* metrics metrics.* stores stores.* observers observers.*",
    6: "testing testing.*",
}

SHELVES = ("steps", "routers", "metrics", "stores", "observers", "fleets")
"""Collections whose files know nothing of each other; only their ``__init__`` lists them, and
``_private`` ones are for sharing.
"""

CONCRETE = ("steps", "strategies")
"""What the engine reaches only through its contract. The codec and the lists in ``__init__`` name
them, nobody else on their level.
"""

STORED = {"codec", "rollout", "step"}
"""What a store may know beyond the words: a rollout as a value, its text, and the kinds that the
text may hold.
"""

PURE_STANDARD_LIBRARY = {
    "__future__",
    "bisect",
    "collections",
    "collections.abc",
    "datetime",
    "enum",
    "fractions",
    "functools",
    "itertools",
    "operator",
    "json",
    "math",
    "re",
    "types",
    "typing",
}
"""A list of what is allowed, because nobody can list every clock, dice, file, socket, thread and
log.
"""

THIRD_PARTY = {
    "_http": {"attrs", "httpx", "tenacity"},
    "_http_wire": {"attrs", "httpx", "httpcore"},
    "_kubeconfig": {"attrs", "lightkube"},
    "testing.generated": {"attrs", "hypothesis"},
}
"""The client is known in two files, so that its successor fits in there, and an extra in the one
that needs it. Everywhere else: attrs.
"""

FORBIDDEN_CALLS = {"open", "input", "print", "breakpoint", "hash", "id", "sum"}
FORBIDDEN_METHODS = {"now", "utcnow", "today", "sleep", "monotonic", "perf_counter", "time_ns"}


def name_of(path: Path) -> str:
    """``stats.sequential`` for stats/sequential.py; the package itself is the empty name."""
    return (
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        .removesuffix("__init__")
        .removesuffix(".")
    )


@cache
def sources() -> dict[str, ast.Module]:
    """Every module of the library that is being tested, by its name."""
    return {
        name_of(path): ast.parse(path.read_bytes(), str(path))
        for path in sorted(ROOT.rglob("*.py"))
    }


def level_of(name: str) -> int:
    """The level of a module."""
    for level, names in LEVELS.items():
        if name in names.split() or f"{name.rpartition('.')[0]}.*" in names.split():
            return level
    raise AssertionError(f"{name}.py is on no level; add it to LEVELS in {Path(__file__).name}")


def is_pure(name: str) -> bool:
    """Does it promise the same bytes on every machine?"""
    return name == "conversation" or (name != "" and level_of(name) <= 3)


def imports_of(
    name: str, tree: ast.Module, known: dict[str, ast.Module]
) -> Iterator[tuple[str, bool]]:
    """What a module imports: the name, and whether it is a module of ours (``from . import x`` of a
    function is its module).
    """
    package = (
        name
        if name == "" or any(other.startswith(f"{name}.") for other in known) or name in SHELVES
        else name.rpartition(".")[0]
    )
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (
                    alias.name.removeprefix("progressive."),
                    alias.name.split(".")[0] == "progressive",
                )
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = package.split(".") if package else []
            base = base[: len(base) - (node.level - 1)]
            module = ".".join([*base, *(node.module.split(".") if node.module else [])])
            for alias in node.names:
                inner = f"{module}.{alias.name}".removeprefix(".")
                yield (inner if inner in known else module), True
        elif isinstance(node, ast.ImportFrom):
            yield (
                (node.module or "").removeprefix("progressive."),
                (node.module or "").split(".")[0] == "progressive",
            )


def wrong_imports(name: str, tree: ast.Module, known: dict[str, ast.Module]) -> list[str]:
    """One line for each import that breaks a rule."""
    level = 4 if name == "" else level_of(name)
    wrong = []
    for found, ours in imports_of(name, tree, known):
        if not ours:
            top = found.split(".")[0]
            if top not in sys.stdlib_module_names:
                if top not in THIRD_PARTY.get(name, {"attrs"}):
                    wrong.append(f"{found} is not for this file")
            elif is_pure(name) and found not in PURE_STANDARD_LIBRARY:
                wrong.append(f"{found} is not pure")
        elif found == "":
            wrong.append("the package itself imports everything")
        elif level_of(found) > level:
            wrong.append(f"{found} is above")
        elif level == 5 and not _for_adapters(name, found):
            wrong.append(f"{found} is not for adapters")
        elif _sideways(name, found):
            wrong.append(f"{found} is beside")
        elif (
            level == 3
            and found.split(".")[0] in CONCRETE
            and name not in ("codec", "_schema")
            and name.split(".")[0] not in CONCRETE
        ):
            wrong.append(f"{found} is a concrete one")
        elif level == 1 and not found.startswith("stats"):
            wrong.append(f"{found} is not mathematics")
    return wrong


def _for_adapters(name: str, found: str) -> bool:
    return level_of(found) in (0, 5) or (name.startswith("stores.") and found in STORED)


def _sideways(name: str, found: str) -> bool:
    shelf, _, file = name.partition(".")
    other, _, sibling = found.partition(".")
    if level_of(found) == 5 and other in SHELVES and other != shelf:
        return True
    return shelf in SHELVES and other == shelf and file != "" and not sibling.startswith("_")


def impurities(tree: ast.Module) -> list[str]:
    """What could give other bytes elsewhere: a clock, a file, a hash, the order of a set, a sum of
    floats, a comparison that NaN passes.
    """
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=called)) if called in FORBIDDEN_CALLS:
                found.append(f"line {node.lineno}: {called}()")
            case ast.Call(func=ast.Attribute(attr=called, value=ast.Name(id=of))) if (
                called in FORBIDDEN_METHODS or of == "time"
            ):
                found.append(f"line {node.lineno}: {of}.{called}()")
            case ast.Call(func=ast.Attribute(attr=called)) if called in FORBIDDEN_METHODS:
                found.append(f"line {node.lineno}: .{called}()")
            case ast.For(iter=over) | ast.comprehension(iter=over) | ast.Starred(value=over) if (
                _is_set(over)
            ):
                found.append(f"line {over.lineno}: the order of a set")
            case ast.Call(
                func=ast.Name(id="tuple" | "list" | "next" | "iter" | "enumerate" | "zip" | "map"),
                args=given,
            ) if any(map(_is_set, given)):
                found.append(f"line {node.lineno}: the order of a set")
            case ast.Call(func=ast.Attribute(attr="join"), args=[over]) if _is_set(over):
                found.append(f"line {node.lineno}: the order of a set")
            case ast.UnaryOp(
                op=ast.Not(), operand=ast.Compare(ops=[ast.Lt() | ast.LtE() | ast.Gt() | ast.GtE()])
            ):
                found.append(f"line {node.lineno}: a negated comparison, which NaN passes")
    return found


def _is_set(node: ast.expr) -> bool:
    match node:
        case ast.Set() | ast.SetComp() | ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
        case ast.BinOp(
            left=left, op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor(), right=right
        ):
            return _is_set(left) or _is_set(right)
    return False


# -------------------------------------------------------------------------------------- the library


def test_nobody_imports_upwards_or_sideways() -> None:
    wrong = {
        name: found
        for name, tree in sources().items()
        if (found := wrong_imports(name, tree, sources()))
    }

    assert wrong == {}


def test_no_module_imports_itself_by_a_detour() -> None:
    imports = {
        name: {found for found, ours in imports_of(name, tree, sources()) if ours} - {name}
        for name, tree in sources().items()
    }
    while ends := {name for name, needed in imports.items() if not needed & imports.keys()}:
        imports = {name: needed for name, needed in imports.items() if name not in ends}

    assert imports == {}


@rule("R36")
def test_the_pure_part_asks_no_clock_and_no_chance() -> None:
    """The same rollout and events give the same bytes."""
    wrong = {
        name: found
        for name, tree in sources().items()
        if is_pure(name) and (found := impurities(tree))
    }

    assert wrong == {}


def test_every_level_of_the_plan_is_there() -> None:
    """So that the rules above are not satisfied by looking at nothing."""
    assert {level_of(name) for name in sources() if name} == set(LEVELS)


def test_importing_the_library_imports_no_adapter_and_no_client() -> None:
    script = "import json, sys, progressive; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    loaded = json.loads(done.stdout)

    assert "progressive.engine" in loaded
    assert [
        name for name in loaded if name.split(".")[0] in ("httpx", "httpcore", "tenacity")
    ] == []
    assert [
        name
        for name in loaded
        if name.startswith("progressive.") and level_of(name.removeprefix("progressive.")) > 4
    ] == []


def test_importing_what_helps_tests_imports_no_test_framework_and_no_client() -> None:
    """`progressive.testing.generated` is imported by name, by those who have Hypothesis."""
    script = (
        "import sys, progressive.testing; print(*sorted({name.split('.')[0] for name in "
        "sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )

    assert {"hypothesis", "pytest", "httpx", "httpcore", "tenacity"} & set(
        done.stdout.split()
    ) == set()


def test_the_public_names_are_sorted_and_complete() -> None:
    tree = sources()[""]
    imported = [
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    ]

    assert progressive.__all__ == sorted(progressive.__all__)
    assert sorted(imported) == progressive.__all__
    assert [name for name in progressive.__all__ if not hasattr(progressive, name)] == []


# --------------------------------------------------------------------------------------- the checks


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("engine", "import httpx", "httpx is not for this file"),
        ("engine", "import time", "time is not pure"),
        ("engine", "from logging import getLogger", "logging is not pure"),
        ("conversation", "import threading", "threading is not pure"),
        ("codec", "import os.path", "os.path is not pure"),
        ("engine", "from .drivers import tick", "drivers is above"),
        ("traffic", "from .plan import Plan", "plan is above"),
        ("traffic", "from . import engine", "engine is above"),
        ("engine", "from progressive.ports import Ports", "ports is above"),
        ("engine", "from . import Canary", "the package itself imports everything"),
        ("engine", "from .steps.bake import Bake", "steps.bake is a concrete one"),
        ("plan", "from .strategies import Canary", "strategies is a concrete one"),
        ("stats.sequential", "from ..errors import StateError", "errors is not mathematics"),
        ("steps.bake", "from .pause import Pause", "steps.pause is beside"),
        ("metrics.envoy", "from ..routers.envoy import Envoy", "routers.envoy is beside"),
        ("testing.contract", "import pytest", "pytest is not for this file"),
        ("testing.contract", "from hypothesis import given", "hypothesis is not for this file"),
        ("routers.envoy", "from ..engine import decide", "engine is not for adapters"),
        ("routers.envoy", "from ..codec import dumps", "codec is not for adapters"),
        ("stores.file", "from ..drivers import tick", "drivers is not for adapters"),
        ("stores.file", "import tenacity", "tenacity is not for this file"),
        ("drivers", "from ._http import Http", "_http is above"),
        ("", "from .stores.file import FileStore", "stores.file is above"),
        ("", "from .testing import steady", "testing is above"),
    ],
)
def test_an_import_in_the_wrong_place_is_seen(name: str, line: str, said: str) -> None:
    assert wrong_imports(name, ast.parse(line), sources()) == [said]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("engine", "from ._looks import due"),
        ("codec", "from .steps import KINDS"),
        ("stores.file", "from ._journal import append"),
        ("stores.file", "from ..codec import dumps"),
        ("metrics.envoy", "from .._http import Http"),
        ("drivers", "import threading, time"),
        ("_http_wire", "import httpcore"),
        ("testing.generated", "from hypothesis import strategies"),
        ("steps", "from .bake import Bake"),
    ],
)
def test_an_import_in_its_place_is_not(name: str, line: str) -> None:
    assert wrong_imports(name, ast.parse(line), sources()) == []


@pytest.mark.parametrize(
    "line",
    [
        "at = datetime.now(UTC)",
        "at = datetime.datetime.now()",
        "day = date.today()",
        "then = time.time()",
        "text = open('x').read()",
        "key = hash(name)",
        "total = sum(rates)",
        "for track in {1, 2}: pass",
        "names = [x for x in set(found)]",
        "names = tuple(set(found) - set(known))",
        "names = [*{x for x in found}]",
        "text = ', '.join({'a', 'b'})",
        "if not value > limit: pass",
        "bad = not 0 <= share",
    ],
)
def test_what_is_not_pure_is_seen(line: str) -> None:
    assert len(impurities(ast.parse(line))) == 1


@pytest.mark.parametrize(
    "line",
    [
        "names = sorted({'a', 'b'})",
        "if name in {'a', 'b'}: pass",
        "if value <= limit: pass",
        "bad = not name == other",
        "x = fsum(rates)",
    ],
)
def test_what_is_pure_is_not(line: str) -> None:
    assert impurities(ast.parse(line)) == []


def test_a_new_module_needs_a_level() -> None:
    with pytest.raises(
        AssertionError, match=r"shelf\.new\.py is on no level; add it to LEVELS in test_imports\.py"
    ):
        level_of("shelf.new")
