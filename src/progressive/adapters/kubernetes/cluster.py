"""How a cluster's API is reached: an address, from within a pod, or by a kubeconfig file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final, Self

import attrs

from progressive.adapters.http import Http, to_http
from progressive.errors import StrategyError

__all__ = ["Kubernetes", "is_dns_name", "to_kubernetes"]

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet puts a pod's token, its authority and its namespace (kubernetes.io, "Accessing
the API from within a Pod").
"""

_DNS_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


def is_dns_name(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """A validator: the name of an object or of a namespace (RFC 1123)."""
    if not isinstance(value, str) or not _DNS_NAME.fullmatch(value):
        where = f"{type(instance).__name__}.{attribute.name}"
        raise StrategyError(
            f"{where}: {value!r} is no name of a Kubernetes object; use lower case letters, "
            "digits, - and ."
        )


@attrs.frozen
class Kubernetes:
    """How to reach one cluster's API: an address or an `Http` with credentials, and the namespace
    of what has none of its own.

    ``Kubernetes(Http("https://10.0.0.1:6443", ca="ca.crt", credentials=lambda: f"Bearer
    {token()}"))``, or `in_cluster`, or `kubeconfig`. A ``kubectl proxy`` is an address without
    credentials.
    """

    api: Http = attrs.field(converter=to_http)
    namespace: str = attrs.field(default="default", validator=is_dns_name, kw_only=True)

    @classmethod
    def in_cluster(
        cls, *, account: str | os.PathLike[str] = SERVICE_ACCOUNT, namespace: str | None = None
    ) -> Self:
        """From within a pod, as its service account. The token is read again for every request: the
        kubelet renews it.

        ``namespace``: by default the pod's own. `StrategyError` outside of a cluster.
        """
        folder = Path(account)
        host, port = (
            os.environ.get("KUBERNETES_SERVICE_HOST"),
            os.environ.get("KUBERNETES_SERVICE_PORT", "443"),
        )
        try:
            if not host:
                raise FileNotFoundError("KUBERNETES_SERVICE_HOST is not set")
            found = namespace or (folder / "namespace").read_text().strip()
            (folder / "token").read_bytes()
        except OSError as error:
            why = str(error)
        else:
            shown = f"[{host}]" if ":" in host else host
            api = Http(
                f"https://{shown}:{port}",
                ca=str(folder / "ca.crt"),
                credentials=lambda: f"Bearer {(folder / 'token').read_text().strip()}",
            )
            return cls(api, namespace=found)
        raise StrategyError(
            f"Kubernetes.in_cluster: this is no pod with a service account ({why}); use "
            "Kubernetes.kubeconfig()"
        )

    @classmethod
    def kubeconfig(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        context: str | None = None,
        namespace: str | None = None,
        run_plugins: bool = False,
    ) -> Self:
        """From a kubeconfig file: ``path``, else ``KUBECONFIG``, else ``~/.kube/config``; its
        current context, or ``context``.

        Needs the extra ``progressive-delivery[kubernetes]``. A file that gets its credentials by
        running a program (an exec plugin of a cloud) is only used with ``run_plugins=True``,
        because such a file decides what runs here.
        """
        from .kubeconfig import load

        api, found = load(path, context=context, run_plugins=run_plugins)
        return cls(api, namespace=namespace or found)


def to_kubernetes(value: Kubernetes | Http | str) -> Kubernetes:
    """A converter: an address alone is enough where nothing else is needed."""
    return value if isinstance(value, Kubernetes) else Kubernetes(value)
