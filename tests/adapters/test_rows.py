"""What a row of numbers says, whoever brings it."""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.business import COLOURS, MEAN, RATIO, SPREAD, VALUE, candidate, database, says
from tests.support.reporting_api import BOUNDS, Api
from tests.support.rules import rule

from progressive.adapters.rows import MOST_SAMPLES
from progressive.metrics.function import Function
from progressive.metrics.json_http import Endpoint, JsonHttp
from progressive.metrics.sql import Query, Sql
from progressive.model.measurement import (
    Counts,
    Gauge,
    Histogram,
    Measurement,
    Metric,
    Moments,
    NoAnswer,
    NoData,
)

METRICS = {metric.kind: metric for metric in (RATIO, MEAN, VALUE)}


ODD: list[tuple[str, Any, Measurement | tuple[type, str]]] = [
    # kind, the row, what it is
    ("ratio", (3, 120), Counts(events=3, trials=120)),
    ("ratio", (0, 120), Counts(events=0, trials=120)),
    ("ratio", (3.0, 120.0), Counts(events=3, trials=120)),
    ("ratio", (None, None), (NoData, "events.* and trials.* are null")),
    ("ratio", (0, 0), (NoData, "no trials")),
    ("ratio", (None, 0), (NoData, "no trials")),
    (
        "ratio",
        (None, 120),
        (NoAnswer, r"events.* is null, but trials.* is 120; .*coalesce\(sum\(...\), 0\)"),
    ),
    ("ratio", (3, None), (NoAnswer, "trials.* is null, but events.* is 3")),
    ("ratio", (121, 120), (NoAnswer, "events.* is 121, more than trials.* \\(120\\).*stand first")),
    ("ratio", (-1, 120), (NoAnswer, "events.* is -1, which is no count")),
    ("ratio", (0, -120), (NoAnswer, "trials.* is -120, which is no count")),
    ("ratio", (0.5, 120), (NoAnswer, r"events.* is 0\.5, which is no count")),
    ("ratio", (math.inf, math.inf), (NoData, r"trials.* is \+inf, which is no number")),
    (
        "ratio",
        ("3", "120"),
        (NoAnswer, "trials.* is '120', which is no number; a number in quotes is a text"),
    ),
    ("value", 17, Gauge(samples=(17.0,))),
    ("value", -2.5, Gauge(samples=(-2.5,))),
    ("value", 0, Gauge(samples=(0.0,))),
    ("value", [1, 2.5, 3], Gauge(samples=(1.0, 2.5, 3.0))),
    ("value", None, (NoData, "null|None")),
    ("value", [], (NoData, "no rows")),
    (
        "value",
        [1, None, 3],
        (NoData, "value.* of row 2 is null; leave out samples that are not there"),
    ),
    ("value", -math.inf, (NoData, "value.* is -inf, which is no number")),
    ("value", "17", (NoAnswer, "value.* is '17', which is no number")),
    ("value", "x" * 5000, (NoAnswer, "value.* is a text of 5000 characters, which is no number")),
    ("value", [1] * (MOST_SAMPLES + 1), (NoAnswer, "more than 256 samples")),
    ("mean", (4, 10, 30), Moments(n=4, mean=2.5, m2=5.0)),
    ("mean", (1, 2.5, 6.25), Moments(n=1, mean=2.5, m2=0.0)),
    (
        "mean",
        (10, 1, 0.09999999999999999),
        Moments(n=10, mean=0.1, m2=0.0),
    ),  # a sum of doubles, a last bit too low
    ("mean", (0, None, None), (NoData, "no values")),
    ("mean", (None, None, None), (NoData, "are null")),
    (
        "mean",
        (4, None, None),
        (NoAnswer, "sum.* is null, but n.* is 4; count the values and not the rows"),
    ),
    ("mean", (4, 10, None), (NoAnswer, "squares.* is null, but n.* is 4")),
    ("mean", (None, 10, 30), (NoAnswer, "n.* is null, but sum.* is 10")),
    (
        "mean",
        (4, 30, 10),
        (
            NoAnswer,
            (
                "squares.* is 10, less than 4 values with the sum 30 can have; the order is n, "
                "sum, sum of squares"
            ),
        ),
    ),
    ("mean", (4, 0, -1), (NoAnswer, "squares.* is -1")),
    ("mean", (2.5, 10, 30), (NoAnswer, r"n.* is 2\.5, which is no count")),
]


