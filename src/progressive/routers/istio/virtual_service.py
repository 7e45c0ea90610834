"""A VirtualService as a value: which of its http routes a release has, what they say, and the
change that makes them say something else.

Pure: objects of the API go in, `Served` and merge patches come out. Facts of the format are those
of Istio's reference, "Virtual Service".
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext, suppress

import attrs

from progressive.adapters import parts
from progressive.adapters.http import get_path
from progressive.adapters.kubernetes import Markers
from progressive.errors import Failure, RouterError
from progressive.model.release import Version
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import Match, Traffic
from progressive.model.units import Percent

from .destinations import (
    Destination,
    Json,
    Naming,
    below_zero,
    weight_of,
    weights_of,
)
from .finding import called, find, keys_of
from .matches import EDITED, condition_for, excludes, match_of
from .mirrors import MIRRORS, mirrored, without_mirrors
from .splits import in_proportion, nearest, proportions

__all__ = ["VirtualService"]


def _permanent(why: str) -> RouterError:
    return RouterError(why, failure=Failure.PERMANENT)


@attrs.frozen(kw_only=True)
class VirtualService:
    """One VirtualService as a release sees it, whatever became of it.

    ``managed`` are the places of its http routes among ``http``; ours are left out. ``apart`` are
    those of them that are somebody's header routes to the candidate, and ``mirroring`` those of
    other routes that have a mirror to the candidate. ``problem``: why preflight and a raise can't
    build on this object; empty if they can. ``whole``: False if a route that should be there is
    not, or leads to neither version.
    """

    manifest: Mapping[str, object]
    naming: Naming
    http: tuple[Json, ...]
    managed: tuple[int, ...]
    apart: tuple[int, ...]
    mirroring: tuple[int, ...]
    problem: str
    whole: bool
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
        """Find the routes to manage. What is not there as it should be is a `problem`."""
        found = find(manifest, naming, routes=routes, where=where)
        return cls(
            manifest=manifest,
            naming=naming,
            http=found.http,
            managed=found.managed,
            apart=found.apart,
            mirroring=found.mirroring,
            problem=found.problem,
            whole=found.whole,
            where=where,
        )

    def refuse_problem(self) -> None:
        """Raise `RouterError`, PERMANENT, for what preflight and a raise can't build on."""
        if self.problem:
            raise _permanent(self.problem)

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
        """What it asks Istio for; of several routes the most that the candidate gets.

        A route of ours that stands before none that is managed, and a mirror to the candidate in
        any other route, count as parts of their own.
        """
        settled = not (
            self._strays or self.apart or any(below_zero(self.http[i]) for i in self.managed)
        )
        return parts.served(
            self._parts,
            version=self.version,
            marker=self.marker,
            converged=settled,
            whole=self.whole,
        )

    @property
    def traffic(self) -> Traffic:
        """What it asks Istio for, of a manifest that no API server has stored yet too."""
        return parts.served(self._parts).traffic

    @property
    def _parts(self) -> list[parts.Part]:
        found = [self._part(i) for i in self.managed if i not in self.apart]
        candidate = self.naming.key(self.naming.release.candidate)
        if matches := self._left_alone:
            found.append(parts.Part(Traffic(matches=matches)))
        found += [
            parts.Part(Traffic(mirror=Percent(share)))
            for i in self.mirroring
            if (share := mirrored(self.http[i], self.naming, candidate))
        ]
        return found

    def _part(self, i: int) -> parts.Part:
        """What one managed route serves, together with our own one before it."""
        shares = self._shares(self.http[i])
        return attrs.evolve(
            shares,
            traffic=attrs.evolve(
                shares.traffic,
                matches=self._matches(i),
                mirror=Percent(
                    mirrored(
                        self.http[i],
                        self.naming,
                        self.naming.key(self.naming.release.candidate),
                    )
                ),
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

    @property
    def _left_alone(self) -> tuple[Match, ...]:
        """What our own routes ask for that stand before no managed one, and lead to the candidate
        still.
        """
        kept = {self._own_name(i) for i in self.managed}
        candidate = self.naming.key(self.naming.release.candidate)
        found: dict[Match, None] = {}
        for route in filter(self._is_own, self.http):
            if route["name"] in kept or candidate not in keys_of(route, self.naming):
                continue
            for condition in route.get("match") or [{}]:
                headers: Json = condition.get("headers", {})
                found.update(
                    dict.fromkeys([match_of(*each) for each in headers.items()] or [EDITED])
                )
        return tuple(found)

    # ------------------------------------------------------------------------------ what changes it

    def changes(self, traffic: Traffic, marker: Marker, *, total: int, strict: bool) -> Json:
        """The merge patch that makes it say ``traffic`` and carry ``marker``.

        ``strict``: raise for what can't be said; else leave it out, which is never more for the
        candidate.
        """
        http = self._routes_with(traffic, total, strict=strict)
        added = {"added": found} if (found := self._added(http)) else {}
        noted = {"split": divided} if (divided := self._divided(http)) else {}
        changes = self._markers.patch(self.naming.release.service, marker, **added, **noted)
        if http != list(self.http):
            changes["spec"] = {"http": http}
        return changes

    def with_traffic(self, traffic: Traffic, *, total: int, strict: bool) -> Json:
        """The whole manifest with ``traffic`` in it."""
        return {
            **self.manifest,
            "spec": {
                **get_path(self.manifest, "spec", dict),
                "http": self._routes_with(traffic, total, strict=strict),
            },
        }

    def _routes_with(self, traffic: Traffic, total: int, *, strict: bool) -> list[Json]:
        made: list[Json] = []
        candidate = self.naming.key(self.naming.release.candidate)
        for i, route in enumerate(self.http):
            if self._is_own(route):
                continue
            if i not in self.managed:
                strip = i in self.mirroring and not traffic.mirror.ppm
                made.append(without_mirrors(route, self.naming, candidate) if strip else route)
                continue
            if traffic.matches:
                with nullcontext() if strict else suppress(RouterError):
                    made.append(self._own_route(i, traffic.matches))
            mirroring = self._mirroring(i, traffic.mirror, strict=strict)
            made.append(self._weighted(i, mirroring, traffic, total, strict=strict))
        return made or self._alone()

    def _alone(self) -> list[Json]:
        """What is left of an object that has nothing but routes of ours: Istio takes none without a
        route, so they lead to stable.
        """
        stable = self.naming.release.stable or self.naming.release.candidate
        dropped = ("name", *MIRRORS)
        return [
            {
                **{name: value for name, value in route.items() if name not in dropped},
                "route": [
                    {
                        "destination": self.naming.made(
                            stable, like=get_path(route, "route.0.destination", dict)
                        )
                    }
                ],
            }
            for route in self.http
        ]

    def _weighted(self, i: int, route: Json, traffic: Traffic, total: int, *, strict: bool) -> Json:
        """A route with these weights; one whose weights mean them already stays as it is."""
        wanted_part = parts.Part(attrs.evolve(traffic, matches=(), mirror=Percent(0)))
        if self._shares(route) == wanted_part and below_zero(route) is None:
            return route
        wanted = {
            self.naming.key(version): weight_of(traffic.share(track), total)
            for track, version in self.naming.release.versions.items()
        }
        groups = self._groups(i)
        bases = {
            key: self._base(i, key) or [total, *[0] * (len(groups.get(key, [0])) - 1)]
            for key in wanted
        }
        weights = in_proportion(wanted, bases)
        if weights is None:
            if strict:
                raise _permanent(
                    f"{self.where}: {called(self.http, i)} divides a version by weights that "
                    f"can't be kept beside {traffic}; use smaller numbers for the same shares"
                )
            weights = nearest(wanted, bases)
        made: list[Json] = []
        for each in get_path(route, "route", list):
            key = self.naming.key_of(get_path(each, "destination", dict))
            weight = weights[key].pop(0) if key in weights else 0
            if wanted.get(key) or not self._is_ours(i, key):
                made.append({**each, "weight": weight})
        made.extend(
            {
                "destination": self.naming.made(version, like=self._model(i, version)),
                "weight": weights[key][0],
            }
            for version in self.naming.release.versions.values()
            if (key := self.naming.key(version)) not in groups and wanted[key]
        )
        return {**route, "route": made}

    def _groups(self, i: int) -> dict[Destination, list[Json]]:
        """The destinations of a route, each with its weight, by what they are."""
        found: dict[Destination, list[Json]] = {}
        for each in get_path(self.http[i], "route", list):
            key = self.naming.key_of(get_path(each, "destination", dict))
            found.setdefault(key, []).append(each)
        return found

    def _base(self, i: int, key: Destination) -> list[int] | None:
        """How a version is divided among its destinations in a route; None if nothing says it."""
        group = self._groups(i).get(key, [])
        if len(group) < 2:
            return [1]
        now = [max(0, each.get("weight", 0)) for each in group]
        return proportions(now, self._noted.get(self._entry(i, key)))

    def _model(self, i: int, version: Version) -> Json:
        """The destination whose port a new one of this version takes: its own, else stable's, else
        that of any version; never that of a stranger while there is one of ours.
        """
        groups = self._groups(i)
        release = self.naming.release
        own = groups.get(self.naming.key(version), ())
        if any("port" in each["destination"] for each in own):
            return next(each["destination"] for each in own if "port" in each["destination"])
        for other in (release.stable, release.candidate, release.baseline):
            key = None if other is None else self.naming.key(other)
            if key is not None and key in groups:
                shares = self._base(i, key) or [1]
                first = next(place for place, share in enumerate(shares) if share)
                model: Json = groups[key][first]["destination"]
                return model
        return get_path(self.http[i], "route.0.destination", dict)

    def _mirroring(self, i: int, share: Percent, *, strict: bool) -> Json:
        route, release = self.http[i], self.naming.release
        candidate = self.naming.key(release.candidate)
        bare = without_mirrors(route, self.naming, candidate)
        if not share.ppm:
            return bare
        mirror = route.get("mirror")
        ours = isinstance(mirror, dict) and self.naming.key_of(mirror) == candidate
        if (mirror is not None and not ours) or route.get("mirrors"):
            if strict:
                raise _permanent(
                    f"{self.where}: a route has a mirror of its own; take it out before a plan "
                    "that mirrors"
                )
            if bare.get("mirror") or bare.get("mirrors"):
                return bare
            route = bare
        destination = self.naming.made(release.candidate, like=self._model(i, release.candidate))
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
                if header in headers or excludes(condition, header, wanted):
                    raise _permanent(
                        f"{self.where}: a route matches the header {header!r} itself; choose "
                        "another header for the candidate"
                    )
                conditions.append({**condition, "headers": {**headers, header: wanted}})
        candidate = self.naming.release.candidate
        destination = self.naming.made(candidate, like=self._model(i, candidate))
        rest = {name: value for name, value in route.items() if name not in MIRRORS}
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
        after = self._after(http)
        return [
            self._entry(i, key)
            for i in self.managed
            for key in weights_of(after[i], self.naming)
            if self._entry(i, key) in self._added_before
            or key not in weights_of(self.http[i], self.naming)
        ]

    def _after(self, http: list[Json]) -> dict[int, Json]:
        """The routes in ``http`` by the places that they have here."""
        theirs = [i for i, route in enumerate(self.http) if not self._is_own(route)]
        # Where there was none but ours, those became somebody's.
        made = [route for route in http if not self._is_own(route)]
        return dict(zip(theirs, made, strict=bool(theirs)))

    @property
    def _noted(self) -> Json:
        noted = self._markers.entry(self.naming.release.service).get("split")
        return noted if isinstance(noted, dict) else {}

    def _divided(self, http: list[Json]) -> dict[str, list[int]]:
        """How versions are divided among several destinations, where ``http`` does not say it in
        the very numbers in which it is to be given back.
        """
        after = self._after(http)
        found: dict[str, list[int]] = {}
        for i in self.managed:
            for key, group in self._groups(i).items():
                base = self._base(i, key) if len(group) > 1 else None
                written = [
                    each.get("weight", 0)
                    for each in after[i]["route"]
                    if self.naming.key_of(each["destination"]) == key
                ]
                if base is not None and written != base:
                    found[self._entry(i, key)] = base
        return found

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
