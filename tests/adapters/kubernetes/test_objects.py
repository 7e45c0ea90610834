"""Markers in an annotation, and what a status says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from progressive.adapters.flow import Malformed
from progressive.adapters.kubernetes import (
    ANNOTATION,
    Condition,
    Markers,
    condition,
    count,
    is_observed,
)
from progressive.errors import Failure, RouterError
from progressive.model.router_state import Marker

MARKER = Marker(generation=3, serial=17, closed=True)


def annotated(text: str | None) -> dict[str, Any]:
    return {"metadata": {} if text is None else {"annotations": {ANNOTATION: text}}}


def test_a_marker_comes_back_and_those_of_other_services_stay() -> None:
    there = Markers.of(annotated('{"cart":{"generation":9,"serial":9,"closed":false}}'), where="x")
    patch = there.patch("shop", MARKER, added=["main v2"])
    after = Markers.of(patch, where="x")

    assert after.marker("shop") == MARKER
    assert after.entry("shop")["added"] == ["main v2"]
    assert after.marker("cart") == Marker(generation=9, serial=9)
    assert json.loads(patch["metadata"]["annotations"][ANNOTATION]).keys() == {"cart", "shop"}


@pytest.mark.parametrize(
    "manifest", [{}, {"metadata": None}, annotated(None), annotated("{}"), annotated('{"shop":7}')]
)
def test_where_there_is_none_there_is_none(manifest: dict[str, Any]) -> None:
    found = Markers.of(manifest, where="x")

    assert found.marker("shop") is None
    assert found.entry("shop") == {}


@pytest.mark.parametrize("text", ["", "[]", "NaN", "{", "[" * 100_000])
def test_another_text_is_named(text: str) -> None:
    with pytest.raises(
        RouterError, match=f"VirtualService a/b: the annotation {ANNOTATION} is not"
    ) as caught:
        Markers.of(annotated(text), where="VirtualService a/b")

    assert caught.value.failure is Failure.PERMANENT


def test_impossible_numbers_are_named() -> None:
    found = Markers.of(annotated('{"shop":{"generation":-1}}'), where="x")

    with pytest.raises(RouterError, match="was edited"):
        found.marker("shop")


LISTED = [
    {"type": "Available", "status": "True"},
    {"type": "Progressing", "status": "False", "reason": "Deadline", "message": "it took too long"},
    {"type": "Odd", "status": "Unknown"},
    "no condition at all",
]


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("Available", Condition(kind="Available", holds=True)),
        (
            "Progressing",
            Condition(
                kind="Progressing", holds=False, reason="Deadline", message="it took too long"
            ),
        ),
        ("Odd", Condition(kind="Odd", holds=None)),
        ("Missing", None),
    ],
)
def test_a_condition_is_found_by_its_type(kind: str, found: Condition | None) -> None:
    assert condition({"status": {"conditions": LISTED}}, kind) == found
    assert (
        condition(
            {"status": {"parents": [{"conditions": LISTED}]}}, kind, "status.parents.0.conditions"
        )
        == found
    )
    assert condition({"status": {}}, kind) is None


@pytest.mark.parametrize(
    ("seen", "written", "observed"), [(3, 3, True), (2, 3, False), (None, 1, False)]
)
def test_a_status_is_about_what_its_controller_has_seen(
    seen: int | None, written: int, observed: bool
) -> None:
    status = {} if seen is None else {"observedGeneration": seen}

    assert is_observed({"metadata": {"generation": written}, "status": status}) is observed


def test_counts_that_are_0_are_left_out() -> None:
    assert count({"status": {"replicas": 3}}, "status.replicas") == 3
    assert count({}, "status.replicas") == 0
    assert count({}, "spec.replicas", 1) == 1
    with pytest.raises(Malformed):
        is_observed({})
