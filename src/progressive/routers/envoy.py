"""Envoy: moves the runtime weights of a ``weighted_clusters`` route through the admin interface.

The route names a runtime prefix and the clusters; a version's ``backend`` is its cluster's name::

    route:
      weighted_clusters:
        runtime_key_prefix: routing.traffic_split
        clusters: [{name: v1, weight: 100}, {name: v2, weight: 0}]

and the runtime has an ``admin_layer`` as its last layer. All weights and the marker go into one
POST, which Envoy takes as one change; the next request obeys it. Envoy answers 200 to any nonsense,
so everything is read back. Nothing is kept on disk: after a restart the weights of the layers
below, or of the route itself, rule again, and `Envoy.read` says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final
from urllib.parse import quote

import attrs

from progressive._http import Client, Closing, Flow, Http, Request, at, to_http
from progressive.errors import ConflictError, Failure, RouterError
from progressive.model import fields
from progressive.model.release import Release
from progressive.model.router_state import Capabilities, Marker, Served
from progressive.model.traffic import Track, Traffic
from progressive.model.units import MILLION, Percent

from ._rules import normalised, refuse_homeless, refuse_if_moved

__all__ = ["Envoy", "Http"]

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
"""The marker: three numbers below the prefix. Not one word, so that a line typed by hand can close
it knowing nothing else.
"""

_Weights = tuple[tuple[str, int], ...]


@attrs.frozen(kw_only=True)
class Envoy(Closing):
    """One split of one Envoy: its admin interface (an address or an `Http`) and the
    ``runtime_key_prefix`` of its route.

    Every weight down to 0.0001 % is exact. The marker is kept beside the weights. Envoy can't
    refuse a write because something moved since the read; this looks again just before it writes,
    which leaves a gap of a few milliseconds. Header routes and mirrors stand in the route itself,
    which the admin interface can't change. (Tried with Envoy 1.40.)
    """

    admin: Http = attrs.field(default=Http("http://127.0.0.1:9901"), converter=to_http)
    prefix: str = attrs.field(validator=fields.is_name)
    _client: Client = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(
            lambda self: Client(self.admin, RouterError, "Envoy"), takes_self=True
        ),
    )

    @property
    def capabilities(self) -> Capabilities:
        """Weights of any size for up to three versions, and a marker."""
        return Capabilities(smallest_weight=Percent(1), baseline=True, marker=True)

    def read(self, release: Release) -> Served:
        """What Envoy's split is now. Clusters of neither version count as `Served.elsewhere`, and
        so does a split whose weights are all 0 (Envoy then answers 404 to everybody). Routes with
        the same prefix that do not agree are not `Served.settled`.
        """
        return self._client.run(self._read(release))

    async def aread(self, release: Release) -> Served:
        """`read`, asynchronously."""
        return await self._client.arun(self._read(release))

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        """Give every cluster of the split its weight (0 to those of neither version) and return
        what stands there afterwards.

        Raises `ConflictError`, having written nothing, if there is a newer or a closed marker or if
        the split is not ``expect`` any more.
        """
        return self._client.run(self._apply(release, traffic, marker, expect))

    async def aapply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        """`apply`, asynchronously."""
        return await self._client.arun(self._apply(release, traffic, marker, expect))

    def undo(self, release: Release) -> str:
        """The line to type to give all traffic back to stable. It closes the marker too: a driver
        that still runs goes back.
        """
        weights = [
            (version.backend, MILLION if track is Track.STABLE else 0)
            for track in Track
            if (version := track.version(release)) is not None
        ]
        written = "&".join(
            f"{quote(f'{self.prefix}.{name}')}={value}" for name, value in (*weights, (_CLOSED, 1))
        )
        return f"curl -fsS -X POST '{self.admin.origin}/runtime_modify?{written}'"

    def _read(self, release: Release) -> Flow[Served]:
        routes = yield from self._routes()
        runtime = yield _RUNTIME
        return _Split.of(self.prefix, routes, runtime.json()).served(release)

    def _apply(
        self, release: Release, traffic: Traffic, marker: Marker, expect: str | None
    ) -> Flow[Served]:
        _refuse_what_it_cannot(release, traffic)
        routes = yield from self._routes()
        runtime = yield _RUNTIME
        before = _Split.of(self.prefix, routes, runtime.json())
        refuse_if_moved(self.prefix, before.marker, marker, version=before.version, expect=expect)
        wanted = before.weights_for(release, traffic)
        left = (
            (_GENERATION, marker.generation),
            (_SERIAL, marker.serial),
            (_CLOSED, int(marker.closed)),
        )
        params = tuple((f"{self.prefix}.{name}", str(value)) for name, value in (*wanted, *left))
        answer = yield Request("POST", "/runtime_modify", params=params, write=True, accept=(503,))
        runtime = yield _RUNTIME
        after = _Split.of(self.prefix, routes, runtime.json())
        if after.marker != marker:
            if answer.status == 503:
                raise RouterError(
                    f"Envoy refused: {answer.text.strip()}; end layered_runtime.layers with "
                    "an admin_layer",
                    failure=Failure.PERMANENT,
                )
            raise ConflictError(
                f"{self.prefix}: written, but {after.marker} stands there now: somebody "
                "else wrote beside us; read again"
            )
        overridden = [
            name
            for name, weight in wanted
            if any(dict(split)[name] != weight for split in after.splits)
        ]
        if overridden:
            where = ", ".join(f"{self.prefix}.{name}" for name in overridden)
            raise RouterError(
                f"written, but without effect on {where}: a later layer of the runtime "
                "overrides it",
                failure=Failure.PERMANENT,
            )
        return after.served(release)

    def _routes(self) -> Flow[tuple[_Weights, ...]]:
        """The weights that the routes themselves give, once for each split that differs."""
        found: list[_Weights] = []
        for request in _ROUTES:
            answer = yield request
            for split in _splits(answer.json(), self.prefix):
                if split not in found:
                    found.append(split)
        if not found:
            raise RouterError(
                f"no route of this Envoy has runtime_key_prefix: {self.prefix}; give the "
                "prefix that it has",
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
                (at(each, "name", str), at({"weight": 0, **at(each, "", dict)}, "weight", int))
                for each in at(split, "clusters", list)
            )
        for inner in value.values():
            yield from _splits(inner, prefix)
    elif isinstance(value, list):
        for inner in value:
            yield from _splits(inner, prefix)


@attrs.frozen(kw_only=True)
class _Split:
    """What stands in one Envoy: the weights that rule in each route with the prefix, and the
    marker.
    """

    prefix: str
    splits: tuple[_Weights, ...]
    marker: Marker | None

    @classmethod
    def of(cls, prefix: str, routes: tuple[_Weights, ...], runtime: Any) -> _Split:
        """Put the runtime over the routes, as Envoy does: where a key is missing or not a number,
        the route's own weight rules (and not that of a lower layer).
        """
        entries = at(runtime, "entries", dict)

        def value(name: str) -> int | None:
            entry = entries.get(f"{prefix}.{name}")
            return None if entry is None else _number(at(entry, "final_value", str))

        splits = tuple(
            tuple(
                (name, weight if (ruling := value(name)) is None else ruling)
                for name, weight in route
            )
            for route in routes
        )
        return cls(prefix=prefix, splits=splits, marker=_marker(prefix, entries))

    @property
    def version(self) -> str:
        """A word for exactly this content. Envoy has none; so a change that was put back is not
        seen.
        """
        return hashlib.sha256(repr((self.splits, self.marker)).encode()).hexdigest()[:16]

    def served(self, release: Release) -> Served:
        """The same as shares of a release; of several routes the one that gives the candidate
        most.
        """
        found = [self._shares(split, release) for split in self.splits]
        traffic, elsewhere = max(
            found, key=lambda each: (each[0].candidate.ppm, each[0].baseline.ppm, each[1].ppm)
        )
        return Served(
            traffic=traffic,
            version=self.version,
            marker=self.marker,
            elsewhere=elsewhere,
            settled=all(one == other for one, other in pairwise(found)),
        )

    def weights_for(self, release: Release, traffic: Traffic) -> _Weights:
        """A weight for every cluster that stands in a route with the prefix."""
        shares = {backend: traffic.share(track).ppm for track, backend in self._backends(release)}
        names = dict.fromkeys(name for split in self.splits for name, _ in split)
        return tuple((name, shares.get(name, 0)) for name in names)

    def _shares(self, split: _Weights, release: Release) -> tuple[Traffic, Percent]:
        weights = dict(split)
        ppm = (
            dict.fromkeys(weights, 0)
            if sum(weights.values()) > _LARGEST_TOTAL
            else normalised(weights)
        )
        of = {track: ppm.get(backend, 0) for track, backend in self._backends(release)}
        traffic = Traffic(
            candidate=Percent(of[Track.CANDIDATE]), baseline=Percent(of.get(Track.BASELINE, 0))
        )
        return traffic, Percent(MILLION - sum(of.values()))

    def _backends(self, release: Release) -> list[tuple[Track, str]]:
        backends = [
            (track, version.backend)
            for track in Track
            if (version := track.version(release)) is not None
        ]
        for split in self.splits:
            there = [name for name, _ in split]
            missing = [
                f"{track.label(release)} is cluster {name!r}"
                for track, name in backends
                if name not in there
            ]
            if missing:
                raise RouterError(
                    f"{', '.join(missing)}, but the split {self.prefix} has only "
                    f"{', '.join(there)}; "
                    "add it to the route's weighted_clusters with weight 0, or name the "
                    "right backend=",
                    failure=Failure.PERMANENT,
                )
        return backends


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
        name: at(entries[key], "final_value", str)
        for name in (_GENERATION, _SERIAL, _CLOSED)
        if (key := f"{prefix}.{name}") in entries
    }
    if not found:
        return None
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
    return Marker(generation=generation, serial=serial, closed=bool(closed))


def _refuse_what_it_cannot(release: Release, traffic: Traffic) -> None:
    if traffic.matches or traffic.mirror.ppm:
        why = (
            "header routes and mirrors stand in Envoy's route itself; its admin interface "
            "changes weights only"
        )
        raise RouterError(why, failure=Failure.PERMANENT)
    refuse_homeless(release, traffic)
