"""Reports of rollouts as pages and pictures, out of their notes: ``from progressive.reports import
report``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from progressive.lazy import lazily

if TYPE_CHECKING:
    from .many import OverviewReport, overview
    from .reporting import RolloutReport, report
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {".many": "OverviewReport overview", ".reporting": "RolloutReport report"},
    )

__all__ = ["OverviewReport", "RolloutReport", "overview", "report"]
