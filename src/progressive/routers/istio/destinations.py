"""The destinations of an Istio http route: which version each one is, and how much it gets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

import attrs

from progressive.adapters.http import get_path
from progressive.errors import Failure, RouterError
from progressive.model.release import Release, Version
from progressive.model.units import MILLION, Percent

__all__ = [
    "Destination",
    "Json",
    "Naming",
    "below_zero",
    "leads_elsewhere",
    "weight_of",
    "weights_of",
]

Json: TypeAlias = dict[str, Any]

Destination: TypeAlias = tuple[str, str | None]
"""A fully qualified host, and a subset of it if the versions are subsets."""


@attrs.frozen(kw_only=True)
class Naming:
    """How the versions of a release are called in a VirtualService."""

    release: Release
    host: str | None
    namespace: str
    domain: str

    @property
    def prefix(self) -> str:
        """What the names of our own routes begin with; no service's name has a # in it, so none is
        the beginning of another.
        """
        return f"progressive-{self.release.service}#"

    @staticmethod
    def is_ours(route: Json) -> bool:
        """Is it a header route of a rollout, of whatever service?"""
        return re.fullmatch(r"progressive-.+#[0-9]+", str(route.get("name", ""))) is not None

    def key(self, version: Version) -> Destination:
        """What a destination of this version is recognised by."""
        return self.key_of_backend(version.backend)

    def label(self, version: Version) -> str:
        """What a version's destinations are noted by in the annotation."""
        host, subset = self.key(version)
        return subset or host

    def key_of_backend(self, backend: str) -> Destination:
        """What a destination of a backend is recognised by."""
        return (
            (self._qualified(backend), None)
            if self.host is None
            else (self._qualified(self.host), backend)
        )

    def key_of(self, destination: Json) -> Destination:
        """What a destination of the object is recognised by."""
        subset = destination.get("subset")
        return self._qualified(
            get_path(destination, "host", str)
        ), subset if self.host is not None else None

    def made(self, version: Version, *, like: Json) -> Json:
        """A new destination for a version, with the port of ``like``."""
        made: Json = (
            {"host": version.backend}
            if self.host is None
            else {"host": self.host, "subset": version.backend}
        )
        return {**made, "port": like["port"]} if "port" in like else made

    def jq(self, at: str, version: Version) -> str:
        """A condition of jq: true where the destination ``at`` this place is the version's."""
        host, subset = self.key(version)
        hosts = " or ".join(
            f'{at}.host == "{name}"' for name in dict.fromkeys((host.partition(".")[0], host))
        )
        return f"({hosts})" if subset is None else f'({hosts}) and {at}.subset == "{subset}"'

    def _qualified(self, host: str) -> str:
        """Istio completes names without a dot only, with the namespace of the VirtualService."""
        return host if "." in host or host == "*" else f"{host}.{self.namespace}.svc.{self.domain}"


def weights_of(route: Json, naming: Naming) -> dict[Destination, int]:
    """The weight of every destination of a route. A single one gets everything, whatever its weight
    says.
    """
    found: dict[Destination, int] = {}
    destinations = get_path(route, "route", list)
    for each in destinations:
        weight = (
            1
            if len(destinations) == 1
            else get_path({"weight": 0, **get_path(each, "", dict)}, "weight", int)
        )
        key = naming.key_of(get_path(each, "destination", dict))
        found[key] = found.get(key, 0) + max(weight, 0)
    return found


def below_zero(route: Json) -> int | None:
    """A weight below 0, if there is one: the API stores it, and Istio serves what stood there
    before.
    """
    weights = (each.get("weight") for each in route.get("route") or ())
    return next((each for each in weights if isinstance(each, int) and each < 0), None)


def weight_of(share: Percent, total: int) -> int:
    whole, rest = divmod(share.ppm * total, MILLION)
    if rest:
        why = (
            f"{share} is not a whole number of {total} parts; use Istio(total=...) with more of "
            "them"
        )
        raise RouterError(why, failure=Failure.PERMANENT)
    return whole


def leads_elsewhere(where: str, naming: Naming, http: tuple[Json, ...], lost: list[int]) -> str:
    looked = [http[i] for i in lost] or http
    there = list(dict.fromkeys(_shown(each) for route in looked for each in _destinations(route)))
    wanted = [
        f"{track.label(naming.release)} is {_called(naming, version)}"
        for track, version in naming.release.versions.items()
    ]
    which = f"the http route {looked[0].get('name')!r}" if lost else "no http route"
    return (
        f"{where}: {which} {'leads to none of' if lost else 'leads to any of'} the versions of "
        f"{naming.release.service} ({', '.join(wanted)}); there is "
        f"{', '.join(there) or 'no destination'}; name the right host= or backend="
    )


def _destinations(route: Json) -> Iterator[Json]:
    for each in route.get("route") or ():
        yield get_path(each, "destination", dict)


def _shown(destination: Json) -> str:
    subset = destination.get("subset")
    return f"host {destination.get('host')}{f' subset {subset}' if subset else ''}"


def _called(naming: Naming, version: Version) -> str:
    host, subset = naming.key(version)
    return f"host {host}{f' subset {subset}' if subset else ''}"
