"""Queries of one's own, and quoting: no name gets out of the place that it is given."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.fake_prometheus import Reader, parsed
from tests.support.rules import rule
from tests.support.scraped import INJECTION, QUEUE, RELEASE, START, ZERO, scraping, vector

from progressive.adapters.flow import feed
from progressive.adapters.http import Response
from progressive.errors import StrategyError
from progressive.metrics.prometheus import Counter, PromQL, Regex
from progressive.metrics.prometheus.promql import Template, matches, only, quoted
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


OF = 'sum(rate(x{version="{backend}",code!="200"}[{window}]))'


@pytest.mark.parametrize(
    "template",
    [
        f"{OF} > 0.01",
        f"{OF} / {OF} >= 0.01",
        f"({OF} < 0.01)",
        f"-({OF} == 0)",
        f"0.01 < {OF}",
        f"{OF} != on(job) group_left(a) {OF}",
        f"count({OF} > 5)",
        f"count by (job) ({OF} > 5)",
        f"count without (job)({OF} > 5)",
        f"{OF} # > bool\n> 3",
        f"({OF} > 1) and {OF}",
        f"(({OF}) > 2)",
    ],
)
def test_a_comparison_that_answers_nothing_when_all_is_well_is_refused(template: str) -> None:
    """At the top, within brackets or a count, on either side, and with any sign."""
    with pytest.raises(StrategyError, match=r"without bool is a filter.*write \S+ bool, which"):
        PromQL(template)


@pytest.mark.parametrize(
    "template",
    [
        f"{OF} > bool 0.01",
        f"{OF} >bool 0.01",
        f"{OF} > bool on(job) {OF}",
        f"{OF} > 0.01 or vector(0)",
        f"({OF} > 0.01) or vector(0)",
        f"{OF} / ({OF} > 0)",
        f"{OF} and {OF} > 100",
        f"{OF} unless ({OF} < 100)",
        f"avg({OF} > 0)",
        f"sum by (job) ({OF} > 0)",
        f"{OF} # > 3",
        'max(x{version="{backend}",a=">",b!="1",c=~"<.*"})',
    ],
)
def test_other_comparisons_are_taken(template: str) -> None:
    assert PromQL(template).query == template


def test_only_what_was_scraped_within_three_intervals_answers() -> None:
    """Prometheus knows one word for it, VictoriaMetrics another; queries for counts need neither,
    as they read the times of the samples.
    """
    provider = scraping(PromQL('max(depth{version="{backend}"})'), QUEUE)
    request = next(
        provider._measure(RELEASE, QUEUE, (Track.STABLE,), Window(START, START + seconds(9)), None)
    )

    assert request.content is not None
    assert b"&lookback_delta=3s&max_lookback=3s" in request.content


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


HOSTILE = st.text(
    st.one_of(
        st.sampled_from("\"\\'`{}[]()|.*+?^$#=~!,-/ \n\r\t\0\x7f\u2028\x85"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=20,
)


@rule("R42")
@settings(max_examples=300, deadline=None)
@given(HOSTILE, HOSTILE)
@example(INJECTION, "v1")
@example('\\"', "\\")
def test_no_value_of_a_label_becomes_a_part_of_the_query(value: str, other: str) -> None:
    selector = Counter("requests_total", version="version", labels={"job": value, "zone": other})
    query = selector.of({"backend": value, "version": other, "service": other})

    assert parsed(query) == [
        ("__name__", "=", "requests_total"),
        ("job", "=", value),
        ("version", "=", value),
        ("zone", "=", other),
    ]


@rule("R42")
@settings(max_examples=300, deadline=None)
@given(HOSTILE, HOSTILE)
@example(INJECTION, "v1")
@example("v1.0", "v1x0")
def test_a_value_within_a_pattern_matches_itself_alone(value: str, other: str) -> None:
    pattern = Reader(quoted(Regex(f"{only(value)}|{only(value)}2").pattern)).string()

    assert re.fullmatch(pattern, value)
    assert matches(Regex(pattern), value + "2")
    assert matches(Regex(pattern), other) is (other in (value, value + "2"))


@rule("R42")
@settings(max_examples=300, deadline=None)
@given(HOSTILE, st.sampled_from(['"', "'"]), st.sampled_from(["=", "=~", "!~ "]))
@example(INJECTION, '"', "=")
@example("' or vector(1) #", "'", "=~")
def test_no_name_gets_out_of_the_quotes_of_a_query_of_ones_own(
    value: str, quote: str, operator: str
) -> None:
    template = f"max(depth{{version{operator}{quote}{{backend}}{quote}}}) # {{backend}}"
    query = Template(template).fill({"backend": value, "version": value, "service": value}, 30_000)
    reader = Reader(query)
    reader.need(re.escape(f"max(depth{{version{operator}"))
    written = reader.string()

    assert reader.text[reader.place :] == "}) # {backend}"
    assert written == (only(value) if "~" in operator else value)


@pytest.mark.parametrize(
    ("query", "escaped"),
    [
        ('x{v=~"{backend}"}', True),
        ('x{v=~ # which\n  "{backend}"}', True),
        ('x{v!~ # one\n # and another\n\t"{backend}"}', True),
        ('x{v= # =~\n "{backend}"}', False),
        ('label_replace(x, "to", "$1", "from", "{backend}")', True),
        ('LABEL_REPLACE(sum by (a, b) (x), "to", "$1", "from", # (why)\n "{backend}")', True),
        ('label_replace(x{a="{backend}", b="c"}, "to", "$1", "from", ".*")', False),
        ('label_replace(x, "{backend}", "$1", "from", ".*")', False),
        ('label_join(x, "to", ",", "from", "{backend}")', False),
        ('f(label_replace(x, "to", "$1", "from", ".*"), 1, 2, 3, "{backend}")', False),
    ],
)
def test_a_name_is_a_regular_expression_wherever_one_is_meant(query: str, escaped: bool) -> None:
    filled = Template(query).fill({"backend": "v1.2", "version": "", "service": ""}, 60_000)

    assert (r'"v1\\.2"' in filled) is escaped
    assert ('"v1.2"' in filled) is not escaped
