"""`BreakableProxy` breaks any system in every way that `check_router` knows."""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.fake_haproxy import FakeHAProxy

from progressive import Release, RouterError, Served, Traffic, Version, seconds
from progressive.errors import Failure
from progressive.model import Marker
from progressive.routers.haproxy import HAProxy, LineSocket
from progressive.testing import BreakableProxy, LawBroken, check_router
from progressive.testing.contract.proxy import socket_folder

MAP = "/etc/haproxy/split.map"
SHOP = Release(service="shop", stable=Version("v1"), candidate=Version("v2"))


def is_write(sent: bytes) -> bool:
    return sent.startswith(b"set ")


@pytest.fixture
def proxy() -> Iterator[BreakableProxy]:
    with (
        FakeHAProxy(MAP, {"shop": "v1:0:v2"}) as system,
        BreakableProxy(
            system.path, is_write=is_write, failure=b"Permission denied\n\n", success=b"\n"
        ) as made,
    ):
        yield made


def test_a_good_router_keeps_every_law_about_a_broken_system(proxy: BreakableProxy) -> None:
    report = check_router(
        HAProxy(socket=LineSocket(proxy.address, deadline=seconds(2)), map=MAP),
        SHOP,
        broken=proxy.breakages,
        writes=lambda: proxy.writes,
        within=seconds(5),
    )

    assert [each for each in report.missing if each.startswith(("broken", "writes"))] == []


class Hopeful(HAProxy):
    """Says of every failure that nothing was done."""

    def apply(
        self, release: Release, traffic: Traffic, *, marker: Marker, expect: str | None
    ) -> Served:
        try:
            return super().apply(release, traffic, marker=marker, expect=expect)
        except RouterError as error:
            if error.failure is Failure.UNKNOWN:
                raise RouterError(str(error)) from error
            raise


def test_a_router_that_denies_a_write_is_found(proxy: BreakableProxy) -> None:
    router = Hopeful(socket=LineSocket(proxy.address, deadline=seconds(0.6)), map=MAP)
    broken = {"hang_reply": proxy.breakages["hang_reply"]}
    with pytest.raises(LawBroken) as caught:
        check_router(router, SHOP, broken=broken, within=seconds(5))

    assert caught.value.law == "a write that is never answered is unknown"


# ---------------------------------------------------------------------------------------- over TCP


@pytest.fixture
def system() -> Iterator[tuple[str, list[bytes]]]:
    """Answers ``done`` to each line, and keeps the lines."""
    lines: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk(wire: socket.socket) -> None:
            with wire, suppress(OSError):
                while line := wire.recv(1000):
                    lines.append(line)
                    wire.sendall(b"done\n")

        def serve() -> None:
            with suppress(OSError):
                while True:
                    wire, _ = server.accept()
                    threading.Thread(target=talk, args=(wire,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        host, port = server.getsockname()
        yield f"{host}:{port}", lines
        server.shutdown(socket.SHUT_RDWR)


def ask(address: str, line: bytes) -> bytes:
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=0.3) as wire:
        wire.sendall(line)
        return wire.recv(1000)


def test_it_passes_on_what_it_is_sent_and_counts_the_writes(
    system: tuple[str, list[bytes]],
) -> None:
    upstream, lines = system
    with BreakableProxy(upstream, is_write=is_write) as proxy:
        host, _, port = proxy.address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=1) as wire:
            for line in (b"get 1\n", b"set 1\n", b"get 2\n"):  # all on one connection
                wire.sendall(line)
                assert wire.recv(1000) == b"done\n"

    assert lines == [b"get 1\n", b"set 1\n", b"get 2\n"]
    assert proxy.writes == 1


def test_it_breaks_down_in_each_way_and_is_whole_again_afterwards(
    system: tuple[str, list[bytes]],
) -> None:
    upstream, lines = system
    with BreakableProxy(upstream, is_write=is_write, failure=b"no\n", success=b"sure\n") as proxy:
        with proxy.breaking("refuse"), pytest.raises(ConnectionRefusedError):
            ask(proxy.address, b"get\n")
        with proxy.breaking("fail"):
            assert ask(proxy.address, b"get\n") == b"no\n"
        with proxy.breaking("garble"):
            assert b"\xff\xfe" in ask(proxy.address, b"get\n")
        with proxy.breaking("hang"), pytest.raises(TimeoutError):
            ask(proxy.address, b"get\n")
        assert lines == []

        with proxy.breaking("lose_reply"):
            assert ask(proxy.address, b"get\n") == b"done\n"
            with pytest.raises(ConnectionResetError):
                ask(proxy.address, b"set lost\n")
        with proxy.breaking("hang_reply"):
            assert ask(proxy.address, b"get\n") == b"done\n"
            with pytest.raises(TimeoutError):
                ask(proxy.address, b"set held\n")
        with proxy.breaking("ignore"):
            assert ask(proxy.address, b"get\n") == b"done\n"
            assert ask(proxy.address, b"set ignored\n") == b"sure\n"
        assert ask(proxy.address, b"set whole\n") == b"done\n"

    assert [line for line in lines if is_write(line)] == [
        b"set lost\n",
        b"set held\n",
        b"set whole\n",
    ]
    assert proxy.writes == 4


def test_without_the_answer_to_a_write_it_can_not_be_made_to_ignore_one() -> None:
    with BreakableProxy("127.0.0.1:1", is_write=is_write) as proxy:
        assert set(proxy.breakages) == {
            "refuse",
            "fail",
            "garble",
            "hang",
            "lose_reply",
            "hang_reply",
        }


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs unix sockets")
def test_sockets_fit_into_their_folder_wherever_temporary_files_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * 107)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))

    with socket_folder() as folder, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/a name of 26 characters.s")
    assert not Path(folder).exists()
