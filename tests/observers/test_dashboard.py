"""The dashboard for Grafana and the page of the documentation say the names that the code says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.observers.test_metrics_page import read
from tests.support.observed import HISTORIES
from tests.test_docs import loaded

from progressive.observers.figures import FIGURES
from progressive.observers.metrics_page import MetricsPage

DOCS = Path(__file__).parent.parent.parent / "docs"
GRAFANA = loaded(DOCS / "grafana.py")
PAGE = (DOCS / "how-to" / "telemetry.md").read_text("utf-8")
NAME = re.compile(r"\bprogressive_rollout_\w+")


def expressions() -> list[str]:
    return [
        target["expr"] for panel in GRAFANA.dashboard()["panels"] for target in panel["targets"]
    ]


def shown() -> dict[str, set[str]]:
    """The names on a page after every history, each with its labels."""
    page = MetricsPage(None)
    for history in HISTORIES.values():
        history().tell(page)
    found: dict[str, set[str]] = {}
    for name, labels in read(page.text()):
        found.setdefault(name, set()).update(label for label, _ in labels)
    return found


def test_the_committed_dashboard_is_the_one_that_is_made() -> None:
    committed = GRAFANA.DASHBOARD.read_text("utf-8")

    assert committed == GRAFANA.text(), "run: python docs/grafana.py"
    assert json.loads(committed)["panels"]


def test_every_metric_in_a_panel_is_on_the_page_and_every_figure_is_in_a_panel() -> None:
    used = {name for expr in expressions() for name in NAME.findall(expr)}
    figures = {figure.prometheus for figure in FIGURES}

    assert used <= shown().keys()
    assert {name.removesuffix("_bucket") for name in used} == figures


def test_every_label_in_a_panel_is_one_of_the_metrics_labels() -> None:
    for panel in GRAFANA.dashboard()["panels"]:
        for target in panel["targets"]:
            text = f"{target['expr']} {target['legendFormat']}"
            labels = set(re.findall(r"\b(progressive_\w+)\b", text)) - set(NAME.findall(text))
            for name in NAME.findall(target["expr"]):
                assert labels <= shown()[name]


def test_brackets_are_closed_and_every_panel_has_a_place_of_its_own() -> None:
    panels: list[dict[str, Any]] = GRAFANA.dashboard()["panels"]
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}

    for expr in expressions():
        for opens, closes in ("()", "{}", "[]"):
            assert expr.count(opens) == expr.count(closes)
    assert len(places) == len(panels) == len({panel["id"] for panel in panels})


def test_the_page_of_the_documentation_has_every_figure_as_it_is() -> None:
    rows = [
        tuple(cell.strip().strip("`") for cell in line.strip("|").split("|"))
        for line in PAGE.splitlines()
        if line.startswith("| `progressive.rollout.")
    ]

    assert rows == [
        (
            figure.name,
            figure.form.value,
            figure.unit,
            ", ".join(name.removeprefix("progressive.") for name in figure.attributes),
            figure.says,
        )
        for figure in FIGURES
    ]


def test_the_alerts_on_the_page_use_metrics_that_there_are() -> None:
    named = set(NAME.findall(PAGE))

    assert named <= shown().keys()
    assert len(named) >= 3
