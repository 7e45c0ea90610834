"""A message about a rollout, as senders (Slack, e-mail, a webhook) are given it."""

from __future__ import annotations

import enum
from datetime import datetime

import attrs

__all__ = ["Message", "Severity", "one_line"]


def one_line(text: str) -> str:
    """Return a text in one line: what would end it or move a cursor stands there as an escape.

    People and systems give reasons, and none of them may look like another line of a log.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


class Severity(enum.IntEnum):
    """How serious a note or a message is; the numbers are those of Python's `logging`."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40

    @property
    def word(self) -> str:
        """It as people write it: ``warning``."""
        return self.name.lower()


@attrs.frozen(kw_only=True)
class Message:
    """What is told of one note of a rollout, and where the rollout stands. Nothing in it is secret.

    * ``id``: of the note, ``rollout/serial/n``: the same for every copy of the message.
    * ``text``: one sentence or more, by the subscription's template.
    * ``kind``: the note's kind; ``at``: its time.
    * ``severity``: the highest of the notes that it stands for.
    * ``stable``, ``candidate``: the versions.
    * ``phase``, ``step``, ``weight``, ``status``: where the rollout stands now.
    * ``alarms``: the texts of those of these notes that are at least a warning, oldest first.
    * ``recent``: the texts of the last messages of the rollout, oldest first, with this one.
    * ``link``: where a person reads more; empty for nowhere.
    * ``again``: whether this was perhaps sent before, so that it may be a duplicate.
    * ``over``: whether it tells of the end, or of something after it.
    """

    id: str
    text: str
    kind: str
    severity: Severity
    at: datetime
    rollout: str
    service: str
    stable: str
    candidate: str
    phase: str
    step: str
    weight: str
    status: str
    alarms: tuple[str, ...] = ()
    recent: tuple[str, ...] = ()
    link: str = ""
    again: bool = False
    over: bool = False

    @property
    def title(self) -> str:
        """What the rollout is: ``checkout: v1 to v2``."""
        return f"{self.service}: {self.stable} to {self.candidate}"
