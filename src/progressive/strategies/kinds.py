"""The strategies that come with the library."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from .blue_green import BlueGreen
from .canary import Canary
from .revert import Revert

__all__ = ["STRATEGIES", "AnyStrategy"]

STRATEGIES: Final[tuple[type[Any], ...]] = (BlueGreen, Canary, Revert)

AnyStrategy: TypeAlias = BlueGreen | Canary | Revert
"""Every strategy that has a stored form."""
