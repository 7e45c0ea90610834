"""Wrong stored states, each with the whole message that a person sees."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.rules import rule
from tests.support.world import World

from progressive import Phase, StateError, loads
from progressive.codec import loads_event, loads_note, loads_strategy

Stored = tuple[str, Callable[[Any], object], str]


def drop(where: Any, key: str) -> None:
    del where[key]


STATES: tuple[Stored, ...] = (
    (
        "an unknown key",
        lambda s: s["plan"]["steps"][1].update(durration=5),
        "$.plan.steps[1].durration: unknown key; Bake has duration, deadline, id",
    ),
    (
        "a key of another version",
        lambda s: s.update(mood="fine"),
        (
            "$.mood: unknown key; Rollout has id, release, plan, serial, progress, routing, "
            "evidence, clocks, wake_at, instances"
        ),
    ),
    (
        "a wrong type",
        lambda s: s["plan"]["steps"][1].update(duration="2m"),
        "$.plan.steps[1].duration: expected a number, got '2m'",
    ),
    (
        "a boolean for a number",
        lambda s: s.update(serial=True),
        "$.serial: expected a whole number, got True",
    ),
    (
        "a float for a whole number",
        lambda s: s["progress"].update(step=1.0),
        "$.progress.step: expected a whole number, got 1.0",
    ),
    (
        "a number for a word",
        lambda s: s["release"].update(service=7),
        "$.release.service: expected a string, got 7",
    ),
    (
        "a list for an object",
        lambda s: s.update(routing=[]),
        "$.routing: expected an object, got []",
    ),
    (
        "an object for a list",
        lambda s: s["evidence"].update(series={}),
        "$.evidence.series: expected a list, got {}",
    ),
    (
        "a pair of three",
        lambda s: s["routing"].update(sent=[1, 2, 3]),
        "$.routing.sent: expected a list of 2, got [1, 2, 3]",
    ),
    (
        "nothing where something must be",
        lambda s: drop(s["clocks"], "created"),
        "$.clocks.created: missing",
    ),
    ("no release", lambda s: drop(s, "release"), "$.release: missing"),
    (
        "an unknown step kind",
        lambda s: s["plan"]["steps"][1].update(kind="warm-up"),
        (
            "$.plan.steps[1].kind: unknown kind 'warm-up'; there are analyze, approval, bake, "
            "hook, pause, set_weight; your own class goes into Kinds(...)"
        ),
    ),
    (
        "an unknown check kind",
        lambda s: s["plan"]["analyses"][0]["checks"][0].update(kind="magic"),
        (
            "$.plan.analyses[0].checks[0].kind: unknown kind 'magic'; there are kayenta, "
            "limit, mann_whitney, no_worse, sample_ratio; "
            "your own class goes into Kinds(...)"
        ),
    ),
    (
        "a step of no kind",
        lambda s: drop(s["plan"]["steps"][0], "kind"),
        "$.plan.steps[0]: expected an object with a kind, got {'weight': 5, 'id': 'weight-5'}",
    ),
    (
        "an unknown phase",
        lambda s: s["progress"].update(phase="paused"),
        (
            "$.progress.phase: 'paused' is not one of pending, progressing, held, "
            "rolling_back, promoted, rolled_back"
        ),
    ),
    (
        "a time without a zone",
        lambda s: s["clocks"].update(now="2026-03-01T12:02:00"),
        "$.clocks.now: '2026-03-01T12:02:00' has no time zone; end it with Z",
    ),
    (
        "a time that is none",
        lambda s: s["clocks"].update(now="noon"),
        "$.clocks.now: expected a time such as 2026-01-31T09:30:00.000Z, got 'noon'",
    ),
    (
        "a duration without an end",
        lambda s: s["clocks"].update(ran=1e300),
        "$.clocks.ran: 1e+300 seconds is not a duration",
    ),
    (
        "a weight above all",
        lambda s: s["plan"]["steps"][0].update(weight=500),
        "$.plan.steps[0].weight: percent(500): expected a number from 0 to 100",
    ),
    (
        "weights that fall",
        lambda s: s["plan"]["steps"][2].update(weight=3),
        (
            "$.plan: steps[2].weight: 3 % is not above the 5 % before it; weights must rise "
            "(the way back is the rollback)"
        ),
    ),
    (
        "a bound of no unit",
        lambda s: s["plan"]["analyses"][0]["checks"][0].update(at_most={"ppm": 20}),
        (
            '$.plan.analyses[0].checks[0].at_most: expected {"percent": ..}, {"seconds": ..}, '
            "{\"times\": ..} or a number, got {'ppm': 20}"
        ),
    ),
    (
        "a bound in the wrong unit",
        lambda s: s["plan"]["analyses"][0]["checks"][0].update(at_most=0.02),
        (
            "$.plan.analyses[0].checks[0]: Limit(error-rate): at_most=0.02: a ratio takes "
            "percent(1) or times(1.5)"
        ),
    ),
    (
        "no times stable",
        lambda s: s["plan"]["analyses"][0]["checks"][0].update(at_most={"times": -2}),
        "$.plan.analyses[0].checks[0].at_most: times(-2): expected a finite number above 0",
    ),
    (
        "something to remember that is an object",
        lambda s: s["progress"].update(memory=[1, {"a": 1}]),
        "$.progress.memory[1]: expected numbers, strings or lists, got {'a': 1}",
    ),
    (
        "a match of something else",
        lambda s: s["plan"]["steps"][0].update(
            matches=[{"name": "x", "value": "1", "source": "query"}]
        ),
        "$.plan.steps[0].matches[0].source: 'query' is not one of header, cookie",
    ),
    (
        "a share of nothing",
        lambda s: s["routing"]["wanted"].update(candidate=None),
        "$.routing.wanted.candidate: percent(None): expected a number from 0 to 100",
    ),
    (
        "a newer format",
        lambda s: s.update(format=2),
        "$.format: format 2: written by a newer version of progressive; upgrade this driver",
    ),
    (
        "a format of nobody",
        lambda s: s.update(format="one"),
        "$.format: format 'one': this version reads format 1",
    ),
    (
        "no format",
        lambda s: drop(s, "format"),
        "$.format: format None: this version reads format 1",
    ),
    # -- what no decision can have led to
    (
        "a step past the plan",
        lambda s: s["progress"].update(step=6),
        "$.progress.step: 6 is not a step of a plan with 6",
    ),
    (
        "a step before the plan",
        lambda s: s["progress"].update(step=-1),
        "$.progress.step: -1 is not a step of a plan with 6",
    ),
    (
        "a negative serial",
        lambda s: s.update(serial=-1),
        "$.serial: serial and epoch are never negative",
    ),
    (
        "more traffic than the step's",
        lambda s: s["routing"]["wanted"].update(candidate=60),
        (
            "$.routing.wanted: it asks for 60 % candidate, and progressing in step 'bake-50' "
            "allows 50 % candidate"
        ),
    ),
    (
        "traffic on the way back",
        lambda s: s["progress"].update(phase="rolling_back"),
        (
            "$.routing.wanted: it asks for 50 % candidate, and rolling_back in step 'bake-50' "
            "allows 0 % candidate"
        ),
    ),
    (
        "held without a cause",
        lambda s: s["progress"].update(phase="held"),
        "$.progress.causes: a rollout is held exactly while it has causes; this one is held with 0",
    ),
    (
        "a cause without being held",
        lambda s: s["progress"].update(
            causes=[{"name": "x", "why": "y", "by": "eve", "person": True, "within": 60}]
        ),
        (
            "$.progress.causes: a rollout is held exactly while it has causes; this one is "
            "progressing with 1"
        ),
    ),
    (
        "evidence of another length",
        lambda s: s["evidence"]["tallies"].pop(),
        "$.evidence: it has 1 series and 1 tallies, the plan 1 and 2",
    ),
    (
        "no probe before the start",
        lambda s: (
            s["progress"].update(phase="pending", step=0)
            or s["routing"].update(wanted={}, claimed=False)
        ),
        (
            "$.evidence.probes: it has none, and before the start the plan's metrics "
            "error-rate must answer"
        ),
    ),
    (
        "traffic without a write",
        lambda s: s["routing"].update(touched=False),
        "$.routing.touched: progressing without a write is not possible",
    ),
    (
        "a retirement on the way",
        lambda s: s["progress"].update(retirement="due"),
        (
            "$.progress.retirement: due while progressing: only a promoted rollout retires the "
            "old version"
        ),
    ),
    (
        "nothing to wake up for",
        lambda s: s.update(wake_at=None),
        "$.wake_at: a rollout that is over has none, every other one has one",
    ),
    (
        "over, and awake",
        lambda s: s["progress"].update(phase="promoted", step=5),
        "$.wake_at: a rollout that is over has none, every other one has one",
    ),
)


@pytest.fixture(scope="module")
def stored() -> str:
    """A rollout in its second bake."""
    return World().until_weight(50).text


@rule("R33", "R34")
@pytest.mark.parametrize(
    ("change", "said"), [case[1:] for case in STATES], ids=[case[0] for case in STATES]
)
def test_a_wrong_state_says_where_what_and_what_instead(
    stored: str, change: Callable[[Any], object], said: str
) -> None:
    state = json.loads(stored)
    change(state)
    with pytest.raises(StateError) as caught:
        loads(json.dumps(state))

    assert str(caught.value) == said
    assert f"{caught.value.path}: {caught.value.why}" == said


TEXTS = (
    ("nothing", "", "$: not JSON: Expecting value: line 1 column 1 (char 0)"),
    (
        "cut",
        '{"format":1,"id":"r"',
        "$: not JSON: Expecting ',' delimiter: line 1 column 21 (char 20)",
    ),
    ("two", '{"format":1}{"format":1}', "$: not JSON: Extra data: line 1 column 13 (char 12)"),
    ("no number", '{"format":1,"serial":NaN}', "$: NaN is not a number that can be stored"),
    (
        "endless",
        '{"format":1,"serial":-Infinity}',
        "$: -Infinity is not a number that can be stored",
    ),
    (
        "twice the same key",
        '{"format":1,"id":"a","id":"b"}',
        "$: the key 'id' stands twice in one object",
    ),
    ("a list", "[1]", "$: expected an object, got [1]"),
    (
        "bytes that are no text",
        b'{"format":1,"id":"\xff"}',
        "$: not JSON: 'utf-8' codec can't decode byte 0xff in position 18: invalid start byte",
    ),
    ("very deep", '{"a":' * 70 + "1" + "}" * 70, "$: nested deeper than 64 levels"),
    ("very long", '"' + "x" * 100 + '"', f"$: expected an object, got '{'x' * 56}..."),
)


@rule("R34")
@pytest.mark.parametrize(
    ("text", "said"), [case[1:] for case in TEXTS], ids=[case[0] for case in TEXTS]
)
def test_a_text_that_is_no_state_says_why(text: str | bytes, said: str) -> None:
    with pytest.raises(StateError) as caught:
        loads(text)

    assert str(caught.value) == said


OTHERS = (
    (
        loads_event,
        '{"kind":"abort","at":"2026-03-01T12:00:00Z","by":"","why":"x"}',
        "$: Abort.by: '' says nothing; the audit trail needs who and why",
    ),
    (
        loads_event,
        '{"kind":"go"}',
        (
            "$.kind: unknown kind 'go'; there are abort, approve, command_failed, "
            "gate_answered, hold, hook_answered, "
            "inspected, measured, promote_now, reject, resume, retired, seen, skip, "
            "surveyed, tick, wrote"
        ),
    ),
    (
        loads_event,
        '{"kind":7}',
        (
            "$.kind: unknown kind 7; there are abort, approve, command_failed, "
            "gate_answered, hold, hook_answered, "
            "inspected, measured, promote_now, reject, resume, retired, seen, skip, "
            "surveyed, tick, wrote"
        ),
    ),
    (loads_note, '{"kind":"late","at":"2026-03-01T12:00:00Z","by":5}', "$.why: missing"),
    (
        loads_strategy,
        '{"kind":"canary","weights":[5,100]}',
        (
            "$: canary: nothing would ever stop it: no check decides; add checks=[...] or say "
            "unguarded='why'"
        ),
    ),
    (
        loads_strategy,
        '{"kind":"canary","weights":["5 %"]}',
        "$.weights[0]: percent('5 %'): expected a number from 0 to 100",
    ),
    (
        loads_strategy,
        '{"kind":"rolling"}',
        "$.kind: unknown kind 'rolling'; there are blue_green, canary, revert",
    ),
    (
        loads_strategy,
        '{"kind":"canary","weights":[100],"unguarded":null,"bake":null}',
        "$.bake: expected a number, got None",
    ),
)


@pytest.mark.parametrize(("read", "text", "said"), OTHERS)
def test_an_event_a_note_and_a_strategy_are_read_as_strictly(
    read: Callable[[str], object], text: str, said: str
) -> None:
    with pytest.raises(StateError) as caught:
        read(text)

    assert str(caught.value) == said


def test_the_table_s_state_itself_is_fine(stored: str) -> None:
    assert loads(stored).phase is Phase.PROGRESSING
