"""A scale of time has a few round times, and all that is drawn lies on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progressive import hours, minutes, ms, seconds
from progressive.reports.times import LEFT, WIDE, Span, clock, lasting, moment

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOMENTS = st.datetimes(timezones=st.just(UTC))


@given(MOMENTS, st.timedeltas(timedelta(), timedelta(days=20_000)))
def test_at_most_five_times_are_written_in_order_and_within(
    start: datetime, length: timedelta
) -> None:
    end = min(start, datetime.max.replace(tzinfo=UTC) - length) + length
    span = Span(start=end - length, end=end)
    ticks = [at for at, _ in span.ticks()]

    assert len(ticks) <= 5
    assert ticks == sorted(set(ticks))
    assert all(span.start <= at <= span.end for at in ticks)


@given(MOMENTS, MOMENTS)
def test_everything_lies_on_the_scale(at: datetime, start: datetime) -> None:
    span = Span(start=start, end=start)

    assert LEFT <= span.x(at) <= LEFT + WIDE
    assert span.length == seconds(1)


@pytest.mark.parametrize(
    ("length", "written"),
    [
        (seconds(4), ["12:00:00", "12:00:01", "12:00:02", "12:00:03", "12:00:04"]),
        (minutes(8), ["12:00", "12:02", "12:04", "12:06", "12:08"]),
        (hours(11), ["12:00", "15:00", "18:00", "21:00"]),
        (hours(24), ["12:00", "18:00", "03-02", "06:00", "12:00"]),
        (timedelta(days=9), ["03-02", "03-04", "03-06", "03-08", "03-10"]),
        (timedelta(days=800), ["2026-12"]),
    ],
    ids=str,
)
def test_round_times_are_written(length: timedelta, written: list[str]) -> None:
    span = Span(start=NOON, end=NOON + length)

    assert [name for _, name in span.ticks()][: len(written)] == written


def test_a_time_is_said_in_utc_with_its_day_where_there_are_several() -> None:
    assert clock(NOON.astimezone(UTC)) == "03-01 12:00:00"
    assert clock(NOON, day=False) == "12:00:00"
    assert moment(NOON, day=False) == (
        '<time datetime="2026-03-01T12:00:00.000Z" title="2026-03-01T12:00:00.000Z">12:00:00</time>'
    )


def test_how_long_something_took_is_cut_to_what_matters() -> None:
    assert lasting(ms(1500)) == "1.5 s"
    assert lasting(minutes(12) - ms(1)) == "11 min 59 s"
