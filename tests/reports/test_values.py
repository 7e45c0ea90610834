"""The lane of a check holds what was measured, whatever that is."""

from __future__ import annotations

import math
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.parsed import local, words
from tests.support.reported import BEGAN, STORIES

from progressive import minutes, seconds
from progressive.reports.judged import CheckRecord, check_records
from progressive.reports.picture import span_of
from progressive.reports.readings import Quantity, Reading, digits
from progressive.reports.record import Record
from progressive.reports.times import Span
from progressive.reports.values import ABOVE, HIGH, scale_of, values
from progressive.rollout.notes import Judged

FINITE = st.floats(allow_nan=False, allow_infinity=False)
OPTIONAL = st.none() | FINITE
READINGS = st.builds(
    Reading,
    quantity=st.builds(Quantity, what=st.just("x"), write=st.just(digits), multiple=st.just(False)),
    value=FINITE,
    low=OPTIONAL,
    high=OPTIONAL,
    limits=st.lists(FINITE, max_size=2).map(tuple),
    beside=OPTIONAL,
)
MULTIPLES = st.builds(
    Reading,
    quantity=st.just(Quantity(what="x", write=digits, multiple=True)),
    value=st.floats(0, 1e300),
    limits=st.just((1.0,)),
)


def plain(value: float) -> Reading:
    return Reading(quantity=Quantity(what="x", write=digits, multiple=False), value=value)


SPAN = Span(start=BEGAN, end=BEGAN + minutes(10))


@example([plain(5e-324)])
@example([plain(-2e-308), plain(1.8e308)])
@given(st.lists(READINGS, min_size=1, max_size=4) | st.lists(MULTIPLES, min_size=1, max_size=4))
def test_every_value_and_limit_lies_in_the_lane(readings: list[Reading]) -> None:
    scale = scale_of(readings)
    drawn = [n for each in readings for n in (each.value, *each.limits, *scale.ticks)]

    assert all(ABOVE <= scale.y(value) <= ABOVE + HIGH for value in drawn)
    assert all(one < other for one, other in pairwise(scale.ticks))
    assert all(math.isfinite(tick) for tick in scale.ticks)


@pytest.mark.parametrize(
    ("found", "multiple", "ticks"),
    [
        ([0.0], False, (0.0, 0.5, 1.0)),
        ([0.02, 0.01], False, (0.0, 0.015, 0.03)),
        ([-3.0, 4.0], False, (-4.0, 0.0, 5.0)),
        ([-3.0], False, (-4.0, -2.0, 0.0)),
        ([1.0, 1.1], True, (0.25, 1.0, 4.0)),
        ([0.0, 5.0], True, (1 / 16, 1.0, 8.0)),
        ([0.2, 1000.0], True, (1 / 8, 1.0, 64.0)),
    ],
)
def test_a_scale_ends_at_round_numbers(
    found: list[float], multiple: bool, ticks: tuple[float, ...]
) -> None:
    quantity = Quantity(what="x", write=digits, multiple=multiple)

    assert scale_of([Reading(quantity=quantity, value=value) for value in found]).ticks == (
        pytest.approx(ticks)
    )


def lane(check: CheckRecord, span: Span, *, named: bool = False) -> ET.Element | None:
    block = values(check, span, named=named)
    return None if block is None else ET.fromstring(f"<g>{block.inside}</g>")


def test_a_check_s_looks_are_drawn_against_its_limit() -> None:
    story = STORIES["rolled_back"]()
    record = Record.of(story.notes, story.rollout)
    checks, span = check_records(record), span_of(record)
    drawn = lane(checks[1], span, named=True)

    assert drawn is not None
    assert "checks/error-rate: error-rate" in words(drawn) and "limit 1 %" in words(drawn)
    marks = [each for each in drawn if local(each) in ("circle", "use")]
    assert sum(each.get("class") != "beside" for each in marks) == len(checks[1].entries)
    ratios = lane(checks[0], span)
    assert ratios is not None
    ranges = [each for each in ratios if (each.get("class") or "").startswith("range")]
    assert ranges and any(each.get("class") == "range fail" for each in ranges)
    shares = lane(checks[4], span)
    assert shares is not None and "limit of each look" in words(shares)


def test_marks_that_stand_for_several_looks_say_so() -> None:
    notes = [
        Judged(
            at=BEGAN + seconds(n),
            analysis="a",
            check="b",
            verdict="pass",
            why="fine",
            numbers=(("candidate", 1.0),),
        )
        for n in range(600)
    ]
    drawn = lane(check_records(Record.of(notes, None))[0], SPAN)

    assert drawn is not None and "value (each mark the gravest of up to 9 looks)" in words(drawn)


def test_without_numbers_or_limits_there_is_less_to_draw() -> None:
    def check(**numbers: float) -> CheckRecord:
        note = Judged(
            at=BEGAN + seconds(5),
            analysis="a",
            check="b",
            verdict="pass",
            why="fine",
            numbers=tuple(numbers.items()),
        )
        return check_records(Record.of([note], None))[0]

    assert lane(check(), SPAN) is None
    drawn = lane(check(candidate=3.0), SPAN)
    assert drawn is not None and "limit" not in words(drawn)
    [both] = [lane(check(ratio=2.0, ratio_low=1.0, ratio_high=4.0), SPAN)]
    assert both is not None
    [bounds] = [each for each in both if each.get("class") == "range pass"]
    assert (bounds.get("y1"), bounds.get("y2")) == (f"{ABOVE}", f"{ABOVE + HIGH / 2:g}")
    one_sided = [lane(check(ratio=2.0, ratio_low=1.0), SPAN), lane(check(ratio=2.0), SPAN)]
    found = [each for each in one_sided if each is not None]
    assert [sum(e.get("class") == "range pass" for e in each) for each in found] == [1, 0]
    other = lane(check(ratio=0.0, ratio_high=1.0), SPAN)
    assert other is not None and "≤ 1/16" in words(other)
