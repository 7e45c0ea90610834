"""The router: reads and patches one VirtualService."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from progressive.adapters.flow import Client, after_write
from progressive.adapters.http import HttpClient, HttpFlow, Request, Response
from progressive.adapters.kubernetes import (
    Kubernetes,
    Manifest,
    is_dns_name,
    patch,
    path_of,
    read,
    to_kubernetes,
)
from progressive.adapters.router import Router, goes_back
from progressive.errors import RouterError, StrategyError
from progressive.model import fields
from progressive.model.release import Release
from progressive.model.router_state import Capabilities, Marker, Served
from progressive.model.traffic import Traffic
from progressive.model.units import MILLION, Percent

from .destinations import Naming, weight_of
from .undo import undo_steps
from .virtual_service import VirtualService

__all__ = ["Istio"]

_GROUP: Final = "networking.istio.io"


def _names(value: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if value is None else fields.strings(value)


def _is_total(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    fields.whole(value, fields.where(instance, attribute), least=1)
    if MILLION % value:  # type: ignore[operator]
        raise StrategyError(
            f"{fields.where(instance, attribute)}: {value!r} parts are no exact shares; use 100, "
            "1000 or 10000"
        )


def _capabilities(total: int) -> Capabilities:
    # Made before the fields are checked: what is no total is left for its validator to name.
    usable = isinstance(total, int) and 0 < total <= MILLION
    return Capabilities(
        smallest_weight=Percent(MILLION // total if usable else 1),
        baseline=True,
        matches=True,
        mirror=True,
        compare_and_set=True,
        marker=True,
    )


@attrs.frozen(kw_only=True)
class Istio(Router[Request, Response, VirtualService]):
    """The weights in one VirtualService: ``Istio(api=Kubernetes.in_cluster(),
    virtual_service="reviews", host="reviews")``.

    ``host``: the one whose subsets the versions are; None: each version's backend is a host. Short
    names mean the VirtualService's namespace, as for Istio. ``routes``: the names of the http
    routes to manage; None: every one that leads to a version of the release. ``total``: what the
    weights that are written add up to; 1000 allows steps of 0.1 %. ``api_version``: ``v1beta1`` for
    Istio before 1.22. ``domain``: the cluster's.

    The account needs ``get`` and ``patch`` on this one ``virtualservices`` object, nothing else.
    Several rollouts of different services may share a VirtualService; but an edit of another route
    restarts a bake here, because an edit that was put back can't be told from it. (Tried with a
    real API server and Istio's own definitions.)

    Weights are relative: 100 beside 50 is two thirds. Routes that do not agree are not
    `Served.converged`, and the highest share of the candidate counts. What leads to neither version
    is `Served.unattributed`. Our own header routes and mirrors are read back too.

    A named route that is missing, or leads to neither version, keeps a rollout from starting and
    traffic from being raised. It never stops a way back, which takes away whatever still leads to
    the candidate: also in a route that looks renamed, and mirrors in every form.

    `apply` sends one request if ``expect`` is what this object read last, else two. A destination
    that is missing is added, with the port of stable's, and taken out again when its weight is 0.
    Where a version has several destinations in a route, the proportions among them are kept exactly
    at every weight (weights may then add up to a multiple of ``total``; what no weights can keep is
    refused), and given back in the numbers that stood there.
    """

    api: Kubernetes = attrs.field(converter=to_kubernetes)
    virtual_service: str = attrs.field(validator=is_dns_name)
    namespace: str = attrs.field(
        default=attrs.Factory(lambda self: self.api.namespace, takes_self=True),
        validator=is_dns_name,
    )
    host: str | None = attrs.field(default=None, validator=fields.optional(is_dns_name))
    routes: tuple[str, ...] | None = attrs.field(
        default=None, converter=_names, validator=fields.optional(fields.is_strings)
    )
    total: int = attrs.field(default=100, validator=_is_total)
    api_version: str = attrs.field(default="v1", validator=fields.is_name)
    domain: str = attrs.field(default="cluster.local", validator=is_dns_name)
    capabilities: Capabilities = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(lambda self: _capabilities(self.total), takes_self=True),
    )
    """Weights of 1 / ``total`` for up to three versions, header and cookie routes, a mirror,
    compare-and-set and a marker.
    """
    _client: Client[Request, Response] = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(
            lambda self: HttpClient(self.api.api, RouterError, "Kubernetes"), takes_self=True
        ),
    )
    _last: dict[str, Mapping[str, object]] = attrs.field(
        init=False, repr=False, eq=False, factory=dict
    )
    """The object as it was read last, by the version that `read` gave out: so a write need not read
    it once more. It may be old: the API server compares.
    """

    def render(
        self, release: Release, traffic: Traffic, manifest: Mapping[str, object]
    ) -> Manifest:
        """A manifest of the VirtualService with these weights, for those who apply it themselves
        (GitOps): no request is made.

        ``manifest`` is the decoded YAML or JSON and stays as it is. No marker is left in it.
        """
        found = self._parse(release, manifest)
        before = found.traffic
        lowers = traffic != before and not traffic.exceeds(before)
        if not lowers:
            found.refuse_problem()
        return found.with_traffic(traffic, total=self.total, strict=not lowers)

    def undo(self, release: Release) -> str:
        """The line to type (with kubectl and jq) to give all traffic back to stable, and nothing
        else: in every route, with its mirrors. It closes the marker too.
        """
        steps = undo_steps(release, self._naming(release), self.routes)
        target = f"-n {self.namespace} virtualservice {self.virtual_service}"
        return (
            f"kubectl get {target} -o json | jq {shlex.quote(' | '.join(steps))} | kubectl replace "
            "-f -"
        )

    def _where(self) -> str:
        return f"VirtualService {self.namespace}/{self.virtual_service}"

    def _read(self, release: Release) -> HttpFlow[VirtualService]:
        return self._parse(release, (yield from read(self._path)))

    def _refuse(self, release: Release, traffic: Traffic) -> None:
        for track in release.versions:
            weight_of(traffic.share(track), self.total)
        # A mirror has a percentage of its own, which ``total`` does not bound.
        self.capabilities.refuse(release, attrs.evolve(traffic, mirror=Percent(0)))

    def _before(self, release: Release, expect: str | None) -> HttpFlow[VirtualService]:
        last = self._last.get(expect) if expect is not None else None
        return self._parse(release, last if last is not None else (yield from read(self._path)))

    def _served(self, release: Release, found: VirtualService) -> Served:
        self._last.clear()
        self._last[found.version] = found.manifest
        return found.served()

    def _refuse_found(self, release: Release, found: VirtualService) -> None:
        found.refuse_problem()

    def _write(
        self, release: Release, traffic: Traffic, marker: Marker, before: VirtualService
    ) -> HttpFlow[VirtualService]:
        strict = not goes_back(traffic, before.served(), marker)
        changes = before.changes(traffic, marker, total=self.total, strict=strict)
        stored = yield from patch(self._path, changes, version=before.stored_version)
        with after_write():
            return self._parse(release, stored)

    def _parse(self, release: Release, manifest: Mapping[str, object]) -> VirtualService:
        return VirtualService.of(
            manifest, self._naming(release), routes=self.routes, where=self._where()
        )

    def _naming(self, release: Release) -> Naming:
        return Naming(release=release, host=self.host, namespace=self.namespace, domain=self.domain)

    @property
    def _path(self) -> str:
        return path_of(
            _GROUP, self.api_version, self.namespace, "virtualservices", self.virtual_service
        )
