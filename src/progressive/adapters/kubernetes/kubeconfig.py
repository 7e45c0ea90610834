"""A kubeconfig file as an `Http`: lightkube reads the file and its certificates, the credentials
stay with us.

Its own exec plugins know neither ``client.authentication.k8s.io/v1`` nor an expiry nor a time-out;
these do.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import certifi

from progressive.adapters.http import Http
from progressive.adapters.trust import verifying
from progressive.errors import StrategyError

__all__ = ["load"]

PLUGIN_TIMEOUT: Final = 60.0
"""Seconds that an exec plugin may take: some open a browser window the first time. No call waits
longer than its own deadline for it; the next one finds what it has answered meanwhile.
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
        import yaml
        from lightkube.config.client_adapter import user_cert
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
    cluster: Mapping[str, object] = {}
    user: Mapping[str, object] = {}
    why = ""
    try:
        found = KubeConfig.from_file(file).get(context)
        raw = yaml.safe_load(file.read_text())
        cluster = _entry(raw, "cluster", found.context.cluster)
        user = _entry(raw, "user", found.context.user)
        tls = _trust(found, user_cert) if found.user else None
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
    _refuse_ignored(wrong, found.cluster.server, cluster, user)
    credentials = _credentials(found.user, file, run_plugins)
    proxy = cluster.get("proxy-url") or None
    if proxy is not None and not str(proxy).startswith(("http://", "https://")):
        raise StrategyError(
            f"{wrong}: proxy-url is none of an http:// or https:// proxy (not shown: it may be "
            "secret), and others are not supported; give one, or reach the server without"
        )
    http = Http(
        found.cluster.server,
        ca=tls,
        credentials=credentials,
        proxy=None if proxy is None else str(proxy),
    )
    return http, found.namespace


def _entry(raw: Any, kind: str, name: object) -> Mapping[str, object]:
    """A cluster or a user as the file has it: lightkube leaves out what it does not know."""
    listed = raw.get(f"{kind}s") or ()
    found = next((each.get(kind) for each in listed if each.get("name") == name), None)
    return found or {}


def _trust(found: Any, user_cert: Callable[..., Any]) -> ssl.SSLContext:
    """Whom to trust: the authority of the cluster, else the public ones; and the certificate of the
    user.
    """
    context = verifying()
    cluster = found.cluster
    if cluster.certificate_auth:
        context.load_verify_locations(cafile=found.abs_file(cluster.certificate_auth))
    elif cluster.certificate_auth_data:
        context.load_verify_locations(cadata=b64decode(cluster.certificate_auth_data).decode())
    else:
        context.load_verify_locations(cafile=certifi.where())
    certificate = user_cert(found.user, found.abs_file)
    if certificate:
        context.load_cert_chain(*certificate)
    return context


def _refuse_ignored(
    wrong: str, server: str, cluster: Mapping[str, object], user: Mapping[str, object]
) -> None:
    """Raise `StrategyError` for what would change who is asked, or as whom, and is not supported:
    ignoring it would be worse than not working.
    """
    name = cluster.get("tls-server-name")
    if name and name != urlsplit(server).hostname:
        raise StrategyError(
            f"{wrong}: tls-server-name {name!r} is another name than that of the server, "
            f"{urlsplit(server).hostname}, which is not supported; give a server address with the "
            "name that its certificate has"
        )
    impersonated = sorted(key for key in user if key == "as" or key.startswith("as-"))
    if impersonated:
        raise StrategyError(
            f"{wrong}: {', '.join(impersonated)} would act as somebody else, which is not "
            "supported; give the credentials of an account of its own"
        )


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

    _lock: threading.Lock = attrs.field(init=False, repr=False, eq=False, factory=threading.Lock)
    """Its program runs once at a time: whoever comes meanwhile uses what it answers."""

    def __call__(self) -> str:
        with self._lock:
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
