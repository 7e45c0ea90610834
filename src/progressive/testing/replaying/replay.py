"""Replay a recorded rollout under another strategy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from functools import reduce
from os import PathLike
from typing import Final

from progressive.analysis.analysis import PREFLIGHT
from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.measurement import Counts
from progressive.model.release import Release, Version
from progressive.model.traffic import Track
from progressive.plan.plan import Plan, Strategy, plan_of
from progressive.rollout.events import Measured
from progressive.rollout.notes import EventRecorded, Judged, Note
from progressive.rollout.phases import Phase
from progressive.rollout.state import Rollout, begin
from progressive.testing.simulation.story import Story

from .recorded_looks import counted
from .recorded_notes import notes_from
from .recorded_rollout import RecordedRollout
from .replayed import Counted, Difference, Ending, Replay
from .rerun import Rerun

__all__ = ["notes_from", "replay"]

SOMEBODY: Final = Release(
    service="recorded",
    stable=Version("old"),
    candidate=Version("new"),
    baseline=Version("old", backend="baseline"),
)
"""The default release; notes do not have it."""


def replay(
    notes: Story | Iterable[Note | tuple[str, Note]],
    strategy: Strategy,
    *,
    release: Release | None = None,
) -> Replay:
    """Replay a recorded rollout under ``strategy``: other thresholds, another test, other times or
    weights.

    * ``notes``: all notes of one rollout, in any order: ``store.notes(id)``, `notes_from` of a
      file, those that an observer collected, or the `Story` of a simulated one. The recorded
      rollout may have been of any strategy, and need not have ended.
    * ``strategy``: anything with a ``plan``; a stored `Rollout` is judged again as it was.
    * ``release``: named in the texts; by default that of the story or of the stored rollout.

    The engine itself drives the strategy through the recorded time, with the recorded answers, as
    long as it asks for the recorded traffic; an answer after that would be a guess, so
    `Replay.unknown_from` is where it ends. A raise counts as the recorded one if the recorded
    driver made it at its next visit, as late as it usually came. Looks in other windows than the
    recorded ones are answered by the recorded windows that lie whole in them; where nothing was
    recorded there is no answer, and a check that needs one waits.

    Pure: the same notes and strategy give an equal `Replay`. Raises `StrategyError` for a value
    that is no note, a strategy without a plan, no notes, notes of several rollouts or without their
    beginning, a metric that was recorded as another kind, and a release without a stable version.
    """
    _refuse_path(notes)
    if not isinstance(notes, Story | Iterable):
        raise StrategyError(
            f"replay(notes): {fields.brief(notes)} has no notes; pass store.notes(id), "
            "notes_from(path) or a Story"
        )
    recording = RecordedRollout.of(notes.notes if isinstance(notes, Story) else notes)
    plan = plan_of(strategy, "replay(strategy)")
    _require_same_kinds(recording, plan)
    release = _release(notes, strategy) if release is None else release
    at = recording.began
    rollout = begin(plan, release, id="replayed", at=recording.last if at is None else at)
    if at is None:
        return _never_began(recording, release)
    return _replay_of(recording, Rerun(recording=recording, rollout=rollout, now=at).go())


# --------------------------------------------------------------------------------------- in numbers


def _refuse_path(notes: object) -> None:
    if isinstance(notes, str | bytes | PathLike):
        raise StrategyError(
            f"replay(notes): {fields.brief(notes)} is no note; to read them from a file, use "
            "notes_from(path)"
        )


def _release(notes: object, strategy: object) -> Release:
    rollout = notes.rollout if isinstance(notes, Story) else strategy
    return rollout.release if isinstance(rollout, Rollout) else SOMEBODY


def _replay_of(recording: RecordedRollout, rerun: Rerun) -> Replay:
    """Compare the replayed rollout with the recorded one."""
    end, plan = rerun.ending, rerun.rollout.plan
    assert end is not None
    before, after = _split(recording, end.at if rerun.unknown_from is None else rerun.unknown_from)
    went_back, promoted = end.phase is Phase.ROLLED_BACK, end.phase is Phase.PROMOTED
    return Replay(
        release=rerun.rollout.release,
        recorded=recording.ending,
        replayed=end,
        unknown_from=rerun.unknown_from,
        unknown_why=rerun.unknown_why,
        exposed=before + after if promoted else before,
        spared=after if went_back else Counted(),
        undecided=Counted() if went_back or promoted else after,
        missing=tuple(metric.name for metric in plan.metrics if metric.name not in recording.looks),
        gaps=tuple(dict.fromkeys(rerun.world.gaps)),
        differences=tuple(_differences(recording.judged, rerun.notes)),
        notes=tuple(note for note in rerun.notes if not _of_preflight(note)),
    )


def _require_same_kinds(recording: RecordedRollout, plan: Plan) -> None:
    """Raise `StrategyError` for a metric that was recorded as another kind: its checks would judge
    other numbers than they mean.
    """
    problems = [
        f"metric {metric.name!r}: it was recorded as a {kind.value}, the strategy means a "
        f"{metric.kind.value}; give it another name"
        for metric in plan.metrics
        if (kind := recording.kind(metric.name)) not in (None, metric.kind) and kind is not None
    ]
    if problems:
        raise StrategyError(problems)


def _of_preflight(note: Note) -> bool:
    """Return whether a note is of a preflight's measurement, which was made up, not recorded."""
    return (
        isinstance(note, EventRecorded)
        and isinstance(note.event, Measured)
        and note.event.analyses == (PREFLIGHT,)
    )


