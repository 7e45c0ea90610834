"""AWS without botocore; with it see ``tests/real/test_aws.py``."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from progressive import StrategyError, seconds
from progressive.adapters.aws import Aws, AwsClient, AwsFlow, Call
from progressive.errors import RouterError


def one() -> AwsFlow[object]:
    return (yield Call("elbv2", "DescribeRules"))


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_what_is_missing_is_said_with_its_mend(
    monkeypatch: pytest.MonkeyPatch, colour: str
) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)
    client = AwsClient(Aws(), RouterError, "AWS")

    with pytest.raises(StrategyError, match=r"pip install progressive-delivery\[aws\]"):
        client.run(one()) if colour == "sync" else asyncio.run(client.arun(one()))
    client.close()


@pytest.mark.parametrize(
    "wrong", [{"region": ""}, {"region": 5}, {"profile": "a b"}, {"deadline": 5}]
)
def test_what_is_misconfigured_is_said_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(StrategyError, match=next(iter(wrong))):
        Aws(**wrong)


def test_messages_say_where_it_asks() -> None:
    def address(**fields: Any) -> str:
        return AwsClient(Aws(**fields), RouterError, "AWS").address

    assert address() == "the region of the environment"
    assert address(region="eu-west-1") == "eu-west-1"
    assert address(region="eu-west-1", endpoint="http://127.0.0.1:5") == "http://127.0.0.1:5"
    assert AwsClient(Aws(deadline=seconds(3)), RouterError, "AWS").deadline == seconds(3)
