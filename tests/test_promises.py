"""The page of promises is what the suite says, and every promise has a test."""

from __future__ import annotations

from tests.promises import PAGE, RULES, marked, page


def test_every_promise_has_a_test_that_names_it() -> None:
    held = {name for name, _, _ in marked()}

    assert held == set(RULES)


def test_the_page_is_made_from_the_suite() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python tests/promises.py"
