"""The picture of a rollout, on its own or as part of a page: what was asked and served, what
happened, and what each check measured.
"""

from __future__ import annotations

from typing import Final

from .drawing import Block, axis, drawing, label, mark, standing_alone
from .happened import happened
from .judged import GRAVITY, CheckRecord, check_records, word
from .lanes import flag_rows, strips, weight
from .markup import Html, joined, shortened
from .record import Record
from .times import LEFT, WIDE, Span, clock, lasting
from .values import values

__all__ = ["headline", "of_check", "overview", "span_of", "standalone"]

LINE: Final = 108
"""About how many characters of a reason fit in a line of it."""

LINES: Final = 3
"""The most lines of it."""

LANES: Final = 8
"""The most checks that have a lane in it."""


def span_of(record: Record) -> Span:
    """Return the time that is shown: to the end of the rollout, and a little more."""
    rest = record.duration * 0.02
    return Span(start=record.began, end=record.ended + rest)


def headline(record: Record) -> str:
    """Say what it was and how it ended."""
    release = record.release
    what = record.name
    if release is not None:
        what += f": {release.stable or 'nothing'} → {release.candidate}"
    ended = record.phase.value.replace("_", " ")
    return f"{what}: {ended} after {lasting(record.duration)}"


def overview(record: Record, checks: list[CheckRecord], span: Span) -> Html:
    """Draw weight, flags and verdicts, for a page."""
    blocks = _overview(record, checks, span)
    return drawing([*blocks, axis(span)], title=headline(record), id="overview", span=span)


def _overview(record: Record, checks: list[CheckRecord], span: Span) -> list[Block]:
    flagged = flag_rows(happened(record), span)
    return [weight(record, span), *flagged, *strips(checks, span)]


def of_check(check: CheckRecord, span: Span, number: int) -> Html | None:
    """Draw the lane of one check, for a page; None if it measured nothing that can be drawn."""
    lane = values(check, span, named=False)
    if lane is None:
        return None
    title = f"{check.key}: what each look measured, against its limit"
    return drawing([lane, axis(span)], title=title, id=f"check-{number}", span=span)


def standalone(record: Record) -> str:
    """Draw the whole as an SVG document of its own."""
    span, checks = span_of(record), check_records(record)
    lanes = [lane for check in checks if (lane := values(check, span, named=True)) is not None]
    named = lanes[:LANES]
    if len(lanes) > LANES:
        more = f"{len(lanes) - LANES:,} more checks have no lane here"
        named.append(Block(18, label(0.5, 12, more)))
    head = _head(record)
    blocks = [*head, *_overview(record, checks, span), *named, axis(span)]
    return standing_alone(
        blocks, title=headline(record), span=span, gridded=len(head), below=[_legend()]
    )


def _head(record: Record) -> list[Block]:
    """Write what it was, how it ended, when and why, above the picture."""
    when = f"{record.began:%Y-%m-%d}, {clock(record.began, day=False)}"
    until = f"{clock(record.ended, day=record.days > 1)} UTC"
    state = "to" if record.final else "and is not over at"
    lines = [
        Block(30, label(0.5, 22, headline(record), "head", most=84)),
        Block(16, label(0.5, 11, f"{record.id}  {when} {state} {until}".strip(), most=LINE)),
        *(Block(16, label(0.5, 11, line, "why", most=LINE)) for line in _lines(record.why)),
    ]
    return [*lines, Block(10, Html(""))]


def _lines(said: str) -> list[str]:
    """Break a reason into lines; the last one says how much is left out."""
    lines = [""]
    for each in shortened(said, LINE * (LINES - 1)).split():
        if lines[-1] and len(lines[-1]) + len(each) >= LINE:
            lines.append("")
        lines[-1] = f"{lines[-1]} {each}".strip()
    return lines


def _legend() -> Block:
    """Show which shape stands for which verdict."""
    parts = []
    each = (WIDE - 2) / len(GRAVITY)
    for n, verdict in enumerate(GRAVITY):
        x = LEFT + 0.5 + n * each
        parts += [mark(verdict, x, 12), label(x + 1.2, 16, word(verdict))]
    return Block(28, joined(parts))
