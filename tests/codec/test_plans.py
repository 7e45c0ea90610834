"""A plan that was read before is not read again. Nothing else can be told from it: every text is
read, or refused, as if no plan were known.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, ClassVar, Self
from unittest.mock import patch

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.paths import GOLDEN
from tests.support.rules import rule
from tests.support.world import RELEASE, START, World

from progressive import Canary, Rollout, StateError, begin, dumps, loads, minutes, percent, seconds
from progressive.codec.plans import KnownPlans
from progressive.codec.strict_json import parsed
from progressive.plan import Kinds, Step
from progressive.plan.step import Advance, Done, Situation
from progressive.steps import Bake, SetWeight
from progressive.testing.generated import rollouts

STATES = [
    path.read_text(encoding="utf-8").strip()
    for path in sorted(GOLDEN.glob("format-*/states/*.json"))
]
Read = tuple[str, Any]


def read(text: str | bytes, kinds: Kinds) -> Read:
    """What `loads` makes of a text: the same bytes, or why not."""
    try:
        rollout = loads(text, kinds)
    except StateError as error:
        return "refused", str(error)
    return dumps(rollout, kinds), rollout


def same(text: str | bytes, kinds: Kinds = Kinds()) -> Read:  # noqa: B008
    """Read a text twice, and once without known plans: with one outcome."""
    with patch.object(KnownPlans, "parsed", lambda _, text: parsed(text)):
        outcome = read(text, kinds)
    assert read(text, kinds) == outcome
    assert read(text, kinds) == outcome
    return outcome


@pytest.fixture(scope="module")
def stored() -> str:
    """A rollout in its second bake."""
    return World().until_weight(50).text


WRITTEN = f'"serial":{loads(World().until_weight(50).text).serial}'


def known(text: str, kinds: Kinds = Kinds()) -> bool:  # noqa: B008
    return loads(text, kinds).plan is loads(text, kinds).plan


# -------------------------------------------------------------------------------------- it is known


def test_the_plan_of_a_state_is_read_once(stored: str) -> None:
    earlier = stored.replace(WRITTEN, '"serial":17')

    assert loads(stored).plan is loads(earlier).plan
    assert loads(stored.encode()).plan is loads(earlier).plan


@pytest.mark.parametrize(
    "other",
    [
        lambda text: text.replace('"plan":', '"plan": '),
        lambda text: text.replace(f",{WRITTEN},", ","),
        lambda text: json.dumps(json.loads(text)),
        lambda text: json.dumps(dict(reversed(json.loads(text).items())), separators=(",", ":")),
    ],
    ids=["a space", "no serial", "spaces", "another order"],
)
def test_a_text_that_the_codec_did_not_write_is_read_as_a_whole(stored: str, other: Any) -> None:
    text = other(stored)
    _, rollout = same(text)

    assert rollout.plan == loads(stored).plan
    assert not known(text)


def test_plans_are_not_kept_for_ever(stored: str) -> None:
    first = loads(stored).plan
    for n in range(256):
        loads(stored.replace('"weight-100"', f'"weight-{n}-of-many"'))

    assert loads(stored).plan is not first
    assert loads(stored).plan == first


def test_other_kinds_have_their_own(stored: str) -> None:
    assert loads(stored, Kinds(Calm)).plan is not loads(stored).plan
    assert loads(stored, Kinds(Calm)).plan == loads(stored).plan


# ---------------------------------------------------------------------- nothing can be told from it


PLAN, SERIAL, RELEASED = ',"plan":{', ',"serial":', '"release":{'
TRICKS = (
    ("a brace without a member", lambda t: "{" + t[t.index(PLAN) :]),
    ("a comma too many", lambda t: t.replace(PLAN, "," + PLAN)),
    ("a list around", lambda t: f"[{t}]"),
    ("one after the other", lambda t: t + t),
    ("cut in the plan", lambda t: t[: t.index(PLAN) + 40]),
    ("cut after the plan", lambda t: t[: t.index(',"serial"') + 20]),
    ("the plan twice", lambda t: t.replace(',"serial":', f'{plan_of(t)},"serial":', 1)),
    ("a plan at the end", lambda t: f"{t[:-1]}{plan_of(t)}}}"),
    ("a plan at the start", lambda t: "{" + plan_of(t)[1:] + "," + t[1:]),
    ("the id twice", lambda t: t.replace(',"serial":', ',"serial":1,"id":"x","serial":', 1)),
    ("the id twice, apart", lambda t: f'{t[:-1]},"id":"x"}}'),
    ("no plan, and the words in a string", lambda t: inside(without_plan(t), plan_of(t))),
    ("the words in a string before", lambda t: t.replace('"r"', json.dumps(plan_of(t) + SERIAL))),
    ("the words in a string after", lambda t: inside(t, plan_of(t) + SERIAL)),
    (
        "a plan in the release",
        lambda t: t.replace(RELEASED, f'{RELEASED}"a":1{plan_of(t)},"serial":1,'),
    ),
    (
        "the plan in the release, and none outside",
        lambda t: without_plan(t.replace(RELEASED, f'{RELEASED}"a":1{plan_of(t)},"serial":1,')),
    ),
    ("a plan in the plan", lambda t: t.replace(PLAN, f'{PLAN}"a":1{plan_of(t)},"serial":1,')),
    ("a part of the plan outside", lambda t: t.replace('"guards"', '"x":{}},"serial":1,"guards"')),
    ("another format", lambda t: t.replace('"format":1', '"format":2')),
    ("no format", lambda t: t.replace('"format":1,', "")),
    ("no number after", lambda t: t.replace(WRITTEN, '"serial":NaN')),
    ("no number before", lambda t: t.replace('"format":1', '"format":NaN')),
    ("a mark of byte order", lambda t: "\ufeff" + t),
    ("a lone surrogate", lambda t: inside(t, "\ud800")),
    ("deep before", lambda t: t.replace('"r"', "[" * 64 + "]" * 64)),
    ("too deep before", lambda t: t.replace('"r"', "[" * 65 + "]" * 65)),
    ("deep after", lambda t: t.replace(WRITTEN, f'"serial":{"[" * 64 + "]" * 64}')),
    ("too deep after", lambda t: t.replace(WRITTEN, f'"serial":{"[" * 65 + "]" * 65}')),
    ("deep inside", lambda t: t.replace(PLAN, f'{PLAN}"a":{"[" * 63 + "]" * 63},')),
    ("too deep inside", lambda t: t.replace(PLAN, f'{PLAN}"a":{"[" * 64 + "]" * 64},')),
    ("a wrong step in the plan", lambda t: t.replace('"weight":100', '"weight":"x"')),
    (
        "a wrong plan of a newer format",
        lambda t: t.replace('t":1,', 't":2,').replace('"weight":100', '"weight":"x"'),
    ),
    ("a plan that is a list", lambda t: t.replace(plan_of(t), ',"plan":[]', 1)),
    ("an empty plan", lambda t: t.replace(plan_of(t), ',"plan":{}', 1)),
)


def plan_of(text: str) -> str:
    """The plan as it stands in a state, with its key and the comma before it."""
    return text[text.index(PLAN) : text.index(SERIAL)]


def without_plan(text: str) -> str:
    """The same state with nothing for a plan at its end."""
    start, _, end = text.rpartition(plan_of(text))
    return f'{start}{end[:-1]},"plan":null}}'


def inside(text: str, words: str) -> str:
    """A state whose reason has these words in it."""
    return text.replace('"step":3', f'"step":3,"reason":{json.dumps(words)}', 1)


@rule("R33", "R34")
@pytest.mark.parametrize("trick", [trick for _, trick in TRICKS], ids=[name for name, _ in TRICKS])
def test_a_text_with_a_known_plan_somewhere_is_read_as_without(stored: str, trick: Any) -> None:
    loads(stored)
    text = trick(stored)
    assert text != stored

    same(text)


def test_bytes_that_are_no_text_are_refused_as_without(stored: str) -> None:
    loads(stored)

    same(stored.encode().replace(b"weight-100", b"weight-\xff"))


@rule("R35")
@pytest.mark.parametrize("text", STATES)
def test_a_golden_state_is_read_as_without(text: str) -> None:
    assert same(text)[0] == text
    assert same(text.encode())[0] == text


QUICK = settings(max_examples=60, deadline=None, print_blob=True)


@rule("R32")
@QUICK
@given(rollout=rollouts())
def test_a_generated_state_is_read_as_without(rollout: Rollout) -> None:
    text = dumps(rollout)

    assert same(text) == (text, rollout)


PIECES = ('"', "{", "}", "[", "]", ",", ":", "\\", "0", " ", "null", PLAN, '},"serial":', '"id":')
EDITS = st.tuples(
    st.integers(0, 10**6), st.integers(0, 10**6), st.sampled_from(["put", "cut", "move", "twice"])
)


@rule("R33", "R34")
@settings(max_examples=300, deadline=None, print_blob=True)
@given(
    text=st.sampled_from(STATES),
    edits=st.lists(st.tuples(EDITS, st.sampled_from(PIECES)), min_size=1, max_size=3),
)
def test_a_text_that_was_changed_at_random_is_read_as_without(
    text: str, edits: list[tuple[tuple[int, int, str], str]]
) -> None:
    loads(text)
    for (where, other, what), piece in edits:
        at, to = sorted((where % (len(text) + 1), other % (len(text) + 1)))
        if what == "put":
            text = text[:at] + piece + text[at + len(piece) :]
        elif what == "cut":
            text = text[:at] + text[min(to, at + 30) :]
        elif what == "move":
            text = text[:at] + text[to:] + text[at:to]
        else:
            text = text[:to] + text[at:to] + text[to:]

    same(text)


@rule("R33", "R34")
@settings(max_examples=150, deadline=None, print_blob=True)
@given(text=st.sampled_from(STATES), data=st.data())
def test_keys_in_any_order_and_more_than_once_are_read_as_without(
    text: str, data: st.DataObject
) -> None:
    loads(text)
    members = [
        f"{json.dumps(key)}:{json.dumps(value, ensure_ascii=False, separators=(',', ':'))}"
        for key, value in json.loads(text).items()
    ]
    chosen = data.draw(
        st.permutations(members)
        | st.lists(st.sampled_from(members), min_size=1, max_size=len(members) + 2)
    )

    same("{" + ",".join(chosen) + "}")


# ----------------------------------------------------------------------- values that can be changed


@attrs.frozen
class Calm(Step):
    """A step of one's own, as it should be."""

    kind: ClassVar[str] = "calm"
    id: str = "calm"
    span: ClassVar[timedelta] = seconds(1)

    def advance(self, situation: Situation) -> Advance:
        return Done()


