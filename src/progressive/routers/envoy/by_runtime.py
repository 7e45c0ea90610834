"""Envoy by the runtime weights of a ``weighted_clusters`` route, through the admin interface."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Final, TypeAlias
from urllib.parse import quote

import attrs

from progressive.adapters import parts
from progressive.adapters.flow import Client, after_write
from progressive.adapters.http import (
    Http,
    HttpClient,
    HttpFlow,
    Request,
    Response,
    get_path,
    to_http,
)
from progressive.adapters.router import Router, after_restart, forgetful, goes_back
from progressive.errors import Failure, RouterError, StrategyError
from progressive.model import fields
from progressive.model.release import Release, Track
from progressive.model.router_state import AfterRestart, Capabilities, Marker, Served
from progressive.model.traffic import Traffic
from progressive.model.units import MILLION, Percent

__all__ = ["AfterRestart", "Envoy", "Http"]

_LARGEST_TOTAL: Final = 2**32 - 1
"""Envoy's weights are relative, but beyond this total it chooses no cluster at all. What is written
here are parts per million that add up to a million: nothing is rounded on the way there or back,
and who looks at /runtime reads a share.
"""

_ROUTES: Final = tuple(
    Request("GET", "/config_dump", params=(("resource", kind),))
    for kind in ("static_route_configs", "dynamic_route_configs")
)
_RUNTIME: Final = Request("GET", "/runtime")
_GENERATION, _SERIAL, _CLOSED = "progressive.generation", "progressive.serial", "progressive.closed"
_OWNER: Final = "progressive.owner"
"""The marker: three numbers and a word below the prefix. Not one word, so that a line typed by hand
can close it knowing nothing else.
"""

_Weights: TypeAlias = tuple[tuple[str, int], ...]
"""Clusters and their weights, as they stand in a route."""


@attrs.frozen(kw_only=True)
class _Split:
    """What stands in one Envoy: the weights that rule in each route with the prefix, and the
    marker.

    ``routes`` are the weights that the routes themselves give; what the runtime says goes over
    them.
    """

    routes: tuple[_Weights, ...]
    splits: tuple[_Weights, ...]
    marker: Marker | None

    @property
    def version(self) -> str:
        """A word for exactly this content. Envoy has none; so a change that was put back is not
        seen.
        """
        return hashlib.sha256(repr((self.splits, self.marker)).encode()).hexdigest()[:16]


@attrs.frozen(kw_only=True)
class Envoy(Router[Request, Response, _Split]):
    """One split of one Envoy: its admin interface (an address or an `Http`) and the
    ``runtime_key_prefix`` of its route.

    Every weight down to 0.0001 % is exact. All weights are written in one request, 0 to the
    clusters of neither version, and the marker is kept beside them. Envoy can't refuse a write
    because something moved since the read; this looks again just before it writes, which leaves a
    gap of a few milliseconds. Header routes and mirrors stand in the route itself, which the admin
    interface can't change.

    Clusters of neither version count as `Served.unattributed`, and so does a split whose weights
    are all 0 (Envoy then answers 404 to everybody). Routes with the same prefix that do not agree
    are not `Served.converged`. A route without the cluster of a version keeps a rollout from
    starting and traffic from being raised, and never stops a way back.

    A restart forgets the weights and the marker, and so does nobody else: what it looks like after
    a rollback by hand and a restart can't be told from a restart alone. So a rollout that finds its
    marker gone holds; ``after_restart="reassert"`` writes what was verified last again. (Tried with
    Envoy 1.40.)
    """

    admin: Http = attrs.field(default=Http("http://127.0.0.1:9901"), converter=to_http)
    prefix: str = attrs.field(validator=fields.is_name)
    after_restart: AfterRestart = after_restart()
    capabilities: Capabilities = forgetful(
        Capabilities(smallest_weight=Percent(1), baseline=True, marker=True)
    )
    """Weights of any size for up to three versions, and a marker."""
    _client: Client[Request, Response] = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(
            lambda self: HttpClient(self.admin, RouterError, "Envoy"), takes_self=True
        ),
    )

    def undo(self, release: Release) -> str:
        """The line to type to give all traffic back to stable. It closes the marker too: a driver
        that still runs goes back. Credentials are not in it; where they are needed, it says so.
        """
        weights = [
            (version.backend, MILLION if track is Track.STABLE else 0)
            for track, version in release.versions.items()
        ]
        written = "&".join(
            f"{quote(f'{self.prefix}.{name}')}={value}" for name, value in (*weights, (_CLOSED, 1))
        )
        line = f"curl -fsS -X POST '{self.admin.base_url}/runtime_modify?{written}'"
        return f"{line}  # with your credentials" if self.admin.credentials else line

    def _where(self) -> str:
        return self.prefix

    def _read(self, release: Release) -> HttpFlow[_Split]:
        return (yield from self._ruling((yield from self._routes())))

    def _served(self, release: Release, found: _Split) -> Served:
        shares = [parts.Part.of(release, _usable(split)) for split in found.splits]
        whole = all(parts.is_whole(release, dict(split)) for split in found.splits)
        return parts.served(shares, version=found.version, marker=found.marker, whole=whole)

    def _refuse_found(self, release: Release, found: _Split) -> None:
        for split in found.splits:
            parts.refuse_missing(
                release,
                [name for name, _ in split],
                what="cluster",
                where=f"the split {self.prefix}",
                hint="add it to the route's weighted_clusters with weight 0",
            )

    def _refuse_no_way_back(self, release: Release, found: _Split) -> None:
        """All weights at 0 is a 404 for everybody, and no way back."""
        stable = (release.stable or release.candidate).backend
        if not any(stable in dict(split) for split in found.splits):
            raise RouterError(
                f"cluster {stable!r} is in no route with runtime_key_prefix: {self.prefix}, so "
                "there is nothing to go back to; add it to the route's weighted_clusters",
                failure=Failure.PERMANENT,
            )

    def _write(
        self, release: Release, traffic: Traffic, marker: Marker, before: _Split
    ) -> HttpFlow[_Split]:
        shares = {
            version.backend: traffic.share(track).ppm for track, version in release.versions.items()
        }
        self._refuse_no_way_back(release, before)
        back = goes_back(traffic, self._served(release, before), marker)
        stable = (release.stable or release.candidate).backend
        names = dict.fromkeys(
            name
            for split in before.splits
            for name, _ in split
            if name in shares or stable in dict(split)  # a stranger's route would answer nobody
        )
        wanted = tuple((name, shares.get(name, 0)) for name in names)
        left = (
            (_GENERATION, marker.generation),
            (_SERIAL, marker.serial),
            (_CLOSED, int(marker.closed)),
        )
        owned = before.marker is not None and before.marker.owner
        params = tuple((f"{self.prefix}.{name}", str(value)) for name, value in (*wanted, *left))
        if marker.owner or owned:  # an empty value removes the key
            params += ((f"{self.prefix}.{_OWNER}", marker.owner),)
        answer = yield Request("POST", "/runtime_modify", params=params, write=True, accept=(503,))
        with after_write():
            after = yield from self._ruling(before.routes)
        if after.marker != marker and answer.status == 503:
            raise RouterError(
                f"Envoy refused: {answer.text.strip()}; end layered_runtime.layers with an "
                "admin_layer",
                failure=Failure.PERMANENT,
            )
        overridden = [
            name
            for name, weight in wanted
            if any(dict(split).get(name, weight) != weight for split in after.splits)
        ]
        if after.marker == marker and overridden and not back:
            names_of = ", ".join(f"{self.prefix}.{name}" for name in overridden)
            raise RouterError(
                f"written, but without effect on {names_of}: a later layer of the runtime "
                "overrides it",
                failure=Failure.PERMANENT,
            )
        return after

    def _ruling(self, routes: tuple[_Weights, ...]) -> HttpFlow[_Split]:
        """Put the runtime over the routes, as Envoy does: where a key is missing or not a number,
        the route's own weight rules (and not that of a lower layer).
        """
        runtime = yield _RUNTIME
        entries = get_path(runtime.json(), "entries", dict)

        def ruling(name: str, own: int) -> int:
            entry = entries.get(f"{self.prefix}.{name}")
            number = None if entry is None else _number(get_path(entry, "final_value", str))
            return own if number is None else number

        splits = tuple(
            tuple((name, ruling(name, weight)) for name, weight in route) for route in routes
        )
        return _Split(routes=routes, splits=splits, marker=_marker(self.prefix, entries))

    def _routes(self) -> HttpFlow[tuple[_Weights, ...]]:
        """The weights that the routes themselves give, once for each split that differs."""
        found: list[_Weights] = []
        for request in _ROUTES:
            answer = yield request
            for split in _splits(answer.json(), self.prefix):
                if split not in found:
                    found.append(split)
        if not found:
            raise RouterError(
                f"no route of this Envoy has runtime_key_prefix: {self.prefix}; give the prefix "
                "that it has",
                failure=Failure.PERMANENT,
            )
        return tuple(found)


def _splits(value: Any, prefix: str) -> Iterator[_Weights]:
    """Every ``weighted_clusters`` with this prefix, wherever it stands: routes may be nested in
    matchers.
    """
    if isinstance(value, dict):
        split = value.get("weighted_clusters")
        if isinstance(split, dict) and split.get("runtime_key_prefix") == prefix:
            # A weight of 0 may be left out of a dump: that is how proto3 writes defaults.
            yield tuple(
                (
                    get_path(each, "name", str),
                    get_path({"weight": 0, **get_path(each, "", dict)}, "weight", int),
                )
                for each in get_path(split, "clusters", list)
            )
        for inner in value.values():
            yield from _splits(inner, prefix)
    elif isinstance(value, list):
        for inner in value:
            yield from _splits(inner, prefix)


def _usable(split: _Weights) -> dict[str, int]:
    """The weights by cluster; none where Envoy chooses no cluster at all."""
    weights = dict(split)
    return weights if sum(weights.values()) <= _LARGEST_TOTAL else {}


def _number(text: str) -> int | None:
    """A runtime value as Envoy takes it for a weight: a number that is not negative, cut to a whole
    one; else none.
    """
    try:
        return (
            int(text) if text.isdecimal() else int(number) if (number := float(text)) >= 0 else None
        )
    except (ValueError, OverflowError):
        return None


def _marker(prefix: str, entries: dict[str, Any]) -> Marker | None:
    found = {
        name: get_path(entries[key], "final_value", str)
        for name in (_GENERATION, _SERIAL, _CLOSED, _OWNER)
        if (key := f"{prefix}.{name}") in entries
    }
    if not found:
        return None
    owner = found.pop(_OWNER, "")
    for name, text in found.items():
        if not text.isdecimal():
            raise RouterError(
                f"{prefix}.{name} is {text!r}, no whole number: edited by hand? POST "
                f"/runtime_modify?{prefix}.{name}= removes it",
                failure=Failure.PERMANENT,
            )
    generation, serial, closed = (
        int(found.get(name, 0)) for name in (_GENERATION, _SERIAL, _CLOSED)
    )
    try:
        return Marker(generation=generation, serial=serial, closed=bool(closed), owner=owner)
    except StrategyError as error:
        why = f"{prefix}.{_OWNER}: {error}; edited by hand? an empty value removes it"
    raise RouterError(why, failure=Failure.PERMANENT)
