"""A process that drives a rollout until its standard input ends:
``python driver.py KIND DIRECTORY``.
"""

from __future__ import annotations

import sys

from tests.support.places import ID, opened

from progressive import ConflictError


def main(kind: str, directory: str) -> None:
    """Say "drives", or why not."""
    try:
        with opened(kind, directory).driving(ID):
            print("drives", flush=True)
            sys.stdin.read()
    except ConflictError as error:
        print(error, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
