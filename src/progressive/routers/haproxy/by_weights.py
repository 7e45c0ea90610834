"""HAProxy by the weights of two servers of one backend."""

from __future__ import annotations

import csv
from fractions import Fraction
from math import gcd
from typing import Final

import attrs

from progressive.adapters import parts
from progressive.adapters.flow import Client, Malformed
from progressive.adapters.lines import Line, LineFlow, LineSocket, to_line_socket
from progressive.adapters.router import Router
from progressive.errors import Failure, RouterError
from progressive.model.release import Release
from progressive.model.router_state import Capabilities, Marker, Served
from progressive.model.traffic import Traffic
from progressive.model.units import MILLION, Percent, percent

from .runtime import client, is_word, refuse_names, refused, typed

__all__ = ["HAProxyWeights"]

_LARGEST: Final = 256
"""Of a server's weight (configuration manual, 5.2). 0 takes no new requests."""

_KEEPS_SHARES: Final = "roundrobin"
"""Of 99:1, ``leastconn`` gives the 1 up to a half, ``random`` 2 % under load; hashes keep shares of
keys and not of requests; ``static-rr`` takes no weights at run time.
"""

_BACKEND_AND_SERVERS: Final = 2 + 4
"""Rows of ``show stat``, as a sum of bits (management guide, 9.1)."""


@attrs.frozen(kw_only=True)
class _Pool:
    """A backend as it stands: how it chooses, the weight of every server, and which of them take
    requests.
    """

    algorithm: str
    weights: dict[str, int]
    taking: frozenset[str]

    @property
    def effective(self) -> dict[str, int]:
        """What takes no requests has no weight."""
        return {name: weight if name in self.taking else 0 for name, weight in self.weights.items()}

    def others(self, release: Release) -> list[str]:
        """The servers that take requests and are neither version's."""
        ours = {version.backend for version in release.versions.values()}
        return [name for name, weight in self.effective.items() if weight and name not in ours]


@attrs.frozen(kw_only=True)
class HAProxyWeights(Router[Line, str, _Pool]):
    """Two servers of one ``backend`` of one HAProxy, by its runtime ``socket``. A version's
    ``backend`` is its server's name.

    The weights are the smallest whole numbers that give the share exactly; HAProxy follows small
    ones soonest. What rises is written first, so never both are 0, and the candidate never has more
    than before or after. The commands are one line, but not one change.

    Servers that are down, in maintenance or drained count as nothing. Servers of neither version
    that take requests keep a rollout from starting; a way back sets them to 0. Only ``balance
    roundrobin`` keeps a share. No place for a marker: the store alone keeps a second driver out;
    where that is not enough, use a map.

    Clients that a cookie holds stay at a server of weight 0 (``set server ... state maint`` ends
    that), and an agent check overwrites weights within seconds. (Tried with HAProxy 2.8.)
    """

    capabilities = Capabilities(smallest_weight=percent(0.5))
    """Every multiple of 0.5 % for two versions: of 200 parts, which two weights of up to 256 can
    say.
    """

    socket: LineSocket = attrs.field(converter=to_line_socket)
    backend: str = attrs.field(validator=is_word)
    _client: Client[Line, str] = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(lambda self: client(self.socket), takes_self=True),
    )

    def undo(self, release: Release) -> str:
        """The line to type (with socat) to give all traffic back to stable."""
        refuse_names(release, "/")
        commands = self._commands(_in_order({}, _weights(release, Traffic())))
        return f"echo '{commands}' | {typed(self.socket)}"

    def _where(self) -> str:
        return f"HAProxy backend {self.backend}"

    def _refuse(self, release: Release, traffic: Traffic) -> None:
        refuse_names(release, "/")
        _weights(release, traffic)
        super()._refuse(release, traffic)

    def _read(self, release: Release) -> LineFlow[_Pool]:
        answer = yield Line(f"show stat {self.backend} {_BACKEND_AND_SERVERS} -1")
        if not answer.startswith("# pxname,"):
            raise refused(
                f"show stat {self.backend}: {answer.strip()[:200]}; give the backend's name"
            )
        return _parsed(answer.removeprefix("# "))

    def _served(self, release: Release, found: _Pool) -> Served:
        version = " ".join(f"{name}={weight}" for name, weight in found.effective.items())
        return parts.served(
            [parts.Part.of(release, found.effective)],
            version=version,
            whole=parts.is_whole(release, found.weights),
        )

    def _refuse_found(self, release: Release, found: _Pool) -> None:
        parts.refuse_missing(
            release, found.weights, what="server", where=self._where(), hint="add it with weight 0"
        )
        _refuse_algorithm(self.backend, found.algorithm)
        others = found.others(release)
        if others:  # perhaps more servers of stable: without them it could not carry everything
            raise refused(
                f"{', '.join(others)} of backend {self.backend} take requests and are neither "
                "version's; give them weight 0, or each version a backend of its own, and use "
                "HAProxy(map=...)"
            )

    def _write(
        self, release: Release, traffic: Traffic, marker: Marker, before: _Pool
    ) -> LineFlow[None]:
        stable = (release.stable or release.candidate).backend
        if stable not in before.weights:  # the others at 0 would be a 503 for everybody
            raise refused(
                f"{stable} is not in backend {self.backend}, so there is nothing to go back to; "
                "add it"
            )
        wanted = {
            name: weight
            for name, weight in _weights(release, traffic).items()
            if name in before.weights  # a raise was refused before
        }
        others = before.others(release)
        weights = [*_in_order(before.weights, wanted), *((name, 0) for name in others)]
        # One line, so that nothing comes in between.
        answer = yield Line(self._commands(weights), write=True)
        refusals = [line for line in answer.splitlines() if line.strip()]
        if len(refusals) == len(weights):
            raise refused(refusals[0])
        if refusals:
            why = f"HAProxy: {refusals[0]}; the others of the weights were set, so read again"
            raise RouterError(why, failure=Failure.UNKNOWN)

    def _commands(self, weights: list[tuple[str, int]]) -> str:
        return "; ".join(f"set weight {self.backend}/{name} {weight}" for name, weight in weights)


