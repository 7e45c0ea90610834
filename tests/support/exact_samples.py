"""Samples at exact times, written to a Prometheus or a VictoriaMetrics by remote write 1.0, without
a library for it.

The message is protobuf by hand: https://prometheus.io/docs/specs/prw/remote_write_spec/; snappy's
form is https://github.com/google/snappy/blob/main/format_description.txt.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import TypeAlias

import httpx

Samples: TypeAlias = Iterable[tuple[int, float]]
"""Times in milliseconds since 1970, and values."""


def write(
    url: str, series: Iterable[tuple[Mapping[str, str], Samples]], *, native: bool = False
) -> None:
    """Store these. ``native``: each value is the count of a native histogram with one bucket."""
    message = b"".join(
        _field(1, _labels(labels) + b"".join(_sample(*each, native) for each in samples))
        for labels, samples in series
    )
    path = "/api/v1/write"
    headers = {
        "content-encoding": "snappy",
        "content-type": "application/x-protobuf",
        "x-prometheus-remote-write-version": "0.1.0",
    }
    answer = httpx.post(url + path, content=_snappy(message), headers=headers, trust_env=False)
    assert answer.status_code in (200, 204), answer.text


def _labels(labels: Mapping[str, str]) -> bytes:
    return b"".join(
        _field(1, _field(1, name.encode()) + _field(2, value.encode()))
        for name, value in sorted(labels.items())
    )


def _sample(moment: int, value: float, native: bool) -> bytes:
    if not native:
        return _field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(moment))
    # Schema 0 and one bucket, that of (0.5, 1], with all of the count.
    count = _varint(int(value))
    span, delta = _field(11, b"\x08\x00\x10\x01"), _field(12, _varint(int(value) * 2))
    return _field(4, b"\x08" + count + b"\x20\x00" + span + delta + b"\x78" + _varint(moment))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*made, number])


def _snappy(content: bytes) -> bytes:
    """The content as one literal, whose length has four bytes."""
    return _varint(len(content)) + b"\xfc" + struct.pack("<I", len(content) - 1) + content