ONLY_IN_PYTHON: list[tuple[str, Any, Measurement | tuple[type, str]]] = [
    ("ratio", (Decimal(3), Decimal("120.00")), Counts(events=3, trials=120)),
    ("ratio", (Decimal("NaN"), 120), (NoData, "events is NaN")),
    ("ratio", (3, Decimal("sNaN")), (NoData, "trials is NaN")),
    ("ratio", (3, math.nan), (NoData, "trials is NaN")),
    ("ratio", (True, 120), (NoAnswer, "events is True, which is no number")),
    ("ratio", (10**5000, None), (NoAnswer, "trials is null, but events is a int")),
    ("ratio", (0, 2**63), (NoAnswer, "trials is .*, which is no count")),
    ("ratio", (3, 10**5000), (NoAnswer, "trials is larger than any number")),
    ("ratio", (3, 120, 7), (NoAnswer, "a row of 3; a ratio is 2: events, trials")),
    ("ratio", (3,), (NoAnswer, "a row of 1; a ratio is 2: events, trials")),
    ("ratio", (b"3", 120), (NoAnswer, "events is a bytes, which is no number")),
    ("value", Decimal("2.5"), Gauge(samples=(2.5,))),
    ("value", Fraction(5, 2), Gauge(samples=(2.5,))),
    ("value", Decimal("Infinity"), (NoData, r"value is \+inf")),
    ("value", Decimal("1E+999999999"), (NoAnswer, "value is larger than any number")),
    ("value", Decimal("1E-999999999"), Gauge(samples=(0.0,))),
    ("value", 10**4000, (NoAnswer, "value is larger than any number")),
    ("value", math.nan, (NoData, "value is NaN")),
    ("value", [math.nan, 1], (NoData, "value of row 1 is NaN")),
    ("value", True, (NoAnswer, "value is True")),
    ("mean", (4, Decimal("1e308"), Decimal("1e309")), (NoAnswer, "squares is larger")),
    ("mean", (3, Decimal("0.3"), Decimal("0.03")), Moments(n=3, mean=0.1, m2=0.0)),
]


def rows_of(kind: str, row: Any) -> list[Any]:
    return (
        [(each,) for each in (row if isinstance(row, list) else [row])]
        if kind == "value"
        else [row]
    )


@rule("R13", "R16")
@pytest.mark.parametrize(("kind", "row", "expected"), ODD)
@pytest.mark.parametrize("colour", COLOURS)
def test_a_database_never_turns_what_is_missing_or_senseless_into_a_number(
    tmp_path: Path, kind: str, row: Any, expected: Any, colour: str
) -> None:
    rows = rows_of(kind, row)
    shop = database(tmp_path, "create table answers (i integer, a, b, c)")
    with shop() as filling:
        filling.executemany(
            "insert into answers values (?, ?, ?, ?)",
            [(i, *(list(each) + [None] * 3)[:3]) for i, each in enumerate(rows)],
        )
        filling.commit()
    columns = ", ".join("abc"[: len(rows[0])]) if rows else "a"
    provider = Sql(
        shop,
        {
            METRICS[kind]: Query(
                f"select {columns} from answers where :version > '' and :start < :end order by i",
                times="unix_ms",
            )
        },
    )
    found = candidate(provider, METRICS[kind], colour)

    assert says(found, expected), found


@rule("R13")
@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(0, 0.0)], (NoData, "n is 0, so it is a value of nothing")),
        ([(None, 0.0)], (NoData, "a value of nothing")),
        ([(3, 0.0)], Gauge(samples=(0.0,))),
        ([(3, 2.5), (0, 0.0), (1, 4.0)], Gauge(samples=(2.5, 4.0))),
        ([(-1, 2.5)], (NoAnswer, "n is -1, which is no count")),
        ([(3, None)], (NoData, "value is null")),
        ([(3, "x")], (NoAnswer, "value is 'x', which is no number")),
        ([(1, 2, 3)], (NoAnswer, "a row of 3; a value is 1: value")),
    ],
)
@pytest.mark.parametrize("colour", COLOURS)
def test_a_value_may_say_of_how_many_things_it_is(
    tmp_path: Path, rows: Any, expected: Any, colour: str
) -> None:
    """Where a database answers 0 for the largest of nothing, as ClickHouse does."""
    shop = database(tmp_path, "create table answers (i integer, a, b, c)")
    with shop() as filling:
        filling.executemany(
            "insert into answers values (?, ?, ?, ?)",
            [(i, *(list(each) + [None] * 3)[:3]) for i, each in enumerate(rows)],
        )
        filling.commit()
    columns = ", ".join("abc"[: len(rows[0])])
    text = f"select {columns} from answers where :version > '' and :start < :end order by i"
    provider = Sql(shop, {METRICS["value"]: Query(text, times="unix_ms")})
    found = candidate(provider, METRICS["value"], colour)

    assert says(found, expected), found


