"""The report of one rollout: a page and a picture, out of its notes."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from progressive.rollout.notes import Note
from progressive.rollout.state import Rollout

from .markup import tag, text
from .picture import headline, standalone
from .record import Record, Recorded
from .sections import parts
from .tables import document

__all__ = ["RolloutReport", "report"]


@attrs.frozen(kw_only=True, repr=False)
class RolloutReport:
    """The report of one rollout, made by `report`. A notebook shows its picture."""

    record: Record = attrs.field(repr=False)

    @property
    def id(self) -> str:
        """The id of the rollout; empty if neither the notes nor a rollout say it."""
        return self.record.id

    def html(self) -> str:
        """Return a whole HTML page, to be written to a file or mailed.

        It needs nothing from elsewhere, runs nothing, follows the reader's light or dark theme, and
        fits a phone and paper. Of very long rollouts some looks are left out; where, and how many,
        stands on the page.
        """
        record = self.record
        made = f"Made of {len(record.entries):,} notes by progressive."
        return document(headline(record), *parts(record), tag("footer", tag("p", text(made))))

    def svg(self) -> str:
        """Return the picture alone, as an SVG document: the weight, what happened, the verdicts,
        and what each check measured.
        """
        return standalone(self.record)

    def _repr_svg_(self) -> str:
        return self.svg()

    def __str__(self) -> str:
        return f"{headline(self.record)} ({self.record.why})"

    def __repr__(self) -> str:
        return f"<RolloutReport {self}>"


def report(
    notes: Recorded | Iterable[Note | tuple[str, Note]], *, rollout: Rollout | None = None
) -> RolloutReport:
    """Report on one rollout: ``report(store.notes(id), rollout=store.load(id)).html()``.

    * ``notes``: all notes of one rollout: ``store.notes(id)``, `progressive.testing.notes_from`
      of a file, those that an observer collected, or the `Story` of a simulated one. Notes with ids
      are put into their order.
    * ``rollout``: the rollout itself, for the service, the versions, the plan and the limits of its
      checks; of a `Story` it is known. It need not be over. Without it the report has what the
      notes say.

    Pure: the same notes and rollout give the same bytes. Raises `StrategyError` for a value that is
    no note, for notes of several rollouts or of another one than ``rollout``, and if there is
    neither a note nor a rollout.
    """
    if isinstance(notes, Recorded):
        return report(notes.notes, rollout=notes.rollout if rollout is None else rollout)
    return RolloutReport(record=Record.of(notes, rollout))
