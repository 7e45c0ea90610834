"""moto, a double of AWS's interfaces, in this process behind HTTP: no traffic goes through it."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock

import attrs

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
"""As on a machine that has nothing else."""


@attrs.frozen
class Double:
    """Where it listens, and a client of a service."""

    endpoint: str

    def client(self, service: str) -> Any:
        import boto3

        return boto3.client(service, endpoint_url=self.endpoint)


@contextmanager
def aws_double() -> Iterator[Double]:
    from moto.server import ThreadedMotoServer

    with mock.patch.dict(os.environ, ENVIRONMENT):
        server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        try:
            yield Double(f"http://{host}:{port}")
        finally:
            server.stop()


@attrs.frozen(kw_only=True)
class Balancer:
    """A load balancer with a listener and a rule, both with all on ``shop-v1``."""

    elbv2: Any
    listener: str
    rule: str
    groups: Mapping[str, str]

    @classmethod
    def made(cls, double: Double) -> Balancer:
        ec2, elbv2 = double.client("ec2"), double.client("elbv2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(
                VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"eu-west-1{zone}"
            )["Subnet"]["SubnetId"]
            for n, zone in enumerate("ab")
        ]
        balancer = elbv2.create_load_balancer(Name="shop", Subnets=subnets)
        groups = {
            name: elbv2.create_target_group(
                Name=name, Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip"
            )["TargetGroups"][0]["TargetGroupArn"]
            for name in ("shop-v1", "shop-v2", "shop-v1-fresh", "shop-v0", "shop-empty")
        }
        for name, arn in groups.items():
            if name != "shop-empty":
                elbv2.register_targets(TargetGroupArn=arn, Targets=[{"Id": "10.0.0.5"}])
        actions = [cls.forward(groups, {"shop-v1": 1, "shop-v2": 0, "shop-v1-fresh": 0})]
        listener = elbv2.create_listener(
            LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"],
            Protocol="HTTP",
            Port=80,
            DefaultActions=actions,
        )["Listeners"][0]["ListenerArn"]
        rule = elbv2.create_rule(
            ListenerArn=listener,
            Priority=1,
            Conditions=[{"Field": "path-pattern", "Values": ["/shop/*"]}],
            Actions=actions,
        )["Rules"][0]["RuleArn"]
        return cls(elbv2=elbv2, listener=listener, rule=rule, groups=groups)

    @staticmethod
    def forward(groups: Mapping[str, str], weights: Mapping[str, int]) -> dict[str, Any]:
        listed = [{"TargetGroupArn": groups[name], "Weight": w} for name, w in weights.items()]
        return {"Type": "forward", "ForwardConfig": {"TargetGroups": listed}}

    def edit(self, weights: Mapping[str, int], **config: Any) -> None:
        """Change the rule as anybody may, by hand."""
        action = self.forward(self.groups, weights)
        action["ForwardConfig"].update(config)
        self.elbv2.modify_rule(RuleArn=self.rule, Actions=[action])

    def weights(self) -> dict[str, int]:
        [rule] = self.elbv2.describe_rules(RuleArns=[self.rule])["Rules"]
        groups = rule["Actions"][0]["ForwardConfig"]["TargetGroups"]
        return {each["TargetGroupArn"].split("/")[1]: each["Weight"] for each in groups}


def function_of(double: Double) -> Any:
    """Make a function ``shop`` of two versions, of which the first one has the alias ``live``."""
    role = double.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")
    functions = double.client("lambda")
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as written:
        written.writestr("main.py", "def handler(event, context): return 1")
    functions.create_function(
        FunctionName="shop",
        Runtime="python3.12",
        Role=role["Role"]["Arn"],
        Handler="main.handler",
        Code={"ZipFile": code.getvalue()},
        Publish=True,
    )
    functions.update_function_code(FunctionName="shop", ZipFile=code.getvalue() + b" ")
    functions.publish_version(FunctionName="shop")
    functions.create_alias(
        FunctionName="shop", Name="live", FunctionVersion="1", Description="orders "
    )
    return functions
