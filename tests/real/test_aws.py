"""`LoadBalancer` and `LambdaAlias` on moto, which keeps what it is told and moves no traffic."""

from __future__ import annotations

import http.server
import importlib.util
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import attrs
import httpx
import pytest
from tests.support.aws_double import ENVIRONMENT, Balancer, Double, aws_double, function_of
from tests.support.envoy_process import wait_until
from tests.support.whole_rollout import roll_out, to_the_end_or_back

from progressive import (
    rollback_now,
)
from progressive.adapters.aws import AwsClient, Call, _refused
from progressive.adapters.flow import Fault
from progressive.errors import ConflictError, Failure, RouterError, StrategyError
from progressive.model.release import Release, Version
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import ALL_STABLE, Traffic
from progressive.model.units import Percent, hours, percent, seconds
from progressive.routers.aws import Aws, LambdaAlias, LoadBalancer
from progressive.testing import (
    BreakableProxy,
    check_router,
)

pytestmark = [
    pytest.mark.real,
    pytest.mark.external,
    pytest.mark.skipif(
        importlib.util.find_spec("moto") is None,
        reason="moto is not installed: pip install 'moto[server]' awscli",
    ),
]

FIRST = Marker(generation=1, owner="rours")
THREE = Release(
    service="shop",
    stable=Version("1", backend="shop-v1"),
    candidate=Version("2", backend="shop-v2"),
    baseline=Version("1b", backend="shop-v1-fresh"),
)


@pytest.fixture(scope="module")
def double() -> Iterator[Double]:
    with aws_double() as running:
        yield running


@pytest.fixture
def balancer(double: Double) -> Iterator[Balancer]:
    yield Balancer.made(double)
    httpx.post(f"{double.endpoint}/moto-api/reset", trust_env=False).raise_for_status()


def router_of(double: Double, arn: str, **more: Any) -> LoadBalancer:
    return LoadBalancer(arn=arn, aws=Aws(region="eu-west-1", endpoint=double.endpoint), **more)


@pytest.fixture
def router(double: Double, balancer: Balancer) -> Iterator[LoadBalancer]:
    with router_of(double, balancer.rule) as made:
        yield made


def give(router: LoadBalancer, share: float, serial: int = 0) -> Served:
    marker = attrs.evolve(FIRST, serial=serial)
    return router.apply(THREE, Traffic(candidate=percent(share)), marker=marker, expect=None)


def typed(line: str) -> None:
    subprocess.run(line, shell=True, check=True, capture_output=True, env=dict(os.environ))


@pytest.mark.laws
def test_none_of_the_laws_is_left_out(double: Double, balancer: Balancer) -> None:
    """A rule belongs to one service, so there is no neighbour in it."""

    def edited(traffic: Traffic) -> None:
        stable, candidate = traffic.stable.ppm // 1000, traffic.candidate.ppm // 1000
        baseline = traffic.baseline.ppm // 1000
        balancer.edit({"shop-v1": stable, "shop-v2": candidate, "shop-v1-fresh": baseline})

    def third_version(share: Percent) -> None:
        parts = share.ppm // 1000
        weights = {"shop-v1": 1000 - parts, "shop-v2": 0, "shop-v1-fresh": 0, "shop-v0": parts}
        balancer.edit(weights)

    @contextmanager
    def lacks() -> Iterator[None]:
        balancer.edit({"shop-v1": 1, "shop-v0": 1})
        yield
        balancer.edit({"shop-v1": 1, "shop-v2": 0, "shop-v1-fresh": 0})

    with BreakableProxy(
        double.endpoint.removeprefix("http://"),
        is_write=lambda sent: b"Action=AddTags" in sent or b"Action=Modify" in sent,
    ) as proxy:
        aws = Aws(region="eu-west-1", endpoint=f"http://{proxy.address}", deadline=seconds(1))
        with LoadBalancer(arn=balancer.rule, aws=aws) as router:
            report = check_router(
                router,
                THREE,
                edit=edited,
                third_version=third_version,
                bad_names=["nobody"],
                broken=proxy.breakages,
                within=seconds(20),
                writes=lambda: proxy.writes,
                undo=lambda line: typed(line.replace(f"http://{proxy.address}", double.endpoint)),
                parts={"another group": lacks},
            )

    assert set(report.missing) == {"beside=", "broken['ignore']"}
    assert balancer.weights()["shop-v2"] == 0


