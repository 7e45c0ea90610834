"""Istio's adapter without a cluster: one VirtualService behind an API server, which changes it as
the real one does (RFC 7396).
"""

from __future__ import annotations

import json
import subprocess
from copy import deepcopy
from typing import Any

import attrs

from progressive.adapters.flow import feed
from progressive.adapters.http import Request, Response
from progressive.adapters.kubernetes import ANNOTATION
from progressive.errors import ConflictError
from progressive.model.release import Release, Version
from progressive.model.router_state import Capabilities, Marker, Served
from progressive.model.traffic import Match, Traffic
from progressive.routers.istio import Istio

RELEASE = Release(
    service="shop", stable=Version("1", backend="v1"), candidate=Version("2", backend="v2")
)
THREE = Release(
    service="shop",
    stable=Version("1", backend="v1"),
    candidate=Version("2", backend="v2"),
    baseline=Version("1b", backend="v1b"),
)
HOSTS = Release(
    service="shop",
    stable=Version("1", backend="shop-v1"),
    candidate=Version("2", backend="shop-v2"),
)
MARKER = Marker(generation=3, serial=17)
ROUTER = Istio(api="http://127.0.0.1:8001", virtual_service="shop", host="shop", namespace="sales")
BY_HOST = Istio(api="http://127.0.0.1:8001", virtual_service="shop", namespace="sales")
BETA = Match(name="X-Beta", value="yes")
COOKIE = Match(name="beta", value="a.b;c=d", source="cookie")


def to(
    subset: str | None, weight: int | None = None, *, host: str = "shop", **more: Any
) -> dict[str, Any]:
    """A destination with its weight."""
    destination = {"host": host, **({"subset": subset} if subset else {}), **more}
    return {"destination": destination, **({} if weight is None else {"weight": weight})}


def http(*destinations: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"route": list(destinations), **more}


class FakeApi:
    """One VirtualService behind an API server."""

    def __init__(self, *routes: dict[str, Any], annotation: str | None = None) -> None:
        metadata: dict[str, Any] = {
            "name": "shop",
            "uid": "82831ebc-4952",
            "generation": 1,
            "resourceVersion": "100",
        }
        if annotation is not None:
            metadata["annotations"] = {ANNOTATION: annotation}
        self.object: dict[str, Any] = {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": metadata,
            "spec": {"hosts": ["shop"], "http": list(routes) or [http(to("v1", 100), to("v2", 0))]},
        }
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        assert request.path == "/apis/networking.istio.io/v1/namespaces/sales/virtualservices/shop"
        if request.method == "PATCH":
            assert request.write and dict(request.headers) == {
                "content-type": "application/merge-patch+json"
            }
            patch = json.loads(request.content or b"")
            if patch["metadata"]["resourceVersion"] != self.object["metadata"]["resourceVersion"]:
                raise ConflictError("the object has been modified")
            self.edit(patch)
        return Response(body=json.dumps(self.object).encode())

    def edit(self, patch: dict[str, Any]) -> None:
        """A merge patch of anybody."""
        before = deepcopy(self.object)
        _merge(self.object, patch)
        metadata = self.object["metadata"]
        metadata["generation"] = before["metadata"]["generation"] + (
            self.object["spec"] != before["spec"]
        )
        metadata["resourceVersion"] = str(
            int(before["metadata"]["resourceVersion"]) + (self.object != before)
        )

    def replace(self, made: dict[str, Any]) -> None:
        """A whole object of anybody's."""
        before, metadata = self.object, dict(made["metadata"])
        metadata["generation"] += made["spec"] != before["spec"]
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + (made != before))
        self.object = {**made, "metadata": metadata}

    @property
    def routes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.object["spec"]["http"]
        return found

    @property
    def weights(self) -> list[list[int | None]]:
        return [[each.get("weight") for each in route.get("route", ())] for route in self.routes]


def _merge(target: dict[str, Any], patch: dict[str, Any]) -> None:
    for name, value in patch.items():
        if isinstance(value, dict):
            _merge(target.setdefault(name, {}), value)
        else:
            target[name] = value


def read(api: FakeApi, release: Release = RELEASE, router: Istio = ROUTER) -> Served:
    found: Served = feed(router.reading(release), api)
    return found


def apply(
    api: FakeApi,
    traffic: Traffic,
    *,
    release: Release = RELEASE,
    marker: Marker = MARKER,
    expect: str | None = None,
    router: Istio = ROUTER,
) -> Served:
    found: Served = feed(router.applying(release, traffic, marker, expect), api)
    return found


@attrs.frozen
class Router:
    """The adapter with the fake in place of HTTP."""

    istio: Istio
    api: FakeApi

    @property
    def capabilities(self) -> Capabilities:
        return self.istio.capabilities

    def read(self, release: Release) -> Served:
        return read(self.api, release, self.istio)

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        return apply(
            self.api, traffic, release=release, marker=marker, expect=expect, router=self.istio
        )

    def undo(self, release: Release) -> str:
        return self.istio.undo(release)


def undone(api: FakeApi, router: Istio = ROUTER, release: Release = RELEASE) -> dict[str, Any]:
    """What the line of `undo` makes of the object, by jq."""
    program = router.undo(release).split("| jq '", 1)[1].rsplit("' | kubectl", 1)[0]
    said = subprocess.run(
        ["jq", program.replace("'\\''", "'")],
        input=json.dumps(api.object),
        capture_output=True,
        text=True,
        check=True,
    )
    made: dict[str, Any] = json.loads(said.stdout)
    return made
