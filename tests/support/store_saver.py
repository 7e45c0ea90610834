"""A process that saves in a loop until it is killed, and says on standard output what was saved:
``python saver.py KIND DIRECTORY``.
"""

from __future__ import annotations

import sys

from tests.support.places import ID, opened
from tests.support.store_contract import a_rollout, some_notes


def main(kind: str, directory: str) -> None:
    """Go on from what is stored."""
    store = opened(kind, directory)
    stored = store.load(ID)
    before = None if stored is None else stored.serial
    while True:
        serial = 0 if before is None else before + 1
        store.save(a_rollout(serial=serial), some_notes(serial, many=serial % 4), expected=before)
        print(serial, flush=True)
        before = serial


if __name__ == "__main__":
    main(*sys.argv[1:])
