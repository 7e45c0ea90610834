"""What OpenTelemetry's own SDK makes of rollouts: one trace, whoever drives, and the figures of the
page.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import StatusCode
from prometheus_client import CollectorRegistry, generate_latest
from tests.observers.test_metrics_page import read
from tests.support.observed import HISTORIES, STRATEGY, Observed, observed
from tests.support.world import RELEASE, START

from progressive import Abort, Hold, Ports, Resume, StrategyError, start, submit, tick
from progressive.observers.figures import FIGURES, Form
from progressive.observers.metrics_page import MetricsPage
from progressive.observers.spans import Trail
from progressive.observers.stable_ids import StableIds
from progressive.observers.telemetry import Telemetry, traceparent
from progressive.observers.trace_ids import ids_of
from progressive.rollout.notes import PhaseEntered
from progressive.stores.sqlite import SqliteStore
from progressive.testing import MemoryRouter, MemoryStore, ScriptedMetrics, VirtualClock, steady

EVERY = pytest.mark.parametrize("name", HISTORIES)
STABLE = pytest.mark.parametrize("stable", [True, False], ids=["stable ids", "random ids"])


class Seen:
    """A process with the SDK: what it exports."""

    def __init__(self, store: MemoryStore | None, *, stable: bool = True, **given: Any) -> None:
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        if stable:
            given["id_generator"] = StableIds()
        self.tracers = TracerProvider(shutdown_on_exit=False, **given)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.telemetry = Telemetry(store, tracer_provider=self.tracers, meter_provider=self.meters)

    def __call__(self, rollout: Any, notes: Any) -> None:
        self.telemetry(rollout, notes)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self.exporter.get_finished_spans()

    def points(self) -> dict[str, list[Any]]:
        """Every data point by the metric's name."""
        data = self.reader.get_metrics_data()
        return {
            metric.name: list(metric.data.data_points)
            for resource in (data.resource_metrics if data else [])
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def values(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """The same as a page would say it, by names in Prometheus' form."""
        found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        points = self.points()
        for figure in FIGURES:
            for point in points.get(figure.name, []):
                labels = {key.replace(".", "_"): value for key, value in point.attributes.items()}
                key = tuple(sorted(labels.items()))
                if isinstance(point, HistogramDataPoint):
                    found[f"{figure.prometheus}_sum", key] = point.sum
                    found[f"{figure.prometheus}_count", key] = point.count
                    least = 0
                    for n, bound in enumerate([*point.explicit_bounds, float("inf")]):
                        least += point.bucket_counts[n]
                        le = "+Inf" if n == len(point.explicit_bounds) else repr(int(bound))
                        within = tuple(sorted({**labels, "le": le}.items()))
                        found[f"{figure.prometheus}_bucket", within] = least
                else:
                    found[figure.prometheus, key] = point.value
        return found


def ids(span: ReadableSpan) -> tuple[int, int]:
    assert span.context is not None
    return span.context.trace_id, span.context.span_id


def driven(history: Observed, processes: int, *, stable: bool = True) -> list[ReadableSpan]:
    """What all processes that took turns have exported, together."""
    seen = [Seen(history.store, stable=stable) for _ in range(processes)]
    history.tell(*seen)
    return [span for each in seen for span in each.spans]


def brief(spans: Sequence[ReadableSpan]) -> list[Any]:
    return sorted(
        (
            (span.start_time, span.end_time, span.name),
            sorted((key, str(value)) for key, value in (span.attributes or {}).items()),
            [(event.name, event.timestamp) for event in span.events],
            span.status.status_code.value,
            span.status.description or "",
        )
        for span in spans
    )


# ------------------------------------------------------------------------------------------- traces


@EVERY
@STABLE
def test_all_spans_of_a_rollout_are_one_trace(name: str, stable: bool) -> None:
    history = HISTORIES[name]()
    spans = driven(history, 2, stable=stable)

    assert {ids(span)[0] for span in spans} == {ids_of(history.rollout).trace}


@EVERY
@STABLE
@pytest.mark.parametrize("processes", [2, 50])
def test_processes_that_take_turns_export_what_one_alone_exports(
    name: str, stable: bool, processes: int
) -> None:
    history = HISTORIES[name]()
    alone = driven(history, 1, stable=stable)

    assert brief(driven(history, processes, stable=stable)) == brief(alone)


@EVERY
def test_with_stable_ids_the_spans_are_one_tree_with_one_root(name: str) -> None:
    history = HISTORIES[name]()
    spans = driven(history, 2)
    known = {ids(span)[1] for span in spans}
    roots = [span.name for span in spans if span.parent is None]

    assert len(known) == len(spans)
    assert roots == (["rollout"] if history.rollout.final else [])
    if history.rollout.final:
        assert {span.parent.span_id for span in spans if span.parent is not None} <= known


@EVERY
def test_without_them_all_stand_beside_each_other_under_the_derived_parent(name: str) -> None:
    history = HISTORIES[name]()
    parents = [span.parent for span in driven(history, 2, stable=False)]

    assert {parent and parent.span_id for parent in parents} == {ids_of(history.rollout).span}
    assert all(parent is not None and parent.is_remote for parent in parents)


@EVERY
def test_the_spans_are_those_of_the_trail_with_their_times_and_events(name: str) -> None:
    history = HISTORIES[name]()
    made = Trail(history.rollout).of(history.saved)
    exported = {ids(span)[1]: span for span in driven(history, 1)}

    assert len(exported) == len(made)
    for span in made:
        found = exported[ids_of(history.rollout, span.key).span]
        assert found.start_time == round(span.start.timestamp() * 1000) * 1_000_000
        assert found.end_time == round(span.end.timestamp() * 1000) * 1_000_000
        assert found.name == span.name
        assert dict(found.attributes or {}) == dict(span.attributes)
        assert [event.name for event in found.events] == [each.name for each in span.events]


def test_a_rollout_that_is_rolled_back_is_an_error_with_the_reason() -> None:
    [root] = [span for span in driven(HISTORIES["rolled_back"](), 1) if span.name == "rollout"]
    [good] = [span for span in driven(HISTORIES["promoted"](), 1) if span.name == "rollout"]

    assert root.status.status_code is StatusCode.ERROR
    assert (root.status.description or "").startswith("checks/error-rate-no-worse: worse")
    assert good.status.status_code is StatusCode.UNSET


def test_the_root_counts_the_others_so_what_a_killed_process_took_with_it_is_missed() -> None:
    history = HISTORIES["promoted"]()
    killed, lives = Seen(history.store), Seen(history.store)
    for rollout, notes in history.decisions[:10]:
        killed(rollout, notes)
    for rollout, notes in history.decisions[10:]:
        lives(rollout, notes)
    [root] = [span for span in lives.spans if span.name == "rollout"]
    count = sum(span.name != "released" for span in killed.spans + lives.spans) - 1

    assert (root.attributes or {})["progressive.spans"] == count
    assert len(lives.spans) < count


@EVERY
def test_a_trace_can_be_sent_again_with_the_same_ids(name: str) -> None:
    history = HISTORIES[name]()
    again = Seen(history.store)
    sent = again.telemetry.resend("shop-2")

    assert sent == len(again.spans)
    assert brief(again.spans) == brief(driven(history, 1))
    assert {ids(span) for span in again.spans} == {ids(span) for span in driven(history, 1)}
    assert again.points() == {}


def test_what_is_not_stored_can_not_be_sent_again() -> None:
    for store in (None, MemoryStore()):
        with pytest.raises(StrategyError, match=r"resend: there is no rollout 'x'; write Tele"):
            Seen(store).telemetry.resend("x")


def test_what_people_submit_is_in_the_trace_and_in_the_metrics() -> None:
    seen = Seen(HISTORIES["held_and_resumed"]().store)
    HISTORIES["held_and_resumed"]().tell(seen)
    entered = {
        point.attributes["progressive.phase"]: point.value
        for point in seen.points()["progressive.rollout.transitions"]
    }

    assert "held" in [span.name for span in seen.spans]
    assert entered["held"] == 1


def test_without_a_store_what_began_elsewhere_says_that_it_is_a_part() -> None:
    history, seen = HISTORIES["promoted"](), Seen(None)
    for rollout, notes in history.decisions[5:]:
        seen(rollout, notes)
    whole = Seen(None)
    history.tell(whole)

    assert [s.name for s in seen.spans if (s.attributes or {}).get("progressive.partial")] == [
        "step"
    ]
    assert brief(whole.spans) == brief(driven(history, 1))


def test_what_a_person_ends_before_the_first_tick_is_told_at_the_end_of_the_drive() -> None:
    history = observed(most=0)
    begun = history.store.load("shop-2")
    assert begun is not None
    seen = Seen(history.store)
    with seen.telemetry.driving(begun):
        submit(history.store, "shop-2", Abort(at=START, by="eve", why="not today"))
    [root] = [span for span in seen.spans if span.name == "rollout"]

    assert root.status.status_code is StatusCode.ERROR
    with seen.telemetry.driving(begun):  # and once: nothing has moved since
        pass
    assert [span.name for span in seen.spans].count("rollout") == 1


@EVERY
def test_the_global_providers_may_do_nothing_at_all(name: str) -> None:
    history = HISTORIES[name]()
    history.tell(Telemetry(history.store))


def test_without_the_api_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "progressive.observers.telemetry")

    with pytest.raises(ModuleNotFoundError, match=r"'progressive-delivery\[opentelemetry\]'"):
        importlib.import_module("progressive.observers.telemetry")


def test_jobs_of_one_step_each_with_a_real_store_and_a_person_make_one_trace(
    tmp_path: Path,
) -> None:
    clock, router = VirtualClock(START), MemoryRouter()
    store = SqliteStore(tmp_path / "rollouts.db")
    numbers = {each: steady(50) for each in STRATEGY.plan.metrics[:1]}
    strategy = attrs.evolve(STRATEGY, checks=STRATEGY.checks[:2])

    def job(*observers: Any) -> Ports:
        return Ports(
            router=router,
            metrics=[ScriptedMetrics(numbers)],
            store=store,
            clock=clock,
            observers=observers,
        )

    start(strategy, RELEASE, id="shop-2", ports=job())
    exported: list[ReadableSpan] = []
    wake_at, n = clock.now, 0
    while wake_at is not None:
        clock.until(wake_at)
        if n in (3, 6):
            person = Hold if n == 3 else Resume
            submit(store, "shop-2", person(at=clock(), by="eve", why="odd"))
        seen = Seen(store)
        wake_at, n = tick("shop-2", job(seen.telemetry)).wake_at, n + 1
        exported += seen.spans
    alone = Seen(store)
    alone.telemetry.resend("shop-2")

    assert brief(exported) == brief(alone.spans)
    assert {ids(span) for span in exported} == {ids(span) for span in alone.spans}
    assert [span.name for span in exported].count("held") == 1


def test_a_sampler_that_takes_nothing_gets_nothing() -> None:
    history = HISTORIES["promoted"]()
    seen = Seen(history.store, sampler=ALWAYS_OFF)
    history.tell(seen)

    assert seen.spans == ()


# ---------------------------------------------------------------------------------------------- ids


def test_ids_differ_by_rollout_by_birth_and_by_span() -> None:
    one = HISTORIES["promoted"]().rollout
    other = attrs.evolve(one, id="shop-3")
    again = attrs.evolve(one, clocks=attrs.evolve(one.clocks, created=one.clocks.now))
    found = {ids_of(each, key) for each in (one, other, again) for key in ("rollout", "step/1")}

    assert len(found) == 6
    assert len({each.trace for each in found}) == 3


def test_the_traceparent_of_a_rollout_is_the_same_for_ever() -> None:
    """Traces of rollouts that run while the library is updated stay in one piece."""
    assert traceparent(HISTORIES["promoted"]().decisions[0][0]) == PARENT
    assert traceparent(HISTORIES["promoted"]().rollout) == PARENT


PARENT = "00-a5dec0592efff0f3dda4b9011173a970-e9a4e592b6a875f9-01"


def test_spans_that_are_not_ours_have_random_ids() -> None:
    ids = StableIds()

    assert len({ids.generate_span_id() for _ in range(9)}) == 9
    assert len({ids.generate_trace_id() for _ in range(9)}) == 9


# ------------------------------------------------------------------------------------------ metrics


@EVERY
@pytest.mark.parametrize("stored", [True, False])
def test_the_metrics_are_those_of_the_page(name: str, stored: bool) -> None:
    history = HISTORIES[name]()
    store = history.store if stored else None
    seen, page = Seen(store), MetricsPage(store)
    history.tell(seen)
    history.tell(page)

    assert seen.values() == read(page.text())


@EVERY
def test_the_page_is_what_opentelemetrys_own_exporter_for_prometheus_says(name: str) -> None:
    history, page = HISTORIES[name](), MetricsPage(None)
    registry = CollectorRegistry()
    reader = PrometheusMetricReader(
        disable_target_info=True, scope_info_enabled=False, registry=registry
    )
    meters = MeterProvider([reader], shutdown_on_exit=False)
    history.tell(Telemetry(None, meter_provider=meters))
    history.tell(page)

    assert read(generate_latest(registry).decode()) == read(page.text())


@EVERY
def test_the_counters_of_several_processes_add_up_to_those_of_one(name: str) -> None:
    history = HISTORIES[name]()
    several, alone = [Seen(history.store) for _ in range(3)], Seen(history.store)
    history.tell(*several)
    history.tell(alone)
    total: dict[Any, float] = {}
    for each in several:
        for key, value in each.values().items():
            total[key] = total.get(key, 0) + value
    forms = {figure.prometheus: figure.form for figure in FIGURES}

    assert {key: value for key, value in total.items() if forms.get(key[0]) is not Form.GAUGE} == {
        key: value for key, value in alone.values().items() if forms.get(key[0]) is not Form.GAUGE
    }


@EVERY
def test_no_metric_has_the_id_of_a_rollout(name: str) -> None:
    seen = Seen(HISTORIES[name]().store)
    HISTORIES[name]().tell(seen)

    assert "shop-2" not in str(seen.points())
    assert any(isinstance(note, PhaseEntered) for note in HISTORIES[name]().notes)


def test_the_instruments_have_their_units_and_descriptions() -> None:
    seen = Seen(None)
    HISTORIES["troubled"]().tell(seen)
    data = seen.reader.get_metrics_data()
    assert data is not None
    said = {
        metric.name: (metric.unit, metric.description)
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
    }

    assert said == {figure.name: (figure.unit, figure.says) for figure in FIGURES}
