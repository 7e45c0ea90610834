"""Envoy by the file of a route configuration, which its file-based discovery watches."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from progressive.adapters import local, parts
from progressive.adapters.flow import Client, Malformed
from progressive.adapters.http import Http, HttpClient, Request, get_path, to_http
from progressive.adapters.local import Asked, LocalClient, LocalFlow, ask
from progressive.adapters.split import Split
from progressive.adapters.split_file import FileSplit, Loaded, SplitFile, refused
from progressive.errors import RouterError, StrategyError
from progressive.model import fields
from progressive.model.release import Release
from progressive.model.router_state import Capabilities
from progressive.model.traffic import Match, Traffic
from progressive.model.units import Percent

__all__ = ["EnvoyRoutes"]

KIND: Final = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
OURS: Final = "progressive"

REQUEST_ID: Final = "x-request-id"
"""The header in which Envoy gives every request an id, unless its listener is told otherwise."""

DRAWN: Final = 14
"""The characters of an id by which is drawn: Envoy's tracing changes the one behind them."""

EVERYTHING: Final = {"match": {"prefix": "/"}, "route": {}}


def _is_route(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    where = fields.where(instance, attribute)
    such = "such as {'match': {'prefix': '/'}, 'route': {'timeout': '5s'}}"
    if (
        not isinstance(value, Mapping)
        or not isinstance(value.get("match"), Mapping)
        or not isinstance(value.get("route"), Mapping)
    ):
        raise StrategyError(f"{where}: {fields.brief(value)} is no route of Envoy, {such}")
    taken = {"cluster", "weighted_clusters", "cluster_header", "request_mirror_policies"}
    if found := sorted(taken & value["route"].keys()):
        raise StrategyError(
            f"{where}.route: {', '.join(found)} is what the router writes; leave it out, {such}"
        )


@attrs.frozen(kw_only=True)
class EnvoyRoutes(SplitFile):
    """One route configuration of one Envoy: the ``file`` that this router writes, Envoy's ``admin``
    interface (an address or an `Http`), and the ``name`` of the configuration.

    A version's ``backend`` is its cluster's name. Every weight and mirrored share down to 0.0001 %
    is exact, and drawn for every request. ``route``: what the route matches, and what else it has
    (time-outs, retries), as Envoy's configuration has it, without clusters; header and cookie
    routes are the same with another match before it. ``domains``: of its virtual host.

    Users who shall stay are drawn by a cookie of this router's, another one for each rollout: the
    weights are exact shares of the users, and a raise moves none back to stable.

    Envoy goes on with what it has if it can't load the file; so only what it says that it has
    loaded counts. (Tried with Envoy 1.40.)
    """

    file: str = attrs.field(validator=local.is_path)
    admin: Http = attrs.field(default=Http("http://127.0.0.1:9901"), converter=to_http)
    name: str = attrs.field(validator=fields.is_name)
    route: Mapping[str, object] = attrs.field(factory=lambda: dict(EVERYTHING), validator=_is_route)
    domains: Sequence[str] = attrs.field(
        default=("*",), converter=fields.strings, validator=fields.is_strings
    )
    capabilities = Capabilities(
        smallest_weight=Percent(1),
        baseline=True,
        matches=True,
        mirror=True,
        affinity=True,
        marker=True,
        compare_and_set=True,
    )
    """Weights of any size for up to three versions, header and cookie routes, a mirror, affinity, a
    marker, and writes that compare.
    """
    _client: Client[Asked, object] = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(
            lambda self: LocalClient(
                self.file,
                RouterError,
                "Envoy",
                http=HttpClient(self.admin, RouterError, "Envoy"),
                longest=self.admin.deadline,
            ),
            takes_self=True,
        ),
    )

    @property
    def _file(self) -> str:
        return self.file

    # ------------------------------------------------------------------------------- the file

    def _text(self, split: Split) -> str:
        host = {
            "name": self.name,
            "domains": list(self.domains),
            "routes": list(self._routes(split)),
        }
        resource = {
            "@type": KIND,
            "name": self.name,
            "virtual_hosts": [host],
            "metadata": {"filter_metadata": {OURS: {"split": split.word, "plan": split.plain}}},
        }
        return json.dumps({"resources": [resource]}, indent=2) + "\n"

    def _words(self, text: str) -> tuple[str, str]:
        carried = json.loads(text)["resources"][0]["metadata"]["filter_metadata"][OURS]
        return carried["plan"], carried["split"]

    def _routes(self, split: Split) -> Iterator[dict[str, Any]]:
        """Header and cookie routes, each before the one for all others."""
        mirror: dict[str, Any] = {}
        if split.mirror:
            fraction = {"numerator": split.mirror, "denominator": "MILLION"}
            copies = {"cluster": split.to, "runtime_fraction": {"default_value": fraction}}
            mirror = {"request_mirror_policies": [copies]}
        match: Any = self.route["match"]
        action: Any = self.route["route"]
        for each in split.matches:
            headers = [*match.get("headers", ()), _header(each)]
            route = {**action, "cluster": split.to}
            yield {**self.route, "match": {**match, "headers": headers}, "route": route}
        clusters = [{"name": name, "weight": ppm} for name, ppm in split.weights]
        last = {
            **self.route,
            "route": {**action, **mirror, "weighted_clusters": {"clusters": clusters}},
        }
        if split.sticky:
            yield from _staying(last, split)
        yield last

    # ------------------------------------------------------------------------------ the admin

    def _ask_loaded(self, text: str | None) -> LocalFlow[Loaded]:
        params = (("resource", "dynamic_route_configs"),)
        answer = yield from ask(Request("GET", "/config_dump", params=params))
        dump = get_path(answer.json(), "", dict)
        for each in dump.get("configs", ()):
            config = get_path(each, "route_config", dict)
            if config.get("name") == self.name:
                carried = config.get("metadata", {}).get("filter_metadata", {}).get(OURS, {})
                return Loaded(word=carried.get("split", ""))
        return Loaded(word="")

    def _refuse(self, release: Release, traffic: Traffic) -> None:
        super()._refuse(release, traffic)
        action: Any = self.route["route"]
        if traffic.sticky is not None and "hash_policy" in action:
            raise refused(
                "EnvoyRoutes.route.route: it has a hash_policy of its own, which would be in the "
                "way of sticky=; take it out, or let users not stay"
            )

    def _refuse_configuration(
        self, release: Release, traffic: Traffic, before: FileSplit, *, back: bool
    ) -> LocalFlow[None]:
        try:
            answer = yield from ask(Request("GET", "/clusters", params=(("format", "json"),)))
            clusters = get_path(answer.json(), "", dict).get("cluster_statuses", [])
            known = [get_path(each, "name", str) for each in clusters]
        except (RouterError, Malformed):
            if back:
                return
            raise
        last = (release.stable or release.candidate).backend
        if back and last not in known:
            raise refused(f"Envoy has no cluster {last}, so there is nothing to go back to; add it")
        if back:
            return
        parts.refuse_missing(
            release, known, what="cluster", where="Envoy", hint="add it to Envoy's clusters"
        )


