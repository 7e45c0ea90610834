"""nginx by the file of one split, which the router writes and nginx loads."""

from __future__ import annotations

import re
import shlex
from datetime import timedelta
from typing import Any, Final

import attrs

from progressive.adapters import local, parts
from progressive.adapters.flow import Client
from progressive.adapters.http import Http, HttpClient, Request, to_http
from progressive.adapters.local import (
    Asked,
    Ended,
    LocalClient,
    LocalFlow,
    Program,
    ask,
    done,
)
from progressive.adapters.logs import ADAPTERS
from progressive.adapters.split import Split, is_word
from progressive.adapters.split_file import FileSplit, Loaded, SplitFile, refused
from progressive.errors import Failure, RouterError, StrategyError
from progressive.model import fields
from progressive.model.release import Release
from progressive.model.router_state import Capabilities
from progressive.model.traffic import Traffic
from progressive.model.units import percent, seconds

from .configuration import given_again, is_used, upstreams_of
from .split import EACH_REQUEST, text_of, words_of
from .workers import LookAtWorkers

__all__ = ["Http", "Nginx"]

LOOKS: Final = 3
"""New connections in a row that must be told the new split, where the old workers can't be seen."""

_BACKEND: Final = re.compile(r"[A-Za-z0-9._-]+(?::[0-9]{1,5})?")
_ADDRESS: Final = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?::[0-9]{1,5})?")
_HEADER: Final = re.compile(r"[a-z0-9-]+")


