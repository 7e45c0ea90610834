"""Traefik: writes the file of one weighted service, which its file provider watches.

The file belongs to the router, in the folder of ``providers.file.directory``. It has the service
that the weights are of; the versions are services of another file there, and a router leads to
it::

    http:
      routers:
        shop: {rule: "Host(`shop.example`)", entryPoints: [web], service: shop}
      services:
        v1: {loadBalancer: {servers: [{url: "http://10.0.0.1:8080"}]}}
        v2: {loadBalancer: {servers: [{url: "http://10.0.0.2:8080"}]}}

`Traefik.initial` is the file to begin with. What Traefik has loaded is asked of its API: it goes on
with what it has if it can't load a file, and says so in its log only. A middleware that nobody uses
carries the marker there.

With ``provider="http"`` it is the same for the HTTP provider: serve the file at the address that
Traefik polls.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from math import gcd
from string import ascii_letters, digits
from typing import Any, Final, Literal

import attrs

from progressive.adapters import local, parts
from progressive.adapters.flow import Client, Malformed
from progressive.adapters.http import Http, HttpClient, Request, get_path, segment, to_http
from progressive.adapters.local import Asked, LocalClient, LocalFlow, ask
from progressive.adapters.logs import ADAPTERS
from progressive.adapters.split import Split
from progressive.adapters.split_file import FileSplit, Loaded, SplitFile, refused
from progressive.errors import Failure, RouterError, StrategyError
from progressive.model import fields
from progressive.model.release import Release
from progressive.model.router_state import Capabilities
from progressive.model.traffic import Match, Traffic
from progressive.model.units import percent

__all__ = ["Http", "Traefik"]

SPLIT: Final = "X-Progressive-Split"
PLAIN: Final = "X-Progressive-Plan"
"""The headers of the middleware that carries what the file says."""

SLOW: Final = 1.0
"""Seconds to load a file after which Traefik throttles; usual is a tenth."""

THROTTLE: Final = 2.5
"""Seconds within which a write comes after another one, for its default of two."""

ONE_PERCENT: Final = percent(1).ppm

_PLAIN: Final = frozenset(f"{ascii_letters}{digits}_-")
_HEADER: Final = re.compile(r"[a-z0-9_-]+")


def _is_provider(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value not in ("file", "http"):
        where = fields.where(instance, attribute)
        raise StrategyError(f"{where}: {fields.brief(value)} is not one of 'file', 'http'")


def _is_router(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    where = fields.where(instance, attribute)
    if value is None:
        return
    if not isinstance(value, Mapping) or not isinstance(value.get("rule"), str):
        raise StrategyError(
            f"{where}: {fields.brief(value)} is no router of Traefik, such as "
            "{'rule': 'Host(`shop.example`)', 'entryPoints': ['web']}"
        )
    priority = value.get("priority", 1)
    if not isinstance(priority, int) or isinstance(priority, bool) or priority < 1:
        raise StrategyError(
            f"{where}: priority {fields.brief(priority)} is no whole number from 1; leave it out, "
            "and the longest rule is first"
        )
    if value.get("ruleSyntax", "v3") not in ("v3", "default"):
        raise StrategyError(f"{where}: its rules must be in the syntax of v3, as ours are")


def _copied(value: Mapping[str, object] | None) -> dict[str, object] | None:
    return dict(value) if isinstance(value, Mapping) else value


@attrs.frozen(kw_only=True)
class Traefik(SplitFile):
    """One weighted ``service`` of one Traefik: the ``file`` that this router writes, and Traefik's
    ``api`` (its address, or an `Http`).

    A version's ``backend`` is the name of a service of the provider ``versions``: by default that
    of the file, or ``"docker"``, say. Weights, and mirrored shares, are whole percents; every 100
    requests have them exactly, and the round begins anew at every change of the configuration, by
    anybody: where that happens every few requests, a small share gets less or nothing.

    ``router``: the router that leads to the service, as Traefik's configuration has it (``{"rule":
    "Host(`shop.example`)", "entryPoints": ["web"]}``). Then it is written too, and header and
    cookie routes are routers of their own beside it, with the same entry points and middlewares.
    Without it there are none.

    Users who shall stay do so by Traefik's own cookie, another one for each rollout: with the
    version that they have met, also stable, and at any weight above 0.

    ``staging``: the folder in which the new file is made, on the same file system and not watched;
    by default the one above that of the file. A file that is made within the watched folder is seen
    before it is whole.

    Traefik loads a change at once, and then no other one for ``providersThrottleDuration``, two
    seconds unless it is set: set it to ``0s``, or a way back right after a raise waits for it. The
    first write that was slow is logged as a warning. (Tried with Traefik 3.7.)
    """

    file: str = attrs.field(validator=local.is_path)
    api: Http = attrs.field(converter=to_http)
    service: str = attrs.field(validator=fields.is_name)
    router: Mapping[str, object] | None = attrs.field(
        default=None, converter=_copied, validator=_is_router
    )
    provider: Literal["file", "http"] = attrs.field(default="file", validator=_is_provider)
    versions: str = attrs.field(
        default=attrs.Factory(lambda self: self.provider, takes_self=True),
        validator=fields.is_name,
    )
    staging: str = attrs.field(
        default=attrs.Factory(
            lambda self: os.path.dirname(os.path.dirname(os.path.realpath(str(self.file)))),
            takes_self=True,
        ),
        validator=local.is_path,
    )
    capabilities: Capabilities = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(
            lambda self: Capabilities(
                smallest_weight=percent(1),
                baseline=True,
                matches=self.router is not None,
                mirror=True,
                affinity=True,
                marker=True,
                compare_and_set=True,
            ),
            takes_self=True,
        ),
    )
    """Whole percents for up to three versions, a mirror, affinity, a marker, and writes that
    compare; header and cookie routes with ``router``.
    """
    _client: Client[Asked, object] = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(
            lambda self: LocalClient(
                self.file,
                RouterError,
                "Traefik",
                http=HttpClient(self.api, RouterError, "Traefik"),
                longest=self.api.deadline,
            ),
            takes_self=True,
        ),
    )

    @property
    def _file(self) -> str:
        return self.file

    @property
    def _beside(self) -> str:
        return self.staging

    @property
    def _patience(self) -> float:
        return 3.0 if self.provider == "file" else 0.0  # it polls, every five seconds

    def _mend(self) -> str:
        return "one wrong file in the folder stops them all: look into its log"

    def _notice(self, found: FileSplit, before: FileSplit) -> None:
        if self._patience and found.age > SLOW and before.age < THROTTLE:
            ADAPTERS.warning(
                "%s: Traefik took %.1f s to load it: it throttles changes, so a way back right "
                "after a raise waits as long; set providers.providersThrottleDuration to 0s",
                self.file,
                found.age,
            )

    # ------------------------------------------------------------------------------- the file

    def _text(self, split: Split) -> str:
        text = json.dumps({"http": self._http(split)}, indent=2) + "\n"
        # The file provider runs files as templates of Go: no two braces may stand together.
        return re.sub(r"\{(?=\{)", r"\\u007b", text)

    def _words(self, text: str) -> tuple[str, str]:
        middleware = json.loads(text)["http"]["middlewares"][f"{self.service}-split"]
        headers = middleware["headers"]["customResponseHeaders"]
        return headers[PLAIN], headers[SPLIT]

    def _http(self, split: Split) -> dict[str, Any]:
        carried = {SPLIT: split.word, PLAIN: split.plain}
        written: dict[str, Any] = {
            "services": dict(self._services(split)),
            "middlewares": {
                f"{self.service}-split": {"headers": {"customResponseHeaders": carried}}
            },
        }
        if self.router is not None:
            written["routers"] = dict(self._routers(split, self.router))
        return written

    def _services(self, split: Split) -> Iterator[tuple[str, dict[str, Any]]]:
        common = gcd(*(ppm for _, ppm in split.weights))
        weighted = [
            {"name": self._named(name), "weight": ppm // common} for name, ppm in split.weights
        ]
        split_by: dict[str, Any] = {"services": weighted}
        if split.sticky:
            cookie = {
                "name": split.cookie,
                "maxAge": split.sticky,
                "path": "/",
                "httpOnly": True,
                "sameSite": "lax",
            }
            split_by["sticky"] = {"cookie": cookie}
        if not split.mirror:
            yield self.service, {"weighted": split_by}
            return
        yield f"{self.service}-weighted", {"weighted": split_by}
        copies = [{"name": self._named(split.to), "percent": split.mirror // ONE_PERCENT}]
        mirroring = {"service": f"{self.service}-weighted", "mirrors": copies}
        yield self.service, {"mirroring": mirroring}

    def _routers(
        self, split: Split, router: Mapping[str, object]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        yield self.service, {**router, "service": self.service}
        for n, match in enumerate(split.matches, 1):
            more: dict[str, object] = {
                "rule": f"({router['rule']}) && {_rule(match)}",
                "service": self._named(split.to),
            }
            if isinstance(priority := router.get("priority"), int):
                more["priority"] = priority + 1
            yield f"{self.service}-match-{n}", {**router, **more}

    def _named(self, backend: str) -> str:
        """A service as the file names it: one of another provider with that."""
        return backend if self.versions == self.provider else f"{backend}@{self.versions}"

    # -------------------------------------------------------------------------------- the api

    def _ask_loaded(self, text: str | None) -> LocalFlow[Loaded]:
        answer = yield from self._get("middlewares", f"{self.service}-split")
        if answer is None:
            return Loaded(word="")
        word = get_path(answer, f"headers.customResponseHeaders.{SPLIT}", str)
        wanted = [("services", self.service)]
        if self.router is not None:
            written = {} if text is None else _routers_in(text)
            wanted += [("routers", name) for name in written]
        for kind, name in wanted:
            found = yield from self._get(kind, name)
            if found is None or found.get("status") != "enabled":
                return Loaded(word="")
        return Loaded(word=word)

    def _refuse(self, release: Release, traffic: Traffic) -> None:
        super()._refuse(release, traffic)
        for match in traffic.matches:
            if match.source == "header" and (
                match.name == "host" or _HEADER.fullmatch(match.name) is None
            ):
                raise refused(
                    f"header {match.name!r}: a rule of Traefik can't tell it; use letters, digits, "
                    "_ and -, and for host the rule of the router"
                )

    def _get(self, kind: str, name: str, provider: str = "") -> LocalFlow[dict[str, Any] | None]:
        """One thing as Traefik has loaded it; None if it has not."""
        path = f"/api/http/{kind}/{segment(f'{name}@{provider or self.provider}')}"
        answer = yield from ask(Request("GET", path, accept=(404,)))
        if answer.status == 404 and not answer.text.startswith("{"):
            raise RouterError(
                f"{self.api.origin} answers 404 where Traefik's API should be: is it still "
                "starting, or its API not there (api.insecure, or a router to api@internal)?",
                failure=Failure.TRANSIENT,
            )
        found: dict[str, Any] = get_path(answer.json(), "", dict)
        return None if answer.status == 404 else found

    def _refuse_configuration(
        self, release: Release, traffic: Traffic, before: FileSplit, *, back: bool
    ) -> LocalFlow[None]:
        known = []
        last = (release.stable or release.candidate).backend
        for version in release.versions.values():
            if back and version.backend != last:
                continue
            try:
                found = yield from self._get("services", version.backend, self.versions)
            except (RouterError, Malformed):
                if back:
                    return
                raise
            if found is not None and found.get("status") == "enabled":
                known.append(version.backend)
        if back and not known:
            raise refused(
                f"Traefik has no service {last}@{self.versions}, so there is nothing to go back "
                "to: it would answer 404 to everybody; add it"
            )
        if back:
            return
        parts.refuse_missing(
            release,
            known,
            what="the service",
            where=f"provider {self.versions} of Traefik",
            hint="add it; one that is missing, also with weight 0, is a 404 for everybody",
        )
        if self.router is None:
            service = yield from self._get("services", self.service)
            if service is not None and not service.get("usedBy"):
                raise refused(
                    f"no router of Traefik leads to {self.service}@{self.provider}; let one, or "
                    "give Traefik(router=...)"
                )


def _routers_in(text: str) -> Mapping[str, object]:
    """The routers of a file; none of one that is not as it was written."""
    try:
        found: Mapping[str, object] = json.loads(text)["http"]["routers"]
    except (ValueError, TypeError, LookupError):
        return {}
    return found


def _rule(match: Match) -> str:
    """A rule for exactly this value: what is no letter, digit or ``_-`` stands there by number."""
    value = _literal(match.value)
    if match.source == "header":
        return f"HeaderRegexp(`{match.name}`, `^{value}$`)"
    return f"HeaderRegexp(`Cookie`, `(?:^|; *){_literal(match.name)}={value}(?:;|$)`)"


def _literal(text: str) -> str:
    return "".join(each if each in _PLAIN else f"\\x{{{ord(each):x}}}" for each in text)
