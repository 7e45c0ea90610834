"""A name in Route 53 by the weights of its records."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

import attrs

from progressive.adapters import parts
from progressive.adapters.aws import Answer, Aws, AwsClient, AwsFlow, Call, typed
from progressive.adapters.decoding import get_path
from progressive.adapters.flow import Client
from progressive.adapters.router import Router, goes_back
from progressive.errors import Failure, RouterError, StateError, StrategyError
from progressive.model import fields
from progressive.model.release import Release
from progressive.model.router_state import Capabilities, Marker, Served
from progressive.model.traffic import Traffic
from progressive.model.units import Percent, percent, seconds

__all__ = ["WeightedRecords"]

TYPES: Final = ("A", "AAAA", "CNAME")

TOTAL: Final = 200
"""What the weights add up to: half percents, and none above 255, which is the most."""

ALIAS_TTL: Final = 60
"""Seconds for which an alias to a load balancer is kept; it has no TTL of its own."""

_NAME: Final = re.compile(r"(?:[a-z0-9_-]{1,63}\.)+")
_SAID: Final = re.compile(r'"([0-9:a-z]+) ([0-9]{1,12})(?: ([0-9a-f]{16}))?"')


def _absolute(value: str) -> str:
    return f"{value.rstrip('.').lower()}." if isinstance(value, str) else value


def _is_dns_name(instance: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or _NAME.fullmatch(value) is None:
        raise StrategyError(
            f"{fields.where(instance, attribute)}: {fields.brief(value)} is no name of a record, "
            "such as 'shop.example.com': letters, digits, - and _"
        )


def _is_type(instance: object, attribute: attrs.Attribute[str], value: object) -> None:
    if value not in TYPES:
        raise StrategyError(
            f"{fields.where(instance, attribute)}: {fields.brief(value)} is not one of "
            f"{', '.join(TYPES)}"
        )


@attrs.frozen(kw_only=True)
class _Records:
    """The weighted records by what they are called, the one with the marker, and what it says."""

    records: dict[str, Mapping[str, Any]]
    said: Mapping[str, Any] | None
    marker: Marker | None
    written: int | None
    wrong: str = ""

    @property
    def weights(self) -> dict[str, int]:
        """As they count: where all are 0, Route 53 takes all alike."""
        found = {name: each["Weight"] for name, each in self.records.items()}
        return found if any(found.values()) else dict.fromkeys(found, 1)

    @property
    def ttl(self) -> int:
        """The longest time for which a resolver may keep an answer."""
        return max((each.get("TTL", ALIAS_TTL) for each in self.records.values()), default=0)


@attrs.frozen(kw_only=True)
class WeightedRecords(Router[Call, Answer, _Records]):
    """The weighted records of one ``name`` and ``type`` in one hosted ``zone`` of Route 53.

    A version's ``backend`` is the ``SetIdentifier`` of its record; all stand there before, the new
    one with weight 0. Weights are multiples of 0.5 %. What is drawn is each answer of the name
    servers: everybody behind one resolver has the same version until its TTL is over, and nothing
    is verified before the longest TTL and ``lag`` have passed since the write (``lag``: until all
    name servers of Route 53 have it; they say within 60 seconds). Resolvers and clients that keep
    an answer longer are not seen, and a way back takes as long.

    The marker stands in a TXT record beside it (``_progressive-a.`` and the name, for type A), and
    is written in one change together with the weights. Route 53 refuses a change of what is not as
    it was read. It has rules of its own for records with health checks: one that fails gets
    nothing, but where all those fail that have a weight, the others are asked, also the candidate
    after a way back. Records of another type (AAAA) are another router's. (Tried on moto 5,
    which is no name server: it keeps what it is told.)
    """

    zone: str = attrs.field(validator=fields.is_name)
    name: str = attrs.field(converter=_absolute, validator=_is_dns_name)
    type: str = attrs.field(default="A", validator=_is_type)
    lag: timedelta = attrs.field(
        default=seconds(60), converter=fields.whole_ms, validator=fields.is_span
    )
    aws: Aws = attrs.field(factory=Aws, validator=fields.is_a(Aws, "Aws(region=...)"))
    capabilities = Capabilities(
        smallest_weight=percent(0.5), baseline=True, marker=True, compare_and_set=True
    )
    """Multiples of 0.5 % for up to three versions, a marker, and writes that Route 53 compares."""
    _client: Client[Call, Answer] = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(
            lambda self: AwsClient(self.aws, RouterError, "AWS"), takes_self=True
        ),
    )

    def undo(self, release: Release) -> str:
        """The line to type (with the AWS CLI and jq) to give all answers back to stable. It closes
        the marker too: a driver that still runs goes back.
        """
        stable = json.dumps((release.stable or release.candidate).backend)
        mine = f'.Name == "{self.name}" and .Type == "{self.type}" and .SetIdentifier'
        marked = f'.Name == "{self._marked}" and .Type == "TXT"'
        program = (
            f"[.ResourceRecordSets[] | select({mine})] as $mine | "
            f"(if any($mine[]; .SetIdentifier == {stable}) then . "
            'else error("no record of stable") end) | '
            f"([.ResourceRecordSets[] | select({marked}) | .ResourceRecords[0].Value | "
            'capture("^\\"(?<was>[0-9]+:[0-9]+):[01](?<owner>(:[a-z0-9]+)?) ")][0] '
            '// {was: "0:0", owner: ""}) as $m | '
            '{Changes: (($mine | map({Action: "UPSERT", ResourceRecordSet: (.Weight = '
            f"(if .SetIdentifier == {stable} then 1 else 0 end))}})) + "
            '[{Action: "UPSERT", ResourceRecordSet: {'
            f'Name: "{self._marked}", Type: "TXT", TTL: 60, '
            'ResourceRecords: [{Value: "\\"\\($m.was):1\\($m.owner) \\(now | floor)\\""}]}}])}'
        )
        aws = typed(self.aws, "route53")
        of = f"--hosted-zone-id {shlex.quote(self.zone)}"
        return (
            f"{aws} change-resource-record-sets {of} --change-batch "
            f'"$({aws} list-resource-record-sets {of} | jq -c {shlex.quote(program)})"'
        )

    @property
    def _marked(self) -> str:
        """The name of the record with the marker: another one for each type of a name."""
        return f"_progressive-{self.type.lower()}.{self.name}"

    def _where(self) -> str:
        return f"{self.type} records of {self.name} in zone {self.zone}"

    def _read(self, release: Release) -> AwsFlow[_Records]:
        found = yield from self._listed(self.name, self.type)
        marked = yield from self._listed(self._marked, "TXT")
        weighted = {
            each["SetIdentifier"]: each
            for each in found
            if "Weight" in each and "SetIdentifier" in each
        }
        wrong = ""
        if found and not weighted:
            wrong = "they are not weighted; give each a SetIdentifier and a Weight"
        said = marked[0] if marked else None
        marker, written, hashed = None, None, ""
        if said is not None:
            try:
                marker, written, hashed = _read_marker(said)
            except StateError as error:
                wrong = wrong or f"the TXT record {self._marked}: {error}; take it away"
        read = _Records(records=weighted, said=said, marker=marker, written=written, wrong=wrong)
        if hashed and hashed != _hash(read.weights):  # somebody else's: nobody knows since when
            return attrs.evolve(read, written=None)
        return read

    def _listed(self, name: str, type: str) -> AwsFlow[list[Mapping[str, Any]]]:
        """All records of a name and type; a page begins with the first that is asked for."""
        params: dict[str, object] = {
            "HostedZoneId": self.zone,
            "StartRecordName": name,
            "StartRecordType": type,
        }
        found: list[Mapping[str, Any]] = []
        while True:
            answer: Any = yield Call("route53", "ListResourceRecordSets", params)
            page = get_path(answer, "ResourceRecordSets", list)
            found += [each for each in page if (each["Name"], each["Type"]) == (name, type)]
            going_on = (answer.get("NextRecordName"), answer.get("NextRecordType"))
            if not answer.get("IsTruncated") or going_on != (name, type):
                return found
            params["StartRecordIdentifier"] = answer["NextRecordIdentifier"]

    def _served(self, release: Release, found: _Records) -> Served:
        said = repr((sorted(found.weights.items()), found.marker)).encode()
        seen = found.marker is None or (found.written is not None and self._is_seen(found))
        return parts.served(
            [parts.Part.of(release, found.weights)],
            version=hashlib.sha256(said).hexdigest()[:16],
            marker=found.marker,
            converged=seen,
            whole=not found.wrong and parts.is_whole(release, found.weights),
        )

    def _is_seen(self, found: _Records) -> bool:
        """Whether every resolver has had to ask again since the weights were written."""
        assert found.written is not None  # asked for before
        return time.time() >= found.written + found.ttl + self.lag.total_seconds()

    def _refuse_found(self, release: Release, found: _Records) -> None:
        if found.wrong:
            raise RouterError(f"{self._where()}: {found.wrong}", failure=Failure.PERMANENT)
        parts.refuse_missing(
            release,
            found.weights,
            what="the record",
            where=self._where(),
            hint="add it, with weight 0",
        )

    def _write(
        self, release: Release, traffic: Traffic, marker: Marker, before: _Records
    ) -> AwsFlow[None]:
        last = (release.stable or release.candidate).backend
        if last not in before.records:
            raise RouterError(
                f"{self._where()}: there is none called {last}, so there is nothing to go back to; "
                "add it",
                failure=Failure.PERMANENT,
            )
        shares = {
            version.backend: traffic.share(track) for track, version in release.versions.items()
        }
        wanted = {name: _parts(shares.get(name, Percent(0))) for name in before.records}
        same = parts.Part.of(release, wanted) == parts.Part.of(release, before.weights)
        written = before.written if same else None
        if written is None:
            written = int(time.time())
        back = goes_back(traffic, self._served(release, before), marker)
        changes = self._changes(
            before, wanted, marker, written, compared=not (back and marker.closed)
        )
        batch = {"Comment": "progressive", "Changes": list(changes)}
        params = {"HostedZoneId": self.zone, "ChangeBatch": batch}
        yield Call("route53", "ChangeResourceRecordSets", params, write=True)

    def _changes(
        self,
        before: _Records,
        wanted: Mapping[str, int],
        marker: Marker,
        written: int,
        *,
        compared: bool,
    ) -> Iterator[dict[str, Any]]:
        """One change of all that shall be otherwise. What is compared is taken out as it was read
        and put in anew: Route 53 refuses the whole if it is not so any more.
        """
        said = {
            "Name": self._marked,
            "Type": "TXT",
            "TTL": ALIAS_TTL,
            "ResourceRecords": [{"Value": f'"{marker.dumps()} {written} {_hash(wanted)}"'}],
        }
        pairs = [
            (each, {**each, "Weight": wanted[name]})
            for name, each in before.records.items()
            if each["Weight"] != wanted[name] or not compared
        ]
        for old, new in (*pairs, (before.said, said)):
            if not compared:
                yield {"Action": "UPSERT", "ResourceRecordSet": dict(new)}
                continue
            if old is not None:
                yield {"Action": "DELETE", "ResourceRecordSet": dict(old)}
            yield {"Action": "CREATE", "ResourceRecordSet": dict(new)}


def _parts(share: Percent) -> int:
    return share.ppm * TOTAL // 1_000_000


def _hash(weights: Mapping[str, int]) -> str:
    return hashlib.sha256(repr(sorted(weights.items())).encode()).hexdigest()[:16]


def _read_marker(record: Mapping[str, Any]) -> tuple[Marker, int, str]:
    """The marker of such a record, when the weights were written, in seconds since 1970, and their
    hash, which is nothing where a person has written it.
    """
    values = [each.get("Value", "") for each in record.get("ResourceRecords", ())]
    found = _SAID.fullmatch(values[0]) if len(values) == 1 else None
    if found is None:
        raise StateError(f"{fields.brief(values)} is no marker with a time; edited by hand?")
    return Marker.loads(found[1]), int(found[2]), found[3] or ""