def _is_variable(instance: object, attribute: attrs.Attribute[str], value: object) -> None:
    if (
        not isinstance(value, str)
        or re.fullmatch(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*", value) is None
        or value.endswith(("_split", "_mirror"))
    ):
        raise StrategyError(
            f"{fields.where(instance, attribute)}: {fields.brief(value)} is no name of a variable: "
            "small letters, digits and single _, such as 'shop' for $shop, and not one that ends "
            "in _split or _mirror, which stand beside it"
        )


def _is_pid_file(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        local.is_path(instance, attribute, value)


def _is_key(instance: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or re.fullmatch(r"\$[a-z][A-Za-z0-9_]*", value) is None:
        raise StrategyError(
            f"{fields.where(instance, attribute)}: {fields.brief(value)} is no variable of nginx, "
            "such as '$request_id' or '$cookie_user'"
        )


@attrs.frozen(kw_only=True)
class Nginx(SplitFile):
    """One split of the nginx of this machine: the file (``include``) that this router writes, the
    ``variable`` that it gives, and the server (``status``) that answers ``GET /shop_split`` with
    ``$shop_split``.

    A version's ``backend`` is the name of an upstream, or an address (``10.0.0.1:8080``). Weights
    are multiples of 0.01 %. Every request is decided by itself; with another ``key``, a variable
    such as ``$cookie_user``, all requests of one user are, and the part of the users that has the
    candidate only grows with its weight: so they stay for as long as it does, and may be asked to
    (``sticky=``). Requests without it are decided one by one.

    Headers and cookies are compared exactly, letters as they are. ``mirror=True`` says that the
    configuration has a location that sends copies to ``$shop_mirror``, which is empty for those
    that are not copied.

    ``nginx``: how the program is run, with what goes before its own arguments, such as ``("sudo",
    "nginx")``. ``pid_file``: where its process is named (Linux), so that old workers are seen; with
    None, three new connections in a row tell. ``drain``: how long old workers are waited for; those
    of connections that stay open, such as WebSockets, live on with the old split until
    ``worker_shutdown_timeout``.

    Two writers of this class lock each other out, and what changed since the read is refused. A way
    back whose reload fails leaves its file: the next reload by anybody serves it. (Tried with nginx
    1.31.)
    """

    include: str = attrs.field(validator=local.is_path)
    status: Http = attrs.field(converter=to_http)
    variable: str = attrs.field(validator=_is_variable)
    key: str = attrs.field(default=EACH_REQUEST, validator=_is_key)
    mirror: bool = attrs.field(default=False, validator=fields.is_a(bool, "True or False"))
    nginx: tuple[str, ...] = attrs.field(
        default=("nginx",), converter=local.arguments, validator=local.is_program
    )
    pid_file: str | None = attrs.field(default="/run/nginx.pid", validator=_is_pid_file)
    drain: timedelta = attrs.field(
        default=seconds(5), converter=fields.whole_ms, validator=fields.is_span
    )
    capabilities: Capabilities = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(
            lambda self: Capabilities(
                smallest_weight=percent(0.01),
                baseline=True,
                matches=True,
                mirror=self.mirror,
                affinity=self.key != EACH_REQUEST,
                marker=True,
                compare_and_set=True,
            ),
            takes_self=True,
        ),
    )
    """Multiples of 0.01 % for up to three versions, header and cookie routes, a marker, and writes
    that compare.
    """
    _client: Client[Asked, object] = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(
            lambda self: LocalClient(
                self.include,
                RouterError,
                "nginx",
                http=HttpClient(self.status, RouterError, "nginx"),
                longest=self.status.deadline,
            ),
            takes_self=True,
        ),
    )

    @property
    def _file(self) -> str:
        return self.include

    def _refuse(self, release: Release, traffic: Traffic) -> None:
        self._refuse_names(release, traffic)
        super()._refuse(release, traffic)

    def _refuse_names(self, release: Release, traffic: Traffic) -> None:
        for track, version in release.versions.items():
            if _BACKEND.fullmatch(version.backend) is None:
                raise refused(
                    f"{track.label(release)}: {version.backend!r} can be no upstream and no "
                    "address; name an upstream by letters, digits and ._-"
                )
        for match in traffic.matches:
            if match.source == "header" and _HEADER.fullmatch(match.name) is None:
                raise refused(
                    f"header {match.name!r}: nginx can't tell it; use letters, digits and -"
                )
            if not match.value:
                raise refused(f"{match.source} {match.name!r}: nginx can't tell empty from absent")

    def _text(self, split: Split) -> str:
        return text_of(split, self.variable, self.key, mirror=self.mirror)

    def _words(self, text: str) -> tuple[str, str]:
        return words_of(text)

    def _ask_loaded(self, text: str | None) -> LocalFlow[Loaded]:
        word = yield from self._told()
        if self.pid_file is not None:
            workers = yield from done(LookAtWorkers(self.pid_file))
            return Loaded(word=word, processes=workers.all, linger=bool(workers.leaving))
        for _ in range(LOOKS - 1):
            again = yield from self._told()
            word = word if again == word else ""
        return Loaded(word=word)

    def _lingers(self, found: FileSplit) -> bool:
        return super()._lingers(found) and found.age < self.drain.total_seconds()

    def _told(self) -> LocalFlow[str]:
        """What a new connection is told; a kept one may belong to an old worker."""
        name = f"{self.variable}_split"
        answer = yield from ask(Request("GET", f"/{name}", headers={"Connection": "close"}))
        if not is_word(answer.text.strip()):
            raise refused(
                f"{self.status.origin}/{name} answered {answer.text[:80]!r}, and not what ${name} "
                f"says; let it `return 200 ${name}`"
            )
        return answer.text.strip()

    def _then(self) -> str:
        nginx = shlex.join(self.nginx)
        return f" && {nginx} -t && {nginx} -s reload"

    @property
    def _gives_up(self) -> bool:
        return True

    def _mend(self) -> str:
        return "its error log says why"

    def _answering(self, *, needed: bool) -> LocalFlow[frozenset[int]]:
        if self.pid_file is None:
            return frozenset()
        try:
            workers = yield from done(LookAtWorkers(self.pid_file))
        except RouterError:
            if needed:
                raise
            return frozenset()
        return workers.all

    def _load(self, *, back: bool) -> LocalFlow[str]:
        """On a way back nginx is told to load also what it can't test: it keeps what it has where
        it can't load, and that is no worse.
        """
        failed = yield from self._tested()
        if not failed or back:
            told = yield from self._reloaded()
            failed = told and (failed or told)
        return failed

    def _tested(self) -> LocalFlow[str]:
        """Why nginx would not load what there is now; empty if it would."""
        try:
            ended = yield from done(Program((*self.nginx, "-t")))
        except RouterError as error:
            return str(error)
        return self._refusal(ended, "-t")

    def _reloaded(self) -> LocalFlow[str]:
        """Have nginx load it; why it was not told to, empty if it was.

        Raises UNKNOWN where the program failed and nginx itself did not say why: what runs it may
        have ended after nginx was told.
        """
        ended = yield from done(Program((*self.nginx, "-s", "reload"), write=True))
        refusal = self._refusal(ended, "-s", "reload")
        if refusal and not _errors(ended):
            raise RouterError(
                f"{refusal} (it ended with {ended.code}): nginx was told, or not; read again",
                failure=Failure.UNKNOWN,
            )
        return refusal

    def _refusal(self, ended: Ended, *arguments: str) -> str:
        line = shlex.join((*self.nginx, *arguments))
        return "" if ended.code == 0 else f"`{line}` failed: {_said(ended)}"

    # ------------------------------------------------------------ the rest of the configuration

    def _refuse_configuration(
        self, release: Release, traffic: Traffic, before: FileSplit, *, back: bool
    ) -> LocalFlow[None]:
        """Raise for what the whole configuration lacks. A way back goes on without knowing it, but
        never to a stable that nginx does not know.
        """
        try:
            ended = yield from done(Program((*self.nginx, "-T")))
        except RouterError:
            if back:
                return
            raise
        if ended.code:
            if back:
                return
            raise refused(f"{self._refusal(ended, '-T')}; mend it first")
        others = ended.output.replace(before.text, "") if before.text else ended.output
        wrong = self._wrong_in(others, included=others != ended.output)
        if back:
            last = (release.stable or release.candidate).backend
            if last not in others and not _ADDRESS.fullmatch(last):
                raise refused(
                    f"nginx has no upstream {last}, so there is nothing to go back to; add it"
                )
            if wrong:
                ADAPTERS.warning("%s: %s", self.include, wrong)
            return
        if wrong:
            raise refused(wrong)
        known = upstreams_of(others)
        known += [
            version.backend
            for version in release.versions.values()
            if _ADDRESS.fullmatch(version.backend)
        ]
        parts.refuse_missing(
            release, known, what="the upstream", where="nginx", hint="add it and reload"
        )

    def _wrong_in(self, config: str, *, included: bool) -> str:
        """What of the rest of the configuration makes the file without effect; empty if nothing
        does.
        """
        if not included:
            return f"nginx does not include {self.include}; include it in http {{ }}"
        if again := given_again(config, self.variable):
            return (
                f"${self.variable} or what it is made of is given a second time, by {again!r}: the "
                "one that nginx reads last rules; take the other one away"
            )
        for name in (self.variable, *([f"{self.variable}_mirror"] if self.mirror else [])):
            if not is_used(config, name):
                return f"nothing in nginx's configuration passes requests by ${name}; let it"
        return ""


def _errors(ended: Ended) -> list[str]:
    """What nginx itself has said that it can't do."""
    return [line for line in ended.output.splitlines() if "[emerg]" in line or "[error]" in line]


def _said(ended: Ended) -> str:
    """Why nginx refuses: its first error, else all that it said."""
    errors = _errors(ended)
    return attrs.evolve(ended, output=errors[0]).words if errors else ended.words
