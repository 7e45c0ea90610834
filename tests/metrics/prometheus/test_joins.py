"""A version that stands only in an info metric: counted as if it stood on the series, or not at all
where nobody can say whose a sample is.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.fake_prometheus import Answered
from tests.support.joined_worlds import JOB, JOINED, TwoWays, brothers
from tests.support.rules import rule
from tests.support.scraped import BOTH, START, ZERO, scraping

from progressive import Canary, Limit, minutes, percent, percents
from progressive.adapters.flow import feed
from progressive.errors import StrategyError
from progressive.metrics.prometheus import (
    Buckets,
    Counter,
    Joined,
    Prometheus,
    Rate,
    Ratio,
    Regex,
    istio,
)
from progressive.model.measurement import (
    Counts,
    Gauge,
    Histogram,
    Look,
    Measurement,
    NoAnswer,
    NoData,
    Window,
)
from progressive.model.release import Release, Version
from progressive.model.traffic import Track
from progressive.model.units import ms
from progressive.testing import MemoryRouter, play

RELEASE = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))
KINDS = tuple(brothers(JOINED))
SCRAPES = 30
START_OF_TIME = 1_767_225_600_000
"""The first moment of virtual time, in milliseconds."""


def looked(server: Any, kind: str, version: Any, begin: float, end: float) -> Look:
    """A look between two moments, in seconds; targets are scraped every second."""
    metric, query = brothers(version)[kind]
    window = Window(START + ms(round(begin * 1000)), START + ms(round(end * 1000)))
    return feed(scraping(query, metric)._measure(RELEASE, metric, BOTH, window, None), server)


def joined(world: TwoWays, kind: str, begin: float, end: float) -> Look:
    return looked(world.joined, kind, JOINED, begin, end)


def labelled(world: TwoWays, kind: str, begin: float, end: float) -> Look:
    return looked(world.labelled, kind, "service_version", begin, end)


def numbers(look: Look) -> list[Measurement | type]:
    """What was found, whatever the words for silence."""
    found = [measured for _, measured in look.tracks]
    return [type(each) if isinstance(each, NoData | NoAnswer) else each for each in found]


def failed(look: Look, track: Track) -> Any:
    found = look.of(track)
    return (found.events, found.trials) if isinstance(found, Counts) else found


# --------------------------------------------------------------------------------------------- laws


@st.composite
def hosts(draw: st.DrawFn, name: str) -> list[tuple[int, str, str, dict[str, int]]]:
    """All scrapes of one host, which may go from one version to the other under way: milliseconds,
    instance, version, and what it shows by code.
    """
    place, first = draw(st.integers(0, 999)), draw(st.integers(-20, SCRAPES - 4))
    versions = draw(st.sampled_from([["v1"], ["v2"], ["v1", "v2"], ["v2", "v1"]]))
    scrapes = []
    for version in versions:
        counts = dict.fromkeys(draw(st.sampled_from([["200"], ["200", "500"]])), 0)
        for _ in range(draw(st.integers(1, 20))):
            event = draw(st.sampled_from(["serves"] * 6 + ["fails", "missed", "away", "restarts"]))
            if event == "restarts":
                counts = dict.fromkeys(counts, 0)
            counts["200"] += draw(st.integers(0, 30))
            if event == "fails":
                counts["500"] = counts.get("500", 0) + draw(st.integers(1, 30))
            if event not in ("missed", "away"):
                scrapes.append((first * 1000 + place, name, version, dict(counts)))
            first += 12 if event == "away" else 1
    return scrapes


WORLDS = st.integers(1, 3).flatmap(
    lambda count: st.tuples(*(hosts(f"{i}:80") for i in range(count)))
)
EDGES = st.lists(st.integers(1, SCRAPES * 1000), min_size=2, max_size=5, unique=True).map(sorted)


def stored(hosts: Any, *, scraped: bool) -> TwoWays:
    world = TwoWays()
    if scraped:
        world.up(ZERO - 60_000, "of old")
    for scrapes in hosts:
        for second, instance, version, counts in scrapes:
            if scraped:
                world.up(ZERO + second, instance)
            world.scrape(ZERO + second, instance, version, counts)
    return world


JUST_BEGUN = (
    [(1000, "0:80", "v1", {"200": 0})],
    [
        *((second, "1:80", "v2", {"200": 0}) for second in (-2000, *range(0, 5000, 1000))),
        (5000, "1:80", "v2", {"200": 0, "500": 11}),
    ],
)
"""The job is hardly older than the window, and the counter of its last sample is new: so the day
before is asked for, together with the info metric.
"""


@rule("R13", "R18")
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(WORLDS, EDGES, st.booleans())
@example(JUST_BEGUN, [1, 5000], False)
def test_a_join_of_a_version_counts_what_the_same_label_on_the_series_would(
    kind: str, hosts: Any, edges: list[int], scraped: bool
) -> None:
    """Through births, restarts, missed scrapes, hosts that go from one version to another, and
    hosts that were away; scraped, or written without any ``up``.
    """
    world = stored(hosts, scraped=scraped)
    for begin, end in pairwise(edges):
        window = (begin / 1000, end / 1000)
        by_join, by_label = joined(world, kind, *window), labelled(world, kind, *window)

        assert numbers(by_join) == numbers(by_label), (str(by_join), str(by_label))
        assert by_join.covered == by_label.covered


@rule("R13", "R18")
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.integers(1, 400), EDGES)
def test_windows_that_follow_each_other_count_every_event_once_also_where_the_info_comes_late(
    place: int, late: int, edges: list[int]
) -> None:
    """The last samples of a look may have no info yet: it ends before them, and the next one begins
    there.
    """
    world = TwoWays()
    for second in range(-10, SCRAPES + 2):
        codes = {"200": 100 + 10 * second, "500": 100 + second}
        world.scrape(ZERO + 1000 * second + place, "a:80", "v1", codes, info=late)
        world.scrape(ZERO + 1000 * second + 7, "b:80", "v2", codes)
    begin, found = edges[0] / 1000, 0
    for edge in [*edges[1:], SCRAPES * 1000]:
        while (edge / 1000) - begin > 1.5:
            look = joined(world, "ratio", begin, edge / 1000)
            counts = look.of(Track.STABLE)
            found += counts.trials if isinstance(counts, Counts) else 0
            assert look.covered.end > look.covered.start
            begin = (look.covered.end - START) / ms(1000)
    first = looked(world.labelled, "ratio", "service_version", edges[0] / 1000, begin)

    assert found == getattr(first.of(Track.STABLE), "trials", 0)


# ------------------------------------------------------------------------------ a host that stays


def exports(
    world: TwoWays, seconds: Any, version: str, instance: str = "host1", **more: Any
) -> None:
    """Exports of a process that began one second before the first of them."""
    for ran, second in enumerate(seconds, start=1):
        codes = {"200": 10 * ran} if version == "v1" else {"200": 0, "500": 10 * ran}
        world.scrape(ZERO + second * 1000, instance, version, codes, **more)


@pytest.mark.parametrize("kind", KINDS)
def test_on_a_host_that_stays_neither_version_gets_what_the_other_one_did(kind: str) -> None:
    """OTLP, ``service.instance.id`` = host1: stable until it goes to the candidate, which fails all
    of its requests. A join in PromQL gives both 0.667 errors a second for five minutes.
    """
    world = TwoWays()
    exports(world, range(-20, 6), "v1")
    exports(world, range(6, 20), "v2")
    both, after = joined(world, kind, 1, 7), joined(world, kind, 10, 15)
    stable, candidate = (both.of(track) for track in BOTH)

    assert numbers(both) == numbers(labelled(world, kind, 1, 7))
    assert {type(stable), type(candidate)} <= {Counts, Gauge, Histogram}
    if kind == "ratio":
        assert (stable, candidate) == (Counts(events=0, trials=40), Counts(events=20, trials=20))
    assert isinstance(after.of(Track.STABLE), NoData)
    assert numbers(after)[1] == numbers(labelled(world, kind, 10, 15))[1]


def test_a_sample_between_two_versions_is_nobodys_and_the_next_one_tells_it() -> None:
    """The info of an export may bear a later time than its counters."""
    world = TwoWays()
    exports(world, range(-20, 6), "v1", info=5)
    exports(world, range(6, 20), "v2", info=5)
    look = joined(world, "ratio", 1, 8)

    assert failed(look, Track.STABLE) == (0, 40)
    assert failed(look, Track.CANDIDATE) == (20, 20)
    assert look.covered.end == START + ms(7999)  # the info of its last sample comes after the end


def test_a_version_that_came_back_to_a_host_counts_from_zero_again() -> None:
    world = TwoWays()
    exports(world, range(-20, -10), "v1")
    exports(world, range(-10, 2), "v2")
    exports(world, range(2, 12), "v1")

    assert failed(joined(world, "ratio", 1, 8), Track.STABLE) == (0, 70)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("apart", [0, 400], ids=["at once", "in turn"])
def test_two_processes_that_write_as_one_target_are_no_answer(kind: str, apart: int) -> None:
    world = TwoWays()
    for second in range(-20, 20):
        world.scrape(ZERO + 1000 * second, "host1", "v1", {"200": 10 * second + 300})
        world.scrape(ZERO + 1000 * second + apart, "host1", "v2", {"200": 10 * second + 310})
    world.sort()
    look = joined(world, kind, 1, 10)

    for track in BOTH:
        found = look.of(track)
        assert isinstance(found, NoAnswer)
        assert 'target_info shows two versions of job="shop", instance="host1"' in found.why
        assert f"{'in turn' if apart else 'at once'}: two processes write as one" in found.why


def test_two_that_wrote_as_one_before_the_window_are_over() -> None:
    world = TwoWays()
    for second in range(-20, -9):
        world.scrape(ZERO + 1000 * second, "host1", "v1", {"200": 10 * second + 300})
        world.scrape(ZERO + 1000 * second, "host1", "v2", {"200": 10 * second + 310})
    exports(world, range(-9, 20), "v2")

    assert failed(joined(world, "ratio", 1, 10), Track.CANDIDATE) == (90, 90)


# --------------------------------------------------------------------------- no info, or a late one


def dark(world: TwoWays, begin: float, end: float) -> str:
    look = joined(world, "ratio", begin, end)
    [why] = {found.why for _, found in look.tracks if isinstance(found, NoAnswer)}
    return why


@pytest.mark.parametrize(
    ("shown", "window"),
    [
        ([], (1, 10)),
        (range(-20, 2), (1, 10)),
        (range(14, 20), (1, 10)),
        ([*range(-20, 0), *range(11, 20)], (4, 15)),
    ],
    ids=["never", "no longer", "not yet", "not meanwhile"],
)
def test_counters_without_an_info_in_reach_are_no_answer_for_any_version(
    shown: Any, window: tuple[float, float]
) -> None:
    """They may be anybody's."""
    world = TwoWays()
    exports(world, range(-20, 20), "v2", "b:80")
    for second in range(-20, 20):
        info = 0 if second in shown else None
        world.scrape(ZERO + 1000 * second, "a:80", "v1", {"200": 10 * second + 300}, info=info)
    why = dark(world, *window)

    assert why.startswith(
        'there are counters of job="shop", instance="a:80", for which target_info'
    )
    assert "has no sample within 3s" in why


