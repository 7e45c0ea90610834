"""One object of the API: where it is, read, and patched by compare-and-set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from progressive.adapters.http import HttpFlow, Malformed, Request, get_path, segment

__all__ = ["Manifest", "find", "patch", "path_of", "read"]

Manifest: TypeAlias = dict[str, Any]
"""An object as the API gives it: decoded JSON."""

MANAGER: Final = "progressive"
"""The name under which our writes stand in an object's ``managedFields``."""


def path_of(group: str, version: str, namespace: str, plural: str, name: str) -> str:
    """The path of one object:
    ``/apis/networking.istio.io/v1/namespaces/shop/virtualservices/checkout``.
    """
    root = f"/apis/{segment(group)}/{segment(version)}" if group else f"/api/{segment(version)}"
    return f"{root}/namespaces/{segment(namespace)}/{segment(plural)}/{segment(name)}"


def read(path: str) -> HttpFlow[Manifest]:
    """The object, from the API server itself (not from its cache)."""
    response = yield Request("GET", path)
    return _object(response.json())


def find(path: str) -> HttpFlow[Manifest | None]:
    """The object, or None if there is none."""
    response = yield Request("GET", path, accept=(404,))
    return None if response.status == 404 else _object(response.json())


def patch(path: str, changes: Mapping[str, object], *, version: str | None) -> HttpFlow[Manifest]:
    """Change these fields of an object if it still has the resourceVersion ``version``; else
    `ConflictError`, nothing is changed.

    None changes them whatever it has. The answer is the object as it is stored now. Lists are
    replaced whole (RFC 7396), which compare-and-set makes safe.
    """
    metadata = changes.get("metadata")
    condition = (
        {}
        if version is None
        else {
            "metadata": {
                **(metadata if isinstance(metadata, dict) else {}),
                "resourceVersion": version,
            }
        }
    )
    body = json.dumps({**changes, **condition}, allow_nan=False, separators=(",", ":")).encode()
    response = yield Request(
        "PATCH",
        path,
        params=(("fieldManager", MANAGER),),
        headers=(("content-type", "application/merge-patch+json"),),
        content=body,
        write=True,
    )
    return _object(response.json())


def _object(value: object) -> Manifest:
    found: Manifest = get_path(value, "", dict)
    if not get_path(found, "metadata.resourceVersion", str):
        raise Malformed("the object has no resourceVersion")
    return found
