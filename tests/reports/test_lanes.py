"""The lanes are drawn where their numbers are."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from tests.support.parsed import local, words
from tests.support.reported import BEGAN, canned

from progressive import Traffic, minutes, percent
from progressive.reports.drawing import Block
from progressive.reports.judged import check_records
from progressive.reports.lanes import ABOVE, HIGH, flag_rows, strips, weight
from progressive.reports.record import Record
from progressive.reports.times import LEFT, WIDE, Span
from progressive.rollout.notes import Asked

CANNED = Record.of(canned(), None)
SPAN = Span(start=BEGAN, end=BEGAN + minutes(16))


def drawn(block: Block) -> ET.Element:
    return ET.fromstring(f"<g>{block.inside}</g>")


def of_class(element: ET.Element, name: str) -> list[ET.Element]:
    return [each for each in element.iter() if each.get("class") == name]


def place(element: ET.Element, side: str) -> float:
    return float((element.get(side) or "").removesuffix("%"))


def test_the_area_is_the_weight_that_was_served() -> None:
    areas = of_class(drawn(weight(CANNED, SPAN)), "area")

    assert [float(each.get("height") or 0) for each in areas] == [0.1 * HIGH, 0.3 * HIGH]
    assert [float(each.get("y") or 0) for each in areas] == [
        ABOVE + 0.9 * HIGH,
        ABOVE + 0.7 * HIGH,
    ]
    assert [round(place(each, "x"), 1) for each in areas] == [
        round(LEFT + WIDE * minute / 16, 1) for minute in (1, 12)
    ]
    assert [round(place(each, "width"), 1) for each in areas] == [
        round(WIDE * length / 16, 1) for length in (11, 4)
    ]


def test_the_dashed_line_is_the_weight_that_was_asked_for() -> None:
    lines = of_class(drawn(weight(CANNED, SPAN)), "asked")
    flat = [each for each in lines if each.get("y1") == each.get("y2")]

    assert [float(each.get("y1") or 0) for each in flat] == [ABOVE + 0.9 * HIGH, ABOVE + HIGH]
    assert len(lines) == 3  # two pieces, and the fall between them


def test_weights_are_written_where_there_is_room() -> None:
    def written(*weights: float) -> list[str | None]:
        notes = [
            Asked(at=BEGAN + minutes(n), traffic=Traffic(candidate=percent(each)), why="a test")
            for n, each in enumerate(weights)
        ]
        record = Record.of(notes, None)
        span = Span(start=record.began, end=record.ended)
        return [each.text for each in of_class(drawn(weight(record, span)), "weight")]

    assert written(1, 10, 100, 0) == ["1 %", "10 %", "100 %"]
    assert written(0, 0) == []
    assert len(written(*range(1, 100))) == 0


def test_flags_of_what_did_not_happen_have_no_row() -> None:
    rows = [drawn(block) for block in flag_rows(CANNED.entries, SPAN)]

    assert [of_class(row, "name")[0].text for row in rows] == ["people", "trouble"]
    assert [len([e for e in row.iter() if local(e) == "circle"]) for row in rows] == [2, 5]
    assert "eve: hold (odd & <strange>)" in words(rows[0])
    assert flag_rows([], SPAN) == []


def test_verdicts_lie_at_their_times() -> None:
    [row] = [drawn(block) for block in strips(check_records(CANNED), SPAN)]
    [empty], [fail] = of_class(row, "no_data"), of_class(row, "fail")

    assert round(place(empty, "cx"), 1) == round(LEFT + WIDE * 6 / 16, 1)
    assert round(place(fail, "x"), 1) == round(LEFT + WIDE * 15 / 16, 1)
    assert "12:15:00 fail: 4 % is above 1 %" in words(row)
