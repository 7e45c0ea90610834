"""What is bound, and what is found by its name."""

from __future__ import annotations

import pytest
from tests.support.driven import ANSWERS, metrics, ports
from tests.support.world import ERRORS

from progressive import Metric, Ports, StrategyError
from progressive.testing import MemoryRouter, ScriptedMetrics, steady


def test_a_provider_that_is_not_the_first_is_found() -> None:
    other = ScriptedMetrics(
        {Metric("latency", kind="latency"): steady(1), Metric("queue", kind="value"): steady(1)}
    )
    bound = Ports(router=MemoryRouter(), metrics=[other, ANSWERS])

    assert bound.provider(ERRORS) == (ANSWERS, ERRORS)
    assert bound.provider(Metric("nobody", kind="ratio")) is None


def test_two_providers_of_one_metric_are_refused() -> None:
    with pytest.raises(StrategyError, match="two providers answer for 'error-rate'"):
        ports(metrics=[metrics(), metrics()])
