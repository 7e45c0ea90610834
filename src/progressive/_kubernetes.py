"""The Kubernetes API for adapters: how a cluster is reached, and one object of it, read and patched
by compare-and-set.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

import attrs

from progressive._http import Flow, Http, Malformed, Request, at, segment, to_http
from progressive.errors import StrategyError

__all__ = ["Kubernetes", "find", "is_dns_name", "patch", "path_of", "read", "to_kubernetes"]

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet puts a pod's token, its authority and its namespace (kubernetes.io, "Accessing
the API from within a Pod").
"""

MANAGER: Final = "progressive"
"""The name under which our writes stand in an object's ``managedFields``."""

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
        from progressive._kubeconfig import load

        api, found = load(path, context=context, run_plugins=run_plugins)
        return cls(api, namespace=namespace or found)


def to_kubernetes(value: Kubernetes | Http | str) -> Kubernetes:
    """A converter: an address alone is enough where nothing else is needed."""
    return value if isinstance(value, Kubernetes) else Kubernetes(value)


def path_of(group: str, version: str, namespace: str, plural: str, name: str) -> str:
    """The path of one object:
    ``/apis/networking.istio.io/v1/namespaces/shop/virtualservices/checkout``.
    """
    root = f"/apis/{segment(group)}/{segment(version)}" if group else f"/api/{segment(version)}"
    return f"{root}/namespaces/{segment(namespace)}/{segment(plural)}/{segment(name)}"


def read(path: str) -> Flow[dict[str, Any]]:
    """The object, from the API server itself (not from its cache)."""
    response = yield Request("GET", path)
    return _object(response.json())


def find(path: str) -> Flow[dict[str, Any] | None]:
    """The object, or None if there is none."""
    response = yield Request("GET", path, accept=(404,))
    return None if response.status == 404 else _object(response.json())


def patch(path: str, changes: Mapping[str, Any], *, version: str | None) -> Flow[dict[str, Any]]:
    """Change these fields of an object if it still has the resourceVersion ``version``; else
    `ConflictError`, nothing is changed.

    None changes them whatever it has. The answer is the object as it is stored now. Lists are
    replaced whole (RFC 7396), which compare-and-set makes safe.
    """
    condition = (
        {}
        if version is None
        else {"metadata": {**changes.get("metadata", {}), "resourceVersion": version}}
    )
    body = json.dumps({**changes, **condition}, allow_nan=False, separators=(",", ":")).encode()
    response = yield Request(
        "PATCH",
        path,
        params=(("fieldManager", MANAGER),),
        headers=(("content-type", "application/merge-patch+json"),),
        content=body,
        write=True,
    )
    return _object(response.json())


def _object(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = at(value, "", dict)
    if not at(found, "metadata.resourceVersion", str):
        raise Malformed("the object has no resourceVersion")
    return found
