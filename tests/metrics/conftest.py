"""What every test of these is given."""

from __future__ import annotations

from tests.support.reporting_api import api, running

__all__ = ["api", "running"]
