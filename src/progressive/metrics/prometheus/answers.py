"""What a Prometheus-compatible server answers: one number, or raw samples; and what of it can't be
used, with why.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import attrs

from progressive.adapters.http import Malformed, Response, get_path
from progressive.errors import Failure, MetricsError

from .counting import Unusable, counts_of
from .series import Series

__all__ = [
    "Answer",
    "Unusable",
    "answer_of",
    "labels_of",
    "moment_of",
    "native",
    "natives_of",
    "number_in",
    "number_of",
    "series_of",
]

_PASSING: Final = frozenset({"timeout", "canceled", "unavailable", "internal"})
"""Types of errors that may be gone when one asks again."""

_INFORMATION: Final = "PromQL info"
"""How an information begins that Prometheus 2.53 puts among the warnings."""

_OF_THE_QUERY: Final = ("PromQL warning", "encountered a mix of")
"""What is in warnings about the query, whatever did or did not answer."""

_WORDS: Final = 300
"""Characters of the server's own words."""


# ------------------------------------------------------------------------------------------ answers


@attrs.frozen(kw_only=True)
class Answer:
    """The result of a query: its type, and what there is of it."""

    type: str
    result: list[Any]


def answer_of(response: Response) -> Answer:
    """The result. Raises `MetricsError` for an error in the server's words, `Unusable` for a part
    of an answer.
    """
    body = get_path(response.json(), "", dict)
    if get_path(body, "status", str) != "success":
        kind, words = (
            str(body.get("errorType", "error")),
            _said([body.get("error", "no reason given")]),
        )
        failure = Failure.TRANSIENT if kind in _PASSING else Failure.PERMANENT
        raise MetricsError(
            f"the metrics server refused the query: {kind}: {words}", failure=failure
        )
    _refuse_warnings(get_path(body, "warnings", list) if body.get("warnings") else [])
    if body.get("isPartial"):
        raise Unusable(
            "the answer is not complete: the server says isPartial (a part of its storage did not "
            "answer)"
        )
    return Answer(
        type=get_path(body, "data.resultType", str), result=get_path(body, "data.result", list)
    )


def _refuse_warnings(warnings: list[Any]) -> None:
    """Raise `Unusable` if a part did not answer, or if the query asks for something else than it
    seems. Some versions put their informations among the warnings, which say nothing of either.
    """
    told = [str(each) for each in warnings if not str(each).startswith(_INFORMATION)]
    query = [each for each in told if any(word in each for word in _OF_THE_QUERY)]
    if len(query) < len(told):
        raise Unusable(f"the answer is not complete; the server warns: {_said(told)}")
    if query:
        raise Unusable(
            "the query asks for something else than it seems; correct it. The server warns: "
            f"{_said(query)}"
        )


def natives_of(answer: Answer) -> tuple[Series, ...]:
    """The native histograms of an answer, by their labels, without samples."""
    found = [get_path(each, "", dict) for each in answer.result if answer.type == "matrix"]
    return tuple(
        Series(labels=get_path(each, "metric", dict), samples=())
        for each in found
        if "histograms" in each
    )


def _said(words: Iterable[object]) -> str:
    return " ".join("; ".join(map(str, words)).split())[:_WORDS]


def number_in(text: object) -> float:
    """The number in quotes. Raises `Malformed` if there is none."""
    if not isinstance(text, str):
        raise Malformed("a value is not a number in quotes")
    try:
        return float(text)
    except ValueError:
        pass
    raise Malformed("a value is not a number")


def moment_of(sample: object) -> tuple[int, object]:
    """A time in milliseconds, and what it shows. Raises `Malformed` if it is no sample."""
    if (
        not isinstance(sample, list)
        or len(sample) != 2
        or isinstance(sample[0], bool)
        or not isinstance(sample[0], int | float)
    ):
        raise Malformed("a sample is not a time and a value")
    return round(sample[0] * 1000), sample[1]


def _sample(value: object) -> tuple[int, float]:
    """A time in milliseconds and a number."""
    moment, shown = moment_of(value)
    return moment, number_in(shown)


def number_of(answer: Answer) -> float | None:
    """The one number of a query; None if it found nothing. Raises `Unusable` if there are several,
    or something else.
    """
    if answer.type == "scalar":
        return _sample(answer.result)[1]
    if answer.type != "vector":
        raise Unusable(
            f"the query answers a {answer.type}, not one number; for a range use something like "
            "max_over_time(...)"
        )
    if len(answer.result) > 1:
        raise Unusable(
            f"the query answers {len(answer.result)} series, more than one: aggregate it, such as "
            "sum(...)"
        )
    if not answer.result:
        return None
    if "value" not in get_path(answer.result[0], "", dict):
        raise Unusable(
            "the query answers a native histogram, not one number; take a part of it, such as "
            "histogram_count(...)"
        )
    return _sample(answer.result[0]["value"])[1]


# ------------------------------------------------------------------------------------------ samples


def series_of(answer: Answer, *, deltas: bool = False) -> tuple[Series, ...]:
    """The series of an answer, raw (a matrix) or one value each (a vector), in the order of their
    labels: that of VictoriaMetrics changes from one query to the next. ``deltas``: none of its
    samples may be left out.
    """
    if answer.type not in ("matrix", "vector"):
        raise Malformed(f"a {answer.type} where series were asked for")
    found = (_series(get_path(each, "", dict), deltas) for each in answer.result)
    return tuple(sorted(found, key=lambda each: each.key))


def native(name: str) -> str:
    """Why a native histogram is no counter, and what to do."""
    return (
        f"{name} is a native histogram, whose count is no series that could be counted; Buckets "
        "reads it. For a ratio or a rate, take another counter, or let the server keep classic "
        "histograms too (always_scrape_classic_histograms)"
    )


def labels_of(found: dict[str, Any]) -> dict[str, str]:
    """The labels of a series, with its name. Raises `Malformed` if one is no text."""
    labels = get_path(found, "metric", dict)
    if not all(isinstance(value, str) for value in labels.values()):
        raise Malformed("the value of a label is not a string")
    return labels


def _series(found: dict[str, Any], deltas: bool) -> Series:
    labels, name = labels_of(found), get_path(found, "metric.__name__", str)
    if "histograms" in found or "histogram" in found:
        raise Unusable(native(name))
    samples = [
        _sample(each)
        for each in (
            get_path(found, "values", list)
            if "values" in found
            else [get_path(found, "value", list)]
        )
    ]
    # Two servers that store the same scrape into one database leave each sample twice.
    return Series(labels=labels, samples=counts_of(name, samples, deltas=deltas))
