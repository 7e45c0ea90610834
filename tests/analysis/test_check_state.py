"""What looks add up to."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.checks import ERROR, FAIL, INCONCLUSIVE, NO_DATA, PASS
from tests.support.rules import rule
from tests.support.world import START

from progressive import Action, Budget, Tolerance, minutes, seconds
from progressive.analysis import Judgement, Verdict
from progressive.analysis.check_state import CheckState, action_for, reset_failures, update

MISSING = Verdict.MISSING


def told(
    *verdicts: Any, tolerance: Tolerance | None = None, begin: CheckState | None = None
) -> CheckState:
    """The tally after looks with these verdicts; ``starved`` is a NO_DATA of the candidate
    alone.
    """
    check_state, every = begin or CheckState(), seconds(30)
    for n, verdict in enumerate(verdicts):
        starved = verdict == "starved"
        judgement = Judgement(
            verdict=NO_DATA if starved else verdict, why=f"look {n}", starved=starved
        )
        check_state = update(
            check_state,
            judgement,
            None,
            tolerance or Tolerance(),
            start=START + n * every,
            end=START + (n + 1) * every,
        )
    return check_state


QUICK = Tolerance(no_answer=Budget(looks=3, within=seconds(1), then=Action.ROLL_BACK, both=True))
BEFORE = Tolerance(no_answer=Budget(within=minutes(15), then=Action.ROLL_BACK))

FAILING: tuple[tuple[str, Tolerance, tuple[Verdict, ...], bool], ...] = (
    ("one of two in a row", Tolerance(), (FAIL,), False),
    ("two in a row", Tolerance(), (FAIL, FAIL), True),
    ("a pass between them", Tolerance(), (FAIL, PASS, FAIL), False),
    ("silence between them is no pass", Tolerance(), (FAIL, NO_DATA, FAIL), True),
    ("an unclear one between them is no pass", Tolerance(), (FAIL, INCONCLUSIVE, FAIL), True),
    ("one is enough", Tolerance(in_a_row=1), (FAIL,), True),
    ("none tolerated in all", Tolerance(in_a_row=9, failures=0), (PASS, FAIL), True),
    ("two tolerated in all", Tolerance(in_a_row=9, failures=2), (FAIL, PASS, FAIL, PASS), False),
    (
        "a third is one too many",
        Tolerance(in_a_row=9, failures=2),
        (FAIL, PASS, FAIL, PASS, FAIL),
        True,
    ),
    ("a pass after it ends it", Tolerance(in_a_row=1), (FAIL, PASS), False),
)


@rule("R17")
@pytest.mark.parametrize(
    ("tolerance", "verdicts", "failed"),
    [case[1:] for case in FAILING],
    ids=[case[0] for case in FAILING],
)
@pytest.mark.parametrize("then", [Action.ROLL_BACK, Action.HOLD])
def test_failing_looks_become_a_failed_check(
    tolerance: Tolerance, verdicts: tuple[Verdict, ...], failed: bool, then: Action
) -> None:
    tolerance = attrs.evolve(tolerance, then=then)
    check_state = told(*verdicts, tolerance=tolerance)

    assert check_state.failed is failed
    for full in (False, True):
        found = action_for(check_state, tolerance, full=full)
        assert found == ((then, check_state.why) if failed else None)


BUDGETS: tuple[tuple[str, Tolerance, tuple[Any, ...], bool, Action | None], ...] = (
    ("one unclear look", Tolerance(), (INCONCLUSIVE,), False, Action.HOLD),
    (
        "two are tolerated",
        Tolerance(inconclusive=Budget(looks=2)),
        (INCONCLUSIVE,) * 2,
        False,
        None,
    ),
    (
        "a third is not",
        Tolerance(inconclusive=Budget(looks=2)),
        (INCONCLUSIVE,) * 3,
        False,
        Action.HOLD,
    ),
    (
        "unless something else came between",
        Tolerance(inconclusive=Budget(looks=2)),
        (INCONCLUSIVE,) * 2 + (PASS, INCONCLUSIVE),
        False,
        None,
    ),
    (
        "in all it is a third, whatever came between",
        Tolerance(inconclusive=Budget(looks=2, in_all=2)),
        (INCONCLUSIVE,) * 2 + (PASS, FAIL, "starved", ERROR, INCONCLUSIVE),
        False,
        Action.HOLD,
    ),
    (
        "in all there are two",
        Tolerance(inconclusive=Budget(in_all=2)),
        (INCONCLUSIVE, PASS, FAIL, "starved", ERROR, INCONCLUSIVE),
        False,
        None,
    ),
    (
        "each verdict is counted in its own budget",
        Tolerance(
            inconclusive=Budget(in_all=1),
            no_data=Budget(in_all=1),
            no_answer=Budget(in_all=1),
            missing=Budget(in_all=1),
        ),
        (INCONCLUSIVE, PASS, "starved", PASS, ERROR, PASS, MISSING),
        False,
        None,
    ),
    *(
        (
            f"a second of {verdict} is one too many",
            Tolerance(
                inconclusive=Budget(in_all=1),
                no_data=Budget(in_all=1),
                no_answer=Budget(in_all=1),
                missing=Budget(in_all=1),
            ),
            (INCONCLUSIVE, PASS, "starved", PASS, ERROR, PASS, MISSING, PASS, verdict),
            False,
            Action.HOLD,
        )
        for verdict in (INCONCLUSIVE, "starved", ERROR, MISSING)
    ),
    ("errors for two minutes after the first", Tolerance(), (ERROR,) * 5, False, Action.ROLL_BACK),
    ("for less", Tolerance(), (ERROR,) * 4, False, None),
    ("at full traffic it holds instead", Tolerance(), (ERROR,) * 5, True, Action.HOLD),
    ("three looks are too few, whatever they took", QUICK, (ERROR,) * 3, False, None),
    ("and a fourth is one too many", QUICK, (ERROR,) * 4, False, Action.ROLL_BACK),
    (
        "errors for fifteen minutes, as stored before",
        BEFORE,
        (ERROR,) * 30,
        False,
        Action.ROLL_BACK,
    ),
    ("for less, as stored before", BEFORE, (ERROR,) * 29, False, None),
    ("the candidate alone is silent", Tolerance(), ("starved",) * 30, False, Action.ROLL_BACK),
    ("and at full traffic", Tolerance(), ("starved",) * 30, True, Action.HOLD),
    ("both are silent: the step's deadline decides", Tolerance(), (NO_DATA,) * 300, False, None),
    (
        "another kind of unclear begins anew",
        Tolerance(),
        (ERROR,) * 4 + ("starved",) * 20 + (ERROR,) * 4,
        False,
        None,
    ),
    (
        "nothing is too long for a budget that waits",
        Tolerance(no_answer=Budget(then=Action.WAIT)),
        (ERROR,) * 300,
        False,
        None,
    ),
    (
        "whichever comes first",
        Tolerance(no_answer=Budget(looks=3, within=minutes(9), then=Action.ROLL_BACK)),
        (ERROR,) * 4,
        False,
        Action.ROLL_BACK,
    ),
)


@rule("R13", "R14", "R20")
@pytest.mark.parametrize(
    ("tolerance", "verdicts", "full", "action"),
    [case[1:] for case in BUDGETS],
    ids=[case[0] for case in BUDGETS],
)
def test_what_is_neither_pass_nor_fail_has_a_budget(
    tolerance: Tolerance, verdicts: tuple[Any, ...], full: bool, action: Action | None
) -> None:
    found = action_for(told(*verdicts, tolerance=tolerance), tolerance, full=full)

    assert (None if found is None or found[0] is Action.WAIT else found[0]) is action


def test_a_tally_counts_and_a_resume_forgives_without_forgetting_what_was_learned() -> None:
    check_state = attrs.evolve(told(PASS, FAIL, NO_DATA, FAIL), memory=(1.0, 2.0))
    assert (
        check_state.looks,
        check_state.passes,
        check_state.passes_at_weight,
        check_state.looks_at_weight,
        check_state.failures,
        check_state.consecutive_failures,
    ) == (4, 1, 1, 4, 2, 2)
    forgiven = reset_failures(check_state)

    assert (
        forgiven.failed,
        forgiven.failures,
        forgiven.consecutive_failures,
        forgiven.stuck_verdict,
    ) == (
        False,
        0,
        0,
        None,
    )
    tolerance = Tolerance(inconclusive=Budget(in_all=1))
    twice = told(INCONCLUSIVE, PASS, INCONCLUSIVE, tolerance=tolerance)
    assert action_for(twice, tolerance, full=False) is not None
    resumed = told(INCONCLUSIVE, tolerance=tolerance, begin=reset_failures(twice))
    assert action_for(resumed, tolerance, full=False) is None
    assert (forgiven.looks, forgiven.passes, forgiven.memory) == (4, 1, (1.0, 2.0))


def test_long_reasons_are_cut_in_the_state() -> None:
    check_state = update(
        CheckState(),
        Judgement(verdict=PASS, why="x" * 1_000),
        None,
        Tolerance(),
        start=START,
        end=START,
    )

    assert check_state.why == "x" * 160


@given(
    st.lists(st.sampled_from([PASS, FAIL, INCONCLUSIVE, NO_DATA, ERROR, "starved"]), max_size=40)
)
def test_only_a_pass_ever_counts_as_a_pass(verdicts: list[Any]) -> None:
    check_state = told(*verdicts)

    assert check_state.passes == verdicts.count(PASS)
    assert check_state.looks == len(verdicts)
    assert check_state.failures == verdicts.count(FAIL)
    assert check_state.failed <= (FAIL in verdicts[-1:])
