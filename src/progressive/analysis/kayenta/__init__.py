"""Kayenta's canary judge, for teams that come from Spinnaker: same configuration, same scores."""

from __future__ import annotations

from .check import Kayenta
from .judge import KayentaJudge, KayentaMetric

__all__ = [
    "Kayenta",
    "KayentaJudge",
    "KayentaMetric",
]
