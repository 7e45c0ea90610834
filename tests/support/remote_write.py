"""Samples at exact times, native histograms among them, written to a real Prometheus or
VictoriaMetrics: remote write 1.0, by hand (https://prometheus.io/docs/specs/prw/remote_write_spec/).

A message of protobuf is a list of fields, each a number, a type and a value. These are the ones of
``prompb/remote.proto`` and ``prompb/types.proto`` (``TimeSeries.histograms`` is field 4). Snappy
may be left uncompressed: a length, and the bytes as literals.
"""

from __future__ import annotations

import itertools
import math
import struct
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import httpx

__all__ = ["custom", "exponential", "number", "write"]

_CUSTOM = -53
"""The schema that stands for custom buckets."""


def write(url: str, series: Iterable[tuple[Mapping[str, str], bytes]]) -> None:
    """Store samples for each of these labels: what `custom`, `exponential` or `number` made, one
    after the other.
    """
    message = b"".join(
        _bytes(
            1,
            b"".join(
                _bytes(1, _bytes(1, name.encode()) + _bytes(2, value.encode()))
                for name, value in sorted(labels.items())
            )
            + sample,
        )
        for labels, sample in series
    )
    response = httpx.post(
        f"{url}/api/v1/write",
        content=_snappy(message),
        headers={
            "content-encoding": "snappy",
            "content-type": "application/x-protobuf",
            "x-prometheus-remote-write-version": "0.1.0",
        },
        trust_env=False,
    )
    assert response.status_code in (200, 204), response.text


def number(at_ms: int, value: float) -> bytes:
    return _bytes(2, _double(1, value) + _whole(2, at_ms))


def exponential(
    at_ms: int, values: Sequence[float], schema: int, zero: float = 2.938735877055719e-39
) -> bytes:
    """Buckets of 2 ** schema for each doubling, and one around zero."""
    counts = Counter(
        math.ceil(math.log2(value) * 2.0**schema) for value in values if abs(value) > zero
    )
    around = sum(abs(value) <= zero for value in values)
    return _histogram(at_ms, values, schema, counts, _double(5, zero) + _whole(6, around))


def custom(at_ms: int, values: Sequence[float], edges: Sequence[float]) -> bytes:
    """Buckets that end at these edges."""
    counts = Counter(bisect_left(edges, value) for value in values)
    packed = b"".join(struct.pack("<d", edge) for edge in edges)
    return _histogram(at_ms, values, _CUSTOM, counts, b"", _bytes(16, packed))


def _histogram(
    at_ms: int,
    values: Sequence[float],
    schema: int,
    counts: Mapping[int, int],
    zero: bytes,
    more: bytes = b"",
) -> bytes:
    places = sorted(counts)
    spans = b"".join(
        _bytes(11, _whole(1, _zigzag(gap)) + _whole(2, 1))
        for gap in (place - (before + 1) for before, place in itertools.pairwise([-1, *places]))
    )
    deltas = b"".join(
        _varint(_zigzag(after - before))
        for before, after in itertools.pairwise([0, *(counts[place] for place in places)])
    )
    return _bytes(
        4,
        _whole(1, len(values))
        + _double(3, math.fsum(values))
        + _whole(4, _zigzag(schema))
        + zero
        + spans
        + (_bytes(12, deltas) if places else b"")
        + _whole(15, at_ms)
        + more,
    )


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _zigzag(value: int) -> int:
    return 2 * value if value >= 0 else -2 * value - 1


def _whole(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _snappy(data: bytes) -> bytes:
    out = bytearray(_varint(len(data)))
    for start in range(0, len(data), 1 << 16):
        piece = data[start : start + (1 << 16)]
        out += bytes([61 << 2]) + struct.pack("<H", len(piece) - 1) + piece
    return bytes(out)