def test_a_window_of_which_no_info_has_come_yet_is_no_answer() -> None:
    world = TwoWays()
    for second in range(-20, 20):
        info = 0 if second < 9 else None
        world.scrape(ZERO + 1000 * second, "a:80", "v1", {"200": 10 * second + 300}, info=info)

    assert dark(world, 9, 11).endswith("it may come late: looks count again with it")


def test_the_last_samples_of_a_target_that_is_gone_are_nobodys_where_no_info_came_with_them() -> (
    None
):
    world = TwoWays()
    exports(world, range(-20, 20), "v2", "b:80")
    exports(world, range(-20, 3), "v1", "a:80")
    world.scrape(ZERO + 3000, "a:80", "v1", {"200": 999}, info=None)
    look = joined(world, "ratio", 0, 9)

    assert failed(look, Track.STABLE) == (0, 20)
    assert failed(joined(world, "ratio", 4, 9), Track.CANDIDATE) == (50, 50)


def test_a_target_that_is_only_known_as_another_version_is_nobody_elses() -> None:
    """Not even where its info is gone."""
    world = TwoWays()
    exports(world, range(-20, 20), "v1")
    exports(world, range(-20, 3), "v0", "other:80")
    exports(world, range(3, 20), "v0", "other:80", info=None)

    assert failed(joined(world, "ratio", 1, 10), Track.STABLE) == (0, 90)


