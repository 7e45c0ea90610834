"""What is shipped: its version, its metadata and its files. The second half is about the installed
wheel, which `nox -s tests` installs.
"""

from __future__ import annotations

import os
import re
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import progressive

HERE = Path(__file__).parent
TOP = HERE.parent

NEEDED = {"attrs", "httpx", "tenacity", "typing-extensions"}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def installed() -> metadata.Distribution:
    if os.environ.get("PROGRESSIVE_TESTS") != "wheel":
        pytest.skip("this run is on the source tree; nox -s tests installs the wheel")
    return metadata.distribution("progressive-delivery")


def names(requirements: list[str]) -> set[str]:
    """What is required, without versions."""
    return {
        re.split(r"[^A-Za-z0-9_.-]", requirement, maxsplit=1)[0] for requirement in requirements
    }


def test_four_packages_are_needed_at_run_time_and_the_rest_is_for_who_asks_for_it(
    project: dict[str, Any],
) -> None:
    needed = project["project"]["dependencies"]

    assert names(needed) == NEEDED
    assert len(needed) == len(NEEDED)
    assert all(">=" in requirement for requirement in needed)
    assert set(project["project"]["optional-dependencies"]) == {
        "aws",
        "hypothesis",
        "kubernetes",
        "opentelemetry",
        "rich",
        "yaml",
    }


def test_the_version_is_a_year_a_month_and_a_count(project: dict[str, Any]) -> None:
    assert re.fullmatch(r"[2-9]\d\.([1-9]|1[0-2])\.\d+", project["project"]["version"])


def test_the_version_stands_in_one_place(project: dict[str, Any]) -> None:
    version = project["project"]["version"]
    modules = [
        path
        for path in Path(progressive.__file__).parent.rglob("*.py")
        if version in path.read_text("utf-8")
    ]

    assert modules == []


def test_the_changelog_names_the_stored_format(project: dict[str, Any]) -> None:
    from progressive.rollout.state import FORMAT

    said = [
        int(number)
        for number in re.findall(r"\*\*FORMAT (\d+)\*\*", (TOP / "CHANGELOG.md").read_text("utf-8"))
    ]

    assert max(said) == FORMAT


def test_every_group_of_nox_is_there(project: dict[str, Any]) -> None:
    wanted = set(re.findall(r'group\("(\w+)"\)', (TOP / "noxfile.py").read_text("utf-8")))

    assert wanted == {
        "bench",
        "coverage",
        "docs",
        "lint",
        "mutation",
        "real",
        "tests",
        "types",
    }
    assert wanted <= project["dependency-groups"].keys()


# ------------------------------------------------------------------------------ the installed wheel


def test_what_is_tested_is_the_wheel(installed: metadata.Distribution) -> None:
    assert Path(str(installed.locate_file("progressive/__init__.py"))).samefile(
        progressive.__file__
    )
    assert TOP / "src" not in Path(progressive.__file__).parents


def test_the_metadata_says_what_the_project_says(
    installed: metadata.Distribution, project: dict[str, Any]
) -> None:
    said = installed.metadata

    assert said["Name"] == "progressive-delivery"
    assert installed.version == project["project"]["version"]
    assert said["License-Expression"] == "Apache-2.0"
    assert said.get_all("License-File") == ["LICENSE"]
    assert said["Requires-Python"] == ">=3.11"
    assert "Typing :: Typed" in (said.get_all("Classifier") or [])
    assert names([each for each in installed.requires or [] if "extra ==" not in each]) == NEEDED
    assert sorted(said.get_all("Provides-Extra") or []) == [
        "aws",
        "hypothesis",
        "kubernetes",
        "opentelemetry",
        "rich",
        "yaml",
    ]


def test_the_wheel_holds_every_module_the_types_and_the_licence_and_nothing_else(
    installed: metadata.Distribution,
) -> None:
    here = {str(file) for file in installed.files or [] if "__pycache__" not in file.parts}
    ours = {name for name in here if name.startswith("progressive/")}
    source = TOP / "src"

    assert ours == {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.name == "py.typed" or path.suffix == ".py"
    }
    assert {name.split("/")[0] for name in here - ours} == {
        f"progressive_delivery-{installed.version}.dist-info"
    }
    assert any(name.endswith("licenses/LICENSE") for name in here)
