"""The step kinds that come with the library: one file each, and one line here."""

from __future__ import annotations

from typing import Any, Final

from .analyze import Analyze
from .approval import Approval
from .bake import Bake
from .hook import Hook
from .pause import Pause
from .set_weight import SetWeight

__all__ = ["KINDS", "Analyze", "Approval", "Bake", "Hook", "Pause", "SetWeight"]

KINDS: Final[tuple[type[Any], ...]] = (Analyze, Approval, Bake, Hook, Pause, SetWeight)
