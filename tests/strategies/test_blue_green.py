"""The steps that a blue-green is, and what guards them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.descriptions import LIMIT

from progressive import BlueGreen


@pytest.mark.parametrize(
    "mend", [{"checks": [LIMIT]}, {"unguarded": "the load test says enough"}], ids=str
)
def test_a_blue_green_that_judges_only_its_preview_is_mended_as_its_message_says(
    mend: dict[str, Any],
) -> None:
    assert (
        BlueGreen(preview_hook="smoke", preview_checks=[LIMIT], **mend).plan.analyses[-1].name
        == "preview"
    )
