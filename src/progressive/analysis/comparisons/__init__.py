"""Sequential comparisons of two tracks: one file for each kind of metric."""

from __future__ import annotations

from typing import TYPE_CHECKING

from progressive.lazy import lazily

if TYPE_CHECKING:
    from .of_kind import AnyAcceptance, AnyComparison, acceptance_of, comparison_of
else:
    __getattr__, __dir__ = lazily(
        __name__, {".of_kind": "AnyAcceptance AnyComparison acceptance_of comparison_of"}
    )

__all__ = ["AnyAcceptance", "AnyComparison", "acceptance_of", "comparison_of"]
