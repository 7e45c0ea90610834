"""Draw a story as one SVG picture: the candidate's weight, its error rate beside stable's, and the
verdicts of the checks.

Everything is drawn in a space of 760 by 330; text is set in the reader's own font, and the colours
are readable on white and on black.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from html import escape
from typing import Any, Final, Protocol

from progressive.model.traffic import Track, Traffic
from progressive.rollout.notes import Judged
from progressive.rollout.phases import Phase

WIDTH, HEIGHT = 760, 330
LEFT, RIGHT = 118, 16
WEIGHT: Final = (34, 134)
ERRORS: Final = (164, 254)
VERDICTS: Final = 276
NEW, OLD, GREY = "#d9480f", "#1c7ed6", "#868e96"
MARKS: Final = {
    "pass": "#2b8a3e",
    "fail": "#e03131",
    "inconclusive": "#f08c00",
    "no_data": "#adb5bd",
    "error": "#9c36b5",
}
ROWS: Final = 3
"""The most checks whose verdicts are drawn."""
BINS: Final = 120
"""The most pieces in which error rates are drawn."""


class Piece(Protocol):
    """The requests and failures of one track in one piece of time."""

    @property
    def track(self) -> Track: ...
    @property
    def start(self) -> timedelta: ...
    @property
    def requests(self) -> int: ...
    @property
    def failed(self) -> int: ...


class Drawable(Protocol):
    """The parts of a story that are drawn."""

    @property
    def strategy(self) -> str: ...
    @property
    def phase(self) -> Phase: ...
    @property
    def began(self) -> datetime: ...
    @property
    def duration(self) -> timedelta: ...
    @property
    def weights(self) -> tuple[tuple[timedelta, Traffic], ...]: ...
    @property
    def judgements(self) -> tuple[Judged, ...]: ...
    @property
    def slices(self) -> Sequence[Piece]: ...


def clock(time: timedelta) -> str:
    """Format a time as ``1:02:03``."""
    whole = int(time.total_seconds())
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def draw(story: Drawable) -> str:
    """Return the picture as one SVG element."""
    whole = max(_end(story).total_seconds(), 1.0)

    def x(at: timedelta) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, max(0.0, at.total_seconds() / whole))

    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" font-family="sans-serif" font-size="11">'
        ),
        f"<title>{escape(str(story))}</title>",
        _text(LEFT, 16, f"{story.strategy}: {story.phase.value.replace('_', ' ')}", size=13),
        *_axis(WEIGHT, "weight", "100 %", "0 %"),
        _line(
            _steps(
                [
                    (x(at), _y(WEIGHT, traffic.candidate.ppm / 1_000_000))
                    for at, traffic in story.weights
                ],
                x(_end(story)),
            ),
            NEW,
            2,
        ),
        *_errors(story, x),
        *_verdicts(story, x),
        *_legend(),
        *_times(whole, x),
        "</svg>",
    ]
    return "\n".join(parts)


def _end(story: Drawable) -> timedelta:
    return max([story.duration, *(at for at, _ in story.weights)])


def _errors(story: Drawable, x: Any) -> list[str]:
    bins = {track: _binned(story, track) for track in (Track.STABLE, Track.CANDIDATE)}
    top = max([rate for found in bins.values() for _, _, rate in found], default=0.0) or 0.01
    drawn = _axis(ERRORS, "errors", f"{top:.2%}".replace("%", " %"), "0 %")
    for track, colour in ((Track.STABLE, OLD), (Track.CANDIDATE, NEW)):
        points = [
            point
            for start, end, rate in bins[track]
            for point in ((x(start), _y(ERRORS, rate / top)), (x(end), _y(ERRORS, rate / top)))
        ]
        if points:
            drawn.append(_line(points, colour, 1.5))
    drawn.append(_text(WIDTH - RIGHT - 110, ERRORS[0] - 6, "stable", colour=OLD))
    drawn.append(_text(WIDTH - RIGHT - 60, ERRORS[0] - 6, "candidate", colour=NEW))
    return drawn


def _binned(story: Drawable, track: Track) -> list[tuple[timedelta, timedelta, float]]:
    """Return the rates of failure in at most `BINS` pieces of equal length, as (start, end, rate).

    Pieces without a request are left out.
    """
    width = max(_end(story) / BINS, timedelta(milliseconds=1))
    sums: dict[int, list[int]] = {}
    for piece in story.slices:
        if piece.track is track:
            counts = sums.setdefault(int(piece.start / width), [0, 0])
            counts[0] += piece.requests
            counts[1] += piece.failed
    return [
        (n * width, (n + 1) * width, failed / requests)
        for n, (requests, failed) in sorted(sums.items())
        if requests
    ]


def _verdicts(story: Drawable, x: Any) -> list[str]:
    rows = list(dict.fromkeys((each.analysis, each.check) for each in story.judgements))
    drawn = [
        _text(
            4,
            VERDICTS + 12 * row + 3,
            check if len(check) < 22 else f"{check[:20]}…",
            colour=GREY,
            size=9,
        )
        for row, (_, check) in enumerate(rows[:ROWS])
    ]
    for each in story.judgements:
        row = rows.index((each.analysis, each.check))
        if row < ROWS:
            at, why = x(each.at - story.began), escape(f"{each.verdict}: {each.why}")
            mark = (
                f'<circle cx="{at:.1f}" cy="{VERDICTS + 12 * row}" r="2.5" '
                f'fill="{MARKS.get(each.verdict, GREY)}">'
            )
            drawn.append(f"{mark}<title>{why}</title></circle>")
    return drawn


def _legend() -> list[str]:
    """Draw the verdicts that the colours of the marks stand for."""
    drawn, at = [], WIDTH - RIGHT - 320
    for verdict, colour in MARKS.items():
        drawn.append(f'<circle cx="{at}" cy="12" r="2.5" fill="{colour}"/>')
        drawn.append(_text(at + 6, 15, verdict.replace("_", " "), size=9))
        at += 26 + 5 * len(verdict)
    return drawn


def _times(whole: float, x: Any) -> list[str]:
    drawn = []
    for quarter in range(5):
        at = timedelta(seconds=whole * quarter / 4)
        anchor = ("start", "middle", "middle", "middle", "end")[quarter]
        drawn.append(_text(x(at), HEIGHT - 6, clock(at), colour=GREY, anchor=anchor))
    return drawn


def _axis(lane: tuple[int, int], name: str, top: str, bottom: str) -> list[str]:
    high, low = lane
    lines = [
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="{GREY}" '
        'stroke-opacity="0.35"/>'
        for y in (high, low)
    ]
    return [
        *lines,
        _text(4, (high + low) / 2 + 4, name, colour=GREY),
        _text(LEFT - 6, high + 4, top, colour=GREY, anchor="end", size=9),
        _text(LEFT - 6, low + 4, bottom, colour=GREY, anchor="end", size=9),
    ]


def _y(lane: tuple[int, int], part: float) -> float:
    high, low = lane
    return low - (low - high) * min(1.0, part)


def _steps(points: Sequence[tuple[float, float]], end: float) -> list[tuple[float, float]]:
    """Turn points into stairs that end at ``end``."""
    stairs: list[tuple[float, float]] = []
    for at, y in points:
        if stairs:
            stairs.append((at, stairs[-1][1]))
        stairs.append((at, y))
    return [*stairs, (end, stairs[-1][1])]


def _line(points: Iterable[tuple[float, float]], colour: str, width: float) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}" '
        'stroke-linejoin="round"/>'
    )


def _text(
    x: float, y: float, text: str, *, colour: str = GREY, anchor: str = "start", size: int = 11
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}" '
        f'font-size="{size}">{escape(text)}</text>'
    )
