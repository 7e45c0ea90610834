"""Names that are imported when they are first asked for: they are all there, and the lists of them
say the same.
"""

from __future__ import annotations

import ast
import importlib
import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.house import House

import progressive
from progressive.lazy import lazily

HOUSE = House()

LAZY = sorted(name for name, text in HOUSE.texts.items() if name != "lazy" and "= lazily(" in text)
"""Every package of ours that has such names, the root as an empty string."""


def module(name: str) -> ModuleType:
    return importlib.import_module(f"progressive.{name}".rstrip("."))


def halves(tree: ast.Module) -> tuple[dict[str, str], dict[str, str]]:
    """The module of each name: for type checkers, and when it runs."""
    [both] = [node for node in tree.body if isinstance(node, ast.If)]
    assert ast.unparse(both.test) == "TYPE_CHECKING"
    checked = {
        alias.name: f".{node.module}"
        for node in both.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    [call] = [node for each in both.orelse for node in ast.walk(each) if isinstance(node, ast.Call)]
    table: dict[str, str] = ast.literal_eval(call.args[1])
    return checked, {name: where for where, listed in table.items() for name in listed.split()}


def differences(tree: ast.Module, below: set[str]) -> list[str]:
    """What of a package's lists is not as the others say, or can't be: ``below`` are the names of
    its modules.
    """
    checked, table = halves(tree)
    listed = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    found = [f"{name}: not in the same module" for name, _ in checked.items() ^ table.items()]
    found += [f"{name}: not in both" for name in {*listed[0]} ^ table.keys()]
    return found + [f"{name}: the name of a module" for name in table.keys() & below]


@pytest.mark.parametrize("name", LAZY)
def test_the_lists_of_names_say_the_same(name: str) -> None:
    below = {
        each.removeprefix(f"{name}.").partition(".")[0]
        for each in HOUSE.texts
        if not name or each.startswith(f"{name}.")
    }

    assert differences(HOUSE.trees[name], below) == []


@pytest.mark.parametrize("name", LAZY)
def test_every_name_is_what_its_module_has(name: str) -> None:
    package = module(name)
    checked, _ = halves(HOUSE.trees[name])

    for each, where in checked.items():
        home = importlib.import_module(where, package.__name__)
        found = getattr(package, each)
        assert found is vars(home)[each]
        assert vars(package)[each] is found  # so it is asked for once
        assert each in dir(package)


TEXT = """
if TYPE_CHECKING:
    from .a import one, two
    from .b import three
else:
    __getattr__, __dir__ = lazily(__name__, {".a": "one two", ".b": "three"})
__all__ = ["one", "three", "two"]
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("", "", []),
        ('".a": "one two"', '".a": "one"', ["two: not in both", "two: not in the same module"]),
        ("one, two", "one", ["two: not in the same module"]),
        ('".b": "three"', '".a.b": "three"', ["three: not in the same module"] * 2),
        ('"one", "three"', '"one"', ["three: not in both"]),
        ("two", "c", ["c: the name of a module"]),
    ],
)
def test_a_list_that_says_otherwise_is_seen(old: str, new: str, said: list[str]) -> None:
    assert sorted(differences(ast.parse(TEXT.replace(old, new)), {"a", "b", "c"})) == said


# ------------------------------------------------------------------------------- in a fresh process


def printed(script: str) -> Any:
    """What a script prints as JSON, in an interpreter that has imported nothing."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import json, sys\n{script}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_star_brings_every_name() -> None:
    script = "from progressive import *\nprint(json.dumps(sorted(set(dir()) - {'json', 'sys'})))"

    assert set(progressive.__all__) <= set(printed(script))


def test_what_is_below_can_be_asked_for() -> None:
    """``import progressive`` alone has always been enough for these."""
    places = [
        "analysis.Limit",
        "analysis.limit.Limit",
        "codec.loads",
        "engine.decide.decide",
        "errors.StateError",
        "model.units.percent",
        "ports.Ports",
        "rollout.Rollout",
        "runtime.drive.run",
        "strategies.Canary",
    ]
    asked = ", ".join(f"progressive.{place}" for place in places)
    found = printed(f"import progressive\nprint(json.dumps([str(each) for each in ({asked})]))")

    for place, each in zip(places, found, strict=True):
        assert place.rpartition(".")[2] in each


def test_a_function_stays_where_a_file_is_imported_later() -> None:
    script = """
import importlib
from progressive.testing import play, replay
for each in ("playing", "replaying.rerun", "simulation.simulate"):
    importlib.import_module(f"progressive.testing.{each}")
import progressive.testing as kit
print(json.dumps([kit.play is play, kit.replay is replay, callable(kit.simulate)]))
"""
    assert printed(script) == [True, True, True]


def test_many_threads_may_ask_at_once() -> None:
    """For names, and for files by their own: no import waits for one that waits for it."""
    script = """
import importlib, random, threading
import progressive, progressive.testing
sys.setswitchinterval(1e-5)
asked = [f"{each.__name__}:{name}" for each in (progressive, progressive.testing)
         for name in each.__all__]
asked += [f"progressive.{name}:" for name in (
    "analysis.kayenta", "codec", "metrics.envoy", "model.units", "plan.step", "rollout.state",
    "routers.envoy", "stores.file", "testing.contract", "testing.simulation.simulate")]
start, wrong = threading.Barrier(8), []
def ask(order):
    start.wait()
    for each in order:
        module, _, name = each.partition(":")
        try:
            found = importlib.import_module(module)
            getattr(found, name or "__name__")
        except BaseException as error:
            wrong.append(f"{each} {error!r}")
orders = [random.Random(seed).sample(asked, len(asked)) for seed in range(8)]
threads = [threading.Thread(target=ask, args=(order,)) for order in orders]
for each in threads: each.start()
for each in threads: each.join()
print(json.dumps(wrong))
"""
    assert printed(script) == []


def test_a_pickle_needs_no_import_before() -> None:
    kept = pickle.dumps((progressive.percent(5), progressive.Version("v2"), progressive.run))
    script = f"import pickle\nprint(json.dumps([str(each) for each in pickle.loads({kept!r})]))"
    share, version, function = printed(script)

    assert (share, version) == (str(progressive.percent(5)), str(progressive.Version("v2")))
    assert function.startswith("<function run")


# ------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("name", LAZY)
def test_a_name_that_is_not_there_is_an_attribute_error(name: str) -> None:
    package = module(name)

    with pytest.raises(AttributeError, match=f"'{package.__name__}' has no attribute 'nil'"):
        _ = package.nil
    assert not hasattr(package, "__wrapped__")


def test_a_slip_of_the_pen_is_answered_with_the_name() -> None:
    script = "import progressive\nprogressive.Cannary"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    assert "Did you mean: 'Canary'?" in done.stderr


# ------------------------------------------------------------------------------- a package of two


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A package of two files, of which one is broken."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from progressive.lazy import lazily\n"
        "__getattr__, __dir__ = lazily(__name__, {'.good': 'one two', '.bad': 'three'})\n"
    )
    (folder / "good.py").write_text("one, two = 1, 2\n")
    (folder / "bad.py").write_text("import there_is_no_such_module\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("shelf")
    for name in [each for each in sys.modules if each.partition(".")[0] == "shelf"]:
        del sys.modules[name]


def test_only_what_is_asked_for_is_imported(shelf: ModuleType) -> None:
    assert {"one", "two", "three", "good", "bad"} <= set(dir(shelf))
    assert "shelf.good" not in sys.modules
    assert shelf.two == 2
    assert "one" not in vars(shelf) and vars(shelf)["two"] == 2
    assert "shelf.bad" not in sys.modules


def test_a_module_that_can_t_be_imported_says_why(shelf: ModuleType) -> None:
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="there_is_no_such_module"):
            _ = shelf.three
    assert shelf.good.one == 1


def test_it_returns_both_hooks() -> None:
    get, names = lazily("progressive", {".errors": "StateError"})

    assert get("StateError") is progressive.StateError
    assert {"StateError", "errors"} <= set(names())
