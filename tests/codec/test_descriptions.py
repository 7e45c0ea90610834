"""Strategies that people write: read with their units, and all that is wrong said at once, with the
place.
"""

from __future__ import annotations

import builtins
import json
import re
from datetime import datetime, timedelta
from typing import Any

import attrs
import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.codec.test_documents import STRATEGIES
from tests.support.rules import rule
from tests.support.world import ERRORS, canary

from progressive import (
    Action,
    Approve,
    BlueGreen,
    Canary,
    Limit,
    Metric,
    NoWorse,
    Reject,
    StrategyError,
    hours,
    minutes,
    ms,
    percent,
    percents,
    seconds,
)
from progressive.codec import dumps_strategy, loads_strategy, strategy_schema
from progressive.codec.schema import Codec
from progressive.codec.shapes import Either, Fields, Leaf, Shapes
from progressive.codec.written import READERS, WRITERS
from progressive.model.units import Times, times
from progressive.plan.step import Kinds

SCHEMA: Any = strategy_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

GOOD = """
# yaml-language-server: $schema=strategy.schema.json
kind: canary
weights: [5%, 50 %, 100%]
bake: 2m
checks:
  - kind: limit
    metric: &errors {name: error-rate, kind: ratio}
    at_most: 2%
  - kind: no_worse
    metric: *errors
"""

GOOD_TOML = """
kind = "canary"
weights = ["5%", "50%", "100%"]
bake = "2m"

[[checks]]
kind = "limit"
metric = {name = "error-rate", kind = "ratio"}
at_most = "2%"

[[checks]]
kind = "no_worse"
[checks.metric]
name = "error-rate"
kind = "ratio"
"""


def problems(text: str, **more: Any) -> list[str]:
    with pytest.raises(StrategyError) as caught:
        loads_strategy(text, **({"format": "yaml", "name": "canary.yaml"} | more))
    return list(caught.value.problems)


# --------------------------------------------------------------------------------------------- laws


@rule("R32")
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_strategy_that_is_written_in_yaml_is_read_back_as_it_was(strategy: Any) -> None:
    text = dumps_strategy(strategy, format="yaml")

    assert loads_strategy(text, format="yaml") == strategy
    VALIDATOR.validate(yaml.safe_load(text))


def test_what_people_write_in_either_way_is_the_same_strategy() -> None:
    assert loads_strategy(GOOD, format="yaml") == canary()
    assert loads_strategy(GOOD.encode(), format="yaml") == canary()
    assert loads_strategy(GOOD_TOML, format="toml") == canary()


@given(st.integers(0, 10**12).map(lambda n: timedelta(milliseconds=n)))
def test_a_duration_is_read_as_it_was_written(length: timedelta) -> None:
    stored = Codec.of(Kinds()).dump(timedelta, length)
    written = WRITERS["duration"](stored)

    assert READERS["duration"](written) == stored
    assert re.fullmatch(SCHEMA["$defs"]["Canary"]["properties"]["bake"]["pattern"], written)


@given(
    st.integers(0, 10**6).map(lambda n: percent(n / 10_000))
    | st.integers(1, 10**7).map(ms)
    | st.builds(
        times,
        st.integers(1, 999).map(lambda n: n / 100),
        floor=st.none() | st.just(percent(1)) | st.just(ms(5)) | st.just(2.5),
    )
    | st.floats(-1e9, 1e9)
)
def test_a_bound_is_read_as_it_was_written(bound: Any) -> None:
    from progressive.analysis.plain_bounds import Bound

    codec = Codec.of(Kinds())
    stored = codec.dump(Bound, bound)

    assert codec.load(Bound, READERS["bound"](WRITERS["bound"](stored))) == bound


