"""What HTTP may and may not do to an adapter, against small servers that misbehave on purpose."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import logging
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from tests.support.rules import rule

from progressive.adapters.http import (
    Http,
    HttpClient,
    HttpFlow,
    Malformed,
    Request,
    Response,
    get_path,
    segment,
)
from progressive.adapters.provider import Provider, look_of
from progressive.errors import (
    ConflictError,
    Failure,
    MetricsError,
    ProgressiveError,
    RouterError,
    StrategyError,
)
from progressive.model.measurement import Look, Metric, NoAnswer, NoData, Window
from progressive.model.release import Release, Track, Version

CANARY = "s3cr3t-canary"
SHORT = timedelta(milliseconds=400)


@contextmanager
def server(behave: Callable[[socket.socket, bytes], None]) -> Iterator[tuple[str, list[bytes]]]:
    """A server on a free port; ``behave`` gets every connection and what was sent first. Yields its
    address and what came.
    """
    received: list[bytes] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            head = self.request.recv(65536)
            if head:
                received.append(head)
                try:
                    behave(self.request, head)
                except OSError:
                    return  # the client has left, which is what most of these tests want of it

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_address[1]}", received
        finally:
            running.shutdown()
            thread.join()


def answer(
    status: str = "200 OK", body: bytes = b"{}", *headers: str
) -> Callable[[socket.socket, bytes], None]:
    head = "".join(
        f"{line}\r\n"
        for line in (
            f"HTTP/1.1 {status}",
            f"content-length: {len(body)}",
            "connection: close",
            *headers,
        )
    )
    return lambda sock, _: sock.sendall(head.encode() + b"\r\n" + body)


def one(request: Request) -> HttpFlow[Response]:
    return (yield request)


READ = Request("GET", "/thing")
WRITE = Request("POST", "/thing", write=True)


def ask(http: Http, request: Request, colour: str) -> Response:
    client = HttpClient(http, RouterError, "Thing")
    try:
        return (
            client.run(one(request)) if colour == "sync" else asyncio.run(client.arun(one(request)))
        )
    finally:
        client.close()


def failing(http: Http, request: Request, colour: str) -> ProgressiveError:
    with pytest.raises(ProgressiveError) as caught:
        ask(http, request, colour)
    return caught.value


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def nobody() -> str:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{sock.getsockname()[1]}"


# ----------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("status", "read", "write"),
    [
        ("302 Found", Failure.PERMANENT, Failure.PERMANENT),
        ("400 Bad Request", Failure.PERMANENT, Failure.PERMANENT),
        ("401 Unauthorized", Failure.PERMANENT, Failure.PERMANENT),
        ("404 Not Found", Failure.PERMANENT, Failure.PERMANENT),
        ("429 Too Many Requests", Failure.TRANSIENT, Failure.TRANSIENT),
        ("500 Oops", Failure.TRANSIENT, Failure.UNKNOWN),
        ("503 Busy", Failure.TRANSIENT, Failure.UNKNOWN),
    ],
)
def test_a_status_says_whether_asking_again_can_help(
    status: str, read: Failure, write: Failure, colour: str
) -> None:
    # Long enough for an answer from a busy machine, short enough to try again and give up.
    with server(answer(status, b"the system's own words")) as (url, _):
        http = Http(url, deadline=timedelta(seconds=1.5))
        found = [failing(http, request, colour) for request in (READ, WRITE)]

    assert [error.failure for error in found if isinstance(error, RouterError)] == [read, write]
    assert all("the system's own words" in str(error) and "/thing" in str(error) for error in found)


@pytest.mark.parametrize("status", ["409 Conflict", "412 Precondition Failed"])
def test_somebody_else_moved_it(status: str, colour: str) -> None:
    with server(answer(status)) as (url, _):
        assert isinstance(failing(Http(url), WRITE, colour), ConflictError)


def test_a_status_that_the_adapter_accepts_is_an_answer(colour: str) -> None:
    with server(answer("404 Not Found", b"none")) as (url, _):
        response = ask(Http(url), Request("GET", "/thing", accept=(404,)), colour)

    assert (response.status, response.text) == (404, "none")


def test_nobody_listening_is_transient_for_a_write_too_because_nothing_was_sent(
    nobody: str, colour: str
) -> None:
    found = [failing(Http(nobody, deadline=SHORT), request, colour) for request in (READ, WRITE)]

    assert [error.failure for error in found if isinstance(error, RouterError)] == [
        Failure.TRANSIENT
    ] * 2


@rule("R5")
def test_a_write_whose_answer_is_lost_is_unknown_and_is_not_sent_again(colour: str) -> None:
    with server(lambda sock, _: sock.close()) as (url, received):
        error = failing(Http(url), WRITE, colour)

    assert isinstance(error, RouterError) and error.failure is Failure.UNKNOWN
    assert len(received) == 1


def test_a_read_is_tried_again_until_it_is_answered(colour: str) -> None:
    turns = iter([answer("503 Busy"), lambda sock, _: sock.close(), answer(body=b"fine")])
    with server(lambda sock, head: next(turns)(sock, head)) as (url, received):  # noqa: PLW0108
        response = ask(Http(url), READ, colour)

    assert response.text == "fine"
    assert len(received) == 3


def test_a_read_after_a_write_that_fails_leaves_the_write_unknown(colour: str) -> None:
    def both() -> HttpFlow[None]:
        yield WRITE
        yield READ

    def behave(sock: socket.socket, head: bytes) -> None:
        answer("200 OK" if head.startswith(b"POST") else "404 Not Found")(sock, head)

    with server(behave) as (url, _), pytest.raises(RouterError) as caught:  # noqa: PT012
        client = HttpClient(Http(url), RouterError, "Thing")
        client.run(both()) if colour == "sync" else asyncio.run(client.arun(both()))

    assert caught.value.failure is Failure.UNKNOWN


# ------------------------------------------------------------------------------------------- limits


@rule("R40")
@pytest.mark.parametrize("where", ["head", "body"])
def test_a_drip_ends_at_the_total_deadline(where: str, colour: str) -> None:
    gone = threading.Event()

    def drip(sock: socket.socket, _: bytes) -> None:
        sock.sendall(
            b"HTTP/1.1 200 OK\r\n"
            + (b"content-length: 100000\r\n\r\n" if where == "body" else b"x: ")
        )
        try:
            for _turn in range(6000):
                sock.sendall(b"x")
                time.sleep(0.01)
        finally:
            gone.set()

    with server(drip) as (url, _):
        error = failing(Http(url, timeout=timedelta(seconds=30), deadline=SHORT), READ, colour)

        assert isinstance(error, RouterError) and error.failure is Failure.TRANSIENT
        assert gone.wait(30), "the connection was left open"


@rule("R41")
def test_a_body_that_is_too_large_is_not_read_to_its_end(colour: str) -> None:
    with server(answer(body=b"x" * 2_000_000)) as (url, _):
        error = failing(Http(url, body_limit=100_000), READ, colour)

    assert "100000 bytes" in str(error)
    assert isinstance(error, RouterError) and error.failure is Failure.PERMANENT


@rule("R41")
def test_a_compressed_body_is_refused_so_that_it_cannot_explode(colour: str) -> None:
    with server(answer("200 OK", gzip.compress(b"x" * 10_000_000), "content-encoding: gzip")) as (
        url,
        received,
    ):
        error = failing(Http(url), READ, colour)

    assert "compressed" in str(error)
    assert b"accept-encoding: identity" in received[0].lower()


@rule("R39")
def test_a_redirect_is_not_followed(colour: str) -> None:
    with (
        server(answer()) as (there, elsewhere),
        server(answer("302 Found", b"", f"location: {there}/x")) as (url, _),
    ):
        error = failing(
            Http(url, credentials={"DD-API-KEY": CANARY, "X-Vault-Token": CANARY}), READ, colour
        )

    assert "redirects are not followed" in str(error)
    assert elsewhere == []


@rule("R44")
def test_the_environment_names_no_proxy(colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        server(answer(body=b"the proxy")) as (proxy, asked),
        server(answer(body=b"direct")) as (url, _),
    ):
        monkeypatch.setenv("HTTP_PROXY", proxy)
        monkeypatch.setenv("ALL_PROXY", proxy)

        assert ask(Http(url), READ, colour).text == "direct"
        assert asked == []


# ------------------------------------------------------------------------------------------ secrets


def _everything(error: BaseException | None) -> str:
    said = ""
    while error is not None:
        said += f"{error!r} {error} {error.args} "
        error = error.__cause__ or error.__context__
    return said


def _echo(sock: socket.socket, head: bytes) -> None:
    answer("400 Bad Request", head)(sock, head)


@rule("R37")
@pytest.mark.parametrize(
    "behave", [_echo, answer("500 Oops", CANARY.encode()), lambda sock, _: sock.close()]
)
@pytest.mark.parametrize(
    "secret", [f"Bearer {CANARY}", lambda: f"Bearer {CANARY}\n", {"X-Api-Key": CANARY}]
)
def test_a_credential_never_shows(
    behave: Callable[[socket.socket, bytes], None],
    secret: Any,
    colour: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    with server(behave) as (url, received):
        http = Http(url, credentials=secret, deadline=SHORT)
        client = HttpClient(http, RouterError, "Thing")
        error = failing(http, READ, colour)

    assert CANARY.encode() in received[0], "it was really sent"
    assert CANARY not in _everything(error) + repr(http) + repr(client) + caplog.text


class Quoting(Provider[Request, Response]):
    """A provider that quotes what a system says in an answer that is no failure."""

    metrics = (Metric("orders", kind="value"),)

    def __init__(self, http: Http, *, raises: bool = False) -> None:
        self._client = HttpClient(http, MetricsError, "Thing")
        self._raises = raises

    def _measure(
        self,
        release: Release,
        metric: Metric,
        tracks: Sequence[Track],
        window: Window,
        since: str | None,
    ) -> HttpFlow[Look]:
        answered = yield READ
        if self._raises:
            raise MetricsError(f"it says {answered.text}", failure=Failure.PERMANENT)
        why = {Track.STABLE: NoAnswer(answered.text), Track.CANDIDATE: NoData(answered.text)}
        return look_of(metric, window, tracks, why, query=f"q {answered.text}", meaning=())


ECHOES = {
    "as it is": lambda secret: secret,
    "in lower case": str.lower,
    "quoted": lambda secret: quote(secret, safe=""),
    "escaped": lambda secret: json.dumps({"error": secret}),
    "in base64": lambda secret: base64.b64encode(f"user:{secret}".encode()).decode(),
}


@rule("R37")
@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
@pytest.mark.parametrize("where", ["credential", "basic", "path", "proxy"])
def test_what_an_answer_that_is_no_failure_echoes_never_shows(
    echo: Callable[[str], str], where: str, colour: str
) -> None:
    """In what the adapter raises, and in the look that is stored."""
    secret = 'Canary/"s3cr3t"' if where in ("credential", "basic") else "Canary-s3cr3t"
    shown = echo(secret)
    two = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))
    now = datetime(2026, 11, 29, tzinfo=UTC)
    given = (two, Quoting.metrics[0], tuple(Track)[:2], Window(now, now), None)
    found = []
    with server(answer("200 OK", shown.encode())) as (url, _):
        basic = base64.b64encode(f"user:{secret}".encode()).decode()
        http = {
            "credential": lambda: Http(url, credentials={"X-Key": secret}, deadline=SHORT),
            "basic": lambda: Http(url, credentials=f"Basic {basic}", deadline=SHORT),
            "path": lambda: Http(f"{url}/hooks/{secret}", deadline=SHORT),
            "proxy": lambda: Http(
                "http://x.example", proxy=url.replace("//", f"//user:{secret}@"), deadline=SHORT
            ),
        }[where]()
        for raises in (True, False):
            quoting = Quoting(http, raises=raises)
            try:
                found.append(
                    quoting.measure(*given)
                    if colour == "sync"
                    else asyncio.run(quoting.ameasure(*given))
                )
            except MetricsError as error:
                found.append(str(error))

    assert isinstance(found[1], Look)
    assert shown not in repr(found)
    assert repr(found).count("***") >= 4


def test_a_plain_path_and_a_short_one_stay() -> None:
    assert Http("https://thanos.example/prometheus").passwords == ("/prometheus",)
    assert Http("https://thanos.example/v1").passwords == ()
    assert Http("https://thanos.example/").passwords == ()


def _unlucky() -> str:
    raise LookupError(CANARY)


@rule("R37")
@pytest.mark.parametrize(
    "secret", [f"Bearer {CANARY}\nx: y", f"Bearer {CANARY}é", "", _unlucky, lambda: None]
)
def test_a_credential_that_can_not_be_sent_does_not_show_either(
    secret: Any, nobody: str, colour: str
) -> None:
    error = failing(Http(nobody, credentials=secret, deadline=SHORT), WRITE, colour)

    assert isinstance(error, RouterError) and error.failure is Failure.TRANSIENT
    assert "Authorization" in str(error)
    assert CANARY not in _everything(error)


@rule("R37")
def test_a_webhooks_path_and_a_query_never_show(
    colour: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with server(lambda sock, _: sock.close()) as (url, _):
        http = Http(f"{url}/services/{CANARY}", deadline=SHORT)
        error = failing(http, Request("POST", "", params=(("key", CANARY),), write=True), colour)

    assert CANARY not in _everything(error) + repr(http) + caplog.text


@rule("R37")
def test_a_proxys_password_never_shows(nobody: str, colour: str) -> None:
    http = Http(
        "http://example.invalid", proxy=nobody.replace("//", f"//user:{CANARY}@"), deadline=SHORT
    )

    assert CANARY not in _everything(failing(http, READ, colour)) + repr(http)


def test_a_proxy_is_told_its_password(colour: str) -> None:
    with server(answer(body=b"by proxy")) as (url, received):
        response = ask(
            Http("http://example.invalid", proxy=url.replace("//", f"//user:{CANARY}@")),
            READ,
            colour,
        )

    assert response.text == "by proxy"
    assert base64.b64encode(f"user:{CANARY}".encode()) in received[0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Http(f"http://user:{CANARY}@example.invalid"),
        lambda: Http(f"https://example.invalid/?key={CANARY}"),
        lambda: Http(f"ftp://example.invalid/{CANARY}"),
        lambda: Http(f"http://example.invalid:{CANARY}"),
        lambda: Http("http://example.invalid", credentials=CANARY),
        lambda: Http("https://example.invalid", headers={"Authorization": CANARY}),
        lambda: Http("https://example.invalid", proxy=f"socks9://{CANARY}"),
    ],
)
def test_a_description_that_would_leak_is_refused_without_leaking(make: Callable[[], Http]) -> None:
    with pytest.raises(StrategyError) as caught:
        make()

    assert CANARY not in str(caught.value)


@rule("R38")
def test_credentials_may_go_over_plain_http_to_this_machine_only() -> None:
    for host in ("localhost", "127.0.0.1", "127.8.8.8", "[::1]"):
        assert Http(f"http://{host}:9901", credentials="x")
    with pytest.raises(StrategyError, match="plain http"):
        Http("http://10.0.0.1:9901", credentials="x")


# -------------------------------------------------------------------------------------- connections


def test_one_adapter_serves_one_event_loop_after_another_and_both_colours() -> None:
    with server(answer(body=b"fine")) as (url, _):
        client = HttpClient(Http(url), RouterError, "Thing")

        assert [asyncio.run(client.arun(one(READ))).text for _ in range(3)] == ["fine"] * 3
        assert client.run(one(READ)).text == "fine"
        client.close()
        assert client.run(one(READ)).text == "fine"
        client.close()


def test_synchronous_calls_keep_their_connection() -> None:
    connections = []

    def keep(sock: socket.socket, _: bytes) -> None:
        connections.append(sock)
        while True:
            sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
            if not sock.recv(65536):
                return

    with server(keep) as (url, _):
        client = HttpClient(Http(url), RouterError, "Thing")
        for _ in range(5):
            client.run(one(READ))
        client.close()

    assert len(connections) == 1


def test_an_interrupt_passes_untouched() -> None:
    def interrupted() -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        HttpClient(Http("http://127.0.0.1:1", credentials=interrupted), RouterError, "Thing").run(
            one(READ)
        )


# ------------------------------------------------------------------------------------------- values


@rule("R42")
@pytest.mark.parametrize("path", ["thing", "/a/../b", "/a?b=c", "/a b", "/a#b", "/a\r\nx: y"])
def test_a_path_that_would_become_another_is_refused(path: str) -> None:
    with pytest.raises(StrategyError):
        Request("GET", path)


@rule("R42")
def test_a_segment_stays_one_segment() -> None:
    assert segment("a/b?c#d é") == "a%2Fb%3Fc%23d%20%C3%A9"
    with pytest.raises(StrategyError):
        segment("..")


@rule("R19")
@pytest.mark.parametrize(
    "body", [b"", b"{", b"NaN", b'{"a":1,"a":2}', b"[" * 100_000, b'{"a":-Infinity}', b"\xff"]
)
def test_json_is_strict_and_its_error_does_not_quote_it(body: bytes) -> None:
    with pytest.raises(Malformed):
        Response(body=body).json()


def test_an_answer_of_another_shape_says_where() -> None:
    assert get_path({"items": [{"name": "x"}]}, "items.0.name", str) == "x"
    with pytest.raises(Malformed, match=r"there is no \$\.items\.1"):
        get_path({"items": [1]}, "items.1", int)
    with pytest.raises(Malformed, match=r"\$\.on is not a int"):
        get_path({"on": True}, "on", int)


def test_an_answer_that_makes_no_sense_is_the_adapters_error(colour: str) -> None:
    def flow() -> HttpFlow[Any]:
        return (yield READ).json()

    with (  # noqa: PT012
        server(answer(body=b"<html>")) as (url, _),
        pytest.raises(RouterError, match="makes no sense") as caught,
    ):
        client = HttpClient(Http(url), RouterError, "Thing")
        client.run(flow()) if colour == "sync" else asyncio.run(client.arun(flow()))

    assert caught.value.failure is Failure.PERMANENT
    assert caught.value.__context__ is None
