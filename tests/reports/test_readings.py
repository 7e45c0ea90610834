"""What a judgement measured, and what it was held against."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.reported import ERRORS, LATENCY

from progressive import Limit, MannWhitney, Metric, NoWorse, SampleRatio, ms, percent, times
from progressive.analysis import Kayenta, KayentaJudge, KayentaMetric
from progressive.reports.readings import digits, duration, proof, reading

CPU = Metric("cpu", kind="value", unit="cores")
BASKET = Metric("basket", kind="mean", bad="down")
KAYENTA = Kayenta(KayentaJudge(metrics=[KayentaMetric("cpu", groups=["g"])]), metrics=[CPU])
RATIO = {"ratio": 2.0, "ratio_low": 0.5, "ratio_high": 8.0}
OWN = {"candidate": 0.02, "stable": 0.01}

TABLE: list[tuple[dict[str, float], Any, str, tuple[float, ...]]] = [
    (RATIO, NoWorse(ERRORS), "2 \u00d7 (0.5 \u00d7 to 8 \u00d7)", (1.0,)),
    (RATIO, NoWorse(ERRORS, margin=1.5), "2 \u00d7 (0.5 \u00d7 to 8 \u00d7)", (1.5,)),
    (RATIO, NoWorse(LATENCY, margin=1.5), "2 \u00d7 (0.5 \u00d7 to 8 \u00d7)", (1.0,)),
    (RATIO, NoWorse(BASKET, margin=2.0), "2 \u00d7 (0.5 \u00d7 to 8 \u00d7)", (0.5,)),
    (
        RATIO,
        NoWorse(Metric("m", kind="ratio", bad="both"), margin=2.0),
        "2 \u00d7 (0.5 \u00d7 to 8 \u00d7)",
        (0.5, 2.0),
    ),
    (RATIO, None, "2 \u00d7 (0.5 \u00d7 to 8 \u00d7)", (1.0,)),
    ({"ratio": 0.0, "ratio_high": 8.0}, None, "0 \u00d7 (8 \u00d7)", (1.0,)),
    ({"ratio": 3.0, "ratio_low": 1.5}, None, "3 \u00d7 (1.5 \u00d7)", (1.0,)),
    ({"difference": 12345.6}, NoWorse(BASKET), "12,346", (0.0,)),
    ({"shift": -0.5, "shift_low": -1, "shift_high": 0}, MannWhitney(CPU), "-0.5 (-1 to 0)", (0.0,)),
    ({"share": 0.1, "share_asked": 0.05}, SampleRatio(ERRORS), "10 %", (0.05,)),
    ({"share": 0.1}, None, "10 %", ()),
    ({"score": 80.0}, KAYENTA, "80", (75.0, 95.0)),
    ({"score": 80.0}, None, "80", ()),
    ({"candidate_level": 1.5, "control_level": 1.0}, NoWorse(CPU), "1.5 cores", ()),
    (OWN, Limit(ERRORS, at_most=percent(1)), "2 %", (0.01,)),
    (OWN, Limit(ERRORS, at_most=percent(1), at_least=percent(0.1)), "2 %", (0.01, 0.001)),
    (OWN, Limit(ERRORS, at_most=times(1.5)), "2 %", (0.015,)),
    (OWN, Limit(ERRORS, at_most=times(1.5, floor=percent(3))), "2 %", (0.03,)),
    (OWN, Limit(ERRORS, at_least=times(0.5, floor=percent(0.2))), "2 %", (0.002,)),
    ({"candidate": 0.02}, Limit(ERRORS, at_most=times(1.5)), "2 %", ()),
    (OWN, Limit(LATENCY, quantile=0.75, at_most=ms(400)), "2 %", (0.25,)),
    (OWN, Limit(LATENCY, quantile=0.75, at_least=ms(400)), "2 %", (0.75,)),
    (
        {"candidate": 1.25},
        Limit(LATENCY, quantile=0.9, at_most=ms(400), plain=True),
        "1.25 s",
        (0.4,),
    ),
    ({"candidate": 3.0}, Limit(CPU, at_most=4.0), "3 cores", (4.0,)),
    ({"candidate": 3.0}, Limit(BASKET, at_least=2.5), "3", (2.5,)),
    ({"candidate": 3.0}, None, "3", ()),
    ({"candidate": 3.0}, NoWorse(LATENCY), "3 s", ()),
]


@pytest.mark.parametrize(("numbers", "check", "written", "limits"), TABLE)
def test_a_judgement_s_numbers_are_read(
    numbers: dict[str, float], check: Any, written: str, limits: tuple[float, ...]
) -> None:
    found = reading(numbers, check)

    assert found is not None
    assert str(found) == written
    assert found.limits == pytest.approx(limits)


@pytest.mark.parametrize(
    ("check", "what"),
    [
        (None, "value"),
        (Limit(ERRORS, at_most=percent(1)), "error-rate"),
        (Limit(LATENCY, quantile=0.75, at_most=ms(400)), "share of the requests above 400 ms"),
        (Limit(LATENCY, quantile=0.75, at_least=ms(400)), "share of the requests below 400 ms"),
        (Limit(LATENCY, quantile=0.75, at_most=ms(400), plain=True), "latency"),
        (Limit(CPU, at_most=4.0), "cpu"),
    ],
)
def test_what_is_shown_of_a_limit_has_a_name(check: Any, what: str) -> None:
    found = reading({"candidate": 1.0}, check)

    assert found is not None and found.quantity.what == what


def test_the_value_of_the_control_stands_beside_it() -> None:
    one, other = reading(OWN, None), reading({"candidate_level": 1.0, "control_level": 2.0}, None)

    assert one is not None and one.beside == 0.01
    assert other is not None and other.beside == 2.0


def test_numbers_that_nobody_knows_are_not_shown() -> None:
    assert reading({"temperature": 5.0}, None) is None
    assert proof({"temperature": 5.0}) == ""


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"log_evidence": 2.303, "alpha": 0.01}, "50 % of a proof of harm"),
        ({"log_evidence": -5.0, "alpha": 0.01}, "0 % of a proof of harm"),
        ({"log_evidence": 50.0, "alpha": 0.01}, "100 % of a proof of harm"),
        (
            {"log_evidence": 0.0, "alpha": 0.01, "log_exclusion": 1.5, "beta": 0.05},
            "0 % of a proof of harm, 50 % of a proof of health",
        ),
        ({"log_acceptance": 3.0, "beta": 0.05}, "100 % of a proof of health"),
        ({"log_evidence": 1.0, "alpha": 0.0}, ""),
        ({"log_evidence": 1.0}, ""),
    ],
)
def test_the_proof_is_a_part_of_what_is_needed(numbers: dict[str, float], said: str) -> None:
    assert proof(numbers) == said


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (3.98e-7, "0.000000398"),
        (-1e-12, "0"),
        (0.012345, "0.0123"),
        (12.34, "12.3"),
        (383_000.4, "383,000"),
        (1e20, "1e+20"),
    ],
)
def test_numbers_are_written_without_exponents(value: float, written: str) -> None:
    assert digits(value) == written


def test_durations_have_the_unit_that_fits() -> None:
    assert [duration(value) for value in (0.0, 0.25, 1.5)] == ["0 ms", "250 ms", "1.5 s"]
