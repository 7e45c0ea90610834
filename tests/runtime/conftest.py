"""What the tests of the drivers are given."""

from __future__ import annotations

import pytest
from tests.support.driven import Colour


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> Colour:
    return Colour(request.param)
