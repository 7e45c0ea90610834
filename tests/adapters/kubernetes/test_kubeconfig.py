"""Kubeconfig files: what is used of them, and what is refused. No cluster is asked here."""

from __future__ import annotations

import base64
import os
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
import trustme
import yaml
from tests.support.rules import rule

from progressive.adapters.kubernetes.kubeconfig import Plugin
from progressive.errors import RouterError, StrategyError
from progressive.model.release import Release, Version
from progressive.routers.istio import Istio, Kubernetes

pytest.importorskip("lightkube", reason="the extra is not installed")

CANARY = "s3cr3t-canary"
RELEASE = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    return path


def written(
    folder: Path, user: dict[str, Any] | None, *, cluster: dict[str, Any] | None = None, **more: Any
) -> Path:
    """A kubeconfig with one context."""
    context = {"cluster": "c", "namespace": "sales", **({} if user is None else {"user": "u"})}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "prod",
        "clusters": [
            {"name": "c", "cluster": {"server": "https://10.0.0.1:6443", **(cluster or {})}}
        ],
        "users": [] if user is None else [{"name": "u", "user": user}],
        "contexts": [{"name": "prod", "context": context}],
        **more,
    }
    path = folder / "config"
    path.write_text(yaml.safe_dump(content))
    return path


def test_address_namespace_authority_and_token_are_taken(tmp_path: Path, authority: Path) -> None:
    path = written(tmp_path, {"token": CANARY}, cluster={"certificate-authority": str(authority)})

    found = Kubernetes.kubeconfig(path)

    assert (found.api.origin, found.namespace) == ("https://10.0.0.1:6443", "sales")
    assert found.api.signed()[0] == [("Authorization", f"Bearer {CANARY}")]
    assert CANARY not in repr(found)


def test_a_namespace_may_be_said(tmp_path: Path, authority: Path) -> None:
    path = written(tmp_path, {"token": CANARY}, cluster={"certificate-authority": str(authority)})

    assert Kubernetes.kubeconfig(path, namespace="test").namespace == "test"


def test_a_token_file_is_read_again_for_every_request(tmp_path: Path, authority: Path) -> None:
    (tmp_path / "token").write_text("first\n")
    found = Kubernetes.kubeconfig(
        written(tmp_path, {"tokenFile": "token"}, cluster={"certificate-authority": str(authority)})
    )

    first = found.api.signed()[0]
    (tmp_path / "token").write_text("second\n")

    assert (first, found.api.signed()[0]) == (
        [("Authorization", "Bearer first")],
        [("Authorization", "Bearer second")],
    )


def test_a_client_certificate_needs_no_token(tmp_path: Path) -> None:
    ca = trustme.CA()
    mine = ca.issue_cert("me@example.org")
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    mine.cert_chain_pems[0].write_to_path(str(tmp_path / "me.pem"))
    mine.private_key_pem.write_to_path(str(tmp_path / "me.key"))
    user = {"client-certificate": "me.pem", "client-key": "me.key"}

    found = Kubernetes.kubeconfig(
        written(tmp_path, user, cluster={"certificate-authority": "ca.pem"})
    )

    assert found.api.credentials == ()


EXEC = {
    "apiVersion": "client.authentication.k8s.io/v1",
    "command": "aws",
    "args": ["eks", "get-token"],
}


