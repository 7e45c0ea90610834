"""Wrong checks, each with the whole message that a person sees."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support.descriptions import NAME, Case, refuses
from tests.support.world import ERRORS

from progressive import (
    Action,
    Budget,
    Deadline,
    Limit,
    MannWhitney,
    Metric,
    NoWorse,
    SampleRatio,
    Tolerance,
    hours,
    ms,
    percent,
    times,
)
from progressive.analysis import Kayenta, KayentaJudge, KayentaMetric

LATENCY = Metric("latency", kind="latency")


QUEUE = Metric("queue", kind="value")


KAYENTA = KayentaJudge(metrics=[KayentaMetric("cpu", groups=["system"])])


BASKET = Metric("basket", kind="mean", unit="EUR")


DESCRIPTIONS: tuple[Case, ...] = (
    (
        "a comparison of latencies of which more is better",
        lambda: NoWorse(Metric("latency", kind="latency", bad="down")),
        (
            "NoWorse(latency): the metric's bad='down': of latencies, only slower ones can be "
            "told from; use bad='up'"
        ),
    ),
    (
        "a comparison that accepts nothing",
        lambda: NoWorse(ERRORS, margin=1.5, accept=1.5, beta=5),
        [
            (
                "NoWorse(error-rate): accept=1.5 is the ratio to be excluded; it must be above "
                "the margin of 1.5, and at most 1000"
            ),
            (
                "NoWorse(error-rate): beta=5 is a probability between 0 and 1: of accepting a "
                "candidate that is accept= times as bad"
            ),
        ],
    ),
    (
        "a comparison that is to accept what is no worse at all",
        lambda: NoWorse(LATENCY, accept=True),
        (
            "NoWorse(latency): accept=True is the ratio to be excluded; it must be above the "
            "margin of 1.0, and at most 1000"
        ),
    ),
    (
        "an exact comparison that moves its schedule",
        lambda: NoWorse(ERRORS, accept=2.0, exact=True),
        (
            "NoWorse(error-rate): exact=True needs a schedule that does not depend on the "
            "evidence, which accept= makes it do; choose one"
        ),
    ),
    (
        "an exact comparison of clumps",
        lambda: NoWorse(ERRORS, dispersion=3.0, exact=True),
        (
            "NoWorse(error-rate): exact=True is for ratios where up is bad, without a "
            "dispersion; leave it out"
        ),
    ),
    (
        "blocks of what is no count",
        lambda: NoWorse(QUEUE, blocks=True, margin=1.0),
        (
            "NoWorse(queue): blocks=True is for ratios, means and latencies, without "
            "dispersion=, accept= or exact=, and for latencies alone with margin=; leave those out"
        ),
    ),
    (
        "a level of which looks are clumps",
        lambda: NoWorse(Metric("queue", kind="value"), dispersion=2.0),
        (
            "NoWorse(queue): dispersion= is for what is counted; a look at a level is one "
            "observation, however it comes about"
        ),
    ),
    (
        "blocks with a margin",
        lambda: NoWorse(ERRORS, blocks=True, margin=1.1),
        (
            "NoWorse(error-rate): blocks=True is for ratios, means and latencies, without "
            "dispersion=, accept= or exact=, and for latencies alone with margin=; leave those out"
        ),
    ),
    (
        "a check that observes by a word",
        lambda: NoWorse(ERRORS, observe="no"),
        "NoWorse.observe: 'no' is no bool; write True or False",
    ),
    (
        "a check with a tolerance by name",
        lambda: SampleRatio(ERRORS, tolerance="two"),
        "SampleRatio.tolerance: 'two' is no Tolerance; write Tolerance(in_a_row=2)",
    ),
    (
        "a check of Kayenta's with no list",
        lambda: Kayenta(KAYENTA, metrics=True),
        "Kayenta: metrics=True: give a list of Metric(..., kind='value')",
    ),
    (
        "a split of a level",
        lambda: SampleRatio(QUEUE, alpha=1),
        [
            "SampleRatio(queue): a value does not count requests; take a ratio or a latency",
            (
                "SampleRatio(queue): alpha=1 is a probability between 0 and 1; 0.001 is one "
                "false alarm in a thousand rollouts"
            ),
        ],
    ),
    (
        "ranks of a ratio",
        lambda: MannWhitney(ERRORS, margin=0, confidence=98, samples=501, than="candidate"),
        [
            (
                "MannWhitney(error-rate): it ranks the samples of a level; for a ratio use "
                "NoWorse(...)"
            ),
            "MannWhitney(error-rate): margin=0 is the ratio still tolerated, from 1.0 to 1000",
            "MannWhitney(error-rate): confidence=98 is between 0.5 and 1, such as 0.98",
            "MannWhitney(error-rate): samples=501: at most 500, they are kept in the rollout",
            "MannWhitney(error-rate): than=candidate: compare it with stable or baseline",
        ],
    ),
    (
        "a check of Kayenta's with other metrics",
        lambda: Kayenta(
            KAYENTA, metrics=[ERRORS, QUEUE, QUEUE], than="candidate", points=9, lookback=3
        ),
        [
            (
                "Kayenta: metrics: none is named 'cpu', which the config judges; there are "
                "error-rate, queue, queue"
            ),
            (
                "Kayenta: metrics: 'error-rate' is a ratio; Kayenta compares points, so make "
                "it a value"
            ),
            "Kayenta: metrics: 'error-rate' is not judged by the config; leave it out",
            "Kayenta: metrics: 'queue' is not judged by the config; leave it out",
            "Kayenta: metrics: 'queue' is there 2 times; once is enough",
            "Kayenta: than=candidate: compare it with stable or baseline",
            "Kayenta: lookback=3 is how many points are kept: from points=9 to 1440",
        ],
    ),
    (
        "a check of Kayenta's without metrics",
        lambda: Kayenta(KAYENTA, metrics=[]),
        "Kayenta: metrics=(): give a list of Metric(..., kind='value')",
    ),
    (
        "a check of Kayenta's with one metric twice",
        lambda: Kayenta(
            KAYENTA, metrics=[Metric("cpu", kind="value"), Metric("cpu", kind="value")]
        ),
        [
            "Kayenta: metrics: 'cpu' is there 2 times; once is enough",
        ],
    ),
    (
        "a dispersion below that of chance",
        lambda: NoWorse(ERRORS, dispersion=0.5),
        "NoWorse(error-rate): dispersion=0.5 is how many events come at a time, 1.0 or more",
    ),
    (
        "a comparison with three mistakes",
        lambda: NoWorse(ERRORS, margin=0.9, share_of_alpha=0, than="candidate"),
        [
            "NoWorse(error-rate): margin=0.9 is the ratio still tolerated, from 1.0 to 1000",
            (
                "NoWorse(error-rate): share_of_alpha=0 must be above 0 (and at most 1000); it "
                "is a weight beside the other checks'"
            ),
            "NoWorse(error-rate): than=candidate: compare it with stable or baseline",
        ],
    ),
    (
        "a comparison with nobody",
        lambda: NoWorse(ERRORS, than="canary"),
        "NoWorse.than: 'canary' is not one of 'stable', 'candidate', 'baseline'",
    ),
    (
        "a limit without a bound",
        lambda: Limit(ERRORS),
        "Limit(error-rate): give at_most= or at_least=, such as at_most=percent(1)",
    ),
    (
        "the 99th quantile",
        lambda: Limit(LATENCY, quantile=99, at_most=ms(400)),
        "Limit(latency): quantile=99 is not between 0 and 1; the 99th percentile is quantile=0.99",
    ),
    (
        "a latency without a quantile",
        lambda: Limit(LATENCY, at_most=ms(400)),
        "Limit(latency): a latency needs quantile=, such as quantile=0.99",
    ),
    (
        "a quantile of a ratio",
        lambda: Limit(ERRORS, quantile=0.5, at_most=percent(1)),
        "Limit(error-rate): quantile= is for a latency, not for a ratio",
    ),
    (
        "a ratio as a float",
        lambda: Limit(ERRORS, at_most=0.01),
        "Limit(error-rate): at_most=0.01: a ratio takes percent(1) or times(1.5)",
    ),
    (
        "a latency as a float",
        lambda: Limit(LATENCY, quantile=0.99, at_most=0.4),
        "Limit(latency): at_most=0.4: a latency takes ms(400) or times(1.5)",
    ),
    (
        "a floor without its unit",
        lambda: Limit(ERRORS, at_most=times(1.5, floor=0.01)),
        "Limit(error-rate): at_most=times(1.5, floor=0.01): a ratio takes percent(1) or times(1.5)",
    ),
    (
        "a bound that is no number",
        lambda: Limit(BASKET, at_least=float("nan")),
        "Limit(basket): at_least=nan: a mean takes 12.5 or times(1.5)",
    ),
    (
        "no sample",
        lambda: Limit(ERRORS, at_most=percent(1), min_sample=0),
        "Limit.min_sample: 0 must be a whole number, 1 or more",
    ),
    (
        "a metric by its name",
        lambda: Limit("error-rate", at_most=percent(1)),
        "check.metric: 'error-rate' is no Metric; write Metric('error-rate', kind='ratio')",
    ),
    (
        "a metric of another system's kind",
        lambda: Metric("x", kind="counter"),
        "Metric.kind: 'counter' is not one of 'ratio', 'latency', 'mean', 'value'",
    ),
    (
        "a metric that is bad sideways",
        lambda: Metric("x", kind="ratio", bad="sideways"),
        "Metric.bad: 'sideways' is not one of 'up', 'down', 'both'",
    ),
    (
        "a metric with a title",
        lambda: Metric("my errors", kind="ratio"),
        f"Metric.name: 'my errors' {NAME}",
    ),
    (
        "a failed check that waits",
        lambda: Tolerance(then=Action.WAIT),
        (
            "Tolerance.then: 'wait': a failed check can't wait; to watch without deciding use "
            "observe=True on the check"
        ),
    ),
    (
        "a budget without an end",
        Budget,
        (
            "Budget(looks=None, within=None, in_all=None, then='hold'): give one of the limits, "
            "or none and then=Action.WAIT (the step's deadline decides)"
        ),
    ),
    (
        "an action that does not exist",
        lambda: Deadline(within=hours(1), then="continue"),
        "Deadline.then: 'continue' is not one of 'roll_back', 'hold', 'wait'",
    ),
)


@pytest.mark.parametrize(
    ("make", "said"),
    [case[1:] for case in DESCRIPTIONS],
    ids=[case[0] for case in DESCRIPTIONS],
)
def test_a_wrong_description_says_where_what_and_what_instead(
    make: Callable[[], object], said: str | list[str]
) -> None:
    refuses(make, said)
