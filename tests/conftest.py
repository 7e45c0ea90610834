"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# A machine that does many things at once is slow now and then; no example is wrong because it took long.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
