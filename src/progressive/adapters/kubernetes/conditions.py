"""What a controller says in an object's status: whether it has seen the object as it is, counts,
and conditions.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from progressive.adapters.decoding import get_path
from progressive.adapters.flow import Malformed

__all__ = ["Condition", "condition", "count", "is_observed"]


@attrs.frozen(kw_only=True)
class Condition:
    """One of ``status.conditions``. ``holds``: None where the controller says ``Unknown``."""

    kind: str
    holds: bool | None
    reason: str = ""
    message: str = ""


def condition(
    manifest: Mapping[str, object], kind: str, path: str = "status.conditions"
) -> Condition | None:
    """The condition of this type (``Available``), None if it is not there. A list without
    conditions has none.

    ``path``: where the list stands; in a Gateway API route it is ``status.parents.0.conditions``.
    """
    try:
        listed = get_path(manifest, path, list)
    except Malformed:
        return None
    for each in listed:
        if isinstance(each, dict) and each.get("type") == kind:
            holds = {"True": True, "False": False}.get(str(each.get("status")))
            reason, message = (str(each.get(name) or "") for name in ("reason", "message"))
            return Condition(kind=kind, holds=holds, reason=reason, message=message)
    return None


def is_observed(manifest: Mapping[str, object]) -> bool:
    """Has the controller seen the object as it is written now? Until then its status is about an
    older one.

    Raises `Malformed` for an object without ``metadata.generation``.
    """
    return count(manifest, "status.observedGeneration") >= get_path(
        manifest, "metadata.generation", int
    )


def count(manifest: Mapping[str, object], path: str, default: int = 0) -> int:
    """A whole number of the object; the API leaves out of a status what is 0."""
    try:
        return get_path(manifest, path, int)
    except Malformed:
        return default
