"""The lanes of a picture: the weight over time, what happened beside it, and the verdicts of the
checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from progressive.model.units import MILLION, Percent

from .drawing import Block, across, label, line, mark, percent, upright
from .happened import ROWS, flags
from .judged import CheckRecord, Mark, word
from .markup import Html, joined, tag, text
from .record import Entry, Record
from .shares import Piece, asked, coarser, served
from .times import LEFT, Span, clock

__all__ = ["STRIPS", "flag_rows", "strips", "told", "weight"]

HIGH: Final = 120
"""The height of the weight's lane, in pixels."""

ABOVE: Final = 22
"""What its name takes above it."""

FLAGS: Final = 18
"""The most flags of a row; more would lie on each other on a small screen."""

STRIPS: Final = 24
"""The most checks whose verdicts are drawn in one picture; the page has a part for each."""

_CLASSES: Final = dict(zip(ROWS, ("people", "tasks", "trouble"), strict=True))


def weight(record: Record, span: Span) -> Block:
    """Draw the weight that was asked for as a dashed line, over the served one as an area."""
    asked_for, seen = coarser(asked(record), span), coarser(served(record), span)
    merged = max([piece.merged for piece in (*asked_for, *seen)], default=1)
    name = "weight: served (area), asked (dashed)"
    if merged > 1:
        name += f" (the highest of up to {merged:,} changes each)"
    inside = [
        label(0.5, 12, name, "name"),
        across("edge", _y(0)),
        across("grid", _y(MILLION // 2)),
        across("grid", _y(MILLION)),
        *(
            label(LEFT - 1, _y(ppm) + 4, str(Percent(ppm)), "end")
            for ppm in (MILLION, MILLION // 2, 0)
        ),
        *(_area(piece, span) for piece in seen if piece.ppm),
        *_stairs(seen, span, "served"),
        *_stairs(asked_for, span, "asked"),
        *_weights(asked_for, span),
    ]
    return Block(ABOVE + HIGH + 8, joined(inside))


def _y(ppm: int) -> float:
    return ABOVE + HIGH * (1 - ppm / MILLION)


def _area(piece: Piece, span: Span) -> Html:
    left, right = span.x(piece.start), span.x(piece.end)
    y = _y(piece.ppm)
    return tag(
        "rect",
        class_="area",
        x=percent(left),
        y=y,
        width=percent(max(right - left, 0.0)),
        height=ABOVE + HIGH - y,
    )


def _stairs(pieces: Sequence[Piece], span: Span, class_: str) -> list[Html]:
    lines = [
        line(class_, span.x(each.start), _y(each.ppm), span.x(each.end), _y(each.ppm))
        for each in pieces
    ]
    lines += [
        upright(class_, span.x(after.start), _y(before.ppm), _y(after.ppm))
        for before, after in pairwise(pieces)
    ]
    return lines


def _weights(pieces: Sequence[Piece], span: Span) -> list[Html]:
    """Write the weights above the steps that are wide enough."""
    said = []
    free = 0.0
    for piece in pieces:
        x = span.x(piece.start) + 0.6
        wide = span.x(piece.end) - span.x(piece.start)
        if piece.ppm and wide > 7 and x >= free:
            y = _y(piece.ppm) - 5 if piece.ppm < 0.9 * MILLION else _y(piece.ppm) + 14
            said.append(label(x, y, str(Percent(piece.ppm)), "weight"))
            free = x + 9
    return said


# -------------------------------------------------------------------------- what happened beside it


def flag_rows(entries: Sequence[Entry], span: Span) -> list[Block]:
    """Draw a row of flags for people, for hooks and gates, and for trouble, if there were any."""
    blocks = []
    for row in ROWS:
        found = flags(entries, row, span, FLAGS)
        if not found:
            continue
        inside = [label(0.5, 11, row, "name"), across("grid", 27)]
        for flag in found:
            first = flag.entries[0]
            x = span.x(first.note.at)
            said = " | ".join(f"{clock(each.note.at)} {each.note}" for each in flag.entries[:3])
            inside += [
                tag(
                    "circle",
                    tag("title", text(said, 300)),
                    class_=_CLASSES[row],
                    cx=percent(x),
                    cy=27,
                    r=8,
                ),
                label(x, 30.5, flag.letters, "flag"),
            ]
        blocks.append(Block(42, joined(inside)))
    return blocks


# ------------------------------------------------------------------------------------- the verdicts


def told(mark: Mark) -> str:
    """Say what a mark stands for."""
    said = f"{clock(mark.note.at)} {word(mark.note.verdict)}: {mark.note.why}"
    return said if mark.merged == 1 else f"{said} (the gravest of {mark.merged:,} looks)"


def gravest_of(merged: int) -> str:
    """Say that marks stand for up to so many looks."""
    return "" if merged == 1 else f" (each mark the gravest of up to {merged:,} looks)"


def strips(checks: Sequence[CheckRecord], span: Span) -> list[Block]:
    """Draw the verdicts of each check in a row under its name; checks past the most are counted."""
    blocks = []
    for check in checks[:STRIPS]:
        marks = check.marks(span)
        name = check.key + gravest_of(max([each.merged for each in marks], default=1))
        inside = [label(0.5, 11, name, "name"), across("grid", 23)]
        inside += [mark(each.note.verdict, span.x(each.note.at), 23, told(each)) for each in marks]
        blocks.append(Block(36, joined(inside)))
    if len(checks) > STRIPS:
        left = f"{len(checks) - STRIPS:,} more checks are not drawn here"
        blocks.append(Block(18, label(0.5, 12, left)))
    return blocks
