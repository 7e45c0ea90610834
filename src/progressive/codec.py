"""Strict JSON for rollouts, events, notes and strategies: canonical to write, unforgiving to read, readable by a person.

What is written: percent as percent, times in ISO 8601, durations in seconds; fields at their default are left out; one of several kinds
carries its ``kind``. What is read must be exactly that: an unknown key, a duplicate key, NaN, a wrong type or a truncated text is a
`StateError` with its path, and nothing is guessed. The field types of the classes are the schema; there is no second copy of it.
"""

from __future__ import annotations

import enum
import json
import math
import types
import typing
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, TypeVar, cast

import attrs

from . import _validators as check
from .analysis.checks import CHECKS, Bound
from .analysis.verdict import Check, Memory
from .errors import StateError, StrategyError
from .lifecycle import FINAL, Phase, Retirement
from .messages import Event
from .notes import Note
from .rollout import FORMAT, Rollout
from .step import Kinds, Step
from .steps import KINDS
from .strategies import BlueGreen, Canary
from .traffic import Traffic
from .units import Percent, Times, percent, times

__all__ = ["dumps", "dumps_event", "dumps_note", "dumps_strategy", "loads", "loads_event", "loads_note", "loads_strategy"]

Load = Callable[[Any, str], Any]
Dump = Callable[[Any], Any]
T = TypeVar("T")

DEEPEST: Final = 64
"""No value of ours nests deeper than a dozen levels; anything past this is not ours, and would only exhaust the stack."""

NO_KINDS: Final = Kinds()
_CHECKS: Final[tuple[type[Any], ...]] = CHECKS


# ------------------------------------------------------------------------------------------------------------------- public


def dumps(rollout: Rollout, kinds: Kinds = NO_KINDS) -> str:
    """A rollout as canonical JSON: equal rollouts give equal bytes, on every machine and Python."""
    return _text({"format": FORMAT, **_Codec.of(kinds).dump(Rollout)(rollout)})


def loads(text: str | bytes, kinds: Kinds = NO_KINDS) -> Rollout:
    """The rollout that `dumps` wrote. Raises `StateError` with the path of what is wrong; a newer format is refused by its number."""
    data = _parse(text)
    if not isinstance(data, dict):
        raise StateError(f"expected an object, got {_short(data)}")
    found = data.pop("format", None)
    if found != FORMAT:
        newer = isinstance(found, int) and not isinstance(found, bool) and found > FORMAT
        mend = "written by a newer version of progressive; upgrade this driver" if newer else f"this version reads format {FORMAT}"
        raise StateError(f"format {found!r}: {mend}", path="$.format")
    rollout = cast(Rollout, _Codec.of(kinds).load(Rollout)(data, "$"))
    _meaning(rollout)
    return rollout


def dumps_event(event: Event) -> str:
    """One event, for a queue or a signal."""
    return _text(_Codec.of(NO_KINDS).dump(Event)(event))


def loads_event(text: str | bytes) -> Event:
    """The event that `dumps_event` wrote."""
    return cast(Event, _Codec.of(NO_KINDS).load(Event)(_parse(text), "$"))


def dumps_note(note: Note) -> str:
    """One note of the audit trail, on one line."""
    return _text(_Codec.of(NO_KINDS).dump(Note)(note))


def loads_note(text: str | bytes) -> Note:
    """The note that `dumps_note` wrote."""
    return cast(Note, _Codec.of(NO_KINDS).load(Note)(_parse(text), "$"))


def dumps_strategy(strategy: Canary | BlueGreen, kinds: Kinds = NO_KINDS) -> str:
    """A strategy, for a file under version control."""
    return _text(_Codec.of(kinds).dump(Canary | BlueGreen)(strategy))


def loads_strategy(text: str | bytes, kinds: Kinds = NO_KINDS) -> Canary | BlueGreen:
    """The strategy that `dumps_strategy` wrote, or that a person wrote in the same form."""
    return cast("Canary | BlueGreen", _Codec.of(kinds).load(Canary | BlueGreen)(_parse(text), "$"))


# --------------------------------------------------------------------------------------------------------------------- text


