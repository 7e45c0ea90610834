"""What the page "What a raw counter's samples mean" says that we say, without a server; tests/real
has the same rows on real ones.
"""

from __future__ import annotations

import pytest
from tests.cases.counters import CASES, Asked, Case
from tests.cases.counters_page import PAGE, with_table
from tests.support.counter_cases import (
    BOTH,
    RELEASE,
    expected_of,
    found_as,
    metrics_of,
    provider_of,
    served,
    window_of,
)

from progressive.adapters.flow import feed
from progressive.model.measurement import NoAnswer, NoData
from progressive.model.traffic import Track

ZERO = 1_795_435_200
ROWS = pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.asked in (Asked.COUNTERS, Asked.BUCKETS)],
    ids=lambda case: case.name,
)


@ROWS
def test_each_row_of_the_page_is_what_we_say(case: Case) -> None:
    provider = provider_of(case, "http://127.0.0.1:9090")
    for metric in metrics_of(case):
        flow = provider._measure(RELEASE, metric, BOTH, window_of(ZERO), None)
        look, expected = feed(flow, served(case, ZERO)), expected_of(case, metric)

        found = look.of(Track.STABLE)

        assert found_as(case, metric, found, expected) == pytest.approx(expected)
        assert isinstance(found, NoData) is (case.no_data and isinstance(expected, str))
        assert isinstance(look.of(Track.CANDIDATE), NoAnswer) is case.for_all


@ROWS
def test_the_order_in_which_a_server_lists_series_says_nothing(case: Case) -> None:
    """At VictoriaMetrics it changes from one query to the next."""
    one, other, provider = (
        served(case, ZERO),
        served(case, ZERO),
        provider_of(case, "http://127.0.0.1:9090"),
    )
    other.series = dict(reversed(other.series.items()))
    for metric in metrics_of(case):
        looks = [
            feed(provider._measure(RELEASE, metric, BOTH, window_of(ZERO), None), server)
            for server in (one, other)
        ]

        assert looks[0] == looks[1]


def test_the_table_on_the_page_is_that_of_the_rows() -> None:
    """After a change: ``python tests/cases/counters_page.py``."""
    text = PAGE.read_text(encoding="utf-8")

    assert text == with_table(text)
