"""Strategies: descriptions that compile to a plan, and differ only in that plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from progressive.lazy import lazily

if TYPE_CHECKING:
    from .blue_green import BlueGreen
    from .canary import Canary
    from .kinds import STRATEGIES, AnyStrategy
    from .revert import Revert
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            ".blue_green": "BlueGreen",
            ".canary": "Canary",
            ".kinds": "STRATEGIES AnyStrategy",
            ".revert": "Revert",
        },
    )

__all__ = ["STRATEGIES", "AnyStrategy", "BlueGreen", "Canary", "Revert"]
