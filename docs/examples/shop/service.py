"""One version of the shop: ``python service.py VERSION FAILING PORT_FILE`` answers every request
with the name of its version.

It fails the share FAILING (0 to 1) of its requests, listens on a port that the kernel chooses, and
writes that to PORT_FILE.
"""

from __future__ import annotations

import asyncio
import random
import socket
import sys
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from pathlib import Path

WORK = 0.005
"""Seconds that an answer takes."""


def answer(version: str, failing: float) -> bytes:
    """One HTTP answer, with the version in a header so that users can tell who served them."""
    status = "500 Internal Server Error" if random.random() < failing else "200 OK"
    body = f"this is the shop, {version}\n"
    return (
        f"HTTP/1.1 {status}\r\nx-version: {version}\r\ncontent-length: "
        f"{len(body)}\r\n\r\n{body}".encode()
    )


async def serve(listener: socket.socket, version: str, failing: float) -> None:
    """Serve until the process is terminated."""

    async def connected(reader: StreamReader, writer: StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(WORK)
                writer.write(answer(version, failing))
                await writer.drain()
        except (IncompleteReadError, ConnectionError):
            writer.close()  # the other side has gone

    server = await asyncio.start_server(connected, sock=listener)
    await server.serve_forever()


def main(version: str, failing: str, port_file: str) -> None:
    """Listen, say where, and serve."""
    listener = socket.create_server(("127.0.0.1", 0))
    Path(port_file).write_text(f"{listener.getsockname()[1]}\n")
    asyncio.run(serve(listener, version, float(failing)))


if __name__ == "__main__":
    main(*sys.argv[1:])
