"""The table of what each router can be asked for, made of the routers themselves."""

from __future__ import annotations

from pathlib import Path

from progressive.model.router_state import Capabilities
from progressive.routers.aws import LambdaAlias, LoadBalancer, WeightedRecords
from progressive.routers.caddy import Caddy
from progressive.routers.cloud_run import CloudRun
from progressive.routers.envoy import Envoy, EnvoyRoutes
from progressive.routers.flagd import Flagd
from progressive.routers.haproxy import HAProxy, HAProxyWeights
from progressive.routers.istio import Istio, Kubernetes
from progressive.routers.nginx import Nginx
from progressive.routers.traefik import Traefik

AT = "http://127.0.0.1:1"
RULE = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener-rule/app/shop/1/2/3"

ROUTERS = {
    "AWS `LoadBalancer`": LoadBalancer(arn=RULE),
    "AWS `LambdaAlias`": LambdaAlias(function="shop", alias="live"),
    "AWS `WeightedRecords`": WeightedRecords(zone="Z1", name="shop.example.com"),
    "`Caddy`": Caddy(admin=AT, id="shop"),
    "`CloudRun`": CloudRun(service="projects/p/locations/l/services/shop"),
    "`Envoy`": Envoy(admin=AT, prefix="shop"),
    "`EnvoyRoutes`": EnvoyRoutes(file="/a.json", name="shop"),
    "`Flagd`": Flagd(file="/a.json", flag="shop"),
    "`HAProxy` (`affinity=True`)": HAProxy(socket="/a.sock", map="/a.map", affinity=True),
    "`HAProxyWeights`": HAProxyWeights(socket="/a.sock", backend="shop"),
    "`Istio`": Istio(api=Kubernetes(AT), virtual_service="shop"),
    "`Nginx` (`key=`, `mirror=True`)": Nginx(
        include="/a.conf", status=AT, variable="shop", key="$cookie_user", mirror=True
    ),
    "`Traefik` (`router=`)": Traefik(
        file="/a/b.yml", api=AT, service="shop", router={"rule": "Host(`shop.example`)"}
    ),
}
"""Each router with what gives it most."""


def table() -> str:
    """The capabilities of each router, in Markdown."""
    rows = [
        (
            "| router | smallest weight | a baseline | header and cookie routes | a mirror "
            "| users stay | a marker | compare-and-set |"
        ),
        "|---|---|---|---|---|---|---|---|",
    ]
    rows += [f"| {name} | {_row(router.capabilities)} |" for name, router in ROUTERS.items()]
    return "\n".join(rows) + "\n"


def _row(can: Capabilities) -> str:
    able = (can.baseline, can.matches, can.mirror, can.affinity, can.marker, can.compare_and_set)
    return " | ".join([str(can.smallest_weight), *("yes" if each else "-" for each in able)])


def write(folder: Path) -> None:
    """Write it into a folder."""
    (folder / "abilities.txt").write_text(table(), encoding="utf-8")


if __name__ == "__main__":
    print(table())
