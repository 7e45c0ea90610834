"""The shop's users: real HTTP requests, and what came of each of them."""

from __future__ import annotations

import http.client
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

USERS = 10
RATE = 300
"""Requests a second, of all users together."""

PATIENCE = 5.0
"""Seconds that a user waits for an answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one request. ``status`` is 0 if there was no answer at all, and then nobody
    knows the ``version``.
    """

    at: datetime
    version: str
    status: int

    @property
    def harmed(self) -> bool:
        """Did this user not get what was asked for?"""
        return not 200 <= self.status < 300


class Users:
    """Users who send `RATE` requests a second to 127.0.0.1:``port`` while this is open, each on a
    connection of their own.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._answers: list[Answer] = []
        self._gone = threading.Event()
        self._threads = [
            threading.Thread(target=self._use, name=f"user-{n}", daemon=True) for n in range(USERS)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._gone.set()
        for thread in self._threads:
            thread.join()

    def answers(self, since: datetime) -> list[Answer]:
        """What came of the requests since then."""
        return [answer for answer in list(self._answers) if answer.at >= since]

    def _use(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        while not self._gone.is_set():
            sent = time.monotonic()
            self._answers.append(_ask(connection))
            self._gone.wait(max(0.0, sent + USERS / RATE - time.monotonic()))
        connection.close()


def _ask(connection: http.client.HTTPConnection) -> Answer:
    try:
        connection.request("GET", "/")
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException):
        connection.close()  # the next request opens it again
        return Answer(datetime.now(UTC), "", 0)
    return Answer(datetime.now(UTC), response.headers.get("x-version", ""), response.status)
