"""What the pure folders may not touch, read from every module's own text (R36), and that importing
the library is light.

Who may import whom is declared once, as contracts of import-linter in ``pyproject.toml``.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.house import House
from tests.support.rules import rule

import progressive

ROOT = Path(progressive.__file__).parent
REPOSITORY = Path(__file__).parent.parent

PURE = {
    "errors",
    "calendar",
    "model",
    "stats",
    "analysis",
    "plan",
    "steps",
    "strategies",
    "rollout",
    "engine",
    "codec",
    "reports",
}
"""Folders and files that promise the same bytes everywhere; of `runtime` only its dialogue."""

PURE_STANDARD_LIBRARY = {
    "__future__",
    "base64",
    "binascii",
    "bisect",
    "collections",
    "collections.abc",
    "contextlib",
    "datetime",
    "difflib",
    "enum",
    "fractions",
    "functools",
    "hashlib",
    "hmac",
    "inspect",
    "itertools",
    "json",
    "math",
    "operator",
    "re",
    "tomllib",
    "types",
    "typing",
    "zoneinfo",
}
"""A list of what is allowed, because nobody can list every clock, file, socket, thread and log."""

PURE_EXTRAS = {"yaml"}
"""What reads a text and nothing else, where it is installed."""

FORBIDDEN_CALLS = {"open", "input", "print", "breakpoint", "hash", "id", "sum", "eval"}
FORBIDDEN_METHODS = {"now", "utcnow", "today", "sleep", "monotonic", "perf_counter", "time_ns"}


def is_pure(name: str) -> bool:
    return name.partition(".")[0] in PURE or name == "runtime.protocol"


def impure_imports(tree: ast.Module) -> list[str]:
    """Imports of anything but ours, attrs, and what is known to be pure of the standard library."""
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.append(node.module or "")
    ours = ("progressive", "attrs", "typing_extensions")
    return [
        name
        for name in found
        if name.split(".")[0] not in ours and name not in PURE_STANDARD_LIBRARY | PURE_EXTRAS
    ]


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
                op=ast.Not(),
                operand=ast.Compare(ops=[ast.Lt() | ast.LtE() | ast.Gt() | ast.GtE()]),
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


@rule("R36")
def test_the_pure_folders_ask_no_clock_and_no_chance() -> None:
    """The same rollout and events give the same bytes."""
    trees = {name: tree for name, tree in House(ROOT).trees.items() if is_pure(name)}
    wrong = {
        name: found
        for name, tree in trees.items()
        if (found := impurities(tree) + impure_imports(tree))
    }

    assert wrong == {}
    assert {name.partition(".")[0] for name in trees} == PURE | {"runtime"}


def ours(loaded: set[str]) -> set[str]:
    return {name for name in loaded if name.split(".")[0] == "progressive"}


def test_importing_the_library_imports_nothing_before_it_is_asked_for() -> None:
    loaded = modules_after("import progressive")

    assert ours(loaded) == {"progressive", "progressive.lazy"}
    assert {"asyncio", "attr", "datetime"} & loaded == set()


def test_one_name_does_not_bring_the_others() -> None:
    loaded = modules_after("from progressive import Canary, Limit, NoWorse, percent")

    assert {"progressive.strategies.canary", "progressive.analysis.no_worse"} <= loaded
    assert {name.split(".")[1] for name in ours(loaded) if "." in name} & {
        "codec",
        "engine",
        "runtime",
    } == set()
    assert not any(name.startswith("progressive.analysis.kayenta") for name in loaded)


def test_all_names_bring_no_adapter_no_client_and_no_event_loop() -> None:
    loaded = modules_after("from progressive import *")

    assert {"progressive.engine.decide", "progressive.runtime.drive"} <= loaded
    assert {"asyncio", "httpx", "httpcore", "tenacity"} & loaded == set()
    assert not any(
        name.startswith(f"progressive.{folder}")
        for name in loaded
        for folder in ("adapters", "routers", "metrics", "fleets", "stores", "testing")
    )


def test_importing_what_helps_tests_imports_no_test_framework_and_no_client() -> None:
    """`progressive.testing.generated` is imported by name, by those who have Hypothesis."""
    loaded = {name.split(".")[0] for name in modules_after("from progressive.testing import *")}

    assert {"hypothesis", "pytest", "httpx", "httpcore", "tenacity"} & loaded == set()


def test_a_simulation_needs_nothing_of_the_contracts_and_no_event_loop() -> None:
    loaded = modules_after("from progressive.testing import Behaviour, World, simulate")

    assert "progressive.testing.simulation.simulate" in loaded
    assert "asyncio" not in loaded
    assert {name.split(".")[2] for name in ours(loaded) if name.count(".") > 2} & {
        "contract",
        "faults",
        "replaying",
        "verification",
    } == set()


SCRIPT = """
from progressive import Canary, Ports, run, start
from progressive.metrics.envoy import EnvoyStats
from progressive.routers.envoy import Envoy
from progressive.stores.file import FileStore
"""


def test_a_deployment_script_waits_for_a_client_when_it_makes_one() -> None:
    """No request does: a deadline would run, or an event loop stand still."""
    made = SCRIPT + 'EnvoyStats(admin="http://127.0.0.1:9901")'

    assert {"asyncio", "httpx", "httpcore", "tenacity"} & modules_after(SCRIPT) == set()
    assert "httpx" in modules_after(made)


def modules_after(statement: str) -> set[str]:
    """What a fresh interpreter has loaded after a statement."""
    script = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    return set(json.loads(done.stdout))


def test_the_public_names_are_sorted_and_complete() -> None:
    assert progressive.__all__ == sorted(progressive.__all__)
    assert [name for name in progressive.__all__ if not hasattr(progressive, name)] == []


# --------------------------------------------------------------------------------------- the checks


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("import httpx", "httpx"),
        ("import time", "time"),
        ("from logging import getLogger", "logging"),
        ("import threading", "threading"),
        ("import os.path", "os.path"),
        ("import random", "random"),
    ],
)
def test_an_impure_import_is_seen(line: str, found: str) -> None:
    assert impure_imports(ast.parse(line)) == [found]


@pytest.mark.parametrize(
    "line", ["import math", "from progressive.errors import StateError", "from .base import x"]
)
def test_a_pure_one_is_not(line: str) -> None:
    assert impure_imports(ast.parse(line)) == []


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
        "kind = eval(annotation)",
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


LINT = """
import sys
from importlinter.cli import lint_imports
sys.exit(lint_imports(config_filename=sys.argv[1], no_cache=True))
"""

LAYERS = {
    "model/units.py": "from progressive.engine.decide import decide",
    "stats/means.py": "from progressive.errors import StateError",
    "routers/envoy/by_runtime.py": "from progressive.codec.documents import dumps",
    "engine/decide.py": "from progressive.steps.standard import Bake",
    "runtime/drive.py": "import httpx",
}
"""An import that a contract forbids, by the file that it is put into."""


@pytest.mark.parametrize("file", LAYERS)
def test_the_contracts_of_import_linter_see_what_they_forbid(file: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT, tmp_path / "progressive")
    broken = tmp_path / "progressive" / file
    broken.write_text(f"{broken.read_text(encoding='utf-8')}\n{LAYERS[file]}\n", encoding="utf-8")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            LINT,
            str(REPOSITORY / "pyproject.toml"),
        ],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )

    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN" in done.stdout
