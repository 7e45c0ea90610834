"""The result of a replay: a value to read, to compare and to print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

import attrs

from progressive.model.measurement import Counts, Window
from progressive.model.release import Release
from progressive.model.traffic import Track
from progressive.model.units import format_duration
from progressive.rollout.notes import Judged, Note, PhaseEntered
from progressive.rollout.phases import Phase

__all__ = ["Counted", "Difference", "Ending", "Replay", "moment"]

NO_COUNTS = Counts(events=0, trials=0)


def moment(at: datetime) -> str:
    """Format a time for people, in UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S}"


@attrs.frozen(kw_only=True)
class Ending:
    """How a rollout ended, or its last state that is known.

    ``phase`` is PROMOTED or ROLLED_BACK for an end, HELD for one that waits for a person; ``at`` is
    when that began. A rollback counts from its beginning, because from then on the candidate lost
    its traffic.
    """

    phase: Phase
    at: datetime
    why: str

    @classmethod
    def of(cls, note: PhaseEntered) -> Ending:
        """Make the ending of the note of a phase."""
        phase = Phase.ROLLED_BACK if note.phase == Phase.ROLLING_BACK else Phase(note.phase)
        return cls(phase=phase, at=note.at, why=note.why)

    @property
    def stopped(self) -> bool:
        """Whether the candidate was given no more traffic from here on, as far as is known."""
        return self.phase in (Phase.ROLLED_BACK, Phase.HELD)

    def __str__(self) -> str:
        return f"{self.phase.value.replace('_', ' ')} at {moment(self.at)}: {self.why}"


@attrs.frozen(repr=False)
class Counted:
    """The requests that reached the candidate, as far as they were counted.

    * ``counts``: for each ratio metric by name, events and trials.
    * ``values``: for each metric of durations or of an average by name, the number of values. They
      stand for the requests where no ratio was measured.

    A level counts nothing.
    """

    counts: tuple[tuple[str, Counts], ...] = ()
    values: tuple[tuple[str, int], ...] = ()

    def of(self, metric: str) -> Counts:
        """Return the counts of one metric; zeros if it was not counted."""
        return dict(self.counts).get(metric, NO_COUNTS)

    @property
    def requests(self) -> int:
        """The trials of the metric that has the most, because several metrics count the same
        requests.

        Where no ratio was measured, the values of the metric that has the most.
        """
        trials = max((counts.trials for _, counts in self.counts), default=0)
        return trials or max((values for _, values in self.values), default=0)

    def __add__(self, other: Counted) -> Counted:
        names = sorted({name for name, _ in (*self.counts, *other.counts)})
        values = Counter(dict(self.values))
        values.update(dict(other.values))
        return Counted(
            tuple((name, _added(self.of(name), other.of(name))) for name in names),
            tuple(sorted(values.items())),
        )

    def __str__(self) -> str:
        events = ", ".join(
            f"{name} {counts.events:,} of {counts.trials:,}"
            for name, counts in self.counts
            if counts.trials
        )
        values = ", ".join(f"{name} {values:,} values" for name, values in self.values if values)
        return (
            f"{self.requests:,} requests: {events or values}"
            if events or values
            else "nothing that was counted"
        )

    def __repr__(self) -> str:
        return f"<Counted: {self}>"


def _added(one: Counts, other: Counts) -> Counts:
    return Counts(events=one.events + other.events, trials=one.trials + other.trials)


@attrs.frozen(kw_only=True)
class Difference:
    """Two different verdicts of one check at the same moment, recorded and replayed.

    ``why`` is the reason of the replayed one.
    """

    check: str
    at: datetime
    recorded: str
    replayed: str
    why: str

    def __str__(self) -> str:
        return (
            f"{self.check}: {self.replayed} instead of {self.recorded} at {moment(self.at)}: "
            f"{self.why}"
        )


