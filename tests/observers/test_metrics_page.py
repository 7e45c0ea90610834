"""The page is what Prometheus reads: parsed here by Prometheus' own Python client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from tests.support.observed import HISTORIES, STRATEGY, Router, observed
from tests.support.world import RELEASE, START

from progressive import Abort, Ports, Rollout, start, submit
from progressive.observers.figures import FIGURES, Form
from progressive.observers.metrics_page import MetricsPage, sample_line
from progressive.rollout.notes import Note
from progressive.testing import MemoryStore, ScriptedMetrics, VirtualClock, steady

EVERY = pytest.mark.parametrize("name", HISTORIES)

Read = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(text: str) -> Read:
    """Every value of a page by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def counters(values: Read) -> Read:
    ends = ("_total", "_bucket", "_count", "_sum")
    return {key: value for key, value in values.items() if key[0].endswith(ends)}


@EVERY
def test_prometheus_reads_every_figure_with_its_help_and_type(name: str) -> None:
    page = MetricsPage(None)
    HISTORIES[name]().tell(page)
    families = list(text_string_to_metric_families(page.text()))

    assert [
        family.name + ("_total" if family.type == "counter" else "") for family in families
    ] == [figure.prometheus for figure in FIGURES]
    assert [family.type for family in families] == [figure.form.value for figure in FIGURES]
    assert [family.documentation for family in families] == [figure.says for figure in FIGURES]


@EVERY
@pytest.mark.parametrize("stored", [False, True])
def test_no_counter_ever_falls_and_no_label_has_the_id_of_a_rollout(
    name: str, stored: bool
) -> None:
    history = HISTORIES[name]()
    page, before = MetricsPage(history.store if stored else None), read("")
    for rollout, notes in history.decisions:
        page(rollout, notes)
        now = read(page.text())
        assert all(now[key] >= value for key, value in counters(before).items())
        before = now

    assert "shop-2" not in page.text()
    assert before


@EVERY
def test_a_page_that_begins_in_the_middle_counts_from_the_beginning(name: str) -> None:
    history = HISTORIES[name]()
    whole, late = MetricsPage(history.store), MetricsPage(history.store)
    history.tell(whole)
    late(*history.decisions[-1])

    if name != "retired":  # of which the last tick says nothing about the service
        assert read(late.text()) == read(whole.text())
    assert counters(read(late.text())) == counters(read(whole.text()))


@EVERY
def test_jobs_of_one_step_each_go_on_with_the_same_counters(name: str) -> None:
    history = HISTORIES[name]()
    before: Read = {}
    for rollout, notes in history.decisions:
        page = MetricsPage(history.store)
        page(rollout, notes)
        now = counters(read(page.text()))
        assert all(now[key] >= value for key, value in before.items())
        before = now

    assert before


def entered(page: MetricsPage, phase: str, service: str = "shop") -> float:
    labels = (("progressive_phase", phase), ("progressive_service", service))
    return read(page.text())["progressive_rollout_transitions_total", labels]


def test_what_people_submitted_is_counted_only_with_the_store() -> None:
    history = HISTORIES["held_and_resumed"]()
    knows, deaf = MetricsPage(history.store), MetricsPage(None)
    history.tell(knows)
    history.tell(deaf)

    assert (entered(knows, "held"), entered(deaf, "held")) == (1, 0)


def test_rollouts_that_are_over_stay_counted_beside_those_of_today() -> None:
    page = MetricsPage(None)
    for name, candidate in (("one", 0.2), ("two", 0.2), ("three", 0.001)):
        for rollout, notes in observed(candidate=candidate).decisions:
            page(attrs.evolve(rollout, id=name), notes)

    assert (entered(page, "rolled_back"), entered(page, "promoted")) == (2, 1)


def test_what_a_person_ends_before_the_first_tick_is_counted_at_the_end_of_the_drive() -> None:
    store = MemoryStore()
    page = MetricsPage(store)
    ports = Ports(
        router=Router(),
        metrics=[ScriptedMetrics({each: steady(50) for each in STRATEGY.plan.metrics})],
        store=store,
        clock=VirtualClock(START),
        observers=[page],
    )
    rollout = start(
        attrs.evolve(STRATEGY, checks=STRATEGY.checks[:2]), RELEASE, id="x", ports=ports
    )
    with page.driving(rollout):
        submit(store, "x", Abort(at=START, by="eve", why="not today"))
    with page.driving(store.load("x") or rollout):
        pass

    assert entered(page, "rolled_back") == 1


def test_the_page_of_nothing_has_help_and_no_values() -> None:
    assert read(MetricsPage(None).text()) == {}
    assert len(MetricsPage(None).text().splitlines()) == 2 * len(FIGURES)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=3, max_size=3))
def test_any_text_is_a_label_and_is_read_as_it_was(texts: list[str]) -> None:
    line = sample_line("a_total", ("one", "two", "three"), texts, 1)
    [family] = text_string_to_metric_families(f"# TYPE a_total counter\n{line}\n")
    [sample] = family.samples

    assert sample.labels == dict(zip(("one", "two", "three"), texts, strict=True))
    assert line.count("\n") == 0


@pytest.mark.parametrize(
    ("text", "escaped"),
    [('a"b', r"a\"b"), ("a\\b", r"a\\b"), ("a\nb", r"a\nb"), ("\\n", r"\\n"), ("ü} 1", "ü} 1")],
)
def test_a_label_is_escaped(text: str, escaped: str) -> None:
    assert sample_line("a", ("b",), (text,), 0.5) == f'a{{b="{escaped}"}} 0.5'


def test_buckets_are_cumulative_and_their_last_counts_all() -> None:
    page = MetricsPage(None)
    HISTORIES["troubled"]().tell(page)
    lateness = {
        dict(labels).get("le"): value
        for (name, labels), value in read(page.text()).items()
        if name == "progressive_rollout_lateness_seconds_bucket"
    }
    values = list(lateness.values())
    [figure] = [each for each in FIGURES if each.form is Form.HISTOGRAM]

    assert [float(str(le)) for le in lateness] == [*figure.bounds, float("inf")]
    assert values == sorted(values)
    assert values[-1] >= 1 > values[0] == 0


def test_a_written_page_replaces_the_old_one_and_leaves_nothing_else(tmp_path: Path) -> None:
    page, path = MetricsPage(None), tmp_path / "progressive.prom"
    page.write(path)
    HISTORIES["promoted"]().tell(page)
    page.write(str(path))

    assert path.read_bytes().decode() == page.text()
    assert [each.name for each in tmp_path.iterdir()] == ["progressive.prom"]


def test_a_page_that_can_not_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, path = MetricsPage(None), tmp_path / "progressive.prom"
    page.write(path)
    old = path.read_text()
    HISTORIES["promoted"]().tell(page)

    def full(*given: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        page.write(path)

    assert path.read_text() == old
    assert [each.name for each in tmp_path.iterdir()] == ["progressive.prom"]


def test_its_type_is_that_of_the_text_format() -> None:
    assert MetricsPage.CONTENT_TYPE.startswith("text/plain; version=0.0.4")


def told(rollout: Rollout, notes: list[Note]) -> MetricsPage:
    page = MetricsPage(None)
    page(rollout, notes)
    return page


def test_a_baseline_has_a_weight_of_its_own() -> None:
    rollout, notes = HISTORIES["promoted"]().decisions[0]
    release = attrs.evolve(RELEASE, baseline=attrs.evolve(RELEASE.candidate, backend="v1b"))
    text = told(attrs.evolve(rollout, release=release), list(notes)).text()

    assert 'progressive_track="baseline"' in text
