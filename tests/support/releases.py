"""Releases of two and of three versions, each with a backend of its own."""

from __future__ import annotations

from progressive.model.release import Release, Version

TWO = Release(
    service="shop", stable=Version("1", backend="v1"), candidate=Version("2", backend="v2")
)


THREE = Release(
    service="shop", stable=TWO.stable, candidate=TWO.candidate, baseline=Version("1b", backend="v3")
)
