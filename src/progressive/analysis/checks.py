"""The check kinds that stored state may name."""

from __future__ import annotations

from typing import Final

from .kayenta import Kayenta
from .limit import Limit
from .mann_whitney import MannWhitney
from .no_worse import NoWorse
from .sample_ratio import SampleRatio

__all__ = ["CHECKS"]

CHECKS: Final = (Kayenta, Limit, MannWhitney, NoWorse, SampleRatio)