@attrs.define
class Loose(Step):
    """A step that can be changed."""

    kind: ClassVar[str] = "loose"
    id: str = "loose"
    span: ClassVar[timedelta] = seconds(1)

    def advance(self, situation: Situation) -> Advance:
        return Done()


@attrs.define(slots=False, eq=False)
class Open(Loose):
    """One that is equal only to itself."""

    kind: ClassVar[str] = "open"


@attrs.frozen
class Counting(Calm):
    """One that looks frozen."""

    kind: ClassVar[str] = "counting"
    seen: list[int] = attrs.field(init=False, factory=list)


@attrs.frozen
class Holder(Calm):
    """One that is frozen around something that is not."""

    kind: ClassVar[str] = "holder"
    inner: Loose = Loose("inside")


class Made(Loose):
    """One that is not made as others are."""

    kind: ClassVar[str] = "made"

    def __new__(cls, id: str) -> Self:
        return super().__new__(cls)


def begun(step: Step) -> str:
    steps = [SetWeight(percent(100)), step, Bake(minutes(1))]
    plan = Canary(steps=steps, unguarded="a law").plan
    rollout = begin(plan, RELEASE, id="r", at=START)
    return dumps(attrs.evolve(rollout, serial=1), Kinds(type(step)))


def test_a_plan_with_a_frozen_step_of_one_s_own_is_kept() -> None:
    assert known(begun(Calm()), Kinds(Calm))


@pytest.mark.parametrize(
    "step", [Loose(), Open(), Counting(), Holder(), Made("m")], ids=lambda step: step.kind
)
def test_a_plan_with_a_step_that_can_be_changed_is_never_shared(step: Any) -> None:
    text, kinds = begun(step), Kinds(type(step))

    assert not known(text, kinds)
    assert not known(text, kinds)
    assert dumps(loads(text, kinds), kinds) == text


def test_the_first_plan_that_shows_it_is_not_shared_either() -> None:
    kinds = Kinds(Holder, Counting)
    text = begun(Holder())
    first = loads(text, kinds)

    assert loads(text, kinds).plan is not first.plan
