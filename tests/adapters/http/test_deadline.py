"""One deadline for all of a call over HTTP, whatever happens in it, in both colours; and nothing
that takes its time runs on an event loop.

The brothers of this fault: each side of an exchange that can be dribbled (head, body, interim
answers, what we send), what comes before it (resolving, connecting, credentials), and lines over a
socket (`test_lines.py`, by the same `connected`).
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise

import pytest
from tests.support.rules import rule

from progressive.adapters.http import Http, HttpClient, HttpFlow, Request, Response
from progressive.adapters.lines import Line, LineClient, LineSocket
from progressive.errors import Failure, RouterError

READ = Request("GET", "/thing")
SOON = timedelta(seconds=0.4)
LATEST = 2.5
"""Seconds after which a call has outlasted its deadline, on a machine that does much else."""


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def server(behave: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    done = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(0.05)

    def attend(sock: socket.socket) -> None:
        with sock:
            try:
                behave(sock, done)
            except OSError:
                return

    def serve() -> None:
        while not done.is_set():
            try:
                sock, _ = listening.accept()
            except TimeoutError:
                continue
            threading.Thread(target=attend, args=(sock,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        done.set()
        thread.join()
        listening.close()


def one(request: Request) -> HttpFlow[Response]:
    return (yield request)


def ask(client: HttpClient, colour: str, request: Request = READ) -> Response:
    if colour == "sync":
        return client.run(one(request))
    return asyncio.run(client.arun(one(request)))


def too_late(client: HttpClient, colour: str, request: Request = READ) -> RouterError:
    """The error of a call that has to end in time."""
    began = time.monotonic()
    with pytest.raises(RouterError) as caught:
        ask(client, colour, request)
    assert time.monotonic() - began < LATEST
    return caught.value


def forever(*parts: bytes, every: float = 0.02) -> Callable[[socket.socket, threading.Event], None]:
    """Sends the first parts once and the last one again and again, and never ends its answer."""

    def behave(sock: socket.socket, done: threading.Event) -> None:
        sock.recv(65536)
        for part in parts[:-1]:
            sock.sendall(part)
        while not (done.wait(every) if every else done.is_set()):
            sock.sendall(parts[-1])

    return behave


DRIBBLES = {
    "interim answers": forever(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"),
    "interim answers at once": forever(b"HTTP/1.1 100 Continue\r\n\r\n" * 5000, every=0),
    "headers": forever(b"HTTP/1.1 200 OK\r\n", b"x-a: b\r\n"),
    "a header": forever(b"HTTP/1.1 200 OK\r\nx-a: ", b"b"),
    "a body": forever(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n", b"x"),
    "the size of a chunk": forever(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;", b"x"
    ),
    "chunks": forever(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
}


@rule("R5")
@pytest.mark.parametrize("behave", DRIBBLES.values(), ids=DRIBBLES)
def test_a_server_that_never_ends_its_answer_is_left_in_time(
    behave: Callable[[socket.socket, threading.Event], None], colour: str
) -> None:
    with server(behave) as address:
        client = HttpClient(Http(address, timeout=SOON, deadline=SOON), RouterError, "System")
        error = too_late(client, colour)
        write = too_late(client, colour, Request("POST", "/thing", write=True))

    assert (error.failure, write.failure) == (Failure.TRANSIENT, Failure.UNKNOWN)


@rule("R5")
def test_a_server_that_takes_a_little_at_a_time_is_left_in_time(colour: str) -> None:
    def behave(sock: socket.socket, done: threading.Event) -> None:
        while not done.wait(0.02):
            sock.recv(4096)

    with server(behave) as address:
        client = HttpClient(Http(address, timeout=SOON, deadline=SOON), RouterError, "System")
        large = Request("POST", "/thing", content=b"x" * 50_000_000, write=True)
        assert too_late(client, colour, large).failure is Failure.UNKNOWN


@rule("R5")
def test_a_name_of_many_addresses_that_do_not_answer_is_left_in_time(
    colour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        fillers = [socket.socket() for _ in range(8)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address)] * 8
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        http = Http("http://many.example", timeout=timedelta(seconds=5), deadline=SOON)
        lines = LineClient(
            LineSocket(f"many.example:{address[1]}", deadline=SOON), RouterError, "L"
        )

        write = Request("POST", "/thing", write=True)
        assert too_late(HttpClient(http, RouterError, "S"), colour, write).failure is (
            Failure.TRANSIENT
        )
        began = time.monotonic()
        with pytest.raises(RouterError):
            lines.run((lambda: (yield Line("x")))())
        assert time.monotonic() - began < LATEST
        for filler in fillers:
            filler.close()


def answer(sock: socket.socket, done: threading.Event) -> None:
    sock.recv(65536)
    sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")


@rule("R5")
def test_a_credential_that_takes_too_long_is_left_in_time_and_asked_for_once(colour: str) -> None:
    go, calls = threading.Event(), []

    def token() -> str:
        calls.append(threading.current_thread())
        go.wait(30)
        return "Bearer late-but-fine"

    with server(answer) as address:
        client = HttpClient(Http(address, credentials=token, deadline=SOON), RouterError, "System")
        first = too_late(client, colour)
        second = too_late(client, colour, Request("POST", "/thing", write=True))
        go.set()
        answered = ask(client, colour)

    assert "not sent: the credentials could not be had" in str(first)
    assert (first.failure, second.failure) == (Failure.TRANSIENT, Failure.TRANSIENT)
    assert answered.status == 200
    assert len(calls) in (1, 2)  # the call that answers asks anew if the late one is over
    assert threading.main_thread() not in calls


@rule("R5")
def test_an_event_loop_goes_on_while_a_credential_is_asked_for() -> None:
    beats = []

    def token() -> str:
        time.sleep(0.5)
        return "Bearer slow"

    async def test() -> Response:
        async def beat() -> None:
            while True:
                beats.append(time.monotonic())
                await asyncio.sleep(0.01)

        beating = asyncio.create_task(beat())
        client = HttpClient(Http(address, credentials=token), RouterError, "System")
        found = await client.arun(one(READ))
        beating.cancel()
        return found

    with server(answer) as address:
        assert asyncio.run(test()).status == 200
    assert max(later - sooner for sooner, later in pairwise(beats)) < 0.3


@rule("R5")
def test_a_callers_own_time_out_fires_while_a_credential_hangs() -> None:
    go = threading.Event()

    async def test() -> None:
        http = Http("http://127.0.0.1:9", credentials=lambda: f"Bearer {go.wait(30)}")
        client = HttpClient(http, RouterError, "System")
        async with asyncio.timeout(0.2):
            await client.arun(one(READ))

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(test())
    assert time.monotonic() - began < LATEST
    go.set()


def test_what_a_credential_raises_is_said_as_ever(colour: str) -> None:
    def token() -> str:
        raise LookupError("s3cr3t-canary")

    client = HttpClient(
        Http("http://127.0.0.1:9", credentials=token, deadline=SOON), RouterError, "System"
    )
    error = too_late(client, colour)

    assert "the credential for Authorization could not be had: it raised LookupError" in str(error)
    assert "canary" not in str(error)