def test_an_info_that_is_zero_and_one_of_no_target_say_nothing() -> None:
    world = TwoWays()
    exports(world, range(-20, 20), "v1")
    for second in range(-20, 20):
        for value, labels in ((0, {"instance": "host1", **JOB}), (1, {})):
            world.joined.add(
                ZERO + 1000 * second, value, name="target_info", service_version="v2", **labels
            )

    assert failed(joined(world, "ratio", 1, 10), Track.STABLE) == (0, 90)


def test_where_a_series_ended_at_victoria_metrics_is_no_sample_of_it() -> None:
    world = TwoWays()
    exports(world, range(-20, 20), "v2", "b:80")
    exports(world, range(-20, 8), "v1")
    world.joined.add(ZERO + 8000, "NaN", instance="host1", code="200", **JOB)

    assert failed(joined(world, "ratio", 1, 9), Track.STABLE) == (0, 60)


# ----------------------------------------------------------------------------- what was before it


def test_the_first_errors_of_a_version_count_where_the_one_before_had_some_too() -> None:
    """That was within the hour, in a series which is the same one at the server."""
    world = TwoWays()
    for second in range(-300, -100):
        codes = {"200": 10 * second + 5000, "500": 400}
        world.scrape(ZERO + 1000 * second, "host1", "v1", codes)
    for second in range(-100, 20):
        codes = {"200": 10 * second + 2000, **({"500": 7} if second >= 5 else {})}
        world.scrape(ZERO + 1000 * second, "host1", "v2", codes)

    assert failed(joined(world, "ratio", 1, 10), Track.CANDIDATE) == (7, 97)


