"""A kubeconfig file as an `Http`: lightkube reads the file and its certificates, the credentials
stay with us.

Its own exec plugins know neither ``client.authentication.k8s.io/v1`` nor an expiry nor a time-out;
these do.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import attrs

from progressive.adapters.http import Http
from progressive.errors import StrategyError

__all__ = ["load"]

PLUGIN_TIMEOUT: Final = 60.0
"""Seconds that an exec plugin may take: some open a browser window the first time, none may hold a
rollback for longer.
"""

EARLY: Final = 30.0
"""Seconds before its expiry from which a plugin's token is not used any more: it must last until
the request arrives.
"""

UNTOLD: Final = 300.0
"""Seconds for which a token without an expiry is used before its plugin is asked again."""


def load(
    path: str | os.PathLike[str] | None, *, context: str | None, run_plugins: bool
) -> tuple[Http, str]:
    """The API of one context of a kubeconfig, and its namespace."""
    try:
        from lightkube.config.client_adapter import verify_cluster
        from lightkube.config.kubeconfig import KubeConfig
        from lightkube.core.exceptions import ConfigError
    except ImportError as error:
        raise StrategyError(
            f"Kubernetes.kubeconfig: {error}; pip install 'progressive-delivery[kubernetes]'"
        ) from None
    named = str(path or os.environ.get("KUBECONFIG") or "~/.kube/config")
    if path is None and os.pathsep in named:
        raise StrategyError(
            f"Kubernetes.kubeconfig: KUBECONFIG names several files ({named}); give the one to use "
            "as path="
        )
    file = Path(named).expanduser()
    wrong = f"Kubernetes.kubeconfig: {file}"
    found: Any = None
    tls = None
    why = ""
    try:
        found = KubeConfig.from_file(file).get(context)
        tls = (
            verify_cluster(found.cluster, found.user, found.abs_file, trust_env=False)
            if found.user
            else None
        )
    except (ConfigError, OSError) as error:
        why = f"{type(error).__name__}: {error}"
    except Exception as error:
        # Whoever parses a file may quote its lines, and some of them are secret.
        mark = getattr(error, "problem_mark", None)
        why = type(error).__name__ + ("" if mark is None else f" in line {mark.line + 1}")
    if why:
        raise StrategyError(f"{wrong}: it can't be read ({why})")
    if found.cluster.insecure:
        raise StrategyError(
            f"{wrong}: insecure-skip-tls-verify would trust anybody; give its "
            "certificate-authority-data instead"
        )
    if found.user is None:
        raise StrategyError(
            f"{wrong}: context {found.context_name!r} has no user; name one, or use "
            "Kubernetes('http://127.0.0.1:8001')"
        )
    credentials = _credentials(found.user, file, run_plugins)
    return Http(found.cluster.server, ca=tls, credentials=credentials), found.namespace


def _credentials(user: Any, file: Path, run_plugins: bool) -> Callable[[], str] | str | None:
    if user.token_file is not None:
        token = file.parent / Path(user.token_file).expanduser()
        return lambda: f"Bearer {token.read_text().strip()}"
    if user.token is not None:
        return f"Bearer {user.token}"
    if user.exec is not None:
        if not run_plugins:
            raise StrategyError(
                f"Kubernetes.kubeconfig: {file} gets its credentials by running "
                f"{user.exec.command!r}; if you trust this file to run programs, say "
                "run_plugins=True"
            )
        return Plugin(
            command=(_command(user.exec.command, file), *(user.exec.args or ())),
            environment={each.name: each.value for each in user.exec.env or ()},
            version=user.exec.apiVersion,
        )
    if user.client_cert or user.client_cert_data:
        return None
    raise StrategyError(
        f"Kubernetes.kubeconfig: the user in {file} has neither token, certificate nor exec "
        "plugin; these are what is supported"
    )


def _command(command: str, file: Path) -> str:
    """A path is relative to the file that names it; a bare name is looked up (kubernetes.io,
    "client-go credential plugins").
    """
    return str(file.parent / command) if os.sep in command else command


@attrs.define
class Plugin:
    """An exec plugin: called, it answers with an ``Authorization`` that is valid now, and runs its
    program only when it must.

    It raises `RuntimeError` without what the program printed, which may hold a credential.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str] = attrs.field(repr=False)
    version: str
    _bearer: str = attrs.field(init=False, default="", repr=False)
    _until: float = attrs.field(init=False, default=0.0)

    def __call__(self) -> str:
        if time.time() >= self._until:
            self._bearer, self._until = self._ask()
        return self._bearer

    def _ask(self) -> tuple[str, float]:
        told = {
            "apiVersion": self.version,
            "kind": "ExecCredential",
            "spec": {"interactive": False},
        }
        environment = {**os.environ, **self.environment, "KUBERNETES_EXEC_INFO": json.dumps(told)}
        answer = subprocess.run(  # noqa: S603 - the user said run_plugins=True
            self.command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PLUGIN_TIMEOUT,
            check=False,
        )
        if answer.returncode:
            raise RuntimeError(f"{self.command[0]} ended with {answer.returncode}")
        try:
            status = json.loads(answer.stdout)["status"]
            expiry = status.get("expirationTimestamp")
            until = (
                time.time() + UNTOLD
                if expiry is None
                else datetime.fromisoformat(expiry).timestamp() - EARLY
            )
            return f"Bearer {status['token']}", until
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            why = type(error).__name__
        raise RuntimeError(
            f"{self.command[0]} gave no token ({why}); plugins that give client certificates are "
            "not supported"
        )
