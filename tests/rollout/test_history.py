"""What became of a rollout, as its state and its notes tell it."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest
from tests.support.store_contract import AT, a_rollout, ended, some_notes

from progressive import Abort, Phase, Traffic, percent
from progressive.rollout import EventRecorded, Judged, Note, PhaseEntered, Verified
from progressive.rollout.history import ended_of


def minute(n: float) -> timedelta:
    return timedelta(minutes=n)


def entered(n: int, phase: Phase, why: str, by: str = "engine") -> Note:
    return PhaseEntered(at=AT + minute(n), phase=phase.value, step="", epoch=n, why=why, by=by)


def judged(n: int, check: str, verdict: str) -> Judged:
    return Judged(at=AT + minute(n), analysis="checks", check=check, verdict=verdict, why="")


def serves(n: int, share: int) -> Note:
    return Verified(at=AT + minute(n), traffic=Traffic(candidate=percent(share)), version=None)


BACK = (
    entered(0, Phase.PROGRESSING, "preflight passed"),
    serves(1, 10),
    judged(2, "errors", "pass"),
    judged(2, "latency", "pass"),
    serves(3, 50),
    judged(4, "errors", "fail"),
    entered(5, Phase.HELD, "inconclusive"),
    entered(6, Phase.ROLLING_BACK, "errors: 5 % is above 1 %"),
    judged(6, "latency", "fail"),
    entered(7, Phase.ROLLING_BACK, "aborted: enough", "eve"),
    EventRecorded(at=AT + minute(7), event=Abort(at=AT + minute(7), by="eve", why="enough")),
    serves(8, 0),
    entered(9, Phase.ROLLED_BACK, "0 % was read back"),
)
"""A check failed, and somebody aborted what was on its way back already."""


def test_a_way_back_is_told_by_what_began_it_and_by_the_evidence_of_then() -> None:
    found = ended_of(ended(a_rollout()), BACK)

    assert found is not None
    assert (found.by, found.why) == ("engine", "errors: 5 % is above 1 %")
    assert (found.began, found.ended) == (AT, AT + minute(9))
    assert found.evidence == (BACK[3], BACK[5])
    assert found.people == (Abort(at=AT + minute(7), by="eve", why="enough"),)
    assert (found.exposure, found.promoted) == (percent(50), False)
    assert str(found) == (
        "2026-11-23 09:09:00 checkout-42: v1 -> v2 rolled back by engine after 50 % "
        "(errors: 5 % is above 1 %)"
    )


def test_a_promotion_is_told_by_what_made_it() -> None:
    promoted = attrs.evolve(
        a_rollout(), progress=attrs.evolve(a_rollout().progress, phase=Phase.PROMOTED)
    )
    notes = (
        *some_notes(0),
        serves(1, 100),
        judged(2, "errors", "pass"),
        entered(3, Phase.PROMOTED, "promoted now: it is urgent", "zoë"),
        judged(4, "errors", "no_data"),
    )

    found = ended_of(promoted, notes)

    assert found is not None
    assert found.promoted
    assert (found.by, found.why) == ("zoë", "promoted now: it is urgent")
    assert found.ended == AT + minute(3)
    assert found.evidence == (notes[3],)
    assert [said.kind for said in found.people] == ["hold"]
    assert found.exposure == percent(100)


def test_without_notes_the_state_alone_tells() -> None:
    over = ended(a_rollout())
    over = attrs.evolve(over, progress=attrs.evolve(over.progress, reason="aborted: enough"))

    found = ended_of(over, ())

    assert found is not None
    assert (found.by, found.why, found.ended) == ("", "aborted: enough", over.clocks.entered)
    assert (found.evidence, found.people, found.exposure) == ((), (), percent(0))


@pytest.mark.parametrize(
    "phase", [Phase.PENDING, Phase.PROGRESSING, Phase.HELD, Phase.ROLLING_BACK]
)
def test_what_has_not_ended_is_no_history(phase: Phase) -> None:
    active = attrs.evolve(a_rollout(), progress=attrs.evolve(a_rollout().progress, phase=phase))

    assert ended_of(active, BACK) is None
