"""Judge measurements: the contract of a check, the library's checks, and analyses of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from progressive.lazy import lazily

if TYPE_CHECKING:
    from .analysis import Analysis
    from .checks import CHECKS
    from .contract import Budget, Check, Judgement, Tolerance, Verdict
    from .kayenta import Kayenta, KayentaJudge, KayentaMetric
    from .limit import Bound, Limit
    from .mann_whitney import MannWhitney
    from .no_worse import NoWorse
    from .sample_ratio import SampleRatio
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            ".analysis": "Analysis",
            ".checks": "CHECKS",
            ".contract": "Budget Check Judgement Tolerance Verdict",
            ".kayenta": "Kayenta KayentaJudge KayentaMetric",
            ".limit": "Bound Limit",
            ".mann_whitney": "MannWhitney",
            ".no_worse": "NoWorse",
            ".sample_ratio": "SampleRatio",
        },
    )

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
