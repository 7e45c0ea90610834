"""The test of the tests: faults put into the engine on purpose, each of which a directed test must
catch, every time.

A fault is one line of the library replaced in a copy of it; the test that is named for it then runs
against the copy, and must fail.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
from tests.support.paths import ROOT, TESTS

import progressive

pytestmark = pytest.mark.slow


@attrs.frozen
class Fault:
    """``old`` becomes ``new`` in ``file``; ``caught_by`` must notice."""

    name: str
    file: str
    old: str
    new: str
    caught_by: str


FAULTS = (
    Fault(
        "raise_without_instances",
        "engine/decide.py",
        "if (short := capacity.short_of(draft, target)) is not None:",
        "if False and (short := capacity.short_of(draft, target)) is not None:",
        "engine/test_capacity.py::test_traffic_is_raised_only_to_what_can_carry_it",
    ),
    Fault(
        "overload_stable_in_silence",
        "engine/transitions.py",
        "if stable is None or stable.able.ppm == MILLION or draft.clocks.stepped >= OVERLOADED:",
        "if True:",
        "engine/test_capacity.py::test_the_way_back_to_a_small_stable_goes_in_steps_and_a_person_is_told_at_once",
    ),
    Fault(
        "overload_stable_for_ever",
        "engine/transitions.py",
        "draft.clocks.stepped >= OVERLOADED",
        "False",
        "engine/test_capacity.py::test_after_ten_minutes_it_goes_back_all_the_same",
    ),
    Fault(
        "raise_to_spare_stable",
        "engine/transitions.py",
        "    left = -(-(MILLION",
        "    most = MILLION\n    left = -(-(MILLION",
        "engine/test_capacity.py::test_what_was_taken_back_by_hand_is_not_raised_again_for_a_small_stable",
    ),
    Fault(
        "ignore_drift",
        "engine/routing.py",
        "    if not moved:\n        return\n",
        "    if True:\n        return\n",
        "engine/test_routing.py::test_drift_above_is_written_down_at_once_and_the_third_time_goes_back",
    ),
    Fault(
        "edited_and_put_back_unseen",
        "engine/routing.py",
        "and served.version != before.version",
        "and False",
        "engine/test_routing.py::test_edited_and_put_back_between_two_ticks_starts_the_bake_anew",
    ),
    Fault(
        "abort_by_reading",
        "engine/decide.py",
        "        and draft.routing.acked_epoch >= draft.progress.epoch\n",
        "",
        "engine/test_writing.py::test_an_abort_writes_even_where_0_percent_is_read_already",
    ),
    Fault(
        "raise_before_it_is_saved",
        "runtime/protocol.py",
        'getattr(command, "epoch", kept_epoch) != kept_epoch',
        "False",
        "runtime/test_drive.py::test_without_a_store_traffic_is_raised_only_by_the_tick_after_the_one_that_decided_it",
    ),
    Fault(
        "raise_while_the_store_is_down",
        "runtime/protocol.py",
        "            down = saved.failed\n            if down is None:\n                "
        "expected, kept_epoch, unsaved",
        "            down = None\n            if down is None:\n                expected, "
        "kept_epoch, unsaved",
        "runtime/test_protocol.py::test_nothing_is_raised_while_the_store_is_down",
    ),
    Fault(
        "abort_waits_for_the_store",
        "runtime/protocol.py",
        "if isinstance(command, Apply) and _lowers(command, rollout):",
        "if isinstance(command, Apply) and _lowers(command, rollout) and down is None:",
        "engine/test_routing.py::test_the_store_down_during_an_abort_stays_aborted",
    ),
    Fault(
        "closed_marker_ignored",
        "engine/ownership.py",
        "if marker.closed and routing.ownership_confirmed:",
        "if False:",
        "engine/test_routing.py::test_rollback_now_beside_a_sleeping_driver_stays_rolled_back",
    ),
    Fault(
        "newer_generation_ignored",
        "engine/ownership.py",
        "if is_taken_over(draft, marker):",
        "if False:",
        "engine/test_routing.py::test_another_rollout_that_claimed_the_router_is_left_alone",
    ),
    Fault(
        "hold_keeps_the_raise",
        "engine/transitions.py",
        "if draft.routing.desired.exceeds(draft.routing.last_verified):",
        "if False:",
        "engine/test_routing.py::test_a_hold_during_a_raise_goes_back_to_what_was_verified",
    ),
    Fault(
        "lag_written_again",
        "engine/routing.py",
        "retry_at=event.at + LAG",
        "retry_at=event.at",
        "engine/test_writing.py::test_a_lagging_router_is_not_written_twice_in_one_retry_time",
    ),
    Fault(
        "parts_that_disagree_are_done",
        "model/router_state.py",
        "return self.traffic == traffic and self.converged and",
        "return self.traffic == traffic and",
        "engine/test_routing.py::test_a_router_whose_parts_disagree_is_never_done",
    ),
    Fault(
        "no_data_is_a_pass",
        "analysis/check_state.py",
        "verdict is Verdict.FAIL, verdict is Verdict.PASS",
        "verdict is Verdict.FAIL, verdict in (Verdict.PASS, Verdict.NO_DATA)",
        "engine/test_measuring.py::test_silence_on_both_waits_and_silence_on_the_candidate_alone_goes_back",
    ),
    Fault(
        "no_data_for_ever",
        "analysis/check_state.py",
        "budget.within is not None and stretch >= budget.within",
        "False",
        "engine/test_measuring.py::test_who_is_blind_goes_back_after_four_looks_and_two_minutes",
    ),
    Fault(
        "nan_compares_as_kept",
        "analysis/plain_bounds.py",
        "math.isfinite(value)\n            and math.isfinite(limit)\n            and (",
        "not math.isfinite(value)\n            or (",
        "engine/test_measuring.py::test_comparisons_with_nan_never_pass",
    ),
    Fault(
        "failing_check_dropped",
        "engine/measuring.py",
        "if action is Action.ROLL_BACK:",
        "if False:",
        "engine/test_measuring.py::test_a_failing_check_reaches_the_router_from_the_raw_answer_on",
    ),
    Fault(
        "promoted_without_evidence",
        "analysis/check_state.py",
        "        not state.passes_at_weight\n        or",
        "        False\n        or",
        "engine/test_measuring.py::test_nothing_is_raised_before_the_sample_is_enough",
    ),
    Fault(
        "measurements_absorbed_last",
        "engine/decide.py",
        "_RANK: Final = {kind: rank for rank, kind in enumerate(EVENTS)}",
        "_RANK: Final = {kind: -rank for rank, kind in enumerate(EVENTS)}",
        "engine/test_measuring.py::test_a_failing_look_in_the_round_in_which_the_traffic_drifts_still_counts",
    ),
    Fault(
        "order_of_replies_shows",
        "engine/decide.py",
        "        ordered = sorted(events, key=key)\n",
        "        return events\n",
        "engine/test_operator.py::test_an_approval_that_races_an_abort_loses",
    ),
    Fault(
        "clock_forward_is_baked",
        "engine/routing.py",
        "if at - last > draft.plan.watch_every:",
        "if False:",
        "engine/test_clocks.py::test_time_that_nobody_watched_is_not_bake_time",
    ),
    Fault(
        "clock_back_freezes_the_bake",
        "engine/clocks.py",
        "    if now < clocks.now:\n        if not",
        "    if now < clocks.now:\n        draft.now = clocks.now\n        return\n        if not",
        "engine/test_clocks.py::test_a_clock_that_steps_back_credits_nothing_and_does_not_stop_the_bake",
    ),
    Fault(
        "every_swing_between_two_clocks_is_credited",
        "engine/readings.py",
        "    further = readings[:slower]\n",
        "    further = readings[:0]\n",
        "engine/test_readings.py::test_a_pause_is_as_long_as_it_says",
    ),
    Fault(
        "missing_requests_are_quiet",
        "analysis/split.py",
        "            after, missing = Split(missing=True), True\n",
        "            after = Split()\n",
        "engine/test_missing.py::test_it_goes_back_within_minutes",
    ),
    Fault(
        "a_healthy_time_hides_harm",
        "analysis/no_worse.py",
        "return again(state) if state is not None and weight > last else state, (weight,)",
        "return state, (weight,)",
        "analysis/test_no_worse.py::"
        "test_harm_that_begins_with_a_raise_is_not_hidden_by_a_healthy_time_before",
    ),
    Fault(
        "a_raise_makes_capital_from_nothing",
        "stats/evidence.py",
        "kept(summed([_STAYS + each, fund + weight]))",
        "kept(summed([each, fund + weight]))",
        "stats/test_increase.py::test_to_begin_again_neither_gains_nor_loses",
    ),
    Fault(
        "what_is_held_back_is_never_bet",
        "stats/evidence.py",
        "return _ANEW + bet if held_back is None else summed([_ANEW + bet, _HALF + held_back])",
        "return _ANEW + bet",
        "stats/test_begin_again.py::test_no_healthy_time_is_too_long",
    ),
    Fault(
        "a_healthy_time_hides_slowness",
        "stats/histogram_tails.py",
        "        bet_anew(of_tilts, _LOG_EQUAL, anew),\n",
        "        of_tilts,\n",
        "stats/test_begin_again.py::test_to_begin_again_neither_gains_nor_loses",
    ),
    Fault(
        "the_candidate_excuses_itself",
        "stats/clumps.py",
        "return min(own, between) / (n * variance)",
        "return between / (n * variance)",
        "analysis/comparisons/test_clumped.py::test_bad_times_of_the_candidate_alone_are_not_said",
    ),
    Fault(
        "what_both_have_is_a_clump",
        "stats/clumps.py",
        "return min(own, between) / (n * variance)",
        "return own / (n * variance)",
        "analysis/comparisons/test_clumped.py::test_a_bad_time_that_both_have_is_not_said",
    ),
    Fault(
        "early_looks_where_a_step_counts_them",
        "plan/plan.py",
        "                and name not in counted\n",
        "",
        "engine/test_early_looks.py::test_not_where_a_step_counts_the_looks",
    ),
    Fault(
        "what_can_t_be_judged_stays_in_every_window",
        "engine/measuring.py",
        "            if state.refused >= REFUSALS:\n",
        "            if False:\n",
        "engine/test_left_out.py::test_one_bad_moment_is_left_out_and_said",
    ),
    Fault(
        "a_candidate_is_removed_while_traffic_leads_to_it",
        "engine/retirement.py",
        "    if alone and lacks is None:\n",
        "    if True:\n",
        "engine/test_removal.py::test_it_stays_while_the_router_leads_to_it_or_stable_can_t_carry_all",
    ),
    Fault(
        "bake_from_the_decision",
        "steps/standard.py",
        "left = self.duration - situation.watched",
        "left = self.duration - situation.stepped",
        "engine/test_clocks.py::test_time_that_nobody_watched_is_not_bake_time",
    ),
    Fault(
        "no_deadline",
        "engine/decide.py",
        "    if left <= ZERO and not draft.clocks.gap:\n"
        "        return _miss_deadline(draft, deadline, f",
        "    if False:\n        return _miss_deadline(draft, deadline, f",
        "engine/test_operator.py::test_nobody_approves",
    ),
    Fault(
        "gate_not_asked",
        "engine/writing.py",
        "named = [gate for gate in draft.plan.gates if not draft.waived(gate)]",
        "named: list[str] = []",
        "engine/test_results.py::test_a_gate_is_asked_before_every_raise_and_never_before_lowering",
    ),
    Fault(
        "json_drops_the_bake",
        "codec/schema.py",
        "        own = [field for field in attrs.fields(kind) if field.init]",
        "        own = [field for field in attrs.fields(kind) if field.init and "
        'field.name != "watched"]',
        "engine/test_durability.py::test_every_driver_reloads_from_json_and_decides_the_same",
    ),
    Fault(
        "final_can_be_aborted",
        "engine/decide.py",
        "if draft.final and type(event) not in _HEARD_WHEN_FINAL:",
        "if False:",
        "engine/test_durability.py::test_a_final_phase_absorbs_every_event",
    ),
    Fault(
        "claim_without_metrics",
        "engine/preflight.py",
        "        and all(probe.answered for probe in draft.evidence.probes)\n",
        "",
        "engine/test_preflight.py::test_nothing_is_written_before_the_metrics_answer",
    ),
    Fault(
        "windows_from_the_decision",
        "engine/windows.py",
        "start = begun + analysis.warmup",
        "start = draft.clocks.created",
        "engine/test_windows.py::test_windows_lie_inside_verified_traffic_and_never_overlap",
    ),
    Fault(
        "tails_are_lost",
        "engine/windows.py",
        "                tail = Tail(start=state.start, end=end, tracks=state.tracks)\n",
        "                pass\n",
        "engine/test_windows.py::test_a_lagging_metric_is_asked_when_its_numbers_are_complete",
    ),
    Fault(
        "alarm_never",
        "stats/capping.py",
        "    return max(needed, averaged((mixture, small), _PARTS))\n",
        "    return 0.0\n",
        "engine/test_measuring.py::test_a_failing_check_reaches_the_router_from_the_raw_answer_on",
    ),
    Fault(
        "nothing_kept_back_for_later",
        "stats/bound.py",
        "            bet += RESERVE / (changes * (changes + 1))\n",
        "",
        "stats/test_bound.py::test_later_looks_and_new_traffic_get_what_was_kept_back_and_no_more",
    ),
    Fault(
        "bet_without_paying",
        "stats/bound.py",
        "left = RESERVE / max(looks, 1) + RESERVE / (changes + 1)",
        "left = 2 * RESERVE",
        "stats/test_bound.py::test_the_capital_expects_no_growth_if_the_bound_is_kept",
    ),
    Fault(
        "excluded_once_for_all",
        "analysis/bounded_rate.py",
        "look if moved else _sum(here, look)",
        "_sum(here, look)",
        "analysis/test_tested_limit.py::test_at_each_weight_it_excludes_anew_and_evidence_of_a_breach_goes_on",
    ),
    Fault(
        "stable_excuses_everything",
        "analysis/bounded_rate.py",
        "if other[0] <= self.rate * other[1] or _is_worse(sides):",
        "if other[0] <= self.rate * other[1]:",
        "analysis/test_tested_limit.py::test_huge_counts_are_compared_at_once",
    ),
)


def run_against(package: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join((str(package.parent), str(ROOT)))
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            "-c",
            os.devnull,
            f"--rootdir={ROOT}",
            *(str(TESTS / each) for each in tests),
        ],
        env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=package.parent,
    )


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the library to put a fault into."""
    source = Path(progressive.__file__).parent
    return Path(
        shutil.copytree(
            source, tmp_path / "progressive", ignore=shutil.ignore_patterns("__pycache__")
        )
    )


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_seeded_fault_is_caught(fault: Fault, package: Path) -> None:
    file = package / fault.file
    text = file.read_text(encoding="utf-8")
    assert text.count(fault.old) == 1, (
        f"{fault.name}: {fault.old!r} stands {text.count(fault.old)} times in {fault.file}"
    )
    file.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
    done = run_against(package, fault.caught_by)

    assert done.returncode == 1, (
        f"{fault.name} was not caught by "
        f"{fault.caught_by}:\n{done.stdout[-2_000:]}{done.stderr[-2_000:]}"
    )


def test_the_unchanged_library_passes_what_catches_the_faults(package: Path) -> None:
    """All of them in one run: what fails for a fault fails for that fault alone."""
    done = run_against(package, *sorted({fault.caught_by for fault in FAULTS}))

    assert done.returncode == 0, done.stdout[-2_000:]
