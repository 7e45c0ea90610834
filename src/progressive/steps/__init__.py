"""The step kinds that come with the library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from progressive.lazy import lazily

if TYPE_CHECKING:
    from .standard import KINDS, Analyze, Approval, Bake, Hook, Pause, SetWeight
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            ".standard": "KINDS Analyze Approval Bake Hook Pause SetWeight",
        },
    )

__all__ = ["KINDS", "Analyze", "Approval", "Bake", "Hook", "Pause", "SetWeight"]