@attrs.frozen(kw_only=True, repr=False)
class Replay:
    """The outcome that a recorded rollout would have had under another strategy.

    ``str()`` is for people; two of the same are equal.

    * ``recorded``, ``replayed``: how it ended, and how it would have ended.
    * ``unknown_from``: None if that end is known; otherwise the moment from which on it is not,
      because later measurements are of other traffic than this strategy would have given.
      ``replayed`` is then its state at that moment.
    * ``unknown_why``: the reason.
    * ``exposed``, ``spared``: the candidate's requests before and after it would have been rolled
      back; ``undecided``: those after ``unknown_from``. Together they are all that were counted. A
      window counts where its greater part lies.
    * ``missing``: metrics of the strategy that the recorded rollout did not measure. Their checks
      never pass, so nothing is known past the first raise.
    * ``gaps``: times for which its other checks would have asked and in which nothing was recorded
      (a longer warm-up, a driver that was away); they are left out.
    * ``differences``: different verdicts at the same moment.
    * ``notes``: the trail of the replayed rollout, as a store would have it.
    """

    release: Release
    recorded: Ending
    replayed: Ending
    unknown_from: datetime | None
    unknown_why: str
    exposed: Counted
    spared: Counted
    undecided: Counted
    missing: tuple[str, ...]
    gaps: tuple[tuple[str, Window], ...]
    differences: tuple[Difference, ...]
    notes: tuple[Note, ...]

    @property
    def stops_at(self) -> datetime | None:
        """When it would have been rolled back, or held without a recorded resume; None if neither
        is known.
        """
        return self.replayed.at if self.replayed.stopped else None

    @property
    def why(self) -> str:
        """The reason of its ending: the check that would have stopped it, with its numbers, or
        what it waited for.
        """
        return self.replayed.why

    @property
    def judgements(self) -> tuple[Judged, ...]:
        """Every judgement of its checks, by time, with the reason and the numbers."""
        return tuple(note for note in self.notes if isinstance(note, Judged))

    def __str__(self) -> str:
        rows = [
            ("recorded", str(self.recorded)),
            ("replayed", f"{self.replayed}{self._sooner()}"),
            (
                "known",
                "to the end"
                if self.unknown_from is None
                else f"until {moment(self.unknown_from)}: {self.unknown_why}",
            ),
            ("exposed", str(self.exposed)),
            ("spared", str(self.spared)),
        ]
        if self.undecided.counts or self.undecided.values:
            rows.append(("undecided", str(self.undecided)))
        rows += [
            (
                "missing",
                f"{name}: the recorded rollout never looked at it, so its checks never passed",
            )
            for name in self.missing
        ]
        for name, gaps in _by_name(self.gaps).items():
            whole = sum((gap.length for gap in gaps), timedelta())
            first = moment(gaps[0].start)
            rows.append(
                (
                    "gaps",
                    (
                        f"{name}: {format_duration(whole)} of what it would have looked at was not "
                        f"recorded, first at {first}"
                    ),
                )
            )
        rows += [("otherwise", str(each)) for each in _first_of_each(self.differences)]
        head = (
            f"What if: {Track.CANDIDATE.label(self.release)} of {self.release.service}, times "
            "in UTC"
        )
        return "\n".join([head, *(f"  {name:<9}  {value}" for name, value in rows)])

    def __repr__(self) -> str:
        known = (
            "known to the end"
            if self.unknown_from is None
            else f"known until {moment(self.unknown_from)}"
        )
        return (
            f"<Replay of {self.release.service}: {self.replayed}; recorded: {self.recorded}; "
            f"{known}>"
        )

    def _sooner(self) -> str:
        by = self.recorded.at - self.replayed.at
        return (
            f" ({format_duration(by)} before the recorded end)"
            if self.stops_at is not None and by > timedelta()
            else ""
        )


def _by_name(gaps: Iterable[tuple[str, Window]]) -> dict[str, list[Window]]:
    by_name: dict[str, list[Window]] = {}
    for name, gap in gaps:
        by_name.setdefault(name, []).append(gap)
    return by_name


def _first_of_each(differences: tuple[Difference, ...]) -> Iterable[Difference]:
    """Return the first difference of each check."""
    by_check: dict[str, Difference] = {}
    for each in differences:
        by_check.setdefault(each.check, each)
    return by_check.values()
