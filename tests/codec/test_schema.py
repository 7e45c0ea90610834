"""Wrong stored states, each with the whole message that a person sees; and kinds of one's own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

import attrs
import pytest
from tests.support.rules import rule
from tests.support.stored import look
from tests.support.world import ERRORS, RELEASE, START, World

from progressive import (
    Canary,
    Deadline,
    Metric,
    Phase,
    Rollout,
    StateError,
    StrategyError,
    Tolerance,
    Track,
    begin,
    dumps,
    hours,
    loads,
    minutes,
    percent,
    seconds,
)
from progressive.analysis import Judgement, Verdict
from progressive.analysis.contract import Check
from progressive.codec import dumps_strategy, loads_event, loads_note, loads_strategy
from progressive.model import Look, NoData
from progressive.model.actions import Memory
from progressive.plan import Kinds, Step
from progressive.plan.step import Advance, Done, Situation, Wait
from progressive.steps import Bake, SetWeight
from progressive.testing import MemoryRouter, MemoryStore, ScriptedMetrics, play, steady

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
            "evidence, clocks, wake_at, instances, earlier"
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
            "$.progress.retirement: due while progressing: only a rollout that has ended removes "
            "a version"
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


GUARDED = (
    '{"kind":"canary","weights":[5,100],"bake":300,"checks":[{"kind":"limit","metric":'
    '{"name":"errors","kind":"ratio","lag":15},"at_most":{"times":1.5,"floor":{"percent":1}},'
    '"min_sample":7},{"kind":"limit","id":"most","metric":{"name":"errors","kind":"ratio","lag":15},'
    '"at_most":{"percent":2}}]}'
)


@pytest.mark.parametrize("number", ["9" * 309, "-" + "9" * 309, "9" * 4000])
@pytest.mark.parametrize("place", ["5", "300", "15", "1.5", '"percent":1', "7"])
def test_a_whole_number_that_no_float_holds_is_a_wrong_state_wherever_it_stands(
    place: str, number: str
) -> None:
    """A share, a duration, a factor, a bound, a sample."""
    loads_strategy(GUARDED)
    wrong = GUARDED.replace(place, place.rstrip("0123456789.") + number, 1)

    with pytest.raises(StateError):
        loads_strategy(wrong)


@pytest.mark.parametrize("number", ["9" * 309, "9" * 4000])
def test_one_in_a_rollout_too(stored: str, number: str) -> None:
    """Every whole number of it, one after the other: never an error of Python. What a check keeps
    for itself may be any number.
    """
    whole = re.compile(r"(?<=[:,\[])\d+(?=[,\]}])")
    kept = [found.span() for found in re.finditer(r'"memory":\[[^"]*\]', stored)]
    places = [found.span() for found in whole.finditer(stored)]
    others = {place for place in places if not any(one <= place[0] < other for one, other in kept)}
    refused = set()
    for begin_, end in places:
        try:
            loads(stored[:begin_] + number + stored[end:])
        except StateError:
            refused.add((begin_, end))

    assert refused <= others
    assert len(refused) > 0.6 * len(others)


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
    ("deeper than Python goes", "[" * 10**5, "$: nested deeper than 64 levels"),
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
            "superseded, surveyed, tick, wrote"
        ),
    ),
    (
        loads_event,
        '{"kind":7}',
        (
            "$.kind: unknown kind 7; there are abort, approve, command_failed, "
            "gate_answered, hold, hook_answered, "
            "inspected, measured, promote_now, reject, resume, retired, seen, skip, "
            "superseded, surveyed, tick, wrote"
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


@attrs.frozen
class Warm(Step):
    """A user's step: asks a few times before it is done, and remembers how often."""

    kind: ClassVar[str] = "warm-up"

    times: int
    label: str | None = attrs.field(kw_only=True, default=None)
    id: str = attrs.field(kw_only=True, default="")

    @property
    def span(self) -> timedelta:
        return seconds(self.times)

    def advance(self, situation: Situation) -> Advance:
        asked = situation.memory if isinstance(situation.memory, int) else 0
        if asked >= self.times:
            return Done()
        return Wait("the caches to fill", until=situation.now + seconds(1), memory=asked + 1)


@attrs.frozen(kw_only=True)
class Even:
    """A user's check: passes every second look."""

    kind: ClassVar[str] = "even"

    metric: Metric = ERRORS
    observe: bool = False
    tolerance: Tolerance = Tolerance(in_a_row=2)
    share_of_alpha: float = 0.0
    id: str = "even"
    required_tracks: tuple[Track, ...] = attrs.field(default=(Track.CANDIDATE,), init=False)
    measured_tracks: tuple[Track, ...] = attrs.field(default=(Track.CANDIDATE,), init=False)

    def judge(self, look: Look, memory: Memory, alpha: float) -> tuple[Judgement, Memory]:
        seen = memory if isinstance(memory, int) else 0
        verdict = Verdict.FAIL if seen % 2 else Verdict.PASS
        return Judgement(
            verdict=verdict,
            why=f"look {seen}",
            numbers=(("seen", seen), ("no number", float("nan"))),
        ), seen + 1


