"""Drawings that fit any width: every place is a percentage of it, so text keeps its size on a
phone.

A drawing is built of blocks, one below the other; each has a height in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from .markup import Html, joined, shortened, tag, text
from .style import PICTURE
from .times import LEFT, WIDE, Span

__all__ = [
    "DEFINED",
    "Block",
    "across",
    "axis",
    "drawing",
    "label",
    "line",
    "mark",
    "marked",
    "standing_alone",
    "upright",
]

SHAPES: Final = {
    "fail": "M-4-4 4 4M-4 4 4-4",
    "error": "M0-5V1M0 4V5",
    "inconclusive": "M-4 0H4M0-4V4",
    "missing": "M-4-3H4L0 4Z",
    "other": "M-4-4H4V4H-4Z",
}
"""The shapes of verdicts that are no circle: a cross, an exclamation mark, a plus, a triangle that
points down, a square.
"""

FILLED: Final = frozenset({"missing", "other"})

DEFINED: Final = tag(
    "defs",
    *(
        tag(
            "path",
            id=f"pr-{name}",
            d=path,
            fill="currentColor" if name in FILLED else "none",
            stroke_width=2.5,
        )
        for name, path in SHAPES.items()
    ),
)
"""The shapes, once in a document. Their colour is that of who uses them: a style sheet's rules for
descendants do not reach into a shape that is used elsewhere.
"""

NAMESPACE: Final = "http://www.w3.org/2000/svg"

WIDTH: Final = 760
"""The width of a picture on its own, in pixels; it may be shown at any other."""

CIRCLES: Final = frozenset({"pass", "no_data"})


@attrs.frozen
class Block:
    """A part of a drawing: its height in pixels, and what is in it, from its own top."""

    height: int
    inside: Html


def percent(value: float) -> str:
    """Write a place as a percentage of the width."""
    return f"{value:.2f}".rstrip("0").rstrip(".") + "%"


def marked(verdict: str) -> str:
    """Return the name of the shape of a verdict."""
    return verdict if verdict in CIRCLES or verdict in SHAPES else "other"


def mark(verdict: str, x: float, y: float, said: str = "") -> Html:
    """Draw a verdict by its shape; a hollow circle is no data. ``said`` is told where a mouse
    rests.
    """
    name = marked(verdict)
    title = tag("title", text(said, 200)) if said else Html("")
    if name in CIRCLES:
        return tag("circle", title, class_=name, cx=percent(x), cy=y, r=3.5)
    return tag("use", title, href=f"#pr-{name}", class_=name, x=percent(x), y=y)


def line(class_: str, x1: float, y1: float, x2: float, y2: float) -> Html:
    return tag("line", class_=class_, x1=percent(x1), y1=y1, x2=percent(x2), y2=y2)


def across(class_: str, y: float) -> Html:
    """Draw a line over the whole span."""
    return line(class_, LEFT, y, LEFT + WIDE, y)


def upright(class_: str, x: float, y1: float, y2: float) -> Html:
    return line(class_, x, y1, x, y2)


def label(x: float, y: float, said: str, class_: str | None = None, most: int = 80) -> Html:
    """Write a text with its baseline at ``y``."""
    return tag("text", text(shortened(said, most)), class_=class_, x=percent(x), y=y)


def axis(span: Span) -> Block:
    """Write the times below a drawing."""
    said = []
    for at, name in span.ticks():
        x = span.x(at)
        end = "end" if x > LEFT + WIDE - 4 else "middle"
        said.append(label(x, 14, name, end))
    return Block(20, joined(said))


def grid(span: Span, height: float) -> Iterator[Html]:
    for at, _ in span.ticks():
        yield upright("grid", span.x(at), 0, height)


def drawing(blocks: Sequence[Block], *, title: str, id: str, span: Span, gridded: int = 0) -> Html:
    """Stack the blocks into one picture.

    ``title`` tells it to those who can't see it; ``id`` is unique in the document. The grid of the
    times of ``span`` goes from the block number ``gridded`` to the last one, the `axis`.
    """
    height, placed = 0, []
    for block in blocks:
        placed.append(tag("g", block.inside, transform=f"translate(0 {height})"))
        height += block.height
    top = _height(blocks[:gridded])
    lines = grid(span, _height(blocks[gridded:-1]))
    return tag(
        "svg",
        tag("title", text(title), id=f"{id}-title"),
        tag("g", *lines, transform=f"translate(0 {top})"),
        *placed,
        xmlns=NAMESPACE,
        class_="pr",
        role="img",
        width="100%",
        height=height,
        aria_labelledby=f"{id}-title",
    )


def standing_alone(
    blocks: Sequence[Block],
    *,
    title: str,
    span: Span,
    gridded: int,
    below: Sequence[Block] = (),
) -> str:
    """Make a document of its own of a `drawing`, with its colours and shapes, and more blocks
    below its times.
    """
    inside = drawing(blocks, title=title, id="picture", span=span, gridded=gridded)
    height = _height(blocks)
    placed = []
    for block in below:
        placed.append(tag("g", block.inside, transform=f"translate(0 {height})"))
        height += block.height
    return tag(
        "svg",
        tag("style", Html(PICTURE.replace("\n", ""))),
        DEFINED,
        tag("rect", class_="back", width="100%", height="100%"),
        inside,
        *placed,
        xmlns=NAMESPACE,
        class_="pr",
        width=WIDTH,
        height=height,
    )


def _height(blocks: Sequence[Block]) -> int:
    height = 0
    for block in blocks:
        height += block.height
    return height
