"""The loggers of this library: ``progressive`` and those below it, silent until a program sets up
`logging`.

* ``progressive.rollout``: what is decided and why, a record for each note.
* ``progressive.adapters``: what is tried again, and what a router that is only read would write.
  What fails in the end is a note.
* ``progressive.notify``: messages that could not be sent, or not yet.
* ``progressive.stores``: what is stored and can't be read, when rollouts are listed.
* ``progressive.passes``: what a pass over all that is due has not done in time.

DEBUG is every look and what passes; INFO what changes: a step, a weight, a word of a person;
WARNING what is not as it should be and is dealt with: a check that fails, a way back, a drift, a
call that is tried again, a save that failed; ERROR what needs a person now. No record has a secret
in it.
"""

from __future__ import annotations

import logging
from typing import Final

__all__ = ["ADAPTERS", "NOTIFY", "PASSES", "ROLLOUT", "STORES"]

logging.getLogger("progressive").addHandler(logging.NullHandler())

ROLLOUT: Final = logging.getLogger("progressive.rollout")
ADAPTERS: Final = logging.getLogger("progressive.adapters")
NOTIFY: Final = logging.getLogger("progressive.notify")
STORES: Final = logging.getLogger("progressive.stores")
PASSES: Final = logging.getLogger("progressive.passes")