@rule("R13", "R16")
@pytest.mark.parametrize(("kind", "row", "expected"), ODD + ONLY_IN_PYTHON)
@pytest.mark.parametrize("colour", COLOURS)
def test_a_function_never_turns_what_is_missing_or_senseless_into_a_number(
    kind: str, row: Any, expected: Any, colour: str
) -> None:
    found = candidate(
        Function({METRICS[kind]: lambda release, version, window: row}), METRICS[kind], colour
    )

    assert says(found, expected), found


@rule("R13", "R16")
@pytest.mark.parametrize(("kind", "row", "expected"), ODD)
def test_an_answer_in_json_never_turns_what_is_missing_or_senseless_into_a_number(
    api: Api, kind: str, row: Any, expected: Any
) -> None:
    api.answers = lambda _: (
        json.dumps({"data": {"row": row}})
        .replace("-Infinity", "-1e999")
        .replace("Infinity", "1e999")
    )
    names = {"ratio": ("events", "trials"), "mean": ("n", "sum", "squares"), "value": ("value",)}[
        kind
    ]
    paths = (
        {names[0]: "data.row"}
        if kind == "value"
        else {name: f"data.row.{i}" for i, name in enumerate(names)}
    )
    found = candidate(
        JsonHttp(api.url, {METRICS[kind]: Endpoint("/stats", params=BOUNDS, **paths)}),
        METRICS[kind],
    )

    assert says(found, expected), found


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_a_mean_by_its_sums_is_the_mean_of_the_values(values: list[float]) -> None:
    exact = [Fraction(value) for value in values]
    n, total, squares = (
        len(exact),
        sum(exact, Fraction()),
        sum((value * value for value in exact), Fraction()),
    )
    found = candidate(Function({MEAN: lambda release, version, window: (n, total, squares)}), MEAN)
    mean = total / n

    assert found == Moments(
        n=n, mean=float(mean), m2=float(sum(((value - mean) ** 2 for value in exact), Fraction()))
    )


@rule("R19")
@given(
    st.sampled_from([RATIO, MEAN, VALUE, SPREAD]),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.decimals()
        | st.text()
        | st.binary()
        | st.fractions(),
        lambda inner: (
            st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.tuples(inner, inner, inner)
        ),
    ),
)
def test_whatever_a_function_answers_is_a_measurement_of_its_kind_or_says_why_not(
    metric: Metric, answered: Any
) -> None:
    found = candidate(Function({metric: lambda release, version, window: answered}), metric)
    fits = {RATIO: Counts, MEAN: Moments, VALUE: Gauge, SPREAD: Histogram}[metric]

    assert isinstance(found, NoData | NoAnswer | fits)


# ------------------------------------------------------------------------------ integers that wrap

WRAPPED = [
    ((4000, 196_000_000_000, 8_580_000_000_000_000_000), "squares .*sum.toFloat64.x. [*] x."),
    ((4000, 196_000_000_000, 3_000_000_000_000_000_000), "squares .*sum.toFloat64.x. [*] x."),
    ((4000, 196_000_000_000, -3_000_000_000_000_000_000), "squares .*sum.toFloat64.x. [*] x."),
    ((4, 5_000_000_000_000_000_000, 8e37), "sum .*sum.toFloat64.x.."),
]


@rule("R16")
@pytest.mark.parametrize(("row", "said"), WRAPPED)
@pytest.mark.parametrize("colour", COLOURS)
def test_a_sum_of_integers_that_may_have_wrapped_is_no_answer(
    tmp_path: Path, row: tuple[Any, ...], said: str, colour: str, api: Api
) -> None:
    """Near the end of 64 bits, or less than it must be: in SQL, in JSON, and in JSON as texts."""
    api.answers = lambda _: json.dumps({"n": row[0], "s": row[1], "q": row[2]})
    paths = {"n": "n", "sum": "s", "squares": "q"}
    answers = f"select {row[0]}, {row[1]}, {row[2]} where :version > '' and :start < :end"
    providers: list[Any] = [
        JsonHttp(api.url, {MEAN: Endpoint("/stats", params=BOUNDS, **paths)}),  # type: ignore[arg-type]
        Sql(database(tmp_path), {MEAN: Query(answers, times="unix_ms")}),
    ]
    for provider in providers:
        found = candidate(provider, MEAN, colour)

        assert isinstance(found, NoAnswer)
        assert re.search(said, found.why), found.why
        assert "may have wrapped" in found.why


def test_sums_of_doubles_and_those_of_python_do_not_wrap() -> None:
    doubles = (4000, 196_000_000_000.0, 6.39e19 + 9.604e18)
    whole = (4000, 196_000_000_000, 73_504_000_000_000_000_000)

    for row in (doubles, whole):
        found = candidate(Function({MEAN: lambda *_, row=row: row}), MEAN)
        assert isinstance(found, Moments)
        assert found.m2 == pytest.approx(6.39e19, rel=1e-3)
