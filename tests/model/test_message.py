"""A message in words, and texts of one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progressive.model.message import one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("20 % is above 1 % (50 of 250 requests)", "20 % is above 1 % (50 of 250 requests)"),
        ("böse → 日本 🎉", "böse → 日本 🎉"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[8mhidden\x07", r"\x1b[8mhidden\x07"),
        ("\u2028\u202e\ud800", r"\u2028\u202e\ud800"),
    ],
)
def test_what_would_end_a_line_or_move_a_cursor_is_an_escape(text: str, shown: str) -> None:
    assert one_line(text) == shown


@given(st.text())
def test_any_text_is_one_line_that_can_be_printed(text: str) -> None:
    line = one_line(text)

    assert line.isprintable()
    assert len(line.splitlines()) <= 1
    assert line == text or not text.isprintable()
