"""A copy with some fields changed."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from tests.support.world import World

from progressive.model import Counts
from progressive.model.measurement import Gauge, Histogram
from progressive.model.replace import evolve


@attrs.frozen
class Loud(Counts):
    """A class of somebody else's, with one field more."""

    loud: bool = attrs.field(kw_only=True, default=True)


@pytest.mark.parametrize(
    ("value", "changes"),
    [
        (Counts(events=1, trials=2), {"events": 2}),
        (Histogram(edges=[0.1], cumulative=[1, 2]), {"cumulative": (3, 4)}),
        (Loud(events=1, trials=2), {"trials": 7, "loud": False}),
        (Gauge(samples=(1.0,)), {"samples": (2.0,)}),
        (World().rollout, {"serial": 3, "wake_at": None}),
        (World().rollout.routing, {}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_changed_copy_is_the_one_that_attrs_makes(value: Any, changes: dict[str, Any]) -> None:
    before = repr(value)
    copy = evolve(value, **changes)

    assert copy == attrs.evolve(value, **changes)
    assert type(copy) is type(value)
    assert copy is not value
    assert repr(value) == before