@pytest.mark.parametrize("kind", KINDS)
def test_a_host_that_was_away_counts_on_from_what_its_version_showed(kind: str) -> None:
    """Though it had another version before that, within the hour."""
    world = TwoWays()
    exports(world, range(-300, -200), "v1")
    exports(world, [*range(-200, -100), *range(5, 20)], "v2")
    by_join, by_label = joined(world, kind, 1, 10), labelled(world, kind, 1, 10)

    assert numbers(by_join) == numbers(by_label)
    if kind == "ratio":
        assert failed(by_join, Track.CANDIDATE) == (60, 60)


def away(*before: str) -> TwoWays:
    """A host that comes back as v2 after two hours, and was these versions before."""
    world = TwoWays()
    for at, version in zip((-14_000, -7_200), before, strict=False):
        world.up(ZERO + at * 1000, "of old")
        world.scrape(ZERO + at * 1000, "host1", version, {"200": 900})
    world.up(ZERO - 60_000, "of old")
    for second in range(5, 20):
        world.up(ZERO + 1000 * second, "host1")
        world.scrape(ZERO + 1000 * second, "host1", "v2", {"200": 1000 + second})
    return world


@pytest.mark.parametrize(
    ("before", "counted"),
    [(["v2"], (0, 110)), (["v1"], (0, 1010)), ([], (0, 1010))],
    ids=["the same version", "another one", "nothing"],
)
def test_a_host_that_was_away_for_hours_counts_on_where_it_had_one_version_only(
    before: list[str], counted: tuple[int, int]
) -> None:
    world = away(*before)

    assert failed(joined(world, "ratio", 1, 10), Track.CANDIDATE) == counted
    assert numbers(joined(world, "ratio", 1, 10)) == numbers(labelled(world, "ratio", 1, 10))


def test_a_host_that_was_away_for_hours_and_had_two_versions_is_no_answer() -> None:
    found = joined(away("v2", "v1"), "ratio", 1, 10).of(Track.CANDIDATE)

    assert isinstance(found, NoAnswer)
    assert 'requests_total of job="shop", instance="host1" was away for over an hour' in found.why
    world = away("v2", "v1")
    assert failed(joined(world, "ratio", 10, 15), Track.CANDIDATE) == (0, 5)


# ------------------------------------------------------------------------------------ what is asked


def test_a_join_costs_one_request() -> None:
    world = TwoWays()
    exports(world, range(-20, 20), "v1", "a:80")
    exports(world, range(-20, 20), "v2", "b:80")
    look = joined(world, "ratio", 1, 10)
    labelled(world, "ratio", 1, 10)

    assert look.query.splitlines() == [
        'requests_total{job="shop"}[40s]  # time=1795435210.000',
        'target_info{job="shop"}[3609s]  # time=1795435210.000',
    ]
    assert (len(world.joined.queries), len(world.labelled.queries)) == (2, 1)


