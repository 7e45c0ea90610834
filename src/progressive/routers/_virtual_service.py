"""A VirtualService as a value: which of its http routes a release has, what they say, and the change that makes them say something else.

Pure: objects of the API go in, `Served` and merge patches come out. Facts of the format are those of Istio's reference, "Virtual Service".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Final

import attrs

from .._http import Malformed, at
from ..errors import Failure, RouterError, StrategyError
from ..release import Release, Version
from ..traffic import Marker, Match, Served, Track, Traffic
from ..units import MILLION, Percent
from ._rules import normalised

__all__ = ["ANNOTATION", "Naming", "VirtualService"]

ANNOTATION: Final = "progressive-delivery/marker"
"""Where the markers stand: JSON, one entry for each service, because services may share a VirtualService."""

COOKIE: Final = r"(.*;\s*)?{}={}(\s*;.*)?"
"""A regular expression for the whole Cookie header (RFC 6265, 4.2.1). Istio's header matches have no other way to ask for a cookie."""

_COOKIE_BACK: Final = re.compile(re.escape(COOKIE).replace(r"\{\}=\{\}", r"((?:[^=\\]|\\.)+)=((?:[^\\]|\\.)*)"))

_HEADER: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,126}[a-z0-9])?")

EDITED: Final = Match(name="edited-by-hand", value="?")
"""What stands for a condition in a route of ours that we have not written. Whatever it is, it leads to the candidate."""

Destination = tuple[str, str | None]
"""A fully qualified host, and a subset of it if the versions are subsets."""

Json = dict[str, Any]


def _permanent(why: str) -> RouterError:
    return RouterError(why, failure=Failure.PERMANENT)


@attrs.frozen(kw_only=True)
class Naming:
    """How the versions of a release are called in a VirtualService."""

    release: Release
    host: str | None
    namespace: str
    domain: str

    @property
    def versions(self) -> dict[Track, Version]:
        return {track: version for track in Track if (version := track.version(self.release)) is not None}

    @property
    def prefix(self) -> str:
        """What the names of our own routes begin with."""
        return f"progressive-{self.release.service}-"

    def key(self, version: Version) -> Destination:
        """What a destination of this version is recognised by."""
        if self.host is None:
            return self._qualified(version.backend), None
        return self._qualified(self.host), version.backend

    def key_of(self, destination: Json) -> Destination:
        """What a destination of the object is recognised by."""
        subset = destination.get("subset")
        return self._qualified(at(destination, "host", str)), subset if self.host is not None else None

    def made(self, version: Version, *, like: Json) -> Json:
        """A new destination for a version, with the port of another one of the same route."""
        made: Json = {"host": version.backend} if self.host is None else {"host": self.host, "subset": version.backend}
        return {**made, "port": like["port"]} if "port" in like else made

    def jq(self, version: Version) -> str:
        """A condition of jq that finds the destinations of a version."""
        host, subset = self.key(version)
        hosts = " or ".join(f'.destination.host == "{name}"' for name in dict.fromkeys((host.partition(".")[0], host)))
        return f"({hosts})" if subset is None else f'({hosts}) and .destination.subset == "{subset}"'

    def _qualified(self, host: str) -> str:
        """Istio completes names without a dot only, with the namespace of the VirtualService."""
        return host if "." in host or host == "*" else f"{host}.{self.namespace}.svc.{self.domain}"


