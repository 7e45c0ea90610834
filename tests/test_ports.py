"""What is bound, and what is found by its name."""

from __future__ import annotations

import pytest
from tests.support.driven import ANSWERS
from tests.support.rules import rule
from tests.support.world import ERRORS, RELEASE, canary

from progressive import Metric, Ports, StrategyError, seconds, start
from progressive.testing import MemoryRouter, ScriptedMetrics, steady


@rule("R45")
@pytest.mark.parametrize(
    ("offered", "said"),
    [
        (
            Metric("error-rate", kind="value"),
            "metric 'error-rate': the plan means a ratio, the provider measures a value",
        ),
        (Metric("error-rate", kind="ratio", lag=seconds(9)), "use the provider's in the checks"),
        (Metric("error-rate", kind="ratio", counter=True), "use the provider's in the checks"),
        (
            Metric("errors", kind="ratio"),
            "metric 'error-rate': no provider in metrics=[...] answers for it",
        ),
    ],
)
def test_a_provider_that_measures_something_else_is_named_before_the_start(
    offered: Metric, said: str
) -> None:
    bound = Ports(
        router=MemoryRouter(), metrics=[ScriptedMetrics({}), ScriptedMetrics({offered: steady(50)})]
    )
    with pytest.raises(StrategyError) as caught:
        start(canary(), RELEASE, id="r", ports=bound)

    assert said in str(caught.value)


def test_a_provider_that_is_not_the_first_is_found() -> None:
    other = ScriptedMetrics(
        {Metric("latency", kind="latency"): steady(1), Metric("queue", kind="value"): steady(1)}
    )
    bound = Ports(router=MemoryRouter(), metrics=[other, ANSWERS])

    assert bound.provider(ERRORS) == (ANSWERS, ERRORS)
    assert bound.provider(Metric("nobody", kind="ratio")) is None
