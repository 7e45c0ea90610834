"""Gates that know the calendar: business hours by the clocks of a zone, and freezes."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.rules import rule

from progressive import (
    Abort,
    Canary,
    ClosedUntil,
    Open,
    Release,
    StrategyError,
    Version,
    minutes,
    percents,
    submit,
)
from progressive.calendar import DAYS, Freeze, OpenHours
from progressive.rollout.notes import Asked
from progressive.rollout.state import Rollout
from progressive.testing import MemoryRouter, MemoryStore, VirtualClock, play

RELEASE = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))
OFFICE = OpenHours(zone="Europe/Vienna")
NIGHT = OpenHours(zone="Europe/Vienna", days=["fri"], opens=time(22), closes=time(4))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("hours", "now", "opens"),
    [
        (OFFICE, "2026-11-23T08:00:00Z", None),  # Monday, 9:00 in Vienna: the opening is included
        (OFFICE, "2026-11-23T07:59:59Z", "2026-11-23T08:00:00Z"),
        (OFFICE, "2026-11-23T15:59:59Z", None),
        (OFFICE, "2026-11-23T16:00:00Z", "2026-11-24T08:00:00Z"),  # the closing is not
        (OFFICE, "2026-11-27T16:00:00Z", "2026-11-30T08:00:00Z"),  # over the weekend
        (OFFICE, "2026-07-06T07:00:00Z", None),  # summer time
        (OFFICE, "2026-03-27T17:00:00Z", "2026-03-30T07:00:00Z"),  # clocks change on that weekend
        (
            OpenHours(zone="Europe/Vienna", closed_on=[date(2026, 12, 24), date(2026, 12, 25)]),
            "2026-12-23T17:00:00Z",
            "2026-12-28T08:00:00Z",
        ),
        (NIGHT, "2026-11-27T21:00:00Z", None),  # Friday 22:00
        (NIGHT, "2026-11-28T02:59:00Z", None),  # Saturday 3:59 is still Friday's night
        (NIGHT, "2026-11-28T03:00:00Z", "2026-12-04T21:00:00Z"),
        (
            OpenHours(zone="Europe/Vienna", days=["sun"], opens=time(2, 30), closes=time(5)),
            "2026-03-28T12:00:00Z",
            "2026-03-29T01:30:00Z",
        ),
        (
            OpenHours(zone="Europe/Vienna", days=["sun"], opens=time(2, 30), closes=time(5)),
            "2026-10-24T12:00:00Z",
            "2026-10-25T00:30:00Z",
        ),
        (
            OpenHours(zone="Europe/Vienna", days=["sun"], opens=time(1), closes=time(2, 30)),
            "2026-10-25T01:00:00Z",
            None,
        ),  # the second 2:00
        (
            OpenHours(zone="UTC", days=DAYS, opens=time(0), closes=time(0)),
            "2026-01-01T00:00:00Z",
            None,
        ),  # always
        (
            OpenHours(
                zone="UTC",
                days=["mon"],
                closed_on=[date(2026, 1, 1) + timedelta(days=i) for i in range(800)],
            ),
            "2026-01-01T00:00:00Z",
            "2027-01-02T00:00:00Z",
        ),  # never: asked again in a year
    ],
)
@rule("R31")
def test_business_hours_open_and_close_by_the_clocks_of_their_zone(
    hours: OpenHours, now: str, opens: str | None
) -> None:
    answer = hours(RELEASE, at(now))

    assert (answer.at if isinstance(answer, ClosedUntil) else None) == (
        None if opens is None else at(opens)
    )


zones = st.sampled_from(
    [
        "UTC",
        "Europe/Vienna",
        "America/New_York",
        "Asia/Kolkata",
        "Australia/Lord_Howe",
        "America/St_Johns",
    ]
)
times = st.times().map(lambda value: value.replace(second=0, microsecond=0))
moments = st.integers(0, 10 * 365 * 24 * 60).map(
    lambda minutes: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)
hours = st.builds(
    OpenHours,
    zone=zones,
    days=st.lists(st.sampled_from(DAYS), min_size=1, unique=True),
    opens=times,
    closes=times,
)


@given(hours=hours, now=moments)
@rule("R31")
def test_when_they_say_they_open_they_are_open_and_not_a_moment_before(
    hours: OpenHours, now: datetime
) -> None:
    answer = hours(RELEASE, now)

    if isinstance(answer, Open):
        return
    assert answer.at > now
    if "next 366 days" in answer.why:  # an hour that is left out, on the one day that it would open
        return
    assert hours(RELEASE, answer.at) == Open()
    assert isinstance(hours(RELEASE, answer.at - timedelta(milliseconds=1)), ClosedUntil)


@given(hours=hours, now=moments)
def test_open_means_that_the_clocks_of_the_zone_show_an_open_hour(
    hours: OpenHours, now: datetime
) -> None:
    shown = now.astimezone(ZoneInfo(hours.zone))
    whole = hours.opens < hours.closes
    today = (
        DAYS[shown.weekday()] in hours.days
        and shown.time() >= hours.opens
        and (shown.time() < hours.closes or not whole)
    )
    since_yesterday = (
        DAYS[shown.weekday() - 1] in hours.days and not whole and shown.time() < hours.closes
    )
    before, after = (now + timedelta(hours=by) for by in (-3, 3))
    clocks_change = (
        before.astimezone(ZoneInfo(hours.zone)).utcoffset()
        != after.astimezone(ZoneInfo(hours.zone)).utcoffset()
    )

    assert clocks_change or isinstance(hours(RELEASE, now), Open) is (today or since_yesterday)


@pytest.mark.parametrize(
    ("now", "closed"),
    [
        ("2026-12-18T00:00:00Z", True),
        ("2026-12-17T23:59:59Z", False),
        ("2027-01-07T00:00:00Z", False),
    ],
)
def test_a_freeze_is_closed_from_its_beginning_until_its_end(now: str, closed: bool) -> None:
    freeze = Freeze(
        begins=at("2026-12-18T00:00:00Z"), ends=at("2027-01-07T00:00:00Z"), why="year's end"
    )

    assert freeze(RELEASE, at(now)) == (
        ClosedUntil(at=at("2027-01-07T00:00:00Z"), why="year's end") if closed else Open()
    )


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (
            lambda: OpenHours(zone="Vienna"),
            (
                "OpenHours.zone: 'Vienna' is no time zone known here; use a name such as "
                "'Europe/Vienna'"
            ),
        ),
        (lambda: OpenHours(zone="../etc/passwd"), "is no time zone known here"),
        (lambda: OpenHours(zone=7), "OpenHours.zone: 7 is no time zone"),
        (
            lambda: OpenHours(zone="UTC", days=["monday"]),
            "OpenHours.days: ['monday']; use some of mon, tue",
        ),
        (lambda: OpenHours(zone="UTC", days="mon"), "write ['mon']"),
        (lambda: OpenHours(zone="UTC", days=[]), "OpenHours.days: []"),
        (
            lambda: OpenHours(zone="UTC", opens="9:00"),
            "OpenHours.opens: '9:00' is no time of day; write time(9, 30)",
        ),
        (lambda: OpenHours(zone="UTC", closes=time(9, tzinfo=UTC)), "without a zone"),
        (
            lambda: OpenHours(zone="UTC", closed_on=["2026-12-24"]),
            "OpenHours.closed_on[0]: '2026-12-24' is no day; write date(2026, 12, 24)",
        ),
        (
            lambda: Freeze(begins=at("2026-01-02T00:00:00Z"), ends=at("2026-01-01T00:00:00Z")),
            "it ends at 2026-01-01T00:00:00+00:00, not after",
        ),
        (
            lambda: Freeze(begins=at("2026-01-02T00:00:00"), ends=at("2026-01-01T00:00:00Z")),
            "Freeze.begins: 2026-01-02T00:00:00 has no time zone",
        ),
    ],
)
@rule("R31")
def test_a_wrong_calendar_is_named_when_it_is_made(make: Any, why: str) -> None:
    with pytest.raises(StrategyError) as caught:
        make()

    assert why in str(caught.value)


@pytest.mark.slow
def test_a_canary_rises_in_business_hours_only_and_the_night_is_not_held_against_it() -> None:
    canary = Canary(
        weights=percents(10, 50, 100),
        bake=minutes(240),
        gates=["office-hours"],
        unguarded="about time only",
    )
    clock, store, router = (
        VirtualClock(at("2026-11-27T12:00:00Z")),
        MemoryStore(),
        MemoryRouter(),
    )  # a Friday, 13:00

    outcome = play(
        canary, RELEASE, router=router, clock=clock, store=store, gates={"office-hours": OFFICE}
    )

    raised = [note.at for _, note in store.notes("played") if isinstance(note, Asked)]
    assert outcome.promoted
    assert [
        moment.astimezone(ZoneInfo("Europe/Vienna")).strftime("%a %H:%M") for moment in raised
    ] == ["Fri 13:00", "Mon 09:00", "Mon 13:00"]


def test_a_closed_gate_does_not_keep_a_bad_version_in() -> None:
    canary = Canary(
        weights=percents(10, 100),
        bake=minutes(240),
        gates=["office-hours"],
        unguarded="about time only",
    )
    clock, store = VirtualClock(at("2026-11-27T12:00:00Z")), MemoryStore()
    ports: dict[str, Any] = {"clock": clock, "store": store, "gates": {"office-hours": OFFICE}}

    def at_night(rollout: Rollout) -> None:
        if (
            clock() > at("2026-11-27T18:00:00Z")
            and not rollout.final
            and rollout.progress.reason == ""
        ):
            submit(store, rollout.id, Abort(at=clock(), by="eve", why="it smells"))

    outcome = play(canary, RELEASE, before_tick=at_night, **ports)

    assert (outcome.exit_code, clock() < at("2026-11-28T00:00:00Z")) == (1, True)