@attrs.frozen(kw_only=True)
class VirtualService:
    """One VirtualService as a release sees it. ``managed`` are the places of its http routes among ``http``; ours are left out."""

    manifest: Mapping[str, Any]
    naming: Naming
    http: tuple[Json, ...]
    managed: tuple[int, ...]
    where: str

    @classmethod
    def of(cls, manifest: Mapping[str, Any], naming: Naming, *, routes: tuple[str, ...] | None, where: str) -> VirtualService:
        """Find the routes to manage. `RouterError` names what is there instead."""
        spec = manifest.get("spec")
        http = tuple(at(each, "", dict) for each in at(spec if isinstance(spec, dict) else {}, "http", list)) if _has_http(spec) else ()
        keys = {naming.key(version) for version in naming.versions.values()}

        def leads_here(route: Json) -> bool:
            return any(naming.key_of(at(each, "destination", dict)) in keys for each in route.get("route") or ())

        theirs = [i for i, route in enumerate(http) if not str(route.get("name", "")).startswith(naming.prefix)]
        if routes is None:
            managed = [i for i in theirs if leads_here(http[i])]
        else:
            there = [str(http[i].get("name")) for i in theirs if http[i].get("name")]
            missing = [name for name in routes if name not in there]
            if missing:
                raise _permanent(f"{where} has no http route named {', '.join(missing)}; it has {', '.join(there) or 'none with a name'}")
            managed = [i for i in theirs if http[i].get("name") in routes]
        lost = [i for i in managed if not leads_here(http[i])]
        if lost or not managed:
            raise _permanent(_leads_elsewhere(where, naming, http, lost))
        return cls(manifest=manifest, naming=naming, http=http, managed=tuple(managed), where=where)

    # ------------------------------------------------------------------------------------------------------------ what it says

    @property
    def version(self) -> str:
        """Rises with every change of the spec, also one that is put back; not with a change of status or labels."""
        uid = at(self.manifest, "metadata.uid", str).partition("-")[0]  # another one if the object was made anew
        return f"{uid}/{at(self.manifest, 'metadata.generation', int)}"

    @property
    def stored_version(self) -> str:
        """What the API server compares."""
        return at(self.manifest, "metadata.resourceVersion", str)

    @property
    def marker(self) -> Marker | None:
        """The marker of this service."""
        found = self._markers.get(self.naming.release.service)
        if not isinstance(found, dict):
            return None
        try:
            return Marker(
                generation=found.get("generation", 0), serial=found.get("serial", 0), closed=bool(found.get("closed", False))
            )
        except StrategyError as error:
            raise _permanent(f"{self.where}: the annotation {ANNOTATION} was edited: {error}; remove it or put it right") from None

    def served(self) -> Served:
        """What it asks Istio for; of several routes the most that the candidate gets."""
        shares = [self._shares(self.http[i]) for i in self.managed]
        matches = [self._matches(i) for i in self.managed]
        mirrors = [self._mirrored(self.http[i]) for i in self.managed]
        most = max(shares, key=lambda each: (each[0][Track.CANDIDATE], each[0][Track.BASELINE], each[1]))
        traffic = Traffic(
            candidate=Percent(most[0][Track.CANDIDATE]),
            baseline=Percent(most[0][Track.BASELINE]),
            matches=tuple(dict.fromkeys(match for found in matches for match in found)),
            mirror=Percent(max(mirrors)),
        )
        agree = all(one == other for said in (shares, matches, mirrors) for one, other in pairwise(said))
        return Served(
            traffic=traffic, version=self.version, marker=self.marker, elsewhere=Percent(most[1]), settled=agree and not self._strays
        )

    def _shares(self, route: Json) -> tuple[dict[Track, int], int]:
        """The parts per million of each track, and of everything else."""
        weights = _weights(route, self.naming)
        ppm = normalised(weights)
        found = {track: ppm.get(self.naming.key(version), 0) for track, version in self.naming.versions.items()}
        return {track: found.get(track, 0) for track in Track}, MILLION - sum(found.values())

    def _matches(self, i: int) -> tuple[Match, ...]:
        """What our own route before the managed one asks for."""
        name = self._own_name(i)
        own = next((route for route in self.http if route.get("name") == name), None)
        if own is None:
            return ()
        bare: list[Json] = [{}]
        theirs = [condition.get("headers", {}) for condition in self.http[i].get("match") or bare]
        found: dict[Match, None] = {}
        for condition in own.get("match") or bare:
            headers: Json = condition.get("headers", {})
            added = [(name, headers[name]) for name in headers if not any(their.get(name) == headers[name] for their in theirs)]
            found.update(dict.fromkeys([_match_of(*each) for each in added] or [EDITED]))
        return tuple(found)

    @property
    def _strays(self) -> bool:
        """Is one of our own routes not what we made it: edited, or before no managed route?"""
        own = [route for route in self.http if str(route.get("name", "")).startswith(self.naming.prefix)]
        made = [self._own_route(i, matches) for i in self.managed if (matches := self._matches(i))]
        return own != made

    def _mirrored(self, route: Json) -> int:
        """The parts per million of this route that are mirrored to the candidate."""
        candidate = self.naming.key(self.naming.release.candidate)
        found = 0
        mirror = route.get("mirror")
        if isinstance(mirror, dict) and self.naming.key_of(mirror) == candidate:
            found += _percentage(route.get("mirrorPercentage"))
        for each in route.get("mirrors") or ():
            if self.naming.key_of(at(each, "destination", dict)) == candidate:
                found += _percentage(each.get("percentage"))
        return min(found, MILLION)

    # --------------------------------------------------------------------------------------------------------- what changes it

    def changes(self, traffic: Traffic, marker: Marker, *, total: int) -> Json:
        """The merge patch that makes it say ``traffic`` and carry ``marker``."""
        added = self._added(traffic)
        entry = {"generation": marker.generation, "serial": marker.serial, "closed": marker.closed}
        if added:
            entry["added"] = added  # type: ignore[assignment]
        markers = {**self._markers, self.naming.release.service: entry}
        changes: Json = {"metadata": {"annotations": {ANNOTATION: json.dumps(markers, separators=(",", ":"), sort_keys=True)}}}
        http = self._routes_with(traffic, total)
        if http != list(self.http):
            changes["spec"] = {"http": http}
        return changes

    def with_traffic(self, traffic: Traffic, *, total: int) -> Json:
        """The whole manifest with ``traffic`` in it."""
        return {**self.manifest, "spec": {**self.manifest["spec"], "http": self._routes_with(traffic, total)}}

    def _routes_with(self, traffic: Traffic, total: int) -> list[Json]:
        made: list[Json] = []
        for i, route in enumerate(self.http):
            if str(route.get("name", "")).startswith(self.naming.prefix):
                continue
            if i not in self.managed:
                made.append(route)
                continue
            if traffic.matches:
                made.append(self._own_route(i, traffic.matches))
            made.append(self._weighted(i, self._mirroring(route, traffic.mirror), traffic, total))
        return made

    def _weighted(self, i: int, route: Json, traffic: Traffic, total: int) -> Json:
        """A route with these weights; one whose weights mean them already stays as it is written."""
        if self._shares(route) == ({track: traffic.share(track).ppm for track in Track}, 0):
            return route
        wanted = {self.naming.key(version): _weight(traffic.share(track), total) for track, version in self.naming.versions.items()}
        made: list[Json] = []
        before = at(route, "route", list)
        for each in before:
            key = self.naming.key_of(at(each, "destination", dict))
            weight = wanted.pop(key, 0)
            if weight or not self._is_ours(i, key):
                made.append({**each, "weight": weight})
        made.extend(
            {"destination": self.naming.made(version, like=before[0]["destination"]), "weight": weight}
            for version in self.naming.versions.values()
            if (weight := wanted.get(self.naming.key(version), 0))
        )
        return {**route, "route": made}

    def _mirroring(self, route: Json, share: Percent) -> Json:
        candidate = self.naming.key(self.naming.release.candidate)
        mirror = route.get("mirror")
        ours = isinstance(mirror, dict) and self.naming.key_of(mirror) == candidate
        if not share.ppm:
            return {name: value for name, value in route.items() if name not in ("mirror", "mirrorPercentage")} if ours else route
        if (mirror is not None and not ours) or route.get("mirrors"):
            raise _permanent(f"{self.where}: a route has a mirror of its own; take it out before a plan that mirrors")
        destination = self.naming.made(self.naming.release.candidate, like=at(route, "route.0.destination", dict))
        return {**route, "mirror": destination, "mirrorPercentage": {"value": share.ppm / 10_000}}

    def _own_name(self, i: int) -> str:
        return f"{self.naming.prefix}{self.managed.index(i)}"

    def _own_route(self, i: int, matches: tuple[Match, ...]) -> Json:
        """A copy of a managed route, for the requests that match and for the candidate alone; it belongs before the managed one."""
        route = self.http[i]
        conditions: list[Json] = []
        theirs: list[Json] = route.get("match") or [{}]
        for match in matches:
            header, wanted = _condition(match)
            for condition in theirs:
                headers = condition.get("headers", {})
                if header in headers:
                    raise _permanent(f"{self.where}: a route matches the header {header!r} itself; choose another header for the candidate")
                conditions.append({**condition, "headers": {**headers, header: wanted}})
        destination = self.naming.made(self.naming.release.candidate, like=at(route, "route.0.destination", dict))
        dropped = ("mirror", "mirrorPercentage", "mirrors")
        rest = {name: value for name, value in route.items() if name not in dropped}
        return {**rest, "name": self._own_name(i), "match": conditions, "route": [{"destination": destination}]}

    # -------------------------------------------------------------------------------------------------------------- the marker

    @property
    def _markers(self) -> Json:
        metadata = self.manifest.get("metadata")
        annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
        text = annotations.get(ANNOTATION) if isinstance(annotations, dict) else None
        if text is None:
            return {}
        try:
            return at(json.loads(text), "", dict)
        except (ValueError, RecursionError):
            raise _permanent(f"{self.where}: the annotation {ANNOTATION} is not what this library writes; remove it") from None

    @property
    def _added_before(self) -> tuple[str, ...]:
        found = self._markers.get(self.naming.release.service)
        return tuple(found.get("added", ())) if isinstance(found, dict) else ()

    def _added(self, traffic: Traffic) -> list[str]:
        """The destinations that are ours, to be taken out when they get nothing: not there before, or ours already."""
        return [
            self._entry(i, version)
            for i in self.managed
            for track, version in self.naming.versions.items()
            if traffic.share(track).ppm
            and (self.naming.key(version) not in _weights(self.http[i], self.naming) or self._entry(i, version) in self._added_before)
        ]

    def _is_ours(self, i: int, key: Destination) -> bool:
        """Did we put this destination into this route?"""
        ours = [version for version in self.naming.versions.values() if self._entry(i, version) in self._added_before]
        return key in map(self.naming.key, ours)

    def _entry(self, i: int, version: Version) -> str:
        return f"{self.http[i].get('name') or f'#{i}'} {version.backend}"


