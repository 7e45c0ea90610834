"""A process that drives a rollout until its standard input ends: ``python driver.py DIRECTORY``."""

from __future__ import annotations

import sys

from progressive import ConflictError
from progressive.stores.file import FileStore


def main(directory: str) -> None:
    """Say "drives", or why not."""
    try:
        with FileStore(directory).driving("checkout-42"):
            print("drives", flush=True)
            sys.stdin.read()
    except ConflictError as error:
        print(error, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