@rule("R38", "R43", "R44")
@pytest.mark.parametrize(
    ("user", "more", "why"),
    [
        (
            {"token": "t"},
            {"cluster": {"insecure-skip-tls-verify": True}},
            "insecure-skip-tls-verify would trust anybody",
        ),
        (
            {"token": "t"},
            {"cluster": {"certificate-authority": "no-such.pem"}},
            "it can't be read (FileNotFoundError",
        ),
        ({"token": "t"}, {"contexts": []}, "Context 'prod' not found"),
        ({"token": "t"}, {"clusters": []}, "it can't be read (KeyError"),
        (None, {}, "context 'prod' has no user; name one, or use Kubernetes("),
        (
            {"exec": EXEC},
            {},
            (
                "gets its credentials by running 'aws'; if you trust this file to run programs, "
                "say run_plugins=True"
            ),
        ),
        (
            {"username": "eve", "password": "p"},
            {},
            "has neither token, certificate nor exec plugin",
        ),
    ],
    ids=[
        "no TLS",
        "no authority",
        "no context",
        "no cluster",
        "no user",
        "a program",
        "a password",
    ],
)
def test_what_can_not_be_used_is_refused_with_the_mend(
    tmp_path: Path, authority: Path, user: dict[str, Any] | None, more: dict[str, Any], why: str
) -> None:
    cluster = {"certificate-authority": str(authority), **more.pop("cluster", {})}

    with pytest.raises(StrategyError) as caught:
        Kubernetes.kubeconfig(written(tmp_path, user, cluster=cluster, **more))

    assert why in str(caught.value)


@rule("R37")
def test_a_mistake_in_the_file_is_named_by_its_line_and_not_quoted(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(f"users:\n- name: u\n  user:\n    token: {CANARY}: x\n")

    with pytest.raises(
        StrategyError, match="it can't be read \\(ScannerError in line 4\\)"
    ) as caught:
        Kubernetes.kubeconfig(tmp_path / "config")

    assert CANARY not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"


def test_several_files_in_the_environment_are_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(["a", "b"]))

    with pytest.raises(
        StrategyError, match=r"KUBECONFIG names several files .* give the one to use as path="
    ):
        Kubernetes.kubeconfig()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match="no-such-file"):
        Kubernetes.kubeconfig(tmp_path / "no-such-file")


def test_without_the_extra_its_name_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lightkube.config.kubeconfig", None)

    with pytest.raises(StrategyError, match=r"pip install 'progressive-delivery\[kubernetes\]'"):
        Kubernetes.kubeconfig(tmp_path / "config")


# ------------------------------------------------------------------------------------------ plugins


def plugin(folder: Path, body: str) -> Plugin:
    """A program that runs this, and writes down that it ran."""
    (folder / "plugin.py").write_text(
        f"import json, os, sys\nopen({str(folder / 'runs')!r}, 'a').write('.')\n{body}\n"
    )
    return Plugin(
        command=(sys.executable, str(folder / "plugin.py")),
        environment={},
        version="client.authentication.k8s.io/v1",
    )


def answers(**status: str) -> str:
    return f"print(json.dumps({{'status': {status!r}}}))"


def test_a_token_is_used_until_shortly_before_its_expiry(tmp_path: Path) -> None:
    def runs(lasting: timedelta) -> int:
        asked = plugin(
            tmp_path,
            answers(token=CANARY, expirationTimestamp=(datetime.now(UTC) + lasting).isoformat()),
        )
        before = len((tmp_path / "runs").read_text()) if (tmp_path / "runs").exists() else 0
        assert [asked() for _ in range(3)] == [f"Bearer {CANARY}"] * 3
        return len((tmp_path / "runs").read_text()) - before

    assert (runs(timedelta(hours=1)), runs(timedelta(seconds=20))) == (1, 3)


def test_one_without_an_expiry_is_used_for_some_minutes(tmp_path: Path) -> None:
    asked = plugin(tmp_path, answers(token=CANARY))

    assert [asked() for _ in range(3)] == [f"Bearer {CANARY}"] * 3
    assert (tmp_path / "runs").read_text() == "."
    assert CANARY not in repr(asked)


@rule("R37")
@pytest.mark.parametrize(
    "body",
    [
        f"sys.exit('{CANARY}')",
        f"print('{CANARY}')",
        f"print(json.dumps({{'status': {{'clientCertificateData': '{CANARY}'}}}}))",
        f"print(json.dumps(['{CANARY}']))",
        (
            f"print(json.dumps({{'status': {{'token': '{CANARY}', 'expirationTimestamp': "
            "'tomorrow'}}))"
        ),
    ],
)
def test_a_plugin_that_fails_says_so_without_what_it_printed(tmp_path: Path, body: str) -> None:
    with pytest.raises(RuntimeError) as caught:
        plugin(tmp_path, body)()

    assert CANARY not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"


