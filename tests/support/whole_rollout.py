"""A whole canary on the router of a real system: to the end, or back."""

from __future__ import annotations

from typing import Any

import pytest

from progressive import Canary, Limit, Metric, Phase, Ports, percent, percents, run, seconds, start
from progressive.model.release import Release
from progressive.testing import MemoryStore, ScriptedMetrics, steady

ERRORS = Metric("error-rate", kind="ratio")
CANARY = Canary(
    weights=percents(5, 50, 100),
    bake=seconds(0.5),
    interval=seconds(0.2),
    watch_every=seconds(0.5),
    checks=[Limit(ERRORS, at_most=percent(2), min_sample=20)],
)

to_the_end_or_back = pytest.mark.parametrize("failing", [0.0, 0.2], ids=["promoted", "rolled back"])


def roll_out(router: Any, release: Release, failing: float) -> None:
    """Drive the canary to its end; of the candidate's requests so many fail."""
    metrics = ScriptedMetrics({ERRORS: steady(2000, stable=0.0, candidate=failing)})
    ports = Ports(router=router, metrics=[metrics], store=MemoryStore())
    start(CANARY, release, id="app-v2", ports=ports)

    rollout = run("app-v2", ports).rollout

    assert rollout.phase is (Phase.ROLLED_BACK if failing else Phase.PROMOTED)
