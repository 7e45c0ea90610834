"""Queries of one's own: placeholders, and patterns that mean the same here and there."""

from __future__ import annotations

import re

import pytest
from tests.support.scraped import QUEUE, START, ZERO, scraping, vector

from progressive.adapters.flow import feed
from progressive.adapters.http import Response
from progressive.errors import StrategyError
from progressive.metrics.prometheus import PromQL, Regex
from progressive.model.measurement import Window
from progressive.model.release import Release, Version
from progressive.model.traffic import Track
from progressive.model.units import seconds


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('max(depth{version="{backend}"})', 'max(depth{version="a.b"})'),
        ("max(depth{version='{backend}'})", "max(depth{version='a.b'})"),
        ('max(depth{version=~"{backend}-.*"})', 'max(depth{version=~"a\\\\.b-.*"})'),
        ('max(depth{version !~ "{backend}"})', 'max(depth{version !~ "a\\\\.b"})'),
        (
            'sum(rate(x{app="{service}", v="{version}", path="/{id}"}[{window}]))',
            'sum(rate(x{app="shop", v="1.0", path="/{id}"}[30s]))',
        ),
        ('# of "{backend}\nmax(x{v="{backend}"})', '# of "{backend}\nmax(x{v="a.b"})'),
        ('max(x{a=`{}`, v="{backend}"})', 'max(x{a=`{}`, v="a.b"})'),
        ('max(x{a="\\"", v="{backend}"})', 'max(x{a="\\"", v="a.b"})'),
    ],
)
def test_placeholders_are_filled_where_they_stand(template: str, expected: str) -> None:
    release = Release(service="shop", stable=Version("1.0", backend="a.b"), candidate=Version("x"))
    flow = scraping(PromQL(template), QUEUE)._measure(
        release, QUEUE, (Track.STABLE,), Window(START, START + seconds(30)), None
    )
    look = feed(flow, lambda _: Response(body=vector("1")))

    assert look.query == f"{expected}  # time={ZERO // 1000 + 30}.000"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("max(depth)", 'name the version, such as with version="{backend}"'),
        ('max(depth{app="{service}"})', "it is the same for every version"),
        ("max(depth{version={backend}})", "{backend} must stand within quotes"),
        ("max(depth{version=`{backend}`})", "a placeholder in backticks can't be escaped"),
        ('max(depth{version="{backend}})', 'a quote " is not closed'),
        (
            'max(rate(depth{version="{backend}", w="{window}"}[1m]))',
            "{window} is a duration; it must stand outside of quotes",
        ),
    ],
)
def test_a_query_that_can_not_be_filled_is_refused_when_it_is_written(
    template: str, said: str
) -> None:
    with pytest.raises(StrategyError, match=re.escape(said)):
        PromQL(template)


@pytest.mark.parametrize(
    "pattern",
    [
        "5..",
        "[45]..",
        "2..|3..",
        "(?:GET|POST)",
        "a{2,3}b?",
        r"\d+\.\w*?",
        r"/api/[^/]+/\-",
        "",
        "[a-z.-]+",
    ],
)
def test_patterns_that_mean_the_same_here_and_there_are_taken(pattern: str) -> None:
    assert Regex(pattern).pattern == pattern


@pytest.mark.parametrize(
    "pattern",
    [
        "^5..$",
        "(?i)get",
        r"\bget",
        r"\s",
        r"(a)\1",
        "(?=a)",
        "a**",
        "a*+",
        "[[:alpha:]]",
        "[a&&b]",
        "[+--]",
        "(",
        "a{2}{3}",
        "(?P<n>a)",
        r"\Z",
    ],
)
def test_patterns_that_could_mean_two_things_are_refused(pattern: str) -> None:
    with pytest.raises(StrategyError, match="Regex"):
        Regex(pattern)
