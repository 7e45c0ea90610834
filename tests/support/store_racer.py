"""A process that moves one rollout on beside others until it has won ``TIMES`` saves:
``python racer.py KIND DIRECTORY NAME TIMES``.
"""

from __future__ import annotations

import sys

from tests.support.places import ID, opened
from tests.support.store_contract import AT, a_rollout

from progressive import ConflictError
from progressive.rollout.notes import Refused


def main(kind: str, directory: str, name: str, times: str) -> None:
    """Wait for the start, then load and save the next serial, again and again; each note says whose
    it is.
    """
    store = opened(kind, directory)
    print("ready", flush=True)
    sys.stdin.readline()
    won = 0
    while won < int(times):
        stored = store.load(ID)
        assert stored is not None
        note = Refused(at=AT, event=name, why=f"win {won}")
        try:
            store.save(a_rollout(serial=stored.serial + 1), (note,), expected=stored.serial)
        except ConflictError:
            continue
        won += 1


if __name__ == "__main__":
    main(*sys.argv[1:])
