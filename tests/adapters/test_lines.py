"""Lines over sockets, against small servers that misbehave on purpose: unix and TCP, sync and
async.
"""

from __future__ import annotations

import asyncio
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import pytest
from tests.support.rules import rule

from progressive.adapters.lines import Line, LineClient, LineFlow, LineSocket, to_line_socket
from progressive.errors import Failure, ProgressiveError, RouterError, StrategyError
from progressive.testing.contract.proxy import socket_folder

SHORT = timedelta(milliseconds=400)
LONGEST_PATH = 107 if sys.platform == "linux" else 103
READ, WRITE = Line("show weight"), Line("set weight 5", write=True)
Behaviour: TypeAlias = Callable[[socket.socket, bytes], None]


@attrs.define
class Place:
    """Where a server listens, and what it was sent."""

    kind: str
    folder: Path
    address: str = ""
    received: list[bytes] = attrs.field(factory=list)

    @contextmanager
    def serving(self, behave: Behaviour) -> Iterator[Place]:
        place = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                sent = self.request.recv(65536)
                place.received.append(sent)
                try:
                    behave(self.request, sent)
                except OSError:
                    return  # the client has left, which is what most of these tests want of it

        base: Any = (
            socketserver.ThreadingUnixStreamServer
            if self.kind == "unix"
            else socketserver.ThreadingTCPServer
        )
        at: Any = str(self.folder / "socket") if self.kind == "unix" else ("127.0.0.1", 0)
        server: Any = type("Server", (base,), {"daemon_threads": True, "block_on_close": False})
        with server(at, Handler) as running:
            found = running.server_address
            self.address = found if self.kind == "unix" else f"127.0.0.1:{found[1]}"
            thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()
            try:
                yield self
            finally:
                running.shutdown()
                thread.join()