@pytest.mark.parametrize(
    ("share", "weights"),
    [
        (0.1, (999, 1)),
        (1, (99, 1)),
        (12.5, (7, 1)),
        (33.3, (667, 333)),
        (50, (1, 1)),
        (99.9, (1, 999)),
        (100, (0, 1)),
    ],
)
def test_weights_are_the_smallest_that_say_the_share(
    balancer: Balancer, router: LoadBalancer, share: float, weights: tuple[int, int]
) -> None:
    """AWS takes 0 to 999; moto would take any."""
    assert give(router, share).shows(Traffic(candidate=percent(share)))

    found = balancer.weights()
    assert (found["shop-v1"], found["shop-v2"]) == weights


def test_a_listener_is_moved_by_its_default_action(double: Double, balancer: Balancer) -> None:
    with router_of(double, balancer.listener) as router:
        ten = Traffic(candidate=percent(10))
        assert router.apply(THREE, ten, marker=FIRST, expect=None).shows(ten)
        typed(router.undo(THREE))
        assert router.read(THREE).shows(ALL_STABLE)


def test_what_else_the_actions_have_stays(
    balancer: Balancer, router: LoadBalancer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS does not tell the secret of a client, and keeps it if that is said."""
    oidc = {
        "Type": "authenticate-oidc",
        "Order": 1,
        "AuthenticateOidcConfig": {
            "Issuer": "https://id.example",
            "AuthorizationEndpoint": "https://id.example/a",
            "TokenEndpoint": "https://id.example/t",
            "UserInfoEndpoint": "https://id.example/u",
            "ClientId": "shop",
        },
    }
    forward = balancer.forward(balancer.groups, {"shop-v1": 1, "shop-v2": 0, "shop-v1-fresh": 0})
    flow = router.applying(THREE, Traffic(candidate=percent(10)), FIRST, None)
    healthy = {"TargetHealthDescriptions": [{"TargetHealth": {"State": "healthy"}}]}
    answers: dict[str, Any] = {
        "DescribeRules": {"Rules": [{"Actions": [oidc, {**forward, "Order": 2}]}]},
        "DescribeTags": {"TagDescriptions": []},
        "DescribeTargetHealth": healthy,
        "AddTags": {},
    }
    asked = next(flow)
    while asked.operation in answers:
        asked = flow.send(answers[asked.operation])

    assert asked.operation == "ModifyRule"
    actions: Any = asked.params["Actions"]
    assert actions[0]["AuthenticateOidcConfig"]["UseExistingClientSecret"] is True
    assert actions[1]["Order"] == 2
    assert [each["Weight"] for each in actions[1]["ForwardConfig"]["TargetGroups"]] == [9, 1, 0]


def test_the_marker_is_written_before_what_rises_and_after_what_falls(
    router: LoadBalancer, balancer: Balancer
) -> None:
    def operations(share: float, serial: int) -> list[str]:
        marker = attrs.evolve(FIRST, serial=serial)
        flow = router.applying(THREE, Traffic(candidate=percent(share)), marker, None)
        found: list[str] = []
        asked: Any = next(flow)
        while True:
            if asked.write:
                found.append(asked.operation)
            answer: Any = router._client.exchange(asked, time.monotonic() + 60)
            try:
                asked = flow.send(answer)
            except StopIteration:
                return found

    assert operations(10, 1) == ["AddTags", "ModifyRule"]
    assert operations(5, 2) == ["ModifyRule", "AddTags"]
    assert operations(5, 3) == ["AddTags"]


def test_a_candidate_without_a_healthy_target_gets_nothing(
    balancer: Balancer, router: LoadBalancer
) -> None:
    balancer.edit({"shop-v1": 1, "shop-empty": 0, "shop-v1-fresh": 0})
    release = attrs.evolve(THREE, candidate=Version("2", backend="shop-empty"))

    with pytest.raises(RouterError, match=r"no healthy target in shop-empty \(no target") as caught:
        router.apply(release, Traffic(candidate=percent(1)), marker=FIRST, expect=None)
    assert caught.value.failure is Failure.TRANSIENT
    assert balancer.weights()["shop-empty"] == 0
    assert router.apply(release, ALL_STABLE, marker=FIRST, expect=None).shows(ALL_STABLE)


def test_a_target_group_that_is_not_there_is_named(
    balancer: Balancer, router: LoadBalancer
) -> None:
    unknown = attrs.evolve(THREE, candidate=Version("9", backend="shop-v9"))
    with pytest.raises(RouterError, match=r"candidate \(9\) is the target group 'shop-v9', but"):
        router.apply(unknown, ALL_STABLE, marker=FIRST, expect=None)
    gone = attrs.evolve(THREE, stable=Version("0", backend="shop-v9"))
    with pytest.raises(RouterError, match="no target group shop-v9, so there is nothing to go"):
        rollback_now(router, gone)


def test_a_rule_that_is_not_there_is_named(double: Double, balancer: Balancer) -> None:
    with (
        router_of(double, balancer.rule[:-4] + "0000") as nobody,
        pytest.raises(RouterError, match=r"AWS at http://.*elbv2 DescribeRules") as caught,
    ):
        nobody.read(THREE)
    assert caught.value.failure is Failure.PERMANENT


def test_sticky_groups_are_refused_unless_they_are_known(
    double: Double, balancer: Balancer, router: LoadBalancer
) -> None:
    sticky = {"Enabled": True, "DurationSeconds": 3600}
    weights = {"shop-v1": 1, "shop-v2": 1, "shop-v1-fresh": 0}
    balancer.edit(weights, TargetGroupStickinessConfig=sticky)

    with pytest.raises(RouterError, match="its target groups are sticky"):
        give(router, 100)
    assert rollback_now(router, THREE).shows(ALL_STABLE)  # whoever let them stay: they go
    balancer.edit(weights, TargetGroupStickinessConfig=sticky)
    with router_of(double, balancer.rule, sticky=True) as known:
        assert known.capabilities.sticky
        marker = Marker(generation=2)
        ten = Traffic(candidate=percent(10))
        assert known.apply(THREE, ten, marker=marker, expect=None).shows(ten)
    [rule] = balancer.elbv2.describe_rules(RuleArns=[balancer.rule])["Rules"]
    assert rule["Actions"][0]["ForwardConfig"]["TargetGroupStickinessConfig"] == sticky


def test_users_stay_while_a_strategy_asks_for_it_and_every_way_back_lets_them_go(
    double: Double, balancer: Balancer, router: LoadBalancer
) -> None:
    def stickiness() -> dict[str, Any]:
        [rule] = balancer.elbv2.describe_rules(RuleArns=[balancer.rule])["Rules"]
        found: dict[str, Any] = rule["Actions"][0]["ForwardConfig"].get(
            "TargetGroupStickinessConfig", {}
        )
        return found

    for serial, traffic in enumerate(
        (
            Traffic(),
            Traffic(candidate=percent(10), sticky=hours(2)),
            Traffic(candidate=percent(50), sticky=hours(2)),
            Traffic(candidate=percent(100)),
            Traffic(candidate=percent(50), sticky=hours(1)),
            Traffic(candidate=percent(20)),
            Traffic(candidate=percent(50), sticky=hours(1)),
        )
    ):
        marker = Marker(generation=1, serial=serial)
        served = router.apply(THREE, traffic, marker=marker, expect=None)
        assert served.shows(traffic)
        stay = traffic.sticky
        assert stickiness().get("Enabled", False) is (stay is not None)
        assert stay is None or stickiness()["DurationSeconds"] == stay.total_seconds()

    assert rollback_now(router, THREE).shows(ALL_STABLE)
    assert stickiness()["Enabled"] is False


def test_how_long_they_may_stay_is_bounded_and_a_network_load_balancer_keeps_nobody(
    double: Double, balancer: Balancer, router: LoadBalancer
) -> None:
    too_long = Traffic(candidate=percent(1), sticky=hours(24 * 7 + 1))
    with pytest.raises(RouterError, match="is longer than AWS lets a client stay, 7 d"):
        router.apply(THREE, too_long, marker=Marker(generation=1), expect=None)
    network = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/net/shop/1/2"
    assert not LoadBalancer(arn=network).capabilities.affinity


def test_a_change_since_the_read_is_refused(balancer: Balancer, router: LoadBalancer) -> None:
    version = give(router, 10).version
    balancer.edit({"shop-v1": 1, "shop-v2": 1, "shop-v1-fresh": 0})

    with pytest.raises(ConflictError, match="were changed since they were read"):
        router.apply(THREE, ALL_STABLE, marker=FIRST, expect=version)


def drain(router: LoadBalancer, flow: Any, asked: Any) -> None:
    """Run a call to its end."""
    while True:
        asked = flow.send(router._client.exchange(asked, time.monotonic() + 60))


def test_what_a_person_closes_no_raise_opens(balancer: Balancer, router: LoadBalancer) -> None:
    """The line is typed between the read of a raise and its writes."""
    give(router, 10)
    flow = router.applying(
        THREE, Traffic(candidate=percent(50)), attrs.evolve(FIRST, serial=1), None
    )
    asked: Any = next(flow)
    while not asked.write:
        answer: Any = router._client.exchange(asked, time.monotonic() + 60)
        asked = flow.send(answer)
    typed(router.undo(THREE))
    with pytest.raises(ConflictError, match="written, but"):
        drain(router, flow, asked)

    found = router.read(THREE).marker
    assert found is not None
    assert found.closed
    assert rollback_now(router, THREE).shows(ALL_STABLE)


def test_the_line_keeps_the_secret_of_a_client(balancer: Balancer, router: LoadBalancer) -> None:
    assert ".AuthenticateOidcConfig.UseExistingClientSecret = true" in router.undo(THREE)


def test_a_claim_finds_out_whether_it_may_write(router: LoadBalancer) -> None:
    flow = router.applying(THREE, ALL_STABLE, FIRST, None)
    asked: Any = next(flow)
    written: list[str] = []
    while len(written) < 2:
        if asked.write:
            written.append(asked.operation)
        answer: Any = router._client.exchange(asked, time.monotonic() + 60)
        asked = flow.send(answer)
    assert written == ["AddTags", "ModifyRule"]


def test_the_default_rule_is_its_listener_s(balancer: Balancer, double: Double) -> None:
    rules = balancer.elbv2.describe_rules(ListenerArn=balancer.listener)["Rules"]
    [default] = [each["RuleArn"] for each in rules if each["IsDefault"]]
    with (
        router_of(double, default) as router,
        pytest.raises(RouterError, match="it is the default rule, which only its listener"),
    ):
        router.apply(THREE, ALL_STABLE, marker=FIRST, expect=None)


def test_a_marker_that_somebody_edited_stops_no_way_back(
    balancer: Balancer, router: LoadBalancer
) -> None:
    tags = [{"Key": "progressive", "Value": "mine"}]
    balancer.elbv2.add_tags(ResourceArns=[balancer.rule], Tags=tags)

    balancer.edit({"shop-v1": 1, "shop-v2": 1, "shop-v1-fresh": 0})

    assert not router.read(THREE).converged
    with pytest.raises(RouterError, match=r"the tag progressive: .*edited by hand"):
        give(router, 100)
    assert rollback_now(router, THREE).shows(ALL_STABLE)


def test_without_credentials_nothing_is_sent(
    balancer: Balancer, router: LoadBalancer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no client is kept that has none: the service that gives them may be away for a moment."""
    key = os.environ["AWS_ACCESS_KEY_ID"]
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    aws = attrs.evolve(router.aws, deadline=seconds(0.5))
    with attrs.evolve(router, aws=aws) as again:
        with pytest.raises(RouterError, match="not sent: NoCredentialsError") as caught:
            again.read(THREE)
        assert caught.value.failure is Failure.TRANSIENT
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        assert again.read(THREE).shows(ALL_STABLE)


def test_a_write_that_nobody_waits_for_any_more_is_not_sent(
    balancer: Balancer, router: LoadBalancer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials that take long, say: it would come after the way back."""
    from botocore.signers import RequestSigner

    sign = RequestSigner.sign
    waits = threading.Event()

    def slowly(self: Any, operation: str, request: Any, *more: Any, **named: Any) -> None:
        if operation == "AddTags":
            waits.wait(60)
        sign(self, operation, request, *more, **named)

    monkeypatch.setattr(RequestSigner, "sign", slowly)
    aws = attrs.evolve(router.aws, deadline=seconds(1))
    with attrs.evolve(router, aws=aws) as slow:
        with pytest.raises(RouterError) as caught:
            give(slow, 50)
        assert caught.value.failure is Failure.UNKNOWN
        waits.set()
        monkeypatch.undo()
        wait_until("its threads have ended", lambda: not any(map(is_ours, threading.enumerate())))
    assert router.read(THREE).marker is None
    assert balancer.weights()["shop-v2"] == 0


def is_ours(thread: threading.Thread) -> bool:
    return thread.name == "progressive-apart"


@pytest.mark.parametrize("write", [False, True])
def test_an_answer_that_makes_no_sense_is_an_error_of_ours(write: bool) -> None:
    """Of a load balancer on the way, say; botocore's own error is none that it documents."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(503)
            self.end_headers()
            self.wfile.write(b"<!DOCTYPE html><p>away")

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        client = AwsClient(Aws(region="eu-west-1", endpoint=endpoint), RouterError, "AWS")
        call = Call("elbv2", "DescribeRules", {"RuleArns": ["a"]}, write=write)
        with mock.patch.dict(os.environ, ENVIRONMENT):
            fault = client.exchange(call, time.monotonic() + 60)
        server.shutdown()

    assert isinstance(fault, Fault)
    assert fault.failure is (Failure.UNKNOWN if write else Failure.TRANSIENT)


# ------------------------------------------------------------------------------------- Lambda

TWO = Release(service="shop", stable=Version("1", backend="1"), candidate=Version("2", backend="2"))


@pytest.fixture
def alias(double: Double) -> Iterator[LambdaAlias]:
    """Two versions of a function, of which the first one has the alias ``live``."""
    function_of(double)
    aws = Aws(region="eu-west-1", endpoint=double.endpoint)
    with LambdaAlias(function="shop", alias="live", aws=aws) as found:
        yield found
    httpx.post(f"{double.endpoint}/moto-api/reset", trust_env=False).raise_for_status()


def aliased(double: Double) -> Any:
    return double.client("lambda").get_alias(FunctionName="shop", Name="live")


@pytest.mark.laws
def test_the_laws_of_an_alias(double: Double, alias: LambdaAlias) -> None:
    functions = double.client("lambda")

    def edited(traffic: Traffic) -> None:
        functions.update_alias(
            FunctionName="shop",
            Name="live",
            FunctionVersion="1",
            RoutingConfig={"AdditionalVersionWeights": {"2": traffic.candidate.ppm / 1e6}},
        )

    report = check_router(alias, TWO, edit=edited, undo=typed)

    assert not {"edit=", "undo="} & set(report.missing)
    assert alias.read(TWO).shows(ALL_STABLE)
    assert aliased(double)["Description"].startswith("orders progressive ")


def test_at_everything_the_candidate_is_the_main_version(
    double: Double, alias: LambdaAlias
) -> None:
    for serial, share in enumerate([0.1, 50, 99.9, 100]):
        marker = attrs.evolve(FIRST, serial=serial)
        traffic = Traffic(candidate=percent(share))
        assert alias.apply(TWO, traffic, marker=marker, expect=None).shows(traffic)

    found = aliased(double)
    assert found["FunctionVersion"] == "2"
    assert not found["RoutingConfig"].get("AdditionalVersionWeights")
    assert alias.read(TWO.reversed()).shows(ALL_STABLE)


def test_a_write_quotes_the_revision_that_was_read(alias: LambdaAlias) -> None:
    """Lambda refuses another one with PreconditionFailedException; moto compares none."""
    flow = alias.applying(TWO, Traffic(candidate=percent(10)), FIRST, None)
    next(flow)
    asked = flow.send({"FunctionVersion": "1", "RevisionId": "r7"})

    assert asked.params["RevisionId"] == "r7"
    refusal = {
        "Error": {"Code": "PreconditionFailedException", "Message": "The RevisionId is not the"},
        "ResponseMetadata": {"HTTPStatusCode": 412},
    }
    assert _refused(asked, refusal).failure is Failure.CONFLICT


@pytest.mark.parametrize(
    "description", ["", "alias for progressive delivery", "progressive 1:2:0:r1 mine", "x" * 256]
)
def test_a_description_is_anybody_s(double: Double, alias: LambdaAlias, description: str) -> None:
    """Lambda takes 256 characters, so that of a long one only the beginning stays."""
    double.client("lambda").update_alias(
        FunctionName="shop", Name="live", FunctionVersion="1", Description=description
    )
    assert alias.read(TWO).marker is None
    marker = Marker(generation=10**18, serial=10**18, owner="r0123456789abcdef")
    ten = Traffic(candidate=percent(10))
    assert alias.apply(TWO, ten, marker=marker, expect=None).shows(ten)

    found = aliased(double)["Description"]
    assert found.startswith(description[:160])
    assert len(found) <= 256
    assert rollback_now(alias, TWO).marker == attrs.evolve(marker, closed=True)


ANSWERS: dict[str, tuple[int, str, bool, Failure]] = {
    "a throttled write": (400, "Throttling", True, Failure.TRANSIENT),
    "too many requests": (429, "Slow", True, Failure.TRANSIENT),
    "a read that failed": (500, "InternalFailure", False, Failure.TRANSIENT),
    "a write that failed": (503, "ServiceUnavailable", True, Failure.UNKNOWN),
    "not allowed": (403, "AccessDenied", True, Failure.PERMANENT),
    "not there": (400, "TargetGroupNotFound", False, Failure.PERMANENT),
    "another operation is under way": (409, "ResourceConflictException", True, Failure.TRANSIENT),
    "somebody else was first": (412, "PreconditionFailedException", True, Failure.CONFLICT),
}


@pytest.mark.parametrize(("status", "code", "write", "failure"), ANSWERS.values(), ids=ANSWERS)
def test_what_an_answer_of_aws_means(status: int, code: str, write: bool, failure: Failure) -> None:
    """As its documentation lists the codes that all services have, 2026-12-01."""
    response = {
        "Error": {"Code": code, "Message": "said"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    fault = _refused(Call("elbv2", "Some", write=write), response)
    assert (fault.failure, fault.why) == (failure, f"answered {code}: said")


@pytest.mark.parametrize("arn", ["shop", "arn:aws:s3:::bucket", None])
def test_an_arn_is_of_a_listener_or_a_rule(arn: Any) -> None:
    with pytest.raises(StrategyError, match="no ARN of a listener or of a listener's rule"):
        LoadBalancer(arn=arn)


@to_the_end_or_back
def test_a_whole_rollout(balancer: Balancer, router: LoadBalancer, failing: float) -> None:
    roll_out(router, THREE, failing)

    found = balancer.weights()
    assert (found["shop-v1"], found["shop-v2"]) == ((1, 0) if failing else (0, 1))
