"""nginx by the file of one split, which the router writes and nginx loads."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from datetime import timedelta
from typing import Final

import attrs

from progressive.adapters import local, parts
from progressive.adapters.flow import Client, after_write
from progressive.adapters.http import Http, HttpClient, Request, to_http
from progressive.adapters.local import (
    Asked,
    Ended,
    LocalClient,
    LocalFlow,
    Pause,
    Program,
    ReadFile,
    WriteFile,
    ask,
    done,
)
from progressive.adapters.router import Router, goes_back
from progressive.errors import Failure, RouterError, StrategyError
from progressive.model import fields
from progressive.model.release import Release
from progressive.model.router_state import Capabilities, Marker, Served
from progressive.model.traffic import ALL_STABLE, Traffic
from progressive.model.units import percent, seconds

from .split import EACH_REQUEST, Layout, Split, is_word, weights_of
from .workers import LookAtWorkers, Workers

__all__ = ["Http", "Nginx"]

LOOKS: Final = 3
"""New connections in a row that must be told the new split, where the old workers can't be seen."""

POLLS: Final = 40
NAP: Final = 0.05
"""Looks after a reload, and the seconds between them: two in all. Usual are a tenth to a half."""

_BACKEND: Final = re.compile(r"[A-Za-z0-9._-]+(?::[0-9]{1,5})?")
_ADDRESS: Final = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?::[0-9]{1,5})?")
_HEADER: Final = re.compile(r"[a-z0-9-]+")
_UPSTREAM: Final = re.compile(r"^\s*upstream\s+[\"']?([^\s\"'{]+)[\"']?\s*\{", re.MULTILINE)


