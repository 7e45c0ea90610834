"""What holds for every test."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings
from tests import mutation

# A machine that does many things at once is slow now and then; no example is wrong because it took
# long.
settings.register_profile("patient", deadline=None)
settings.register_profile("brief", deadline=None, max_examples=20, derandomize=True, database=None)
settings.load_profile(os.environ.get("PROGRESSIVE_HYPOTHESIS", "patient"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests first, so that no worker has one left when the others are done."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
    mutation.pytest_collection_modifyitems(items)