def _text(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:  # half of a pair, from a text that was decoded badly; escaped, it can be stored like any other
            return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text


def _parse(text: str | bytes) -> Any:
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        data = json.loads(text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_no_duplicates)
    except StateError:
        raise
    except RecursionError:
        raise StateError(f"nested deeper than {DEEPEST} levels") from None
    except ValueError as error:
        raise StateError(f"not JSON: {error}") from None
    _shallow(data, 0)
    return data


def _no_constant(name: str) -> Any:
    raise StateError(f"{name} is not a number that can be stored")


def _finite(digits: str) -> float:
    value = float(digits)
    return value if math.isfinite(value) else _no_constant(digits)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise StateError(f"the key {key!r} stands twice in one object")
        found[key] = value
    return found


def _shallow(data: Any, depth: int) -> None:
    if depth > DEEPEST:
        raise StateError(f"nested deeper than {DEEPEST} levels")
    inside: Iterable[Any] = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    for value in inside:
        _shallow(value, depth + 1)


def _short(value: object) -> str:
    said = repr(value)
    return said if len(said) <= 60 else f"{said[:57]}..."


# ------------------------------------------------------------------------------------------------------------------- schema


class _Codec:
    """How each type is written and read, made once for each set of kinds."""

    def __init__(self, kinds: Kinds) -> None:
        own = {each.kind: each for each in kinds.classes}
        if taken := sorted(own.keys() & {each.kind for each in (*KINDS, *_CHECKS)}):
            raise StrategyError([f"Kinds: {own[kind]!r}: {kind!r} is a kind of the library; name yours differently" for kind in taken])
        self._steps = {each.kind: each for each in KINDS} | {k: c for k, c in own.items() if hasattr(c, "advance")}
        self._checks = {each.kind: each for each in _CHECKS} | {k: c for k, c in own.items() if hasattr(c, "judge")}
        self._made: dict[Any, tuple[Dump, Load]] = {
            str: _plain(str, "a string"),
            bool: _plain(bool, "true or false"),
            int: _plain(int, "a whole number"),
            float: (lambda value: value, _load_float),
            datetime: (_dump_datetime, _load_datetime),
            timedelta: (_dump_timedelta, _load_timedelta),
            Percent: (lambda value: value.number, _load_percent),
            type(None): (lambda value: None, _load_none),
            Bound: (_dump_bound, _load_bound),
            Step: self._one_of(self._steps, "step"),
            Check: self._one_of(self._checks, "check"),
            Memory: (_dump_memory, _load_memory),
        }

    @staticmethod
    @cache
    def of(kinds: Kinds) -> _Codec:
        return _Codec(kinds)

    def dump(self, kind: Any) -> Dump:
        return self._pair(kind)[0]

    def load(self, kind: Any) -> Load:
        return self._pair(kind)[1]

    def _pair(self, kind: Any) -> tuple[Dump, Load]:
        try:
            return self._made[kind]
        except KeyError:
            self._made[kind] = made = self._make(kind)
            return made

    def _make(self, kind: Any) -> tuple[Dump, Load]:
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin is tuple:
            return self._tuple(arguments)
        if origin is typing.Literal:
            return (lambda value: value), _load_choice(arguments)
        if origin in (typing.Union, types.UnionType):
            return self._union(arguments)
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return (lambda value: value.value), _load_enum(kind)
        if isinstance(kind, type) and attrs.has(kind):
            return self._object(kind)
        raise TypeError(f"{kind!r} has no stored form; use strings, numbers, percent, timedelta, datetime, tuples and attrs classes")

    def _tuple(self, arguments: tuple[Any, ...]) -> tuple[Dump, Load]:
        if arguments[-1] is Ellipsis:
            dump, load = self._pair(arguments[0])

            def load_list(data: Any, path: str) -> Any:
                if not isinstance(data, list):
                    raise StateError(f"expected a list, got {_short(data)}", path=path)
                return tuple(load(each, f"{path}[{i}]") for i, each in enumerate(data))

            return (lambda value: [dump(each) for each in value]), load_list
        pairs = [self._pair(each) for each in arguments]

        def load_fixed(data: Any, path: str) -> Any:
            if not isinstance(data, list) or len(data) != len(pairs):
                raise StateError(f"expected a list of {len(pairs)}, got {_short(data)}", path=path)
            return tuple(load(each, f"{path}[{i}]") for i, (each, (_, load)) in enumerate(zip(data, pairs, strict=True)))

        return (lambda value: [dump(each) for each, (dump, _) in zip(value, pairs, strict=True)]), load_fixed

    def _union(self, arguments: tuple[Any, ...]) -> tuple[Dump, Load]:
        others = tuple(each for each in arguments if each is not type(None))
        if len(others) < len(arguments):
            union: Any = others[0]
            for each in others[1:]:
                union = union | each
            if set(others) == set(typing.get_args(Bound)):
                union = Bound
            dump, load = self._pair(union)
            return (lambda value: None if value is None else dump(value)), (
                lambda data, path: None if data is None else load(data, path)
            )
        return self._one_of({each.kind: each for each in others}, "kind")

    def _one_of(self, classes: dict[str, Any], what: str) -> tuple[Dump, Load]:
        def dump(value: Any) -> Any:
            if classes.get(value.kind) is not type(value):
                raise StrategyError(f"{value!r} is of an unknown {what} kind {value.kind!r}; pass its class in Kinds(...)")
            return {"kind": value.kind, **self.dump(type(value))(value)}

        def load(data: Any, path: str) -> Any:
            if not isinstance(data, dict) or "kind" not in data:
                raise StateError(f"expected an object with a kind, got {_short(data)}", path=path)
            name = data["kind"]
            if not isinstance(name, str) or name not in classes:
                mend = "; your own class goes into Kinds(...)" if what in ("step", "check") else ""
                raise StateError(f"unknown kind {_short(name)}; there are {', '.join(sorted(classes))}{mend}", path=f"{path}.kind")
            return self.load(classes[name])({key: value for key, value in data.items() if key != "kind"}, path)

        return dump, load

    def _object(self, kind: type[Any]) -> tuple[Dump, Load]:
        fields = [field for field in attrs.fields(kind) if field.init]
        hints = _hints(kind)
        pairs: dict[str, tuple[Dump, Load]] = {}

        def ready() -> dict[str, tuple[Dump, Load]]:
            if not pairs:
                pairs.update({field.name: self._pair(hints[field.name]) for field in fields})
            return pairs

        plain_defaults = {
            field.name: field.default for field in fields if not isinstance(field.default, attrs.Factory)  # type: ignore[arg-type]
        }

        def dump(value: Any) -> Any:
            return {
                name: dump_field(found)
                for name, (dump_field, _) in ready().items()
                if not _same((found := getattr(value, name)), plain_defaults.get(name, attrs.NOTHING))
            }

        def load(data: Any, path: str) -> Any:
            if not isinstance(data, dict):
                raise StateError(f"expected an object, got {_short(data)}", path=path)
            known = ready()
            for key in data:
                if key not in known:
                    raise StateError(f"unknown key; {kind.__name__} has {', '.join(known)}", path=f"{path}.{key}")
            for field in fields:
                if field.name not in data and field.default is attrs.NOTHING:
                    raise StateError("missing", path=f"{path}.{field.name}")
            given = {key: known[key][1](value, f"{path}.{key}") for key, value in data.items()}
            try:
                return kind(**given)
            except StrategyError as error:
                raise StateError("; ".join(error.problems), path=path) from None

        return dump, load


def _hints(kind: type[Any]) -> dict[str, Any]:
    """The field types of a class; ``Memory`` and ``Bound`` are kept as the names that they are."""
    scope = vars(__import__(kind.__module__, fromlist=["*"]))
    found: dict[str, Any] = {}
    for field in attrs.fields(kind):
        annotation = field.type
        if annotation == "Memory":
            found[field.name] = Memory
        elif isinstance(annotation, str):
            found[field.name] = eval(annotation, scope)  # noqa: S307 - our own annotations, never data
        else:
            found[field.name] = annotation
    return found


def _same(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other


# ------------------------------------------------------------------------------------------------------------------- values


def _plain(kind: type[Any], what: str) -> tuple[Dump, Load]:
    def load(data: Any, path: str) -> Any:
        if type(data) is not kind:
            raise StateError(f"expected {what}, got {_short(data)}", path=path)
        return data

    return (lambda value: value), load


def _load_float(data: Any, path: str) -> float:
    if isinstance(data, bool) or not isinstance(data, int | float):
        raise StateError(f"expected a number, got {_short(data)}", path=path)
    return data


def _load_none(data: Any, path: str) -> None:
    if data is not None:
        raise StateError(f"expected null, got {_short(data)}", path=path)


def _load_choice(choices: tuple[Any, ...]) -> Load:
    def load(data: Any, path: str) -> Any:
        if data not in choices:
            raise StateError(f"{_short(data)} is not one of {', '.join(map(str, choices))}", path=path)
        return data

    return load


def _load_enum(kind: type[enum.Enum]) -> Load:
    members = {member.value: member for member in kind}

    def load(data: Any, path: str) -> Any:
        if not isinstance(data, str) or data not in members:
            raise StateError(f"{_short(data)} is not one of {', '.join(members)}", path=path)
        return members[data]

    return load


def _dump_datetime(value: datetime) -> str:
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _load_datetime(data: Any, path: str) -> datetime:
    try:
        value = datetime.fromisoformat(data)
    except (TypeError, ValueError):
        raise StateError(f"expected a time such as 2026-01-31T09:30:00.000Z, got {_short(data)}", path=path) from None
    if value.utcoffset() is None:
        raise StateError(f"{_short(data)} has no time zone; end it with Z", path=path)
    try:
        return check.utc(value)
    except OverflowError:
        raise StateError(f"{_short(data)} is before the first year or after the last", path=path) from None


def _dump_timedelta(value: timedelta) -> int | float:
    ms = value // timedelta(milliseconds=1)
    return ms // 1000 if not ms % 1000 else ms / 1000


def _load_timedelta(data: Any, path: str) -> timedelta:
    value = _load_float(data, path)
    try:
        return timedelta(milliseconds=round(value * 1000))
    except (OverflowError, ValueError):
        raise StateError(f"{_short(data)} seconds is not a duration", path=path) from None


def _load_percent(data: Any, path: str) -> Percent:
    try:
        return percent(data)
    except StrategyError as error:
        raise StateError(str(error), path=path) from None


def _dump_bound(value: Any) -> Any:
    match value:
        case Percent():
            return {"percent": value.number}
        case timedelta():
            return {"seconds": _dump_timedelta(value)}
        case Times(factor=factor, floor=floor):
            return {"times": factor} if floor is None else {"times": factor, "floor": _dump_bound(floor)}
        case _:
            return value


def _load_bound(data: Any, path: str) -> Any:
    match data:
        case {"percent": value, **rest} if not rest:
            return _load_percent(value, f"{path}.percent")
        case {"seconds": value, **rest} if not rest:
            return _load_timedelta(value, f"{path}.seconds")
        case {"times": factor, **rest} if set(rest) <= {"floor"}:
            floor = _load_bound(rest["floor"], f"{path}.floor") if "floor" in rest else None
            try:
                return times(_load_float(factor, f"{path}.times"), floor=floor)
            except StrategyError as error:
                raise StateError(str(error), path=path) from None
        case int() | float():
            return _load_float(data, path)
        case _:
            raise StateError(f'expected {{"percent": ..}}, {{"seconds": ..}}, {{"times": ..}} or a number, got {_short(data)}', path=path)


def _dump_memory(value: Memory) -> Any:
    return [_dump_memory(each) for each in value] if isinstance(value, tuple) else value


def _load_memory(data: Any, path: str) -> Memory:
    if isinstance(data, list):
        return tuple(_load_memory(each, f"{path}[{i}]") for i, each in enumerate(data))
    if isinstance(data, dict):
        raise StateError(f"expected numbers, strings or lists, got {_short(data)}", path=path)
    return cast(Memory, data)


# ------------------------------------------------------------------------------------------------------------------ meaning


def _meaning(rollout: Rollout) -> None:
    """Refuse a state that no decision can have led to (R33): it was edited, mixed up or cut."""
    plan, progress, routing, evidence = rollout.plan, rollout.progress, rollout.routing, rollout.evidence

    def need(condition: bool, path: str, why: str) -> None:
        if not condition:
            raise StateError(why, path=path)

    need(0 <= progress.step < len(plan.steps), "$.progress.step", f"{progress.step} is not a step of a plan with {len(plan.steps)}")
    need(progress.epoch >= 0 and rollout.serial >= 0, "$.serial", "serial and epoch are never negative")
    need(
        len(evidence.series) == len(plan.series) and len(evidence.tallies) == len(plan.checks),
        "$.evidence",
        f"it has {len(evidence.series)} series and {len(evidence.tallies)} tallies, the plan {len(plan.series)} and {len(plan.checks)}",
    )
    probed, metrics = [probe.metric for probe in evidence.probes], [metric.name for metric in plan.metrics]
    need(
        probed == metrics or (not probed and (routing.claimed or progress.phase is not Phase.PENDING)),
        "$.evidence.probes",
        f"it has {', '.join(probed) or 'none'}, and before the start the plan's metrics {', '.join(metrics) or 'none'} must answer",
    )
    # A step that could not raise yet goes on with what an earlier one wanted, which may have a route or a baseline that it has not.
    entered = (Traffic(),) if progress.phase in (Phase.PENDING, Phase.ROLLING_BACK) else plan.traffics[: progress.step + 1]
    need(
        any(not routing.wanted.exceeds(traffic) for traffic in entered),
        "$.routing.wanted",
        f"it asks for {routing.wanted}, and {progress.phase.value} in step {plan.steps[progress.step].id!r} allows {entered[-1]}",
    )
    need(
        bool(progress.causes) == (progress.phase is Phase.HELD),
        "$.progress.causes",
        f"a rollout is held exactly while it has causes; this one is {progress.phase.value} with {len(progress.causes)}",
    )
    need(
        progress.phase in (Phase.PENDING, Phase.HELD, Phase.ROLLED_BACK) or routing.touched,
        "$.routing.touched",
        f"{progress.phase.value} without a write is not possible",
    )
    need(
        progress.retirement is Retirement.NONE or progress.phase is Phase.PROMOTED,
        "$.progress.retirement",
        f"{progress.retirement.value} while {progress.phase.value}: only a promoted rollout retires the old version",
    )
    over = progress.phase in FINAL and progress.retirement in (Retirement.NONE, Retirement.DONE)
    need((rollout.wake_at is None) == over, "$.wake_at", "a rollout that is over has none, every other one has one")


