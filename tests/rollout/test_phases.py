"""Which phase may follow which."""

from __future__ import annotations

import pytest

from progressive import Phase
from progressive.rollout.phases import FINAL, TRANSITIONS, moved


def test_no_final_phase_is_left_and_every_other_one_can_be() -> None:
    assert (
        {phase for phase, following in TRANSITIONS.items() if not following}
        == FINAL
        == {Phase.PROMOTED, Phase.ROLLED_BACK}
    )
    for old in Phase:
        for new in Phase:
            if new in TRANSITIONS[old]:
                assert moved(old, new) is new
            else:
                with pytest.raises(
                    AssertionError, match=f"{old.value} -> {new.value} is not in TRANSITIONS"
                ):
                    moved(old, new)
