"""What the samples of a raw counter can look like: what really came, what each server's own
``increase()`` makes of it, and what we say. The rows of docs/explanation/raw-counters.md.

Seconds count from the start of a window of one minute. A target is scraped every 15 s, six times
before the window (at -85, -70, -55, -40, -25 and -10) and four times in it (5, 20, 35 and 50).
`tests/support/counter_cases.py` makes samples of a row; they are written to real servers in
tests/real, and to the one in memory in tests/metrics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final, TypeAlias

import attrs

WINDOW: Final = 60
TIMES: Final = tuple(range(-85, 51, 15))

Samples: TypeAlias = tuple[tuple[float, float], ...]
"""Seconds and values."""

Said: TypeAlias = float | tuple[float, ...] | None
"""A number, rounded to tenths; nothing; or now one number, now the other."""

Here: TypeAlias = float | str
"""What we count; or words of why there is no answer."""

PROMETHEUS, VICTORIA_METRICS = "prometheus", "victoria-metrics"


class Asked(Enum):
    """As what a row is measured: counters as a ratio, as buckets and as a rate, the others only as
    what they are. The value is the name of the series.
    """

    COUNTERS = "requests_total"
    BUCKETS = "seconds_bucket"
    NATIVE = "seconds"
    GAUGE = "depth"


@attrs.frozen
class Series:
    """One series, and its labels beside those that all of its row have."""

    samples: Samples
    labels: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Case:
    """One row.

    * ``samples``, ``true``, ``because``: for the page: what is stored, what came in the window, and
      why we say what we say.
    * ``later``: what is stored after the series; ``up``: of the target.
    * ``prometheus``, ``victoria_metrics``: what ``increase()`` says there, in every version;
      ``only``: the one of them that can store this.
    * ``here``: what we say, ``elsewhere`` in which version something else; ``no_data``: whether
      that is `NoData` and not `NoAnswer`; ``for_all``: whether there is no answer for the other
      version of the look, either.
    * ``asked``: as what it is measured; ``delta``: whether as deltas. ``edge``: of the bucket that
      is asked for.
    * ``rate``: what `Rate` counts, if that is another number; ``over``: in how many seconds.
    """

    name: str
    samples: str
    series: Sequence[Series]
    later: Sequence[Series] = ()
    up: Samples = tuple((at, 1) for at in TIMES)
    true: str
    prometheus: Said = None
    victoria_metrics: Said = None
    only: str = ""
    here: Here
    elsewhere: Mapping[str, Here] = attrs.field(factory=dict)
    because: str
    no_data: bool = False
    for_all: bool = False
    asked: Asked = Asked.COUNTERS
    edge: str = "+Inf"
    rate: float | None = None
    delta: bool = False
    over: float = WINDOW


def scraped(*values: float | None) -> Samples:
    """The samples of the ten scrapes; None where there is none."""
    return tuple((at, value) for at, value in zip(TIMES, values, strict=True) if value is not None)


def counter(*values: float | None, **labels: str) -> Series:
    """A series by what it shows at the ten scrapes."""
    return Series(scraped(*values), labels)


def late(*values: float | None, **labels: str) -> Series:
    """One that begins in the window: what it shows at the last scrapes."""
    return counter(*[None] * (len(TIMES) - len(values)), *values, **labels)


def also(samples: Samples, *more: tuple[float, float]) -> Series:
    """A series with samples between its scrapes."""
    return Series(tuple(sorted((*samples, *more))))


BEFORE: Final = (950, 960, 970, 980, 990, 1000)
IDLE: Final = counter(*[1000] * 10)
RISING: Final = (*BEFORE, 1010, 1020, 1030, 1040)
NEW: Final = scraped(*[None] * 6, 1, 1, 1, 1)
AWAY: Final = tuple(range(-1300, -1180, 15))

HIGHER: Final = (*[i % 2 for i in range(30)], 0, 0, 0, 1, 1, 1, 1, 0, 0, 0)
TWO_IN_TURN: Final = tuple(
    (TIMES[-1] - 15 * (len(HIGHER) - 1 - i), 1000 + 10 * i + 900 * higher)
    for i, higher in enumerate(HIGHER)
)
"""What two processes show that stand 900 apart, over the forty scrapes that are looked at."""

CASES: Final = (
    Case(
        name="rise",
        samples="rise: 1000, then 1010, 1050, 1060, 1070",
        series=[counter(*BEFORE, 1010, 1050, 1060, 1070)],
        true="70",
        prometheus=80,
        victoria_metrics=70,
        here=70,
        because="exact. Prometheus takes what lies in the window, and extrapolates to its edges",
    ),
    Case(
        name="missing",
        samples="a scrape fails: 1000, then 1010, none, 1060, 1070",
        series=[counter(*BEFORE, 1010, None, 1060, 1070)],
        true="70",
        prometheus=80,
        victoria_metrics=70,
        here=70,
        because="the next sample tells it",
    ),
    Case(
        name="first-errors",
        samples="begin in the window, at a target that was scraped before: 5, 7, 9",
        series=[IDLE, late(5, 7, 9, code="500")],
        true="9",
        prometheus=6.3,
        victoria_metrics=9,
        here=9,
        because="all of it, as the first errors of a version are such a series",
    ),
    Case(
        name="first-events",
        samples="the same, with more: 500, 502, 504",
        series=[IDLE, late(500, 502, 504, code="500")],
        true="504",
        prometheus=6.3,
        victoria_metrics=4,
        here=504,
        because="the same; VictoriaMetrics counts a first sample only if it is small",
    ),
    Case(
        name="late",
        samples="are those of a new series, stored after the others: 5, 7, 9",
        series=[counter(*RISING)],
        later=[late(5, 7, 9, code="500")],
        true="49",
        prometheus=46.3,
        victoria_metrics=49,
        here=49,
        because="once it is shown, which is up to ten seconds later at VictoriaMetrics; the 15 s "
        "beside a scrape interval in `lag` are for that",
    ),
    Case(
        name="new-job",
        samples="begin in the window, with their whole job: 5000, 5010, 5020, 5030",
        series=[late(5000, 5010, 5020, 5030)],
        up=NEW,
        true="30, and some of the 5000",
        prometheus=40,
        victoria_metrics=30,
        here=30,
        because="nothing of the first sample, as nobody knows when that came",
        over=45,
    ),
    Case(
        name="away",
        samples="were away for 20 minutes: 900, then none, 1000, 1010, 1020",
        series=[
            Series(
                (
                    *((at, 830 + i * 10) for i, at in enumerate(AWAY)),
                    *late(1000, 1010, 1020).samples,
                )
            )
        ],
        up=(
            *((at, 1) for at in AWAY),
            *((at, 0) for at in TIMES[:7]),
            *scraped(*[None] * 7, 1, 1, 1),
        ),
        true="20, and 100 since they went",
        prometheus=31.7,
        victoria_metrics=20,
        here=120,
        rate=20,
        because="all that came since they were seen last, within a day; a rate begins with the "
        "first sample",
        over=30,
    ),
    Case(
        name="restart",
        samples="fall by an eighth or more: 90, then 95, 3, 4, 8",
        series=[counter(40, 50, 60, 70, 80, 90, 95, 3, 4, 8)],
        true="13",
        prometheus=10.7,
        victoria_metrics=13,
        here=13,
        because="a restart, which counts from zero",
    ),
    Case(
        name="zero-at-restart",
        samples="have a 0 where a process began again, between two scrapes: 90, then 95, 0, 3, "
        "5, 9",
        series=[also(scraped(40, 50, 60, 70, 80, 90, 95, 3, 5, 9), (13, 0))],
        true="14",
        prometheus=12,
        victoria_metrics=14,
        here=14,
        because="a restart",
    ),
    Case(
        name="small-fall",
        samples="fall by less than an eighth, and are back soon: 195, then 200, 199, 204, 209",
        series=[counter(170, 175, 180, 185, 190, 195, 200, 199, 204, 209)],
        true="14",
        prometheus=278.7,
        victoria_metrics=15,
        here=14,
        because="an older value (of a second server, of an exporter that lags), so the maximum "
        "holds",
    ),
    Case(
        name="overwritten",
        samples="are overwritten: 1000, then 1010, 1020, 1030, 1040, and later 1005 for the 1020 "
        "(`out_of_order_time_window`)",
        series=[counter(*RISING)],
        later=[Series(((20, 1005),))],
        only=PROMETHEUS,
        true="40",
        prometheus=1386.7,
        here=40,
        because="the maximum holds",
    ),
    Case(
        name="one-time",
        samples="have two of one time: 1000, then 1010, 1020 and 1011, 1030, 1040 (without "
        "`-dedup.minScrapeInterval`)",
        series=[counter(*RISING), Series(((20, 1011),))],
        only=VICTORIA_METRICS,
        true="40",
        victoria_metrics=(40, 49),
        here=40,
        because="the larger one",
    ),
    Case(
        name="young-restart",
        samples="fall by less than an eighth, where so many may have come in the time: 0, then "
        "1000, 876, 1752, 2628",
        series=[late(0, 1000, 876, 1752, 2628)],
        true="3628 or 2628",
        prometheus=3504,
        victoria_metrics=2752,
        here="by less than an eighth: nobody can say",
        because="a restart or an older value? Which of the two it was would decide the verdict",
    ),
    Case(
        name="stays-below",
        samples="fall by less than an eighth, and stay there: 1010, then 990, 991, 992, 993",
        series=[counter(960, 970, 980, 990, 1000, 1010, 990, 991, 992, 993)],
        true="0 or 993",
        prometheus=4,
        victoria_metrics=3,
        here="and stayed below",
        because="nobody can say which",
    ),
    Case(
        name="other-process",
        samples="fall to half or more, where so many can't have come in the time: 1950, then 1960, "
        "1170, 1180, 1190",
        series=[counter(1900, 1910, 1920, 1930, 1940, 1950, 1960, 1170, 1180, 1190)],
        true="80",
        prometheus=1586.7,
        victoria_metrics=1200,
        here="so many did not come since",
        because="it did not start again, another process or server wrote this",
    ),
    Case(
        name="several-processes",
        samples="fall in more than a tenth: 1950, then 1160, 1970, 1180, 1990",
        series=[counter(1900, 1110, 1120, 1930, 1140, 1950, 1160, 1970, 1180, 1990)],
        true="80",
        prometheus=3733.3,
        victoria_metrics=3960,
        here="several processes behind one target",
        for_all=True,
        because="several processes behind one target (gunicorn without the multiprocess mode), "
        "or several servers, write it in turn",
    ),
    Case(
        name="several-processes-before",
        samples="fall once, after many falls in the ten minutes before: 2250, then 2260, 1370, "
        "1380, 1390",
        series=[Series(TWO_IN_TURN)],
        true="80",
        prometheus=1853.3,
        victoria_metrics=1400,
        here="several processes behind one target",
        for_all=True,
        because="the same, by the 40 scrapes up to the end",
    ),
    Case(
        name="two-writers",
        samples="fall within half a scrape interval of another sample: 1000, then 1010 and 1009, "
        "1020 and 1019, 1030 and 1029, 1040 and 1039",
        series=[also(scraped(*RISING), (7, 1009), (22, 1019), (37, 1029), (52, 1039))],
        true="40",
        prometheus=4863.2,
        victoria_metrics=43,
        here="two servers write this series",
        for_all=True,
        because="two servers write this series",
    ),
    Case(
        name="replicas",
        samples="are told twice, by series that differ in one label such as `replica`",
        series=[
            counter(*RISING, replica="a"),
            Series(tuple((at + 7, value + 5) for at, value in scraped(*RISING)), {"replica": "b"}),
        ],
        true="40",
        prometheus=80,
        victoria_metrics=80,
        here="differ only in replica",
        for_all=True,
        because="twice what came would make of 1 % false alarms 5 %. Select one: "
        '`labels={"replica": "a"}`',
    ),
    Case(
        name="deltas",
        samples="are what came since the last sample (delta temporality, kept raw): requests of "
        "61, then 69, 71, 66, 73, errors of 30 each",
        series=[counter(75, 67, 72, 70, 74, 61, 69, 71, 66, 73), counter(*[30] * 10, code="500")],
        true="399, of which 120 failed",
        prometheus=100,
        victoria_metrics=17,
        here="delta temporality",
        for_all=True,
        because="as soon as any counter of the look falls in more than a tenth of its samples",
    ),
    Case(
        name="deltas-said",
        samples="the same, asked for with `delta=True`",
        series=[counter(75, 67, 72, 70, 74, 61, 69, 71, 66, 73), counter(*[30] * 10, code="500")],
        delta=True,
        true="399, of which 120 failed",
        prometheus=100,
        victoria_metrics=17,
        here=399,
        because="the samples are added up",
    ),
    Case(
        name="equal-deltas",
        samples="are always the same number in each delta: 10, then 10, 10, 10, 10",
        series=[counter(*[10] * 10)],
        true="40",
        prometheus=0,
        victoria_metrics=0,
        here="no requests",
        rate=0,
        no_data=True,
        because="no requests, and a rate of 0. **It can't be told from an idle counter**: write "
        "`delta=True`, or export cumulative counters",
    ),
    Case(
        name="early-zero",
        samples="have a 0 at the time of creation, long before the first scrape: 0 a minute "
        "before, then 1800, 1810, 1820, 1830 (`created-timestamp-zero-ingestion`, OTLP's start "
        "times)",
        series=[counter(None, None, 0, None, None, None, 1800, 1810, 1820, 1830)],
        up=NEW,
        true="30, and some of the 1800",
        prometheus=40,
        victoria_metrics=1830,
        here=30,
        because="the 0 is no sample, and a base only if it lies within one and a half scrape "
        "intervals of the next one, or the target's `up` was there in between. Nor does it show "
        "that its job was scraped",
        over=45,
    ),
    Case(
        name="fraction",
        samples="have a fraction among them: 1000, then 1010, 1025.5, 1030, 1040",
        series=[counter(*BEFORE, 1010, 1025.5, 1030, 1040)],
        true="40",
        prometheus=40,
        victoria_metrics=40,
        here=40,
        because="left out if at most one in five is no count and the newest is one",
    ),
    Case(
        name="negative",
        samples="have a negative number among them: 1000, then 1010, -1, 1030, 1040",
        series=[counter(*BEFORE, 1010, -1, 1030, 1040)],
        true="40",
        prometheus=1386.7,
        victoria_metrics=1050,
        here=40,
        because="left out likewise",
    ),
    Case(
        name="fractions",
        samples="are often fractions: 1000.5, then 1010, 1020.5, 1030, 1040.5",
        series=[counter(950, 960.5, 970, 980.5, 990, 1000.5, 1010, 1020.5, 1030, 1040.5)],
        true="40",
        prometheus=40.7,
        victoria_metrics=40,
        here="which is no count",
        for_all=True,
        because="a gauge, or seconds, is no counter of events",
    ),
    Case(
        name="bucket-lacks-one",
        samples="are those of a histogram, one bucket of which lacks one: 1000, then none, 1020, "
        "1060, 1070",
        series=[
            counter(*BEFORE, 1010, 1020, 1060, 1070, le="0.1"),
            counter(*BEFORE, None, 1020, 1060, 1070, le="0.5"),
            counter(*BEFORE, 1010, 1020, 1060, 1070, le="+Inf"),
        ],
        asked=Asked.BUCKETS,
        edge="0.5",
        true="70",
        prometheus=79.2,
        victoria_metrics=70,
        here=70,
        because="that moment is left out for all buckets",
    ),
    Case(
        name="bucket-lacks-newest",
        samples="the same, where it lacks the newest: 1000, then 1010, 1020, 1060, none",
        series=[
            counter(*BEFORE, 1010, 1020, 1060, 1070, le="0.1"),
            counter(*BEFORE, 1010, 1020, 1060, None, le="0.5"),
            counter(*BEFORE, 1010, 1020, 1060, 1070, le="+Inf"),
        ],
        asked=Asked.BUCKETS,
        edge="0.5",
        true="70",
        prometheus=70.8,
        victoria_metrics=60,
        here="not all is stored yet",
        because="not all may be stored yet",
    ),
    Case(
        name="edge-respelt",
        samples='are those of `le="1"` and go on as `le="1.0"` (Prometheus 2 to 3, the text format '
        "to OpenMetrics): 1000, then 1010, and 1020, 1030, 1040",
        series=[
            counter(*BEFORE, 1010, None, None, None, le="1"),
            late(1020, 1030, 1040, le="1.0"),
            counter(*RISING, le="+Inf"),
        ],
        asked=Asked.BUCKETS,
        edge="1|1.0",
        true="40",
        prometheus=31.7,
        victoria_metrics=30,
        here=40,
        because="one bucket",
    ),
    Case(
        name="relabelled",
        samples="end, and go on under other labels: 1000, then 1010, and 1020, 1030, 1040",
        series=[counter(*BEFORE, 1010, None, None, None), late(1020, 1030, 1040, zone="b")],
        true="40",
        prometheus=31.7,
        victoria_metrics=30,
        here=40,
        because="one counter, if job, instance and name are the same, it begins within one and a "
        "half scrape intervals, and no series of that target begins lower",
    ),
    Case(
        name="dies",
        samples="end in the window, beside `up` = 0: 1000, then 1010",
        series=[counter(*BEFORE, 1010, None, None, None)],
        up=scraped(*[1] * 7, 0, 0, 0),
        true="10",
        prometheus=None,
        victoria_metrics=10,
        here=10,
        because="the look covers the time up to that sample, for both versions",
        over=15,
    ),
    Case(
        name="dead",
        samples="ended before the window, beside `up` = 0",
        series=[counter(*BEFORE[:5], *[None] * 5)],
        up=scraped(*[1] * 5, *[0] * 5),
        true="nobody knows",
        here="the target is down",
        no_data=True,
        because="the target is down",
    ),
    Case(
        name="gauge-of-the-dead",
        samples="are those of a gauge, ended before the window without a mark of their end, "
        "beside `up` = 0: 7 (asked for by `PromQL`, not by `increase()`)",
        series=[counter(*[7] * 5, *[None] * 5)],
        up=scraped(*[1] * 5, *[0] * 5),
        asked=Asked.GAUGE,
        true="nobody knows",
        prometheus=7,
        victoria_metrics=7,
        here="the query found nothing",
        elsewhere={"2.42": 7},
        no_data=True,
        because="the query sees three scrape intervals back and no further. **2.42 does not know "
        "the word for that**, and answers 7 for five minutes",
    ),
    Case(
        name="native",
        samples="are those of a native histogram, where buckets are asked for",
        series=[counter(*RISING)],
        asked=Asked.NATIVE,
        true="40",
        here=40,
        elsewhere={"1.79": "no sample of"},
        because="its buckets, at their edges (below). VictoriaMetrics 1.79 does not store them, "
        "later ones as the next row",
    ),
    Case(
        name="vmrange",
        samples="have `vmrange` instead of `le` (exponential histograms at VictoriaMetrics)",
        series=[counter(*RISING, vmrange="5.000e-01...1.000e+00")],
        asked=Asked.BUCKETS,
        only=VICTORIA_METRICS,
        true="40",
        here=40,
        because="buckets like those of a native histogram, whose edges have four digits. The "
        "server itself needs `prometheus_buckets()`",
    ),
)
