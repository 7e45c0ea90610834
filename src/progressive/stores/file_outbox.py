"""An outbox for notifications in a directory of files, beside the rollouts of a `FileStore` or not.

A destination has a directory, and in it a file for each rollout: ``checkout-42.untold`` until
everything was told, ``checkout-42.told`` after that.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from progressive.codec.documents import dumps_delivery, loads_delivery
from progressive.errors import Failure, StateError
from progressive.model import fields
from progressive.model.delivery import Delivery

from .filesystem import (
    id_of,
    locked,
    need_locks,
    open_plain,
    os_errors_as_store_errors,
    stem_of,
    sync_directory,
    written,
)
from .stored import unreadable

__all__ = ["FileOutbox"]

UNTOLD: Final = "untold"
TOLD: Final = "told"


class FileOutbox:
    """An outbox in a directory, for threads and processes; atomic and durable.

    ``directory``: made if its parent exists. It may be the directory of a `FileStore`. Raises
    `StoreError` and `StateError` as that store does.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        need_locks("FileOutbox")
        self._directory = os.path.join(os.path.abspath(os.fspath(directory)), "~outbox")
        with os_errors_as_store_errors(f"{self._directory} can't hold an outbox"):
            for each in (os.path.dirname(self._directory), self._directory):
                _make(each)
            os.listdir(self._directory)

    def __repr__(self) -> str:
        return f"FileOutbox({os.path.dirname(self._directory)!r})"

    def load(self, rollout: str, destination: str) -> Delivery | None:
        """Return the delivery as it was last saved; None if there is none."""
        for suffix in (TOLD, UNTOLD):
            path = self._path(rollout, destination, suffix)
            with (
                os_errors_as_store_errors(f"{path} can't be read"),
                suppress(FileNotFoundError),
                os.fdopen(open_plain(path, os.O_RDONLY), "rb") as file,
            ):
                return _read(file.read(), path)
        return None

    def save(self, delivery: Delivery) -> None:
        """Store a delivery by compare-and-set on its revision; see `Outbox`."""
        rollout, destination = delivery.rollout, delivery.destination
        told, untold = (self._path(rollout, destination, suffix) for suffix in (TOLD, UNTOLD))
        folder = os.path.dirname(told)
        what = f"what {destination!r} was told of rollout {rollout!r} was"
        with os_errors_as_store_errors(f"{what} not saved"):
            _make(folder)
            with locked(os.path.join(folder, "~lock"), rollout, "another save of its outbox"):
                delivery.refuse_unless_it_follows(self.load(rollout, destination))
                new = self._path(rollout, destination, "tmp")
                written(new, dumps_delivery(delivery).encode())
                with os_errors_as_store_errors(f"{what} perhaps saved", failure=Failure.UNKNOWN):
                    os.replace(new, told if delivery.finished else untold)
                    sync_directory(folder)
                    if delivery.finished:
                        # If it stays behind, what was told is read first.
                        with suppress(FileNotFoundError):
                            os.unlink(untold)

    def open(self) -> Sequence[str]:
        """Return the rollouts that a destination is not yet told everything of."""
        found: set[str] = set()
        with os_errors_as_store_errors(f"{self._directory} can't be listed"):
            for folder in os.listdir(self._directory):
                if not os.path.isdir(os.path.join(self._directory, folder)):
                    continue  # somebody else's
                names = set(os.listdir(os.path.join(self._directory, folder)))
                stems = (name.removesuffix(f".{UNTOLD}") for name in names if name.endswith(UNTOLD))
                ids = (id_of(stem) for stem in stems if f"{stem}.{TOLD}" not in names)
                found.update(id for id in ids if id is not None)
        return sorted(found)

    def _path(self, rollout: str, destination: str, suffix: str) -> str:
        folder = stem_of(fields.name(destination, "destination"))
        stem = stem_of(fields.name(rollout, "rollout"))
        return os.path.join(self._directory, folder, f"{stem}.{suffix}")


def _make(directory: str) -> None:
    """Make a directory, on the disk when this returns; not if it is there."""
    with suppress(FileExistsError):
        os.mkdir(directory)
        sync_directory(os.path.dirname(directory))


def _read(text: bytes, path: str) -> Delivery:
    try:
        return loads_delivery(text)
    except StateError as error:
        raise unreadable(path, error.path, error.why) from None
