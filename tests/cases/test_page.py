"""The page for people who come from other systems says what their cases say."""

from __future__ import annotations

import pytest
from tests.cases import argo, flagger
from tests.cases.classes import Fate, Rule, cases, rule_of
from tests.cases.page import PAGE, SYSTEMS, page


def test_the_page_is_made_from_the_rules_and_the_cases() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python tests/cases/page.py"


@pytest.mark.parametrize(
    ("file", "rules"),
    [(file, rules) for _, _, file, rules in SYSTEMS],
    ids=[name for name, *_ in SYSTEMS],
)
def test_every_case_has_one_id_and_one_class(file: str, rules: tuple[Rule, ...]) -> None:
    found = cases(file)

    assert len({case["id"] for case in found}) == len(found)
    assert {rule_of(case, rules).fate for case in found} <= set(Fate)


@pytest.mark.parametrize("rule", [*flagger.RULES, *argo.RULES], ids=lambda rule: rule.feature)
def test_a_rule_says_why_in_a_sentence(rule: Rule) -> None:
    assert rule.why.endswith((".", ")"))
    assert "|" not in rule.feature + rule.why
