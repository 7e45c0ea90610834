"""Istio: moves the weights of the http routes of one VirtualService, through the Kubernetes API.

A version's ``backend`` is a subset of one host (``Istio(host="reviews", ...)``; a DestinationRule
says what the subset is)::

    http:
    - route:
      - destination: {host: reviews, subset: v1}
        weight: 95
      - destination: {host: reviews, subset: v2}
        weight: 5

or, without ``host=``, a host of its own. The object is read with one request and changed with one
more, which the API server refuses if anything moved in between. What is not about this release
stays as it is, also other routes and their order. The API server answers in milliseconds; the
proxies follow within seconds, so give analyses a warm-up (``minutes(1)`` is ample).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from progressive._http import Client, Closing, Flow, Http
from progressive._kubernetes import Kubernetes, is_dns_name, patch, path_of, read, to_kubernetes
from progressive.errors import RouterError, StrategyError
from progressive.model import fields
from progressive.model.release import Release
from progressive.model.router_state import Capabilities, Marker, Served
from progressive.model.traffic import Traffic
from progressive.model.units import MILLION, Percent

from ._destinations import Naming
from ._rules import refuse_homeless, refuse_if_moved
from ._virtual_service import ANNOTATION, VirtualService

__all__ = ["Http", "Istio", "Kubernetes"]

_GROUP: Final = "networking.istio.io"


def _names(value: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if value is None else fields.strings(value)


def _is_total(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    fields.whole(value, fields.where(instance, attribute), least=1)
    if MILLION % value:  # type: ignore[operator]
        raise StrategyError(
            f"{fields.where(instance, attribute)}: {value!r} parts are no exact shares; use "
            "100, 1000 or 10000"
        )


@attrs.frozen(kw_only=True)
class Istio(Closing):
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
    _client: Client = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(
            lambda self: Client(self.api.api, RouterError, "Kubernetes"), takes_self=True
        ),
    )
    _last: dict[str, dict[str, Any]] = attrs.field(init=False, repr=False, eq=False, factory=dict)
    """The object as it was read last, by the version that `read` gave out: so a write need not read
    it once more. It may be old: the API server compares.
    """

    @property
    def capabilities(self) -> Capabilities:
        """Weights of 1 / ``total`` for up to three versions, header and cookie routes, a mirror,
        compare-and-set and a marker.
        """
        smallest = Percent(MILLION // self.total)
        return Capabilities(
            smallest_weight=smallest,
            baseline=True,
            matches=True,
            mirror=True,
            compare_and_set=True,
            marker=True,
        )

    def read(self, release: Release) -> Served:
        """What the VirtualService says now. Weights are relative: 100 beside 50 is two thirds.

        Routes that do not agree are not `Served.settled`, and the highest share of the candidate
        counts. What leads to neither version is `Served.elsewhere`. Our own header routes and
        mirrors are read back too.
        """
        return self._client.run(self._read(release))

    async def aread(self, release: Release) -> Served:
        """`read`, asynchronously."""
        return await self._client.arun(self._read(release))

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        """Write the weights into every managed route, and return what the API server has stored.

        One request if ``expect`` is what this object read last, else two. `ConflictError`, with
        nothing written, if the object moved or has a newer or a closed marker. A destination that
        is missing is added, and taken out again when its weight is 0.
        """
        return self._client.run(self._apply(release, traffic, marker, expect))

    async def aapply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        """`apply`, asynchronously."""
        return await self._client.arun(self._apply(release, traffic, marker, expect))

    def render(
        self, release: Release, traffic: Traffic, manifest: Mapping[str, Any]
    ) -> dict[str, Any]:
        """A manifest of the VirtualService with these weights, for those who apply it themselves
        (GitOps): no request is made.

        ``manifest`` is the decoded YAML or JSON and stays as it is. No marker is left in it.
        """
        return self._parse(release, manifest).with_traffic(traffic, total=self.total)

    def undo(self, release: Release) -> str:
        """The line to type (with kubectl and jq) to give all traffic back to stable, and nothing
        else. It closes the marker too.
        """
        naming = self._naming(release)
        stable, candidate = release.stable or release.candidate, release.candidate
        leads_here = " or ".join(
            f"({naming.jq('.destination', version)})" for version in naming.versions.values()
        )
        named = (
            ""
            if self.routes is None
            else f" and (.name | IN({', '.join(json.dumps(name) for name in self.routes)}))"
        )
        kept = f"[.route[] | select({naming.jq('.destination', stable)})][0]"
        made = (
            f"{{destination: ({json.dumps(naming.made(stable, like={}))} + "
            f"(.route[0].destination | if .port then {{port}} else {{}} end))}}"
        )
        only_stable = f".route = [({kept} // {made}) + {{weight: 100}}]"
        no_mirror = (
            f"if .mirror and ({naming.jq('.mirror', candidate)}) then del(.mirror, "
            ".mirrorPercentage) else . end"
        )
        steps = (
            f'.spec.http |= map(select((.name // "") | startswith("{naming.prefix}") | not))',
            f"(.spec.http[] | select(.route and any(.route[]; {leads_here}){named})) |= "
            f"({only_stable} | {no_mirror})",
            f'.metadata.annotations["{ANNOTATION}"] |= (. // "{{}}" | fromjson | '
            f'.["{release.service}"].closed = true | tojson)',
        )
        target = f"-n {self.namespace} virtualservice {self.virtual_service}"
        return (
            f"kubectl get {target} -o json | jq {shlex.quote(' | '.join(steps))} | kubectl "
            "replace -f -"
        )

    def _read(self, release: Release) -> Flow[Served]:
        found = yield from read(self._path)
        return self._served(release, found)

    def _apply(
        self, release: Release, traffic: Traffic, marker: Marker, expect: str | None
    ) -> Flow[Served]:
        refuse_homeless(release, traffic)
        last = self._last.get(expect) if expect is not None else None
        before = self._parse(release, last if last is not None else (yield from read(self._path)))
        refuse_if_moved(self._where, before.marker, marker, version=before.version, expect=expect)
        changes = before.changes(traffic, marker, total=self.total)
        stored = yield from patch(self._path, changes, version=before.stored_version)
        return self._served(release, stored)

    def _served(self, release: Release, found: Mapping[str, Any]) -> Served:
        parsed = self._parse(release, found)
        self._last.clear()
        self._last[parsed.version] = dict(found)
        return parsed.served()

    def _parse(self, release: Release, manifest: Mapping[str, Any]) -> VirtualService:
        return VirtualService.of(
            manifest, self._naming(release), routes=self.routes, where=self._where
        )

    def _naming(self, release: Release) -> Naming:
        return Naming(release=release, host=self.host, namespace=self.namespace, domain=self.domain)

    @property
    def _where(self) -> str:
        return f"VirtualService {self.namespace}/{self.virtual_service}"

    @property
    def _path(self) -> str:
        return path_of(
            _GROUP, self.api_version, self.namespace, "virtualservices", self.virtual_service
        )
