"""Strict JSON for rollouts, events, notes, strategies and deliveries: canonical when written,
checked when read, readable by a person.

Percents are written as percent, times in ISO 8601, durations in seconds; fields at their default
are left out; a value of one of several kinds has its ``kind``. Nothing else is read: an unknown
key, a duplicate key, NaN, a wrong type or a truncated text is a `StateError` with its path, and
nothing is guessed. The field types of the classes are the schema; there is no second copy of it.
"""

from __future__ import annotations

from typing import Final, Literal, cast

from progressive.errors import StateError, StrategyError
from progressive.model import fields
from progressive.model.delivery import Delivery
from progressive.model.traffic import Traffic
from progressive.plan.step import Kinds
from progressive.rollout.events import Event
from progressive.rollout.notes import Note
from progressive.rollout.phases import FINAL, Phase, Retirement
from progressive.rollout.state import FORMAT, Rollout
from progressive.strategies.kinds import AnyStrategy

from .plans import KnownPlans
from .schema import Codec
from .strict_json import parsed, short, text_of

__all__ = [
    "dumps",
    "dumps_delivery",
    "dumps_event",
    "dumps_note",
    "dumps_strategy",
    "loads",
    "loads_delivery",
    "loads_event",
    "loads_note",
    "loads_strategy",
]

NO_KINDS: Final = Kinds()


def dumps(rollout: Rollout, kinds: Kinds = NO_KINDS) -> str:
    """Write a rollout as canonical JSON: equal rollouts give equal bytes, on every machine and
    Python.

    ``kinds`` are your own kinds of steps and checks.
    """
    return text_of({"format": FORMAT, **Codec.of(kinds).dump(Rollout, rollout)})


def loads(text: str | bytes, kinds: Kinds = NO_KINDS) -> Rollout:
    """Read the rollout that `dumps` wrote.

    Raises `StateError` with the path of the first mistake; a newer format is refused by its number.
    """
    data = KnownPlans.of(kinds).parsed(text)
    if not isinstance(data, dict):
        raise StateError(f"expected an object, got {short(data)}")
    format = data.pop("format", None)
    if format != FORMAT:
        newer = isinstance(format, int) and not isinstance(format, bool) and format > FORMAT
        hint = (
            "written by a newer version of progressive; upgrade this driver"
            if newer
            else f"this version reads format {FORMAT}"
        )
        raise StateError(f"format {format!r}: {hint}", path="$.format")
    rollout = cast(Rollout, Codec.of(kinds).load(Rollout, data))
    _refuse_impossible(rollout)
    return rollout


def dumps_delivery(delivery: Delivery) -> str:
    """Write a delivery, for an outbox."""
    return text_of(Codec.of(NO_KINDS).dump(Delivery, delivery))


def loads_delivery(text: str | bytes) -> Delivery:
    """Read a delivery. Raises `StateError` with the path of the first mistake."""
    return cast(Delivery, Codec.of(NO_KINDS).load(Delivery, parsed(text)))


def dumps_event(event: Event) -> str:
    """Write one event, for a queue or a signal."""
    return text_of(Codec.of(NO_KINDS).dump(Event, event))


def loads_event(text: str | bytes) -> Event:
    """Read the event that `dumps_event` wrote. Raises `StateError`."""
    return cast(Event, Codec.of(NO_KINDS).load(Event, parsed(text)))


def dumps_note(note: Note) -> str:
    """Write one note of the audit trail, on one line."""
    return text_of(Codec.of(NO_KINDS).dump(Note, note))


def loads_note(text: str | bytes) -> Note:
    """Read the note that `dumps_note` wrote. Raises `StateError`."""
    return cast(Note, Codec.of(NO_KINDS).load(Note, parsed(text)))


def dumps_strategy(
    strategy: AnyStrategy, kinds: Kinds = NO_KINDS, *, format: Literal["json", "yaml"] = "json"
) -> str:
    """Write a strategy, for a file under version control: as JSON, or in YAML as a person would.

    YAML needs the extra ``yaml``.
    """
    if format not in ("json", "yaml"):
        raise StrategyError(
            f"dumps_strategy(format): {fields.brief(format)} is not one of json, yaml; TOML is "
            "only read"
        )
    if format == "yaml":
        from .descriptions import write_strategy

        return write_strategy(strategy, kinds=kinds)
    return text_of(Codec.of(kinds, today=True).dump(AnyStrategy, strategy))


