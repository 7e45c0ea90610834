"""What every test of this provider is given."""

from __future__ import annotations

import pytest
from tests.support.scraped import ZERO, World


@pytest.fixture
def world() -> World:
    """A server that has scraped the job for long."""
    made = World()
    made.server.add(ZERO - 600_000, 1, name="up", job="shop", instance="of old")
    return made
