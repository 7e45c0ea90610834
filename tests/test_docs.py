"""The documentation's code runs as it stands, its picture is the engine's table, and its figures
are what its command prints.
"""

from __future__ import annotations

import importlib.util
import inspect
import logging
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from progressive.rollout.phases import TRANSITIONS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def loaded(path: Path) -> ModuleType:
    """A script of the documentation as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
@pytest.mark.long
def test_every_block_of_python_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks of one page are one program, run from the top in an empty folder; then its tests,
    as pytest would run them.
    """
    text = page.read_text(encoding="utf-8")
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    monkeypatch.chdir(tmp_path)
    for name in ("", "progressive", "progressive.rollout"):  # one page sets them up
        monkeypatch.setattr(logging.getLogger(name), "level", logging.getLogger(name).level)

    for block in BLOCK.finditer(text):
        before = "\n" * text[: block.start(1)].count(
            "\n"
        )  # so that a traceback names the line of the page
        exec(compile(before + block[1], str(page), "exec"), vars(module))
    for name, found in list(vars(module).items()):
        if name.startswith("test_") and not hasattr(found, "pytestmark"):
            found(
                **{
                    given: {"tmp_path": tmp_path}[given]
                    for given in inspect.signature(found).parameters
                }
            )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    kinds = (r"`((?:tests|docs|src)/[\w./-]+)`", r"\]\((?!https?:|#)([^)#]+)", r"{image} (\S+)")
    named = [name for kind in kinds for name in re.findall(kind, text)]
    missing = [
        name for name in named if not ((page.parent / name).exists() or (ROOT / name).exists())
    ]

    assert missing == []


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    listed = {
        line.strip()
        for block in re.findall(r"```{toctree}\n(.*?)```", index, re.DOTALL)
        for line in block.splitlines()
    }

    assert {str(page.relative_to(DOCS).with_suffix("")) for page in PAGES} - {"index"} <= listed


def test_the_picture_of_the_lifecycle_has_every_transition_and_no_other() -> None:
    drawn = set(re.findall(r'<g id="(\w+)-to-(\w+)">', loaded(DOCS / "diagram.py").lifecycle_svg()))

    assert drawn == {
        (old.value, new.value) for old, following in TRANSITIONS.items() for new in following
    }


def test_the_table_of_canary_and_blue_green_is_what_its_script_prints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    loaded(DOCS / "examples" / "compare.py").main()
    printed = capsys.readouterr().out.strip()
    page = (DOCS / "explanation" / "strategies.md").read_text(encoding="utf-8")
    shown: Any = re.search(
        r"<!-- from docs/examples/compare.py -->\n```text\n(.*?)\n```", page, re.DOTALL
    )

    assert shown[1] == printed


def test_the_bounds_on_their_page_are_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    page = (DOCS / "explanation" / "statistics.md").read_text(encoding="utf-8")
    shown: Any = re.search(r"```text\n(00:00.*?)\n```", page, re.DOTALL)
    exec("".join(block[1] for block in BLOCK.finditer(page)), {"__name__": "page"})

    assert shown[1] == capsys.readouterr().out.strip()


def test_the_explanation_on_its_page_is_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    page = (DOCS / "how-to" / "test-a-strategy.md").read_text(encoding="utf-8")
    blocks = [block[1] for block in BLOCK.finditer(page)]
    [explains] = [block for block in blocks if "print(explanation)" in block]
    shown: Any = re.search(r"```text\n(canary at 50 rps.*?)\n```", page, re.DOTALL)
    exec(blocks[0] + explains, {"__name__": "page"})

    assert shown[1] == capsys.readouterr().out.strip()
