"""A real Kubernetes API server with its etcd, and the definitions of Istio's objects in it.

The binaries are found on the path or named by ``PROGRESSIVE_KUBE_APISERVER``. Istio's own
definitions come from the folder that ``PROGRESSIVE_CRDS`` names; without it, a small one of ours
stands in. No kubelet, no controllers: what a Deployment's status says is what the test writes
there.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml
from tests.support.envoy_process import free_port, wait_until
from tests.support.paths import DATA

ADMIN = "admin-token-of-the-tests"
DEPLOYER = "deployer-token-of-the-tests"
READER = "reader-token-of-the-tests"

ATTEMPTS = 3

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ISTIO = ("virtualservices.networking.istio.io", "destinationrules.networking.istio.io")


def binaries() -> tuple[str, str] | None:
    """The API server and its etcd, if this machine has them."""
    server = os.environ.get("PROGRESSIVE_KUBE_APISERVER") or shutil.which("kube-apiserver")
    etcd = shutil.which("etcd")
    return (server, etcd) if server and Path(server).exists() and etcd else None


class KubeProcess:
    """One API server; ``admin`` is a client that may do anything."""

    def __init__(self, server: str, etcd: str, folder: Path) -> None:
        self._server, self._etcd, self._folder = server, etcd, folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self.url = ""
        self.admin = httpx.Client()

    @property
    def ca(self) -> Path:
        """The certificate that the server has signed for itself."""
        return self._folder / "certs" / "apiserver.crt"

    def __enter__(self) -> Self:
        root = self._folder
        for attempt in range(ATTEMPTS):
            self._folder = root / str(attempt)
            with contextlib.ExitStack() as stack:
                stack.callback(self._stop)
                if self._begun():
                    self._define_istio()
                    stack.pop_all()
                    return self
        raise AssertionError(
            f"the API server ended {ATTEMPTS} times: "
            f"{(self._folder / 'kube-apiserver.log').read_text()[-2000:]}"
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        self.admin.close()
        for process in reversed(self._processes):
            process.kill()
            process.wait()
        self._processes.clear()

    def _ended(self) -> bool:
        return any(process.poll() is not None for process in self._processes)

    def _begun(self) -> bool:
        """Start it; False if it ended at once, because somebody else was quicker to take a port."""
        folder = self._folder
        api, client, peer = (free_port() for _ in range(3))
        self.url = f"https://127.0.0.1:{api}"
        (folder / "certs").mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["openssl", "genrsa", "-out", folder / "sa.key", "2048"],
            check=True,
            capture_output=True,
        )
        tokens = (
            (ADMIN, "admin", "system:masters"),
            (DEPLOYER, "deployer", "deployers"),
            (READER, "reader", "readers"),
        )
        (folder / "tokens.csv").write_text(
            "".join(f'{token},{name},{name},"{group}"\n' for token, name, group in tokens)
        )
        etcd, at = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
        self._start(
            "etcd",
            self._etcd,
            "--data-dir",
            folder / "etcd",
            "--listen-client-urls",
            etcd,
            "--advertise-client-urls",
            etcd,
            "--listen-peer-urls",
            at,
            "--initial-advertise-peer-urls",
            at,
            "--initial-cluster",
            f"default={at}",
            "--unsafe-no-fsync",
        )
        self._start(
            "kube-apiserver",
            self._server,
            f"--etcd-servers={etcd}",
            "--bind-address=127.0.0.1",
            f"--secure-port={api}",
            f"--cert-dir={folder / 'certs'}",
            "--service-cluster-ip-range=10.0.0.0/24",
            f"--service-account-key-file={folder / 'sa.key'}",
            f"--service-account-signing-key-file={folder / 'sa.key'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--token-auth-file={folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--allow-privileged=true",
            "--enable-priority-and-fairness=false",
            "--disable-admission-plugins=ServiceAccount",
        )
        wait_until(
            "the API server listens, its certificate is written by then",
            lambda: self._ended() or self._listens(api),
        )
        if self._ended():
            return False
        # The certificate that it signs for itself names localhost and its address.
        self.admin = httpx.Client(
            base_url=self.url,
            verify=ssl.create_default_context(cafile=str(self.ca)),
            trust_env=False,
            timeout=30.0,
            headers={"authorization": f"Bearer {ADMIN}"},
        )
        wait_until("the API server is ready", lambda: self._ended() or self._ready())
        return not self._ended()

    def _start(self, name: str, *command: str | os.PathLike[str]) -> None:
        with (self._folder / f"{name}.log").open("wb") as log:
            self._processes.append(
                subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder)
            )

    def _listens(self, port: int) -> bool:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port), timeout=1.0),
        ):
            return True
        return False

    def _ready(self) -> bool:
        try:
            return self.admin.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def _define_istio(self) -> None:
        for definition in _definitions():
            self.admin.post(CRDS, json=definition).raise_for_status()
        for definition in _definitions():
            name = definition["metadata"]["name"]
            wait_until(f"{name} is served", lambda name=name: self._established(name))  # type: ignore[misc]
        served = "/apis/networking.istio.io/v1/namespaces/default/virtualservices"
        wait_until(
            "virtual services can be listed", lambda: self.admin.get(served).status_code == 200
        )

    def _established(self, name: str) -> bool:
        # Until its controller has looked at it, a definition's conditions are null, not missing.
        conditions = (
            self.admin.get(f"{CRDS}/{name}").json().get("status", {}).get("conditions") or []
        )
        return any(
            each["type"] == "Established" and each["status"] == "True" for each in conditions
        )

    def post(self, path: str, value: dict[str, Any]) -> dict[str, Any]:
        """Create an object as the administrator."""
        response = self.admin.post(path, json=value)
        assert response.status_code == 201, response.text
        found: dict[str, Any] = response.json()
        return found

    def allow(self, group: str, *, namespace: str, rules: list[dict[str, Any]], name: str) -> None:
        """Bind a role with these rules to a group."""
        root = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
        api = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": name}}
        self.post(f"{root}/roles", {**api, "kind": "Role", "rules": rules})
        subject = {"kind": "Group", "name": group, "apiGroup": "rbac.authorization.k8s.io"}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
        self.post(
            f"{root}/rolebindings",
            {**api, "kind": "RoleBinding", "roleRef": role, "subjects": [subject]},
        )


def _definitions() -> list[dict[str, Any]]:
    folder = os.environ.get("PROGRESSIVE_CRDS")
    if not folder:
        return [json.loads((DATA / "virtual-service-crd.json").read_text())]
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found = [
        each
        for each in yaml.load_all((Path(folder) / "istio.yaml").read_text(), Loader=loader)
        if each
    ]
    return [_for_1_20(each) for each in found if each.get("metadata", {}).get("name") in ISTIO]


def _for_1_20(value: Any) -> Any:
    """Without what an API server of 1.20 does not know: rules in CEL, and fields to select by."""
    if isinstance(value, dict):
        return {
            k: _for_1_20(v)
            for k, v in value.items()
            if k not in ("x-kubernetes-validations", "selectableFields", "status")
        }
    return [_for_1_20(each) for each in value] if isinstance(value, list) else value