def _is_variable(instance: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or re.fullmatch(r"[a-z][a-z0-9_]*", value) is None:
        raise StrategyError(
            f"{fields.where(instance, attribute)}: {fields.brief(value)} is no name of a variable: "
            "small letters, digits and _, such as 'shop' for $shop"
        )


def _is_key(instance: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or re.fullmatch(r"\$[a-z][A-Za-z0-9_]*", value) is None:
        raise StrategyError(
            f"{fields.where(instance, attribute)}: {fields.brief(value)} is no variable of nginx, "
            "such as '$request_id' or '$cookie_user'"
        )


@attrs.frozen(kw_only=True)
class _Found:
    """What stands in the file, what nginx says that it has loaded, and whether workers of an
    earlier split still answer.

    ``split`` is None where the file is not as this router writes it; ``loaded`` where nginx did not
    say, and ``why`` has the reason.
    """

    text: str | None
    split: Split | None
    loaded: str | None
    workers: Workers
    draining: bool
    why: str = ""

    @property
    def is_loaded(self) -> bool:
        return self.split is not None and self.loaded == self.split.word


@attrs.frozen(kw_only=True)
class Nginx(Router[Asked, object, _Found]):
    """One split of the nginx of this machine: the file (``include``) that this router writes, the
    ``variable`` that it gives, and the server (``status``) that answers ``GET /shop_split`` with
    ``$shop_split``.

    A version's ``backend`` is the name of an upstream, or an address (``10.0.0.1:8080``). Weights
    are multiples of 0.01 %. Every request is decided by itself; with another ``key``, a variable
    such as ``$cookie_user``, all requests of one user are, and the part of the users that has the
    candidate only grows with its weight. Requests without it are decided one by one.

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
    pid_file: str | None = attrs.field(default="/run/nginx.pid")
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

    @pid_file.validator
    def _is_pid_file(self, attribute: attrs.Attribute[str | None], value: object) -> None:
        if value is not None:
            local.is_path(self, attribute, value)

    def initial(self, release: Release) -> str:
        """The text of the file before the first rollout: all traffic to stable, no marker."""
        self._refuse_names(release, ALL_STABLE)
        return self._layout.text(Split.of(release, _home(release), None))

    def undo(self, release: Release) -> str:
        """The line to type to give all traffic back to stable, where the file can be written. It
        closes the marker too: a driver that still runs goes back.
        """
        self._refuse_names(release, ALL_STABLE)
        split = Split.of(release, _home(release), Marker(generation=0, closed=True))
        text = self._layout.text(split).replace('"0:0:1 ', '"@ ')
        program = (
            "import os, re, shutil; "
            f"at = os.path.realpath({json.dumps(self.include)}); "
            "there = os.path.exists(at); "
            'old = open(at, errors="replace").read() if there else ""; '
            "was = re.search(r'default \"(\\d+:\\d+):[01](:\\w+)? ', old); "
            'mark = was[1] + ":1" + (was[2] or "") if was else "0:0:1"; '
            'new = open(at + ".undo", "w"); '
            f'new.write({json.dumps(text)}.replace("@", mark)); new.close(); '
            'there and shutil.copymode(at, at + ".undo"); os.replace(at + ".undo", at)'
        )
        nginx = shlex.join(self.nginx)
        return f"python3 -c {shlex.quote(program)} && {nginx} -t && {nginx} -s reload"

    @property
    def _layout(self) -> Layout:
        return Layout(self.variable, self.key, self.mirror)

    def _where(self) -> str:
        return self.include

    def _refuse(self, release: Release, traffic: Traffic) -> None:
        self._refuse_names(release, traffic)
        super()._refuse(release, traffic)

    def _refuse_names(self, release: Release, traffic: Traffic) -> None:
        for track, version in release.versions.items():
            if _BACKEND.fullmatch(version.backend) is None:
                raise _refused(
                    f"{track.label(release)}: {version.backend!r} can be no upstream and no "
                    "address; name an upstream by letters, digits and ._-"
                )
        for match in traffic.matches:
            if match.source == "header" and _HEADER.fullmatch(match.name) is None:
                raise _refused(
                    f"header {match.name!r}: nginx can't tell it; use letters, digits and -"
                )
            if not match.value:
                raise _refused(f"{match.source} {match.name!r}: nginx can't tell empty from absent")

    def _read(self, release: Release) -> LocalFlow[_Found]:
        found = yield from self._found(asked=True)
        return found

    def _before(self, release: Release, expect: str | None) -> LocalFlow[_Found]:
        """A way back is written also where nginx does not say what it has loaded."""
        found = yield from self._found(asked=False)
        return found

    def _found(self, *, asked: bool) -> LocalFlow[_Found]:
        file = yield from done(ReadFile(self.include))
        split = None if file.text is None else self._layout.parsed(file.text)
        loaded: str | None = None
        workers, why = Workers(), ""
        try:
            loaded = yield from self._told()
            if self.pid_file is not None:
                workers = yield from done(LookAtWorkers(self.pid_file))
            elif split is not None and loaded == split.word:
                for _ in range(LOOKS - 1):
                    again = yield from self._told()
                    loaded = again if again != loaded else loaded
        except RouterError as error:
            if asked:
                raise
            why = str(error)
        return _Found(
            text=file.text,
            split=split,
            loaded=loaded,
            workers=workers,
            draining=bool(workers.leaving) and file.age < self.drain.total_seconds(),
            why=why,
        )

    def _told(self) -> LocalFlow[str]:
        """What a new connection is told; a kept one may belong to an old worker."""
        name = f"{self.variable}_split"
        answer = yield from ask(Request("GET", f"/{name}", headers={"Connection": "close"}))
        if not is_word(answer.text.strip()):
            raise _refused(
                f"{self.status.origin}/{name} answered {answer.text[:80]!r}, and not what ${name} "
                f"says; let it `return 200 ${name}`"
            )
        return answer.text.strip()

    def _served(self, release: Release, found: _Found) -> Served:
        version = hashlib.sha256((found.text or "").encode("utf-8", "replace")).hexdigest()[:16]
        if found.split is None:
            everything = Traffic(candidate=percent(100))
            return Served(traffic=everything, version=version, marker=None, converged=False)
        here = found.split.part(release)
        all_parts = [here]
        if found.loaded is not None and not found.is_loaded:
            weights = weights_of(found.loaded)
            there = parts.Part.of(release, weights)
            traffic = attrs.evolve(
                there.traffic, matches=here.traffic.matches, mirror=here.traffic.mirror
            )
            all_parts.append(attrs.evolve(there, traffic=traffic))
        away = found.split.leads_away and found.split.to != release.candidate.backend
        return parts.served(
            all_parts,
            version=version,
            marker=found.split.marker,
            converged=found.is_loaded and not found.draining and not away,
        )

    def _refuse_found(self, release: Release, found: _Found) -> None:
        if found.split is None:
            raise _refused(self._problem(found.text))
        if found.loaded is None:
            raise RouterError(found.why, failure=Failure.TRANSIENT)

    def _problem(self, text: str | None) -> str:
        """What is wrong with the file, and what to do."""
        if text is None:
            wrong, mend = "is not there", "include it in nginx.conf, with"
        else:
            wrong, mend = "is not as it was written: edited by hand?", "Put back"
        return f"{self.include} {wrong}; {mend} what Nginx(...).initial(release) gives"

    def _write(
        self, release: Release, traffic: Traffic, marker: Marker, before: _Found
    ) -> LocalFlow[_Found]:
        back = goes_back(traffic, self._served(release, before), marker)
        text = self._layout.text(Split.of(release, traffic, marker))
        if text == before.text and before.is_loaded and not before.draining:
            return before
        yield from self._refuse_configuration(release, traffic, before, back=back)
        if text != before.text:
            yield from done(WriteFile(self.include, text, before.text))
        failed = yield from self._tested()
        if not failed:
            failed = yield from self._reloaded()
        if failed and (back or before.text in (None, text)):
            raise RouterError(
                f"{failed}; {self.include} has {traffic} and nginx has not loaded it: mend what it "
                "says, and reload",
                failure=Failure.UNKNOWN,
            )
        if failed:
            assert before.text is not None  # nothing is raised without a file
            yield from done(WriteFile(self.include, before.text, text))
            raise _refused(f"{failed}; {self.include} is as it was")
        with after_write():
            for _ in range(POLLS):
                found = yield from self._found(asked=True)
                gone = found.workers.all.isdisjoint(before.workers.all)
                if found.text != text or (found.is_loaded and gone):
                    break
                yield from done(Pause(NAP))
        return found

    def _tested(self) -> LocalFlow[str]:
        """Why nginx would not load what there is now; empty if it would."""
        try:
            ended = yield from done(Program((*self.nginx, "-t")))
        except RouterError as error:
            return str(error)
        return self._refusal(ended, "-t")

    def _reloaded(self) -> LocalFlow[str]:
        """Have nginx load it; why it was not told to, empty if it was.

        Raises UNKNOWN where the program did not come to its end.
        """
        ended = yield from done(Program((*self.nginx, "-s", "reload"), write=True))
        refusal = self._refusal(ended, "-s", "reload")
        if ended.code < 0:
            raise RouterError(
                f"{refusal} killed by signal {-ended.code}: nginx was told, or not; read again",
                failure=Failure.UNKNOWN,
            )
        return refusal

    def _refusal(self, ended: Ended, *arguments: str) -> str:
        line = shlex.join((*self.nginx, *arguments))
        return "" if ended.code == 0 else f"`{line}` failed: {_said(ended)}"

    def _refuse_configuration(
        self, release: Release, traffic: Traffic, before: _Found, *, back: bool
    ) -> LocalFlow[None]:
        """Raise for what the whole configuration lacks. A way back goes on without knowing it, but
        never to a stable that nginx can't reach.
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
            raise _refused(f"{self._refusal(ended, '-T')}; mend it first")
        config = ended.output.replace(before.text, "") if before.text else ended.output
        known = _UPSTREAM.findall(config)
        known += [
            version.backend
            for version in release.versions.values()
            if _ADDRESS.fullmatch(version.backend)
        ]
        if back:
            home = (release.stable or release.candidate).backend
            if home not in known:
                raise _refused(
                    f"nginx has no upstream {home}, so there is nothing to go back to; add it"
                )
            return
        if config == ended.output:
            raise _refused(f"nginx does not include {self.include}; include it in http {{ }}")
        for name in (self.variable, *([f"{self.variable}_mirror"] if self.mirror else [])):
            if re.search(rf"\$(?:{name}\b|\{{{name}\}})", config) is None:
                raise _refused(f"nothing in nginx's configuration uses ${name}; let it pass there")
        parts.refuse_missing(
            release, known, what="the upstream", where="nginx", hint="add it and reload"
        )


def _home(release: Release) -> Traffic:
    """All that there is to stable; to the candidate, if it is the first version."""
    return ALL_STABLE if release.stable is not None else Traffic(candidate=percent(100))


def _refused(why: str) -> RouterError:
    return RouterError(why, failure=Failure.PERMANENT)


def _said(ended: Ended) -> str:
    """Why nginx refuses: its first error, else all that it said."""
    errors = [line for line in ended.output.splitlines() if "[emerg]" in line or "[error]" in line]
    return attrs.evolve(ended, output=errors[0]).words if errors else ended.words
