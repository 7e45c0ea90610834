"""Which http routes of a VirtualService a release has, whatever became of them."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from progressive.adapters.http import get_path

from .destinations import Destination, Json, Naming, below_zero, leads_elsewhere
from .mirrors import is_mirrored

__all__ = ["Found", "called", "find", "keys_of"]


@attrs.frozen(kw_only=True)
class Found:
    """The http routes, and the places of those that are about a release.

    ``managed``: those to write; ours are left out. ``apart``: those of them that are somebody's
    header routes to the candidate. ``mirroring``: those of other routes that have a mirror to the
    candidate. ``problem``: why preflight and a raise can't build on this; empty if they can.
    ``whole``: False if a route that should be there is not, or leads to neither version.
    """

    http: tuple[Json, ...]
    managed: tuple[int, ...]
    apart: tuple[int, ...]
    mirroring: tuple[int, ...]
    problem: str
    whole: bool


def find(
    manifest: Mapping[str, object],
    naming: Naming,
    *,
    routes: tuple[str, ...] | None,
    where: str,
) -> Found:
    """Find the routes to manage. What is not there as it should be is a `problem`.

    A route that was renamed is found by what it does: where a named one is missing, others that
    split between the versions are managed too.
    """
    spec = manifest.get("spec")
    http = (
        tuple(
            get_path(each, "", dict)
            for each in get_path(spec if isinstance(spec, dict) else {}, "http", list)
        )
        if _has_http(spec)
        else ()
    )
    theirs = [
        i
        for i, route in enumerate(http)
        if not str(route.get("name", "")).startswith(naming.prefix)
    ]
    versions = naming.release.versions.values()
    keys = {naming.key(version) for version in versions}
    split = {naming.key(naming.release.candidate)}
    if naming.release.stable is not None:
        split.add(naming.key(naming.release.stable))
    leads = {i: keys & set(keys_of(http[i], naming)) for i in theirs}
    names = {i: http[i].get("name") for i in theirs}
    missing: list[str] = []
    lost: list[int] = []
    managed = [i for i in theirs if leads[i]]
    if routes is not None:
        missing = [name for name in routes if name not in names.values()]
        lost = [i for i in theirs if names[i] in routes and not leads[i]]
        renamed = [i for i in managed if missing and split <= leads[i]]
        managed = [i for i in managed if names[i] in routes or i in renamed]
    apart = _apart(http, managed, naming) if routes is None else []
    candidate = naming.key(naming.release.candidate)
    mirroring = [
        i
        for i in (theirs if routes is None or missing else lost)
        if i not in managed and is_mirrored(http[i], naming, candidate)
    ]
    problem = ""
    if missing:
        there = [str(name) for name in names.values() if name]
        problem = (
            f"{where} has no http route named {', '.join(missing)}; it has "
            f"{', '.join(there) or 'none with a name'}"
        )
    elif lost or not managed:
        problem = leads_elsewhere(where, naming, http, lost)
    elif apart:
        problem = _told_apart(where, naming, http, managed, apart)
    else:
        wrong = [(i, weight) for i in managed if (weight := below_zero(http[i])) is not None]
        for i, weight in wrong[:1]:
            problem = (
                f"{where}: {called(http, i)} has a weight of {weight}, and Istio serves what "
                "stood there before; give it one from 0"
            )
    return Found(
        http=http,
        managed=tuple(managed),
        apart=tuple(apart),
        mirroring=tuple(mirroring),
        problem=problem,
        whole=bool(managed) and not missing and not lost,
    )


def _has_http(spec: object) -> bool:
    return isinstance(spec, dict) and isinstance(spec.get("http"), list)


def keys_of(route: Json, naming: Naming) -> list[Destination]:
    """Where the requests of a route go, mirrors aside."""
    return [naming.key_of(get_path(each, "destination", dict)) for each in route.get("route") or ()]


def called(http: tuple[Json, ...], i: int) -> str:
    name = http[i].get("name")
    return f"the http route {name!r}" if name else f"the http route number {i + 1}"


def _apart(http: tuple[Json, ...], managed: list[int], naming: Naming) -> list[int]:
    """Header routes of somebody's that lead to the candidate alone, beside others that lead to
    stable: they are meant to stay, and none to move.
    """
    stable = naming.release.stable
    if stable is None:
        return []
    candidate = naming.key(naming.release.candidate)

    def is_apart(route: Json) -> bool:
        conditions = route.get("match") or [{}]
        if naming.is_ours(route):
            return False
        return set(keys_of(route, naming)) == {candidate} and all(
            condition.get("headers") for condition in conditions
        )

    found = [i for i in managed if is_apart(http[i])]
    others = (i for i in managed if i not in found)
    return found if any(naming.key(stable) in keys_of(http[i], naming) for i in others) else []


def _told_apart(
    where: str, naming: Naming, http: tuple[Json, ...], managed: list[int], apart: list[int]
) -> str:
    others = [http[i].get("name") for i in managed if i not in apart]
    named = ", ".join(repr(name) for name in others if name)
    mend = (
        f"Istio(routes=[{named}])"
        if all(others)
        else f"give {'it' if len(others) == 1 else 'them'} a name in the object, and name what "
        "is to be moved with Istio(routes=[...])"
    )
    lead = "leads" if len(apart) == 1 else "lead"
    return (
        f"{where}: {', '.join(called(http, i) for i in apart)} {lead} every request that "
        f"matches to the candidate ({naming.release.candidate}); if that is to stay, leave it out "
        f"of the routes that are moved: {mend}; else take it out"
    )