def test_a_plugin_that_fails_is_no_write_and_no_read(tmp_path: Path, authority: Path) -> None:
    broken = {**EXEC, "command": "./no-such-program"}
    path = written(tmp_path, {"exec": broken}, cluster={"certificate-authority": str(authority)})
    found = Kubernetes.kubeconfig(path, run_plugins=True)
    quick = Kubernetes(attrs.evolve(found.api, deadline=timedelta(seconds=3)))

    with pytest.raises(
        RouterError,
        match="the credential for Authorization could not be had: it raised FileNotFoundError",
    ):
        Istio(api=quick, virtual_service="shop", host="shop").read(RELEASE)


# --------------------------------------------------------------- what would change who is asked


def test_a_proxy_is_used(tmp_path: Path, authority: Path) -> None:
    path = written(
        tmp_path,
        {"token": CANARY},
        cluster={
            "certificate-authority": str(authority),
            "proxy-url": "http://user:pass@proxy.example:3128",
        },
    )

    assert Kubernetes.kubeconfig(path).api.proxy == "http://user:pass@proxy.example:3128"


@pytest.mark.parametrize(
    ("user", "cluster", "said"),
    [
        ({}, {"proxy-url": "socks5://proxy.example"}, "proxy-url is none of an http"),
        ({}, {"tls-server-name": "api.example"}, "tls-server-name 'api.example' is another name"),
        ({"as": "admin"}, {}, "as would act as somebody else"),
        ({"as-groups": ["a"], "as": "b"}, {}, "as, as-groups would act as somebody else"),
    ],
)
def test_what_can_not_be_honoured_is_refused_by_name(
    tmp_path: Path,
    authority: Path,
    user: dict[str, Any],
    cluster: dict[str, Any],
    said: str,
) -> None:
    path = written(
        tmp_path,
        {"token": CANARY, **user},
        cluster={"certificate-authority": str(authority), **cluster},
    )

    with pytest.raises(StrategyError, match=said) as caught:
        Kubernetes.kubeconfig(path)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("more", [{"tls-server-name": "10.0.0.1"}, {"proxy-url": ""}])
def test_what_changes_nothing_is_taken(
    tmp_path: Path, authority: Path, more: dict[str, str]
) -> None:
    path = written(
        tmp_path, {"token": CANARY}, cluster={"certificate-authority": str(authority), **more}
    )

    assert Kubernetes.kubeconfig(path).api.proxy is None


@rule("R37")
def test_no_keys_go_to_the_file_that_the_environment_names(
    tmp_path: Path, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "keys"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))

    for cluster in ({"certificate-authority": str(authority)}, {}):
        api = Kubernetes.kubeconfig(written(tmp_path, {"token": CANARY}, cluster=cluster)).api
        assert isinstance(api.ca, ssl.SSLContext) and api.ca.verify_mode is ssl.CERT_REQUIRED
        assert api.ca.check_hostname
    assert not log.exists()


def test_an_authority_within_the_file_is_trusted(tmp_path: Path, authority: Path) -> None:
    data = base64.b64encode(authority.read_bytes()).decode()
    path = written(tmp_path, {"token": CANARY}, cluster={"certificate-authority-data": data})
    found = Kubernetes.kubeconfig(path).api.ca

    assert isinstance(found, ssl.SSLContext) and len(found.get_ca_certs()) == 1


def test_a_plugin_runs_once_at_a_time(tmp_path: Path) -> None:
    count = tmp_path / "count"
    program = (
        f"import json, time; open({str(count)!r}, 'a').write('x'); time.sleep(0.3); "
        "print(json.dumps({'status': {'token': 't'}}))"
    )
    plugin = Plugin(command=(sys.executable, "-c", program), environment={}, version="v1")
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: plugin(), range(4)))

    assert (found, count.read_text()) == ({"Bearer t"}, "x")
