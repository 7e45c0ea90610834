"""Whatever a text is, it comes out as text."""

from __future__ import annotations

from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progressive.reports.markup import Html, joined, shortened, tag, text

ANY = st.text(st.characters(), max_size=80)
"""Also lone surrogates and control characters."""

VISIBLE = {0x1B: "\\x1b", 0x202E: "\\u202e", 0xD800: "\\ud800", 0x0D: "\\x0d", 0xFFFF: "\\uffff"}


def seen(value: str) -> str:
    """What a reader should see of a text: an oracle without a regular expression."""
    unseen = [*range(9), *range(11, 32), *range(127, 160), 0x61C, 0x200E, 0x200F]
    unseen += [*range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000)]
    unseen += [0xFFFE, 0xFFFF]
    return "".join(
        each
        if ord(each) not in unseen
        else f"\\x{ord(each):02x}"
        if ord(each) < 256
        else f"\\u{ord(each):04x}"
        for each in value
    )


@given(ANY)
def test_xml_and_html_read_back_what_was_written(value: str) -> None:
    written = tag("p", text(value))
    found: list[str] = []
    parser = HTMLParser()
    parser.handle_data = found.append  # type: ignore[method-assign]
    parser.feed(written)
    parser.close()

    assert (ET.fromstring(written).text or "") == seen(value)
    assert "".join(found) == seen(value)


@given(ANY)
def test_an_attribute_is_never_left(value: str) -> None:
    element = ET.fromstring(tag("a", text("x"), href=value, class_="c"))

    assert set(element.attrib) == {"href", "class"}
    assert element.attrib["href"].split() == seen(value).split()


@pytest.mark.parametrize(("code", "written"), VISIBLE.items())
def test_what_can_t_be_seen_is_written_out(code: int, written: str) -> None:
    assert text(f"a{chr(code)}b") == f"a{written}b"


def test_a_long_text_says_how_much_is_left_out() -> None:
    assert shortened("x" * 10, 10) == "x" * 10
    assert shortened("x" * 1_245, 10) == "xxxxxxxxxx … (1,235 more characters)"
    assert len(text("&" * 100_000)) < 5_000


def test_elements_are_written_with_what_is_given() -> None:
    assert tag("br") == "<br/>"
    assert tag("td") == "<td></td>"
    assert tag("circle", cx=1.0, cy=2.346, r=None) == '<circle cx="1" cy="2.35"/>'
    assert tag("td", text("a<b"), data_label="x") == '<td data-label="x">a&lt;b</td>'
    assert joined([Html("<br/>"), Html("<br/>")]) == "<br/><br/>"