def _staying(route: dict[str, Any], split: Split) -> Iterator[dict[str, Any]]:
    """The same route by user: drawn by a cookie, the beginning of the id of the user's first
    request. One without an id, or with one that no cookie can carry, is left to the route behind
    them.
    """
    weighted = {**route["route"]["weighted_clusters"], "use_hash_policy": True}
    beginning = {"pattern": {"regex": f"^(.{{{DRAWN}}}).*$"}, "substitution": r"\1"}
    keys = [
        {"cookie": {"name": split.cookie}, "terminal": True},
        {"header": {"header_name": REQUEST_ID, "regex_rewrite": beginning}},
    ]
    by_user = {**route["route"], "weighted_clusters": weighted, "hash_policy": keys}
    match, theirs = route["match"], route["match"].get("headers", ())
    carries = {
        "name": "cookie",
        "string_match": {"safe_regex": {"regex": f"(?:.*;\\s*)?{_literal(split.cookie)}=.*"}},
    }
    yield {**route, "match": {**match, "headers": [*theirs, carries]}, "route": by_user}
    cookie = (
        f"{split.cookie}=%REQ({REQUEST_ID}):{DRAWN}%; Max-Age={split.sticky}; Path=/; HttpOnly; "
        "SameSite=Lax"
    )
    gives = {"header": {"key": "set-cookie", "value": cookie}}
    has_id = {"name": REQUEST_ID, "string_match": {"safe_regex": {"regex": "[0-9A-Za-z_-]+"}}}
    yield {
        **route,
        "match": {**match, "headers": [*theirs, has_id]},
        "route": by_user,
        "response_headers_to_add": [*route.get("response_headers_to_add", ()), gives],
    }


def _header(match: Match) -> dict[str, Any]:
    if match.source == "header":
        return {"name": match.name, "string_match": {"exact": match.value}}
    pattern = f"(?:.*;\\s*)?{_literal(match.name)}={_literal(match.value)}(?:;.*)?"
    return {"name": "cookie", "string_match": {"safe_regex": {"regex": pattern}}}


def _literal(text: str) -> str:
    """The text for RE2: what is no letter or digit in ASCII stands there by its number."""
    return "".join(
        each if each.isascii() and each.isalnum() else f"\\x{{{ord(each):x}}}" for each in text
    )
