"""The shape of the library stays within its limits, and what tells it sees what it should."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.house import House, floors

LIMITS = {
    "modules in the root": 5,
    "floors of the folder graph": 9,
    "modules in import cycles": 0,
    "files imported by their folder and past it": 0,
    "files of at most 50 lines": 12,
    "names in the root": 75,
    "lines over 100": 0,
    "casts": 28,
    "Any in public signatures": 0,
}
"""At most so many of each."""


def test_the_house_keeps_its_shape() -> None:
    figures = House().figures()

    assert {what: figures[what] for what, most in LIMITS.items() if figures[what] > most} == {}


def written(folder: Path, **files: str) -> House:
    for name, text in files.items():
        path = folder.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        for parent in path.parents:
            if parent == folder.parent:
                break
            (parent / "__init__.py").touch()
    return House(folder)


def test_floors_are_counted_from_the_one_that_needs_nothing(tmp_path: Path) -> None:
    house = written(
        tmp_path,
        low__a="",
        middle__b="from progressive.low.a import x",
        high__c="from progressive.middle import b\nfrom progressive.low.a import x",
    )

    assert floors(house.folders()) == [["low"], ["middle"], ["high"]]


def test_a_cycle_of_folders_has_no_floors(tmp_path: Path) -> None:
    house = written(
        tmp_path, one__a="from progressive.two.b import x", two__b="from ..one.a import y"
    )

    with pytest.raises(ValueError, match="a cycle among one, two"):
        floors(house.folders())
    assert house.cycles() == ["one.a", "two.b"]


def test_an_import_for_type_checkers_alone_is_none(tmp_path: Path) -> None:
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .b import x\n"
    house = written(tmp_path, one__a=text, one__b="from .a import y")

    assert house.cycles() == []


def test_a_file_that_its_folder_imports_has_one_way_in(tmp_path: Path) -> None:
    house = written(
        tmp_path, one__a="", one__b="from .a import x", two__c="from progressive.one.a import x"
    )
    assert house.crossings() == []

    (tmp_path / "one" / "__init__.py").write_text("from .a import x\n", encoding="utf-8")
    assert House(tmp_path).crossings() == ["one.a"]

    (tmp_path / "two" / "c.py").write_text("from progressive.one import x\n", encoding="utf-8")
    assert House(tmp_path).crossings() == []


def test_any_in_a_public_signature_is_seen(tmp_path: Path) -> None:
    text = (
        '__all__ = ["Shown", "shown"]\n'
        "def shown(value: Any) -> int: ...\n"
        "def hidden(value: Any) -> int: ...\n"
        "class Shown:\n"
        "    value: Any\n"
        "    _secret: Any\n"
        "    def verb(self) -> list[Any]: ...\n"
    )
    house = written(tmp_path, a=text)

    assert list(house.loose_signatures()) == ["a.shown", "a.Shown.value", "a.Shown.verb"]
