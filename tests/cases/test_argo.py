"""Argo Rollouts' cases: each is run as a strategy of ours in a simulated world, or the table says why it can't be."""

from __future__ import annotations

import pytest
from cases.argo import FILE, RULES
from cases.classes import Case, Fate, cases, rule_of

CASES = cases(FILE)
RUN = [case for case in CASES if rule_of(case, RULES).replay is not None]


@pytest.mark.parametrize("case", RUN, ids=lambda case: case["id"])
def test_a_case_of_argo_rollouts_comes_out_as_the_table_says(case: Case) -> None:
    replay = rule_of(case, RULES).replay
    assert replay is not None

    replay(case)


def test_every_case_has_its_class_and_what_is_called_the_same_is_run() -> None:
    not_run = [rule_of(case, RULES).fate for case in CASES if case not in RUN]

    assert set(not_run) <= {Fate.CLUSTER}
