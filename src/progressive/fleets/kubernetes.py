"""Kubernetes Deployments, one for each version: how many of their pods are ready, what they run,
and scaling an old one to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from progressive.adapters.flow import Client
from progressive.adapters.http import (
    Http,
    HttpAdapter,
    HttpClient,
    HttpFlow,
    Request,
    Response,
    get_path,
)
from progressive.adapters.kubernetes import (
    Kubernetes,
    Manifest,
    count,
    find,
    is_dns_name,
    is_observed,
    patch,
    path_of,
    to_kubernetes,
)
from progressive.errors import Failure, FleetError, StrategyError
from progressive.model import fields
from progressive.model.capacity import Capacity
from progressive.model.release import Release, Version
from progressive.model.traffic import Track
from progressive.model.units import MILLION, Percent

__all__ = ["Deployments", "Http", "Kubernetes"]

_NOTHING: Final = Percent(0)


def _is_template(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    try:
        made = str(value).format(service="s", backend="b")
    except (KeyError, IndexError, ValueError):
        made = ""
    if not isinstance(value, str) or "{backend}" not in value or not made:
        where = fields.where(instance, attribute)
        raise StrategyError(
            f"{where}: {value!r} must have {{backend}} in it, and may have {{service}}, such as "
            "'{service}-{backend}'"
        )


@attrs.frozen(kw_only=True)
class Deployments(HttpAdapter):
    """The Deployments of a service's versions: ``Deployments(api=Kubernetes.in_cluster())``.

    ``name`` makes a Deployment's name from the release's ``{service}`` and a version's
    ``{backend}``. ``full`` is the number of pods that it takes to carry everything: say it where an
    autoscaler follows the traffic. By default stable needs what its own ``spec.replicas`` asks for,
    and the others what stable or they themselves ask for, whichever is more.

    ``container`` is the one whose image (digest, else tag) must be the version's identity; None
    doesn't look. Scaling a candidate up is yours, or an autoscaler's: more traffic waits until it
    is ready.

    The account needs ``get`` on ``deployments``, and ``patch`` on ``deployments/scale`` if old
    versions are to be removed. (Tried with a real API server; the numbers of ready pods were
    written by the test.)
    """

    api: Kubernetes = attrs.field(converter=to_kubernetes)
    namespace: str = attrs.field(
        default=attrs.Factory(lambda self: self.api.namespace, takes_self=True),
        validator=is_dns_name,
    )
    name: str = attrs.field(default="{service}-{backend}", validator=_is_template)
    full: int | None = attrs.field(default=None, validator=fields.optional(fields.at_least(1)))
    container: str | None = attrs.field(default=None, validator=fields.optional(is_dns_name))
    _client: Client[Request, Response] = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(
            lambda self: HttpClient(self.api.api, FleetError, "Kubernetes"), takes_self=True
        ),
    )

    def survey(self, release: Release) -> Mapping[Track, Capacity]:
        """How much of everything the available pods of each version can carry: one request for each
        track.
        """
        return self._client.run(self._survey(release))

    async def asurvey(self, release: Release) -> Mapping[Track, Capacity]:
        """`survey`, asynchronously."""
        return await self._client.arun(self._survey(release))

    def retire(self, release: Release, version: Version) -> None:
        """Scale the Deployment of ``version`` to 0. Idempotent; `FleetError` (ask again) while pods
        of it are left.
        """
        self._client.run(self._retire(release, version))

    async def aretire(self, release: Release, version: Version) -> None:
        """`retire`, asynchronously."""
        await self._client.arun(self._retire(release, version))

    def _survey(self, release: Release) -> HttpFlow[Mapping[Track, Capacity]]:
        found: dict[Track, Manifest | None] = {}
        for track, version in release.versions.items():
            found[track] = yield from find(self._path(release, version))
        asked = {
            track: 0 if deployment is None else count(deployment, "spec.replicas", 1)
            for track, deployment in found.items()
        }
        stable = asked.get(Track.STABLE, 0)
        return {
            track: self._capacity(
                release,
                track,
                deployment,
                self.full or max(1, stable, 0 if track is Track.STABLE else asked[track]),
            )
            for track, deployment in found.items()
        }

    def _capacity(
        self, release: Release, track: Track, deployment: Manifest | None, full: int
    ) -> Capacity:
        if deployment is None:
            return Capacity(
                _NOTHING,
                why=(
                    f"there is no Deployment {self._name(release, track.version(release))!r} in "
                    f"{self.namespace}"
                ),
            )
        ready = count(deployment, "status.availableReplicas")
        if track is not Track.STABLE:
            # Pods of an older template are available too; of stable they are stable's, restarted or
            # not.
            ready = min(ready, count(deployment, "status.updatedReplicas"))
        why = f"{ready} of {full} pods are available"
        if track is not Track.STABLE and not is_observed(deployment):
            # An autoscaler writes to stable all the time; its pods are the same as a moment ago.
            written = get_path(deployment, "metadata.generation", int)
            ready, why = 0, f"its controller has not seen generation {written} yet"
        able = Percent(min(MILLION, ready * MILLION // full))
        return Capacity(able, identity=self._identity(deployment), why=why)

    def _identity(self, deployment: Manifest) -> str | None:
        """The digest, else the tag, of the image that the named container runs."""
        if self.container is None:
            return None
        containers: list[Manifest] = get_path(deployment, "spec.template.spec.containers", list)
        image = next(
            (
                str(each.get("image", ""))
                for each in containers
                if each.get("name") == self.container
            ),
            None,
        )
        if image is None:
            there = ", ".join(str(each.get("name")) for each in containers)
            name = get_path(deployment, "metadata.name", str)
            raise FleetError(
                f"Deployment {name} has no container {self.container!r}; it has {there}",
                failure=Failure.PERMANENT,
            )
        rest, _, digest = image.partition("@")
        return digest or rest.rpartition("/")[2].partition(":")[2] or "latest"

    def _retire(self, release: Release, version: Version) -> HttpFlow[None]:
        path = self._path(release, version)
        if (yield from find(path)) is None:
            return
        yield from patch(f"{path}/scale", {"spec": {"replicas": 0}}, version=None)
        deployment = yield from find(path)
        left = 0 if deployment is None else count(deployment, "status.replicas")
        if left:
            raise FleetError(
                f"{left} pods of {self._name(release, version)} are still there; ask again"
            )

    def _name(self, release: Release, version: Version | None) -> str:
        assert version is not None
        return self.name.format(service=release.service, backend=version.backend)

    def _path(self, release: Release, version: Version) -> str:
        return path_of("apps", "v1", self.namespace, "deployments", self._name(release, version))
