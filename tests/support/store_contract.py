"""What the tests of stores save: the rollouts and notes with which
`progressive.testing.check_store` tries any store.
"""

from __future__ import annotations

from progressive.testing.contract.store_laws import HOSTILE
from progressive.testing.contract.store_trial import (
    AT,
    CANARY,
    a_rollout,
    all_notes,
    ended,
    some_notes,
    together,
)

__all__ = ["AT", "CANARY", "HOSTILE", "a_rollout", "all_notes", "ended", "some_notes", "together"]
