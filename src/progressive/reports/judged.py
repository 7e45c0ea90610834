"""The judgements of each check: every look with its verdict and what it measured, and fewer of them
where there are more than can be drawn.
"""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import Final

import attrs

from progressive.analysis.contract import Verdict
from progressive.plan.plan import PlannedCheck
from progressive.rollout.notes import Judged

from .readings import Reading, reading
from .record import Entry, Record
from .times import Span

__all__ = ["GRAVITY", "CheckRecord", "Mark", "check_records", "word"]

GRAVITY: Final = {
    verdict.value: place
    for place, verdict in enumerate(
        (
            Verdict.PASS,
            Verdict.NO_DATA,
            Verdict.INCONCLUSIVE,
            Verdict.MISSING,
            Verdict.ERROR,
            Verdict.FAIL,
        )
    )
}
"""Which verdict a mark shows that stands for several."""

MOST: Final = 72
"""Marks in a row; more would lie on each other on a small screen."""


def word(verdict: str) -> str:
    """Write a verdict for people."""
    return verdict.replace("_", " ")


@attrs.frozen(kw_only=True)
class Mark:
    """One judgement that is drawn; ``merged``: how many it stands for, all at about its time."""

    entry: Entry
    note: Judged
    reading: Reading | None
    merged: int = 1


@attrs.frozen(kw_only=True)
class CheckRecord:
    """All judgements of one check; ``planned`` is None if the plan is not known."""

    key: str
    planned: PlannedCheck | None
    entries: tuple[Entry, ...]

    @cached_property
    def notes(self) -> tuple[Judged, ...]:
        return tuple(entry.note for entry in self.entries if isinstance(entry.note, Judged))

    @property
    def observed(self) -> bool:
        """Whether it is judged and noted, but decides nothing."""
        return self.planned is not None and self.planned.check.observe

    @cached_property
    def verdicts(self) -> tuple[tuple[str, int], ...]:
        """How often it had each verdict, the gravest first."""
        counts = Counter(note.verdict for note in self.notes)
        return tuple(sorted(counts.items(), key=lambda pair: (-_gravity(pair[0]), pair[0])))

    @property
    def last(self) -> Judged | None:
        return self.notes[-1] if self.notes else None

    def marks(self, span: Span) -> list[Mark]:
        """Return at most `MOST` marks: of judgements at nearly the same time the gravest, and of
        equally grave ones the last.
        """
        pairs = list(zip(self.entries, self.notes, strict=True))
        if len(pairs) <= MOST:
            return [self._mark(*pair) for pair in pairs]
        slices: dict[int, list[tuple[Entry, Judged]]] = {}
        for entry, note in pairs:
            slices.setdefault(int(span.part(note.at) * (MOST - 1)), []).append((entry, note))
        marks = []
        for n in sorted(slices):
            entry, note = max(slices[n], key=lambda pair: (_gravity(pair[1].verdict), pair[1].at))
            marks.append(attrs.evolve(self._mark(entry, note), merged=len(slices[n])))
        return marks

    def reading(self, note: Judged) -> Reading | None:
        """Return what one of its judgements measured."""
        check = None if self.planned is None else self.planned.check
        return reading(dict(note.numbers), check)

    def _mark(self, entry: Entry, note: Judged) -> Mark:
        return Mark(entry=entry, note=note, reading=self.reading(note))


def _gravity(verdict: str) -> int:
    """Return how grave a verdict is; one that nobody knows is graver than all."""
    return GRAVITY.get(verdict, len(GRAVITY))


def check_records(record: Record) -> list[CheckRecord]:
    """Return every check of the plan and every other that judged, with its judgements."""
    planned = {} if record.rollout is None else {p.key: p for p in record.rollout.plan.checks}
    entries: dict[str, list[Entry]] = {key: [] for key in record.checks}
    for entry in record.entries:
        if isinstance(entry.note, Judged):
            entries[f"{entry.note.analysis}/{entry.note.check}"].append(entry)
    return [
        CheckRecord(key=key, planned=planned.get(key), entries=tuple(of))
        for key, of in entries.items()
    ]