def pieces(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything in plain data."""
    found = [path]
    if isinstance(data, dict):
        for key, value in data.items():
            found += pieces(value, (*path, key))
    if isinstance(data, list):
        for i, value in enumerate(data):
            found += pieces(value, (*path, i))
    return found


ODD: list[Any] = [None, True, 7, -0.5, "", "x", "5m", "1%", [], ["x"], {}, {"kind": "limit"}]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_whatever_is_put_anywhere_is_read_or_said_and_what_the_schema_refuses_is_refused(
    data: st.DataObject,
) -> None:
    strategy = data.draw(st.sampled_from(STRATEGIES))
    whole = yaml.safe_load(dumps_strategy(strategy, format="yaml"))
    path = data.draw(st.sampled_from(pieces(whole)[1:]))
    inner = whole
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = data.draw(st.sampled_from(ODD))
    text = yaml.safe_dump(whole, sort_keys=False)
    told: tuple[str, ...] = ()
    try:
        read = loads_strategy(text, format="yaml")
        assert loads_strategy(dumps_strategy(read, format="yaml"), format="yaml") == read
        VALIDATOR.validate(yaml.safe_load(text))
    except StrategyError as error:
        told = error.problems

    assert all(re.match(r"strategy:\d+:\d+: \$", each) for each in told)


@given(st.text(alphabet=st.sampled_from("ab:{}[]-#&*!|>'\"%@`\n\t 01%,?~"), max_size=40))
def test_any_text_is_a_strategy_or_an_error_that_says_where(text: str) -> None:
    for format in ("yaml", "toml"):
        with pytest.raises(StrategyError, match=r"^strategy"):
            loads_strategy(text, format=format)


# ------------------------------------------------------------------------------------- what is said


def test_all_that_is_wrong_is_said_at_once_with_its_place() -> None:
    text = """kind: canary
weights: [1, 10%, 100%]
bake: 5
intervall: 10s
zzz: 1
checks:
  - kind: no_wors
    metric: {name: error-rate, kind: ratio}
  - kind: limit
    metric: {name: error-rate, kind: ratoi}
    at_most: 1
  - kind: limit
    metric: {name: error-rate, kind: ratio}
    at_most: 400ms
  - kind: limit
    metric: {name: 5, kind: ratio}
  - metric: {name: error-rate, kind: ratio}
  - limit
  - kind: limit
    at_most: 1%
"""

    found = problems(text)
    assert [each.split(": ", 2)[:2] for each in found] == [
        ["canary.yaml:2:11", "$.weights[0]"],
        ["canary.yaml:3:7", "$.bake"],
        ["canary.yaml:4:12", "$.intervall"],
        ["canary.yaml:5:6", "$.zzz"],
        ["canary.yaml:7:11", "$.checks[0].kind"],
        ["canary.yaml:10:38", "$.checks[1].metric.kind"],
        ["canary.yaml:12:5", "$.checks[2]"],
        ["canary.yaml:16:20", "$.checks[3].metric.name"],
        ["canary.yaml:17:5", "$.checks[4]"],
        ["canary.yaml:18:5", "$.checks[5]"],
        ["canary.yaml:19:5", "$.checks[6]"],
    ]
    for told, words in zip(
        found,
        [
            "1 has no unit; write '1%'",
            "5 has no unit; write '5s' or '5m'",
            "unknown key; do you mean interval?",
            "unknown key; Canary has ",
            "do you mean no_worse?; your own class goes into Kinds(...)",
            "'ratoi' is not one of ratio, latency, mean, value; do you mean ratio?",
            "a ratio takes percent(1) or times(1.5)",
            "expected a text, got 5; put it into quotes",
            "it has no kind; there are kayenta, limit",
            "expected a check with its kind, got 'limit'",
            "metric is missing",
        ],
        strict=True,
    ):
        assert words in told


STRATEGY = """kind: canary
weights: [10%, 50%, 100%]
bake: 5m
checks:
  - {kind: limit, metric: {name: error-rate, kind: ratio}, at_most: 2%}
analyses:
  - name: slow
    checks:
      - {kind: limit, metric: {name: error-rate, kind: ratio}, at_most: 1%}
guards: [slow]
alpha: 0.01
"""


@pytest.mark.parametrize(
    ("written", "instead", "told"),
    [
        (
            "[slow]",
            "[slow, {analysis: slow, since: weight-51}]",
            "10:40: $: canary: guards[1].since",
        ),
        ("[slow]", "[fast]", "10:10: $: canary: guards[0]: there is no analysis 'fast'"),
        ("[slow]", "[5]", "10:10: $.guards[0]: expected the name of an analysis, or an object"),
        ("[slow]", "[{since: x}]", "10:10: $.guards[0]: expected the name of an analysis, or an"),
        ("[slow]", "[{analysis: a b}]", "10:21: $.guards[0].analysis: Guard.analysis: 'a b' is"),
        ("[slow]", "[{analysis: slow, since: 5}]", "10:34: $.guards[0].since: expected the id"),
        ("0.01", "7", "11:8: $: canary: alpha: 7 is a probability"),
        ("[10%, 50%,", "[50%, 10%,", "2:16: $: canary: weights[1]: 10 % is not above"),
    ],
)
def test_what_does_not_fit_together_is_said_where_it_stands(
    written: str, instead: str, told: str
) -> None:
    assert loads_strategy(STRATEGY, format="yaml").kind == "canary"
    [found] = problems(STRATEGY.replace(written, instead))

    assert found.startswith(f"canary.yaml:{told}")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "bake: 5 minutes",
            "$.bake: expected a duration such as 5m, 90s or 1h30m, got '5 minutes'",
        ),
        ("bake: [5m]", "$.bake: expected a duration such as 5m, 90s or 1h30m, got ['5m']"),
        ("bake: true", "$.bake: expected a duration such as 5m, 90s or 1h30m, got True"),
        ("bake: 99999999999d", "$.bake: '99999999999d' is too long for a duration"),
        ("weights: 100%", "$.weights: expected a list, got '100%'"),
        ("weights: [ten, 100%]", "$.weights[0]: expected a share such as 1% or 0.5%, got 'ten'"),
        (
            "weights: [50%, 10%, 100%]",
            "$: canary: weights[1]: 10 % is not above the 50 % before it; weights must rise",
        ),
        ("gates: [1]", "$.gates[0]: expected a text, got 1; put it into quotes"),
        ("unguarded: [x]", "$.unguarded: expected a text, got ['x']; put it into quotes"),
        ("analyses: [fast]", "$.analyses[0]: expected keys and values, got 'fast'"),
        (
            "checks: [{kind: limit, metric: {name: e, kind: ratio}, at_most: 1 percent}]",
            "$.checks[0].at_most: expected 1%, 400ms, 2x, {times: 2x, floor: 1%} or a bare number",
        ),
        (
            "checks: [{kind: limit, metric: {name: e}, at_most: {times: 2, floor: 1%}}]",
            "$.checks[0].at_most.times: expected 2x, got 2",
        ),
        (
            "checks: [{kind: limit, metric: {name: e, kind: ratio, bad: true}}]",
            "$.checks[0].metric.bad: True is not one of up, down, both",
        ),
        (
            "steps: [{kind: pause, duration: 1m, deadline: {within: 1m, then: explode}}]",
            "$.steps[0].deadline.then: 'explode' is not one of",
        ),
        ("kind: canry", "canary.yaml:1:7: $.kind: 'canry' is not one of blue_green, canary, rev"),
    ],
)
def test_what_is_wrong_is_said_with_what_would_be_right(line: str, told: str) -> None:
    key = line.partition(":")[0]
    given = {"kind": "kind: canary", "weights": "weights: [10%, 100%]", "bake": "bake: 5m"}
    text = "\n".join((given | {key: line}).values())

    assert told in "\n".join(problems(text))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "canary.yaml: it is empty; begin with 'kind: canary'"),
        ("kind: [", "canary.yaml:1:8: no YAML: "),
        ("a: *b", "canary.yaml:1:4: no YAML: found undefined alias"),
        ("\x00", "canary.yaml: no YAML: ReaderError"),
        ("kind: canary\nkind: canary", "canary.yaml:2:1: 'kind' is given twice"),
        ("? [a]\n: b", "canary.yaml:1:1: a key is no word"),
        ("- canary", "canary.yaml:1:1: $: expected a strategy with its kind, got ['canary']"),
        ("a: " + "[" * 70 + "]" * 70, "more than any strategy has"),
        ("a: &a [" + "x," * 200 + "]\nb: [" + "*a," * 200 + "]", "more than any strategy has"),
        ('"\\UFFFFFFFF"', "canary.yaml: no YAML: OverflowError"),
        ('a: "\\U00110000"', "canary.yaml: no YAML: ValueError"),
        ("x: &a " + "x" * 60_000 + "\ny: [" + "*a, " * 200 + "]", "more than any strategy has"),
        ("x" * 100_001, "canary.yaml: 100,001 characters are more than any strategy has"),
        ("!!python/object:os.system {}", "canary.yaml:1:1: $: it has no kind; there are blue_gre"),
    ],
)
def test_what_is_no_yaml_is_said_with_its_place(text: str, told: str) -> None:
    assert told in "\n".join(problems(text))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("kind = ", "canary.toml: no TOML: Invalid value (at end of document)"),
        ("kind = x", "canary.toml:1:8: no TOML: Invalid value"),
        ("kind = 'canary'\n'[' = 1", "canary.toml:1:1: $.[: unknown key"),
        ("kind = 'canary'\nbake = " + "9" * 5_000, "canary.toml: no TOML: Exceeds the limit"),
        ("kind = 'canary'\nweights = [0x" + "f" * 90 + "]", "numbers of more than 64 digits"),
        ("kind = 'canary'\nbake = nan", "expected a duration such as 5m, 90s or 1h30m, got nan"),
        (".".join("a" * 90) + " = 1", "canary.toml: a key is deeper than any of a strategy"),
        ("kind = 'canary'\nbake = 5", "canary.toml:2:8: $.bake: 5 has no unit; write '5s'"),
        (
            (
                "kind = 'canary'\nbake = '5m'\n[[checks]]\nkind = 'limit'\n\n[[checks]]\n"
                "kind = 'limit'\nmetric.name = 'e'\nmetric.kind = 'ratoi'\n[[analyses]]\n"
                "name = 'a'\n[[analyses.checks]]\nkind = 'limt'"
            ),
            "canary.toml:9:15: $.checks[1].metric.kind: 'ratoi' is not one of",
        ),
        (
            "kind = 'canary'\n[[analyses]]\nname = 'a'\n[[analyses.checks]]\nkind = 'limt'",
            "canary.toml:5:8: $.analyses[0].checks[0].kind: 'limt' is not one of",
        ),
        (
            "kind = 'canary'\n[[checks]]\nkind='limit'\n[checks.metric]\nname = 'e'\nkind = 'x'",
            "canary.toml:6:8: $.checks[0].metric.kind: 'x' is not one of",
        ),
        (
            "kind = 'canary'\nweights = ['1', '100%']",
            "canary.toml:2:11: $.weights[0]: expected",
        ),
    ],
)
def test_in_toml_it_is_said_with_its_place(text: str, told: str) -> None:
    assert told in "\n".join(problems(text, format="toml", name="canary.toml"))


def test_words_of_yaml_are_words_and_numbers_numbers() -> None:
    text = "kind: canary\nweights: [100%]\nbake: 1m\nunguarded: no\ngates: [on, yes, 'true']"
    read = loads_strategy(text, format="yaml")

    assert isinstance(read, Canary)
    assert (read.unguarded, read.gates) == ("no", ("on", "yes", "true"))
    level = (
        "kind: canary\nweights: [100%]\nbake: 1m\nalpha: 1e-3\nchecks:\n"
        "- {kind: limit, metric: {name: q, kind: value}, at_most: 123456789012345678901, "
        "observe: true}\n- {kind: limit, metric: {name: r, kind: ratio}, at_most: 1%, plain: ~}"
    )
    read = loads_strategy(level, format="yaml")
    assert isinstance(read, Canary) and read.alpha == 0.001
    first: Any = read.checks[0]
    assert (first.at_most, first.observe) == (123456789012345678901, True)


def test_bytes_that_are_no_utf_8_are_said() -> None:
    with pytest.raises(StrategyError, match="strategy: no UTF-8: invalid continuation byte at 5"):
        loads_strategy(b"# caf\xe9\n", format="yaml")


@pytest.mark.parametrize("word", ["1e5", "+1e3", "no", "null", "True", "7", "x: y", "*a", " x"])
def test_a_text_that_looks_like_something_else_is_read_back_as_a_text(word: str) -> None:
    strategy = canary(unguarded=word)

    assert loads_strategy(dumps_strategy(strategy, format="yaml"), format="yaml") == strategy


def test_wrong_values_of_one_object_are_said_at_once() -> None:
    text = (
        "kind: canary\nweights: [200%, 300%, 100%]\nalpha: x\nearly: 1\nchecks:\n"
        "- {kind: limit, metric: {name: e, kind: ratio}, beta: x, min_sample: y, plain: z}"
    )

    assert [each.split(": ")[1] for each in problems(text)] == [
        "$.weights[0]",
        "$.weights[1]",
        "$.alpha",
        "$.early",
        "$.checks[0].beta",
        "$.checks[0].min_sample",
        "$.checks[0].plain",
    ]


def test_a_wrong_format_is_said() -> None:
    told = problems(GOOD, format="xml")

    assert told == ["read_strategy(format): 'xml' is not one of yaml, toml"]
    with pytest.raises(StrategyError, match=r"'toml' is not one of json, yaml; TOML is only read"):
        dumps_strategy(canary(), format="toml")  # type: ignore[arg-type]


@pytest.mark.parametrize("write", [False, True])
def test_without_pyyaml_it_is_said_what_to_install(
    write: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name == "yaml":
            raise ImportError(name)
        return honest(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(StrategyError, match=r"pip install 'progressive-delivery\[yaml\]'"):
        dumps_strategy(canary(), format="yaml") if write else problems_of_yaml()


def problems_of_yaml() -> None:
    loads_strategy(GOOD, format="yaml")


# ---------------------------------------------------------------------------------------- own kinds


@attrs.frozen(kw_only=True)
class Chime:
    """A step of one's own.

    * ``tone``, ``echo``: what sounds (default: 440),
      and for how long.
    * not a field
    """

    kind = "chime"
    id: str = "chime"
    tone: float = 440.0
    echo: timedelta = seconds(1)
    pair: tuple[str, int] = ("a", 1)
    since: datetime | None = None

    def advance(self, situation: Any) -> Any:
        raise NotImplementedError


def test_kinds_of_ones_own_are_read_and_in_the_schema() -> None:
    kinds = Kinds(Chime)
    shapes = Shapes(Codec.of(kinds, today=True))
    schema: Any = strategy_schema(kinds)

    chime = schema["$defs"]["Chime"]["properties"]
    assert chime["kind"] == {"const": "chime"}
    assert chime["tone"]["description"] == "what sounds (default: 440), and for how long."
    assert chime["echo"]["pattern"] == SCHEMA["$defs"]["Canary"]["properties"]["bake"]["pattern"]
    assert (chime["pair"]["minItems"], chime["pair"]["maxItems"]) == (2, 2)
    assert "Chime" not in SCHEMA["$defs"]
    fields = shapes.strategy.kinds["canary"]()
    assert isinstance(fields, Fields) and shapes.strategy.kinds["canary"]() is fields
    assert shapes.of(str) == Leaf("text")
    text = (
        "kind: canary\nunguarded: mine\nsteps:\n- {kind: chime, pair: [b, 2, 3]}\n"
        "- {kind: chime, echo: 5}\n- {kind: chime, since: 2026-01-31}\n"
        "- {kind: chime, since: 2026-01-31T09:30:00Z, echos: 1}"
    )
    told = "\n".join(problems(text, kinds=kinds))
    assert "$.steps[0].pair: expected a list of 2, got ['b', 2, 3]" in told
    assert "$.steps[1].echo: 5 has no unit" in told
    assert "$.steps[2].since: '2026-01-31' has no time zone; end it with Z" in told
    assert "steps[3].since" not in told
    both = shapes.of(Approve | Reject)
    assert isinstance(both, Either) and list(both.kinds) == ["approve", "reject"]


# ------------------------------------------------------------------------------------------- schema


def test_the_schema_is_one_and_says_what_each_key_is() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    canary_ = SCHEMA["$defs"]["Canary"]

    assert {each["then"]["$ref"] for each in SCHEMA["allOf"]} == {
        "#/$defs/BlueGreen",
        "#/$defs/Canary",
        "#/$defs/Revert",
    }
    assert canary_["description"].startswith("Raise the candidate's share of the traffic by")
    assert canary_["properties"]["bake"]["description"] == "the watched time at each weight."
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "canary", "weights": [1, "100%"]},
        {"kind": "canary", "bake": 5},
        {"kind": "canary", "bakes": "5m"},
        {"kind": "canry"},
        {"weights": ["100%"]},
        {"kind": "canary", "checks": [{"kind": "limit"}]},
    ],
)
def test_the_schema_refuses_what_is_refused(wrong: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(wrong)
    assert problems(yaml.safe_dump(wrong))


def test_the_example_of_the_docs_is_what_it_says() -> None:
    text = (
        "kind: blue_green\npreview_hook: smoke\nbake: 10m\nretire_after: 1h\n"
        "approval: {name: switch, within: 2h, otherwise: roll_back}\n"
        "checks:\n- {kind: limit, metric: {name: latency, kind: latency}, quantile: 0.99, "
        "at_most: 400ms}\n- {kind: limit, metric: {name: error-rate, kind: ratio}, "
        "at_most: {times: 1.5x, floor: 0.1%}}"
    )
    read = loads_strategy(text, format="yaml")

    assert isinstance(read, BlueGreen)
    assert (read.bake, read.retire_after) == (minutes(10), hours(1))
    assert read.approval is not None and read.approval.otherwise is Action.ROLL_BACK
    first, second = read.checks
    assert isinstance(first, Limit) and first.at_most == ms(400)
    assert isinstance(second, Limit) and isinstance(second.at_most, Times)
    assert second.metric == Metric("error-rate", kind="ratio") == ERRORS
    assert NoWorse(ERRORS) not in read.checks
    assert percents(1)[0] == percent(1)
