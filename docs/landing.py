"""What the first page of the documentation shows: a rollout as a picture, and a table of all that
there is to drive with, made of the library itself.
"""

from __future__ import annotations

import ast
import pkgutil
from importlib import import_module
from pathlib import Path

from progressive import Canary, Limit, Metric, NoWorse, minutes, percent, percents
from progressive.testing import After, Behaviour, World, simulate

HERE = Path(__file__).resolve().parent

KINDS = {
    "routers": ("routers", "apply"),
    "metrics": ("metrics", "measure"),
    "fleets": ("fleets", "survey"),
    "stores": ("stores", "save"),
    "observers": ("observers", "__call__"),
    "senders": ("notifications", "send"),
}
"""The folders that are collections: what the table calls them, and what all that is in them does.
"""


def picture() -> str:
    """A canary that is taken back, as SVG."""
    errors = Metric("error-rate", kind="ratio")
    canary = Canary(
        weights=percents(1, 10, 50, 100),
        bake=minutes(10),
        checks=[NoWorse(errors), Limit(errors, at_most=percent(1))],
    )
    worse = Behaviour(errors=After(minutes(24), then=0.02, before=0.002))
    stable = Behaviour(errors=0.002)
    return simulate(canary, World(load=200, stable=stable, candidate=worse), seed=3).svg()


def table() -> str:
    """Every class of every adapter, with the first words of its docstring, in Markdown."""
    rows = ["| | what it is |", "|---|---|"]
    for folder, (called, verb) in KINDS.items():
        rows.append(f"| **{called}** | |")
        for name, path in modules(f"progressive.{folder}"):
            for made, told in classes(path):
                if _is_public(name) and verb in vars_of(import_module(name), made):
                    rows.append(
                        f"| {{py:class}}`~{name}.{made}`<br><small>{name}</small> | {told} |"
                    )
    return "\n".join(rows) + "\n"


def _is_public(name: str) -> bool:
    """Whether the reference has this module."""
    pages = "".join(page.read_text("utf-8") for page in (HERE / "reference").glob("*.md"))
    return f"automodule:: {name}\n" in pages


def vars_of(module: object, made: str) -> set[str]:
    """What a class has, and not what every class has of `type`."""
    return {name for each in getattr(module, made).__mro__ for name in vars(each)}


def modules(package: str) -> list[tuple[str, Path]]:
    """The modules that users import, with their files: those of a folder, and its own folders."""
    found = []
    for each in pkgutil.iter_modules(import_module(package).__path__):
        name = f"{package}.{each.name}"
        origin = import_module(name).__spec__
        assert origin is not None
        assert origin.origin is not None
        found.append((name, Path(origin.origin)))
    return found


def classes(path: Path) -> list[tuple[str, str]]:
    """The public classes of a module that say what they are, in the order of its ``__all__``; those
    of a folder are looked for in its files.
    """
    exported = next(
        (
            ast.literal_eval(node.value)
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id == "__all__"
        ),
        [],
    )
    files = sorted(path.parent.glob("*.py")) if path.name == "__init__.py" else [path]
    told: dict[str, str] = {}
    for file in files:
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and (doc := ast.get_docstring(node)):
                told[node.name] = " ".join(doc.split("\n\n")[0].split()).replace("``", "`")
    return [(name, told[name]) for name in exported if name in told]


def write(folder: Path) -> None:
    """Write both into a folder."""
    (folder / "canary.svg").write_text(picture(), encoding="utf-8")
    (folder / "adapters.txt").write_text(table(), encoding="utf-8")


if __name__ == "__main__":
    print(table())
