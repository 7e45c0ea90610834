"""A load balancer of AWS by the weights of target groups, in a rule or in a listener."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterator, Mapping
from datetime import timedelta
from math import gcd
from typing import Any, Final

import attrs

from progressive.adapters import parts
from progressive.adapters.aws import Answer, Aws, AwsClient, AwsFlow, Call, typed
from progressive.adapters.decoding import get_path
from progressive.adapters.flow import Client, after_write
from progressive.adapters.logs import ADAPTERS
from progressive.adapters.router import Router, goes_back
from progressive.errors import Failure, RouterError, StateError, StrategyError
from progressive.model import fields
from progressive.model.release import Release, Track
from progressive.model.router_state import Capabilities, Marker, Served
from progressive.model.traffic import SECOND, Traffic
from progressive.model.units import format_duration, percent

__all__ = ["LoadBalancer"]

TAG: Final = "progressive"
"""The tag that carries the marker."""

CLOSED: Final = "progressive-closed"
"""The tag that closes the marker of the generation that it names. No raise writes it, so none that
is under way can open what a person has closed.
"""

LONGEST_STAY: Final = timedelta(days=7)
"""The longest `DurationSeconds` of a target group's stickiness."""

LOOSEN: Final = (
    "| if .ForwardConfig.TargetGroupStickinessConfig then "
    ".ForwardConfig.TargetGroupStickinessConfig = {Enabled: false} else . end "
)

TAKING: Final = ("healthy", "unavailable")
"""States of targets that get requests; of a function there are no checks."""


def _is_arn(instance: object, attribute: attrs.Attribute[str], value: object) -> None:
    kinds = (":listener/", ":listener-rule/")
    if not isinstance(value, str) or not any(kind in value for kind in kinds):
        raise StrategyError(
            f"{fields.where(instance, attribute)}: {fields.brief(value)} is no ARN of a listener "
            "or of a listener's rule, such as 'arn:aws:elasticloadbalancing:eu-west-1:123456789012:"
            "listener-rule/app/shop/...'"
        )


@attrs.frozen(kw_only=True)
class _Forward:
    """The actions as they stand, the weights of the target groups by ARN, how long clients stay
    with one, and the marker.
    """

    actions: tuple[Mapping[str, Any], ...]
    weights: dict[str, int]
    stay: timedelta | None
    marker: Marker | None
    wrong: str = ""

    @property
    def names(self) -> dict[str, int]:
        """The weights by the names of the groups."""
        return {_name(arn): weight for arn, weight in self.weights.items()}

    def problem(self) -> str:
        """What keeps its weights from being shares; empty if nothing does."""
        if self.wrong:
            return self.wrong
        if not self.weights:
            return "it has no forward action to target groups; give it one"
        if len(self.names) != len(self.weights):
            return "two of its target groups have one name; that is another account's, take it out"
        return ""


