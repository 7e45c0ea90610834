"""Numbers out of a function of yours."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from tests.support.business import (
    BOTH,
    CANARY,
    COLOURS,
    MEAN,
    RATIO,
    RELEASE,
    SPREAD,
    VALUE,
    WINDOW,
    candidate,
    failing,
    look,
    slowly,
)
from tests.support.rules import rule

from progressive.errors import Failure, MetricsError
from progressive.metrics.function import Function
from progressive.model.measurement import (
    Counts,
    Gauge,
    Histogram,
    Measurement,
    Metric,
    Moments,
    NoAnswer,
    NoData,
    Window,
)
from progressive.model.release import Release, Version
from progressive.model.traffic import Track


def test_a_function_is_asked_for_each_version_in_the_window() -> None:
    asked: list[Any] = []

    def failed(release: Release, version: Version, window: Window) -> tuple[int, int]:
        asked.append((release, version, window))
        return 1, 10

    found = look(Function({RATIO: failed}), RATIO)

    assert asked == [(RELEASE, RELEASE.stable, WINDOW), (RELEASE, RELEASE.candidate, WINDOW)]
    assert found.of(Track.STABLE) == Counts(events=1, trials=10)
    assert found.query.endswith("failed") and found.fingerprint


def test_an_asynchronous_function_needs_an_asynchronous_driver() -> None:
    found = look(Function({RATIO: slowly}), RATIO, colour="ameasure")

    assert (found.of(Track.STABLE), found.of(Track.CANDIDATE)) == (
        Counts(events=1, trials=10),
        Counts(events=2, trials=20),
    )
    assert (
        str(failing(Function({RATIO: slowly}), RATIO))
        == "Function: failed-orders is asynchronous; drive with atick, aiterate or arun"
    )


def test_a_plain_function_does_not_keep_the_loop_of_an_asynchronous_driver_waiting() -> None:
    threads: list[threading.Thread] = []
    look(
        Function({VALUE: lambda *_: threads.append(threading.current_thread())}),
        VALUE,
        colour="ameasure",
    )

    assert threading.main_thread() not in threads and threads


READY = [
    (RATIO, Counts(events=1, trials=2)),
    (MEAN, Moments(n=2, mean=1.0, m2=0.5)),
    (VALUE, Gauge(samples=(1.0,))),
    (SPREAD, Histogram(edges=(0.1, 0.5), cumulative=(1, 2, 3))),
]


@pytest.mark.parametrize(("metric", "ready"), READY)
def test_a_function_may_answer_with_a_measurement_of_the_kind_and_no_other(
    metric: Metric, ready: Measurement
) -> None:
    others = [other for _, other in READY if other != ready]

    assert candidate(Function({metric: lambda *_: ready}), metric) == ready
    assert candidate(Function({metric: lambda *_: NoData("closed on Sundays")}), metric) == NoData(
        "closed on Sundays"
    )
    assert candidate(Function({metric: lambda *_: NoAnswer("half of it")}), metric) == NoAnswer(
        "half of it"
    )
    for other in others:
        assert isinstance(
            candidate(Function({metric: lambda *_, other=other: other}), metric), NoAnswer
        )  # type: ignore[misc]


def test_what_a_function_may_not_answer_is_said_with_what_it_may() -> None:
    assert candidate(Function({RATIO: lambda *_: 0.5}), RATIO) == NoAnswer(
        "the function answered a float; failed-orders is a ratio: answer Counts(...), or (events, "
        "trials), or None"
    )
    assert candidate(Function({SPREAD: lambda *_: (1, 2)}), SPREAD) == NoAnswer(
        "the function answered a tuple; delivery is a latency: answer Histogram(...), or None"
    )


@rule("R19", "R37")
@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("v2"), "KeyError: 'v2'"),
        (RecursionError(), "RecursionError"),
        (ValueError("two\nlines"), "ValueError: two lines"),
        (
            OSError(f"https://eve:{CANARY}@warehouse/x is down"),
            "OSError: https://***@warehouse/x is down",
        ),
        (ValueError(f"api_key={CANARY}, try again"), "ValueError: api_key=***, try again"),
        (
            ValueError(f"{{'Authorization': 'Bearer {CANARY}'}}"),
            "ValueError: {'Authorization': 'Bearer ***'}",
        ),
    ],
)
def test_what_a_function_raises_is_told_with_its_line_and_without_obvious_credentials(
    colour: str, error: Exception, said: str
) -> None:
    def failed(release: Release, version: Version, window: Window) -> tuple[int, int]:
        raise error

    line = failed.__code__.co_firstlineno + 1

    assert (
        str(failing(Function({RATIO: failed}), RATIO, colour))
        == f"Function: failed-orders: {said} (test_function.py, line {line})"
    )


def test_a_metrics_error_of_a_function_is_its_own_word() -> None:
    def failed(release: Release, version: Version, window: Window) -> tuple[int, int]:
        raise MetricsError("the warehouse is closed", failure=Failure.PERMANENT)

    failure = failing(Function({RATIO: failed}), RATIO)

    assert (str(failure), failure.failure) == ("the warehouse is closed", Failure.PERMANENT)


@rule("R26")
def test_a_cancelled_look_is_cancelled_and_is_no_answer() -> None:
    async def hanging(release: Release, version: Version, window: Window) -> tuple[int, int]:
        await asyncio.sleep(60)
        return 0, 1

    async def cancelled() -> None:
        async with asyncio.timeout(0.01):
            await Function({RATIO: hanging}).ameasure(RELEASE, RATIO, BOTH, WINDOW, None)

    with pytest.raises(TimeoutError):
        asyncio.run(cancelled())
