"""The shop's deployment script: ``python deploy.py OLD NEW ENVOY_ADMIN STATE_DIRECTORY``.

Started again after a crash, with the same words, it goes on where the rollout stands. Its exit code
says how the rollout ended.
"""

from __future__ import annotations

import sys

from progressive import (
    Canary,
    Limit,
    NoWorse,
    Outcome,
    Ports,
    Release,
    Version,
    ms,
    percent,
    percents,
    run,
    seconds,
    start,
)
from progressive.metrics.envoy import ERRORS, EnvoyStats, latency
from progressive.routers.envoy import Envoy
from progressive.stores.file import FileStore

FLUSH = seconds(1)  # Envoy's stats_flush_interval, here shorter than usual

CANARY = Canary(
    weights=percents(5, 25, 50, 100),
    bake=seconds(4),  # this is a demonstration; in earnest rather minutes(10)
    checks=[
        NoWorse(ERRORS),  # no more errors than the version that serves now
        Limit(ERRORS, at_most=percent(5)),
        Limit(
            latency(FLUSH), quantile=0.9, at_most=ms(250)
        ),  # in earnest 0.99, which takes ten times the requests
    ],
    interval=seconds(1),
    watch_every=seconds(2),
)


def deploy(old: str, new: str, admin: str, state: str) -> Outcome:
    """Take ``new`` to 100 % of the traffic, or back to 0 %."""
    release = Release(service="shop", stable=Version(old), candidate=Version(new))
    ports = Ports(
        router=Envoy(admin=admin, prefix="shop"),
        metrics=[EnvoyStats(admin=admin, flush=FLUSH)],
        store=FileStore(state),
    )
    rollout = start(CANARY, release, id=f"shop-{new}", ports=ports)
    return run(rollout, ports)


if __name__ == "__main__":
    sys.exit(deploy(*sys.argv[1:]).exit_code)
