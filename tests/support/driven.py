"""A provider that answers, for drivers that are given everything."""

from __future__ import annotations

from tests.support.world import ERRORS

from progressive.testing import ScriptedMetrics, steady

ANSWERS = ScriptedMetrics({ERRORS: steady(50)})
