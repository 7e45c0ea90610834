"""Strategies: descriptions that compile to a plan. Canary and blue-green differ only in the plan they compile to."""

from __future__ import annotations

from typing import Any, Final

from .blue_green import BlueGreen
from .canary import Canary

__all__ = ["STRATEGIES", "BlueGreen", "Canary"]

STRATEGIES: Final[tuple[type[Any], ...]] = (BlueGreen, Canary)