def test_another_join_is_another_metric() -> None:
    """Evidence that was gathered by one is not gone on with by another."""
    world = TwoWays()
    exports(world, range(-20, 20), "v1")
    ways = [JOINED, Joined("service_version", on=["instance"]), "service_version"]
    marks = {looked(world.joined, "ratio", way, 1, 10).fingerprint for way in ways}

    assert len(marks) == 3
    assert brothers(JOINED)["rate"][1].text == (
        'requests_total{job="shop"} and on (job, instance) '
        'target_info{service_version="{backend}"} a second'
    )


def test_pods_are_joined_with_what_is_known_of_them() -> None:
    world = TwoWays()
    pods = Joined("label_version", info="kube_pod_labels", on=("namespace", "pod"))
    for second in range(-20, 20):
        for pod, version in (("a", "v1"), ("b", "v2")):
            which = {"namespace": "shop", "pod": pod}
            at = ZERO + 1000 * second
            world.joined.add(at, 10 * second + 300, code="200", instance=pod, **JOB, **which)
            world.joined.add(
                at + 300, 1, name="kube_pod_labels", label_version=version, job="kube", **which
            )

    assert failed(looked(world.joined, "ratio", pods, 1, 9.5), Track.STABLE) == (0, 80)


def test_deltas_are_added_up_for_the_version_that_sent_them() -> None:
    world = TwoWays()
    exports(world, range(-20, 6), "v1")
    exports(world, range(6, 20), "v2")
    for labels, samples in world.joined.series.items():
        if ("__name__", "requests_total") in labels:
            world.joined.series[labels] = [(at, 3) for at, _ in samples]
    requests = Counter("requests_total", version=JOINED, labels=JOB, delta=True)
    metric, _ = brothers(JOINED)["ratio"]
    query = Ratio(events=requests.where(code="500"), total=requests)
    window = Window(START + ms(1000), START + ms(7000))
    look = feed(scraping(query, metric)._measure(RELEASE, metric, BOTH, window, None), world.joined)

    assert (failed(look, Track.STABLE), failed(look, Track.CANDIDATE)) == ((0, 12), (6, 12))


# ------------------------------------------------------------------------------- before a rollout


def rolled_out(*infos: str) -> tuple[str, MemoryRouter]:
    """How a rollout ends whose stable has these versions in ``target_info``, and counts well."""
    world, router = TwoWays(), MemoryRouter()
    for second in range(-600, 3600, 15):
        at = START_OF_TIME + second * 1000
        for instance, shown in (("a:80", infos), ("b:80", ("v2",))):
            codes = {"200": 10 * second + 9000}
            world.scrape(at, instance, "v1", codes, info=None)
            for place, version in enumerate(shown):
                labels = {"service_version": version, "instance": instance, **JOB}
                world.joined.add(at + 7000 * place, 1, name="target_info", **labels)
    metric, query = brothers(JOINED)["ratio"]
    provider = Prometheus("http://127.0.0.1:9090", metrics={metric: query})
    checks = [Limit(metric, at_most=percent(1))]
    canary = Canary(weights=percents(5, 100), bake=minutes(5), checks=checks)
    outcome = play(canary, RELEASE, metrics=[Answered(provider, world.joined)], router=router)
    return str(outcome), router


@rule("R45")
@pytest.mark.parametrize(
    ("infos", "said"),
    [
        (("v1", "v3"), "target_info shows two versions of"),
        ((), "for which target_info has no sample within 45s"),
        (("v9",), "target_info shows 'v2', 'v9', and not this version"),
    ],
    ids=["two processes", "no info", "another version"],
)
def test_a_stable_that_can_not_be_joined_is_named_before_anything_is_written(
    infos: tuple[str, ...], said: str
) -> None:
    outcome, router = rolled_out(*infos)

    assert router.history == []
    assert "preflight" in outcome
    assert said in outcome


def test_versions_that_stand_only_in_an_info_metric_are_rolled_out() -> None:
    outcome, router = rolled_out("v1")

    assert router.highest == percent(100), outcome


# ------------------------------------------------------------------------------- what is said


