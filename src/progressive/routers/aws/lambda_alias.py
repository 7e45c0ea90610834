"""A function of AWS Lambda by the versions of an alias."""

from __future__ import annotations

import re
import shlex
from typing import Any, Final

import attrs

from progressive.adapters import parts
from progressive.adapters.aws import Answer, Aws, AwsClient, AwsFlow, Call, typed
from progressive.adapters.decoding import get_path
from progressive.adapters.flow import Client
from progressive.adapters.router import Router, goes_back
from progressive.errors import RouterError
from progressive.model import fields
from progressive.model.release import Release
from progressive.model.router_state import Capabilities, Marker, Served
from progressive.model.traffic import Traffic
from progressive.model.units import MILLION, percent

__all__ = ["LambdaAlias"]

OURS: Final = "progressive "
"""What the marker stands behind, in the description of the alias."""

MARKED: Final = re.compile(rf"{OURS}(\d{{1,19}}:\d{{1,19}}:[01](?::[a-z][a-z0-9]{{0,31}})?)$")

LONGEST: Final = 160
"""Characters of a description that stay; Lambda takes 256, the marker's included."""


@attrs.frozen(kw_only=True)
class _Alias:
    """The alias as it stands: parts per million by version, its description, and the marker."""

    shares: dict[str, int]
    description: str
    revision: str | None
    marker: Marker | None


@attrs.frozen(kw_only=True)
class LambdaAlias(Router[Call, Answer, _Alias]):
    """One ``alias`` of one ``function`` of AWS Lambda: its main version is stable, the further one
    the candidate.

    Weights are multiples of 0.1 %, drawn by Lambda for every call. At 100 % the candidate is the
    main version. The marker stands at the end of the alias' description. A write quotes the
    alias' ``RevisionId``, and Lambda refuses it if the alias has changed since. A version that is
    not there is refused by Lambda itself. (Tried on moto 5, which is no Lambda: it keeps what it is
    told, and compares no revision.)
    """

    function: str = attrs.field(validator=fields.is_name)
    alias: str = attrs.field(validator=fields.is_name)
    aws: Aws = attrs.field(factory=Aws, validator=fields.is_a(Aws, "Aws(region=...)"))
    capabilities = Capabilities(smallest_weight=percent(0.1), marker=True, compare_and_set=True)
    """Multiples of 0.1 % for two versions, a marker, and writes that Lambda compares."""
    _client: Client[Call, Answer] = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(
            lambda self: AwsClient(self.aws, RouterError, "AWS"), takes_self=True
        ),
    )

    @property
    def _named(self) -> dict[str, str]:
        return {"FunctionName": self.function, "Name": self.alias}

    def undo(self, release: Release) -> str:
        """The line to type (with the AWS CLI and jq) to give all calls back to stable. It closes
        the marker too: a driver that still runs goes back.
        """
        aws = typed(self.aws, "lambda")
        of = f"--function-name {shlex.quote(self.function)} --name {shlex.quote(self.alias)}"
        stable = shlex.quote((release.stable or release.candidate).backend)
        program = (
            '(.Description // "") | if test("progressive [0-9]+:[0-9]+:[01](:[a-z0-9]+)?$") then '
            'sub("progressive (?<g>[0-9]+):(?<s>[0-9]+):[01](?<o>(:[a-z0-9]+)?)$"; '
            '"progressive \\(.g):\\(.s):1\\(.o)") else .[:160] + "progressive 0:0:1" end'
        )
        return (
            f"{aws} update-alias {of} --function-version {stable} "
            "--routing-config AdditionalVersionWeights={} "
            f'--description "$({aws} get-alias {of} | jq -r {shlex.quote(program)})"'
        )

    def _where(self) -> str:
        return f"alias {self.alias} of {self.function}"

    def _read(self, release: Release) -> AwsFlow[_Alias]:
        answer: Any = yield Call("lambda", "GetAlias", self._named)
        routing = answer.get("RoutingConfig") or {}
        further = routing.get("AdditionalVersionWeights") or {}
        shares = {name: round(weight * MILLION) for name, weight in further.items()}
        main = get_path(answer, "FunctionVersion", str)
        rest = MILLION
        for each in shares.values():
            rest -= each
        shares[main] = shares.get(main, 0) + rest
        description = str(answer.get("Description", ""))
        found = MARKED.search(description)
        return _Alias(
            shares=shares,
            description=description if found is None else description[: found.start()],
            revision=answer.get("RevisionId"),
            marker=None if found is None else Marker.loads(found[1]),
        )

    def _served(self, release: Release, found: _Alias) -> Served:
        return parts.served(
            [parts.Part.of(release, found.shares)],
            version=f"{found.revision} {sorted(found.shares.items())} {found.marker}",
            marker=found.marker,
        )

    def _write(
        self, release: Release, traffic: Traffic, marker: Marker, before: _Alias
    ) -> AwsFlow[None]:
        main = (release.stable or release.candidate).backend
        further: dict[str, float] = {}
        if traffic.candidate.ppm == MILLION:
            main = release.candidate.backend
        elif traffic.candidate.ppm:
            further = {release.candidate.backend: traffic.candidate.ppm / MILLION}
        changed: dict[str, object] = {
            **self._named,
            "FunctionVersion": main,
            "RoutingConfig": {"AdditionalVersionWeights": further},
            "Description": f"{before.description[:LONGEST]}{OURS}{marker.dumps()}",
        }
        back = goes_back(traffic, self._served(release, before), marker)
        if before.revision is not None and not (back and marker.closed):
            changed["RevisionId"] = before.revision
        yield Call("lambda", "UpdateAlias", changed, write=True)
