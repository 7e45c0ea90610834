"""Markers in an annotation of an object: JSON with one entry for each service, because services may
share an object.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, Self

import attrs

from progressive.adapters.decoding import get_path
from progressive.errors import Failure, RouterError, StrategyError
from progressive.model import fields
from progressive.model.router_state import Marker

from .objects import Manifest

__all__ = ["ANNOTATION", "Markers"]

ANNOTATION: Final = "progressive-delivery/marker"
"""The annotation's name."""


@attrs.frozen(kw_only=True)
class Markers:
    """The markers of one object. ``where``: what messages call the object."""

    entries: Mapping[str, object]
    where: str

    @classmethod
    def of(cls, manifest: Mapping[str, object], *, where: str) -> Self:
        """Those of a manifest; `RouterError`, PERMANENT, if the annotation holds something else."""
        metadata = manifest.get("metadata")
        annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
        text = annotations.get(ANNOTATION) if isinstance(annotations, dict) else None
        if text is None:
            return cls(entries={}, where=where)
        try:
            return cls(entries=get_path(json.loads(text), "", dict), where=where)
        except (ValueError, RecursionError):
            why = "is not what this library writes; remove it"
        raise RouterError(f"{where}: the annotation {ANNOTATION} {why}", failure=Failure.PERMANENT)

    def entry(self, service: str) -> Mapping[str, object]:
        """What is written for a service; empty if nothing usable is."""
        found = self.entries.get(service)
        return found if isinstance(found, dict) else {}

    def marker(self, service: str) -> Marker | None:
        """The marker of a service; `RouterError`, PERMANENT, for one with impossible numbers."""
        if not isinstance(self.entries.get(service), dict):
            return None
        found = self.entry(service)
        try:
            return Marker(
                generation=fields.whole(found.get("generation", 0), "Marker.generation"),
                serial=fields.whole(found.get("serial", 0), "Marker.serial"),
                closed=bool(found.get("closed", False)),
                owner=str(found.get("owner", "")),
            )
        except StrategyError as error:
            why = f"was edited: {error}; remove it or put it right"
        raise RouterError(
            f"{self.where}: the annotation {ANNOTATION} {why}", failure=Failure.PERMANENT
        )

    def patch(self, service: str, marker: Marker, **more: object) -> Manifest:
        """The merge patch that leaves ``marker`` for one service, with ``more`` beside it; the
        others' stay.
        """
        entry = {
            "generation": marker.generation,
            "serial": marker.serial,
            "closed": marker.closed,
            **({"owner": marker.owner} if marker.owner else {}),
            **more,
        }
        text = json.dumps({**self.entries, service: entry}, separators=(",", ":"), sort_keys=True)
        return {"metadata": {"annotations": {ANNOTATION: text}}}
