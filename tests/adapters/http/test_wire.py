"""Whom an adapter trusts: real TLS servers with right and wrong certificates, made for the test."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.support.rules import rule

from progressive.adapters.http import Http, HttpClient, HttpFlow, Request, Response
from progressive.errors import Failure, RouterError, StrategyError

CANARY = "s3cr3t-canary"
READ = Request("GET", "/thing")
BODY = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path) -> str:
    """The file that a user gives as ``ca=``."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def server(
    leaf: trustme.LeafCert, *, clients: trustme.CA | None = None
) -> Iterator[tuple[str, list[bytes]]]:
    """A TLS server with this certificate on the loopback; what reached it in clear text.
    ``clients``: who signs theirs.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    if clients is not None:
        clients.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    received: list[bytes] = []
    done = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(0.05)

    def serve() -> None:
        while not done.is_set():
            try:
                plain, _ = listening.accept()
            except TimeoutError:
                continue
            plain.settimeout(5.0)
            try:
                with context.wrap_socket(plain, server_side=True) as sock:
                    received.append(sock.recv(65536))
                    sock.sendall(BODY)
            except OSError:
                plain.close()  # the client did not trust us, which is what most of these tests want

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listening.getsockname()[1]}", received
    finally:
        done.set()
        thread.join()
        listening.close()


def one(request: Request) -> HttpFlow[Response]:
    return (yield request)


def ask(http: Http, colour: str) -> Response:
    client = HttpClient(http, RouterError, "Thing")
    try:
        return client.run(one(READ)) if colour == "sync" else asyncio.run(client.arun(one(READ)))
    finally:
        client.close()


def test_a_certificate_of_the_authority_that_was_given_is_trusted(
    authority: trustme.CA, trusted: str, colour: str
) -> None:
    with server(authority.issue_cert("127.0.0.1")) as (url, received):
        response = ask(Http(url, ca=trusted, credentials=f"Bearer {CANARY}"), colour)

    assert response.text == "{}"
    assert CANARY.encode() in received[0]


EXPIRED = datetime(2020, 1, 1, tzinfo=UTC)


@rule("R38")
@pytest.mark.parametrize(
    ("made", "why"),
    [
        ({"names": ["127.0.0.1"], "by": "somebody else"}, "CERTIFICATE_VERIFY_FAILED"),
        ({"names": ["another.example"]}, "CERTIFICATE_VERIFY_FAILED"),
        ({"names": ["127.0.0.1"], "not_after": EXPIRED}, "expired"),
    ],
    ids=["another authority", "another host", "expired"],
)
def test_a_wrong_certificate_ends_it_at_once_and_nothing_was_sent(
    authority: trustme.CA, trusted: str, made: dict[str, Any], why: str, colour: str
) -> None:
    signer = trustme.CA() if made.get("by") else authority
    more = (
        {"not_before": made["not_after"] - timedelta(days=9), "not_after": made["not_after"]}
        if "not_after" in made
        else {}
    )
    with (
        server(signer.issue_cert(*made["names"], **more)) as (url, received),
        pytest.raises(RouterError) as caught,
    ):
        ask(Http(url, ca=trusted, credentials=f"Bearer {CANARY}"), colour)

    assert caught.value.failure is Failure.PERMANENT
    assert why in str(caught.value) and "Http(ca=...)" in str(caught.value)
    assert received == []
    assert CANARY not in repr(caught.value)


@rule("R38")
def test_public_authorities_alone_are_trusted_if_none_is_given(
    authority: trustme.CA, colour: str
) -> None:
    with (
        server(authority.issue_cert("127.0.0.1")) as (url, received),
        pytest.raises(RouterError, match=r"give the authority that signed it"),
    ):
        ask(Http(url), colour)

    assert received == []


def test_a_context_of_the_users_own_is_used(authority: trustme.CA, colour: str) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)

    with server(authority.issue_cert("127.0.0.1")) as (url, _):
        assert ask(Http(url, ca=context), colour).status == 200


def test_a_client_certificate_is_shown_where_it_is_asked_for(
    authority: trustme.CA, trusted: str, tmp_path: Path, colour: str
) -> None:
    mine = authority.issue_cert("me@example.org")
    mine.cert_chain_pems[0].write_to_path(tmp_path / "me.pem")
    mine.private_key_pem.write_to_path(tmp_path / "me.key")
    pair = (str(tmp_path / "me.pem"), str(tmp_path / "me.key"))

    with server(authority.issue_cert("127.0.0.1"), clients=authority) as (url, _):
        assert ask(Http(url, ca=trusted, client_certificate=pair), colour).status == 200
        with pytest.raises(RouterError):
            ask(Http(url, ca=trusted, deadline=timedelta(milliseconds=300)), colour)


def test_files_that_are_none_are_named_before_anything_is_asked(
    trusted: str, tmp_path: Path
) -> None:
    (tmp_path / "empty.pem").write_text("")

    for wrong in (
        {"ca": str(tmp_path / "no-such.pem")},
        {"ca": str(tmp_path / "empty.pem")},
        {"ca": trusted, "client_certificate": ("a", "b")},
    ):
        with pytest.raises(StrategyError, match="give PEM files that can be read"):
            HttpClient(Http("https://127.0.0.1:1", **wrong), RouterError, "Thing")


@rule("R38")
@pytest.mark.parametrize(
    ("loosen", "said"),
    [("verify", "does not verify certificates"), ("name", "does not check the name of the host")],
)
def test_a_context_that_does_not_verify_is_refused_with_credentials(
    loosen: str, said: str, trusted: str
) -> None:
    context = ssl.create_default_context(cafile=trusted)
    context.check_hostname = False
    if loosen == "verify":
        context.verify_mode = ssl.CERT_NONE

    with pytest.raises(StrategyError, match=f"http.ca: the SSLContext {said}"):
        Http("https://system.example", ca=context, credentials="Bearer x")
    Http("https://system.example", ca=context)
    Http(
        "https://system.example",
        ca=ssl.create_default_context(cafile=trusted),
        credentials="Bearer x",
    )


@rule("R37")
@pytest.mark.parametrize("of", ["file", "public"])
def test_no_keys_go_to_the_file_that_the_environment_names(
    of: str,
    trusted: str,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    colour: str,
) -> None:
    log = tmp_path / "keys"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    with server(authority.issue_cert("127.0.0.1")) as (address, _):
        http = Http(address, ca=trusted if of == "file" else None, deadline=timedelta(seconds=2))
        client = HttpClient(http, RouterError, "System")
        flow = one(READ)
        untrusted = pytest.raises(RouterError, match="give the authority")
        with nullcontext() if of == "file" else untrusted:
            client.run(flow) if colour == "sync" else asyncio.run(client.arun(flow))

    assert not log.exists()
