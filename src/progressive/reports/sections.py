"""The parts of the page of one rollout, from its head to the list of all notes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from progressive.model.traffic import Track
from progressive.model.units import format_duration
from progressive.plan.plan import Plan
from progressive.rollout.notes import Escalated
from progressive.strategies.describe import describe

from .counts import Counted, counted, exposure, looks
from .drawing import DEFINED
from .judged import GRAVITY, CheckRecord, check_records, word
from .listings import UNDO, Listings
from .markup import Html, joined, tag, text
from .picture import of_check, overview, span_of
from .record import Record
from .tables import Column, badge, facts, table, verdict
from .times import Span, clock, lasting

__all__ = ["parts"]

CHECKS: Final = 40
"""Checks with a part of their own."""

REASON: Final = 2_000
"""Characters of the reason of the ending, and of a query."""

LEGEND: Final = (
    "Area and solid line: the weight that the router was seen to serve. Dashed: the one that was "
    "asked for. Times are UTC. Letters: A approval, J rejection, H hold, R resumption, S skip, "
    "P promotion, X abort, U superseded; h hook, g gate; f a call that failed, d drift, l late, "
    "r an event that was refused, ! a person is needed; a number: so many at once. Verdicts: "
)


def parts(record: Record) -> Iterator[Html]:
    """Yield every part in order; those that would be empty are left out."""
    listings, checks, span = Listings(record=record), check_records(record), span_of(record)
    sections = (
        ("overview", "What happened, at a glance", _overview(record, checks, span)),
        ("happened", "What was decided and said", listings.happened()),
        ("checks", "The checks", _checks(checks, listings, span)),
        ("requests", "Whom the candidate met", _requests(record)),
        ("plan", "The plan", None if record.rollout is None else _plan(record.rollout.plan)),
        ("notes", f"All {len(record.entries):,} notes", listings.notes()),
    )
    there = [(id, name, part) for id, name, part in sections if part is not None]
    yield _head(record)
    links = [
        part for id, name, _ in there for part in (tag("a", text(name), href=f"#{id}"), text(" "))
    ]
    yield tag("nav", *links, aria_label="Parts of this page")
    for id, name, part in there:
        yield tag("section", tag("h2", text(name), id=id), part)


# ----------------------------------------------------------------------------------------- the head


def _head(record: Record) -> Html:
    release, title = record.release, record.name
    if release is not None:
        title += f": {release.stable or 'nothing'} → {release.candidate}"
    alerts = [
        tag(
            "div",
            tag("p", tag("strong", text("A person is needed: ")), text(note.why)),
            *([tag("pre", text(note.undo, UNDO))] if note.undo else []),
            class_="alert",
            role="note",
        )
        for note in [*record.all(Escalated)][-1:]
    ]
    return tag(
        "header",
        tag("h1", text(title)),
        tag("p", badge(record.phase), text(" "), text(record.why, REASON), class_="lead"),
        facts(_facts(record)),
        *alerts,
    )


def _facts(record: Record) -> Iterator[tuple[str, str]]:
    if record.id:
        yield "rollout", record.id
    if record.rollout is not None:
        yield "strategy", word(record.rollout.plan.strategy)
    yield "began", f"{record.began:%Y-%m-%d} {clock(record.began, day=False)} UTC"
    ended = "ended" if record.final else "last note"
    yield ended, f"{record.ended:%Y-%m-%d} {clock(record.ended, day=False)} UTC"
    yield "took" if record.final else "so far", lasting(record.duration)
    yield "highest weight asked", str(record.highest)
    if record.detected is not None:
        yield "from the first traffic to the decision to go back", lasting(record.detected)
    if record.to_zero is not None:
        yield "from there to 0 %, read back", lasting(record.to_zero)
    if record.check:
        yield "taken back by", record.check
    yield "the candidate met at least", str(exposure(record, counted(record)))


def _overview(record: Record, checks: list[CheckRecord], span: Span) -> Html:
    verdicts = [part for name in GRAVITY for part in (verdict(name), text("  "))]
    return tag(
        "figure",
        tag("svg", DEFINED, class_="hidden", aria_hidden="true"),
        overview(record, checks, span),
        tag("figcaption", text(LEGEND), *verdicts),
    )


# --------------------------------------------------------------------------------------- the checks


def _checks(checks: list[CheckRecord], listings: Listings, span: Span) -> Html | None:
    if not checks:
        return None
    columns = [Column("check"), Column("at last"), Column("looks"), Column("its last words")]
    rows = [
        (
            tag("a", text(each.key), href=f"#{_anchor(n)}") if n < CHECKS else text(each.key),
            text("not judged") if each.last is None else verdict(each.last.verdict),
            text(", ".join(f"{count:,} {word(name)}" for name, count in each.verdicts) or "none"),
            text("" if each.last is None else each.last.why),
        )
        for n, each in enumerate(checks)
    ]
    inside = [table(columns, rows, stacked=True)]
    inside += [
        part for n, each in enumerate(checks[:CHECKS]) for part in _check(n, each, listings, span)
    ]
    if len(checks) > CHECKS:
        more = f"{len(checks) - CHECKS:,} more checks have no part of their own here."
        inside.append(tag("p", text(more)))
    return joined(inside)


def _anchor(number: int) -> str:
    return f"check-{number}"


def _check(number: int, check: CheckRecord, listings: Listings, span: Span) -> Iterator[Html]:
    observed = " (observed only: it decides nothing)" if check.observed else ""
    yield tag("h3", text(f"{check.key}{observed}"), id=_anchor(number))
    picture = of_check(check, span, number)
    if picture is not None:
        said = (
            "Each look's value by its verdict's shape, with the range between its bounds; dashed: "
            "the limit; a small circle: the control. What lies past the edge is drawn at the edge."
        )
        yield tag("figure", picture, tag("figcaption", text(said)))
    if check.entries:
        summary = tag("summary", text(f"Its {len(check.entries):,} looks"))
        yield tag("details", summary, listings.looks(check))


# ----------------------------------------------------------------------------- the rest of the page


def _requests(record: Record) -> Html | None:
    found = counted(record)
    if not found:
        return None
    tracks = [track for track in Track if any(track in of for of in found.values())]
    columns = [Column("metric"), *(Column(track.value) for track in tracks)]
    rows = [
        (text(name), *(_counted(of.get(track)) for track in tracks))
        for name, of in sorted(found.items())
    ]
    said = (
        "What the looks have counted; requests outside of every look are not among them, so these "
        "are the least."
    )
    queries = {event.look.metric: event.look.query for event in looks(record)}
    asked = [
        part
        for name, query in sorted(queries.items())
        if query
        for part in (tag("h3", text(name)), tag("pre", text(query, REASON)))
    ]
    summary = tag("summary", text("The last query of each metric"))
    return joined(
        [
            table(columns, rows, stacked=True),
            tag("p", text(said), class_="small"),
            *([tag("details", summary, *asked)] if asked else []),
        ]
    )


def _counted(found: Counted | None) -> Html:
    if found is None:
        return text("not asked")
    said = f"{found.sample:,} {found.unit or 'of anything'}"
    if found.events is not None:
        rate = f" ({found.events / found.sample * 100:.3g} %)" if found.sample else ""
        said = f"{found.events:,} of {said}{rate}"
    said += f" in {found.looks - found.empty:,} looks"
    return text(f"{said}; {found.empty:,} looks without data" if found.empty else said)


def _plan(plan: Plan) -> Html:
    described = describe(plan)
    names = ("step", "traffic", "ends after", "if late", "judged by", "dormant")
    rows = [
        (
            text(each.step),
            text(str(each.traffic)),
            text(f"{format_duration(each.earliest)} to {format_duration(each.latest)}"),
            text(each.otherwise),
            text(", ".join(each.judged) or "nothing"),
            text(", ".join(each.dormant) or "nothing"),
        )
        for each in described.steps
    ]
    in_one_line = str(described).partition("\n")[0]
    return joined(
        [
            table([*map(Column, names)], rows, stacked=True),
            tag("p", text(in_one_line), class_="small"),
        ]
    )
