"""Adapters of one's own on `progressive.adapters`; checked as a user would, never run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_type

import attrs

from progressive import Metric, Release, RouterError, Served, Track, Traffic, Version, percent
from progressive.adapters.flow import Client, Flow, feed
from progressive.adapters.http import Http, HttpClient, HttpFlow, Request, Response, to_http
from progressive.adapters.lines import Line, LineClient, LineFlow, LineSocket
from progressive.adapters.parts import Part, served
from progressive.adapters.provider import Provider, look_of, versions_of
from progressive.adapters.router import Router
from progressive.errors import MetricsError
from progressive.model import Capabilities, Look, Marker, Window
from progressive.ports import TrafficRouter


class Map(Router[Line, str, str]):
    """The smallest router."""

    capabilities = Capabilities(marker=True)

    def __init__(self, socket: str) -> None:
        self._client = LineClient(LineSocket(socket), RouterError, "HAProxy", ending="\n\n")

    def _read(self, release: Release) -> LineFlow[str]:
        answer = yield Line("show map")
        return answer.strip()

    def _served(self, release: Release, found: str) -> Served:
        return served([Part.of(release, {found: 1})], version=found, marker=Marker.loads("1:0:0"))

    def _write(
        self, release: Release, traffic: Traffic, marker: Marker, before: str
    ) -> LineFlow[None]:
        yield Line(f"set map {traffic.candidate.ppm}", write=True, silent=True)


@attrs.frozen(kw_only=True)
class OverHttp(Router[Request, Response, dict[str, int]]):
    """With fields, as the library's own routers have them."""

    capabilities = Capabilities(smallest_weight=percent(1))

    server: Http = attrs.field(converter=to_http)
    _client: Client[Request, Response] = attrs.field(
        init=False,
        default=attrs.Factory(
            lambda self: HttpClient(self.server, RouterError, "Toy"), takes_self=True
        ),
    )

    def _read(self, release: Release) -> HttpFlow[dict[str, int]]:
        response = yield Request("GET", "/weights")
        return {release.candidate.backend: len(response.body)}

    def _served(self, release: Release, found: dict[str, int]) -> Served:
        return Served(traffic=Traffic.from_weights(release, found))

    def _write(
        self, release: Release, traffic: Traffic, marker: Marker, before: dict[str, int]
    ) -> HttpFlow[dict[str, int] | None]:
        yield Request("PUT", "/weights", json=traffic.candidate.ppm, write=True)
        return None


class Numbers(Provider[Request, Response]):
    """A provider."""

    metrics = (Metric("orders", kind="value"),)

    def __init__(self, server: str) -> None:
        self._client = HttpClient(Http(server), MetricsError, "Numbers")

    def _measure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> HttpFlow[Look]:
        for _ in versions_of(release, tracks).values():
            yield Request("GET", "/numbers")
        return look_of(metric, window, tracks, {}, query="GET /numbers", meaning=("numbers/1",))


def use(two: Release) -> None:
    router: TrafficRouter = Map("/run/haproxy/admin.sock")
    other: TrafficRouter = OverHttp(server="http://127.0.0.1:8080")
    assert_type(router.read(two), Served)
    assert_type(other.read(two), Served)
    assert_type(feed(Map("/run/x").reading(two), lambda line: line.text), Served)
    flow: Flow[Line, str, Served] = Map("/run/x").reading(two)
    assert_type(two.versions, dict[Track, Version])
    with Map("/run/haproxy/admin.sock") as opened:
        assert_type(opened, Map)
    flow.close()
