"""Caddy: moves the weights of one ``reverse_proxy`` through the admin interface.

The handler has an ``@id`` and one upstream for each version; a version's ``backend`` is what is
dialled::

    {"@id": "shop", "handler": "reverse_proxy",
     "upstreams": [{"dial": "10.0.0.1:8080"}, {"dial": "10.0.0.2:8080"}],
     "load_balancing": {
       "selection_policy": {"policy": "weighted_round_robin", "weights": [1, 0]}}}

The handler is read and written whole, and Caddy itself refuses the write if it has changed since
(``If-Match``). The marker is the ``@id`` of the selection policy, the one word of the
configuration that is free. A configuration that is loaded anew, also at a restart without
``--resume``, has the weights of its file again and no marker, and `Caddy.read` says so.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from math import gcd
from typing import Any, Final

import attrs

from progressive.adapters import parts
from progressive.adapters.flow import Client
from progressive.adapters.http import (
    Http,
    HttpClient,
    HttpFlow,
    Request,
    Response,
    get_path,
    segment,
    to_http,
)
from progressive.adapters.router import Router, after_restart, forgetful
from progressive.errors import Failure, RouterError, StateError
from progressive.model import fields
from progressive.model.release import Release
from progressive.model.router_state import AfterRestart, Capabilities, Marker, Served
from progressive.model.traffic import Traffic
from progressive.model.units import percent

__all__ = ["AfterRestart", "Caddy", "Http"]

POLICY: Final = "weighted_round_robin"

OURS: Final = "progressive:"
"""How the ``@id`` begins that is a marker."""


@attrs.frozen(kw_only=True)
class _Handler:
    """What stands in Caddy: the handler, and the version that the answer gave it."""

    content: dict[str, Any]
    version: str | None

    @property
    def dials(self) -> list[str]:
        return [get_path(each, "dial", str) for each in self._upstreams]

    @property
    def policy(self) -> dict[str, Any]:
        return _object(self.balancing, "selection_policy")

    @property
    def balancing(self) -> dict[str, Any]:
        return _object(self.content, "load_balancing")

    @property
    def weights(self) -> list[int]:
        found = self.policy.get("weights") or []
        return [each for each in found if isinstance(each, int)] if isinstance(found, list) else []

    @property
    def may_be_passed_over(self) -> str:
        """By what an upstream may be passed over; empty if by nothing."""
        limits = any(isinstance(each, dict) and "max_requests" in each for each in self._upstreams)
        checks = [name for name in ("health_checks", "circuit_breaker") if self.content.get(name)]
        return " and ".join([*checks, *(["max_requests"] if limits else [])])

    def problem(self) -> str:
        """What keeps its weights from meaning shares of its upstreams; empty if nothing does."""
        if self.content.get("dynamic_upstreams"):
            return "its upstreams are dynamic; name them"
        if self.policy.get("policy") != POLICY:
            return f"its policy is {self.policy.get('policy', 'random')}; make it {POLICY}"
        if len(self.weights) != len(self.dials):
            return (
                f"it has {len(self.weights)} weights for {len(self.dials)} upstreams, and Caddy "
                "gives what is left over to the first; write one for each"
            )
        if len(set(self.dials)) != len(self.dials):
            return "an upstream is there twice; leave one for each version"
        return ""

    @property
    def _upstreams(self) -> list[Any]:
        found = self.content.get("upstreams") or []
        return found if isinstance(found, list) else []


@attrs.frozen(kw_only=True)
class Caddy(Router[Request, Response, _Handler]):
    """One ``reverse_proxy`` of one Caddy: its admin interface (an address or an `Http`) and the
    ``id`` (its ``@id``).

    Every multiple of 1 % is exact: the round is as short as the shares allow, and goes through the
    upstreams in turns, in blocks of their weights. Every change of the configuration, by anybody,
    begins the round anew: where that happens every few requests, a small share gets less or
    nothing. A change also closes idle connections of clients; no request that was begun fails.

    Upstreams of neither version get weight 0, and what they have counts as `Served.unattributed`.
    Weights that are no shares of the upstreams (another policy, another number of them) are read as
    everything on the candidate: they keep a rollout from starting and traffic from being raised,
    and never stop a way back. With health checks or a circuit breaker, an upstream that is down
    takes no part, and weights count by the places of those that are up: then more than two
    upstreams are refused; and where stable is down, the candidate has everything. ``max_requests``
    is refused.

    Where the file of the configuration rules again, the marker is gone, and a rollout holds;
    ``after_restart="reassert"`` writes what was verified last again. (Tried with Caddy 2.11.)
    """

    admin: Http = attrs.field(default=Http("http://127.0.0.1:2019"), converter=to_http)
    id: str = attrs.field(validator=fields.is_name)
    after_restart: AfterRestart = after_restart()
    capabilities: Capabilities = forgetful(
        Capabilities(smallest_weight=percent(1), baseline=True, marker=True, compare_and_set=True)
    )
    """Whole percents for up to three versions, a marker, and writes that Caddy compares."""
    _client: Client[Request, Response] = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(
            lambda self: HttpClient(self.admin, RouterError, "Caddy"), takes_self=True
        ),
    )

    def undo(self, release: Release) -> str:
        """The line to type to give all traffic back to stable, in any Python. It closes the marker
        too: a driver that still runs goes back.
        """
        stable = (release.stable or release.candidate).backend
        program = (
            "import json, urllib.request as web; "
            f"at = {json.dumps(self.admin.base_url + self._path)}; "
            "it = json.load(web.urlopen(at)); "
            'how = it.setdefault("load_balancing", {}); '
            'was = how.get("selection_policy", {}).get("@id"); '
            f'how["@id"] = {json.dumps(self._closed)}; '
            f'how["selection_policy"] = {{"policy": {json.dumps(POLICY)}, "weights": '
            f'[int(each["dial"] == {json.dumps(stable)}) for each in it["upstreams"]], '
            '**({"@id": was} if was else {})}; '
            "web.urlopen(web.Request(at, json.dumps(it).encode(), "
            '{"Content-Type": "application/json"}, method="PATCH"))'
        )
        return f"python3 -c {shlex.quote(program)}"

    @property
    def _path(self) -> str:
        return f"/id/{segment(self.id)}"

    @property
    def _closed(self) -> str:
        """The ``@id`` of the load balancing by which a person closes whatever marker there is."""
        return f"{OURS}closed:{self.id}"

    def _where(self) -> str:
        return f"the handler {self.id}"

    def _read(self, release: Release) -> HttpFlow[_Handler]:
        answer = yield Request("GET", self._path)
        return _Handler(content=get_path(answer.json(), "", dict), version=answer.header("etag"))

    def _served(self, release: Release, found: _Handler) -> Served:
        marker = self._marker(found)
        if found.problem():
            exposed = Traffic(candidate=percent(100))
            return Served(traffic=exposed, version=found.version, marker=marker, converged=False)
        weights = dict(zip(found.dials, found.weights, strict=True))
        return parts.served(
            [parts.Part.of(release, weights)],
            version=found.version,
            marker=marker,
            whole=parts.is_whole(release, found.dials),
        )

    def _refuse_found(self, release: Release, found: _Handler) -> None:
        problem = found.problem()
        own = found.policy.get("@id")
        if not problem and own is not None and not str(own).startswith(OURS):
            problem = f"its selection policy has the @id {own!r}, where the marker stands; free it"
        if (checks := found.may_be_passed_over) and len(found.dials) > 2:
            problem = (
                f"with {checks} Caddy counts weights by the places of those upstreams that take "
                "part; leave two upstreams, one for each version"
            )
        elif "max_requests" in checks:
            problem = "with max_requests an upstream that is full is passed over; take it out"
        if problem:
            raise RouterError(f"{self._where()}: {problem}", failure=Failure.PERMANENT)
        parts.refuse_missing(
            release,
            found.dials,
            what="the upstream",
            where=self._where(),
            hint="add it to its upstreams with weight 0",
        )

    def _write(
        self, release: Release, traffic: Traffic, marker: Marker, before: _Handler
    ) -> HttpFlow[None]:
        shares = {
            version.backend: traffic.share(track).ppm for track, version in release.versions.items()
        }
        missing = [name for name, share in shares.items() if share and name not in before.dials]
        if missing:
            raise RouterError(
                f"{self._where()} has no upstream {', '.join(missing)}, only "
                f"{', '.join(before.dials) or 'none'}; add it",
                failure=Failure.PERMANENT,
            )
        policy = {
            "@id": f"{OURS}{marker.dumps()}:{self.id}",
            "policy": POLICY,
            "weights": _weights(before.dials, shares),
        }
        balancing = {
            name: value
            for name, value in before.balancing.items()
            if not (name == "@id" and value == self._closed)
        }
        yield Request(
            "PATCH",
            self._path,
            json={**before.content, "load_balancing": {**balancing, "selection_policy": policy}},
            headers={} if before.version is None else {"If-Match": before.version},
            write=True,
        )

    def _marker(self, found: _Handler) -> Marker | None:
        text, closed = found.policy.get("@id"), found.balancing.get("@id") == self._closed
        marker = None
        if isinstance(text, str) and text.startswith(OURS):
            try:
                marker = Marker.loads(text.removeprefix(OURS).removesuffix(f":{self.id}"))
            except StateError as error:
                why = f"{self._where()}: its selection policy's @id: {error}; edited by hand?"
                raise RouterError(why, failure=Failure.PERMANENT) from None
        if closed:
            return attrs.evolve(marker or Marker(generation=0), closed=True)
        return marker


def _weights(dials: list[str], shares: Mapping[str, int]) -> list[int]:
    """Return the smallest whole numbers that stand to each other as the shares do: the round is as
    long as their sum.
    """
    found = [shares.get(dial, 0) for dial in dials]
    common = gcd(*found) or 1
    return [each // common for each in found]


def _object(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}