def _never_began(recording: RecordedRollout, release: Release) -> Replay:
    """Return the replay of a recording that ends before the candidate had any traffic."""
    end, nothing = recording.ending, Counted()
    why = f"the recorded rollout never began ({end.why}): nothing was measured"
    return Replay(
        release=release,
        recorded=end,
        replayed=Ending(phase=Phase.PENDING, at=end.at, why=why),
        unknown_from=end.at,
        unknown_why=why,
        exposed=nothing,
        spared=nothing,
        undecided=nothing,
        missing=(),
        gaps=(),
        differences=(),
        notes=(),
    )


def _split(recording: RecordedRollout, at: datetime) -> tuple[Counted, Counted]:
    """Sum what was counted on the candidate before ``at``, and from then on.

    Each request counts once, however many analyses counted it; a window counts where its middle is.
    """
    before: list[Counted] = []
    after: list[Counted] = []
    for name, looks in recording.looks.items():
        for look, measurement in counted(looks):
            if recording.traffic(look.start).reaches(Track.CANDIDATE):
                half = before if look.start + (look.end - look.start) / 2 < at else after
                half.append(
                    Counted(((name, measurement),))
                    if isinstance(measurement, Counts)
                    else Counted(values=((name, measurement.sample),))
                )
    return _total(before), _total(after)


def _total(parts: Iterable[Counted]) -> Counted:
    return reduce(Counted.__add__, parts, Counted())


def _differences(recorded: Iterable[Judged], notes: Iterable[Note]) -> Iterable[Difference]:
    verdicts = _by_check(recorded)
    for (key, at), replayed in _by_check(
        note for note in notes if isinstance(note, Judged)
    ).items():
        then = verdicts.get((key, at))
        if then is not None and [note.verdict for note in then] != [
            note.verdict for note in replayed
        ]:
            old, new = (", ".join(note.verdict for note in judged) for judged in (then, replayed))
            yield Difference(check=key, at=at, recorded=old, replayed=new, why=replayed[-1].why)


def _by_check(notes: Iterable[Judged]) -> dict[tuple[str, datetime], list[Judged]]:
    """Group verdicts by check and moment; those of one moment in an order that does not depend on
    the order of ``notes``.
    """
    groups = defaultdict(list)
    for note in notes:
        groups[f"{note.analysis}/{note.check}", note.at].append(note)
    return {key: sorted(judged, key=repr) for key, judged in groups.items()}
