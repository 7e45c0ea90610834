"""What was asked of the router and what it served, as pieces of time with one weight each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import attrs

from progressive.model.traffic import Track, Traffic
from progressive.rollout.notes import Asked, Drifted, Verified

from .record import Record
from .times import Span

__all__ = ["Piece", "asked", "coarser", "served"]

MOST: Final = 240
"""Pieces that are drawn; more would be narrower than a line."""


@attrs.frozen
class Piece:
    """A time with one share of the requests for the candidate, in parts per million.

    ``merged``: how many changes it stands for; its share is then the highest of them.
    """

    start: datetime
    end: datetime
    ppm: int
    merged: int = 1


def asked(record: Record) -> list[Piece]:
    """Return the weight that was asked for the candidate, from the first request on."""
    return _pieces([(note.at, note.traffic) for note in record.all(Asked)], record.ended)


def served(record: Record) -> list[Piece]:
    """Return the weight that the router was seen to serve the candidate.

    It is known at each read; between two reads it is drawn as at the first.
    """
    changes: list[tuple[datetime, Traffic]] = []
    for entry in record.entries:
        match entry.note:
            case Verified(at=at, traffic=traffic):
                changes.append((at, traffic))
            case Drifted(at=at, served=found):
                changes.append((at, found.traffic))
            case _:
                pass
    return _pieces(changes, record.ended)


def _pieces(changes: Sequence[tuple[datetime, Traffic]], end: datetime) -> list[Piece]:
    """Turn changes into pieces; a clock that stepped back leaves one of no length."""
    if not changes:
        return []
    ends = [*(at for at, _ in changes[1:]), max(end, changes[-1][0])]
    pieces: list[Piece] = []
    for (at, traffic), until in zip(changes, ends, strict=True):
        ppm = _ppm(traffic)
        if pieces and pieces[-1].ppm == ppm:
            pieces[-1] = attrs.evolve(pieces[-1], end=max(pieces[-1].end, until))
        else:
            pieces.append(Piece(at, max(at, until), ppm))
    return pieces


def _ppm(traffic: Traffic) -> int:
    return traffic.share(Track.CANDIDATE).ppm


def coarser(pieces: Sequence[Piece], span: Span, most: int = MOST) -> list[Piece]:
    """Return at most ``most`` pieces: those that begin in one slice of the span become one, with
    the highest share of them.
    """
    if len(pieces) <= most:
        return [*pieces]
    slices: dict[int, Piece] = {}
    for piece in pieces:
        n = int(span.part(piece.start) * (most - 1))
        first = slices.get(n)
        slices[n] = (
            piece
            if first is None
            else attrs.evolve(
                first,
                end=max(first.end, piece.end),
                ppm=max(first.ppm, piece.ppm),
                merged=first.merged + 1,
            )
        )
    return [slices[n] for n in sorted(slices)]