@pytest.mark.parametrize(
    ("world", "said"),
    [
        (["v1"], "; target_info shows 'v1', and not this version"),
        ([], "; target_info shows nothing in the last hour"),
        (
            ["v1", "v2"],
            'has this version of job="shop", instance="b:80", which shows no such counter',
        ),
    ],
    ids=["another version", "nothing", "no counters"],
)
def test_silence_says_what_the_info_metric_shows(world: list[str], said: str) -> None:
    made = TwoWays()
    if "v1" in world:
        exports(made, range(-20, 20), "v1")
    if "v2" in world:
        for second in range(-20, 20):
            made.joined.add(
                ZERO + 1000 * second,
                1,
                name="target_info",
                service_version="v2",
                instance="b:80",
                **JOB,
            )
    found = joined(made, "ratio", 1, 10).of(Track.CANDIDATE)

    assert isinstance(found, NoData)
    assert found.why.startswith(
        'no sample of requests_total{job="shop"} and on (job, instance) '
        'target_info{service_version="v2"}: '
    )
    assert found.why.endswith(said)


def test_a_version_whose_histogram_is_native_is_named_where_it_is_counted() -> None:
    world = TwoWays()
    exports(world, range(-20, 20), "v1")
    metric, _ = brothers(JOINED)["rate"]
    for version, kind in (("v1", NoAnswer), ("v2", NoData)):
        release = Release(service="shop", stable=Version(version), candidate=Version("v3"))
        query = Rate(Counter("spread_count", version=JOINED, labels=JOB))
        window = Window(START + ms(1000), START + ms(10_000))
        look = feed(
            scraping(query, metric)._measure(release, metric, BOTH, window, None), world.joined
        )

        assert isinstance(look.of(Track.STABLE), kind)


def test_a_join_may_have_a_label_that_the_series_has_in_another_sense() -> None:
    counter = Counter("requests_total", version=Joined("version"), labels={"version": "1.1"})

    assert counter.of({"backend": "v1", "version": "v1", "service": "shop"}) == (
        'requests_total{version="1.1"} and on (job, instance) target_info{version="v1"}'
    )


def test_a_join_stands_wherever_a_version_does() -> None:
    texts = [query.text for query in istio("shop", version=JOINED).values()]

    assert all(
        'and on (job, instance) target_info{service_version="{backend}"}' in _ for _ in texts
    )


def wrong() -> Iterator[tuple[Any, str]]:
    yield lambda: Joined("a b"), "Joined.labels: 'a b' is not the name of a label"
    yield lambda: Joined({}), "is the same for every version"
    yield lambda: Joined({"a": "x"}), "is the same for every version"
    yield lambda: Joined(JOINED), "Joined(...) is no label; write version='version'"  # type: ignore[arg-type]
    yield lambda: Joined("a", info="{a}"), "Joined.info: '{a}' is not the name of a series"
    yield lambda: Joined("a", on="job"), "'job' is no list of labels; write on=('job', 'instance')"
    yield lambda: Joined("a", on=()), "() is no list of labels"
    yield lambda: Joined("a", on=("b{",)), "Joined.on: 'b{' is not the name of a label"
    yield lambda: Joined("a", on=("a",)), "'a' stands there twice, or is what tells the versions"
    yield lambda: Joined("a", on=("b", "b")), "'b' stands there twice"
    one, other = (Counter("x", version=version) for version in (Joined("a"), "a"))
    yield lambda: Ratio(events=one, total=other), "a part and its whole must have the same labels"


@pytest.mark.parametrize(("make", "said"), [*wrong()], ids=[said for _, said in wrong()])
def test_what_is_no_join_is_named(make: Any, said: str) -> None:
    with pytest.raises(StrategyError) as error:
        make()

    assert said in str(error.value)


def test_two_joins_that_differ_are_no_part_and_whole() -> None:
    one = Counter("x", version=Joined("a"), labels={"code": Regex("5..")})
    other = Counter("x", version=Joined("a", on=("pod",)))

    with pytest.raises(StrategyError, match=r"by Joined\(.*'instance'\)\) and by Joined\(.*'pod',"):
        Ratio(events=one, total=other)


def test_buckets_of_a_join_are_what_they_are() -> None:
    buckets = Buckets("seconds_bucket", version=JOINED)

    assert buckets.version == Joined({"service_version": "{backend}"}, on=["job", "instance"])
