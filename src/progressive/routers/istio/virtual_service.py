"""A VirtualService as a value: which of its http routes a release has, what they say, and the
change that makes them say something else.

Pure: objects of the API go in, `Served` and merge patches come out. Facts of the format are those
of Istio's reference, "Virtual Service".
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from progressive.adapters import parts
from progressive.adapters.http import Malformed, get_path
from progressive.adapters.kubernetes import Markers
from progressive.errors import Failure, RouterError
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import Match, Traffic
from progressive.model.units import MILLION, Percent

from .destinations import Destination, Json, Naming, leads_elsewhere, weight_of, weights_of
from .matches import EDITED, condition_for, match_of

__all__ = ["VirtualService"]


def _permanent(why: str) -> RouterError:
    return RouterError(why, failure=Failure.PERMANENT)


@attrs.frozen(kw_only=True)
class VirtualService:
    """One VirtualService as a release sees it. ``managed`` are the places of its http routes among
    ``http``; ours are left out.
    """

    manifest: Mapping[str, object]
    naming: Naming
    http: tuple[Json, ...]
    managed: tuple[int, ...]
    where: str

    @classmethod
    def of(
        cls,
        manifest: Mapping[str, object],
        naming: Naming,
        *,
        routes: tuple[str, ...] | None,
        where: str,
    ) -> VirtualService:
        """Find the routes to manage. `RouterError` names what is there instead."""
        spec = manifest.get("spec")
        http = (
            tuple(
                get_path(each, "", dict)
                for each in get_path(spec if isinstance(spec, dict) else {}, "http", list)
            )
            if _has_http(spec)
            else ()
        )
        keys = {naming.key(version) for version in naming.release.versions.values()}

        def leads_here(route: Json) -> bool:
            return any(
                naming.key_of(get_path(each, "destination", dict)) in keys
                for each in route.get("route") or ()
            )

        theirs = [
            i
            for i, route in enumerate(http)
            if not str(route.get("name", "")).startswith(naming.prefix)
        ]
        if routes is None:
            managed = [i for i in theirs if leads_here(http[i])]
        else:
            there = [str(http[i].get("name")) for i in theirs if http[i].get("name")]
            missing = [name for name in routes if name not in there]
            if missing:
                raise _permanent(
                    f"{where} has no http route named {', '.join(missing)}; it has "
                    f"{', '.join(there) or 'none with a name'}"
                )
            managed = [i for i in theirs if http[i].get("name") in routes]
        lost = [i for i in managed if not leads_here(http[i])]
        if lost or not managed:
            raise _permanent(leads_elsewhere(where, naming, http, lost))
        return cls(manifest=manifest, naming=naming, http=http, managed=tuple(managed), where=where)

    # --------------------------------------------------------------------------------- what it says

    @property
    def version(self) -> str:
        """Rises with every change of the spec, also one that is put back; not with a change of
        status or labels.
        """
        uid = get_path(self.manifest, "metadata.uid", str).partition("-")[
            0
        ]  # another one if the object was made anew
        return f"{uid}/{get_path(self.manifest, 'metadata.generation', int)}"

    @property
    def stored_version(self) -> str:
        """What the API server compares."""
        return get_path(self.manifest, "metadata.resourceVersion", str)

    @property
    def marker(self) -> Marker | None:
        """The marker of this service."""
        return self._markers.marker(self.naming.release.service)

    def served(self) -> Served:
        """What it asks Istio for; of several routes the most that the candidate gets."""
        found = [self._part(i) for i in self.managed]
        return parts.served(
            found, version=self.version, marker=self.marker, converged=not self._strays
        )

    def _part(self, i: int) -> parts.Part:
        """What one managed route serves, together with our own one before it."""
        shares = self._shares(self.http[i])
        return attrs.evolve(
            shares,
            traffic=attrs.evolve(
                shares.traffic,
                matches=self._matches(i),
                mirror=Percent(self._mirrored(self.http[i])),
            ),
        )

    def _shares(self, route: Json) -> parts.Part:
        """The share of each track in one route, and of everything else."""
        weights = weights_of(route, self.naming)
        by_backend = {
            version.backend: weights.pop(key)
            for version in self.naming.release.versions.values()
            if (key := self.naming.key(version)) in weights
        }
        return parts.Part.of(self.naming.release, {**by_backend, "": sum(weights.values())})

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
            added = [
                (name, headers[name])
                for name in headers
                if not any(their.get(name) == headers[name] for their in theirs)
            ]
            found.update(dict.fromkeys([match_of(*each) for each in added] or [EDITED]))
        return tuple(found)

    @property
    def _strays(self) -> bool:
        """Is one of our own routes not what we made it: edited, or before no managed route?"""
        own = [route for route in self.http if self._is_own(route)]
        try:
            return own != [
                self._own_route(i, matches) for i in self.managed if (matches := self._matches(i))
            ]
        except (
            RouterError
        ):  # the managed route was edited so that ours could not be made of it any more
            return True

    def _mirrored(self, route: Json) -> int:
        """The parts per million of this route that are mirrored to the candidate."""
        candidate = self.naming.key(self.naming.release.candidate)
        found = 0
        mirror = route.get("mirror")
        if isinstance(mirror, dict) and self.naming.key_of(mirror) == candidate:
            old = route.get(
                "mirrorPercent", route.get("mirror_percent")
            )  # deprecated, and still obeyed
            found += _percentage(
                route.get("mirrorPercentage", None if old is None else {"value": old})
            )
        for each in route.get("mirrors") or ():
            if self.naming.key_of(get_path(each, "destination", dict)) == candidate:
                found += _percentage(each.get("percentage"))
        return min(found, MILLION)

    # ------------------------------------------------------------------------------ what changes it

    def changes(self, traffic: Traffic, marker: Marker, *, total: int) -> Json:
        """The merge patch that makes it say ``traffic`` and carry ``marker``."""
        http = self._routes_with(traffic, total)
        added = {"added": found} if (found := self._added(http)) else {}
        changes = self._markers.patch(self.naming.release.service, marker, **added)
        if http != list(self.http):
            changes["spec"] = {"http": http}
        return changes

    def with_traffic(self, traffic: Traffic, *, total: int) -> Json:
        """The whole manifest with ``traffic`` in it."""
        return {
            **self.manifest,
            "spec": {
                **get_path(self.manifest, "spec", dict),
                "http": self._routes_with(traffic, total),
            },
        }

    def _routes_with(self, traffic: Traffic, total: int) -> list[Json]:
        made: list[Json] = []
        for i, route in enumerate(self.http):
            if self._is_own(route):
                continue
            if i not in self.managed:
                made.append(route)
                continue
            if traffic.matches:
                made.append(self._own_route(i, traffic.matches))
            made.append(self._weighted(i, self._mirroring(route, traffic.mirror), traffic, total))
        return made

    def _weighted(self, i: int, route: Json, traffic: Traffic, total: int) -> Json:
        """A route with these weights; one whose weights mean them already stays as it is."""
        if self._shares(route) == parts.Part(attrs.evolve(traffic, matches=(), mirror=Percent(0))):
            return route
        wanted = {
            self.naming.key(version): weight_of(traffic.share(track), total)
            for track, version in self.naming.release.versions.items()
        }
        made: list[Json] = []
        before = get_path(route, "route", list)
        for each in before:
            key = self.naming.key_of(get_path(each, "destination", dict))
            weight = wanted.pop(key, 0)
            if weight or not self._is_ours(i, key):
                made.append({**each, "weight": weight})
        made.extend(
            {
                "destination": self.naming.made(version, like=before[0]["destination"]),
                "weight": weight,
            }
            for version in self.naming.release.versions.values()
            if (weight := wanted.get(self.naming.key(version), 0))
        )
        return {**route, "route": made}

    def _mirroring(self, route: Json, share: Percent) -> Json:
        candidate = self.naming.key(self.naming.release.candidate)
        mirror = route.get("mirror")
        ours = isinstance(mirror, dict) and self.naming.key_of(mirror) == candidate
        if not share.ppm:
            return (
                {
                    name: value
                    for name, value in route.items()
                    if name not in ("mirror", "mirrorPercentage")
                }
                if ours
                else route
            )
        if (mirror is not None and not ours) or route.get("mirrors"):
            raise _permanent(
                f"{self.where}: a route has a mirror of its own; take it out before a plan that "
                "mirrors"
            )
        destination = self.naming.made(
            self.naming.release.candidate, like=get_path(route, "route.0.destination", dict)
        )
        return {**route, "mirror": destination, "mirrorPercentage": {"value": share.ppm / 10_000}}

    def _own_name(self, i: int) -> str:
        return f"{self.naming.prefix}{self.managed.index(i)}"

    def _own_route(self, i: int, matches: tuple[Match, ...]) -> Json:
        """A copy of a managed route, for the requests that match and for the candidate alone; it
        belongs before the managed one.
        """
        route = self.http[i]
        conditions: list[Json] = []
        theirs: list[Json] = route.get("match") or [{}]
        for match in matches:
            header, wanted = condition_for(match)
            for condition in theirs:
                headers = condition.get("headers", {})
                if header in headers:
                    raise _permanent(
                        f"{self.where}: a route matches the header {header!r} itself; choose "
                        "another header for the candidate"
                    )
                conditions.append({**condition, "headers": {**headers, header: wanted}})
        destination = self.naming.made(
            self.naming.release.candidate, like=get_path(route, "route.0.destination", dict)
        )
        dropped = ("mirror", "mirrorPercentage", "mirrors")
        rest = {name: value for name, value in route.items() if name not in dropped}
        return {
            **rest,
            "name": self._own_name(i),
            "match": conditions,
            "route": [{"destination": destination}],
        }

    # ----------------------------------------------------------------------------------- the marker

    @property
    def _markers(self) -> Markers:
        return Markers.of(self.manifest, where=self.where)

    @property
    def _added_before(self) -> tuple[str, ...]:
        added = self._markers.entry(self.naming.release.service).get("added")
        return tuple(added) if isinstance(added, list) else ()

    def _added(self, http: list[Json]) -> list[str]:
        """The destinations in ``http`` that are ours: not there before, or ours already. They are
        taken out once they get nothing.
        """
        theirs = [i for i, route in enumerate(self.http) if not self._is_own(route)]
        after = dict(zip(theirs, (route for route in http if not self._is_own(route)), strict=True))
        return [
            self._entry(i, key)
            for i in self.managed
            for key in weights_of(after[i], self.naming)
            if self._entry(i, key) in self._added_before
            or key not in weights_of(self.http[i], self.naming)
        ]

    def _is_ours(self, i: int, key: Destination) -> bool:
        """Did we put this destination into this route, for this release or an earlier one?

        Stable's counts as theirs: until the next release it is what a way back leads to.
        """
        stable = self.naming.release.stable
        return self._entry(i, key) in self._added_before and (
            stable is None or key != self.naming.key(stable)
        )

    def _entry(self, i: int, key: Destination) -> str:
        """How a destination of a route is noted: by the route's name, or by its place among the
        managed ones.
        """
        name, names = self.http[i].get("name"), [route.get("name") for route in self.http]
        return (
            f"{name if name and names.count(name) == 1 else f'#{self.managed.index(i)}'} "
            f"{key[1] or key[0]}"
        )

    def _is_own(self, route: Json) -> bool:
        """Is it a header route that we made?"""
        return str(route.get("name", "")).startswith(self.naming.prefix)


def _has_http(spec: object) -> bool:
    return isinstance(spec, dict) and isinstance(spec.get("http"), list)


def _percentage(value: object) -> int:
    """``{"value": 12.5}`` in parts per million; without one it is everything."""
    percentage = (value.get("value") or 0.0) if isinstance(value, dict) else 100.0
    if isinstance(percentage, bool) or not isinstance(percentage, int | float):
        raise Malformed("a percentage is no number")
    return round(percentage * 10_000)
