"""What can become of a case of another system here: the same comes out, something else on purpose,
or it makes no sense without a cluster.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import attrs

HERE = Path(__file__).parent

Case: TypeAlias = Mapping[str, Any]
Replay: TypeAlias = Callable[[Case], None]
"""Sets a case up as a strategy in a simulated world, and asserts what comes of it."""


class Fate(enum.Enum):
    """The three columns of the table."""

    SAME = "same"
    DIFFERS = "differs on purpose"
    CLUSTER = "makes no sense without a cluster"


@attrs.frozen(kw_only=True)
class Rule:
    """Which cases (``when``) are about ``feature``, and what becomes of them: ``why`` in plain
    words, ``replay`` where one is possible.
    """

    feature: str
    when: Callable[[Case], bool]
    fate: Fate
    why: str
    replay: Replay | None = None

    def __attrs_post_init__(self) -> None:
        if self.fate is Fate.SAME and self.replay is None:
            raise ValueError(f"{self.feature}: what is called the same must be run")
        if self.fate is Fate.CLUSTER and self.replay is not None:
            raise ValueError(f"{self.feature}: what makes no sense here can't be run")


def cases(name: str) -> Sequence[Case]:
    """The cases of a file."""
    found: list[Case] = json.loads((HERE / name).read_text(encoding="utf-8"))["cases"]
    return found


def rule_of(case: Case, rules: Sequence[Rule]) -> Rule:
    """The first rule that a case falls under; so it has one class, and only one."""
    found = next((rule for rule in rules if rule.when(case)), None)
    assert found is not None, f"{case['id']}: no rule says what becomes of it: {case}"
    return found


def counted(found: Sequence[Case], rules: Sequence[Rule]) -> Iterator[tuple[Rule, int]]:
    """Every rule with the number of its cases."""
    falls = [rule_of(case, rules) for case in found]
    for rule in rules:
        yield rule, sum(each is rule for each in falls)
