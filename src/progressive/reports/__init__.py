"""Reports of rollouts as pages and pictures, out of their notes: ``from progressive.reports import
report``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from progressive.lazy import lazily

if TYPE_CHECKING:
    from .reporting import RolloutReport, report
else:
    __getattr__, __dir__ = lazily(__name__, {".reporting": "RolloutReport report"})

__all__ = ["RolloutReport", "report"]
