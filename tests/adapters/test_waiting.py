"""Nothing is waited for longer than a deadline: a function, a resolver, many addresses."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from contextvars import ContextVar

import pytest
from tests.support.rules import rule

from progressive.adapters.waiting import Apart, connected

word: ContextVar[str] = ContextVar("word", default="none")


@pytest.fixture
def deaf() -> Iterator[tuple[str, int]]:
    """An address that never answers: its queue of connections is full."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        yield listening.getsockname()


def test_it_is_what_the_function_returns_or_raises() -> None:
    word.set("mine")

    assert Apart(word.get).wait(time.monotonic() + 5) == "mine"
    with pytest.raises(ZeroDivisionError):
        Apart(lambda: 1 // 0).wait(time.monotonic() + 5)


def test_what_takes_longer_is_left_behind_and_may_be_waited_for_again() -> None:
    go = threading.Event()
    apart = Apart(lambda: go.wait(30))

    with pytest.raises(TimeoutError):
        apart.wait(time.monotonic() + 0.05)
    assert not apart.is_over
    go.set()
    assert apart.wait(time.monotonic() + 5)
    assert apart.is_over


def test_an_event_loop_goes_on_meanwhile() -> None:
    go = threading.Event()

    async def test() -> bool:
        apart = Apart(lambda: go.wait(30))
        with pytest.raises(TimeoutError):
            await apart.await_(time.monotonic() + 0.05)
        asyncio.get_running_loop().call_later(0.05, go.set)
        return await apart.await_(time.monotonic() + 5)

    assert asyncio.run(test())


@rule("R5")
@pytest.mark.parametrize("count", [1, 8])
def test_all_addresses_of_a_name_share_one_deadline(
    deaf: tuple[str, int], count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", deaf)] * count
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)
    began = time.monotonic()

    with pytest.raises(TimeoutError):
        connected("many.example", 80, began + 0.4)
    assert 0.3 < time.monotonic() - began < 2


def test_a_later_address_that_answers_is_reached_in_time(
    deaf: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 0, "", address)
            for address in (deaf, deaf, server.getsockname())
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)
        with connected("many.example", 80, time.monotonic() + 1.0) as sock:
            assert sock.getpeername() == server.getsockname()


def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: go.wait(30))
    began = time.monotonic()

    with pytest.raises(TimeoutError):
        connected("slow.example", 80, began + 0.2)
    assert time.monotonic() - began < 2
    go.set()


def test_nobody_is_asked_for_the_address_of_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    start = threading.Thread.start

    def noted(thread: threading.Thread) -> None:
        begun.append(thread.name)
        start(thread)

    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(threading.Thread, "start", noted)
        with connected("127.0.0.1", server.getsockname()[1], time.monotonic() + 5):
            assert begun == []


def test_a_name_without_an_address_is_an_os_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [])

    with pytest.raises(OSError, match=r"none.example has no address"):
        connected("none.example", 80, time.monotonic() + 1)