OWN = Kinds(Warm, Even)
MINE = Canary(
    steps=[
        SetWeight(percent(10)),
        Warm(3, label="caches"),
        SetWeight(percent(100)),
        Bake(minutes(1)),
    ],
    checks=[Even()],
)


def test_a_step_and_a_check_of_one_s_own_are_stored_and_driven_like_the_library_s() -> None:
    router = MemoryRouter()
    states: list[Rollout] = []
    outcome = play(
        MINE,
        RELEASE,
        router=router,
        metrics=[ScriptedMetrics({ERRORS: steady(50)})],
        store=MemoryStore(OWN),
        before_tick=states.append,
    )

    assert outcome.promoted
    assert 3 in {state.progress.memory for state in states if state.status.step == "warm-up-10"}
    assert all(loads(dumps(state, OWN), OWN) == state for state in states)


def test_a_strategy_with_kinds_of_one_s_own_is_read_back() -> None:
    assert loads_strategy(dumps_strategy(MINE, OWN), OWN) == MINE
    assert '{"kind":"warm-up","times":3,"label":"caches"}' in dumps_strategy(MINE, OWN)


def test_what_a_check_of_one_s_own_says_that_can_t_be_stored_is_left_out() -> None:
    judgement, _ = Even().judge(look(NoData("none")), None, 0.0)

    assert judgement.numbers == (("seen", 0),)


@pytest.mark.parametrize(
    ("act", "error", "said"),
    [
        (
            lambda: dumps_strategy(MINE),
            StrategyError,
            (
                "Warm(times=3, label='caches', id='') is of an unknown step kind 'warm-up'; "
                "pass its class in Kinds(...)"
            ),
        ),
        (
            lambda: dumps(begin(MINE.plan, RELEASE, id="r", at=START), Kinds(Warm)),
            StrategyError,
            f"{Even()!r} is of an unknown check kind 'even'; pass its class in Kinds(...)",
        ),
        (
            lambda: loads_strategy(dumps_strategy(MINE, OWN)),
            StateError,
            (
                "$.steps[1].kind: unknown kind 'warm-up'; there are analyze, approval, bake, "
                "hook, pause, set_weight; your own class goes into Kinds(...)"
            ),
        ),
        (
            lambda: loads_strategy(dumps_strategy(MINE, OWN), Kinds(Even)),
            StateError,
            (
                "$.steps[1].kind: unknown kind 'warm-up'; there are analyze, approval, bake, "
                "hook, pause, set_weight; your own class goes into Kinds(...)"
            ),
        ),
        (
            lambda: loads_strategy(
                dumps_strategy(MINE, OWN).replace('"times":3', '"times":"3"'), OWN
            ),
            StateError,
            "$.steps[1].times: expected a whole number, got '3'",
        ),
    ],
)
def test_a_kind_that_is_not_passed_is_named(
    act: Callable[[], object], error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as caught:
        act()

    assert str(caught.value) == said


@attrs.frozen
class Taken(Step):
    """A step under the name of one of the library's."""

    kind: ClassVar[str] = "bake"
    id: str = ""


@attrs.frozen
class Second(Step):
    """A step under the name of another."""

    kind: ClassVar[str] = "warm-up"
    id: str = ""


@attrs.frozen
class Neither:
    """A kind of nothing."""

    kind: ClassVar[str] = "neither"


@attrs.frozen
class Odd(Step):
    """A step with a field that has no stored form."""

    kind: ClassVar[str] = "odd"
    names: frozenset[str] = frozenset()
    id: str = "odd"
    span: ClassVar[timedelta] = seconds(1)

    def advance(self, situation: Situation) -> Advance:
        return Done()


@attrs.frozen
class Typed(Step):
    """A step whose fields are typed by attrs, not by annotations."""

    kind = "typed"  # type: ignore[misc]

    n = attrs.field(type=int)
    id = attrs.field(type=str, default="typed")
    deadline = Deadline(within=hours(1))

    def advance(self, situation: Situation) -> Advance:
        return Done()


def test_fields_typed_without_annotations_are_stored_too() -> None:
    strategy = Canary(steps=[SetWeight(percent(100)), Typed(7)], unguarded="a law")

    assert loads_strategy(dumps_strategy(strategy, Kinds(Typed)), Kinds(Typed)) == strategy


def test_kinds_that_can_t_be_told_apart_are_refused() -> None:
    with pytest.raises(StrategyError, match="'warm-up'; a kind names one of them for ever"):
        Kinds(Warm, Second)
    with pytest.raises(StrategyError, match=r"Neither'> is neither a step .* nor a check"):
        Kinds(Neither)
    with pytest.raises(
        StrategyError, match="'bake' is a kind of the library; name yours differently"
    ):
        dumps_strategy(MINE, Kinds(Taken))


def test_a_field_without_a_stored_form_is_a_mistake_of_its_class() -> None:
    odd = Canary(steps=[SetWeight(percent(100)), Odd(names=frozenset({"a"}))], unguarded="a law")
    with pytest.raises(
        TypeError, match=r"frozenset\[str\] has no stored form; use strings, numbers, percent"
    ):
        dumps_strategy(odd, Kinds(Odd))


def test_a_check_of_one_s_own_is_what_the_contract_says() -> None:
    check: Check = Even()

    assert check.kind == "even"
