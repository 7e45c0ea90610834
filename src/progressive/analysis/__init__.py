"""The checks that come with the library, one file for each kind."""

from __future__ import annotations

from typing import Final

from .kayenta.check import Kayenta
from .limit import Bound, Limit
from .mann_whitney import MannWhitney
from .no_worse import NoWorse
from .sample_ratio import SampleRatio

__all__ = ["CHECKS", "Bound", "Kayenta", "Limit", "MannWhitney", "NoWorse", "SampleRatio"]

CHECKS: Final = (Kayenta, Limit, MannWhitney, NoWorse, SampleRatio)
"""The check kinds that stored state may name."""
