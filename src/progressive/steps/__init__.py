"""The step kinds that come with the library."""

from __future__ import annotations

from typing import Any, Final

from .standard import Analyze, Approval, Bake, Hook, Pause, SetWeight

__all__ = ["KINDS", "Analyze", "Approval", "Bake", "Hook", "Pause", "SetWeight"]

KINDS: Final[tuple[type[Any], ...]] = (Analyze, Approval, Bake, Hook, Pause, SetWeight)
