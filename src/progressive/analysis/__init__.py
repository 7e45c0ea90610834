"""Judge measurements: the contract of a check, the library's checks, and analyses of them."""

from __future__ import annotations

from typing import Final

from .analysis import Analysis
from .contract import Budget, Check, Judgement, Tolerance, Verdict
from .kayenta import Kayenta, KayentaJudge, KayentaMetric
from .limit import Bound, Limit
from .mann_whitney import MannWhitney
from .no_worse import NoWorse
from .sample_ratio import SampleRatio

__all__ = [
    "CHECKS",
    "Analysis",
    "Bound",
    "Budget",
    "Check",
    "Judgement",
    "Kayenta",
    "KayentaJudge",
    "KayentaMetric",
    "Limit",
    "MannWhitney",
    "NoWorse",
    "SampleRatio",
    "Tolerance",
    "Verdict",
]

CHECKS: Final = (Kayenta, Limit, MannWhitney, NoWorse, SampleRatio)
"""The check kinds that stored state may name."""
