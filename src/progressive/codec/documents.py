"""Strict JSON for rollouts, events, notes and strategies: canonical to write, unforgiving to read,
readable by a person.

What is written: percent as percent, times in ISO 8601, durations in seconds; fields at their
default are left out; one of several kinds carries its ``kind``. What is read must be exactly that:
an unknown key, a duplicate key, NaN, a wrong type or a truncated text is a `StateError` with its
path, and nothing is guessed. The field types of the classes are the schema; there is no second copy
of it.
"""

from __future__ import annotations

from typing import Final, cast

from progressive.errors import StateError
from progressive.model.traffic import Traffic
from progressive.plan.step import Kinds
from progressive.rollout.events import Event
from progressive.rollout.notes import Note
from progressive.rollout.phases import FINAL, Phase, Retirement
from progressive.rollout.state import FORMAT, Rollout
from progressive.strategies import AnyStrategy

from .schema import Codec
from .strict_json import parsed, short, text_of

__all__ = [
    "dumps",
    "dumps_event",
    "dumps_note",
    "dumps_strategy",
    "loads",
    "loads_event",
    "loads_note",
    "loads_strategy",
]

NO_KINDS: Final = Kinds()


def dumps(rollout: Rollout, kinds: Kinds = NO_KINDS) -> str:
    """A rollout as canonical JSON: equal rollouts give equal bytes, on every machine and Python."""
    return text_of({"format": FORMAT, **Codec.of(kinds).dump(Rollout)(rollout)})


def loads(text: str | bytes, kinds: Kinds = NO_KINDS) -> Rollout:
    """The rollout that `dumps` wrote. Raises `StateError` with the path of what is wrong; a newer
    format is refused by its number.
    """
    data = parsed(text)
    if not isinstance(data, dict):
        raise StateError(f"expected an object, got {short(data)}")
    found = data.pop("format", None)
    if found != FORMAT:
        newer = isinstance(found, int) and not isinstance(found, bool) and found > FORMAT
        mend = (
            "written by a newer version of progressive; upgrade this driver"
            if newer
            else f"this version reads format {FORMAT}"
        )
        raise StateError(f"format {found!r}: {mend}", path="$.format")
    rollout = cast(Rollout, Codec.of(kinds).load(Rollout)(data, "$"))
    _meaning(rollout)
    return rollout


def dumps_event(event: Event) -> str:
    """One event, for a queue or a signal."""
    return text_of(Codec.of(NO_KINDS).dump(Event)(event))


def loads_event(text: str | bytes) -> Event:
    """The event that `dumps_event` wrote."""
    return cast(Event, Codec.of(NO_KINDS).load(Event)(parsed(text), "$"))


def dumps_note(note: Note) -> str:
    """One note of the audit trail, on one line."""
    return text_of(Codec.of(NO_KINDS).dump(Note)(note))


def loads_note(text: str | bytes) -> Note:
    """The note that `dumps_note` wrote."""
    return cast(Note, Codec.of(NO_KINDS).load(Note)(parsed(text), "$"))


def dumps_strategy(strategy: AnyStrategy, kinds: Kinds = NO_KINDS) -> str:
    """A strategy, for a file under version control."""
    return text_of(Codec.of(kinds).dump(AnyStrategy)(strategy))


def loads_strategy(text: str | bytes, kinds: Kinds = NO_KINDS) -> AnyStrategy:
    """The strategy that `dumps_strategy` wrote, or that a person wrote in the same form."""
    return cast("AnyStrategy", Codec.of(kinds).load(AnyStrategy)(parsed(text), "$"))


def _meaning(rollout: Rollout) -> None:
    """Refuse a state that no decision can have led to (R33): it was edited, mixed up or cut."""
    plan, progress, routing, evidence = (
        rollout.plan,
        rollout.progress,
        rollout.routing,
        rollout.evidence,
    )

    def need(condition: bool, path: str, why: str) -> None:
        if not condition:
            raise StateError(why, path=path)

    need(
        0 <= progress.step < len(plan.steps),
        "$.progress.step",
        f"{progress.step} is not a step of a plan with {len(plan.steps)}",
    )
    need(
        progress.epoch >= 0 and rollout.serial >= 0,
        "$.serial",
        "serial and epoch are never negative",
    )
    need(
        len(evidence.series) == len(plan.series) and len(evidence.check_states) == len(plan.checks),
        "$.evidence",
        f"it has {len(evidence.series)} series and {len(evidence.check_states)} tallies, the "
        f"plan {len(plan.series)} and {len(plan.checks)}",
    )
    probed, metrics = (
        [probe.metric for probe in evidence.probes],
        [metric.name for metric in plan.metrics],
    )
    need(
        probed == metrics
        or (not probed and (routing.ownership_confirmed or progress.phase is not Phase.PENDING)),
        "$.evidence.probes",
        f"it has {', '.join(probed) or 'none'}, and before the start the plan's metrics "
        f"{', '.join(metrics) or 'none'} must answer",
    )
    # A step that could not raise yet goes on with what an earlier one wanted, which may have a
    # route or a baseline that it has not. On the way back a part may stay on the candidate, while
    # the fleet says that stable can't carry all of it.
    in_steps = progress.phase is Phase.ROLLING_BACK and rollout.instances.bound
    back = progress.phase in (Phase.PENDING, Phase.ROLLING_BACK) and not in_steps
    entered = (Traffic(),) if back else plan.traffics[: progress.step + 1]
    need(
        any(not routing.desired.exceeds(traffic) for traffic in entered),
        "$.routing.wanted",
        f"it asks for {routing.desired}, and {progress.phase.value} in step "
        f"{plan.steps[progress.step].id!r} allows {entered[-1]}",
    )
    need(
        bool(progress.causes) == (progress.phase is Phase.HELD),
        "$.progress.causes",
        f"a rollout is held exactly while it has causes; this one is {progress.phase.value} "
        f"with {len(progress.causes)}",
    )
    need(
        progress.phase in (Phase.PENDING, Phase.HELD, Phase.ROLLED_BACK) or routing.any_write_sent,
        "$.routing.touched",
        f"{progress.phase.value} without a write is not possible",
    )
    need(
        progress.retirement is Retirement.NONE or progress.phase is Phase.PROMOTED,
        "$.progress.retirement",
        f"{progress.retirement.value} while {progress.phase.value}: only a promoted rollout "
        "retires the old version",
    )
    over = progress.phase in FINAL and progress.retirement in (Retirement.NONE, Retirement.DONE)
    need(
        (rollout.wake_at is None) == over,
        "$.wake_at",
        "a rollout that is over has none, every other one has one",
    )
