"""What if: a recorded rollout, judged again under another strategy."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

import attrs

from ..analysis.judge import PREFLIGHT
from ..codec import loads_note
from ..errors import StateError, StrategyError
from ..lifecycle import Phase
from ..measurement import Counts, Window
from ..messages import Measured
from ..notes import Happened, Judged, Note
from ..plan import Plan
from ..release import Release
from ..rollout import begin
from ..starting import Strategy
from ..traffic import Track
from ..units import said
from ._recorded_looks import counted
from ._recording import Ending, Recording, moment
from ._rerun import Rerun

__all__ = ["Difference", "Ending", "Exposure", "Replay", "notes_from", "replay"]


@attrs.frozen(repr=False)
class Exposure:
    """What reached the candidate, as far as it was counted: for each ratio metric by name, the events among the trials."""

    counts: tuple[tuple[str, Counts], ...] = ()

    def of(self, metric: str) -> Counts:
        """The counts of one metric; none of nothing where it was not counted."""
        return dict(self.counts).get(metric, Counts(events=0, trials=0))

    @property
    def requests(self) -> int:
        """The trials of the metric that has the most: each request is counted by several metrics, and is one request."""
        return max((counts.trials for _, counts in self.counts), default=0)

    def __add__(self, other: Exposure) -> Exposure:
        names = sorted({name for name, _ in (*self.counts, *other.counts)})
        return Exposure(tuple((name, _added(self.of(name), other.of(name))) for name in names))

    def __str__(self) -> str:
        return ", ".join(f"{counts.events} of {counts.trials} ({name})" for name, counts in self.counts if counts.trials) or "nothing"

    def __repr__(self) -> str:
        return f"<Exposure: {self}>"


def _added(one: Counts, other: Counts) -> Counts:
    return Counts(events=one.events + other.events, trials=one.trials + other.trials)


@attrs.frozen(kw_only=True)
class Difference:
    """One check, at one moment at which both rollouts judged, and not the same. ``why`` is what the replayed one said."""

    check: str
    at: datetime
    recorded: str
    replayed: str
    why: str

    def __str__(self) -> str:
        return f"{self.check}: {self.replayed} instead of {self.recorded} at {moment(self.at)}: {self.why}"


@attrs.frozen(kw_only=True, repr=False)
class Replay:
    """What would have become of a recorded rollout under another strategy. ``str()`` is for people; two of the same are equal.

    ``recorded`` and ``replayed`` are how it ended and how it would have ended. ``known_until`` is None if that end is known; otherwise it
    is the moment up to which the answer holds, and ``unknown`` says why it does not from there on: what was measured then was measured
    in other traffic than this strategy would have given. Up to there, ``replayed`` says how it stood.

    ``exposed`` and ``spared`` are what reached the candidate before and after it would have gone back; together with ``undecided``, what
    came after ``known_until``, they are all that was counted on it. A window counts where its greater part lies.

    ``missing`` are metrics of the strategy at which the recorded rollout never looked: their checks never passed, so nothing is known past
    the first raise. ``gaps`` are times about which its other checks would have asked and in which nothing was recorded (a longer warm-up,
    a driver that was away): the answer leaves them out. ``differences`` are the verdicts that both gave at the same moment, and not the
    same. ``notes`` are the trail of the replayed rollout, as a store would have it.
    """

    release: Release
    recorded: Ending
    replayed: Ending
    known_until: datetime | None
    unknown: str
    exposed: Exposure
    spared: Exposure
    undecided: Exposure
    missing: tuple[str, ...]
    gaps: tuple[tuple[str, Window], ...]
    differences: tuple[Difference, ...]
    notes: tuple[Note, ...]

    @property
    def stops_at(self) -> datetime | None:
        """When it would have gone back, or have been held with nobody known to resume it; None if it did neither while it is known."""
        return self.replayed.at if self.replayed.stopped else None

    @property
    def why(self) -> str:
        """The check that would have stopped it, with its numbers, or whatever else did; how it stood where it did not stop."""
        return self.replayed.why

    @property
    def verdicts(self) -> tuple[Judged, ...]:
        """Every verdict that its checks would have come to, by time, with the reason and the numbers."""
        return tuple(note for note in self.notes if isinstance(note, Judged))

    def __str__(self) -> str:
        rows = [
            ("recorded", str(self.recorded)),
            ("replayed", f"{self.replayed}{self._sooner()}"),
            ("known", "to the end" if self.known_until is None else f"until {moment(self.known_until)}: {self.unknown}"),
            ("exposed", str(self.exposed)),
            ("spared", str(self.spared)),
        ]
        if self.undecided.requests:
            rows.append(("undecided", str(self.undecided)))
        rows += [("missing", f"{name}: the recorded rollout never looked at it, so its checks never passed") for name in self.missing]
        for name, gaps in _by_name(self.gaps).items():
            whole = sum((gap.length for gap in gaps), timedelta())
            rows.append(("gaps", f"{name}: {said(whole)} of what it would have looked at was not recorded, first at {moment(gaps[0].start)}"))
        rows += [("otherwise", str(each)) for each in _first_of_each(self.differences)]
        head = f"What if: {Track.CANDIDATE.label(self.release)} of {self.release.service}, times in UTC"
        return "\n".join([head, *(f"  {name:<9}  {value}" for name, value in rows)])

    def __repr__(self) -> str:
        known = "known to the end" if self.known_until is None else f"known until {moment(self.known_until)}"
        return f"<Replay of {self.release.service}: {self.replayed}; recorded: {self.recorded}; {known}>"

    def _sooner(self) -> str:
        by = self.recorded.at - self.replayed.at
        return f" ({said(by)} before the recorded end)" if self.stops_at is not None and by > timedelta() else ""


def _by_name(gaps: Iterable[tuple[str, Window]]) -> dict[str, list[Window]]:
    found: dict[str, list[Window]] = {}
    for name, gap in gaps:
        found.setdefault(name, []).append(gap)
    return found


def _first_of_each(differences: tuple[Difference, ...]) -> Iterable[Difference]:
    found: dict[str, Difference] = {}
    for each in differences:
        found.setdefault(each.check, each)
    return found.values()


def replay(notes: Iterable[Note | tuple[str, Note]], strategy: Strategy, *, release: Release) -> Replay:
    """What would have become of a recorded rollout under ``strategy``: other thresholds, another test, other times or weights.

    ``notes`` are all notes of one rollout, in any order: ``store.notes(id)``, `notes_from` of a file, or what an observer collected. The
    recorded rollout may have been of any strategy, and need not have ended. ``strategy`` is whatever has a ``plan``; a stored `Rollout` is
    judged again as it was. ``release`` is what it is about.

    The strategy is driven by the engine itself through the recorded time, with the recorded answers, as long as the traffic that it asks
    for is what was recorded; an answer after that would be a guess, so `Replay.known_until` says where it ends. A raise is taken for the
    recorded one if the recorded driver made it at its next visit, as late as it usually came. Questions about other windows than the recorded ones
    are answered by those that lie in them whole; where nothing was recorded there is no answer, and what needs one waits.

    Pure: the same notes and strategy give an equal `Replay`. Raises `StrategyError` for no notes, for those of several rollouts or without
    their beginning, for a metric that was recorded as another kind, and for a release without a stable version.
    """
    recording = Recording.of(notes)
    plan = getattr(strategy, "plan", None)
    if not isinstance(plan, Plan):
        raise StrategyError(f"replay(strategy): {strategy!r:.60} has no plan; pass a Canary(...), a BlueGreen(...) or a stored Rollout")
    _of_the_same_kind(recording, plan)
    at = recording.began
    rollout = begin(plan, release, id="replayed", at=recording.last if at is None else at)
    if at is None:
        return _never_began(recording, release)
    rerun = Rerun(recording=recording, rollout=rollout, now=at).go()
    assert rerun.ending is not None
    exposed, after = _split(recording, rerun.ending.at if rerun.known_until is None else rerun.known_until)
    nothing = Exposure(tuple((name, Counts(events=0, trials=0)) for name, _ in exposed.counts))
    went_back = rerun.ending.phase is Phase.ROLLED_BACK
    promoted = rerun.ending.phase is Phase.PROMOTED
    return Replay(
        release=release,
        recorded=recording.ending,
        replayed=rerun.ending,
        known_until=rerun.known_until,
        unknown=rerun.unknown,
        exposed=exposed + after if promoted else exposed,
        spared=after if went_back else nothing,
        undecided=nothing if went_back or promoted else after,
        missing=tuple(metric.name for metric in plan.metrics if metric.name not in recording.looks),
        gaps=tuple(dict.fromkeys(rerun.world.gaps)),
        differences=tuple(_differences(recording.judged, rerun.notes)),
        notes=tuple(note for note in rerun.notes if not _before_the_start(note)),
    )


def notes_from(path: str | os.PathLike[str]) -> tuple[Note, ...]:
    """The notes in a file of JSON lines: one on each line as `progressive.dumps_note` writes them; empty lines are passed over.

    Raises `StateError` for a line that is no note, with its number and what to do, and `OSError` if the file can't be read.
    """
    name = os.fsdecode(path)
    with open(path, "rb") as file:
        return tuple(_note(line, f"{name}, line {n}") for n, line in enumerate(file, start=1) if line.strip())


def _note(line: bytes, where: str) -> Note:
    if line.startswith(b'{"saved":'):
        raise StateError(
            "this is the journal of a FileStore, whose last lines may not count; use FileStore(directory).notes(id)", path=f"{where}: $"
        )
    try:
        return loads_note(line)
    except StateError as error:
        mend = "each line must be one whole note as dumps_note writes it; mend this one, or write the file anew from the store"
        raise StateError(f"{error.why}; {mend}", path=f"{where}: {error.path}") from None


# ---------------------------------------------------------------------------------------------------------------- in numbers


def _of_the_same_kind(recording: Recording, plan: Plan) -> None:
    """Refuse a metric that means another number under a recorded name: its checks could only fail by mistake."""
    problems = [
        f"metric {metric.name!r}: it was recorded as a {kind.value}, the strategy means a {metric.kind.value}; give it another name"
        for metric in plan.metrics
        if (kind := recording.kind(metric.name)) not in (None, metric.kind) and kind is not None
    ]
    if problems:
        raise StrategyError(problems)


def _before_the_start(note: Note) -> bool:
    """Is it what the preflight was told? Nothing of that was recorded for this strategy."""
    return isinstance(note, Happened) and isinstance(note.event, Measured) and note.event.analyses == (PREFLIGHT,)


def _never_began(recording: Recording, release: Release) -> Replay:
    """The recorded rollout ended, or ends, before the candidate had any traffic."""
    end, nothing = recording.ending, Exposure()
    why = f"the recorded rollout never began ({end.why}): nothing was measured"
    return Replay(
        release=release,
        recorded=end,
        replayed=Ending(phase=Phase.PENDING, at=end.at, why=why),
        known_until=end.at,
        unknown=why,
        exposed=nothing,
        spared=nothing,
        undecided=nothing,
        missing=(),
        gaps=(),
        differences=(),
        notes=(),
    )


def _split(recording: Recording, at: datetime) -> tuple[Exposure, Exposure]:
    """What was counted on the candidate before ``at``, and from then on; each request once, however many analyses counted it."""
    before: dict[str, Counts] = {}
    after: dict[str, Counts] = {}
    for name, looks in recording.looks.items():
        for each, found in counted(looks):
            if recording.traffic(each.start).reaches(Track.CANDIDATE):
                zero = Counts(events=0, trials=0)
                half = before if each.start + (each.end - each.start) / 2 < at else after
                for side in (before, after):
                    side.setdefault(name, zero)
                half[name] = _added(half[name], found)
    return Exposure(tuple(before.items())), Exposure(tuple(after.items()))


def _differences(recorded: Iterable[Judged], notes: Iterable[Note]) -> Iterable[Difference]:
    verdicts = _by_check(recorded)
    for (key, at), replayed in _by_check(note for note in notes if isinstance(note, Judged)).items():
        then = verdicts.get((key, at))
        if then is not None and [note.verdict for note in then] != [note.verdict for note in replayed]:
            said, now = (", ".join(note.verdict for note in judged) for judged in (then, replayed))
            yield Difference(check=key, at=at, recorded=said, replayed=now, why=replayed[-1].why)


def _by_check(notes: Iterable[Judged]) -> dict[tuple[str, datetime], list[Judged]]:
    """Verdicts by check and moment; several of one moment in an order that depends on nothing but themselves."""
    found = defaultdict(list)
    for note in notes:
        found[f"{note.analysis}/{note.check}", note.at].append(note)
    return {key: sorted(judged, key=repr) for key, judged in found.items()}