def loads_strategy(
    text: str | bytes,
    kinds: Kinds = NO_KINDS,
    *,
    format: Literal["json", "yaml", "toml"] = "json",
    name: str = "strategy",
) -> AnyStrategy:
    """Read a strategy that `dumps_strategy` wrote, or that a person wrote.

    In JSON shares are bare numbers in percent, and durations in seconds; raises `StateError` with
    the path of the first mistake. In YAML and TOML they have units: ``1%``, ``5m``, ``400ms``,
    ``2x``; raises `StrategyError` with a line for each thing that is wrong, all at once, with line
    and column. ``name``: what these messages call the text, such as its file. YAML needs the extra
    ``yaml``. `strategy_schema` is for editors.
    """
    if format != "json":
        from .descriptions import read_strategy

        try:
            written = text.decode("utf-8") if isinstance(text, bytes) else text
        except UnicodeDecodeError as error:
            raise StrategyError(f"{name}: no UTF-8: {error.reason} at {error.start}") from None
        return read_strategy(written, format, name=name, kinds=kinds)
    codec = Codec.of(kinds, today=True)
    return cast("AnyStrategy", codec.load(AnyStrategy, parsed(text)))


def _refuse_impossible(rollout: Rollout) -> None:
    """Raise `StateError` for a state that no decision can have led to (R33).

    It was edited, cut, or put together from several.
    """
    plan, progress = rollout.plan, rollout.progress
    routing, evidence = rollout.routing, rollout.evidence

    if not 0 <= progress.step < len(plan.steps):
        raise StateError(
            f"{progress.step} is not a step of a plan with {len(plan.steps)}",
            path="$.progress.step",
        )
    if progress.epoch < 0 or rollout.serial < 0:
        raise StateError("serial and epoch are never negative", path="$.serial")
    series, check_states = evidence.series, evidence.check_states
    if len(series) != len(plan.series) or len(check_states) != len(plan.checks):
        raise StateError(
            f"it has {len(series)} series and {len(check_states)} tallies, the plan "
            f"{len(plan.series)} and {len(plan.checks)}",
            path="$.evidence",
        )
    probed = [probe.metric for probe in evidence.probes]
    metrics = [metric.name for metric in plan.metrics]
    if probed != metrics and (
        probed or (progress.phase is Phase.PENDING and not routing.ownership_confirmed)
    ):
        raise StateError(
            f"it has {', '.join(probed) or 'none'}, and before the start the plan's metrics "
            f"{', '.join(metrics) or 'none'} must answer",
            path="$.evidence.probes",
        )
    # A step that may not raise yet keeps the desired traffic of an earlier one, which may have a
    # route or a baseline that its own has not. On the way back a part may stay on the candidate
    # while stable can't carry all of it.
    in_steps = progress.phase is Phase.ROLLING_BACK and rollout.instances.bound
    back = progress.phase in (Phase.PENDING, Phase.ROLLING_BACK) and not in_steps
    entered = (Traffic(),) if back else plan.traffics[: progress.step + 1]
    if all(routing.desired.exceeds(traffic) for traffic in reversed(entered)):
        raise StateError(
            f"it asks for {routing.desired}, and {progress.phase.value} in step "
            f"{plan.steps[progress.step].id!r} allows {entered[-1]}",
            path="$.routing.wanted",
        )
    if bool(progress.causes) != (progress.phase is Phase.HELD):
        raise StateError(
            "a rollout is held exactly while it has causes; this one is "
            f"{progress.phase.value} with {len(progress.causes)}",
            path="$.progress.causes",
        )
    before_a_write = progress.phase in (Phase.PENDING, Phase.HELD, Phase.ROLLED_BACK)
    if not routing.any_write_sent and not before_a_write:
        raise StateError(
            f"{progress.phase.value} without a write is not possible", path="$.routing.touched"
        )
    if progress.retirement is not Retirement.NONE and progress.phase not in FINAL:
        raise StateError(
            f"{progress.retirement.value} while {progress.phase.value}: only a rollout that has "
            "ended removes a version",
            path="$.progress.retirement",
        )
    if (rollout.wake_at is None) != rollout.over:
        raise StateError(
            "a rollout that is over has none, every other one has one", path="$.wake_at"
        )