def _has_http(spec: object) -> bool:
    return isinstance(spec, dict) and isinstance(spec.get("http"), list)


def _weights(route: Json, naming: Naming) -> dict[Destination, int]:
    """The weight of every destination of a route. A single one gets everything, whatever its weight says."""
    found: dict[Destination, int] = {}
    destinations = at(route, "route", list)
    for each in destinations:
        weight = 1 if len(destinations) == 1 else at({"weight": 0, **at(each, "", dict)}, "weight", int)
        if weight < 0:
            raise Malformed(f"a weight of {weight}")
        key = naming.key_of(at(each, "destination", dict))
        found[key] = found.get(key, 0) + weight
    return found


def _weight(share: Percent, total: int) -> int:
    whole, rest = divmod(share.ppm * total, MILLION)
    if rest:
        raise _permanent(f"{share} is not a whole number of {total} parts; use Istio(total=...) with more of them")
    return whole


def _percentage(value: object) -> int:
    """``{"value": 12.5}`` in parts per million; without one it is everything."""
    percentage = value.get("value", 0.0) if isinstance(value, dict) else 100.0
    return round(float(percentage) * 10_000)


def _condition(match: Match) -> tuple[str, Json]:
    if match.source == "header":
        return match.name, {"exact": match.value}
    return "cookie", {"regex": COOKIE.format(re.escape(match.name), re.escape(match.value))}