def _refuse_algorithm(backend: str, algorithm: str) -> None:
    if not algorithm:
        raise refused(
            f"backend {backend}: its balance algorithm is not shown; the socket needs level admin"
        )
    if algorithm != _KEEPS_SHARES:
        called = "random (unknown to show stat)" if algorithm == "unknown" else algorithm
        raise refused(
            f"backend {backend}: balance {called} keeps no share; use balance roundrobin, or a map"
        )


def _parsed(answer: str) -> _Pool:
    rows = list(csv.DictReader(answer.splitlines()))
    if any(None in row.values() for row in rows):
        raise Malformed("a row of show stat is cut off")
    try:
        algorithm = next(row["algo"] for row in rows if row["svname"] == "BACKEND")
        servers = [row for row in rows if row["svname"] != "BACKEND"]
        weights = {row["svname"]: int(row["uweight"]) for row in servers}
        up = (
            row
            for row in servers
            if row["act"] == "1" and row["status"].startswith(("UP", "no check"))
        )
        return _Pool(
            algorithm=algorithm, weights=weights, taking=frozenset(row["svname"] for row in up)
        )
    except (KeyError, StopIteration, ValueError) as why:
        raise Malformed(f"show stat lacks a column or a row ({type(why).__name__})") from None


def _weights(release: Release, traffic: Traffic) -> dict[str, int]:
    """The smallest weights that give each version its share, stable first.

    Raises for a share that no two weights give, with the nearest that two do.
    """
    stable = (release.stable or release.candidate).backend
    ours, theirs = traffic.candidate.ppm, traffic.stable.ppm
    divisor = gcd(ours, theirs)
    found = {stable: theirs // divisor, release.candidate.backend: ours // divisor}
    if max(found.values()) > _LARGEST:
        share, pair = _nearest(ours)
        raise refused(
            f"no two weights from 1 to {_LARGEST} give exactly {traffic.candidate}; the nearest is "
            f"{share} ({pair}). Use multiples of 0.5 %, or HAProxy(map=...), which is exact to a "
            "millionth"
        )
    return found


def _nearest(ppm: int) -> tuple[Percent, str]:
    """The share nearest to one that no two weights give, and its weights, stable's first."""
    pairs = [
        (min(_LARGEST, max(1, candidate * (MILLION - ppm) // ppm + more)), candidate)
        for candidate in range(1, _LARGEST + 1)
        for more in (0, 1)
    ]
    stable, candidate = min(
        pairs, key=lambda pair: abs(Fraction(pair[1], sum(pair)) - Fraction(ppm, MILLION))
    )
    return Percent(candidate * MILLION // (stable + candidate)), f"{stable} to {candidate}"


def _in_order(before: dict[str, int], wanted: dict[str, int]) -> list[tuple[str, int]]:
    """The weights in the order to write them: what rises before what falls; of two that rise stable
    first, of two that fall the candidate.

    So the candidate's share in between is never more than the larger of before and after, and some
    weight is above 0. A weight that is right already is written again: a write proves that weights
    can be written.
    """
    rising = {name: weight for name, weight in wanted.items() if weight > before.get(name, 0)}
    return [*rising.items(), *reversed([each for each in wanted.items() if each[0] not in rising])]
