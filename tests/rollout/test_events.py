"""What happens to a rollout, and who says so."""

from __future__ import annotations

import pytest
from tests.support.world import START

from progressive import Abort


@pytest.mark.parametrize("by", ["", " "])
def test_a_person_has_a_name_and_a_reason(by: str) -> None:
    from progressive import StrategyError

    with pytest.raises(StrategyError, match="says nothing; the audit trail needs who and why"):
        Abort(at=START, by=by, why="why")
