"""The policy of the page for load balancers, on moto: it suffices, and nothing of it is too much.

moto checks the actions of a policy and knows no resources in it; of calls of Lambda and Route 53 it
can't check the signature, so their policies are not tried.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import httpx
import pytest
from tests.support.aws_double import Balancer, Double, aws_double
from tests.support.paths import ROOT

from progressive import rollback_now
from progressive.errors import Failure, RouterError
from progressive.model.release import Release, Version
from progressive.model.router_state import Marker
from progressive.model.traffic import ALL_STABLE, Traffic
from progressive.model.units import percent, seconds
from progressive.routers.aws import Aws, LoadBalancer

pytestmark = [
    pytest.mark.real,
    pytest.mark.external,
    pytest.mark.skipif(
        importlib.util.find_spec("moto") is None,
        reason="moto is not installed: pip install 'moto[server]'",
    ),
]

SHOP = Release(
    service="shop",
    stable=Version("1", backend="shop-v1"),
    candidate=Version("2", backend="shop-v2"),
)
PAGE = (ROOT / "docs" / "how-to" / "aws.md").read_text(encoding="utf-8")
POLICY = json.loads(PAGE.partition("```json\n")[2].partition("```")[0])
ACTIONS = [each for statement in POLICY["Statement"] for each in statement["Action"]]
GENERATIONS = count(1)


@pytest.fixture(scope="module")
def double() -> Iterator[Double]:
    with aws_double() as running:
        yield running


@pytest.fixture(scope="module")
def balancer(double: Double) -> Balancer:
    return Balancer.made(double)


@contextmanager
def allowed(double: Double, monkeypatch: pytest.MonkeyPatch, actions: list[str]) -> Iterator[None]:
    """Be somebody who may do this and nothing else."""
    iam = double.client("iam")
    iam.create_user(UserName="deployer")
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="deployer", PolicyName="page", PolicyDocument=document)
    key = iam.create_access_key(UserName="deployer")["AccessKey"]
    with monkeypatch.context() as patched:
        patched.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        patched.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        _check_from(double, "0")
        try:
            yield
        finally:
            _check_from(double, "inf")
    iam.delete_access_key(UserName="deployer", AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName="deployer", PolicyName="page")
    iam.delete_user(UserName="deployer")


def _check_from(double: Double, calls: str) -> None:
    """Have moto check every call after so many."""
    at = f"{double.endpoint}/moto-api/reset-auth"
    httpx.post(at, content=calls, trust_env=False).raise_for_status()


def to_and_fro(double: Double, balancer: Balancer) -> None:
    """Move a rule and a listener, and take them back."""
    aws = Aws(region="eu-west-1", endpoint=double.endpoint, deadline=seconds(5))
    for arn in (balancer.rule, balancer.listener):
        with LoadBalancer(arn=arn, aws=aws) as router:
            marker = Marker(generation=next(GENERATIONS), owner="rours")
            ten = Traffic(candidate=percent(10))
            assert router.apply(SHOP, ten, marker=marker, expect=None).shows(ten)
            assert rollback_now(router, SHOP).shows(ALL_STABLE)


def test_what_the_page_allows_suffices(
    double: Double, balancer: Balancer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with allowed(double, monkeypatch, ACTIONS):
        to_and_fro(double, balancer)


@pytest.mark.parametrize("action", ACTIONS)
def test_none_of_it_is_too_much(
    action: str, double: Double, balancer: Balancer, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest = [each for each in ACTIONS if each != action]
    with allowed(double, monkeypatch, rest), pytest.raises(RouterError, match="Denied") as caught:
        to_and_fro(double, balancer)
    assert caught.value.failure in (Failure.PERMANENT, Failure.UNKNOWN)
    assert action.partition(":")[2] in str(caught.value)