@attrs.frozen(kw_only=True)
class LoadBalancer(Router[Call, Answer, _Forward]):
    """One rule, or the default action of one listener, of a load balancer of AWS, by its ``arn``.

    Weights are multiples of 0.1 %, drawn by AWS for every request; of a Network Load Balancer for
    every connection, and those that are open stay where they are. What else the actions have
    (authentication before the forward action, the order, stickiness) stays as it is. The marker is
    a tag of the rule or the listener, written before what rises and after what falls. AWS can't
    refuse a write because something moved since the read; this looks again just before it writes.

    Before traffic is raised, the candidate's target group must be there and have a target that is
    healthy. Target groups of neither version count as `Served.unattributed`, and a way back sets
    them to 0.

    A strategy may ask for affinity, for seven days at most: an Application Load Balancer keeps a
    client with its target group by a cookie then, also with stable's; the step to 100 % and every
    way back switch that off, whoever has switched it on.

    Where the action is sticky already, a client stays with its target group, also when the weights
    move, and so after a way back (which is logged): that is refused, unless ``sticky=True`` says
    that it is known and shall stay. (Tried on moto 5, which is no load balancer: it keeps what it
    is told.)
    """

    arn: str = attrs.field(validator=_is_arn)
    aws: Aws = attrs.field(factory=Aws, validator=fields.is_a(Aws, "Aws(region=...)"))
    sticky: bool = attrs.field(default=False, validator=fields.is_a(bool, "True or False"))
    capabilities: Capabilities = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(
            lambda self: Capabilities(
                smallest_weight=percent(0.1),
                baseline=True,
                affinity=not self.sticky and "/net/" not in str(self.arn),
                marker=True,
                sticky=self.sticky,
            ),
            takes_self=True,
        ),
    )
    """Multiples of 0.1 % for up to three versions, affinity, and a marker."""
    _client: Client[Call, Answer] = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(
            lambda self: AwsClient(self.aws, RouterError, "AWS"), takes_self=True
        ),
    )

    @property
    def _of_rule(self) -> bool:
        return ":listener-rule/" in self.arn

    def undo(self, release: Release) -> str:
        """The line to type (with the AWS CLI and jq) to give all traffic back to stable. It closes
        the marker too: a driver that still runs goes back.
        """
        stable = (release.stable or release.candidate).backend
        kind, listed, key = (
            ("rule", "Rules", "Actions")
            if self._of_rule
            else (
                "listener",
                "Listeners",
                "DefaultActions",
            )
        )
        aws = typed(self.aws, "elbv2")
        here = shlex.quote(self.arn)
        program = (
            f"(if any(.{listed}[0].{key}[].ForwardConfig.TargetGroups[]?; "
            f'(.TargetGroupArn | split("/")[-2]) == {json.dumps(stable)}) then . '
            f'else error("no target group of stable") end) | '
            f".{listed}[0].{key} | map(if .ForwardConfig then del(.TargetGroupArn) | "
            ".ForwardConfig.TargetGroups |= map(.Weight = "
            f'(if (.TargetGroupArn | split("/")[-2]) == {json.dumps(stable)} then 1 else 0 end)) '
            f"{'' if self.sticky else LOOSEN}"
            'elif .Type == "authenticate-oidc" then '
            ".AuthenticateOidcConfig.UseExistingClientSecret = true else . end)"
        )
        marked = (
            f'[.TagDescriptions[0].Tags[] | select(.Key == "{TAG}") | .Value | '
            'capture("^(?<generation>[0-9]+):[0-9]+:[01](:|$)") | .generation][0] // "0" '
            f'| "Key={CLOSED},Value=" + .'
        )
        option = "actions" if self._of_rule else "default-actions"
        return (
            f"{aws} add-tags --resource-arns {here} --tags "
            f'"$({aws} describe-tags --resource-arns {here} | jq -r {shlex.quote(marked)})"; '
            f"{aws} modify-{kind} --{kind}-arn {here} --{option} "
            f'"$({aws} describe-{kind}s --{kind}-arns {here} | jq -c {shlex.quote(program)})"'
        )

    def _refuse(self, release: Release, traffic: Traffic) -> None:
        super()._refuse(release, traffic)
        if traffic.sticky is not None and traffic.sticky > LONGEST_STAY:
            raise RouterError(
                f"sticky={format_duration(traffic.sticky)} is longer than AWS lets a client stay, "
                f"{format_duration(LONGEST_STAY)}",
                failure=Failure.PERMANENT,
            )

    def _where(self) -> str:
        return self.arn.rpartition(":")[2]

    def _read(self, release: Release) -> AwsFlow[_Forward]:
        if self._of_rule:
            answer = yield Call("elbv2", "DescribeRules", {"RuleArns": [self.arn]})
            actions = get_path(answer, "Rules.0.Actions", list)
        else:
            answer = yield Call("elbv2", "DescribeListeners", {"ListenerArns": [self.arn]})
            actions = get_path(answer, "Listeners.0.DefaultActions", list)
        tags = yield Call("elbv2", "DescribeTags", {"ResourceArns": [self.arn]})
        weights: dict[str, int] = {}
        stays: list[int] = []
        for action in actions:
            weights.update(_weights(action))
            if (stickiness := _stickiness(action)).get("Enabled"):
                stays.append(stickiness.get("DurationSeconds", 1))
        marker, wrong = _marker(get_path(tags, "TagDescriptions", list))
        if self._of_rule and get_path(answer, "Rules.0", dict).get("IsDefault"):
            wrong = wrong or "it is the default rule, which only its listener changes; name that"
        stay = timedelta(seconds=max(stays)) if stays else None
        return _Forward(
            actions=tuple(actions), weights=weights, stay=stay, marker=marker, wrong=wrong
        )

    def _served(self, release: Release, found: _Forward) -> Served:
        said = repr((sorted(found.weights.items()), found.stay, found.marker)).encode()
        part = parts.Part.of(release, found.names)
        if self.capabilities.affinity:
            part = attrs.evolve(part, traffic=attrs.evolve(part.traffic, sticky=found.stay))
        return parts.served(
            [part],
            version=hashlib.sha256(said).hexdigest()[:16],
            marker=found.marker,
            whole=not found.problem() and parts.is_whole(release, found.names),
        )

    def _refuse_found(self, release: Release, found: _Forward) -> None:
        problem = found.problem()
        open_marker = found.marker is not None and not found.marker.closed
        ours = open_marker and self._served(release, found).traffic.candidate.ppm
        if not problem and found.stay and not (self.sticky or ours):
            problem = (
                "its target groups are sticky: a client stays with the one that it had, at any "
                "weight. Switch that off, or give sticky=True if it shall be so"
            )
        if problem:
            raise RouterError(f"{self._where()}: {problem}", failure=Failure.PERMANENT)
        parts.refuse_missing(
            release,
            found.names,
            what="the target group",
            where=self._where(),
            hint="add it to its forward action with weight 0",
        )

    def _write(
        self, release: Release, traffic: Traffic, marker: Marker, before: _Forward
    ) -> AwsFlow[None]:
        shares = {
            version.backend: traffic.share(track).ppm for track, version in release.versions.items()
        }
        last = (release.stable or release.candidate).backend
        if last not in before.names:
            raise RouterError(
                f"{self._where()} has no target group {last}, so there is nothing to go back to; "
                "add it",
                failure=Failure.PERMANENT,
            )
        back = goes_back(traffic, self._served(release, before), marker)
        if not back:
            yield from self._refuse_unhealthy(release, traffic, before)
        wanted = _smallest({arn: shares.get(_name(arn), 0) for arn in before.weights})
        # A claim writes the weights that there are, and so finds out whether it may.
        claims = before.marker is None or before.marker.generation != marker.generation
        stay = traffic.sticky if self.capabilities.affinity else before.stay
        same = wanted == _smallest(before.weights) and stay == before.stay and not claims
        changes = [] if same else [self._change(before, wanted, stay)]
        tags = [{"Key": TAG, "Value": marker.dumps()}]
        if marker.closed:
            tags.append({"Key": CLOSED, "Value": str(marker.generation)})
        mark = Call("elbv2", "AddTags", {"ResourceArns": [self.arn], "Tags": tags}, write=True)
        if stay is not None and before.stay is None and self.capabilities.affinity:
            ADAPTERS.warning(
                "%s: its target groups become sticky: clients that were kept with a group within "
                "the last seven days go to it again, whatever its weight",
                self._where(),
            )
        if back and before.stay and self.sticky:
            ADAPTERS.warning(
                "%s: its target groups are sticky: clients of %s stay with it until their cookie "
                "ends, at any weight",
                self._where(),
                release.candidate.backend,
            )
        first, *rest = [*changes, mark] if back else [mark, *changes]
        yield first
        with after_write():
            for each in rest:  # noqa: UP028 - a list can't be sent an answer
                yield each

    def _change(self, before: _Forward, weights: Mapping[str, int], stay: timedelta | None) -> Call:
        config: Mapping[str, Any] | None = None
        if stay is not None:
            config = {"Enabled": True, "DurationSeconds": stay // SECOND}
        elif before.stay is not None:
            config = {"Enabled": False}
        kept = None if stay == before.stay else config
        actions = [_with(action, weights, kept) for action in before.actions]
        if self._of_rule:
            params = {"RuleArn": self.arn, "Actions": actions}
            return Call("elbv2", "ModifyRule", params, write=True)
        params = {"ListenerArn": self.arn, "DefaultActions": actions}
        return Call("elbv2", "ModifyListener", params, write=True)

    def _refuse_unhealthy(
        self, release: Release, traffic: Traffic, before: _Forward
    ) -> AwsFlow[None]:
        """Raise for a version that shall have traffic and has no target that could take it."""
        arns = {_name(arn): arn for arn in before.weights}
        for track, version in release.versions.items():
            if track is Track.STABLE or not traffic.share(track).ppm:
                continue
            group = {"TargetGroupArn": arns[version.backend]}
            answer = yield Call("elbv2", "DescribeTargetHealth", group)
            found = get_path(answer, "TargetHealthDescriptions", list)
            states = [each.get("TargetHealth", {}).get("State", "") for each in found]
            if not any(state in TAKING for state in states):
                counted = ", ".join(f"{states.count(each)} {each}" for each in sorted(set(states)))
                raise RouterError(
                    f"{track.label(release)} has no healthy target in {version.backend} "
                    f"({counted or 'no target at all'}): its share would be errors",
                    failure=Failure.TRANSIENT,
                )


def _marker(described: list[Any]) -> tuple[Marker | None, str]:
    """The marker of the tags, and what is wrong with them."""
    tags = {each["Key"]: each["Value"] for one in described for each in one.get("Tags", ())}
    closed = str(tags.get(CLOSED, ""))
    marker, wrong = None, ""
    if TAG in tags:
        try:
            marker = Marker.loads(tags[TAG])
        except StateError as error:
            wrong = f"the tag {TAG}: {error}; edited by hand? take it away"
    if closed.isdecimal() and marker is None:
        marker = Marker(generation=int(closed), closed=True)
    if marker is not None and closed == str(marker.generation):
        marker = attrs.evolve(marker, closed=True)
    return marker, wrong


def _name(arn: str) -> str:
    """The name of a target group: ``...:targetgroup/shop-v1/73e2d6bc24d8a067``."""
    return arn.split("/")[1] if arn.count("/") > 1 else arn


def _weights(action: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """The target groups of an action. One alone may stand there without a weight."""
    groups = action.get("ForwardConfig", {}).get("TargetGroups", [])
    for each in groups:
        yield each["TargetGroupArn"], each.get("Weight", 1)
    if not groups and "TargetGroupArn" in action:
        yield action["TargetGroupArn"], 1


def _stickiness(action: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = action.get("ForwardConfig", {}).get(
        "TargetGroupStickinessConfig", {}
    )
    return found


def _with(
    action: Mapping[str, Any], weights: Mapping[str, int], stickiness: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The action with other weights, and with another stickiness if one is given. Of an action that
    asks who the user is, AWS does not tell the secret, and keeps it if that is said.
    """
    if action.get("Type") == "authenticate-oidc":
        config = {**action["AuthenticateOidcConfig"], "UseExistingClientSecret": True}
        return {**action, "AuthenticateOidcConfig": config}
    if not any(_weights(action)):
        return dict(action)
    groups = [{"TargetGroupArn": arn, "Weight": weights[arn]} for arn, _ in _weights(action)]
    kept = {name: each for name, each in action.items() if name != "TargetGroupArn"}
    config = {**action.get("ForwardConfig", {}), "TargetGroups": groups}
    if stickiness is not None:
        config["TargetGroupStickinessConfig"] = dict(stickiness)
    return {**kept, "ForwardConfig": config}


def _smallest(weights: Mapping[str, int]) -> dict[str, int]:
    """The smallest whole numbers that stand to each other as these do: at most 999 of 1000."""
    common = gcd(*weights.values()) or 1
    return {name: weight // common for name, weight in weights.items()}
