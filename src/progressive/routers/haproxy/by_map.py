"""HAProxy by one entry of a map: ``stable:millionths:candidate:generation:serial:closed:owner``,
and ``:seconds`` behind it while users stay.
"""

from __future__ import annotations

import re
import shlex
from datetime import timedelta
from typing import Final

import attrs

from progressive.adapters import parts
from progressive.adapters.flow import Client
from progressive.adapters.lines import Line, LineFlow, LineSocket, to_line_socket
from progressive.adapters.router import Router, after_restart, goes_back
from progressive.errors import StateError
from progressive.model import fields
from progressive.model.release import Release
from progressive.model.router_state import AfterRestart, Capabilities, Marker, Served
from progressive.model.traffic import SECOND, Traffic
from progressive.model.units import MILLION, Percent

from .runtime import client, is_word, refuse_names, refused, typed

__all__ = ["HAProxy"]

MARKER_AND_STAY: Final = 5
"""The words behind the split while users stay; the owner may be empty then."""

_SECONDS: Final = re.compile(r"[1-9][0-9]{0,8}")
_ENTRY: Final = re.compile(r"([^:\s]+):([0-9]{1,7}):([^:\s]+)(?::(\S+))?")


@attrs.frozen(kw_only=True)
class _Entry:
    """An entry as it stands in the map; ``marker`` is None until a rollout has written it."""

    text: str
    weights: dict[str, int]
    marker: Marker | None
    stay: timedelta | None

    @classmethod
    def loads(cls, text: str) -> _Entry:
        """Raises `StateError` for what somebody else has written there."""
        match = _ENTRY.fullmatch(text)
        if match is None or int(match[2]) > MILLION:
            raise StateError("it is not stable:millionths:candidate, such as v1:0:v2")
        weights = {match[1]: MILLION - int(match[2])}
        weights[match[3]] = weights.get(match[3], 0) + int(match[2])
        words = [] if match[4] is None else match[4].split(":")
        stay = None
        if len(words) == MARKER_AND_STAY:
            if _SECONDS.fullmatch(words[-1]) is None:
                raise StateError(f"{words[-1]!r} is no number of seconds for which users stay")
            stay = timedelta(seconds=int(words.pop()))
            words = words if words[-1] else words[:-1]
        marker = Marker.loads(":".join(words)) if words else None
        return cls(text=text, weights=weights, marker=marker, stay=stay)


@attrs.frozen(kw_only=True)
class HAProxy(Router[Line, str, _Entry]):
    """One split of one HAProxy: its runtime ``socket`` (a path, ``host:port``, or a `LineSocket`)
    and the file of the ``map``.

    The map is named as the configuration names it, and has an entry for the release's service. A
    version's ``backend`` is a backend of HAProxy. One command writes shares and marker together;
    entries of other services stay. HAProxy can't refuse a write because something moved since the
    read; this looks again just before it writes, which leaves a gap of a few milliseconds. After a
    restart the file rules again, without a marker: a rollout then holds, or with
    ``after_restart="reassert"`` writes what was verified last again.

    ``affinity=True`` says that the configuration draws by user while the entry has seconds at its
    end, as the page on HAProxy shows: the weights are then exact shares of the users, and a raise
    moves none back to stable. (Tried with HAProxy 2.8.)
    """

    socket: LineSocket = attrs.field(converter=to_line_socket)
    map: str = attrs.field(validator=is_word)
    affinity: bool = attrs.field(default=False, validator=fields.is_a(bool, "True or False"))
    after_restart: AfterRestart = after_restart()
    capabilities: Capabilities = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(
            lambda self: Capabilities(
                smallest_weight=Percent(1),
                affinity=self.affinity,
                marker=True,
                after_restart=self.after_restart,
            ),
            takes_self=True,
        ),
    )
    """Weights of any size for two versions, affinity if the configuration has it, and a marker."""
    _client: Client[Line, str] = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(lambda self: client(self.socket), takes_self=True),
    )

    def undo(self, release: Release) -> str:
        """The line to type (with awk and socat) to give all traffic back to stable. It closes the
        marker too.
        """
        refuse_names(release, ":")
        entry = f"{self._stable(release)}:0:{release.candidate.backend}"
        filled = f"{release.service} {entry}:%d:%d:1%s"
        owner = '(e[7] == "" ? "" : ":" e[7])'
        written = f'printf "set map {self.map} {filled}\\n", e[4], e[5], {owner}'
        program = f'$2 == "{release.service}" {{split($3, e, ":"); {written}; exit}}'
        end = typed(self.socket)
        return f"echo 'show map {self.map}' | {end} | awk {shlex.quote(program)} | {end}"

    def _where(self) -> str:
        return f"HAProxy map {self.map}"

    def _refuse(self, release: Release, traffic: Traffic) -> None:
        refuse_names(release, ":")
        super()._refuse(release, traffic)

    def _read(self, release: Release) -> LineFlow[_Entry]:
        answer = yield Line(f"show map {self.map}")
        lines = [line.split(maxsplit=2) for line in answer.splitlines()]
        if any(len(words) < 2 or not words[0].startswith("0x") for words in lines):
            raise refused(f"show map {self.map}: {answer.strip()[:200]}")
        found = [" ".join(words[2:]) for words in lines if words[1] == release.service]
        usual = f"{release.service} {self._stable(release)}:0:{release.candidate.backend}"
        if not found:
            raise refused(
                f"{self.map} has no entry for it; add the line '{usual}' to it, and reload"
            )
        try:
            return _Entry.loads(found[0])  # of two the first one rules; a write changes both
        except StateError as why:
            raise refused(
                f"{self.map} has {found[0][:100]!r} for {release.service}: {why.why}; edited by "
                f"hand? `set map {self.map} {usual}` mends it"
            ) from None

    def _served(self, release: Release, found: _Entry) -> Served:
        part = parts.Part.of(release, found.weights)
        part = attrs.evolve(part, traffic=attrs.evolve(part.traffic, sticky=found.stay))
        return parts.served([part], version=found.text, marker=found.marker)

    def _write(
        self, release: Release, traffic: Traffic, marker: Marker, before: _Entry
    ) -> LineFlow[None]:
        stable, candidate = self._stable(release), release.candidate.backend
        if not goes_back(traffic, self._served(release, before), marker):
            answer = yield Line("show backend")
            parts.refuse_missing(
                release,
                answer.split()[2:],
                what="backend",
                where="HAProxy",
                hint="add it and reload",
            )
        entry = f"{stable}:{traffic.candidate.ppm}:{candidate}:{marker.dumps()}"
        if traffic.sticky is not None:
            entry += f"{'' if marker.owner else ':'}:{traffic.sticky // SECOND}"
        yield Line(f"set map {self.map} {release.service} {entry}", write=True, silent=True)

    @staticmethod
    def _stable(release: Release) -> str:
        return (release.stable or release.candidate).backend