def _match_of(header: str, wanted: Any) -> Match:
    """The match that a condition on a header was made from."""
    match wanted:
        case {"regex": str(regex)} if header == "cookie" and (found := _COOKIE_BACK.fullmatch(regex)):
            name, value = (re.sub(r"\\(.)", r"\1", part) for part in found.groups())
            return Match(name=name, value=value, source="cookie")
        case {"exact": str(value)} if _HEADER.fullmatch(header):
            return Match(name=header, value=value)
        case _:
            return EDITED


def _leads_elsewhere(where: str, naming: Naming, http: tuple[Json, ...], lost: list[int]) -> str:
    looked = [http[i] for i in lost] or http
    there = list(dict.fromkeys(_shown(each) for route in looked for each in _destinations(route)))
    wanted = [f"{track.label(naming.release)} is {_called(naming, version)}" for track, version in naming.versions.items()]
    which = f"the http route {looked[0].get('name')!r}" if lost else "no http route"
    return (
        f"{where}: {which} {'leads to none of' if lost else 'leads to any of'} the versions of {naming.release.service} "
        f"({', '.join(wanted)}); there is {', '.join(there) or 'no destination'}; name the right host= or backend="
    )


def _destinations(route: Json) -> Iterator[Json]:
    for each in route.get("route") or ():
        yield at(each, "destination", dict)


def _shown(destination: Json) -> str:
    subset = destination.get("subset")
    return f"host {destination.get('host')}{f' subset {subset}' if subset else ''}"


def _called(naming: Naming, version: Version) -> str:
    host, subset = naming.key(version)
    return f"host {host}{f' subset {subset}' if subset else ''}"
