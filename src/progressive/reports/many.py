"""The report of many rollouts: what was promoted, what was taken back, by which check, how fast."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Final

import attrs

from progressive.errors import StrategyError
from progressive.model import fields
from progressive.rollout.phases import Phase

from .counts import Exposure, counted, exposure
from .drawing import DEFINED, Block, across, axis, drawing, label, mark, standing_alone
from .markup import Html, joined, tag, text
from .record import Record
from .reporting import RolloutReport
from .tables import Column, badge, document, facts, table
from .times import Span, clock, lasting

__all__ = ["OverviewReport", "overview"]

ROWS: Final = 500
"""Rollouts in the table, the newest."""

MARKS: Final = 72
"""Marks in a row of the picture."""

LANES: Final = (
    ("promoted", "pass", (Phase.PROMOTED,)),
    ("rolled back", "fail", (Phase.ROLLED_BACK, Phase.ROLLING_BACK)),
    ("not over", "inconclusive", (Phase.PENDING, Phase.PROGRESSING, Phase.HELD)),
)
"""The rows of the picture: their names, shapes, and the phases in them."""


@attrs.frozen(kw_only=True)
class _Past:
    """One rollout with what the tables say of it."""

    report: RolloutReport
    exposed: Exposure

    @property
    def record(self) -> Record:
        return self.report.record

    @property
    def cause(self) -> str:
        """What took it back: a check by its key, a person by name, or the engine; empty if nothing
        did.
        """
        turn = self.record.turn
        if turn is None or turn.phase == Phase.PROMOTED:
            return ""
        return self.record.check or ("no check" if turn.by == "engine" else turn.by)


@attrs.frozen(kw_only=True, repr=False)
class OverviewReport:
    """The report of many rollouts, made by `overview`. A notebook shows its picture."""

    reports: tuple[RolloutReport, ...]
    link: Callable[[RolloutReport], str] | None

    def html(self) -> str:
        """Return a whole HTML page, as self-contained as `RolloutReport.html`.

        The table has the newest 500 rollouts; how many are left out stands below it.
        """
        return document(
            self._title,
            tag("header", tag("h1", text(self._title)), facts(self._facts())),
            tag(
                "figure", tag("svg", DEFINED, class_="hidden", aria_hidden="true"), self._picture()
            ),
            *_section("By what they were taken back", self._causes()),
            *_section("The rollouts", self._table()),
            tag("footer", tag("p", text("Made of their notes by progressive."))),
        )

    def svg(self) -> str:
        """Return the picture alone, as an SVG document: each rollout by its end and its time."""
        blocks = [Block(30, label(0.5, 22, self._title, "head")), *self._blocks()]
        return standing_alone(blocks, title=self._title, span=self._span, gridded=1)

    def _repr_svg_(self) -> str:
        return self.svg()

    def __str__(self) -> str:
        return f"{self._title}: {', '.join(f'{name} {said}' for name, said in self._facts())}"

    def __repr__(self) -> str:
        return f"<OverviewReport {self}>"

    # ----------------------------------------------------------------------------------- in numbers

    @cached_property
    def _past(self) -> list[_Past]:
        """All of them, the newest first."""
        past = [
            _Past(report=each, exposed=exposure(each.record, counted(each.record)))
            for each in self.reports
        ]
        return sorted(past, key=lambda each: (each.record.began, each.record.id), reverse=True)

    @cached_property
    def _services(self) -> list[str]:
        return sorted({each.record.name for each in self.reports})

    @property
    def _title(self) -> str:
        names = self._services
        of = names[0] if len(names) == 1 else f"{len(names)} services"
        count = len(self.reports)
        return f"{count:,} rollout{'' if count == 1 else 's'} of {of}"

    def _in(self, phases: Sequence[Phase]) -> list[_Past]:
        return [each for each in self._past if each.record.phase in phases]

    def _facts(self) -> list[tuple[str, str]]:
        said = [(name, f"{len(self._in(phases)):,}") for name, _, phases in LANES]
        times = (
            (
                "a promotion took, in the median",
                [each.record.duration for each in self._in((Phase.PROMOTED,))],
            ),
            (
                "from the first traffic to the decision to go back, in the median",
                [each.record.detected for each in self._past],
            ),
            ("from there to 0 %, in the median", [each.record.to_zero for each in self._past]),
        )
        for name, found in times:
            known = [each for each in found if each is not None]
            if known:
                said.append((name, lasting(_median(known))))
        return said

    # ---------------------------------------------------------------------------------- the picture

    @cached_property
    def _span(self) -> Span:
        start = min(each.record.began for each in self.reports)
        end = max(each.record.began for each in self.reports)
        return Span(start=start, end=end + max((end - start) * 0.02, timedelta(minutes=1)))

    def _picture(self) -> Html:
        return drawing(self._blocks(), title=self._title, id="history", span=self._span)

    def _blocks(self) -> list[Block]:
        blocks = []
        for name, shape, phases in LANES:
            slices: dict[int, list[Record]] = {}
            for each in reversed(self._in(phases)):
                place = int(self._span.part(each.record.began) * (MARKS - 1))
                slices.setdefault(place, []).append(each.record)
            most = max(map(len, slices.values()), default=1)
            said = name if most == 1 else f"{name} (a mark for up to {most:,} rollouts)"
            inside = [label(0.5, 11, said, "name"), across("grid", 24)]
            inside += [
                mark(
                    shape,
                    self._span.x(records[0].began),
                    24,
                    " | ".join(
                        f"{clock(record.began)} {record.id}: {record.why}" for record in records[:3]
                    ),
                )
                for records in slices.values()
            ]
            blocks.append(Block(38, joined(inside)))
        return [*blocks, axis(self._span)]

    # ----------------------------------------------------------------------------------- the tables

    def _causes(self) -> Html | None:
        taken_back = [each for each in self._past if each.cause]
        if not taken_back:
            return None
        columns = [
            Column("what took it back"),
            Column("rollouts", numeric=True),
            Column("median from the first traffic"),
            Column("most requests met"),
        ]
        rows = []
        counts = Counter(each.cause for each in taken_back)
        for cause, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
            of = [each for each in taken_back if each.cause == cause]
            detected = [each.record.detected for each in of]
            known = [each for each in detected if each is not None]
            met = [each.exposed.requests for each in of if each.exposed.requests is not None]
            rows.append(
                (
                    text(cause),
                    text(f"{count:,}"),
                    text(lasting(_median(known)) if known else "not known"),
                    text(f"{max(met):,}" if met else "not counted"),
                )
            )
        return table(columns, rows, stacked=True)

    def _table(self) -> Html:
        several = len(self._services) > 1
        names = ("rollout", "versions", "end", "began (UTC)", "took", "the candidate met at least")
        rows = [self._row(each, several=several) for each in self._past[:ROWS]]
        inside = [table([*map(Column, names)], rows, stacked=True)]
        if len(self._past) > ROWS:
            more = f"{len(self._past) - ROWS:,} older ones are left out here."
            inside.append(tag("p", text(more)))
        return joined(inside)

    def _row(self, past: _Past, *, several: bool) -> tuple[Html, ...]:
        record = past.record
        release = record.release
        versions = (
            "not known"
            if release is None
            else f"{release.stable or 'nothing'} → {release.candidate}"
        )
        name = text(f"{record.name}: {record.id}" if several else record.id or record.name)
        cause = f" by {past.cause}" if past.cause else ""
        return (
            name if self.link is None else tag("a", name, href=self.link(past.report)),
            text(versions),
            joined([badge(record.phase), text(cause)]),
            text(f"{record.began:%Y-%m-%d} {clock(record.began, day=False)}"),
            text(lasting(record.duration)),
            text(str(past.exposed)),
        )


def _section(name: str, inside: Html | None) -> list[Html]:
    return [] if inside is None else [tag("section", tag("h2", text(name)), inside)]


def _median(durations: Sequence[timedelta]) -> timedelta:
    """Return the middle one, of an even number the lower of the two; one or more are given."""
    return sorted(durations)[(len(durations) - 1) // 2]


def overview(
    reports: Iterable[RolloutReport], *, link: Callable[[RolloutReport], str] | None = None
) -> OverviewReport:
    """Report on many rollouts, of one service or of several:
    ``overview(report(store.notes(id), rollout=store.load(id)) for id in ids).html()``.

    * ``reports``: in any order.
    * ``link``: the address of a rollout's own page, such as ``lambda each: f"{each.id}.html"``; the
      table then links to it.

    Pure, as `report` is. Raises `StrategyError` for what is no report,
    and if there is none.
    """
    given = [*reports]
    for i, each in enumerate(given):
        if not isinstance(each, RolloutReport):
            raise StrategyError(
                f"overview(reports)[{i}]: {fields.brief(each)} is no report; pass "
                "report(store.notes(id), rollout=store.load(id)) of each rollout"
            )
    if not given:
        raise StrategyError(
            "overview(reports): there are none; pass report(store.notes(id), "
            "rollout=store.load(id)) of each rollout"
        )
    return OverviewReport(reports=tuple(given), link=link)
