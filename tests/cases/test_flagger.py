"""Flagger's cases: each is run as a strategy of ours in a simulated world, or the table says why it
can't be.
"""

from __future__ import annotations

import pytest
from tests.cases.classes import Case, cases, rule_of
from tests.cases.examples import FLAGGER
from tests.cases.flagger import FILE, RULES

CASES = [*cases(FILE), *FLAGGER]


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if rule_of(case, RULES).replay is not None],
    ids=lambda case: case["id"],
)
def test_a_case_of_flagger_comes_out_as_the_table_says(case: Case) -> None:
    replay = rule_of(case, RULES).replay
    assert replay is not None

    replay(case)


def test_every_rule_has_a_case() -> None:
    used = {id(rule_of(case, RULES)) for case in CASES}

    assert [rule.feature for rule in RULES if id(rule) not in used] == []