@pytest.fixture(params=["unix", "tcp"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with socket_folder() as folder:
        yield Place(str(request.param), Path(folder))


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def answer(text: str) -> Behaviour:
    return lambda wire, _: wire.sendall(text.encode())


def one(line: Line) -> LineFlow[str]:
    return (yield line)


def ask(place: Place, line: Line, colour: str, *, ending: str = "", **more: Any) -> str:
    client = LineClient(LineSocket(place.address, **more), RouterError, "Thing", ending=ending)
    return client.run(one(line)) if colour == "sync" else asyncio.run(client.arun(one(line)))


def failing(place: Place, line: Line, colour: str, **more: Any) -> RouterError:
    with pytest.raises(RouterError) as caught:
        ask(place, line, colour, **more)
    return caught.value


def test_a_line_is_sent_with_its_end_and_everything_until_the_hang_up_is_the_answer(
    place: Place, colour: str
) -> None:
    def in_parts(wire: socket.socket, sent: bytes) -> None:
        wire.sendall(b"5\n")
        wire.sendall(b"6\xff\n\n")

    with place.serving(in_parts):
        assert ask(place, READ, colour) == "5\n6\ufffd"
    assert place.received == [b"show weight\n"]


def test_each_line_has_a_connection_of_its_own(place: Place, colour: str) -> None:
    def two() -> LineFlow[list[str]]:
        return [(yield READ), (yield WRITE)]

    with place.serving(answer("fine\n")):
        client = LineClient(LineSocket(place.address), RouterError, "Thing")
        found = client.run(two()) if colour == "sync" else asyncio.run(client.arun(two()))

    assert found == ["fine", "fine"]
    assert place.received == [b"show weight\n", b"set weight 5\n"]


def test_an_answer_that_was_cut_off_is_none(place: Place, colour: str) -> None:
    with place.serving(answer("0x1 shop v1:0")):
        read = failing(place, READ, colour, ending="\n\n", deadline=SHORT)
        write = failing(place, WRITE, colour, ending="\n\n")

    assert (read.failure, write.failure) == (Failure.TRANSIENT, Failure.UNKNOWN)
    assert "hung up before the end of its answer, after 13 bytes" in str(write)
    assert place.received.count(b"set weight 5\n") == 1


@pytest.mark.parametrize("text", ["\n", "5\n\n"])
def test_a_whole_answer_may_be_empty(place: Place, colour: str, text: str) -> None:
    with place.serving(answer(text)):
        assert ask(place, READ, colour, ending="\n\n") == text.strip()


def test_who_says_done_by_silence_is_believed_and_words_are_a_refusal(
    place: Place, colour: str
) -> None:
    silent = attrs.evolve(WRITE, silent=True)
    with place.serving(answer("\n")):
        assert ask(place, silent, colour) == ""
    (place.folder / "socket").unlink(missing_ok=True)
    with place.serving(answer("No such server.\n\n")):
        refused = failing(place, silent, colour)

    assert refused.failure is Failure.PERMANENT
    assert str(refused).endswith("'set weight 5': answered: No such server.")


def test_a_hang_up_without_a_word_is_unknown_for_a_write(place: Place, colour: str) -> None:
    with place.serving(lambda wire, _: None):
        write = failing(place, WRITE, colour, ending="\n\n")

    assert write.failure is Failure.UNKNOWN
    assert place.received == [b"set weight 5\n"]


@rule("R5")
def test_a_reset_is_unknown_for_a_write_and_tried_again_for_a_read(
    place: Place, colour: str
) -> None:
    def reset(wire: socket.socket, sent: bytes) -> None:
        if place.received.count(b"show weight\n") > 2:
            wire.sendall(b"5\n\n")
            return
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        wire.close()

    with place.serving(reset):
        write = failing(place, WRITE, colour, ending="\n\n")
        read = ask(place, READ, colour, ending="\n\n")

    assert (read, write.failure) == ("5", Failure.UNKNOWN)
    assert place.received == [b"set weight 5\n", *[b"show weight\n"] * 3]


def test_nobody_listening_is_transient_for_a_write_too_because_nothing_was_sent(
    place: Place, colour: str
) -> None:
    with place.serving(answer("")):
        pass
    found = [failing(place, line, colour, deadline=SHORT) for line in (READ, WRITE)]

    assert [each.failure for each in found] == [Failure.TRANSIENT] * 2
    assert place.address in str(found[0])


@rule("R40")
def test_a_drip_ends_at_the_total_deadline(place: Place, colour: str) -> None:
    def drip(wire: socket.socket, _: bytes) -> None:
        while True:
            wire.sendall(b"x")
            time.sleep(0.05)

    began = time.monotonic()
    with place.serving(drip):
        read = failing(place, READ, colour, deadline=SHORT)
        write = failing(place, WRITE, colour, deadline=SHORT)

    assert "total deadline" in str(read)
    assert (read.failure, write.failure) == (Failure.TRANSIENT, Failure.UNKNOWN)
    assert time.monotonic() - began < 10


def test_silence_ends_at_the_total_deadline(place: Place, colour: str) -> None:
    ended = threading.Event()
    with place.serving(lambda wire, _: ended.wait(30) and None):
        read = failing(place, READ, colour, deadline=SHORT)
        ended.set()

    assert read.failure is Failure.TRANSIENT


@rule("R41")
def test_an_answer_without_an_end_is_cut_at_the_limit(place: Place, colour: str) -> None:
    def flood(wire: socket.socket, _: bytes) -> None:
        while True:
            wire.sendall(b"x" * 65536)

    with place.serving(flood):
        read = failing(place, READ, colour, body_limit=100_000)
        write = failing(place, WRITE, colour, body_limit=100_000)

    assert (read.failure, write.failure) == (Failure.PERMANENT, Failure.UNKNOWN)
    assert "more than 100000 bytes; raise LineSocket(body_limit=...)" in str(read)


def test_what_the_kernel_refuses_because_of_rights_is_permanent_and_names_the_mend(
    colour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(LineClient, "_connected", refuse)
    monkeypatch.setattr(LineClient, "_aconnected", refuse)
    error = failing(Place("unix", Path(), "/run/thing.sock"), WRITE, colour)

    assert error.failure is Failure.PERMANENT
    assert "Permission denied; run as a user who may write to the socket" in str(error)


def test_a_cancelled_call_leaves_no_connection_open(place: Place) -> None:
    asked, closed = threading.Event(), threading.Event()

    def until_closed(wire: socket.socket, _: bytes) -> None:
        asked.set()
        while wire.recv(100):
            pass
        closed.set()

    async def cancelled() -> None:
        client = LineClient(LineSocket(place.address), RouterError, "Thing")
        task = asyncio.create_task(client.arun(one(READ)))
        assert await asyncio.to_thread(asked.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with place.serving(until_closed):
        asyncio.run(cancelled())
        assert closed.wait(10)


# ----------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("text", ["", "  ", "a\nb", "a\rb", "a\0b", "set weight 5\n"])
@rule("R42")
def test_a_line_is_one_line(text: str) -> None:
    with pytest.raises(StrategyError, match=r"Line\.text: .* is not one line of text"):
        Line(text)


@pytest.mark.parametrize(
    "address",
    ["", "localhost", ":80", "host:", "host:0", "host:65536", "host:http", "a\nb:80", "/run/a\0b"],
)
def test_an_address_is_a_path_or_host_and_port(address: str) -> None:
    with pytest.raises(StrategyError, match=r"LineSocket\.address: "):
        LineSocket(address)


def test_addresses_come_as_text_paths_and_sockets() -> None:
    made = LineSocket("/run/haproxy.sock", deadline=SHORT)

    assert to_line_socket(made) is made
    assert to_line_socket(Path("/run/haproxy.sock")).is_path
    assert to_line_socket("[::1]:9999").host_and_port == ("::1", 9999)
    assert not to_line_socket("localhost:9999").is_path


def test_where_there_are_no_unix_sockets_the_path_of_one_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")

    with pytest.raises(StrategyError, match="give host:port"):
        LineSocket("/run/haproxy.sock")


@pytest.mark.skipif(sys.platform == "win32", reason="needs unix sockets")
def test_a_path_that_no_socket_can_have_is_refused_and_the_longest_one_is_used(
    colour: str,
) -> None:
    with socket_folder() as made:
        folder = Path(made)
        longest = folder / "long" / ("x" * (LONGEST_PATH - len(made) - len("/long//socket")))
        longest.mkdir(parents=True)
        place = Place("unix", longest)
        with place.serving(answer("fine\n")):
            assert len(place.address) == LONGEST_PATH
            assert ask(place, READ, colour) == "fine"

        with pytest.raises(
            StrategyError, match=rf"has {LONGEST_PATH + 1} bytes and a unix socket's path at most"
        ):
            LineSocket(f"{place.address}s")


def test_many_threads_may_share_a_client(place: Place) -> None:
    found: list[str | ProgressiveError] = []
    with ExitStack() as stack:
        stack.enter_context(place.serving(lambda wire, sent: wire.sendall(sent)))
        client = LineClient(LineSocket(place.address), RouterError, "Thing")
        threads = [
            threading.Thread(target=lambda n=n: found.append(client.run(one(Line(f"line {n}")))))
            for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(map(str, found)) == [f"line {n}" for n in range(8)]
