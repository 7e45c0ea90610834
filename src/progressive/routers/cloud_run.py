"""Google Cloud Run: the share of each revision of one service, by the Admin API v2.

::

    router = CloudRun(
        service="projects/my-project/locations/europe-west1/services/shop",
        api=Http("https://run.googleapis.com", credentials=lambda: f"Bearer {token()}"),
    )

A version's ``backend`` is the name of its revision. The new revision is deployed without traffic
(``gcloud run deploy --no-traffic``), and the old one is named in the service's traffic: where that
says "the latest revision", every deployment would move it.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, Final

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
    segment,
    to_http,
)
from progressive.adapters.router import Router, goes_back
from progressive.errors import Failure, RouterError, StateError, StrategyError
from progressive.model import fields
from progressive.model.release import Release
from progressive.model.router_state import Capabilities, Marker, Served
from progressive.model.traffic import Traffic
from progressive.model.units import percent

__all__ = ["CloudRun", "Http"]

API: Final = "https://run.googleapis.com"

MARKER: Final = "progressive/marker"
"""The annotation of the service that carries the marker."""

BY_REVISION: Final = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
SUCCEEDED: Final = "CONDITION_SUCCEEDED"

ONE_PERCENT: Final = percent(1).ppm

_SERVICE: Final = re.compile(r"projects/[^/\s]+/locations/[a-z0-9-]+/services/[a-z0-9-]+")


def _is_service(instance: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or _SERVICE.fullmatch(value) is None:
        raise StrategyError(
            f"{fields.where(instance, attribute)}: {fields.brief(value)} is no full name of a "
            "service, such as 'projects/my-project/locations/europe-west1/services/shop'"
        )


@attrs.frozen(kw_only=True)
class _Service:
    """The service as the API gives it."""

    content: Mapping[str, Any]

    @property
    def latest(self) -> str:
        return _short(self.content.get("latestReadyRevision", ""))

    @property
    def targets(self) -> list[Mapping[str, Any]]:
        """What is asked for; nothing is all for the latest revision."""
        return list(self.content.get("traffic") or [{"percent": 100}])

    @property
    def follows_latest(self) -> bool:
        """Whether a share goes to whatever revision is the latest."""
        return any(each.get("percent") and not _by_name(each) for each in self.targets)

    def asked(self) -> dict[str, int]:
        """The percents that are asked for, by revision."""
        return self._by_revision(self.targets)

    def observed(self) -> dict[str, int]:
        """The percents that are served; those of before where the last change failed."""
        return self._by_revision(self.content.get("trafficStatuses") or [])

    @property
    def settled(self) -> bool:
        """Whether the traffic that is asked for is carried out; another revision that does not
        start is no matter of it.
        """
        conditions = self.content.get("conditions") or []
        routes = next((each for each in conditions if each.get("type") == "RoutesReady"), None)
        condition = routes or self.content.get("terminalCondition") or {}
        seen = self.content.get("observedGeneration") == self.content.get("generation")
        return seen and condition.get("state") == SUCCEEDED

    def marker(self) -> tuple[Marker | None, str]:
        """The marker, and what is wrong with it."""
        text = (self.content.get("annotations") or {}).get(MARKER)
        try:
            return (None if text is None else Marker.loads(text)), ""
        except StateError as error:
            return None, f"its annotation {MARKER}: {error}; edited by hand? take it away"

    def _by_revision(self, targets: list[Mapping[str, Any]]) -> dict[str, int]:
        found: dict[str, int] = {}
        for each in targets:
            name = _short(each.get("revision", "")) if _by_name(each) else self.latest
            found[name] = found.get(name, 0) + each.get("percent", 0)
        return found


@attrs.frozen(kw_only=True)
class CloudRun(Router[Request, Response, _Service]):
    """The revisions of one ``service`` of Cloud Run, by the ``api`` (its address, or an `Http` with
    credentials).

    Weights are whole percents, drawn for every request. Cloud Run takes a change and carries it out
    some seconds later; what it observes (``trafficStatuses``) is what counts as served. A write
    quotes the ``etag`` that was read, and Cloud Run refuses it if the service has changed since.
    Tags of revisions stay. The marker is an annotation of the service, which makes no revision.

    Before traffic is raised, the revisions must be there, ready, and without session affinity,
    which goes before the shares. Revisions of neither version
    count as `Served.unattributed`, and get nothing from the next write on. (Tried on the shapes of
    Google's documentation of 2026, not on Cloud Run.)
    """

    service: str = attrs.field(validator=_is_service)
    api: Http = attrs.field(default=Http(API), converter=to_http)
    capabilities = Capabilities(
        smallest_weight=percent(1), baseline=True, marker=True, compare_and_set=True
    )
    """Whole percents for up to three versions, a marker, and writes that Cloud Run compares."""
    _client: Client[Request, Response] = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(
            lambda self: HttpClient(self.api, RouterError, "Cloud Run"), takes_self=True
        ),
    )

    def undo(self, release: Release) -> str:
        """The line to type (with gcloud, curl and jq) to give all traffic back to stable. It closes
        the marker too: a driver that still runs goes back.
        """
        stable = json.dumps((release.stable or release.candidate).backend)
        program = (
            f'([.annotations["{MARKER}"] // "" | '
            'capture("^(?<was>[0-9]+:[0-9]+):[01](?<owner>(:[a-z0-9]+)?)$")][0] '
            '// {was: "0:0", owner: ""}) as $m | {etag, '
            rf'annotations: ((.annotations // {{}}) + {{"{MARKER}": "\($m.was):1\($m.owner)"}}), '
            f'traffic: ([{{type: "{BY_REVISION}", revision: {stable}, percent: 100}}] + '
            "[.traffic[]? | select(.tag) | del(.percent)])}"
        )
        url = f"{self.api.base_url}{self._path}"
        sent = 'curl -sSf -H "Authorization: Bearer $(gcloud auth print-access-token)"'
        return (
            f"now=$({sent} {shlex.quote(url)}) && "
            f'new=$(printf %s "$now" | jq -ce {shlex.quote(program)}) && [ -n "$new" ] && '
            f"{sent} -X PATCH -H 'Content-Type: application/json' -d \"$new\" "
            f"{shlex.quote(f'{url}?updateMask={MASK}')}"
        )

    @property
    def _path(self) -> str:
        return f"/v2/{self.service}"

    def _where(self) -> str:
        return f"Cloud Run service {self.service.rpartition('/')[2]}"

    def _read(self, release: Release) -> HttpFlow[_Service]:
        answer = yield Request("GET", self._path)
        return _Service(content=get_path(answer.json(), "", dict))

    def _served(self, release: Release, found: _Service) -> Served:
        asked, observed = found.asked(), found.observed()
        return parts.served(
            [parts.Part.of(release, asked), parts.Part.of(release, observed)],
            version=f"{found.content.get('uid')}/{found.content.get('generation')}",
            marker=found.marker()[0],
            converged=found.settled,
            whole=not found.marker()[1],
        )

    def _refuse_found(self, release: Release, found: _Service) -> None:
        if wrong := found.marker()[1]:
            raise RouterError(f"{self._where()}: {wrong}", failure=Failure.PERMANENT)
        if found.follows_latest:
            raise RouterError(
                f"{self._where()}: a part of its traffic goes to the latest revision, so a "
                "deployment moves it; pin it: gcloud run services update-traffic "
                f"{self.service.rpartition('/')[2]} --to-revisions={found.latest}=100",
                failure=Failure.PERMANENT,
            )

    def _write(
        self, release: Release, traffic: Traffic, marker: Marker, before: _Service
    ) -> HttpFlow[None]:
        if not goes_back(traffic, self._served(release, before), marker):
            for track, version in release.versions.items():
                yield from self._refuse_unready(version.backend, track.label(release))
        shares = {
            version.backend: traffic.share(track).ppm // ONE_PERCENT
            for track, version in release.versions.items()
        }
        changed = {
            "etag": before.content.get("etag"),
            "annotations": {**(before.content.get("annotations") or {}), MARKER: marker.dumps()},
            "traffic": list(_targets(before, shares)),
        }
        mask = (("updateMask", MASK),)
        answer = yield Request("PATCH", self._path, params=mask, json=changed, write=True)
        with after_write():
            error = get_path(answer.json(), "", dict).get("error")
            if error:
                raise RouterError(f"{self._where()}: {error.get('message', error)}")

    def _refuse_unready(self, revision: str, label: str) -> HttpFlow[None]:
        """Raise for a revision that is not there, or could not serve."""
        path = f"{self._path}/revisions/{segment(revision)}"
        answer = yield Request("GET", path, accept=(404,))
        if answer.status == 404:
            raise RouterError(
                f"{self._where()}: {label} is the revision {revision!r}, and there is none; deploy "
                "it without traffic (--no-traffic), or name it with Version(backend=...)",
                failure=Failure.PERMANENT,
            )
        conditions = get_path(answer.json(), "", dict).get("conditions") or []
        ready: Mapping[str, Any] = next(
            (each for each in conditions if each.get("type") == "Ready"), {}
        )
        if ready.get("state") != SUCCEEDED:
            said = ready.get("message") or ready.get("state") or "nothing"
            raise RouterError(
                f"{self._where()}: {label} is not ready ({said}): Cloud Run would not serve it",
                failure=Failure.TRANSIENT,
            )
        if get_path(answer.json(), "", dict).get("sessionAffinity"):
            raise RouterError(
                f"{self._where()}: {label} was deployed with session affinity, which goes before "
                "the shares: its users stay, and those of others come; deploy it without "
                "(--no-session-affinity)",
                failure=Failure.PERMANENT,
            )


MASK: Final = "traffic,annotations"
"""The fields that a write changes; all others stay as they are."""


def _targets(before: _Service, shares: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """The targets of these percents: one for each revision that has some, and those with a tag,
    which have an address of their own.
    """
    for name, share in shares.items():
        if share:
            yield {"type": BY_REVISION, "revision": name, "percent": share}
    for each in before.targets:
        if each.get("tag"):
            yield {name: value for name, value in each.items() if name != "percent"}


def _by_name(target: Mapping[str, Any]) -> bool:
    return target.get("type", "") == BY_REVISION or bool(target.get("revision"))


def _short(revision: str) -> str:
    """The name of a revision, which may stand there with the service's before it."""
    return revision.rpartition("/")[2]
