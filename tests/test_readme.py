"""The README's code is run as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).parent.parent / "README.md"


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_the_deployment_script_describes_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    script: dict[str, Any] = {"__name__": "script"}
    exec(blocks()[0], script)

    assert "promoted after 40 min" in str(script["canary"].describe())


def test_the_test_in_the_readme_passes() -> None:
    found: dict[str, Any] = {}
    exec(blocks()[1], found)
    [test] = [value for name, value in found.items() if name.startswith("test_")]
    test()

    assert len(blocks()) == 2
