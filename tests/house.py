"""The shape of the library in figures: ``python tests/house.py [FOLDER]`` prints them.

`test_house.py` holds them below their limits, and the page "the house" in the documentation is
drawn from the same graph.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "src" / "progressive"
SMALL = 50
LONG = 100


class House:
    """Every module of the library below ``root``, by its dotted name."""

    def __init__(self, root: Path = SOURCE) -> None:
        self.root = root
        self.texts = {
            self._name(path): path.read_text(encoding="utf-8")
            for path in sorted(root.rglob("*.py"))
        }
        self.packages = {self._name(path) for path in root.rglob("__init__.py")}
        self.trees = {name: ast.parse(text) for name, text in self.texts.items()}

    def _name(self, path: Path) -> str:
        parts = path.relative_to(self.root).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    # ------------------------------------------------------------------------------------- imports

    def imports(self) -> dict[str, set[str]]:
        """The modules of ours that each module imports; names for type checkers alone left out."""
        return {name: set(self._imports(name)) - {name} for name in self.texts}

    def _imports(self, name: str) -> Iterator[str]:
        package = name if name in self.packages else name.rpartition(".")[0]
        for node in _run_time_nodes(self.trees[name]):
            if not isinstance(node, ast.ImportFrom):
                continue
            if node.level:
                base = package.split(".") if package else []
                base = base[: len(base) - (node.level - 1)]
                module = ".".join([*base, *(node.module.split(".") if node.module else [])])
            elif node.module is not None and node.module.split(".")[0] == "progressive":
                module = node.module.removeprefix("progressive").removeprefix(".")
            else:
                continue
            for alias in node.names:
                inner = f"{module}.{alias.name}".removeprefix(".")
                yield inner if inner in self.texts else module

    def folders(self) -> dict[str, set[str]]:
        """The graph of the folders and loose files at the top; the root itself is left out."""
        found: dict[str, set[str]] = {}
        for name, imported in self.imports().items():
            top = name.partition(".")[0]
            if top:
                needed = {other.partition(".")[0] for other in imported}
                found.setdefault(top, set()).update(needed - {top, ""})
        return found

    def cycles(self) -> list[str]:
        """Modules that import themselves by a detour."""
        left = {
            name: needed for name, needed in self.imports().items() if name not in self.packages
        }
        left = {name: needed & left.keys() for name, needed in left.items()}
        while ends := {name for name, needed in left.items() if not needed}:
            left = {name: needed - ends for name, needed in left.items() if name not in ends}
        return sorted(left)

    def crossings(self) -> list[str]:
        """Files that their own folder imports, and somebody outside of it too.

        An import holds the lock of a file while it waits for the folder's: a thread that begins
        with the folder and one that begins with the file would wait for each other.
        """
        imports = self.imports()
        inside = {
            file
            for folder in self.packages
            for file in imports[folder]
            if file.startswith(f"{folder}.") and file.rpartition(".")[0] == folder
        }
        return sorted(
            {
                file
                for name, imported in imports.items()
                for file in imported & inside
                if not f"{name}.".startswith(f"{file.rpartition('.')[0]}.")
            }
        )

    # ------------------------------------------------------------------------------------- figures

    def figures(self) -> dict[str, int]:
        """What is counted, by what it is."""
        loose = [name for name in self.texts if name and "." not in name]
        files = {name: text.count("\n") for name, text in self.texts.items()}
        code = {name: lines for name, lines in files.items() if name not in self.packages}
        return {
            "modules in the root": sum(name not in self.packages for name in loose) + 1,
            "floors of the folder graph": len(floors(self.folders())),
            "modules in import cycles": len(self.cycles()),
            "files imported by their folder and past it": len(self.crossings()),
            f"files of at most {SMALL} lines": sum(lines <= SMALL for lines in code.values()),
            "files": len(files),
            "lines of the longest file": max(files.values()),
            "names in the root": len(_all_of(self.trees[""])),
            "casts": sum(
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "cast"
                for tree in self.trees.values()
                for node in ast.walk(tree)
            ),
            "Any in public signatures": len(list(self.loose_signatures())),
            f"lines over {LONG}": sum(
                len(line) > LONG for text in self.texts.values() for line in text.splitlines()
            ),
        }

    def loose_signatures(self) -> Iterator[str]:
        """Every public function, method and field whose type says ``Any``, as module and name.

        Public is what a module lists in ``__all__``; where its folder lists names too, what both
        list.
        """
        for name, tree in self.trees.items():
            listed = _all_of(self.trees[name.rpartition(".")[0]]) if name else []
            public = [each for each in _all_of(tree) if not listed or each in listed]
            for node in tree.body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in public:
                    if _says_any(node):
                        yield f"{name}.{node.name}"
                elif isinstance(node, ast.ClassDef) and node.name in public:
                    for member in node.body:
                        label = _member(member)
                        if label is not None and _says_any(member):
                            yield f"{name}.{node.name}.{label}"


def floors(graph: dict[str, set[str]]) -> list[list[str]]:
    """The folders from the lowest up: each floor needs only those below it."""
    found: list[list[str]] = []
    left = dict(graph)
    while left:
        floor = sorted(name for name, needed in left.items() if not needed & left.keys())
        if not floor:
            raise ValueError(f"a cycle among {', '.join(sorted(left))}")
        found.append(floor)
        left = {name: needed for name, needed in left.items() if name not in floor}
    return found


def _run_time_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from _run_time_nodes(node)


def _all_of(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return [str(name) for name in ast.literal_eval(node.value)]
    return []


def _member(node: ast.stmt) -> str | None:
    """The name of a public member of a class."""
    name = None
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        name = node.name
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        name = node.target.id
    return name if name in ("__init__", "__call__") or (name and not name.startswith("_")) else None


def _says_any(node: ast.stmt) -> bool:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        arguments = node.args
        given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        given += [each for each in (arguments.vararg, arguments.kwarg) if each is not None]
        types = [each.annotation for each in given] + [node.returns]
    else:
        assert isinstance(node, ast.AnnAssign)
        types = [node.annotation]
    return any(
        isinstance(inner, ast.Name) and inner.id == "Any"
        for each in types
        if each is not None and ast.unparse(each) != "attrs.Attribute[Any]"  # of any validator
        for inner in ast.walk(each)
    )


if __name__ == "__main__":
    house = House(Path(sys.argv[1]) if len(sys.argv) > 1 else SOURCE)
    for what, count in house.figures().items():
        print(f"{count:6}  {what}")
    try:
        for number, floor in enumerate(floors(house.folders()), 1):
            print(f"floor {number}: {', '.join(floor)}")
    except ValueError as error:
        print(error)
