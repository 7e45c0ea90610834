"""What holds for every test."""

from __future__ import annotations

import os

from hypothesis import settings
from tests.mutation import pytest_collection_modifyitems

__all__ = ["pytest_collection_modifyitems"]

# A machine that does many things at once is slow now and then; no example is wrong because it took
# long.
settings.register_profile("patient", deadline=None)
settings.register_profile("brief", deadline=None, max_examples=20, derandomize=True, database=None)
settings.load_profile(os.environ.get("PROGRESSIVE_HYPOTHESIS", "patient"))
