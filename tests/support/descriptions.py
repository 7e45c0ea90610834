"""What the tests of wrong descriptions are made of, and what every one of them must say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from tests.support.world import ERRORS

from progressive import Canary, Limit, StrategyError, Version, percent, percents

AT = datetime.fromisoformat("2026-03-01T12:00:00Z")
LIMIT = Limit(ERRORS, at_most=percent(1))
V1, V2 = Version("v1"), Version("v2")
NAME = "is not a name; use 1 to 128 letters, digits and . _ : / - (none of them at an end)"


def a_canary(**changes: Any) -> Canary:
    return Canary(**({"weights": percents(10, 100), "checks": [LIMIT]} | changes))


def stepped(*steps: Any, **changes: Any) -> Canary:
    return a_canary(weights=(), steps=steps, **changes)


Case = tuple[str, Callable[[], object], str | list[str]]


def refuses(make: Callable[[], object], said: str | list[str]) -> None:
    """Every problem is said, word for word."""
    with pytest.raises(StrategyError) as caught:
        make()

    assert list(caught.value.problems) == ([said] if isinstance(said, str) else said)
    assert str(caught.value) == "\n".join(caught.value.problems)
